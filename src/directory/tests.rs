//! What grants are worth, and what a change costs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Directory, Resolver};
use crate::policy::Policy;
use crate::policy::compile::{Context, SourceFile, compile};
use crate::store::{AccountRecord, FileAccountRecord, GrantRecord, KeyRecord, Records, RoleRecord};
use crate::words::{AccountId, Boundary, KeyId, RoleName, UnixTime};

const POLICY: &str = "
dimensions: { tenant: The customer }
permissions: { devices:view: See, devices:edit: Change, tenants:view: See }
roles:
  reader: { description: Reads, permissions: [devices:view] }
";

fn compiled(text: &str) -> Policy {
    let path = Arc::from(PathBuf::from("a.yaml"));
    let context = Context {
        upstreams: None,
        own_endpoints: Vec::new(),
        files_only: false,
    };
    compile(
        &[SourceFile {
            path,
            text: text.to_owned(),
        }],
        &context,
    )
    .unwrap()
}

fn role(name: &str, permissions: &[&str], include: &[&str]) -> RoleRecord {
    RoleRecord {
        name: name.parse().unwrap(),
        description: String::new(),
        permissions: permissions
            .iter()
            .map(|text| text.parse().unwrap())
            .collect(),
        include: include.iter().map(|text| text.parse().unwrap()).collect(),
        api_access: true,
        applied_as: None,
        owner: Boundary::default(),
        created_by: None,
        created_at: UnixTime::default(),
        updated_at: UnixTime::default(),
    }
}

fn gives(policy: &Policy, records: &Records, name: &str) -> Result<Vec<String>, String> {
    let set = Resolver::new(policy, records).role(&name.parse::<RoleName>().unwrap());
    let set = set.map_err(|closed| closed.to_string())?;
    Ok(set
        .iter()
        .map(|id| policy.permission(id).to_string())
        .collect())
}

#[test]
fn a_custom_role_gives_its_own_and_what_it_includes_and_a_circle_ends() {
    let policy = compiled(POLICY);
    let mut records = Records::default();
    for role in [
        role(
            "a",
            &["tenants:view", "ghosts:view"],
            &["b", "reader", "ghost"],
        ),
        role("b", &["devices:edit"], &["a"]),
    ] {
        records.roles.insert(role.name.clone(), role);
    }
    let all = ["devices:edit", "devices:view", "tenants:view"].map(str::to_owned);
    assert_eq!(gives(&policy, &records, "a").unwrap(), all);
    assert_eq!(gives(&policy, &records, "b").unwrap(), all);
    assert_eq!(
        gives(&policy, &records, "ghost").unwrap_err(),
        "there is no such role"
    );
}

#[test]
fn a_role_with_two_meanings_gives_nothing() {
    let policy = compiled(POLICY);
    let mut records = Records::default();
    for role in [
        role("reader", &["devices:*"], &[]),
        role("outer", &[], &["reader"]),
    ] {
        records.roles.insert(role.name.clone(), role);
    }
    assert!(
        gives(&policy, &records, "reader")
            .unwrap_err()
            .contains("rename one")
    );
    assert_eq!(gives(&policy, &records, "outer").unwrap(), [""; 0]);
    let built = Directory::build(&policy, &records, Arc::default(), None);
    assert_eq!(built.conflicts.len(), 1, "{:?}", built.conflicts);
}

#[test]
fn an_id_given_to_one_account_of_a_file_cannot_be_written_for_another() {
    let digest = crate::words::Secret::random().digest();
    let key = KeyId::random();
    let policy = compiled(&format!(
        "accounts:\n  a: {{}}\n  b: {{ id: given, keys: [{{ id: {key}, digest: \"{digest}\" }}] }}\n"
    ));
    let mut records = Records::default();
    let row = FileAccountRecord {
        id: "given".parse().unwrap(),
        disabled: false,
        created_at: UnixTime::default(),
        updated_at: UnixTime::default(),
        last_used_at: None,
        gone_at: None,
    };
    records.file_accounts.insert("a".parse().unwrap(), row);
    let built = Directory::build(&policy, &records, Arc::default(), None);
    assert_eq!(built.directory.accounts_len(), 1);
    assert!(
        built.conflicts[0].contains("is also the id of account `a`"),
        "{:?}",
        built.conflicts
    );
    assert!(
        built.directory.key(&key).is_none(),
        "its keys are not given to the other"
    );
}

#[test]
fn a_key_of_a_file_is_limited_as_its_file_says() {
    let digest = crate::words::Secret::random().digest();
    let (plain, limited) = (KeyId::random(), KeyId::random());
    let policy = compiled(&format!(
        "{POLICY}accounts:\n  a:\n    grants: [{{ role: reader }}]\n    keys:\n      - {{ id: {plain}, digest: \"{digest}\" }}\n      - {{ id: {limited}, digest: \"{digest}\", only: ['devices:view'], allow_from: [10.0.0.0/8], expires_at: 2027-01-31T00:00:00Z }}\n"
    ));
    let built = Directory::of_files(&policy).directory;
    let plain = built.key(&plain).unwrap();
    assert!(plain.subset.is_none() && plain.addresses.is_none() && plain.expires_at.is_none());
    let limited = built.key(&limited).unwrap();
    let may = |name: &str| {
        let id = policy.permission_id(name).unwrap();
        limited.subset.as_ref().unwrap().contains(id)
    };
    assert_eq!([may("devices:view"), may("devices:edit")], [true, false]);
    let admits = |source: &str| {
        let rules = limited.addresses.as_ref().unwrap();
        rules.admit(source.parse().unwrap())
    };
    assert_eq!([admits("10.1.2.3"), admits("192.0.2.1")], [true, false]);
    assert_eq!(
        limited.expires_at,
        Some("2027-01-31T00:00:00Z".parse().unwrap())
    );
}

#[test]
fn a_policys_own_accounts_can_be_asked_about_without_a_store() {
    let policy = compiled(&format!(
        "{POLICY}accounts:\n  a: {{ grants: [{{ role: reader }}] }}\n"
    ));
    let built = Directory::of_files(&policy);
    assert_eq!(built.conflicts, [""; 0]);
    assert_eq!(
        built.directory.account_named("a").unwrap().holdings.len(),
        1
    );
}

/// Many accounts, each with a grant and a key.
fn many(count: u32) -> Records {
    let mut records = Records::default();
    for number in 0..count {
        let grant = GrantRecord {
            role: "reader".parse().unwrap(),
            within: Boundary::from_iter([("tenant".parse().unwrap(), format!("t{number}"))]),
            closed_at: None,
        };
        let account = AccountRecord {
            id: AccountId::random(),
            name: format!("account-{number}").parse().unwrap(),
            description: String::new(),
            enabled: true,
            allow_from: Vec::new(),
            grants: vec![grant],
            created_at: UnixTime::default(),
            updated_at: UnixTime::default(),
            last_used_at: None,
            applied_as: None,
            owner: Boundary::default(),
            created_by: None,
        };
        records.put_key(KeyRecord {
            id: KeyId::random(),
            account: account.id.clone(),
            description: String::new(),
            digest: [7; 32],
            created_at: UnixTime::default(),
            updated_at: UnixTime::default(),
            expires_at: None,
            last_used_at: None,
            last_used_from: None,
            created_by: None,
            limits: Default::default(),
        });
        records.accounts.insert(account.id.clone(), account);
    }
    records
}

#[test]
fn a_change_to_one_account_leaves_the_others_where_they_are() {
    let policy = compiled(POLICY);
    let mut records = many(1000);
    let before = Directory::build(&policy, &records, Arc::default(), None).directory;
    let id = records.accounts.keys().next().unwrap().clone();
    records.accounts.get_mut(&id).unwrap().enabled = false;
    let after = before.with(&policy, &records, &BTreeSet::from([id.clone()]));
    for other in records.accounts.keys() {
        let same = Arc::ptr_eq(
            before.account(other).unwrap(),
            after.account(other).unwrap(),
        );
        assert_eq!(same, *other != id);
    }
    let key = records.keys_of(&id).next().unwrap().id;
    assert!(
        !after.key(&key).unwrap().account.enabled,
        "its keys see the change"
    );
    assert!(
        before.key(&key).unwrap().account.enabled,
        "who began before is not disturbed"
    );
    assert!(Arc::ptr_eq(
        &before.key(&key).unwrap().last_used,
        &after.key(&key).unwrap().last_used
    ));
}

#[test]
fn many_accounts_worked_out_again_are_what_they_are_when_all_are() {
    let policy = compiled(&format!(
        "{POLICY}accounts:\n  f: {{ id: filed, grants: [{{ role: reader }}] }}\n  taken: {{ id: other }}\ngroups:\n  files: {{ members: [f, account-7], grants: [{{ role: reader }}] }}\n"
    ));
    let mut records = many(200);
    let members = records.accounts.keys().step_by(2).cloned();
    let group = crate::store::GroupRecord {
        name: "g".parse().unwrap(),
        description: String::new(),
        members: members.collect(),
        grants: vec![GrantRecord {
            role: "late".parse().unwrap(),
            within: Boundary::default(),
            closed_at: None,
        }],
        applied_as: None,
        created_by: None,
        owner: Boundary::default(),
        created_at: UnixTime::default(),
        updated_at: UnixTime::default(),
    };
    records.groups.insert(group.name.clone(), group);
    let before = Directory::build(&policy, &records, Arc::default(), None).directory;
    records.roles.insert(
        "late".parse().unwrap(),
        role("late", &["devices:edit"], &[]),
    );
    let mut ids: BTreeSet<_> = records.accounts.keys().cloned().collect();
    ids.insert("filed".parse().unwrap());
    let after = before.with(&policy, &records, &ids);
    let all = Directory::build(&policy, &records, Arc::default(), None).directory;
    let worth = |directory: &Directory| {
        let mut worth: Vec<_> = directory.accounts().map(|it| format!("{it:?}")).collect();
        worth.sort();
        worth
    };
    assert_eq!(worth(&after), worth(&all));
    assert_ne!(worth(&before), worth(&all));
}
