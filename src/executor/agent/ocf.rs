//! OCF agents: the action is the only argument, parameters are environment variables, the exit status is the
//! answer, and a marked line on standard error says why. // spec cluster §14.2, §14.3; interfaces §3.1

use std::path::PathBuf;
use std::time::Duration;

use crate::executor::vocab::{Invocation, Outcome};
use crate::process::{Ended, Kill, Spec};

use super::Place;

/// What an agent writes before its reason.
pub const REASON_PREFIX: &str = "ocf-exit-reason:";

/// The run that an invocation stands for. Secrets are in its parameters already.
pub fn spec(place: &Place, program: PathBuf, call: &Invocation) -> Spec {
    let mut spec = Spec::new(program).arg(&call.task);
    for (name, value) in environment(place, call) {
        spec = spec.env(name, value);
    }
    spec.timeout = Some(Duration::from_millis(call.timeout_ms));
    spec.kill = if call.kill_process_only {
        Kill::Process
    } else {
        Kill::Group
    };
    spec
}

/// The whole environment of an agent.
pub fn environment(place: &Place, call: &Invocation) -> Vec<(String, String)> {
    let provider = call.agent.provider.as_deref().unwrap_or_default();
    let fixed = [
        ("PATH", place.path()),
        ("LANG", "C".into()),
        ("HOME", "/".into()),
        ("HA_SBIN_DIR", place.tools.display().to_string()),
        ("HA_RSCTMP", place.rsctmp.display().to_string()),
        ("OCF_ROOT", place.ocf_root.display().to_string()),
        ("OCF_RA_VERSION_MAJOR", "1".into()),
        ("OCF_RA_VERSION_MINOR", "1".into()),
        ("OCF_EXIT_REASON_PREFIX", REASON_PREFIX.into()),
        ("OCF_RESOURCE_INSTANCE", call.rsc.to_string()),
        ("OCF_RESOURCE_TYPE", call.agent.kind.clone()),
        ("OCF_RESOURCE_PROVIDER", provider.into()),
        // Whose agent this is: found again when all that it left behind must be killed.
        (NODE_MARK, place.node.to_string()),
    ];
    let fixed = fixed
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    let params = call
        .params
        .iter()
        .map(|(name, value)| (variable(name), value.clone()));
    fixed
        .chain(place.extra_env.iter().cloned())
        .chain(params)
        .collect()
}

/// Environment variable that marks the processes of a node.
pub const NODE_MARK: &str = "SYSTOLE_NODE";

fn variable(name: &str) -> String {
    match name {
        "OCF_CHECK_LEVEL" => name.to_owned(),
        // A hyphen cannot be read by a shell. // interfaces §3.2
        meta if meta.starts_with("CRM_meta_") => format!("OCF_RESKEY_{}", meta.replace('-', "_")),
        plain => format!("OCF_RESKEY_{plain}"),
    }
}

/// The end of an OCF agent.
pub fn outcome(ended: &Ended, program: &std::path::Path, timeout_ms: u64) -> Outcome {
    super::outcome(ended, program, timeout_ms, |code| {
        (code, exit_reason(&ended.stderr.text()))
    })
}

/// The text after the last mark, up to the end of its line.
pub fn exit_reason(stderr: &str) -> Option<String> {
    let (_, after) = stderr.rsplit_once(REASON_PREFIX)?;
    let line = after.lines().next().unwrap_or_default().trim();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reason_counts() {
        let text = "x\nocf-exit-reason:first\nINFO: y\nocf-exit-reason:the last one\nmore\n";
        assert_eq!(exit_reason(text).as_deref(), Some("the last one"));
        assert_eq!(exit_reason("nothing"), None);
    }

    #[test]
    fn names_of_variables() {
        assert_eq!(variable("ip"), "OCF_RESKEY_ip");
        assert_eq!(variable("OCF_CHECK_LEVEL"), "OCF_CHECK_LEVEL");
        assert_eq!(variable("CRM_meta_on-fail"), "OCF_RESKEY_CRM_meta_on_fail");
        assert_eq!(variable("crm_feature_set"), "OCF_RESKEY_crm_feature_set");
    }
}
