//! What would change it. Every proposal is a command, and every command was run on a copy of the CIB, for which the policy was
//! asked once more: what does not have the effect is not proposed.

use std::io;

use super::{Asked, words};
use crate::{
    cib::{self, Cib, Command},
    cli::{access::Access, entry, failure::Failure, shell::Shell},
    policy::{Input, NodeIdx, Outcome, RscIdx, report::Cause, schedule},
    rpc::{AdminAnswer, AdminRequest},
    terms::{CrmExit, Role, Score},
    xml::Element,
};

/// So often the policy is asked for one explanation, in a small cluster; less often where it takes its time.
const TRIALS: usize = 40;
const TRIALS_AT_LEAST: usize = 8;
const PLACES_PER_TRIAL: usize = 300_000;
/// For so many other nodes a way is looked for.
const NODES: usize = 3;

/// A way to have it otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// Commands of the shell, to be given in this order.
    pub(super) commands: Vec<String>,
    /// What becomes of it.
    pub(super) effect: String,
}

/// A copy of a CIB, to try commands on.
struct Copy(Cib);

impl Access for Copy {
    fn cib(&mut self) -> Result<Cib, Failure> {
        Ok(self.0.clone())
    }

    fn write(&mut self, command: Command) -> Result<Option<Element>, Failure> {
        let applied = cib::apply(&self.0, &command.at(0));
        let answer = applied.answer?;
        self.0 = applied.cib;
        Ok(answer)
    }

    fn ask(&mut self, _: AdminRequest) -> Result<AdminAnswer, Failure> {
        let failure = Failure::new(CrmExit::DISCONNECTED, "a copy of a CIB can't do this");
        Err(failure.cure("ask the running cluster"))
    }

    fn live(&self) -> bool {
        false
    }
}

/// The CIB after some commands, or nothing if one of them is refused.
fn after(cib: &Cib, commands: &[String]) -> Option<Cib> {
    let mut shell = Shell::new(Box::new(Copy(cib.clone())));
    shell.out = Box::new(io::sink());
    shell.errors = Box::new(io::sink());
    shell.force = true;
    for command in commands {
        let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        shell.run(entry::parse_line(&words).ok()?).ok()?;
    }
    shell.cib().ok()
}

/// Tries commands, up to a bound.
pub(super) struct Trials<'a> {
    asked: &'a Asked,
    left: usize,
}

impl<'a> Trials<'a> {
    /// For one explanation.
    pub(super) fn of(asked: &'a Asked) -> Self {
        let facts = &asked.outcome.facts;
        let places = facts.rscs.len() * facts.nodes.len();
        let left = PLACES_PER_TRIAL / places.max(1);
        Trials {
            asked,
            left: left.clamp(TRIALS_AT_LEAST, TRIALS),
        }
    }

    /// What the policy says after these commands.
    fn outcome(&mut self, commands: &[String]) -> Option<Outcome> {
        self.left = self.left.checked_sub(1)?;
        let cib = after(&self.asked.cib, commands)?;
        let input = Input {
            causes: false,
            ..self.asked.input.clone()
        };
        Some(schedule(cib.root(), &input))
    }

    /// Whether the resource is then on that node, or in that role there.
    fn leads(&mut self, commands: &[String], rsc: RscIdx, goal: &Goal) -> bool {
        let outcome = self.outcome(commands);
        let id = self.asked.outcome.facts.rscs[rsc].xml_id.as_str();
        outcome.is_some_and(|outcome| goal.reached(&outcome, id))
    }
}

/// What is to come about.
enum Goal {
    /// It runs on this node.
    On(String),
    /// It runs at all.
    Anywhere,
}

impl Goal {
    fn reached(&self, outcome: &Outcome, id: &str) -> bool {
        // Which instance of a clone it is does not matter.
        outcome.placed.iter().any(|(rsc, node)| {
            let Some(node) = node.filter(|node| !words::start_blocked(outcome, *rsc, *node)) else {
                return false;
            };
            outcome.facts.rscs[*rsc].xml_id.as_str() == id
                && match self {
                    Goal::On(wanted) => words::name(outcome, node) == wanted,
                    Goal::Anywhere => true,
                }
        })
    }
}

/// What would have a primitive somewhere else (or on one node), or running at all.
pub(super) fn changes(trials: &mut Trials<'_>, rsc: RscIdx, only: Option<NodeIdx>) -> Vec<Change> {
    let outcome = &trials.asked.outcome;
    let here = words::placed(outcome, rsc);
    if here.is_none() && only.is_none() && !elsewhere(outcome, rsc) {
        let tried = candidates(outcome, rsc, None);
        let single = tried.iter().map(|command| vec![command.clone()]);
        let mut ways: Vec<Vec<String>> = Vec::new();
        for commands in single {
            // Starting the whole starts its parts.
            let is_start = |commands: &[String]| commands[0].starts_with("resource start ");
            let again = is_start(&commands) && ways.iter().any(|way| is_start(way));
            if !again && trials.leads(&commands, rsc, &Goal::Anywhere) {
                ways.push(commands);
            }
        }
        if ways.is_empty() {
            ways.extend(together(trials, rsc, &Goal::Anywhere, tried));
        }
        let ways = ways.into_iter();
        return ways
            .map(|commands| named(outcome, rsc, None, commands))
            .collect();
    }
    let xml_id = outcome.facts.rscs[rsc].xml_id.as_str();
    let taken = |node: NodeIdx| {
        outcome.placed.iter().any(|(other, on)| {
            *on == Some(node) && outcome.facts.rscs[*other].xml_id.as_str() == xml_id
        })
    };
    let reachable = |node: &NodeIdx| {
        let fact = &outcome.facts.nodes[*node];
        // What is down can't be changed by a command.
        !taken(*node)
            && only.is_none_or(|only| only == *node)
            && fact.online
            && !fact.unclean
            && !fact.shutdown
            && !fact.pending
    };
    let nodes = outcome.facts.node_order.iter().copied().filter(reachable);
    nodes
        .take(NODES)
        .filter_map(|node| way_to(trials, rsc, here, node))
        .collect()
}

/// Whether another instance of the same clone has a place.
fn elsewhere(outcome: &Outcome, rsc: RscIdx) -> bool {
    let xml_id = &outcome.facts.rscs[rsc].xml_id;
    let mut placed = outcome.placed.iter().filter(|(_, node)| node.is_some());
    placed.any(|(other, _)| outcome.facts.rscs[*other].xml_id == *xml_id)
}

/// The smallest way to have it on a node: one command, one more score, a move, or several of these.
fn way_to(
    trials: &mut Trials<'_>,
    rsc: RscIdx,
    here: Option<NodeIdx>,
    node: NodeIdx,
) -> Option<Change> {
    let outcome = &trials.asked.outcome;
    let to = words::name(outcome, node);
    let goal = Goal::On(to.to_owned());
    let tried = candidates(outcome, rsc, Some(node));
    for command in &tried {
        let commands = vec![command.clone()];
        if trials.leads(&commands, rsc, &goal) {
            return Some(named(outcome, rsc, Some(node), commands));
        }
    }
    if let Some(change) = by_score(trials, rsc, here, node) {
        return Some(change);
    }
    let moved = vec![format!("resource move {} {to}", target(outcome, rsc))];
    let commands = if trials.leads(&moved, rsc, &goal) {
        moved
    } else {
        let all = [tried, moved].concat();
        together(trials, rsc, &goal, all)?
    };
    Some(named(outcome, rsc, Some(node), commands))
}

/// All together, without those that are not needed.
fn together(
    trials: &mut Trials<'_>,
    rsc: RscIdx,
    goal: &Goal,
    mut commands: Vec<String>,
) -> Option<Vec<String>> {
    if commands.len() < 2 || !trials.leads(&commands, rsc, goal) {
        return None;
    }
    for at in (0..commands.len()).rev() {
        let mut fewer = commands.clone();
        fewer.remove(at);
        if !fewer.is_empty() && trials.leads(&fewer, rsc, goal) {
            commands = fewer;
        }
    }
    Some(commands)
}

fn named(outcome: &Outcome, rsc: RscIdx, node: Option<NodeIdx>, commands: Vec<String>) -> Change {
    let id = words::id(outcome, rsc);
    let effect = match node {
        Some(node) => format!("{id} would run on {}", words::name(outcome, node)),
        None => format!("{id} would run"),
    };
    Change { commands, effect }
}

/// The resource that commands name: constraints are on the whole of a group or a clone.
fn target(outcome: &Outcome, rsc: RscIdx) -> &str {
    let top = outcome.facts.top_of(rsc);
    outcome.facts.rscs[top].xml_id.as_str()
}

/// What stands in the way and can be taken away by a command.
fn candidates(outcome: &Outcome, rsc: RscIdx, node: Option<NodeIdx>) -> Vec<String> {
    let facts = &outcome.facts;
    let own = facts.rscs[rsc].xml_id.as_str();
    let mut found: Vec<String> = Vec::new();
    let mut add = |command: String| {
        if !found.contains(&command) {
            found.push(command);
        }
    };
    let mut family = vec![rsc];
    while let Some(parent) = facts.rscs[*family.last().expect("it has one member")].parent {
        family.push(parent);
    }
    for member in family.iter().rev() {
        let it = &facts.rscs[*member];
        if it.target_role == Some(Role::Stopped) {
            add(format!("resource start {}", it.xml_id));
        }
    }
    if facts.options.stop_all_resources {
        add("configure property stop-all-resources=false".to_owned());
    }
    if !facts.rscs[rsc].flags.managed && !facts.rscs[rsc].flags.blocked {
        add(format!("resource manage {}", target(outcome, rsc)));
    }
    if facts.rscs[rsc].flags.blocked {
        add(format!("resource cleanup {own}"));
    }
    let nodes: Vec<NodeIdx> = match node {
        Some(node) => vec![node],
        None => facts.node_order.clone(),
    };
    for node in nodes {
        let fact = &facts.nodes[node];
        if fact.standby && !fact.standby_on_fail && !fact.pending {
            add(format!("node online {}", fact.name));
        }
        if fact.maintenance {
            add(format!("node ready {}", fact.name));
        }
    }
    let contributions = outcome.causes.scores.iter().filter(|found| {
        family.contains(&found.rsc)
            && found
                .node
                .is_none_or(|on| node.is_none_or(|node| on == node))
    });
    for contribution in contributions.filter(|found| found.score.is_minus_infinite()) {
        match &contribution.cause {
            Cause::Location { constraint, .. } if constraint.starts_with("cli-") => {
                add(format!("resource clear {}", target(outcome, rsc)));
            }
            Cause::Location { constraint, .. } => add(format!("configure delete {constraint}")),
            Cause::Threshold { rsc, .. } | Cause::Failure { rsc, .. } => {
                add(format!("resource cleanup {}", facts.rscs[*rsc].xml_id));
            }
            Cause::Colocation { constraint, with } if !constraint.starts_with('#') => {
                // Moving both is less of a change than tearing them apart.
                if let Some(node) = node {
                    let to = &facts.nodes[node].name;
                    add(format!("resource move {} {to}", target(outcome, *with)));
                }
                add(format!("configure delete {constraint}"));
            }
            _ => {}
        }
    }
    // Something else may only be preferred more by a constraint of this kind.
    if outcome.causes.scores.iter().any(|found| {
        family.contains(&found.rsc)
            && matches!(&found.cause, Cause::Location { constraint, .. } if constraint.starts_with("cli-prefer-"))
    }) {
        add(format!("resource clear {}", target(outcome, rsc)));
    }
    found
}

/// The least score of one more location constraint that is enough, if the difference of scores is that.
fn by_score(
    trials: &mut Trials<'_>,
    rsc: RscIdx,
    here: Option<NodeIdx>,
    node: NodeIdx,
) -> Option<Change> {
    let outcome = &trials.asked.outcome;
    let scores = super::resource::final_scores(outcome, rsc);
    let theirs = *scores.get(&here?)?;
    let mine = *scores.get(&node)?;
    if theirs.is_infinite() || mine.is_infinite() {
        return None;
    }
    let target = target(outcome, rsc).to_owned();
    let to = words::name(outcome, node).to_owned();
    let goal = Goal::On(to.clone());
    let command = |score: i64| {
        vec![format!(
            "configure location {target}-on-{to} {target} {score}: {to}"
        )]
    };
    let difference = i64::from(theirs.value()) - i64::from(mine.value());
    // With equal scores it depends on how much runs where.
    let enough = [difference, difference + 1]
        .into_iter()
        .filter(|score| *score > 0 && Score::new(*score) < Score::INFINITY)
        .find(|score| trials.leads(&command(*score), rsc, &goal))?;
    Some(named(outcome, rsc, Some(node), command(enough)))
}
