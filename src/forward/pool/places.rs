//! The addresses of an upstream, and which of them is asked next.
//!
//! Those that are written down as numbers or as a socket are there from the start; a name stands for
//! what the last good answer of the name service said. The least busy one that has been good lately
//! is asked next; if none has been good, any is better than none.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;
use rustls::pki_types::ServerName;
use tokio::sync::watch;

use super::place::{Place, Target};
use crate::pem::Unusable;
use crate::settings::{ADDRESSES_MAX, Upstream, UpstreamAddress};
use crate::words::UpstreamName;

/// The addresses of an upstream.
#[derive(Debug)]
pub struct Places {
    upstream: UpstreamName,
    /// What the settings say, with the name each certificate has to show.
    written: Vec<(UpstreamAddress, Option<ServerName<'static>>)>,
    known: ArcSwap<Vec<Arc<Place>>>,
    /// Whether there are two or more.
    several: AtomicBool,
    /// Where the search for the least busy one begins, so that equals take turns.
    turn: AtomicUsize,
    /// Whether names have been looked up once, for better or worse.
    looked_up: watch::Sender<bool>,
}

impl Places {
    /// The places of `upstream`: all of them, if none is a name.
    ///
    /// # Errors
    ///
    /// When a certificate cannot show the name that is asked of it.
    pub fn new(upstream: &Upstream) -> Result<Self, Unusable> {
        let written: Vec<_> = upstream
            .addresses
            .iter()
            .map(|address| Ok((address.clone(), server_name(upstream, address)?)))
            .collect::<Result<_, Unusable>>()?;
        let places = Self {
            upstream: upstream.name.clone(),
            written,
            known: ArcSwap::default(),
            several: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
            looked_up: watch::Sender::new(false),
        };
        let fixed = places.written.iter().filter_map(|(address, name)| {
            let target = literal(address)?;
            Some((target, name.clone()))
        });
        places.replace(fixed.collect());
        places.looked_up.send_replace(!places.has_names());
        Ok(places)
    }

    /// Whether any of them is a name.
    pub fn has_names(&self) -> bool {
        self.written
            .iter()
            .any(|(address, _)| literal(address).is_none())
    }

    /// What the settings say.
    pub(super) fn written(&self) -> &[(UpstreamAddress, Option<ServerName<'static>>)] {
        &self.written
    }

    /// Those known now.
    pub fn known(&self) -> Arc<Vec<Arc<Place>>> {
        self.known.load_full()
    }

    /// Whether there is a choice.
    pub fn are_several(&self) -> bool {
        self.several.load(Relaxed)
    }

    /// Waits until names have been looked up once.
    pub async fn looked_up(&self) {
        if !*self.looked_up.borrow() {
            // The sender lives as long as this.
            let _ = self.looked_up.subscribe().wait_for(|done| *done).await;
        }
    }

    /// Names have been looked up once, for better or worse.
    pub(super) fn set_looked_up(&self) {
        self.looked_up.send_replace(true);
    }

    /// The least busy place that has been good lately and is not one of `tried`; if there is none,
    /// the least busy of those not tried.
    pub fn choose(&self, tried: &[Arc<Place>]) -> Option<Arc<Place>> {
        let known = self.known.load();
        if let [only] = known.as_slice() {
            return (!tried.contains_place(only)).then(|| Arc::clone(only));
        }
        let turn = self.turn.fetch_add(1, Relaxed) % known.len().max(1);
        let (before, from) = known.split_at_checked(turn)?;
        let in_turn = from.iter().chain(before);
        let untried = in_turn.filter(|place| !tried.contains_place(place));
        // `min_by_key` takes the first of equals.
        let best = untried.min_by_key(|place| (!place.is_usable(), place.in_flight()));
        best.map(Arc::clone)
    }

    /// Says in the log what the places are.
    pub(super) fn say(&self) {
        let known = self.known.load();
        let list: Vec<_> = known.iter().map(|one| one.target().to_string()).collect();
        tracing::info!(upstream = %self.upstream, addresses = list.join(", "), "an upstream's name stands for these addresses");
    }

    /// These are the places now. Those that were known stay what they are; those that are gone are
    /// told so. Says whether anything changed.
    pub(super) fn replace(&self, targets: Vec<(Target, Option<ServerName<'static>>)>) -> bool {
        let before = self.known.load_full();
        let mut targets = targets;
        // A name service shuffles its answers; a choice among too many must not change with them.
        targets.sort_by(|(one, _), (other, _)| one.cmp(other));
        targets.dedup_by(|(one, _), (other, _)| one == other);
        targets.truncate(ADDRESSES_MAX);
        let place = |(target, name): (Target, Option<ServerName<'static>>)| {
            let same = |place: &&Arc<Place>| {
                *place.target() == target && place.server_name() == name.as_ref()
            };
            let known = before.iter().find(same).map(Arc::clone);
            known.unwrap_or_else(|| Place::new(self.upstream.clone(), target, name))
        };
        let now: Vec<_> = targets.into_iter().map(place).collect();
        let stays = |place: &Arc<Place>| now.iter().any(|other| Arc::ptr_eq(place, other));
        let gone: Vec<_> = before.iter().filter(|place| !stays(place)).collect();
        let changed = !gone.is_empty() || now.len() != before.len();
        gone.iter().for_each(|place| place.leave());
        self.several.store(now.len() > 1, Relaxed);
        self.known.store(Arc::new(now));
        changed
    }
}

trait ContainsPlace {
    fn contains_place(&self, place: &Arc<Place>) -> bool;
}

impl ContainsPlace for &[Arc<Place>] {
    fn contains_place(&self, place: &Arc<Place>) -> bool {
        self.iter().any(|one| Arc::ptr_eq(one, place))
    }
}

/// Where an address leads that needs no looking up.
pub(super) fn literal(address: &UpstreamAddress) -> Option<Target> {
    match address {
        UpstreamAddress::Tcp { host, port } => {
            let ip: IpAddr = host.parse().ok()?;
            Some(Target::Tcp(SocketAddr::new(ip, *port)))
        }
        UpstreamAddress::Unix(path) => Some(Target::Unix(path.clone())),
    }
}

fn server_name(
    upstream: &Upstream,
    address: &UpstreamAddress,
) -> Result<Option<ServerName<'static>>, Unusable> {
    let Some(tls) = &upstream.tls else {
        return Ok(None);
    };
    let host = match address {
        UpstreamAddress::Tcp { host, .. } => host.as_str(),
        UpstreamAddress::Unix(_) => "localhost",
    };
    let name = tls.server_name.as_deref().unwrap_or(host).to_owned();
    let refused =
        format!("`{name}` cannot stand on a certificate: say `tls: {{ server_name: NAME }}`");
    ServerName::try_from(name)
        .map(Some)
        .map_err(|_| Unusable::other(&refused))
}
