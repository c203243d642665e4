//! Who asks, and what he may ask for: what somebody with a key in his hand wants to know first.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Actor;
use super::desk::Desk;
use crate::words::{Account, Evidence, GroupName, PermissionSet};

/// Who asks. On the gateway's own machine it is a user of the system, who is no account.
pub(super) fn whoami(desk: &Desk<'_>) -> Value {
    let caller = desk.terms.map(|terms| &terms.caller);
    let known = caller.and_then(|caller| desk.directory().account(&caller.account.id));
    let (Some(caller), Some(account)) = (caller, known) else {
        return user(desk.asked.actor());
    };
    let usable = |given: &PermissionSet| -> PermissionSet {
        let subset = caller.subset.as_ref();
        let ids = given.iter();
        ids.filter(|id| subset.is_none_or(|subset| subset.contains(*id)))
            .collect()
    };
    let mut all = PermissionSet::default();
    for holding in &account.holdings {
        all.extend(&usable(&holding.permissions));
    }
    let names = all.iter().map(|id| desk.policy().permission(id).as_str());
    let grants = account.holdings.iter().map(|holding| {
        json!({
            "role": holding.role,
            "within": holding.within,
            "group": holding.group,
        })
    });
    let token = match &caller.evidence {
        Evidence::Token { id, expires_at, .. } => json!({ "id": id, "expires_at": expires_at }),
        Evidence::Key | Evidence::Hypothesis => Value::Null,
    };
    let key = caller.key.as_ref().and_then(|id| desk.directory().key(id));
    json!({
        "account": account.name,
        "id": account.id,
        "actor": desk.asked.actor().to_string(),
        "key": caller.key,
        "key_expires_at": key.and_then(|key| key.expires_at),
        "token": token,
        "permissions": names.collect::<BTreeSet<_>>(),
        "grants": grants.collect::<Vec<_>>(),
        "groups": groups(desk, account),
    })
}

/// A user of this machine, by the id that the kernel says.
fn user(actor: &Actor) -> Value {
    let id = match actor {
        Actor::ControlSocket { uid, .. } | Actor::Local { uid, .. } => Some(*uid),
        Actor::Api { .. } | Actor::Client { .. } | Actor::Stranger { .. } | Actor::Gateway => None,
    };
    json!({ "account": null, "actor": actor.to_string(), "uid": id })
}

/// The groups an account is in. Of its own it is told whatever else it may see.
fn groups<'d>(desk: &'d Desk<'_>, account: &Account) -> BTreeSet<&'d GroupName> {
    let stored = desk.records().groups.values();
    let stored = stored
        .filter(|group| group.members.contains(&account.id))
        .map(|group| &group.name);
    let filed = desk.policy().groups.iter();
    let filed = filed
        .filter(|(_, group)| group.members.contains(&account.name))
        .map(|(name, _)| name);
    stored.chain(filed).collect()
}
