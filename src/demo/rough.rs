//! A rough cable: what goes to a host passes through this process, where it is lost, late, doubled, or waits at a narrow
//! place. It needs `/dev/net/tun` and nothing else of the kernel, whether or not that has a `netem`.
//!
//! ```text
//! switch --- HOST.in (tap) --- us --- HOST.out (tap) --- bridge HOST.br --- HOST (cable to the host)
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::io;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinHandle;
use tokio_tun::Tun;

use super::wires::Wires;
use crate::clock;

/// What a cable does to the frames towards its host. Shown in the words of `tc qdisc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rough {
    /// So many percent are lost.
    Lost {
        /// 0 to 100.
        percent: u64,
    },
    /// They come late, and those that don't overtake the others.
    Late {
        /// By so many milliseconds ...
        ms: u64,
        /// ... more or less.
        spread_ms: u64,
        /// So many percent are not late.
        ahead_percent: u64,
    },
    /// So many percent come twice.
    Twice {
        /// 0 to 100.
        percent: u64,
    },
    /// So much is carried; what would wait for more than 0.4 s is lost.
    Narrow {
        /// Kilobits in a second, at least 1.
        kbit: u64,
    },
}

/// What waits at a narrow place, at most.
const PATIENCE_US: u64 = 400_000;
/// What a narrow place lets pass at once after a rest, in bits.
const BURST_BITS: u64 = 16_384 * 8;

impl fmt::Display for Rough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { percent } => write!(f, "netem loss {percent}%"),
            Self::Late {
                ms,
                spread_ms,
                ahead_percent,
            } => write!(
                f,
                "netem delay {ms}ms {spread_ms}ms reorder {ahead_percent}%"
            ),
            Self::Twice { percent } => write!(f, "netem duplicate {percent}%"),
            Self::Narrow { kbit } => write!(f, "tbf rate {kbit}kbit burst 16kb latency 400ms"),
        }
    }
}

/// Decides about one frame after the other.
struct Fate {
    how: Rough,
    dice: StdRng,
    /// When the narrow place has let pass all that came so far.
    free_us: u64,
}

impl Fate {
    fn new(how: Rough, seed: u64) -> Self {
        Self {
            how,
            dice: StdRng::seed_from_u64(seed),
            free_us: 0,
        }
    }

    /// When a frame that comes now arrives: never, once, or twice.
    fn of(&mut self, now_us: u64, bytes: usize) -> [Option<u64>; 2] {
        let drawn = self.dice.random_range(0..100);
        match self.how {
            Rough::Lost { percent } => [(drawn >= percent).then_some(now_us), None],
            Rough::Twice { percent } => [Some(now_us), (drawn < percent).then_some(now_us)],
            Rough::Late { ahead_percent, .. } if drawn < ahead_percent => [Some(now_us), None],
            Rough::Late { ms, spread_ms, .. } => {
                let (least, most) = (ms.saturating_sub(spread_ms), ms + spread_ms);
                let late_us = self.dice.random_range(least * 1000..=most * 1000);
                [Some(now_us + late_us), None]
            }
            Rough::Narrow { kbit } => {
                let us = |bits: u64| bits * 1000 / kbit.max(1);
                let rested = self.free_us.max(now_us.saturating_sub(us(BURST_BITS)));
                let through = rested + us(bytes as u64 * 8);
                if through > now_us + PATIENCE_US {
                    return [None, None];
                }
                self.free_us = through;
                [Some(through.max(now_us)), None]
            }
        }
    }
}

/// A rough cable that is in place.
pub(super) struct Laid {
    carrier: JoinHandle<()>,
}

impl Laid {
    /// Puts it between the switch `lan` and the cable of a host.
    pub(super) async fn lay(lan: &str, host: &str, how: Rough, seed: u64) -> io::Result<Self> {
        let wires = Wires::connect()?;
        let [into, out, bridge] = ["in", "out", "br"].map(|end| format!("{host}.{end}"));
        let (entry, exit) = (tap(&into)?, tap(&out)?);
        wires.bridge(&bridge).await?;
        let plugged = async {
            wires.plug_into(&bridge, &out).await?;
            wires.plug_into(lan, &into).await?;
            wires.lay_to(&bridge, host).await
        };
        if let Err(e) = plugged.await {
            wires.remove(&bridge).await?;
            return Err(e);
        }
        let carrier = tokio::spawn(carry(entry, exit, Fate::new(how, seed)));
        Ok(Self { carrier })
    }

    /// Takes it away; the host's cable, if there is one, leads to the switch again.
    pub(super) async fn take_away(self, lan: &str, host: &str) -> io::Result<()> {
        self.carrier.abort();
        // Its devices end with it.
        drop(self.carrier.await);
        let wires = Wires::connect()?;
        match wires.lay_to(lan, host).await {
            // It lost its power, and the cable went with its network.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
        wires.remove(&format!("{host}.br")).await
    }
}

fn tap(name: &str) -> io::Result<Tun> {
    let made = Tun::builder().name(name).tap().up().build();
    let made = made.map_err(|e| io::Error::other(format!("failed to make device {name}: {e}")))?;
    let none = || io::Error::other(format!("failed to make device {name}: there is none"));
    made.into_iter().next().ok_or_else(none)
}

/// A frame that waits: when it arrives, in which order it came, and what it is.
type Waiting = Reverse<(u64, u64, Vec<u8>)>;

async fn carry(entry: Tun, exit: Tun, mut fate: Fate) {
    let mut waiting: BinaryHeap<Waiting> = BinaryHeap::new();
    let mut count = 0;
    let (mut to_host, mut from_host) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        let now = clock::boot_us();
        while let Some(Reverse((at, _, frame))) = waiting.peek()
            && *at <= now
        {
            // A device that is full or gone loses it, as a cable does.
            let _ = exit.send(frame).await;
            waiting.pop();
        }
        let next_us = waiting.peek().map(|Reverse((at, _, _))| at - now);
        tokio::select! {
            read = entry.recv(&mut to_host) => {
                let Ok(bytes) = read else { return };
                let frame = &to_host[..bytes];
                for at in fate.of(clock::boot_us(), bytes).into_iter().flatten() {
                    count += 1;
                    waiting.push(Reverse((at, count, frame.to_vec())));
                }
            }
            read = exit.recv(&mut from_host) => {
                let Ok(bytes) = read else { return };
                let _ = entry.send(&from_host[..bytes]).await;
            }
            () = tokio::time::sleep(Duration::from_micros(next_us.unwrap_or(0))), if next_us.is_some() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When the frames of one second, one each millisecond, arrive.
    fn second(how: Rough, bytes: usize) -> Vec<(u64, u64)> {
        let mut fate = Fate::new(how, 7);
        let sent = (0..1000).map(|ms| 10_000_000 + ms * 1000);
        sent.flat_map(|us| {
            let times = fate.of(us, bytes);
            times.into_iter().flatten().map(move |at| (us, at))
        })
        .collect()
    }

    #[test]
    fn so_many_are_lost_or_doubled() {
        let lost = 1000 - second(Rough::Lost { percent: 30 }, 100).len();
        assert!((250..350).contains(&lost), "{lost}");
        let twice = second(Rough::Twice { percent: 20 }, 100).len() - 1000;
        assert!((150..250).contains(&twice), "{twice}");
    }

    #[test]
    fn late_ones_are_overtaken() {
        let how = Rough::Late {
            ms: 50,
            spread_ms: 20,
            ahead_percent: 25,
        };
        let all = second(how, 100);
        assert_eq!(all.len(), 1000);
        let late = |(sent, at): &(u64, u64)| at - sent;
        let ahead = all.iter().filter(|it| late(it) == 0).count();
        assert!((200..300).contains(&ahead), "{ahead}");
        let within = |it: &(u64, u64)| late(it) == 0 || (30_000..=70_000).contains(&late(it));
        assert!(all.iter().all(within));
        assert!(all.windows(2).any(|two| two[1].1 < two[0].1));
    }

    #[test]
    fn a_narrow_place_carries_its_rate_and_loses_what_waits_too_long() {
        // 1,000 frames of 1,000 bytes are 8 Mbit.
        let all = second(Rough::Narrow { kbit: 1000 }, 1000);
        let bits = all.len() as u64 * 8000;
        let most = 1_000_000 + BURST_BITS + PATIENCE_US;
        assert!((1_000_000..=most).contains(&bits), "{bits}");
        assert!(all.iter().all(|(sent, at)| at - sent <= PATIENCE_US));
        assert!(all.windows(2).all(|two| two[0].1 <= two[1].1), "in order");
        let wide = second(Rough::Narrow { kbit: 100_000 }, 1000);
        assert!(wide.iter().all(|(sent, at)| sent == at) && wide.len() == 1000);
    }
}
