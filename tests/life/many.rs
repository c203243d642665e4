//! A store with very many accounts: how long a start, a revocation and a page take, and how much
//! memory it all needs.

use std::time::{Duration, Instant};

use portcullis::words::{AccountId, KeyId};
use rusqlite::{Connection, params};

use super::words;
use crate::harness::long::{is_strict, sized, told};
use crate::harness::{Fixture, Gateway, Upstream};

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

/// Puts accounts into a store, each with a grant and two keys, past the gateway: making them one by
/// one would take the whole day.
fn fill(store: &std::path::Path, accounts: usize) -> Vec<KeyId> {
    let mut connection = Connection::open(store).unwrap();
    let now = 1_795_302_000_000_i64;
    let transaction = connection.transaction().unwrap();
    let mut keys = Vec::new();
    for number in 0..accounts {
        let id = AccountId::random();
        let insert = "INSERT INTO ids (id) VALUES (?1)";
        transaction.execute(insert, [id.as_str()]).unwrap();
        let insert = "INSERT INTO accounts (id, name, description, enabled, allow_from, created_at, \
                      updated_at) VALUES (?1, ?2, 'One of many', 1, '[]', ?3, ?3)";
        let row = params![id.as_str(), format!("account-{number:06}"), now];
        transaction.prepare(insert).unwrap().execute(row).unwrap();
        let insert =
            "INSERT INTO account_grants (account, role, within) VALUES (?1, 'reader', '{}')";
        transaction
            .prepare(insert)
            .unwrap()
            .execute([id.as_str()])
            .unwrap();
        for _ in 0..2 {
            let key = KeyId::random();
            let insert = "INSERT INTO keys (id, account, description, digest, created_at, \
                          updated_at) VALUES (?1, ?2, '', randomblob(32), ?3, ?3)";
            let row = params![key.as_str(), id.as_str(), now];
            transaction.prepare(insert).unwrap().execute(row).unwrap();
            keys.push(key);
        }
    }
    transaction.commit().unwrap();
    keys
}
