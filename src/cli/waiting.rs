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

/// The line that somebody types as the answer to a question; none if it was Ctrl-C.
pub(crate) fn answer(out: &mut dyn Write, question: &str) -> std::io::Result<Option<String>> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let (input, mut line) = (std::io::stdin(), String::new());
    // Whoever sees the question may press Ctrl-C at once.
    let enough = input.is_terminal().then(Waiting::begin);
    write!(out, "{question} ")?;
    out.flush()?;
    if enough.is_some() {
        let step = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(STEP.subsec_nanos()),
        };
        loop {
            if ctrl_c::was_pressed() {
                // The cursor stands behind the question.
                writeln!(stderr())?;
                return Ok(None);
            }
            let mut ready = [PollFd::new(&input, PollFlags::IN)];
            match poll(&mut ready, Some(&step)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    input.read_line(&mut line)?;
    Ok(Some(line))
}

/// A change was made for a while only: until this goes it has to be taken back, and nothing ends the program before that
/// but a person who insists.
pub(crate) struct Borrowed;

impl Borrowed {
    /// From now on.
    pub(crate) fn begin() -> Self {
        ctrl_c::borrowed(true);
        Self
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        ctrl_c::borrowed(false);
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

/// What Ctrl-C means, and a terminal that is closed; nothing is known of either before somebody waits for the first time.
mod ctrl_c {
    use super::{
        AtomicBool, AtomicU8, OnceLock, Ordering, SignalKind, Write, mpsc, signal, stderr,
    };

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
    /// How often it was pressed since somebody began to wait, or to borrow.
    static PRESSED: AtomicU8 = AtomicU8::new(0);
    static BORROWED: AtomicBool = AtomicBool::new(false);
    static LISTENS: OnceLock<()> = OnceLock::new();

    pub(super) fn to(meaning: Meaning) {
        LISTENS.get_or_init(listen);
        // Who borrowed something wants to know also what came between two waits.
        if !BORROWED.load(Ordering::SeqCst) {
            PRESSED.store(0, Ordering::SeqCst);
        }
        MEANING.store(meaning as u8, Ordering::SeqCst);
    }

    pub(super) fn borrowed(is: bool) {
        LISTENS.get_or_init(listen);
        PRESSED.store(0, Ordering::SeqCst);
        BORROWED.store(is, Ordering::SeqCst);
    }

    pub(super) fn was_pressed() -> bool {
        PRESSED.load(Ordering::SeqCst) > 0
    }

    /// Whoever started us in the background may have it ignored, and it stays so.
    fn is_ignored(kind: SignalKind) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        let bit = 1 << (kind.as_raw_value() - 1);
        mask.is_some_and(|mask| mask & bit != 0)
    }

    fn listen() {
        let wanted = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ];
        for kind in wanted.into_iter().filter(|kind| !is_ignored(*kind)) {
            let (ready, listening) = mpsc::channel();
            std::thread::spawn(move || listen_to(kind, ready));
            // Also when the thread has ended already.
            let _ = listening.recv();
        }
    }

    fn listen_to(kind: SignalKind, ready: mpsc::Sender<()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build();
        // Without it, Ctrl-C ends the program, as it always does.
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async move {
            let Ok(mut pressed) = signal(kind) else {
                return;
            };
            // Whoever waits for this is there.
            let _ = ready.send(());
            while pressed.recv().await.is_some() {
                let before = PRESSED.fetch_add(1, Ordering::SeqCst);
                if ends(kind, before) {
                    std::process::exit(128 + kind.as_raw_value());
                }
            }
        });
    }

    /// Whether the program ends with it, when there was so much before.
    fn ends(kind: SignalKind, before: u8) -> bool {
        if BORROWED.load(Ordering::SeqCst) {
            if before == 1 {
                let told = "\r\x1b[Ktaking back what was begun; once more, and it stays as it is\n";
                // Nobody is there to read it when the terminal is gone.
                let _ = stderr().write_all(told.as_bytes());
            }
            return before >= 2;
        }
        let meaning = MEANING.load(Ordering::SeqCst);
        if meaning == Meaning::Nothing as u8 {
            // The other program decides about its Ctrl-C, not about our end.
            return kind != SignalKind::interrupt();
        }
        meaning == Meaning::End as u8 || before >= 1
    }
}
