//! One look at the cluster, as sections of text or as elements. (spec 4 §14.2 to §15)

use super::sections::{Sections, Selection};
use crate::{
    cib::Cib,
    cli::{
        cmd::status,
        show::{self, Entry, Fencing, Page, Wanted},
    },
    clock,
    fencer::State,
    policy::facts::Facts,
    rpc::ClusterStatus,
    terms::{DateTime, span, text},
    xml::Element,
};

/// Everything that a look is made of.
pub(super) struct View<'v> {
    pub(super) cib: &'v Cib,
    pub(super) facts: &'v Facts,
    /// How many instances there are, are disabled, are blocked by a failure.
    pub(super) instances: (usize, usize, usize),
    pub(super) cluster: Option<&'v ClusterStatus>,
    pub(super) wanted: &'v Wanted,
    pub(super) chosen: &'v Selection,
    /// What was fenced.
    pub(super) fencing: Fencing,
}

/// A section of text: a list, or lines that stand as they are.
pub(super) enum Block {
    List(Entry),
    Notice([&'static str; 2]),
}

impl View<'_> {
    fn has(&self, section: Sections) -> bool {
        self.chosen.sections.has(section)
    }

    fn root(&self) -> &Element {
        self.cib.root()
    }

    fn property(&self, name: &str) -> Option<&str> {
        self.facts.options.table.get(name)
    }

    fn stack(&self) -> &str {
        let unknown = if self.cluster.is_some() {
            "systole"
        } else {
            "unknown"
        };
        self.property("cluster-infrastructure").unwrap_or(unknown)
    }

    fn version(&self) -> &str {
        let unknown = if self.cluster.is_some() {
            env!("CARGO_PKG_VERSION")
        } else {
            "unknown"
        };
        self.property("dc-version").unwrap_or(unknown)
    }

    /// The version for programs: nothing where it is not known.
    fn known_version(&self) -> &str {
        let known = self.cluster.is_some() || self.property("dc-version").is_some();
        if known { self.version() } else { "" }
    }

    /// The node of the cluster that answered.
    fn origin(&self) -> Option<&str> {
        let cluster = self.cluster?;
        let mut members = cluster.members.iter();
        let me = members.find(|member| member.id == cluster.me)?;
        Some(me.name.as_str())
    }

    fn last_change(&self, name: &str) -> &str {
        self.root().get(name).unwrap_or_default()
    }

    /// The sections in their order.
    pub(super) fn blocks(&self) -> Vec<Block> {
        let (facts, wanted) = (self.facts, self.wanted);
        let mut blocks = Vec::new();
        let summary = self.summary_lines();
        if !summary.is_empty() {
            blocks.push(Block::List(Entry::List("Cluster Summary".into(), summary)));
        }
        if self.has(Sections::MAINT_MODE) {
            blocks.extend(self.notice());
        }
        let mut lists = Vec::new();
        if self.has(Sections::NODES) {
            lists.extend(show::node_list(facts, wanted));
        }
        if self.has(Sections::RESOURCES) && (!wanted.by_node || wanted.inactive) {
            lists.push(show::resource_list(facts, wanted));
        }
        if self.has(Sections::ATTRIBUTES) {
            lists.extend(show::node_attributes(facts, wanted));
        }
        let operations = self.has(Sections::OPERATIONS);
        if operations || self.has(Sections::FAILCOUNTS) {
            lists.extend(show::operations(facts, wanted, operations));
        }
        if self.has(Sections::FAILURES) {
            lists.extend(show::failed_actions(facts, wanted));
        }
        if self.has(Sections::FENCING_FAILED) {
            lists.extend(self.fencing.failed(wanted));
        }
        if self.has(Sections::TICKETS) {
            lists.extend(show::tickets(facts, wanted));
        }
        if self.has(Sections::BANS) {
            let prefix = &self.chosen.ban_prefix;
            lists.extend(show::ban_list(facts, self.root(), prefix, wanted));
        }
        if self.has(Sections::FENCING_SUCCEEDED) {
            lists.extend(self.fencing.history(wanted));
        } else if self.has(Sections::FENCING_PENDING) {
            lists.extend(self.fencing.pending(wanted));
        }
        blocks.extend(lists.into_iter().map(Block::List));
        blocks
    }

    fn notice(&self) -> Option<Block> {
        if self.facts.options.maintenance_mode {
            return Some(Block::Notice([
                "              *** Resource management is DISABLED ***",
                "  The cluster will not attempt to start, stop or recover services",
            ]));
        }
        self.facts
            .options
            .stop_all_resources
            .then_some(Block::Notice([
                "    *** Resource management is DISABLED ***",
                "  The cluster will keep all resources stopped",
            ]))
    }

    fn dc(&self) -> Option<(String, String)> {
        status::coordinator(self.cib, self.facts, self.cluster)
    }

    fn summary_lines(&self) -> Vec<Entry> {
        let mut lines = Vec::new();
        if self.has(Sections::STACK) {
            let state = self.cluster.map_or("", |_| " (Pacemaker is running)");
            lines.push(format!("Stack: {}{state}", self.stack()));
        }
        lines.extend(self.dc_line());
        if self.has(Sections::TIMES) {
            let now = DateTime::from_epoch(clock::wall_s()).at_offset(self.wanted.utc_offset_s);
            let origin = self.origin().map(|name| format!(" on {name}"));
            lines.push(format!(
                "Last updated: {}{}",
                now.ctime(),
                origin.unwrap_or_default()
            ));
            let mut line = format!("Last change:  {}", self.last_change("cib-last-written"));
            for (word, name) in [
                ("by", "update-user"),
                ("via", "update-client"),
                ("on", "update-origin"),
            ] {
                let value = self.last_change(name);
                if !value.is_empty() {
                    line.push_str(&format!(" {word} {value}"));
                }
            }
            lines.push(line);
        }
        if self.has(Sections::COUNTS) {
            let nodes = self.facts.nodes.len();
            lines.push(format!("{nodes} node{} configured", plural(nodes)));
            lines.push(self.instances_line());
        }
        if self.has(Sections::OPTIONS) {
            lines.extend(self.option_lines());
        }
        lines.into_iter().map(Entry::Item).collect()
    }

    /// Without a coordinator nothing happens, so that is said in any case.
    fn dc_line(&self) -> Option<String> {
        let Some((name, _)) = self.dc() else {
            return Some("Current DC: NONE".to_owned());
        };
        if !self.has(Sections::DC) {
            return None;
        }
        let node = self.facts.node_by_name(&name);
        let name = node.map_or(name, |node| show::node_name(self.facts, node, self.wanted));
        let mixed = if show::mixed_version(self.facts) {
            "MIXED-VERSION "
        } else {
            ""
        };
        let quorum = if status::quorate(self.cib, self.cluster) {
            "with"
        } else {
            "WITHOUT"
        };
        Some(format!(
            "Current DC: {name} (version {}) - {mixed}partition {quorum} quorum",
            self.version()
        ))
    }

    fn instances_line(&self) -> String {
        let (all, disabled, blocked) = self.instances;
        let mut line = format!("{all} resource instance{} configured", plural(all));
        let disabled = (disabled > 0).then(|| format!("{disabled} DISABLED"));
        let blocked =
            (blocked > 0).then(|| format!("{blocked} BLOCKED from further action due to failure"));
        let notes: Vec<String> = disabled.into_iter().chain(blocked).collect();
        if !notes.is_empty() {
            line.push_str(&format!(" ({})", notes.join(", ")));
        }
        line
    }

    fn option_lines(&self) -> Vec<String> {
        let options = &self.facts.options;
        let word = |yes: bool, a: &'static str, b: &'static str| if yes { a } else { b };
        let policy = match self.quorum_policy() {
            "freeze" => "Freeze resources",
            "demote" => "Demote promotable resources and stop all other resources",
            "ignore" => "Ignore",
            "fence" => "Fence nodes in partition",
            _ => "Stop ALL resources",
        };
        let management = if options.maintenance_mode {
            "DISABLED (the cluster will not attempt to start, stop, or recover services)"
        } else if options.stop_all_resources {
            "STOPPED (the cluster will keep all resources stopped)"
        } else {
            "enabled"
        };
        vec![
            format!(
                "Fencing of failed nodes {}",
                word(options.fencing_enabled, "enabled", "disabled")
            ),
            format!(
                "Cluster is {}",
                word(options.symmetric_cluster, "symmetric", "asymmetric")
            ),
            format!("No quorum policy: {policy}"),
            format!("Resource management: {management}"),
        ]
    }

    fn quorum_policy(&self) -> &str {
        match self.property("no-quorum-policy") {
            Some("suicide" | "fence") => "fence",
            Some(known @ ("freeze" | "demote" | "ignore")) => known,
            _ => "stop",
        }
    }

    /// The page of text.
    pub(super) fn text(&self) -> String {
        let mut page = Page::new();
        for block in self.blocks() {
            page.space();
            match block {
                Block::List(entry) => page.entry(0, &entry),
                Block::Notice(lines) => lines.iter().for_each(|line| page.line(line)),
            }
        }
        page.into_text()
    }

    /// The parts of the document.
    pub(super) fn elements(&self) -> Vec<Element> {
        let (facts, wanted) = (self.facts, self.wanted);
        let mut parts = Vec::new();
        parts.extend(self.summary_element());
        if self.has(Sections::NODES) {
            parts.push(show::xml::nodes(facts, wanted));
        }
        if self.has(Sections::RESOURCES) {
            parts.extend(show::xml::resources(facts, wanted));
        }
        if self.has(Sections::ATTRIBUTES) {
            parts.extend(show::xml::node_attributes(facts, wanted));
        }
        let operations = self.has(Sections::OPERATIONS);
        if operations || self.has(Sections::FAILCOUNTS) {
            parts.extend(show::node_history(facts, wanted, operations));
        }
        if self.has(Sections::FAILURES) {
            parts.extend(show::xml::failures(facts, wanted));
        }
        let fencing = self.fencing.only(|record| {
            self.has(match record.state {
                State::Failed => Sections::FENCING_FAILED,
                State::Done => Sections::FENCING_SUCCEEDED,
                State::Querying | State::Executing => Sections::FENCING_PENDING,
            })
        });
        parts.extend(fencing.element(wanted));
        if self.has(Sections::TICKETS) {
            parts.extend(show::xml::tickets(facts));
        }
        if self.has(Sections::BANS) {
            let prefix = &self.chosen.ban_prefix;
            parts.extend(show::ban_elements(facts, self.root(), prefix, wanted));
        }
        parts
    }

    fn summary_element(&self) -> Option<Element> {
        let mut parts = Vec::new();
        if self.has(Sections::STACK) {
            parts.push(
                Element::new("stack")
                    .with("type", self.stack())
                    .with_some("pacemakerd-state", self.cluster.map(|_| "running")),
            );
        }
        match self.dc() {
            Some((name, id)) if self.has(Sections::DC) => parts.push(
                Element::new("current_dc")
                    .with("present", "true")
                    .with("version", self.known_version())
                    .with("name", name)
                    .with("id", id)
                    .with(
                        "with_quorum",
                        status::quorate(self.cib, self.cluster).to_string(),
                    )
                    .with("mixed_version", show::mixed_version(self.facts).to_string()),
            ),
            Some(_) => {}
            None => parts.push(Element::new("current_dc").with("present", "false")),
        }
        if self.has(Sections::TIMES) {
            let now = DateTime::from_epoch(clock::wall_s()).at_offset(self.wanted.utc_offset_s);
            parts.push(
                Element::new("last_update")
                    .with("time", now.ctime())
                    .with_some("origin", self.origin()),
            );
            parts.push(
                Element::new("last_change")
                    .with("time", self.last_change("cib-last-written"))
                    .with("user", self.last_change("update-user"))
                    .with("client", self.last_change("update-client"))
                    .with("origin", self.last_change("update-origin")),
            );
        }
        if self.has(Sections::COUNTS) {
            let (all, disabled, blocked) = self.instances;
            let nodes = self.facts.nodes.len().to_string();
            parts.push(Element::new("nodes_configured").with("number", nodes));
            parts.push(
                Element::new("resources_configured")
                    .with("number", all.to_string())
                    .with("disabled", disabled.to_string())
                    .with("blocked", blocked.to_string()),
            );
        }
        if self.has(Sections::OPTIONS) {
            parts.push(self.options_element());
        }
        (!parts.is_empty()).then(|| Element::new("summary").with_children(parts))
    }

    fn options_element(&self) -> Element {
        let options = &self.facts.options;
        let fencing = options.fencing_enabled.to_string();
        let timeout = span::ms_or_zero(Some(&options.fencing_timeout)).to_string();
        let delay_ms = options.priority_fencing_delay_s.saturating_mul(1000);
        Element::new("cluster_options")
            .with("fencing-enabled", &fencing)
            .with("fencing-timeout-ms", &timeout)
            .with("symmetric-cluster", options.symmetric_cluster.to_string())
            .with("no-quorum-policy", self.quorum_policy())
            .with("maintenance-mode", options.maintenance_mode.to_string())
            .with("stop-all-resources", options.stop_all_resources.to_string())
            .with("priority-fencing-delay-ms", delay_ms.to_string())
            .with("stonith-enabled", &fencing)
            .with("stonith-timeout-ms", &timeout)
    }

    /// One line for a watchdog of services. Whoever reads it looks at the first words.
    pub(super) fn simple(&self) -> String {
        if self.dc().is_none() {
            return "CLUSTER WARN: No DC\n".to_owned();
        }
        let mut offline = Vec::new();
        let mut online = 0;
        for node in &self.facts.node_order {
            let node = &self.facts.nodes[*node];
            if node.online {
                online += 1;
            } else {
                offline.push(format!("offline node: {}", node.name));
            }
        }
        if !offline.is_empty() {
            return format!("CLUSTER WARN: {}\n", offline.join(" "));
        }
        let (all, ..) = self.instances;
        let quorum = if text::is_true(self.root().get("have-quorum")) || self.cluster.is_some() {
            ""
        } else {
            ", no quorum"
        };
        format!(
            "CLUSTER OK: {online} node{} online, {all} resource instance{} configured{quorum}\n",
            plural(online),
            plural(all)
        )
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
