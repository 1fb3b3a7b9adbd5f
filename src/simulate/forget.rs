//! What nodes and coordinators forget when a graph tells them to. crm_simulate leaves all of it where it is (spec 4 §10.1,
//! §10.4), so one transition looks as recorded; who plays on from there would see the same order for ever.

use super::draft::{Draft, Error, History, merge_duplicates};
use crate::graph::{Action, RscRef};
use crate::terms::RscId;
use crate::xml::Element;

/// A node's name and id.
type At<'a> = (&'a str, Option<&'a str>);

impl Draft {
    /// A guest is gone with the host that it was in, and runs nothing any more.
    pub(super) fn forget_guest(&mut self, at: At<'_>) -> Result<(), Error> {
        let state = self.node_state(at.0, at.1)?;
        state.retain_children(|child| !child.is("lrm") && !child.is("transient_attributes"));
        Ok(())
    }

    /// A history is deleted.
    pub(super) fn forget_history(&mut self, at: At<'_>, rsc: &RscRef) -> Result<(), Error> {
        for entries in entry_lists(self.node_state(at.0, at.1)?) {
            entries.retain_children(|entry| !is_entry_of(entry, rsc));
        }
        Ok(())
    }

    /// A recurring operation is cancelled.
    pub(super) fn forget_operation(
        &mut self,
        at: At<'_>,
        rsc: &RscRef,
        cancel: &Action,
    ) -> Result<(), Error> {
        let (task, interval_ms) = (cancel.meta("operation"), cancel.interval_ms());
        let is_cancelled = |row: &Element| {
            let interval = row.get("interval").and_then(|text| text.parse().ok());
            interval == Some(interval_ms) && (task.is_none() || row.get("operation") == task)
        };
        let lists = entry_lists(self.node_state(at.0, at.1)?);
        let entries = lists.flat_map(Element::children_mut);
        for entry in entries.filter(|entry| is_entry_of(entry, rsc)) {
            entry.retain_children(|row| !is_cancelled(row));
        }
        Ok(())
    }

    /// Failures are counted no more, and not shown either.
    pub(super) fn forget_failures(&mut self, at: At<'_>, rsc: &RscRef) -> Result<(), Error> {
        let names = [Some(&rsc.id), rsc.long_id.as_ref()];
        let is_name = |name: &str| {
            let mut known = names.iter().flatten().map(|id| id.as_str());
            known.any(|id| id == name || RscId::from(name).base() == id)
        };
        let counts = |pair: &Element| {
            let name = pair.get("name").unwrap_or_default();
            let kinds = ["fail-count-", "last-failure-"];
            let of = kinds.iter().find_map(|kind| name.strip_prefix(kind));
            of.and_then(|of| of.split('#').next()).is_some_and(is_name)
        };
        let state = self.node_state(at.0, at.1)?;
        let attributes = state.children_mut();
        for block in attributes
            .filter(|part| part.is("transient_attributes"))
            .flat_map(Element::children_mut)
        {
            block.retain_children(|pair| !counts(pair));
        }
        let entries = entry_lists(state).flat_map(Element::children_mut);
        for entry in entries.filter(|entry| is_entry_of(entry, rsc)) {
            entry.retain_children(|row| !row.id().is_some_and(is_failure));
        }
        Ok(())
    }
}

/// A node remembers of each operation what came of it last, by whatever id something older is written down. How it failed is
/// kept beside it.
pub(super) fn forget_older(entry: &mut Element, result: &History<'_>, ids: &[String]) {
    entry.retain_children(|row| {
        let id = row.id().unwrap_or_default();
        let interval = row.get("interval").and_then(|text| text.parse().ok());
        let same = row.get("operation") == Some(result.recorded_task())
            && interval == Some(result.interval_ms);
        !same || is_failure(id) || ids.iter().any(|kept| kept == id)
    });
}

/// A node has one history of a resource, though it may be written down in two places.
pub(super) fn unite(resources: &mut Element, id: &str) {
    let same = resources.children().filter(|entry| entry.id() == Some(id));
    if same.count() < 2 {
        return;
    }
    merge_duplicates(resources, id);
    let mut found = false;
    resources.retain_children(|entry| {
        let further = found && entry.id() == Some(id);
        found |= entry.id() == Some(id);
        !further
    });
}

fn entry_lists(state: &mut Element) -> impl Iterator<Item = &mut Element> {
    let histories = state.children_mut().filter(|part| part.is("lrm"));
    histories
        .flat_map(Element::children_mut)
        .filter(|part| part.is("lrm_resources"))
}

fn is_failure(id: &str) -> bool {
    id.ends_with("_last_failure_0")
}

fn is_entry_of(entry: &Element, rsc: &RscRef) -> bool {
    let names = [Some(&rsc.id), rsc.long_id.as_ref()];
    let mut names = names.iter().flatten();
    entry.is("lrm_resource") && names.any(|id| entry.id() == Some(id.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{ActionId, ActionKind, Graph, NodeRef, Synapse};
    use crate::policy::facts::Facts;
    use crate::simulate::{Known, execute};
    use crate::xml::{Limits, parse};

    const STATUS: &str = r#"<cib><configuration/><status><node_state id="1" uname="n1" in_ccm="true">
        <transient_attributes id="1"><instance_attributes id="a">
          <nvpair id="f1" name="fail-count-db#start_0" value="1"/><nvpair id="f2" name="last-failure-db:0#start_0" value="1"/>
          <nvpair id="f3" name="fail-count-db2#start_0" value="1"/>
        </instance_attributes></transient_attributes>
        <lrm id="1"><lrm_resources>
          <lrm_resource id="db"><lrm_rsc_op id="db_old" operation="start" interval="0"/>
            <lrm_rsc_op id="db_last_failure_0" operation="start" interval="0"/>
            <lrm_rsc_op id="db_monitor_10000" operation="monitor" interval="10000"/></lrm_resource>
          <lrm_resource id="other"><lrm_rsc_op id="other_last_0" operation="start" interval="0"/></lrm_resource>
        </lrm_resources></lrm></node_state></status></cib>"#;

    /// The ids below the state of the node when one action is done.
    fn left(kind: ActionKind, task: &str, interval_ms: u64, forgets: bool) -> String {
        let key = format!("db_{task}_{interval_ms}");
        let mut action = Action::new(ActionId(1), kind, task, &key);
        action.node = Some(NodeRef {
            name: "n1".into(),
            uuid: "1".into(),
        });
        if interval_ms > 0 {
            action.attributes = vec![
                ("CRM_meta_interval".into(), interval_ms.to_string().into()),
                ("CRM_meta_operation".into(), "monitor".into()),
            ];
        }
        action.rsc = Some(RscRef::dummy("db"));
        let mut graph = Graph::default();
        graph.synapses.push(Synapse {
            priority: 0,
            action,
            inputs: Vec::new(),
        });
        let mut draft = Draft::new(&parse(STATUS, &Limits::default()).expect("well-formed"), 0);
        draft.forgets = forgets;
        execute(&graph, &mut draft, &Known::of(&Facts::default()), &[]).expect("one state");
        let state = draft.cib().descendants().find(|e| e.is("node_state"));
        let inner = state.into_iter().flat_map(Element::descendants).skip(1);
        let told = ["nvpair", "lrm_resource", "lrm_rsc_op"];
        let ids = inner.filter(|e| told.iter().any(|tag| e.is(tag)));
        ids.filter_map(Element::id).collect::<Vec<_>>().join(" ")
    }

    const ALL: &str = "f1 f2 f3 db db_old db_last_failure_0 db_monitor_10000 other other_last_0";

    #[test]
    fn what_a_cluster_forgets_is_forgotten_only_where_that_is_wanted() {
        use ActionKind::{Cluster, Pseudo, Resource};
        for (kind, task) in [
            (Pseudo, "stonith"),
            (Resource, "delete"),
            (Cluster, "clear_failcount"),
            (Cluster, "do_shutdown"),
        ] {
            assert_eq!(left(kind, task, 0, false), ALL, "{task}");
        }
        assert_eq!(left(Pseudo, "stonith", 0, true), "");
        assert_eq!(left(Cluster, "do_shutdown", 0, true), "");
        assert_eq!(
            left(Resource, "delete", 0, true),
            "f1 f2 f3 other other_last_0"
        );
        assert_eq!(
            left(Cluster, "clear_failcount", 0, true),
            ALL.replace("f1 f2 ", "").replace("db_last_failure_0 ", "")
        );
        assert_eq!(
            left(Resource, "cancel", 10_000, true),
            ALL.replace(" db_monitor_10000", "")
        );
    }

    #[test]
    fn a_node_has_one_history_of_a_resource() {
        let twice = "<lrm_resource id=\"db\"><lrm_rsc_op id=\"x\"/></lrm_resource>";
        let text = format!("<lrm_resources>{twice}{twice}</lrm_resources>");
        let mut resources = parse(&text, &Limits::default()).expect("well-formed");
        unite(&mut resources, "other");
        assert_eq!(resources.children().count(), 2);
        unite(&mut resources, "db");
        assert_eq!(resources.children().count(), 1);
    }

    #[test]
    fn a_node_remembers_the_last_result_of_an_operation_only() {
        let new = " other other_last_0";
        let with_last = ALL.replace(new, " db_last_0 other other_last_0");
        assert_eq!(left(ActionKind::Resource, "start", 0, false), with_last);
        assert_eq!(
            left(ActionKind::Resource, "start", 0, true),
            with_last.replace(" db_old", "")
        );
    }
}
