//! Bytes in, with positions. The reader trusts nobody: no document type with definitions inside, no entities but the
//! predefined ones, and every dimension of a document has a bound.

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::{
    Element, Node,
    element::push_value,
    shape::{Shape, Shapes},
};

/// Bounds of a document, and what of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Size in bytes.
    pub bytes: usize,
    /// Elements within each other.
    pub depth: usize,
    /// Elements altogether.
    pub elements: usize,
    /// Attributes of one element.
    pub attributes: usize,
    /// Whether text between elements is kept; a CIB has none that means anything.
    pub keep_text: bool,
    /// Whether a document type is skipped instead of refused; one with definitions inside never is.
    pub allow_doctype: bool,
}

impl Limits {
    /// For a CIB or a part of one that comes from outside.
    pub const CIB: Limits = Limits {
        bytes: 64 << 20,
        depth: 128,
        elements: 2_000_000,
        attributes: 256,
        keep_text: false,
        allow_doctype: false,
    };

    /// For what we wrote ourselves: the same care, more room.
    pub const STORED: Limits = Limits {
        bytes: 1 << 30,
        elements: 50_000_000,
        ..Limits::CIB
    };

    /// For the metadata that an agent prints: with its texts, and with the document type that most carry.
    pub const METADATA: Limits = Limits {
        bytes: 4 << 20,
        elements: 50_000,
        keep_text: true,
        allow_doctype: true,
        ..Limits::CIB
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::CIB
    }
}

/// Where and why a document could not be read. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct ReadError {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum Problem {
    #[error("the document has {0} bytes, more than the {1} allowed")]
    TooBig(usize, usize),
    #[error("elements are nested more than {0} deep")]
    TooDeep(usize),
    #[error("more than {0} elements")]
    TooManyElements(usize),
    #[error("<{0}> has more than {1} attributes")]
    TooManyAttributes(String, usize),
    #[error("a document type (DTD) is not accepted; remove the <!DOCTYPE> line")]
    Doctype,
    #[error(
        "entity &{0}; is not accepted; only &amp; &lt; &gt; &quot; &apos; and character references are"
    )]
    Entity(String),
    #[error("&{0}; is no character that XML allows")]
    CharacterReference(String),
    #[error("a bare & in text; write &amp;")]
    BareAmpersand,
    #[error("character U+{0:04X} is not allowed in XML")]
    Character(u32),
    #[error("not UTF-8")]
    Encoding,
    #[error("encoding {0} is not supported; convert the document to UTF-8")]
    OtherEncoding(String),
    #[error("`{0}` is not a name")]
    Name(String),
    #[error("attribute {0} of <{1}> is given twice")]
    DuplicateAttribute(String, String),
    #[error("a bare < in the value of attribute {0}; write &lt;")]
    BareLess(String),
    #[error("</{found}> where </{expected}> belongs")]
    Mismatched { expected: String, found: String },
    #[error("</{0}> without a beginning")]
    Unopened(String),
    #[error("<{0}>, begun in line {1}, is not closed")]
    Unclosed(String, u32),
    #[error("there must be one element around everything; here begins another one")]
    SecondRoot,
    #[error("text outside of the document's element")]
    OutsideText,
    #[error("no element in the document")]
    Empty,
    #[error("{0}")]
    Syntax(String),
}

/// Reads a document.
pub fn parse(text: impl AsRef<[u8]>, limits: &Limits) -> Result<Element, ReadError> {
    let bytes = text.as_ref();
    if bytes.len() > limits.bytes {
        let problem = Problem::TooBig(bytes.len(), limits.bytes);
        return Err(ReadError {
            line: 1,
            column: 1,
            problem,
        });
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            return Err(locate(&valid, valid.len(), Problem::Encoding));
        }
    };
    Parser::new(text.strip_prefix('\u{feff}').unwrap_or(text), limits).run()
}

struct Parser<'a> {
    text: &'a str,
    limits: &'a Limits,
    shapes: Shapes,
    open: Vec<Open>,
    root: Option<Element>,
    elements: usize,
    /// Lines up to an offset already counted.
    counted: (usize, u32),
    scratch: String,
    values: String,
}

/// An element whose end has not been seen.
struct Open {
    shape: std::sync::Arc<Shape>,
    values: Box<str>,
    nodes: Vec<Node>,
    line: u32,
}

/// A problem, at this offset.
type At = (usize, Problem);

impl<'a> Parser<'a> {
    fn new(text: &'a str, limits: &'a Limits) -> Self {
        Self {
            text,
            limits,
            shapes: Shapes::default(),
            open: Vec::new(),
            root: None,
            elements: 0,
            counted: (0, 1),
            scratch: String::new(),
            values: String::new(),
        }
    }

    fn run(mut self) -> Result<Element, ReadError> {
        let mut reader = Reader::from_str(self.text);
        let config = reader.config_mut();
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        config.check_comments = true;
        config.allow_dangling_amp = true;
        loop {
            let start = offset(reader.buffer_position());
            let event = match reader.read_event() {
                Ok(event) => event,
                Err(error) => {
                    let at = offset(reader.error_position());
                    return Err(locate(self.text, at, Problem::Syntax(error.to_string())));
                }
            };
            match self.event(event, start) {
                Ok(true) => break,
                Ok(false) => {}
                Err((at, problem)) => return Err(locate(self.text, at, problem)),
            }
        }
        self.root
            .ok_or_else(|| locate(self.text, self.text.len(), Problem::Empty))
    }

    /// Handles one event that began at this offset; true at the end.
    fn event(&mut self, event: Event<'_>, start: usize) -> Result<bool, At> {
        match event {
            Event::Start(tag) => {
                let open = self.begin(&tag, start)?;
                self.open.push(open);
            }
            Event::Empty(tag) => {
                let open = self.begin(&tag, start)?;
                self.finish(open);
            }
            Event::End(tag) => {
                let found = tag.name().as_ref().trim_end().to_owned();
                let Some(open) = self.open.pop() else {
                    return Err((start, Problem::Unopened(found)));
                };
                if *open.shape.tag != *found {
                    let expected = open.shape.tag.to_string();
                    return Err((start, Problem::Mismatched { expected, found }));
                }
                self.finish(open);
            }
            Event::Text(text) => self.text(&text, start)?,
            Event::CData(text) => self.keep_text(&text, start)?,
            Event::GeneralRef(reference) => {
                self.scratch.clear();
                let mut decoded = std::mem::take(&mut self.scratch);
                decode_reference(&reference, &mut decoded).map_err(|problem| (start, problem))?;
                let kept = self.keep_text(&decoded, start);
                self.scratch = decoded;
                kept?;
            }
            Event::Comment(text) => {
                check_characters(&text).map_err(|(at, problem)| (start + 4 + at, problem))?;
                if let Some(open) = self.open.last_mut() {
                    open.nodes.push(Node::comment(&text));
                }
            }
            Event::Decl(declaration) => {
                if start != 0 {
                    return Err((start, Problem::Syntax("<?xml?> must come first".into())));
                }
                if let Some(Ok(encoding)) = declaration.encoding() {
                    let known = ["utf-8", "utf8", "us-ascii", "ascii"];
                    if !known.iter().any(|name| encoding.eq_ignore_ascii_case(name)) {
                        return Err((start, Problem::OtherEncoding(encoding.to_string())));
                    }
                }
            }
            Event::DocType(text) => {
                let with_definitions = text.contains('[');
                let in_place = self.root.is_none() && self.open.is_empty();
                if !self.limits.allow_doctype || with_definitions || !in_place {
                    return Err((start, Problem::Doctype));
                }
            }
            Event::PI(_) => {}
            Event::Eof => {
                if let Some(open) = self.open.last() {
                    let problem = Problem::Unclosed(open.shape.tag.to_string(), open.line);
                    return Err((start, problem));
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn begin(&mut self, tag: &BytesStart<'_>, start: usize) -> Result<Open, At> {
        if self.open.is_empty() && self.root.is_some() {
            return Err((start, Problem::SecondRoot));
        }
        if self.open.len() >= self.limits.depth {
            return Err((start, Problem::TooDeep(self.limits.depth)));
        }
        self.elements += 1;
        if self.elements > self.limits.elements {
            return Err((start, Problem::TooManyElements(self.limits.elements)));
        }
        let name = tag.name();
        let name = name.as_ref();
        let mut place = match self.shapes.tag(name) {
            Some(known) => known,
            None => {
                check_name(name).map_err(|problem| (start + 1, problem))?;
                self.shapes.add_tag(name)
            }
        };
        self.values.clear();
        // What the library would check of every element, that no name is given twice, is true of each known shape.
        for (count, attribute) in tag.attributes().with_checks(false).enumerate() {
            let attribute =
                attribute.map_err(|error| (start + 1, attribute_problem(tag, error)))?;
            if count >= self.limits.attributes {
                let problem = Problem::TooManyAttributes(name.into(), self.limits.attributes);
                return Err((start, problem));
            }
            let key = attribute.key;
            let key = key.as_ref();
            let at = self.offset_of(key).unwrap_or(start);
            place = match self.shapes.attribute(place, key) {
                Some(known) => known,
                None => {
                    check_name(key).map_err(|problem| (at, problem))?;
                    if self.shapes.has(place, key) {
                        let problem = Problem::DuplicateAttribute(key.into(), name.into());
                        return Err((start + 1, problem));
                    }
                    self.shapes.add_attribute(place, key)
                }
            };
            let raw: &str = &attribute.value;
            if is_plain(raw) {
                push_value(&mut self.values, raw);
            } else {
                let at = self.offset_of(raw).unwrap_or(at);
                self.scratch.clear();
                decode_value(raw, key, &mut self.scratch)
                    .map_err(|(inside, problem)| (at + inside, problem))?;
                push_value(&mut self.values, &self.scratch);
            }
        }
        let shape = self.shapes.shape(place);
        let line = self.line_at(start);
        Ok(Open {
            shape,
            values: self.values.as_str().into(),
            nodes: Vec::new(),
            line,
        })
    }

    fn finish(&mut self, mut open: Open) {
        open.nodes.shrink_to_fit();
        let element = Element::assemble(open.shape, open.values, open.nodes, open.line);
        match self.open.last_mut() {
            Some(parent) => parent.nodes.push(Node::Element(element)),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, raw: &str, start: usize) -> Result<(), At> {
        if raw.bytes().all(|b| b.is_ascii_whitespace()) {
            return Ok(());
        }
        if let Some(at) = raw.find('&') {
            return Err((start + at, Problem::BareAmpersand));
        }
        self.keep_text(raw, start)
    }

    fn keep_text(&mut self, text: &str, start: usize) -> Result<(), At> {
        check_characters(text).map_err(|(at, problem)| (start + at, problem))?;
        let Some(open) = self.open.last_mut() else {
            return Err((start, Problem::OutsideText));
        };
        if self.limits.keep_text {
            match open.nodes.last_mut() {
                Some(Node::Text(before)) => {
                    std::sync::Arc::make_mut(before).push_str(text);
                }
                _ => open
                    .nodes
                    .push(Node::Text(std::sync::Arc::new(text.into()))),
            }
        }
        Ok(())
    }

    /// The line of an offset; offsets come in ascending order.
    fn line_at(&mut self, offset: usize) -> u32 {
        let (from, line) = self.counted;
        let newlines = memchr::memchr_iter(b'\n', &self.text.as_bytes()[from..offset]).count();
        let line = line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        self.counted = (offset, line);
        line
    }

    /// Where a piece of the text stands in it, if it is one.
    fn offset_of(&self, piece: &str) -> Option<usize> {
        let offset = (piece.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        (offset <= self.text.len()).then_some(offset)
    }
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

fn locate(text: &str, offset: usize, problem: Problem) -> ReadError {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    ReadError {
        line: small(line),
        column: small(column),
        problem,
    }
}

fn attribute_problem(
    tag: &BytesStart<'_>,
    error: quick_xml::events::attributes::AttrError,
) -> Problem {
    Problem::Syntax(format!("in <{}>: {error}", tag.name().as_ref()))
}

/// Whether a value is what it says: nothing to decode, nothing forbidden.
fn is_plain(raw: &str) -> bool {
    // To the end in any case: several bytes are looked at at once then.
    raw.bytes().fold(true, |plain, b| {
        plain & (b >= 0x20) & (b != b'&') & (b != b'<') & (b != 0xEF)
    })
}

fn decode_value(raw: &str, name: &str, out: &mut String) -> Result<(), At> {
    let mut rest = raw;
    loop {
        let special = rest.find(['&', '<', '\t', '\n', '\r']);
        let plain = &rest[..special.unwrap_or(rest.len())];
        let at = raw.len() - rest.len();
        check_characters(plain).map_err(|(inside, problem)| (at + inside, problem))?;
        out.push_str(plain);
        let Some(special) = special else {
            return Ok(());
        };
        let at = at + special;
        rest = &rest[special..];
        match rest.as_bytes()[0] {
            b'<' => return Err((at, Problem::BareLess(name.into()))),
            b'&' => {
                let end = rest.find(';').ok_or((at, Problem::BareAmpersand))?;
                decode_reference(&rest[1..end], out).map_err(|problem| (at, problem))?;
                rest = &rest[end + 1..];
            }
            // White space in a value is a blank unless it is written as a reference; CR LF is one line end.
            _ => {
                out.push(' ');
                rest = rest.strip_prefix("\r\n").unwrap_or(&rest[1..]);
            }
        }
    }
}

/// What stands between `&` and `;`.
fn decode_reference(name: &str, out: &mut String) -> Result<(), Problem> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix('x') {
            Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
                u32::from_str_radix(hex, 16).ok()
            }
            None if number.bytes().all(|b| b.is_ascii_digit()) => number.parse().ok(),
            _ => None,
        };
        let character = code.and_then(char::from_u32).filter(|c| is_allowed(*c));
        out.push(character.ok_or_else(|| Problem::CharacterReference(shorten(name)))?);
        return Ok(());
    }
    out.push(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ if check_name(name).is_ok() => return Err(Problem::Entity(shorten(name))),
        _ => return Err(Problem::BareAmpersand),
    });
    Ok(())
}

fn check_characters(text: &str) -> Result<(), At> {
    match text.char_indices().find(|(_, c)| !is_allowed(*c)) {
        Some((at, c)) => Err((at, Problem::Character(u32::from(c)))),
        None => Ok(()),
    }
}

fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && c != '\u{fffe}' && c != '\u{ffff}')
}

fn check_name(name: &str) -> Result<(), Problem> {
    let beyond_ascii = |c: char| c >= '\u{c0}' && c.is_alphanumeric();
    let mut characters = name.chars();
    let first = characters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == ':' || beyond_ascii(c));
    let others = characters.all(|c| {
        c.is_ascii_alphanumeric()
            || matches!(c, '_' | ':' | '-' | '.' | '\u{b7}')
            || beyond_ascii(c)
    });
    if first && others && name.len() <= 1024 {
        Ok(())
    } else {
        Err(Problem::Name(shorten(name)))
    }
}

/// Enough of a hostile name to recognise it in a message.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests;
