//! All that a writer may ask. A command carries everything its effect depends on, the time included, so that applying
//! it is the same everywhere and at any later day.

use serde::{Deserialize, Serialize};

use crate::xml::Element;

/// A request to a CIB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// What to do.
    pub op: Op,
    /// Where.
    pub target: Target,
    /// With what.
    pub input: Option<Element>,
    /// How.
    pub flags: Flags,
    /// Who asks.
    pub origin: Origin,
    /// When, in seconds since 1970; what `cib-last-written` is set to.
    pub time_s: i64,
}

/// What can be asked of a CIB. // spec cluster §2
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// The element, nothing changed.
    Query,
    /// Adds what must not be there yet.
    Create,
    /// Merges into what is there.
    Modify,
    /// Puts the input in place of what is there.
    Replace,
    /// Removes what is like the input.
    Delete,
    /// Removes every match of an XPath.
    DeleteAll,
    /// Drops all content.
    Erase,
    /// Raises the epoch.
    Bump,
    /// Applies a patch.
    Patch,
    /// Rewrites the configuration for the newest schema.
    Upgrade,
    /// All of these or none.
    CommitTransaction(Vec<Command>),
}

impl Op {
    /// Whether it can change anything.
    pub fn writes(&self) -> bool {
        !matches!(self, Op::Query)
    }

    /// Its name, as in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Query => "query",
            Op::Create => "create",
            Op::Modify => "modify",
            Op::Replace => "replace",
            Op::Delete => "delete",
            Op::DeleteAll => "delete-all",
            Op::Erase => "erase",
            Op::Bump => "bump",
            Op::Patch => "apply_patch",
            Op::Upgrade => "upgrade",
            Op::CommitTransaction(_) => "commit_transact",
        }
    }
}

/// Where in a CIB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// The whole document.
    Whole,
    /// A section by name; unknown names mean the whole document.
    Section(String),
    /// What this XPath finds.
    XPath(String),
}

/// How a request is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flags {
    /// All matches of an XPath instead of the first.
    pub multiple: bool,
    /// Modify may create what it does not find.
    pub can_create: bool,
    /// Expand `NAME++` and `NAME+=N`.
    pub score: bool,
    /// With `score`: what is not set yet counts from 0, instead of getting the text as it is.
    pub from_zero: bool,
    /// Query: the tag and attributes alone.
    pub no_children: bool,
    /// Say what would happen, do nothing.
    pub dry_run: bool,
    /// Replace: keep the versions as received, whatever they are.
    pub as_received: bool,
    /// Replace: the v2 digest that the input must have.
    pub digest: Option<String>,
}

/// Who asks. An empty text is "not known".
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// Name of the node from which the request came.
    pub node: String,
    /// Name of the tool or daemon.
    pub client: String,
    /// On whose behalf; nobody is root.
    pub user: String,
    /// That user's id, as the kernel knew it where the request was made.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Groups of that user; an ACL may grant to them.
    pub groups: Vec<String>,
    /// Why, for the history of the configuration.
    pub comment: String,
}

impl Command {
    /// A request with neither flags nor origin.
    pub fn new(op: Op, target: Target, input: Option<Element>) -> Self {
        let (flags, origin) = (Flags::default(), Origin::default());
        Self {
            op,
            target,
            input,
            flags,
            origin,
            time_s: 0,
        }
    }

    /// Reads a section.
    pub fn query(section: &str) -> Self {
        Self::new(Op::Query, Target::Section(section.into()), None)
    }

    /// Merges an element into a section.
    pub fn modify(section: &str, input: Element) -> Self {
        Self::new(Op::Modify, Target::Section(section.into()), Some(input))
    }

    /// Adds an element to a section.
    pub fn create(section: &str, input: Element) -> Self {
        Self::new(Op::Create, Target::Section(section.into()), Some(input))
    }

    /// Removes an element of a section.
    pub fn delete(section: &str, input: Element) -> Self {
        Self::new(Op::Delete, Target::Section(section.into()), Some(input))
    }

    /// Removes what an XPath finds.
    pub fn delete_xpath(xpath: &str) -> Self {
        Self::new(Op::Delete, Target::XPath(xpath.into()), None)
    }

    /// Several requests, all or none.
    pub fn transaction(commands: Vec<Command>) -> Self {
        Self::new(Op::CommitTransaction(commands), Target::Whole, None)
    }

    /// The request with modify allowed to create.
    #[must_use]
    pub fn or_create(mut self) -> Self {
        self.flags.can_create = true;
        self
    }

    /// The request with its origin.
    #[must_use]
    pub fn from(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// The request with its time.
    #[must_use]
    pub fn at(mut self, time_s: i64) -> Self {
        self.time_s = time_s;
        self
    }

    /// Whether it can change nothing but the status section.
    pub fn is_status_only(&self) -> bool {
        match (&self.op, &self.target) {
            (Op::CommitTransaction(commands), _) => commands.iter().all(Command::is_status_only),
            (_, Target::Section(section)) => section == "status",
            _ => false,
        }
    }
}
