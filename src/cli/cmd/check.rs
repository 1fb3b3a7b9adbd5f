//! What can be known to be wrong before anything is written: agents that do not exist, parameters that are missing or
//! unknown to the agent, nodes that nobody has heard of, options with unreadable values.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    agents,
    cib::{self, Cib, config},
    cli::{failure::Failure, language::meant, shell::Shell},
    executor::{self, Metadata, Parameter, agent::Place},
    policy::{constraints, report::Warning},
    terms::{AgentName, CrmExit, Score, span, text},
    xml::Element,
};

/// Check what differs between two CIBs. Warnings are said, errors refuse (unless forced where that makes sense).
pub(super) fn changes(
    shell: &mut Shell,
    old: &Element,
    new: &Element,
    force: bool,
) -> Result<(), Failure> {
    // Thousands of elements are looked up, so each is found at once.
    let mut known: BTreeMap<&str, &Element> = BTreeMap::new();
    for element in old.descendants() {
        if let Some(id) = element.id() {
            known.entry(id).or_insert(element);
        }
    }
    let changed = |element: &Element| -> bool {
        let id = element.id();
        id.is_none_or(|id| known.get(id).copied() != Some(element))
    };
    let mut findings = schema(new, Some(old), true);
    findings.extend(find(new, &changed, &mut Agents::default()));
    tell(shell, findings, force)
}

/// Check everything, and hear the policy's warnings too.
pub(super) fn all(shell: &mut Shell, root: &Element) -> Result<(), Failure> {
    // Lines of what the daemon sent are lines of no text that anybody has seen.
    let mut findings = schema(root, None, !shell.access.live());
    findings.extend(find(root, &|_| true, &mut Agents::default()));
    let facts = super::facts_of(&Cib::new(root.clone()));
    findings.extend(
        facts
            .warnings
            .iter()
            .map(|warning| Finding::warning(warning.text.clone())),
    );
    tell(shell, findings, false)
}

/// What the schema and the policy have against a CIB, without asking anything on this machine. Each is an error or a
/// warning, in the order in which they are found.
pub(crate) fn without_agents(root: &Element, lines: bool) -> Vec<(bool, String)> {
    let mut found: Vec<(bool, String)> = Vec::new();
    let schema = schema(root, None, lines).into_iter();
    found.extend(schema.map(|finding| (true, finding.text)));
    let facts = super::facts_of(&Cib::new(root.clone()));
    let of = |warning: &Warning| (warning.invalid, warning.text.clone());
    found.extend(facts.warnings.iter().map(of));
    if facts.options.fencing_enabled && !facts.fence_device_known {
        let text = "Resource start-up disabled since no fencing resources have been defined. \
                    Either configure some or disable fencing with the fencing-enabled option. \
                    NOTE: Clusters with shared data need fencing to ensure data integrity.";
        found.push((true, text.to_owned()));
    }
    found.extend(constraints::read(&facts, root).warnings.iter().map(of));
    let unclean = facts.node_order.iter().copied();
    let unclean = unclean.filter(|node| facts.nodes[*node].unclean);
    found.extend(
        unclean
            .filter(|node| !facts.can_fence(Some(*node)))
            .map(|node| {
                let name = &facts.nodes[node].name;
                (
                    false,
                    format!("Node {name} is unclean but cannot be fenced"),
                )
            }),
    );
    found
}

fn tell(shell: &mut Shell, findings: Vec<Finding>, force: bool) -> Result<(), Failure> {
    let mut first: Option<Failure> = None;
    for finding in findings {
        match finding.wrong {
            Some(exit) if !(force || shell.force) => {
                let failure = Failure {
                    exit,
                    message: finding.text,
                    help: finding.cure,
                    source: None,
                };
                match &first {
                    None => first = Some(failure),
                    Some(_) => failure.tell(&mut *shell.errors, shell.colour),
                }
            }
            _ => shell.warn(&finding.text),
        }
    }
    first.map_or(Ok(()), Err)
}

struct Finding {
    wrong: Option<CrmExit>,
    text: String,
    cure: Option<String>,
}

impl Finding {
    fn warning(text: String) -> Self {
        Finding {
            wrong: None,
            text,
            cure: None,
        }
    }

    fn wrong(text: String, cure: String) -> Self {
        Finding {
            wrong: Some(CrmExit::CONFIG),
            text,
            cure: Some(cure),
        }
    }
}

/// What the schema does not allow. What was wrong before is not held against a change.
fn schema(root: &Element, old: Option<&Element>, lines: bool) -> Vec<Finding> {
    let bare = |root: &Element| {
        let mut found = cib::schema::check(&Cib::new(root.clone()));
        found.iter_mut().for_each(|violation| violation.line = 0);
        found
    };
    let known = old.map(bare).unwrap_or_default();
    let mut found = cib::schema::check(&Cib::new(root.clone()));
    found.retain(|violation| {
        let mut violation = violation.clone();
        violation.line = 0;
        !known.contains(&violation)
    });
    found
        .into_iter()
        .map(|mut violation| {
            if !lines {
                violation.line = 0;
            }
            Finding {
                wrong: Some(CrmExit::CONFIG),
                text: violation.to_string(),
                cure: None,
            }
        })
        .collect()
}

/// Cluster options that nobody knows or that have an unreadable value.
fn options(configuration: &Element, changed: &dyn Fn(&Element) -> bool, found: &mut Vec<Finding>) {
    let pairs = configuration
        .child("crm_config")
        .into_iter()
        .flat_map(|section| section.children_named("cluster_property_set"))
        .flat_map(|set| set.children_named("nvpair"))
        .filter(|pair| changed(pair));
    for pair in pairs {
        let (Some(name), Some(value)) = (pair.get("name"), pair.get("value")) else {
            continue;
        };
        match config::options::find(name) {
            Some(option) if !option.kind.accepts(value) => found.push(Finding::wrong(
                format!("the cluster option {name} can't be {value:?}"),
                format!("it is {}", option.kind.describe()),
            )),
            Some(_) => {}
            None => {
                let names = config::options::OPTIONS.iter().map(|option| option.name);
                let cure = meant(name, names)
                    .map(|name| format!(" (did you mean {name:?}?)"))
                    .unwrap_or_default();
                found.push(Finding::warning(format!(
                    "there is no cluster option {name:?}{cure}"
                )));
            }
        }
    }
}

fn find(root: &Element, changed: &dyn Fn(&Element) -> bool, agents: &mut Agents) -> Vec<Finding> {
    let mut found = Vec::new();
    let Some(configuration) = root.child("configuration") else {
        return found;
    };
    options(configuration, changed, &mut found);
    let resources = configuration.child("resources");
    for element in resources.into_iter().flat_map(Element::descendants) {
        if element.is("primitive") && changed(element) {
            primitive(
                element,
                resources.expect("there are resources"),
                agents,
                &mut found,
            );
        }
    }
    let nodes: Vec<&str> = configuration
        .child("nodes")
        .into_iter()
        .flat_map(|nodes| nodes.children().filter_map(|node| node.get("uname")))
        .collect();
    for constraint in configuration
        .child("constraints")
        .into_iter()
        .flat_map(Element::children)
    {
        if !changed(constraint) {
            continue;
        }
        let id = constraint.id().unwrap_or_default();
        if let Some(node) = constraint.get("node")
            && !nodes.iter().any(|known| known.eq_ignore_ascii_case(node))
            && !is_remote(resources, node)
        {
            let cure =
                meant(node, nodes.iter().copied()).map(|name| format!(" (did you mean {name:?}?)"));
            found.push(Finding::warning(format!(
                "{id}: the node {node:?} is not known{}",
                cure.unwrap_or_default()
            )));
        }
        if constraint.get("rsc").is_some() && constraint.get("rsc") == constraint.get("with-rsc") {
            found.push(Finding::wrong(
                format!(
                    "{id}: {:?} is colocated with itself",
                    constraint.get("rsc").unwrap_or_default()
                ),
                "name another resource in with-rsc".to_owned(),
            ));
        }
        if let Some(score) = constraint.get("score")
            && Score::parse(score).is_none()
        {
            found.push(Finding::wrong(
                format!("{id}: {score:?} is no score"),
                "a score is a whole number or [-]INFINITY".to_owned(),
            ));
        }
    }
    doubtful(root, configuration, changed, &mut found);
    found
}

/// What may be a typing error, and may come true later.
fn doubtful(
    root: &Element,
    configuration: &Element,
    changed: &dyn Fn(&Element) -> bool,
    found: &mut Vec<Finding>,
) {
    let section = |name: &str| {
        let all = configuration.child(name).into_iter();
        all.flat_map(Element::children)
            .filter(move |element| changed(element))
    };
    let resources = configuration.child("resources");
    // A configuration in a file has no cluster yet.
    let members = root
        .child("status")
        .filter(|it| it.children().next().is_some());
    for node in section("nodes").filter(|_| members.is_some()) {
        let name = node.get("uname").unwrap_or_default();
        let joined = members.is_some_and(|it| {
            let mut states = it.children_named("node_state");
            states.any(|state| state.get("uname") == Some(name))
        });
        if !joined && !node.has("type") && !is_remote(resources, name) {
            found.push(Finding::warning(format!(
                "no node {name:?} has joined yet: it is shown as offline until it does"
            )));
        }
    }
    for level in section("fencing-topology") {
        let devices = level.get("devices").unwrap_or_default().split(',');
        for device in devices.filter(|device| !device.is_empty()) {
            let known = resources.is_some_and(|all| all.find_id(device).is_some());
            if !known {
                found.push(Finding::warning(format!(
                    "fencing_topology: there is no fence device {device:?}"
                )));
            }
        }
    }
    // A daemon lays these out when it starts.
    let own = place().own_agents.join("alert");
    let comes = |path: &Path| {
        let mut names = agents::ALERT.iter().map(|(name, _)| own.join(name));
        names.any(|known| known == path)
    };
    for alert in section("alerts") {
        let path = alert.get("path").unwrap_or_default();
        if !Path::new(path).exists() && !comes(Path::new(path)) {
            let id = alert.id().unwrap_or_default();
            found.push(Finding::warning(format!(
                "{id}: there is no program {path} on this machine"
            )));
        }
    }
}

fn is_remote(resources: Option<&Element>, name: &str) -> bool {
    resources
        .into_iter()
        .flat_map(Element::descendants)
        .any(|element| {
            (element.get("type") == Some("remote") && element.id() == Some(name))
                || (element.get("name") == Some("remote-node")
                    && element.get("value") == Some(name))
        })
}

fn primitive(
    element: &Element,
    resources: &Element,
    agents: &mut Agents,
    found: &mut Vec<Finding>,
) {
    let id = element.id().unwrap_or_default();
    let template = element.get("template").and_then(|name| {
        resources
            .children()
            .find(|child| child.is("template") && child.id() == Some(name))
    });
    let source = template.unwrap_or(element);
    let (Some(class), Some(kind)) = (source.get("class"), source.get("type")) else {
        return;
    };
    let agent = AgentName::new(class, source.get("provider"), kind);
    let sets: Vec<&Element> = [Some(element), template]
        .into_iter()
        .flatten()
        .flat_map(|from| from.children_named("instance_attributes"))
        .collect();
    operations(element, found);
    let (metadata, complete) = match agents.metadata(&agent) {
        Known::Yes(metadata, complete) => (metadata, complete),
        Known::Unasked => return,
        Known::No(reason) => {
            let similar = agents.similar(&agent);
            found.push(Finding::wrong(
                format!("{id}: there is no agent {agent}: {reason}"),
                match similar {
                    Some(similar) => format!("did you mean {similar}? If it is installed on other nodes only, use --force"),
                    None => "install it; if it is installed on other nodes only, use --force".to_owned(),
                },
            ));
            return;
        }
    };
    let given: Vec<&str> = sets
        .iter()
        .flat_map(|set| set.children_named("nvpair"))
        .filter(|pair| pair.has("value"))
        .filter_map(|pair| pair.get("name"))
        .collect();
    let referred = sets
        .iter()
        .any(|set| set.has("id-ref") || set.children().any(|pair| pair.has("id-ref")));
    for parameter in metadata
        .parameters
        .iter()
        .filter(|parameter| parameter.required)
    {
        // A fence agent gets its target from the cluster.
        let implied =
            class == "stonith" && matches!(parameter.name.as_str(), "action" | "plug" | "port");
        if !given.contains(&parameter.name.as_str()) && !referred && !implied {
            found.push(Finding::wrong(
                format!(
                    "{id}: the agent {agent} needs the parameter {:?}",
                    parameter.name
                ),
                format!("set it: params {}=VALUE", parameter.name),
            ));
        }
    }
    if !complete || metadata.parameters.is_empty() {
        return;
    }
    for name in given {
        let known = metadata
            .parameters
            .iter()
            .any(|parameter| parameter.name == name);
        let general = name.starts_with("pcmk_")
            || name.starts_with("CRM_meta_")
            || matches!(
                name,
                "OCF_CHECK_LEVEL" | "trace_ra" | "trace_dir" | "provides" | "stonith-timeout"
            );
        if !known && !general {
            let names = metadata
                .parameters
                .iter()
                .map(|parameter| parameter.name.as_str());
            let cure = meant(name, names)
                .map(|name| format!(" (did you mean {name:?}?)"))
                .unwrap_or_default();
            found.push(Finding::warning(format!(
                "{id}: the agent {agent} has no parameter {name:?}{cure}"
            )));
        }
    }
}

/// What an operation itself has; anything else in it is a parameter for the agent.
const OF_OPERATIONS: &[&str] = &[
    "interval",
    "timeout",
    "on-fail",
    "role",
    "start-delay",
    "enabled",
    "record-pending",
    "interval-origin",
];

fn operations(element: &Element, found: &mut Vec<Finding>) {
    let id = element.id().unwrap_or_default();
    let mut seen: Vec<(&str, u64, &str)> = Vec::new();
    for op in element
        .children_named("operations")
        .flat_map(Element::children)
    {
        let name = op.get("name").unwrap_or_default();
        for attribute in ["interval", "timeout", "start-delay"] {
            if let Some(value) = op.get(attribute)
                && span::parse_ms(value).is_err()
                && crate::terms::Duration::parse(value).is_none()
            {
                found.push(Finding::wrong(
                    format!("{id}: {attribute}={value:?} of {name} is no time"),
                    "write for example 10s, 500ms or PT1M".to_owned(),
                ));
            }
        }
        if let Some(enabled) = op.get("enabled")
            && text::boolean(enabled).is_none()
        {
            found.push(Finding::wrong(
                format!("{id}: enabled={enabled:?} of {name} is neither true nor false"),
                "write true or false".to_owned(),
            ));
        }
        let own = op.children().flat_map(Element::children);
        for parameter in own.filter_map(|pair| pair.get("name")) {
            if let Some(attribute) = meant(parameter, OF_OPERATIONS.iter().copied()) {
                found.push(Finding::warning(format!(
                    "{id}: {parameter} of {name} is given to the agent as a parameter (did you mean {attribute:?}?)"
                )));
            }
        }
        let key = (
            name,
            span::ms_or_zero(op.get("interval")),
            op.get("role").unwrap_or("Started"),
        );
        if key.1 > 0
            && seen
                .iter()
                .any(|earlier| earlier.0 == key.0 && earlier.1 == key.1)
        {
            found.push(Finding::warning(format!(
                "{id}: two operations {name} have the same interval; only one of them runs"
            )));
        }
        seen.push(key);
    }
}

enum Known {
    /// With whether these are all of its parameters.
    Yes(Metadata, bool),
    No(String),
    /// This class of agents does not tell, or it can't be asked here.
    Unasked,
}

/// What agents say of themselves, each asked once.
#[derive(Default)]
struct Agents {
    asked: BTreeMap<String, Option<Metadata>>,
}

/// Where agents are on this machine, as the daemon looks for them.
pub(crate) fn place() -> Place {
    let folder = |name: &str, default: &str| {
        PathBuf::from(std::env::var_os(name).unwrap_or_else(|| default.into()))
    };
    // A daemon lays these out in its directory; clients start tools with an empty environment.
    let data = crate::rpc::Paths::from_env().data;
    let own = |name: &str, below: &str| {
        std::env::var_os(name).map_or_else(|| data.join(below), PathBuf::from)
    };
    let own_agents = own("SYSTOLE_AGENTS", "agents");
    let fence = own_agents.join("fence");
    Place {
        node: "localhost".into(),
        ocf_root: folder("OCF_ROOT", "/usr/lib/ocf"),
        own_agents,
        tools: own("HA_SBIN_DIR", "tools"),
        rsctmp: own("HA_RSCTMP", "run/rsctmp"),
        secrets: data.join("secrets"),
        fence_agents: vec!["/usr/sbin".into(), "/usr/local/sbin".into(), fence],
        bus: None,
        units: "/run/systemd/system".into(),
        extra_env: Vec::new(),
    }
}

impl Agents {
    fn metadata(&mut self, agent: &AgentName) -> Known {
        if !matches!(agent.class.as_str(), "ocf" | "stonith" | "lsb") {
            return Known::Unasked;
        }
        let place = place();
        let file = match agent.class.as_str() {
            "stonith" => executor::agent::find::find_fence(&place, &agent.kind),
            _ => executor::agent::find::find(&place, agent),
        };
        if let Err(reason) = file {
            return match builtin(agent) {
                Some(known) => known,
                // Without a single agent here, this machine is no node and can't tell; of our own we know all.
                None if agent.provider.as_deref() != Some("systole")
                    && !place.ocf_root.join("resource.d").exists() =>
                {
                    Known::Unasked
                }
                None => Known::No(reason.to_string()),
            };
        }
        if agent.class == "lsb" {
            return Known::Unasked;
        }
        let known = self
            .asked
            .entry(agent.to_string())
            .or_insert_with(|| ask(&place, agent));
        known
            .clone()
            .map_or(Known::Unasked, |metadata| Known::Yes(metadata, true))
    }

    fn similar(&self, agent: &AgentName) -> Option<String> {
        let place = place();
        let root = place.ocf_root.join("resource.d");
        let provider = agent.provider.as_deref().unwrap_or("heartbeat");
        let names = |folder: PathBuf| -> Vec<String> {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect()
        };
        if agent.class == "stonith" {
            let all: Vec<String> = place.fence_agents.iter().cloned().flat_map(names).collect();
            return meant(&agent.kind, all.iter().map(String::as_str))
                .map(|kind| format!("stonith:{kind}"));
        }
        for other in names(root.clone()) {
            if root.join(&other).join(&agent.kind).exists() {
                return Some(format!("ocf:{other}:{}", agent.kind));
            }
        }
        let mut all = names(root.join(provider));
        if provider == "systole" {
            all.extend(agents::OCF.iter().map(|(name, _)| (*name).to_owned()));
            all.extend(agents::NATIVE.iter().map(|name| (*name).to_owned()));
        }
        meant(&agent.kind, all.iter().map(String::as_str))
            .map(|kind| format!("ocf:{provider}:{kind}"))
    }
}

/// Agents of ours, which the daemon has wherever it runs.
fn builtin(agent: &AgentName) -> Option<Known> {
    let ours = matches!(
        agent.provider.as_deref(),
        Some("systole" | "heartbeat" | "pacemaker")
    );
    let kind = agent.kind.as_str();
    if ours && agents::NATIVE.contains(&kind) {
        let ip = Parameter {
            required: true,
            ..Parameter::named("ip")
        };
        return Some(Known::Yes(
            Metadata {
                parameters: vec![ip],
                actions: Vec::new(),
            },
            false,
        ));
    }
    let shell = ours && agents::OCF.iter().any(|(name, _)| *name == kind);
    let fence = agent.is_fencing()
        && (agents::FENCE.iter().any(|(name, _)| *name == kind)
            || kind == "fence_watchdog"
            || kind == "fence_netns");
    let remote = agent.provider.as_deref() == Some("pacemaker") && kind == "remote";
    (shell || fence || remote).then_some(Known::Unasked)
}

fn ask(place: &Place, agent: &AgentName) -> Option<Metadata> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let text = runtime
        .block_on(executor::shell::metadata_text(place, agent))
        .ok()?;
    executor::agent::metadata::parse(&text).ok()
}
