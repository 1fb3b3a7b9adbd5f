//! Pacemaker's daemons as clients start them: for their metadata and their version. We are one program, so none of them is
//! a server; whoever starts one as such is told what to start.

use crate::{
    cib::config::{
        daemon::Daemon,
        device,
        options::{ClusterOption, Kind},
    },
    cli::{failure::Failure, show::xml::text_element},
    terms::FEATURE_SET,
    xml::{Element, write},
};

use super::{Options, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('h', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('F', "features", false),
];

/// `pacemaker-attrd`.
pub fn attrd(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let none = std::iter::empty();
    run(
        tool,
        args,
        "pacemaker-attrd",
        "keeps attributes of nodes",
        none,
    )
}

/// `pacemaker-execd`.
pub fn execd(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let none = std::iter::empty();
    run(tool, args, "pacemaker-execd", "runs agents", none)
}

/// `pacemaker-based`.
pub fn based(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let what = "cluster options of what keeps the CIB";
    run(tool, args, "pacemaker-based", what, Daemon::Based.options())
}

/// `pacemaker-controld`.
pub fn controld(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let what = "cluster options of what joins nodes and carries out plans";
    run(
        tool,
        args,
        "pacemaker-controld",
        what,
        Daemon::Controld.options(),
    )
}

/// `pacemaker-fenced`.
pub fn fenced(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let what = "parameters that every fence device has";
    run(
        tool,
        args,
        "pacemaker-fenced",
        what,
        device::PARAMETERS.iter(),
    )
}

/// `pacemaker-schedulerd`.
pub fn schedulerd(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let what = "cluster options of what decides";
    run(
        tool,
        args,
        "pacemaker-schedulerd",
        what,
        Daemon::Schedulerd.options(),
    )
}

fn run(
    tool: &mut Tool,
    args: &[String],
    name: &str,
    what: &str,
    known: impl Iterator<Item = &'static ClusterOption>,
) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    while let Some((option, _)) = options.next()? {
        match option {
            "help" => return super::help(tool, name, what, OPTIONS),
            "version" => return super::version(tool),
            "features" => return features(tool),
            _ => {}
        }
    }
    match options.free.first().map(String::as_str) {
        Some("metadata") => {
            let element = metadata(name, what, known);
            tool.line("<?xml version=\"1.0\"?>")?;
            tool.line(write::pretty(&element).trim_end())
        }
        // Clients read the third word.
        Some("version") => tool.line(&format!(
            "CRM Version: 3.0.2 (Systole {})",
            env!("CARGO_PKG_VERSION")
        )),
        _ => Err(
            Failure::usage(format!("{name} is no server of its own here"))
                .cure("start `systole daemon`; `metadata` and `version` are answered"),
        ),
    }
}

/// `pacemakerd`.
pub fn pacemakerd(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    run(
        tool,
        args,
        "pacemakerd",
        "shows version and features",
        std::iter::empty(),
    )
}

/// What this can do, by the words that clients look for. They are facts of the build.
fn features(tool: &mut Tool) -> Result<(), Failure> {
    super::version(tool)?;
    tool.line(&format!(
        " Supporting v{FEATURE_SET}: agent-manpages monotonic remote systemd"
    ))
}

/// Options as the metadata of an agent, in the words that agents have for types.
fn metadata(
    name: &str,
    what: &str,
    options: impl Iterator<Item = &'static ClusterOption>,
) -> Element {
    let mut parameters = Element::new("parameters");
    for option in options {
        parameters.push(parameter(option.name, option, option.help));
        if let Some(old) = option.old_name {
            let help = format!("Deprecated, use {} instead", option.name);
            parameters.push(parameter(old, option, &help));
        }
    }
    Element::new("resource-agent")
        .with("name", name)
        .with_child(text_element("version", "1.1"))
        .with_child(text_element("longdesc", what).with("lang", "en"))
        .with_child(text_element("shortdesc", what).with("lang", "en"))
        .with_child(parameters)
}

fn parameter(name: &str, option: &ClusterOption, help: &str) -> Element {
    let kind = match option.kind {
        Kind::Boolean => "boolean",
        Kind::Integer | Kind::Count | Kind::Score => "integer",
        Kind::Duration | Kind::Timeout => "time",
        Kind::Percentage => "percentage",
        Kind::Text | Kind::Version => "string",
        Kind::Choice(_) => "select",
    };
    let mut content = Element::new("content")
        .with("type", kind)
        .with_some("default", option.default);
    if let Kind::Choice(words) = option.kind {
        for word in words {
            content.push(Element::new("option").with("value", word));
        }
    }
    Element::new("parameter")
        .with("name", name)
        .with_child(text_element("longdesc", help).with("lang", "en"))
        .with_child(text_element("shortdesc", help).with("lang", "en"))
        .with_child(content)
}
