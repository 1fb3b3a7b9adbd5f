//! These events, then these effects, as text.

use super::*;
use crate::executor::Parameter;
use crate::terms::NodeName;

mod coordinators;

struct Play {
    machine: Machine,
    transition: i64,
    metadata: bool,
    guard: bool,
}

impl Play {
    fn new() -> Self {
        Self {
            machine: Machine::new(2, 1),
            transition: 0,
            metadata: false,
            guard: false,
        }
    }

    fn at(&mut self, ms: u64, event: Event) -> String {
        let mut effects = Vec::new();
        let now = Now {
            mono: Mono(ms),
            wall_s: 1000 + (ms / 1000) as i64,
        };
        self.machine.step(now, event, &mut effects);
        let shown = effects.iter().filter_map(|effect| self.show(effect));
        shown.collect::<Vec<_>>().join("; ")
    }

    fn show(&self, effect: &Effect) -> Option<String> {
        Some(match effect {
            Effect::Run(run, call) => {
                let plain = call
                    .params
                    .iter()
                    .filter(|(name, _)| !name.starts_with("CRM_meta"));
                let plain: String = plain.map(|(n, v)| format!(" {n}={v}")).collect();
                format!("run {} {} {}{plain}", run.0, call.rsc, call.task)
            }
            Effect::Device(run, task) => {
                format!(
                    "device {} {} {} {}",
                    run.0, task.device, task.task, task.timeout_ms
                )
            }
            Effect::Link(run, order) => format!("link {} {}", run.0, order.op),
            Effect::Kill(run) => format!("kill {}", run.0),
            Effect::KillGroup(rsc) => format!("kill group {rsc}"),
            Effect::MayRun(_) | Effect::Gone(_) if !self.guard => return None,
            Effect::MayRun(stop) => format!("may run {} until {}", stop.rsc, stop.task),
            Effect::Gone(rsc) => format!("gone {rsc}"),
            Effect::ReadMetadata(_) if !self.metadata => return None,
            Effect::ReadMetadata(agent) => format!("read {agent}"),
            Effect::Refused(op, why) => format!("refused {op}: {why}"),
            Effect::Report(report) => match &**report {
                Report::Pending(x) => format!("pending {} #{}", x.op, x.ticket),
                Report::Result(x) => show_result("result", x),
                Report::NotDone { key, why } => format!("not done {}: {why}", key.action),
                Report::Cancelled {
                    op, call_id, by, ..
                } => {
                    let call = call_id.map(|id| format!(" #{id}")).unwrap_or_default();
                    let by = by
                        .as_ref()
                        .map(|key| format!(" by {}", key.action))
                        .unwrap_or_default();
                    format!("cancelled {op}{call}{by}")
                }
                Report::Withdrawn { op, key } => format!("withdrawn {op} {}", key.action),
                Report::Forgotten { rsc, .. } => format!("forgotten {rsc}"),
                Report::Known(all) => {
                    let all: Vec<String> = all.iter().map(|x| show_result("", x)).collect();
                    format!("known:{}", all.join(","))
                }
            },
        })
    }

    fn order(&mut self, term: u64, op: &str, params: &str) -> Event {
        let op: OpKey = op.parse().expect("an operation key");
        self.transition += 1;
        let mut all: Vec<(String, String)> = vec![("CRM_meta_timeout".into(), "20000".into())];
        for pair in params.split_whitespace() {
            let (name, value) = pair.split_once('=').expect("name=value");
            all.push((name.into(), value.into()));
        }
        let target_rc = all.iter().find(|(n, _)| n == "CRM_meta_op_target_rc");
        let target_rc = target_rc.map_or(0, |(_, v)| v.parse().expect("a number"));
        let agent = all
            .iter()
            .find(|(n, _)| n == "agent")
            .map(|(_, v)| v.clone());
        all.retain(|(n, _)| n != "agent");
        Event::Command(Box::new(Command::Execute(Order {
            term: Term(term),
            key: TransitionKey {
                action: self.transition,
                transition: 1,
                target_rc,
                uuid: "u".into(),
            },
            op,
            agent: agent
                .unwrap_or("ocf:heartbeat:Dummy".into())
                .parse()
                .expect("an agent"),
            node: NodeName::from("h1"),
            feature_set: "3.20".into(),
            params: all,
            pending: Pending::Written,
            shutdown_lock: None,
        })))
    }

    /// An order whose beginning has to be recorded.
    fn announced(&mut self, term: u64, op: &str) -> Event {
        let mut order = self.order(term, op, "");
        if let Event::Command(command) = &mut order
            && let Command::Execute(order) = &mut **command
        {
            order.pending = Pending::Report;
        }
        order
    }

    fn go(&mut self, ms: u64, op: &str, params: &str) -> String {
        let order = self.order(1, op, params);
        self.at(ms, order)
    }

    fn end(&mut self, ms: u64, run: u64, rc: i32) -> String {
        self.at(ms, Event::Ended(RunId(run), Outcome::done(rc)))
    }

    fn cancel(&mut self, ms: u64, op: &str) -> String {
        let key = TransitionKey {
            action: 99,
            transition: 1,
            target_rc: 0,
            uuid: "u".into(),
        };
        let op = op.parse().expect("an operation key");
        self.at(
            ms,
            Event::Command(Box::new(Command::Cancel {
                term: Term(1),
                op,
                key,
            })),
        )
    }
}

fn show_result(word: &str, x: &Execution) -> String {
    let reason = if x.exit_reason.is_empty() {
        String::new()
    } else {
        format!(" '{}'", x.exit_reason)
    };
    let changed = x.last_rc_change_s.unwrap_or(0);
    format!(
        "{word} {} #{} {}:{} @{changed}{reason}",
        x.op,
        x.call_id,
        x.status.code(),
        x.rc
    )
}

#[test]
fn one_at_a_time_per_resource_in_order_and_resources_side_by_side() {
    let mut play = Play::new();
    assert_eq!(play.go(0, "a_start_0", ""), "run 1 a start");
    assert_eq!(play.go(1, "a_promote_0", ""), "");
    assert_eq!(play.go(2, "b_start_0", ""), "run 2 b start");
    assert_eq!(play.go(3, "c_start_0", ""), "", "two at once is the limit");
    assert_eq!(
        play.go(3, "d_stop_0", ""),
        "run 3 d stop",
        "a stop may always"
    );
    assert_eq!(play.end(40, 1, 0), "");
    play.at(
        41,
        Event::Metadata("ocf:heartbeat:Dummy".parse().expect("agent"), None),
    );
    assert_eq!(
        play.end(50, 3, 0),
        "result d_stop_0 #5 0:0 @1000; run 4 a promote"
    );
    assert_eq!(
        play.end(60, 2, 0),
        "result b_start_0 #3 0:0 @1000; run 5 c start"
    );
}

#[test]
fn recurring_is_told_at_first_and_on_change_and_ends_with_the_stop() {
    let mut play = Play::new();
    assert_eq!(play.go(0, "a_monitor_10000", "p=1"), "run 1 a monitor p=1");
    assert_eq!(play.end(100, 1, 0), "result a_monitor_10000 #1 0:0 @1000");
    assert_eq!(
        play.machine.next_wake(),
        Some(Mono(10_100)),
        "counted from the end"
    );
    assert_eq!(play.at(10_100, Event::Tick), "run 2 a monitor p=1");
    assert_eq!(play.end(10_200, 2, 0), "", "no news");
    assert_eq!(play.at(20_200, Event::Tick), "run 3 a monitor p=1");
    assert_eq!(
        play.end(20_300, 3, 7),
        "result a_monitor_10000 #1 0:7 @1020"
    );
    assert_eq!(play.at(30_300, Event::Tick), "run 4 a monitor p=1");
    assert_eq!(
        play.go(30_400, "a_stop_0", ""),
        "kill 4; cancelled a_monitor_10000 #1",
        "a running monitor does not hold up the stop"
    );
    let killed = Outcome {
        killed: true,
        ..Outcome::done(0)
    };
    assert_eq!(
        play.at(30_401, Event::Ended(RunId(4), killed)),
        "run 5 a stop p=1"
    );
    assert_eq!(play.end(30_500, 5, 0), "result a_stop_0 #2 0:0 @1030");
    assert_eq!(play.machine.next_wake(), None);
}

#[test]
fn the_same_recurring_again_is_merged() {
    let mut play = Play::new();
    play.go(0, "a_monitor_10000", "");
    assert_eq!(play.end(100, 1, 0), "result a_monitor_10000 #1 0:0 @1000");
    assert_eq!(
        play.go(200, "a_monitor_10000", ""),
        "run 2 a monitor",
        "it waited, so it runs"
    );
    assert_eq!(play.end(300, 2, 0), "result a_monitor_10000 #2 0:0 @1000");
}

#[test]
fn a_merged_order_brings_its_parameters() {
    // Recorded with the digest of the old ones, it would be ordered again and again.
    let mut play = Play::new();
    play.go(0, "a_monitor_10000", "p=1");
    play.end(100, 1, 0);
    assert_eq!(
        play.go(200, "a_monitor_10000", "p=2"),
        "run 2 a monitor p=2"
    );
}

#[test]
fn cancel_of_waiting_running_and_unknown() {
    let mut play = Play::new();
    play.go(0, "a_monitor_10000", "");
    play.end(100, 1, 0);
    assert_eq!(
        play.cancel(200, "a_monitor_10000"),
        "cancelled a_monitor_10000 #1 by 99"
    );
    assert_eq!(play.machine.next_wake(), None);
    assert_eq!(
        play.cancel(300, "a_monitor_10000"),
        "cancelled a_monitor_10000 by 99"
    );
    play.go(400, "a_monitor_5000", "");
    assert_eq!(
        play.cancel(500, "a_monitor_5000"),
        "kill 2; cancelled a_monitor_5000 by 99"
    );
    let killed = Outcome {
        killed: true,
        ..Outcome::done(0)
    };
    assert_eq!(play.at(600, Event::Ended(RunId(2), killed)), "");
}

#[test]
fn what_never_worked_is_cancelled_whatever_is_recorded_under_its_id() {
    let mut play = Play::new();
    play.go(0, "a_monitor_5000", "");
    play.end(100, 1, 1);
    assert_eq!(
        play.cancel(200, "a_monitor_5000"),
        "cancelled a_monitor_5000 by 99",
        "a failure has another id, and an entry of an earlier order would stay for ever"
    );
}

#[test]
fn stop_has_the_parameters_of_the_start() {
    let mut play = Play::new();
    play.go(0, "a_start_0", "ip=1.1.1.1");
    play.end(1, 1, 0);
    assert_eq!(
        play.go(2, "a_stop_0", "ip=2.2.2.2"),
        "run 2 a stop ip=1.1.1.1"
    );
}

#[test]
fn failures_bring_their_reason_and_successes_none() {
    let mut play = Play::new();
    play.go(0, "a_stop_0", "");
    let failed = Outcome {
        reason: Some("will not".into()),
        ..Outcome::done(1)
    };
    assert_eq!(
        play.at(1, Event::Ended(RunId(1), failed)),
        "result a_stop_0 #1 0:1 @1000 'will not'"
    );
    play.go(2, "b_stop_0", "");
    let chatty = Outcome {
        reason: Some("fine".into()),
        ..Outcome::done(0)
    };
    assert_eq!(
        play.at(3, Event::Ended(RunId(2), chatty)),
        "result b_stop_0 #2 0:0 @1000"
    );
}

#[test]
fn start_delay_holds_the_queue_and_a_long_one_is_confirmed_at_once() {
    let mut play = Play::new();
    assert_eq!(play.go(0, "a_stop_0", "CRM_meta_start_delay=500"), "");
    assert_eq!(play.go(1, "a_meta-data_0", ""), "");
    assert_eq!(play.machine.next_wake(), Some(Mono(500)));
    assert_eq!(play.at(500, Event::Tick), "run 1 a stop");
    assert_eq!(
        play.go(600, "b_monitor_1000", "CRM_meta_start_delay=600000"),
        "result b_monitor_1000 #3 0:0 @1000"
    );
    assert_eq!(play.machine.next_wake(), Some(Mono(600_600)));
}

#[test]
fn what_waits_for_a_place_does_not_wake_anyone() {
    let mut play = Play::new();
    play.go(0, "a_monitor_0", "");
    play.go(0, "b_monitor_0", "");
    assert_eq!(play.go(0, "c_monitor_0", "CRM_meta_start_delay=500"), "");
    assert_eq!(
        play.at(500, Event::Tick),
        "",
        "the delay is over, but two run already"
    );
    assert_eq!(play.machine.next_wake(), None);
}

#[test]
fn a_node_that_acts_alone_tells_what_is_known() {
    let mut play = Play::new();
    play.go(0, "a_start_0", "");
    play.at(
        0,
        Event::Metadata("ocf:heartbeat:Dummy".parse().expect("agent"), None),
    );
    play.end(1, 1, 0);
    play.go(2, "a_monitor_10000", "");
    play.end(3, 2, 0);
    play.go(4, "b_monitor_0", "CRM_meta_op_target_rc=7");
    play.end(5, 3, 7);
    play.go(6, "a_monitor_20000", "");
    play.end(7, 4, 1);
    assert_eq!(
        play.at(9, Event::Alone),
        "known: a_monitor_20000 #4 0:1 @1000, a_start_0 #1 0:0 @1000, a_monitor_10000 #2 0:0 @1000, \
         b_monitor_0 #3 0:7 @1000"
    );
    assert_eq!(play.machine.active(), [RscId::from("a")]);
    // The failure has been dealt with.
    play.go(10, "a_stop_0", "");
    play.end(11, 5, 0);
    assert_eq!(
        play.at(12, Event::Alone),
        "known: a_stop_0 #5 0:0 @1000, b_monitor_0 #3 0:7 @1000"
    );
}

#[test]
fn nothing_is_started_without_a_lease() {
    let mut play = Play::new();
    play.at(0, Event::Lease(Mono(100)));
    assert_eq!(play.go(99, "a_start_0", ""), "run 1 a start");
    assert_eq!(play.go(100, "b_start_0", ""), "", "its lease is over");
    play.at(
        100,
        Event::Metadata("ocf:heartbeat:Dummy".parse().expect("agent"), None),
    );
    assert_eq!(play.at(150, Event::Lease(Mono(200))), "run 2 b start");
    play.end(160, 1, 0);
    assert_eq!(
        play.go(210, "a_stop_0", ""),
        "run 3 a stop",
        "a stop may begin"
    );
    play.go(220, "c_start_0", "");
    let told = play.at(230, Event::Alone);
    assert!(told.contains("c_start_0"), "nobody waits for it: {told}");
    assert_eq!(
        play.at(240, Event::Lease(Mono(400))),
        "",
        "it was forgotten"
    );
}

#[test]
fn a_result_waits_for_metadata_that_nobody_has_yet() {
    let mut play = Play::new();
    play.metadata = true;
    assert_eq!(
        play.go(0, "a_start_0", "p=1"),
        "read ocf:heartbeat:Dummy; run 1 a start p=1"
    );
    assert_eq!(play.end(1, 1, 0), "");
    let metadata = Metadata {
        parameters: vec![Parameter::named("p"), Parameter::named("passwd")],
        actions: vec!["start".into(), "reload-agent".into()],
    };
    let agent: AgentName = "ocf:heartbeat:Dummy".parse().expect("agent");
    let now = Now {
        mono: Mono(2),
        wall_s: 1000,
    };
    let mut effects = Vec::new();
    let event = Event::Metadata(agent, Some(Arc::new(metadata)));
    play.machine.step(now, event, &mut effects);
    let [Effect::Report(report)] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    let Report::Result(execution) = &**report else {
        panic!("{report:?}")
    };
    let digest = crate::xml::digest::operation([("p", "1")]);
    assert_eq!(execution.digests.all, digest);
    assert_eq!(
        execution.digests.restart,
        Some((" p passwd ".into(), digest.clone()))
    );
    assert_eq!(execution.digests.secure, Some((" passwd ".into(), digest)));
    assert_eq!(
        play.go(3, "a_stop_0", ""),
        "run 2 a stop p=1",
        "a stop reads no metadata"
    );
}

#[test]
fn a_node_that_leaves_starts_nothing_and_one_that_is_cut_off_kills() {
    let mut play = Play::new();
    play.go(0, "a_stop_0", "");
    play.at(1, Event::Leaving);
    assert_eq!(
        play.go(2, "b_start_0", ""),
        "refused b_start_0: this node is leaving the cluster and starts nothing any more; \
         not done 2: b_start_0: this node is leaving the cluster and starts nothing any more"
    );
    assert_eq!(play.at(3, Event::KillAll), "kill 1; kill group a");
}

#[test]
fn an_address_is_taken_away_even_when_agents_are_not_asked_any_more() {
    let mut play = Play::new();
    play.go(0, "vip_start_0", "agent=ocf:heartbeat:IPaddr2 ip=10.0.0.1");
    play.at(
        0,
        Event::Metadata("ocf:heartbeat:IPaddr2".parse().expect("agent"), None),
    );
    play.end(1, 1, 0);
    assert_eq!(
        play.at(2, Event::KillAll),
        "kill group vip; run 2 vip stop ip=10.0.0.1"
    );
}

#[test]
fn the_guard_hears_of_a_start_before_it_runs() {
    let mut play = Play::new();
    play.guard = true;
    assert_eq!(
        play.go(0, "db_start_0", "a=1"),
        "may run db until stop; run 1 db start a=1"
    );
    let ended = play.end(10, 1, 1);
    assert!(
        !ended.contains("gone"),
        "a failed start may have left anything"
    );
    play.go(20, "db_stop_0", "a=1");
    assert!(play.end(30, 2, 0).starts_with("gone db"));
}

#[test]
fn what_was_not_looked_at_yet_is_neither_running_nor_gone() {
    let mut play = Play::new();
    play.guard = true;
    play.go(0, "a_monitor_0", "");
    assert!(play.end(10, 1, 7).starts_with("gone a"));
    play.go(20, "b_monitor_0", "");
    assert!(play.end(30, 2, 0).starts_with("may run b until stop"));
    play.go(40, "c_monitor_0", "");
    let unclear = play.end(50, 3, 1);
    assert!(!unclear.contains("gone") && !unclear.contains("may run"));
}

#[test]
fn fence_devices_go_to_the_fencer() {
    let mut play = Play::new();
    let probe = "agent=stonith:fence_x CRM_meta_op_target_rc=7";
    assert_eq!(play.go(0, "f_monitor_0", probe), "device 1 f probe 20000");
    let monitor = "agent=stonith:fence_x pcmk_monitor_timeout=5s";
    play.end(1, 1, 7);
    assert_eq!(
        play.go(2, "f_monitor_60000", monitor),
        "device 2 f monitor 5000"
    );
}

fn forget(rsc: &str) -> Event {
    Event::Command(Box::new(Command::Forget {
        term: Term(1),
        rsc: rsc.into(),
        key: TransitionKey {
            action: 9,
            transition: 1,
            target_rc: 0,
            uuid: "u".into(),
        },
    }))
}

#[test]
fn what_somebody_waits_for_is_not_forgotten() {
    let mut play = Play::new();
    play.go(0, "a_monitor_0", "");
    let agent = "ocf:heartbeat:Dummy".parse().expect("an agent");
    play.at(0, Event::Metadata(agent, None));
    play.go(0, "a_monitor_10000", "");
    play.go(0, "b_monitor_0", "");
    play.go(0, "c_monitor_0", "");
    assert_eq!(play.at(1, forget("c")), "forgotten c");
    assert_eq!(play.at(2, forget("a")), "forgotten a");
    assert_eq!(
        play.end(3, 1, 7),
        "result a_monitor_0 #1 0:7 @1000; run 3 a monitor"
    );
    assert_eq!(
        play.end(4, 2, 0),
        "result b_monitor_0 #3 0:0 @1000; run 4 c monitor"
    );
    assert_eq!(play.end(5, 3, 0), "result a_monitor_10000 #2 0:0 @1000");
    assert_eq!(play.end(6, 4, 0), "result c_monitor_0 #4 0:0 @1000");
    assert_eq!(
        play.at(7, forget("a")),
        "forgotten a",
        "what is answered ends"
    );
    assert_eq!(play.machine.next_wake(), None);
}

#[test]
fn a_start_that_runs_while_its_resource_is_forgotten_is_recorded_all_the_same() {
    let mut play = Play::new();
    play.go(0, "a_start_0", "");
    let agent = "ocf:heartbeat:Dummy".parse().expect("an agent");
    play.at(0, Event::Metadata(agent, None));
    assert_eq!(play.at(1, forget("a")), "forgotten a");
    assert_eq!(play.end(2, 1, 0), "result a_start_0 #1 0:0 @1000");
    assert_eq!(play.machine.active(), [RscId::from("a")]);
}

#[test]
fn forget_drops_the_history() {
    let mut play = Play::new();
    play.go(0, "a_monitor_10000", "");
    play.end(1, 1, 0);
    assert_eq!(play.at(2, forget("a")), "forgotten a");
    assert_eq!(play.at(3, Event::Alone), "");
    assert_eq!(play.machine.next_wake(), None);
}

#[test]
fn reload_is_recorded_as_start() {
    let mut play = Play::new();
    play.metadata = true;
    play.at(
        0,
        Event::Metadata("ocf:heartbeat:Dummy".parse().expect("agent"), None),
    );
    play.go(0, "a_reload-agent_0", "");
    assert_eq!(play.end(1, 1, 0), "result a_start_0 #1 0:0 @1000");
    play.go(2, "a_reload-agent_0", "");
    assert_eq!(play.end(3, 2, 1), "result a_monitor_0 #2 0:1 @1000");
}

mod random {
    //! Whatever happens, in whatever order.

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Move {
        Order(usize, usize, u64),
        End(usize, i32),
        Cancel(usize, usize),
        Forget(usize),
        Term(u64),
        Wait(u64),
        Written,
        Lost,
    }

    const OPS: [&str; 6] = [
        "start_0",
        "stop_0",
        "monitor_0",
        "monitor_1000",
        "monitor_5000",
        "promote_0",
    ];

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            6 => (0..3usize, 0..OPS.len(), 0..3u64).prop_map(|(r, o, t)| Move::Order(r, o, t)),
            6 => (0..4usize, 0..3i32).prop_map(|(at, rc)| Move::End(at, rc * 7)),
            1 => (0..3usize, 3..5usize).prop_map(|(r, o)| Move::Cancel(r, o)),
            1 => (0..3usize).prop_map(Move::Forget),
            1 => (1..4u64).prop_map(Move::Term),
            3 => (1..3000u64).prop_map(Move::Wait),
            3 => Just(Move::Written),
            1 => Just(Move::Lost),
        ];
        proptest::collection::vec(one, 1..60)
    }

    /// What the outside sees of the executor.
    struct World {
        play: Play,
        ms: u64,
        newest: u64,
        /// Agents that run: resource, task, run.
        running: Vec<(RscId, RunId)>,
        /// Pending entries that nobody has answered.
        pending: Vec<i64>,
        /// The newest operation of each resource whose beginning was told.
        told: BTreeMap<RscId, i64>,
    }

    impl World {
        fn event(&mut self, event: Event) {
            let now = Now {
                mono: Mono(self.ms),
                wall_s: 0,
            };
            let mut effects = Vec::new();
            self.play.machine.step(now, event, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Run(run, call) => {
                        let busy = self.running.iter().any(|(rsc, _)| *rsc == call.rsc);
                        assert!(!busy, "two agents at once for {}", call.rsc);
                        self.running.push((call.rsc, run));
                    }
                    Effect::Report(report) => match *report {
                        Report::Pending(x) => {
                            self.pending.push(x.ticket);
                            if x.op.interval_ms == 0 {
                                self.told.insert(x.op.rsc, x.ticket);
                            }
                        }
                        Report::Result(x) => {
                            assert!(x.call_id > 0);
                            let newer = self.told.get(&x.op.rsc).is_some_and(|t| *t > x.call_id);
                            let one_id = x.op.interval_ms == 0;
                            assert!(!(one_id && newer), "{} takes a pending entry away", x.op);
                        }
                        _ => {}
                    },
                    _ => {}
                }
            }
            assert!(self.running.len() <= 2 + 3, "limit, and stops above it");
        }

        fn key(rsc: usize, op: usize) -> OpKey {
            format!("r{rsc}_{}", OPS[op])
                .parse()
                .expect("an operation key")
        }

        fn play(&mut self, step: &Move) {
            let key = TransitionKey {
                action: 77,
                transition: 1,
                target_rc: 0,
                uuid: "u".into(),
            };
            match step {
                Move::Order(rsc, op, term) => {
                    let op = Self::key(*rsc, *op).to_string();
                    let order = self.play.announced(*term, &op);
                    self.newest = self.newest.max(*term);
                    self.event(order);
                }
                Move::End(at, rc) if *at < self.running.len() => {
                    let (_, run) = self.running.remove(*at);
                    self.event(Event::Ended(run, Outcome::done(*rc)));
                }
                Move::Cancel(rsc, op) => {
                    let (op, term) = (Self::key(*rsc, *op), Term(self.newest));
                    self.event(Event::Command(Box::new(Command::Cancel { term, op, key })));
                }
                Move::Forget(rsc) => {
                    let (rsc, term) = (format!("r{rsc}").as_str().into(), Term(self.newest));
                    self.event(Event::Command(Box::new(Command::Forget { term, rsc, key })));
                }
                Move::Term(term) => {
                    self.newest = self.newest.max(*term);
                    self.event(Event::TermSeen(Term(*term)));
                }
                Move::Wait(ms) => {
                    self.ms += ms;
                    self.event(Event::Tick);
                }
                Move::Written | Move::Lost if !self.pending.is_empty() => {
                    let call = self.pending.remove(0);
                    let written = matches!(step, Move::Written);
                    let event = if written {
                        Event::PendingWritten
                    } else {
                        Event::PendingLost
                    };
                    self.event(event(call));
                }
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn one_agent_per_resource_and_an_end_for_everything(moves in moves()) {
            let mut world = World {
                play: Play::new(),
                ms: 0,
                newest: 0,
                running: Vec::new(),
                pending: Vec::new(),
                told: BTreeMap::new(),
            };
            moves.iter().for_each(|step| world.play(step));
            // When every pending entry is answered and every agent ends, nothing waits any more.
            for _ in 0..200 {
                if !world.pending.is_empty() {
                    world.play(&Move::Written);
                }
                if !world.running.is_empty() {
                    world.play(&Move::End(0, 0));
                }
                let agent = "ocf:heartbeat:Dummy".parse().expect("agent");
                world.event(Event::Metadata(agent, None));
            }
            prop_assert!(!world.play.machine.busy());
        }
    }
}

#[test]
fn a_connection_is_no_agent_and_is_watched_while_it_moves() {
    let mut play = Play::new();
    let agent = "agent=ocf:pacemaker:remote";
    assert_eq!(play.go(0, "r_start_0", agent), "link 1 r_start_0");
    let described = "ocf:pacemaker:remote".parse().expect("an agent");
    assert_eq!(play.at(1, Event::Metadata(described, None)), "");
    assert_eq!(play.end(5, 1, 0), "result r_start_0 #1 0:0 @1000");
    assert_eq!(
        play.go(10, "r_monitor_10000", agent),
        "link 2 r_monitor_10000"
    );
    assert_eq!(play.end(11, 2, 0), "result r_monitor_10000 #2 0:0 @1000");
    // What is known need not be waited for.
    assert_eq!(
        play.at(20, Event::Look("r".into())),
        "link 3 r_monitor_10000"
    );
    assert_eq!(play.end(21, 3, 1), "result r_monitor_10000 #2 0:1 @1000");
    assert_eq!(
        play.go(30, "r_migrate_to_0", agent),
        "link 4 r_migrate_to_0"
    );
    play.end(31, 4, 0);
    assert_eq!(play.at(10_021, Event::Tick), "link 5 r_monitor_10000");
}
