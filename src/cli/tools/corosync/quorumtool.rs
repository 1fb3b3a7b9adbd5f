//! `corosync-quorumtool`: votes, quorum, members. Exit status 2 says that there is no quorum, which `-s` alone does.

use crate::{
    cli::{failure::Failure, tools},
    clock,
    raft::Member,
    terms::{CrmExit, DateTime, NodeId},
};

use super::{Ring, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('s', "status", false),
    ('l', "list", false),
    ('m', "monitor", false),
    ('a', "all", false),
    ('p', "parsable", false),
    ('H', "hexadecimal", false),
    ('i', "addresses", false),
    ('o', "order", true),
    ('v', "votes", true),
    ('n', "node", true),
    ('e', "expected", true),
    ('f', "forget-device", false),
    ('h', "help", false),
    ('V', "version", false),
];

/// How members are listed.
#[derive(Debug, Default)]
struct Style {
    parsable: bool,
    hexadecimal: bool,
    addresses: bool,
    all: bool,
    by: Order,
}

#[derive(Debug, Default, Clone, Copy)]
enum Order {
    #[default]
    Address,
    Name,
    Id,
}

/// Run it.
pub(crate) fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = tools::Options::new(OPTIONS, args);
    let mut style = Style::default();
    let mut command = "";
    while let Some((name, value)) = options.next()? {
        match name {
            "help" => {
                return tools::help(
                    tool,
                    "corosync-quorumtool",
                    "show quorum and members",
                    OPTIONS,
                );
            }
            "version" => return tools::version(tool),
            "parsable" => style.parsable = true,
            "hexadecimal" => style.hexadecimal = true,
            "addresses" => style.addresses = true,
            "all" => style.all = true,
            "order" => {
                style.by = match value.as_str() {
                    "a" => Order::Address,
                    "n" => Order::Name,
                    "i" => Order::Id,
                    other => {
                        let text = format!("there is no order `{other}`");
                        return Err(Failure::usage(text).cure("-o a, n or i"));
                    }
                }
            }
            "votes" | "node" | "expected" | "forget-device" => return Err(fixed()),
            name => command = name,
        }
    }
    match command {
        "list" => {
            let ring = Ring::read(tool)?;
            tool.line(&members(&ring, &style))
        }
        "monitor" => monitor(tool, &style),
        asked => {
            let ring = Ring::read(tool)?;
            tool.line(&status(&ring, &style))?;
            if asked == "status" && !ring.status.quorate {
                return Err(Failure::new(CrmExit(2), ""));
            }
            Ok(())
        }
    }
}

fn fixed() -> Failure {
    Failure::new(
        CrmExit::ERROR,
        "votes follow from the roles of the members, so none can be set",
    )
    .cure("`crm cluster role NODE voter|learner|witness` gives a node another role")
}

/// A new page whenever something is new.
fn monitor(tool: &mut Tool, style: &Style) -> Result<(), Failure> {
    let mut seen = None;
    loop {
        let ring = Ring::read(tool)?;
        if seen.as_ref() != Some(&members(&ring, style)) {
            tool.line(&status(&ring, style))?;
            tool.out.flush()?;
            seen = Some(members(&ring, style));
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

fn status(ring: &Ring, style: &Style) -> String {
    let now = clock::wall_s();
    let now = DateTime::from_epoch(now).at_offset(clock::utc_offset_s(now));
    let (expected, total) = ring.votes();
    let here = ring.members().iter().filter(|member| ring.is_here(member));
    let (yes, flags) = match ring.status.quorate {
        true => ("Yes", "Quorate"),
        false => ("No", ""),
    };
    format!(
        "Quorum information\n\
         ------------------\n\
         Date:             {}\n\
         Quorum provider:  systole_raft\n\
         Nodes:            {}\n\
         Node ID:          {}\n\
         Ring ID:          {}\n\
         Quorate:          {yes}\n\n\
         Votequorum information\n\
         ----------------------\n\
         Expected votes:   {expected}\n\
         Highest expected: {expected}\n\
         Total votes:      {total}\n\
         Quorum:           {}{}\n\
         Flags:            {flags}\n\n{}",
        now.ctime(),
        here.count(),
        number(ring.status.me, style),
        ring.id(),
        expected / 2 + 1,
        if ring.status.quorate {
            "  "
        } else {
            " Activity blocked"
        },
        members(ring, style),
    )
}

fn number(id: NodeId, style: &Style) -> String {
    match style.hexadecimal {
        true => format!("0x{:08x}", id.0),
        false => id.to_string(),
    }
}

fn members(ring: &Ring, style: &Style) -> String {
    let mut here: Vec<&Member> = ring
        .members()
        .iter()
        .filter(|member| ring.is_here(member))
        .collect();
    match style.by {
        Order::Address => here.sort_by_key(|member| member.addresses.first().copied()),
        Order::Name => here.sort_by(|a, b| a.name.cmp(&b.name)),
        Order::Id => here.sort_by_key(|member| member.id),
    }
    let mut text = String::from("Membership information\n----------------------\n");
    // Programs read the fourth column; there is no vote but that of a node.
    let (head, device) = match style.parsable {
        true => ("    Nodeid      Votes    Qdevice Name", "         NR"),
        false => ("    Nodeid      Votes Name", ""),
    };
    text.push_str(head);
    for member in here {
        let votes = u8::from(member.role.votes());
        let local = if ring.is_me(member) { " (local)" } else { "" };
        text.push_str(&format!(
            "\n{:>10} {votes:>10}{device} {}{local}",
            number(member.id, style),
            shown(member, style),
        ));
    }
    text
}

fn shown(member: &Member, style: &Style) -> String {
    if !style.addresses && !style.all {
        return member.name.to_string();
    }
    let take = if style.all { usize::MAX } else { 1 };
    let addresses = member.addresses.iter().take(take);
    let addresses: Vec<String> = addresses.map(|it| it.ip().to_string()).collect();
    addresses.join(", ")
}
