//! `POST /oauth/token`: a key in, a token out (RFC 6749, sections 4.4 and 5).
//!
//! The answer to a given request, state and instant is a pure function; reading the body and writing
//! the log are the caller's. What is wrong with a request is said in the words of the RFC and in
//! sentences that stand in `refusal`, never in what the request said. Why a client is refused is not
//! said at all: unknown, expired, switched off and calling from elsewhere read the same, and the true
//! reason goes into [`TokenAnswer::reason`] for the log.

mod form;
mod refusal;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use serde::Serialize;

pub(super) use form::form;
use form::{Form, Shown, credential, read};
use refusal::json;
pub(super) use refusal::{Refusal, empty};

use super::mint::{MintError, MintRequest, joined, mint};
use crate::credential::Credential;
use crate::decision::Limited;
use crate::directory::{Key, State};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::settings::Tokens;
use crate::throttle::Rates;
use crate::verify::{Verifier, is_guess, touch};
use crate::words::{Account, KeyId, Permission, PermissionSet, RequestId, TokenId, UnixTime};

/// Where the token endpoint is.
pub const PATH: &str = "/oauth/token";

/// Longest body of a token request, in bytes: a key takes 86 and a scope may name some hundred
/// permissions. Whoever reads the body stops there.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// A request to the token endpoint.
#[derive(Debug)]
pub struct TokenRequest<'a> {
    /// Its id, which a refusal names.
    pub id: &'a RequestId,
    /// Its method.
    pub method: &'a Method,
    /// What stands behind `?`, if anything does.
    pub query: Option<&'a str>,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, whole.
    pub body: &'a [u8],
    /// Where it comes from; if nobody knows, addresses are not looked at.
    pub source: Option<IpAddr>,
    /// How often it may be asked for; without it, as often as anybody likes.
    pub limits: Option<Limits<'a>>,
}

/// How often a token may be asked for.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// How long nothing new is verified for the source, if it is throttled. A key that has been used
    /// before gets its token all the same.
    pub held: Option<Duration>,
    /// How often accounts have asked.
    pub rates: &'a Rates,
    /// Whether who asks too often is told how often it may be.
    pub tells_rates: bool,
}

/// The answer, and what the log should say about it.
#[derive(Debug)]
pub struct TokenAnswer {
    /// The answer.
    pub response: Response<Bytes>,
    /// `issued`, or the error code of the answer.
    pub outcome: &'static str,
    /// Why there is no token, in full.
    pub reason: Option<Reason>,
    /// What exactly is wrong with the request, where the reason does not say it all.
    pub hint: Option<&'static str>,
    /// Who asked; only if the secret was right.
    pub account: Option<Arc<Account>>,
    /// Whether it was tried with a credential that nobody here has ever had.
    pub was_guess: bool,
    /// The key that was shown, whether or not there is such a key.
    pub key: Option<KeyId>,
}

/// Answers a token request.
pub fn answer(
    verifier: &Verifier,
    state: &State,
    tokens: &Tokens,
    request: &TokenRequest<'_>,
    now: UnixTime,
) -> TokenAnswer {
    let desk = Desk {
        verifier,
        state,
        tokens,
        now,
    };
    let mut client = Client::default();
    let issued = read(request).and_then(|form| {
        let key = desk.authenticate(request, &form, &mut client)?;
        desk.admit(request, key)?;
        desk.issue(key, &form, request.source)
    });
    if let (Ok(issued), Some(_)) = (&issued, request.limits.and_then(|limits| limits.held)) {
        // From a source of which nothing new is verified it would be good for nothing.
        let token = Credential::Bearer(&issued.access_token);
        let _ = verifier.verify(&token, state, (now, request.source));
    }
    let refusal = issued.as_ref().err().copied();
    let reason = refusal.map(Refusal::reason);
    let response = match issued {
        Ok(issued) => issued.response(),
        Err(refusal) => refusal.response(request.id),
    };
    TokenAnswer {
        response,
        outcome: refusal.map_or("issued", Refusal::error),
        reason,
        hint: refusal.and_then(Refusal::hint),
        was_guess: reason.is_some_and(is_guess),
        account: client.account,
        key: client.key,
    }
}

/// Who asks, as far as it is known.
#[derive(Default)]
pub(super) struct Client {
    pub(super) key: Option<KeyId>,
    pub(super) account: Option<Arc<Account>>,
}

/// What every step needs.
pub(super) struct Desk<'s> {
    pub(super) verifier: &'s Verifier,
    pub(super) state: &'s State,
    pub(super) tokens: &'s Tokens,
    pub(super) now: UnixTime,
}

impl<'s> Desk<'s> {
    /// The key that was shown, if it and its account are good and may be used from here.
    pub(super) fn authenticate(
        &self,
        request: &TokenRequest<'_>,
        form: &Form,
        client: &mut Client,
    ) -> Result<&'s Key, Refusal> {
        let held = request.limits.and_then(|limits| limits.held);
        let Shown { id, secret, plain } =
            credential(request.headers, form).map_err(|refusal| refusal.held(held))?;
        client.key = Some(id);
        let look = |secret| match held {
            Some(_) => self.verifier.key_in_use(&id, secret, self.state, self.now),
            None => self.verifier.key(&id, secret, self.state, self.now),
        };
        let is_none = |found: &Result<_, Reason>| {
            matches!(found, Err(Reason::KeyUnknown | Reason::SourceThrottled))
        };
        let found = match (look(&secret), &plain) {
            (found, Some(plain)) if is_none(&found) => look(plain),
            (found, _) => found,
        };
        if !is_none(&found) {
            let key = self.state.directory.key(&id);
            client.account = key.map(|key| Arc::clone(&key.account));
        }
        let key = found.map_err(|reason| Refusal::Client(reason).held_if_new(held))?;
        if !key.account.enabled {
            return Err(Refusal::Client(Reason::AccountDisabled));
        }
        let admitted = |source| {
            let own = key.addresses.as_ref();
            key.account.addresses.admit(source) && own.is_none_or(|rules| rules.admit(source))
        };
        if !request.source.is_none_or(admitted) {
            return Err(Refusal::Client(Reason::AddressNotAllowed));
        }
        Ok(key)
    }

    /// Whether the account may have another token so soon. Asked before anything is signed.
    pub(super) fn admit(&self, request: &TokenRequest<'_>, key: &Key) -> Result<(), Refusal> {
        let Some(limits) = request.limits else {
            return Ok(());
        };
        let admitted = limits.rates.admit_token(&key.account, self.now);
        admitted.map_err(|over| {
            let quota = (over.whose.name(), over.rate);
            let limited = Limited {
                wait: over.wait,
                quota: limits.tells_rates.then_some(quota),
            };
            Refusal::TooOften(limited, Reason::RateLimited)
        })
    }

    /// A token is for one audience, and whoever names another one (RFC 8707) is told so rather than
    /// given a token that is not for it.
    fn is_for_us(&self, form: &Form) -> Result<(), Refusal> {
        match &form.resource {
            Some(resource) if *resource != self.tokens.audience => Err(Refusal::Resource),
            Some(_) | None => Ok(()),
        }
    }

    fn issue(&self, key: &Key, form: &Form, source: Option<IpAddr>) -> Result<Issued, Refusal> {
        let scope = form.scope.as_deref();
        self.is_for_us(form)?;
        let policy = &self.state.policy;
        let worth = worth(key);
        let asked = match scope {
            Some(scope) => Some(narrowed(policy, &worth, scope)?),
            None => None,
        };
        let given = asked.as_ref().unwrap_or(&worth);
        let names: Vec<Permission> = given
            .iter()
            .map(|id| policy.permission(id).clone())
            .collect();
        let request = MintRequest {
            id: TokenId::random(),
            account: &key.account,
            key: Some(key.id),
            scope: asked.is_some().then_some(&*names),
            lifetime: lifetime(key, self.tokens, (form.lifetime, self.now)),
        };
        let signer = self.state.directory.signing().current();
        let token = mint(signer, self.tokens, request, self.now);
        touch(key, self.now, source);
        Ok(Issued {
            access_token: token.map_err(|error| refusal(&error))?,
            token_type: "Bearer",
            expires_in: request.lifetime.as_secs(),
            scope: joined(&names),
        })
    }
}

/// The token made, and what stands beside it in the answer.
#[derive(Serialize)]
struct Issued {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    scope: String,
}

impl Issued {
    fn response(&self) -> Response<Bytes> {
        json(StatusCode::OK, self)
    }
}

/// A token outlives its key on paper only, so the paper says when it really ends.
/// Who asks for less gets less; who asks for more gets what there is.
fn lifetime(key: &Key, tokens: &Tokens, (asked, now): (Option<Duration>, UnixTime)) -> Duration {
    let most = asked.unwrap_or(tokens.lifetime).min(tokens.lifetime);
    let rest = key.expires_at.map(|end| end.since(now));
    rest.map_or(most, |rest| rest.min(most))
}

fn refusal(error: &MintError) -> Refusal {
    match error {
        MintError::TooLong { .. } => Refusal::Scope(
            "the scope makes the token too long, ask for fewer permissions",
            Reason::RequestMalformed,
        ),
        MintError::NoSigningKey | MintError::Signing => Refusal::NotReady,
    }
}

/// Everything a token from this key may do somewhere.
fn worth(key: &Key) -> PermissionSet {
    let mut held = PermissionSet::default();
    for holding in &key.account.holdings {
        held.extend(&holding.permissions);
    }
    match &key.subset {
        Some(subset) => held.iter().filter(|id| subset.contains(*id)).collect(),
        None => held,
    }
}

/// The permissions a scope names. All of them, or none: what was not asked for in vain is not
/// quietly left out.
fn narrowed(policy: &Policy, worth: &PermissionSet, scope: &str) -> Result<PermissionSet, Refusal> {
    let one = |name: &str| {
        let permission: Permission = name.parse().map_err(|_| {
            Refusal::Scope(
                "a scope is names of permissions with one space between",
                Reason::RequestMalformed,
            )
        })?;
        let id = policy.permission_id(permission.as_str());
        id.filter(|id| worth.contains(*id)).ok_or(Refusal::Scope(
            "the scope names a permission this client does not have",
            Reason::PermissionMissing,
        ))
    };
    scope.split(' ').map(one).collect()
}

#[cfg(test)]
mod tests;
