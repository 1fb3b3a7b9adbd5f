//! `corosync-cmapctl`: names and values. Only those that clients read are there, and none can be set.

use crate::{
    cli::{failure::Failure, tools},
    terms::CrmExit,
};

use super::{Ring, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('b', "binary", false),
    ('m', "map", true),
    ('s', "set", false),
    ('C', "clear", true),
    ('p', "load", true),
    ('d', "delete", false),
    ('D', "delete-prefix", false),
    ('g', "get", false),
    ('q', "quiet", false),
    ('t', "track", false),
    ('T', "track-prefix", false),
    ('h', "help", false),
];

/// A name, the type of its value, and the value.
type Entry = (String, &'static str, String);

/// Run it.
pub(crate) fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = tools::Options::new(OPTIONS, args);
    let (mut get, mut quiet, mut stats) = (false, false, false);
    while let Some((name, value)) = options.next()? {
        match name {
            "help" => {
                return tools::help(tool, "corosync-cmapctl", "show names and values", OPTIONS);
            }
            "get" => get = true,
            "quiet" => quiet = true,
            "map" => stats = value == "stats",
            "binary" => {}
            other => {
                let text = format!("--{other}: what is shown here can't be changed or followed");
                return Err(Failure::new(CrmExit::ERROR, text)
                    .cure("`crm cluster` changes who belongs to the cluster, and as what"));
            }
        }
    }
    let ring = Ring::read(tool)?;
    let entries = if stats { Vec::new() } else { entries(&ring) };
    let words = std::mem::take(&mut options.free);
    if !get {
        let wanted = |name: &str| words.is_empty() || words.iter().any(|it| name.starts_with(it));
        for (name, kind, value) in entries.iter().filter(|(name, ..)| wanted(name)) {
            tool.line(&format!("{name} ({kind}) = {value}"))?;
        }
        return Ok(());
    }
    let mut missing = false;
    for word in words {
        match entries.iter().find(|(name, ..)| *name == word) {
            Some((_, _, value)) if quiet => tool.line(value)?,
            Some((name, kind, value)) => tool.line(&format!("{name} ({kind}) = {value}"))?,
            None => {
                missing = true;
                tool.error(&format!("Can't get key {word}. Error CS_ERR_NOT_EXIST"));
            }
        }
    }
    match missing {
        true => Err(Failure::new(CrmExit::ERROR, "")),
        false => Ok(()),
    }
}

fn entries(ring: &Ring) -> Vec<Entry> {
    let status = &ring.status;
    let mut all: Vec<Entry> = Vec::new();
    let mut add = |name: String, kind, value: String| all.push((name, kind, value));
    let me = ring.members().iter().position(|member| ring.is_me(member));
    for (at, member) in ring.members().iter().enumerate() {
        let node = format!("nodelist.node.{at}");
        add(format!("{node}.name"), "str", member.name.to_string());
        add(format!("{node}.nodeid"), "u32", member.id.to_string());
        for (number, address) in member.addresses.iter().enumerate() {
            let ip = address.ip().to_string();
            add(format!("{node}.ring{number}_addr"), "str", ip);
        }
        let runtime = format!("runtime.members.{}", member.id);
        let ips = member.addresses.iter().enumerate();
        let ips = ips.map(|(number, address)| format!("r({number}) ip({}) ", address.ip()));
        add(format!("{runtime}.ip"), "str", ips.collect());
        let here = if ring.is_here(member) {
            "joined"
        } else {
            "left"
        };
        add(format!("{runtime}.status"), "str", here.to_owned());
    }
    if let Some(at) = me {
        add("nodelist.local_node_pos".into(), "u32", at.to_string());
    }
    let (expected, _) = ring.votes();
    add("quorum.expected_votes".into(), "u32", expected.to_string());
    add("quorum.provider".into(), "str", "systole_raft".into());
    let this = status.me.to_string();
    add("runtime.votequorum.this_node_id".into(), "u32", this);
    // Nobody waits to meet all others before it votes.
    add(
        "runtime.votequorum.wait_for_all_status".into(),
        "u8",
        "0".into(),
    );
    add("totem.cluster_name".into(), "str", status.name.clone());
    if let Some(uuid) = status.uuid {
        add(
            "totem.cluster_uuid".into(),
            "str",
            uuid.simple().to_string(),
        );
    }
    add("totem.version".into(), "u32", "2".into());
    all.sort();
    all
}
