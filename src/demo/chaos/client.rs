//! Who uses the cluster meanwhile: a client who counts in the CIB, and an operator who moves things and puts nodes into
//! standby. What was acknowledged must be there in the end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::cluster::{Cluster, ClusterError};

/// Where it counts.
pub(super) const COUNT: &str = "chaos-count";

/// Both of them.
pub(super) struct Client<'a> {
    cluster: &'a Cluster<'a>,
    dice: Mutex<StdRng>,
    acknowledged: AtomicU64,
    in_doubt: AtomicU64,
}

impl<'a> Client<'a> {
    pub(super) fn new(cluster: &'a Cluster<'a>, seed: u64) -> Self {
        Self {
            cluster,
            dice: Mutex::new(StdRng::seed_from_u64(!seed)),
            acknowledged: AtomicU64::new(0),
            in_doubt: AtomicU64::new(0),
        }
    }

    /// The count begins.
    pub(super) fn begin(&self) -> Result<(), ClusterError> {
        let zero = format!("{COUNT}=0");
        self.cluster
            .anywhere(&["configure", "property", &zero])
            .map(drop)
    }

    /// How many writes were acknowledged, and of how many nothing is known.
    pub(super) fn counts(&self) -> (u64, u64) {
        (
            self.acknowledged.load(Ordering::Relaxed),
            self.in_doubt.load(Ordering::Relaxed),
        )
    }

    /// Works until told to stop, through any host that is on.
    pub(super) fn work(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let (host, what, target) = {
                let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
                let names = self.cluster.lab.names();
                let mut pick = || names[dice.random_range(0..names.len())].clone();
                let (host, target) = (pick(), pick());
                (host, dice.random_range(0..30), target)
            };
            if self.cluster.lab.is_on(&host) {
                match what {
                    0 => self.operate(&host, &["node", "standby", &target]),
                    1 => self.operate(&host, &["node", "online", &target]),
                    2 => self.operate(&host, &["resource", "move", "service", &target]),
                    3 => self.operate(&host, &["resource", "clear", "service"]),
                    _ => self.count(&host),
                }
            }
            thread::sleep(Duration::from_millis(150));
        }
    }

    fn operate(&self, host: &str, words: &[&str]) {
        // It may fail: the cluster is being broken.
        let _ = self.cluster.crm(host, words);
    }

    fn count(&self, host: &str) {
        let program = self.cluster.lab.disk(host).join("tools/cibadmin");
        let program = program.to_string_lossy();
        let one = format!(
            r#"<cluster_property_set id="cib-bootstrap-options"><nvpair id="cib-bootstrap-options-{COUNT}" name="{COUNT}" value="value++"/></cluster_property_set>"#
        );
        let argv = [
            &*program,
            "--modify",
            "--score",
            "-o",
            "crm_config",
            "-X",
            &one,
        ];
        // A host that dies meanwhile cannot say what became of it.
        let done = self
            .cluster
            .run(host, &argv)
            .is_ok_and(|output| output.code == 0);
        let counter = if done {
            &self.acknowledged
        } else {
            &self.in_doubt
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The operator takes back what was done.
    pub(super) fn take_back(&self) -> Result<(), ClusterError> {
        for host in self.cluster.lab.names() {
            self.cluster.anywhere(&["node", "online", &host])?;
        }
        self.cluster.anywhere(&["resource", "clear", "service"])?;
        Ok(())
    }
}
