//! What only time brings about, looked for by whoever leads: a change that nobody confirmed is taken back, and what `move`
//! and `ban` were told to end is removed once it has ended. A leader that dies leaves it to the next one, because all that
//! is needed is in the replicated state; done twice it does no harm, because the state itself checks.

use std::time::Duration;

use crate::cib::config::moves::Move;
use crate::cib::{Command, Origin, Patch, patch};
use crate::clock::wall_s;
use crate::raft::{Answer, ClusterChange, Error, Raft, State};
use crate::terms::NodeName;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Something to be done now.
#[derive(Debug, PartialEq)]
enum Chore {
    /// Nobody confirmed this change in time.
    TakeBack(u64),
    /// The time of these constraints is over.
    Clear(Vec<String>, Box<Patch>),
}

/// Looks again and again.
pub(super) async fn keep(raft: Raft, name: NodeName) {
    let mut pause = tokio::time::interval(PAUSE);
    pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        if !raft.leadership().borrow().mine {
            continue;
        }
        let now_s = wall_s();
        for chore in due(&raft.local(), now_s) {
            let what = chore.told();
            match perform(&raft, &name, chore, now_s).await {
                Ok(answer) => match answer.outcome.message() {
                    None => tracing::info!("{what}"),
                    Some(why) => tracing::warn!("{what}: {why}"),
                },
                // It is still due, and looked at again.
                Err(e) => tracing::warn!("{what}: {e}"),
            }
        }
    }
}

/// In the laboratory, a host's wall clock jumps when the number in a file says so.
pub(super) async fn follow_clock(file: std::path::PathBuf) {
    loop {
        let text = tokio::fs::read_to_string(&file).await.unwrap_or_default();
        crate::clock::jump_ahead_s(text.trim().parse().unwrap_or(0));
        tokio::time::sleep(PAUSE / 10).await;
    }
}

fn due(state: &State, now_s: i64) -> Vec<Chore> {
    let mut chores = Vec::new();
    let overdue = state.trial.as_ref().filter(|trial| trial.until_s <= now_s);
    chores.extend(overdue.map(|trial| Chore::TakeBack(trial.number)));
    let old = state.cib.root();
    let over: Vec<String> = Move::all(old, now_s)
        .into_iter()
        .filter(|it| it.is_over(now_s))
        .map(|it| it.id)
        .collect();
    if !over.is_empty() {
        let mut new = old.clone();
        new.child_or_new("configuration")
            .child_or_new("constraints")
            .retain_children(|child| !child.id().is_some_and(|id| over.iter().any(|it| it == id)));
        // With its version: a constraint that was made anew meanwhile under the same id stays.
        let mut made = patch::diff(old, &new);
        if let Some(target) = &mut made.target {
            target.epoch += 1;
            target.num_updates = 0;
        }
        chores.push(Chore::Clear(over, Box::new(made)));
    }
    chores
}

impl Chore {
    fn told(&self) -> String {
        match self {
            Chore::TakeBack(number) => {
                format!("change {number} taken back: nobody confirmed it in time")
            }
            Chore::Clear(ids, _) => format!("expired: {}", ids.join(", ")),
        }
    }
}

async fn perform(raft: &Raft, name: &NodeName, chore: Chore, now_s: i64) -> Result<Answer, Error> {
    let origin = Origin {
        node: name.to_string(),
        client: "systole".into(),
        comment: chore.told(),
        ..Origin::default()
    };
    match chore {
        Chore::TakeBack(number) => {
            let change = ClusterChange::EndTrial {
                number,
                keep: false,
                origin,
                now_s,
            };
            raft.change(change).await
        }
        Chore::Clear(_, patch) => {
            let input = Some(patch.to_element());
            let command = Command::new(crate::cib::Op::Patch, crate::cib::Target::Whole, input);
            raft.propose(command.from(origin).at(now_s)).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cib::{self, Cib};
    use crate::xml::Limits;

    fn state(constraints: &str) -> State {
        let text = format!(
            "<cib validate-with='pacemaker-4.0' admin_epoch='0' epoch='3' num_updates='7'><configuration><crm_config/><nodes/><resources><primitive id='d' class='ocf' provider='systole' type='Dummy'/></resources>\
             <constraints>{constraints}</constraints></configuration><status/></cib>"
        );
        State {
            cib: Cib::parse(&text, &Limits::CIB).expect("well-formed"),
            ..State::default()
        }
    }

    const BAN: &str = "<rsc_location id='cli-ban-d-on-n1' rsc='d'><rule id='r' score='-INFINITY'>\
        <expression id='e' attribute='#uname' operation='eq' value='n1'/>\
        <date_expression id='t' operation='lt' end='1970-01-01 00:01:00Z'/></rule></rsc_location>";

    #[test]
    fn a_ban_is_removed_when_its_time_is_over_and_only_if_nothing_changed_meanwhile() {
        let now = state(BAN);
        assert_eq!(due(&now, 59), []);
        let chores = due(&now, 60);
        let [Chore::Clear(ids, patch)] = chores.as_slice() else {
            panic!("{chores:?}");
        };
        assert_eq!(ids, &["cli-ban-d-on-n1"]);
        let command = Command::new(cib::Op::Patch, cib::Target::Whole, Some(patch.to_element()));
        let applied = cib::apply(&now.cib, &command);
        applied.answer.expect("it fits");
        assert!(applied.cib.root().find_id("cli-ban-d-on-n1").is_none());
        assert_eq!(applied.cib.version().to_string(), "0.4.0");
        let again = cib::apply(&applied.cib, &command);
        assert!(again.answer.is_err(), "it was made for another version");
    }
}
