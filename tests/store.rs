//! What every store promises, and what SQLite promises besides.

mod alone;
mod copies;
mod damage;
mod dropped;
mod faults;
mod formats;
mod slow;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use portcullis::audit::{Actor, Entry, Filter, Object, Outcome};
use portcullis::denials;
use portcullis::settings;
use portcullis::store::{
    AccountRecord, Adoption, Change, GrantRecord, GroupRecord, Holder, KeyLimits, KeyRecord,
    KeyUse, Maker, Pepper, Records, RoleRecord, SigningKeyRecord, Sqlite, Store, StoreError,
    pepper_path,
};
use portcullis::words::{AccountId, AccountName, Boundary, KeyId, RequestIds, UnixTime};
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::Files;

/// Changes as most promises look at them: the record of it is another matter.
pub(crate) trait Apply {
    fn apply(&mut self, change: &Change) -> Result<(), StoreError>;
}

impl<S: Store + ?Sized> Apply for S {
    fn apply(&mut self, change: &Change) -> Result<(), StoreError> {
        let entries = [entry("test.change")];
        self.commit(Some(change), &entries).map(drop)
    }
}

pub(crate) fn entry(event: &'static str) -> Entry {
    Entry {
        at: time(2),
        event,
        actor: Actor::Gateway,
        request_id: RequestIds::new().next(time(2)),
        instance: "in_test".to_owned(),
        object: Object::default(),
        words: None,
        outcome: Outcome::Success,
        before: Value::Null,
        after: Value::Null,
        repeated: None,
    }
}

/// Runs `line`, which must end with `code`; what it printed and what it said.
pub(crate) fn told(files: &Files, line: &str, code: i32) -> (String, String) {
    let output = files.cli(&line.split_whitespace().collect::<Vec<_>>());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{line}: {said}");
    (text(&output.stdout), said)
}

/// A place where a store is, opened as often as a test likes.
trait Kit {
    fn open(&self) -> Result<Box<dyn Store>, StoreError>;
}

/// Each promise of [`Store`] as a test, for one kind of store.
macro_rules! store_conformance {
    ($name:ident, $kit:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn a_second_opener_is_told_who_holds_the_store() {
                promises::one_writer(&$kit);
            }
            #[test]
            fn a_change_is_all_or_nothing() {
                promises::all_or_nothing(&$kit);
            }
            #[test]
            fn an_id_is_never_given_twice() {
                promises::no_id_twice(&$kit);
            }
            #[test]
            fn unknown_names_and_names_that_are_taken_are_told_apart() {
                promises::unknown_and_taken(&$kit);
            }
            #[test]
            fn last_use_never_moves_backwards() {
                promises::use_moves_forward(&$kit);
            }
            #[test]
            fn a_change_and_its_records_are_one() {
                promises::recorded(&$kit);
            }
            #[test]
            fn a_trail_is_proven_page_by_page_and_by_what_was_kept_of_it() {
                promises::proven(&$kit);
            }
            #[test]
            fn a_trail_is_cut_at_its_old_end_alone() {
                promises::cut(&$kit);
            }
            #[test]
            fn a_token_that_was_taken_back_stays_so_until_it_would_have_run_out() {
                promises::revoked(&$kit);
            }
            #[test]
            fn refusals_are_found_again() {
                promises::denials(&$kit);
            }
            #[test]
            fn a_write_is_counted_when_it_fails_and_a_refusal_is_none() {
                promises::pulse(&$kit);
            }
            #[test]
            fn one_signing_key_signs() {
                promises::one_signs(&$kit);
            }
            proptest! {
                #![proptest_config(ProptestConfig::with_cases(24))]
                /// Law: what a store holds is what the changes it took make of nothing, in every
                /// detail, before and after reopening.
                #[test]
                fn what_is_loaded_is_what_was_applied(
                    steps in prop::collection::vec(any::<(u8, u8, u8)>(), 0..60),
                ) {
                    promises::loaded_is_applied(&$kit, &steps);
                }
            }
        }
    };
}

store_conformance!(sqlite, SqliteKit::new());

mod promises {
    use super::*;

    pub(super) fn one_writer(kit: &impl Kit) {
        let first = kit.open().unwrap();
        let error = kit.open().err().expect("two writers");
        assert!(matches!(error, StoreError::Locked { .. }) && error.is_transient());
        let me = format!("process {}", std::process::id());
        assert!(error.to_string().contains(&me), "{error}");
        drop(first);
        kit.open().unwrap();
    }

    pub(super) fn all_or_nothing(kit: &impl Kit) {
        let mut store = kit.open().unwrap();
        let owner = account(1);
        store.apply(&Change::CreateAccount(owner.clone())).unwrap();
        let before = store.load().unwrap();
        let group = GroupRecord {
            name: "g".parse().unwrap(),
            description: String::new(),
            members: BTreeSet::from([AccountId::random()]),
            grants: vec![grant(1, 1)],
            applied_as: None,
            owner: grant(1, 2).within,
            created_by: None,
            created_at: time(1),
            updated_at: time(1),
        };
        let half = [
            Change::RotateKey {
                new: key(1, &owner.id),
                old: KeyId::random(),
                old_ends_at: time(9),
            },
            Change::CreateGroup(group),
            Change::Batch(vec![
                Change::CreateRole(role(1, 2, time(2))),
                Change::CreateKey(key(2, &owner.id)),
                Change::DeleteGroup("nobody".parse().unwrap()),
            ]),
            Change::Adopt(Adoption {
                seen: vec![("f".parse().unwrap(), AccountId::random())],
                gone: vec!["nobody".parse().unwrap()],
                ..Adoption::default()
            }),
        ];
        for change in half {
            assert!(store.apply(&change).is_err(), "{change:?}");
            assert_eq!(store.load().unwrap(), before, "{change:?}");
        }
    }

    pub(super) fn no_id_twice(kit: &impl Kit) {
        let mut store = kit.open().unwrap();
        let (stored, filed) = (account(1), AccountId::random());
        let name: AccountName = "filed".parse().unwrap();
        let seen = |id: &AccountId| {
            let seen = vec![(name.clone(), id.clone())];
            Change::Adopt(Adoption {
                seen,
                ..Adoption::default()
            })
        };
        store.apply(&Change::CreateAccount(stored.clone())).unwrap();
        store.apply(&Change::CreateKey(key(1, &stored.id))).unwrap();
        store.apply(&seen(&filed)).unwrap();
        store
            .apply(&Change::DeleteAccount {
                id: stored.id.clone(),
                now: time(2),
            })
            .unwrap();
        let gone = Adoption {
            gone: vec![name.clone()],
            now: time(2),
            ..Adoption::default()
        };
        store.apply(&Change::Adopt(gone)).unwrap();
        drop(store);
        let mut store = kit.open().unwrap();
        assert_eq!(store.load().unwrap().keys().count(), 0);
        let again = AccountRecord {
            name: "other".parse().unwrap(),
            ..stored.clone()
        };
        for change in [Change::CreateAccount(again), seen(&filed), seen(&stored.id)] {
            let error = store.apply(&change).unwrap_err();
            assert!(matches!(error, StoreError::Conflict(_)), "{error}");
        }
        let orphan = store
            .apply(&Change::CreateKey(key(2, &stored.id)))
            .unwrap_err();
        assert!(matches!(orphan, StoreError::NotFound { .. }), "{orphan}");
    }

    pub(super) fn unknown_and_taken(kit: &impl Kit) {
        let mut store = kit.open().unwrap();
        let (one, other) = (
            account(1),
            AccountRecord {
                id: AccountId::random(),
                ..account(1)
            },
        );
        store.apply(&Change::CreateAccount(one)).unwrap();
        let taken = store.apply(&Change::CreateAccount(other)).unwrap_err();
        assert_eq!(taken.to_string(), "account `a1` exists already");
        let stranger = Holder::Account(AccountId::random());
        let (role, within, now) = ("r1".parse().unwrap(), Boundary::default(), time(1));
        let unknown = store.apply(&Change::Grant {
            holder: stranger,
            role,
            within,
            now,
        });
        assert!(matches!(
            unknown.unwrap_err(),
            StoreError::NotFound {
                what: "account",
                ..
            }
        ));
        let id = KeyId::random();
        let unknown = store
            .apply(&Change::ExpireKey { id, at: now, now })
            .unwrap_err();
        assert_eq!(unknown.to_string(), format!("there is no key `{id}`"));
    }

    pub(super) fn use_moves_forward(kit: &impl Kit) {
        let mut store = kit.open().unwrap();
        let (owner, key) = (account(1), key(1, &account(1).id));
        store.apply(&Change::CreateAccount(owner.clone())).unwrap();
        store.apply(&Change::CreateKey(key.clone())).unwrap();
        for at in [5, 3] {
            let keys = vec![KeyUse {
                id: key.id,
                at: time(at),
                from: Some([192, 0, 2, u8::try_from(at).unwrap()].into()),
            }];
            let accounts = vec![(owner.id.clone(), time(at))];
            store.apply(&Change::Used { keys, accounts }).unwrap();
        }
        let records = store.load().unwrap();
        let used = records.key(&key.id).unwrap();
        assert_eq!(used.last_used_at, Some(time(5)));
        assert_eq!(used.last_used_from, Some([192, 0, 2, 5].into()));
        assert_eq!(
            records.accounts.get(&owner.id).unwrap().last_used_at,
            Some(time(5))
        );
    }

    pub(super) fn recorded(kit: &impl Kit) {
        let mut store = kit.open().unwrap();
        let all = |store: &dyn Store| store.audit(&Filter::default(), None).unwrap().rows;
        let before = all(&*store);
        let create = Change::CreateAccount(account(1));
        let unrecorded = store.commit(Some(&create), &[]).unwrap_err();
        assert!(matches!(unrecorded, StoreError::Unrecorded));
        let two = [entry("test.first"), entry("test.second")];
        let number = store.commit(Some(&create), &two).unwrap();
        let after = all(&*store);
        assert_eq!(number, Some(after[0].number));
        assert_eq!(after.len(), before.len() + 2);
        let event = |place: usize| after[place].shown()["event.name"].clone();
        assert_eq!(
            [event(0), event(1)],
            ["audit.test.second", "audit.test.first"]
        );
        // A change that is refused leaves no record of having been made.
        store.commit(Some(&create), &two).unwrap_err();
        assert_eq!(all(&*store), after);
        // Bookkeeping needs none, and a record needs no change.
        let used = Change::Used {
            keys: Vec::new(),
            accounts: vec![(account(1).id, time(9))],
        };
        assert_eq!(store.commit(Some(&used), &[]).unwrap(), None);
        let alone = store.commit(None, &[entry("test.look")]).unwrap();
        drop(store);
        let store = kit.open().unwrap();
        let kept = all(&*store);
        assert_eq!(Some(kept[0].number), alone);
        assert_eq!(
            store
                .load()
                .unwrap()
                .accounts
                .get(&account(1).id)
                .unwrap()
                .last_used_at,
            Some(time(9))
        );
        let one = Filter {
            event: Some("test.first".to_owned()),
            ..Filter::default()
        };
        assert_eq!(store.audit(&one, None).unwrap().rows.len(), 1);
        let followed = store.audit(&Filter::default(), number).unwrap().rows;
        assert_eq!(followed.len(), 1, "those above a number, oldest first");
    }

    pub(super) fn proven(kit: &impl Kit) {
        let mut store = kit.open().unwrap();
        let mut anchors = vec![store.audit_anchor(time(1)).unwrap()];
        for _ in 0..2100 {
            store.commit(None, &[entry("test.change")]).unwrap();
        }
        anchors.push(store.audit_anchor(time(2)).unwrap());
        drop(store);
        let store = kit.open().unwrap();
        let (mut after, mut records) = (None, 0);
        loop {
            let checked = store.check_audit(after).unwrap();
            assert_eq!(checked.fault, None);
            records += checked.records;
            after = Some(checked.through);
            if checked.done {
                break;
            }
        }
        assert_eq!(records, anchors[1].number);
        for anchor in &anchors {
            assert_eq!(store.check_anchor(anchor).unwrap(), None);
        }
        let mut forged = anchors[1];
        forged.hash = anchors[0].hash;
        assert!(store.check_anchor(&forged).unwrap().is_some());
        forged.number += 1;
        assert!(store.check_anchor(&forged).unwrap().is_some());
    }

    pub(super) fn cut(kit: &impl Kit) {
        let mut store = kit.open().unwrap();
        for _ in 0..300 {
            store.commit(None, &[entry("test.change")]).unwrap();
        }
        let early = store.audit_anchor(time(2)).unwrap();
        let bounds = settings::Audit {
            records: 100,
            ..settings::Audit::default()
        };
        let gone = store.cut_audit(&bounds, time(3), "in_test").unwrap();
        assert!(gone > 100, "{gone}");
        let newest = store.audit(&Filter::default(), None).unwrap().rows;
        assert_eq!(newest[0].shown()["event.name"], "audit.audit.cut");
        let checked = store.check_audit(None).unwrap();
        assert_eq!((checked.fault, checked.done), (None, true));
        assert_eq!(store.check_anchor(&early).unwrap(), None);
        assert_eq!(store.cut_audit(&bounds, time(3), "in_test").unwrap(), 0);
    }

    pub(super) fn revoked(kit: &impl Kit) {
        let mut store = kit.open().unwrap();
        let revoke = |name: &str, ends: u64, now: u64| Change::RevokeToken {
            id: name.parse().unwrap(),
            ends_at: time(ends),
            now: time(now),
        };
        let [one, two, three] = ["1", "2", "3"].map(|last| format!("3kTMd8Z0xV1bQyLw7nPsH{last}"));
        store.apply(&revoke(&one, 10, 1)).unwrap();
        store.apply(&revoke(&two, 20, 1)).unwrap();
        store.apply(&revoke(&three, 30, 15)).unwrap();
        // What clients give back may come without a record of its own.
        let [four, five] = ["4", "5"].map(|last| format!("3kTMd8Z0xV1bQyLw7nPsH{last}"));
        let given = Change::GiveBack {
            tokens: [&four, &five]
                .map(|id| (id.parse().unwrap(), time(30)))
                .to_vec(),
            now: time(15),
        };
        assert_eq!(store.commit(Some(&given), &[]).unwrap(), None);
        drop(store);
        let records = kit.open().unwrap().load().unwrap();
        let left: Vec<_> = records
            .revoked_tokens
            .keys()
            .map(ToString::to_string)
            .collect();
        assert_eq!(left, [two, three, four, five]);
    }

    pub(super) fn denials(kit: &impl Kit) {
        let mut store = kit.open().unwrap();
        let nothing = RequestIds::new().next(time(2));
        assert!(store.denial(&nothing).unwrap().is_none());
        let batch = denials::Batch::default();
        let bounds = settings::Denials::default();
        store.keep_denials(&batch, &bounds, time(2)).unwrap();
        assert!(
            store
                .denials(&denials::Filter::default())
                .unwrap()
                .is_empty()
        );
        assert!(store.denial_groups().unwrap().is_empty());
    }

    pub(super) fn pulse(kit: &impl Kit) {
        let mut store = kit.open().unwrap();
        let pulse = store.pulse();
        store.apply(&Change::CreateAccount(account(1))).unwrap();
        store.apply(&Change::CreateAccount(account(1))).unwrap_err();
        assert_eq!((pulse.failures(), pulse.is_up()), (0, true));
    }

    pub(super) fn one_signs(kit: &impl Kit) {
        let mut store = kit.open().unwrap();
        let first = store.load().unwrap().signing_keys;
        assert_eq!(first.len(), 1, "a new store has one");
        store.apply(&Change::AddSigningKey(signing_key(1))).unwrap();
        let keys = store.load().unwrap().signing_keys;
        let signing: Vec<_> = keys.iter().filter(|key| key.retired_at.is_none()).collect();
        assert_eq!(
            (keys.len(), signing.len(), signing[0].kid.as_str()),
            (2, 1, "kid-1")
        );
    }

    pub(super) fn loaded_is_applied(kit: &impl Kit, steps: &[(u8, u8, u8)]) {
        let mut store = kit.open().unwrap();
        let mut model = store.load().unwrap();
        for (number, step) in steps.iter().enumerate() {
            let Some(change) = change(&model, *step, time(100 + number as u64)) else {
                continue;
            };
            match store.apply(&change) {
                Ok(()) => drop(model.apply(&change)),
                Err(error) => assert!(
                    matches!(error, StoreError::Conflict(_) | StoreError::NotFound { .. }),
                    "{change:?}: {error}"
                ),
            }
        }
        assert_eq!(store.load().unwrap(), model);
        drop(store);
        assert_eq!(kit.open().unwrap().load().unwrap(), model);
    }
}

/// The change that three numbers stand for, over few names, so that they meet.
#[expect(
    clippy::too_many_lines,
    reason = "one arm a change, nothing between them"
)]
pub(crate) fn change(
    records: &Records,
    (kind, a, b): (u8, u8, u8),
    now: UnixTime,
) -> Option<Change> {
    let known = |at: u8| records.accounts.keys().nth(usize::from(at) % 4).cloned();
    let filed = |at: u8| {
        records
            .file_accounts
            .values()
            .nth(usize::from(at) % 2)
            .map(|row| row.id.clone())
    };
    let any_key = |at: u8| records.keys().nth(usize::from(at) % 5).map(|key| key.id);
    let group = || format!("g{}", a % 2).parse().unwrap();
    let holder = || match a % 3 {
        0 => Some(Holder::Group(group())),
        _ => known(a).map(Holder::Account),
    };
    Some(match kind % 28 {
        0 | 1 => Change::CreateAccount(account(a % 5)),
        2 => {
            let description = (b % 2 == 0).then(|| format!("d{b}"));
            let allow_from = (b % 3 == 0).then(|| vec!["10.0.0.0/8".parse().unwrap()]);
            Change::UpdateAccount {
                id: known(a)?,
                description,
                allow_from,
                applied_as: b.is_multiple_of(4).then(|| "gitops".parse().unwrap()),
                now,
            }
        }
        3 => Change::SetEnabled {
            id: known(a)?,
            enabled: b % 2 == 0,
            now,
        },
        4 => Change::DeleteAccount { id: known(a)?, now },
        5 | 6 => {
            let GrantRecord { role, within, .. } = grant(a, b);
            Change::Grant {
                holder: holder()?,
                role,
                within,
                now,
            }
        }
        7 => {
            let GrantRecord { role, within, .. } = grant(a, b);
            Change::Ungrant {
                holder: holder()?,
                role,
                within,
                now,
            }
        }
        8 => Change::CreateKey(key(b, &known(a)?)),
        9 => Change::CreateKey(key(b, &filed(a)?)),
        10 => Change::ExpireKey {
            id: any_key(a)?,
            at: time(u64::from(b)),
            now,
        },
        11 => {
            let old = any_key(a)?;
            let new = key(b, &records.key(&old)?.account);
            Change::RotateKey {
                new,
                old,
                old_ends_at: time(u64::from(b)),
            }
        }
        12 => Change::CreateRole(role(a, b, now)),
        13 => Change::UpdateRole(role(a, b, now)),
        14 => Change::DeleteRole(role(a, b, now).name),
        15 => Change::CreateGroup(GroupRecord {
            name: group(),
            description: format!("d{b}"),
            members: known(b).into_iter().collect(),
            grants: vec![grant(b, a), grant(a, b), grant(a, b)],
            applied_as: b.is_multiple_of(3).then(|| "gitops".parse().unwrap()),
            owner: grant(b, a).within,
            created_by: maker(b),
            created_at: now,
            updated_at: now,
        }),
        16 => match b % 3 {
            0 => Change::DeleteGroup(group()),
            1 => Change::AddMember {
                group: group(),
                account: known(b)?,
                now,
            },
            _ => Change::RemoveMember {
                group: group(),
                account: known(b)?,
                now,
            },
        },
        17 | 18 => {
            let name: AccountName = format!("f{}", a % 2).parse().unwrap();
            let (seen, gone) = match b % 3 {
                0 => (vec![], vec![name]),
                1 => (vec![(name, AccountId::random())], vec![]),
                _ => (vec![(name.clone(), AccountId::random())], vec![name]),
            };
            let closed = holder()
                .into_iter()
                .map(|holder| (holder, grant(a, b).role))
                .collect();
            Change::Adopt(Adoption {
                seen,
                gone,
                closed,
                now,
            })
        }
        19 => {
            let name = format!("f{}", a % 2).parse().unwrap();
            match b % 2 {
                0 => Change::OverrideFileAccount {
                    name,
                    disabled: b % 4 == 0,
                    now,
                },
                _ => Change::EndFileKey {
                    id: any_key(a)?,
                    at: time(u64::from(b)),
                },
            }
        }
        20 => Change::UpdateKey {
            id: any_key(a)?,
            description: b.is_multiple_of(2).then(|| format!("u{b}")),
            limits: b
                .is_multiple_of(3)
                .then(|| key(b, &AccountId::random()).limits),
            now,
        },
        21 => Change::UpdateGroup {
            name: group(),
            description: b.is_multiple_of(2).then(|| format!("u{b}")),
            applied_as: b
                .is_multiple_of(3)
                .then(|| format!("s{b}").parse().unwrap()),
            now,
        },
        22 => Change::Batch(
            [(5, a, b), (7, b, a), (8, a, b), (19, a, b)]
                .into_iter()
                .filter_map(|numbers| change(records, numbers, now))
                .collect(),
        ),
        23 => Change::RevokeToken {
            id: format!("t{a}{b}x0V1bQyLw7nPsHc00000")
                .get(..22)?
                .parse()
                .ok()?,
            ends_at: time(now.as_secs() + u64::from(b)),
            now,
        },
        25 => Change::GiveBack {
            tokens: [a, b]
                .into_iter()
                .filter_map(|number| {
                    let id = format!("g{number}x0V1bQyLw7nPsHc000000");
                    let id = id.get(..22)?.parse().ok()?;
                    Some((id, time(now.as_secs() + u64::from(b))))
                })
                .collect(),
            now,
        },
        24 if b.is_multiple_of(4) => Change::ReplaceSigningKeys(SigningKeyRecord {
            kid: format!("only-{}-{a}-{b}", now.as_secs()),
            created_at: now,
            ..signing_key(a)
        }),
        24 => Change::AddSigningKey(SigningKeyRecord {
            kid: format!("kid-{}-{a}-{b}", now.as_secs()),
            created_at: now,
            ..signing_key(a)
        }),
        26 => Change::ForgetKeys {
            ids: [a, b].into_iter().filter_map(any_key).collect(),
            ends_stay: b.is_multiple_of(2),
        },
        _ => Change::Used {
            keys: any_key(a)
                .map(|id| KeyUse {
                    id,
                    at: time(u64::from(b)),
                    from: b.is_multiple_of(2).then(|| [192, 0, 2, b].into()),
                })
                .into_iter()
                .collect(),
            accounts: [known(a), filed(b)]
                .into_iter()
                .flatten()
                .map(|id| (id, now))
                .collect(),
        },
    })
}

fn account(number: u8) -> AccountRecord {
    AccountRecord {
        // One id for each number, so that deleted ones are tried again.
        id: format!("sa_{number}").parse().unwrap(),
        name: format!("a{number}").parse().unwrap(),
        description: "snow ☃, quote ', zero \0".to_owned(),
        enabled: number.is_multiple_of(2),
        allow_from: vec![
            "192.0.2.0/24".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ],
        grants: vec![grant(number, 1), grant(1, number)],
        created_at: time(1),
        updated_at: time(1),
        last_used_at: None,
        applied_as: None,
        owner: grant(number, 3).within,
        created_by: maker(number),
    }
}

fn maker(number: u8) -> Maker {
    let makers = [Some("user root"), Some("account a1"), None];
    makers[usize::from(number % 3)].map(Into::into)
}

fn grant(role: u8, value: u8) -> GrantRecord {
    let pairs = [
        ("tenant", format!("t{}", value % 3)),
        ("site", "ä/\"".to_owned()),
    ];
    let pairs = pairs.into_iter().take(usize::from(value % 3));
    GrantRecord {
        role: format!("r{}", role % 3).parse().unwrap(),
        within: pairs
            .map(|(name, value)| (name.parse().unwrap(), value))
            .collect(),
        closed_at: None,
    }
}

fn key(number: u8, account: &AccountId) -> KeyRecord {
    KeyRecord {
        id: KeyId::random(),
        account: account.clone(),
        description: format!("k{number}"),
        digest: [number; 32],
        created_at: time(1),
        updated_at: time(1),
        expires_at: number.is_multiple_of(2).then(|| time(7)),
        last_used_at: None,
        last_used_from: None,
        created_by: maker(number),
        limits: KeyLimits {
            only: number
                .is_multiple_of(3)
                .then(|| vec!["devices:view".parse().unwrap()]),
            allow_from: match number % 2 {
                0 => vec!["192.0.2.0/24".parse().unwrap()],
                _ => Vec::new(),
            },
        },
    }
}

fn role(number: u8, other: u8, now: UnixTime) -> RoleRecord {
    RoleRecord {
        name: format!("r{}", number % 3).parse().unwrap(),
        description: format!("d{other}"),
        permissions: vec![
            "devices:*".parse().unwrap(),
            "devices:view".parse().unwrap(),
        ],
        include: vec![format!("r{}", other % 3).parse().unwrap()],
        api_access: other.is_multiple_of(2),
        applied_as: other.is_multiple_of(3).then(|| "gitops".parse().unwrap()),
        owner: grant(number, other).within,
        // Whoever changes a role did not make it.
        created_by: maker(other),
        created_at: now,
        updated_at: now,
    }
}

fn signing_key(number: u8) -> SigningKeyRecord {
    SigningKeyRecord {
        kid: format!("kid-{number}"),
        public: [number; 32],
        wrapped: vec![number; 100],
        created_at: time(1_000_000),
        retired_at: None,
    }
}

pub(crate) fn time(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs)
}

struct SqliteKit(TempDir);

impl SqliteKit {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("p.db")
    }

    fn open_with(&self, pepper: &std::path::Path) -> Result<(Sqlite, Pepper), StoreError> {
        Sqlite::open(&self.path(), pepper, time(1))
    }
}

impl Kit for SqliteKit {
    fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        let (store, _) = self.open_with(&pepper_path(&self.path()))?;
        Ok(Box::new(store))
    }
}

#[test]
fn every_file_of_a_new_store_is_private() {
    let kit = SqliteKit::new();
    let mut store = kit.open().unwrap();
    store.apply(&Change::CreateAccount(account(1))).unwrap();
    let mut names = Vec::new();
    for entry in kit.0.path().read_dir().unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(
        names,
        ["p.db", "p.db-shm", "p.db-wal", "p.db.lock", "p.db.pepper"]
    );
}

#[test]
fn another_spelling_of_the_path_is_the_same_store() {
    let kit = SqliteKit::new();
    let _store = kit.open().unwrap();
    let link = kit.0.path().join("link.db");
    std::os::unix::fs::symlink(kit.path(), &link).unwrap();
    for path in [kit.0.path().join("./p.db"), link] {
        let error = Sqlite::open(&path, &pepper_path(&kit.path()), time(1)).unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    }
}

#[test]
fn a_store_without_its_pepper_is_refused_with_a_sentence() {
    let kit = SqliteKit::new();
    drop(kit.open().unwrap());
    let pepper = pepper_path(&kit.path());
    let bytes = std::fs::read(&pepper).unwrap();
    std::fs::remove_file(&pepper).unwrap();
    let missing = kit.open_with(&pepper).unwrap_err();
    assert!(missing.to_string().contains("is missing"), "{missing}");
    assert!(!pepper.exists(), "a lost pepper is not replaced");
    let other: Vec<_> = bytes.iter().map(|byte| byte ^ 1).collect();
    std::fs::write(&pepper, other).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&pepper, mode).unwrap();
    let different = kit.open_with(&pepper).unwrap_err();
    assert!(
        different
            .to_string()
            .contains("not the one the store was made with"),
        "{different}"
    );
    std::fs::write(&pepper, bytes).unwrap();
    kit.open().unwrap();
}

#[test]
fn a_file_of_a_newer_gateway_or_of_another_program_is_left_alone() {
    let kit = SqliteKit::new();
    drop(kit.open().unwrap());
    let set = |pragma: &str| {
        let connection = rusqlite::Connection::open(kit.path()).unwrap();
        connection.execute_batch(pragma).unwrap();
        drop(connection);
        std::fs::read(kit.path()).unwrap()
    };
    for (pragma, said) in [
        (
            "PRAGMA user_version = 99",
            "written by a newer gateway (format 99",
        ),
        (
            "PRAGMA application_id = 7",
            "a database of some other program",
        ),
    ] {
        let before = set(pragma);
        let error = kit.open().err().expect("refused");
        assert!(
            error.to_string().contains(said) && !error.is_transient(),
            "{error}"
        );
        assert_eq!(std::fs::read(kit.path()).unwrap(), before);
    }
    std::fs::write(
        kit.path(),
        "not a database at all, and longer than its header ".repeat(20),
    )
    .unwrap();
    let error = kit.open().err().expect("refused");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[test]
fn a_store_that_cannot_be_made_says_where() {
    let kit = SqliteKit::new();
    let path = kit.0.path().join("no/such/folder/p.db");
    let error = Sqlite::open(&path, &pepper_path(&path), time(1)).unwrap_err();
    assert!(error.to_string().contains("no/such/folder/p.db"), "{error}");
}
