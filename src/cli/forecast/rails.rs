//! Guard rails: what a change leads to that an operator may not have thought of. None of them is an error; whoever means it
//! goes on.

use std::fmt;

use super::play::{Played, Standing, is_left_over};
use crate::{
    cli::cmd::explain,
    policy::{
        emit::SummaryLine,
        facts::{Facts, options::QuorumPolicy},
    },
    terms::Role,
    xml::Element,
};

/// Something to think about first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rail {
    /// It ran, and will not run anywhere.
    Nowhere {
        /// The primitive.
        rsc: String,
        /// More than one instance ran.
        instances: usize,
        /// Why, as `crm explain` tells it.
        why: String,
    },
    /// It had a promoted instance, and will have none.
    NonePromoted {
        /// The primitive.
        rsc: String,
    },
    /// It is taken out of the configuration while it runs.
    DeletesRunning {
        /// The primitive.
        rsc: String,
        /// Where it runs.
        nodes: Vec<String>,
        /// It is stopped; otherwise it goes on without the cluster.
        stopped: bool,
    },
    /// A node is fenced.
    Fences {
        /// Which.
        node: String,
        /// Why.
        why: String,
    },
    /// Lost nodes are not fenced any more.
    FencingOff,
    /// Neither fencing nor quorum keeps two parts of the cluster from running the same.
    SplitBrain {
        /// The quorum policy.
        policy: String,
    },
    /// The cluster stops caring for everything.
    Maintenance,
    /// The end of it can't be foreseen: decisions follow each other without end.
    NeverSettles,
}

impl Rail {
    /// A word for programs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Rail::Nowhere { .. } => "runs-nowhere",
            Rail::NonePromoted { .. } => "none-promoted",
            Rail::DeletesRunning { .. } => "deletes-running",
            Rail::Fences { .. } => "fences",
            Rail::FencingOff => "fencing-off",
            Rail::SplitBrain { .. } => "split-brain",
            Rail::Maintenance => "maintenance",
            Rail::NeverSettles => "never-settles",
        }
    }
}

impl fmt::Display for Rail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rail::Nowhere {
                rsc,
                instances,
                why,
            } => {
                let what = match instances {
                    1 => format!("stops {rsc}, which runs nowhere afterwards"),
                    n => format!("stops the last of {n} instances of {rsc}"),
                };
                write!(f, "{what}: {why}")
            }
            Rail::NonePromoted { rsc } => {
                write!(f, "{rsc} has no promoted instance afterwards")
            }
            Rail::DeletesRunning {
                rsc,
                nodes,
                stopped,
            } => {
                let nodes = nodes.join(" and ");
                let then = if *stopped {
                    "it is stopped"
                } else {
                    "it goes on there, and the cluster does not care for it any more"
                };
                write!(f, "deletes {rsc}, which runs on {nodes}: {then}")
            }
            Rail::Fences { node, why } if why.is_empty() => write!(f, "fences {node}"),
            Rail::Fences { node, why } => write!(f, "fences {node}: {why}"),
            Rail::FencingOff => f.write_str(
                "turns fencing off: what a lost node ran is started elsewhere without proof that the node is dead",
            ),
            Rail::SplitBrain { policy } => write!(
                f,
                "neither fencing nor quorum is left (stonith-enabled=false with no-quorum-policy={policy}): \
                 after a split, both parts run the same"
            ),
            Rail::Maintenance => {
                f.write_str("maintenance mode: nothing is monitored, recovered or fenced any more")
            }
            Rail::NeverSettles => {
                f.write_str("the cluster would not come to rest: what it does undoes itself")
            }
        }
    }
}

/// What `with` leads to and `without` does not.
pub(crate) fn newly(without: &Played, with: &Played, new: &Element) -> Vec<Rail> {
    let mut found = places(without, with, new);
    found.extend(fenced(without, with));
    let (old, now) = (&without.first().facts, &with.first().facts);
    if old.options.fencing_enabled && !now.options.fencing_enabled && now.nodes.len() > 1 {
        found.push(Rail::FencingOff);
    }
    if is_split(now) && !is_split(old) {
        let policy = now.options.table.get("no-quorum-policy");
        found.push(Rail::SplitBrain {
            policy: policy.unwrap_or("ignore").to_owned(),
        });
    }
    if now.options.maintenance_mode && !old.options.maintenance_mode {
        found.push(Rail::Maintenance);
    }
    if without.settled && !with.settled {
        found.push(Rail::NeverSettles);
    }
    found
}

/// Several nodes, and nothing that keeps them from doing the same twice.
fn is_split(facts: &Facts) -> bool {
    !facts.options.fencing_enabled
        && facts.options.no_quorum_policy == QuorumPolicy::Ignore
        && facts.nodes.len() > 1
}

fn active(standing: &Standing, rsc: &str) -> Vec<String> {
    let nodes = standing.get(rsc).into_iter().flatten();
    nodes.map(|(node, _)| node.clone()).collect()
}

fn promoted(standing: &Standing, rsc: &str) -> bool {
    let nodes = standing.get(rsc).into_iter().flatten();
    nodes.into_iter().any(|(_, role)| *role == Role::Promoted)
}

fn places(without: &Played, with: &Played, new: &Element) -> Vec<Rail> {
    let resources = new.descend(&["configuration", "resources"]);
    let configured = |rsc: &str| resources.is_some_and(|all| all.find_id(rsc).is_some());
    let mut found = Vec::new();
    for rsc in without.standing.keys() {
        let (now, then) = (active(&without.standing, rsc), active(&with.ends, rsc));
        let stays_without = !active(&without.ends, rsc).is_empty();
        if now.is_empty() || !stays_without || is_left_over(&without.first().facts, rsc) {
            continue;
        }
        if !configured(rsc) {
            found.push(Rail::DeletesRunning {
                rsc: rsc.clone(),
                nodes: now,
                stopped: then.is_empty(),
            });
        } else if then.is_empty() {
            found.push(Rail::Nowhere {
                rsc: rsc.clone(),
                instances: now.len(),
                why: explain::why_nowhere(&with.last, rsc),
            });
        } else if promoted(&without.standing, rsc)
            && promoted(&without.ends, rsc)
            && !promoted(&with.ends, rsc)
        {
            found.push(Rail::NonePromoted { rsc: rsc.clone() });
        }
    }
    found
}

/// Nodes that are fenced, with the reason.
fn fencings(played: &Played) -> Vec<(String, String)> {
    let lines = played
        .rounds
        .iter()
        .flat_map(|round| &round.outcome.summary);
    lines
        .filter_map(|line| match line {
            SummaryLine::Node {
                word, text, reason, ..
            } if word.starts_with("Fence") => Some((text.clone(), reason.to_string())),
            _ => None,
        })
        .collect()
}

fn fenced(without: &Played, with: &Played) -> Vec<Rail> {
    let anyway = fencings(without);
    fencings(with)
        .into_iter()
        .filter(|(node, _)| !anyway.iter().any(|(known, _)| known == node))
        .map(|(node, why)| Rail::Fences { node, why })
        .collect()
}
