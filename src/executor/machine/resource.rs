//! One resource on this node: what runs, what waits for its turn behind it, and what is repeated.

use super::*;

#[derive(Debug, Default)]
pub(super) struct Resource {
    pub(super) queue: VecDeque<Op>,
    pub(super) running: Option<Running>,
    pub(super) recurring: BTreeMap<OpKey, Recurring>,
    pub(super) memory: Memory,
}

/// Something that waits for its turn.
#[derive(Debug)]
pub(super) struct Op {
    pub(super) order: Order,
    pub(super) call_id: i64,
    /// Place among all resources.
    pub(super) turn: u64,
    pub(super) queued: Mono,
    pub(super) entry: Entry,
    /// Never: it was decided before this was known.
    pub(super) unaware_of: Option<OpKey>,
    /// Not before its start delay is over; counted from its arrival at the head.
    pub(super) not_before: Option<Mono>,
    /// Its start delay is over; what it waits for now is not time.
    pub(super) waited: bool,
    /// A later run of a recurring operation.
    pub(super) again: bool,
}

/// The pending entry of something that waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// To be told of when all that was ordered before has ended: its result has the same id in the CIB, and would take the
    /// entry away.
    Due,
    /// It is told, and has to be written before the operation begins.
    Awaited,
    /// Nothing is waited for.
    Settled,
}

impl Entry {
    /// Of something that is queued now.
    pub(super) fn of(order: &Order) -> Self {
        match is_announced(order) {
            true => Self::Due,
            false => Self::Settled,
        }
    }
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) run: RunId,
    pub(super) op: Op,
    pub(super) queue_ms: u64,
    /// Its result is nobody's any more.
    pub(super) dropped: bool,
}

impl Op {
    pub(super) fn new(order: Order, call_id: i64, turn: u64, queued: Mono, entry: Entry) -> Self {
        Self {
            order,
            call_id,
            turn,
            queued,
            entry,
            unaware_of: None,
            not_before: None,
            waited: false,
            again: false,
        }
    }

    /// All before it has ended: it is told of, if somebody has to know.
    pub(super) fn announce(&mut self, effects: &mut Vec<Effect>) {
        self.entry = match report_pending(&self.order, self.call_id, effects) {
            true => Entry::Awaited,
            false => Entry::Settled,
        };
    }

    /// At the head of its queue: may it run? Its start delay is counted from here.
    pub(super) fn ready(&mut self, now: Mono) -> bool {
        let delay = self.order.start_delay_ms();
        if self.not_before.is_none() && delay > 0 && !self.again {
            self.not_before = Some(now.plus(delay));
        }
        self.waited = self.not_before.is_none_or(|at| at <= now);
        self.waited && self.entry == Entry::Settled && self.unaware_of.is_none()
    }
}

impl Resource {
    /// Whether what was ordered with this key runs, waits or is repeated here.
    pub(super) fn is_at_it(&self, key: &TransitionKey) -> bool {
        let running = self.running.as_ref().filter(|running| !running.dropped);
        let mut once = running.map(|r| &r.op).into_iter().chain(&self.queue);
        let mut repeated = self.recurring.values();
        once.any(|op| op.order.key == *key) || repeated.any(|r| r.order.key == *key)
    }

    /// Whether an operation that is done once, and came after this call, has been told of and has not ended.
    pub(super) fn has_announced_after(&self, call_id: i64) -> bool {
        let running = self.running.as_ref().map(|running| &running.op);
        let mut ops = running.into_iter().chain(&self.queue);
        ops.any(|op| {
            let once = !op.order.recurring() && is_announced(&op.order);
            once && op.entry != Entry::Due && op.call_id > call_id
        })
    }

    /// Nothing runs, waits or is repeated.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none() && self.queue.is_empty() && self.recurring.is_empty()
    }

    /// A new recurring operation, or one that is merged into the one that runs; false when nothing is to be
    /// queued now.
    pub(super) fn take_recurring(
        &mut self,
        now: Now,
        order: Order,
        call_id: i64,
        turn: u64,
        effects: &mut Vec<Effect>,
    ) -> bool {
        if let Some(existing) = self.recurring.get_mut(&order.op) {
            existing.merge(order.clone(), call_id, now.mono);
            report_pending(&order, call_id, effects);
            return true;
        }
        let mut recurring = Recurring::new(order.clone(), call_id, now.mono);
        if let Some(outcome) = recurring.confirmed_at_once() {
            let mut execution = execution(&order, call_id, &outcome, Some(now.wall_s), None);
            execution.digests = digests::digests(&order, None);
            effects.push(Effect::Report(Box::new(Report::Result(execution))));
        } else {
            report_pending(&order, call_id, effects);
        }
        if order.start_delay_ms() == 0 {
            recurring.due = None;
            self.queue.push_back(Op::new(
                order.clone(),
                call_id,
                turn,
                now.mono,
                Entry::Settled,
            ));
        }
        self.recurring.insert(order.op, recurring);
        false
    }

    /// All recurring operations end, also one that runs: what comes next must not wait for a monitor.
    pub(super) fn cancel_recurring(&mut self, effects: &mut Vec<Effect>) {
        for (op, recurring) in std::mem::take(&mut self.recurring) {
            self.drop_recurring(&op, effects);
            effects.push(cancelled(&recurring.order, recurring.call_id, None));
        }
    }

    pub(super) fn drop_recurring(&mut self, op: &OpKey, effects: &mut Vec<Effect>) {
        self.queue.retain(|queued| queued.order.op != *op);
        self.memory.cancelled(op);
        if let Some(running) = &mut self.running
            && running.op.order.op == *op
        {
            running.dropped = true;
            effects.push(Effect::Kill(running.run));
        }
    }

    pub(super) fn cancel_one(
        &mut self,
        op: &OpKey,
        by: &TransitionKey,
        effects: &mut Vec<Effect>,
    ) -> Option<()> {
        if let Some(recurring) = self.recurring.remove(op) {
            let (order, call_id) = (&recurring.order, recurring.call_id);
            let recorded = self.memory.has_recorded(order, call_id);
            self.drop_recurring(op, effects);
            effects.push(match recorded {
                true => cancelled(order, call_id, Some(by.clone())),
                false => cancelled_unrecorded(op.clone(), by.clone()),
            });
            return Some(());
        }
        if op.interval_ms > 0 {
            return None;
        }
        if let Some(at) = self.queue.iter().position(|queued| queued.order.op == *op) {
            let queued = self.queue.remove(at)?;
            effects.push(cancelled(&queued.order, queued.call_id, Some(by.clone())));
            return Some(());
        }
        let running = self
            .running
            .as_mut()
            .filter(|running| running.op.order.op == *op)?;
        running.dropped = true;
        effects.push(Effect::Kill(running.run));
        effects.push(cancelled(
            &running.op.order,
            running.op.call_id,
            Some(by.clone()),
        ));
        Some(())
    }

    pub(super) fn begin(&mut self, now: Mono, run: RunId, effects: &mut Vec<Effect>) {
        let mut op = self.queue.pop_front().expect("a ready resource has a head");
        if op.order.op.task == "stop" {
            op.order.params = self.memory.for_stop(&op.order);
        }
        let order = &op.order;
        self.memory.begins(order);
        self.memory.tell_guard(&order.op.rsc, effects);
        effects.push(if order.agent.is_fencing() {
            Effect::Device(run, device_task(order))
        } else if order.agent.is_connection() {
            Effect::Link(run, Box::new(order.clone()))
        } else {
            Effect::Run(run, invocation(order))
        });
        let queue_ms = now.since(op.queued);
        self.running = Some(Running {
            run,
            op,
            queue_ms,
            dropped: false,
        });
    }
}

fn invocation(order: &Order) -> Invocation {
    Invocation {
        agent: order.agent.clone(),
        rsc: order.op.rsc.clone(),
        task: order.op.task.clone(),
        params: order.params.clone(),
        timeout_ms: order.timeout_ms(),
        kill_process_only: order.meta("on_fail") == Some("block"),
    }
}

fn device_task(order: &Order) -> DeviceTask {
    // The device's own limit for its monitor goes before the operation's. // spec cluster §14.2
    let own = order
        .param("pcmk_monitor_timeout")
        .filter(|_| order.recurring());
    let own = own
        .map(|text| crate::terms::span::ms_or_zero(Some(text)))
        .filter(|ms| *ms > 0);
    let probe = order.op.task == "monitor" && !order.recurring();
    DeviceTask {
        device: RscId::from(order.op.rsc.base()),
        agent: order.agent.clone(),
        task: if probe {
            "probe".to_owned()
        } else {
            order.op.task.clone()
        },
        params: order.params.clone(),
        timeout_ms: own.unwrap_or(order.timeout_ms()),
    }
}
