//! Where an attribute lives: with a node, until it leaves or for good; among the options of the cluster; with the
//! defaults; with the tickets. Each place knows how its pairs are found, and which command changes one.
//!
//! A change is one merge or one removal of one pair, so that two writers of different attributes never collide, and
//! `value++` counts from what is there when the command is applied. // spec cluster §2.2

use crate::{
    cib::{Command, Flags},
    cli::{cmd::change::Set, failure::Failure},
    xml::Element,
};

/// A place, with the set that is meant if the asker named one.
pub(super) struct Place {
    section: &'static str,
    /// Name and id of the node, where attributes belong to one.
    node: Option<(String, String)>,
    set: Set,
    named: Option<String>,
}

/// An attribute in a place.
pub(super) struct Found {
    pub(super) set: String,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) value: String,
}

impl Place {
    /// By the word for its section.
    pub(super) fn new(
        section: &str,
        node: Option<(String, String)>,
        set: Set,
        named: Option<String>,
    ) -> Result<Place, Failure> {
        const SECTIONS: [&str; 6] = [
            "crm_config",
            "nodes",
            "status",
            "rsc_defaults",
            "op_defaults",
            "tickets",
        ];
        let section = SECTIONS
            .into_iter()
            .find(|known| *known == section)
            .ok_or_else(|| {
                Failure::usage(format!("{section:?} is no section with attributes"))
                    .cure(format!("one of {}", SECTIONS.join(", ")))
            })?;
        Ok(Place {
            section,
            node,
            set,
            named,
        })
    }

    /// The word for its section.
    pub(super) fn section(&self) -> &str {
        self.section
    }

    /// Whether what is here belongs to a node.
    pub(super) fn of_a_node(&self) -> bool {
        self.node.is_some()
    }

    /// The set that the asker named.
    pub(super) fn named_set(&self) -> Option<&str> {
        self.named.as_deref()
    }

    /// Every attribute here, in the order of the document.
    pub(super) fn find(&self, root: &Element) -> Vec<Found> {
        let sets: Vec<&Element> = match (self.section, &self.node) {
            ("status", Some((_, id))) => root
                .child("status")
                .and_then(|status| status.child_by_id("node_state", id))
                .and_then(|state| state.child("transient_attributes"))
                .map(|owner| owner.children_named(self.set.tag()).collect())
                .unwrap_or_default(),
            ("nodes", Some((_, id))) => root
                .descend(&["configuration", "nodes"])
                .and_then(|nodes| nodes.child_by_id("node", id))
                .map(|owner| owner.children_named(self.set.tag()).collect())
                .unwrap_or_default(),
            ("tickets", _) => root
                .descend(&["status", "tickets"])
                .map(|tickets| tickets.children_named(self.set.tag()).collect())
                .unwrap_or_default(),
            (section, _) => root
                .descend(&["configuration", section])
                .map(|section| section.children().collect())
                .unwrap_or_default(),
        };
        let named = |set: &&Element| self.named.as_deref().is_none_or(|id| set.id() == Some(id));
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        sets.into_iter()
            .filter(named)
            .flat_map(|set| {
                set.children_named("nvpair").map(move |pair| Found {
                    set: text(set.id()),
                    id: text(pair.id()),
                    name: text(pair.get("name")),
                    value: text(pair.get("value")),
                })
            })
            .collect()
    }

    /// An attribute that is not there yet, with the ids that Pacemaker's tools give.
    pub(super) fn fresh(&self, name: &str, id: Option<&str>) -> Result<Found, Failure> {
        let own = match (self.section, &self.node) {
            ("status", Some((_, id))) => format!("status-{id}"),
            ("nodes", Some((_, id))) => format!("nodes-{id}"),
            ("crm_config", _) => "cib-bootstrap-options".to_owned(),
            ("rsc_defaults", _) => "rsc-options".to_owned(),
            ("op_defaults", _) => "op-options".to_owned(),
            ("tickets", _) => "status-tickets".to_owned(),
            _ => return Err(Failure::usage("which node?").cure("say -N NODE")),
        };
        let own = match self.set {
            Set::Utilization => format!("{own}-utilization"),
            _ => own,
        };
        let set = self.named.clone().unwrap_or(own);
        let clean = |c: char| {
            if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '_'
            }
        };
        let id = match id {
            Some(id) => id.to_owned(),
            None => format!("{set}-{}", name.chars().map(clean).collect::<String>()),
        };
        Ok(Found {
            set,
            id,
            name: name.to_owned(),
            value: String::new(),
        })
    }

    /// The command that gives it this value.
    pub(super) fn update(&self, pair: &Found, value: &str) -> Command {
        let tag = match self.section {
            "crm_config" => "cluster_property_set",
            "rsc_defaults" | "op_defaults" => "meta_attributes",
            _ => self.set.tag(),
        };
        let nvpair = Element::new("nvpair")
            .with("id", &pair.id)
            .with("name", &pair.name)
            .with("value", value);
        let set = Element::new(tag).with("id", &pair.set).with_child(nvpair);
        let (section, input) = match (self.section, &self.node) {
            ("status", Some((uname, id))) => {
                let owner = Element::new("transient_attributes")
                    .with("id", id)
                    .with_child(set);
                let state = Element::new("node_state")
                    .with("id", id)
                    .with("uname", uname)
                    .with_child(owner);
                ("status", state)
            }
            ("nodes", Some((uname, id))) => {
                // A remote node's name is its id; without the kind it would be taken for a member.
                let remote = (id == uname && id.parse::<u32>().is_err()).then_some("remote");
                let node = Element::new("node")
                    .with("id", id)
                    .with("uname", uname)
                    .with_some("type", remote);
                ("nodes", node.with_child(set))
            }
            ("tickets", _) => ("status", Element::new("tickets").with_child(set)),
            (section, _) => (section, set),
        };
        let mut command = Command::modify(section, input);
        command.flags = Flags {
            can_create: true,
            score: true,
            ..Flags::default()
        };
        command.origin.client = "crm_attribute".to_owned();
        command
    }

    /// The command that removes it.
    pub(super) fn delete(&self, pair: &Found) -> Command {
        let section = match self.section {
            "tickets" => "status",
            section => section,
        };
        let nvpair = Element::new("nvpair")
            .with("id", &pair.id)
            .with("name", &pair.name);
        let mut command = Command::delete(section, nvpair);
        command.origin.client = "crm_attribute".to_owned();
        command
    }
}
