//! Accounts, groups and tests: every name they use is declared, and every id is used once.

use std::collections::BTreeMap;

use super::names::{Names, once, undeclared};
use super::roles;
use crate::policy::file::{At, GrantWritten, KeyWritten, Limits, PolicyFile};
use crate::policy::{FileAccount, FileGrant, FileGroup, FileKey, PolicyTest};
use crate::words::{AccountName, Boundary, Fault, Faults, GroupName};

/// The accounts managed by file.
pub(super) fn accounts(
    files: &[PolicyFile],
    names: &Names,
    faults: &mut Faults,
) -> BTreeMap<AccountName, FileAccount> {
    let all = || files.iter().flat_map(|file| &file.accounts);
    once(
        "account",
        all().map(|it| (&it.name, &it.place, &it.description)),
        faults,
    );
    let ids = all().filter_map(|it| Some((it.id.as_ref()?, &it.place, &it.description)));
    once("account id", ids, faults);
    let keys = all().flat_map(|it| {
        it.keys
            .iter()
            .map(|written| (&written.key.id, &written.key.place, &it.description))
    });
    once("key", keys, faults);
    let mut accounts = BTreeMap::new();
    for written in all() {
        refuse_owner(written.owner.as_ref(), faults);
        let account = FileAccount {
            id: written.id.clone(),
            description: written.description.clone(),
            grants: grants(&written.grants, names, faults),
            allow_from: written.allow_from.clone(),
            keys: limited(&written.keys, names, faults),
            place: written.place.clone(),
        };
        accounts.entry(written.name.clone()).or_insert(account);
    }
    accounts
}

/// The groups managed by file.
pub(super) fn groups(
    files: &[PolicyFile],
    names: &Names,
    faults: &mut Faults,
) -> BTreeMap<GroupName, FileGroup> {
    let all = || files.iter().flat_map(|file| &file.groups);
    once(
        "group",
        all().map(|it| (&it.name, &it.place, &it.description)),
        faults,
    );
    let mut groups = BTreeMap::new();
    for written in all() {
        refuse_owner(written.owner.as_ref(), faults);
        let group = FileGroup {
            description: written.description.clone(),
            members: written.members.clone(),
            grants: grants(&written.grants, names, faults),
            place: written.place.clone(),
        };
        groups.entry(written.name.clone()).or_insert(group);
    }
    groups
}

/// Refuses an owner: what stands in these files belongs to whoever writes them, and nobody else changes it.
pub(super) fn refuse_owner(owner: Option<&At<Limits>>, faults: &mut Faults) {
    if let Some(owner) = owner {
        let message = "`owner` is for files that `portcullis accounts apply` takes: what a policy file \
                       says belongs to whoever writes the file";
        faults.push(Fault::new(owner.place.clone(), message));
    }
}

/// Keys whose limits name what is declared.
fn limited(written: &[KeyWritten], names: &Names, faults: &mut Faults) -> Vec<FileKey> {
    for key in written {
        for pattern in &key.only {
            roles::given(pattern, names, faults);
        }
    }
    written.iter().map(|written| written.key.clone()).collect()
}

fn grants(written: &[GrantWritten], names: &Names, faults: &mut Faults) -> Vec<FileGrant> {
    let mut grants = Vec::new();
    for grant in written {
        names.granted_role(&grant.role, faults);
        let mut within = Boundary::default();
        for (dimension, values) in &grant.within {
            names.dimension(dimension, faults);
            for value in values {
                within.insert(dimension.value.clone(), value.clone());
            }
        }
        grants.push(FileGrant {
            role: grant.role.value.clone(),
            within,
            place: grant.place.clone(),
        });
    }
    grants
}

/// The policy's own tests. They ask for accounts of the files only: what stands in a store is not
/// part of a policy, and its tests must come out the same everywhere.
pub(super) fn tests(
    files: &[PolicyFile],
    accounts: &BTreeMap<AccountName, FileAccount>,
    names: &Names,
    faults: &mut Faults,
) -> Vec<PolicyTest> {
    let tests: Vec<PolicyTest> = files.iter().flat_map(|file| &file.tests).cloned().collect();
    for test in &tests {
        for permission in test.missing.iter().flatten() {
            let named = At {
                place: test.place.clone(),
                value: permission.clone(),
            };
            names.permission(&named, faults);
        }
        let Some(name) = &test.account else {
            continue;
        };
        if !accounts.contains_key(name) {
            let name = At {
                place: test.place.clone(),
                value: name.clone(),
            };
            undeclared(
                "account",
                &name,
                accounts.keys().map(AccountName::as_str),
                faults,
            );
        }
    }
    tests
}
