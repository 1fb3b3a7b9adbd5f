//! Debian's agents for replicated databases, unchanged. They live by the cluster's tools: promotion scores with
//! crm_attribute, who is promoted from crm_mon, what happens to others from notifications. Three daemons, real servers, a
//! power cut of the host of the promoted one, and a client who counts.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use systole::clock::wall_ms;
use systole::demo::cluster::Cluster;
use systole::demo::lab::{CLIENT, Lab, Plan};

use crate::lab::{PROGRAM, Ran, Stage, furnish, machine};

pub(crate) const SCENARIOS: &[crate::Scenario] = &[
    (
        "agents::redis",
        "/usr/bin/redis-server /usr/bin/redis-cli /usr/lib/ocf/resource.d/heartbeat/redis",
        redis,
    ),
    (
        "agents::pgsql",
        "/usr/lib/postgresql /usr/lib/ocf/resource.d/heartbeat/pgsql",
        pgsql,
    ),
];

const VIP: &str = "10.77.0.100";

/// Fencing, and what is promoted found under an address.
const COMMON: &str = "\
property stonith-enabled=true no-quorum-policy=stop
rsc_defaults resource-stickiness=100
primitive power stonith:fence_hook params hook=\"/run/systole-lab/bin/fence_netns\" pcmk_host_check=none
primitive vip ocf:systole:IPaddr2 params ip=10.77.0.100 cidr_netmask=24 op start timeout=20s interval=0 op stop timeout=20s interval=0 op monitor interval=10s timeout=20s
colocation vip-with-promoted inf: vip db-clone:Promoted
order promoted-then-vip Mandatory: db-clone:promote vip:start symmetrical=false
";

fn on_stage(play: impl FnOnce(&Stage<'_>)) {
    furnish();
    let lab = Lab::build(Plan {
        hosts: 3,
        program: PathBuf::from(PROGRAM),
        fence_delay: Duration::from_millis(5),
        service_network: false,
        disks: None,
    })
    .unwrap();
    let known = lab.names().into_iter();
    let known = known.map(|host| format!("{} {host}\n", lab.ip(&host)));
    let hosts: String = known.collect();
    fs::write(
        machine().join("hosts"),
        format!("127.0.0.1 localhost\n{hosts}"),
    )
    .unwrap();
    let cluster = Cluster::found(&lab, None).unwrap();
    cluster.await_all_online(30_000).unwrap();
    play(&Stage {
        lab: &lab,
        cluster: &cluster,
    });
    cluster.check_daemons().unwrap();
}

/// A line of shell that must succeed.
fn sh(stage: &Stage<'_>, host: &str, line: &str) -> String {
    let ran = stage.sh(host, line);
    assert_eq!(ran.code, 0, "{line} on {host}: {}", ran.text());
    ran.out
}

/// Who is promoted, if it is one.
fn promoted(stage: &Stage<'_>) -> Option<String> {
    let found = stage.instances("db").into_iter();
    let mut hosts = found.filter(|(_, role)| role == "Promoted" || role == "Master");
    let first = hosts.next().map(|(host, _)| host);
    first.filter(|_| hosts.next().is_none())
}

/// What the hosts say of themselves, for a test that fails.
fn state(stage: &Stage<'_>) -> String {
    let host = stage.host();
    let Ran { out, err, .. } = stage.sh(&host, "crm_mon -1 -A -f -r; crm_mon --output-as=xml");
    format!("{out}{err}{}", stage.logs())
}

fn until(stage: &Stage<'_>, what: &str, limit_s: u64, is_so: impl Fn() -> bool) {
    let so = stage.until(Duration::from_secs(limit_s), is_so);
    assert!(so, "{what} is not so within {limit_s} s:\n{}", state(stage));
}

/// Someone else than before is promoted, and is alone.
fn taken_over(stage: &Stage<'_>, old: &str) -> String {
    until(stage, "another one is promoted", 40, || {
        promoted(stage).is_some_and(|host| host != old)
    });
    let new = promoted(stage).unwrap();
    let fenced = stage.lab.switch_log();
    assert!(!fenced.is_empty(), "nobody was fenced");
    new
}

fn redis() {
    on_stage(|stage| {
        let config = "bind 0.0.0.0\nprotected-mode no\nport 6379\ndir /run/redis-data\nrepl-diskless-sync-delay 0\n\
                      repl-timeout 5\nreplica-priority 100\nloglevel notice\nlogfile /run/redis-data/log\n";
        for host in stage.lab.names() {
            let line = format!(
                "mkdir -p /run/redis-data && cat > /run/redis-data/redis.conf <<X\n{config}\nX\nchown -R redis /run/redis-data"
            );
            sh(stage, &host, &line);
        }
        let configuration = format!(
            "{COMMON}primitive db ocf:heartbeat:redis params config=/run/redis-data/redis.conf rundir=/run/redis \
             op start timeout=60s interval=0 op stop timeout=30s interval=0 op promote timeout=30s interval=0 \
             op demote timeout=30s interval=0 op notify timeout=30s interval=0 op monitor interval=2s timeout=20s \
             op monitor interval=3s role=Promoted timeout=20s\n\
             clone db-clone db meta promotable=true notify=true interleave=true\n"
        );
        stage.cluster.load(&configuration).unwrap();
        until(stage, "one is promoted", 60, || promoted(stage).is_some());
        let old = promoted(stage).unwrap();
        let cli = |what: &str| stage.sh(CLIENT, &format!("timeout 1 redis-cli -h {VIP} {what}"));
        until(stage, "two replicas follow", 40, || {
            cli("info replication").out.contains("connected_slaves:2")
        });
        let wrote = sh(
            stage,
            CLIENT,
            &format!(
                "for i in $(seq 200); do echo set key-$i $i; done | redis-cli -h {VIP} | grep -c OK"
            ),
        );
        assert_eq!(wrote.trim(), "200");
        assert_eq!(cli("wait 2 2000").out.trim(), "2", "both have it");
        let fault = Instant::now();
        stage.lab.crash(&old).unwrap();
        let limit = fault + Duration::from_secs(40);
        while !cli("set after yes").out.contains("OK") {
            assert!(
                Instant::now() < limit,
                "nobody takes writes:\n{}",
                state(stage)
            );
        }
        let outage = fault.elapsed();
        let new = taken_over(stage, &old);
        assert_eq!(cli("get key-137").out.trim(), "137");
        assert_eq!(cli("dbsize").out.trim(), "201", "{}", state(stage));
        until(stage, "the other one follows", 40, || {
            cli("info replication").out.contains("connected_slaves:1")
        });
        println!(
            "redis: {old} lost, {new} promoted, writes again after {} ms",
            outage.as_millis()
        );
    });
}

/// The programs of the newest PostgreSQL here.
fn programs() -> String {
    let entries = fs::read_dir("/usr/lib/postgresql").unwrap().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path().join("bin")).collect();
    folders.retain(|folder| folder.join("postgres").exists());
    folders.sort();
    folders
        .pop()
        .expect("a PostgreSQL server")
        .display()
        .to_string()
}

fn pgsql() {
    on_stage(|stage| {
        let bin = programs();
        let hosts = stage.lab.names();
        furnish_primary(stage, &bin, &hosts);
        let configuration = format!(
            "{COMMON}primitive db ocf:heartbeat:pgsql params pgctl={bin}/pg_ctl psql={bin}/psql pgdata=/run/pg/data \
             socketdir=/run/pg logfile=/run/pg/log tmpdir=/run/pg/tmp rep_mode=sync node_list=\"{}\" master_ip={VIP} \
             repuser=postgres primary_conninfo_opt=\"connect_timeout=2\" xlog_check_count=1 stop_escalate=5 \
             op start timeout=60s interval=0 op stop timeout=60s interval=0 op promote timeout=60s interval=0 \
             op demote timeout=60s interval=0 op notify timeout=60s interval=0 op monitor interval=2s timeout=30s \
             op monitor interval=3s role=Promoted timeout=30s\n\
             clone db-clone db meta promotable=true notify=true interleave=true\n",
            hosts.join(" ")
        );
        stage.cluster.load(&configuration).unwrap();
        until(stage, "one is promoted", 60, || promoted(stage).is_some());
        let old = promoted(stage).unwrap();
        let psql = format!("timeout 2 {bin}/psql -h {VIP} -U postgres -qAt -c");
        let ask = |sql: &str| stage.sh(CLIENT, &format!("{psql} \"{sql}\" postgres"));
        until(
            stage,
            "a standby is synchronous, and may be promoted",
            60,
            || {
                let sync =
                    ask("select count(*) from pg_stat_replication where sync_state = 'sync'");
                let score = |host: &String| {
                    let line = format!("crm_attribute -l reboot -N {host} -n master-db -G -q");
                    stage.sh(&old, &line).out.trim() == "100"
                };
                sync.out.trim() == "1" && hosts.iter().any(score)
            },
        );
        ask("create table counted (n int primary key)");
        let acks = stage.lab.dir().join("acks");
        let script = format!(
            "n=1; while :; do {psql} \"insert into counted values ($n)\" postgres && echo $n $(date +%s%3N) >> {}; n=$((n+1)); done",
            acks.display()
        );
        stage
            .lab
            .start(
                CLIENT,
                "counter",
                &["/bin/sh", "-c", &script],
                &stage.environment(CLIENT),
            )
            .unwrap();
        thread::sleep(Duration::from_secs(3));
        let before = acknowledged(&acks).len();
        assert!(before > 5, "the client is slow: {before}\n{}", state(stage));
        let fault_ms = wall_ms();
        stage.lab.crash(&old).unwrap();
        until(stage, "commits are taken again", 60, || {
            acknowledged(&acks)
                .last()
                .is_some_and(|(_, at_ms)| *at_ms > fault_ms + 200)
        });
        let new = taken_over(stage, &old);
        thread::sleep(Duration::from_secs(1));
        let told = acknowledged(&acks);
        let there: BTreeSet<u64> = ask("select n from counted")
            .out
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect();
        let lost: Vec<u64> = told
            .iter()
            .map(|(n, _)| *n)
            .filter(|n| !there.contains(n))
            .collect();
        assert!(
            lost.is_empty(),
            "acknowledged and lost: {lost:?}\n{}",
            state(stage)
        );
        let last = told
            .iter()
            .rev()
            .find(|(_, at_ms)| *at_ms <= fault_ms)
            .unwrap()
            .1;
        let first = told
            .iter()
            .find(|(_, at_ms)| *at_ms > fault_ms + 200)
            .unwrap()
            .1;
        println!(
            "pgsql: {old} lost, {new} promoted, no commit for {} ms; {} acknowledged, all of them there",
            first - last,
            told.len()
        );
    });
}

/// The same data on all hosts: a first server that runs without the cluster, copied by the others, and stopped.
fn furnish_primary(stage: &Stage<'_>, bin: &str, hosts: &[String]) {
    let (first, others) = hosts.split_first().unwrap();
    for host in hosts {
        sh(
            stage,
            host,
            "mkdir -p /run/pg && chown postgres: /run/pg && chmod 2775 /run/pg",
        );
    }
    let run =
        |host: &str, line: &str| sh(stage, host, &format!("su postgres -s /bin/sh -c '{line}'"));
    run(
        first,
        &format!("{bin}/initdb -A trust -D /run/pg/data >/dev/null"),
    );
    let settings = "listen_addresses = '*'\nport = 5432\nunix_socket_directories = '/run/pg'\nwal_level = replica\n\
                    max_wal_senders = 5\nhot_standby = on\nwal_sender_timeout = 2s\nwal_receiver_timeout = 2s\n\
                    wal_retrieve_retry_interval = 200ms\nwal_receiver_status_interval = 1s\nwal_keep_size = 64MB\n\
                    shared_buffers = 16MB\nmax_connections = 20\ncluster_name = 'counted'\n";
    let access =
        "host all postgres 10.77.0.0/24 trust\nhost replication postgres 10.77.0.0/24 trust\n";
    let add = format!(
        "cat >> /run/pg/data/postgresql.conf <<X\n{settings}X\ncat >> /run/pg/data/pg_hba.conf <<X\n{access}X\n"
    );
    sh(stage, first, &add);
    run(
        first,
        &format!("{bin}/pg_ctl -D /run/pg/data -l /run/pg/log -w start >/dev/null"),
    );
    for host in others {
        let from = stage.lab.ip(first);
        run(
            host,
            &format!("{bin}/pg_basebackup -h {from} -U postgres -D /run/pg/data -c fast"),
        );
    }
    run(
        first,
        &format!("{bin}/pg_ctl -D /run/pg/data -m fast -w stop >/dev/null"),
    );
}

/// Commits that the client was told of, and when.
fn acknowledged(file: &Path) -> Vec<(u64, i64)> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let pair = |line: &str| {
        let (n, at_ms) = line.split_once(' ')?;
        Some((n.parse().ok()?, at_ms.trim().parse().ok()?))
    };
    // The last line may be half written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter_map(pair).collect()
}
