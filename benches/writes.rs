//! Writes to the CIB of three real daemons on this machine, each durable on a majority of their disks.
//!
//! `cargo bench --bench writes`. The daemons keep their data below the target folder, or below `SYSTOLE_BENCH_DIR`: a disk,
//! for in memory `fdatasync` costs nothing. All three share it here, so one write costs it two syncs or three.
//!
//! Expected before measuring: one client waits for about one `fdatasync` and a millisecond; 32 clients share syncs
//! and get 2 000 writes a second or more; who restarts is not waited for.

#![expect(clippy::print_stdout, reason = "a bench prints what it measures")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use systole::cib::Command;
use systole::clock::{Mono, boot_us};
use systole::rpc::{AdminAnswer, AdminRequest, Client};
use systole::xml::Element;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let folder = folder();
    let sync = sync_cost(folder.path());
    println!("fdatasync of 4 KiB: {}", show(sync.clone()));
    let mut cluster = Cluster::start(folder.path());
    let leader = runtime.block_on(cluster.leader());
    println!("idle: {}", cluster.memory());

    let alone = runtime.block_on(load(vec![cluster.socket(leader)], Duration::from_secs(5)));
    println!("1 client at the leader: {}", show(alone.clone()));
    let budget = at(&sorted(sync), 50) * 1.5 + 1.0;
    println!(
        "   median {:.2} ms of the wanted {budget:.2} ms (1.5 x fdatasync + 1 ms)",
        at(&sorted(alone), 50)
    );
    let follower = (0..3).find(|n| *n != leader).expect("three");
    let through = runtime.block_on(load(vec![cluster.socket(follower)], Duration::from_secs(5)));
    println!("1 client at a follower: {}", show(through));

    for clients in [8, 32, 128] {
        let sockets = (0..clients).map(|_| cluster.socket(leader)).collect();
        let all = runtime.block_on(load(sockets, Duration::from_secs(10)));
        println!(
            "{clients} clients at the leader, snapshots every 1 000 entries: {}",
            show(all)
        );
    }

    let sockets = (0..8).map(|_| cluster.socket(leader)).collect();
    let running = runtime.spawn(load(sockets, Duration::from_secs(12)));
    std::thread::sleep(Duration::from_secs(3));
    cluster.kill(follower);
    std::thread::sleep(Duration::from_secs(2));
    cluster.spawn(follower);
    let all = runtime.block_on(running).expect("no panic");
    println!(
        "8 clients, a follower killed and back after 2 s: {}",
        show(all)
    );
    println!("after all that: {}", cluster.memory());

    let big = big();
    println!("a CIB of {:.1} MB", big.to_string().len() as f64 / 1e6);
    let began = boot_us();
    runtime.block_on(async {
        let mut client = Client::connect(&cluster.socket(leader))
            .await
            .expect("the daemon answers");
        write(
            &mut client,
            1,
            Command::modify("resources", big).or_create(),
        )
        .await;
    });
    println!("   written in {:.0} ms; {}", since(began), cluster.memory());
    std::thread::sleep(Duration::from_secs(5));
    let all = runtime.block_on(load(vec![cluster.socket(leader)], Duration::from_secs(10)));
    println!("   1 client on it: {}; {}", show(all), cluster.memory());
}

fn folder() -> tempfile::TempDir {
    let below = std::env::var_os("SYSTOLE_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    tempfile::Builder::new()
        .prefix("writes")
        .tempdir_in(below)
        .expect("a writable folder")
}

/// What the disk alone costs, in milliseconds.
fn sync_cost(folder: &Path) -> Vec<f64> {
    let mut file = std::fs::File::create(folder.join("sync")).expect("a writable folder");
    let block = [7_u8; 4096];
    let one = |_| {
        let began = boot_us();
        file.write_all(&block)
            .and_then(|()| file.sync_data())
            .expect("the disk takes it");
        since(began)
    };
    (0..500).map(one).collect()
}

/// Writes from as many clients as there are sockets, each as soon as its last one is acknowledged; milliseconds.
async fn load(sockets: Vec<PathBuf>, span: Duration) -> Vec<f64> {
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = sockets
        .into_iter()
        .enumerate()
        .map(|(n, socket)| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let mut client = Client::connect(&socket).await.expect("the daemon answers");
                let mut all = Vec::new();
                let id = uuid::Uuid::new_v4();
                while !stop.load(Ordering::Relaxed) {
                    let began = boot_us();
                    let seq = all.len() as u64 + 1;
                    let request = AdminRequest::Write {
                        client: id,
                        seq,
                        command: Box::new(one(n, seq)),
                    };
                    match client.call(&request).await {
                        Ok(AdminAnswer::Written(_)) => all.push(since(began)),
                        other => panic!("{other:?}"),
                    }
                }
                all
            })
        })
        .collect();
    tokio::time::sleep(span).await;
    stop.store(true, Ordering::Relaxed);
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.expect("no panic"));
    }
    // The span, for the rate.
    all.push(-span.as_secs_f64() * 1000.0);
    all
}

/// One pair of its own for each client.
fn one(client: usize, value: u64) -> Command {
    let pair = Element::new("nvpair")
        .with("id", format!("bench-{client}"))
        .with("name", format!("bench-{client}"))
        .with("value", value.to_string());
    let set = Element::new("cluster_property_set")
        .with("id", "bench")
        .with_child(pair);
    Command::modify("crm_config", set).or_create()
}

/// Ten megabytes of resources that nobody starts.
fn big() -> Element {
    let mut all = Element::new("resources");
    for n in 0..1500 {
        let mut set = Element::new("instance_attributes").with("id", format!("r{n}-p"));
        for p in 0..80 {
            set.push(
                Element::new("nvpair")
                    .with("id", format!("r{n}-p-{p}"))
                    .with("name", format!("p{p}"))
                    .with("value", "some text that is as long as paths are"),
            );
        }
        let stopped = Element::new("nvpair")
            .with("id", format!("r{n}-t"))
            .with("name", "target-role")
            .with("value", "Stopped");
        let meta = Element::new("meta_attributes")
            .with("id", format!("r{n}-m"))
            .with_child(stopped);
        all.push(
            Element::new("primitive")
                .with("id", format!("r{n}"))
                .with("class", "ocf")
                .with("provider", "systole")
                .with("type", "Dummy")
                .with_child(set)
                .with_child(meta),
        );
    }
    all
}

async fn write(client: &mut Client, seq: u64, command: Command) {
    let request = AdminRequest::Write {
        client: uuid::Uuid::new_v4(),
        seq,
        command: Box::new(command),
    };
    match client.call(&request).await {
        Ok(AdminAnswer::Written(answer)) => assert_eq!(answer.outcome.message(), None),
        other => panic!("{other:?}"),
    }
}

/// Three daemons; their processes end with it.
struct Cluster {
    folder: PathBuf,
    daemons: BTreeMap<usize, Child>,
}

impl Cluster {
    fn start(folder: &Path) -> Self {
        let mut cluster = Self {
            folder: folder.to_owned(),
            daemons: BTreeMap::new(),
        };
        for n in 0..3 {
            let name = format!("n{n}");
            let address = TcpListener::bind(format!("127.0.0.{}:0", n + 1))
                .and_then(|listener| listener.local_addr())
                .expect("a free port")
                .to_string();
            let node = ["--name", &name, "--address", &address];
            if n == 0 {
                cluster.run(0, &[&["init"], &node[..]].concat());
            } else {
                let token = String::from_utf8(cluster.run(0, &["token"]).stdout).expect("text");
                cluster.run(n, &[&["join"], &node[..], &[token.trim()]].concat());
            }
            cluster.spawn(n);
            cluster.until(n, &["crm", "cluster", "wait", "5"]);
        }
        // Nothing is to happen but the writes.
        cluster.run(
            0,
            &[
                "crm",
                "configure",
                "property",
                "maintenance-mode=true",
                "stonith-enabled=false",
            ],
        );
        cluster
    }

    fn home(&self, n: usize) -> PathBuf {
        self.folder.join(format!("n{n}"))
    }

    fn socket(&self, n: usize) -> PathBuf {
        self.home(n).join("systole.sock")
    }

    fn command(&self, n: usize) -> std::process::Command {
        #[expect(clippy::disallowed_methods, reason = "a bench needs no process group")]
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_systole"));
        command
            .env("SYSTOLE_DIR", self.home(n))
            .env_remove("CIB_file");
        command
    }

    fn run(&self, n: usize, words: &[&str]) -> Output {
        let output = self
            .command(n)
            .args(words)
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{words:?}: {output:?}");
        output
    }

    fn until(&self, n: usize, words: &[&str]) {
        let end = Mono::now().plus(30_000);
        while !self
            .command(n)
            .args(words)
            .output()
            .is_ok_and(|o| o.status.success())
        {
            assert!(Mono::now() < end, "{words:?} fails for 30 s");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn spawn(&mut self, n: usize) {
        let daemon = self
            .command(n)
            .args(["daemon", "--dir"])
            .arg(self.home(n))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.daemons.insert(n, daemon.expect("the program starts"));
    }

    fn kill(&mut self, n: usize) {
        if let Some(mut daemon) = self.daemons.remove(&n) {
            // It may have ended by itself.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }

    async fn leader(&self) -> usize {
        let mut client = Client::connect(&self.socket(0))
            .await
            .expect("the daemon answers");
        match client.call(&AdminRequest::Status).await {
            Ok(AdminAnswer::Status(status)) => status.leader.map_or(0, |id| id.0 as usize - 1),
            other => panic!("{other:?}"),
        }
    }

    /// Proportional set sizes.
    fn memory(&self) -> String {
        let mut all = Vec::new();
        for (n, daemon) in &self.daemons {
            let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", daemon.id()))
                .unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            let kib: f64 = line
                .and_then(|l| l.trim().trim_end_matches(" kB").parse().ok())
                .unwrap_or(0.0);
            all.push(format!("n{n} {:.1} MiB", kib / 1024.0));
        }
        format!("PSS {}", all.join(", "))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for n in 0..3 {
            self.kill(n);
        }
        // The guards see that their daemons ended, stop what ran (nothing does), and end.
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// Milliseconds since then.
fn since(began_us: u64) -> f64 {
    boot_us().saturating_sub(began_us) as f64 / 1000.0
}

fn sorted(mut all: Vec<f64>) -> Vec<f64> {
    all.retain(|ms| *ms >= 0.0);
    all.sort_by(f64::total_cmp);
    all
}

fn at(sorted: &[f64], percent: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(last * percent / 100)
        .copied()
        .unwrap_or(f64::NAN)
}

/// Median, p99, greatest; and the rate, where the span is known (it stands in the list as a negative number).
fn show(all: Vec<f64>) -> String {
    let span = all.iter().find(|ms| **ms < 0.0).map(|ms| -ms / 1000.0);
    let all = sorted(all);
    let rate = span.map_or(String::new(), |s| {
        format!(", {:.0} writes/s", all.len() as f64 / s)
    });
    format!(
        "median {:.2} p99 {:.2} max {:.2} ms{rate}",
        at(&all, 50),
        at(&all, 99),
        at(&all, 100)
    )
}
