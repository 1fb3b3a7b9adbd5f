//! Keys, certificates and the authority that signs them are replaced while a client writes.

use std::time::Duration;

use rustix::process::Signal;
use systole::clock::boot_us;

use crate::cluster::{Stage, on_stage_of};
use crate::paths::{nothing_lost, status, undisturbed};
use crate::writer::Writer;

pub(crate) const SCENARIOS: &[crate::Scenario] = &[(
    "certificates::all_are_replaced_under_a_client_that_writes",
    all_are_replaced_under_a_client_that_writes,
)];

fn generations(stage: &Stage<'_>, host: &str) -> Vec<u64> {
    let status = status(stage, host);
    let all = status["certificates"].as_array().unwrap().iter();
    all.map(|it| it["generation"].as_u64().unwrap()).collect()
}

/// The files by which a host proves itself, or back with them.
fn copy(stage: &Stage<'_>, host: &str, back: bool) {
    let disk = stage.lab.disk(host).display().to_string();
    let line = match back {
        false => format!(
            "mkdir -p /run/keys && rm -f /run/keys/* && cd {disk} && cp -a node.pem node.key ca.pem /run/keys/ 2>/dev/null; true"
        ),
        true => format!("cp -a /run/keys/. {disk}/"),
    };
    let done = stage.cluster.run(host, &["sh", "-c", &line]).unwrap();
    assert_eq!(done.code, 0, "{}", done.err);
}

fn restarted(stage: &Stage<'_>, host: &str) {
    stage.cluster.signal_daemon(host, Signal::KILL).unwrap();
    let job = stage.cluster.daemon(host).unwrap();
    stage.lab.ended(&job, Duration::from_secs(10)).unwrap();
    stage.cluster.start_daemon(host).unwrap();
}

fn all_are_replaced_under_a_client_that_writes() {
    on_stage_of(3, false, |stage| {
        let leader = stage.leader();
        let term = status(stage, &leader)["term"].clone();
        let active = stage.active();
        let names = stage.lab.names();
        let known = || generations(stage, &leader) == [1, 1, 1];
        stage
            .cluster
            .wait("certificates known", 20_000, known)
            .unwrap();
        // Not the one with the address, which would be fenced for what is done to its files.
        let victim = names.iter().find(|it| **it != leader && **it != active);
        let victim = victim.or(names.iter().find(|it| **it != leader)).unwrap();
        copy(stage, victim, false);
        // Like a witness, it has to ask another one for its signature.
        std::fs::remove_file(stage.lab.disk(victim).join("ca.key")).unwrap();
        restarted(stage, victim);
        std::thread::sleep(Duration::from_secs(2));
        stage.cluster.await_all_online(30_000).unwrap();

        let since_us = boot_us();
        let writer = Writer::start(stage.lab.disk(&leader).join("systole.sock"));
        let follower = names.iter().find(|it| **it != leader).unwrap();
        let other_writer = stage.lab.disk(follower).join("systole.sock");
        let rotated = stage
            .cluster
            .crm(&leader, &["cluster", "rotate-certificate", "--all"])
            .unwrap();
        println!("{rotated}");
        assert_eq!(
            rotated.matches("uses its certificate 2 now").count(),
            3,
            "{rotated}"
        );
        assert_eq!(generations(stage, &leader), [2, 2, 2]);
        let written = writer.stop();
        println!(
            "rotated: {} writes, the longest gap {:?}",
            written.acknowledged, written.gap
        );
        nothing_lost(&written);
        undisturbed(stage, &term, &active, since_us);

        // The authority that signs is replaced, and with it all certificates once more.
        let before = std::fs::read_to_string(stage.lab.disk(&leader).join("ca.pem")).unwrap();
        let writer = Writer::start(other_writer);
        let rotated = stage
            .cluster
            .crm(&leader, &["cluster", "rotate-certificate", "--authority"])
            .unwrap();
        println!("{rotated}");
        assert!(
            rotated.contains("is replaced: all nodes have new"),
            "{rotated}"
        );
        let written = writer.stop();
        println!(
            "authority: {} writes, the longest gap {:?}",
            written.acknowledged, written.gap
        );
        nothing_lost(&written);
        assert_eq!(generations(stage, &leader), [3, 3, 3]);
        let forgotten = || {
            names.iter().all(|host| {
                let now = std::fs::read_to_string(stage.lab.disk(host).join("ca.pem")).unwrap();
                now.matches("BEGIN CERTIFICATE").count() == 1 && now != before
            })
        };
        stage
            .cluster
            .wait("the old one forgotten", 10_000, forgotten)
            .unwrap();
        undisturbed(stage, &term, &active, since_us);

        // Each host starts with what it has now.
        for host in &names {
            assert!(!stage.lab.disk(host).join("node.key").exists(), "{host}");
        }
        // With the certificate from before, a host is not let in any more.
        let now = stage.lab.disk(victim).join("node.pem");
        let now = std::fs::read_to_string(now).unwrap();
        let trusted = std::fs::read_to_string(stage.lab.disk(victim).join("ca.pem")).unwrap();
        stage
            .cluster
            .anywhere(&["configure", "property", "stonith-enabled=false"])
            .unwrap();
        copy(stage, victim, true);
        // Of the authority only the certificate of the host is from before; and it can't sign itself another one.
        let disk = stage.lab.disk(victim);
        std::fs::write(disk.join("ca.pem"), format!("{trusted}{before}")).unwrap();
        let away = disk.join("away");
        std::fs::rename(disk.join("ca.key"), &away).unwrap();
        restarted(stage, victim);
        std::thread::sleep(Duration::from_secs(4));
        assert!(
            !stage.cluster.online(&leader).contains(victim),
            "an old certificate"
        );
        let log = std::fs::read_to_string(stage.lab.log(victim, "daemon")).unwrap();
        assert!(
            log.contains("refused") || log.contains("certificate"),
            "{log}"
        );
        std::fs::write(disk.join("node.pem"), now).unwrap();
        std::fs::write(disk.join("ca.pem"), trusted).unwrap();
        std::fs::rename(&away, disk.join("ca.key")).unwrap();
        restarted(stage, victim);
        stage.cluster.await_all_online(30_000).unwrap();
        stage.never_twice();

        // Others can join with what the cluster has now: tokens name the new authority.
        let token = stage.cluster.systole(&leader, &["token"]).unwrap();
        assert!(token.contains("systole1."), "{token}");
    });
}
