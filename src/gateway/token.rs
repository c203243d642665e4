//! The token endpoint, as a request like any other: its body is read here, and what it asks for is
//! answered without waiting (see `oauth`).
//!
//! Except for its turn: a token is signed, which takes as long as a forwarded request does, and who
//! asks for one can wait. So a core answers one token request at a time, and before each it lets
//! everything pass that is ready by then. A flood of them queues up among itself, and what is
//! forwarded meanwhile waits for one signature, not for as many as somebody has connections. The
//! queue needs no bound of its own: whoever stands in it holds a connection or a stream, of which
//! there are so many, and a body that has been read anyway.

use hyper::Response;
use hyper::body::Incoming;

use super::{Asked, Gateway, Outgoing, outgoing, refuse};
use crate::decision::Denial;
use crate::oauth;
use crate::record::{Received, Ticket};

impl Gateway {
    /// The token endpoint.
    pub(super) async fn token(
        &self,
        asked: &Asked<'_>,
        body: Incoming,
        ticket: &mut Ticket,
    ) -> Response<Outgoing> {
        let limit = oauth::token::BODY_BYTES_MAX;
        let (source, limits) = (asked.source.address, &asked.connection.listener.limits);
        let body = match outgoing::collect(body, limit, limits).await {
            Ok(body) => body,
            Err(reason) => {
                asked.connection.line.ends();
                return refuse(Box::new(Denial::new(reason)), ticket);
            }
        };
        ticket.verdict().received = Received::Whole(body.len());
        // Never closed, so there is always a turn.
        let _turn = self.token_turn.acquire().await;
        tokio::task::yield_now().await;
        // All that may have taken its time; what was revoked meanwhile is revoked.
        let (state, now) = (self.state.snapshot(), self.clock.now());
        let failures = limits.failures();
        let id = ticket.verdict().id;
        let asked = oauth::token::TokenRequest {
            id: &id,
            method: &asked.parts.method,
            query: asked.parts.uri.query(),
            headers: &asked.parts.headers,
            body: &body,
            source: Some(source),
            limits: Some(oauth::token::Limits {
                held: self.throttle.holds(source, failures, now),
                rates: &self.rates,
                tells_rates: self.tells_rates,
            }),
        };
        let answer = oauth::token::answer(&self.verifier, &state, &self.tokens, &asked, now);
        ticket
            .recorder()
            .metrics()
            .token_request(Some("client_credentials"), answer.outcome);
        if answer.was_guess {
            self.throttle.failed(source, failures, now);
        }
        let verdict = ticket.verdict();
        verdict.denial = answer.reason.map(|reason| {
            Box::new(Denial {
                hint: answer.hint,
                ..Denial::new(reason)
            })
        });
        verdict.account = answer.account;
        verdict.key = answer.key;
        answer.response.map(Outgoing::full)
    }
}
