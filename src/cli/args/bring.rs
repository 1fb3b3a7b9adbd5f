//! What brings people here from other programs.

use clap::Args;

use crate::cli::import::Kind;

use super::Committing;

/// `crm import`.
#[derive(Debug, Args)]
#[command(
    after_help = "Reads a CIB (also of older schemas, also pe-input-N.bz2), files of the crm shell, corosync.conf and keepalived.conf, and\n\
        says line by line what became of it, or what there is instead. Without --apply nothing is changed: the configuration is printed\n\
        in the crm shell's language with the notes as comments, to be read, corrected and loaded (crm configure load update FILE).\n\
        NODE=FILE says which node a keepalived.conf is for; otherwise its router_id or its lines with @ do.\n\n\
        Examples:\n  crm import /etc/corosync/corosync.conf /var/lib/pacemaker/cib/cib.xml\n  \
        crm import lb1=keepalived-lb1.conf lb2=keepalived-lb2.conf > cluster.crm\n  \
        crm import keepalived.conf --apply --dry-run\n  crm import cib.xml --apply --safe\n  \
        crm import pe-input-12.bz2 --json | jq '.notes[] | select(.verdict == \"no equivalent\")'"
)]
pub struct Import {
    /// Files, each perhaps as NODE=FILE; - is standard input
    #[arg(required = true, value_name = "[NODE=]FILE")]
    pub files: Vec<String>,
    /// What the files are, where their content does not tell
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
    /// Put it into the cluster, after it was shown what will be done
    #[arg(long)]
    pub apply: bool,
    /// The configuration alone, without notes
    #[arg(short, long)]
    pub quiet: bool,
    /// How it is committed
    #[command(flatten)]
    pub how: Committing,
}

/// `crm watch`.
#[derive(Debug, Args)]
#[command(
    after_help = "Runs beside a Pacemaker and changes nothing there: it reads its CIB, decides by the policy of this cluster manager, and\n\
        says where the decision differs from that of Pacemaker's own crm_simulate on the same CIB, or, where that is not installed, from\n\
        what the cluster did next. A difference is named once, and once more when it is gone.\n\n\
        With --once: exit code 0 when the decisions are the same, 1 when they differ, 2 when all differences come from known changes\n\
        between Pacemaker 2.1 and 3.0.\n\n\
        Examples:\n  systole watch\n  systole watch --once --scores\n  systole watch --file /tmp/cib.xml --interval 10\n  \
        systole watch --folder /var/lib/pacemaker/pengine --once --json\n  systole watch --command '/usr/sbin/cibadmin --query --local'"
)]
pub struct Watch {
    /// Read this CIB file, again and again
    #[arg(long, group = "source", value_name = "CIB")]
    pub file: Option<std::path::PathBuf>,
    /// Read saved inputs (pe-input-N.bz2, cib.xml) in this folder, the oldest first, and then those that come
    #[arg(long, group = "source", value_name = "DIR")]
    pub folder: Option<std::path::PathBuf>,
    /// Ask this program for the CIB
    #[arg(
        long,
        group = "source",
        value_name = "COMMAND",
        default_value = "/usr/sbin/cibadmin --query"
    )]
    pub command: String,
    /// Pacemaker's own crm_simulate; /usr/sbin/crm_simulate where that is it
    #[arg(long, value_name = "PROGRAM", conflicts_with = "no_peer")]
    pub peer: Option<std::path::PathBuf>,
    /// Compare with what the cluster does next, also where crm_simulate is installed
    #[arg(long)]
    pub no_peer: bool,
    /// Compare placement scores, too
    #[arg(long)]
    pub scores: bool,
    /// Look once (with --folder: at all that is there), and say by the exit code whether there is a difference
    #[arg(long)]
    pub once: bool,
    /// Seconds between looks
    #[arg(short, long, default_value_t = 5.0)]
    pub interval: f64,
    /// A JSON object on each line
    #[arg(long)]
    pub json: bool,
}
