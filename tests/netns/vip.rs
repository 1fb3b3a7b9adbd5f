//! The VIP agent on real interfaces: what it sets, what goes over the wire, what its monitor notices.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use systole::demo::lab::{CLIENT, Lab, Output, Plan};
use systole::demo::prober::Record;

pub(crate) const SCENARIOS: &[crate::Scenario] = &[
    ("vip::moves_in_milliseconds", moves_in_milliseconds),
    (
        "vip::monitor_notices_what_is_gone",
        monitor_notices_what_is_gone,
    ),
    (
        "vip::duplicate_address_is_refused",
        duplicate_address_is_refused,
    ),
    ("vip::ipv6", ipv6),
];

const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn lab(hosts: u8) -> Lab {
    let plan = Plan {
        hosts,
        program: PathBuf::from(env!("CARGO_BIN_EXE_systole")),
        fence_delay: Duration::from_millis(5),
        service_network: false,
        disks: None,
    };
    Lab::build(plan).unwrap()
}

fn agent(lab: &Lab, host: &str, action: &str, parameters: &str) -> Output {
    let mut env = vec![("HA_RSCTMP", "/run/resource-agents".to_owned())];
    let parameters: Vec<(String, String)> = parameters
        .split_whitespace()
        .map(|p| p.split_once('=').unwrap())
        .map(|(name, value)| (format!("OCF_RESKEY_{name}"), value.to_owned()))
        .collect();
    env.extend(
        parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone())),
    );
    let program = lab.ocf_root().join("resource.d/systole/IPaddr2");
    lab.run(
        host,
        &[program.to_str().unwrap(), action],
        &env,
        20 * SECOND,
    )
    .unwrap()
}

fn code(lab: &Lab, host: &str, action: &str, parameters: &str) -> i32 {
    agent(lab, host, action, parameters).code
}

fn shell(lab: &Lab, host: &str, line: &str) -> String {
    let output = lab.run(host, &["sh", "-c", line], &[], 5 * SECOND).unwrap();
    assert_eq!(output.code, 0, "{line}: {}", output.err);
    output.out
}

fn moves_in_milliseconds() {
    let lab = lab(2);
    let vip = "ip=10.77.0.100";
    assert_eq!(
        code(
            &lab,
            "host1",
            "monitor",
            &format!("{vip} CRM_meta_interval=0")
        ),
        7
    );
    assert_eq!(code(&lab, "host1", "start", vip), 0);
    assert_eq!(code(&lab, "host1", "start", vip), 0, "start again");
    let file = lab.log(CLIENT, "prober");
    let program = lab.bin().join("systole");
    let argv = [
        program.to_str().unwrap(),
        "lab-prober",
        "10.77.0.100",
        "5",
        file.to_str().unwrap(),
    ];
    lab.start(CLIENT, "prober.err", &argv, &[]).unwrap();
    let wait_for = |host: &str| {
        let until = Instant::now() + 5 * SECOND;
        loop {
            let record = Record::read(&file).unwrap_or_default();
            if record.answers.last().is_some_and(|a| a.who == host) {
                return record;
            }
            assert!(
                Instant::now() < until,
                "no answer from {host}: {:?}",
                record.answers.last()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for("host1");
    let before = systole::clock::boot_us();
    assert_eq!(code(&lab, "host1", "stop", vip), 0);
    assert_eq!(code(&lab, "host2", "start", vip), 0);
    let record = wait_for("host2");
    let silence = record.silence(before, systole::clock::boot_us());
    println!("moved by hand: {:.1} ms of silence", silence.ms());
    assert!(
        record
            .taken_over(before, "host1")
            .is_some_and(|a| a.who == "host2")
    );
    assert!(silence.ms() < 500.0, "{silence:?}");
    assert_eq!(record.seen_twice(), 0);
    assert_eq!(lab.holders(VIP), ["host2"]);
    assert_eq!(lab.held_twice_us(VIP), 0);
    assert!(!record.claims.is_empty(), "nobody answered who-has");
    assert_eq!(code(&lab, "host1", "stop", vip), 0, "stop again");
    lab.crash("host2").unwrap();
    assert_eq!(lab.holders(VIP), [""; 0]);
    lab.boot("host2").unwrap();
    assert_eq!(code(&lab, "host2", "monitor", vip), 7);
}

fn monitor_notices_what_is_gone() {
    let lab = lab(1);
    let vip = "ip=10.77.0.100 iflabel=web";
    assert_eq!(code(&lab, "host1", "start", vip), 0);
    assert_eq!(code(&lab, "host1", "monitor", vip), 0);
    lab.cut("host1").unwrap();
    let cut = agent(&lab, "host1", "monitor", vip);
    assert_eq!(cut.code, 1, "{cut:?}");
    assert!(
        cut.err
            .contains("ocf-exit-reason:interface eth0 has no link"),
        "{}",
        cut.err
    );
    assert_eq!(
        code(
            &lab,
            "host1",
            "monitor",
            &format!("{vip} check_link_status=false")
        ),
        0
    );
    lab.heal("host1").unwrap();
    // The kernel takes up to a second to notice a carrier.
    let until = Instant::now() + Duration::from_secs(5);
    while code(&lab, "host1", "monitor", vip) != 0 {
        assert!(Instant::now() < until, "the link is back, unnoticed");
        std::thread::sleep(Duration::from_millis(20));
    }

    shell(
        &lab,
        "host1",
        "ip addr del 10.77.0.100/24 dev eth0; ip addr add 10.77.0.100/24 dev eth0",
    );
    let unlabelled = agent(&lab, "host1", "monitor", vip);
    assert_eq!(unlabelled.code, 1, "{unlabelled:?}");
    assert!(
        unlabelled.err.contains("has label 'eth0', not 'eth0:web'"),
        "{}",
        unlabelled.err
    );
    assert_eq!(
        code(&lab, "host1", "start", vip),
        0,
        "start puts the label back"
    );
    assert_eq!(code(&lab, "host1", "monitor", vip), 0);
    shell(&lab, "host1", "ip addr del 10.77.0.100/24 dev eth0");
    assert_eq!(code(&lab, "host1", "monitor", vip), 7);
}

fn duplicate_address_is_refused() {
    let lab = lab(2);
    assert_eq!(code(&lab, "host1", "start", "ip=10.77.0.100"), 0);
    let second = agent(&lab, "host2", "start", "ip=10.77.0.100 run_arping=true");
    assert_eq!(second.code, 1);
    assert!(
        second
            .err
            .contains("in use on the network of interface eth0 by 02:77:00:00:00:01"),
        "{}",
        second.err
    );
    assert_eq!(lab.holders(VIP), ["host1"]);
}

fn ipv6() {
    let lab = lab(2);
    let vip = "ip=2001:db8::100 cidr_netmask=64 nic=eth0";
    assert_eq!(code(&lab, "host1", "start", vip), 0);
    assert_eq!(code(&lab, "host1", "monitor", vip), 0);
    let second = agent(&lab, "host2", "start", vip);
    assert_eq!(second.code, 1, "{second:?}");
    assert!(
        second.err.contains("another machine on the network has it"),
        "{}",
        second.err
    );
    assert_eq!(code(&lab, "host2", "monitor", vip), 7, "taken away again");
    assert_eq!(code(&lab, "host1", "stop", vip), 0);
    assert_eq!(
        code(&lab, "host2", "start", &format!("{vip} nodad=true")),
        0
    );
    assert_eq!(code(&lab, "host2", "stop", vip), 0);
}
