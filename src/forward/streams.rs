//! Who waits for what may last: the requests of one core that are under way.
//!
//! What decides about a stream can change while it flows: its account, its key, the policy. And the
//! other end may fall silent for ever. Neither is worth a timer or a task for each request, so every
//! request that has to wait takes a seat here; all seats are woken when the state changes, and once
//! in a while, and whoever is woken looks for itself.
//!
//! Not here: whether a request may go on, which its owner asks the gateway.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::reason::Reason;

/// Whoever knows whether a request that waits may go on.
pub trait Guard: fmt::Debug {
    /// Says whether it may, and has it woken when that should be asked again.
    ///
    /// # Errors
    ///
    /// Why it may not.
    fn check(&self, cx: &Context<'_>) -> Result<(), Reason>;

    /// How often whoever asked is woken at least, if he is.
    fn beat(&self) -> Option<Duration> {
        None
    }
}

/// Nobody asks: a request that is sent for its own sake.
impl Guard for () {
    fn check(&self, _: &Context<'_>) -> Result<(), Reason> {
        Ok(())
    }
}

/// Longest time between two looks at the clock: how late a silence may be noticed.
const BEAT_MOST: Duration = Duration::from_secs(1);

/// Shortest time between two looks at the clock, which wake everybody who waits.
const BEAT_LEAST: Duration = Duration::from_millis(50);

/// The requests of one core that wait for something.
#[derive(Debug)]
pub struct Streams {
    seats: RefCell<Seats>,
    /// How many times the state was changed since the core began.
    generation: Cell<u64>,
    /// How many times everybody was woken to look at the clock.
    ticks: Cell<u64>,
    beat: Duration,
}

#[derive(Debug, Default)]
struct Seats {
    each: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Streams {
    /// No requests yet. The shortest silence that anybody is cut for is `silence`.
    pub fn new(silence: Duration) -> Rc<Self> {
        Rc::new(Self {
            seats: RefCell::default(),
            generation: Cell::new(0),
            ticks: Cell::new(0),
            beat: (silence / 4).clamp(BEAT_LEAST, BEAT_MOST),
        })
    }

    /// How many times the state was changed: who judged under another number judges again.
    pub fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// How many beats have passed.
    pub fn ticks(&self) -> u64 {
        self.ticks.get()
    }

    /// How long a beat lasts.
    pub fn beat(&self) -> Duration {
        self.beat
    }

    /// How many beats a wait of `limit` lasts, at least that long.
    pub fn beats(&self, limit: Duration) -> u64 {
        let beats = limit.as_nanos().div_ceil(self.beat.as_nanos().max(1));
        // One more, because the first may be nearly over.
        u64::try_from(beats).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// A seat for who waits with `waker`.
    pub fn sit(self: &Rc<Self>, waker: &Waker) -> Seat {
        let mut seats = self.seats.borrow_mut();
        let waker = Some(waker.clone());
        let number = if let Some(free) = seats.free.pop() {
            if let Some(seat) = seats.each.get_mut(free) {
                *seat = waker;
            }
            free
        } else {
            seats.each.push(waker);
            seats.each.len() - 1
        };
        Seat {
            streams: Rc::clone(self),
            number,
        }
    }

    /// Wakes everybody when the state changes and at every beat. Ends never.
    pub async fn run(&self, mut changes: watch::Receiver<()>) {
        let mut beats = interval(self.beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        // Nobody can change it any more.
                        return std::future::pending().await;
                    }
                    self.generation.set(self.generation.get() + 1);
                }
                _ = beats.tick() => self.ticks.set(self.ticks.get() + 1),
            }
            self.wake();
        }
    }

    fn wake(&self) {
        for waker in self.seats.borrow().each.iter().flatten() {
            waker.wake_by_ref();
        }
    }
}

/// A place among those who are woken; given up when dropped.
#[derive(Debug)]
pub struct Seat {
    streams: Rc<Streams>,
    number: usize,
}

impl Seat {
    /// Waits with this waker from now on.
    pub fn renew(&self, waker: &Waker) {
        let mut seats = self.streams.seats.borrow_mut();
        if let Some(Some(own)) = seats.each.get_mut(self.number) {
            own.clone_from(waker);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.streams.seats.borrow_mut();
        if let Some(seat) = seats.each.get_mut(self.number) {
            *seat = None;
            seats.free.push(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_sits_is_woken_by_a_change_and_by_every_beat() {
        let streams = Streams::new(Duration::from_secs(4));
        let count = Arc::new(Count::default());
        let woken = || count.0.load(Ordering::Relaxed);
        let seat = streams.sit(&Waker::from(Arc::clone(&count)));
        let (sender, receiver) = watch::channel(());
        let steps = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let before = woken();
            sender.send_replace(());
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!((woken(), streams.generation()), (before + 1, 1));
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(woken(), before + 3);
            drop(seat);
            sender.send_replace(());
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(woken(), before + 3);
        };
        tokio::select! {
            () = steps => {}
            () = streams.run(receiver) => {}
        }
    }

    #[test]
    fn a_seat_that_was_given_up_is_given_to_the_next() {
        let streams = Streams::new(Duration::from_secs(4));
        let one = streams.sit(Waker::noop());
        let other = streams.sit(Waker::noop());
        let number = one.number;
        drop(one);
        assert_eq!(streams.sit(Waker::noop()).number, number);
        drop(other);
        assert!(streams.seats.borrow().each.len() <= 2);
    }

    #[test]
    fn a_wait_is_never_shorter_than_its_limit() {
        let streams = Streams::new(Duration::from_secs(4));
        assert_eq!(streams.beats(Duration::from_millis(1)), 2);
        assert_eq!(streams.beats(Duration::from_secs(300)), 301);
    }
}
