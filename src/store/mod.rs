//! What outlives the process: accounts, keys, custom roles, groups, grants and signing keys.
//!
//! Whatever is changed is recorded in the audit trail, in the same transaction: there is one way to
//! change anything, and it takes both.
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
mod pulse;
mod records;
mod shared;
mod sqlite;
mod told;
mod touched;

pub(crate) use change::RETIRED_KEYS_KEPT;
pub use change::{Adoption, Change, Holder, KeyUse};
pub use error::StoreError;
pub use none::NoStore;
pub use pepper::{Pepper, PepperError};
pub use pulse::Pulse;
pub use records::{
    AccountRecord, FileAccountRecord, GrantRecord, GroupRecord, KeyLimits, KeyRecord, Maker,
    Records, RoleRecord, SigningKeyRecord,
};
pub use shared::SharedMap;
pub use sqlite::{Backup, Plan, Progress, Reader, Restore, Restored, Reviving, Sqlite};
pub use told::Told;
pub use touched::Touched;

use std::sync::Arc;

use crate::audit::{self, Anchor, Broken, Checked, Entry};
use crate::denials::{Batch, Filter, Group, Record};
use crate::settings;
use crate::words::{RequestId, UnixTime};

/// Holds what outlives the process.
///
/// Whoever implements this runs `store_conformance!`; each promise below is a test there.
///
/// * One writer: a store that is open is locked, and a second opener is told who holds it.
/// * A change is one transaction: all of it or nothing, whatever happens in between.
/// * Durable before acknowledged: when [`Store::commit`] returns `Ok`, the change survives the death
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

    /// Makes `change` durable, together with the records of it, one for each change in it; or a record
    /// alone, of something that changes nothing here or was refused. Returns the number of the last
    /// record.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; [`StoreError::Unrecorded`] for a change without a record, unless it is mere
    /// bookkeeping. After an error everything is as it was, the audit trail too.
    fn commit(
        &mut self,
        change: Option<&Change>,
        entries: &[Entry],
    ) -> Result<Option<u64>, StoreError>;

    /// Some of the audit records that `filter` admits: newest first, or oldest first those with a
    /// number above `after`. However many there are, so many are looked at and no more.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn audit(&self, filter: &audit::Filter, after: Option<u64>) -> Result<audit::Page, StoreError>;

    /// The last audit record, for somebody to keep elsewhere.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn audit_anchor(&self, now: UnixTime) -> Result<Anchor, StoreError>;

    /// What is wrong with the audit trail as `anchor` knows it, if anything is.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn check_anchor(&self, anchor: &Anchor) -> Result<Option<Broken>, StoreError>;

    /// Proves a page of the audit trail behind record `after`, or from its beginning.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn check_audit(&self, after: Option<u64>) -> Result<Checked, StoreError>;

    /// Cuts off audit records that `bounds` do not allow any more, and records that. Returns how
    /// many went.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    fn cut_audit(
        &mut self,
        bounds: &settings::Audit,
        now: UnixTime,
        instance: &str,
    ) -> Result<u64, StoreError>;

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

    /// Keeps room on the disk for changes that must not wait for any, if there is plenty.
    fn keep_room(&mut self) {}

    /// Gives up some of that room. Says whether there was any.
    fn make_room(&mut self) -> bool {
        false
    }

    /// How writing goes. What it holds counts on as long as anybody holds it.
    fn pulse(&self) -> Arc<Pulse>;

    /// What looks at it and copies it while it goes on; `None` where there is nothing to look at.
    fn reader(&self) -> Option<Reader>;

    /// What it is and where, for people: `sqlite:/var/lib/portcullis/portcullis.db`.
    fn describe(&self) -> String;
}

/// Where the pepper of the store at `path` is, unless the settings name another place.
pub fn pepper_path(path: &std::path::Path) -> std::path::PathBuf {
    lock::beside(path, ".pepper")
}
