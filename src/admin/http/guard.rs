//! Who is let in: the right host, a good credential, the permission the endpoint asks for.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri, header};

use super::endpoint::Endpoint;
use super::problem::Problem;
use super::serve::Api;
use crate::credential::{self, Accepts, Credential, Foreign};
use crate::decision::{self, Denial, Limited};
use crate::directory::State;
use crate::reason::Reason;
use crate::words::Caller;

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

/// Who asks, if he may ask at this endpoint at all; how far is said by
/// [`crate::admin::authority`].
///
/// # Errors
///
/// The refusal, as the decision has it.
pub(super) fn caller(
    api: &Api,
    state: &State,
    endpoint: &Endpoint,
    (headers, peer): (&HeaderMap, SocketAddr),
) -> Result<Caller, Box<Denial>> {
    let accepts = Accepts {
        basic: true,
        api_key: true,
    };
    let (source, now) = (peer.ip().to_canonical(), api.service.now());
    let shown = credential::read(headers, accepts, Foreign::Counts);
    if let Some(wait) = api.throttle.holds(source, api.failures, now) {
        // Who has been let in before is let in, however many guess beside him.
        let shown = shown.unwrap_or(Credential::Absent);
        let found = api.verifier.remembered(&shown, state, (now, Some(source)));
        if found.as_ref().err() == Some(&Reason::SourceThrottled) {
            return Err(Box::new(Denial {
                limited: Some(Limited { wait, quota: None }),
                ..Denial::new(Reason::SourceThrottled)
            }));
        }
        return admit(state, endpoint, found.map(Some), source);
    }
    let found = match shown {
        Err(reason) => Err((reason, reason == Reason::CredentialMalformed)),
        Ok(shown) => {
            let found = api.verifier.look(&shown, state, (now, Some(source)));
            found.map_err(|refused| (refused.reason, refused.was_computed))
        }
    };
    if matches!(found, Err((_, true))) {
        api.throttle.failed(source, api.failures, now);
    }
    admit(state, endpoint, found.map_err(|(reason, _)| reason), source)
}

fn admit(
    state: &State,
    endpoint: &Endpoint,
    found: Result<Option<Caller>, Reason>,
    source: IpAddr,
) -> Result<Caller, Box<Denial>> {
    let unknown = || Box::new(Denial::new(Reason::PermissionMissing));
    let id = |name| state.policy.permission_id(name).ok_or_else(unknown);
    let needed = endpoint.permission.map(id).transpose()?;
    decision::admit(&state.policy, found, source, needed)
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
