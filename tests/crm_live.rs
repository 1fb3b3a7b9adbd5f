//! The shell and the tools against one real daemon on loopback, with our own Dummy and Stateful.

#![expect(
    clippy::disallowed_methods,
    reason = "the test starts the program as a person does"
)]

mod one_node;

use std::time::{Duration, Instant};

use one_node::Node;

#[test]
fn commands_reach_the_cluster_and_come_true() {
    let node = Node::start();
    let file = node.dir.path().join("cluster.crm");
    let text = "property stonith-enabled=false\n\
        primitive d ocf:systole:Dummy op monitor interval=10s\n\
        primitive s ocf:systole:Stateful op monitor interval=10s role=Promoted op monitor interval=11s role=Unpromoted\n\
        clone s-clone s meta promotable=true\n";
    std::fs::write(&file, text).expect("a file");
    node.ok(&format!("crm -w configure load update {}", file.display()));
    let status = node.ok("crm status");
    assert!(status.contains("Started n1") && status.contains("Promoted: [ n1 ]"));
    assert!(status.contains("  * Votes: n1\n"), "{status}");
    assert!(status.contains("  * Protection: lease (n1)\n"), "{status}");
    assert!(!status.contains("Troubles:"), "{status}");
    // The node says how new it is.
    let detail = node.ok("crm_mon -1R");
    assert!(detail.contains(", feature set 3."), "{detail}");

    // Past transitions are counted back from the newest, as the crm shell does.
    let before = node.ok("crm history transition -1");
    assert!(before.starts_with("pe-input-"), "{before}");
    let changed = node.ok("crm history diff -1 live");
    assert_eq!(changed, "no difference\n", "nothing was configured since");
    assert!(
        node.ok("crm history help diff")
            .contains("crm history diff -1 live")
    );
    assert!(node.ok("crm help resource").contains("move"));

    // A timeout that changes is taken over by the monitors that run, once.
    node.ok("crm -w configure op_defaults timeout=33s");

    node.ok("crm -w resource stop d");
    let told = node.ok("crm explain d");
    assert!(
        told.starts_with("d does not run: it is told to be stopped"),
        "{told}"
    );
    assert!(told.contains("crm resource start d"), "{told}");
    node.ok("crm -w resource start d");
    node.ok("crm -w resource restart d");
    assert_eq!(
        node.ok("crm resource status d"),
        "resource d is running on: n1\n"
    );

    node.ok("crm -w resource ban d n1");
    let location = node.ok("crm configure show type:location");
    assert_eq!(
        location,
        "location cli-ban-d-on-n1 d role=Started -inf: n1\n"
    );
    let told = node.ok("crm explain d");
    assert!(told.contains("n1: location cli-ban-d-on-n1"), "{told}");
    let status = node.ok("crm status");
    let red = "resource d: stopped: no node may run it";
    assert!(
        status.contains("Troubles:") && status.contains(red),
        "{status}"
    );
    assert!(
        status.contains("; look further: crm explain d\n"),
        "{status}"
    );
    let next = node.ok("crm --complete resource move");
    assert!(next.lines().any(|name| name == "s-clone"), "{next}");
    node.ok("crm -w resource clear d");

    node.ok("crm -w node standby n1");
    let told = node.ok("crm explain d");
    assert!(told.contains("n1: it is in standby"), "{told}");
    assert!(told.contains("crm node online n1"), "{told}");
    node.ok("crm -w node online n1");

    node.ok("crm_attribute -t status -N n1 -n x -v 1");
    assert_eq!(node.ok("crm_attribute -t status -N n1 -n x -G -q"), "1\n");
    assert_eq!(node.ok("crm_node -n"), "n1\n");
    assert!(node.ok("crm_resource -W -r d").contains("running on: n1"));
    assert!(
        node.ok("simulate -L")
            .contains("d\t(ocf:systole:Dummy):\t Started n1")
    );

    let (code, told) = node.refused("crm configure property no-quorum-policy=banana");
    assert!(code == 78 && told.contains("one of stop"), "{code} {told}");
    let (code, told) = node.refused("crm configure primitive e ocf:systole:Dumy");
    assert!(
        code == 78 && told.contains("ocf:systole:Dummy"),
        "{code} {told}"
    );
    let (code, told) = node.refused("crm configure delete d");
    assert!(code != 0 && told.contains("stop it first"), "{code} {told}");
    node.ok("crm configure verify");
}

#[test]
fn what_is_left_of_a_deleted_resource_can_be_cleaned_up() {
    let node = Node::start();
    node.ok("crm configure property stonith-enabled=false stop-orphan-resources=false");
    node.ok("crm -w configure primitive gone ocf:systole:Dummy");
    node.ok("crm -F -w configure delete gone");
    let history = "//lrm_resource[@id='gone']";
    node.ok(&format!("cibadmin -Q --xpath {history}"));
    let said = node.ok("crm resource refresh gone");
    assert_eq!(said, "cleaned up 1 history\n");
    node.refused(&format!("cibadmin -Q --xpath {history}"));
    let (code, told) = node.refused("crm resource refresh gone");
    assert!(code == 105 && told.contains("no resource"), "{told}");
}

/// That it runs nowhere is said on standard error, as Pacemaker's does.
fn nowhere(node: &Node) {
    let told = node.run(&["crm_resource", "-W", "-r", "d"]);
    assert!(told.status.success() && told.stdout.is_empty(), "{told:?}");
    let told = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told, "resource d is NOT running\n");
}

#[test]
fn crm_resource_works_on_a_running_cluster() {
    let node = Node::start();
    node.ok("crm configure property stonith-enabled=false");
    node.ok("crm -w configure primitive d ocf:systole:Dummy op monitor interval=10s");
    node.ok("crm_resource --wait");
    assert!(
        node.ok("crm_resource")
            .contains("d\t(ocf:systole:Dummy):\t Started\n")
    );
    assert_eq!(node.ok("crm_resource -l"), "d\n");
    assert!(
        node.ok("crm_resource -O -r d")
            .contains("d_start_0 (node=n1")
    );
    assert!(
        node.ok("crm_resource -q -r d")
            .contains("<primitive id=\"d\"")
    );
    assert!(node.ok("crm_resource -Y -r d").contains("d is running"));
    assert!(
        node.ok("crm_resource --digests -r d -N n1")
            .contains("(all parameters)")
    );
    assert!(
        node.ok("crm_resource --list-agents ocf:systole")
            .contains("Dummy\n")
    );

    node.ok("crm_resource -r d --meta -p target-role -v Stopped");
    node.ok("crm_resource --wait");
    nowhere(&node);
    assert_eq!(
        node.ok("crm_resource -r d --meta -g target-role"),
        "Stopped\n"
    );
    assert!(
        node.ok("crm_resource -Y -r d")
            .contains("should remain stopped")
    );
    node.ok("crm_resource -r d --meta -d target-role");
    node.ok("crm_resource --wait");

    assert!(
        node.ok("crm_resource -B -r d -N n1 -u PT1H")
            .contains("until: ")
    );
    node.ok("crm_resource --wait");
    nowhere(&node);
    assert_eq!(node.ok("crm_resource -U -r d --expired"), "");
    assert_eq!(
        node.ok("crm_resource -U -r d"),
        "Removing constraint: cli-ban-d-on-n1\n"
    );
    node.ok("crm_resource --wait");
    assert_eq!(node.ok("crm_resource -W -r d -Q"), "n1\n");

    node.ok("crm_resource -C -r d");
    node.ok("crm_resource -R -r d");
    node.ok("crm_resource --wait");
    node.ok("crm_resource --restart -r d");
    node.ok("crm_resource --wait");
    assert_eq!(node.ok("crm_resource -W -r d -Q"), "n1\n");

    // A count that was set by hand goes, too.
    node.ok("crm resource failcount d set n1 3");
    assert!(
        node.ok("crm resource failcount d show n1")
            .ends_with("=3\n")
    );
    node.ok("crm resource failcount d delete n1");
    assert!(
        node.ok("crm resource failcount d show n1")
            .ends_with("=0\n")
    );

    let nodes = node.ok("crm_node -l --output-as=xml");
    assert!(
        nodes.contains("<node id=\"1\" name=\"n1\" state=\"member\"/>"),
        "{nodes}"
    );
    let file = node.dir.path().join("out");
    assert_eq!(
        node.ok(&format!("crm_resource -l --output-to={}", file.display())),
        ""
    );
    assert_eq!(std::fs::read_to_string(file).expect("a file"), "d\n");

    node.ok("crm_ticket -t t -g --force");
    assert_eq!(node.ok("crm_ticket -t t -G granted"), "true\n");
    let (code, told) = node.refused("crm_ticket -t t -r");
    assert!(code == 4 && told.contains("--force"), "{code} {told}");
}

#[test]
fn a_page_is_kept_in_the_background_and_whoever_asked_for_it_goes_on() {
    let node = Node::start();
    let path = |name: &str| node.dir.path().join(name).display().to_string();
    let (page, pid) = (path("page.xml"), path("pid"));
    // Standard output is read to its end here, which comes only when nobody holds it any more.
    let line = format!("crm_mon -d -i 1 --output-as=xml --output-to={page} -p {pid}");
    assert_eq!(node.ok(&line), "");
    let pid: i32 = std::fs::read_to_string(pid)
        .expect("it is there at once")
        .trim()
        .parse()
        .expect("a number");
    let shows = |text: &str| std::fs::read_to_string(&page).is_ok_and(|page| page.contains(text));
    assert!(shows("<pacemaker-result") && !shows("id=\"late\""));
    node.ok("crm -F configure primitive late ocf:systole:Dummy");
    let end = Instant::now() + Duration::from_secs(20);
    while !shows("id=\"late\"") {
        assert!(Instant::now() < end, "the page is not painted again");
        std::thread::sleep(Duration::from_millis(50));
    }
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it still runs");
    let (code, told) = node.refused("crm_mon -d --output-to=/nothing/there/page");
    assert!(
        code == 66 && told.contains("/nothing/there/page"),
        "{code} {told}"
    );
}

#[test]
fn what_was_done_is_kept_explained_and_replayed() {
    let node = Node::start();
    node.ok("crm configure property stonith-enabled=false");
    node.ok("crm -w configure primitive d ocf:systole:Dummy op monitor interval=10s");
    let kept = node.home().join("pengine");
    let history = || -> Vec<serde_json::Value> {
        let text = node.ok("crm history --json");
        serde_json::from_str(&text).expect("JSON")
    };
    let started = |line: &serde_json::Value| line["summary"].to_string().contains("Start d (n1)");
    let end = Instant::now() + Duration::from_secs(10);
    // It is written beside the transition, not before it.
    let line = loop {
        if node.run(&["crm", "history"]).status.success()
            && let Some(line) = history().into_iter().find(started)
        {
            break line;
        }
        assert!(Instant::now() < end, "the start of d is not kept");
        std::thread::sleep(Duration::from_millis(50));
    };
    let name = line["input"].as_str().expect("a name");
    let told = node.ok(&format!("crm explain --transition {name}"));
    assert!(told.contains("Start d (n1)"), "{told}");
    assert!(
        told.contains("start of d on n1\n       because: d is to run on n1"),
        "{told}"
    );

    // What happened, in its order, from what the cluster itself records.
    let log = node.ok("crm history log d");
    let at = |what: &str| {
        log.find(what)
            .unwrap_or_else(|| panic!("no {what:?} in {log}"))
    };
    assert!(at("+d") < at("Start d (n1)") && at("Start d (n1)") < at("start of d on n1: ok"));
    let (code, told) = node.refused("crm history log nothing");
    assert!(code == 105 && told.contains("\"nothing\""), "{told}");

    let graph = node.dir.path().join("graph.xml");
    let file = kept.join(format!("{name}.bz2"));
    node.ok(&format!(
        "simulate -R -x {} -G {}",
        file.display(),
        graph.display()
    ));
    let graph = std::fs::read_to_string(graph).expect("a graph");
    let actions = graph.matches("<synapse").count();
    assert_eq!(Some(actions as u64), line["actions"].as_u64());

    // None are kept any more when none are wanted.
    node.ok("crm -w configure property pe-input-series-max=0");
    let before = history().len();
    node.ok("crm -w resource stop d");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(history().len(), before);
    let (code, told) = node.refused("crm explain --transition 999");
    assert!(code != 0 && told.contains("crm history lists"), "{told}");
}

/// What `/proc` says of a process's memory, in KiB.
fn memory_kib(pid: rustix::process::Pid, what: &str) -> u64 {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let status = std::fs::read_to_string(path).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let number = line.and_then(|rest| rest.strip_prefix(':')?.trim().strip_suffix(" kB"));
    number.expect("a size in kB").parse().expect("a number")
}

#[test]
fn a_guard_with_a_watchdog_keeps_its_program_in_memory_and_little_else() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root may lock memory");
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dog = dir.path().join("dog");
    std::fs::write(&dog, "").expect("writable");
    let node = Node::start_with(&format!("\n[watchdog]\ndevice = {dog:?}\n"));
    let guards = one_node::guards_of(&node.home());
    let [guard] = guards[..] else {
        panic!("one guard, not {guards:?}")
    };
    let program = memory_kib(guard, "VmExe");
    assert!(memory_kib(guard, "VmLck") >= program, "it is locked");
    let end = Instant::now() + Duration::from_secs(10);
    while memory_kib(guard, "VmRSS") < program && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
    }
    let resident = memory_kib(guard, "VmRSS");
    assert!(resident >= program, "{resident} KiB of {program} are there");
    // Constants and libraries are about as much again.
    let most = 2 * program + 64 * 1024;
    assert!(resident < most, "{resident} KiB for a program of {program}");
}
