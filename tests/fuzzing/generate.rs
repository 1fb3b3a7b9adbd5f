//! One seed, one CIB. Three ways lead to one: a status thrown together, a status that the cluster lived through, and a
//! recorded case that was changed.

use std::path::Path;

use systole::graph::ActionKind;
use systole::policy::{self, Input};
use systole::simulate::{Draft, Injections, Known, OpSpec, execute, inject};
use systole::xml::{self, Element, Limits, Node};

use crate::config::{self, Flavour};
use crate::dice::Dice;
use crate::status::{self, NOW_S};

/// The input of a run on this CIB: its own time when it has one.
pub(crate) fn input(cib: &Element) -> Input {
    let date = cib.get("execution-date").and_then(|text| text.parse().ok());
    Input {
        sanitized: true,
        ..Input::at(date.unwrap_or(NOW_S))
    }
}

/// A CIB from nothing.
pub(crate) fn cib(seed: u64, flavour: Flavour) -> Element {
    let mut dice = Dice::new(seed);
    let (world, configuration) = config::configuration(&mut dice, flavour);
    let status = status::status(&mut dice, &world);
    let mut cib = Element::new("cib")
        .with("crm_feature_set", "3.16.0")
        .with("validate-with", "pacemaker-3.9")
        .with("epoch", "1")
        .with("num_updates", "0")
        .with("admin_epoch", "0")
        .with("have-quorum", if dice.chance(90) { "1" } else { "0" })
        .with("dc-uuid", &world.nodes[0].1)
        .with("execution-date", NOW_S.to_string())
        .with_child(configuration)
        .with_child(status);
    if dice.chance(40) {
        for _ in 0..dice.range(1, 3) {
            cib = live(&mut dice, cib);
        }
    }
    cib
}

/// What becomes of a CIB when its plan is carried out, some of it fails, and then something happens to a node.
fn live(dice: &mut Dice, cib: Element) -> Element {
    let outcome = policy::schedule(&cib, &input(&cib));
    let mut draft = Draft::new(&cib, NOW_S);
    let mut failures = Vec::new();
    for action in outcome.graph.actions() {
        let Some(node) = &action.node else { continue };
        if action.kind == ActionKind::Resource && dice.chance(4) {
            let rc = dice.one_of(&[1, 5, 7]);
            let text = format!("{}@{}={rc}", action.key, node.name);
            if let Ok(spec) = text.parse::<OpSpec>() {
                failures.push((text, spec));
            }
        }
    }
    // A status that names a node twice is one that nothing can be tried on.
    if execute(
        &outcome.graph,
        &mut draft,
        &Known::of(&outcome.facts),
        &failures,
    )
    .is_err()
    {
        return cib;
    }
    let names: Vec<String> = node_names(&cib);
    let mut wanted = Injections::default();
    if !names.is_empty() && dice.chance(50) {
        let name = names[dice.below(names.len())].clone();
        match dice.below(3) {
            0 => wanted.up.push(name),
            1 => wanted.down.push(name),
            _ => wanted.fail.push(name),
        }
    }
    let facts = policy::facts::read(draft.cib(), &input(&cib));
    match inject(&mut draft, &wanted, &facts) {
        Ok(_) => {
            let mut cib = draft.cib().clone();
            forget_cancelled(&mut cib);
            cib
        }
        Err(_) => cib,
    }
}

/// The simulation writes a cancellation down as a result; a node forgets the monitor instead.
fn forget_cancelled(cib: &mut Element) {
    for at in places(cib) {
        let Some(entry) = cib.at_mut(&at).filter(|element| element.is("lrm_resource")) else {
            continue;
        };
        let cancelled: Vec<String> = entry
            .children()
            .filter(|row| row.get("operation") == Some("cancel"))
            .filter_map(|row| row.get("interval").map(str::to_owned))
            .collect();
        if !cancelled.is_empty() {
            entry.retain_children(|row| {
                let gone = |interval| cancelled.iter().any(|other| other == interval);
                !row.get("interval").is_some_and(gone)
            });
        }
    }
}

fn node_names(cib: &Element) -> Vec<String> {
    let nodes = cib.descend(&["configuration", "nodes"]);
    nodes
        .into_iter()
        .flat_map(Element::children)
        .filter_map(|node| node.get("uname").map(str::to_owned))
        .collect()
}

/// A recorded case that was changed, or composed with another one.
pub(crate) fn mutant(seed: u64, cases: &[std::path::PathBuf]) -> Element {
    let mut dice = Dice::new(seed);
    let mut cib = read(&cases[dice.below(cases.len())]);
    let other = read(&cases[dice.below(cases.len())]);
    for _ in 0..dice.range(1, 6) {
        mutate(&mut dice, &mut cib, &other);
    }
    cib
}

/// A CIB from a file.
pub(crate) fn read(path: &Path) -> Element {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    xml::parse(&bytes, &Limits::default())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where an element stands: positions from the root down.
pub(crate) type At = Vec<usize>;

/// All elements below the root, parents first.
pub(crate) fn places(root: &Element) -> Vec<At> {
    fn walk(element: &Element, at: &mut At, found: &mut Vec<At>) {
        for (index, node) in element.nodes().iter().enumerate() {
            if let Node::Element(child) = node {
                at.push(index);
                found.push(at.clone());
                walk(child, at, found);
                at.pop();
            }
        }
    }
    let mut found = Vec::new();
    walk(root, &mut Vec::new(), &mut found);
    found
}

/// Deep enough not to be a section itself.
fn inner(root: &Element) -> Vec<At> {
    let mut all = places(root);
    all.retain(|at| at.len() > 2);
    all
}

fn mutate(dice: &mut Dice, cib: &mut Element, other: &Element) {
    let all = inner(cib);
    if all.is_empty() {
        return;
    }
    let at = all[dice.below(all.len())].clone();
    let (last, parent) = at.split_last().expect("inner places are deep");
    match dice.below(10) {
        // Something is gone.
        0..3 => {
            if let Some(parent) = cib.at_mut(parent) {
                parent.nodes_mut().remove(*last);
            }
        }
        // Something stands twice.
        3 => {
            if let Some(parent) = cib.at_mut(parent) {
                let copy = parent.nodes()[*last].clone();
                parent.nodes_mut().insert(*last, copy);
            }
        }
        // An attribute says what another one of its name says elsewhere.
        4..8 => {
            let Some(element) = cib.at(&at) else { return };
            let attributes: Vec<String> = element.attrs().map(|(name, _)| name.into()).collect();
            if attributes.is_empty() {
                return;
            }
            let name = attributes[dice.below(attributes.len())].clone();
            let donor: &Element = if dice.chance(50) { other } else { cib };
            let values: Vec<String> = donor
                .descendants()
                .filter(|e| e.is(element.tag()))
                .filter_map(|e| e.get(&name).map(str::to_owned))
                .collect();
            let value = match values.len() {
                0 => dice.pick(&["", "0", "true", "INFINITY", "x"]).to_owned(),
                count => values[dice.below(count)].clone(),
            };
            if let Some(element) = cib.at_mut(&at) {
                element.set(&name, &value);
            }
        }
        // An attribute is gone.
        8 => {
            let Some(element) = cib.at_mut(&at) else {
                return;
            };
            let attributes: Vec<String> = element.attrs().map(|(name, _)| name.into()).collect();
            if !attributes.is_empty() {
                element.unset(&attributes[dice.below(attributes.len())]);
            }
        }
        // A child of the other CIB comes into the section of the same name.
        _ => {
            let Some(parent_tag) = cib.at(parent).map(|e| e.tag().to_owned()) else {
                return;
            };
            let found: Vec<&Element> = other
                .descendants()
                .filter(|e| e.is(&parent_tag))
                .flat_map(Element::children)
                .collect();
            if found.is_empty() {
                return;
            }
            let child = found[dice.below(found.len())].clone();
            if let Some(parent) = cib.at_mut(parent) {
                parent.push(child);
            }
        }
    }
}
