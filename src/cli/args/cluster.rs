//! `crm cluster`: the cluster as a whole, its members and how they reach each other.

use clap::Subcommand;

use super::Passed;

/// `crm cluster`.
#[derive(Debug, Subcommand)]
pub enum Cluster {
    /// Members, leader, quorum, paths
    #[command(after_help = "Examples:\n  crm cluster status\n  crm cluster status --json")]
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Found a cluster on this machine; see `systole init --help`
    #[command(after_help = "Example:\n  crm cluster init --name host1 --address 192.0.2.11")]
    Init(Passed),
    /// Join a cluster; see `systole join --help`
    #[command(
        alias = "add",
        after_help = "Example:\n  crm cluster join --name host2 --address 192.0.2.12 TOKEN"
    )]
    Join(Passed),
    /// Make a token with which one node can join
    #[command(after_help = "Example:\n  crm cluster token")]
    Token(Passed),
    /// Take a node out of the cluster
    #[command(alias = "delete", after_help = "Example:\n  crm cluster remove node3")]
    Remove {
        /// The node
        node: String,
    },
    /// Give a node another role
    #[command(after_help = "Example:\n  crm cluster role node3 witness")]
    Role {
        /// The node
        node: String,
        /// What it does
        #[arg(value_parser = ["voter", "learner", "witness"])]
        role: String,
    },
    /// Let a node listen at other addresses, one for each network, the preferred one first
    #[command(
        name = "set-address",
        after_help = "The node listens there at once, without a restart; at addresses that it had before for half a minute more.\n\nExamples:\n  crm cluster set-address node1 192.0.2.11 198.51.100.11\n  crm cluster set-address node1 192.0.2.11:5405"
    )]
    SetAddress {
        /// The node
        node: String,
        /// All that it shall have, ADDRESS[:PORT]
        #[arg(required = true)]
        addresses: Vec<String>,
        /// Also when the node can't be asked whether it has them
        #[arg(long)]
        force: bool,
    },
    /// Give a node a new key and certificate while it runs; the old one is refused afterwards
    #[command(
        name = "rotate-certificate",
        after_help = "Nodes also do it by themselves, when a third of the time is left for which the certificate is good (option certificate-days).\n\nExamples:\n  crm cluster rotate-certificate\n  crm cluster rotate-certificate node2\n  crm cluster rotate-certificate --all\n  crm cluster rotate-certificate --authority"
    )]
    RotateCertificate {
        /// The node; this one if not given
        node: Option<String>,
        /// All nodes, one after the other
        #[arg(long, conflicts_with = "node")]
        all: bool,
        /// The cluster's authority, and with it the certificates of all nodes
        #[arg(long, conflicts_with_all = ["node", "all"])]
        authority: bool,
    },
    /// Two voters without a witness: one that has fenced the other goes on alone
    #[command(
        name = "two-node",
        after_help = "Examples:\n  crm cluster two-node on\n  crm cluster two-node off"
    )]
    TwoNode {
        /// On or off
        #[arg(value_parser = ["on", "off"])]
        mode: String,
    },
    /// Vouch for the other one of two nodes being off, and not having gone on alone
    #[command(
        name = "confirm-off",
        after_help = "Example:\n  crm cluster confirm-off node2"
    )]
    ConfirmOff {
        /// The node
        node: String,
    },
    /// Hand over leadership
    #[command(
        name = "step-down",
        after_help = "Examples:\n  crm cluster step-down\n  crm cluster step-down node2"
    )]
    StepDown {
        /// To this node
        node: Option<String>,
    },
    /// Stop the daemon here; resources are moved away first
    #[command(after_help = "Example:\n  crm cluster stop")]
    Stop,
    /// Changes of the configuration: who, when, with which tool
    #[command(after_help = "Example:\n  crm cluster log -n 5")]
    Log {
        /// How many
        #[arg(short = 'n', long, default_value_t = 20)]
        last: usize,
    },
    /// One change of the configuration
    #[command(after_help = "Example:\n  crm cluster show 17")]
    Show {
        /// Its number
        number: u64,
    },
    /// Wait until the cluster has nothing left to do
    #[command(
        alias = "wait_for_startup",
        after_help = "Example:\n  crm cluster wait 30"
    )]
    Wait {
        /// At most so many seconds
        #[arg(default_value_t = 60)]
        seconds: u64,
    },
    /// What does no harm today and bites later; the same as `crm doctor`
    #[command(after_help = "Example:\n  crm cluster health")]
    Health,
    /// Said in another way here
    #[command(hide = true)]
    Start(Passed),
    /// Said in another way here
    #[command(hide = true)]
    Restart(Passed),
    /// Said in another way here
    #[command(hide = true)]
    Enable(Passed),
    /// Said in another way here
    #[command(hide = true)]
    Disable(Passed),
    /// Said in another way here
    #[command(hide = true)]
    Copy(Passed),
    /// Said in another way here
    #[command(hide = true)]
    Diff(Passed),
    /// Said in another way here
    #[command(hide = true)]
    Run(Passed),
    /// Said in another way here
    #[command(hide = true)]
    Rename(Passed),
    /// Said in another way here
    #[command(hide = true, name = "crash_test")]
    CrashTest(Passed),
    /// Said in another way here
    #[command(
        hide = true,
        name = "geo_init",
        alias = "geo_join",
        alias = "geo_init_arbitrator"
    )]
    Geo(Passed),
}
