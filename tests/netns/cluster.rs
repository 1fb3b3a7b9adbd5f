//! Three real daemons, and what happens to them. Two witnesses who share no code with the cluster: the client, which
//! asks the address every 5 ms and asks the wire who has it; and the kernels, which record when an address was where.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use systole::clock::boot_us;
use systole::demo::cluster::{Cluster, Prober};
use systole::demo::lab::{Lab, Plan};

pub(crate) const SCENARIOS: &[crate::Scenario] = &[
    (
        "cluster::crash_of_the_active_host_that_leads",
        crash_of_the_active_host_that_leads,
    ),
    (
        "cluster::crash_of_the_active_host_that_follows",
        crash_of_the_active_host_that_follows,
    ),
    (
        "cluster::cut_host_is_fenced_before_takeover",
        cut_host_is_fenced_before_takeover,
    ),
    (
        "cluster::cut_host_lets_go_before_another_takes",
        cut_host_lets_go_before_another_takes,
    ),
    (
        "cluster::killed_daemon_disturbs_nothing",
        killed_daemon_disturbs_nothing,
    ),
    ("cluster::frozen_daemon_is_fenced", frozen_daemon_is_fenced),
    (
        "cluster::guard_stops_what_a_frozen_daemon_runs",
        guard_stops_what_a_frozen_daemon_runs,
    ),
    (
        "cluster::guard_knows_what_was_just_started",
        guard_knows_what_was_just_started,
    ),
    ("cluster::last_of_three_stops", last_of_three_stops),
    (
        "cluster::acknowledged_writes_survive_a_leader_change",
        acknowledged_writes_survive_a_leader_change,
    ),
    (
        "cluster::full_disk_makes_a_node_leave",
        full_disk_makes_a_node_leave,
    ),
    ("cluster::cold_start", cold_start),
];

const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// On the service network, where a host that is cut off from its peers still reaches the client.
const SERVICE_VIP: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 100);
const EXAMPLE: &str = include_str!("../../cib-examples/vip.crm");

pub(crate) struct Stage<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) cluster: &'a Cluster<'a>,
    pub(crate) prober: &'a Prober<'a>,
    pub(crate) vip: Ipv4Addr,
}

/// Three running hosts whose address answers.
fn on_stage(service_network: bool, play: impl FnOnce(&Stage<'_>)) {
    on_stage_of(3, service_network, play);
}

/// So many running hosts whose address answers.
pub(crate) fn on_stage_of(hosts: u8, service_network: bool, play: impl FnOnce(&Stage<'_>)) {
    let lab = lab_of(hosts, service_network);
    let vip = if service_network { SERVICE_VIP } else { VIP };
    let cluster = Cluster::found(&lab, None).unwrap();
    on_stage_with(&lab, &cluster, vip, play);
}

/// Three running hosts that reach each other over two networks; the address is on the second one.
pub(crate) fn on_two_networks(play: impl FnOnce(&Stage<'_>)) {
    let lab = lab_of(3, true);
    let both = |name: &str| vec![lab.ip(name), lab.service_ip(name)];
    let cluster = Cluster::found_at(&lab, None, both).unwrap();
    on_stage_with(&lab, &cluster, SERVICE_VIP, play);
}

fn lab_of(hosts: u8, service_network: bool) -> Lab {
    Lab::build(Plan {
        hosts,
        program: PathBuf::from(env!("CARGO_BIN_EXE_systole")),
        fence_delay: Duration::from_millis(5),
        service_network,
        disks: None,
    })
    .unwrap()
}

fn on_stage_with(lab: &Lab, cluster: &Cluster<'_>, vip: Ipv4Addr, play: impl FnOnce(&Stage<'_>)) {
    cluster.await_all_online(30_000).unwrap();
    cluster
        .load(&EXAMPLE.replace(&VIP.to_string(), &vip.to_string()))
        .unwrap();
    let prober = Prober::start(lab, vip).unwrap();
    prober.await_answer(30_000).unwrap();
    play(&Stage {
        lab,
        cluster,
        prober: &prober,
        vip,
    });
}

impl Stage<'_> {
    pub(crate) fn active(&self) -> String {
        self.prober.await_answer(20_000).unwrap()
    }

    pub(crate) fn leader(&self) -> String {
        let mut leader = None;
        self.cluster
            .wait("a leader", 20_000, || {
                let on = self
                    .lab
                    .names()
                    .into_iter()
                    .filter(|name| self.lab.is_on(name));
                on.into_iter()
                    .any(|host| self.cluster.leader(&host).is_some())
            })
            .unwrap();
        for host in self.lab.names() {
            leader = leader.or_else(|| self.cluster.leader(&host));
        }
        leader.unwrap()
    }

    /// Brings the address to a host.
    pub(crate) fn settle_on(&self, host: &str) {
        self.cluster
            .anywhere(&["resource", "move", "vip", host])
            .unwrap();
        self.cluster
            .wait("the move", 20_000, || {
                self.prober.active().as_deref() == Some(host)
            })
            .unwrap();
        self.cluster
            .anywhere(&["resource", "clear", "vip"])
            .unwrap();
    }

    /// Another host answers, steadily; how long the client waited.
    pub(crate) fn taken_over(&self, fault_us: u64, old: &str) -> f64 {
        self.cluster
            .wait("a takeover", 60_000, || {
                let record = self.prober.record();
                record
                    .taken_over(fault_us, old)
                    .is_some_and(|a| boot_us() > a.at_us + 1_000_000)
            })
            .unwrap();
        let silence = self.prober.record().silence(fault_us - 100_000, boot_us());
        println!("outage {:.0} ms", silence.ms());
        silence.ms()
    }

    pub(crate) fn never_twice(&self) {
        assert_eq!(
            self.lab.held_twice_us(self.vip),
            0,
            "two hosts had the address"
        );
        let record = self.prober.record();
        assert_eq!(
            record.seen_twice(),
            0,
            "two hosts were heard\n{}",
            record.turns()
        );
    }

    /// The switch confirmed before the new host took the address.
    pub(crate) fn fenced_before_takeover(&self, fault_us: u64, old: &str) {
        let confirmed = format!("switch: {old} has no power");
        let log = self.lab.switch_log();
        let (fenced_us, _) = log
            .iter()
            .find(|(at, text)| *at > fault_us && *text == confirmed)
            .unwrap_or_else(|| panic!("{old} was not fenced: {log:?}"));
        for host in self.lab.names().iter().filter(|name| *name != old) {
            for held in self
                .lab
                .held(host, self.vip)
                .iter()
                .filter(|h| h.from_us > fault_us)
            {
                assert!(
                    held.from_us > *fenced_us,
                    "{host} took over before {old} was fenced"
                );
            }
        }
    }
}

fn crash_of_the_active_host_that_leads() {
    on_stage(false, |stage| {
        let leader = stage.leader();
        if stage.active() != leader {
            stage.settle_on(&leader);
        }
        crash(stage, &leader);
    });
}

fn crash_of_the_active_host_that_follows() {
    on_stage(false, |stage| {
        let leader = stage.leader();
        if stage.active() == leader {
            let other = stage
                .lab
                .names()
                .into_iter()
                .find(|name| *name != leader)
                .unwrap();
            stage.settle_on(&other);
        }
        crash(stage, &stage.active());
    });
}

fn crash(stage: &Stage<'_>, active: &str) {
    let fault_us = boot_us();
    stage.lab.crash(active).unwrap();
    let outage_ms = stage.taken_over(fault_us, active);
    assert!(outage_ms < 10_000.0);
    stage.fenced_before_takeover(fault_us, active);
    stage.never_twice();
    // It comes back, joins, and disturbs nobody.
    let now = stage.active();
    stage.lab.boot(active).unwrap();
    stage.cluster.start_daemon(active).unwrap();
    stage.cluster.await_all_online(30_000).unwrap();
    assert_eq!(
        stage.active(),
        now,
        "stickiness keeps the address where it is"
    );
    stage.never_twice();
}

fn cut_host_is_fenced_before_takeover() {
    on_stage(false, |stage| {
        let active = stage.active();
        let fault_us = boot_us();
        stage.lab.cut(&active).unwrap();
        stage.taken_over(fault_us, &active);
        stage.fenced_before_takeover(fault_us, &active);
        stage.never_twice();
    });
}

fn cut_host_lets_go_before_another_takes() {
    on_stage(true, |stage| {
        stage
            .cluster
            .anywhere(&["configure", "property", "stonith-enabled=false"])
            .unwrap();
        let active = stage.active();
        let fault_us = boot_us();
        stage.lab.cut_from_hosts(&active).unwrap();
        stage.taken_over(fault_us, &active);
        assert!(stage.lab.is_on(&active), "nobody was to be fenced");
        stage.never_twice();
        stage.lab.heal(&active).unwrap();
        stage.cluster.await_all_online(30_000).unwrap();
        stage.never_twice();
    });
}

fn killed_daemon_disturbs_nothing() {
    on_stage(false, |stage| {
        let active = stage.active();
        let before_us = boot_us();
        stage.cluster.signal_daemon(&active, Signal::KILL).unwrap();
        thread::sleep(Duration::from_millis(200));
        stage.cluster.start_daemon(&active).unwrap();
        thread::sleep(Duration::from_secs(3));
        stage.cluster.await_all_online(30_000).unwrap();
        assert_eq!(stage.active(), active);
        let held = stage.lab.held(&active, VIP);
        assert!(
            held.len() == 1 && held[0].until_us.is_none(),
            "the address went away: {held:?}"
        );
        let silence = stage.prober.record().silence(before_us, boot_us());
        println!("longest silence {:.0} ms", silence.ms());
        assert!(silence.ms() < 1000.0);
    });
}

fn frozen_daemon_is_fenced() {
    on_stage(false, |stage| {
        let active = stage.active();
        let fault_us = boot_us();
        stage.cluster.signal_daemon(&active, Signal::STOP).unwrap();
        stage.taken_over(fault_us, &active);
        stage.fenced_before_takeover(fault_us, &active);
        stage.never_twice();
    });
}

/// Without fencing, and with a daemon that cannot stop anything itself.
fn guard_stops_what_a_frozen_daemon_runs() {
    on_stage(true, |stage| {
        stage
            .cluster
            .anywhere(&["configure", "property", "stonith-enabled=false"])
            .unwrap();
        let active = stage.active();
        let fault_us = boot_us();
        stage.cluster.signal_daemon(&active, Signal::STOP).unwrap();
        stage.taken_over(fault_us, &active);
        assert!(stage.lab.is_on(&active), "nobody was to be fenced");
        stage.never_twice();
    });
}

/// The same, with a daemon that freezes before it has seen the end of a start.
fn guard_knows_what_was_just_started() {
    on_stage(true, |stage| {
        stage
            .cluster
            .anywhere(&["configure", "property", "stonith-enabled=false"])
            .unwrap();
        let old = stage.active();
        let new = stage
            .lab
            .names()
            .into_iter()
            .find(|name| *name != old)
            .unwrap();
        let mut move_it = vec!["resource", "move", "vip"];
        move_it.push(&new);
        stage.cluster.anywhere(&move_it).unwrap();
        // The kernel says when the address is there, which is before its agent has ended.
        let begun_us = boot_us();
        while stage.lab.held(&new, stage.vip).is_empty() {
            assert!(
                boot_us() < begun_us + 20_000_000,
                "the address did not move"
            );
            thread::sleep(Duration::from_millis(1));
        }
        let fault_us = boot_us();
        stage.cluster.signal_daemon(&new, Signal::STOP).unwrap();
        stage.taken_over(fault_us, &new);
        assert!(stage.lab.is_on(&new), "nobody was to be fenced");
        stage.never_twice();
    });
}

fn last_of_three_stops() {
    on_stage(false, |stage| {
        let active = stage.active();
        for host in stage.lab.names().iter().filter(|name| **name != active) {
            stage.lab.crash(host).unwrap();
        }
        let lost_us = boot_us();
        let gone = || {
            stage
                .lab
                .held(&active, VIP)
                .last()
                .is_some_and(|h| h.until_us.is_some())
        };
        stage
            .cluster
            .wait("the last host letting go", 30_000, gone)
            .unwrap();
        println!("let go after {} ms", (boot_us() - lost_us) / 1000);
        assert!(stage.lab.is_on(&active));
    });
}

fn acknowledged_writes_survive_a_leader_change() {
    on_stage(false, |stage| {
        let leader = stage.leader();
        let writer = stage
            .lab
            .names()
            .into_iter()
            .find(|name| *name != leader)
            .unwrap();
        let counter = |value: &str| {
            format!(
                "<cluster_property_set id=\"tally\"><nvpair id=\"tally-count\" name=\"tally\" value=\"{value}\"/>\
                 </cluster_property_set>"
            )
        };
        // Applied again, a step would be counted again, which writing a name would not show.
        let step = |host: &str, value: &str| {
            let tool = stage
                .lab
                .disk(host)
                .join("tools/cibadmin")
                .display()
                .to_string();
            let words = [
                &tool,
                "--modify",
                "--allow-create",
                "-o",
                "crm_config",
                "-X",
            ];
            let xml = counter(value);
            let argv: Vec<&str> = words.into_iter().chain([xml.as_str()]).collect();
            stage.cluster.run(host, &argv).unwrap()
        };
        let first = step(&writer, "0");
        assert_eq!(first.code, 0, "{}", first.err);
        let end = AtomicBool::new(false);
        let (acknowledged, counted, unknown) = thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let (mut done, mut counted, mut unknown) = (Vec::new(), 0, 0);
                for number in 0.. {
                    if end.load(Ordering::Relaxed) {
                        break;
                    }
                    let (name, value) = (format!("write-{number}"), number.to_string());
                    let words = ["node", "attribute", &writer, "set", &name, &value];
                    if stage.cluster.crm(&writer, &words).is_ok() {
                        done.push(name);
                    }
                    match step(&writer, "value++").code {
                        0 => counted += 1,
                        _ => unknown += 1,
                    }
                }
                (done, counted, unknown)
            });
            thread::sleep(Duration::from_secs(2));
            stage.lab.crash(&leader).unwrap();
            thread::sleep(Duration::from_secs(6));
            end.store(true, Ordering::Relaxed);
            writing.join().unwrap()
        });
        println!(
            "{} names and {counted} steps acknowledged, {unknown} steps without an answer",
            acknowledged.len()
        );
        assert!(acknowledged.len() > 10 && counted > 10);
        let xml = stage
            .cluster
            .anywhere(&["configure", "show", "xml"])
            .unwrap();
        for name in &acknowledged {
            let found = xml.matches(&format!("name=\"{name}\"")).count();
            assert_eq!(
                found, 1,
                "{name} was acknowledged and is there {found} times"
            );
        }
        let tally = xml.split("name=\"tally\" value=\"").nth(1).unwrap();
        let tally: u64 = tally.split('"').next().unwrap().parse().unwrap();
        assert!(
            (counted..=counted + unknown).contains(&tally),
            "{counted} steps were acknowledged and {unknown} have no answer, but {tally} were applied"
        );
    });
}

fn full_disk_makes_a_node_leave() {
    on_stage(false, |stage| {
        let (active, leader) = (stage.active(), stage.leader());
        let victim = stage
            .lab
            .names()
            .into_iter()
            .find(|name| *name != active && *name != leader);
        let Some(victim) = victim else {
            println!("every host but one has a part to play; the one that has none is missing");
            return;
        };
        // A small disk, with what is on the old one.
        let disk = stage.lab.disk(&victim).display().to_string();
        stage.cluster.signal_daemon(&victim, Signal::KILL).unwrap();
        let line = format!(
            "set -e; mkdir /run/old; cp -a {disk}/. /run/old/; rm -f /run/old/*.sock; \
             mount -t tmpfs -o size=$(( $(du -sk /run/old | cut -f1) + 600 ))k none {disk}; cp -a /run/old/. {disk}/"
        );
        let done = stage.cluster.run(&victim, &["sh", "-c", &line]).unwrap();
        assert_eq!(done.code, 0, "{}", done.err);
        stage.cluster.start_daemon(&victim).unwrap();
        stage.cluster.await_all_online(30_000).unwrap();
        let fill = format!("cat /dev/zero > {disk}/filler 2>/dev/null; true");
        stage.cluster.run(&victim, &["sh", "-c", &fill]).unwrap();
        for number in 0..400 {
            let value = format!("{number}-{}", "x".repeat(2000));
            let words = ["node", "attribute", &active, "set", "filler", &value];
            stage.cluster.crm(&active, &words).unwrap();
            if stage.cluster.check_daemons().is_err() {
                break;
            }
        }
        let error = stage.cluster.check_daemons().unwrap_err().to_string();
        println!("{error}");
        assert!(
            error.contains("space") || error.contains("disk"),
            "no clear error: {error}"
        );
        assert_eq!(stage.active(), active, "the others go on");
        // Space again: it comes back with nothing lost.
        let free = format!("rm {disk}/filler; mount -o remount,size=200m {disk}");
        stage.cluster.run(&victim, &["sh", "-c", &free]).unwrap();
        if !stage.lab.is_on(&victim) {
            stage.lab.boot(&victim).unwrap();
        }
        stage.cluster.start_daemon(&victim).unwrap();
        stage.cluster.await_all_online(30_000).unwrap();
    });
}

fn cold_start() {
    on_stage(false, |stage| {
        for host in stage.lab.names() {
            stage.lab.crash(&host).unwrap();
        }
        for host in stage.lab.names() {
            stage.lab.boot(&host).unwrap();
        }
        thread::sleep(Duration::from_millis(500));
        let start_us = boot_us();
        for host in stage.lab.names() {
            stage.cluster.start_daemon(&host).unwrap();
        }
        stage.active();
        let record = stage.prober.record();
        let first = record.answers.iter().find(|a| a.at_us > start_us).unwrap();
        println!("first answer after {} ms", (first.at_us - start_us) / 1000);
        stage.cluster.await_all_online(30_000).unwrap();
        stage.never_twice();
    });
}
