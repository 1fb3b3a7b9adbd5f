//! Real services on the hosts, started by their agents without a cluster: what the examples build on.

use std::path::Path;
use std::time::Duration;

use systole::demo::lab::Lab;
use systole::demo::service;

use crate::vip::lab;

pub(crate) const SCENARIOS: &[crate::Scenario] = &[
    (
        "service::committed_rows_survive_a_power_cut",
        committed_rows_survive_a_power_cut,
    ),
    (
        "service::nginx_answers_on_the_address",
        nginx_answers_on_the_address,
    ),
];

/// Runs our agent with a parameter per word; it must succeed.
fn agent(lab: &Lab, host: &str, kind: &str, action: &str, parameters: &[(&str, &str)]) {
    let installed = lab.ocf_root().join("resource.d/systole").join(kind);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("agents/ocf/systole")
        .join(kind);
    let program = if installed.exists() {
        installed
    } else {
        shipped
    };
    let names: Vec<String> = parameters
        .iter()
        .map(|(name, _)| format!("OCF_RESKEY_{name}"))
        .collect();
    let mut env: Vec<(&str, String)> = names
        .iter()
        .zip(parameters)
        .map(|(name, (_, value))| (name.as_str(), (*value).to_owned()))
        .collect();
    env.push(("HA_RSCTMP", "/run/resource-agents".to_owned()));
    env.push(("OCF_RESOURCE_INSTANCE", kind.to_owned()));
    let output = lab
        .run(
            host,
            &[program.to_str().unwrap(), action],
            &env,
            Duration::from_secs(60),
        )
        .unwrap();
    assert_eq!(output.code, 0, "{kind} {action} on {host}: {}", output.err);
}

const ADDRESS: &[(&str, &str)] = &[("ip", "10.77.0.100")];

fn committed_rows_survive_a_power_cut() {
    if let Err(e) = service::check("postgres") {
        crate::skip(&e.to_string());
        return;
    }
    let lab = lab(2);
    service::prepare(&lab, "postgres").unwrap();
    let database: &[(&str, &str)] = &[
        ("command", "/run/systole-lab/bin/lab-database"),
        ("args", "/run/systole-lab/shared/postgres"),
        ("logfile", "/run/database.log"),
    ];
    let start = |host: &str| {
        lab.run(
            host,
            &["mkdir", "-p", "/run/resource-agents"],
            &[],
            Duration::from_secs(5),
        )
        .unwrap();
        agent(&lab, host, "process", "start", database);
        agent(&lab, host, "IPaddr2", "start", ADDRESS);
    };
    start("host1");
    service::before_fault(&lab, "postgres").unwrap();
    lab.crash("host1").unwrap();
    start("host2");
    let told = service::after_fault(&lab, "postgres").unwrap();
    println!("{}", told.unwrap());
    agent(&lab, "host2", "process", "stop", database);
}

fn nginx_answers_on_the_address() {
    if let Err(e) = service::check("web") {
        crate::skip(&e.to_string());
        return;
    }
    let lab = lab(1);
    service::prepare(&lab, "web").unwrap();
    let nginx: &[(&str, &str)] = &[
        ("command", "/usr/sbin/nginx"),
        ("args", "-c /run/systole-lab/nginx.conf"),
    ];
    lab.run(
        "host1",
        &["mkdir", "-p", "/run/resource-agents"],
        &[],
        Duration::from_secs(5),
    )
    .unwrap();
    agent(&lab, "host1", "process", "start", nginx);
    agent(&lab, "host1", "IPaddr2", "start", ADDRESS);
    let told = service::after_fault(&lab, "web").unwrap();
    assert!(told.unwrap().contains("served through the virtual address"));
}
