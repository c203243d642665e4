//! TLS to an upstream: whom it is believed to be, and who we are to it.
//!
//! An upstream is always verified: against its own roots if the settings name them, else against
//! those of the host. There is no way to switch that off; a certificate that no one signed is its own
//! root, and can be named as one.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::pem::{self, Unusable};
use crate::settings::{Upstream, UpstreamTls};

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// What is to be spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Makes connections secure.
#[derive(Clone)]
pub struct Tls {
    http1: TlsConnector,
    http2: TlsConnector,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// What the settings of `upstream` ask for, if they ask for TLS.
    ///
    /// # Errors
    ///
    /// When roots, certificate or key cannot be used.
    pub fn of(upstream: &Upstream) -> Result<Option<Self>, Unusable> {
        let Some(tls) = &upstream.tls else {
            return Ok(None);
        };
        let config = config(tls)?;
        let speaking = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        Ok(Some(Self {
            http1: speaking(HTTP1),
            http2: speaking(HTTP2),
        }))
    }

    /// The handshake with whoever should be `name`.
    ///
    /// # Errors
    ///
    /// When the other end is not believed, does not believe us, or does not speak what it should.
    pub async fn connect<T>(
        &self,
        io: T,
        name: ServerName<'static>,
        speaks: Speaks,
    ) -> io::Result<TlsStream<T>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = match speaks {
            Speaks::Http1 => &self.http1,
            Speaks::Http2 => &self.http2,
        };
        let stream = connector.connect(name, io).await?;
        let chosen = stream.get_ref().1.alpn_protocol();
        match speaks {
            // Many a server of HTTP/1.1 has never heard of ALPN.
            Speaks::Http1 if chosen.is_none_or(|chosen| chosen == HTTP1) => Ok(stream),
            Speaks::Http2 if chosen == Some(HTTP2) => Ok(stream),
            Speaks::Http1 => Err(io::Error::other("it does not speak HTTP/1.1")),
            Speaks::Http2 => Err(io::Error::other(
                "it does not speak HTTP/2: remove `http2: true` from this upstream",
            )),
        }
    }
}

fn config(tls: &UpstreamTls) -> Result<ClientConfig, Unusable> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = tls
        .roots
        .as_deref()
        .map_or_else(roots_of_host, pem::roots)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Unusable::other(&error))?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &tls.identity else {
        return Ok(builder.with_no_client_auth());
    };
    builder
        .with_client_auth_cert(pem::certificates(certificate)?, pem::private_key(key)?)
        .map_err(|error| Unusable::apart(certificate, key, &error))
}

fn roots_of_host() -> Result<RootCertStore, Unusable> {
    let roots = pem::roots_of_host();
    if roots.is_empty() {
        let said = "this host believes in no certificates: name `tls: { roots: FILE }`";
        return Err(Unusable::other(&said));
    }
    Ok(roots)
}
