//! `attrd_updater`: transient attributes, as agents set and read them.

use crate::{
    cli::{cmd::change, failure::Failure},
    terms::CrmExit,
    xml::Element,
};

use super::{
    super::{Options, Tool, help, local_node, version},
    known, transient,
};

const UPDATER: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('q', "quiet", false),
    ('n', "name", true),
    ('U', "update", true),
    ('v', "update", true),
    ('B', "update-both", true),
    ('Y', "update-delay", false),
    ('Q', "query", false),
    ('D', "delete", false),
    ('R', "refresh", false),
    ('N', "node", true),
    ('A', "all", false),
    ('d', "delay", true),
    ('S', "set", true),
    ('s', "set", true),
    ('p', "private", false),
    ('l', "lifetime", true),
    ('P', "pattern", true),
    ('\0', "output-as", true),
];

/// `attrd_updater`.
pub fn updater(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(UPDATER, args);
    let (mut name, mut node, mut value) = (None, None, None);
    let (mut query, mut delete, mut all, mut nothing) = (false, false, false, false);
    while let Some((option, given)) = options.next()? {
        match option {
            "help" => {
                return help(
                    tool,
                    "attrd_updater",
                    "query and change transient attributes",
                    UPDATER,
                );
            }
            "version" => return version(tool),
            "name" => name = Some(given),
            "node" => node = Some(given),
            "update" | "update-both" => value = Some(given),
            "query" => query = true,
            "delete" => delete = true,
            "all" => all = true,
            "refresh" | "update-delay" => nothing = true,
            _ => {}
        }
    }
    if nothing && value.is_none() && !query && !delete {
        // Every value is in the CIB already, nothing waits to be written.
        return Ok(());
    }
    let name = name.ok_or_else(|| Failure::usage("which attribute?").cure("say -n NAME"))?;
    let root = tool.access.cib()?.into_root();
    if query && all {
        let states: Vec<&Element> = root
            .child("status")
            .into_iter()
            .flat_map(|status| status.children_named("node_state"))
            .collect();
        let mut found = false;
        for state in states {
            let (Some(id), Some(uname)) = (state.id(), state.get("uname")) else {
                continue;
            };
            if let Some(value) = change::transient(&root, id, &name) {
                found = true;
                writeln!(
                    tool.out,
                    "name=\"{name}\" host=\"{uname}\" value=\"{value}\""
                )?;
            }
        }
        return if found { Ok(()) } else { Err(missing(&name)) };
    }
    let uname = match node {
        Some(node) => node,
        None => local_node(tool)?,
    };
    let (uname, id) = known(&root, &uname)?;
    if query {
        let value = change::transient(&root, &id, &name).ok_or_else(|| missing(&name))?;
        writeln!(
            tool.out,
            "name=\"{name}\" host=\"{uname}\" value=\"{value}\""
        )?;
        return Ok(());
    }
    transient(
        tool,
        &uname,
        &id,
        &name,
        if delete { None } else { value.as_deref() },
    )
}

fn missing(name: &str) -> Failure {
    Failure::new(
        CrmExit::NO_SUCH,
        format!("Could not query value of {name}: attribute does not exist"),
    )
}
