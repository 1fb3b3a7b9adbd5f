//! Locations, colocations, orders and tickets, with their resource sets.

use crate::{
    cli::language::{error::SyntaxError, lex::Word},
    terms::Role,
    xml::Element,
};

use super::{
    Cursor,
    resource::References,
    set::{bad_score, rule, split_score},
};

pub(super) fn location(
    cursor: &mut Cursor<'_>,
    references: &mut References,
) -> Result<Element, SyntaxError> {
    let id = cursor.id("location constraint")?;
    let mut element = Element::new("rsc_location").with("id", &id.text);
    let what = cursor.next("a resource, /PATTERN/ or { RESOURCES }")?;
    let mut sets = Vec::new();
    if what.is("{") {
        sets = Sets::new("role").read(cursor, references)?.found;
        if !cursor.take("}") {
            return Err(cursor.missing("}"));
        }
    } else if let Some(pattern) = what.text.strip_prefix('/') {
        let pattern = pattern.strip_suffix('/').ok_or_else(|| {
            SyntaxError::at(what.span.clone(), "the pattern is not closed")
                .cure("write it as /PATTERN/")
        })?;
        element.set("rsc-pattern", pattern);
    } else {
        references.push((what.text.clone(), what.span.clone()));
        element.set("rsc", &what.text);
    }
    loop {
        if let Some(role) = cursor
            .take_pair("role")
            .or_else(|| cursor.take_pair("$role"))
        {
            element.set("role", role);
        } else if let Some(discovery) = cursor.take_pair("resource-discovery") {
            element.set("resource-discovery", discovery);
        } else {
            break;
        }
    }
    let word = cursor
        .peek()
        .ok_or_else(|| cursor.missing("SCORE: NODE, or rule ..."))?;
    if word.is("rule") {
        element = element.with_children(sets);
        while cursor.take("rule") {
            element.push(rule(cursor)?);
        }
        if let Some(word) = cursor.peek() {
            return Err(SyntaxError::at(
                word.span.clone(),
                format!("{:?} is not expected here", word.text),
            )
            .cure(
                "expressions are joined by \"and\" or \"or\"; another rule begins with \"rule\"",
            ));
        }
        return Ok(element);
    }
    let score = split_score(&word.text).ok_or_else(|| bad_score(word))?;
    cursor.skip();
    let node = cursor.next("the node")?;
    element.set("score", &score);
    element.set("node", &node.text);
    Ok(element.with_children(sets))
}

pub(super) fn colocation(
    cursor: &mut Cursor<'_>,
    references: &mut References,
) -> Result<Element, SyntaxError> {
    let id = cursor.id("colocation")?;
    let word = cursor.next("a score, for example inf:")?;
    let score = keyword_score(word).ok_or_else(|| bad_score(word))?;
    let mut element = Element::new("rsc_colocation")
        .with("id", &id.text)
        .with("score", &score);
    let sets = Sets::new("role").read(cursor, references)?;
    sets.enough(cursor, "two resources")?;
    if let Some([(first, first_role), (with, with_role)]) = sets.two() {
        if first == with {
            let span = references
                .last()
                .map_or(id.span.clone(), |(_, span)| span.clone());
            return Err(
                SyntaxError::at(span, format!("{first:?} is colocated with itself"))
                    .cure("name another resource as the second one"),
            );
        }
        element.set("rsc", first);
        set_some(&mut element, "rsc-role", first_role);
        element.set("with-rsc", with);
        set_some(&mut element, "with-rsc-role", with_role);
    } else {
        element = element.with_children(sets.found);
    }
    loop {
        if let Some(attribute) = cursor.take_pair("node-attribute") {
            element.set("node-attribute", attribute);
        } else if let Some(influence) = cursor.take_pair("influence") {
            element.set("influence", influence);
        } else {
            return Ok(element);
        }
    }
}

pub(super) fn order(
    cursor: &mut Cursor<'_>,
    references: &mut References,
) -> Result<Element, SyntaxError> {
    let id = cursor.id("order")?;
    let mut element = Element::new("rsc_order").with("id", &id.text);
    if let Some(word) = cursor.peek()
        && let Some(text) = word.text.strip_suffix(':')
        && !word.quoted
    {
        let kind = ["Mandatory", "Optional", "Serialize"]
            .into_iter()
            .find(|kind| kind.eq_ignore_ascii_case(text))
            .or_else(|| match keyword_score(word)?.as_str() {
                "0" => Some("Optional"),
                score if score.starts_with('-') => None,
                _ => Some("Mandatory"),
            });
        let Some(kind) = kind else {
            return Err(SyntaxError::at(
                word.span.clone(),
                format!("{text:?} is no kind of order"),
            )
            .cure("one of Mandatory:, Optional:, Serialize:"));
        };
        element.set("kind", kind);
        cursor.skip();
    }
    let sets = Sets::new("action").read(cursor, references)?;
    sets.enough(cursor, "two resources")?;
    if let Some([(first, first_action), (then, then_action)]) = sets.two() {
        if first == then && first_action == then_action {
            let span = references
                .last()
                .map_or(id.span.clone(), |(_, span)| span.clone());
            return Err(
                SyntaxError::at(span, format!("{first:?} is ordered after itself"))
                    .cure("name another resource as the second one"),
            );
        }
        element.set("first", first);
        set_some(&mut element, "first-action", first_action);
        element.set("then", then);
        set_some(&mut element, "then-action", then_action);
    } else {
        element = element.with_children(sets.found);
    }
    loop {
        if let Some(word) = cursor.peek()
            && let Some(text) = cursor.take_pair("symmetrical")
        {
            let value = crate::terms::text::boolean(text).ok_or_else(|| {
                SyntaxError::at(
                    word.span.clone(),
                    format!("{text:?} is neither true nor false"),
                )
                .cure("symmetrical=true or symmetrical=false")
            })?;
            element.set("symmetrical", if value { "true" } else { "false" });
        } else {
            return Ok(element);
        }
    }
}

pub(super) fn ticket(
    cursor: &mut Cursor<'_>,
    references: &mut References,
) -> Result<Element, SyntaxError> {
    let id = cursor.id("ticket constraint")?;
    let word = cursor.next("the ticket with a colon, for example ticketA:")?;
    let Some(ticket) = word.text.strip_suffix(':').filter(|text| !text.is_empty()) else {
        return Err(
            SyntaxError::at(word.span.clone(), format!("{:?} is no ticket", word.text))
                .cure("write its name with a colon, for example ticketA:"),
        );
    };
    let mut element = Element::new("rsc_ticket")
        .with("id", &id.text)
        .with("ticket", ticket);
    let sets = Sets::new("role").read(cursor, references)?;
    sets.enough(cursor, "a resource")?;
    if let ([(resource, role)], false) = (sets.resources.as_slice(), sets.explicit) {
        element.set("rsc", resource);
        set_some(&mut element, "rsc-role", role.as_deref());
    } else {
        element = element.with_children(sets.found);
    }
    if let Some(policy) = cursor.take_pair("loss-policy") {
        element.set("loss-policy", policy);
    }
    Ok(element)
}

fn set_some(element: &mut Element, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        element.set(name, value);
    }
}

/// A score, also by the names that crmsh once gave to 0 and infinity.
fn keyword_score(word: &Word) -> Option<String> {
    match word.text.to_ascii_lowercase().as_str() {
        "mandatory:" => Some("INFINITY".to_owned()),
        "advisory:" => Some("0".to_owned()),
        _ => split_score(&word.text),
    }
}

/// Resource sets while they are read. Resources with the same role (or action) follow each other in one set; `( )` is a
/// set without order among its members, `[ ]` one of which any single member is enough.
struct Sets {
    /// `role` or `action`: what follows the colon of a resource.
    suffix: &'static str,
    found: Vec<Element>,
    /// Everything named, in order.
    resources: Vec<(String, Option<String>)>,
    /// Said to be a set, by brackets or attributes.
    explicit: bool,
    /// The next plain resource begins a new set.
    fresh: bool,
}

impl Sets {
    fn new(suffix: &'static str) -> Self {
        Sets {
            suffix,
            found: Vec::new(),
            resources: Vec::new(),
            explicit: false,
            fresh: true,
        }
    }

    /// Read up to something that is neither a resource nor belongs to a set.
    fn read(
        mut self,
        cursor: &mut Cursor<'_>,
        references: &mut References,
    ) -> Result<Self, SyntaxError> {
        let mut open: Option<(Word, usize)> = None;
        while let Some(word) = cursor.peek() {
            if word.is("}") {
                break;
            }
            if word.is("_rsc_set_") {
                self.explicit = true;
                cursor.skip();
                continue;
            }
            if let Some((name, value)) = word.pair() {
                if !matches!(name, "sequential" | "require-all") {
                    break;
                }
                self.attribute(open.as_ref().map(|(_, from)| *from), word, name, value)?;
                cursor.skip();
                continue;
            }
            for piece in pieces(word) {
                match piece.text.as_str() {
                    "(" | "[" => {
                        if let Some((earlier, _)) = &open {
                            return Err(SyntaxError::at(piece.span.clone(), "a set within a set")
                                .cure(format!(
                                    "close the set that began with {:?} first",
                                    earlier.text
                                )));
                        }
                        self.explicit = true;
                        self.fresh = true;
                        open = Some((piece, self.found.len()));
                    }
                    ")" | "]" => {
                        let wanted = if piece.text == ")" { "(" } else { "[" };
                        match open.take() {
                            Some((begin, from))
                                if begin.text == wanted && self.found.len() > from => {}
                            Some((begin, _)) if begin.text == wanted => {
                                return Err(SyntaxError::at(piece.span, "an empty set")
                                    .cure("name at least one resource in it"));
                            }
                            _ => {
                                return Err(SyntaxError::at(piece.span, "this closes no set")
                                    .cure("sets are written ( a b ) or [ a b ]"));
                            }
                        }
                        self.fresh = true;
                    }
                    _ => self.resource(&piece, open.as_ref().map(|(word, _)| word), references)?,
                }
            }
            cursor.skip();
        }
        match open {
            None => Ok(self),
            Some((word, _)) => Err(SyntaxError::at(word.span, "this set is never closed")
                .cure("sets are written ( a b ) or [ a b ]")),
        }
    }

    fn resource(
        &mut self,
        word: &Word,
        open: Option<&Word>,
        references: &mut References,
    ) -> Result<(), SyntaxError> {
        let (name, suffix) = match word.text.split_once(':') {
            Some((name, suffix)) => (name, Some(suffix)),
            None => (word.text.as_str(), None),
        };
        self.check(word, name, suffix)?;
        references.push((name.to_owned(), word.span.clone()));
        self.resources
            .push((name.to_owned(), suffix.map(str::to_owned)));
        let same = self
            .found
            .last()
            .is_some_and(|set| set.get(self.suffix) == suffix);
        if self.fresh || !same {
            let mut set = Element::new("resource_set");
            if let Some(bracket) = open {
                if bracket.text == "[" {
                    set.set("require-all", "false");
                }
                set.set("sequential", "false");
            }
            self.found.push(set.with_some(self.suffix, suffix));
            self.fresh = false;
        }
        let set = self.found.last_mut().expect("a set was just made");
        set.push(Element::new("resource_ref").with("id", name));
        Ok(())
    }

    fn check(&self, word: &Word, name: &str, suffix: Option<&str>) -> Result<(), SyntaxError> {
        if !super::is_id(name) {
            return Err(SyntaxError::at(
                word.span.clone(),
                format!("{:?} is no resource", word.text),
            )
            .cure(format!(
                "write RESOURCE or RESOURCE:{}",
                self.suffix.to_uppercase()
            )));
        }
        let known = match (self.suffix, suffix) {
            (_, None) => true,
            ("role", Some(role)) => Role::parse(role).is_some(),
            (_, Some(action)) => matches!(action, "start" | "stop" | "promote" | "demote"),
        };
        if known {
            return Ok(());
        }
        let suffix = suffix.unwrap_or_default();
        Err(SyntaxError::at(
            word.span.clone(),
            format!("{suffix:?} is no {}", self.suffix),
        )
        .cure(if self.suffix == "role" {
            "one of Started, Stopped, Promoted, Unpromoted (Master and Slave of old)"
        } else {
            "one of start, stop, promote, demote"
        }))
    }

    fn attribute(
        &mut self,
        open: Option<usize>,
        word: &Word,
        name: &str,
        value: &str,
    ) -> Result<(), SyntaxError> {
        let value = crate::terms::text::boolean(value).ok_or_else(|| {
            SyntaxError::at(
                word.span.clone(),
                format!("{value:?} is neither true nor false"),
            )
            .cure(format!("{name}=true or {name}=false"))
        })?;
        if open.is_none() && self.fresh {
            return Err(SyntaxError::at(
                word.span.clone(),
                format!("{:?} belongs to no set", word.text),
            )
            .cure("write it within the brackets of its set"));
        }
        self.explicit = true;
        let from = open.unwrap_or(self.found.len().saturating_sub(1));
        for set in self.found.iter_mut().skip(from) {
            if value {
                set.unset(name);
            } else {
                set.set(name, "false");
            }
        }
        Ok(())
    }

    fn enough(&self, cursor: &Cursor<'_>, wanted: &str) -> Result<(), SyntaxError> {
        let least = if wanted == "a resource" || self.explicit {
            1
        } else {
            2
        };
        if self.resources.len() >= least {
            return Ok(());
        }
        Err(match cursor.peek() {
            Some(word) => SyntaxError::at(
                word.span.clone(),
                format!("expected {wanted} before {:?}", word.text),
            ),
            None => cursor.missing(wanted),
        })
    }

    /// The two resources of a simple constraint.
    fn two(&self) -> Option<[(&str, Option<&str>); 2]> {
        match self.resources.as_slice() {
            [a, b] if !self.explicit => Some([
                (a.0.as_str(), a.1.as_deref()),
                (b.0.as_str(), b.1.as_deref()),
            ]),
            _ => None,
        }
    }
}

/// A word with brackets that touch it taken off: `(a` is `(` and `a`.
fn pieces(word: &Word) -> Vec<Word> {
    if word.quoted {
        return vec![word.clone()];
    }
    let text = word.text.as_str();
    let begin = text.len() - text.trim_start_matches(['(', '[']).len();
    let end = text.trim_end_matches([')', ']']).len().max(begin);
    let mut found: Vec<Word> = (0..begin).map(|at| word.part(at, at + 1)).collect();
    if end > begin {
        found.push(word.part(begin, end));
    }
    found.extend((end..text.len()).map(|at| word.part(at, at + 1)));
    found
}
