//! The steps of an authorized request one by one, as the gateway takes them: over the 1,223 operations
//! of GitHub's API, with as many tokens in turn as are asked for. What is timed and what is counted are the same.
//!
//! Each piece is a function of its own that is not inlined, so that a profiler can name it. Not here: the
//! sockets, the HTTP library and the upstream, of which `benches/compare` and the whole
//! requests of `benches/counts` tell.

use std::hint::black_box;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderValue, Request, Version};
use portcullis::connection::line::Line;
use portcullis::credential::{Accepts, Credential, Foreign, Issuers, read};
use portcullis::decision::{Denial, Outcome, Permit, Question, decide};
use portcullis::directory::{Directory, SigningKey, SigningKeys, State};
use portcullis::forward::Terms;
use portcullis::forward::body::Progress;
use portcullis::forward::headers::{Surgery, prepare};
use portcullis::head::{self, Entrance};
use portcullis::judge::{Asked, Judge, Judgement};
use portcullis::oauth::{MintRequest, mint};
use portcullis::policy::compile::{Context, SourceFile, compile};
use portcullis::policy::matcher::Lookup;
use portcullis::reason::Reason;
use portcullis::record::{Received, Recorder, Ticket, Verdict};
use portcullis::reject;
use portcullis::request::Target;
use portcullis::settings::{Decisions, Listener, Tokens};
use portcullis::telemetry::log::Log;
use portcullis::telemetry::metrics::{AccountLabels, Metrics};
use portcullis::throttle::Throttle;
use portcullis::verify::Verifier;
use portcullis::words::{Caller, KeyId, Method, RequestIds, Secret, TokenId, UnixTime};
use tokio_util::sync::CancellationToken;

/// `METHOD /path/{template}`, one a line.
const ROUTES: &str = include_str!("data/github-routes.txt");

/// Paths that take turns.
const PATHS: usize = 48;

const NOW: UnixTime = UnixTime::from_secs(1_795_302_000);
const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// A step: its name, and the step.
pub(crate) type Piece = (&'static str, fn(&mut Desk));

/// All steps, in the order a request takes them, and then what is taken instead.
pub(crate) const PIECES: [Piece; 12] = [
    ("check the head", piece_head),
    ("one meaning for the path", piece_path),
    ("find the route", piece_route),
    ("read the credential", piece_credential),
    ("know the token again", piece_token),
    ("decide", piece_decision),
    ("the whole decision", piece_judgement),
    ("the head for the upstream", piece_upstream_head),
    ("count and log", piece_record),
    ("refuse for a missing permission", piece_refusal),
    ("the whole decision against a stranger", piece_stranger),
    ("the whole decision against a forged token", piece_forged),
];

/// A gateway's parts without its sockets, and requests for it.
pub(crate) struct Desk {
    state: State,
    verifier: Verifier,
    issuers: Issuers,
    throttle: Throttle,
    listener: Listener,
    metrics: Arc<Metrics>,
    recorder: Rc<Recorder>,
    log: Option<Log>,
    ids: RequestIds,
    line: Line,
    requests: Vec<Prepared>,
    /// Requests without a credential, and with one of somebody else.
    strange: Vec<Parts>,
    forged: Vec<Parts>,
    permit: Permit,
    forwarded_for: HeaderValue,
    host: HeaderValue,
    denial: Box<Denial>,
    out: Vec<u8>,
    turn: usize,
}

/// A request, and what the steps before each step make of it.
struct Prepared {
    parts: Parts,
    token: String,
    target: Target,
    lookup: Lookup,
    caller: Caller,
}

impl Desk {
    /// Everything in place, and each of so many tokens seen once.
    pub(crate) fn new(tokens: usize) -> Self {
        let world = World::new();
        let verifier = Verifier::new(&world.tokens, None);
        let requests: Vec<Prepared> = (0..tokens)
            .map(|number| world.prepared(&verifier, number))
            .collect();
        let strange = (0..PATHS).map(|number| parts(number, None)).collect();
        let theirs = keys();
        let forged = (0..PATHS)
            .map(|number| parts(number, Some(&world.issue(&theirs))))
            .collect();
        let state = world.state;
        let log = Log::start(std::io::sink()).expect("a thread can be started");
        let metrics = Arc::new(Metrics::new(AccountLabels::UpTo(500)));
        let first = requests.first().expect("there are some");
        let Outcome::Allowed(permit) = first.decided(&state) else {
            unreachable!("the account may do everything")
        };
        Self {
            verifier,
            issuers: Issuers::new([world.tokens.issuer.as_str()]),
            throttle: Throttle::new(),
            listener: Listener::plain(([127, 0, 0, 1], 80).into()),
            recorder: recorder(&metrics, &log),
            metrics,
            log: Some(log),
            ids: RequestIds::new(),
            line: Line::new(CancellationToken::new()),
            strange,
            forged,
            permit,
            forwarded_for: HeaderValue::from_static("192.0.2.7"),
            host: HeaderValue::from_static("api.example.com"),
            denial: lacking(first, &state),
            out: Vec::with_capacity(4096),
            turn: 0,
            requests,
            state,
        }
    }

    /// Gives the record a buffer of its own: one that reached its bound would drop lines, which is fast.
    /// It is good for some thousand.
    pub(crate) fn rest(&mut self) {
        if let Some(log) = &self.log {
            self.recorder = recorder(&self.metrics, log);
        }
    }

    /// Whose turn it is.
    fn next(&mut self) -> usize {
        self.turn = (self.turn + 1) % self.requests.len();
        self.turn
    }

    fn judge(&self, parts: &Parts) -> Result<Judgement, Box<Denial>> {
        let judge = Judge {
            state: &self.state,
            verifier: &self.verifier,
            issuers: &self.issuers,
            throttle: &self.throttle,
            tells_metadata: false,
        };
        let asked = Asked {
            parts,
            source: SOURCE,
            accepts: Accepts::of(&self.listener),
            entrance: Entrance::of(&self.listener, false),
            failures: portcullis::words::Rate::new(1_000_000, Duration::from_secs(1)),
            now: NOW,
        };
        judge.judge(&asked, &mut None)
    }
}

fn recorder(metrics: &Arc<Metrics>, log: &Log) -> Rc<Recorder> {
    let (metrics, log) = (Arc::clone(metrics), log.handle());
    let stop = CancellationToken::new();
    Rc::new(Recorder::new(metrics, log, None, Decisions::All, stop))
}

/// Whoever's turn it is.
fn at<T>(list: &[T], turn: usize) -> &T {
    list.get(turn).expect("turns stay below the length")
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(log) = self.log.take() {
            log.stop(Duration::from_secs(5));
        }
    }
}

#[inline(never)]
fn piece_head(desk: &mut Desk) {
    let turn = desk.next();
    let request = at(&desk.requests, turn);
    let entrance = Entrance::of(&desk.listener, false);
    assert!(head::check(black_box(&request.parts), entrance).is_ok());
}

#[inline(never)]
fn piece_path(desk: &mut Desk) {
    let turn = desk.next();
    let uri = &at(&desk.requests, turn).parts.uri;
    let path = uri.path_and_query().expect("it has one");
    let read = Target::parse(black_box(path), desk.state.policy.classes_read);
    assert!(black_box(read).is_ok());
}

#[inline(never)]
fn piece_route(desk: &mut Desk) {
    let turn = desk.next();
    let request = at(&desk.requests, turn);
    let policy = &desk.state.policy;
    let found = policy.find(
        Some("api.example.com"),
        Method::Get,
        black_box(request.target.path()),
    );
    assert!(matches!(black_box(found), Ok(Lookup::Found(_))));
}

#[inline(never)]
fn piece_credential(desk: &mut Desk) {
    let turn = desk.next();
    let headers = &at(&desk.requests, turn).parts.headers;
    let found = read(
        black_box(headers),
        Accepts::of(&desk.listener),
        Foreign::Counts,
    );
    assert!(matches!(black_box(found), Ok(Credential::Bearer(_))));
}

#[inline(never)]
fn piece_token(desk: &mut Desk) {
    let turn = desk.next();
    let credential = Credential::Bearer(black_box(&at(&desk.requests, turn).token));
    let found = desk
        .verifier
        .verify(&credential, &desk.state, (NOW, Some(SOURCE)));
    assert!(matches!(black_box(found), Ok(Some(_))));
}

#[inline(never)]
fn piece_decision(desk: &mut Desk) {
    let turn = desk.next();
    let outcome = at(&desk.requests, turn).decided(&desk.state);
    assert!(matches!(black_box(outcome), Outcome::Allowed(_)));
}

#[inline(never)]
fn piece_judgement(desk: &mut Desk) {
    let turn = desk.next();
    let judged = desk.judge(black_box(&at(&desk.requests, turn).parts));
    assert!(matches!(
        black_box(judged),
        Ok(Judgement::Decided(Outcome::Allowed(_)))
    ));
}

#[inline(never)]
fn piece_stranger(desk: &mut Desk) {
    let turn = desk.next() % PATHS;
    let judged = desk.judge(black_box(at(&desk.strange, turn)));
    assert!(matches!(
        black_box(judged),
        Ok(Judgement::Decided(Outcome::Denied(_)))
    ));
}

#[inline(never)]
fn piece_forged(desk: &mut Desk) {
    let turn = desk.next() % PATHS;
    let judged = desk.judge(black_box(at(&desk.forged, turn)));
    assert!(matches!(
        black_box(judged),
        Ok(Judgement::Decided(Outcome::Denied(_)))
    ));
}

#[inline(never)]
fn piece_upstream_head(desk: &mut Desk) {
    let turn = desk.next();
    let id = desk.ids.next(NOW);
    let upload = Progress::of(&http_body_util::Empty::<&[u8]>::new(), Instant::now());
    let terms = Terms {
        id: &id,
        since: Instant::now(),
        tls: false,
        forwarded_for: &desk.forwarded_for,
        upload: &upload,
        line: &desk.line,
        guard: &(),
        trusted_chain: None,
        host: &desk.host,
        body_bytes_max: None,
        body_idle: Duration::from_secs(30),
    };
    let surgery = Surgery {
        permit: &desk.permit,
        terms: &terms,
        issuers: &desk.issuers,
    };
    let out = &mut desk.out;
    out.clear();
    let headers = &at(&desk.requests, turn).parts.headers;
    prepare(black_box(headers), &surgery, &mut |name, value| {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    });
    assert!(black_box(out).len() > 100);
}

#[inline(never)]
fn piece_record(desk: &mut Desk) {
    let turn = desk.next();
    let id = desk.ids.next(NOW);
    let request = at(&desk.requests, turn);
    let mut verdict = Verdict {
        id,
        at: NOW,
        started: Instant::now(),
        method: http::Method::GET,
        target: request.parts.uri.path_and_query().cloned(),
        scheme: "http",
        version: Version::HTTP_11,
        host: Some(desk.host.clone()),
        source: SOURCE,
        peer: SOURCE,
        user_agent: request.parts.headers.get("user-agent").cloned(),
        client_request_id: None,
        route: desk.permit.route().cloned(),
        token_endpoint: false,
        account: None,
        key: None,
        token: None,
        token_id: None,
        permissions: desk
            .permit
            .identity()
            .and_then(|identity| identity.permissions.clone()),
        denial: None,
        shadow: false,
        status: Some(http::StatusCode::OK),
        ended: None,
        authz: Some(Duration::from_nanos(1_900)),
        upstream: Some(desk.state.policy.upstream(desk.permit.upstream()).clone()),
        cause: None,
        upstream_wait: Duration::from_micros(210),
        sent_bytes: 1041,
        received: Received::Nothing,
    };
    verdict.saw(&request.caller);
    drop(Ticket::new(black_box(verdict), Rc::clone(&desk.recorder)));
}

#[inline(never)]
fn piece_refusal(desk: &mut Desk) {
    let id = desk.ids.next(NOW);
    let answer = reject::respond(black_box(&desk.denial), &id);
    assert!(black_box(answer).status() == http::StatusCode::FORBIDDEN);
}

impl Prepared {
    fn decided(&self, state: &State) -> Outcome {
        let sent = self.parts.uri.path_and_query().expect("it has one");
        let question = Question {
            policy: &state.policy,
            target: &self.target,
            sent,
            host: Some("api.example.com"),
            lookup: &self.lookup,
            headers: &self.parts.headers,
            source: Some(SOURCE),
        };
        decide(black_box(&question), Ok(Some(self.caller.clone())))
    }
}

/// A refusal of a known caller, as the decision makes it.
fn lacking(request: &Prepared, state: &State) -> Box<Denial> {
    let caller = Some(request.caller.clone());
    let Outcome::Allowed(permit) = request.decided(state) else {
        unreachable!("the account may do everything")
    };
    Box::new(Denial {
        caller,
        route: permit.route().cloned(),
        ..Denial::new(Reason::PermissionMissing)
    })
}

/// One account that may do everything.
struct World {
    tokens: Tokens,
    state: State,
    key: KeyId,
}

/// Something to sign with.
fn keys() -> SigningKeys {
    SigningKeys::new(vec![SigningKey::generate(NOW).0])
}

impl World {
    fn new() -> Self {
        let (key, secret) = (KeyId::random(), Secret::random());
        let text = policy_text(&key.to_string(), &secret.digest().to_string());
        let file = SourceFile {
            path: Arc::from(std::path::Path::new("pieces.yaml")),
            text,
        };
        let context = Context {
            upstreams: None,
            own_endpoints: Vec::new(),
            files_only: false,
        };
        let policy = match compile(&[file], &context) {
            Ok(policy) => Arc::new(policy),
            Err(faults) => unreachable!("{faults:?}"),
        };
        let directory = Directory::of_files(&policy).directory;
        let directory = directory.with_signing(Arc::new(keys()));
        Self {
            tokens: Tokens {
                issuer: "https://gate.example.com".into(),
                audience: "inventory".into(),
                lifetime: Duration::from_secs(900),
                ..Tokens::default()
            },
            state: State { policy, directory },
            key,
        }
    }

    fn issue(&self, signing: &SigningKeys) -> String {
        let request = MintRequest {
            id: TokenId::random(),
            account: self
                .state
                .directory
                .account_named("ci")
                .expect("it is there"),
            key: Some(self.key),
            scope: None,
            lifetime: self.tokens.lifetime,
        };
        mint(signing.current(), &self.tokens, request, NOW).expect("there is a key")
    }

    fn prepared(&self, verifier: &Verifier, number: usize) -> Prepared {
        let token = self.issue(self.state.directory.signing());
        let parts = parts(number, Some(&token));
        let path = parts.uri.path_and_query().expect("it has one");
        let policy = &self.state.policy;
        let target = Target::parse(path, policy.classes_read).expect("it has one meaning");
        let lookup = policy.find(Some("api.example.com"), Method::Get, target.path());
        let credential = Credential::Bearer(&token);
        let caller = verifier.verify(&credential, &self.state, (NOW, Some(SOURCE)));
        Prepared {
            caller: caller.expect("it is good").expect("somebody calls"),
            lookup: lookup.expect("the host is known"),
            target,
            token,
            parts,
        }
    }
}

/// The head of a request as a client in Python sends it.
fn parts(number: usize, token: Option<&str>) -> Parts {
    let site = number % PATHS / 3 + 1;
    let path = match number % 3 {
        0 => format!("/repos/acme/site-{site}/issues/{}", site * 7),
        1 => format!("/repos/acme/site-{site}/pulls?state=open"),
        _ => format!("/repos/acme/site-{site}"),
    };
    let request = Request::get(path)
        .header("host", "api.example.com")
        .header("user-agent", "python-requests/2.34.2")
        .header("accept-encoding", "gzip, deflate, br")
        .header("accept", "*/*");
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    request.body(()).expect("a request").into_parts().0
}

/// Every operation with a permission of its first segment.
fn policy_text(key: &str, digest: &str) -> String {
    let mut permissions = std::collections::BTreeSet::new();
    let mut routes = String::new();
    for line in ROUTES.lines() {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let first = path.split('/').nth(1).unwrap_or_default();
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = first.chars().map(plain).collect();
        let name = name.trim_matches('-');
        let name = if name.is_empty() { "root" } else { name };
        let action = if method == "GET" { "view" } else { "edit" };
        routes.push_str(&format!("  {method} {path}: {name}:{action}\n"));
        permissions.insert(format!("{name}:{action}"));
    }
    let declared: String = permissions
        .iter()
        .map(|permission| format!("  {permission}: One of GitHub's\n"))
        .collect();
    let all: Vec<_> = permissions.into_iter().collect();
    format!(
        "upstream: api\npermissions:\n{declared}roles:\n  everything:\n    description: All of it\n    \
         permissions: [{}]\naccounts:\n  ci:\n    description: Builds\n    id: sa_ci\n    \
         grants: [{{ role: everything }}]\n    keys: [{{ id: {key}, digest: '{digest}' }}]\nroutes:\n{routes}",
        all.join(", ")
    )
}
