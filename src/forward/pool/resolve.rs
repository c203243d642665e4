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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;

    /// Gives these answers one after the other, then the last of them again and again.
    struct Scripted(Mutex<VecDeque<Option<Vec<&'static str>>>>);

    impl Scripted {
        fn new(answers: &[Option<&[&'static str]>]) -> Self {
            let answers = answers.iter().map(|one| one.map(<[_]>::to_vec));
            Self(Mutex::new(answers.collect()))
        }
    }

    impl Resolver for Scripted {
        fn look_up<'a>(
            &'a self,
            _host: &'a str,
            port: u16,
        ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
            let mut answers = self.0.lock().unwrap();
            let answer = if answers.len() > 1 {
                answers.pop_front().unwrap()
            } else {
                answers.front().cloned().unwrap()
            };
            Box::pin(async move {
                let ips = answer.ok_or_else(|| io::Error::other("the name service is ill"))?;
                Ok(ips
                    .iter()
                    .map(|ip| SocketAddr::new(ip.parse().unwrap(), port))
                    .collect())
            })
        }
    }

    /// Never answers.
    struct Silent;

    impl Resolver for Silent {
        fn look_up<'a>(
            &'a self,
            _host: &'a str,
            _port: u16,
        ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
            Box::pin(std::future::pending())
        }
    }

    fn upstream() -> Upstream {
        let address = UpstreamAddress::Tcp {
            host: "api.test".into(),
            port: 80,
        };
        Upstream::plain("items".parse().unwrap(), vec![address], "api.test".into())
    }

    fn shown(places: &Places) -> Vec<String> {
        let known = places.known();
        known.iter().map(|one| one.target().to_string()).collect()
    }

    async fn next(places: &Places, resolver: &Scripted) -> Vec<String> {
        let _ = look_up_all(places, resolver).await;
        shown(places)
    }

    /// F42.
    #[tokio::test]
    async fn f42_the_last_good_answer_stays_while_the_name_service_fails_or_says_nothing() {
        let resolver = Scripted::new(&[
            None,
            Some(&["10.0.0.2", "10.0.0.1", "10.0.0.1"]),
            None,
            Some(&[]),
            Some(&["10.0.0.3", "10.0.0.1"]),
        ]);
        let places = Places::new(&upstream()).unwrap();
        assert!(places.has_names());
        assert_eq!(next(&places, &resolver).await, [""; 0]);
        let two = ["10.0.0.1:80", "10.0.0.2:80"];
        assert_eq!(next(&places, &resolver).await, two);
        let before = places.known();
        assert_eq!(next(&places, &resolver).await, two);
        assert_eq!(next(&places, &resolver).await, two);
        let changed = ["10.0.0.1:80", "10.0.0.3:80"];
        assert_eq!(next(&places, &resolver).await, changed);
        // What is known of an address that stays is not forgotten, and who is gone is told.
        let after = places.known();
        assert!(std::sync::Arc::ptr_eq(&before[0], &after[0]));
        assert_eq!((before[0].is_gone(), before[1].is_gone()), (false, true));
    }

    #[tokio::test]
    async fn f42_a_thousand_addresses_are_no_more_than_are_believed() {
        let places = Places::new(&upstream()).unwrap();
        let many = (0..1000_u32).map(|number| {
            let ip = std::net::Ipv4Addr::from(0x0a00_0000 + number);
            (Target::Tcp(SocketAddr::new(ip.into(), 80)), None)
        });
        let many: Vec<_> = many.collect();
        assert!(places.replace(many.clone()));
        assert_eq!(places.known().len(), ADDRESSES_MAX);
        // In another order they are the same ones.
        assert!(!places.replace(many.into_iter().rev().collect()));
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_looked_up_again_and_soon_while_nothing_is_known() {
        let resolver = Scripted::new(&[None, Some(&["10.0.0.1"]), Some(&["10.0.0.2"])]);
        let upstream = upstream();
        let places = Places::new(&upstream).unwrap();
        let began = tokio::time::Instant::now();
        tokio::select! {
            () = keep_resolved(&upstream, &places, &resolver) => {}
            () = async {
                places.looked_up().await;
                assert_eq!(shown(&places), [""; 0]);
                while shown(&places) != ["10.0.0.1:80"] {
                    sleep(Duration::from_millis(10)).await;
                }
                assert!(began.elapsed() < RETRY_AFTER * 2);
                while shown(&places) != ["10.0.0.2:80"] {
                    sleep(Duration::from_millis(10)).await;
                }
            } => {}
        }
        let took = began.elapsed();
        assert!(took > upstream.resolve_every && took < upstream.resolve_every * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_service_that_does_not_answer_has_failed() {
        let places = Places::new(&upstream()).unwrap();
        let error = look_up_all(&places, &Silent).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(
            error.to_string(),
            "cannot look up `api.test`: the name service does not answer"
        );
    }

    #[test]
    fn the_least_busy_that_is_good_is_chosen_and_any_if_none_is() {
        let places = Places::new(&upstream()).unwrap();
        let target = |number| {
            let ip = std::net::Ipv4Addr::new(10, 0, 0, number);
            (Target::Tcp(SocketAddr::new(ip.into(), 80)), None)
        };
        places.replace((1..=3).map(target).collect());
        let known = places.known();
        let busy: Vec<_> = [0, 0, 1].map(|at: usize| known[at].take_up()).into();
        let chosen = |tried: &[_]| places.choose(tried).map(|one| one.target().to_string());
        assert_eq!(chosen(&[]).as_deref(), Some("10.0.0.3:80"));
        known[2].checked(false, &"down");
        assert_eq!(chosen(&[]).as_deref(), Some("10.0.0.2:80"));
        let tried = [known[1].clone()];
        assert_eq!(chosen(&tried).as_deref(), Some("10.0.0.1:80"));
        known[0].checked(false, &"down");
        known[1].checked(false, &"down");
        assert_eq!(chosen(&[]).as_deref(), Some("10.0.0.3:80"));
        assert_eq!(chosen(&known), None);
        drop(busy);
    }
}
