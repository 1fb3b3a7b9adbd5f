//! What a run shows, for people as text or for programs as XML.

use crate::cli::dialect;
use crate::cli::show::{self, Entry, Page, Wanted, xml};
use crate::policy::Outcome;
use crate::policy::facts::Facts;
use crate::simulate::{Modification, Step, step_text};
use crate::terms::CrmExit;
use crate::xml::{Element, write};

use super::args::{Format, Options};
use super::decide;

/// What is shown so far, and what goes to standard error.
pub(super) struct Report {
    pub(super) page: Page,
    elements: Vec<Element>,
    pub(super) errors: Vec<String>,
    format: Format,
    /// Nothing but scores.
    quiet: bool,
}

impl Report {
    pub(super) fn new(options: &Options) -> Self {
        Report {
            page: Page::new(),
            elements: Vec::new(),
            errors: Vec::new(),
            format: options.format,
            quiet: options.quiet,
        }
    }

    /// All of it, once the end is known.
    pub(super) fn finish(self, request: &str, exit: CrmExit) -> String {
        match self.format {
            Format::Text => self.page.into_text(),
            Format::Xml => {
                let document = xml::envelope(request, self.elements, exit, &self.errors);
                write::pretty(&dialect::spoken_here(document))
            }
            Format::Nothing => String::new(),
        }
    }

    fn is_xml(&self) -> bool {
        self.format == Format::Xml
    }

    pub(super) fn section(&mut self, title: &str, entries: &[Entry]) {
        self.page.space();
        self.page.line(&format!("{title}:"));
        for entry in entries {
            self.page.entry(1, entry);
        }
    }

    /// Where the time of the run comes from.
    pub(super) fn time(&mut self, line: Option<&str>) {
        if let Some(line) = line.filter(|_| !self.quiet) {
            self.page.line(line);
        }
    }

    /// What is true before anything is decided.
    pub(super) fn status_before(&mut self, facts: &Facts, wanted: &Wanted) {
        if self.quiet {
            return;
        }
        if facts.options.maintenance_mode {
            self.page.space();
            self.page
                .line("              *** Resource management is DISABLED ***");
            self.page
                .line("  The cluster will not attempt to start, stop or recover services");
        }
        if let Some(line) = show::counts_line(facts) {
            self.page.space();
            self.page.line(&line);
        }
        self.status("Current cluster status", "cluster_status", facts, wanted);
    }

    /// What would be true afterwards.
    pub(super) fn status_after(&mut self, facts: &Facts, wanted: &Wanted) {
        if !self.quiet {
            self.status(
                "Revised Cluster Status",
                "revised_cluster_status",
                facts,
                wanted,
            );
        }
    }

    fn status(&mut self, title: &str, tag: &str, facts: &Facts, wanted: &Wanted) {
        if self.is_xml() {
            let mut element = Element::new(tag).with_child(xml::nodes(facts, wanted));
            let attributes = wanted
                .attributes
                .then(|| xml::node_attributes(facts, wanted))
                .flatten();
            let failures = wanted
                .failures
                .then(|| xml::failures(facts, wanted))
                .flatten();
            let sections = [xml::resources(facts, wanted), attributes, failures];
            for section in sections.into_iter().flatten() {
                element.push(section);
            }
            self.elements.push(element);
            return;
        }
        self.page.space();
        self.page.line(&format!("{title}:"));
        for (at, entry) in show::status(facts, wanted).iter().enumerate() {
            if at > 0 {
                self.page.space();
            }
            self.page.entry(1, entry);
        }
    }

    /// What was tried.
    pub(super) fn modifications(&mut self, made: &[Modification]) {
        if self.quiet {
            return;
        }
        if self.is_xml() {
            self.elements.extend(modification_elements(made));
            return;
        }
        self.section("Performing Requested Modifications", &items(made));
        self.page.space();
    }

    /// Scores and utilization, also when quiet.
    pub(super) fn scores(&mut self, options: &Options, outcome: &Outcome) {
        let title = match (options.scores, options.utilization) {
            (true, true) => "Assignment Scores and Utilization Information",
            (true, false) => "Assignment Scores",
            (false, true) => "Utilization Information",
            (false, false) => return,
        };
        if self.is_xml() {
            let (scores, utilization) = (options.scores, options.utilization);
            self.elements
                .push(decide::scores_element(outcome, scores, utilization));
            return;
        }
        let lines = decide::score_lines(outcome, options.scores, options.utilization);
        if self.quiet {
            for line in &lines {
                self.page.line(line);
            }
            return;
        }
        self.section(title, &[]);
        // Quirk: what the policy has to say while it decides stands among what it was asked to tell.
        for line in &outcome.plan.private_changes {
            self.page.line(line);
        }
        for entry in items(&lines) {
            self.page.entry(1, &entry);
        }
    }

    /// What the cluster would do.
    pub(super) fn summary(&mut self, outcome: &Outcome) {
        if self.quiet {
            return;
        }
        if self.is_xml() {
            self.elements.push(decide::summary_element(outcome));
        } else {
            self.section(
                "Transition Summary",
                &items(&decide::summary_lines(outcome)),
            );
        }
    }

    /// What was done in the simulation. Steps stand in a list, except the news that one failed.
    pub(super) fn execution(&mut self, steps: &[Step]) {
        if self.quiet {
            return;
        }
        if self.is_xml() {
            let steps = steps.iter().filter_map(step_element);
            self.elements
                .push(Element::new("transition").with_children(steps));
            return;
        }
        self.page.space();
        self.page.line("Executing Cluster Transition:");
        for step in steps {
            let text = step_text(step);
            match step {
                Step::Failed { .. } => self.page.line(&text),
                _ => self.page.entry(1, &Entry::Item(text)),
            }
        }
        self.page.space();
    }
}

fn items<T: ToString>(of: &[T]) -> Vec<Entry> {
    of.iter().map(|one| Entry::Item(one.to_string())).collect()
}

/// `modifications`, and what was changed one by one.
fn modification_elements(made: &[Modification]) -> Vec<Element> {
    let mut whole = Element::new("modifications");
    let mut elements = Vec::new();
    let node = |action: &str, node: &str| {
        Element::new("modify_node")
            .with("action", action)
            .with("node", node)
    };
    for one in made {
        elements.push(match one {
            Modification::Quorum(value) => {
                whole.set("quorum", value);
                continue;
            }
            Modification::Watchdog(value) => {
                whole.set("watchdog", value);
                continue;
            }
            Modification::Online(name) => node("Online", name),
            Modification::Offline(name) => node("Offline", name),
            Modification::Failing(name) => node("Failing", name),
            Modification::Ticket { action, ticket } => Element::new("modify_ticket")
                .with("action", action)
                .with("ticket", ticket),
            Modification::Spec(spec) => Element::new("inject_spec").with("spec", spec),
            Modification::Attribute { name, value, node } => Element::new("inject_attr")
                .with("name", name)
                .with("value", value)
                .with("node_path", "/node_state")
                .with("cib_node", node),
        });
    }
    elements.insert(0, whole);
    elements
}

fn step_element(step: &Step) -> Option<Element> {
    Some(match step {
        Step::Pseudo { key, node } => Element::new("pseudo_action")
            .with("task", key)
            .with_some("node", node.as_ref()),
        Step::Resource {
            rsc,
            task,
            interval_ms,
            node,
        } => {
            let interval = (*interval_ms > 0).then(|| interval_ms.to_string());
            Element::new("rsc_action")
                .with("resource", rsc)
                .with("op", task)
                .with("node", node)
                .with_some("interval", interval)
        }
        Step::Cluster { task, rsc, node } => Element::new("cluster_action")
            .with("task", task)
            .with("node", node)
            .with_some("id", rsc.as_ref()),
        Step::Fencing { node, op } => Element::new("fencing_action")
            .with("target", node)
            .with("op", op),
        Step::Counted(modification) => {
            return modification_elements(std::slice::from_ref(modification)).pop();
        }
        Step::Failed { .. } => return None,
    })
}
