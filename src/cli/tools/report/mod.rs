//! `crm_report`: all that somebody needs who was not there, in one archive.
//! Enters: the period, names of further log files, patterns of names whose values stay here.
//! Leaves: `DEST.tar.bz2` (or a directory) with a folder for each node, readable by its owner alone, with secrets masked.
//! May touch: the node's own directory, logs, `/proc`; it runs our own tools, `journalctl`, and `ssh` to nodes that the
//! cluster does not reach.

mod collect;
mod mask;
mod others;
mod period;
mod whole;

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::{
    cli::failure::Failure,
    clock,
    rpc::{PartWanted, Paths},
    terms::CrmExit,
};

use self::{collect::Collected, mask::Masks, period::Period};
use super::{Options, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('h', "help", false),
    ('?', "usage", false),
    ('v', "version", false),
    ('\0', "features", false),
    ('V', "verbose", false),
    ('f', "from", true),
    ('t', "to", true),
    ('n', "nodes", true),
    ('S', "single-node", false),
    ('M', "no-search", false),
    ('l', "logfile", true),
    ('p', "mask", true),
    ('L', "pattern", true),
    ('d', "as-directory", false),
    ('\0', "dest", true),
    ('\0', "stdout", false),
    ('\0', "sos-mode", false),
    ('u', "user", true),
    ('e', "rsh", true),
    // What a cluster of this kind does not need to be told.
    ('c', "cluster", true),
    ('C', "corosync", false),
    ('D', "max-depth", true),
    ('T', "cts", true),
    ('\0', "cts-log", true),
];

/// What the command line asks for.
#[derive(Debug, Default)]
struct Asked {
    from: Option<String>,
    to: Option<String>,
    nodes: Vec<String>,
    single: bool,
    search: bool,
    logs: Vec<PathBuf>,
    masks: Vec<String>,
    patterns: Vec<String>,
    directory: bool,
    dest: Option<String>,
    stdout: bool,
    user: Option<String>,
    rsh: Option<String>,
}

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let mut asked = Asked {
        search: true,
        ..Asked::default()
    };
    while let Some((name, value)) = options.next()? {
        match name {
            "help" | "usage" => {
                let what = "collect what is needed to look into a problem, in DEST.tar.bz2";
                return super::help(tool, "crm_report", what, OPTIONS);
            }
            "version" | "features" => return super::version(tool),
            "from" => asked.from = Some(value),
            "to" => asked.to = Some(value),
            "nodes" => asked
                .nodes
                .extend(value.split_whitespace().map(str::to_owned)),
            "single-node" | "sos-mode" => asked.single = true,
            "no-search" => asked.search = false,
            "logfile" => asked.logs.push(value.into()),
            "mask" => asked.masks.push(value),
            "pattern" => asked.patterns.push(value),
            "as-directory" => asked.directory = true,
            "dest" => asked.dest = Some(value),
            "stdout" => asked.stdout = true,
            "user" => asked.user = Some(value),
            "rsh" => asked.rsh = Some(value),
            "cts" | "cts-log" => {
                return Err(Failure::usage(format!(
                    "--{name}: there are no such tests here"
                )));
            }
            _ => {}
        }
    }
    match (options.free.as_slice(), &asked.dest) {
        ([], _) => {}
        ([dest], None) => asked.dest = Some(dest.clone()),
        (words, _) => {
            let text = format!("unexpected words: {}", words.join(" "));
            return Err(Failure::usage(text).cure("one DEST; put times between quotes"));
        }
    }
    report(tool, &asked)
}

fn report(tool: &mut Tool, asked: &Asked) -> Result<(), Failure> {
    let now_s = clock::wall_s();
    let Some(from) = &asked.from else {
        return Err(Failure::usage("it is not said when it began")
            .cure("--from \"YYYY-M-D H:M:S\", a time before the problems"));
    };
    let period = Period {
        from_s: period::moment(from, now_s)?,
        to_s: match &asked.to {
            Some(to) => period::moment(to, now_s)?,
            None => now_s,
        },
    };
    let masks = Masks::new(&asked.masks)?;
    let paths = Paths::from_env();
    let named = !asked.nodes.is_empty() || asked.single;
    if !paths.config().exists() && !named && tool.access.live() {
        // Clients look for these words.
        return Err(Failure::new(
            CrmExit::ERROR,
            "ERROR: Cannot determine nodes; specify --nodes or --single-node",
        )
        .cure(format!(
            "{} is not there, so this machine is no node",
            paths.config().display()
        )));
    }
    let (target, top) = destination(asked, now_s)?;
    let collected = everything(tool, asked, &period, &masks, &paths)?;
    let failed = |error: std::io::Error| {
        let text = format!("failed to write {}: {error}", target.display());
        Failure::new(Failure::from(error).exit, text)
    };
    if asked.stdout {
        let mut bytes = Vec::new();
        as_archive(&mut bytes, &top, &collected, now_s).map_err(failed)?;
        return Ok(tool.out.write_all(&bytes)?);
    }
    match asked.directory {
        true => as_directory(&target, &collected),
        false => private(&target).and_then(|mut file| {
            as_archive(&mut file, &top, &collected, now_s)?;
            file.sync_all()
        }),
    }
    .map_err(failed)?;
    tool.line(&format!(
        "Collected results are available in {}",
        target.display()
    ))
}

/// Where it goes, and the folder that all of it is in.
fn destination(asked: &Asked, now_s: i64) -> Result<(PathBuf, String), Failure> {
    let dest = asked.dest.clone().unwrap_or_else(|| {
        let now = crate::terms::DateTime::from_epoch(now_s).to_string();
        format!("pcmk-{}", now.replace([' ', ':'], "-"))
    });
    let dest = dest.trim_end_matches('/');
    let target = match asked.directory {
        true => PathBuf::from(dest),
        false => PathBuf::from(format!("{}.tar.bz2", dest.trim_end_matches(".tar.bz2"))),
    };
    if target.exists() && !asked.stdout {
        let text = format!("{} is there already", target.display());
        return Err(Failure::new(CrmExit::CANNOT_CREATE, text).cure("give another DEST"));
    }
    let top = Path::new(dest).file_name().unwrap_or_default();
    let top = top.to_string_lossy();
    Ok((target, top.trim_end_matches(".tar.bz2").to_owned()))
}

/// This node's part and those of the others, which collect meanwhile.
fn everything(
    tool: &mut Tool,
    asked: &Asked,
    period: &Period,
    masks: &Masks,
    paths: &Paths,
) -> Result<Collected, Failure> {
    let own = collect::own_name(tool, paths);
    let text = |path: &PathBuf| path.display().to_string();
    let wanted = PartWanted {
        from_s: period.from_s,
        to_s: period.to_s,
        search: asked.search,
        logs: asked.logs.iter().map(text).collect(),
        masks: asked.masks.clone(),
        patterns: asked.patterns.clone(),
    };
    let others = others::begin(tool, asked, &wanted, &own, paths);
    let also_own = asked.single || asked.nodes.is_empty() || asked.nodes.contains(&own);
    let collected = match also_own || others.is_empty() {
        true => Some(collect::all(&own, asked, period, masks, paths)?),
        false => None,
    };
    let parts = others::fetch(tool, asked, &wanted, &others)?;
    let names = others.into_iter().map(|other| other.name);
    let parts: Vec<_> = names.zip(parts).collect();
    for (name, why) in parts
        .iter()
        .filter_map(|(name, part)| Some((name, part.as_ref().err()?)))
    {
        tool.error(&format!(
            "{name} is not in it: {why}; run `crm_report --single-node` there"
        ));
    }
    Ok(match (collected, parts.as_slice()) {
        (Some(collected), []) => collected,
        (collected, parts) => whole::of(collected, parts, &own, period),
    })
}

fn as_directory(target: &Path, collected: &Collected) -> std::io::Result<()> {
    let mut folders = std::fs::DirBuilder::new();
    folders.recursive(true).mode(0o700);
    for (name, content) in &collected.files {
        let path = target.join(name);
        folders.create(path.parent().unwrap_or(target))?;
        private(&path)?.write_all(content)?;
    }
    Ok(())
}

fn as_archive(
    to: &mut impl Write,
    top: &str,
    collected: &Collected,
    now_s: i64,
) -> std::io::Result<()> {
    let packed = bzip2::write::BzEncoder::new(to, bzip2::Compression::default());
    let mut archive = tar::Builder::new(packed);
    for (name, content) in &collected.files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now_s).unwrap_or(0));
        header.set_cksum();
        archive.append_data(&mut header, format!("{top}/{name}"), content.as_slice())?;
    }
    archive.into_inner()?.finish().map(|_| ())
}

/// A new file that nobody else may read.
fn private(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}
