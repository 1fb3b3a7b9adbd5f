//! A configuration on trial: unless somebody confirms it in time, what it changed is taken back. It is part of the
//! replicated state, so that it ends although the shell, the node or the leader that began it is gone.
//!
//! What others changed meanwhile stays. Only where that can't be, because it hangs on what is taken back, does the whole
//! configuration return as it was, with the nodes that are members now.

use serde::{Deserialize, Serialize};

use crate::cib::{self, Cib, Command, Op, Patch, Target};
use crate::xml::Element;

/// The shortest and the longest time that somebody may take to confirm.
pub(crate) const WITHIN_S: std::ops::RangeInclusive<u64> = 1..=7 * 86_400;

/// A change that waits to be confirmed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The number of the change in the history.
    pub number: u64,
    /// Seconds since 1970 when it was made.
    pub since_s: i64,
    /// Seconds since 1970 when it is taken back.
    pub until_s: i64,
    /// Who made it.
    pub user: String,
    /// On which node.
    pub node: String,
    /// What was said about it.
    pub comment: String,
    /// `<configuration>` before it.
    pub before: Element,
    /// `<configuration>` after it.
    pub after: Element,
}

impl Trial {
    /// The commands that take it back from this CIB, the best first: each is tried when the one before does not fit.
    pub(crate) fn ways_back(&self, cib: &Cib) -> Vec<Command> {
        let with = |configuration: &Element| {
            let mut root = Element::new("cib");
            root.push(configuration.clone());
            root
        };
        let patch: Patch =
            cib::patch::diff(&with(&self.after), &with(&self.before)).without_versions();
        let own = Command::new(Op::Patch, Target::Whole, Some(patch.to_element()));
        let mut whole = self.before.clone();
        if let Some(nodes) = cib.configuration().and_then(|now| now.child("nodes")) {
            *whole.child_or_new("nodes") = nodes.clone();
        }
        let target = Target::Section("configuration".into());
        vec![own, Command::new(Op::Replace, target, Some(whole))]
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::{Dedup, State, apply, restore, save};
    use super::super::vocab::{ClientWrite, ClusterChange, Outcome};
    use super::*;
    use crate::cib::Origin;
    use crate::terms::Term;
    use uuid::Uuid;

    struct World {
        state: State,
        dedup: Dedup,
        seq: u64,
    }

    impl World {
        fn new() -> Self {
            let mut world = World {
                state: State::default(),
                dedup: Dedup::default(),
                seq: 0,
            };
            world.state.cib = Cib::empty();
            assert!(world.write(Command::create("resources", primitive("a"))));
            world
        }

        fn apply(&mut self, write: ClientWrite) -> Outcome {
            let (answer, _) = apply(&mut self.state, &mut self.dedup, self.seq, Term(1), write);
            answer.outcome
        }

        fn write(&mut self, command: Command) -> bool {
            self.seq += 1;
            let write = ClientWrite::cib(Uuid::nil(), self.seq, command);
            matches!(self.apply(write), Outcome::Done(_))
        }

        fn change(&mut self, change: ClusterChange) -> Outcome {
            self.seq += 1;
            self.apply(ClientWrite::cluster(Uuid::nil(), self.seq, change))
        }

        fn try_out(&mut self, command: Command, within_s: u64) -> Outcome {
            let command = Box::new(command.at(1000));
            self.change(ClusterChange::Try { command, within_s })
        }

        fn end(&mut self, number: u64, keep: bool) -> Outcome {
            let origin = Origin {
                client: "systole".into(),
                comment: "taken back".into(),
                ..Origin::default()
            };
            self.change(ClusterChange::EndTrial {
                number,
                keep,
                origin,
                now_s: 2000,
            })
        }

        fn has(&self, id: &str) -> bool {
            self.state.cib.root().find_id(id).is_some()
        }
    }

    fn primitive(id: &str) -> Element {
        Element::new("primitive")
            .with("id", id)
            .with("class", "ocf")
            .with("provider", "systole")
            .with("type", "Dummy")
    }

    fn location(id: &str, rsc: &str) -> Command {
        let element = Element::new("rsc_location")
            .with("id", id)
            .with("rsc", rsc)
            .with("node", "n1")
            .with("score", "1");
        Command::create("constraints", element)
    }

    #[test]
    fn what_nobody_confirms_is_taken_back_and_what_others_did_stays() {
        let mut world = World::new();
        let tried = world.try_out(Command::create("resources", primitive("b")), 60);
        assert_eq!(tried, Outcome::Done(None));
        let trial = world.state.trial.clone().expect("on trial");
        assert_eq!((trial.number, trial.until_s), (2, 1060));
        assert!(world.write(Command::create("resources", primitive("c"))));
        let second = world.try_out(Command::create("resources", primitive("d")), 60);
        assert!(
            second
                .message()
                .is_some_and(|why| why.contains("change 2 is still on trial"))
        );

        // A snapshot carries it to a node that was away.
        let bytes = save(&world.state, &world.dedup);
        let (restored, _) = restore(&bytes).expect("our own snapshot");
        assert_eq!(restored.trial, world.state.trial);
        assert_eq!(restored.history, world.state.history);
        world.state = restored;

        assert!(world.end(1, false).message().is_some(), "another change");
        assert!(world.has("b"));
        assert_eq!(world.end(2, false), Outcome::Done(None));
        assert!(world.has("a") && !world.has("b") && world.has("c"));
        assert_eq!(world.state.trial, None);
        let newest = world.state.history.get(4).expect("remembered");
        assert_eq!(newest.comment, "taken back");
        assert_eq!(newest.objects[0].to_string(), "-b");
        assert!(world.end(2, false).message().is_some(), "it has ended");
    }

    #[test]
    fn what_hangs_on_it_goes_with_it_but_new_nodes_stay() {
        let mut world = World::new();
        world.try_out(Command::create("resources", primitive("b")), 60);
        assert!(world.write(location("l", "b")));
        let node = Element::new("node").with("id", "1").with("uname", "n1");
        assert!(world.write(Command::create("nodes", node)));
        assert_eq!(world.end(2, false), Outcome::Done(None));
        assert!(!world.has("b") && !world.has("l") && world.has("1"));
    }

    #[test]
    fn what_is_confirmed_stays_and_what_changes_nothing_is_not_tried() {
        let mut world = World::new();
        world.try_out(Command::create("resources", primitive("b")), 60);
        assert_eq!(world.end(2, true), Outcome::Done(None));
        assert!(world.has("b") && world.state.trial.is_none());
        let same = Command::modify("resources", primitive("b"));
        assert_eq!(world.try_out(same, 60), Outcome::Done(None));
        assert_eq!(world.state.trial, None);
        let long = world.try_out(Command::create("resources", primitive("c")), 1 << 40);
        assert!(long.message().is_some() && !world.has("c"));
    }
}
