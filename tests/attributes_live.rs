//! Transient attributes and alerts against one real daemon on loopback.

#![expect(
    clippy::disallowed_methods,
    reason = "the test starts the program as a person does"
)]

mod one_node;

use std::time::{Duration, Instant};

use one_node::Node;

#[test]
fn attributes_are_dampened_private_counted_and_found_by_pattern() {
    let node = Node::start();
    let updater = |line: &str| node.ok(&format!("attrd_updater {line}"));
    let in_cib = |name: &str| {
        let text = node.ok("cibadmin --query --scope status");
        text.lines()
            .find(|line| line.contains(&format!("name=\"{name}\"")))
            .map(|line| line.split("value=\"").nth(1).expect("a value").to_owned())
            .map(|rest| rest.split('"').next().expect("a value").to_owned())
    };

    // Without dampening: in the CIB when the tool ends.
    updater("-n plain -U 1");
    assert_eq!(in_cib("plain").as_deref(), Some("1"));
    assert_eq!(
        updater("-n plain -Q"),
        "name=\"plain\" host=\"n1\" value=\"1\"\n"
    );
    updater("-n plain -U value++");
    updater("-n plain -U value+=5");
    assert_eq!(in_cib("plain").as_deref(), Some("7"));

    // With it: known at once, in the CIB later.
    let begun = Instant::now();
    updater("-n damp -d 3s -U 1");
    updater("-n damp -U 2");
    assert_eq!(
        updater("-n damp -Q -A"),
        "name=\"damp\" host=\"n1\" value=\"2\"\n"
    );
    let early = in_cib("damp");
    if begun.elapsed() < Duration::from_secs(3) {
        assert_eq!(early, None);
    }
    while in_cib("damp").is_none() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never written");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(begun.elapsed() >= Duration::from_secs(3));
    assert_eq!(in_cib("damp").as_deref(), Some("2"));

    // A long one is written when all are asked for, or when the dampening changes.
    updater("-n long -d 1h -U 1");
    assert_eq!(in_cib("long"), None);
    updater("-R");
    eventually(|| in_cib("long").as_deref() == Some("1"));
    updater("-n long -U 2");
    updater("-n long -Y -d 0");
    eventually(|| in_cib("long").as_deref() == Some("2"));
    let (code, said) = node.refused("attrd_updater -n nothing -Y -d 5");
    assert_eq!(code, 105);
    assert!(said.contains("Attribute nothing does not exist"), "{said}");

    updater("-n secret -p -U hidden");
    assert_eq!(
        updater("-n secret -Q"),
        "name=\"secret\" host=\"n1\" value=\"hidden\"\n"
    );
    assert_eq!(in_cib("secret"), None);
    assert_eq!(
        node.ok("crm_attribute -n secret -N n1 -l reboot -G -Q"),
        "hidden\n"
    );

    updater("-P ^l -U 9");
    assert_eq!(in_cib("long").as_deref(), Some("9"));
    assert_eq!(in_cib("plain").as_deref(), Some("7"));
    updater("-n long -D");
    assert_eq!(in_cib("long"), None);
    assert_eq!(node.refused("attrd_updater -n never -Q").0, 105);
    assert_eq!(node.refused("attrd_updater -n a -U 1 -N nobody").0, 105);

    // What the other tools write is the same attribute.
    node.ok("crm_attribute -n plain -N n1 -l reboot -v 11");
    assert!(updater("-n plain -Q").contains("value=\"11\""));
    node.ok("crm node status-attr n1 delete plain");
    assert_eq!(in_cib("plain"), None);
    node.ok("crm_attribute --promotion r -N n1 -v 5");
    assert_eq!(in_cib("master-r").as_deref(), Some("5"));
    // Counted where it is written.
    updater("-n fail-count-x#start_0 -U value++");
    updater("-n fail-count-x#start_0 -U value++");
    assert!(updater("-n fail-count-x#start_0 -Q").contains("value=\"2\""));
}

fn eventually(true_at_last: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !true_at_last() {
        assert!(Instant::now() < end, "not within 20 s");
        std::thread::sleep(Duration::from_millis(50));
    }
}
