//! Settings as people write them, right and wrong.

use super::*;
use crate::words::PathClass;
use std::path::Path;

fn faults(text: &str) -> String {
    match Settings::from_text(Path::new("/etc/p/portcullis.yaml"), text) {
        Ok(_) => String::new(),
        Err(faults) => faults.to_string().replace("/etc/p/portcullis.yaml:", ""),
    }
}

fn good(text: &str) -> Settings {
    Settings::from_text(Path::new("/etc/p/portcullis.yaml"), text).unwrap()
}

#[test]
fn the_example_means_what_it_says() {
    let text = include_str!("../../tests/data/example/portcullis.yaml");
    let settings = good(text);
    let addresses: Vec<_> = settings
        .listeners
        .iter()
        .map(|l| l.address.to_string())
        .collect();
    assert_eq!(addresses, ["0.0.0.0:7080", "0.0.0.0:7443"]);
    assert_eq!(settings.listeners[0].tls, None);
    let tls = settings.listeners[1].tls.clone().unwrap();
    assert_eq!(tls.certificate, Path::new("/etc/p/tls.crt"));
    assert_eq!(settings.admin, Some(Admin::default()));
    assert_eq!(settings.ops, Some(OPS_DEFAULT));
    assert_eq!(settings.policies, Path::new("/etc/p/policies/"));
    assert_eq!(
        settings.store,
        StoreSetting::Sqlite("/etc/p/portcullis.db".into())
    );
    let upstream = &settings.upstreams["inventory"];
    let address = UpstreamAddress::Tcp {
        host: "127.0.0.1".into(),
        port: 3000,
    };
    assert_eq!(
        (&upstream.addresses, &*upstream.authority),
        (&vec![address], "127.0.0.1:3000")
    );
    assert_eq!(settings.tokens.issuer, "https://inventory.example.com");
    assert_eq!(settings.tokens.lifetime, Duration::from_secs(900));
}

#[test]
fn an_empty_file_means_the_defaults() {
    let settings = good("# nothing yet\n");
    assert_eq!(settings.listeners.len(), 1);
    assert_eq!(settings.listeners[0].address, LISTENER_DEFAULT);
    assert_eq!(
        settings.store,
        StoreSetting::Sqlite("/etc/p/portcullis.db".into())
    );
    assert_eq!(settings.policies, Path::new("/etc/p/policies"));
    assert_eq!(settings.control, Control::Default);
    assert_eq!(
        settings.drain,
        Drain {
            delay: DRAIN_DELAY_DEFAULT,
            timeout: DRAIN_TIMEOUT_DEFAULT
        }
    );
    assert!(settings.metrics.accounts && settings.threads.is_none());
}

const EVERYTHING: &str = "listeners:
  - address: '[::1]:0'
    basic: true
    api_key: true
    trusted_proxies: [10.0.0.0/8, 192.0.2.7]
    proxy_protocol: [10.0.0.1]
    http2: true
    limits: { header_timeout: 5s, header_bytes: 1024, body_bytes: 10, connections_per_source: 7, handshakes: 8,
              handshake_timeout: 2s, proxy_header_timeout: 3s, ping_timeout: 4s,
              streams: 9, header_list_bytes: 4096, stream_window_bytes: 16384, connection_window_bytes: 32768,
              stream_buffer_bytes: 1024, early_resets: 2, stream_errors: 3, ping_interval: 1s, control_frames: 4 }
  - address: '[::1]:1'
    tls: { certificate: c, key: k, client_roots: r, client_certificates: request }
admin: off
ops: off
policies: /srv/p
store: none
upstreams:
  a: { url: 'http://api.internal', host: client, unsafe_allow: [semicolon, empty_segment], shadow: true,
       pass_authorization: foreign, timeout: 1m, connect_timeout: 1s, idle_timeout: 5s, stream_idle: 1h, connections: 9,
       probe: /healthz, unsafe_header_names: [api_key, x.y], unsafe_query_keys: [_method],
       trailing_slash: same, case_insensitive: true }
  b: { url: unix:/run/app.sock }
  c: { url: 'http://[2001:db8::1]:8080/' }
  d: { url: ['https://one.internal', 'https://two.internal:8443'], http2: true, queue: 0, queue_timeout: 2s,
       resolve_every: 1m, tls: { roots: ca.crt, certificate: us.crt, key: us.key, server_name: api.internal },
       health: { path: /up, interval: 1s, timeout: 500ms, failures: 2 } }
tokens: { signing_key: keys/sign.pem, cache: 10 }
control: off
log: { decisions: denied, format: json }
metrics: { accounts: false, max_accounts: 7 }
drain: { delay: 0s, timeout: 1s }
threads: 2
max_connections: 100
";

#[test]
fn a_listener_says_what_one_client_may_cost() {
    let settings = good(EVERYTHING);
    let listener = &settings.listeners[0];
    let limits = &listener.limits;
    assert_eq!((limits.connections_per_source, limits.handshakes), (7, 8));
    let waits = (limits.handshake_timeout, limits.proxy_header_timeout);
    assert_eq!(waits, (Duration::from_secs(2), Duration::from_secs(3)));
    assert!(listener.http2 && listener.proxy_protocol.len() == 1);
    let http2 = Http2Limits {
        streams: 9,
        header_list_bytes: 4096,
        stream_window_bytes: 16_384,
        connection_window_bytes: 32_768,
        stream_buffer_bytes: 1024,
        early_resets: 2,
        stream_errors: 3,
        ping_interval: Duration::from_secs(1),
        ping_timeout: Duration::from_secs(4),
        control_frames: 4,
    };
    assert_eq!(limits.http2, http2);
    let tls = &settings.listeners[1];
    assert!(tls.http2, "TLS has ALPN to ask by");
    let client = tls.tls.as_ref().and_then(|tls| tls.client.clone()).unwrap();
    assert_eq!(
        (client.roots.ends_with("r"), client.demand),
        (true, ClientCertificates::Request)
    );
}

#[test]
fn everything_can_be_said() {
    let settings = good(EVERYTHING);
    let listener = &settings.listeners[0];
    assert!(listener.basic && listener.api_key && listener.trusted_proxies.len() == 2);
    assert_eq!(listener.limits.header_timeout, Duration::from_secs(5));
    assert_eq!(listener.limits.body_bytes, Some(10));
    assert_eq!((settings.admin, settings.ops), (None, None));
    assert_eq!(settings.store, StoreSetting::None);
    let [a, b, c] = ["a", "b", "c"].map(|name| &settings.upstreams[name]);
    assert_eq!(
        a.addresses,
        [UpstreamAddress::Tcp {
            host: "api.internal".into(),
            port: 80
        }]
    );
    assert_eq!(
        (&*a.authority, a.host_header),
        ("api.internal", HostHeader::Client)
    );
    assert!(a.rules.shadow && a.rules.pass_authorization);
    assert!(a.rules.unsafe_allow.contains(PathClass::EmptySegment));
    assert!(a.rules.spelling.any_case && a.rules.spelling.any_slash);
    assert!(c.rules.spelling.is_exact());
    assert_eq!(a.stream_idle, Duration::from_secs(3600));
    assert_eq!(a.probe.as_deref(), Some("/healthz"));
    assert_eq!(b.addresses, [UpstreamAddress::Unix("/run/app.sock".into())]);
    assert_eq!(
        c.addresses,
        [UpstreamAddress::Tcp {
            host: "2001:db8::1".into(),
            port: 8080
        }]
    );
    assert_eq!(c.authority, "[2001:db8::1]:8080");
    assert_upstream_in_secret(&settings.upstreams["d"]);
    assert_eq!(
        settings.weakened,
        [
            "upstreams.a.unsafe_allow: empty_segment, semicolon",
            "upstreams.a.unsafe_header_names: api_key, x.y",
            "upstreams.a.unsafe_query_keys: _method",
            "upstreams.a.shadow",
        ]
    );
    assert_eq!(
        settings.tokens.signing_key.as_deref(),
        Some(Path::new("/etc/p/keys/sign.pem"))
    );
    assert_eq!(settings.control, Control::Off);
    assert_eq!(settings.log.decisions, Decisions::Denied);
}

fn assert_upstream_in_secret(d: &Upstream) {
    let at = |host: &str, port| UpstreamAddress::Tcp {
        host: host.into(),
        port,
    };
    assert_eq!(
        d.addresses,
        [at("one.internal", 443), at("two.internal", 8443)]
    );
    assert_eq!(
        (&*d.authority, d.http2, d.queue_max),
        ("one.internal", true, 0)
    );
    assert_eq!(d.queue_timeout, Duration::from_secs(2));
    assert_eq!(d.resolve_every, Duration::from_secs(60));
    let path = |name: &str| Path::new("/etc/p").join(name);
    let tls = UpstreamTls {
        roots: Some(path("ca.crt")),
        identity: Some((path("us.crt"), path("us.key"))),
        server_name: Some("api.internal".into()),
    };
    assert_eq!(d.tls, Some(tls));
    let health = d
        .health
        .as_ref()
        .map(|check| (&*check.path, check.failures));
    assert_eq!(health, Some(("/up", 2)));
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

#[test]
fn the_whole_gateway_in_shadow_says_where_the_rest_goes() {
    let settings = good(
        "shadow: true\ndefault_upstream: a\nupstreams:\n  a: { url: 'http://a' }\n  b: { url: 'http://b', shadow: false }\n",
    );
    let rules = |name: &str| &settings.upstreams[name].rules;
    assert!(settings.shadow && rules("a").shadow && rules("a").is_default);
    assert!(!rules("b").shadow && !rules("b").is_default);
    assert_eq!(rules("a").addresses, settings.upstreams["a"].addresses);
    assert_eq!(
        settings.weakened,
        ["upstreams.a.shadow", "shadow", "default_upstream: a"]
    );
    let one = good("default_upstream: a\nupstreams: { a: { url: 'http://a', shadow: true } }\n");
    assert!(!one.shadow && one.upstreams["a"].rules.is_default);
    // The way out of shadow is one word.
    let out = good("shadow: false\ndefault_upstream: a\nupstreams: { a: { url: 'http://a' } }\n");
    assert!(!out.upstreams["a"].rules.is_default && out.weakened.is_empty());
}

#[test]
fn shadow_without_a_place_for_the_rest_is_a_fault() {
    for (text, expected) in [
        (
            "shadow: true\n",
            "1:9: the whole gateway is in shadow only with `default_upstream: NAME`",
        ),
        ("shadow: yes\n", "1:9: "),
        (
            "shadow: true\ndefault_upstream: upp\nupstreams: { app: { url: 'http://a' } }\n",
            "2:19: upstream `upp` is not in the settings, did you mean `app`?",
        ),
        (
            "default_upstream: app\nupstreams: { app: { url: 'http://a' } }\n",
            "1:19: requests that no route names go on in shadow only, and `app` is enforced",
        ),
        (
            "shadow: true\ndefault_upstream: app\nupstreams: { app: { url: 'http://a', shadow: false } }\n",
            "2:19: requests that no route names",
        ),
    ] {
        let said = faults(text);
        assert!(said.starts_with(expected), "{text}{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
