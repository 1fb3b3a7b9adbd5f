//! Names and keys: of nodes, resources, operations and transitions. A key is read and written here alone, since
//! its parts may themselves contain the separator.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl From<&String> for $name {
            fn from(text: &String) -> Self {
                Self(text.as_str().into())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }
    };
}

name! {
    /// The name of a node (`uname`).
    NodeName
}

name! {
    /// The id of a resource; for an instance of a clone with `:N` behind it.
    RscId
}

/// The number of a node: its member id in Raft and the `id` of its entry in the CIB; small and never reused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct NodeId(pub u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<u32> for NodeId {
    fn from(id: u32) -> Self {
        Self(id)
    }
}

impl FromStr for NodeId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A Raft term: orders of an older one are refused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Term(pub u64);

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A key that does not have the parts it must have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}")]
pub struct InvalidKey {
    what: &'static str,
    text: String,
}

/// `RSC_TASK_INTERVAL`: which operation of which resource. // spec 1 §1.8
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OpKey {
    /// The resource.
    pub rsc: RscId,
    /// The task: `start`, `monitor`, `pre_notify_start`, ...
    pub task: String,
    /// 0 for an action that is done once.
    pub interval_ms: u64,
}

impl OpKey {
    /// The key of this task on this resource.
    pub fn new(rsc: impl Into<RscId>, task: impl Into<String>, interval_ms: u64) -> Self {
        Self {
            rsc: rsc.into(),
            task: task.into(),
            interval_ms,
        }
    }
}

impl fmt::Display for OpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.rsc, self.task, self.interval_ms)
    }
}

impl FromStr for OpKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        // A notification's task has words before the last two, and migrations are two words.
        const BEFORE: [&str; 4] = [
            "_confirmed-pre_notify",
            "_confirmed-post_notify",
            "_pre_notify",
            "_post_notify",
        ];
        let invalid = || InvalidKey {
            what: "operation key",
            text: text.into(),
        };
        let (head, interval) = text.rsplit_once('_').ok_or_else(invalid)?;
        let interval_ms = interval.parse().map_err(|_| invalid())?;
        let cut = ["_migrate_to", "_migrate_from"]
            .iter()
            .find_map(|task| head.ends_with(task).then(|| head.len() - task.len()))
            .or_else(|| head.rfind('_'))
            .ok_or_else(invalid)?;
        let cut = BEFORE
            .iter()
            .find_map(|prefix| head[..cut].ends_with(prefix).then(|| cut - prefix.len()))
            .unwrap_or(cut);
        let (rsc, task) = (&head[..cut], &head[cut + 1..]);
        if rsc.is_empty() || task.is_empty() || text.len() < 5 {
            return Err(invalid());
        }
        Ok(Self::new(rsc, task, interval_ms))
    }
}

impl RscId {
    /// The id without an instance number: `rsc:3` is `rsc`. // spec 1 §1.8
    pub fn base(&self) -> &str {
        strip_instance(&self.0)
    }
}

/// The text without a trailing `:` and digits.
fn strip_instance(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((base, number))
            if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            base
        }
        _ => text,
    }
}

/// `ACTION:TRANSITION:TARGETRC:UUID`: which action of which transition asked for an execution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TransitionKey {
    /// Number of the action in its graph; the call id for executions outside a graph.
    pub action: i64,
    /// Number of the graph; -1 for executions outside one.
    pub transition: i64,
    /// The exit status that counts as success.
    pub target_rc: i32,
    /// Whose graph.
    pub uuid: String,
}

impl TransitionKey {
    /// What every part reads as when the text is not a key.
    pub fn unreadable() -> Self {
        Self {
            action: -1,
            transition: -1,
            target_rc: -1,
            uuid: String::new(),
        }
    }
}

impl fmt::Display for TransitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}:{}",
            self.action, self.transition, self.target_rc, self.uuid
        )
    }
}

impl FromStr for TransitionKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let invalid = || InvalidKey {
            what: "transition key",
            text: text.into(),
        };
        let mut parts = text.splitn(4, ':');
        let mut next = || parts.next().ok_or_else(invalid);
        Ok(Self {
            action: next()?.parse().map_err(|_| invalid())?,
            transition: next()?.parse().map_err(|_| invalid())?,
            target_rc: next()?.parse().map_err(|_| invalid())?,
            uuid: next()?.into(),
        })
    }
}

/// `STATUS:RC;KEY`: how an execution ended, and who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TransitionMagic {
    /// Execution status (see `ExecStatus`).
    pub status: i32,
    /// Exit status.
    pub rc: i32,
    /// Who asked.
    pub key: TransitionKey,
}

impl fmt::Display for TransitionMagic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{};{}", self.status, self.rc, self.key)
    }
}

impl FromStr for TransitionMagic {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let invalid = || InvalidKey {
            what: "transition magic",
            text: text.into(),
        };
        let (result, key) = text.split_once(';').ok_or_else(invalid)?;
        let (status, rc) = result.split_once(':').ok_or_else(invalid)?;
        Ok(Self {
            status: status.parse().map_err(|_| invalid())?,
            rc: rc.parse().map_err(|_| invalid())?,
            key: key.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_keys_survive_underscores() {
        for (text, rsc, task, interval) in [
            ("my_rsc_monitor_10000", "my_rsc", "monitor", 10_000),
            ("r_migrate_to_0", "r", "migrate_to", 0),
            ("a_b_migrate_from_0", "a_b", "migrate_from", 0),
            ("r:1_pre_notify_start_0", "r:1", "pre_notify_start", 0),
            (
                "r_confirmed-post_notify_stop_0",
                "r",
                "confirmed-post_notify_stop",
                0,
            ),
            (
                "r_post_notify_migrate_to_0",
                "r",
                "post_notify_migrate_to",
                0,
            ),
        ] {
            let key: OpKey = text.parse().unwrap();
            assert_eq!(
                (key.rsc.as_str(), key.task.as_str(), key.interval_ms),
                (rsc, task, interval)
            );
            assert_eq!(key.to_string(), text);
        }
        for text in [
            "",
            "_",
            "a_b",
            "_start_0",
            "r_start_x",
            "r_start_",
            "start_0",
        ] {
            assert!(text.parse::<OpKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn instance_numbers_are_stripped() {
        assert_eq!(RscId::from("a:12").base(), "a");
        assert_eq!(RscId::from("a:").base(), "a:");
        assert_eq!(RscId::from("a:b").base(), "a:b");
    }

    #[test]
    fn transition_magic_reads_and_writes() {
        let text = "0:7;12:-1:7:0f0e-x";
        let magic: TransitionMagic = text.parse().unwrap();
        assert_eq!(
            (magic.rc, magic.key.action, magic.key.transition),
            (7, 12, -1)
        );
        assert_eq!(magic.to_string(), text);
        assert!("0:7".parse::<TransitionMagic>().is_err());
        assert!("0:7;1:2:3".parse::<TransitionMagic>().is_err());
    }
}
