//! Settings as people write them, right and wrong.

mod faults;

use faults::faults;

use super::*;
use crate::words::PathClass;
use std::path::Path;

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
