//! One connection, from its start to its stop. Pure: calls, writes and answers are effects, whose ends come back as events.
//!
//! ```text
//!   Idle ──start──► Calling ──line──► Greeting ──welcome──► Entering ──written──► Up
//!    ▲                │ ▲ (again, until the operation's time is over)              │
//!    └──stop, loss────┴─┴──────────────────────────────────────────────────────────┘
//! ```
//!
//! A lost connection is a failed monitor, told at once; nothing here connects again by itself. Whether a remote node may be
//! reached anew, from where, and whether it has to be fenced first, is the policy's decision.

use crate::clock::Mono;
use crate::executor::{Outcome, RunId};
use crate::rpc::Stamp;
use crate::terms::{ExecStatus, OcfExit};

use super::vocab::{Attempt, Effect, Event, Now, Target, Task};

/// Between two attempts to connect, in milliseconds.
const AGAIN_MS: u64 = 500;

/// The connection to one remote node.
#[derive(Debug, Default)]
pub(super) struct Machine {
    state: State,
    last: Attempt,
    next_poke: u64,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// It was up, and nobody ended it.
    Broken(String),
    Trying(Trying),
    Up(Up),
    /// The remote node obeys another connection.
    Taken {
        by: Stamp,
        moving: bool,
    },
}

/// A start under way.
#[derive(Debug)]
struct Trying {
    run: RunId,
    attempt: Attempt,
    target: Target,
    stamp: Stamp,
    begun: Mono,
    until: Mono,
    /// When it is tried again; none while something is under way.
    again: Option<Mono>,
    why: String,
}

#[derive(Debug)]
struct Up {
    attempt: Attempt,
    stamp: Stamp,
    /// It moves to another member: that it ends is no failure.
    moving: bool,
    pokes: Vec<Poke>,
}

#[derive(Debug)]
struct Poke {
    number: u64,
    run: RunId,
    begun: Mono,
    until: Mono,
}

impl Machine {
    /// The line that is up, if one is.
    pub(super) fn up(&self) -> Option<Attempt> {
        match &self.state {
            State::Up(up) => Some(up.attempt),
            _ => None,
        }
    }

    /// When [`Event::Tick`] is due.
    pub(super) fn next_wake(&self) -> Option<Mono> {
        match &self.state {
            State::Trying(it) => Some(it.again.map_or(it.until, |again| again.min(it.until))),
            State::Up(up) => up.pokes.iter().map(|poke| poke.until).min(),
            _ => None,
        }
    }

    /// Takes one event; what follows is appended to `effects`.
    pub(super) fn step(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Task(task) => self.task(now, task, effects),
            Event::Connected(attempt) => {
                if let State::Trying(it) = &self.state
                    && it.attempt == attempt
                {
                    effects.push(Effect::Greet(attempt, it.stamp));
                }
            }
            Event::Failed(attempt, why) => self.failed(now, attempt, why),
            Event::Welcomed(attempt, life) => {
                if let State::Trying(it) = &self.state
                    && it.attempt == attempt
                {
                    effects.push(Effect::Enter(attempt, it.stamp, life));
                }
            }
            Event::Entered(attempt, result) => self.entered(now, attempt, result, effects),
            Event::Replaced(attempt, by) => self.replaced(now, attempt, by, effects),
            Event::Lost(attempt, why) => self.lost(now, attempt, &why, effects),
            Event::Poked(attempt, number) => self.poked(now, attempt, number, effects),
            Event::Tick => {}
        }
        self.tick(now, effects);
    }

    fn task(&mut self, now: Now, task: Task, effects: &mut Vec<Effect>) {
        let run = task.run;
        match task.task.as_str() {
            "start" | "migrate_from" => self.start(now, task, effects),
            "stop" => {
                self.hang_up(effects);
                effects.push(Effect::End(run, Outcome::done(0)));
            }
            "monitor" => self.monitor(now, task, effects),
            "migrate_to" => {
                let outcome = match &mut self.state {
                    State::Up(up) => {
                        up.moving = true;
                        Outcome::done(0)
                    }
                    _ => error("there is no connection that could move"),
                };
                effects.push(Effect::End(run, outcome));
            }
            // What can be changed without a restart is the policy's to know.
            "reload" | "reload-agent" => effects.push(Effect::End(run, Outcome::done(0))),
            other => {
                let why = format!("a connection to a remote node knows no action `{other}`");
                let (status, rc) = (ExecStatus::NotSupported, OcfExit::UNIMPLEMENTED);
                effects.push(Effect::End(run, Outcome::failed(status, rc, why)));
            }
        }
    }

    fn start(&mut self, now: Now, task: Task, effects: &mut Vec<Effect>) {
        self.hang_up(effects);
        let target = match task.target {
            Ok(target) => target,
            Err(why) => {
                let (status, rc) = (ExecStatus::Error, OcfExit::NOT_CONFIGURED);
                effects.push(Effect::End(task.run, Outcome::failed(status, rc, why)));
                return;
            }
        };
        self.last.0 += 1;
        effects.push(Effect::Call(self.last, target.clone()));
        self.state = State::Trying(Trying {
            run: task.run,
            attempt: self.last,
            target,
            stamp: task.stamp,
            begun: now,
            until: now.plus(task.timeout_ms),
            again: None,
            why: "no answer".to_owned(),
        });
    }

    fn monitor(&mut self, now: Now, task: Task, effects: &mut Vec<Effect>) {
        let outcome = match &mut self.state {
            State::Up(up) => {
                self.next_poke += 1;
                let poke = Poke {
                    number: self.next_poke,
                    run: task.run,
                    begun: now,
                    until: now.plus(task.timeout_ms),
                };
                effects.push(Effect::Poke(up.attempt, poke.number));
                up.pokes.push(poke);
                return;
            }
            State::Broken(why) if task.recurring => error(why),
            State::Taken { moving: true, .. } => Outcome::done(0),
            State::Taken { by, .. } if task.recurring => {
                error(&format!("the remote node obeys a newer connection ({by})"))
            }
            _ => Outcome::done(OcfExit::NOT_RUNNING.0),
        };
        effects.push(Effect::End(task.run, outcome));
    }

    /// Whatever there is ends, because it was asked for.
    fn hang_up(&mut self, effects: &mut Vec<Effect>) {
        match std::mem::take(&mut self.state) {
            State::Trying(it) => {
                effects.push(Effect::HangUp(it.attempt));
                effects.push(Effect::End(
                    it.run,
                    error("the connection was stopped meanwhile"),
                ));
            }
            State::Up(up) => {
                for poke in up.pokes {
                    let outcome = error("the connection was stopped meanwhile");
                    effects.push(Effect::End(poke.run, outcome));
                }
                effects.push(Effect::HangUp(up.attempt));
                effects.push(Effect::Leave(up.stamp));
            }
            State::Idle | State::Broken(_) | State::Taken { .. } => {}
        }
    }

    fn failed(&mut self, now: Now, attempt: Attempt, why: String) {
        if let State::Trying(it) = &mut self.state
            && it.attempt == attempt
        {
            it.why = why;
            it.again = Some(now.plus(AGAIN_MS));
        }
    }

    fn entered(
        &mut self,
        now: Now,
        attempt: Attempt,
        result: Result<(), String>,
        effects: &mut Vec<Effect>,
    ) {
        let it = match std::mem::take(&mut self.state) {
            State::Trying(it) if it.attempt == attempt => it,
            other => {
                self.state = other;
                return;
            }
        };
        let outcome = match result {
            Ok(()) => {
                self.state = State::Up(Up {
                    attempt,
                    stamp: it.stamp,
                    moving: false,
                    pokes: Vec::new(),
                });
                Outcome::done(0)
            }
            Err(why) => {
                effects.push(Effect::HangUp(attempt));
                error(&why)
            }
        };
        effects.push(Effect::End(it.run, took(outcome, it.begun, now)));
    }

    fn replaced(&mut self, now: Now, attempt: Attempt, by: Stamp, effects: &mut Vec<Effect>) {
        match std::mem::take(&mut self.state) {
            State::Trying(it) if it.attempt == attempt => {
                let why = format!("the remote node obeys a newer connection ({by})");
                effects.push(Effect::HangUp(attempt));
                effects.push(Effect::End(it.run, took(error(&why), it.begun, now)));
            }
            State::Up(up) if up.attempt == attempt => {
                for poke in up.pokes {
                    let outcome = error("the connection was taken over");
                    effects.push(Effect::End(poke.run, took(outcome, poke.begun, now)));
                }
                let moving = up.moving;
                self.state = State::Taken { by, moving };
                effects.push(Effect::HangUp(attempt));
                if !moving {
                    effects.push(Effect::Look);
                }
            }
            other => self.state = other,
        }
    }

    fn lost(&mut self, now: Now, attempt: Attempt, why: &str, effects: &mut Vec<Effect>) {
        match std::mem::take(&mut self.state) {
            // It may have been restarted just now.
            State::Trying(it) if it.attempt == attempt => {
                effects.push(Effect::HangUp(attempt));
                self.state = State::Trying(it);
                self.failed(now, attempt, why.to_owned());
            }
            State::Up(up) if up.attempt == attempt => {
                let why = format!("the connection was lost: {why}");
                for poke in up.pokes {
                    let outcome = took(error(&why), poke.begun, now);
                    effects.push(Effect::End(poke.run, outcome));
                }
                self.state = State::Broken(why);
                effects.push(Effect::HangUp(attempt));
                effects.push(Effect::Leave(up.stamp));
                effects.push(Effect::Look);
            }
            other => self.state = other,
        }
    }

    fn poked(&mut self, now: Now, attempt: Attempt, number: u64, effects: &mut Vec<Effect>) {
        let State::Up(up) = &mut self.state else {
            return;
        };
        if up.attempt != attempt {
            return;
        }
        // An answer to a later question answers the earlier ones.
        let (answered, open) = std::mem::take(&mut up.pokes)
            .into_iter()
            .partition(|poke: &Poke| poke.number <= number);
        up.pokes = open;
        for poke in answered {
            let outcome = took(Outcome::done(0), poke.begun, now);
            effects.push(Effect::End(poke.run, outcome));
        }
    }

    fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        match &mut self.state {
            State::Trying(it) if it.until <= now => {
                let why = format!("failed to connect in time: {}", it.why);
                let outcome = Outcome::failed(ExecStatus::TimedOut, OcfExit::ERROR, why);
                effects.push(Effect::HangUp(it.attempt));
                effects.push(Effect::End(it.run, took(outcome, it.begun, now)));
                self.state = State::Idle;
            }
            State::Trying(it) if it.again.is_some_and(|again| again <= now) => {
                self.last.0 += 1;
                it.attempt = self.last;
                it.again = None;
                effects.push(Effect::Call(it.attempt, it.target.clone()));
            }
            State::Up(up) => {
                let (late, open) = std::mem::take(&mut up.pokes)
                    .into_iter()
                    .partition(|poke: &Poke| poke.until <= now);
                up.pokes = open;
                let late: Vec<Poke> = late;
                for poke in late {
                    let why = "the remote node does not answer in time";
                    let outcome = Outcome::failed(ExecStatus::TimedOut, OcfExit::ERROR, why);
                    effects.push(Effect::End(poke.run, took(outcome, poke.begun, now)));
                }
            }
            _ => {}
        }
    }
}

fn error(why: &str) -> Outcome {
    Outcome::failed(ExecStatus::Error, OcfExit::ERROR, why)
}

fn took(mut outcome: Outcome, begun: Mono, now: Mono) -> Outcome {
    outcome.run_ms = now.since(begun);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(run: u64, name: &str, recurring: bool) -> Event {
        Event::Task(Task {
            run: RunId(run),
            task: name.to_owned(),
            recurring,
            stamp: Stamp {
                action: i64::try_from(run).expect("small"),
                ..Stamp::default()
            },
            target: Ok(target()),
            timeout_ms: 2_000,
        })
    }

    fn target() -> Target {
        Target {
            server: "r".into(),
            port: 3121,
        }
    }

    /// A machine and what it did, one word an effect.
    #[derive(Default)]
    struct Lab {
        machine: Machine,
        now: u64,
    }

    impl Lab {
        fn step(&mut self, event: Event) -> Vec<String> {
            let mut effects = Vec::new();
            self.machine.step(Mono(self.now), event, &mut effects);
            let word = |effect: Effect| match effect {
                Effect::End(run, it) => format!("end {} {} {}", run.0, it.status.code(), it.rc.0),
                Effect::Call(attempt, _) => format!("call {}", attempt.0),
                Effect::Greet(attempt, _) => format!("greet {}", attempt.0),
                Effect::Enter(attempt, _, life) => format!("enter {} {life}", attempt.0),
                Effect::HangUp(attempt) => format!("hang up {}", attempt.0),
                Effect::Poke(_, number) => format!("poke {number}"),
                Effect::Leave(_) => "leave".into(),
                Effect::Look => "look".into(),
            };
            effects.into_iter().map(word).collect()
        }

        fn up() -> Self {
            let mut lab = Self::default();
            let at = Attempt(1);
            assert_eq!(lab.step(task(1, "start", false)), ["call 1"]);
            assert_eq!(lab.step(Event::Connected(at)), ["greet 1"]);
            assert_eq!(lab.step(Event::Welcomed(at, 7)), ["enter 1 7"]);
            assert_eq!(lab.step(Event::Entered(at, Ok(()))), ["end 1 0 0"]);
            lab
        }
    }

    #[test]
    fn a_start_is_tried_again_until_its_time_is_over() {
        let mut lab = Lab::default();
        assert_eq!(lab.step(task(1, "start", false)), ["call 1"]);
        assert!(
            lab.step(Event::Failed(Attempt(1), "refused".into()))
                .is_empty()
        );
        lab.now = 500;
        assert_eq!(lab.step(Event::Tick), ["call 2"]);
        // What the first attempt says now is nobody's.
        assert!(lab.step(Event::Connected(Attempt(1))).is_empty());
        assert_eq!(lab.step(Event::Connected(Attempt(2))), ["greet 2"]);
        lab.now = 2_000;
        assert_eq!(lab.step(Event::Tick), ["hang up 2", "end 1 2 1"]);
        assert_eq!(lab.step(task(2, "monitor", false)), ["end 2 0 7"]);
    }

    #[test]
    fn a_lost_connection_is_a_failed_monitor_at_once() {
        let mut lab = Lab::up();
        assert_eq!(lab.step(task(2, "monitor", true)), ["poke 1"]);
        let lost = lab.step(Event::Lost(Attempt(1), "reset".into()));
        assert_eq!(lost, ["end 2 4 1", "hang up 1", "leave", "look"]);
        assert_eq!(lab.step(task(3, "monitor", true)), ["end 3 4 1"]);
        // A probe finds no connection, which is true.
        assert_eq!(lab.step(task(4, "monitor", false)), ["end 4 0 7"]);
        assert_eq!(lab.step(task(5, "stop", false)), ["end 5 0 0"]);
    }

    #[test]
    fn a_monitor_ends_with_the_answer_or_with_its_time() {
        let mut lab = Lab::up();
        assert_eq!(lab.step(task(2, "monitor", true)), ["poke 1"]);
        assert_eq!(lab.step(Event::Poked(Attempt(1), 1)), ["end 2 0 0"]);
        assert_eq!(lab.step(task(3, "monitor", true)), ["poke 2"]);
        lab.now = 2_000;
        assert_eq!(lab.step(Event::Tick), ["end 3 2 1"]);
    }

    #[test]
    fn who_gives_a_connection_away_does_not_call_that_a_failure() {
        let by = Stamp {
            action: 9,
            ..Stamp::default()
        };
        let mut lab = Lab::up();
        assert_eq!(lab.step(task(2, "migrate_to", false)), ["end 2 0 0"]);
        assert_eq!(lab.step(Event::Replaced(Attempt(1), by)), ["hang up 1"]);
        assert_eq!(lab.step(task(3, "monitor", true)), ["end 3 0 0"]);
        assert_eq!(lab.step(task(4, "stop", false)), ["end 4 0 0"]);

        let mut deposed = Lab::up();
        let replaced = deposed.step(Event::Replaced(Attempt(1), by));
        assert_eq!(replaced, ["hang up 1", "look"]);
        assert_eq!(deposed.step(task(3, "monitor", true)), ["end 3 4 1"]);
    }

    #[test]
    fn a_stop_hangs_up_whatever_is_under_way() {
        let mut lab = Lab::up();
        let stopped = lab.step(task(2, "stop", false));
        assert_eq!(stopped, ["hang up 1", "leave", "end 2 0 0"]);
        assert_eq!(lab.step(task(3, "start", false)), ["call 2"]);
        let stopped = lab.step(task(4, "stop", false));
        assert_eq!(stopped, ["hang up 2", "end 3 4 1", "end 4 0 0"]);
    }

    #[test]
    fn a_host_that_was_deposed_gets_no_connection() {
        let mut lab = Lab::default();
        lab.step(task(1, "start", false));
        lab.step(Event::Connected(Attempt(1)));
        let refused = lab.step(Event::Replaced(Attempt(1), Stamp::default()));
        assert_eq!(refused, ["hang up 1", "end 1 4 1"]);
        assert_eq!(lab.machine.up(), None);
    }
}
