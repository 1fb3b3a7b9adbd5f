//! Canonical bytes out: compact, without any white space that was not asked for, or indented by two blanks for people.
//! Digests are taken of the compact form, so nothing here may depend on anything but the tree.

use std::fmt::{self, Write};

use super::{Element, Node};

/// One line, nothing between the elements.
pub fn compact(element: &Element) -> String {
    let mut out = String::new();
    write_compact(element, &mut out, &|_| true).expect("writing to a string cannot fail");
    out
}

/// Indented by two blanks, one element per line, with a newline at the end.
pub fn pretty(element: &Element) -> String {
    let mut out = String::new();
    write_pretty(&Node::Element(element.clone()), &mut out, 0)
        .expect("writing to a string cannot fail");
    out
}

/// The compact form, written piece by piece; attributes for which `keep` is false are left out.
pub fn write_compact(
    element: &Element,
    out: &mut impl Write,
    keep: &impl Fn(&str) -> bool,
) -> fmt::Result {
    write_open(element, out, keep)?;
    if element.nodes().is_empty() {
        return out.write_str("/>");
    }
    out.write_char('>')?;
    for node in element.nodes() {
        match node {
            Node::Element(child) => write_compact(child, out, keep)?,
            Node::Comment(text) => write_comment(text, out)?,
            Node::Text(text) => escape(text, out)?,
        }
    }
    write_close(element, out)
}

fn write_pretty(node: &Node, out: &mut impl Write, depth: usize) -> fmt::Result {
    let indent = |out: &mut dyn Write| (0..depth).try_for_each(|_| out.write_str("  "));
    match node {
        Node::Comment(text) => {
            indent(out)?;
            write_comment(text, out)?;
        }
        Node::Text(text) => {
            indent(out)?;
            escape(text, out)?;
        }
        Node::Element(element) => {
            indent(out)?;
            write_open(element, out, &|_| true)?;
            let mixed = element
                .nodes()
                .iter()
                .any(|node| matches!(node, Node::Text(_)));
            if element.nodes().is_empty() {
                out.write_str("/>")?;
            } else if mixed {
                out.write_char('>')?;
                for node in element.nodes() {
                    match node {
                        Node::Element(child) => write_compact(child, out, &|_| true)?,
                        Node::Comment(text) => write_comment(text, out)?,
                        Node::Text(text) => escape(text, out)?,
                    }
                }
                write_close(element, out)?;
            } else {
                out.write_str(">\n")?;
                element
                    .nodes()
                    .iter()
                    .try_for_each(|node| write_pretty(node, out, depth + 1))?;
                indent(out)?;
                write_close(element, out)?;
            }
        }
    }
    out.write_char('\n')
}

fn write_open(
    element: &Element,
    out: &mut impl Write,
    keep: &impl Fn(&str) -> bool,
) -> fmt::Result {
    out.write_char('<')?;
    out.write_str(element.tag())?;
    for (name, value) in element.attrs().filter(|(name, _)| keep(name)) {
        out.write_char(' ')?;
        out.write_str(name)?;
        out.write_str("=\"")?;
        escape(value, out)?;
        out.write_char('"')?;
    }
    Ok(())
}

fn write_close(element: &Element, out: &mut impl Write) -> fmt::Result {
    out.write_str("</")?;
    out.write_str(element.tag())?;
    out.write_char('>')
}

fn write_comment(text: &str, out: &mut impl Write) -> fmt::Result {
    out.write_str("<!--")?;
    out.write_str(text)?;
    out.write_str("-->")
}

/// The text with everything that markup or white space folding would eat as a reference. // spec cluster §4
pub fn escape(text: &str, out: &mut (impl Write + ?Sized)) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(needs_escape) {
        out.write_str(&rest[..at])?;
        out.write_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\t' => "&#x9;",
            b'\n' => "&#xA;",
            _ => "&#xD;",
        })?;
        rest = &rest[at + 1..];
    }
    out.write_str(rest)
}

fn needs_escape(byte: u8) -> bool {
    matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_and_pretty() {
        let mut e = Element::new("a")
            .with("v", "<\"&>\t\n\r'")
            .with_child(Element::new("b"));
        e.nodes_mut().insert(0, Node::comment(" why "));
        assert_eq!(
            compact(&e),
            "<a v=\"&lt;&quot;&amp;&gt;&#x9;&#xA;&#xD;'\"><!-- why --><b/></a>"
        );
        assert_eq!(
            pretty(&e),
            "<a v=\"&lt;&quot;&amp;&gt;&#x9;&#xA;&#xD;'\">\n  <!-- why -->\n  <b/>\n</a>\n"
        );
    }
}
