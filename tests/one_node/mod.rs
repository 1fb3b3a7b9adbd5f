//! A cluster of one real daemon, for tests of what people see.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(crate) const SYSTOLE: &str = env!("CARGO_BIN_EXE_systole");

/// A cluster of one node; it ends with its test, its guard too.
pub(crate) struct Node {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) daemon: Child,
}

impl Node {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// One with this at the end of its `node.toml`.
    pub(crate) fn start_with(config: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port");
        let home = dir.path().join("n1");
        let init = Command::new(SYSTOLE)
            .args(["init", "--name", "n1", "--address", &address.to_string()])
            .env("SYSTOLE_DIR", &home)
            .output()
            .expect("the program starts");
        assert!(init.status.success(), "{init:?}");
        let file = home.join("node.toml");
        let written = std::fs::read_to_string(&file).expect("it was founded");
        std::fs::write(&file, written + config).expect("writable");
        let daemon = spawn(&home);
        let node = Node { dir, daemon };
        node.wait_until_ready();
        node
    }

    pub(crate) fn wait_until_ready(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.run(&["crm", "cluster", "wait", "5"]).status.success() {
            assert!(Instant::now() < end, "the daemon is not ready within 20 s");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("n1")
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        Command::new(SYSTOLE)
            .args(words)
            .env("SYSTOLE_DIR", self.home())
            .env_remove("CIB_file")
            .output()
            .expect("the program starts")
    }

    /// Standard output of a command that must succeed.
    pub(crate) fn ok(&self, line: &str) -> String {
        let output = self.run(&line.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Exit code and standard error of a command that must fail.
    pub(crate) fn refused(&self, line: &str) -> (i32, String) {
        let output = self.run(&line.split(' ').collect::<Vec<_>>());
        let code = output.status.code().expect("it was not killed");
        assert_ne!(code, 0, "{line}");
        (code, String::from_utf8(output.stderr).expect("text"))
    }
}

/// The daemon of this directory.
pub(crate) fn spawn(home: &Path) -> Child {
    Command::new(SYSTOLE)
        .args(["daemon", "--profile", "wan", "--dir"])
        .arg(home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

impl Drop for Node {
    fn drop(&mut self) {
        let guards = guards_of(&self.home());
        // It is the end of the test, whatever state it is in.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        for guard in guards {
            let _ = rustix::process::kill_process(guard, rustix::process::Signal::KILL);
        }
    }
}

/// The guard process that watches the daemon of this directory.
pub(crate) fn guards_of(home: &Path) -> Vec<rustix::process::Pid> {
    let home = home.display().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            words.contains(&b"guard".as_slice()) && words.contains(&home.as_bytes())
        })
        .filter_map(rustix::process::Pid::from_raw)
        .collect()
}
