//! What to do about refusals that cannot be decided again: a credential that is not kept, a token
//! that was not given out, an upstream that has not answered.

use crate::admin::desk::Desk;
use crate::denials::Record;
use crate::directory::Key;
use crate::reason::Reason;
use crate::words::KeyId;

/// What to do about a request that was let through and failed, or was none.
pub(super) fn about_failure(record: &Record) -> String {
    let Some(upstream) = &record.upstream else {
        return "it was no matter of rights: it failed before anything could be decided, or was not \
                a request"
            .to_owned();
    };
    let then = match Reason::from_code(&record.reason) {
        Some(reason) => remedy(reason, upstream, record),
        None => return "it was let through: no right is missing".to_owned(),
    };
    format!("it was let through, so no right is missing: {then}")
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of the reasons only those that a forwarded request can end with have a remedy"
)]
fn remedy(reason: Reason, upstream: &str, record: &Record) -> String {
    let cause = record.cause.as_deref().unwrap_or_default();
    match reason {
        Reason::UpstreamUnreachable if cause.starts_with("TLS") => format!(
            "look at `tls` and `url` of upstream `{upstream}` in the settings, and at the certificate \
             it shows"
        ),
        Reason::UpstreamUnreachable => format!(
            "see that upstream `{upstream}` runs and listens there, or mend its `url` in the settings"
        ),
        Reason::UpstreamTimeout if cause.contains("`timeout`") => format!(
            "see why upstream `{upstream}` is slow, or give it longer: `timeout` of the route or of \
             the upstream"
        ),
        Reason::UpstreamTimeout => format!(
            "see that upstream `{upstream}` can be reached from here, or give it longer: \
             `connect_timeout`"
        ),
        Reason::UpstreamReset | Reason::UpstreamMalformed => {
            format!("see the log of upstream `{upstream}` at that moment")
        }
        Reason::UpstreamOverloaded => format!(
            "see why upstream `{upstream}` is slow, or raise its `connections`, `queue` or \
             `queue_timeout`"
        ),
        Reason::Draining => "the gateway was going away: ask again".to_owned(),
        Reason::BodyTooLarge => {
            "its body is larger than `body_bytes` of the route, or `limits: { body_bytes }` of the listener, allows"
                .to_owned()
        }
        Reason::RequestTimeout => {
            "its client did not send its body in time: `limits: { body_idle }` of the listener"
                .to_owned()
        }
        _ => "it came to nothing on its way".to_owned(),
    }
}

/// What to do about a token that was not given out.
pub(super) fn about_token(desk: &Desk<'_>, record: &Record) -> String {
    let key = record.key.and_then(|id| desk.directory().key(&id));
    match (record.reason.as_str(), &record.key, key) {
        ("key_unknown", Some(id), None) => format!(
            "there is no key `{id}`: `portcullis keys list` shows all, and `portcullis keys create` \
             makes one"
        ),
        ("key_unknown", Some(id), Some(key)) => about_secret(desk, id, key),
        ("key_expired" | "key_revoked", Some(id), key) => {
            let account = key.map_or("ACCOUNT", |key| key.account.name.as_str());
            let ended = key.and_then(|key| key.expires_at);
            let ended = ended.map_or_else(|| "is over".to_owned(), |end| format!("ended at {end}"));
            format!("key `{id}` {ended}: make a new one with `portcullis keys create {account}`")
        }
        ("account_disabled", _, Some(key)) => format!(
            "account `{name}` is switched off, if it still is: `portcullis accounts enable {name}`",
            name = key.account.name
        ),
        ("address_not_allowed", Some(id), Some(key)) => format!(
            "key `{id}` or its account `{name}` may not be used from {}: `portcullis keys list {name}` \
             and `portcullis accounts show {name}` say from where",
            record.source,
            name = key.account.name
        ),
        ("permission_missing", _, Some(key)) => format!(
            "ask for less in `scope`, or grant what is missing to account `{}`: `portcullis can-i \
             --list --as {}` shows what it may",
            key.account.name, key.account.name
        ),
        ("credential_missing", ..) => {
            "send the key: its id and secret by Basic, or as `client_id` and `client_secret` in the \
             body"
                .to_owned()
        }
        ("credential_malformed", ..) => {
            "the client's id is a key's id, `pck_…`, and its secret that key's, `pcs_…`: what was \
             sent has another form"
                .to_owned()
        }
        _ => "a token is asked for like this: `curl -u ID:SECRET -d grant_type=client_credentials \
              …/oauth/token`"
            .to_owned(),
    }
}

/// A key that is there, and was shown with another secret.
fn about_secret(desk: &Desk<'_>, id: &KeyId, key: &Key) -> String {
    let name = &key.account.name;
    let over = match key.is_expired(desk.now) {
        true => ", and it is over besides",
        false => "",
    };
    format!(
        "there is a key `{id}`, of account `{name}`{over}, and the secret shown was another: see \
         where its client has it from, or replace it with `portcullis keys rotate {id}`"
    )
}

/// What to do about a credential that was not good. It is not kept, so it cannot be looked at again.
pub(super) fn about_credential(reason: &str) -> String {
    let said = match reason {
        "token_expired" => {
            "get a new token at /oauth/token; tokens live as long as `tokens: { lifetime }` says"
        }
        "key_expired" | "key_revoked" | "token_revoked" => {
            "the key is over, and all its tokens with it: make a new one with `portcullis keys create`"
        }
        "key_unknown" => {
            "the key's id or its secret is wrong: `portcullis keys list` shows the ids there are"
        }
        "credential_malformed" => {
            "show `Authorization: Bearer` and a token, or a key where the listener takes keys"
        }
        _ => {
            "show a token or a key of an account here; `portcullis tokens inspect` says what is wrong with a token"
        }
    };
    format!("the credential is not kept, so whether it would be good now cannot be said; {said}")
}
