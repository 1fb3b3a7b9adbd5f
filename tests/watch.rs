//! `systole watch` beside Pacemaker's own `crm_simulate`, on recorded cases; and without it, on what a cluster did.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test program of its own: it starts what it tests, and says what it saw"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SYSTOLE: &str = env!("CARGO_BIN_EXE_systole");
const PEER: &str = "/usr/sbin/crm_simulate";

/// The recorded cases beside the project.
fn cases() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut folders = above.map(|folder| folder.join("shared/conformance/scheduler/cases/xml"));
    folders.find(|folder| folder.is_dir())
}

fn watch(words: &[&str]) -> Output {
    Command::new(SYSTOLE)
        .arg("watch")
        .args(words)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether Pacemaker's program is here, and not ours under its name. Where everything must be there, it is an error that
/// it is not.
fn has_peer() -> bool {
    let version = Command::new(PEER).arg("--version").output();
    let there = version.is_ok_and(|it| text(&it.stdout).starts_with("Pacemaker"));
    if !there {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI is set, and {PEER} is not Pacemaker's"
        );
        eprintln!("SKIPPED: {PEER} is not installed");
    }
    there
}

#[test]
fn decisions_on_recorded_cases_are_those_of_pacemaker() {
    let Some(cases) = cases().filter(|_| has_peer()) else {
        eprintln!("SKIPPED: nothing to compare");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let (mut same, mut known) = (0, 0);
    for name in [
        "simple3",
        "group1",
        "rsc_dep1",
        "stonith-0",
        "promoted-0",
        "migrate-1",
        "clone-no-shuffle",
        "bug-1685",
    ] {
        let cib = std::fs::read_to_string(cases.join(format!("{name}.xml"))).expect("readable");
        let path = folder.path().join("cib.xml");
        std::fs::write(&path, cib.replace("fencing-enabled", "stonith-enabled")).expect("writable");
        let output = watch(&[
            "--once",
            "--file",
            &path.display().to_string(),
            "--peer",
            PEER,
        ]);
        let said = format!("{name}: {}{}", text(&output.stdout), text(&output.stderr));
        match output.status.code() {
            Some(0) => {
                assert!(said.contains(": the same, "), "{said}");
                same += 1;
            }
            Some(2) => {
                assert!(said.contains("known change between 2.1 and 3.0"), "{said}");
                known += 1;
            }
            _ => panic!("{said}"),
        }
    }
    println!("{same} the same, {known} explained");
    assert!(same >= 5 && known >= 1, "{same} and {known}");
    // An option by a name that the older series does not know.
    let file = cases.join("simple3.xml").display().to_string();
    let output = watch(&["--once", "--file", &file, "--peer", PEER]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stdout).contains("spec 1 §33"), "{output:?}");
}

/// A stand-in for a crm_simulate that decides otherwise.
fn otherwise(folder: &Path, says: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("crm_simulate");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n--version) echo 'Pacemaker 3.0.1' ;;\n*-sQR*) echo 'd allocation score on n1: 0' ;;\n\
         *) cat {}/says ;;\nesac\n",
        folder.display()
    );
    std::fs::write(&path, script).expect("writable");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
    std::fs::write(
        folder.join("says"),
        format!("Transition Summary:\n{says}\n"),
    )
    .expect("writable");
    path
}

fn cib(number: u32, location: &str, active: &str) -> String {
    let history = |node: &str| match node == active {
        true => {
            "<lrm_resource id='d' class='ocf' provider='pacemaker' type='Dummy'><lrm_rsc_op id='d_last_0' \
                 operation='start' operation_key='d_start_0' call-id='2' rc-code='0' op-status='0' interval='0' \
                 transition-key='1:1:0:x' transition-magic='0:0;1:1:0:x' crm_feature_set='3.19.0'/></lrm_resource>"
        }
        false => {
            "<lrm_resource id='d' class='ocf' provider='pacemaker' type='Dummy'><lrm_rsc_op id='d_last_0' \
                  operation='monitor' operation_key='d_monitor_0' call-id='2' rc-code='7' op-status='0' interval='0' \
                  transition-key='1:1:7:x' transition-magic='0:7;1:1:7:x' crm_feature_set='3.19.0'/></lrm_resource>"
        }
    };
    let state = |id: u32, node: &str| {
        format!(
            "<node_state id='{id}' uname='{node}' in_ccm='1' crmd='1' join='member' expected='member'><lrm id='{id}'>\
             <lrm_resources>{}</lrm_resources></lrm></node_state>",
            history(node)
        )
    };
    format!(
        "<cib validate-with='pacemaker-3.0' admin_epoch='0' epoch='{number}' num_updates='0' have-quorum='1'><configuration>\
         <crm_config><cluster_property_set id='o'><nvpair id='o1' name='stonith-enabled' value='false'/>\
         </cluster_property_set></crm_config><nodes><node id='1' uname='n1'/><node id='2' uname='n2'/><node id='3' uname='n3'/>\
         </nodes><resources><primitive id='d' class='ocf' provider='pacemaker' type='Dummy'/></resources><constraints>\
         <rsc_location id='l' rsc='d' node='{location}' score='100'/></constraints></configuration><status>{}{}{}</status></cib>",
        state(1, "n1"),
        state(2, "n2"),
        state(3, "n3"),
    )
}

#[test]
fn another_decision_is_named_by_resource() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let peer = otherwise(folder, "  * Move       d     ( n1 -> n3 )")
        .display()
        .to_string();
    let file = folder.join("cib.xml");
    std::fs::write(&file, cib(1, "n2", "n1")).expect("writable");
    let file = file.display().to_string();
    let output = watch(&["--once", "--file", &file, "--peer", &peer]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stdout);
    assert!(
        said.contains("(0.1.0): one difference, one thing to do"),
        "{said}"
    );
    assert!(
        said.contains("Pacemaker  Move d ( n1 -> n3 )")
            && said.contains("Systole    Move d ( n1 -> n2 )"),
        "{said}"
    );
    let output = watch(&[
        "--once", "--json", "--scores", "--file", &file, "--peer", &peer,
    ]);
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(line["new"][0]["about"], "d");
    let ours = line["new"][0]["systole"].as_array().expect("lines");
    assert!(
        ours.contains(&"d allocation score on n2: 100".into()),
        "{line}"
    );
}

/// A folder of inputs without anybody to ask: what happened next is the answer.
#[test]
fn what_the_cluster_did_next_is_its_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |number: u32, location: &str, active: &str| {
        let path = folder.path().join(format!("pe-input-{number}.xml"));
        std::fs::write(path, cib(number, location, active)).expect("writable");
        // Files are looked at in the order of their times.
        std::thread::sleep(std::time::Duration::from_millis(15));
    };
    let folder_name = folder.path().display().to_string();
    let run = || watch(&["--once", "--folder", &folder_name, "--no-peer"]);
    assert_ne!(run().status.code(), Some(0), "there is nothing yet");
    write(1, "n2", "n1");
    write(2, "n2", "n2");
    let output = run();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // Now it goes where we would not put it, and then back.
    write(3, "n1", "n2");
    write(4, "n1", "n3");
    write(5, "n1", "n1");
    let output = run();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stdout);
    let at = |what: &str| {
        said.find(what)
            .unwrap_or_else(|| panic!("{what} is not in\n{said}"))
    };
    assert!(
        at("Pacemaker  Started on n3") > at("pe-input-4.xml"),
        "{said}"
    );
    assert!(
        at("d: no difference any more") > at("pe-input-5.xml"),
        "{said}"
    );
    assert_eq!(said.matches("Started on n3").count(), 1, "{said}");
}

#[test]
fn nothing_is_written_to_the_other_cluster() {
    for (words, says) in [
        (
            ["--once", "--command", "/usr/sbin/cibadmin --erase --force"],
            "may change the other cluster",
        ),
        (["--once", "--command", "cibadmin -Q"], "is no full path"),
        (
            ["--once", "--command", SYSTOLE],
            "is a link to this program",
        ),
        (["--once", "--peer", "/bin/true"], "is no crm_simulate"),
    ] {
        let output = watch(&words);
        assert!(!output.status.success());
        let said = text(&output.stderr);
        let plain = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains(says), "{words:?}: {said}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cibadmin");
    std::fs::write(
        &path,
        format!(
            "#!/bin/sh\n[ \"$*\" = --query ] && cat <<X\n{}\nX\n",
            cib(1, "n1", "n1")
        ),
    )
    .expect("writable");
    let chmod = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, chmod).expect("ours");
    let output = watch(&[
        "--once",
        "--no-peer",
        "--command",
        &path.display().to_string(),
    ]);
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("the same, "), "{output:?}");
}
