//! A forecast for people and for programs.

use serde_json::{Value, json};

use super::{Forecast, Interruption};
use crate::terms::span;

/// Objects that are named in one line.
const NAMED: usize = 12;

/// For people.
pub(crate) fn as_text(forecast: &Forecast) -> String {
    let mut out = String::from("Changed: ");
    let names: Vec<String> = forecast.objects.iter().map(ToString::to_string).collect();
    out.push_str(&names[..names.len().min(NAMED)].join(" "));
    if names.len() > NAMED {
        out.push_str(&format!(" and {} more", names.len() - NAMED));
    }
    out.push('\n');
    if forecast.due_anyway > 0 {
        out.push_str(&format!(
            "The cluster is busy: {} due without this change, too.\n",
            match forecast.due_anyway {
                1 => "1 action is".to_owned(),
                n => format!("{n} actions are"),
            }
        ));
    }
    match (forecast.deeds.as_slice(), forecast.actions) {
        ([], 0) => out.push_str("Nothing is started, stopped or moved.\n"),
        ([], n) => out.push_str(&format!(
            "Nothing is started, stopped or moved ({}, such as monitors that change).\n",
            actions(n)
        )),
        (deeds, n) => {
            out.push_str(&format!("What will be done ({}):\n", actions(n)));
            for deed in deeds {
                out.push_str(&format!("  {deed}\n"));
            }
        }
    }
    let away: Vec<&Interruption> = forecast.interruptions.iter().collect();
    if !away.is_empty() {
        out.push_str("Interrupted meanwhile:\n");
        let width = away.iter().map(|it| name(it).len()).max().unwrap_or(0);
        for it in away {
            out.push_str(&format!("  {:width$}  {}\n", name(it), how_long(it)));
        }
    }
    if !forecast.rails.is_empty() {
        out.push_str("Think about it first:\n");
        for rail in &forecast.rails {
            out.push_str(&format!("  ! {rail}\n"));
        }
    }
    out
}

fn name(it: &Interruption) -> String {
    if it.promoted {
        format!("{} (promoted)", it.rsc)
    } else {
        it.rsc.clone()
    }
}

fn how_long(it: &Interruption) -> String {
    let Some(ms) = it.ms else {
        return "and does not come back".to_owned();
    };
    let worst = if it.worst_ms > 0 {
        format!(", at most {} by its timeouts", span::readable(it.worst_ms))
    } else {
        String::new()
    };
    let fencing = if it.fencing {
        ", and as long as fencing takes"
    } else {
        ""
    };
    if it.known {
        format!("about {}{worst}{fencing}", span::readable(ms))
    } else if ms > 0 {
        format!(
            "more than {}{worst}{fencing} (some of it never ran yet)",
            span::readable(ms)
        )
    } else {
        format!("for a time that is not known{worst}{fencing} (it never did that yet)")
    }
}

/// For programs; its shape is stable.
pub(crate) fn as_json(forecast: &Forecast) -> Value {
    let away = |it: &Interruption| {
        json!({
            "resource": it.rsc,
            "promoted_role": it.promoted,
            "expected_ms": it.ms,
            "all_times_known": it.known,
            "worst_ms": it.worst_ms,
            "fencing": it.fencing,
        })
    };
    json!({
        "changed": forecast.objects,
        "summary": forecast.deeds,
        "actions": forecast.actions,
        "interrupted": forecast.interruptions.iter().map(away).collect::<Vec<_>>(),
        "guard_rails": forecast.rails.iter().map(|rail| json!({
            "kind": rail.kind(),
            "text": rail.to_string(),
        })).collect::<Vec<_>>(),
        "settles": forecast.settles,
        "due_anyway": forecast.due_anyway,
    })
}

fn actions(n: usize) -> String {
    match n {
        1 => "1 action".to_owned(),
        n => format!("{n} actions"),
    }
}
