//! Fingerprints of the parameters an operation was called with, so that the policy notices when they change,
//! and knows whether the agent can take the change without a restart. // spec cluster §13.3

use crate::xml;

use super::vocab::{Digests, Metadata, Order};

/// Parameters that count as private when the metadata marks none.
const PRIVATE: [&str; 3] = ["password", "passwd", "user"];

/// Digests of what this order brought; the metadata decides about the second and the third.
pub(super) fn digests(order: &Order, metadata: Option<&Metadata>) -> Digests {
    let all = digest(order, |_| true);
    let Some(metadata) = metadata.filter(|_| wanted(order)) else {
        return Digests {
            all,
            restart: None,
            secure: None,
        };
    };
    Digests {
        all,
        restart: restart(order, metadata),
        secure: secure(order, metadata),
    }
}

/// Operations that are recorded with more than `op-digest`.
pub(super) fn wanted(order: &Order) -> bool {
    let task = order.op.task.as_str();
    let tasks = matches!(
        task,
        "start"
            | "monitor"
            | "promote"
            | "demote"
            | "reload"
            | "reload-agent"
            | "migrate_to"
            | "migrate_from"
            | "notify"
    );
    tasks && !order.recurring() && has_params(&order.agent.class)
}

fn has_params(class: &str) -> bool {
    matches!(class, "ocf" | "stonith")
}

fn restart(order: &Order, metadata: &Metadata) -> Option<(String, String)> {
    let supports = |action: &str| metadata.actions.iter().any(|have| have == action);
    let needs_restart: Vec<&str> = if supports("reload-agent") {
        metadata
            .parameters
            .iter()
            .filter(|p| !p.reloadable)
            .map(|p| p.name.as_str())
            .collect()
    } else if supports("reload") {
        metadata
            .parameters
            .iter()
            .filter(|p| p.unique)
            .map(|p| p.name.as_str())
            .collect()
    } else {
        return None;
    };
    let digest = digest(order, |name| needs_restart.contains(&name));
    Some((list(&needs_restart), digest))
}

fn secure(order: &Order, metadata: &Metadata) -> Option<(String, String)> {
    let marked = metadata.parameters.iter().any(|p| p.private);
    let secret = |name: &str, private: bool| {
        if marked {
            private
        } else {
            PRIVATE.contains(&name)
        }
    };
    let names: Vec<&str> = metadata
        .parameters
        .iter()
        .filter(|p| secret(&p.name, p.private))
        .map(|p| p.name.as_str())
        .collect();
    if names.is_empty() {
        return None;
    }
    let digest = digest(order, |name| !names.contains(&name));
    Some((list(&names), digest))
}

/// ` a b ` with a blank at each end; empty if there is none.
fn list(names: &[&str]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!(" {} ", names.join(" "))
    }
}

/// Digest over the parameters that count at all and that `keep` wants. // spec cluster §4
fn digest(order: &Order, keep: impl Fn(&str) -> bool) -> String {
    let counts = |name: &str| match name {
        "CRM_meta_timeout" => order.recurring(),
        "id" | "crm_feature_set" | "op-digest" | "on_node" | "on_node_uuid"
        | "pcmk_external_ip" => false,
        other => !other.starts_with("CRM_meta_"),
    };
    let wanted = |name: &str| counts(name) && (name == "CRM_meta_timeout" || keep(name));
    let params = order
        .params
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    xml::digest::operation(params.filter(|(name, _)| wanted(name)))
}
