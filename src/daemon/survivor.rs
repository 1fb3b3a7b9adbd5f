//! Two nodes without a witness, as the daemon sees them: raft wants the peer dead and the fencer sees to it; while that is
//! undecided, what runs here goes on; and the coordinator hears how the loss was proven.

use super::devices;
use super::route::Router;
use crate::cib::Cib;
use crate::clock::wall_s;
use crate::coordinator;
use crate::fencer;
use crate::policy;
use crate::raft::{TwoNodePhase as Phase, Want};
use crate::terms::{NodeId, NodeName};
use crate::xml::Element;

/// The name of raft as a client of the fencer.
const CLIENT: &str = "two-node";
/// Of two nodes that hear each other no more, the one that led shoots first, unless the configuration decides it: this is
/// how long the other one waits, in milliseconds.
const HEAD_START_MS: u64 = 1_000;
/// Where the configuration names no time for a fence device, in milliseconds.
const USUAL_MS: u64 = 60_000;

/// What the fencer is asked: what the policy would want if the peer were lost, its delay included.
pub(super) fn request(
    cib: &Cib,
    now_s: i64,
    peer: NodeId,
    name: &NodeName,
    (number, led): (u64, bool),
) -> fencer::Request {
    let lost = coordinator::without(cib, peer);
    let input = policy::Input {
        causes: false,
        ..policy::Input::at(now_s)
    };
    let graph = policy::schedule(lost.root(), &input).graph;
    let wanted = graph
        .synapses
        .iter()
        .map(|synapse| &synapse.action)
        .find(|a| a.task == "stonith" && a.node.as_ref().is_some_and(|n| n.name == *name));
    let meta = |name| wanted.and_then(|action| action.meta(name));
    let action = meta("stonith_action").and_then(fencer::Action::parse);
    let delay_ms = match crate::terms::span::ms_or_zero(meta("priority_fencing_delay")) {
        0 if led && !race_is_decided(cib) => HEAD_START_MS,
        ms => ms,
    };
    fencer::Request {
        term: None,
        target: name.clone(),
        action: action.unwrap_or(fencer::Action::Reboot),
        timeout_ms: match graph.fencing_timeout.ms {
            0 => USUAL_MS,
            ms => ms,
        },
        delay: match delay_ms {
            0 => fencer::Delay::None,
            ms => fencer::Delay::Add(ms),
        },
        client: CLIENT.into(),
        allow_self: false,
        tag: format!("{CLIENT}-{number}"),
        tolerance_ms: 0,
    }
}

/// Whether the configuration says who is later. // spec cluster §16.4
fn race_is_decided(cib: &Cib) -> bool {
    let by_priority = devices::option(cib, &["priority-fencing-delay"]);
    let named = |pair: &Element| {
        let name = pair.get("name").unwrap_or_default();
        matches!(name, "pcmk_delay_base" | "pcmk_delay_max")
    };
    crate::terms::span::ms_or_zero(by_priority.as_deref()) > 0
        || cib
            .section("resources")
            .into_iter()
            .flat_map(Element::descendants)
            .filter(|e| e.is("primitive") && e.get("class") == Some("stonith"))
            .flat_map(Element::descendants)
            .any(|e| e.is("nvpair") && named(e))
}

/// How a fencing that raft asked for has ended: which, who did it or why that is not known, and whether a person says so.
/// None for what somebody else asked for.
pub(super) fn ended(
    request: &fencer::Request,
    outcome: &fencer::Outcome,
) -> Option<(u64, Result<String, String>, bool)> {
    let number = request.tag.strip_prefix(CLIENT)?;
    let number = number.strip_prefix('-')?.parse().ok()?;
    let by = outcome.delegate.as_deref();
    let result = match &outcome.result {
        Ok(()) => Ok(by.unwrap_or("a fence device").to_owned()),
        Err(why) => Err(why.to_string()),
    };
    Some((number, result, by == Some(fencer::A_HUMAN)))
}

/// Whether a node goes on with what it runs although nobody grants it a lease: as long as it is not known which of the two
/// is dead, and as the only voter. The peer takes over nothing before it has fenced this node.
pub(super) fn goes_on(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::Together | Phase::Fencing | Phase::Deciding | Phase::Alone
    )
}

impl Router {
    /// In two-node mode, and with fencing as that wants it.
    pub(super) fn two_node(&self) -> Option<Phase> {
        let phase = self.raft.two_node()?.phase;
        devices::fencing_enabled(&self.cib).then_some(phase)
    }

    /// Whether what runs here goes on without a lease, because it is not known which of the two is dead.
    pub(super) fn goes_on(&self, may_keep: bool) -> bool {
        may_keep && self.two_node().is_some_and(goes_on)
    }

    /// Raft wants something.
    pub(super) async fn on_want(&mut self, want: Want) {
        let Want::Fence { number, peer, led } = want;
        let state = self.raft.local();
        let Some(member) = state.members.get(&peer) else {
            return;
        };
        let request = request(&state.cib, wall_s(), peer, &member.name, (number, led));
        // Nobody else can help, and what the peer promised to its watchdog is not for two nodes.
        let me = [self.name.clone()].into_iter().collect();
        self.fencer.send(fencer::Event::Peers(me)).await;
        self.configure_fencer().await;
        let command = Box::new(fencer::Command::Fence(request));
        self.fencer.send(fencer::Event::Command(command)).await;
    }

    /// Whether a fencing that has ended was raft's wish; it is told then.
    pub(super) fn peer_fenced(&self, request: &fencer::Request, outcome: &fencer::Outcome) -> bool {
        let Some((number, result, human)) = ended(request, outcome) else {
            return false;
        };
        self.raft.peer_fenced(number, result, human);
        true
    }

    /// What raft knows of the peer's death, for a coordinator that has just got its authority from it.
    pub(super) fn tell_lost_peer(&mut self) {
        let Some(loss) = self.raft.lost_peer() else {
            return;
        };
        // Once: the peer may come back, and then it is not dead any more.
        if self.loss_told.replace(loss.number) == Some(loss.number) {
            return;
        }
        let members = self.raft.local().members.clone();
        let Some(member) = members.get(&loss.peer) else {
            return;
        };
        let states = self.cib.status().into_iter().flat_map(Element::children);
        let left = states
            .filter(|s| s.is("node_state") && s.id() == Some(loss.peer.to_string().as_str()))
            .any(|s| s.get("expected") == Some("down"));
        if left {
            return; // As everybody knows already.
        }
        self.coordinator.tell(coordinator::Event::FencedOutside {
            target: member.name.clone(),
            by: loss.by,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Limits;

    fn cib(options: &str, device: &str) -> Cib {
        let node = |id: u8, name: &str| {
            format!(
                "<node_state id=\"{id}\" uname=\"{name}\" in_ccm=\"1\" crmd=\"1\" join=\"member\" expected=\"member\">\
                 <lrm id=\"{id}\"><lrm_resources/></lrm></node_state>"
            )
        };
        let text = format!(
            "<cib have-quorum=\"1\" dc-uuid=\"1\"><configuration><crm_config><cluster_property_set id=\"o\">\
             <nvpair id=\"s\" name=\"stonith-enabled\" value=\"true\"/>{options}</cluster_property_set></crm_config>\
             <nodes><node id=\"1\" uname=\"h1\"/><node id=\"2\" uname=\"h2\"/></nodes><resources>\
             <primitive id=\"f\" class=\"stonith\" type=\"fence_hook\">{device}</primitive></resources><constraints/>\
             </configuration><status>{}{}</status></cib>",
            node(1, "h1"),
            node(2, "h2"),
        );
        Cib::parse(text, &Limits::default()).expect("the test's XML is right")
    }

    fn asked(cib: &Cib, led: bool) -> fencer::Request {
        request(cib, 1_700_000_000, NodeId(2), &"h2".into(), (7, led))
    }

    #[test]
    fn who_led_shoots_first_unless_the_configuration_decides() {
        let plain = cib("", "");
        assert_eq!(asked(&plain, false).delay, fencer::Delay::None);
        let later = asked(&plain, true);
        assert_eq!(later.delay, fencer::Delay::Add(HEAD_START_MS));
        assert_eq!(later.tag, "two-node-7");
        let by_device = "<instance_attributes id=\"i\"><nvpair id=\"d\" name=\"pcmk_delay_base\" value=\"2s\"/>\
                         </instance_attributes>";
        assert_eq!(asked(&cib("", by_device), true).delay, fencer::Delay::None);
    }

    #[test]
    fn the_policy_says_how_the_peer_is_fenced() {
        let off = "<nvpair id=\"a\" name=\"stonith-action\" value=\"off\"/>\
                   <nvpair id=\"t\" name=\"stonith-timeout\" value=\"33s\"/>";
        let request = asked(&cib(off, ""), false);
        assert_eq!(request.action, fencer::Action::Off);
        assert_eq!(request.timeout_ms, 33_000);
    }
}
