//! `crm_mon`: the state of the cluster as text or XML, once. // spec 4 §14, §15

use crate::{
    cib::Cib,
    cli::{
        args::Status,
        cmd::status,
        failure::Failure,
        show::{self, Wanted},
    },
    clock,
    policy::facts::Facts,
    rpc::ClusterStatus,
    terms::{CrmExit, DateTime, text},
    xml::{Element, write},
};

use super::{Options, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('$', "version", false),
    ('1', "one-shot", false),
    ('X', "as-xml", false),
    ('\0', "output-as", true),
    ('\0', "output-to", true),
    ('r', "inactive", false),
    ('n', "group-by-node", false),
    ('f', "failcounts", false),
    ('o', "operations", false),
    ('t', "timing-details", false),
    ('A', "show-node-attributes", false),
    ('c', "tickets", false),
    ('R', "show-detail", false),
    ('b', "brief", false),
    ('j', "pending", false),
    ('D', "hide-summary", false),
    ('Q', "quiet-times", false),
    ('V', "verbose", false),
    ('I', "include", true),
    ('U', "exclude", true),
    ('i', "interval", true),
    ('m', "fence-history", false),
    ('L', "neg-locations", false),
    ('\0', "node", true),
    ('\0', "resource", true),
    ('x', "xml-file", true),
];

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let mut xml_wanted = false;
    let mut status = Status::default();
    while let Some((name, value)) = options.next()? {
        match name {
            "as-xml" => xml_wanted = true,
            "output-as" => xml_wanted = value == "xml",
            "inactive" => status.inactive = true,
            "group-by-node" => status.by_node = true,
            "show-node-attributes" => status.attributes = true,
            "show-detail" => status.detail = true,
            "xml-file" => tool.access = Box::new(crate::cli::access::File::new(value)),
            "help" => {
                return super::help(tool, "crm_mon", "show the state of the cluster", OPTIONS);
            }
            "version" => return super::version(tool),
            _ => {}
        }
    }
    let cib = tool.access.cib()?;
    let cluster = if tool.access.live() {
        match tool.access.ask(crate::rpc::AdminRequest::Status)? {
            crate::rpc::AdminAnswer::Status(status) => Some(*status),
            _ => None,
        }
    } else {
        None
    };
    let facts = crate::cli::cmd::facts_of(&cib);
    let text = if xml_wanted {
        let request = format!("crm_mon {}", args.join(" "));
        document(&cib, &facts, cluster.as_ref(), &request)
    } else {
        status::page(&cib, &facts, cluster.as_ref(), &status)
    };
    write!(tool.out, "{text}")?;
    Ok(())
}

/// The whole as `crm_mon --output-as=xml` prints it.
pub(crate) fn xml(cib: &Cib, facts: &Facts, cluster: Option<&ClusterStatus>) -> String {
    document(cib, facts, cluster, "crm_mon --output-as=xml")
}

fn document(cib: &Cib, facts: &Facts, cluster: Option<&ClusterStatus>, request: &str) -> String {
    let wanted = Wanted {
        inactive: true,
        pending: true,
        detail: false,
        attributes: true,
        failures: true,
        tickets: true,
        ..Wanted::default()
    };
    let mut parts = vec![
        summary(cib, facts, cluster),
        show::xml::nodes(facts, &wanted),
    ];
    parts.extend(show::xml::resources(facts, &wanted));
    parts.extend(show::xml::node_attributes(facts, &wanted));
    parts.extend(show::xml::failures(facts, &wanted));
    parts.extend(show::xml::tickets(facts));
    parts.extend(bans(cib));
    write::pretty(&show::xml::envelope(request, parts, CrmExit::OK, &[]))
}

fn summary(cib: &Cib, facts: &Facts, cluster: Option<&ClusterStatus>) -> Element {
    let root = cib.root();
    let property = |name: &str| {
        let sets = cib
            .configuration()
            .and_then(|found| found.child("crm_config"));
        sets.into_iter()
            .flat_map(Element::children)
            .flat_map(Element::children)
            .find(|pair| pair.get("name") == Some(name))
            .and_then(|pair| pair.get("value"))
            .map(str::to_owned)
    };
    let option = |names: &[&str], default: bool| {
        let value = names.iter().find_map(|name| property(name));
        value
            .as_deref()
            .and_then(text::boolean)
            .unwrap_or(default)
            .to_string()
    };
    let stack = property("cluster-infrastructure").unwrap_or_else(|| "systole".to_owned());
    let mut element = Element::new("summary").with_child(
        Element::new("stack")
            .with("type", stack)
            .with_some("pacemakerd-state", cluster.map(|_| "running")),
    );
    element.push(match status::coordinator(cib, facts, cluster) {
        Some((name, id)) => Element::new("current_dc")
            .with("present", "true")
            .with(
                "version",
                property("dc-version").unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
            )
            .with("name", name)
            .with("id", id)
            .with("with_quorum", status::quorate(cib, cluster).to_string())
            .with("mixed_version", "false"),
        None => Element::new("current_dc").with("present", "false"),
    });
    element.push(
        Element::new("last_update").with("time", DateTime::from_epoch(clock::wall_s()).ctime()),
    );
    let part = |name: &str| root.get(name).unwrap_or_default().to_owned();
    element.push(
        Element::new("last_change")
            .with("time", part("cib-last-written"))
            .with("user", part("update-user"))
            .with("client", part("update-client"))
            .with("origin", part("update-origin")),
    );
    element.push(Element::new("nodes_configured").with("number", facts.nodes.len().to_string()));
    let (instances, disabled, blocked) = show::instances(facts);
    element.push(
        Element::new("resources_configured")
            .with("number", instances.to_string())
            .with("disabled", disabled.to_string())
            .with("blocked", blocked.to_string()),
    );
    let fencing = option(&["fencing-enabled", "stonith-enabled"], true);
    element.push(
        Element::new("cluster_options")
            .with("fencing-enabled", &fencing)
            .with("stonith-enabled", &fencing)
            .with("symmetric-cluster", option(&["symmetric-cluster"], true))
            .with(
                "no-quorum-policy",
                property("no-quorum-policy").unwrap_or_else(|| "stop".to_owned()),
            )
            .with("maintenance-mode", option(&["maintenance-mode"], false))
            .with("stop-all-resources", option(&["stop-all-resources"], false)),
    );
    element
}

/// Nodes that resources are kept off.
fn bans(cib: &Cib) -> Option<Element> {
    let constraints = cib.configuration()?.child("constraints")?;
    let found: Vec<Element> = constraints
        .children_named("rsc_location")
        .filter(|location| {
            location
                .get("score")
                .is_some_and(|score| score.starts_with('-'))
        })
        .filter_map(|location| {
            let promoted = location
                .get("role")
                .is_some_and(|role| matches!(role, "Promoted" | "Master"));
            Some(
                Element::new("ban")
                    .with("id", location.id()?)
                    .with("resource", location.get("rsc")?)
                    .with("node", location.get("node")?)
                    .with(
                        "weight",
                        location.get("score")?.replace("-INFINITY", "-1000000"),
                    )
                    .with("promoted-only", promoted.to_string())
                    .with("master_only", promoted.to_string()),
            )
        })
        .collect();
    (!found.is_empty()).then(|| Element::new("bans").with_children(found))
}
