//! What may come next on a line: commands, names of what is configured, agents and what they take, options of the cluster.

use clap::CommandFactory;
use rustyline::{
    Context, Helper,
    completion::{Completer, Pair},
    highlight::Highlighter,
    hint::Hinter,
    validate::{ValidationContext, ValidationResult, Validator},
};

use crate::{
    cib::config::options::OPTIONS,
    xml::{self, Element, Limits},
};

use super::{args::Line, entry, prompt::EVERYWHERE, shell::Shell, tools};

/// What begins a part of a resource.
const PARTS: [&str; 4] = ["params", "meta", "op", "utilization"];
/// Operations of resources.
const OPERATIONS: [&str; 6] = ["monitor", "start", "stop", "promote", "demote", "notify"];
/// What is said of an operation.
const OF_OPERATIONS: [&str; 5] = ["interval=", "timeout=", "on-fail=", "role=", "enabled="];

/// Ids and names that can be completed.
pub(super) fn names(shell: &mut Shell) -> Vec<String> {
    let Ok(cib) = shell.cib() else {
        return Vec::new();
    };
    let configuration = cib.configuration().into_iter().flat_map(Element::children);
    let mut found: Vec<String> = configuration
        .filter(|section| {
            matches!(
                section.tag(),
                "resources" | "nodes" | "constraints" | "tags"
            )
        })
        .flat_map(Element::descendants)
        .filter(|element| {
            matches!(
                element.tag(),
                "primitive" | "group" | "clone" | "master" | "bundle" | "template" | "node" | "tag"
            ) || element.tag().starts_with("rsc_")
        })
        .filter_map(|element| element.get("uname").or_else(|| element.id()))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

/// What may follow these words on a command line.
pub(crate) fn candidates(shell: &mut Shell, before: &[&str]) -> Vec<String> {
    // Options in between are not among the words that lead to a command.
    let before: Vec<&str> = before
        .iter()
        .copied()
        .filter(|word| !word.starts_with('-'))
        .collect();
    let words = Words::new(None, names(shell));
    let mut found = words.candidates(&before, "");
    found.retain(|word| !EVERYWHERE.contains(&word.as_str()));
    found
}

/// Completion: commands of the level first, then what belongs to the place in the line.
pub(super) struct Words {
    pub(super) level: Option<&'static str>,
    pub(super) names: Vec<String>,
}

impl Words {
    /// At a level, with names of what is configured.
    pub(super) fn new(level: Option<&'static str>, names: Vec<String>) -> Self {
        Self { level, names }
    }

    fn candidates(&self, before: &[&str], begun: &str) -> Vec<String> {
        let mut command = Line::command();
        command.build();
        let words: Vec<&str> = self
            .level
            .into_iter()
            .chain(before.iter().copied())
            .collect();
        let mut after = None;
        for (at, word) in words.iter().enumerate() {
            if after.is_some() {
                break;
            }
            match command.find_subcommand(word) {
                Some(found) => command = found.clone(),
                None => after = Some(at),
            }
        }
        let mut found: Vec<String> = Vec::new();
        let subcommands: Vec<String> = command
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
            .map(|command| command.get_name().to_owned())
            .collect();
        let given = &words[after.unwrap_or(words.len())..];
        if given.is_empty() {
            found.extend(subcommands.iter().cloned());
        }
        if before.is_empty() {
            found.extend(EVERYWHERE.iter().map(|word| (*word).to_owned()));
        }
        if subcommands.is_empty() {
            let of_place = of_place(command.get_name(), given, begun);
            found.extend(of_place.unwrap_or_else(|| self.names.clone()));
        }
        found
    }
}

/// What belongs to a place in a statement; none where it is names of what is configured.
fn of_place(statement: &str, given: &[&str], begun: &str) -> Option<Vec<String>> {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let parts = || owned(&PARTS);
    match statement {
        "property" | "get_property" => {
            let end = if statement == "property" { "=" } else { "" };
            let options = OPTIONS.iter();
            Some(options.map(|it| format!("{}{end}", it.name)).collect())
        }
        "rsc_defaults" => Some(metas()),
        "op_defaults" => Some(owned(&OF_OPERATIONS)),
        "primitive" | "rsc_template" => match given {
            [] => Some(Vec::new()),
            [_] => Some(agents(begun)),
            [_, agent, rest @ ..] => {
                let mut found = match rest.iter().rev().find(|word| PARTS.contains(word)) {
                    Some(&"params") => params(agent),
                    Some(&"meta") => metas(),
                    Some(&"op") if rest.last() == Some(&"op") => return Some(owned(&OPERATIONS)),
                    Some(&"op") => owned(&OF_OPERATIONS),
                    _ => Vec::new(),
                };
                let is_given = |name: &String| {
                    name.ends_with('=') && rest.iter().any(|word| word.starts_with(name.as_str()))
                };
                found.retain(|name| rest.contains(&"op") || !is_given(name));
                found.extend(parts());
                Some(found)
            }
        },
        "group" | "clone" | "ms" => match given.iter().rev().find(|word| PARTS.contains(word)) {
            Some(&"meta") => Some(metas()),
            _ => None,
        },
        "info" | "validate" | "list" => Some(agents(begun)),
        _ => None,
    }
}

/// What a tool prints, line by line; nothing when it fails: nobody asked for its words.
fn lines(tool: &str, words: &[&str]) -> Vec<String> {
    let mut shell = Shell::new(entry::reach(None));
    shell.errors = Box::new(std::io::sink());
    let text = tools::captured(&mut shell, tool, words).unwrap_or_default();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// Agents by their full names, once it is said of which kind; before that, the kinds.
fn agents(begun: &str) -> Vec<String> {
    let of = |kind: &str| -> Vec<String> {
        let types = lines("crm_resource", &["--list-agents", kind]);
        types.into_iter().map(|it| format!("{kind}:{it}")).collect()
    };
    match begun.split(':').collect::<Vec<_>>().as_slice() {
        ["ocf", provider, _] => of(&format!("ocf:{provider}")),
        ["ocf", _] => {
            let providers = lines("crm_resource", &["--list-ocf-providers"]);
            providers.iter().map(|it| format!("ocf:{it}:")).collect()
        }
        [class @ ("stonith" | "systemd" | "lsb" | "service"), _] => of(class),
        _ => ["ocf:", "stonith:", "systemd:", "lsb:"]
            .map(str::to_owned)
            .into(),
    }
}

/// Parameters that an agent takes.
fn params(agent: &str) -> Vec<String> {
    let text = lines("crm_resource", &["--show-metadata", agent]).join("\n");
    let Ok(root) = xml::parse(text.as_bytes(), &Limits::METADATA) else {
        return Vec::new();
    };
    let params = root.child("parameters").into_iter();
    let params = params.flat_map(|it| it.children_named("parameter"));
    params
        .filter_map(|param| Some(format!("{}=", param.get("name")?)))
        .collect()
}

/// Meta attributes of resources.
fn metas() -> Vec<String> {
    let names = tools::resource::meta_names();
    names.map(|name| format!("{name}=")).collect()
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let start = line[..at]
            .rfind(char::is_whitespace)
            .map_or(0, |space| space + 1);
        let before: Vec<&str> = line[..start].split_whitespace().collect();
        let begun = &line[start..at];
        let pairs = self
            .candidates(&before, begun)
            .into_iter()
            .filter(|word| word.starts_with(begun));
        Ok((
            start,
            pairs
                .map(|word| {
                    // Behind these the word goes on.
                    let end = if word.ends_with(['=', ':']) { "" } else { " " };
                    Pair {
                        replacement: format!("{word}{end}"),
                        display: word,
                    }
                })
                .collect(),
        ))
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}

impl Validator for Words {
    /// A backslash at the end continues the line.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if context.input().trim_end().ends_with('\\') {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

impl Helper for Words {}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(before: &str, begun: &str) -> Vec<String> {
        let words = Words::new(Some("configure"), vec!["vip".to_owned()]);
        let before: Vec<&str> = before.split_whitespace().collect();
        let mut found = words.candidates(&before, begun);
        found.retain(|word| word.starts_with(begun));
        found
    }

    #[test]
    fn a_place_in_a_statement_has_its_own_words() {
        assert_eq!(after("", "primi"), ["primitive"]);
        assert_eq!(after("primitive", ""), [""; 0]);
        assert_eq!(after("primitive d", "o"), ["ocf:"]);
        assert_eq!(after("primitive d ocf:a:b", "me"), ["meta"]);
        assert!(after("primitive d ocf:a:b op", "").contains(&"monitor".to_owned()));
        let op = after("primitive d ocf:a:b op monitor", "ti");
        assert_eq!(op, ["timeout="]);
        let meta = after("primitive d ocf:a:b meta", "target");
        assert_eq!(meta, ["target-role="]);
        let given = after("primitive d ocf:a:b meta target-role=Stopped", "target");
        assert_eq!(given, [""; 0]);
        assert_eq!(after("property", "no-quorum"), ["no-quorum-policy="]);
        assert_eq!(after("delete", "v"), ["vip"]);
        assert_eq!(after("location l", "v"), ["vip"]);
    }
}
