//! What is wrong with a file, where, and what to do.

use super::*;

pub(super) fn faults(text: &str) -> String {
    match Settings::from_text(Path::new("/etc/p/portcullis.yaml"), text) {
        Ok(_) => String::new(),
        Err(faults) => faults.to_string().replace("/etc/p/portcullis.yaml:", ""),
    }
}

const FAULTS: &[(&str, &str)] = &[
    (
        "listners: []\n",
        "1:1: `listners` is not a key of the settings, did you mean `listeners`?",
    ),
    (
        "listeners: []\n",
        "1:12: the list is empty: name listeners, or leave the key out",
    ),
    (
        "listeners: 7080\n",
        "1:12: expected listeners as a list, `[…]`, found `7080`",
    ),
    (
        "listeners: [{}]\n",
        "1:13: the listener has no `address`, such as `address: 127.0.0.1:7080`",
    ),
    (
        "listeners: [{ address: ':7080' }]\n",
        "1:24: `:7080` is not an address: expected an address and a port, such as `127.0.0.1:7080` or `[::]:7080`",
    ),
    (
        "listeners: [{ address: '127.0.0.1:1', basic: yes }]\n",
        "1:46: `yes` is not `true` or `false`",
    ),
    (
        "listeners: [{ address: '127.0.0.1:1', tls: { key: k } }]\n",
        "1:44: `key` is set and `certificate` is not: set both",
    ),
    (
        "listeners: [{ address: '127.0.0.1:1', tls: { key: k, certificate: c, client_certificates: request } }]\n",
        "1:91: `client_certificates` is set and `client_roots` is not: say whose certificates are believed, or remove it",
    ),
    (
        "listeners: [{ address: '127.0.0.1:1', trusted_proxies: [] }]\n",
        "1:56: the list is empty: name networks such as `10.0.0.0/8`, or leave the key out",
    ),
    (
        "listeners: [{ address: '127.0.0.1:1', trusted_proxies: [10.0.0.1/8] }]\n",
        "1:57: `10.0.0.1/8` has bits beyond its prefix, did you mean `10.0.0.0/8`?",
    ),
    (
        "listeners: [{ address: '127.0.0.1:7090' }]\n",
        "1:1: a listener and `ops` have the same address, `127.0.0.1:7090`",
    ),
    (
        "admin: 127.0.0.1:1\n",
        "1:8: `127.0.0.1:1` is not a value of `admin`: expected `{ address: 127.0.0.1:7081 }` or `off`",
    ),
    (
        "upstreams: { a: { url: 'http://a', unsafe_header_names: [X-Plain, x_forwarded_for, X_Portcullis_New, 'a b'] } }\n",
        "1:58: `X-Plain` is let through as it is: remove it from the list\n1:67: `x_forwarded_for` cannot be let through: some take it for `x-forwarded-for`, which no client may say to an upstream\n1:84: `X_Portcullis_New` cannot be let through: some take it for `x-portcullis-new`, which no client may say to an upstream\n1:102: `a b` is not the name of a header",
    ),
    (
        "store: postgres://u@h/db\n",
        "1:8: `postgres:` is not in this release: use `sqlite:FILE` or `none`",
    ),
    (
        "store: mysql:x\n",
        "1:8: `mysql:x` is not a store: expected `sqlite:FILE` or `none`",
    ),
    (
        "store: none\npepper: p\n",
        "2:9: `pepper` has nothing to guard with `store: none`: remove it",
    ),
    (
        "tokens: { signing_key: k }\n",
        "1:24: the store keeps the signing keys: remove `signing_key`, or say `store: none`",
    ),
    (
        "tokens: { lifetime: 15 }\n",
        "1:21: `15` is not a span of time: expected a number and a unit, such as `250ms`, `30s` or `15m`",
    ),
    (
        "tokens: { lifetime: 30days }\n",
        "1:21: `30days` is not between 1s and 1day",
    ),
    (
        "tokens: { issuer: 'a b' }\n",
        "1:19: `a b` is not an issuer: expected 1 to 256 visible ASCII characters",
    ),
    (
        "upstreams: { A: { url: 'http://h' } }\n",
        "1:14: `A` is not an upstream name: expected 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, starting with a letter or a digit",
    ),
    (
        "upstreams: { a: {} }\n",
        "1:17: upstream `a` has no `url`, such as `url: http://127.0.0.1:3000`",
    ),
    (
        "upstreams: { a: { url: 'ftp://h' } }\n",
        "1:24: `ftp://h` is not the URL of an upstream: expected `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`",
    ),
    (
        "upstreams: { a: { url: ['http://h', 'https://h'] } }\n",
        "1:37: all URLs of an upstream are `https:`, or none is: what goes to one may go to any",
    ),
    (
        "upstreams: { a: { url: ['http://h', 'http://h:80'] } }\n",
        "1:37: the same address stands here twice",
    ),
    (
        "upstreams: { a: { url: [] } }\n",
        "1:24: the list is empty: name URLs such as `http://10.0.0.1:3000`, or leave the key out",
    ),
    (
        "upstreams: { a: { url: 'http://h', tls: {} } }\n",
        "1:41: `tls` is for `https:` upstreams: say `https:`, or remove it",
    ),
    (
        "upstreams: { a: { url: 'https://h', tls: { key: k } } }\n",
        "1:42: `key` is set and `certificate` is not: set both, or neither",
    ),
    (
        "upstreams: { a: { url: 'https://h', tls: { server_name: 'a b' } } }\n",
        "1:57: `a b` is not the name on the upstream's certificate, such as `api.internal`",
    ),
    (
        "upstreams: { a: { url: 'https://h', tls: { insecure: true } } }\n",
        "1:44: `insecure` is not a key of `tls`: expected `roots`, `certificate`, `key` or `server_name`",
    ),
    (
        "upstreams: { a: { url: 'http://h', health: { interval: 1s } } }\n",
        "1:44: `health` has no `path`, such as `path: /healthz`",
    ),
    (
        "upstreams: { a: { url: 'http://h', queue: all } }\n",
        "1:43: `all` is not a whole number from 0 to 65536",
    ),
    (
        "upstreams: { a: { url: 'http://h', resolve_every: 1ms } }\n",
        "1:51: `1ms` is not between 1s and 1day",
    ),
    (
        "upstreams: { a: { url: 'http://h/api' } }\n",
        "1:24: `http://h/api` is not the URL of an upstream: scheme and authority only; paths are forwarded as they come",
    ),
    (
        "upstreams: { a: { url: 'http://u:p@h' } }\n",
        "1:24: `http://u:p@h` is not the URL of an upstream: it must not hold a user or a password",
    ),
    (
        "upstreams: { a: { url: 'http://h:99999' } }\n",
        "1:24: `http://h:99999` is not the URL of an upstream: the port is not a number from 1 to 65535",
    ),
    (
        "upstreams: { a: { url: unix:app.sock } }\n",
        "1:24: `unix:app.sock` is not the URL of an upstream: a socket is named by its whole path, such as `unix:/run/app.sock`",
    ),
    (
        "upstreams: { a: { url: 'http://h', unsafe_allow: [semikolon] } }\n",
        "1:51: `semikolon` is not a path class, did you mean `semicolon`?",
    ),
    (
        "upstreams: { a: { url: 'http://h', unsafe_allow: [control] } }\n",
        "1:51: `control` cannot be allowed: no two readers agree on what it means",
    ),
    (
        "upstreams: { a: { url: 'http://h', pass_authorization: all } }\n",
        "1:56: `all` is not `foreign`",
    ),
    (
        "upstreams: { a: { url: 'http://h', probe: healthz } }\n",
        "1:43: `healthz` is not a path such as `/healthz`",
    ),
    (
        "upstreams: { a: { url: 'http://h', trailing_slash: any, case_insensitive: yes } }\n",
        "1:52: `any` is not `same`\n1:75: `yes` is not `true` or `false`",
    ),
    (
        "upstreams: { a: { url: 'http://h', assertion: true } }\n",
        "1:36: `assertion` is not in this release: remove it",
    ),
    (
        "upstreams: { a: { url: 'http://h', timeout: 0s } }\n",
        "1:45: `0s` is not between 10ms and 1day",
    ),
    (
        "log: { decisions: alll }\n",
        "1:19: `alll` is not `all` or `denied`, did you mean `all`?",
    ),
    (
        "threads: 0\n",
        "1:10: `0` is not a whole number from 1 to 1024",
    ),
    (
        "threads: 1e3\n",
        "1:10: `1e3` is not a whole number from 1 to 1024",
    ),
    (
        "trusts: {}\n",
        "1:1: `trusts` is not in this release: remove it",
    ),
    (
        "- a\n",
        "1:1: expected the settings as a mapping, `key: value`, found a list",
    ),
];

#[test]
fn each_fault_says_where_what_and_what_to_do() {
    for (text, expected) in FAULTS {
        assert_eq!(faults(text), *expected, "{text}");
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let text = "listeners: [{ adress: x }]\nstore: nowhere\nthreads: many\ntokens: { lifetime: 15, lifetime: 16m }\n";
    assert_eq!(faults(text).lines().count(), 6, "{}", faults(text));
}

#[test]
fn a_missing_file_is_a_fault_that_names_it() {
    let error = Settings::load(Path::new("/nowhere/portcullis.yaml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/nowhere/portcullis.yaml: the settings cannot be read: No such file or directory (os error 2)"
    );
}
