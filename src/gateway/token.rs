//! The endpoints that clients ask for tokens, as requests like any other: their bodies are read here, and
//! what they ask for is answered without waiting (see `oauth`). Only what has to be written down is
//! waited for, and that is somebody else's to write.
//!
//! Except for a turn: a token is signed, which takes as long as a forwarded request does, and who
//! asks for one can wait. So a core answers one such request at a time, and before each it lets
//! everything pass that is ready by then. A flood of them queues up among itself, and what is
//! forwarded meanwhile waits for one signature, not for as many as somebody has connections. The
//! queue needs no bound of its own: whoever stands in it holds a connection or a stream, of which
//! there are so many, and a body that has been read anyway.

use bytes::Bytes;
use hyper::Response;
use hyper::body::Incoming;

use super::{Asked, Gateway, Outgoing, outgoing, refuse};
use crate::decision::Denial;
use crate::oauth;
use crate::oauth::revoke::{Ask, Step};
use crate::oauth::token::{Limits, TokenRequest};
use crate::reason::Reason;
use crate::record::{Received, Ticket, Verdict};
use crate::words::{RequestId, UnixTime};

impl Gateway {
    /// The token endpoint.
    pub(super) async fn token(
        &self,
        asked: &Asked<'_>,
        body: Incoming,
        ticket: &mut Ticket,
    ) -> Response<Outgoing> {
        let body = match collect(asked, body, ticket).await {
            Ok(body) => body,
            Err(refused) => return refused,
        };
        // Never closed, so there is always a turn.
        let _turn = self.token_turn.acquire().await;
        tokio::task::yield_now().await;
        // All that may have taken its time; what was revoked meanwhile is revoked.
        let (state, now) = (self.state.snapshot(), self.clock.now());
        let id = ticket.verdict().id;
        let request = self.request(asked, &body, (&id, now));
        let answer = oauth::token::answer(&self.verifier, &state, &self.tokens, &request, now);
        ticket
            .recorder()
            .metrics()
            .token_request(Some("client_credentials"), answer.outcome);
        self.count_guess(asked, answer.was_guess, now);
        let verdict = ticket.verdict();
        verdict.account = answer.account;
        verdict.key = answer.key;
        denied(verdict, answer.reason, answer.hint);
        told_with(verdict, &answer.response);
        answer.response.map(Outgoing::full)
    }

    /// The revocation endpoint.
    pub(super) async fn revoke(
        &self,
        asked: &Asked<'_>,
        body: Incoming,
        ticket: &mut Ticket,
    ) -> Response<Outgoing> {
        let body = match collect(asked, body, ticket).await {
            Ok(body) => body,
            Err(refused) => return refused,
        };
        let turn = self.token_turn.acquire().await;
        tokio::task::yield_now().await;
        let (state, now) = (self.state.snapshot(), self.clock.now());
        let id = ticket.verdict().id;
        let request = self.request(asked, &body, (&id, now));
        let can_keep = self.revocations.can_keep();
        let by = (&*state, &*self.tokens);
        let answer = oauth::revoke::answer(&self.verifier, by, &request, (can_keep, now));
        self.count_guess(asked, answer.was_guess, now);
        let verdict = ticket.verdict();
        verdict.account.clone_from(&answer.account);
        verdict.key = answer.key;
        denied(verdict, answer.reason, answer.hint);
        let (token, ends_at, account) = match (answer.step, answer.account) {
            (Step::TakeBack(token, ends_at), Some(account)) => (token, ends_at, account),
            (Step::Say(response), _) => {
                told_with(verdict, &response);
                return response.map(Outgoing::full);
            }
            (Step::TakeBack(..), None) => {
                denied(verdict, Some(Reason::NotReady), None);
                return oauth::revoke::not_done(&id).map(Outgoing::full);
            }
        };
        // What comes now waits for a disk.
        drop(turn);
        let ask = |done| Ask {
            token,
            ends_at,
            account,
            key: answer.key,
            source: asked.source.address,
            request_id: id,
            done,
        };
        let response = if self.revocations.take_back(ask).await {
            oauth::revoke::done()
        } else {
            denied(verdict, Some(Reason::NotReady), None);
            oauth::revoke::not_done(&id)
        };
        response.map(Outgoing::full)
    }

    /// What a client asks, with what it may ask.
    fn request<'a>(
        &'a self,
        asked: &'a Asked<'_>,
        body: &'a Bytes,
        (id, now): (&'a RequestId, UnixTime),
    ) -> TokenRequest<'a> {
        let failures = asked.connection.listener.limits.failures();
        TokenRequest {
            id,
            method: &asked.parts.method,
            query: asked.parts.uri.query(),
            headers: &asked.parts.headers,
            body,
            source: Some(asked.source.address),
            limits: Some(Limits {
                held: self.throttle.holds(asked.source.address, failures, now),
                rates: &self.rates,
                tells_rates: self.tells_rates,
            }),
        }
    }

    fn count_guess(&self, asked: &Asked<'_>, was_guess: bool, now: UnixTime) {
        if was_guess {
            let failures = asked.connection.listener.limits.failures();
            self.throttle.failed(asked.source.address, failures, now);
        }
    }
}

/// The body, whole.
///
/// # Errors
///
/// The answer instead, if there is none.
async fn collect(
    asked: &Asked<'_>,
    body: Incoming,
    ticket: &mut Ticket,
) -> Result<Bytes, Response<Outgoing>> {
    let limits = &asked.connection.listener.limits;
    match outgoing::collect(body, oauth::token::BODY_BYTES_MAX, limits).await {
        Ok(body) => {
            ticket.verdict().received = Received::Whole(body.len());
            Ok(body)
        }
        Err(reason) => {
            asked.connection.line.ends();
            Err(refuse(Box::new(Denial::new(reason)), ticket))
        }
    }
}

fn denied(verdict: &mut Verdict, reason: Option<Reason>, hint: Option<&'static str>) {
    verdict.denial = reason.map(|reason| {
        Box::new(Denial {
            hint,
            ..Denial::new(reason)
        })
    });
}

/// Notes the status that the answer has in the words of RFC 6749, which is not always its reason's.
fn told_with(verdict: &mut Verdict, response: &Response<Bytes>) {
    if let Some(denial) = &mut verdict.denial {
        denial.told_with = Some(response.status());
    }
}
