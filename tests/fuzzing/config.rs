//! A configuration from nothing: options, nodes, the resource tree. What it makes is what a person could write.

use systole::xml::Element;

use crate::constraints;
use crate::dice::Dice;

/// Which words of the language are used.
///
/// The shared ones leave out what series 3.0 does otherwise than 2.1 by the specification:
///
/// | left out | why |
/// |---|---|
/// | promotable clones | promotion scores and their order, spec 2 §22 |
/// | nodes in maintenance | what is active there is in maintenance itself, not only unmanaged, spec 1 §26 |
/// | utilization | `load_stopped` points without followers, spec 3 §17 |
/// | naming what is in a clone | found by its name, spec 2 §7.1 |
/// | `require-all="false"` | a clone counts when it runs, not when it begins to, spec 3 §10.5 |
/// | `terminate` | other words, spec 1 §33 |
/// | tickets, templates, bundles, `critical`, `on-fail="demote"` | not part of this comparison |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// All of them.
    Everything,
    /// Those whose meaning did not change between series 2.1 and 3.0, so that an older program may be asked.
    Shared,
}

/// What a primitive is to the rest of the generator.
#[derive(Debug, Clone)]
pub(crate) struct Primitive {
    /// Its id.
    pub(crate) id: String,
    /// Instances that history may speak of: `None` outside of clones.
    pub(crate) instances: Option<usize>,
    /// Whether instances are told apart by their number.
    pub(crate) unique: bool,
    /// Whether it can be promoted.
    pub(crate) promotable: bool,
    /// `stonith` or `ocf`.
    pub(crate) class: &'static str,
    /// Its agent.
    pub(crate) kind: &'static str,
    /// Recurring operations: name and interval in ms.
    pub(crate) recurring: Vec<(String, u64)>,
}

/// A resource as constraints see it.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    /// Its id.
    pub(crate) id: String,
    /// Whether it can be promoted.
    pub(crate) promotable: bool,
    /// The number of the outermost resource that it is, or is in.
    pub(crate) top: usize,
}

/// A configuration and what was put into it.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// Which words are used.
    pub(crate) flavour: Flavour,
    /// Node names and their ids.
    pub(crate) nodes: Vec<(String, String)>,
    /// Every primitive, those in groups and clones too.
    pub(crate) primitives: Vec<Primitive>,
    /// What constraints may name.
    pub(crate) names: Vec<Name>,
    /// Whether constraints may contradict each other.
    pub(crate) wild: bool,
    /// Tickets that are asked for.
    pub(crate) tickets: Vec<String>,
    templated: bool,
    counter: usize,
    tops: usize,
}

impl World {
    /// An id that nothing else has.
    pub(crate) fn fresh(&mut self, prefix: &str) -> String {
        self.counter += 1;
        format!("{prefix}-{}", self.counter)
    }

    /// One name and value of a block, with an id.
    pub(crate) fn nvpair(&mut self, name: &str, value: &str) -> Element {
        Element::new("nvpair")
            .with("id", self.fresh("nv"))
            .with("name", name)
            .with("value", value)
    }

    /// A block of pairs; nothing when there are none.
    pub(crate) fn block(&mut self, tag: &str, pairs: &[(String, String)]) -> Option<Element> {
        if pairs.is_empty() {
            return None;
        }
        let block = Element::new(tag).with("id", self.fresh("set"));
        Some(pairs.iter().fold(block, |block, (name, value)| {
            block.with_child(self.nvpair(name, value))
        }))
    }

    fn name(&mut self, id: &str, promotable: bool) {
        self.names.push(Name {
            id: id.to_owned(),
            promotable,
            top: self.tops,
        });
    }

    /// The name of a node.
    pub(crate) fn node(&self, dice: &mut Dice) -> String {
        self.nodes[dice.below(self.nodes.len())].0.clone()
    }
}

/// Pairs of a block as they are collected.
pub(crate) type Pairs = Vec<(String, String)>;

fn maybe(dice: &mut Dice, pairs: &mut Pairs, percent: usize, name: &str, values: &[&str]) {
    if dice.chance(percent) {
        pairs.push((name.to_owned(), dice.pick(values).to_owned()));
    }
}

/// A whole configuration.
pub(crate) fn configuration(dice: &mut Dice, flavour: Flavour) -> (World, Element) {
    let mut world = World {
        flavour,
        nodes: Vec::new(),
        primitives: Vec::new(),
        names: Vec::new(),
        wild: flavour == Flavour::Everything && dice.chance(6),
        tops: 0,
        templated: false,
        tickets: Vec::new(),
        counter: 0,
    };
    for number in 1..=dice.range(1, 6) {
        let name = format!("n{number}");
        let id = if dice.chance(20) {
            name.clone()
        } else {
            number.to_string()
        };
        world.nodes.push((name, id));
    }
    let fencing = dice.chance(65);
    let utilization = dice.chance(12) && flavour == Flavour::Everything;
    let options = options(dice, &mut world, fencing, utilization);
    let nodes = nodes(dice, &mut world, utilization);
    let mut resources = Element::new("resources");
    if flavour == Flavour::Everything && dice.chance(15) {
        resources.push(template(dice, &mut world));
        world.templated = true;
    }
    if fencing {
        resources.push(device(dice, &mut world));
    }
    for _ in 0..dice.range(1, 6) {
        world.tops += 1;
        resources.push(resource(dice, &mut world, utilization));
    }
    let constraints = constraints::all(dice, &mut world);
    let mut configuration = Element::new("configuration")
        .with_child(options)
        .with_child(nodes)
        .with_child(resources)
        .with_child(constraints);
    configuration.push(defaults(dice, &mut world));
    (world, configuration)
}

fn options(dice: &mut Dice, world: &mut World, fencing: bool, utilization: bool) -> Element {
    let mut pairs: Pairs = vec![
        ("stonith-enabled".into(), fencing.to_string()),
        ("concurrent-fencing".into(), "true".into()),
    ];
    let booleans = ["true", "false"];
    let policies = ["stop", "freeze", "ignore", "suicide", "demote"];
    maybe(dice, &mut pairs, 50, "no-quorum-policy", &policies);
    maybe(dice, &mut pairs, 15, "symmetric-cluster", &booleans);
    maybe(dice, &mut pairs, 4, "maintenance-mode", &booleans);
    maybe(dice, &mut pairs, 3, "stop-all-resources", &["true"]);
    maybe(dice, &mut pairs, 10, "start-failure-is-fatal", &booleans);
    maybe(dice, &mut pairs, 8, "stop-orphan-resources", &booleans);
    maybe(dice, &mut pairs, 8, "stop-orphan-actions", &booleans);
    maybe(dice, &mut pairs, 8, "enable-startup-probes", &booleans);
    maybe(dice, &mut pairs, 8, "startup-fencing", &booleans);
    maybe(dice, &mut pairs, 8, "priority-fencing-delay", &["15s", "0"]);
    maybe(dice, &mut pairs, 6, "stonith-action", &["off", "reboot"]);
    maybe(dice, &mut pairs, 6, "shutdown-lock", &["true"]);
    let health = [
        "migrate-on-red",
        "only-green",
        "progressive",
        "custom",
        "none",
    ];
    maybe(dice, &mut pairs, 6, "node-health-strategy", &health);
    if utilization {
        let strategies = ["utilization", "minimal", "balanced"];
        pairs.push((
            "placement-strategy".into(),
            dice.pick(&strategies).to_owned(),
        ));
    }
    Element::new("crm_config").with_children(world.block("cluster_property_set", &pairs))
}

fn nodes(dice: &mut Dice, world: &mut World, utilization: bool) -> Element {
    let mut section = Element::new("nodes");
    for (name, id) in world.nodes.clone() {
        let mut pairs = Pairs::new();
        maybe(dice, &mut pairs, 8, "standby", &["on", "off", "true"]);
        if world.flavour == Flavour::Everything {
            maybe(dice, &mut pairs, 5, "maintenance", &["true", "false"]);
        }
        maybe(dice, &mut pairs, 40, "rack", &["a", "b", "1"]);
        maybe(
            dice,
            &mut pairs,
            6,
            "#health-disk",
            &["red", "yellow", "green", "-10"],
        );
        let mut node = Element::new("node").with("id", &id).with("uname", &name);
        node = node.with_children(world.block("instance_attributes", &pairs));
        if utilization {
            let pairs = vec![("cpu".to_owned(), dice.range(1, 6).to_string())];
            node = node.with_children(world.block("utilization", &pairs));
        }
        section.push(node);
    }
    section
}

fn defaults(dice: &mut Dice, world: &mut World) -> Element {
    let mut pairs = Pairs::new();
    maybe(
        dice,
        &mut pairs,
        30,
        "resource-stickiness",
        &["0", "1", "100", "INFINITY"],
    );
    maybe(
        dice,
        &mut pairs,
        15,
        "migration-threshold",
        &["1", "2", "3", "INFINITY"],
    );
    maybe(
        dice,
        &mut pairs,
        10,
        "failure-timeout",
        &["10s", "60", "1h"],
    );
    Element::new("rsc_defaults").with_children(world.block("meta_attributes", &pairs))
}

fn meta(dice: &mut Dice, world: &mut World, percent: usize) -> Option<Element> {
    let mut pairs = Pairs::new();
    let p = percent;
    let roles: &[&str] = match world.flavour {
        Flavour::Everything => &[
            "Started",
            "Stopped",
            "Promoted",
            "Unpromoted",
            "Slave",
            "Master",
        ],
        Flavour::Shared => &["Started", "Stopped"],
    };
    maybe(dice, &mut pairs, p / 2, "target-role", roles);
    maybe(dice, &mut pairs, p / 3, "is-managed", &["false", "true"]);
    maybe(dice, &mut pairs, p, "priority", &["1", "5", "-3", "100"]);
    maybe(
        dice,
        &mut pairs,
        p,
        "resource-stickiness",
        &["0", "1", "100", "-1", "INFINITY"],
    );
    maybe(dice, &mut pairs, p, "migration-threshold", &["1", "2", "5"]);
    maybe(dice, &mut pairs, p / 2, "failure-timeout", &["5s", "120"]);
    maybe(dice, &mut pairs, p, "allow-migrate", &["true", "false"]);
    let active = ["stop_start", "stop_only", "block", "stop_unexpected"];
    maybe(dice, &mut pairs, p / 2, "multiple-active", &active);
    maybe(
        dice,
        &mut pairs,
        p / 3,
        "requires",
        &["nothing", "quorum", "fencing"],
    );
    maybe(dice, &mut pairs, p / 4, "maintenance", &["true", "false"]);
    maybe(dice, &mut pairs, p / 4, "critical", &["false", "true"]);
    maybe(
        dice,
        &mut pairs,
        p / 4,
        "allow-unhealthy-nodes",
        &["true", "false"],
    );
    world.block("meta_attributes", &pairs)
}

fn template(dice: &mut Dice, world: &mut World) -> Element {
    let template = Element::new("template")
        .with("id", "tmpl")
        .with("class", "ocf")
        .with("provider", "pacemaker")
        .with("type", "Dummy");
    template
        .with_children(meta(dice, world, 15))
        .with_children(operations(dice, world, "tmpl", false).0)
}

fn device(dice: &mut Dice, world: &mut World) -> Element {
    let id = "Fencing".to_owned();
    let (operations, recurring) = operations(dice, world, &id, false);
    world.primitives.push(Primitive {
        id: id.clone(),
        instances: None,
        unique: false,
        promotable: false,
        class: "stonith",
        kind: "fence_xvm",
        recurring,
    });
    Element::new("primitive")
        .with("id", id)
        .with("class", "stonith")
        .with("type", "fence_xvm")
        .with_children(operations)
}

/// Operations of a primitive, and those of them that recur.
fn operations(
    dice: &mut Dice,
    world: &mut World,
    rsc: &str,
    promotable: bool,
) -> (Option<Element>, Vec<(String, u64)>) {
    let mut section = Element::new("operations");
    let mut recurring = Vec::new();
    let on_fail: &[&str] = match world.flavour {
        Flavour::Everything => &[
            "ignore",
            "block",
            "stop",
            "restart",
            "standby",
            "fence",
            "demote",
            "restart-container",
        ],
        Flavour::Shared => &["ignore", "block", "stop", "restart", "standby", "fence"],
    };
    let mut add = |dice: &mut Dice, name: &str, interval: &str, role: Option<&str>| {
        let mut op = Element::new("op")
            .with("id", format!("{rsc}-{name}-{interval}"))
            .with("name", name)
            .with("interval", interval)
            .with_some("role", role);
        if dice.chance(35) {
            op.set("on-fail", dice.pick(on_fail));
        }
        if dice.chance(30) {
            op.set("timeout", dice.pick(&["20s", "90", "1min"]));
        }
        if dice.chance(3) {
            op.set("enabled", "false");
        }
        section.push(op);
    };
    if dice.chance(60) {
        add(dice, "monitor", "10s", None);
        recurring.push(("monitor".to_owned(), 10_000));
    }
    if dice.chance(8) {
        add(dice, "monitor", "25s", Some("Stopped"));
    }
    if promotable && dice.chance(60) {
        let role = match world.flavour {
            Flavour::Everything => dice.pick(&["Promoted", "Master"]),
            Flavour::Shared => "Promoted",
        };
        add(dice, "monitor", "11s", Some(role));
        recurring.push(("monitor".to_owned(), 11_000));
    }
    for name in [
        "start",
        "stop",
        "promote",
        "demote",
        "migrate_to",
        "migrate_from",
    ] {
        if dice.chance(12) && (promotable || !name.ends_with("mote")) {
            add(dice, name, "0", None);
        }
    }
    (section.has_children().then_some(section), recurring)
}

/// Where a primitive stands.
#[derive(Debug, Clone, Copy)]
struct Inside {
    instances: Option<usize>,
    unique: bool,
    promotable: bool,
}

const ALONE: Inside = Inside {
    instances: None,
    unique: false,
    promotable: false,
};

fn primitive(dice: &mut Dice, world: &mut World, inside: Inside, utilization: bool) -> Element {
    let id = world.fresh("r");
    let (operations, recurring) = operations(dice, world, &id, inside.promotable);
    let kind = if inside.promotable {
        "Stateful"
    } else {
        "Dummy"
    };
    let templated = world.templated && dice.chance(35);
    world.primitives.push(Primitive {
        id: id.clone(),
        instances: inside.instances,
        unique: inside.unique,
        promotable: inside.promotable,
        class: "ocf",
        kind,
        recurring,
    });
    // The older program does not find a primitive in a clone by its name. (spec 2 §7.1)
    if inside.instances.is_none() || world.flavour == Flavour::Everything {
        world.name(&id, inside.promotable);
    }
    let element = Element::new("primitive").with("id", id);
    let element = if templated {
        element.with("template", "tmpl")
    } else {
        let element = element.with("class", "ocf").with("provider", "pacemaker");
        element.with("type", kind)
    };
    let element = element.with_children(meta(dice, world, 10));
    let params = if dice.chance(25) {
        vec![("state".to_owned(), "/run/x".to_owned())]
    } else {
        Pairs::new()
    };
    let element = element
        .with_children(world.block("instance_attributes", &params))
        .with_children(operations);
    if !utilization {
        return element;
    }
    let pairs = vec![("cpu".to_owned(), dice.range(0, 3).to_string())];
    element.with_children(world.block("utilization", &pairs))
}

fn group(dice: &mut Dice, world: &mut World, inside: Inside, utilization: bool) -> Element {
    let id = world.fresh("g");
    if inside.instances.is_none() || world.flavour == Flavour::Everything {
        world.name(&id, inside.promotable);
    }
    let mut group = Element::new("group")
        .with("id", id)
        .with_children(meta(dice, world, 8));
    for _ in 0..dice.range(1, 4) {
        group.push(primitive(dice, world, inside, utilization));
    }
    group
}

fn resource(dice: &mut Dice, world: &mut World, utilization: bool) -> Element {
    let bundles = world.flavour == Flavour::Everything;
    match dice.below(100) {
        0..40 => primitive(dice, world, ALONE, utilization),
        40..62 => group(dice, world, ALONE, utilization),
        62..96 => clone(dice, world, utilization),
        _ if bundles => bundle(dice, world),
        _ => primitive(dice, world, ALONE, utilization),
    }
}

fn clone(dice: &mut Dice, world: &mut World, utilization: bool) -> Element {
    let id = world.fresh("c");
    let promotable = dice.chance(match world.flavour {
        Flavour::Everything => 45,
        Flavour::Shared => 0,
    });
    let unique = dice.chance(15);
    let mut pairs: Pairs = Vec::new();
    let max = dice.range(1, 5);
    if dice.chance(40) {
        pairs.push(("clone-max".into(), max.to_string()));
    }
    if unique {
        pairs.push(("globally-unique".into(), "true".into()));
        maybe(dice, &mut pairs, 50, "clone-node-max", &["1", "2", "3"]);
    }
    if promotable {
        pairs.push(("promotable".into(), "true".into()));
        maybe(dice, &mut pairs, 30, "promoted-max", &["0", "1", "2", "3"]);
        maybe(dice, &mut pairs, 10, "promoted-node-max", &["1", "2"]);
    }
    maybe(dice, &mut pairs, 25, "interleave", &["true", "false"]);
    maybe(dice, &mut pairs, 12, "ordered", &["true", "false"]);
    maybe(dice, &mut pairs, 12, "notify", &["true"]);
    maybe(dice, &mut pairs, 10, "clone-min", &["1", "2"]);
    maybe(dice, &mut pairs, 8, "is-managed", &["false"]);
    maybe(dice, &mut pairs, 8, "priority", &["10", "-1"]);
    let inside = Inside {
        instances: Some(world.nodes.len().max(max)),
        unique,
        promotable,
    };
    world.name(&id, promotable);
    let clone = Element::new("clone")
        .with("id", id)
        .with_children(world.block("meta_attributes", &pairs));
    let child = if dice.chance(25) {
        group(dice, world, inside, utilization)
    } else {
        primitive(dice, world, inside, utilization)
    };
    clone.with_child(child)
}

fn bundle(dice: &mut Dice, world: &mut World) -> Element {
    let id = world.fresh("b");
    let replicas = dice.range(1, 3);
    let mut container = Element::new(dice.pick(&["docker", "podman"]))
        .with("image", "x:latest")
        .with("replicas", replicas.to_string());
    if dice.chance(30) {
        container.set("replicas-per-host", "2");
    }
    let promotable = dice.chance(40);
    if promotable {
        container.set("promoted-max", "1");
    }
    world.name(&id, promotable);
    let mut bundle = Element::new("bundle").with("id", &id).with_child(container);
    let mut network = Element::new("network");
    if dice.chance(70) {
        network.set("ip-range-start", "192.168.122.131");
    }
    if dice.chance(60) {
        network.set("control-port", "9999");
    }
    if network.attr_count() > 0 {
        bundle.push(network);
    }
    if dice.chance(75) {
        let inside = Inside {
            instances: Some(replicas),
            unique: false,
            promotable,
        };
        bundle.push(primitive(dice, world, inside, false));
        // It never ran outside of its container: what a host says of that name is not this resource.
        world.primitives.pop();
    }
    bundle
}
