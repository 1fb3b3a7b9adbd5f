//! What our own shell has beside the words of others, on three daemons: what a drill foretells is what then happens, and a
//! doctor sees every machine.

use serde_json::Value;

use super::lab::{PROGRAM, Stage, on_stage};

pub(crate) const SCENARIOS: &[crate::Scenario] = &[("operator::foresees", "/", || {
    on_stage(|stage| {
        drill(stage);
        doctor(stage);
    });
})];

/// The answer of our shell, as JSON, and its exit code.
fn crm(stage: &Stage<'_>, line: &str) -> (i32, Value) {
    let words: Vec<&str> = [PROGRAM, "crm"]
        .into_iter()
        .chain(line.split(' '))
        .collect();
    let ran = stage.run(&stage.lab.names()[0], &words);
    let value = serde_json::from_str(&ran.out);
    (
        ran.code,
        value.unwrap_or_else(|e| panic!("{line}: {e}: {}", ran.text())),
    )
}

fn verdict<'v>(verdicts: &'v Value, host: &str, rsc: &str) -> &'v Value {
    let of = |list: &'v Value, name: &str, word: &str| {
        let mut all = list.as_array().unwrap().iter();
        all.find(|it| it[name] == *word)
            .unwrap_or_else(|| panic!("no {word} in {verdicts:#}"))
    };
    of(&of(verdicts, "failure", host)["resources"], "resource", rsc)
}

/// One resource may go anywhere, the other one runs on one host alone.
fn drill(stage: &Stage<'_>) {
    let hosts = stage.lab.names();
    let text = format!(
        "primitive free ocf:systole:Dummy op monitor interval=10s\n\
         primitive bound ocf:systole:Dummy op monitor interval=10s\n\
         location free-here free 100: {0}\nlocation bound-there bound 100: {1}\n\
         location bound-not-a bound -inf: {0}\nlocation bound-not-c bound -inf: {2}\n",
        hosts[0], hosts[1], hosts[2]
    );
    stage.cluster.load(&text).unwrap();
    stage.settle();
    assert_eq!(stage.runs_on("free"), [hosts[0].clone()]);
    assert_eq!(stage.runs_on("bound"), [hosts[1].clone()]);

    let (code, told) = crm(stage, "drill --all-single-failures --json");
    assert_eq!(code, 113, "{told:#}");
    assert_eq!(told.as_array().unwrap().len(), 3);
    assert_eq!(verdict(&told, &hosts[0], "free")["verdict"], "moves");
    assert_eq!(verdict(&told, &hosts[1], "bound")["verdict"], "lost");
    assert_eq!(verdict(&told, &hosts[2], "free")["verdict"], "survives");

    let line = format!("drill --node {} --really --json", hosts[1]);
    let ran = stage.sh(&hosts[0], &format!("{PROGRAM} crm {line}"));
    assert_eq!(ran.code, 107, "{}", ran.text());
    assert_eq!(stage.runs_on("bound"), [hosts[1].clone()]);

    let line = format!("drill --node {} --really --json", hosts[0]);
    let (code, told) = crm(stage, &line);
    assert_eq!(code, 0, "{told:#}");
    let away = told["resources"].as_array().unwrap();
    let free = away.iter().find(|it| it["resource"] == "free").unwrap();
    assert!(
        free["back"] == true && free["expected_ms"].is_u64(),
        "{told:#}"
    );
    assert!(!away.iter().any(|it| it["resource"] == "bound"), "{told:#}");
    // The host was let in again, and what it preferred to run is there.
    assert_eq!(stage.count("//nvpair[@name='standby'][@value='on']"), 0);
    stage.settle();
    assert_eq!(stage.runs_on("free"), [hosts[0].clone()]);
}

/// Every machine answers, and the one that alone can run something is a danger.
fn doctor(stage: &Stage<'_>) {
    let hosts = stage.lab.names();
    let (code, told) = crm(stage, "doctor --json");
    let all = told.as_array().unwrap();
    let found = |kind: &str| all.iter().find(|it| it["kind"] == kind);
    assert_eq!(code, 2, "{told:#}");
    for kind in ["silent", "not-reached", "agent-missing", "no-guard"] {
        assert!(found(kind).is_none(), "{told:#}");
    }
    let single = found("single-point").unwrap_or_else(|| panic!("{told:#}"));
    assert_eq!(single["object"], hosts[1].as_str());
    assert_eq!(single["command"], format!("crm drill --node {}", hosts[1]));
}
