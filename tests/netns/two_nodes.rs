//! Two real daemons without a witness: power cuts, a cut cable, and one that starts alone.

use std::thread;
use std::time::Duration;

use systole::clock::boot_us;

use crate::cluster::{Stage, on_stage_of};

pub(crate) const SCENARIOS: &[crate::Scenario] = &[
    (
        "two_nodes::either_may_lose_its_power",
        either_may_lose_its_power,
    ),
    (
        "two_nodes::of_two_that_are_cut_one_goes_on",
        of_two_that_are_cut_one_goes_on,
    ),
    (
        "two_nodes::one_that_starts_alone_waits",
        one_that_starts_alone_waits,
    ),
    (
        "two_nodes::one_that_leaves_is_not_fenced",
        one_that_leaves_is_not_fenced,
    ),
];

/// Two hosts in two-node mode, which have met.
fn on_two(service_network: bool, play: impl FnOnce(&Stage<'_>)) {
    on_stage_of(2, service_network, |stage| {
        stage
            .cluster
            .anywhere(&["cluster", "two-node", "on"])
            .unwrap();
        together(stage);
        play(stage);
    });
}

/// Where a host stands, as it says itself.
fn phase(stage: &Stage<'_>, host: &str) -> String {
    let words = ["cluster", "status", "--json"];
    let text = stage.cluster.crm(host, &words).unwrap_or_default();
    let status: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let phase = status["more"]["two_node"]["now"]["phase"].as_str();
    phase.unwrap_or("unknown").to_owned()
}

fn together(stage: &Stage<'_>) {
    let both = || {
        let names = stage.lab.names();
        names.iter().all(|host| phase(stage, host) == "together")
    };
    stage.cluster.wait("both voting", 60_000, both).unwrap();
    stage.cluster.await_all_online(30_000).unwrap();
}

fn other(stage: &Stage<'_>, host: &str) -> String {
    let names = stage.lab.names();
    names.into_iter().find(|name| name != host).unwrap()
}

/// It is switched on again, and both vote.
fn back(stage: &Stage<'_>, host: &str) {
    stage.lab.boot(host).unwrap();
    stage.lab.heal(host).unwrap();
    stage.cluster.start_daemon(host).unwrap();
    together(stage);
    stage.never_twice();
}

fn either_may_lose_its_power() {
    on_two(false, |stage| {
        for leads in [true, false] {
            let leader = stage.leader();
            let lost = match leads {
                true => leader,
                false => other(stage, &leader),
            };
            if stage.active() != lost {
                stage.settle_on(&lost);
            }
            let survivor = other(stage, &lost);
            let words = ["node", "attribute", &survivor, "set", "kept", &lost];
            stage.cluster.crm(&survivor, &words).unwrap();
            let fault_us = boot_us();
            stage.lab.crash(&lost).unwrap();
            let outage_ms = stage.taken_over(fault_us, &lost);
            assert!(outage_ms < 15_000.0);
            stage.fenced_before_takeover(fault_us, &lost);
            stage.never_twice();
            assert_eq!(phase(stage, &survivor), "alone");
            let show = ["node", "attribute", &survivor, "show", "kept"];
            let kept = stage.cluster.crm(&survivor, &show).unwrap();
            assert!(kept.contains(&lost), "{kept}");
            back(stage, &lost);
            assert_eq!(stage.active(), survivor, "it stays where it is");
        }
    });
}

/// Both still reach the client, and each other's power switch.
fn of_two_that_are_cut_one_goes_on() {
    on_two(true, |stage| {
        let active = stage.active();
        let fault_us = boot_us();
        stage.lab.cut_from_hosts(&active).unwrap();
        let one_is_off = || stage.lab.names().iter().any(|host| !stage.lab.is_on(host));
        stage.cluster.wait("a shot", 30_000, one_is_off).unwrap();
        thread::sleep(Duration::from_secs(3));
        let names = stage.lab.names();
        let (on, off): (Vec<String>, Vec<String>) =
            names.into_iter().partition(|host| stage.lab.is_on(host));
        let ([winner], [loser]) = (&on[..], &off[..]) else {
            panic!("{on:?} are on: {:?}", stage.lab.switch_log());
        };
        let alone = || phase(stage, winner) == "alone";
        stage
            .cluster
            .wait("the winner alone", 30_000, alone)
            .unwrap();
        if *loser == active {
            stage.taken_over(fault_us, loser);
            stage.fenced_before_takeover(fault_us, loser);
        } else {
            let silence = stage.prober.record().silence(fault_us, boot_us());
            println!(
                "{winner} went on with it: silence of {:.0} ms",
                silence.ms()
            );
            assert!(silence.ms() < 1_000.0, "what a winner runs goes on");
        }
        stage.never_twice();
        if *winner == active {
            stage.lab.heal(winner).unwrap();
        }
        back(stage, loser);
    });
}

fn one_that_starts_alone_waits() {
    on_two(false, |stage| {
        let names = stage.lab.names();
        let [first, second] = &names[..] else {
            panic!("{names:?}");
        };
        let all_off = || {
            for host in &names {
                stage.lab.crash(host).unwrap();
            }
        };
        all_off();
        stage.lab.boot(first).unwrap();
        stage.cluster.start_daemon(first).unwrap();
        let waits = || phase(stage, first) == "waiting";
        stage.cluster.wait("its waiting", 30_000, waits).unwrap();
        thread::sleep(Duration::from_secs(5));
        assert!(waits());
        let status = stage.cluster.crm(first, &["cluster", "status"]).unwrap();
        let type_this = format!("crm cluster confirm-off {second}");
        assert!(status.contains(&type_this), "{status}");
        assert_eq!(stage.prober.active(), None, "it runs nothing");
        let words = ["cluster", "confirm-off", second];
        stage.cluster.crm(first, &words).unwrap();
        assert_eq!(&stage.active(), first);
        back(stage, second);
        // And both at once, without anybody's word.
        all_off();
        for host in &names {
            stage.lab.boot(host).unwrap();
            stage.cluster.start_daemon(host).unwrap();
        }
        together(stage);
        stage.active();
        stage.never_twice();
    });
}

fn one_that_leaves_is_not_fenced() {
    on_two(false, |stage| {
        let leaves = stage.active();
        let stays = other(stage, &leaves);
        let begun_us = boot_us();
        stage.cluster.crm(&leaves, &["cluster", "stop"]).unwrap();
        stage.taken_over(begun_us, &leaves);
        let alone = || phase(stage, &stays) == "alone";
        stage
            .cluster
            .wait("the other one alone", 30_000, alone)
            .unwrap();
        let shots = stage.lab.switch_log();
        assert!(shots.iter().all(|(at, _)| *at < begun_us), "{shots:?}");
        assert!(stage.lab.is_on(&leaves));
        stage.cluster.start_daemon(&leaves).unwrap();
        together(stage);
        stage.never_twice();
    });
}
