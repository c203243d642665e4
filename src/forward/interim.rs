//! Interim responses (1xx) of an upstream, on their way to the client.
//!
//! The HTTP library reads them on the upstream connection's task and tells a callback; whoever waits
//! for the final response takes them from there and hands them on, in order and before it. `100
//! Continue` answers an expectation that is never sent on, so it is told to nobody.

use std::cell::OnceCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use http::{HeaderMap, Request, StatusCode};

use super::body::Upload;
use super::headers;
use crate::connection::line::Line;
use crate::reason::Reason;

/// Most interim responses to one request: a server has a hint or two to give, and one that never
/// comes to the point is no HTTP server.
const INTERIM_MAX: usize = 16;

/// The interim responses of one exchange.
#[derive(Debug, Default)]
pub(super) struct Interims(OnceCell<Arc<Mutex<Heard>>>);

#[derive(Debug, Default)]
struct Heard {
    waiting: Vec<(StatusCode, HeaderMap)>,
    count: usize,
    waker: Option<Waker>,
}

/// What is said of an upstream that says too much before its answer.
pub(super) const TOO_MANY: &str = "too many interim answers before the answer";

impl Interims {
    /// Hears what comes before the response to `message`.
    pub(super) fn listen(&self, message: &mut Request<Upload>) {
        let heard = Arc::clone(self.0.get_or_init(Arc::default));
        hyper::ext::on_informational(message, move |interim| {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.count += 1;
            if heard.count <= INTERIM_MAX && interim.status() != StatusCode::CONTINUE {
                let headers = interim.headers().clone();
                heard.waiting.push((interim.status(), headers));
            }
            if let Some(waker) = heard.waker.take() {
                waker.wake();
            }
        });
    }

    /// Hands on what was heard, and asks to be woken when there is more.
    ///
    /// # Errors
    ///
    /// `upstream_malformed` when there was more than anybody has to say.
    pub(super) fn relay(&self, cx: &mut Context<'_>, line: &Line) -> Result<(), Reason> {
        let Some(heard) = self.0.get() else {
            return Ok(());
        };
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        for (status, mut headers) in heard.waiting.drain(..) {
            headers::relay(&mut headers);
            line.informational(status, &headers);
        }
        if heard.count > INTERIM_MAX {
            return Err(Reason::UpstreamMalformed);
        }
        if heard
            .waker
            .as_ref()
            .is_none_or(|waker| !waker.will_wake(cx.waker()))
        {
            heard.waker = Some(cx.waker().clone());
        }
        Ok(())
    }
}
