//! `crm_diff`: the difference of two CIBs as a patch, and a patch applied to one. // spec cluster §3

use std::io::Read;

use crate::{
    cib::{Change, Patch, Version, patch},
    cli::{failure::Failure, show::xml::text_element},
    terms::CrmExit,
    xml::{Element, Limits, Node, parse, write},
};

use super::{Options, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('h', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('o', "original", true),
    ('O', "original-string", true),
    ('n', "new", true),
    ('N', "new-string", true),
    ('p', "patch", true),
    ('c', "cib", false),
    ('u', "no-version", false),
    ('\0', "output-as", true),
];

/// A document on the command line.
enum Input {
    File(String),
    Text(String),
}

#[derive(Default)]
struct Asked {
    old: Option<Input>,
    new: Option<Input>,
    patch: Option<Input>,
    as_cib: bool,
    no_version: bool,
}

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let mut asked = Asked::default();
    while let Some((name, value)) = options.next()? {
        match name {
            "help" => {
                let what = "compare two configurations, or apply a patch to one";
                return super::help(tool, "crm_diff", what, OPTIONS);
            }
            "version" => return super::version(tool),
            "original" => asked.old = Some(Input::File(value)),
            "original-string" => asked.old = Some(Input::Text(value)),
            "new" => asked.new = Some(Input::File(value)),
            "new-string" => asked.new = Some(Input::Text(value)),
            "patch" => asked.patch = Some(Input::File(value)),
            "cib" => asked.as_cib = true,
            "no-version" => asked.no_version = true,
            "output-as" => tool.output_as(&value)?,
            _ => {}
        }
    }
    if asked.as_cib && asked.no_version {
        let message = "-u/--no-version incompatible with -c/--cib";
        return Err(Failure::usage(message));
    }
    if asked.no_version && asked.patch.is_some() {
        tool.error("Warning: -u/--no-version ignored with -p/--patch");
    }
    let old = asked.old.as_ref().ok_or_else(|| {
        Failure::usage("there is nothing to compare").cure("give it with -o FILE or -O TEXT")
    })?;
    let old = old.read()?;
    match (&asked.patch, &asked.new) {
        (Some(patch), _) => apply(tool, &old, &patch.read()?, asked.as_cib),
        (None, Some(new)) => compare(tool, &old, &new.read()?, &asked),
        (None, None) => Err(Failure::usage("there is nothing to compare it with")
            .cure("give it with -n FILE, -N TEXT or -p PATCH")),
    }
}

impl Input {
    fn read(&self) -> Result<Element, Failure> {
        let (name, bytes) = match self {
            Input::Text(text) => ("the text", text.clone().into_bytes()),
            Input::File(file) if file == "-" => {
                let mut bytes = Vec::new();
                let most = Limits::CIB.bytes as u64 + 1;
                std::io::stdin().lock().take(most).read_to_end(&mut bytes)?;
                ("the standard input", bytes)
            }
            Input::File(file) => {
                let bytes = std::fs::read(file).map_err(|error| {
                    let failure = Failure::from(error);
                    Failure::new(failure.exit, format!("failed to read {file}: {failure}"))
                })?;
                (file.as_str(), bytes)
            }
        };
        parse(&bytes, &Limits::CIB)
            .map_err(|error| Failure::new(CrmExit::DATA, format!("{name} can't be read: {error}")))
    }
}

fn apply(tool: &mut Tool, old: &Element, patch: &Element, as_cib: bool) -> Result<(), Failure> {
    let result = Patch::from_element(patch).and_then(|patch| {
        if as_cib {
            patch.check_source(Version::of(old))?;
        }
        let result = patch.apply(old)?;
        patch.check_digest(&result)?;
        Ok(result)
    });
    let result = result.map_err(|error| {
        let message = format!("Could not apply patch: {}", error.text());
        Failure::new(CrmExit::ERROR, message).cure(error.to_string())
    })?;
    let text = write::pretty(&result);
    tool.element(text_element("updated", &text));
    tool.line(text.trim_end())
}

fn compare(tool: &mut Tool, old: &Element, new: &Element, asked: &Asked) -> Result<(), Failure> {
    let mut target = new.clone();
    if asked.no_version {
        // Versions are no difference then, whatever they are.
        for name in ["admin_epoch", "epoch", "num_updates"] {
            match old.get(name) {
                Some(value) => target.set(name, value),
                None => {
                    target.unset(name);
                }
            }
        }
    }
    let new = &target;
    // As the CIB's own patches are made, the order of attributes does not count; else the files should be the same.
    let patch = if asked.as_cib {
        patch::diff(old, new)
    } else {
        patch::diff_in_order(old, new)
    };
    if patch.changes.is_empty() {
        return Ok(());
    }
    let patch = match (asked.as_cib, asked.no_version) {
        (true, _) => patch.with_digest(new),
        (_, true) => patch.without_versions(),
        _ => patch,
    };
    let text = write::pretty(&patch.to_element());
    tool.element(text_element("patchset", &text));
    tool.line(text.trim_end())?;
    Err(Failure::new(CrmExit::ERROR, ""))
}

/// A patch as people read it: `--` what is gone, `++` what is new, `+` what is set, `+~` what has moved.
pub(super) fn lines(patch: &Patch) -> Vec<String> {
    let mut out = Vec::new();
    if let (Some(source), Some(target)) = (patch.source, patch.target) {
        let digest = patch.digest.as_deref().unwrap_or("(no digest)");
        out.push(format!("Diff: --- {source} 2"));
        out.push(format!("Diff: +++ {target} {digest}"));
    }
    for change in &patch.changes {
        match change {
            Change::Delete { path, position } => {
                let at = position.map(|at| format!(" ({at})")).unwrap_or_default();
                out.push(format!("-- {path}{at}"));
            }
            Change::Move { path, position } => {
                out.push(format!("+~ {path} moved to offset {position}"));
            }
            Change::Create { path, node, .. } => {
                let indent = " ".repeat(path.chars().count() + 3);
                for (index, line) in pretty(node).lines().enumerate() {
                    out.push(match index {
                        0 => format!("++ {path}:  {line}"),
                        _ => format!("++ {indent}{line}"),
                    });
                }
            }
            Change::Modify { path, attrs, .. } => {
                let named = |set: bool| {
                    let chosen = attrs
                        .iter()
                        .filter(move |(_, value)| value.is_some() == set);
                    let words = chosen.map(|(name, value)| match value {
                        Some(value) => format!("@{name}={value}"),
                        None => format!("@{name}"),
                    });
                    words.collect::<Vec<_>>().join(", ")
                };
                for (sign, words) in [("+ ", named(true)), ("--", named(false))] {
                    if !words.is_empty() {
                        out.push(format!("{sign} {path}:  {words}"));
                    }
                }
            }
        }
    }
    out
}

fn pretty(node: &Node) -> String {
    match node {
        Node::Element(element) => write::pretty(element),
        Node::Comment(text) => format!("<!--{text}-->"),
        Node::Text(text) => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_read_line_by_line() {
        let read = |text: &str| parse(text, &Limits::CIB).unwrap();
        let old = read(
            r#"<cib epoch="1"><resources><primitive id="a"/><primitive id="b" x="1"/><!--c--></resources></cib>"#,
        );
        let new = read(
            r#"<cib epoch="2"><resources><primitive id="b"><op id="o"/></primitive><primitive id="a"/></resources></cib>"#,
        );
        let mut patch = patch::diff(&old, &new);
        patch.source = None;
        assert_eq!(
            lines(&patch),
            [
                "-- /cib/resources/comment (2)",
                "+  /cib:  @epoch=2",
                "-- /cib/resources/primitive[@id='b']:  @x",
                "++ /cib/resources/primitive[@id='b']:  <op id=\"o\"/>",
                "+~ /cib/resources/primitive[@id='b'] moved to offset 0",
                "+~ /cib/resources/primitive[@id='a'] moved to offset 1",
            ]
        );
    }
}
