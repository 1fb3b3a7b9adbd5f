//! Dates, durations and time spans, and arithmetic with them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use systole::terms::{DateTime, Duration, span};

fuzz_target!(|text: &str| {
    let now = DateTime::from_epoch(1_717_600_000);
    let (date, length) = text.split_once('\n').unwrap_or((text, text));
    let date = DateTime::parse(date, now).ok();
    let length = Duration::parse(length);
    for date in date.into_iter().chain([now]) {
        let written = date.to_string();
        let read = DateTime::parse(&written, now);
        assert_eq!(read.map(DateTime::epoch_s).ok(), Some(date.epoch_s()), "{written}");
        let _ = (date.fields(), date.ctime());
        if let Some(length) = &length {
            let _ = date.plus(length).to_string();
            let _ = length.approximate_seconds();
        }
    }
    if let Ok(ms) = span::parse_ms(text) {
        let _ = (span::readable(ms), span::ms_to_s(ms));
    }
});
