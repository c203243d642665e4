//! What stands in the files of a gateway.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use super::{Gateway, Upstream};

/// The policy most tests use: items to read, write and delete, a public corner, and another for
/// administrators.
pub(crate) const ITEMS: &str = r"
upstream: items

permissions:
  items:read: See items
  items:write: Make items
  items:delete: Remove items
  admin:read: Look behind the scenes

roles:
  reader: { description: Sees items, permissions: [items:read] }
  writer: { description: Sees and makes items, include: [reader], permissions: [items:write] }
  owner: { description: Everything about items, permissions: ['items:*'] }
  admin: { description: Looks behind the scenes, permissions: [admin:read] }

routes:
  GET /v1/items/{id}: items:read
  POST /v1/items: items:write
  DELETE /v1/items/{id}: items:delete
  GET /public/{rest...}: public
  GET /admin/{rest...}: admin:read
";

/// A gateway to be: what will stand in its files.
#[derive(Clone, Debug)]
pub(crate) struct Fixture {
    listeners: Vec<String>,
    upstreams: BTreeMap<String, String>,
    policies: BTreeMap<String, String>,
    store: String,
    admin: String,
    settings: String,
}

impl Fixture {
    /// The standard one: [`ITEMS`] before `upstream`, an empty SQLite store, one plain listener.
    pub(crate) fn new(upstream: &Upstream) -> Self {
        Self::before(&upstream.url())
    }

    /// The standard one, before the upstream at `url`.
    pub(crate) fn before(url: &str) -> Self {
        Self {
            listeners: vec!["address: 127.0.0.1:0".to_owned()],
            upstreams: BTreeMap::from([("items".to_owned(), format!("url: {url}"))]),
            policies: BTreeMap::from([("items.yaml".to_owned(), ITEMS.to_owned())]),
            store: "sqlite:portcullis.db".to_owned(),
            admin: "off".to_owned(),
            settings: String::new(),
        }
    }

    /// A folder of policies as it is shipped, before the upstream at `url` that it names.
    pub(crate) fn of_folder(folder: &str, upstream: &str, url: &str) -> Self {
        let mut policies = BTreeMap::new();
        for entry in std::fs::read_dir(folder).expect("a folder of policies") {
            let path = entry.expect("a readable folder").path();
            let name = path.file_name().expect("it has one").to_string_lossy();
            let text = std::fs::read_to_string(&path).expect("a file of text");
            policies.insert(name.into_owned(), text);
        }
        Self {
            listeners: vec!["address: 127.0.0.1:0".to_owned()],
            upstreams: BTreeMap::from([(upstream.to_owned(), format!("url: {url}"))]),
            policies,
            store: "sqlite:portcullis.db".to_owned(),
            admin: "off".to_owned(),
            settings: String::new(),
        }
    }

    /// Listens at `address` instead of a port that is free.
    pub(crate) fn at(mut self, address: SocketAddr) -> Self {
        self.listeners = vec![format!("address: '{address}'")];
        self
    }

    /// Adds to the first listener: `.listener("basic: true")`.
    pub(crate) fn listener(mut self, more: &str) -> Self {
        if let Some(first) = self.listeners.first_mut() {
            *first += &format!(", {more}");
        }
        self
    }

    /// Adds another listener, at a port of its own; `more` may be empty.
    pub(crate) fn another_listener(mut self, more: &str) -> Self {
        self.listeners.push(format!("address: 127.0.0.1:0, {more}"));
        self
    }

    /// Adds a listener that speaks TLS, with a certificate of its own for `gate.test`.
    pub(crate) fn tls_listener(self) -> Self {
        self.another_listener("tls: { certificate: tls.crt, key: tls.key }")
    }

    /// Adds to the upstream `items`: `.upstream("timeout: 100ms")`.
    pub(crate) fn upstream(mut self, more: &str) -> Self {
        if let Some(items) = self.upstreams.get_mut("items") {
            *items += &format!(", {more}");
        }
        self
    }

    /// Adds another upstream.
    pub(crate) fn another_upstream(self, name: &str, upstream: &Upstream) -> Self {
        self.upstream_at(name, &upstream.url())
    }

    /// Adds another upstream, by its URL; settings of its own may follow after a comma.
    pub(crate) fn upstream_at(mut self, name: &str, url: &str) -> Self {
        self.upstreams
            .insert(name.to_owned(), format!("url: {url}"));
        self
    }

    /// Adds or replaces a policy file; the standard one is `items.yaml`.
    pub(crate) fn policy(mut self, file: &str, text: &str) -> Self {
        self.policies.insert(file.to_owned(), text.to_owned());
        self
    }

    /// Another store than SQLite.
    pub(crate) fn store(mut self, store: &str) -> Self {
        store.clone_into(&mut self.store);
        self
    }

    /// Opens the admin API at a port of its own; `more` may be empty, or settings after a comma.
    pub(crate) fn admin(mut self, more: &str) -> Self {
        self.admin = format!("{{ address: 127.0.0.1:0{more} }}");
        self
    }

    /// Adds lines to the settings file: `.settings("drain: { delay: 0s }")`.
    pub(crate) fn settings(mut self, lines: &str) -> Self {
        self.settings += &format!("{lines}\n");
        self
    }

    /// Writes the files into a folder of their own.
    pub(crate) fn write(&self) -> Files {
        let folder = TempDir::new().expect("a temporary folder");
        let certified = rcgen::generate_simple_self_signed(vec!["gate.test".to_owned()])
            .expect("a certificate for a sound name");
        let config = folder.path().join("portcullis.yaml");
        let files = Files {
            folder: Arc::new(folder),
            certificate: certified.cert.der().clone(),
            config,
            descriptors: None,
        };
        std::fs::create_dir(files.path("policies")).expect("a folder in a new folder");
        files.write("tls.crt", &certified.cert.pem());
        files.write("tls.key", &certified.signing_key.serialize_pem());
        for (name, text) in &self.policies {
            files.write(&format!("policies/{name}"), text);
        }
        files.write("portcullis.yaml", &self.text());
        files
    }

    /// Writes the files, starts the gateway, and waits until it is ready.
    pub(crate) fn start(&self) -> Gateway {
        Gateway::start(self.write())
    }

    fn text(&self) -> String {
        let mut text = String::from("listeners:\n");
        for listener in &self.listeners {
            text += &format!("  - {{ {listener} }}\n");
        }
        text += &format!("admin: {}\n", self.admin);
        text += "ops: { address: 127.0.0.1:0 }\npolicies: policies/\n";
        text += "control: control.sock\n";
        text += &format!("store: {}\nupstreams:\n", self.store);
        for (name, upstream) in &self.upstreams {
            text += &format!("  {name}: {{ {upstream} }}\n");
        }
        text + &self.settings
    }
}

/// The files of a gateway, in a folder that goes away with them.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    folder: Arc<TempDir>,
    certificate: CertificateDer<'static>,
    config: PathBuf,
    /// How many the system allows its processes to have, if fewer than usual.
    descriptors: Option<u64>,
}

impl Files {
    /// What a client of the TLS listener has to trust.
    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// A path below the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file below the folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::write(&path, text)
            .unwrap_or_else(|error| panic!("cannot write `{}`: {error}", path.display()));
    }

    /// Lets its processes have so many descriptors and no more, as `ulimit -n` does.
    pub(crate) fn with_descriptors(mut self, most: u64) -> Self {
        self.descriptors = Some(most);
        self
    }

    /// The settings file.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// Runs a command of the binary on these files.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    /// A command of the binary on these files, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        // Figures are taken of what is shipped; `tests/run` says where it is.
        let binary = std::env::var_os("PORTCULLIS_TEST_BINARY");
        let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_portcullis").into());
        let mut command = Command::new(binary.clone());
        if let Some(most) = self.descriptors {
            command = Command::new("sh");
            let script = format!("ulimit -n {most}; exec \"$0\" \"$@\"");
            command.arg("-c").arg(script).arg(binary);
        }
        command
            .arg("-c")
            .arg(&self.config)
            .args(arguments)
            .stdin(Stdio::null())
            .env_remove("PORTCULLIS_CONFIG")
            .env("NO_COLOR", "1");
        command
    }
}
