//! Agents that hang, shout, or end as no agent may.

use super::*;

pub(crate) fn misbehaving_agents(lab: &Lab) {
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
