//! What of the kept transitions is shown: one of them, two compared, what was done with a resource or a node.

use regex::Regex;

use super::{cib::lines_changed, copies, events, explain, history};
use crate::{
    cib::Cib,
    cli::{
        access,
        args::{Explain, Past},
        failure::Failure,
        language::{Document, Secrets},
        saved,
        shell::Shell,
        show,
    },
    clock, graph,
    policy::{Input, schedule},
    rpc::Paths,
    terms::{CrmExit, DateTime},
    xml::Element,
};

/// What a prompt remembers of what is to be shown.
#[derive(Debug, Default)]
pub struct View {
    /// Nothing before this time.
    pub(super) from_s: Option<i64>,
    /// Nothing after this time.
    pub(super) to_s: Option<i64>,
    /// Nothing that fits one of these.
    pub(super) without: Vec<Regex>,
    /// So many actions on each transition's line.
    pub(super) deeds: Option<usize>,
}

impl View {
    /// Whether a transition of this time is shown.
    pub(super) fn shows_time(&self, time_s: i64) -> bool {
        self.from_s.is_none_or(|from_s| time_s >= from_s)
            && self.to_s.is_none_or(|to_s| time_s <= to_s)
    }

    /// Whether something that was done is shown.
    pub(super) fn shows(&self, deed: &str) -> bool {
        !self.without.iter().any(|pattern| pattern.is_match(deed))
    }
}

/// Run one of them.
pub(crate) fn run(shell: &mut Shell, past: Past) -> Result<(), Failure> {
    match past {
        Past::Transitions => history::list(shell, usize::MAX, false),
        Past::Latest => history::list(shell, 1, false),
        Past::Info => info(shell),
        Past::Transition { words } => transition(shell, &words),
        Past::Graph { input, file } => {
            let kept = read(&one(input)?)?;
            picture(shell, &kept.root, kept.time_s, Form::Svg, file.as_deref())
        }
        Past::Show { input, what } => {
            let cib = cib_of(shell, &input)?;
            if what == "status" {
                let facts = super::facts_of(&cib);
                let wanted = show::Wanted {
                    inactive: true,
                    ..show::Wanted::default()
                };
                let mut page = show::Page::new();
                for entry in show::status(&facts, &wanted) {
                    page.space();
                    page.entry(0, &entry);
                }
                return shell.say(page.text());
            }
            let configuration = cib.configuration().cloned();
            let configuration = configuration.unwrap_or_else(|| Element::new("configuration"));
            let masked = Secrets::default().masked(&configuration);
            shell.say(&Document::new(masked).show(|_, _| true))
        }
        Past::Diff { from, to } => {
            let (from, to) = (cib_of(shell, &from)?, cib_of(shell, &to)?);
            let empty = Element::new("configuration");
            let old = from.configuration().unwrap_or(&empty);
            let new = to.configuration().unwrap_or(&empty);
            shell.say(&lines_changed(old, new))
        }
        Past::Peinputs { inputs } => files(shell, &inputs),
        Past::Resource { ids } => history::about(shell, &ids),
        Past::Node { names } => history::about(shell, &names),
        Past::Limit { from, to } => {
            let time = |text: Option<String>| text.map(|text| time_s(&text)).transpose();
            let (from_s, to_s) = (time(from)?, time(to)?);
            prompted(shell)?;
            (shell.past.from_s, shell.past.to_s) = (from_s, to_s);
            Ok(())
        }
        Past::Exclude { pattern } => exclude(shell, pattern.as_deref()),
        Past::Detail { count } => {
            prompted(shell)?;
            shell.past.deeds = Some(count);
            Ok(())
        }
        Past::Log { words, last, json } => {
            let asked = events::Asked {
                words,
                last,
                json,
                to_s: None,
            };
            events::run(shell, &asked)
        }
        Past::Refresh { words } => super::elsewhere::answer(shell, "history refresh", &words),
    }
}

/// One transition, in the crm shell's words.
fn transition(shell: &mut Shell, words: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (what, rest) = match words.as_slice() {
        [what @ ("log" | "save" | "tags" | "showdot"), rest @ ..] => (*what, rest),
        // What crmsh shows of a transition besides its actions is in the same answer here.
        rest => ("", rest),
    };
    let input = one(rest.first().map(|word| (*word).to_owned()))?;
    match (what, rest) {
        ("save", [] | [_] | [_, _]) => copies::import(shell, &input, rest.get(1).copied()),
        ("log" | "tags", [] | [_]) => {
            let asked = events::Asked {
                to_s: next(&input),
                words: vec![input],
                last: usize::MAX,
                json: false,
            };
            match what {
                "log" => events::run(shell, &asked),
                _ => events::tags(shell, &asked),
            }
        }
        ("showdot", [] | [_]) => {
            let kept = read(&input)?;
            picture(shell, &kept.root, kept.time_s, Form::Dot, None)
        }
        ("", [] | [_]) => explain::run(
            shell,
            &Explain {
                what: Vec::new(),
                node: None,
                transition: Some(input),
                json: false,
            },
        ),
        (_, [.., more]) => Err(Failure::usage(format!("{more:?} is too much"))
            .cure("crm history transition [log|tags|showdot|save] [NUMBER [NAME]]")),
        (_, []) => Ok(()),
    }
}

/// When the transition after this one began.
fn next(input: &str) -> Option<i64> {
    let data = &Paths::from_env().data;
    let name = saved::meant(data, input)?;
    let names = history::names().ok()?;
    let at = names.iter().position(|kept| *kept == name)?;
    let next = saved::read(data, *names.get(at + 1)?).ok()?;
    next.cib.get("execution-date")?.parse().ok()
}

/// The input that is meant; the newest where none is named.
fn one(input: Option<String>) -> Result<String, Failure> {
    if let Some(input) = input {
        return Ok(input);
    }
    let names = history::names()?;
    let newest = names.last().map(ToString::to_string);
    newest.ok_or_else(history::none_kept)
}

/// An input that was kept, or any CIB in a file.
struct Kept {
    root: Element,
    time_s: i64,
}

fn read(input: &str) -> Result<Kept, Failure> {
    let root = explain::past_cib(&Paths::from_env().data, input)?.into_root();
    let time = root
        .get("execution-date")
        .and_then(|text| text.parse().ok());
    Ok(Kept {
        time_s: time.unwrap_or_else(clock::wall_s),
        root,
    })
}

fn cib_of(shell: &mut Shell, input: &str) -> Result<Cib, Failure> {
    match input {
        "live" | "now" => shell.cib(),
        input => read(input).map(|kept| Cib::new(kept.root)),
    }
}

/// How a transition is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As a picture.
    Svg,
    /// As Graphviz reads it.
    Dot,
}

impl Form {
    /// The crm shell's words: what draws it, the file, the form of the file.
    pub(super) fn of(words: &[String]) -> Result<(Self, Option<&str>), Failure> {
        let (dot, rest) = match words.split_first() {
            Some((first, rest)) if first == "dot" => (true, rest),
            _ => (false, words),
        };
        let file = rest.first().map(String::as_str);
        match rest.get(1).map(String::as_str) {
            None if dot => Ok((Form::Dot, file)),
            None | Some("svg") => Ok((Form::Svg, file)),
            Some("dot" | "gv") => Ok((Form::Dot, file)),
            Some(other) => Err(
                Failure::usage(format!("a plan can't be drawn as {other:?}")).cure(format!(
                    "svg or dot; Graphviz makes more of the latter: dot -T{other}"
                )),
            ),
        }
    }
}

/// The transition that begins with this CIB, drawn.
pub(super) fn picture(
    shell: &mut Shell,
    root: &Element,
    now_s: i64,
    form: Form,
    file: Option<&str>,
) -> Result<(), Failure> {
    let input = Input {
        causes: false,
        ..Input::at(now_s)
    };
    let graph = schedule(root, &input).graph;
    let text = match form {
        Form::Svg => graph::svg(&graph),
        Form::Dot => graph::Drawing::of(&graph).to_string(),
    };
    match file {
        Some(file) => access::store(file.as_ref(), &text),
        None => shell.say(&text),
    }
}

fn info(shell: &mut Shell) -> Result<(), Failure> {
    let names = history::names()?;
    let data = &Paths::from_env().data;
    let time = |name: Option<&saved::Name>| {
        let kept = saved::read(data, *name?).ok()?;
        let time_s: i64 = kept.cib.get("execution-date")?.parse().ok()?;
        Some(DateTime::from_epoch(time_s).to_string())
    };
    let unknown = || "an unknown time".to_owned();
    let (first, last) = (time(names.first()), time(names.last()));
    shell.say(&format!(
        "Transitions: {} from {} to {}\nKept in: {}",
        names.len(),
        first.unwrap_or_else(unknown),
        last.unwrap_or_else(unknown),
        saved::folder(data).display()
    ))
}

fn files(shell: &mut Shell, inputs: &[String]) -> Result<(), Failure> {
    let data = &Paths::from_env().data;
    let names = history::names()?;
    let wanted: Vec<saved::Name> = inputs
        .iter()
        .map(|input| {
            let name = saved::meant(data, input).filter(|name| names.contains(name));
            name.ok_or_else(|| {
                Failure::new(CrmExit::NO_SUCH, format!("no transition {input:?} is kept"))
                    .cure("crm history transitions lists them")
            })
        })
        .collect::<Result<_, _>>()?;
    let shown = if wanted.is_empty() { &names } else { &wanted };
    let lines: Vec<String> = shown
        .iter()
        .map(|name| saved::file(data, *name).display().to_string())
        .collect();
    shell.say(&lines.join("\n"))
}

/// What lasts as long as the shell is of no use where that ends at once.
fn prompted(shell: &Shell) -> Result<(), Failure> {
    if shell.deferred {
        return Ok(());
    }
    Err(
        Failure::usage("this lasts as long as the shell, and that ends now")
            .cure("say it at a prompt: crm, then history"),
    )
}

fn time_s(text: &str) -> Result<i64, Failure> {
    let now = DateTime::from_epoch(clock::wall_s());
    let date = DateTime::parse(text, now);
    date.map(DateTime::epoch_s).map_err(|_| {
        Failure::usage(format!("{text:?} is no point of time"))
            .cure("write for example \"2026-11-27 10:00:00Z\"")
    })
}

fn exclude(shell: &mut Shell, pattern: Option<&str>) -> Result<(), Failure> {
    let Some(pattern) = pattern.filter(|word| *word != "show") else {
        let lines: Vec<String> = shell.past.without.iter().map(ToString::to_string).collect();
        return match lines.as_slice() {
            [] => shell.say("nothing is left out"),
            lines => shell.say(&lines.join("\n")),
        };
    };
    prompted(shell)?;
    if pattern == "clear" {
        shell.past.without.clear();
        return Ok(());
    }
    let pattern = Regex::new(pattern).map_err(|error| {
        Failure::usage(format!("{pattern:?} is no regular expression: {error}"))
    })?;
    shell.past.without.push(pattern);
    Ok(())
}

/// When a transition began.
pub(super) fn time_of(input: &str) -> Result<i64, Failure> {
    read(input).map(|kept| kept.time_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_is_asked_for_as_in_the_crm_shell() {
        let of = |text: &str| {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            Form::of(&words).map(|(form, file)| (form, file.map(str::to_owned)))
        };
        let file = |name: &str| Some(name.to_owned());
        assert_eq!(of(""), Ok((Form::Svg, None)));
        assert_eq!(of("plan.svg"), Ok((Form::Svg, file("plan.svg"))));
        assert_eq!(of("dot"), Ok((Form::Dot, None)));
        assert_eq!(of("dot p.dot dot"), Ok((Form::Dot, file("p.dot"))));
        assert_eq!(of("dot p.svg svg"), Ok((Form::Svg, file("p.svg"))));
        let cure = of("dot p.png png").expect_err("no picture").to_string();
        assert!(cure.contains("png"), "{cure}");
    }

    #[test]
    fn a_view_leaves_out_times_and_words() {
        let view = View {
            from_s: Some(10),
            to_s: Some(20),
            without: vec![Regex::new("^Start").expect("it is one")],
            deeds: None,
        };
        assert!(view.shows_time(10) && view.shows_time(20));
        assert!(!view.shows_time(9) && !view.shows_time(21));
        assert!(view.shows("Stop a") && !view.shows("Start a"));
    }
}
