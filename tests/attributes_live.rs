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

/// A script as people have them: it writes what it is told to the file that it was given.
const SCRIPT: &str = "#!/bin/sh\n\
    echo \"$CRM_alert_kind $CRM_alert_node $CRM_alert_rsc$CRM_alert_attribute_name $CRM_alert_task \
    $CRM_alert_rc $CRM_alert_target_rc $CRM_alert_desc$CRM_alert_attribute_value $color\" >> \"$CRM_alert_recipient\"\n";

#[test]
fn an_alert_script_hears_of_a_start_and_of_a_selected_attribute() {
    let node = Node::start();
    // Whoever runs alert agents here, the daemon's user or another one, can reach these.
    let place = node.dir.path().join("alerts");
    std::fs::create_dir(&place).expect("a directory");
    for (path, mode) in [(node.dir.path(), 0o755), (place.as_path(), 0o777)] {
        mode_of(path, mode);
    }
    let (script, heard) = (place.join("tell.sh"), place.join("heard"));
    std::fs::write(&script, SCRIPT).expect("a file");
    mode_of(&script, 0o755);
    let hang = place.join("hang.sh");
    std::fs::write(&hang, "#!/bin/sh\nsleep 600\n").expect("a file");
    mode_of(&hang, 0o755);
    let (script, file) = (script.display(), heard.display());
    node.ok(&format!(
        "crm configure alert a {script} attributes color=red to {file}"
    ));
    node.ok(&format!(
        "crm configure alert b {script} select attributes {{ ping }} to {file}"
    ));
    node.ok(&format!("crm configure alert slow {}", hang.display()));
    let shipped = node.home().join("agents/alert/alert_file");
    let lines = node.dir.path().join("lines");
    node.ok(&format!(
        "crm configure alert c {} to {}",
        shipped.display(),
        lines.display()
    ));
    node.ok("crm configure property stonith-enabled=false");
    let begun = Instant::now();
    node.ok("crm -w configure primitive d ocf:systole:Dummy op monitor interval=10s");
    // An agent that never ends delays nothing; it is killed after 30 s.
    assert!(begun.elapsed() < Duration::from_secs(25));
    node.ok("attrd_updater -n ping -U 5");
    node.ok("attrd_updater -n pong -U 5");
    let says = |line: &str| {
        let text = std::fs::read_to_string(&heard).unwrap_or_default();
        text.lines().any(|l| l == line)
    };
    eventually(|| says("resource n1 d start 0 0 OK red"));
    eventually(|| says("attribute n1 ping    5 "));
    // The probe found what it expected, and nobody asked for the other attribute.
    let text = std::fs::read_to_string(&heard).expect("it was written");
    assert!(!text.contains(" d monitor 7"), "{text}");
    assert!(!text.contains("pong"), "{text}");
    eventually(|| {
        let text = std::fs::read_to_string(&lines).unwrap_or_default();
        text.contains(" resource d: start on n1: OK\n")
    });
    let shown = node.ok("crm configure show");
    assert!(shown.contains("select attributes { ping }"), "{shown}");
}

fn mode_of(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, mode).expect("it is ours");
}
