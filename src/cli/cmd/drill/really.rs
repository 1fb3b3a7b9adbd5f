//! A drill on the machines: one node is emptied or fenced, and what is seen is compared with what was expected.

use std::time::Duration;

use serde_json::json;

use super::super::{change, facts_of, plan, wait};
use super::{as_json, as_text};
use crate::{
    cib::Cib,
    cli::{
        access,
        args::Drill,
        failure::Failure,
        forecast::{self, Interruption, Verdict},
        shell::Shell,
        waiting::{Borrowed, Waiting},
    },
    clock::{self, Mono},
    fencer,
    policy::Input,
    rpc::AdminRequest,
    terms::{CrmExit, span},
    xml::Element,
};

/// Between two looks at what really happens.
const LOOK: Duration = Duration::from_millis(50);
/// It is given up after this.
const PATIENCE_MS: u64 = 600_000;

/// The same on the machines: one node, and nothing that would be lost unless it is forced.
pub(super) fn run(
    shell: &mut Shell,
    drill: &Drill,
    cib: &Cib,
    verdicts: &[Verdict],
) -> Result<(), Failure> {
    let (Some(_), [verdict]) = (&drill.node, verdicts) else {
        return Err(
            Failure::usage("only one node at a time is really taken away")
                .cure("crm drill --node NODE --really"),
        );
    };
    if !shell.access.live() {
        return Err(Failure::new(
            CrmExit::DISCONNECTED,
            "there are no machines behind a CIB file",
        ));
    }
    let node = verdict.failure.nodes[0].clone();
    if !drill.json {
        shell.show(&as_text(verdict))?;
    }
    let lost: Vec<&str> = verdict.lost().collect();
    if !lost.is_empty() && !shell.force {
        let text = format!("nothing was done: {} would be lost", lost.join(", "));
        return Err(Failure::new(CrmExit::UNSAFE, text).cure("--force does it all the same"));
    }
    if !plan::is_settled(cib) && !shell.force {
        return Err(
            Failure::new(CrmExit::NOT_YET, "nothing was done: the cluster is busy")
                .cure("crm cluster wait, or --force"),
        );
    }
    if (shell.person || drill.ask) && !drill.yes && !shell.force {
        let how = if drill.fence { "Fence" } else { "Empty" };
        if !shell.ask(&format!("{how} {node} now?"))? {
            return Err(Failure::new(CrmExit::ERROR, "nothing was done"));
        }
    }
    if in_standby(cib, &node) {
        let text = format!("nothing was done: {node} is in standby already");
        return Err(Failure::new(CrmExit::EXISTS, text).cure(format!("crm node online {node}")));
    }
    let expected = expected(cib, verdict, &node, drill.fence)?;
    let began = Mono::now();
    let fencing = drill.fence.then(|| Fencing::begin(&node));
    let lent = !drill.fence && !drill.keep;
    let borrowed = lent.then(Borrowed::begin);
    let begun = if drill.fence {
        Ok(())
    } else {
        standby(shell, &node, true)
    };
    let seen = begun.and_then(|()| watch(shell, cib, began, fencing.as_ref()));
    // Whatever was seen, and also when it is not known whether it was written, the node is let in again.
    let back = if lent {
        standby(shell, &node, false)
    } else {
        Ok(())
    };
    drop(borrowed);
    let seen = seen?;
    back?;
    let fenced_ms = fencing.map(Fencing::end).transpose()?;
    if !drill.fence && !drill.keep {
        wait::idle(shell, PATIENCE_MS / 1000)?;
    }
    report(shell, drill, verdict, &expected, &seen, fenced_ms)
}

/// What the policy says of exactly this: the node emptied, or lost.
fn expected(
    cib: &Cib,
    verdict: &Verdict,
    node: &str,
    fence: bool,
) -> Result<Vec<Interruption>, Failure> {
    if fence {
        return Ok(verdict.interruptions.clone());
    }
    let mut root = cib.root().clone();
    put_standby(&mut root, node, true);
    let input = Input::at(clock::wall_s());
    let told = forecast::forecast(cib.root(), &root, &input)
        .map_err(|error| Failure::new(CrmExit::SOFTWARE, format!("failed to {error}")))?;
    Ok(told.interruptions)
}

fn in_standby(cib: &Cib, node: &str) -> bool {
    let facts = facts_of(cib);
    facts
        .node_by_name(node)
        .is_some_and(|node| facts.nodes[node].standby)
}

fn put_standby(root: &mut Element, node: &str, on: bool) {
    let id = change::node(root, node).and_then(Element::id);
    let id = id.unwrap_or(node).to_owned();
    change::put_transient(root, &id, node, "standby", on.then_some("on"));
}

fn standby(shell: &mut Shell, node: &str, on: bool) -> Result<(), Failure> {
    let words = if on {
        format!("node standby {node} reboot")
    } else {
        format!("node online {node}")
    };
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let line =
        crate::cli::entry::parse_line(&words).map_err(|error| Failure::usage(error.to_string()))?;
    let wait = std::mem::replace(&mut shell.wait, false);
    let done = shell.run(line);
    shell.wait = wait;
    done
}

/// How long each resource was seen to be away, in milliseconds, and whether it came back.
type Seen = Vec<(String, u64, bool)>;

/// A node being fenced. The answer comes when it is over, so it is waited for beside the watching.
struct Fencing {
    thread: std::thread::JoinHandle<Result<u64, (CrmExit, String)>>,
}

impl Fencing {
    fn begin(node: &str) -> Fencing {
        let request = AdminRequest::Fence {
            node: node.to_owned(),
            action: fencer::Action::Reboot,
            timeout_ms: 60_000,
        };
        let thread = std::thread::spawn(move || {
            let began = Mono::now();
            let answer = access::daemon().ask(request);
            answer
                .map(|_| Mono::now().since(began))
                .map_err(|failure| (failure.exit, failure.message))
        });
        Fencing { thread }
    }

    fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// How long it took.
    fn end(self) -> Result<u64, Failure> {
        let broken = || {
            Err((
                CrmExit::SOFTWARE,
                "the request to fence broke off".to_owned(),
            ))
        };
        let ended = self.thread.join().unwrap_or_else(|_| broken());
        ended.map_err(|(exit, message)| Failure::new(exit, message))
    }
}

fn watch(
    shell: &mut Shell,
    before: &Cib,
    began: Mono,
    fencing: Option<&Fencing>,
) -> Result<Seen, Failure> {
    let ran: Vec<String> = forecast::standing(&facts_of(before))
        .into_iter()
        .filter(|(_, nodes)| !nodes.is_empty())
        .map(|(rsc, _)| rsc)
        .collect();
    let mut since: Vec<Option<Mono>> = vec![None; ran.len()];
    let mut total = vec![0; ran.len()];
    let mut quiet = 0;
    let mut waiting = Waiting::begin();
    loop {
        let now = Mono::now();
        // While the leader changes there is no answer for a moment.
        if let Ok(cib) = shell.access.cib() {
            let there = forecast::standing(&facts_of(&cib));
            for (at, rsc) in ran.iter().enumerate() {
                let active = there.get(rsc).is_some_and(|nodes| !nodes.is_empty());
                match (active, since[at]) {
                    (false, None) => since[at] = Some(now),
                    (true, Some(from)) => {
                        total[at] += now.since(from);
                        since[at] = None;
                    }
                    _ => {}
                }
            }
            let over = fencing.is_none_or(Fencing::is_over);
            match plan::left(&cib) {
                None if over => quiet += 1,
                left => {
                    quiet = 0;
                    waiting.show(left.as_deref().unwrap_or("the fencing"));
                }
            }
        }
        if quiet >= 10 || now.since(began) > PATIENCE_MS {
            break;
        }
        waiting.pause(LOOK)?;
    }
    let seen = ran.into_iter().zip(total).zip(since);
    Ok(seen
        .filter(|((_, total), since)| *total > 0 || since.is_some())
        .map(|((rsc, total), since)| (rsc, total, since.is_none()))
        .collect())
}

fn report(
    shell: &mut Shell,
    drill: &Drill,
    verdict: &Verdict,
    expected: &[Interruption],
    seen: &Seen,
    fenced_ms: Option<u64>,
) -> Result<(), Failure> {
    let node = &verdict.failure.nodes[0];
    let mut names: Vec<&str> = expected.iter().map(|it| it.rsc.as_str()).collect();
    names.extend(seen.iter().map(|(rsc, ..)| rsc.as_str()));
    names.sort_unstable();
    names.dedup();
    let of = |rsc: &str| {
        (
            expected.iter().find(|it| it.rsc == rsc),
            seen.iter().find(|(name, ..)| name == rsc),
        )
    };
    if drill.json {
        let lines = names.iter().map(|rsc| {
            let (expected, seen) = of(rsc);
            json!({
                "resource": rsc,
                "expected_ms": expected.and_then(|it| it.ms),
                "all_times_known": expected.map(|it| it.known),
                "worst_ms": expected.map(|it| it.worst_ms),
                "seen_ms": seen.map_or(0, |(_, ms, _)| *ms),
                "back": seen.is_none_or(|(.., back)| *back),
            })
        });
        let value = json!({
            "node": node,
            "drill": as_json(verdict),
            "fencing_ms": fenced_ms,
            "resources": lines.collect::<Vec<_>>(),
        });
        return shell.say(&format!("{value:#}"));
    }
    let mut out = match fenced_ms {
        None => format!("{node} was emptied."),
        Some(ms) => format!("{node} was fenced, which took {}.", span::readable(ms)),
    };
    out.push_str(" Each service was away:\n");
    // What is expected begins with the proof that the node is gone.
    let plus = if fenced_ms.is_some() {
        " after the fencing"
    } else {
        ""
    };
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    for rsc in &names {
        let (expected, seen) = of(rsc);
        let expected = match expected {
            None => "not expected".to_owned(),
            Some(Interruption { ms: None, .. }) => "expected for good".to_owned(),
            Some(Interruption {
                ms: Some(ms),
                known: true,
                ..
            }) => format!("expected {}{plus}", span::readable(*ms)),
            Some(it) => format!("expected at most {}{plus}", span::readable(it.worst_ms)),
        };
        let seen = match seen {
            None => format!("less than {}", span::readable(as_ms(LOOK))),
            Some((_, ms, true)) => span::readable(*ms),
            Some((.., false)) => "IT DID NOT COME BACK".to_owned(),
        };
        out.push_str(&format!("  {rsc:width$}  {seen} ({expected})\n"));
    }
    if names.is_empty() {
        out.push_str("  nothing was\n");
    }
    shell.show(&out)
}

fn as_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
