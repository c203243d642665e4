//! Cases over HTTP/1.1: written as they stand, read without a library.

use std::time::Duration;

use super::play::{Expected, Heard};
use super::rows::{Case, Pause, Piece, Protocol};
use super::stage::Stage;
use super::text;
use crate::harness::{Client, Kind, Message, PATIENCE};

/// How long a connection that is to stay open is watched for its end.
const STAYS: Duration = Duration::from_millis(30);

/// Sends what `case` says and hears what comes back.
pub(super) fn converse(
    stage: &Stage,
    case: &Case,
    protocol: Protocol,
    expected: &[Expected],
) -> Heard {
    let mut client = stage.connect(protocol);
    match &case.raw {
        Some(pieces) => {
            for piece in pieces.as_slice() {
                send(stage, case, piece, &mut client);
            }
        }
        None => {
            client.send(request(stage, case));
        }
    }
    listen(case, &mut client, expected)
}

fn send(stage: &Stage, case: &Case, piece: &Piece, client: &mut Client) {
    match piece {
        Piece::Bytes(bytes) => {
            client.send(fill(stage, case, bytes));
        }
        Piece::Pause(Pause::Wait(milliseconds)) => {
            std::thread::sleep(Duration::from_millis(*milliseconds));
        }
        Piece::Pause(Pause::HalfClose(no_more)) => {
            if *no_more {
                client.half_close();
            }
        }
        Piece::Pause(Pause::Begun(heads)) => stage.upstream.wait_for_heads(*heads),
    }
}

fn fill(stage: &Stage, case: &Case, text: &str) -> Vec<u8> {
    text::bytes(text, &|name| stage.look_up(name, &case.caller))
}

/// The request of a case that is not given raw.
fn request(stage: &Stage, case: &Case) -> Vec<u8> {
    let line = case.line.clone().or_else(|| {
        let request = case.request.as_ref()?;
        Some(format!("{request} HTTP/1.1"))
    });
    let line = line.unwrap_or_else(|| panic!("`{}` sends nothing", case.name()));
    let body = fill(stage, case, &case.body);
    let mut text = line + "\r\n";
    if case.host != "none" {
        text += &format!("Host: {}\r\n", case.host);
    }
    let states = |header: &String, name: &str| {
        let stated = header.split(':').next().unwrap_or_default().trim();
        stated.eq_ignore_ascii_case(name)
    };
    if !case
        .headers
        .iter()
        .any(|header| states(header, "authorization"))
    {
        text += "<<auth>>";
    }
    for header in &case.headers {
        text += &format!("{header}\r\n");
    }
    let framed =
        |header: &String| states(header, "content-length") || states(header, "transfer-encoding");
    if !body.is_empty() && !case.headers.iter().any(framed) {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    [fill(stage, case, &(text + "\r\n")), body].concat()
}

fn listen(case: &Case, client: &mut Client, expected: &[Expected]) -> Heard {
    let mut heard = Heard::default();
    let method = case.request.as_ref().or(case.line.as_ref());
    let kind = if method.is_some_and(|line| line.starts_with("HEAD ")) {
        Kind::ResponseToHead
    } else {
        Kind::Response
    };
    if case.broken {
        let bytes = client.rest();
        heard.broken = !bytes.is_empty() && Message::parse(&bytes, kind, true).is_none();
        heard.answers.extend(head_alone(&bytes));
        heard.ended = Some(true);
        return heard;
    }
    for one in expected {
        if matches!(one, Expected::End { .. }) {
            let rest = client.rest();
            heard.answers.extend(Message::parse(&rest, kind, true));
            heard.ended = Some(true);
            return heard;
        }
        loop {
            let answer = client.any_response(kind);
            if answer.status() >= 200 || answer.status() == 101 {
                heard.answers.push(answer);
                break;
            }
            heard.interim.push(answer.status());
        }
    }
    let malformed = matches!(expected.last(), Some(Expected::Answer { status: 400, .. }));
    heard.ended = Some(match case.closes {
        Some(false) => client.ends_within(STAYS),
        Some(true) => client.ends_within(PATIENCE),
        None => malformed && client.ends_within(PATIENCE),
    });
    if client.has_bytes() {
        let more = client.bytes(1);
        heard.answers.extend(Message::parse(&more, kind, true));
    }
    heard
}

/// The head of an answer whose body never came whole.
fn head_alone(bytes: &[u8]) -> Option<Message> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Message::parse(bytes.get(..end + 4)?, Kind::ResponseToHead, true)
}
