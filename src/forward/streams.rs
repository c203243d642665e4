//! Who waits for what may last: the requests of one core that are under way.
//!
//! What decides about a stream can change while it flows: its account, its key, the policy. And the
//! other end may fall silent for ever. Neither is worth a timer or a task for each request, so every
//! request that has to wait takes a seat here; all seats are woken when the state changes, and once
//! in a while, and whoever is woken looks for itself. Tokens that are taken back wake nobody but who
//! came with one of them: clients give them back all the time.
//!
//! Not here: whether a request may go on, which its owner asks the gateway.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::directory::Changes;
use crate::reason::Reason;
use crate::words::TokenId;

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
    /// What the state was changed by so far.
    generation: Cell<Changes>,
    /// How many times everybody was woken to look at the clock.
    ticks: Cell<u64>,
    beat: Duration,
}

#[derive(Debug, Default)]
struct Seats {
    /// Each with the token that its request came with.
    each: Vec<Option<(Waker, Option<TokenId>)>>,
    free: Vec<usize>,
}

impl Streams {
    /// No requests yet. The shortest silence that anybody is cut for is `silence`.
    pub fn new(silence: Duration) -> Rc<Self> {
        Rc::new(Self {
            seats: RefCell::default(),
            generation: Cell::default(),
            ticks: Cell::new(0),
            beat: (silence / 4).clamp(BEAT_LEAST, BEAT_MOST),
        })
    }

    /// What the state was changed by so far: who judged under other numbers judges again.
    pub fn generation(&self) -> Changes {
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

    /// A seat for who waits with `waker`, having come with this token if with any.
    pub fn sit(self: &Rc<Self>, waker: &Waker, token: Option<TokenId>) -> Seat {
        let mut seats = self.seats.borrow_mut();
        let waker = Some((waker.clone(), token));
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

    /// Wakes everybody when the state changes and at every beat; when only tokens were taken back, those
    /// who came with one that `is_revoked`. Ends never.
    pub async fn run(
        &self,
        mut changes: watch::Receiver<Changes>,
        is_revoked: impl Fn(&TokenId) -> bool,
    ) {
        let mut beats = interval(self.beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        // Nobody can change it any more.
                        return std::future::pending().await;
                    }
                    let now = *changes.borrow_and_update();
                    let before = self.generation.replace(now);
                    if before.whole == now.whole {
                        self.wake(|token| token.is_some_and(&is_revoked));
                        continue;
                    }
                }
                _ = beats.tick() => self.ticks.set(self.ticks.get() + 1),
            }
            self.wake(|_| true);
        }
    }

    fn wake(&self, whom: impl Fn(Option<&TokenId>) -> bool) {
        for (waker, token) in self.seats.borrow().each.iter().flatten() {
            if whom(token.as_ref()) {
                waker.wake_by_ref();
            }
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
        if let Some(Some((own, _))) = seats.each.get_mut(self.number) {
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
        let seat = streams.sit(&Waker::from(Arc::clone(&count)), None);
        let (sender, receiver) = watch::channel(Changes::default());
        let change = || sender.send_modify(|changes| changes.whole += 1);
        let steps = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let before = woken();
            change();
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!((woken(), streams.generation().whole), (before + 1, 1));
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(woken(), before + 3);
            drop(seat);
            change();
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(woken(), before + 3);
        };
        tokio::select! {
            () = steps => {}
            () = streams.run(receiver, |_| false) => {}
        }
    }

    /// Clients give tokens back all the time, and ten thousand streams need not be judged for each.
    #[tokio::test(start_paused = true)]
    async fn tokens_that_are_taken_back_wake_who_came_with_one_of_them_and_nobody_else() {
        let streams = Streams::new(Duration::from_secs(4));
        let counts: [Arc<Count>; 3] = Default::default();
        let [given, kept] = [TokenId::random(), TokenId::random()];
        let came_with = [None, Some(kept), Some(given)];
        let each = counts.iter().zip(came_with);
        let sit =
            |(count, token): (&Arc<Count>, _)| streams.sit(&Waker::from(Arc::clone(count)), token);
        let _seats: Vec<_> = each.map(sit).collect();
        let woken = || {
            counts
                .each_ref()
                .map(|count| count.0.load(Ordering::Relaxed))
        };
        let (sender, receiver) = watch::channel(Changes::default());
        let steps = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let before = woken();
            sender.send_modify(|changes| changes.tokens += 1);
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(woken(), [before[0], before[1], before[2] + 1]);
            // Of two changes at once the wider one counts.
            sender.send_modify(|changes| changes.whole += 1);
            sender.send_modify(|changes| changes.tokens += 1);
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(woken(), [before[0] + 1, before[1] + 1, before[2] + 2]);
        };
        tokio::select! {
            () = steps => {}
            () = streams.run(receiver, |token| *token == given) => {}
        }
    }

    #[test]
    fn a_seat_that_was_given_up_is_given_to_the_next() {
        let streams = Streams::new(Duration::from_secs(4));
        let one = streams.sit(Waker::noop(), None);
        let other = streams.sit(Waker::noop(), None);
        let number = one.number;
        drop(one);
        assert_eq!(streams.sit(Waker::noop(), None).number, number);
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
