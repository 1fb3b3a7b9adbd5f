//! Which objects a change of the configuration was about: the short form of a patch that a list has room for.

use serde::{Deserialize, Serialize};

use crate::cib::{Change, Patch};
use crate::xml::Element;

/// Of one change, so many objects are remembered.
const OBJECTS: usize = 64;
const CONFIGURATION: &str = "/cib/configuration";

/// One object that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// Its id; for a cluster option its name.
    pub id: String,
    /// What happened to it.
    pub how: How,
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It is new.
    Added,
    /// It was there before.
    Changed,
    /// It is gone.
    Removed,
}

impl std::fmt::Display for Touched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = match self.how {
            How::Added => '+',
            How::Changed => '~',
            How::Removed => '-',
        };
        write!(f, "{sign}{}", self.id)
    }
}

impl Touched {
    /// The objects of a patch, each once, in the order of the patch.
    pub fn of(patch: &Patch) -> Vec<Touched> {
        let mut found: Vec<Touched> = Vec::new();
        let mut note = |id: Option<String>, how| {
            let Some(id) = id else { return };
            match found.iter_mut().find(|it| it.id == id) {
                // Gone and there again at another place: it was changed.
                Some(known) if known.how != how => known.how = How::Changed,
                Some(_) => {}
                None => found.push(Touched { id, how }),
            }
        };
        for change in &patch.changes {
            match change {
                Change::Create { path, node, .. } => {
                    let Some(element) = node.as_element() else {
                        continue;
                    };
                    for (path, element) in objects_in(path, element) {
                        match own(&path, element) {
                            Some(id) => note(Some(id), How::Added),
                            None => note(owner(&path), How::Changed),
                        }
                    }
                }
                Change::Modify { path, result, .. } => {
                    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                    let id = own(parent, result).or_else(|| owner(path));
                    note(id, How::Changed);
                }
                Change::Move { path, .. } => note(owner(path), How::Changed),
                Change::Delete { path, .. } => {
                    let how = if is_object(path) {
                        How::Removed
                    } else {
                        How::Changed
                    };
                    note(owner(path), how);
                }
            }
        }
        found.truncate(OBJECTS);
        found
    }
}

/// What was created below a path: an object, or a section (or set of options) with several inside.
fn objects_in<'a>(parent: &str, element: &'a Element) -> Vec<(String, &'a Element)> {
    let inside = format!("{parent}/{}", element.tag());
    let is_section = parent == CONFIGURATION || inside == CONFIGURATION;
    let is_set = element.is("cluster_property_set");
    if is_section || is_set {
        let below = match element.id() {
            Some(id) => format!("{inside}[@id='{id}']"),
            None => inside,
        };
        let children = element.children();
        return children
            .flat_map(|child| objects_in(&below, child))
            .collect();
    }
    vec![(parent.to_owned(), element)]
}

/// The object that an element is, if it is one, by the path of its parent.
fn own(parent: &str, element: &Element) -> Option<String> {
    let option = parent.contains("/crm_config/") && element.is("nvpair");
    if option {
        return element.get("name").map(str::to_owned);
    }
    is_object(&format!("{parent}/{}[@id='']", element.tag()))
        .then(|| element.id().map(str::to_owned))
        .flatten()
}

fn is_resource(tag: &str) -> bool {
    matches!(
        tag,
        "primitive" | "group" | "clone" | "master" | "bundle" | "template"
    )
}

/// Tag and id of each step below the configuration.
fn steps(path: &str) -> Vec<(&str, Option<&str>)> {
    let Some(rest) = path.strip_prefix(CONFIGURATION) else {
        return Vec::new();
    };
    rest.split('/')
        .filter(|step| !step.is_empty())
        .map(|step| match step.split_once("[@id='") {
            Some((tag, id)) => (tag, id.strip_suffix("']")),
            None => (step, None),
        })
        .collect()
}

/// Whether a path ends at an object, and not at a part of one.
fn is_object(path: &str) -> bool {
    match steps(path).as_slice() {
        [("crm_config", _), _set, ("nvpair", _)] => true,
        [("crm_config", _), ..] => false,
        [_section, (_, Some(_))] => true,
        [("resources", _), inner @ ..] => inner.iter().all(|(tag, _)| is_resource(tag)),
        _ => false,
    }
}

/// The object that a path is in: of resources the innermost one.
fn owner(path: &str) -> Option<String> {
    let steps = steps(path);
    match steps.as_slice() {
        [("crm_config", _), (_, set), ("nvpair", Some(id)), ..] => {
            let prefix = format!("{}-", set.unwrap_or_default());
            Some(id.strip_prefix(&prefix).unwrap_or(id).to_owned())
        }
        [("resources", _), inner @ ..] => {
            let resources = inner.iter().take_while(|(tag, _)| is_resource(tag));
            resources.last()?.1.map(str::to_owned)
        }
        [_section, (_, Some(id)), ..] => Some((*id).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cib::patch;
    use crate::xml::{Limits, parse};

    fn touched(old: &str, new: &str) -> String {
        let read = |text: &str| {
            let text = format!("<cib><configuration>{text}</configuration></cib>");
            parse(&text, &Limits::CIB).expect("well-formed")
        };
        let patch = patch::diff(&read(old), &read(new));
        let words: Vec<String> = Touched::of(&patch)
            .iter()
            .map(ToString::to_string)
            .collect();
        words.join(" ")
    }

    #[test]
    fn a_change_names_its_objects_and_not_their_parts() {
        let web = |inside: &str| {
            format!(
                "<resources><group id='g'><primitive id='web'>{inside}</primitive></group></resources>"
            )
        };
        assert_eq!(touched("<resources/>", &web("")), "+g");
        assert_eq!(touched(&web(""), &web("<meta_attributes id='m'/>")), "~web");
        assert_eq!(touched(&web("<operations/>"), "<resources/>"), "-g");
        let two = "<resources><group id='g'><primitive id='web'/><primitive id='fs'/></group></resources>";
        assert_eq!(touched(&web(""), two), "+fs");
        assert_eq!(touched(two, &web("")), "-fs");
        assert_eq!(
            touched("", "<constraints><rsc_location id='l'/></constraints>"),
            "+l"
        );
        assert_eq!(
            touched(
                "<nodes><node id='1' uname='n1'/></nodes>",
                "<nodes><node id='1' uname='x'/></nodes>"
            ),
            "~1"
        );
    }

    #[test]
    fn options_go_by_their_names() {
        let options = |pairs: &str| {
            format!(
                "<crm_config><cluster_property_set id='o'>{pairs}</cluster_property_set></crm_config>"
            )
        };
        let a = "<nvpair id='o-a' name='a' value='1'/>";
        assert_eq!(touched("<crm_config/>", &options(a)), "+a");
        assert_eq!(touched(&options(""), &options(a)), "+a");
        let b = "<nvpair id='o-a' name='a' value='2'/>";
        assert_eq!(touched(&options(a), &options(b)), "~a");
        assert_eq!(touched(&options(a), &options("")), "-a");
    }
}
