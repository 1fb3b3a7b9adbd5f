//! Text into statements and words. A statement is a logical line: a backslash at the end of a line joins it with the
//! next. Words are separated by blanks; quotes may stand anywhere in a word (`a="b c"`); within double quotes a
//! backslash protects a quote or a backslash and is kept before anything else. `#` begins a comment only at the start of
//! a line, because `#uname` is a word.

use std::ops::Range;

use super::error::SyntaxError;

/// One word of a statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// Its text without quotes.
    pub text: String,
    /// Where it stands in the source.
    pub span: Range<usize>,
    /// Some of it was quoted.
    pub quoted: bool,
    /// Where in `text` the first unquoted `=` is.
    equals: Option<usize>,
}

impl Word {
    /// A word that was not read from a source.
    pub fn bare(text: &str) -> Self {
        Word {
            text: text.to_owned(),
            span: 0..0,
            quoted: false,
            equals: text.find('='),
        }
    }

    /// `name=value` taken apart.
    pub fn pair(&self) -> Option<(&str, &str)> {
        let at = self.equals.filter(|at| *at > 0)?;
        Some((&self.text[..at], &self.text[at + 1..]))
    }

    /// Whether the word is exactly this, unquoted.
    pub fn is(&self, text: &str) -> bool {
        !self.quoted && self.text == text
    }

    /// A part of an unquoted word as a word of its own.
    pub(crate) fn part(&self, from: usize, to: usize) -> Word {
        let text = self.text[from..to].to_owned();
        let equals = text.find('=');
        let span = if self.quoted {
            self.span.clone()
        } else {
            self.span.start + from..self.span.start + to
        };
        Word {
            text,
            span,
            quoted: self.quoted,
            equals,
        }
    }
}

/// A logical line.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Its words.
    pub words: Vec<Word>,
    /// Comment lines directly above it, without the `#`.
    pub comments: Vec<String>,
    /// What follows the first word, joined lines as one, quotes untouched; `xml` statements need it.
    pub rest: String,
    /// Where it stands in the source.
    pub span: Range<usize>,
}

/// The statements of a text. Empty lines and comments that belong to nothing are dropped.
pub fn statements(source: &str) -> Result<Vec<Statement>, SyntaxError> {
    if let Some((at, c)) = source.char_indices().find(|(_, c)| !fits_in_xml(*c)) {
        let text = format!(
            "the character {} can't be part of a CIB",
            c.escape_unicode()
        );
        return Err(SyntaxError::at(at..at + c.len_utf8(), text).cure("remove it"));
    }
    let mut found = Vec::new();
    let mut comments = Vec::new();
    let mut at = 0;
    while at < source.len() {
        let end = logical_end(source, at);
        let line = &source[at..end];
        let trimmed = line.trim();
        if trimmed.is_empty() {
            comments.clear();
        } else if trimmed.starts_with("##") {
            // A heading, which people draw with more than one.
            comments.push(trimmed.to_owned());
        } else if let Some(comment) = trimmed.strip_prefix('#') {
            comments.push(comment.trim().to_owned());
        } else {
            let words = words(source, at..end)?;
            if let Some(first) = words.first() {
                let rest = joined(&source[first.span.end..end]);
                let last = words.last().map_or(end, |word| word.span.end);
                found.push(Statement {
                    rest,
                    span: first.span.start..last,
                    comments: std::mem::take(&mut comments),
                    words,
                });
            }
        }
        at = end + 1;
    }
    Ok(found)
}

/// Where the logical line that starts at `from` ends. A comment line is never continued.
fn logical_end(source: &str, from: usize) -> usize {
    let mut at = from;
    let comment = source[from..]
        .trim_start_matches([' ', '\t'])
        .starts_with('#');
    loop {
        let end = source[at..].find('\n').map_or(source.len(), |n| at + n);
        let line = source[at..end].trim_end();
        if comment || !line.ends_with('\\') || end == source.len() {
            return end;
        }
        at = end + 1;
    }
}

/// Joined lines without the backslashes at their ends.
fn joined(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(|line| match line.trim_end().strip_suffix('\\') {
            Some(line) => line.strip_suffix(' ').unwrap_or(line),
            None => line,
        })
        .collect();
    lines.join("\n").trim().to_owned()
}

fn words(source: &str, range: Range<usize>) -> Result<Vec<Word>, SyntaxError> {
    let raw = source[range.clone()].trim_start().starts_with("xml");
    let mut found: Vec<Word> = Vec::new();
    let mut open: Option<Word> = None;
    let mut quote: Option<(char, usize)> = None;
    let mut chars = source[range.clone()]
        .char_indices()
        .map(|(i, c)| (range.start + i, c))
        .peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && continues(source, at + 1, range.end) {
            while chars.next_if(|(_, c)| *c != '\n').is_some() {}
            chars.next();
            if quote.is_none() {
                found.extend(open.take());
            }
            continue;
        }
        if let Some((mark, _)) = quote {
            let word = open.as_mut().expect("a quote opens a word");
            word.span.end = at + c.len_utf8();
            if c == mark {
                quote = None;
            } else if c == '\\' && mark == '"' {
                let escaped = chars.next_if(|(_, next)| matches!(next, '"' | '\\'));
                word.text.push(escaped.map_or('\\', |(_, next)| next));
            } else {
                word.text.push(c);
            }
            continue;
        }
        if c.is_whitespace() {
            if let Some(word) = open.take() {
                let first_of_xml = raw && found.is_empty() && word.text == "xml";
                found.push(word);
                if first_of_xml {
                    break;
                }
            }
            continue;
        }
        let word = open.get_or_insert_with(|| Word {
            text: String::new(),
            span: at..at,
            quoted: false,
            equals: None,
        });
        word.span.end = at + c.len_utf8();
        match c {
            '"' | '\'' => {
                quote = Some((c, at));
                word.quoted = true;
            }
            '=' if word.equals.is_none() => {
                word.equals = Some(word.text.len());
                word.text.push(c);
            }
            _ => word.text.push(c),
        }
    }
    if let Some((mark, at)) = quote {
        return Err(
            SyntaxError::at(at..at + 1, format!("the quote {mark} is never closed")).cure(format!(
                "close it with {mark}, or protect a lone quote with a backslash"
            )),
        );
    }
    found.extend(open);
    Ok(found)
}

/// What XML 1.0 can hold ("Char").
fn fits_in_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Whether a backslash before `at` ends its line.
fn continues(source: &str, at: usize, end: usize) -> bool {
    let rest = &source[at..end.max(at)];
    let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len();
    at + blank >= end || source.as_bytes()[at + blank] == b'\n'
}
