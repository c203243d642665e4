//! Waiting for one's turn: for a place among an upstream's connections, or for a connection that
//! this core hands on.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::multiplex::Stream;
use super::slots::{Next, Slot, Stand, Ticket};
use super::{Pool, Resting};
use crate::forward::no_answer::{NoAnswer, span};
use crate::reason::Reason;

/// What is handed on within a core.
#[derive(Debug)]
pub(super) enum Handed {
    /// A connection, with its place.
    Wire(Resting),
    /// A stream of one.
    Stream(Stream),
}

/// What a turn brings.
#[derive(Debug)]
pub(super) enum Turn {
    /// A place for a new connection.
    Slot(Slot),
    /// Something that is there already.
    Handed(Handed),
}

/// Those of one core that wait, in the order they came.
#[derive(Debug, Default)]
pub(super) struct Hands(RefCell<VecDeque<(u64, Rc<Hand>)>>);

#[derive(Debug)]
struct Hand {
    /// Whether a place is wanted: if not, an opening is waited for as well.
    wants: bool,
    /// Whether that opening is over.
    over: Cell<bool>,
    handed: RefCell<Option<Handed>>,
    waker: RefCell<Option<Waker>>,
}

impl Hands {
    /// Whether nobody of this core waits.
    pub(super) fn are_idle(&self) -> bool {
        self.0.borrow().is_empty()
    }

    fn add(&self, ticket: u64, hand: &Rc<Hand>) {
        self.0.borrow_mut().push_back((ticket, Rc::clone(hand)));
    }

    /// Gives `handed` to the holder of a ticket; gives it back if he has just left.
    fn give(&self, ticket: u64, handed: Handed) -> Option<Handed> {
        let waiting = self.0.borrow();
        let Some((_, hand)) = waiting.iter().find(|(number, _)| *number == ticket) else {
            return Some(handed);
        };
        hand.handed.replace(Some(handed));
        if let Some(waker) = hand.waker.take() {
            waker.wake();
        }
        None
    }

    /// An opening is over: whoever waits for what comes of it looks for himself.
    pub(super) fn look_again(&self) {
        for (_, hand) in self.0.borrow().iter().filter(|(_, hand)| !hand.wants) {
            hand.over.set(true);
            if let Some(waker) = hand.waker.take() {
                waker.wake();
            }
        }
    }
}

impl Pool {
    /// Waits for a turn, at most until `ends`. Who does not want a place waits for what this core
    /// hands on; nothing comes of that when an opening is over, which is to be looked at first.
    ///
    /// # Errors
    ///
    /// `upstream_overloaded` when the line is full, or no turn comes in time.
    pub(super) async fn turn(
        self: &Rc<Self>,
        wants: bool,
        ends: tokio::time::Instant,
    ) -> Result<Option<Turn>, NoAnswer> {
        let (ticket, slot) = match self.shared.slots.enter(self.core, wants) {
            Stand::Free(slot) => return Ok(Some(Turn::Slot(slot))),
            Stand::Full => return Err(self.line_is_full()),
            Stand::InLine(ticket, slot) => (ticket, slot),
        };
        let hand = Rc::new(Hand {
            wants,
            over: Cell::new(false),
            handed: RefCell::default(),
            waker: RefCell::default(),
        });
        self.hands.add(ticket.number, &hand);
        let waiter = Waiter {
            pool: Rc::clone(self),
            ticket,
            slot: wants.then_some(slot),
            hand,
        };
        let turn = timeout_at(ends, waiter).await;
        turn.map_err(|_| self.no_turn())
    }

    fn line_is_full(&self) -> NoAnswer {
        let upstream = &self.shared.upstream;
        let what = format!(
            "all {} connections (`connections`) are busy, and {} requests wait for one (`queue`)",
            upstream.connections_max, upstream.queue_max
        );
        NoAnswer::because(Reason::UpstreamOverloaded, None, what)
    }

    fn no_turn(&self) -> NoAnswer {
        let upstream = &self.shared.upstream;
        let what = format!(
            "none of {} connections (`connections`) was free within {} (`queue_timeout`)",
            upstream.connections_max,
            span(upstream.queue_timeout)
        );
        NoAnswer::because(Reason::UpstreamOverloaded, None, what)
    }

    /// Hands a connection that has become free to whoever is next, or gives it back if nobody waits.
    pub(super) fn hand_on(&self, resting: Resting) -> Option<Resting> {
        let mut handed = Handed::Wire(resting);
        loop {
            match self.shared.slots.next(self.core) {
                Next::Here(ticket) => handed = self.hands.give(ticket, handed)?,
                // Its place goes there when it is closed.
                Next::Elsewhere => return None,
                Next::Nobody => break,
            }
        }
        match handed {
            Handed::Wire(resting) => Some(resting),
            Handed::Stream(_) => None,
        }
    }

    /// Hands streams that have become free to those of this core who wait.
    pub(super) fn hand_on_streams(self: &Rc<Self>) {
        while !self.hands.are_idle() {
            let place = self.shared.places.choose(&[]);
            let claimed = place.and_then(|place| self.claim(&place));
            let Some(stream) = claimed.or_else(|| self.claim_anywhere(&[])) else {
                return;
            };
            let Next::Here(ticket) = self.shared.slots.next_here(self.core) else {
                // Who is left has been given something and has not looked yet.
                stream.put_back();
                return;
            };
            if let Some(Handed::Stream(stream)) = self.hands.give(ticket, Handed::Stream(stream)) {
                stream.put_back();
            }
        }
    }
}

/// Somebody who waits. Leaves the line when dropped; what he was given and did not take goes on.
struct Waiter {
    pool: Rc<Pool>,
    ticket: Ticket,
    slot: Option<oneshot::Receiver<Slot>>,
    hand: Rc<Hand>,
}

impl Future for Waiter {
    type Output = Option<Turn>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Turn>> {
        if let Some(handed) = self.hand.handed.take() {
            return Poll::Ready(Some(Turn::Handed(handed)));
        }
        let slot = self.slot.as_mut().map(|slot| Pin::new(slot).poll(cx));
        if let Some(Poll::Ready(Ok(slot))) = slot {
            return Poll::Ready(Some(Turn::Slot(slot)));
        }
        if self.hand.over.get() {
            return Poll::Ready(None);
        }
        self.hand.waker.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let ours = |(number, _): &(u64, Rc<Hand>)| *number == self.ticket.number;
        let mut hands = self.pool.hands.0.borrow_mut();
        if let Some(place) = hands.iter().position(ours) {
            hands.remove(place);
        }
        drop(hands);
        match self.hand.handed.take() {
            Some(Handed::Wire(resting)) => self.pool.rest(resting),
            Some(Handed::Stream(stream)) => drop(stream),
            None => {}
        }
    }
}
