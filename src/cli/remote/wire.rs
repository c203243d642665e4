//! HTTP to a server: one request and its whole answer at a time, verified TLS, no redirects.
//!
//! A connection is kept for the questions that follow it, and only for questions: a change goes over
//! a connection of its own, so that it is known whether it was sent.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::origin::Origin;
use crate::cli::Failure;
use crate::pem;

/// Longest wait for an address that does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for an answer. A reload of a large folder takes seconds; more is a server that hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer read, in bytes: a page of a thousand accounts, each with all the grants it may have.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// An answer, whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no answer, and whether what was asked may have been done all the same.
#[derive(Debug)]
pub(super) struct NoAnswer {
    pub(super) failure: Failure,
    pub(super) may_be_done: bool,
}

impl From<Failure> for NoAnswer {
    /// What never reached a server was not done.
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            may_be_done: false,
        }
    }
}

impl From<NoAnswer> for Failure {
    fn from(none: NoAnswer) -> Self {
        none.failure
    }
}

/// A way to one server.
pub(super) struct Wire {
    origin: Origin,
    tls: Option<TlsConnector>,
    kept: Option<Line>,
}

/// A connection, and what moves it.
struct Line {
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<dyn Future<Output = hyper::Result<()>>>>,
}

/// Why there is no answer.
enum Trouble {
    /// The request was not sent: it may be, again.
    Unsent(String),
    /// Nobody knows how far it came.
    Other(String),
}

impl Wire {
    /// A way to `origin`, which is believed by the roots in `authorities`, or else by those of this
    /// machine.
    ///
    /// # Errors
    ///
    /// When there are no such roots.
    pub(super) fn new(origin: Origin, authorities: Option<&Path>) -> Result<Self, Failure> {
        let tls = origin.is_secure().then(|| connector(authorities));
        Ok(Self {
            origin,
            tls: tls.transpose()?,
            kept: None,
        })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    ///
    /// A sentence, when there is none.
    pub(super) async fn ask(&mut self, request: Request<Bytes>) -> Result<Answer, NoAnswer> {
        let origin = self.origin.clone();
        let told = |said: String| Failure::server(format_args!("`{origin}` {said}"));
        let request = self.addressed(request);
        if let Some(line) = self.kept.take()
            && request.method() == Method::GET
        {
            match self.exchange(line, request.clone()).await {
                Ok(answer) => return Ok(answer),
                // The server closed it meanwhile, which is its right; whoever only looks may ask again.
                Err(Trouble::Unsent(_) | Trouble::Other(_)) => {}
            }
        }
        let Ok(line) = timeout(CONNECT_TIMEOUT, self.connect()).await else {
            let seconds = CONNECT_TIMEOUT.as_secs();
            return Err(told(format!("cannot be reached within {seconds} seconds")).into());
        };
        let answer = self.exchange(line?, request).await;
        answer.map_err(|trouble| {
            let (said, may_be_done) = match trouble {
                Trouble::Unsent(said) => (said, false),
                Trouble::Other(said) => (said, true),
            };
            NoAnswer {
                failure: told(said),
                may_be_done,
            }
        })
    }

    fn addressed(&self, request: Request<Bytes>) -> Request<Full<Bytes>> {
        let mut request = request.map(Full::new);
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.origin.authority());
        let agent = concat!("portcullis/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, http::HeaderValue::from_static(agent));
        request
    }

    async fn exchange(
        &mut self,
        line: Line,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Trouble> {
        let Line {
            mut sender,
            mut connection,
        } = line;
        let exchange =
            async {
                let response = sender.send_request(request).await.map_err(|error| {
                    match error.is_canceled() {
                        true => Trouble::Unsent(no_answer(&error)),
                        false => Trouble::Other(no_answer(&error)),
                    }
                })?;
                let (parts, body) = response.into_parts();
                let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
                let body = body.map_err(|error| Trouble::Other(no_answer(&error)))?;
                Ok(Answer {
                    status: parts.status,
                    headers: parts.headers,
                    body: body.to_bytes(),
                })
            };
        let both = async {
            tokio::pin!(exchange);
            tokio::select! {
                answer = &mut exchange => (answer, false),
                // The connection may end together with the last byte of the answer.
                _ = &mut connection => (exchange.await, true),
            }
        };
        let Ok((answer, ended)) = timeout(ANSWER_TIMEOUT, both).await else {
            let seconds = ANSWER_TIMEOUT.as_secs();
            return Err(Trouble::Other(format!(
                "did not answer within {seconds} seconds"
            )));
        };
        if answer.is_ok() && !ended {
            self.kept = Some(Line { sender, connection });
        }
        answer
    }

    async fn connect(&self) -> Result<Line, Failure> {
        let failed = |error: &dyn Display| {
            Failure::server(format_args!(
                "`{}` cannot be reached: {error}; is the server running, with `admin:` in its settings?",
                self.origin
            ))
        };
        let (stream, _) = self.reach().await.map_err(|error| failed(&error))?;
        let Some(tls) = &self.tls else {
            return begin(stream).await.map_err(|error| failed(&error));
        };
        let name = ServerName::try_from(self.origin.host().to_owned());
        let name = name.map_err(|error| failed(&error))?;
        let secured = tls.connect(name, stream).await;
        let stream = secured.map_err(|error| {
            if is_not_tls(&error) {
                return Failure::server(format_args!(
                    "`{}` answers, but does not speak TLS: nothing was sent; is it `http://` that is meant?",
                    self.origin
                ));
            }
            Failure::server(format_args!(
                "`{}` is not believed to be who it says ({error}): nothing was sent; if a root of \
                 your own has signed its certificate, name it with `--ca-file FILE`",
                self.origin
            ))
        })?;
        begin(stream).await.map_err(|error| failed(&error))
    }

    /// A connection to the first of its addresses that answers; in the clear, on this machine alone.
    async fn reach(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let mut last = None;
        for address in tokio::net::lookup_host((self.origin.host(), self.origin.port())).await? {
            if self.tls.is_none() && !address.ip().to_canonical().is_loopback() {
                last = Some(io::Error::other(format!(
                    "it is not on this machine ({}), and a secret is not sent in the clear",
                    address.ip()
                )));
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // A question and its answer are small: waiting to fill a packet only delays them.
                    let _ = stream.set_nodelay(true);
                    return Ok((stream, address));
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("its name has no address")))
    }
}

/// Says whether what came back is no TLS at all.
fn is_not_tls(error: &io::Error) -> bool {
    let inner = error.get_ref();
    let inner = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidMessage(_)))
}

async fn begin<S>(stream: S) -> hyper::Result<Line>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    Ok(Line {
        sender,
        connection: Box::pin(connection),
    })
}

fn no_answer(error: &dyn Display) -> String {
    format!("did not answer: {error}")
}

fn connector(authorities: Option<&Path>) -> Result<TlsConnector, Failure> {
    let roots = match authorities {
        Some(file) => pem::roots(file).map_err(Failure::usage)?,
        None => pem::roots_of_host(),
    };
    if roots.is_empty() {
        return Err(Failure::usage(
            "this machine believes in no certificates: name roots with `--ca-file FILE`",
        ));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Failure::server)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
