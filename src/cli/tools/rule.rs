//! `crm_rule`: whether a rule of the configuration is in effect, now or at another time. Only what a clock can say is
//! answered, so a rule has to have one date condition.

use crate::{
    cli::failure::Failure,
    clock,
    policy::{DateVerdict, judge_date},
    terms::{CrmExit, DateTime},
    xml::{self, Element, Limits},
};

use super::{Options, Tool};

const OPTIONS: &[(char, &str, bool)] = &[
    ('h', "help", false),
    ('$', "version", false),
    ('V', "verbose", false),
    ('c', "check", false),
    ('X', "xml-text", true),
    ('d', "date", true),
    ('r', "rule", true),
    ('\0', "output-as", true),
];

/// Exit code for a rule that can't be judged by a clock.
const UNIMPLEMENTED: CrmExit = CrmExit(3);

/// Run it.
pub fn run(tool: &mut Tool, args: &[String]) -> Result<(), Failure> {
    let mut options = Options::new(OPTIONS, args);
    let (mut check, mut text, mut date, mut rules) = (false, None, None, Vec::new());
    while let Some((name, value)) = options.next()? {
        match name {
            "help" => return super::help(tool, "crm_rule", "evaluate rules", OPTIONS),
            "version" => return super::version(tool),
            "check" => check = true,
            "xml-text" => text = Some(value),
            "date" => date = Some(value),
            "rule" => rules.push(value),
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
    let now_s = clock::wall_s();
    let mut now = DateTime::from_epoch(now_s).at_offset(clock::utc_offset_s(now_s));
    if let Some(date) = date {
        // What stands behind a slash would be the end of a period; its start is the date.
        let start = date.split('/').next().unwrap_or_default();
        now = DateTime::parse(start, now).map_err(|_| {
            Failure::new(CrmExit::DATA, format!("Invalid date specified: '{date}'"))
                .cure("write it as in 2026-11-21 00:03:17 +02:00")
        })?;
    }
    let document = document(tool, text)?;
    let mut last = CrmExit::OK;
    for id in &rules {
        last = one(tool, &document, id, now)?;
    }
    match last {
        CrmExit::OK => Ok(()),
        exit => Err(Failure::new(exit, "")),
    }
}

/// The XML that was given, from standard input when that is asked for, or else the CIB.
fn document(tool: &mut Tool, text: Option<String>) -> Result<Element, Failure> {
    let text = match text {
        None => return Ok(tool.access.cib()?.into_root()),
        Some(text) if text == "-" => std::io::read_to_string(std::io::stdin())?,
        Some(text) => text,
    };
    xml::parse(&text, &Limits::CIB).map_err(|error| {
        Failure::new(
            CrmExit::DATA,
            format!("Couldn't parse input string: {}", text.trim_end()),
        )
        .cure(error.to_string())
    })
}

/// Say whether one rule is in effect.
fn one(tool: &mut Tool, document: &Element, id: &str, now: DateTime) -> Result<CrmExit, Failure> {
    let (exit, outcome) = match judge(document, id, now) {
        Ok(DateVerdict::InEffect) => (CrmExit::OK, Ok("is still in effect")),
        Ok(DateVerdict::Satisfied) => (CrmExit::OK, Ok("satisfies conditions")),
        Ok(DateVerdict::Expired) => (CrmExit::EXPIRED, Ok("is expired")),
        Ok(DateVerdict::NotYet) => (CrmExit::NOT_YET, Ok("has not yet taken effect")),
        Ok(DateVerdict::Unreadable) => (CrmExit::INDETERMINATE, Err("Error parsing rule")),
        Err((exit, why)) => (exit, Err(why)),
    };
    tool.element(
        Element::new("rule-check")
            .with("rule-id", id)
            .with("rc", exit.0.to_string()),
    );
    match outcome {
        Ok(text) => tool.line(&format!("Rule {id} {text}"))?,
        Err(why) => tool.error(&format!(
            "Could not determine whether rule {id} is in effect: {why}"
        )),
    }
    Ok(exit)
}

/// What the clock says about the only date condition of a rule.
fn judge(
    document: &Element,
    id: &str,
    now: DateTime,
) -> Result<DateVerdict, (CrmExit, &'static str)> {
    let rule = document
        .descendants()
        .find(|element| element.is("rule") && element.id() == Some(id))
        .ok_or((CrmExit::NO_SUCH, "Rule not found"))?;
    let mut dates = rule
        .descendants()
        .filter(|element| element.is("date_expression"));
    let date = dates
        .next()
        .ok_or((UNIMPLEMENTED, "Rule does not have a date expression"))?;
    if dates.next().is_some() {
        return Err((UNIMPLEMENTED, "Rule has more than one date expression"));
    }
    let by_spec = date
        .get("operation")
        .is_some_and(|operation| operation.eq_ignore_ascii_case("date_spec"));
    // What repeats each day or year is never over, so the answer would change all the time.
    if by_spec
        && !date
            .child("date_spec")
            .is_some_and(|spec| spec.has("years"))
    {
        return Err((
            UNIMPLEMENTED,
            "Rule must either not use date_spec, or use date_spec with years=",
        ));
    }
    Ok(judge_date(date, now).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(conditions: &str) -> Result<DateVerdict, (CrmExit, &'static str)> {
        let text = format!("<constraints><rule id=\"r\">{conditions}</rule></constraints>");
        let document = xml::parse(&text, &Limits::CIB).unwrap();
        // 2026-11-21 00:03:17
        judge(&document, "r", DateTime::from_epoch(1_795_219_397))
    }

    #[test]
    fn a_date_is_to_come_in_effect_or_over() {
        for (attributes, wanted) in [
            ("operation='gt' start='2026-11-21'", DateVerdict::InEffect),
            ("operation='gt' start='2026-11-22'", DateVerdict::NotYet),
            ("operation='lt' end='2026-11-22'", DateVerdict::InEffect),
            ("operation='lt' end='2026-11-21'", DateVerdict::Expired),
            ("start='2026-01-01' end='2027-01-01'", DateVerdict::InEffect),
            ("start='2025-01-01' end='2026-01-01'", DateVerdict::Expired),
            ("start='2027-01-01' end='2028-01-01'", DateVerdict::NotYet),
            ("operation='gt' start='2026x'", DateVerdict::Unreadable),
            ("operation='gt'", DateVerdict::Unreadable),
        ] {
            let found = judged(&format!("<date_expression id='d' {attributes}/>"));
            assert_eq!(found, Ok(wanted), "{attributes}");
        }
    }

    #[test]
    fn a_date_spec_with_years_can_be_over() {
        let spec = |attributes: &str| {
            judged(&format!(
                "<date_expression id='d' operation='date_spec'><date_spec id='s' {attributes}/></date_expression>"
            ))
        };
        assert_eq!(spec("years='2026-2028'"), Ok(DateVerdict::Satisfied));
        assert_eq!(spec("years='2019'"), Ok(DateVerdict::Expired));
        assert_eq!(spec("years='2027-'"), Ok(DateVerdict::NotYet));
        assert_eq!(spec("years='2026' months='1'"), Ok(DateVerdict::Expired));
        assert_eq!(
            spec("years='2026' months='1,2'"),
            Ok(DateVerdict::Unreadable)
        );
        assert_eq!(
            spec("hours='9-17'").map_err(|(exit, _)| exit),
            Err(UNIMPLEMENTED)
        );
    }

    #[test]
    fn there_has_to_be_one_date() {
        let exit = |conditions: &str| judged(conditions).map_err(|(exit, _)| exit);
        let date = "<date_expression id='d' operation='gt' start='2026-01-01'/>";
        assert_eq!(exit(""), Err(UNIMPLEMENTED));
        assert_eq!(exit(&date.repeat(2)), Err(UNIMPLEMENTED));
        let with_attribute =
            format!("<expression id='e' attribute='a' operation='defined'/>{date}");
        assert_eq!(exit(&with_attribute), Ok(DateVerdict::InEffect));
    }
}
