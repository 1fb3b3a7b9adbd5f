//! Levels that the crm shell has beside those of the configuration: agents, maintenance, sites, copies, transitions.

use clap::{Args, Subcommand};

/// `crm ra`.
#[derive(Debug, Subcommand)]
pub enum Ra {
    /// Classes of agents, and providers of OCF agents
    #[command(after_help = "Example:\n  crm ra classes")]
    Classes,
    /// Agents of a class
    #[command(after_help = "Examples:\n  crm ra list ocf\n  crm ra list ocf heartbeat")]
    List {
        /// ocf, stonith, systemd, lsb or service
        class: String,
        /// Only those of this provider
        provider: Option<String>,
    },
    /// Who provides an OCF agent of this name
    #[command(after_help = "Example:\n  crm ra providers IPaddr2")]
    Providers {
        /// Its type
        agent: String,
        /// ocf; others have no providers
        #[arg(default_value = "ocf")]
        class: String,
    },
    /// What an agent, or a daemon's options, are for
    #[command(
        alias = "meta",
        after_help = "Examples:\n  crm ra info ocf:heartbeat:IPaddr2\n  crm ra info IPaddr2\n  crm ra info stonith:fence_ipmilan"
    )]
    Info {
        /// CLASS:PROVIDER:TYPE, CLASS:TYPE or TYPE
        agent: String,
    },
    /// Have an agent look at parameters
    #[command(after_help = "Example:\n  crm ra validate ocf:heartbeat:IPaddr2 ip=192.0.2.10")]
    Validate {
        /// CLASS:PROVIDER:TYPE or CLASS:TYPE
        agent: String,
        /// NAME=VALUE
        params: Vec<String>,
    },
}

/// `crm maintenance`.
#[derive(Debug, Subcommand)]
pub enum Maintenance {
    /// Leave the whole cluster, or one resource, alone
    #[command(after_help = "Examples:\n  crm maintenance on\n  crm maintenance on vip")]
    On {
        /// The resource; everything without
        id: Option<String>,
    },
    /// Take care of it again
    #[command(after_help = "Examples:\n  crm maintenance off\n  crm maintenance off vip")]
    Off {
        /// The resource; everything without
        id: Option<String>,
    },
    /// Have a resource's agent do something on this node, while the cluster leaves it alone
    #[command(after_help = "Example:\n  crm maintenance action vip monitor")]
    Action {
        /// The resource
        id: String,
        /// What its agent is to do
        #[arg(value_parser = ["start", "stop", "monitor", "promote", "demote", "validate-all"])]
        action: String,
    },
}

/// `crm site`.
#[derive(Debug, Subcommand)]
pub enum Site {
    /// Tickets: what a site may run
    #[command(
        after_help = "Examples:\n  crm site ticket show ticketA\n  crm -F site ticket grant ticketA\n  crm site ticket standby ticketA"
    )]
    Ticket {
        /// What to do
        #[arg(value_parser = ["grant", "revoke", "delete", "standby", "activate", "show", "time"])]
        what: String,
        /// The ticket
        ticket: String,
    },
}

/// `crm resource secret`.
#[derive(Debug, Args)]
pub struct Secret {
    /// The resource
    pub id: String,
    /// What to do
    #[arg(value_parser = ["set", "stash", "unstash", "delete", "show", "check"])]
    pub what: String,
    /// The parameter
    pub param: String,
    /// Its value, for set
    pub value: Option<String>,
}

/// `crm resource trace` and `untrace`.
#[derive(Debug, Args)]
pub struct Trace {
    /// The resource
    pub id: String,
    /// The operation; start, stop, monitor and what else is configured, without
    pub op: Option<String>,
    /// Only the one with this interval
    pub interval: Option<String>,
    /// Where the agent writes what it does; its own place without
    pub folder: Option<String>,
}

/// `crm history`.
#[derive(Debug, Args)]
#[command(
    subcommand_required = false,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Transitions are kept on the node that was the coordinator then, as pe-input-NUMBER.bz2 (pe-warn- and pe-error- when\nsomething was wrong); the options pe-input-series-max, pe-warn-series-max and pe-error-series-max say how many.\n\nExamples:\n  crm history\n  crm history --last 50 --json\n  crm explain --transition 7\n  systole simulate -R -x /var/lib/systole/pengine/pe-input-7.bz2"
)]
pub struct History {
    /// What of them; a list of the newest, without
    #[command(subcommand)]
    pub command: Option<Past>,
    /// So many of the newest
    #[arg(short, long, default_value_t = 10)]
    pub last: usize,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// What of the transitions is to be shown.
#[derive(Debug, Subcommand)]
pub enum Past {
    /// How many transitions are kept, and from when
    #[command(after_help = "Example:\n  crm history info")]
    Info,
    /// The newest transition
    #[command(after_help = "Example:\n  crm history latest")]
    Latest,
    /// All transitions, the newest last
    #[command(after_help = "Example:\n  crm history transitions")]
    Transitions,
    /// Why each action was in a transition; or what happened meanwhile, or what it began with
    #[command(
        after_help = "Examples:\n  crm history transition\n  crm history transition 7\n  crm history transition -1\n  crm history transition log 7\n  crm history transition tags\n  crm history transition save 7 before-the-failure\n  crm history transition showdot 7"
    )]
    Transition {
        /// [log|tags|showdot|save] [NUMBER, or pe-warn-NUMBER; -1 is the one before the newest; the newest without] [save: name of the copy]
        #[arg(allow_negative_numbers = true)]
        words: Vec<String>,
    },
    /// A transition as a picture (SVG)
    #[command(after_help = "Example:\n  crm history graph 7 7.svg")]
    Graph {
        /// Its number; -1 is the one before the newest; the newest without
        #[arg(allow_negative_numbers = true)]
        input: Option<String>,
        /// The file; standard output without
        file: Option<String>,
    },
    /// The configuration, or the state, that a transition began with
    #[command(after_help = "Examples:\n  crm history show 7\n  crm history show 7 status")]
    Show {
        /// Its number, -1 for the one before the newest, or live
        #[arg(allow_negative_numbers = true)]
        input: String,
        /// status; the configuration without
        #[arg(value_parser = ["status", "configuration"], default_value = "configuration")]
        what: String,
    },
    /// What differs between the configurations of two transitions
    #[command(
        alias = "wdiff",
        after_help = "Examples:\n  crm history diff 3 live\n  crm history diff -1 live"
    )]
    Diff {
        /// The one, or live; -1 is the one before the newest
        #[arg(allow_negative_numbers = true)]
        from: String,
        /// The other, or live
        #[arg(allow_negative_numbers = true)]
        to: String,
    },
    /// The files in which inputs of transitions are kept
    #[command(after_help = "Example:\n  crm history peinputs")]
    Peinputs {
        /// Only these; all without
        #[arg(allow_negative_numbers = true)]
        inputs: Vec<String>,
    },
    /// What was done with resources
    #[command(after_help = "Example:\n  crm history resource vip")]
    Resource {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// What was done on nodes, or to them
    #[command(after_help = "Example:\n  crm history node node1")]
    Node {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// At a prompt: only transitions of this time from now on
    #[command(
        alias = "timeframe",
        after_help = "Examples (at a prompt):\n  limit \"2026-11-27 10:00\" \"2026-11-27 12:00\"\n  limit \"2026-11-27 10:00\"\n  limit"
    )]
    Limit {
        /// From, in ISO 8601; no limit without
        from: Option<String>,
        /// To, in ISO 8601; now without
        to: Option<String>,
    },
    /// At a prompt: nothing that fits this regular expression from now on
    #[command(
        after_help = "Examples (at a prompt):\n  exclude monitor\n  exclude\n  exclude clear"
    )]
    Exclude {
        /// The expression; `clear` ends it; without it, those in force are shown
        pattern: Option<String>,
    },
    /// At a prompt: so many actions of each transition are shown
    #[command(after_help = "Example (at a prompt):\n  detail 10")]
    Detail {
        /// How many
        count: usize,
    },
    /// What happened: changes, transitions, what agents did, fencing
    #[command(
        alias = "events",
        after_help = "It is put together from what the cluster records. Transitions, and what agents did in their time, are kept on\nthe node that was the coordinator then.\n\nExamples:\n  crm history log\n  crm history log vip\n  crm history log node1 --last 20\n  crm history log 7            from transition 7 on"
    )]
    Log {
        /// Nodes and resources, or the transition that it begins with; everything without
        #[arg(allow_negative_numbers = true)]
        words: Vec<String>,
        /// So many of the newest
        #[arg(short, long, default_value_t = 100)]
        last: usize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Reads of the same files every time have nothing to refresh, select or keep
    #[command(hide = true, alias = "source", alias = "session", alias = "setnodes")]
    Refresh {
        /// What was asked for
        words: Vec<String>,
    },
}
