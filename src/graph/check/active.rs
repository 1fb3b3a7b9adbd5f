//! What ran somewhere and is started elsewhere was stopped there before, or its node was fenced. That is the promise a
//! cluster is there for, so it is looked at once more from the status itself: nothing here knows how the policy reads it.
//!
//! Only what is certain counts. A history that leaves room for doubt (migrations, failed starts, two entries for one thing)
//! is for the policy to judge, and says nothing here.

use std::collections::{BTreeMap, BTreeSet};

use super::{Index, Rule, Violation, Wanted, is_real, place, show, subject};
use crate::graph::Action;
use crate::xml::Element;

/// What may run once and is certainly active, by its id.
pub(super) type Active<'c> = BTreeMap<&'c str, Runs<'c>>;

/// Where something is active.
pub(super) struct Runs<'c> {
    kind: Kind,
    nodes: BTreeSet<&'c str>,
}

/// Reads it from configuration and status, as far as it is about what begins to run. // spec 1 §18, §21, §22
pub(super) fn active<'c>(cib: &'c Element, index: &Index<'_>) -> Active<'c> {
    let mut active = Active::new();
    let begins: BTreeSet<&str> = index
        .steps
        .iter()
        .filter(|step| begins(step))
        .filter_map(|step| subject(step))
        .collect();
    if begins.is_empty() {
        return active;
    }
    let (Some(configuration), Some(status)) = (cib.child("configuration"), cib.child("status"))
    else {
        return active;
    };
    let fencing = fencing_enabled(configuration);
    let failed_stop_counts = !forgives(configuration);
    let once = run_once(configuration);
    let states: Vec<&Element> = status.children_named("node_state").collect();
    for state in &states {
        let Some(name) = cluster_node(configuration, &states, state) else {
            continue;
        };
        let presence = presence(state);
        for entry in state
            .descend(&["lrm", "lrm_resources"])
            .into_iter()
            .flat_map(|entries| entries.children_named("lrm_resource"))
        {
            let id = entry.id().filter(|id| begins.contains(id));
            let Some((&id, &kind)) = id.and_then(|id| once.get_key_value(id)) else {
                continue;
            };
            let counts = match presence {
                Presence::Member => true,
                Presence::Lost => fencing && kind == Kind::NeedsFencing,
                Presence::Unclear => false,
            };
            if counts && certainly_active(entry, failed_stop_counts) && is_alone(state, entry) {
                let nodes = BTreeSet::new();
                let runs = active.entry(id).or_insert(Runs { kind, nodes });
                runs.nodes.insert(name);
            }
        }
    }
    active
}

/// Whatever starts must have been stopped wherever else it is active.
pub(super) fn started_elsewhere(
    index: &Index<'_>,
    active: &Active<'_>,
    wanted: &mut Vec<Wanted>,
    found: &mut Vec<Violation>,
) {
    for (then, start) in index.steps.iter().enumerate() {
        let runs = subject(start).and_then(|rsc| active.get(rsc));
        let (Some(runs), Some(target)) = (runs, place(start)) else {
            continue;
        };
        if !is_real(start) || !begins(start) || index.never[then] {
            continue;
        }
        let rsc = subject(start).unwrap_or_default();
        let source = start
            .meta("migrate_source")
            .filter(|_| start.task == "migrate_from");
        for node in runs
            .nodes
            .iter()
            .filter(|node| **node != target && Some(**node) != source)
        {
            // That a stop goes before the start, and one that only counts as done after the fencing, are other rules.
            let stops = index.find(rsc, "stop");
            if stops
                .iter()
                .any(|stop| place(index.steps[*stop]) == Some(node))
            {
                continue;
            }
            let kill = index
                .steps
                .iter()
                .position(|step| step.kills_node() && place(step) == Some(node));
            let rule = Rule::StartedElsewhere;
            match kill {
                Some(_) if runs.kind == Kind::Other => {}
                Some(first) => wanted.push(Wanted { first, then, rule }),
                None => found.push(Violation {
                    rule,
                    first: format!("{rsc} on {node}"),
                    then: show(start),
                }),
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// In the cluster, so only a stop ends what runs there.
    Member,
    /// It should be there and is not: only fencing ends what ran there.
    Lost,
    /// Gone in order, joining, leaving, or not to be told.
    Unclear,
}

fn presence(state: &Element) -> Presence {
    let (Some(seen), Some(peer), Some(join), Some(expected)) = (
        state.get("in_ccm"),
        state.get("crmd"),
        state.get("join"),
        state.get("expected"),
    ) else {
        return Presence::Unclear;
    };
    match (seen, peer, join, expected) {
        ("true", "online", "member", "member") => Presence::Member,
        ("false", _, _, "member") => Presence::Lost,
        _ => Presence::Unclear,
    }
}

/// The node's name, when this is its only state and it is no remote or guest node.
fn cluster_node<'c>(
    configuration: &'c Element,
    states: &[&'c Element],
    state: &'c Element,
) -> Option<&'c str> {
    let name = state.get("uname")?;
    let nodes = || {
        configuration
            .child("nodes")
            .into_iter()
            .flat_map(Element::children)
    };
    let configured = nodes().find(|node| node.get("uname") == Some(name))?;
    let twin = |node: &&Element| node.id() == configured.id() || node.get("uname") == Some(name);
    if nodes().filter(twin).count() > 1 {
        return None;
    }
    let is_full = matches!(configured.get("type"), None | Some("member" | "normal"));
    let same = |other: &&&Element| other.get("uname") == Some(name) || other.id() == state.id();
    let only = states.iter().filter(same).count() == 1;
    (is_full && only && configured.id() == state.id() && !state.has("remote_node")).then_some(name)
}

/// Whether a lost node must be fenced before it starts elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    NeedsFencing,
    /// No: fence devices, and what says itself what it needs (`requires`).
    Other,
}

/// Primitives outside of clones and bundles.
fn run_once(configuration: &Element) -> BTreeMap<&str, Kind> {
    let says_requires = |element: &Element| {
        element
            .descendants()
            .any(|e| e.has("requires") || e.get("name") == Some("requires") || e.has("id-ref"))
    };
    let elsewhere = configuration
        .children()
        .filter(|section| matches!(section.tag(), "rsc_defaults" | "op_defaults" | "tags"))
        .any(says_requires);
    let mut once = BTreeMap::new();
    let Some(resources) = configuration.child("resources") else {
        return once;
    };
    let templates = resources.children_named("template").any(says_requires);
    // Connections, and what runs inside of something else, go by the rules of their hosts.
    let hosted = |element: &Element| {
        element.descendants().any(|e| {
            e.get("type") == Some("remote")
                || matches!(e.get("name"), Some("container" | "remote-node"))
        })
    };
    if resources.children_named("template").any(hosted) {
        return once;
    }
    for top in resources.children() {
        let members: Vec<&Element> = match top.tag() {
            "primitive" => vec![top],
            "group" => top.children_named("primitive").collect(),
            _ => continue,
        };
        for member in members {
            let device = member.get("class") == Some("stonith");
            let open = elsewhere || templates || says_requires(top) || device;
            let kind = if open {
                Kind::Other
            } else {
                Kind::NeedsFencing
            };
            if let Some(id) = member.id().filter(|_| !hosted(top)) {
                once.insert(id, kind);
            }
        }
    }
    once
}

fn fencing_enabled(configuration: &Element) -> bool {
    let options = configuration.child("crm_config");
    let off = |pair: &Element| {
        matches!(
            pair.get("name"),
            Some("stonith-enabled" | "fencing-enabled")
        ) && pair.get("value") != Some("true")
    };
    !options.is_some_and(|options| {
        options
            .descendants()
            .any(|e| off(e) || e.has("id-ref") || e.get("name") == Some("startup-fencing"))
    })
}

/// Whether failures of some operation may count as successes: `on-fail` is `ignore`, or left to a container.
fn forgives(configuration: &Element) -> bool {
    let lenient = |text: Option<&str>| matches!(text, Some("ignore" | "restart-container"));
    configuration.descendants().any(|e| {
        lenient(e.get("on-fail"))
            || (e.get("name") == Some("on-fail") && lenient(e.get("value")))
            || e.has("id-ref")
    })
}

/// An id without its instance number.
fn bare(id: &str) -> &str {
    id.split(':').next().unwrap_or_default()
}

/// Whether something runs where it did not before.
fn begins(step: &Action) -> bool {
    matches!(step.task.as_str(), "start" | "migrate_from")
}

/// No other entry of this node is about the same thing.
fn is_alone(state: &Element, entry: &Element) -> bool {
    let own = entry.id().map(bare);
    let entries = state.descend(&["lrm", "lrm_resources"]);
    let same = entries.into_iter().flat_map(Element::children);
    same.filter(|other| other.id().map(bare) == own).count() == 1
}

/// The last thing that says something says that it runs.
fn certainly_active(entry: &Element, failed_stop_counts: bool) -> bool {
    let mut rows: Vec<(i64, &Element)> = Vec::new();
    let on_node = |row: &Element| row.get("on_node").map(str::to_owned);
    let first = entry.children_named("lrm_rsc_op").next().map(on_node);
    if entry
        .children_named("lrm_rsc_op")
        .map(on_node)
        .any(|node| Some(node) != first)
    {
        // What was written by different versions can't be put in order. // spec 1 §21
        return false;
    }
    for row in entry.children_named("lrm_rsc_op") {
        let call = row.get("call-id").and_then(|text| text.parse().ok());
        match (row.get("operation"), call) {
            (Some("migrate_to" | "migrate_from"), _) | (_, None) => return false,
            // What is pending says nothing yet.
            (_, Some(call)) if call >= 0 => rows.push((call, row)),
            _ => {}
        }
    }
    // Nor can two rows of one id be told apart, and one without counts for nothing. // spec 1 §21, §22.1
    let ids: BTreeSet<&str> = rows.iter().filter_map(|(_, row)| row.id()).collect();
    if ids.len() < rows.len() {
        return false;
    }
    rows.sort_by_key(|(call, _)| *call);
    if rows.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return false;
    }
    let mut is_active = false;
    for (_, row) in rows {
        let done = row.get("op-status") == Some("0");
        match (row.get("operation"), row.get("rc-code")) {
            (Some("start"), Some("0")) if done => is_active = true,
            (Some("start"), _) => is_active = false,
            (Some("stop"), Some("0" | "7")) if done => is_active = false,
            (Some("stop"), _) => is_active &= failed_stop_counts,
            // A probe may have looked before; one that found nothing is the last word.
            (Some("monitor"), Some("0")) if done && row.get("interval") == Some("0") => {
                is_active = true;
            }
            (Some("monitor"), Some("0")) => {}
            (Some("monitor"), _) => is_active = false,
            _ => {}
        }
    }
    is_active
}

#[cfg(test)]
mod tests {
    use super::super::tests::graph;
    use super::super::{Rule, check_against};
    use crate::xml::{Element, Limits, read::parse};

    /// `db` was started on h1; what the cluster knows of h1 is given.
    fn cib(presence: &str, rows: &str) -> Element {
        let text = format!(
            r#"<cib><configuration><crm_config/><nodes><node id="1" uname="h1"/><node id="2" uname="h2"/></nodes>
            <resources><primitive id="db" class="ocf" provider="x" type="D"/></resources></configuration>
            <status><node_state id="1" uname="h1" {presence}><lrm id="1"><lrm_resources>
            <lrm_resource id="db">{rows}</lrm_resource></lrm_resources></lrm></node_state></status></cib>"#
        );
        parse(&text, &Limits::default()).expect("well-formed")
    }

    const MEMBER: &str = r#"in_ccm="true" crmd="online" join="member" expected="member""#;
    const LOST: &str = r#"in_ccm="false" crmd="offline" join="down" expected="member""#;
    const GONE: &str = r#"in_ccm="false" crmd="offline" join="down" expected="down""#;
    const START: &str = r#"<lrm_rsc_op id="a" operation="start" call-id="3" rc-code="0" op-status="0" interval="0"/>"#;
    const STOP: &str = r#"<lrm_rsc_op id="b" operation="stop" call-id="5" rc-code="0" op-status="0" interval="0"/>"#;

    fn rules(cib: &Element, lines: &str) -> Vec<Rule> {
        let found = check_against(&graph(lines), cib);
        found.iter().map(|violation| violation.rule).collect()
    }

    #[test]
    fn what_runs_is_stopped_before_it_starts_elsewhere() {
        let runs = cib(MEMBER, START);
        assert_eq!(rules(&runs, "1 real start db h2"), [Rule::StartedElsewhere]);
        assert_eq!(rules(&runs, "1 real start db h1"), []);
        let stopped_elsewhere = "1 real stop db h2 \n 2 real start db h2 <- 1";
        assert_eq!(rules(&runs, stopped_elsewhere), [Rule::StartedElsewhere]);
        assert_eq!(
            rules(&runs, "1 real stop db h1 \n 2 real start db h2 <- 1"),
            []
        );
        let stopped = cib(MEMBER, &[START, STOP].concat());
        assert_eq!(rules(&stopped, "1 real start db h2"), []);
        let failed = STOP.replace("rc-code=\"0\"", "rc-code=\"1\"");
        let runs_still = cib(MEMBER, &[START, &failed].concat());
        assert_eq!(
            rules(&runs_still, "1 real start db h2"),
            [Rule::StartedElsewhere]
        );
    }

    #[test]
    fn a_lost_node_is_fenced_before_what_it_ran_starts_elsewhere() {
        let lost = cib(LOST, START);
        assert_eq!(rules(&lost, "1 real start db h2"), [Rule::StartedElsewhere]);
        let fenced = "1 cluster stonith h1 h1 \n 2 real start db h2";
        assert_eq!(rules(&lost, fenced), [Rule::StartedElsewhere]);
        assert_eq!(rules(&lost, &format!("{fenced} <- 1")), []);
        let other = "1 cluster stonith h2 h2 \n 2 real start db h2 <- 1";
        assert_eq!(rules(&lost, other), [Rule::StartedElsewhere]);
        assert_eq!(rules(&cib(GONE, START), "1 real start db h2"), []);
    }

    #[test]
    fn what_is_not_certain_says_nothing() {
        let failed = STOP.replace("rc-code=\"0\"", "rc-code=\"1\"");
        let rows = [START, &failed].concat();
        let start = "1 real start db h2";
        assert_eq!(rules(&cib(MEMBER, &rows), start), [Rule::StartedElsewhere]);
        let but = |old: &str, new: &str| {
            let text = crate::xml::write::pretty(&cib(MEMBER, &rows));
            assert!(text.contains(old), "{old} is replaced");
            parse(text.replace(old, new), &Limits::default()).expect("well-formed")
        };
        let forgiven = r#"<crm_config/><op_defaults><meta_attributes id="m"><nvpair id="n" name="on-fail" value="ignore"/></meta_attributes></op_defaults>"#;
        assert_eq!(rules(&but("<crm_config/>", forgiven), start), []);
        let same_id = r#"<node id="1" uname="h2"/>"#;
        assert_eq!(
            rules(&but(r#"<node id="2" uname="h2"/>"#, same_id), start),
            []
        );
        assert_eq!(
            rules(&but(r#"call-id="3""#, r#"call-id="3" on_node="h1""#), start),
            []
        );
        assert_eq!(rules(&but(r#"type="D""#, r#"type="remote""#), start), []);
        assert_eq!(rules(&but(r#" id="b" o"#, r#" id="a" o"#), start), []);
        assert_eq!(rules(&but(r#" id="b" o"#, " o"), start), []);
    }
}
