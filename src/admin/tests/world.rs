//! A service on a store of its own, with a clock that stands still.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::admin::{Actor, AdminError, ErrorKind, Operation, ReplaceError, Service, open_server};
use crate::clock::Clock;
use crate::policy::Policy;
use crate::policy::compile::{Context, SourceFile, compile};
use crate::settings::Settings;
use crate::words::{Account, KeyId, UnixTime};

pub(in crate::admin) const START: UnixTime = UnixTime::from_secs(1_795_302_000);

pub(in crate::admin) const POLICY: &str = "
dimensions: { tenant: The customer, site: The place }
permissions: { devices:view: See, devices:edit: Change, tenants:view: See }
roles:
  reader: { description: Reads, permissions: [devices:view, tenants:view] }
  operator: { description: Works, include: [reader], permissions: [\"devices:*\"] }
";

pub(in crate::admin) const FILED: &str = "
accounts:
  nightly:
    description: Exports
    grants: [{ role: reader, within: { tenant: [acme] } }]
";

/// A service on a store of its own, with a clock that stands still.
pub(in crate::admin) struct World {
    pub(in crate::admin) folder: TempDir,
    pub(in crate::admin) clock: Clock,
    pub(in crate::admin) service: Arc<Service>,
}

impl World {
    pub(in crate::admin) fn new(policy: &[&str]) -> Self {
        Self::with(policy, "store: sqlite:p.db")
    }

    pub(in crate::admin) fn with(policy: &[&str], settings: &str) -> Self {
        Self::on(tempfile::tempdir().unwrap(), policy, settings)
    }

    pub(in crate::admin) fn on(folder: TempDir, policy: &[&str], settings: &str) -> Self {
        let clock = Clock::still(START);
        let service = Arc::new(open(folder.path(), policy, (&clock, settings)).unwrap());
        Self {
            folder,
            clock,
            service,
        }
    }

    pub(in crate::admin) fn reopen(self, policy: &[&str]) -> Self {
        self.reopen_with(policy, "store: sqlite:p.db")
    }

    pub(in crate::admin) fn reopen_with(self, policy: &[&str], settings: &str) -> Self {
        let Self {
            folder,
            clock,
            service,
        } = self;
        drop(service);
        let service = open(folder.path(), policy, (&clock, settings)).unwrap();
        let service = Arc::new(service);
        Self {
            folder,
            clock,
            service,
        }
    }

    /// Goes on in another folder, whose files are as if this process had been killed.
    pub(in crate::admin) fn move_to(&mut self, folder: TempDir, policy: &[&str]) {
        let settings = "store: sqlite:p.db";
        self.service = Arc::new(open(folder.path(), policy, (&self.clock, settings)).unwrap());
        self.folder = folder;
    }

    pub(in crate::admin) fn ask(&self, operation: Value) -> Result<Value, AdminError> {
        let operation: Operation = serde_json::from_value(operation).unwrap();
        self.service.execute(operation, &Actor::local())
    }

    pub(in crate::admin) fn done(&self, operation: Value) -> Value {
        self.ask(operation).unwrap()
    }

    pub(in crate::admin) fn refused(&self, operation: Value) -> (ErrorKind, String) {
        let error = self.ask(operation).unwrap_err();
        (error.kind, error.message)
    }

    pub(in crate::admin) fn reload(&self, policy: &[&str]) -> Result<(), ReplaceError> {
        self.service
            .replace_policy(compiled(policy), &Actor::Gateway)
    }

    pub(in crate::admin) fn account(&self, name: &str) -> Arc<Account> {
        let state = self.service.handle().snapshot();
        Arc::clone(state.directory.account_named(name).unwrap())
    }

    /// What an account holds: role, boundary, group.
    pub(in crate::admin) fn holds(&self, name: &str) -> Vec<String> {
        let shown = |holding: &crate::words::Holding| {
            let group = holding.group.as_ref().map(|group| format!(" by {group}"));
            format!(
                "{} {}{}",
                holding.role,
                holding.within,
                group.unwrap_or_default()
            )
        };
        self.account(name).holdings.iter().map(shown).collect()
    }

    pub(in crate::admin) fn create(&self, name: &str, role: &str) -> Value {
        self.done(json!({
            "operation": "accounts_create", "name": name,
            "grants": [{ "role": role, "within": { "tenant": ["acme"] } }],
        }))
    }

    pub(in crate::admin) fn key(&self, account: &str) -> KeyId {
        let made = self.done(json!({ "operation": "keys_create", "account": account }));
        made["id"].as_str().unwrap().parse().unwrap()
    }

    pub(in crate::admin) fn is_alive(&self, key: KeyId) -> bool {
        let state = self.service.handle().snapshot();
        let key = state.directory.key(&key);
        key.is_some_and(|key| !key.is_expired(self.clock.now()) && key.account.enabled)
    }
}

pub(in crate::admin) fn open(
    folder: &Path,
    policy: &[&str],
    (clock, store): (&Clock, &str),
) -> Result<Service, AdminError> {
    let file = folder.join("portcullis.yaml");
    std::fs::write(&file, store).unwrap();
    open_server(
        &Settings::load(&file).unwrap(),
        compiled(policy),
        clock.clone(),
    )
}

pub(in crate::admin) fn compiled(texts: &[&str]) -> Arc<Policy> {
    let file = |(number, text): (usize, &&str)| SourceFile {
        path: Arc::from(PathBuf::from(format!("policies/{number}.yaml"))),
        text: (*text).to_owned(),
    };
    let files: Vec<_> = texts.iter().enumerate().map(file).collect();
    let context = Context {
        upstreams: None,
        own_endpoints: Vec::new(),
        files_only: false,
    };
    Arc::new(compile(&files, &context).unwrap())
}
