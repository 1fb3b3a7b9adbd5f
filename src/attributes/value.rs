//! Values that follow from the old one: `value++` and `value+=N`, literally. // spec cluster §15.2

use crate::terms::Score;

/// The new value. What is no score counts as 0, and sums stop at infinity.
pub(super) fn computed(asked: &str, old: Option<&str>) -> String {
    let Some(change) = asked.strip_prefix("value") else {
        return asked.to_owned();
    };
    let by = match change.strip_prefix("+=") {
        Some(by) => Score::parse(by).unwrap_or(Score::ZERO),
        None if change == "++" => Score::from(1),
        None => return asked.to_owned(),
    };
    let old = old.and_then(Score::parse).unwrap_or(Score::ZERO);
    (old + by).to_string()
}

/// Whether two values are the same one. // spec cluster §15.3
pub(super) fn same(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_follow_from_the_old_one() {
        let rows = [
            ("value++", None, "1"),
            ("value++", Some("4"), "5"),
            ("value++", Some("INFINITY"), "INFINITY"),
            ("value+=7", Some("x"), "7"),
            ("value+=-7", Some("3"), "-4"),
            ("value+=999999", Some("5"), "INFINITY"),
            ("values", Some("5"), "values"),
            ("value+7", Some("5"), "value+7"),
        ];
        for (asked, old, new) in rows {
            assert_eq!(computed(asked, old), new, "{asked} of {old:?}");
        }
    }
}
