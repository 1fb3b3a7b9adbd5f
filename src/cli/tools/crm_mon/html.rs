//! The page for a browser: the same sections, with colours for what is well and what is not. (spec 4 §16)

use super::view::Block;
use crate::cli::show::Entry;

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
pub(super) fn page(blocks: &[Block], head: &Head) -> String {
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
    for block in blocks {
        match block {
            Block::List(Entry::List(title, entries)) => {
                text.push_str(&format!("<h2>{}</h2>\n", escaped(title)));
                list(&mut text, entries);
            }
            Block::List(Entry::Item(line)) => {
                text.push_str(&format!("<p>{}</p>\n", escaped(line)));
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

fn list(text: &mut String, entries: &[Entry]) {
    text.push_str("<ul>\n");
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
    text.push_str("</ul>\n");
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
    let (name, state) = line.split_once(": ")?;
    let state = state.trim_end_matches(':');
    match name {
        "Online" | "RemoteOnline" | "GuestOnline" | "Started" | "Promoted" | "Unpromoted" => {
            Some("online")
        }
        "OFFLINE" | "RemoteOFFLINE" => Some("offline"),
        _ if !["Node ", "GuestNode ", "RemoteNode "]
            .iter()
            .any(|kind| name.starts_with(kind)) =>
        {
            None
        }
        _ if state.contains("health is RED") => Some("health_red"),
        _ if state.contains("health is YELLOW") => Some("health_yellow"),
        _ if state.starts_with("UNCLEAN") => Some("warning"),
        _ if state.starts_with("online") => Some("online"),
        _ if state.starts_with("OFFLINE") => Some("offline"),
        _ if state.starts_with("standby") => Some("standby"),
        _ if state.starts_with("maintenance") => Some("maint"),
        _ => None,
    }
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
        let items = vec![Entry::Item("<b>\"x\"&\t(ocf:a:b):\t Stopped".into())];
        let blocks = [Block::List(Entry::List("Active Resources".into(), items))];
        let text = page(&blocks, &Head::default());
        assert!(text.contains("<h2>Active Resources</h2>"), "{text}");
        assert!(text.contains("&lt;b&gt;&quot;x&quot;&amp;"), "{text}");
        assert!(text.contains("rsc-failed"), "{text}");
    }

    #[test]
    fn a_line_has_the_colour_of_its_state() {
        assert_eq!(class("r\t(ocf:a:b):\t Started n1"), Some("rsc-ok"));
        assert_eq!(
            class("r\t(ocf:a:b):\t Started [ n1 n2 ]"),
            Some("rsc-multiple")
        );
        assert_eq!(class("Node n1: UNCLEAN (offline)"), Some("warning"));
        assert_eq!(class("Online: [ n1 ]"), Some("online"));
        assert_eq!(class("5 nodes configured"), None);
    }
}
