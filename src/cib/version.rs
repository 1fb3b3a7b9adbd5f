//! `admin_epoch.epoch.num_updates`: what an administrator, a change of configuration and any change count up.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{terms::text, xml::Element};

/// The version of a CIB; ordered by the first counter that differs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Version {
    /// Raised by an administrator who wants this CIB to win.
    pub admin_epoch: i64,
    /// Raised by a change of configuration.
    pub epoch: i64,
    /// Raised by any other change.
    pub num_updates: i64,
}

/// The attributes that hold the counters, the most significant first.
pub(super) const COUNTERS: [&str; 3] = ["admin_epoch", "epoch", "num_updates"];

impl Version {
    /// The version in the attributes of this element.
    pub fn of(element: &Element) -> Self {
        let read = |name| element.get(name).and_then(text::integer).unwrap_or(0);
        let [admin_epoch, epoch, num_updates] = COUNTERS.map(read);
        Self {
            admin_epoch,
            epoch,
            num_updates,
        }
    }

    pub(super) fn counters(self) -> [i64; 3] {
        [self.admin_epoch, self.epoch, self.num_updates]
    }

    /// Writes the counters into the attributes of this element.
    pub fn write_to(self, element: &mut Element) {
        for (name, value) in COUNTERS.iter().zip(self.counters()) {
            element.set(name, &value.to_string());
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}",
            self.admin_epoch, self.epoch, self.num_updates
        )
    }
}
