//! What a program says about a CIB, line by line, and how two of them differ.

use std::collections::{BTreeMap, BTreeSet};

/// What somebody says about a CIB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// What is to happen, a line each, words separated by one blank.
    pub summary: Vec<String>,
    /// Where what may run.
    pub scores: Vec<String>,
    /// Actions and what they wait for.
    pub graph: Vec<String>,
}

/// What the two sides say about one resource or node, where it is not the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    /// The resource, or the node that is to be fenced.
    pub(crate) about: String,
    /// What the other one does.
    pub(crate) theirs: Vec<String>,
    /// What we would do.
    pub(crate) ours: Vec<String>,
}

impl Answer {
    /// From the text of a run without scores. Where removed resources stand in the list does not count.
    pub(crate) fn summary_of(text: &str) -> Vec<String> {
        let lines = text
            .lines()
            .skip_while(|line| !line.starts_with("Transition Summary"))
            .skip(1)
            .take_while(|line| !line.trim().is_empty());
        let mut found: Vec<String> = lines.map(plain).collect();
        found.sort();
        found
    }

    /// From the text of a run with scores. Those of instances are left out: they are printed for tentative assignments,
    /// too, and which of these are made differs between series. // spec 2 §13.4, §22
    pub(crate) fn scores_of(text: &str) -> Vec<String> {
        let lines = text.lines().filter(|line| line.contains(" score on "));
        let mut found: Vec<String> = lines
            .map(plain)
            .map(|line| match line.split_once(": ") {
                // The name of the step that printed it.
                Some((step, rest)) if !step.contains(' ') && rest.contains(" score on ") => {
                    rest.to_owned()
                }
                _ => line,
            })
            .filter(|line| !line.split(' ').next().is_some_and(|id| id.contains(':')))
            .collect();
        found.sort();
        found
    }

    /// Where two answers differ, by what they are about.
    pub(crate) fn against(&self, ours: &Answer) -> Vec<Difference> {
        let mut found: BTreeMap<String, Difference> = BTreeMap::new();
        for (theirs, ours) in [(&self.summary, &ours.summary), (&self.scores, &ours.scores)] {
            let (left, right) = (rest(theirs, ours), rest(ours, theirs));
            for (lines, is_theirs) in [(left, true), (right, false)] {
                for line in lines {
                    let about = about(&line);
                    let it = found.entry(about.clone()).or_insert_with(|| Difference {
                        about,
                        theirs: Vec::new(),
                        ours: Vec::new(),
                    });
                    let side = if is_theirs {
                        &mut it.theirs
                    } else {
                        &mut it.ours
                    };
                    side.push(line);
                }
            }
        }
        found.into_values().collect()
    }
}

fn plain(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Lines of the one that the other has not, each as often as it is missing.
fn rest(one: &[String], other: &[String]) -> Vec<String> {
    let mut left: BTreeMap<&String, usize> = BTreeMap::new();
    for line in other {
        *left.entry(line).or_default() += 1;
    }
    let mut missing = Vec::new();
    for line in one {
        match left.get_mut(line) {
            Some(count) if *count > 0 => *count -= 1,
            _ => missing.push(line.clone()),
        }
    }
    missing
}

/// The resource (without the number of its instance) or the node of a line.
fn about(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let name = match words[..] {
        ["*", "Fence", _, node, ..] => return node.to_owned(),
        ["*", _, rsc, ..] | [rsc, ..] => rsc,
        [] => "",
    };
    name.split(':').next().unwrap_or(name).to_owned()
}

/// All names that differences are about.
pub(super) fn names(differences: &[Difference]) -> BTreeSet<&str> {
    differences.iter().map(|it| it.about.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(lines: &[&str]) -> Answer {
        Answer {
            summary: lines.iter().map(|line| (*line).to_owned()).collect(),
            ..Answer::default()
        }
    }

    #[test]
    fn lines_are_taken_from_what_a_run_prints() {
        let text = "Using the original execution date\nTransition Summary:\n  * Move    vip   ( n1 -> n2 )  \n  \
                    * Fence (reboot) n3 'lost'\n\nOther:\n  * Start x\n";
        assert_eq!(
            Answer::summary_of(text),
            ["* Fence (reboot) n3 'lost'", "* Move vip ( n1 -> n2 )"]
        );
        let text = "pcmk__primitive_assign: vip allocation score on n1: 0\nc:0 allocation score on n1: 5\nvip allocation \
                    score on n2: 10\nnothing\n";
        assert_eq!(
            Answer::scores_of(text),
            [
                "vip allocation score on n1: 0",
                "vip allocation score on n2: 10"
            ]
        );
    }

    #[test]
    fn a_difference_is_about_one_thing() {
        let theirs = answer(&[
            "* Fence (reboot) n3 'x'",
            "* Move vip ( n1 -> n2 )",
            "* Start c:0 ( n1 )",
            "* Stop a ( n1 )",
        ]);
        let ours = answer(&[
            "* Fence (reboot) n3 'x'",
            "* Move vip ( n1 -> n4 )",
            "* Start c:1 ( n2 )",
            "* Stop a ( n1 )",
        ]);
        let found = theirs.against(&ours);
        let names: Vec<&str> = found.iter().map(|it| it.about.as_str()).collect();
        assert_eq!(names, ["c", "vip"]);
        assert_eq!(found[1].theirs, ["* Move vip ( n1 -> n2 )"]);
        assert_eq!(found[1].ours, ["* Move vip ( n1 -> n4 )"]);
        assert!(theirs.against(&theirs).is_empty());
    }
}
