//! The CIB changed: results of the transition in hand confirm or fail its actions, everything else
//! that matters aborts it. // spec cluster §10

use super::*;
use crate::seeded::{Bug, seeded};
use crate::terms::ExecStatus;

impl Machine {
    pub(super) fn on_cib(&mut self, before: &Cib, after: Cib, effects: &mut Vec<Effect>) {
        self.cib = after;
        if self.authority == Authority::None {
            return;
        }
        for seen in outcome::compare(before, &self.cib.clone()) {
            self.on_seen(seen, effects);
        }
    }

    fn on_seen(&mut self, seen: Seen, effects: &mut Vec<Effect>) {
        let restart = Abort::restart;
        match seen {
            Seen::Configuration => self.abort(restart("Configuration change"), "", effects),
            Seen::Tickets => self.abort(restart("Ticket attribute change"), "", effects),
            Seen::Transient { node } => {
                let name = self.name_of_uuid(&node);
                self.abort(restart("Transient attribute change"), &name, effects);
            }
            Seen::TransientGone { node } => {
                if !self.goes_down(&node) {
                    let name = self.name_of_uuid(&node);
                    self.abort(restart("Transient attribute change"), &name, effects);
                }
            }
            Seen::HistoryGone { node } => {
                self.look_again_for_foreign();
                if !self.goes_down(&node) && !self.we_forget(&node) {
                    let name = self.name_of_uuid(&node);
                    self.abort(restart("Resource state removal"), &name, effects);
                }
            }
            Seen::OpGone { node, entry } => self.on_op_gone(&node, &entry, effects),
            Seen::Op { node, entry } => self.on_op(&node, &entry, effects),
        }
    }

    /// What an action of this graph takes down loses its history: that is expected.
    fn goes_down(&self, node: &str) -> bool {
        matches!(&self.state, State::Walking(t) if t.downed.iter().any(|d| d == node))
    }

    /// A clean-up of this graph is under way on this node.
    fn we_forget(&self, node: &str) -> bool {
        let State::Walking(t) = &self.state else {
            return false;
        };
        t.walk.graph.synapses.iter().any(|s| {
            matches!(s.action.task.as_str(), "lrm_delete" | "delete")
                && s.action.node.as_ref().is_some_and(|n| *n.uuid == *node)
                && (t.walk.is_in_flight(s.action.id) || t.walk.has_ended(s.action.id))
        })
    }

    /// A history entry went away: that is how a cancelled recurring action shows.
    fn on_op_gone(&mut self, node: &str, entry: &Entry, effects: &mut Vec<Effect>) {
        self.note_foreign(node, &entry.rsc);
        if let State::Walking(t) = &self.state {
            let cancel = t.walk.in_flight().find(|a| {
                a.task == "cancel"
                    && a.node.as_ref().is_some_and(|n| *n.uuid == *node)
                    && a.rsc.as_ref().is_some_and(|r| r.id.as_str() == entry.rsc)
                    && a.meta("operation").unwrap_or_default() == entry.task
                    && a.meta("interval") == Some(entry.interval_ms.to_string().as_str())
            });
            if let Some(id) = cancel.map(|a| a.id) {
                self.confirm(id);
                return;
            }
        }
        // A last_failure entry that goes away with its fail count is part of a clean-up, which
        // shows as a change of attributes; anything else is news.
        if !self.goes_down(node) {
            let name = self.name_of_uuid(node);
            self.abort(Abort::restart("Resource operation removal"), &name, effects);
        }
    }

    fn on_op(&mut self, node: &str, entry: &Entry, effects: &mut Vec<Effect>) {
        let unheard_of = entry.interval_ms == 0 && self.note_foreign(node, &entry.rsc);
        if entry.is_pending() {
            if unheard_of {
                self.ask_what_became_of(node, entry, effects);
            }
            return;
        }
        self.settle_given_up(&entry.key);
        let name = self.name_of_uuid(node);
        let failed = entry.failed() && !seeded(Bug::FailedIsDone);
        let what = format!(
            "{}_{}_{} on {name}",
            entry.rsc, entry.task, entry.interval_ms
        );
        let ours = self.ours(&entry.key);
        let action = match (&self.state, ours) {
            (State::Walking(t), Some(id)) => t.walk.action(id).cloned(),
            _ => None,
        };
        let ignored = action.as_ref().and_then(|a| a.meta("on_fail")) == Some("ignore");
        effects.push(Effect::Say(say_result(&what, entry)));
        // A connection has the name of the remote node to which it leads.
        if failed && entry.task == "monitor" && entry.interval_ms > 0 {
            self.fail_through(&NodeName::from(entry.rsc.as_str()), effects);
        }
        let State::Walking(t) = &mut self.state else {
            if entry.interval_ms == 0 || failed {
                self.abort(
                    Abort::restart(foreign_text(entry, &self.uuid)),
                    &what,
                    effects,
                );
            }
            return;
        };
        match ours {
            Some(id) if t.walk.is_in_flight(id) => {
                if failed && !ignored {
                    let priority = t.walk.priority(id) + 1;
                    t.walk.fail(id);
                    let abort = Abort {
                        priority,
                        completion: Completion::Restart,
                        text: "Event failed",
                    };
                    self.abort(abort, &what, effects);
                } else {
                    t.walk.confirm(id);
                }
            }
            // Reported again, as recurring results and last_failure twins are.
            Some(id) if t.walk.has_ended(id) && !failed => {}
            _ => self.abort(
                Abort::restart(foreign_text(entry, &self.uuid)),
                &what,
                effects,
            ),
        }
    }

    /// An order will not be carried out: what hangs on it is decided anew.
    pub(super) fn on_not_done(
        &mut self,
        key: &TransitionKey,
        why: &str,
        effects: &mut Vec<Effect>,
    ) {
        self.settle_given_up(key);
        let Some(id) = self.ours(key) else { return };
        let State::Walking(t) = &mut self.state else {
            return;
        };
        if t.walk.is_in_flight(id) {
            t.walk.fail(id);
            self.abort(Abort::restart("Action not carried out"), why, effects);
        }
    }

    /// Actions without an answer in time fail, and that is recorded. // spec cluster §9.3
    pub(super) fn expire(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        let State::Walking(t) = &mut self.state else {
            return;
        };
        let number = t.number;
        for id in t.walk.overdue(now) {
            let State::Walking(t) = &mut self.state else {
                return;
            };
            let Some(action) = t.walk.action(id).cloned() else {
                continue;
            };
            t.walk.fail(id);
            let key = TransitionKey {
                action: i64::from(id.0),
                transition: number,
                target_rc: action.target_rc(),
                uuid: self.uuid.clone(),
            };
            self.abort(Abort::restart("Action lost"), &action.key, effects);
            if action.kind == ActionKind::Resource
                && matches!(self.authority, Authority::Leader(_))
                && let Some(command) = failure::timed_out(&self.cib, &action, &key, self.now_s)
            {
                self.write(Purpose::Other, command, effects);
            }
        }
    }

    /// What the CIB alone can settle: a cancel of something that is not in the history is done.
    pub(super) fn confirm_cancelled(&mut self) {
        let State::Walking(t) = &self.state else {
            return;
        };
        let gone: Vec<ActionId> = t
            .walk
            .in_flight()
            .filter(|a| a.task == "cancel" && !self.cancel_target_exists(a))
            .map(|a| a.id)
            .collect();
        for id in gone {
            self.confirm(id);
        }
    }

    fn cancel_target_exists(&self, cancel: &Action) -> bool {
        let Some(node) = cancel.node.as_ref() else {
            return false;
        };
        let Some(rsc) = cancel.rsc.as_ref() else {
            return false;
        };
        // The entry of its last failure stays, whoever cancels it.
        let interval = cancel.meta("interval").and_then(|ms| ms.parse().ok());
        let task = cancel.meta("operation").unwrap_or_default();
        let entry = OpKey::new(rsc.id.clone(), task, interval.unwrap_or(0)).to_string();
        self.cib
            .status()
            .into_iter()
            .flat_map(|s| s.children())
            .filter(|s| s.id() == Some(&*node.uuid))
            .filter_map(|s| s.child("lrm")?.child("lrm_resources"))
            .flat_map(|r| r.children())
            .filter(|r| r.id() == Some(rsc.id.as_str()))
            .flat_map(|r| r.children())
            .any(|op| op.id() == Some(entry.as_str()))
    }

    fn name_of_uuid(&self, uuid: &str) -> String {
        self.members
            .iter()
            .find(|(id, _)| id.to_string() == uuid)
            .map_or_else(|| uuid.to_owned(), |(_, name)| name.to_string())
    }

    pub(super) fn set_recheck(&mut self, now: Mono, graph: &Graph) {
        let interval = self
            .option(&["cluster-recheck-interval"])
            .map_or(900_000, |v| crate::terms::span::ms_or_zero(Some(&v)));
        let by_graph = graph.recheck_by.map(|at| {
            u64::try_from(at.saturating_sub(self.now_s).saturating_add(1)).unwrap_or(1) * 1000
        });
        let wait = [Some(interval).filter(|i| *i > 0), by_graph]
            .into_iter()
            .flatten()
            .min();
        self.recheck_at = wait.map(|ms| now.plus(ms.max(1000)));
    }
}

/// The field's name for a result that the transition in hand does not wait for.
fn foreign_text(entry: &Entry, uuid: &str) -> &'static str {
    if entry.key.transition == -1 {
        "Unexpected event"
    } else if entry.key.uuid != uuid {
        "Foreign event"
    } else if entry.interval_ms > 0 {
        "Change in recurring result"
    } else {
        "Old event"
    }
}

fn say_result(what: &str, entry: &Entry) -> String {
    let took = entry
        .exec_ms
        .map(|ms| format!(" ({ms} ms)"))
        .unwrap_or_default();
    let text = match entry.status {
        Some(ExecStatus::Done) | None => entry.rc.text(),
        Some(status) => status.text(),
    };
    let reason = if entry.reason.is_empty() {
        String::new()
    } else {
        format!(": {}", entry.reason)
    };
    format!("{what}: {text}{reason}{took}")
}
