//! What must hold of every graph, whoever made it: nothing here is shared with the policy.
//!
//! Most rules have the form "a comes before b". All of them are collected first and then answered together:
//! actions are put into an order in which inputs stand before what waits for them; one pass along that order
//! carries, for 64 of the `a`s at a time, a bit to everything that can only begin after them.

mod active;
mod promoted;

use std::collections::BTreeMap;
use std::fmt;

use super::model::{Action, ActionId, ActionKind, Graph};
use crate::xml::Element;

/// A rule that a graph breaks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// The action that should come first (or the only one concerned).
    pub first: String,
    /// The action that should wait for it.
    pub then: String,
}

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Two actions have one number.
    NumberTwice,
    /// A step waits for something that is not done by this graph.
    WaitsForNothing,
    /// Steps wait for each other.
    Cycle,
    /// An action that an agent carries out has no node.
    NoNode,
    /// Something starts on a node that is to be fenced, before it is.
    StartBeforeFencing,
    /// A resource counts as stopped on a lost node before that node is fenced.
    StoppedBeforeFencing,
    /// A resource starts in one place before it stopped in the other.
    StartBeforeStop,
    /// A resource that may run once starts although it is active elsewhere, where nothing ends it before.
    StartedElsewhere,
    /// A resource is promoted before it is started.
    PromoteBeforeStart,
    /// An instance is promoted before the one whose place it takes is demoted.
    PromoteBeforeDemote,
    /// More instances are promoted than `promoted-max`.
    TooManyPromoted,
    /// A resource stops before it is demoted.
    StopBeforeDemote,
    /// A recurring monitor begins before what it watches is started.
    MonitorBeforeStart,
    /// A member of a group starts before the one in front of it.
    GroupStart,
    /// A member of a group stops before the one behind it.
    GroupStop,
}

impl Rule {
    /// The step concerned is never done, and nothing happens that should not: the rest may be carried out.
    #[must_use]
    pub fn only_blocks(self) -> bool {
        self == Self::WaitsForNothing
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { rule, first, then } = self;
        match rule {
            Rule::NumberTwice => write!(f, "{first} and {then} have the same number"),
            Rule::WaitsForNothing => write!(f, "{then} waits for {first}, which is never done"),
            Rule::Cycle => write!(f, "{then} waits for itself"),
            Rule::NoNode => write!(f, "{then} has no node"),
            Rule::StartBeforeFencing => write!(f, "{then} may begin before {first} is confirmed"),
            Rule::StoppedBeforeFencing => {
                write!(f, "{then} counts as done before {first} is confirmed")
            }
            Rule::StartedElsewhere => write!(f, "{then} may begin while {first} is not ended"),
            Rule::TooManyPromoted => write!(f, "{then} is one more than {first}"),
            Rule::StartBeforeStop
            | Rule::PromoteBeforeDemote
            | Rule::PromoteBeforeStart
            | Rule::StopBeforeDemote
            | Rule::MonitorBeforeStart
            | Rule::GroupStart
            | Rule::GroupStop => write!(f, "{then} may begin before {first} is done"),
        }
    }
}

/// Every rule that the graph breaks. The order of groups is only looked at when the configuration is given.
pub fn check(graph: &Graph, configuration: Option<&Element>) -> Vec<Violation> {
    every_rule(graph, configuration, None)
}

/// The same, and also what can only be told from the status: that nothing is started while it runs elsewhere.
pub fn check_against(graph: &Graph, cib: &Element) -> Vec<Violation> {
    every_rule(graph, cib.child("configuration"), Some(cib))
}

fn every_rule(
    graph: &Graph,
    configuration: Option<&Element>,
    cib: Option<&Element>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    let index = match Index::of(graph, &mut found) {
        Some(index) => index,
        None => return found,
    };
    let mut wanted = Vec::new();
    fencing(&index, &mut wanted);
    resources(&index, &mut wanted);
    promoted::promoted(&index, &mut wanted, &mut found);
    let active = cib.map(|cib| active::active(cib, &index));
    active::started_elsewhere(&index, &active.unwrap_or_default(), &mut wanted, &mut found);
    for members in configuration.map(ordered_groups).unwrap_or_default() {
        group(&index, &members, &mut wanted);
    }
    for step in index
        .steps
        .iter()
        .filter(|step| step.kind == ActionKind::Resource)
    {
        if step.node.is_none() {
            found.push(Violation {
                rule: Rule::NoNode,
                first: String::new(),
                then: show(step),
            });
        }
    }
    index.unordered(wanted, &mut found);
    found
}

/// "`first` must come before `then`", as positions in `Index::steps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    first: usize,
    then: usize,
    rule: Rule,
}

/// The graph's actions, inputs before what waits for them.
struct Index<'g> {
    steps: Vec<&'g Action>,
    inputs: Vec<Vec<usize>>,
    /// Steps that never begin, since they wait for something that is not done by this graph.
    never: Vec<bool>,
    /// Actions that start, stop, ... one thing: (internal resource id, task).
    by_task: BTreeMap<(&'g str, &'g str), Vec<usize>>,
}

impl<'g> Index<'g> {
    /// None when the graph is so broken that asking for an order makes no sense.
    fn of(graph: &'g Graph, found: &mut Vec<Violation>) -> Option<Self> {
        let mut place: BTreeMap<ActionId, usize> = BTreeMap::new();
        let actions: Vec<&Action> = graph.actions().collect();
        for (at, action) in actions.iter().enumerate() {
            if let Some(other) = place.insert(action.id, at) {
                let (first, then) = (show(actions[other]), show(action));
                found.push(Violation {
                    rule: Rule::NumberTwice,
                    first,
                    then,
                });
                return None;
            }
        }
        let mut dangling = vec![false; actions.len()];
        let mut waits_for = vec![Vec::new(); actions.len()];
        let mut followers = vec![Vec::new(); actions.len()];
        for (at, synapse) in graph.synapses.iter().enumerate() {
            for input in &synapse.inputs {
                let Some(&from) = place.get(input) else {
                    let first = graph.action(*input).map_or_else(|| input.to_string(), show);
                    let then = show(&synapse.action);
                    found.push(Violation {
                        rule: Rule::WaitsForNothing,
                        first,
                        then,
                    });
                    dangling[at] = true;
                    continue;
                };
                waits_for[at].push(from);
                followers[from].push(at);
            }
        }
        let mut missing: Vec<usize> = waits_for.iter().map(Vec::len).collect();
        let mut order: Vec<usize> = (0..actions.len()).filter(|at| missing[*at] == 0).collect();
        let mut next = 0;
        while let Some(&at) = order.get(next) {
            next += 1;
            for &follower in &followers[at] {
                missing[follower] -= 1;
                if missing[follower] == 0 {
                    order.push(follower);
                }
            }
        }
        if order.len() < actions.len() {
            for (at, _) in missing
                .iter()
                .enumerate()
                .filter(|(_, missing)| **missing > 0)
            {
                let then = show(actions[at]);
                found.push(Violation {
                    rule: Rule::Cycle,
                    first: String::new(),
                    then,
                });
            }
            return None;
        }
        let mut position = vec![0; actions.len()];
        for (new, old) in order.iter().enumerate() {
            position[*old] = new;
        }
        let steps: Vec<&Action> = order.iter().map(|old| actions[*old]).collect();
        let inputs: Vec<Vec<usize>> = order
            .iter()
            .map(|old| waits_for[*old].iter().map(|from| position[*from]).collect())
            .collect();
        let mut never: Vec<bool> = order.iter().map(|old| dangling[*old]).collect();
        for at in 0..never.len() {
            never[at] |= inputs[at].iter().any(|from| never[*from]);
        }
        let mut by_task: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        for (at, action) in steps.iter().enumerate() {
            if let Some(rsc) = subject(action) {
                by_task.entry((rsc, &action.task)).or_default().push(at);
            }
        }
        Some(Index {
            steps,
            inputs,
            never,
            by_task,
        })
    }

    fn find(&self, rsc: &str, task: &str) -> Vec<usize> {
        self.by_task.get(&(rsc, task)).cloned().unwrap_or_default()
    }

    /// Report the wanted orders that the graph does not have.
    fn unordered(&self, mut wanted: Vec<Wanted>, found: &mut Vec<Violation>) {
        wanted.sort();
        wanted.dedup();
        let mut firsts: Vec<usize> = wanted.iter().map(|one| one.first).collect();
        firsts.dedup();
        let mut rest = &wanted[..];
        for batch in firsts.chunks(64) {
            let mut after = vec![0u64; self.steps.len()];
            for at in 0..self.steps.len() {
                after[at] = self.inputs[at].iter().fold(0, |bits, from| {
                    let own = batch.binary_search(from).map_or(0, |bit| 1 << bit);
                    bits | after[*from] | own
                });
            }
            let end = rest.partition_point(|one| batch.last().is_some_and(|b| one.first <= *b));
            let (now, later) = rest.split_at(end);
            rest = later;
            for one in now {
                let bit = batch
                    .binary_search(&one.first)
                    .expect("the batch holds its own firsts");
                if after[one.then] & (1 << bit) == 0 {
                    found.push(Violation {
                        rule: one.rule,
                        first: show(self.steps[one.first]),
                        then: show(self.steps[one.then]),
                    });
                }
            }
        }
    }
}

/// The resource (with its instance number) that an action is about.
fn subject(action: &Action) -> Option<&str> {
    if action.is_fencing() {
        return None;
    }
    let key = action.internal_key.as_deref().unwrap_or(&action.key);
    let (rest, _interval) = key.rsplit_once('_')?;
    rest.strip_suffix(action.task.as_str())?.strip_suffix('_')
}

fn show(action: &Action) -> String {
    match &action.node {
        Some(node) => format!("{} on {}", action.key, node.name),
        None => action.key.clone(),
    }
}

/// Where an action happens, also for a pseudo-action that stands for one on a certain node.
fn place(action: &Action) -> Option<&str> {
    action
        .node
        .as_ref()
        .map(|node| node.name.as_str())
        .or_else(|| action.meta("on_node"))
}

fn is_real(action: &Action) -> bool {
    action.kind == ActionKind::Resource
}

/// Nothing happens on a node between the decision to fence it and its death.
fn fencing(index: &Index<'_>, wanted: &mut Vec<Wanted>) {
    let kills: Vec<(usize, &str)> = index
        .steps
        .iter()
        .enumerate()
        .filter(|(_, action)| action.kills_node())
        .filter_map(|(at, action)| Some((at, place(action)?)))
        .collect();
    // A guest is dead when its container is stopped: its fencing is a mere name for that, which not everything waits for.
    let ends = |kill: usize| match index.steps[kill].kind {
        ActionKind::Pseudo => index.inputs[kill].clone(),
        _ => vec![kill],
    };
    let kills = kills.into_iter().flat_map(|(kill, node)| {
        let firsts = ends(kill).into_iter();
        firsts.map(move |first| (first, node))
    });
    for (first, node) in kills {
        for (then, action) in index.steps.iter().enumerate() {
            if place(action) != Some(node) || action.is_fencing() {
                continue;
            }
            let task = action.task.as_str();
            let starts = is_real(action) && matches!(task, "start" | "promote" | "migrate_from");
            let stopped = action.kind == ActionKind::Pseudo && matches!(task, "stop" | "demote");
            if starts {
                wanted.push(Wanted {
                    first,
                    then,
                    rule: Rule::StartBeforeFencing,
                });
            } else if stopped {
                wanted.push(Wanted {
                    first,
                    then,
                    rule: Rule::StoppedBeforeFencing,
                });
            }
        }
    }
}

/// What every single resource must keep to.
fn resources(index: &Index<'_>, wanted: &mut Vec<Wanted>) {
    let same_place = |a: usize, b: usize| place(index.steps[a]) == place(index.steps[b]);
    for (then, action) in index.steps.iter().enumerate() {
        let Some(rsc) = subject(action) else { continue };
        match action.task.as_str() {
            "start" if is_real(action) => {
                for first in index.find(rsc, "stop") {
                    wanted.push(Wanted {
                        first,
                        then,
                        rule: Rule::StartBeforeStop,
                    });
                }
            }
            "promote" if is_real(action) => {
                for first in index
                    .find(rsc, "start")
                    .into_iter()
                    .filter(|first| same_place(*first, then))
                {
                    wanted.push(Wanted {
                        first,
                        then,
                        rule: Rule::PromoteBeforeStart,
                    });
                }
            }
            "stop" if is_real(action) => {
                for first in index
                    .find(rsc, "demote")
                    .into_iter()
                    .filter(|first| same_place(*first, then))
                {
                    wanted.push(Wanted {
                        first,
                        then,
                        rule: Rule::StopBeforeDemote,
                    });
                }
            }
            "monitor" if is_real(action) && action.interval_ms() > 0 => {
                let starts = index
                    .find(rsc, "start")
                    .into_iter()
                    .filter(|first| same_place(*first, then));
                for first in starts {
                    wanted.push(Wanted {
                        first,
                        then,
                        rule: Rule::MonitorBeforeStart,
                    });
                }
            }
            _ => {}
        }
    }
}

/// A group and what is in it, in order.
struct Members<'c> {
    group: &'c str,
    ids: Vec<&'c str>,
}

/// The members of every group that keeps an order, as configured.
fn ordered_groups(configuration: &Element) -> Vec<Members<'_>> {
    let defaults = configuration
        .child("rsc_defaults")
        .into_iter()
        .flat_map(Element::children);
    if defaults.into_iter().any(mentions_order) {
        return Vec::new();
    }
    let mut groups = Vec::new();
    let mut open: Vec<&Element> = configuration.children_named("resources").collect();
    while let Some(element) = open.pop() {
        for child in element.children().filter(|child| !sets_order(child)) {
            match child.tag() {
                "group" => groups.push(Members {
                    group: child.id().unwrap_or_default(),
                    ids: child
                        .children_named("primitive")
                        .filter_map(Element::id)
                        .collect(),
                }),
                "clone" | "master" => open.push(child),
                _ => {}
            }
        }
    }
    groups
}

/// A group without order says so itself, or its clone does, or a default. A rule may decide which; a checker that is
/// not sure keeps quiet.
fn sets_order(element: &Element) -> bool {
    element
        .children_named("meta_attributes")
        .any(mentions_order)
}

fn mentions_order(block: &Element) -> bool {
    block
        .children_named("nvpair")
        .any(|pair| pair.get("name") == Some("ordered"))
}

fn group(index: &Index<'_>, members: &Members<'_>, wanted: &mut Vec<Wanted>) {
    // An instance with a number that is no longer wanted belongs to no group any more: nothing stops one with it.
    let belongs = |number: &str| {
        number.is_empty()
            || !index
                .find(&format!("{}{number}", members.group), "stop")
                .is_empty()
    };
    for pair in members.ids.windows(2) {
        let (front, behind) = (pair[0], pair[1]);
        for then in instances(index, behind, "start") {
            let number = instance(index.steps[then], behind);
            for first in index.find(&format!("{front}{number}"), "start") {
                wanted.push(Wanted {
                    first,
                    then,
                    rule: Rule::GroupStart,
                });
            }
        }
        for first in instances(index, behind, "stop") {
            let number = instance(index.steps[first], behind);
            if !belongs(number) {
                continue;
            }
            for then in index.find(&format!("{front}{number}"), "stop") {
                if is_real(index.steps[then]) {
                    wanted.push(Wanted {
                        first,
                        then,
                        rule: Rule::GroupStop,
                    });
                }
            }
        }
    }
}

/// Real actions of a resource or of any of its instances.
fn instances(index: &Index<'_>, id: &str, task: &str) -> Vec<usize> {
    index
        .by_task
        .range((id, "")..)
        .take_while(|((rsc, _), _)| rsc.starts_with(id))
        .filter(|((rsc, have), _)| {
            *have == task && (rsc.len() == id.len() || rsc[id.len()..].starts_with(':'))
        })
        .flat_map(|(_, found)| found.iter().copied())
        .filter(|at| is_real(index.steps[*at]))
        .collect()
}

/// `:2` of `db:2`, or nothing.
fn instance<'a>(action: &'a Action, id: &str) -> &'a str {
    subject(action)
        .and_then(|rsc| rsc.strip_prefix(id))
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::read;
    use crate::xml::{Limits, read as parse};

    /// `1 rsc_op start db n2 <- 3 2` per line.
    pub(super) fn graph(lines: &str) -> Graph {
        let mut graph = Graph::default();
        for line in lines.trim().lines() {
            let (what, inputs) = line.split_once("<-").unwrap_or((line, ""));
            let words: Vec<&str> = what.split_whitespace().collect();
            let [id, kind, task, rsc, node] = words[..] else {
                panic!("five words in {line}")
            };
            let kind = match kind {
                "real" => ActionKind::Resource,
                "cluster" => ActionKind::Cluster,
                _ => ActionKind::Pseudo,
            };
            let id = ActionId(id.parse().expect("a number"));
            let mut action = Action::new(id, kind, task, &format!("{rsc}_{task}_0"));
            action.node = Some(super::super::model::NodeRef {
                name: crate::terms::NodeName::from(node),
                uuid: node.into(),
            });
            let inputs = inputs
                .split_whitespace()
                .map(|word| ActionId(word.parse().expect("a number")))
                .collect();
            graph.synapses.push(super::super::model::Synapse {
                priority: 0,
                action,
                inputs,
            });
        }
        graph
    }

    fn broken(lines: &str) -> Vec<String> {
        check(&graph(lines), None)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn no_more_are_promoted_than_may_be() {
        assert!(broken("1 real demote db:0 n1 \n 2 real promote db:1 n2 <- 1").is_empty());
        assert_eq!(
            broken("1 real demote db:0 n1 \n 2 real promote db:1 n2"),
            ["db:1_promote_0 on n2 may begin before db:0_demote_0 on n1 is done"]
        );
        let two = |inputs: &str| {
            let lines = format!("1 real promote db:0 n1 \n 2 real promote db:1 n2 <- {inputs}");
            let mut graph = graph(&lines);
            for synapse in &mut graph.synapses {
                let most = ("CRM_meta_promoted_max".into(), "1".into());
                synapse.action.attributes.push(most);
            }
            check(&graph, None)
        };
        assert_eq!(two("1")[0].rule, Rule::TooManyPromoted);
        // What never begins takes nobody's place.
        assert_eq!(two("7")[0].rule, Rule::WaitsForNothing);
        assert_eq!(two("7").len(), 1);
    }

    #[test]
    fn a_move_waits_for_the_stop() {
        assert!(broken("1 real stop db n1 \n 2 real start db n2 <- 1").is_empty());
        assert!(
            broken("1 real stop db n1 \n 3 pseudo x y n1 <- 1 \n 2 real start db n2 <- 3")
                .is_empty()
        );
        assert_eq!(
            broken("1 real stop db n1 \n 2 real start db n2"),
            ["db_start_0 on n2 may begin before db_stop_0 on n1 is done"]
        );
    }

    #[test]
    fn a_lost_node_is_fenced_first() {
        assert_eq!(
            broken("1 cluster stonith n1 n1 \n 2 pseudo stop db n1 \n 3 real start db n2 <- 2"),
            ["db_stop_0 on n1 counts as done before n1_stonith_0 on n1 is confirmed"]
        );
    }

    #[test]
    fn a_guest_is_dead_when_its_container_is_stopped() {
        let fenced = "1 real stop container n1 \n 2 pseudo stonith g g <- 1 \n 3 real start db g";
        let unordered = ["db_start_0 on g may begin before container_stop_0 on n1 is confirmed"];
        assert_eq!(broken(fenced), unordered);
        assert_eq!(broken(&format!("{fenced} <- 1")), [""; 0]);
        assert_eq!(broken(&format!("{fenced} <- 2")), [""; 0]);
    }

    #[test]
    fn cycles_and_dangling_inputs_are_found() {
        assert_eq!(
            broken("1 real stop a n1 <- 2 \n 2 real stop b n1 <- 1").len(),
            2,
            "both wait for themselves"
        );
        assert_eq!(
            broken("1 real stop a n1 <- 7"),
            ["a_stop_0 on n1 waits for 7, which is never done"]
        );
    }

    #[test]
    fn groups_start_in_front_and_stop_from_behind() {
        let text = r#"<configuration><resources><clone id="c"><group id="g">
            <primitive id="a"/><primitive id="b"/></group></clone></resources></configuration>"#;
        let configuration = parse::parse(text, &Limits::default()).expect("well-formed");
        let removed =
            "1 real start a:1 n1\n2 real start b:1 n1\n3 real stop a:0 n2\n4 real stop b:0 n2";
        let rules = |lines: &str| -> Vec<Rule> {
            let found = check(&graph(lines), Some(&configuration));
            found.iter().map(|violation| violation.rule).collect()
        };
        assert_eq!(
            rules(removed),
            [Rule::GroupStart],
            "a:0 and b:0 are in no group any more"
        );
        let wanted = format!("{removed}\n5 pseudo stop g:0 n2");
        assert_eq!(rules(&wanted), [Rule::GroupStart, Rule::GroupStop]);
    }

    /// The recorded answers are right, so a rule that any of them breaks is a wrong rule.
    #[test]
    fn recorded_graphs_break_no_rule() {
        let Some(cases) = crate::graph::tests_support::recorded_cases() else {
            return;
        };
        let mut wrong = Vec::new();
        let folder = std::fs::read_dir(cases.join("exp")).expect("the folder of graphs");
        for entry in folder {
            let path = entry.expect("a folder entry").path();
            let parsed = |path: &std::path::Path| {
                let text = std::fs::read_to_string(path).expect("a readable case");
                parse::parse(&text, &Limits::default()).expect("well-formed")
            };
            let graph = read(&parsed(&path)).expect("a graph");
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let cib = parsed(&cases.join("xml").join(format!("{name}.xml")));
            for violation in check_against(&graph, &cib) {
                wrong.push(format!("{name}: {:?}: {violation}", violation.rule));
            }
        }
        assert!(
            wrong.is_empty(),
            "{}\n{} in all",
            wrong.join("\n"),
            wrong.len()
        );
    }
}
