//! The inside of a laboratory host. Its pid 1 has what a machine has: a network card, private `/run`, a name, and a
//! small service that answers on every address with the host's name. Orders come as JSON lines on standard input;
//! what happened leaves on standard output.
//!
//! `lab-host` first unshares and starts pid 1; killing pid 1 is the power switch.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IoSlice, IoSliceMut, Write};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, thread};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::sys::Socket;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions};
use serde::{Deserialize, Serialize};

use super::enclose::make_private;
use super::wires::Wires;
use crate::clock;
use crate::process::favour_this_thread;

/// Where the answering service listens.
pub(super) const ANSWER_PORT: u16 = 7777;

/// What a host is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Sets up a network card.
    Address {
        link: String,
        ip: Ipv4Addr,
        prefix: u8,
    },
    /// Starts a program; its output is appended to files.
    Start {
        key: u64,
        argv: Vec<String>,
        env: BTreeMap<String, String>,
        out: PathBuf,
        err: PathBuf,
    },
    /// Sends a signal to a program that was started.
    Signal { key: u64, signal: i32 },
}

/// What a host says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum News {
    /// Pid 1 exists (its number as seen by the laboratory).
    Born { pid: i32 },
    /// Furnished, ready for orders.
    Ready,
    /// An order (address) was carried out.
    Done,
    /// A program runs.
    Started { key: u64, pid: i32 },
    /// A program ended: exit status, or 128 + signal.
    Ended { key: u64, code: i32 },
    /// An address came or went, in microseconds since boot.
    Address {
        ip: Ipv4Addr,
        here: bool,
        at_us: u64,
    },
    /// An order failed.
    Failed { key: Option<u64>, why: String },
}

/// Both stages of a host: `lab-host NAME LAB_DIR`, and `lab-host NAME LAB_DIR inside`.
pub(super) fn main(args: &[&str]) -> u8 {
    let done = match args {
        [name, lab] => power(name, lab),
        [name, lab, "inside"] => live(name, Path::new(lab)),
        _ => Err(io::Error::other("usage: lab-host NAME LAB_DIR")),
    };
    match done {
        Ok(()) => 0,
        Err(e) => {
            drop(writeln!(io::stderr(), "lab-host: {e}"));
            1
        }
    }
}

/// The power supply: new namespaces, and pid 1 in them.
fn power(name: &str, lab: &str) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC,
    )?;
    #[expect(clippy::disallowed_methods, reason = "this is us again, not an agent")]
    let mut inside = Command::new("/proc/self/exe");
    let mut child = inside.args(["lab-host", name, lab, "inside"]).spawn()?;
    tell(&News::Born {
        pid: child.id().cast_signed(),
    });
    child.wait().map(drop)
}

/// The life of pid 1.
fn live(name: &str, lab: &Path) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    furnish(name, lab)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        Wires::connect()?
            .address("lo", Ipv4Addr::LOCALHOST, 8)
            .await
    })?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, ANSWER_PORT))?;
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    let own = name.to_owned();
    thread::spawn(move || answer(&socket, &own));
    thread::spawn(watch_addresses);
    let children: Children = Arc::default();
    let reaped = Arc::clone(&children);
    thread::spawn(move || reap(&reaped));
    tell(&News::Ready);
    for line in io::stdin().lock().lines() {
        let order: Order = serde_json::from_str(&line?)?;
        obey(order, &runtime, &children);
    }
    Ok(())
}

/// Private `/run` (with the laboratory still in it), `/proc` and host name.
fn furnish(name: &str, lab: &Path) -> io::Result<()> {
    make_private()?;
    let bind = |from: &Path, to: &Path| {
        mount(
            Some(from),
            to,
            None::<&str>,
            MsFlags::MS_BIND | MsFlags::MS_REC,
            None::<&str>,
        )
    };
    let run = lab.join(name).join("run");
    drop(fs::remove_dir_all(&run)); // emptied at boot
    if let Ok(inner) = lab.strip_prefix("/run") {
        let inner = run.join(inner);
        fs::create_dir_all(&inner)?;
        bind(lab, &inner)?;
    } else {
        fs::create_dir_all(&run)?;
    }
    bind(&run, Path::new("/run"))?;
    let _ = mount(
        Some("proc"),
        "/proc",
        Some("proc"),
        MsFlags::empty(),
        None::<&str>,
    );
    rustix::system::sethostname(name.as_bytes())?;
    Ok(())
}

type Children = Arc<Mutex<BTreeMap<i32, u64>>>;

fn obey(order: Order, runtime: &tokio::runtime::Runtime, children: &Children) {
    match order {
        Order::Address { link, ip, prefix } => {
            let set = async { Wires::connect()?.address(&link, ip, prefix).await };
            tell(&match runtime.block_on(set) {
                Ok(()) => News::Done,
                Err(e) => News::Failed {
                    key: None,
                    why: e.to_string(),
                },
            });
        }
        Order::Start {
            key,
            argv,
            env,
            out,
            err,
        } => {
            // Held until the child is entered, so that the reaper does not see a stranger.
            let mut known = children.lock().unwrap_or_else(PoisonError::into_inner);
            tell(&match start(&argv, &env, &out, &err) {
                Ok(pid) => {
                    known.insert(pid, key);
                    News::Started { key, pid }
                }
                Err(e) => News::Failed {
                    key: Some(key),
                    why: format!("failed to run {}: {e}", argv.join(" ")),
                },
            });
        }
        Order::Signal { key, signal } => {
            let known = children.lock().unwrap_or_else(PoisonError::into_inner);
            let pid = known
                .iter()
                .find(|(_, k)| **k == key)
                .and_then(|(pid, _)| Pid::from_raw(*pid));
            if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal)) {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    }
}

fn start(
    argv: &[String],
    env: &BTreeMap<String, String>,
    out: &Path,
    err: &Path,
) -> io::Result<i32> {
    let append = |path: &Path| fs::OpenOptions::new().create(true).append(true).open(path);
    let (program, args) = argv
        .split_first()
        .ok_or_else(|| io::Error::other("no program was named"))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "a machine's programs live on; the laboratory ends them"
    )]
    let child = Command::new(program)
        .args(args)
        .envs(env)
        .stdin(Stdio::null())
        .stdout(append(out)?)
        .stderr(append(err)?)
        .spawn()?;
    Ok(child.id().cast_signed())
}

/// Pid 1 buries everybody: its own children and those left behind.
fn reap(children: &Children) {
    loop {
        let waiting = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        if rustix::process::waitid(WaitId::All, waiting).is_err() {
            thread::sleep(Duration::from_millis(5)); // nobody there
            continue;
        }
        let mut known = children.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let code = status
                .exit_status()
                .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
                .unwrap_or(255);
            if let Some(key) = known.remove(&pid.as_raw_nonzero().get()) {
                tell(&News::Ended { key, code });
            }
        }
    }
}

/// Answers each question with its own bytes and our name, from the address that was asked.
fn answer(socket: &UdpSocket, name: &str) {
    let mut buffer = [0u8; 64];
    let mut control = nix::cmsg_space!(nix::libc::in_pktinfo);
    loop {
        let (question, from, asked) = {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let received = recvmsg::<SockaddrIn>(
                socket.as_raw_fd(),
                &mut parts,
                Some(&mut control),
                MsgFlags::empty(),
            );
            let Ok(message) = received else { continue };
            let asked = message.cmsgs().ok().and_then(|mut all| {
                all.find_map(|c| match c {
                    ControlMessageOwned::Ipv4PacketInfo(info) => Some(info),
                    _ => None,
                })
            });
            (message.bytes, message.address, asked)
        };
        let (Some(from), Some(asked)) = (from, asked) else {
            continue;
        };
        let source = nix::libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: asked.ipi_addr,
            ..asked
        };
        let mut reply = buffer[..question.min(buffer.len())].to_vec();
        reply.extend(name.as_bytes());
        let _ = sendmsg(
            socket.as_raw_fd(),
            &[IoSlice::new(&reply)],
            &[ControlMessage::Ipv4PacketInfo(&source)],
            MsgFlags::empty(),
            Some(&SockaddrIn::from(SocketAddrV4::from(from))),
        );
    }
}

/// The truth about who has which address when, from the kernel itself. It gives no moments, so they are taken here, before
/// anything else on the machine has its turn: a watcher that waits for a processor makes one address overlap another.
fn watch_addresses() {
    if let Err(e) = favour_this_thread() {
        drop(writeln!(
            io::stderr(),
            "lab-host: moments may be late, there is no realtime scheduling: {e}"
        ));
    }
    let listening = Socket::new(NETLINK_ROUTE).and_then(|mut socket| {
        socket.bind_auto()?;
        socket.add_membership(MulticastGroup::Ipv4Ifaddr as u32)?;
        Ok(socket)
    });
    let socket = match listening {
        Ok(socket) => socket,
        Err(e) => {
            drop(writeln!(
                io::stderr(),
                "lab-host: addresses cannot be watched: {e}"
            ));
            return;
        }
    };
    while let Ok((bytes, _)) = socket.recv_from_full() {
        let at_us = clock::boot_us();
        let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes) else {
            continue;
        };
        let (address, here) = match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(a)) => (a, true),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(a)) => (a, false),
            _ => continue,
        };
        if let Some(ip) = local(&address) {
            tell(&News::Address { ip, here, at_us });
        }
    }
}

fn local(address: &AddressMessage) -> Option<Ipv4Addr> {
    address.attributes.iter().find_map(|a| match a {
        AddressAttribute::Local(std::net::IpAddr::V4(ip)) => Some(*ip),
        _ => None,
    })
}

/// One line of news; whole lines even from several threads.
fn tell(news: &News) {
    if let Ok(line) = serde_json::to_string(news) {
        drop(writeln!(io::stdout().lock(), "{line}"));
    }
}
