//! What is asked for: random, out of pieces that are dangerous.

use serde_json::{Value, json};

use crate::words::Secret;

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

/// Where what is asked for comes from.
pub(super) struct Dice {
    pub(super) state: u64,
    /// Where whoever asks is at home: most of what he asks for is there, or nearly all were refused.
    pub(super) home: Value,
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

    pub(super) fn below(&mut self, most: usize) -> usize {
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

    pub(super) fn operation(&mut self, keys: &[String]) -> Value {
        let (name, group, role) = (self.of(&ACCOUNTS), self.of(&GROUPS), self.role());
        let (within, owner) = (self.within(), self.owner());
        let key = &keys[self.below(keys.len())];
        let (patterns, include) = (self.some(&PATTERNS, 2), self.some(&ROLES, 2));
        match self.below(30) {
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
            23 => json!({ "operation": "tokens_issue", "account": name }),
            24 => {
                json!({ "operation": "tokens_issue", "account": name, "scope": ["devices:view"] })
            }
            25 => {
                json!({ "operation": "groups_ungrant", "name": group, "role": role, "within": within })
            }
            26 => json!({ "operation": "accounts_update", "name": name, "allow_from": [] }),
            27 => json!({ "operation": "keys_expire", "key": key }),
            28 => json!({ "operation": "signing_keys_rotate" }),
            _ => json!({ "operation": "accounts_apply", "set": "team", "prune": true, "manifest": {
                "accounts": [{ "place": "a.yaml:1:1", "name": name, "description": "",
                    "allow_from": [], "grants": [
                        { "place": "a.yaml:2:1", "role": role, "within": within },
                    ] }],
            } }),
        }
    }
}
