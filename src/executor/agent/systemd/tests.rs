//! Against a manager that behaves as systemd does, on a bus of its own.
#![expect(
    clippy::disallowed_types,
    reason = "what the interface macro writes has a map of properties, whose order no answer depends on"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use zbus::object_server::SignalEmitter;
use zbus::zvariant::ObjectPath;

use super::*;
use crate::terms::NodeName;

/// A bus for one test; it ends with it.
struct Bus {
    daemon: Child,
    address: String,
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// Says aloud when there is no bus to test with; where everything must be there, it must be there.
fn bus() -> Option<Bus> {
    #[expect(clippy::disallowed_methods, reason = "a bus needs no process group")]
    let mut command = Command::new("dbus-daemon");
    let started = command
        .args(["--session", "--nofork", "--print-address=1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut daemon = match started {
        Ok(daemon) => daemon,
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: no dbus-daemon (package dbus-daemon): {error}");
            return None;
        }
        Err(error) => panic!("dbus-daemon (package dbus-daemon) is needed: {error}"),
    };
    let mut address = String::new();
    let out = daemon.stdout.take().expect("piped");
    BufReader::new(out)
        .read_line(&mut address)
        .expect("it prints its address");
    Some(Bus {
        daemon,
        address: address.trim().to_owned(),
    })
}

/// Units by name and their state; what was asked, in order.
#[derive(Clone, Default)]
struct World {
    states: Arc<Mutex<BTreeMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn state(&self, unit: &str) -> Option<String> {
        self.states.lock().expect("no panic").get(unit).cloned()
    }

    fn set(&self, unit: &str, state: &str) {
        let mut states = self.states.lock().expect("no panic");
        states.insert(unit.to_owned(), state.to_owned());
    }

    fn note(&self, what: String) {
        self.asked.lock().expect("no panic").push(what);
    }
}

struct FakeManager(World);
struct FakeUnit(World, String);

fn path_of(unit: &str) -> String {
    let name: String = unit
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    format!("/org/freedesktop/systemd1/unit/{name}")
}

impl FakeManager {
    /// How a job ends is in the unit's name.
    async fn end_job(
        &self,
        emitter: SignalEmitter<'_>,
        unit: &str,
        state: &str,
    ) -> zbus::fdo::Result<OwnedObjectPath> {
        let job = ObjectPath::try_from("/org/freedesktop/systemd1/job/1").expect("a path");
        let result = match unit {
            "bad.service" => "failed",
            "late.service" => "timeout",
            "never.service" => return Ok(job.into()),
            _ => {
                self.0.set(unit, state);
                "done"
            }
        };
        // The end of the job is told before its name is.
        FakeManager::job_removed(&emitter, 1, job.clone(), unit, result).await?;
        Ok(job.into())
    }
}

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl FakeManager {
    async fn load_unit(
        &self,
        name: &str,
        #[zbus(object_server)] server: &zbus::ObjectServer,
    ) -> zbus::fdo::Result<OwnedObjectPath> {
        let path = path_of(name);
        let unit = FakeUnit(self.0.clone(), name.to_owned());
        server.at(path.as_str(), unit).await?;
        Ok(ObjectPath::try_from(path).expect("a path").into())
    }

    async fn start_unit(
        &self,
        name: &str,
        mode: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> zbus::fdo::Result<OwnedObjectPath> {
        self.0.note(format!("start {name} {mode}"));
        self.end_job(emitter, name, "active").await
    }

    async fn stop_unit(
        &self,
        name: &str,
        mode: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> zbus::fdo::Result<OwnedObjectPath> {
        self.0.note(format!("stop {name} {mode}"));
        self.end_job(emitter, name, "inactive").await
    }

    fn kill_unit(&self, name: &str, whom: &str, signal: i32) {
        self.0.note(format!("kill {name} {whom} {signal}"));
    }

    fn reload(&self) {
        self.0.note("reload".to_owned());
    }

    fn subscribe(&self) {}

    #[zbus(signal)]
    async fn job_removed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: ObjectPath<'_>,
        unit: &str,
        result: &str,
    ) -> zbus::Result<()>;
}

#[zbus::interface(name = "org.freedesktop.systemd1.Unit")]
impl FakeUnit {
    #[zbus(property)]
    fn active_state(&self) -> String {
        // What is on its way arrives when it has been asked for once.
        let state = self.0.state(&self.1).unwrap_or_else(|| "inactive".into());
        if state == "activating" {
            self.0.set(&self.1, "active");
        }
        state
    }

    #[zbus(property)]
    fn load_state(&self) -> &str {
        if self.0.state(&self.1).is_some() {
            "loaded"
        } else {
            "not-found"
        }
    }
}

struct Lab {
    _bus: Bus,
    _server: zbus::Connection,
    world: World,
    place: Place,
    dir: tempfile::TempDir,
}

impl Lab {
    async fn new() -> Option<Self> {
        let bus = bus()?;
        let world = World::default();
        for unit in ["web", "bad", "late", "never"] {
            world.set(&format!("{unit}.service"), "inactive");
        }
        let server = zbus::connection::Builder::address(bus.address.as_str())
            .and_then(|builder| builder.name("org.freedesktop.systemd1"))
            .and_then(|builder| {
                builder.serve_at("/org/freedesktop/systemd1", FakeManager(world.clone()))
            })
            .expect("well-formed names")
            .build()
            .await
            .expect("the bus is there");
        let dir = tempfile::tempdir().expect("temporary directory");
        let place = Place {
            node: NodeName::from("h1"),
            ocf_root: PathBuf::new(),
            own_agents: PathBuf::new(),
            tools: PathBuf::new(),
            rsctmp: PathBuf::new(),
            secrets: PathBuf::new(),
            fence_agents: Vec::new(),
            bus: Some(bus.address.clone()),
            units: dir.path().to_owned(),
            extra_env: Vec::new(),
        };
        Some(Self {
            _bus: bus,
            _server: server,
            world,
            place,
            dir,
        })
    }

    /// Status, exit status and reason.
    async fn run(&self, unit: &str, task: &str) -> (ExecStatus, i32, String) {
        let call = Invocation {
            agent: AgentName::new("systemd", None, unit),
            rsc: "r".into(),
            task: task.to_owned(),
            params: Vec::new(),
            timeout_ms: 2_000,
            kill_process_only: false,
        };
        let outcome = run(&self.place, &call, std::future::pending()).await;
        let reason = outcome.reason.unwrap_or_default();
        (outcome.status, outcome.rc.0, reason)
    }

    fn drop_in(&self, unit: &str) -> Option<String> {
        let file = self.dir.path().join(format!("{unit}.d/50-pacemaker.conf"));
        std::fs::read_to_string(file).ok()
    }
}

#[tokio::test]
async fn started_looked_at_and_stopped() {
    let Some(lab) = Lab::new().await else { return };
    let done = |rc: i32, reason: &str| (ExecStatus::Done, rc, reason.to_owned());
    assert_eq!(lab.run("web", "monitor").await, done(7, "inactive"));
    assert_eq!(lab.run("web", "start").await, done(0, ""));
    let drop_in = lab
        .drop_in("web.service")
        .expect("written before the start");
    assert!(drop_in.contains("Restart=no"), "{drop_in}");
    assert_eq!(lab.run("web.service", "monitor").await, done(0, ""));
    assert_eq!(lab.run("web", "stop").await, done(0, ""));
    assert_eq!(lab.drop_in("web.service"), None);
    let asked = lab.world.asked.lock().expect("no panic").join(", ");
    assert_eq!(
        asked,
        "reload, start web.service replace, stop web.service replace, reload"
    );
}

#[tokio::test]
async fn states_on_the_way_and_failures() {
    let Some(lab) = Lab::new().await else { return };
    lab.world.set("web.service", "activating");
    assert_eq!(lab.run("web", "monitor").await.1, 0);
    lab.world.set("web.service", "failed");
    let failed = lab.run("web", "monitor").await;
    assert_eq!(failed, (ExecStatus::Done, 7, "failed".to_owned()));
}

#[tokio::test]
async fn ends_of_jobs() {
    let Some(lab) = Lab::new().await else { return };
    let (status, rc, reason) = lab.run("bad", "start").await;
    assert_eq!((status, rc), (ExecStatus::Error, 1));
    assert_eq!(
        reason,
        "systemd start job for bad.service failed with result 'failed'"
    );
    let (status, rc, reason) = lab.run("late", "stop").await;
    assert_eq!((status, rc), (ExecStatus::TimedOut, 1));
    assert_eq!(reason, "systemd stop job for late.service timed out");
    let (status, rc, _) = lab.run("never", "stop").await;
    assert_eq!((status, rc), (ExecStatus::TimedOut, 1));
    assert_eq!(lab.run("web", KILL).await.1, 0);
    let asked = lab.world.asked.lock().expect("no panic").join(", ");
    assert!(
        asked.contains("kill web.service all 9, stop web.service"),
        "{asked}"
    );
}

#[tokio::test]
async fn what_is_not_there() {
    let Some(lab) = Lab::new().await else { return };
    let (status, rc, reason) = lab.run("none", "start").await;
    assert_eq!((status, rc), (ExecStatus::NotInstalled, 5));
    assert!(reason.contains("none.service does not exist"), "{reason}");
    assert_eq!(lab.run("none", "monitor").await.1, 5);
    assert_eq!(lab.run("none", "stop").await.1, 0);
    let (status, rc, _) = lab.run("web", "promote").await;
    assert_eq!((status, rc), (ExecStatus::Error, 3));
    // No bus at all.
    let nowhere = Lab {
        place: Place {
            bus: Some("unix:path=/nonexistent".into()),
            ..lab.place.clone()
        },
        ..lab
    };
    let (status, rc, reason) = nowhere.run("web", "monitor").await;
    assert_eq!((status, rc), (ExecStatus::Error, 1));
    assert!(reason.contains("systemd does not answer"), "{reason}");
}

#[test]
fn names_and_metadata() {
    assert_eq!(unit_name("web"), "web.service");
    assert_eq!(unit_name("getty@tty1"), "getty@tty1.service");
    assert_eq!(unit_name("backup.timer"), "backup.timer");
    let agent = AgentName::new("systemd", None, "a<b");
    let metadata = crate::executor::agent::metadata::parse(&metadata_text(&agent));
    let metadata = metadata.expect("well-formed");
    assert!(metadata.parameters.is_empty());
    assert_eq!(metadata.actions.len(), 5);
}
