//! One report from the parts of several nodes: a folder for each, and on top what somebody reads first.

use super::{collect::Collected, others::Part, period::Period};

/// What a node says of its own part.
const SUMMARY: &str = "report.summary";
/// What went wrong according to its logs.
const ANALYSIS: &str = "analysis.txt";

/// Puts the parts together. What is missing is named on top.
pub(super) fn of(
    own: Option<Collected>,
    parts: &[(String, Part)],
    here: &str,
    period: &Period,
) -> Collected {
    let mut files = Vec::new();
    for (name, content) in own.into_iter().flat_map(|own| own.files) {
        match name.as_str() {
            SUMMARY | ANALYSIS => files.push((format!("{here}/{name}"), content)),
            _ => files.push((name, content)),
        }
    }
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    if !files.is_empty() {
        there.push(here);
    }
    for (node, part) in parts {
        match part {
            Ok(part) => {
                there.push(node);
                files.extend(part.iter().cloned());
            }
            Err(why) => missing.push(format!("{node}: {why}")),
        }
    }
    let analysis = files
        .iter()
        .filter_map(|(name, content)| Some((name.strip_suffix(&format!("/{ANALYSIS}"))?, content)))
        .flat_map(|(node, content)| {
            let text = String::from_utf8_lossy(content).into_owned();
            let lines: Vec<String> = text.lines().map(|it| format!("{node}/{it}\n")).collect();
            lines
        })
        .collect::<String>();
    let mut summary = format!(
        "Report of {}, put together on {here}, by systole {}\n{}",
        there.join(", "),
        env!("CARGO_PKG_VERSION"),
        period.text(),
    );
    summary.push_str(&format!(
        "\nWhat each of them could not add stands in its {SUMMARY}.\n"
    ));
    if !missing.is_empty() {
        summary.push_str("\nNot in it:\n");
        for missing in &missing {
            summary.push_str(&format!("  {missing}\n"));
        }
    }
    files.push((ANALYSIS.to_owned(), analysis.into_bytes()));
    files.push((SUMMARY.to_owned(), summary.into_bytes()));
    Collected { files }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_missing_is_named_on_top() {
        let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
        let own = Collected {
            files: vec![
                file("n1/cib.xml", "<cib/>"),
                file(ANALYSIS, "journal.log: ERROR a\n"),
            ],
        };
        let second = vec![file("n2/analysis.txt", "journal.log: ERROR b\n")];
        let parts = [
            ("n2".to_owned(), Ok(second)),
            ("n3".to_owned(), Err("no answer".to_owned())),
        ];
        let period = Period { from_s: 0, to_s: 1 };
        let whole = of(Some(own), &parts, "n1", &period);
        let text = |name: &str| {
            let found = whole.files.iter().find(|(known, _)| known == name);
            String::from_utf8_lossy(&found.expect("it is there").1).into_owned()
        };
        assert_eq!(text("n1/cib.xml"), "<cib/>");
        let errors = "n1/journal.log: ERROR a\nn2/journal.log: ERROR b\n";
        assert_eq!(text(ANALYSIS), errors);
        let summary = text(SUMMARY);
        assert!(summary.contains("Report of n1, n2,"), "{summary}");
        assert!(summary.contains("  n3: no answer"), "{summary}");
    }
}
