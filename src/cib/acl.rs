//! Who may read and write what. Permissions are XPaths with a kind; what they match is marked, and the nearest marked
//! element above an access decides. // spec cluster §6

use std::collections::BTreeMap;

use super::{Change, Cib, Error, Origin, Patch, config::options, patch};
use crate::{
    terms::text,
    xml::{Element, Node, XPath, xpath::literal},
};

/// The permissions of one user under one CIB; none for those whom no list holds.
#[derive(Debug)]
pub struct Acl {
    user: String,
    permissions: Vec<(Kind, XPath)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Deny,
}

/// What is marked at an element.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Marks {
    read: bool,
    write: bool,
    deny: bool,
}

/// Marks by the indexes that lead from the root to the element.
type Marked = BTreeMap<Vec<usize>, Marks>;

/// What a user may do to an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Change and read it.
    Write,
    /// Read it.
    Read,
    /// Neither.
    Denied,
}

impl Acl {
    /// The list that holds for who asks. Root and the cluster's own user are held to none, nor is anybody as long as
    /// `enable-acl` is not set.
    pub fn of(cib: &Cib, origin: &Origin) -> Option<Self> {
        let user = origin.user.as_str();
        let trusted = user.is_empty() || user == "root" || user == "hacluster";
        if trusted || !text::is_true(options::value(cib, "enable-acl")) {
            return None;
        }
        let permissions = permissions(cib, user, &origin.groups);
        Some(Self {
            user: user.into(),
            permissions,
        })
    }

    fn denied(&self, what: String) -> Error {
        Error::Denied {
            user: self.user.clone(),
            what,
        }
    }

    /// The document with what may not be read left out. // spec cluster §6.4
    pub fn redact(&self, root: &Element) -> Result<Element, Error> {
        let marked = self.marks(root);
        redacted(root, &mut Vec::new(), &marked, false)
            .ok_or_else(|| self.denied("read anything".into()))
    }

    /// Where the rights change, by the indexes that lead to the element; at the root there is always one.
    pub fn rights(&self, root: &Element) -> BTreeMap<Vec<usize>, Right> {
        let own = |marks: &Marks| {
            if marks.deny {
                Right::Denied
            } else if marks.write {
                Right::Write
            } else {
                Right::Read
            }
        };
        let marked = self.marks(root);
        let mut rights: BTreeMap<Vec<usize>, Right> = BTreeMap::new();
        rights.insert(Vec::new(), Right::Denied);
        // Parents come before their children, so what is around an element is known when it is reached.
        for (path, marks) in &marked {
            let around = (0..path.len())
                .rev()
                .find_map(|length| rights.get(&path[..length]))
                .copied();
            let right = own(marks);
            if around != Some(right) {
                rights.insert(path.clone(), right);
            }
        }
        rights
    }

    /// Whether all these changes are permitted. // spec cluster §6.5
    pub fn check(&self, old: &Element, new: &Element, patch: &Patch) -> Result<(), Error> {
        let before = self.marks(old);
        let after = self.marks(new);
        for change in &patch.changes {
            let (allowed, what) = match change {
                Change::Create { path, node, .. } => {
                    let element = node.as_element();
                    let allowed = match patch::locate(new, path) {
                        Some(parent) => may_create(new, &parent, path, node, &after),
                        None => false,
                    };
                    let name = element.map_or_else(|| path.clone(), |e| patch::path_below(path, e));
                    (allowed, format!("create {name}"))
                }
                Change::Modify { path, .. } => {
                    (may_write(old, path, &before), format!("change {path}"))
                }
                Change::Delete { path, .. } => {
                    let path = path.strip_suffix("/comment").unwrap_or(path);
                    (may_write(old, path, &before), format!("delete {path}"))
                }
                Change::Move { path, .. } => {
                    (may_write(old, path, &before), format!("move {path}"))
                }
            };
            if !allowed {
                return Err(self.denied(what));
            }
        }
        Ok(())
    }

    fn marks(&self, root: &Element) -> Marked {
        let mut marked = Marked::new();
        for (kind, xpath) in &self.permissions {
            // What is too expensive to find is not granted; a denial of that kind denies everything.
            let found = match xpath.select(root) {
                Ok(found) => found.into_iter().map(|found| found.path).collect(),
                Err(_) if *kind == Kind::Deny => vec![Vec::new()],
                Err(_) => Vec::new(),
            };
            for path in found {
                let marks = marked.entry(path).or_default();
                match kind {
                    Kind::Read => marks.read = true,
                    Kind::Write => marks.write = true,
                    Kind::Deny => marks.deny = true,
                }
            }
        }
        marked
    }
}

/// In document order of targets and groups, then of their roles, then of the permissions.
fn permissions(cib: &Cib, user: &str, groups: &[String]) -> Vec<(Kind, XPath)> {
    let Some(acls) = cib.section("acls") else {
        return Vec::new();
    };
    let named = |e: &Element| e.get("name").or(e.id()).unwrap_or_default().to_string();
    let holds = |e: &&Element| match e.tag() {
        "acl_target" => named(e) == user,
        "acl_group" => groups.contains(&named(e)),
        _ => false,
    };
    let references = acls
        .children()
        .filter(holds)
        .flat_map(|e| e.children_named("role"));
    let roles = references.filter_map(|reference| acls.child_by_id("acl_role", reference.id()?));
    roles
        .flat_map(|role| role.children_named("acl_permission"))
        .filter_map(permission)
        .collect()
}

fn permission(element: &Element) -> Option<(Kind, XPath)> {
    let kind = match element.get("kind")? {
        "read" => Kind::Read,
        "write" => Kind::Write,
        "deny" => Kind::Deny,
        _ => return None,
    };
    let (tag, reference) = (element.get("object-type"), element.get("reference"));
    let xpath = match (element.get("xpath"), tag, reference) {
        (Some(xpath), ..) => xpath.to_string(),
        (None, None, None) => return None,
        (None, tag, reference) => {
            let id = reference.map(|id| format!("@id={}", literal(id)));
            let attribute = element.get("attribute").map(|name| format!("@{name}"));
            let conditions: Vec<String> = id.into_iter().chain(attribute).collect();
            let conditions = conditions.join(" and ");
            let tag = tag.unwrap_or("*");
            if conditions.is_empty() {
                format!("//{tag}")
            } else {
                format!("//{tag}[{conditions}]")
            }
        }
    };
    match XPath::parse(&xpath) {
        Ok(xpath) => Some((kind, xpath)),
        // An unreadable grant grants nothing; an unreadable denial denies all.
        Err(_) if kind == Kind::Deny => Some((kind, XPath::parse("/*").ok()?)),
        Err(_) => None,
    }
}

/// The nearest element that is marked for it decides; none is "no".
fn decides(path: &[usize], marked: &Marked) -> bool {
    for length in (0..=path.len()).rev() {
        match marked.get(&path[..length]) {
            Some(marks) if marks.deny => return false,
            Some(marks) if marks.write => return true,
            _ => {}
        }
    }
    false
}

fn may_write(root: &Element, path: &str, marked: &Marked) -> bool {
    patch::locate(root, path).is_some_and(|place| decides(&place, marked))
}

fn may_create(root: &Element, parent: &[usize], path: &str, node: &Node, marked: &Marked) -> bool {
    let Some(new) = node.as_element() else {
        return decides(parent, marked);
    };
    let siblings = root.at(parent).map(Element::nodes).unwrap_or_default();
    let place = siblings
        .iter()
        .position(|n| n.as_element().is_some_and(|e| e.ptr_eq(new) || e == new));
    let own: Vec<usize> = parent.iter().copied().chain(place).collect();
    if decides(&own, marked) {
        return true;
    }
    // Mere scaffolding around what is granted: it has no content of its own.
    let in_acls = path.starts_with("/cib/configuration/acls") || new.is("acls");
    let bare = new.attrs().all(|(name, _)| name == "id");
    let denied = marked.get(&own).is_some_and(|marks| marks.deny);
    let own_path = patch::path_below(path, new);
    bare && !in_acls
        && !denied
        && new
            .nodes()
            .iter()
            .all(|node| may_create(root, &own, &own_path, node, marked))
}

fn redacted(
    element: &Element,
    path: &mut Vec<usize>,
    marked: &Marked,
    inherited: bool,
) -> Option<Element> {
    let readable = match marked.get(path.as_slice()) {
        Some(marks) if marks.deny => false,
        Some(marks) if marks.read || marks.write => true,
        _ => inherited,
    };
    let mut below = marked
        .range(path.clone()..)
        .filter(|(at, _)| at.len() > path.len());
    if !below.next().is_some_and(|(at, _)| at.starts_with(path)) {
        return readable.then(|| element.clone());
    }
    let mut copy = element.without_children();
    if !readable {
        let names: Vec<String> = copy.attrs().map(|(name, _)| name.into()).collect();
        names.iter().filter(|name| *name != "id").for_each(|name| {
            copy.unset(name);
        });
    }
    let mut nodes = Vec::new();
    for (index, node) in element.nodes().iter().enumerate() {
        match node {
            Node::Element(child) => {
                path.push(index);
                nodes.extend(redacted(child, path, marked, readable).map(Node::Element));
                path.pop();
            }
            other if readable => nodes.push(other.clone()),
            _ => {}
        }
    }
    if nodes.is_empty() && !readable {
        return None;
    }
    *copy.nodes_mut() = nodes;
    Some(copy)
}

#[cfg(test)]
mod tests;
