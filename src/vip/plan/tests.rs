//! Text in: links and addresses as lines, parameters as words. Text out: steps.

use std::collections::BTreeMap;

use super::*;
use crate::vip::param;

/// `1 lo loop`, `2 eth0 up|down|nocable`, then `2 10.0.0.1/24 [secondary] [label=L]`, `route 2 10.9.0.0/16`.
fn seen(text: &str) -> Seen {
    let mut seen = Seen::default();
    for line in text.split(';').map(str::trim).filter(|l| !l.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let net = |word: &str| {
            let (ip, prefix) = word.split_once('/').unwrap();
            (ip.parse::<IpAddr>().unwrap(), prefix.parse::<u8>().unwrap())
        };
        if words[0] == "route" {
            let (destination, prefix) = net(words[2]);
            seen.routes.push(SeenRoute {
                link: words[1].parse().unwrap(),
                destination,
                prefix,
            });
        } else if words[1].contains('/') {
            let (ip, prefix) = net(words[1]);
            seen.addresses.push(SeenAddress {
                link: words[0].parse().unwrap(),
                ip,
                prefix,
                label: words
                    .iter()
                    .find_map(|w| w.strip_prefix("label="))
                    .map(str::to_owned),
                broadcast: None,
                secondary: words.contains(&"secondary"),
                tentative: false,
                dad_failed: words.contains(&"dadfailed"),
            });
        } else {
            seen.links.push(SeenLink {
                index: words[0].parse().unwrap(),
                name: words[1].to_owned(),
                up: words[2] != "down",
                carrier: words[2] == "up" || words[2] == "loop",
                state: words[2].to_owned(),
                broadcast: words[2] != "loop",
                loopback: words[2] == "loop",
                ..SeenLink::default()
            });
        }
    }
    seen
}

fn wanted(text: &str) -> Wanted {
    let env: BTreeMap<String, String> = text
        .split_whitespace()
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (format!("OCF_RESKEY_{name}"), value.to_owned())
        })
        .collect();
    param::read(&env, false).unwrap().wanted
}

fn show(steps: &[Step]) -> String {
    let show = |step: &Step| match step {
        Step::LinkUp { link } => format!("up {link}"),
        Step::Remove { link, ip, prefix } => format!("remove {link} {ip}/{prefix}"),
        Step::Add(a) => {
            let mut text = format!("add {} {}/{}", a.link, a.ip, a.prefix);
            if let Some(label) = &a.label {
                text += &format!(" label={label}");
            }
            if let Some(broadcast) = a.broadcast {
                text += &format!(" brd={broadcast}");
            }
            text
        }
    };
    steps.iter().map(show).collect::<Vec<_>>().join("; ")
}

fn started(param: &str, kernel: &str) -> String {
    match start(&wanted(param), &seen(kernel)) {
        Ok((_, steps)) => show(&steps),
        Err(refusal) => format!("{}: {}", refusal.exit, refusal.reason),
    }
}

const HOST: &str = "1 lo loop; 1 127.0.0.1/8; 2 eth0 up; 2 10.0.0.1/24; 3 eth1 up; 3 10.0.0.2/16;";

#[test]
fn start_finds_the_most_specific_subnet() {
    assert_eq!(
        started("ip=10.0.0.9", HOST),
        "add 2 10.0.0.9/24 brd=10.0.0.255"
    );
    assert_eq!(
        started("ip=10.0.7.9", HOST),
        "add 3 10.0.7.9/16 brd=10.0.255.255"
    );
    assert_eq!(
        started("ip=10.0.0.9 nic=eth1", HOST),
        "add 3 10.0.0.9/16 brd=10.0.255.255"
    );
    assert_eq!(
        started("ip=10.0.0.9 nic=eth1 cidr_netmask=32", HOST),
        "add 3 10.0.0.9/32"
    );
    assert_eq!(
        started("ip=192.0.2.7", &format!("{HOST} route 3 192.0.2.0/28")),
        "add 3 192.0.2.7/28 brd=192.0.2.15"
    );
    assert!(started("ip=192.0.2.7", HOST).starts_with("5: parameter nic: missing, and no"));
    assert!(started("ip=10.0.0.9 nic=eth7", HOST).starts_with("5: parameter nic: interface eth7"));
}

#[test]
fn start_is_idempotent_and_repairs() {
    let with = |line: &str| format!("{HOST} {line}");
    assert_eq!(started("ip=10.0.0.9", &with("2 10.0.0.9/24 secondary")), "");
    assert_eq!(
        started("ip=10.0.0.9 iflabel=web", &with("2 10.0.0.9/24 label=eth0")),
        "remove 2 10.0.0.9/24; add 2 10.0.0.9/24 label=eth0:web brd=10.0.0.255"
    );
    assert_eq!(
        started("ip=10.0.0.9 nic=eth0", &with("3 10.0.0.9/32")),
        "1: address 10.0.0.9 is already on interface eth1; remove it there, or set nic=eth1"
    );
    assert_eq!(
        started("ip=10.0.0.9 lvs_support=true", &with("1 10.0.0.9/32")),
        "remove 1 10.0.0.9/32; add 2 10.0.0.9/24 brd=10.0.0.255"
    );
    assert_eq!(
        started("ip=10.0.0.9 nic=eth0 cidr_netmask=24", "2 eth0 down"),
        "up 2; add 2 10.0.0.9/24 brd=10.0.0.255"
    );
    assert!(
        started("ip=10.0.0.9 iflabel=averylonglabel", HOST)
            .starts_with("2: parameter iflabel: 'eth0:averylonglabel' is longer")
    );
}

#[test]
fn stop_keeps_other_addresses() {
    let stopped = |param: &str, kernel: &str| show(&stop(&wanted(param), &seen(kernel)));
    assert_eq!(stopped("ip=10.0.0.9", HOST), "");
    assert_eq!(stopped("ip=10.0.0.9 nic=gone", HOST), "");
    assert_eq!(
        stopped(
            "ip=10.0.0.9",
            "2 eth0 up; 2 10.0.0.9/24; 2 10.0.0.1/24 secondary label=eth0"
        ),
        "remove 2 10.0.0.9/24; add 2 10.0.0.1/24 label=eth0"
    );
    assert_eq!(
        stopped(
            "ip=10.0.0.9",
            "2 eth0 up; 2 10.0.0.1/24; 2 10.0.0.9/24 secondary"
        ),
        "remove 2 10.0.0.9/24"
    );
}

#[test]
fn monitor_sees_address_label_and_link() {
    let health = |param: &str, kernel: &str| match check(&wanted(param), &seen(kernel)) {
        Health::Running { link } => format!("running {link}"),
        Health::NotRunning { reason } => format!("not running: {reason}"),
        Health::Failed { reason } => format!("failed: {reason}"),
    };
    let vip = "ip=10.0.0.9 nic=eth0";
    assert_eq!(health(vip, "2 eth0 up; 2 10.0.0.9/24"), "running 2");
    assert_eq!(
        health(vip, "2 eth0 up"),
        "not running: address 10.0.0.9 is not on interface eth0"
    );
    assert_eq!(
        health(vip, "3 eth1 up"),
        "not running: interface eth0 does not exist"
    );
    assert_eq!(
        health(vip, "2 eth0 nocable; 2 10.0.0.9/24"),
        "failed: interface eth0 has no link (state nocable); check cable and switch"
    );
    assert_eq!(
        health(vip, "2 eth0 down; 2 10.0.0.9/24"),
        "failed: interface eth0 is down; `ip link set eth0 up` brings it back"
    );
    assert_eq!(
        health(
            "ip=10.0.0.9 check_link_status=false",
            "2 eth0 nocable; 2 10.0.0.9/24"
        ),
        "running 2"
    );
    assert_eq!(
        health(
            "ip=10.0.0.9 iflabel=a",
            "2 eth0 up; 2 10.0.0.9/24 label=eth0"
        ),
        "failed: address 10.0.0.9 has label 'eth0', not 'eth0:a'"
    );
}

#[test]
fn ipv6() {
    let kernel = "2 eth0 up; 2 2001:db8::1/64";
    assert_eq!(started("ip=2001:db8::9", kernel), "add 2 2001:db8::9/64");
    assert_eq!(
        started("ip=2001:db9::9 nic=eth0", kernel),
        "add 2 2001:db9::9/128"
    );
}
