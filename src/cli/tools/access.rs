//! `cibadmin --show-access`: the CIB with what a user may do to each part, as coloured lines, as headings between the
//! lines, or as name spaces. An element without a mark is like the one around it. // spec cluster §6

use std::collections::BTreeMap;

use crate::{
    cib::acl::Right,
    xml::{Element, Node, write},
};

/// How rights are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Color,
    Text,
    Namespace,
}

/// Where rights change, by the indexes that lead to the element.
type Rights = BTreeMap<Vec<usize>, Right>;

fn word(right: Right) -> &'static str {
    match right {
        Right::Write => "writable",
        Right::Read => "readable",
        Right::Denied => "denied",
    }
}

/// The document with these rights shown.
pub(super) fn render(root: &Element, user: &str, rights: &Rights, style: Style) -> String {
    let mut page = Page {
        rights,
        style,
        out: format!("<!-- ACLs as evaluated for user {user} -->\n"),
    };
    page.element(root, &mut Vec::new(), Right::Denied);
    page.out
}

struct Page<'a> {
    rights: &'a Rights,
    style: Style,
    out: String,
}

impl Page<'_> {
    fn element(&mut self, element: &Element, path: &mut Vec<usize>, around: Right) {
        let own = self.rights.get(path.as_slice()).copied();
        let right = own.unwrap_or(around);
        let marked = own.is_some() || path.is_empty();
        let indent = "  ".repeat(path.len());
        if marked && self.style == Style::Text {
            if !path.is_empty() {
                self.out.push_str(&format!("{indent}\n"));
            }
            let label = match right {
                Right::Write => "WRITABLE",
                Right::Read => "READABLE",
                Right::Denied => "~DENIED~",
            };
            self.out
                .push_str(&format!("{indent}vvv---[ {label} ]---vvv\n"));
        }
        let mut head = element.without_children();
        if marked && self.style == Style::Namespace {
            head.set_tag(&format!("pcmk-access-{}:{}", word(right), element.tag()));
        }
        if path.is_empty() && self.style == Style::Namespace {
            for right in [Right::Write, Right::Read, Right::Denied].map(word) {
                let uri = format!("http://clusterlabs.org/ns/pacemaker/access/{right}");
                head.set(&format!("xmlns:pcmk-access-{right}"), &uri);
            }
        }
        let (colour, plain) = match (self.style, right) {
            (Style::Color, Right::Write) => ("\x1b[32m", "\x1b[0m"),
            (Style::Color, Right::Read) => ("\x1b[34m", "\x1b[0m"),
            (Style::Color, Right::Denied) => ("\x1b[31m", "\x1b[0m"),
            _ => ("", ""),
        };
        let tag = write::compact(&head);
        if element.nodes().is_empty() {
            self.out
                .push_str(&format!("{indent}{colour}{tag}{plain}\n"));
            return;
        }
        let open = tag.strip_suffix("/>").unwrap_or(&tag);
        self.out.push_str(&format!("{indent}{colour}{open}>\n"));
        for (index, node) in element.nodes().iter().enumerate() {
            path.push(index);
            match node {
                Node::Element(child) => self.element(child, path, right),
                Node::Comment(text) => self.out.push_str(&format!("{indent}  <!--{text}-->\n")),
                Node::Text(_) => {}
            }
            path.pop();
        }
        let tag = head.tag();
        self.out
            .push_str(&format!("{indent}{colour}</{tag}>{plain}\n"));
    }
}
