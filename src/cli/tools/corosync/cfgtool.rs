//! `corosync-cfgtool`: how this node is connected to the others. Each of its addresses is a link.

use crate::{
    cli::{failure::Failure, tools},
    raft::Member,
    rpc::AdminRequest,
    terms::{CrmExit, NodeId},
};

use super::{Ring, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('i', "interface", true),
    ('s', "status", false),
    ('n', "nodes", false),
    ('b', "brief", false),
    ('R', "reload", false),
    ('L', "reopen-logs", false),
    ('k', "kill", true),
    ('a', "addresses", true),
    ('H', "shutdown", false),
    ('\0', "force", false),
    ('h', "help", false),
];

/// Run it.
pub(crate) fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = tools::Options::new(OPTIONS, args);
    let (mut command, mut only, mut brief) = (None, None, false);
    while let Some((name, value)) = options.next()? {
        match name {
            "help" => {
                return tools::help(
                    tool,
                    "corosync-cfgtool",
                    "show links between nodes",
                    OPTIONS,
                );
            }
            "interface" => only = Some(value),
            "brief" => brief = true,
            "force" => {}
            name => command = Some((name, value)),
        }
    }
    let Some((command, given)) = command else {
        return Err(Failure::usage("nothing is asked").cure("one of -s, -n, -a, -H"));
    };
    match command {
        "status" => links(tool, only.as_deref(), brief),
        "nodes" => nodes(tool),
        "addresses" => addresses(tool, &given),
        "shutdown" => tool.access.ask(AdminRequest::Shutdown).map(drop),
        // Where the log goes is up to whoever started the daemon; nothing is kept open that could be moved away.
        "reopen-logs" => Ok(()),
        "kill" => Err(
            Failure::new(CrmExit::ERROR, "a node can't be killed from here")
                .cure("`stonith_admin -F NODE` fences it; `systole stop`, on it, stops its daemon"),
        ),
        _ => Err(
            Failure::new(CrmExit::ERROR, "there is no corosync.conf to be read again")
                .cure("`systole join` and `crm cluster remove` change who belongs to the cluster"),
        ),
    }
}

fn peers(ring: &Ring) -> impl Iterator<Item = &Member> {
    ring.members().iter().filter(|member| !ring.is_me(member))
}

/// `-s`: a link over which a node does not answer that is there is at fault, and so is one with all others lost; that of
/// one node which is down is not.
fn links(tool: &mut Tool, only: Option<&str>, brief: bool) -> Result<(), Failure> {
    let ring = Ring::read(tool)?;
    let all = peers(&ring).count();
    let reached = peers(&ring).filter(|peer| ring.is_here(peer)).count();
    tool.line(&format!("Local node ID {}, transport tls", ring.status.me))?;
    let own = ring.me().map(|me| me.addresses.clone()).unwrap_or_default();
    let mut faulty = false;
    for (number, address) in own.iter().enumerate() {
        let ip = address.ip().to_string();
        if only.is_some_and(|only| only != ip && only != number.to_string()) {
            continue;
        }
        let lost = peers(&ring).filter(|it| ring.is_here(it) && !ring.is_linked(it, number));
        let lost: Vec<String> = lost.map(|peer| peer.id.to_string()).collect();
        faulty |= !lost.is_empty();
        let status = match (brief, reached) {
            (true, _) => {
                let digits = ring.members().iter();
                digits.map(|it| digit(&ring, it, number)).collect()
            }
            (false, 0) if all > 0 => format!("FAULTY: none of {all} nodes can be reached"),
            (false, _) if !lost.is_empty() => {
                format!("FAULTY: no connection to node {}", lost.join(", "))
            }
            (false, _) => "OK".to_owned(),
        };
        tool.line(&format!(
            "LINK ID {number} tcp\n\taddr\t= {ip}\n\tstatus\t= {status}"
        ))?;
    }
    if brief && (faulty || reached < all) {
        return Err(Failure::new(CrmExit::ERROR, ""));
    }
    Ok(())
}

/// The brief form: this node, a node that is connected, one that is not.
fn digit(ring: &Ring, member: &Member, number: usize) -> char {
    match (ring.is_me(member), ring.is_linked(member, number)) {
        (true, _) => 'n',
        (false, true) => '3',
        (false, false) => '1',
    }
}

/// `-n`: nodes that can be reached, and how.
fn nodes(tool: &mut Tool) -> Result<(), Failure> {
    let ring = Ring::read(tool)?;
    tool.line(&format!("Local node ID {}, transport tls", ring.status.me))?;
    let own = ring.me().map(|me| me.addresses.clone()).unwrap_or_default();
    for peer in peers(&ring).filter(|peer| ring.is_here(peer)) {
        tool.line(&format!("nodeid: {} reachable", peer.id))?;
        for (number, address) in peer.addresses.iter().enumerate() {
            let link = ring.link(peer, number);
            let from = link.and_then(|link| link.local);
            let from = from.or_else(|| own.get(number).or(own.first()).copied());
            let from = from.map_or_else(|| "?".to_owned(), |own| own.ip().to_string());
            let state = match ring.is_linked(peer, number) {
                true => "connected",
                false => "disconnected",
            };
            tool.line(&format!(
                "   LINK: {number} ({from}->{}) enabled {state}",
                address.ip(),
            ))?;
        }
    }
    Ok(())
}

fn addresses(tool: &mut Tool, given: &str) -> Result<(), Failure> {
    let ring = Ring::read(tool)?;
    let id = given.parse().ok().map(NodeId);
    let member = ring.members().iter().find(|member| Some(member.id) == id);
    let member = member.ok_or_else(|| {
        Failure::new(
            CrmExit::ERROR,
            format!("there is no node with the id {given}"),
        )
        .cure("`crm_node -l` lists them")
    })?;
    let addresses = member.addresses.iter().map(|it| it.ip().to_string());
    tool.line(&addresses.collect::<Vec<_>>().join(" "))
}
