//! The devices of this node at work: what they can, what they do, one after the other.
//!
//! ```text
//!   Query ──► open query ──► (list, status) ──┐
//!   Run ────────────────────► fence ──────────┤
//!   start, monitor ─────────► monitor ────────┴─► queue of the device ──► agent ──► answer
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Mono;
use crate::seeded::{Bug, seeded};
use crate::terms::{NodeName, RscId, Term};

use super::asked::{Reply, Ticket};
use super::delay;
use super::device::{Check, hosts};
use super::machine::{Now, Out};
use super::operation::WATCHDOG_AGENT;
use super::vocab::{
    Action, AgentRun, Answer, AskId, Capability, Delay, Device, DeviceCall, DeviceVerb, Effect,
    Failure, Features, Life, Message, PeerRun, Query, RunId,
};

/// How long the output of `list` is good.
const LIST_GOOD_MS: u64 = 60_000;
/// First and last pause before metadata is read again.
const METADATA_AGAIN_MS: (u64, u64) = (10_000, 160_000);
/// A try that ends later than this part of its time is the last one.
const RETRY_WITHIN_PERCENT: u64 = 70;

/// Devices and their work.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// In which it offers what its devices can do.
    pub(super) life: Life,
    devices: BTreeMap<RscId, Known>,
    features: BTreeMap<String, Option<Features>>,
    /// Metadata that is being read (no time), or will be again.
    reading: BTreeMap<String, Reading>,
    jobs: Vec<Job>,
    queries: Vec<OpenQuery>,
    next: u64,
}

#[derive(Debug)]
struct Known {
    device: Device,
    configured: bool,
    by_hand: bool,
    started: bool,
    verified: bool,
    listed: Option<(Mono, Vec<String>)>,
}

#[derive(Debug)]
struct Reading {
    again_at: Option<Mono>,
    wait_ms: u64,
}

#[derive(Debug)]
struct OpenQuery {
    from: NodeName,
    query: Query,
    /// Devices about which nothing is known yet.
    open: BTreeSet<RscId>,
    able: Vec<RscId>,
    status: BTreeMap<RscId, bool>,
    list_failed: BTreeSet<RscId>,
}

#[derive(Debug)]
struct Job {
    device: RscId,
    action: String,
    target: Option<NodeName>,
    kind: Kind,
    timeout_ms: u64,
    not_before: Mono,
    tries_left: u32,
    began: Option<Mono>,
    run: Option<RunId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Fence {
        to: NodeName,
        ask: AskId,
        term: Option<Term>,
    },
    Call {
        call: u64,
    },
    List,
    Status,
    Asked(Ticket),
}

enum Verdict {
    Yes,
    No,
    List,
    Status,
    Wait,
}

impl Jobs {
    /// Nothing to do yet, in this life of the fencer.
    pub(super) fn of(life: Life) -> Self {
        Self {
            life,
            ..Self::default()
        }
    }

    /// The devices of the configuration changed.
    pub(super) fn configure(&mut self, devices: Vec<Device>, out: &mut Out) {
        self.devices
            .values_mut()
            .for_each(|known| known.configured = false);
        for device in devices {
            self.register(device, out).configured = true;
        }
        self.devices.retain(|_, known| known.is_wanted());
    }

    /// A person registers a device.
    pub(super) fn register_by_hand(&mut self, device: Device, out: &mut Out) {
        self.register(device, out).by_hand = true;
    }

    /// And forgets it; what the configuration wants stays.
    pub(super) fn deregister_by_hand(&mut self, device: &RscId) {
        if let Some(known) = self.devices.get_mut(device) {
            known.by_hand = false;
        }
        self.devices.retain(|_, known| known.is_wanted());
    }

    /// All devices.
    pub(super) fn names(&self) -> Vec<String> {
        self.devices.keys().map(ToString::to_string).collect()
    }

    /// Whom a device can fence as far as that is written in its parameters; none for no such device.
    pub(super) fn fixed_targets(&self, device: &RscId) -> Option<Vec<String>> {
        Some(self.devices.get(device)?.device.fixed_targets())
    }

    /// A tool wants to know what a device says.
    pub(super) fn ask(
        &mut self,
        now: Now,
        device: RscId,
        action: &str,
        ticket: Ticket,
        requested_ms: u64,
    ) {
        let Some(known) = self.devices.get(&device) else {
            return;
        };
        let limits = (
            known.device.timeout_ms(action, requested_ms),
            known.device.tries(action),
        );
        self.push(now, device, action, None, Kind::Asked(ticket), limits);
    }

    fn register(&mut self, device: Device, out: &mut Out) -> &mut Known {
        self.want_features(&device.agent, out);
        let id = device.id.clone();
        let known = self
            .devices
            .entry(id)
            .or_insert_with(|| Known::new(device.clone()));
        if known.device != device {
            // Another device under the same name: what was known of the old one says nothing.
            *known = Known {
                started: known.started,
                by_hand: known.by_hand,
                ..Known::new(device)
            };
        }
        known
    }

    fn want_features(&mut self, agent: &str, out: &mut Out) {
        let known = self.features.get(agent).is_some_and(Option::is_some);
        if !known && !self.reading.contains_key(agent) {
            let reading = Reading {
                again_at: None,
                wait_ms: METADATA_AGAIN_MS.0,
            };
            self.reading.insert(agent.to_owned(), reading);
            out.effect(Effect::ReadFeatures(agent.to_owned()));
        }
    }

    /// Metadata was read, or could not be.
    pub(super) fn features(&mut self, now: Now, agent: String, features: Option<Features>) {
        if features.is_some() {
            self.reading.remove(&agent);
        } else if let Some(reading) = self.reading.get_mut(&agent) {
            reading.again_at = Some(now.mono.plus(reading.wait_ms));
            reading.wait_ms = (reading.wait_ms * 2).min(METADATA_AGAIN_MS.1);
        }
        self.features.insert(agent, features);
    }

    /// A fencer asks what we can do.
    pub(super) fn query(&mut self, from: NodeName, query: Query) {
        self.queries.push(OpenQuery {
            from,
            query,
            open: self.devices.keys().cloned().collect(),
            able: Vec::new(),
            status: BTreeMap::new(),
            list_failed: BTreeSet::new(),
        });
    }

    /// A fencer wants a device to work.
    pub(super) fn fence(&mut self, now: Now, from: NodeName, run: PeerRun, out: &mut Out) {
        let Some(known) = self.devices.get(&run.device) else {
            let failure =
                Failure::Failed(format!("No device configured for target '{}'", run.target));
            out.send(&from, Message::Answer(run.ask, Answer::Ran(Err(failure))));
            return;
        };
        let device = &known.device;
        let action = device.effective(run.action, self.features_of(device));
        let delays = device.delays_ms(run.target.as_str());
        let delay = delay::delay_ms(run.action, run.delay, delays, now.random);
        if delay > 0 {
            tracing::info!(target = %run.target, device = %run.device, delay, "fencing is delayed");
        }
        let word = action.as_str();
        self.jobs.push(Job {
            device: run.device,
            action: word.to_owned(),
            timeout_ms: device.timeout_ms(word, run.timeout_ms),
            tries_left: device.tries(word),
            target: Some(run.target),
            kind: Kind::Fence {
                to: from,
                ask: run.ask,
                term: run.term,
            },
            not_before: now.mono.plus(delay),
            began: None,
            run: None,
        });
    }

    /// The executor of this node starts, stops or monitors a device.
    pub(super) fn call(&mut self, now: Now, call: DeviceCall, out: &mut Out) {
        let id = call.device.id.clone();
        let known = self.devices.get_mut(&id);
        let answer = match call.verb {
            DeviceVerb::Probe => match known {
                Some(known) if known.started => Some(0),
                _ => Some(NOT_RUNNING),
            },
            DeviceVerb::Stop => {
                if let Some(known) = known {
                    known.started = false;
                    known.verified = false;
                }
                self.devices.retain(|_, known| known.is_wanted());
                Some(0)
            }
            // Nobody runs it, so nobody can ask it.
            DeviceVerb::Start | DeviceVerb::Monitor if call.device.agent == WATCHDOG_AGENT => {
                Some(0)
            }
            DeviceVerb::Monitor if known.is_none() => Some(NOT_RUNNING),
            DeviceVerb::Monitor => None,
            DeviceVerb::Start => {
                if known.is_none() {
                    self.register(call.device, out);
                }
                self.devices.get_mut(&id).expect("registered above").started = true;
                None
            }
        };
        if let Some(rc) = answer {
            out.effect(Effect::DeviceDone {
                call: call.call,
                result: Ok(rc),
            });
            return;
        }
        let device = &self.devices[&id].device;
        let timeout_ms = device.timeout_ms("monitor", call.timeout_ms);
        let tries_left = device.tries("monitor");
        let kind = Kind::Call { call: call.call };
        self.push(now, id, "monitor", None, kind, (timeout_ms, tries_left));
    }

    fn push(
        &mut self,
        now: Now,
        device: RscId,
        action: &str,
        target: Option<NodeName>,
        kind: Kind,
        (timeout_ms, tries_left): (u64, u32),
    ) {
        self.jobs.push(Job {
            device,
            action: action.to_owned(),
            target,
            kind,
            timeout_ms,
            not_before: now.mono,
            tries_left,
            began: None,
            run: None,
        });
    }

    /// Fencing that has not begun under an older term does not begin, and what has begun is not tried once more: the node may
    /// have come back since. // safety S4
    pub(super) fn term_seen(&mut self, newest: Term, out: &mut Out) {
        self.jobs.retain_mut(|job| match &job.kind {
            Kind::Fence {
                to,
                ask,
                term: Some(term),
            } if *term < newest => {
                if job.run.is_none() {
                    out.send(to, Message::Answer(*ask, Answer::OldTerm(newest)));
                }
                job.tries_left = 1;
                job.run.is_some()
            }
            _ => true,
        });
    }

    /// An agent ended.
    pub(super) fn ended(
        &mut self,
        now: Now,
        run: RunId,
        result: Result<i32, Failure>,
        output: &str,
        out: &mut Out,
    ) {
        let Some(at) = self.jobs.iter().position(|job| job.run == Some(run)) else {
            return;
        };
        let job = &mut self.jobs[at];
        let result = match (&job.kind, result) {
            // For a status, 1 and 2 are answers.
            (Kind::Status, result) => result,
            (_, Ok(0)) => Ok(0),
            (_, Ok(code)) => Err(Failure::Failed(failed_text(job, code, output))),
            (_, Err(Failure::TimedOut(_))) if seeded(Bug::FenceTimeoutIsSuccess) => Ok(0),
            (_, Err(failure)) => Err(failure),
        };
        let used = now.mono.since(job.began.unwrap_or(now.mono));
        let may_again = !matches!(
            result,
            Ok(_) | Err(Failure::TimedOut(_) | Failure::NoSecret(_))
        );
        if may_again
            && job.tries_left > 1
            && used * 100 < job.timeout_ms * RETRY_WITHIN_PERCENT
            && !matches!(job.kind, Kind::List)
        {
            job.tries_left -= 1;
            job.run = None;
            return;
        }
        let job = self.jobs.remove(at);
        self.finish(now, job, result, output, out);
    }

    fn finish(
        &mut self,
        now: Now,
        job: Job,
        result: Result<i32, Failure>,
        output: &str,
        out: &mut Out,
    ) {
        match job.kind {
            Kind::Fence { to, ask, .. } => {
                out.send(&to, Message::Answer(ask, Answer::Ran(result.map(|_| ()))));
            }
            Kind::Call { call } => {
                if let Some(known) = self.devices.get_mut(&job.device) {
                    known.verified = result.is_ok();
                }
                out.effect(Effect::DeviceDone { call, result });
            }
            Kind::Asked(ticket) => {
                let reply = match result {
                    Ok(_) if job.action == "list" => Reply::Names(hosts(output)),
                    Ok(_) => Reply::Done,
                    Err(failure) => Reply::Failed(failure),
                };
                out.effect(Effect::Reply(ticket, reply));
            }
            Kind::List => {
                let Some(known) = self.devices.get_mut(&job.device) else {
                    return;
                };
                if result.is_ok() {
                    known.listed = Some((now.mono, hosts(output)));
                    return;
                }
                for query in &mut self.queries {
                    query.list_failed.insert(job.device.clone());
                }
            }
            Kind::Status => {
                let able = matches!(result, Ok(0 | 2));
                for query in &mut self.queries {
                    if Some(&query.query.target) == job.target.as_ref() {
                        query.status.insert(job.device.clone(), able);
                    }
                }
            }
        }
    }

    /// Decides what can be decided, and begins what may begin.
    pub(super) fn settle(&mut self, now: Now, out: &mut Out) {
        let again: Vec<String> = self
            .reading
            .iter_mut()
            .filter(|(_, reading)| reading.again_at.is_some_and(|at| at <= now.mono))
            .map(|(agent, reading)| {
                reading.again_at = None;
                agent.clone()
            })
            .collect();
        again
            .into_iter()
            .for_each(|agent| out.effect(Effect::ReadFeatures(agent)));
        self.answer_queries(now, out);
        self.begin_ready(now, out);
    }

    fn answer_queries(&mut self, now: Now, out: &mut Out) {
        let mut queries = std::mem::take(&mut self.queries);
        for query in &mut queries {
            for id in query.open.clone() {
                let verdict = self.verdict(now, query, &id);
                let status = matches!(verdict, Verdict::Status);
                match verdict {
                    Verdict::Yes => query.able.push(id.clone()),
                    Verdict::No => {}
                    Verdict::Wait => continue,
                    Verdict::List | Verdict::Status => {
                        let (kind, action) = if status {
                            (Kind::Status, "status")
                        } else {
                            (Kind::List, "list")
                        };
                        let target = status.then(|| query.query.target.clone());
                        let same = |job: &Job| {
                            job.device == id && job.kind == kind && job.target == target
                        };
                        if !self.jobs.iter().any(same) {
                            let device = &self.devices[&id].device;
                            let timeout_ms = device.timeout_ms(action, query.query.timeout_ms);
                            let tries = device.tries(action);
                            self.push(now, id, action, target, kind, (timeout_ms, tries));
                        }
                        continue;
                    }
                }
                query.open.remove(&id);
            }
        }
        let (done, open) = queries.into_iter().partition(|query| query.open.is_empty());
        self.queries = open;
        let done: Vec<OpenQuery> = done;
        for query in done {
            let able = query
                .able
                .iter()
                .filter_map(|id| self.capability(id, &query.query));
            let answer = Answer::Capable(self.life, able.collect());
            out.send(&query.from, Message::Answer(query.query.ask, answer));
        }
    }

    fn verdict(&self, now: Now, query: &OpenQuery, id: &RscId) -> Verdict {
        let Some(known) = self.devices.get(id) else {
            return Verdict::No;
        };
        let (device, target) = (&known.device, query.query.target.as_str());
        let features = self.features_of(device);
        let yes = |yes| if yes { Verdict::Yes } else { Verdict::No };
        let Some(check) = device.check(features) else {
            // Metadata that cannot be had: such an agent fences nobody.
            let failed = self.features.contains_key(&device.agent);
            return if failed { Verdict::No } else { Verdict::Wait };
        };
        let status = || match query.status.get(id) {
            Some(able) => yes(*able),
            None => Verdict::Status,
        };
        match check {
            Check::StaticList => yes(device.names(target)),
            Check::None => Verdict::Yes,
            Check::Status => status(),
            Check::DynamicList => {
                let alias = device.alias(target);
                let lists = |names: &[String]| {
                    let same = |name: &String| {
                        name.eq_ignore_ascii_case(&alias) || name.eq_ignore_ascii_case(target)
                    };
                    yes(names.iter().any(same))
                };
                let fails = query.list_failed.contains(id);
                match &known.listed {
                    Some((at, names)) if fails || now.mono.since(*at) < LIST_GOOD_MS => {
                        lists(names)
                    }
                    _ if !fails => Verdict::List,
                    _ if device.check_is_default() => status(),
                    _ => Verdict::No,
                }
            }
        }
    }

    fn capability(&self, id: &RscId, query: &Query) -> Option<Capability> {
        let known = self.devices.get(id)?;
        let device = &known.device;
        let features = self.features_of(device);
        let can = |action: &str| features.is_some_and(|f| f.actions.contains(action));
        let delays = device.delays_ms(query.target.as_str());
        let all = [Action::Off, Action::Reboot, Action::On];
        let timeout = |action: Action| {
            let word = device.effective(action, features).as_str();
            device.timeout_ms(word, query.timeout_ms)
        };
        Some(Capability {
            device: id.clone(),
            verified: known.verified,
            timeout_ms: all.map(|action| (action, timeout(action))).into(),
            delay_ms: all
                .map(|action| (action, delay::longest_ms(action, Delay::None, delays)))
                .into(),
            unfences: device.provides_unfencing || features.is_some_and(|f| f.unfences),
            supports_on: can("on"),
            on_target: features.is_some_and(|f| f.on_target.contains(query.action.as_str())),
            reboot_is_off: device.reboot_is_off(),
        })
    }

    fn features_of(&self, device: &Device) -> Option<&Features> {
        self.features.get(&device.agent).and_then(Option::as_ref)
    }

    fn begin_ready(&mut self, now: Now, out: &mut Out) {
        // Fencing goes before everything else that waits for the device.
        let mut order: Vec<usize> = (0..self.jobs.len()).collect();
        order.sort_by_key(|at| !matches!(self.jobs[*at].kind, Kind::Fence { .. }));
        for at in order {
            let job = &self.jobs[at];
            if job.run.is_some() || job.not_before > now.mono {
                continue;
            }
            let Some(known) = self.devices.get(&job.device) else {
                continue;
            };
            let same = |other: &&Job| other.run.is_some() && other.device == job.device;
            let running = self.jobs.iter().filter(same).count();
            if known
                .device
                .action_limit()
                .is_some_and(|limit| running >= limit)
            {
                continue;
            }
            let target = job.target.as_ref().map(NodeName::as_str);
            let features = self.features_of(&known.device);
            let (action, input) = known.device.input(&job.action, target, features);
            let agent = known.device.agent.clone();
            let job = &mut self.jobs[at];
            let began = *job.began.get_or_insert(now.mono);
            self.next += 1;
            let run = RunId(self.next);
            job.run = Some(run);
            let timeout_ms = job.timeout_ms.saturating_sub(now.mono.since(began)).max(1);
            let device = job.device.clone();
            out.effect(Effect::Run(
                run,
                AgentRun {
                    agent,
                    device,
                    action,
                    input,
                    timeout_ms,
                },
            ));
        }
        self.drop_orphans(out);
    }

    /// Jobs of devices that are gone.
    fn drop_orphans(&mut self, out: &mut Out) {
        let devices = &self.devices;
        let orphan = |job: &mut Job| job.run.is_none() && !devices.contains_key(&job.device);
        for job in self.jobs.extract_if(.., orphan) {
            let failure = Failure::Failed(format!("device '{}' was removed", job.device));
            match job.kind {
                Kind::Fence { to, ask, .. } => {
                    out.send(&to, Message::Answer(ask, Answer::Ran(Err(failure))));
                }
                Kind::Call { call } => {
                    out.effect(Effect::DeviceDone {
                        call,
                        result: Err(failure),
                    });
                }
                Kind::Asked(ticket) => {
                    out.effect(Effect::Reply(ticket, Reply::Failed(failure)));
                }
                Kind::List | Kind::Status => {}
            }
        }
    }

    /// When time alone makes something ready.
    pub(super) fn next_wake(&self, now: Mono) -> Option<Mono> {
        let waiting = self
            .jobs
            .iter()
            .filter(|job| job.run.is_none() && job.not_before > now);
        let reading = self.reading.values().filter_map(|reading| reading.again_at);
        waiting.map(|job| job.not_before).chain(reading).min()
    }
}

impl Known {
    /// Nobody has to want it twice.
    fn is_wanted(&self) -> bool {
        self.configured || self.started || self.by_hand
    }

    fn new(device: Device) -> Self {
        Self {
            device,
            configured: false,
            by_hand: false,
            started: false,
            verified: false,
            listed: None,
        }
    }
}

const NOT_RUNNING: i32 = 7;

fn failed_text(job: &Job, code: i32, output: &str) -> String {
    let said = output
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
        .trim();
    let said = if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    };
    format!(
        "device '{}' ended '{}' with {code}{said}",
        job.device, job.action
    )
}
