//! What `move` and `ban` asked for: who did, when, and when it ends.

use serde_json::{Value, json};

use super::page::Entry;
use crate::cib::config::moves::Move;
use crate::terms::span;

/// A constraint that move or ban made, and who made it, as far as the history of the configuration knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The constraint.
    pub what: Move,
    /// Who made it.
    pub by: Option<String>,
    /// When, in seconds since 1970.
    pub since_s: Option<i64>,
}

/// `Temporary Placement`.
pub fn move_list(wishes: &[Wish], now_s: i64) -> Option<Entry> {
    let lines: Vec<Entry> = wishes
        .iter()
        .map(|wish| Entry::Item(line(wish, now_s)))
        .collect();
    (!lines.is_empty()).then(|| Entry::List("Temporary Placement".into(), lines))
}

fn line(wish: &Wish, now_s: i64) -> String {
    let it = &wish.what;
    let how = if it.ban { "kept off" } else { "wanted on" };
    let node = it.node.as_deref().unwrap_or("some nodes");
    let role = it
        .role
        .as_ref()
        .map_or_else(String::new, |role| format!(" as {role}"));
    let mut out = format!("{}: {how} {node}{role} ({})", it.rsc, it.id);
    if let Some(by) = &wish.by {
        out.push_str(&format!(", by {by}"));
    }
    if let Some(since_s) = wish.since_s {
        out.push_str(&format!(" {} ago", seconds(now_s - since_s)));
    }
    out.push_str(&match it.until_s {
        Some(end) if end <= now_s => ", over".to_owned(),
        Some(end) => format!(", ends in {}", seconds(end - now_s)),
        None => format!(", until crm resource clear {}", it.rsc),
    });
    out
}

fn seconds(seconds: i64) -> String {
    span::readable(
        u64::try_from(seconds.max(0))
            .unwrap_or(0)
            .saturating_mul(1000),
    )
}

/// For programs.
pub fn move_values(wishes: &[Wish], now_s: i64) -> Vec<Value> {
    let value = |wish: &Wish| {
        let it = &wish.what;
        json!({
            "id": it.id,
            "resource": it.rsc,
            "node": it.node,
            "ban": it.ban,
            "role": it.role,
            "until": it.until_s,
            "remaining_s": it.until_s.map(|end| (end - now_s).max(0)),
            "by": wish.by,
            "since": wish.since_s,
        })
    };
    wishes.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::show::Page;

    #[test]
    fn age_author_and_remaining_time_are_told() {
        let it = |until_s| Wish {
            what: Move {
                id: "cli-ban-d-on-n1".into(),
                rsc: "d".into(),
                node: Some("n1".into()),
                ban: true,
                role: None,
                until_s,
                until: None,
            },
            by: Some("root (0)".into()),
            since_s: Some(1_000),
        };
        let mut page = Page::new();
        let wishes = [it(Some(1_160)), it(Some(1_050)), it(None)];
        page.entry(0, &move_list(&wishes, 1_060).expect("three"));
        assert_eq!(
            page.text(),
            "Temporary Placement:\n\
             \x20 * d: kept off n1 (cli-ban-d-on-n1), by root (0) 1m ago, ends in 1m40s\n\
             \x20 * d: kept off n1 (cli-ban-d-on-n1), by root (0) 1m ago, over\n\
             \x20 * d: kept off n1 (cli-ban-d-on-n1), by root (0) 1m ago, until crm resource clear d\n"
        );
        assert_eq!(move_list(&[], 0), None);
    }
}
