//! A head goes the whole way to what an upstream would be sent: it is refused, or rebuilt with one
//! Host and nothing that could be read another way (A24 to A44, B01 to B17, C01 to C21). The input is a
//! head as HTTP/1.1 writes it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version};
use portcullis::connection::line::Line;
use portcullis::credential::{Accepts, Issuers, X_API_KEY, is_ours};
use portcullis::decision::{Outcome, Permit};
use portcullis::forward::body::Progress;
use portcullis::forward::{Terms, headers};
use portcullis::head::{self, Entrance, Head};
use portcullis::judge::{Asked, Judge, Judgement};
use portcullis::reason::Reason;
use portcullis::settings::{LISTENER_DEFAULT, Listener};
use portcullis::throttle::Throttle;
use portcullis::words::RequestIds;
use tokio_util::sync::CancellationToken;

use super::{header_lines, world};

/// A listener of which nobody said anything.
static LISTENER: LazyLock<Listener> = LazyLock::new(|| Listener::plain(LISTENER_DEFAULT));
/// What is for one hop, and what whoever writes a message writes anew.
const NOT_SENT_ON: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

pub(crate) fn run(data: &[u8]) {
    let Some(parts) = parts(data) else { return };
    let said = judged(&parts);
    let fewer = judged(&without_talk(&parts));
    assert_eq!(
        said.as_ref()
            .map(|permit| permit.target())
            .map_err(|reason| *reason),
        fewer
            .as_ref()
            .map(|permit| permit.target())
            .map_err(|reason| *reason),
        "a header changes a verdict"
    );
    if let Ok(permit) = &said {
        prepared(&parts, permit);
    }
}

fn parts(data: &[u8]) -> Option<Parts> {
    let end = data
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(data.len());
    let (line, lines) = data.split_at(end);
    let mut words = line.trim_ascii().splitn(3, |byte| *byte == b' ');
    let method = http::Method::from_bytes(words.next()?).ok()?;
    let uri = http::Uri::try_from(words.next()?).ok()?;
    let mut request = http::Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.version_mut() = match words.next()? {
        b"HTTP/1.0" => Version::HTTP_10,
        b"HTTP/2" => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    *request.headers_mut() = header_lines(lines);
    Some(request.into_parts().0)
}

/// What the gateway makes of a request.
fn judged(parts: &Parts) -> Result<Permit, Reason> {
    let world = &*world::WORLD;
    if let Ok(head) = head::check(parts, Entrance::of(&LISTENER, false)) {
        fit(parts, &head);
    }
    let issuers = issuers();
    let throttle = Throttle::new();
    let judge = Judge {
        state: &world.state,
        verifier: &world.verifier,
        issuers: &issuers,
        throttle: &throttle,
        tells_metadata: false,
    };
    let asked = Asked {
        parts,
        source: PEER,
        accepts: Accepts {
            basic: true,
            api_key: true,
        },
        entrance: Entrance::of(&LISTENER, false),
        failures: LISTENER.limits.failures(),
        now: world::NOW,
    };
    let mut target = None;
    match judge.judge(&asked, &mut target) {
        Err(denial) | Ok(Judgement::Decided(Outcome::Denied(denial))) => Err(denial.reason),
        Ok(Judgement::Decided(Outcome::Allowed(permit))) => {
            assert_eq!(target.as_ref(), Some(permit.target().path_and_query()));
            assert_eq!(permit.target().query(), parts.uri.query());
            Ok(permit)
        }
        Ok(Judgement::Decided(Outcome::Shadowed(..))) => panic!("no route is in shadow"),
        Ok(Judgement::Preflight(_)) => panic!("no route answers preflights"),
        Ok(Judgement::Token | Judgement::Revoke | Judgement::SigningKeys | Judgement::Metadata) => {
            Err(Reason::RouteMissing)
        }
    }
}

fn issuers() -> Issuers {
    Issuers::new([world::ISSUER])
}

/// What a head must be that passes.
fn fit(parts: &Parts, head: &Head<'_>) {
    let headers = &parts.headers;
    assert_eq!(head.method.as_str(), parts.method.as_str());
    assert!(head.path_and_query.path().starts_with('/'));
    assert!(head.path_and_query.as_str().len() <= LISTENER.limits.target_bytes);
    let hosts = headers.get_all(HOST).iter().count();
    // HTTP/2 has `:authority` for it, and may say it again.
    let at_least = usize::from(parts.version != Version::HTTP_2);
    assert!((at_least..=1).contains(&hosts), "not one Host");
    let name = head.host.trim_start_matches('[').trim_end_matches(']');
    let strange = |byte: u8| byte.is_ascii_control() || b"/?#@,[] \\\"<>{}|^`%".contains(&byte);
    assert!(!name.bytes().any(strange), "`{}`", head.host);
    assert!(head.host.is_ascii());
    let stated = head::stated_host(parts).expect("a head that passes has a host");
    assert!(stated.as_bytes().starts_with(head.host.as_bytes()));
    let codings: Vec<_> = headers.get_all(TRANSFER_ENCODING).iter().collect();
    if let Some(coding) = codings.first() {
        assert_eq!(codings.len(), 1);
        assert!(
            coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
            "{coding:?}"
        );
        assert!(!headers.contains_key(CONTENT_LENGTH), "two lengths");
        assert_eq!(parts.version, Version::HTTP_11);
    }
    if let Some(authority) = parts.uri.authority() {
        assert!(!authority.as_str().contains('@'), "{authority}");
    }
}

/// The same with only what may decide: request line, Host, credential, and what frames the message.
fn without_talk(parts: &Parts) -> Parts {
    let decides = [
        HOST,
        AUTHORIZATION,
        X_API_KEY,
        CONNECTION,
        CONTENT_LENGTH,
        EXPECT,
        TRANSFER_ENCODING,
    ];
    let mut fewer = parts.clone();
    fewer.headers = HeaderMap::new();
    for (name, value) in &parts.headers {
        if decides.contains(name) {
            fewer.headers.append(name, value.clone());
        }
    }
    fewer
}

/// What an upstream would be sent.
fn prepared(parts: &Parts, permit: &Permit) {
    static IDS: Mutex<Option<RequestIds>> = Mutex::new(None);
    let id = IDS
        .lock()
        .expect("nobody stops while he holds it")
        .get_or_insert_default()
        .next(world::NOW);
    let host = head::stated_host(parts).expect("a head that passes has a host");
    let terms = Terms {
        guard: &(),
        id: &id,
        since: Instant::now(),
        tls: false,
        forwarded_for: &headers::address(PEER),
        upload: &Progress::of(&String::new(), Instant::now()),
        line: &Line::new(CancellationToken::new()),
        trusted_chain: None,
        host: &host,
        body_bytes_max: None,
        body_idle: Duration::from_secs(30),
    };
    let issuers = issuers();
    let surgery = headers::Surgery {
        permit,
        terms: &terms,
        issuers: &issuers,
    };
    let mut sent = HeaderMap::new();
    headers::prepare(&parts.headers, &surgery, &mut |name, value| {
        sent.append(name, value.to_value());
    });
    for name in NOT_SENT_ON {
        assert!(!sent.contains_key(name), "`{name}` is sent on");
    }
    for name in [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-request-id",
    ] {
        assert_eq!(sent.get_all(name).iter().count(), 1, "`{name}`");
    }
    assert_eq!(sent["x-forwarded-for"], "192.0.2.1");
    assert_eq!(sent["x-request-id"], id.as_str());
    let known = permit.identity().is_some();
    let account: Vec<&HeaderValue> = sent.get_all("x-portcullis-account").iter().collect();
    assert_eq!(account, if known { vec!["robot"] } else { vec![] });
    for (name, value) in &sent {
        let name = name.as_str();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        assert!(name.bytes().all(plain), "`{name}` can be read two ways");
        assert!(known || !name.starts_with("x-portcullis-"), "`{name}`");
        let in_base64 = value.as_bytes().to_ascii_lowercase().starts_with(b"basic");
        let looked_into = name == "authorization" || name == "x-api-key" || !in_base64;
        // The host that was asked for is data, as the path is.
        if looked_into && name != "x-forwarded-host" {
            assert!(!is_ours(value, &issuers), "`{name}: {value:?}` is sent on");
        }
    }
}
