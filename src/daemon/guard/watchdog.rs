//! The watchdog of the machine, fed by the guard: it resets the machine when nobody feeds it for its timeout.
//!
//! A file may stand in for the device where there is none (laboratories and tests): whoever plays the hardware reads in
//! it when it was fed last, and how long that is good.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::Feeder;
use crate::cib::{Cib, config::options};
use crate::clock::Mono;
use crate::terms::{NodeName, span};

/// Which watchdog this node has, as its configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// `/dev/watchdog`, `/dev/watchdog1`, or a file that stands in for one.
    pub device: PathBuf,
    /// It resets the machine when it was not fed for so long.
    pub timeout_ms: u64,
}

/// A watchdog as its guard sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dog {
    /// Its device.
    pub device: String,
    /// What the driver calls it.
    pub identity: String,
    /// Time without food after which it resets the machine; 0 when it is not armed.
    pub timeout_ms: u64,
    /// Times that it was fed after more than half of that.
    pub near_misses: u64,
    /// Longest time between two feeds.
    pub longest_gap_ms: u64,
    /// Why it is not armed.
    pub why: Option<String>,
}

enum Device {
    Kernel(watchdog_device::Watchdog),
    File(File),
}

/// A watchdog at work.
pub(super) struct Watchdog {
    device: Option<Device>,
    pub(super) dog: Dog,
    fed_at: Mono,
}

impl Watchdog {
    /// Arms it. One that cannot be armed says why, and protects nobody.
    pub(super) fn arm(wanted: &Wanted, now: Mono) -> Self {
        let mut dog = Dog {
            device: wanted.device.display().to_string(),
            ..Dog::default()
        };
        let device = match open(wanted, &mut dog) {
            Ok(device) => Some(device),
            Err(why) => {
                tracing::error!("the watchdog {} is not armed: {why}", dog.device);
                dog.timeout_ms = 0;
                dog.why = Some(why);
                None
            }
        };
        let mut watchdog = Self {
            device,
            dog,
            fed_at: now,
        };
        if watchdog.device.is_some() {
            let Dog {
                device,
                identity,
                timeout_ms,
                ..
            } = &watchdog.dog;
            tracing::info!("the watchdog {device} ({identity}) is armed: {timeout_ms} ms");
            // The kernel's own is a timer of the very machine that has to be reset.
            if identity.to_ascii_lowercase().contains("software watchdog") {
                tracing::warn!(
                    "{device} is a software watchdog: it does not help when the kernel hangs"
                );
            }
            watchdog.feed(now);
        }
        watchdog
    }

    /// When it is to be fed next; none if it is not armed.
    pub(super) fn hungry_at(&self) -> Option<Mono> {
        self.device.as_ref()?;
        Some(self.fed_at.plus((self.dog.timeout_ms / 4).min(1_000)))
    }

    /// Feeds it if it is time.
    pub(super) fn feed_if_hungry(&mut self, now: Mono) {
        if self.hungry_at().is_some_and(|at| now >= at) {
            self.feed(now);
        }
    }

    fn feed(&mut self, now: Mono) {
        let gap_ms = now.since(self.fed_at);
        let fed = match &mut self.device {
            None => return,
            Some(Device::Kernel(device)) => device.keep_alive().map_err(std::io::Error::from),
            Some(Device::File(file)) => {
                let ms = self.dog.timeout_ms;
                replace(file, &format!("timeout_ms={ms} fed_at={}\n", now.0))
            }
        };
        if let Err(e) = fed {
            tracing::error!("the watchdog {} takes no food: {e}", self.dog.device);
            return;
        }
        self.fed_at = now;
        self.dog.longest_gap_ms = self.dog.longest_gap_ms.max(gap_ms);
        if gap_ms * 2 > self.dog.timeout_ms {
            self.dog.near_misses += 1;
            tracing::warn!(
                "the watchdog {} was fed after {gap_ms} ms; it waits {} ms",
                self.dog.device,
                self.dog.timeout_ms
            );
        }
    }

    /// Disarms it: nothing is left on this node that it would have to end.
    pub(super) fn close(mut self) {
        let closed = match &mut self.device {
            None => Ok(()),
            Some(Device::Kernel(device)) => device.magic_close(),
            Some(Device::File(file)) => replace(file, "closed\n"),
        };
        if let Err(e) = closed {
            tracing::error!("the watchdog {} is not disarmed: {e}", self.dog.device);
        }
    }
}

fn open(wanted: &Wanted, dog: &mut Dog) -> Result<Device, String> {
    dog.timeout_ms = wanted.timeout_ms;
    let Some(id) = kernel_id(&wanted.device) else {
        dog.identity = "a file in place of a watchdog".into();
        return stand_in(&wanted.device)
            .map(Device::File)
            .map_err(|e| e.to_string());
    };
    let device = match id {
        None => watchdog_device::Watchdog::new(),
        Some(id) => watchdog_device::Watchdog::new_by_id(id),
    };
    let mut device = device.map_err(|e| e.to_string())?;
    let seconds = wanted.timeout_ms.div_ceil(1_000).max(1);
    let set = device.set_timeout(i32::try_from(seconds).unwrap_or(i32::MAX));
    // A driver that cannot be set says what it has.
    match set.or_else(|_| device.get_timeout()) {
        Ok(seconds) if seconds > 0 => {
            dog.timeout_ms = u64::from(seconds.unsigned_abs()) * 1_000;
            let identity = device.get_driver_identity().unwrap_or_default();
            dog.identity = identity.trim_end_matches('\0').to_owned();
            Ok(Device::Kernel(device))
        }
        other => {
            // It was armed by being opened, and nobody would feed it.
            let _ = device.magic_close();
            Err(format!("its timeout is not known: {other:?}"))
        }
    }
}

/// `/dev/watchdog`: no number. `/dev/watchdog3`: 3. Anything else is a file.
fn kernel_id(path: &Path) -> Option<Option<u8>> {
    let rest = path.to_str()?.strip_prefix("/dev/watchdog")?;
    if rest.is_empty() {
        return Some(None);
    }
    rest.parse().ok().map(Some)
}

fn stand_in(path: &Path) -> std::io::Result<File> {
    let kind = std::fs::symlink_metadata(path);
    if kind.is_ok_and(|there| !there.file_type().is_file()) {
        return Err(std::io::Error::other("it is no file and no /dev/watchdog"));
    }
    std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

fn replace(file: &mut File, text: &str) -> std::io::Result<()> {
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

/// What the daemon knows of its watchdog: its guard has it.
#[derive(Debug, Default)]
pub struct Look {
    configured: bool,
    looked_at: Option<Mono>,
    dog: Option<Dog>,
    warned: Option<String>,
}

/// Between two looks, in milliseconds.
const LOOK_MS: u64 = 2_000;

impl Look {
    /// For a node whose configuration names a watchdog, or does not.
    pub fn new(configured: bool) -> Self {
        Self {
            configured,
            ..Self::default()
        }
    }

    /// Asks the guard now and then; true when its answer is another one.
    pub fn look(&mut self, now: Mono, feeder: &Mutex<Feeder>) -> bool {
        let due = self.looked_at.is_none_or(|at| now.since(at) >= LOOK_MS);
        if !self.configured || !due {
            return false;
        }
        self.looked_at = Some(now);
        let dog = feeder.lock().expect("no panic while held").watchdog();
        let changed = dog != self.dog;
        self.dog = dog;
        changed
    }

    /// The time after which it resets this machine; 0 when nothing would.
    pub fn armed_ms(&self) -> u64 {
        self.dog.as_ref().map_or(0, |dog| dog.timeout_ms)
    }

    /// As its guard sees it.
    pub fn state(&self) -> Option<Dog> {
        self.dog.clone()
    }

    /// Warns, once, of a cluster that counts on a watchdog which this node does not have. // spec cluster §16.9
    pub fn compare(&mut self, cib: &Cib, name: &NodeName) {
        let own_ms = self.armed_ms();
        let text = options::value(cib, "stonith-watchdog-timeout").unwrap_or_default();
        let wanted_ms = span::ms_or_zero(Some(text));
        let warning = if wanted_ms > 0 && own_ms == 0 {
            Some(format!(
                "stonith-watchdog-timeout is {text}, but {name} has no armed watchdog, so its death is never taken \
                 for proven by that; name one in its node.toml: [watchdog] device = \"/dev/watchdog\""
            ))
        } else if wanted_ms > 0 && wanted_ms < own_ms {
            Some(format!(
                "stonith-watchdog-timeout is {text}, but the watchdog of {name} takes {own_ms} ms, and that is waited \
                 for; set the option to at least twice that"
            ))
        } else {
            None
        };
        if warning != self.warned {
            if let Some(warning) = &warning {
                tracing::warn!("{warning}");
            }
            self.warned = warning;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_stand_ins() {
        assert_eq!(kernel_id(Path::new("/dev/watchdog")), Some(None));
        assert_eq!(kernel_id(Path::new("/dev/watchdog1")), Some(Some(1)));
        assert_eq!(kernel_id(Path::new("/dev/watchdogs")), None);
        assert_eq!(kernel_id(Path::new("/tmp/dog")), None);
    }

    #[test]
    fn a_late_feed_is_counted_and_a_clean_end_disarms() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let wanted = Wanted {
            device: dir.path().join("dog"),
            timeout_ms: 2_000,
        };
        let text = || std::fs::read_to_string(&wanted.device).expect("it is there");
        let mut watchdog = Watchdog::arm(&wanted, Mono(1_000));
        assert_eq!(text(), "timeout_ms=2000 fed_at=1000\n");
        watchdog.feed_if_hungry(Mono(1_499));
        assert_eq!(text(), "timeout_ms=2000 fed_at=1000\n");
        watchdog.feed_if_hungry(Mono(1_500));
        assert_eq!(
            (watchdog.dog.near_misses, watchdog.dog.longest_gap_ms),
            (0, 500)
        );
        watchdog.feed_if_hungry(Mono(2_600));
        assert_eq!(
            (watchdog.dog.near_misses, watchdog.dog.longest_gap_ms),
            (1, 1_100)
        );
        assert_eq!(text(), "timeout_ms=2000 fed_at=2600\n");
        watchdog.close();
        assert_eq!(text(), "closed\n");
        let none = Watchdog::arm(
            &Wanted {
                device: dir.path().into(),
                timeout_ms: 2_000,
            },
            Mono(1),
        );
        assert_eq!((none.dog.timeout_ms, none.hungry_at()), (0, None));
        assert!(none.dog.why.is_some());
    }
}
