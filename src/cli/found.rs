//! `crm cluster init|join|token`: the same as `systole init|join|token`.

use crate::terms::CrmExit;

use super::failure::Failure;

/// Run one of them.
pub fn run(words: &[String]) -> Result<(), Failure> {
    Err(Failure::new(
        CrmExit::USAGE,
        format!(
            "{} is a command of systole itself",
            words.first().map_or("", String::as_str)
        ),
    )
    .cure(format!("systole {}", words.join(" "))))
}
