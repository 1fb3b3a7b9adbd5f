//! What stays here: values of passwords and of other names that somebody lists. The names stay in the report, so that one
//! sees that there was a value.

use regex::{Captures, Regex};

use crate::{
    cli::{failure::Failure, language::SECRET_WORDS},
    xml::Element,
};

/// What stands in place of a value.
const MASK: &str = "****";

/// Names whose values are secret whatever is said: a report leaves the house, so that a word more is masked than on a screen.
fn names() -> String {
    format!("[a-z_-]*(?:{SECRET_WORDS}|private)[a-z0-9_-]*")
}

/// Which names are meant.
#[derive(Debug)]
pub(super) struct Masks {
    names: Regex,
    /// `name=value` and its kin up to the value.
    assigned: Regex,
    /// What follows then.
    value: Regex,
    /// The same as two attributes of an element.
    pair: Regex,
}

impl Masks {
    /// With these names besides.
    pub(super) fn new(more: &[String]) -> Result<Self, Failure> {
        let mut names = names();
        for pattern in more {
            Regex::new(pattern).map_err(|error| {
                Failure::usage(format!("-p {pattern}: {error}")).cure("a regular expression")
            })?;
            names.push_str(&format!("|{pattern}"));
        }
        let regex =
            |text: &str| Regex::new(text).map_err(|error| Failure::usage(format!("-p: {error}")));
        Ok(Masks {
            names: regex(&format!("(?i)^(?:{names})$"))?,
            assigned: regex("([A-Za-z0-9_.-]+)[\"']?\\s*[=:]\\s*")?,
            value: regex("^(?:\"[^\"\n]*\"?|'[^'\n]*'?|[^\\s\"',;]+)")?,
            pair: regex("(name=[\"']([^\"']*)[\"']\\s+value=)(?:\"[^\"]*\"|'[^']*')")?,
        })
    }

    /// Masks values in a document; how many there were.
    pub(super) fn element(&self, element: &mut Element) -> usize {
        let mut count = 0;
        let secret = element
            .get("name")
            .is_some_and(|name| self.names.is_match(name));
        if secret && element.has("value") {
            element.set("value", MASK);
            count += 1;
        }
        let named: Vec<String> = element
            .attrs()
            .filter(|(name, _)| self.names.is_match(name))
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in named {
            element.set(&name, MASK);
            count += 1;
        }
        count
            + element
                .children_mut()
                .map(|child| self.element(child))
                .sum::<usize>()
    }

    /// Masks values in lines.
    pub(super) fn text(&self, text: &str) -> String {
        let text = self.pair.replace_all(text, |found: &Captures<'_>| {
            match self.names.is_match(&found[2]) {
                true => format!("{}\"{MASK}\"", &found[1]),
                false => found[0].to_owned(),
            }
        });
        let (mut masked, mut at) = (String::new(), 0);
        while let Some(found) = self.assigned.captures_at(&text, at) {
            // What follows a harmless name is looked at, too: a secret may be assigned in it.
            let end = found.get_match().end();
            masked.push_str(&text[at..end]);
            at = end;
            let secret = self.names.is_match(&found[1]);
            if secret && let Some(value) = self.value.find(&text[at..]) {
                masked.push_str(MASK);
                at += value.end();
            }
        }
        masked + &text[at..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, parse, write};

    #[test]
    fn values_of_secret_names_stay_here() {
        let masks = Masks::new(&["pin.*".to_owned()]).expect("a pattern");
        let text = "<a><nvpair name=\"passwd\" value=\"x1\"/><nvpair name=\"ip\" value=\"x2\"/>\
                    <nvpair name=\"pincode\" value=\"x3\"/><b password=\"x4\"/></a>";
        let mut element = parse(text, &Limits::CIB).expect("XML");
        assert_eq!(masks.element(&mut element), 3);
        let text = write::compact(&element);
        for (word, there) in [("x1", false), ("x2", true), ("x3", false), ("x4", false)] {
            assert_eq!(text.contains(word), there, "{word}: {text}");
        }
        let of = |text: &str| masks.text(text);
        let line = of("fence: login=root passwd=hunter2 pincode: 4711, ip=1.2.3.4");
        assert_eq!(
            line,
            "fence: login=root passwd=**** pincode: ****, ip=1.2.3.4"
        );
        assert_eq!(of("why: passwd=\"two words\", x"), "why: passwd=****, x");
        assert_eq!(of("{\"passwd\": \"a\"}"), "{\"passwd\": ****}");
        let logged = "<nvpair id=\"i\" name=\"passwd\" value=\"x y\"/>";
        assert_eq!(of(logged), logged.replace("x y", "****"));
        assert!(Masks::new(&["(".to_owned()]).is_err());
    }
}
