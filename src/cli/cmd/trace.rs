//! `crm resource trace` and `untrace`: an agent writes what it does, for the operations that are named.

use super::{change, resource};
use crate::{
    cli::{args::Trace, failure::Failure, shell::Shell},
    terms::{CrmExit, span},
    xml::Element,
};

/// Operations that a resource has without being told.
const USUAL: [&str; 3] = ["start", "stop", "monitor"];

/// All that a cluster calls an agent for.
const CALLED: [&str; 9] = [
    "start",
    "stop",
    "monitor",
    "promote",
    "demote",
    "notify",
    "migrate_to",
    "migrate_from",
    "reload-agent",
];

/// Begin it, or end it.
pub(crate) fn run(shell: &mut Shell, trace: &Trace, on: bool) -> Result<(), Failure> {
    let id = trace.id.as_str();
    let mut found = 0;
    resource::edit(shell, |root| {
        let (element, _) =
            change::resource(root, id).ok_or_else(|| resource::no_resource(root, id))?;
        knows(element, id, trace)?;
        if !element.is("primitive") {
            return Err(Failure::usage(format!("{id} is a {}", element.tag()))
                .cure("name a primitive: agents are its alone"));
        }
        change::with_resource(root, id, &mut |element| {
            found = mark(element, id, trace, on);
        });
        Ok(())
    })?;
    if found == 0 {
        let what = trace.op.as_deref().unwrap_or("operation");
        return Err(
            Failure::new(CrmExit::NO_SUCH, format!("{id}: no {what} is traced"))
                .cure("crm configure show shows what is: op ... trace_ra=1"),
        );
    }
    if on {
        shell.say(&format!(
            "{id}: what its agent does is written where the agent keeps traces; crm resource untrace {id} ends it"
        ))?;
    }
    Ok(())
}

/// What is neither usual nor configured is never called.
fn knows(element: &Element, id: &str, trace: &Trace) -> Result<(), Failure> {
    let Some(name) = trace.op.as_deref() else {
        return Ok(());
    };
    let configured = element.child("operations").into_iter();
    let mut configured = configured.flat_map(Element::children);
    if CALLED.contains(&name) || configured.any(|op| op.get("name") == Some(name)) {
        return Ok(());
    }
    Err(
        Failure::usage(format!("{id} has no operation {name:?}")).cure(format!(
            "its agent is called for {}, and for what is configured",
            CALLED.join(", ")
        )),
    )
}

/// Set or take away the parameters; how many operations it was.
fn mark(element: &mut Element, id: &str, trace: &Trace, on: bool) -> usize {
    let interval_ms = trace
        .interval
        .as_deref()
        .map(|text| span::ms_or_zero(Some(text)));
    let fits = |op: &Element| {
        trace
            .op
            .as_deref()
            .is_none_or(|name| op.get("name") == Some(name))
            && interval_ms.is_none_or(|ms| span::ms_or_zero(op.get("interval")) == ms)
    };
    if on {
        let operations = element.child_or_new("operations");
        let named: Vec<&str> = trace
            .op
            .as_deref()
            .map_or_else(|| USUAL.to_vec(), |op| vec![op]);
        for name in named {
            let there = operations
                .children()
                .any(|op| op.get("name") == Some(name) && fits(op));
            // A recurring operation that is not configured does not run, and so is not traced.
            if !there && (name != "monitor" || trace.op.is_some()) {
                let interval = trace.interval.as_deref().unwrap_or("0");
                operations.push(
                    Element::new("op")
                        .with("id", format!("{id}-{name}-{interval}"))
                        .with("name", name)
                        .with("interval", interval),
                );
            }
        }
    }
    let Some(operations) = element.children_mut().find(|child| child.is("operations")) else {
        return 0;
    };
    let mut found = 0;
    for op in operations.children_mut().filter(|op| fits(op)) {
        let had = unmark(op);
        if on {
            let own = op.id().unwrap_or_default().to_owned();
            let mut pairs = vec![("trace_ra", "1")];
            pairs.extend(trace.folder.as_deref().map(|folder| ("trace_dir", folder)));
            let set = op.child_or_new("instance_attributes");
            if !set.has("id") {
                set.set("id", &format!("{own}-instance_attributes"));
            }
            for (name, value) in pairs {
                set.push(
                    Element::new("nvpair")
                        .with("id", format!("{own}-instance_attributes-{name}"))
                        .with("name", name)
                        .with("value", value),
                );
            }
        }
        found += usize::from(had || on);
    }
    // What was only made to be traced goes with it.
    if !on {
        operations.retain_children(|op| {
            let bare = op.children().next().is_none() && !op.has("timeout");
            let once = span::ms_or_zero(op.get("interval")) == 0;
            !(bare && once && op.attrs().len() == 3 && fits(op))
        });
        if operations.children().next().is_none() {
            element.retain_children(|child| !child.is("operations"));
        }
    }
    found
}

fn unmark(op: &mut Element) -> bool {
    let mut had = false;
    for set in op
        .children_mut()
        .filter(|child| child.is("instance_attributes"))
    {
        set.retain_children(|pair| {
            let ours = matches!(pair.get("name"), Some("trace_ra" | "trace_dir"));
            had |= ours;
            !ours
        });
    }
    op.retain_children(|set| !set.is("instance_attributes") || set.children().next().is_some());
    had
}

#[cfg(test)]
mod tests {
    use super::*;

    fn primitive() -> Element {
        let text = "<primitive id='a' class='ocf' provider='x' type='y'><operations>\
            <op id='m' name='monitor' interval='10s'/></operations></primitive>";
        crate::xml::parse(text.as_bytes(), &crate::xml::Limits::CIB).expect("well-formed")
    }

    #[test]
    fn what_was_traced_is_as_it_was_before() {
        let trace = Trace {
            id: "a".into(),
            op: None,
            interval: None,
            folder: Some("/t".into()),
        };
        let mut element = primitive();
        assert_eq!(mark(&mut element, "a", &trace, true), 3);
        let traced = element
            .descendants()
            .filter(|pair| pair.get("name") == Some("trace_ra"));
        assert_eq!(traced.count(), 3);
        assert_eq!(mark(&mut element, "a", &trace, false), 3);
        assert_eq!(element, primitive());
        assert_eq!(mark(&mut element, "a", &trace, false), 0);
    }
}
