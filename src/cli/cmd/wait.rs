//! Waiting until the cluster has done what a change asks of it.

use std::{thread::sleep, time::Duration};

use crate::{
    cli::{failure::Failure, shell::Shell},
    clock::Mono,
    terms::CrmExit,
};

/// Wait until the daemon answers, which may have been started just now, and then until nothing is left to do.
pub(super) fn ready(shell: &mut Shell, seconds: u64) -> Result<(), Failure> {
    let end = Mono::now().plus(seconds * 1000);
    loop {
        match shell.access.cib() {
            Err(failure) if failure.exit == CrmExit::DISCONNECTED && Mono::now() < end => {
                sleep(Duration::from_millis(100));
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
    loop {
        let cib = shell.access.cib()?;
        quiet = if super::plan::is_settled(&cib) {
            quiet + 1
        } else {
            0
        };
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
        sleep(Duration::from_millis(100));
    }
}
