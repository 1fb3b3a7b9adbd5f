//! A session of Debian's pcs, as shipped. It starts tools by their full paths and mostly without an environment, so the
//! host on which it runs has the daemon's directory and socket in the usual places.

mod cluster;
mod policies;
mod resources;

use std::time::Duration;

use crate::lab::{Ran, Stage, on_stage};
use crate::session::*;

pub(crate) const SCENARIOS: &[crate::Scenario] = &[("pcs::session", NEEDS, session)];

/// pcs itself, and the packages in place of whose programs ours are put.
const NEEDS: &str =
    "/usr/sbin/pcs /usr/sbin/corosync-quorumtool /usr/lib/pacemaker/pacemaker-based";

/// What a person's shell has who installed us; nothing of it says where the daemon is.
const PCS: &[&str] = &[
    "/usr/bin/env",
    "-i",
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL=C.UTF-8",
    "EDITOR=/bin/false",
    "/usr/sbin/pcs",
];

/// The README's link, and the usual places. Copies, so that nothing reaches the machine that we run on.
const INSTALLED: &str = "set -e
mkdir -p /run/systole /run/var/pacemaker/cib /run/var/pcsd /run/var/systole
ln -s $SYSTOLE_DIR/systole.sock /run/systole/systole.sock
mount --bind /run/var /var/lib
mount --bind $SYSTOLE_DIR /var/lib/systole
cp -a /etc /run/etc
rm -rf /run/etc/corosync
mkdir -p /run/etc/corosync/uidgid.d
ln -s /var/lib/systole/corosync.conf /run/etc/corosync/corosync.conf
mount --bind /run/etc /etc";

/// Where files of the session are: on the host's disk.
const FILES: &str = "/var/lib/systole";

fn session() {
    on_stage(|stage| {
        let ran = stage.sh("host1", INSTALLED);
        assert_eq!(ran.code, 0, "the usual places: {}", ran.text());
        let mut s = Session::new(stage, PCS, Duration::from_secs(40));
        resources::agents(&mut s);
        resources::resources(&mut s);
        resources::where_they_run(&mut s);
        resources::failures(&mut s);
        resources::collectives(&mut s);
        resources::defaults(&mut s);
        policies::constraints(&mut s);
        policies::constraints_go(&mut s);
        policies::properties(&mut s);
        policies::nodes(&mut s);
        policies::permissions(&mut s);
        policies::alerts(&mut s);
        policies::tags(&mut s);
        cluster::bundles(&mut s);
        cluster::stonith(&mut s);
        cluster::whole_cib(&mut s);
        cluster::status(&mut s);
        cluster::fencing(&mut s);
        s.end();
    });
}

/// The CIB has nothing that an XPath finds.
fn gone(path: &'static str) -> impl FnOnce(&Stage<'_>, &Ran) -> Verdict {
    has_times(path, 0)
}

/// After the cluster has settled, a resource runs on these hosts and no others.
fn on(
    rsc: &'static str,
    hosts: &'static [&'static str],
) -> impl FnOnce(&Stage<'_>, &Ran) -> Verdict {
    move |stage, _| {
        stage.settle();
        let found = stage.runs_on(rsc);
        that(
            found == hosts,
            format!("{rsc} runs on {found:?}, not {hosts:?}"),
        )
    }
}

/// The CIB has what each of these finds, once.
fn has_all(paths: &'static [&'static str]) -> impl FnOnce(&Stage<'_>, &Ran) -> Verdict {
    move |stage, _| {
        for path in paths {
            let found = stage.count(path);
            that(
                found == 1,
                format!("{path} is {found} times in the CIB, not 1"),
            )?;
        }
        Ok(())
    }
}

/// A resource is promoted on one host, and runs unpromoted on the two others.
fn one_promoted(stage: &Stage<'_>, rsc: &str) -> Verdict {
    stage.settle();
    let found = stage.instances(rsc);
    let promoted = found.iter().filter(|(_, role)| role == "Promoted").count();
    that(
        found.len() == 3 && promoted == 1,
        format!("{rsc} is {found:?}, not promoted on one of three hosts"),
    )
}
