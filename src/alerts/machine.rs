//! Who is called when. Each receiver hears of one thing at a time, in the order in which they happened; receivers do
//! not wait for each other.

use std::collections::{BTreeMap, VecDeque};

use super::config::receivers;
use super::environment;
use super::vocab::{Call, Effect, Event, Happened};
use crate::cib::Cib;

/// Calls that wait for one receiver. Full, the oldest is dropped: the newest say how things are.
const QUEUE: usize = 200;

/// The alerts of one node.
#[derive(Debug, Default)]
pub struct Machine {
    cib: Option<Cib>,
    /// Receivers whose agent runs, and what waits for its end.
    running: BTreeMap<String, VecDeque<Call>>,
    /// The longest time limit that calls of those receivers were given.
    timeouts: BTreeMap<String, u64>,
    sequence: u64,
}

impl Machine {
    /// The longest time limit of what runs and of what waits.
    pub fn longest_timeout_ms(&self) -> u64 {
        self.timeouts.values().copied().max().unwrap_or(0)
    }

    /// No agent runs, and none waits.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// What follows from one event.
    pub fn step(&mut self, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Configured(cib) => self.cib = Some(cib),
            Event::Happened(event) => self.happened(&event, effects),
            Event::Ended(receiver) => {
                let Some(waiting) = self.running.get_mut(&receiver) else {
                    return;
                };
                match waiting.pop_front() {
                    Some(next) => effects.push(Effect::Run(next)),
                    None => {
                        self.running.remove(&receiver);
                        self.timeouts.remove(&receiver);
                    }
                }
            }
        }
    }

    fn happened(&mut self, event: &Happened, effects: &mut Vec<Effect>) {
        let Some(cib) = &self.cib else { return };
        let receivers = receivers(cib, &event.at).into_iter();
        for receiver in receivers.filter(|receiver| receiver.select.wants(&event.what)) {
            self.sequence += 1;
            let call = Call {
                receiver: receiver.id.clone(),
                path: receiver.path.clone(),
                env: environment::of(&receiver, event, self.sequence),
                timeout_ms: receiver.timeout_ms,
            };
            let longest = self.timeouts.entry(receiver.id.clone()).or_default();
            *longest = receiver.timeout_ms.max(*longest);
            let Some(waiting) = self.running.get_mut(&receiver.id) else {
                self.running.insert(receiver.id.clone(), VecDeque::new());
                effects.push(Effect::Run(call));
                continue;
            };
            if waiting.len() == QUEUE {
                waiting.pop_front();
                effects.push(Effect::Dropped(receiver.id.clone()));
            }
            waiting.push_back(call);
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
