//! WebSocket (RFC 6455), both sides of it and no more than the tests need: whole frames, masks, the
//! close handshake. Written out, so that a test says which bytes are sent when.

use std::io::{Error, ErrorKind, Result};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Kind, Message};

/// What the key of a handshake is answered with.
pub(crate) fn accept_of(key: &[u8]) -> String {
    let text = [key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text))
}

/// The key every client here sends; what matters is the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Op {
    const ALL: [(Self, u8); 5] = [
        (Self::Text, 1),
        (Self::Binary, 2),
        (Self::Close, 8),
        (Self::Ping, 9),
        (Self::Pong, 10),
    ];
}

/// One frame, and a message of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) op: Op,
    pub(crate) payload: Vec<u8>,
}

impl Piece {
    /// The code of a close frame; 1005 is that of one that has none.
    pub(crate) fn code(&self) -> Option<u16> {
        let code = self.payload.first_chunk::<2>();
        (self.op == Op::Close).then(|| code.map_or(1005, |code| u16::from_be_bytes(*code)))
    }
}

/// One end of a WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocket<S> {
    io: S,
    masks: bool,
    pending: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Asks for a WebSocket at `target`, with these headers more.
    ///
    /// # Errors
    ///
    /// The answer, if it is another than 101, or what the socket said.
    pub(crate) async fn open(
        mut io: S,
        target: &str,
        headers: &[(&str, &str)],
    ) -> std::result::Result<Self, Refused> {
        let mut text = format!(
            "GET {target} HTTP/1.1\r\nHost: gate.test\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
        );
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        io.write_all((text + "\r\n").as_bytes()).await?;
        let mut pending = Vec::new();
        loop {
            if let Some(answer) = Message::parse(&pending, Kind::Response, false) {
                if answer.status() != 101 {
                    return Err(Refused::Answer(answer));
                }
                let accept = answer.header("sec-websocket-accept");
                assert_eq!(accept, Some(accept_of(KEY.as_bytes()).as_str()));
                pending.drain(..answer.raw.len());
                return Ok(Self {
                    io,
                    masks: true,
                    pending,
                });
            }
            if io.read_buf(&mut pending).await? == 0 {
                return Err(Error::from(ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// The server's end, after its 101.
    pub(crate) fn server(io: S) -> Self {
        Self {
            io,
            masks: false,
            pending: Vec::new(),
        }
    }

    /// Sends one frame.
    pub(crate) async fn send(&mut self, op: Op, payload: &[u8]) -> Result<()> {
        let code = Op::ALL.iter().find(|(own, _)| *own == op).map(|(_, c)| *c);
        let mut frame = vec![0x80 | code.expect("all are listed")];
        let mask = if self.masks { 0x80 } else { 0 };
        match payload.len() {
            short @ 0..=125 => frame.push(mask | short as u8),
            long @ 126..=0xffff => {
                frame.push(mask | 126);
                frame.extend((long as u16).to_be_bytes());
            }
            long => {
                frame.push(mask | 127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        if self.masks {
            let key = [0x12, 0x34, 0x56, 0x78];
            frame.extend(key);
            let masked = payload.iter().zip(key.iter().cycle());
            frame.extend(masked.map(|(byte, mask)| byte ^ mask));
        } else {
            frame.extend(payload);
        }
        self.io.write_all(&frame).await?;
        self.io.flush().await
    }

    /// The next frame, or nothing at the end of the connection.
    pub(crate) async fn next(&mut self) -> Result<Option<Piece>> {
        loop {
            if let Some((piece, length)) = parse(&self.pending) {
                self.pending.drain(..length);
                return Ok(Some(piece));
            }
            if self.io.read_buf(&mut self.pending).await? == 0 {
                return if self.pending.is_empty() {
                    Ok(None)
                } else {
                    Err(ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// Sends a text and waits for it to come back; what came instead, if it did not.
    pub(crate) async fn ask(&mut self, text: &str) -> Result<Option<Piece>> {
        self.send(Op::Text, text.as_bytes()).await?;
        let piece = self.next().await?;
        Ok(piece.filter(|piece| piece.op != Op::Text || piece.payload != text.as_bytes()))
    }

    /// Says everything back until the other end has had enough.
    pub(crate) async fn echo(&mut self) -> Result<()> {
        while let Some(piece) = self.next().await? {
            match piece.op {
                Op::Text | Op::Binary => self.send(piece.op, &piece.payload).await?,
                Op::Ping => self.send(Op::Pong, &piece.payload).await?,
                Op::Pong => {}
                Op::Close => {
                    self.send(Op::Close, &piece.payload).await?;
                    return self.io.shutdown().await;
                }
            }
        }
        Ok(())
    }
}

/// Why there is no WebSocket.
#[derive(Debug)]
pub(crate) enum Refused {
    Answer(Message),
    Broken(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

/// The first frame in `bytes` and its length.
fn parse(bytes: &[u8]) -> Option<(Piece, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let op = Op::ALL.iter().find(|(_, code)| *code == first & 0x0f)?.0;
    let (length, mut at) = match second & 0x7f {
        126 => (
            u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
            4,
        ),
        127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?), 10),
        short => (u64::from(short), 2),
    };
    let mut key = [0; 4];
    if second & 0x80 != 0 {
        key = *bytes.get(at..)?.first_chunk()?;
        at += 4;
    }
    let end = at + usize::try_from(length).ok()?;
    let payload = bytes.get(at..end)?.iter().zip(key.iter().cycle());
    let payload = payload.map(|(byte, mask)| byte ^ mask).collect();
    Some((Piece { op, payload }, end))
}

#[tokio::test]
async fn two_ends_understand_each_other() {
    assert_eq!(accept_of(KEY.as_bytes()), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let mut client = WebSocket {
        io: ours,
        masks: true,
        pending: Vec::new(),
    };
    let mut server = WebSocket::server(theirs);
    for length in [0, 125, 126, 0xffff, 0x1_0000] {
        let payload = vec![b'x'; length];
        client.send(Op::Text, &payload).await.unwrap();
        let expected = Some(Piece {
            op: Op::Text,
            payload,
        });
        assert_eq!(server.next().await.unwrap(), expected);
    }
    server
        .send(Op::Close, &1001_u16.to_be_bytes())
        .await
        .unwrap();
    assert_eq!(client.next().await.unwrap().unwrap().code(), Some(1001));
}
