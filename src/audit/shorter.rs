//! What was before and after, made to fit a record without losing what it says.
//!
//! A record that left it out whole would hide the one grant that matters among a thousand values that do
//! not. So what is single stays, names, descriptions and ends among it, and of every grant its role; long
//! lists of values become how many they are and their SHA-256, by which whoever has such a list can show
//! that it was this one. What a digest is of is the list as JSON without spaces.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Longest list or boundary that is never cut, in bytes: some dozen ids.
const KEPT_BYTES: usize = 512;

/// How much is cut. Each goes further than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Depth {
    /// Long lists of values.
    Lists,
    /// Where grants hold, too.
    Boundaries,
    /// Grants are their roles, each with how many there are.
    Grants,
}

impl Depth {
    pub(super) const ALL: [Self; 3] = [Self::Lists, Self::Boundaries, Self::Grants];
}

/// The same, shorter.
pub(super) fn shorter(value: &Value, depth: Depth) -> Value {
    match value {
        Value::Array(items) => list(items, depth),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let is_place = name == "within" || name == "owner";
                let value = match is_place && depth >= Depth::Boundaries {
                    true => place(value),
                    false => shorter(value, depth),
                };
                (name.clone(), value)
            });
            Value::Object(fields.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn list(items: &[Value], depth: Depth) -> Value {
    let is_plain = |item: &Value| !item.is_array() && !item.is_object();
    let text = json!(items).to_string();
    if text.len() <= KEPT_BYTES {
        return json!(items);
    }
    if items.iter().all(is_plain) {
        return digest(items.len(), &text).into();
    }
    let roles: Option<Vec<&str>> = items
        .iter()
        .map(|item| item.get("role")?.as_str())
        .collect();
    match roles {
        Some(roles) if depth >= Depth::Grants => {
            let mut each: BTreeMap<&str, usize> = BTreeMap::new();
            roles
                .iter()
                .for_each(|role| *each.entry(role).or_default() += 1);
            let mut told = digest(items.len(), &text);
            told.insert("roles".into(), json!(each));
            told.into()
        }
        Some(_) | None => items.iter().map(|item| shorter(item, depth)).collect(),
    }
}

/// A boundary, of which one that is long is how many dimensions it has.
fn place(value: &Value) -> Value {
    let text = value.to_string();
    let dimensions = value.as_object().map_or(0, Map::len);
    match text.len() <= KEPT_BYTES / 4 {
        true => value.clone(),
        false => digest(dimensions, &text).into(),
    }
}

fn digest(count: usize, text: &str) -> Map<String, Value> {
    let digest = Sha256::digest(text.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Map::from_iter([
        ("count".to_owned(), json!(count)),
        ("sha256".to_owned(), json!(digest)),
    ])
}
