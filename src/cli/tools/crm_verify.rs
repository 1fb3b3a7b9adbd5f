//! `crm_verify`: what the schema and the policy have against a configuration. There is no second set of rules: what it
//! says is what `crm configure verify` says of everything but the agents, which need not be installed here.

use std::{io::Read, path::PathBuf};

use crate::{
    cib::upgrade,
    cli::{access, cmd::check, failure::Failure},
    terms::CrmExit,
    xml::{self, Element, Limits, write},
};

use super::{Options, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('\0', "help-all", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('q', "quiet", false),
    ('L', "live-check", false),
    ('x', "xml-file", true),
    ('X', "xml-text", true),
    ('p', "xml-pipe", false),
    ('S', "save-xml", true),
    ('\0', "output-as", true),
    ('\0', "output-to", true),
];

/// Where the configuration comes from.
enum Source {
    Live,
    File(PathBuf),
    Text(String),
    Pipe,
}

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let (mut source, mut save) = (None, None);
    let (mut verbose, mut quiet) = (false, false);
    while let Some((name, value)) = options.next()? {
        match name {
            "help" | "help-all" => {
                return super::help(tool, "crm_verify", "check a configuration", OPTIONS);
            }
            "version" => return super::version(tool),
            "verbose" => verbose = true,
            "quiet" => quiet = true,
            "live-check" => source = Some(Source::Live),
            "xml-file" => source = Some(Source::File(value.into())),
            "xml-text" => source = Some(Source::Text(value)),
            "xml-pipe" => source = Some(Source::Pipe),
            "save-xml" => save = Some(PathBuf::from(value)),
            "output-as" => tool.output_as(&value)?,
            "output-to" => tool.output_to(&value)?,
            _ => {}
        }
    }
    let Some(source) = source else {
        return Err(Failure::usage("there is nothing to check")
            .cure("say where it is: --live-check, --xml-file, --xml-text or --xml-pipe"));
    };
    let live = matches!(source, Source::Live) && tool.access.live();
    let root = read(tool, source)?;
    if let Some(path) = &save {
        access::store(path, &write::pretty(&root))?;
    }
    // The cluster would do the same before it looks.
    let root = upgrade::todays_words(&root).unwrap_or(root);
    let found = check::without_agents(&root, !live);
    if found.is_empty() {
        return Ok(());
    }
    if tool.xml() || (verbose && !quiet) {
        for (error, text) in &found {
            let level = if *error { "error" } else { "warning" };
            tool.error(&format!("{level}: {text}"));
        }
        tool.error("error: CIB did not pass schema validation");
    }
    if !quiet {
        tool.error("Configuration invalid");
        if !(verbose || tool.xml()) {
            tool.error("(-V says what is wrong)");
        }
    }
    Err(Failure::new(CrmExit::CONFIG, ""))
}

fn read(tool: &mut Tool, source: Source) -> Result<Element, Failure> {
    let (name, bytes) = match source {
        Source::Live => return Ok(tool.access.deciding()?.into_root()),
        Source::Text(text) => ("the text".to_owned(), text.into_bytes()),
        Source::File(path) => {
            let name = path.display().to_string();
            let bytes = std::fs::read(&path).map_err(|error| {
                let text = format!("failed to read {name}: {error}");
                Failure::new(CrmExit::NO_INPUT, text)
            })?;
            (name, bytes)
        }
        Source::Pipe => {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes)?;
            ("standard input".to_owned(), bytes)
        }
    };
    let mut root = xml::parse(&bytes, &Limits::STORED)
        .map_err(|error| Failure::new(CrmExit::DATA, format!("{name}: {error}")))?;
    if !root.is("cib") {
        let text = format!("{name} holds a <{}> and no <cib>", root.tag());
        return Err(Failure::new(CrmExit::DATA, text));
    }
    // What is not there is empty, as where a daemon reads it.
    root.child_or_new("configuration");
    root.child_or_new("status");
    Ok(root)
}
