//! The table as RELAX NG, for programs that learn from such files what a CIB may hold: shells take from them the words of
//! their language, editors check with them.
//!
//! A grammar is made from the same table as our own check, one for each schema that we know. What the table can't say,
//! this or that attribute, both or neither, is said here a second time, as the choices of a grammar. Two things no grammar
//! says: what kind of element a reference must lead to, and that a constraint is not about one resource twice.

use std::sync::Arc;

use crate::xml::{Element, Node, write};

use super::{
    Referent,
    table::{self, Attribute, Child, Kind, Rules},
};

const NAMESPACE: &str = "http://relaxng.org/ns/structure/1.0";
const TYPES: &str = "http://www.w3.org/2001/XMLSchema-datatypes";

/// The grammar of a schema.
pub(super) fn grammar(version: (u32, u32)) -> String {
    let mut root = Element::new("grammar")
        .with("xmlns", NAMESPACE)
        .with("datatypeLibrary", TYPES)
        .with_child(Element::new("start").with_child(reference("cib")));
    for (tag, rules) in table::rules() {
        let content = Content {
            tag,
            rules,
            version,
        };
        let element = Element::new("element")
            .with("name", tag)
            .with_children(content.patterns());
        root.push(define(tag, element));
    }
    root.push(define("anything", anything()));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- What a CIB with validate-with=\"pacemaker-{}.{}\" may hold. \
         Written by `systole schemas`. -->\n{}",
        version.0,
        version.1,
        write::pretty(&root)
    )
}

fn define(name: &str, pattern: Element) -> Element {
    Element::new("define")
        .with("name", name)
        .with_child(pattern)
}

fn reference(name: &str) -> Element {
    Element::new("ref").with("name", name)
}

fn wrapped(tag: &str, patterns: impl IntoIterator<Item = Element>) -> Element {
    Element::new(tag).with_children(patterns)
}

fn optional(pattern: Element) -> Element {
    wrapped("optional", [pattern])
}

fn choice(patterns: impl IntoIterator<Item = Element>) -> Element {
    wrapped("choice", patterns)
}

fn group(patterns: impl IntoIterator<Item = Element>) -> Element {
    wrapped("group", patterns)
}

/// Any element, with anything in it: programs write the status, and newer ones write more.
fn anything() -> Element {
    let attribute =
        Element::new("attribute").with_children([Element::new("anyName"), Element::new("text")]);
    let inside = choice([
        wrapped("zeroOrMore", [attribute]),
        Element::new("text"),
        reference("anything"),
    ]);
    Element::new("element")
        .with_children([Element::new("anyName"), wrapped("zeroOrMore", [inside])])
}

/// What an element may have, for one schema.
struct Content {
    tag: &'static str,
    rules: &'static Rules,
    version: (u32, u32),
}

impl Content {
    fn patterns(&self) -> Vec<Element> {
        let mut taken: Vec<&str> = self.about_what().to_vec();
        let mut patterns = Vec::new();
        for (names, pattern) in self.choices() {
            taken.extend(names);
            patterns.push(pattern);
        }
        for rule in &self.rules.attributes {
            if !taken.contains(&rule.name) && rule.holds(self.version) {
                patterns.push(self.as_the_table_says(rule));
            }
        }
        match self.tag {
            "status" => patterns.push(wrapped("zeroOrMore", [reference("anything")])),
            _ if !self.about_what().is_empty() => patterns.push(self.about()),
            _ => patterns.extend(self.children(|child| self.often(child))),
        }
        if patterns.is_empty() {
            patterns.push(Element::new("empty"));
        }
        patterns
    }

    /// Attributes that depend on each other, as one pattern; the names are those that are dealt with by it.
    fn choices(&self) -> Vec<(Vec<&'static str>, Element)> {
        let (must, may) = (|name: &str| self.must(name), |name: &str| self.may(name));
        let one_of = |a, b| (vec![a, b], choice([must(a), must(b)]));
        let neither_or_one_of = |a, b| (vec![a, b], optional(choice([must(a), must(b)])));
        match self.tag {
            "nvpair" => {
                let value = match self.version.0 >= 4 {
                    true => must("value"),
                    false => may("value"),
                };
                let own = group([must("id"), must("name"), value]);
                let other = group([must("id-ref"), may("id"), may("name"), may("value")]);
                vec![(vec!["id", "id-ref", "name", "value"], choice([own, other]))]
            }
            "rule" => vec![
                one_of("id", "id-ref"),
                neither_or_one_of("score", "score-attribute"),
            ],
            "resource_set"
            | "meta_attributes"
            | "instance_attributes"
            | "utilization"
            | "cluster_property_set" => vec![one_of("id", "id-ref")],
            "operations" => vec![neither_or_one_of("id", "id-ref")],
            "template" => vec![self.agent(false)],
            "primitive" => vec![self.agent(true)],
            "rsc_order" => vec![neither_or_one_of("kind", "score")],
            "fencing-level" => {
                let by_attribute = [
                    must("target-attribute"),
                    must("target-value"),
                    may("target"),
                    may("target-pattern"),
                ];
                let by_name = [must("target"), may("target-pattern"), may("target-value")];
                let by_pattern = [must("target-pattern"), may("target-value")];
                let names = vec![
                    "target",
                    "target-pattern",
                    "target-attribute",
                    "target-value",
                ];
                let ways = [group(by_name), group(by_pattern), group(by_attribute)];
                vec![(names, choice(ways))]
            }
            "acl_permission" => {
                let ways = [
                    group([must("xpath"), may("reference"), may("object-type")]),
                    group([must("reference"), may("object-type")]),
                    must("object-type"),
                ];
                vec![(vec!["xpath", "reference", "object-type"], choice(ways))]
            }
            _ => Vec::new(),
        }
    }

    /// Which agent; only ocf has providers that must be named. A primitive may take it from a template.
    fn agent(&self, may_use_template: bool) -> (Vec<&'static str>, Element) {
        let ocf = word("ocf");
        let class = |pattern| {
            Element::new("attribute")
                .with("name", "class")
                .with_child(pattern)
        };
        let other = Element::new("data")
            .with("type", "string")
            .with_child(wrapped("except", [ocf.clone()]));
        let mut ways = vec![
            group([class(ocf), self.must("provider"), self.must("type")]),
            group([class(other), self.may("provider"), self.must("type")]),
        ];
        let mut names = vec!["class", "provider", "type"];
        if may_use_template {
            names.push("template");
            ways.push(group([
                self.must("template"),
                self.may("provider"),
                self.may("type"),
            ]));
        }
        (names, choice(ways))
    }

    /// The attributes by which a constraint says what it is about.
    fn about_what(&self) -> &'static [&'static str] {
        match self.tag {
            "rsc_location" => &["rsc", "rsc-pattern", "node", "score"],
            "rsc_colocation" => &["rsc", "with-rsc"],
            "rsc_order" => &["first", "then"],
            "rsc_ticket" => &["rsc"],
            _ => &[],
        }
    }

    /// What a constraint is about: resources by name, or sets of them; a location also where, by a node or by rules.
    fn about(&self) -> Element {
        let (must, may) = (|name: &str| self.must(name), |name: &str| self.may(name));
        // With names, and with sets in place of them.
        let subjects: [Vec<Element>; 2] = match self.tag {
            "rsc_location" => [
                vec![choice([
                    group([must("rsc"), may("rsc-pattern")]),
                    must("rsc-pattern"),
                ])],
                Vec::new(),
            ],
            "rsc_colocation" => [
                vec![must("rsc"), must("with-rsc")],
                vec![may("rsc"), may("with-rsc")],
            ],
            "rsc_order" => [
                vec![must("first"), must("then")],
                vec![may("first"), may("then")],
            ],
            _ => [vec![must("rsc")], Vec::new()],
        };
        let places: Vec<(bool, Vec<Element>)> = match self.tag {
            "rsc_location" => vec![
                (false, vec![must("node"), must("score")]),
                (true, vec![may("node"), may("score")]),
            ],
            _ => vec![(false, Vec::new())],
        };
        let mut ways = Vec::new();
        for (by_sets, subject) in subjects.into_iter().enumerate() {
            for (by_rules, place) in &places {
                let children = self.children(|child| match child.name {
                    "resource_set" if by_sets == 1 => Some("oneOrMore"),
                    "rule" if *by_rules => Some("oneOrMore"),
                    "rule" => None,
                    _ => self.often(child),
                });
                let parts = subject.iter().chain(place).cloned();
                ways.push(group(parts.chain(children)));
            }
        }
        choice(ways)
    }

    /// How often a child may be there, as the name of a pattern; an empty one is exactly once.
    fn often(&self, child: &Child) -> Option<&'static str> {
        Some(match (self.tag, child.name) {
            ("group", "primitive") => "oneOrMore",
            _ if child.required => "",
            _ if child.once => "optional",
            _ => "zeroOrMore",
        })
    }

    /// The children in any order.
    fn children(&self, often: impl Fn(&Child) -> Option<&'static str>) -> Option<Element> {
        let mut patterns = Vec::new();
        // Of these exactly one.
        let only: &[&str] = match self.tag {
            "clone" | "master" => &["primitive", "group"],
            "bundle" => &["docker", "podman", "rkt"],
            _ => &[],
        };
        let known = || {
            let children = self.rules.children.iter();
            children.filter(|child| child.holds(self.version))
        };
        let one = known().filter(|child| only.contains(&child.name));
        let one: Vec<Element> = one.map(|child| reference(child.name)).collect();
        if !one.is_empty() {
            patterns.push(choice(one));
        }
        for child in known().filter(|child| !only.contains(&child.name)) {
            match often(child) {
                Some("") => patterns.push(reference(child.name)),
                Some(tag) => patterns.push(wrapped(tag, [reference(child.name)])),
                None => {}
            }
        }
        match patterns.len() {
            0 => None,
            1 => patterns.pop(),
            _ => Some(wrapped("interleave", patterns)),
        }
    }

    fn as_the_table_says(&self, rule: &Attribute) -> Element {
        match rule.required {
            true => attribute(rule),
            false => optional(attribute(rule)),
        }
    }

    fn rule(&self, name: &str) -> &'static Attribute {
        let rule = self.rules.attributes.iter().find(|rule| rule.name == name);
        rule.expect("choices are between attributes of the table")
    }

    fn must(&self, name: &str) -> Element {
        attribute(self.rule(name))
    }

    fn may(&self, name: &str) -> Element {
        optional(self.must(name))
    }
}

fn attribute(rule: &Attribute) -> Element {
    Element::new("attribute")
        .with("name", rule.name)
        .with_child(value(&rule.kind))
}

/// What a value may be. Words come first, in the spelling that programs offer to people; then other spellings.
fn value(kind: &Kind) -> Element {
    let words = |words: &[&str]| -> Vec<Element> { words.iter().map(|text| word(text)).collect() };
    match kind {
        Kind::Text | Kind::Reference(Referent::Anything) => Element::new("text"),
        Kind::Id => data("ID"),
        Kind::Reference(_) => data("IDREF"),
        Kind::Boolean => {
            let all = [
                "true", "false", "on", "off", "yes", "no", "y", "n", "1", "0",
            ];
            let mut ways = words(&all[..2]);
            ways.push(pattern(&in_any_case(&all)));
            choice(ways)
        }
        Kind::Number => pattern(r"\+?0*[0-9]{1,19}"),
        Kind::Score => {
            let mut ways = words(&["INFINITY", "-INFINITY", "+INFINITY"]);
            ways.push(pattern(r"[+\-]?[0-9]+"));
            choice(ways)
        }
        Kind::Span => choice([
            pattern(r"\s*(\+?[0-9]+|-0+)(\.[0-9.]*)?\s*(([sSmMhH]|[uU][sS]).*)?"),
            pattern(r"\s*P(T*\+?[0-9]+[YMWDHS])+T*"),
        ]),
        Kind::Role => {
            let all = [
                "Stopped",
                "Started",
                "Promoted",
                "Unpromoted",
                "Master",
                "Slave",
            ];
            let mut ways = words(&all);
            ways.push(pattern(&in_any_case(&all)));
            choice(ways)
        }
        Kind::Choice(known) => choice(words(known)),
    }
}

fn data(kind: &str) -> Element {
    Element::new("data").with("type", kind)
}

fn pattern(regex: &str) -> Element {
    let param = Element::new("param").with("name", "pattern");
    data("string").with_child(with_text(param, regex))
}

fn word(text: &str) -> Element {
    with_text(Element::new("value").with("type", "string"), text)
}

fn with_text(mut element: Element, text: &str) -> Element {
    let text = Node::Text(Arc::new(text.to_owned()));
    element.nodes_mut().push(text);
    element
}

/// A pattern for words that may be written in any case.
fn in_any_case(words: &[&str]) -> String {
    let letter = |c: char| match c.is_ascii_alphabetic() {
        true => format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase()),
        false => c.to_string(),
    };
    let words: Vec<String> = words
        .iter()
        .map(|word| word.chars().map(letter).collect())
        .collect();
    words.join("|")
}
