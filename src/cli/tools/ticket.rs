//! `crm_ticket`: tickets that say whether this site may run what depends on them. (spec 1 §17)

use std::collections::BTreeMap;

use crate::{
    cli::{cmd::facts_of, failure::Failure, show::xml::ticket_element},
    clock,
    policy::{NvTable, facts::Ticket},
    terms::{CrmExit, DateTime, text},
    xml::{Element, write},
};

use super::{Options, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('h', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('Q', "quiet", false),
    ('l', "info", false),
    ('L', "details", false),
    ('w', "raw", false),
    ('q', "query-xml", false),
    ('c', "constraints", false),
    ('g', "grant", false),
    ('r', "revoke", false),
    ('s', "standby", false),
    ('a', "activate", false),
    ('G', "get-attr", true),
    ('S', "set-attr", true),
    ('D', "delete-attr", true),
    ('C', "cleanup", false),
    ('v', "attr-value", true),
    ('d', "default", true),
    ('f', "force", false),
    ('t', "ticket", true),
    ('n', "set-name", true),
    ('i', "nvpair", true),
    ('\0', "output-as", true),
];

/// Attributes to set, in their order, and to remove (no value).
type Changes = Vec<(String, Option<String>)>;

#[derive(Debug, Default)]
struct Asked {
    ticket: Option<String>,
    /// The question, or `cleanup`; changes have none.
    command: Option<&'static str>,
    get: String,
    default: Option<String>,
    changes: Changes,
    force: bool,
}

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let Some(asked) = options(tool, args)? else {
        return Ok(());
    };
    match asked.command {
        Some(command @ ("info" | "details" | "raw")) => list(tool, command, &asked),
        Some("query-xml") => query(tool, asked.ticket.as_deref()),
        Some("constraints") => constraints(tool, asked.ticket.as_deref()),
        Some("get-attr") => get(tool, &asked),
        Some("cleanup") => cleanup(tool, &asked),
        _ if asked.changes.is_empty() => {
            Err(Failure::usage("Must supply a command").cure("see --help"))
        }
        _ => change(tool, &asked),
    }
}

fn options(tool: &mut Tool, args: &[String]) -> Result<Option<Asked>, Failure> {
    let mut options = Options::new(OPTIONS, args);
    let mut asked = Asked::default();
    let mut unset: Option<String> = None;
    while let Some((name, value)) = options.next()? {
        let mut set = |name: &str, value: &str| {
            asked
                .changes
                .push((name.to_owned(), Some(value.to_owned())));
        };
        match name {
            "help" => {
                super::help(tool, "crm_ticket", "query and change tickets", OPTIONS)?;
                return Ok(None);
            }
            "version" => {
                super::version(tool)?;
                return Ok(None);
            }
            "info" | "details" | "raw" | "query-xml" | "constraints" | "cleanup" => {
                asked.command = Some(name);
            }
            "get-attr" => {
                asked.command = Some(name);
                asked.get = value;
            }
            "grant" => set("granted", "true"),
            "revoke" => set("granted", "false"),
            "standby" => set("standby", "true"),
            "activate" => set("standby", "false"),
            "set-attr" => {
                if let Some(name) = unset.replace(value) {
                    return Err(no_value(&name));
                }
            }
            // A value belongs to the name before it.
            "attr-value" => {
                if let Some(name) = unset.take() {
                    set(&name, &value);
                }
            }
            "delete-attr" => asked.changes.push((value, None)),
            "default" => asked.default = Some(value),
            "force" => asked.force = true,
            "ticket" => asked.ticket = Some(value),
            "output-as" => tool.output_as(&value)?,
            _ => {}
        }
    }
    match unset {
        Some(name) => Err(no_value(&name)),
        None => Ok(Some(asked)),
    }
}

fn no_value(name: &str) -> Failure {
    Failure::usage(format!("Must supply value with -v for -S {name}")).cure("say -v VALUE")
}

fn need(asked: &Asked, exit: CrmExit) -> Result<&str, Failure> {
    asked
        .ticket
        .as_deref()
        .ok_or_else(|| Failure::new(exit, "Must supply ticket ID with -t").cure("say -t TICKET"))
}

fn no_ticket(id: &str) -> Failure {
    Failure::new(CrmExit::NO_SUCH, format!("No such ticket '{id}'"))
        .cure("`crm_ticket --raw` lists the tickets that are known")
}

/// Tickets with a state, and those that only a constraint knows.
fn known(tool: &mut Tool) -> Result<BTreeMap<String, Ticket>, Failure> {
    let cib = tool.access.cib()?;
    let mut known: BTreeMap<String, Ticket> = facts_of(&cib)
        .tickets
        .iter()
        .map(|(id, ticket)| (id.to_string(), ticket.clone()))
        .collect();
    for constraint in ticket_constraints(cib.root(), None) {
        let id = constraint.get("ticket").unwrap_or_default();
        known.entry(id.to_owned()).or_insert_with(|| Ticket {
            last_granted: -1,
            state: NvTable::new(),
            ..Ticket::default()
        });
    }
    Ok(known)
}

fn list(tool: &mut Tool, command: &str, asked: &Asked) -> Result<(), Failure> {
    let mut tickets = known(tool)?;
    if let Some(id) = &asked.ticket {
        let ticket = tickets.remove(id).ok_or_else(|| no_ticket(id))?;
        tickets = BTreeMap::from([(id.clone(), ticket)]);
    }
    if tickets.is_empty() {
        return Ok(());
    }
    for (id, ticket) in &tickets {
        let line = match command {
            "raw" => id.clone(),
            _ => line(id, ticket, command == "details"),
        };
        tool.line(&line)?;
    }
    let elements = tickets
        .iter()
        .map(|(id, ticket)| ticket_element(id, ticket));
    tool.element(Element::new("tickets").with_children(elements));
    Ok(())
}

/// `A  granted [standby] last-granted="..."`, with all attributes when details are asked for.
fn line(id: &str, ticket: &Ticket, details: bool) -> String {
    let mut line = format!(
        "{id}\t{}{}",
        if ticket.granted { "granted" } else { "revoked" },
        if ticket.standby { " [standby]" } else { "" }
    );
    let date = (ticket.last_granted >= 0).then(|| {
        let offset_s = clock::utc_offset_s(ticket.last_granted);
        DateTime::from_epoch(ticket.last_granted)
            .at_offset(offset_s)
            .ctime()
    });
    if details {
        let mut parts: Vec<String> = ticket
            .state
            .iter()
            .filter(|(name, _)| date.is_none() || *name != "last-granted")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        parts.extend(date.map(|date| format!("last-granted='{date}'")));
        if !parts.is_empty() {
            line.push_str(&format!("\t({})", parts.join(", ")));
        }
    } else if let Some(date) = date {
        line.push_str(&format!(" last-granted=\"{date}\""));
    }
    line
}

fn state<'a>(root: &'a Element, id: &str) -> Option<&'a Element> {
    root.descend(&["status", "tickets"])?
        .child_by_id("ticket_state", id)
}

fn query(tool: &mut Tool, id: Option<&str>) -> Result<(), Failure> {
    let root = tool.access.cib()?.into_root();
    let all = root.descend(&["status", "tickets"]);
    let (shown, states): (&Element, Vec<&Element>) = match (id, all) {
        (Some(id), _) => state(&root, id).map(|found| (found, vec![found])),
        (None, all) => all.map(|all| (all, all.children_named("ticket_state").collect())),
    }
    .ok_or_else(|| {
        Failure::new(
            CrmExit::NO_SUCH,
            match id {
                Some(id) => format!("Could not query ticket XML: ticket {id} has no state"),
                None => "Could not query ticket XML: no ticket has a state".to_owned(),
            },
        )
    })?;
    tool.line("State XML:\n")?;
    tool.line(write::pretty(shown).trim_end())?;
    let tickets = states.into_iter().map(|state| {
        let mut ticket = state.clone();
        ticket.set_tag("ticket");
        ticket
    });
    tool.element(Element::new("tickets").with_children(tickets));
    Ok(())
}

fn ticket_constraints<'a>(root: &'a Element, id: Option<&str>) -> Vec<&'a Element> {
    root.descend(&["configuration", "constraints"])
        .into_iter()
        .flat_map(|all| all.children_named("rsc_ticket"))
        .filter(|found| found.has("ticket") && (id.is_none() || found.get("ticket") == id))
        .collect()
}

fn constraints(tool: &mut Tool, id: Option<&str>) -> Result<(), Failure> {
    let root = tool.access.cib()?.into_root();
    let found = ticket_constraints(&root, id);
    let Some(first) = found.first() else {
        return Err(Failure::new(
            CrmExit::NO_SUCH,
            format!(
                "Could not show ticket constraints: nothing depends on {}",
                id.map_or("a ticket".to_owned(), |id| format!("ticket {id}"))
            ),
        ));
    };
    tool.line("Constraints XML:\n")?;
    if found.len() == 1 {
        tool.line(write::pretty(first).trim_end())?;
    } else {
        let all = Element::new("xpath-query").with_children(found.iter().copied().cloned());
        tool.line(write::pretty(&all).trim_end())?;
    }
    let mut by_ticket: BTreeMap<&str, Vec<Element>> = BTreeMap::new();
    let mut resources: Vec<&str> = Vec::new();
    for constraint in &found {
        let ticket = constraint.get("ticket").unwrap_or_default();
        by_ticket
            .entry(ticket)
            .or_default()
            .push((*constraint).clone());
        let members = constraint
            .descendants()
            .filter(|element| element.is("resource_ref"))
            .filter_map(Element::id);
        for rsc in constraint.get("rsc").into_iter().chain(members) {
            if !resources.contains(&rsc) {
                resources.push(rsc);
            }
        }
    }
    let tickets = by_ticket.into_iter().map(|(id, constraints)| {
        let constraints = Element::new("constraints").with_children(constraints);
        Element::new("ticket")
            .with("id", id)
            .with_child(constraints)
    });
    let resources = resources
        .into_iter()
        .map(|id| Element::new("resource").with("id", id));
    tool.element(Element::new("tickets").with_children(tickets));
    tool.element(Element::new("resources").with_children(resources));
    Ok(())
}

fn get(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    // Quirk: a question without a ticket is answered as if there were none, not as wrong usage.
    let id = need(asked, CrmExit::NO_SUCH)?;
    let root = tool.access.cib()?.into_root();
    let value = state(&root, id).and_then(|state| state.get(&asked.get));
    let value = value.or(asked.default.as_deref()).ok_or_else(|| {
        Failure::new(
            CrmExit::NO_SUCH,
            format!("ticket {id} has no attribute {}", asked.get),
        )
    })?;
    tool.line(value)?;
    let attribute = Element::new("attribute")
        .with("name", &asked.get)
        .with("value", value);
    let ticket = Element::new("ticket").with("id", id).with_child(attribute);
    tool.element(Element::new("tickets").with_child(ticket));
    Ok(())
}

fn cleanup(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let id = need(asked, CrmExit::USAGE)?;
    let root = tool.access.cib()?.into_root();
    let Some(found) = state(&root, id) else {
        // What is to be gone whatever it takes, and is not there, is gone.
        return if asked.force {
            tool.line(&format!("Cleaned up {id}"))
        } else {
            Err(no_ticket(id))
        };
    };
    if text::is_true(found.get("granted")) && !asked.force {
        return Err(revoke_needs_force(id));
    }
    let mut new = root.clone();
    let tickets = new.child_or_new("status").child_or_new("tickets");
    tickets.retain_children(|ticket| !(ticket.is("ticket_state") && ticket.id() == Some(id)));
    tool.access.apply_patch(&root, &new)?;
    tool.line(&format!("Cleaned up {id}"))
}

/// Another site may hold the ticket, or resources may be fenced for it: both are for a person to decide.
fn grant_needs_force(id: &str) -> Failure {
    Failure::new(
        CrmExit::INSUFFICIENT_PRIV,
        format!("whether ticket {id} is granted to another site already can't be seen from here"),
    )
    .cure("say --force when it is granted nowhere else")
}

fn revoke_needs_force(id: &str) -> Failure {
    Failure::new(
        CrmExit::INSUFFICIENT_PRIV,
        format!("without ticket {id} the loss-policy of what depends on it is carried out"),
    )
    .cure(format!(
        "see `crm_ticket -t {id} --constraints`; --standby stops resources in order first; --force if it is meant"
    ))
}

fn change(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let id = need(asked, CrmExit::USAGE)?;
    let grants = asked
        .changes
        .iter()
        .rev()
        .find(|(name, _)| name == "granted")
        .map(|(_, value)| text::is_true(value.as_deref()));
    match grants {
        Some(true) if !asked.force => return Err(grant_needs_force(id)),
        Some(false) if !asked.force => return Err(revoke_needs_force(id)),
        _ => {}
    }
    let root = tool.access.cib()?.into_root();
    let sets_some = asked.changes.iter().any(|(_, value)| value.is_some());
    if state(&root, id).is_none() && !sets_some {
        return Ok(());
    }
    let mut new = root.clone();
    let tickets = new.child_or_new("status").child_or_new("tickets");
    if !tickets.children().any(|ticket| ticket.id() == Some(id)) {
        tickets.push(Element::new("ticket_state").with("id", id));
    }
    let Some(ticket) = tickets
        .children_mut()
        .find(|ticket| ticket.id() == Some(id))
    else {
        return Err(no_ticket(id));
    };
    let had = text::is_true(ticket.get("granted"));
    for (name, value) in &asked.changes {
        match value {
            Some(value) => ticket.set(name, value),
            None => {
                ticket.unset(name);
            }
        }
    }
    if !had && text::is_true(ticket.get("granted")) {
        ticket.set("last-granted", &clock::wall_s().to_string());
    }
    tool.access.apply_patch(&root, &new).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(attributes: &[(&str, &str)]) -> Ticket {
        let mut state = NvTable::new();
        for (name, value) in attributes {
            state.set(*name, *value);
        }
        Ticket {
            granted: text::is_true(state.get("granted")),
            standby: text::is_true(state.get("standby")),
            last_granted: state
                .get("last-granted")
                .and_then(text::integer)
                .unwrap_or(-1),
            state,
        }
    }

    #[test]
    fn details_name_every_attribute() {
        assert_eq!(line("A", &ticket(&[]), true), "A\trevoked");
        let standby = ticket(&[("standby", "false")]);
        assert_eq!(line("A", &standby, true), "A\trevoked\t(standby=false)");
        assert_eq!(line("A", &standby, false), "A\trevoked");
        let granted = ticket(&[("granted", "true"), ("standby", "true"), ("a", "b")]);
        let wanted = "A\tgranted [standby]\t(granted=true, standby=true, a=b)";
        let found = line("A", &granted, true);
        for part in ["granted=true", "standby=true", "a=b"] {
            assert!(found.contains(part), "{found}");
        }
        assert_eq!(found.len(), wanted.len());
    }

    #[test]
    fn a_ticket_without_state_is_known_by_its_constraint() {
        let text = "<cib><configuration><constraints><rsc_ticket id='c' rsc='r' ticket='B'/>\
                    <rsc_ticket id='d' rsc='s' ticket='C'/></constraints></configuration></cib>";
        let root = crate::xml::parse(text, &crate::xml::Limits::CIB).unwrap();
        assert_eq!(ticket_constraints(&root, None).len(), 2);
        assert_eq!(ticket_constraints(&root, Some("B"))[0].id(), Some("c"));
        assert!(ticket_constraints(&root, Some("A")).is_empty());
    }
}
