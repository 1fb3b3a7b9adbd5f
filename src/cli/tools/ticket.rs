//! `crm_ticket`: the tickets of this site, shown and changed. They live in the status section, one `ticket_state`
//! each; whether a ticket may be granted here is known to nobody in this cluster, so granting asks for `--force`.

use crate::{
    cli::{failure::Failure, show::xml::yes_no},
    clock,
    policy::facts::Ticket,
    terms::CrmExit,
    xml::{Element, write},
};

use super::{Options, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
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
    ('\0', "output-to", true),
];

/// What is asked for, the last command counts; changes of attributes add up.
#[derive(Default)]
struct Asked {
    ticket: Option<String>,
    query: Option<&'static str>,
    get: Option<String>,
    default: Option<String>,
    put: Vec<(String, String)>,
    delete: Vec<String>,
    /// `-S NAME` before its `-v VALUE`.
    open: Option<String>,
    cleanup: bool,
    force: bool,
}

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let mut asked = Asked::default();
    while let Some((name, value)) = options.next()? {
        match name {
            "help" => {
                return super::help(tool, "crm_ticket", "show and change tickets", OPTIONS);
            }
            "version" => return super::version(tool),
            "output-as" => tool.output_as(&value)?,
            "info" | "details" | "raw" | "query-xml" | "constraints" => asked.query = Some(name),
            "grant" => asked.put.push(("granted".to_owned(), "true".to_owned())),
            "revoke" => asked.put.push(("granted".to_owned(), "false".to_owned())),
            "standby" => asked.put.push(("standby".to_owned(), "true".to_owned())),
            "activate" => asked.put.push(("standby".to_owned(), "false".to_owned())),
            "get-attr" => asked.get = Some(value),
            "default" => asked.default = Some(value),
            "set-attr" => asked.open = Some(value),
            "attr-value" => match asked.open.take() {
                Some(name) => asked.put.push((name, value)),
                None => return Err(Failure::usage("--attr-value without --set-attr before it")),
            },
            "delete-attr" => asked.delete.push(value),
            "cleanup" => asked.cleanup = true,
            "force" => asked.force = true,
            "ticket" => asked.ticket = Some(value),
            _ => {}
        }
    }
    if let Some(name) = &asked.open {
        return Err(
            Failure::usage(format!("there is no value for {name}")).cure("say -v VALUE behind it")
        );
    }
    let root = tool.access.cib()?.into_root();
    if let Some(query) = asked.query {
        return show(tool, &root, query, asked.ticket.as_deref());
    }
    let changes = asked.cleanup || !asked.put.is_empty() || !asked.delete.is_empty();
    if !changes && asked.get.is_none() {
        return Err(Failure::usage("Must supply a command").cure("see --help"));
    }
    let need = || Failure::usage("Must supply ticket ID with -t");
    let id = asked.ticket.clone().ok_or_else(need)?;
    match &asked.get {
        Some(name) => get(tool, &root, &id, name, asked.default.as_deref()),
        None if asked.cleanup => cleanup(tool, &root, &id, asked.force),
        None => change(tool, &root, &id, &asked),
    }
}

fn no_ticket(id: &str) -> Failure {
    Failure::new(CrmExit::NO_SUCH, format!("No such ticket '{id}'"))
        .cure("crm_ticket --info lists the tickets that are known here")
}

/// The state of a ticket as it is written.
fn state<'a>(root: &'a Element, id: &str) -> Option<&'a Element> {
    let tickets = root.descend(&["status", "tickets"])?;
    tickets.children().find(|ticket| ticket.id() == Some(id))
}

fn show(tool: &mut Tool, root: &Element, query: &str, id: Option<&str>) -> Result<(), Failure> {
    match query {
        "query-xml" => return query_xml(tool, root, id),
        "constraints" => return constraints(tool, root, id),
        _ => {}
    }
    let facts = crate::cli::cmd::facts_of(&crate::cib::Cib::new(root.clone()));
    let wanted = |name: &str| id.is_none_or(|id| id == name);
    let shown: Vec<_> = facts
        .tickets
        .iter()
        .filter(|(name, _)| wanted(name))
        .collect();
    if let (Some(id), true) = (id, shown.is_empty()) {
        return Err(no_ticket(id));
    }
    let mut list = Element::new("tickets");
    for (name, ticket) in shown {
        list.push(element(name, ticket));
        match query {
            "raw" => tool.line(name)?,
            _ => tool.line(&line(name, ticket, query == "details"))?,
        }
    }
    tool.element(list);
    Ok(())
}

fn word(ticket: &Ticket) -> &'static str {
    if ticket.granted { "granted" } else { "revoked" }
}

fn element(name: &str, ticket: &Ticket) -> Element {
    let mut element = Element::new("ticket")
        .with("id", name)
        .with("status", word(ticket))
        .with("standby", yes_no(ticket.standby));
    for (name, value) in ticket.state.iter().filter(|(name, _)| *name != "id") {
        element.set(name, value);
    }
    element
}

/// `ticketA revoked [standby] last-granted="..." (standby=false)`.
fn line(name: &str, ticket: &Ticket, details: bool) -> String {
    let standby = if ticket.standby { " [standby]" } else { "" };
    let mut text = format!("{name}\t{}{standby}", word(ticket));
    if ticket.last_granted > 0 {
        let date = crate::terms::DateTime::from_epoch(ticket.last_granted).ctime();
        text.push_str(&format!(" last-granted=\"{date}\""));
    }
    if details {
        let pairs = ticket.state.iter().filter(|(name, _)| *name != "id");
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !pairs.is_empty() {
            text.push_str(&format!("\t({})", pairs.join(", ")));
        }
    }
    text
}

fn query_xml(tool: &mut Tool, root: &Element, id: Option<&str>) -> Result<(), Failure> {
    let none = || Failure::new(CrmExit::NO_SUCH, "no ticket is known here");
    let found = match id {
        Some(id) => state(root, id).ok_or_else(|| no_ticket(id))?,
        None => root.descend(&["status", "tickets"]).ok_or_else(none)?,
    };
    tool.line("State XML:\n")?;
    tool.line(write::pretty(found).trim_end())?;
    let states = match id {
        Some(_) => vec![found],
        None => found.children().collect(),
    };
    let tickets = states.into_iter().map(|state| {
        let mut ticket = state.clone();
        ticket.set_tag("ticket");
        ticket
    });
    tool.element(Element::new("tickets").with_children(tickets));
    Ok(())
}

fn constraints(tool: &mut Tool, root: &Element, id: Option<&str>) -> Result<(), Failure> {
    let written = root.descend(&["configuration", "constraints"]);
    let all = written.into_iter().flat_map(Element::children);
    let found: Vec<&Element> = all
        .filter(|constraint| constraint.is("rsc_ticket"))
        .filter(|constraint| id.is_none_or(|id| constraint.get("ticket") == Some(id)))
        .collect();
    if found.is_empty() {
        let text = match id {
            Some(id) => format!("no constraint depends on ticket '{id}'"),
            None => "no constraint depends on a ticket".to_owned(),
        };
        return Err(Failure::new(CrmExit::NO_SUCH, text));
    }
    tool.line("Constraints XML:\n")?;
    let mut tickets: Vec<(&str, Element)> = Vec::new();
    let mut resources = Element::new("resources");
    for constraint in found {
        tool.line(write::pretty(constraint).trim_end())?;
        let name = constraint.get("ticket").unwrap_or_default();
        if !tickets.iter().any(|(known, _)| *known == name) {
            tickets.push((name, Element::new("constraints")));
        }
        if let Some((_, list)) = tickets.iter_mut().find(|(known, _)| *known == name) {
            list.push(constraint.clone());
        }
        let members = constraint
            .descendants()
            .filter(|part| part.is("resource_ref"))
            .filter_map(Element::id);
        for rsc in constraint.get("rsc").into_iter().chain(members) {
            if resources.child_by_id("resource", rsc).is_none() {
                resources.push(Element::new("resource").with("id", rsc));
            }
        }
    }
    let tickets = tickets
        .into_iter()
        .map(|(name, list)| Element::new("ticket").with("id", name).with_child(list));
    tool.element(Element::new("tickets").with_children(tickets));
    tool.element(resources);
    Ok(())
}

fn get(
    tool: &mut Tool,
    root: &Element,
    id: &str,
    name: &str,
    default: Option<&str>,
) -> Result<(), Failure> {
    let value = state(root, id).and_then(|state| state.get(name));
    let Some(value) = value.or(default) else {
        return Err(Failure::new(
            CrmExit::NO_SUCH,
            format!("ticket '{id}' has no attribute '{name}'"),
        ));
    };
    tool.line(value)?;
    let attribute = Element::new("attribute")
        .with("name", name)
        .with("value", value);
    let ticket = Element::new("ticket").with("id", id).with_child(attribute);
    tool.element(Element::new("tickets").with_child(ticket));
    Ok(())
}

fn is_granted(root: &Element, id: &str) -> bool {
    state(root, id)
        .and_then(|state| state.get("granted"))
        .and_then(crate::terms::text::boolean)
        .unwrap_or(false)
}

fn change(tool: &mut Tool, root: &Element, id: &str, asked: &Asked) -> Result<(), Failure> {
    let grants = asked.put.iter().rev().find(|(name, _)| name == "granted");
    let grants = grants.map(|(_, value)| crate::terms::text::boolean(value).unwrap_or(false));
    let takes = grants == Some(false) || asked.delete.iter().any(|name| name == "granted");
    if !asked.force {
        if grants == Some(true) {
            return Err(not_allowed(format!(
                "nobody here can tell whether '{id}' is granted elsewhere, where its resources would run too"
            )));
        }
        if takes {
            return Err(not_allowed(format!(
                "revoking '{id}' may trigger the loss-policy of what depends on it (see --constraints); \
                 --standby stops it in order"
            )));
        }
    }
    let known = state(root, id).is_some();
    if !known && asked.put.is_empty() {
        return Ok(());
    }
    let mut new = root.clone();
    let was_granted = is_granted(root, id);
    let tickets = new.child_or_new("status").child_or_new("tickets");
    if !known {
        tickets.push(Element::new("ticket_state").with("id", id));
    }
    if let Some(state) = tickets.children_mut().find(|state| state.id() == Some(id)) {
        for (name, value) in &asked.put {
            state.set(name, value);
        }
        if grants == Some(true) && !was_granted {
            state.set("last-granted", &clock::wall_s().to_string());
        }
        for name in &asked.delete {
            state.unset(name);
        }
    }
    tool.access.apply_patch(root, &new).map(|_| ())
}

fn cleanup(tool: &mut Tool, root: &Element, id: &str, force: bool) -> Result<(), Failure> {
    if state(root, id).is_none() {
        return Err(no_ticket(id));
    }
    if is_granted(root, id) && !force {
        return Err(not_allowed(format!(
            "'{id}' is granted; to forget it may trigger the loss-policy of what depends on it"
        )));
    }
    let mut new = root.clone();
    new.child_or_new("status")
        .child_or_new("tickets")
        .retain_children(|state| state.id() != Some(id));
    tool.access.apply_patch(root, &new).map(|_| ())
}

fn not_allowed(text: String) -> Failure {
    Failure::new(CrmExit::INSUFFICIENT_PRIV, text).cure("--force if you know what you are doing")
}
