//! Cases over HTTP/2: sound requests by their parts, and everything else frame by frame.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fluke_hpack::Decoder;
use serde::Deserialize;

use super::frames::{
    ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING,
    PREFACE, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, code, fields, section,
};
use super::play::Heard;
use super::rows::{Case, Protocol};
use super::stage::Stage;
use super::text;
use crate::harness::{Client, Message, PATIENCE};

/// Frames that are sent before what comes back is read: a peer that answers each must not be
/// left to fill every buffer on the way.
const BURST: usize = 256;

/// One step of a case that is given frame by frame.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Step {
    /// What is sent.
    send: Sent,
    /// Its stream; counted on by two for each of `times`.
    stream: u32,
    times: usize,
    /// Method and target of a request whose usual fields come first.
    request: Option<String>,
    /// Fields, as `[name, value]`.
    fields: Vec<(String, String)>,
    /// Cookies, each a field of its own.
    crumbs: usize,
    /// Bytes behind the fields of a block.
    tail: String,
    /// The payload, where it is not made of something else.
    bytes: Option<String>,
    /// A number: a code, an increment.
    number: u32,
    /// Whether the stream ends with it.
    end: bool,
    /// Whether it is the last part of its block of fields.
    whole: bool,
    /// Whether all of `times` are on one stream.
    same_stream: bool,
}

impl Default for Step {
    fn default() -> Self {
        Self {
            send: Sent::Headers,
            stream: 1,
            times: 1,
            request: None,
            fields: Vec::new(),
            crumbs: 0,
            tail: String::new(),
            bytes: None,
            number: 0,
            end: true,
            whole: true,
            same_stream: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sent {
    Headers,
    Continuation,
    Data,
    Reset,
    Settings,
    Ping,
    Priority,
    WindowUpdate,
    /// Bytes that are no frame.
    Bytes,
    /// Nothing: waits until `stream` is answered or reset.
    Answer,
    /// Nothing: waits until the head of an answer on `stream` has come, or its end.
    Head,
    /// Nothing: waits until the connection ends.
    End,
    /// Bytes in place of everything, the preface too.
    Raw,
    /// A request and its reset, at once.
    OpenAndReset,
    /// A whole request and data behind its end, at once: before it can be answered.
    Overrun,
    /// The start of a request and what its stream has to be reset for, at once.
    Provoke,
}

/// One end of a connection.
struct Peer {
    client: Client,
    decoder: Decoder<'static>,
    pending: Vec<u8>,
    streams: BTreeMap<u32, Stream>,
    goaway: Option<String>,
    ended: bool,
}

#[derive(Debug, Default)]
struct Stream {
    heads: Vec<Vec<(String, String)>>,
    body: Vec<u8>,
    over: bool,
    reset: Option<String>,
}

/// Sends what `case` says on a connection of its own, and hears what comes back.
pub(super) fn converse(stage: &Stage, case: &Case, protocol: Protocol) -> Heard {
    let mut peer = Peer::new(stage.connect(protocol));
    let scheme = if protocol == Protocol::Http2Tls {
        "https"
    } else {
        "http"
    };
    let Some(steps) = &case.frames else {
        let mut bytes = [PREFACE, &Frame::new(SETTINGS, 0, 0, []).bytes()].concat();
        let fields = request(stage, case, scheme);
        let body = text::bytes(&case.body, &|name| stage.look_up(name, &case.caller));
        bytes.extend(section(1, &block(&fields), body.is_empty()));
        if !body.is_empty() {
            bytes.extend(Frame::new(DATA, END_STREAM, 1, body).bytes());
        }
        peer.client.send(bytes);
        peer.read_until(|peer| peer.is_over(1));
        return peer.heard();
    };
    let read = |step: &serde_json::Value| -> Step {
        serde_json::from_value(step.clone())
            .unwrap_or_else(|error| panic!("`{}`: {error} in {step}", case.name()))
    };
    let steps: Vec<_> = steps.iter().map(read).collect();
    if steps.iter().all(|step| step.send != Sent::Raw) {
        peer.client.send(PREFACE);
    }
    for step in &steps {
        peer.step(stage, case, step, scheme);
    }
    peer.heard()
}

/// The fields of a request that is given by its parts.
fn request(stage: &Stage, case: &Case, scheme: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let fill = |text: &str| text::bytes(text, &|name| stage.look_up(name, &case.caller));
    let request = case
        .request
        .as_deref()
        .unwrap_or_else(|| panic!("`{}` sends nothing", case.name()));
    let mut fields = usual(stage, case, request, scheme);
    for header in &case.headers {
        let (name, value) = header.split_once(':').unwrap_or((header, ""));
        fields.push((fill(&name.to_ascii_lowercase()), fill(value.trim())));
    }
    fields
}

/// What every sound request has.
fn usual(stage: &Stage, case: &Case, request: &str, scheme: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let fill = |text: &str| text::bytes(text, &|name| stage.look_up(name, &case.caller));
    let (method, target) = request.split_once(' ').unwrap_or((request, "/"));
    let mut fields = vec![
        (b":method".to_vec(), fill(method)),
        (b":scheme".to_vec(), fill(scheme)),
    ];
    if case.host != "none" {
        fields.push((b":authority".to_vec(), fill(&case.host)));
    }
    fields.push((b":path".to_vec(), fill(target)));
    let states = |header: &String| header.to_ascii_lowercase().starts_with("authorization");
    if case.caller != "nobody" && !case.headers.iter().any(states) {
        fields.push((b"authorization".to_vec(), fill("Bearer <<token>>")));
    }
    fields
}

impl Peer {
    fn new(client: Client) -> Self {
        Self {
            client,
            decoder: Decoder::new(),
            pending: Vec::new(),
            streams: BTreeMap::new(),
            goaway: None,
            ended: false,
        }
    }

    fn step(&mut self, stage: &Stage, case: &Case, step: &Step, scheme: &str) {
        if step.send == Sent::Answer {
            self.read_until(|peer| peer.is_over(step.stream));
            return;
        }
        if step.send == Sent::Head {
            self.read_until(|peer| peer.has_head(step.stream) || peer.is_over(step.stream));
            return;
        }
        if step.send == Sent::End {
            self.read_until(|_| false);
            return;
        }
        let mut burst = Vec::new();
        for turn in 0..step.times {
            let on = u32::try_from(turn).expect("a test sends fewer frames");
            let stream = if step.same_stream {
                step.stream
            } else {
                step.stream + 2 * on
            };
            burst.extend(bytes(stage, case, step, scheme, stream));
            if turn % BURST == BURST - 1 {
                self.client.send(&burst);
                burst.clear();
                self.look();
                if self.ended {
                    return;
                }
            }
        }
        self.client.send(&burst);
    }

    /// Takes in what has come already.
    fn look(&mut self) {
        if self.client.ends_within(Duration::from_millis(1)) {
            self.ended = true;
        }
        if self.client.has_bytes() {
            self.pending.extend(self.client.bytes(1));
            self.take_in();
        }
    }

    fn read_until(&mut self, done: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !done(self) && !self.ended {
            assert!(
                Instant::now() < until,
                "the stream neither ends nor is reset: {:?}",
                self.streams
            );
            let bytes = self.client.bytes(1);
            self.ended = bytes.is_empty();
            self.pending.extend(bytes);
            self.take_in();
        }
    }

    fn take_in(&mut self) {
        while let Some(frame) = Frame::take(&mut self.pending) {
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => {
                    self.client.send(Frame::new(SETTINGS, ACK, 0, []).bytes());
                }
                GOAWAY => self.goaway = Some(code(frame.number(4))),
                HEADERS => {
                    assert!(
                        frame.flags & END_HEADERS != 0,
                        "an answer's head is small: {frame:?}"
                    );
                    let fields = fields(&mut self.decoder, frame.block());
                    let stream = self.streams.entry(frame.stream).or_default();
                    stream.heads.push(fields);
                    stream.over |= frame.flags & END_STREAM != 0;
                }
                DATA => {
                    let stream = self.streams.entry(frame.stream).or_default();
                    stream.body.extend(&frame.payload);
                    stream.over |= frame.flags & END_STREAM != 0;
                }
                RST_STREAM => {
                    let stream = self.streams.entry(frame.stream).or_default();
                    // After a whole answer this is only "send no more".
                    if !stream.over {
                        stream.reset = Some(code(frame.number(0)));
                    }
                    stream.over = true;
                }
                _ => {}
            }
        }
    }

    fn is_over(&self, stream: u32) -> bool {
        let errs = self
            .goaway
            .as_deref()
            .is_some_and(|code| code != "NO_ERROR");
        errs || self.streams.get(&stream).is_some_and(|stream| stream.over)
    }

    fn has_head(&self, stream: u32) -> bool {
        let heads = self.streams.get(&stream).map(|stream| &stream.heads);
        heads.is_some_and(|heads| !heads.is_empty())
    }

    fn heard(self) -> Heard {
        let mut heard = Heard {
            reset: self.goaway.filter(|code| code != "NO_ERROR"),
            ended: Some(self.ended),
            ..Heard::default()
        };
        for stream in self.streams.into_values() {
            let mut heads = stream.heads.into_iter().peekable();
            let status = |head: &[(String, String)]| {
                head.first()
                    .and_then(|(_, value)| value.parse().ok())
                    .unwrap_or(0)
            };
            while let Some(interim) = heads.next_if(|head| status(head) < 200) {
                heard.interim.push(status(&interim));
            }
            if let Some(head) = heads.next() {
                heard.broken |= stream.reset.is_some();
                heard.answers.push(message(head, stream.body, heads.next()));
            }
            heard.reset = stream.reset.or(heard.reset);
        }
        if self.ended && heard.answers.is_empty() {
            heard.reset.get_or_insert_with(|| "CLOSED".to_owned());
        }
        heard
    }
}

/// An answer, as if it had come over HTTP/1.1.
fn message(
    head: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Option<Vec<(String, String)>>,
) -> Message {
    let (pseudo, headers): (Vec<_>, Vec<_>) = head
        .into_iter()
        .partition(|(name, _)| name.starts_with(':'));
    let status = pseudo.first().map_or("", |(_, value)| value.as_str());
    let start = format!("HTTP/2 {status} ");
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let raw = [format!("{start}\r\n{lines}\r\n").as_bytes(), &body].concat();
    Message {
        raw,
        start,
        headers,
        body,
        trailers: trailers.unwrap_or_default(),
    }
}

/// The bytes of one step, on one stream.
fn bytes(stage: &Stage, case: &Case, step: &Step, scheme: &str, stream: u32) -> Vec<u8> {
    let fill = |text: &str| text::bytes(text, &|name| stage.look_up(name, &case.caller));
    let own = || {
        let own = step.fields.iter();
        own.map(|(name, value)| (fill(name), fill(value)))
    };
    let all = || {
        let usual = step
            .request
            .iter()
            .flat_map(|request| usual(stage, case, request, scheme));
        let crumbs = (0..step.crumbs).map(|number| (b"cookie".to_vec(), number.to_string().into()));
        let mut block = block(&usual.chain(own()).chain(crumbs).collect::<Vec<_>>());
        block.extend(fill(&step.tail));
        block
    };
    let payload = || step.bytes.as_deref().map(fill);
    let end = if step.end { END_STREAM } else { 0 };
    let whole = if step.whole { END_HEADERS } else { 0 };
    let pair = |first: Frame, second: Frame| [first.bytes(), second.bytes()].concat();
    let frame = match step.send {
        Sent::Headers if step.whole => {
            let block = payload().unwrap_or_else(all);
            return section(stream, &block, step.end);
        }
        Sent::Headers => Frame::new(HEADERS, end, stream, payload().unwrap_or_else(all)),
        Sent::Continuation => {
            Frame::new(CONTINUATION, whole, stream, payload().unwrap_or_else(all))
        }
        Sent::Data => Frame::new(DATA, end, stream, payload().unwrap_or_default()),
        Sent::Reset => Frame::new(RST_STREAM, 0, stream, step.number.to_be_bytes()),
        Sent::Settings => Frame::new(SETTINGS, 0, 0, payload().unwrap_or_default()),
        Sent::Ping => Frame::new(PING, 0, 0, [0; 8]),
        Sent::Priority => Frame::new(PRIORITY, 0, stream, [0, 0, 0, 0, 16]),
        Sent::WindowUpdate => Frame::new(WINDOW_UPDATE, 0, stream, step.number.to_be_bytes()),
        Sent::Bytes | Sent::Raw => return payload().unwrap_or_default(),
        Sent::OpenAndReset => {
            let open = Frame::new(HEADERS, END_STREAM | END_HEADERS, stream, all());
            return pair(
                open,
                Frame::new(RST_STREAM, 0, stream, CANCEL.to_be_bytes()),
            );
        }
        Sent::Overrun => {
            let open = Frame::new(HEADERS, END_STREAM | END_HEADERS, stream, all());
            return pair(
                open,
                Frame::new(DATA, 0, stream, payload().unwrap_or_default()),
            );
        }
        Sent::Provoke => {
            let open = Frame::new(HEADERS, END_HEADERS, stream, all());
            return pair(open, Frame::new(WINDOW_UPDATE, 0, stream, [0; 4]));
        }
        Sent::Answer | Sent::Head | Sent::End => return Vec::new(),
    };
    frame.bytes()
}
