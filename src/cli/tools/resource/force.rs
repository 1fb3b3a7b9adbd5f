//! `--force-*` and `--validate`: the agent of a resource run here and now, past the cluster.

use std::time::Duration;

use crate::{
    cli::{
        cmd::{check, facts_of},
        failure::Failure,
        show::xml::text_element,
        tools::{Tool, local_node},
    },
    executor::{self, Invocation},
    policy::facts::Facts,
    terms::{AgentName, CrmExit, ExecStatus, OcfExit, RscId},
    xml::Element,
};

use super::{Asked, found, look};

const PATIENCE_MS: u64 = 20_000;

/// What is run, and on behalf of what.
struct Subject {
    agent: AgentName,
    rsc: Option<String>,
    params: Vec<(String, String)>,
}

/// Run it.
pub(super) fn run(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let task = match asked.command {
        "validate" => "validate-all",
        "force-check" => "monitor",
        other => other.trim_start_matches("force-"),
    };
    let mut subject = match &asked.rsc {
        Some(id) => of_resource(tool, asked, id)?,
        None => of_options(asked)?,
    };
    for (name, value) in &asked.pairs {
        subject.params.retain(|(known, _)| known != name);
        subject.params.push((name.clone(), value.clone()));
    }
    if let Some(level) = &asked.level {
        let level = ("OCF_CHECK_LEVEL".to_owned(), level.clone());
        subject.params.push(level);
    }
    let timeout_ms = asked.timeout_ms.unwrap_or(PATIENCE_MS);
    let call = Invocation {
        agent: subject.agent.clone(),
        rsc: RscId::from(subject.rsc.as_deref().unwrap_or("test")),
        task: task.to_owned(),
        params: subject.params.clone(),
        timeout_ms,
        kill_process_only: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let place = check::place();
    let outcome = runtime.block_on(async {
        let limit = Duration::from_millis(timeout_ms);
        let stop = std::future::pending();
        let run = async {
            match call.agent.is_fencing() {
                true => super::fence_device::run(&place, &call).await,
                false => executor::shell::run_agent(&place, call, None, None, stop).await,
            }
        };
        // The agent's own timeout comes first; this is for an agent that nothing can end.
        tokio::time::timeout(limit + Duration::from_secs(5), run).await
    });
    let outcome = outcome.map_err(|_| {
        Failure::new(
            CrmExit::TIMEOUT,
            format!("{} did not end in time", subject.agent),
        )
    })?;
    tell(tool, asked, &subject, &outcome)
}

fn of_resource(tool: &mut Tool, asked: &Asked, id: &str) -> Result<Subject, Failure> {
    let cib = tool.access.cib()?;
    let facts = facts_of(&cib);
    let rsc = found(&facts, &cib, id)?;
    let it = &facts.rscs[rsc];
    let Some(leaf) = facts
        .leaves(rsc)
        .first()
        .copied()
        .filter(|_| it.bundle().is_none())
    else {
        return Err(Failure::usage(format!("{id} has no agent of its own")));
    };
    if !it.is_primitive() && it.clone_facts().is_none() {
        return Err(
            Failure::usage(format!("{id} has no agent of its own")).cure("name one of its members")
        );
    }
    if matches!(
        asked.command,
        "force-start" | "force-promote" | "force-demote"
    ) && !asked.force
    {
        refuse_clone(tool, &facts, id)?;
    }
    let it = &facts.rscs[leaf];
    let mut words = vec![it.agent.class.to_string()];
    words.extend(it.agent.provider.as_ref().map(ToString::to_string));
    words.push(it.agent.kind.to_string());
    let words = words.join(":");
    let agent = words.parse().map_err(|_| {
        Failure::new(
            CrmExit::NO_SUCH,
            format!("{id}: there is no agent '{words}'"),
        )
    })?;
    let params = facts.params(leaf, None);
    let params = params.iter();
    let mut params: Vec<(String, String)> = params
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    params.push((
        "crm_feature_set".to_owned(),
        crate::terms::FEATURE_SET.to_owned(),
    ));
    Ok(Subject {
        agent,
        rsc: Some(it.xml_id.to_string()),
        params,
    })
}

/// An instance that runs here already would be started twice.
fn refuse_clone(tool: &mut Tool, facts: &Facts, id: &str) -> Result<(), Failure> {
    let cloned = super::find(facts, id)
        .is_some_and(|rsc| facts.rscs[facts.top_of(rsc)].clone_facts().is_some());
    let here = local_node(tool)?;
    let runs = look::places(facts, id)
        .iter()
        .any(|(node, _)| facts.nodes[*node].name.as_str() == here);
    if cloned && runs {
        return Err(Failure::new(
            CrmExit::UNSAFE,
            format!("the cluster believes that an instance of {id} runs on {here} already"),
        )
        .cure("--force if you know better"));
    }
    Ok(())
}

fn of_options(asked: &Asked) -> Result<Subject, Failure> {
    let (Some(class), Some(kind)) = (&asked.class, &asked.agent) else {
        return Err(Failure::usage("Must supply a resource id with -r")
            .cure("or an agent, with --class, --provider and --agent"));
    };
    let provider = asked.provider.clone().unwrap_or_default();
    let name = match &asked.provider {
        Some(provider) => format!("{class}:{provider}:{kind}"),
        None => format!("{class}:{kind}"),
    };
    let unknown = || Failure::usage(format!("{class}:{provider}:{kind} is not a known resource"));
    let agent: AgentName = name.parse().map_err(|_| unknown())?;
    if class == "ocf" && asked.provider.is_none() {
        return Err(unknown());
    }
    let place = check::place();
    let known = match class.as_str() {
        "stonith" => executor::agent::find::find_fence(&place, kind),
        _ => executor::agent::find::find(&place, &agent),
    };
    known.map_err(|error| unknown().cure(error.to_string()))?;
    Ok(Subject {
        agent,
        rsc: None,
        params: Vec::new(),
    })
}

/// What an agent had to say about its failure, where clients look for it.
fn said(code: i32, text: &str) -> Element {
    Element::new("command")
        .with("code", code.to_string())
        .with_child(text_element("output", text).with("source", "stderr"))
}

fn tell(
    tool: &mut Tool,
    asked: &Asked,
    subject: &Subject,
    outcome: &executor::Outcome,
) -> Result<(), Failure> {
    let agent = &subject.agent;
    let who = match &subject.rsc {
        Some(id) => format!("for {id} ({agent})"),
        None => format!("({agent})"),
    };
    let reason = outcome.reason.as_deref();
    let also = reason
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    let (status, rc) = (outcome.status, outcome.rc);
    let command = asked.command;
    tool.line(&if status == ExecStatus::Done {
        format!(
            "Operation {command} {who} returned {} ({}{also})",
            rc.0,
            rc.text()
        )
    } else {
        format!("Operation {command} {who} could not be executed ({status}{also})")
    })?;
    let mut overrides = Element::new("overrides");
    for (name, value) in &asked.pairs {
        overrides.push(
            Element::new("override")
                .with_some("rsc", subject.rsc.as_deref())
                .with("name", name)
                .with("value", value),
        );
    }
    let mut action = Element::new("resource-agent-action")
        .with("action", command)
        .with("class", &agent.class)
        .with("type", &agent.kind)
        .with_some("rsc", subject.rsc.as_deref())
        .with_some("provider", agent.provider.as_deref())
        .with_child(overrides)
        .with_child(
            Element::new("agent-status")
                .with("code", rc.0.to_string())
                .with("message", rc.text())
                .with("execution_code", status.code().to_string())
                .with("execution_message", status.text())
                .with_some("reason", reason),
        );
    if let Some(reason) = reason {
        action.push(said(rc.0, reason));
    }
    tool.element(action);
    if rc == OcfExit::OK {
        Ok(())
    } else {
        Err(Failure::new(CrmExit(rc.0), ""))
    }
}
