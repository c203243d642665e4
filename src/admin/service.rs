//! The one writer: every change to what the gateway knows comes through here.
//!
//! The order is always the same, and it is the promise: the change is on disk, then the new state
//! is what every request that begins reads, then the operation is acknowledged. One lock is held
//! over all three, so states follow each other as changes do.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use serde_json::{Value, json};

use super::desk::Desk;
use super::owed::Owed;
use super::repeats::Repeats;
pub use super::trail::AtDoor;
use super::trail::{self, Asked};
use super::watches::Watches;
use super::{Actor, AdminError, ErrorKind, Operation, Terms, reload};
use crate::audit::{Figures, Outcome};
use crate::clock::Clock;
use crate::denials::Denials;
use crate::directory::{Directory, Handle, SigningKeys, State};
use crate::policy::Policy;
use crate::policy::shadow::NotEnforced;
use crate::settings::{self, Tokens};
use crate::store::{Pepper, Pulse, Records, Store, StoreError};
use crate::verify::Verifier;
use crate::words::{Level, Rate, UnixTime, random_base62};

/// What the process around the service can do for it.
pub trait Host: Send + Sync {
    /// Reads the policy folder again, because `actor` asks for it, and says what came of it.
    ///
    /// # Errors
    ///
    /// The faults that kept the new policy out.
    fn reload(&self, actor: &Actor) -> Result<Value, String>;

    /// Begins to drain; returns at once.
    fn drain(&self);

    /// What only the process knows: listeners, start time, version. An object.
    fn status(&self) -> Value;
}

/// Whether the service belongs to a server or to a command that opened the store itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A policy it is given is in force, so what the policy no longer knows is closed.
    Server,
    /// A policy it is given is read to check names by; nothing is closed for it.
    Offline,
}

/// What a service is made of.
pub(super) struct Parts {
    pub(super) store: Box<dyn Store>,
    /// Whether there is no store behind `store`.
    pub(super) files_only: bool,
    pub(super) pepper: Option<Arc<Pepper>>,
    pub(super) records: Records,
    pub(super) signing: Arc<SigningKeys>,
    pub(super) policy: Arc<Policy>,
    /// Why the policy is not the one of the folder, if it is not.
    pub(super) policy_fault: Option<String>,
    pub(super) tokens: Tokens,
    pub(super) denials: settings::Denials,
    pub(super) audit: settings::Audit,
    pub(super) keys: settings::ApiKeys,
    /// What each account may do on all routes together, if there is a bound.
    pub(super) rate: Option<Rate>,
    pub(super) clock: Clock,
    pub(super) role: Role,
    /// Whom tokens of the admin API are for, if there is one.
    pub(super) admin_audience: Option<String>,
    pub(super) figures: Figures,
}

/// Carries out what operators ask for.
pub struct Service {
    pub(super) handle: Arc<Handle>,
    pub(super) pepper: Option<Arc<Pepper>>,
    pub(super) verifier: Arc<Verifier>,
    /// Knows tokens of the admin API's audience only, where there is one.
    pub(super) admin_verifier: Option<Arc<Verifier>>,
    pub(super) tokens: Tokens,
    /// How long keys may live.
    pub(super) keys: settings::ApiKeys,
    /// What each account may do on all routes together: told where a decision is explained.
    pub(super) rate: Option<Rate>,
    pub(super) denials: Arc<Denials>,
    pub(super) clock: Clock,
    pub(super) role: Role,
    pub(super) files_only: bool,
    pub(super) policy_fault: Option<String>,
    pub(super) watches: Watches,
    pub(super) audit: settings::Audit,
    pub(super) figures: Figures,
    pub(super) instance: String,
    pulse: Arc<Pulse>,
    inner: Mutex<Inner>,
    host: OnceLock<Arc<dyn Host>>,
}

/// What the lock guards.
pub(super) struct Inner {
    pub(super) store: Box<dyn Store>,
    /// What the store holds, as far as it was acknowledged. Whoever only looks takes a reference and
    /// lets go of the lock.
    pub(super) records: Arc<Records>,
    /// What is in force already and not in the store, because the store failed.
    pub(super) owed: Owed,
    /// What could not be used of the files and the records when they were last put together.
    pub(super) conflicts: Vec<String>,
    /// What was asked again and again of late.
    pub(super) repeats: Repeats,
}

impl Service {
    /// Puts the parts together. Names that stand in both files and store do not stop a start; see
    /// [`Service::conflicts`].
    pub(super) fn start(mut parts: Parts) -> Result<Self, StoreError> {
        let now = parts.clock.now();
        let instance = format!("in_{}", random_base62(22));
        let owed = reload::begin(&mut parts, (now, &instance))?;
        let built = Directory::build(&parts.policy, &parts.records, parts.signing, None);
        let state = State {
            policy: parts.policy,
            directory: built.directory,
        };
        let pulse = parts.store.pulse();
        Ok(Self {
            pulse,
            handle: Arc::new(Handle::new(state)),
            verifier: Arc::new(Verifier::new(&parts.tokens, parts.pepper.clone())),
            admin_verifier: parts.admin_audience.map(|audience| {
                let tokens = Tokens {
                    audience,
                    ..parts.tokens.clone()
                };
                Arc::new(Verifier::new(&tokens, parts.pepper.clone()))
            }),
            pepper: parts.pepper,
            denials: Denials::new(parts.denials, parts.store.denial_groups()?),
            tokens: parts.tokens,
            keys: parts.keys,
            rate: parts.rate,
            clock: parts.clock,
            role: parts.role,
            files_only: parts.files_only,
            policy_fault: parts.policy_fault,
            watches: Watches::default(),
            audit: parts.audit,
            figures: parts.figures,
            instance,
            inner: Mutex::new(Inner {
                store: parts.store,
                records: Arc::new(parts.records),
                owed,
                conflicts: built.conflicts,
                repeats: Repeats::new(&parts.audit),
            }),
            host: OnceLock::new(),
        })
    }

    /// Tells the service what process it runs in. Said once; a second time changes nothing.
    pub fn attach(&self, host: Arc<dyn Host>) {
        let _ = self.host.set(host);
    }

    /// What requests read.
    pub fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// What tells credentials apart, with the pepper of the store.
    pub fn verifier(&self) -> &Arc<Verifier> {
        &self.verifier
    }

    /// The same for the tokens of the admin API, if the settings say that there is one.
    pub fn admin_verifier(&self) -> Option<&Arc<Verifier>> {
        self.admin_verifier.as_ref()
    }

    /// How the audit trail goes on.
    pub fn audit_figures(&self) -> &Figures {
        &self.figures
    }

    /// What key digests are made with; `None` without a store.
    pub fn pepper(&self) -> Option<&Arc<Pepper>> {
        self.pepper.as_ref()
    }

    /// Refusals that are kept.
    pub fn denials(&self) -> &Arc<Denials> {
        &self.denials
    }

    /// How long keys may live, and when their end is spoken of.
    pub fn keys(&self) -> settings::ApiKeys {
        self.keys
    }

    /// How writing to the store goes.
    pub fn store_pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Which process this is: another one after every start.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// What stands in both the policy files and the store, or cannot be used, as of now: one
    /// sentence each. The accounts of the files they speak of are refused everything.
    pub fn conflicts(&self) -> Vec<String> {
        match self.lock() {
            Ok(inner) => inner.conflicts.clone(),
            Err(error) => vec![error.to_string()],
        }
    }

    /// Does what `operation` says and returns what there is to show.
    ///
    /// When this returns `Ok`, the change is on disk and every request that begins from then on is
    /// judged by it. Blocks on the disk, so it is not for a thread that serves requests.
    ///
    /// # Errors
    ///
    /// Why not; nothing has changed then.
    pub fn execute(&self, operation: Operation, actor: &Actor) -> Result<Value, AdminError> {
        self.carry_out(operation, actor, None)
    }

    /// The same in the name of an account, as far as it may ask for it.
    ///
    /// # Errors
    ///
    /// Why not; nothing has changed then.
    pub fn execute_for(
        &self,
        operation: Operation,
        actor: &Actor,
        terms: &Terms,
    ) -> Result<Value, AdminError> {
        self.carry_out(operation, actor, Some(terms))
    }

    fn carry_out(
        &self,
        operation: Operation,
        actor: &Actor,
        terms: Option<&Terms>,
    ) -> Result<Value, AdminError> {
        let now = self.clock.now();
        let asked = Asked::of(&operation, actor, now);
        // What was refused a moment ago is asked for now.
        self.denials.collect(now);
        // What the process does comes first: a reload takes the lock itself.
        if operation.is_the_process() && terms.is_some() {
            let permitted = Desk::new(self, self.lock()?, Asked::of(&operation, actor, now));
            permitted.for_somebody(terms).permit(&operation)?;
        }
        if let Operation::StoreBackup { file, pepper } = &operation {
            self.back_up(asked, file, pepper.as_deref())
        } else if operation == (Operation::StoreStatus {}) {
            self.store_status()
        } else if operation == (Operation::Reload {}) {
            self.reload(asked, actor)
        } else if operation == (Operation::Drain {}) {
            self.drain(asked)
        } else if operation == (Operation::Status {}) {
            self.status()
        } else {
            let desk = match operation.is_look() {
                true => Desk::to_look(self, asked)?,
                false => Desk::new(self, self.lock()?, asked),
            };
            desk.for_somebody(terms).carry_out(operation)
        }
    }

    /// Says whether `actor` may have the answer once more that `operation` had, which holds a secret, and
    /// records that he had it.
    ///
    /// # Errors
    ///
    /// When he may not, or the audit trail could not be written.
    pub fn permit_again(
        &self,
        operation: &Operation,
        actor: &Actor,
        terms: &Terms,
    ) -> Result<(), AdminError> {
        let mut asked = Asked::of(operation, actor, self.clock.now()).again();
        let state = self.handle.snapshot();
        asked.concerns(|key| {
            let key = state.directory.key(&key.parse().ok()?)?;
            Some(key.account.name.to_string())
        });
        let desk = Desk::new(self, self.lock()?, asked);
        let mut desk = desk.for_somebody(Some(terms));
        desk.permit(operation)?;
        desk.record(Outcome::Success)
    }

    /// Records that `actor` was refused before what he asks for became an operation: for a wrong
    /// secret, or for lack of the permission that its endpoint asks for.
    ///
    /// # Errors
    ///
    /// When the audit trail could not be written.
    pub fn record_at_door(
        &self,
        what: AtDoor,
        actor: &Actor,
        outcome: Outcome,
    ) -> Result<(), AdminError> {
        let mut asked = Asked::at_door(what, actor, self.clock.now());
        let desk = self.lock()?;
        let state = self.handle.snapshot();
        asked.concerns(|key| {
            let key = state.directory.key(&key.parse().ok()?)?;
            Some(key.account.name.to_string())
        });
        Desk::new(self, desk, asked).record(outcome)
    }

    pub(super) fn record(&self, asked: Asked, outcome: Outcome) -> Result<(), AdminError> {
        Desk::new(self, self.lock()?, asked).record(outcome)
    }

    /// What time it is for the service.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// The lock. Whoever held it when a thread died may have left the records half changed, so they
    /// are read from the store again, which is whole.
    pub(super) fn lock(&self) -> Result<MutexGuard<'_, Inner>, StoreError> {
        match self.inner.lock() {
            Ok(inner) => Ok(inner),
            Err(poisoned) => {
                let mut inner = poisoned.into_inner();
                inner.read_again()?;
                self.rebuild(&mut inner);
                self.inner.clear_poison();
                Ok(inner)
            }
        }
    }

    /// Works everything out again from the records.
    pub(super) fn rebuild(&self, inner: &mut Inner) {
        let before = self.handle.snapshot();
        let policy = Arc::clone(&before.policy);
        let signing = before.directory.signing_arc();
        let built = Directory::build(&policy, &inner.records, signing, Some(&before.directory));
        inner.conflicts = built.conflicts;
        self.handle.store(State {
            policy,
            directory: built.directory,
        });
    }

    fn host(&self) -> Result<&Arc<dyn Host>, AdminError> {
        self.host.get().ok_or_else(|| {
            AdminError::new(
                ErrorKind::Unavailable,
                "no server is running: start it with `portcullis serve`",
            )
        })
    }

    /// Whoever reloads records it, whatever came of it; here only that there is nobody to do it.
    fn reload(&self, asked: Asked, actor: &Actor) -> Result<Value, AdminError> {
        let host = self.host();
        if let Err(error) = &host {
            self.record(asked, trail::outcome::<()>(&Err(error.clone())))?;
        }
        let reloaded = host?.reload(actor);
        reloaded.map_err(|faults| AdminError::new(ErrorKind::Invalid, faults))
    }

    fn drain(&self, asked: Asked) -> Result<Value, AdminError> {
        let host = self.host();
        self.record(asked, trail::outcome(&host))?;
        host?.drain();
        Ok(json!({ "draining": true }))
    }

    /// What the service knows, and whatever the process adds.
    fn status(&self) -> Result<Value, AdminError> {
        let state = self.handle.snapshot();
        let (store, conflicts) = {
            let inner = self.lock()?;
            (inner.store.describe(), inner.conflicts.clone())
        };
        let not_enforced = NotEnforced::of(&state.policy);
        let mut status = json!({
            "instance": self.instance,
            "version": env!("CARGO_PKG_VERSION"),
            "process": std::process::id(),
            "running": self.host.get().is_some(),
            "store": store,
            "policy": state.policy.hash,
            "accounts": state.directory.accounts_len(),
            "keys": state.directory.keys_len(),
            "routes": state.policy.routes.len(),
            "permissions": state.policy.permissions.len(),
            "routes_in_shadow": not_enforced.routes,
            "upstreams_in_shadow": not_enforced.upstreams,
            "default_upstream": not_enforced.default_upstream,
            "findings": {
                "warnings": state.policy.findings.count(Level::Warning),
                "notes": state.policy.findings.count(Level::Note),
            },
            "conflicts": conflicts,
        });
        let more = self.host.get().map(|host| host.status());
        if let (Some(status), Some(Value::Object(more))) = (status.as_object_mut(), more) {
            status.extend(more);
        }
        Ok(status)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("instance", &self.instance)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Why a policy was not put in force.
#[derive(Debug)]
pub enum ReplaceError {
    /// What stands in both the files and the store, one sentence each.
    Conflicts(Vec<String>),
    /// The store did not take what the policy changes in it.
    Store(StoreError),
}

impl fmt::Display for ReplaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflicts(sentences) => f.write_str(&sentences.join("\n")),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReplaceError {}

/// When keys and accounts were used, as far as the store does not know it yet.
pub(super) struct Used {
    pub(super) keys: Vec<crate::store::KeyUse>,
    pub(super) accounts: Vec<(crate::words::AccountId, UnixTime)>,
}
