//! G09: nobody ends with a right that he could not give, whatever he asks for and in whichever order.
//!
//! Random callers ask for random things, out of pieces that are dangerous: groups, roles that include
//! roles, boundaries that overlap, `portcullis.grants:any`, keys that are narrower than their accounts.
//! Beside them stands an oracle that knows no boundaries, no extents and no demands: it writes down every
//! right of every account and key at each of a few places, before and after, and asks of each that is new
//! whether one grant of the caller holds it there, or may give anything there.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::world::{POLICY, World};
use crate::admin::{Actor, AdminError, ErrorKind, Operation, Page, Terms};
use crate::credential::Credential;
use crate::directory::State;
use crate::words::{
    Account, Boundary, Caller, KeyId, PermissionId, PermissionSet, RequestIds, Secret,
};

/// Sequences of a short run: what a debug build does in some ten seconds.
const SEQUENCES: u64 = 1_000;
/// And of a long one.
const SEQUENCES_LONG: u64 = 200_000;
/// Steps of a sequence.
const STEPS: usize = 8;
/// Sequences that go on with what those before them have left.
const ON_ONE_STORE: u64 = 25;

/// Somebody at one of the places there are: each tenant and site that is named anywhere, and one of each
/// that is not.
const PLACES: [(&str, &str); 6] = [
    ("a", "x"),
    ("a", "elsewhere"),
    ("b", "x"),
    ("b", "elsewhere"),
    ("other", "x"),
    ("other", "elsewhere"),
];

/// What may be done at each place: a bit for each permission by its number. There are fewer than 64.
type Rights = [u64; PLACES.len()];

const ACCOUNTS: [&str; 8] = [
    "wide", "narrow", "any", "victim", "friend", "n0", "n1", "n2",
];
const GROUPS: [&str; 3] = ["crew", "g0", "g1"];
const ROLES: [&str; 11] = [
    "reader",
    "operator",
    "manager",
    "clerk",
    "giver",
    "r0",
    "r1",
    "r2",
    "portcullis-admin",
    "portcullis-viewer",
    "r2",
];
const PATTERNS: [&str; 7] = [
    "devices:view",
    "devices:*",
    "tenants:view",
    "portcullis.accounts:*",
    "portcullis.keys:*",
    "portcullis.grants:any",
    "portcullis.roles:*",
];

/// Roles that somebody may hope to give.
const WEAK: [&str; 4] = ["reader", "r0", "r1", "r2"];

struct Dice {
    state: u64,
    /// Where whoever asks is at home: most of what he asks for is there, or nearly all were refused.
    home: Value,
}

impl Dice {
    /// `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most as u64).unwrap()
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn some<T: Copy>(&mut self, all: &[T], most: usize) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| self.of(all)).collect()
    }

    fn within(&mut self) -> Value {
        match self.below(16) {
            7.. => self.home.clone(),
            0 => json!({}),
            1 => json!({ "tenant": ["a"] }),
            2 => json!({ "tenant": ["b"] }),
            3 => json!({ "tenant": ["a", "b"] }),
            4 => json!({ "tenant": ["b"], "site": ["x"] }),
            5 => json!({ "site": ["x"] }),
            _ => json!({ "tenant": ["a"], "site": ["x"] }),
        }
    }

    fn role(&mut self) -> &'static str {
        match self.below(2) {
            0 => self.of(&ROLES),
            _ => self.of(&WEAK),
        }
    }

    fn grants(&mut self) -> Vec<Value> {
        let count = self.below(3);
        (0..count)
            .map(|_| json!({ "role": self.role(), "within": self.within() }))
            .collect()
    }

    fn owner(&mut self) -> Value {
        match self.below(2) {
            0 => Value::Null,
            _ => self.within(),
        }
    }

    fn operation(&mut self, keys: &[String]) -> Value {
        let (name, group, role) = (self.of(&ACCOUNTS), self.of(&GROUPS), self.role());
        let (within, owner) = (self.within(), self.owner());
        let key = &keys[self.below(keys.len())];
        let (patterns, include) = (self.some(&PATTERNS, 2), self.some(&ROLES, 2));
        match self.below(24) {
            0 => {
                json!({ "operation": "accounts_create", "name": name, "grants": self.grants(), "owner": owner })
            }
            1..=3 => {
                json!({ "operation": "accounts_grant", "name": name, "role": role, "within": within })
            }
            4 => {
                json!({ "operation": "accounts_ungrant", "name": name, "role": role, "within": within })
            }
            5 => json!({ "operation": "accounts_disable", "name": name }),
            6 => json!({ "operation": "accounts_enable", "name": name }),
            7 => json!({ "operation": "accounts_delete", "name": name }),
            8..=9 => json!({ "operation": "keys_create", "account": name, "only": patterns }),
            10 => json!({ "operation": "keys_rotate", "key": key, "overlap_seconds": 60 }),
            11 => json!({ "operation": "keys_update", "key": key, "only": patterns }),
            12 => json!({ "operation": "keys_import", "account": name,
                "keys": [{ "digest": Secret::random().digest() }], "only": patterns }),
            13 => json!({ "operation": "roles_create", "name": role, "permissions": patterns,
                "include": include, "owner": owner }),
            14 => {
                json!({ "operation": "roles_update", "name": role, "permissions": patterns, "include": include })
            }
            15 => json!({ "operation": "roles_update", "name": role, "include": include }),
            16 => json!({ "operation": "roles_delete", "name": role, "force": self.below(2) == 0 }),
            17 => {
                json!({ "operation": "groups_create", "name": group, "grants": self.grants(), "owner": owner })
            }
            18..=19 => json!({ "operation": "groups_add", "group": group, "account": name }),
            20 => json!({ "operation": "groups_remove", "group": group, "account": name }),
            21 => {
                json!({ "operation": "groups_grant", "name": group, "role": role, "within": within })
            }
            22 => json!({ "operation": "groups_delete", "name": group }),
            _ => json!({ "operation": "tokens_issue", "account": name }),
        }
    }
}

struct Stage {
    world: World,
    /// The credentials that somebody shows, by key.
    shown: Vec<(KeyId, String)>,
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
    fn new() -> Self {
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
    fn begin(&mut self) {
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

    fn learn(&mut self, made: &Value) {
        if let (Some(id), Some(secret)) = (made["id"].as_str(), made["secret"].as_str()) {
            self.shown.push((id.parse().unwrap(), secret.to_owned()));
        }
    }

    fn terms(&self, state: &Arc<State>, (id, secret): &(KeyId, String)) -> Option<Terms> {
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

    fn ask(&self, operation: &Value, terms: &Terms) -> Result<Value, AdminError> {
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
    fn rights(&self) -> BTreeMap<String, Rights> {
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
fn home(name: &str) -> Value {
    let known = BEGINNERS.iter().find(|(known, ..)| *known == name);
    let within = known.map_or(r#"{ "tenant": ["a"] }"#, |(_, _, within, _)| within);
    serde_json::from_str(within).unwrap()
}

fn covers(within: &Boundary, place: usize) -> bool {
    let (tenant, site) = PLACES[place];
    within.iter().all(|(dimension, values)| {
        let value = if dimension.as_str() == "tenant" {
            tenant
        } else {
            site
        };
        values.iter().any(|one| one == value)
    })
}

/// What an account may do with a key of this subset, at each place. Who is shut off may do nothing.
fn held(account: &Account, subset: Option<&PermissionSet>) -> Rights {
    let mut rights = Rights::default();
    for holding in account.holdings.iter().filter(|_| account.enabled) {
        let usable = bits(&holding.permissions, [subset, None]);
        for (place, rights) in rights.iter_mut().enumerate() {
            *rights |= if covers(&holding.within, place) {
                usable
            } else {
                0
            };
        }
    }
    rights
}

/// Permissions, as far as every limit lets them be used.
fn bits(permissions: &PermissionSet, limits: [Option<&PermissionSet>; 2]) -> u64 {
    let mut usable = permissions.iter().filter(|id| {
        let mut limits = limits.iter().flatten();
        limits.all(|limit| limit.contains(*id))
    });
    usable
        .try_fold(0, |bits, id| Some(bits | 1_u64.checked_shl(id.0.into())?))
        .unwrap()
}

/// What somebody could give: all that a grant of his has there, as far as his credential may use it,
/// and anything if that includes giving anything.
fn givable(state: &State, caller: &Caller, any: PermissionId) -> Rights {
    let key = caller.key.and_then(|id| state.directory.key(&id));
    let limits = [
        caller.subset.as_ref(),
        key.and_then(|key| key.subset.as_ref()),
    ];
    let mut rights = Rights::default();
    for holding in &*caller.account.holdings {
        let usable = bits(&holding.permissions, limits);
        let usable = if usable & (1 << any.0) == 0 {
            usable
        } else {
            u64::MAX
        };
        for (place, rights) in rights.iter_mut().enumerate() {
            *rights |= if covers(&holding.within, place) {
                usable
            } else {
                0
            };
        }
    }
    rights
}

/// Somebody who got what he could not have been given: who, what, where.
fn escalated(
    state: &State,
    (before, after): (&BTreeMap<String, Rights>, &BTreeMap<String, Rights>),
    givable: &Rights,
) -> Option<String> {
    for (who, rights) in after {
        let had = before.get(who).copied().unwrap_or_default();
        for place in 0..PLACES.len() {
            let wrong = rights[place] & !had[place] & !givable[place];
            if wrong != 0 {
                let id = PermissionId(u16::try_from(wrong.trailing_zeros()).unwrap());
                let name = state.policy.permission(id);
                return Some(format!("{who} got {name} at {:?}", PLACES[place]));
            }
        }
    }
    None
}

fn run(sequences: u64, seed: u64) -> (usize, usize) {
    let (mut done, mut refused) = (0, 0);
    for first in (0..sequences).step_by(usize::try_from(ON_ONE_STORE).unwrap()) {
        let mut stage = Stage::new();
        for number in first..sequences.min(first + ON_ONE_STORE) {
            stage.begin();
            let mut dice = Dice {
                state: seed.wrapping_add(number),
                home: Value::Null,
            };
            let mut told = Vec::new();
            for _ in 0..STEPS {
                let state = stage.world.service.handle().snapshot();
                let shown = stage.shown[dice.below(stage.shown.len())].clone();
                let keys: Vec<_> = stage.shown.iter().map(|(id, _)| id.to_string()).collect();
                let Some(terms) = stage.terms(&state, &shown) else {
                    continue;
                };
                dice.home = home(terms.caller.account.name.as_str());
                let operation = dice.operation(&keys);
                let any = state.policy.permission_id("portcullis.grants:any").unwrap();
                let givable = givable(&state, &terms.caller, any);
                let before = stage.rights();
                let answer = stage.ask(&operation, &terms);
                let caller = &terms.caller;
                told.push(format!(
                    "{} with {:?}: {operation}",
                    caller.account.name, caller.key
                ));
                let Ok(made) = answer else {
                    refused += 1;
                    assert_ne!(
                        answer.unwrap_err().kind,
                        ErrorKind::Unavailable,
                        "{told:#?}"
                    );
                    continue;
                };
                done += 1;
                let mut after = stage.rights();
                if operation["operation"] == "tokens_issue" {
                    let state = stage.world.service.handle().snapshot();
                    let name = operation["account"].as_str().unwrap();
                    let account = state.directory.account_named(name).unwrap();
                    after.insert("the token".to_owned(), held(account, None));
                }
                if let Some(escalated) = escalated(&state, (&before, &after), &givable) {
                    panic!(
                        "sequence {number}: {escalated} of one who could not give it: {told:#?}"
                    );
                }
                stage.learn(&made);
            }
        }
    }
    (done, refused)
}

/// G09.
#[test]
fn nobody_ever_ends_with_a_right_that_whoever_gave_it_could_not_give() {
    let long = std::env::var_os("PORTCULLIS_LONG").is_some_and(|value| !value.is_empty());
    let sequences = if long { SEQUENCES_LONG } else { SEQUENCES };
    let (done, refused) = run(sequences, 0x6709);
    // A generator of which nothing is done would prove nothing, and neither would one of which all is.
    let least = usize::try_from(sequences / 2).unwrap();
    assert!(
        done > least && refused > least,
        "{done} done, {refused} refused"
    );
}
