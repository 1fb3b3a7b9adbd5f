//! History entries as types: which operation ended how, when, and who had asked. Also: which entries a write brought.

use crate::{
    cib::{Change, Cib, Patch},
    terms::{OpKey, RscId, TransitionKey, text},
    xml::Element,
};

/// One `<lrm_rsc_op>`. What cannot be read has its neutral value; nothing here is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id within the resource.
    pub id: String,
    /// Resource (as the history knows it), task and interval.
    pub op: OpKey,
    /// Number of the execution on its node; -1 while pending.
    pub call_id: i64,
    /// `op-status`; -1 while pending.
    pub status: i32,
    /// Exit status.
    pub rc: i32,
    /// Who asked.
    pub key: TransitionKey,
    /// When the result last changed, in seconds since 1970.
    pub last_rc_change_s: Option<i64>,
    /// Why it failed.
    pub exit_reason: String,
    /// `op-digest`.
    pub digest: Option<String>,
    /// The node that ran it.
    pub on_node: Option<String>,
}

impl Entry {
    /// Reads an entry of this resource.
    pub fn read(rsc: &RscId, element: &Element) -> Self {
        let number = |name| element.get(name).and_then(text::integer);
        let small = |name, otherwise: i32| {
            number(name)
                .and_then(|n| i32::try_from(n).ok())
                .unwrap_or(otherwise)
        };
        let owned = |name| element.get(name).map(str::to_string);
        let interval_ms = number("interval")
            .and_then(|n| u64::try_from(n).ok())
            .unwrap_or(0);
        let key = element
            .get("transition-key")
            .and_then(|key| key.parse().ok());
        Self {
            id: owned("id").unwrap_or_default(),
            op: OpKey::new(
                rsc.clone(),
                owned("operation").unwrap_or_default(),
                interval_ms,
            ),
            call_id: number("call-id").unwrap_or(-1),
            status: small("op-status", -1),
            rc: small("rc-code", -1),
            key: key.unwrap_or_else(TransitionKey::unreadable),
            last_rc_change_s: number("last-rc-change"),
            exit_reason: owned("exit-reason").unwrap_or_default(),
            digest: owned("op-digest"),
            on_node: owned("on_node"),
        }
    }

    /// Whether it is still running.
    pub fn is_pending(&self) -> bool {
        self.status == -1
    }
}

/// An entry that a write brought or changed, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Id of the node's state.
    pub node_id: String,
    /// The entry as it is now.
    pub entry: Entry,
}

/// All entries that a write brought or changed, in document order.
pub fn written(patch: &Patch) -> Vec<Written> {
    let mut out = Vec::new();
    for change in &patch.changes {
        match change {
            Change::Create { path, node, .. } if path.starts_with("/cib/status") => {
                let Some(element) = node.as_element() else {
                    continue;
                };
                let node_id = id_in(path, "node_state");
                let rsc = id_in(path, "lrm_resource");
                collect(element, node_id.as_deref(), rsc.as_deref(), &mut out);
            }
            Change::Modify { path, result, .. } if result.is("lrm_rsc_op") => {
                let node_id = id_in(path, "node_state");
                let rsc = id_in(path, "lrm_resource");
                collect(result, node_id.as_deref(), rsc.as_deref(), &mut out);
            }
            _ => {}
        }
    }
    out
}

fn collect(element: &Element, node_id: Option<&str>, rsc: Option<&str>, out: &mut Vec<Written>) {
    let (mut node_id, mut rsc) = (node_id, rsc);
    match element.tag() {
        "node_state" => node_id = element.id(),
        "lrm_resource" => rsc = element.id(),
        "lrm_rsc_op" => {
            if let (Some(node_id), Some(rsc)) = (node_id, rsc) {
                let entry = Entry::read(&rsc.into(), element);
                out.push(Written {
                    node_id: node_id.into(),
                    entry,
                });
            }
            return;
        }
        _ => {}
    }
    element
        .children()
        .for_each(|child| collect(child, node_id, rsc, out));
}

/// The id that a path of a patch gives for an element of this name.
fn id_in(path: &str, tag: &str) -> Option<String> {
    let (_, rest) = path.split_once(&format!("/{tag}[@id='"))?;
    let ends = rest.match_indices("']").map(|(end, _)| end);
    let mut ends = ends.filter(|end| matches!(rest.as_bytes().get(end + 2), None | Some(b'/')));
    ends.next().map(|end| rest[..end].to_string())
}

/// All entries of all resources on a node, in document order.
pub fn of_node(cib: &Cib, node_id: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    if let Some(state) = cib
        .status()
        .and_then(|s| s.child_by_id("node_state", node_id))
    {
        collect(state, None, None, &mut found);
    }
    found.into_iter().map(|written| written.entry).collect()
}
