//! Opening connections: when, and to which address.
//!
//! One that fails is followed by one other address, if there is one. Both together take no longer
//! than the upstream's time for connecting: while there is another address to try, the first has
//! half of it.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::link::{Link, LinkError};
use super::multiplex::{Multiplex, STREAMS_MAX};
use super::place::{Failure, Place};
use super::slots::Slot;
use super::tls::Speaks;
use super::wire::Wire;
use super::{Dialed, Handed, Lease, Pool, Turn, Way};
use crate::forward::no_answer::{NoAnswer, of_system, span};
use crate::reason::Reason;

/// Most addresses tried for one connection. Who finds two of them dead waits for the pool to learn
/// that, and not for the rest of the list.
const ATTEMPTS_MAX: usize = 2;

/// An HTTP/2 connection that is being opened, and those who wait for it.
#[derive(Debug, Default)]
pub(super) struct Opening {
    waiting: Cell<usize>,
    failed: RefCell<Option<NoAnswer>>,
    over: Cell<bool>,
    done: Notify,
}

/// Where a new connection should lead.
#[derive(Debug, Default)]
struct Wanted {
    /// There first.
    place: Option<Arc<Place>>,
    /// Not there, if there is a choice.
    tried: Vec<Arc<Place>>,
}

impl Wanted {
    fn elsewhere_than(failed_at: Option<Arc<Place>>) -> Self {
        Self {
            place: None,
            tried: failed_at.into_iter().collect(),
        }
    }
}

impl Pool {
    /// A new connection, elsewhere than where the last request failed if there is an elsewhere.
    ///
    /// # Errors
    ///
    /// `upstream_overloaded` when the upstream has all the connections it may have and none becomes
    /// free in time, `upstream_unreachable` when it cannot be connected to, `upstream_timeout` when
    /// that takes too long.
    pub async fn connect(self: &Rc<Self>) -> Result<Lease, NoAnswer> {
        let failed_at = self.failed_at.take();
        if self.is_http2() {
            return self.stream(failed_at).await;
        }
        let slot = self.slot().await?;
        self.wire(slot, Wanted::elsewhere_than(failed_at)).await
    }

    /// A fresh HTTP/1.1 connection of which nothing has been read or written: for a request that
    /// may turn it into a tunnel. It counts as one of the upstream's connections while the
    /// [`Dialed`] lives.
    ///
    /// # Errors
    ///
    /// As [`Pool::connect`].
    pub async fn dial(self: &Rc<Self>) -> Result<Dialed, NoAnswer> {
        let slot = self.slot().await?;
        let (link, place) = self
            .reach(Wanted::default(), Speaks::Http1, async |link, place| {
                Ok((link, place))
            })
            .await?;
        Ok(Dialed {
            io: Box::new(link),
            _busy: self.shared.places.are_several().then(|| place.take_up()),
            place,
            _slot: slot,
        })
    }

    /// A new connection as soon as there is a place for it, to `place` if that is said, or one that
    /// was handed on meanwhile.
    pub(super) async fn connect_in_turn(
        self: &Rc<Self>,
        place: Option<Arc<Place>>,
    ) -> Result<Lease, NoAnswer> {
        let slot = match self.shared.slots.take() {
            Some(slot) => slot,
            None => match self.turn_or_resting(self.queue_ends()).await? {
                Turn::Slot(slot) => slot,
                Turn::Handed(Handed::Stream(stream)) => {
                    return Ok(self.lend(Way::Stream(stream), true));
                }
                Turn::Handed(Handed::Wire(resting)) => match self.revive(resting).await {
                    Ok(lease) => return Ok(lease),
                    Err(slot) => slot,
                },
            },
        };
        self.wire(
            slot,
            Wanted {
                place,
                tried: Vec::new(),
            },
        )
        .await
    }

    /// A place for a new connection. A connection that is handed on gives up its own.
    async fn slot(self: &Rc<Self>) -> Result<Slot, NoAnswer> {
        let ends = self.queue_ends();
        loop {
            if let Some(slot) = self.shared.slots.take() {
                return Ok(slot);
            }
            match self.turn_or_resting(ends).await? {
                Turn::Slot(slot) => return Ok(slot),
                Turn::Handed(Handed::Wire(resting)) => return Ok(resting.slot),
                // Of no use to who wants a connection of his own; it goes on to the next in line.
                Turn::Handed(Handed::Stream(stream)) => drop(stream),
            }
        }
    }

    fn queue_ends(&self) -> Instant {
        Instant::now() + self.shared.upstream.queue_timeout
    }

    /// What rests in this pool, to whatever address, or else what a turn brings.
    async fn turn_or_resting(self: &Rc<Self>, ends: Instant) -> Result<Turn, NoAnswer> {
        let resting = self.resting.borrow_mut().pop();
        if let Some(resting) = resting {
            return Ok(Turn::Handed(Handed::Wire(resting)));
        }
        loop {
            if let Some(turn) = self.turn(true, ends).await? {
                return Ok(turn);
            }
        }
    }

    async fn wire(self: &Rc<Self>, slot: Slot, wanted: Wanted) -> Result<Lease, NoAnswer> {
        let wire = self.reach(wanted, Speaks::Http1, async |link, place| {
            Ok(Wire::open(link, place))
        });
        let wire = wire.await?;
        Ok(self.lend(Way::Wire(wire, slot), false))
    }

    /// Connects to one address, or to another if that fails; makes of the link what `made` does.
    async fn reach<T>(
        &self,
        wanted: Wanted,
        speaks: Speaks,
        made: impl AsyncFn(Link, Arc<Place>) -> io::Result<T>,
    ) -> Result<T, NoAnswer> {
        let places = &self.shared.places;
        let ends = Instant::now() + self.shared.upstream.connect_timeout;
        if timeout_at(ends, places.looked_up()).await.is_err() {
            return Err(self.not_looked_up());
        }
        let several = places.are_several();
        let Wanted {
            mut place,
            mut tried,
        } = wanted;
        tried.retain(|_| several);
        let mut failed = None;
        for attempt in 1..=ATTEMPTS_MAX {
            let Some(place) = place.take().or_else(|| places.choose(&tried)) else {
                break;
            };
            let now = Instant::now();
            let has_other = several && attempt < ATTEMPTS_MAX;
            let limit = if has_other {
                now + (ends - now) / 2
            } else {
                ends
            };
            let open = async {
                let link = Link::to(&place, self.shared.tls.as_ref(), speaks).await?;
                Ok::<_, LinkError>(made(link, Arc::clone(&place)).await?)
            };
            match timeout_at(limit, open).await {
                Ok(Ok(opened)) => return Ok(opened),
                Ok(Err(error)) => {
                    place.failed(error.failure, &error);
                    failed = Some(not_reached(&place, &error));
                }
                Err(_) => {
                    place.failed(Failure::Timeout, &"no connection in time");
                    failed = Some(self.too_slow(&place));
                }
            }
            tried.push(place);
            if !several {
                break;
            }
        }
        Err(failed.unwrap_or_else(|| self.no_address()))
    }

    fn not_looked_up(&self) -> NoAnswer {
        let limit = span(self.shared.upstream.connect_timeout);
        let name = &self.shared.upstream.authority;
        let what = format!("`{name}` was not looked up within {limit} (`connect_timeout`)");
        NoAnswer::because(Reason::UpstreamTimeout, None, what)
    }

    fn no_address(&self) -> NoAnswer {
        let name = &self.shared.upstream.authority;
        let what = format!("no address is known of `{name}`: its name cannot be looked up");
        NoAnswer::because(Reason::UpstreamUnreachable, None, what)
    }

    fn too_slow(&self, place: &Place) -> NoAnswer {
        let limit = span(self.shared.upstream.connect_timeout);
        let what = format!("no connection within {limit} (`connect_timeout`)");
        NoAnswer::because(Reason::UpstreamTimeout, Some(place.target()), what)
    }

    /// A stream of an HTTP/2 connection that is there, or of a new one.
    pub(super) async fn stream(
        self: &Rc<Self>,
        failed_at: Option<Arc<Place>>,
    ) -> Result<Lease, NoAnswer> {
        let several = self.shared.places.are_several();
        let tried: Vec<_> = failed_at.filter(|_| several).into_iter().collect();
        let ends = self.queue_ends();
        let mut slot = None;
        loop {
            let place = self.shared.places.choose(&tried);
            let claimed = place.as_ref().and_then(|place| self.claim(place));
            if let Some(stream) = claimed {
                return Ok(self.lend(Way::Stream(stream), true));
            }
            let opening = self.opening.borrow().clone();
            if let Some(opening) = opening.filter(|one| one.waiting.get() < STREAMS_MAX) {
                opening.wait().await?;
                continue;
            }
            let may_grow = |place: &Arc<Place>| self.multiplexes.may_grow(place);
            let grows = self.opening.borrow().is_none() && place.as_ref().is_none_or(may_grow);
            if !grows {
                slot = None;
            } else if slot.is_none() {
                slot = self.shared.slots.take();
            }
            if let Some(slot) = slot.take() {
                let tried = tried.clone();
                self.open(slot, Wanted { place, tried }).await?;
                continue;
            }
            if let Some(stream) = self.claim_anywhere(&tried) {
                return Ok(self.lend(Way::Stream(stream), true));
            }
            match self.turn(grows, ends).await? {
                None => {}
                Some(Turn::Slot(free)) => slot = Some(free),
                Some(Turn::Handed(Handed::Stream(stream))) => {
                    return Ok(self.lend(Way::Stream(stream), true));
                }
                // There are none where HTTP/2 is spoken.
                Some(Turn::Handed(Handed::Wire(resting))) => slot = Some(resting.slot),
            }
        }
    }

    /// Opens an HTTP/2 connection; whoever wants one meanwhile shares it, or its failure.
    async fn open(self: &Rc<Self>, slot: Slot, wanted: Wanted) -> Result<(), NoAnswer> {
        let opening = Rc::new(Opening::default());
        self.opening.replace(Some(Rc::clone(&opening)));
        let under_way = UnderWay {
            pool: self,
            opening: &opening,
        };
        let slot = RefCell::new(Some(slot));
        let opened = self.reach(wanted, Speaks::Http2, async |link, place| {
            let slot = slot.take().or_else(|| self.shared.slots.take());
            let slot = slot.ok_or_else(|| io::Error::other("no place for a connection"))?;
            Multiplex::open(self, link, place, slot).await
        });
        let opened = opened
            .await
            .map(|connection| self.multiplexes.add(connection));
        opening.failed.replace(opened.as_ref().err().cloned());
        drop(under_way);
        opened
    }
}

fn not_reached(place: &Place, error: &LinkError) -> NoAnswer {
    let system = of_system(&error.source);
    let what = match error.failure {
        Failure::Tls => format!("TLS: {system}"),
        Failure::Connect | Failure::Timeout | Failure::Reset => system,
    };
    NoAnswer::because(Reason::UpstreamUnreachable, Some(place.target()), what)
}

/// An opening that is over when this is dropped, however it ended.
struct UnderWay<'a> {
    pool: &'a Pool,
    opening: &'a Opening,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.pool.opening.take();
        self.opening.over.set(true);
        self.opening.done.notify_waiters();
        // Behind those: they came first.
        self.pool.hands.look_again();
    }
}

impl Opening {
    /// Waits until it is over, for better or worse.
    async fn wait(self: Rc<Self>) -> Result<(), NoAnswer> {
        self.waiting.set(self.waiting.get() + 1);
        let _guard = Guard(&self.waiting);
        while !self.over.get() {
            self.done.notified().await;
        }
        self.failed.borrow().clone().map_or(Ok(()), Err)
    }
}

struct Guard<'a>(&'a Cell<usize>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
