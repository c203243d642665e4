//! How many connections an upstream may have, and who is next when it has them all.
//!
//! The connections of all cores are counted together, so a core may find them all taken while some
//! of them rest elsewhere. Whoever has to wait stands in one line with all others; cores that have
//! connections at rest are nudged, and close some. First come, first served: a connection that
//! becomes free is handed on within its core, which costs nothing, unless somebody on another core
//! has waited [`HANDED_ON_FOR`] longer; then it is closed, and its place goes there.
//!
//! The line is short and its lock is held for a few instructions; it is met when a connection is
//! opened or closed, and not by a request that finds one at rest.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

/// How long connections are handed on within a core while somebody waits on another one: long
/// enough to be spared most new connections, too short for anybody to notice.
const HANDED_ON_FOR: Duration = Duration::from_millis(50);

/// The places for connections to one upstream, and the line before them.
#[derive(Debug)]
pub struct Slots {
    line: Mutex<Line>,
    /// How many stand in the line, to be read without the lock.
    waiting: AtomicUsize,
    most: usize,
    queue_max: usize,
}

#[derive(Debug)]
struct Line {
    free: usize,
    waiting: VecDeque<Waiting>,
    next_ticket: u64,
    nudges: Vec<Arc<Notify>>,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    core: usize,
    since: Instant,
    /// Where a place is sent, if one is of use.
    slot: Option<oneshot::Sender<Slot>>,
}

/// A place among the connections an upstream may have; given up when dropped.
#[derive(Debug)]
pub struct Slot(Option<Arc<Slots>>);

/// A place in the line.
#[derive(Debug)]
pub(super) struct Ticket {
    slots: Arc<Slots>,
    pub(super) number: u64,
}

/// What somebody gets who asks for a place.
#[derive(Debug)]
pub(super) enum Stand {
    /// One that was free.
    Free(Slot),
    /// A stand in the line, and where the place will come.
    InLine(Ticket, oneshot::Receiver<Slot>),
    /// Nothing: the line is full.
    Full,
}

/// Who is to have a connection that has become free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nobody waits.
    Nobody,
    /// The holder of this ticket, on the same core; it is out of the line now.
    Here(u64),
    /// Somebody on another core: it is to be closed.
    Elsewhere,
}

impl Slots {
    /// `most` places, and a line for `queue_max`.
    pub(super) fn new(most: usize, queue_max: usize) -> Arc<Self> {
        Arc::new(Self {
            line: Mutex::new(Line {
                free: most,
                waiting: VecDeque::new(),
                next_ticket: 0,
                nudges: Vec::new(),
            }),
            waiting: AtomicUsize::new(0),
            most,
            queue_max,
        })
    }

    /// Another core; `nudge` is told when it should close connections that rest. Returns its number.
    pub(super) fn join(&self, nudge: Arc<Notify>) -> usize {
        let mut line = self.line();
        line.nudges.push(nudge);
        line.nudges.len().saturating_sub(1)
    }

    /// Requests that wait for a connection.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Connections that are open or being opened.
    pub fn taken(&self) -> usize {
        self.most.saturating_sub(self.line().free)
    }

    /// A place, if one is free and wanted, or else a stand in the line, if that is not full. Who
    /// wants a place gets it by the receiver; others wait for what their own core hands on.
    pub(super) fn enter(self: &Arc<Self>, core: usize, wants: bool) -> Stand {
        let mut line = self.line();
        if wants && line.free > 0 {
            line.free -= 1;
            return Stand::Free(Slot(Some(Arc::clone(self))));
        }
        if line.waiting.len() >= self.queue_max {
            return Stand::Full;
        }
        let (sender, receiver) = oneshot::channel();
        let number = line.next_ticket;
        line.next_ticket += 1;
        line.waiting.push_back(Waiting {
            ticket: number,
            core,
            since: Instant::now(),
            slot: wants.then_some(sender),
        });
        self.waiting.fetch_add(1, Relaxed);
        let others = line.nudges.iter().enumerate();
        let others = others.filter(|(place, _)| *place != core);
        others.for_each(|(_, nudge)| nudge.notify_one());
        drop(line);
        let slots = Arc::clone(self);
        Stand::InLine(Ticket { slots, number }, receiver)
    }

    /// A place, if one is free.
    pub(super) fn take(self: &Arc<Self>) -> Option<Slot> {
        let mut line = self.line();
        line.free = line.free.checked_sub(1)?;
        Some(Slot(Some(Arc::clone(self))))
    }

    /// Who is to have a connection of this core that has become free.
    pub(super) fn next(&self, core: usize) -> Next {
        let mut line = self.line();
        let Some(first) = line.waiting.front() else {
            return Next::Nobody;
        };
        let patient = first.since.elapsed() < HANDED_ON_FOR || first.slot.is_none();
        let here = |waiting: &Waiting| waiting.core == core;
        match line.waiting.iter().position(here) {
            Some(place) if place == 0 || patient => self.call(&mut line, place),
            Some(_) | None => Next::Elsewhere,
        }
    }

    /// Who on this core waits longest for what only this core can give.
    pub(super) fn next_here(&self, core: usize) -> Next {
        let mut line = self.line();
        let here = |waiting: &Waiting| waiting.core == core;
        match line.waiting.iter().position(here) {
            Some(place) => self.call(&mut line, place),
            None => Next::Nobody,
        }
    }

    fn call(&self, line: &mut Line, place: usize) -> Next {
        let Some(waiting) = line.waiting.remove(place) else {
            return Next::Nobody;
        };
        self.waiting.fetch_sub(1, Relaxed);
        Next::Here(waiting.ticket)
    }

    /// A place has become free: it goes to the first who wants one.
    fn release(self: Arc<Self>) {
        loop {
            let mut line = self.line();
            let wants = |waiting: &Waiting| waiting.slot.is_some();
            let place = line.waiting.iter().position(wants);
            let Some(waiting) = place.and_then(|place| line.waiting.remove(place)) else {
                line.free += 1;
                return;
            };
            self.waiting.fetch_sub(1, Relaxed);
            drop(line);
            let slot = Slot(Some(Arc::clone(&self)));
            match waiting.slot.map(|sender| sender.send(slot)) {
                Some(Err(mut unwanted)) => drop(unwanted.0.take()),
                Some(Ok(())) | None => return,
            }
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.0.take() {
            slots.release();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut line = self.slots.line();
        let ours = |waiting: &Waiting| waiting.ticket == self.number;
        if let Some(place) = line.waiting.iter().position(ours) {
            line.waiting.remove(place);
            self.slots.waiting.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(slots: &Arc<Slots>) -> [usize; 2] {
        [0, 1].map(|_| slots.join(Arc::default()))
    }

    type Gets = oneshot::Receiver<Slot>;

    fn queue(slots: &Arc<Slots>, core: usize) -> (Ticket, Gets) {
        match slots.enter(core, true) {
            Stand::InLine(ticket, gets) => (ticket, gets),
            other @ (Stand::Free(_) | Stand::Full) => panic!("{other:?}"),
        }
    }

    #[test]
    fn there_are_as_many_places_as_said() {
        let slots = Slots::new(2, 0);
        let (one, two) = (slots.take().unwrap(), slots.take().unwrap());
        assert!(slots.take().is_none());
        assert_eq!(slots.taken(), 2);
        drop(one);
        assert!(slots.take().is_some());
        drop(two);
        assert_eq!(slots.taken(), 0);
    }

    #[test]
    fn a_free_place_goes_to_the_first_in_line_that_still_waits() {
        let slots = Slots::new(1, 3);
        let [core, _] = cores(&slots);
        let slot = slots.take().unwrap();
        let (first, mut first_gets) = queue(&slots, core);
        let (_second, mut second_gets) = queue(&slots, core);
        let (_third, mut third_gets) = queue(&slots, core);
        assert!(matches!(slots.enter(core, true), Stand::Full));
        assert_eq!(slots.waiting(), 3);
        drop(first);
        drop(slot);
        assert!(first_gets.try_recv().is_err());
        let slot = second_gets.try_recv().unwrap();
        assert!(third_gets.try_recv().is_err());
        drop(slot);
        drop(third_gets);
        assert_eq!((slots.waiting(), slots.taken()), (0, 0));
    }

    /// What was sent to somebody who has just gone is not lost.
    #[test]
    fn a_place_nobody_takes_goes_on() {
        let slots = Slots::new(1, 3);
        let [core, _] = cores(&slots);
        let slot = slots.take().unwrap();
        let (_gone, receiver) = queue(&slots, core);
        drop(receiver);
        let (_next, mut gets) = queue(&slots, core);
        drop(slot);
        assert!(gets.try_recv().is_ok());
    }

    #[test]
    fn a_connection_is_handed_on_within_its_core_for_a_while_only() {
        let slots = Slots::new(1, 9);
        let [here, there] = cores(&slots);
        let _slot = slots.take().unwrap();
        assert_eq!(slots.next(here), Next::Nobody);
        let (far, _far) = queue(&slots, there);
        assert_eq!(slots.next(here), Next::Elsewhere);
        let (near, _near) = queue(&slots, here);
        assert_eq!(slots.next(here), Next::Here(near.number));
        let (_near, _gets) = queue(&slots, here);
        for waiting in &mut slots.line().waiting {
            waiting.since -= HANDED_ON_FOR;
        }
        assert_eq!(slots.next(here), Next::Elsewhere);
        assert_eq!(slots.next(there), Next::Here(far.number));
    }

    #[test]
    fn other_cores_are_nudged_when_somebody_waits() {
        let slots = Slots::new(0, 1);
        let nudges = [Arc::new(Notify::new()), Arc::new(Notify::new())];
        let [here, _] = nudges.clone().map(|nudge| slots.join(nudge));
        let _waits = queue(&slots, here);
        let told = |nudge: &Notify| {
            let mut notified = std::pin::pin!(nudge.notified());
            notified.as_mut().enable()
        };
        assert_eq!(nudges.each_ref().map(|nudge| told(nudge)), [false, true]);
    }
}
