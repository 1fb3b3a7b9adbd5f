//! The parts of other nodes. The daemon of this node has them collected over the cluster's own connections; of a node that
//! can't be reached so (its daemon is down, or ours is), `ssh` is tried, as the original does.

use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use uuid::Uuid;

use crate::{
    cib::status::node_state::NodeState,
    cli::{
        cmd::cluster::unexpected,
        failure::Failure,
        tools::{Tool, corosync::conf},
    },
    clock::Mono,
    process::{self, How, Spec},
    rpc::{AdminAnswer, AdminRequest, PART, PartAnswer, PartAsk, PartRequest, PartWanted, Paths},
    terms::CrmExit,
};

use super::Asked;

/// How long a part may take to be collected and fetched.
const PATIENCE: Duration = Duration::from_secs(360);
/// Between two questions whether it is collected.
const AGAIN: Duration = Duration::from_millis(200);
/// How much an archive may hold.
const MOST: u64 = 1 << 30;
/// How other nodes are reached, if nothing else is said: nobody can be asked for a password.
const SSH: &str = "ssh -T -o BatchMode=yes -o ConnectTimeout=5";

/// A node whose part is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) name: String,
    /// Where ssh finds it: its first address, if one is known.
    host: String,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Collecting, by this number.
    Begun(Uuid),
    /// The cluster does not get it, and why.
    Lost(String),
}

/// What came of a node.
pub(super) type Part = Result<Vec<(String, Vec<u8>)>, String>;

/// The other nodes of which something is wanted: those that are named, or all that are known here. Each that can be reached
/// has begun to collect when this returns.
pub(super) fn begin(
    tool: &mut Tool,
    asked: &Asked,
    wanted: &PartWanted,
    own: &str,
    paths: &Paths,
) -> Vec<Other> {
    if asked.single || !tool.access.live() {
        return Vec::new();
    }
    let known = known(tool, paths);
    let host_of = |name: &str| {
        let found = known.iter().find(|(known, _)| known == name);
        found.map_or_else(|| name.to_owned(), |(_, host)| host.clone())
    };
    let names: Vec<String> = match asked.nodes.is_empty() {
        true => known.iter().map(|(name, _)| name.clone()).collect(),
        false => asked.nodes.clone(),
    };
    let others = names.into_iter().filter(|name| name != own);
    others
        .map(|name| {
            let state = match ask(tool, &name, PartAsk::Collect(wanted.clone())) {
                Ok(PartAnswer::Begun(number)) => State::Begun(number),
                Ok(PartAnswer::Failed(why)) => State::Lost(why),
                Ok(_) => State::Lost("its answer is not to what was asked".to_owned()),
                Err(failure) => State::Lost(failure.message),
            };
            let host = host_of(&name);
            Other { name, host, state }
        })
        .collect()
}

/// All nodes that this one knows of, with where they are. The daemon writes the members down, so they are known without it.
fn known(tool: &mut Tool, paths: &Paths) -> Vec<(String, String)> {
    let mut nodes: Vec<(String, String)> = match tool.access.ask(AdminRequest::Status) {
        Ok(AdminAnswer::Status(status)) => status
            .members
            .iter()
            .map(|it| {
                let host = it.addresses.first().map(|to| to.ip().to_string());
                (it.name.to_string(), host.unwrap_or_default())
            })
            .collect(),
        _ => conf::nodes(&std::fs::read_to_string(paths.data.join(conf::NAME)).unwrap_or_default()),
    };
    if let Ok(cib) = tool.access.cib() {
        let remotes = NodeState::all(&cib).into_iter().filter(|it| it.remote);
        let new = remotes.filter(|it| nodes.iter().all(|(name, _)| *name != it.name));
        let new: Vec<_> = new.map(|it| (it.name.clone(), it.name)).collect();
        nodes.extend(new);
    }
    nodes
}

fn ask(tool: &mut Tool, node: &str, ask: PartAsk) -> Result<PartAnswer, Failure> {
    let node = node.to_owned();
    let broken = |error: serde_json::Error| Failure::new(CrmExit::PROTOCOL, error.to_string());
    let body = serde_json::to_value(PartRequest { node, ask }).map_err(broken)?;
    match tool.access.ask(AdminRequest::Call(PART.to_owned(), body))? {
        AdminAnswer::Json(value) => serde_json::from_value(value).map_err(broken),
        other => Err(unexpected(&other)),
    }
}

/// What all of them have, in their order.
pub(super) fn fetch(
    tool: &mut Tool,
    asked: &Asked,
    wanted: &PartWanted,
    others: &[Other],
) -> Result<Vec<Part>, Failure> {
    let first: Vec<_> = others.iter().map(|it| by_cluster(tool, it)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let parts = others.iter().zip(first).map(async |(other, first)| {
        let archive = match first {
            Ok(archive) => archive,
            Err(why) => by_ssh(asked, wanted, other)
                .await
                .map_err(|also| format!("{why}; {also}"))?,
        };
        unpack(&archive, &other.name).map_err(|error| format!("what it sent is broken: {error}"))
    });
    Ok(runtime.block_on(join_all(parts)))
}

fn by_cluster(tool: &mut Tool, other: &Other) -> Result<Vec<u8>, String> {
    let part = match &other.state {
        State::Begun(number) => *number,
        State::Lost(why) => return Err(why.clone()),
    };
    let (end, mut archive) = (Mono::now().plus(PATIENCE.as_secs() * 1000), Vec::new());
    while Mono::now() < end {
        let offset = archive.len() as u64;
        let answer = ask(tool, &other.name, PartAsk::Read { part, offset });
        match answer.map_err(|failure| failure.message)? {
            PartAnswer::Piece { bytes, of } if bytes.is_empty() => {
                return match of == offset {
                    true => Ok(archive),
                    false => Err(format!("only {offset} of {of} bytes came")),
                };
            }
            PartAnswer::Piece { bytes, of } if of <= MOST => {
                let bytes = STANDARD.decode(bytes).map_err(|error| error.to_string())?;
                archive.extend(bytes);
            }
            PartAnswer::Piece { of, .. } => return Err(format!("{of} bytes are too many")),
            PartAnswer::Collecting => std::thread::sleep(AGAIN),
            PartAnswer::Failed(why) => return Err(why),
            PartAnswer::Begun(_) => return Err("its answer is not to what was asked".to_owned()),
        }
    }
    Err(format!("not collected within {} s", PATIENCE.as_secs()))
}

async fn by_ssh(asked: &Asked, wanted: &PartWanted, other: &Other) -> Result<Vec<u8>, String> {
    let rsh = asked.rsh.as_deref().unwrap_or(SSH);
    let mut words = rsh.split_whitespace();
    let name = words.next().unwrap_or("ssh");
    let program = in_path(name).ok_or_else(|| format!("{name} is not installed"))?;
    let user = asked.user.as_deref().unwrap_or("root");
    let mut there = vec!["systole crm_report --stdout".to_owned()];
    there.extend(wanted.words().iter().map(|word| quoted(word)));
    let mut spec = words
        .fold(Spec::new(program), Spec::arg)
        .arg(format!("{user}@{}", other.host))
        .arg(there.join(" "))
        .timeout(PATIENCE);
    spec.called = Some(name.into());
    spec.output_limit = usize::try_from(MOST).unwrap_or(usize::MAX);
    // An agent with keys, and where they are otherwise.
    for name in ["PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK"] {
        if let Some(value) = std::env::var_os(name) {
            spec = spec.env(name, value);
        }
    }
    let ended = process::run(spec, std::future::pending()).await;
    let failed = |why: &str| format!("{name} {user}@{}: {why}", other.host);
    match ended.how {
        How::Exited(0) if !ended.stdout.truncated() => Ok(ended.stdout.bytes()),
        How::Exited(0) => Err(failed("its report is too long")),
        How::Exited(code) => {
            let said = ended.stderr.text();
            let last = said.trim().lines().last().unwrap_or_default();
            Err(failed(&format!("it ended with {code}: {last}")))
        }
        How::CannotExec(_, why) => Err(failed(&why)),
        other => Err(failed(&format!("{other:?}"))),
    }
}

fn in_path(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places.find(|place| place.is_file())
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The files of an archive that another node made, below that node's name whatever it calls itself.
fn unpack(packed: &[u8], node: &str) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let plain = bzip2::read::MultiBzDecoder::new(packed).take(MOST);
    let mut archive = tar::Archive::new(plain);
    let mut files = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let Some(name) = below(&entry.path()?) else {
            return Err(std::io::Error::other("a name in it leads elsewhere"));
        };
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.push((format!("{node}/{name}"), content));
    }
    Ok(files)
}

/// `TOP/NODE/a/b` and `TOP/b` without what stands before `a/b` and `b`.
fn below(path: &Path) -> Option<String> {
    let parts: Option<Vec<_>> = path
        .components()
        .map(|it| match it {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
        .collect();
    match parts?.as_slice() {
        [_, file] => Some((*file).to_owned()),
        [_, _, rest @ ..] if !rest.is_empty() => Some(rest.join("/")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_another_node_are_below_its_name() {
        let of = |path: &str| below(Path::new(path));
        assert_eq!(of("r/n2/cib.xml").as_deref(), Some("cib.xml"));
        assert_eq!(of("r/n2/logs/a.log").as_deref(), Some("logs/a.log"));
        assert_eq!(of("r/analysis.txt").as_deref(), Some("analysis.txt"));
        for elsewhere in ["r/n2/../../x", "/etc/passwd", "x", "r/../x"] {
            assert_eq!(of(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn words_reach_a_shell_as_they_are() {
        assert_eq!(quoted("-l a'b $(c)"), "'-l a'\\''b $(c)'");
    }
}
