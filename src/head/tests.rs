//! What a head has to look like, case by case.

use std::sync::LazyLock;

use super::*;

/// A clear listener with every default.
fn entrance(is_trusted: bool) -> Entrance<'static> {
    static LIMITS: LazyLock<ListenerLimits> = LazyLock::new(ListenerLimits::default);
    Entrance {
        limits: &LIMITS,
        tls: false,
        is_trusted,
    }
}

/// Host and target, or what was wrong.
fn verdict(
    request: http::request::Builder,
) -> Result<(String, String), (Reason, Option<&'static str>)> {
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let head = check(&parts, entrance(false)).map_err(|denial| (denial.reason, denial.hint))?;
    Ok((head.host.to_owned(), head.path_and_query.to_string()))
}

fn get(target: &str) -> http::request::Builder {
    http::Request::builder()
        .uri(target)
        .header("host", "a.example")
}

/// A25, A27, A28.
#[test]
fn only_a_path_or_an_http_uri_is_a_target() {
    for bad in [
        "admin",
        "admin:443",
        "*",
        "ftp://a/x",
        "a://a/x",
        "http://u@a/x",
    ] {
        assert_eq!(
            verdict(get(bad)).unwrap_err().0,
            Reason::RequestMalformed,
            "{bad}"
        );
    }
    assert_eq!(verdict(get("/a?b")).unwrap().1, "/a?b");
    assert_eq!(verdict(get("http://a")).unwrap().1, "/");
}

/// A24: the host of an absolute target wins.
#[test]
fn the_targets_host_wins() {
    assert_eq!(
        verdict(get("http://b.example:80/x")).unwrap().0,
        "b.example"
    );
    assert_eq!(verdict(get("/x")).unwrap().0, "a.example");
}

/// B17.
#[test]
fn a_host_is_one_host() {
    let with = |host: &str| {
        verdict(http::Request::builder().uri("/").header("host", host)).map(|head| head.0)
    };
    for bad in [
        "", ":80", "a,b", "u@a", "a/b", "a b", "[::1", "a:99999", "a:b", "a:1:2", "[x]", "a%41",
    ] {
        assert!(with(bad).is_err(), "{bad}");
    }
    assert_eq!(with("[::1]:80").unwrap(), "[::1]");
    assert_eq!(with("A.example:").unwrap(), "A.example");
    assert!(verdict(http::Request::builder().uri("/")).is_err());
    assert!(verdict(get("/").header("host", "a.example")).is_err());
}

/// A29–A31.
#[test]
fn unknown_methods_are_not_implemented() {
    for method in ["CONNECT", "TRACE", "TRACK", "get", "FOO", "G!#$%"] {
        let reason = verdict(get("/").method(method)).unwrap_err().0;
        assert_eq!(reason, Reason::MethodUnknown, "{method}");
    }
}

#[test]
fn the_only_coding_is_chunked() {
    let with = |coding: &str| {
        verdict(get("/").header("transfer-encoding", coding))
            .map(|_| ())
            .map_err(|e| e.0)
    };
    assert_eq!(with("Chunked"), Ok(()));
    assert_eq!(with("gzip, chunked"), Err(Reason::TransferCodingUnknown));
    assert_eq!(with("identity"), Err(Reason::TransferCodingUnknown));
    assert_eq!(with("chunked, chunked"), Err(Reason::RequestMalformed));
    assert_eq!(with(", chunked"), Err(Reason::RequestMalformed));
}

/// B41.
#[test]
fn connection_names_nothing_end_to_end() {
    for name in ["Host", "Authorization", "content-length", "close, Cookie"] {
        assert!(
            verdict(get("/").header("connection", name)).is_err(),
            "{name}"
        );
    }
    assert!(verdict(get("/").header("connection", "close, X-Foo")).is_ok());
}

#[test]
fn only_100_continue_can_be_expected() {
    assert!(verdict(get("/").header("expect", "100-Continue")).is_ok());
    let reason = verdict(get("/").header("expect", "magic")).unwrap_err().0;
    assert_eq!(reason, Reason::ExpectationFailed);
}

/// B51–B53.
#[test]
fn http2_says_host_and_scheme_once_and_the_same() {
    let http2 = |uri: &str| http::Request::builder().uri(uri).version(Version::HTTP_2);
    for (request, expected) in [
        (http2("http://a.example/x"), Ok("a.example")),
        (
            http2("http://a.example/x").header("host", "A.example"),
            Ok("a.example"),
        ),
        (
            http2("http://a.example:80/x").header("host", "a.example"),
            Err(()),
        ),
        (
            http2("http://a.example/x").header("host", "b.example"),
            Err(()),
        ),
        (
            http2("http://a.example/x")
                .header("host", "a.example")
                .header("host", "a.example"),
            Err(()),
        ),
        (http2("/x"), Err(())),
        (http2("http://a.example?x"), Err(())),
        (http2("http://a.example/x").header("x-a", " b"), Err(())),
        (http2("http://a.example/x").header("x-a", "b\t"), Err(())),
        (http2("/x").header("host", "a.example"), Err(())),
        (http2("http://u:p@a.example/x"), Err(())),
        (http2("http://a,b/x"), Err(())),
        (http2("https://a.example/x"), Err(())),
        (http2("ftp://a.example/x"), Err(())),
        (
            http2("http://a.example/x").method("OPTIONS").uri("*"),
            Err(()),
        ),
    ] {
        let text = format!("{request:?}");
        let verdict = verdict(request).map(|head| head.0);
        let expected = expected.map(str::to_owned);
        assert_eq!(verdict.map_err(|_| ()), expected, "{text}");
    }
    let (parts, ()) = http2("https://a.example/x").body(()).unwrap().into_parts();
    assert!(check(&parts, entrance(true)).is_ok(), "a proxy had TLS");
}

/// B59, B64: crumbs are counted before they are one line.
#[test]
fn cookies_are_one_line_and_counted_as_many() {
    let limits = ListenerLimits::default();
    let crumbs = |count: usize| {
        let mut headers = HeaderMap::new();
        for crumb in 0..count {
            let value = format!("c{crumb}=v").parse().unwrap();
            headers.append(COOKIE, value);
        }
        headers
    };
    let joined = |count| {
        let mut headers = crumbs(count);
        join_cookies(&mut headers, &limits);
        headers
    };
    assert_eq!(joined(3).get(COOKIE).unwrap(), "c0=v; c1=v; c2=v");
    assert_eq!(joined(3).len(), 1);
    assert_eq!((joined(100).len(), joined(101).len()), (1, 101));
    assert!(!fits(&joined(101), &limits));
    let mut long = crumbs(1);
    long.insert("x", "v".repeat(16 * 1024).parse().unwrap());
    assert!(!fits(&long, &limits));
}

/// A41.
#[test]
fn a_long_target_is_too_long() {
    let at = |length: usize| verdict(get(&format!("/{}", "a".repeat(length - 1))));
    assert!(at(16 * 1024).is_ok());
    assert_eq!(at(16 * 1024 + 1).unwrap_err().0, Reason::TargetTooLong);
}
