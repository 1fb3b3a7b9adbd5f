//! The announcer: a small process of its own that outlives `start`, so that `start` needs not wait for bursts.
//!
//! ```text
//! start: A | interval | A | interval | A ... again_ms ... A | A | A ... refresh, refresh, ...
//!        ^ start sends the first        ^ all that follows is the announcer's
//! ```
//! Before each frame it looks whether the address is still here: who lost it must not claim it. It ends when the
//! address is gone, when a younger announcer took over, or when there is nothing more to say.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use rtnetlink::MulticastGroup;

use super::garp::Wire;
use super::link::Kernel;
use super::param::{Env, Param};
use super::plan::{self, Health};

/// Starts the announcer, which detaches itself; it inherits nothing but the environment.
/// The announcer closes `socket`, which takes a while.
pub(super) fn spawn(env: &Env, socket: OwnedFd) -> io::Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "process::run waits; this child must outlive us"
    )]
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("systole")
        .args(["agent", "IPaddr2", "announce"])
        .env_clear()
        .envs(env)
        .current_dir("/")
        .stdin(socket)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().map(drop)
}

/// The announcer's life. The first announcement was made by `start`.
pub(super) async fn run(env: &Env, param: &Param) -> io::Result<()> {
    // Out of the session and process group of the agent that started us: their end is not ours.
    let _ = rustix::process::setsid();
    nix::unistd::dup2_stdin(fs::File::open("/dev/null")?)?;
    let token = Token::take(env, param);
    let kernel = Kernel::connect().map_err(io::Error::other)?;
    let says = param.announcing;
    for _ in 1..says.count {
        tokio::time::sleep(Duration::from_millis(says.interval_ms)).await;
        if !once(&kernel, param, &token).await? {
            return Ok(());
        }
    }
    if says.again_ms > 0 {
        for i in 0..says.count {
            let wait_ms = if i == 0 {
                says.again_ms
            } else {
                says.interval_ms
            };
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            if !once(&kernel, param, &token).await? {
                return Ok(());
            }
        }
    }
    if says.refresh_ms > 0 {
        refresh(&kernel, param, &token).await?;
    }
    Ok(())
}

/// All bursts that follow the first announcement, without a second process (`arp_bg=false`).
pub(super) async fn in_foreground(kernel: &Kernel, param: &Param) -> io::Result<()> {
    for _ in 1..param.announcing.count {
        tokio::time::sleep(Duration::from_millis(param.announcing.interval_ms)).await;
        once(kernel, param, &Token::none()).await?;
    }
    Ok(())
}

/// Announces on a timer, and at once when something about links or addresses changed, as after a healed cable.
async fn refresh(kernel: &Kernel, param: &Param, token: &Token) -> io::Result<()> {
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
    ];
    let (connection, _handle, mut changes) = rtnetlink::new_multicast_connection(&groups)?;
    tokio::spawn(connection);
    let pause = Duration::from_millis(param.announcing.refresh_ms);
    loop {
        if let Ok(Some(_)) = tokio::time::timeout(pause, changes.next()).await {
            // Changes come in bursts; one announcement is the answer to all of them.
            tokio::time::sleep(Duration::from_millis(50)).await;
            while let Some(Some(_)) = futures_util::FutureExt::now_or_never(changes.next()) {}
        }
        if !once(kernel, param, token).await? {
            return Ok(());
        }
    }
}

/// One announcement; false when there is nothing to announce any more.
async fn once(kernel: &Kernel, param: &Param, token: &Token) -> io::Result<bool> {
    if !token.is_mine() {
        return Ok(false);
    }
    let seen = kernel.seen(None).await.map_err(io::Error::other)?;
    match plan::check(&param.wanted, &seen) {
        Health::Running { link } => {
            if let Ok(mut wire) = Wire::open(seen.link(link)) {
                drop(wire.announce(param.wanted.ip)); // a full queue is not the end: we say it again
            }
            Ok(true)
        }
        Health::Failed { .. } => Ok(true),
        Health::NotRunning { .. } => Ok(false),
    }
}

/// A file that names the announcer in charge, in a directory that only we may write. Without such a directory there
/// is no token: bursts end by themselves then.
struct Token {
    file: Option<PathBuf>,
    mine: String,
}

impl Token {
    fn none() -> Self {
        Self {
            file: None,
            mine: String::new(),
        }
    }

    fn take(env: &Env, param: &Param) -> Self {
        let mine = format!("{}.{}", std::process::id(), crate::clock::Mono::now().0);
        let file = token_path(env, param).filter(|path| {
            let parent = path.parent().unwrap_or(Path::new("/"));
            drop(
                fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(parent),
            );
            write_private(path, &mine).is_ok()
        });
        Self { file, mine }
    }

    fn is_mine(&self) -> bool {
        match &self.file {
            None => true,
            Some(file) => fs::read_to_string(file).is_ok_and(|now| now == self.mine),
        }
    }
}

/// Tells a running announcer to end.
pub(super) fn end(env: &Env, param: &Param) {
    if let Some(path) = token_path(env, param) {
        drop(fs::remove_file(path));
    }
}

fn token_path(env: &Env, param: &Param) -> Option<PathBuf> {
    let state = match env.get("HA_RSCTMP") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from("/run/resource-agents"),
    };
    let name = match &param.namespace {
        Some(namespace) => format!("{}@{namespace}", param.wanted.ip),
        None => param.wanted.ip.to_string(),
    };
    state
        .is_absolute()
        .then(|| state.join("systole-IPaddr2").join(name))
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    fs::rename(&new, path)
}
