//! `crm resource`: resources told to run, to stop, to be elsewhere.

use crate::{
    cib::config::{moves::Move, options},
    cli::{
        args::Resource,
        failure::Failure,
        language::{Document, meant},
        shell::Shell,
        show::Wish,
        tools,
        waiting::{Borrowed, Waiting},
    },
    clock,
    policy::facts::Facts,
    rpc::{AdminAnswer, AdminRequest},
    terms::{CrmExit, DateTime, Duration},
    xml::Element,
};

use super::{
    change::{self, Set},
    facts_of, wait,
};

/// Run one command of the level.
pub fn run(shell: &mut Shell, command: Resource) -> Result<(), Failure> {
    match command {
        Resource::Status { ids } => status(shell, &ids),
        Resource::Start { ids } => target_role(shell, &ids, "Started"),
        Resource::Stop { ids } => target_role(shell, &ids, "Stopped"),
        Resource::Restart { ids } => restart(shell, &ids),
        Resource::Promote { id } => in_role(shell, &id, "Promoted"),
        Resource::Demote { id } => in_role(shell, &id, "Unpromoted"),
        Resource::Move { id, words } => relocate(shell, &id, &words, true),
        Resource::Ban { id, words } => relocate(shell, &id, &words, false),
        Resource::Clear { id, node } => clear(shell, &id, node.as_deref()),
        Resource::Cleanup { id, node } => cleanup(shell, id, node, false),
        Resource::Refresh { id, node } => cleanup(shell, id, node, true),
        Resource::Manage { id } => meta(shell, &id, "is-managed", "true"),
        Resource::Unmanage { id } => meta(shell, &id, "is-managed", "false"),
        Resource::Maintenance { id, value } => {
            let on = matches!(value.as_str(), "on" | "true");
            meta(shell, &id, "maintenance", if on { "true" } else { "false" })
        }
        Resource::Constraints { id } => constraints(shell, &id),
        Resource::Failcount { words } => failcount(shell, &words),
        Resource::Param { words } => pair(shell, Set::Params, &words),
        Resource::Meta { words } => pair(shell, Set::Meta, &words),
        Resource::Utilization { words } => pair(shell, Set::Utilization, &words),
        Resource::Operations { id, node } => {
            super::by_tool::operations(shell, id.as_deref(), node.as_deref())
        }
        Resource::Scores => super::by_tool::scores(shell),
        Resource::Secret(secret) => super::secret::run(shell, &secret),
        Resource::Trace(trace) => super::trace::run(shell, &trace, true),
        Resource::Untrace(trace) => super::trace::run(shell, &trace, false),
    }
}

/// The error that there is no such resource, with the one that was perhaps meant.
pub(crate) fn no_resource(root: &Element, id: &str) -> Failure {
    let resources = root.descend(&["configuration", "resources"]);
    let names: Vec<&str> = resources
        .into_iter()
        .flat_map(Element::descendants)
        .filter(|element| change::is_resource(element.tag()))
        .filter_map(Element::id)
        .collect();
    let failure = Failure::new(CrmExit::NO_SUCH, format!("there is no resource {id:?}"));
    match meant(id, names.iter().copied()) {
        Some(meant) => failure.cure(format!("did you mean {meant:?}?")),
        None => failure.cure("crm resource status lists all resources"),
    }
}

/// Change the CIB by one patch.
pub(crate) fn edit(
    shell: &mut Shell,
    work: impl FnOnce(&mut Element) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let old = shell.cib()?.into_root();
    let mut new = old.clone();
    work(&mut new)?;
    let changed = shell.access.apply_patch(&old, &new)?;
    if changed && shell.wait {
        wait::idle(shell, 3600)
    } else {
        Ok(())
    }
}

/// The resource whose meta attributes rule: a clone for its member.
fn ruling(root: &Element, id: &str) -> Result<String, Failure> {
    let (element, parent) = change::resource(root, id).ok_or_else(|| no_resource(root, id))?;
    Ok(match parent {
        Some(parent) if matches!(parent.tag(), "clone" | "master") => parent.id(),
        _ => element.id(),
    }
    .unwrap_or(id)
    .to_owned())
}

fn put_meta(root: &mut Element, id: &str, name: &str, value: Option<&str>) -> Result<(), Failure> {
    let id = ruling(root, id)?;
    let used = change::used(root);
    change::with_resource(root, &id, &mut |element| {
        change::put(element, Set::Meta, name, value, &id, &used);
        // What members say of their own would stand against it.
        for member in element
            .children_mut()
            .filter(|child| change::is_resource(child.tag()))
        {
            without(member, name);
        }
    });
    Ok(())
}

fn without(element: &mut Element, name: &str) {
    change::put(element, Set::Meta, name, None, "", &Default::default());
    for member in element
        .children_mut()
        .filter(|child| change::is_resource(child.tag()))
    {
        without(member, name);
    }
}

/// Promoted or not, where there is a choice.
fn in_role(shell: &mut Shell, id: &str, role: &str) -> Result<(), Failure> {
    let cib = shell.cib()?;
    let facts = facts_of(&cib);
    let rsc = facts
        .rsc_named(id)
        .ok_or_else(|| no_resource(cib.root(), id))?;
    if !facts.rscs[facts.top_of(rsc)].flags.promotable {
        let text = format!("{id} is not promotable");
        return Err(Failure::new(CrmExit::CONFIG, text).cure(format!(
            "crm configure clone NAME {id} meta promotable=true, if its agent can be promoted"
        )));
    }
    meta(shell, id, "target-role", role)
}

fn meta(shell: &mut Shell, id: &str, name: &str, value: &str) -> Result<(), Failure> {
    edit(shell, |root| put_meta(root, id, name, Some(value)))
}

fn target_role(shell: &mut Shell, ids: &[String], role: &str) -> Result<(), Failure> {
    edit(shell, |root| {
        ids.iter()
            .try_for_each(|id| put_meta(root, id, "target-role", Some(role)))
    })
}

fn restart(shell: &mut Shell, ids: &[String]) -> Result<(), Failure> {
    if !shell.access.live() {
        return Err(Failure::new(
            CrmExit::DISCONNECTED,
            "a resource can't be restarted in a CIB file",
        ));
    }
    let root = shell.cib()?.into_root();
    let mut before = Vec::new();
    for id in ids {
        let id = ruling(&root, id)?;
        let (element, _) = change::resource(&root, &id).ok_or_else(|| no_resource(&root, &id))?;
        before.push((
            id,
            change::get(element, Set::Meta, "target-role").map(str::to_owned),
        ));
    }
    let wait = std::mem::replace(&mut shell.wait, false);
    let borrowed = Borrowed::begin();
    let stopped = target_role(shell, ids, "Stopped").and_then(|()| stopped(shell, ids));
    // Whatever came of it, nothing stays stopped because of us.
    let edited = edit(shell, |root| {
        before.iter().try_for_each(|(id, role)| {
            put_meta(
                root,
                id,
                "target-role",
                role.as_deref().filter(|role| *role != "Stopped"),
            )
        })
    });
    drop(borrowed);
    shell.wait = wait;
    stopped.and(edited).and_then(|()| started(shell, ids))
}

/// The most that a stop or a start is waited for.
const PATIENCE_MS: u64 = 600_000;

fn stopped(shell: &mut Shell, ids: &[String]) -> Result<(), Failure> {
    until(shell, ids, "stop", |runs| !runs)
}

fn started(shell: &mut Shell, ids: &[String]) -> Result<(), Failure> {
    until(shell, ids, "start", |runs| runs)
}

/// Wait until all of them run, or none does. Where the cluster has nothing more to do before that, it never will be so.
fn until(
    shell: &mut Shell,
    ids: &[String],
    what: &str,
    wanted: impl Fn(bool) -> bool,
) -> Result<(), Failure> {
    let end = clock::Mono::now().plus(PATIENCE_MS);
    let mut waiting = Waiting::begin();
    let mut quiet = 0;
    loop {
        let cib = shell.cib()?;
        let facts = facts_of(&cib);
        // What is under way has not been done.
        let busy = |id: &&String| {
            let runs = super::running_on(&facts, id).is_some();
            !wanted(runs) || is_under_way(&facts, id)
        };
        let Some(busy) = ids.iter().find(busy) else {
            return Ok(());
        };
        quiet = if super::plan::is_settled(&cib) {
            quiet + 1
        } else {
            0
        };
        let why = if quiet >= QUIET {
            "the cluster has nothing more to do"
        } else if clock::Mono::now() >= end {
            "10 minutes are over"
        } else {
            waiting.show(&format!("{what} of {busy}"));
            waiting.pause(std::time::Duration::from_millis(100))?;
            continue;
        };
        let text = format!("the {what} of {busy:?} did not come: {why}");
        let exit = if quiet >= QUIET {
            CrmExit::ERROR
        } else {
            CrmExit::TIMEOUT
        };
        return Err(Failure::new(exit, text).cure(format!("crm explain {busy}")));
    }
}

/// So many looks at a cluster that has nothing to do: a coordinator may not have seen yet what was written.
const QUIET: u32 = 10;

fn is_under_way(facts: &Facts, id: &str) -> bool {
    let leaves = facts.rsc_named(id).map(|rsc| facts.leaves(rsc));
    let mut leaves = leaves.into_iter().flatten();
    leaves.any(|leaf| facts.rscs[leaf].pending.is_some())
}

fn status(shell: &mut Shell, ids: &[String]) -> Result<(), Failure> {
    let cib = shell.cib()?;
    let facts = facts_of(&cib);
    if ids.is_empty() {
        let wanted = crate::cli::show::Wanted {
            inactive: true,
            ..Default::default()
        };
        let mut page = crate::cli::show::Page::new();
        page.entry(0, &crate::cli::show::resource_list(&facts, &wanted));
        return shell.say(page.text());
    }
    for id in ids {
        let Some(rsc) = facts.rsc_named(id) else {
            return Err(no_resource(cib.root(), id));
        };
        let mut lines = Vec::new();
        let mut open = vec![rsc];
        while let Some(rsc) = open.pop() {
            let it = &facts.rscs[rsc];
            if it.children.is_empty() {
                for node in &it.active {
                    let role = if it.role == crate::terms::Role::Promoted {
                        " Promoted"
                    } else {
                        ""
                    };
                    lines.push(format!(
                        "resource {id} is running on: {}{role}",
                        facts.nodes[*node].name
                    ));
                }
            }
            open.extend(it.children.iter().rev());
        }
        lines.dedup();
        if lines.is_empty() {
            lines.push(format!("resource {id} is NOT running"));
        }
        shell.say(&lines.join("\n"))?;
    }
    Ok(())
}

/// Where a resource is to go or not to go, and for how long.
struct Place {
    node: Option<String>,
    until: Option<String>,
}

fn wish(shell: &mut Shell, root: &Element, words: &[String]) -> Result<Place, Failure> {
    let mut wish = Place {
        node: None,
        until: None,
    };
    let mut forever = false;
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "force" {
            shell.force = true;
        } else if word == "forever" {
            forever = true;
        } else if word == "for" {
            let time = rest.next().ok_or_else(|| {
                Failure::usage("the time after `for` is missing").cure("for example: for 30m")
            })?;
            wish.until = Some(end_after(
                crate::cli::args::seconds(time).map_err(Failure::usage)?,
            ));
        } else if let Some(duration) = Duration::parse(word).filter(|_| word.starts_with('P')) {
            let end = DateTime::from_epoch(clock::wall_s()).plus(&duration);
            wish.until = Some(end.to_string());
        } else if let Some(node) = change::node(root, word) {
            wish.node = node.get("uname").map(str::to_owned);
        } else if wish.node.is_none()
            && facts_of(&crate::cib::Cib::new(root.clone()))
                .nodes
                .iter()
                .any(|node| node.name.as_str() == word)
        {
            wish.node = Some(word.clone());
        } else {
            return Err(super::node::no_node(root, word));
        }
    }
    let usual = options::span_ms(&crate::cib::Cib::new(root.clone()), "move-lifetime") / 1000;
    if wish.until.is_none() && !forever && usual > 0 {
        wish.until = Some(end_after(usual));
    }
    Ok(wish)
}

fn end_after(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    DateTime::from_epoch(clock::wall_s().saturating_add(seconds)).to_string()
}

/// What move and ban asked for, with who did and when; offline that is not known.
pub(super) fn wishes(shell: &mut Shell, cib: &crate::cib::Cib) -> Vec<Wish> {
    let moves = Move::all(cib.root(), clock::wall_s());
    let ids: Vec<String> = moves.iter().map(|it| it.id.clone()).collect();
    let entries = if ids.is_empty() || !shell.access.live() {
        Vec::new()
    } else {
        // Who may not read the history sees the rest.
        match shell.access.ask(AdminRequest::About { ids }) {
            Ok(AdminAnswer::History(entries)) => entries,
            _ => Vec::new(),
        }
    };
    let of = |what: Move| {
        let entry = entries
            .iter()
            .rev()
            .find(|entry| entry.objects.iter().any(|object| object.id == what.id));
        Wish {
            by: entry.map(super::cib::author),
            since_s: entry.map(|entry| entry.time_s),
            what,
        }
    };
    moves.into_iter().map(of).collect()
}

fn relocate(shell: &mut Shell, id: &str, words: &[String], prefer: bool) -> Result<(), Failure> {
    let root = shell.cib()?.into_root();
    let (element, _) = change::resource(&root, id).ok_or_else(|| no_resource(&root, id))?;
    let cloned = matches!(element.tag(), "clone" | "master" | "bundle");
    let wish = wish(shell, &root, words)?;
    let facts = facts_of(&crate::cib::Cib::new(root.clone()));
    let current = super::running_on(&facts, id);
    let (prefer, node) = match (prefer, wish.node) {
        (_, Some(node)) => (prefer, node),
        (_, None) => match &current {
            Some(node) if !cloned => (false, node.clone()),
            Some(_) => {
                return Err(
                    Failure::usage(format!("{id:?} runs on several nodes")).cure("name the node")
                );
            }
            None => {
                return Err(Failure::new(
                    CrmExit::NO_SUCH,
                    format!("{id:?} runs nowhere, so it can't move away"),
                )
                .cure(format!("name the node: crm resource move {id} NODE")));
            }
        },
    };
    if prefer && !cloned && current.as_deref() == Some(node.as_str()) && !shell.force {
        return Err(
            Failure::new(CrmExit::ERROR, format!("{id:?} is on {node} already"))
                .cure("name another node, or use --force to keep it there"),
        );
    }
    edit(shell, |root| {
        let constraints = root
            .child_or_new("configuration")
            .child_or_new("constraints");
        // What is over does nothing any more; without a coordinator nobody else would remove it.
        let now_s = clock::wall_s();
        constraints.retain_children(|child| {
            !Move::of(child, now_s).is_some_and(|other| other.rsc == id && other.is_over(now_s))
        });
        constraints
            .retain_children(|child| !made_by_us(child, id, (!prefer).then_some(node.as_str())));
        constraints.push(wanted_place(id, &node, prefer, wish.until.as_deref()));
        Ok(())
    })?;
    if !prefer {
        shell.warn(&format!(
            "{id} is banned from {node} until {}crm resource clear {id}",
            wish.until
                .map(|until| format!("{until}, or until "))
                .unwrap_or_default()
        ));
    }
    Ok(())
}

/// A constraint as `crm_resource --move` and `--ban` make it.
pub(crate) fn wanted_place(id: &str, node: &str, prefer: bool, until: Option<&str>) -> Element {
    let (kind, score) = if prefer {
        ("prefer", "INFINITY")
    } else {
        ("ban", "-INFINITY")
    };
    let own = if prefer {
        format!("cli-prefer-{id}")
    } else {
        format!("cli-ban-{id}-on-{node}")
    };
    let element = Element::new("rsc_location")
        .with("id", own)
        .with("rsc", id)
        .with("role", "Started");
    match until {
        None => element.with("node", node).with("score", score),
        Some(until) => element.with_child(
            Element::new("rule")
                .with("id", format!("cli-{kind}-rule-{id}"))
                .with("score", score)
                .with("boolean-op", "and")
                .with_child(
                    Element::new("expression")
                        .with("id", format!("cli-{kind}-expr-{id}"))
                        .with("attribute", "#uname")
                        .with("operation", "eq")
                        .with("value", node)
                        .with("type", "string"),
                )
                .with_child(
                    Element::new("date_expression")
                        .with("id", format!("cli-{kind}-lifetime-end-{id}"))
                        .with("operation", "lt")
                        .with("end", until),
                ),
        ),
    }
}

/// Whether a constraint came from move or ban of this resource, about this node if one is named.
pub(crate) fn made_by_us(constraint: &Element, rsc: &str, node: Option<&str>) -> bool {
    let Some(id) = constraint.id() else {
        return false;
    };
    let ours = constraint.is("rsc_location")
        && (id == format!("cli-prefer-{rsc}")
            || id == format!("cli-standby-{rsc}")
            || id.strip_prefix(&format!("cli-ban-{rsc}-on-")).is_some());
    let about = |node: &str| {
        constraint.get("node") == Some(node)
            || constraint.descendants().any(|part| {
                part.get("attribute") == Some("#uname") && part.get("value") == Some(node)
            })
    };
    ours && node.is_none_or(about)
}

fn clear(shell: &mut Shell, id: &str, node: Option<&str>) -> Result<(), Failure> {
    edit(shell, |root| {
        change::resource(root, id).ok_or_else(|| no_resource(root, id))?;
        root.child_or_new("configuration")
            .child_or_new("constraints")
            .retain_children(|child| !made_by_us(child, id, node));
        Ok(())
    })
}

fn cleanup(
    shell: &mut Shell,
    id: Option<String>,
    node: Option<String>,
    refresh: bool,
) -> Result<(), Failure> {
    let root = shell.cib()?.into_root();
    if let Some(id) = &id
        && change::resource(&root, id).is_none()
        && root
            .child("status")
            .is_none_or(|status| status.find_id(id).is_none())
    {
        return Err(no_resource(&root, id));
    }
    if let Some(node) = &node
        && change::node(&root, node).is_none()
    {
        return Err(super::node::no_node(&root, node));
    }
    if shell.access.live() {
        let answer = shell.access.ask(AdminRequest::Cleanup {
            rsc: id,
            node,
            refresh,
        })?;
        if let AdminAnswer::Text(text) = answer {
            shell.say(&text)?;
        }
        return if shell.wait {
            wait::idle(shell, 3600)
        } else {
            Ok(())
        };
    }
    edit(shell, |root| {
        forget(root, id.as_deref(), node.as_deref(), refresh);
        Ok(())
    })
}

/// Drop history and fail counts from the status section. // spec cluster §11
pub(crate) fn forget(root: &mut Element, id: Option<&str>, node: Option<&str>, refresh: bool) {
    let members: Option<Vec<String>> = id.map(|id| {
        let inside = change::resource(root, id).map(|(element, _)| element);
        let found = inside.into_iter().flat_map(Element::descendants);
        let mut names: Vec<String> = found
            .filter(|element| element.is("primitive"))
            .filter_map(Element::id)
            .map(str::to_owned)
            .collect();
        names.push(id.to_owned());
        names
    });
    let about = |name: &str| {
        let base = name.split(':').next().unwrap_or(name);
        members
            .as_ref()
            .is_none_or(|members| members.iter().any(|member| member == base))
    };
    let Some(status) = root.child_mut("status") else {
        return;
    };
    for state in status.children_mut() {
        if node.is_some_and(|node| state.get("uname") != Some(node)) {
            continue;
        }
        let mut failed: Vec<String> = Vec::new();
        if let Some(transient) = state.child_mut("transient_attributes") {
            for set in transient.children_mut() {
                set.retain_children(|pair| {
                    let name = pair.get("name").unwrap_or_default();
                    let rest = name
                        .strip_prefix("fail-count-")
                        .or_else(|| name.strip_prefix("last-failure-"));
                    let Some(rest) = rest else { return true };
                    let rsc = rest.split('#').next().unwrap_or(rest);
                    if about(rsc) {
                        failed.push(rsc.to_owned());
                    }
                    !about(rsc)
                });
            }
        }
        if let Some(resources) = state
            .child_mut("lrm")
            .and_then(|lrm| lrm.child_mut("lrm_resources"))
        {
            resources.retain_children(|entry| {
                let id = entry.id().unwrap_or_default();
                let base = id.split(':').next().unwrap_or(id);
                !about(id) || !(refresh || failed.iter().any(|name| name == base || name == id))
            });
        }
    }
}

fn constraints(shell: &mut Shell, id: &str) -> Result<(), Failure> {
    let cib = shell.cib()?;
    change::resource(cib.root(), id).ok_or_else(|| no_resource(cib.root(), id))?;
    let configuration = cib
        .configuration()
        .cloned()
        .unwrap_or_else(|| Element::new("configuration"));
    let document = Document::new(configuration);
    let text = document.show(|_, element| {
        element.tag().starts_with("rsc_")
            && (["rsc", "with-rsc", "first", "then"]
                .iter()
                .any(|name| element.get(name) == Some(id))
                || element
                    .descendants()
                    .any(|part| part.is("resource_ref") && part.id() == Some(id)))
    });
    shell.say(&text)
}

fn failcount(shell: &mut Shell, words: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let usage = || Failure::usage("expected RESOURCE show|delete NODE, or RESOURCE set NODE VALUE");
    let (id, how, node, value) = match words.as_slice() {
        [id, how @ ("show" | "delete"), node] => (*id, *how, *node, None),
        [id, how @ "set", node, value] => (*id, *how, *node, Some(*value)),
        _ => return Err(usage()),
    };
    let root = shell.cib()?.into_root();
    change::resource(&root, id).ok_or_else(|| no_resource(&root, id))?;
    let entry = change::node(&root, node).ok_or_else(|| super::node::no_node(&root, node))?;
    let node_id = entry.id().unwrap_or(node).to_owned();
    match how {
        "show" => tools::within(shell, "crm_failcount", &["-G", "-r", id, "-N", node]),
        "delete" if shell.access.live() => {
            tools::within(shell, "crm_failcount", &["-D", "-r", id, "-N", node])
        }
        "delete" => cleanup(shell, Some(id.to_owned()), Some(node.to_owned()), false),
        _ => edit(shell, |root| {
            change::put_transient(root, &node_id, node, &format!("fail-count-{id}"), value);
            Ok(())
        }),
    }
}

fn pair(shell: &mut Shell, set: Set, words: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [id, "show", name] => {
            let root = shell.cib()?.into_root();
            let (element, _) = change::resource(&root, id).ok_or_else(|| no_resource(&root, id))?;
            match change::get(element, set, name) {
                Some(value) => shell.say(value),
                None => Err(Failure::new(
                    CrmExit::NO_SUCH,
                    format!("{id}: {name:?} is not set"),
                )),
            }
        }
        [id, "set", name, value] => edit(shell, |root| put_pair(root, set, id, name, Some(value))),
        [id, "delete", name] => edit(shell, |root| put_pair(root, set, id, name, None)),
        _ => Err(Failure::usage(
            "expected RESOURCE show|delete NAME, or RESOURCE set NAME VALUE",
        )),
    }
}

/// Set or remove one attribute of a resource.
pub(crate) fn put_pair(
    root: &mut Element,
    set: Set,
    id: &str,
    name: &str,
    value: Option<&str>,
) -> Result<(), Failure> {
    change::resource(root, id).ok_or_else(|| no_resource(root, id))?;
    let used = change::used(root);
    change::with_resource(root, id, &mut |element| {
        change::put(element, set, name, value, id, &used)
    });
    Ok(())
}
