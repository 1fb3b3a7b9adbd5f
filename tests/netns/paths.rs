//! Hosts that reach each other over two networks: one is lost, both are lost, and a second one is added while all runs.

use std::thread;
use std::time::Duration;

use systole::clock::boot_us;

use crate::cluster::{Stage, on_stage_of, on_two_networks};
use crate::writer::{Writer, Written};

pub(crate) const SCENARIOS: &[crate::Scenario] = &[
    (
        "paths::one_network_lost_disturbs_nothing",
        one_network_lost_disturbs_nothing,
    ),
    (
        "paths::both_networks_lost_are_a_lost_host",
        both_networks_lost_are_a_lost_host,
    ),
    (
        "paths::a_second_network_is_added_while_all_runs",
        a_second_network_is_added_while_all_runs,
    ),
];

/// A write may wait so long for its answer when the network goes over which it was asked: one look at a path that is late,
/// and the same again where a follower passes it on; and the machine that tests this has few processors.
const GAP: Duration = Duration::from_millis(1500);

pub(crate) fn status(stage: &Stage<'_>, host: &str) -> serde_json::Value {
    let text = stage.cluster.crm(host, &["cluster", "status", "--json"]);
    serde_json::from_str(&text.unwrap()).unwrap()
}

/// How many paths of a host are in a state.
fn count(stage: &Stage<'_>, host: &str, state: &str) -> usize {
    let status = status(stage, host);
    let links = status["links"].as_array().unwrap();
    links.iter().filter(|link| link["state"] == state).count()
}

fn all_paths_up(stage: &Stage<'_>) {
    let names = stage.lab.names();
    let all = || names.iter().all(|host| count(stage, host, "up") == 4);
    stage.cluster.wait("all paths up", 30_000, all).unwrap();
}

/// Nobody was fenced, nobody else leads, and the address stayed where it was.
pub(crate) fn undisturbed(
    stage: &Stage<'_>,
    term: &serde_json::Value,
    active: &str,
    since_us: u64,
) {
    let log = stage.lab.switch_log();
    let fenced: Vec<_> = log
        .iter()
        .filter(|(_, text)| text.contains("no power"))
        .collect();
    assert!(fenced.is_empty(), "{fenced:?}");
    for host in stage.lab.names() {
        let now = status(stage, &host);
        assert_eq!(now["term"], *term, "{host} has another leader");
        assert_eq!(now["more"]["lease"]["held"], true, "{host} lost its lease");
    }
    let held = stage.lab.held(active, stage.vip);
    let last = held.last().unwrap();
    assert!(
        last.until_us.is_none() && last.from_us < since_us,
        "the address went away: {held:?}"
    );
    let silence = stage.prober.record().silence(since_us, boot_us());
    assert!(
        silence.ms() < 1000.0,
        "the client waited {} ms",
        silence.ms()
    );
}

pub(crate) fn nothing_lost(written: &Written) {
    assert!(written.failed.is_empty(), "{:?}", written.failed);
    assert!(written.acknowledged > 20, "{}", written.acknowledged);
    assert_eq!(
        written.acknowledged, written.counted,
        "acknowledged and there"
    );
    assert!(written.gap < GAP, "no write for {:?}", written.gap);
}

fn one_network_lost_disturbs_nothing() {
    on_two_networks(|stage| {
        all_paths_up(stage);
        let leader = stage.leader();
        let follower = stage.lab.names().into_iter().find(|name| *name != leader);
        let follower = follower.unwrap();
        let term = status(stage, &leader)["term"].clone();
        let active = stage.active();
        for victim in [&leader, &follower] {
            let since_us = boot_us();
            let socket = stage.lab.disk(&follower).join("systole.sock");
            let writer = Writer::start(socket);
            thread::sleep(Duration::from_secs(1));
            stage.lab.cut_from_hosts(victim).unwrap();
            let other = stage.lab.names().into_iter().find(|name| name != victim);
            let other = other.unwrap();
            let seen = || count(stage, victim, "down") == 2 && count(stage, &other, "down") == 1;
            stage.cluster.wait("paths down", 15_000, seen).unwrap();
            println!(
                "seen by both ends after {} ms",
                (boot_us() - since_us) / 1000 - 1000
            );
            thread::sleep(Duration::from_secs(3));
            let text = stage.cluster.crm(victim, &["status"]).unwrap();
            assert_eq!(text.matches("PATH DOWN to host").count(), 2, "{text}");
            let text = stage.cluster.crm(&other, &["cluster", "status"]).unwrap();
            assert!(text.contains("DOWN for"), "{text}");
            let doctor = stage.cluster.run(
                &other,
                &[stage.lab.bin().join("crm").to_str().unwrap(), "doctor"],
            );
            let doctor = doctor.unwrap().out;
            let told = format!("does not reach {victim} at {}", stage.lab.ip(victim));
            assert!(doctor.contains(&told), "{doctor}");
            undisturbed(stage, &term, &active, since_us);
            stage.lab.heal(victim).unwrap();
            all_paths_up(stage);
            let written = writer.stop();
            println!(
                "preferred network of the {} lost: {} writes, the longest gap {:?}",
                if *victim == leader {
                    "leader"
                } else {
                    "follower"
                },
                written.acknowledged,
                written.gap
            );
            nothing_lost(&written);
            undisturbed(stage, &term, &active, since_us);
        }
    });
}

fn both_networks_lost_are_a_lost_host() {
    on_two_networks(|stage| {
        all_paths_up(stage);
        let active = stage.active();
        // First one, for long enough that all has settled on the other; then that one, too.
        stage.lab.cut_from_hosts(&active).unwrap();
        let seen = || count(stage, &active, "down") == 2;
        stage.cluster.wait("paths down", 15_000, seen).unwrap();
        let fault_us = boot_us();
        stage.lab.cut(&active).unwrap();
        stage.taken_over(fault_us, &active);
        stage.fenced_before_takeover(fault_us, &active);
        stage.never_twice();
        stage.lab.boot(&active).unwrap();
        stage.lab.heal(&active).unwrap();
        stage.cluster.start_daemon(&active).unwrap();
        stage.cluster.await_all_online(30_000).unwrap();
        all_paths_up(stage);
        stage.never_twice();
    });
}

fn a_second_network_is_added_while_all_runs() {
    on_stage_of(3, true, |stage| {
        let leader = stage.leader();
        let term = status(stage, &leader)["term"].clone();
        let active = stage.active();
        let since_us = boot_us();
        let set = |host: &str, addresses: &[String]| {
            let mut words = vec!["cluster", "set-address", host];
            words.extend(addresses.iter().map(String::as_str));
            stage.cluster.crm(&leader, &words)
        };
        let other = stage.lab.names().into_iter().find(|name| *name != leader);
        let other = other.unwrap();
        let (lan, svc) = (
            |host: &str| stage.lab.ip(host).to_string(),
            |host: &str| stage.lab.service_ip(host).to_string(),
        );
        for (addresses, why) in [
            (
                vec![lan(&other), "10.79.0.9".into()],
                "can't listen on 10.79.0.9",
            ),
            (vec![lan(&other), svc(&leader)], "can't listen on"),
            (
                vec![lan(&other), "0.0.0.0".into()],
                "not the address of one machine",
            ),
            (
                vec![lan(&other), "nowhere.invalid".into()],
                "is not an address",
            ),
        ] {
            let refused = set(&other, &addresses).unwrap_err().to_string();
            assert!(refused.contains(why), "{addresses:?}: {refused}");
        }
        let writer = Writer::start(stage.lab.disk(&other).join("systole.sock"));
        for host in stage.lab.names() {
            // The new network is to be the preferred one.
            set(&host, &[svc(&host), lan(&host)]).unwrap();
        }
        all_paths_up(stage);
        let used = status(stage, &other);
        let links = used["links"].as_array().unwrap();
        let used = links.iter().filter(|link| link["used"] == true);
        for link in used {
            assert!(
                link["remote"].as_str().unwrap().starts_with("10.78."),
                "{link}"
            );
        }
        // The old network alone is enough no more, and not needed either.
        stage.lab.cut_from_hosts(&leader).unwrap();
        let seen = || count(stage, &leader, "down") == 2;
        stage.cluster.wait("paths down", 15_000, seen).unwrap();
        thread::sleep(Duration::from_secs(2));
        undisturbed(stage, &term, &active, since_us);
        stage.lab.heal(&leader).unwrap();
        all_paths_up(stage);
        // One is moved away from the first network altogether, and is there after a restart.
        set(&other, &[svc(&other)]).unwrap();
        let written = writer.stop();
        println!(
            "{} writes, the longest gap {:?}",
            written.acknowledged, written.gap
        );
        nothing_lost(&written);
        undisturbed(stage, &term, &active, since_us);
        let toml = std::fs::read_to_string(stage.lab.disk(&other).join("node.toml")).unwrap();
        assert!(
            toml.contains(&svc(&other)) && !toml.contains(&lan(&other)),
            "{toml}"
        );
    });
}
