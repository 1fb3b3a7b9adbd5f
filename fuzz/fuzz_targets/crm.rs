//! The crm shell's language: any text is understood or refused with a place in it; what is understood can be printed, and
//! the print says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use systole::cli::language::{Document, Mode, parse_all, statements};
use systole::xml::Element;

fn document(source: &str) -> Option<Document> {
    let mut document = Document::new(Element::new("configuration"));
    document.put_all(parse_all(source).ok()?, Mode::Create).ok()?;
    Some(document)
}

fuzz_target!(|source: &str| {
    if let Err(error) = statements(source) {
        let _ = error.to_string();
    }
    let Some(first) = document(source) else { return };
    let printed = first.show(|_, _| true);
    let Some(second) = document(&printed) else {
        panic!("what was printed is not understood:\n{printed}");
    };
    assert_eq!(second.show(|_, _| true), printed, "printed twice the same");
});
