//! Which form of the tools' XML is spoken on this machine. A client may check what it reads against the schema that is
//! installed beside it, and pcs refuses all of what has one attribute that the schema does not know. So what came after
//! an old schema is left out where that is the newest one.
//!
//! Clients call the tools by their known names. Who calls `systole TOOL` knows us and reads what we say today, unless
//! PCMK_schema_directory says which schema counts.
//!
//! Only names of files are looked at: each `api-result-MAJOR.MINOR.rng` stands for a form that clients here understand.

use std::path::{Path, PathBuf};

use crate::xml::Element;

/// A form of the output.
type Form = (u32, u32);

/// The form of Pacemaker 2.1.5, and what it does not know of what we say. Found by having its schema judge our output.
/// Gap: forms between this one and ours are answered in ours.
const OLD: Form = (2, 25);

const LATER: &[(&str, &str)] = &[
    ("bundle", "maintenance"),
    ("clone", "maintenance"),
    ("cluster_options", "fencing-enabled"),
    ("cluster_options", "fencing-timeout-ms"),
    ("group", "maintenance"),
    ("last_update", "origin"),
    ("resource", "maintenance"),
    ("resource", "removed"),
    ("resource_history", "removed"),
    ("stack", "pacemakerd-state"),
];

/// The whole answer of a tool, as clients of this machine understand it.
#[must_use]
pub(crate) fn spoken_here(document: Element) -> Element {
    let said = std::env::var_os("PCMK_schema_directory").filter(|folder| !folder.is_empty());
    let called = std::env::args_os().next().unwrap_or_default();
    let Some(folder) = folder(said.map(PathBuf::from), Path::new(&called)) else {
        return document;
    };
    spoken(newest(&folder.join("api")), document)
}

/// Where the schema that counts is: said in the environment, or where a client of the tool called so would look.
fn folder(said: Option<PathBuf>, called: &Path) -> Option<PathBuf> {
    let by_own_name = called.file_name().is_some_and(|name| name == "systole");
    let usual = || PathBuf::from(super::schemas::USUAL);
    said.or_else(|| (!by_own_name).then(usual))
}

/// The newest form whose schema is there; none where there is no schema.
fn newest(folder: &Path) -> Option<Form> {
    let entries = std::fs::read_dir(folder).ok()?;
    let names = entries.flatten().map(|entry| entry.file_name());
    names.filter_map(|name| form_of(name.to_str()?)).max()
}

fn form_of(name: &str) -> Option<Form> {
    let version = name.strip_prefix("api-result-")?.strip_suffix(".rng")?;
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn spoken(newest: Option<Form>, mut document: Element) -> Element {
    let Some(form) = newest.filter(|form| *form <= OLD) else {
        return document;
    };
    document.set("api-version", &format!("{}.{}", form.0, form.1));
    without_later(&mut document);
    document
}

fn without_later(element: &mut Element) {
    for (tag, name) in LATER {
        if element.is(tag) {
            element.unset(name);
        }
    }
    element.children_mut().for_each(without_later);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Element {
        let rsc = Element::new("resource")
            .with("id", "r")
            .with("removed", "false");
        Element::new("pacemaker-result")
            .with("api-version", "2.42")
            .with_child(Element::new("resources").with_child(rsc))
    }

    #[test]
    fn an_old_schema_gets_what_it_knows() {
        let old = spoken(Some((2, 25)), answer());
        assert_eq!(old.get("api-version"), Some("2.25"));
        let rsc = old.find_id("r").expect("it is there");
        assert!(!rsc.has("removed"));
        for new in [Some((2, 26)), None] {
            assert_eq!(spoken(new, answer()), answer());
        }
    }

    #[test]
    fn who_calls_us_by_our_name_reads_what_we_say_today() {
        let of =
            |said: Option<&str>, called: &str| folder(said.map(PathBuf::from), Path::new(called));
        let usual = Some(PathBuf::from(crate::cli::schemas::USUAL));
        assert_eq!(of(None, "/usr/sbin/crm_mon"), usual);
        assert_eq!(of(None, "crm"), usual);
        assert_eq!(of(None, "target/release/systole"), None);
        assert_eq!(of(Some("/x"), "systole"), Some("/x".into()));
        assert_eq!(of(Some("/x"), "crm_mon"), Some("/x".into()));
    }

    #[test]
    fn the_newest_schema_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(newest(&folder.path().join("none")), None);
        for name in [
            "api-result-2.9.rng",
            "api-result-2.25.rng",
            "api-result.rng",
            "x-3.0.rng",
        ] {
            std::fs::write(folder.path().join(name), "").expect("a file");
        }
        assert_eq!(newest(folder.path()), Some((2, 25)));
    }
}
