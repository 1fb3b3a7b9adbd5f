//! Statements into objects. Generated ids are left out here; `ids` fills them in when the rest of the CIB is known.
//! Enters: statements of `lex`.
//! Leaves: `Object`: one element of the configuration, with members of collectives as references.
//! May touch: nothing; pure.

mod constraint;
mod other;
mod resource;
mod set;

use std::ops::Range;

pub use set::split_score;

pub(crate) use other::shortcut;

use crate::xml::{self, Element, Limits, Node};

use super::{
    error::{SyntaxError, meant},
    lex::{Statement, Word, statements},
};

/// The tag that stands for a member of a group, clone or bundle which is an object of its own.
pub(crate) const MEMBER: &str = "crmsh-ref";

/// Where in the configuration an object lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A node.
    Node,
    /// A resource, also a template.
    Resource,
    /// A tag.
    Tag,
    /// A constraint.
    Constraint,
    /// All fencing levels together.
    Topology,
    /// A set of cluster options.
    Property,
    /// A set of resource defaults.
    RscDefaults,
    /// A set of operation defaults.
    OpDefaults,
    /// A role, a target or a group of access rights.
    Acl,
    /// An alert.
    Alert,
}

impl Place {
    /// Its section below `configuration`.
    pub fn section(self) -> &'static str {
        match self {
            Place::Node => "nodes",
            Place::Resource => "resources",
            Place::Tag => "tags",
            Place::Constraint => "constraints",
            Place::Topology => "fencing-topology",
            Place::Property => "crm_config",
            Place::RscDefaults => "rsc_defaults",
            Place::OpDefaults => "op_defaults",
            Place::Acl => "acls",
            Place::Alert => "alerts",
        }
    }

    /// Where an element with this tag lives.
    pub fn of_tag(tag: &str) -> Option<Place> {
        Some(match tag {
            "node" => Place::Node,
            "primitive" | "group" | "clone" | "master" | "bundle" | "template" => Place::Resource,
            "tag" => Place::Tag,
            "rsc_location" | "rsc_colocation" | "rsc_order" | "rsc_ticket" => Place::Constraint,
            "fencing-topology" => Place::Topology,
            "cluster_property_set" => Place::Property,
            "acl_role" | "acl_target" | "acl_group" | "acl_user" => Place::Acl,
            "alert" => Place::Alert,
            _ => return None,
        })
    }
}

/// The sections of a configuration that hold objects.
pub const SECTIONS: &[&str] = &[
    "crm_config",
    "nodes",
    "resources",
    "constraints",
    "fencing-topology",
    "rsc_defaults",
    "op_defaults",
    "acls",
    "tags",
    "alerts",
];

/// One object of the configuration as a statement describes it.
#[derive(Clone, Debug)]
pub struct Object {
    /// Where it lives.
    pub place: Place,
    /// Its element, without generated ids; members are `member` elements.
    pub element: Element,
    /// Where the statement is.
    pub span: Range<usize>,
    /// Where its name is, for errors about the object as a whole.
    pub name_span: Range<usize>,
    /// Words that name other objects, and where they are.
    pub references: Vec<(String, Range<usize>)>,
}

impl Object {
    /// An element that was read as XML.
    pub fn of(place: Place, element: Element) -> Self {
        Object {
            place,
            element,
            span: 0..0,
            name_span: 0..0,
            references: Vec::new(),
        }
    }

    /// Its id; a node's name.
    pub fn id(&self) -> &str {
        match self.place {
            Place::Node => self.element.get("uname").unwrap_or_default(),
            Place::Topology => "fencing_topology",
            _ => self.element.id().unwrap_or_default(),
        }
    }
}

/// The words that begin a statement which makes an object.
pub const KEYWORDS: &[&str] = &[
    "node",
    "primitive",
    "rsc_template",
    "group",
    "clone",
    "ms",
    "bundle",
    "tag",
    "location",
    "colocation",
    "order",
    "rsc_ticket",
    "property",
    "rsc_defaults",
    "op_defaults",
    "fencing_topology",
    "role",
    "acl_target",
    "acl_group",
    "alert",
    "xml",
];

/// Every statement of a text.
pub fn parse_all(source: &str) -> Result<Vec<Object>, SyntaxError> {
    statements(source)?.iter().map(parse_statement).collect()
}

/// One statement.
pub fn parse_statement(statement: &Statement) -> Result<Object, SyntaxError> {
    let mut cursor = Cursor {
        words: &statement.words,
        at: 0,
        end: statement.span.end,
    };
    let keyword = cursor.next("an object, for example primitive")?;
    let mut references = Vec::new();
    let name_span = cursor
        .peek()
        .map_or(keyword.span.clone(), |word| word.span.clone());
    let (place, mut element) = match keyword.text.as_str() {
        "node" => (Place::Node, other::node(&mut cursor)?),
        "primitive" => (
            Place::Resource,
            resource::primitive(&mut cursor, "primitive")?,
        ),
        "rsc_template" => (
            Place::Resource,
            resource::primitive(&mut cursor, "template")?,
        ),
        "group" => (
            Place::Resource,
            resource::group(&mut cursor, &mut references)?,
        ),
        "clone" => (
            Place::Resource,
            resource::clone(&mut cursor, "clone", &mut references)?,
        ),
        "ms" | "master" => (
            Place::Resource,
            resource::clone(&mut cursor, "master", &mut references)?,
        ),
        "bundle" => (
            Place::Resource,
            resource::bundle(&mut cursor, &mut references)?,
        ),
        "tag" => (Place::Tag, other::tag(&mut cursor, &mut references)?),
        "location" => (
            Place::Constraint,
            constraint::location(&mut cursor, &mut references)?,
        ),
        "colocation" | "collocation" => (
            Place::Constraint,
            constraint::colocation(&mut cursor, &mut references)?,
        ),
        "order" => (
            Place::Constraint,
            constraint::order(&mut cursor, &mut references)?,
        ),
        "rsc_ticket" => (
            Place::Constraint,
            constraint::ticket(&mut cursor, &mut references)?,
        ),
        "property" => (
            Place::Property,
            set::options(&mut cursor, "cluster_property_set", "cib-bootstrap-options")?,
        ),
        "rsc_defaults" => (
            Place::RscDefaults,
            set::options(&mut cursor, "meta_attributes", "rsc-options")?,
        ),
        "op_defaults" => (
            Place::OpDefaults,
            set::options(&mut cursor, "meta_attributes", "op-options")?,
        ),
        "fencing_topology" => (
            Place::Topology,
            other::topology(&mut cursor, &mut references)?,
        ),
        "role" => (Place::Acl, other::role(&mut cursor)?),
        "acl_target" => (
            Place::Acl,
            other::grant(&mut cursor, "acl_target", &mut references)?,
        ),
        "acl_group" => (
            Place::Acl,
            other::grant(&mut cursor, "acl_group", &mut references)?,
        ),
        "alert" => (Place::Alert, other::alert(&mut cursor)?),
        "xml" => {
            let (place, element) = raw(statement)?;
            let members = element.children().filter(|child| child.is(MEMBER));
            let named =
                members.filter_map(|child| Some((child.id()?.to_owned(), statement.span.clone())));
            references.extend(named);
            (place, element)
        }
        word => {
            let error = SyntaxError::at(
                keyword.span.clone(),
                format!("{word:?} is no kind of object"),
            );
            return Err(match meant(word, KEYWORDS.iter().copied()) {
                Some(meant) => error.cure(format!("did you mean {meant:?}?")),
                None => error.cure(format!("one of: {}", KEYWORDS.join(", "))),
            });
        }
    };
    if keyword.text != "xml" {
        cursor.finish()?;
    }
    if !statement.comments.is_empty() {
        let comments = statement
            .comments
            .iter()
            .map(|text| Node::comment(&format!(" {text} ")));
        element.nodes_mut().splice(0..0, comments);
    }
    Ok(Object {
        place,
        element,
        span: statement.span.clone(),
        name_span,
        references,
    })
}

/// `xml <...>`: the element as it is.
fn raw(statement: &Statement) -> Result<(Place, Element), SyntaxError> {
    let element = xml::parse(&statement.rest, &Limits::CIB).map_err(|error| {
        SyntaxError::at(
            statement.span.clone(),
            format!("the XML can't be read: {error}"),
        )
    })?;
    let tag = element.tag().to_owned();
    let place = match tag.as_str() {
        "meta_attributes" => Some(defaults_of(&element)),
        "rsc_defaults" | "op_defaults" => {
            let place = if tag == "op_defaults" {
                Place::OpDefaults
            } else {
                Place::RscDefaults
            };
            let inner = element.children().next().cloned();
            return inner.map(|inner| (place, inner)).ok_or_else(|| {
                SyntaxError::at(statement.span.clone(), format!("<{tag}> is empty"))
            });
        }
        _ => Place::of_tag(&tag),
    };
    match place {
        Some(Place::Topology) => Ok((Place::Topology, element)),
        Some(place) if element.id().is_some() => Ok((place, element)),
        Some(_) => Err(SyntaxError::at(statement.span.clone(), format!("the element <{tag}> has no id"))
            .cure("give it an id=\"...\"")),
        None => Err(SyntaxError::at(
            statement.span.clone(),
            format!("<{tag}> is no object of the configuration"),
        )
        .cure("one of primitive, template, group, clone, bundle, tag, a constraint, cluster_property_set")),
    }
}

/// Whose defaults a set is that does not say so, as crmsh writes them: its options tell, else its id.
fn defaults_of(set: &Element) -> Place {
    const OF_OPERATIONS: &[&str] = &[
        "timeout",
        "interval",
        "on-fail",
        "start-delay",
        "record-pending",
        "enabled",
        "interval-origin",
    ];
    let names = || {
        set.children_named("nvpair")
            .filter_map(|pair| pair.get("name"))
    };
    let of_operations = set.descendants().any(|part| part.is("op_expression"))
        || names().any(|name| OF_OPERATIONS.contains(&name))
        || (names().count() == 0 && set.id().is_some_and(|id| id.starts_with("op")));
    if of_operations {
        Place::OpDefaults
    } else {
        Place::RscDefaults
    }
}

/// A place among the words of a statement.
pub(super) struct Cursor<'a> {
    words: &'a [Word],
    at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    /// The next word, left where it is.
    pub(super) fn peek(&self) -> Option<&'a Word> {
        self.words.get(self.at)
    }

    /// The next word, which must be there.
    pub(super) fn next(&mut self, wanted: &str) -> Result<&'a Word, SyntaxError> {
        let word = self
            .words
            .get(self.at)
            .ok_or_else(|| self.missing(wanted))?;
        self.at += 1;
        Ok(word)
    }

    /// Step over the next word.
    pub(super) fn skip(&mut self) {
        self.at += 1;
    }

    /// Take the next word if it is exactly this.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.is(text));
        self.at += usize::from(found);
        found
    }

    /// Take `name=value` if the next word is one of that name.
    pub(super) fn take_pair(&mut self, name: &str) -> Option<&'a str> {
        let (found, value) = self.peek()?.pair()?;
        (found == name).then(|| {
            self.at += 1;
            value
        })
    }

    /// The name of an object: a word that can be an XML id.
    pub(super) fn id(&mut self, of: &str) -> Result<&'a Word, SyntaxError> {
        let word = self.next(&format!("the id of the {of}"))?;
        if is_id(&word.text) {
            return Ok(word);
        }
        Err(SyntaxError::at(
            word.span.clone(),
            format!("{:?} can't be the id of a {of}", word.text),
        )
        .cure("an id begins with a letter or _ and has letters, digits, '-', '_' and '.'"))
    }

    /// Nothing may be left.
    pub(super) fn finish(&self) -> Result<(), SyntaxError> {
        match self.peek() {
            None => Ok(()),
            Some(word) => Err(SyntaxError::at(
                word.span.clone(),
                format!("{:?} is not expected here", word.text),
            )),
        }
    }

    /// The error that something is missing at the end.
    pub(super) fn missing(&self, wanted: &str) -> SyntaxError {
        let span = match self.words.get(self.at.wrapping_sub(1)) {
            Some(last) if self.at >= self.words.len() => last.span.end..last.span.end,
            _ => self.end..self.end,
        };
        SyntaxError::at(span, format!("expected {wanted} after this"))
    }
}

/// Whether a text can be an XML id.
pub fn is_id(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
