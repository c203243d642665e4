//! What of each operation goes into the audit trail.
//!
//! A `match` without a wildcard: an operation that is new does not compile before somebody has said
//! whether it is recorded, and as what.

use serde_json::Value;

use super::watches::Watches;
use super::{AdminError, ErrorKind, Operation};
use crate::audit::{Actor, Entry, Object, Outcome};
use crate::store::Told;
use crate::words::{KeyId, RequestId, RequestIds, UnixTime};

/// A call to the admin API that was refused, whatever it asked for.
pub(super) const CALL: &str = "api.call";

/// How an operation is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trail {
    /// It changes something, or hands something out: done or refused, there is a record.
    Change(&'static str),
    /// It shows what not everybody should know: how callers behave, where keys are used from, what is
    /// in the trail itself.
    Look(&'static str),
    /// The same, asked for again and again by one process: one record for all of it.
    Watch(&'static str),
    /// Nothing anybody would look for.
    Nothing,
}

impl Operation {
    /// How it is recorded.
    #[expect(
        clippy::too_many_lines,
        reason = "one arm an operation, nothing between them"
    )]
    pub(super) const fn trail(&self) -> Trail {
        use Trail::{Change, Look, Nothing, Watch};
        match self {
            Self::AccountsCreate { .. } => Change("account.create"),
            Self::AccountsApply { dry_run: true, .. } => Nothing,
            Self::AccountsApply { .. } => Change("account.apply"),
            Self::AccountsUpdate { .. } => Change("account.update"),
            Self::AccountsGrant { .. } => Change("account.grant"),
            Self::AccountsUngrant { .. } => Change("account.ungrant"),
            Self::AccountsDisable { .. } => Change("account.disable"),
            Self::AccountsEnable { .. } => Change("account.enable"),
            Self::AccountsDelete { .. } => Change("account.delete"),
            Self::KeysCreate { .. } => Change("key.create"),
            Self::KeysImport { .. } => Change("key.import"),
            Self::KeysUpdate { .. } => Change("key.update"),
            Self::KeysRotate { .. } => Change("key.rotate"),
            Self::KeysExpire { .. } => Change("key.expire"),
            Self::RolesCreate { .. } => Change("role.create"),
            Self::RolesUpdate { .. } => Change("role.update"),
            Self::RolesDelete { .. } => Change("role.delete"),
            Self::GroupsCreate { .. } => Change("group.create"),
            Self::GroupsAdd { .. } => Change("group.add"),
            Self::GroupsRemove { .. } => Change("group.remove"),
            Self::GroupsGrant { .. } => Change("group.grant"),
            Self::GroupsUngrant { .. } => Change("group.ungrant"),
            Self::GroupsDelete { .. } => Change("group.delete"),
            Self::TokensIssue { .. } => Change("token.issue"),
            Self::TokensRevoke { .. } => Change("token.revoke"),
            Self::SigningKeysRotate { .. } => Change("signing_key.rotate"),
            Self::TokensList { .. } => Look("token.list"),
            Self::Reload {} => Change("policy.reload"),
            Self::Drain {} => Change("gateway.drain"),
            Self::StoreBackup { .. } => Change("store.backup"),
            Self::KeysList { .. } => Look("key.list"),
            Self::KeysShow { .. } => Look("key.show"),
            Self::TokensInspect { .. } => Look("token.inspect"),
            Self::DenialsList { .. } => Look("denial.list"),
            Self::DenialsExplain { .. } => Look("denial.explain"),
            Self::DenialsTop { .. } => Look("denial.top"),
            Self::DenialsFollow { .. } => Watch("denial.follow"),
            Self::AuditList { .. } => Look("audit.list"),
            Self::AuditFollow { .. } => Watch("audit.follow"),
            Self::AuditVerify { .. } => Watch("audit.verify"),
            Self::AuditAnchor {} => Look("audit.anchor"),
            // Who may do what is what `check` tells everybody who has the files.
            Self::AccountsList { .. }
            | Self::AccountsShow { .. }
            | Self::RolesList {}
            | Self::RolesShow { .. }
            | Self::GroupsList {}
            | Self::GroupsShow { .. }
            | Self::RoutesList {}
            | Self::RoutesMatch { .. }
            | Self::RoutesOverlaps { .. }
            | Self::RoutesMatrix { .. }
            | Self::PermissionsList {}
            | Self::PermissionsWho { .. }
            | Self::AllowedList { .. }
            | Self::Explain { .. }
            | Self::SigningKeysList {}
            | Self::Whoami {}
            | Self::StoreStatus {}
            | Self::Status {} => Nothing,
        }
    }

    /// Says whether it only looks: whoever changes something must not wait for those who do.
    pub(super) const fn only_looks(&self) -> bool {
        !matches!(self.trail(), Trail::Change(_))
    }

    /// What its record is about where no change says it.
    #[expect(
        clippy::too_many_lines,
        reason = "one arm an operation, nothing between them"
    )]
    fn about(&self) -> Object {
        let named = |kind, name: &dyn ToString| Object {
            kind,
            name: Some(name.to_string()),
            ..Object::default()
        };
        let account = |kind, name: &dyn ToString| Object {
            account: Some(name.to_string()),
            ..named(kind, name)
        };
        match self {
            Self::AccountsCreate { name, .. }
            | Self::AccountsShow { name }
            | Self::AccountsUpdate { name, .. }
            | Self::AccountsGrant { name, .. }
            | Self::AccountsUngrant { name, .. }
            | Self::AccountsDisable { name }
            | Self::AccountsEnable { name }
            | Self::AccountsDelete { name } => account("account", name),
            Self::KeysCreate { account, .. } | Self::KeysImport { account, .. } => Object {
                kind: "key",
                account: Some(account.to_string()),
                ..Object::default()
            },
            Self::KeysList { account, .. } => Object {
                kind: "key",
                account: account.as_ref().map(ToString::to_string),
                ..Object::default()
            },
            Self::KeysShow { key }
            | Self::KeysRotate { key, .. }
            | Self::KeysUpdate { key, .. }
            | Self::KeysExpire { key, .. } => Object {
                kind: "key",
                id: Some(key.to_string()),
                ..Object::default()
            },
            Self::TokensIssue { account: name, .. } => account("token", name),
            Self::TokensRevoke { id } => Object {
                kind: "token",
                id: Some(id.to_string()),
                ..Object::default()
            },
            Self::TokensList { account } => Object {
                kind: "token",
                account: account.as_ref().map(ToString::to_string),
                ..Object::default()
            },
            Self::RolesCreate { name, .. }
            | Self::RolesShow { name }
            | Self::RolesUpdate { name, .. }
            | Self::RolesDelete { name, .. } => named("role", name),
            Self::GroupsCreate { name, .. }
            | Self::GroupsShow { name }
            | Self::GroupsGrant { name, .. }
            | Self::GroupsUngrant { name, .. }
            | Self::GroupsDelete { name } => named("group", name),
            Self::GroupsAdd { group, account } | Self::GroupsRemove { group, account } => Object {
                account: Some(account.to_string()),
                ..named("group", group)
            },
            Self::AccountsApply { set, .. } => named("set", set),
            Self::DenialsExplain { id } => named("denial", id),
            Self::StoreBackup { file, .. } => named("store", &file.display()),
            Self::AccountsList { .. }
            | Self::RolesList {}
            | Self::GroupsList {}
            | Self::TokensInspect { .. }
            | Self::SigningKeysList {}
            | Self::SigningKeysRotate { .. }
            | Self::RoutesList {}
            | Self::RoutesMatch { .. }
            | Self::RoutesOverlaps { .. }
            | Self::RoutesMatrix { .. }
            | Self::PermissionsList {}
            | Self::PermissionsWho { .. }
            | Self::AllowedList { .. }
            | Self::Explain { .. }
            | Self::DenialsList { .. }
            | Self::DenialsFollow { .. }
            | Self::DenialsTop { .. }
            | Self::AuditList { .. }
            | Self::AuditFollow { .. }
            | Self::AuditAnchor {}
            | Self::AuditVerify { .. }
            | Self::Whoami {}
            | Self::StoreStatus {}
            | Self::Status {}
            | Self::Reload {}
            | Self::Drain {} => Object::default(),
        }
    }
}

/// What was refused before it became an operation.
#[derive(Clone, Copy, Debug)]
pub enum AtDoor {
    /// A call to the admin API, by the name of its endpoint.
    Call(&'static str),
    /// A wrong secret for this key.
    Guess(KeyId),
}

/// Something that is asked for, as the trail has it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) trail: Trail,
    actor: Actor,
    request_id: RequestId,
    object: Object,
    /// What was asked for, in words: of a refused change nothing else tells it.
    words: Option<String>,
    /// What was handed out, where no change tells it.
    handed: Option<Told>,
}

impl Asked {
    /// Who asks.
    pub(super) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// What `actor` asks for with `operation`.
    pub(super) fn of(operation: &Operation, actor: &Actor, now: UnixTime) -> Self {
        Self {
            object: operation.about(),
            words: operation.object(),
            ..Self::by(actor, operation.trail(), now)
        }
    }

    /// The same for what is no operation.
    pub(super) fn by(actor: &Actor, trail: Trail, now: UnixTime) -> Self {
        let request_id = match actor {
            Actor::Api { request_id, .. }
            | Actor::Client { request_id, .. }
            | Actor::Stranger { request_id, .. } => *request_id,
            Actor::ControlSocket { .. } | Actor::Local { .. } | Actor::Gateway => {
                RequestIds::new().next(now)
            }
        };
        Self {
            trail,
            actor: actor.clone(),
            request_id,
            object: Object::default(),
            words: None,
            handed: None,
        }
    }

    /// This is what whoever asks gets: it stands in the record of it.
    pub(super) fn hands_out(&mut self, told: Told) {
        self.handed = Some(told);
    }

    /// The same, of which the answer is given once more and nothing is done.
    pub(super) fn again(mut self) -> Self {
        let words = self.words.take().unwrap_or_default();
        self.words = Some(format!("{words} (the same answer once more)"));
        self
    }

    fn event(&self) -> &'static str {
        match self.trail {
            Trail::Change(event) | Trail::Look(event) | Trail::Watch(event) => event,
            Trail::Nothing => "nothing",
        }
    }

    /// The record of it.
    pub(super) fn entry(
        &self,
        (at, instance): (UnixTime, &str),
        outcome: Outcome,
        told: Option<Told>,
    ) -> Entry {
        let handed = || self.handed.clone().filter(|_| outcome == Outcome::Success);
        let told = told.or_else(handed).unwrap_or_default();
        let mut object = match told.object.kind {
            "" => self.object.clone(),
            _ => told.object,
        };
        if object.kind.is_empty() {
            object.kind = self.event().split('.').next().unwrap_or_default();
        }
        object.account = object.account.or_else(|| self.object.account.clone());
        Entry {
            at,
            event: self.event(),
            actor: self.actor.clone(),
            request_id: self.request_id,
            instance: instance.to_owned(),
            object,
            words: self.words.clone(),
            outcome,
            before: told.before,
            after: told.after,
            repeated: None,
        }
    }

    /// A call that was refused before it became an operation.
    pub(super) fn at_door(what: AtDoor, actor: &Actor, now: UnixTime) -> Self {
        let (event, object) = match what {
            AtDoor::Call(name) => (
                CALL,
                Object {
                    kind: "endpoint",
                    name: Some(name.to_owned()),
                    ..Object::default()
                },
            ),
            AtDoor::Guess(key) => (
                "key.guess",
                Object {
                    kind: "key",
                    id: Some(key.to_string()),
                    ..Object::default()
                },
            ),
        };
        Self {
            object,
            ..Self::by(actor, Trail::Look(event), now)
        }
    }

    /// The account of a key that was named by its id alone.
    pub(super) fn concerns(&mut self, account: impl FnOnce(&str) -> Option<String>) {
        if let (None, Some(id)) = (&self.object.account, &self.object.id) {
            self.object.account = account(id);
        }
    }

    /// Whether an answer to it is recorded for having been given.
    pub(super) fn begins(&self, watches: &Watches, now: UnixTime) -> bool {
        match self.trail {
            Trail::Change(_) | Trail::Look(_) => true,
            Trail::Watch(event) => watches.begins(&self.actor, event, now),
            Trail::Nothing => false,
        }
    }
}

/// The outcome as a record has it.
pub(super) fn outcome<T>(answer: &Result<T, AdminError>) -> Outcome {
    match answer {
        Ok(_) => Outcome::Success,
        Err(error) => Outcome::Failure {
            kind: kind_of(error.kind),
            message: error.message.clone(),
        },
    }
}

/// The kind of a no, as a record has it.
pub(super) fn kind_of(kind: ErrorKind) -> String {
    let kind = serde_json::to_value(kind).ok();
    let kind = kind.and_then(|kind| kind.as_str().map(str::to_owned));
    kind.unwrap_or_default()
}

/// A line in the log for a record: the trail is where it is looked for, the log is what is watched,
/// and without a store all there is.
pub(super) fn say(entry: &Entry, number: Option<u64>) {
    let Entry { event, actor, .. } = entry;
    let (object, id) = (entry.object.name.as_deref(), entry.object.id.as_deref());
    let (account, asked) = (entry.object.account.as_deref(), entry.words.as_deref());
    let outcome = match &entry.outcome {
        Outcome::Success => "done",
        Outcome::Failure { message, .. } => message,
    };
    let request_id = entry.request_id.as_str();
    let changed = |value: &Value| (!value.is_null()).then(|| value.to_string());
    let (before, after) = (changed(&entry.before), changed(&entry.after));
    tracing::info!(
        number, event, object, id, account, asked, %actor, request_id, before, after, outcome,
        "asked by an operator"
    );
}

/// The same for several, of which the last has the number `last`.
pub(super) fn say_all(entries: &[Entry], last: Option<u64>) {
    for (back, entry) in entries.iter().rev().enumerate().rev() {
        say(entry, last.map(|last| last.saturating_sub(back as u64)));
    }
}
