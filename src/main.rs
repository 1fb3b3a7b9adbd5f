//! The multi-call door: the name it was called by picks daemon, tool or agent. Tools start in
//! milliseconds, so nothing heavy happens before the name and the first word are known.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use systole::{cli, daemon, demo, vip};

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keeps services and their virtual addresses running although machines are lost.
#[derive(Debug, Parser)]
#[command(
    name = "systole",
    version,
    after_help = "Examples:\n  \
        systole demo                                          see a failover on this machine\n  \
        systole init --name host1 --address 192.0.2.11:5405   found a cluster\n  \
        systole token                                         let a node in\n  \
        systole join --name host2 --address 192.0.2.12:5405 TOKEN\n  \
        systole daemon                                        run this node\n  \
        systole crm status                                    what runs where\n\n\
        Exit codes are those of Pacemaker's tools: 0 done, 64 wrong usage, 78 wrong configuration,\n\
        105 no such object, 106 no quorum."
)]
struct Systole {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run this node until it is told to leave
    #[command(
        after_help = "Examples:\n  systole daemon\n  systole daemon --profile fast\n\n\
        SIGTERM leaves in good order: what runs here is moved away first."
    )]
    Daemon(Daemon),
    /// Found a cluster with this machine as its first node
    #[command(
        after_help = "Example:\n  systole init --name host1 --address 192.0.2.11:5405 --cluster web"
    )]
    Init(daemon::Init),
    /// Print a one-time token that lets a node in (run it on a node of the cluster)
    #[command(after_help = "Examples:\n  systole token\n  systole token --role witness --valid 1h")]
    Token(daemon::Token),
    /// Make this machine a node of a cluster, with a token from one of its nodes
    #[command(after_help = "Example:\n  systole join --name host2 --address 192.0.2.12:5405 TOKEN")]
    Join(daemon::Join),
    /// Run resources for a cluster on a machine that is no member of it (a remote node)
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  \
        systole token --remote web1          on a member of the cluster\n  \
        systole remote join TOKEN            on the machine that becomes web1\n  \
        systole remote                       run it; the cluster connects to port 3121\n  \
        systole unit --remote                a unit by which systemd does\n  \
        crm configure primitive web1 ocf:pacemaker:remote params server=192.0.2.21 op monitor interval=30s\n\n\
        SIGTERM asks the cluster for leave: what runs here is moved away first. Without a connection to the cluster what\n\
        runs here goes on. Also called as pacemaker-remoted."
    )]
    Remote(Remote),
    /// Stop the daemon of this node: what runs here is moved away first
    #[command(after_help = "Example:\n  systole stop")]
    Stop(Dir),
    /// The crm shell
    #[command(disable_help_flag = true)]
    Crm(Rest),
    /// What would the cluster do? Takes crm_simulate's options
    #[command(disable_help_flag = true)]
    Simulate(Rest),
    /// Three hosts on this machine, a fault, and the outage that a client sees
    #[command(disable_help_flag = true)]
    Demo(Rest),
    /// Run an agent that is part of this program
    #[command(after_help = "Example:\n  systole agent IPaddr2 meta-data")]
    Agent(Rest),
    /// Print a systemd unit for the daemon
    #[command(
        after_help = "Examples:\n  systole unit > /etc/systemd/system/systole.service\n  \
        systole unit --remote > /etc/systemd/system/systole-remote.service"
    )]
    Unit {
        /// For the daemon of a remote node
        #[arg(long)]
        remote: bool,
    },
    /// Make links by which tools are called under their known names
    #[command(
        after_help = "Examples:\n  systole links /usr/local/sbin\n  systole links --force /usr/sbin\n\n\
        What has one of the names and is not ours is left alone, and the exit code is 108 then."
    )]
    Links {
        /// Put what is not ours aside, as NAME.saved
        #[arg(long)]
        force: bool,
        /// Where the links are made
        dir: PathBuf,
    },
    /// Write manual pages of systole, crm and all tools
    #[command(after_help = "Examples:\n  systole man /usr/local/share/man/man8\n  \
        systole man pages && man -l pages/crm-configure.8")]
    Man {
        /// Where the pages are written
        dir: PathBuf,
    },
    /// Write RELAX NG files of what a CIB may hold, which other shells and editors read
    #[command(after_help = "Example:\n  systole schemas /usr/share/pacemaker")]
    Schemas {
        /// Where the files are written
        #[arg(default_value = cli::schemas::USUAL)]
        dir: PathBuf,
    },
    /// Print completions for a shell
    #[command(
        after_help = "Examples:\n  systole completions bash > /etc/bash_completion.d/systole\n  \
        systole completions zsh > /usr/local/share/zsh/site-functions/_systole\n  \
        systole completions fish crm > ~/.config/fish/completions/crm.fish"
    )]
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
        /// The program to be completed: systole or crm
        #[arg(default_value = "systole", value_parser = ["systole", "crm"])]
        program: String,
    },
    /// Break a cluster of namespaces on this machine for minutes or hours and audit it, or leave it alone and see what it suspects
    #[command(
        subcommand,
        after_help = "Examples:\n  systole lab chaos --minutes 10 --seed 1\n  systole lab chaos --help\n  systole lab calm --minutes 60 --profile fast"
    )]
    Lab(Lab),
    /// Stop what a dead daemon left running (started by the daemon)
    #[command(hide = true)]
    Guard(Dir),
}

#[derive(Debug, Subcommand)]
enum Lab {
    /// Faults one after another and on top of each other, and audits in between
    #[command(
        disable_help_flag = true,
        after_help = "Example:\n  systole lab chaos --minutes 10 --seed 1"
    )]
    Chaos(Rest),
    /// Nothing is broken, the machine is busy, and whatever is suspected counts
    #[command(
        disable_help_flag = true,
        after_help = "Example:\n  systole lab calm --minutes 60 --profile fast"
    )]
    Calm(Rest),
    /// Run whole nodes in a simulated world with faults
    #[cfg(feature = "simulation")]
    #[command(after_help = "Examples:\n  systole lab sim --seeds 1000\n  \
        systole lab sim --from 17 --seeds 1 --scenario three --trace")]
    Sim(daemon::simulation::Sim),
}

#[derive(Debug, Args)]
struct Remote {
    #[command(subcommand)]
    command: Option<RemoteCommand>,
    #[command(flatten)]
    options: daemon::remote::Options,
}

#[derive(Debug, Subcommand)]
enum RemoteCommand {
    /// Make this machine a remote node, with a token that was made for it
    #[command(after_help = "Example:\n  systole remote join TOKEN")]
    Join(daemon::remote::Join),
}

#[derive(Debug, Args)]
struct Dir {
    /// Directory of the node; /var/lib/systole and /run/systole if not given
    #[arg(long, env = "SYSTOLE_DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Daemon {
    #[command(flatten)]
    dir: Dir,
    /// Timing: fast, normal or wan; as configured if not given
    #[arg(long)]
    profile: Option<String>,
    /// End together with the process that started it (for laboratories)
    #[arg(long, hide = true)]
    die_with_parent: bool,
}

#[derive(Debug, Args)]
struct Rest {
    /// As given
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

fn main() -> ExitCode {
    let texts: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let doors = [
        vip::called_as,
        cli::cmd::simulate::called_as,
        demo::called_as,
        daemon::remote::called_as,
        cli::entry::called_as,
    ];
    if let Some(code) = doors.iter().find_map(|door| door(&texts)) {
        return ExitCode::from(code);
    }
    let command = match Systole::try_parse() {
        Ok(systole) => systole.command,
        Err(error) => {
            let exit = cli::entry::wrong_usage(&error);
            return ExitCode::from(u8::try_from(exit.0).unwrap_or(1));
        }
    };
    match command {
        Command::Daemon(d) => daemon::run(&daemon::Options {
            dir: d.dir.dir,
            profile: d.profile,
            die_with_parent: d.die_with_parent,
        }),
        Command::Init(init) => daemon::init(&init),
        Command::Token(token) => daemon::token(&token),
        Command::Join(join) => daemon::join(&join),
        Command::Remote(remote) => match remote.command {
            Some(RemoteCommand::Join(join)) => daemon::remote::join(&join),
            None => daemon::remote::run(&remote.options),
        },
        Command::Stop(dir) => daemon::stop(dir.dir.as_deref()),
        Command::Guard(dir) => daemon::guard_process(dir.dir.as_deref()),
        #[cfg(feature = "simulation")]
        Command::Lab(Lab::Sim(sim)) => daemon::simulation::lab(&sim),
        Command::Unit { remote } => daemon::unit(remote),
        Command::Completions { shell, program } => {
            cli::completions::print(shell, &program, Systole::command())
        }
        Command::Links { force, dir } => daemon::links(&dir, force),
        Command::Man { dir } => daemon::man(&dir, Systole::command()),
        Command::Schemas { dir } => daemon::schemas(&dir),
        Command::Agent(rest) => {
            let name = rest
                .args
                .first()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default();
            eprintln!("systole agent: there is no agent `{name}`; there is IPaddr2");
            ExitCode::from(5)
        }
        Command::Crm(_)
        | Command::Simulate(_)
        | Command::Demo(_)
        | Command::Lab(Lab::Chaos(_) | Lab::Calm(_)) => {
            unreachable!("opened by a door")
        }
    }
}
