//! Questions about refusals that happened: in memory, and in the store.

mod advice;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Value, json};

use super::desk::{Answer, Desk, not_found};
use super::{AdminError, ask};
use crate::denials::{Decision, Filter, Needed, Record};
use crate::explain::{self, Depth, Explanation, Hypothesis};
use crate::oauth::token;
use crate::policy::matcher::Lookup;
use crate::policy::{RouteBoundary, Source};
use crate::reason::Reason;
use crate::words::{Method, RequestId};

/// The refusals that `filter` admits, newest first. What is in memory may not be in the store yet,
/// and the store knows those of before the start.
pub(super) fn list(desk: &Desk<'_>, filter: &Filter) -> Answer {
    let mut found = BTreeMap::new();
    let kept = desk.reader().map(|reader| reader.denials(filter));
    for record in kept.transpose()?.unwrap_or_default() {
        found.insert(record.request_id, Arc::new(record));
    }
    for record in desk.service.denials().list(filter) {
        found.insert(record.request_id, record);
    }
    if found.is_empty() {
        known(desk, filter)?;
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
pub(super) fn top(desk: &Desk<'_>, filter: &Filter) -> Answer {
    let groups = desk.service.denials().top(filter);
    if groups.is_empty() {
        known(desk, filter)?;
    }
    Ok(json!(groups))
}

/// Refuses an account that nothing is known of: what is kept of one that is gone is shown, and
/// nothing at all is a slip of the pen.
fn known(desk: &Desk<'_>, filter: &Filter) -> Result<(), AdminError> {
    let name = filter.account.as_ref();
    name.map_or(Ok(()), |name| desk.find(name).map(drop))
}

/// What one refusal was about, and what the same request would get now.
pub(super) fn explain(desk: &Desk<'_>, id: &RequestId) -> Answer {
    let found = match desk.service.denials().find(id) {
        Some(record) => Some(record),
        None => {
            let kept = desk.reader().map(|reader| reader.denial(id));
            kept.transpose()?.flatten().map(Arc::new)
        }
    };
    let record = found.ok_or_else(|| unknown(desk, id))?;
    let mut told = json!({ "denial": *record, "then": sentence(&record) });
    let (now, note) = now(desk, &record);
    let before = (record.decision == Decision::Deny).then_some(record.reason.as_str());
    let changed = now.as_ref().is_some_and(|now| {
        let enforced = now.reason.filter(|_| !now.allowed);
        enforced != before
    });
    if let Some(told) = told.as_object_mut() {
        told.insert("now".into(), ask::shown(&now)?);
        told.insert("changed".into(), changed.into());
        told.insert("note".into(), note.into());
    }
    Ok(told)
}

/// Why an id may lead nowhere.
fn unknown(desk: &Desk<'_>, id: &RequestId) -> AdminError {
    let bounds = desk.service.denials().bounds();
    if !bounds.kept {
        return not_found(format!(
            "request `{id}` is not known: `denials: off` in the settings keeps no refusals; the \
             decision log has it"
        ));
    }
    let stored = match desk.service.files_only {
        true => String::new(),
        false => format!(", {} in the store", bounds.stored),
    };
    not_found(format!(
        "no refusal of request `{id}` is kept. Only what was refused is, for {} at most: in memory \
         the latest {} of accounts and {} of strangers{stored}; the decision log has all of them. \
         The id is `request_id` of the answer, and its `X-Request-Id`",
        humantime::format_duration(bounds.max_age),
        bounds.known,
        bounds.strangers,
    ))
}

/// What was decided then, in one sentence.
fn sentence(record: &Record) -> String {
    let who = record
        .account
        .as_ref()
        .map_or("the caller", |name| name.as_str());
    let title = Reason::from_code(&record.reason).map_or("refused", Reason::title);
    let place = || {
        let parts = record
            .boundary
            .iter()
            .map(|(dimension, values)| match values.as_slice() {
                [] => format!("no {dimension}"),
                values => format!("{dimension} {}", values.join(", ")),
            });
        parts.collect::<Vec<_>>().join("; ")
    };
    match record.reason.as_str() {
        // A token that was asked for with a scope has no place where something is missing.
        "permission_missing" if !record.missing.is_empty() => {
            let or = matches!(record.needs, Some(Needed::Any { .. }));
            format!(
                "`{who}` lacked {}",
                record.missing.join(if or { " or " } else { " and " })
            )
        }
        "outside_boundary" if record.boundary.is_empty() => {
            format!(
                "`{who}` held the permission only within a boundary, which does not count there"
            )
        }
        "outside_boundary" => format!("`{who}` held the permission, but not at {}", place()),
        _ => {
            let at = record.upstream.as_ref().map(|name| behind(record, name));
            let more = [
                &record.class,
                &record.hint,
                &record.allow,
                &at,
                &record.cause,
            ];
            let more = more.into_iter().flatten();
            let more: Vec<_> = more.map(String::as_str).collect();
            match more.as_slice() {
                [] => title.to_owned(),
                more => format!("{title}: {}", more.join(", ")),
            }
        }
    }
}

/// Which upstream it was let through to, and where that is.
fn behind(record: &Record, upstream: &str) -> String {
    match &record.upstream_address {
        Some(address) => format!("upstream `{upstream}` at {address}"),
        None => format!("upstream `{upstream}`"),
    }
}

/// What the same request would get now, as far as that can be said, and what must be said besides.
fn now(desk: &Desk<'_>, record: &Record) -> (Option<Explanation>, Option<String>) {
    if record.is_failure() {
        return (None, Some(advice::about_failure(record)));
    }
    if record.path == token::PATH {
        return (None, Some(advice::about_token(desk, record)));
    }
    let caller = match &record.account_id {
        None if record.reason == "credential_missing" => None,
        None if record.status == 401 => {
            return (None, Some(advice::about_credential(&record.reason)));
        }
        None => None,
        Some(id) => match desk.directory().account(id) {
            Some(account) => Some(Arc::clone(account)),
            None => {
                let name = record.account.as_ref().map_or("", |name| name.as_str());
                return (
                    None,
                    Some(format!("account `{name}` is gone, and its keys with it")),
                );
            }
        },
    };
    let by_credential = record.status == 401
        && !matches!(
            record.reason.as_str(),
            "credential_missing" | "account_disabled"
        );
    if by_credential {
        return (None, Some(advice::about_credential(&record.reason)));
    }
    let method = Method::parse(&record.method).filter(|_| !record.path_cut);
    let Some(method) = method else {
        return (
            None,
            Some("what was kept of the request is not enough to decide it again".to_owned()),
        );
    };
    let (target, headers) = request_of(desk, record, method);
    let world = ask::world(desk, caller.as_ref());
    let call = Hypothesis {
        method,
        target: &target,
        host: record.host.as_deref(),
        headers: &headers,
        caller: caller.map(explain::supposed),
        source: Some(record.source),
    };
    let now = explain::explain_in(desk.policy(), &call, &world, Depth::Remedies);
    let note = (record.narrowed && now.allowed).then(|| {
        let missing = record.missing.join(" ");
        format!(
            "the token or key may use only some of what the account holds: ask for a token without \
             `scope`, or with one that has {missing}"
        )
    });
    (Some(now), note)
}

/// Path, and of query and headers what a boundary reads: the rest is not kept, and decides nothing.
fn request_of(desk: &Desk<'_>, record: &Record, method: Method) -> (String, HeaderMap) {
    let policy = desk.policy();
    let (mut query, mut headers) = (
        form_urlencoded::Serializer::new(String::new()),
        HeaderMap::new(),
    );
    let mut asked = false;
    if let Ok(Lookup::Found(found)) = policy.find(record.host.as_deref(), method, &record.path) {
        for id in std::iter::once(&found.primary).chain(&found.also) {
            let RouteBoundary::Bound(bound) = &policy.route(*id).boundary else {
                continue;
            };
            for (dimension, source) in bound {
                let values = record.boundary.get(policy.dimension(*dimension).as_str());
                let values = values.map(Vec::as_slice).unwrap_or_default();
                match (source, values) {
                    (Source::Path(_), _) | (_, []) => {}
                    (Source::Query { name, separator }, [first, ..]) => {
                        let between = separator.map(String::from);
                        let value = between.map_or_else(|| first.clone(), |it| values.join(&it));
                        asked = true;
                        query.append_pair(name, &value);
                    }
                    (Source::Header(name), [first, ..]) => {
                        headers.extend(first.parse().ok().map(|value| (name.clone(), value)));
                    }
                }
            }
        }
    }
    // A form's `+` is a raw plus to others; a boundary takes neither. A separator stands raw.
    let query = query.finish().replace('+', "%20").replace("%2C", ",");
    let target = match asked {
        true => format!("{}?{query}", record.path),
        false => record.path.clone(),
    };
    (target, headers)
}
