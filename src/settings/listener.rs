//! `listeners`: where requests are taken, and how. What one client may cost is in `limits`.

use std::path::PathBuf;

use super::keys::{ADDRESS, PATH};
use super::load::{Reader, address};
use super::{LISTENER_DEFAULT, Listener, ListenerTls, limits};
use crate::words::{Fault, Faults};
use crate::yaml::shape::{Keys, Known, NETWORK, Preset, Rule, Shape, words};
use crate::yaml::{Fields, Node};

/// A listener.
pub(super) const KEYS: Keys = Keys {
    what: "a listener",
    known: &[
        Known::new(
            "address",
            Shape::Text(ADDRESS),
            "Where requests are taken: an address and a port. Port 0 takes a free one.",
        )
        .required(),
        Known::new(
            "tls",
            Shape::Keys(&TLS),
            "Certificate and key. Without it the listener speaks plain HTTP.",
        ),
        Known::new(
            "basic",
            Shape::Boolean,
            "A key may be shown as `Authorization: Basic`.",
        )
        .or(Preset::Boolean(false)),
        Known::new(
            "api_key",
            Shape::Boolean,
            "A key may be shown as `X-Api-Key: <key id>.<secret>`.",
        )
        .or(Preset::Boolean(false)),
        Known::new(
            "trusted_proxies",
            NETWORKS,
            "Peers whose `X-Forwarded-For` is believed. Nobody's is by default.",
        ),
        Known::new(
            "proxy_protocol",
            NETWORKS,
            "Peers that have to say, ahead of each connection, whom they speak for (PROXY protocol v2).",
        ),
        Known::new(
            "http2",
            Shape::Boolean,
            "HTTP/2: by ALPN with TLS, where it is on unless said; by prior knowledge without, where it is off unless said.",
        ),
        Known::new(
            "limits",
            Shape::Keys(&limits::KEYS),
            "What one client may cost. Every limit is on before anybody sets it.",
        ),
    ],
    later: &[],
    rules: &[],
};

pub(super) const TLS: Keys = Keys {
    what: "`tls`",
    known: &[
        Known::new(
            "certificate",
            Shape::Text(PATH),
            "File of the certificate chain, PEM. It is read again when it changes.",
        )
        .required(),
        Known::new("key", Shape::Text(PATH), "File of its private key, PEM.").required(),
        Known::new(
            "client_roots",
            Shape::Text(PATH),
            "File of the authorities whose client certificates are believed, PEM.",
        ),
        Known::new(
            "client_certificates",
            Shape::Choice(|| words(&DEMANDS)),
            "Whether a client has to show a certificate, or may. One that is shown has to be good in either case.",
        )
        .or(Preset::Word("require")),
    ],
    later: &[],
    rules: &[Rule::Needs("client_certificates", "client_roots")],
};

const DEMANDS: [(&str, ClientCertificates); 2] = [
    ("require", ClientCertificates::Require),
    ("request", ClientCertificates::Request),
];

const NETWORKS: Shape = Shape::filled_list(&Shape::Text(NETWORK));

/// Which client certificates a listener takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// Whose certificates are believed, PEM.
    pub roots: PathBuf,
    /// Whether there has to be one.
    pub demand: ClientCertificates,
}

/// Whether a client has to show a certificate. One that is shown has to be good in either case; it
/// lets a connection in and names nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// It has to.
    #[default]
    Require,
    /// It may.
    Request,
}

/// All listeners; the default one when none is named.
pub(super) fn read_all(
    reader: &Reader<'_>,
    node: Option<&Node>,
    faults: &mut Faults,
) -> Vec<Listener> {
    let Some(node) = node else {
        return vec![Listener::plain(LISTENER_DEFAULT)];
    };
    let Some(items) = node.filled_list("listeners", faults) else {
        return Vec::new();
    };
    items
        .iter()
        .filter_map(|item| read(reader, item, faults))
        .collect()
}

fn read(reader: &Reader<'_>, node: &Node, faults: &mut Faults) -> Option<Listener> {
    let fields = Fields::of(node, &KEYS, faults)?;
    let Some(address_node) = fields.get("address") else {
        let message = "the listener has no `address`, such as `address: 127.0.0.1:7080`";
        faults.push(Fault::new(node.place.clone(), message));
        return None;
    };
    let address = address(address_node, faults);
    let tls = fields.get("tls").and_then(|node| tls(reader, node, faults));
    let mut flag = |name| fields.boolean(name, faults).unwrap_or(false);
    let (basic, api_key) = (flag("basic"), flag("api_key"));
    let http2 = fields.boolean("http2", faults);
    let mut networks = |name| {
        let node = fields.get(name);
        node.map_or_else(Vec::new, |node| node.networks(faults))
    };
    let (trusted_proxies, proxy_protocol) =
        (networks("trusted_proxies"), networks("proxy_protocol"));
    Some(Listener {
        // Where nothing was negotiated, HTTP/2 is spoken only if somebody wants it.
        http2: http2.unwrap_or(tls.is_some()),
        tls,
        basic,
        api_key,
        trusted_proxies,
        proxy_protocol,
        limits: limits::read(fields.get("limits"), faults),
        ..Listener::plain(address?)
    })
}

pub(super) fn tls(reader: &Reader<'_>, node: &Node, faults: &mut Faults) -> Option<ListenerTls> {
    let fields = Fields::of(node, &TLS, faults)?;
    let certificate = fields.get("certificate");
    let key = fields.get("key");
    let missing = match (certificate, key) {
        (Some(_), Some(_)) => None,
        (Some(_), None) => Some("`certificate` is set and `key` is not: set both"),
        (None, Some(_)) => Some("`key` is set and `certificate` is not: set both"),
        (None, None) => Some("`tls` says neither `certificate` nor `key`: set both"),
    };
    if let Some(message) = missing {
        faults.push(Fault::new(node.place.clone(), message));
    }
    let certificate = reader.path(certificate, faults);
    let key = reader.path(key, faults);
    let client = client_tls(reader, &fields, faults);
    Some(ListenerTls {
        certificate: certificate?,
        key: key?,
        client,
    })
}

fn client_tls(reader: &Reader<'_>, fields: &Fields<'_>, faults: &mut Faults) -> Option<ClientTls> {
    let demand = fields.get("client_certificates");
    let (roots, demand) = match (fields.get("client_roots"), demand) {
        (None, None) => return None,
        (None, Some(demand)) => {
            let message = "`client_certificates` is set and `client_roots` is not: say whose \
                           certificates are believed, or remove it";
            faults.push(Fault::new(demand.place.clone(), message));
            return None;
        }
        (Some(roots), _) => (
            roots,
            fields.choice("client_certificates", &DEMANDS, faults),
        ),
    };
    Some(ClientTls {
        roots: reader.path(Some(roots), faults)?,
        demand: demand.unwrap_or_default(),
    })
}
