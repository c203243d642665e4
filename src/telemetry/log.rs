//! The decision log: one line of JSON per request, on standard output or in a file.
//!
//! A request copies its line into a buffer of its core and goes on; one thread empties the buffers
//! of all cores and waits for whoever reads the log, so no request ever does. If the reader falls
//! behind, the buffers reach their bound and lines are dropped and counted, which is a metric and
//! an alert; a gateway that stops because a disk is full would be worse.
//!
//! Not here: what a line says (that is `record`'s business), and secrets: [`Line`] has no field
//! that could hold one.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use super::line::Seconds;
pub use super::line::{Decision, Ended, Event, Line};

/// A buffer this full wakes the writer, in bytes: some two hundred lines, one write.
const FLUSH_BYTES: usize = 64 * 1024;

/// Longest time a line rests in a buffer.
const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

/// Most that waits in the buffer of one core, in bytes: a second of lines at 10,000 requests a
/// second and core. A reader who is further behind than that will not catch up.
const PENDING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The running log: the thread that writes.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
    writer: thread::JoinHandle<()>,
    /// Hears when the thread has ended.
    ended: mpsc::Receiver<()>,
}

/// Where one core leaves its lines.
#[derive(Debug)]
pub struct LogHandle {
    buffer: Arc<Mutex<Buffer>>,
    shared: Arc<Shared>,
    writer: thread::Thread,
}

#[derive(Debug, Default)]
struct Shared {
    buffers: Mutex<Vec<Arc<Mutex<Buffer>>>>,
    dropped: AtomicU64,
    stopping: AtomicBool,
}

#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    seconds: Seconds,
}

impl Log {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (say_ended, ended) = mpsc::channel();
        let theirs = Arc::clone(&shared);
        let writer = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                write_until_stopped(&theirs, out);
                // Nobody listens any more if `stop` has lost its patience.
                let _ = say_ended.send(());
            })?;
        Ok(Self {
            shared,
            writer,
            ended,
        })
    }

    /// A buffer for one more core.
    pub fn handle(&self) -> LogHandle {
        let buffer = Arc::new(Mutex::new(Buffer::default()));
        lock(&self.shared.buffers).push(Arc::clone(&buffer));
        LogHandle {
            buffer,
            shared: Arc::clone(&self.shared),
            writer: self.writer.thread().clone(),
        }
    }

    /// Reads how many lines were dropped so far.
    pub fn dropped(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.dropped.load(Ordering::Relaxed)
    }

    /// Writes what is left and ends the thread, waiting at most `grace` for whoever reads the log.
    /// Says whether everything was written. To be called when nobody writes any more.
    pub fn stop(self, grace: Duration) -> bool {
        self.shared.stopping.store(true, Ordering::Release);
        self.writer.thread().unpark();
        self.ended.recv_timeout(grace).is_ok()
    }
}

impl LogHandle {
    /// Leaves a line. Never waits for whoever reads the log; a line that finds its buffer at its
    /// bound is dropped and counted.
    pub fn write(&self, line: &Line<'_>) {
        let mut buffer = lock(&self.buffer);
        let before = buffer.bytes.len();
        if before >= PENDING_BYTES_MAX {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Buffer { bytes, seconds } = &mut *buffer;
        line.print(bytes, seconds);
        let crossed = before < FLUSH_BYTES && buffer.bytes.len() >= FLUSH_BYTES;
        drop(buffer);
        if crossed {
            self.writer.unpark();
        }
    }
}

/// Standard output, without the line buffering of [`io::stdout`]: a buffer of lines is one write.
///
/// # Errors
///
/// If the system gives no second descriptor for it.
pub fn standard_output() -> io::Result<File> {
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

/// Nothing panics while one of these locks is held, and a buffer is whole between any two lines.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_until_stopped(shared: &Shared, mut out: impl Write) {
    let mut spare = Vec::new();
    let mut broken = false;
    loop {
        // Read before the buffers are emptied, so that the last round sees everything.
        let stopping = shared.stopping.load(Ordering::Acquire);
        let buffers = lock(&shared.buffers).clone();
        for buffer in buffers {
            std::mem::swap(&mut lock(&buffer).bytes, &mut spare);
            if spare.is_empty() {
                continue;
            }
            let written = out.write_all(&spare).and_then(|()| out.flush());
            if let Err(error) = &written {
                let lines = spare.iter().filter(|byte| **byte == b'\n').count();
                shared.dropped.fetch_add(lines as u64, Ordering::Relaxed);
                if !broken {
                    tracing::error!(%error, "the decision log cannot be written, lines are lost");
                }
            }
            broken = written.is_err();
            spare.clear();
            // What one burst needed is not held for ever.
            spare.shrink_to(4 * FLUSH_BYTES);
        }
        if stopping {
            return;
        }
        thread::park_timeout(FLUSH_INTERVAL);
    }
}

#[cfg(test)]
mod tests;
