//! Whom a remote node obeys, and what it still has to tell. Pure.
//!
//! It obeys one connection: that of the newest order. A member that was deposed may still hold an older one, or get to make
//! one late; it is told by whom it was replaced, and hung up on. The stamp is on disk before it is obeyed, so that a restart
//! of this daemon lets nobody in who was shut out.
//!
//! What the executor reports is told again and again until it is known to be written. An operation whose pending entry nobody
//! confirms any more does not begin: the line over which it was ordered is gone, and whoever asks next decides anew.

use std::collections::{BTreeSet, VecDeque};

use crate::executor::{self, Report};
use crate::rpc::{AdminAnswer, FromRemote, Stamp, ToRemote};

/// Counts lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LineId(pub(super) u64);

/// What happened.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A member says something.
    Said(LineId, ToRemote),
    /// A line broke.
    Closed(LineId),
    /// The executor reports.
    Reported(Vec<Report>),
    /// This daemon is told to end.
    Stop,
}

/// What follows, in this order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    /// On disk before anything else: nobody with a smaller stamp is obeyed any more.
    Keep(Stamp),
    /// Tell a member.
    Say(LineId, FromRemote),
    /// Hang up.
    Close(LineId),
    /// Tell the executor.
    Executor(executor::Event),
    /// Believe these authorities, and no others.
    Trust(Vec<String>),
    /// Draw a new key, and ask over this line to have it signed.
    Renew(LineId),
    /// Use this certificate for it, and say so over this line.
    Certificate(LineId, String),
    /// A tool's answer.
    Answered(u64, Box<AdminAnswer>),
    /// From now on questions of tools go over this line; over none.
    Line(Option<LineId>),
    /// The daemon may end.
    End,
}

/// Batches of reports that are kept for a member that is not there. What is dropped is said again in `Tell`.
const KEPT: usize = 4096;

/// The door of a remote node.
#[derive(Debug)]
pub(super) struct Door {
    life: u64,
    stamp: Option<Stamp>,
    line: Option<LineId>,
    next: u64,
    untold: VecDeque<(u64, Vec<Report>)>,
    /// Operations that wait until their pending entry is written.
    pending: BTreeSet<i64>,
    stopping: bool,
}

impl Door {
    /// `stamp` is the greatest one that was ever obeyed here.
    pub(super) fn new(life: u64, stamp: Option<Stamp>) -> Self {
        Self {
            life,
            stamp,
            line: None,
            next: 1,
            untold: VecDeque::new(),
            pending: BTreeSet::new(),
            stopping: false,
        }
    }

    /// Takes one event; what follows is appended to `effects`.
    pub(super) fn step(&mut self, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Said(
                line,
                ToRemote::Hello {
                    stamp,
                    term,
                    trusted,
                    ..
                },
            ) => {
                self.hello(line, stamp, effects);
                if self.line == Some(line) {
                    effects.push(Effect::Trust(trusted));
                    effects.push(Effect::Executor(executor::Event::TermSeen(term)));
                }
            }
            // Whoever has not been let in says nothing.
            Event::Said(line, _) if self.line != Some(line) => {}
            Event::Said(line, word) => self.said(line, word, effects),
            Event::Closed(line) if self.line == Some(line) => self.closed(effects),
            Event::Closed(_) => {}
            Event::Reported(reports) => self.reported(reports, effects),
            Event::Stop => match self.line {
                Some(line) => {
                    self.stopping = true;
                    effects.push(Effect::Say(line, FromRemote::Leaving));
                }
                // Nobody could move away what runs here.
                None => effects.push(Effect::End),
            },
        }
    }

    fn hello(&mut self, line: LineId, stamp: Stamp, effects: &mut Vec<Effect>) {
        if let Some(by) = self.stamp.filter(|newest| stamp < *newest) {
            effects.push(Effect::Say(line, FromRemote::Replaced { by }));
            effects.push(Effect::Close(line));
            return;
        }
        if self.stamp != Some(stamp) {
            self.stamp = Some(stamp);
            effects.push(Effect::Keep(stamp));
        }
        if let Some(before) = self.line.filter(|before| *before != line) {
            effects.push(Effect::Say(before, FromRemote::Replaced { by: stamp }));
            effects.push(Effect::Close(before));
            self.closed(effects);
        }
        self.line = Some(line);
        let life = self.life;
        effects.push(Effect::Say(line, FromRemote::Welcome { life }));
        // One word, however much has gathered: a line takes only so many at once.
        if let Some((number, _)) = self.untold.back() {
            let all = self.untold.iter().flat_map(|(_, reports)| reports.clone());
            let again = FromRemote::Reports(*number, all.collect());
            effects.push(Effect::Say(line, again));
        }
        effects.push(Effect::Line(Some(line)));
        if self.stopping {
            effects.push(Effect::Say(line, FromRemote::Leaving));
        }
    }

    fn said(&mut self, line: LineId, word: ToRemote, effects: &mut Vec<Effect>) {
        use executor::Event as Tell;
        match word {
            ToRemote::Hello { .. } => {}
            ToRemote::TermSeen(term) => effects.push(Effect::Executor(Tell::TermSeen(term))),
            ToRemote::Execute(command) => effects.push(Effect::Executor(Tell::Command(command))),
            ToRemote::Pending(ticket, written) => {
                self.pending.remove(&ticket);
                effects.push(Effect::Executor(match written {
                    true => Tell::PendingWritten(ticket),
                    false => Tell::PendingLost(ticket),
                }));
            }
            ToRemote::Taken(number) => self.untold.retain(|(other, _)| *other > number),
            ToRemote::Tell => effects.push(Effect::Executor(Tell::Tell)),
            ToRemote::Trust(trusted) => effects.push(Effect::Trust(trusted)),
            ToRemote::Renew => effects.push(Effect::Renew(line)),
            ToRemote::Certificate(pem) => effects.push(Effect::Certificate(line, pem)),
            ToRemote::Poke(number) => effects.push(Effect::Say(line, FromRemote::Poked(number))),
            ToRemote::Answer(number, answer) => effects.push(Effect::Answered(number, answer)),
            ToRemote::Bye { leave } => {
                effects.push(Effect::Close(line));
                self.closed(effects);
                if leave && self.stopping {
                    effects.push(Effect::End);
                }
            }
        }
    }

    fn closed(&mut self, effects: &mut Vec<Effect>) {
        self.line = None;
        effects.push(Effect::Line(None));
        for ticket in std::mem::take(&mut self.pending) {
            effects.push(Effect::Executor(executor::Event::PendingLost(ticket)));
        }
    }

    fn reported(&mut self, reports: Vec<Report>, effects: &mut Vec<Effect>) {
        for report in &reports {
            let Report::Pending(execution) = report else {
                continue;
            };
            if self.line.is_some() {
                self.pending.insert(execution.ticket);
            } else {
                let lost = executor::Event::PendingLost(execution.ticket);
                effects.push(Effect::Executor(lost));
            }
        }
        let number = self.next;
        self.next += 1;
        if let Some(line) = self.line {
            effects.push(Effect::Say(
                line,
                FromRemote::Reports(number, reports.clone()),
            ));
        }
        self.untold.push_back((number, reports));
        if self.untold.len() > KEPT {
            self.untold.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::{NodeName, Term};

    fn hello(line: u64, transition: i64) -> Event {
        let hello = ToRemote::Hello {
            host: NodeName::from("h"),
            stamp: stamp(transition),
            term: Term(1),
            trusted: Vec::new(),
        };
        Event::Said(LineId(line), hello)
    }

    fn stamp(transition: i64) -> Stamp {
        Stamp {
            term: Term(1),
            transition,
            action: 1,
        }
    }

    fn step(door: &mut Door, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        door.step(event, &mut effects);
        effects
    }

    #[test]
    fn an_older_order_makes_no_connection_even_after_a_restart() {
        let mut door = Door::new(7, Some(stamp(5)));
        let (line, by) = (LineId(1), stamp(5));
        let refused = [
            Effect::Say(line, FromRemote::Replaced { by }),
            Effect::Close(line),
        ];
        assert_eq!(step(&mut door, hello(1, 4)), refused);
        // What it says all the same is not heard.
        let order = Event::Said(line, ToRemote::Tell);
        assert_eq!(step(&mut door, order), []);
    }

    #[test]
    fn a_newer_connection_ends_the_one_before_and_its_unconfirmed_operations() {
        let mut door = Door::new(7, None);
        let effects = step(&mut door, hello(1, 1));
        assert_eq!(effects[0], Effect::Keep(stamp(1)), "before it is obeyed");
        let begun = crate::daemon::reports::pending_for_tests(42);
        step(&mut door, Event::Reported(vec![begun]));
        let effects = step(&mut door, hello(2, 2));
        let replaced = FromRemote::Replaced { by: stamp(2) };
        assert_eq!(effects[0], Effect::Keep(stamp(2)));
        assert_eq!(effects[1], Effect::Say(LineId(1), replaced));
        let lost = Effect::Executor(executor::Event::PendingLost(42));
        assert!(effects.contains(&lost), "{effects:?}");
        // And it is told again, to the one that counts now.
        let again = |e: &Effect| matches!(e, Effect::Say(LineId(2), FromRemote::Reports(1, reports)) if reports.len() == 1);
        assert!(effects.iter().any(again), "{effects:?}");
        let late = Event::Said(LineId(1), ToRemote::Pending(42, true));
        assert_eq!(step(&mut door, late), []);
    }

    #[test]
    fn what_is_written_is_told_no_more() {
        let mut door = Door::new(7, None);
        for (id, rc) in [("a_start_0", 0), ("b_start_0", 0), ("c_start_0", 0)] {
            let report = crate::daemon::reports::result_for_tests(id, rc);
            step(&mut door, Event::Reported(vec![report]));
        }
        let told = |effects: Vec<Effect>| -> Vec<(u64, usize)> {
            let reports = effects.into_iter().filter_map(|effect| match effect {
                Effect::Say(_, FromRemote::Reports(number, all)) => Some((number, all.len())),
                _ => None,
            });
            reports.collect()
        };
        let first = step(&mut door, hello(1, 1));
        assert_eq!(told(first), [(3, 3)], "all in one word");
        step(&mut door, Event::Said(LineId(1), ToRemote::Taken(1)));
        step(&mut door, Event::Closed(LineId(1)));
        let second = step(&mut door, hello(2, 1));
        assert_eq!(told(second), [(3, 2)]);
    }

    #[test]
    fn who_wants_to_leave_waits_until_it_is_let_go() {
        let mut door = Door::new(7, None);
        assert_eq!(step(&mut door, Event::Stop), [Effect::End], "nobody to ask");
        step(&mut door, hello(1, 1));
        let asked = [Effect::Say(LineId(1), FromRemote::Leaving)];
        assert_eq!(step(&mut door, Event::Stop), asked);
        let bye = Event::Said(LineId(1), ToRemote::Bye { leave: true });
        assert_eq!(step(&mut door, bye).last(), Some(&Effect::End));
    }
}
