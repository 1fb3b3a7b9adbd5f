//! Exit statuses: of agents, of executions, of tools, with the texts that people know.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Exit status of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OcfExit(pub i32);

#[expect(missing_docs, reason = "the names are the documentation")]
impl OcfExit {
    pub const OK: OcfExit = OcfExit(0);
    pub const ERROR: OcfExit = OcfExit(1);
    pub const INVALID_PARAM: OcfExit = OcfExit(2);
    pub const UNIMPLEMENTED: OcfExit = OcfExit(3);
    pub const INSUFFICIENT_PRIV: OcfExit = OcfExit(4);
    pub const NOT_INSTALLED: OcfExit = OcfExit(5);
    pub const NOT_CONFIGURED: OcfExit = OcfExit(6);
    pub const NOT_RUNNING: OcfExit = OcfExit(7);
    pub const PROMOTED: OcfExit = OcfExit(8);
    pub const FAILED_PROMOTED: OcfExit = OcfExit(9);
    pub const DEGRADED: OcfExit = OcfExit(190);
    pub const DEGRADED_PROMOTED: OcfExit = OcfExit(191);
    /// What a pending execution is recorded with.
    pub const PENDING: OcfExit = OcfExit(193);
}

impl OcfExit {
    /// Degraded counts as running (or promoted).
    pub fn effective(self) -> OcfExit {
        match self {
            Self::DEGRADED => Self::OK,
            Self::DEGRADED_PROMOTED => Self::PROMOTED,
            other => other,
        }
    }

    /// The text that status displays show.
    pub fn text(self) -> &'static str {
        exit_text(self.0)
    }
}

impl fmt::Display for OcfExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<i32> for OcfExit {
    fn from(rc: i32) -> Self {
        Self(rc)
    }
}

/// How an execution went, apart from the agent's exit status (`op-status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum ExecStatus {
    Pending,
    Done,
    Cancelled,
    TimedOut,
    NotSupported,
    Error,
    HardError,
    FatalError,
    NotInstalled,
    NotConnected,
    Invalid,
    NoFenceDevice,
    NoSecrets,
}

const STATUSES: [(ExecStatus, &str); 13] = [
    (ExecStatus::Pending, "Pending"),
    (ExecStatus::Done, "Done"),
    (ExecStatus::Cancelled, "Cancelled"),
    (ExecStatus::TimedOut, "Timed out"),
    (ExecStatus::NotSupported, "Unsupported"),
    (ExecStatus::Error, "Error"),
    (ExecStatus::HardError, "Hard error"),
    (ExecStatus::FatalError, "Fatal error"),
    (ExecStatus::NotInstalled, "Not installed"),
    (ExecStatus::NotConnected, "Internal communication failure"),
    (ExecStatus::Invalid, "Cannot execute now"),
    (ExecStatus::NoFenceDevice, "No fence device"),
    (ExecStatus::NoSecrets, "CIB secrets unavailable"),
];

impl ExecStatus {
    /// The number written to the history.
    pub fn code(self) -> i32 {
        self as i32 - 1
    }

    /// From the number, if it is one we know.
    pub fn from_code(code: i32) -> Option<Self> {
        let index = usize::try_from(code.checked_add(1)?).ok()?;
        STATUSES.get(index).map(|(status, _)| *status)
    }

    /// The text that status displays show.
    pub fn text(self) -> &'static str {
        STATUSES[self as usize].1
    }
}

impl fmt::Display for ExecStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// Exit status of a tool. // interfaces §1.5
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CrmExit(pub i32);

#[expect(missing_docs, reason = "the names are the documentation")]
impl CrmExit {
    pub const OK: CrmExit = CrmExit(0);
    pub const ERROR: CrmExit = CrmExit(1);
    pub const UNIMPLEMENTED: CrmExit = CrmExit(3);
    pub const INSUFFICIENT_PRIV: CrmExit = CrmExit(4);
    pub const USAGE: CrmExit = CrmExit(64);
    pub const DATA: CrmExit = CrmExit(65);
    pub const NO_INPUT: CrmExit = CrmExit(66);
    pub const NO_USER: CrmExit = CrmExit(67);
    pub const NO_HOST: CrmExit = CrmExit(68);
    pub const UNAVAILABLE: CrmExit = CrmExit(69);
    pub const SOFTWARE: CrmExit = CrmExit(70);
    pub const OS: CrmExit = CrmExit(71);
    pub const OS_FILE: CrmExit = CrmExit(72);
    pub const CANNOT_CREATE: CrmExit = CrmExit(73);
    pub const IO: CrmExit = CrmExit(74);
    pub const TEMPORARY: CrmExit = CrmExit(75);
    pub const PROTOCOL: CrmExit = CrmExit(76);
    pub const PERMISSION: CrmExit = CrmExit(77);
    pub const CONFIG: CrmExit = CrmExit(78);
    pub const FATAL: CrmExit = CrmExit(100);
    pub const PANIC: CrmExit = CrmExit(101);
    pub const DISCONNECTED: CrmExit = CrmExit(102);
    pub const OLD: CrmExit = CrmExit(103);
    pub const DIGEST: CrmExit = CrmExit(104);
    pub const NO_SUCH: CrmExit = CrmExit(105);
    pub const QUORUM: CrmExit = CrmExit(106);
    pub const UNSAFE: CrmExit = CrmExit(107);
    pub const EXISTS: CrmExit = CrmExit(108);
    pub const MULTIPLE: CrmExit = CrmExit(109);
    pub const EXPIRED: CrmExit = CrmExit(110);
    pub const NOT_YET: CrmExit = CrmExit(111);
    pub const INDETERMINATE: CrmExit = CrmExit(112);
    pub const UNSATISFIED: CrmExit = CrmExit(113);
    pub const NO_DC: CrmExit = CrmExit(114);
    pub const TIMEOUT: CrmExit = CrmExit(124);
}

impl CrmExit {
    /// What it means.
    pub fn text(self) -> &'static str {
        exit_text(self.0)
    }
}

impl fmt::Display for CrmExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The text of an exit status, of agents and tools alike. // spec 4 §17.1
fn exit_text(rc: i32) -> &'static str {
    match rc {
        0 => "OK",
        1 | 255 => "Error occurred",
        2 => "Invalid parameter",
        3 => "Unimplemented",
        4 | 77 => "Insufficient privileges",
        5 => "Not installed",
        6 => "Not configured",
        7 => "Not running",
        8 => "Promoted",
        9 => "Failed in promoted role",
        64 => "Incorrect usage",
        65 => "Invalid data given",
        66 => "Input file not available",
        67 => "User does not exist",
        68 => "Host does not exist",
        69 => "Necessary service unavailable",
        70 => "Internal software bug",
        71 => "Operating system error occurred",
        72 => "System file not available",
        73 => "Cannot create output file",
        74 => "I/O error occurred",
        75 => "Temporary failure, try again",
        76 => "Protocol violated",
        78 => "Invalid configuration",
        100 => "Fatal error occurred, will not respawn",
        101 => "System panic required",
        102 => "Not connected",
        103 => "Update was older than existing configuration",
        104 => "Digest mismatch",
        105 => "No such object",
        106 => "Quorum required",
        107 => "Operation not safe",
        108 => "Requested item already exists",
        109 => "Multiple items match request",
        110 => "Requested item has expired",
        111 => "Requested item is not yet in effect",
        112 => "Could not determine status",
        113 => "Not applicable under current conditions",
        114 => "DC is not yet elected",
        124 => "Timeout occurred",
        190 => "Service is active but might fail soon",
        191 => "Service is promoted but might fail soon",
        193 => "No exit status available",
        129..=254 => "Interrupted by signal",
        _ => "Unknown exit status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn execution_statuses_keep_their_numbers() {
        assert_eq!(ExecStatus::Pending.code(), -1);
        assert_eq!(ExecStatus::NoSecrets.code(), 11);
        for code in -1..=11 {
            assert_eq!(
                ExecStatus::from_code(code).map(ExecStatus::code),
                Some(code)
            );
        }
        assert_eq!(ExecStatus::from_code(12), None);
        assert_eq!(ExecStatus::from_code(-2), None);
        assert_eq!(ExecStatus::from_code(i32::MAX), None);
        assert_eq!(ExecStatus::TimedOut.text(), "Timed out");
    }

    #[test]
    fn texts_of_exit_statuses() {
        assert_eq!(OcfExit(193).text(), "No exit status available");
        assert_eq!(OcfExit(130).text(), "Interrupted by signal");
        assert_eq!(
            CrmExit::OLD.text(),
            "Update was older than existing configuration"
        );
        assert_eq!(OcfExit::DEGRADED_PROMOTED.effective(), OcfExit::PROMOTED);
    }
}
