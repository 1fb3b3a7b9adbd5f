//! `crm configure`: what is said of the configuration and its objects.

use clap::{Args, Subcommand};

use super::{Cib, Committing, Passed};

/// Words of an object; the crm shell's own language.
#[derive(Debug, Args)]
pub struct Words {
    /// The rest of the line
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub words: Vec<String>,
}

/// `crm configure`.
#[derive(Debug, Subcommand)]
pub enum Configure {
    /// Show the configuration, or some objects of it
    #[command(
        after_help = "Examples:\n  crm configure show\n  crm configure show vip web\n  crm configure show type:primitive\n  crm configure show xml vip"
    )]
    Show {
        /// Ids, type:KIND, tag:TAG, `changed`; `xml` first shows XML
        words: Vec<String>,
    },
    /// Add a resource
    #[command(
        after_help = "primitive ID {[CLASS:[PROVIDER:]]TYPE|@TEMPLATE} [params NAME=VALUE ...] [meta ...] [utilization ...]\n          [op NAME interval=TIME timeout=TIME ...] ...\n\nExamples:\n  crm configure primitive vip ocf:systole:IPaddr2 params ip=10.0.0.10 cidr_netmask=24 op monitor interval=10s timeout=20s\n  crm configure primitive web systemd:nginx op monitor interval=10s\n  crm configure primitive fence1 stonith:fence_ipmilan params ip=10.0.1.1 pcmk_host_list=node1"
    )]
    Primitive(Words),
    /// Add a template for primitives
    #[command(
        name = "rsc_template",
        after_help = "Example:\n  crm configure rsc_template web-base systemd:nginx op monitor interval=10s"
    )]
    RscTemplate(Words),
    /// Add a group: members start in order, on one node
    #[command(
        after_help = "group ID MEMBER ... [meta NAME=VALUE ...]\n\nExample:\n  crm configure group service fs db vip"
    )]
    Group(Words),
    /// Add a clone: a resource on several nodes
    #[command(
        after_help = "clone ID MEMBER [meta NAME=VALUE ...]\n\nExample:\n  crm configure clone all-dlm dlm meta interleave=true\n  crm configure clone db-clone db meta promotable=true"
    )]
    Clone(Words),
    /// Add a promotable clone, in the old way
    #[command(
        after_help = "Example:\n  crm configure ms drbd-ms drbd meta master-max=1 notify=true"
    )]
    Ms(Words),
    /// Add a bundle: a container on several nodes
    #[command(
        after_help = "Example:\n  crm configure bundle httpd docker image=pcmk:http replicas=2 network ip-range-start=10.0.0.20 port-mapping port=80 primitive web"
    )]
    Bundle(Words),
    /// Say where a resource may, must or must not run
    #[command(
        after_help = "location ID RESOURCE|/PATTERN/|{ RESOURCES } [role=ROLE] [resource-discovery=always|never|exclusive] {SCORE: NODE | rule [SCORE:] EXPRESSION ...}\n\nExamples:\n  crm configure location near vip 100: node1\n  crm configure location never web -inf: node3\n  crm configure location net vip rule -inf: not_defined pingd or pingd lte 0"
    )]
    Location(Words),
    /// Say what runs together, or apart
    #[command(
        alias = "collocation",
        after_help = "colocation ID SCORE: RESOURCE[:ROLE] WITH[:ROLE]\n\nExamples:\n  crm configure colocation together inf: vip web\n  crm configure colocation apart -inf: db1 db2\n  crm configure colocation on-primary inf: vip db-clone:Promoted"
    )]
    Colocation(Words),
    /// Say what starts before what
    #[command(
        after_help = "order ID [Mandatory:|Optional:|Serialize:] FIRST[:ACTION] THEN[:ACTION] [symmetrical=false]\n\nExamples:\n  crm configure order fs-first Mandatory: fs db\n  crm configure order sets Mandatory: ( a b ) c"
    )]
    Order(Words),
    /// Tie resources to a ticket
    #[command(
        name = "rsc_ticket",
        after_help = "Example:\n  crm configure rsc_ticket site ticketA: service loss-policy=stop"
    )]
    RscTicket(Words),
    /// Set cluster options
    #[command(
        after_help = "Examples:\n  crm configure property no-quorum-policy=freeze\n  crm configure property maintenance-mode=true"
    )]
    Property(Words),
    /// Set defaults of resources
    #[command(
        name = "rsc_defaults",
        after_help = "Example:\n  crm configure rsc_defaults resource-stickiness=100 migration-threshold=3"
    )]
    RscDefaults(Words),
    /// Set defaults of operations
    #[command(
        name = "op_defaults",
        after_help = "Example:\n  crm configure op_defaults timeout=60s"
    )]
    OpDefaults(Words),
    /// Add a node or set its attributes
    #[command(
        after_help = "Example:\n  crm configure node node1 attributes rack=a utilization cpu=8"
    )]
    Node(Words),
    /// Say which devices fence which node, in which order
    #[command(
        name = "fencing_topology",
        after_help = "Example:\n  crm configure fencing_topology node1: ipmi1 pdu1,pdu2 node2: ipmi2"
    )]
    FencingTopology(Words),
    /// Name a set of objects
    #[command(after_help = "Example:\n  crm configure tag databases db1 db2")]
    Tag(Words),
    /// Define access rights
    #[command(
        after_help = "Example:\n  crm configure role operator write meta:vip:target-role read status"
    )]
    Role(Words),
    /// Give roles to a user
    #[command(
        name = "acl_target",
        after_help = "Example:\n  crm configure acl_target alice operator"
    )]
    AclTarget(Words),
    /// Give roles to a group of users
    #[command(
        name = "acl_group",
        after_help = "Example:\n  crm configure acl_group operators operator"
    )]
    AclGroup(Words),
    /// Have a program told of events
    #[command(
        after_help = "Example:\n  crm configure alert mail /usr/share/systole/alert_mail to admin@example.com"
    )]
    Alert(Words),
    /// Add or replace an object given as XML
    #[command(
        after_help = "Example:\n  crm configure xml '<primitive id=\"p\" class=\"ocf\" provider=\"heartbeat\" type=\"Dummy\"/>'"
    )]
    Xml(Words),
    /// Remove objects, with the constraints about them
    #[command(
        alias = "remove",
        after_help = "Example:\n  crm configure delete vip\n\nA resource that runs is not deleted; stop it first, or use --force."
    )]
    Delete {
        /// Ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Give an object another id
    #[command(after_help = "Example:\n  crm configure rename vip vip-web")]
    Rename {
        /// The id it has
        old: String,
        /// The id it gets
        new: String,
    },
    /// Add members to a group or take them out
    #[command(
        after_help = "Examples:\n  crm configure modgroup service add db after fs\n  crm configure modgroup service remove db"
    )]
    Modgroup {
        /// The group
        group: String,
        /// add or remove
        #[arg(value_parser = ["add", "remove"])]
        how: String,
        /// The resource
        member: String,
        /// Before or after which member: `before RSC` or `after RSC`
        place: Vec<String>,
    },
    /// Read objects from a file
    #[command(
        after_help = "update adds and replaces objects, replace makes the configuration what the file says, push is replace.\n\nExamples:\n  crm configure load update web.crm\n  crm configure load replace - < everything.crm\n  crm configure load xml update cib.xml"
    )]
    Load {
        /// [xml] update|replace|push FILE; - is standard input
        #[arg(required = true)]
        words: Vec<String>,
        /// How it is committed
        #[command(flatten)]
        how: Committing,
    },
    /// Write the configuration, or some objects of it, to a file
    #[command(
        after_help = "Examples:\n  crm configure save everything.crm\n  crm configure save xml cib.xml\n  crm configure save - vip"
    )]
    Save {
        /// [xml] FILE [IDS]; - is standard output
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Change objects in an editor ($EDITOR)
    #[command(after_help = "Example:\n  crm configure edit vip")]
    Edit {
        /// Ids; everything without them
        ids: Vec<String>,
    },
    /// Check the configuration
    #[command(after_help = "Example:\n  crm configure verify")]
    Verify,
    /// Drop everything
    #[command(after_help = "Example:\n  crm -F configure erase")]
    Erase,
    /// Show pending changes against what is in force
    #[command(
        after_help = "Example:\n  crm configure diff          (at a prompt: what commit would do)"
    )]
    Diff,
    /// Make pending changes effective
    #[command(
        after_help = "At a prompt, what will be done is shown before it is done, and one is asked.\n\n\
        Examples:\n  crm configure commit                        (at a prompt, or in a file of commands)\n  \
        crm configure commit --dry-run              what would be done, interrupted, lost\n  \
        crm configure commit --confirm-within 5m    taken back unless crm configure confirm comes in time"
    )]
    Commit {
        /// `force`: although there are warnings
        // Not named `force`: clap would take it for the option that every command has.
        #[arg(value_parser = ["force"], value_name = "FORCE")]
        forced: Option<String>,
        /// How it is committed
        #[command(flatten)]
        how: Committing,
    },
    /// Keep a change that was committed with --confirm-within
    #[command(after_help = "Example:\n  crm configure confirm")]
    Confirm,
    /// Take a change back that was committed with --confirm-within, without waiting
    #[command(after_help = "Example:\n  crm configure revert")]
    Revert,
    /// Drop pending changes and read the configuration again
    #[command(
        after_help = "Example:\n  crm configure refresh       (at a prompt: what others changed meanwhile)"
    )]
    Refresh,
    /// Rewrite the configuration for the newest schema
    #[command(after_help = "Example:\n  crm configure upgrade force")]
    Upgrade {
        /// `force`
        how: Option<String>,
    },
    /// What the cluster would do about the pending changes
    #[command(
        alias = "ptest",
        after_help = "Example:\n  crm configure simulate      (at a prompt, before commit)"
    )]
    Simulate,
    /// Values of cluster options, also where nobody set them
    #[command(
        name = "get_property",
        alias = "get-property",
        after_help = "Example:\n  crm configure get_property no-quorum-policy"
    )]
    GetProperty {
        /// Options
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Set one attribute of an object: ID.NAME VALUE, or ID.OPERATION.NAME VALUE
    #[command(
        after_help = "Examples:\n  crm configure set vip.ip 192.0.2.11\n  crm configure set vip.monitor.timeout 30s"
    )]
    Set {
        /// What
        path: String,
        /// Its value
        value: String,
    },
    /// Give operations the timeouts that agents ask for at least
    #[command(
        name = "default-timeouts",
        alias = "default_timeouts",
        after_help = "Example:\n  crm configure default-timeouts db vip"
    )]
    DefaultTimeouts {
        /// Primitives
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Add a monitor operation: RESOURCE[:ROLE] INTERVAL[:TIMEOUT]
    #[command(
        after_help = "Examples:\n  crm configure monitor vip 10s:20s\n  crm configure monitor db:Promoted 15s"
    )]
    Monitor {
        /// The primitive, and the role if it is promotable
        rsc: String,
        /// The interval, and the timeout
        times: String,
    },
    /// The schema that the configuration is written in; with a name, go over to it
    #[command(
        after_help = "Examples:\n  crm configure schema\n  crm configure schema pacemaker-3.9"
    )]
    Schema {
        /// Another schema
        name: Option<String>,
    },
    /// Have a program rewrite objects: it gets them on standard input, and its output takes their place
    #[command(
        after_help = "Example:\n  crm configure filter \"sed 's/timeout=20s/timeout=30s/'\" vip"
    )]
    Filter {
        /// The program with its arguments, as a shell reads it
        program: String,
        /// Objects; all without
        ids: Vec<String>,
    },
    /// The plan that follows, with pending changes, as a picture (SVG, or for Graphviz)
    #[command(
        after_help = "Examples:\n  crm configure graph plan.svg\n  crm configure graph dot plan.dot"
    )]
    Graph {
        /// [dot] [FILE [svg|dot]]; standard output without a file
        words: Vec<String>,
    },
    /// Have a resource's agent look at its parameters
    #[command(
        name = "validate-all",
        alias = "validate_all",
        after_help = "Example:\n  crm configure validate-all vip"
    )]
    ValidateAll {
        /// The resource
        id: String,
    },
    /// Copies of the configuration to try things on: the same as `crm cib`
    #[command(
        after_help = "Examples:\n  crm configure cib new test\n  crm configure cib commit test"
    )]
    Cib {
        /// What to do
        #[command(subcommand)]
        command: Cib,
    },
    /// Said in another way here
    #[command(hide = true)]
    Rsctest(Passed),
    /// Said in another way here
    #[command(hide = true)]
    User(Passed),
    /// Said in another way here
    #[command(hide = true)]
    Template(Passed),
    /// Said in another way here
    #[command(hide = true)]
    Cibstatus(Passed),
}
