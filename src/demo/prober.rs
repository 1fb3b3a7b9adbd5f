//! The client's view. One small question to the virtual address every few milliseconds; each answer carries the name
//! of the host that gave it. Beside it, "who has this address?" to everybody on the wire, so that two holders are
//! seen even though the client's own packets reach only one of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::init::ANSWER_PORT;
use crate::clock;
use crate::vip::garp::Wire;
use crate::vip::link::Kernel;

/// Answers within this time from one host, another, and the first again mean that both had the address.
const OVERLAP_US: u64 = 300_000;

/// Something heard: when (microseconds since boot), and from whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// When.
    pub at_us: u64,
    /// Host name of an answer, MAC of a claim.
    pub who: String,
}

/// All that the client heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Answers to questions.
    pub answers: Vec<Heard>,
    /// ARP frames that claim the address.
    pub claims: Vec<Heard>,
}

/// A pause between two answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// The last answer before it.
    pub from_us: u64,
    /// The first answer after it; the end of the record if there was none.
    pub until_us: u64,
    /// Who answered last.
    pub before: Option<String>,
    /// Who answers now.
    pub after: Option<String>,
}

impl Silence {
    /// How long, in milliseconds.
    pub fn ms(&self) -> f64 {
        (self.until_us - self.from_us) as f64 / 1000.0
    }
}

impl Record {
    /// What the prober has written so far.
    pub fn read(file: &Path) -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string(file)?))
    }

    /// Lines `answer TIME HOST` and `claim TIME MAC`; a last line that is still being written is left out.
    pub fn parse(text: &str) -> Self {
        let mut record = Self::default();
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in complete.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [kind, at, who] = words.as_slice() else {
                continue;
            };
            let Ok(at_us) = at.parse() else { continue };
            let heard = Heard {
                at_us,
                who: (*who).to_owned(),
            };
            match *kind {
                "answer" => record.answers.push(heard),
                _ => record.claims.push(heard),
            }
        }
        record
    }

    /// The longest silence from one time to another. Only answers count: the silence begins with the last answer
    /// before it, even one before `from_us`.
    pub fn silence(&self, from_us: u64, until_us: u64) -> Silence {
        let mut longest: Option<Silence> = None;
        let mut last = self
            .answers
            .iter()
            .rev()
            .find(|a| a.at_us < from_us)
            .cloned();
        let inside = self
            .answers
            .iter()
            .filter(|a| (from_us..=until_us).contains(&a.at_us));
        let end = std::iter::once(None);
        for next in inside.map(Some).chain(end) {
            let silence = Silence {
                from_us: last.as_ref().map_or(from_us, |a| a.at_us),
                until_us: next.map_or(until_us, |a| a.at_us),
                before: last.as_ref().map(|a| a.who.clone()),
                after: next.map(|a| a.who.clone()),
            };
            if longest
                .as_ref()
                .is_none_or(|l| silence.until_us - silence.from_us > l.until_us - l.from_us)
            {
                longest = Some(silence);
            }
            last = next.cloned().or(last);
        }
        longest.expect("the end of the window makes at least one silence")
    }

    /// The first answer after a time from another host than `old`.
    pub fn taken_over(&self, after_us: u64, old: &str) -> Option<&Heard> {
        self.answers
            .iter()
            .find(|a| a.at_us > after_us && a.who != old)
    }

    /// How often two hosts answered, or claimed the address, at the same time.
    pub fn seen_twice(&self) -> usize {
        alternations(&self.answers) + alternations(&self.claims)
    }

    /// When another host than before answered or claimed the address, in words, for what has to be looked into.
    pub fn turns(&self) -> String {
        let of = |kind: &str, heard: &[Heard]| {
            let turns = heard.windows(2).filter(|two| two[0].who != two[1].who);
            let words = turns.map(|two| {
                let (from, to) = (&two[0], &two[1]);
                let (since, at) = (from.at_us / 1000, to.at_us / 1000);
                format!("{} until {since}, {} from {at} ms", from.who, to.who)
            });
            format!("{kind}: {}", words.collect::<Vec<_>>().join("; "))
        };
        [of("answers", &self.answers), of("claims", &self.claims)].join("\n")
    }

    /// Answers per host after a time.
    pub fn count_since(&self, after_us: u64) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for answer in self.answers.iter().filter(|a| a.at_us > after_us) {
            *counts.entry(answer.who.clone()).or_default() += 1;
        }
        counts
    }
}

/// A, then B, then A again in no time: not a move and back.
fn alternations(heard: &[Heard]) -> usize {
    let mut changes: Vec<&Heard> = Vec::new();
    let mut found = 0;
    let mut previous: Option<&Heard> = None;
    for next in heard {
        if let Some(last) = previous
            && last.who != next.who
        {
            // `last` is the final word of its host; who spoke before it, and when?
            let again = changes.iter().rev().any(|old| {
                old.who == next.who && next.at_us.saturating_sub(old.at_us) < OVERLAP_US
            });
            found += usize::from(again);
            changes.push(last);
        }
        previous = Some(next);
    }
    found
}

/// The process in the client: `lab-prober ADDRESS INTERVAL_MS FILE`.
pub(super) fn main(args: &[&str]) -> u8 {
    let done = match args {
        [ip, interval_ms, file] => match (ip.parse(), interval_ms.parse()) {
            (Ok(ip), Ok(interval_ms)) => probe(ip, interval_ms, Path::new(file)),
            _ => Err(io::Error::other("bad address or interval")),
        },
        _ => Err(io::Error::other(
            "usage: lab-prober ADDRESS INTERVAL_MS FILE",
        )),
    };
    match done {
        Ok(()) => 0,
        Err(e) => {
            drop(writeln!(io::stderr(), "lab-prober: {e}"));
            1
        }
    }
}

fn probe(ip: Ipv4Addr, interval_ms: u64, file: &Path) -> io::Result<()> {
    let record = Mutex::new(
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)?,
    );
    let note = |kind: &str, who: &str| {
        let line = format!("{kind} {} {who}\n", clock::boot_us());
        if let Ok(mut file) = record.lock() {
            drop(file.write_all(line.as_bytes()));
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| listen_for_claims(ip, &note));
        ask(ip, interval_ms, &note)
    })
}

fn ask(ip: Ipv4Addr, interval_ms: u64, note: &dyn Fn(&str, &str)) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let interval_us = interval_ms.max(1) * 1000;
    let mut next_us = clock::boot_us();
    let mut number: u64 = 0;
    let mut buffer = [0u8; 256];
    loop {
        let now_us = clock::boot_us();
        if now_us >= next_us {
            number += 1;
            // "No route" and the like is what an outage looks like.
            drop(socket.send_to(&number.to_be_bytes(), (ip, ANSWER_PORT)));
            next_us = (next_us + interval_us).max(now_us);
            continue;
        }
        socket.set_read_timeout(Some(Duration::from_micros((next_us - now_us).max(1))))?;
        if let Ok((length, from)) = socket.recv_from(&mut buffer)
            && length > 8
            && from.ip() == IpAddr::V4(ip)
        {
            note("answer", &String::from_utf8_lossy(&buffer[8..length]));
        }
    }
}

fn listen_for_claims(ip: Ipv4Addr, note: &dyn Fn(&str, &str)) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return;
    };
    let Ok(seen) = runtime.block_on(async { Kernel::connect()?.seen(None).await }) else {
        return;
    };
    let near =
        |other: IpAddr| matches!(other, IpAddr::V4(o) if o.octets()[..3] == ip.octets()[..3]);
    let Some(mut wire) = seen
        .addresses
        .iter()
        .find(|a| near(a.ip))
        .and_then(|a| Wire::open(seen.link(a.link)).ok())
    else {
        return;
    };
    let mut next_us = clock::boot_us();
    loop {
        if clock::boot_us() >= next_us {
            drop(wire.ask(ip));
            next_us += 20_000;
        }
        if let Some(mac) = wire.claim(ip) {
            note("claim", &crate::vip::garp::mac_text(&mac));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record {
        let lines: String = text
            .split_whitespace()
            .map(|word| {
                let (ms, who) = word.split_once(':').unwrap();
                format!("answer {}000 {who}\n", ms)
            })
            .collect();
        Record::parse(&lines)
    }

    #[test]
    fn the_longest_silence_is_the_outage() {
        let record = record("100:a 105:a 110:a 900:b 905:b 910:b");
        let silence = record.silence(50_000, 1_000_000);
        assert_eq!(silence.ms(), 790.0);
        assert_eq!(
            (silence.before.as_deref(), silence.after.as_deref()),
            (Some("a"), Some("b"))
        );
        assert_eq!(record.taken_over(110_000, "a").unwrap().at_us, 900_000);
        assert_eq!(record.seen_twice(), 0);
    }

    #[test]
    fn silence_to_the_end_counts() {
        let silence = record("100:a 105:a").silence(90_000, 2_105_000);
        assert_eq!((silence.ms(), silence.after), (2000.0, None));
    }

    #[test]
    fn two_hosts_at_once_are_seen() {
        assert_eq!(record("100:a 105:b 110:a 115:b").seen_twice(), 2);
        let moved = record("100:a 105:b 110:b 2000:a");
        assert_eq!(moved.seen_twice(), 0);
        let turns = "answers: a until 100, b from 105 ms; b until 110, a from 2000 ms\nclaims: ";
        assert_eq!(moved.turns(), turns);
    }

    #[test]
    fn a_half_written_line_is_left_out() {
        assert_eq!(
            Record::parse("answer 5 a\nanswer 10 b\nansw").answers.len(),
            2
        );
    }
}
