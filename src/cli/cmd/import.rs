//! `crm import`: what other programs were configured for, as a configuration of ours, with a word on every line.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{
    cli::{
        args,
        failure::Failure,
        import::{self, Broken, Import, Source, Surroundings},
        saved,
        shell::Shell,
    },
    rpc::Paths,
    terms::CrmExit,
    xml::Limits,
};

/// No configuration of a person is longer; a CIB may be.
const INCLUDED: u64 = 16 << 20;

/// Run it.
pub fn run(shell: &mut Shell, import: &args::Import) -> Result<(), Failure> {
    let how = &import.how;
    let applies = import.apply || how.dry_run;
    if !applies && (how.yes || how.ask || how.safe || how.confirm_within.is_some()) {
        return Err(Failure::usage("nothing is committed without --apply")
            .cure("add --apply, or leave --yes, --ask, --safe and --confirm-within out"));
    }
    let mut sources = Vec::new();
    for word in &import.files {
        sources.push(source(word, import.kind)?);
    }
    let here = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let alerts = Paths::from_env().data.join("agents/alert");
    let around = Surroundings {
        here: here.trim(),
        alerts: &alerts.to_string_lossy(),
        include: &included,
    };
    let read = import::import(&sources, &around).map_err(wrong)?;
    if applies {
        return apply(shell, import, read);
    }
    let text = read.text().map_err(wrong)?;
    if how.json {
        shell.say(&format!("{:#}", as_json(&read, &text)))
    } else if import.quiet {
        shell.say(&text)
    } else {
        shell.say(&format!("{}\n{text}", as_comments(&read)))
    }
}

/// The same way into the cluster that `crm configure load` goes.
fn apply(shell: &mut Shell, words: &args::Import, mut read: Import) -> Result<(), Failure> {
    let nodes = shell.session()?.document.nodes();
    for node in read.keep_nodes(&nodes) {
        shell.warn(&format!(
            "{node} is no node of this cluster yet, and what is said of it is left out; let it join, and import again"
        ));
    }
    if !words.how.json && !words.quiet {
        shell.say(&as_comments(&read))?;
    }
    let session = shell.session()?;
    read.put_into(&mut session.document).map_err(wrong)?;
    if shell.deferred {
        return Ok(());
    }
    super::commit::commit(shell, &words.how, false)
}

fn wrong(broken: Broken) -> Failure {
    let failure = Failure::new(CrmExit::DATA, broken.to_string());
    match broken.cure {
        Some(cure) => failure.cure(cure),
        None => failure,
    }
}

/// `[NODE=]FILE`. A file that is there is one, whatever its name.
fn source(word: &str, kind: Option<import::Kind>) -> Result<Source, Failure> {
    let (node, file) = match word.split_once('=') {
        Some((node, file)) if !Path::new(word).exists() => (Some(node.to_owned()), file),
        _ => (None, word),
    };
    if node
        .as_deref()
        .is_some_and(|node| node.is_empty() || node.contains(char::is_whitespace))
    {
        return Err(
            Failure::usage(format!("{word}: there is no node in front of the ="))
                .cure("write NODE=FILE, for example lb1=keepalived.conf"),
        );
    }
    let (name, bytes) = if file == "-" {
        let mut bytes = Vec::new();
        let most = Limits::STORED.bytes as u64 + 1;
        let read = std::io::stdin().lock().take(most).read_to_end(&mut bytes);
        ("standard input", read.map(|_| bytes))
    } else {
        (file, std::fs::read(file))
    };
    let bytes = bytes
        .and_then(|bytes| {
            if bytes.starts_with(b"BZh") {
                saved::unpack(&bytes)
            } else {
                Ok(bytes)
            }
        })
        .map_err(|error| {
            let failure = Failure::from(error);
            Failure::new(failure.exit, format!("failed to read {name}: {failure}"))
        })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        Failure::new(
            CrmExit::DATA,
            format!("{name}:{}: this is not UTF-8 text", line + 1),
        )
        .cure("convert it: iconv -f latin1 -t utf-8")
    })?;
    Ok(Source {
        file: name.to_owned(),
        text,
        kind,
        node,
    })
}

/// The files that an include line of a file means; paths are relative to that file.
fn included(from: &str, pattern: &str) -> Result<Vec<(String, String)>, String> {
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    let pattern = folder.join(pattern);
    let found = glob::glob(&pattern.to_string_lossy()).map_err(|error| error.to_string())?;
    let paths: Vec<PathBuf> = found
        .filter_map(Result::ok)
        .filter(|path| path.is_file())
        .collect();
    if paths.is_empty() && !pattern.to_string_lossy().contains(['*', '?', '[']) {
        return Err(format!("{} is not there", pattern.display()));
    }
    let text = |path: PathBuf| {
        let name = path.display().to_string();
        let mut text = String::new();
        let read = std::fs::File::open(&path)
            .and_then(|file| file.take(INCLUDED).read_to_string(&mut text));
        match read {
            Ok(_) => Ok((name, text)),
            Err(error) => Err(format!("{name}: {error}")),
        }
    };
    paths.into_iter().map(text).collect()
}

/// What is said beside the configuration, as comments of its language.
fn as_comments(read: &Import) -> String {
    let mut out = String::from("# What became of each line:\n");
    for note in &read.notes {
        // What was quoted may hold a line's end, which would end the comment.
        out.push_str(&format!(
            "#   {}\n",
            note.to_string().replace(['\n', '\r'], " ")
        ));
    }
    if !read.steps.is_empty() {
        out.push_str("#\n# To be typed before it, once:\n");
        for step in &read.steps {
            out.push_str(&format!("#   {step}\n"));
        }
    }
    out
}

fn as_json(read: &Import, text: &str) -> Value {
    let note = |note: &import::Note| {
        json!({
            "file": note.at.file,
            "line": note.at.line,
            "what": note.what,
            "verdict": note.verdict.word(),
            "text": note.verdict.text(),
        })
    };
    json!({
        "configuration": text,
        "notes": read.notes.iter().map(note).collect::<Vec<_>>(),
        "steps": read.steps,
    })
}
