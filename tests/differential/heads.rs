//! Requests over which parsers have come to differ: sound ones, in which a part or a byte was
//! replaced by one that somebody, somewhere, reads in a way of his own.

use crate::agreement::Random;

/// Of as many parts, one is dangerous; the fewer, the fewer requests get through and are compared.
const DANGER: usize = 14;
/// Of as many requests, one has bytes changed at random.
const NOISE: usize = 5;

const METHODS: [&str; 8] = [
    "GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS",
];
const ODD_METHODS: [&str; 6] = ["get", "FOO", "TRACE", "CONNECT", "GE T", ""];

#[rustfmt::skip]
const TARGETS: [&str; 8] = [
    "/public/x", "/public/%61bc", "/public/a?b=c;d&e=%zz&f=\"", "/public/~a%3ab", "/public/a/b/", "/v1/items/7",
    "/public/x?", "http://gate.test/public/x?y",
];
#[rustfmt::skip]
const ODD_TARGETS: [&str; 10] = [
    "//public/x", "/public/../x", "*", "/public/x#f", "public/x", "/public/ x", "http://other.test/public/x", "gate.test:80",
    "http://u@gate.test/public/x", "/public/x\u{80}",
];

const ODD_VERSIONS: [&str; 7] = [
    "HTTP/1.0",
    "HTTP/1.2",
    "http/1.1",
    "HTTP/01.1",
    "HTTP/2.0",
    "HTTP/1.1 ",
    "",
];

const ODD_ENDS: [&str; 6] = ["\n", "\r", " \r\n", "\r\n ", "\r\r\n", "\r\n\t"];

const HOSTS: [&str; 2] = ["Host: gate.test", "host:gate.test:80"];
#[rustfmt::skip]
const ODD_HOSTS: [&str; 10] = [
    "", "Host: gate.test\r\nHost: gate.test", "Host: gate.test\r\nHost: other.test", "Host:", "Host: a,b", "Host: u@gate.test",
    "Host: gate.test/x", "Host : gate.test", "Host: gate.test\r\n other", "Host: \u{e9}",
];

#[rustfmt::skip]
const FIELDS: [&str; 14] = [
    "Accept: */*", "X-Empty:", "X-Spaces:   a  b  ", "x-lower:v", "Cookie: a=b; c=d", "X-Latin: caf\u{e9}", "X-Tabs:\ta\tb\t",
    "X-Two: 1\r\nX-Two: 2", "X-Two: 1\r\nx-two: 1", "Accept-Encoding: gzip", "Content-Type: text/plain", "Range: bytes=0-1",
    "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "X-Signs: !#$%&'()*+-./:;<=>?@[]^_`{|}~\"\\,",
];
#[rustfmt::skip]
const ODD_FIELDS: [&str; 48] = [
    "Connection: close", "Connection: keep-alive, X-Two", "Connection: X-Empty,, x-lower", "Connection: Host",
    "Connection: Content-Length", "Connection: Transfer-Encoding", "Connection: X-Portcullis-Account", "Keep-Alive: 5",
    "Proxy-Connection: keep-alive", "Transfer-Encoding : chunked", "Transfer_Encoding: chunked", "Content_Length: 3",
    "Content-Length\t: 3", "X-Control\u{1}: 1", "X-Nul: a\0b", "X-Return: a\rb", "X-Feed: a\nb", "X-Feed: a\nContent-Length: 3",
    "X Name: 1", ": no name", "no colon", "X-Fold: a\r\n b", "X-Fold: a\r\n\tContent-Length: 3", "X-(: 1", "X-\u{e9}: 1",
    "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    "Upgrade: websocket\r\nConnection: Upgrade", "Expect: 100-continue", "Expect: 200-ok", "Trailer: X-Last", "TE: trailers",
    "TE: gzip, chunked", "X-Portcullis-Account: root", "X_Portcullis_Account: root", "X-Forwarded-For: 192.0.2.1",
    "X-Request-Id: mine", "Content-Encoding: gzip", "Transfer-Encoding: chunked", "Transfer-Encoding: identity",
    "Transfer-Encoding:\u{b}chunked", "Content-Length: 0", "Content-Length: 7", "Host: other.test", " X-Lead: 1", "X-Vt: a\u{b}b",
    "X-Del: \u{7f}", "Via: 1.1 x", "Authorization: Basic eDp5",
];

#[rustfmt::skip]
const ODD_LENGTHS: [&str; 16] = [
    "+N", "-N", "0N", "000000N", "0xN", "N, N", "N,", ",N", "N N", "N;a", "\"N\"", "1N", "", "N\t", "18446744073709551615", "N.0",
];
#[rustfmt::skip]
const ODD_CODINGS: [&str; 13] = [
    "Chunked", "chunked ", "xchunked", "chunked, gzip", "gzip, chunked", "chunked, chunked", ", chunked", "chunked;a=b",
    "chunked\r\nTransfer-Encoding: chunked", "identity\r\nTransfer-Encoding: chunked", "", "identity", "chunked\r\n\t",
];
#[rustfmt::skip]
const ODD_CHUNKS: [&str; 16] = [
    "3;a=b\r\nabc\r\n", "3;a=\"b\"\r\nabc\r\n", "3 \r\nabc\r\n", "3;\r\nabc\r\n", "0003\r\nabc\r\n", "3\nabc\n", "3\r\nabcd\r\n",
    "3\r\nabc", "0x3\r\nabc\r\n", "+3\r\nabc\r\n", "-3\r\nabc\r\n", " 3\r\nabc\r\n", "fffffffffffffffff\r\nabc\r\n",
    "3;a=\nb\r\nabc\r\n", "\r\nabc\r\n", "3\r\r\nabc\r\n",
];
#[rustfmt::skip]
const ODD_LAST_CHUNKS: [&str; 10] = [
    "0\r\nX-Last: 1\r\n\r\n", "0\r\nContent-Length: 3\r\n\r\n", "0\r\nX-Portcullis-Account: root\r\n\r\n", "00000\r\n\r\n",
    "0;a=b\r\n\r\n", "0\r\nno colon\r\n\r\n", "0\r\n X: 1\r\n\r\n", "0\n\n", "0\r\n\n", "0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
];

const ODD_BYTES: &[u8] = b"\0\t\n\r\x0b\x1f :;,\"\x7f\x80\xff_0a/%";

/// What follows every request on its connection. Whoever is wrong about where the request ends
/// takes it for a part of it, or a part of the request for its beginning. The last one ends the
/// connection.
const AFTER: &[u8] = b"GET /public/after HTTP/1.1\r\nHost: gate.test\r\n\r\n\
                       GET /public/last HTTP/1.1\r\nHost: gate.test\r\nConnection: close\r\n\r\n";

/// A request to be, and where it goes wrong.
pub(super) struct Heads {
    random: Random,
    token: String,
}

impl Heads {
    /// The same requests for the same `seed`; some of them carry `token`.
    pub(super) fn new(seed: u64, token: &str) -> Self {
        Self {
            random: Random(seed),
            token: token.to_owned(),
        }
    }

    /// The next request, and what follows it.
    pub(super) fn next(&mut self) -> Vec<u8> {
        let body = self.below(40);
        let body: String = (0..body)
            .map(|_| char::from(b'a' + self.below(26) as u8))
            .collect();
        let (framing, body) = self.framing(body);
        let mut lines = vec![self.start(), self.part(&HOSTS, &ODD_HOSTS).to_owned()];
        if self.below(3) == 0 {
            lines.push(format!("Authorization: Bearer {}", self.token));
        }
        for _ in 0..self.below(5) {
            lines.push(self.part(&FIELDS, &ODD_FIELDS).to_owned());
        }
        let place = 1 + self.below(lines.len());
        lines.insert(place, framing);
        let mut text = String::new();
        for line in lines.iter().filter(|line| !line.is_empty()) {
            text += line;
            text += self.part(&["\r\n"], &ODD_ENDS);
        }
        text += "\r\n";
        // Latin-1, so that any byte can stand in a text.
        let mut bytes: Vec<u8> = (text + &body).chars().map(|c| c as u8).collect();
        self.noise(&mut bytes);
        bytes.extend(AFTER);
        bytes
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.below(end)
    }

    fn is_odd(&mut self) -> bool {
        self.below(DANGER) == 0
    }

    fn part(
        &mut self,
        sound: &'static [&'static str],
        odd: &'static [&'static str],
    ) -> &'static str {
        let parts = if self.is_odd() { odd } else { sound };
        parts[self.below(parts.len())]
    }

    fn start(&mut self) -> String {
        let method = self.part(&METHODS, &ODD_METHODS);
        let target = self.part(&TARGETS, &ODD_TARGETS);
        let version = self.part(&["HTTP/1.1"], &ODD_VERSIONS);
        format!("{method} {target} {version}")
    }

    /// The field that says how long the body is, and the body as it is sent.
    fn framing(&mut self, body: String) -> (String, String) {
        match self.below(3) {
            0 if body.len().is_multiple_of(2) => (String::new(), String::new()),
            0 | 1 => {
                let length = body.len().to_string();
                let value = match self.below(DANGER) {
                    0 => ODD_LENGTHS[self.below(ODD_LENGTHS.len())].replace('N', &length),
                    1 => self.below(60).to_string(),
                    _ => length,
                };
                (format!("Content-Length: {value}"), body)
            }
            _ => {
                let coding = self.part(&["chunked"], &ODD_CODINGS);
                (format!("Transfer-Encoding: {coding}"), self.chunks(&body))
            }
        }
    }

    fn chunks(&mut self, body: &str) -> String {
        let mut chunked = String::new();
        let mut rest = body;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(1 + self.below(rest.len()));
            chunked += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
            rest = after;
            if self.is_odd() {
                chunked += ODD_CHUNKS[self.below(ODD_CHUNKS.len())];
            }
        }
        chunked + self.part(&["0\r\n\r\n"], &ODD_LAST_CHUNKS)
    }

    fn noise(&mut self, bytes: &mut Vec<u8>) {
        if self.below(NOISE) != 0 {
            return;
        }
        for _ in 0..=self.below(2) {
            let odd = ODD_BYTES[self.below(ODD_BYTES.len())];
            let place = self.below(bytes.len());
            match self.below(3) {
                0 => bytes[place] = odd,
                1 => bytes.insert(place, odd),
                _ => drop(bytes.remove(place)),
            }
        }
    }
}
