//! A primitive: from the role it has to the role it will have, from where it is to where it will be. spec 3 §8.3

use super::super::facts::MultipleActive;
use super::super::report::Cause;
use super::super::{NodeIdx, RscIdx};
use super::Make;
use super::plan::{Flags, Task};
use crate::terms::Role;

/// How a primitive gets there.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    need_stop: bool,
    need_promote: bool,
    may_migrate: bool,
    moving: bool,
}

impl Make<'_> {
    pub(super) fn create_primitive(&mut self, rsc: RscIdx) {
        let facts = self.facts;
        let now = &mut self.plan.now.rscs[rsc];
        if now.next_role == Role::Unknown {
            now.next_role = if now.assigned.is_some() {
                Role::Started
            } else {
                Role::Stopped
            };
        }
        let (assigned, next_role) = (now.assigned, now.next_role);
        let current = self.plan.now.current(facts, rsc);
        self.why = Some(Cause::Interrupted);
        for source in &facts.rscs[rsc].dangling_sources {
            let stop = self.stop_on(rsc, *source, false);
            self.plan.get_mut(stop).flags.set(Flags::MIGRATION_ABORT);
        }
        let mut way = Way::default();
        if let (Some(from), Some(to)) = (current, assigned)
            && from != to
            && next_role >= Role::Started
        {
            way.moving = true;
            way.may_migrate = self.may_migrate(rsc, from, to);
            way.need_stop = true;
            self.why = Some(Cause::Placed {
                rsc,
                from: current,
                to: assigned,
            });
        }
        self.several(rsc, current, assigned, &mut way);
        if self.plan.now.rscs[rsc].start_pending
            && let Some(to) = assigned
        {
            let start = self.ask(rsc, Task::START, Some(to), true);
            self.plan.get_mut(start).flags.set(Flags::SHOW_ALWAYS);
        }
        if !way.moving {
            self.in_place(rsc, current, assigned, &mut way);
        }
        self.restart_block(rsc, way.need_stop, way.need_promote);
        let now = &self.plan.now.rscs[rsc];
        let (from, to) = (now.orig_role, now.next_role);
        self.why = Some(
            if assigned.is_none() || from == Role::Stopped || to == Role::Stopped {
                Cause::Placed {
                    rsc,
                    from: current,
                    to: assigned.filter(|_| to != Role::Stopped),
                }
            } else {
                Cause::Role { rsc, from, to }
            },
        );
        self.transition_block(rsc);
        self.why = None;
        self.create_recurring(rsc);
        if way.may_migrate
            && let (Some(from), Some(to)) = (current, assigned)
        {
            self.create_migration(rsc, from, to);
        }
    }

    /// Half-way moves and too many copies. spec 3 §8.3 steps 4, 5
    fn several(
        &mut self,
        rsc: RscIdx,
        current: Option<NodeIdx>,
        assigned: Option<NodeIdx>,
        way: &mut Way,
    ) {
        let facts = self.facts;
        let (all, clean) = self.plan.now.active_counts(facts, rsc);
        let now = &mut self.plan.now.rscs[rsc];
        let (source, target) = (now.migration_source, now.migration_target);
        let mut multiply = false;
        let continues = source.is_some()
            && target.is_some()
            && way.may_migrate
            && all == 2
            && source == current
            && target == assigned;
        if continues {
        } else if source.is_some() || target.is_some() {
            way.need_stop = true;
            self.why = Some(Cause::Interrupted);
            now.migration_source = None;
            now.migration_target = None;
            way.may_migrate = false;
        } else {
            multiply = if facts.rscs[rsc].needs_fencing() {
                all
            } else {
                clean
            } > 1;
        }
        if multiply {
            self.why = Some(Cause::MultiplyActive { rsc });
            match facts.rscs[rsc].multiple_active {
                MultipleActive::StopStart => way.need_stop = true,
                MultipleActive::StopUnexpected => {
                    way.need_stop = true;
                    now.stop_unexpected = true;
                }
                MultipleActive::StopOnly | MultipleActive::Block => {}
            }
        } else {
            now.stop_unexpected = false;
        }
    }

    /// What stays where it is may still need a restart. spec 3 §8.3 step 7
    fn in_place(
        &mut self,
        rsc: RscIdx,
        current: Option<NodeIdx>,
        assigned: Option<NodeIdx>,
        way: &mut Way,
    ) {
        let now = &self.plan.now.rscs[rsc];
        if now.failed {
            self.why = Some(Cause::Recovery { rsc });
            if now.stop_if_failed {
                way.need_stop = true;
            } else if now.next_role == Role::Promoted {
                way.need_promote = true;
            }
        } else if now.blocked {
            self.why = Some(Cause::Recovery { rsc });
            way.need_stop = true;
        } else if now.orig_role > Role::Started
            && current.is_some()
            && let Some(to) = assigned
        {
            let start = self.ask(rsc, Task::START, Some(to), true);
            if self.plan.get(start).required() {
                self.why = Some(Cause::Restart { rsc });
                way.need_stop = true;
            }
        }
    }

    /// Down to stopped and up again, optional unless needed. spec 3 §8.4
    fn restart_block(&mut self, rsc: RscIdx, need_stop: bool, need_promote: bool) {
        self.plan.now.rscs[rsc].restarting = true;
        let orig = self.plan.now.rscs[rsc].orig_role;
        let mut role = orig;
        while role != Role::Stopped {
            let next = toward(role, Role::Stopped);
            self.step(rsc, role, next, !need_stop);
            role = next;
        }
        loop {
            let now = &self.plan.now.rscs[rsc];
            if !(now.orig_role <= now.next_role && role != now.orig_role && !now.blocked) {
                break;
            }
            let next = toward(role, now.orig_role);
            let required = need_stop || (next == Role::Promoted && need_promote);
            self.step(rsc, role, next, !required);
            role = next;
        }
        self.plan.now.rscs[rsc].restarting = false;
    }

    fn transition_block(&mut self, rsc: RscIdx) {
        let mut role = self.plan.now.rscs[rsc].orig_role;
        loop {
            let wanted = self.plan.now.rscs[rsc].next_role;
            if role == wanted {
                break;
            }
            let next = toward(role, wanted);
            if !self.step(rsc, role, next, false) {
                break;
            }
            role = next;
        }
    }
}

/// The role in between. spec 3 §8.2
fn toward(from: Role, to: Role) -> Role {
    use Role::{Promoted, Started, Stopped, Unknown, Unpromoted};
    match (from, to) {
        (Unknown, _) => Stopped,
        (Stopped, Promoted) => Unpromoted,
        (Unpromoted, Stopped | Started) => Stopped,
        (Promoted, Stopped | Started | Unpromoted) => Unpromoted,
        (_, other) => other,
    }
}
