//! The gateway's side of TLS handshakes, so that only who makes it compute waits for a turn.
//!
//! What a handshake costs is the arithmetic behind a message of the client, not the wait for it. So
//! a client waits for a turn when something has come of it, and has it until the gateway has
//! computed and written what it can: who connects and says nothing, half of it, or nothing more,
//! holds none, and keeps nobody out. All that is in hand within one turn of the core is bounded,
//! so that those who are connected already are looked at in between.

use std::future::{self, Future};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::settings::ListenerLimits;
use crate::telemetry::doors::Closed;

/// The turns of one listener on one core.
pub(super) struct Handshakes {
    turns: Semaphore,
    patience: Duration,
}

impl Handshakes {
    /// As many at once, and as slow, as may be.
    pub(super) fn new(limits: &ListenerLimits) -> Self {
        Self {
            turns: Semaphore::new(limits.handshakes),
            patience: limits.handshake_timeout,
        }
    }

    /// Speaks TLS on `stream`, by what `config` is when the client has said its first.
    ///
    /// # Errors
    ///
    /// When the client does not speak TLS, is not let in, or made the gateway wait for longer than
    /// `handshake_timeout` in all. That the gateway let it wait for a turn is not held against it.
    pub(super) async fn shake<S>(
        &self,
        config: impl FnOnce() -> Arc<ServerConfig>,
        stream: S,
    ) -> Result<TlsStream<S>, Closed>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut patience = self.patience;
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream);
        let hello = within(&mut patience, hello).await?;
        let hello = hello.map_err(|_| Closed::Handshake)?;
        let mut turn = self.turn().await;
        // Answers the hello already: keys are agreed and the certificate's is used here.
        let mut shake = pin!(hello.into_stream(config()));
        loop {
            let went = once(shake.as_mut()).await;
            drop(turn);
            if let Poll::Ready(done) = went {
                return done.map_err(|_| Closed::Handshake);
            }
            within(&mut patience, woken()).await?;
            turn = self.turn().await;
        }
    }

    /// A turn. Begins when the core has looked at everything else once.
    async fn turn(&self) -> SemaphorePermit<'_> {
        let turn = self.turns.acquire().await;
        yield_now().await;
        turn.expect("nothing closes it")
    }
}

/// What comes of `step`, and `patience` is shorter by as long as it took.
async fn within<T>(patience: &mut Duration, step: impl Future<Output = T>) -> Result<T, Closed> {
    let began = Instant::now();
    let done = timeout(*patience, step).await;
    *patience = patience.saturating_sub(began.elapsed());
    if patience.is_zero() {
        return Err(Closed::Handshake);
    }
    done.map_err(|_| Closed::Handshake)
}

/// Polls once. Whatever it waits for wakes the task.
async fn once<F: Future>(mut work: Pin<&mut F>) -> Poll<F::Output> {
    future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await
}

/// Waits until the task is woken.
async fn woken() {
    let mut waits = true;
    future::poll_fn(|_| match std::mem::replace(&mut waits, false) {
        true => Poll::Pending,
        false => Poll::Ready(()),
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use rcgen::generate_simple_self_signed;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::{LocalSet, spawn_local};
    use tokio::time::sleep;
    use tokio_rustls::TlsConnector;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn one_at_a_time() -> Handshakes {
        Handshakes::new(&ListenerLimits {
            handshakes: 1,
            handshake_timeout: PATIENCE,
            ..ListenerLimits::default()
        })
    }

    /// Both ends, as they are set.
    fn ends() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        let made = generate_simple_self_signed(["gate.test".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let certificate = made.cert.der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (Arc::new(server), Arc::new(client))
    }

    /// What a client says first.
    fn hello(config: &Arc<ClientConfig>) -> Vec<u8> {
        let name = "gate.test".try_into().unwrap();
        let mut session = ClientConnection::new(Arc::clone(config), name).unwrap();
        let mut bytes = Vec::new();
        session.write_tls(&mut bytes).unwrap();
        bytes
    }

    async fn connect(config: Arc<ClientConfig>, io: DuplexStream) -> impl Sized {
        let name = "gate.test".try_into().unwrap();
        TlsConnector::from(config).connect(name, io).await.unwrap()
    }

    /// On a clock that stands still unless everybody waits.
    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, test);
    }

    #[test]
    fn who_is_silent_holds_no_turn_and_is_let_go_in_time() {
        run(async {
            let (server, client) = ends();
            let hello = hello(&client);
            let handshakes = Rc::new(one_at_a_time());
            let began = Instant::now();
            let mut silent = Vec::new();
            for said in [&[][..], &hello[..hello.len() / 2], &hello] {
                let (mut far, near) = duplex(1 << 16);
                far.write_all(said).await.unwrap();
                let (handshakes, server) = (Rc::clone(&handshakes), Arc::clone(&server));
                #[expect(clippy::disallowed_methods, reason = "the test itself waits for it")]
                let task =
                    spawn_local(async move { handshakes.shake(|| server, near).await.err() });
                silent.push((task, far));
            }
            // The whole hello is answered: all there are have got as far as they get.
            let (_, whole) = silent.last_mut().unwrap();
            whole.read_u8().await.unwrap();
            let (far, near) = duplex(1 << 16);
            let (shaken, _connected) = tokio::join!(
                handshakes.shake(|| Arc::clone(&server), near),
                connect(client, far)
            );
            assert!(shaken.is_ok());
            assert_eq!(began.elapsed(), Duration::ZERO);
            for (task, far) in silent {
                assert!(matches!(task.await.unwrap(), Some(Closed::Handshake)));
                drop(far);
            }
            let waited = began.elapsed();
            assert!(waited >= PATIENCE && waited < PATIENCE * 2);
        });
    }

    #[test]
    fn a_wait_for_a_turn_is_not_the_clients() {
        run(async {
            let (server, client) = ends();
            let handshakes = one_at_a_time();
            let turn = handshakes.turn().await;
            let (far, near) = duplex(1 << 16);
            let (shaken, _connected, ()) = tokio::join!(
                handshakes.shake(|| server, near),
                connect(client, far),
                async {
                    sleep(PATIENCE * 3).await;
                    drop(turn);
                }
            );
            assert!(shaken.is_ok());
        });
    }

    #[test]
    fn a_client_has_one_patience_for_all_it_says() {
        run(async {
            let (server, client) = ends();
            let hello = hello(&client);
            let (mut far, near) = duplex(1 << 16);
            let handshakes = one_at_a_time();
            let began = Instant::now();
            let (shaken, ()) = tokio::join!(handshakes.shake(|| server, near), async {
                for part in hello.chunks(hello.len() / 3 + 1) {
                    sleep(PATIENCE / 4).await;
                    far.write_all(part).await.unwrap();
                }
            });
            assert!(matches!(shaken, Err(Closed::Handshake)));
            let waited = began.elapsed();
            assert!(waited >= PATIENCE && waited < PATIENCE * 5 / 4);
        });
    }
}
