//! A session of Debian's crmsh, as shipped: everyday commands of one who sets up a cluster, runs it, and takes it down
//! again. What each did is read back from the cluster, on another host.

use std::time::Duration;

use super::lab::{Stage, on_stage};
use super::session::*;

mod configure;
mod operate;
mod shadows;

pub(crate) const SCENARIOS: &[crate::Scenario] = &[
    ("crmsh::configure", CRM, || run(configure::play)),
    ("crmsh::operate", CRM, || run(operate::play)),
    ("crmsh::shadows", CRM, || run(shadows::play)),
];

/// By its full name: on PATH, `crm` may be ours.
const CRM: &str = "/usr/sbin/crm";

/// Gives an interactive command a terminal, which it wants for questions and for an editor.
const TERMINAL: &str = "python3 -c 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)' ";

fn run(play: fn(&mut Session<'_>)) {
    on_stage(|stage: &Stage<'_>| {
        let mut s = Session::new(stage, &[CRM], Duration::from_secs(30));
        play(&mut s);
        s.end();
    });
}
