//! Where series 3.0 differs from 2.1 by the specification, so that an older program may be asked.
//!
//! Each explanation says which resources it touches in this case. What is said about these, and about all that is linked to
//! them by constraints, is left out on both sides; the rest must be the same. Some differences are single rows of the
//! graph that change nothing else; these are taken out one by one (`rows`).

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::facts::{self, Facts, Kind};
use crate::policy::{Input, NodeIdx, RscIdx};
use crate::xml::Element;

use super::Answer;

/// Ids of outermost resources.
type Tops = BTreeSet<String>;

/// What both sides said about a CIB, and what the policy takes for true in it.
#[derive(Debug)]
pub struct Case<'c> {
    cib: &'c Element,
    theirs: Answer,
    ours: Answer,
    facts: Facts,
    /// The outermost resource that something is, or is in.
    top: BTreeMap<String, String>,
}

/// A way in which series 3.0 differs from 2.1 by the specification.
struct Explained {
    what: &'static str,
    spec: &'static str,
    /// Where it can be at work here.
    touches: fn(&Case<'_>) -> Tops,
}

const EXPLAINED: [Explained; 13] = [
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

impl<'c> Case<'c> {
    /// All that is known of a case.
    #[must_use]
    pub fn new(cib: &'c Element, input: &Input, theirs: Answer, ours: Answer) -> Self {
        let resources = cib.descend(&["configuration", "resources"]);
        let mut top = BTreeMap::new();
        for outer in resources.into_iter().flat_map(Element::children) {
            for inner in outer.descendants() {
                if let (Some(id), Some(outer)) = (inner.id(), outer.id()) {
                    top.insert(id.to_owned(), outer.to_owned());
                }
            }
        }
        let facts = facts::read(cib, input);
        Case {
            cib,
            theirs,
            ours,
            facts,
            top,
        }
    }

    /// The explanations that are enough; nothing when even all of them are not.
    #[must_use]
    pub fn explained(mut self) -> Option<String> {
        let none = Tops::new();
        if self.theirs.summary == self.ours.summary
            && self.theirs.scores == self.ours.scores
            && self.same_but_for(&none, false)
        {
            return Some("more actions wait for probes (spec 3 §7.2, §20)".to_owned());
        }
        (self.theirs.scores, self.ours.scores) = self.without_rules_on_unusable_nodes();
        if self.same_but_for(&none, false) {
            return Some("rules count on nodes that can run nothing (spec 2 §7.4)".to_owned());
        }
        let at_work: Vec<(&Explained, Tops)> = EXPLAINED
            .iter()
            .map(|one| (one, (one.touches)(&self)))
            .filter(|(_, tops)| !tops.is_empty())
            .collect();
        // Those first that need no more to be left out.
        for ties in [false, true] {
            let single = at_work
                .iter()
                .find(|(_, tops)| self.same_but_for(tops, ties));
            if let Some((one, _)) = single {
                let then = if ties {
                    ", and then other nodes are taken among equals"
                } else {
                    ""
                };
                return Some(format!("{}{then} ({})", one.what, one.spec));
            }
            let all: Tops = at_work.iter().flat_map(|(_, tops)| tops.clone()).collect();
            if at_work.len() > 1 && self.same_but_for(&all, ties) {
                return Some("several of these together".to_owned());
            }
        }
        None
    }

    /// Whether the rest is the same. With `ties`, a resource also counts as touched when both sides give its nodes the same
    /// scores and take another one of the best: then the number of resources on each node decided, and that depends on
    /// all that was placed before. (spec 2 §4.2)
    fn same_but_for(&self, touched: &Tops, ties: bool) -> bool {
        let mut touched = self.linked(touched);
        loop {
            let rest = |answer: &Answer| Answer {
                summary: self.lines(&answer.summary, &touched, of_summary),
                scores: self.lines(&answer.scores, &touched, |line| line.split(' ').next()),
                // More waiting for probes may come on top.
                graph: without_probes(&self.graph(&answer.graph, &touched)),
            };
            let (theirs, ours) = (rest(&self.theirs), rest(&self.ours));
            if theirs == ours {
                return true;
            }
            if !ties {
                return false;
            }
            // What is placed with it has other scores then; its own must be the same.
            let weighed = |rsc: &str| {
                let [there, here] = [&theirs, &ours].map(|answer| scores_of(rsc, &answer.scores));
                theirs.scores == ours.scores || (!here.is_empty() && there == here)
            };
            let other =
                |line: &&String| !(theirs.summary.contains(*line) && ours.summary.contains(*line));
            let lines = theirs.summary.iter().chain(&ours.summary).filter(other);
            let tied: Tops = lines
                .filter_map(|line| of_summary(line))
                .filter(|rsc| weighed(rsc) && self.has_equals(rsc, &ours.scores))
                .filter_map(|rsc| self.top(rsc))
                .map(str::to_owned)
                .collect();
            if tied.is_subset(&touched) {
                return false;
            }
            touched.extend(self.linked(&tied));
        }
    }

    /// Whether two nodes are the best for it among those that can run something. What instances think of nodes is not compared, so it is not looked at.
    fn has_equals(&self, rsc: &str, scores: &[String]) -> bool {
        let score = |rest: &str| {
            let (node, score) = rest.split_once(": ")?;
            if !self.usable(node) {
                return None;
            }
            let score = match score {
                "INFINITY" => 1_000_000,
                "-INFINITY" => -1_000_000,
                number => number.parse::<i64>().ok()?,
            };
            Some((node.to_owned(), score))
        };
        let best: BTreeMap<String, i64> = scores_of(rsc, scores)
            .into_iter()
            .filter_map(score)
            .collect();
        let most = best.values().max();
        best.is_empty() || best.values().filter(|value| Some(*value) == most).count() > 1
    }

    fn top(&self, rsc: &str) -> Option<&str> {
        let base = rsc.split(':').next().unwrap_or(rsc);
        // Parts of bundles stand in no CIB.
        let implied = || {
            let root = self.facts.root_of(self.facts.rsc_by_id(rsc)?);
            self.top.get(self.facts.rscs[root].id.as_str())
        };
        self.top.get(base).or_else(implied).map(String::as_str)
    }

    /// With everything that constraints link to it, however indirectly.
    fn linked(&self, tops: &Tops) -> Tops {
        let constraints = self.cib.descend(&["configuration", "constraints"]);
        let groups: Vec<Tops> = constraints
            .into_iter()
            .flat_map(Element::children)
            .filter(|one| one.is("rsc_colocation") || one.is("rsc_order"))
            .map(|one| self.named_in(one))
            .collect();
        let mut linked = tops.clone();
        loop {
            let before = linked.len();
            for group in &groups {
                if !group.is_disjoint(&linked) {
                    linked.extend(group.iter().cloned());
                }
            }
            if linked.len() == before {
                return linked;
            }
        }
    }

    fn named_in(&self, constraint: &Element) -> Tops {
        let ends = ["rsc", "with-rsc", "first", "then"];
        let named = ends.iter().filter_map(|end| constraint.get(end));
        let in_sets = constraint
            .descendants()
            .filter(|e| e.is("resource_ref"))
            .filter_map(Element::id);
        let ids = named.chain(in_sets);
        ids.filter_map(|id| self.top(id))
            .map(str::to_owned)
            .collect()
    }

    fn lines(
        &self,
        lines: &[String],
        touched: &Tops,
        rsc: fn(&str) -> Option<&str>,
    ) -> Vec<String> {
        let untouched = |line: &&String| {
            let top = rsc(line).and_then(|rsc| self.top(rsc));
            top.is_none_or(|top| !touched.contains(top))
        };
        lines.iter().filter(untouched).cloned().collect()
    }

    fn graph(&self, rows: &[String], touched: &Tops) -> Vec<String> {
        let untouched = |action: &str| {
            if let Some(order) = self.of_order(action) {
                return self.named_in(order).is_disjoint(touched);
            }
            let top = of_action(action).and_then(|rsc| self.top(rsc));
            top.is_none_or(|top| !touched.contains(top))
        };
        let rows = rows.iter().filter_map(|row| {
            let (action, inputs) = split(row)?;
            // A node that leaves waits until nothing runs on it, or does not leave.
            let leaves = action.starts_with("crm_event do_shutdown-");
            let stays = leaves && !inputs.iter().all(|input| untouched(input));
            (untouched(action) && !stays).then(|| {
                let inputs: Vec<&str> = inputs.into_iter().filter(|one| untouched(one)).collect();
                join(action, &inputs)
            })
        });
        rows.collect()
    }

    /// The order of `pseudo_event clone-one-or-more:ord-1 ...`, and of the same for one of its sets.
    fn of_order(&self, action: &str) -> Option<&Element> {
        let key = action.split(' ').nth(1)?;
        let (_, id) = key.split_once("one-or-more:")?;
        let mut orders = self.cib.descendants().filter(|e| e.is("rsc_order"));
        orders
            .find(|order| order.id() == Some(id) || order.descendants().any(|e| e.id() == Some(id)))
    }

    /// Whether a node can run anything.
    fn usable(&self, name: &str) -> bool {
        let node = self.facts.node_by_name(name);
        node.map(|node| &self.facts.nodes[node])
            .is_some_and(|node| {
                node.online && !node.unclean && !node.pending && !node.shutdown && !node.standby
            })
    }

    /// On a node that can't run anything 2.1 lets a rule with `or` say nothing. (spec 2 §7.4)
    fn without_rules_on_unusable_nodes(&self) -> (Vec<String>, Vec<String>) {
        let ruled = |one: &&Element| {
            one.is("rsc_location")
                && one
                    .children_named("rule")
                    .any(|rule| rule.get("boolean-op") == Some("or"))
        };
        let rules = self.cib.descendants().filter(ruled);
        let tops: Tops = rules.flat_map(|one| self.named_in(one)).collect();
        let tops = self.linked(&tops);
        let kept = |line: &&String| {
            let mut words = line.split_whitespace();
            let top = words.next().and_then(|rsc| self.top(rsc));
            let node = words.find(|word| word.ends_with(':')).unwrap_or_default();
            top.is_none_or(|top| !tops.contains(top)) || self.usable(node.trim_end_matches(':'))
        };
        let keep = |lines: &[String]| lines.iter().filter(kept).cloned().collect();
        (keep(&self.theirs.scores), keep(&self.ours.scores))
    }

    fn top_named(&self, rsc: RscIdx) -> Option<String> {
        let root = self.facts.root_of(rsc);
        let id = self.facts.rscs[root].id.to_string();
        self.top(&id).map(str::to_owned)
    }

    fn clones(&self) -> impl Iterator<Item = RscIdx> {
        let is_clone = |rsc: &RscIdx| matches!(self.facts.rscs[*rsc].kind, Kind::Clone(_));
        self.facts.rscs.indexes().filter(is_clone)
    }
}

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

/// What lines like `r-1 allocation score on n1: 5` say of a resource: `n1: 5`.
fn scores_of<'a>(rsc: &str, lines: &'a [String]) -> Vec<&'a str> {
    let score = |line: &'a String| {
        line.strip_prefix(rsc)?
            .strip_prefix(" allocation score on ")
    };
    lines.iter().filter_map(score).collect()
}

/// The resource of `* Move r-1 ( n1 -> n2 )`.
fn of_summary(line: &str) -> Option<&str> {
    let mut words = line.split(' ').skip(1);
    (words.next() != Some("Fence"))
        .then(|| words.next())
        .flatten()
}

/// The resource of `rsc_op r-1_start_0 start on n1 via -`.
fn of_action(action: &str) -> Option<&str> {
    let key = action.split(' ').nth(1)?;
    let told = ["_pre_notify", "_post_notify", "_confirmed-"];
    let told = told.iter().find_map(|word| key.split_once(word));
    match told {
        Some((rsc, _)) => Some(rsc),
        None => {
            let (key, _interval) = key.rsplit_once('_')?;
            let of_two_words = ["_migrate_to", "_migrate_from", "_clear_failcount"];
            let base = of_two_words.iter().find_map(|task| key.strip_suffix(task));
            base.or_else(|| Some(key.rsplit_once('_')?.0))
        }
    }
}

fn split(row: &str) -> Option<(&str, Vec<&str>)> {
    let (action, inputs) = row.split_once(" <- [")?;
    let inputs = inputs
        .trim_end_matches(']')
        .split("; ")
        .filter(|one| !one.is_empty());
    Some((action, inputs.collect()))
}

fn join(action: &str, inputs: &[&str]) -> String {
    format!("{action} <- [{}]", inputs.join("; "))
}

fn without_probes(rows: &[String]) -> Vec<String> {
    let bare = |row: &String| {
        let (action, mut inputs) = split(row)?;
        inputs.retain(|input| !input.contains("_monitor_0 "));
        Some(join(action, &inputs))
    };
    rows.iter()
        .map(|row| bare(row).unwrap_or_else(|| row.clone()))
        .collect()
}

/// Rows and inputs that only one series has, and that nothing else depends on:
///
/// - a member's stop before the start of the one in front of it, and edges within ordered clones (spec 3 §9.2 rule 7, §20);
/// - the start of a group or clone that nothing waits for, since nothing of it starts, and its announcement
///   (spec 3 §9.3, §9.7, §16.1);
/// - instances of one clone in front of those of another, where an order of kind Serialize is between the two, which then
///   wait for each other as a whole (spec 3 §1.4, §14.8);
/// - a lost node's failures that 2.1 waits to be cleared and nobody clears (our own rule, spec 3 §17.2);
/// - the cancellation of a member's monitor that its stop ends anyway: without a place from a tentative assignment, its
///   actions are left as they are (spec 2 §13.4 step 4d, §11.4).
pub fn rows(cib: &Element, rows: Vec<String>) -> Vec<String> {
    let mut behind: BTreeMap<&str, &str> = BTreeMap::new();
    let ids_in = |element: &'_ Element| -> Vec<String> {
        element
            .descendants()
            .filter_map(Element::id)
            .map(str::to_owned)
            .collect()
    };
    for group in cib.descendants().filter(|element| element.is("group")) {
        let ids: Vec<&str> = group
            .children_named("primitive")
            .filter_map(Element::id)
            .collect();
        behind.extend(ids.windows(2).map(|pair| (pair[0], pair[1])));
    }
    let clones = || cib.descendants().filter(|element| element.is("clone"));
    let cloned: BTreeSet<String> = clones().flat_map(ids_in).collect();
    let cloned_groups = || clones().filter(|clone| clone.child("group").is_some());
    let in_cloned_groups: BTreeSet<String> = cloned_groups().flat_map(ids_in).collect();
    let apart = serialized_clones(cib);
    let inner = |clone: &str, rsc: &str| {
        let clone = clones().find(|one| one.id() == Some(clone));
        clone.is_some_and(|one| one.descendants().skip(1).any(|e| e.id() == Some(rsc)))
    };
    let is_of_instances = |rsc: &str, input: &str| {
        let first = parts(input).map(|(first, _)| first).unwrap_or_default();
        let mut pairs = apart.iter();
        pairs.any(|[one, two]| inner(one, first) && inner(two, rsc))
    };
    let never_cleared = never_cleared(&rows);
    let idle = idle_starts(&rows);
    let needless = |action: &str| idle.contains(action);
    let is_new = |rsc: &str, task: &str, input: &str| match parts(input) {
        Some((other, "stop")) if task == "start" => behind.get(rsc) == Some(&other),
        Some((other, "stop" | "stopped")) if task == "stop" => other == rsc && cloned.contains(rsc),
        Some((other, "start" | "running")) if task == "start" => {
            other == rsc && cloned.contains(rsc)
        }
        _ => false,
    };
    let change = |row: String| {
        let Some((action, mut inputs)) = split(&row) else {
            return Some(row);
        };
        let rsc = of_action(action).unwrap_or_default();
        let base = rsc.split(':').next().unwrap_or(rsc);
        let ended = || {
            inputs
                .iter()
                .any(|input| input.contains(&format!(" {rsc}_stop_0 stop ")))
        };
        if needless(action)
            || (action.contains(" cancel on ") && in_cloned_groups.contains(base) && ended())
        {
            return None;
        }
        inputs.retain(|input| !needless(input) && !never_cleared.contains(*input));
        if let Some((rsc, task)) = parts(action) {
            inputs.retain(|input| !is_new(rsc, task, input) && !is_of_instances(rsc, input));
        }
        Some(join(action, &inputs))
    };
    rows.into_iter().filter_map(change).collect()
}

/// First and then of orders of kind Serialize, in sets too.
fn serialized_clones(cib: &Element) -> Vec<[&str; 2]> {
    let orders = cib.descendants().filter(|e| e.is("rsc_order"));
    let serial = orders.filter(|order| order.get("kind") == Some("Serialize"));
    let mut pairs = Vec::new();
    for order in serial {
        let in_sets = order
            .descendants()
            .filter(|e| e.is("resource_ref"))
            .filter_map(Element::id);
        let ends = ["first", "then"].into_iter();
        let all: Vec<&str> = ends
            .filter_map(|end| order.get(end))
            .chain(in_sets)
            .collect();
        for (at, first) in all.iter().enumerate() {
            pairs.extend(all[at + 1..].iter().map(|then| [*first, *then]));
        }
    }
    pairs
}

/// What is waited for that clears failures, and is in no row itself.
fn never_cleared(rows: &[String]) -> BTreeSet<String> {
    let done: BTreeSet<&str> = rows.iter().filter_map(|row| Some(split(row)?.0)).collect();
    let inputs = rows.iter().filter_map(|row| split(row));
    inputs
        .flat_map(|(_, inputs)| inputs)
        .filter(|input| input.contains("_clear_failcount_0 ") && !done.contains(input))
        .map(str::to_owned)
        .collect()
}

/// Pseudo-events `start` that no action waits for, however indirectly, and what announces these and nobody hears.
fn idle_starts(rows: &[String]) -> BTreeSet<String> {
    let mut idle: BTreeSet<String> = BTreeSet::new();
    loop {
        let before = idle.len();
        let live = rows.iter().filter_map(|row| split(row));
        let live: Vec<_> = live.filter(|(action, _)| !idle.contains(*action)).collect();
        let waited_for: BTreeSet<&str> = live
            .iter()
            .flat_map(|(_, inputs)| inputs.iter().copied())
            .collect();
        let announces = |action: &str| {
            let phases = ["_confirmed-pre_notify_start_0", "_pre_notify_start_0"];
            let mut clones = phases.iter().filter_map(|phase| {
                let key = action.split(' ').nth(1)?;
                key.strip_suffix(phase)
            });
            clones.any(|clone| {
                let start = format!("pseudo_event {clone}_start_0 ");
                idle.iter().any(|other| other.starts_with(&start))
            })
        };
        let starts = live.iter().map(|(action, _)| *action).filter(|action| {
            let starts = action.contains("_start_0 start on ") || announces(action);
            action.starts_with("pseudo_event ") && starts
        });
        let more: Vec<String> = starts
            .filter(|action| !waited_for.contains(action))
            .map(str::to_owned)
            .collect();
        idle.extend(more);
        if idle.len() == before {
            return idle;
        }
    }
}

/// The resource without its number, and the task.
fn parts(identity: &str) -> Option<(&str, &str)> {
    let key = identity.split_whitespace().nth(1)?.strip_suffix("_0")?;
    let (rsc, task) = key.rsplit_once('_')?;
    Some((rsc.split(':').next().unwrap_or(rsc), task))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, parse};

    fn left(cib: &str, given: &[&str]) -> Vec<String> {
        let cib = parse(cib, &Limits::default()).expect("well-formed");
        rows(&cib, given.iter().map(|row| (*row).to_owned()).collect())
    }

    #[test]
    fn the_resource_of_an_action_stands_in_its_key() {
        for key in ["db_start_0", "db_migrate_to_0", "db_clear_failcount_0"] {
            let row = format!("crm_event {key} x on n1 via -");
            assert_eq!(of_action(&row), Some("db"), "{row}");
        }
    }

    #[test]
    fn a_start_that_nothing_waits_for_goes_with_its_announcement() {
        let pre = "pseudo_event c_pre_notify_start_0 notify on - via -";
        let told = "pseudo_event c_confirmed-pre_notify_start_0 notified on - via -";
        let start = "pseudo_event c_start_0 start on - via -";
        let rows = [
            format!("{pre} <- []"),
            format!("{told} <- [{pre}]"),
            format!("{start} <- [{told}]"),
        ];
        let mut rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        assert!(left("<cib/>", &rows).is_empty());
        let waits = format!("rsc_op db_start_0 start on n1 via - <- [{start}]");
        rows.push(&waits);
        assert_eq!(left("<cib/>", &rows), rows);
    }

    #[test]
    fn instances_of_clones_in_series_need_not_wait_for_each_other() {
        let cib = |kind| {
            format!(
                r#"<cib><clone id="a"><group id="g"/></clone><clone id="b"><primitive id="r"/></clone>
                <rsc_order first="a" then="b" kind="{kind}"/></cib>"#
            )
        };
        let rows = [
            "rsc_op r:0_start_0 start on n1 via - <- [pseudo_event b_start_0 start on - via -; pseudo_event g:0_running_0 running on - via -]",
        ];
        let alone =
            "rsc_op r:0_start_0 start on n1 via - <- [pseudo_event b_start_0 start on - via -]";
        assert_eq!(left(&cib("Serialize"), &rows), [alone]);
        assert_eq!(left(&cib("Mandatory"), &rows), rows);
    }
}
