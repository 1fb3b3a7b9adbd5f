//! Fence agents: `NAME=VALUE` lines on standard input, success only by exit status 0, metadata on standard
//! output. // spec cluster §16.3; interfaces §3.7

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{self, Ended, How, Spec};
use crate::terms::{span, text};
use crate::xml::{self, Element, Limits};

use super::vocab::{AgentRun, Device, Failure, Features};

/// Where fence agents and their secrets are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Directories with agents, in this order.
    pub agents: Vec<PathBuf>,
    /// PATH for agents.
    pub path: String,
    /// Secrets: `DEVICE/PARAM` and `DEVICE/PARAM.sign`.
    pub secrets: PathBuf,
    /// More variables for every agent.
    pub extra_env: Vec<(String, String)>,
}

/// What a run of an agent came to.
pub type Result = (std::result::Result<i32, Failure>, String);

/// Runs an agent. A time limit is a result that nobody knows, never a success.
pub async fn run(place: &Place, run: &AgentRun) -> Result {
    let program = match find(place, &run.agent) {
        Ok(program) => program,
        Err(failure) => return (Err(failure), String::new()),
    };
    let mut lines = String::new();
    for (name, value) in &run.input {
        let Some(value) = secret(place, run, name, value) else {
            return (Err(Failure::NoSecret(name.clone())), String::new());
        };
        // A line break would be a parameter of its own.
        lines.push_str(&format!("{name}={}\n", value.replace(['\n', '\r'], " ")));
    }
    let spec = spec(place, program.clone(), lines, run.timeout_ms);
    let ended = process::run(spec, std::future::pending()).await;
    let said = format!("{}\n{}", ended.stdout.text(), ended.stderr.text());
    tracing::debug!(
        device = %run.device, action = run.action, how = ?ended.how, ms = ended.run_ms, "fence agent ended"
    );
    let result = outcome(&ended, &program, run.timeout_ms);
    // A list is read from standard output alone; a failure explains itself anywhere.
    let output = if result == Ok(0) {
        ended.stdout.text()
    } else {
        said
    };
    (result, output)
}

fn spec(place: &Place, program: PathBuf, lines: String, timeout_ms: u64) -> Spec {
    let mut spec = Spec::new(program)
        .env("PATH", &place.path)
        .env("LANG", "C")
        .env("HOME", "/");
    for (name, value) in &place.extra_env {
        spec = spec.env(name, value);
    }
    spec.stdin = Some(lines.into_bytes());
    spec.timeout(Duration::from_millis(timeout_ms))
}

fn outcome(ended: &Ended, program: &Path, timeout_ms: u64) -> std::result::Result<i32, Failure> {
    match &ended.how {
        How::Exited(code) => Ok(*code),
        How::TimedOut => {
            let limit = span::readable(timeout_ms);
            Err(Failure::TimedOut(format!(
                "Fence agent did not complete within {limit}"
            )))
        }
        How::Signaled(signal) => {
            let name = process::signal_text(*signal);
            Err(Failure::Failed(format!(
                "Fence agent interrupted by {name} signal"
            )))
        }
        How::Stopped => Err(Failure::Failed("Fence agent was stopped".to_owned())),
        How::CannotExec(_, text) => {
            Err(Failure::CannotRun(format!("{}: {text}", program.display())))
        }
    }
}

fn find(place: &Place, agent: &str) -> std::result::Result<PathBuf, Failure> {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !agent.chars().all(safe) || agent.starts_with('.') || agent.is_empty() {
        return Err(Failure::CannotRun(format!(
            "'{agent}' is not a name of a fence agent"
        )));
    }
    let found = place
        .agents
        .iter()
        .map(|dir| dir.join(agent))
        .find(|path| path.exists());
    found.ok_or_else(|| {
        let first = place
            .agents
            .first()
            .map(|dir| dir.join(agent))
            .unwrap_or_default();
        Failure::CannotRun(format!("{}: No such file or directory", first.display()))
    })
}

/// The value, or what it refers to. // spec cluster §16.13
fn secret(place: &Place, run: &AgentRun, name: &str, value: &str) -> Option<String> {
    if value != "lrm://" {
        return Some(value.to_owned());
    }
    let mut params = [(name.to_owned(), value.to_owned())];
    process::secrets::resolve(&place.secrets, run.device.as_str(), &mut params).ok()?;
    let [(_, value)] = params;
    Some(value)
}

/// Asks a device for an action that has no target.
pub async fn ask(place: &Place, device: &Device, action: &str, timeout_ms: u64) -> Result {
    let features = features(place, &device.agent).await.ok();
    let (action, input) = device.input(action, None, features.as_ref());
    let call = AgentRun {
        agent: device.agent.clone(),
        device: device.id.clone(),
        action,
        input,
        timeout_ms,
    };
    run(place, &call).await
}

/// How long an agent may take to describe itself.
const METADATA_TIMEOUT_MS: u64 = 30_000;

/// Reads what an agent can do.
pub async fn features(place: &Place, agent: &str) -> std::result::Result<Features, String> {
    let program = find(place, agent).map_err(|failure| failure.to_string())?;
    let lines = "action=metadata\n".to_owned();
    let mut spec = spec(place, program.clone(), lines, METADATA_TIMEOUT_MS);
    spec.output_limit = 4 << 20;
    let ended = process::run(spec, std::future::pending()).await;
    match outcome(&ended, &program, METADATA_TIMEOUT_MS) {
        Ok(0) => parse(&ended.stdout.text()),
        Ok(code) => Err(format!("{}: metadata ended with {code}", program.display())),
        Err(failure) => Err(failure.to_string()),
    }
}

fn parse(output: &str) -> std::result::Result<Features, String> {
    let start = output
        .find("<?xml")
        .or_else(|| output.find("<resource-agent"))
        .unwrap_or(0);
    let root =
        xml::parse(&output[start..], &Limits::METADATA).map_err(|error| error.to_string())?;
    let flag = |element: &Element, name: &str| text::is_true(element.get(name).map(str::trim));
    let actions = || {
        root.child("actions")
            .into_iter()
            .flat_map(|all| all.children_named("action"))
    };
    let name = |element: &Element| element.get("name").unwrap_or_default().trim().to_owned();
    let parameters = root.child("parameters").into_iter();
    let parameters: Vec<String> = parameters
        .flat_map(|all| all.children_named("parameter"))
        .map(name)
        .collect();
    let unfences = |action: &Element| {
        name(action) == "on" && (flag(action, "automatic") || flag(action, "required"))
    };
    Ok(Features {
        actions: actions().map(name).collect(),
        plug: parameters.iter().any(|name| name == "plug"),
        port: parameters.iter().any(|name| name == "port"),
        unfences: actions().any(unfences),
        on_target: actions()
            .filter(|a| flag(a, "on_target"))
            .map(name)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_can_do() {
        let text = r#"<?xml version="1.0" ?>
<resource-agent name="fence_scsi" shortdesc="x"><parameters>
<parameter name="action"/><parameter name="plug"/><parameter name="port"/></parameters>
<actions><action name="on" on_target="1" automatic="1"/><action name="off"/></actions></resource-agent>"#;
        let features = parse(text).expect("agents print such text");
        assert!(features.plug && features.port && features.unfences);
        assert!(features.on_target.contains("on") && !features.on_target.contains("off"));
        assert_eq!(features.actions.len(), 2);
    }
}
