//! The shell as people have it: at a terminal, with a key for every letter, and with the completions of other shells.
//!
//! `script` of util-linux gives a terminal to a program whose keys come from a pipe. What is not on this machine is
//! skipped, and said to be.

#![expect(
    clippy::disallowed_methods,
    reason = "the test starts the program as a person does"
)]

#[expect(dead_code, reason = "others need more of it")]
mod one_node;

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use one_node::{Node, SYSTOLE as PROGRAM};

const CIB: &str = r#"<cib crm_feature_set="3.19.0" validate-with="pacemaker-4.0" admin_epoch="0" epoch="1" num_updates="0">
<configuration><crm_config><cluster_property_set id="o"><nvpair id="f" name="fencing-enabled" value="false"/></cluster_property_set></crm_config>
<nodes><node id="1" uname="n1"/><node id="2" uname="n2"/></nodes>
<resources><primitive id="vip" class="ocf" provider="systole" type="Dummy"/></resources><constraints/></configuration>
<status><node_state id="1" uname="n1" in_ccm="true" crmd="online" join="member" expected="member"/></status></cib>"#;

fn is_there(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_err() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{program} is not on this machine, and nothing may be skipped here"
        );
        eprintln!("skipped: {program} is not on this machine");
    }
    found.is_ok()
}

/// A folder with a CIB, and `crm` by its name.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("cib.xml"), CIB).expect("written");
        std::os::unix::fs::symlink(PROGRAM, folder.path().join("crm")).expect("linked");
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn cib(&self) -> PathBuf {
        self.path().join("cib.xml")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.cib()).expect("readable")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env_remove("CIB_shadow")
            .env_remove("NO_COLOR")
            .env("PATH", format!("{}:{path}", self.path().display()))
            .env("CIB_file", self.cib())
            .env("HOME", self.path())
            .env("TERM", "xterm")
            .current_dir(self.path());
        command
    }
}

/// A person at a terminal of 80 columns.
struct Person {
    child: Child,
    keys: ChildStdin,
    seen: Arc<Mutex<String>>,
}

impl Person {
    fn at(place: &Place, line: &str) -> Self {
        Self::sits_down(place.command("script"), line)
    }

    /// The same before a running cluster.
    fn at_node(node: &Node, line: &str) -> Self {
        let mut command = Command::new("script");
        command
            .env_remove("CIB_shadow")
            .env_remove("CIB_file")
            .env("SYSTOLE_DIR", node.home())
            .env("HOME", node.dir.path())
            .env("TERM", "xterm");
        Self::sits_down(command, line)
    }

    fn sits_down(mut script: Command, line: &str) -> Self {
        let mut child = script
            .args(["-q", "-e", "-c"])
            // Whoever runs the tests in the background has Ctrl-C ignored, and that is passed on.
            .arg(format!(
                "stty cols 80 rows 24; exec env --default-signal=INT {line}"
            ))
            .arg("/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("script runs");
        let keys = child.stdin.take().expect("piped");
        let mut screen = child.stdout.take().expect("piped");
        let seen = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                shared.lock().expect("no panic while held").push_str(&text);
            }
        });
        Self { child, keys, seen }
    }

    /// Wait until the screen shows this, and forget what came before.
    fn sees(&mut self, wanted: &str) -> String {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let mut seen = self.seen.lock().expect("no panic while held");
            if let Some(at) = seen.find(wanted) {
                let rest = seen.split_off(at + wanted.len());
                return std::mem::replace(&mut seen, rest);
            }
            assert!(Instant::now() < end, "no {wanted:?} in {seen:?}");
            drop(seen);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("a terminal");
        self.keys.flush().expect("a terminal");
    }

    /// What is left on the screen when the program has ended.
    fn leaves(mut self) -> String {
        let end = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait().expect("a child").is_none() {
            if Instant::now() > end {
                // It is our own, and would stay for ever.
                self.child.kill().expect("it is ours");
                panic!("the shell does not end");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(200));
        self.seen.lock().expect("no panic while held").clone()
    }
}

#[test]
fn the_prompt_has_levels_and_completes() {
    if !is_there("script") {
        return;
    }
    let place = Place::new();
    let mut person = Person::at(&place, "crm");
    person.sees("crm(live)#");
    person.types("res\t");
    person.sees("crm(live)# resource");
    person.types("\r");
    person.sees("crm(resource)#");
    person.types("status v\t\r");
    person.sees("vip");
    person.types("up\r");
    person.sees("crm(live)#");
    person.types("history\r");
    person.sees("crm(history)#");
    person.types("up\r");
    person.sees("crm(live)#");
    // The beginning of a word is enough where no other begins so.
    person.types("conf\r");
    person.sees("crm(configure)#");
    person.types("property no-quo\t");
    person.sees("no-quorum-policy=");
    person.types("ignore\r");
    person.sees("crm(configure)*#");
    person.types("primitive x ocf:a:b meta tar\t");
    person.sees("target-role=");
    person.types("\x03");
    person.sees("crm(configure)*#");
    person.types("quit\r");
    person.sees("drop them (n)?");
    person.types("n\r");
    person.leaves();
}

#[test]
fn ctrl_c_drops_the_line_and_the_question_and_changes_nothing() {
    if !is_there("script") {
        return;
    }
    let place = Place::new();
    let before = place.text();
    let mut person = Person::at(&place, "crm configure");
    person.sees("crm(configure)#");
    person.types("primitive half ocf:systole:Dum");
    person.sees("Dum");
    person.types("\x03");
    person.sees("crm(configure)#");
    person.types("primitive whole ocf:systole:Dummy\r");
    // The star says that something waits for a commit.
    person.sees("crm(configure)*#");
    assert_eq!(place.text(), before);
    person.types("commit\r");
    person.sees("[y/N]");
    person.types("\x03");
    // Nor is what waits for a commit lost by that, or by an answer to something else.
    person.sees("crm(configure)*#");
    person.types("up\r");
    person.sees("drop them (n)?");
    person.types("show\r");
    person.sees("drop them (n)?");
    person.types("\x03");
    person.sees("crm(configure)*#");
    person.types("quit\r");
    person.sees("drop them (n)?");
    person.types("n\r");
    person.leaves();
    assert_eq!(
        place.text(),
        before,
        "a question that nobody answered changed something"
    );
}

#[test]
fn what_was_answered_with_yes_is_done() {
    if !is_there("script") {
        return;
    }
    let place = Place::new();
    let mut person = Person::at(&place, "crm configure");
    person.sees("crm(configure)#");
    person.types("primitive whole ocf:systole:Dummy\r");
    person.sees("crm(configure)*#");
    person.types("commit\r");
    person.sees("[y/N]");
    person.types("y\r");
    person.sees("crm(configure)#");
    person.types("quit\r");
    person.leaves();
    assert!(place.text().contains("id=\"whole\""));
}

#[test]
fn waiting_shows_what_is_left_and_ctrl_c_ends_nothing_else() {
    if !is_there("script") {
        return;
    }
    let node = Node::start();
    node.ok("crm configure property fencing-enabled=false");
    let slow = "primitive slow ocf:systole:Dummy params op_sleep=2";
    let mut person = Person::at_node(&node, &format!("{PROGRAM} crm -w configure {slow}"));
    // What is under way is said on one line, which is gone in the end.
    person.sees("waiting ");
    person.sees("start of slow on n1");
    let left = person.leaves();
    assert!(left.ends_with("\r\x1b[K"), "{left:?}");
    assert!(node.ok("crm resource status slow").contains("n1"));
    // Where nobody looks on, nothing is said.
    let piped = node.run(&["crm", "-w", "resource", "meta", "slow", "set", "a", "b"]);
    assert!(piped.stderr.is_empty(), "{piped:?}");

    // A restart that nobody waits for any longer does not leave it stopped.
    let mut person = Person::at_node(&node, &format!("{PROGRAM} crm resource restart slow"));
    person.sees("waiting ");
    person.types("\x03");
    let told = person.leaves();
    assert!(told.contains("not waited for any longer"), "{told:?}");
    assert!(!node.ok("cibadmin -Ql").contains("target-role"));

    // At a prompt, the prompt comes back.
    let mut person = Person::at_node(&node, &format!("{PROGRAM} crm"));
    person.sees("crm(live)#");
    person.types("resource restart slow\r");
    person.sees("waiting ");
    person.types("\x03");
    person.sees("not waited for any longer");
    person.sees("crm(live)#");
    person.types("quit\r");
    person.leaves();
}

#[test]
fn troubles_are_broken_at_a_terminal_and_whole_in_a_pipe() {
    let place = Place::new();
    let failed = r#"<lrm id="1"><lrm_resources><lrm_resource id="vip" class="ocf" provider="systole" type="Dummy">
<lrm_rsc_op id="vip_last_failure_0" operation_key="vip_start_0" operation="start" crm-debug-origin="x" crm_feature_set="3.19.0"
 transition-key="1:1:0:00000000-0000-0000-0000-000000000000" transition-magic="0:1;1:1:0:00000000-0000-0000-0000-000000000000"
 exit-reason="the address is used by another machine on this network, which answered from 00:11:22:33:44:55" on_node="n1"
 call-id="3" rc-code="1" op-status="0" interval="0" last-rc-change="1700000000" exec-time="5" queue-time="0"/>
</lrm_resource></lrm_resources></lrm></node_state>"#;
    let cib = CIB.replace(
        "expected=\"member\"/>",
        &format!("expected=\"member\">{failed}"),
    );
    std::fs::write(place.cib(), cib).expect("written");
    let piped = place.command("crm").arg("status").output();
    let piped = String::from_utf8(piped.expect("it runs").stdout).expect("text");
    let long = piped
        .lines()
        .find(|line| line.contains("00:11:22:33:44:55"));
    assert!(long.is_some_and(|line| line.contains("vip")), "{piped}");
    assert!(!piped.contains('\x1b'), "{piped:?}");
    if !is_there("script") {
        return;
    }
    let screen = Person::at(&place, "crm status").leaves();
    let shown = |text: &str| {
        text.split_whitespace()
            .filter(|word| !word.contains(':'))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(&screen), shown(&piped), "nothing is lost");
    for line in screen.lines() {
        let width = line.trim_end().chars().count();
        assert!(width <= 80, "{width} columns: {line:?}");
    }
}

#[test]
fn colours_are_for_terminals() {
    let place = Place::new();
    let piped = place
        .command("crm")
        .args(["configure", "nonsense"])
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&piped.stderr);
    assert!(!told.is_empty() && !told.contains('\x1b'), "{told:?}");
    if !is_there("script") {
        return;
    }
    let mut person = Person::at(&place, "crm");
    person.sees("crm(live)#");
    person.types("nonsense\r");
    person.sees("\x1b[31m");
    person.types("quit\r");
    person.leaves();
    let mut person = Person::at(&place, "env NO_COLOR=1 crm");
    person.sees("crm(live)#");
    person.types("nonsense\r");
    let told = person.sees("unrecognized");
    assert!(!told.contains("\x1b[31m"), "{told:?}");
    person.types("quit\r");
    person.leaves();
}

#[test]
fn lists_fit_into_eighty_columns() {
    if !is_there("script") {
        return;
    }
    let place = Place::new();
    for line in ["crm configure show", "crm resource status", "crm node show"] {
        let screen = Person::at(&place, line).leaves();
        assert!(
            screen.contains("vip") || screen.contains("n1"),
            "{line}: {screen}"
        );
        for shown in screen.lines() {
            let width = shown.trim_end().chars().count();
            assert!(width <= 80, "{line}: {width} columns: {shown:?}");
        }
    }
}

/// Completions for a shell, in a file.
fn completions(place: &Place, shell: &str) -> PathBuf {
    let out = place
        .command(PROGRAM)
        .args(["completions", shell, "crm"])
        .output()
        .expect("it runs");
    assert!(out.status.success());
    let file = place.path().join(format!("completions.{shell}"));
    std::fs::write(&file, out.stdout).expect("written");
    file
}

#[test]
fn fish_completes_commands_and_names() {
    if !is_there("fish") {
        return;
    }
    let place = Place::new();
    let file = completions(&place, "fish");
    let complete = |line: &str| {
        let script = format!("source {}; complete -C '{line}'", file.display());
        let out = place
            .command("fish")
            .args(["--no-config", "-c", &script])
            .output()
            .expect("fish runs");
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let has = |text: &str, word: &str| {
        let mut words = text
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        words.any(|found| found == word)
    };
    assert!(has(&complete("crm res"), "resource"));
    let moves = complete("crm resource m");
    assert!(has(&moves, "move") && !has(&moves, "stop"), "{moves}");
    assert!(has(&complete("crm resource stop "), "vip"));
    // What is only answered with other words is not offered.
    let offered = place.command("crm").arg("--complete").output();
    let offered = String::from_utf8_lossy(&offered.expect("it runs").stdout).into_owned();
    assert!(
        has(&offered, "resource") && !has(&offered, "corosync"),
        "{offered}"
    );
}

#[test]
fn zsh_completes_commands_and_names() {
    if !is_there("zsh") || !is_there("script") {
        return;
    }
    let place = Place::new();
    let file = completions(&place, "zsh");
    let mut person = Person::at(&place, "env TERM=dumb zsh -f -i");
    person.types(&format!(
        "PS1='READY'; autoload -U compinit; compinit -u -D; source {}; echo DO''NE\r",
        file.display()
    ));
    person.sees("DONE");
    person.types("crm resou\t");
    person.sees("crm resource");
    person.types("mo\t");
    person.sees("move");
    person.types("vi\t");
    person.sees("vip");
    // Ctrl-U: the line goes, and zsh takes the next word for a command of its own.
    person.types("\x15exit\r");
    person.leaves();
}
