//! A person waits: what is still to be done is on one line of the terminal, written over again and again, and Ctrl-C ends
//! the waiting and nothing else. What was written before stays written, and who made a change for a while takes it back.

use std::{
    io::{IsTerminal, Write, stderr},
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU8, Ordering},
        mpsc,
    },
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use super::{failure::Failure, terminal};
use crate::{clock::Mono, terms::CrmExit};

/// What a shell says of a program that was ended with Ctrl-C.
const INTERRUPTED: CrmExit = CrmExit(128 + 2);

/// Ctrl-C is noticed within this time.
const STEP: Duration = Duration::from_millis(100);

/// Somebody waits, until this goes.
pub(crate) struct Waiting {
    began: Mono,
    terminal: bool,
    /// What is on the line.
    shown: Option<String>,
}

impl Waiting {
    /// From now on.
    pub(crate) fn begin() -> Self {
        ctrl_c::to(ctrl_c::Meaning::Enough);
        Self {
            began: Mono::now(),
            terminal: stderr().is_terminal(),
            shown: None,
        }
    }

    /// Say what is waited for, if anybody looks on.
    pub(crate) fn show(&mut self, what: &str) {
        if !self.terminal {
            return;
        }
        let seconds = Mono::now().since(self.began) / 1000;
        let (columns, _) = terminal::size(stderr());
        let line = terminal::cut(&format!("waiting {seconds} s: {what}"), columns);
        if self.shown.as_ref() == Some(&line) {
            return;
        }
        // Nobody is there to read it when standard error is gone.
        let _ = write!(stderr(), "\r{line}\x1b[K").and_then(|()| stderr().flush());
        self.shown = Some(line);
    }

    /// Until the next look; Ctrl-C ends it.
    pub(crate) fn pause(&self, pause: Duration) -> Result<(), Failure> {
        let mut left = pause;
        loop {
            let now = left.min(STEP);
            std::thread::sleep(now);
            left -= now;
            if ctrl_c::was_pressed() {
                return Err(Failure::new(INTERRUPTED, "not waited for any longer")
                    .cure("what the cluster has begun goes on: see crm status"));
            }
            if left.is_zero() {
                return Ok(());
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(stderr(), "\r\x1b[K").and_then(|()| stderr().flush());
        }
        ctrl_c::to(ctrl_c::Meaning::End);
    }
}

/// Another program has the terminal, and with it Ctrl-C, until this goes.
pub(crate) struct Elsewhere;

impl Elsewhere {
    /// From now on.
    pub(crate) fn begin() -> Self {
        ctrl_c::to(ctrl_c::Meaning::Nothing);
        Self
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        ctrl_c::to(ctrl_c::Meaning::End);
    }
}

/// What Ctrl-C means; nothing is known of it before somebody waits for the first time.
mod ctrl_c {
    use super::{AtomicBool, AtomicU8, INTERRUPTED, OnceLock, Ordering, SignalKind, mpsc, signal};

    /// What it means.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Meaning {
        /// The program ends at once, as always.
        End,
        /// Whoever waits has waited enough; pressed once more, the program ends.
        Enough,
        /// It is for somebody else.
        Nothing,
    }

    static MEANING: AtomicU8 = AtomicU8::new(Meaning::End as u8);
    static PRESSED: AtomicBool = AtomicBool::new(false);
    static LISTENS: OnceLock<()> = OnceLock::new();

    pub(super) fn to(meaning: Meaning) {
        LISTENS.get_or_init(listen);
        PRESSED.store(false, Ordering::SeqCst);
        MEANING.store(meaning as u8, Ordering::SeqCst);
    }

    pub(super) fn was_pressed() -> bool {
        PRESSED.load(Ordering::SeqCst)
    }

    /// Whoever started us in the background may have it ignored, and it stays so.
    fn is_ignored() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        let bit = 1 << (SignalKind::interrupt().as_raw_value() - 1);
        mask.is_some_and(|mask| mask & bit != 0)
    }

    fn listen() {
        if is_ignored() {
            return;
        }
        let (ready, listening) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build();
            // Without it, Ctrl-C ends the program, as it always does.
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async move {
                let Ok(mut pressed) = signal(SignalKind::interrupt()) else {
                    return;
                };
                // Whoever waits for this is there.
                let _ = ready.send(());
                while pressed.recv().await.is_some() {
                    let again = PRESSED.swap(true, Ordering::SeqCst);
                    let meaning = MEANING.load(Ordering::SeqCst);
                    let ends =
                        meaning == Meaning::End as u8 || again && meaning == Meaning::Enough as u8;
                    if ends {
                        std::process::exit(INTERRUPTED.0);
                    }
                }
            });
        });
        // Also when the thread has ended already.
        let _ = listening.recv();
    }
}
