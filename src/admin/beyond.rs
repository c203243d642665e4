//! What is told with a change that lies beyond what whoever made it holds himself: the keys that are
//! alive there, and who made them. He gives or manages a right that he could not use, and these are
//! the ways in which it is used.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::desk::Desk;
use super::{Operation, roles};
use crate::directory::Key;
use crate::words::{AccountId, AccountName, GroupName, UnixTime};

/// The field of an answer that names them; `FIELD_total` says how many there are.
pub(super) const FIELD: &str = "living_keys";
/// Most keys named: as many as people read. The newest of more.
const NAMED_MAX: usize = 100;

/// The accounts whose rights an operation concerns, found before it is done; `None` of what is made and
/// concerns nobody yet.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what concerns no account that is there has no keys to be told of"
)]
pub(super) fn concerned(desk: &Desk<'_>, operation: &Operation) -> Option<BTreeSet<AccountId>> {
    use Operation as O;
    let named = |name: &AccountName| {
        let account = desk.directory().account_named(name.as_str());
        account.map(|account| account.id.clone())
    };
    let keyed = |key| desk.directory().key(key).map(|key| key.account.id.clone());
    Some(match operation {
        O::AccountsUpdate { name, .. }
        | O::AccountsGrant { name, .. }
        | O::AccountsUngrant { name, .. }
        | O::AccountsDisable { name }
        | O::AccountsEnable { name }
        | O::AccountsDelete { name }
        | O::KeysCreate { account: name, .. }
        | O::TokensIssue { account: name, .. } => named(name).into_iter().collect(),
        O::KeysUpdate { key, .. } | O::KeysRotate { key, .. } | O::KeysExpire { key, .. } => {
            keyed(key).into_iter().collect()
        }
        O::GroupsAdd { group, .. }
        | O::GroupsRemove { group, .. }
        | O::GroupsGrant { name: group, .. }
        | O::GroupsUngrant { name: group, .. }
        | O::GroupsDelete { name: group } => members(desk, group).cloned().collect(),
        O::RolesUpdate { name, .. } | O::RolesDelete { name, .. } => {
            let users = roles::holders(desk, name);
            let mut ids = BTreeSet::new();
            for user in &users {
                match user {
                    roles::User::Account(id, _) => ids.extend([id.clone()]),
                    roles::User::Group(group) => ids.extend(members(desk, group).cloned()),
                    roles::User::Filed(name, _) => ids.extend(named(name)),
                    // Whoever holds that one is its holder.
                    roles::User::Included(_) => {}
                }
            }
            ids
        }
        _ => return None,
    })
}

fn members<'d>(desk: &'d Desk<'_>, group: &GroupName) -> impl Iterator<Item = &'d AccountId> {
    let group = desk.records().groups.get(group);
    group.into_iter().flat_map(|group| &group.members)
}

/// Adds what is alive of these accounts, now that it is done.
pub(super) fn tell(desk: &Desk<'_>, whose: &BTreeSet<AccountId>, answer: &mut Value) {
    let Some(answer) = answer.as_object_mut() else {
        return;
    };
    let records = desk.records();
    let filed = desk.policy().accounts.iter();
    let filed = filed.filter(|(name, _)| {
        let account = desk.directory().account_named(name.as_str());
        account.is_some_and(|account| whose.contains(&account.id))
    });
    let filed = filed.flat_map(|(_, entry)| entry.keys.iter().map(|key| key.id));
    let stored = whose
        .iter()
        .flat_map(|id| records.keys_of(id).map(|key| key.id));
    let ids: BTreeSet<_> = stored.chain(filed).collect();
    let keys = ids.iter().filter_map(|id| desk.directory().key(id));
    let mut alive: Vec<(Option<UnixTime>, &Key)> = keys
        .filter(|key| !key.is_expired(desk.now))
        .map(|key| (records.key(&key.id).map(|record| record.created_at), key))
        .collect();
    alive.sort_by_key(|(created_at, key)| Reverse((*created_at, key.id)));
    let shown = alive.iter().take(NAMED_MAX).map(|(created_at, key)| {
        let record = records.key(&key.id);
        json!({
            "id": key.id,
            "account": key.account.name,
            "created_by": record.and_then(|record| record.created_by.as_deref()),
            "created_at": created_at,
            "expires_at": key.expires_at,
            "last_used_at": key.last_used_at(),
        })
    });
    answer.insert(FIELD.to_owned(), shown.collect());
    answer.insert(format!("{FIELD}_total"), json!(alive.len()));
}
