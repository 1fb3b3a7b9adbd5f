//! End to end: what is wrong is refused by a real daemon, with an error that names object and cure, with the exit code
//! that says what kind of error it is, and with nothing changed. Agents that misbehave harm nobody but themselves.
//!
//! One daemon serves all trials, one after the other. What this machine cannot do is skipped aloud; with `CI=true` it
//! fails instead.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::type_complexity,
    missing_docs,
    reason = "a test program of its own: it prints its results and starts what it tests"
)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use systole::xml::{Element, Limits};

const PROGRAM: &str = env!("CARGO_BIN_EXE_systole");
/// Nobody, on every Linux.
const NOBODY: u32 = 65534;

/// An agent that does as its parameter `mode` says when it is started.
const AGENT: &str = r#"#!/bin/sh
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
struct Ran {
    exit: i32,
    out: String,
    /// Standard error, its lines joined: messages are wrapped where they are long.
    said: String,
}

impl Ran {
    #[track_caller]
    fn fine(self) -> Self {
        assert_eq!(self.exit, 0, "{self:?}");
        self
    }

    /// Refused with this exit code, and with a message in which all of these occur.
    #[track_caller]
    fn refused(self, exit: i32, words: &[&str]) {
        assert_eq!(self.exit, exit, "{self:?}");
        for word in words {
            assert!(self.said.contains(word), "{word:?} is not said: {self:?}");
        }
    }
}

fn ran(command: &mut Command) -> Ran {
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
fn systole(words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(words).env_remove("SYSTOLE_DIR");
    for name in ["CIB_file", "CIB_shadow", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

#[expect(clippy::disallowed_methods, reason = "a test waits in real time")]
fn now() -> Instant {
    Instant::now()
}

#[track_caller]
fn wait_for<T>(what: &str, seconds: u64, mut look: impl FnMut() -> Option<T>) -> T {
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
struct Node {
    dir: PathBuf,
    address: String,
    daemon: Child,
}

impl Node {
    fn start(top: &Path, cluster: &str) -> Self {
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

    fn command(&self, words: &[&str]) -> Command {
        let mut command = systole(words);
        let ocf_root = self.dir.with_file_name("ocf");
        command
            .env("SYSTOLE_DIR", &self.dir)
            .env("OCF_ROOT", ocf_root);
        command
    }

    fn tool(&self, words: &[&str]) -> Ran {
        ran(&mut self.command(words))
    }

    fn cib(&self) -> Element {
        let text = self.tool(&["cibadmin", "-Q"]).fine().out;
        systole::xml::parse(text, &Limits::CIB).expect("a CIB")
    }

    fn version(&self) -> [String; 3] {
        let cib = self.cib();
        ["admin_epoch", "epoch", "num_updates"].map(|name| cib.get(name).unwrap_or("").to_owned())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.with_extension("log")).unwrap_or_default()
    }

    fn settle(&self) {
        self.tool(&["crm", "cluster", "wait", "20"]).fine();
    }

    /// The result of an operation as it stands in the status.
    fn result(&self, operation: &str) -> Option<Element> {
        let cib = self.cib();
        let mut all = cib.child("status")?.descendants();
        all.find(|e| e.is("lrm_rsc_op") && e.id() == Some(operation))
            .cloned()
    }

    /// None of these may change anything.
    #[track_caller]
    fn refuse(&self, cases: &[(&[&str], i32, &[&str])]) {
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

fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// Processes whose command line and environment are so.
fn processes(wanted: impl Fn(&str, &str) -> bool) -> Vec<(i32, String)> {
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

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// An address with two free ports, one behind the other.
fn free_address() -> String {
    wait_for("two free ports", 10, || {
        let first = TcpListener::bind("127.0.0.1:0").ok()?;
        let port = first.local_addr().ok()?.port();
        TcpListener::bind(("127.0.0.1", port.checked_add(1)?)).ok()?;
        Some(format!("127.0.0.1:{port}"))
    })
}

/// Says that something can't be checked on this machine. A failure where all must be there.
fn skip(why: &str) {
    let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!in_ci, "CI=true, and this can't be checked: {why}");
    println!("SKIPPED: {why}");
}

/// All trials' surroundings.
struct Lab {
    node: Node,
    top: PathBuf,
}

impl Lab {
    fn build(top: &Path) -> Self {
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
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.top.join(name);
        fs::write(&path, text).expect("writable");
        shown(&path)
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

fn malformed_xml(lab: &Lab) {
    let file = lab.file("bad.xml", "<cib>\n  <configuration>\n    <oops\n</cib>");
    let load = ["crm", "configure", "load", "xml", "update", &file];
    let dtd = "<!DOCTYPE a [<!ENTITY x \"y\">]><primitive id=\"&x;\"/>";
    let nested = "<a>".repeat(3000);
    lab.node.refuse(&[
        (
            &["cibadmin", "-R", "-X", "<cib><configuration>"],
            65,
            &["line 1", "<configuration>", "not closed"],
        ),
        (
            &["cibadmin", "-R", "-x", &file],
            65,
            &["bad.xml", "line 3", "correct it"],
        ),
        (&load, 65, &["bad.xml", "line 3", "nothing was changed"]),
        (
            &["cibadmin", "-C", "-o", "resources", "-X", dtd],
            65,
            &["DOCTYPE", "remove"],
        ),
        (
            &["cibadmin", "-C", "-o", "resources", "-X", &nested],
            65,
            &["nested more than"],
        ),
        (
            &["cibadmin", "-R", "-x", "/does/not/exist"],
            66,
            &["/does/not/exist"],
        ),
    ]);
}

fn unknown_element(lab: &Lab) {
    let wrong = r#"<primitve id="x" class="ocf" provider="test" type="Odd"/>"#;
    let attribute = r#"<primitive id="x" clas="ocf" type="Odd"/>"#;
    let file = lab.file(
        "wrong.xml",
        "<resources>\n<primitive id=\"y\" class=\"ocf\" provider=\"test\" type=\"Odd\">\n<opps id=\"o\"/>\n</primitive>\n</resources>",
    );
    lab.node.refuse(&[
        (
            &["cibadmin", "-M", "-c", "-o", "resources", "-x", &file],
            78,
            &["<opps id=\"o\">", "wrong.xml", "in line 3"],
        ),
        (
            &["cibadmin", "-C", "-o", "resources", "-X", wrong],
            78,
            &["<primitve id=\"x\">", "only primitive"],
        ),
        (
            &["cibadmin", "-M", "-c", "-o", "resources", "-X", wrong],
            78,
            &["<primitve id=\"x\">", "only primitive"],
        ),
        (
            &["cibadmin", "-C", "-o", "resources", "-X", attribute],
            78,
            &["<primitive id=\"x\">", "clas"],
        ),
        (
            &["crm", "configure", "primitve", "x", "ocf:test:Odd"],
            64,
            &["primitve", "similar", "primitive"],
        ),
    ]);
}

fn duplicate_id(lab: &Lab) {
    let again = r#"<primitive id="a" class="ocf" provider="test" type="Odd"/>"#;
    let taken = r#"<rsc_location id="a" rsc="b" node="n1" score="1"/>"#;
    let primitive = [
        "crm",
        "configure",
        "primitive",
        "a",
        "ocf:test:Odd",
        "params",
        "needed=1",
    ];
    lab.node.refuse(&[
        (
            &["cibadmin", "-C", "-o", "resources", "-X", again],
            108,
            &["<primitive id=\"a\">", "choose another id"],
        ),
        (
            &["cibadmin", "-C", "-o", "constraints", "-X", taken],
            78,
            &["<rsc_location id=\"a\">", "<primitive>", "choose another"],
        ),
        (&primitive, 108, &["\"a\"", "choose another id"]),
        (
            &["crm", "configure", "location", "a", "b", "100:", "n1"],
            78,
            &["\"a\" is taken", "choose another id"],
        ),
    ]);
}

fn dangling_reference(lab: &Lab) {
    let location = r#"<rsc_location id="l" rsc="ghost" node="n1" score="1"/>"#;
    let order = r#"<rsc_order id="o" first="a" then="ghost"/>"#;
    lab.node.refuse(&[
        (
            &["cibadmin", "-C", "-o", "constraints", "-X", location],
            78,
            &["id=\"l\"", "rsc names `ghost`", "create it first"],
        ),
        (
            &["cibadmin", "-C", "-o", "constraints", "-X", order],
            78,
            &["id=\"o\"", "then names `ghost`", "create it first"],
        ),
        (
            &["crm", "configure", "location", "l", "ghost", "1:", "n1"],
            78,
            &[
                "l: there is no resource \"ghost\"",
                "create \"ghost\" first",
            ],
        ),
        (
            &["crm", "configure", "group", "g", "a", "ghost"],
            78,
            &[
                "g: there is no resource \"ghost\"",
                "create \"ghost\" first",
            ],
        ),
        (
            &["crm", "configure", "delete", "ghost"],
            105,
            &["\"ghost\""],
        ),
        (&["crm", "resource", "stop", "ghost"], 105, &["ghost"]),
        (&["crm", "node", "standby", "ghost"], 105, &["ghost"]),
    ]);
}

fn unknown_agent(lab: &Lab) {
    lab.node.refuse(&[
        (
            &[
                "crm",
                "configure",
                "primitive",
                "x",
                "ocf:test:Ood",
                "params",
                "needed=1",
            ],
            78,
            &[
                "x: there is no agent ocf:test:Ood",
                "did you mean ocf:test:Odd",
            ],
        ),
        (
            &["crm", "configure", "primitive", "x", "ocf:nobody:Odd"],
            78,
            &[
                "x: there is no agent ocf:nobody:Odd",
                "did you mean ocf:test:Odd",
            ],
        ),
    ]);
}

fn missing_parameter(lab: &Lab) {
    lab.node.refuse(&[
        (
            &["crm", "configure", "primitive", "x", "ocf:test:Odd"],
            78,
            &[
                "x: the agent ocf:test:Odd needs the parameter \"needed\"",
                "params needed=VALUE",
            ],
        ),
        (
            &["crm", "configure", "primitive", "x", "ocf:systole:IPaddr2"],
            78,
            &["x:", "\"ip\"", "params ip=VALUE"],
        ),
    ]);
}

fn colocation_with_itself(lab: &Lab) {
    let xml = r#"<rsc_colocation id="c" rsc="a" with-rsc="a" score="INFINITY"/>"#;
    lab.node.refuse(&[
        (
            &["crm", "configure", "colocation", "c", "inf:", "a", "a"],
            78,
            &["\"a\" is colocated with itself", "name another resource"],
        ),
        (
            &["cibadmin", "-C", "-o", "constraints", "-X", xml],
            78,
            &["<rsc_colocation id=\"c\">", "name another"],
        ),
        (
            &["crm", "configure", "order", "o", "a", "a"],
            78,
            &["\"a\" is ordered after itself", "name another resource"],
        ),
    ]);
}

fn bad_score(lab: &Lab) {
    let xml = r#"<rsc_location id="l" rsc="a" node="n1" score="lots"/>"#;
    lab.node.refuse(&[
        (
            &["crm", "configure", "location", "l", "a", "lots:", "n1"],
            78,
            &["\"lots:\" is no score", "whole number"],
        ),
        (
            &["crm", "configure", "colocation", "c", "lots:", "a", "b"],
            78,
            &["\"lots:\" is no score", "whole number"],
        ),
        (
            &["cibadmin", "-C", "-o", "constraints", "-X", xml],
            78,
            &["id=\"l\"", "`lots`", "INFINITY"],
        ),
    ]);
}

fn stale_patch(lab: &Lab) {
    let patch = r#"<diff format="2"><version><source admin_epoch="0" epoch="0" num_updates="0"/>
        <target admin_epoch="0" epoch="1" num_updates="0"/></version>
        <change operation="delete" path="/cib/configuration/resources/primitive[@id='a']"/></diff>"#;
    let old = r#"<cib admin_epoch="0" epoch="0" num_updates="0" validate-with="pacemaker-4.0"><configuration>
        <crm_config/><nodes/><resources/><constraints/></configuration><status/></cib>"#;
    let lost = r#"<diff format="2"><change operation="create" path="/cib/configuration/resources/group[@id='ghost']"
        position="0"><primitive id="x" class="ocf" provider="test" type="Odd"/></change></diff>"#;
    lab.node.refuse(&[
        (
            &["cibadmin", "--patch", "-X", patch],
            103,
            &["version 0.0.0", "older", "fetch the newest CIB"],
        ),
        (
            &["cibadmin", "-R", "-X", old],
            103,
            &["version 0.0.0", "older", "fetch the newest CIB"],
        ),
        (
            &["cibadmin", "--patch", "-X", lost],
            1,
            &["the patch does not fit", "ghost"],
        ),
    ]);
}

fn oversized_document(lab: &Lab) {
    let value = "v".repeat(33 << 20);
    let text = format!("<nvpair id=\"n\" name=\"n\" value=\"{value}\"/>");
    let large = lab.file("large.xml", &text);
    let huge = lab.file("huge.xml", &" ".repeat(65 << 20));
    let began = now();
    lab.node.refuse(&[
        (
            &["cibadmin", "-M", "-c", "-o", "crm_config", "-x", &large],
            65,
            &["at most 32 MiB", "smaller parts"],
        ),
        (
            &["cibadmin", "-M", "-c", "-o", "crm_config", "-x", &huge],
            65,
            &["huge.xml", "67108864"],
        ),
        (
            &["crm", "configure", "load", "xml", "update", &huge],
            65,
            &["huge.xml", "67108864"],
        ),
    ]);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

/// A large change that is allowed is no reason to stand still.
fn large_document(lab: &Lab) {
    let roles = |n: usize| {
        format!(
            "<acl_role id=\"role{n}\"><acl_permission id=\"role{n}-p\" kind=\"read\" xpath=\"/cib\"/></acl_role>"
        )
    };
    let text = format!("<acls>{}</acls>", (0..5000).map(roles).collect::<String>());
    let file = lab.file("many.xml", &text);
    let began = now();
    lab.node
        .tool(&["cibadmin", "-M", "-c", "-o", "acls", "-x", &file])
        .fine();
    lab.node
        .tool(&["cibadmin", "-M", "-c", "-o", "acls", "-x", &file])
        .fine();
    println!("5000 roles, twice: {:?}", began.elapsed());
    lab.node
        .tool(&["cibadmin", "--delete-all", "--force", "-A", "//acl_role"])
        .fine();
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

fn tokens(lab: &Lab) {
    let dir = shown(&lab.top.join("joining"));
    let address = free_address();
    let join = |token: &str| {
        let words = [
            "join",
            "--dir",
            &dir,
            "--name",
            "n2",
            "--address",
            &address,
            token,
        ];
        ran(&mut systole(&words))
    };
    let before = lab.node.version();
    let token = lab.node.tool(&["token"]).fine().out.trim().to_owned();
    let short = lab
        .node
        .tool(&["token", "--valid", "1s"])
        .fine()
        .out
        .trim()
        .to_owned();
    join("nonsense").refused(64, &["this is no join token", "systole token"]);
    join(&token[..token.len() / 2]).refused(64, &["this is no join token", "copy all of it"]);
    join(&forged(&token, |token| token["s"] = "0".repeat(64).into())).refused(
        4,
        &[
            "does not know the token",
            "make a new one with `systole token`",
        ],
    );
    join(&forged(&token, |token| token["f"] = "00".repeat(32).into()))
        .refused(102, &["certificate belongs to another cluster"]);
    std::thread::sleep(Duration::from_millis(2100));
    join(&short).refused(110, &["expired", "make a new one with `systole token`"]);
    // What a token says of its own age is not what counts.
    let longer = forged(&short, |token| {
        token["e"] = (token["e"].as_i64().unwrap() + 3600).into()
    });
    join(&longer).refused(110, &["expired", "make a new one with `systole token`"]);
    lab.node
        .tool(&["token", "--valid", "never"])
        .refused(64, &["`never`", "ms, s, min or h"]);
    assert!(!Path::new(&dir).join("node.toml").exists(), "nobody joined");
    let status = lab.node.tool(&["crm", "cluster", "status"]).fine().out;
    assert!(!status.contains("n2"), "{status}");
    assert_eq!(before, lab.node.version(), "something was changed");
}

/// The token with something else inside.
fn forged(token: &str, change: impl FnOnce(&mut serde_json::Value)) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (prefix, coded) = token.split_once('.').expect("a token has a prefix");
    let json = URL_SAFE_NO_PAD.decode(coded).expect("base64");
    let mut value = serde_json::from_slice(&json).expect("JSON");
    change(&mut value);
    let json = serde_json::to_vec(&value).expect("JSON");
    format!("{prefix}.{}", URL_SAFE_NO_PAD.encode(json))
}

/// A node of another cluster takes this one for a member of its own.
fn foreign_cluster(lab: &Lab) {
    let other = Node::start(&lab.top, "other");
    let before = lab.node.version();
    let token = other.tool(&["token", "--role", "learner"]).fine().out;
    let ghost = shown(&lab.top.join("ghost"));
    let words = [
        "join",
        "--dir",
        &ghost,
        "--name",
        "n2",
        "--address",
        &lab.node.address,
        token.trim(),
    ];
    ran(&mut systole(&words)).fine();
    wait_for("the foreign node is refused", 10, || {
        let line = lab.node.log();
        line.contains("belongs to another cluster").then_some(())
    });
    wait_for("the other node says why", 10, || {
        other
            .log()
            .contains("belongs to another cluster")
            .then_some(())
    });
    let status = other.tool(&["crm", "cluster", "status"]).fine().out;
    assert!(
        status.contains("n2") && status.contains("NOT reached"),
        "{status}"
    );
    assert_eq!(before, lab.node.version(), "something was changed");
}

fn wrong_user(lab: &Lab) {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can run a tool as another user");
    }
    let program = lab.top.join("systole");
    fs::copy(PROGRAM, &program).expect("room for a copy");
    set_mode(&program, 0o755);
    let as_nobody = |words: &[&str]| {
        let asked = lab.node.command(words);
        #[expect(clippy::disallowed_methods, reason = "a test is its own caller")]
        let mut command = Command::new(&program);
        command.args(words).uid(NOBODY).gid(NOBODY).current_dir("/");
        command.envs(
            asked
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        ran(&mut command)
    };
    let commands: [&[&str]; 6] = [
        &["crm", "status"],
        &["cibadmin", "-Q"],
        &["crm", "configure", "property", "maintenance-mode=true"],
        &["cibadmin", "-E", "--force"],
        &["token"],
        &["stop"],
    ];
    let before = lab.node.version();
    set_mode(&lab.top, 0o711);
    for words in commands {
        as_nobody(words).refused(4, &["permission denied", "uid 65534", "run it as root"]);
    }
    set_mode(&lab.node.dir, 0o711);
    for words in commands {
        as_nobody(words).refused(
            4,
            &[
                "permission denied",
                "uid 65534",
                "root, add the user to the group",
            ],
        );
    }
    set_mode(&lab.node.dir, 0o700);
    assert_eq!(before, lab.node.version(), "something was changed");
    assert!(
        lab.node.log().contains("permission denied for user"),
        "it is logged"
    );
}

fn misbehaving_agents(lab: &Lab) {
    for mode in ["hang", "flood", "all-is-lost"] {
        let needed = ["params", "needed=1", &format!("mode={mode}"), "op", "start"];
        let timeout = if mode == "hang" {
            "timeout=1s"
        } else {
            "timeout=15s"
        };
        let mut words = vec!["crm", "configure", "primitive", mode, "ocf:test:Odd"];
        words.extend(needed);
        words.push(timeout);
        lab.node.tool(&words).fine();
    }
    let failed = |id: &str| wait_for(id, 20, || lab.node.result(&format!("{id}_last_failure_0")));
    let hung = failed("hang");
    assert_eq!(
        (hung.get("op-status"), hung.get("rc-code")),
        (Some("2"), Some("1")),
        "{hung:?}"
    );
    let reason = hung.get("exit-reason").unwrap_or_default();
    assert!(reason.contains("did not complete within 1s"), "{reason}");
    let left = processes(|line, env| line.contains("sleep") && env.contains(&shown(&lab.node.dir)));
    assert!(left.is_empty(), "killed with all that it started: {left:?}");

    let lost = failed("all-is-lost");
    assert_eq!(lost.get("rc-code"), Some("255"), "{lost:?}");
    assert_eq!(lost.get("exit-reason"), Some("all is lost"));

    // Much output is no failure; it is not kept.
    wait_for("the talkative one runs", 20, || {
        let result = lab.node.result("flood_last_0")?;
        (result.get("operation") == Some("start") && result.get("rc-code") == Some("0"))
            .then_some(())
    });
    let status =
        fs::read_to_string(format!("/proc/{}/status", lab.node.daemon.id())).expect("it lives");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("Linux says so");
    let peak_mib = peak
        .trim()
        .trim_end_matches("kB")
        .trim()
        .parse::<u64>()
        .expect("a number")
        >> 10;
    println!("the daemon's peak after 200 MB of output: {peak_mib} MiB");
    assert!(peak_mib < 200, "{peak_mib} MiB");

    // The cluster goes on.
    lab.node
        .tool(&[
            "crm",
            "configure",
            "primitive",
            "next",
            "ocf:test:Odd",
            "params",
            "needed=1",
        ])
        .fine();
    wait_for("another resource is started", 20, || {
        let result = lab.node.result("next_last_0")?;
        (result.get("operation") == Some("start")).then_some(())
    });
    lab.node.settle();
    let status = lab.node.tool(&["crm", "status"]).fine().out;
    for words in [
        "hang start on n1",
        "Timed out",
        "all-is-lost start on n1",
        "all is lost",
    ] {
        assert!(status.contains(words), "{words}: {status}");
    }
}

/// Every command tells what it is for, with an example.
fn help(_: &Lab) {
    let told = |words: &[&str]| {
        let mut all = words.to_vec();
        all.push("--help");
        let help = ran(&mut systole(&all)).fine().out;
        assert!(
            help.contains("Example"),
            "{words:?} has no example:\n{help}"
        );
        commands_in(&help)
    };
    for command in told(&[]) {
        let below = told(&[&command]);
        if command != "crm" {
            continue;
        }
        for level in below {
            for command in told(&["crm", &level]) {
                told(&["crm", &level, &command]);
            }
        }
    }
}

/// The commands that a help text lists.
fn commands_in(help: &str) -> Vec<String> {
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = listed.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

fn wrong_usage(_: &Lab) {
    let usage: [(&[&str], &str); 9] = [
        (&[], "Usage: systole"),
        (&["nonsense"], "nonsense"),
        (&["daemon", "--nonsense"], "--nonsense"),
        (&["init"], "--address"),
        (&["join", "--name", "n2"], "TOKEN"),
        (&["crm", "nonsense"], "nonsense"),
        (&["simulate", "--nonsense"], "--nonsense"),
        (&["demo", "--nonsense"], "--nonsense"),
        (&["cibadmin", "--nonsense"], "--nonsense"),
    ];
    for (words, said) in usage {
        ran(&mut systole(words)).refused(64, &[said]);
    }
    let nowhere = ran(systole(&["crm", "status"]).env("SYSTOLE_DIR", "/does/not/exist"));
    nowhere.refused(102, &["/does/not/exist", "is `systole daemon` running?"]);
    let homeless = ran(&mut systole(&["daemon", "--dir", "/does/not/exist"]));
    homeless.refused(100, &["systole init"]);
}

const TRIALS: [(&str, fn(&Lab)); 17] = [
    ("help", help),
    ("wrong_usage", wrong_usage),
    ("malformed_xml", malformed_xml),
    ("unknown_element", unknown_element),
    ("duplicate_id", duplicate_id),
    ("dangling_reference", dangling_reference),
    ("unknown_agent", unknown_agent),
    ("missing_parameter", missing_parameter),
    ("colocation_with_itself", colocation_with_itself),
    ("bad_score", bad_score),
    ("stale_patch", stale_patch),
    ("oversized_document", oversized_document),
    ("tokens", tokens),
    ("foreign_cluster", foreign_cluster),
    ("wrong_user", wrong_user),
    ("large_document", large_document),
    ("misbehaving_agents", misbehaving_agents),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They look at the version of one CIB.
    arguments.test_threads = Some(1);
    let dir = tempfile::tempdir().expect("temporary directory");
    let lab = (!arguments.list).then(|| Arc::new(Lab::build(dir.path())));
    let trial = |(name, run): (&'static str, fn(&Lab))| {
        let lab = lab.clone();
        Trial::test(name, move || {
            let lab = lab.ok_or_else(|| Failed::from("nothing to run it in"))?;
            run(&lab);
            Ok(())
        })
    };
    let trials = TRIALS.into_iter().map(trial).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if conclusion.has_failed()
        && let Some(lab) = &lab
    {
        eprintln!("the daemon's log:\n{}", lab.node.log());
    }
    drop(lab);
    conclusion.exit_code()
}
