//! What operators have beside the crm shell's own words: changes looked at before they are made, and after.

use clap::{Args, Subcommand};

/// How a change is committed.
#[derive(Debug, Clone, Default, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of a command line"
)]
pub struct Committing {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Ask, also when this is no terminal (the answer is read from standard input)
    #[arg(long, conflicts_with = "yes")]
    pub ask: bool,
    /// Show what would be done, and do nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Refuse it when there is anything to think about first: a service lost, a node fenced, ...
    #[arg(long)]
    pub safe: bool,
    /// Take it back after this time (5m, 90s, ...), unless `crm configure confirm` comes first
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub confirm_within: Option<u64>,
    /// Show what will be done as JSON
    #[arg(long)]
    pub json: bool,
}

/// A time of at least a second, with a unit or as ISO 8601 writes it.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let iso = crate::terms::Duration::parse(text).map(|it| it.approximate_seconds());
    let plain = || {
        let ms = crate::terms::span::parse_ms(text).ok()?;
        i64::try_from(ms / 1000).ok()
    };
    let seconds = iso.or_else(plain).filter(|seconds| *seconds > 0);
    seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .ok_or_else(|| format!("{text:?} is no time: write for example 90s, 5m, 2h or PT1H"))
}

/// `crm apply`.
#[derive(Debug, Args)]
#[command(
    after_help = "The file holds the whole configuration, in the crm shell's language or as XML: what it does not name is removed.\n\
        Nodes stay as they are unless it speaks of them. What will be done is shown before; at a terminal, one is asked.\n\n\
        Examples:\n  crm apply -f cluster.crm\n  crm apply -f cluster.crm --dry-run --json\n  \
        crm apply -f cluster.xml --yes --safe --comment \"change 4711\"\n  crm apply -f cluster.crm --confirm-within 5m"
)]
pub struct Apply {
    /// The file; - is standard input
    #[arg(short, long)]
    pub file: String,
    /// How it is committed
    #[command(flatten)]
    pub how: Committing,
}

/// `crm cib`.
#[derive(Debug, Subcommand)]
pub enum Cib {
    /// Changes of the configuration, the newest last
    #[command(
        after_help = "The newest 500 changes are remembered on every node; of the newest 50 (at most 4 MiB) the whole configuration.\n\n\
        Examples:\n  crm cib log\n  crm cib log -n 3\n  crm cib log --json"
    )]
    Log {
        /// So many of the newest
        #[arg(short = 'n', long, default_value_t = 20)]
        last: usize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// One change: who, when, what
    #[command(
        after_help = "Examples:\n  crm cib show 17\n  crm cib show 17 --xml      the patch\n  crm cib show 17 --full     the whole configuration after it"
    )]
    Show {
        /// Its number
        number: u64,
        /// As an XML patch, or with --full as XML
        #[arg(long)]
        xml: bool,
        /// The whole configuration as it was then
        #[arg(long)]
        full: bool,
        /// As JSON
        #[arg(long, conflicts_with_all = ["xml", "full"])]
        json: bool,
    },
    /// What differs between the configuration after one change and after another
    #[command(
        after_help = "Examples:\n  crm cib diff 12 17\n  crm cib diff 12            against what is in force\n  crm cib diff 12 17 --xml"
    )]
    Diff {
        /// The number of the one; without, what the copy that is worked on would change
        from: Option<u64>,
        /// The number of the other; what is in force, without
        to: Option<u64>,
        /// As an XML patch
        #[arg(long)]
        xml: bool,
    },
    /// Make a copy of the configuration, and work on it
    #[command(
        after_help = "At a prompt, what follows is done on the copy until cib use; CIB_shadow names it for other tools.\n\n\
        Examples:\n  crm cib new test\n  crm cib new test empty"
    )]
    New {
        /// Its name
        name: String,
        /// [empty] [force]
        words: Vec<String>,
    },
    /// At a prompt: work on a copy, or on the cluster (live) again
    #[command(after_help = "Examples (at a prompt):\n  cib use test\n  cib use live")]
    Use {
        /// The copy; the cluster without
        name: Option<String>,
    },
    /// Make the configuration what a copy says
    #[command(after_help = "Example:\n  crm cib commit test")]
    Commit {
        /// The copy; the one that is worked on without
        name: Option<String>,
    },
    /// Make a copy again what is in force
    #[command(after_help = "Example:\n  crm cib reset test")]
    Reset {
        /// The copy; the one that is worked on without
        name: Option<String>,
    },
    /// Throw copies away
    #[command(after_help = "Example:\n  crm cib delete test")]
    Delete {
        /// The copies
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// All copies
    #[command(after_help = "Example:\n  crm cib list")]
    List,
    /// Make a copy of what a transition began with, or of a file
    #[command(
        after_help = "Examples:\n  crm cib import 7\n  crm cib import /tmp/pe-warn-3.bz2 fault"
    )]
    Import {
        /// A number, as crm history lists them, or a file
        input: String,
        /// The name of the copy
        name: Option<String>,
    },
    /// Make the configuration what it was after a change; nodes that joined or left since stay as they are
    #[command(
        after_help = "What will be done is shown before; at a terminal, one is asked.\n\n\
        Examples:\n  crm cib rollback 12\n  crm cib rollback 12 --dry-run\n  crm cib rollback 12 --yes --confirm-within 5m"
    )]
    Rollback {
        /// The number of that change
        number: u64,
        /// How it is committed
        #[command(flatten)]
        how: Committing,
    },
}

/// `crm drill`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of a command line"
)]
#[command(
    after_help = "Each failure is tried on a copy of the live state, with the policy of the coordinator: what survives, what moves and\n\
        where to, what is lost and why, what is left of capacities. Exit code 113 when a service would be lost.\n\n\
        With --really the node is emptied (standby, until it is all settled, then online again), or fenced with --fence;\n\
        times seen are compared with those expected. Nothing is done when a service would be lost, unless --force says so.\n\n\
        Examples:\n  crm drill --node n1\n  crm drill --all-single-failures --json\n  crm drill --site a\n  \
        crm drill --by rack --site r7\n  crm drill --node n1 --really\n  crm -F drill --node n1 --really --fence"
)]
pub struct Drill {
    /// This node fails
    #[arg(long, group = "failure")]
    pub node: Option<String>,
    /// Each node that is online fails, one at a time
    #[arg(long, group = "failure")]
    pub all_single_failures: bool,
    /// All nodes of this site fail together
    #[arg(long, group = "failure")]
    pub site: Option<String>,
    /// The node attribute that names the site
    #[arg(
        long,
        value_name = "ATTRIBUTE",
        default_value = "site",
        requires = "site"
    )]
    pub by: String,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Do it on the machine, too
    #[arg(long, requires = "node")]
    pub really: bool,
    /// With --really: fence it instead of emptying it
    #[arg(long, requires = "really")]
    pub fence: bool,
    /// With --really: leave it in standby afterwards
    #[arg(long, requires = "really")]
    pub keep: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Ask, also when this is no terminal
    #[arg(long, conflicts_with = "yes")]
    pub ask: bool,
}

/// `crm doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Looks for what does no harm today and bites later. Each finding says what it is, why it matters, and what to type.\n\
        Exit code 0 when there is nothing, 1 when there are warnings, 2 when something can cost a service.\n\n\
        Examples:\n  crm doctor\n  crm doctor --json\n  crm -c cib.xml doctor"
)]
pub struct Doctor {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}
