//! The options of `simulate`, which are those of `crm_simulate`. (spec 4 §1.2)

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use thiserror::Error;

use crate::simulate::Injections;

/// Where the CIB comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Source {
    /// Standard input.
    #[default]
    Pipe,
    /// A file, perhaps compressed.
    File(PathBuf),
    /// The running cluster.
    Live,
}

/// How results are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Text,
    Xml,
    Nothing,
}

/// Everything asked for.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of a command line"
)]
pub(super) struct Options {
    pub(super) source: Source,
    pub(super) run: bool,
    pub(super) simulate: bool,
    pub(super) in_place: bool,
    pub(super) scores: bool,
    pub(super) utilization: bool,
    pub(super) attributes: bool,
    pub(super) failcounts: bool,
    pub(super) quiet: bool,
    pub(super) verbose: u32,
    pub(super) date: Option<String>,
    pub(super) injections: Injections,
    pub(super) op_fail: Vec<String>,
    pub(super) save_graph: Option<PathBuf>,
    pub(super) save_dot: Option<PathBuf>,
    pub(super) save_svg: Option<PathBuf>,
    pub(super) all_actions: bool,
    pub(super) save_input: Option<PathBuf>,
    pub(super) save_output: Option<PathBuf>,
    pub(super) profile: Option<PathBuf>,
    pub(super) repeat: u32,
    pub(super) format: Format,
    pub(super) output_to: Option<PathBuf>,
    pub(super) help: bool,
    pub(super) version: bool,
}

/// Words that are no options of ours.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum UsageError {
    #[error("Unknown option {0}")]
    Unknown(String),
    #[error("Missing argument for {0}")]
    NoValue(String),
    #[error("Option {0} takes no argument")]
    Value(String),
    #[error("{value}: not a valid value for {option}")]
    Bad { option: String, value: String },
    #[error("Unexpected argument {0}: options start with `-`, and the input is named with -x")]
    Stray(String),
}

/// Long names, their letters, and whether a value follows.
const LONG: [(&str, char, bool); 38] = [
    ("xml-file", 'x', true),
    ("xml-pipe", 'p', false),
    ("live-check", 'L', false),
    ("run", 'R', false),
    ("simulate", 'S', false),
    ("in-place", 'X', false),
    ("show-scores", 's', false),
    ("show-utilization", 'U', false),
    ("show-attrs", 'A', false),
    ("show-failcounts", 'c', false),
    ("pending", 'j', false),
    ("quiet", 'Q', false),
    ("verbose", 'V', false),
    ("set-datetime", 't', true),
    ("quorum", 'q', true),
    ("watchdog", 'w', true),
    ("node-up", 'u', true),
    ("node-down", 'd', true),
    ("node-fail", 'f', true),
    ("op-inject", 'i', true),
    ("op-fail", 'F', true),
    ("ticket-grant", 'g', true),
    ("ticket-revoke", 'r', true),
    ("ticket-standby", 'b', true),
    ("ticket-activate", 'e', true),
    ("save-graph", 'G', true),
    ("save-dotfile", 'D', true),
    ("all-actions", 'a', false),
    ("save-input", 'I', true),
    ("save-output", 'O', true),
    ("profile", 'P', true),
    ("repeat", 'N', true),
    ("help", 'h', false),
    ("help-all", 'h', false),
    ("version", '$', false),
    ("output-as", '\u{1}', true),
    ("output-to", '\u{2}', true),
    ("save-svg", '\u{3}', true),
];

impl Options {
    /// Whether the policy has to be asked at all.
    pub(super) fn process(&self) -> bool {
        self.run
            || self.simulate
            || self.scores
            || self.utilization
            || self.save_graph.is_some()
            || self.save_dot.is_some()
            || self.save_svg.is_some()
    }

    /// Read the words of a command line.
    pub(super) fn parse(words: &[OsString]) -> Result<Self, UsageError> {
        let mut options = Options {
            repeat: 1,
            ..Options::default()
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy();
            if let Some(name) = text.strip_prefix("--") {
                let (name, glued) = match name.split_once('=') {
                    Some((name, value)) => (name, Some(OsString::from(value))),
                    None => (name, None),
                };
                let unknown = || UsageError::Unknown(format!("--{name}"));
                let (_, letter, takes) = LONG
                    .iter()
                    .find(|(long, ..)| *long == name)
                    .ok_or_else(unknown)?;
                let value = match (takes, glued) {
                    (true, Some(value)) => Some(value),
                    (true, None) => {
                        let none = || UsageError::NoValue(format!("--{name}"));
                        Some(words.next().ok_or_else(none)?.clone())
                    }
                    (false, None) => None,
                    (false, Some(_)) => return Err(UsageError::Value(format!("--{name}"))),
                };
                options.set(*letter, value, &text)?;
            } else if let Some(letters) = text.strip_prefix('-').filter(|rest| !rest.is_empty()) {
                let mut rest = letters;
                while let Some(letter) = rest.chars().next() {
                    rest = &rest[letter.len_utf8()..];
                    let name = format!("-{letter}");
                    let known = LONG.iter().find(|(_, short, _)| *short == letter);
                    let (.., takes) = known.ok_or_else(|| UsageError::Unknown(name.clone()))?;
                    let value = match (takes, rest.is_empty()) {
                        (false, _) => None,
                        (true, false) => Some(OsString::from(std::mem::take(&mut rest))),
                        (true, true) => {
                            let none = || UsageError::NoValue(name.clone());
                            Some(words.next().ok_or_else(none)?.clone())
                        }
                    };
                    options.set(letter, value, &name)?;
                }
            } else {
                return Err(UsageError::Stray(text.into_owned()));
            }
        }
        Ok(options)
    }

    fn set(&mut self, letter: char, value: Option<OsString>, name: &str) -> Result<(), UsageError> {
        let value = value.unwrap_or_default();
        let text = || value.to_string_lossy().into_owned();
        let path = || Some(PathBuf::from(&value));
        let bad = || UsageError::Bad {
            option: name.to_owned(),
            value: text(),
        };
        let injections = &mut self.injections;
        match letter {
            'x' if value == OsStr::new("-") => self.source = Source::Pipe,
            'x' => self.source = Source::File(PathBuf::from(&value)),
            'p' => self.source = Source::Pipe,
            'L' => self.source = Source::Live,
            'R' => self.run = true,
            'S' => self.simulate = true,
            'X' => (self.simulate, self.in_place) = (true, true),
            's' => self.scores = true,
            'U' => self.utilization = true,
            'A' => self.attributes = true,
            'c' => self.failcounts = true,
            'j' => {}
            'Q' => self.quiet = true,
            'V' => self.verbose += 1,
            't' => self.date = Some(text()),
            'q' => injections.quorum = Some(text()),
            'w' => injections.watchdog = Some(text()),
            'u' => injections.up.push(text()),
            'd' => injections.down.push(text()),
            'f' => injections.fail.push(text()),
            'i' => injections.ops.push(text()),
            'F' => {
                self.op_fail.push(text());
                self.simulate = true;
            }
            'g' => injections.grant.push(text()),
            'r' => injections.revoke.push(text()),
            'b' => injections.standby.push(text()),
            'e' => injections.activate.push(text()),
            'G' => self.save_graph = path(),
            'D' => self.save_dot = path(),
            'a' => self.all_actions = true,
            'I' => self.save_input = path(),
            'O' => self.save_output = path(),
            'P' => self.profile = path(),
            'N' => self.repeat = text().parse().map_err(|_| bad())?,
            'h' => self.help = true,
            '$' => self.version = true,
            '\u{1}' => {
                self.format = match &*text() {
                    "text" => Format::Text,
                    "xml" => Format::Xml,
                    "none" => Format::Nothing,
                    _ => return Err(bad()),
                }
            }
            '\u{2}' => self.output_to = path().filter(|path| path.as_os_str() != "-"),
            '\u{3}' => self.save_svg = path(),
            _ => return Err(UsageError::Unknown(name.to_owned())),
        }
        Ok(())
    }
}

/// What `--help` says.
pub(super) const HELP: &str = "\
Usage:
  systole simulate [OPTION...]

Show what the cluster would do, and what would become of it, without touching anything.

Input:
  -x, --xml-file=FILE        Read the CIB from FILE (also .bz2; `-` is standard input)
  -p, --xml-pipe             Read the CIB from standard input
  -L, --live-check           Ask the running cluster

What to do:
  -R, --run                  Show what the cluster would do
  -S, --simulate             ... and what would become of it
  -X, --in-place             ... and write that back to the input file
  -s, --show-scores          Show placement scores
  -U, --show-utilization     Show utilization
  -A, --show-attrs           Show node attributes
  -c, --show-failcounts      Show failed operations
  -Q, --quiet                Show scores and utilization only
  -j, --pending              Show what is under way (always on)
  -V, --verbose              Show action numbers in Graphviz drawings
  -P, --profile=DIR          Time all files *.xml in DIR
  -N, --repeat=N             ... each N times

What to try first:
  -u, --node-up=NODE         A node comes online
  -d, --node-down=NODE       A node is taken offline
  -f, --node-fail=NODE       A node is lost
  -i, --op-inject=SPEC       An operation had this result
  -F, --op-fail=SPEC         An operation of the simulation fails
  -t, --set-datetime=DATE    The time that rules see (ISO 8601)
  -q, --quorum=BOOL          Whether there is quorum (with another of these)
  -w, --watchdog=BOOL        Whether there is a watchdog
  -g, --ticket-grant=TICKET  -r, --ticket-revoke=TICKET
  -b, --ticket-standby=TICKET  -e, --ticket-activate=TICKET
                             A ticket changes
  SPEC is RESOURCE_TASK_INTERVAL@NODE=RC, as in db_monitor_10000@n1=7

What to save:
  -G, --save-graph=FILE      The transition graph (XML)
  -D, --save-dotfile=FILE    The transition graph (Graphviz)
      --save-svg=FILE        The transition graph (a picture: nodes are lanes, time goes right)
  -a, --all-actions          In a Graphviz drawing, also what is not needed
  -I, --save-input=FILE      The CIB as the policy saw it
  -O, --save-output=FILE     The CIB as it would become

      --output-as=FORMAT     text, xml or none
      --output-to=FILE       Write there instead of standard output

Examples:
  systole simulate -LS                                  what the cluster is about to do
  systole simulate -S -x cib.xml -f node1               ... if node1 were lost
  systole simulate -R -x pe-input-7.bz2 --save-svg=7.svg   what was done then
  systole simulate -S -x cib.xml -i vip_monitor_10000@node1=7
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, UsageError> {
        Options::parse(
            &text
                .split_whitespace()
                .map(OsString::from)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn letters_combine_and_values_may_be_glued() {
        let options = parse("-x in.xml -G out -sSQ -dn1 -d n2 --node-up=n3 -t 2005-020T12:30");
        let options = options.expect("good options");
        assert_eq!(options.source, Source::File("in.xml".into()));
        assert!(options.scores && options.simulate && options.quiet && !options.in_place);
        assert_eq!(options.injections.down, ["n1", "n2"]);
        assert_eq!(options.injections.up, ["n3"]);
        assert_eq!(options.date.as_deref(), Some("2005-020T12:30"));
    }

    #[test]
    fn wrong_words_are_named() {
        assert_eq!(
            parse("-Z").expect_err("wrong"),
            UsageError::Unknown("-Z".into())
        );
        assert_eq!(
            parse("--save-graph").expect_err("wrong").to_string(),
            "Missing argument for --save-graph"
        );
        assert!(parse("file.xml").is_err());
    }
}
