//! Pacemaker's own `crm_simulate`, asked about a copy of the CIB. It reads that copy and nothing else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::cli::cmd::simulate;
use crate::cli::{access, failure::Failure, watch::Answer};
use crate::terms::CrmExit;

use super::source::run;

/// Where it usually is.
const USUAL: &str = "/usr/sbin/crm_simulate";

/// What is asked for. The older series leaves headings out when it shows scores, so they are a run of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Summary,
    Scores,
}

/// The program.
pub(super) struct Peer {
    program: PathBuf,
    /// Of series 2, from which today's semantics differ.
    older: bool,
    /// Private, and gone with us.
    folder: Folder,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // A left-over copy in a private folder does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A program that is a link to this one says nothing about Pacemaker.
pub(super) fn not_us(program: &Path) -> Result<(), Failure> {
    let same = |a: PathBuf, b: PathBuf| a == b;
    let (Ok(it), Ok(us)) = (
        program.canonicalize(),
        std::env::current_exe().and_then(|us| us.canonicalize()),
    ) else {
        return Ok(());
    };
    if same(it, us) {
        return Err(
            Failure::usage(format!("{} is a link to this program", program.display()))
                .cure("name Pacemaker's own program"),
        );
    }
    Ok(())
}

impl Peer {
    /// The one that was named, or the usual one if it is there and is not ours.
    pub(super) fn find(named: Option<&Path>, none: bool) -> Result<Option<Self>, Failure> {
        if none {
            return Ok(None);
        }
        let usual = Path::new(USUAL);
        let program = match named {
            Some(program) => {
                not_us(program)?;
                program
            }
            None if usual.exists() && not_us(usual).is_ok() => usual,
            None => return Ok(None),
        };
        let words = [program.display().to_string(), "--version".to_owned()];
        let (code, text) = run(&words, &[])?;
        let version = text
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        if code != 0 || !text.starts_with("Pacemaker") {
            return Err(Failure::new(
                CrmExit::USAGE,
                format!("{} is no crm_simulate of Pacemaker", words[0]),
            )
            .cure("name it with --peer, or compare with what the cluster does next: --no-peer"));
        }
        let folder = std::env::temp_dir().join(format!("systole-watch-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder)?;
        Ok(Some(Peer {
            program: program.to_owned(),
            older: version.starts_with("2."),
            folder: Folder(folder),
        }))
    }

    pub(super) fn is_older(&self) -> bool {
        self.older
    }

    /// A copy of the CIB that both read.
    pub(super) fn copy(&self, text: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.folder.0.join("cib.xml");
        let text = String::from_utf8_lossy(text);
        access::store(&path, &text)?;
        Ok(path)
    }

    /// What it says about the copy.
    pub(super) fn answer(&self, copy: &Path, what: What) -> Result<Answer, Failure> {
        let mut words = vec![self.program.display().to_string()];
        words.extend(
            options(copy, what)
                .iter()
                .map(|word| word.to_string_lossy().into_owned()),
        );
        // Whatever it might want to do to a CIB, there is only the copy.
        let env = [
            ("CIB_file", copy.display().to_string()),
            ("CIB_shadow_dir", self.folder.0.display().to_string()),
        ];
        let (code, text) = run(&words, &env)?;
        if code != 0 {
            return Err(Failure::new(
                CrmExit::DATA,
                format!(
                    "{} does not read this CIB ({code}): {}",
                    words[0],
                    text.trim()
                ),
            )
            .cure("compare with what the cluster does next: --no-peer"));
        }
        Ok(of(&text, what))
    }
}

/// What we say, by the same way.
pub(super) fn ours(copy: &Path, what: What) -> Answer {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    simulate::run(&options(copy, what), &mut out, &mut errors);
    of(&String::from_utf8_lossy(&out), what)
}

fn options(copy: &Path, what: What) -> Vec<OsString> {
    let run = if what == What::Scores { "-sQR" } else { "-R" };
    vec!["-x".into(), copy.into(), run.into()]
}

fn of(text: &str, what: What) -> Answer {
    match what {
        What::Summary => Answer {
            summary: Answer::summary_of(text),
            ..Answer::default()
        },
        What::Scores => Answer {
            scores: Answer::scores_of(text),
            ..Answer::default()
        },
    }
}
