//! Cluster options by the names that series 2.1 knows. It takes others for absent, and then answers another question.
//! // spec 1 §33

use crate::cib::config::options::OPTIONS;
use crate::xml::Element;

/// The CIB with older names for options that have one; nothing if there is no such option in it.
#[must_use]
pub fn in_older_words(cib: &Element) -> Option<Element> {
    let mut new = cib.clone();
    let section = new.child_mut("configuration")?.child_mut("crm_config")?;
    let mut found = false;
    for set in section.children_mut() {
        for pair in set.children_mut().filter(|pair| pair.is("nvpair")) {
            let known = OPTIONS
                .iter()
                .find(|option| pair.get("name") == Some(option.name));
            if let Some(old) = known.and_then(|option| option.old_name) {
                pair.set("name", old);
                found = true;
            }
        }
    }
    found.then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, parse};

    #[test]
    fn only_options_with_an_older_name_get_it() {
        let cib = |name: &str| {
            let text = format!(
                "<cib><configuration><crm_config><cluster_property_set id='o'><nvpair id='1' name='{name}' value='x'/>\
                 </cluster_property_set></crm_config></configuration></cib>"
            );
            parse(text, &Limits::CIB).expect("well-formed")
        };
        assert_eq!(
            in_older_words(&cib("fencing-enabled")),
            Some(cib("stonith-enabled"))
        );
        assert_eq!(in_older_words(&cib("no-quorum-policy")), None);
        assert_eq!(in_older_words(&Element::new("cib")), None);
    }
}
