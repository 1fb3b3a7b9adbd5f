//! What nobody wrote: a group starts in order, an instance starts before it is promoted, a guest lives in its
//! container (spec 2 §8; spec 3 §8.1, §9).

use super::colocation::internal;
use super::ordering::{Kinds, OrderItem, TaskWord};
use super::{ImplicitBan, Reader};
use crate::policy::facts::options::PlacementStrategy;
use crate::policy::facts::{Kind, Replica, Requires};
use crate::policy::index::RscIdx;
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
        first_task: &'static str,
        then: RscIdx,
        then_task: &'static str,
        kinds: Kinds,
    ) {
        let word = TaskWord::Borrowed;
        self.order(
            None,
            (first, word(first_task)),
            (then, word(then_task)),
            kinds,
        );
    }
}

// spec 3 §8.1, spec 2 §8
fn primitive(reader: &mut Reader<'_>, rsc: RscIdx) {
    let facts = reader.facts;
    let it = &facts.rscs[rsc];
    if !it.flags.managed || reader.frozen.contains(&rsc) {
        return;
    }
    reader.pair(rsc, "stop", rsc, "start", ORD | PULLS | Kinds::RESTART_STOP);
    let top = facts.top_of(rsc);
    if facts.rscs[top].flags.promotable || it.role == Role::Promoted {
        reader.pair(rsc, "demote", rsc, "stop", Kinds::PROMOTED_THEN_PULLS);
        reader.pair(rsc, "start", rsc, "promote", GATES);
    }
    reader.pair(
        rsc,
        "lrm_delete",
        rsc,
        "monitor",
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
        reader.pair(launcher, "monitor", rsc, "stop", ORD);
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
    reader.pair(launcher, "start", rsc, "start", PULLS | GATES);
    reader.pair(rsc, "stop", launcher, "stop", Kinds::THEN_PULLS);
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
    reader.pair(rsc, "stop", rsc, "stopped", GATES);
    reader.pair(rsc, "stopped", rsc, "start", ORD);
    reader.pair(rsc, "start", rsc, "running", GATES);
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
            reader.pair(rsc, "demote", member, "demote", down);
            reader.pair(member, "demote", rsc, "demoted", post);
            reader.pair(
                member,
                "promote",
                rsc,
                "promoted",
                GATES | PULLS | SHOWS_THEN,
            );
            reader.pair(rsc, "promote", member, "promote", SHOWS_FIRST);
        }
        reader.pair(rsc, "stop", member, "stop", down);
        reader.pair(member, "stop", rsc, "stopped", post);
        reader.pair(rsc, "start", member, "start", SHOWS_FIRST);
        reader.pair(member, "start", rsc, "running", GATES | PULLS | SHOWS_THEN);
        match previous {
            _ if !group.ordered => {
                let kinds = PULLS | GATES | SHOWS_FIRST;
                reader.pair(rsc, "start", member, "start", kinds);
                if promotable {
                    reader.pair(rsc, "promote", member, "promote", kinds);
                }
            }
            None => {}
            Some(previous) => {
                reader.pair(previous, "start", member, "start", PULLS | GATES);
                reader.pair(member, "stop", previous, "stop", ORD | Kinds::RESTART_STOP);
                if !it.active.is_empty() && facts.rscs[previous].active.is_empty() {
                    reader.pair(member, "stop", previous, "start", Kinds::THEN_PULLS | GATES);
                }
                if promotable {
                    reader.pair(previous, "promote", member, "promote", PULLS | GATES);
                    reader.pair(member, "demote", previous, "demote", ORD);
                }
            }
        }
        if !it.active.is_empty() {
            if let (true, Some(previous), Some(last)) = (group.ordered, previous, last_active)
                && facts.rscs[previous].active.is_empty()
            {
                reader.pair(member, "stop", last, "stop", ORD);
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
    reader.pair(rsc, "stopped", rsc, "start", ORD);
    reader.pair(rsc, "start", rsc, "running", GATES);
    reader.pair(rsc, "stop", rsc, "stopped", GATES);
    if promotable {
        reader.pair(rsc, "demoted", rsc, "stop", ORD);
        reader.pair(rsc, "running", rsc, "promote", GATES);
    }
    let instances = &facts.rscs[rsc].children;
    for (at, &instance) in instances.iter().enumerate() {
        resource(reader, instance);
        reader.pair(rsc, "start", instance, "start", GATES | SHOWS_FIRST);
        reader.pair(instance, "start", rsc, "running", SHOWS_THEN);
        reader.pair(rsc, "stop", instance, "stop", SHOWS_FIRST);
        reader.pair(instance, "stop", rsc, "stopped", SHOWS_THEN);
        if ordered {
            for &later in &instances[at + 1..] {
                reader.pair(instance, "start", later, "start", ORD);
                reader.pair(later, "stop", instance, "stop", ORD);
            }
        }
    }
    if promotable {
        promotable_whole(reader, rsc);
        let mut last: Option<RscIdx> = None;
        for &instance in instances {
            reader.pair(instance, "demote", instance, "promote", ORD);
            reader.pair(rsc, "promote", instance, "promote", ORD);
            reader.pair(instance, "promote", rsc, "promoted", ORD);
            if let Some(last) = last.filter(|_| ordered) {
                reader.pair(last, "promote", instance, "promote", ORD);
            }
            reader.pair(rsc, "demote", instance, "demote", SHOWS_FIRST);
            reader.pair(instance, "demote", rsc, "demoted", SHOWS_THEN);
            if let Some(last) = last.filter(|_| ordered) {
                reader.pair(instance, "demote", last, "demote", ORD);
            }
            last = Some(instance);
        }
    }
}

/// The seven that a promotable clone and its bundle share. // spec 3 §9.5
fn promotable_whole(reader: &mut Reader<'_>, rsc: RscIdx) {
    reader.pair(rsc, "stopped", rsc, "start", ORD);
    reader.pair(rsc, "stopped", rsc, "promote", ORD);
    reader.pair(rsc, "demoted", rsc, "stop", ORD);
    reader.pair(rsc, "demoted", rsc, "start", ORD);
    reader.pair(rsc, "demoted", rsc, "promote", ORD);
    reader.pair(rsc, "running", rsc, "promote", ORD);
    reader.pair(rsc, "demote", rsc, "demoted", ORD);
}

// spec 3 §9.6
fn bundle(reader: &mut Reader<'_>, rsc: RscIdx) {
    let facts = reader.facts;
    let bundle = facts.rscs[rsc].bundle().expect("called for bundles");
    for made in &bundle.replicas {
        replica(reader, rsc, made);
    }
    let Some(inner) = bundle.clone else { return };
    reader.pair(rsc, "start", inner, "start", SHOWS_FIRST);
    reader.pair(inner, "running", rsc, "running", SHOWS_THEN);
    reader.pair(rsc, "stop", inner, "stop", SHOWS_FIRST);
    reader.pair(inner, "stopped", rsc, "stopped", SHOWS_THEN);
    clone(reader, inner);
    if facts.rscs[inner].flags.promotable {
        promotable_whole(reader, rsc);
        reader.pair(rsc, "demote", inner, "demote", SHOWS_FIRST);
        reader.pair(inner, "demoted", rsc, "demoted", SHOWS_THEN);
        reader.pair(rsc, "promote", inner, "promote", SHOWS_FIRST);
        reader.pair(inner, "promoted", rsc, "promoted", SHOWS_THEN);
    }
}

fn replica(reader: &mut Reader<'_>, rsc: RscIdx, made: &Replica) {
    let container = made.container;
    resource(reader, container);
    reader.pair(rsc, "start", container, "start", GATES | SHOWS_FIRST);
    if let Some(child) = made.child {
        reader.pair(rsc, "stop", child, "stop", SHOWS_FIRST);
    }
    reader.pair(rsc, "stop", container, "stop", SHOWS_FIRST);
    reader.pair(container, "start", rsc, "running", SHOWS_THEN);
    reader.pair(container, "stop", rsc, "stopped", SHOWS_THEN);
    if let Some(ip) = made.ip {
        resource(reader, ip);
        reader.pair(ip, "start", container, "start", GATES | Kinds::GUEST_OK);
        reader.pair(
            container,
            "stop",
            ip,
            "stop",
            Kinds::THEN_PULLS | Kinds::GUEST_OK,
        );
        let (id, score) = (internal::IP_WITH_CONTAINER, Score::INFINITY);
        reader.implied_colocation(id, ip, container, score, true);
    }
    if let Some(connection) = made.connection {
        resource(reader, connection);
    }
}
