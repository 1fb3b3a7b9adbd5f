//! The page for a browser: the same sections, with colours for what is well and what is not. (spec 4 §16)

use super::view::{Block, View};
use crate::cli::show::{self, Entry, NodeWords};

/// What the head of the page says.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) title: Option<String>,
    pub(super) stylesheet: Option<String>,
    /// A page in a file is loaded anew after so many seconds.
    pub(super) refresh_s: Option<u64>,
    /// A web server asked, and wants its header first.
    pub(super) cgi: bool,
}

const STYLE: &str = "\
body { font-family: sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; line-height: 1.4 }
h2 { font-size: 1.2em; border-bottom: 1px solid #bbb; margin-top: 1.5em }
h3 { font-size: 1em; margin: 0 }
.bold { font-weight: bold }
.online, .rsc-ok { color: green }
.offline, .rsc-failed { color: red }
.maint, .standby, .rsc-managed { color: blue }
.health_red { color: red }
.health_yellow { color: GoldenRod }
.rsc-failure-ignored { color: DarkGreen }
.rsc-multiple { color: orange }
.warning { color: red; font-weight: bold }";

/// The whole page.
pub(super) fn page(view: &View<'_>, head: &Head) -> String {
    let mut text = head_text(head);
    for block in view.blocks() {
        match block {
            Block::List(Entry::List(title, entries)) => {
                text.push_str(&format!("<h2>{}</h2>\n", escaped(&title)));
                match title.as_str() {
                    "Cluster Summary" => summary(&mut text, &entries),
                    "Node List" => nodes(&mut text, show::node_words(view.facts, view.wanted)),
                    _ => list(&mut text, &entries),
                }
            }
            Block::List(Entry::Item(line)) => {
                text.push_str(&format!("<p>{}</p>\n", escaped(&line)));
            }
            Block::Notice(lines) => {
                let lines: Vec<String> = lines.iter().map(|line| escaped(line.trim())).collect();
                let lines = lines.join("<br>");
                text.push_str(&format!("<p class=\"warning\">{lines}</p>\n"));
            }
        }
    }
    text.push_str("</body>\n</html>\n");
    text
}

/// What stands before the first section.
fn head_text(head: &Head) -> String {
    let mut text = String::new();
    if head.cgi {
        text.push_str("Content-Type: text/html\n\n");
    }
    let title = head.title.as_deref().unwrap_or("Cluster Status");
    text.push_str(&format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<title>{}</title>\n<meta charset=\"utf-8\">\n",
        escaped(title)
    ));
    if let Some(seconds) = head.refresh_s {
        text.push_str(&format!(
            "<meta http-equiv=\"refresh\" content=\"{seconds}\">\n"
        ));
    }
    text.push_str(&format!("<style>{STYLE}</style>\n"));
    if let Some(sheet) = &head.stylesheet {
        text.push_str(&format!(
            "<link rel=\"stylesheet\" href=\"{}\">\n",
            escaped(sheet)
        ));
    }
    text.push_str("</head>\n<body>\n");
    text
}

/// Names of what is said in bold, and what is wrong in the colour of a warning.
fn summary(text: &mut String, entries: &[Entry]) {
    text.push_str("<ul>\n");
    for entry in entries {
        let Entry::Item(line) = entry else { continue };
        text.push_str("<li>");
        match line.split_once(": ") {
            Some((name, "NONE")) => {
                text.push_str(&format!(
                    "<span class=\"bold\">{}: </span><span class=\"warning\">NONE</span>",
                    escaped(name)
                ));
            }
            Some((name, value)) => {
                let value = escaped(value.trim_start())
                    .replace("WITHOUT", "<span class=\"warning\">WITHOUT</span>");
                text.push_str(&format!(
                    "<span class=\"bold\">{}: </span><span>{value}</span>",
                    escaped(name)
                ));
            }
            None => {
                let mut line = escaped(line);
                for word in ["DISABLED", "BLOCKED"] {
                    let bold = format!("</span><span class=\"bold\">{word}</span><span>");
                    line = line.replace(word, &bold);
                }
                text.push_str(&format!("<span>{line}</span>"));
            }
        }
        text.push_str("</li>\n");
    }
    text.push_str("</ul>\n");
}

/// Every node by itself, its state in the colours that its parts call for.
fn nodes(text: &mut String, nodes: Vec<NodeWords>) {
    text.push_str("<ul>\n");
    for node in nodes {
        let words = node.words.iter().map(|(class, words)| match *class {
            "" => format!("<span>{}</span>", escaped(words)),
            class => format!("<span class=\"{class}\">{}</span>", escaped(words)),
        });
        let (name, words) = (escaped(&node.name), words.collect::<String>());
        match &node.below {
            None => text.push_str(&format!(
                "<li><span class=\"bold\">{name}:</span>{words}</li>\n"
            )),
            Some(below) => {
                text.push_str(&format!(
                    "<li><h3>{name}:</h3>\n<ul>\n<li><span>Status:</span>{words}</li>\n"
                ));
                items(text, std::slice::from_ref(below));
                text.push_str("</ul>\n</li>\n");
            }
        }
    }
    text.push_str("</ul>\n");
}

fn list(text: &mut String, entries: &[Entry]) {
    text.push_str("<ul>\n");
    items(text, entries);
    text.push_str("</ul>\n");
}

fn items(text: &mut String, entries: &[Entry]) {
    for entry in entries {
        match entry {
            Entry::Item(line) => text.push_str(&format!("<li>{}</li>\n", item(line))),
            Entry::List(title, entries) => {
                text.push_str("<li>");
                if !title.is_empty() {
                    text.push_str(&format!("<h3>{}</h3>", item(title)));
                }
                text.push('\n');
                list(text, entries);
                text.push_str("</li>\n");
            }
        }
    }
}

/// A line with the class that its words call for.
fn item(line: &str) -> String {
    match class(line) {
        Some(class) => format!("<span class=\"{class}\">{}</span>", escaped(line)),
        None => escaped(line),
    }
}

fn class(line: &str) -> Option<&'static str> {
    // A resource: its name, its agent, its state, with tabs between.
    if let Some((_, state)) = line.rsplit_once(":\t").filter(|_| line.contains("\t(")) {
        let state = state.trim();
        return Some(
            if state.contains("unmanaged") || state.contains("maintenance") {
                "rsc-managed"
            } else if state.starts_with("FAILED") || state.starts_with("Stopped") {
                "rsc-failed"
            } else if state.contains(" [ ") {
                "rsc-multiple"
            } else if state.contains("failure ignored") {
                "rsc-failure-ignored"
            } else {
                "rsc-ok"
            },
        );
    }
    None
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_the_cib_are_no_markup() {
        let mut text = String::new();
        list(
            &mut text,
            &[Entry::Item("<b>\"x\"&\t(ocf:a:b):\t Stopped".into())],
        );
        assert!(text.contains("&lt;b&gt;&quot;x&quot;&amp;"), "{text}");
        assert!(text.contains("rsc-failed"), "{text}");
        let mut text = String::new();
        let node = NodeWords {
            name: "<n>".into(),
            words: vec![("online", " online".into())],
            below: None,
        };
        nodes(&mut text, vec![node]);
        let line =
            "<li><span class=\"bold\">&lt;n&gt;:</span><span class=\"online\"> online</span></li>";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_line_has_the_colour_of_its_state() {
        assert_eq!(class("r\t(ocf:a:b):\t Started n1"), Some("rsc-ok"));
        assert_eq!(
            class("r\t(ocf:a:b):\t Started [ n1 n2 ]"),
            Some("rsc-multiple")
        );
        assert_eq!(class("Started: [ n1 ]"), None);
    }

    #[test]
    fn what_is_missing_in_the_summary_stands_out() {
        let mut text = String::new();
        let lines = [
            "Current DC: NONE",
            "3 resource instances configured (1 DISABLED)",
        ];
        let lines: Vec<Entry> = lines
            .iter()
            .map(|line| Entry::Item((*line).into()))
            .collect();
        summary(&mut text, &lines);
        assert!(
            text.contains("<span class=\"warning\">NONE</span>"),
            "{text}"
        );
        assert!(
            text.contains("<span class=\"bold\">DISABLED</span>"),
            "{text}"
        );
    }
}
