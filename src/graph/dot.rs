//! A graph as text for Graphviz. (spec 4 §12.2)

use std::fmt::{self, Write as _};

use super::model::{Action, ActionKind, Graph};

/// What is drawn: also actions that are optional or impossible, which no graph holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drawing {
    /// Boxes, in the order in which they are written.
    pub nodes: Vec<DotNode>,
    /// Arrows.
    pub edges: Vec<DotEdge>,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DotNode {
    /// Its text, which also identifies it.
    pub name: String,
    /// `bold` or `dashed`.
    pub style: &'static str,
    /// `green` in the graph, `red` impossible, `blue` optional.
    pub color: &'static str,
    /// `orange` for a pseudo-action, `purple` for an unmanaged resource, else `black`.
    pub font: &'static str,
}

/// One relation: `from` comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DotEdge {
    /// Name of what comes first.
    pub from: String,
    /// Name of what follows.
    pub to: String,
    /// `bold` or `dashed`.
    pub style: &'static str,
}

impl Drawing {
    /// Just what is in the graph.
    pub fn of(graph: &Graph) -> Self {
        let mut drawing = Drawing::default();
        for action in graph.actions() {
            let font = if action.kind == ActionKind::Pseudo {
                "orange"
            } else {
                "black"
            };
            drawing.nodes.push(DotNode {
                name: name(action),
                style: "bold",
                color: "green",
                font,
            });
        }
        for synapse in &graph.synapses {
            for input in &synapse.inputs {
                if let Some(first) = graph.action(*input) {
                    drawing.edges.push(DotEdge {
                        from: name(first),
                        to: name(&synapse.action),
                        style: "bold",
                    });
                }
            }
        }
        drawing
    }
}

/// The text that stands for an action.
fn name(action: &Action) -> String {
    let node = action.node.as_ref().map(|node| node.name.as_str());
    let mut text = String::new();
    match (action.fencing_op(), node) {
        (Some(op), Some(node)) => {
            let _ = write!(text, "stonith '{op}' {node}");
        }
        (_, node) => {
            if action.task == "cancel" {
                text.push_str("Cancel ");
            }
            let by_key = action.rsc.is_some() || action.kind == ActionKind::Pseudo;
            text.push_str(if by_key || node.is_none() {
                &action.key
            } else {
                &action.task
            });
            match node {
                Some(node) => {
                    let _ = write!(text, " {node}");
                }
                None if action.kind != ActionKind::Pseudo => text.push_str(" <none>"),
                None => {}
            }
        }
    }
    text
}

impl fmt::Display for Drawing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, " digraph \"g\" {{")?;
        for node in &self.nodes {
            let (name, style, color, font) = (&node.name, node.style, node.color, node.font);
            writeln!(
                f,
                "\"{name}\" [ style={style} color=\"{color}\" fontcolor=\"{font}\"]"
            )?;
        }
        for edge in &self.edges {
            writeln!(
                f,
                "\"{}\" -> \"{}\" [ style = {}]",
                edge.from, edge.to, edge.style
            )?;
        }
        writeln!(f, "}}")
    }
}
