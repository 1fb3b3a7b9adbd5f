//! A graph carried out on a copy of the CIB: every action succeeds, unless somebody wants to see it fail.
//! (spec 4 §9.2, §10)
//!
//! Steps are looked at in passes, in the order of the graph. One whose inputs are all confirmed is done at once, so
//! that one further down may follow in the same pass and one further up in the next.

use std::collections::BTreeSet;

use super::draft::{Draft, Error, History};
use super::inject::{Modification, OpSpec, count_failure, goes_by};
use crate::graph::{Action, ActionId, ActionKind, Graph, RscRef};
use crate::policy::facts::Facts;
use crate::terms::{OpKey, RscId, Score};

/// Priority that still runs after a failure.
const EVEN_AFTER_FAILURE: i32 = 1_000_000;

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A point was passed.
    Pseudo {
        /// Its key.
        key: String,
        /// The node that it stands for.
        node: Option<String>,
    },
    /// An agent would have run.
    Resource {
        /// Which resource, by the name that history knows.
        rsc: String,
        /// What it would have done.
        task: String,
        /// 0 for what is done once, and for what has no interval to show.
        interval_ms: u64,
        /// Where.
        node: String,
    },
    /// The cluster would have done something.
    Cluster {
        /// What.
        task: String,
        /// For which resource.
        rsc: Option<String>,
        /// Where.
        node: String,
    },
    /// A node would have been fenced.
    Fencing {
        /// Which.
        node: String,
        /// How: `reboot`, `off`, `on`.
        op: String,
    },
    /// The action before was made to fail.
    Failed {
        /// Its number.
        id: ActionId,
        /// What its agent is said to have answered.
        rc: i32,
    },
    /// The failure was counted.
    Counted(Modification),
}

/// How a transition ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything is done, or left out because of a failure.
    Complete,
    /// Some steps wait for something that never happens.
    Terminated,
}

/// What carrying out a graph did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// How it ended.
    pub ending: Ending,
}

/// The names under which resources are known, as of the status that the graph was made from.
#[derive(Debug)]
pub struct Known<'f> {
    names: BTreeSet<&'f str>,
}

impl<'f> Known<'f> {
    /// All ids in the configuration and in history.
    pub fn of(facts: &'f Facts) -> Self {
        let ids = facts.rscs.iter().map(|rsc| rsc.id.as_str());
        let history = facts.rscs.iter().filter_map(|rsc| rsc.history_id.as_ref());
        debug_assert!(facts.rscs.iter().all(|rsc| goes_by(rsc, &rsc.id)));
        Known {
            names: ids.chain(history.map(RscId::as_str)).collect(),
        }
    }

    /// The name to show and to look for in history.
    fn name<'a>(&self, rsc: &'a RscRef) -> &'a RscId {
        match &rsc.long_id {
            Some(long) if !self.has(&rsc.id) && self.has(long) => long,
            _ => &rsc.id,
        }
    }

    fn has(&self, id: &RscId) -> bool {
        self.names.contains(id.as_str())
    }
}

/// Carry the graph out on the draft.
pub fn execute(
    graph: &Graph,
    draft: &mut Draft,
    known: &Known<'_>,
    failures: &[(String, OpSpec)],
) -> Result<Executed, Error> {
    let mut run = Run {
        graph,
        draft,
        known,
        failures,
        steps: Vec::new(),
        abort: 0,
    };
    let count = graph.synapses.len();
    let places: std::collections::BTreeMap<ActionId, usize> = graph
        .actions()
        .enumerate()
        .map(|(at, action)| (action.id, at))
        .collect();
    let mut missing: Vec<usize> = Vec::with_capacity(count);
    let mut followers = vec![Vec::new(); count];
    for (at, synapse) in graph.synapses.iter().enumerate() {
        missing.push(synapse.inputs.len());
        for input in &synapse.inputs {
            if let Some(&first) = places.get(input) {
                followers[first].push(at);
            }
        }
    }
    let mut done = vec![false; count];
    let mut skipped = false;
    loop {
        let mut fired = false;
        for at in 0..count {
            if done[at] || missing[at] > 0 {
                continue;
            }
            let synapse = &graph.synapses[at];
            if synapse.action.kind != ActionKind::Pseudo && synapse.priority < run.abort {
                skipped = true;
                continue;
            }
            done[at] = true;
            fired = true;
            let succeeded = run.perform(&synapse.action)?;
            for &follower in &followers[at] {
                if succeeded || graph.synapses[follower].priority >= EVEN_AFTER_FAILURE {
                    missing[follower] -= 1;
                }
            }
        }
        if !fired {
            break;
        }
    }
    let stuck = !skipped && run.abort == 0 && done.iter().any(|done| !done);
    let ending = if stuck {
        Ending::Terminated
    } else {
        Ending::Complete
    };
    Ok(Executed {
        steps: run.steps,
        ending,
    })
}

struct Run<'r> {
    graph: &'r Graph,
    draft: &'r mut Draft,
    known: &'r Known<'r>,
    failures: &'r [(String, OpSpec)],
    steps: Vec<Step>,
    /// Below this priority nothing new begins.
    abort: i32,
}

impl Run<'_> {
    /// Do one action; false when it failed.
    fn perform(&mut self, action: &Action) -> Result<bool, Error> {
        let node = action.node.as_ref().map(|node| node.name.to_string());
        match action.kind {
            ActionKind::Pseudo => {
                let guest = action.node.as_ref().filter(|_| action.task == "stonith");
                if let Some(guest) = guest.filter(|_| self.draft.forgets) {
                    let at = (guest.name.as_str(), Some(&*guest.uuid));
                    self.draft.forget_guest(at)?;
                }
                self.steps.push(Step::Pseudo {
                    key: action.key.clone(),
                    node,
                });
                Ok(true)
            }
            ActionKind::Cluster => {
                let node = node.unwrap_or_default();
                match action.fencing_op() {
                    Some(op) => {
                        let op = op.to_owned();
                        self.steps.push(Step::Fencing {
                            node: node.clone(),
                            op,
                        });
                        if action.kills_node() {
                            let uuid = action.node.as_ref().map(|node| &*node.uuid);
                            self.draft.take_down(&node, uuid)?;
                        }
                    }
                    None => {
                        if self.draft.forgets {
                            self.forget(action)?;
                        }
                        let rsc = action.rsc.as_ref().map(|rsc| rsc.id.to_string());
                        self.steps.push(Step::Cluster {
                            task: action.task.clone(),
                            rsc,
                            node,
                        });
                    }
                }
                Ok(true)
            }
            ActionKind::Resource => match (&action.rsc, &action.node) {
                (Some(rsc), Some(_)) if action.task != "probe_again" => self.operate(action, rsc),
                _ => Ok(true),
            },
        }
    }

    fn operate(&mut self, action: &Action, rsc: &RscRef) -> Result<bool, Error> {
        let Some(node) = &action.node else {
            return Ok(true);
        };
        let name = self.known.name(rsc);
        let without_history = matches!(action.task.as_str(), "delete" | "meta-data");
        let interval_ms = if without_history {
            0
        } else {
            action.interval_ms()
        };
        self.steps.push(Step::Resource {
            rsc: name.to_string(),
            task: action.task.clone(),
            interval_ms,
            node: node.name.to_string(),
        });
        if self.draft.forgets && matches!(action.task.as_str(), "delete" | "cancel") {
            self.forget(action)?;
            return Ok(true);
        }
        if without_history {
            return Ok(true);
        }
        // What runs on a remote node is written under the name of that node.
        let uuid = if action.router.is_some() {
            node.name.as_str()
        } else {
            &node.uuid
        };
        let at = (node.name.as_str(), Some(uuid));
        let target_rc = action.target_rc();
        let failure = self.wanted_failure(action, name, rsc);
        if let Some(rc) = failure {
            self.steps.push(Step::Failed { id: action.id, rc });
            self.abort = EVEN_AFTER_FAILURE;
            let fatal = match action.task.as_str() {
                "start" => self.graph.failed_start_offset >= Score::INFINITY,
                "stop" => self.graph.failed_stop_offset >= Score::INFINITY,
                _ => false,
            };
            let key = OpKey::new(name.clone(), action.task.clone(), action.interval_ms());
            let counted = count_failure(self.draft, at, &key, fatal)?;
            self.steps.extend(counted.map(Step::Counted));
        }
        let notify = action
            .meta("notify_type")
            .zip(action.meta("notify_operation"));
        let migration = action
            .meta("migrate_source")
            .zip(action.meta("migrate_target"));
        let is_migration = matches!(action.task.as_str(), "migrate_to" | "migrate_from");
        self.draft.record(
            at,
            &History {
                entry: name.as_str(),
                rsc: rsc.id.as_str(),
                known_as: rsc.long_id.as_ref().map(RscId::as_str),
                agent: (&rsc.class, rsc.provider.as_deref(), &rsc.kind),
                task: &action.task,
                interval_ms,
                rc: failure.unwrap_or(target_rc),
                target_rc,
                exit_reason: if failure.is_some() {
                    "User-injected result"
                } else {
                    ""
                },
                notify: notify.filter(|_| action.task == "notify"),
                migration: migration.filter(|_| is_migration),
                parameters: Some(digested(action)),
            },
        )?;
        Ok(failure.is_none())
    }

    /// What this action takes out of the status.
    fn forget(&mut self, action: &Action) -> Result<(), Error> {
        let Some(node) = &action.node else {
            return Ok(());
        };
        let at = (node.name.as_str(), Some(&*node.uuid));
        match (action.task.as_str(), &action.rsc) {
            ("do_shutdown", _) => self.draft.take_down(at.0, at.1),
            ("delete" | "lrm_delete", Some(rsc)) => self.draft.forget_history(at, rsc),
            ("cancel", Some(rsc)) => self.draft.forget_operation(at, rsc, action),
            ("clear_failcount", Some(rsc)) => self.draft.forget_failures(at, rsc),
            _ => Ok(()),
        }
    }

    /// The exit status that somebody wants to see of this action.
    fn wanted_failure(&self, action: &Action, name: &RscId, rsc: &RscRef) -> Option<i32> {
        let node = &action.node.as_ref()?.name;
        let matches = |id: &RscId, text: &str| {
            let interval_ms = action.interval_ms();
            let start = format!("{id}_{}_{interval_ms}@{node}=", action.task);
            text.get(..start.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(&start))
        };
        let wanted = |(text, _): &&(String, OpSpec)| matches(name, text) || matches(&rsc.id, text);
        self.failures.iter().find(wanted).map(|(_, spec)| spec.rc)
    }
}

/// The parameters whose digest is recorded with a result. (spec cluster §4)
fn digested(action: &Action) -> Vec<(&str, &str)> {
    const NOT_COUNTED: [&str; 6] = [
        "id",
        "crm_feature_set",
        "op-digest",
        "on_node",
        "on_node_uuid",
        "pcmk_external_ip",
    ];
    let keeps_timeout = action.interval_ms() > 0;
    let counts = |name: &str| {
        if name.starts_with("CRM_meta_") {
            keeps_timeout && name == "CRM_meta_timeout"
        } else {
            !NOT_COUNTED.contains(&name)
        }
    };
    action
        .attributes
        .iter()
        .chain(&action.params)
        .map(|(name, value)| (&**name, &**value))
        .filter(|(name, _)| counts(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{NodeRef, Synapse};
    use crate::xml::{Limits, parse};

    fn graph(steps: &[(u32, &str, &[u32])]) -> Graph {
        let mut graph = Graph::default();
        for (id, task, inputs) in steps {
            let key = format!("db_{task}_0");
            let mut action = Action::new(ActionId(*id), ActionKind::Resource, task, &key);
            action.node = Some(NodeRef {
                name: "n1".into(),
                uuid: "1".into(),
            });
            action.rsc = Some(RscRef::dummy("db"));
            let inputs = inputs.iter().map(|id| ActionId(*id)).collect();
            graph.synapses.push(Synapse {
                priority: 0,
                action,
                inputs,
            });
        }
        graph
    }

    fn run(graph: &Graph, failures: &[&str]) -> (Vec<String>, Ending) {
        let text = r#"<cib><configuration/><status><node_state id="1" uname="n1"/></status></cib>"#;
        let cib = parse(text, &Limits::default()).expect("well-formed");
        let mut draft = Draft::new(&cib, 0);
        let facts = Facts::default();
        let failures: Vec<(String, OpSpec)> = failures
            .iter()
            .map(|text| ((*text).to_owned(), text.parse().expect("a spec")))
            .collect();
        let executed =
            execute(graph, &mut draft, &Known::of(&facts), &failures).expect("one state per node");
        let text = executed
            .steps
            .iter()
            .map(super::super::render::step_text)
            .collect();
        (text, executed.ending)
    }

    #[test]
    fn steps_follow_their_inputs() {
        let graph = graph(&[(1, "start", &[2]), (3, "monitor", &[1]), (2, "stop", &[])]);
        let (steps, ending) = run(&graph, &[]);
        let words: Vec<&str> = steps
            .iter()
            .filter_map(|step| step.split_whitespace().nth(3))
            .collect();
        assert_eq!(words, ["stop", "start", "monitor"]);
        assert_eq!(ending, Ending::Complete);
    }

    #[test]
    fn what_waits_for_nothing_real_ends_the_transition() {
        let graph = graph(&[(1, "start", &[9])]);
        assert_eq!(run(&graph, &[]).1, Ending::Terminated);
    }

    #[test]
    fn a_failure_stops_what_follows_and_is_counted() {
        let graph = graph(&[(1, "start", &[]), (2, "monitor", &[1])]);
        let (steps, ending) = run(&graph, &["db_start_0@n1=1"]);
        assert_eq!(ending, Ending::Complete);
        assert_eq!(steps.len(), 4, "{steps:?}");
        assert_eq!(steps[1], "Pretending action 1 failed with rc=1");
        assert_eq!(
            steps[2],
            "Injecting attribute fail-count-db#start_0=INFINITY into /node_state '1'"
        );
    }

    /// The order of steps in recorded runs, from recorded graphs.
    #[test]
    fn recorded_graphs_run_in_the_recorded_order() {
        let Some(cases) = crate::graph::tests_support::recorded_cases() else {
            return;
        };
        let read = |kind: &str, name: &str| {
            let path = cases.join(kind).join(format!("{name}.{kind}"));
            String::from_utf8_lossy(&std::fs::read(path).expect("a readable case")).into_owned()
        };
        let mut wrong = Vec::new();
        let facts = Facts::default();
        for name in crate::graph::tests_support::case_names(&cases) {
            let parsed = |kind| parse(read(kind, &name), &Limits::default()).expect("well-formed");
            let graph = crate::graph::read(&parsed("exp")).expect("a graph");
            let mut draft = Draft::new(&parsed("xml"), 0);
            let run = execute(&graph, &mut draft, &Known::of(&facts), &[]).expect("one state");
            // Names of resources need the facts and are left out here.
            let without_name = |line: &str| -> Vec<String> {
                let words = line.trim().trim_start_matches("* ").split_whitespace();
                let resource = line.contains("Resource action:");
                words
                    .enumerate()
                    .filter(|(at, _)| !resource || *at != 2)
                    .map(|(_, w)| w.to_owned())
                    .collect()
            };
            let ours: Vec<_> = run
                .steps
                .iter()
                .map(|step| without_name(&super::super::render::step_text(step)))
                .collect();
            let summary = read("summary", &name);
            let theirs: Vec<_> = summary
                .lines()
                .skip_while(|line| !line.starts_with("Executing Cluster Transition"))
                .skip(1)
                .take_while(|line| line.starts_with(' '))
                .map(without_name)
                .collect();
            if ours != theirs || run.ending != Ending::Complete {
                wrong.push(name);
            }
        }
        assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join(" "));
    }
}
