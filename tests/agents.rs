//! Agents as they are, under our executor: our own ones, and Debian's `resource-agents` unchanged.
//!
//! What this machine cannot do is skipped aloud; with `CI=true` it fails instead.

use std::path::{Path, PathBuf};
use std::time::Duration;

use systole::executor::agent::Place;
use systole::executor::shell::run_agent;
use systole::executor::{Invocation, Outcome};
use systole::process::{self, How};
use systole::terms::{AgentName, NodeName};

/// A place for agents in a directory that goes away with it.
struct Lab {
    place: Place,
    dir: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let root = dir.path();
        systole::agents::install(&root.join("own"), Path::new("/bin/true")).expect("writable");
        for sub in ["tools", "rsctmp", "data"] {
            std::fs::create_dir(root.join(sub)).expect("writable");
        }
        let place = Place {
            node: NodeName::from("lab"),
            ocf_root: PathBuf::from("/usr/lib/ocf"),
            own_agents: root.join("own"),
            tools: root.join("tools"),
            rsctmp: root.join("rsctmp"),
            secrets: root.join("secrets"),
            fence_agents: vec![PathBuf::from("/usr/sbin")],
            bus: None,
            units: PathBuf::from("/nonexistent"),
            extra_env: Vec::new(),
        };
        Self { place, dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir
            .path()
            .join("data")
            .join(name)
            .display()
            .to_string()
    }

    async fn act(&self, agent: &str, task: &str, params: &[(&str, &str)]) -> Outcome {
        let agent: AgentName = agent.parse().expect("an agent");
        let timeout = [("CRM_meta_timeout", "20000")];
        let params = params.iter().chain(&timeout);
        let call = Invocation {
            rsc: format!("my-{}", agent.kind).as_str().into(),
            agent,
            task: task.to_owned(),
            params: params
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            timeout_ms: 20_000,
            kill_process_only: false,
        };
        run_agent(&self.place, call, None, None, std::future::pending()).await
    }

    async fn expect(&self, agent: &str, task: &str, params: &[(&str, &str)], rc: i32) {
        let outcome = self.act(agent, task, params).await;
        assert_eq!(outcome.rc.0, rc, "{agent} {task}: {outcome:?}");
    }

    /// The life that every agent must be able to live, twice, with actions repeated.
    async fn life(&self, agent: &str, params: &[(&str, &str)]) {
        for _ in 0..2 {
            for (task, rc) in [
                ("monitor", 7),
                ("stop", 0),
                ("start", 0),
                ("start", 0),
                ("monitor", 0),
            ] {
                self.expect(agent, task, params, rc).await;
            }
            self.expect(agent, "stop", params, 0).await;
            self.expect(agent, "stop", params, 0).await;
        }
        self.expect(agent, "monitor", params, 7).await;
    }

    /// A fence agent: lines on standard input, exit status.
    async fn fence(&self, agent: &str, input: &str) -> i32 {
        let program = self.place.own_agents.join("fence").join(agent);
        let mut spec = process::Spec::new(program).env("PATH", "/usr/bin:/bin");
        spec.stdin = Some(input.as_bytes().to_vec());
        let ended = process::run(
            spec.timeout(Duration::from_secs(20)),
            std::future::pending(),
        )
        .await;
        match ended.how {
            How::Exited(code) => code,
            other => panic!("{agent}: {other:?}"),
        }
    }
}

async fn command(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let program = Path::new("/usr/bin").join(words.next().expect("a program"));
    let program = if program.exists() {
        program
    } else {
        swap_sbin(&program)
    };
    let mut spec = process::Spec::new(program).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    spec.args = words.map(Into::into).collect();
    let ended = process::run(
        spec.timeout(Duration::from_secs(60)),
        std::future::pending(),
    )
    .await;
    if ended.how != How::Exited(0) {
        eprintln!("{line}: {:?} {}", ended.how, ended.stderr.text());
    }
    ended.how == How::Exited(0)
}

fn swap_sbin(program: &Path) -> PathBuf {
    Path::new("/usr/sbin").join(program.file_name().expect("a name"))
}

/// Says aloud that something is not tested here.
fn skip(what: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "cannot be skipped in CI: {what}"
    );
    eprintln!("SKIPPED: {what}");
}

/// Runs a test in its own network and mount namespace, on a thread of its own. Agents are forked by that thread.
fn in_namespaces(test: impl AsyncFnOnce(Lab) + Send + 'static) {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    if !nix::unistd::geteuid().is_root() {
        return skip("namespaces need root");
    }
    let thread = std::thread::spawn(move || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS) {
            return skip(&format!("namespaces cannot be made here: {error}"));
        }
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("own namespace");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            assert!(command("ip link set lo up").await);
            test(Lab::new()).await;
        });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn installed(file: &str) -> bool {
    let there = Path::new(file).exists();
    if !there {
        skip(&format!("{file} is not installed"));
    }
    there
}

const DEBIAN: &str = "/usr/lib/ocf/resource.d/heartbeat";

#[tokio::test]
async fn own_dummy() {
    let lab = Lab::new();
    lab.life("ocf:systole:Dummy", &[]).await;
    let outcome = lab
        .act("ocf:systole:Dummy", "start", &[("fail", "start")])
        .await;
    assert_eq!(outcome.rc.0, 1);
    let reason = "action 'start' fails because parameter fail says so";
    assert_eq!(outcome.reason.as_deref(), Some(reason));
    lab.expect("ocf:systole:Dummy", "promote", &[], 3).await;
}

#[tokio::test]
async fn own_agents_stand_in_for_missing_ones() {
    let mut lab = Lab::new();
    lab.place.ocf_root = lab.dir.path().join("nothing");
    lab.life("ocf:heartbeat:Dummy", &[]).await;
    lab.expect("ocf:heartbeat:Unheard", "monitor", &[], 5).await;
}

#[tokio::test]
async fn own_stateful() {
    let lab = Lab::new();
    let agent = "ocf:systole:Stateful";
    for (task, rc) in [
        ("monitor", 7),
        ("promote", 7),
        ("start", 0),
        ("monitor", 0),
        ("promote", 0),
        ("monitor", 8),
        ("demote", 0),
        ("monitor", 0),
        ("stop", 0),
        ("monitor", 7),
    ] {
        lab.expect(agent, task, &[], rc).await;
    }
}

#[tokio::test]
async fn own_process() {
    let lab = Lab::new();
    let agent = "ocf:systole:process";
    lab.life(agent, &[("command", "/bin/sleep"), ("args", "1000")])
        .await;
    let outcome = lab.act(agent, "start", &[("command", "/bin/false")]).await;
    let reason = outcome.reason.unwrap_or_default();
    assert!(
        outcome.rc.0 == 1 && reason.starts_with("'/bin/false' ended with 1"),
        "{reason}"
    );
    lab.expect(agent, "start", &[("command", "sleep")], 6).await;
    lab.expect(agent, "start", &[("command", "/no/such")], 5)
        .await;
}

#[tokio::test]
async fn own_counter() {
    let lab = Lab::new();
    let agent = "ocf:systole:counter";
    let file = lab.path("count");
    let params = [("file", file.as_str()), ("period", "0.02")];
    lab.life(agent, &params).await;
    let count = || {
        let text = std::fs::read_to_string(&file).expect("it counted");
        text.split(' ')
            .next()
            .and_then(|word| word.parse::<u64>().ok())
            .expect("a number")
    };
    let before = count();
    lab.expect(agent, "start", &params, 0).await;
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if count() > before + 3 {
            break;
        }
    }
    assert!(
        count() > before + 3,
        "it goes on where it was: {before} -> {}",
        count()
    );
    // Somebody else writes: that is a conflict, and the monitor sees it.
    // As a whole: between two halves of a write the counter would find an empty file, and say so.
    let whole = lab.path("count.new");
    std::fs::write(&whole, "5 somebody/1\n").expect("writable");
    std::fs::rename(&whole, &file).expect("renamed");
    for _ in 0..200 {
        if lab.act(agent, "monitor", &params).await.rc.0 == 7 {
            let conflict = std::fs::read_to_string(format!("{file}.conflict"));
            assert!(conflict.expect("it says so").contains("somebody/1"));
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("two writers were not noticed");
}

/// A start that fails leaves nothing behind that the stop after it would not find.
#[tokio::test]
async fn own_counter_counts_nothing_when_its_name_cannot_be_written() {
    let lab = Lab::new();
    let agent = "ocf:systole:counter";
    let file = lab.path("count");
    let params = [("file", file.as_str()), ("period", "0.02")];
    lab.expect(agent, "start", &params, 0).await;
    let entries = std::fs::read_dir(&lab.place.rsctmp).expect("a folder");
    let mut files = entries.flatten().map(|entry| entry.path());
    let pid_file = files
        .find(|path| path.extension().is_some_and(|end| end == "pid"))
        .expect("its name is written down");
    lab.expect(agent, "stop", &params, 0).await;
    // Started and stopped at once it may not have counted yet.
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    // As on a full disk: it can be opened, and takes nothing.
    std::os::unix::fs::symlink("/dev/full", &pid_file).expect("a link");
    lab.expect(agent, "start", &params, 1).await;
    lab.expect(agent, "stop", &params, 0).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let after = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(after, before);
}

#[tokio::test]
async fn own_portcheck() {
    let lab = Lab::new();
    let agent = "ocf:systole:portcheck";
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port().to_string();
    let params = [
        ("port", port.as_str()),
        ("rise", "2"),
        ("pause", "0.01"),
        ("fall", "2"),
    ];
    lab.expect(agent, "monitor", &params, 7).await;
    lab.expect(agent, "start", &params, 0).await;
    lab.expect(agent, "monitor", &params, 0).await;
    drop(listener);
    lab.expect(agent, "monitor", &params, 0).await;
    let outcome = lab.act(agent, "monitor", &params).await;
    assert_eq!(outcome.rc.0, 1);
    assert!(
        outcome
            .reason
            .expect("it says why")
            .contains("2 checks in a row")
    );
    lab.expect(agent, "stop", &params, 0).await;
    lab.expect(agent, "start", &[("port", "x")], 6).await;
}

#[tokio::test]
async fn own_fence_agents() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new();
    let hook = lab.path("hook");
    std::fs::write(
        &hook,
        "#!/bin/sh\necho \"$@\" >> \"$0.log\"\n[ \"$2\" = good ]\n",
    )
    .expect("ours");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("ours");
    let off = |node: &str| format!("action=off\nnodename={node}\nhook={hook}\n");
    assert_eq!(lab.fence("fence_hook", &off("good")).await, 0);
    assert_eq!(lab.fence("fence_hook", &off("bad")).await, 1);
    assert_eq!(
        lab.fence("fence_hook", "action=off\nnodename=x\nhook=rm\n")
            .await,
        2
    );
    assert_eq!(lab.fence("fence_hook", "action=metadata\n").await, 0);
    let log = std::fs::read_to_string(format!("{hook}.log")).expect("called");
    assert_eq!(log, "off good\noff bad\n");

    let dir = lab.path("");
    let spec = process::Spec::new("/bin/sleep").arg("1000");
    let victim = tokio::spawn(process::run(spec, std::future::pending()));
    let pid = loop {
        // The one child of ours that sleeps for so long.
        let own = std::process::id().to_string();
        let found = std::fs::read_dir("/proc")
            .expect("proc")
            .flatten()
            .find_map(|entry| {
                let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
                let (name, rest) = stat.split_once(") ")?;
                let parent = rest.split(' ').nth(1)?;
                (name.ends_with("(sleep") && parent == own).then(|| entry.file_name())
            });
        if let Some(pid) = found {
            break pid.to_string_lossy().into_owned();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    std::fs::write(lab.path("h1"), format!("{pid}\n")).expect("writable");
    let input = |action: &str, host: &str| format!("action={action}\nplug={host}\ndir={dir}\n");
    assert_eq!(lab.fence("fence_pids", &input("status", "h1")).await, 0);
    assert_eq!(lab.fence("fence_pids", &input("off", "h1")).await, 0);
    assert_eq!(victim.await.expect("no panic").how, How::Signaled(9));
    assert_eq!(lab.fence("fence_pids", &input("status", "h1")).await, 2);
    assert_eq!(
        lab.fence("fence_pids", &input("off", "h2")).await,
        1,
        "an unknown host is not fenced"
    );
    assert_eq!(lab.fence("fence_pids", &input("off", "../h1")).await, 2);
}

#[tokio::test]
async fn debian_dummy() {
    if installed(&format!("{DEBIAN}/Dummy")) {
        let lab = Lab::new();
        let state = lab.path("dummy.state");
        lab.life("ocf:heartbeat:Dummy", &[("state", &state)]).await;
    }
}

#[test]
fn debian_ipaddr2() {
    if !installed(&format!("{DEBIAN}/IPaddr2")) {
        return;
    }
    in_namespaces(async |lab: Lab| {
        for line in [
            "ip link add d0 type veth peer name d1",
            "ip addr add 10.9.0.1/24 dev d0",
            "ip link set d1 up",
            "ip link set d0 up",
        ] {
            if !command(line).await {
                return skip("this kernel has no pairs of links");
            }
        }
        let params = [("ip", "10.9.0.100"), ("cidr_netmask", "24"), ("nic", "d0")];
        lab.life("ocf:heartbeat:IPaddr2", &params).await;
    });
}

#[test]
fn debian_filesystem() {
    if !installed(&format!("{DEBIAN}/Filesystem")) || !installed("/usr/sbin/modprobe") {
        return;
    }
    in_namespaces(async |lab: Lab| {
        let directory = lab.path("mnt");
        std::fs::create_dir(&directory).expect("writable");
        let params = [
            ("device", "tmpfs"),
            ("directory", directory.as_str()),
            ("fstype", "tmpfs"),
        ];
        lab.life("ocf:heartbeat:Filesystem", &params).await;
    });
}

#[test]
fn debian_nginx() {
    if !installed(&format!("{DEBIAN}/nginx")) || !installed("/usr/sbin/nginx") {
        return;
    }
    in_namespaces(async |lab: Lab| {
        let data = lab.dir.path().join("data");
        let data = data.display();
        let config = lab.path("nginx.conf");
        let text = format!(
            "pid {data}/nginx.pid;\nerror_log {data}/error.log;\nevents {{}}\nhttp {{\n\
             access_log off;\nserver {{ listen 127.0.0.1:8099; location / {{ return 200 'ok'; }} }} }}\n"
        );
        std::fs::write(&config, text).expect("writable");
        let params = [
            ("configfile", config.as_str()),
            ("httpd", "/usr/sbin/nginx"),
            ("port", "8099"),
        ];
        lab.life("ocf:heartbeat:nginx", &params).await;
    });
}

#[test]
fn debian_pgsql() {
    let Some(bin) = postgres_bin() else {
        return skip("PostgreSQL is not installed");
    };
    if !installed(&format!("{DEBIAN}/pgsql")) {
        return;
    }
    in_namespaces(async move |lab: Lab| {
        let data = lab.path("pg");
        let open = format!("chmod 755 {}", lab.dir.path().display());
        assert!(command(&open).await);
        assert!(command(&format!("mkdir {data}")).await);
        assert!(command(&format!("chown postgres:postgres {data} {}", lab.path(""))).await);
        let initdb = format!("{bin}/initdb -A trust -N {data}");
        let words = ["su", "postgres", "-c", initdb.as_str()];
        assert!(run_words(&words.map(str::to_owned)).await);
        let config = std::path::Path::new(&data).join("postgresql.conf");
        let text = std::fs::read_to_string(&config).expect("initdb wrote it");
        let sockets = format!(
            "unix_socket_directories = '{}'\n",
            lab.path("").trim_end_matches('/')
        );
        std::fs::write(&config, text + &sockets).expect("ours");
        let (ctl, psql) = (format!("{bin}/pg_ctl"), format!("{bin}/psql"));
        let (log, socket) = (lab.path("pg.log"), lab.path(""));
        let params = [
            ("pgctl", ctl.as_str()),
            ("psql", &psql),
            ("pgdata", &data),
            ("pgdba", "postgres"),
            ("pgport", "54329"),
            ("logfile", &log),
            ("socketdir", socket.trim_end_matches('/')),
        ];
        lab.life("ocf:heartbeat:pgsql", &params).await;
    });
}

async fn run_words(words: &[String]) -> bool {
    let program = Path::new("/usr/bin").join(&words[0]);
    let mut spec = process::Spec::new(program).env("PATH", "/usr/bin:/bin");
    spec.args = words[1..].iter().map(Into::into).collect();
    let ended = process::run(
        spec.timeout(Duration::from_secs(60)),
        std::future::pending(),
    )
    .await;
    if ended.how != How::Exited(0) {
        eprintln!(
            "{words:?}: {:?} {} {}",
            ended.how,
            ended.stdout.text(),
            ended.stderr.text()
        );
    }
    ended.how == How::Exited(0)
}

fn postgres_bin() -> Option<String> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let bins = versions
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists());
    bins.max().map(|bin| bin.display().to_string())
}

/// A program that is called as one of the cluster's tools, and writes down how.
fn written_down(path: &Path, log: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let script = format!("#!/bin/sh\necho \"$*\" >> {}\n", log.display());
    std::fs::write(path, script).expect("writable");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("ours");
}

fn lines(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn own_check_keeps_an_attribute() {
    let lab = Lab::new();
    let agent = "ocf:systole:check";
    let log = lab.dir.path().join("log");
    written_down(&lab.place.tools.join("attrd_updater"), &log);
    let file = lab.path("a file");
    std::fs::write(&file, "").expect("writable");
    let command = format!("test -e \"{file}\"");
    let params = [
        ("command", command.as_str()),
        ("attribute", "good"),
        ("rise", "2"),
        ("fall", "2"),
        ("CRM_meta_interval", "2000"),
    ];
    lab.expect(agent, "monitor", &params, 7).await;
    lab.expect(agent, "start", &params, 0).await;
    std::fs::remove_file(&file).expect("it is there");
    for _ in 0..3 {
        // What it is told is no failure of its own.
        lab.expect(agent, "monitor", &params, 0).await;
    }
    std::fs::write(&file, "").expect("writable");
    for _ in 0..2 {
        lab.expect(agent, "monitor", &params, 0).await;
    }
    lab.expect(agent, "stop", &params, 0).await;
    let said: Vec<String> = [1, 1, 0, 0, 0, 1]
        .iter()
        .map(|word| format!("-n good -U {word}"))
        .collect();
    let mut wanted = said;
    wanted.push("-n good -D".to_owned());
    assert_eq!(lines(&log), wanted);
    lab.expect(agent, "start", &[("command", "true"), ("fall", "0")], 6)
        .await;
    lab.expect(agent, "start", &[("rise", "1")], 6).await;
}

#[tokio::test]
async fn own_notify_calls_what_keepalived_would_call() {
    let lab = Lab::new();
    let log = lab.dir.path().join("log");
    let told = lab.dir.path().join("told");
    written_down(&told, &log);
    let told = told.display().to_string();
    let call = async |events: &[(&str, &str)]| {
        let program = lab.place.own_agents.join("alert/alert_notify");
        let mut spec = process::Spec::new(program)
            .env("PATH", "/usr/bin:/bin")
            .env("resources", "ip-1 ip-2")
            .env("instance", "VI 1")
            .env("on_master", format!("{told} came \"a b\""))
            .env("on_fault", format!("{told} fault"))
            .env("on_any", told.clone())
            .env("CRM_alert_kind", "resource")
            .env("CRM_alert_target_rc", "0");
        for (name, value) in events {
            spec = spec.env(format!("CRM_alert_{name}"), *value);
        }
        let ended = process::run(
            spec.timeout(Duration::from_secs(20)),
            std::future::pending(),
        )
        .await;
        assert_eq!(ended.how, How::Exited(0), "{ended:?}");
    };
    call(&[("rsc", "ip-1"), ("task", "start"), ("rc", "0")]).await;
    call(&[("rsc", "other"), ("task", "start"), ("rc", "0")]).await;
    call(&[("kind", "node"), ("node", "n")]).await;
    assert!(
        lines(&log).is_empty(),
        "it is not there before its last resource is"
    );
    call(&[("rsc", "ip-2"), ("task", "start"), ("rc", "0")]).await;
    call(&[("rsc", "ip-1"), ("task", "monitor"), ("rc", "1")]).await;
    call(&[("rsc", "ip-2"), ("task", "stop"), ("rc", "0")]).await;
    assert_eq!(
        lines(&log),
        [
            "came a b",
            "INSTANCE VI 1 MASTER 0",
            "fault",
            "INSTANCE VI 1 FAULT 0",
            "INSTANCE VI 1 BACKUP 0",
        ]
    );
}
