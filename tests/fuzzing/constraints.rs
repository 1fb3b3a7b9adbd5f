//! Constraints of every kind between resources that are there, and now and then one that is not.

use std::cmp::Ordering;

use systole::xml::Element;

use crate::config::{Flavour, Name, World};
use crate::dice::Dice;

const SCORES: [&str; 10] = [
    "INFINITY",
    "-INFINITY",
    "100",
    "-100",
    "1",
    "0",
    "5000",
    "-1",
    "INFINITY",
    "INFINITY",
];
const KINDS: [&str; 5] = [
    "Mandatory",
    "Optional",
    "Serialize",
    "Mandatory",
    "Mandatory",
];

/// The whole section.
pub(crate) fn all(dice: &mut Dice, world: &mut World) -> Element {
    let mut section = Element::new("constraints");
    if world.names.is_empty() {
        return section;
    }
    for _ in 0..dice.below(8) {
        if let Some(constraint) = one(dice, world) {
            section.push(constraint);
        }
    }
    section
}

/// Any resource.
fn name(dice: &mut Dice, world: &World) -> Name {
    if world.flavour == Flavour::Everything && dice.chance(1) {
        return Name {
            id: "nobody".to_owned(),
            promotable: false,
            top: usize::MAX,
        };
    }
    world.names[dice.below(world.names.len())].clone()
}

/// Two that stand one behind the other, so that constraints do not contradict each other; any two where they may.
fn two(dice: &mut Dice, world: &World) -> Option<[Name; 2]> {
    for _ in 0..8 {
        let (first, second) = (name(dice, world), name(dice, world));
        match first.top.cmp(&second.top) {
            _ if world.wild => return Some([first, second]),
            Ordering::Less => return Some([first, second]),
            Ordering::Greater => return Some([second, first]),
            Ordering::Equal => {}
        }
    }
    None
}

fn one(dice: &mut Dice, world: &mut World) -> Option<Element> {
    Some(match dice.below(100) {
        0..30 => location(dice, world),
        30..55 => colocation(dice, world)?,
        55..80 => order(dice, world)?,
        80..87 => sets(dice, world, "rsc_colocation"),
        87..94 => sets(dice, world, "rsc_order"),
        _ if world.flavour == Flavour::Everything => ticket(dice, world),
        _ => location(dice, world),
    })
}

fn role(dice: &mut Dice, promotable: bool) -> Option<&'static str> {
    let wanted = if promotable { 50 } else { 5 };
    if !dice.chance(wanted) {
        return None;
    }
    Some(if promotable {
        dice.pick(&["Promoted", "Unpromoted", "Started", "Master"])
    } else {
        "Started"
    })
}

fn location(dice: &mut Dice, world: &mut World) -> Element {
    let Name {
        id: rsc,
        promotable,
        ..
    } = name(dice, world);
    let element = Element::new("rsc_location")
        .with("id", world.fresh("loc"))
        .with("rsc", rsc);
    let element = if world.flavour == Flavour::Everything && dice.chance(10) {
        element.with(
            "resource-discovery",
            dice.pick(&["always", "never", "exclusive"]),
        )
    } else {
        element
    };
    if dice.chance(60) {
        return element
            .with_some("role", role(dice, promotable))
            .with("node", world.node(dice))
            .with("score", dice.pick(&SCORES));
    }
    element.with_child(rule(dice, world, promotable))
}

fn rule(dice: &mut Dice, world: &mut World, promotable: bool) -> Element {
    let mut rule = Element::new("rule")
        .with("id", world.fresh("rule"))
        .with("score", dice.pick(&SCORES))
        .with_some("role", role(dice, promotable).filter(|_| promotable));
    if dice.chance(30) {
        rule.set("boolean-op", dice.pick(&["and", "or"]));
    }
    for _ in 0..dice.range(1, 2) {
        let expression = Element::new("expression")
            .with("id", world.fresh("expr"))
            .with(
                "attribute",
                dice.pick(&["#uname", "rack", "#id", "missing", "#kind"]),
            );
        let unary = ["defined", "not_defined"];
        let binary = ["eq", "ne", "lt", "gte"];
        rule.push(if dice.chance(40) {
            expression.with("operation", dice.pick(&unary))
        } else {
            let value = match dice.below(3) {
                0 => world.node(dice),
                1 => "a".to_owned(),
                _ => "1".to_owned(),
            };
            expression
                .with("operation", dice.pick(&binary))
                .with("value", value)
        });
    }
    if world.flavour == Flavour::Everything && dice.chance(10) {
        let date = Element::new("date_expression").with("id", world.fresh("date"));
        rule.push(match dice.below(3) {
            0 => date.with("operation", "gt").with("start", "2024-06-01"),
            1 => date.with("operation", "lt").with("end", "2024-06-30"),
            _ => date
                .with("operation", "in_range")
                .with("start", "2024-06-01")
                .with("end", "2024-06-03"),
        });
    }
    rule
}

fn colocation(dice: &mut Dice, world: &mut World) -> Option<Element> {
    let [with, rsc] = two(dice, world)?;
    let element = Element::new("rsc_colocation")
        .with("id", world.fresh("col"))
        .with("rsc", &rsc.id)
        .with("with-rsc", &with.id)
        .with("score", dice.pick(&SCORES))
        .with_some("rsc-role", role(dice, rsc.promotable))
        .with_some("with-rsc-role", role(dice, with.promotable));
    if dice.chance(10) {
        return Some(element.with("node-attribute", "rack"));
    }
    if world.flavour == Flavour::Everything && dice.chance(10) {
        return Some(element.with("influence", dice.pick(&["true", "false"])));
    }
    Some(element)
}

fn order(dice: &mut Dice, world: &mut World) -> Option<Element> {
    let [first, then] = two(dice, world)?;
    let action = |dice: &mut Dice, promotable: bool| {
        let all = ["start", "promote", "demote", "stop"];
        let plain = ["start", "stop"];
        let from: &[&str] = if promotable { &all } else { &plain };
        dice.chance(30).then(|| dice.pick(from))
    };
    let element = Element::new("rsc_order")
        .with("id", world.fresh("ord"))
        .with("first", &first.id)
        .with("then", &then.id)
        .with_some("first-action", action(dice, first.promotable))
        .with_some("then-action", action(dice, then.promotable))
        .with("kind", dice.pick(&KINDS));
    if dice.chance(15) {
        return Some(element.with("symmetrical", dice.pick(&["true", "false"])));
    }
    Some(element)
}

fn sets(dice: &mut Dice, world: &mut World, tag: &str) -> Element {
    let mut element = Element::new(tag).with("id", world.fresh("sets"));
    if tag == "rsc_colocation" {
        element.set("score", dice.pick(&SCORES));
    } else if dice.chance(60) {
        element.set("kind", dice.pick(&KINDS));
    }
    let mut names: Vec<Name> = (0..dice.range(2, 6)).map(|_| name(dice, world)).collect();
    if !world.wild {
        names.sort_by_key(|name| name.top);
        names.dedup_by_key(|name| name.top);
    } else {
        names.dedup_by(|a, b| a.id == b.id);
    }
    // In a set of colocated resources the later one depends, across sets the earlier one does.
    if tag == "rsc_colocation" {
        names.truncate(3);
    }
    while !names.is_empty() {
        let size = if tag == "rsc_colocation" {
            names.len()
        } else {
            dice.range(1, 3).min(names.len())
        };
        let mut set = Element::new("resource_set").with("id", world.fresh("rset"));
        if dice.chance(30) {
            set.set("sequential", dice.pick(&["true", "false"]));
        }
        if tag == "rsc_order" && world.flavour == Flavour::Everything && dice.chance(15) {
            set.set("require-all", "false");
            set.set("sequential", "false");
        }
        for name in names.drain(..size) {
            set.push(Element::new("resource_ref").with("id", &name.id));
        }
        element.push(set);
    }
    element
}

fn ticket(dice: &mut Dice, world: &mut World) -> Element {
    let Name {
        id: rsc,
        promotable,
        ..
    } = name(dice, world);
    let ticket = dice.pick(&["ta", "tb"]).to_owned();
    world.tickets.push(ticket.clone());
    Element::new("rsc_ticket")
        .with("id", world.fresh("tick"))
        .with("rsc", rsc)
        .with("ticket", ticket)
        .with_some("rsc-role", role(dice, promotable))
        .with(
            "loss-policy",
            dice.pick(&["stop", "fence", "freeze", "demote"]),
        )
}
