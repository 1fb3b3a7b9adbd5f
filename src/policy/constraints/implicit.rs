//! What nobody wrote: a group starts in order, an instance starts before it is promoted, a guest lives in its
//! container (spec 2 §8; spec 3 §8.1, §9).

use super::colocation::internal;
use super::ordering::{Kinds, OrderItem};
use super::{ImplicitBan, Reader};
use crate::policy::facts::options::PlacementStrategy;
use crate::policy::facts::{Kind, Replica, Requires};
use crate::policy::index::RscIdx;
use crate::policy::task::Task;
use crate::terms::{Role, Score};

const ORD: Kinds = Kinds::ORD;
const PULLS: Kinds = Kinds::FIRST_PULLS;
const GATES: Kinds = Kinds::FIRST_GATES;
const SHOWS_FIRST: Kinds = Kinds::THEN_SHOWS_FIRST;
const SHOWS_THEN: Kinds = Kinds::FIRST_SHOWS_THEN;

/// All implicit constraints of a resource and what is below it.
pub(super) fn resource(reader: &mut Reader<'_>, rsc: RscIdx) {
    match &reader.facts.rscs[rsc].kind {
        Kind::Primitive => primitive(reader, rsc),
        Kind::Group(_) => group(reader, rsc),
        Kind::Clone(_) => clone(reader, rsc),
        Kind::Bundle(_) => bundle(reader, rsc),
    }
}

impl Reader<'_> {
    fn pair(
        &mut self,
        first: RscIdx,
        first_task: Task,
        then: RscIdx,
        then_task: Task,
        kinds: Kinds,
    ) {
        self.order(None, (first, first_task), (then, then_task), kinds);
    }
}

// spec 3 §8.1, spec 2 §8
fn primitive(reader: &mut Reader<'_>, rsc: RscIdx) {
    let facts = reader.facts;
    let it = &facts.rscs[rsc];
    if !it.flags.managed || reader.frozen.contains(&rsc) {
        return;
    }
    reader.pair(
        rsc,
        Task::STOP,
        rsc,
        Task::START,
        ORD | PULLS | Kinds::RESTART_STOP,
    );
    let top = facts.top_of(rsc);
    if facts.rscs[top].flags.promotable || it.role == Role::Promoted {
        reader.pair(
            rsc,
            Task::DEMOTE,
            rsc,
            Task::STOP,
            Kinds::PROMOTED_THEN_PULLS,
        );
        reader.pair(rsc, Task::START, rsc, Task::PROMOTE, GATES);
    }
    reader.pair(
        rsc,
        Task::LRM_DELETE,
        rsc,
        Task::MONITOR,
        Kinds::SAME_NODE | Kinds::THEN_CANCELS,
    );
    if it.requires == Requires::Unfencing && !it.flags.fence_device && facts.unfencing {
        reader.out.orderings.push(OrderItem::Unfencing(rsc));
    }
    let strategy = facts.options.placement_strategy;
    if !it.utilization.is_empty() && strategy != PlacementStrategy::Default {
        reader.out.orderings.push(OrderItem::Load(rsc));
    }
    if let Some(launcher) = it.launcher {
        launched(reader, rsc, launcher);
    }
    if it.flags.connection || it.flags.fence_device {
        reader.out.implicit_bans.push(ImplicitBan::NotOnRemote(rsc));
    }
}

// spec 3 §8.1 rule 6, spec 2 §8 point 1
fn launched(reader: &mut Reader<'_>, rsc: RscIdx, launcher: RscIdx) {
    let facts = reader.facts;
    let it = &facts.rscs[rsc];
    if it.flags.connection {
        reader.pair(launcher, Task::MONITOR, rsc, Task::STOP, ORD);
        if !it.flags.nesting_allowed {
            reader
                .out
                .implicit_bans
                .push(ImplicitBan::NotOnRemote(launcher));
        }
    } else {
        let is_connection = |at: &RscIdx| facts.rscs[*at].flags.connection;
        let lives_in = Some(launcher).filter(is_connection).or_else(|| {
            facts.rscs[launcher]
                .launched
                .iter()
                .copied()
                .find(is_connection)
        });
        if let Some(connection) = lives_in {
            reader
                .out
                .implicit_bans
                .push(ImplicitBan::OnlyOn { rsc, connection });
            return;
        }
    }
    reader.pair(launcher, Task::START, rsc, Task::START, PULLS | GATES);
    reader.pair(rsc, Task::STOP, launcher, Task::STOP, Kinds::THEN_PULLS);
    let score = if it.flags.nesting_allowed {
        Score::new(10_000)
    } else {
        Score::INFINITY
    };
    reader.implied_colocation(internal::WITH_CONTAINER, rsc, launcher, score, true);
}

// spec 3 §9.2
fn group(reader: &mut Reader<'_>, rsc: RscIdx) {
    let facts = reader.facts;
    let group = *facts.rscs[rsc].group().expect("called for groups");
    let promotable = facts.rscs[facts.top_of(rsc)].flags.promotable;
    reader.pair(rsc, Task::STOP, rsc, Task::STOPPED, GATES);
    reader.pair(rsc, Task::STOPPED, rsc, Task::START, ORD);
    reader.pair(rsc, Task::START, rsc, Task::RUNNING, GATES);
    let mut previous: Option<RscIdx> = None;
    let mut last_active: Option<RscIdx> = None;
    for &member in &facts.rscs[rsc].children {
        resource(reader, member);
        let it = &facts.rscs[member];
        if let Some(previous) = previous.filter(|_| group.colocated) {
            let (id, critical) = (internal::GROUP_MEMBERS, it.flags.critical);
            reader.implied_colocation(id, member, previous, Score::INFINITY, critical);
        }
        let first = previous.is_none();
        let (down, post) = if group.ordered && first {
            (SHOWS_FIRST | ORD, PULLS)
        } else {
            (SHOWS_FIRST, SHOWS_THEN)
        };
        if promotable {
            reader.pair(rsc, Task::DEMOTE, member, Task::DEMOTE, down);
            reader.pair(member, Task::DEMOTE, rsc, Task::DEMOTED, post);
            reader.pair(
                member,
                Task::PROMOTE,
                rsc,
                Task::PROMOTED,
                GATES | PULLS | SHOWS_THEN,
            );
            reader.pair(rsc, Task::PROMOTE, member, Task::PROMOTE, SHOWS_FIRST);
        }
        reader.pair(rsc, Task::STOP, member, Task::STOP, down);
        reader.pair(member, Task::STOP, rsc, Task::STOPPED, post);
        reader.pair(rsc, Task::START, member, Task::START, SHOWS_FIRST);
        reader.pair(
            member,
            Task::START,
            rsc,
            Task::RUNNING,
            GATES | PULLS | SHOWS_THEN,
        );
        match previous {
            _ if !group.ordered => {
                let kinds = PULLS | GATES | SHOWS_FIRST;
                reader.pair(rsc, Task::START, member, Task::START, kinds);
                if promotable {
                    reader.pair(rsc, Task::PROMOTE, member, Task::PROMOTE, kinds);
                }
            }
            None => {}
            Some(previous) => {
                reader.pair(previous, Task::START, member, Task::START, PULLS | GATES);
                reader.pair(
                    member,
                    Task::STOP,
                    previous,
                    Task::STOP,
                    ORD | Kinds::RESTART_STOP,
                );
                if !it.active.is_empty() && facts.rscs[previous].active.is_empty() {
                    reader.pair(
                        member,
                        Task::STOP,
                        previous,
                        Task::START,
                        Kinds::THEN_PULLS | GATES,
                    );
                }
                if promotable {
                    reader.pair(
                        previous,
                        Task::PROMOTE,
                        member,
                        Task::PROMOTE,
                        PULLS | GATES,
                    );
                    reader.pair(member, Task::DEMOTE, previous, Task::DEMOTE, ORD);
                }
            }
        }
        if !it.active.is_empty() {
            if let (true, Some(previous), Some(last)) = (group.ordered, previous, last_active)
                && facts.rscs[previous].active.is_empty()
            {
                reader.pair(member, Task::STOP, last, Task::STOP, ORD);
            }
            last_active = Some(member);
        }
        previous = Some(member);
    }
}

// spec 3 §9.4
fn clone(reader: &mut Reader<'_>, rsc: RscIdx) {
    let facts = reader.facts;
    let ordered = facts.rscs[rsc]
        .clone_facts()
        .is_some_and(|clone| clone.ordered);
    let promotable = facts.rscs[rsc].flags.promotable;
    reader.pair(rsc, Task::STOPPED, rsc, Task::START, ORD);
    reader.pair(rsc, Task::START, rsc, Task::RUNNING, GATES);
    reader.pair(rsc, Task::STOP, rsc, Task::STOPPED, GATES);
    if promotable {
        reader.pair(rsc, Task::DEMOTED, rsc, Task::STOP, ORD);
        reader.pair(rsc, Task::RUNNING, rsc, Task::PROMOTE, GATES);
    }
    let instances = &facts.rscs[rsc].children;
    for (at, &instance) in instances.iter().enumerate() {
        resource(reader, instance);
        reader.pair(rsc, Task::START, instance, Task::START, GATES | SHOWS_FIRST);
        reader.pair(instance, Task::START, rsc, Task::RUNNING, SHOWS_THEN);
        reader.pair(rsc, Task::STOP, instance, Task::STOP, SHOWS_FIRST);
        reader.pair(instance, Task::STOP, rsc, Task::STOPPED, SHOWS_THEN);
        if ordered {
            for &later in &instances[at + 1..] {
                reader.pair(instance, Task::START, later, Task::START, ORD);
                reader.pair(later, Task::STOP, instance, Task::STOP, ORD);
            }
        }
    }
    if promotable {
        promotable_whole(reader, rsc);
        let mut last: Option<RscIdx> = None;
        for &instance in instances {
            reader.pair(instance, Task::DEMOTE, instance, Task::PROMOTE, ORD);
            reader.pair(rsc, Task::PROMOTE, instance, Task::PROMOTE, ORD);
            reader.pair(instance, Task::PROMOTE, rsc, Task::PROMOTED, ORD);
            if let Some(last) = last.filter(|_| ordered) {
                reader.pair(last, Task::PROMOTE, instance, Task::PROMOTE, ORD);
            }
            reader.pair(rsc, Task::DEMOTE, instance, Task::DEMOTE, SHOWS_FIRST);
            reader.pair(instance, Task::DEMOTE, rsc, Task::DEMOTED, SHOWS_THEN);
            if let Some(last) = last.filter(|_| ordered) {
                reader.pair(instance, Task::DEMOTE, last, Task::DEMOTE, ORD);
            }
            last = Some(instance);
        }
    }
}

/// The seven that a promotable clone and its bundle share. // spec 3 §9.5
fn promotable_whole(reader: &mut Reader<'_>, rsc: RscIdx) {
    reader.pair(rsc, Task::STOPPED, rsc, Task::START, ORD);
    reader.pair(rsc, Task::STOPPED, rsc, Task::PROMOTE, ORD);
    reader.pair(rsc, Task::DEMOTED, rsc, Task::STOP, ORD);
    reader.pair(rsc, Task::DEMOTED, rsc, Task::START, ORD);
    reader.pair(rsc, Task::DEMOTED, rsc, Task::PROMOTE, ORD);
    reader.pair(rsc, Task::RUNNING, rsc, Task::PROMOTE, ORD);
    reader.pair(rsc, Task::DEMOTE, rsc, Task::DEMOTED, ORD);
}

// spec 3 §9.6
fn bundle(reader: &mut Reader<'_>, rsc: RscIdx) {
    let facts = reader.facts;
    let bundle = facts.rscs[rsc].bundle().expect("called for bundles");
    for made in &bundle.replicas {
        replica(reader, rsc, made);
    }
    let Some(inner) = bundle.clone else { return };
    reader.pair(rsc, Task::START, inner, Task::START, SHOWS_FIRST);
    reader.pair(inner, Task::RUNNING, rsc, Task::RUNNING, SHOWS_THEN);
    reader.pair(rsc, Task::STOP, inner, Task::STOP, SHOWS_FIRST);
    reader.pair(inner, Task::STOPPED, rsc, Task::STOPPED, SHOWS_THEN);
    clone(reader, inner);
    if facts.rscs[inner].flags.promotable {
        promotable_whole(reader, rsc);
        reader.pair(rsc, Task::DEMOTE, inner, Task::DEMOTE, SHOWS_FIRST);
        reader.pair(inner, Task::DEMOTED, rsc, Task::DEMOTED, SHOWS_THEN);
        reader.pair(rsc, Task::PROMOTE, inner, Task::PROMOTE, SHOWS_FIRST);
        reader.pair(inner, Task::PROMOTED, rsc, Task::PROMOTED, SHOWS_THEN);
    }
}

fn replica(reader: &mut Reader<'_>, rsc: RscIdx, made: &Replica) {
    let container = made.container;
    resource(reader, container);
    reader.pair(
        rsc,
        Task::START,
        container,
        Task::START,
        GATES | SHOWS_FIRST,
    );
    if let Some(child) = made.child {
        reader.pair(rsc, Task::STOP, child, Task::STOP, SHOWS_FIRST);
    }
    reader.pair(rsc, Task::STOP, container, Task::STOP, SHOWS_FIRST);
    reader.pair(container, Task::START, rsc, Task::RUNNING, SHOWS_THEN);
    reader.pair(container, Task::STOP, rsc, Task::STOPPED, SHOWS_THEN);
    if let Some(ip) = made.ip {
        resource(reader, ip);
        reader.pair(
            ip,
            Task::START,
            container,
            Task::START,
            GATES | Kinds::GUEST_OK,
        );
        reader.pair(
            container,
            Task::STOP,
            ip,
            Task::STOP,
            Kinds::THEN_PULLS | Kinds::GUEST_OK,
        );
        let (id, score) = (internal::IP_WITH_CONTAINER, Score::INFINITY);
        reader.implied_colocation(id, ip, container, score, true);
    }
    if let Some(connection) = made.connection {
        resource(reader, connection);
    }
}
