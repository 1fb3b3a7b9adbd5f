//! `crm explain`: why a resource is where it is, why a node is as it is, why an action is in a plan, and what would change it.
//! Enters: a CIB, of the cluster, of a file, or as a coordinator saved it.
//! Leaves: sentences first, then tables; or JSON.
//! May touch: saved inputs, standard output. Nothing is worked out here: the plan is made by the same function as in the
//! coordinator, and what it recorded is put into words. What is proposed was tried on a copy.

mod change;
mod node;
mod resource;
mod transition;
mod words;

pub(crate) use transition::summary;

use std::path::Path;

use serde_json::Value;

use crate::{
    cib::Cib,
    cli::{args::Explain, failure::Failure, saved, shell::Shell},
    clock,
    policy::{Input, NodeIdx, Outcome, RscIdx, schedule},
    rpc::Paths,
    terms::CrmExit,
    xml::Limits,
};

/// What is explained: a CIB, when it is looked at, and what the policy makes of it.
pub(super) struct Asked {
    pub(super) cib: Cib,
    pub(super) input: Input,
    pub(super) outcome: Outcome,
}

impl Asked {
    /// A CIB that was saved carries the time at which it is to be looked at. // spec 1 §2
    fn of(cib: Cib, quorum: Option<bool>, sanitized: bool) -> Self {
        let saved_s = cib.root().get("execution-date");
        let now_s = saved_s.and_then(|text| text.parse().ok());
        let input = Input {
            quorum,
            sanitized,
            ..Input::at(now_s.unwrap_or_else(clock::wall_s))
        };
        let outcome = schedule(cib.root(), &input);
        Asked {
            cib,
            input,
            outcome,
        }
    }

    /// By id; the configured id of what is in a clone stands for the whole of it.
    fn resource(&self, name: &str) -> Option<RscIdx> {
        let facts = &self.outcome.facts;
        let inside = || {
            let mut all = facts.rscs.enumerate();
            let found = all.find(|(_, rsc)| rsc.xml_id.as_str() == name);
            found.map(|(rsc, _)| facts.top_of(rsc))
        };
        facts.rsc_named(name).or_else(inside)
    }

    fn node(&self, name: &str) -> Result<NodeIdx, Failure> {
        self.outcome
            .facts
            .node_by_name(name)
            .ok_or_else(|| super::node::no_node(self.cib.root(), name))
    }
}

/// Explain what was asked for.
pub fn run(shell: &mut Shell, explain: &Explain) -> Result<(), Failure> {
    let words: Vec<&str> = explain.what.iter().map(String::as_str).collect();
    let (text, json) = match (&explain.transition, words.as_slice()) {
        (Some(_), [_, ..]) => {
            return Err(
                Failure::usage("a transition is explained as a whole, without a resource")
                    .cure("give --transition [NUMBER] alone, or a resource alone"),
            );
        }
        (Some(which), []) if which.is_empty() => transition::explain(&present(shell)?, None),
        (Some(which), []) => {
            let (asked, name) = past(&Paths::from_env().data, which)?;
            transition::explain(&asked, Some(&name))
        }
        (None, ["node", name]) => {
            let asked = present(shell)?;
            let node = asked.node(name)?;
            node::explain(&asked, node)
        }
        (None, [name]) => {
            let asked = present(shell)?;
            let only = explain.node.as_deref();
            let only = only.map(|name| asked.node(name)).transpose()?;
            let Some(rsc) = asked.resource(name) else {
                // Whoever names a node means it.
                if let Some(node) = asked.outcome.facts.node_by_name(name)
                    && only.is_none()
                {
                    return say(shell, explain, node::explain(&asked, node));
                }
                return Err(super::resource::no_resource(asked.cib.root(), name));
            };
            resource::explain(&asked, rsc, only)
        }
        (None, []) => {
            return Err(Failure::usage("what is to be explained is missing")
                .cure("crm explain RESOURCE, crm explain node NODE, or crm explain --transition"));
        }
        (None, [.., word]) => {
            return Err(Failure::usage(format!("unexpected argument {word:?}"))
                .cure("crm explain RESOURCE, or crm explain node NODE"));
        }
    };
    say(shell, explain, (text, json))
}

fn say(shell: &mut Shell, explain: &Explain, (text, json): (String, Value)) -> Result<(), Failure> {
    if explain.json {
        shell.say(&format!("{json:#}"))
    } else {
        shell.show(&text)
    }
}

/// Why a primitive (all its instances, if it is in a clone) runs nowhere, in one sentence.
pub(crate) fn why_nowhere(outcome: &Outcome, xml_id: &str) -> String {
    let mut all = outcome.facts.rscs.enumerate();
    let found = all.find(|(_, rsc)| rsc.is_primitive() && rsc.xml_id.as_str() == xml_id);
    match found {
        Some((rsc, _)) => resource::why_nowhere(outcome, rsc),
        None => "it is not configured".to_owned(),
    }
}

/// The cluster, or the file that stands in for it, as it is.
fn present(shell: &mut Shell) -> Result<Asked, Failure> {
    let cib = shell.access.deciding()?;
    let quorum = if shell.access.live() {
        Some(super::cluster::cluster_status(shell)?.quorate)
    } else {
        None
    };
    Ok(Asked::of(cib, quorum, false))
}

/// What a coordinator decided on: by its number, or in a file.
/// The CIB that a transition began with.
pub(crate) fn past_cib(data: &Path, which: &str) -> Result<Cib, Failure> {
    past(data, which).map(|(asked, _)| asked.cib)
}

fn past(data: &Path, which: &str) -> Result<(Asked, String), Failure> {
    if which.contains('/') || which.ends_with(".xml") {
        return in_file(which);
    }
    let Some(name) = saved::meant(data, which) else {
        return Err(Failure::usage(format!("{which:?} is not a transition"))
            .cure("give a number, as crm history lists them, -1 for the one before the newest, or a file"));
    };
    let kept = saved::read(data, name).map_err(|error| unreadable(data, name, error))?;
    let asked = Asked::of(Cib::new(kept.cib), None, kept.transition.is_none());
    Ok((asked, name.to_string()))
}

fn in_file(path: &str) -> Result<(Asked, String), Failure> {
    let failed = |error: String| Failure::new(CrmExit::NO_INPUT, format!("{path}: {error}"));
    let mut text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    if path.ends_with(".bz2") {
        text = saved::unpack(&text).map_err(|error| failed(error.to_string()))?;
    }
    let cib = Cib::parse(&text, &Limits::STORED).map_err(|error| failed(error.to_string()))?;
    let sanitized = saved::transition_of(&text).is_none();
    Ok((Asked::of(cib, None, sanitized), path.to_owned()))
}

/// Why a saved input can't be read, and where there are some.
fn unreadable(data: &Path, name: saved::Name, error: saved::Error) -> Failure {
    let folder = saved::folder(data);
    let absent =
        matches!(&error, saved::Error::Io(error) if error.kind() == std::io::ErrorKind::NotFound);
    if !absent {
        let file = saved::file(data, name);
        return Failure::new(CrmExit::NO_INPUT, format!("{}: {error}", file.display()))
            .cure("crm history lists what was saved; it is readable for root");
    }
    let message = format!("there is no {name} in {}", folder.display());
    let cure = match saved::list(data).unwrap_or_default().last() {
        Some(last) => format!("the newest is {last}; crm history lists all of this node, and others may be on other nodes"),
        None => "a transition is saved on the node that was the coordinator then; ask there, or name a file".to_owned(),
    };
    Failure::new(CrmExit::NO_SUCH, message).cure(cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_transition_is_found_by_its_number_or_the_error_says_where_others_are() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let missing = |which| past(data.path(), which).err().expect("it is not there");
        let none = missing("7");
        assert!(
            none.message.starts_with("there is no pe-input-7 in "),
            "{none:?}"
        );
        assert!(
            none.help
                .expect("a cure")
                .contains("the node that was the coordinator")
        );
        std::fs::create_dir(saved::folder(data.path())).expect("a folder");
        let name = saved::Name::parse("pe-warn-3").expect("a name");
        let packed = saved::pack(Cib::empty().root(), 9, 1_000).expect("memory takes all");
        std::fs::write(saved::file(data.path(), name), packed).expect("a file is written");
        let (asked, told) = past(data.path(), "pe-warn-3").expect("it is there");
        assert_eq!((asked.input.now_s, told.as_str()), (1_000, "pe-warn-3"));
        assert!(!asked.input.sanitized, "a coordinator leaves nothing out");
        let other = missing("3");
        assert!(
            other
                .help
                .expect("a cure")
                .contains("the newest is pe-warn-3")
        );
        assert!(missing("seven").message.contains("not a transition"));
        let older = saved::Name::parse("2").expect("a name");
        let packed = saved::pack(Cib::empty().root(), 8, 900).expect("memory takes all");
        std::fs::write(saved::file(data.path(), older), packed).expect("a file is written");
        let names = saved::list(data.path()).expect("a folder");
        let (_, before) = past(data.path(), "-1").expect("it is there");
        assert_eq!(before, names[0].to_string(), "the one before the newest");
        assert!(missing("-2").message.contains("not a transition"));
    }
}
