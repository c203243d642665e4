//! Operations on accounts.

use ipnet::IpNet;
use serde_json::Value;

use super::Grant;
use super::authority::{Eyes, Subject};
use super::desk::{
    Answer, Desk, Found, check_description, check_networks, conflict, managed_by_file, not_found,
};
use super::sorted::sorted;
use super::view;
use crate::store::{AccountRecord, Change, Holder};
use crate::words::{AccountId, AccountName};

pub(super) fn create(
    desk: &mut Desk<'_>,
    name: &AccountName,
    description: String,
    grants: &[Grant],
    allow_from: Vec<IpNet>,
) -> Answer {
    if let Some(entry) = desk.policy().accounts.get(name) {
        return Err(managed_by_file("account", name.as_str(), &entry.place));
    }
    desk.must_store(&format!("account `{name}`"), None)?;
    check_description(&description)?;
    check_networks(&allow_from)?;
    let account = AccountRecord {
        id: AccountId::random(),
        name: name.clone(),
        description,
        enabled: true,
        allow_from,
        grants: desk.check_grants(grants)?,
        created_at: desk.now,
        updated_at: desk.now,
        last_used_at: None,
        applied_as: None,
        owner: desk.owner.clone(),
        created_by: desk.maker(),
    };
    desk.change(&Change::CreateAccount(account))?;
    show(desk, name)
}

/// The accounts whoever asks sees by name, or at most `limit` of those that come after `after`.
pub(super) fn list(desk: &Desk<'_>, after: Option<&AccountName>, limit: Option<usize>) -> Value {
    let eyes = Eyes::of_many(desk);
    let stored = desk.records().accounts.values();
    let stored = stored.map(|record| (&record.name, Found::Stored(record)));
    let filed = desk.policy().accounts.iter();
    let filed = filed.map(|(name, entry)| (name, Found::Filed(entry)));
    let all = stored.chain(filed);
    let rows: Vec<_> = all
        .filter(|(name, _)| after.is_none_or(|after| *name > after))
        .filter(|(name, found)| match found {
            Found::Stored(record) => eyes.are_near(Subject::Account(name), &record.owner),
            Found::Filed(_) => true,
        })
        .collect();
    let rows = sorted(rows, |one, other| one.0.cmp(other.0));
    let seen = rows.filter(|(name, _)| eyes.see(Subject::Account(name)));
    let seen = seen.take(limit.unwrap_or(usize::MAX));
    seen.map(|(name, found)| shown(&eyes, name, &found))
        .collect()
}

pub(super) fn show(desk: &Desk<'_>, name: &AccountName) -> Answer {
    Ok(shown(&Eyes::of(desk), name, &desk.find(name)?))
}

fn shown(eyes: &Eyes<'_>, name: &AccountName, found: &Found<'_>) -> Value {
    match found {
        Found::Stored(record) => view::account(eyes, record),
        Found::Filed(entry) => view::file_account(eyes, name, entry),
    }
}

pub(super) fn update(
    desk: &mut Desk<'_>,
    name: &AccountName,
    description: Option<String>,
    allow_from: Option<Vec<IpNet>>,
) -> Answer {
    let id = desk.stored(name)?;
    description.as_deref().map_or(Ok(()), check_description)?;
    allow_from.as_deref().map_or(Ok(()), check_networks)?;
    let now = desk.now;
    desk.change(&Change::UpdateAccount {
        id,
        description,
        allow_from,
        applied_as: None,
        now,
    })?;
    show(desk, name)
}

pub(super) fn grant(desk: &mut Desk<'_>, name: &AccountName, grant: Grant) -> Answer {
    let id = desk.stored(name)?;
    let held = desk
        .records()
        .accounts
        .get(&id)
        .map(|account| account.grants.as_slice());
    desk.check_another(&grant, held.unwrap_or_default())?;
    let (holder, now) = (Holder::Account(id), desk.now);
    desk.change(&Change::Grant {
        holder,
        role: grant.role,
        within: grant.within,
        now,
    })?;
    show(desk, name)
}

pub(super) fn ungrant(desk: &mut Desk<'_>, name: &AccountName, grant: Grant) -> Answer {
    let id = desk.stored(name)?;
    let held = desk
        .records()
        .accounts
        .get(&id)
        .into_iter()
        .flat_map(|account| &account.grants);
    refuse_unheld(&format!("account `{name}`"), &grant, held)?;
    let (holder, now) = (Holder::Account(id), desk.now);
    desk.change(&Change::Ungrant {
        holder,
        role: grant.role,
        within: grant.within,
        now,
    })?;
    show(desk, name)
}

/// Says what is held when a grant that is not is to be taken away.
pub(super) fn refuse_unheld<'g>(
    whose: &str,
    grant: &Grant,
    held: impl Iterator<Item = &'g crate::store::GrantRecord>,
) -> Result<(), super::AdminError> {
    let same: Vec<_> = held.filter(|held| held.role == grant.role).collect();
    if same.iter().any(|held| held.within == grant.within) {
        return Ok(());
    }
    let (role, within) = (&grant.role, &grant.within);
    let held: Vec<_> = same.iter().map(|held| held.within.to_string()).collect();
    if held.is_empty() {
        let said = format!("{whose} does not hold role `{role}`");
        return Err(not_found(said).at("role"));
    }
    let said = format!(
        "{whose} holds role `{role}` not for `{within}`, but for `{}`: name what it is held for",
        held.join("`, `")
    );
    Err(not_found(said).at("within"))
}

/// Shuts an account off or lets it in again. For an account of a file the store keeps a "no" of its
/// own, which stands until it is lifted.
pub(super) fn set_enabled(desk: &mut Desk<'_>, name: &AccountName, enabled: bool) -> Answer {
    let now = desk.now;
    let change = match desk.find(name)? {
        Found::Stored(record) => Change::SetEnabled {
            id: record.id.clone(),
            enabled,
            now,
        },
        Found::Filed(entry) => {
            desk.must_store(&format!("account `{name}`"), Some(&entry.place))?;
            Change::OverrideFileAccount {
                name: name.clone(),
                disabled: !enabled,
                now,
            }
        }
    };
    desk.change(&change)?;
    let shown = show(desk, name)?;
    // The account of a file may be shut off for another reason, which no command lifts.
    if enabled && shown.get("enabled") == Some(&Value::Bool(false)) {
        return Err(conflict(format!(
            "account `{name}` stays refused: its name or id stands for another account too; see \
             `portcullis status`"
        )));
    }
    Ok(shown)
}

/// Removes an account and its keys, and returns what it was.
pub(super) fn delete(desk: &mut Desk<'_>, name: &AccountName) -> Answer {
    let id = desk.stored(name)?;
    let shown = show(desk, name)?;
    let now = desk.now;
    desk.change(&Change::DeleteAccount { id, now })?;
    Ok(shown)
}
