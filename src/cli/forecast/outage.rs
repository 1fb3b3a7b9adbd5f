//! What is interrupted, and for how long: each action gets a begin and an end from what it waits for and from how long the
//! like of it took; a service is away while nothing of it is active.
//!
//! ```text
//!   stop db on n1   |=====|
//!   stop fs on n1         |==|
//!   start fs on n2           |===|
//!   start db on n2               |=======|
//!   db is away      <------------------->
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::{
    play::{Round, Standing},
    times::{Times, base},
};
use crate::{
    graph::{Action, ActionId, ActionKind, Graph},
    terms::Role,
};

/// A service that is away for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interruption {
    /// The primitive.
    pub(crate) rsc: String,
    /// Only its promoted role.
    pub(crate) promoted: bool,
    /// For so long in all; none when it does not come back.
    pub(crate) ms: Option<u64>,
    /// The time of every step in it is known from the past.
    pub(crate) known: bool,
    /// So long it would take if every step used up its timeout.
    pub(crate) worst_ms: u64,
    /// A node is fenced meanwhile, which takes its own time.
    pub(crate) fencing: bool,
}

/// Something begins or ends to be active.
enum Event {
    Up(String, String, bool),
    Down(String, String, bool),
    /// Everything on a node.
    Lost(String),
}

struct Moment {
    ms: u64,
    worst_ms: u64,
    event: Event,
    known: bool,
}

/// What is away while these decisions are carried out.
pub(crate) fn interruptions(
    standing: &Standing,
    rounds: &[Round],
    times: &Times,
) -> Vec<Interruption> {
    interruptions_after(&[], standing, rounds, times)
}

/// The same, after these nodes are gone.
pub(crate) fn interruptions_after(
    lost: &[String],
    standing: &Standing,
    rounds: &[Round],
    times: &Times,
) -> Vec<Interruption> {
    let graphs: Vec<&Graph> = rounds.iter().map(|round| &round.outcome.graph).collect();
    in_graphs(lost, standing, &graphs, times)
}

fn in_graphs(
    lost: &[String],
    standing: &Standing,
    graphs: &[&Graph],
    times: &Times,
) -> Vec<Interruption> {
    let first = |node: &String| Moment {
        ms: 0,
        worst_ms: 0,
        event: Event::Lost(node.clone()),
        known: true,
    };
    let mut moments: Vec<Moment> = lost.iter().map(first).collect();
    let (mut begin, mut worst) = (0, 0);
    let mut fencing = false;
    for graph in graphs {
        let usual = timeline(graph, |action| times.ms(action).unwrap_or(0));
        let longest = timeline(graph, |action| action.timeout_ms().unwrap_or(0));
        fencing |= graph.actions().any(Action::kills_node);
        for action in in_order(graph) {
            let (from, to) = usual[&action.id];
            let (worst_from, worst_to) = longest[&action.id];
            let known = action.kind != ActionKind::Resource || times.ms(action).is_some();
            for (event, at_end) in events(action) {
                let (ms, worst_ms) = if at_end {
                    (to, worst_to)
                } else {
                    (from, worst_from)
                };
                moments.push(Moment {
                    ms: begin + ms,
                    worst_ms: worst + worst_ms,
                    event,
                    known,
                });
            }
        }
        begin += usual.values().map(|(_, to)| *to).max().unwrap_or(0);
        worst += longest.values().map(|(_, to)| *to).max().unwrap_or(0);
    }
    // What happens at one moment stays in the order of the graph.
    moments.sort_by_key(|moment| moment.ms);
    let mut found = Vec::new();
    for promoted in [false, true] {
        for (rsc, nodes) in standing {
            let counts = |role: &Role| !promoted || *role == Role::Promoted;
            let there: BTreeSet<String> = nodes
                .iter()
                .filter(|(_, role)| counts(role))
                .map(|(node, _)| node.clone())
                .collect();
            found.extend(away(rsc, promoted, there, &moments, fencing));
        }
    }
    // What is away as a whole need not be said to be away in one role, too.
    let whole: BTreeSet<String> = found
        .iter()
        .filter(|it| !it.promoted)
        .map(|it| it.rsc.clone())
        .collect();
    found.retain(|it| !it.promoted || !whole.contains(&it.rsc));
    found
}

fn away(
    rsc: &str,
    promoted: bool,
    mut there: BTreeSet<String>,
    moments: &[Moment],
    fencing: bool,
) -> Option<Interruption> {
    let (mut since, mut total, mut worst) = (None, 0, 0);
    let (mut was_away, mut known) = (false, true);
    let mut lost = false;
    for moment in moments {
        let before = there.len();
        match &moment.event {
            Event::Up(id, node, role) if id == rsc && *role == promoted => {
                there.insert(node.clone());
            }
            Event::Down(id, node, role) if id == rsc && *role == promoted => {
                there.remove(node);
            }
            Event::Lost(node) => {
                lost |= there.remove(node);
            }
            _ => continue,
        }
        let concerns_it = !matches!(moment.event, Event::Lost(_));
        known &= moment.known || !concerns_it;
        match (before, there.len(), since) {
            (1.., 0, _) => {
                was_away = true;
                since = Some((moment.ms, moment.worst_ms));
            }
            (0, 1.., Some((from, worst_from))) => {
                total += moment.ms - from;
                worst += moment.worst_ms.saturating_sub(worst_from);
                since = None;
            }
            _ => {}
        }
    }
    was_away.then(|| Interruption {
        rsc: rsc.to_owned(),
        promoted,
        ms: since.is_none().then_some(total),
        known,
        worst_ms: worst,
        fencing: fencing && lost,
    })
}

/// What an action does to what is active, and whether when it ends or when it begins.
fn events(action: &Action) -> Vec<(Event, bool)> {
    let Some(node) = action.node.as_ref().map(|node| node.name.to_string()) else {
        return Vec::new();
    };
    if action.kills_node() {
        return vec![(Event::Lost(node), false)];
    }
    let Some(rsc) = action.rsc.as_ref() else {
        return Vec::new();
    };
    let id = base(rsc.id.as_str()).to_owned();
    match action.task.as_str() {
        "start" | "migrate_from" => vec![(Event::Up(id, node, false), true)],
        "promote" => vec![(Event::Up(id, node, true), true)],
        "demote" => vec![(Event::Down(id, node, true), false)],
        "stop" => vec![
            (Event::Down(id.clone(), node.clone(), true), false),
            (Event::Down(id, node, false), false),
        ],
        _ => Vec::new(),
    }
}

/// Actions, each after all it waits for.
fn in_order(graph: &Graph) -> Vec<&Action> {
    let mut done: BTreeSet<ActionId> = BTreeSet::new();
    let mut order = Vec::new();
    loop {
        let before = order.len();
        for synapse in &graph.synapses {
            let id = synapse.action.id;
            let ready = synapse.inputs.iter().all(|input| done.contains(input));
            if ready && done.insert(id) {
                order.push(&synapse.action);
            }
        }
        if order.len() == before {
            return order;
        }
    }
}

/// When each action begins and ends. What waits for something that is not in the graph never begins, and is left out.
fn timeline(graph: &Graph, ms: impl Fn(&Action) -> u64) -> BTreeMap<ActionId, (u64, u64)> {
    let inputs: BTreeMap<ActionId, &[ActionId]> = graph
        .synapses
        .iter()
        .map(|synapse| (synapse.action.id, synapse.inputs.as_slice()))
        .collect();
    let mut times: BTreeMap<ActionId, (u64, u64)> = BTreeMap::new();
    for action in in_order(graph) {
        let ends = inputs[&action.id].iter().map(|input| times[input].1);
        let from = ends.max().unwrap_or(0);
        let lasts = match action.kind {
            ActionKind::Resource => ms(action),
            _ => 0,
        };
        times.insert(action.id, (from, from + lasts));
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{NodeRef, RscRef, Synapse};
    use crate::xml::{Limits, parse};

    fn graph(steps: &[(&str, &str, &str, &[u32])]) -> Graph {
        let mut graph = Graph::default();
        for (number, (rsc, task, node, inputs)) in steps.iter().enumerate() {
            let id = ActionId(u32::try_from(number).expect("few"));
            let mut action =
                Action::new(id, ActionKind::Resource, task, &format!("{rsc}_{task}_0"));
            action.attributes = vec![("CRM_meta_timeout".into(), "20000".into())];
            action.node = Some(NodeRef {
                name: (*node).into(),
                uuid: (*node).into(),
            });
            action.rsc = Some(
                RscRef {
                    id: (*rsc).into(),
                    long_id: None,
                    class: "ocf".into(),
                    provider: Some("systole".into()),
                    kind: "Dummy".into(),
                }
                .into(),
            );
            graph.synapses.push(Synapse {
                priority: 0,
                action,
                inputs: inputs.iter().map(|id| ActionId(*id)).collect(),
            });
        }
        graph
    }

    fn times() -> Times {
        let op = |rsc: &str, task: &str, ms: u64| {
            format!(
                "<lrm_resource id='{rsc}' class='ocf' provider='systole' type='{rsc}'>\
                 <lrm_rsc_op id='x' operation='{task}' interval='0' op-status='0' exec-time='{ms}'/></lrm_resource>"
            )
        };
        let text = format!(
            "<cib><status><node_state uname='n1'><lrm><lrm_resources>{}{}{}{}</lrm_resources></lrm></node_state></status></cib>",
            op("db", "stop", 300),
            op("db", "start", 700),
            op("fs", "stop", 50),
            op("fs", "start", 100),
        );
        Times::of(&parse(&text, &Limits::CIB).expect("well-formed"))
    }

    fn at(places: &[(&str, &str, Role)]) -> Standing {
        let mut standing = Standing::new();
        for (rsc, node, role) in places {
            let nodes = standing.entry((*rsc).to_owned()).or_default();
            nodes.insert((*node).to_owned(), *role);
        }
        standing
    }

    #[test]
    fn a_move_lasts_from_the_first_stop_to_the_last_start() {
        let steps: [(&str, &str, &str, &[u32]); 4] = [
            ("db", "start", "n2", &[2, 3]),
            ("fs", "stop", "n1", &[3]),
            ("fs", "start", "n2", &[1]),
            ("db", "stop", "n1", &[]),
        ];
        let standing = at(&[
            ("db", "n1", Role::Started),
            ("fs", "n1", Role::Started),
            ("web", "n1", Role::Started),
        ]);
        let found = in_graphs(&[], &standing, &[&graph(&steps)], &times());
        let told: Vec<_> = found
            .iter()
            .map(|it| (it.rsc.as_str(), it.ms, it.known, it.worst_ms))
            .collect();
        assert_eq!(
            told,
            [
                ("db", Some(1150), true, 80_000),
                ("fs", Some(150), true, 40_000)
            ]
        );
    }

    #[test]
    fn another_instance_or_a_live_migration_leaves_no_gap() {
        let standing = at(&[
            ("db", "n1", Role::Started),
            ("db", "n2", Role::Started),
            ("vm", "n1", Role::Started),
        ]);
        let steps: [(&str, &str, &str, &[u32]); 4] = [
            ("db:0", "stop", "n1", &[]),
            ("vm", "migrate_to", "n1", &[]),
            ("vm", "migrate_from", "n2", &[1]),
            ("vm", "stop", "n1", &[2]),
        ];
        assert_eq!(in_graphs(&[], &standing, &[&graph(&steps)], &times()), []);
    }

    #[test]
    fn a_promoted_role_is_away_while_its_instance_is_not() {
        let standing = at(&[("db", "n1", Role::Promoted), ("db", "n2", Role::Started)]);
        let steps: [(&str, &str, &str, &[u32]); 2] =
            [("db", "demote", "n1", &[]), ("db", "promote", "n2", &[0])];
        let found = in_graphs(&[], &standing, &[&graph(&steps)], &times());
        let [away] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert!(away.promoted && !away.known, "no such time is remembered");
        assert_eq!((away.ms, away.worst_ms), (Some(0), 40_000));
        let forever: [(&str, &str, &str, &[u32]); 1] = [("db", "demote", "n1", &[])];
        let found = in_graphs(&[], &standing, &[&graph(&forever)], &times());
        assert_eq!(found[0].ms, None);
    }
}
