//! `admin`: where the admin API listens, and what its tokens and its names are.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::keys::{ADDRESS, AUDIENCE};
use super::listener::{TLS, tls};
use super::load::{Reader, address, claim};
use super::rates::{RATE, rate};
use super::{ADMIN_AUDIENCE_DEFAULT, ADMIN_DEFAULT, ListenerTls, Tokens};
use crate::words::{Fault, Faults, Rate};
use crate::yaml::shape::{Keys, Known, NETWORK, Preset, Shape, Word};
use crate::yaml::{Fields, Node, Value, quoted};

pub(super) const KEYS: Keys = Keys {
    what: "`admin`",
    known: &[
        Known::new("address", Shape::Text(ADDRESS), "An address and a port.")
            .or(Preset::Address(ADMIN_DEFAULT)),
        Known::new(
            "tls",
            Shape::Keys(&TLS),
            "Certificate and key. Without it the admin API speaks plain HTTP.",
        ),
        Known::new(
            "hosts",
            Shape::filled_list(&Shape::Text(HOST)),
            "The names it is asked by, without a port. Addresses and `localhost` need not be named; a request for any other name is refused.",
        ),
        Known::new(
            "audience",
            Shape::Text(AUDIENCE),
            "Whom tokens for the admin API are for, their `aud`. Not the `audience` of `tokens`: a token for one is refused by the other.",
        )
        .or(Preset::Word(ADMIN_AUDIENCE_DEFAULT)),
        Known::new(
            "trusted_proxies",
            Shape::filled_list(&Shape::Text(NETWORK)),
            "Peers whose `X-Forwarded-For` is believed. Nobody's is by default.",
        ),
        Known::new(
            "rate",
            RATE,
            "What each account may ask of the admin API; without it as many as 1000 at once.",
        )
        .or(Preset::Word(RATE_WRITTEN)),
    ],
    later: &[],
    rules: &[],
};

/// A host name as a request has it, without a port.
const HOST: Word = Word::ruled(
    "a host name in lower case, without a port",
    || HOST_PATTERN.to_owned(),
    &["admin.example.com", "gate"],
);
const HOST_PATTERN: &str = "[a-z0-9][a-z0-9.-]{0,252}";

/// What one account may ask of the admin API. Every change is written to the disk, and every sensitive
/// look is recorded: a script that makes ten thousand accounts is done in two minutes, and one that ran
/// wild leaves the others their turn and the audit trail its length.
const RATE_DEFAULT: Rate = Rate::new(100, Duration::from_secs(1)).at_once(1000);
/// The same, as it is written in a file.
const RATE_WRITTEN: &str = "100/s";

/// The admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// Certificate and key; plain HTTP without.
    pub tls: Option<ListenerTls>,
    /// The names it is asked by besides addresses and `localhost`, in lower case.
    pub hosts: Vec<String>,
    /// `aud` of tokens for it.
    pub audience: String,
    /// Peers that are believed about where requests come from.
    pub trusted_proxies: Vec<IpNet>,
    /// What each account may ask of it.
    pub rate: Rate,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            address: ADMIN_DEFAULT,
            tls: None,
            hosts: Vec::new(),
            audience: ADMIN_AUDIENCE_DEFAULT.to_owned(),
            trusted_proxies: Vec::new(),
            rate: RATE_DEFAULT,
        }
    }
}

/// What `admin` says, or `None` where it says `off` or nothing: a listener that nobody asked for would
/// be one more door, and take the address from a second gateway on the same machine.
pub(super) fn read(
    reader: &Reader<'_>,
    node: Option<&Node>,
    tokens: &Tokens,
    faults: &mut Faults,
) -> Option<Admin> {
    let node = node?;
    let mut admin = Admin::default();
    if let Value::Scalar(text) = &node.value {
        if text != "off" {
            let message = format!(
                "{} is not a value of `admin`: expected `{{ address: {ADMIN_DEFAULT} }}` or `off`",
                quoted(text)
            );
            faults.push(Fault::new(node.place.clone(), message));
        }
        return None;
    }
    let fields = Fields::of(node, &KEYS, faults)?;
    if let Some(node) = fields.get("address") {
        admin.address = address(node, faults)?;
    }
    admin.tls = fields.get("tls").and_then(|node| tls(reader, node, faults));
    admin.hosts = hosts(fields.get("hosts"), faults);
    if let Some(audience) = claim(fields.get("audience"), "an audience", faults) {
        admin.audience = audience;
    }
    if let Some(node) = fields.get("trusted_proxies") {
        admin.trusted_proxies = node.networks(faults);
    }
    if let Some(rate) = fields.get("rate").and_then(|node| rate(node, faults)) {
        admin.rate = rate;
    }
    if admin.audience == tokens.audience {
        let message = format!(
            "`audience` of `admin` and of `tokens` are both `{}`: a token for the APIs behind would be one for the admin API",
            admin.audience
        );
        faults.push(Fault::new(node.place.clone(), message));
    }
    Some(admin)
}

fn hosts(node: Option<&Node>, faults: &mut Faults) -> Vec<String> {
    let items = node.and_then(|node| node.filled_list("host names", faults));
    let mut hosts = Vec::new();
    for item in items.unwrap_or_default() {
        let Some(text) = item.text("a host name", faults) else {
            continue;
        };
        if is_host(text) {
            hosts.push(text.to_owned());
        } else {
            let message = format!(
                "{} is not a host name: expected one in lower case, without a port",
                quoted(text)
            );
            faults.push(Fault::new(item.place.clone(), message));
        }
    }
    hosts
}

fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 253
        && text.bytes().next().is_some_and(plain)
        && text
            .bytes()
            .all(|byte| plain(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::RATE_WRITTEN;
    use crate::settings::Settings;
    use crate::words::Rate;

    fn read(text: &str) -> Result<Settings, String> {
        let text = format!("upstreams: {{ a: {{ url: http://127.0.0.1:1 }} }}\n{text}");
        Settings::from_text(Path::new("portcullis.yaml"), &text).map_err(|error| error.to_string())
    }

    #[test]
    fn it_has_an_audience_and_names_of_its_own() {
        let settings = read(
            "admin: { address: '[::1]:7443', hosts: [gate.example.com], audience: desk, tls: { certificate: a, key: b } }\n",
        );
        let admin = settings.unwrap().admin.unwrap();
        assert_eq!(admin.address, "[::1]:7443".parse().unwrap());
        assert_eq!(admin.hosts, ["gate.example.com"]);
        assert_eq!(admin.audience, "desk");
        assert!(admin.tls.is_some());
        let plain = read("admin: {}\n").unwrap().admin.unwrap();
        assert_eq!(
            RATE_WRITTEN.parse::<Rate>().unwrap().at_once(1000),
            plain.rate
        );
        let behind = read("admin: { trusted_proxies: [10.0.0.0/8], rate: 5/m }\n").unwrap();
        let behind = behind.admin.unwrap();
        assert_eq!(behind.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(behind.rate.to_string(), "5/m");
        assert_eq!(plain.audience, "portcullis-admin");
        assert!(read("").unwrap().admin.is_none(), "nobody asked for it");
    }

    #[test]
    fn what_would_confuse_it_with_the_apis_behind_is_refused() {
        for (text, said) in [
            ("admin: { audience: portcullis }\n", "are both `portcullis`"),
            ("admin: { hosts: [Gate] }\n", "`Gate` is not a host name"),
            ("admin: { hosts: ['gate:7081'] }\n", "without a port"),
            ("admin: { hosts: [] }\n", "host names"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(said), "{text}: {refused}");
        }
    }
}
