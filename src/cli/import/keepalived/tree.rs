//! The text as lines and blocks. Comments, quotes, `@host` in front of a line, `$NAME=value`, and `include` are dealt with
//! here; what the words mean is not known yet.
//!
//! ```text
//! vrrp_instance VI_1 {        Item [vrrp_instance VI_1]
//!     virtual_ipaddress {       Item [virtual_ipaddress]
//!         10.0.0.1/24 dev eth0    Item [10.0.0.1/24 dev eth0]
//! ```

use std::collections::BTreeMap;

use crate::cli::import::Include;
use crate::cli::import::note::{Broken, Place};

/// Blocks and included files within each other.
const DEPTH: usize = 32;
/// Files altogether.
const FILES: usize = 256;
/// What a line may become when names in it are replaced.
const LINE: usize = 64 << 10;

/// A line, with what is in the braces behind it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) at: Place,
    pub(super) words: Vec<String>,
    pub(super) block: Option<Vec<Item>>,
}

impl Item {
    pub(super) fn is(&self, word: &str) -> bool {
        self.words.first().is_some_and(|first| first == word)
    }

    /// The words as they would be written.
    pub(super) fn text(&self) -> String {
        let quoted = |word: &String| match word.contains(char::is_whitespace) || word.is_empty() {
            true => format!("{word:?}"),
            false => word.clone(),
        };
        self.words.iter().map(quoted).collect::<Vec<_>>().join(" ")
    }
}

/// A file with all that it includes.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) items: Vec<Item>,
    /// Names in conditions, and the line of the first.
    pub(super) hosts: BTreeMap<String, u32>,
}

/// Read a file, with its lines for one host.
pub(super) fn read(
    file: &str,
    text: &str,
    host: Option<&str>,
    include: Include<'_>,
) -> Result<Tree, Broken> {
    let mut reader = Reader {
        host,
        include,
        open: Vec::new(),
        tree: Tree::default(),
        names: BTreeMap::new(),
        files: 0,
    };
    reader.file(file, text, 0)?;
    match reader.open.pop() {
        None => Ok(reader.tree),
        Some(block) => Err(Broken::at(
            &block.at,
            format!("the block {} is never closed", block.text()),
        )
        .cure("add a } where it ends")),
    }
}

struct Reader<'a> {
    host: Option<&'a str>,
    include: Include<'a>,
    /// Blocks that are not closed yet, the innermost last.
    open: Vec<Item>,
    tree: Tree,
    names: BTreeMap<String, String>,
    files: usize,
}

impl Reader<'_> {
    fn file(&mut self, file: &str, text: &str, depth: usize) -> Result<(), Broken> {
        self.files += 1;
        if depth > DEPTH || self.files > FILES {
            return Err(Broken::new(file, 1, "files include each other without end")
                .cure("remove the include that leads back"));
        }
        let mut lines = (1..).zip(text.lines());
        while let Some((number, line)) = lines.next() {
            let at = Place::new(file, number);
            let mut line = line.to_owned();
            while let Some(begin) = line.trim_end().strip_suffix('\\') {
                let begin = begin.to_owned();
                let Some((_, next)) = lines.next() else { break };
                line = format!("{begin} {}", next.trim());
                if line.len() > LINE {
                    break;
                }
            }
            self.line(&at, line.trim(), depth)?;
        }
        Ok(())
    }

    fn line(&mut self, at: &Place, line: &str, depth: usize) -> Result<(), Broken> {
        let Some(line) = self.for_us(at, line) else {
            return Ok(());
        };
        if let Some((name, value)) = definition(line) {
            let value = self.replaced(at, value)?;
            self.names.insert(name.to_owned(), value);
            return Ok(());
        }
        let line = self.replaced(at, line)?;
        let mut words: Vec<String> = Vec::new();
        for token in tokens(at, &line)? {
            match token {
                Token::Word(word) => words.push(word),
                Token::Open => self.begin(at, std::mem::take(&mut words))?,
                Token::Close => {
                    self.end(at, std::mem::take(&mut words), depth)?;
                    let Some(done) = self.open.pop() else {
                        return Err(Broken::at(at, "a } closes nothing")
                            .cure("remove it, or add the line that opens its block"));
                    };
                    self.level().push(done);
                }
            }
        }
        self.end(at, words, depth)
    }

    /// A line without its condition, if it is met. `@^host` is for all others.
    fn for_us<'l>(&mut self, at: &Place, line: &'l str) -> Option<&'l str> {
        let Some(rest) = line.strip_prefix('@') else {
            return Some(line);
        };
        let (condition, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let (name, is_not) = match condition.strip_prefix('^') {
            Some(name) => (name, true),
            None => (condition, false),
        };
        if !name.is_empty() {
            self.tree.hosts.entry(name.to_owned()).or_insert(at.line);
        }
        ((self.host == Some(name)) != is_not).then(|| rest.trim())
    }

    /// Names that were defined, replaced by their values. Others stay: a script's line may have its own.
    fn replaced(&self, at: &Place, line: &str) -> Result<String, Broken> {
        let mut out = String::new();
        let mut rest = line;
        while let Some(dollar) = rest.find('$') {
            out.push_str(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            let braced = rest
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'));
            let plain = rest.len() - rest.trim_start_matches(is_name).len();
            let (name, after) = braced.unwrap_or((&rest[..plain], &rest[plain..]));
            match self.names.get(name) {
                Some(value) => {
                    out.push_str(value);
                    rest = after;
                }
                None => out.push('$'),
            }
            if out.len() > LINE {
                return Err(
                    Broken::at(at, "the line gets too long when its names are replaced")
                        .cure("write it out"),
                );
            }
        }
        out.push_str(rest);
        let makes_lines = ["~SEQ(", "~LST(", "~FILE("]
            .iter()
            .find(|word| out.contains(**word));
        match makes_lines {
            Some(word) => Err(Broken::at(
                at,
                format!("{word}...) makes several lines of one, which is not read here"),
            )
            .cure("write the lines out")),
            None => Ok(out),
        }
    }

    /// Where lines go now.
    fn level(&mut self) -> &mut Vec<Item> {
        match self.open.last_mut() {
            Some(item) => item.block.get_or_insert_with(Vec::new),
            None => &mut self.tree.items,
        }
    }

    fn begin(&mut self, at: &Place, words: Vec<String>) -> Result<(), Broken> {
        if self.open.len() >= DEPTH {
            let text = format!("blocks are nested more than {DEPTH} deep");
            return Err(Broken::at(at, text).cure("close one with }"));
        }
        let item = if words.is_empty() {
            // The name may stand on the line before.
            let last = self.level().pop();
            match last.filter(|item| item.block.is_none()) {
                Some(item) => item,
                None => {
                    return Err(Broken::at(at, "a { without a name in front of it")
                        .cure("write what the block is, for example vrrp_instance VI_1 {"));
                }
            }
        } else {
            Item {
                at: at.clone(),
                words,
                block: None,
            }
        };
        self.open.push(Item {
            block: Some(Vec::new()),
            ..item
        });
        Ok(())
    }

    /// The end of a line.
    fn end(&mut self, at: &Place, words: Vec<String>, depth: usize) -> Result<(), Broken> {
        let Some(first) = words.first() else {
            return Ok(());
        };
        if matches!(
            first.as_str(),
            "include" | "includer" | "includem" | "includew" | "includeb" | "includea"
        ) {
            return self.included(at, &words, depth);
        }
        let item = Item {
            at: at.clone(),
            words,
            block: None,
        };
        self.level().push(item);
        Ok(())
    }

    fn included(&mut self, at: &Place, words: &[String], depth: usize) -> Result<(), Broken> {
        let Some(pattern) = words.get(1) else {
            return Err(
                Broken::at(at, "include without a file").cure("include /etc/keepalived/*.conf")
            );
        };
        let files = (self.include)(&at.file, pattern).map_err(|why| {
            Broken::at(at, format!("{pattern} can't be included: {why}"))
                .cure("copy the file here, too, or remove the line")
        })?;
        for (name, text) in files {
            self.file(&name, &text, depth + 1)?;
        }
        Ok(())
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `$NAME=value`.
fn definition(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix('$')?.split_once('=')?;
    let name = name.trim_end();
    (!name.is_empty() && name.chars().all(is_name)).then(|| (name, value.trim()))
}

enum Token {
    Word(String),
    Open,
    Close,
}

/// Words, braces that stand alone or end a word, and nothing behind `!` or `#`.
fn tokens(at: &Place, line: &str) -> Result<Vec<Token>, Broken> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if let Some(mark) = quote {
            let open = word.get_or_insert_default();
            if c == mark {
                quote = None;
            } else if c == '\\'
                && chars
                    .peek()
                    .is_some_and(|next| *next == mark || *next == '\\')
            {
                open.extend(chars.next());
            } else {
                open.push(c);
            }
            continue;
        }
        match c {
            '!' | '#' if word.is_none() => break,
            '"' | '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            '{' | '}'
                if word.is_none()
                    || c == '{' && chars.peek().is_none_or(|next| next.is_whitespace()) =>
            {
                found.extend(word.take().map(Token::Word));
                found.push(if c == '{' { Token::Open } else { Token::Close });
            }
            c if c.is_whitespace() => found.extend(word.take().map(Token::Word)),
            c => word.get_or_insert_default().push(c),
        }
    }
    if let Some(mark) = quote {
        return Err(Broken::at(at, format!("the quote {mark} is never closed"))
            .cure(format!("close it with {mark}")));
    }
    found.extend(word.map(Token::Word));
    Ok(found)
}
