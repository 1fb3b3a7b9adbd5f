//! The table of what series 3.0 decides otherwise than 2.1 by the specification, and which resources of a case each of it
//! touches.

use std::collections::{BTreeMap, BTreeSet};

use super::case::{Case, Tops, of_summary};
use crate::policy::{NodeIdx, RscIdx};
use crate::xml::Element;

/// A way in which series 3.0 differs from 2.1 by the specification.
pub(super) struct Explained {
    pub(super) what: &'static str,
    pub(super) spec: &'static str,
    /// Where it can be at work here.
    pub(super) touches: fn(&Case<'_>) -> Tops,
}

/// All of them; an explanation counts only where it touches something.
pub(super) const EXPLAINED: [Explained; 13] = [
    Explained {
        what: "preferences are merged otherwise for negative scores, along chains, in groups and clones",
        spec: "spec 2 §10.5.1, §13.4, §22",
        touches: colocated,
    },
    Explained {
        what: "a member that can't stop keeps the one in front of it from starting",
        spec: "spec 3 §9.2 rule 7, §14.4, §20",
        touches: held_groups,
    },
    Explained {
        what: "an instance does not start before probes that can't run",
        spec: "spec 3 §7.2 (a) 1",
        touches: clones_that_wait_for_probes,
    },
    Explained {
        what: "a second ordering of the same two is not lost behind one of kind Serialize",
        spec: "spec 3 §1.4, §10.1",
        touches: serialized_twice,
    },
    Explained {
        what: "an expired failure says nothing of the role, and starts no monitor anew without a digest",
        spec: "spec 1 §22.3, §22.4",
        touches: expired,
    },
    Explained {
        what: "an instance stays, or its members stop, when the places that it likes better are kept for others",
        spec: "spec 2 §13.4 step 4",
        touches: stays,
    },
    Explained {
        what: "what runs, unmanaged, on a node that is away counts for its group and clone, too",
        spec: "spec 1 §26 step 3, case unmanaged-promoted",
        touches: unmanaged_on_lost_nodes,
    },
    Explained {
        what: "an unmanaged instance too many takes no place of its clone",
        spec: "spec 2 §13.4, assign-instance step 2",
        touches: unmanaged_and_too_many,
    },
    Explained {
        what: "what is not managed is not started, and nothing waits for that",
        spec: "spec 3 §3.4, §8.10",
        touches: unmanaged_and_running,
    },
    Explained {
        what: "a probe that is under way is no changed definition",
        spec: "our own rule, spec 1 §28.5",
        touches: probed_now,
    },
    Explained {
        what: "instances of a clone with clone-node-max above 1 are unique unless it says otherwise",
        spec: "spec 1 §11.3",
        touches: several_to_a_node,
    },
    Explained {
        what: "of two blocks of transient attributes the last says how often a resource failed, and when",
        spec: "spec 1 §4.2, §8.3",
        touches: counted_twice,
    },
    Explained {
        what: "fail counts name the operation; 2.1 looks for other names where the feature set is below 3.0.13",
        spec: "spec 1 §25.1",
        touches: counted_by_operation,
    },
];

/// Colocations that are not alone, or are not between two primitives outside of groups and clones, or repel. One that is
/// left must be the same.
fn colocated(case: &Case<'_>) -> Tops {
    let simple = |id: &str| {
        let rsc = case.facts.rsc_by_id(id).map(|rsc| &case.facts.rscs[rsc]);
        rsc.is_some_and(|rsc| rsc.is_primitive() && rsc.parent.is_none())
    };
    let all = || case.cib.descendants().filter(|e| e.is("rsc_colocation"));
    let differs = |one: &&Element| {
        let tops = case.named_in(one);
        let alone = all()
            .filter(|other| !case.named_in(other).is_disjoint(&tops))
            .count()
            == 1;
        let repels = one.get("score").is_some_and(|score| score.starts_with('-'));
        repels || !alone || tops.len() > 2 || tops.iter().any(|top| !simple(top))
    };
    all()
        .filter(differs)
        .flat_map(|one| case.named_in(one))
        .collect()
}

/// Groups in which we say that something can't be done.
fn held_groups(case: &Case<'_>) -> Tops {
    let words = ["blocked", "unrunnable", "unmigrateable"];
    let held = case
        .ours
        .summary
        .iter()
        .filter(|line| words.iter().any(|word| line.contains(word)));
    let tops = held
        .filter_map(|line| of_summary(line))
        .filter_map(|rsc| case.top(rsc));
    let has_group = |top: &&str| {
        let element = case.cib.descendants().find(|e| e.id() == Some(*top));
        element.is_some_and(|e| e.descendants().any(|inner| inner.is("group")))
    };
    tops.filter(has_group).map(str::to_owned).collect()
}

/// Clones without an active instance, when a node is joining: there, nothing can be asked yet.
fn clones_that_wait_for_probes(case: &Case<'_>) -> Tops {
    let joining = case
        .facts
        .nodes
        .iter()
        .any(|node| node.online && node.pending);
    let rscs = &case.facts.rscs;
    let waits = |rsc: &RscIdx| {
        let mut instances = rscs[*rsc].children.iter();
        instances.any(|instance| rscs[*instance].active.is_empty())
    };
    let clones = case.clones().filter(|_| joining).filter(waits);
    clones.filter_map(|rsc| case.top_named(rsc)).collect()
}

/// What is being looked for somewhere.
fn probed_now(case: &Case<'_>) -> Tops {
    let under_way = |row: &Element| {
        row.get("operation") == Some("monitor")
            && row.get("interval") == Some("0")
            && row.get("op-status") == Some("-1")
    };
    let entries = case.cib.descendants().filter(|e| e.is("lrm_resource"));
    let probed = entries.filter(|entry| entry.children().any(under_way));
    let ids = probed.filter_map(Element::id);
    ids.filter_map(|id| case.top(id))
        .map(str::to_owned)
        .collect()
}

/// What runs without being managed: it may be failed, or run too often, and then 2.1 wants it started.
fn unmanaged_and_running(case: &Case<'_>) -> Tops {
    let rscs = &case.facts.rscs;
    let left = |rsc: &RscIdx| !rscs[*rsc].flags.managed && !rscs[*rsc].active.is_empty();
    let left = rscs.indexes().filter(left);
    left.filter_map(|rsc| case.top_named(rsc)).collect()
}

fn serialized_twice(case: &Case<'_>) -> Tops {
    let orders = || case.cib.descendants().filter(|e| e.is("rsc_order"));
    let twice = orders().filter(|one| {
        let same = |other: &&Element| {
            other.get("first") == one.get("first") && other.get("then") == one.get("then")
        };
        one.get("kind") == Some("Serialize") && orders().filter(same).count() > 1
    });
    twice.flat_map(|one| case.named_in(one)).collect()
}

/// What was found promoted, or failed so or in a recurring monitor, and forgets failures in time.
fn expired(case: &Case<'_>) -> Tops {
    if !case
        .cib
        .descendants()
        .any(|e| e.get("name") == Some("failure-timeout"))
    {
        return Tops::new();
    }
    let entries = case.cib.descendants().filter(|e| e.is("lrm_resource"));
    let failed = entries.filter(|entry| {
        let recurs = |row: &Element| row.get("interval").is_some_and(|interval| interval != "0");
        entry.children().any(|row| {
            let code = row.get("rc-code").unwrap_or("0");
            matches!(code, "8" | "9") || code != "0" && recurs(row)
        })
    });
    let ids = failed.filter_map(Element::id);
    ids.filter_map(|id| case.top(id))
        .map(str::to_owned)
        .collect()
}

/// Clones of which an instance goes elsewhere there, and not here; when none may run, it shows in which one probes a node.
fn stays(case: &Case<'_>) -> Tops {
    let clones: Tops = case
        .clones()
        .filter_map(|rsc| case.top_named(rsc))
        .collect();
    let goes = |line: &&String| line.contains(" -> ") && !case.ours.summary.contains(line);
    let gone = case.theirs.summary.iter().filter(goes);
    let probed = |rows: &[String]| -> BTreeSet<(String, String)> {
        let probe = |row: &String| {
            let (rsc, node) = row.strip_prefix("rsc_op ")?.split_once("_monitor_0 ")?;
            Some((rsc.to_owned(), node.split(" <- ").next()?.to_owned()))
        };
        rows.iter().filter_map(probe).collect()
    };
    let (there, here) = (probed(&case.theirs.graph), probed(&case.ours.graph));
    let base = |rsc: &str| rsc.split(':').next().unwrap_or_default().to_owned();
    let by_another = there.difference(&here).filter(|(rsc, node)| {
        let mut others = here.difference(&there);
        others.any(|(other, at)| at == node && base(other) == base(rsc))
    });
    let rscs = gone.filter_map(|line| of_summary(line));
    let rscs = rscs.chain(by_another.map(|(rsc, _)| rsc.as_str()));
    let tops = rscs.filter_map(|rsc| case.top(rsc));
    tops.filter(|top| clones.contains(*top))
        .map(str::to_owned)
        .collect()
}

fn unmanaged_on_lost_nodes(case: &Case<'_>) -> Tops {
    let lost = |node: &NodeIdx| !case.facts.nodes[*node].online;
    let there = |rsc: &RscIdx| {
        let it = &case.facts.rscs[*rsc];
        it.is_primitive() && it.parent.is_some() && !it.flags.managed && it.active.iter().any(lost)
    };
    let all = case.facts.rscs.indexes().filter(there);
    all.filter_map(|rsc| case.top_named(rsc)).collect()
}

/// Clones of more instances than they should have, which run and are not managed.
fn unmanaged_and_too_many(case: &Case<'_>) -> Tops {
    let there = |rsc: &RscIdx| {
        let it = &case.facts.rscs[*rsc];
        let runs = it.is_primitive() && !it.active.is_empty();
        runs && it.parent.is_some() && it.flags.removed && !it.flags.managed
    };
    let all = case.facts.rscs.indexes().filter(there);
    all.filter_map(|rsc| case.top_named(rsc)).collect()
}

/// Clones that want several instances on a node, and say nothing of globally-unique.
fn several_to_a_node(case: &Case<'_>) -> Tops {
    let says = |one: &Element, name: &str, is: fn(&str) -> bool| {
        let mut pairs = one.descendants().filter(|pair| pair.is("nvpair"));
        pairs.any(|pair| pair.get("name") == Some(name) && pair.get("value").is_some_and(is))
    };
    let several = |one: &&Element| {
        (one.is("clone") || one.is("master"))
            && says(one, "clone-node-max", |value| value != "1")
            && !says(one, "globally-unique", |_| true)
    };
    let clones = case.cib.descendants().filter(several);
    clones
        .filter_map(Element::id)
        .filter_map(|id| case.top(id))
        .map(str::to_owned)
        .collect()
}

/// What a node counts the failures of in two blocks that don't say the same: 2.1 takes the first of them.
fn counted_twice(case: &Case<'_>) -> Tops {
    let failures = |name: &str| {
        let kinds = ["fail-count-", "last-failure-"];
        let counted = kinds.iter().find_map(|kind| name.strip_prefix(kind));
        counted.and_then(|counted| Some(counted.split_once('#')?.0.to_owned()))
    };
    let mut rscs = Tops::new();
    let all = case.cib.descendants();
    for attributes in all.filter(|e| e.is("transient_attributes")) {
        let mut said: BTreeMap<&str, &str> = BTreeMap::new();
        for block in attributes.children_named("instance_attributes") {
            for pair in block.children() {
                let (Some(name), Some(value)) = (pair.get("name"), pair.get("value")) else {
                    continue;
                };
                if *said.entry(name).or_insert(value) != value {
                    rscs.extend(failures(name));
                }
            }
        }
    }
    let tops = rscs.iter().filter_map(|rsc| case.top(rsc));
    tops.map(str::to_owned).collect()
}

/// Resources with fail counts of operations in a CIB whose feature set is so old that 2.1 does not read these.
fn counted_by_operation(case: &Case<'_>) -> Tops {
    let set = case.cib.get("crm_feature_set").unwrap_or_default();
    let numbers: Vec<u32> = set.split('.').map_while(|it| it.parse().ok()).collect();
    if numbers >= vec![3, 0, 13] {
        return Tops::new();
    }
    let pairs = case.cib.descendants().filter(|e| e.is("nvpair"));
    let names = pairs.filter_map(|pair| pair.get("name")?.strip_prefix("fail-count-"));
    names
        .filter_map(|name| case.top(name.split_once('#')?.0))
        .map(str::to_owned)
        .collect()
}
