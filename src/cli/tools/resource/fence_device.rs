//! A fence device asked here and now: what `--force-*` and `--validate` come to for one. It has no start and no stop of its
//! own; a device works when its agent's `monitor` says so.

use crate::{
    cli::{cmd::check, failure::Failure, show::xml::text_element, tools::Tool},
    executor::{Invocation, Outcome, agent::Place},
    fencer::{self, Device},
    terms::{AgentName, CrmExit, ExecStatus, OcfExit, RscId},
    xml::Element,
};

use super::force::said;

const PATIENCE_MS: u64 = 20_000;

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

/// `stonith_admin --validate`: are these parameters what the agent wants?
pub(crate) fn validate(tool: &mut Tool, agent: &str, pairs: &[String]) -> Result<(), Failure> {
    let split = |pair: &String| {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--option {pair}: expected NAME=VALUE")))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    let params = pairs
        .iter()
        .map(split)
        .collect::<Result<Vec<_>, Failure>>()?;
    let call = Invocation {
        agent: AgentName::new("stonith", None, agent),
        rsc: RscId::from("validate"),
        task: "validate-all".to_owned(),
        params,
        timeout_ms: PATIENCE_MS,
        kill_process_only: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(run(&check::place(), &call));
    let valid = outcome.rc == OcfExit::OK;
    let word = if valid { "succeeded" } else { "failed" };
    tool.line(&format!("Validation of {agent} {word}"))?;
    let mut element = Element::new("validate")
        .with("agent", agent)
        .with("valid", valid.to_string());
    match &outcome.reason {
        Some(reason) => {
            tool.line(reason)?;
            element.push(said(outcome.rc.0, reason));
        }
        None => element.push(
            Element::new("command")
                .with("code", outcome.rc.0.to_string())
                .with_child(text_element("output", "").with("source", "stdout")),
        ),
    }
    tool.element(element);
    match valid {
        true => Ok(()),
        false => Err(Failure::new(CrmExit::ERROR, "")),
    }
}
