//! What the coordinator decided on is kept, so that a decision can be replayed and explained later: one compressed file
//! for each transition, in three series that each begin again at 0 when they are full. // spec cluster §9.1
//!
//! Nothing waits for it: a thread of its own compresses and writes. When that falls behind, or the disk is full, an input is
//! not kept, which is logged, and the transition goes on.

use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use crate::cib::Cib;
use crate::cli::saved::{self, Name, Series};
use crate::graph::Graph;

/// So many may wait; then newer ones are not kept.
const WAITING: usize = 8;

/// One decision.
pub(super) struct Decided {
    /// What the policy saw.
    pub(super) cib: Cib,
    /// When.
    pub(super) now_s: i64,
    /// The number that the transition gets.
    pub(super) transition: i64,
    /// Whether it was wrong, or the policy warned.
    pub(super) series: Series,
    /// How many of the series are kept; less than 0 is all, 0 none.
    pub(super) keep: i64,
    /// A number that tells what came of it from what came of another.
    pub(super) outcome: u64,
}

/// Hands decisions to the thread that keeps them.
#[derive(Clone)]
pub(super) struct Keeper {
    decisions: mpsc::SyncSender<Decided>,
}

impl Keeper {
    /// Below the node's directory.
    pub(super) fn start(data: &Path) -> io::Result<Self> {
        let (decisions, waiting) = mpsc::sync_channel::<Decided>(WAITING);
        let mut shelf = Shelf {
            data: data.to_owned(),
            last: None,
        };
        std::thread::Builder::new()
            .name("inputs".into())
            .spawn(move || {
                while let Ok(decided) = waiting.recv() {
                    let number = decided.transition;
                    match shelf.keep(decided) {
                        Ok(Some(name)) => {
                            tracing::info!("transition {number}: its input is kept as {name}.bz2");
                        }
                        Ok(None) => {}
                        Err(error) => tracing::warn!(
                            "the input of transition {number} is not kept, so it can't be explained later: {error}"
                        ),
                    }
                }
            })?;
        Ok(Self { decisions })
    }

    /// Keeps one. Never waits.
    pub(super) fn keep(&self, decided: Decided) {
        if decided.keep == 0 {
            return;
        }
        let number = decided.transition;
        if self.decisions.try_send(decided).is_err() {
            tracing::warn!(
                "the input of transition {number} is not kept: the disk is slower than decisions are made"
            );
        }
    }
}

/// Tells a graph from another one without keeping it: what is done, where, and after what.
pub(super) fn fingerprint(graph: &Graph) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    for synapse in &graph.synapses {
        let action = &synapse.action;
        let node = action.node.as_ref().map(|node| node.name.as_str());
        (action.id, &action.key, &action.task, node).hash(&mut hasher);
        synapse.inputs.hash(&mut hasher);
    }
    hasher.finish()
}

/// The files.
struct Shelf {
    data: PathBuf,
    /// The one before, with what came of it.
    last: Option<(String, u64, Name)>,
}

impl Shelf {
    /// Writes one file, unless the last one says the same.
    fn keep(&mut self, decided: Decided) -> io::Result<Option<Name>> {
        if decided.keep == 0 {
            return Ok(None);
        }
        let digest = decided.cib.digest();
        if let Some((known, outcome, name)) = &self.last
            && *known == digest
            && *outcome == decided.outcome
            && name.series == decided.series
        {
            return Ok(Some(*name));
        }
        let folder = saved::folder(&self.data);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let series = decided.series;
        let counter = folder.join(format!("{}.last", series.prefix()));
        let full = |number: u32| decided.keep > 0 && i64::from(number) >= decided.keep;
        let number = Some(next_number(&counter)).filter(|number| !full(*number));
        let name = Name {
            series,
            number: number.unwrap_or(0),
        };
        let packed = saved::pack(decided.cib.root(), decided.transition, decided.now_s)?;
        put(&saved::file(&self.data, name), &packed)?;
        let next = name.number.checked_add(1).filter(|next| !full(*next));
        put(&counter, format!("{}\n", next.unwrap_or(0)).as_bytes())?;
        self.last = Some((digest, decided.outcome, name));
        Ok(Some(name))
    }
}

/// The counter; without a readable one it begins at 0.
fn next_number(counter: &Path) -> u32 {
    let text = std::fs::read_to_string(counter).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// A file appears whole or not at all. Losing the last one with the machine is no harm, so nothing waits for the disk.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(bytes)?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::xml::Element;

    fn decided(epoch: u32, keep: i64) -> Decided {
        let root = Element::new("cib").with("epoch", epoch.to_string());
        Decided {
            cib: Cib::new(root),
            now_s: 1_000,
            transition: i64::from(epoch),
            series: Series::Input,
            keep,
            outcome: 0,
        }
    }

    fn names(data: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(saved::folder(data))
            .expect("the folder is there")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("text")
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_series_begins_again_and_overwrites_the_oldest() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let shelf = || Shelf {
            data: data.path().to_owned(),
            last: None,
        };
        let mut one = shelf();
        for epoch in 1..=2 {
            one.keep(decided(epoch, 3)).expect("it is written");
        }
        // Another life of the daemon counts on.
        let mut two = shelf();
        for epoch in 3..=4 {
            two.keep(decided(epoch, 3)).expect("it is written");
        }
        let all = [
            "pe-input-0.bz2",
            "pe-input-1.bz2",
            "pe-input-2.bz2",
            "pe-input.last",
        ];
        assert_eq!(names(data.path()), all);
        let epochs = (0..3).map(|number| {
            let name = Name {
                series: Series::Input,
                number,
            };
            let saved = saved::read(data.path(), name).expect("it is readable");
            (saved.cib.get("epoch").map(str::to_owned), saved.transition)
        });
        let of = |epoch: i64| (Some(epoch.to_string()), Some(epoch));
        assert_eq!(epochs.collect::<Vec<_>>(), [of(4), of(2), of(3)]);
        for name in all {
            let file = saved::folder(data.path()).join(name);
            let mode = std::fs::metadata(file)
                .expect("it is there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn the_same_decision_is_kept_once_and_none_if_none_are_wanted() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut shelf = Shelf {
            data: data.path().to_owned(),
            last: None,
        };
        assert_eq!(shelf.keep(decided(1, 0)).expect("nothing fails"), None);
        assert!(!saved::folder(data.path()).exists());
        let first = shelf.keep(decided(1, -1)).expect("it is written");
        let again = shelf.keep(decided(1, -1)).expect("nothing fails");
        assert_eq!(first, again);
        assert_eq!(names(data.path()), ["pe-input-0.bz2", "pe-input.last"]);
        let other = shelf.keep(decided(2, -1)).expect("it is written");
        assert_ne!(first, other);
        // The same CIB at another time may come to something else.
        let mut later = decided(2, -1);
        later.outcome = 1;
        assert_ne!(shelf.keep(later).expect("it is written"), other);
    }

    #[test]
    fn a_series_that_became_shorter_begins_again() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut shelf = Shelf {
            data: data.path().to_owned(),
            last: None,
        };
        for epoch in 1..=5 {
            shelf.keep(decided(epoch, -1)).expect("it is written");
        }
        let name = shelf.keep(decided(6, 2)).expect("it is written");
        assert_eq!(name.map(|name| name.number), Some(0));
    }

    /// A rule that depends on the time, a resource with a secret that was changed, and no quorum: whatever a decision may
    /// depend on.
    const CIB: &str = r#"<cib validate-with="pacemaker-4.0" have-quorum="0" dc-uuid="1"><configuration><crm_config>
        <cluster_property_set id="o"><nvpair id="o-n" name="no-quorum-policy" value="ignore"/>
        <nvpair id="o-f" name="fencing-enabled" value="false"/></cluster_property_set></crm_config>
        <nodes><node id="1" uname="h1"/><node id="2" uname="h2"/></nodes>
        <resources><primitive id="a" class="ocf" provider="x" type="D"/>
        <primitive id="b" class="ocf" provider="x" type="D"><instance_attributes id="b-i"><nvpair id="b-p" name="password" value="new"/>
        </instance_attributes></primitive></resources>
        <constraints><rsc_location id="night" rsc="a"><rule id="night-r" score="INFINITY"><date_expression id="night-d" operation="lt" end="1970-01-01 01:00:00Z"/>
        </rule></rsc_location></constraints></configuration><status>
        <node_state id="1" uname="h1" in_ccm="true" crmd="online" join="member" expected="member"><lrm id="1"><lrm_resources>
        <lrm_resource id="a" class="ocf" provider="x" type="D"><lrm_rsc_op id="a_last_0" operation="monitor" operation_key="a_monitor_0" transition-key="1:1:7:u" transition-magic="0:7;1:1:7:u" call-id="1" rc-code="7" op-status="0" interval="0"/></lrm_resource>
        <lrm_resource id="b" class="ocf" provider="x" type="D"><lrm_rsc_op id="b_last_0" operation="start" operation_key="b_start_0" transition-key="1:1:0:u" transition-magic="0:0;1:1:0:u" call-id="1" rc-code="0" op-status="0" interval="0" op-digest="0123456789abcdef0123456789abcdef" op-secure-params=" password " op-secure-digest="f2317cad3d54cec5d7d7aa7d0bf35cf8"/></lrm_resource>
        </lrm_resources></lrm></node_state></status></cib>"#;

    #[test]
    fn a_kept_decision_comes_out_the_same() {
        let cib = Cib::parse(CIB, &crate::xml::Limits::CIB).expect("it is XML");
        for now_s in [1_000, 1_000_000] {
            let data = tempfile::tempdir().expect("a temporary folder");
            let outcome = crate::policy::schedule(cib.root(), &crate::policy::Input::at(now_s));
            assert!(!outcome.graph.is_empty());
            let mut shelf = Shelf {
                data: data.path().to_owned(),
                last: None,
            };
            let mut decided = decided(1, -1);
            decided.cib = cib.clone();
            decided.now_s = now_s;
            let name = shelf
                .keep(decided)
                .expect("it is written")
                .expect("and kept");
            let graph = data.path().join("graph.xml");
            let file = saved::file(data.path(), name);
            let words = [
                "-x".as_ref(),
                file.as_os_str(),
                "-G".as_ref(),
                graph.as_os_str(),
            ];
            let words = words.map(std::ffi::OsStr::to_owned);
            let (mut out, mut errors) = (Vec::new(), Vec::new());
            crate::cli::cmd::simulate::run(&words, &mut out, &mut errors);
            let replayed = std::fs::read_to_string(&graph).expect("a graph was written");
            let walked = crate::xml::write::pretty(&crate::graph::write(&outcome.graph));
            assert_eq!(replayed, walked);
            let restarts = walked.contains("operation_key=\"b_stop_0\"");
            assert!(
                restarts,
                "a new secret is a change, also in the replay: {walked}"
            );
        }
    }
}
