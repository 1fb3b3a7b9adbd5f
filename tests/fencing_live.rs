//! Three real daemons on loopback: one dies, is fenced, and comes back. What the others remember of it, and whom they
//! alert.

#![expect(
    clippy::disallowed_methods,
    reason = "the test starts the programs as a person does"
)]

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SYSTOLE: &str = env!("CARGO_BIN_EXE_systole");

/// What fence_hook calls: a switch that always works, and a note of what it was asked for.
const HOOK: &str = "#!/bin/sh\necho \"$1 $2\" >> \"$3\"\n";

/// Everybody writes to a file of their own what they are told.
const TELL: &str = "#!/bin/sh\n\
    echo \"$CRM_alert_kind $CRM_alert_node $CRM_alert_task $CRM_alert_rc $CRM_alert_desc\" \
    >> \"$CRM_alert_recipient.$(basename \"$SYSTOLE_DIR\")\"\n";

struct Cluster {
    dir: tempfile::TempDir,
    daemons: Vec<Child>,
}

impl Cluster {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // Alert agents run as another user where there is one for that.
        mode(dir.path(), 0o777);
        let mut cluster = Cluster {
            dir,
            daemons: Vec::new(),
        };
        let addresses: Vec<String> = free_addresses(3);
        let init = ["init", "--name", "n1", "--address", &addresses[0]];
        cluster.ok(1, &init);
        cluster.daemon(1);
        cluster.eventually("the first node is ready", |c| {
            c.run(1, &["crm", "cluster", "wait", "5"]).0
        });
        for n in 2..=3 {
            let token = cluster.ok(1, &["token"]);
            let (name, address) = (format!("n{n}"), addresses[n - 1].clone());
            let join = ["join", "--name", &name, "--address", &address, token.trim()];
            cluster.ok(n, &join);
            cluster.daemon(n);
            cluster.eventually("the node is there", |c| {
                let text = c.run(1, &["crm", "status"]).1;
                text.lines()
                    .any(|line| line.contains("Online:") && line.contains(&name))
            });
        }
        cluster
    }

    fn home(&self, n: usize) -> PathBuf {
        self.dir.path().join(format!("n{n}"))
    }

    fn daemon(&mut self, n: usize) {
        let log = self.dir.path().join(format!("log{n}"));
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .expect("a file");
        let child = Command::new(SYSTOLE)
            .args(["daemon", "--profile", "normal", "--dir"])
            .arg(self.home(n))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("the program starts");
        if self.daemons.len() < n {
            self.daemons.push(child);
        } else {
            self.daemons[n - 1] = child;
        }
    }

    fn run(&self, n: usize, words: &[&str]) -> (bool, String) {
        let output = Command::new(SYSTOLE)
            .args(words)
            .env("SYSTOLE_DIR", self.home(n))
            .env_remove("CIB_file")
            .output()
            .expect("the program starts");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    fn ok(&self, n: usize, words: &[&str]) -> String {
        let (ok, text) = self.run(n, words);
        assert!(ok, "{words:?} on n{n}: {text}\n{}", self.logs());
        text
    }

    fn say(&self, n: usize, line: &str) -> String {
        self.ok(n, &line.split(' ').collect::<Vec<_>>())
    }

    fn eventually(&self, what: &str, true_at_last: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !true_at_last(self) {
            assert!(
                Instant::now() < end,
                "not within 60 s: {what}\n{}",
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    fn script(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        mode(&path, 0o755);
        path.display().to_string()
    }

    /// The last words of all daemons.
    fn logs(&self) -> String {
        let log = |n: &usize| {
            let text = self.file(&format!("log{n}"));
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(25)..];
            format!("--- n{n}\n{}", last.join("\n"))
        };
        [1, 2, 3].iter().map(log).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let homes = [1, 2, 3].map(|n| self.home(n).display().to_string());
        let guards: Vec<_> = guards_of(&homes);
        for daemon in &mut self.daemons {
            // It is the end of the test, whatever state it is in.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        for guard in guards {
            let _ = rustix::process::kill_process(guard, rustix::process::Signal::KILL);
        }
    }
}

/// The guard processes that watch the daemons of these directories.
fn guards_of(homes: &[String]) -> Vec<rustix::process::Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            let mut words = line.split('\0');
            let guard = words.clone().any(|word| word == "guard");
            guard && words.any(|word| homes.iter().any(|home| home == word))
        })
        .filter_map(rustix::process::Pid::from_raw)
        .collect()
}

fn mode(path: &Path, mode: u32) {
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, mode).expect("it is ours");
}

/// Addresses whose next port is free, too: leases go there.
fn free_addresses(count: usize) -> Vec<String> {
    let mut held = Vec::new();
    let mut found = Vec::new();
    while found.len() < count {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let mut next = address;
        next.set_port(address.port().saturating_add(1));
        if let (Ok(tcp), Ok(udp)) = (TcpListener::bind(next), UdpSocket::bind(next)) {
            found.push(address.to_string());
            held.push((tcp, udp));
        }
    }
    found
}

#[test]
fn what_was_fenced_is_known_everywhere_and_told() {
    let mut cluster = Cluster::start();
    let hook = cluster.script("hook", HOOK);
    let tell = cluster.script("tell", TELL);
    let (asked, heard) = (cluster.dir.path().join("asked"), "heard");
    cluster.say(
        1,
        &format!(
            "crm configure alert a {tell} to {}",
            cluster.dir.path().join(heard).display()
        ),
    );
    cluster.say(
        1,
        &format!(
            "crm configure primitive power stonith:fence_hook params hook={hook} hook_arg={} \
             pcmk_host_check=none",
            asked.display()
        ),
    );
    cluster.say(1, "crm -w configure property stonith-enabled=true");
    let on = |name: &str, n: usize, c: &Cluster| c.file(&format!("{name}.n{n}"));
    for n in 1..=3 {
        cluster.eventually("the device is registered", |c| {
            c.say(n, "stonith_admin -L")
                .contains("1 fence device found")
        });
    }
    assert!(
        cluster
            .say(2, "stonith_admin -l n3")
            .starts_with("power\n1 fence device found")
    );
    assert_eq!(cluster.say(2, "stonith_admin -H *"), "0 events found\n");

    // It dies without a word, and is fenced.
    cluster.daemons[2].kill().expect("it is ours");
    cluster.daemons[2].wait().expect("it is ours");
    for n in 1..=2 {
        cluster.eventually("the history has the fencing", |c| {
            let text = c.say(n, "stonith_admin -H n3");
            text.starts_with("reboot of n3 by n")
                && text.contains(" for coordinator@n")
                && text.contains(" last successful at ")
                && text.ends_with("\n1 event found\n")
        });
        cluster.eventually("alerts were told", |c| {
            let text = on(heard, n, c);
            let fenced = text
                .lines()
                .any(|line| line.starts_with("fencing n3 reboot 0 Operation reboot of n3 by n"));
            fenced && text.contains("node n3   lost\n")
        });
    }
    assert!(cluster.file("asked").contains("reboot n3\n"));
    let xml = cluster.say(2, "crm_mon -1 --output-as=xml");
    assert!(
        xml.contains("<fence_event action=\"reboot\" target=\"n3\" client=\"coordinator\""),
        "{xml}"
    );
    let text = cluster.say(2, "crm_mon -1 -m2");
    assert!(
        text.contains("Fencing History:\n  * reboot of n3 by n"),
        "{text}"
    );
    assert!(!cluster.say(2, "crm_mon -1").contains("Fencing"));

    // It comes back, learns what was done to it, and the others hear that it is there.
    cluster.daemon(3);
    cluster.eventually("the node is told of its fencing", |c| {
        let text = c.run(3, &["stonith_admin", "-H", "*", "-V"]).1;
        text.contains("reboot of n3 by n")
    });
    for n in 1..=2 {
        cluster.eventually("alerts were told", |c| {
            on(heard, n, c).contains("node n3   member\n")
        });
    }
    // What happened before it was there it alerts nobody of.
    assert!(
        !on(heard, 3, &cluster).contains("fencing"),
        "{}",
        on(heard, 3, &cluster)
    );

    // By hand, from a node that does not lead, too: everybody's devices count.
    let leader = (1..=3)
        .find(|n| {
            cluster
                .say(1, "crm status")
                .contains(&format!("Current DC: n{n} "))
        })
        .expect("somebody leads");
    let (follower, target) = ((leader % 3) + 1, ((leader + 1) % 3) + 1);
    let (ok, said) = cluster.run(follower, &["stonith_admin", "-U", &format!("n{target}")]);
    assert!(ok, "{said}\n{}", cluster.logs());
    cluster.eventually("the history has it everywhere", |c| {
        (1..=3).all(|n| c.say(n, "stonith_admin -H * -V").contains("unfencing of n"))
    });
    cluster.say(follower, "stonith_admin -H * --cleanup");
    cluster.eventually("nobody remembers", |c| {
        (1..=3).all(|n| c.say(n, "stonith_admin -H * -V") == "0 events found\n")
    });
}
