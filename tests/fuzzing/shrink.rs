//! Less of a CIB that still shows the same: elements go, then attributes, until nothing more can.

use systole::cib::{Cib, schema};
use systole::xml::Element;

use crate::generate::places;

/// The smallest CIB that is found for which `still` holds, within so many tries.
pub(crate) fn shrink(
    cib: &Element,
    tries: u64,
    still: &mut dyn FnMut(&Element) -> bool,
) -> Element {
    let allowed = faults(cib);
    let mut still = |less: &Element| faults(less) <= allowed && still(less);
    let still: &mut dyn FnMut(&Element) -> bool = &mut still;
    let mut best = cib.clone();
    let mut left = tries;
    loop {
        let before = best.clone();
        elements(&mut best, &mut left, still);
        attributes(&mut best, &mut left, still);
        if best == before || left == 0 {
            return best;
        }
    }
}

/// What the schema has against it: making it small must not make it worse.
fn faults(cib: &Element) -> usize {
    schema::check(&Cib::new(cib.clone())).len()
}

fn elements(best: &mut Element, left: &mut u64, still: &mut dyn FnMut(&Element) -> bool) {
    // From the back, so that the places before stay where they are.
    let mut all = places(best);
    all.sort_by_key(|at| at.len());
    let mut index = 0;
    while index < all.len() && *left > 0 {
        let (last, parent) = all[index].split_last().expect("no root among them");
        let mut less = best.clone();
        let Some(parent) = less.at_mut(parent).filter(|e| *last < e.nodes().len()) else {
            index += 1;
            continue;
        };
        parent.nodes_mut().remove(*last);
        *left -= 1;
        if still(&less) {
            *best = less;
            all = places(best);
            all.sort_by_key(|at| at.len());
        } else {
            index += 1;
        }
    }
}

/// Without these nothing is read at all.
const KEPT: [&str; 15] = [
    "operation",
    "rc-code",
    "op-status",
    "id",
    "uname",
    "class",
    "provider",
    "type",
    "validate-with",
    "execution-date",
    "name",
    "operation_key",
    "transition-magic",
    "transition-key",
    "interval",
];

fn attributes(best: &mut Element, left: &mut u64, still: &mut dyn FnMut(&Element) -> bool) {
    for at in places(best) {
        let names: Vec<String> = match best.at(&at) {
            Some(element) => element.attrs().map(|(name, _)| name.to_owned()).collect(),
            None => continue,
        };
        for name in names.iter().filter(|name| !KEPT.contains(&name.as_str())) {
            if *left == 0 {
                return;
            }
            let mut less = best.clone();
            if let Some(element) = less.at_mut(&at) {
                element.unset(name);
            }
            *left -= 1;
            if still(&less) {
                *best = less;
            }
        }
    }
}
