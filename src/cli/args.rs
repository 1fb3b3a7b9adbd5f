//! Everything that can be said on the command line, as types; help and completion are made from the same definitions.

use clap::{Args, Parser, Subcommand, ValueEnum};

mod bring;
mod cluster;
mod configure;
mod crmsh;
mod later;
mod operate;

pub use bring::{Import, Watch};
pub use cluster::Cluster;
pub use configure::{Configure, Words};
pub use crmsh::{History, Maintenance, Past, Ra, Secret, Site, Trace};
pub use later::Later;
pub(crate) use operate::seconds;
pub use operate::{Apply, Cib, Committing, Doctor, Drill};

/// The crm shell.
#[derive(Debug, Parser)]
#[command(
    name = "crm",
    version,
    about = "Shows and changes the cluster, in the words of the crm shell",
    disable_help_subcommand = true,
    infer_subcommands = true,
    after_help = "Without a command, a prompt with completion and history opens.\n\n\
        Examples:\n  \
        crm status\n  \
        crm configure primitive vip ocf:systole:IPaddr2 params ip=10.0.0.10 op monitor interval=10s\n  \
        crm configure load update web.crm\n  \
        crm resource move vip node2\n  \
        crm explain vip"
)]
pub struct Crm {
    /// Do it although there is a warning, or although it is unsafe
    #[arg(short = 'F', long, global = true)]
    pub force: bool,
    /// Wait until the cluster has done what follows from it
    #[arg(short = 'w', long, global = true)]
    pub wait: bool,
    /// Why, for the history of the configuration (crm cib log)
    #[arg(long, value_name = "TEXT", global = true)]
    pub comment: Option<String>,
    /// Read commands from a file; - is standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    pub file: Option<String>,
    /// Work on this CIB file instead of the cluster
    #[arg(short = 'c', long, value_name = "CIB", env = "CIB_file", global = true)]
    pub cib: Option<String>,
    /// What to do
    #[command(subcommand)]
    pub level: Option<Level>,
}

/// Shows and changes the cluster. `help COMMAND` tells more, Tab completes, `up` leaves a level, `quit` the shell.
#[derive(Debug, Parser)]
#[command(
    name = "crm",
    no_binary_name = true,
    disable_help_subcommand = true,
    infer_subcommands = true,
    disable_version_flag = true
)]
pub struct Line {
    /// Do it although there is a warning
    #[arg(short = 'F', long, global = true)]
    pub force: bool,
    /// Wait until the cluster is idle again
    #[arg(short = 'w', long, global = true)]
    pub wait: bool,
    /// Why, for the history of the configuration (crm cib log)
    #[arg(long, value_name = "TEXT", global = true)]
    pub comment: Option<String>,
    /// What to do
    #[command(subcommand)]
    pub level: Level,
}

/// The levels of the shell.
#[derive(Debug, Subcommand)]
pub enum Level {
    /// What runs where, and what is wrong
    Status(Status),
    /// The configuration
    #[command(
        subcommand_required = false,
        disable_help_subcommand = true,
        after_help = "Examples:\n  crm configure show\n  crm configure primitive vip ocf:systole:IPaddr2 params ip=10.0.0.10\n  crm configure load update web.crm"
    )]
    Configure {
        /// What to do; without it, the level is entered
        #[command(subcommand)]
        command: Option<Later<Configure>>,
    },
    /// Resources: start, stop, move, clean up
    #[command(
        disable_help_subcommand = true,
        after_help = "Examples:\n  crm resource status\n  crm resource move vip node2\n  crm resource cleanup vip"
    )]
    Resource {
        /// What to do; without it, the level is entered
        #[command(subcommand)]
        command: Option<Later<Resource>>,
    },
    /// Nodes: standby, maintenance, attributes, fencing
    #[command(
        disable_help_subcommand = true,
        after_help = "Examples:\n  crm node show\n  crm -w node standby node1\n  crm node online node1"
    )]
    Node {
        /// What to do; without it, the level is entered
        #[command(subcommand)]
        command: Option<Later<Node>>,
    },
    /// The cluster as a whole: found it, join it, leave it
    #[command(
        disable_help_subcommand = true,
        after_help = "Examples:\n  crm cluster status\n  crm cluster log"
    )]
    Cluster {
        /// What to do; without it, the level is entered
        #[command(subcommand)]
        command: Option<Later<Cluster>>,
    },
    /// The history of the configuration: who changed what, and how to get it back
    #[command(
        disable_help_subcommand = true,
        after_help = "Examples:\n  crm cib log\n  crm cib show 17\n  crm cib diff 12 17\n  crm cib rollback 12"
    )]
    Cib {
        /// What to do; without it, the level is entered
        #[command(subcommand)]
        command: Option<Later<Cib>>,
    },
    /// Make the configuration what a file says
    Apply(Apply),
    /// Take over what Pacemaker, Corosync or keepalived were configured for
    Import(Import),
    /// Decide beside a Pacemaker, and say where the decision differs
    Watch(Watch),
    /// What if a machine fails?
    Drill(Drill),
    /// What does no harm today and bites later
    Doctor(Doctor),
    /// Why a resource is where it is and not elsewhere, why a node is as it is, why an action is in the plan
    Explain(Explain),
    /// The transitions that this node started as coordinator, and what they did
    History(History),
    /// Agents: which there are, and what they are for
    #[command(
        disable_help_subcommand = true,
        after_help = "Examples:\n  crm ra list ocf heartbeat\n  crm ra info IPaddr2"
    )]
    Ra {
        /// What to do; without it, the level is entered
        #[command(subcommand)]
        command: Option<Later<Ra>>,
    },
    /// Leave the cluster, or a resource, alone for a while
    #[command(
        disable_help_subcommand = true,
        after_help = "Examples:\n  crm maintenance on\n  crm maintenance off vip"
    )]
    Maintenance {
        /// What to do; without it, the level is entered
        #[command(subcommand)]
        command: Option<Later<Maintenance>>,
    },
    /// Tickets of sites
    #[command(
        disable_help_subcommand = true,
        after_help = "Example:\n  crm site ticket show ticketA"
    )]
    Site {
        /// What to do; without it, the level is entered
        #[command(subcommand)]
        command: Option<Later<Site>>,
    },
    /// Check the configuration that is in force
    #[command(after_help = "Example:\n  crm verify")]
    Verify,
    /// Collect what somebody needs who looks for a fault
    #[command(after_help = "Example:\n  crm report -f \"2026-11-27 10:00\" fault")]
    Report(Passed),
    /// Said in another way here
    #[command(hide = true)]
    Assist(Passed),
    /// Said in another way here
    #[command(hide = true)]
    Cibstatus(Passed),
    /// Said in another way here
    #[command(hide = true)]
    Corosync(Passed),
    /// Said in another way here
    #[command(hide = true)]
    Options(Passed),
    /// Said in another way here
    #[command(hide = true)]
    Script(Passed),
    /// Said in another way here
    #[command(hide = true)]
    Template(Passed),
}

/// `crm status`.
#[derive(Debug, Args, Default)]
#[command(
    after_help = "Examples:\n  crm status\n  crm status --live\n  crm status --json | jq .resources"
)]
pub struct Status {
    /// Show it once (the default when the output is no terminal or --live is not given)
    #[arg(short = '1', long)]
    pub once: bool,
    /// Stay, and show every change
    #[arg(short, long, conflicts_with = "once")]
    pub live: bool,
    /// Seconds between looks in --live
    #[arg(short, long, default_value_t = 1.0)]
    pub interval: f64,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// As crm_mon's XML
    #[arg(long, conflicts_with = "json")]
    pub xml: bool,
    /// Also what does not run
    #[arg(short = 'r', long)]
    pub inactive: bool,
    /// Resources below their nodes
    #[arg(short = 'n', long)]
    pub by_node: bool,
    /// Everything about everything
    #[arg(short = 'R', long)]
    pub detail: bool,
    /// Node attributes
    #[arg(short = 'A', long)]
    pub attributes: bool,
    /// As crmsh has them: `full`, `bynode`, `inactive`, `ops`, ...
    #[arg(value_enum)]
    pub what: Vec<StatusWord>,
}

/// Words after `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusWord {
    /// Everything
    Full,
    /// Resources below their nodes
    Bynode,
    /// Also what does not run
    Inactive,
    /// As XML
    Xml,
    /// With the operations of each resource
    Ops,
    /// The same, with when they ran and how long
    Timing,
    /// Fail counts
    Failcounts,
    /// Tickets
    Tickets,
    /// Everything about everything
    Detail,
    /// Primitives counted per agent
    Brief,
    /// Without the summary on top
    Noheaders,
    /// As a page for browsers
    Html,
    /// In one line, for monitoring
    Simple,
    /// More words
    Verbose,
    /// As always
    Quiet,
}

/// `crm resource`.
#[derive(Debug, Subcommand)]
pub enum Resource {
    /// Where it runs
    #[command(
        alias = "show",
        alias = "list",
        alias = "locate",
        after_help = "Examples:\n  crm resource status\n  crm resource status vip"
    )]
    Status {
        /// Resources; all without
        ids: Vec<String>,
    },
    /// Let it run
    #[command(after_help = "Example:\n  crm -w resource start vip")]
    Start {
        /// Resources
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Do not let it run
    #[command(after_help = "Example:\n  crm -w resource stop vip")]
    Stop {
        /// Resources
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Stop it, wait, and start it again
    #[command(after_help = "Example:\n  crm resource restart web")]
    Restart {
        /// Resources
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Promote instances
    #[command(after_help = "Example:\n  crm resource promote db-clone")]
    Promote {
        /// The promotable clone
        id: String,
    },
    /// Demote instances
    #[command(after_help = "Example:\n  crm resource demote db-clone")]
    Demote {
        /// The promotable clone
        id: String,
    },
    /// Move it to another node
    #[command(
        alias = "migrate",
        after_help = "Makes a location constraint cli-prefer-RESOURCE (or cli-ban-RESOURCE-on-NODE without a node); crm resource clear removes it.\nWith a time it ends by itself and is removed then; the option move-lifetime gives one where none is said.\n\nExamples:\n  crm resource move vip node2\n  crm resource move vip node2 for 30m\n  crm resource move vip node2 PT1H\n  crm resource move vip node2 forever"
    )]
    Move {
        /// The resource
        id: String,
        /// [NODE] [for TIME|PT30M|forever] [force]
        words: Vec<String>,
    },
    /// Keep it off a node
    #[command(
        after_help = "Examples:\n  crm resource ban vip node1\n  crm resource ban vip node1 for 2h"
    )]
    Ban {
        /// The resource
        id: String,
        /// [NODE] [for TIME|PT30M|forever] [force]
        words: Vec<String>,
    },
    /// Remove the constraints that move and ban made
    #[command(
        alias = "unmove",
        alias = "unmigrate",
        alias = "unban",
        after_help = "Examples:\n  crm resource clear vip\n  crm resource clear vip node1"
    )]
    Clear {
        /// The resource
        id: String,
        /// Only those about this node
        node: Option<String>,
    },
    /// Forget failures, and probe again where there were any
    #[command(after_help = "Examples:\n  crm resource cleanup\n  crm resource cleanup vip node1")]
    Cleanup {
        /// The resource; all without
        id: Option<String>,
        /// The node; all without
        node: Option<String>,
    },
    /// Forget everything about it, and probe again everywhere
    #[command(alias = "reprobe", after_help = "Example:\n  crm resource refresh vip")]
    Refresh {
        /// The resource; all without
        id: Option<String>,
        /// The node; all without
        node: Option<String>,
    },
    /// Have the cluster manage it
    #[command(after_help = "Example:\n  crm resource manage vip")]
    Manage {
        /// The resource
        id: String,
    },
    /// Leave it alone: neither start, stop nor recover it
    #[command(after_help = "Example:\n  crm resource unmanage vip")]
    Unmanage {
        /// The resource
        id: String,
    },
    /// Maintenance of a resource on or off
    #[command(after_help = "Example:\n  crm resource maintenance vip on")]
    Maintenance {
        /// The resource
        id: String,
        /// on or off
        #[arg(value_parser = ["on", "off", "true", "false"], default_value = "on")]
        value: String,
    },
    /// Constraints about it
    #[command(after_help = "Example:\n  crm resource constraints vip")]
    Constraints {
        /// The resource
        id: String,
    },
    /// Its fail counts
    #[command(
        after_help = "Examples:\n  crm resource failcount vip show node1\n  crm resource failcount vip delete node1"
    )]
    Failcount {
        /// RESOURCE show|delete|set NODE [VALUE]
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Its parameters: RESOURCE show|set|delete NAME [VALUE]
    #[command(
        after_help = "Examples:\n  crm resource param vip show ip\n  crm resource param vip set ip 10.0.0.11"
    )]
    Param {
        /// RESOURCE show|set|delete NAME [VALUE]
        #[arg(required = true, num_args = 3..)]
        words: Vec<String>,
    },
    /// Its meta attributes: RESOURCE show|set|delete NAME [VALUE]
    #[command(after_help = "Example:\n  crm resource meta vip set resource-stickiness 100")]
    Meta {
        /// RESOURCE show|set|delete NAME [VALUE]
        #[arg(required = true, num_args = 3..)]
        words: Vec<String>,
    },
    /// Its utilization: RESOURCE show|set|delete NAME [VALUE]
    #[command(after_help = "Example:\n  crm resource utilization db set memory 4096")]
    Utilization {
        /// RESOURCE show|set|delete NAME [VALUE]
        #[arg(required = true, num_args = 3..)]
        words: Vec<String>,
    },
    /// What its agent did, from the history
    #[command(
        after_help = "Examples:\n  crm resource operations\n  crm resource operations vip node1"
    )]
    Operations {
        /// The resource; all without
        id: Option<String>,
        /// The node; all without
        node: Option<String>,
    },
    /// What each node is worth to each resource
    #[command(after_help = "Example:\n  crm resource scores")]
    Scores,
    /// A parameter that only root may read: RESOURCE set|stash|unstash|delete|show|check PARAMETER [VALUE]
    #[command(
        after_help = "The CIB has lrm:// in the value's place. The file is on this machine alone: copy it to the others.\n\nExamples:\n  crm resource secret fence1 set passwd s3cret\n  crm resource secret fence1 stash passwd\n  crm resource secret fence1 check passwd"
    )]
    Secret(Secret),
    /// Have its agent write down what it does
    #[command(
        after_help = "Examples:\n  crm resource trace db monitor\n  crm resource trace db monitor 10s /var/log/trace"
    )]
    Trace(Trace),
    /// End that
    #[command(after_help = "Example:\n  crm resource untrace db")]
    Untrace(Trace),
}

/// `crm node`.
#[derive(Debug, Subcommand)]
pub enum Node {
    /// Nodes with their attributes
    #[command(after_help = "Example:\n  crm node show")]
    Show {
        /// The node; all without
        node: Option<String>,
    },
    /// State of the nodes, as XML
    #[command(after_help = "Example:\n  crm node status node1")]
    Status {
        /// The node; all without
        node: Option<String>,
    },
    /// Move everything away and run nothing there
    #[command(
        after_help = "Examples:\n  crm -w node standby node1\n  crm node standby node1 reboot"
    )]
    Standby {
        /// [NODE] [forever|reboot]; this node without
        words: Vec<String>,
    },
    /// Let it run resources again
    #[command(after_help = "Example:\n  crm node online node1")]
    Online {
        /// The node; this node without
        node: Option<String>,
    },
    /// Leave what runs there alone
    #[command(after_help = "Example:\n  crm node maintenance node1")]
    Maintenance {
        /// The node; this node without
        node: Option<String>,
    },
    /// End maintenance
    #[command(after_help = "Example:\n  crm node ready node1")]
    Ready {
        /// The node; this node without
        node: Option<String>,
    },
    /// Fence it
    #[command(after_help = "Example:\n  crm node fence node1")]
    Fence {
        /// The node
        node: String,
    },
    /// Confirm that it is down, where no device can say so
    #[command(after_help = "Example:\n  crm node clearstate node1")]
    Clearstate {
        /// The node
        node: String,
    },
    /// An attribute: NODE show|set|delete NAME [VALUE]
    #[command(
        after_help = "Examples:\n  crm node attribute node1 set rack a\n  crm node attribute node1 show rack\n  crm node attribute node1 delete rack"
    )]
    Attribute {
        /// NODE show|set|delete NAME [VALUE]
        #[arg(required = true, num_args = 3..)]
        words: Vec<String>,
    },
    /// Capacity: NODE show|set|delete NAME [VALUE]
    #[command(after_help = "Example:\n  crm node utilization node1 set memory 16384")]
    Utilization {
        /// NODE show|set|delete NAME [VALUE]
        #[arg(required = true, num_args = 3..)]
        words: Vec<String>,
    },
    /// An attribute that lasts until the node restarts: NODE show|set|delete NAME [VALUE]
    #[command(
        name = "status-attr",
        after_help = "Example:\n  crm node status-attr node1 set pingd 100"
    )]
    StatusAttr {
        /// NODE show|set|delete NAME [VALUE]
        #[arg(required = true, num_args = 3..)]
        words: Vec<String>,
    },
    /// Take it out of the cluster
    #[command(after_help = "Example:\n  crm node delete node3")]
    Delete {
        /// The node
        node: String,
    },
    /// The machines of the nodes
    #[command(after_help = "Example:\n  crm node server")]
    Server {
        /// Only of these
        names: Vec<String>,
    },
}

/// Words for another command.
#[derive(Debug, Args)]
pub struct Passed {
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// `crm explain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  crm explain vip                       why it is where it is, and what would change that\n  crm explain vip --node node2          why (not) on this node\n  crm explain node node2                why it is fenced, in standby, ...; what it may run\n  crm explain --transition              why each action of the current plan is in it\n  crm explain --transition 7            the same of a saved one (see crm history)\n  crm explain --transition ./pe-warn-3.bz2\n  crm -c cib.xml explain vip --json"
)]
pub struct Explain {
    /// A resource, or `node` and the name of one
    #[arg(value_name = "RESOURCE|node NODE", num_args = 0..=2)]
    pub what: Vec<String>,
    /// Why (not) on this node?
    #[arg(short, long)]
    pub node: Option<String>,
    /// Why each action is in the plan: in the current one, in a saved one (its number, or pe-warn-NUMBER), or in a file
    #[arg(short, long, value_name = "NUMBER|FILE", num_args = 0..=1, default_missing_value = "")]
    pub transition: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}
