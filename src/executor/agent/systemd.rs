//! Units of systemd, over D-Bus. (spec cluster §14.2, interfaces §3.6)
//!
//! systemd answers at once that it has a *job* to start or stop a unit; how that went is said in a signal later, which is
//! waited for. While the cluster runs a unit, a drop-in keeps systemd from restarting it by itself: that is for the cluster
//! to decide, perhaps on another node.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_stream::StreamExt as _;
use zbus::zvariant::OwnedObjectPath;

use crate::clock::Mono;
use crate::executor::vocab::{Invocation, Outcome};
use crate::terms::{AgentName, ExecStatus, OcfExit, span};
use crate::xml::{Element, Node, write};

use super::Place;

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn kill_unit(&self, name: &str, whom: &str, signal: i32) -> zbus::Result<()>;
    fn reload(&self) -> zbus::Result<()>;
    fn subscribe(&self) -> zbus::Result<()>;
    #[zbus(signal)]
    fn job_removed(
        &self,
        id: u32,
        job: OwnedObjectPath,
        unit: &str,
        result: &str,
    ) -> zbus::Result<()>;
}

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Unit",
    default_service = "org.freedesktop.systemd1"
)]
trait Unit {
    #[zbus(property(emits_changed_signal = "false"))]
    fn active_state(&self) -> zbus::Result<String>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn load_state(&self) -> zbus::Result<String>;
}

/// The action by which a unit is ended that does not stop: no agent has it, only the stop deadline asks for it.
pub const KILL: &str = "kill";

const SIGKILL: i32 = 9;

/// Whether an agent is a unit of systemd: `service` means an init script if there is one of that name.
pub fn is_unit(agent: &AgentName) -> bool {
    let class = agent.class.as_str();
    class.eq_ignore_ascii_case("systemd")
        || (class.eq_ignore_ascii_case("service")
            && !std::path::Path::new("/etc/init.d")
                .join(&agent.kind)
                .exists())
}

/// What a unit's agent would say of itself: there is nothing to set.
pub fn metadata_text(agent: &AgentName) -> String {
    let described = |tag: &str| {
        let mut element = Element::new(tag).with("lang", "en");
        let text = format!("systemd unit {}", agent.kind);
        element.nodes_mut().push(Node::Text(Arc::new(text)));
        element
    };
    let action = |name: &str, timeout: &str| {
        Element::new("action")
            .with("name", name)
            .with("timeout", timeout)
    };
    let actions = [
        action("start", "100s"),
        action("stop", "100s"),
        action("status", "100s"),
        action("monitor", "100s").with("interval", "60s"),
        action("meta-data", "5s"),
    ];
    let root = Element::new("resource-agent")
        .with("name", &agent.kind)
        .with("version", "1.0")
        .with_child(described("longdesc"))
        .with_child(described("shortdesc"))
        .with_child(Element::new("parameters"))
        .with_child(Element::new("actions").with_children(actions))
        .with_child(Element::new("special").with("tag", "systemd"));
    format!("<?xml version=\"1.0\"?>\n{}", write::pretty(&root))
}

/// Does one action of a unit.
pub async fn run(place: &Place, call: &Invocation, stop: impl Future<Output = ()>) -> Outcome {
    let begun = Mono::now();
    let limit = Duration::from_millis(call.timeout_ms);
    let unit = unit_name(&call.agent.kind);
    let mut outcome = tokio::select! {
        outcome = act(place, call, &unit) => outcome.unwrap_or_else(|error| {
            let why = format!(
                "systemd does not answer for {unit}: {error}; `systemctl status {unit}` shows whether it does for you"
            );
            Outcome::failed(ExecStatus::Error, OcfExit::ERROR, why)
        }),
        () = tokio::time::sleep(limit), if call.timeout_ms > 0 => {
            let within = span::readable(call.timeout_ms);
            let why = format!("systemd {} job for {unit} timed out: it did not end within {within}", call.task);
            Outcome::failed(ExecStatus::TimedOut, OcfExit::ERROR, why)
        }
        () = stop => Outcome {
            killed: true,
            ..Outcome::failed(ExecStatus::Cancelled, OcfExit::OK, String::new())
        },
    };
    outcome.run_ms = Mono::now().since(begun);
    outcome
}

async fn act(place: &Place, call: &Invocation, unit: &str) -> zbus::Result<Outcome> {
    let bus = match &place.bus {
        None => zbus::Connection::system().await?,
        Some(address) => {
            zbus::connection::Builder::address(address.as_str())?
                .build()
                .await?
        }
    };
    let manager = ManagerProxy::new(&bus).await?;
    match call.task.as_str() {
        "start" => {
            if !exists(&bus, &manager, unit).await? {
                return Ok(missing(unit));
            }
            control(place, &manager, unit).await?;
            job(&manager, "start", unit).await
        }
        "stop" => {
            // What does not exist does not run.
            if !exists(&bus, &manager, unit).await? {
                return Ok(Outcome::done(0));
            }
            let outcome = job(&manager, "stop", unit).await?;
            release(place, &manager, unit).await?;
            Ok(outcome)
        }
        KILL => {
            manager.kill_unit(unit, "all", SIGKILL).await?;
            job(&manager, "stop", unit).await
        }
        "monitor" | "status" => monitor(&bus, &manager, unit, call.timeout_ms).await,
        other => {
            let why = format!("a systemd unit has no action `{other}`");
            Ok(Outcome::failed(
                ExecStatus::Error,
                OcfExit::UNIMPLEMENTED,
                why,
            ))
        }
    }
}

/// The unit's whole name: a service if nothing else is said.
fn unit_name(kind: &str) -> String {
    const SUFFIXES: [&str; 11] = [
        ".service",
        ".socket",
        ".device",
        ".mount",
        ".automount",
        ".swap",
        ".target",
        ".path",
        ".timer",
        ".snapshot",
        ".scope",
    ];
    if SUFFIXES.iter().any(|suffix| kind.ends_with(suffix)) {
        kind.to_owned()
    } else {
        format!("{kind}.service")
    }
}

fn missing(unit: &str) -> Outcome {
    let why = format!("unit {unit} does not exist: `systemctl cat {unit}` would show it");
    Outcome::failed(ExecStatus::NotInstalled, OcfExit::NOT_INSTALLED, why)
}

async fn unit<'a>(
    bus: &zbus::Connection,
    manager: &ManagerProxy<'_>,
    unit: &str,
) -> zbus::Result<UnitProxy<'a>> {
    let path = manager.load_unit(unit).await?;
    UnitProxy::builder(bus).path(path)?.build().await
}

/// systemd gives an object for any name; only its state tells whether there is a file behind it.
async fn exists(
    bus: &zbus::Connection,
    manager: &ManagerProxy<'_>,
    name: &str,
) -> zbus::Result<bool> {
    let state = unit(bus, manager, name).await?.load_state().await?;
    Ok(!matches!(
        state.as_str(),
        "not-found" | "bad-setting" | "error"
    ))
}

/// Starts or stops, and waits for the end of the job.
async fn job(manager: &ManagerProxy<'_>, verb: &str, unit: &str) -> zbus::Result<Outcome> {
    // Listening comes first: a job may end before its name is known here.
    manager.subscribe().await.or_else(already)?;
    let mut ends = manager.receive_job_removed().await?;
    let job = if verb == "start" {
        manager.start_unit(unit, "replace").await?
    } else {
        manager.stop_unit(unit, "replace").await?
    };
    while let Some(end) = ends.next().await {
        let end = end.args()?;
        if end.job != job {
            continue;
        }
        return Ok(match end.result {
            "done" => Outcome::done(0),
            "timeout" => {
                let why = format!("systemd {verb} job for {unit} timed out");
                Outcome::failed(ExecStatus::TimedOut, OcfExit::ERROR, why)
            }
            result => {
                let why = format!("systemd {verb} job for {unit} failed with result '{result}'");
                Outcome::failed(ExecStatus::Error, OcfExit::ERROR, why)
            }
        });
    }
    let why = format!("the bus closed before the systemd {verb} job for {unit} ended");
    Ok(Outcome::failed(ExecStatus::Error, OcfExit::ERROR, why))
}

/// Subscribing twice is no trouble.
fn already(error: zbus::Error) -> zbus::Result<()> {
    match &error {
        zbus::Error::MethodError(name, _, _)
            if name.as_str() == "org.freedesktop.systemd1.AlreadySubscribed" =>
        {
            Ok(())
        }
        _ => Err(error),
    }
}

/// Runs, runs not, or is on its way: then it is asked again until it is not.
async fn monitor(
    bus: &zbus::Connection,
    manager: &ManagerProxy<'_>,
    name: &str,
    timeout_ms: u64,
) -> zbus::Result<Outcome> {
    // Gap: on its way for longer than this is only reported as timed out, not as pending before.
    let pause = Duration::from_millis(2_000.min(timeout_ms / 10).max(10));
    if !exists(bus, manager, name).await? {
        return Ok(missing(name));
    }
    let unit = unit(bus, manager, name).await?;
    loop {
        let state = unit.active_state().await?;
        match state.as_str() {
            "active" | "reloading" => return Ok(Outcome::done(0)),
            "activating" | "deactivating" => tokio::time::sleep(pause).await,
            _ => {
                return Ok(Outcome {
                    reason: Some(state),
                    ..Outcome::done(OcfExit::NOT_RUNNING.0)
                });
            }
        }
    }
}

fn drop_in(place: &Place, unit: &str) -> PathBuf {
    place
        .units
        .join(format!("{unit}.d"))
        .join("50-pacemaker.conf")
}

/// Tells systemd that the unit is the cluster's now.
async fn control(place: &Place, manager: &ManagerProxy<'_>, unit: &str) -> zbus::Result<()> {
    let mut text = format!(
        "[Unit]\nDescription=Cluster Controlled {unit}\nBefore=pacemaker.service pacemaker_remote.service systole.service\n"
    );
    if unit.ends_with(".service") {
        text.push_str("\n[Service]\nRestart=no\n");
    }
    let file = drop_in(place, unit);
    let written = async {
        if let Some(folder) = file.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        tokio::fs::write(&file, text).await
    };
    match written.await {
        Ok(()) => manager.reload().await,
        Err(error) => {
            tracing::error!(
                "failed to write {}: {error}; systemd may restart {unit} by itself",
                file.display()
            );
            Ok(())
        }
    }
}

/// And that it is systemd's again.
async fn release(place: &Place, manager: &ManagerProxy<'_>, unit: &str) -> zbus::Result<()> {
    let file = drop_in(place, unit);
    if tokio::fs::remove_file(&file).await.is_err() {
        // It was not started by us.
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        // Others may have drop-ins of their own in it.
        let _ = tokio::fs::remove_dir(folder).await;
    }
    manager.reload().await
}

#[cfg(test)]
mod tests;
