//! The commands around a daemon: found a cluster, let nodes in, join, stop.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::start::paths;
use crate::raft::MemberRole;
use crate::rpc::{self, AdminAnswer, AdminRequest};
use crate::terms::{CrmExit, NodeName, span};

/// How long a question to the daemon may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// `systole init`.
#[derive(Debug, Args)]
pub struct Init {
    #[command(flatten)]
    node: Node,
    /// Name of the cluster
    #[arg(long, default_value = "systole")]
    cluster: String,
}

/// `systole join`.
#[derive(Debug, Args)]
pub struct Join {
    #[command(flatten)]
    node: Node,
    /// What `systole token` printed on a node of the cluster
    token: String,
}

/// `systole token`.
#[derive(Debug, Args)]
pub struct Token {
    /// Directory of the node
    #[arg(long, env = "SYSTOLE_DIR")]
    dir: Option<PathBuf>,
    /// What the new node does: voter, learner (runs resources, has no vote) or witness (only votes)
    #[arg(long, default_value = "voter")]
    role: MemberRole,
    /// For how long the token can be used
    #[arg(long, default_value = "1h", value_name = "SPAN")]
    valid: String,
    /// The token is for the remote node of this name, which becomes no member: `systole remote join` takes it
    #[arg(long, value_name = "NAME", conflicts_with = "role")]
    remote: Option<String>,
}

/// What a node is told about itself.
#[derive(Debug, Args)]
struct Node {
    /// Directory of the node
    #[arg(long, env = "SYSTOLE_DIR")]
    dir: Option<PathBuf>,
    /// Name of this node; the host's if not given
    #[arg(long)]
    name: Option<String>,
    /// Where this node listens and the others find it, ADDRESS[:PORT] (5405); one for each network, the preferred one first.
    /// The nodes of a cluster reach each other there over TCP, at this port and, for leases, the next one
    #[arg(long = "address", value_name = "ADDRESS", required = true)]
    addresses: Vec<String>,
}

pub(super) type Failure = (CrmExit, String);

/// Founds a cluster.
pub fn init(init: &Init) -> ExitCode {
    finish("init", || {
        let founding = rpc::Founding {
            cluster_name: init.cluster.clone(),
            name: init.node.name(),
            addresses: init.node.addresses()?,
            lease_addresses: Vec::new(),
        };
        let paths = paths(init.node.dir.as_deref());
        let config = rpc::init(&paths, founding).map_err(failure)?;
        Ok(format!(
            "cluster {} is founded with {} as node {}; start it with `systole daemon`",
            config.cluster_name, config.name, config.node
        ))
    })
}

/// Gets into a cluster.
pub fn join(join: &Join) -> ExitCode {
    finish("join", || {
        let joining = rpc::Joining {
            token: join.token.parse().map_err(failure)?,
            name: join.node.name(),
            addresses: join.node.addresses()?,
            lease_addresses: Vec::new(),
        };
        let paths = paths(join.node.dir.as_deref());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| (CrmExit::OS, e.to_string()))?;
        let config = runtime
            .block_on(rpc::join(&paths, joining))
            .map_err(failure)?;
        Ok(format!(
            "{} is node {} of cluster {}; start it with `systole daemon`",
            config.name, config.node, config.cluster_name
        ))
    })
}

/// Prints a token.
pub fn token(token: &Token) -> ExitCode {
    finish("token", || {
        let valid_ms = span::parse_ms(&token.valid).map_err(|e| (CrmExit::USAGE, e.to_string()))?;
        let request = AdminRequest::Token {
            role: token.role,
            valid_s: span::ms_to_s(valid_ms),
            remote: token.remote.as_deref().map(NodeName::from),
        };
        ask(token.dir.as_deref(), &request)
    })
}

/// Stops the daemon of this node.
pub fn stop(dir: Option<&Path>) -> ExitCode {
    finish("stop", || {
        ask(dir, &AdminRequest::Shutdown)?;
        let socket = paths(dir).socket;
        // The socket goes when the daemon does, which is when everything has been moved away.
        while std::os::unix::net::UnixStream::connect(&socket).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok("this node has left".into())
    })
}

/// Makes links by which tools are called.
pub fn links(dir: &Path, force: bool) -> ExitCode {
    finish("links", || {
        let program = std::env::current_exe().map_err(|e| (CrmExit::OS, e.to_string()))?;
        let made = crate::cli::links::make(dir, &program, force)
            .map_err(|e| (CrmExit::CANNOT_CREATE, e.to_string()))?;
        let mut text = format!("{} links in {}", made.links, dir.display());
        for path in &made.kept {
            text.push_str(&format!("\nwhat was there is kept as {}", path.display()));
        }
        if made.left.is_empty() {
            return Ok(text);
        }
        text.push_str("; these names belong to others and were left alone:");
        for (path, what) in &made.left {
            text.push_str(&format!("\n  {} ({what})", path.display()));
        }
        text.push_str(if force {
            "\nmove them away, or choose another directory"
        } else {
            "\n--force puts files and links aside (NAME.saved); or choose another directory that is searched first"
        });
        Err((CrmExit::EXISTS, text))
    })
}

/// Writes the manual pages.
pub fn man(dir: &Path, systole: clap::Command) -> ExitCode {
    finish("man", || {
        let written = crate::cli::man::write(dir, systole)
            .map_err(|e| (CrmExit::CANNOT_CREATE, e.to_string()))?;
        Ok(format!("{written} manual pages in {}", dir.display()))
    })
}

/// Writes the files by which other programs check a CIB.
pub fn schemas(dir: &Path) -> ExitCode {
    finish("schemas", || {
        let written =
            crate::cli::schemas::write(dir).map_err(|e| (CrmExit::CANNOT_CREATE, e.to_string()))?;
        Ok(format!("{written} schemas in {}", dir.display()))
    })
}

/// Prints the systemd unit of a node, or of a remote node.
pub fn unit(remote: bool) -> ExitCode {
    finish("unit", || {
        let text = match remote {
            true => include_str!("systole-remote.service"),
            false => include_str!("systole.service"),
        };
        Ok(text.trim_end().to_owned())
    })
}

impl Node {
    fn name(&self) -> NodeName {
        let host = || {
            rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned()
        };
        NodeName::from(self.name.clone().unwrap_or_else(host))
    }

    fn addresses(&self) -> Result<Vec<SocketAddr>, Failure> {
        let mut all = Vec::new();
        for text in &self.addresses {
            all.push(rpc::parse_address(text, rpc::PORT).map_err(failure)?);
        }
        crate::raft::usable(&all).map_err(|why| (CrmExit::USAGE, why))?;
        Ok(all)
    }
}

fn ask(dir: Option<&Path>, request: &AdminRequest) -> Result<String, Failure> {
    match rpc::call_blocking(&paths(dir).socket, request, PATIENCE).map_err(failure)? {
        AdminAnswer::Text(text) => Ok(text),
        AdminAnswer::Failed { exit, message } => Err((exit, message)),
        _ => Ok(String::new()),
    }
}

pub(super) fn failure(e: rpc::Error) -> Failure {
    (e.exit(), e.to_string())
}

/// Prints what came of it.
pub(super) fn finish(command: &str, act: impl FnOnce() -> Result<String, Failure>) -> ExitCode {
    let (exit, written) = match act() {
        Ok(text) if text.is_empty() => (CrmExit::OK, Ok(())),
        Ok(text) => (CrmExit::OK, writeln!(std::io::stdout(), "{text}")),
        Err((exit, message)) => (
            exit,
            writeln!(std::io::stderr(), "systole {command}: {message}"),
        ),
    };
    let exit = if written.is_err() { CrmExit::IO } else { exit };
    ExitCode::from(u8::try_from(exit.0).unwrap_or(1))
}
