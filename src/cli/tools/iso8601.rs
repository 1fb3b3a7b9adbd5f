//! `iso8601`: dates, durations and periods as the rules of a configuration read them, shown in any of their forms.

use crate::{
    cli::{failure::Failure, show::xml::text_element},
    clock,
    terms::{CrmExit, DateTime, Duration, OcfExit},
    xml::Element,
};

use super::{Options, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('n', "now", false),
    ('d', "date", true),
    ('p', "period", true),
    ('D', "duration", true),
    ('E', "expected", true),
    ('s', "seconds", false),
    ('S', "epoch", false),
    ('L', "local", false),
    ('O', "ordinal", false),
    ('W', "week", false),
    ('\0', "output-as", true),
    ('\0', "output-to", true),
];

/// Seconds from the first day of the year 1, from which this tool counts, to 1970.
const FROM_YEAR_1_S: i64 = 62_135_596_800;

/// How a point of time is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Calendar,
    Ordinal,
    Week,
    Seconds,
    Epoch,
}

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let (mut date, mut period, mut duration, mut expected) = (None, None, None, None);
    let (mut form, mut local, mut now) = (Form::Calendar, false, false);
    while let Some((name, value)) = options.next()? {
        match name {
            "help" => {
                return super::help(tool, "iso8601", "show and read dates and times", OPTIONS);
            }
            "version" => return super::version(tool),
            "now" => now = true,
            "date" => date = Some(value),
            "period" => period = Some(value),
            "duration" => duration = Some(value),
            "expected" => expected = Some(value),
            "seconds" => form = Form::Seconds,
            "epoch" => form = Form::Epoch,
            "local" => local = true,
            "ordinal" => form = Form::Ordinal,
            "week" => form = Form::Week,
            "output-as" => tool.output_as(&value)?,
            _ => {}
        }
    }
    let clock = DateTime::from_epoch(clock::wall_s());
    let mut at = None;
    let mut shown = String::new();
    if now {
        at = Some(clock);
        shown = say(tool, ("now", "Current date/time"), clock, form, local)?;
    }
    if let Some(text) = date {
        let read = DateTime::parse(&text, clock).map_err(|_| wrong("date/time", &text))?;
        at = Some(read);
        shown = say(tool, ("date", "Date"), read, form, local)?;
    }
    let mut length = None;
    if let Some(text) = duration {
        let read = Duration::parse(&text).ok_or_else(|| wrong("duration", &text))?;
        length = Some(read);
        let words = in_words(&read);
        tool.element(text_element("duration", &words));
        tool.line(&format!("Duration: {words}"))?;
    }
    if let Some(text) = period {
        let (start, end) = read_period(&text, clock).ok_or_else(|| wrong("interval", &text))?;
        let (start, end) = (write(start, form, local), write(end, form, local));
        tool.element(
            Element::new("period")
                .with_child(text_element("start", &start))
                .with_child(text_element("end", &end)),
        );
        tool.line(&format!("Period: {start} to {end}"))?;
    }
    if let (Some(from), Some(length)) = (at, length) {
        let end = from.plus(&length);
        // Quirk: the end is shown with the offset of the date, but compared as the date is shown.
        say(tool, ("duration_ends", "Duration ends at"), end, form, true)?;
        shown = write(end, form, local);
    }
    match expected {
        Some(expected) if at.is_some() && expected != shown => {
            Err(Failure::new(CrmExit::ERROR, ""))
        }
        _ => Ok(()),
    }
}

/// Say one point of time, and return it as it was said.
fn say(
    tool: &mut Tool,
    (tag, label): (&str, &str),
    at: DateTime,
    form: Form,
    local: bool,
) -> Result<String, Failure> {
    let text = write(at, form, local);
    tool.element(text_element(tag, &text));
    tool.line(&format!("{label}: {text}"))?;
    Ok(text)
}

fn wrong(what: &str, text: &str) -> Failure {
    Failure::new(
        CrmExit(OcfExit::INVALID_PARAM.0),
        format!("{text:?} is no {what} of ISO 8601"),
    )
}

/// A point of time in UTC, or as its own clock shows it.
fn write(at: DateTime, form: Form, own_clock: bool) -> String {
    let at = if own_clock { at } else { at.at_offset(0) };
    let fields = at.fields();
    let day = match form {
        Form::Seconds => return (at.epoch_s() + FROM_YEAR_1_S).to_string(),
        Form::Epoch => return at.epoch_s().to_string(),
        Form::Calendar => return at.to_string(),
        Form::Ordinal => format!("{:04}-{:03}", fields.year, fields.yearday),
        Form::Week => format!(
            "{:04}-W{:02}-{}",
            fields.weekyear, fields.week, fields.weekday
        ),
    };
    // The calendar form ends with the time.
    let full = at.to_string();
    let time = full.split_once(' ').map_or("", |(_, time)| time);
    format!("{day} {time}")
}

/// `START/END`, `START/DURATION`, `DURATION/END`, or a duration from now on.
fn read_period(text: &str, now: DateTime) -> Option<(DateTime, DateTime)> {
    let mut parts = text.split('/');
    let (first, second) = (parts.next()?, parts.next());
    let date = |text: &str| DateTime::parse(text, now).ok();
    match (first.starts_with('P'), second) {
        (true, None) => Some((now, now.plus(&Duration::parse(first)?))),
        (true, Some(end)) => {
            let (length, end) = (Duration::parse(first)?, date(end)?);
            Some((end.plus(&backwards(&length)), end))
        }
        (false, Some(length)) if length.starts_with('P') => {
            let start = date(first)?;
            Some((start, start.plus(&Duration::parse(length)?)))
        }
        (false, Some(end)) => Some((date(first)?, date(end)?)),
        (false, None) => None,
    }
}

fn backwards(length: &Duration) -> Duration {
    Duration {
        years: -length.years,
        months: -length.months,
        weeks: -length.weeks,
        days: -length.days,
        hours: -length.hours,
        minutes: -length.minutes,
        seconds: -length.seconds,
    }
}

/// `1 year  2 months 360 seconds (6 minutes)`.
fn in_words(length: &Duration) -> String {
    let count = |number: i64, word: &str, width: usize| {
        let end = if number == 1 { "" } else { "s" };
        format!("{number:>width$} {word}{end}")
    };
    let mut text = String::new();
    for (number, word, width) in [
        (length.years, "year", 4),
        (length.months, "month", 2),
        (
            length.days.saturating_add(length.weeks.saturating_mul(7)),
            "day",
            2,
        ),
    ] {
        if number != 0 {
            text.push_str(&count(number, word, width));
            text.push(' ');
        }
    }
    let seconds = Duration {
        years: 0,
        months: 0,
        weeks: 0,
        days: 0,
        ..*length
    }
    .approximate_seconds();
    if seconds == 0 && !text.is_empty() {
        return text;
    }
    text.push_str(&count(seconds, "second", 1));
    let whole = seconds.saturating_abs();
    if whole >= 60 {
        let parts: Vec<String> = [
            (whole / 3600, "hour"),
            (whole / 60 % 60, "minute"),
            (whole % 60, "second"),
        ]
        .into_iter()
        .filter(|(number, _)| *number != 0)
        .map(|(number, word)| count(number, word, 1))
        .collect();
        text.push_str(&format!(" ({})", parts.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> DateTime {
        DateTime::parse(text, DateTime::from_epoch(0)).unwrap()
    }

    #[test]
    fn one_date_in_every_form() {
        let at = date("2019-10-01 01:00:00 +01:00");
        assert_eq!(write(at, Form::Calendar, false), "2019-10-01 00:00:00Z");
        assert_eq!(
            write(at, Form::Calendar, true),
            "2019-10-01 01:00:00 +01:00"
        );
        assert_eq!(write(at, Form::Ordinal, false), "2019-274 00:00:00Z");
        assert_eq!(write(at, Form::Week, true), "2019-W40-2 01:00:00 +01:00");
        assert_eq!(write(at, Form::Seconds, false), "63705484800");
        assert_eq!(write(at, Form::Epoch, false), "1569888000");
    }

    #[test]
    fn durations_in_words() {
        let words = |text: &str| in_words(&Duration::parse(text).unwrap());
        assert_eq!(
            words("P1Y2M3DT4H5M6S"),
            "   1 year  2 months  3 days 14706 seconds (4 hours 5 minutes 6 seconds)"
        );
        assert_eq!(words("P2W"), "14 days ");
        assert_eq!(words("PT1S"), "1 second");
        assert_eq!(words("P0D"), "0 seconds");
        assert_eq!(words("PT-1H"), "-3600 seconds (1 hour)");
    }

    #[test]
    fn a_period_has_two_ends() {
        let now = date("2020-01-01 00:00:00Z");
        let shown = |text: &str| {
            let (start, end) = read_period(text, now)?;
            Some(format!("{start} {end}"))
        };
        let expected = "2019-09-01 00:00:00Z 2019-10-01 00:00:00Z";
        assert_eq!(shown("P1M/2019-10-01").as_deref(), Some(expected));
        assert_eq!(shown("2019-09-01/P1M").as_deref(), Some(expected));
        assert_eq!(shown("2019-09-01/2019-10-01").as_deref(), Some(expected));
        assert!(shown("P1M").is_some_and(|text| text.ends_with("2020-02-01 00:00:00Z")));
        for wrong in ["", "2019-09-01", "2019-09-01/", "P1M/P1M", "P1M/2019-13-01"] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
    }
}
