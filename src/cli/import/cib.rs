//! A Pacemaker CIB. What is older than today's schema is brought to it; what the cluster finds out by itself is left out.

use crate::cib::{Cib, config::options, schema, upgrade};
use crate::cli::language::{Object, Place as Section, SECTIONS};
use crate::xml::{self, Element, Limits};

use super::note::{Broken, Place};
use super::{Source, draft::Draft};

/// Options that a cluster sets by itself.
const OWN: &[&str] = &[
    "dc-version",
    "cluster-infrastructure",
    "cluster-name",
    "have-watchdog",
    "last-lrm-refresh",
];

pub(super) fn read(source: &Source, draft: &mut Draft) -> Result<(), Broken> {
    let file = source.file.as_str();
    let root = xml::parse(source.text.trim_start_matches('\u{feff}'), &Limits::STORED).map_err(
        |error| {
            Broken::new(file, error.line, error.problem.to_string())
                .cure("write the CIB anew with: cibadmin --query")
        },
    )?;
    let old = whole(root, file)?;
    let mut new = old.clone();
    if old.has("validate-with") {
        // spec 1 §3.1: what is older is brought to the newest schema.
        let refused = |violation: crate::cib::Violation| {
            Broken::new(file, violation.line, violation.problem)
                .cure("bring it to a newer schema first: cibadmin --upgrade --force")
        };
        let violations = schema::check(&Cib::new(old.clone()));
        if let Some(violation) = violations.into_iter().next() {
            return Err(Broken::new(file, violation.line, violation.to_string())
                .cure("correct it, or let crm_verify list all that is wrong"));
        }
        new = upgrade::latest(&old).map_err(refused)?;
        if old.get("validate-with") != new.get("validate-with") {
            let at = Place::new(file, old.line());
            let name = old.get("validate-with").unwrap_or_default();
            let today = new.get("validate-with").unwrap_or_default();
            draft.became(&at, format!("validate-with={name}"), today);
        }
    }
    if let Some(status) = old.child("status").filter(|status| status.has_children()) {
        let at = Place::new(file, status.line());
        draft.not_needed(
            &at,
            "status",
            "what runs where is asked of the agents when a node joins",
        );
    }
    let Some(configuration) = new.child("configuration") else {
        return Err(Broken::new(file, old.line(), "it has no <configuration>")
            .cure("import a whole CIB, as cibadmin --query prints it"));
    };
    told(&old, configuration, file, draft);
    objects(configuration, file, draft)
}

/// A whole CIB, whatever part of one was given.
fn whole(root: Element, file: &str) -> Result<Element, Broken> {
    if root.is("cib") {
        return Ok(root);
    }
    let known = |tag: &str| SECTIONS.contains(&tag);
    let cib = Element::new("cib");
    if root.is("configuration") {
        return Ok(cib.with_child(root));
    }
    let section = match Section::of_tag(root.tag()) {
        _ if known(root.tag()) => root,
        Some(section) => Element::new(section.section()).with_child(root),
        None => {
            let text = format!("<{}> is no part of a CIB", root.tag());
            return Err(Broken::new(file, root.line(), text)
                .cure("import a <cib>, a <configuration>, one of its sections, or an object"));
        }
    };
    Ok(cib.with_child(Element::new("configuration").with_child(section)))
}

/// What became of each object as it was written.
fn told(old: &Element, new: &Element, file: &str, draft: &mut Draft) {
    let sections = old
        .child("configuration")
        .into_iter()
        .flat_map(Element::children);
    for section in sections {
        for object in section.children() {
            tell(object, new, file, draft);
        }
    }
}

fn tell(old: &Element, new: &Element, file: &str, draft: &mut Draft) {
    let at = Place::new(file, old.line());
    if old.is("cluster_property_set") {
        for pair in old.descendants().filter(|it| it.is("nvpair")) {
            option(pair, file, draft);
        }
        return;
    }
    let name = old.get("uname").or(old.id()).unwrap_or_default();
    let what = format!("{} {name}", old.tag());
    let what = what.trim_end();
    if old.is("node") {
        draft.step(super::corosync::join(name, "ADDRESS"));
        draft.not_needed(
            &at,
            what,
            "a node is there when it has joined; what is said of it is kept",
        );
        return;
    }
    let found = old.id().and_then(|id| new.find_id(id));
    match found {
        None => draft.nothing(
            &at,
            what,
            "today's schema has nothing like it, and it is left out",
        ),
        Some(found) if found == old => draft.became(&at, what, format!("{what}, as it is")),
        Some(found) => {
            let tag = found.tag();
            draft.became(
                &at,
                what,
                format!("{tag} {name}, in the words of today's schema"),
            );
        }
    }
    for inner in old
        .children()
        .filter(|it| Section::of_tag(it.tag()) == Some(Section::Resource))
    {
        tell(inner, new, file, draft);
    }
    if old.get("provider") == Some("pacemaker") && old.get("type") == Some("remote") {
        draft.nothing(
            &at,
            format!("ocf:pacemaker:remote in {name}"),
            "the machine needs a certificate of this cluster in place of the shared key: `systole token --remote NAME` \
             here, `systole remote join TOKEN` there, and then `systole remote`",
        );
    }
}

fn option(pair: &Element, file: &str, draft: &mut Draft) {
    let at = Place::new(file, pair.line());
    let (name, value) = (
        pair.get("name").unwrap_or_default(),
        pair.get("value").unwrap_or_default(),
    );
    let what = format!("{name}={value}");
    if OWN.contains(&name) {
        draft.not_needed(&at, what, "the cluster sets it itself");
    } else if let Some(known) = options::find(name) {
        let new = if known.name == name {
            "the same option".to_owned()
        } else {
            format!("the same; its name is {} today", known.name)
        };
        draft.became(&at, what, new);
    } else {
        draft.nothing(
            &at,
            what,
            "no cluster option of this name is known; it is kept and does nothing",
        );
    }
}

fn objects(configuration: &Element, file: &str, draft: &mut Draft) -> Result<(), Broken> {
    for section in configuration.children() {
        if !SECTIONS.contains(&section.tag()) {
            let text = format!("<{}> is no section of a configuration", section.tag());
            return Err(Broken::new(file, section.line(), text).cure("remove it"));
        }
        let at = Place::new(file, section.line());
        if section.is("fencing-topology") {
            draft.object(&at, Object::of(Section::Topology, section.clone()));
            continue;
        }
        for element in section.children() {
            let at = Place::new(file, element.line());
            let place = match section.tag() {
                "rsc_defaults" => Some(Section::RscDefaults),
                "op_defaults" => Some(Section::OpDefaults),
                _ => Section::of_tag(element.tag()).filter(|place| section.is(place.section())),
            };
            let Some(place) = place else {
                let text = format!(
                    "<{}> does not belong into <{}>",
                    element.tag(),
                    section.tag()
                );
                return Err(Broken::at(&at, text).cure("remove it, or put it where it belongs"));
            };
            let mut element = element.clone();
            if place == Section::Property {
                element.retain_children(|pair| {
                    !pair.get("name").is_some_and(|name| OWN.contains(&name))
                });
                if !element.has_children() {
                    continue;
                }
            }
            draft.object(&at, Object::of(place, element));
        }
    }
    Ok(())
}
