//! What a token says, and what it is worth now: for people who hold one and wonder.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::credential::CREDENTIAL_BYTES_MAX;
use crate::directory::State;
use crate::reason::Reason;
use crate::verify::{Verifier, standing};
use crate::words::UnixTime;

/// Takes a token apart and judges it by `state`. Looking is no use of the key, and nothing is
/// remembered. It may be for the audience of any of `verifiers`, the first of which reads it.
///
/// The answer has `header` and `claims` as they stand in the token (`null` where there are none to
/// read, and unverified unless `good`), `good`, and `reason`, which is `null` or the code of the
/// reason a request with it would be refused for; and of a token that is ours `id`, `account`, `key`,
/// `audience`, `issued_at` and `expires_at`.
pub fn inspect(
    (verifier, other): (&Verifier, Option<&Verifier>),
    state: &State,
    token: &str,
    now: UnixTime,
) -> Value {
    let mut parts = token.split('.').map(object);
    let (header, claims) = (parts.next().flatten(), parts.next().flatten());
    let mut audience = None;
    let identity = if token.len() > CREDENTIAL_BYTES_MAX {
        Err(Reason::CredentialMalformed)
    } else {
        let audiences = [Some(verifier), other].into_iter().flatten();
        let mut audiences = audiences.map(Verifier::audience);
        verifier.identity_for(token, state, |stated| {
            audience = audiences.find(|known| *known == stated);
            audience.is_some()
        })
    };
    let verdict = identity
        .as_ref()
        .map_err(|reason| *reason)
        .and_then(|identity| {
            let (account, _) = standing(identity, state, now)?;
            if account.enabled {
                Ok(())
            } else {
                Err(Reason::AccountDisabled)
            }
        });
    let mut answer = json!({
        "header": header,
        "claims": claims,
        "good": verdict.is_ok(),
        "reason": verdict.err().map(Reason::code),
    });
    if let (Ok(identity), Some(answer)) = (identity, answer.as_object_mut()) {
        let account = state.directory.account(&identity.account);
        answer.insert(
            "account".into(),
            json!(account.map(|account| &account.name)),
        );
        answer.insert("audience".into(), json!(audience));
        answer.insert("id".into(), json!(identity.id));
        answer.insert("key".into(), json!(identity.key));
        answer.insert("issued_at".into(), json!(identity.issued_at));
        answer.insert("expires_at".into(), json!(identity.expires_at));
    }
    answer
}

/// The JSON object in one part of a token.
fn object(part: &str) -> Option<Value> {
    if part.len() > CREDENTIAL_BYTES_MAX {
        return None;
    }
    let json = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&json).ok().filter(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::world::{START, World};

    #[test]
    fn a_token_is_told_and_judged_without_being_used() {
        let mut world = World::new();
        let token = world.token("ci", None);
        let told = |world: &World, token: &str| {
            inspect((&world.verifier, None), &world.state(), token, START)
        };
        let good = told(&world, &token);
        assert_eq!(
            (&good["good"], &good["reason"]),
            (&json!(true), &Value::Null)
        );
        assert_eq!(good["header"]["typ"], "at+jwt");
        assert_eq!(good["claims"]["sub"], "sa_ci");
        assert_eq!(good["account"], "ci");
        assert_eq!(good["key"], json!(world.key("ci")));
        assert_eq!(good["expires_at"], "2026-11-21T23:15:00.000Z");
        assert_eq!(world.verifier.cache_entries(), 0);

        let off = told(&world, &world.token("off", None));
        assert_eq!(
            (&off["good"], &off["reason"]),
            (&json!(false), &json!("account_disabled"))
        );
        world.end_key("ci", START);
        assert_eq!(told(&world, &token)["reason"], "key_expired");
        world.forget_account("ci");
        let gone = told(&world, &token);
        assert_eq!(
            (&gone["reason"], &gone["account"]),
            (&json!("key_revoked"), &Value::Null)
        );
    }

    #[test]
    fn what_is_no_token_is_told_too() {
        let world = World::new();
        for (token, reason) in [
            (String::new(), "token_unknown"),
            ("opaque".to_owned(), "token_unknown"),
            ("e30.e30.".to_owned(), "token_unknown"),
            ("a".repeat(CREDENTIAL_BYTES_MAX + 1), "credential_malformed"),
            (format!("{}x", world.token("ci", None)), "signature_wrong"),
        ] {
            let told = inspect((&world.verifier, None), &world.state(), &token, START);
            assert_eq!(
                (&told["good"], &told["reason"]),
                (&json!(false), &json!(reason)),
                "{token}"
            );
        }
    }
}
