//! Three real daemons, and a fourth host that is no member: `systole remote`. What runs there is started, watched and asked
//! from over the connection; a host of the connection that loses its power takes nothing with it.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use systole::clock::boot_us;
use systole::demo::cluster::Cluster;
use systole::demo::lab::{Job, Lab, Plan};

pub(crate) const SCENARIOS: &[crate::Scenario] = &[
    ("remote::runs_what_a_node_runs", runs_what_a_node_runs),
    (
        "remote::without_fencing_nothing_runs_twice",
        without_fencing_nothing_runs_twice,
    ),
    (
        "remote::guest_in_a_virtual_machine",
        guest_in_a_virtual_machine,
    ),
];

const REMOTE: &str = "host4";
const MEMBERS: [&str; 3] = ["host1", "host2", "host3"];

/// An agent that asks as agents do: who am I, and please remember.
const ASKS: &str = r#"#!/bin/sh
state="$HA_RSCTMP/asks.state"
case "$1" in
start)
    name=$(crm_node -n) || exit 1
    attrd_updater -n asked-daemon -U "$name" || exit 1
    crm_attribute -l reboot -n asked-cib -v "$name" || exit 1
    touch "$state";;
stop) rm -f "$state";;
monitor) test -e "$state" || exit 7;;
meta-data) echo '<resource-agent name="asks"><actions><action name="start"/></actions></resource-agent>';;
*) exit 3;;
esac
"#;

struct Stage<'a> {
    lab: &'a Lab,
    cluster: &'a Cluster<'a>,
}

fn on_stage(play: impl FnOnce(&Stage<'_>)) {
    let lab = Lab::build(Plan {
        hosts: 4,
        program: PathBuf::from(env!("CARGO_BIN_EXE_systole")),
        fence_delay: Duration::from_millis(5),
        service_network: false,
        disks: None,
    })
    .unwrap();
    let members = |name: &str| match name == REMOTE {
        true => Vec::new(),
        false => vec![lab.ip(name)],
    };
    let cluster = Cluster::found_at(&lab, None, members).unwrap();
    let stage = Stage {
        lab: &lab,
        cluster: &cluster,
    };
    let all = || MEMBERS.iter().all(|host| cluster.online(host).len() == 3);
    cluster.wait("three members", 60_000, all).unwrap();
    stage.enrol();
    stage.start_remote();
    for host in lab.names() {
        let agent = lab.disk(&host).join("agents/ocf/systole/asks");
        std::fs::write(&agent, ASKS).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&agent, mode).unwrap();
    }
    play(&stage);
}

impl Stage<'_> {
    fn run(&self, host: &str, argv: &[&str]) -> String {
        let output = self.cluster.run(host, argv).unwrap();
        assert_eq!(
            output.code, 0,
            "{argv:?} on {host}: {}{}",
            output.out, output.err
        );
        output.out
    }

    fn program(&self) -> String {
        self.lab.bin().join("systole").display().to_string()
    }

    fn enrol(&self) {
        let token = self
            .cluster
            .systole("host1", &["token", "--remote", REMOTE]);
        let token = token.unwrap().trim().to_owned();
        self.run(REMOTE, &[&self.program(), "remote", "join", &token]);
        // Agents are where a daemon puts them.
        std::fs::create_dir_all(self.lab.disk(REMOTE).join("agents/ocf/systole")).unwrap();
    }

    fn start_remote(&self) -> Job {
        let dir = self.lab.disk(REMOTE).display().to_string();
        let program = self.program();
        let argv = [program.as_str(), "remote", "--dir", &dir];
        self.lab.start(REMOTE, "remote", &argv, &[]).unwrap()
    }

    fn status(&self) -> String {
        self.cluster.anywhere(&["status"]).unwrap_or_default()
    }

    /// Where a resource is started.
    fn place(&self, rsc: &str) -> Option<String> {
        let status = self.status();
        let line = status.lines().find(|line| {
            line.trim_start()
                .strip_prefix("* ")
                .is_some_and(|rest| rest.split_whitespace().next() == Some(rsc))
        })?;
        let (_, host) = line.split_once("Started ")?;
        host.split_whitespace().next().map(str::to_owned)
    }

    fn await_place(&self, rsc: &str, host: &str) {
        let there = || self.place(rsc).as_deref() == Some(host);
        let what = format!("{rsc} on {host}");
        self.cluster.wait(&what, 60_000, there).unwrap();
    }

    /// The state file of a Dummy.
    fn state(&self, rsc: &str, host: &str) -> PathBuf {
        let name = format!("run/rsctmp/systole-Dummy-{rsc}.state");
        self.lab.disk(host).join(name)
    }

    /// Breaks a Dummy, and waits until it is started again where it was.
    fn recovers(&self, rsc: &str, host: &str) -> f64 {
        let state = self.state(rsc, host);
        let begun = boot_us();
        std::fs::remove_file(&state).unwrap();
        let back = || state.exists();
        self.cluster
            .wait("recovery on the spot", 30_000, back)
            .unwrap();
        self.await_place(rsc, host);
        (boot_us() - begun) as f64 / 1000.0
    }

    fn load(&self, fencing: bool, more: &str) {
        let ip = self.lab.ip(REMOTE);
        let text = format!(
            "property stonith-enabled={fencing} no-quorum-policy=stop\n\
             rsc_defaults resource-stickiness=10\n\
             primitive power stonith:fence_hook params hook=/run/systole-lab/bin/fence_netns pcmk_host_check=none\n\
             primitive d ocf:systole:Dummy op monitor interval=1s timeout=20s\n\
             location d-there d 100: {REMOTE}\n{}",
            more.replace("IP", &ip.to_string())
        );
        self.cluster.load(&text).unwrap();
    }
}

const CONNECTION: &str = "primitive host4 ocf:pacemaker:remote params server=IP op monitor interval=10s timeout=10s op start interval=0 timeout=15s\n";

fn runs_what_a_node_runs() {
    on_stage(|stage| {
        let asks = "primitive asks ocf:systole:asks op monitor interval=10s\n\
                    location asks-there asks inf: host4\n";
        stage.load(true, &format!("{CONNECTION}{asks}"));
        stage.await_place("d", REMOTE);
        stage.await_place("asks", REMOTE);
        assert!(
            stage.status().contains("RemoteOnline: [ host4 ]"),
            "{}",
            stage.status()
        );
        assert!(stage.state("d", REMOTE).exists());
        for name in ["asked-daemon", "asked-cib"] {
            let query = [
                "crm_attribute",
                "-N",
                REMOTE,
                "-l",
                "reboot",
                "-n",
                name,
                "-G",
                "-Q",
            ];
            assert_eq!(stage.tool("host1", &query).trim(), REMOTE);
        }
        assert_eq!(stage.tool(REMOTE, &["crm_node", "-n"]).trim(), REMOTE);
        println!("recovered after {:.0} ms", stage.recovers("d", REMOTE));

        // The cluster's authority is replaced: the remote node gets a certificate of the new one over the connection, and who
        // connects next believes no other.
        let pair = stage.lab.disk(REMOTE).join("remote.pem");
        let former = std::fs::read(&pair).unwrap();
        let rotate = ["cluster", "rotate-certificate", "--authority"];
        stage.cluster.anywhere(&rotate).unwrap();
        let renewed = || std::fs::read(&pair).unwrap() != former;
        stage
            .cluster
            .wait("another certificate", 30_000, renewed)
            .unwrap();

        // The host of the connection loses its power: what runs on the remote node does not notice.
        let host = stage.place(REMOTE).unwrap();
        let before = std::fs::metadata(stage.state("d", REMOTE)).unwrap();
        let begun = boot_us();
        stage.lab.crash(&host).unwrap();
        let moved = || stage.place(REMOTE).is_some_and(|now| now != host);
        stage
            .cluster
            .wait("the connection elsewhere", 60_000, moved)
            .unwrap();
        println!(
            "connection moved after {:.0} ms",
            (boot_us() - begun) as f64 / 1000.0
        );
        stage.await_place("d", REMOTE);
        std::thread::sleep(Duration::from_secs(3));
        let after = std::fs::metadata(stage.state("d", REMOTE)).unwrap();
        assert_eq!(
            (before.ino(), before.mtime(), before.mtime_nsec()),
            (after.ino(), after.mtime(), after.mtime_nsec()),
            "it was not touched"
        );
        // It is still watched, and the new host hears of it.
        println!("recovered after {:.0} ms", stage.recovers("d", REMOTE));

        // The remote node itself: fenced, and only then recovered.
        let begun = boot_us();
        stage.lab.crash(REMOTE).unwrap();
        let elsewhere = || stage.place("d").is_some_and(|now| now != REMOTE);
        stage
            .cluster
            .wait("the Dummy elsewhere", 60_000, elsewhere)
            .unwrap();
        println!(
            "recovered elsewhere after {:.0} ms",
            (boot_us() - begun) as f64 / 1000.0
        );
        let shots = stage.lab.switch_log();
        let shot = |(at, what): &(u64, String)| *at >= begun && what.contains(REMOTE);
        assert!(shots.iter().any(shot), "{shots:?}");
    });
}

fn without_fencing_nothing_runs_twice() {
    on_stage(|stage| {
        stage.load(false, CONNECTION);
        stage.await_place("d", REMOTE);
        stage.lab.cut(REMOTE).unwrap();
        let gone = || stage.status().contains("RemoteOFFLINE: [ host4 ]");
        stage
            .cluster
            .wait("the remote node offline", 60_000, gone)
            .unwrap();
        // Longer than the connection is tried on all members.
        std::thread::sleep(Duration::from_secs(50));
        assert!(stage.state("d", REMOTE).exists(), "it goes on");
        for host in MEMBERS {
            assert!(!stage.state("d", host).exists(), "{}", stage.status());
        }
        // A person switches it off, and says so.
        stage.lab.crash(REMOTE).unwrap();
        stage.tool("host1", &["stonith_admin", "--confirm", REMOTE]);
        let elsewhere = || MEMBERS.iter().any(|host| stage.state("d", host).exists());
        stage
            .cluster
            .wait("the Dummy elsewhere", 30_000, elsewhere)
            .unwrap();
    });
}

/// A Dummy stands for the virtual machine.
fn guest_in_a_virtual_machine() {
    on_stage(|stage| {
        let guest = "primitive vm ocf:systole:Dummy op monitor interval=1s \
                     meta remote-node=host4 remote-addr=IP remote-connect-timeout=15s\n";
        stage.load(true, guest);
        stage.await_place("d", REMOTE);
        assert!(stage.state("d", REMOTE).exists());
        assert!(
            stage.status().contains("GuestOnline: [ host4 ]"),
            "{}",
            stage.status()
        );
        println!("recovered after {:.0} ms", stage.recovers("d", REMOTE));
    });
}

impl Stage<'_> {
    fn tool(&self, host: &str, argv: &[&str]) -> String {
        let tool = self.lab.disk(host).join("tools").join(argv[0]);
        let tool = tool.display().to_string();
        let argv: Vec<&str> = std::iter::once(tool.as_str())
            .chain(argv[1..].iter().copied())
            .collect();
        self.run(host, &argv)
    }
}
