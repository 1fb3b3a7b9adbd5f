use super::*;

use crate::cli::language::{Document, Mode, parse_all};
use crate::xml::Element;

fn source(file: &str, text: &str) -> Source {
    Source {
        file: file.to_owned(),
        text: text.to_owned(),
        kind: None,
        node: None,
    }
}

fn nothing(_: &str, pattern: &str) -> Result<Vec<(String, String)>, String> {
    Err(format!("{pattern} is not there"))
}

pub(super) fn around() -> Surroundings<'static> {
    Surroundings {
        here: "here",
        alerts: "/agents",
        include: &nothing,
    }
}

pub(super) fn imported(sources: &[Source]) -> Import {
    import(sources, &around()).unwrap_or_else(|broken| panic!("{broken}"))
}

/// The configuration, which the crm shell's reader takes, too.
pub(super) fn text(import: &Import) -> String {
    let text = import.text().unwrap_or_else(|broken| panic!("{broken}"));
    let objects = parse_all(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut document = Document::new(Element::new("configuration"));
    document
        .put_all(objects, Mode::Create)
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    text
}

pub(super) fn broken(text: &str, kind: Kind) -> String {
    let source = Source {
        kind: Some(kind),
        ..source("f", text)
    };
    let result = import(&[source], &around()).and_then(|import| import.text());
    let broken = result.expect_err("it is broken");
    assert!(broken.cure.is_some(), "no cure: {broken}");
    broken.to_string()
}

/// `LINE VERDICT` of each note about a thing that begins so.
pub(super) fn told(import: &Import, what: &str) -> Vec<String> {
    let about = import
        .notes
        .iter()
        .filter(|note| note.what.starts_with(what));
    about
        .map(|note| format!("{} {}", note.at.line, note.verdict.word()))
        .collect()
}

const TWO: &str = "\
totem {
    version: 2
    cluster_name: web
    transport: knet
    crypto_cipher: aes256
    token: 10000
    interface {
        mcastport: 5500
    }
}
nodelist {
    node {
        ring0_addr: 192.0.2.1
        ring1_addr: 2001:db8::1
        name: n1
        nodeid: 1
    }
    node {
        ring0_addr: 192.0.2.2
        name: n2
        quorum_votes: 2
    }
}
quorum {
    provider: corosync_votequorum
    two_node: 1
    wait_for_all: 1
    auto_tie_breaker: 0
    # a comment: with a colon
}
logging { \n    to_syslog: yes\n}
";

#[test]
fn corosync_becomes_the_founding_of_a_cluster() {
    let read = imported(&[source("corosync.conf", TWO)]);
    assert_eq!(
        read.steps,
        [
            "systole init --name n1 --address 192.0.2.1:5500 --address [2001:db8::1]:5500 --cluster web",
            "systole join --name n2 --address 192.0.2.2:5500 TOKEN   # the token with: systole token",
            "profile = \"wan\" in /var/lib/systole/node.toml of each node, or systole daemon --profile wan",
            "crm cluster two-node on   # needs fence devices; or else: systole token --role witness",
        ]
    );
    assert_eq!(told(&read, "quorum_votes: 2"), ["21 no equivalent"]);
    assert_eq!(told(&read, "crypto_cipher"), ["5 not needed"]);
    assert_eq!(told(&read, "wait_for_all"), ["27 not needed"]);
    assert_eq!(told(&read, "auto_tie_breaker"), ["28 not needed"]);
    assert_eq!(text(&read), "");
}

#[test]
fn a_quorum_device_becomes_a_witness() {
    let conf = "quorum {\n device {\n model: net\n net {\n host: qnet.example\n algorithm: ffsplit\n }\n }\n \
                last_man_standing: 1\n}\n";
    let read = imported(&[source("corosync.conf", conf)]);
    assert!(read.steps[0].starts_with("systole join --name witness --address qnet.example"));
    assert_eq!(told(&read, "device net"), ["2 became"]);
    assert_eq!(told(&read, "last_man_standing"), ["9 no equivalent"]);
}

#[test]
fn broken_corosync_is_told_by_line() {
    for (text, says) in [
        (
            "totem {\n version: 2\n",
            "f:1: the section totem is never closed",
        ),
        ("totem {\n}\n}\n", "f:3: a } closes nothing"),
        ("totem {\n version 2\n}\n", "f:2: \"version 2\" is neither"),
        ("totem {\n token: soon\n}\n", "f:2: \"soon\" is no number"),
        (
            "nodelist {\n node {\n name: a\n }\n}\n",
            "f:2: this node has no ring0_addr",
        ),
    ] {
        let told = broken(text, Kind::Corosync);
        assert!(told.starts_with(says), "{told}");
    }
}

const OLD_CIB: &str = r#"<cib validate-with="pacemaker-1.2" epoch="5" num_updates="0" admin_epoch="0">
  <configuration>
    <crm_config>
      <cluster_property_set id="cib-bootstrap-options">
        <nvpair id="o1" name="stonith-enabled" value="false"/>
        <nvpair id="o2" name="dc-version" value="1.1.10"/>
        <nvpair id="o3" name="no-such-option" value="1"/>
      </cluster_property_set>
    </crm_config>
    <nodes>
      <node id="1" uname="n1"/>
      <node id="2" uname="n2"><instance_attributes id="n2a"><nvpair id="n2a-r" name="rack" value="a"/></instance_attributes></node>
    </nodes>
    <resources>
      <master id="ms">
        <meta_attributes id="ms-m"><nvpair id="ms-m-1" name="master-max" value="1"/></meta_attributes>
        <primitive id="s" class="ocf" provider="pacemaker" type="Stateful"/>
      </master>
      <primitive id="v" class="ocf" provider="heartbeat" type="IPaddr2">
        <instance_attributes id="v-i"><nvpair id="v-i-ip" name="ip" value="192.0.2.9"/></instance_attributes>
      </primitive>
    </resources>
    <constraints>
      <rsc_colocation id="c" rsc="v" with-rsc="ms" with-rsc-role="Master" score="INFINITY"/>
    </constraints>
  </configuration>
  <status><node_state id="1" uname="n1"/></status>
</cib>"#;

#[test]
fn an_old_cib_comes_in_the_words_of_today() {
    let read = imported(&[source("cib.xml", OLD_CIB)]);
    let text = text(&read);
    assert!(text.contains("clone ms s"), "{text}");
    assert!(text.contains("promotable=true"), "{text}");
    assert!(text.contains("colocation c inf: v ms:Master"), "{text}");
    assert!(!text.contains("dc-version"), "{text}");
    assert!(
        text.contains("rack=a") && !text.contains("node 1"),
        "{text}"
    );
    assert_eq!(told(&read, "dc-version"), ["6 not needed"]);
    assert_eq!(told(&read, "no-such-option"), ["7 no equivalent"]);
    assert_eq!(told(&read, "master ms"), ["15 became"]);
    assert_eq!(told(&read, "status"), ["27 not needed"]);
    assert_eq!(read.steps.len(), 2);
}

#[test]
fn nodes_that_did_not_join_are_left_out() {
    let mut read = imported(&[source("cib.xml", OLD_CIB)]);
    assert_eq!(read.keep_nodes(&["n1".to_owned()]), ["n2"]);
    assert!(!text(&read).contains("rack=a"));
}

#[test]
fn a_broken_cib_is_told_by_line() {
    for (text, says) in [
        ("<cib>\n<configuration>\n</cib>", "f:3: "),
        ("<cib/>", "f:1: it has no <configuration>"),
        ("<html/>", "f:1: <html> is no part of a CIB"),
        (
            "<cib validate-with='pacemaker-3.0' admin_epoch='0' epoch='0' num_updates='0'>\n<configuration>\n\
             <crm_config/><nodes/><resources>\n<primitive id='a'/></resources><constraints/></configuration><status/></cib>",
            "f:4: ",
        ),
        (
            "<configuration><resources/><constraints>\n<rsc_location id='l' rsc='gone' node='n' score='1'/></constraints>\
             <nodes><primitive id='x'/></nodes></configuration>",
            "f:2: <primitive> does not belong into <nodes>",
        ),
    ] {
        let told = broken(text, Kind::Cib);
        assert!(told.starts_with(says), "{told}");
    }
}

#[test]
fn a_script_of_the_crm_shell_is_its_configuration() {
    let script = "configure\nprimitive a ocf:pacemaker:Dummy \\\n  op monitor interval=10s\n\
                  crm configure location l a 100: n1\ncommit\nend\nresource start a\n\
                  xml <primitive id=\"b\" class=\"ocf\" provider=\"pacemaker\" type=\"Dummy\"/>\n";
    let read = imported(&[source("a.crm", script)]);
    let text = text(&read);
    assert!(
        text.contains("location l a 100: n1") && text.contains("primitive b"),
        "{text}"
    );
    assert_eq!(told(&read, "location l"), ["4 became"]);
    assert_eq!(told(&read, "commit"), ["5 not needed"]);
    assert_eq!(told(&read, "resource start a"), ["7 no equivalent"]);
    for (script, says) in [
        ("primitive a\n\nprimitive b ocf:x:y pasams a=b\n", "f:1: "),
        (
            "primitive b ocf:x:y\nprimitive c ocf:x:y params a='b\n",
            "f:2: the quote",
        ),
        (
            "primitive b ocf:x:y\ngroup g b c\n",
            "f:2: g: there is no resource \"c\"",
        ),
    ] {
        let told = broken(script, Kind::Crm);
        assert!(told.starts_with(says), "{told}");
    }
}

#[test]
fn the_content_says_what_a_file_is() {
    assert_eq!(Kind::of(OLD_CIB), Some(Kind::Cib));
    assert_eq!(Kind::of(TWO), Some(Kind::Corosync));
    assert_eq!(
        Kind::of("! a comment\nglobal_defs {\n}\n"),
        Some(Kind::Keepalived)
    );
    assert_eq!(
        Kind::of("@lb1 vrrp_instance A {\n}\n"),
        Some(Kind::Keepalived)
    );
    assert_eq!(
        Kind::of("# a comment\nprimitive a ocf:x:y\n"),
        Some(Kind::Crm)
    );
    assert_eq!(Kind::of("Dear reader,\n"), None);
}

/// Whatever is read, nothing panics, and what comes out is read again.
#[test]
fn text_of_any_kind_is_read_or_refused() {
    use proptest::prelude::*;
    let words = prop::sample::select(vec![
        "vrrp_instance",
        "VI_1",
        "{",
        "}",
        "\n",
        " ",
        "virtual_ipaddress",
        "10.0.0.1/24",
        "dev",
        "eth0",
        "priority",
        "100",
        "track_script",
        "vrrp_script",
        "script",
        "\"",
        "'",
        "weight",
        "-5",
        "$A=b",
        "$A",
        "${A}",
        "@h ",
        "@^h ",
        "include",
        "x",
        "\\\n",
        "!",
        "#",
        "vrrp_sync_group",
        "group",
        "notify_master",
        "global_defs",
        ":",
        "node",
        "ring0_addr: 1.2.3.4",
        "quorum",
        "device",
        "model: net",
        "primitive",
        "ocf:a:b",
        "location",
        "rule",
        "<cib>",
        "</cib>",
        "é",
        "\u{0}",
        "=",
        "track_interface",
        "virtual_routes",
        "via",
        "unicast_peer",
        "notification_email",
    ]);
    let texts = prop::collection::vec(words, 0..60).prop_map(|words| words.concat());
    let any = prop_oneof![texts, ".{0,80}"];
    proptest!(ProptestConfig::with_cases(400), |(text in any)| {
        for kind in [Kind::Cib, Kind::Crm, Kind::Corosync, Kind::Keepalived] {
            let source = Source { kind: Some(kind), ..source("f", &text) };
            if let Ok(import) = import(&[source], &around())
                && let Ok(text) = import.text()
            {
                prop_assert!(parse_all(&text).is_ok(), "{}", text);
            }
        }
    });
}
