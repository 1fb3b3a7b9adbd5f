//! Runs alert agents: one loop that feeds the machine, and a task per running agent.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::cib::Cib;
use crate::process::{self, How, Spec};

use super::machine::Machine;
use super::vocab::{Call, Effect, Event, Happened};

/// What alerts need to begin.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// What every agent finds in its environment.
    pub env: Vec<(String, String)>,
    /// User and group of agents, and their home; those of the daemon if none. // spec cluster §17.2
    pub user: Option<User>,
    /// The agents that came with us, which only the daemon's user can reach.
    pub own: PathBuf,
    /// Where a file says that an agent runs.
    pub register: Option<PathBuf>,
}

/// As whom agents run.
#[derive(Debug, Clone)]
pub struct User {
    /// User and group.
    pub ids: (u32, u32),
    /// `HOME`.
    pub home: PathBuf,
    /// `USER` and `LOGNAME`.
    pub name: String,
}

/// Events that wait for the loop. Full, what happened is not told: nothing waits for alerts.
const QUEUE: usize = 4096;

/// At the end, this much longer than the longest time limit is waited. // spec cluster §17.2
const PATIENCE: Duration = Duration::from_secs(5);

enum Ask {
    Configured(Cib),
    Finish(oneshot::Sender<()>),
}

/// The way to running alerts. They end when all handles are gone.
#[derive(Debug, Clone)]
pub struct Handle {
    events: mpsc::Sender<Event>,
    asks: mpsc::UnboundedSender<Ask>,
}

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Ask::Configured(_) => "Configured",
            Ask::Finish(_) => "Finish",
        })
    }
}

impl Handle {
    /// The configuration changed.
    pub fn configured(&self, cib: Cib) {
        // A closed channel means that the daemon is going down.
        let _ = self.asks.send(Ask::Configured(cib));
    }

    /// Something happened.
    pub fn happened(&self, event: Happened) {
        if let Err(mpsc::error::TrySendError::Full(_)) =
            self.events.try_send(Event::Happened(event))
        {
            tracing::warn!("more happens than alerts can be called for: one is left out");
        }
    }

    /// Waits for running agents, and for those that wait. What takes longer than any time limit allows is killed.
    pub async fn finish(&self) {
        let (done, finished) = oneshot::channel();
        let _ = self.asks.send(Ask::Finish(done));
        let _ = finished.await;
    }
}

/// Starts them. Agents that a daemon before this one left running are killed.
pub fn start(config: Config) -> Handle {
    if let Some(register) = &config.register {
        if let Err(e) = std::fs::create_dir_all(register) {
            tracing::warn!(
                "alert agents are not registered in {}: {e}",
                register.display()
            );
        }
        process::kill_leftovers(register);
    }
    let (events, inbox) = mpsc::channel(QUEUE);
    let (asks, asked) = mpsc::unbounded_channel();
    let shell = Shell {
        machine: Machine::default(),
        config: Arc::new(config),
        ends: mpsc::unbounded_channel(),
        stop: watch::Sender::new(false),
        finishing: None,
    };
    tokio::spawn(shell.run(inbox, asked));
    Handle { events, asks }
}

struct Shell {
    machine: Machine,
    config: Arc<Config>,
    ends: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    stop: watch::Sender<bool>,
    finishing: Option<oneshot::Sender<()>>,
}

impl Shell {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Event>,
        mut asked: mpsc::UnboundedReceiver<Ask>,
    ) {
        loop {
            let event = tokio::select! {
                biased;
                Some(ask) = asked.recv() => match ask {
                    Ask::Configured(cib) => Event::Configured(cib),
                    Ask::Finish(done) => {
                        while let Ok(event) = inbox.try_recv() {
                            self.handle(event);
                        }
                        self.finish(done);
                        continue;
                    }
                },
                Some(event) = self.ends.1.recv() => event,
                event = inbox.recv() => match event {
                    Some(event) => event,
                    None => return,
                },
            };
            self.handle(event);
            self.finished();
        }
    }

    fn handle(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.machine.step(event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Run(call) => self.start_agent(call),
                Effect::Dropped(receiver) => {
                    tracing::warn!("alert {receiver} is slow: its oldest waiting call is dropped");
                }
            }
        }
    }

    fn start_agent(&self, call: Call) {
        let (config, ends) = (Arc::clone(&self.config), self.ends.0.clone());
        let mut stop = self.stop.subscribe();
        tokio::spawn(async move {
            let receiver = call.receiver.clone();
            let stopped = async move {
                if stop.wait_for(|stop| *stop).await.is_err() {
                    // The loop is gone: what it started has its time limit.
                    std::future::pending().await
                }
            };
            call_agent(&config, call, stopped).await;
            let _ = ends.send(Event::Ended(receiver));
        });
    }

    fn finish(&mut self, done: oneshot::Sender<()>) {
        let limit = Duration::from_millis(self.machine.longest_timeout_ms()) + PATIENCE;
        let stop = self.stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            stop.send_replace(true);
        });
        self.finishing = Some(done);
        self.finished();
    }

    fn finished(&mut self) {
        if self.machine.is_idle()
            && let Some(done) = self.finishing.take()
        {
            let _ = done.send(());
        }
    }
}

/// Runs one agent to its end. What goes wrong is for the log alone. // spec cluster §17.2
async fn call_agent(config: &Config, call: Call, stop: impl Future<Output = ()>) {
    let ended = process::run(spec(config, &call), stop).await;
    let why = match ended.how {
        How::Exited(0) => return,
        How::Exited(code) => format!("exit status {code}"),
        How::Signaled(signal) => process::signal_text(signal),
        How::TimedOut => format!("no end within {} ms, so it was killed", call.timeout_ms),
        How::Stopped => "it was stopped".into(),
        How::CannotExec(_, why) => why,
    };
    let (receiver, path) = (&call.receiver, call.path.display());
    let said = ended.stderr.text();
    tracing::warn!("alert {receiver}: {path}: {why}: {}", said.trim());
}

fn spec(config: &Config, call: &Call) -> Spec {
    let mut spec = Spec::new(&call.path).timeout(Duration::from_millis(call.timeout_ms));
    let user = config.user.as_ref().filter(|_| !is_own(config, &call.path));
    spec.run_as = user.map(|user| user.ids);
    let home = user.map_or(Path::new("/"), |user| &user.home);
    spec = spec.env("HOME", home);
    if let Some(user) = user {
        spec = spec.env("USER", &user.name).env("LOGNAME", &user.name);
    }
    for (name, value) in config.env.iter().chain(&call.env) {
        spec = spec.env(name, value);
    }
    spec.register.clone_from(&config.register);
    spec
}

/// Whether an agent is one of ours, and not a way out of their directory.
fn is_own(config: &Config, path: &Path) -> bool {
    path.parent() == Some(config.own.as_path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::{Moment, What};
    use crate::cib::Cib;
    use crate::xml::Limits;

    /// A real script, its real environment, in order; one that hangs is killed and the next one runs.
    #[tokio::test]
    async fn agents_run_in_order_with_their_environment() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (script, seen) = (dir.path().join("alert.sh"), dir.path().join("seen"));
        let text = "#!/bin/sh\n[ \"$CRM_alert_desc\" = hang ] && exec sleep 60\n\
            echo \"$CRM_alert_rsc $CRM_alert_task $CRM_alert_desc $word\" >> \"$CRM_alert_recipient\"\n";
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let cib = format!(
            "<cib><configuration><alerts><alert id=\"a\" path=\"{}\">\
             <meta_attributes id=\"m\"><nvpair id=\"m1\" name=\"timeout\" value=\"300ms\"/></meta_attributes>\
             <instance_attributes id=\"i\"><nvpair id=\"i1\" name=\"word\" value=\"a b\"/></instance_attributes>\
             <recipient id=\"r\" value=\"{}\"/></alert></alerts></configuration></cib>",
            script.display(),
            seen.display()
        );
        let alerts = start(Config {
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            register: Some(dir.path().join("run")),
            ..Config::default()
        });
        alerts.configured(Cib::parse(&cib, &Limits::STORED).unwrap());
        for desc in ["ok", "hang", "not running"] {
            alerts.happened(Happened {
                at: Moment::now(),
                node: "n1".into(),
                what: What::Resource {
                    rsc: "r".into(),
                    task: "start".into(),
                    interval_ms: 0,
                    target_rc: 0,
                    rc: 0,
                    status: 0,
                    exec_ms: 5,
                    desc: desc.into(),
                },
            });
        }
        // Also when nobody waits any more: what was told is carried out to its end.
        alerts.finish().await;
        let expected = "r start ok a b\nr start not running a b\n";
        assert_eq!(std::fs::read_to_string(&seen).unwrap(), expected);
    }

    #[test]
    fn agents_of_others_run_as_the_user_for_that() {
        let config = Config {
            user: Some(User {
                ids: (1, 2),
                home: "/home/one".into(),
                name: "one".into(),
            }),
            own: "/var/agents/alert".into(),
            ..Config::default()
        };
        for (path, expected) in [
            ("/usr/local/bin/tell", Some((1, 2))),
            ("/var/agents/alert/../../tmp/tell", Some((1, 2))),
            ("/var/agents/alert/alert_file", None),
        ] {
            let call = Call {
                receiver: "a".into(),
                path: path.into(),
                env: Vec::new(),
                timeout_ms: 1,
            };
            assert_eq!(spec(&config, &call).run_as, expected, "{path}");
        }
    }
}
