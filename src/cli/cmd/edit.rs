//! `crm configure edit`: objects in an editor, read back when it ends.

use crate::{
    cli::{
        failure::Failure,
        language::{Mode, parse_all},
        shell::Shell,
    },
    terms::CrmExit,
};

use super::configure;

/// Edit these objects, or all.
pub(super) fn edit(shell: &mut Shell, ids: &[String]) -> Result<(), Failure> {
    let session = shell.session()?;
    if let Some(missing) = ids.iter().find(|id| session.document.find(id).is_none()) {
        return Err(
            Failure::new(CrmExit::NO_SUCH, format!("there is no object {missing:?}"))
                .cure("crm configure show lists all objects"),
        );
    }
    let text = match ids {
        [] => session.document.show(|_, _| true),
        ids => ids
            .iter()
            .filter_map(|id| session.document.text(id))
            .map(|text| text + "\n")
            .collect(),
    };
    let Some(new) = edited(&text)? else {
        return shell.say("nothing changed");
    };
    let whole = ids.is_empty();
    configure::change(shell, |session| {
        if whole {
            let wrong = |error| Failure::syntax(error, &new, CrmExit::CONFIG);
            let objects = parse_all(&new).map_err(wrong)?;
            let mut changed = session.document.clone();
            changed.replace_all(objects).map_err(wrong)?;
            session.document = changed;
            Ok(())
        } else {
            configure::put(&mut session.document, &new, Mode::Define)
        }
    })
}

/// What an editor made of a text; nothing if it is the same.
fn edited(text: &str) -> Result<Option<String>, Failure> {
    let folder = std::env::temp_dir().join(format!("crm-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder)?;
    let file = folder.join("configuration.crm");
    let result = (|| {
        super::super::access::store(&file, text)?;
        let editor = std::env::var("EDITOR")
            .or_else(|_| std::env::var("VISUAL"))
            .unwrap_or_else(|_| "vi".to_owned());
        let mut words = editor.split_whitespace();
        #[expect(
            clippy::disallowed_methods,
            reason = "an editor needs the terminal, which crate::process does not give away"
        )]
        let ended = std::process::Command::new(words.next().unwrap_or("vi"))
            .args(words)
            .arg(&file)
            .status()
            .map_err(|error| {
                Failure::new(
                    CrmExit::OS_FILE,
                    format!("failed to run the editor {editor:?}: {error}"),
                )
                .cure("set EDITOR")
            })?;
        if !ended.success() {
            return Err(Failure::new(
                CrmExit::ERROR,
                format!("the editor {editor:?} failed; nothing was changed"),
            ));
        }
        let new = std::fs::read_to_string(&file)?;
        Ok((new != text).then_some(new))
    })();
    // A left-over copy in a private folder does no harm.
    let _ = std::fs::remove_dir_all(&folder);
    result
}
