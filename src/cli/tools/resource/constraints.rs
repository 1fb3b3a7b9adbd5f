//! `--constraints` and `--stack`: where a resource may be, and with what, from resource to resource.

use std::collections::BTreeSet;

use crate::{
    cli::{
        cmd::facts_of,
        failure::Failure,
        show::{Entry, Page},
        tools::Tool,
    },
    policy::{
        ColIdx, RscIdx,
        constraints::{self, Colocation, Constraints},
        facts::Facts,
        report::Cause,
    },
    terms::Role,
    xml::Element,
};

use super::{Asked, found};

/// Show them.
pub(super) fn show(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let id = asked.need_rsc()?;
    let cib = tool.access.cib()?;
    let facts = facts_of(&cib);
    let given = found(&facts, &cib, id)?;
    // Constraints are written for the whole; those for a member are seldom meant.
    let rsc = if asked.force {
        given
    } else {
        facts.top_of(given)
    };
    let mut walk = Walk {
        constraints: constraints::read(&facts, cib.root()),
        written: cib.root().descend(&["configuration", "constraints"]),
        facts: &facts,
        recursive: asked.recursive,
        seen: BTreeSet::new(),
        elements: Vec::new(),
    };
    let mut entries: Vec<Entry> = walk.locations(rsc).into_iter().collect();
    // A way that came back to where it began says nothing about the other direction.
    entries.extend(walk.colocations(rsc, false));
    walk.seen.clear();
    entries.extend(walk.colocations(rsc, true));
    for entry in &entries {
        let mut page = Page::new();
        page.entry(0, entry);
        tool.line(page.text().trim_end())?;
    }
    tool.element(Element::new("constraints").with_children(walk.elements));
    Ok(())
}

/// A walk along colocations.
struct Walk<'a> {
    facts: &'a Facts,
    constraints: Constraints,
    /// The constraints as somebody wrote them.
    written: Option<&'a Element>,
    recursive: bool,
    /// Resources whose colocations are being shown, or were.
    seen: BTreeSet<RscIdx>,
    /// What the document holds, in the order of the text.
    elements: Vec<Element>,
}

impl Walk<'_> {
    fn id(&self, rsc: RscIdx) -> &str {
        self.facts.rscs[rsc].printable_id().as_str()
    }

    fn locations(&mut self, rsc: RscIdx) -> Option<Entry> {
        let name = self.id(rsc).to_owned();
        let mut entries = Vec::new();
        // The last one written is the first to be applied, and told.
        for location in self.constraints.locations.iter().rev() {
            // Health acts like a location, but nobody wrote it.
            if location.rsc != rsc || matches!(location.cause, Cause::Health { .. }) {
                continue;
            }
            for (node, score) in location.nodes.iter().rev() {
                let node = self.facts.nodes[*node].name.as_str();
                let (id, score) = (shown_id(self.written, &location.id), score.to_string());
                entries.push(Entry::Item(format!(
                    "Node {node} (score={score}, id={id}, rsc={name})"
                )));
                self.elements.push(
                    Element::new("rsc_location")
                        .with("node", node)
                        .with("rsc", &name)
                        .with("id", id)
                        .with("score", score),
                );
            }
        }
        (!entries.is_empty()).then(|| Entry::List("Locations".into(), entries))
    }

    /// What is colocated with the resource, or (`upward`) what the resource is colocated with.
    fn colocations(&mut self, rsc: RscIdx, upward: bool) -> Option<Entry> {
        self.seen.insert(rsc);
        let name = self.id(rsc).to_owned();
        let mut entries = Vec::new();
        for index in self.listed(rsc, upward) {
            let colocation = self.constraints.colocations[index].clone();
            let other = if upward {
                colocation.primary
            } else {
                colocation.dependent
            };
            self.elements.push(self.element(&colocation));
            let other_name = self.id(other).to_owned();
            if self.seen.contains(&other) {
                entries.push(Entry::Item(format!(
                    "{other_name} (id={} - loop)",
                    colocation.id
                )));
                continue;
            }
            let line = format!("{other_name} ({})", notes(&colocation, upward));
            let mut below: Vec<Entry> = self.locations(other).into_iter().collect();
            if self.recursive {
                below.extend(self.colocations(other, upward));
            }
            entries.push(Entry::Item(line));
            if !below.is_empty() {
                entries.push(Entry::List(String::new(), below));
            }
        }
        let title = if upward {
            format!("Resources {name} is colocated with")
        } else {
            format!("Resources colocated with {name}")
        };
        (!entries.is_empty()).then_some(Entry::List(title, entries))
    }

    /// Colocations that somebody wrote, on one side of a resource.
    fn listed(&self, rsc: RscIdx, upward: bool) -> Vec<ColIdx> {
        let list = if upward {
            &self.constraints.this_with[rsc]
        } else {
            &self.constraints.with_this[rsc]
        };
        let mut list: Vec<ColIdx> = list
            .iter()
            .copied()
            .filter(|index| !self.constraints.colocations[*index].id.starts_with('#'))
            .collect();
        if !upward {
            list.sort_by_key(|index| {
                let dependent = self.constraints.colocations[*index].dependent;
                self.id(dependent).to_owned()
            });
        }
        list
    }

    fn element(&self, colocation: &Colocation) -> Element {
        let role = |role: Role| {
            matches!(role, Role::Promoted | Role::Unpromoted).then(|| role.to_string())
        };
        Element::new("rsc_colocation")
            .with("id", &colocation.id)
            .with("rsc", self.id(colocation.dependent))
            .with("with-rsc", self.id(colocation.primary))
            .with("score", colocation.score.to_string())
            .with("node-attribute", &colocation.node_attribute)
            .with_some("rsc-role", role(colocation.dependent_role))
            .with_some("with-rsc-role", role(colocation.primary_role))
    }
}

/// A location by rule goes by the name of the rule.
fn shown_id<'a>(written: Option<&'a Element>, id: &'a str) -> &'a str {
    let constraint = written.and_then(|written| written.child_by_id("rsc_location", id));
    let rule = constraint.and_then(|constraint| constraint.child("rule"));
    rule.and_then(Element::id).unwrap_or(id)
}

fn notes(colocation: &Colocation, upward: bool) -> String {
    let mut notes = vec![format!("score={}", colocation.score)];
    // It is the role of the primary that counts, for both.
    let role = colocation.primary_role;
    let word = if upward { "with" } else { "needs" };
    if matches!(role, Role::Promoted | Role::Unpromoted) {
        notes.push(format!("{word} role={role}"));
    }
    notes.push(format!("id={}", colocation.id));
    notes.join(", ")
}

/// Every resource that follows one by colocations, nearest first, each once.
pub(super) fn followers(facts: &Facts, constraints: &Constraints, rsc: RscIdx) -> Vec<RscIdx> {
    fn add(facts: &Facts, constraints: &Constraints, rsc: RscIdx, out: &mut Vec<RscIdx>) {
        out.push(rsc);
        let mut next: Vec<RscIdx> = constraints.with_this[rsc]
            .iter()
            .map(|index| &constraints.colocations[*index])
            .filter(|colocation| {
                !colocation.id.starts_with('#') && colocation.score > crate::terms::Score::ZERO
            })
            .map(|colocation| colocation.dependent)
            .collect();
        next.sort_by_key(|rsc| facts.rscs[*rsc].id.clone());
        for follower in next {
            if !out.contains(&follower) {
                add(facts, constraints, follower, out);
            }
        }
    }
    let mut out = Vec::new();
    add(facts, constraints, rsc, &mut out);
    out
}
