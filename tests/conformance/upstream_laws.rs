//! What holds of every request an upstream is sent, whatever a case says of it.

use crate::harness::Message;

/// Fields that are for one hop, or for us, and never go on.
const NEVER: [&str; 12] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "trailer",
    "upgrade",
    "http2-settings",
    "expect",
    "x-http-method-override",
    "x-original-url",
    "x-rewrite-url",
    "forwarded",
];

/// Adds what is wrong with `request`.
pub(super) fn check(request: &Message, faults: &mut Vec<String>) {
    let mut hold = |law: &str, held: bool| {
        if !held {
            faults.push(format!("the upstream is to be sent {law}: {request:?}"));
        }
    };
    let head = request
        .raw
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap_or_default();
    let head = String::from_utf8_lossy(request.raw.get(..head).unwrap_or_default());
    let bare = head.replace("\r\n", "");
    hold("whole line ends", !bare.contains(['\r', '\n', '\0']));
    hold(
        "a request line of three words",
        request.start.split(' ').count() == 3,
    );
    hold("a path", request.target().starts_with('/'));
    hold("one Host", request.all("host").len() == 1);
    let lengths = request.all("content-length");
    let codings = request.all("transfer-encoding");
    hold("one length", lengths.len() + codings.len() <= 1);
    hold(
        "no coding but `chunked`",
        codings.iter().all(|coding| *coding == "chunked"),
    );
    let plain = |length: &&str| {
        length
            .parse::<u64>()
            .is_ok_and(|number| number.to_string() == **length)
    };
    hold("a decimal length", lengths.iter().all(plain));
    for (name, _) in &request.headers {
        let sound = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        hold(
            "no name that can be read two ways",
            sound || name == "api_key",
        );
        let lower = name.to_ascii_lowercase();
        hold(
            "nothing that is for one hop",
            !NEVER.contains(&lower.as_str()),
        );
        if lower.starts_with("x-portcullis-") || lower.starts_with("x-forwarded-") {
            hold("each of our names once", request.all(name).len() == 1);
        }
    }
    hold("no trailers", request.trailers.is_empty());
}
