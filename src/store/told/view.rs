//! What is told of one record. Every field is named here, told or not, so that a new one is thought
//! about; digests and sealed keys are never told.

use serde_json::{Map, Value, json};

use crate::store::{
    AccountRecord, FileAccountRecord, GrantRecord, GroupRecord, KeyLimits, KeyRecord, RoleRecord,
    SigningKeyRecord,
};
use crate::words::Boundary;

pub(super) fn account(record: &AccountRecord) -> Value {
    let AccountRecord {
        id: _,
        name,
        description,
        enabled,
        allow_from,
        grants,
        applied_as,
        owner,
        created_at: _,
        updated_at: _,
        last_used_at: _,
        created_by: _,
    } = record;
    let told = json!({
        "name": name,
        "applied_as": applied_as,
        "description": description,
        "enabled": enabled,
        "allow_from": allow_from,
        "grants": grants.iter().map(grant).collect::<Vec<_>>(),
    });
    owned(told, owner)
}

/// Whose it is, unless it is nobody's in particular.
fn owned(mut told: Value, owner: &Boundary) -> Value {
    if let Some(told) = told.as_object_mut().filter(|_| !owner.is_everywhere()) {
        told.insert("owner".into(), json!(owner));
    }
    told
}

fn grant(record: &GrantRecord) -> Value {
    let GrantRecord {
        role,
        within,
        closed_at,
    } = record;
    let mut told = Map::from_iter([("role".to_owned(), json!(role))]);
    if !within.is_everywhere() {
        told.insert("within".into(), json!(within));
    }
    if let Some(closed_at) = closed_at {
        told.insert("closed_at".into(), json!(closed_at));
    }
    told.into()
}

pub(super) fn file_account(record: &FileAccountRecord) -> Value {
    let FileAccountRecord {
        id: _,
        disabled,
        created_at: _,
        updated_at: _,
        last_used_at: _,
        gone_at: _,
    } = record;
    json!({ "disabled": disabled })
}

pub(super) fn key(record: &KeyRecord) -> Value {
    let KeyRecord {
        id,
        account: _,
        description,
        digest: _,
        created_at: _,
        updated_at: _,
        expires_at,
        last_used_at: _,
        last_used_from: _,
        created_by: _,
        limits,
    } = record;
    let KeyLimits { only, allow_from } = limits;
    json!({
        "id": id,
        "description": description,
        "expires_at": expires_at,
        "only": only,
        "allow_from": allow_from,
    })
}

pub(super) fn role(record: &RoleRecord) -> Value {
    let RoleRecord {
        name: _,
        description,
        permissions,
        include,
        api_access,
        applied_as,
        owner,
        created_at: _,
        updated_at: _,
        created_by: _,
    } = record;
    let told = json!({
        "description": description,
        "permissions": permissions,
        "include": include,
        "api_access": api_access,
        "applied_as": applied_as,
    });
    owned(told, owner)
}

pub(super) fn group(record: &GroupRecord) -> Value {
    let GroupRecord {
        name: _,
        description,
        members,
        grants,
        applied_as,
        owner,
        created_at: _,
        updated_at: _,
        created_by: _,
    } = record;
    let told = json!({
        "applied_as": applied_as,
        "description": description,
        "members": members,
        "grants": grants.iter().map(grant).collect::<Vec<_>>(),
    });
    owned(told, owner)
}

pub(super) fn signing_key(record: &SigningKeyRecord) -> Value {
    let SigningKeyRecord {
        kid,
        public: _,
        wrapped: _,
        created_at: _,
        retired_at,
    } = record;
    json!({ "kid": kid, "retired_at": retired_at })
}

/// Of both only what differs: of things the fields, of lists the elements that only one has.
pub(super) fn differing(before: Value, after: Value) -> (Value, Value) {
    let (Value::Object(mut before), Value::Object(mut after)) = (before.clone(), after.clone())
    else {
        return (before, after);
    };
    let same = |name: &String, value: &mut Value| after.get(name) == Some(&*value);
    let same: Vec<_> = before
        .iter_mut()
        .filter_map(|(name, value)| same(name, value).then(|| name.clone()))
        .collect();
    before.retain(|name, _| !same.contains(name));
    after.retain(|name, _| !same.contains(name));
    for (name, old) in &mut before {
        if let (Value::Array(old), Some(Value::Array(new))) = (old, after.get_mut(name)) {
            let both: Vec<_> = old
                .iter()
                .filter(|one| new.contains(one))
                .cloned()
                .collect();
            old.retain(|one| !both.contains(one));
            new.retain(|one| !both.contains(one));
        }
    }
    (before.into(), after.into())
}
