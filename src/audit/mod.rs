//! Who changed what, and who looked at what not everybody should know: a trail in the store.
//!
//! A record is written in the transaction of the change it is of, so there is never one without the
//! other. Each is chained to the one before by a keyed hash, and both ends of the chain are sealed:
//! what somebody edits, deletes, swaps or cuts off shows. The key comes from the pepper, which is not
//! in the database, so whoever has only that cannot make a chain of his own.
//!
//! Not here: where records are kept (the store), and which operation is recorded as what (the admin
//! service).

mod actor;
mod chain;
mod entry;
mod figures;
mod filter;
mod shorter;

pub use actor::Actor;
pub use chain::{Anchor, AnchorError, ChainKey, Ends, Hash};
pub(crate) use entry::RECORD_BYTES_MAX;
pub use entry::{Entry, Object, Outcome, Row};
pub use figures::Figures;
pub use filter::{Filter, PAGE_MAX};

use serde::{Deserialize, Serialize};

/// Some of the records that somebody asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The records.
    pub rows: Vec<Row>,
    /// The last number that was looked at, if there may be more behind it: the page is full, or so many
    /// were looked at that whoever asks may ask again.
    pub next: Option<u64>,
}

/// What came of looking at a part of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// How many records were looked at.
    pub records: u64,
    /// The last of them, or where the chain begins.
    pub through: u64,
    /// Whether that was the end.
    pub done: bool,
    /// Where another store was put in the place of the one before, and said so.
    #[serde(default)]
    pub seams: Vec<Seam>,
    /// The first thing that is wrong.
    pub fault: Option<Broken>,
}

/// A place in the trail where a backup was put in the place of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seam {
    /// The record that says so.
    pub record: u64,
    /// The sentence.
    pub message: String,
}

/// What is wrong with a trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// The first record that is not what was written, if it is about one.
    pub record: Option<u64>,
    /// The sentence.
    pub message: String,
}

impl Broken {
    /// A record is not what was written.
    pub fn at(record: u64, message: impl Into<String>) -> Self {
        Self {
            record: Some(record),
            message: message.into(),
        }
    }

    /// The trail as a whole is not what it was.
    pub fn whole(message: impl Into<String>) -> Self {
        Self {
            record: None,
            message: message.into(),
        }
    }
}
