//! The transition graph: what must be done, on which node, and what each step waits for, as a value.
//! Enters: synapses made by the policy, or a graph in the exchange format.
//! Leaves: the same for the coordinator to walk; exchange format, drawing, broken rules.
//! May touch: nothing; pure.

mod check;
mod dot;
mod layout;
mod model;
mod svg;
mod xml;

pub use check::{Rule, Violation, check, check_against};
pub use dot::{DotEdge, DotNode, Drawing};
pub use model::{
    Action, ActionId, ActionKind, Delay, Graph, NodeMaintenance, NodeRef, RscRef, Synapse,
};
pub use svg::svg;
pub use xml::{ReadError, read, write};

/// The recorded cases beside the project, for tests.
#[cfg(test)]
pub(crate) mod tests_support {
    use std::path::PathBuf;

    /// The folder of cases, or None (said aloud) when this machine has none.
    pub(crate) fn recorded_cases() -> Option<PathBuf> {
        let inside = "shared/conformance/scheduler/cases";
        let given = std::env::var_os("SYSTOLE_CONFORMANCE").map(PathBuf::from);
        let above = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|folder| folder.join(inside));
        let found = given
            .into_iter()
            .chain(above)
            .find(|folder| folder.join("cases.json").exists());
        if found.is_none() {
            eprintln!("skipped: no recorded cases ({inside}) beside the project");
        }
        found
    }

    /// Names of all cases in it.
    pub(crate) fn case_names(folder: &std::path::Path) -> Vec<String> {
        let list = std::fs::read(folder.join("cases.json")).expect("a readable list of cases");
        let list: serde_json::Value = serde_json::from_slice(&list).expect("a list of cases");
        let cases = list.as_array().into_iter().flatten();
        cases
            .filter_map(|case| Some(case.get("name")?.as_str()?.to_owned()))
            .collect()
    }
}
