//! One node with an agent of bad habits, and what a refusal looks like.

use super::*;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_systole");
/// Nobody, on every Linux.
pub(crate) const NOBODY: u32 = 65534;

/// An agent that does as its parameter `mode` says when it is started.
pub(crate) const AGENT: &str = r#"#!/bin/sh
state="$HA_RSCTMP/$OCF_RESOURCE_INSTANCE.state"
case "$1" in
meta-data) cat <<X
<?xml version="1.0"?>
<resource-agent name="Odd" version="1.0"><version>1.1</version>
<parameters>
<parameter name="needed" required="1"><content type="string"/></parameter>
<parameter name="mode"><content type="string"/></parameter>
</parameters>
<actions><action name="start" timeout="20s"/><action name="stop" timeout="20s"/>
<action name="monitor" timeout="20s" interval="10s"/><action name="meta-data" timeout="5s"/></actions>
</resource-agent>
X
;;
start)
  case "$OCF_RESKEY_mode" in
  hang) sleep 3600 & sleep 3600 ;;
  flood) head -c 100000000 /dev/zero | tr '\0' x; head -c 100000000 /dev/zero | tr '\0' y >&2 ;;
  all-is-lost) echo "ocf-exit-reason:all is lost" >&2; exit 255 ;;
  esac
  mkdir -p "$HA_RSCTMP"; : > "$state" ;;
stop) rm -f "$state" ;;
monitor) [ -e "$state" ] || exit 7 ;;
*) exit 3 ;;
esac
"#;

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: i32,
    pub(crate) out: String,
    /// Standard error, its lines joined: messages are wrapped where they are long.
    pub(crate) said: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn fine(self) -> Self {
        assert_eq!(self.exit, 0, "{self:?}");
        self
    }

    /// Refused with this exit code, and with a message in which all of these occur.
    #[track_caller]
    pub(crate) fn refused(self, exit: i32, words: &[&str]) {
        assert_eq!(self.exit, exit, "{self:?}");
        for word in words {
            assert!(self.said.contains(word), "{word:?} is not said: {self:?}");
        }
    }
}

pub(crate) fn ran(command: &mut Command) -> Ran {
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("the program can be run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let words: Vec<&str> = said
        .split_whitespace()
        .filter(|word| *word != "|")
        .collect();
    Ran {
        exit: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        said: words.join(" "),
    }
}

#[expect(clippy::disallowed_methods, reason = "a test is its own caller")]
pub(crate) fn systole(words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(words).env_remove("SYSTOLE_DIR");
    for name in ["CIB_file", "CIB_shadow", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

#[expect(clippy::disallowed_methods, reason = "a test waits in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[track_caller]
pub(crate) fn wait_for<T>(what: &str, seconds: u64, mut look: impl FnMut() -> Option<T>) -> T {
    let until = now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < until, "waited {seconds} s in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A daemon that goes with this value, and its guard with it.
pub(crate) struct Node {
    pub(crate) dir: PathBuf,
    pub(crate) address: String,
    pub(crate) daemon: Child,
}

impl Node {
    pub(crate) fn start(top: &Path, cluster: &str) -> Self {
        let dir = top.join(cluster);
        let address = free_address();
        let name = shown(&dir);
        let words = [
            "init",
            "--dir",
            &name,
            "--name",
            "n1",
            "--address",
            &address,
        ];
        ran(systole(&words).args(["--cluster", cluster])).fine();
        let log = fs::File::create(top.join(format!("{cluster}.log"))).expect("writable");
        let daemon = systole(&["daemon", "--dir", &name, "--die-with-parent"])
            .env("OCF_ROOT", top.join("ocf"))
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the daemon can be started");
        let node = Self {
            dir,
            address,
            daemon,
        };
        wait_for("the daemon answers", 20, || {
            (node.tool(&["crm", "node", "show"]).exit == 0).then_some(())
        });
        node
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = systole(words);
        let ocf_root = self.dir.with_file_name("ocf");
        command
            .env("SYSTOLE_DIR", &self.dir)
            .env("OCF_ROOT", ocf_root);
        command
    }

    pub(crate) fn tool(&self, words: &[&str]) -> Ran {
        ran(&mut self.command(words))
    }

    pub(crate) fn cib(&self) -> Element {
        let text = self.tool(&["cibadmin", "-Q"]).fine().out;
        systole::xml::parse(text, &Limits::CIB).expect("a CIB")
    }

    pub(crate) fn version(&self) -> [String; 3] {
        let cib = self.cib();
        ["admin_epoch", "epoch", "num_updates"].map(|name| cib.get(name).unwrap_or("").to_owned())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.with_extension("log")).unwrap_or_default()
    }

    pub(crate) fn settle(&self) {
        self.tool(&["crm", "cluster", "wait", "20"]).fine();
    }

    /// The result of an operation as it stands in the status.
    pub(crate) fn result(&self, operation: &str) -> Option<Element> {
        let cib = self.cib();
        let mut all = cib.child("status")?.descendants();
        all.find(|e| e.is("lrm_rsc_op") && e.id() == Some(operation))
            .cloned()
    }

    /// None of these may change anything.
    #[track_caller]
    pub(crate) fn refuse(&self, cases: &[(&[&str], i32, &[&str])]) {
        self.settle();
        let before = self.version();
        for (words, exit, said) in cases {
            self.tool(words).refused(*exit, said);
        }
        assert_eq!(before, self.version(), "something was changed");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself, which a trial has noticed then.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        for (pid, _) in
            processes(|line, _| line.contains("guard") && line.contains(&shown(&self.dir)))
        {
            kill(pid);
        }
        for (pid, _) in
            processes(|_, env| env.contains(&format!("SYSTOLE_DIR={}", shown(&self.dir))))
        {
            kill(pid);
        }
    }
}

pub(crate) fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// Processes whose command line and environment are so.
pub(crate) fn processes(wanted: impl Fn(&str, &str) -> bool) -> Vec<(i32, String)> {
    let read = |pid: &str, file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let me = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in entries {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let line = read(&pid, "cmdline");
        if let Ok(number) = pid.parse()
            && pid != me
            && wanted(&line, &read(&pid, "environ"))
        {
            found.push((number, line));
        }
    }
    found
}

pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// An address with two free ports, one behind the other.
pub(crate) fn free_address() -> String {
    wait_for("two free ports", 10, || {
        let first = TcpListener::bind("127.0.0.1:0").ok()?;
        let port = first.local_addr().ok()?.port();
        TcpListener::bind(("127.0.0.1", port.checked_add(1)?)).ok()?;
        Some(format!("127.0.0.1:{port}"))
    })
}

/// Says that something can't be checked on this machine. A failure where all must be there.
pub(crate) fn skip(why: &str) {
    let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!in_ci, "CI=true, and this can't be checked: {why}");
    println!("SKIPPED: {why}");
}

/// All trials' surroundings.
pub(crate) struct Lab {
    pub(crate) node: Node,
    pub(crate) top: PathBuf,
}

impl Lab {
    pub(crate) fn build(top: &Path) -> Self {
        let agents = top.join("ocf/resource.d/test");
        fs::create_dir_all(&agents).expect("writable");
        fs::write(agents.join("Odd"), AGENT).expect("writable");
        set_mode(&agents.join("Odd"), 0o755);
        let node = Node::start(top, "main");
        let top = top.to_owned();
        node.tool(&["crm", "configure", "property", "stonith-enabled=false"])
            .fine();
        for id in ["a", "b"] {
            node.tool(&[
                "crm",
                "configure",
                "primitive",
                id,
                "ocf:test:Odd",
                "params",
                "needed=1",
            ])
            .fine();
        }
        wait_for("the first resources run", 20, || {
            ["a_last_0", "b_last_0"]
                .iter()
                .all(|id| {
                    node.result(id)
                        .is_some_and(|e| e.get("operation") == Some("start"))
                })
                .then_some(())
        });
        Self { node, top }
    }

    /// A file for a tool.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.top.join(name);
        fs::write(&path, text).expect("writable");
        shown(&path)
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}
