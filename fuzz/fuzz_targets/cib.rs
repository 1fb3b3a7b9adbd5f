//! Any bytes as a CIB: read, held against the schema, upgraded, planned for, and written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use systole::cib::{Cib, schema, upgrade};
use systole::graph;
use systole::policy::{self, Input};
use systole::xml::{self, Limits, write};

fuzz_target!(|bytes: &[u8]| {
    let Ok(root) = xml::parse(bytes, &Limits::default()) else {
        return;
    };
    let text = write::compact(&root);
    let again = xml::parse(&text, &Limits::default()).expect("what was written can be read");
    assert_eq!(root, again, "nothing is lost when it is written");
    let faults = schema::check(&Cib::new(root.clone()));
    // The door refuses faulty configurations; the policy must survive them all the same.
    let latest = upgrade::latest(&root).unwrap_or(root);
    let outcome = policy::schedule(&latest, &Input::at(1_717_600_000));
    if faults.is_empty() {
        let element = graph::write(&outcome.graph);
        assert_eq!(graph::read(&element).as_ref(), Ok(&outcome.graph));
    }
});
