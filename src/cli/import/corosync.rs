//! `corosync.conf`: sections in braces with lines `key: value`. Little of it becomes configuration of resources; most of
//! it becomes words of `systole init` and `join`, or is what our nodes do anyway.

use super::note::{Broken, Place};
use super::{Source, draft::Draft};

/// Sections within each other that are still read.
const DEPTH: usize = 16;

/// The port that nodes use when none is named.
const PORT: &str = "5405";

#[derive(Debug, Default)]
struct Section {
    line: u32,
    name: String,
    values: Vec<(u32, String, String)>,
    sections: Vec<Section>,
}

impl Section {
    fn get(&self, key: &str) -> Option<&str> {
        let found = self.values.iter().rfind(|(_, known, _)| known == key);
        found.map(|(_, _, value)| value.as_str())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Section> {
        self.sections
            .iter()
            .filter(move |section| section.name == name)
    }
}

pub(super) fn read(source: &Source, draft: &mut Draft) -> Result<(), Broken> {
    let file = source.file.as_str();
    let top = parse(&source.text, file)?;
    let totems: Vec<&Section> = top.all("totem").collect();
    let port = totems
        .iter()
        .flat_map(|totem| totem.all("interface"))
        .find_map(|interface| interface.get("mcastport"));
    let cluster = totems.iter().find_map(|totem| totem.get("cluster_name"));
    let mut nodes = Vec::new();
    for section in top.all("nodelist") {
        for node in section.all("node") {
            nodes.push(one_node(node, file, draft)?);
        }
        others(section, &["node"], file, draft);
    }
    founding(&nodes, cluster, port.unwrap_or(PORT), draft);
    for totem in totems {
        self::totem(totem, file, draft)?;
    }
    for section in top.all("quorum") {
        quorum(section, nodes.len(), file, draft);
    }
    for section in &top.sections {
        let at = Place::new(file, section.line);
        match section.name.as_str() {
            "totem" | "nodelist" | "quorum" => {}
            "logging" => draft.not_needed(
                &at,
                "logging",
                "the daemon logs to the journal; SYSTOLE_LOG says how much",
            ),
            "service" | "aisexec" | "qb" | "cmap" => {
                draft.not_needed(&at, &section.name, "there is one program, and nothing to load");
            }
            "uidgid" => draft.nothing(
                &at,
                "uidgid",
                "who may do what is said by access rights: crm configure role, acl_target, acl_group",
            ),
            "resources" | "system" => draft.nothing(
                &at,
                &section.name,
                "a watchdog is named in node.toml of each node: [watchdog] device = \"/dev/watchdog\"",
            ),
            name => draft.nothing(&at, name, "this section is not known; leave it out"),
        }
    }
    others(&top, &["*"], file, draft);
    Ok(())
}

fn parse(text: &str, file: &str) -> Result<Section, Broken> {
    let mut open = vec![Section::default()];
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_suffix('{') {
            if open.len() > DEPTH {
                let text = format!("sections are nested more than {DEPTH} deep");
                return Err(Broken::new(file, number, text).cure("close one with }"));
            }
            open.push(Section {
                line: number,
                name: name.trim().to_owned(),
                ..Section::default()
            });
        } else if line == "}" {
            let done = open.pop().filter(|_| !open.is_empty());
            let (Some(done), Some(outer)) = (done, open.last_mut()) else {
                return Err(Broken::new(file, number, "a } closes nothing")
                    .cure("remove it, or add the line that opens its section"));
            };
            outer.sections.push(done);
        } else if let Some((key, value)) = line.split_once(':') {
            if let Some(section) = open.last_mut() {
                let pair = (key.trim().to_owned(), value.trim().to_owned());
                section.values.push((number, pair.0, pair.1));
            }
        } else {
            let text =
                format!("{line:?} is neither `key: value` nor the begin or end of a section");
            return Err(Broken::new(file, number, text)
                .cure("write a colon between key and value, and { behind a section's name"));
        }
    }
    let top = open.remove(0);
    match open.last() {
        None => Ok(top),
        Some(section) => Err(Broken::new(
            file,
            section.line,
            format!("the section {} is never closed", section.name),
        )
        .cure("add a } where it ends")),
    }
}

struct Node {
    at: Place,
    name: String,
    addresses: Vec<String>,
}

fn one_node(node: &Section, file: &str, draft: &mut Draft) -> Result<Node, Broken> {
    let at = Place::new(file, node.line);
    let mut rings: Vec<(&str, u32, &str)> = Vec::new();
    for (line, key, value) in &node.values {
        let is_ring = key.starts_with("ring") && key.ends_with("_addr");
        if is_ring {
            rings.push((key, *line, value));
        }
    }
    rings.sort_by_key(|(key, ..)| *key);
    let Some((_, _, first)) = rings.first() else {
        return Err(Broken::at(&at, "this node has no ring0_addr")
            .cure("write its address: ring0_addr: 192.0.2.1"));
    };
    let name = node.get("name").unwrap_or(first).to_owned();
    for (key, line, value) in &rings {
        let at = Place::new(file, *line);
        draft.became(
            &at,
            format!("{key}: {value}"),
            format!("--address {value} of node {name}"),
        );
    }
    for (line, key, value) in &node.values {
        let at = Place::new(file, *line);
        let what = format!("{key}: {value}");
        match key.as_str() {
            "name" => draft.became(&at, what, format!("--name {name}")),
            "nodeid" => draft.not_needed(&at, what, "the cluster numbers its nodes itself"),
            "quorum_votes" if value == "1" => {
                draft.not_needed(&at, what, "each voter has one vote")
            }
            "quorum_votes" if value == "0" => draft.became(
                &at,
                what,
                format!("a learner, which has no vote: systole token --role learner (for {name})"),
            ),
            "quorum_votes" => draft.nothing(
                &at,
                what,
                "each voter has one vote; give weight by a witness, or make others learners",
            ),
            key if key.starts_with("ring") => {}
            _ => draft.nothing(&at, what, "this word is not known; leave it out"),
        }
    }
    let addresses = rings
        .iter()
        .map(|(.., value)| (*value).to_owned())
        .collect();
    Ok(Node {
        at,
        name,
        addresses,
    })
}

/// The line that lets a node in.
pub(super) fn join(name: &str, address: &str) -> String {
    format!(
        "systole join --name {name} --address {address} TOKEN   # the token with: systole token"
    )
}

/// One node founds the cluster, the others join it.
fn founding(nodes: &[Node], cluster: Option<&str>, port: &str, draft: &mut Draft) {
    let at_port = |address: &String| match address.contains(':') {
        true => format!("[{address}]:{port}"),
        false => format!("{address}:{port}"),
    };
    for (number, node) in nodes.iter().enumerate() {
        let addresses: Vec<String> = node.addresses.iter().map(at_port).collect();
        let addresses = addresses.join(" --address ");
        let step = if number == 0 {
            let cluster = cluster.map_or(String::new(), |name| format!(" --cluster {name}"));
            format!(
                "systole init --name {} --address {addresses}{cluster}",
                node.name
            )
        } else {
            join(&node.name, &addresses)
        };
        draft.became(&node.at, format!("node {}", node.name), step.as_str());
        draft.step(step);
    }
}

fn totem(totem: &Section, file: &str, draft: &mut Draft) -> Result<(), Broken> {
    for (line, key, value) in &totem.values {
        let at = Place::new(file, *line);
        let what = format!("{key}: {value}");
        match key.as_str() {
            "token" => {
                let Ok(token_ms) = value.parse::<u64>() else {
                    return Err(
                        Broken::at(&at, format!("{value:?} is no number of milliseconds"))
                            .cure("write for example token: 3000"),
                    );
                };
                let profile = profile(token_ms);
                draft.became(
                    &at,
                    what,
                    format!("profile = \"{profile}\" in node.toml of each node (silence is noticed after {})",
                        silence(profile)),
                );
                if profile != "normal" {
                    draft.step(format!(
                        "profile = \"{profile}\" in /var/lib/systole/node.toml of each node, or systole daemon --profile {profile}"
                    ));
                }
            }
            "cluster_name" => draft.became(&at, what, format!("--cluster {value} of systole init")),
            "crypto_cipher" | "crypto_hash" | "secauth" | "keyfile" | "key" | "crypto_model"
            | "crypto_type" => draft.not_needed(
                &at,
                what,
                "nodes speak mutual TLS only, with a certificate of their own each",
            ),
            "transport"
            | "version"
            | "cluster_uuid"
            | "ip_version"
            | "netmtu"
            | "nodeid"
            | "vsftype"
            | "interface"
            | "block_unlisted_ips"
            | "knet_mtu"
            | "knet_pmtud_interval" => {
                draft.not_needed(
                    &at,
                    what,
                    "nodes find each other by the addresses they joined with",
                );
            }
            "rrp_mode" | "link_mode" | "rrp_problem_count_timeout" => {
                draft.not_needed(&at, what, "whichever of a node's addresses answers is used")
            }
            "token_coefficient"
            | "token_retransmit"
            | "token_retransmits_before_loss_const"
            | "token_warning"
            | "hold"
            | "join"
            | "consensus"
            | "merge"
            | "downcheck"
            | "fail_recv_const"
            | "seqno_unchanged_const"
            | "heartbeat_failures_allowed"
            | "max_network_delay"
            | "window_size"
            | "max_messages"
            | "miss_count_const"
            | "send_join"
            | "cancel_token_hold_on_retransmit" => {
                draft.not_needed(&at, what, "the timing profile sets all times together");
            }
            _ => draft.nothing(&at, what, "this word is not known; leave it out"),
        }
    }
    for interface in &totem.sections {
        for (line, key, value) in &interface.values {
            let at = Place::new(file, *line);
            let what = format!("{key}: {value}");
            match key.as_str() {
                "mcastport" => {
                    draft.became(&at, what, format!("port {value} in the nodes' addresses"))
                }
                "ringnumber" | "linknumber" | "bindnetaddr" | "mcastaddr" | "broadcast" | "ttl" => {
                    draft.not_needed(
                        &at,
                        what,
                        "nodes find each other by the addresses they joined with",
                    );
                }
                _ => draft.not_needed(&at, what, "whichever of a node's addresses answers is used"),
            }
        }
    }
    Ok(())
}

/// Corosync's token is 1 s or 3 s unless somebody has a reason.
fn profile(token_ms: u64) -> &'static str {
    match token_ms {
        0..=999 => "fast",
        1000..=5000 => "normal",
        _ => "wan",
    }
}

fn silence(profile: &str) -> &'static str {
    match profile {
        "fast" => "0.2 s",
        "wan" => "2.5 s",
        _ => "0.35 s",
    }
}

fn quorum(quorum: &Section, nodes: usize, file: &str, draft: &mut Draft) {
    let on = |value: &str| matches!(value, "1" | "yes" | "on");
    for (line, key, value) in &quorum.values {
        let at = Place::new(file, *line);
        let what = format!("{key}: {value}");
        match key.as_str() {
            "two_node" if on(value) && quorum.sections.is_empty() => {
                draft.became(
                    &at,
                    what,
                    "crm cluster two-node on: who has fenced the other goes on alone. It needs fence devices; without \
                     them let a witness join",
                );
                draft.step("crm cluster two-node on   # needs fence devices; or else: systole token --role witness");
            }
            "wait_for_all" if on(value) && nodes == 2 => draft.not_needed(
                &at,
                what,
                "in two-node mode a node that starts waits for the other, or for crm cluster confirm-off",
            ),
            "wait_for_all" if on(value) => {
                draft.not_needed(&at, what, "nothing runs before a majority is there");
            }
            "auto_tie_breaker" | "auto_tie_breaker_node" if on(value) || key.ends_with("_node") => draft.nothing(
                &at,
                what,
                "half of the votes are no majority; let a witness join: systole token --role witness",
            ),
            "last_man_standing" | "last_man_standing_window" if on(value) || key.ends_with("_window") => draft
                .nothing(
                    &at,
                    what,
                    "votes of lost nodes are not taken away; a learner takes the vote of one that stays away \
                     (crm configure property voter-replace-after=10min), and a witness keeps a majority",
                ),
            "expected_votes" | "votes" => {
                draft.not_needed(&at, what, "votes are counted from the members themselves");
            }
            "allow_downscale" if on(value) => {
                draft.not_needed(&at, what, "a node that leaves for good is taken out: crm cluster remove");
            }
            "provider" => draft.not_needed(&at, what, "a majority of the voters decides"),
            _ if !on(value) => draft.not_needed(&at, what, "it is off"),
            _ => draft.nothing(&at, what, "this word is not known; leave it out"),
        }
    }
    for device in quorum.all("device") {
        let at = Place::new(file, device.line);
        let net = device.all("net").next();
        match (device.get("model"), net.and_then(|net| net.get("host"))) {
            (Some("net"), Some(host)) => {
                let step = format!(
                    "{}   # the token with: systole token --role witness",
                    join_witness(host)
                );
                draft.became(
                    &at,
                    format!("device net {host}"),
                    format!("a witness, which votes and runs nothing: {step}"),
                );
                draft.step(step);
            }
            (model, _) => draft.nothing(
                &at,
                format!("device {}", model.unwrap_or("without a model")),
                "let a small machine join as a witness: systole token --role witness",
            ),
        }
        for (line, key, value) in net.into_iter().flat_map(|net| &net.values) {
            let at = Place::new(file, *line);
            match key.as_str() {
                "host" => {}
                "algorithm" => draft.not_needed(
                    &at,
                    format!("{key}: {value}"),
                    "a witness has one vote, and a majority decides",
                ),
                _ => draft.not_needed(
                    &at,
                    format!("{key}: {value}"),
                    "a witness speaks as all nodes do",
                ),
            }
        }
        for heuristics in device.all("heuristics") {
            draft.nothing(
                &Place::new(file, heuristics.line),
                "heuristics",
                "what a node can reach does not change its vote; let it move resources: ocf:pacemaker:ping with a \
                 location rule",
            );
        }
    }
}

fn join_witness(host: &str) -> String {
    format!("systole join --name witness --address {host} TOKEN")
}

/// What is left in a section, besides sections that were looked at.
fn others(section: &Section, looked_at: &[&str], file: &str, draft: &mut Draft) {
    for (line, key, value) in &section.values {
        let at = Place::new(file, *line);
        draft.nothing(
            &at,
            format!("{key}: {value}"),
            "it does not belong here; leave it out",
        );
    }
    for inner in &section.sections {
        if !looked_at.contains(&"*") && !looked_at.contains(&inner.name.as_str()) {
            let at = Place::new(file, inner.line);
            draft.nothing(
                &at,
                inner.name.as_str(),
                "it does not belong here; leave it out",
            );
        }
    }
}
