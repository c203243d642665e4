//! What outlives the process: accounts, keys, custom roles, groups, grants and signing keys.
//!
//! The request path never comes here. It reads the directory, which is made from [`Records`] and is
//! changed only after the store has said that a [`Change`] is on disk. A store is therefore small
//! and plain: load everything once, then apply one change at a time.
//!
//! Not here: what a grant is worth. That depends on the policy, which lives in files and changes at
//! another pace; the directory works it out.

mod change;
mod effect;
mod error;
mod lock;
mod none;
mod pepper;
mod records;
mod sqlite;

pub use change::{Adoption, Change, Holder, KeyUse};
pub use effect::Touched;
pub use error::StoreError;
pub use none::NoStore;
pub use pepper::{Pepper, PepperError};
pub use records::{
    AccountRecord, FileAccountRecord, GrantRecord, GroupRecord, KeyLimits, KeyRecord, Records,
    RoleRecord, SigningKeyRecord,
};
pub use sqlite::Sqlite;

use crate::denials::{Batch, Filter, Group, Record};
use crate::settings;
use crate::words::{RequestId, UnixTime};

/// Holds what outlives the process.
///
/// Whoever implements this runs `store_conformance!`; each promise below is a test there.
///
/// * One writer: a store that is open is locked, and a second opener is told who holds it.
/// * A change is one transaction: all of it or nothing, whatever happens in between.
/// * Durable before acknowledged: when [`Store::apply`] returns `Ok`, the change survives the death
///   of the process and of the machine.
/// * What [`Store::load`] returns is what was applied, in every detail, after reopening too.
/// * An id that was once given away is never given away again, not even after its account is gone.
pub trait Store: Send {
    /// Everything in the store.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn load(&self) -> Result<Records, StoreError>;

    /// Makes `change` durable.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. After an error everything is as it was.
    fn apply(&mut self, change: &Change) -> Result<(), StoreError>;

    /// Writes refusals that are kept, and lets go what `bounds` do not allow any more. Not a promise:
    /// what is in memory is all that a request's answer relies on.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn keep_denials(
        &mut self,
        batch: &Batch,
        bounds: &settings::Denials,
        now: UnixTime,
    ) -> Result<(), StoreError>;

    /// The refusal of one request.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn denial(&self, id: &RequestId) -> Result<Option<Record>, StoreError>;

    /// The refusals that `filter` admits, newest first.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn denials(&self, filter: &Filter) -> Result<Vec<Record>, StoreError>;

    /// Who was refused what, and how often.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn denial_groups(&self) -> Result<Vec<Group>, StoreError>;

    /// What it is and where, for people: `sqlite:/var/lib/portcullis/portcullis.db`.
    fn describe(&self) -> String;
}

/// Where the pepper of the store at `path` is, unless the settings name another place.
pub fn pepper_path(path: &std::path::Path) -> std::path::PathBuf {
    lock::beside(path, ".pepper")
}
