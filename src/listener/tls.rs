//! How a listener speaks TLS: certificate, key, whose client certificates it takes, and the same
//! again whenever the files change.
//!
//! A certificate is renewed while the gateway runs, every few weeks or hours; who comes after that is
//! served with the new one, and who is there already stays. A pair that cannot be used changes
//! nothing. Each listener has sessions of its own, and new ones with new files, so no session is
//! resumed where its client was not let in.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Door;
use super::certificate::not_after;
use crate::clock::Clock;
use crate::pem::{self, Unusable};
use crate::settings::{ClientCertificates, ClientTls, ListenerTls};
use crate::telemetry::metrics::Metrics;

/// How often the files are looked at. Two looks have to agree, so that whoever writes certificate and
/// key one after the other is given time: a renewed certificate is in use within some two seconds.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How a listener speaks TLS.
#[derive(Debug)]
pub(super) struct Tls {
    files: ListenerTls,
    http2: bool,
    /// What was told of the files before they were read first.
    opened: Traces,
    current: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    /// Until when the certificate is good, in time since 1970.
    not_after: Option<Duration>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// When one of them cannot be used, or certificate and key do not go together.
    pub(super) fn open(files: ListenerTls, http2: bool) -> Result<Self, Unusable> {
        // Before, so that what is written from here on is seen to differ.
        let opened = traces(&files);
        let loaded = load(&files, http2)?;
        Ok(Self {
            files,
            http2,
            opened,
            current: ArcSwap::from_pointee(loaded),
        })
    }

    /// What a handshake that begins now goes by.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// Reads the files again; what they are now is in use when this returns without an error.
    fn reload(&self, clock: &Clock) -> Result<(), Unusable> {
        let loaded = load(&self.files, self.http2)?;
        let now = Duration::from_secs(clock.now().as_secs());
        if loaded.not_after.is_some_and(|end| end <= now) {
            let path = self.files.certificate.display();
            return Err(Unusable::other(&format_args!(
                "`{path}` has run out already"
            )));
        }
        self.current.store(Arc::new(loaded));
        Ok(())
    }
}

/// Reads again what has changed, for each listener that speaks TLS, until `stop`.
pub async fn watch(
    doors: Vec<Arc<Door>>,
    metrics: Arc<Metrics>,
    clock: Clock,
    stop: CancellationToken,
) {
    let opened = |door: &Arc<Door>| {
        let tls = door.tls.as_ref();
        tls.map_or_else(Vec::new, |tls| tls.opened.clone())
    };
    let mut seen: Vec<_> = doors.iter().map(opened).collect();
    let mut pending = seen.clone();
    for door in &doors {
        tell(door, &metrics);
    }
    while stop.run_until_cancelled(sleep(LOOK_EVERY)).await.is_some() {
        for ((door, seen), pending) in doors.iter().zip(&mut seen).zip(&mut pending) {
            let looked = Arc::clone(door);
            let look = move || looked.tls.as_ref().map(|tls| traces(&tls.files));
            let Ok(Some(now)) = tokio::task::spawn_blocking(look).await else {
                continue;
            };
            if now == *seen || now != *pending {
                *pending = now;
                continue;
            }
            *seen = now;
            let (door, metrics, clock) = (Arc::clone(door), Arc::clone(&metrics), clock.clone());
            // What came of it is logged and counted.
            let _ = tokio::task::spawn_blocking(move || renew(&door, &metrics, &clock)).await;
        }
    }
}

fn renew(door: &Door, metrics: &Metrics, clock: &Clock) {
    let Some(tls) = &door.tls else {
        return;
    };
    let address = door.listener.address;
    match tls.reload(clock) {
        Ok(()) => {
            tracing::info!(%address, "certificate in use");
            tell(door, metrics);
        }
        Err(error) => {
            metrics.doors().certificate_refused();
            tracing::warn!(%address, %error, "certificate refused; the one before it stays in use");
        }
    }
}

/// Says until when the certificate in use is good.
fn tell(door: &Door, metrics: &Metrics) {
    let end = door
        .tls
        .as_ref()
        .and_then(|tls| tls.current.load().not_after);
    if let Some(end) = end.and_then(|end| i64::try_from(end.as_secs()).ok()) {
        let address = door.listener.address.to_string();
        metrics.doors().certificate(&address, end);
    }
}

/// What can be told of each file without reading it: device, inode, size, and the times of change in
/// nanoseconds. Whoever replaces a file, or a link on its way, gives it another inode.
type Traces = Vec<Option<[i128; 5]>>;

fn traces(files: &ListenerTls) -> Traces {
    let roots = files.client.as_ref().map(|client| &client.roots);
    let trace = |path: &Path| {
        let meta = fs::metadata(path).ok()?;
        let nanoseconds =
            |secs: i64, nanos: i64| i128::from(secs) * 1_000_000_000 + i128::from(nanos);
        Some([
            i128::from(meta.dev()),
            i128::from(meta.ino()),
            i128::from(meta.size()),
            nanoseconds(meta.mtime(), meta.mtime_nsec()),
            nanoseconds(meta.ctime(), meta.ctime_nsec()),
        ])
    };
    let paths = [&files.certificate, &files.key].into_iter().chain(roots);
    paths.map(|path| trace(path)).collect()
}

fn load(files: &ListenerTls, http2: bool) -> Result<Loaded, Unusable> {
    let chain = pem::certificates(&files.certificate)?;
    let key = pem::private_key(&files.key)?;
    let end = chain.first().and_then(|certificate| not_after(certificate));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Unusable::other(&error))?;
    let builder = match &files.client {
        None => builder.with_no_client_auth(),
        Some(client) => builder.with_client_cert_verifier(verifier(client, provider)?),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| Unusable::apart(&files.certificate, &files.key, &error))?;
    if http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(Loaded {
        config: Arc::new(config),
        not_after: end,
    })
}

/// Lets a client in that shows a certificate of those roots. It is not asked again whom it names.
fn verifier(
    client: &ClientTls,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Unusable> {
    let roots = Arc::new(pem::roots(&client.roots)?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
    let builder = match client.demand {
        ClientCertificates::Require => builder,
        ClientCertificates::Request => builder.allow_unauthenticated(),
    };
    builder
        .build()
        .map_err(|error| Unusable::file(&client.roots, error.to_string()))
}

#[cfg(test)]
mod tests {
    use rcgen::generate_simple_self_signed;

    use super::*;
    use crate::settings::{LISTENER_DEFAULT, Listener};
    use crate::telemetry::metrics::AccountLabels;

    /// Writes a new pair.
    fn renew_files(files: &ListenerTls) {
        let made = generate_simple_self_signed(["gate.test".to_owned()]).unwrap();
        fs::write(&files.certificate, made.cert.pem()).unwrap();
        fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    }

    #[tokio::test]
    async fn what_is_renewed_before_the_first_look_is_in_use_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let files = ListenerTls {
            certificate: folder.path().join("tls.crt"),
            key: folder.path().join("tls.key"),
            client: None,
        };
        renew_files(&files);
        let door = Door::open(Arc::new(Listener {
            tls: Some(files.clone()),
            ..Listener::plain(LISTENER_DEFAULT)
        }))
        .unwrap();
        let tls = door.tls.as_ref().unwrap();
        let before = tls.config();
        renew_files(&files);
        let metrics = Arc::new(Metrics::new(AccountLabels::Off));
        let stop = CancellationToken::new();
        let watching = watch(
            vec![Arc::clone(&door)],
            metrics,
            Clock::System,
            stop.clone(),
        );
        let renewed = async {
            while Arc::ptr_eq(&before, &tls.config()) {
                sleep(Duration::from_millis(10)).await;
            }
            stop.cancel();
        };
        let both = async { tokio::join!(watching, renewed) };
        let done = tokio::time::timeout(LOOK_EVERY * 10, both).await;
        assert!(done.is_ok(), "the renewal was not noticed");
    }
}
