//! Several fencers on a wire that carries their messages at once, and agents that end as told.

use super::*;
use crate::fencer::vocab::{AgentRun, Life, PeerRun};
use crate::fencer::{
    Device, DeviceCall, DeviceVerb, Features, LevelTarget, Question, RunId, State,
};

/// What a node's agents do, and what happened there.
struct Net {
    nodes: BTreeMap<NodeName, Machine>,
    /// Nodes whose fencer answers no message.
    deaf: BTreeSet<NodeName>,
    /// Runs that wait for their end: node, number, call.
    runs: Vec<(NodeName, RunId, AgentRun)>,
    log: Vec<String>,
    ms: u64,
    features: Features,
}

impl Net {
    fn new(names: &[&str]) -> Self {
        let names: BTreeSet<NodeName> = names.iter().map(|name| (*name).into()).collect();
        let machine = |name: &NodeName| (name.clone(), Machine::new(name.clone(), 1));
        let actions = ["on", "off", "reboot", "monitor", "list"];
        let mut net = Self {
            nodes: names.iter().map(machine).collect(),
            deaf: BTreeSet::new(),
            runs: Vec::new(),
            log: Vec::new(),
            ms: 0,
            features: Features {
                actions: actions.map(str::to_owned).into(),
                ..Features::default()
            },
        };
        for name in &names {
            net.tell(name.as_str(), Event::Peers(names.clone()));
        }
        net
    }

    fn configure(&mut self, nodes: &[&str], devices: &[(&str, &[(&str, &str)])], levels: &[&str]) {
        let devices: Vec<Device> = devices
            .iter()
            .map(|(id, params)| crate::fencer::device::example(id, params))
            .collect();
        let level = |(at, text): (usize, &&str)| Level {
            target: LevelTarget::Pattern(".".into()),
            index: at as u32 + 1,
            devices: text.split(',').map(Into::into).collect(),
        };
        for node in nodes {
            let event = Event::Configured {
                devices: devices.clone(),
                levels: levels.iter().enumerate().map(level).collect(),
                node_attributes: BTreeMap::new(),
                watchdogs: BTreeMap::new(),
            };
            self.tell(node, event);
        }
    }

    /// Gives an event to a node and carries all messages that follow.
    fn tell(&mut self, node: &str, event: Event) {
        let mut todo = VecDeque::from([(NodeName::from(node), event)]);
        while let Some((node, event)) = todo.pop_front() {
            let now = Now {
                mono: Mono(self.ms),
                wall_ms: self.ms as i64,
                random: 0,
            };
            let mut effects = Vec::new();
            let Some(machine) = self.nodes.get_mut(&node) else {
                continue;
            };
            machine.step(now, event, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Send(to, message) if !self.deaf.contains(&to) => {
                        todo.push_back((to, Event::Message(node.clone(), message)));
                    }
                    Effect::Send(..) => {}
                    Effect::ReadFeatures(agent) => {
                        let features = Some(self.features.clone());
                        todo.push_back((node.clone(), Event::Features(agent, features)));
                    }
                    Effect::Run(run, call) => {
                        let target = call.input.iter().find(|(name, _)| name == "nodename");
                        let target = target.map_or("-", |(_, value)| value);
                        self.log
                            .push(format!("{node}: {} {} {target}", call.device, call.action));
                        self.runs.push((node.clone(), run, call));
                    }
                    Effect::Done(request, _, outcome) => {
                        let by = outcome.delegate.unwrap_or("-".into());
                        let result = match outcome.result {
                            Ok(()) => format!("by {by}"),
                            Err(why) => format!("failed: {why}"),
                        };
                        self.log
                            .push(format!("{node}: done {} {result}", request.target));
                    }
                    Effect::DeviceDone { call, result } => {
                        self.log.push(format!("{node}: call {call} {result:?}"));
                    }
                    Effect::Panic(_) => self.log.push(format!("{node}: panic")),
                    Effect::Reply(ticket, reply) => {
                        self.log.push(format!("{node}: tool {ticket} {reply:?}"));
                    }
                    Effect::Ended(_) | Effect::Changed => {}
                }
            }
        }
    }

    fn fence(&mut self, node: &str, target: &str, action: Action) {
        self.fence_with(
            node,
            Request {
                action,
                ..request(target)
            },
        );
    }

    fn fence_with(&mut self, node: &str, request: Request) {
        self.tell(node, Event::Command(Box::new(Command::Fence(request))));
    }

    fn call(&mut self, node: &str, number: u64, verb: DeviceVerb) {
        let device = crate::fencer::device::example("f", &[]);
        let call = DeviceCall {
            call: number,
            device,
            verb,
            timeout_ms: 20_000,
        };
        self.tell(node, Event::Command(Box::new(Command::Device(call))));
    }

    /// The oldest run that waits ends.
    fn end(&mut self, rc: i32) {
        self.end_with(Ok(rc), "");
    }

    fn end_with(&mut self, result: Result<i32, Failure>, output: &str) {
        let (node, run, _) = self.runs.remove(0);
        let event = Event::Ended {
            run,
            result,
            output: output.to_owned(),
        };
        self.tell(node.as_str(), event);
    }

    fn at(&mut self, ms: u64) {
        self.ms = ms;
        let nodes: Vec<NodeName> = self.nodes.keys().cloned().collect();
        nodes
            .iter()
            .for_each(|node| self.tell(node.as_str(), Event::Tick));
    }

    fn log(&mut self) -> String {
        std::mem::take(&mut self.log).join("; ")
    }
}

fn request(target: &str) -> Request {
    Request {
        term: Some(Term(1)),
        target: target.into(),
        action: Action::Off,
        timeout_ms: 10_000,
        delay: Delay::None,
        client: "test".into(),
        allow_self: false,
        tag: "1".into(),
        tolerance_ms: 0,
    }
}

const ALL: &[(&str, &str)] = &[("pcmk_host_list", "h1 h2 h3")];

#[test]
fn a_peer_with_the_device_does_it() {
    let mut net = Net::new(&["h1", "h2", "h3"]);
    net.configure(&["h2"], &[("f", ALL)], &[]);
    net.fence("h1", "h3", Action::Reboot);
    assert_eq!(net.log(), "h2: f reboot h3");
    net.end(0);
    assert_eq!(net.log(), "h1: done h3 by h2");
    for machine in net.nodes.values() {
        let history = machine.history();
        assert_eq!(
            (history.len(), history[0].state),
            (1, State::Done),
            "all fencers know it"
        );
    }
}

#[test]
fn nobody_can() {
    let mut net = Net::new(&["h1", "h2"]);
    net.configure(&["h1"], &[("f", &[("pcmk_host_list", "h7")])], &[]);
    net.fence("h1", "h2", Action::Off);
    let why = "no fence device can fence 'h2': configure one whose pcmk_host_list names it";
    assert_eq!(net.log(), format!("h1: done h2 failed: {why}"));
}

#[test]
fn a_dead_peer_is_not_waited_for_when_somebody_verified_can() {
    let mut net = Net::new(&["h1", "h2", "h3"]);
    net.configure(&["h1", "h2"], &[("f", ALL)], &[]);
    net.deaf.insert("h2".into());
    net.call("h1", 1, DeviceVerb::Start);
    net.end(0);
    assert_eq!(net.log(), "h1: f monitor -; h1: call 1 Ok(0)");
    net.fence("h1", "h3", Action::Off);
    assert_eq!(
        net.log(),
        "h1: f off h3",
        "at once, without the answer of h2"
    );
}

#[test]
fn a_deaf_peer_is_waited_for_and_then_left() {
    let mut net = Net::new(&["h1", "h2", "h3"]);
    net.configure(&["h1", "h2"], &[("f", ALL)], &[]);
    net.deaf.insert("h2".into());
    net.fence("h1", "h3", Action::Off);
    assert_eq!(net.log(), "", "h2 may have a verified one");
    let next = net.nodes[&NodeName::from("h1")].next_wake(Mono(0));
    assert_eq!(next, Some(Mono(12_000)));
    net.tell("h1", Event::Unreachable("h2".into()));
    assert_eq!(net.log(), "h1: f off h3");
}

#[test]
fn failures_are_tried_again_and_then_elsewhere() {
    let mut net = Net::new(&["h1", "h2", "h3"]);
    net.configure(&["h1", "h2"], &[("f", ALL)], &[]);
    net.fence("h1", "h3", Action::Off);
    net.end(1);
    assert_eq!(net.log(), "h1: f off h3; h1: f off h3", "two tries");
    net.end(1);
    assert_eq!(net.log(), "h2: f off h3");
    net.end(1);
    net.end(1);
    assert_eq!(
        net.log(),
        "h2: f off h3; h1: done h3 failed: All nodes failed, or are unable, to fence target \
         (device 'f' ended 'off' with 1)"
    );
}

#[test]
fn a_timeout_is_unknown_and_never_success() {
    let mut net = Net::new(&["h1", "h2"]);
    net.configure(
        &["h1"],
        &[("f", &[("pcmk_host_list", "h2"), ("pcmk_off_timeout", "3s")])],
        &[],
    );
    net.fence("h1", "h2", Action::Off);
    assert_eq!(net.runs[0].2.timeout_ms, 3000);
    net.ms = 3000;
    net.end_with(
        Err(Failure::TimedOut(
            "Fence agent did not complete within 3s".into(),
        )),
        "",
    );
    let log = net.log();
    assert!(
        log.contains("done h2 failed") && log.contains("within 3s"),
        "{log}"
    );
    assert_eq!(net.runs.len(), 0, "no second try after a timeout");
}

#[test]
fn an_agent_host_that_says_nothing_ends_in_time() {
    let mut net = Net::new(&["h1", "h2"]);
    net.configure(&["h1"], &[("f", ALL)], &[]);
    net.fence("h1", "h2", Action::Off);
    net.log();
    net.at(11_999);
    assert_eq!(net.log(), "");
    net.at(12_000);
    let log = net.log();
    assert!(
        log.starts_with("h1: done h2 failed: Fencing did not complete within a total"),
        "{log}"
    );
    // The late success changes nothing.
    net.end(0);
    assert_eq!(net.log(), "");
}

#[test]
fn equal_requests_are_one_operation() {
    let mut net = Net::new(&["h1", "h2"]);
    net.configure(&["h1"], &[("f", ALL)], &[]);
    net.fence("h1", "h2", Action::Off);
    net.fence("h1", "h2", Action::Off);
    assert_eq!(net.log(), "h1: f off h2");
    net.end(0);
    assert_eq!(net.log(), "h1: done h2 by h1; h1: done h2 by h1");
}

#[test]
fn levels_and_a_reboot_of_two_supplies() {
    let mut net = Net::new(&["h1", "h2"]);
    net.configure(
        &["h1"],
        &[("a", ALL), ("b", ALL), ("c", ALL)],
        &["c", "a,b"],
    );
    net.fence("h1", "h2", Action::Reboot);
    net.end(1);
    net.end(1);
    assert_eq!(net.log(), "h1: c reboot h2; h1: c reboot h2; h1: a off h2");
    net.end(0);
    net.end(0);
    assert_eq!(net.log(), "h1: b off h2; h1: a on h2");
    net.end(1);
    net.end(1);
    assert_eq!(
        net.log(),
        "h1: a on h2; h1: b on h2",
        "power that does not come back is no failure"
    );
    net.end(0);
    assert_eq!(net.log(), "h1: done h2 by h1");
}

#[test]
fn all_levels_fail() {
    let mut net = Net::new(&["h1", "h2"]);
    net.configure(&["h1"], &[("a", ALL)], &["a", "zz"]);
    net.fence("h1", "h2", Action::Off);
    net.end(1);
    net.end(1);
    let log = net.log();
    assert!(log.contains("failed: All topology levels failed"), "{log}");
}

#[test]
fn delays_hold_the_first_device_only() {
    let mut net = Net::new(&["h1", "h2"]);
    let slow = &[("pcmk_host_list", "h2"), ("pcmk_delay_base", "2s")];
    net.configure(&["h1"], &[("f", slow)], &[]);
    let delayed = Request {
        delay: Delay::Add(1000),
        ..request("h2")
    };
    net.fence_with("h1", delayed);
    net.at(2999);
    assert_eq!(net.log(), "");
    net.at(3000);
    assert_eq!(net.log(), "h1: f off h2");
    net.end(0);
    net.log();
    net.fence_with(
        "h1",
        Request {
            delay: Delay::Disabled,
            ..request("h2")
        },
    );
    assert_eq!(net.log(), "h1: f off h2", "-1 is no delay at all");
}

#[test]
fn one_action_at_a_time_per_device() {
    let mut net = Net::new(&["h1", "h2", "h3"]);
    net.configure(&["h1"], &[("f", ALL)], &[]);
    net.fence("h1", "h2", Action::Off);
    net.fence("h1", "h3", Action::Off);
    assert_eq!(net.log(), "h1: f off h2");
    net.end(0);
    assert_eq!(net.log(), "h1: f off h3; h1: done h2 by h1");
}

#[test]
fn a_dynamic_list_is_asked_once_and_falls_back() {
    let mut net = Net::new(&["h1", "h2", "h3"]);
    net.configure(&["h1"], &[("f", &[])], &[]);
    net.fence("h1", "h2", Action::Off);
    assert_eq!(net.log(), "h1: f list -");
    net.end_with(Ok(0), "h2,alias\nh9\n");
    assert_eq!(net.log(), "h1: f off h2");
    net.end(0);
    net.log();
    net.fence("h1", "h3", Action::Off);
    let log = net.log();
    assert!(
        log.contains("no fence device can fence 'h3'"),
        "the list is still good: {log}"
    );
}

#[test]
fn orders_of_a_deposed_leader_fence_nobody() {
    let mut net = Net::new(&["h1", "h2", "h3"]);
    let slow = &[("pcmk_host_list", "h3"), ("pcmk_delay_base", "2s")];
    net.configure(&["h2"], &[("f", slow)], &[]);
    net.fence("h1", "h3", Action::Off);
    // While the delay runs, h2 hears of a newer term.
    net.tell("h2", Event::TermSeen(Term(2)));
    let log = net.log();
    assert_eq!(
        log,
        "h1: done h3 failed: order of term 1, but term 2 is known"
    );
    net.at(5000);
    assert_eq!(net.log(), "", "nothing was run");
    net.fence("h1", "h3", Action::Off);
    let log = net.log();
    assert!(
        log.contains("order of term 1, but term 2 is known"),
        "{log}"
    );
}

#[test]
fn what_a_fencer_has_offered_is_void_when_its_node_has_lost_its_lease() {
    let mut net = Net::new(&["h1", "h2", "h3"]);
    net.configure(&["h2"], &[("f", &[("pcmk_host_list", "h3")])], &[]);
    let run = PeerRun {
        ask: AskId(9),
        term: Some(Term(1)),
        life: Life(1),
        op: OpId {
            owner: "h1".into(),
            incarnation: 1,
            number: 1,
        },
        device: "f".into(),
        target: "h3".into(),
        action: Action::Off,
        timeout_ms: 1_000,
        delay: Delay::None,
    };
    let asked = Event::Message("h1".into(), Message::Run(run));
    net.tell("h2", asked.clone());
    assert_eq!(net.log(), "h2: f off h3");
    net.end(0);
    // Held up on its way: a new leader may have h3 back by now, and h2 has yet to hear of it.
    net.tell("h2", Event::LeaseLost);
    net.tell("h2", asked);
    assert_eq!(net.log(), "", "nothing was run");
    net.fence("h1", "h3", Action::Off);
    assert_eq!(net.log(), "h2: f off h3", "who asks anew is served");
}

#[test]
fn a_device_is_not_tried_again_for_a_deposed_leader() {
    let mut net = Net::new(&["h1", "h2", "h3"]);
    net.configure(&["h2"], &[("f", &[("pcmk_host_list", "h3")])], &[]);
    net.fence("h1", "h3", Action::Off);
    assert_eq!(net.log(), "h2: f off h3");
    net.end(1);
    assert_eq!(
        net.log(),
        "h2: f off h3",
        "a device that fails is tried again"
    );
    net.end(0);
    assert_eq!(net.log(), "h1: done h3 by h2");
    net.fence("h1", "h3", Action::Off);
    assert_eq!(net.log(), "h2: f off h3");
    net.tell("h2", Event::TermSeen(Term(2)));
    net.end(1);
    let log = net.log();
    assert!(!log.contains("off h3"), "h3 may be back: {log}");
}

#[test]
fn a_person_confirms() {
    let mut net = Net::new(&["h1", "h2"]);
    net.configure(&["h1"], &[("f", ALL)], &[]);
    net.fence("h1", "h2", Action::Reboot);
    net.log();
    let confirm = |target: &str| {
        let client = "root".to_owned();
        Event::Command(Box::new(Command::Confirm {
            target: target.into(),
            client,
        }))
    };
    net.tell("h1", confirm("h2"));
    assert_eq!(net.log(), "h1: done h2 by a human");
    net.tell("h1", confirm("h3"));
    assert_eq!(net.log(), "h1: done h3 by a human");
}

#[test]
fn watchdog_when_nobody_can() {
    let mut net = Net::new(&["h1", "h2"]);
    let event = Event::Configured {
        devices: Vec::new(),
        levels: Vec::new(),
        node_attributes: BTreeMap::new(),
        watchdogs: BTreeMap::from([("h2".into(), 5000)]),
    };
    net.tell("h1", event);
    net.fence("h1", "h2", Action::Off);
    net.at(4999);
    assert_eq!(net.log(), "");
    net.at(5000);
    assert_eq!(net.log(), "h1: done h2 by watchdog");
    // A node that has none is not reset by it, however long one waits.
    net.fence("h1", "h3", Action::Off);
    let log = net.log();
    assert!(
        log.starts_with("h1: done h3 failed: no fence device"),
        "{log}"
    );
}

#[test]
fn a_device_without_reboot_switches_off() {
    let mut net = Net::new(&["h1", "h2"]);
    net.features.actions.remove("reboot");
    net.configure(
        &["h1"],
        &[("f", &[("pcmk_host_list", "h2"), ("pcmk_off_timeout", "7s")])],
        &[],
    );
    net.fence("h1", "h2", Action::Reboot);
    assert_eq!(net.log(), "h1: f off h2");
    assert_eq!(net.runs[0].2.timeout_ms, 7000);
}

#[test]
fn the_life_of_a_device_resource() {
    let mut net = Net::new(&["h1"]);
    net.configure(&["h1"], &[("f", &[])], &[]);
    net.call("h1", 1, DeviceVerb::Probe);
    net.call("h1", 2, DeviceVerb::Start);
    assert_eq!(net.log(), "h1: call 1 Ok(7); h1: f monitor -");
    net.end(0);
    net.call("h1", 3, DeviceVerb::Probe);
    net.call("h1", 4, DeviceVerb::Monitor);
    net.end(0);
    net.call("h1", 5, DeviceVerb::Stop);
    assert_eq!(
        net.log(),
        "h1: call 2 Ok(0); h1: call 3 Ok(0); h1: f monitor -; h1: call 4 Ok(0); h1: call 5 Ok(0)"
    );
}

#[test]
fn an_owner_that_disappears_leaves_a_failed_operation() {
    let mut net = Net::new(&["h1", "h2", "h3"]);
    net.configure(&["h2"], &[("f", ALL)], &[]);
    net.fence("h1", "h3", Action::Off);
    net.tell("h2", Event::Peers(BTreeSet::from(["h2".into()])));
    let history = net.nodes[&NodeName::from("h2")].history();
    assert_eq!(history[0].state, State::Failed);
}

#[test]
fn unfencing_uses_every_device_that_unfences() {
    let mut net = Net::new(&["h1", "h2"]);
    net.features.unfences = true;
    net.configure(&["h1"], &[("a", ALL), ("b", ALL)], &[]);
    net.fence("h1", "h2", Action::On);
    net.end(0);
    net.end(0);
    assert_eq!(net.log(), "h1: a on h2; h1: b on h2; h1: done h2 by h1");
}

mod random {
    //! Lost messages, agents that lie down, new terms: every request has one end, and a success is true.

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Move {
        Fence(usize, usize, bool),
        End(usize, u8),
        Deaf(usize),
        Hear,
        Wait(u64),
        Term(usize, u64),
        Unreachable(usize, usize),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            3 => (0..3usize, 0..3usize, any::<bool>()).prop_map(|(a, b, c)| Move::Fence(a, b, c)),
            4 => (0..4usize, 0..3u8).prop_map(|(at, how)| Move::End(at, how)),
            1 => (0..3usize).prop_map(Move::Deaf),
            1 => Just(Move::Hear),
            2 => (1..8000u64).prop_map(Move::Wait),
            1 => (0..3usize, 1..4u64).prop_map(|(node, term)| Move::Term(node, term)),
            1 => (0..3usize, 0..3usize).prop_map(|(node, peer)| Move::Unreachable(node, peer)),
        ];
        proptest::collection::vec(one, 1..40)
    }

    const NODES: [&str; 3] = ["h1", "h2", "h3"];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_request_has_one_true_end(moves in moves(), levels in any::<bool>()) {
            let mut net = Net::new(&NODES);
            let levels: &[&str] = if levels { &["a,b", "c"] } else { &[] };
            net.configure(&NODES, &[("a", ALL), ("b", ALL), ("c", ALL)], levels);
            let mut asked = 0;
            // Targets against which an agent has succeeded.
            let mut proven: BTreeSet<String> = BTreeSet::new();
            let mut done = 0;
            let mut check = |net: &mut Net, proven: &BTreeSet<String>| {
                for line in std::mem::take(&mut net.log) {
                    let Some((_, rest)) = line.split_once(": done ") else { continue };
                    done += 1;
                    let (target, result) = rest.split_once(' ').expect("a result");
                    if result.starts_with("by ") {
                        assert!(proven.contains(target), "nothing was done, but: {line}");
                    }
                }
                done
            };
            for step in &moves {
                match step {
                    Move::Fence(owner, target, reboot) => {
                        let action = if *reboot { Action::Reboot } else { Action::Off };
                        let term = net.nodes[&NodeName::from(NODES[*owner])].newest;
                        let request =
                            Request { action, term: Some(term), ..request(NODES[*target]) };
                        asked += 1;
                        net.fence_with(NODES[*owner], request);
                    }
                    Move::End(at, how) if *at < net.runs.len() => {
                        net.runs.swap(0, *at);
                        let call = &net.runs[0].2;
                        let target = call.input.iter().find(|(name, _)| name == "nodename");
                        if *how == 0 && call.action != "on" {
                            proven.extend(target.map(|(_, value)| value.clone()));
                        }
                        let timed_out = || Err(Failure::TimedOut("late".into()));
                        net.end_with([Ok(0), Ok(1), timed_out()][usize::from(*how)].clone(), "");
                    }
                    Move::End(..) => {}
                    Move::Deaf(node) => drop(net.deaf.insert(NODES[*node].into())),
                    Move::Hear => net.deaf.clear(),
                    Move::Wait(ms) => net.at(net.ms + ms),
                    Move::Term(node, term) => net.tell(NODES[*node], Event::TermSeen(Term(*term))),
                    Move::Unreachable(node, peer) => {
                        net.tell(NODES[*node], Event::Unreachable(NODES[*peer].into()));
                    }
                }
                check(&mut net, &proven);
            }
            // Agents end at last, and time goes on.
            for _ in 0..60 {
                while !net.runs.is_empty() {
                    net.end(1);
                }
                net.at(net.ms + 10_000);
            }
            prop_assert_eq!(check(&mut net, &proven), asked);
        }
    }
}

#[test]
fn who_comes_learns_what_happened_and_a_cleanup_is_for_all() {
    let mut net = Net::new(&["h1", "h2", "h3"]);
    net.configure(&["h2"], &[("f", ALL)], &[]);
    net.fence("h1", "h3", Action::Off);
    net.end(0);
    // A daemon that starts again knows nothing, and asks those that it can reach.
    net.nodes.insert("h3".into(), Machine::new("h3".into(), 2));
    let all = BTreeSet::from(["h1".into(), "h2".into(), "h3".into()]);
    net.tell("h3", Event::Peers(all));
    assert_eq!(net.nodes["h3"].history().len(), 1);
    net.log();
    net.tell("h3", Event::Asked(7, Question::Cleanup(Some("h3".into()))));
    assert_eq!(net.log(), "h3: tool 7 Done");
    for machine in net.nodes.values() {
        assert_eq!(machine.history(), []);
    }
}

#[test]
fn a_tool_hears_of_devices_levels_and_the_history_of_all() {
    let mut net = Net::new(&["h1", "h2"]);
    let by_hand = crate::fencer::device::example("g", &[("pcmk_host_list", "h2 h9")]);
    let ask = |net: &mut Net, question| {
        net.tell("h1", Event::Asked(1, question));
        net.log()
    };
    let second = 1_000;
    assert_eq!(
        ask(&mut net, Question::Register(by_hand)),
        "h1: tool 1 Done"
    );
    assert_eq!(
        ask(&mut net, Question::Registered),
        r#"h1: tool 1 Names(["g"])"#
    );
    assert_eq!(
        ask(&mut net, Question::Able("h9".into(), second)),
        r#"h1: tool 1 Names(["g"])"#
    );
    assert_eq!(
        ask(&mut net, Question::Able("h1".into(), second)),
        "h1: tool 1 Names([])"
    );
    assert_eq!(
        ask(&mut net, Question::Targets("g".into(), second)),
        r#"h1: tool 1 Names(["h2", "h9"])"#
    );
    assert_eq!(
        ask(&mut net, Question::Targets("none".into(), second)),
        r#"h1: tool 1 NoDevice("none")"#
    );
    assert_eq!(
        ask(&mut net, Question::Status("g".into(), second)),
        "h1: g monitor -"
    );
    net.end(0);
    assert_eq!(net.log(), "h1: tool 1 Done");
    // The configuration knows nothing of it, and does not take it away.
    net.configure(&["h1"], &[], &[]);
    let level = |index, device: &str| Level {
        target: LevelTarget::Node("h2".into()),
        index,
        devices: vec![device.into()],
    };
    ask(&mut net, Question::Level(level(1, "missing")));
    net.fence("h1", "h2", Action::Off);
    let log = net.log();
    assert!(log.starts_with("h1: done h2 failed: "), "{log}");
    ask(
        &mut net,
        Question::Unlevel(LevelTarget::Node("h2".into()), 0),
    );
    net.fence("h1", "h2", Action::Off);
    assert_eq!(net.log(), "h1: g off h2");
    net.end(0);
    net.log();
    net.deaf.insert("h2".into());
    assert_eq!(ask(&mut net, Question::History { gather: true }), "");
    net.at(1_999);
    assert_eq!(net.log(), "");
    net.at(2_000);
    let log = net.log();
    assert!(log.starts_with("h1: tool 1 History(["), "{log}");
    assert_eq!(log.matches("Record {").count(), 2, "{log}");
    ask(&mut net, Question::Deregister("g".into()));
    assert_eq!(ask(&mut net, Question::Registered), "h1: tool 1 Names([])");
}

#[test]
fn what_was_just_done_is_not_done_again_when_that_is_enough() {
    let mut net = Net::new(&["h1"]);
    net.configure(&["h1"], &[("f", ALL)], &[]);
    net.at(50_000);
    net.fence("h1", "h2", Action::Off);
    net.end(0);
    net.log();
    net.at(59_000);
    let again = |target: &str, action| Request {
        tolerance_ms: 10_000,
        action,
        ..request(target)
    };
    net.fence_with("h1", again("h2", Action::Off));
    assert_eq!(net.log(), "h1: done h2 by h1");
    net.fence_with("h1", again("h2", Action::Reboot));
    assert_eq!(net.log(), "h1: f reboot h2");
    net.end(0);
    net.at(70_000);
    net.log();
    net.fence_with("h1", again("h2", Action::Off));
    assert_eq!(net.log(), "h1: f off h2");
}
