//! Location constraints (spec 2 §6.3, §7.3, §7.4).

use regex::Regex;

use super::Reader;
use super::set::{self, Named, Set};
use crate::policy::facts::Facts;
use crate::policy::facts::rules::{self, RuleInput};
use crate::policy::index::{NodeIdx, RscIdx};
use crate::policy::nodetable::Discovery;
use crate::policy::nvtable::Str;
use crate::policy::report::Cause;
use crate::terms::{Role, Score, text};
use crate::xml::Element;

/// Roles that survive parsing as a filter (spec 2 §7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleFilter {
    /// Only for promotion scores.
    Promoted,
    /// Only where the target role is Stopped.
    Stopped,
}

/// A resource likes or dislikes nodes.
#[derive(Debug, Clone)]
pub struct Location {
    /// Id of the element, or the name of the health strategy.
    pub id: Str,
    /// The resource.
    pub rsc: RscIdx,
    /// Role that it is limited to.
    pub role: Option<RoleFilter>,
    /// Raises the probe mode of the entries.
    pub discovery: Discovery,
    /// Nodes and scores; empty where a rule matches no node.
    pub nodes: Vec<(NodeIdx, Score)>,
    /// Where it came from.
    pub cause: Cause,
}

/// Node health becomes location constraints, before any configured one. // spec 2 §6.2
pub(super) fn health(reader: &mut Reader<'_>) {
    let facts = reader.facts;
    let strategy = facts.options.health_strategy.name();
    for &node in &facts.node_order {
        let health = facts.nodes[node].health;
        if health == Score::ZERO {
            continue;
        }
        for &rsc in &facts.top {
            let allowed = text::is_true(facts.rscs[rsc].meta.get("allow-unhealthy-nodes"));
            if health < Score::ZERO && allowed {
                continue;
            }
            reader.out.locations.push(Location {
                id: strategy.into(),
                rsc,
                role: None,
                discovery: Discovery::Always,
                nodes: vec![(node, health)],
                cause: Cause::Health { strategy },
            });
        }
    }
}

/// Reads one `rsc_location`. // spec 2 §7.3
pub(super) fn read(reader: &mut Reader<'_>, element: &Element) {
    let facts = reader.facts;
    let mut sets = set::read_all(facts, element);
    let simple = element.get("rsc");
    if sets.is_empty()
        && let Some(Named::Tag(refs)) = simple.and_then(|rsc| set::named(facts, rsc))
    {
        let mut tag = Set::of(simple.unwrap_or_default(), refs, Some(false));
        tag.role = element.get("role").map(Str::from);
        sets.push(tag);
    }
    if !sets.is_empty() {
        for set in &sets {
            for id in &set.refs {
                let Some(rsc) = facts.rsc_named(id) else {
                    reader.unknown(element, id);
                    return;
                };
                let given = Given {
                    role: set.role.as_deref(),
                    score: set.score.as_deref(),
                    submatches: None,
                };
                one(reader, element, rsc, &given);
            }
        }
        return;
    }
    if let Some(id) = simple {
        match facts.rsc_named(id) {
            Some(rsc) => one(reader, element, rsc, &Given::default()),
            None => reader.unknown(element, id),
        }
    }
    if let Some(pattern) = element.get("rsc-pattern") {
        by_pattern(reader, element, pattern);
    }
}

fn by_pattern(reader: &mut Reader<'_>, element: &Element, pattern: &str) {
    let facts = reader.facts;
    let (pattern, inverted) = match pattern.strip_prefix('!') {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let Ok(regex) = Regex::new(pattern) else {
        let id = element.get("id").unwrap_or_default();
        reader.warn(format!(
            "location `{id}`: `{pattern}` is not a regular expression"
        ));
        return;
    };
    for &rsc in &facts.top {
        let found = regex.captures(facts.rscs[rsc].id.as_str());
        match (found, inverted) {
            (Some(found), false) => {
                let texts: Vec<String> = found
                    .iter()
                    .map(|part| part.map_or(String::new(), |part| part.as_str().to_owned()))
                    .collect();
                let given = Given {
                    submatches: Some(&texts),
                    ..Given::default()
                };
                one(reader, element, rsc, &given);
            }
            (None, true) => one(reader, element, rsc, &Given::default()),
            _ => {}
        }
    }
}

/// What a set or pattern adds to the element.
#[derive(Default)]
struct Given<'a> {
    role: Option<&'a str>,
    score: Option<&'a str>,
    submatches: Option<&'a [String]>,
}

fn one(reader: &mut Reader<'_>, element: &Element, rsc: RscIdx, given: &Given<'_>) {
    let facts = reader.facts;
    let id: Str = element.get("id").unwrap_or_default().into();
    let discovery = match element
        .get("resource-discovery")
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        Some("never") => Discovery::Never,
        Some("exclusive") => Discovery::Exclusive,
        _ => Discovery::Always,
    };
    let score = given.score.or_else(|| element.get("score"));
    let (role, nodes, rule) = match (element.get("node"), score) {
        (Some(node), Some(score)) => {
            // Nothing is wrong with a node that is yet to come.
            let Some(node) = facts.node_by_name(node) else {
                return;
            };
            let role = given.role.or_else(|| element.get("role"));
            (
                role,
                vec![(node, facts.score(score).unwrap_or(Score::ZERO))],
                None,
            )
        }
        _ => {
            let written = element.children_named("rule").next();
            let Some(rule) = written.and_then(|rule| facts.context.document.resolve(rule)) else {
                reader.warn(format!(
                    "location `{id}` has neither a node with a score nor a rule"
                ));
                return;
            };
            let role = rule
                .get("role")
                .or(given.role)
                .or_else(|| element.get("role"));
            (
                role,
                by_rule(facts, rsc, rule, given.submatches),
                rule.get("id").map(Str::from),
            )
        }
    };
    let role = match role.map(Role::parse) {
        None | Some(Some(Role::Started | Role::Unpromoted)) => None,
        Some(Some(Role::Promoted)) => Some(RoleFilter::Promoted),
        Some(Some(Role::Stopped)) => Some(RoleFilter::Stopped),
        Some(_) => {
            reader.warn(format!("location `{id}` has an unknown role"));
            return;
        }
    };
    let cause = Cause::Location {
        constraint: Str::clone(&id),
        rule,
    };
    reader.out.locations.push(Location {
        id,
        rsc,
        role,
        discovery,
        nodes,
        cause,
    });
}

/// The nodes for which a rule passes, with the scores it gives. // spec 2 §7.4
fn by_rule(
    facts: &Facts,
    rsc: RscIdx,
    rule: &Element,
    submatches: Option<&[String]>,
) -> Vec<(NodeIdx, Score)> {
    let attribute = rule
        .get("score-attribute")
        .map(|name| rules::expand(name, submatches));
    let fixed = rule
        .get("score")
        .and_then(|score| facts.score(score))
        .unwrap_or(Score::ZERO);
    let it = &facts.rscs[rsc];
    let target = it.meta.get("container-attribute-target");
    let mut out = Vec::new();
    for &node in &facts.node_order {
        let params = facts.params(rsc, Some(node));
        let input = RuleInput {
            node: Some(&facts.nodes[node].attributes),
            params: Some(&params),
            meta: Some(&it.meta),
            submatches,
            ..RuleInput::at(facts.context.now)
        };
        if !rules::passes(
            rule,
            &input,
            &facts.context.document,
            &facts.context.recheck,
        ) {
            continue;
        }
        let score = match &attribute {
            None => Some(fixed),
            Some(name) => facts
                .attribute_for(node, name, target, |container| {
                    facts.rscs[container].active.first().copied()
                })
                .and_then(|value| facts.score(value)),
        };
        out.extend(score.map(|score| (node, score)));
    }
    out
}
