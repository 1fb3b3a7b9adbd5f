//! `iso8601`: dates, durations and periods as the rules of a configuration read them, written out in full.

use crate::{
    cli::{failure::Failure, show::xml::text_element},
    clock,
    terms::{CrmExit, DateTime, Duration},
    xml::Element,
};

use super::{Options, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('h', "help", false),
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
];

/// Seconds from the first day of year 1 to 1970.
const YEAR_ONE_S: i64 = 62_135_596_800;

/// How a date is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    #[default]
    Calendar,
    Ordinal,
    Week,
    /// Seconds since year 1.
    Seconds,
    /// Seconds since 1970.
    Epoch,
}

impl Form {
    /// The date in this form, in its own offset or in UTC.
    fn write(self, date: DateTime, local: bool) -> String {
        let date = if local { date } else { date.at_offset(0) };
        match self {
            Form::Calendar => date.to_string(),
            Form::Ordinal => date.ordinal(),
            Form::Week => date.week_date(),
            Form::Seconds => date.epoch_s().saturating_add(YEAR_ONE_S).to_string(),
            Form::Epoch => date.epoch_s().to_string(),
        }
    }
}

#[derive(Debug, Default)]
struct Asked {
    /// The text of a date, or nothing for now.
    date: Option<Option<String>>,
    period: Option<String>,
    duration: Option<String>,
    expected: Option<String>,
    form: Form,
    local: bool,
}

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let mut asked = Asked::default();
    while let Some((name, value)) = options.next()? {
        match name {
            "help" => return super::help(tool, "iso8601", "read ISO 8601 dates", OPTIONS),
            "version" => return super::version(tool),
            "now" => asked.date = Some(None),
            "date" => asked.date = Some(Some(value)),
            "period" => asked.period = Some(value),
            "duration" => asked.duration = Some(value),
            "expected" => asked.expected = Some(value),
            "seconds" => asked.form = Form::Seconds,
            "epoch" => asked.form = Form::Epoch,
            "ordinal" => asked.form = Form::Ordinal,
            "week" => asked.form = Form::Week,
            "local" => asked.local = true,
            "output-as" => tool.output_as(&value)?,
            _ => {}
        }
    }
    let now_s = clock::wall_s();
    let now = DateTime::from_epoch(now_s).at_offset(clock::utc_offset_s(now_s));
    answer(tool, &asked, now)
}

fn answer(tool: &mut Tool, asked: &Asked, now: DateTime) -> Result<(), Failure> {
    let shown = |date| asked.form.write(date, asked.local);
    let date = match &asked.date {
        None => None,
        Some(None) => {
            tool.line(&format!("Current date/time: {}", shown(now)))?;
            tool.element(text_element("now", &shown(now)));
            Some(now)
        }
        Some(Some(text)) => {
            let date =
                DateTime::parse(text, now).map_err(|_| invalid("date/time", text, "2019-09-24"))?;
            tool.line(&format!("Date: {}", shown(date)))?;
            tool.element(text_element("date", &shown(date)));
            Some(date)
        }
    };
    let mut duration = None;
    if let Some(text) = &asked.duration {
        let read = Duration::parse(text).ok_or_else(|| invalid("duration", text, "P1M"))?;
        tool.line(&format!("Duration: {}", words(&read)))?;
        tool.element(text_element("duration", &words(&read)));
        duration = Some(read);
    }
    if let Some(text) = &asked.period {
        let (start, end) =
            period(text, now).ok_or_else(|| invalid("interval", text, "2005-040/2005-043"))?;
        let (start, end) = (shown(start), shown(end));
        tool.line(&format!("Period: {start} to {end}"))?;
        tool.element(
            Element::new("period")
                .with_child(text_element("start", &start))
                .with_child(text_element("end", &end)),
        );
    }
    let result = match (date, duration) {
        (Some(date), Some(duration)) => {
            let end = date.plus(&duration);
            // Quirk: the end is shown in the offset of the date, and still expected in UTC.
            let local = asked.form.write(end, true);
            tool.line(&format!("Duration ends at: {local}"))?;
            tool.element(text_element("duration_ends", &local));
            Some(end)
        }
        (date, _) => date,
    };
    match (result, &asked.expected) {
        (Some(result), Some(expected)) if shown(result) != *expected => {
            // The result is on the screen, the exit code says that it is another one.
            Err(Failure::new(CrmExit::ERROR, ""))
        }
        _ => Ok(()),
    }
}

fn invalid(what: &str, text: &str, example: &str) -> Failure {
    Failure::new(CrmExit(2), format!("Invalid {what} specified: {text}"))
        .cure(format!("write it as in {example}"))
}

/// `START/END`, `START/DURATION`, `DURATION/END`, or a duration that starts now.
fn period(text: &str, now: DateTime) -> Option<(DateTime, DateTime)> {
    let date = |text: &str| DateTime::parse(text, now).ok();
    match text.split_once('/') {
        None => {
            let duration = Duration::parse(text)?;
            Some((now, now.plus(&duration)))
        }
        Some((first, end)) if first.starts_with('P') => {
            let (duration, end) = (Duration::parse(first)?, date(end)?);
            Some((end.plus(&duration.negated()), end))
        }
        Some((start, second)) if second.starts_with('P') => {
            let start = date(start)?;
            Some((start, start.plus(&Duration::parse(second)?)))
        }
        Some((start, end)) => Some((date(start)?, date(end)?)),
    }
}

/// `   1 year  2 months 25 days 18367 seconds (5 hours 6 minutes 7 seconds)`: calendar parts, then the time of a clock.
fn words(duration: &Duration) -> String {
    let plural = |number: i64| if number == 1 { "" } else { "s" };
    let days = duration
        .weeks
        .saturating_mul(7)
        .saturating_add(duration.days);
    let seconds = duration
        .hours
        .saturating_mul(3600)
        .saturating_add(duration.minutes.saturating_mul(60))
        .saturating_add(duration.seconds);
    let mut text = String::new();
    for (number, width, unit) in [
        (duration.years, 4, "year"),
        (duration.months, 2, "month"),
        (days, 2, "day"),
    ] {
        if number != 0 {
            text.push_str(&format!("{number:>width$} {unit}{} ", plural(number)));
        }
    }
    if seconds != 0 || text.is_empty() {
        text.push_str(&format!("{seconds} second{}", plural(seconds)));
    }
    let whole = seconds.unsigned_abs();
    if whole >= 60 {
        let parts = [
            (whole / 3600, "hour"),
            (whole / 60 % 60, "minute"),
            (whole % 60, "second"),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(number, _)| *number != 0)
            .map(|(number, unit)| format!("{number} {unit}{}", if number == 1 { "" } else { "s" }))
            .collect();
        text.push_str(&format!(" ({})", parts.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_words() {
        for (text, wanted) in [
            (
                "P1Y2M3W4DT5H6M7S",
                "   1 year  2 months 25 days 18367 seconds (5 hours 6 minutes 7 seconds)",
            ),
            ("PT0S", "0 seconds"),
            ("PT1S", "1 second"),
            ("PT25H", "90000 seconds (25 hours)"),
            ("P-1YT-61S", "  -1 years -61 seconds (1 minute 1 second)"),
            ("P1M", " 1 month "),
        ] {
            assert_eq!(words(&Duration::parse(text).unwrap()), wanted, "{text}");
        }
    }

    #[test]
    fn periods_have_two_ends_one_of_them_a_date() {
        let now = DateTime::from_epoch(1_700_000_000);
        let show = |text: &str| {
            period(text, now).map(|(start, end)| format!("{} {}", start.ordinal(), end.ordinal()))
        };
        for (text, wanted) in [
            ("2005-040/2005-043", "2005-040 00:00:00Z 2005-043 00:00:00Z"),
            ("2005-040/P1M", "2005-040 00:00:00Z 2005-068 00:00:00Z"),
            ("P1M/2005-040", "2005-009 00:00:00Z 2005-040 00:00:00Z"),
            ("PT1S", "2023-318 22:13:20Z 2023-318 22:13:21Z"),
        ] {
            assert_eq!(show(text).as_deref(), Some(wanted), "{text}");
        }
        for text in [
            "",
            "2005-040",
            "2005-040/",
            "/2005-040",
            "PT2S/P1M",
            "P1Z/2019-02-20",
        ] {
            assert_eq!(show(text), None, "{text}");
        }
    }
}
