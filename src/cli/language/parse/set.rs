//! Lists of `name=value`, and the rules that say when they apply.

use crate::{
    cli::language::{error::SyntaxError, lex::Word},
    terms::Score,
    xml::Element,
};

use super::{Cursor, is_id};

/// Words that end a list of pairs and begin another part of the same statement.
pub(super) const SECTIONS: &[&str] = &[
    "params",
    "meta",
    "utilization",
    "operations",
    "op",
    "op_params",
    "op_meta",
    "attributes",
    "rule",
    "to",
    "select",
    "docker",
    "podman",
    "rkt",
    "network",
    "port-mapping",
    "storage",
    "storage-mapping",
    "primitive",
    "}",
];

/// `property`, `rsc_defaults`, `op_defaults`: an optional id, rules, pairs.
pub(super) fn options(
    cursor: &mut Cursor<'_>,
    tag: &str,
    default: &str,
) -> Result<Element, SyntaxError> {
    let mut id = default.to_owned();
    if let Some(given) = cursor.take_pair("$id") {
        id = given.to_owned();
    } else if let Some(word) = cursor.peek()
        && let Some(name) = word.text.strip_suffix(':')
        && !word.quoted
        && split_score(&word.text).is_none()
        && is_id(name)
    {
        id = name.to_owned();
        cursor.skip();
    }
    let mut element = Element::new(tag).with("id", id);
    body(cursor, &mut element)?;
    Ok(element)
}

/// One attribute list: `[$id=ID] [SCORE:] [rule ...] name=value...` or `$id-ref=ID`.
pub(super) fn set(cursor: &mut Cursor<'_>, tag: &str) -> Result<Element, SyntaxError> {
    let mut element = Element::new(tag);
    if let Some(reference) = cursor.take_pair("$id-ref") {
        return Ok(element.with("id-ref", reference));
    }
    if let Some(id) = cursor.take_pair("$id") {
        element.set("id", id);
    }
    body(cursor, &mut element)?;
    Ok(element)
}

fn body(cursor: &mut Cursor<'_>, element: &mut Element) -> Result<(), SyntaxError> {
    if let Some(word) = cursor.peek()
        && let Some(score) = split_score(&word.text)
        && !word.quoted
    {
        element.set("score", &score);
        cursor.skip();
    }
    while cursor.take("rule") {
        element.push(rule(cursor)?);
    }
    while let Some(word) = cursor.peek() {
        let pair = if let Some((name, value)) = word.pair() {
            named(word, name)?;
            Element::new("nvpair")
                .with("name", name)
                .with("value", value)
        } else if let Some(reference) = word.text.strip_prefix('@').filter(|_| !word.quoted) {
            let (reference, name) = match reference.split_once(':') {
                Some((reference, name)) => (reference, Some(name)),
                None => (reference, None),
            };
            Element::new("nvpair")
                .with("id-ref", reference)
                .with_some("name", name)
        } else if word.quoted || SECTIONS.contains(&word.text.as_str()) || !is_id(&word.text) {
            break;
        } else {
            Element::new("nvpair").with("name", &word.text)
        };
        element.push(pair);
        cursor.skip();
    }
    Ok(())
}

fn named(word: &Word, name: &str) -> Result<(), SyntaxError> {
    if name.starts_with('$') {
        return Err(
            SyntaxError::at(word.span.clone(), format!("{name:?} is not expected here"))
                .cure("$id=ID and $id-ref=ID stand directly after params, meta, op, ... "),
        );
    }
    Ok(())
}

/// After a part of a statement: what follows must be another part, else the word is wrong.
pub(super) fn unexpected(word: &Word) -> SyntaxError {
    let error = SyntaxError::at(
        word.span.clone(),
        format!("expected name=value near {:?}", word.text),
    );
    match super::meant(&word.text, SECTIONS.iter().copied()) {
        Some(meant) => error.cure(format!("did you mean {meant:?}?")),
        None => error.cure("write name=value, with quotes around a value that has blanks"),
    }
}

/// A score with its colon: `100:`, `inf:`, `-inf:`; how the CIB writes it.
pub fn split_score(word: &str) -> Option<String> {
    let text = word.strip_suffix(':')?;
    let (sign, number) = match text.as_bytes().first()? {
        b'+' | b'-' => text.split_at(1),
        _ => ("", text),
    };
    if number.eq_ignore_ascii_case("inf") || number.eq_ignore_ascii_case("infinity") {
        return Some(format!("{sign}INFINITY"));
    }
    (!number.is_empty() && number.bytes().all(|c| c.is_ascii_digit())).then(|| text.to_owned())
}

/// What follows the word `rule`: `[$id=ID] [$role=ROLE] [SCORE:] EXPRESSION [and|or EXPRESSION ...]` or `$id-ref=ID`.
pub(super) fn rule(cursor: &mut Cursor<'_>) -> Result<Element, SyntaxError> {
    let mut element = Element::new("rule");
    if let Some(reference) = cursor.take_pair("$id-ref") {
        return Ok(element.with("id-ref", reference));
    }
    loop {
        if let Some(id) = cursor.take_pair("$id") {
            element.set("id", id);
        } else if let Some(role) = cursor
            .take_pair("$role")
            .or_else(|| cursor.take_pair("role"))
        {
            element.set("role", role);
        } else {
            break;
        }
    }
    let word = cursor
        .peek()
        .ok_or_else(|| cursor.missing("a score or an expression"))?;
    match word.text.strip_suffix(':').filter(|_| !word.quoted) {
        Some(text) => {
            match split_score(&word.text) {
                Some(score) => element.set("score", &score),
                None if Score::parse(text).is_none() && is_attribute(text) => {
                    element.set("score-attribute", text);
                }
                None => return Err(bad_score(word)),
            }
            cursor.skip();
        }
        None => element.set("score", "INFINITY"),
    }
    element.push(expression(cursor)?);
    let mut combined: Option<&str> = None;
    while let Some(word) = cursor.peek() {
        let operator = match word.text.as_str() {
            "and" if !word.quoted => "and",
            "or" if !word.quoted => "or",
            _ => break,
        };
        if combined.is_some_and(|earlier| earlier != operator) {
            return Err(
                SyntaxError::at(word.span.clone(), "\"and\" and \"or\" in one rule")
                    .cure("write two rules, or nested rules as XML"),
            );
        }
        combined = Some(operator);
        cursor.skip();
        element.push(expression(cursor)?);
    }
    if combined == Some("or") {
        element.set("boolean-op", "or");
    }
    Ok(element)
}

/// The error of a word that should be a score.
pub(super) fn bad_score(word: &Word) -> SyntaxError {
    SyntaxError::at(word.span.clone(), format!("{:?} is no score", word.text))
        .cure("a score is a whole number or [-]inf with a colon, for example 100: or -inf:")
}

fn is_attribute(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '#'))
}

const OPERATORS: &[&str] = &["lt", "gt", "lte", "gte", "eq", "ne"];
const TYPES: &[&str] = &["string", "integer", "number", "version"];

fn expression(cursor: &mut Cursor<'_>) -> Result<Element, SyntaxError> {
    let first = cursor.next("an expression, for example #uname eq node1")?;
    match first.text.as_str() {
        "date" if !first.quoted => return date(cursor),
        unary @ ("defined" | "not_defined") if !first.quoted => {
            let attribute = cursor.next("the name of a node attribute")?;
            return Ok(Element::new("expression")
                .with("operation", unary)
                .with("attribute", &attribute.text));
        }
        _ => {}
    }
    let word = cursor.next("a comparison (lt, gt, lte, gte, eq, ne)")?;
    let (kind, operation) = match word.text.split_once(':') {
        Some((kind, operation)) => (Some(kind), operation),
        None => (None, word.text.as_str()),
    };
    if !OPERATORS.contains(&operation) || kind.is_some_and(|kind| !TYPES.contains(&kind)) {
        return Err(SyntaxError::at(
            word.span.clone(),
            format!("{:?} is no comparison", word.text),
        )
        .cure("[string:|integer:|number:|version:] and one of lt, gt, lte, gte, eq, ne"));
    }
    let value = cursor.next("a value to compare with")?;
    let referred = ["param", "meta"].into_iter().find_map(|source| {
        let inner = value
            .text
            .strip_prefix(source)?
            .strip_prefix('{')?
            .strip_suffix('}')?;
        (!value.quoted).then_some((source, inner))
    });
    let (source, text) = match referred {
        Some((source, name)) => (Some(source), name),
        None => (None, value.text.as_str()),
    };
    Ok(Element::new("expression")
        .with("operation", operation)
        .with("attribute", &first.text)
        .with_some("type", kind)
        .with("value", text)
        .with_some("value-source", source))
}

/// Fields of a date specification or a duration.
const FIELDS: &[&str] = &[
    "seconds",
    "minutes",
    "hours",
    "days",
    "monthdays",
    "weekdays",
    "yearsdays",
    "yeardays",
    "months",
    "weeks",
    "years",
    "weekyears",
    "moon",
];

fn date(cursor: &mut Cursor<'_>) -> Result<Element, SyntaxError> {
    let word = cursor.next("lt, gt, in or spec")?;
    let element = Element::new("date_expression");
    Ok(match word.text.as_str() {
        "lt" => {
            let end = moment(cursor, "end")?;
            element.with("operation", "lt").with("end", end)
        }
        "gt" => {
            let start = moment(cursor, "start")?;
            element.with("operation", "gt").with("start", start)
        }
        "in" | "in_range" => {
            let mut element = element.with("operation", "in_range");
            loop {
                if let Some(start) = cursor.take_pair("start") {
                    element.set("start", start);
                } else if let Some(end) = cursor.take_pair("end") {
                    element.set("end", end);
                } else {
                    break;
                }
            }
            if let Some(duration) = fields(cursor, "duration") {
                element.push(duration);
            }
            if !element.has("start") && !element.has("end") {
                return Err(cursor.missing("start=DATE, end=DATE or a duration"));
            }
            element
        }
        "spec" | "date_spec" => {
            let spec = fields(cursor, "date_spec")
                .ok_or_else(|| cursor.missing("a field, for example hours=9-16"))?;
            element.with("operation", "date_spec").with_child(spec)
        }
        other => {
            return Err(SyntaxError::at(
                word.span.clone(),
                format!("{other:?} is no date expression"),
            )
            .cure(
                "date lt END, date gt START, date in start=START end=END, or date spec hours=9-16",
            ));
        }
    })
}

fn moment<'a>(cursor: &mut Cursor<'a>, name: &str) -> Result<&'a str, SyntaxError> {
    let word = cursor.next("a date, for example 2027-01-31")?;
    Ok(match word.pair() {
        Some((given, value)) if given == name => value,
        _ => &word.text,
    })
}

fn fields(cursor: &mut Cursor<'_>, tag: &str) -> Option<Element> {
    let mut element = Element::new(tag);
    while let Some((name, value)) = cursor.peek().and_then(Word::pair)
        && FIELDS.contains(&name)
    {
        element.set(name, value);
        cursor.skip();
    }
    (element.attr_count() > 0).then_some(element)
}
