//! Every endpoint of httpbin, what it takes to reach it, and how its answer is compared.

/// How the answer through the gateway compares to the answer without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// Status, reason phrase, headers and body, byte for byte.
    Same,
    /// It says back the request's headers: they differ in exactly what a gateway has to change, and
    /// nothing else differs.
    Echo,
    /// It is another one at every call, and why.
    Excluded(&'static str),
}

/// Who is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody.
    Public,
    /// Whoever holds this permission.
    Needs(&'static str),
    /// Nobody, and why: the policy has no route for it.
    Closed(&'static str),
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Method and target.
    pub(super) line: &'static str,
    pub(super) access: Access,
    pub(super) answers: Answers,
    /// Headers the answer depends on.
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) body: &'static str,
}

impl Row {
    const fn new(line: &'static str, access: Access, answers: Answers) -> Self {
        let (headers, body): (&[_], _) = (&[], "");
        Self {
            line,
            access,
            answers,
            headers,
            body,
        }
    }

    const fn with(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }

    const fn body(mut self, body: &'static str) -> Self {
        self.body = body;
        self
    }

    pub(super) fn method(&self) -> &'static str {
        self.line.split_once(' ').unwrap().0
    }

    pub(super) fn target(&self) -> &'static str {
        self.line.split_once(' ').unwrap().1
    }

    /// Says whether the endpoint wants an `Authorization` of its own, so that the caller shows the
    /// gateway a key in `X-Api-Key`.
    pub(super) fn brings_authorization(&self) -> bool {
        self.headers
            .iter()
            .any(|(name, _)| *name == "Authorization")
    }
}

const fn public(line: &'static str) -> Row {
    Row::new(line, Access::Public, Answers::Same)
}

const fn same(line: &'static str, needs: &'static str) -> Row {
    Row::new(line, Access::Needs(needs), Answers::Same)
}

const fn echo(line: &'static str, needs: &'static str) -> Row {
    Row::new(line, Access::Needs(needs), Answers::Echo)
}

const fn excluded(line: &'static str, needs: &'static str, why: &'static str) -> Row {
    Row::new(line, Access::Needs(needs), Answers::Excluded(why))
}

const fn closed(line: &'static str, why: &'static str) -> Row {
    Row::new(line, Access::Closed(why), Answers::Excluded(why))
}

const READ: &str = "documents:read";
const INSPECT: &str = "request:inspect";
const SEND: &str = "request:send";
const STREAM: &str = "stream:read";
const REDIRECT: &str = "redirects:follow";
const CACHE: &str = "cache:read";
const STATUS: &str = "status:choose";
const COOKIES: &str = "cookies:view";
const COOKIES_EDIT: &str = "cookies:edit";
const AUTH: &str = "auth:check";

const FORM: &[(&str, &str)] = &[("Content-Type", "application/x-www-form-urlencoded")];
const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];
const TEXT: &[(&str, &str)] = &[("Content-Type", "text/plain")];
const BASIC: &[(&str, &str)] = &[("Authorization", "Basic YWxpY2U6b3Blbg==")];
pub(super) const NONCE: &str = "a random nonce in the challenge; a test of its own answers it";

/// In the order of the policy. `show_env` has httpbin say back the headers of proxies too, which it
/// hides otherwise.
pub(super) const TABLE: &[Row] = &[
    public("GET /"),
    // Without flasgger, which is not installed, these are answered with 404; so they are by httpbin.
    public("GET /spec.json"),
    public("GET /flasgger_static/swagger-ui.css"),
    public("GET /robots.txt"),
    same("GET /legacy", READ),
    same("GET /html", READ),
    same("GET /deny", READ),
    same("GET /json", READ),
    same("GET /xml", READ),
    same("GET /encoding/utf8", READ),
    // Compressed by httpbin, and what is compressed says back the headers.
    echo("GET /gzip?show_env=1", READ),
    echo("GET /deflate?show_env=1", READ),
    echo("GET /brotli?show_env=1", READ),
    same("GET /base64/SFRUUEJJTiBpcyBhd2Vzb21l", READ),
    same("GET /forms/post", READ),
    same("GET /image", READ).with(&[("Accept", "image/webp")]),
    same("GET /image", READ).with(&[("Accept", "text/plain")]),
    same("GET /image/jpeg", READ),
    same("GET /image/png", READ),
    same("GET /image/svg", READ),
    same("GET /image/webp", READ),
    same("GET /links/10", READ),
    same("GET /links/10/3", READ),
    echo("GET /get?show_env=1&b=%20%2F&a=1&a=", INSPECT),
    echo("GET /headers?show_env=1", INSPECT),
    same("GET /ip", INSPECT),
    same("GET /user-agent", INSPECT).with(&[("User-Agent", "a/1 (b)")]),
    excluded("GET /uuid", INSPECT, "a random number"),
    echo("GET /anything?show_env=1", INSPECT),
    echo("GET /anything/a/%C3%A9/c:d@e?show_env=1", INSPECT),
    echo("POST /post?show_env=1", SEND)
        .with(FORM)
        .body("a=1&b=%26&a=2"),
    echo("PUT /put?show_env=1", SEND)
        .with(JSON)
        .body(r#"{"a":[1]}"#),
    echo("PATCH /patch?show_env=1", SEND)
        .with(TEXT)
        .body("some text"),
    echo("DELETE /delete?show_env=1", SEND),
    echo("POST /anything?show_env=1", SEND)
        .with(TEXT)
        .body("\r\n\r\n0\r\n\r\n"),
    echo("PUT /anything?show_env=1", SEND).with(TEXT).body("a"),
    echo("PATCH /anything?show_env=1", SEND)
        .with(JSON)
        .body("{"),
    echo("DELETE /anything?show_env=1", SEND)
        .with(TEXT)
        .body("a body"),
    echo("POST /anything/a/b?show_env=1", SEND),
    echo("PUT /anything/a/b?show_env=1", SEND),
    echo("PATCH /anything/a/b?show_env=1", SEND),
    echo("DELETE /anything/a/b?show_env=1", SEND),
    same("GET /bytes/100000?seed=7", STREAM),
    excluded(
        "GET /bytes/10",
        STREAM,
        "random bytes; the seeded ones are compared",
    ),
    same("GET /range/100000?chunk_size=1000", STREAM),
    same("GET /range/100000", STREAM).with(&[("Range", "bytes=10-99989")]),
    same("GET /range/10", STREAM).with(&[("Range", "bytes=99-")]),
    // A document to a line, and each says back the headers.
    echo("GET /stream/20?show_env=1", STREAM),
    same("GET /stream-bytes/100000?seed=7&chunk_size=999", STREAM),
    same("GET /drip?numbytes=20&duration=0.2", STREAM),
    same("GET /drip?numbytes=3&duration=0&code=503", STREAM),
    echo("GET /delay/0.1?show_env=1", STREAM),
    echo("POST /delay/0?show_env=1", STREAM)
        .with(FORM)
        .body("a=1"),
    echo("PUT /delay/0?show_env=1", STREAM).with(TEXT).body("a"),
    echo("PATCH /delay/0?show_env=1", STREAM)
        .with(TEXT)
        .body("a"),
    echo("DELETE /delay/0?show_env=1", STREAM),
    same("GET /redirect/3", REDIRECT),
    same("GET /redirect/3?absolute=true", REDIRECT),
    same("GET /relative-redirect/2", REDIRECT),
    same("GET /absolute-redirect/2", REDIRECT),
    same(
        "GET /redirect-to?url=http%3A%2F%2Fexample.com%2Fa%3Fb",
        REDIRECT,
    ),
    same(
        "GET /redirect-to?url=//example.com&status_code=307",
        REDIRECT,
    ),
    same("POST /redirect-to?url=/get", REDIRECT),
    same("PUT /redirect-to?url=/get", REDIRECT),
    same("PATCH /redirect-to?url=/get", REDIRECT),
    same("DELETE /redirect-to?url=/get", REDIRECT),
    excluded(
        "GET /cache",
        CACHE,
        "a random `ETag`, and `Last-Modified` is now",
    ),
    same("GET /cache", CACHE).with(&[("If-None-Match", "\"a\"")]),
    same("GET /cache", CACHE).with(&[("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")]),
    echo("GET /cache/60?show_env=1", CACHE),
    echo("GET /etag/abc?show_env=1", CACHE),
    same("GET /etag/abc", CACHE).with(&[("If-None-Match", "\"x\", \"abc\"")]),
    same("GET /etag/abc", CACHE).with(&[("If-Match", "\"x\"")]),
    same("GET /status/200", STATUS),
    same("GET /status/204", STATUS),
    same("GET /status/301", STATUS),
    same("GET /status/304", STATUS),
    // What an upstream says of a credential is not what the gateway says of one.
    same("GET /status/401", STATUS),
    same("GET /status/402", STATUS),
    same("GET /status/403", STATUS),
    same("GET /status/406", STATUS),
    same("GET /status/418", STATUS),
    same("GET /status/429", STATUS),
    same("GET /status/500", STATUS),
    same("GET /status/503", STATUS),
    same("POST /status/201", STATUS),
    same("PUT /status/409", STATUS),
    same("PATCH /status/422", STATUS),
    same("DELETE /status/404", STATUS),
    excluded("GET /status/200,500", STATUS, "a random one of them"),
    same(
        "GET /response-headers?X-One=1&X-Two=a&X-Two=b&Vary=Accept",
        STATUS,
    ),
    same(
        "POST /response-headers?Content-Type=text/plain;%20charset=x",
        STATUS,
    ),
    same("GET /cookies", COOKIES).with(&[("Cookie", "a=1; b=\"2\"")]),
    same("GET /cookies/set?a=1&b=2", COOKIES_EDIT),
    same("GET /cookies/set/a/1", COOKIES_EDIT),
    same("GET /cookies/delete?a&b", COOKIES_EDIT),
    same("GET /basic-auth/alice/open", AUTH),
    same("GET /basic-auth/alice/open", AUTH).with(BASIC),
    same("GET /hidden-basic-auth/alice/open", AUTH),
    same("GET /hidden-basic-auth/alice/open", AUTH).with(BASIC),
    same("GET /bearer", AUTH),
    same("GET /bearer", AUTH).with(&[("Authorization", "Bearer of-somebody-else")]),
    excluded("GET /digest-auth/auth/u/p", AUTH, NONCE),
    excluded("GET /digest-auth/auth/u/p/SHA-256", AUTH, NONCE),
    excluded("GET /digest-auth/auth/u/p/MD5/never", AUTH, NONCE),
    closed(
        "GET /static/favicon.ico",
        "what Flask adds by itself is no endpoint of httpbin, so nobody has opened it",
    ),
];
