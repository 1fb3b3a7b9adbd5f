//! A status section for a configuration: nodes in every state, and histories as they come about, and some that don't.

use systole::xml::Element;

use crate::config::{Flavour, Primitive, World};
use crate::dice::Dice;

/// When all of this happens.
pub(crate) const NOW_S: i64 = 1_717_600_000;

/// One recorded operation in the making.
#[derive(Debug, Clone)]
struct Op {
    task: &'static str,
    interval_ms: u64,
    rc: i32,
    status: i32,
    expected: i32,
    /// For migrations: where from and where to.
    between: Option<(String, String)>,
}

impl Op {
    fn done(task: &'static str, rc: i32) -> Self {
        Op {
            task,
            interval_ms: 0,
            rc,
            status: 0,
            expected: if task == "monitor" { 7 } else { 0 },
            between: None,
        }
    }

    fn pending(task: &'static str) -> Self {
        Op {
            rc: 193,
            status: -1,
            ..Op::done(task, 0)
        }
    }

    fn every(interval_ms: u64, rc: i32) -> Self {
        Op {
            interval_ms,
            expected: 0,
            ..Op::done("monitor", rc)
        }
    }
}

/// The whole section.
pub(crate) fn status(dice: &mut Dice, world: &World) -> Element {
    let mut status = Element::new("status");
    for (name, id) in &world.nodes {
        if dice.chance(4) {
            continue;
        }
        status.push(node(dice, world, name, id));
    }
    if !world.tickets.is_empty() {
        let mut tickets = Element::new("tickets");
        for id in ["ta", "tb"] {
            if dice.chance(60) {
                let state = Element::new("ticket_state")
                    .with("id", id)
                    .with("granted", dice.pick(&["true", "false"]))
                    .with("last-granted", (NOW_S - 100).to_string());
                tickets.push(if dice.chance(15) {
                    state.with("standby", "true")
                } else {
                    state
                });
            }
        }
        status.push(tickets);
    }
    status
}

fn node(dice: &mut Dice, world: &World, name: &str, id: &str) -> Element {
    // in_ccm, crmd, join, expected
    let words = match dice.below(100) {
        0..74 => ["true", "online", "member", "member"],
        74..82 => ["false", "offline", "down", "down"],
        82..91 => ["false", "offline", "down", "member"],
        91..94 => ["true", "offline", "down", "member"],
        94..96 => ["true", "online", "pending", "member"],
        96..98 => ["true", "online", "banned", "member"],
        _ => ["true", "online", "down", "member"],
    };
    let mut state = Element::new("node_state")
        .with("id", id)
        .with("uname", name);
    for (key, word) in ["in_ccm", "crmd", "join", "expected"]
        .into_iter()
        .zip(words)
    {
        state.set(key, word);
    }
    let mut attributes = Element::new("instance_attributes").with("id", format!("status-{id}"));
    let mut set = |name: &str, value: &str| {
        let pair = Element::new("nvpair")
            .with("id", format!("status-{id}-{}", name.replace('#', ".")))
            .with("name", name)
            .with("value", value);
        attributes.push(pair);
    };
    if dice.chance(5) {
        set("shutdown", &(NOW_S - 5).to_string());
    }
    if dice.chance(3) && world.flavour == Flavour::Everything {
        set("terminate", "true");
    }
    let mut entries = Element::new("lrm_resources");
    for primitive in &world.primitives {
        for (entry_id, fail_id) in entry_ids(dice, primitive) {
            let ops = history(dice, world, primitive, name);
            if ops.is_empty() {
                continue;
            }
            if let Some(failed) = ops.iter().find(|op| op.rc != op.expected && op.status >= 0)
                && dice.chance(85)
            {
                let key = format!("{fail_id}#{}_{}", failed.task, failed.interval_ms);
                let count = dice.pick(&["1", "1", "2", "3", "INFINITY"]);
                set(&format!("fail-count-{key}"), count);
                let when = NOW_S - 30;
                set(&format!("last-failure-{key}"), &when.to_string());
            }
            if primitive.promotable && dice.chance(60) {
                let score = dice.pick(&["5", "10", "-1", "100", "INFINITY"]);
                set(&format!("master-{}", primitive.id), score);
            }
            entries.push(entry(
                &entry_id,
                primitive.class,
                primitive.kind,
                name,
                &ops,
            ));
        }
    }
    if dice.chance(6) {
        let ops = [Op::done("monitor", 7), Op::done("start", 0)];
        entries.push(entry("gone", "ocf", "Dummy", name, &ops));
    }
    if attributes.has_children() {
        let transient = Element::new("transient_attributes").with("id", id);
        state.push(transient.with_child(attributes));
    }
    state.push(Element::new("lrm").with("id", id).with_child(entries));
    state
}

/// Under which names a node knows a primitive: the entry's, and that of fail counts.
fn entry_ids(dice: &mut Dice, primitive: &Primitive) -> Vec<(String, String)> {
    let id = &primitive.id;
    match primitive.instances {
        None => vec![(id.clone(), id.clone())],
        Some(instances) if primitive.unique => (0..instances)
            .filter(|_| dice.chance(60))
            .map(|number| (format!("{id}:{number}"), format!("{id}:{number}")))
            .collect(),
        Some(_) if dice.chance(70) => vec![(id.clone(), id.clone())],
        Some(instances) => vec![(format!("{id}:{}", dice.below(instances)), id.clone())],
    }
}

/// What happened to a primitive on a node, oldest first.
fn history(dice: &mut Dice, world: &World, primitive: &Primitive, node: &str) -> Vec<Op> {
    let mut ops = vec![Op::done("monitor", 7)];
    let started = |dice: &mut Dice, ops: &mut Vec<Op>| {
        ops.push(Op::done("start", 0));
        for (_, interval_ms) in &primitive.recurring {
            if *interval_ms == 10_000 && dice.chance(85) {
                ops.push(Op::every(*interval_ms, 0));
            }
        }
    };
    let active = if primitive.instances.is_some() {
        55
    } else {
        30
    };
    match dice.below(100) {
        0..12 => ops.clear(),
        roll if roll < 12 + active => started(dice, &mut ops),
        roll if roll < 82 => {}
        82..84 => ops = vec![Op::done("monitor", 0)],
        84..87 => {
            started(dice, &mut ops);
            let rc = dice.one_of(&[1, 7, 7, 9, 5, 198]);
            let status = dice.one_of(&[0, 0, 2]);
            ops.pop_if(|op| op.interval_ms > 0);
            ops.push(Op {
                status,
                ..Op::every(10_000, rc)
            });
        }
        87..89 => ops.push(Op {
            status: 4,
            ..Op::done("start", dice.one_of(&[1, 5, 6, 2, 4]))
        }),
        89..91 => {
            started(dice, &mut ops);
            ops.push(Op {
                status: dice.one_of(&[0, 4, 2]),
                ..Op::done("stop", 1)
            });
        }
        91..93 => {
            started(dice, &mut ops);
            ops.push(Op::done("stop", 0));
        }
        93..95 => {
            let task = dice.pick(&["start", "stop", "monitor"]);
            if task == "stop" {
                started(dice, &mut ops);
            }
            if task == "monitor" {
                ops.clear();
            }
            ops.push(Op::pending(task));
        }
        95..97 => {
            let other = world.node(dice);
            let task = dice.pick(&["migrate_to", "migrate_from"]);
            let between = match task {
                "migrate_to" => (node.to_owned(), other),
                _ => (other, node.to_owned()),
            };
            if task == "migrate_to" {
                started(dice, &mut ops);
            }
            let op = match dice.below(3) {
                0 => Op::pending(task),
                1 => Op::done(task, 1),
                _ => Op::done(task, 0),
            };
            ops.push(Op {
                between: Some(between),
                ..op
            });
        }
        97 => {
            let rc = dice.one_of(&[1, 5, 6, 8, 9, 2, 3]);
            ops = vec![Op {
                status: dice.one_of(&[0, 4]),
                ..Op::done("monitor", rc)
            }];
        }
        _ => started(dice, &mut ops),
    }
    if primitive.promotable && ops.last().is_some_and(|op| op.rc == 0 && op.task != "stop") {
        match dice.below(20) {
            0..7 => ops.push(Op::done("promote", 0)),
            7 => ops.push(Op::done("promote", 1)),
            8 => {
                ops.push(Op::done("promote", 0));
                ops.push(Op::done("demote", dice.one_of(&[0, 1])));
            }
            9 => ops.push(Op::pending("promote")),
            _ => {}
        }
    }
    ops
}

fn entry(id: &str, class: &str, kind: &str, node: &str, ops: &[Op]) -> Element {
    let mut entry = Element::new("lrm_resource")
        .with("id", id)
        .with("type", kind)
        .with("class", class);
    if class == "ocf" {
        entry.set("provider", "pacemaker");
    }
    for (number, op) in ops.iter().enumerate() {
        let key = format!("{id}_{}_{}", op.task, op.interval_ms);
        let failed = op.rc != op.expected && op.status >= 0 && op.task != "monitor";
        let row_id = match (failed, op.interval_ms) {
            (true, _) => format!("{id}_last_failure_0"),
            (_, 0) if op.task == "monitor" && number == 0 => format!("{id}_monitor_0"),
            (_, 0) => format!("{id}_last_0"),
            _ => key.clone(),
        };
        // The daemons keep one entry of a name; the newest one wins.
        entry.retain_children(|row| row.id() != Some(&row_id));
        let transition = format!(
            "{}:{}:{}:00000000-0000-0000-0000-000000000000",
            number + 1,
            number + 1,
            op.expected
        );
        let call = if op.status < 0 {
            -1
        } else {
            i32::try_from(number).unwrap_or(0) + 5
        };
        let when = NOW_S - 60 + i64::try_from(number).unwrap_or(0);
        let mut row = Element::new("lrm_rsc_op")
            .with("id", row_id)
            .with("operation_key", key)
            .with("operation", op.task)
            .with("crm-debug-origin", "do_update_resource")
            .with("crm_feature_set", "3.16.0")
            .with("transition-key", &transition)
            .with(
                "transition-magic",
                format!("{}:{};{transition}", op.status, op.rc),
            )
            .with("on_node", node)
            .with("call-id", call.to_string())
            .with("rc-code", op.rc.to_string())
            .with("op-status", op.status.to_string())
            .with("interval", op.interval_ms.to_string())
            .with("last-rc-change", when.to_string())
            .with("exec-time", "10")
            .with("queue-time", "0");
        if let Some((source, target)) = &op.between {
            row.set("migrate_source", source);
            row.set("migrate_target", target);
        }
        entry.push(row);
    }
    entry
}
