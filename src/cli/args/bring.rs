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
