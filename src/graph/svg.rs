//! A graph as a picture for a browser, made without another program: lanes are nodes, rows are resources, time goes to the
//! right. Colours tell what is done; hovering over a box tells everything about it.

use std::fmt::Write as _;
use std::sync::Arc;

use super::layout::{Layout, layout};
use super::{Action, ActionKind, Graph};
use crate::xml::{Element, Node, write};

const ROW: usize = 30;
const BOX: usize = 22;
const GAP: usize = 44;
const MARGIN: usize = 14;
const LETTER: usize = 7;
const LANE_GAP: usize = 10;
const FONT: &str = "font-family:DejaVu Sans,Verdana,sans-serif;font-size:12px";

/// Fill, edge, and what they stand for.
type Paint = (&'static str, &'static str, &'static str);
const START: Paint = ("#d6f0d6", "#2e8b3d", "start");
const STOP: Paint = ("#fbe3c4", "#c07a1b", "stop");
const ROLE: Paint = ("#e6dcf5", "#7a4fb5", "promote, demote");
const MOVE: Paint = ("#d3eef0", "#1f8a92", "migrate, reload");
const LOOK: Paint = ("#dbe8fb", "#3a6fc4", "monitor, cancel");
const FENCE: Paint = ("#f6c9c9", "#b3261e", "fence");
const OTHER: Paint = ("#f4efcf", "#8a7f2e", "other");
const POINT: Paint = ("#f3f3f3", "#8c8c8c", "point in time");
const PAINTS: [Paint; 8] = [START, STOP, ROLE, MOVE, LOOK, FENCE, OTHER, POINT];

/// Numbers of pixels that the pieces of the picture share.
struct Sizes {
    /// Where the rows' names begin, and the boxes.
    names: usize,
    boxes: usize,
    /// Left edge and width of each column.
    columns: Vec<(usize, usize)>,
    /// Top of each row, and top and height of each lane.
    rows: Vec<usize>,
    lanes: Vec<(usize, usize)>,
    width: usize,
    /// Where the lanes end.
    bottom: usize,
}

impl Sizes {
    fn of(graph: &Graph, layout: &Layout) -> Self {
        let text = |text: &str| text.chars().count() * LETTER;
        let lane_names = layout
            .lanes
            .iter()
            .map(|lane| text(lane_name(lane.node.as_deref())));
        let names = MARGIN + 12 + lane_names.max().unwrap_or(0) + 16;
        let row_names = layout.lanes.iter().flat_map(|lane| &lane.rows);
        let boxes = names + row_names.map(|name| text(name)).max().unwrap_or(0) + 18;
        let mut columns = vec![(0, 0); layout.columns];
        for place in &layout.places {
            let label = label(&graph.synapses[place.at].action);
            let width = &mut columns[place.column].1;
            *width = (text(&label) + 16).max(*width);
        }
        let mut x = boxes;
        for (left, width) in &mut columns {
            *left = x;
            x += *width + GAP;
        }
        let (mut rows, mut lanes, mut y) = (Vec::new(), Vec::new(), 44);
        for lane in &layout.lanes {
            let top = y;
            y += 4;
            for _ in &lane.rows {
                rows.push(y + (ROW - BOX) / 2);
                y += ROW;
            }
            y += 4;
            lanes.push((top, y - top));
            y += LANE_GAP;
        }
        let legend = PAINTS.iter().map(|paint| text(paint.2) + 34).sum::<usize>();
        Sizes {
            names,
            boxes,
            columns,
            rows,
            lanes,
            width: x.max(legend + 2 * MARGIN).max(420),
            bottom: y,
        }
    }
}

/// The picture, as text of an SVG file. The same graph gives the same text.
#[must_use]
pub fn svg(graph: &Graph) -> String {
    let layout = layout(graph);
    let sizes = Sizes::of(graph, &layout);
    let height = sizes.bottom + 40;
    let mut picture = Element::new("svg")
        .with("xmlns", "http://www.w3.org/2000/svg")
        .with("width", sizes.width.to_string())
        .with("height", height.to_string())
        .with("viewBox", format!("0 0 {} {height}", sizes.width))
        .with("style", FONT)
        .with_child(
            Element::new("rect")
                .with("width", "100%")
                .with("height", "100%")
                .with("fill", "#ffffff"),
        )
        .with_child(arrow_head())
        .with_child(title(graph));
    for (lane, (top, height)) in layout.lanes.iter().zip(&sizes.lanes) {
        picture.push(lane_band(
            &sizes,
            lane_name(lane.node.as_deref()),
            *top,
            *height,
        ));
    }
    let names = layout.lanes.iter().flat_map(|lane| &lane.rows);
    for (name, top) in names.zip(&sizes.rows).filter(|(name, _)| !name.is_empty()) {
        picture.push(words(sizes.names, top + 15, name).with("fill", "#333333"));
    }
    // Boxes stand on top of the arrows that pass behind them.
    for (first, then) in &layout.arrows {
        picture.push(arrow(&layout, &sizes, *first, *then));
    }
    for place in &layout.places {
        let (left, width) = sizes.columns[place.column];
        picture.push(action_box(
            &graph.synapses[place.at].action,
            left,
            sizes.rows[place.row],
            width,
        ));
    }
    picture.push(legend(sizes.bottom + 8));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}",
        write::pretty(&picture)
    )
}

fn lane_name(node: Option<&str>) -> &str {
    node.unwrap_or("cluster")
}

/// Text at a place.
fn words(x: usize, y: usize, text: &str) -> Element {
    let mut element = Element::new("text")
        .with("x", x.to_string())
        .with("y", y.to_string());
    element
        .nodes_mut()
        .push(Node::Text(Arc::new(text.to_owned())));
    element
}

fn title(graph: &Graph) -> Element {
    let text = match graph.synapses.len() {
        0 => "Nothing to do".to_owned(),
        1 => "1 action".to_owned(),
        count => format!("{count} actions"),
    };
    let text = text + "; each waits for those whose arrows reach it";
    words(MARGIN, 26, &text)
        .with("fill", "#333333")
        .with("font-weight", "bold")
}

fn arrow_head() -> Element {
    let head = Element::new("path")
        .with("d", "M0,0 L8,4 L0,8 z")
        .with("fill", "#666666");
    let marker = Element::new("marker")
        .with("id", "head")
        .with("markerWidth", "8")
        .with("markerHeight", "8")
        .with("refX", "7")
        .with("refY", "4")
        .with("orient", "auto")
        .with("markerUnits", "userSpaceOnUse")
        .with_child(head);
    Element::new("defs").with_child(marker)
}

fn lane_band(sizes: &Sizes, name: &str, top: usize, height: usize) -> Element {
    let band = Element::new("rect")
        .with("x", MARGIN.to_string())
        .with("y", top.to_string())
        .with("width", (sizes.width - 2 * MARGIN).to_string())
        .with("height", height.to_string())
        .with("rx", "4")
        .with("fill", "#fafafa")
        .with("stroke", "#d8d8d8");
    let edge = Element::new("line")
        .with("x1", (sizes.boxes - 10).to_string())
        .with("x2", (sizes.boxes - 10).to_string())
        .with("y1", top.to_string())
        .with("y2", (top + height).to_string())
        .with("stroke", "#e4e4e4");
    let name = words(MARGIN + 8, top + height / 2 + 4, name).with("font-weight", "bold");
    Element::new("g").with_children([band, edge, name])
}

fn arrow(layout: &Layout, sizes: &Sizes, first: usize, then: usize) -> Element {
    let (from, to) = (&layout.places[first], &layout.places[then]);
    let (left, width) = sizes.columns[from.column];
    let (x1, y1) = (left + width, sizes.rows[from.row] + BOX / 2);
    let (x2, y2) = (sizes.columns[to.column].0, sizes.rows[to.row] + BOX / 2);
    let passes = to.column > from.column + 1;
    let mut path = format!("M{x1},{y1} ");
    if passes {
        // Down or up in the gap behind the box, then between the rows, so that no box is crossed.
        let between = if y2 >= y1 {
            sizes.rows[to.row] - (ROW - BOX) / 2
        } else {
            sizes.rows[to.row] + BOX + (ROW - BOX) / 2
        };
        let (turn, end) = (x1 + GAP / 2, x2 - GAP / 2);
        let _ = write!(
            path,
            "C{turn},{y1} {},{between} {turn},{between} L{end},{between} C{},{between} {},{y2} {x2},{y2}",
            x1 + 6,
            end + 12,
            end + 8
        );
    } else {
        let middle = (x1 + x2) / 2;
        let _ = write!(path, "C{middle},{y1} {middle},{y2} {x2},{y2}");
    }
    Element::new("path")
        .with("d", path)
        .with("fill", "none")
        .with("stroke", "#777777")
        .with("stroke-opacity", "0.75")
        .with("marker-end", "url(#head)")
}

fn action_box(action: &Action, left: usize, top: usize, width: usize) -> Element {
    let (fill, edge, _) = paint(action);
    let frame = Element::new("rect")
        .with("x", left.to_string())
        .with("y", top.to_string())
        .with("width", width.to_string())
        .with("height", BOX.to_string())
        .with("rx", "5")
        .with("fill", fill)
        .with("stroke", edge)
        .with_some(
            "stroke-dasharray",
            (action.kind == ActionKind::Pseudo).then_some("4 3"),
        );
    let mut told = Element::new("title");
    told.nodes_mut().push(Node::Text(Arc::new(told_of(action))));
    let label = words(left + width / 2, top + 15, &label(action)).with("text-anchor", "middle");
    Element::new("g").with_children([told, frame, label])
}

/// What a box says; whose it is, its row says.
fn label(action: &Action) -> String {
    if let Some(op) = action.fencing_op() {
        return format!("fence ({op})");
    }
    if let (Some(kind), Some(of)) = (action.meta("notify_type"), action.meta("notify_operation"))
        && action.task.starts_with("notif")
    {
        return format!("{} {kind}-{of}", action.task);
    }
    match action.interval_ms() {
        0 if action.task == "monitor" => "probe".to_owned(),
        0 => action.task.clone(),
        interval => format!("{} {}", action.task, crate::terms::span::readable(interval)),
    }
}

fn told_of(action: &Action) -> String {
    let mut text = format!("action {}: {}", action.id, action.key);
    if let Some(node) = &action.node {
        let _ = write!(text, " on {}", node.name);
    }
    if let Some(router) = &action.router {
        let _ = write!(text, " through {router}");
    }
    text
}

fn paint(action: &Action) -> Paint {
    if action.is_fencing() {
        return FENCE;
    }
    if action.kind == ActionKind::Pseudo && action.node.is_none() {
        return POINT;
    }
    match action.task.as_str() {
        "start" | "running" => START,
        "stop" | "stopped" | "do_shutdown" => STOP,
        "promote" | "promoted" | "demote" | "demoted" => ROLE,
        "migrate_to" | "migrate_from" | "reload" | "reload-agent" => MOVE,
        "monitor" | "cancel" => LOOK,
        _ => OTHER,
    }
}

fn legend(top: usize) -> Element {
    let mut legend = Element::new("g").with("fill", "#333333");
    let mut x = MARGIN;
    for (fill, edge, means) in PAINTS {
        let sample = Element::new("rect")
            .with("x", x.to_string())
            .with("y", top.to_string())
            .with("width", "14")
            .with("height", "14")
            .with("rx", "3")
            .with("fill", fill)
            .with("stroke", edge);
        legend.push(sample);
        legend.push(words(x + 20, top + 12, means));
        x += means.chars().count() * LETTER + 34;
    }
    legend
}

#[cfg(test)]
mod tests {
    use super::super::{ActionId, NodeRef, Synapse};
    use super::*;
    use crate::terms::NodeName;
    use crate::xml::Limits;

    fn graph() -> Graph {
        let action = |id: u32, task: &str, key: &str, node: &str| {
            let mut action = Action::new(ActionId(id), ActionKind::Resource, task, key);
            action.node = Some(NodeRef {
                name: NodeName::from(node),
                uuid: "1".into(),
            });
            action
        };
        let synapse = |action, inputs: &[u32]| Synapse {
            priority: 0,
            action,
            inputs: inputs.iter().copied().map(ActionId).collect(),
        };
        Graph {
            synapses: vec![
                synapse(action(1, "stop", "a<b>_stop_0", "h1"), &[]),
                synapse(action(2, "start", "a<b>_start_0", "h&2"), &[1]),
            ],
            ..Graph::default()
        }
    }

    #[test]
    fn it_is_well_formed_whatever_things_are_called_and_always_the_same() {
        let text = svg(&graph());
        assert_eq!(text, svg(&graph()));
        let picture = crate::xml::parse(&text, &Limits::CIB).expect("well-formed");
        for said in [
            ">a&lt;b&gt;</text>",
            ">h&amp;2</text>",
            ">stop</text>",
            ">action 2: a&lt;b&gt;_start_0 on h&amp;2</title>",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        let arrows = picture
            .descendants()
            .filter(|it| it.get("marker-end").is_some());
        assert_eq!(arrows.count(), 1);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn nothing_to_do_is_a_picture_too() {
        let text = svg(&Graph::default());
        assert!(text.contains("Nothing to do"), "{text}");
        crate::xml::parse(&text, &Limits::CIB).expect("well-formed");
    }
}
