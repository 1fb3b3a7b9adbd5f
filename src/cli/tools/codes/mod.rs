//! `crm_error`: what a code means.
//! Enters: codes, and which numbering they are of.
//! Leaves: names and texts.
//! May touch: nothing but what it writes.

mod table;

use crate::{cli::failure::Failure, terms::CrmExit, xml::Element};

use super::{Options, Tool};

use table::{EXITS, LEGACY, RETURNS, SYSTEM};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('h', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('n', "name", false),
    ('l', "list", false),
    ('X', "exit", false),
    ('r', "rc", false),
    ('\0', "output-as", true),
];

/// Whose codes they are.
#[derive(Clone, Copy)]
enum Numbering {
    Legacy,
    Return,
    Exit,
}

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let (mut names, mut list, mut numbering) = (false, false, Numbering::Legacy);
    while let Some((name, value)) = options.next()? {
        match name {
            "help" => {
                let what = "show name and meaning of a code";
                return super::help(tool, "crm_error", what, OPTIONS);
            }
            "version" => return super::version(tool),
            "name" => names = true,
            "list" => list = true,
            "exit" => numbering = Numbering::Exit,
            "rc" => numbering = Numbering::Return,
            "output-as" => tool.output_as(&value)?,
            _ => {}
        }
    }
    if list || options.free.is_empty() {
        for code in numbering.codes() {
            let (name, text) = numbering.meaning(code);
            show(tool, code, names.then_some(name), &text);
            if names {
                tool.line(&format!("{code:5}: {name:27} {text}"))?;
            } else {
                tool.line(&format!("{code:5}: {text}"))?;
            }
        }
        return Ok(());
    }
    for word in &options.free {
        let code: i32 = word.parse().map_err(|_| {
            Failure::usage(format!("{word:?} is no code")).cure("codes are numbers; see --list")
        })?;
        let (name, text) = numbering.meaning(code);
        show(tool, code, names.then_some(name), &text);
        if names {
            tool.line(&format!("{name} - {text}"))?;
        } else {
            tool.line(&text)?;
        }
    }
    Ok(())
}

fn show(tool: &mut Tool, code: i32, name: Option<&str>, text: &str) {
    tool.element(
        Element::new("result-code")
            .with("code", code.to_string())
            .with_some("name", name)
            .with("description", text),
    );
}

impl Numbering {
    /// All that are known.
    fn codes(self) -> Vec<i32> {
        let system = SYSTEM.iter().map(|(code, _)| *code);
        match self {
            Numbering::Exit => EXITS.iter().map(|(code, _)| *code).collect(),
            Numbering::Legacy => system.chain(LEGACY.iter().map(|row| row.0)).collect(),
            Numbering::Return => RETURNS.iter().map(|row| row.0).chain(system).collect(),
        }
    }

    /// Name and text of a code.
    fn meaning(self, code: i32) -> (&'static str, String) {
        let system = |code: i32| {
            let name = SYSTEM.iter().find(|(known, _)| *known == code);
            (name.map_or("Unknown", |(_, name)| *name), system_text(code))
        };
        match self {
            Numbering::Exit => {
                let name = EXITS.iter().find(|(known, _)| *known == code);
                let name = name.map_or("CRM_EX_UNKNOWN", |(_, name)| *name);
                (name, CrmExit(code).text().to_owned())
            }
            Numbering::Legacy => {
                // A function that fails gives the negative code.
                let code = code.saturating_abs();
                match LEGACY.iter().find(|row| row.0 == code) {
                    Some((_, name, text)) => (*name, (*text).to_owned()),
                    None if code == 0 => ("pcmk_ok", "OK".to_owned()),
                    None => system(code),
                }
            }
            Numbering::Return => match RETURNS.iter().find(|row| row.0 == code) {
                Some((_, name, text)) => (*name, (*text).to_owned()),
                None if code < 0 => ("Unknown", "Error".to_owned()),
                None => system(code),
            },
        }
    }
}

/// What the system says about one of its codes.
pub(super) fn system_text(code: i32) -> String {
    let text = std::io::Error::from_raw_os_error(code).to_string();
    match text.strip_suffix(&format!(" (os error {code})")) {
        Some(text) => text.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_numbering_knows_its_own() {
        let of = |numbering: Numbering, code| {
            let (name, text) = numbering.meaning(code);
            format!("{name} - {text}")
        };
        assert_eq!(of(Numbering::Exit, 105), "CRM_EX_NOSUCH - No such object");
        assert_eq!(of(Numbering::Legacy, -205), of(Numbering::Legacy, 205));
        assert_eq!(of(Numbering::Legacy, 5), "EIO - Input/output error");
        assert_eq!(
            of(Numbering::Return, -1005),
            "pcmk_rc_node_unknown - Node not found"
        );
        assert_eq!(of(Numbering::Return, -9), "Unknown - Error");
        for numbering in [Numbering::Exit, Numbering::Legacy, Numbering::Return] {
            let codes = numbering.codes();
            assert!(codes.windows(2).all(|two| two[0] < two[1]), "{codes:?}");
        }
    }
}
