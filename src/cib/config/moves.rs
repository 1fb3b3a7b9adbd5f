//! The constraints that `move` and `ban` make, and when they end by themselves: a preference (or a ban) for one node in a
//! rule that holds until a date. // spec cluster §11

use crate::terms::DateTime;
use crate::xml::Element;

/// What a constraint that a tool made asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The constraint.
    pub id: String,
    /// The resource.
    pub rsc: String,
    /// The node that it is about, if one is named.
    pub node: Option<String>,
    /// Off the node, not to it.
    pub ban: bool,
    /// Only for this role.
    pub role: Option<String>,
    /// Seconds since 1970 when it ends; none when somebody has to clear it.
    pub until_s: Option<i64>,
    /// The date as it is written.
    pub until: Option<String>,
}

impl Move {
    /// Reads a constraint, if move or ban made it.
    pub fn of(constraint: &Element, now_s: i64) -> Option<Move> {
        let id = constraint.id()?;
        let prefer = id.starts_with("cli-prefer-");
        let ban = id.starts_with("cli-ban-") || id.starts_with("cli-standby-");
        if !constraint.is("rsc_location") || !(prefer || ban) {
            return None;
        }
        let named = constraint.descendants().find(|part| {
            part.is("expression")
                && part.get("attribute") == Some("#uname")
                && part.get("operation") == Some("eq")
        });
        let node = constraint
            .get("node")
            .or_else(|| named.and_then(|expression| expression.get("value")));
        let role = constraint.get("role").filter(|role| *role != "Started");
        let until = end_of(constraint);
        let now = DateTime::from_epoch(now_s);
        let until_s = until.and_then(|text| DateTime::parse(text, now).ok());
        Some(Move {
            id: id.to_owned(),
            rsc: constraint.get("rsc").unwrap_or_default().to_owned(),
            node: node.map(str::to_owned),
            ban,
            role: role.map(str::to_owned),
            until_s: until_s.map(DateTime::epoch_s),
            until: until.map(str::to_owned),
        })
    }

    /// Those of a CIB, in document order.
    pub fn all(cib: &Element, now_s: i64) -> Vec<Move> {
        let constraints = cib.descend(&["configuration", "constraints"]);
        let all = constraints.into_iter().flat_map(Element::children);
        all.filter_map(|constraint| Move::of(constraint, now_s))
            .collect()
    }

    /// Its time is over: it does nothing any more.
    pub fn is_over(&self, now_s: i64) -> bool {
        self.until_s.is_some_and(|end| end <= now_s)
    }
}

/// The end, when it is the one thing that the constraint's only rule says of time.
fn end_of(constraint: &Element) -> Option<&str> {
    let mut rules = constraint.children_named("rule");
    let rule = rules.next()?;
    let only = rules.next().is_none() && rule.get("boolean-op").is_none_or(|op| op == "and");
    let mut dates = rule.children_named("date_expression");
    let date = dates.next()?;
    let end = (only && dates.next().is_none() && rule.child("rule").is_none())
        .then(|| date.get("end"))
        .flatten();
    end.filter(|_| date.get("operation") == Some("lt"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, parse};

    fn read(text: &str) -> Option<Move> {
        Move::of(&parse(text, &Limits::CIB).expect("well-formed"), 0)
    }

    fn ruled(rule: &str) -> String {
        format!(
            "<rsc_location id='cli-ban-db-on-n1' rsc='db' role='Started'><rule id='r' score='-INFINITY' boolean-op='and'>\
             <expression id='e' attribute='#uname' operation='eq' value='n1' type='string'/>{rule}</rule></rsc_location>"
        )
    }

    #[test]
    fn a_ban_with_a_lifetime_ends_by_itself() {
        let text = ruled("<date_expression id='d' operation='lt' end='1970-01-01 00:01:00Z'/>");
        let ban = read(&text).expect("made by ban");
        assert_eq!((ban.rsc.as_str(), ban.node.as_deref()), ("db", Some("n1")));
        assert_eq!((ban.ban, ban.until_s), (true, Some(60)));
        assert!(!ban.is_over(59) && ban.is_over(60));
    }

    #[test]
    fn without_a_lifetime_or_with_a_rule_of_somebody_else_it_stays() {
        let plain =
            "<rsc_location id='cli-prefer-db' rsc='db' role='Started' node='n2' score='INFINITY'/>";
        let wish = read(plain).expect("made by move");
        assert_eq!(
            (wish.ban, wish.until_s, wish.node.as_deref()),
            (false, None, Some("n2"))
        );
        assert!(!wish.is_over(i64::MAX));
        let after = ruled("<date_expression id='d' operation='gt' start='1970-01-01 00:01:00Z'/>");
        assert!(!read(&after).expect("by its id").is_over(i64::MAX));
        assert_eq!(
            read("<rsc_location id='near' rsc='db' node='n1' score='1'/>"),
            None
        );
    }
}
