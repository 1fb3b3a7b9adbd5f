//! Bundles: a container per replica, with an address, a connection and an instance of the bundled primitive, all
//! implied by one element (spec 1 §15).

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::node::Node;
use super::resource::{Bundle, Kind, Replica};
use super::spec::{self, Invalid};
use super::{Facts, clone, unpack};
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nodetable::{Discovery, Entry, NodeTable};
use crate::policy::nvtable::Str;
use crate::terms::{NodeName, Score, text};
use crate::xml::Element;

// Recorded digests of running containers contain these paths, so they can't be others. // spec 1 §15.2
const REMOTED: &str = "/usr/sbin/pacemaker-remoted";
const AUTHKEY: &str = "/etc/pacemaker/authkey";
const BUNDLE_LOGS: &str = "/var/log/pacemaker/bundles";
const REMOTE_PORT: &str = "3121";

/// What the element says, read. // spec 1 §15.1
struct Wanted {
    id: Str,
    kind: &'static str,
    promoted_max: u32,
    replicas: u32,
    per_host: u32,
    run_command: Option<String>,
    options: Option<String>,
    image: String,
    network: Option<String>,
    ip_start: Option<String>,
    netmask: Option<String>,
    interface: Option<String>,
    control_port: Option<String>,
    add_host: bool,
    ports: Vec<(String, String)>,
    mounts: Vec<Mount>,
    primitive: Option<Element>,
}

struct Mount {
    source: String,
    target: String,
    options: Option<String>,
    per_replica: bool,
}

/// Makes everything a bundle implies. // spec 1 §15.2 - §15.7
pub(super) fn unpack(facts: &mut Facts, at: RscIdx) -> Result<(), Invalid> {
    let element = facts.rscs[at].element.clone();
    let mut wanted = read(&element)?;
    let (id, per_host) = (wanted.id.clone(), wanted.per_host);
    wanted.replicas = clone::bounded(facts, &id, "replicas", wanted.replicas, per_host);
    facts.rscs[at].kind = Kind::Bundle(Bundle {
        replicas: Vec::new(),
        per_host: wanted.per_host,
        promoted_max: wanted.promoted_max,
        container_kind: wanted.kind,
        image: wanted.image.as_str().into(),
        clone: None,
    });
    if wanted.per_host == 1 {
        facts.rscs[at].flags.unique = false;
    }
    let clone = match wanted.primitive.take() {
        None => None,
        Some(primitive) => {
            if wanted.ip_start.is_none() {
                if wanted.control_port.is_none() {
                    let id = &wanted.id;
                    return Err(format!(
                        "bundle `{id}` holds a primitive and needs ip-range-start or control-port to reach it"
                    ));
                }
                wanted.per_host = 1;
            }
            imply_plumbing(&mut wanted);
            Some(imply_clone(facts, at, &wanted, &primitive)?)
        }
    };
    let children: Vec<Option<RscIdx>> = match clone {
        Some(clone) => facts.rscs[clone]
            .children
            .iter()
            .copied()
            .map(Some)
            .collect(),
        None => vec![None; wanted.replicas as usize],
    };
    let addresses = allocate(&wanted, children.len());
    let mut hosts = String::new();
    for (offset, address) in addresses.iter().enumerate() {
        if let Some(ip) = address {
            let id = &wanted.id;
            hosts.push_str(&if wanted.add_host {
                format!(" --add-host={id}-{offset}:{ip}")
            } else {
                format!(" --hosts-entry={ip}={id}-{offset}")
            });
        }
    }
    let mut replicas = Vec::with_capacity(children.len());
    for (offset, (child, ip)) in children.into_iter().zip(addresses).enumerate() {
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        let replica = make_replica(facts, at, &wanted, clone, offset, child, ip, &hosts)?;
        replicas.push(replica);
    }
    finish(facts, at, clone, &replicas);
    let rsc = &mut facts.rscs[at];
    rsc.children.extend(clone);
    if let Kind::Bundle(bundle) = &mut rsc.kind {
        bundle.replicas = replicas;
        bundle.clone = clone;
        bundle.per_host = wanted.per_host;
    }
    Ok(())
}

fn read(element: &Element) -> Result<Wanted, Invalid> {
    let id = element.get("id").unwrap_or_default();
    let (kind, container) = [("docker", "docker"), ("podman", "podman")]
        .into_iter()
        .find_map(|(kind, tag)| element.child(tag).map(|found| (kind, found)))
        .ok_or_else(|| format!("bundle `{id}` has neither docker nor podman"))?;
    let unsigned = |value: i32| u32::try_from(value).unwrap_or(0);
    let promoted_max = unsigned(text::at_least(
        container.get("promoted-max").or(container.get("masters")),
        0,
    ));
    let replicas = match container.get("replicas") {
        None if promoted_max > 0 => promoted_max,
        given => unsigned(text::at_least(given, 1)),
    };
    let network = element.child("network");
    let net = |name: &str| {
        network
            .and_then(|network| network.get(name))
            .map(str::to_owned)
    };
    let own = |name: &str| container.get(name).map(str::to_owned);
    let mut ports = Vec::new();
    for port in network
        .iter()
        .flat_map(|network| network.children_named("port-mapping"))
    {
        if let Some(source) = port.get("port") {
            ports.push((
                source.into(),
                port.get("internal-port").unwrap_or(source).into(),
            ));
        } else if let Some(range) = port.get("range") {
            ports.push((range.into(), range.into()));
        }
    }
    let mut mounts = Vec::new();
    for mapping in element
        .children_named("storage")
        .flat_map(|s| s.children_named("storage-mapping"))
    {
        let per_replica = mapping.get("source-dir").is_none();
        let source = mapping.get("source-dir").or(mapping.get("source-dir-root"));
        if let (Some(source), Some(target)) = (source, mapping.get("target-dir")) {
            mounts.push(Mount {
                source: source.into(),
                target: target.into(),
                options: mapping.get("options").map(str::to_owned),
                per_replica,
            });
        }
    }
    Ok(Wanted {
        id: id.into(),
        kind,
        promoted_max,
        replicas,
        per_host: unsigned(text::at_least(container.get("replicas-per-host"), 1)),
        run_command: own("run-command"),
        options: own("options"),
        image: own("image").unwrap_or_default(),
        network: own("network"),
        ip_start: net("ip-range-start"),
        netmask: net("host-netmask"),
        interface: net("host-interface"),
        control_port: net("control-port"),
        add_host: network
            .and_then(|n| n.get("add-host"))
            .and_then(text::boolean)
            .unwrap_or(true),
        ports,
        mounts,
        primitive: element.child("primitive").cloned(),
    })
}

// What the executor inside the container needs. // spec 1 §15.2
fn imply_plumbing(wanted: &mut Wanted) {
    let logs_configured = wanted.mounts.iter().any(|mount| mount.target == "/var/log");
    wanted.mounts.push(Mount {
        source: AUTHKEY.into(),
        target: AUTHKEY.into(),
        options: None,
        per_replica: false,
    });
    if !logs_configured {
        wanted.mounts.push(Mount {
            source: BUNDLE_LOGS.into(),
            target: "/var/log".into(),
            options: None,
            per_replica: true,
        });
    }
    let port = wanted
        .control_port
        .clone()
        .unwrap_or_else(|| REMOTE_PORT.into());
    wanted.ports.push((port.clone(), port));
}

fn imply_clone(
    facts: &mut Facts,
    bundle: RscIdx,
    wanted: &Wanted,
    primitive: &Element,
) -> Result<RscIdx, Invalid> {
    let suffix = if wanted.promoted_max > 0 {
        "master"
    } else {
        "clone"
    };
    let id = format!("{}-{suffix}", wanted.id);
    let block = format!("{id}-meta");
    let per_host_many = if wanted.per_host > 1 { "true" } else { "false" };
    let mut meta = vec![
        ("ordered", "true".to_owned()),
        ("clone-max", wanted.replicas.to_string()),
        ("clone-node-max", wanted.per_host.to_string()),
        ("globally-unique", per_host_many.to_owned()),
    ];
    if wanted.promoted_max > 0 {
        meta.push(("promotable", "true".to_owned()));
        meta.push(("promoted-max", wanted.promoted_max.to_string()));
    }
    let pairs: Vec<(&str, &str)> = meta
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let element = Element::new("clone")
        .with("id", &id)
        .with_child(set("meta_attributes", &block, &pairs))
        .with_child(primitive.clone());
    let spec = spec::read(facts, &element)?;
    unpack::resource(facts, &spec, Some(bundle), None)
}

/// A block of nvpairs.
pub(super) fn set(tag: &str, id: &str, pairs: &[(&str, &str)]) -> Element {
    let pairs = pairs.iter().map(|(name, value)| {
        Element::new("nvpair")
            .with("id", format!("{id}-{name}"))
            .with("name", name)
            .with("value", value)
    });
    Element::new(tag).with("id", id).with_children(pairs)
}

/// The first replica gets the address as written, each next one the following. // spec 1 §15.3
fn allocate(wanted: &Wanted, count: usize) -> Vec<Option<String>> {
    let mut next = wanted.ip_start.clone();
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        out.push(next.clone());
        next = next.and_then(|ip| following(&ip));
    }
    out
}

fn following(ip: &str) -> Option<String> {
    let [a, b, c, d] = ip.parse::<Ipv4Addr>().ok()?.octets();
    match (c, d) {
        (_, d) if d <= 253 => Some(format!("{a}.{b}.{c}.{}", d + 1)),
        (c, _) if c <= 253 => Some(format!("{a}.{b}.{}.1", c + 1)),
        _ => None,
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "one call; a struct would only repeat the names"
)]
fn make_replica(
    facts: &mut Facts,
    bundle: RscIdx,
    wanted: &Wanted,
    clone: Option<RscIdx>,
    offset: u32,
    child: Option<RscIdx>,
    ip_address: Option<String>,
    hosts: &str,
) -> Result<Replica, Invalid> {
    if let Some(child) = child {
        facts.rscs[child].flags.exclusive_discovery = true;
        if let Some(clone) = clone.filter(|_| facts.rscs[child].flags.notify) {
            facts.rscs[clone].flags.notify = true;
        }
    }
    let element = container(
        wanted,
        offset,
        child.is_some(),
        ip_address.as_deref(),
        hosts,
    );
    let container = add(facts, bundle, &element)?;
    facts.rscs[container].flags.replica_container = true;
    let ip = match &ip_address {
        None => None,
        Some(address) => Some(add(facts, bundle, &ip_resource(wanted, address))?),
    };
    let mut replica = Replica {
        offset,
        container,
        ip,
        ip_address: ip_address.as_deref().map(Into::into),
        connection: None,
        node: None,
        child,
    };
    if let Some(child) = child {
        let (connection, node) = connect(
            facts, bundle, wanted, clone, offset, child, container, &replica,
        )?;
        replica.connection = Some(connection);
        replica.node = Some(node);
        // The container carries what was configured for the primitive.
        let child_uses = std::mem::take(&mut facts.rscs[child].utilization);
        let container_uses = std::mem::replace(&mut facts.rscs[container].utilization, child_uses);
        facts.rscs[child].utilization = container_uses;
    }
    Ok(replica)
}

fn add(facts: &mut Facts, bundle: RscIdx, element: &Element) -> Result<RscIdx, Invalid> {
    let spec = spec::read(facts, element)?;
    let made = unpack::resource(facts, &spec, Some(bundle), None)?;
    facts.rscs[bundle].children.push(made);
    Ok(made)
}

/// The container of one replica; every blank counts, as it enters the digest. // spec 1 §15.4
fn container(
    wanted: &Wanted,
    offset: u32,
    has_child: bool,
    ip: Option<&str>,
    hosts: &str,
) -> Element {
    let bundle = &wanted.id;
    let id = format!("{bundle}-{}-{offset}", wanted.kind);
    let port = wanted.control_port.as_deref().unwrap_or(REMOTE_PORT);
    let mut run = String::new();
    if wanted.kind == "docker" {
        run.push_str(" --restart=no");
    }
    if wanted.ip_start.is_some() {
        run.push_str(&format!(" -h {bundle}-{offset}"));
    }
    run.push_str(" -e PCMK_stderr=1");
    if let Some(network) = &wanted.network {
        run.push_str(&format!(" --net={network}"));
    }
    run.push_str(&format!(" -e PCMK_remote_port={port}"));
    let mut directories = Vec::new();
    for mount in &wanted.mounts {
        let source = if mount.per_replica {
            let source = format!("{}/{bundle}-{offset}", mount.source);
            directories.push(source.clone());
            source
        } else {
            mount.source.clone()
        };
        run.push_str(&format!(" -v {source}:{}", mount.target));
        if let Some(options) = &mount.options {
            run.push_str(&format!(":{options}"));
        }
    }
    for (source, target) in &wanted.ports {
        if let Some(ip) = ip {
            run.push_str(&format!(" -p {ip}:{source}:{target}"));
        } else if wanted.network.as_deref() != Some("host") {
            run.push_str(&format!(" -p {source}:{target}"));
        }
    }
    if let Some(options) = &wanted.options {
        run.push(' ');
        run.push_str(options);
    }
    run.push(' ');
    run.push_str(hosts);

    let directories = directories.join(",");
    let run_command = match (&wanted.run_command, has_child) {
        (Some(command), _) => Some(command.as_str()),
        (None, true) => Some(REMOTED),
        (None, false) => None,
    };
    let mut pairs = vec![
        ("image", wanted.image.as_str()),
        ("allow_pull", "true"),
        ("force_kill", "false"),
        ("reuse", "false"),
        ("run_opts", &run),
        ("mount_points", &directories),
    ];
    pairs.extend(run_command.map(|command| ("run_cmd", command)));
    pairs.push(("monitor_cmd", "/bin/true"));
    primitive(&id, "heartbeat", wanted.kind, &pairs, "60s", None)
}

// spec 1 §15.6
fn ip_resource(wanted: &Wanted, address: &str) -> Element {
    let raw = format!("{}-ip-{address}", wanted.id);
    let id: String = raw
        .chars()
        .enumerate()
        .map(|(at, c)| match c {
            'A'..='Z' | 'a'..='z' | '_' => c,
            '0'..='9' | '-' | '.' if at > 0 => c,
            c if !c.is_ascii() => c,
            _ if at == 0 => '_',
            _ => '.',
        })
        .collect();
    let mut pairs = vec![("ip", address)];
    pairs.extend(wanted.interface.as_deref().map(|nic| ("nic", nic)));
    pairs.push(("cidr_netmask", wanted.netmask.as_deref().unwrap_or("32")));
    primitive(&id, "heartbeat", "IPaddr2", &pairs, "60s", None)
}

fn primitive(
    id: &str,
    provider: &str,
    kind: &str,
    params: &[(&str, &str)],
    monitor: &str,
    meta: Option<Element>,
) -> Element {
    let monitor_op = Element::new("op")
        .with("id", format!("{id}-monitor-{monitor}"))
        .with("name", "monitor")
        .with("interval", monitor);
    let mut out = Element::new("primitive")
        .with("id", id)
        .with("class", "ocf")
        .with("provider", provider)
        .with("type", kind);
    if let Some(meta) = meta {
        out = out.with_child(meta);
    }
    out.with_child(set(
        "instance_attributes",
        &format!("{id}-attributes-{id}"),
        params,
    ))
    .with_child(Element::new("operations").with_child(monitor_op))
}

/// The connection of one replica, and its node. // spec 1 §15.5
#[expect(
    clippy::too_many_arguments,
    reason = "one call; a struct would only repeat the names"
)]
fn connect(
    facts: &mut Facts,
    bundle: RscIdx,
    wanted: &Wanted,
    clone: Option<RscIdx>,
    offset: u32,
    child: RscIdx,
    container: RscIdx,
    replica: &Replica,
) -> Result<(RscIdx, NodeIdx), Invalid> {
    let mut id = format!("{}-{offset}", wanted.id);
    if facts.rsc_by_id(&id).is_some() {
        id = format!("pcmk-internal-{}-remote-{offset}", facts.rscs[child].id);
    }
    let container_id = facts.rscs[container].id.clone();
    let element = super::remote::implied_connection(
        &id,
        container_id.as_str(),
        &super::remote::Implied {
            address: Some(replica.ip_address.as_deref().unwrap_or("#uname").to_owned()),
            port: Some(
                wanted
                    .control_port
                    .clone()
                    .unwrap_or_else(|| REMOTE_PORT.into()),
            ),
            ..super::remote::Implied::default()
        },
    );
    let node = match facts.node_by_name(&id) {
        Some(node) => node,
        None => facts.add_node(Node::new(
            id.as_str().into(),
            NodeName::from(id.as_str()),
            true,
        )),
    };
    facts.nodes[node].base_score = Score::MINUS_INFINITY;
    facts.nodes[node].discovery = Discovery::Never;
    for top in facts.top.clone() {
        for at in facts.descend(top) {
            if let Some(entry) = facts.rscs[at].allowed.get_mut(node) {
                entry.score = Score::MINUS_INFINITY;
                entry.discovery = Discovery::Never;
            }
        }
    }
    let mut only = NodeTable::new();
    let discovery = Discovery::Exclusive;
    only.insert(
        node,
        Entry {
            score: Score::new(500),
            discovery,
            count: 0,
        },
    );
    facts.rscs[child].allowed = only;
    if let Some(clone) = clone {
        let entry = Entry {
            score: Score::MINUS_INFINITY,
            discovery,
            count: 0,
        };
        facts.rscs[clone].allowed.insert(node, entry);
    }
    let connection = add(facts, bundle, &element)?;
    let remote: Vec<bool> = facts
        .nodes
        .iter()
        .map(|node| node.pacemaker_remote)
        .collect();
    for (node, entry) in facts.rscs[connection].allowed.iter_mut() {
        if remote[node.0 as usize] {
            entry.score = Score::MINUS_INFINITY;
        }
    }
    facts.rscs[connection].launcher = Some(container);
    facts.rscs[connection].flags.nesting_allowed = true;
    facts.nodes[node].connection = Some(connection);
    facts.nodes[node].pacemaker_remote = true;
    facts.nodes[node].attributes.set("#kind", "container");
    Ok((connection, node))
}

// spec 1 §15.7
fn finish(facts: &mut Facts, bundle: RscIdx, clone: Option<RscIdx>, replicas: &[Replica]) {
    let last = replicas.iter().rev().find_map(|replica| replica.child);
    let target = last.and_then(|child| {
        facts.rscs[child]
            .meta
            .get_shared("container-attribute-target")
            .map(Arc::clone)
    });
    if let Some(target) = target {
        for at in std::iter::once(bundle).chain(clone) {
            facts.rscs[at]
                .meta
                .set("container-attribute-target", Arc::clone(&target));
        }
    }
    for replica in replicas {
        if let (Some(child), Some(ip)) = (replica.child, &replica.ip_address) {
            facts.rscs[child].meta.set("external-ip", Arc::clone(ip));
        }
    }
}
