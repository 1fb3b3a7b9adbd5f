//! The OCF side: which action, with which parameters, ends with which status and reason.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use super::announce;
use super::garp::{self, Wire};
use super::link::{Kernel, LinkError};
use super::metadata;
use super::param::{self, Env, Param, Refusal};
use super::plan::{self, Health, Home, Seen, Step};
use crate::clock::Mono;
use crate::terms::OcfExit;

/// How long a link that was just switched on may take to find its carrier.
const CARRIER_WAIT_MS: u64 = 2000;
/// How long the kernel may take to find out whether an IPv6 address is unique (it asks for about a second).
const UNIQUE_WAIT_MS: u64 = 15_000;

/// Runs one action of the agent and returns its exit status. Reasons go to standard error, meta-data to standard
/// output.
pub fn main(action: &str, env: &Env) -> i32 {
    let outcome = match action {
        "meta-data" | "metadata" => return say(&metadata::text()),
        "usage" | "help" => return say(metadata::USAGE),
        "start" | "stop" | "monitor" | "status" | "validate-all" | "reload" | "reload-agent"
        | "announce" => run(action, env),
        other => Err(Refusal::new(
            OcfExit::UNIMPLEMENTED,
            format!("action '{other}' is not implemented; {}", metadata::USAGE),
        )),
    };
    match outcome {
        Ok(exit) => exit.0,
        Err(refusal) => {
            let prefix = env
                .get("OCF_EXIT_REASON_PREFIX")
                .map_or("ocf-exit-reason:", |p| p);
            drop(writeln!(io::stderr(), "{prefix}{}", refusal.reason));
            refusal.exit.0
        }
    }
}

fn say(text: &str) -> i32 {
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => OcfExit::OK.0,
        Err(_) => OcfExit::ERROR.0,
    }
}

fn run(action: &str, env: &Env) -> Result<OcfExit, Refusal> {
    let param = param::read(env, action == "stop")?;
    if let Some(namespace) = &param.namespace
        && let Err(refusal) = enter(namespace)
    {
        // Nothing runs in a namespace that isn't there.
        return match action {
            "stop" => Ok(OcfExit::OK),
            "monitor" | "status" if is_probe(env) => Ok(OcfExit::NOT_RUNNING),
            _ => Err(refusal),
        };
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| error(format!("failed to start: {e}")))?;
    runtime.block_on(async {
        match action {
            "start" => start(env, &param).await,
            "stop" => stop(env, &param).await,
            "validate-all" => validate(&param).await,
            // Only announcement parameters are reloadable; the announcer reads them when it starts.
            "reload" | "reload-agent" => start(env, &param).await,
            "announce" => {
                let done = announce::run(env, &param).await;
                done.map(|()| OcfExit::OK).map_err(|e| error(e.to_string()))
            }
            _ => monitor(env, &param).await,
        }
    })
}

async fn start(env: &Env, param: &Param) -> Result<OcfExit, Refusal> {
    let kernel = Kernel::connect()?;
    let seen = see(&kernel, param).await?;
    let (home, steps) = plan::start(&param.wanted, &seen)?;
    let adds = steps.iter().any(|step| matches!(step, Step::Add(_)));
    if param.wanted.check_link {
        await_carrier(&kernel, &seen, home, &steps).await?;
    }
    if adds && param.announcing.check_duplicate {
        refuse_duplicate(param, &seen, home)?;
    }
    for step in &steps {
        kernel.apply(step).await?;
    }
    if adds && param.wanted.ip.is_ipv6() && !param.wanted.nodad {
        await_unique(&kernel, param, home).await?;
    }
    let link = seen.link(home.link);
    if !link.broadcast || param.announcing.count == 0 {
        return Ok(OcfExit::OK);
    }
    // The first announcement goes out before the action ends; who can't announce can't take an address over.
    let mut wire = Wire::open(link).map_err(|e| error(e.to_string()))?;
    wire.announce(param.wanted.ip)
        .map_err(|e| error(e.to_string()))?;
    if param.announcing.background {
        let spawned = announce::spawn(env, wire.into_socket());
        spawned.map_err(|e| error(format!("failed to start the announcer: {e}")))?;
    } else {
        let done = announce::in_foreground(&kernel, param).await;
        done.map_err(|e| error(e.to_string()))?;
    }
    Ok(OcfExit::OK)
}

async fn stop(env: &Env, param: &Param) -> Result<OcfExit, Refusal> {
    let kernel = Kernel::connect()?;
    let seen = kernel.seen(None).await?;
    announce::end(env, param);
    for step in plan::stop(&param.wanted, &seen) {
        kernel.apply(&step).await?;
    }
    Ok(OcfExit::OK)
}

async fn monitor(env: &Env, param: &Param) -> Result<OcfExit, Refusal> {
    let kernel = Kernel::connect()?;
    let seen = kernel.seen(None).await?;
    match plan::check(&param.wanted, &seen) {
        Health::Running { link } => {
            let link = seen.link(link);
            if !is_probe(env) && link.broadcast && param.announcing.refresh_count > 0 {
                let mut wire = Wire::open(link).map_err(|e| error(e.to_string()))?;
                for _ in 0..param.announcing.refresh_count {
                    drop(wire.announce(param.wanted.ip)); // the next monitor says it again
                }
            }
            Ok(OcfExit::OK)
        }
        // That it isn't here is no news to a probe.
        Health::NotRunning { .. } if is_probe(env) => Ok(OcfExit::NOT_RUNNING),
        Health::NotRunning { reason } => Err(Refusal::new(OcfExit::NOT_RUNNING, reason)),
        Health::Failed { reason } => Err(error(reason)),
    }
}

async fn validate(param: &Param) -> Result<OcfExit, Refusal> {
    let kernel = Kernel::connect()?;
    let seen = see(&kernel, param).await?;
    plan::start(&param.wanted, &seen).map(|_| OcfExit::OK)
}

/// The kernel's state; routes only if the parameters leave the place open.
async fn see(kernel: &Kernel, param: &Param) -> Result<Seen, Refusal> {
    let wanted = &param.wanted;
    let open = wanted.nic.is_none() || wanted.prefix.is_none();
    Ok(kernel.seen(open.then_some(wanted.ip)).await?)
}

/// A link without carrier can't serve; one that we switch on first may need a moment.
async fn await_carrier(
    kernel: &Kernel,
    seen: &Seen,
    home: Home,
    steps: &[Step],
) -> Result<(), Refusal> {
    let up: Vec<&Step> = steps
        .iter()
        .filter(|s| matches!(s, Step::LinkUp { .. }))
        .collect();
    let link = seen.link(home.link);
    if up.is_empty() {
        return if link.carrier {
            Ok(())
        } else {
            Err(error(plan::link_trouble(link)))
        };
    }
    for step in up {
        kernel.apply(step).await?;
    }
    let until = Mono::now().plus(CARRIER_WAIT_MS);
    loop {
        let now = kernel.seen(None).await?;
        let link = now.links.iter().find(|l| l.index == home.link);
        match link {
            Some(link) if link.up && link.carrier => return Ok(()),
            Some(link) if Mono::now() >= until => return Err(error(plan::link_trouble(link))),
            None => {
                return Err(error(
                    "the interface vanished while it was switched on".to_owned(),
                ));
            }
            Some(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

fn refuse_duplicate(param: &Param, seen: &Seen, home: Home) -> Result<(), Refusal> {
    let IpAddr::V4(ip) = param.wanted.ip else {
        return Ok(());
    };
    let link = seen.link(home.link);
    if !link.broadcast {
        return Ok(());
    }
    let taken = Wire::open(link)
        .and_then(|mut wire| wire.who_has(ip))
        .map_err(|e| error(e.to_string()))?;
    match taken {
        None => Ok(()),
        Some(mac) => Err(error(format!(
            "address {ip} is in use on the network of interface {} by {}; free it there, or choose another ip",
            link.name,
            garp::mac_text(&mac)
        ))),
    }
}

/// Waits until the kernel has made sure that nobody else has the IPv6 address; takes it away again if somebody has.
async fn await_unique(kernel: &Kernel, param: &Param, home: Home) -> Result<(), Refusal> {
    let until = Mono::now().plus(UNIQUE_WAIT_MS);
    loop {
        let seen = kernel.seen(None).await?;
        let here = seen
            .addresses
            .iter()
            .find(|a| a.ip == param.wanted.ip && a.link == home.link);
        let trouble = match here {
            Some(a) if a.dad_failed => "another machine on the network has it",
            Some(a) if !a.tentative => return Ok(()),
            Some(_) if Mono::now() < until => {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            Some(_) => "duplicate detection did not end; check the link, or set nodad=true",
            None => "it vanished again",
        };
        for step in plan::stop(&param.wanted, &seen) {
            kernel.apply(&step).await?;
        }
        return Err(error(format!("address {}: {trouble}", param.wanted.ip)));
    }
}

/// Into the named network namespace, before anything is opened.
fn enter(namespace: &str) -> Result<(), Refusal> {
    let path = format!("/run/netns/{namespace}");
    let file = std::fs::File::open(&path).map_err(|e| {
        Refusal::new(
            OcfExit::NOT_INSTALLED,
            format!(
                "parameter network_namespace: {path}: {e}; `ip netns add {namespace}` makes it"
            ),
        )
    })?;
    nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).map_err(|e| {
        let exit = match e {
            nix::errno::Errno::EPERM => OcfExit::INSUFFICIENT_PRIV,
            _ => OcfExit::ERROR,
        };
        Refusal::new(
            exit,
            format!("failed to enter network namespace {namespace}: {e}"),
        )
    })
}

fn is_probe(env: &Env) -> bool {
    env.get("OCF_RESKEY_CRM_meta_interval")
        .is_some_and(|v| v == "0")
}

fn error(reason: String) -> Refusal {
    Refusal::new(OcfExit::ERROR, reason)
}

impl From<LinkError> for Refusal {
    fn from(e: LinkError) -> Self {
        let exit = match e {
            LinkError::Permission { .. } => OcfExit::INSUFFICIENT_PRIV,
            LinkError::Refused { .. } | LinkError::Socket(_) => OcfExit::ERROR,
        };
        Refusal::new(exit, e.to_string())
    }
}
