//! The roles a resource can be in, in the order in which they are compared.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Role of a resource; later variants are "more" than earlier ones. // spec 1 §1.7
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Role {
    /// Not known, not given.
    #[default]
    Unknown,
    /// Not running.
    Stopped,
    /// Running.
    Started,
    /// Running, of a promotable clone, not promoted.
    Unpromoted,
    /// Running and promoted.
    Promoted,
}

impl Role {
    /// The role by name in any case, also by its old name (`Master`, `Slave`).
    pub fn parse(text: &str) -> Option<Self> {
        const NAMES: [(&str, Role); 7] = [
            ("Started", Role::Started),
            ("Stopped", Role::Stopped),
            ("Unpromoted", Role::Unpromoted),
            ("Promoted", Role::Promoted),
            ("Slave", Role::Unpromoted),
            ("Master", Role::Promoted),
            ("Unknown", Role::Unknown),
        ];
        NAMES
            .iter()
            .find(|(name, _)| text.eq_ignore_ascii_case(name))
            .map(|(_, role)| *role)
    }

    /// The role's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Unknown => "Unknown",
            Role::Stopped => "Stopped",
            Role::Started => "Started",
            Role::Unpromoted => "Unpromoted",
            Role::Promoted => "Promoted",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_are_understood_and_order_holds() {
        assert_eq!(Role::parse("mAster"), Some(Role::Promoted));
        assert_eq!(Role::parse("slave"), Some(Role::Unpromoted));
        assert_eq!(Role::parse("x"), None);
        assert!(Role::Unknown < Role::Stopped && Role::Unpromoted < Role::Promoted);
    }
}
