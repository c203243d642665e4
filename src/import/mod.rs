//! From the description of an API to a policy: text in, text out.
//!
//! ```text
//! a document ─▶ openapi ─▶ Draft ─▶ Plan ─▶ write ─▶ policy file
//!                          what was   what the    as a person would
//!                          found      file says   have written it
//! ```
//!
//! [`Draft`] knows no format: whatever can be read as "this method on this path asks for that" becomes
//! one, and takes the same way from there. Nothing that comes out is open: what a document declares open
//! becomes `needs: review_public`, which does not compile until a person has decided.
//!
//! Not here: files, terminals and clocks. A document is text with a name.

mod draft;
mod export;
pub mod foreign;
mod merge;
mod names;
pub mod openapi;
mod plan;
mod sheet;
mod write;

pub use draft::{Draft, Needs, Notes, Operation};
pub use export::{Export, export};
pub use merge::{Change, Kind, Merge, merge};
pub use names::{permission_of, word_of};
pub use plan::{Overlaps, Plan, Planned, PlannedRole, Way};
pub use write::write;
