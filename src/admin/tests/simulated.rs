//! E29: accounts, keys and tokens in whatever order things happen to them, against a model that only
//! knows what was acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::world::{POLICY, World};
use crate::credential::Credential;
use crate::oauth::{MintRequest, mint};
use crate::settings::Tokens;
use crate::words::{KeyId, Secret, TokenId, UnixTime};

/// Courses of events, and how many steps one has.
const SEEDS: u64 = 12;
const SEEDS_LONG: u64 = 2000;
const STEPS: usize = 100;

/// The same without the role that everybody holds.
const LESS: &str = "
dimensions: { tenant: The customer, site: The place }
permissions: { devices:view: See, devices:edit: Change, tenants:view: See }
";

const ROLE: &str = "operator";

/// When a key ends that has no end.
const NEVER: UnixTime = UnixTime::from_millis(u64::MAX);

/// What is known of an account that is there.
#[derive(Debug, Default)]
struct Known {
    /// Another number for each that had the name.
    life: usize,
    enabled: bool,
    granted: bool,
}

/// What opens, and what of it may be over.
struct Out {
    shown: Shown,
    account: &'static str,
    life: usize,
    key: Option<KeyId>,
    /// When it is over by itself.
    ends: UnixTime,
    taken_back: bool,
}

enum Shown {
    Key(KeyId, String),
    Token(TokenId, String),
}

/// Numbers that look like chance and come back the same.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % most
    }
}

struct Course {
    world: World,
    chance: Chance,
    /// Whether the policy has the role.
    has_role: bool,
    accounts: BTreeMap<&'static str, Known>,
    lives: usize,
    key_ends: BTreeMap<KeyId, UnixTime>,
    out: Vec<Out>,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

impl Course {
    fn begin(seed: u64) -> Self {
        Self {
            world: World::new(&[POLICY]),
            chance: Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            has_role: true,
            accounts: BTreeMap::new(),
            lives: 0,
            key_ends: BTreeMap::new(),
            out: Vec::new(),
        }
    }

    fn now(&self) -> UnixTime {
        self.world.clock.now()
    }

    /// A moment from now on, near enough to come.
    fn soon(&mut self) -> UnixTime {
        let seconds = 1 + self.chance.below(60) as u64;
        self.now().plus(Duration::from_secs(seconds))
    }

    /// Asks for a change; the model learns of it where it was acknowledged.
    fn ask(&self, operation: Value) -> Option<Value> {
        self.world.ask(operation).ok()
    }

    fn any_key(&mut self) -> Option<KeyId> {
        let keys: Vec<_> = self.key_ends.keys().copied().collect();
        (!keys.is_empty()).then(|| keys[self.chance.below(keys.len())])
    }

    fn step(&mut self) {
        let name = NAMES[self.chance.below(NAMES.len())];
        match self.chance.below(16) {
            0 | 1 => self.create(name),
            2 | 3 => self.make_key(name),
            4..=6 => self.make_token(),
            7 => self.end_key(),
            8 => self.rotate(),
            9 => self.revoke(),
            10 => {
                let on = self.chance.below(2) == 1;
                let verb = if on { "enable" } else { "disable" };
                let asked = json!({ "operation": format!("accounts_{verb}"), "name": name });
                if self.ask(asked).is_some() {
                    self.accounts.get_mut(name).unwrap().enabled = on;
                }
            }
            11 => {
                let on = self.chance.below(2) == 1;
                let verb = if on { "grant" } else { "ungrant" };
                let asked = json!({
                    "operation": format!("accounts_{verb}"), "name": name, "role": ROLE,
                });
                if self.ask(asked).is_some() {
                    self.accounts.get_mut(name).unwrap().granted = on;
                }
            }
            12 => {
                if self
                    .ask(json!({ "operation": "accounts_delete", "name": name }))
                    .is_some()
                {
                    self.accounts.remove(name);
                }
            }
            13 => self.reload(),
            14 => self.crash(),
            _ => {
                let span = Duration::from_secs(self.chance.below(20) as u64);
                self.world.clock.advance(span);
            }
        }
    }

    fn create(&mut self, name: &'static str) {
        let made = self.ask(json!({
            "operation": "accounts_create", "name": name, "grants": [{ "role": ROLE }],
        }));
        if made.is_some() {
            self.lives += 1;
            let (life, enabled, granted) = (self.lives, true, true);
            self.accounts.insert(
                name,
                Known {
                    life,
                    enabled,
                    granted,
                },
            );
        }
    }

    fn make_key(&mut self, name: &'static str) {
        let end = (self.chance.below(2) == 0).then(|| self.soon());
        let asked = json!({ "operation": "keys_create", "account": name, "expires_at": end });
        if let Some(made) = self.ask(asked) {
            self.hold(name, &made, end);
        }
    }

    /// A key is out.
    fn hold(&mut self, account: &'static str, made: &Value, end: Option<UnixTime>) {
        let id: KeyId = made["id"].as_str().unwrap().parse().unwrap();
        let secret = made["secret"].as_str().unwrap().to_owned();
        self.key_ends.insert(id, end.unwrap_or(NEVER));
        self.out.push(Out {
            shown: Shown::Key(id, secret),
            account,
            life: self.accounts[account].life,
            key: Some(id),
            ends: NEVER,
            taken_back: false,
        });
    }

    /// As the token endpoint does, from a key that opens.
    fn make_token(&mut self) {
        let Some(key) = self.any_key() else { return };
        let state = self.world.service.handle().snapshot();
        let Some(known) = state.directory.key(&key) else {
            return;
        };
        let name = NAMES
            .into_iter()
            .find(|name| *name == known.account.name.as_str());
        let (name, id, lifetime) = (name.unwrap(), TokenId::random(), Duration::from_secs(30));
        let request = MintRequest {
            id,
            account: &known.account,
            key: Some(key),
            scope: None,
            lifetime,
        };
        let signer = state.directory.signing().current();
        let token = mint(signer, &Tokens::default(), request, self.now()).unwrap();
        self.out.push(Out {
            shown: Shown::Token(id, token),
            account: name,
            life: self.accounts[name].life,
            key: Some(key),
            ends: self.now().plus(lifetime),
            taken_back: false,
        });
    }

    fn end_key(&mut self) {
        let Some(key) = self.any_key() else { return };
        let at = (self.chance.below(2) == 0).then(|| self.soon());
        let end = at.unwrap_or_else(|| self.now());
        if self
            .ask(json!({ "operation": "keys_expire", "key": key, "at": at }))
            .is_some()
        {
            self.ends_at(key, end);
        }
    }

    /// An end is never moved away once it has come, and a later word may move one that has not.
    fn ends_at(&mut self, key: KeyId, end: UnixTime) {
        let now = self.now();
        let known = self.key_ends.get_mut(&key).unwrap();
        if *known > now {
            *known = end;
        }
    }

    fn rotate(&mut self) {
        let Some(key) = self.any_key() else { return };
        let overlap = self.chance.below(30) as u64;
        let asked = json!({ "operation": "keys_rotate", "key": key, "overlap_seconds": overlap });
        let Some(made) = self.ask(asked) else { return };
        let old = self.key_ends[&key];
        let over = self.now().plus(Duration::from_secs(overlap)).min(old);
        let account = self
            .out
            .iter()
            .find(|out| out.key == Some(key))
            .unwrap()
            .account;
        self.ends_at(key, over);
        self.hold(account, &made, (old != NEVER).then_some(old));
    }

    fn revoke(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let place = self.chance.below(self.out.len());
        if let Shown::Token(id, _) = &self.out[place].shown
            && self
                .ask(json!({ "operation": "tokens_revoke", "id": id }))
                .is_some()
        {
            self.out[place].taken_back = true;
        }
    }

    /// The role goes, and every grant of it for ever, or comes back.
    fn reload(&mut self) {
        self.has_role = !self.has_role;
        let policy = if self.has_role { POLICY } else { LESS };
        self.world.reload(&[policy]).unwrap();
        if !self.has_role {
            self.accounts
                .values_mut()
                .for_each(|known| known.granted = false);
        }
    }

    /// The files as they are at this moment, and a new process on them: what a kill leaves.
    fn crash(&mut self) {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(self.world.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            if path.is_file() && !name.to_string_lossy().ends_with("-shm") {
                std::fs::copy(&path, folder.path().join(name)).unwrap();
            }
        }
        let policy = if self.has_role { POLICY } else { LESS };
        self.world.move_to(folder, &[policy]);
    }

    /// Why `out` has to be refused, if it has.
    fn over(&self, out: &Out) -> Option<&'static str> {
        let now = self.now();
        let known = self.accounts.get(out.account);
        let known = known.filter(|known| known.life == out.life);
        let ended = |key: KeyId| self.key_ends[&key] <= now;
        let why = [
            (known.is_none(), "its account was deleted"),
            (
                known.is_some_and(|known| !known.enabled),
                "its account is off",
            ),
            (out.key.is_some_and(ended), "its key has ended"),
            (out.taken_back, "it was taken back"),
            (out.ends <= now, "it has run out"),
        ];
        let mut why = why.into_iter().filter(|(is_so, _)| *is_so);
        why.next().map(|(_, why)| why)
    }

    /// Tries all that is out.
    fn check(&self, course: &str) -> [usize; 2] {
        let state = self.world.service.handle().snapshot();
        let mut tried = [0, 0];
        for out in &self.out {
            let credential = match &out.shown {
                Shown::Key(id, secret) => Credential::Key {
                    id: *id,
                    secret: Secret::parse(secret).unwrap(),
                },
                Shown::Token(_, token) => Credential::Bearer(token),
            };
            let verifier = self.world.service.verifier();
            let found = verifier.verify(&credential, &state, (self.now(), None));
            let over = self.over(out);
            tried[usize::from(over.is_some())] += 1;
            // Whether an account is on is for the decision, which comes after.
            let caller = found.as_ref().ok().and_then(Option::as_ref);
            let Some(caller) = caller.filter(|caller| caller.account.enabled) else {
                assert!(
                    over.is_some(),
                    "{course}: a credential that is good is refused: {found:?}"
                );
                continue;
            };
            assert_eq!(over, None, "{course}: let in");
            let holds = caller
                .account
                .holdings
                .iter()
                .any(|held| held.role.as_str() == ROLE);
            let granted = self.accounts[out.account].granted;
            assert_eq!(
                holds, granted,
                "{course}: a grant that is not there, or is not"
            );
        }
        tried
    }
}

#[test]
fn e29_what_was_taken_back_opens_nothing_in_whatever_order_things_happen() {
    let is_long = std::env::var_os("PORTCULLIS_LONG").is_some_and(|value| !value.is_empty());
    let seeds = if is_long { SEEDS_LONG } else { SEEDS };
    let mut tried = [0, 0];
    for seed in 0..seeds {
        let mut course = Course::begin(seed);
        for step in 0..STEPS {
            course.step();
            let [good, over] = course.check(&format!("seed {seed}, step {step}"));
            tried = [tried[0] + good, tried[1] + over];
        }
    }
    assert!(
        tried[0] > 1000 && tried[1] > 1000,
        "hardly anything was tried: {tried:?}"
    );
}
