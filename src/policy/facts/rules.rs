//! Rules: does this part of the configuration count, here and now? (spec 1 §5)

use std::cmp::Ordering;

use super::document::{Document, Recheck};
use super::resource::Agent;
use crate::policy::nvtable::NvTable;
use crate::terms::{DateTime, Duration, span, text};
use crate::xml::Element;

/// What a rule may look at; what is absent can't match.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RuleInput<'a> {
    /// The effective time.
    pub(crate) now: DateTime,
    /// Attributes of the node in question.
    pub(crate) node: Option<&'a NvTable>,
    /// Agent of the resource in question.
    pub(crate) agent: Option<&'a Agent>,
    /// Name and interval of the operation in question.
    pub(crate) op: Option<(&'a str, u64)>,
    /// Parameters of the resource in question.
    pub(crate) params: Option<&'a NvTable>,
    /// Meta-attributes of the resource in question.
    pub(crate) meta: Option<&'a NvTable>,
    /// Submatches of the resource pattern, the whole match first.
    pub(crate) submatches: Option<&'a [String]>,
}

impl RuleInput<'_> {
    /// A look at the clock alone.
    pub(crate) fn at(now: DateTime) -> Self {
        Self {
            now,
            node: None,
            agent: None,
            op: None,
            params: None,
            meta: None,
            submatches: None,
        }
    }
}

/// Whether the rule passes. // spec 1 §5.1
pub(crate) fn passes(
    rule: &Element,
    input: &RuleInput<'_>,
    document: &Document,
    recheck: &Recheck,
) -> bool {
    let Some(rule) = document.resolve(rule) else {
        return false;
    };
    if rule.get("id").is_none() {
        return false;
    }
    let any = match rule.get("boolean-op") {
        None => false,
        Some(op) if op.eq_ignore_ascii_case("and") => false,
        Some(op) if op.eq_ignore_ascii_case("or") => true,
        Some(_) => return false,
    };
    let mut empty = true;
    for condition in rule.children() {
        empty = false;
        if condition_passes(condition, input, document, recheck) == any {
            return any;
        }
    }
    empty || !any
}

fn condition_passes(
    condition: &Element,
    input: &RuleInput<'_>,
    document: &Document,
    recheck: &Recheck,
) -> bool {
    if condition.tag() == "rule" {
        return passes(condition, input, document, recheck);
    }
    let Some(condition) = document.resolve(condition) else {
        return false;
    };
    if condition.get("id").is_none() {
        return false;
    }
    match condition.tag() {
        "expression" => expression(condition, input),
        "rsc_expression" => rsc_expression(condition, input),
        "op_expression" => op_expression(condition, input),
        "date_expression" => date_expression(condition, input, recheck),
        _ => false,
    }
}

/// Replaces `%0`..`%9` by submatches; a missing one is empty. // spec 1 §5.2
pub(crate) fn expand(template: &str, submatches: Option<&[String]>) -> String {
    let Some(submatches) = submatches else {
        return template.to_owned();
    };
    let mut out = String::with_capacity(template.len());
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        let digit = chars
            .peek()
            .and_then(|next| next.to_digit(10))
            .filter(|_| c == '%');
        if let Some(digit) = digit {
            chars.next();
            out.push_str(submatches.get(digit as usize).map_or("", String::as_str));
        } else {
            out.push(c);
        }
    }
    out
}

// spec 1 §5.2
fn expression(condition: &Element, input: &RuleInput<'_>) -> bool {
    let (Some(attribute), Some(operation)) =
        (condition.get("attribute"), condition.get("operation"))
    else {
        return false;
    };
    let attribute = expand(attribute, input.submatches);
    let actual = input.node.and_then(|table| table.get(&attribute));
    let value = condition.get("value");
    let operation = operation.to_ascii_lowercase();
    if matches!(operation.as_str(), "defined" | "not_defined") {
        return value.is_none() && (actual.is_some() == (operation == "defined"));
    }
    let Some(value) = value else { return false };
    let source = condition
        .get("value-source")
        .unwrap_or("literal")
        .to_ascii_lowercase();
    let reference = match source.as_str() {
        "literal" => Some(value),
        "param" => input.params.and_then(|table| table.get(value)),
        "meta" => input.meta.and_then(|table| table.get(value)),
        _ => return false,
    };
    let wanted: fn(Ordering) -> bool = match operation.as_str() {
        "eq" => Ordering::is_eq,
        "ne" => Ordering::is_ne,
        "lt" => Ordering::is_lt,
        "lte" => Ordering::is_le,
        "gt" => Ordering::is_gt,
        "gte" => Ordering::is_ge,
        _ => return false,
    };
    let ranks = !matches!(operation.as_str(), "eq" | "ne");
    let kind = match condition
        .get("type")
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        Some("string") => Comparison::Text,
        Some("integer") => Comparison::Integer,
        Some("number") => Comparison::Number,
        Some("version") => Comparison::Version,
        Some(_) => return false,
        None if !ranks => Comparison::Text,
        None if [actual, reference]
            .iter()
            .flatten()
            .any(|text| text.contains('.')) =>
        {
            Comparison::Number
        }
        None => Comparison::Integer,
    };
    if ranks && (actual.is_none() || reference.is_none()) {
        return false;
    }
    wanted(compare(actual, reference, kind))
}

#[derive(Clone, Copy)]
enum Comparison {
    Text,
    Integer,
    Number,
    Version,
}

fn compare(actual: Option<&str>, reference: Option<&str>, kind: Comparison) -> Ordering {
    let (a, b) = match (actual, reference) {
        (Some(a), Some(b)) => (a, b),
        _ => return actual.is_some().cmp(&reference.is_some()),
    };
    let as_text = || a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase());
    match kind {
        Comparison::Text => as_text(),
        Comparison::Integer => match (text::integer(a), text::integer(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => as_text(),
        },
        Comparison::Number => match (number(a), number(b)) {
            (Some(a), Some(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            _ => as_text(),
        },
        Comparison::Version => text::compare_versions(a, b),
    }
}

/// A floating point number at the start of the text, anything behind it ignored.
fn number(text: &str) -> Option<f64> {
    let text = text.trim_start();
    let bytes = text.as_bytes();
    let mut end = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let whole = digits(end);
    end += whole;
    let mut fraction = 0;
    if bytes.get(end) == Some(&b'.') {
        fraction = digits(end + 1);
        if whole + fraction > 0 {
            end += 1 + fraction;
        }
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits((end + 1 + sign).min(bytes.len()));
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    text[..end].parse().ok()
}

// spec 1 §5.3
fn rsc_expression(condition: &Element, input: &RuleInput<'_>) -> bool {
    let given = |name: &str| -> Option<&str> {
        let agent = input.agent?;
        match name {
            "class" => Some(&*agent.class).filter(|class| !class.is_empty()),
            "provider" => agent.provider.as_deref(),
            _ => Some(&*agent.kind).filter(|kind| !kind.is_empty()),
        }
    };
    ["class", "provider", "type"].into_iter().all(|name| {
        condition
            .get(name)
            .is_none_or(|wanted| given(name) == Some(wanted))
    })
}

// spec 1 §5.4
fn op_expression(condition: &Element, input: &RuleInput<'_>) -> bool {
    let (Some(name), Some((op, interval_ms))) = (condition.get("name"), input.op) else {
        return false;
    };
    let same_interval = match condition.get("interval") {
        None => true,
        Some(interval) => span::parse_ms(interval) == Ok(interval_ms),
    };
    name == op && same_interval
}

/// How a time lies to what a date expression describes. // spec 1 §5.5
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateState {
    /// The expression passes.
    Within,
    /// It does not pass yet.
    Before,
    /// It passes no more.
    After,
    /// It says nothing that could pass.
    Unreadable,
}

// spec 1 §5.5
fn date_expression(condition: &Element, input: &RuleInput<'_>, recheck: &Recheck) -> bool {
    let (state, changes_s) = date_state(condition, input.now);
    if let Some(at_s) = changes_s {
        recheck.propose(input.now.epoch_s(), at_s);
    }
    state == DateState::Within
}

/// How `now` lies to this date expression, and the second at which that changes, where it is known.
pub(crate) fn date_state(condition: &Element, now: DateTime) -> (DateState, Option<i64>) {
    // A date that is there but can't be read never passes.
    let read = |name: &str| -> Result<Option<DateTime>, ()> {
        condition
            .get(name)
            .map(|text| DateTime::parse(text, now).map_err(|_| ()))
            .transpose()
    };
    let unreadable = (DateState::Unreadable, None);
    let (Ok(start), Ok(end)) = (read("start"), read("end")) else {
        return unreadable;
    };
    let operation = condition.get("operation").map(str::to_ascii_lowercase);
    match operation.as_deref() {
        None | Some("in_range") => {
            let duration = condition.children().find(|child| child.is("duration"));
            let end = match (end, duration, start) {
                (None, Some(duration), Some(start)) => Some(start.plus(&duration_of(duration))),
                (None, Some(_), None) => return unreadable,
                (end, ..) => end,
            };
            match (start, end) {
                (None, None) => unreadable,
                (Some(start), _) if now < start => (DateState::Before, Some(start.epoch_s())),
                (_, Some(end)) if now > end => (DateState::After, None),
                (_, end) => {
                    let changes_s = end.map(|end| end.epoch_s().saturating_add(1));
                    (DateState::Within, changes_s)
                }
            }
        }
        Some("gt") => match start {
            None => unreadable,
            Some(start) if now > start => (DateState::Within, None),
            Some(start) => (DateState::Before, Some(start.epoch_s().saturating_add(1))),
        },
        Some("lt") => match end {
            None => unreadable,
            Some(end) if now < end => (DateState::Within, Some(end.epoch_s())),
            Some(_) => (DateState::After, None),
        },
        Some("date_spec") => {
            let spec = condition.children().find(|child| child.is("date_spec"));
            spec.map_or(unreadable, |spec| (date_spec(spec, now), None))
        }
        Some(_) => unreadable,
    }
}

fn duration_of(element: &Element) -> Duration {
    let part = |name: &str| element.get(name).and_then(text::integer).unwrap_or(0);
    Duration {
        years: part("years"),
        months: part("months"),
        weeks: part("weeks"),
        days: part("days"),
        hours: part("hours"),
        minutes: part("minutes"),
        seconds: part("seconds"),
    }
}

// spec 1 §5.6
fn date_spec(spec: &Element, now: DateTime) -> DateState {
    let fields = now.fields();
    let all = [
        ("years", fields.year),
        ("months", i64::from(fields.month)),
        ("monthdays", i64::from(fields.day)),
        ("hours", i64::from(fields.hour)),
        ("minutes", i64::from(fields.minute)),
        ("seconds", i64::from(fields.second)),
        ("yeardays", i64::from(fields.yearday)),
        ("weekyears", fields.weekyear),
        ("weeks", i64::from(fields.week)),
        ("weekdays", i64::from(fields.weekday)),
    ];
    // The coarsest field that does not fit says on which side of it we are.
    all.into_iter()
        .filter_map(|(name, value)| Some(range(spec.get(name)?, value)))
        .find(|state| *state != DateState::Within)
        .unwrap_or(DateState::Within)
}

/// `X-Y`, `X-`, `-Y` or `Z`.
fn range(range: &str, value: i64) -> DateState {
    let number = |text: &str| -> Option<i64> {
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
    };
    let range = range.trim();
    let (from, to) = range.split_once('-').unwrap_or((range, range));
    let (low, high) = (number(from), number(to));
    let readable = (from.is_empty() || low.is_some()) && (to.is_empty() || high.is_some());
    if !readable || (low.is_none() && high.is_none()) {
        DateState::Unreadable
    } else if low.is_some_and(|low| value < low) {
        DateState::Before
    } else if high.is_some_and(|high| value > high) {
        DateState::After
    } else {
        DateState::Within
    }
}
