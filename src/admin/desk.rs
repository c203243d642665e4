//! One operation at work, with the lock held or on a copy of the records: what it may look at, and what
//! is checked before anything is changed.

mod execute;

use std::sync::{Arc, MutexGuard};

use serde_json::Value;

use super::service::{Inner, Service};
use super::trail::Asked;
use super::{AdminError, ErrorKind, Operation, Terms, authority, beyond, version};
use crate::directory::{Directory, State};
use crate::policy::{FileAccount, Policy};
use crate::store::{AccountRecord, Change, Maker, Reader, Records, Store};
use crate::words::{AccountId, AccountName, Boundary, Place, UnixTime, nearest};

/// Longest description, in bytes: a paragraph. It is shown in tables and kept in memory.
const DESCRIPTION_BYTES_MAX: usize = 1024;
/// Most networks an account may call from. A decision looks at each of them.
const NETWORKS_MAX: usize = 256;

pub(super) type Answer = Result<Value, AdminError>;

/// See the module.
pub(super) struct Desk<'a> {
    pub(super) service: &'a Service,
    held: Held<'a>,
    pub(super) state: Arc<State>,
    pub(super) now: UnixTime,
    pub(super) asked: Asked,
    /// The last record of what was asked for, once there is one.
    pub(super) recorded: Option<u64>,
    /// What the records will be, while several changes are worked out that are made together.
    draft: Option<Records>,
    /// In whose name it is asked; of whoever asks on this machine nothing is asked.
    pub(super) terms: Option<&'a Terms>,
    /// Whose what is made will be.
    pub(super) owner: Boundary,
}

/// What the desk holds of the records.
enum Held<'a> {
    /// The lock: nothing changes but by it.
    Lock(MutexGuard<'a, Inner>),
    /// The records as they were when it was asked, and what reads the store beside the connection that
    /// writes. Others go on changing both.
    Copy(Arc<Records>, Option<Reader>),
}

/// Whose account it is.
pub(super) enum Found<'d> {
    /// The store's.
    Stored(&'d AccountRecord),
    /// A file's.
    Filed(&'d FileAccount),
}

impl<'a> Desk<'a> {
    pub(super) fn new(service: &'a Service, inner: MutexGuard<'a, Inner>, asked: Asked) -> Self {
        let state = service.handle.snapshot();
        Self::of(service, Held::Lock(inner), state, asked)
    }

    /// A desk for a look, which holds no lock.
    ///
    /// # Errors
    ///
    /// See [`Service::lock`].
    pub(super) fn to_look(service: &'a Service, asked: Asked) -> Result<Self, AdminError> {
        // Both of one moment: whoever changes the records changes the state before he lets go.
        let (held, state) = {
            let inner = service.lock()?;
            let held = Held::Copy(Arc::clone(&inner.records), inner.store.reader());
            (held, service.handle.snapshot())
        };
        Ok(Self::of(service, held, state, asked))
    }

    fn of(service: &'a Service, held: Held<'a>, state: Arc<State>, asked: Asked) -> Self {
        Self {
            service,
            held,
            state,
            now: service.clock.now(),
            asked,
            recorded: None,
            draft: None,
            terms: None,
            owner: Boundary::default(),
        }
    }

    /// The same, in somebody's name.
    pub(super) fn for_somebody(mut self, terms: Option<&'a Terms>) -> Self {
        self.terms = terms;
        self
    }

    /// Does what `operation` says, if whoever asks may ask for it.
    pub(super) fn execute_if_permitted(&mut self, operation: Operation) -> Answer {
        let permitted = authority::check(self, &operation)?;
        self.owner = permitted.owner;
        version::check(self, &operation)?;
        if !permitted.is_beyond {
            return self.execute(operation);
        }
        let whose = beyond::concerned(self, &operation);
        let mut answer = self.execute(operation)?;
        if let Some(whose) = whose {
            beyond::tell(self, &whose, &mut answer);
        }
        Ok(answer)
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.state.policy
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.state.directory
    }

    pub(super) fn records(&self) -> &Records {
        let records = match &self.held {
            Held::Lock(inner) => &inner.records,
            Held::Copy(records, _) => records,
        };
        self.draft.as_ref().unwrap_or(records)
    }

    /// What the lock guards. A look takes it to have itself recorded, once it knows its answer.
    ///
    /// # Errors
    ///
    /// See [`Service::lock`].
    pub(super) fn inner(&mut self) -> Result<&mut Inner, AdminError> {
        if let Held::Copy(..) = self.held {
            self.held = Held::Lock(self.service.lock()?);
        }
        match &mut self.held {
            Held::Lock(inner) => Ok(inner),
            Held::Copy(..) => Err(not_held()),
        }
    }

    /// From now on, until [`Desk::put_back`], records are what they will be.
    pub(super) fn draft(&mut self) {
        self.draft = Some(self.records().clone());
    }

    /// Makes a change to the draft alone.
    pub(super) fn try_on(&mut self, change: &Change) {
        if let Some(draft) = &mut self.draft {
            draft.apply(change);
        }
    }

    /// Records are what they are again.
    pub(super) fn put_back(&mut self) {
        self.draft = None;
    }

    /// What reads the store without the lock: `None` where there is none.
    pub(super) fn reader(&self) -> Option<Reader> {
        match &self.held {
            Held::Lock(inner) => inner.store.reader(),
            Held::Copy(_, reader) => reader.clone(),
        }
    }

    /// The store.
    ///
    /// # Errors
    ///
    /// When this is a look, which has but a [`Desk::reader`].
    pub(super) fn store(&self) -> Result<&dyn Store, AdminError> {
        match &self.held {
            Held::Lock(inner) => Ok(&*inner.store),
            Held::Copy(..) => Err(not_held()),
        }
    }

    /// Says whether changes can be made here.
    pub(super) fn can_change(&self) -> Result<(), AdminError> {
        self.store().map(|_| ())
    }

    /// Whoever asks, as those who made something are remembered.
    pub(super) fn maker(&self) -> Maker {
        Some(self.asked.actor().to_string().into())
    }

    /// The account called `name`, if there is one.
    pub(super) fn known(&self, name: &AccountName) -> Option<Found<'_>> {
        let id = self
            .directory()
            .account_named(name.as_str())
            .map(|account| &account.id);
        if let Some(record) = id.and_then(|id| self.records().accounts.get(id)) {
            return Some(Found::Stored(record));
        }
        self.policy().accounts.get(name).map(Found::Filed)
    }

    /// The account called `name`.
    pub(super) fn find(&self, name: &AccountName) -> Result<Found<'_>, AdminError> {
        if let Some(found) = self.known(name) {
            return Ok(found);
        }
        let known = self
            .directory()
            .accounts()
            .map(|account| account.name.as_str());
        let near = nearest(name.as_str(), known);
        Err(not_found(format!("there is no account `{name}`{near}")))
    }

    /// The store's account called `name`, for a change that files alone may make to theirs.
    pub(super) fn stored(&self, name: &AccountName) -> Result<AccountId, AdminError> {
        match self.find(name)? {
            Found::Stored(record) => Ok(record.id.clone()),
            Found::Filed(entry) => Err(managed_by_file("account", name.as_str(), &entry.place)),
        }
    }

    /// Refuses what a gateway without a store cannot do, and names the file to edit if there is one.
    pub(super) fn must_store(&self, what: &str, place: Option<&Place>) -> Result<(), AdminError> {
        if !self.service.files_only {
            return Ok(());
        }
        let file = place.map_or("the policy files".to_owned(), ToString::to_string);
        Err(conflict(format!(
            "this gateway has no store (`store: none`), so {what} cannot be changed by a command: \
             edit {file}; the reload is what puts it in force"
        )))
    }
}

fn not_held() -> AdminError {
    let said = "a look does not take the lock: see `Operation::is_look`";
    AdminError::new(ErrorKind::Unavailable, said)
}

/// Refuses a description that is too long, or would move a terminal's cursor.
pub(super) fn check_description(text: &str) -> Result<(), AdminError> {
    if text.len() > DESCRIPTION_BYTES_MAX {
        return Err(invalid(format!(
            "the description has {} bytes: at most {DESCRIPTION_BYTES_MAX} are allowed",
            text.len()
        ))
        .at("description"));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(
            "the description has control characters or line breaks: use one line of text",
        )
        .at("description"));
    }
    Ok(())
}

/// Refuses more networks than a decision should look at.
pub(super) fn check_networks(networks: &[ipnet::IpNet]) -> Result<(), AdminError> {
    if networks.len() > NETWORKS_MAX {
        return Err(invalid(format!(
            "these are {} networks, and at most {NETWORKS_MAX} are allowed",
            networks.len()
        ))
        .at("allow_from"));
    }
    Ok(())
}

pub(super) fn not_found(said: impl Into<String>) -> AdminError {
    AdminError::new(ErrorKind::NotFound, said)
}

pub(super) fn conflict(said: impl Into<String>) -> AdminError {
    AdminError::new(ErrorKind::Conflict, said)
}

pub(super) fn invalid(said: impl Into<String>) -> AdminError {
    AdminError::new(ErrorKind::Invalid, said)
}

pub(super) fn managed_by_file(what: &str, name: &str, place: &Place) -> AdminError {
    conflict(format!(
        "{what} `{name}` is managed by file: edit it in {place}"
    ))
}
