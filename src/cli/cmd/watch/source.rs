//! Where CIBs come from: a program that prints one, a file, a folder. What was looked at already is not looked at again.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::cli::{args, failure::Failure, saved};
use crate::process::{self, How, Spec};
use crate::terms::CrmExit;
use crate::xml::Limits;

/// No CIB takes longer to be printed.
const LIMIT: Duration = Duration::from_secs(60);

/// Options of `cibadmin` that read. Anything else is refused: nothing is written to the other cluster.
const READING: &[&str] = &[
    "-Q",
    "--query",
    "-l",
    "--local",
    "-o",
    "--scope",
    "-V",
    "--verbose",
    "-x",
    "-N",
    "--node",
];

/// One CIB.
#[derive(Debug)]
pub(super) struct Look {
    /// Where it is from.
    pub(super) name: String,
    /// XML.
    pub(super) text: Vec<u8>,
}

/// Where CIBs come from.
pub(super) struct Reader {
    source: Source,
    /// Of what was seen last: text of a file or program, in a short form.
    last: Option<u64>,
    /// Of a folder: what was seen up to here.
    after: Option<(SystemTime, PathBuf)>,
    waiting: Vec<(SystemTime, PathBuf)>,
    looked: bool,
}

enum Source {
    Command(Vec<String>),
    File(PathBuf),
    Folder(PathBuf),
}

impl Reader {
    pub(super) fn new(watch: &args::Watch) -> Result<Self, Failure> {
        let source = if let Some(file) = &watch.file {
            Source::File(file.clone())
        } else if let Some(folder) = &watch.folder {
            Source::Folder(folder.clone())
        } else {
            Source::Command(command(&watch.command)?)
        };
        Ok(Reader {
            source,
            last: None,
            after: None,
            waiting: Vec::new(),
            looked: false,
        })
    }

    /// The next CIB that was not looked at, if there is one now.
    pub(super) fn next(&mut self) -> Result<Option<Look>, Failure> {
        let look = match &self.source {
            Source::Command(words) => Look {
                name: words.join(" "),
                text: printed(words)?,
            },
            Source::File(path) => read(path)?,
            Source::Folder(folder) => {
                if self.waiting.is_empty() {
                    self.waiting = list(folder, self.after.as_ref())?;
                }
                if self.waiting.is_empty() {
                    return match self.after.is_none() && !self.looked {
                        true => {
                            self.looked = true;
                            empty(folder)
                        }
                        false => Ok(None),
                    };
                }
                let next = self.waiting.remove(0);
                let look = read(&next.1)?;
                self.after = Some(next);
                return Ok(Some(look));
            }
        };
        let mark = mark(&look.text);
        if self.last == Some(mark) {
            return Ok(None);
        }
        self.last = Some(mark);
        Ok(Some(look))
    }

    pub(super) fn is_folder(&self) -> bool {
        matches!(self.source, Source::Folder(_))
    }

    /// Whether more is there already.
    pub(super) fn has_more(&self) -> bool {
        !self.waiting.is_empty()
    }
}

fn empty(folder: &Path) -> Result<Option<Look>, Failure> {
    Err(Failure::new(CrmExit::NO_INPUT, format!("there is no CIB in {}", folder.display()))
        .cure("name the folder with pe-input-N.bz2, usually /var/lib/pacemaker/pengine, or wait for one without --once"))
}

/// Only whether it is the same text matters; of a text of megabytes nothing is kept.
fn mark(text: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn read(path: &Path) -> Result<Look, Failure> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).and_then(|bytes| match bytes.starts_with(b"BZh") {
        true => saved::unpack(&bytes),
        false => Ok(bytes),
    });
    let text = bytes.map_err(|error| {
        let failure = Failure::from(error);
        Failure::new(failure.exit, format!("failed to read {name}: {failure}"))
    })?;
    Ok(Look { name, text })
}

/// Files behind the one that was seen last, the oldest first; those of one second by their numbers.
fn list(
    folder: &Path,
    after: Option<&(SystemTime, PathBuf)>,
) -> Result<Vec<(SystemTime, PathBuf)>, Failure> {
    let failed = |error: std::io::Error| {
        let failure = Failure::from(error);
        Failure::new(
            failure.exit,
            format!("failed to read {}: {failure}", folder.display()),
        )
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_cib = path
            .extension()
            .is_some_and(|end| end == "bz2" || end == "xml");
        // What is gone again already needs no look.
        let Ok(data) = path.metadata() else { continue };
        if is_cib && data.is_file() {
            let at = (data.modified().map_err(failed)?, path);
            if after.is_none_or(|seen| order(&at) > order(seen)) {
                found.push(at);
            }
        }
    }
    found.sort_by(|a, b| order(a).cmp(&order(b)));
    Ok(found)
}

fn order(of: &(SystemTime, PathBuf)) -> (SystemTime, u64, &Path) {
    let name =
        of.1.file_stem()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
    let number = name
        .rsplit('-')
        .next()
        .and_then(|number| number.parse().ok());
    (of.0, number.unwrap_or(0), &of.1)
}

/// The words of a command that reads a CIB.
fn command(line: &str) -> Result<Vec<String>, Failure> {
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let Some(program) = words.first().cloned() else {
        return Err(Failure::usage("--command is empty").cure("--command /usr/sbin/cibadmin"));
    };
    if !program.starts_with('/') {
        return Err(Failure::usage(format!("{program} is no full path"))
            .cure("write the whole path, so that it is Pacemaker's program and not ours: /usr/sbin/cibadmin"));
    }
    super::peer::not_us(Path::new(&program))?;
    let name = Path::new(&program)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    if name.starts_with("cibadmin") {
        if words.len() == 1 {
            words.push("--query".to_owned());
        }
        let writes = words[1..]
            .iter()
            .filter(|word| word.starts_with('-'))
            .find(|word| !READING.contains(&word.split('=').next().unwrap_or_default()));
        if let Some(word) = writes {
            return Err(
                Failure::usage(format!("{word} may change the other cluster"))
                    .cure("only queries are made: --command '/usr/sbin/cibadmin --query --local'"),
            );
        }
    }
    Ok(words)
}

fn printed(words: &[String]) -> Result<Vec<u8>, Failure> {
    let ended = run(words, &[])?;
    match ended {
        (0, out) => Ok(out.into_bytes()),
        (code, out) => Err(Failure::new(
            CrmExit::DISCONNECTED,
            format!("{} ended with {code}: {}", words.join(" "), out.trim()),
        )
        .cure("is the cluster running here? A file can be read with --file")),
    }
}

/// Run a program to its end: its exit code, and what it printed (or complained of, when it failed).
pub(super) fn run(words: &[String], env: &[(&str, String)]) -> Result<(i32, String), Failure> {
    let (program, args) = words.split_first().expect("a command has a first word");
    let mut spec = args
        .iter()
        .fold(Spec::new(program).timeout(LIMIT), Spec::arg);
    spec.output_limit = 2 * Limits::CIB.bytes;
    for name in ["PATH", "LANG", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            spec = spec.env(name, value);
        }
    }
    spec = env
        .iter()
        .fold(spec, |spec, (name, value)| spec.env(name, value));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(process::run(spec, std::future::pending()));
    let failed = |why: String| {
        Failure::new(
            CrmExit::OS,
            format!("failed to run {}: {why}", words.join(" ")),
        )
    };
    match ended.how {
        How::Exited(0) => Ok((0, ended.stdout.text())),
        How::Exited(code) => Ok((
            code,
            format!("{}{}", ended.stderr.text(), ended.stdout.text()),
        )),
        How::Signaled(signal) => Err(failed(format!("killed by signal {signal}"))),
        How::TimedOut | How::Stopped => Err(failed(format!("no end within {} s", LIMIT.as_secs()))),
        How::CannotExec(_, why) => {
            Err(failed(why).cure("name the program of Pacemaker by its full path"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reads_is_run() {
        let ok = |line: &str| command(line).map(|words| words.join(" "));
        assert_eq!(
            ok("/opt/x/cibadmin").as_deref(),
            Ok("/opt/x/cibadmin --query")
        );
        assert!(ok("/opt/x/cibadmin -Q --local").is_ok());
        for line in [
            "/opt/x/cibadmin --erase --force",
            "/opt/x/cibadmin -Q -R",
            "cibadmin",
            "",
        ] {
            assert!(ok(line).is_err(), "{line}");
        }
    }

    #[test]
    fn files_of_a_folder_come_in_order_and_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (name, later) in [
            ("pe-input-10.xml", 0),
            ("pe-input-9.xml", 0),
            ("pe-input-1.xml", 5),
            ("x.txt", 0),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, "<cib/>").expect("writable");
            let file = std::fs::File::options()
                .write(true)
                .open(&path)
                .expect("there");
            file.set_modified(time + Duration::from_secs(later))
                .expect("writable");
        }
        let names = |after: Option<&(SystemTime, PathBuf)>| -> Vec<String> {
            let found = list(folder.path(), after).expect("readable");
            found
                .iter()
                .filter_map(|(_, path)| Some(path.file_stem()?.to_string_lossy().into_owned()))
                .collect()
        };
        assert_eq!(names(None), ["pe-input-9", "pe-input-10", "pe-input-1"]);
        let seen = list(folder.path(), None).expect("readable").swap_remove(1);
        assert_eq!(names(Some(&seen)), ["pe-input-1"]);
    }
}
