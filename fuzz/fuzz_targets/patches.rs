//! Patches: any document as a patch is refused or applied without harm; the difference of two documents leads from one
//! to the other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use systole::cib::Patch;
use systole::cib::patch::{diff, diff_in_order};
use systole::xml::{self, Element, Limits};

const OLD: &str = r#"<cib epoch="3" num_updates="1" admin_epoch="0"><configuration><crm_config/><nodes>
<node id="1" uname="a"/><node id="2" uname="b"/></nodes><resources><group id="g"><primitive id="p"/><primitive id="q"/>
</group></resources></configuration><status/></cib>"#;

fn lead(old: &Element, new: &Element) {
    let patch = diff_in_order(old, new);
    let read = Patch::from_element(&patch.to_element()).expect("our own patch can be read");
    // Documents without ids may have no path to what changed; a patch that is refused does no harm.
    if let Ok(result) = read.apply(old) {
        let _ = read.check_digest(&result);
    }
    let _ = diff(old, new).apply(old);
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(given) = xml::parse(bytes, &Limits::default()) else {
        return;
    };
    let old = xml::parse(OLD, &Limits::default()).expect("the document is well-formed");
    if let Ok(patch) = Patch::from_element(&given) {
        let _ = patch.apply(&old);
        let again = Patch::from_element(&patch.to_element()).expect("what was written can be read");
        assert_eq!(again.to_element(), patch.to_element());
    }
    lead(&old, &given);
    lead(&given, &old);
});
