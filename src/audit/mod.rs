//! Who changed what: a trail in the store, one record for each thing that was asked for.
//!
//! Not here: where it is kept. The store writes a record in the transaction of the change it is of.

mod actor;

pub use actor::Actor;
