//! A fence device asked here and now: what `--force-*` comes to for one. It has no start and no stop of its
//! own; a device works when its agent's `monitor` says so.

use crate::{
    executor::{Invocation, Outcome, agent::Place},
    fencer::{self, Device},
    terms::{ExecStatus, OcfExit},
};

/// Run the device's agent for one action of a resource.
pub(super) async fn run(place: &Place, call: &Invocation) -> Outcome {
    let action = match call.task.as_str() {
        "start" | "monitor" => "monitor",
        "validate-all" => "validate-all",
        // It stays registered as long as it is configured.
        "stop" => return Outcome::done(OcfExit::OK.0),
        task => {
            let why = format!("a fence device has no action {task}");
            return Outcome::failed(ExecStatus::NotSupported, OcfExit::UNIMPLEMENTED, why);
        }
    };
    let device = Device {
        id: call.rsc.clone(),
        agent: call.agent.kind.to_string(),
        params: call.params.iter().cloned().collect(),
        provides_unfencing: false,
    };
    let fences = fencer::agent::Place {
        agents: place.fence_agents.clone(),
        path: place.path(),
        secrets: place.secrets.clone(),
        extra_env: Vec::new(),
    };
    let (result, text) = fencer::agent::ask(&fences, &device, action, call.timeout_ms).await;
    let failed = |status, reason| Outcome::failed(status, OcfExit::ERROR, reason);
    match result {
        Ok(0) => Outcome::done(OcfExit::OK.0),
        Ok(code) => {
            let text = text.trim();
            let why = if text.is_empty() {
                format!("{} ended with {code}", device.agent)
            } else {
                text.to_owned()
            };
            failed(ExecStatus::Error, why)
        }
        Err(fencer::Failure::TimedOut(why)) => failed(ExecStatus::TimedOut, why),
        Err(why) => failed(ExecStatus::Error, why.to_string()),
    }
}
