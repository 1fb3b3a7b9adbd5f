//! The exchange format of transition graphs, written and read. (spec 3 §18)

use thiserror::Error;

use super::model::{
    Action, ActionId, ActionKind, Delay, Graph, NodeMaintenance, NodeRef, RscRef, Synapse,
};
use crate::terms::{NodeName, RscId, Score, span};
use crate::xml::Element;

/// The graph as a `transition_graph` element.
pub fn write(graph: &Graph) -> Element {
    let mut root = Element::new("transition_graph")
        .with("cluster-delay", &graph.cluster_delay.text)
        .with("fencing-timeout", &graph.fencing_timeout.text)
        .with("failed-stop-offset", graph.failed_stop_offset.to_string())
        .with("failed-start-offset", graph.failed_start_offset.to_string())
        .with("batch-limit", graph.batch_limit.to_string())
        .with("transition_id", graph.id.to_string());
    if graph.migration_limit > 0 {
        root = root.with("migration-limit", graph.migration_limit.to_string());
    }
    if let Some(time_s) = graph.recheck_by {
        root = root.with("recheck-by", time_s.to_string());
    }
    let names = Triggers::of(graph);
    for (number, synapse) in graph.synapses.iter().enumerate() {
        root = root.with_child(synapse_element(number, synapse, &names));
    }
    root
}

fn synapse_element(number: usize, synapse: &Synapse, names: &Triggers<'_>) -> Element {
    let mut element = Element::new("synapse").with("id", number.to_string());
    if synapse.priority > 0 {
        element = element.with("priority", synapse.priority.to_string());
    }
    let mut inputs = Element::new("inputs");
    for input in &synapse.inputs {
        if let Some(action) = names.get(*input) {
            inputs = inputs.with_child(Element::new("trigger").with_child(identity(action)));
        }
    }
    element
        .with_child(Element::new("action_set").with_child(action_element(&synapse.action)))
        .with_child(inputs)
}

/// Actions by number, for the names in triggers.
struct Triggers<'g>(Vec<(ActionId, &'g Action)>);

impl<'g> Triggers<'g> {
    fn of(graph: &'g Graph) -> Self {
        let mut all: Vec<_> = graph
            .actions()
            .chain(&graph.absent)
            .map(|action| (action.id, action))
            .collect();
        all.sort_by_key(|(id, _)| *id);
        Triggers(all)
    }

    fn get(&self, id: ActionId) -> Option<&'g Action> {
        let at = self.0.binary_search_by_key(&id, |(have, _)| *have).ok()?;
        Some(self.0[at].1)
    }
}

/// What a trigger shows of an action: enough to recognise it.
fn identity(action: &Action) -> Element {
    let tag = match action.kind {
        ActionKind::Resource => "rsc_op",
        ActionKind::Cluster => "crm_event",
        ActionKind::Pseudo => "pseudo_event",
    };
    let mut element = Element::new(tag);
    if action.by_cib {
        element = element.with("mode", "cib");
    }
    element = element
        .with("id", action.id.to_string())
        .with("operation", &action.task)
        .with("operation_key", &action.key);
    if let Some(key) = &action.internal_key {
        element = element.with("internal_operation_key", key);
    }
    if let Some(node) = &action.node {
        element = element
            .with("on_node", node.name.as_str())
            .with("on_node_uuid", &node.uuid);
    }
    if let Some(router) = &action.router {
        element = element.with("router_node", router.as_str());
    }
    element
}

fn action_element(action: &Action) -> Element {
    let mut element = identity(action);
    if let Some(since_s) = action.shutdown_lock {
        element = element.with("shutdown-lock", since_s.to_string());
    }
    if let Some(rsc) = &action.rsc {
        element = element.with_child(primitive_element(rsc));
    }
    let mut attributes = Element::new("attributes");
    for (name, value) in &action.attributes {
        attributes = attributes.with(name, value);
    }
    for (name, value) in &action.params {
        attributes = attributes.with_child(
            Element::new("param")
                .with("name", name)
                .with("value", value),
        );
    }
    element = element.with_child(attributes);
    if !action.downed.is_empty() {
        let mut downed = Element::new("downed");
        for node in &action.downed {
            downed = downed.with_child(Element::new("node").with("id", node));
        }
        element = element.with_child(downed);
    }
    if !action.maintenance.is_empty() {
        let mut maintenance = Element::new("maintenance");
        for entry in &action.maintenance {
            let node = Element::new("node")
                .with("id", &entry.node)
                .with("node_in_maintenance", if entry.on { "1" } else { "0" });
            maintenance = maintenance.with_child(node);
        }
        element = element.with_child(maintenance);
    }
    element
}

fn primitive_element(rsc: &RscRef) -> Element {
    let mut element = Element::new("primitive").with("id", rsc.id.as_str());
    if let Some(long_id) = &rsc.long_id {
        element = element.with("long-id", long_id.as_str());
    }
    element = element.with("class", &rsc.class);
    if let Some(provider) = &rsc.provider {
        element = element.with("provider", provider);
    }
    element.with("type", &rsc.kind)
}

/// Why a document is no transition graph.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// Something else entirely.
    #[error(
        "find a transition graph: the document starts with `{0}` and not with `transition_graph`"
    )]
    NotAGraph(String),
    /// A synapse must hold exactly one action.
    #[error("read synapse {0}: it holds {1} actions instead of one")]
    NotOneAction(String, usize),
    /// An attribute that an action can't be without.
    #[error("read an action of synapse {synapse}: `{element}` has no usable `{attribute}`")]
    Attribute {
        /// Number of the synapse.
        synapse: String,
        /// Tag of the action.
        element: String,
        /// What is missing or wrong.
        attribute: &'static str,
    },
    /// An action of an unknown kind.
    #[error("read an action of synapse {0}: `{1}` is none of rsc_op, crm_event, pseudo_event")]
    Kind(String, String),
}

/// The graph that a `transition_graph` element describes.
pub fn read(root: &Element) -> Result<Graph, ReadError> {
    if root.tag() != "transition_graph" {
        return Err(ReadError::NotAGraph(root.tag().to_owned()));
    }
    let number = |name: &str| root.get(name).and_then(|text| text.parse().ok());
    let score = |name: &str| root.get(name).and_then(Score::parse);
    let mut graph = Graph {
        id: root
            .get("transition_id")
            .and_then(|text| text.parse().ok())
            .unwrap_or(-1),
        batch_limit: number("batch-limit").unwrap_or(0),
        migration_limit: number("migration-limit").unwrap_or(0),
        recheck_by: root.get("recheck-by").and_then(|text| text.parse().ok()),
        failed_start_offset: score("failed-start-offset").unwrap_or(Score::INFINITY),
        failed_stop_offset: score("failed-stop-offset").unwrap_or(Score::INFINITY),
        ..Graph::default()
    };
    let delay = |name: &str| {
        let text = root.get(name)?;
        Some(Delay {
            text: text.to_owned(),
            ms: span::parse_ms(text).ok()?,
        })
    };
    if let Some(delay) = delay("cluster-delay") {
        graph.cluster_delay = delay;
    }
    if let Some(delay) = delay("fencing-timeout").or_else(|| delay("stonith-timeout")) {
        graph.fencing_timeout = delay;
    }
    let mut named = Vec::new();
    for element in root.children().filter(|child| child.tag() == "synapse") {
        let synapse = read_synapse(element, &mut named)?;
        graph.synapses.push(synapse);
    }
    let mut have: Vec<ActionId> = graph.actions().map(|action| action.id).collect();
    have.sort();
    for action in named {
        if have.binary_search(&action.id).is_err()
            && !graph.absent.iter().any(|absent| absent.id == action.id)
        {
            graph.absent.push(action);
        }
    }
    graph.absent.sort_by_key(|action| action.id);
    Ok(graph)
}

fn read_synapse(element: &Element, named: &mut Vec<Action>) -> Result<Synapse, ReadError> {
    let number = element.get("id").unwrap_or("?");
    let actions: Vec<&Element> = element
        .child("action_set")
        .into_iter()
        .flat_map(Element::children)
        .collect();
    let [action] = actions[..] else {
        return Err(ReadError::NotOneAction(number.to_owned(), actions.len()));
    };
    let mut inputs = Vec::new();
    for trigger in element
        .child("inputs")
        .into_iter()
        .flat_map(Element::children)
    {
        for input in trigger.children() {
            let input = read_action(number, input)?;
            inputs.push(input.id);
            named.push(input);
        }
    }
    Ok(Synapse {
        priority: element
            .get("priority")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0),
        action: read_action(number, action)?,
        inputs,
    })
}

fn read_action(synapse: &str, element: &Element) -> Result<Action, ReadError> {
    let kind = match element.tag() {
        "rsc_op" => ActionKind::Resource,
        "crm_event" => ActionKind::Cluster,
        "pseudo_event" => ActionKind::Pseudo,
        other => return Err(ReadError::Kind(synapse.to_owned(), other.to_owned())),
    };
    let lacks = |attribute| ReadError::Attribute {
        synapse: synapse.to_owned(),
        element: element.tag().to_owned(),
        attribute,
    };
    let id = element
        .get("id")
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| lacks("id"))?;
    let task = element.get("operation").ok_or_else(|| lacks("operation"))?;
    let key = element.get("operation_key").unwrap_or(task);
    let mut action = Action::new(ActionId(id), kind, task, key);
    action.internal_key = element.get("internal_operation_key").map(str::to_owned);
    action.by_cib = element.get("mode") == Some("cib");
    action.node = element.get("on_node").map(|name| NodeRef {
        name: NodeName::from(name),
        uuid: element.get("on_node_uuid").unwrap_or(name).into(),
    });
    action.router = element.get("router_node").map(NodeName::from);
    action.shutdown_lock = element
        .get("shutdown-lock")
        .and_then(|text| text.parse().ok());
    action.rsc = element
        .child("primitive")
        .map(read_primitive)
        .map(Into::into);
    if let Some(attributes) = element.child("attributes") {
        action.attributes = attributes
            .attrs()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        action.attributes.sort();
        action.params = attributes
            .children()
            .filter_map(|param| Some((param.get("name")?.into(), param.get("value")?.into())))
            .collect();
    }
    let nodes = |tag: &str| element.child(tag).into_iter().flat_map(Element::children);
    action.downed = nodes("downed")
        .filter_map(|node| Some(node.get("id")?.to_owned()))
        .collect();
    action.maintenance = nodes("maintenance")
        .filter_map(|node| {
            let on = node.get("node_in_maintenance") == Some("1");
            Some(NodeMaintenance {
                node: node.get("id")?.to_owned(),
                on,
            })
        })
        .collect();
    Ok(action)
}

fn read_primitive(element: &Element) -> RscRef {
    let text = |name: &str| element.get(name).unwrap_or_default().into();
    RscRef {
        id: RscId::from(element.get("id").unwrap_or_default()),
        long_id: element.get("long-id").map(RscId::from),
        class: text("class"),
        provider: element.get("provider").map(Into::into),
        kind: text("type"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, read as parse, write as print};

    const SMALL: &str = r#"<transition_graph cluster-delay="3m" fencing-timeout="60s" failed-stop-offset="INFINITY" failed-start-offset="1" batch-limit="0" transition_id="1" recheck-by="1700000000">
  <synapse id="0" priority="1000000">
    <action_set>
      <rsc_op id="9" operation="start" operation_key="p:0_start_0" internal_operation_key="p:1_start_0" on_node="n1" on_node_uuid="1" router_node="n2">
        <primitive id="p" long-id="p:1" class="ocf" provider="heartbeat" type="Dummy"/>
        <attributes CRM_meta_timeout="20000" crm_feature_set="3.20.1" x="a &quot; &lt;b">
          <param name="1" value="one"/>
        </attributes>
      </rsc_op>
    </action_set>
    <inputs>
      <trigger>
        <crm_event id="3" operation="stonith" operation_key="stonith-n1-reboot" on_node="n1" on_node_uuid="1"/>
      </trigger>
      <trigger>
        <pseudo_event id="4" operation="stop" operation_key="p_stop_0"/>
      </trigger>
    </inputs>
  </synapse>
  <synapse id="1">
    <action_set>
      <crm_event id="3" operation="stonith" operation_key="stonith-n1-reboot" on_node="n1" on_node_uuid="1">
        <attributes CRM_meta_stonith_action="reboot"/>
        <downed>
          <node id="1"/>
        </downed>
      </crm_event>
    </action_set>
    <inputs/>
  </synapse>
</transition_graph>
"#;

    fn parsed(text: &str) -> Element {
        parse::parse(text, &Limits::default()).expect("well-formed")
    }

    #[test]
    fn what_is_read_is_written_again() {
        let graph = read(&parsed(SMALL)).expect("a graph");
        assert_eq!(print::pretty(&write(&graph)), SMALL);
        assert_eq!(graph.absent.len(), 1, "4 is no step of this graph");
        assert_eq!(graph.cluster_delay.ms, 180_000);
        assert_eq!(graph.synapses[0].inputs, [ActionId(3), ActionId(4)]);
    }

    #[test]
    fn what_is_absent_is_in_the_order_of_its_numbers() {
        let trigger = |id: i32| {
            format!(
                r#"<trigger><rsc_op id="{id}" operation="stop" operation_key="a{id}_stop_0"/></trigger>"#
            )
        };
        let text = format!(
            r#"<transition_graph><synapse id="0"><action_set><pseudo_event id="1" operation="x" operation_key="x"/>
            </action_set><inputs>{}{}</inputs></synapse></transition_graph>"#,
            trigger(9),
            trigger(4)
        );
        let graph = read(&parsed(&text)).expect("a graph");
        let absent: Vec<ActionId> = graph.absent.iter().map(|action| action.id).collect();
        assert_eq!(absent, [ActionId(4), ActionId(9)]);
        assert_eq!(read(&write(&graph)), Ok(graph));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = read(&parsed("<cib/>")).expect_err("no graph");
        assert!(error.to_string().contains("`cib`"));
        let text = r#"<transition_graph><synapse id="7"><action_set><rsc_op id="x"/></action_set></synapse></transition_graph>"#;
        let error = read(&parsed(text)).expect_err("no number");
        assert_eq!(
            error.to_string(),
            "read an action of synapse 7: `rsc_op` has no usable `id`"
        );
    }
}
