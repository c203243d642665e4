//! What one asks again and again is told in one record, with how often.
//!
//! Only what changes nothing comes here: looks, refusals, and what was so already. Of those the first
//! [`ALONE`] of each actor have records of their own, and so has the first of each kind; what he asks beyond that is counted, by what it was
//! and what came of it, and told when [`WINDOW`] is over. So somebody who may look, or may not change,
//! cannot push what others did out of a trail that has bounds by asking a million times. A change that
//! is made is never counted here: it has its own record, in its own transaction.
//!
//! What is counted and not told yet is in memory: who kills the process loses how often, and never that.
//! Of strangers, who have as many addresses as they like, a few sources are told apart, and the others are
//! one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::audit::{Actor, Entry, Outcome};
use crate::words::{AccountId, UnixTime};

/// How long is counted before it is told.
pub(super) const WINDOW: Duration = Duration::from_secs(10 * 60);
/// Records of his own that one actor has in that time: more than anybody makes by hand who looks
/// around, and whoever reads the trail wants to see each of them.
pub(super) const ALONE: u32 = 20;
/// What is counted apart of one actor: the kinds of events there are, and more than one is refused.
const KINDS_MAX: usize = 16;
/// Actors who are told apart at once.
const ACTORS_MAX: usize = 256;
/// Sources of strangers that are told apart at once.
const STRANGERS_MAX: usize = 16;
/// What is told of an actor beyond [`KINDS_MAX`].
const REST: &str = "api.call";

/// Who asks, as far as it is told apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Account(AccountId),
    User(u32),
    /// An address, or a /64 of IPv6.
    Stranger(IpAddr),
    /// Everybody else.
    Many,
}

/// What was asked of late, by whom.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<Who, Ledger>);

#[derive(Debug)]
struct Ledger {
    since: UnixTime,
    alone: u32,
    /// By event and outcome.
    more: HashMap<(&'static str, String), More>,
}

/// Something that was asked again.
#[derive(Debug)]
struct More {
    last: Entry,
    count: u64,
}

impl Repeats {
    /// Takes note of something that changed nothing. Hands it back if it is to have a record of its
    /// own; otherwise it is counted.
    pub(super) fn take(&mut self, entry: Entry) -> Option<Entry> {
        let Some(who) = who(&entry.actor) else {
            return Some(entry);
        };
        let who = self.room(who);
        let ledger = self.0.entry(who).or_insert_with(|| Ledger {
            since: entry.at,
            alone: 0,
            more: HashMap::new(),
        });
        if ledger.alone < ALONE {
            ledger.alone += 1;
            return Some(entry);
        }
        let outcome = match &entry.outcome {
            Outcome::Success => String::new(),
            Outcome::Failure { kind, .. } => kind.clone(),
        };
        let mut kind = (entry.event, outcome);
        if !ledger.more.contains_key(&kind) && ledger.more.len() >= KINDS_MAX {
            kind = (REST, String::new());
        }
        if let Some(more) = ledger.more.get_mut(&kind) {
            more.count += 1;
            more.last = entry;
            return None;
        }
        // The first of its kind is not lost among many of another.
        let last = entry.clone();
        ledger.more.insert(kind, More { last, count: 0 });
        Some(entry)
    }

    /// Whom it is told of: himself while there is room for him.
    fn room(&self, who: Who) -> Who {
        let strangers = |who: &&Who| matches!(who, Who::Stranger(_));
        let is_full = self.0.len() >= ACTORS_MAX
            || matches!(who, Who::Stranger(_))
                && self.0.keys().filter(strangers).count() >= STRANGERS_MAX;
        match is_full && !self.0.contains_key(&who) {
            true => Who::Many,
            false => who,
        }
    }

    /// One record for each thing that was asked again by somebody whose window is over by then.
    pub(super) fn due(&self, by: UnixTime, now: UnixTime) -> Vec<Entry> {
        let over = self.0.values().filter(|ledger| is_over(ledger, by));
        let told = over.flat_map(|ledger| {
            let since = ledger.since;
            let again = ledger.more.values().filter(|more| more.count > 0);
            again.map(move |more| Entry {
                at: now,
                repeated: Some((more.count, since)),
                ..more.last.clone()
            })
        });
        told.collect()
    }

    /// What was due by then has been told.
    pub(super) fn told(&mut self, by: UnixTime) {
        self.0.retain(|_, ledger| !is_over(ledger, by));
    }
}

fn is_over(ledger: &Ledger, now: UnixTime) -> bool {
    now.since(ledger.since) >= WINDOW
}

/// Who is counted. Whoever opened the store himself is a process that ends, and may write into the
/// store what he likes; the gateway does not repeat itself.
fn who(actor: &Actor) -> Option<Who> {
    match actor {
        Actor::Api { account_id, .. } | Actor::Client { account_id, .. } => {
            Some(Who::Account(account_id.clone()))
        }
        Actor::ControlSocket { uid, .. } => Some(Who::User(*uid)),
        Actor::Stranger { address, .. } => Some(Who::Stranger(network(*address))),
        Actor::Local { .. } | Actor::Gateway => None,
    }
}

/// An IPv4 address, or the /64 that whoever has one address of IPv6 has all of.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}
