//! Which parts of the status are shown: a default, and what the command line adds and takes away. (spec 4 §14.1)

use std::ops::{BitOr, BitOrAssign};

use crate::cli::failure::Failure;

/// A set of sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sections(u32);

impl Sections {
    pub(crate) const ATTRIBUTES: Self = Self(1);
    pub(crate) const BANS: Self = Self(1 << 1);
    pub(crate) const COUNTS: Self = Self(1 << 2);
    pub(crate) const DC: Self = Self(1 << 3);
    pub(crate) const FAILCOUNTS: Self = Self(1 << 4);
    pub(crate) const FAILURES: Self = Self(1 << 5);
    pub(crate) const FENCING_FAILED: Self = Self(1 << 6);
    pub(crate) const FENCING_PENDING: Self = Self(1 << 7);
    pub(crate) const FENCING_SUCCEEDED: Self = Self(1 << 8);
    pub(crate) const MAINT_MODE: Self = Self(1 << 9);
    pub(crate) const NODES: Self = Self(1 << 10);
    pub(crate) const OPERATIONS: Self = Self(1 << 11);
    pub(crate) const OPTIONS: Self = Self(1 << 12);
    pub(crate) const RESOURCES: Self = Self(1 << 13);
    pub(crate) const STACK: Self = Self(1 << 14);
    pub(crate) const TICKETS: Self = Self(1 << 15);
    pub(crate) const TIMES: Self = Self(1 << 16);

    const FENCING: Self =
        Self(Self::FENCING_FAILED.0 | Self::FENCING_PENDING.0 | Self::FENCING_SUCCEEDED.0);
    const SUMMARY: Self =
        Self(Self::STACK.0 | Self::DC.0 | Self::TIMES.0 | Self::COUNTS.0 | Self::MAINT_MODE.0);
    pub(crate) const ALL: Self = Self((1 << 17) - 1);

    /// What is shown unless something else is asked for.
    pub(crate) fn default_of(xml: bool) -> Self {
        if xml {
            return Self::ALL;
        }
        Self::SUMMARY
            | Self::NODES
            | Self::RESOURCES
            | Self::FAILURES
            | Self::FENCING_FAILED
            | Self::FENCING_PENDING
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Sections {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Sections {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

const NAMES: [(&str, Sections); 19] = [
    ("attributes", Sections::ATTRIBUTES),
    ("bans", Sections::BANS),
    ("counts", Sections::COUNTS),
    ("dc", Sections::DC),
    ("failcounts", Sections::FAILCOUNTS),
    ("failures", Sections::FAILURES),
    ("fencing", Sections::FENCING),
    ("fencing-failed", Sections::FENCING_FAILED),
    ("fencing-pending", Sections::FENCING_PENDING),
    ("fencing-succeeded", Sections::FENCING_SUCCEEDED),
    ("maint-mode", Sections::MAINT_MODE),
    ("nodes", Sections::NODES),
    ("operations", Sections::OPERATIONS),
    ("options", Sections::OPTIONS),
    ("resources", Sections::RESOURCES),
    ("stack", Sections::STACK),
    ("summary", Sections::SUMMARY),
    ("tickets", Sections::TICKETS),
    ("times", Sections::TIMES),
];

/// What a command line asks of the set, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// `--include` with a list.
    Include(String),
    /// `--exclude` with a list.
    Exclude(String),
    /// An option of its own for a section.
    Add(Sections),
}

/// The sections, and which ids the constraints among them begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) sections: Sections,
    pub(super) ban_prefix: String,
}

impl Selection {
    /// Apply changes from left to right.
    pub(super) fn new(xml: bool, changes: &[Change]) -> Result<Self, Failure> {
        let mut chosen = Selection {
            sections: Sections::default_of(xml),
            ban_prefix: String::new(),
        };
        // In text, options of the cluster are shown only where they are asked for by name.
        let all = if xml {
            Sections::ALL
        } else {
            Sections::ALL.without(Sections::OPTIONS)
        };
        for change in changes {
            match change {
                Change::Add(sections) => chosen.sections |= *sections,
                Change::Include(list) => {
                    for word in list.split(',') {
                        match word {
                            "all" => chosen.sections = all,
                            "none" => chosen.sections = Sections::default(),
                            "default" | "defaults" => {
                                chosen.sections |= Sections::default_of(xml);
                            }
                            _ => {
                                if let Some(prefix) = word.strip_prefix("bans:") {
                                    chosen.ban_prefix = prefix.to_owned();
                                }
                                chosen.sections |= section("--include", word)?;
                            }
                        }
                    }
                }
                Change::Exclude(list) => {
                    for word in list.split(',') {
                        match word {
                            "all" => chosen.sections = Sections::default(),
                            "none" => chosen.sections = all,
                            _ => {
                                let gone = section("--exclude", word)?;
                                chosen.sections = chosen.sections.without(gone);
                            }
                        }
                    }
                }
            }
        }
        Ok(chosen)
    }
}

fn section(option: &str, word: &str) -> Result<Sections, Failure> {
    let name = word.split_once(':').map_or(word, |(name, _)| name);
    let known = NAMES.iter().find(|(known, _)| *known == name);
    known.map(|(_, sections)| *sections).ok_or_else(|| {
        let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        let text = if word == "list" {
            format!("{option} takes sections")
        } else {
            format!("{option} knows no section `{word}`")
        };
        Failure::usage(text).cure(format!("all, none, default, {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(xml: bool, changes: &[Change]) -> Selection {
        Selection::new(xml, changes).expect("sections that exist")
    }

    #[test]
    fn lists_are_applied_from_left_to_right() {
        let list = [
            Change::Exclude("all".into()),
            Change::Include("nodes,bans:cli-".into()),
        ];
        let found = chosen(false, &list);
        assert_eq!(found.sections, Sections::NODES | Sections::BANS);
        assert_eq!(found.ban_prefix, "cli-");
        let list = [
            Change::Include("nodes".into()),
            Change::Exclude("all".into()),
        ];
        assert_eq!(chosen(true, &list).sections, Sections::default());
    }

    #[test]
    fn all_leaves_options_out_in_text_only() {
        let all = [Change::Include("all".into())];
        assert!(!chosen(false, &all).sections.has(Sections::OPTIONS));
        assert!(chosen(true, &all).sections.has(Sections::OPTIONS));
        assert!(Selection::new(true, &[Change::Include("nonsense".into())]).is_err());
    }
}
