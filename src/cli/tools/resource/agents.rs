//! What agents there are on this machine, and what they say of themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use crate::{
    agents,
    cli::{cmd::check, failure::Failure, show::xml::text_element, tools::Tool},
    executor, fencer,
    terms::{AgentName, CrmExit},
    xml::Element,
};

use super::look::item_list;

/// The provider of our own agents.
const OURS: &str = "systole";

const STANDARDS: [&str; 5] = ["ocf", "lsb", "service", "systemd", "stonith"];

/// `--list-standards`.
pub(super) fn standards(tool: &mut Tool) -> Result<(), Failure> {
    let names: Vec<String> = STANDARDS.iter().map(|name| (*name).to_owned()).collect();
    for name in &names {
        tool.line(name)?;
    }
    tool.element(item_list("standards", &names, |name| {
        text_element("item", name)
    }));
    Ok(())
}

/// `--list-ocf-providers`.
pub(super) fn providers(tool: &mut Tool) -> Result<(), Failure> {
    let names = ocf_providers();
    names.iter().try_for_each(|name| tool.line(name))?;
    tool.element(provider_list(&names).with("standard", "ocf"));
    Ok(())
}

/// `--list-ocf-alternatives`: providers that have an agent of this name.
pub(super) fn alternatives(tool: &mut Tool, kind: &str) -> Result<(), Failure> {
    let mut names = ocf_providers();
    names.retain(|provider| ocf_agents(provider).contains(kind));
    if names.is_empty() {
        return Err(Failure::new(
            CrmExit::NO_SUCH,
            format!("No OCF providers found for agent {kind}"),
        ));
    }
    names.iter().try_for_each(|name| tool.line(name))?;
    tool.element(provider_list(&names).with("for", kind));
    Ok(())
}

fn provider_list(names: &BTreeSet<String>) -> Element {
    let names = names.iter().map(|name| text_element("provider", name));
    Element::new("providers").with_children(names)
}

/// `--list-agents STANDARD[:PROVIDER]`.
pub(super) fn agents(tool: &mut Tool, wanted: &str) -> Result<(), Failure> {
    let (standard, provider) = match wanted.split_once(':') {
        Some((standard, provider)) => (standard, Some(provider)),
        None => (wanted, None),
    };
    let names = match (standard, provider) {
        ("ocf", Some(provider)) => ocf_agents(provider),
        ("ocf", None) => ocf_providers()
            .iter()
            .flat_map(|provider| ocf_agents(provider))
            .collect(),
        ("stonith", _) => fence_agents(),
        ("lsb", _) => programs(Path::new("/etc/init.d")),
        ("systemd", _) => units(),
        ("service", _) => {
            let mut names = programs(Path::new("/etc/init.d"));
            names.extend(units());
            names
        }
        _ => BTreeSet::new(),
    };
    if names.is_empty() {
        let of = provider
            .map(|provider| format!(" and provider '{provider}'"))
            .unwrap_or_default();
        let message = format!("No agents found for standard '{standard}'{of}");
        return Err(Failure::new(CrmExit::ERROR, message)
            .cure(format!("the standards are {}", STANDARDS.join(", "))));
    }
    names.iter().try_for_each(|name| tool.line(name))?;
    let list = names.iter().map(|name| text_element("agent", name));
    tool.element(
        Element::new("agents")
            .with("standard", standard)
            .with_some("provider", provider)
            .with_children(list),
    );
    Ok(())
}

/// Fence agents, those of the system and ours.
pub(crate) fn fence_agents() -> BTreeSet<String> {
    let place = check::place();
    let own = place.own_agents.join("fence");
    let folders = place.fence_agents.iter().chain(std::iter::once(&own));
    folders
        .flat_map(|folder| programs(folder))
        .filter(|name| name.starts_with("fence_"))
        .collect()
}

/// What a fence agent says of parameters: its exit status or why there is none, and its words.
pub(crate) fn validate_fence_agent(
    agent: &str,
    params: &BTreeMap<String, String>,
    timeout_ms: u64,
) -> Result<(Result<i32, String>, String), Failure> {
    let place = check::place();
    let place = fencer::agent::Place {
        agents: place.fence_agents.clone(),
        path: place.path(),
        secrets: place.secrets.clone(),
        extra_env: place.extra_env.clone(),
    };
    let action = ("action".to_owned(), "validate-all".to_owned());
    let ours = |name: &str| name.starts_with("pcmk_") || name == "action";
    let params = params.iter().filter(|(name, _)| !ours(name));
    let params = params.map(|(name, value)| (name.clone(), value.clone()));
    let run = fencer::AgentRun {
        agent: agent.to_owned(),
        device: "validate".into(),
        action: action.1.clone(),
        input: std::iter::once(action).chain(params).collect(),
        timeout_ms,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (result, said) = runtime.block_on(fencer::agent::run(&place, &run));
    Ok((result.map_err(|why| why.to_string()), said))
}

/// `--show-metadata CLASS[:PROVIDER]:TYPE`.
pub(super) fn metadata(tool: &mut Tool, agent: &str) -> Result<(), Failure> {
    let name: AgentName = agent.parse().map_err(|_| {
        Failure::new(CrmExit::NO_SUCH, format!("'{agent}' is no agent"))
            .cure("write CLASS[:PROVIDER]:TYPE")
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let text = runtime
        .block_on(executor::shell::metadata_text(&check::place(), &name))
        .map_err(|error| {
            Failure::new(
                CrmExit::NO_SUCH,
                format!("Metadata query for {agent} failed: {error}"),
            )
        })?;
    tool.line(text.trim_end())?;
    let provider = name.provider.as_deref();
    tool.element(
        Element::new("metadata")
            .with("class", &name.class)
            .with_some("provider", provider)
            .with("type", &name.kind)
            .with_child(text_element("xml", &text)),
    );
    Ok(())
}

/// Folders with agents below: those of the system, and our own in either layout.
fn ocf_folders() -> [std::path::PathBuf; 3] {
    let place = check::place();
    [
        place.ocf_root.join("resource.d"),
        place.own_agents.join("ocf"),
        place.own_agents,
    ]
}

fn ocf_providers() -> BTreeSet<String> {
    let mut names = BTreeSet::from([OURS.to_owned()]);
    for entry in ocf_folders()
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
    {
        for entry in entry.flatten().filter(|entry| entry.path().is_dir()) {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Our folder of agents has neighbours that are no providers.
            if !name.starts_with('.') && !matches!(name.as_str(), "ocf" | "fence" | "lib") {
                names.insert(name);
            }
        }
    }
    names
}

fn ocf_agents(provider: &str) -> BTreeSet<String> {
    if provider.contains('/') {
        return BTreeSet::new();
    }
    let folders = ocf_folders();
    let folders = folders.iter().map(|folder| folder.join(provider));
    let mut names: BTreeSet<String> = folders.flat_map(|folder| programs(&folder)).collect();
    if provider == OURS {
        // They are in this program, laid out or not.
        names.extend(agents::OCF.iter().map(|(name, _)| (*name).to_owned()));
        names.extend(agents::NATIVE.iter().map(|name| (*name).to_owned()));
    }
    names
}

/// Names of what can be run in a folder.
fn programs(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            std::fs::metadata(entry.path())
                .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect()
}

/// Services that systemd knows, as far as their files say.
fn units() -> BTreeSet<String> {
    let folders = [
        "/etc/systemd/system",
        "/run/systemd/system",
        "/usr/lib/systemd/system",
    ];
    let entries = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flat_map(Iterator::flatten);
    entries
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.strip_suffix(".service").map(str::to_owned)
        })
        .collect()
}
