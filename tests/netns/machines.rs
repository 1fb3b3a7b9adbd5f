//! `systole lab chaos --on`: a cluster that is there already is broken from outside. The laboratory's hosts play the
//! machines, and a script that enters them plays ssh.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use systole::demo::lab::Lab;

use crate::cluster::{Stage, on_stage_of};

pub(crate) const SCENARIOS: &[crate::Scenario] = &[(
    "machines::chaos_breaks_a_cluster_that_is_there",
    chaos_breaks_a_cluster_that_is_there,
)];

fn chaos_breaks_a_cluster_that_is_there() {
    for program in ["nft", "nsenter"] {
        if Command::new(program).arg("--version").output().is_err() {
            return crate::skip(&format!("there is no program {program}"));
        }
    }
    on_stage_of(3, false, |stage| {
        let reach = way(stage.lab);
        for host in stage.lab.names() {
            open_door(stage.lab, &host);
        }
        let report = chaos(
            stage,
            &reach,
            &["--only", "kill-daemon,cut,pause,fail-resource"],
        );
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["violations"], serde_json::json!([]), "{report}");
        assert_eq!(report["rounds"], 1, "{report}");
        assert_eq!(report["fencing"], true, "{report}");
        assert!(report["writes_acknowledged"].as_u64() > Some(5), "{report}");
        assert!(
            !report["faults"].as_object().unwrap().is_empty(),
            "{report}"
        );
        let config = stage.cluster.crm("host1", &["configure", "show"]).unwrap();
        assert!(!config.contains("chaos"), "{config}");
        // An address in two places is seen, whatever status says.
        let active = stage.active();
        let other = stage.lab.names().into_iter().find(|host| *host != active);
        let words = ["ip", "address", "add", "10.77.0.100/24", "dev", "eth0"];
        stage.cluster.run(&other.unwrap(), &words).unwrap();
        let refused = chaos(stage, &reach, &["--only", "kill-daemon"]);
        assert!(refused.contains("vip is on"), "{refused}");
    });
}

/// Leads into a host, as ssh would.
fn way(lab: &Lab) -> String {
    let path = lab.dir().join("enter");
    let script = format!(
        "#!/bin/sh\nhost=$1; shift\nexec nsenter -t \"$(cat {0}/$host.door)\" -m -n -p env SYSTOLE_DIR={0}/$host/disk \"$@\"\n",
        lab.dir().display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{} {{}}", path.display())
}

/// A process in the host by which it can be entered.
fn open_door(lab: &Lab, host: &str) {
    let mark = format!("86400.{}", host.trim_start_matches("host"));
    lab.start(host, "door", &["sleep", &mark], &[]).unwrap();
    // Started, it is not yet the program that it is to be.
    let until = Instant::now() + Duration::from_secs(10);
    let pid = loop {
        match process_of(&format!("sleep\0{mark}\0")) {
            Some(pid) => break pid,
            None => assert!(Instant::now() < until, "{host} has no door"),
        }
        thread::sleep(Duration::from_millis(10));
    };
    fs::write(lab.dir().join(format!("{host}.door")), pid).unwrap();
}

fn process_of(line: &str) -> Option<String> {
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let known = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        (known == line).then_some(name)
    })
}

/// Runs it, and does meanwhile what machines do by themselves; what it printed.
fn chaos(stage: &Stage<'_>, reach: &str, words: &[&str]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_systole"))
        .args([
            "lab",
            "chaos",
            "--on",
            "host1,host2,host3",
            "--yes",
            "--json",
        ])
        .args([
            "--reach", reach, "--rounds", "1", "--round", "12", "--seed", "5",
        ])
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while child.try_wait().unwrap().is_none() {
        for host in stage.lab.names() {
            if !stage.lab.is_on(&host) {
                thread::sleep(Duration::from_millis(500));
                stage.lab.boot(&host).unwrap();
                open_door(stage.lab, &host);
                stage.cluster.start_daemon(&host).unwrap();
            }
            let daemon = stage.cluster.daemon(&host);
            if !daemon.is_some_and(|daemon| stage.lab.runs(&daemon)) {
                // It may be switched off meanwhile.
                let _ = stage.cluster.start_daemon(&host);
            }
        }
        thread::sleep(Duration::from_millis(100));
    }
    let output = child.wait_with_output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    println!("{err}");
    if output.status.success() {
        out.into_owned()
    } else {
        err.into_owned()
    }
}
