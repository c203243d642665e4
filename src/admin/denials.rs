//! Questions about refusals that happened: in memory, and in the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::desk::{Answer, Desk};
use crate::denials::Filter;

/// The refusals that `filter` admits, newest first. What is in memory may not be in the store yet,
/// and the store knows those of before the start.
pub(super) fn list(desk: &Desk<'_>, filter: &Filter) -> Answer {
    let mut found = BTreeMap::new();
    for record in desk.store().denials(filter)? {
        found.insert(record.request_id, Arc::new(record));
    }
    for record in desk.service.denials().list(filter) {
        found.insert(record.request_id, record);
    }
    let newest = found.into_values().rev().take(filter.limit());
    Ok(newest.map(|record| json!(*record)).collect())
}

/// The refusals since `after`, and what to ask for the next time.
pub(super) fn follow(desk: &Desk<'_>, after: Option<u64>, filter: &Filter) -> Value {
    let news = desk.service.denials().news(after, filter);
    let records: Vec<_> = news.records.iter().map(|record| json!(**record)).collect();
    json!({ "next": news.next, "denials": records })
}

/// Who was refused what, most often first.
pub(super) fn top(desk: &Desk<'_>, filter: &Filter) -> Value {
    json!(desk.service.denials().top(filter))
}
