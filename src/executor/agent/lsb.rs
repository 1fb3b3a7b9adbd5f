//! Init scripts: three actions, no parameters, exit statuses of their own. // spec cluster §14.2

use std::path::PathBuf;
use std::time::Duration;

use crate::executor::vocab::{Invocation, Outcome};
use crate::process::{Ended, Kill, Spec};

use super::Place;

/// The run that an invocation stands for.
pub fn spec(place: &Place, program: PathBuf, call: &Invocation) -> Spec {
    let verb = if call.task == "monitor" {
        "status"
    } else {
        &call.task
    };
    let mut spec = Spec::new(program)
        .arg(verb)
        .env("PATH", place.path())
        .env("LANG", "C");
    spec = spec.env("OCF_RESOURCE_INSTANCE", call.rsc.as_str());
    spec = spec.env(super::ocf::NODE_MARK, place.node.as_str());
    spec.timeout = Some(Duration::from_millis(call.timeout_ms));
    spec.kill = if call.kill_process_only {
        Kill::Process
    } else {
        Kill::Group
    };
    spec
}

/// The end of an init script.
pub fn outcome(ended: &Ended, program: &std::path::Path, timeout_ms: u64, status: bool) -> Outcome {
    super::outcome(ended, program, timeout_ms, |code| {
        (exit(code, status), None)
    })
}

/// Its exit status in OCF's numbers.
fn exit(code: i32, status: bool) -> i32 {
    match (status, code) {
        (true, 0) => 0,
        (true, 1..=3) => 7,
        (true, 150) => 5,
        (true, 151) => 4,
        (true, _) => 1,
        (false, 0..=7) => code,
        (false, _) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses() {
        let status: Vec<i32> = [0, 1, 2, 3, 4, 150, 151, 9]
            .map(|code| exit(code, true))
            .into();
        assert_eq!(status, [0, 7, 7, 7, 1, 5, 4, 1]);
        assert_eq!([0, 5, 7, 8].map(|code| exit(code, false)), [0, 5, 7, 1]);
    }
}
