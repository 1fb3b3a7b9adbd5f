//! Small real agents with bad habits, run by a real executor.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::executor::{Command, Execution, Order, Pending};
use crate::terms::{NodeName, Term, TransitionKey};

struct Lab {
    dir: tempfile::TempDir,
    handle: Handle,
    out: mpsc::UnboundedReceiver<Out>,
    orders: i64,
}

impl Lab {
    fn new() -> Self {
        Self::guarded_by(None)
    }

    fn guarded_by(guard: Option<Guard>) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let root = dir.path();
        // What is left of a resource is found by the names of node and resource, on the whole machine.
        let node = format!("lab-{}", root.display());
        std::fs::create_dir_all(root.join("ocf/resource.d/test")).expect("writable");
        let place = Place {
            node: NodeName::from(node.clone()),
            ocf_root: root.join("ocf"),
            own_agents: root.join("own"),
            tools: root.join("tools"),
            rsctmp: root.join("rsctmp"),
            secrets: root.join("secrets"),
            fence_agents: Vec::new(),
            bus: None,
            units: PathBuf::from("/nonexistent"),
            extra_env: Vec::new(),
        };
        let config = Config {
            place,
            limit: 4,
            state_dir: root.join("state"),
            run_dir: root.join("run"),
            last_call: 41,
            guard,
        };
        let (handle, out) = start(config);
        Self {
            dir,
            handle,
            out,
            orders: 0,
        }
    }

    fn agent(&self, name: &str, text: &str, mode: u32) {
        let path = self.dir.path().join("ocf/resource.d/test").join(name);
        std::fs::write(&path, text).expect("writable");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("ours");
    }

    async fn order(&mut self, agent: &str, op: &str, timeout_ms: u64) {
        let agent = AgentName::new("ocf", Some("test"), agent);
        self.order_of(agent, op, timeout_ms).await;
    }

    async fn order_of(&mut self, agent: AgentName, op: &str, timeout_ms: u64) {
        self.orders += 1;
        let key = TransitionKey {
            action: self.orders,
            transition: 1,
            target_rc: 0,
            uuid: "u".into(),
        };
        let params = [
            ("CRM_meta_timeout", timeout_ms.to_string()),
            ("word", "a b".into()),
        ];
        let order = Order {
            term: Term(1),
            key,
            op: op.parse().expect("an operation key"),
            agent,
            node: NodeName::from("lab"),
            feature_set: "3.20".into(),
            params: params.map(|(name, value)| (name.to_owned(), value)).into(),
            pending: Pending::Written,
            shutdown_lock: None,
        };
        self.handle
            .send(Event::Command(Box::new(Command::Execute(order))))
            .await;
    }

    async fn result(&mut self) -> Execution {
        let wait = Duration::from_secs(20);
        loop {
            let out = tokio::time::timeout(wait, self.out.recv())
                .await
                .expect("a result in time");
            let Some(Out::Reports(reports)) = out else {
                continue;
            };
            for report in reports {
                if let Report::Result(execution) = report {
                    return execution;
                }
            }
        }
    }

    /// Status, exit status and reason of a stop (which needs no metadata).
    async fn stop(&mut self, agent: &str, timeout_ms: u64) -> (ExecStatus, i32, String) {
        self.order(agent, "r_stop_0", timeout_ms).await;
        let execution = self.result().await;
        (execution.status, execution.rc.0, execution.exit_reason)
    }
}

/// A connection is made by the daemon, whatever agent of that name there is.
#[tokio::test]
async fn a_connection_to_a_remote_node_is_not_its_agents_affair() {
    let mut lab = Lab::new();
    let folder = lab.dir.path().join("ocf/resource.d/pacemaker");
    std::fs::create_dir_all(&folder).expect("writable");
    let script = folder.join("remote");
    std::fs::write(&script, "#!/bin/sh\nexit 1\n").expect("writable");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("ours");
    let remote = AgentName::new("ocf", Some("pacemaker"), "remote");
    lab.order_of(remote.clone(), "r_start_0", 5000).await;
    let wanted = tokio::time::timeout(Duration::from_secs(20), lab.out.recv()).await;
    let Ok(Some(Out::Link(run, order))) = wanted else {
        panic!("{wanted:?}");
    };
    assert_eq!(
        (order.op.task.as_str(), order.timeout_ms()),
        ("start", 5000)
    );
    let ended = Event::Ended(run, Outcome::done(0));
    lab.handle.send(ended).await;
    let execution = lab.result().await;
    assert_eq!(execution.rc, OcfExit::OK);
    let restart = execution.digests.restart.expect("the built-in meta-data");
    assert_eq!(restart.0, " server port ");
}

/// Agents from before OCF 1.1 know no `reload-agent`, and answer it with "not implemented".
#[tokio::test]
async fn an_agent_is_reloaded_by_the_name_that_it_knows() {
    let mut lab = Lab::new();
    for (agent, action) in [("old", "reload"), ("new", "reload-agent")] {
        let text = format!(
            "#!/bin/sh\ncase $1 in\n{action}) exit 0;;\nmeta-data) echo '<resource-agent name=\"{agent}\"><actions>\
             <action name=\"{action}\"/></actions></resource-agent>';;\n*) exit 3;;\nesac\n"
        );
        lab.agent(agent, &text, 0o755);
        lab.order(agent, "r_reload-agent_0", 5000).await;
        let execution = lab.result().await;
        assert_eq!(execution.rc.0, 0, "{action}");
        assert_eq!(execution.op.to_string(), "r_start_0", "recorded as a start");
    }
}

#[tokio::test]
async fn environment_result_and_numbers() {
    let mut lab = Lab::new();
    let text = "#!/bin/sh\n[ \"$1\" = meta-data ] && exit 3\n\
        env > \"$HA_RSCTMP/env\"; echo \"ocf-exit-reason:word is $OCF_RESKEY_word\" >&2; exit 255\n";
    lab.agent("teller", text, 0o755);
    lab.order("teller", "r_start_0", 5000).await;
    let execution = lab.result().await;
    assert_eq!((execution.status, execution.rc.0), (ExecStatus::Done, 255));
    assert_eq!(execution.exit_reason, "word is a b");
    assert_eq!(execution.call_id, 42, "numbers go on where the CIB ends");
    let env =
        std::fs::read_to_string(lab.dir.path().join("rsctmp/env")).expect("the agent wrote it");
    for line in [
        "OCF_RESKEY_word=a b",
        "OCF_RESKEY_CRM_meta_timeout=5000",
        "OCF_RESOURCE_INSTANCE=r",
        "OCF_RESOURCE_TYPE=teller",
        "OCF_RESOURCE_PROVIDER=test",
        "OCF_RA_VERSION_MAJOR=1",
        "OCF_EXIT_REASON_PREFIX=ocf-exit-reason:",
    ] {
        assert!(
            env.lines().any(|have| have == line),
            "{line} is missing in\n{env}"
        );
    }
    assert!(
        !env.contains("CARGO"),
        "nothing of ours leaks into agents:\n{env}"
    );
}

#[tokio::test]
async fn an_agent_that_hangs() {
    let mut lab = Lab::new();
    lab.agent("hang", "#!/bin/sh\nsleep 1000 & wait\n", 0o755);
    let reason = "Resource agent did not complete within 300ms".to_owned();
    assert_eq!(
        lab.stop("hang", 300).await,
        (ExecStatus::TimedOut, 1, reason)
    );
}

#[tokio::test]
async fn an_agent_that_prints_a_hundred_megabytes() {
    let mut lab = Lab::new();
    let text = "#!/bin/sh\nhead -c 100000000 /dev/zero\nhead -c 1000000 /dev/zero >&2\n\
        echo ocf-exit-reason:tired >&2\nexit 1\n";
    lab.agent("printer", text, 0o755);
    assert_eq!(
        lab.stop("printer", 60_000).await,
        (ExecStatus::Done, 1, "tired".into())
    );
}

#[tokio::test]
async fn agents_that_cannot_be_run() {
    let mut lab = Lab::new();
    let dir = lab.dir.path().join("ocf/resource.d/test");
    let path = |name: &str| dir.join(name).display().to_string();
    let missing = format!("{}: No such file or directory", path("missing"));
    assert_eq!(
        lab.stop("missing", 5000).await,
        (ExecStatus::NotInstalled, 5, missing)
    );
    lab.agent("nointerp", "#!/no/such/sh\n", 0o755);
    let (status, rc, reason) = lab.stop("nointerp", 5000).await;
    assert_eq!((status, rc), (ExecStatus::NotInstalled, 5));
    assert!(
        reason.contains("interpreter in its first line is missing"),
        "{reason}"
    );
    lab.agent("noexec", "#!/bin/sh\n", 0o644);
    let denied = format!("{}: Permission denied", path("noexec"));
    assert_eq!(
        lab.stop("noexec", 5000).await,
        (ExecStatus::Error, 4, denied)
    );
    lab.agent("everybodys", "#!/bin/sh\n", 0o777);
    let (_, rc, reason) = lab.stop("everybodys", 5000).await;
    assert_eq!(rc, 4);
    assert!(reason.ends_with("chmod o-w it"), "{reason}");
    let (_, rc, reason) = lab.stop("../../../bin/true", 5000).await;
    assert!(
        rc == 5 && reason.contains("is not a name of an agent"),
        "{reason}"
    );
}

#[tokio::test]
async fn an_agent_that_is_killed_and_one_that_leaves_a_fork() {
    let mut lab = Lab::new();
    lab.agent("suicidal", "#!/bin/sh\nkill -SEGV $$\n", 0o755);
    let reason = "Resource agent interrupted by Segmentation fault signal".to_owned();
    assert_eq!(
        lab.stop("suicidal", 5000).await,
        (ExecStatus::Error, 1, reason)
    );
    lab.agent("forker", "#!/bin/sh\nsleep 3 &\nexit 0\n", 0o755);
    let before = Mono::now();
    assert_eq!(
        lab.stop("forker", 20_000).await,
        (ExecStatus::Done, 0, String::new())
    );
    assert!(Mono::now().since(before) < 2000);
}

#[tokio::test]
async fn nothing_is_started_before_the_guard_knows_how_to_stop_it() {
    let answers = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = Arc::clone(&answers);
    let guard = Guard(Arc::new(move |_, _| told.load(Ordering::SeqCst)));
    let mut lab = Lab::guarded_by(Some(guard));
    let text = "#!/bin/sh\n[ \"$1\" = start ] && touch \"$HA_RSCTMP/started\"\nexit 0\n";
    lab.agent("plain", text, 0o755);
    lab.order("plain", "r_start_0", 60_000).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let started = lab.dir.path().join("rsctmp/started");
    assert!(!started.exists(), "started without a guard");
    answers.store(true, Ordering::SeqCst);
    while !started.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_hanging_monitor() {
    let mut lab = Lab::new();
    let text = "#!/bin/sh\n[ \"$1\" = monitor ] && sleep 1000\nexit 0\n";
    lab.agent("slow", text, 0o755);
    lab.order("slow", "r_monitor_1000", 60_000).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = Mono::now();
    assert_eq!(lab.stop("slow", 5000).await.1, 0);
    assert!(Mono::now().since(before) < 2000);
}

#[tokio::test]
async fn everything_left_of_a_resource_can_be_killed() {
    let mut lab = Lab::new();
    let text =
        "#!/bin/sh\nsetsid sleep 1000 </dev/null >/dev/null 2>&1 &\necho $! > \"$HA_RSCTMP/pid\"\n";
    lab.agent("daemon", text, 0o755);
    assert_eq!(lab.stop("daemon", 5000).await.1, 0);
    let pid = std::fs::read_to_string(lab.dir.path().join("rsctmp/pid")).expect("written");
    let alive = |pid: &str| {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z")
    };
    assert!(alive(&pid), "the daemon runs on after its agent");
    lab.handle.send(Event::KillAll).await;
    for _ in 0..100 {
        if !alive(&pid) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("process {pid} survived");
}

#[tokio::test]
async fn agents_of_a_crashed_daemon_are_found() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let register = dir.path().to_path_buf();
    let mut spec = process::Spec::new("/bin/sleep").arg("1000");
    spec.register = Some(register.clone());
    let run = tokio::spawn(process::run(spec, std::future::pending()));
    let written = || {
        let mut entries = std::fs::read_dir(&register).expect("readable").flatten();
        entries.any(|entry| entry.metadata().is_ok_and(|meta| meta.len() > 0))
    };
    while !written() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(process::kill_leftovers(&register), 1);
    let ended = run.await.expect("no panic");
    assert_eq!(ended.how, How::Signaled(9));
    // A number that is another process's by now is left alone.
    std::fs::write(register.join(std::process::id().to_string()), "1").expect("writable");
    assert_eq!(process::kill_leftovers(&register), 0);
}
