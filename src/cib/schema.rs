//! What may appear where. A table says which attributes and children an element has and of what kind they are
//! (`schema/table.rs`); what a table cannot say, this or that attribute, both or neither, is said here. Everything is
//! reported at once, each with element, id, line and cure.
//!
//! The status section may hold anything: it is written by programs, and by newer ones too.

mod rng;
mod table;

use foldhash::fast::RandomState;
use indexmap::{IndexMap, IndexSet, map::Entry};

use super::{Cib, SCHEMA, Violation};
use crate::{
    terms::{Role, Score, span, text},
    xml::Element,
};
use table::{Attribute, Kind, Rules};

/// The schemas of which we know what they allow, in order.
const SERIES: [(u32, &[u32]); 4] = [
    (1, &[0, 2, 3]),
    (2, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    (3, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    (4, &[0]),
];

/// The version that a schema's name stands for, if we know it.
pub fn version(name: &str) -> Option<(u32, u32)> {
    let (major, minor) = name.strip_prefix("pacemaker-")?.split_once('.')?;
    let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
    let known = SERIES
        .iter()
        .any(|(m, minors)| *m == major && minors.contains(&minor));
    known.then_some((major, minor))
}

/// The names of the schemas that we know, oldest first.
pub fn names() -> impl Iterator<Item = String> {
    let all = SERIES
        .iter()
        .flat_map(|(major, minors)| minors.iter().map(move |minor| (major, minor)));
    all.map(|(major, minor)| format!("pacemaker-{major}.{minor}"))
}

/// What a schema allows, as RELAX NG; nothing if we don't know it.
pub fn rng(name: &str) -> Option<String> {
    let name = if name == "pacemaker-next" {
        SCHEMA
    } else {
        name
    };
    version(name).map(rng::grammar)
}

/// The next newer schema than the one which a document names for which it is valid: people forget to change the name when
/// they begin to use what is newer.
pub fn next_fitting(root: &Element) -> Option<String> {
    let named = version(root.get("validate-with")?)?;
    let newer = names().filter(|name| version(name) > Some(named));
    newer.into_iter().find(|name| {
        let mut tried = root.clone();
        tried.set("validate-with", name);
        check_all(&Cib::new(tried), false).is_empty()
    })
}

/// All that is wrong with a CIB; nothing if it asks not to be checked (`validate-with="none"`).
pub fn check(cib: &Cib) -> Vec<Violation> {
    check_all(cib, true)
}

/// The same without lines, which are not the same on every node: one read a file, the other a log.
pub(super) fn check_replicated(cib: &Cib) -> Vec<Violation> {
    let mut found = check_all(cib, false);
    found.iter_mut().for_each(|violation| violation.line = 0);
    found
}

fn check_all(cib: &Cib, lines: bool) -> Vec<Violation> {
    let root = cib.root();
    if !root.is("cib") {
        return vec![Violation::at(root, "a CIB is a <cib>")];
    }
    let version = match root.get("validate-with") {
        Some("none") => return Vec::new(),
        Some("pacemaker-next") => version(SCHEMA),
        Some(name) => version(name),
        None => {
            let problem = format!("it has no validate-with; write validate-with=\"{SCHEMA}\"");
            return vec![Violation::at(root, problem)];
        }
    };
    let Some(version) = version else {
        let name = root.get("validate-with").unwrap_or_default();
        let problem = format!("the schema {name} is not known; the newest one is {SCHEMA}");
        return vec![Violation::at(root, problem)];
    };
    let mut checker = Checker {
        rules: table::rules(),
        version,
        lines,
        ids: IndexMap::default(),
        plain_ids: IndexSet::default(),
        references: Vec::new(),
        found: Vec::new(),
    };
    checker.element(root, None);
    checker.check_references();
    checker.found
}

struct Checker<'a> {
    rules: &'static table::Table,
    version: (u32, u32),
    /// Whether messages name lines.
    lines: bool,
    /// Who has which id. Only looked up, never walked: what is said does not depend on an order. Whoever may write a part of
    /// the CIB chooses ids, so how they are hashed is not to be guessed.
    ids: IndexMap<&'a str, &'a Element, RandomState>,
    /// Ids that are mere text to the schema, such as the numbers of nodes; a tag may name them, too.
    plain_ids: IndexSet<&'a str, RandomState>,
    /// Element, attribute and what must have that id.
    references: Vec<(&'a Element, &'static str, Referent)>,
    found: Vec<Violation>,
}

/// What a reference may point to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Referent {
    Resource,
    Template,
    Role,
    Anything,
    SameTag,
}

impl<'a> Checker<'a> {
    fn report(&mut self, element: &Element, problem: impl Into<String>) {
        // Enough to repair a document; a document of nothing but errors need not be answered in full.
        const MOST: usize = 200;
        if self.found.len() < MOST {
            self.found.push(Violation::at(element, problem));
        }
    }

    fn element(&mut self, element: &'a Element, parent: Option<&str>) {
        let Some(rules) = self.rules.get(element.tag()) else {
            let place = parent.map(|p| format!(" in <{p}>")).unwrap_or_default();
            self.report(
                element,
                format!("there is no such element{place}; remove it"),
            );
            return;
        };
        self.attributes(element, rules);
        if element.is("status") {
            return;
        }
        for child in element.children() {
            match rules.children.iter().find(|rule| rule.name == child.tag()) {
                Some(rule) if rule.holds(self.version) => self.element(child, Some(element.tag())),
                Some(_) => {
                    let name = self.schema();
                    let problem =
                        format!("the schema {name} does not have it; upgrade or remove it");
                    self.report(child, problem);
                }
                None => {
                    let known: Vec<_> = rules.children.iter().map(|rule| rule.name).collect();
                    let problem = match known.is_empty() {
                        true => format!("nothing may stand in <{}>", element.tag()),
                        false => format!(
                            "it may not stand in <{}>, only {}",
                            element.tag(),
                            known.join(", ")
                        ),
                    };
                    self.report(child, problem);
                }
            }
        }
        let counted = |rule: &&table::Child| rule.required || rule.once;
        for rule in rules.children.iter().filter(counted) {
            let mut found = element.children_named(rule.name);
            match (found.next(), found.next()) {
                (None, _) if rule.required => {
                    self.report(element, format!("it must have a <{}>", rule.name));
                }
                (_, Some(second)) if rule.once => {
                    let problem = format!(
                        "there may be only one in <{}>; put what is in it into the other one",
                        element.tag()
                    );
                    self.report(second, problem);
                }
                _ => {}
            }
        }
        self.combination(element);
    }

    fn schema(&self) -> String {
        format!("pacemaker-{}.{}", self.version.0, self.version.1)
    }

    fn attributes(&mut self, element: &'a Element, rules: &'static Rules) {
        for (name, value) in element.attrs() {
            match rules.attributes.iter().find(|rule| rule.name == name) {
                Some(rule) if rule.holds(self.version) => self.value(element, rule, value),
                Some(_) => {
                    let schema = self.schema();
                    self.report(
                        element,
                        format!("attribute {name} is not in the schema {schema}"),
                    );
                }
                None => {
                    let known: Vec<_> = rules.attributes.iter().map(|rule| rule.name).collect();
                    let known = known.join(", ");
                    self.report(
                        element,
                        format!("there is no attribute {name}, only {known}"),
                    );
                }
            }
        }
        for rule in rules.attributes.iter().filter(|rule| rule.required) {
            if !element.has(rule.name) {
                self.report(element, format!("attribute {} is missing", rule.name));
            }
        }
    }

    fn value(&mut self, element: &'a Element, rule: &'static Attribute, value: &'a str) {
        let wrong = match &rule.kind {
            Kind::Text => {
                if rule.name == "id" {
                    self.plain_ids.insert(value);
                }
                None
            }
            Kind::Id => {
                self.declare(element, value);
                None
            }
            Kind::Reference(referent) => {
                self.references.push((element, rule.name, *referent));
                None
            }
            Kind::Boolean if text::boolean(value).is_none() => Some("true or false".to_string()),
            Kind::Number if value.parse::<u64>().is_err() => Some("a number".to_string()),
            Kind::Score if !is_score(value) => Some("a number, INFINITY or -INFINITY".to_string()),
            Kind::Span if span::parse_ms(value).is_err() => {
                Some("a time span such as 10s or 1min".to_string())
            }
            Kind::Role if Role::parse(value).is_none_or(|role| role == Role::Unknown) => {
                Some("one of Stopped, Started, Promoted, Unpromoted".to_string())
            }
            Kind::Choice(words) if !words.contains(&value) => {
                Some(format!("one of {}", words.join(", ")))
            }
            Kind::Boolean | Kind::Number | Kind::Score | Kind::Span | Kind::Role => None,
            Kind::Choice(_) => None,
        };
        if let Some(wanted) = wrong {
            self.report(
                element,
                format!("{} is `{value}`, it must be {wanted}", rule.name),
            );
        }
    }

    fn declare(&mut self, element: &'a Element, id: &'a str) {
        if !is_id(id) {
            let problem = format!(
                "`{id}` is no id; begin with a letter or _, then letters, digits, and . _ - only"
            );
            self.report(element, problem);
        }
        let first = match self.ids.entry(id) {
            Entry::Vacant(place) => {
                place.insert(element);
                None
            }
            Entry::Occupied(first) => Some(*first.get()),
        };
        if let Some(first) = first {
            let line = match first.line() {
                line if line == 0 || !self.lines => String::new(),
                line => format!(" in line {line}"),
            };
            let problem = format!(
                "the id is taken by a <{}>{line}; choose another one",
                first.tag()
            );
            self.report(element, problem);
        }
    }

    fn check_references(&mut self) {
        for (element, name, referent) in std::mem::take(&mut self.references) {
            let id = element.get(name).unwrap_or_default();
            let target = self.ids.get(id).map(|found| found.tag());
            let fits = |tags: &[&str]| target.is_some_and(|tag| tags.contains(&tag));
            let wanted = match referent {
                Referent::Resource if fits(&table::RESOURCES) => continue,
                Referent::Resource => "resource",
                Referent::Template if fits(&["template"]) => continue,
                Referent::Template => "template",
                Referent::Role if fits(&["acl_role"]) => continue,
                Referent::Role => "acl_role",
                Referent::Anything if target.is_some() || self.plain_ids.contains(id) => continue,
                Referent::Anything => "element",
                Referent::SameTag if target == Some(element.tag()) => continue,
                Referent::SameTag => element.tag(),
            };
            let problem = format!(
                "{name} names `{id}`, and no {wanted} has that id; create it first, or correct {name}"
            );
            self.report(element, problem);
        }
    }

    /// What depends on more than one attribute or child.
    fn combination(&mut self, element: &'a Element) {
        let has = |name: &str| element.has(name);
        let sets = element.child("resource_set").is_some();
        let same = |a: &str, b: &str| has(a) && element.get(a) == element.get(b);
        let problem = match element.tag() {
            "nvpair" if !has("id-ref") && !(has("id") && has("name")) => {
                "it needs id and name, or an id-ref"
            }
            "nvpair" if self.version.0 >= 4 && !has("value") && !has("id-ref") => "it has no value",
            "rule"
            | "operations"
            | "resource_set"
            | "meta_attributes"
            | "instance_attributes"
            | "utilization"
            | "cluster_property_set"
                if has("id") && has("id-ref") =>
            {
                "it has an id and an id-ref; it must have one of them"
            }
            "rule"
            | "resource_set"
            | "meta_attributes"
            | "instance_attributes"
            | "utilization"
            | "cluster_property_set"
                if !has("id") && !has("id-ref") =>
            {
                "it needs an id, or an id-ref"
            }
            "rule" if has("score") && has("score-attribute") => {
                "it has a score and a score-attribute"
            }
            "primitive" if !has("template") && !(has("class") && has("type")) => {
                "it needs class and type, or a template"
            }
            "primitive" if has("template") && has("class") => "it has a template and a class",
            "primitive" | "template" if element.get("class") == Some("ocf") && !has("provider") => {
                "an ocf agent needs a provider"
            }
            "group" if element.child("primitive").is_none() => "a group needs a primitive",
            "clone" | "master"
                if element
                    .children()
                    .filter(|e| table::RESOURCES.contains(&e.tag()))
                    .count()
                    != 1 =>
            {
                "there must be exactly one primitive or group in it"
            }
            "bundle"
                if ["docker", "podman", "rkt"]
                    .iter()
                    .filter(|tag| element.child(tag).is_some())
                    .count()
                    != 1 =>
            {
                "it needs a <podman> or a <docker>"
            }
            "rsc_location" if !has("rsc") && !has("rsc-pattern") && !sets => {
                "it needs rsc, rsc-pattern or a <resource_set>"
            }
            "rsc_location" if has("node") != has("score") && element.child("rule").is_none() => {
                "it needs node and score, or a rule"
            }
            "rsc_location" if !has("node") && element.child("rule").is_none() => {
                "it needs node and score, or a rule"
            }
            "rsc_colocation" if !sets && !(has("rsc") && has("with-rsc")) => {
                "it needs rsc and with-rsc, or a <resource_set>"
            }
            "rsc_colocation" if same("rsc", "with-rsc") => {
                "a resource cannot be placed relative to itself; name another one in with-rsc"
            }
            "rsc_order" if !sets && !(has("first") && has("then")) => {
                "it needs first and then, or a <resource_set>"
            }
            "rsc_order"
                if same("first", "then")
                    && element.get("first-action") == element.get("then-action") =>
            {
                "a resource cannot be ordered relative to itself; name another one in then"
            }
            "rsc_order" if has("kind") && has("score") => "it has a kind and a score",
            "rsc_ticket" if !sets && !has("rsc") => "it needs rsc, or a <resource_set>",
            "fencing-level"
                if !has("target") && !has("target-pattern") && !has("target-attribute") =>
            {
                "it needs target, target-pattern or target-attribute"
            }
            "fencing-level" if has("target-attribute") && !has("target-value") => {
                "a target-attribute needs a target-value"
            }
            "acl_permission" if !has("xpath") && !has("reference") && !has("object-type") => {
                "it needs xpath, reference or object-type"
            }
            "acl_permission" => match element.get("xpath").map(crate::xml::XPath::parse) {
                Some(Err(error)) => return self.report(element, error.to_string()),
                _ => return,
            },
            _ => return,
        };
        self.report(element, problem);
    }
}

/// A number with nothing behind it, or an infinity.
fn is_score(value: &str) -> bool {
    let number = value.strip_prefix(['+', '-']).unwrap_or(value);
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    digits
        || matches!(value, "INFINITY" | "+INFINITY" | "-INFINITY") && Score::parse(value).is_some()
}

/// What XML allows as an id.
fn is_id(id: &str) -> bool {
    let mut characters = id.chars();
    let first = characters
        .next()
        .is_some_and(|c| c.is_alphabetic() || c == '_');
    first && characters.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '\u{b7}'))
}

#[cfg(test)]
mod tests;
