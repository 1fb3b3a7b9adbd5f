//! Cables that lose, delay and double what they carry: first that they do, then that a cluster lives with one.

use std::thread;
use std::time::Duration;

use systole::clock::boot_us;
use systole::demo::rough::Rough;

use crate::cluster::on_stage_of;
use crate::paths::{nothing_lost, status};
use crate::writer::Writer;

pub(crate) const SCENARIOS: &[crate::Scenario] = &[
    (
        "rough::a_rough_cable_does_what_it_says",
        a_rough_cable_does_what_it_says,
    ),
    (
        "rough::a_cluster_lives_with_a_rough_cable",
        a_cluster_lives_with_a_rough_cable,
    ),
];

/// The client's name in the laboratory.
const CLIENT: &str = "client";
/// The client asks 200 times in a second where it gets the processor when it wants it.
const ASKED: std::ops::RangeInclusive<usize> = 80..=220;

fn a_rough_cable_does_what_it_says() {
    on_stage_of(3, false, |stage| {
        let answers_in_2_s = |how: Option<Rough>| {
            match how {
                Some(how) => stage.lab.roughen(CLIENT, how, 1).unwrap(),
                None => stage.lab.smooth(CLIENT).unwrap(),
            }
            // Who is where is learnt anew by the switch.
            thread::sleep(Duration::from_millis(1500));
            let since_us = boot_us();
            thread::sleep(Duration::from_secs(2));
            let heard = stage.prober.record().count_since(since_us);
            heard.values().sum::<usize>() / 2
        };
        let good = answers_in_2_s(None);
        assert!(ASKED.contains(&good), "{good} answers a second");
        let lost = answers_in_2_s(Some(Rough::Lost { percent: 50 }));
        assert!(
            lost * 10 > good * 2 && lost * 10 < good * 8,
            "{lost} of {good}"
        );
        let twice = answers_in_2_s(Some(Rough::Twice { percent: 50 }));
        assert!(
            twice * 10 > good * 11 && twice * 10 < good * 20,
            "{twice} of {good}"
        );
        // A question and its answer are 60 bytes each, and more than half of this is for ARP.
        let narrow = answers_in_2_s(Some(Rough::Narrow { kbit: 30 }));
        assert!(narrow > 0 && narrow * 10 < good * 7, "{narrow} of {good}");
        let late_us = boot_us();
        let how = Rough::Late {
            ms: 400,
            spread_ms: 0,
            ahead_percent: 0,
        };
        let late = answers_in_2_s(Some(how));
        assert!(ASKED.contains(&late), "{late} answers a second");
        let silence = stage.prober.record().silence(late_us, boot_us());
        assert!(silence.ms() >= 390.0, "{} ms", silence.ms());
        let again = answers_in_2_s(None);
        assert!(ASKED.contains(&again), "{again} answers a second");
        println!(
            "answers a second: {good}; lost: {lost}, twice: {twice}, narrow: {narrow}, late: {late}"
        );
    });
}

fn a_cluster_lives_with_a_rough_cable() {
    on_stage_of(3, false, |stage| {
        let leader = stage.leader();
        let others = stage.lab.names().into_iter().filter(|name| *name != leader);
        let others: Vec<String> = others.collect();
        let (rough, good) = (&others[0], &others[1]);
        let roughness = [
            Rough::Lost { percent: 30 },
            Rough::Late {
                ms: 60,
                spread_ms: 40,
                ahead_percent: 25,
            },
            Rough::Twice { percent: 30 },
            Rough::Narrow { kbit: 500 },
        ];
        for how in roughness {
            let term = status(stage, &leader)["term"].clone();
            let writer = Writer::start(stage.lab.disk(&leader).join("systole.sock"));
            thread::sleep(Duration::from_secs(1));
            stage.lab.roughen(rough, how, 7).unwrap();
            thread::sleep(Duration::from_secs(6));
            stage.lab.smooth(rough).unwrap();
            // Who hears too little of the others may be taken for dead.
            if !stage.lab.is_on(rough) {
                let log = std::fs::read_to_string(stage.lab.log(&leader, "daemon")).unwrap();
                let news = log.lines().filter(|line| !line.contains("nothing to do"));
                let news: Vec<&str> = news.collect();
                let end = &news[news.len().saturating_sub(20)..];
                println!("{rough} was fenced; {leader} says:\n{}", end.join("\n"));
                stage.lab.boot(rough).unwrap();
                stage.cluster.start_daemon(rough).unwrap();
            }
            stage.cluster.await_all_online(30_000).unwrap();
            let written = writer.stop();
            println!(
                "{how} on the cable of a follower: {} writes, {} without an answer, the longest gap {:?}, term {} -> {}",
                written.acknowledged,
                written.failed.len(),
                written.gap,
                term,
                status(stage, good)["term"],
            );
            nothing_lost(&written);
            stage.never_twice();
        }
    });
}
