//! The laboratory that all clients share: three real daemons, and a machine that looks to a client as if Systole, and
//! no Pacemaker, were installed on it.
//!
//! ```text
//! what the machine has           what is mounted over it, in our namespace only
//!   /usr/sbin/cibadmin, ...        our program, which knows by its name what it is
//!   /usr/lib/pacemaker             links to our program under the daemons' names
//!   /usr/share/pacemaker           our schemas, as `systole schemas` writes them
//!   /usr/lib/ocf/resource.d        others' resource agents, and ours beside them
//!   /etc/hosts                     the hosts, by the names that the cluster knows
//!   /var/lib/pacemaker, /var/log   empty
//! ```

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use systole::cli::links;
use systole::demo::cluster::Cluster;
use systole::demo::lab::{Lab, Plan};
use systole::xml::{self, Element, Limits, XPath};

pub(crate) const SCENARIOS: &[crate::Scenario] = &[("lab::hold", "/", hold)];

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_systole");

/// Where the laboratory is; the same path in every host.
const TOP: &str = "/run/systole-lab";

/// No command takes longer; the longest one waits for a cluster in which an order was lost.
const LIMIT: Duration = Duration::from_secs(150);

/// What a command did.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) line: String,
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Ran {
    /// Both streams.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// A running cluster of three, with nothing configured but that fencing is off.
pub(crate) struct Stage<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) cluster: &'a Cluster<'a>,
}

/// Furnishes the machine, starts the cluster, and lets the play begin when all three hosts are online.
pub(crate) fn on_stage(play: impl FnOnce(&Stage<'_>)) {
    furnish();
    let lab = Lab::build(Plan {
        hosts: 3,
        program: PathBuf::from(PROGRAM),
        fence_delay: Duration::from_millis(5),
        service_network: false,
        disks: None,
    })
    .unwrap();
    let hosts = lab.names();
    let known = hosts
        .iter()
        .map(|host| format!("{} {host}\n", lab.ip(host)));
    fs::write(machine().join("hosts"), known.collect::<String>()).unwrap();
    // A session is not about time: a busy machine must not look like a failure of a host.
    let cluster = Cluster::found(&lab, Some("wan")).unwrap();
    cluster.await_all_online(30_000).unwrap();
    cluster.load("property stonith-enabled=false\n").unwrap();
    play(&Stage {
        lab: &lab,
        cluster: &cluster,
    });
    cluster.check_daemons().unwrap();
}

/// Gives the machine the face that clients look for. Only in our mount namespace, which hosts inherit.
fn furnish() {
    let top = machine();
    let daemons = top.join("daemons");
    links::make(&daemons, Path::new(PROGRAM), false).unwrap();
    // Theirs is the client that we test.
    fs::remove_file(daemons.join("crm")).unwrap();
    for name in links::names().filter(|name| *name != "crm") {
        for folder in ["/usr/sbin", "/usr/bin"] {
            let path = Path::new(folder).join(name);
            if path.is_file() {
                bind(Path::new(PROGRAM), &path);
            }
        }
    }
    for folder in ["/usr/lib/pacemaker", "/usr/libexec/pacemaker"] {
        if Path::new(folder).is_dir() {
            bind(&daemons, Path::new(folder));
        }
    }
    let schemas = top.join("schemas");
    systole::cli::schemas::write(&schemas).unwrap();
    bind_if_there(&schemas, Path::new("/usr/share/pacemaker"));
    let state = top.join("state");
    for name in ["cib", "pengine", "cores", "blackbox"] {
        fs::create_dir_all(state.join(name)).unwrap();
    }
    bind_if_there(&state, Path::new("/var/lib/pacemaker"));
    let log = top.join("log");
    for name in ["crmsh", "pcsd", "pacemaker"] {
        fs::create_dir_all(log.join(name)).unwrap();
    }
    bind_if_there(&log, Path::new("/var/log"));
    let hosts = top.join("hosts");
    fs::write(&hosts, "").unwrap();
    bind(&hosts, Path::new("/etc/hosts"));
    let agents = top.join("agents");
    systole::agents::install(&agents, Path::new(PROGRAM)).unwrap();
    let there = Path::new("/usr/lib/ocf/resource.d");
    if there.is_dir() {
        let (others, both) = (top.join("ocf-others"), top.join("ocf"));
        fs::create_dir_all(&others).unwrap();
        fs::create_dir_all(&both).unwrap();
        bind(there, &others);
        symlink(others.join("heartbeat"), both.join("heartbeat")).unwrap();
        symlink(agents.join("ocf/systole"), both.join("systole")).unwrap();
        bind(&both, there);
    }
}

fn machine() -> PathBuf {
    Path::new(TOP).join("machine")
}

fn bind_if_there(from: &Path, to: &Path) {
    if to.is_dir() {
        bind(from, to);
    }
}

fn bind(from: &Path, to: &Path) {
    let done = mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>);
    done.unwrap_or_else(|e| panic!("{} over {}: {e}", from.display(), to.display()));
}

impl Stage<'_> {
    /// What a person's shell has on a host.
    pub(crate) fn environment(&self, host: &str) -> Vec<(&'static str, String)> {
        let disk = self.lab.disk(host).display().to_string();
        let daemons = format!("{TOP}/machine/daemons");
        vec![
            ("PATH", format!("{daemons}:/usr/sbin:/usr/bin:/sbin:/bin")),
            ("HOME", disk.clone()),
            ("SYSTOLE_AGENTS", format!("{disk}/agents")),
            ("SYSTOLE_DIR", disk),
            ("HA_RSCTMP", "/run/resource-agents".to_owned()),
            ("LC_ALL", "C.UTF-8".to_owned()),
            ("TERM", "dumb".to_owned()),
        ]
    }

    /// Runs a program on a host to its end, whatever that is.
    pub(crate) fn run(&self, host: &str, argv: &[&str]) -> Ran {
        let start = Instant::now();
        let ended = self
            .lab
            .run(host, argv, &self.environment(host), LIMIT)
            .unwrap_or_else(|e| panic!("{}: {e}", argv.join(" ")));
        Ran {
            line: argv.join(" "),
            code: ended.code,
            out: ended.out,
            err: ended.err,
            took: start.elapsed(),
        }
    }

    /// Runs a line of shell on a host.
    pub(crate) fn sh(&self, host: &str, line: &str) -> Ran {
        let mut ran = self.run(host, &["/bin/sh", "-c", line]);
        line.clone_into(&mut ran.line);
        ran
    }

    /// A file on a host's disk.
    pub(crate) fn file(&self, host: &str, name: &str, text: &str) -> String {
        let path = self.lab.disk(host).join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// The CIB as a host has it.
    pub(crate) fn cib_of(&self, host: &str) -> Element {
        let ran = self.run(host, &["cibadmin", "-Q"]);
        assert_eq!(ran.code, 0, "cibadmin -Q: {}", ran.text());
        xml::parse(&ran.out, &Limits::CIB).unwrap()
    }

    /// The CIB as the last host has it: not the one on which commands are given.
    pub(crate) fn cib(&self) -> Element {
        self.cib_of(&self.lab.names().pop().unwrap())
    }

    /// How many elements or attributes an XPath finds in the CIB.
    pub(crate) fn count(&self, path: &str) -> usize {
        let cib = self.cib();
        XPath::parse(path).unwrap().select(&cib).unwrap().len()
    }

    /// Waits until all that is to be done is done.
    pub(crate) fn settle(&self) {
        let host = self.lab.names().remove(0);
        // An order that was lost is given up after 80 s.
        let ran = self.run(&host, &["crm_resource", "--wait", "--timeout=120s"]);
        if ran.code != 0 {
            panic!("the cluster does not settle: {}{}", ran.text(), self.logs());
        }
    }

    /// The end of each daemon's log.
    fn logs(&self) -> String {
        let end = |host: String| {
            let log = std::fs::read_to_string(self.lab.log(&host, "daemon")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(30)..].join("\n");
            format!("\n--- the log of {host} ends:\n{end}\n")
        };
        self.lab.names().into_iter().map(end).collect()
    }

    /// Waits until the cluster is settled and something is so.
    pub(crate) fn until(&self, limit: Duration, is_so: impl Fn() -> bool) -> bool {
        let end = Instant::now() + limit;
        loop {
            if is_so() {
                return true;
            }
            if Instant::now() > end {
                return false;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The hosts on which a resource runs, from the status of the cluster.
    pub(crate) fn runs_on(&self, rsc: &str) -> Vec<String> {
        self.instances(rsc)
            .into_iter()
            .map(|(host, _)| host)
            .collect()
    }

    /// The hosts on which a resource runs, each with its role.
    pub(crate) fn instances(&self, rsc: &str) -> Vec<(String, String)> {
        let host = self.lab.names().remove(0);
        let ran = self.run(&host, &["crm_mon", "--output-as=xml"]);
        assert_eq!(ran.code, 0, "crm_mon: {}", ran.text());
        let shown = xml::parse(&ran.out, &Limits::CIB).unwrap();
        let mut found: Vec<(String, String)> = Vec::new();
        for element in shown.descendants().filter(|e| e.is("resource")) {
            let id = element.id().unwrap_or_default();
            if id != rsc && id.split(':').next() != Some(rsc) {
                continue;
            }
            let role = element.get("role").unwrap_or_default();
            for node in element.children().filter(|e| e.is("node")) {
                found.push((node.get("name").unwrap_or_default().into(), role.into()));
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

/// Keeps a laboratory up for an hour, for a person to try things in.
fn hold() {
    if std::env::var_os("SYSTOLE_HOLD").is_none() {
        return;
    }
    on_stage(|stage| {
        let me = fs::read_link("/proc/self").unwrap();
        println!("the laboratory is up (pid {} inside)", me.display());
        for host in stage.lab.names() {
            let job = stage.cluster.daemon(&host).unwrap();
            let script = stage.file(&host, "enter", &entering(stage, &host));
            println!(
                "{host}: daemon {:?} inside, environment in {script}",
                stage.lab.pid(&job)
            );
        }
        thread::sleep(Duration::from_secs(3600));
    });
}

fn entering(stage: &Stage<'_>, host: &str) -> String {
    stage
        .environment(host)
        .iter()
        .map(|(name, value)| format!("export {name}='{value}'\n"))
        .collect()
}
