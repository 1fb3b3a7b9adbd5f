//! `crm_resource` in the forms that agents and scripts use most: where it runs, parameters, moves, cleanup, metadata.

use crate::{
    cli::{
        args::Resource,
        cmd::{
            self,
            change::{self, Set},
            check,
        },
        failure::Failure,
        shell::Shell,
    },
    executor,
    terms::{AgentName, CrmExit, Role},
};

use super::{Options, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('Q', "quiet", false),
    ('r', "resource", true),
    ('N', "node", true),
    ('H', "host-uname", true),
    ('W', "locate", false),
    ('L', "list", false),
    ('l', "list-raw", false),
    ('M', "move", false),
    ('B', "ban", false),
    ('U', "clear", false),
    ('C', "cleanup", false),
    ('R', "refresh", false),
    ('g', "get-parameter", true),
    ('p', "set-parameter", true),
    ('d', "delete-parameter", true),
    ('v', "parameter-value", true),
    ('m', "meta", false),
    ('z', "utilization", false),
    ('u', "lifetime", true),
    ('f', "force", false),
    ('q', "query-xml", false),
    ('w', "query-xml-raw", false),
    ('\0', "wait", false),
    ('\0', "restart", false),
    ('T', "timeout", true),
    ('\0', "show-metadata", true),
    ('\0', "list-ocf-providers", false),
    ('\0', "list-standards", false),
    ('\0', "output-as", true),
    ('\0', "promoted", false),
    ('\0', "master", false),
];

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let (mut rsc, mut node, mut lifetime, mut value, mut command) = (None, None, None, None, None);
    let (mut set, mut quiet, mut force) = (Set::Params, false, false);
    while let Some((name, given)) = options.next()? {
        match name {
            "help" => {
                return super::help(tool, "crm_resource", "show and change resources", OPTIONS);
            }
            "version" => return super::version(tool),
            "resource" => rsc = Some(given),
            "node" | "host-uname" => node = Some(given),
            "lifetime" => lifetime = Some(given),
            "parameter-value" => value = Some(given),
            "meta" => set = Set::Meta,
            "utilization" => set = Set::Utilization,
            "quiet" => quiet = true,
            "force" => force = true,
            "verbose" | "output-as" | "timeout" | "promoted" | "master" => {}
            _ => command = Some((name, given)),
        }
    }
    let (command, given) =
        command.ok_or_else(|| Failure::usage("no command").cure("see --help"))?;
    let need = || {
        rsc.clone()
            .ok_or_else(|| Failure::usage("which resource?").cure("say -r RESOURCE"))
    };
    let words: Vec<String> = node.clone().into_iter().chain(lifetime).collect();
    let shell_command = match command {
        "list" => Some(Resource::Status { ids: Vec::new() }),
        "move" => Some(Resource::Move { id: need()?, words }),
        "ban" => Some(Resource::Ban { id: need()?, words }),
        "clear" => Some(Resource::Clear {
            id: need()?,
            node: node.clone(),
        }),
        "cleanup" => Some(Resource::Cleanup {
            id: rsc.clone(),
            node: node.clone(),
        }),
        "refresh" => Some(Resource::Refresh {
            id: rsc.clone(),
            node: node.clone(),
        }),
        "restart" => Some(Resource::Restart { ids: vec![need()?] }),
        _ => None,
    };
    if let Some(shell_command) = shell_command {
        let mut shell = Shell::new(super::entry::reach(None));
        shell.force = force;
        return cmd::resource::run(&mut shell, shell_command);
    }
    let root = tool.access.cib()?.into_root();
    match command {
        "locate" => locate(tool, &need()?, quiet),
        "list-raw" => {
            let resources = root.descend(&["configuration", "resources"]);
            let all = resources.into_iter().flat_map(|found| found.descendants());
            for element in all.filter(|element| element.is("primitive")) {
                writeln!(tool.out, "{}", element.id().unwrap_or_default())?;
            }
            Ok(())
        }
        "get-parameter" => {
            let id = need()?;
            let (element, _) = change::resource(&root, &id)
                .ok_or_else(|| cmd::resource::no_resource(&root, &id))?;
            let attribute = (set == Set::Params).then(|| element.get(&given)).flatten();
            match change::get(element, set, &given).or(attribute) {
                Some(value) => Ok(writeln!(tool.out, "{value}")?),
                None => Err(Failure::new(
                    CrmExit::NO_SUCH,
                    format!("attribute '{given}' not found for '{id}'"),
                )),
            }
        }
        "set-parameter" | "delete-parameter" => {
            let id = need()?;
            if command == "set-parameter" && value.is_none() {
                return Err(Failure::usage("there is no value").cure("say -v VALUE"));
            }
            let value = if command == "set-parameter" {
                value
            } else {
                None
            };
            let mut new = root.clone();
            cmd::resource::put_pair(&mut new, set, &id, &given, value.as_deref())?;
            tool.access.apply_patch(&root, &new).map(|_| ())
        }
        "query-xml" | "query-xml-raw" => {
            let id = need()?;
            let (element, _) = change::resource(&root, &id)
                .ok_or_else(|| cmd::resource::no_resource(&root, &id))?;
            if command == "query-xml" {
                locate(tool, &id, false)?;
                writeln!(tool.out, "Resource XML:")?;
            }
            Ok(write!(tool.out, "{}", crate::xml::write::pretty(element))?)
        }
        "wait" => {
            let mut shell = Shell::new(super::entry::reach(None));
            cmd::cluster::run(
                &mut shell,
                crate::cli::args::Cluster::Wait { seconds: 3600 },
            )
        }
        "show-metadata" => metadata(tool, &given),
        "list-standards" => Ok(writeln!(tool.out, "lsb\nocf\nservice\nstonith\nsystemd")?),
        "list-ocf-providers" => {
            let folder = check::place().ocf_root.join("resource.d");
            let mut names: Vec<String> = std::fs::read_dir(folder)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            names.push("systole".to_owned());
            names.sort();
            names.dedup();
            Ok(writeln!(tool.out, "{}", names.join("\n"))?)
        }
        other => Err(Failure::new(
            CrmExit::UNAVAILABLE,
            format!("--{other} is not known here"),
        )),
    }
}

fn locate(tool: &mut Tool, id: &str, quiet: bool) -> Result<(), Failure> {
    let cib = tool.access.cib()?;
    let facts = cmd::facts_of(&cib);
    let rsc = facts
        .rsc_named(id)
        .ok_or_else(|| cmd::resource::no_resource(cib.root(), id))?;
    let mut found = Vec::new();
    let mut open = vec![rsc];
    while let Some(rsc) = open.pop() {
        let it = &facts.rscs[rsc];
        if it.children.is_empty() {
            found.extend(
                it.active
                    .iter()
                    .map(|node| (facts.nodes[*node].name.to_string(), it.role)),
            );
        }
        open.extend(it.children.iter().rev());
    }
    found.dedup();
    for (node, role) in &found {
        if quiet {
            writeln!(tool.out, "{node}")?;
        } else {
            let promoted = if *role == Role::Promoted {
                " Promoted"
            } else {
                ""
            };
            writeln!(tool.out, "resource {id} is running on: {node}{promoted}")?;
        }
    }
    if found.is_empty() && !quiet {
        writeln!(tool.out, "resource {id} is NOT running")?;
    }
    Ok(())
}

fn metadata(tool: &mut Tool, agent: &str) -> Result<(), Failure> {
    let agent: AgentName = agent.parse().map_err(|_| {
        Failure::new(CrmExit::NO_SUCH, format!("{agent:?} is no agent"))
            .cure("write CLASS[:PROVIDER]:TYPE")
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let text = runtime
        .block_on(executor::shell::metadata_text(&check::place(), &agent))
        .map_err(|error| {
            Failure::new(
                CrmExit::NO_SUCH,
                format!("the metadata of {agent} can't be had: {error}"),
            )
        })?;
    Ok(writeln!(tool.out, "{}", text.trim_end())?)
}
