//! `POST /oauth/revoke`: a client gives back a token of its own (RFC 7009).
//!
//! Who asks is found out as at the token endpoint. A token that is none, or no longer good, is as good as
//! given back, and so is one given back before: 200. One of another account is not the client's to give
//! back, and it is told so (2.1).
//!
//! Deciding waits for nothing, like everything on the cores. Writing it down does, so that is left to
//! [`Revocations`]: a queue to the control plane, which answers when the token is refused everywhere.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use tokio::sync::{mpsc, oneshot};

use super::token::{self, Client, Desk, Refusal, TokenRequest};
use crate::directory::State;
use crate::reason::Reason;
use crate::settings::Tokens;
use crate::verify::{Verifier, is_guess};
use crate::words::{Account, KeyId, RequestId, TokenId, UnixTime};

/// Where the revocation endpoint is.
pub const PATH: &str = "/oauth/revoke";

/// Most revocations of clients that wait to be written, and most that are written together. A client
/// that finds more before it is told to try again.
pub const WAITING_MAX: usize = 64;

/// What is to be done, and what the log should say about it.
#[derive(Debug)]
pub struct Answer {
    /// What is to be done.
    pub step: Step,
    /// Why nothing is.
    pub reason: Option<Reason>,
    /// What exactly is wrong with the request, where the reason does not say it all.
    pub hint: Option<&'static str>,
    /// Who asked; only if the secret was right.
    pub account: Option<Arc<Account>>,
    /// The key that was shown, whether or not there is such a key.
    pub key: Option<KeyId>,
    /// Whether it was tried with a credential that nobody here has ever had.
    pub was_guess: bool,
}

/// What is to be done.
#[derive(Debug)]
pub enum Step {
    /// To give this answer.
    Say(Response<Bytes>),
    /// To take back this token, which would run out then, and then to say so.
    TakeBack(TokenId, UnixTime),
}

/// Works out what a request for a revocation asks for. `can_keep` says whether there is a store to write
/// it into.
pub fn answer(
    verifier: &Verifier,
    (state, tokens): (&State, &Tokens),
    request: &TokenRequest<'_>,
    (can_keep, now): (bool, UnixTime),
) -> Answer {
    let desk = Desk {
        verifier,
        state,
        tokens,
        now,
    };
    let mut client = Client::default();
    let asked = wanted(&desk, request, can_keep, &mut client);
    let refusal = asked.as_ref().err().copied();
    let step = match asked {
        Ok(Some((token, ends_at))) => Step::TakeBack(token, ends_at),
        Ok(None) => Step::Say(done()),
        Err(refusal) => Step::Say(refusal.response(request.id)),
    };
    let reason = refusal.map(Refusal::reason);
    Answer {
        step,
        reason,
        hint: refusal.and_then(Refusal::hint),
        account: client.account,
        key: client.key,
        was_guess: reason.is_some_and(is_guess),
    }
}

/// The token to take back and when it would run out, or none if there is nothing to do.
fn wanted(
    desk: &Desk<'_>,
    request: &TokenRequest<'_>,
    can_keep: bool,
    client: &mut Client,
) -> Result<Option<(TokenId, UnixTime)>, Refusal> {
    let form = token::form(request)?;
    let key = desk.authenticate(request, &form, client)?;
    desk.admit(request, key)?;
    let missing = Refusal::Request("the parameter token is missing");
    let token = form.token.as_ref().ok_or(missing)?;
    // For whichever door of ours it was made.
    let Ok(identity) = desk.verifier.identity_for(token, desk.state, |_| true) else {
        return Ok(None);
    };
    if identity.account != key.account.id {
        return Err(Refusal::NotYours);
    }
    let over = identity.covers(desk.now) == Err(Reason::TokenExpired);
    if over || desk.state.directory.is_revoked(&identity.id) {
        return Ok(None);
    }
    if !can_keep {
        return Err(Refusal::Unkept);
    }
    Ok(Some((identity.id, identity.expires_at)))
}

/// The token is good for nothing.
pub fn done() -> Response<Bytes> {
    token::empty()
}

/// It could not be written down, and so has not happened.
pub fn not_done(id: &RequestId) -> Response<Bytes> {
    Refusal::Unwritten.response(id)
}

/// A token to take back, on its way to where that is written.
#[derive(Debug)]
pub struct Ask {
    /// The token.
    pub token: TokenId,
    /// When it would run out by itself.
    pub ends_at: UnixTime,
    /// Whose it is, and who asks.
    pub account: Arc<Account>,
    /// The key that was shown.
    pub key: Option<KeyId>,
    /// Where it is asked from.
    pub source: IpAddr,
    /// The request.
    pub request_id: RequestId,
    /// Told whether it is done.
    pub done: oneshot::Sender<bool>,
}

/// Where tokens are taken back; nowhere, without a store.
#[derive(Clone, Debug, Default)]
pub struct Revocations(Option<mpsc::Sender<Ask>>);

impl Revocations {
    /// A queue, and its other end.
    pub fn new() -> (Self, mpsc::Receiver<Ask>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(Some(sender)), receiver)
    }

    /// Whether there is a store to write them into.
    pub fn can_keep(&self) -> bool {
        self.0.is_some()
    }

    /// Takes a token back, and says whether that is done: when it is, the token is refused.
    pub async fn take_back(&self, ask: impl FnOnce(oneshot::Sender<bool>) -> Ask) -> bool {
        let (done, told) = oneshot::channel();
        let Some(queue) = &self.0 else {
            return false;
        };
        // Whoever finds the queue full is told at once; a wait would only make it longer.
        queue.try_send(ask(done)).is_ok() && told.await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use http::header::{AUTHORIZATION, CONTENT_TYPE};
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;
    use crate::verify::world::{START, World};

    /// What the revocation endpoint makes of a body sent by an account's key.
    fn ask(world: &World, account: &str, body: &str, can_keep: bool) -> Answer {
        let (id, secret) = &world.keys[account];
        let basic = STANDARD.encode(format!("{id}:{}", secret.reveal()));
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Basic {basic}").parse().unwrap());
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
        let id = "019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70".parse().unwrap();
        let request = TokenRequest {
            id: &id,
            method: &Method::POST,
            query: None,
            headers: &headers,
            body: body.as_bytes(),
            source: None,
            limits: None,
        };
        let state = world.state();
        let (state, tokens) = (&state, &world.tokens);
        answer(
            &world.verifier,
            (state, tokens),
            &request,
            (can_keep, START),
        )
    }

    fn told(answer: &Answer) -> (u16, String) {
        let Step::Say(response) = &answer.step else {
            return (0, "take it back".to_owned());
        };
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let error = body["error"].as_str().unwrap_or_default().to_owned();
        (response.status().as_u16(), error)
    }

    #[test]
    fn a_client_gives_back_what_is_its_own_and_nothing_else() {
        let mut world = World::new();
        let own = world.token("ci", None);
        let issued = world.issued("ci");
        let theirs = world.token("far", None);
        world.give("poor", crate::words::Secret::random());
        let rows = [
            (format!("token={own}"), 0, "take it back"),
            (
                format!("token={own}&token_type_hint=refresh_token"),
                0,
                "take it back",
            ),
            (format!("token={issued}"), 0, "take it back"),
            (format!("token={theirs}"), 400, "unauthorized_client"),
            (format!("token={own}x"), 200, ""),
            ("token=junk".to_owned(), 200, ""),
            ("token=".to_owned(), 400, "invalid_request"),
            (String::new(), 400, "invalid_request"),
            (format!("token={own}&token={own}"), 400, "invalid_request"),
        ];
        for (body, status, error) in rows {
            let answer = ask(&world, "ci", &body, true);
            assert_eq!(told(&answer), (status, error.to_owned()), "{body}");
            // What is no form at all is refused before anybody is asked who he is.
            let is_form = body.matches("token=").count() < 2;
            assert_eq!(answer.account.is_some(), is_form, "{body}");
        }
        let unkept = ask(&world, "ci", &format!("token={own}"), false);
        assert_eq!(told(&unkept), (400, "unsupported_token_type".to_owned()));
        let refused = ask(&world, "off", &format!("token={own}"), true);
        assert_eq!(told(&refused), (401, "invalid_client".to_owned()));
        assert_eq!(refused.reason, Some(Reason::AccountDisabled));
    }
}
