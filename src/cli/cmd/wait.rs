//! Waiting until the cluster has done what a change asks of it.

use std::time::Duration;

use crate::{
    cli::{failure::Failure, shell::Shell, waiting::Waiting},
    clock::Mono,
    terms::CrmExit,
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

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
pub(super) fn idle(shell: &mut Shell, seconds: u64) -> Result<(), Failure> {
    if !shell.access.live() {
        return Ok(());
    }
    let end = Mono::now().plus(seconds * 1000);
    let mut quiet = 0;
    let mut waiting = Waiting::begin();
    loop {
        let cib = shell.access.cib()?;
        match super::plan::left(&cib) {
            None => quiet += 1,
            Some(left) => {
                quiet = 0;
                waiting.show(&left);
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
