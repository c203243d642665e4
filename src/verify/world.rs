//! A small world for tests: a policy, four accounts with a key each, two signing keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::credential::Credential;
use crate::directory::{Directory, SigningKey, SigningKeys, State};
use crate::oauth::{MintRequest, mint};
use crate::policy::{Policy, Role};
use crate::reason::Reason;
use crate::settings::Tokens;
use crate::store::{AccountRecord, GrantRecord, KeyRecord, Pepper, Records};
use crate::verify::Verifier;
use crate::words::{
    Account, Boundary, Caller, ClassSet, KeyId, Permission, PermissionId, Place, Secret, UnixTime,
};

/// The hour the world was made: 2026-11-21T23:00:00Z.
pub(crate) const START: UnixTime = UnixTime::from_secs(1_795_302_000);

/// What the policy declares, sorted. `operator` gives the first two, `tenants` the third, nobody
/// the fourth.
pub(crate) const PERMISSIONS: [&str; 4] =
    ["devices:edit", "devices:view", "tenants:view", "users:edit"];

/// `ci` holds both roles; `poor` none; `off` is switched off; `far` may call from 10.0.0.0/8 only.
pub(crate) struct World {
    pub(crate) tokens: Tokens,
    pub(crate) verifier: Verifier,
    pub(crate) pepper: Arc<Pepper>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) records: Records,
    /// One each, by account name.
    pub(crate) keys: BTreeMap<&'static str, (KeyId, Secret)>,
    pub(crate) signing: Arc<SigningKeys>,
}

impl World {
    pub(crate) fn new() -> Self {
        let tokens = Tokens {
            issuer: "https://gate.example.com".into(),
            audience: "inventory".into(),
            lifetime: Duration::from_secs(900),
            signing_key: None,
            signing_key_life: crate::settings::SIGNING_KEY_LIFE_DEFAULT,
            cache_entries: 100,
        };
        let pepper = Arc::new(Pepper::random());
        let retired = SigningKey {
            retired_at: Some(START),
            ..SigningKey::generate(UnixTime::from_secs(1)).0
        };
        let mut world = Self {
            verifier: Verifier::new(&tokens, Some(Arc::clone(&pepper))),
            tokens,
            pepper,
            policy: Arc::new(policy()),
            records: Records::default(),
            keys: BTreeMap::new(),
            signing: Arc::new(SigningKeys::new(vec![
                retired,
                SigningKey::generate(START).0,
            ])),
        };
        world.account("ci", &["operator", "tenants"]);
        world.account("poor", &[]);
        world.account("off", &["operator"]).enabled = false;
        world.account("far", &["operator"]).allow_from = vec!["10.0.0.0/8".parse().unwrap()];
        world
    }

    fn account(&mut self, name: &'static str, roles: &[&str]) -> &mut AccountRecord {
        let id: crate::words::AccountId = format!("sa_{name}").parse().unwrap();
        let grant = |role: &&str| GrantRecord {
            role: role.parse().unwrap(),
            within: Boundary::default(),
            closed_at: None,
        };
        let account = AccountRecord {
            id: id.clone(),
            name: name.parse().unwrap(),
            description: String::new(),
            enabled: true,
            allow_from: Vec::new(),
            grants: roles.iter().map(grant).collect(),
            created_at: START,
            updated_at: START,
            last_used_at: None,
            applied_as: None,
            owner: Boundary::default(),
            created_by: None,
        };
        self.give(name, Secret::random());
        self.records.accounts.get_or_insert_with(&id, || account)
    }

    /// Gives an account another key, with this secret.
    pub(crate) fn give(&mut self, name: &'static str, secret: Secret) -> KeyId {
        let id = KeyId::random();
        self.records.put_key(KeyRecord {
            id,
            account: format!("sa_{name}").parse().unwrap(),
            description: String::new(),
            digest: self.pepper.keyed(&secret.digest()),
            created_at: START,
            updated_at: START,
            expires_at: None,
            last_used_at: None,
            last_used_from: None,
            created_by: None,
            limits: Default::default(),
        });
        self.keys.insert(name, (id, secret));
        id
    }

    /// What is in force.
    pub(crate) fn state(&self) -> State {
        let signing = Arc::clone(&self.signing);
        State {
            policy: Arc::clone(&self.policy),
            directory: Directory::build(&self.policy, &self.records, signing, None).directory,
        }
    }

    pub(crate) fn key(&self, account: &str) -> KeyId {
        self.keys[account].0
    }

    /// Ends the account's key.
    pub(crate) fn end_key(&mut self, account: &str, end: UnixTime) {
        let key = self.records.key(&self.key(account)).unwrap().clone();
        self.records.put_key(KeyRecord {
            expires_at: Some(end),
            ..key
        });
    }

    pub(crate) fn forget_keys(&mut self, account: &str) {
        let id = format!("sa_{account}").parse().unwrap();
        self.records.remove_keys_of(&id);
    }

    pub(crate) fn forget_account(&mut self, account: &str) {
        self.forget_keys(account);
        let id: crate::words::AccountId = format!("sa_{account}").parse().unwrap();
        self.records.accounts.remove(&id);
    }

    /// A token as the token endpoint makes it, from the account's key.
    pub(crate) fn token(&self, account: &str, scope: Option<&[&str]>) -> String {
        let key = Some(self.key(account));
        self.mint(account, key, scope)
    }

    /// A token as an operator issues it.
    pub(crate) fn issued(&self, account: &str) -> String {
        self.mint(account, None, None)
    }

    fn mint(&self, account: &str, key: Option<KeyId>, scope: Option<&[&str]>) -> String {
        let state = self.state();
        let account: &Account = state.directory.account_named(account).unwrap();
        let scope: Option<Vec<Permission>> =
            scope.map(|names| names.iter().map(|name| name.parse().unwrap()).collect());
        let request = MintRequest {
            id: crate::words::TokenId::random(),
            account,
            key,
            scope: scope.as_deref(),
            lifetime: self.tokens.lifetime,
        };
        mint(self.signing.current(), &self.tokens, request, START).unwrap()
    }

    /// The caller of a bearer token, by the state in force.
    pub(crate) fn bearer(&self, token: &str, now: UnixTime) -> Result<Caller, Reason> {
        let found = self
            .verifier
            .verify(&Credential::Bearer(token), &self.state(), (now, None));
        found.map(|caller| caller.expect("there is a credential"))
    }
}

fn policy() -> Policy {
    let role = |name: &str, gives: &[u16]| {
        let role = Role {
            description: String::new(),
            permissions: Vec::new(),
            include: Vec::new(),
            gives: gives.iter().copied().map(PermissionId).collect(),
            api_access: true,
            place: Place::whole("world.yaml"),
        };
        (name.parse().unwrap(), role)
    };
    Policy {
        hash: String::new(),
        permissions: PERMISSIONS
            .iter()
            .map(|name| (name.parse().unwrap(), String::new()))
            .collect(),
        dimensions: Vec::new(),
        roles: [role("operator", &[0, 1]), role("tenants", &[2])].into(),
        routes: Vec::new(),
        upstreams: Vec::new(),
        accounts: BTreeMap::new(),
        groups: BTreeMap::new(),
        tests: Vec::new(),
        overlaps: Vec::new(),
        findings: Default::default(),
        weakened: Vec::new(),
        classes_allowed: ClassSet::default(),
        classes_read: ClassSet::default(),
        shadow: Default::default(),
        method_in_query_allowed: false,
        answers_preflights: false,
        tables: Default::default(),
    }
}
