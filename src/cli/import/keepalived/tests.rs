use crate::cli::import::tests::{around, broken, imported, text, told};
use crate::cli::import::{Kind, Source, Surroundings, import};

fn of(node: Option<&str>, file: &str, text: &str) -> Source {
    Source {
        file: file.to_owned(),
        text: text.to_owned(),
        kind: Some(Kind::Keepalived),
        node: node.map(str::to_owned),
    }
}

const BOTH: &str = r#"! One file for both balancers
global_defs {
    notification_email {
        ops@example.com
        night@example.com
    }
    notification_email_from lb@example.com
    smtp_server 192.0.2.25
    router_id LVS_DEVEL
}
$NIC=eth0

vrrp_script proxy {
    script "/usr/bin/pgrep -x haproxy"   # is it there?
    interval 2
    weight -20
    fall 3
    rise 2
}

vrrp_instance VI_1 {
    @lb1 state MASTER
    @lb2 state BACKUP
    interface $NIC
    virtual_router_id 51
    @lb1 priority 150
    @^lb1 priority 100
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    virtual_ipaddress {
        192.0.2.100/24 label eth0:1
        192.0.2.101
    }
    virtual_routes {
        198.51.100.0/24 via 192.0.2.1 dev eth0 metric 10
    }
    track_script {
        proxy
    }
    track_interface {
        eth1
        eth2 weight -30
    }
    notify_master "/usr/local/bin/came now"
    smtp_alert
}

virtual_server 192.0.2.100 80 {
    delay_loop 6
    real_server 10.0.0.1 80 {
        weight 1
    }
}
"#;

#[test]
fn one_file_for_two_hosts() {
    let read = imported(&[of(None, "k.conf", BOTH)]);
    let text = text(&read);
    for line in [
        "location VI_1-on-lb1 VI_1 150: lb1",
        "location VI_1-on-lb2 VI_1 100: lb2",
        "location VI_1-if-check-proxy VI_1 \\\n\trule -20: check-proxy eq 0",
        "location VI_1-if-ethmonitor-eth1 VI_1 \\\n\trule -inf: ethmonitor-eth1 eq 0",
        "location VI_1-if-ethmonitor-eth2 VI_1 \\\n\trule -30: ethmonitor-eth2 eq 0",
        "group VI_1 VI_1-ip-1 VI_1-ip-2 VI_1-route-1",
        "resource-stickiness=0",
        "clone check-proxy-clone check-proxy",
        "clone link-eth1-clone link-eth1",
        "iflabel=1",
        "cidr_netmask=32",
        "destination=\"198.51.100.0/24\"",
        "stonith-enabled=false",
        "email_sender=\"lb@example.com\"",
    ] {
        let plain = |text: &str| {
            text.replace(['\t', '"', '\\', '\n'], " ")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert!(
            plain(&text).contains(&plain(line)),
            "{line} is not in\n{text}"
        );
    }
    assert_eq!(told(&read, "virtual_server"), ["51 no equivalent"]);
    assert_eq!(told(&read, "metric 10"), ["38 no equivalent"]);
    assert_eq!(told(&read, "authentication"), ["29 not needed"]);
    assert_eq!(told(&read, "priority"), ["26 became", "27 became"]);
    assert_eq!(told(&read, "notify_master"), ["47 became"]);
    assert_eq!(told(&read, "smtp_server"), ["8 no equivalent"]);
    // A thing is said once, however many hosts a file is for.
    assert_eq!(told(&read, "interface"), ["24 became"]);
}

#[test]
fn a_file_for_each_host() {
    let one = |id: &str, priority: u32, nic: &str, extra: &str| {
        format!(
            "global_defs {{\n router_id {id}\n}}\nvrrp_instance VI_{id} {{\n interface {nic}\n virtual_router_id 7\n \
             priority {priority}\n {extra}\n virtual_ipaddress {{\n 2001:db8::5/64 preferred_lft 0\n }}\n}}\n"
        )
    };
    let read = imported(&[
        of(None, "a.conf", &one("lb1", 200, "eth0", "nopreempt")),
        of(
            Some("two"),
            "b.conf",
            &one("lb2", 90, "ens3", "preempt_delay 30"),
        ),
    ]);
    let text = text(&read);
    assert!(
        text.contains("VI_lb1 200: lb1") && text.contains("VI_lb1 90: two"),
        "{text}"
    );
    assert!(text.contains("resource-stickiness=INFINITY"), "{text}");
    assert!(!text.contains("nic="), "{text}");
    assert_eq!(text.matches("primitive").count(), 1, "{text}");
    assert_eq!(told(&read, "preempt_delay"), ["8 no equivalent"]);
    assert_eq!(told(&read, "vrrp_instance VI_lb2"), ["4 became"]);
}

#[test]
fn instances_of_a_sync_group_are_one_group() {
    let conf = "vrrp_sync_group both {\n group {\n  in\n  out\n }\n notify /bin/told\n}\n\
                vrrp_instance in {\n interface eth0\n virtual_router_id 1\n priority 150\n virtual_ipaddress {\n 10.0.0.1/8\n }\n}\n\
                vrrp_instance out\n{\n interface eth1\n virtual_router_id 2\n priority 120\n virtual_ipaddress { 10.1.0.1/16 }\n notify_fault /bin/x\n}\n";
    let read = imported(&[of(Some("n"), "k.conf", conf)]);
    let text = text(&read);
    assert!(
        text.contains("group both both-in-ip-1 both-out-ip-1"),
        "{text}"
    );
    assert!(text.contains("location both-on-n both 120: n"), "{text}");
    assert!(text.contains("on_any=\"/bin/told\""), "{text}");
    assert!(
        text.contains("resources=\"both-in-ip-1 both-out-ip-1\""),
        "{text}"
    );
    assert_eq!(told(&read, "on_fault"), ["22 no equivalent"]);
    assert_eq!(told(&read, "vrrp_instance out"), ["16 became"]);
}

#[test]
fn files_are_included() {
    let include = |from: &str, pattern: &str| {
        assert_eq!(from, "k.conf");
        assert_eq!(pattern, "conf.d/*.conf");
        let text = "vrrp_instance A {\n virtual_ipaddress {\n 10.0.0.1\n }\n}\n";
        Ok(vec![("conf.d/a.conf".to_owned(), text.to_owned())])
    };
    let around = Surroundings {
        include: &include,
        ..around()
    };
    let source = of(None, "k.conf", "include conf.d/*.conf\n");
    let read = import(&[source], &around).expect("it is read");
    let text = text(&read);
    assert!(text.contains("location A-on-here A 100: here"), "{text}");
    let note = read
        .notes
        .iter()
        .find(|note| note.what == "10.0.0.1")
        .expect("it is told");
    assert_eq!(note.at.to_string(), "conf.d/a.conf:3");
}

#[test]
fn an_instance_without_addresses_has_a_place() {
    let read = imported(&[of(
        Some("n"),
        "k.conf",
        "vrrp_instance A {\n notify_backup /bin/b\n}\n",
    )]);
    let text = text(&read);
    assert!(text.contains("primitive A ocf:systole:Dummy"), "{text}");
    assert!(text.contains("on_backup=\"/bin/b\""), "{text}");
}

#[test]
fn weights_count_as_keepalived_counts_them() {
    let score = |script: &str, track: &str| {
        let conf = format!(
            "vrrp_script s {{\n script /bin/true\n {script}\n}}\nvrrp_instance A {{\n track_script {{\n s {track}\n }}\n}}\n"
        );
        let text = text(&imported(&[of(Some("n"), "k.conf", &conf)]));
        let at = text.find("rule ").expect("there is a rule");
        text[at..].lines().next().expect("a line").to_owned()
    };
    assert_eq!(score("", ""), "rule -inf: check-s eq 0");
    assert_eq!(score("", "reverse"), "rule -inf: check-s eq 1");
    assert_eq!(score("weight 10", ""), "rule 10: check-s eq 1");
    assert_eq!(score("weight -10", ""), "rule -10: check-s eq 0");
    assert_eq!(score("weight 10", "weight -3"), "rule -3: check-s eq 0");
    assert_eq!(score("weight 10", "reverse"), "rule -10: check-s eq 1");
    assert_eq!(score("weight -10", "reverse"), "rule 10: check-s eq 0");
}

#[test]
fn what_is_broken_is_told_by_line() {
    for (text, says) in [
        (
            "vrrp_instance A {\n priority 300\n}\n",
            "f:2: \"300\" is no number from 0 to 255",
        ),
        (
            "vrrp_instance A {\n virtual_ipaddress {\n 10.0.0.300\n }\n}\n",
            "f:3: \"10.0.0.300\" is no address",
        ),
        (
            "vrrp_instance A {\n virtual_ipaddress {\n 10.0.0.3/33\n }\n}\n",
            "f:3: \"33\" is no length",
        ),
        (
            "vrrp_instance A {\n virtual_ipaddress {\n",
            "f:2: the block virtual_ipaddress is never closed",
        ),
        ("vrrp_instance A {\n}\n}\n", "f:3: a } closes nothing"),
        ("vrrp_instance {\n}\n", "f:1: vrrp_instance has no name"),
        ("vrrp_script a {\n script \"x\n}\n", "f:2: the quote"),
        (
            "vrrp_script a {\n interval 2\n}\n",
            "f:1: vrrp_script a has no script",
        ),
        (
            "vrrp_instance A {\n track_script {\n nix\n }\n}\n",
            "f:3: there is no vrrp_script nix",
        ),
        (
            "vrrp_sync_group A {\n group {\n nix\n }\n}\n",
            "f:3: there is no vrrp_instance nix",
        ),
        ("include gone.conf\n", "f:1: gone.conf can't be included"),
        ("{\n}\n", "f:1: a { without a name"),
        ("vrrp_instance ~SEQ(A, 1, 2) {\n}\n", "f:1: ~SEQ("),
    ] {
        let told = broken(text, Kind::Keepalived);
        assert!(told.starts_with(says), "{told}");
    }
    let both = [
        of(Some("n"), "a", "vrrp_instance A {\n}\n"),
        of(Some("n"), "b", "vrrp_instance A {\n}\n"),
    ];
    let told = import(&both, &around())
        .expect_err("one node has one file")
        .to_string();
    assert!(told.contains("both a and this file"), "{told}");
}
