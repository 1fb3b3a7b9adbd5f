//! Who uses the cluster meanwhile: somebody who counts, and an operator who puts nodes into standby and moves resources.
//! When a burst of faults is over, the operator takes all of that back, and says so again until it is done.

use super::node::Waiter;
use super::world::World;
use crate::cib::{Command, Op, Target};
use crate::xml::Element;

/// The operator's own constraint, and set of attributes.
const MOVE: &str = "operator-move";
const STANDBY: &str = "operator-standby";
/// What is counted, and where.
pub(super) const COUNTER: &str = "client-counter";

impl World {
    /// A client's turn, through any node that is up.
    pub(super) fn on_client(&mut self) {
        let over = !self.faults.is_busy(self.now);
        let after = if over { 1_000 } else { 100 + self.below(700) };
        let n = self.below(self.nodes.len() as u64) as usize;
        let what = self.below(8);
        let node = &self.nodes[n];
        let here = node.up && node.paused_until <= self.now && !node.overlay;
        self.client_again(after);
        // A node that came up just now has yet to hear of what is to be taken back: who is done looks again later.
        let done = over && (self.operator_is_done(n) || self.writes_are_open());
        if done || !here {
            return;
        }
        let command = match what {
            _ if over => take_back(),
            0 => self.standby(),
            1 => self.moved(),
            _ => count(),
        };
        self.client_write(n, command);
    }

    fn standby(&mut self) -> Command {
        let n = self.below(u64::from(self.scenario.hosts())) as usize;
        let value = if self.below(2) == 0 { "on" } else { "off" };
        standby(n, STANDBY, value)
    }

    fn moved(&mut self) -> Command {
        let rsc = ["alpha", "beta", "grp"][self.below(3) as usize];
        let m = 1 + self.below(u64::from(self.scenario.hosts()));
        let constraint = Element::new("rsc_location")
            .with("id", MOVE)
            .with("rsc", rsc)
            .with("node", format!("h{m}"))
            .with("score", "INFINITY");
        Command::modify("constraints", constraint).or_create()
    }

    /// Whether a client waits for an answer.
    fn writes_are_open(&self) -> bool {
        let mut up = self.nodes.iter().filter(|node| node.up);
        up.any(|node| {
            node.open
                .values()
                .any(|open| matches!(open.waiter, Waiter::Client))
        })
    }

    /// Whether nothing is left, as this node sees it, of what the operator did.
    pub(super) fn operator_is_done(&self, n: usize) -> bool {
        let all = self.nodes[n].state.root().descendants();
        all.filter_map(Element::id)
            .all(|id| id != MOVE && !id.starts_with(STANDBY))
    }
}

fn standby(n: usize, id: &str, value: &str) -> Command {
    let m = n + 1;
    let pair = Element::new("nvpair")
        .with("id", format!("{id}-{m}-value"))
        .with("name", "standby")
        .with("value", value);
    let set = Element::new("instance_attributes")
        .with("id", format!("{id}-{m}"))
        .with_child(pair);
    let node = Element::new("node")
        .with("id", m.to_string())
        .with("uname", format!("h{m}"))
        .with_child(set);
    Command::modify("nodes", node)
}

/// A node is to run nothing, for good.
pub(super) fn leaves(n: usize) -> Command {
    standby(n, "last-standby", "on")
}

/// Adds one to what is there: a write that is applied twice, or not at all, shows.
fn count() -> Command {
    let pair = Element::new("nvpair")
        .with("id", COUNTER)
        .with("name", COUNTER)
        .with("value", "value++");
    let set = Element::new("cluster_property_set")
        .with("id", "client")
        .with_child(pair);
    let mut command = Command::modify("crm_config", set).or_create();
    command.flags.score = true;
    command.flags.from_zero = true;
    command
}

/// Whether a write adds one to the client's counter.
pub(super) fn counts(command: &Command) -> bool {
    let named = |input: &Element| input.descendants().any(|e| e.id() == Some(COUNTER));
    command.flags.from_zero && command.input.as_ref().is_some_and(named)
}

fn take_back() -> Command {
    let every =
        format!("//rsc_location[@id='{MOVE}']|//instance_attributes[starts-with(@id,'{STANDBY}')]");
    let mut command = Command::new(Op::DeleteAll, Target::XPath(every), None);
    command.flags.multiple = true;
    command
}
