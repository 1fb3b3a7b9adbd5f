//! Inputs of the policy that a coordinator saved, one file for each transition, so that anybody can ask later why
//! something was done: names, the text inside, and finding them again.
//!
//! A file is a CIB with the time of the decision in it (`execution-date`), which is all that a decision depends on.
//! A comment in front tells which transition it was. Other programs that read CIB files read these, too.
//! // spec cluster §9.1

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::xml::{Element, Limits, ReadError, write};

/// Which file: what was found wrong decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Series {
    /// Nothing was wrong.
    Input,
    /// The policy warned, or part of the plan can't be carried out.
    Warn,
    /// The policy broke a rule, and nothing was done.
    Error,
}

impl Series {
    /// All of them.
    pub const ALL: [Series; 3] = [Series::Input, Series::Warn, Series::Error];

    /// First part of a file's name.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Series::Input => "pe-input",
            Series::Warn => "pe-warn",
            Series::Error => "pe-error",
        }
    }

    /// The cluster option that says how many are kept.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Series::Input => "pe-input-series-max",
            Series::Warn => "pe-warn-series-max",
            Series::Error => "pe-error-series-max",
        }
    }
}

/// The name of one saved input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Its series.
    pub series: Series,
    /// Its number in the series.
    pub number: u32,
}

impl Name {
    /// As people and directories write it: `pe-input-7.bz2`, `pe-input-7`, or just `7`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Name> {
        let text = text.strip_suffix(".bz2").unwrap_or(text);
        for series in Series::ALL {
            let rest = text.strip_prefix(series.prefix());
            if let Some(number) = rest.and_then(|rest| rest.strip_prefix('-')) {
                let number = number.parse().ok()?;
                return Some(Name { series, number });
            }
        }
        let number = text.parse().ok()?;
        let series = Series::Input;
        Some(Name { series, number })
    }
}

/// The input that is meant: by its name or number, or counted back from the newest as the crm shell does (`-1` is the one
/// before it). None for what is neither, or where fewer are kept.
#[must_use]
pub fn meant(data: &Path, text: &str) -> Option<Name> {
    let Some(back) = text.strip_prefix('-') else {
        return Name::parse(text);
    };
    let back: usize = back.parse().ok()?;
    list(data).ok()?.into_iter().rev().nth(back)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.series.prefix(), self.number)
    }
}

/// Where a node keeps them.
#[must_use]
pub fn folder(data: &Path) -> PathBuf {
    data.join("pengine")
}

/// The file of one of them.
#[must_use]
pub fn file(data: &Path, name: Name) -> PathBuf {
    folder(data).join(format!("{name}.bz2"))
}

const MARK: &str = "<!-- systole: nothing is left out; transition ";

/// A decision's input as it is saved, compressed.
pub fn pack(cib: &Element, transition: i64, now_s: i64) -> std::io::Result<Vec<u8>> {
    let mut cib = cib.clone();
    cib.set("execution-date", &now_s.to_string());
    let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    out.write_all(format!("{MARK}{transition} -->\n").as_bytes())?;
    out.write_all(write::pretty(&cib).as_bytes())?;
    out.finish()
}

/// The text inside a compressed file, which may be larger than what anybody reads: then it ends early, and its reader
/// says that it is too large.
pub fn unpack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    bzip2::read::MultiBzDecoder::new(bytes)
        .take(Limits::STORED.bytes as u64 + 1)
        .read_to_end(&mut text)?;
    Ok(text)
}

/// The number of the transition when this text was saved by a coordinator. Then also private values are in it, as they
/// were: whoever replaces them removes the mark.
#[must_use]
pub fn transition_of(text: &[u8]) -> Option<i64> {
    let line = text.strip_prefix(MARK.as_bytes())?;
    let end = line.iter().position(|byte| *byte == b' ')?;
    std::str::from_utf8(&line[..end]).ok()?.parse().ok()
}

/// One saved input.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Which one.
    pub name: Name,
    /// The CIB that the policy saw.
    pub cib: Element,
    /// Number of the transition in the coordinator's words.
    pub transition: Option<i64>,
}

/// Why one can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be read from disk.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is no XML.
    #[error("{0}")]
    Xml(#[from] ReadError),
}

/// Read one of them.
pub fn read(data: &Path, name: Name) -> Result<Saved, Error> {
    let text = unpack(&std::fs::read(file(data, name))?)?;
    Ok(Saved {
        name,
        cib: crate::xml::parse(&text, &Limits::STORED)?,
        transition: transition_of(&text),
    })
}

/// All that are there, the oldest first. Their order is that of their times, as numbers begin again at 0.
pub fn list(data: &Path) -> std::io::Result<Vec<Name>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder(data))? {
        let entry = entry?;
        let file = entry.file_name();
        let name = file
            .to_str()
            .filter(|name| name.ends_with(".bz2"))
            .and_then(Name::parse);
        if let Some(name) = name {
            found.push((entry.metadata()?.modified()?, name));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, name)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_in_all_its_forms() {
        let of = |text| Name::parse(text).map(|name| name.to_string());
        assert_eq!(of("7").as_deref(), Some("pe-input-7"));
        assert_eq!(of("pe-warn-12.bz2").as_deref(), Some("pe-warn-12"));
        assert_eq!(of("pe-error-0").as_deref(), Some("pe-error-0"));
        assert_eq!(of("pe-input.last"), None);
        assert_eq!(of("cib.xml"), None);
    }

    #[test]
    fn what_is_packed_comes_back_with_time_and_number() {
        let cib = Element::new("cib").with("have-quorum", "0");
        let packed = pack(&cib, 42, 1_000).expect("memory takes all");
        let text = unpack(&packed).expect("it was just packed");
        assert_eq!(transition_of(&text), Some(42));
        let back = crate::xml::parse(&text, &Limits::STORED).expect("it is XML");
        assert_eq!(back.get("execution-date"), Some("1000"));
        assert_eq!(back.get("have-quorum"), Some("0"));
        assert_eq!(transition_of(b"<cib/>"), None);
    }
}
