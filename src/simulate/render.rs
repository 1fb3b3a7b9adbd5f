//! Steps of a simulated run as people read them. (spec 4 §9.3)

use super::pretend::Step;

/// One line.
pub fn step_text(step: &Step) -> String {
    match step {
        Step::Pseudo {
            key,
            node: Some(node),
        } => format!("Pseudo action:   {key} on {node}"),
        Step::Pseudo { key, node: None } => format!("Pseudo action:   {key}"),
        Step::Resource {
            rsc,
            task,
            interval_ms: 0,
            node,
        } => {
            format!("Resource action: {rsc:<15} {task} on {node}")
        }
        Step::Resource {
            rsc,
            task,
            interval_ms,
            node,
        } => {
            format!("Resource action: {rsc:<15} {task}={interval_ms} on {node}")
        }
        Step::Cluster {
            task,
            rsc: Some(rsc),
            node,
        } => {
            format!("Cluster action:  {task} for {rsc} on {node}")
        }
        Step::Cluster {
            task,
            rsc: None,
            node,
        } => format!("Cluster action:  {task} on {node}"),
        Step::Fencing { node, op } => format!("Fencing {node} ({op})"),
        Step::Failed { id, rc } => format!("Pretending action {id} failed with rc={rc}"),
        Step::Counted(modification) => modification.to_string(),
    }
}
