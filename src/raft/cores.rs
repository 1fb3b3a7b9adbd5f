//! openraft as it runs now. It is restarted in the same process when this node becomes the sole voter: openraft itself
//! cannot be told so (`two_node`).

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::types::Core;

/// The core that runs, and how often there was another one.
pub(super) struct Cores {
    core: Mutex<Core>,
    /// Even while one runs, odd between two.
    number: watch::Sender<u64>,
}

impl Cores {
    pub(super) fn new(core: Core) -> Self {
        Self {
            core: Mutex::new(core),
            number: watch::Sender::new(0),
        }
    }

    /// The newest one.
    pub(super) fn get(&self) -> Core {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        core.clone()
    }

    /// Which one that is; odd when it is being replaced.
    pub(super) fn number(&self) -> u64 {
        *self.number.borrow()
    }

    /// The core is about to be stopped, and another one follows.
    pub(super) fn begin(&self) {
        self.number.send_modify(|number| *number |= 1);
    }

    /// Here it is; without it, there is none any more.
    pub(super) fn end(&self, core: Option<Core>) {
        if let Some(core) = core {
            *self.core.lock().unwrap_or_else(PoisonError::into_inner) = core;
            self.number.send_modify(|number| *number += 1);
        } else {
            // Whoever looks for the successor finds the old one, which has ended.
            self.number.send_modify(|number| *number -= 1);
        }
    }

    /// The core with this number has ended: the one that follows, if one does.
    pub(super) async fn after(&self, ended: u64) -> Option<(Core, u64)> {
        let mut number = self.number.subscribe();
        let now = number.wait_for(|now| now % 2 == 0).await.ok().map(|n| *n)?;
        (now > ended).then(|| (self.get(), now))
    }
}
