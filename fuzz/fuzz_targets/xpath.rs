//! XPath expressions from clients: read, and tried on a small CIB.
#![no_main]

use libfuzzer_sys::fuzz_target;
use systole::xml::{self, Limits, XPath};

const DOCUMENT: &str = r#"<cib epoch="3"><configuration><nodes><node id="1" uname="a"/><node id="2" uname="b"/></nodes>
<resources><group id="g"><primitive id="p"/><primitive id="q"/></group></resources></configuration><status/></cib>"#;

fuzz_target!(|text: &str| {
    let Ok(path) = XPath::parse(text) else { return };
    let root = xml::parse(DOCUMENT, &Limits::default()).expect("the document is well-formed");
    if let Ok(all) = path.select(&root) {
        let first = path.first(&root).expect("what selects all selects one");
        assert_eq!(first.is_some(), !all.is_empty());
    }
});
