//! What a node adds to a report about the whole cluster. It is collected over there and then fetched in pieces, so that no
//! message between nodes is long and nobody waits for an answer that takes minutes.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The name of the request, between nodes and from tools.
pub const PART: &str = "report-part";

/// What a tool asks its daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRequest {
    /// The member that is asked.
    pub node: String,
    /// What it is asked.
    pub ask: PartAsk,
}

/// What a node is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartAsk {
    /// Begin to collect.
    Collect(PartWanted),
    /// The piece of a part that begins there.
    Read {
        /// As it was told.
        part: Uuid,
        /// Bytes before the piece.
        offset: u64,
    },
}

/// What is to be collected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartWanted {
    /// Beginning of the time of interest, in seconds since 1970.
    pub from_s: i64,
    /// Its end.
    pub to_s: i64,
    /// Also what the journal has.
    pub search: bool,
    /// Further log files.
    pub logs: Vec<String>,
    /// Names whose values are hidden, besides those that always are.
    pub masks: Vec<String>,
    /// What else to look for in logs.
    pub patterns: Vec<String>,
}

impl PartWanted {
    /// The words by which `crm_report` collects this on its own node.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec![
            "--single-node".to_owned(),
            format!("--from=@{}", self.from_s),
            format!("--to=@{}", self.to_s),
        ];
        if !self.search {
            words.push("-M".to_owned());
        }
        words.extend(self.logs.iter().map(|it| format!("--logfile={it}")));
        words.extend(self.masks.iter().map(|it| format!("--mask={it}")));
        words.extend(self.patterns.iter().map(|it| format!("--pattern={it}")));
        words
    }
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartAnswer {
    /// It collects; the part is fetched by this number.
    Begun(Uuid),
    /// It still does.
    Collecting,
    /// A piece of the archive (`.tar.bz2`).
    Piece {
        /// In base64; empty at the end.
        bytes: String,
        /// How long the whole is.
        of: u64,
    },
    /// There is no such part, and why.
    Failed(String),
}
