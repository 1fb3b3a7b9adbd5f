//! Which program a file belongs to, by what is in it.

use crate::cli::language::KEYWORDS;

/// What can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A Pacemaker CIB as XML
    Cib,
    /// A file of the crm shell
    Crm,
    /// A corosync.conf
    Corosync,
    /// A keepalived.conf
    Keepalived,
}

const COROSYNC: &[&str] = &["totem", "nodelist", "quorum", "logging", "qb", "service"];
const KEEPALIVED: &[&str] = &[
    "vrrp_",
    "global_defs",
    "virtual_server",
    "static_",
    "include",
    "bfd_instance",
    "track_file",
    "linkbeat_",
    "net_namespace",
    "global_tracking",
    "@",
    "$",
];

impl Kind {
    /// The kind that the first line decides which can decide.
    pub(crate) fn of(text: &str) -> Option<Kind> {
        if text
            .trim_start_matches('\u{feff}')
            .trim_start()
            .starts_with('<')
        {
            return Some(Kind::Cib);
        }
        text.lines().find_map(|line| {
            let line = line.trim();
            let word = line.split([' ', '\t', '{']).next().unwrap_or_default();
            if word.is_empty() || word.starts_with(['#', '!']) {
                None
            } else if COROSYNC.contains(&word) {
                Some(Kind::Corosync)
            } else if KEEPALIVED.iter().any(|known| word.starts_with(known)) {
                Some(Kind::Keepalived)
            } else if KEYWORDS.contains(&word) || matches!(word, "configure" | "crm" | "cib") {
                Some(Kind::Crm)
            } else {
                None
            }
        })
    }
}
