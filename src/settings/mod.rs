//! How the process runs: `portcullis.yaml`, checked.
//!
//! One struct per concern, each value in the unit its user needs, each default a named constant
//! with its reason. What is written in the file is read by [`Settings::load`], which reports every
//! fault at once; a `Settings` that exists is complete and means what it says.
//!
//! Not here: who may do what (that is a policy), and whether the files named exist or can be read
//! (whoever opens them says so, and finds in [`Named`] where they are named).

mod admin;
mod api_keys;
mod audit;
mod denials;
mod http2;
mod keys;
mod limits;
mod listener;
mod load;
mod rates;
mod reach;
mod rules;
mod shadow;
mod upstream;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

pub use admin::Admin;
pub use api_keys::ApiKeys;
pub use audit::Audit;
pub use denials::Denials;
pub use http2::Http2Limits;
pub use keys::KEYS;
pub(crate) use limits::BODY_BYTES;
pub use limits::ListenerLimits;
pub use listener::{ClientCertificates, ClientTls};
pub use rates::RateSettings;
pub(crate) use rates::{RATE, rate};
pub use reach::ADDRESSES_MAX;
pub(crate) use rules::{PASS, classes as path_classes, classes_of_route};

use crate::words::{ClassSet, Place, Spelling, UpstreamName};

/// Where requests are taken when the file names no listener: this host only, so that a first try
/// opens nothing to a network.
pub const LISTENER_DEFAULT: SocketAddr = loopback(7080);
/// Where the admin API listens when the file does not say: this host only.
pub const ADMIN_DEFAULT: SocketAddr = loopback(7081);
/// Whom tokens for the admin API are for when the file does not say.
pub const ADMIN_AUDIENCE_DEFAULT: &str = "portcullis-admin";
/// Where metrics and health are served when the file does not say: this host only, because they
/// tell more than a stranger should know.
pub const OPS_DEFAULT: SocketAddr = loopback(7090);
/// The policy folder when the file does not say, beside the settings file.
pub const POLICIES_DEFAULT: &str = "policies";
/// The store's file when the file does not say, beside the settings file.
pub const STORE_DEFAULT: &str = "portcullis.db";

/// Longest wait for a connection to an upstream. The upstream is near (a sidecar's own pod, or one
/// data centre); a connection that takes five seconds is not going to happen.
pub const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// Longest wait for the head of an upstream's response. Longer than any sensible page, shorter than
/// the patience of the clients and balancers in front of us, which is a minute.
pub const RESPONSE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Longest rest of a pooled connection. Below the keep-alive of common servers (gunicorn and Node
/// have 5 s unless told otherwise, but most have 60 s and more); a stale one is retried once.
pub const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Longest silence inside an answer or a tunnel. Long polls and event streams are silent for minutes
/// and mean it; whoever is silent for longer than this has gone, or sends a sign of life.
pub const STREAM_IDLE_DEFAULT: Duration = Duration::from_secs(5 * 60);
/// Most connections to one upstream. Beyond it the upstream is asked for more than a single API
/// process usually bears, and answers 503 are better than a pile-up.
pub const CONNECTIONS_DEFAULT: usize = 1024;

/// Most requests that wait for a connection to one upstream. As many as a burst of clients brings;
/// whoever comes after them waits for so many others that it had better ask elsewhere.
pub const QUEUE_DEFAULT: usize = 256;
/// Longest wait for a connection. An upstream that frees none for a second is not having a burst.
pub const QUEUE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);
/// How long the addresses behind a name are believed. Common name services answer for 5 to 30 s.
pub const RESOLVE_EVERY_DEFAULT: Duration = Duration::from_secs(10);
/// From one health check of an address to the next: soon enough to notice before most people do.
pub const HEALTH_INTERVAL_DEFAULT: Duration = Duration::from_secs(5);
/// Longest wait for the answer to a health check.
pub const HEALTH_TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
/// Bad answers in a row that put an address aside: one may be a hiccup, three are not.
pub const HEALTH_FAILURES_DEFAULT: usize = 3;

/// Lifetime of an access token. Short, so that a leaked one is soon worthless even to somebody who
/// keeps it from us; long enough that the token endpoint is not asked with every request.
pub const TOKEN_LIFETIME_DEFAULT: Duration = Duration::from_secs(15 * 60);
/// Longest lifetime of an access token that may be set. What should live longer is a key.
pub const TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How old a signing key gets. It never leaves the process unsealed, so this is hygiene and not haste; a
/// quarter of a year is what common identity providers do.
pub const SIGNING_KEY_LIFE_DEFAULT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Who issues our tokens when the file does not say. A name, not an address: nobody looks it up.
pub const ISSUER_DEFAULT: &str = "portcullis";
/// Whom our tokens are for when the file does not say.
pub const AUDIENCE_DEFAULT: &str = "portcullis";
/// Verified tokens kept in memory: at some 300 bytes each this is 20 MB when full, and many times
/// the tokens that are alive in a fleet of a thousand accounts.
pub const CACHE_ENTRIES_DEFAULT: usize = 65_536;

/// Accounts that have a metric label of their own; the others share one. Bounds the series.
pub const METRIC_ACCOUNTS_DEFAULT: usize = 500;

/// How long a listener stays open after readiness fell, so that balancers notice first.
pub const DRAIN_DELAY_DEFAULT: Duration = Duration::from_secs(2);
/// How long requests in flight may take to end. Below the 30 s after which Kubernetes kills, with
/// room for the delay and the store.
pub const DRAIN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(25);

/// Connections of one process, all listeners together: at some 20 KiB each, 200 MiB when all are
/// taken.
pub const CONNECTIONS_MAX_DEFAULT: usize = 10_000;

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

/// The settings of one process. Every path in it is absolute or relative to the working directory
/// of the process; relative paths in the file were relative to the file.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file they come from.
    pub file: PathBuf,
    /// Where requests are taken; at least one.
    pub listeners: Vec<Listener>,
    /// The admin API, if there is one.
    pub admin: Option<Admin>,
    /// Where metrics and health are served, or nowhere.
    pub ops: Option<SocketAddr>,
    /// The policy folder.
    pub policies: PathBuf,
    /// Where accounts, keys and grants are kept.
    pub store: StoreSetting,
    /// The pepper's file, if not beside the store.
    pub pepper: Option<PathBuf>,
    /// The APIs behind, by name.
    pub upstreams: BTreeMap<UpstreamName, Upstream>,
    /// Access tokens.
    pub tokens: Tokens,
    /// How often an account may ask.
    pub rates: RateSettings,
    /// Keys.
    pub keys: ApiKeys,
    /// The control socket.
    pub control: Control,
    /// Request log.
    pub log: Log,
    /// Metrics.
    pub metrics: MetricsSettings,
    /// Refusals that are kept.
    pub denials: Denials,
    /// How much of the audit trail is kept.
    pub audit: Audit,
    /// The way out.
    pub drain: Drain,
    /// Data-plane threads; one per core the process may use when not said.
    pub threads: Option<usize>,
    /// Most connections of the process, all listeners together.
    pub max_connections: usize,
    /// Whether nothing is enforced that no upstream, file or route says otherwise of.
    pub shadow: bool,
    /// Every setting that weakens a promise, as `upstreams.inventory.unsafe_allow: semicolon`, for
    /// the start-up message and the metric.
    pub weakened: Vec<String>,
    /// Where in the file what lies elsewhere is named.
    pub named: Named,
}

impl Settings {
    /// Where `path` is named; the whole file where it is named by silence.
    pub fn place_of(&self, path: &Path) -> Place {
        let place = self.named.files.get(path);
        place.map_or_else(|| Place::whole(&*self.file), Clone::clone)
    }

    /// Where the upstream `name` begins.
    pub fn place_of_upstream(&self, name: &UpstreamName) -> Place {
        let place = self.named.upstreams.get(name);
        place.map_or_else(|| Place::whole(&*self.file), Clone::clone)
    }
}

/// Where in the settings file what lies elsewhere is named, so that whoever cannot use it can say so.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// Where each path stands; the first place, if it stands in several.
    pub(crate) files: BTreeMap<PathBuf, Place>,
    /// Where each upstream begins.
    pub(crate) upstreams: BTreeMap<UpstreamName, Place>,
}

/// One address requests are taken at.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// Certificate and key; plain HTTP without.
    pub tls: Option<ListenerTls>,
    /// Whether a key may be shown as `Authorization: Basic`.
    pub basic: bool,
    /// Whether a key may be shown as `X-Api-Key`.
    pub api_key: bool,
    /// Peers whose `X-Forwarded-For` is believed; nobody's by default.
    pub trusted_proxies: Vec<IpNet>,
    /// Peers that have to say, ahead of each connection, whom they speak for (PROXY protocol v2);
    /// from everybody else it is not looked for.
    pub proxy_protocol: Vec<IpNet>,
    /// Whether HTTP/2 is spoken: by ALPN with TLS, by prior knowledge without.
    pub http2: bool,
    /// What one client may cost.
    pub limits: ListenerLimits,
}

/// How a listener speaks TLS. One value, so that half a setup cannot be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Which client certificates are asked for, if any are.
    pub client: Option<ClientTls>,
}

impl Listener {
    /// A listener at `address` with plain HTTP and every default.
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            basic: false,
            api_key: false,
            trusted_proxies: Vec::new(),
            proxy_protocol: Vec::new(),
            http2: false,
            limits: ListenerLimits::default(),
        }
    }
}

/// Where accounts, keys and grants are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSetting {
    /// Nowhere: all of them come from policy files.
    None,
    /// In this SQLite file.
    Sqlite(PathBuf),
}

/// What an upstream puts up with and asks for; policy files are checked against it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own, and every combination of them is meant"
)]
pub struct UpstreamRules {
    /// The path classes that are let through to it.
    pub unsafe_allow: ClassSet,
    /// Whether decisions for it are only logged and counted.
    pub shadow: bool,
    /// Whether a foreign `Authorization` is passed on to it.
    pub pass_authorization: bool,
    /// Header names that are let through to it although they hold more than letters, digits and `-`.
    pub header_names: Arc<[HeaderName]>,
    /// What it ignores in a path.
    pub spelling: Spelling,
    /// Whether `_method` may stand in a query that goes to it.
    pub method_in_query: bool,
    /// Whether requests go to it that no route names, which only shadow lets through.
    pub is_default: bool,
    /// Where it is: two upstreams that may be one are told by this, not by their names.
    pub addresses: Vec<UpstreamAddress>,
}

/// An API behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name.
    pub name: UpstreamName,
    /// Where it is; at least one address. Several are servers that answer alike.
    pub addresses: Vec<UpstreamAddress>,
    /// The `Host` it is sent, unless the client's is.
    pub authority: String,
    /// TLS, if it is spoken.
    pub tls: Option<UpstreamTls>,
    /// Whether HTTP/2 is spoken to it; HTTP/1.1 otherwise.
    pub http2: bool,
    /// What policy files are checked against.
    pub rules: UpstreamRules,
    /// Whose `Host` it is sent.
    pub host_header: HostHeader,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the head of a response.
    pub response_timeout: Duration,
    /// Longest rest of a pooled connection.
    pub idle_timeout: Duration,
    /// Longest silence inside an answer or a tunnel.
    pub stream_idle: Duration,
    /// How long the addresses behind a name are believed before it is looked up again.
    pub resolve_every: Duration,
    /// Most connections, all cores together.
    pub connections_max: usize,
    /// Most requests that wait for a connection, all cores together.
    pub queue_max: usize,
    /// Longest wait for a connection.
    pub queue_timeout: Duration,
    /// What is asked of each of its addresses now and then, if anything is.
    pub health: Option<HealthCheck>,
    /// The path that `/probe/<name>` on the ops port asks, if it may be asked.
    pub probe: Option<String>,
}

impl Upstream {
    /// An upstream at `addresses` that is sent `authority` as its `Host`, with every default.
    pub fn plain(name: UpstreamName, addresses: Vec<UpstreamAddress>, authority: String) -> Self {
        Self {
            name,
            addresses,
            authority,
            tls: None,
            http2: false,
            rules: UpstreamRules::default(),
            host_header: HostHeader::default(),
            connect_timeout: CONNECT_TIMEOUT_DEFAULT,
            response_timeout: RESPONSE_TIMEOUT_DEFAULT,
            idle_timeout: IDLE_TIMEOUT_DEFAULT,
            stream_idle: STREAM_IDLE_DEFAULT,
            resolve_every: RESOLVE_EVERY_DEFAULT,
            connections_max: CONNECTIONS_DEFAULT,
            queue_max: QUEUE_DEFAULT,
            queue_timeout: QUEUE_TIMEOUT_DEFAULT,
            health: None,
            probe: None,
        }
    }
}

/// Whom an upstream is believed to be, and who we are to it. It is always verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Whose certificates are believed, PEM; what the host believes when not said.
    pub roots: Option<PathBuf>,
    /// Our certificate chain and its private key, PEM, for an upstream that asks.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name on the upstream's certificate, if it is not the host of its URL.
    pub server_name: Option<String>,
}

/// What is asked of every address of an upstream now and then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The path; an answer of 2xx or 3xx is a good one.
    pub path: String,
    /// From one check to the next.
    pub interval: Duration,
    /// Longest wait for the answer.
    pub timeout: Duration,
    /// How many bad answers in a row put an address aside. One good answer brings it back.
    pub failures: usize,
}

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamAddress {
    /// A host name or address (without brackets) and a port.
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// Whose `Host` an upstream is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostHeader {
    /// The upstream's own.
    #[default]
    Upstream,
    /// The client's.
    Client,
}

/// Access tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// `iss` of our tokens.
    pub issuer: String,
    /// `aud` of our tokens.
    pub audience: String,
    /// How long one is good.
    pub lifetime: Duration,
    /// How old a signing key of the store gets before another takes its place.
    pub signing_key_life: Duration,
    /// The signing key's file, where there is no store to keep one.
    pub signing_key: Option<PathBuf>,
    /// Verified tokens kept in memory.
    pub cache_entries: usize,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            issuer: ISSUER_DEFAULT.to_owned(),
            audience: AUDIENCE_DEFAULT.to_owned(),
            lifetime: TOKEN_LIFETIME_DEFAULT,
            signing_key_life: SIGNING_KEY_LIFE_DEFAULT,
            signing_key: None,
            cache_entries: CACHE_ENTRIES_DEFAULT,
        }
    }
}

/// The control socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Control {
    /// At the place that commands look for it.
    #[default]
    Default,
    /// Nowhere.
    Off,
    /// Here.
    Path(PathBuf),
}

/// Request log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Which decisions are logged.
    pub decisions: Decisions,
}

/// Which decisions are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decisions {
    /// All of them.
    #[default]
    All,
    /// Refusals, what would be refused, and what was cut off by anybody but its client.
    Denied,
}

/// Metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsSettings {
    /// Whether accounts are a label.
    pub accounts: bool,
    /// Accounts with a label of their own.
    pub max_accounts: usize,
}

/// The way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long listeners stay open after readiness fell.
    pub delay: Duration,
    /// How long requests in flight may take to end after that.
    pub timeout: Duration,
}

#[cfg(test)]
mod tests;
