//! What counts as the same answer. White space, blank lines, the numbers of actions and the order of synapses
//! do not count; neither do `crm_feature_set`, `batch-limit` and the name of the step that printed a score.

use std::collections::BTreeMap;
use std::fmt;

use systole::xml::{Element, Limits, read};

/// A level at which a case is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// The text of a simulated run.
    Summary,
    /// Placement scores.
    Scores,
    /// Actions and what they wait for.
    Graph,
    /// The same with all attributes.
    Attributes,
}

/// All of them.
pub(crate) const LEVELS: [Level; 4] = [
    Level::Summary,
    Level::Scores,
    Level::Graph,
    Level::Attributes,
];

impl Level {
    /// The level with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        LEVELS.into_iter().find(|level| level.to_string() == name)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Summary => "summary",
            Level::Scores => "scores",
            Level::Graph => "graph",
            Level::Attributes => "attributes",
        })
    }
}

/// Two answers that are not the same.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    /// What is recorded.
    pub(crate) want: Vec<String>,
    /// What we say.
    pub(crate) got: Vec<String>,
    /// What was said on standard error.
    pub(crate) errors: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.errors.lines() {
            writeln!(f, "! {line}")?;
        }
        for line in diff(&self.want, &self.got) {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// Lines that were lost (`-`) and that are new (`+`), in order, by the longest common part.
fn diff(want: &[String], got: &[String]) -> Vec<String> {
    let mut common = vec![vec![0u32; got.len() + 1]; want.len() + 1];
    for i in (0..want.len()).rev() {
        for j in (0..got.len()).rev() {
            common[i][j] = if want[i] == got[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < want.len() || j < got.len() {
        if i < want.len() && j < got.len() && want[i] == got[j] {
            (i, j) = (i + 1, j + 1);
        } else if i < want.len() && (j == got.len() || common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("-{}", want[i]));
            i += 1;
        } else {
            lines.push(format!("+{}", got[j]));
            j += 1;
        }
    }
    lines
}

/// The lines without any white space, and without those that have nothing else.
pub(crate) fn squeeze(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| {
            line.chars()
                .filter(|c| !c.is_whitespace())
                .collect::<String>()
        })
        .filter(|line| !line.is_empty())
        .collect()
}

/// Score lines as a multiset, without the step that printed them.
pub(crate) fn score_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .map(|line| {
            let step = line.split_once(": ").filter(|(step, _)| {
                !step.is_empty() && step.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            });
            match step {
                Some((_, rest)) if line.contains("allocation score") => rest.to_owned(),
                _ => line,
            }
        })
        .collect();
    lines.sort();
    lines
}

/// One row per synapse, numbers replaced by what they stand for.
pub(crate) fn graph_rows(text: &str, with_attributes: bool) -> Vec<String> {
    let root = match read::parse(text, &Limits::default()) {
        Ok(root) => root,
        Err(error) => return vec![format!("no graph: {error}")],
    };
    let mut rows = Vec::new();
    if with_attributes {
        let skip = ["crm_feature_set", "batch-limit", "transition_id"];
        let rest: BTreeMap<&str, &str> = root
            .attrs()
            .filter(|(name, _)| !skip.contains(name))
            .collect();
        rows.push(format!("graph {}", pairs(rest)));
    }
    for synapse in root.children().filter(|child| child.tag() == "synapse") {
        let actions: Vec<String> = children(synapse, "action_set")
            .map(|action| row(action, with_attributes))
            .collect();
        let mut inputs: Vec<String> = children(synapse, "inputs")
            .flat_map(|trigger| trigger.children().map(identity).collect::<Vec<_>>())
            .collect();
        inputs.sort();
        inputs.dedup();
        let priority = match synapse.get("priority").unwrap_or("0") {
            value if with_attributes && value != "0" => format!(" priority={value}"),
            _ => String::new(),
        };
        rows.push(format!(
            "{}{priority} <- [{}]",
            actions.join(" + "),
            inputs.join("; ")
        ));
    }
    rows.sort();
    rows
}

fn children<'e>(element: &'e Element, tag: &str) -> impl Iterator<Item = &'e Element> {
    element.child(tag).into_iter().flat_map(Element::children)
}

fn pairs<'a>(of: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    of.into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(" ")
}

fn identity(action: &Element) -> String {
    let task = action.get("operation").unwrap_or_default();
    let key = action
        .get("operation_key")
        .filter(|key| !key.is_empty())
        .unwrap_or(task);
    let node = action.get("on_node").unwrap_or("-");
    let router = action.get("router_node").unwrap_or("-");
    format!("{} {key} {task} on {node} via {router}", action.tag())
}

fn row(action: &Element, with_attributes: bool) -> String {
    let mut row = identity(action);
    if !with_attributes {
        return row;
    }
    let mut attributes: BTreeMap<&str, &str> = BTreeMap::new();
    for element in action
        .children()
        .filter(|child| child.tag() == "attributes")
    {
        attributes.extend(element.attrs());
    }
    attributes.remove("crm_feature_set");
    let others: Vec<String> = action
        .children()
        .filter(|child| child.tag() != "attributes")
        .map(|child| {
            let sorted: BTreeMap<&str, &str> = child.attrs().collect();
            format!("<{} {}>", child.tag(), pairs(sorted))
        })
        .collect();
    row.push_str(&format!(" {{{}}} {}", pairs(attributes), others.join(" ")));
    if action.child("downed").is_some() {
        let mut nodes: Vec<&str> = action
            .children()
            .flat_map(Element::children)
            .filter(|node| node.tag() == "node")
            .map(|node| node.get("id").unwrap_or_default())
            .collect();
        nodes.sort();
        if !nodes.is_empty() {
            row.push_str(&format!(" downed={}", nodes.join(",")));
        }
    }
    row
}
