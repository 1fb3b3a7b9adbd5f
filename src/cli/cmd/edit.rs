//! `crm configure edit`: objects in an editor, read back when it ends.

use std::path::Path;

use crate::{
    cli::{
        access::store,
        failure::Failure,
        language::{Mode, parse_all},
        shell::Shell,
        waiting::Elsewhere,
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
    let folder = std::env::temp_dir().join(format!("crm-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder)?;
    let file = folder.join("configuration.crm");
    let result = store(&file, &text).and_then(|()| again_and_again(shell, ids, &text, &file));
    // What somebody wrote is not thrown away because of a mistake in it.
    if result.is_ok() || std::fs::read_to_string(&file).is_ok_and(|left| left == text) {
        // A left-over copy in a private folder does no harm.
        let _ = std::fs::remove_dir_all(&folder);
        return result;
    }
    result.map_err(|failure| {
        let kept = format!("what you wrote is in {}", file.display());
        let help = match &failure.help {
            Some(help) => format!("{help}; {kept}"),
            None => kept,
        };
        failure.cure(help)
    })
}

/// Until it can be read, or the person has enough.
fn again_and_again(
    shell: &mut Shell,
    ids: &[String],
    text: &str,
    file: &Path,
) -> Result<(), Failure> {
    loop {
        edited(file)?;
        let new = std::fs::read_to_string(file)?;
        if new == text {
            return shell.say("nothing changed");
        }
        match taken(shell, ids, &new) {
            Err(failure) if shell.person && failure.source.is_some() => {
                shell.fail(&failure);
                if !shell.ask("Edit it again?")? {
                    return Err(Failure::new(failure.exit, "nothing was changed"));
                }
            }
            result => return result,
        }
    }
}

fn taken(shell: &mut Shell, ids: &[String], new: &str) -> Result<(), Failure> {
    configure::change(shell, |session| {
        if !ids.is_empty() {
            return configure::put(&mut session.document, new, Mode::Define);
        }
        let wrong = |error| Failure::syntax(error, new, CrmExit::CONFIG);
        let objects = parse_all(new).map_err(wrong)?;
        let mut changed = session.document.clone();
        changed.replace_all(objects).map_err(wrong)?;
        session.document = changed;
        Ok(())
    })
}

/// Let an editor have the file.
fn edited(file: &Path) -> Result<(), Failure> {
    let editor = std::env::var("EDITOR")
        .or_else(|_| std::env::var("VISUAL"))
        .unwrap_or_else(|_| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let _elsewhere = Elsewhere::begin();
    #[expect(
        clippy::disallowed_methods,
        reason = "an editor needs the terminal, which crate::process does not give away"
    )]
    let ended = std::process::Command::new(words.next().unwrap_or("vi"))
        .args(words)
        .arg(file)
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
    Ok(())
}
