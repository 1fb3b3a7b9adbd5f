//! Who may ask what: one function, before anything else is done with a tool's request. Deny is the
//! default; executor and fencer have no socket of their own that could forget to ask.

use serde::{Deserialize, Serialize};

use super::vocab::{AdminRequest, Caller};
use crate::cib::Cib;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grant {
    /// Everything.
    All,
    /// What the ACLs in the CIB grant this user.
    Acl,
}

/// A caller may not do what it asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "permission denied for user `{user}` (uid {uid}): {why}; run it as root, or add the user to the group `{group}`{}",
    if *.by_acl { format!(", or grant it a role with `acl_target id=\"{}\"` and `enable-acl=true`", .user) } else { String::new() }
)]
pub struct Denied {
    uid: u32,
    user: String,
    group: String,
    why: &'static str,
    /// A role would help.
    by_acl: bool,
}

/// May this caller ask this?
///
/// # Errors
/// Names the user and what would help.
pub fn authorise(
    caller: &Caller,
    admin_group: &str,
    request: &AdminRequest,
    cib: &Cib,
) -> Result<Grant, Denied> {
    let deny = |why, by_acl| {
        Err(Denied {
            by_acl,
            uid: caller.uid,
            user: caller.user.clone(),
            group: admin_group.into(),
            why,
        })
    };
    if caller.admin {
        return Ok(Grant::All);
    }
    match request {
        AdminRequest::Query { .. }
        | AdminRequest::Write { .. }
        | AdminRequest::Subscribe
        | AdminRequest::Status => {}
        _ => return deny("only administrators may do this", false),
    }
    if !acl_enabled(cib) {
        return deny("it is no administrator and ACLs are off", true);
    }
    if !has_role(caller, cib) {
        return deny("no ACL in the CIB is about it", true);
    }
    Ok(Grant::Acl)
}

/// The cluster option, as it stands in the CIB. // spec cluster §6.1
fn acl_enabled(cib: &Cib) -> bool {
    let sets = cib
        .section("crm_config")
        .into_iter()
        .flat_map(|config| config.children_named("cluster_property_set"));
    let mut values = sets
        .flat_map(|set| set.children_named("nvpair"))
        .filter(|pair| pair.get("name") == Some("enable-acl"))
        .filter_map(|pair| pair.get("value"));
    values.next().is_some_and(|value| {
        matches!(
            value.to_ascii_lowercase().as_str(),
            "true" | "on" | "yes" | "y" | "1"
        )
    })
}

fn has_role(caller: &Caller, cib: &Cib) -> bool {
    let Some(acls) = cib.section("acls") else {
        return false;
    };
    acls.children().any(|acl| {
        let name = acl.get("name").or_else(|| acl.id()).unwrap_or_default();
        match acl.tag() {
            "acl_target" | "acl_user" => name == caller.user,
            "acl_group" => caller.groups.iter().any(|group| group == name),
            _ => false,
        }
    })
}
