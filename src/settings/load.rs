//! From text to [`Settings`]: the top level, and the small sections.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::keys::{DECISIONS, DRAIN, FORMATS, KEYS, LOG, METRICS, OPS, TOKENS};
use super::{
    CONNECTIONS_MAX_DEFAULT, Control, DRAIN_DELAY_DEFAULT, DRAIN_TIMEOUT_DEFAULT, Drain, Log,
    METRIC_ACCOUNTS_DEFAULT, MetricsSettings, Named, OPS_DEFAULT, POLICIES_DEFAULT, STORE_DEFAULT,
    Settings, StoreSetting, Tokens, admin, api_keys, audit, denials, listener, rates, shadow,
    upstream,
};
use crate::words::{Fault, Faults, Place, UpstreamName};
use crate::yaml::{self, Fields, Node, Value, quoted};

impl Settings {
    /// Reads and checks the settings file at `path`.
    ///
    /// # Errors
    ///
    /// Every fault in the file, so that one edit can mend them all.
    pub fn load(path: &Path) -> Result<Self, Faults> {
        let file: Arc<Path> = Arc::from(path);
        let bytes = std::fs::read(path).map_err(|error| {
            Fault::new(
                Place::whole(path),
                format!("the settings cannot be read: {error}"),
            )
        })?;
        Self::from_text(path, &yaml::decode(&file, bytes)?)
    }

    /// Checks `text` as if it stood in the file `path`, to which its relative paths are relative.
    ///
    /// # Errors
    ///
    /// Every fault in the text, so that one edit can mend them all.
    pub fn from_text(path: &Path, text: &str) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let file: Arc<Path> = Arc::from(path);
        let settings = yaml::parse(&file, text, &mut faults).and_then(|root| {
            let reader = Reader {
                base: path.parent().unwrap_or(Path::new("")),
                named: RefCell::default(),
            };
            reader.settings(path, &root, &mut faults)
        });
        match settings {
            Some(settings) => faults.into_result(settings),
            None => Err(said(faults, path)),
        }
    }
}

/// What is wrong, sorted; there is at least one fault wherever nothing could be read.
fn said(mut faults: Faults, path: &Path) -> Faults {
    if faults.is_empty() {
        faults.push(Fault::new(
            Place::whole(path),
            "the settings cannot be read",
        ));
    }
    faults.into_result(()).err().unwrap_or_default()
}

/// What every section needs to know: where relative paths start; and where each was named.
pub(super) struct Reader<'a> {
    base: &'a Path,
    named: RefCell<Named>,
}

impl Reader<'_> {
    fn settings(&self, path: &Path, root: &Node, faults: &mut Faults) -> Option<Settings> {
        let fields = Fields::of(root, &KEYS, faults)?;
        let store = self.store(&fields, faults);
        let shadow = fields.boolean("shadow", faults);
        let upstreams = fields.get("upstreams");
        let (mut upstreams, mut weakened) = upstreams.map_or_else(
            || (BTreeMap::new(), Vec::new()),
            |node| upstream::read_all(self, node, shadow == Some(true), faults),
        );
        weakened.extend(shadow::whole_gateway(&fields, &mut upstreams, faults));
        let tokens = self.tokens(fields.get("tokens"), &store, faults);
        let settings = Settings {
            file: path.to_owned(),
            listeners: listener::read_all(self, fields.get("listeners"), faults),
            admin: admin::read(self, fields.get("admin"), &tokens, faults),
            ops: ops(fields.get("ops"), faults),
            policies: self
                .path(fields.get("policies"), faults)
                .unwrap_or_else(|| self.base.join(POLICIES_DEFAULT)),
            pepper: self.pepper(&fields, &store, faults),
            tokens,
            keys: api_keys::read(fields.get("keys"), faults),
            store,
            upstreams,
            shadow: shadow == Some(true),
            rates: rates::read(fields.get("rates"), faults),
            control: self.control(fields.get("control"), faults),
            log: log(fields.get("log"), faults),
            metrics: metrics(fields.get("metrics"), faults),
            denials: denials::read(fields.get("denials"), faults),
            audit: audit::read(fields.get("audit"), faults),
            drain: drain(fields.get("drain"), faults),
            threads: fields.count("threads", faults),
            max_connections: fields
                .count("max_connections", faults)
                .unwrap_or(CONNECTIONS_MAX_DEFAULT),
            weakened,
            named: self.named.take(),
        };
        refuse_shared_addresses(&settings, root, faults);
        Some(settings)
    }

    /// A path; relative ones are relative to the settings file.
    pub(super) fn path(&self, node: Option<&Node>, faults: &mut Faults) -> Option<PathBuf> {
        let node = node?;
        let text = node.text("a path", faults)?;
        Some(self.named(node, text))
    }

    /// The path that `text`, which stands at `node`, means.
    fn named(&self, node: &Node, text: &str) -> PathBuf {
        let path = self.base.join(text);
        let mut named = self.named.borrow_mut();
        let files = &mut named.files;
        files.entry(path.clone()).or_insert(node.place.clone());
        path
    }

    /// An upstream stands at `place`.
    pub(super) fn upstream(&self, name: &UpstreamName, place: &Place) {
        let mut named = self.named.borrow_mut();
        named.upstreams.insert(name.clone(), place.clone());
    }

    fn store(&self, fields: &Fields<'_>, faults: &mut Faults) -> StoreSetting {
        let beside = || StoreSetting::Sqlite(self.base.join(STORE_DEFAULT));
        let Some(node) = fields.get("store") else {
            return beside();
        };
        let expected = "`sqlite:FILE` or `none`";
        let Some(text) = node.text(expected, faults) else {
            return beside();
        };
        match text.split_once(':') {
            None if text == "none" => StoreSetting::None,
            Some(("sqlite", file)) if !file.is_empty() && !file.starts_with("//") => {
                StoreSetting::Sqlite(self.named(node, file))
            }
            Some(("postgres" | "postgresql", _)) => {
                let message = "`postgres:` is not in this release: use `sqlite:FILE` or `none`";
                faults.push(Fault::new(node.place.clone(), message));
                beside()
            }
            Some(_) | None => {
                let message = format!("{} is not a store: expected {expected}", quoted(text));
                faults.push(Fault::new(node.place.clone(), message));
                beside()
            }
        }
    }

    fn pepper(
        &self,
        fields: &Fields<'_>,
        store: &StoreSetting,
        faults: &mut Faults,
    ) -> Option<PathBuf> {
        let node = fields.get("pepper")?;
        if *store == StoreSetting::None {
            let message = "`pepper` has nothing to guard with `store: none`: remove it";
            faults.push(Fault::new(node.place.clone(), message));
        }
        self.path(Some(node), faults)
    }

    fn tokens(&self, node: Option<&Node>, store: &StoreSetting, faults: &mut Faults) -> Tokens {
        let mut tokens = Tokens::default();
        let Some(fields) = node.and_then(|node| Fields::of(node, &TOKENS, faults)) else {
            return tokens;
        };
        if let Some(issuer) = claim(fields.get("issuer"), "an issuer", faults) {
            tokens.issuer = issuer;
        }
        if let Some(audience) = claim(fields.get("audience"), "an audience", faults) {
            tokens.audience = audience;
        }
        if let Some(lifetime) = fields.duration("lifetime", faults) {
            tokens.lifetime = lifetime;
        }
        if let Some(life) = fields.duration("signing_key_life", faults) {
            tokens.signing_key_life = life;
        }
        if let Some(entries) = fields.count("cache", faults) {
            tokens.cache_entries = entries;
        }
        if let Some(node) = fields.get("signing_key") {
            if *store != StoreSetting::None {
                let message =
                    "the store keeps the signing keys: remove `signing_key`, or say `store: none`";
                faults.push(Fault::new(node.place.clone(), message));
            }
            tokens.signing_key = self.path(Some(node), faults);
        }
        tokens
    }

    fn control(&self, node: Option<&Node>, faults: &mut Faults) -> Control {
        let text = node.and_then(|node| Some((node, node.text("a path or `off`", faults)?)));
        match text {
            None => Control::Default,
            Some((_, "off")) => Control::Off,
            Some((node, path)) => Control::Path(self.named(node, path)),
        }
    }
}

/// `iss` or `aud`: visible ASCII, so that it reads the same in a token, a header and a log.
pub(super) fn claim(node: Option<&Node>, what: &str, faults: &mut Faults) -> Option<String> {
    let node = node?;
    let text = node.text(what, faults)?;
    if (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(text.to_owned());
    }
    let message = format!(
        "{} is not {what}: expected 1 to 256 visible ASCII characters",
        quoted(text)
    );
    faults.push(Fault::new(node.place.clone(), message));
    None
}

/// The address of `ops`, or `off`.
fn ops(node: Option<&Node>, faults: &mut Faults) -> Option<SocketAddr> {
    let Some(node) = node else {
        return Some(OPS_DEFAULT);
    };
    if let Value::Scalar(text) = &node.value {
        if text != "off" {
            let message = format!(
                "{} is not a value of `ops`: expected `{{ address: {OPS_DEFAULT} }}` or `off`",
                quoted(text)
            );
            faults.push(Fault::new(node.place.clone(), message));
        }
        return None;
    }
    let fields = Fields::of(node, &OPS, faults)?;
    let address = fields.get("address").map(|node| address(node, faults));
    address.unwrap_or(Some(OPS_DEFAULT))
}

/// An address and a port.
pub(super) fn address(node: &Node, faults: &mut Faults) -> Option<SocketAddr> {
    let expected = "an address and a port, such as `127.0.0.1:7080` or `[::]:7080`";
    let text = node.text(expected, faults)?;
    let address = text.parse().ok();
    if address.is_none() {
        let message = format!("{} is not an address: expected {expected}", quoted(text));
        faults.push(Fault::new(node.place.clone(), message));
    }
    address
}

fn log(node: Option<&Node>, faults: &mut Faults) -> Log {
    let Some(fields) = node.and_then(|node| Fields::of(node, &LOG, faults)) else {
        return Log::default();
    };
    fields.choice("format", &FORMATS, faults);
    let decisions = fields.choice("decisions", &DECISIONS, faults);
    Log {
        decisions: decisions.unwrap_or_default(),
    }
}

fn metrics(node: Option<&Node>, faults: &mut Faults) -> MetricsSettings {
    let fields = node.and_then(|node| Fields::of(node, &METRICS, faults));
    let accounts = fields
        .as_ref()
        .and_then(|it| it.boolean("accounts", faults));
    let max_accounts = fields.and_then(|it| it.count("max_accounts", faults));
    MetricsSettings {
        accounts: accounts.unwrap_or(true),
        max_accounts: max_accounts.unwrap_or(METRIC_ACCOUNTS_DEFAULT),
    }
}

fn drain(node: Option<&Node>, faults: &mut Faults) -> Drain {
    let fields = node.and_then(|node| Fields::of(node, &DRAIN, faults));
    let mut span = |name, default| {
        let span = fields.as_ref().and_then(|it| it.duration(name, faults));
        span.unwrap_or(default)
    };
    Drain {
        delay: span("delay", DRAIN_DELAY_DEFAULT),
        timeout: span("timeout", DRAIN_TIMEOUT_DEFAULT),
    }
}

/// One address can be listened at once. Port 0 is a new port every time.
fn refuse_shared_addresses(settings: &Settings, root: &Node, faults: &mut Faults) {
    let mut seen: Vec<(SocketAddr, &str)> = Vec::new();
    let doors = settings.listeners.iter().map(|l| (l.address, "a listener"));
    let ops = settings.ops.map(|address| (address, "`ops`"));
    let admin = settings.admin.as_ref();
    let admin = admin.map(|admin| (admin.address, "`admin`"));
    for (address, name) in doors.chain(ops).chain(admin) {
        let earlier = seen
            .iter()
            .find(|(other, _)| *other == address && address.port() != 0);
        if let Some((_, earlier)) = earlier {
            let message = format!("{earlier} and {name} have the same address, `{address}`");
            faults.push(Fault::new(root.place.clone(), message));
        }
        seen.push((address, name));
    }
}
