//! Without somebody to ask, what the other cluster did next is its answer. Each new CIB shows what came to run and what
//! ceased to; whatever our decision about the one before would not have done is a difference, as long as it lasts.
//!
//! ```text
//! CIB 1: vip on n1, n1 in standby     we would move it to n2
//! CIB 2: vip nowhere                  on the way, as we would have done
//! CIB 3: vip on n3                    not ours: named; until vip leaves n3, or we would have it there, too
//! ```

use std::collections::BTreeMap;

use crate::cli::forecast::Standing;
use crate::terms::Role;

use super::answer::Difference;

/// What was seen last, and what differs since.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    before: Option<(Standing, Standing)>,
    differ: BTreeMap<(String, String), Difference>,
}

impl Seen {
    /// Where everything is now, and where we would have it.
    pub(crate) fn next(&mut self, now: Standing, wanted: Standing) -> Vec<Difference> {
        if let Some((before, ours)) = self.before.take() {
            for (rsc, nodes) in &now {
                for (node, role) in nodes {
                    let was = at(&before, rsc, node);
                    if was != Some(*role) && at(&ours, rsc, node) != Some(*role) {
                        self.name(
                            rsc,
                            node,
                            format!("{} on {node}", word(Some(*role))),
                            at(&ours, rsc, node),
                        );
                    }
                }
            }
            for (rsc, nodes) in &before {
                for (node, role) in nodes {
                    let stays = at(&ours, rsc, node) == Some(*role);
                    // What we would have moved comes to a stop on its way; what we would have left alone does not.
                    if stays && at(&now, rsc, node).is_none() {
                        self.name(rsc, node, format!("{} on {node}", word(None)), Some(*role));
                    }
                }
            }
        }
        // It is over when it is as we would have it now.
        self.differ
            .retain(|(rsc, node), _| at(&now, rsc, node) != at(&wanted, rsc, node));
        self.before = Some((now, wanted));
        let mut found: BTreeMap<String, Difference> = BTreeMap::new();
        for it in self.differ.values() {
            let known = found.entry(it.about.clone()).or_insert_with(|| Difference {
                about: it.about.clone(),
                theirs: Vec::new(),
                ours: Vec::new(),
            });
            known.theirs.extend(it.theirs.iter().cloned());
            known.ours.extend(it.ours.iter().cloned());
        }
        found.into_values().collect()
    }

    fn name(&mut self, rsc: &str, node: &str, theirs: String, ours: Option<Role>) {
        let difference = Difference {
            about: rsc.to_owned(),
            theirs: vec![theirs],
            ours: vec![format!("{} on {node}", word(ours))],
        };
        self.differ
            .insert((rsc.to_owned(), node.to_owned()), difference);
    }
}

fn at(standing: &Standing, rsc: &str, node: &str) -> Option<Role> {
    standing.get(rsc)?.get(node).copied()
}

fn word(role: Option<Role>) -> String {
    role.map_or_else(|| "Stopped".to_owned(), |role| role.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(of: &[(&str, &str)]) -> Standing {
        let mut standing = Standing::new();
        standing.insert("vip".to_owned(), BTreeMap::new());
        for (rsc, node) in of {
            let nodes = standing.entry((*rsc).to_owned()).or_default();
            nodes.insert((*node).to_owned(), Role::Started);
        }
        standing
    }

    #[test]
    fn what_was_done_otherwise_is_named_while_it_lasts() {
        let mut seen = Seen::default();
        let on = |node| standing(&[("vip", node)]);
        let nowhere = || standing(&[]);
        assert!(seen.next(on("n1"), on("n2")).is_empty());
        assert!(
            seen.next(nowhere(), on("n2")).is_empty(),
            "it is on its way"
        );
        let found = seen.next(on("n3"), on("n2"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].theirs, ["Started on n3"]);
        assert_eq!(found[0].ours, ["Stopped on n3"]);
        assert_eq!(seen.next(on("n3"), on("n2")), found, "it is still so");
        assert!(
            seen.next(on("n3"), on("n3")).is_empty(),
            "we would have it there now"
        );
    }

    #[test]
    fn what_was_done_as_we_would_is_no_difference() {
        let mut seen = Seen::default();
        let on = |node| standing(&[("vip", node)]);
        for (now, wanted) in [("n1", "n2"), ("n2", "n2"), ("n2", "n2")] {
            assert!(seen.next(on(now), on(wanted)).is_empty());
        }
    }

    #[test]
    fn what_we_would_leave_alone_and_stops_is_named() {
        let mut seen = Seen::default();
        let on = standing(&[("vip", "n1")]);
        assert!(seen.next(on.clone(), on.clone()).is_empty());
        let found = seen.next(standing(&[]), on.clone());
        assert_eq!(found[0].theirs, ["Stopped on n1"]);
        assert!(seen.next(on.clone(), on).is_empty(), "it is back");
    }
}
