//! A store with very many accounts: how long a start, a revocation and a page take, and how much
//! memory it all needs.

use std::time::{Duration, Instant};

use portcullis::store::{
    AccountRecord, Change, GrantRecord, KeyLimits, KeyRecord, Sqlite, Store as _, pepper_path,
};
use portcullis::words::{AccountId, Boundary, KeyId, UnixTime};

use super::words;
use crate::harness::long::{is_strict, sized, told};
use crate::harness::{Fixture, Gateway, Upstream};
use crate::store::entry;

/// Times of one kind are the shortest of so many: what is measured is the gateway, not what else the
/// machine does.
const TRIES: usize = 10;

/// What the figures may be.
const START_MAX: Duration = Duration::from_secs(2);
const MEMORY_MAX: u64 = 250 * 1024 * 1024;
const REVOKE_MAX: Duration = Duration::from_millis(5);
const PAGE_MAX: Duration = Duration::from_millis(50);

#[test]
fn very_many_accounts_and_keys_are_carried() {
    let accounts = sized(500, 100_000);
    let upstream = Upstream::start();
    let files = Fixture::new(&upstream).write();
    assert!(
        files
            .cli(&words("accounts create first --role reader"))
            .status
            .success()
    );
    let keys = fill(&files.path("portcullis.db"), accounts);
    let begun = Instant::now();
    let gateway = Gateway::start(files);
    let start = begun.elapsed();
    let memory = gateway.process().resident();
    // What a command costs that looks at nothing.
    let nothing = shortest(&gateway, |_| "routes list -o name".to_owned());
    let revoke = shortest(&gateway, |at| format!("keys expire {}", keys[at]));
    let page = shortest(&gateway, |_| "keys list --limit 100 -o json".to_owned());
    let accounts_page = shortest(&gateway, |_| "accounts list --limit 100 -o json".to_owned());
    let [revoke, page, accounts_page] =
        [revoke, page, accounts_page].map(|time| time.saturating_sub(nothing));
    let said = format!(
        "{accounts} accounts, {} keys: start {start:?}, {} MiB, revoke {revoke:?}, page of keys \
         {page:?}, of accounts {accounts_page:?}",
        keys.len(),
        memory / 1024 / 1024
    );
    told(&said);
    let status = gateway.json(&words("status"));
    assert_eq!(status["keys"], keys.len());
    let listed = gateway.json(&words("keys list --limit 100"));
    assert_eq!(listed.as_array().unwrap().len(), 100);
    if is_strict() {
        assert!(start <= START_MAX && memory <= MEMORY_MAX, "{said}");
        assert!(
            revoke <= REVOKE_MAX && page.max(accounts_page) <= PAGE_MAX,
            "{said}"
        );
    }
}

fn shortest(gateway: &Gateway, line: impl Fn(usize) -> String) -> Duration {
    let times = (0..TRIES).map(|at| {
        let line = line(at);
        let begun = Instant::now();
        let output = gateway.cli(&words(&line));
        let time = begun.elapsed();
        assert!(output.status.success(), "{line}: {output:?}");
        time
    });
    times.min().unwrap()
}

/// How many accounts are put into a store in one transaction.
const AT_ONCE: usize = 1000;

/// Puts accounts into a store, each with a grant and two keys, past the gateway: making them one by
/// one would take the whole day. Not past the store, which would not know them.
fn fill(path: &std::path::Path, accounts: usize) -> Vec<KeyId> {
    let now = UnixTime::from_secs(1_795_302_000);
    let (mut store, _) = Sqlite::open(path, &pepper_path(path), now).unwrap();
    let mut keys = Vec::new();
    let numbers: Vec<_> = (0..accounts).collect();
    for numbers in numbers.chunks(AT_ONCE) {
        let mut changes = Vec::new();
        for number in numbers {
            let account = account(*number, now);
            let made = [key(&account.id, now), key(&account.id, now)];
            keys.extend(made.iter().map(|key| key.id));
            changes.push(Change::CreateAccount(account));
            changes.extend(made.map(Change::CreateKey));
        }
        let made = [entry("test.fill")];
        store.commit(Some(&Change::Batch(changes)), &made).unwrap();
    }
    keys
}

fn account(number: usize, now: UnixTime) -> AccountRecord {
    AccountRecord {
        id: AccountId::random(),
        name: format!("account-{number:06}").parse().unwrap(),
        description: "One of many".to_owned(),
        enabled: true,
        allow_from: Vec::new(),
        grants: vec![GrantRecord {
            role: "reader".parse().unwrap(),
            within: Boundary::default(),
            closed_at: None,
        }],
        created_at: now,
        updated_at: now,
        last_used_at: None,
        applied_as: None,
        owner: Boundary::default(),
        created_by: Some("user root".into()),
    }
}

fn key(account: &AccountId, now: UnixTime) -> KeyRecord {
    let id = KeyId::random();
    let mut digest = [0; 32];
    for (byte, text) in digest.iter_mut().zip(id.as_str().bytes().rev()) {
        *byte = text;
    }
    KeyRecord {
        id,
        account: account.clone(),
        description: String::new(),
        digest,
        created_at: now,
        updated_at: now,
        expires_at: None,
        last_used_at: None,
        last_used_from: None,
        created_by: Some("user root".into()),
        limits: KeyLimits::default(),
    }
}
