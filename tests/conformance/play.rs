//! Plays one case over one protocol, and says what is not as the case says.

use super::http1;
use super::http2;
use super::rows::{Case, Protocol, Seen};
use super::stage::Stage;
use super::upstream_laws;
use crate::harness::{Behaviour, Message};

/// One answer: what it was, and what the log has to say of it.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The answer's id, if it got as far as having one.
    pub(super) id: Option<String>,
    /// The reason of the refusal, if it is one.
    pub(super) reason: Option<String>,
}

/// What a case expects of one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Answer {
        status: u16,
        reason: Option<String>,
    },
    /// The connection ends without an answer; the reason that is logged, if any is.
    End {
        reason: Option<String>,
    },
    /// The stream or the connection is reset with one of these codes, or any; the reason that is
    /// logged, if the request had begun.
    Reset {
        codes: Vec<String>,
        reason: Option<String>,
    },
}

impl Expected {
    pub(super) fn read(text: &str) -> Self {
        let mut words = text.split(' ').map(str::to_owned);
        let first = words.next().unwrap_or_default();
        match first.as_str() {
            "none" => Self::End {
                reason: words.next(),
            },
            "reset" => {
                let is_code = |word: &String| word.starts_with(|first: char| first.is_uppercase());
                let (codes, reasons): (Vec<_>, Vec<_>) = words.partition(is_code);
                let reason = reasons.into_iter().next();
                Self::Reset { codes, reason }
            }
            status => Self::Answer {
                status: status
                    .parse()
                    .unwrap_or_else(|_| panic!("`{text}` is nothing to expect")),
                reason: words.next(),
            },
        }
    }

    /// Whether the upstream has seen the request.
    fn is_passed(&self) -> bool {
        match self {
            Self::Answer { reason, .. } => reason
                .as_ref()
                .is_none_or(|reason| reason.starts_with("upstream_")),
            Self::End { .. } | Self::Reset { .. } => false,
        }
    }
}

/// What comes back over a protocol.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The final answers, in order.
    pub(super) answers: Vec<Message>,
    /// The interim ones before them.
    pub(super) interim: Vec<u16>,
    /// The code a stream or the connection was reset with.
    pub(super) reset: Option<String>,
    /// The bytes of an answer that broke off.
    pub(super) broken: bool,
    /// Whether the connection ended.
    pub(super) ended: Option<bool>,
}

/// Plays `case` and returns what has to be on record; `Err` are all its faults.
pub(super) fn play(
    stage: &Stage,
    case: &Case,
    protocol: Protocol,
) -> Result<Vec<Outcome>, Vec<String>> {
    let expected = expected(case, protocol);
    prepare(stage, case);
    let heard = if protocol.is_http2() {
        http2::converse(stage, case, protocol)
    } else {
        http1::converse(stage, case, protocol, &expected)
    };
    let mut faults = Vec::new();
    let mut outcomes = Vec::new();
    answers(
        (case, protocol),
        &expected,
        &heard,
        &mut outcomes,
        &mut faults,
    );
    if heard.interim != case.interim {
        faults.push(format!(
            "interim answers {:?}, not {:?}",
            heard.interim, case.interim
        ));
    }
    if !protocol.is_http2() {
        ending(case, &expected, &heard, &mut faults);
    }
    upstream(stage, case, &expected, &mut faults);
    stage.tidy();
    if faults.is_empty() {
        Ok(outcomes)
    } else {
        Err(faults)
    }
}

fn expected(case: &Case, protocol: Protocol) -> Vec<Expected> {
    match &case.h2 {
        Some(expected) if protocol.is_http2() => vec![Expected::read(expected)],
        Some(_) | None => {
            let once = case.expect.as_slice().iter();
            let once: Vec<_> = once.map(|text| Expected::read(text)).collect();
            std::iter::repeat_n(once, case.expect_times)
                .flatten()
                .collect()
        }
    }
}

/// Whether the HTTP library refuses something of it by itself, which is counted once a connection.
pub(super) fn is_refused_by_the_library(case: &Case, protocol: Protocol) -> bool {
    let bare = |one: &Expected| matches!(one, Expected::Reset { reason: None, .. });
    expected(case, protocol).iter().any(bare)
}

fn prepare(stage: &Stage, case: &Case) {
    let fill = |text: &String| super::text::bytes(text, &|name| stage.look_up(name, &case.caller));
    if let Some(answers) = &case.answers {
        stage.upstream.behave(Behaviour::answer(fill(answers)));
    }
    if let Some(cuts) = &case.cuts {
        stage.upstream.behave(Behaviour::Cut(fill(cuts)));
    }
    if let Some(stalls) = &case.stalls {
        stage.upstream.behave(Behaviour::Stall(fill(stalls)));
    }
    if case.aborted {
        stage.upstream.close_idle();
        stage.upstream.wait_for_open(0);
    }
    stage.upstream.forget();
}

fn answers(
    (case, protocol): (&Case, Protocol),
    expected: &[Expected],
    heard: &Heard,
    outcomes: &mut Vec<Outcome>,
    faults: &mut Vec<String>,
) {
    let mut answers = heard.answers.iter();
    for expected in expected {
        match expected {
            Expected::Answer { status, reason } => {
                let Some(answer) = answers.next() else {
                    let reset = heard.reset.as_deref().unwrap_or("nothing");
                    faults.push(format!("instead of {status} came {reset}"));
                    continue;
                };
                answer_faults(
                    (case, protocol),
                    (*status, reason.as_deref()),
                    answer,
                    faults,
                );
                outcomes.push(Outcome {
                    id: answer.header("x-request-id").map(str::to_owned),
                    reason: reason.clone(),
                });
            }
            Expected::End { reason } => {
                if reason.is_some() {
                    outcomes.push(Outcome {
                        id: None,
                        reason: reason.clone(),
                    });
                }
            }
            Expected::Reset { codes, reason } => {
                match &heard.reset {
                    None => faults.push("the stream was not reset".to_owned()),
                    Some(code) if codes.is_empty() || codes.contains(code) => {}
                    Some(code) => faults.push(format!("reset with {code}, not {codes:?}")),
                }
                if reason.is_some() {
                    outcomes.push(Outcome {
                        id: None,
                        reason: reason.clone(),
                    });
                }
            }
        }
    }
    for answer in answers {
        faults.push(format!("besides came {answer:?}"));
    }
    if case.broken != heard.broken {
        faults.push(format!(
            "the answer breaks off: {}, expected {}",
            heard.broken, case.broken
        ));
    }
}

fn answer_faults(
    (case, protocol): (&Case, Protocol),
    (status, reason): (u16, Option<&str>),
    answer: &Message,
    faults: &mut Vec<String>,
) {
    if answer.status() != status {
        faults.push(format!(
            "the status is {}, not {status}: {answer:?}",
            answer.status()
        ));
        return;
    }
    let told = if answer.body.is_empty() {
        String::new()
    } else {
        answer.reason()
    };
    let public = reason.map(|reason| {
        let row = portcullis::reason::Reason::from_code(reason);
        row.unwrap_or_else(|| panic!("`{reason}` is no reason"))
            .public_code()
    });
    if told != public.unwrap_or_default() && !may_be_bare(case, protocol, answer) {
        faults.push(format!("the reason is {told:?}, not {public:?}"));
    }
    if let Some(class) = &case.path_class
        && !told.is_empty()
        && answer.json()["class"].as_str() != Some(class)
    {
        faults.push(format!(
            "the class is {}, not {class}",
            answer.json()["class"]
        ));
    }
    for (name, wanted) in &case.answer {
        header(
            answer,
            name,
            wanted.as_ref().map_or(&[], |many| many.as_slice()),
            "the answer",
            faults,
        );
    }
    if let Some(body) = &case.answer_body
        && String::from_utf8_lossy(&answer.body) != *body
    {
        faults.push(format!(
            "the answer's body is {:?}, not {body:?}",
            String::from_utf8_lossy(&answer.body)
        ));
    }
}

/// Whether a refusal may stand without its document: one of a HEAD, one that a gRPC client reads in its
/// own words, and the 431 of the HTTP/2 library.
fn may_be_bare(case: &Case, protocol: Protocol, answer: &Message) -> bool {
    let sent = case.request.as_ref().or(case.line.as_ref());
    let is_head = sent.is_some_and(|line| line.starts_with("HEAD "));
    let is_grpc = answer.header("grpc-status").is_some();
    let is_the_librarys = protocol.is_http2() && answer.headers.is_empty();
    answer.body.is_empty() && (is_head || is_grpc || is_the_librarys)
}

/// Compares the lines of a header; `*` is any value.
fn header(message: &Message, name: &str, wanted: &[String], whose: &str, faults: &mut Vec<String>) {
    let found = message.all(name);
    let alike = |(found, wanted): (&&str, &String)| wanted == "*" || found == wanted;
    if found.len() != wanted.len() || !found.iter().zip(wanted).all(alike) {
        faults.push(format!("{whose} has {name}: {found:?}, not {wanted:?}"));
    }
}

/// A malformed request ends its connection, and whatever else says so.
fn ending(case: &Case, expected: &[Expected], heard: &Heard, faults: &mut Vec<String>) {
    let malformed = matches!(
        expected.last(),
        Some(Expected::Answer { status: 400, .. } | Expected::End { .. })
    );
    let wanted = case.closes.or(malformed.then_some(true));
    match (wanted, heard.ended) {
        (Some(true), Some(false)) => faults.push("the connection stays open".to_owned()),
        (Some(false), Some(true)) => faults.push("the connection is closed".to_owned()),
        _ => {}
    }
}

fn upstream(stage: &Stage, case: &Case, expected: &[Expected], faults: &mut Vec<String>) {
    if case.aborted || case.few.is_some() {
        stage.settle();
    }
    if case.aborted {
        stage.upstream.wait_for_open(0);
        if !stage.upstream.requests().is_empty() {
            faults.push(format!(
                "the upstream has a whole request: {:?}",
                stage.upstream.requests()
            ));
        }
        return;
    }
    let requests = stage.upstream.requests();
    if let Some(few) = case.few {
        if requests.len() > few {
            faults.push(format!("the upstream saw {} requests", requests.len()));
        }
        return;
    }
    let wanted: Vec<Seen> = match &case.up {
        Some(up) => up.as_slice().to_vec(),
        None => expected
            .iter()
            .filter(|one| one.is_passed())
            .map(|_| Seen::default())
            .collect(),
    };
    if requests.len() != wanted.len() {
        faults.push(format!("the upstream saw {requests:?}"));
        return;
    }
    if wanted.is_empty() && stage.upstream.bytes() > 0 {
        faults.push(format!("the upstream saw {} bytes", stage.upstream.bytes()));
    }
    for (request, wanted) in requests.iter().zip(&wanted) {
        upstream_laws::check(request, faults);
        seen(stage, case, request, wanted, faults);
    }
}

fn seen(stage: &Stage, case: &Case, request: &Message, wanted: &Seen, faults: &mut Vec<String>) {
    let fill = |text: &str| {
        let bytes = super::text::bytes(text, &|name| stage.look_up(name, &case.caller));
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (method, target) = case
        .request
        .as_deref()
        .and_then(|sent| sent.split_once(' '))
        .unzip();
    let mut same = |what: &str, found: &str, wanted: Option<&str>| {
        if let Some(wanted) = wanted.map(fill)
            && found != wanted
        {
            faults.push(format!(
                "the upstream's {what} is {found:?}, not {wanted:?}"
            ));
        }
    };
    same(
        "method",
        request.method(),
        wanted.method.as_deref().or(method),
    );
    same(
        "target",
        request.target(),
        wanted.target.as_deref().or(target),
    );
    let body = case.request.is_some().then_some(case.body.as_str());
    let body = wanted.body.as_deref().or(body);
    same("body", &String::from_utf8_lossy(&request.body), body);
    for (name, wanted) in &wanted.headers {
        let wanted = wanted.as_ref().map_or(&[][..], |many| many.as_slice());
        let wanted: Vec<_> = wanted.iter().map(|one| fill(one)).collect();
        header(request, name, &wanted, "the upstream", faults);
    }
    let raw = String::from_utf8_lossy(&request.raw).to_ascii_lowercase();
    for absent in &wanted.lacks {
        if raw.contains(&fill(absent).to_ascii_lowercase()) {
            faults.push(format!(
                "{absent:?} stands in what the upstream saw: {request:?}"
            ));
        }
    }
}
