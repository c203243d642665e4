//! Upstream connections: one pool an upstream and core, last used first.
//!
//! What a request meets of this crosses no core and takes no lock, as long as a connection rests. A
//! connection goes back only when its response has ended cleanly and its request was sent whole;
//! whatever else happens to it, it is closed, so that no request ever meets the rest of another
//! one's answer.
//!
//! | what | where |
//! |---|---|
//! | addresses, names, health, TLS: shared by all cores | [`upstreams`], [`places`], [`place`], [`resolve`], [`health`], [`ask`], [`tls`] |
//! | how many connections there may be, and who is next | [`slots`], [`turn`] |
//! | a socket; HTTP/1.1 on it; HTTP/2 on it | [`link`], [`wire`] and [`plain`], [`multiplex`] |
//! | when to connect, and where to | [`reach`] |

pub mod ask;
pub mod health;
pub mod link;
mod multiplex;
pub mod place;
pub mod places;
mod plain;
mod reach;
pub mod resolve;
pub mod slots;
pub mod tls;
mod turn;
pub mod upstreams;
mod wire;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::sync::Notify;

use super::body::{Progress, Upload, UploadError};
use super::draft::Draft;
use super::no_answer::NoAnswer;
use crate::reason::Reason;
use crate::settings::Upstream;
pub use link::Io;
use multiplex::{Multiplexes, Stream};
use place::{Busy, Failure, Place};
pub(super) use plain::{Measured, Said};
use reach::Opening;
use slots::Slot;
use turn::{Handed, Hands, Turn};
pub use upstreams::{Shared, Upstreams};
use wire::Wire;

/// Most bytes of a response's head, as for requests: larger ones are a fault of the upstream.
const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;

/// The connections of one core to one upstream.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    /// The upstream's own `Host`.
    host: HeaderValue,
    authority: Authority,
    /// The number of the core among those that share the upstream.
    core: usize,
    resting: RefCell<Vec<Resting>>,
    multiplexes: Multiplexes,
    /// The HTTP/2 connection that is being opened.
    opening: RefCell<Option<Rc<Opening>>>,
    hands: Hands,
    /// Where the last request failed that may be sent again.
    failed_at: RefCell<Option<Arc<Place>>>,
}

/// An HTTP/1.1 connection without a request.
#[derive(Debug)]
struct Resting {
    wire: Wire,
    slot: Slot,
    since: Instant,
}

/// A connection lent to one request, or a stream of one.
#[derive(Debug)]
pub struct Lease {
    pool: Rc<Pool>,
    way: Way,
    reused: bool,
    upload: Sent,
    /// Counts as a request at its place, where there is a choice of places.
    busy: Option<Busy>,
}

/// How far the request has come. What is left of it when the lease is over is not sent.
#[derive(Debug, Default)]
struct Sent(Option<Rc<Progress>>);

impl Drop for Sent {
    fn drop(&mut self) {
        if let Some(progress) = &self.0 {
            progress.abandon();
        }
    }
}

#[derive(Debug)]
enum Way {
    Wire(Wire, Slot),
    Stream(Stream),
}

/// A connection with nothing read or written yet.
#[derive(Debug)]
pub struct Dialed {
    /// Its bytes.
    pub io: Box<dyn Io>,
    /// Where it leads.
    pub(super) place: Arc<Place>,
    /// Counts as a request at its place, where there is a choice of places.
    _busy: Option<Busy>,
    /// Its place among the upstream's connections.
    _slot: Slot,
}

impl Pool {
    /// A pool without connections; `nudge` is told when some of what rests in it is wanted by other
    /// cores, see [`Pool::yield_to_others`].
    ///
    /// # Panics
    ///
    /// Never: the settings check that an authority is one.
    pub fn new(shared: Arc<Shared>, nudge: Arc<Notify>) -> Rc<Self> {
        let authority = &shared.upstream.authority;
        Rc::new(Self {
            host: HeaderValue::from_str(authority)
                .expect("the settings' authority is checked to be visible ASCII"),
            authority: Authority::try_from(authority.as_str())
                .expect("the settings' authority was taken from a URL"),
            core: shared.slots.join(nudge),
            shared,
            resting: RefCell::default(),
            multiplexes: Multiplexes::default(),
            opening: RefCell::default(),
            hands: Hands::default(),
            failed_at: RefCell::default(),
        })
    }

    /// The upstream's own `Host`.
    pub fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// The upstream it leads to.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.shared.upstream
    }

    /// Whether its requests go by HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.shared.upstream.http2
    }

    /// A connection that rested, or a new one; with HTTP/2 a stream of either.
    ///
    /// # Errors
    ///
    /// As [`Pool::connect`].
    pub async fn lease(self: &Rc<Self>) -> Result<Lease, NoAnswer> {
        // On the heap, so that a request which finds a connection does not carry it about.
        if self.is_http2() {
            return Box::pin(self.stream(None)).await;
        }
        let places = &self.shared.places;
        let place = places.are_several().then(|| places.choose(&[])).flatten();
        while let Some(resting) = self.pop(place.as_ref()) {
            if let Ok(lease) = self.revive(resting).await {
                return Ok(lease);
            }
        }
        Box::pin(self.connect_in_turn(place)).await
    }

    /// The connection used last, to `place` if that is said.
    fn pop(&self, place: Option<&Arc<Place>>) -> Option<Resting> {
        let mut resting = self.resting.borrow_mut();
        let last = match place {
            None => resting.pop()?,
            Some(place) => {
                let there = |one: &Resting| Arc::ptr_eq(&one.wire.place, place);
                let last = resting.iter().rposition(there)?;
                resting.remove(last)
            }
        };
        if last.since.elapsed() < self.shared.upstream.idle_timeout && !last.wire.place.is_gone() {
            return Some(last);
        }
        // The last used is too old, so all are; or the name stands for other addresses.
        resting.retain(|one| one.since > last.since && !one.wire.place.is_gone());
        drop(resting);
        drop(last);
        None
    }

    /// A lease of a connection that rested; its place, if it has been closed meanwhile.
    async fn revive(self: &Rc<Self>, resting: Resting) -> Result<Lease, Slot> {
        let Resting { mut wire, slot, .. } = resting;
        // Its last request is over, so this waits for the connection's own task to notice, and for
        // nothing else.
        if !wire.is_ready().await {
            return Err(slot);
        }
        Ok(self.lend(Way::Wire(wire, slot), true))
    }

    fn lend(self: &Rc<Self>, way: Way, reused: bool) -> Lease {
        let several = self.shared.places.are_several();
        let busy = several.then(|| way.place().take_up());
        Lease {
            pool: Rc::clone(self),
            way,
            reused,
            upload: Sent::default(),
            busy,
        }
    }

    /// Closes connections that rested too long. Called now and then by the core that owns the pool.
    pub fn sweep(&self) {
        let limit = self.shared.upstream.idle_timeout;
        self.resting.borrow_mut().retain_mut(|one| {
            one.since.elapsed() < limit && !one.wire.is_closed() && !one.wire.place.is_gone()
        });
        self.multiplexes
            .retain(|one| !one.is_closed() && one.rest().is_none_or(|rest| rest < limit));
    }

    /// Closes connections that rest while somebody on another core waits for one.
    pub fn yield_to_others(&self) {
        while self.shared.slots.waiting() > 0 {
            // What is closed by this goes to whoever waits, so there is one less afterwards.
            let oldest = {
                let mut resting = self.resting.borrow_mut();
                (!resting.is_empty()).then(|| resting.remove(0))
            };
            if oldest.is_none() {
                break;
            }
        }
        if self.shared.slots.waiting() > 0 {
            self.multiplexes.retain(|one| !one.is_idle());
        }
    }

    /// Lets a connection rest, unless somebody waits for one.
    fn rest(&self, resting: Resting) {
        let resting = if self.shared.slots.waiting() > 0 {
            self.hand_on(resting)
        } else {
            Some(resting)
        };
        if let Some(resting) = resting {
            self.resting.borrow_mut().push(resting);
        }
    }
}

impl Way {
    fn place(&self) -> &Arc<Place> {
        match self {
            Self::Wire(wire, _) => &wire.place,
            Self::Stream(stream) => stream.place(),
        }
    }
}

impl Lease {
    /// Whether its connection is one that whoever waits for an answer reads.
    pub fn is_plain(&mut self) -> bool {
        match &mut self.way {
            Way::Wire(wire, _) => wire.plain().is_some(),
            Way::Stream(_) => false,
        }
    }

    /// Sends a request without a body on a connection that is plain. An answer that is not is to be
    /// asked for with [`Lease::send`], as one to a request that went out.
    ///
    /// # Errors
    ///
    /// What the system says, or that the connection is not plain.
    pub(super) async fn ask(
        &mut self,
        draft: &Draft<'_>,
        upload: Rc<Progress>,
    ) -> io::Result<Said> {
        self.upload = Sent(Some(upload));
        let plain = match &mut self.way {
            Way::Wire(wire, _) => wire.plain(),
            Way::Stream(_) => None,
        };
        let Some(plain) = plain else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let said = plain.ask(|head| draft.encode(head)).await;
        match &said {
            Ok(_) => self.way.place().succeeded(),
            Err(error) => self.failed_by(error),
        }
        said
    }

    /// The next part of an answer that [`Lease::ask`] brought.
    pub(super) fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Measured,
    ) -> Poll<io::Result<Option<Bytes>>> {
        let plain = match &mut self.way {
            Way::Wire(wire, _) => wire.plain(),
            Way::Stream(_) => None,
        };
        match plain {
            Some(plain) => plain.poll_part(cx, body),
            None => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Sends a request; if it `went_out` already, waits for its answer and nothing else.
    ///
    /// # Errors
    ///
    /// What hyper says, with the request if not a byte of it was written; what the system says, if the
    /// connection broke before that.
    pub(super) async fn send(
        &mut self,
        request: Request<Upload>,
        upload: Rc<Progress>,
        went_out: bool,
    ) -> io::Result<Result<Response<Incoming>, TrySendError<Request<Upload>>>> {
        upload.take_up();
        self.upload = Sent(Some(upload));
        let sent = match &mut self.way {
            Way::Wire(wire, _) => wire.library().await?.send(request, went_out).await,
            Way::Stream(stream) => stream.send(request).await,
        };
        match &sent {
            Ok(_) => self.way.place().succeeded(),
            Err(error) => self.failed(error.error()),
        }
        Ok(sent)
    }

    fn failed(&self, error: &hyper::Error) {
        let source = std::error::Error::source(error);
        if source.is_some_and(|source| source.is::<UploadError>()) {
            return;
        }
        self.failed_by(error);
    }

    fn failed_by(&self, error: &dyn std::fmt::Display) {
        let place = self.way.place();
        self.pool.failed_at.replace(Some(Arc::clone(place)));
        // That a connection which rested is closed says nothing about whoever closed it.
        if !self.reused {
            place.failed(Failure::Reset, error);
        }
    }

    /// Whether there is reason to believe that another connection does better than this one, if this
    /// one ends before its answer: it has carried a request before, or others at the same time, or
    /// the upstream has other addresses.
    pub fn may_be_stale(&self) -> bool {
        self.reused || self.busy.is_some()
    }

    /// Whether a byte of an answer has come. Not known with HTTP/2, where it says no.
    pub fn has_heard(&self) -> bool {
        match &self.way {
            Way::Wire(wire, _) => wire.has_heard(),
            Way::Stream(_) => false,
        }
    }

    /// Whether a byte of the last request went out, where [`Lease::ask`] sent it.
    pub(super) fn has_said(&mut self) -> bool {
        match &mut self.way {
            Way::Wire(wire, _) => wire.plain().is_none_or(|plain| plain.has_said()),
            Way::Stream(_) => true,
        }
    }

    /// Whether the upstream said that it did not look at the request which ended so: it may be sent
    /// again, whatever its method.
    pub fn was_refused(&self, error: &hyper::Error) -> bool {
        match &self.way {
            Way::Wire(..) => false,
            Way::Stream(stream) => stream.was_refused(error),
        }
    }

    /// Why its request has no answer: `reason`, and `what` went wrong at its address.
    pub(super) fn no_answer(&self, reason: Reason, what: impl Into<String>) -> NoAnswer {
        NoAnswer::because(reason, Some(self.way.place().target()), what)
    }

    /// Whether the upstream took all of the request's body.
    pub fn was_sent_whole(&self) -> bool {
        let upload = self.upload.0.as_ref();
        upload.is_some_and(|upload| upload.is_whole())
    }

    /// Whether the request goes by HTTP/2.
    pub fn is_http2(&self) -> bool {
        matches!(self.way, Way::Stream(_))
    }

    /// Lets the connection rest until the next request; closes it if its request was not sent whole.
    pub fn give_back(self) {
        let whole = self.was_sent_whole();
        let Self { pool, way, .. } = self;
        match way {
            Way::Wire(mut wire, slot) => {
                if whole && !wire.is_closed() && !wire.place.is_gone() {
                    let since = Instant::now();
                    pool.rest(Resting { wire, slot, since });
                }
            }
            Way::Stream(stream) => drop(stream),
        }
    }
}

/// How long between two sweeps of a core's pools.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
