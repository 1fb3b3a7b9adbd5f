//! What an alert agent is told, as environment variables. // spec cluster §17.3

use super::config::Receiver;
use super::vocab::{Happened, Moment, What};

/// The environment of one call: parameters first, so that none of them hides what happened.
pub(super) fn of(receiver: &Receiver, event: &Happened, sequence: u64) -> Vec<(String, String)> {
    let micros = event.at.timestamp().as_microsecond();
    let mut told = vec![
        ("kind", event.what.kind().to_owned()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("node", event.node.to_string()),
        ("node_sequence", sequence.to_string()),
        (
            "timestamp",
            timestamp(&event.at, &receiver.timestamp_format),
        ),
        ("timestamp_epoch", micros.div_euclid(1_000_000).to_string()),
        (
            "timestamp_usec",
            format!("{:06}", micros.rem_euclid(1_000_000)),
        ),
    ];
    if let Some(recipient) = &receiver.recipient {
        told.push(("recipient", recipient.clone()));
    }
    match &event.what {
        What::Node { id, state } => {
            told.push(("nodeid", id.to_string()));
            told.push(("desc", (*state).to_owned()));
        }
        What::Fencing { task, desc, rc } => {
            told.push(("task", task.clone()));
            told.push(("desc", desc.clone()));
            told.push(("rc", rc.to_string()));
        }
        What::Resource {
            rsc,
            task,
            interval_ms,
            target_rc,
            rc,
            status,
            exec_ms,
            desc,
        } => {
            told.push(("rsc", rsc.clone()));
            told.push(("task", task.clone()));
            told.push(("interval", interval_ms.to_string()));
            told.push(("target_rc", target_rc.to_string()));
            told.push(("rc", rc.to_string()));
            told.push(("status", status.to_string()));
            told.push(("exec_time", exec_ms.to_string()));
            told.push(("desc", desc.clone()));
        }
        What::Attribute { id, name, value } => {
            told.push(("nodeid", id.to_string()));
            told.push(("attribute_name", name.clone()));
            told.push(("attribute_value", value.clone()));
        }
    }
    let told = told
        .into_iter()
        .map(|(name, value)| (format!("CRM_alert_{name}"), value));
    receiver.env.iter().cloned().chain(told).collect()
}

/// A moment in the wanted format: that of `date`, with `%N` for a fraction of as many digits as its width says.
pub(super) fn timestamp(at: &Moment, format: &str) -> String {
    let nanos = format!("{:09}", at.subsec_nanosecond());
    let mut plain = String::new();
    let mut rest = format;
    while let Some(percent) = rest.find('%') {
        plain.push_str(&rest[..percent]);
        rest = &rest[percent..];
        let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
        if rest[1 + digits..].starts_with('N') {
            let width = rest[1..=digits].parse().unwrap_or(9_usize).clamp(1, 9);
            plain.push_str(&nanos[..width]);
            rest = &rest[digits + 2..];
        } else {
            // Another conversion, or `%%`: whoever formats the rest reads it whole.
            let end = rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at);
            plain.push_str(&rest[..end]);
            rest = &rest[end..];
        }
    }
    plain.push_str(rest);
    let readable = || at.strftime("%H:%M:%S").to_string();
    jiff::fmt::strtime::format(&plain, at).unwrap_or_else(|_| readable())
}
