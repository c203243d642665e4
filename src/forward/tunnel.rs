//! What runs through a tunnel: bytes both ways, until both ends are done, nothing has moved for too
//! long, or the gateway says goodbye.
//!
//! The bytes are not looked at but for one thing: where a WebSocket frame ends. A goodbye is a frame
//! of its own and must not stand in the middle of another one.

mod frames;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::upgrade::Wire;
use crate::connection::line::Stream;
use crate::telemetry::log::Ended;
use frames::Frames;

/// Bytes in flight in each direction: what one read of a socket brings, and no more, so that ten
/// thousand tunnels fit.
const BUFFER_BYTES: usize = 8 * 1024;

/// How long a client has to answer a goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Close codes (RFC 6455 §7.4.1).
#[derive(Clone, Copy, Debug)]
enum Code {
    /// The server goes away.
    Leaving = 1001,
    /// The client may not be here any more.
    Refused = 1008,
}

/// A tunnel that both ends have agreed to.
#[derive(Debug)]
pub struct Tunnel {
    upstream: Wire,
    up: Pipe,
    down: Pipe,
    idle: Duration,
}

/// What went through a tunnel, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// From the client.
    pub up: u64,
    /// To the client.
    pub down: u64,
    /// Why the gateway put an end to it, if it did.
    pub ended: Option<Ended>,
}

impl Tunnel {
    /// A tunnel to `upstream`, of which `ahead` was read already.
    pub(super) fn new(upstream: Wire, ahead: Bytes, idle: Duration) -> Self {
        Self {
            upstream,
            up: Pipe::new(Bytes::new()),
            down: Pipe::new(ahead),
            idle,
        }
    }

    /// Carries bytes between `client` and the upstream until the end, whichever comes first: both
    /// are done, one breaks, nothing moved for too long, `leaving` is heard or `refused` ends.
    pub async fn run(
        mut self,
        mut client: Box<dyn Stream>,
        leaving: &CancellationToken,
        refused: impl Future<Output = ()>,
    ) -> Traffic {
        let idle = self.idle;
        let moved = std::cell::Cell::new(Instant::now());
        let goodbye = {
            let carry = std::future::poll_fn(|cx| self.poll(&mut client, &moved, cx));
            tokio::select! {
                biased;
                // How it ended is between the two of them.
                _ = carry => None,
                () = refused => Some((Code::Refused, Ended::Revoked)),
                () = leaving.cancelled() => Some((Code::Leaving, Ended::Draining)),
                () = silence(&moved, idle) => Some((Code::Leaving, Ended::Silent)),
            }
        };
        if let Some((code, _)) = goodbye {
            // Who does not listen is hung up on.
            let _ = timeout(GOODBYE, self.part(&mut client, code)).await;
        }
        Traffic {
            up: self.up.carried,
            down: self.down.carried,
            ended: goodbye.map(|(_, ended)| ended),
        }
    }

    fn poll(
        &mut self,
        client: &mut Box<dyn Stream>,
        moved: &std::cell::Cell<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let before = (self.up.seen, self.down.seen);
        let up = self.up.poll(client, &mut self.upstream, cx)?;
        let down = self.down.poll(&mut self.upstream, client, cx)?;
        if before != (self.up.seen, self.down.seen) {
            moved.set(Instant::now());
        }
        if up.is_ready() && down.is_ready() {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// Says goodbye to the client at the end of the frame it is being sent, and waits for its answer.
    /// Who leaves lets both through; who was refused is sent no more than is here, is hung up on if
    /// that is half a frame, and reaches the upstream no more.
    async fn part(&mut self, client: &mut Box<dyn Stream>, code: Code) -> io::Result<()> {
        if !self.down.frames.has_closed() {
            let mut nothing = tokio::io::empty();
            std::future::poll_fn(|cx| match code {
                Code::Leaving => self.down.poll_frame(&mut self.upstream, client, cx),
                Code::Refused => self.down.poll_frame(&mut nothing, client, cx),
            })
            .await?;
            let [high, low] = (code as u16).to_be_bytes();
            let farewell = Bytes::copy_from_slice(&[0x88, 2, high, low]);
            let mut last = Pipe::new(farewell);
            std::future::poll_fn(|cx| last.poll(&mut nothing, client, cx)).await?;
        }
        let mut nowhere = tokio::io::sink();
        std::future::poll_fn(|cx| {
            let done = match code {
                Code::Leaving => self.up.poll(client, &mut self.upstream, cx)?,
                Code::Refused => self.up.poll(client, &mut nowhere, cx)?,
            };
            if self.up.frames.has_closed() {
                Poll::Ready(Ok(()))
            } else {
                done.map(Ok)
            }
        })
        .await
    }
}

/// Ends when nothing has moved for as long as `idle`.
async fn silence(moved: &std::cell::Cell<Instant>, idle: Duration) {
    loop {
        let until = moved.get() + idle;
        if until <= Instant::now() {
            return;
        }
        sleep_until(until).await;
    }
}

/// One direction.
#[derive(Debug)]
struct Pipe {
    /// What was read before anybody asked for a tunnel.
    ahead: Bytes,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes read and written, to see that something moved.
    seen: u64,
    /// Bytes written.
    carried: u64,
    /// Whether something was written that may not have left yet.
    unflushed: bool,
    stage: Stage,
    frames: Frames,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// The reader is at its end, the writer does not know yet.
    Ending,
    Ended,
}

impl Pipe {
    fn new(ahead: Bytes) -> Self {
        Self {
            ahead,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            seen: 0,
            carried: 0,
            unflushed: false,
            stage: Stage::Open,
            frames: Frames::default(),
        }
    }

    /// Carries what there is; ready when the reader is at its end and the writer was told.
    fn poll<R, W>(
        &mut self,
        reader: &mut R,
        writer: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            while !self.waiting().is_empty() {
                ready!(self.poll_write(usize::MAX, writer, cx))?;
            }
            match self.stage {
                Stage::Open => ready!(self.poll_read(reader, writer, cx))?,
                Stage::Ending => {
                    ready!(Pin::new(&mut *writer).poll_shutdown(cx))?;
                    self.stage = Stage::Ended;
                }
                Stage::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Carries the rest of the frame that was begun, if one was.
    fn poll_frame<R, W>(
        &mut self,
        reader: &mut R,
        writer: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        while let Some(left) = self.frames.left() {
            if !self.waiting().is_empty() {
                ready!(self.poll_write(left, writer, cx))?;
            } else if self.stage == Stage::Open {
                ready!(self.poll_read(reader, writer, cx))?;
            } else {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What was read and not written.
    fn waiting(&self) -> &[u8] {
        if self.ahead.is_empty() {
            self.buffer.get(self.start..self.end).unwrap_or_default()
        } else {
            &self.ahead
        }
    }

    fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        most: usize,
        writer: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let waiting = self.waiting();
        let part = waiting.get(..most).unwrap_or(waiting);
        let count = ready!(Pin::new(writer).poll_write(cx, part))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let mut frames = std::mem::take(&mut self.frames);
        frames.pass(self.waiting().get(..count).unwrap_or_default());
        self.frames = frames;
        if self.ahead.is_empty() {
            self.start += count;
        } else {
            bytes::Buf::advance(&mut self.ahead, count);
        }
        let carried = u64::try_from(count).unwrap_or(u64::MAX);
        self.carried = self.carried.saturating_add(carried);
        self.seen = self.seen.saturating_add(carried);
        self.unflushed = true;
        Poll::Ready(Ok(()))
    }

    /// Reads into the empty buffer; what was written leaves before anybody waits for more.
    fn poll_read<R, W>(
        &mut self,
        reader: &mut R,
        writer: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut buffer = ReadBuf::new(&mut self.buffer);
        let read = Pin::new(reader).poll_read(cx, &mut buffer);
        if read.is_pending() && self.unflushed {
            ready!(Pin::new(writer).poll_flush(cx))?;
            self.unflushed = false;
        }
        let count = buffer.filled().len();
        ready!(read)?;
        (self.start, self.end) = (0, count);
        self.seen = self.seen.saturating_add(1);
        if count == 0 {
            self.stage = Stage::Ending;
        }
        Poll::Ready(Ok(()))
    }
}
