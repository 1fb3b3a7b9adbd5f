//! Whether the orders of a configuration contradict each other: then nobody can follow them to the end.

use std::collections::{BTreeMap, BTreeSet};

use systole::xml::Element;

/// An action of an outermost resource.
type Step<'a> = (&'a str, &'a str);

/// What comes after what.
#[derive(Default)]
struct Orders<'a> {
    top: BTreeMap<&'a str, &'a str>,
    follows: BTreeMap<Step<'a>, BTreeSet<Step<'a>>>,
}

/// True when following "first, then" from some action of an outermost resource leads back to it.
pub(crate) fn contradictory(cib: &Element) -> bool {
    Orders::of(cib).is_some_and(|orders| orders.has_circle())
}

/// The same, when everything may run inside of a guest: what does, ends before its host and begins after it. And what may never
/// be together leaves before the other comes; to be promoted is a way to leave, too.
pub(crate) fn contradictory_in_places(cib: &Element) -> bool {
    Orders::of(cib).is_some_and(|mut orders| {
        orders.add_guests(cib);
        orders.add_apart(cib);
        orders.has_circle()
    })
}

/// What undoes an action.
fn inverse(action: &str) -> &'static str {
    match action {
        "stop" => "start",
        "promote" => "demote",
        "demote" => "promote",
        _ => "stop",
    }
}

impl<'a> Orders<'a> {
    fn of(cib: &'a Element) -> Option<Self> {
        let resources = cib.descend(&["configuration", "resources"])?;
        let mut orders = Orders::default();
        for outer in resources.children() {
            for inner in outer.descendants() {
                if let (Some(id), Some(outer)) = (inner.id(), outer.id()) {
                    orders.top.insert(id, outer);
                }
            }
        }
        let tops: BTreeSet<&str> = orders.top.values().copied().collect();
        // A resource that is started again is stopped before.
        for top in tops {
            for (first, then) in [
                ("demote", "stop"),
                ("stop", "start"),
                ("start", "promote"),
                ("demote", "promote"),
            ] {
                orders.add((top, first), (top, then));
            }
        }
        let constraints = cib.descend(&["configuration", "constraints"]);
        let written = constraints
            .into_iter()
            .flat_map(|all| all.children_named("rsc_order"));
        for order in written {
            orders.constraint(order);
        }
        Some(orders)
    }

    fn constraint(&mut self, order: &'a Element) {
        let symmetrical =
            order.get("symmetrical") != Some("false") && order.get("kind") != Some("Serialize");
        let plain = order.get("first-action").unwrap_or("start");
        let ends = [
            order.get("first").map(|first| (first, plain)),
            order
                .get("then")
                .map(|then| (then, order.get("then-action").unwrap_or(plain))),
        ];
        let of_set = |set: &'a Element| {
            let action = set.get("action").unwrap_or("start");
            let refs = set.children().filter_map(Element::id);
            refs.map(move |id| (id, action)).collect::<Vec<_>>()
        };
        let in_sets = order.children_named("resource_set").flat_map(of_set);
        let all: Vec<Step<'a>> = ends.into_iter().flatten().chain(in_sets).collect();
        for (at, first) in all.iter().enumerate() {
            for then in &all[at + 1..] {
                self.add(*first, *then);
                if symmetrical {
                    let back = |step: Step<'a>| (step.0, inverse(step.1));
                    self.add(back(*then), back(*first));
                }
            }
        }
    }

    /// `first` and `then` by the ids that are written.
    fn add(&mut self, first: Step<'a>, then: Step<'a>) {
        if let (Some(one), Some(two)) = (self.top.get(first.0), self.top.get(then.0)) {
            let after = self.follows.entry((one, first.1)).or_default();
            after.insert((two, then.1));
        }
    }

    fn add_guests(&mut self, cib: &'a Element) {
        let named = |element: &&Element| element.get("name") == Some("remote-node");
        let host = |outer: &'a Element| {
            let host = outer.descendants().any(|inner| named(&inner));
            outer.id().filter(|_| host || outer.is("bundle"))
        };
        let resources = cib.descend(&["configuration", "resources"]);
        let hosts: Vec<&str> = resources
            .into_iter()
            .flat_map(Element::children)
            .filter_map(host)
            .collect();
        let tops: BTreeSet<&str> = self.top.values().copied().collect();
        for host in hosts {
            for top in tops.iter().filter(|top| **top != host) {
                self.add((host, "start"), (top, "start"));
                self.add((top, "stop"), (host, "stop"));
            }
        }
    }

    fn add_apart(&mut self, cib: &'a Element) {
        let constraints = cib.descend(&["configuration", "constraints"]);
        let apart = constraints
            .into_iter()
            .flat_map(|all| all.children_named("rsc_colocation"))
            .filter(|one| one.get("score") == Some("-INFINITY"));
        for one in apart {
            let side =
                |id: &str, role: &str| Some((one.get(id)?, one.get(role).unwrap_or("Started")));
            let (Some(dependent), Some(primary)) =
                (side("rsc", "rsc-role"), side("with-rsc", "with-rsc-role"))
            else {
                continue;
            };
            for (first, then) in [(dependent, primary), (primary, dependent)] {
                let leaves: &[&str] = match first.1 {
                    "Promoted" | "Master" => &["demote"],
                    "Unpromoted" | "Slave" => &["promote", "stop"],
                    _ => &["stop"],
                };
                let comes: &[&str] = match then.1 {
                    "Promoted" | "Master" => &["promote"],
                    "Unpromoted" | "Slave" => &["demote", "start"],
                    _ => &["start"],
                };
                for leave in leaves {
                    for come in comes {
                        self.add((first.0, leave), (then.0, come));
                    }
                }
            }
        }
    }

    fn has_circle(&self) -> bool {
        self.follows.keys().any(|start| {
            let mut open: Vec<Step<'_>> = self.follows[start].iter().copied().collect();
            let mut seen = BTreeSet::new();
            while let Some(next) = open.pop() {
                if next == *start {
                    return true;
                }
                if seen.insert(next) {
                    open.extend(self.follows.get(&next).into_iter().flatten());
                }
            }
            false
        })
    }
}
