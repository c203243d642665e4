//! What may stand in a file of rows, and the cases it amounts to.
//!
//! `tests/conformance/README.md` says it for those who read no Rust.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::text::filled;

/// A file of rows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rows: Vec<Row>,
}

/// One promise, and how it is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// `A01`; never renamed, never reused.
    pub(super) id: String,
    /// `U` unit or property, `S` bytes on a socket, `N` long.
    pub(super) tier: Tier,
    /// What is sent, and what comes of it.
    pub(super) title: String,
    /// What goes wrong where the promise is not kept.
    pub(super) class: Class,
    /// The standards that ask for it, and what befell others.
    #[serde(default)]
    pub(super) source: Vec<String>,
    /// What is done here where sources leave a choice.
    pub(super) holds: Option<String>,
    /// Tests in Rust that keep it, `module::name`.
    #[serde(default)]
    pub(super) kept_by: Vec<String>,
    /// Why it is not kept yet.
    pub(super) red: Option<String>,
    /// What the long run does that no other has the time for; `long-runs.yaml` has its day.
    pub(super) long: Option<String>,
    /// What each case has that does not say otherwise.
    #[serde(default)]
    all: Map<String, Value>,
    #[serde(default)]
    cases: Vec<Map<String, Value>>,
}

/// How much it takes to show a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Tier {
    U,
    S,
    N,
}

/// What goes wrong where a promise is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Class {
    #[serde(rename = "policy bypass")]
    PolicyBypass,
    #[serde(rename = "smuggling")]
    Smuggling,
    #[serde(rename = "identity spoofing")]
    IdentitySpoofing,
    #[serde(rename = "credential leak")]
    CredentialLeak,
    #[serde(rename = "availability")]
    Availability,
    #[serde(rename = "robustness")]
    Robustness,
}

impl Class {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::PolicyBypass => "policy bypass",
            Self::Smuggling => "smuggling",
            Self::IdentitySpoofing => "identity spoofing",
            Self::CredentialLeak => "credential leak",
            Self::Availability => "availability",
            Self::Robustness => "robustness",
        }
    }
}

/// How a request gets to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) enum Protocol {
    /// HTTP/1.1, clear.
    #[serde(rename = "h1")]
    Http1,
    /// HTTP/1.1 over TLS.
    #[serde(rename = "h1s")]
    Http1Tls,
    /// HTTP/2, clear, by prior knowledge.
    #[serde(rename = "h2")]
    Http2,
    /// HTTP/2 over TLS.
    #[serde(rename = "h2s")]
    Http2Tls,
}

impl Protocol {
    pub(super) fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Http2Tls)
    }
}

/// One or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Many<T> {
    One(T),
    Several(Vec<T>),
}

impl<T> Many<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}

/// One thing that is sent, and what comes of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// What is special about it.
    pub(super) it: Option<String>,
    /// Whose credential is sent; `nobody` for none.
    #[serde(default = "chief", rename = "as")]
    pub(super) caller: String,
    /// The stage it is played on, of `fixtures.yaml`.
    #[serde(default = "standard")]
    pub(super) fixture: String,
    /// The protocols it is played over; if left out, all that can express it.
    pub(super) on: Option<Vec<Protocol>>,

    /// Method and target, `GET /x`; the rest of a sound request is added.
    pub(super) request: Option<String>,
    /// A whole request line as it stands, for HTTP/1.
    pub(super) line: Option<String>,
    /// `Host`, or `none`.
    #[serde(default = "gate")]
    pub(super) host: String,
    /// Further header lines, as they stand.
    #[serde(default)]
    pub(super) headers: Vec<String>,
    /// The body, its length added unless a header states one.
    #[serde(default)]
    pub(super) body: String,
    /// Everything as it stands, for HTTP/1, in pieces.
    pub(super) raw: Option<Many<Piece>>,
    /// Everything as it stands, for HTTP/2.
    pub(super) frames: Option<Vec<Value>>,

    /// What the upstream answers with, as it stands; it stays.
    pub(super) answers: Option<String>,
    /// The same, and then it hangs up.
    pub(super) cuts: Option<String>,
    /// The same, and then nothing.
    pub(super) stalls: Option<String>,

    /// `400 path_ambiguous`, `200`, `none` for an end without an answer; `reset` for a stream.
    pub(super) expect: Many<String>,
    /// How often that comes, one behind the other.
    #[serde(default = "once")]
    pub(super) expect_times: usize,
    /// The same over HTTP/2, where that has another form for it.
    pub(super) h2: Option<String>,
    /// The class an ambiguous path is of.
    pub(super) path_class: Option<String>,
    /// Whether the connection is closed after the answer.
    pub(super) closes: Option<bool>,
    /// The interim answers before it.
    #[serde(default)]
    pub(super) interim: Vec<u16>,
    /// Headers of the answer: its value, its values, or `null` if it must not be there.
    #[serde(default)]
    pub(super) answer: BTreeMap<String, Option<Many<String>>>,
    /// The body of the answer.
    pub(super) answer_body: Option<String>,
    /// Whether the answer breaks off.
    #[serde(default)]
    pub(super) broken: bool,
    /// What the upstream sees.
    pub(super) up: Option<Many<Seen>>,
    /// The most requests an upstream may see of it, where nobody can say how many it will be. What is
    /// logged of them is not looked at.
    pub(super) few: Option<usize>,
    /// Whether the upstream is begun with and let go, without ever seeing a whole request.
    #[serde(default)]
    pub(super) aborted: bool,
}

/// A part of what is sent as it stands.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Piece {
    Bytes(String),
    Pause(Pause),
}

/// What happens between two parts.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Pause {
    /// Nothing, for so many milliseconds.
    Wait(u64),
    /// Whether the client says that it will send no more.
    HalfClose(bool),
    /// So many heads of requests have reached the upstream.
    Begun(usize),
}

/// A request as the upstream sees it; what is left out is as it was sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    pub(super) method: Option<String>,
    pub(super) target: Option<String>,
    /// Its value, its values, or `null` if it must not be there.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Option<Many<String>>>,
    pub(super) body: Option<String>,
    /// What stands nowhere in it, in any case.
    #[serde(default)]
    pub(super) lacks: Vec<String>,
}

fn once() -> usize {
    1
}

fn chief() -> String {
    "chief".to_owned()
}

fn standard() -> String {
    "standard".to_owned()
}

fn gate() -> String {
    "gate.test".to_owned()
}

impl Case {
    /// What it is called where it fails.
    pub(super) fn name(&self) -> String {
        let sent = || {
            let text = self.line.as_ref().or(self.request.as_ref());
            let text = text.map_or_else(|| format!("{:?}", self.raw), Clone::clone);
            format!("{text} {:?}", self.headers)
        };
        let name = self.it.clone().unwrap_or_else(sent);
        name.chars()
            .take(160)
            .collect::<String>()
            .escape_debug()
            .to_string()
    }

    /// The protocols it is played over.
    pub(super) fn protocols(&self) -> Vec<Protocol> {
        if let Some(on) = &self.on {
            return on.clone();
        }
        let http1 = [Protocol::Http1, Protocol::Http1Tls];
        let http2 = [Protocol::Http2, Protocol::Http2Tls];
        if self.frames.is_some() {
            return http2.to_vec();
        }
        if self.raw.is_some() || self.line.is_some() {
            return http1.to_vec();
        }
        http1.into_iter().chain(http2).collect()
    }
}

impl Row {
    /// Its cases, each with what all of them have, and one for each value of `each` and `other`.
    pub(super) fn cases(&self) -> Vec<Case> {
        self.cases.iter().flat_map(|own| self.spread(own)).collect()
    }

    fn spread(&self, own: &Map<String, Value>) -> Vec<Case> {
        let mut whole = self.all.clone();
        whole.extend(own.clone());
        let mut list = |key: &str| -> Option<Vec<String>> {
            let values = whole.remove(key)?;
            Some(
                values
                    .as_array()?
                    .iter()
                    .map(|value| text(value).to_owned())
                    .collect(),
            )
        };
        let bytes =
            list("each_byte").map(|ranges| ranges.iter().flat_map(|r| bytes_of(r)).collect());
        let each = bytes
            .or_else(|| list("each"))
            .unwrap_or_else(|| vec![String::new()]);
        let other = list("other").unwrap_or_else(|| vec![String::new()]);
        let made = each
            .iter()
            .flat_map(|each| other.iter().map(move |other| (each, other)));
        made.map(|(each, other)| {
            let value = filled(
                &Value::Object(whole.clone()),
                &[("each", each), ("other", other)],
            );
            let case: Result<Case, _> = serde_json::from_value(value);
            case.unwrap_or_else(|error| panic!("{}: {error} in {own:?}", self.id))
        })
        .collect()
    }
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is to be a text"))
}

/// `00-1f` or `7f`, as characters of that number.
fn bytes_of(range: &str) -> Vec<String> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text| u8::from_str_radix(text, 16).expect("two hexadecimal digits");
    (number(first)..=number(last))
        .map(|byte| char::from(byte).to_string())
        .collect()
}

/// All rows, in the order of their ids.
pub(super) fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (path, text) in files() {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if matches!(name.as_str(), "fixtures.yaml" | "long-runs.yaml") {
            continue;
        }
        let file: Result<File, _> = serde_saphyr::from_str(&text);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        rows.extend(file.rows);
    }
    rows.sort_by(|one, other| one.id.cmp(&other.id));
    rows
}

/// The data files, and what stands in them.
pub(super) fn files() -> Vec<(PathBuf, String)> {
    let all = fs::read_dir("tests/conformance").unwrap();
    let mut paths: Vec<PathBuf> = all.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "yaml"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    };
    paths.into_iter().map(read).collect()
}
