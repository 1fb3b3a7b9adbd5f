//! At no time more instances are promoted than may be: not at the end of the graph, and not on the way there.

use std::collections::BTreeMap;

use super::{Index, Rule, Violation, Wanted, is_real, show, subject};

/// One promotable resource in a graph: what becomes of its instances.
#[derive(Default)]
struct Family {
    promotes: Vec<usize>,
    demotes: Vec<usize>,
    /// `promoted-max`, as the promote actions say it.
    most: Option<usize>,
}

/// Instances that are demoted make room for those that are promoted, so they go first; and no graph promotes more than
/// there is room for.
pub(super) fn promoted(index: &Index<'_>, wanted: &mut Vec<Wanted>, found: &mut Vec<Violation>) {
    let mut families: BTreeMap<&str, Family> = BTreeMap::new();
    for (at, action) in index.steps.iter().enumerate() {
        let Some(rsc) = subject(action).filter(|_| is_real(action) && !index.never[at]) else {
            continue;
        };
        let base = rsc.split_once(':').map_or(rsc, |(base, _)| base);
        match action.task.as_str() {
            "promote" => {
                let family = families.entry(base).or_default();
                family.promotes.push(at);
                let most = action
                    .meta("promoted_max")
                    .and_then(|text| text.parse().ok());
                family.most = family.most.max(most);
            }
            "demote" => families.entry(base).or_default().demotes.push(at),
            _ => {}
        }
    }
    for family in families.values() {
        if let (Some(most), Some(last)) = (family.most, family.promotes.last())
            && family.promotes.len() > most
        {
            found.push(Violation {
                rule: Rule::TooManyPromoted,
                first: format!("promoted-max={most}"),
                then: show(index.steps[*last]),
            });
        }
        for &then in &family.promotes {
            for &first in &family.demotes {
                wanted.push(Wanted {
                    first,
                    then,
                    rule: Rule::PromoteBeforeDemote,
                });
            }
        }
    }
}
