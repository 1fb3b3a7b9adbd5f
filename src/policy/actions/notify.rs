//! Notifications: instances of a clone are told before and after what any of them does. spec 3 §16
//!
//! The points (pre, confirmed-pre, post, confirmed-post) exist from the start; who is told what is only known
//! when the graph is built.

use std::cell::OnceCell;
use std::sync::{Arc, LazyLock};

use super::super::facts::Facts;
use super::super::nvtable::Str;
use super::super::{NodeIdx, NvTable, RscIdx};
use super::Make;
use super::plan::{ActIdx, Flags, Key, Kinds, NotifyPhase, Plan, Task};
use super::request;
use crate::terms::Role;

/// The ordering points of one kind of change in one clone.
#[derive(Clone, Copy, Debug)]
pub struct Points {
    task: Task,
    pre: Option<(ActIdx, ActIdx)>,
    post: (ActIdx, ActIdx),
}

/// Makes the points around `action` and its completion `done`. spec 3 §16.1
pub(super) fn points(
    plan: &mut Plan,
    facts: &Facts,
    rsc: RscIdx,
    task: Task,
    action: ActIdx,
    done: ActIdx,
) {
    let pre = point(plan, facts, rsc, NotifyPhase::Pre, task, task, action, true);
    let pre_done = point(
        plan,
        facts,
        rsc,
        NotifyPhase::ConfirmedPre,
        task,
        task,
        action,
        true,
    );
    plan.relate(pre, pre_done, Kinds::ORD);
    plan.relate(pre_done, action, Kinds::ORD);
    let post = post_points(plan, facts, rsc, task, action, done);
    plan.relate(pre_done, post.0, Kinds::ORD);
    plan.notify.push((
        rsc,
        Points {
            task,
            pre: Some((pre, pre_done)),
            post,
        },
    ));
}

fn post_points(
    plan: &mut Plan,
    facts: &Facts,
    rsc: RscIdx,
    task: Task,
    action: ActIdx,
    done: ActIdx,
) -> (ActIdx, ActIdx) {
    let runnable = plan.get(done).runnable();
    let told = plan.get(done).task;
    let post = point(
        plan,
        facts,
        rsc,
        NotifyPhase::Post,
        told,
        task,
        action,
        runnable,
    );
    let post_done = point(
        plan,
        facts,
        rsc,
        NotifyPhase::ConfirmedPost,
        told,
        task,
        action,
        runnable,
    );
    for idx in [post, post_done] {
        plan.get_mut(idx).priority = 1_000_000;
    }
    plan.relate(done, post, Kinds::FIRST_PULLS);
    plan.relate(post, post_done, Kinds::FIRST_PULLS);
    (post, post_done)
}

/// Names of what a point says of itself; there are eight points for each clone that wants notifications.
static SAID: LazyLock<[Str; 4]> = LazyLock::new(|| {
    [
        "notify_key_type",
        "notify_key_operation",
        "notify_type",
        "notify_operation",
    ]
    .map(Str::from)
});

/// The phase as keys and attributes spell it, shared.
fn spelled(phase: NotifyPhase) -> Str {
    static ALL: LazyLock<[Str; 4]> = LazyLock::new(|| {
        use NotifyPhase::{ConfirmedPost, ConfirmedPre, Post, Pre};
        [Pre, ConfirmedPre, Post, ConfirmedPost].map(|phase| phase.text().into())
    });
    Str::clone(&ALL[phase as usize])
}

#[expect(
    clippy::too_many_arguments,
    reason = "each names one column of the table in the spec"
)]
fn point(
    plan: &mut Plan,
    facts: &Facts,
    rsc: RscIdx,
    phase: NotifyPhase,
    told: Task,
    operation: Task,
    like: ActIdx,
    runnable: bool,
) -> ActIdx {
    let task = match phase {
        NotifyPhase::Pre | NotifyPhase::Post => Task::NOTIFY,
        NotifyPhase::ConfirmedPre | NotifyPhase::ConfirmedPost => Task::NOTIFIED,
    };
    let optional = !plan.get(like).required();
    let idx = request::pseudo(
        plan,
        facts,
        rsc,
        Key::Notify(phase, told),
        task,
        optional,
        runnable,
    );
    let (told, operation) = (
        Arc::clone(plan.name(told)),
        Arc::clone(plan.name(operation)),
    );
    let it = plan.get_mut(idx);
    it.flags.put(Flags::RUNNABLE, runnable);
    let plain = match phase {
        NotifyPhase::Pre | NotifyPhase::ConfirmedPre => NotifyPhase::Pre,
        NotifyPhase::Post | NotifyPhase::ConfirmedPost => NotifyPhase::Post,
    };
    let [key_type, key_operation, kind, what] = &*SAID;
    it.meta.set_all([
        (Str::clone(key_type), spelled(phase)),
        (Str::clone(key_operation), told),
        (Str::clone(kind), spelled(plain)),
        (Str::clone(what), operation),
    ]);
    idx
}

/// All have been told that `before` is over when `after` is announced.
pub(super) fn cross(plan: &mut Plan, rsc: RscIdx, before: Task, after: Task) {
    let of = |task: Task| {
        plan.notify
            .iter()
            .find(|(whose, points)| *whose == rsc && points.task == task)
    };
    let (Some((_, before)), Some((_, after))) = (of(before), of(after)) else {
        return;
    };
    if let (done, Some((pre, _))) = (before.post.1, after.pre) {
        plan.relate(done, pre, Kinds::ORD);
    }
}

impl Make<'_> {
    /// An instance whose stop is implied by fencing is reported to the others. spec 3 §16.5
    pub(super) fn notify_after_fencing(
        &mut self,
        rsc: RscIdx,
        stop: ActIdx,
        fencing: ActIdx,
        target: NodeIdx,
    ) {
        let (plan, facts) = (&mut self.plan, self.facts);
        let post = post_points(plan, facts, rsc, Task::STOP, stop, fencing);
        let mut data = NvTable::new();
        data.set("notify_stop_resource", facts.rscs[rsc].id.as_str());
        data.set("notify_stop_uname", facts.nodes[target].name.as_str());
        let points = Points {
            task: Task::STOP,
            pre: None,
            post,
        };
        let news = News::known(facts, data);
        for leaf in plan.now.leaves(facts.top_of(rsc)) {
            tell(plan, facts, leaf, &points, &news, true);
        }
    }
}

/// Who is told what, when the graph is built. spec 3 §16.2
pub(in super::super) fn tell_all(
    plan: &mut Plan,
    facts: &Facts,
    allowed: &[NodeIdx],
    clone: RscIdx,
) {
    let leaves = plan.now.leaves(clone);
    let news = collect(plan, facts, allowed, clone, &leaves);
    for task in TASKS {
        let found = plan
            .notify
            .iter()
            .find(|(whose, points)| *whose == clone && points.task == task);
        let Some((_, points)) = found.cloned() else {
            continue;
        };
        let any = news.doing().any(|doing| doing == task);
        if any {
            let (pre, post) = (points.pre, points.post);
            for idx in pre
                .into_iter()
                .flat_map(|(one, two)| [one, two])
                .chain([post.0, post.1])
            {
                plan.get_mut(idx).flags.clear(Flags::OPTIONAL);
            }
        }
        for leaf in &leaves {
            tell(plan, facts, *leaf, &points, &news, any);
        }
    }
}

type Entries = Vec<(RscIdx, NodeIdx)>;

/// What instances are told, all of them the same. It is put into words when the first one is really told.
struct News<'a> {
    facts: &'a Facts,
    what: What,
    words: OnceCell<NvTable>,
}

/// What happens in a clone: who does what, and who is what, where.
#[derive(Default)]
struct What {
    tasks: [Entries; 4],
    active: Entries,
    unpromoted: Entries,
    promoted: Entries,
    inactive: Vec<RscIdx>,
    available: Vec<NodeIdx>,
    hosts: Option<Vec<NodeIdx>>,
}

const TASKS: [Task; 4] = [Task::START, Task::STOP, Task::PROMOTE, Task::DEMOTE];

impl<'a> News<'a> {
    fn known(facts: &'a Facts, words: NvTable) -> Self {
        News {
            facts,
            what: What::default(),
            words: OnceCell::from(words),
        }
    }

    fn words(&self) -> &NvTable {
        self.words.get_or_init(|| self.what.worded(self.facts))
    }

    /// The tasks that have anything to do.
    fn doing(&self) -> impl Iterator<Item = Task> {
        let with = TASKS.into_iter().zip(&self.what.tasks);
        with.filter(|(_, entries)| !entries.is_empty())
            .map(|(task, _)| task)
    }
}

fn collect<'a>(
    plan: &Plan,
    facts: &'a Facts,
    allowed: &[NodeIdx],
    clone: RscIdx,
    leaves: &[RscIdx],
) -> News<'a> {
    let mut what = What {
        available: allowed.to_vec(),
        ..What::default()
    };
    for leaf in leaves {
        let active = facts.rscs[*leaf].active.first();
        match (plan.now.rscs[*leaf].orig_role, active) {
            (Role::Started, Some(node)) => what.active.push((*leaf, *node)),
            (Role::Unpromoted, Some(node)) => {
                what.unpromoted.push((*leaf, *node));
                what.active.push((*leaf, *node));
            }
            (Role::Promoted, Some(node)) => {
                what.promoted.push((*leaf, *node));
                what.active.push((*leaf, *node));
            }
            (Role::Stopped, _) => what.inactive.push(*leaf),
            _ => {}
        }
        for idx in plan.of(*leaf) {
            let it = plan.get(*idx);
            let Some(node) = it.node else { continue };
            let Some(at) = TASKS.iter().position(|task| *task == it.task) else {
                continue;
            };
            let lost_stop = it.task == Task::STOP && plan.now.nodes[node].unclean;
            if it.required() && (it.runnable() || lost_stop) {
                what.tasks[at].push((*leaf, node));
            }
        }
    }
    if facts.rscs[clone]
        .meta
        .get("container-attribute-target")
        .is_some_and(|on| on.eq_ignore_ascii_case("host"))
    {
        let host = |node: &NodeIdx| {
            facts
                .host_container(*node)
                .and_then(|container| plan.now.current(facts, container))
                .unwrap_or(*node)
        };
        what.hosts = Some(facts.node_order.iter().map(host).collect());
    }
    News {
        facts,
        what,
        words: OnceCell::new(),
    }
}

impl What {
    fn worded(&self, facts: &Facts) -> NvTable {
        let mut data = NvTable::new();
        let id = |rsc: RscIdx| facts.rscs[rsc].id.as_str();
        let mut both = |name: &str, entries: &Entries| {
            let mut entries = entries.clone();
            entries.sort_by(|(rsc_a, a), (rsc_b, b)| {
                let nodes = || facts.nodes[*a].id.cmp(&facts.nodes[*b].id);
                id(*rsc_a).cmp(id(*rsc_b)).then_with(nodes)
            });
            entries.dedup_by(|later, kept| id(later.0) == id(kept.0));
            data.set(
                format!("notify_{name}_resource"),
                joined(entries.iter().map(|(rsc, _)| id(*rsc))),
            );
            let names = entries
                .iter()
                .map(|(_, node)| facts.nodes[*node].name.as_str());
            data.set(format!("notify_{name}_uname"), joined(names));
        };
        for (name, entries) in ["start", "stop", "promote", "demote"]
            .into_iter()
            .zip(&self.tasks)
        {
            both(name, entries);
        }
        both("active", &self.active);
        both("unpromoted", &self.unpromoted);
        both("slave", &self.unpromoted);
        both("promoted", &self.promoted);
        both("master", &self.promoted);
        let mut inactive: Vec<&str> = self.inactive.iter().map(|rsc| id(*rsc)).collect();
        inactive.sort_unstable();
        inactive.dedup();
        data.set("notify_inactive_resource", joined(inactive.into_iter()));
        let name = |node: &NodeIdx| facts.nodes[*node].name.as_str();
        data.set(
            "notify_available_uname",
            joined(self.available.iter().map(name)),
        );
        data.set(
            "notify_all_uname",
            joined(facts.node_order.iter().map(name)),
        );
        if let Some(hosts) = &self.hosts {
            data.set("notify_all_hosts", joined(hosts.iter().map(name)));
        }
        data
    }
}

fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let text = words.collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        " ".to_owned()
    } else {
        text
    }
}

/// One primitive's part. spec 3 §16.3
fn tell(plan: &mut Plan, facts: &Facts, rsc: RscIdx, points: &Points, news: &News<'_>, any: bool) {
    for at in 0..plan.of(rsc).len() {
        let idx = plan.of(rsc)[at];
        let it = plan.get_mut(idx);
        let told = matches!(
            it.task,
            Task::START | Task::STOP | Task::PROMOTE | Task::DEMOTE
        );
        if told && it.required() && it.node.is_some() {
            it.meta.overwrite(news.words());
        }
    }
    let task = points.task;
    if task != Task::STOP && !any {
        return;
    }
    let (orig, next) = (plan.now.rscs[rsc].orig_role, plan.now.rscs[rsc].next_role);
    if matches!(task, Task::STOP | Task::DEMOTE) && orig != Role::Stopped {
        let stop = plan.newest(rsc, Task::STOP, None);
        for node in &facts.rscs[rsc].active {
            let there = &plan.now.nodes[*node];
            let implied = stop.is_some_and(|stop| plan.get(stop).pseudo())
                && (there.unclean || there.remote_reset);
            if implied {
                continue;
            }
            if let Some(pre) = points.pre {
                one(plan, facts, rsc, *node, NotifyPhase::Pre, task, pre, news);
            }
            if task == Task::DEMOTE || stop.is_none_or(|stop| !plan.get(stop).required()) {
                post(plan, facts, rsc, *node, points, news);
            }
        }
    }
    if matches!(task, Task::START | Task::PROMOTE) && next != Role::Stopped {
        let start = plan.newest(rsc, Task::START, None);
        let unreachable = start
            .and_then(|start| plan.get(start).node)
            .and_then(|node| facts.nodes[node].connection);
        if let Some(connection) = unreachable
            && plan
                .newest(connection, Task::START, None)
                .is_some_and(|start| !plan.get(start).runnable())
        {
            return;
        }
        let Some(node) = plan.now.rscs[rsc].assigned else {
            return;
        };
        if (task == Task::PROMOTE || start.is_none_or(|start| !plan.get(start).required()))
            && let Some(pre) = points.pre
        {
            one(plan, facts, rsc, node, NotifyPhase::Pre, task, pre, news);
        }
        post(plan, facts, rsc, node, points, news);
    }
}

fn post(
    plan: &mut Plan,
    facts: &Facts,
    rsc: RscIdx,
    node: NodeIdx,
    points: &Points,
    news: &News<'_>,
) {
    one(
        plan,
        facts,
        rsc,
        node,
        NotifyPhase::Post,
        points.task,
        points.post,
        news,
    );
    for at in 0..plan.of(rsc).len() {
        let idx = plan.of(rsc)[at];
        let it = plan.get(idx);
        if it.interval_ms() > 0 && it.task != Task::CANCEL {
            plan.relate(points.post.1, idx, Kinds::ORD);
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "who is told, where, when, of what, between which points"
)]
fn one(
    plan: &mut Plan,
    facts: &Facts,
    rsc: RscIdx,
    node: NodeIdx,
    phase: NotifyPhase,
    task: Task,
    (point, confirmed): (ActIdx, ActIdx),
    news: &News<'_>,
) {
    if !plan.now.nodes[node].online || !plan.get(point).runnable() {
        return;
    }
    let optional = !plan.get(point).required();
    let key = Key::Notify(phase, task);
    let idx = request::action(plan, facts, rsc, key, Task::NOTIFY, Some(node), optional);
    let inherited = plan.get(point).meta.clone();
    let it = plan.get_mut(idx);
    it.meta.add_missing(&inherited);
    let told = it.required() || it.flags.has(Flags::SHOW_ALWAYS);
    if told || news.words.get().is_some() {
        it.meta.overwrite(news.words());
    }
    if phase == NotifyPhase::Post {
        it.priority = 1_000_000;
    }
    plan.relate(point, idx, Kinds::ORD);
    plan.relate(idx, confirmed, Kinds::ORD);
}
