//! Values that are not for every eye, told by their names: `show` prints a mask in their place (design §6), as crmsh does
//! with its `obscure` patterns. Where a mask is read again it stands for the value that is there.

use std::sync::LazyLock;

use glob::{MatchOptions, Pattern};
use regex::Regex;

use crate::xml::Element;

/// What stands in place of a value.
pub(crate) const MASK: &str = "******";

/// Parts of names whose values are secret whatever is said.
pub(crate) const WORDS: &str = "passw|secret|token|community";

static SECRET: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("(?i){WORDS}")).ok());

/// Which values are masked: those with secret names, and those that somebody asked for.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    more: Vec<Pattern>,
}

impl Secrets {
    /// Names that this pattern of a shell fits are meant, too.
    pub(crate) fn and(&mut self, glob: &str) -> Result<(), String> {
        let pattern = Pattern::new(glob).map_err(|error| format!("{glob:?}: {error}"))?;
        self.more.push(pattern);
        Ok(())
    }

    fn are(&self, name: &str) -> bool {
        let case = MatchOptions {
            case_sensitive: false,
            ..MatchOptions::default()
        };
        SECRET.as_ref().is_none_or(|secret| secret.is_match(name))
            || self
                .more
                .iter()
                .any(|pattern| pattern.matches_with(name, case))
    }

    /// The element, a configuration or a patch, with masks. A reference to a secret (`lrm://`) is none.
    pub(crate) fn masked(&self, element: &Element) -> Element {
        let mut masked = element.clone();
        self.mask(&mut masked);
        masked
    }

    fn mask(&self, element: &mut Element) {
        let is_secret = |pair: &Element| match (pair.get("name"), pair.get("value")) {
            (Some(name), Some(value)) => {
                self.are(name) && !value.is_empty() && !value.starts_with("lrm://")
            }
            _ => false,
        };
        if is_secret(element) {
            element.set("value", MASK);
        }
        // In a patch the new value stands twice: as what is set, and in what comes of it.
        let result = element.child("change-result");
        if element.is("change") && result.is_some_and(|result| result.children().any(is_secret)) {
            let list = element.child_mut("change-list");
            for attr in list.into_iter().flat_map(Element::children_mut) {
                if attr.get("name") == Some("value") {
                    attr.set("value", MASK);
                }
            }
        }
        for child in element.children_mut() {
            self.mask(child);
        }
    }
}

/// Why a mask can't be read: this name has one for its value, and no value is known that it would stand for.
pub(crate) fn unknown(name: &str) -> String {
    format!("{name} has a mask for its value, and what it hides is not known")
}

/// What helps against that.
pub(crate) const CURE: &str =
    "give the value itself: show hides it, crm configure save FILE does not";

/// Put back what masks stand for: the value of the same id in the former version, and where nothing has an id (the language
/// names none), the value of the same name there; the name of a value that is not known, or not for sure.
pub(crate) fn unmask(element: &mut Element, former: Option<&Element>) -> Result<(), String> {
    if element.get("value") == Some(MASK)
        && let Some(name) = element.get("name").map(str::to_owned)
    {
        let value = match (former, element.id()) {
            (None, _) => None,
            (Some(former), Some(id)) => former
                .find_id(id)
                .filter(|pair| pair.get("name") == Some(&name))
                .and_then(|pair| pair.get("value")),
            (Some(former), None) => only_value(former, &name),
        };
        let Some(value) = value else {
            return Err(name);
        };
        element.set("value", value);
    }
    let mut children = element.children_mut();
    children.try_for_each(|child| unmask(child, former))
}

/// The value of this name, if there is one and not two.
fn only_value<'e>(element: &'e Element, name: &str) -> Option<&'e str> {
    let mut found = Vec::new();
    collect(element, name, &mut found);
    found.dedup();
    match found.as_slice() {
        [value] => Some(value),
        _ => None,
    }
}

fn collect<'e>(element: &'e Element, name: &str, found: &mut Vec<&'e str>) {
    if element.get("name") == Some(name) {
        found.extend(element.get("value"));
    }
    for child in element.children() {
        collect(child, name, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, parse, write};

    fn read(text: &str) -> Element {
        parse(text, &Limits::CIB).expect("XML")
    }

    const FENCE: &str = "<primitive id=\"f\"><instance_attributes id=\"f-i\">\
        <nvpair id=\"f-1\" name=\"ip\" value=\"192.0.2.1\"/><nvpair id=\"f-2\" name=\"passwd\" value=\"hunter2\"/>\
        <nvpair id=\"f-3\" name=\"snmp_priv_password\" value=\"lrm://\"/></instance_attributes></primitive>";

    #[test]
    fn a_mask_stands_for_the_value_and_is_read_as_it() {
        let fence = read(FENCE);
        let mut secrets = Secrets::default();
        let masked = secrets.masked(&fence);
        let text = write::compact(&masked);
        assert!(
            !text.contains("hunter2") && text.contains("192.0.2.1"),
            "{text}"
        );
        assert!(text.contains("lrm://"), "{text}");
        secrets.and("i*").expect("a pattern");
        let text = write::compact(&secrets.masked(&fence));
        assert!(!text.contains("192.0.2.1"), "{text}");
        assert!(secrets.and("[").is_err());
        let mut back = masked;
        unmask(&mut back, Some(&fence)).expect("known");
        assert_eq!(back, fence);
    }

    #[test]
    fn a_patch_tells_no_secret_either() {
        let old = read(FENCE);
        let mut new = old.clone();
        let set = new.child_mut("instance_attributes").expect("there");
        set.nodes_mut().remove(1);
        set.push(read(
            "<nvpair id=\"f-2\" name=\"passwd\" value=\"correct-horse\"/>",
        ));
        set.push(read(
            "<nvpair id=\"f-4\" name=\"auth_token\" value=\"battery\"/>",
        ));
        let whole = |primitive: Element| Element::new("cib").with_child(primitive);
        let patch = crate::cib::patch::diff(&whole(old), &whole(new)).to_element();
        let (open, masked) = (
            write::compact(&patch),
            write::compact(&Secrets::default().masked(&patch)),
        );
        for secret in ["correct-horse", "battery"] {
            assert!(open.contains(secret), "{open}");
            assert!(!masked.contains(secret), "{masked}");
        }
    }

    #[test]
    fn a_mask_without_a_former_value_is_refused_by_name() {
        let mut new = Secrets::default().masked(&read(FENCE));
        assert_eq!(unmask(&mut new, None), Err("passwd".to_owned()));
        let other = read("<primitive id=\"f\"/>");
        assert_eq!(unmask(&mut new, Some(&other)), Err("passwd".to_owned()));
    }
}
