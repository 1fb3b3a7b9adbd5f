//! Digests by which nodes, files and operations are compared: MD5 of the canonical form, in lower-case hexadecimal. They
//! tell accidents, not attacks. // spec cluster §4

use std::fmt::{self, Write};

use md5::{Digest, Md5};

use super::{Element, write};

/// Attributes that say who wrote, not what is.
const BOOKKEEPING: [&str; 5] = [
    "crm-debug-origin",
    "cib-last-written",
    "update-origin",
    "update-client",
    "update-user",
];

/// The digest of a CIB's content, as patches and replaces carry it.
pub fn v2(element: &Element) -> String {
    let mut sink = Sink(Md5::new());
    write::write_compact(element, &mut sink, &|name| !BOOKKEEPING.contains(&name))
        .expect("hashing cannot fail");
    sink.hex()
}

/// The digest of a CIB file (`cib.xml.sig`).
pub fn on_disk(element: &Element) -> String {
    framed(element)
}

/// The digest of an operation's parameters; which of them count is for the caller to say, in whatever order.
pub fn operation<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut sorted: Vec<_> = parameters.into_iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let mut element = Element::new("parameters");
    for (name, value) in sorted {
        element.set(name, value);
    }
    framed(&element)
}

/// The digest of any bytes.
pub fn bytes(bytes: &[u8]) -> String {
    let mut sink = Sink(Md5::new());
    sink.0.update(bytes);
    sink.hex()
}

/// A blank, the element, a newline: the older form of the text.
fn framed(element: &Element) -> String {
    let mut sink = Sink(Md5::new());
    sink.0.update(b" ");
    write::write_compact(element, &mut sink, &|_| true).expect("hashing cannot fail");
    sink.0.update(b"\n");
    sink.hex()
}

struct Sink(Md5);

impl Sink {
    fn hex(self) -> String {
        let mut out = String::with_capacity(32);
        for byte in self.0.finalize() {
            write!(out, "{byte:02x}").expect("writing to a string cannot fail");
        }
        out
    }
}

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        // The digest of no parameters stands in every recorded history.
        assert_eq!(operation([]), "f2317cad3d54cec5d7d7aa7d0bf35cf8");
        assert_eq!(bytes(b""), "d41d8cd98f00b204e9800998ecf8427e");
    }

    #[test]
    fn who_wrote_does_not_count() {
        let a = Element::new("cib").with("epoch", "1");
        let b = a.clone().with("cib-last-written", "today");
        assert_eq!(v2(&a), v2(&b));
        assert_ne!(on_disk(&a), on_disk(&b));
        assert_eq!(
            operation([("b", "2"), ("a", "1")]),
            operation([("a", "1"), ("b", "2")])
        );
    }
}
