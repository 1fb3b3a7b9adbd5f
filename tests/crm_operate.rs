//! Changes looked at before they are made, and taken back after: against one real daemon on loopback.

#![expect(
    clippy::disallowed_methods,
    reason = "the test starts the program as a person does"
)]

mod one_node;

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use one_node::{Node, SYSTOLE};

impl Node {
    /// The daemon ends as if its machine had.
    fn kill(&mut self) {
        self.daemon.kill().expect("it runs");
        self.daemon.wait().expect("it ends");
    }

    /// The daemon leaves, unless it is gone already, and starts again.
    fn restart(&mut self) {
        if self.daemon.try_wait().expect("a child").is_none() {
            let pid = rustix::process::Pid::from_child(&self.daemon);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
            self.daemon.wait().expect("it ends");
        }
        self.daemon = one_node::spawn(&self.home());
        self.wait_until_ready();
    }

    /// A command that asks something.
    fn ask(&self, line: &str) -> Asked {
        let child = Command::new(SYSTOLE)
            .args(line.split(' '))
            .env("SYSTOLE_DIR", self.home())
            .env_remove("CIB_file")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let said = String::new();
        Asked { child, said }
    }

    /// Exit code and all that it says when it gets this answer.
    fn answered(&self, line: &str, answer: &str) -> (i32, String) {
        let mut asked = self.ask(line);
        asked.wait_for("Do it?");
        asked.answer(answer)
    }
}

/// A command that waits for an answer.
struct Asked {
    child: Child,
    said: String,
}

impl Asked {
    fn wait_for(&mut self, text: &str) {
        let out = self.child.stdout.as_mut().expect("piped");
        while !self.said.contains(text) {
            let mut byte = [0];
            assert_eq!(out.read(&mut byte).expect("readable"), 1, "{}", self.said);
            self.said.push(char::from(byte[0]));
        }
    }

    fn answer(mut self, answer: &str) -> (i32, String) {
        let mut input = self.child.stdin.take().expect("piped");
        input.write_all(answer.as_bytes()).expect("it listens");
        drop(input);
        let ended = self.child.wait_with_output().expect("it ends");
        let mut said = self.said;
        said.push_str(&String::from_utf8_lossy(&ended.stdout));
        said.push_str(&String::from_utf8_lossy(&ended.stderr));
        (ended.status.code().expect("not killed"), said)
    }
}

/// Waits until this is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < end, "{what}: not within 20 s");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn values(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn the_history_names_who_and_why_and_leads_back() {
    let mut node = Node::start();
    node.ok("crm configure property stonith-enabled=false");
    node.ok(
        "crm -w --comment first configure primitive d ocf:systole:Dummy op monitor interval=10s",
    );
    node.ok("crm -w resource stop d");
    // What is no configuration is no change of it.
    node.ok("crm_attribute -t status -N n1 -n x -v 1");

    let log = values(&node.ok("crm cib log --json"));
    let log = log.as_array().expect("a list");
    let newest = log.last().expect("changes");
    assert_eq!(newest["objects"][0]["id"], "d");
    assert_eq!(newest["objects"][0]["how"], "changed");
    assert_eq!(newest["client"], "crm");
    assert_eq!(newest["node"], "n1");
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(newest["uid"], u64::from(uid));
    let added = &log[log.len() - 2];
    assert_eq!(added["comment"], "first");
    let number = added["number"].as_u64().expect("a number");
    let line = node.ok("crm cib log -n 2");
    assert!(line.contains("+d  # first"), "{line}");

    let shown = node.ok(&format!("crm cib show {number}"));
    assert!(shown.contains("+primitive d ocf:systole:Dummy"), "{shown}");
    let diff = node.ok(&format!("crm cib diff {number}"));
    assert!(diff.contains("target-role=Stopped"), "{diff}");
    let (code, told) = node.refused("crm cib show 9999");
    assert!(code == 105 && told.contains("crm cib log"), "{code} {told}");

    // The whole daemon starts again: nothing is forgotten.
    let before = node.ok("crm cib log --json");
    node.restart();
    assert_eq!(node.ok("crm cib log --json"), before);

    let dry = node.ok(&format!("crm cib rollback {number} --dry-run"));
    assert!(dry.contains("Start d (n1)"), "{dry}");
    assert!(node.ok("crm resource status d").contains("NOT running"));
    node.ok(&format!("crm -w cib rollback {number} --yes"));
    assert!(node.ok("crm resource status d").contains("running on: n1"));
    let line = node.ok("crm cib log -n 1");
    assert!(
        line.contains(&format!("# rolled back to change {number}")),
        "{line}"
    );
}

#[test]
fn a_change_is_shown_before_and_refused_when_it_is_not_safe() {
    let node = Node::start();
    node.ok("crm configure property stonith-enabled=false");
    node.ok("crm -w configure primitive d ocf:systole:Dummy op monitor interval=10s");
    let file = node.dir.path().join("wanted.crm");
    std::fs::write(
        &file,
        "property stonith-enabled=false\nprimitive e ocf:systole:Dummy\n",
    )
    .expect("a file");
    let apply = format!("crm apply -f {}", file.display());

    let dry = values(&node.ok(&format!("{apply} --dry-run --json")));
    assert_eq!(dry["guard_rails"][0]["kind"], "deletes-running");
    assert!(dry["summary"].to_string().contains("Start e (n1)"), "{dry}");
    assert_eq!(dry["interrupted"][0]["resource"], "d");
    let (code, told) = node.refused(&format!("{apply} --safe"));
    assert!(code == 107 && told.contains("deletes d"), "{code} {told}");
    let (code, told) = node.answered(&format!("{apply} --ask"), "n\n");
    assert!(
        code == 1 && told.contains("deletes d, which runs on n1"),
        "{code} {told}"
    );
    assert!(node.ok("crm resource status d").contains("running on: n1"));

    // Somebody else is faster.
    let mut asked = node.ask(&format!("{apply} --ask"));
    asked.wait_for("Do it?");
    node.ok("crm -w configure primitive f ocf:systole:Dummy");
    let (code, told) = asked.answer("y\n");
    assert!(
        code == 103 && told.contains("nothing was changed"),
        "{code} {told}"
    );

    // In a file of commands, a commit takes the same words, and asks nobody.
    let script = node.dir.path().join("script.crm");
    let lines =
        "configure\nprimitive g ocf:systole:Dummy\ncommit --dry-run\nup\nconfigure commit force\n";
    std::fs::write(&script, lines).expect("a file");
    let told = node.ok(&format!("crm -w -f {}", script.display()));
    assert!(told.contains("Start g (n1)"), "{told}");
    assert!(node.ok("crm configure show").contains("primitive g"));

    let (code, told) = node.answered(&format!("{apply} --ask"), "y\n");
    assert_eq!(code, 0, "{told}");
    node.ok("crm_resource --wait");
    assert!(node.ok("crm resource status e").contains("running on: n1"));
    assert!(!node.ok("crm configure show").contains("primitive d"));
    assert!(
        node.ok(&format!("{apply} --dry-run"))
            .contains("nothing changes")
    );
}

#[test]
fn what_nobody_confirms_is_taken_back_also_by_a_daemon_that_started_meanwhile() {
    let mut node = Node::start();
    node.ok("crm configure property stonith-enabled=false");
    let file = node.dir.path().join("d.crm");
    std::fs::write(&file, "primitive d ocf:systole:Dummy\n").expect("a file");
    let load = format!("crm configure load update {}", file.display());

    let told = node.ok(&format!("{load} --confirm-within 60s"));
    assert!(told.contains("crm configure confirm"), "{told}");
    let status = node.ok("crm status");
    assert!(status.contains("ON TRIAL: change "), "{status}");
    let (code, told) = node.refused(&format!("{load} --confirm-within 0s"));
    assert!(code == 64 && told.contains("is no time"), "{code} {told}");
    node.ok("crm configure confirm");
    assert!(!node.ok("crm status").contains("ON TRIAL"));
    let (code, _) = node.refused("crm configure confirm");
    assert_eq!(code, 105);

    std::fs::write(&file, "primitive e ocf:systole:Dummy\n").expect("a file");
    node.ok(&format!("{load} --confirm-within 60s"));
    node.ok("crm configure revert");
    assert!(!node.ok("crm configure show").contains("primitive e"));

    node.ok(&format!("{load} --confirm-within 8s"));
    node.kill();
    node.restart();
    assert!(node.ok("crm configure show").contains("primitive e"));
    assert!(node.ok("crm status").contains("ON TRIAL"));
    until("it is taken back", || {
        !node.ok("crm configure show").contains("primitive e")
    });
    assert!(node.ok("crm configure show").contains("primitive d"));
    let line = node.ok("crm cib log -n 1");
    assert!(line.contains("nobody confirmed it in time"), "{line}");
}

#[test]
fn a_ban_ends_by_itself_and_says_who_asked_for_it() {
    let node = Node::start();
    node.ok("crm configure property stonith-enabled=false");
    node.ok("crm -w configure primitive d ocf:systole:Dummy op monitor interval=10s");
    node.ok("crm -w resource ban d n1 for 6s");
    assert!(node.ok("crm resource status d").contains("NOT running"));
    let status = node.ok("crm status");
    let told = "d: kept off n1 (cli-ban-d-on-n1), by ";
    assert!(
        status.contains(told) && status.contains(", ends in "),
        "{status}"
    );
    until("the ban is over", || {
        node.ok("crm resource status d").contains("running on: n1")
    });
    until("it is removed", || {
        !node.ok("crm configure show").contains("cli-ban")
    });
    assert!(!node.ok("crm status").contains("Temporary Placement"));

    node.ok("crm configure property move-lifetime=2h");
    node.ok("crm resource ban d n1");
    let moves = values(&node.ok("crm status --json"));
    let left = moves["moves"][0]["remaining_s"].as_i64().expect("a time");
    assert!((7000..=7200).contains(&left), "{left}");
    node.ok("crm resource ban d n1 forever");
    let moves = values(&node.ok("crm status --json"));
    assert!(moves["moves"][0]["remaining_s"].is_null());
}

#[test]
fn a_drill_tells_what_is_lost_and_is_done_only_when_it_is_meant() {
    let node = Node::start();
    node.ok("crm configure property stonith-enabled=false");
    node.ok("crm -w configure primitive d ocf:systole:Dummy op monitor interval=10s");

    let told = node.run(&["crm", "drill", "--all-single-failures", "--json"]);
    assert_eq!(told.status.code(), Some(113), "{told:?}");
    let told = values(&String::from_utf8_lossy(&told.stdout));
    assert_eq!(told[0]["failure"], "n1");
    assert_eq!(told[0]["quorate"], false);
    assert_eq!(told[0]["resources"][0]["verdict"], "lost");
    let (code, told) = node.refused("crm drill --node n2");
    assert!(
        code == 68 && told.contains("the nodes are: n1"),
        "{code} {told}"
    );
    let (code, told) = node.refused("crm drill --site a");
    assert!(
        code == 105 && told.contains("crm node attribute"),
        "{code} {told}"
    );

    let (code, told) = node.refused("crm drill --node n1 --really");
    assert!(
        code == 107 && told.contains("d would be lost"),
        "{code} {told}"
    );
    assert!(node.ok("crm resource status d").contains("running on: n1"));
    let told = node.ok("crm -F drill --node n1 --really");
    assert!(
        told.contains("d  IT DID NOT COME BACK (expected for good)"),
        "{told}"
    );
    // It was let in again, and all is as before.
    assert!(node.ok("crm resource status d").contains("running on: n1"));
}

#[test]
fn a_doctor_finds_what_the_machine_and_the_configuration_lack() {
    let node = Node::start();
    node.ok("crm configure property stonith-enabled=false");
    assert_eq!(node.run(&["crm", "doctor"]).status.code(), Some(0));
    node.ok("crm -w configure primitive d ocf:systole:Dummy");
    node.ok("crm -F configure primitive x ocf:nobody:Nothing op monitor interval=10s");
    let told = node.run(&["crm", "doctor", "--json"]);
    assert_eq!(told.status.code(), Some(2), "{told:?}");
    let told = values(&String::from_utf8_lossy(&told.stdout));
    let found = |kind: &str| {
        let all = told.as_array().expect("a list").iter();
        let of: Vec<_> = all.filter(|it| it["kind"] == kind).collect();
        of.first()
            .map(|it| (it["object"].clone(), it["command"].clone()))
    };
    let (object, _) = found("no-monitor").expect("d has none");
    assert_eq!(object, "d");
    let (object, command) = found("agent-missing").expect("there is no such agent");
    assert_eq!(object, "ocf:nobody:Nothing");
    assert_eq!(command, "install it on n1");
    assert!(found("no-guard").is_none() && found("certificate").is_none());
}
