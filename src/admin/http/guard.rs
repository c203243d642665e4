//! Who is let in: the right host, a good credential, the permission the endpoint asks for.

use std::iter;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri, header};

use super::endpoint::Endpoint;
use super::problem::Problem;
use super::record::Place;
use super::serve::Api;
use crate::admin::Actor;
use crate::admin::service::AtDoor;
use crate::audit::Outcome;
use crate::credential::{self, Accepts, Credential, Foreign};
use crate::decision::{self, Denial, Limited};
use crate::directory::State;
use crate::reason::Reason;
use crate::verify::is_guess;
use crate::words::{Account, Caller, KeyId, RequestId};

/// Whether a request is for us: by an address, by `localhost`, or by a name of ours. A page that
/// makes its own name lead here is not.
///
/// # Errors
///
/// 400 without one `Host`, 421 with somebody else's.
pub(super) fn host(headers: &HeaderMap, uri: &Uri, ours: &[String]) -> Result<(), Problem> {
    let mut stated = headers.get_all(header::HOST).iter();
    let (first, second) = (stated.next(), stated.next());
    let wrong = |said| Err(Problem::new(StatusCode::BAD_REQUEST, said));
    let (Some(first), None) = (first, second) else {
        return wrong("the request has no `Host`, or two");
    };
    let stated = first.to_str().ok();
    let Some(stated) = stated.and_then(|text| text.parse::<Authority>().ok()) else {
        return wrong("the `Host` cannot be read");
    };
    let named = uri.authority().unwrap_or(&stated);
    if is_ours(named.host(), ours) && is_ours(stated.host(), ours) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "the admin API is not asked by this name: add it to `admin: { hosts: [...] }` if it is its own",
    ))
}

fn is_ours(host: &str, ours: &[String]) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let lower = host.to_ascii_lowercase();
    bare.parse::<IpAddr>().is_ok() || lower == "localhost" || ours.contains(&lower)
}

/// A refusal, and whose it is.
pub(super) struct Refused {
    pub(super) denial: Box<Denial>,
    pub(super) whom: Whom,
}

/// Who is refused, as far as the audit trail is concerned.
pub(super) enum Whom {
    /// Nobody in particular: a stranger, or what anybody may send.
    Nobody,
    /// Somebody who showed a secret that is not the one of this key.
    Guessing(KeyId),
    /// Somebody whose credential is good.
    Known {
        /// His account.
        account: Arc<Account>,
        /// The key he used, or that his token was made from.
        key: Option<KeyId>,
    },
}

impl From<Box<Denial>> for Refused {
    fn from(denial: Box<Denial>) -> Self {
        let whom = Whom::Nobody;
        Self { denial, whom }
    }
}

impl Refused {
    pub(super) fn new(denial: Denial, whom: Whom) -> Self {
        let denial = Box::new(denial);
        Self { denial, whom }
    }
}

impl Api {
    /// Keeps a refusal that somebody may want to know of in a year: of a caller we know who may not, and
    /// of a wrong secret for a key there is.
    pub(super) async fn keep(
        &self,
        refused: &Refused,
        place: Place,
        (id, source): (RequestId, IpAddr),
    ) {
        let reason = refused.denial.reason;
        let (actor, what) = match &refused.whom {
            Whom::Known { account, key } if is_kept(reason) => (
                actor(account, *key, (source, id)),
                AtDoor::Call(place.name()),
            ),
            Whom::Guessing(key) => (
                Actor::Stranger {
                    address: source,
                    request_id: id,
                },
                AtDoor::Guess(*key),
            ),
            Whom::Known { .. } | Whom::Nobody => return,
        };
        let outcome = Outcome::Failure {
            kind: reason.code().to_owned(),
            message: refused.denial.sentence(),
        };
        let service = Arc::clone(&self.service);
        let kept =
            tokio::task::spawn_blocking(move || service.record_at_door(what, &actor, outcome));
        match kept.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "a refusal was not recorded"),
            Err(error) => tracing::error!(%error, "a refusal was not recorded"),
        }
    }
}

/// A caller who asks too often, or for what nobody can read, is on the log and in no trail.
fn is_kept(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::PermissionMissing | Reason::AddressNotAllowed | Reason::AccountDisabled
    )
}

/// Who asks, as the audit trail has it.
pub(super) fn actor(
    account: &Account,
    key: Option<KeyId>,
    (address, request_id): (IpAddr, RequestId),
) -> Actor {
    Actor::Api {
        account: account.name.clone(),
        account_id: account.id.clone(),
        key,
        address,
        request_id,
    }
}

/// What a source may do that shows credentials.
enum Standing {
    /// Whatever is new is verified.
    Free,
    /// Nothing new is, and this was let in before.
    Known(Result<Caller, Reason>),
    /// Nothing new is, and this would be.
    Held(Duration),
}

const ACCEPTS: Accepts = Accepts {
    basic: true,
    api_key: true,
};

/// Looks at the throttle, before anything else is looked at and before any signature.
fn standing(api: &Api, state: &State, headers: &HeaderMap, source: IpAddr) -> Standing {
    let now = api.service.now();
    let Some(wait) = api.throttle.holds(source, api.failures, now) else {
        return Standing::Free;
    };
    // Who has been let in before is let in, however many guess beside him.
    let shown = credential::read(headers, ACCEPTS, Foreign::Counts);
    let shown = shown.unwrap_or(Credential::Absent);
    match api.verifier.remembered(&shown, state, (now, Some(source))) {
        Err(Reason::SourceThrottled) => Standing::Held(wait),
        found => Standing::Known(found),
    }
}

/// Refuses a source that has shown too many wrong credentials whatever it asks for, unless it shows one
/// that was good before.
///
/// # Errors
///
/// The refusal.
pub(super) fn throttle(api: &Api, headers: &HeaderMap, source: IpAddr) -> Result<(), Box<Denial>> {
    match standing(api, &state(api), headers, source) {
        Standing::Free | Standing::Known(_) => Ok(()),
        Standing::Held(wait) => Err(Box::new(Denial::throttled(wait))),
    }
}

/// Who asks, if he may ask at this endpoint at all, and this often; how far is said by
/// [`crate::admin::authority`].
///
/// # Errors
///
/// The refusal, as the decision has it.
pub(super) fn caller(
    api: &Api,
    state: &State,
    endpoint: &Endpoint,
    (headers, source): (&HeaderMap, IpAddr),
) -> Result<Caller, Refused> {
    let found = match standing(api, state, headers, source) {
        Standing::Held(wait) => return Err(Box::new(Denial::throttled(wait)).into()),
        Standing::Known(found) => found.map_err(|reason| Box::new(Denial::new(reason)))?,
        Standing::Free => verify(api, state, (headers, source))?,
    };
    admit(api, state, endpoint, (found, source))
}

/// The same once a body has come, which may have taken its time: what was taken back meanwhile is taken
/// back. It was counted when it began.
///
/// # Errors
///
/// The refusal, as the decision has it.
pub(super) fn again(
    api: &Api,
    state: &State,
    endpoint: &Endpoint,
    (headers, source): (&HeaderMap, IpAddr),
) -> Result<Caller, Refused> {
    let found = verify(api, state, (headers, source))?;
    permit(state, endpoint, (found, source))
}

fn verify(
    api: &Api,
    state: &State,
    (headers, source): (&HeaderMap, IpAddr),
) -> Result<Caller, Refused> {
    let now = api.service.now();
    let (reason, was_guess, whom) = match credential::read(headers, ACCEPTS, Foreign::Counts) {
        Err(reason) => (reason, is_guess(reason), Whom::Nobody),
        Ok(shown) => match api.verifier.look(&shown, state, (now, Some(source))) {
            Ok(Some(caller)) => return Ok(caller),
            Ok(None) => (Reason::CredentialMissing, false, Whom::Nobody),
            Err(refused) => {
                let whom = match shown {
                    Credential::Key { id, .. } => guesses(state, id, refused.reason),
                    Credential::Bearer(_) | Credential::Absent => Whom::Nobody,
                };
                (refused.reason, refused.was_guess, whom)
            }
        },
    };
    if was_guess {
        api.throttle.failed(source, api.failures, now);
    }
    Err(Refused::new(Denial::new(reason), whom))
}

/// A wrong secret is somebody's business if there is a key that it is tried on.
pub(super) fn guesses(state: &State, key: KeyId, reason: Reason) -> Whom {
    match reason == Reason::KeyUnknown && state.directory.key(&key).is_some() {
        true => Whom::Guessing(key),
        false => Whom::Nobody,
    }
}

fn admit(
    api: &Api,
    state: &State,
    endpoint: &Endpoint,
    (caller, source): (Caller, IpAddr),
) -> Result<Caller, Refused> {
    // Counted before it is refused: what may not be done may not be tried as often as one likes.
    let now = api.service.now();
    let counted = api.rates.admit(iter::empty(), Some(&caller.account), now);
    if let Err(over) = counted {
        let quota = (over.whose.name(), over.rate);
        let denial = Denial {
            limited: Some(Limited {
                wait: over.wait,
                quota: api.tells_rates.then_some(quota),
            }),
            ..Denial::because(Reason::RateLimited, over.whose.words())
        };
        let whom = Whom::Known {
            account: Arc::clone(&caller.account),
            key: caller.key,
        };
        return Err(Refused::new(denial, whom));
    }
    permit(state, endpoint, (caller, source))
}

/// Whether a caller holds what an endpoint asks for, and may call from where he is.
fn permit(
    state: &State,
    endpoint: &Endpoint,
    (caller, source): (Caller, IpAddr),
) -> Result<Caller, Refused> {
    let whom = Whom::Known {
        account: Arc::clone(&caller.account),
        key: caller.key,
    };
    let needed = match endpoint.permission {
        None => None,
        Some(name) => match state.policy.permission_id(name) {
            Some(permission) => Some(permission),
            None => return Err(Refused::new(Denial::new(Reason::PermissionMissing), whom)),
        },
    };
    let admitted = decision::admit(&state.policy, Ok(Some(caller)), source, needed);
    admitted.map_err(|denial| Refused { denial, whom })
}

/// The state in force, to be judged by.
pub(super) fn state(api: &Api) -> Arc<State> {
    api.service.handle().snapshot()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_answered() {
        let ours = ["gate.example.com".to_owned()];
        let asked = |hosts: &[&str], uri: &str| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, host.parse().unwrap());
            }
            host(&headers, &uri.parse().unwrap(), &ours).is_ok()
        };
        for good in [
            "127.0.0.1:7081",
            "[::1]:7081",
            "localhost",
            "LocalHost:1",
            "gate.example.com",
            "GATE.example.com:7443",
        ] {
            assert!(asked(&[good], "/"), "{good}");
        }
        for bad in [
            "evil.example",
            "gate.example.com.evil",
            "localhost.evil",
            "127.0.0.1.evil",
            "",
            "a b",
        ] {
            assert!(!asked(&[bad], "/"), "{bad}");
        }
        assert!(!asked(&[], "/"));
        assert!(!asked(&["localhost", "localhost"], "/"));
        assert!(!asked(&["localhost"], "http://evil.example/"));
    }
}
