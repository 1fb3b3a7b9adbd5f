//! Points in time and calendar arithmetic as the rules of a configuration need them: ISO 8601 in the forms that the
//! field accepts, each value keeping the offset it was written with. No clock and no time zone data: what "now" is, and
//! how far local time is from UTC, come in as values.

use std::fmt;

use super::text;

/// A second in time, and the offset from UTC in which it was written. Ordered by the instant alone.
#[derive(Debug, Clone, Copy)]
pub struct DateTime {
    epoch_s: i64,
    offset_s: i32,
}

impl PartialEq for DateTime {
    fn eq(&self, other: &Self) -> bool {
        self.epoch_s == other.epoch_s
    }
}

impl Eq for DateTime {}

impl PartialOrd for DateTime {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DateTime {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.epoch_s.cmp(&other.epoch_s)
    }
}

/// Text that is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an ISO 8601 date")]
pub struct InvalidDate {
    text: String,
}

/// Calendar fields of a point in time, in its own offset. Weekdays count from Monday = 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct Fields {
    pub year: i64,
    pub month: u32,
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    pub yearday: u32,
    pub weekday: u32,
    pub weekyear: i64,
    pub week: u32,
}

impl DateTime {
    /// From seconds since 1970, in UTC.
    pub fn from_epoch(epoch_s: i64) -> Self {
        Self {
            epoch_s,
            offset_s: 0,
        }
    }

    /// The same instant seen at another offset from UTC.
    pub fn at_offset(self, offset_s: i32) -> Self {
        Self { offset_s, ..self }
    }

    /// Seconds since 1970 UTC.
    pub fn epoch_s(self) -> i64 {
        self.epoch_s
    }

    /// Seconds that its own clock is ahead of UTC.
    pub fn offset_s(self) -> i32 {
        self.offset_s
    }

    /// Reads a date, a time or both. `now` gives today's date where only a time is written, and the offset of local time
    /// where a time has none. // spec 1 §6.1
    pub fn parse(text: &str, now: DateTime) -> Result<Self, InvalidDate> {
        parse_date_time(text.trim(), now).ok_or_else(|| InvalidDate { text: text.into() })
    }

    /// Calendar fields in its own offset.
    pub fn fields(self) -> Fields {
        let local = self.epoch_s.saturating_add(i64::from(self.offset_s));
        let days = local.div_euclid(86_400);
        let second_of_day = local.rem_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        let weekday = weekday_of(days);
        let (weekyear, week) = iso_week(days);
        let small = |v: i64| u32::try_from(v).unwrap_or(0);
        Fields {
            year,
            month,
            day,
            hour: small(second_of_day / 3600),
            minute: small(second_of_day / 60 % 60),
            second: small(second_of_day % 60),
            yearday: small(days - days_from_civil(year, 1, 1) + 1),
            weekday,
            weekyear,
            week,
        }
    }

    /// The date after this duration: years keep the day of the year, months the day of the month as far as the month
    /// has it. // spec 1 §6.2
    pub fn plus(self, duration: &Duration) -> Self {
        let local = self.epoch_s.saturating_add(i64::from(self.offset_s));
        let mut days = local.div_euclid(86_400);
        let second_of_day = local.rem_euclid(86_400);
        if duration.years != 0 {
            let (year, _, _) = civil_from_days(days);
            let yearday = days - days_from_civil(year, 1, 1);
            days = days_from_civil(clamp_year(year.saturating_add(duration.years)), 1, 1) + yearday;
        }
        if duration.months != 0 {
            let (year, month, day) = civil_from_days(days);
            let months = year
                .saturating_mul(12)
                .saturating_add(i64::from(month) - 1 + clamp(duration.months));
            let (year, month) = (clamp_year(months.div_euclid(12)), months.rem_euclid(12) + 1);
            let month = u32::try_from(month).unwrap_or(1);
            days = days_from_civil(year, month, day.min(days_in_month(year, month)));
        }
        let seconds = days
            .saturating_add(clamp(duration.weeks).saturating_mul(7))
            .saturating_add(clamp(duration.days))
            .saturating_mul(86_400)
            .saturating_add(second_of_day)
            .saturating_add(clamp(duration.hours).saturating_mul(3600))
            .saturating_add(clamp(duration.minutes).saturating_mul(60))
            .saturating_add(clamp(duration.seconds));
        Self {
            epoch_s: seconds.saturating_sub(i64::from(self.offset_s)),
            offset_s: self.offset_s,
        }
    }

    /// `Sat Nov 21 00:03:17 2026`, in its own offset. // spec 4 §17.4
    pub fn ctime(self) -> String {
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let f = self.fields();
        format!(
            "{} {} {:>2} {:02}:{:02}:{:02} {}",
            DAYS[f.weekday as usize - 1],
            MONTHS[f.month as usize - 1],
            f.day,
            f.hour,
            f.minute,
            f.second,
            f.year
        )
    }
}

impl fmt::Display for DateTime {
    /// `2026-11-21 00:03:17Z`, or with `+02:00` for another offset.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.fields();
        write!(
            f,
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            t.year, t.month, t.day, t.hour, t.minute, t.second
        )?;
        match self.offset_s {
            0 => f.write_str("Z"),
            offset => {
                let minutes = offset.abs() / 60;
                let sign = if offset < 0 { '-' } else { '+' };
                write!(f, " {sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

/// A calendar duration: `P1Y2M3DT4H5M6S`, `P2W`, or the attributes of a `duration` element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct Duration {
    pub years: i64,
    pub months: i64,
    pub weeks: i64,
    pub days: i64,
    pub hours: i64,
    pub minutes: i64,
    pub seconds: i64,
}

impl Duration {
    /// A number of seconds.
    pub fn from_seconds(seconds: i64) -> Self {
        Self {
            seconds,
            ..Self::default()
        }
    }

    /// Reads `P...`; a part may have a sign, fractions are not known. Nothing behind a `T` is no time at all.
    /// // spec 1 §6.3
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('P')?;
        let mut out = Self::default();
        let mut in_time = false;
        let mut parts = 0;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('T') {
                in_time = true;
                rest = after;
                continue;
            }
            let signed = usize::from(rest.starts_with(['+', '-']));
            let digits = rest[signed..].bytes().take_while(u8::is_ascii_digit);
            let end = signed + digits.count();
            let number: i64 = rest.get(..end)?.parse().ok()?;
            let unit = rest[end..].chars().next()?;
            let field = match unit {
                'Y' => &mut out.years,
                'M' if in_time => &mut out.minutes,
                'M' => &mut out.months,
                'W' => &mut out.weeks,
                'D' => &mut out.days,
                'H' => &mut out.hours,
                'S' => &mut out.seconds,
                _ => return None,
            };
            *field = number;
            parts += 1;
            rest = &rest[end + 1..];
        }
        (parts > 0 || in_time).then_some(out)
    }

    /// Seconds, with years of 365 and months of 30 days.
    pub fn approximate_seconds(&self) -> i64 {
        let days = clamp(self.years)
            .saturating_mul(365)
            .saturating_add(clamp(self.months).saturating_mul(30))
            .saturating_add(clamp(self.weeks).saturating_mul(7))
            .saturating_add(clamp(self.days));
        days.saturating_mul(86_400)
            .saturating_add(clamp(self.hours).saturating_mul(3600))
            .saturating_add(clamp(self.minutes).saturating_mul(60))
            .saturating_add(clamp(self.seconds))
    }
}

/// Keeps arithmetic away from the ends of 64 bits; nobody schedules a hundred thousand years ahead.
fn clamp(value: i64) -> i64 {
    const BOUND: i64 = 1_000_000_000_000;
    value.clamp(-BOUND, BOUND)
}

fn clamp_year(year: i64) -> i64 {
    year.clamp(-1_000_000, 1_000_000)
}

fn parse_date_time(text: &str, now: DateTime) -> Option<DateTime> {
    let starts_epoch = text
        .get(..5)
        .is_some_and(|head| head.eq_ignore_ascii_case("epoch"));
    if starts_epoch && matches!(text.as_bytes().get(5), None | Some(b'/' | b' ')) {
        return Some(DateTime::from_epoch(0));
    }
    if text.starts_with('T') || text.as_bytes().get(2) == Some(&b':') {
        let local = now.epoch_s.checked_add(i64::from(now.offset_s))?;
        let today = local.div_euclid(86_400);
        return at_time(today, text.strip_prefix('T').unwrap_or(text), now.offset_s);
    }
    let end = text
        .bytes()
        .take_while(|b| b.is_ascii_digit() || *b == b'-' || *b == b'W')
        .count();
    let days = parse_date(&text[..end])?;
    match text[end..].chars().next() {
        Some('T' | ' ') => at_time(days, text[end + 1..].trim_start(), now.offset_s),
        _ => Some(DateTime {
            epoch_s: days.checked_mul(86_400)?,
            offset_s: 0,
        }),
    }
}

/// Days since 1970 of a calendar, ordinal or week date.
fn parse_date(text: &str) -> Option<i64> {
    let number = |part: &str| -> Option<i64> {
        let fits = (1..=6).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| part.parse().ok()).flatten()
    };
    // Four digits are all that the standard's years have, and there is no year 0 here.
    let year_of = |part: &str| number(part).filter(|year| (1..=9999).contains(year));
    let valid = |year: i64, month: i64, day: i64| -> Option<i64> {
        let month = u32::try_from(month).ok().filter(|m| (1..=12).contains(m))?;
        let day = u32::try_from(day)
            .ok()
            .filter(|d| (1..=days_in_month(year, month)).contains(d))?;
        Some(days_from_civil(year, month, day))
    };
    let parts: Vec<&str> = text.split('-').collect();
    match parts[..] {
        [year, week, day] if week.starts_with('W') => {
            let (year, week, day) = (year_of(year)?, number(&week[1..])?, number(day)?);
            let first = monday_of_week_one(year);
            let weeks = (monday_of_week_one(year + 1) - first) / 7;
            let fits = (1..=weeks).contains(&week) && (1..=7).contains(&day);
            fits.then_some(first + (week - 1) * 7 + day - 1)
        }
        [year, month, day] => valid(year_of(year)?, number(month)?, number(day)?),
        [year, yearday] if yearday.len() == 3 => {
            let (year, yearday) = (year_of(year)?, number(yearday)?);
            let length = days_from_civil(year + 1, 1, 1) - days_from_civil(year, 1, 1);
            (1..=length)
                .contains(&yearday)
                .then(|| days_from_civil(year, 1, 1) + yearday - 1)
        }
        [plain] if plain.len() == 8 && plain.bytes().all(|b| b.is_ascii_digit()) => valid(
            year_of(&plain[..4])?,
            number(&plain[4..6])?,
            number(&plain[6..])?,
        ),
        _ => None,
    }
}

/// This day at the time written, `text` being `H:M:S` or `HHMMSS` with an optional offset behind it.
fn at_time(days: i64, text: &str, local_offset_s: i32) -> Option<DateTime> {
    let end = text
        .bytes()
        .take_while(|b| b.is_ascii_digit() || *b == b':')
        .count();
    let seconds = parse_clock(&text[..end])?;
    let offset_s = match text[end..].trim_start() {
        "" => local_offset_s,
        "Z" | "z" => 0,
        zone => parse_offset(zone)?,
    };
    let local = days.checked_mul(86_400)?.checked_add(seconds)?;
    Some(DateTime {
        epoch_s: local.checked_sub(i64::from(offset_s))?,
        offset_s,
    })
}

fn parse_clock(text: &str) -> Option<i64> {
    let parts: Vec<&str> = if text.contains(':') {
        text.split(':').collect()
    } else {
        (0..text.len())
            .step_by(2)
            .map(|at| text.get(at..at + 2))
            .collect::<Option<_>>()?
    };
    if parts.is_empty() || parts.len() > 3 {
        return None;
    }
    let mut fields = [0i64; 3];
    for (field, part) in fields.iter_mut().zip(&parts) {
        if part.len() > 2 {
            return None;
        }
        *field = part.parse().ok()?;
    }
    let [hour, minute, second] = fields;
    let ordinary = hour < 24 && minute < 60 && second < 60;
    (ordinary || fields == [24, 0, 0]).then_some(hour * 3600 + minute * 60 + second)
}

fn parse_offset(zone: &str) -> Option<i32> {
    let (sign, rest) = match zone.as_bytes().first()? {
        b'-' => (-1, &zone[1..]),
        b'+' => (1, &zone[1..]),
        _ => (1, zone),
    };
    let (hours, minutes) = match rest.split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None if rest.len() == 4 => (rest.get(..2)?, rest.get(2..)?),
        None => (rest, "0"),
    };
    let hours = text::integer(hours).filter(|_| hours.len() <= 2 && !hours.is_empty())?;
    let minutes = text::integer(minutes).filter(|m| (0..60).contains(m))?;
    if !(0..=24).contains(&hours) {
        return None;
    }
    i32::try_from(sign * (hours * 3600 + minutes * 60)).ok()
}

// Calendar arithmetic on the proleptic Gregorian calendar: years are counted from March, so that the leap day is
// the last of its year, and eras of 400 years repeat exactly.

fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (
        year,
        u32::try_from(month).unwrap_or(1),
        u32::try_from(day).unwrap_or(1),
    )
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Monday = 1.
fn weekday_of(days: i64) -> u32 {
    u32::try_from((days + 3).rem_euclid(7) + 1).unwrap_or(1)
}

/// Week one holds the 4th of January.
fn monday_of_week_one(year: i64) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    fourth - i64::from(weekday_of(fourth)) + 1
}

fn iso_week(days: i64) -> (i64, u32) {
    let (year, _, _) = civil_from_days(days);
    let weekyear = if days >= monday_of_week_one(year + 1) {
        year + 1
    } else if days >= monday_of_week_one(year) {
        year
    } else {
        year - 1
    };
    let week = (days - monday_of_week_one(weekyear)) / 7 + 1;
    (weekyear, u32::try_from(week).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<i64> {
        DateTime::parse(text, DateTime::from_epoch(1_700_000_000))
            .ok()
            .map(DateTime::epoch_s)
    }

    #[test]
    fn dates_in_all_forms() {
        for (text, epoch_s) in [
            ("2026-11-21", 1_795_219_200),
            ("20261121", 1_795_219_200),
            ("2026-325", 1_795_219_200),
            ("2026-W47-6", 1_795_219_200),
            ("2026-11-21 00:03:17Z", 1_795_219_397),
            ("2026-11-21T02:03:17+02:00", 1_795_219_397),
            ("2026-11-21T02:03:17 +0200", 1_795_219_397),
            ("20261121T000317", 1_795_219_397),
            ("2026-11-20 24:00:00", 1_795_219_200),
            ("epoch", 0),
            ("T00:00:01Z", 1_699_920_001),
            ("00:00:01", 1_699_920_001),
            ("2038-01-19 03:14:08Z", 2_147_483_648),
        ] {
            assert_eq!(parse(text), Some(epoch_s), "{text}");
        }
        for text in [
            "",
            "x",
            "2026-13-01",
            "2026-02-30",
            "2026-11-21 25:00",
            "2026-W54-1",
            "9-",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn fields_follow_the_offset() {
        let late = DateTime::from_epoch(1_795_219_397).at_offset(-3600);
        let fields = late.fields();
        assert_eq!(
            (fields.year, fields.month, fields.day, fields.hour),
            (2026, 11, 20, 23)
        );
        assert_eq!(
            (fields.weekday, fields.week, fields.weekyear, fields.yearday),
            (5, 47, 2026, 324)
        );
        assert_eq!(
            DateTime::from_epoch(1_795_219_397).ctime(),
            "Sat Nov 21 00:03:17 2026"
        );
        assert_eq!(DateTime::from_epoch(1_609_459_200).fields().weekyear, 2020);
    }

    #[test]
    fn months_keep_the_day_as_far_as_there_is_one() {
        let january = DateTime::from_epoch(parse("2026-01-31").unwrap());
        let month = Duration {
            months: 1,
            ..Duration::default()
        };
        assert_eq!(january.plus(&month).to_string(), "2026-02-28 00:00:00Z");
        let year = Duration {
            years: -1,
            ..Duration::default()
        };
        assert_eq!(january.plus(&year).to_string(), "2025-01-31 00:00:00Z");
        assert_eq!(Duration::parse("P1Y2M3DT4H5M6S").unwrap().minutes, 5);
        assert_eq!(Duration::parse("P").map(|d| d.days), None);
        assert_eq!(Duration::parse("P1.5D"), None);
    }

    #[test]
    fn no_text_is_too_strange() {
        for text in [
            "é",
            "ééééé",
            "12:é",
            "2026-11-21T",
            "T",
            "99999999999999-1-1",
            "epoché",
        ] {
            let _ = parse(text);
            let _ = Duration::parse(text);
        }
    }
}
