//! The addresses behind names, looked up again and again.
//!
//! On the control plane, never in a request's way but before the very first answer. What a name
//! stood for stays in force while the name service fails or says "nothing": it is the likelier of
//! the two to be wrong.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::place::Target;
use super::places::{Places, literal};
use crate::settings::{ADDRESSES_MAX, Upstream, UpstreamAddress};

/// Longest wait for the name service. The C library asks twice for five seconds each, by default.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(10);
/// Rest after a look-up that failed while nothing is known yet: requests are refused meanwhile.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Looks names up.
pub trait Resolver: Send + Sync {
    /// The addresses behind `host`, with `port`.
    fn look_up<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;
}

/// The host's own way of looking names up: its files, its name services.
#[derive(Clone, Copy, Debug)]
pub struct HostResolver;

impl Resolver for HostResolver {
    fn look_up<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// Looks the names of `upstream` up now and then, for ever.
pub async fn keep_resolved(upstream: &Upstream, places: &Places, resolver: &dyn Resolver) {
    let mut failing = false;
    loop {
        let failed = look_up_all(places, resolver).await.err();
        match &failed {
            Some(error) if !failing => {
                tracing::warn!(upstream = %upstream.name, %error, "an upstream's name cannot be looked up: its last addresses stay in force");
            }
            None if failing => {
                tracing::info!(upstream = %upstream.name, "an upstream's name is found again");
            }
            Some(_) | None => {}
        }
        failing = failed.is_some();
        places.set_looked_up();
        let nothing_known = places.known().is_empty();
        let rest = if failing && nothing_known {
            RETRY_AFTER.min(upstream.resolve_every)
        } else {
            upstream.resolve_every
        };
        sleep(rest).await;
    }
}

/// Looks every name up once. Nothing changes if one of them fails: half of the addresses would
/// have to bear all of the load.
async fn look_up_all(places: &Places, resolver: &dyn Resolver) -> io::Result<()> {
    let mut found = Vec::new();
    for (address, server_name) in places.written() {
        let targets = match (literal(address), address) {
            (Some(target), _) => vec![target],
            (None, UpstreamAddress::Tcp { host, port }) => look_up(resolver, host, *port).await?,
            (None, UpstreamAddress::Unix(_)) => Vec::new(),
        };
        let named = targets.into_iter().map(|one| (one, server_name.clone()));
        found.extend(named);
    }
    if found.len() > ADDRESSES_MAX {
        let count = found.len();
        tracing::debug!(
            count,
            most = ADDRESSES_MAX,
            "more addresses than are believed"
        );
    }
    if places.replace(found) {
        places.say();
    }
    Ok(())
}

async fn look_up(resolver: &dyn Resolver, host: &str, port: u16) -> io::Result<Vec<Target>> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the name service does not answer");
    let answer = timeout(LOOK_UP_TIMEOUT, resolver.look_up(host, port)).await;
    let answer = answer.map_err(late).flatten();
    let answer = answer.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot look up `{host}`: {error}"))
    })?;
    if answer.is_empty() {
        let message = format!("nothing stands behind `{host}`");
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    Ok(answer.into_iter().map(Target::Tcp).collect())
}
