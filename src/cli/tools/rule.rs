//! `crm_rule`: whether a rule of the configuration is in effect at a time.

use std::io::Read;

use crate::{
    cib::Cib,
    cli::failure::Failure,
    clock,
    policy::facts::rules::{DateState, date_state},
    terms::{CrmExit, DateTime, OcfExit},
    xml::{Element, Limits},
};

use super::{Options, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('?', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('c', "check", false),
    ('r', "rule", true),
    ('d', "date", true),
    ('X', "xml-text", true),
    ('\0', "output-as", true),
    ('\0', "output-to", true),
];

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let (mut check, mut rules, mut date, mut text) = (false, Vec::new(), None, None);
    while let Some((name, value)) = options.next()? {
        match name {
            "help" => {
                return super::help(
                    tool,
                    "crm_rule",
                    "check whether rules are in effect",
                    OPTIONS,
                );
            }
            "version" => return super::version(tool),
            "check" => check = true,
            "rule" => rules.push(value),
            "date" => date = Some(value),
            "xml-text" => text = Some(value),
            "output-as" => tool.output_as(&value)?,
            _ => {}
        }
    }
    if !check {
        return Err(Failure::usage("No mode operation given").cure("say --check"));
    }
    if rules.is_empty() {
        return Err(Failure::usage("--check requires use of --rule="));
    }
    let clock = DateTime::from_epoch(clock::wall_s());
    let now = match date {
        None => clock,
        Some(text) => DateTime::parse(&text, clock).map_err(|_| {
            Failure::new(CrmExit::DATA, format!("Invalid date specified: '{text}'"))
        })?,
    };
    let root = match text {
        None => tool.access.cib()?.into_root(),
        Some(text) => given(&text)?,
    };
    let mut exit = CrmExit::OK;
    for id in &rules {
        let code = report(tool, id, verdict(&root, id, now))?;
        if code != CrmExit::OK {
            exit = code;
        }
    }
    if exit == CrmExit::OK {
        Ok(())
    } else {
        Err(Failure::new(exit, ""))
    }
}

/// The document in this text, or on standard input for `-`.
fn given(text: &str) -> Result<Element, Failure> {
    let mut input = text.to_owned();
    if text == "-" {
        input.clear();
        let most = Limits::CIB.bytes as u64;
        let read = std::io::stdin()
            .lock()
            .take(most)
            .read_to_string(&mut input);
        read.map_err(|error| {
            Failure::new(
                CrmExit::DATA,
                format!("standard input can't be read: {error}"),
            )
        })?;
    }
    let parsed = Cib::parse(input.as_bytes(), &Limits::CIB);
    parsed.map(Cib::into_root).map_err(|error| {
        let input = input.trim();
        Failure::new(
            CrmExit::DATA,
            format!("Couldn't parse input string: {input} ({error})"),
        )
    })
}

/// What became of one rule: how the time lies to it, and whether it is about fields of the calendar.
type Verdict = Result<(DateState, bool), (CrmExit, &'static str)>;

fn verdict(root: &Element, id: &str, now: DateTime) -> Verdict {
    let unclear = |text| Err((CrmExit(OcfExit::UNIMPLEMENTED.0), text));
    let configuration = root.child("configuration").unwrap_or(root);
    let mut found = configuration
        .descendants()
        .filter(|rule| rule.is("rule") && rule.id() == Some(id));
    let Some(rule) = found.next() else {
        return Err((CrmExit::NO_SUCH, "Rule not found"));
    };
    if found.next().is_some() {
        return Err((CrmExit::NO_SUCH, "More than one rule with the ID found"));
    }
    let mut dates = rule.descendants().filter(|part| part.is("date_expression"));
    let (date, more) = (dates.next(), dates.next());
    let Some(date) = date else {
        return unclear("Rule does not have a date expression");
    };
    if more.is_some() {
        return unclear("Rule has more than one date expression");
    }
    let by_fields = date
        .get("operation")
        .is_some_and(|operation| operation.eq_ignore_ascii_case("date_spec"));
    if by_fields
        && date
            .child("date_spec")
            .is_none_or(|spec| !spec.has("years"))
    {
        // Other fields come round again, so that "expired" has no meaning.
        return unclear("Rule must either not use date_spec, or use date_spec with years=");
    }
    Ok((date_state(date, now).0, by_fields))
}

fn report(tool: &mut Tool, id: &str, verdict: Verdict) -> Result<CrmExit, Failure> {
    let (code, text) = match verdict {
        Ok((DateState::Within, true)) => (CrmExit::OK, "satisfies conditions"),
        Ok((DateState::Within, false)) => (CrmExit::OK, "is still in effect"),
        Ok((DateState::Before, _)) => (CrmExit::NOT_YET, "has not yet taken effect"),
        Ok((DateState::After, _)) => (CrmExit::EXPIRED, "is expired"),
        Ok((DateState::Unreadable, _)) => (CrmExit::INDETERMINATE, "has a date that can't be read"),
        Err((code, text)) => (code, text),
    };
    tool.element(
        Element::new("rule-check")
            .with("rule-id", id)
            .with("rc", code.0.to_string()),
    );
    match verdict {
        Err(_) => tool.error(&format!(
            "Could not determine whether rule {id} is in effect: {text}"
        )),
        Ok(_) => tool.line(&format!("Rule {id} {text}"))?,
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict_on(condition: &str, day: &str) -> Verdict {
        let text = format!(
            r#"<cib><configuration><constraints><rsc_location id="l" rsc="r"><rule id="a" score="1">
               {condition}</rule></rsc_location></constraints></configuration></cib>"#
        );
        let root = crate::xml::parse(text.as_bytes(), &Limits::CIB).unwrap();
        let now = DateTime::parse(day, DateTime::from_epoch(0)).unwrap();
        verdict(&root, "a", now)
    }

    #[test]
    fn a_date_is_before_within_or_after() {
        let range =
            r#"<date_expression id="d" operation="in_range" start="2020-01-01" end="2020-02-01"/>"#;
        assert_eq!(
            verdict_on(range, "2019-12-31"),
            Ok((DateState::Before, false))
        );
        assert_eq!(
            verdict_on(range, "2020-01-01"),
            Ok((DateState::Within, false))
        );
        assert_eq!(
            verdict_on(range, "2020-02-01"),
            Ok((DateState::Within, false))
        );
        assert_eq!(
            verdict_on(range, "2020-02-02"),
            Ok((DateState::After, false))
        );
    }

    #[test]
    fn the_coarsest_field_decides() {
        let spec = |fields: &str| {
            format!(
                r#"<date_expression id="d" operation="date_spec"><date_spec id="s" {fields}/></date_expression>"#
            )
        };
        let june = spec(r#"years="2020" months="6""#);
        assert_eq!(
            verdict_on(&june, "2019-12-31"),
            Ok((DateState::Before, true))
        );
        assert_eq!(
            verdict_on(&june, "2020-06-30"),
            Ok((DateState::Within, true))
        );
        assert_eq!(
            verdict_on(&june, "2020-07-01"),
            Ok((DateState::After, true))
        );
        assert!(verdict_on(&spec(r#"months="6""#), "2020-06-30").is_err());
    }

    #[test]
    fn only_one_date_can_be_judged() {
        let one = r#"<date_expression id="d" operation="gt" start="2020-01-01"/>"#;
        assert!(verdict_on(&one.repeat(2), "2020-06-30").is_err());
        assert!(
            verdict_on(
                r#"<expression id="e" attribute="x" operation="defined"/>"#,
                "2020-06-30"
            )
            .is_err()
        );
    }
}
