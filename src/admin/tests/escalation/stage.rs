//! Who asks, and what there is before he does.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::oracle::{Rights, held};
use crate::admin::tests::world::{POLICY, World};
use crate::admin::{Actor, AdminError, Operation, Page, Terms};
use crate::credential::Credential;
use crate::directory::State;
use crate::words::{Account, Boundary, KeyId, RequestIds, Secret};

/// A store, and those who ask.
pub(super) struct Stage {
    pub(super) world: World,
    /// The credentials that somebody shows, by key.
    pub(super) shown: Vec<(KeyId, String)>,
    /// Of these, those that everybody begins with.
    first: [Option<(KeyId, String)>; BEGINNERS.len()],
}

/// The accounts that somebody asks as, with the role of each, where, and what the key is good for.
const BEGINNERS: [(&str, &str, &str, &[&str]); 4] = [
    ("wide", "manager", r#"{ "tenant": ["a"] }"#, &[]),
    (
        "wide",
        "operator",
        r#"{ "tenant": ["a"] }"#,
        &[
            "portcullis.accounts:*",
            "portcullis.groups:*",
            "portcullis.roles:*",
            "devices:view",
        ],
    ),
    (
        "narrow",
        "clerk",
        r#"{ "tenant": ["b"], "site": ["x"] }"#,
        &[],
    ),
    ("any", "giver", r#"{ "tenant": ["b"] }"#, &[]),
];

/// Where a store is quick: what the disk does is not asked here.
fn folder() -> TempDir {
    let memory = tempfile::tempdir_in("/dev/shm");
    memory.unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

impl Stage {
    pub(super) fn new() -> Self {
        let world = World::on(folder(), &[POLICY], "store: sqlite:p.db");
        for (name, permissions) in [
            (
                "manager",
                json!([
                    "portcullis.accounts:*",
                    "portcullis.keys:*",
                    "portcullis.groups:*",
                    "portcullis.roles:*",
                    "portcullis.tokens:edit",
                    "devices:view",
                    "tenants:view"
                ]),
            ),
            (
                "clerk",
                json!([
                    "portcullis.accounts:*",
                    "portcullis.keys:*",
                    "portcullis.groups:*",
                    "tenants:view"
                ]),
            ),
            (
                "giver",
                json!([
                    "portcullis.accounts:*",
                    "portcullis.keys:*",
                    "portcullis.groups:*",
                    "portcullis.roles:*",
                    "portcullis.tokens:edit",
                    "portcullis.grants:any"
                ]),
            ),
        ] {
            world.done(
                json!({ "operation": "roles_create", "name": name, "permissions": permissions }),
            );
        }
        Self {
            world,
            shown: Vec::new(),
            first: [const { None }; BEGINNERS.len()],
        }
    }

    /// What everybody begins with; what is there already is there already.
    pub(super) fn begin(&mut self) {
        self.shown.clear();
        self.hold("victim", "reader", &json!({ "tenant": ["a"] }));
        self.hold(
            "friend",
            "operator",
            &json!({ "tenant": ["b"], "site": ["x"] }),
        );
        for (number, (name, role, within, only)) in BEGINNERS.into_iter().enumerate() {
            self.hold(name, role, &serde_json::from_str(within).unwrap());
            let state = self.world.service.handle().snapshot();
            let kept = self.first[number].clone();
            if let Some(kept) = kept.filter(|kept| self.terms(&state, kept).is_some()) {
                self.shown.push(kept);
                continue;
            }
            let key = json!({ "operation": "keys_create", "account": name, "only": only });
            let made = self.world.done(key);
            self.learn(&made);
            self.first[number] = self.shown.last().cloned();
        }
        for operation in [
            json!({ "operation": "roles_create", "name": "r0", "include": ["reader"],
                "owner": { "tenant": ["a"] } }),
            json!({ "operation": "roles_create", "name": "r1", "include": ["r0"],
                "owner": { "tenant": ["a"] } }),
            json!({ "operation": "groups_create", "name": "crew",
                "owner": { "tenant": ["a"] }, "grants": [{ "role": "r1", "within": { "tenant": ["a"] } }] }),
            json!({ "operation": "groups_add", "group": "crew", "account": "victim" }),
            json!({ "operation": "roles_create", "name": "r2", "permissions": ["devices:view"],
                "owner": { "tenant": ["b"] } }),
            json!({ "operation": "groups_create", "name": "g0",
                "owner": { "tenant": ["b"], "site": ["x"] } }),
            json!({ "operation": "accounts_create", "name": "n0",
                "owner": { "tenant": ["b"], "site": ["x"] } }),
        ] {
            drop(self.world.ask(operation));
        }
    }

    /// Sees to it that an account is there, is enabled and holds a role.
    fn hold(&self, name: &str, role: &str, within: &Value) {
        let state = self.world.service.handle().snapshot();
        let account = state.directory.account_named(name);
        let place: Boundary = serde_json::from_value(within.clone()).unwrap();
        let holds = |account: &Account| {
            let mut holdings = account.holdings.iter();
            holdings.any(|held| held.role.as_str() == role && held.within == place)
        };
        if account.is_none() {
            let made = json!({ "operation": "accounts_create", "name": name, "owner": within });
            self.world.done(made);
        }
        if account.is_some_and(|account| !account.enabled) {
            self.world
                .done(json!({ "operation": "accounts_enable", "name": name }));
        }
        if !account.is_some_and(|account| holds(account)) {
            // A role may be gone that somebody could delete.
            let grant = json!({ "operation": "accounts_grant", "name": name, "role": role, "within": within });
            drop(self.world.ask(grant));
        }
    }

    pub(super) fn learn(&mut self, made: &Value) {
        if let (Some(id), Some(secret)) = (made["id"].as_str(), made["secret"].as_str()) {
            self.shown.push((id.parse().unwrap(), secret.to_owned()));
        }
    }

    pub(super) fn terms(
        &self,
        state: &Arc<State>,
        (id, secret): &(KeyId, String),
    ) -> Option<Terms> {
        let secret = Secret::parse(secret).unwrap();
        let shown = Credential::Key { id: *id, secret };
        let at = (self.world.clock.now(), None);
        let caller = self
            .world
            .service
            .verifier()
            .verify(&shown, state, at)
            .ok()??;
        caller.account.enabled.then(|| Terms {
            caller,
            source: None,
            policy: Arc::clone(&state.policy),
            if_match: None,
            page: Page::default(),
        })
    }

    pub(super) fn ask(&self, operation: &Value, terms: &Terms) -> Result<Value, AdminError> {
        let actor = Actor::Api {
            account: terms.caller.account.name.clone(),
            account_id: terms.caller.account.id.clone(),
            key: terms.caller.key,
            address: [192, 0, 2, 1].into(),
            request_id: RequestIds::new().next(self.world.clock.now()),
        };
        let operation: Operation = serde_json::from_value(operation.clone()).unwrap();
        self.world.service.execute_for(operation, &actor, terms)
    }

    /// Every right of every account and of every key, by its id.
    pub(super) fn rights(&self) -> BTreeMap<String, Rights> {
        let state = self.world.service.handle().snapshot();
        let mut all = BTreeMap::new();
        for account in state.directory.accounts() {
            all.insert(account.id.to_string(), held(account, None));
        }
        for key in state.directory.keys() {
            all.insert(key.id.to_string(), held(&key.account, key.subset.as_ref()));
        }
        all
    }
}

/// Where an account is at home.
pub(super) fn home(name: &str) -> Value {
    let known = BEGINNERS.iter().find(|(known, ..)| *known == name);
    let within = known.map_or(r#"{ "tenant": ["a"] }"#, |(_, _, within, _)| within);
    serde_json::from_str(within).unwrap()
}
