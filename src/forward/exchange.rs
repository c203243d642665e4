//! One request and its response, and once more where that is safe.
//!
//! A request is sent again only when that cannot change what it means: not a byte of it was written,
//! the upstream says it did not look at it, or it asks for the same thing however often it is asked,
//! has no body, and met a connection the upstream had already left. Once, on a new connection, and
//! never after a byte of a response.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request, Response};
use http_body::Body as _;
use tokio::time::{Instant, timeout_at};

use super::body::{Progress, Upload, UploadError};
use super::download::Inflow;
use super::draft::Draft;
use super::interim::{self, Interims};
use super::no_answer::{NoAnswer, of_library, of_system, span};
use super::pool::{Lease, Pool, Said};
use super::streams::Guard;
use crate::connection::line::Line;
use crate::reason::Reason;

/// Sends a request, on a resting connection if there is one, and once more on a new one if that is
/// safe; what comes before the response goes to `line` at once.
pub(super) async fn exchange(
    pool: &Rc<Pool>,
    draft: &Draft<'_>,
    (upload, progress): (Upload, Rc<Progress>),
    waiting: &Waiting<'_>,
) -> Result<(Response<Inflow>, Lease), NoAnswer> {
    let mut lease = {
        let lease = pin!(pool.lease());
        waiting.stand(lease).await?
    };
    let (began, mut went_out) = (Instant::now(), false);
    // Only an answer to HEAD states the length of a body that does not come.
    if *draft.method() != Method::HEAD && upload.is_end_stream() && lease.is_plain() {
        let asked = {
            let work = pin!(lease.ask(draft, Rc::clone(&progress)));
            waiting.wait(work, &progress, began).await
        };
        match asked.map_err(|reason| waiting.no_answer(reason, &lease))? {
            Ok(Said::Answer(response)) => return Ok((response.map(Inflow::Plain), lease)),
            Ok(Said::Other) => went_out = true,
            Err(error) => {
                let unacted = !lease.has_said() || is_idempotent(draft.method());
                let again = unacted && !lease.has_heard() && lease.may_be_stale();
                if !again {
                    return Err(broken(&lease, &error));
                }
                drop(lease);
                return Box::pin(once_more(pool, draft, (upload, progress), waiting)).await;
            }
        }
    }
    // On the heap, so that the common request does not carry it about.
    let lease = (lease, began, went_out);
    Box::pin(by_library(pool, lease, draft, (upload, progress), waiting)).await
}

/// Sends a request the way of the HTTP library, which knows every kind of it; if it `went_out` already,
/// has the library read its answer, for which it has waited since it `began`.
async fn by_library(
    pool: &Rc<Pool>,
    (mut lease, began, went_out): (Lease, Instant, bool),
    draft: &Draft<'_>,
    (upload, progress): (Upload, Rc<Progress>),
    waiting: &Waiting<'_>,
) -> Result<(Response<Inflow>, Lease), NoAnswer> {
    let is_empty = upload.is_end_stream();
    let mut message = draft.request(upload);
    if !lease.is_http2() {
        // The library has no interim responses on HTTP/2.
        waiting.interims.listen(&mut message);
    }
    let sent = {
        // Pinned where it stands: handed on by value it would take its room three times.
        let work = lease.send(message, Rc::clone(&progress), went_out);
        waiting.wait(pin!(work), &progress, began).await
    };
    let sent = sent.map_err(|reason| waiting.no_answer(reason, &lease))?;
    let mut error = match sent.map_err(|error| broken(&lease, &error))? {
        Ok(response) => return Ok((response.map(Inflow::Library), lease)),
        Err(error) => error,
    };
    let failed = failed(&lease, &progress, error.error());
    let unsent = error.take_message().map(Request::into_body);
    // What an upstream refuses to look at may be sent again whatever it is. Who has begun to answer has
    // acted on the request.
    let unacted = lease.was_refused(error.error())
        || (!lease.has_heard()
            && left_before_answer(error.error())
            && is_idempotent(draft.method()));
    let upload = unsent.or_else(|| (is_empty && unacted).then(Upload::empty));
    let upload = upload.filter(|_| lease.may_be_stale() && !went_out);
    drop(lease);
    match upload {
        Some(upload) => once_more(pool, draft, (upload, progress), waiting).await,
        None => Err(failed),
    }
}

/// Sends a request on a new connection, for the last time.
async fn once_more(
    pool: &Rc<Pool>,
    draft: &Draft<'_>,
    (upload, progress): (Upload, Rc<Progress>),
    waiting: &Waiting<'_>,
) -> Result<(Response<Inflow>, Lease), NoAnswer> {
    let mut message = draft.request(upload);
    waiting.interims.listen(&mut message);
    let mut lease = waiting.stand(Box::pin(pool.connect())).await?;
    let sent = {
        let work = lease.send(message, Rc::clone(&progress), false);
        waiting.wait(pin!(work), &progress, Instant::now()).await
    };
    let sent = sent.map_err(|reason| waiting.no_answer(reason, &lease))?;
    match sent.map_err(|error| broken(&lease, &error))? {
        Ok(response) => Ok((response.map(Inflow::Library), lease)),
        Err(error) => Err(failed(&lease, &progress, error.error())),
    }
}

/// Why there is no answer where the system knows.
fn broken(lease: &Lease, error: &io::Error) -> NoAnswer {
    lease.no_answer(Reason::UpstreamReset, of_system(error))
}

/// Why the request that `lease` was for has no answer.
fn failed(lease: &Lease, progress: &Progress, error: &hyper::Error) -> NoAnswer {
    let reason = progress.broke().unwrap_or_else(|| why(error));
    if is_upstreams(reason) {
        return lease.no_answer(reason, of_library(error));
    }
    reason.into()
}

/// How many beats a wait lasts at least that is measured by them: it ends a beat late, which then is
/// little.
const BEATS_LEAST: u32 = 10;

/// How long either side may keep the other one waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the head of a response, from the moment the last part of the request went out.
    pub(super) upstream: Duration,
    /// For the next part of a request's body.
    pub(super) client: Duration,
}

/// What there is to do until a response comes.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    pub(super) patience: Patience,
    pub(super) line: &'a Line,
    pub(super) interims: Interims,
    pub(super) guard: &'a dyn Guard,
}

impl Waiting<'_> {
    /// Waits for a connection, for as long as the request may go on waiting.
    pub(super) async fn stand<T>(
        &self,
        mut work: impl Future<Output = Result<T, NoAnswer>> + Unpin,
    ) -> Result<T, NoAnswer> {
        poll_fn(|cx| {
            let done = Pin::new(&mut work).poll(cx);
            if done.is_pending() {
                self.guard.check(cx)?;
            }
            done
        })
        .await
    }

    /// Why the request that `lease` is for has no answer, if the upstream is to blame for that.
    fn no_answer(&self, reason: Reason, lease: &Lease) -> NoAnswer {
        if reason == Reason::UpstreamTimeout {
            return lease.no_answer(reason, self.too_late());
        }
        if reason == Reason::UpstreamMalformed {
            return lease.no_answer(reason, interim::TOO_MANY);
        }
        reason.into()
    }

    /// What is said of an upstream that did not answer in time.
    pub(super) fn too_late(&self) -> String {
        format!(
            "no answer within {} (`timeout`)",
            span(self.patience.upstream)
        )
    }

    /// Waits for `work` as long as the body moves, however long that takes in all: a long upload is
    /// not a slow upstream. Whoever is woken at every beat looks at the clock then, and needs no timer
    /// of his own, unless a beat is much to him. The time runs from when it `began`.
    pub(super) async fn wait<T>(
        &self,
        work: impl Future<Output = T>,
        body: &Progress,
        began: Instant,
    ) -> Result<T, Reason> {
        let work = pin!(work);
        let least = self.patience.client.min(self.patience.upstream);
        if self
            .guard
            .beat()
            .is_some_and(|beat| beat * BEATS_LEAST <= least)
        {
            return self.wait_by_beats(work, body, began).await;
        }
        self.wait_by_timer(work, body, began).await
    }

    async fn wait_by_beats<T>(
        &self,
        mut work: Pin<&mut impl Future<Output = T>>,
        body: &Progress,
        began: Instant,
    ) -> Result<T, Reason> {
        let mut waits = false;
        poll_fn(|cx| {
            let step = self.step(work.as_mut(), cx);
            // Most are answered before they are woken in vain, and ask for no time.
            if step.is_pending() && std::mem::replace(&mut waits, true) {
                let now = Instant::now();
                let (limit, reason) = self.limit(body, began);
                if limit <= now {
                    return Poll::Ready(Err(reason));
                }
            }
            step
        })
        .await
    }

    async fn wait_by_timer<T>(
        &self,
        mut work: Pin<&mut impl Future<Output = T>>,
        body: &Progress,
        began: Instant,
    ) -> Result<T, Reason> {
        loop {
            let now = Instant::now();
            let (limit, reason) = self.limit(body, began);
            if limit <= now {
                return Err(reason);
            }
            // The body may begin to starve at any time, which only the next look finds out.
            let since = body.moved().max(began);
            let sooner = since + self.patience.client.min(self.patience.upstream);
            let look = if sooner > now { sooner } else { limit };
            let step = poll_fn(|cx| self.step(work.as_mut(), cx));
            if let Ok(done) = timeout_at(look, step).await {
                return done;
            }
        }
    }

    /// Until when it is waited, by one who `began` then, and what it is called if that is too long.
    fn limit(&self, body: &Progress, began: Instant) -> (Instant, Reason) {
        let since = body.moved().max(began);
        if body.is_starved() {
            (since + self.patience.client, Reason::RequestTimeout)
        } else {
            (since + self.patience.upstream, Reason::UpstreamTimeout)
        }
    }

    fn step<T>(
        &self,
        work: Pin<&mut impl Future<Output = T>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, Reason>> {
        // First, because the work is what sends the request: what was taken back while it stood in
        // line does not begin.
        self.guard.check(cx)?;
        let done = work.poll(cx);
        // What was said before the response is told before it.
        self.interims.relay(cx, self.line)?;
        done.map(Ok)
    }
}

/// Whether asking twice is asking once (RFC 9110 §9.2.2).
fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS
    )
}

/// The upstream closed the connection and had sent nothing.
fn left_before_answer(error: &hyper::Error) -> bool {
    error.is_canceled() || error.is_closed() || error.is_incomplete_message() || is_io(error)
}

fn is_io(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error);
    let of_stream = |error: &h2::Error| error.is_io();
    source.is_some_and(|source| {
        source.is::<io::Error>() || source.downcast_ref().is_some_and(of_stream)
    })
}

/// Whether the upstream is to blame, and not the client's body.
pub(super) fn is_upstreams(reason: Reason) -> bool {
    matches!(reason, Reason::UpstreamReset | Reason::UpstreamMalformed)
}

/// The reason for a failed exchange, as the caller is told it, if the client's body is not to blame.
pub(super) fn why(error: &hyper::Error) -> Reason {
    let source = std::error::Error::source(error);
    if let Some(upload) = source.and_then(|source| source.downcast_ref::<UploadError>()) {
        return match upload {
            UploadError::TooLarge => Reason::BodyTooLarge,
            UploadError::Refused(reason) => *reason,
            UploadError::Client(_) | UploadError::Abandoned => Reason::RequestMalformed,
        };
    }
    // What our side of HTTP/2 put an end to was no HTTP/2.
    let of_stream = |error: &h2::Error| error.is_library();
    let no_http2 = source.and_then(|source| source.downcast_ref());
    if error.is_parse() || no_http2.is_some_and(of_stream) {
        return Reason::UpstreamMalformed;
    }
    Reason::UpstreamReset
}

#[cfg(test)]
mod tests {
    use std::cell::OnceCell;

    use http_body_util::Empty;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::directory::Changes;
    use crate::forward::streams::{Seat, Streams};

    /// Lets nobody go on.
    #[derive(Debug)]
    struct Never;

    impl Guard for Never {
        fn check(&self, _: &Context<'_>) -> Result<(), Reason> {
            Err(Reason::KeyRevoked)
        }
    }

    /// B38: between the line and the wire nothing is waited for, and it may be taken back all the same.
    #[tokio::test]
    async fn what_may_not_go_on_is_not_begun() {
        let waiting = Waiting {
            patience: Patience {
                upstream: Duration::from_secs(1),
                client: Duration::from_secs(1),
            },
            line: &Line::new(CancellationToken::new()),
            interims: Interims::default(),
            guard: &Never,
        };
        let progress = Progress::of(&Empty::<bytes::Bytes>::new(), std::time::Instant::now());
        let mut begun = false;
        let work = async { begun = true };
        assert_eq!(
            waiting.wait(work, &progress, Instant::now()).await,
            Err(Reason::KeyRevoked)
        );
        assert!(!begun);
    }

    /// What has waited in one way goes on waiting in another, and not anew.
    #[tokio::test(start_paused = true)]
    async fn the_time_for_an_answer_runs_from_its_request_however_it_is_read() {
        let second = Duration::from_secs(1);
        for beat in [None, Some(second)] {
            let streams = Streams::new(Duration::from_secs(4));
            let guard = Patient {
                beat,
                streams: Rc::clone(&streams),
                seat: OnceCell::new(),
            };
            let waiting = Waiting {
                patience: Patience {
                    upstream: 30 * second,
                    client: 30 * second,
                },
                line: &Line::new(CancellationToken::new()),
                interims: Interims::default(),
                guard: &guard,
            };
            let began = Instant::now();
            tokio::time::advance(20 * second).await;
            let (_keep, changes) = tokio::sync::watch::channel(Changes::default());
            let body = Progress::of(&Empty::<bytes::Bytes>::new(), began.into_std());
            let waited = tokio::select! {
                waited = waiting.wait(std::future::pending::<()>(), &body, began) => waited,
                () = streams.run(changes, |_| false) => Ok(()),
            };
            assert_eq!(waited, Err(Reason::UpstreamTimeout));
            assert!(
                began.elapsed() <= 32 * second,
                "{beat:?}: {:?}",
                began.elapsed()
            );
        }
    }

    /// Lets everybody go on, and has them woken at every beat if there is one.
    #[derive(Debug)]
    struct Patient {
        beat: Option<Duration>,
        streams: Rc<Streams>,
        seat: OnceCell<Seat>,
    }

    impl Guard for Patient {
        fn check(&self, cx: &Context<'_>) -> Result<(), Reason> {
            let seat = self.seat.get_or_init(|| self.streams.sit(cx.waker(), None));
            seat.renew(cx.waker());
            Ok(())
        }

        fn beat(&self) -> Option<Duration> {
            self.beat
        }
    }
}
