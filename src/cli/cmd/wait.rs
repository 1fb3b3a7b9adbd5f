//! Waiting until the cluster has done what a change asks of it.

use std::time::Duration;

use super::doctor;
use crate::{
    cli::{failure::Failure, shell::Shell, waiting::Waiting},
    clock::Mono,
    rpc::CheckupRequest,
    terms::CrmExit,
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// After so many milliseconds, and again and again, it is asked whether waiting is any use.
const DOUBT_MS: u64 = 5_000;

/// Wait until the daemon answers, which may have been started just now, and then until nothing is left to do.
pub(super) fn ready(shell: &mut Shell, seconds: u64) -> Result<(), Failure> {
    let end = Mono::now().plus(seconds * 1000);
    let mut waiting = Waiting::begin();
    loop {
        match shell.access.cib() {
            Err(failure) if failure.exit == CrmExit::DISCONNECTED && Mono::now() < end => {
                waiting.show("the daemon does not answer yet");
                waiting.pause(PAUSE)?;
            }
            Err(failure) => return Err(failure),
            Ok(_) => return idle(shell, end.since(Mono::now()).div_ceil(1000)),
        }
    }
}

/// Wait until a plan made from the CIB has nothing left to do. Offline there is nobody who would do it.
///
/// # Errors
/// Fails when the time is over, and when the cluster does the same again and again and nothing comes of it.
pub(super) fn idle(shell: &mut Shell, seconds: u64) -> Result<(), Failure> {
    if !shell.access.live() {
        return Ok(());
    }
    let end = Mono::now().plus(seconds * 1000);
    let mut quiet = 0;
    let mut doubt = Mono::now().plus(DOUBT_MS);
    let mut waiting = Waiting::begin();
    loop {
        let cib = shell.access.cib()?;
        match super::plan::left(&cib) {
            None => quiet += 1,
            Some(left) => {
                quiet = 0;
                waiting.show(&left);
                if Mono::now() >= doubt {
                    is_of_use(shell)?;
                    doubt = Mono::now().plus(DOUBT_MS);
                }
            }
        }
        if quiet >= 2 {
            return Ok(());
        }
        if Mono::now().0 >= end.0 {
            return Err(Failure::new(
                CrmExit::TIMEOUT,
                format!("the cluster is still busy after {seconds} s"),
            )
            .cure("see crm status and crm explain RESOURCE"));
        }
        waiting.pause(PAUSE)?;
    }
}

/// A plan that comes back as it was is carried out again after pauses of up to a quarter of an hour: nobody waits for that.
fn is_of_use(shell: &mut Shell) -> Result<(), Failure> {
    // Who may not ask goes on waiting.
    let Ok(nodes) = doctor::reports(shell, CheckupRequest::default()) else {
        return Ok(());
    };
    let deeds: Vec<String> = nodes.into_iter().flat_map(|node| node.in_vain).collect();
    if deeds.is_empty() {
        return Ok(());
    }
    let text = format!(
        "the cluster does this again and again, and nothing comes of it: {}",
        deeds.join(", ")
    );
    Err(Failure::new(CrmExit::ERROR, text).cure(
        "crm explain RESOURCE says why it is wanted; crm resource refresh RESOURCE has it looked at anew",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cib::{Cib, Command},
        cli::access::Access,
        rpc::{AdminAnswer, AdminRequest, NodeReport},
        xml::Element,
    };

    /// A cluster of two nodes, whose second one coordinates, and does this in vain.
    struct Two(Vec<String>);

    impl Access for Two {
        fn cib(&mut self) -> Result<Cib, Failure> {
            Ok(Cib::empty())
        }

        fn write(&mut self, _: Command) -> Result<Option<Element>, Failure> {
            Ok(None)
        }

        fn ask(&mut self, _: AdminRequest) -> Result<AdminAnswer, Failure> {
            let second = NodeReport {
                in_vain: self.0.clone(),
                ..NodeReport::default()
            };
            let nodes = vec![NodeReport::default(), second];
            Ok(AdminAnswer::Json(
                serde_json::to_value(nodes).unwrap_or_default(),
            ))
        }

        fn live(&self) -> bool {
            true
        }
    }

    #[test]
    fn nobody_waits_for_what_is_done_in_vain() {
        let of = |deeds: &[&str]| {
            let deeds = deeds.iter().map(ToString::to_string).collect();
            is_of_use(&mut Shell::new(Box::new(Two(deeds))))
        };
        assert!(of(&[]).is_ok());
        let failure = of(&["vip_start_0 on n1"]).expect_err("an hour of waiting");
        let text = failure.to_string();
        assert!(text.contains("vip_start_0 on n1"), "{text}");
    }
}
