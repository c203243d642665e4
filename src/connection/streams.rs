//! What an HTTP/2 client may keep the gateway waiting for: a first request, the next one, the taking
//! of a byte by the connection, and by each stream.
//!
//! As for HTTP/1.1, things are noted where they happen and one timer a connection looks at the notes
//! now and then. A stream whose client opens no window for its answer is known by this: its body
//! gave something, and was not asked again for as long as a client may take no byte. Once the library
//! has been given all of an answer it cannot be told to cut it: the client is told to go then, what
//! flows may flow to its end, and the rest goes with the connection.
//!
//! Not here: silence inside a request's body, which is seen where the body is read, and a client that
//! is gone, which the library's own pings find.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, sleep_until};

use super::FIRST_REQUEST_GRACE;
use super::frames::Frames;
use super::refused::{Refused, Said};
use super::watched::Notes;
use crate::settings::ListenerLimits;
use crate::shutdown::Tasks;

/// What has lasted too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The next request: the client rests.
    Request,
    /// The taking of an answer whose end is with the library, as long as others flow.
    Answer,
    /// The taking of a byte, or the leaving after a goodbye.
    End,
}

/// The notes on one connection.
pub(super) struct Streams {
    head: Duration,
    rest: Duration,
    take: Duration,
    open: RefCell<Vec<Rc<Note>>>,
    /// The stream whose task is about to be started.
    newest: RefCell<Option<Rc<Note>>>,
    /// While no stream is open: until when one has to be.
    until: Cell<Instant>,
    /// Whether a request has come.
    used: Cell<bool>,
    /// Whether the client was told to go.
    leaving: Cell<bool>,
    /// Until when the client has to take a byte, while it takes none and there are some.
    taking: Cell<Option<Instant>>,
    /// The last look: the time, to notes that have no need of a better one.
    looked: Cell<Instant>,
    frames: RefCell<Frames>,
    said: RefCell<Said>,
}

/// The notes on one stream.
#[derive(Debug)]
struct Note {
    /// Its place among those that are open.
    place: Cell<usize>,
    /// How many parts of its answer were given to the HTTP library, while it has one.
    given: Cell<Option<u32>>,
    parts: Cell<u32>,
    /// When the last of them was given, or not long before that.
    moved: Cell<Option<Instant>>,
    /// What the last look saw, and when it saw that first.
    seen: Cell<Option<(u32, Instant)>>,
    cut: Cell<bool>,
    task: RefCell<Option<Waker>>,
}

impl Streams {
    /// Notes on a connection that began then. Its first request has to come as soon as a head has
    /// to be whole.
    pub(super) fn new(limits: &ListenerLimits, began: Instant) -> Rc<Self> {
        Rc::new(Self {
            head: limits.header_timeout,
            rest: limits.keep_alive,
            take: limits.write_idle,
            open: RefCell::default(),
            newest: RefCell::default(),
            until: Cell::new(began + limits.header_timeout),
            used: Cell::new(false),
            leaving: Cell::new(false),
            taking: Cell::new(None),
            looked: Cell::new(Instant::now()),
            frames: RefCell::new(Frames::new(limits.http2.control_frames)),
            said: RefCell::new(Said::new()),
        })
    }

    /// A request was handed to the service.
    pub(super) fn begins(self: &Rc<Self>) -> Stream {
        self.used.set(true);
        self.frames.borrow_mut().progress();
        let mut open = self.open.borrow_mut();
        let note = Rc::new(Note {
            place: Cell::new(open.len()),
            given: Cell::new(None),
            parts: Cell::new(0),
            moved: Cell::new(None),
            seen: Cell::new(None),
            cut: Cell::new(false),
            task: RefCell::default(),
        });
        open.push(Rc::clone(&note));
        *self.newest.borrow_mut() = Some(Rc::clone(&note));
        Stream {
            streams: Rc::clone(self),
            note,
        }
    }

    fn ends(&self, note: &Note) {
        let mut open = self.open.borrow_mut();
        let place = note.place.get();
        if place < open.len() {
            open.swap_remove(place);
        }
        if let Some(moved) = open.get(place) {
            moved.place.set(place);
        }
        if open.is_empty() {
            let span = if self.leaving.get() {
                self.head
            } else {
                self.rest
            };
            self.until.set(Instant::now() + span);
        }
    }

    /// Whether a request has come.
    pub(super) fn is_used(&self) -> bool {
        self.used.get()
    }

    /// The connection is over; the worst of what the library refused on it.
    pub(super) fn over(&self, ended: Result<(), hyper::Error>) -> Option<Refused> {
        let mut said = self.said.borrow_mut();
        if let Err(error) = ended {
            said.ended(&error);
        }
        said.worst()
    }

    /// Whether a part of something has come from the client and the rest of it has not.
    pub(super) fn is_midway(&self) -> bool {
        self.frames.borrow().is_midway()
    }

    /// Gives a connection that was told to end as long as a head may take, from now or from the end
    /// of its last stream; one that was of no use has had that already.
    pub(super) fn leaves(&self) {
        self.leaving.set(true);
        let span = if self.is_used() {
            self.head
        } else {
            self.head.min(FIRST_REQUEST_GRACE)
        };
        self.until.set(Instant::now() + span);
    }

    fn owed(&self) -> Option<(Instant, Overdue)> {
        if let Some(until) = self.taking.get() {
            return Some((until, Overdue::End));
        }
        let what = if self.leaving.get() {
            Overdue::End
        } else {
            Overdue::Request
        };
        let rests = self.open.borrow().is_empty();
        rests.then(|| (self.until.get(), what))
    }

    /// Whether the library has had the end of an answer, and may not send it, for as long as a client
    /// may take no byte: more answers stand still than are ours to give and could. Times are of the
    /// last look, which may have been `late`.
    fn keeps_an_end(&self, now: Instant, late: Duration) -> bool {
        let Some(since) = now.checked_sub(self.take + late) else {
            return false;
        };
        let still = self.said.borrow().still(since);
        if still == 0 {
            return false;
        }
        let open = self.open.borrow();
        let ours = open.iter().filter(|note| note.may_stand(since)).count();
        still > ours
    }

    /// Waits until something is overdue; cuts the streams whose clients take nothing meanwhile.
    pub(super) async fn overdue(&self) -> Overdue {
        let shortest = self.head.min(self.rest).min(self.take);
        loop {
            let now = Instant::now();
            let mut look = now + shortest;
            if let Some((until, what)) = self.owed() {
                if until <= now {
                    return what;
                }
                look = look.min(until);
            }
            for note in self.open.borrow().iter() {
                note.look(now, self.take);
            }
            if !self.leaving.get() && self.keeps_an_end(now, shortest) {
                return Overdue::Answer;
            }
            self.looked.set(now);
            sleep_until(look).await;
        }
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("open", &self.open.borrow().len())
            .finish_non_exhaustive()
    }
}

impl Notes for Streams {
    fn arrived(&self, bytes: &[u8]) -> io::Result<()> {
        let mut frames = self.frames.borrow_mut();
        frames.arrived(bytes).map_err(|_| {
            self.said.borrow_mut().note(Refused::Flood);
            io::ErrorKind::ConnectionAborted
        })?;
        while let Some(stream) = frames.reset() {
            self.said.borrow_mut().was_reset(stream);
        }
        Ok(())
    }

    fn tried(&self, taken: bool) {
        if taken {
            self.taking.set(None);
        } else if self.taking.get().is_none() {
            self.taking.set(Some(Instant::now() + self.take));
        }
    }

    fn wrote(&self, bytes: &[u8]) {
        self.said.borrow_mut().wrote(bytes, self.looked.get());
    }
}

impl Note {
    /// Whether no part of its answer may have been written since then.
    fn may_stand(&self, since: Instant) -> bool {
        let moved = self.moved.get();
        moved.is_some_and(|moved| moved <= since) || self.given.get().is_some()
    }

    /// Cuts the stream if what it gave has not been taken for as long as `take`.
    fn look(&self, now: Instant, take: Duration) {
        let Some(parts) = self.given.get() else {
            self.seen.set(None);
            return;
        };
        match self.seen.get() {
            Some((seen, since)) if seen == parts => {
                if now.duration_since(since) >= take {
                    self.cut.set(true);
                    if let Some(task) = self.task.borrow_mut().take() {
                        task.wake();
                    }
                }
            }
            _ => self.seen.set(Some((parts, now))),
        }
    }

    /// Whether the stream's task is to end; if not, it is woken when it is.
    fn is_cut(&self, cx: &mut Context<'_>) -> bool {
        if self.cut.get() {
            return true;
        }
        let mut task = self.task.borrow_mut();
        if task.as_ref().is_none_or(|task| !task.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
        false
    }
}

/// An open stream. It counts as one until it is dropped.
#[derive(Debug)]
pub(super) struct Stream {
    streams: Rc<Streams>,
    note: Rc<Note>,
}

impl Stream {
    /// The answer's body, which notes what is taken of it.
    pub(super) fn given<B: Body>(self, body: B) -> Given<B> {
        self.streams.said.borrow_mut().gave_fields();
        let given = Given { body, stream: self };
        if !given.body.is_end_stream() {
            given.gave();
        }
        given
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.ends(&self.note);
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Given<B> {
    body: B,
    stream: Stream,
}

impl<B> Given<B> {
    /// The HTTP library has something to send, and asks for more when the client took of it.
    fn gave(&self) {
        let note = &self.stream.note;
        let parts = note.parts.get().wrapping_add(1);
        note.parts.set(parts);
        note.moved.set(Some(self.stream.streams.looked.get()));
        note.given.set(Some(parts));
    }
}

impl<B: Body + Unpin> Body for Given<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.stream.note.given.set(None);
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let streams = &self.stream.streams;
        match &frame {
            Poll::Ready(Some(Ok(part))) => {
                if part.is_trailers() {
                    streams.said.borrow_mut().gave_fields();
                }
                streams.frames.borrow_mut().progress();
                self.gave();
            }
            Poll::Ready(Some(Err(_))) => streams.said.borrow_mut().broke_off(),
            Poll::Ready(None) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Starts the task of each stream, on this core.
#[derive(Clone, Debug)]
pub(super) struct Starts {
    pub(super) tasks: Tasks,
    pub(super) streams: Rc<Streams>,
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Starts {
    fn execute(&self, future: F) {
        let note = self.streams.newest.borrow_mut().take();
        self.tasks.spawn_local(async move {
            let mut future = pin!(future);
            poll_fn(|cx| match &note {
                Some(note) if note.is_cut(cx) => Poll::Ready(()),
                Some(_) | None => future.as_mut().poll(cx),
            })
            .await;
        });
    }
}
