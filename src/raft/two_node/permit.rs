//! When two-node mode may be switched on. Without a fence device nobody could ever go on alone, and each of the two would
//! merely be a further machine on which the other one depends.

use crate::cib::Cib;
use crate::raft::MemberRole;
use crate::raft::vocab::Member;
use crate::xml::Element;

/// The cure that always works.
const CURE: &str = "add a third machine that only votes (`systole token --role witness` here, then `systole join` there); \
     it may be small, and one machine can be the witness of many clusters";

/// May these members be in two-node mode?
pub(crate) fn permitted<'a>(
    cib: &Cib,
    members: impl Iterator<Item = &'a Member>,
) -> Result<(), String> {
    let voters: Vec<&Member> = members.filter(|m| m.role.votes()).collect();
    if voters.len() > 2 {
        return Err(format!(
            "two-node mode is for two voters, and {} nodes vote here: a majority of them goes on anyway, \
             so there is nothing to switch on",
            voters.len()
        ));
    }
    if let Some(witness) = voters.iter().find(|m| m.role == MemberRole::Witness) {
        return Err(format!(
            "`{}` is a witness: with two nodes beside it, no two-node mode is needed",
            witness.name
        ));
    }
    let enabled = option(cib, &["fencing-enabled", "stonith-enabled"])
        .is_none_or(|value| !matches!(value, "false" | "no" | "off" | "0" | "n"));
    if !enabled {
        return Err(format!(
            "fencing is off (`stonith-enabled=false`), and two nodes without a witness are safe only with it: a node \
             that hears its peer no more can't know whether it is dead; switch it on, or {CURE}"
        ));
    }
    if !has_device(cib) {
        return Err(format!(
            "there is no fence device, and two nodes without a witness are safe only with one: a node that hears its \
             peer no more goes on after it has fenced it (a watchdog is not enough: both would reset themselves); \
             configure one (`crm configure primitive fence-NODE stonith:AGENT ...`), or {CURE}"
        ));
    }
    Ok(())
}

fn has_device(cib: &Cib) -> bool {
    let resources = cib.section("resources");
    resources
        .into_iter()
        .flat_map(Element::descendants)
        .any(|e| e.is("primitive") && e.get("class") == Some("stonith"))
}

fn option<'a>(cib: &'a Cib, names: &[&str]) -> Option<&'a str> {
    cib.section("crm_config")?
        .children_named("cluster_property_set")
        .flat_map(|set| set.children_named("nvpair"))
        .find(|pair| pair.get("name").is_some_and(|name| names.contains(&name)))
        .and_then(|pair| pair.get("value"))
}
