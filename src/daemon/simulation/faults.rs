//! What goes wrong, and for how long. Faults come in bursts with quiet between them, and each burst has a theme: faults
//! that come together find what each of them alone does not.

use std::collections::BTreeMap;

use super::world::{Happens, World};

/// What a fence device does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Device {
    #[default]
    Works,
    Fails,
    /// The node is fenced, and the device does not say so in time.
    DoneUnknown,
    /// The node is not fenced, and the device says nothing.
    NotDoneUnknown,
}

/// What a burst is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Theme {
    /// Every class as likely as any other.
    #[default]
    Anything,
    /// Leaders are lost, and voters while they elect; machines are back in a second.
    Elections,
    /// Nodes that are fenced, by devices that lie, while messages are late.
    Fencing,
    /// Messages arrive late, twice, and in another life of their node.
    Late,
}

#[derive(Debug)]
enum Lasting {
    Cut(Vec<(usize, usize)>),
    Loss,
    Delay,
    Late,
    Disk,
    Agents,
    Failures,
    Device,
}

/// One fault, without its place.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Kill,
    Pause,
    PowerOff,
    PowerOffMany,
    Partition,
    CutSymmetric,
    CutAsymmetric,
    Loss,
    Delay,
    Late,
    Disk,
    Device,
    Failures,
    Agents,
}

const ANYTHING: [Fault; 16] = [
    Fault::Kill,
    Fault::Kill,
    Fault::Pause,
    Fault::PowerOff,
    Fault::PowerOff,
    Fault::PowerOffMany,
    Fault::Partition,
    Fault::CutSymmetric,
    Fault::CutAsymmetric,
    Fault::Loss,
    Fault::Delay,
    Fault::Late,
    Fault::Disk,
    Fault::Device,
    Fault::Failures,
    Fault::Agents,
];
const ELECTIONS: [Fault; 10] = [
    Fault::Kill,
    Fault::PowerOff,
    Fault::PowerOff,
    Fault::PowerOffMany,
    Fault::PowerOffMany,
    Fault::Partition,
    Fault::CutAsymmetric,
    Fault::Delay,
    Fault::Loss,
    Fault::Disk,
];
const FENCING: [Fault; 9] = [
    Fault::Pause,
    Fault::PowerOff,
    Fault::CutSymmetric,
    Fault::CutAsymmetric,
    Fault::Partition,
    Fault::Late,
    Fault::Delay,
    Fault::Device,
    Fault::Device,
];
const LATE: [Fault; 8] = [
    Fault::Late,
    Fault::Late,
    Fault::Kill,
    Fault::Kill,
    Fault::CutSymmetric,
    Fault::Pause,
    Fault::Delay,
    Fault::PowerOff,
];

/// What is wrong just now.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// This burst: from when to when.
    pub(super) from: u64,
    pub(super) to: u64,
    theme: Theme,
    /// From here to there nothing arrives: how many faults say so.
    pub(super) cuts: BTreeMap<(usize, usize), u32>,
    pub(super) loss: u64,
    pub(super) delay: u64,
    /// Messages come again seconds later.
    pub(super) late: bool,
    pub(super) slow_disk: bool,
    pub(super) slow_agents: bool,
    pub(super) failing_agents: bool,
    pub(super) device: Device,
    lasting: BTreeMap<u64, Lasting>,
    /// When something began to be wrong, or ended to be, for the last time.
    pub(super) changed_at: u64,
}

/// The first burst begins when the cluster has had time to form.
const FAULTS_FROM_MS: u64 = 5_000;
const FIRST_BURST_MS: u64 = 25_000;
/// What a lost node ran has to run elsewhere within this time, and the rest of it, to be seen.
pub(super) const RECOVERED_MS: u64 = 30_000;

impl Faults {
    /// Whether messages take their usual time.
    pub(super) fn network_is_well(&self) -> bool {
        self.loss == 0 && self.delay == 0 && !self.late
    }

    /// Whether this is a time in which clients and faults are busy.
    pub(super) fn is_busy(&self, now: u64) -> bool {
        (self.from.saturating_sub(2_000)..self.to).contains(&now)
    }
}

impl World {
    pub(super) fn first_burst(&mut self) {
        if self.scenario.more > 0 {
            return;
        }
        self.burst(FAULTS_FROM_MS, FIRST_BURST_MS);
        self.client_again(FAULTS_FROM_MS - 2_000);
    }

    /// The next burst, after some time of quiet.
    pub(super) fn next_burst(&mut self) {
        let from = self.now + 20_000 + self.below(80_000);
        let long = 10_000 + self.below(30_000);
        self.burst(from, long);
    }

    fn burst(&mut self, from: u64, long: u64) {
        (self.faults.from, self.faults.to) = (from, from + long);
        self.faults.theme = match self.below(6) {
            0 | 1 => Theme::Anything,
            2 => Theme::Elections,
            3 | 4 if self.scenario.fencing => Theme::Fencing,
            _ => Theme::Late,
        };
        self.at(from, Happens::Fault);
    }

    /// Whether voters may lose power just when they have voted.
    pub(super) fn voters_are_hunted(&self) -> bool {
        self.faults.theme == Theme::Elections && self.faults.is_busy(self.now)
    }

    /// How long a machine takes to come back.
    pub(super) fn boot_ms(&mut self) -> u64 {
        match self.faults.theme {
            Theme::Elections => 300 + self.below(1_500),
            _ => 2_000 + self.below(5_000),
        }
    }

    pub(super) fn on_fault(&mut self) {
        let theme = self.faults.theme;
        let pause = if theme == Theme::Elections {
            900
        } else {
            2_500
        };
        let next = self.now + 200 + self.below(pause);
        if next < self.faults.to {
            self.at(next, Happens::Fault);
        }
        let all: &[Fault] = match theme {
            Theme::Anything => &ANYTHING,
            Theme::Elections => &ELECTIONS,
            Theme::Fencing => &FENCING,
            Theme::Late => &LATE,
        };
        let fault = all[self.below(all.len() as u64) as usize];
        let n = self.below(self.nodes.len() as u64) as usize;
        let long = 200 + self.below(6_000);
        self.faults.changed_at = self.now;
        let class = self.inflict(fault, n, long);
        *self.counters.faults.entry(class.into()).or_default() += 1;
        self.trace(format_args!("fault {class} {}", n + 1));
    }

    fn inflict(&mut self, fault: Fault, n: usize, long: u64) -> &'static str {
        match fault {
            Fault::Kill => {
                self.kill_daemon(n);
                let at = self.now + 100 + self.below(3_000);
                self.at(at, Happens::Daemon(n));
                "process: killed"
            }
            Fault::Pause => {
                let until = (self.now + long).min(self.faults.to);
                self.nodes[n].paused_until = until;
                self.nodes[n].well_since = Some(until);
                "process: paused"
            }
            Fault::PowerOff => {
                self.power_off(n, "fault");
                "node: power-off"
            }
            Fault::PowerOffMany => {
                // A whole rack: logs that were acknowledged too early are lost together.
                for n in 0..self.nodes.len() {
                    if self.below(3) > 0 {
                        self.power_off(n, "fault of many");
                    }
                }
                "node: power-off of many"
            }
            Fault::Partition => {
                let side = 1 + self.below((1 << self.nodes.len().min(63)) - 2);
                let there = |m: usize| side >> (m % 63) & 1 == 1;
                let all = (0..self.nodes.len())
                    .flat_map(|n| self.others(n).into_iter().map(move |m| (n, m)));
                let cut = all.filter(|(n, m)| there(*n) != there(*m)).collect();
                self.cut(cut, long);
                "network: partition"
            }
            Fault::CutSymmetric => {
                let others = self.others(n).into_iter();
                self.cut(others.flat_map(|m| [(n, m), (m, n)]).collect(), long);
                "network: symmetric cut"
            }
            Fault::CutAsymmetric => {
                let inward = self.below(2) == 0;
                let cut = self.others(n).into_iter();
                let cut = cut.map(|m| if inward { (m, n) } else { (n, m) }).collect();
                self.cut(cut, long);
                "network: asymmetric cut"
            }
            Fault::Loss => {
                self.faults.loss = 5 + self.below(25);
                self.lasts(long, Lasting::Loss);
                "network: loss and duplication"
            }
            Fault::Delay => {
                self.faults.delay = 20 + self.below(400);
                self.lasts(long, Lasting::Delay);
                "network: delay and reordering"
            }
            Fault::Late => {
                self.faults.late = true;
                self.lasts(long, Lasting::Late);
                "network: late duplicates"
            }
            Fault::Disk => {
                self.faults.slow_disk = true;
                self.lasts(long, Lasting::Disk);
                "disk: slow"
            }
            Fault::Device if self.scenario.fencing => {
                self.faults.device = [Device::Fails, Device::DoneUnknown, Device::NotDoneUnknown]
                    [self.below(3) as usize];
                self.lasts(2 * long, Lasting::Device);
                if self.faults.theme == Theme::Fencing && self.below(2) == 0 {
                    // A node and what could fence it hang on the same switch.
                    self.inflict(Fault::CutSymmetric, n, long);
                }
                "fencing: device"
            }
            Fault::Device | Fault::Agents => {
                self.faults.slow_agents = true;
                self.lasts(long, Lasting::Agents);
                "agent: slow"
            }
            Fault::Failures => {
                self.faults.failing_agents = true;
                self.lasts(long, Lasting::Failures);
                "agent: failures"
            }
        }
    }

    fn cut(&mut self, pairs: Vec<(usize, usize)>, long: u64) {
        for pair in &pairs {
            *self.faults.cuts.entry(*pair).or_default() += 1;
        }
        self.lasts(long, Lasting::Cut(pairs));
    }

    fn lasts(&mut self, ms: u64, what: Lasting) {
        let id = self.next_id();
        self.faults.lasting.insert(id, what);
        let at = (self.now + ms).min(self.faults.to);
        self.at(at, Happens::Heals(id));
    }

    pub(super) fn heals(&mut self, id: u64) {
        let what = self.faults.lasting.remove(&id);
        self.trace(format_args!("heals {what:?}"));
        let faults = &mut self.faults;
        faults.changed_at = self.now;
        match what {
            Some(Lasting::Cut(pairs)) => {
                for pair in pairs {
                    if let Some(count) = faults.cuts.get_mut(&pair) {
                        *count -= 1;
                        if *count == 0 {
                            faults.cuts.remove(&pair);
                        }
                    }
                }
            }
            Some(Lasting::Loss) => faults.loss = 0,
            Some(Lasting::Delay) => faults.delay = 0,
            Some(Lasting::Late) => faults.late = false,
            Some(Lasting::Disk) => faults.slow_disk = false,
            Some(Lasting::Agents) => faults.slow_agents = false,
            Some(Lasting::Failures) => faults.failing_agents = false,
            Some(Lasting::Device) => faults.device = Device::Works,
            None => {}
        }
    }

    /// A quiet cluster loses a node, in the middle of what an administrator just asked of it: nothing excuses that it takes
    /// long.
    pub(super) fn lose_one(&mut self) {
        let n = self.below(self.nodes.len() as u64) as usize;
        self.gone = Some((n, self.now + RECOVERED_MS));
        if self.scenario.more == 0 && self.runs_resources(n) {
            let others = self.others(n);
            let by = others[self.below(others.len() as u64) as usize];
            let standby = super::client::leaves(n);
            self.client_write(by, standby);
        }
        let at = self.now + self.below(300);
        self.at(at, Happens::Lost(n));
    }
}
