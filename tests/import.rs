//! `crm import` from end to end: files in, a configuration out that loads without complaint and that puts things where the
//! imported program had them.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test program of its own: it starts what it tests, and says what it saw"
)]

use std::path::Path;
use std::process::{Command, Output};

const SYSTOLE: &str = env!("CARGO_BIN_EXE_systole");

fn run(folder: &Path, words: &[&str]) -> Output {
    Command::new(SYSTOLE)
        .args(words)
        .current_dir(folder)
        .env("CIB_file", folder.join("cib.xml"))
        .env("SYSTOLE_DIR", folder)
        .output()
        .expect("the program starts")
}

/// Standard output of a command that must succeed, and say nothing else.
fn ok(folder: &Path, line: &str) -> String {
    let output = run(folder, &line.split(' ').collect::<Vec<_>>());
    assert!(output.status.success(), "{line}: {output:?}");
    assert!(
        output.stderr.is_empty(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

const CIB: &str = r#"<cib validate-with="pacemaker-4.0" admin_epoch="0" epoch="1" num_updates="0" have-quorum="1">
  <configuration><crm_config/><nodes><node id="1" uname="lb1"/><node id="2" uname="lb2"/></nodes><resources/><constraints/></configuration>
  <status>
    <node_state id="1" uname="lb1" in_ccm="1" crmd="1" join="member" expected="member"><lrm id="1"><lrm_resources/></lrm></node_state>
    <node_state id="2" uname="lb2" in_ccm="1" crmd="1" join="member" expected="member"><lrm id="2"><lrm_resources/></lrm></node_state>
  </status>
</cib>"#;

fn keepalived(id: &str, state: &str, priority: u32) -> String {
    format!(
        "! Configuration of {id}\nglobal_defs {{\n    router_id {id}\n    notification_email {{\n        ops@example.com\n    }}\n}}\n\
         vrrp_script proxy {{\n    script \"/usr/bin/pgrep -x haproxy\"\n    interval 2\n    weight 20\n}}\n\
         vrrp_instance VI_1 {{\n    state {state}\n    interface eth0\n    virtual_router_id 51\n    priority {priority}\n    \
         virtual_ipaddress {{\n        192.0.2.100/24\n        192.0.2.101/24\n    }}\n    track_script {{\n        proxy\n    }}\n    \
         notify_master /usr/local/bin/came\n}}\n\
         vrrp_instance VI_2 {{\n    interface eth0\n    virtual_router_id 52\n    priority {}\n    virtual_ipaddress {{\n        \
         192.0.2.102/24\n    }}\n}}\n",
        250 - priority
    )
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("a writable folder");
    };
    write("cib.xml", CIB);
    write("lb1.conf", &keepalived("lb1", "BACKUP", 100));
    write("lb2.conf", &keepalived("lb2", "MASTER", 150));
    folder
}

#[test]
fn addresses_of_keepalived_are_on_the_hosts_of_high_priority() {
    let folder = folder();
    let folder = folder.path();
    let text = ok(folder, "crm import lb1.conf lb2.conf");
    assert!(
        text.contains("lb1.conf:16: virtual_router_id 51: not needed:"),
        "{text}"
    );
    std::fs::write(folder.join("new.crm"), &text).expect("writable");
    assert_eq!(ok(folder, "crm configure load update new.crm"), "");
    assert_eq!(ok(folder, "crm_verify -V -x cib.xml"), "");
    let plan = ok(folder, "simulate -x cib.xml -S");
    for line in ["VI_1-ip-1 ( lb2 )", "VI_1-ip-2 ( lb2 )", "VI_2 ( lb1 )"] {
        let plain = plan.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            plain.contains(&format!("Start {line}")),
            "{line} is not in\n{plan}"
        );
    }
    // What was printed is no comment on the objects.
    assert!(!ok(folder, "crm configure show").contains("lb1.conf:"));
}

#[test]
fn applying_goes_through_the_plan() {
    let folder = folder();
    let folder = folder.path();
    let shown = ok(folder, "crm import lb1.conf lb2.conf --apply --dry-run");
    assert!(shown.contains("VI_1") && shown.contains("lb2"), "{shown}");
    assert_eq!(
        std::fs::read_to_string(folder.join("cib.xml")).expect("there"),
        CIB
    );
    ok(folder, "crm import lb1.conf lb2.conf --apply --quiet");
    assert!(ok(folder, "crm configure show VI_1").contains("group VI_1"));
    // A second time there is nothing left to do.
    let again = ok(
        folder,
        "crm import lb1.conf lb2.conf --apply --dry-run --quiet",
    );
    assert!(again.contains("nothing changes"), "{again}");
}

#[test]
fn files_of_several_kinds_in_one_call() {
    let folder = folder();
    let folder = folder.path();
    let conf = "totem {\n  cluster_name: c\n}\nnodelist {\n  node {\n    ring0_addr: 192.0.2.1\n    name: lb1\n  }\n}\n";
    std::fs::write(folder.join("corosync.conf"), conf).expect("writable");
    let json = ok(folder, "crm import --json corosync.conf cib.xml lb1.conf");
    let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        read["steps"][0],
        "systole init --name lb1 --address 192.0.2.1:5405 --cluster c"
    );
    let notes = read["notes"].as_array().expect("notes");
    let line = |note: &&serde_json::Value| note["what"] == "priority 100";
    let note = notes.iter().find(line).expect("each line is told");
    assert_eq!(
        (&note["file"], &note["line"]),
        (&"lb1.conf".into(), &17.into())
    );
    assert_eq!(note["verdict"], "became");
}

#[test]
fn compressed_inputs_are_read() {
    use std::io::Write;
    let folder = folder();
    let folder = folder.path();
    let file = std::fs::File::create(folder.join("pe-input-1.bz2")).expect("writable");
    let mut packed = bzip2::write::BzEncoder::new(file, bzip2::Compression::fast());
    let cib = CIB.replace(
        "<resources/>",
        "<resources><primitive id='d' class='ocf' provider='pacemaker' type='Dummy'/></resources>",
    );
    packed.write_all(cib.as_bytes()).expect("writable");
    packed.finish().expect("writable");
    assert_eq!(
        ok(folder, "crm import -q pe-input-1.bz2"),
        "primitive d ocf:pacemaker:Dummy\n"
    );
}

#[test]
fn what_cannot_be_read_is_told_with_file_line_and_cure() {
    let folder = folder();
    let folder = folder.path();
    let says = |line: &str| {
        let output = run(folder, &line.split(' ').collect::<Vec<_>>());
        assert!(!output.status.success(), "{line}");
        String::from_utf8(output.stderr).expect("text")
    };
    std::fs::write(
        folder.join("bad.conf"),
        "vrrp_instance A {\n  priority high\n}\n",
    )
    .expect("writable");
    let told = says("crm import bad.conf");
    assert!(
        told.contains("bad.conf:2:") && told.contains("help: write a number"),
        "{told}"
    );
    std::fs::write(folder.join("odd.conf"), b"vrrp_instance A {\n\xff\n}\n").expect("writable");
    assert!(says("crm import odd.conf").contains("odd.conf:2:"));
    assert!(says("crm import gone.conf").contains("gone.conf"));
    assert!(says("crm import lb1.conf --yes").contains("--apply"));
    let told = says("crm import x=lb1.conf x=lb2.conf");
    assert!(told.contains("NODE1=lb1.conf"), "{told}");
}
