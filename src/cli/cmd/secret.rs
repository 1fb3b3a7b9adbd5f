//! `crm resource secret`: a parameter's value in a file that only root may read, and `lrm://` in its place in the CIB.
//! // spec cluster §14.4

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{change, change::Set, check, resource};
use crate::{
    cli::{access::store, args::Secret, failure::Failure, shell::Shell},
    terms::CrmExit,
    xml::digest,
};

/// What stands in the CIB instead of the value.
const REFERENCE: &str = "lrm://";

/// Run one command about a secret.
pub(crate) fn run(shell: &mut Shell, secret: &Secret) -> Result<(), Failure> {
    let folder = check::place().secrets;
    let (id, param) = (secret.id.as_str(), secret.param.as_str());
    if [id, param]
        .iter()
        .any(|name| name.contains('/') || name.starts_with('.'))
    {
        return Err(Failure::usage(format!(
            "{id:?} or {param:?} can't be the name of a file"
        )));
    }
    let root = shell.cib()?.into_root();
    let (element, _) =
        change::resource(&root, id).ok_or_else(|| resource::no_resource(&root, id))?;
    let now = change::get(element, Set::Params, param).map(str::to_owned);
    let file = File::of(&folder, id, param);
    match (secret.what.as_str(), &secret.value) {
        ("set", Some(value)) => {
            file.write(value)?;
            refer(shell, id, param)?;
            elsewhere(shell, &file)
        }
        ("set", None) => Err(Failure::usage("a value is missing")
            .cure("crm resource secret RESOURCE set PARAMETER VALUE")),
        (_, Some(word)) => {
            Err(Failure::usage(format!("{word:?} is not expected")).cure("only set has a value"))
        }
        ("stash", None) => {
            let value = now.ok_or_else(|| not_set(id, param))?;
            if value == REFERENCE {
                return Err(Failure::new(
                    CrmExit::EXISTS,
                    format!("{param} of {id} is a secret already"),
                )
                .cure("crm resource secret RESOURCE check PARAMETER"));
            }
            file.write(&value)?;
            refer(shell, id, param)?;
            elsewhere(shell, &file)
        }
        ("unstash", None) => {
            let value = file.read()?;
            resource::edit(shell, |root| {
                resource::put_pair(root, Set::Params, id, param, Some(&value))
            })?;
            file.remove()
        }
        ("delete", None) => {
            resource::edit(shell, |root| {
                resource::put_pair(root, Set::Params, id, param, None)
            })?;
            file.remove()
        }
        ("show", None) => {
            let value = file.read()?;
            shell.say(&value)
        }
        _ => {
            file.read()?;
            match now.as_deref() {
                Some(REFERENCE) => Ok(()),
                Some(_) => Err(Failure::new(
                    CrmExit::CONFIG,
                    format!("{param} of {id} has a secret, and another value in the configuration"),
                )
                .cure("crm resource secret RESOURCE stash PARAMETER takes that value")),
                None => Err(not_set(id, param)),
            }
        }
    }
}

fn not_set(id: &str, param: &str) -> Failure {
    Failure::new(CrmExit::NO_SUCH, format!("{id} has no parameter {param:?}"))
        .cure("crm resource secret RESOURCE set PARAMETER VALUE")
}

fn refer(shell: &mut Shell, id: &str, param: &str) -> Result<(), Failure> {
    resource::edit(shell, |root| {
        resource::put_pair(root, Set::Params, id, param, Some(REFERENCE))
    })
}

/// The file is on this machine; the resource may run on another one.
fn elsewhere(shell: &mut Shell, file: &File) -> Result<(), Failure> {
    let others = super::by_tool::others(shell)?;
    if !others.is_empty() {
        shell.warn(&format!(
            "copy {0} and {0}.sign to {1} too: the secret is on this machine alone",
            file.path.display(),
            others.join(", ")
        ));
    }
    Ok(())
}

/// A secret and its signature beside it.
struct File {
    path: PathBuf,
    sign: PathBuf,
}

impl File {
    fn of(folder: &Path, id: &str, param: &str) -> Self {
        let folder = folder.join(id);
        Self {
            path: folder.join(param),
            sign: folder.join(format!("{param}.sign")),
        }
    }

    fn write(&self, value: &str) -> Result<(), Failure> {
        if let Some(folder) = self.path.parent() {
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder);
            made.map_err(|error| {
                let failure = Failure::from(error);
                let text = format!("failed to make {}: {failure}", folder.display());
                Failure::new(failure.exit, text)
            })?;
        }
        // Until both are there, the old signature refuses the new value.
        store(&self.path, value)?;
        store(
            &self.sign,
            &format!("{}\n", digest::bytes(value.as_bytes())),
        )
    }

    fn read(&self) -> Result<String, Failure> {
        let missing = |error: std::io::Error| {
            let failure = Failure::from(error);
            let text = format!("failed to read {}: {failure}", self.path.display());
            Failure::new(failure.exit, text)
        };
        let value = fs::read(&self.path).map_err(missing)?;
        let sign = fs::read_to_string(&self.sign).map_err(missing)?;
        if sign.split_whitespace().next() != Some(digest::bytes(&value).as_str()) {
            let text = format!("{} does not fit its signature", self.path.display());
            return Err(Failure::new(CrmExit::DIGEST, text).cure("set it again"));
        }
        Ok(String::from_utf8_lossy(&value)
            .trim_end_matches('\n')
            .to_owned())
    }

    fn remove(&self) -> Result<(), Failure> {
        for path in [&self.path, &self.sign] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let failure = Failure::from(error);
                    let text = format!("failed to remove {}: {failure}", path.display());
                    return Err(Failure::new(failure.exit, text));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_private_and_as_the_executor_reads_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = File::of(folder.path(), "db", "pw");
        file.write("s3cret").expect("written");
        let mode = fs::metadata(&file.path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0);
        let mut params = vec![("pw".to_owned(), REFERENCE.to_owned())];
        crate::process::secrets::resolve(folder.path(), "db", &mut params).expect("readable");
        assert_eq!(params[0].1, "s3cret");
        fs::write(&file.path, "other").expect("written");
        assert_eq!(
            file.read().map_err(|failure| failure.exit),
            Err(CrmExit::DIGEST)
        );
        file.remove().expect("removed");
        assert!(!file.sign.exists());
    }
}
