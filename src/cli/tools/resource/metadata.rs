//! `--list-options`: meta attributes of primitives, and parameters that the fencer reads of any fence device.

use crate::{
    cli::{failure::Failure, show::xml::text_element, tools::Tool},
    xml::Element,
};

/// An option: for whom, its name, the type of its values, their choice, the default, and what it is for.
struct Opt {
    advanced: bool,
    name: &'static str,
    kind: &'static str,
    choice: &'static [&'static str],
    default: Option<&'static str>,
    help: &'static str,
}

const fn opt(
    name: &'static str,
    kind: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> Opt {
    Opt {
        advanced: false,
        name,
        kind,
        choice: &[],
        default,
        help,
    }
}

const fn choice(
    name: &'static str,
    choice: &'static [&'static str],
    default: Option<&'static str>,
    help: &'static str,
) -> Opt {
    Opt {
        advanced: false,
        name,
        kind: "select",
        choice,
        default,
        help,
    }
}

const fn advanced(opt: Opt) -> Opt {
    Opt {
        advanced: true,
        ..opt
    }
}

/// Names of the meta attributes of primitives.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PRIMITIVE.iter().map(|it| it.name)
}

const PRIMITIVE: &[Opt] = &[
    opt(
        "priority",
        "score",
        Some("0"),
        "resources with more of it are placed first, and stopped last",
    ),
    opt(
        "critical",
        "boolean",
        Some("true"),
        "what it is colocated with may move because of it",
    ),
    choice(
        "target-role",
        &["Stopped", "Started", "Unpromoted", "Promoted"],
        Some("Started"),
        "the most that the cluster may make of it",
    ),
    opt(
        "is-managed",
        "boolean",
        Some("true"),
        "the cluster may start and stop it",
    ),
    opt(
        "maintenance",
        "boolean",
        Some("false"),
        "neither managed nor monitored",
    ),
    opt(
        "resource-stickiness",
        "score",
        None,
        "how much it prefers to stay where it is",
    ),
    choice(
        "requires",
        &["nothing", "quorum", "fencing", "unfencing"],
        None,
        "what must be given before it may start",
    ),
    opt(
        "migration-threshold",
        "score",
        Some("INFINITY"),
        "after so many failures it leaves the node",
    ),
    opt(
        "failure-timeout",
        "duration",
        Some("0"),
        "failures are forgotten after this time; 0 is never",
    ),
    choice(
        "multiple-active",
        &["block", "stop_only", "stop_start", "stop_unexpected"],
        Some("stop_start"),
        "what is done when it is found on several nodes",
    ),
    opt(
        "allow-migrate",
        "boolean",
        None,
        "it can move to another node without a stop",
    ),
    opt(
        "allow-unhealthy-nodes",
        "boolean",
        Some("false"),
        "it may stay on a node that is not healthy",
    ),
    opt(
        "container-attribute-target",
        "string",
        None,
        "whose attributes its rules see: those of the guest, or of its host",
    ),
    opt(
        "remote-node",
        "string",
        None,
        "name of the node that runs inside of it",
    ),
    opt(
        "remote-addr",
        "string",
        None,
        "address of that node, if it is not its name",
    ),
    opt("remote-port", "port", Some("3121"), "port of that node"),
    opt(
        "remote-connect-timeout",
        "timeout",
        Some("60s"),
        "how long it may take to reach that node",
    ),
    opt(
        "remote-allow-migrate",
        "boolean",
        Some("true"),
        "the connection to that node can move without a stop",
    ),
];

const FENCING: &[Opt] = &[
    advanced(opt(
        "pcmk_host_argument",
        "string",
        None,
        "parameter in which the agent wants the name of the node",
    )),
    opt(
        "pcmk_host_map",
        "string",
        None,
        "names of nodes, and what the device calls them",
    ),
    opt(
        "pcmk_host_list",
        "string",
        None,
        "nodes that the device can fence",
    ),
    choice(
        "pcmk_host_check",
        &["dynamic-list", "static-list", "status", "none"],
        None,
        "how it is found out which nodes the device can fence",
    ),
    opt(
        "pcmk_delay_max",
        "duration",
        Some("0s"),
        "the longest random delay before fencing",
    ),
    opt(
        "pcmk_delay_base",
        "string",
        Some("0s"),
        "the delay before fencing, for all nodes or node by node",
    ),
    opt(
        "pcmk_action_limit",
        "integer",
        Some("1"),
        "how many actions the device does at once; -1 is any number",
    ),
    advanced(opt(
        "pcmk_reboot_action",
        "string",
        Some("reboot"),
        "what the agent calls `reboot`",
    )),
    advanced(opt(
        "pcmk_reboot_timeout",
        "timeout",
        Some("60s"),
        "how long `reboot` may take",
    )),
    advanced(opt(
        "pcmk_reboot_retries",
        "integer",
        Some("2"),
        "how often `reboot` is tried within its time",
    )),
    advanced(opt(
        "pcmk_off_action",
        "string",
        Some("off"),
        "what the agent calls `off`",
    )),
    advanced(opt(
        "pcmk_off_timeout",
        "timeout",
        Some("60s"),
        "how long `off` may take",
    )),
    advanced(opt(
        "pcmk_off_retries",
        "integer",
        Some("2"),
        "how often `off` is tried within its time",
    )),
    advanced(opt(
        "pcmk_on_action",
        "string",
        Some("on"),
        "what the agent calls `on`",
    )),
    advanced(opt(
        "pcmk_on_timeout",
        "timeout",
        Some("60s"),
        "how long `on` may take",
    )),
    advanced(opt(
        "pcmk_on_retries",
        "integer",
        Some("2"),
        "how often `on` is tried within its time",
    )),
    advanced(opt(
        "pcmk_list_action",
        "string",
        Some("list"),
        "what the agent calls `list`",
    )),
    advanced(opt(
        "pcmk_list_timeout",
        "timeout",
        Some("60s"),
        "how long `list` may take",
    )),
    advanced(opt(
        "pcmk_list_retries",
        "integer",
        Some("2"),
        "how often `list` is tried within its time",
    )),
    advanced(opt(
        "pcmk_monitor_action",
        "string",
        Some("monitor"),
        "what the agent calls `monitor`",
    )),
    advanced(opt(
        "pcmk_monitor_timeout",
        "timeout",
        Some("60s"),
        "how long `monitor` may take",
    )),
    advanced(opt(
        "pcmk_monitor_retries",
        "integer",
        Some("2"),
        "how often `monitor` is tried within its time",
    )),
    advanced(opt(
        "pcmk_status_action",
        "string",
        Some("status"),
        "what the agent calls `status`",
    )),
    advanced(opt(
        "pcmk_status_timeout",
        "timeout",
        Some("60s"),
        "how long `status` may take",
    )),
    advanced(opt(
        "pcmk_status_retries",
        "integer",
        Some("2"),
        "how often `status` is tried within its time",
    )),
];

/// A name, a title, and the options.
type List = (&'static str, &'static str, &'static [Opt]);

fn list(kind: &str) -> Option<List> {
    match kind {
        "primitive" => Some((
            "primitive-meta",
            "Meta attributes of a primitive resource",
            PRIMITIVE,
        )),
        "fencing" => Some((
            "fence-attributes",
            "Parameters of any fence device",
            FENCING,
        )),
        _ => None,
    }
}

/// Refuse a kind of which there is no list.
pub(super) fn check_kind(kind: &str) -> Result<(), Failure> {
    known(kind).map(|_| ())
}

fn known(kind: &str) -> Result<List, Failure> {
    list(kind).ok_or_else(|| {
        Failure::usage(format!("there are no options of the kind '{kind}'"))
            .cure("--list-options=primitive or fencing")
    })
}

/// List one kind of them. Lines are for what everybody may need, unless `all` is asked for; the document holds all.
pub(super) fn options(tool: &mut Tool, kind: &str, all: bool) -> Result<(), Failure> {
    let (name, title, list) = known(kind)?;
    tool.line(title)?;
    tool.line("")?;
    for opt in list.iter().filter(|opt| !opt.advanced) {
        line(tool, opt)?;
    }
    if all && list.iter().any(|opt| opt.advanced) {
        tool.line("ADVANCED OPTIONS:\n")?;
        for opt in list.iter().filter(|opt| opt.advanced) {
            line(tool, opt)?;
        }
    }
    let parameters = list.iter().map(parameter);
    tool.element(
        Element::new("resource-agent")
            .with("name", name)
            .with("version", "3.0.2")
            .with_child(text_element("version", "1.1"))
            .with_child(text_element("longdesc", title).with("lang", "en"))
            .with_child(text_element("shortdesc", title).with("lang", "en"))
            .with_child(Element::new("parameters").with_children(parameters)),
    );
    Ok(())
}

fn line(tool: &mut Tool, opt: &Opt) -> Result<(), Failure> {
    let values = if opt.choice.is_empty() {
        match opt.default {
            Some(default) => format!("{} (default: \"{default}\")", opt.kind),
            None => format!("{} (no default)", opt.kind),
        }
    } else {
        let words = opt.choice.iter().map(|word| {
            let default = if opt.default == Some(*word) {
                " (default)"
            } else {
                ""
            };
            format!("\"{word}\"{default}")
        });
        words.collect::<Vec<_>>().join(", ")
    };
    tool.line(&format!("  * {}: {}", opt.name, opt.help))?;
    tool.line(&format!("    * Possible values: {values}\n"))
}

fn parameter(opt: &Opt) -> Element {
    let content = Element::new("content")
        .with("type", opt.kind)
        .with_some("default", opt.default)
        .with_children(
            opt.choice
                .iter()
                .map(|word| Element::new("option").with("value", word)),
        );
    Element::new("parameter")
        .with("name", opt.name)
        .with("advanced", if opt.advanced { "1" } else { "0" })
        .with("generated", "0")
        .with_child(text_element("longdesc", opt.help).with("lang", "en"))
        .with_child(text_element("shortdesc", opt.help).with("lang", "en"))
        .with_child(content)
}
