//! What one asks again and again is told in one record, with how often.
//!
//! Looks and refusals come here, and the tokens that clients give back themselves. Of those the first
//! [`ALONE`] of each actor have records of their own, and so has the first of each kind; what he asks
//! beyond that is counted, by what it was and what came of it, and told when [`WINDOW`] is over. A change
//! that somebody with the right to it makes is never counted here, nor is what hands something out: each
//! has its own record, with its change or before its answer.
//!
//! That keeps one actor from filling a trail, which has bounds, and not many of them, or one who has
//! months. So those who may not, strangers and clients, whom nobody has given a right to write there,
//! have a share of it and no more ([`Share`]): however many they are and however long they go on, what
//! operators did is not pushed out of the trail by them.
//!
//! What is counted and not told yet is in memory: who kills the process loses how often, and never that.
//! Of strangers, who have as many addresses as they like, a few sources are told apart, and the others are
//! one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::ErrorKind;
use super::trail::{CALL, kind_of};
use crate::audit::{Actor, Entry, Outcome};
use crate::settings;
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
/// What those who may not can fill of the trail while a record is kept, as a part of it: what they
/// wrote is gone for its age before it can push anything out.
const SHARE_PART: usize = 5;
/// Most records they have at once: an incident is told in full before it is told in sums.
const SHARE_AT_ONCE: usize = 1000;
/// What is told of an actor beyond [`KINDS_MAX`].
const REST: &str = CALL;

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
#[derive(Debug)]
pub(super) struct Repeats {
    /// By those who may.
    ours: Ledgers,
    /// By those who may not, and by clients.
    others: Ledgers,
    share: Share,
}

/// By actor.
#[derive(Debug, Default)]
struct Ledgers(HashMap<Who, Ledger>);

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
    /// Nothing yet, for a trail with these bounds.
    pub(super) fn new(bounds: &settings::Audit) -> Self {
        Self {
            ours: Ledgers::default(),
            others: Ledgers::default(),
            share: Share::of(bounds),
        }
    }

    /// Takes note of something. Hands it back if it is to have a record of its own; otherwise it is
    /// counted.
    pub(super) fn take(&mut self, entry: Entry) -> Option<Entry> {
        let Some(who) = who(&entry.actor) else {
            return Some(entry);
        };
        if !is_of_others(&entry) {
            return self.ours.take(who, entry);
        }
        let now = entry.at;
        if !self.share.has_room(now) {
            self.others.ledger(Who::Many, now).count(entry);
            return None;
        }
        let alone = self.others.take(who, entry)?;
        self.share.charge(1, now);
        Some(alone)
    }

    /// One record for each thing that was asked again by somebody whose window is over by then. What
    /// exceeds the share of those who may not waits until there is room again, unless this is the end.
    pub(super) fn due(&self, by: UnixTime, now: UnixTime) -> Vec<Entry> {
        let ours = self.ours.0.values().filter(|ledger| ledger.is_over(by));
        let others = self.others.0.iter();
        let others = others.filter(|(who, ledger)| self.is_due(who, ledger, (by, now)));
        let due = ours.chain(others.map(|(_, ledger)| ledger));
        due.flat_map(|ledger| ledger.told(now)).collect()
    }

    /// What was due by then has been told.
    pub(super) fn told(&mut self, by: UnixTime, now: UnixTime) {
        self.ours.0.retain(|_, ledger| !ledger.is_over(by));
        let others = self.others.0.iter();
        let due = others.filter(|(who, ledger)| self.is_due(who, ledger, (by, now)));
        let due: Vec<_> = due
            .map(|(who, ledger)| (who.clone(), ledger.told(now).count()))
            .collect();
        for (who, records) in due {
            self.share.charge(records, now);
            self.others.0.remove(&who);
        }
    }

    fn is_due(&self, who: &Who, ledger: &Ledger, (by, now): (UnixTime, UnixTime)) -> bool {
        let is_the_end = by > now;
        ledger.is_over(by) && (*who != Who::Many || is_the_end || self.share.has_room(now))
    }
}

impl Ledgers {
    fn take(&mut self, who: Who, entry: Entry) -> Option<Entry> {
        let who = self.room(who);
        let ledger = self.ledger(who, entry.at);
        if ledger.alone < ALONE {
            ledger.alone += 1;
            return Some(entry);
        }
        let kind = ledger.kind(&entry);
        if ledger.more.contains_key(&kind) {
            ledger.count(entry);
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

    fn ledger(&mut self, who: Who, now: UnixTime) -> &mut Ledger {
        self.0.entry(who).or_insert_with(|| Ledger {
            since: now,
            alone: 0,
            more: HashMap::new(),
        })
    }
}

impl Ledger {
    fn is_over(&self, now: UnixTime) -> bool {
        now.since(self.since) >= WINDOW
    }

    fn kind(&self, entry: &Entry) -> (&'static str, String) {
        let outcome = match &entry.outcome {
            Outcome::Success => String::new(),
            Outcome::Failure { kind, .. } => kind.clone(),
        };
        let kind = (entry.event, outcome);
        match self.more.contains_key(&kind) || self.more.len() < KINDS_MAX {
            true => kind,
            false => (REST, String::new()),
        }
    }

    fn count(&mut self, entry: Entry) {
        match self.more.get_mut(&self.kind(&entry)) {
            Some(more) => {
                more.count += 1;
                more.last = entry;
            }
            None => {
                let kind = self.kind(&entry);
                let first = More {
                    last: entry,
                    count: 1,
                };
                self.more.insert(kind, first);
            }
        }
    }

    /// A record for each kind of what was counted.
    fn told(&self, now: UnixTime) -> impl Iterator<Item = Entry> {
        let again = self.more.values().filter(|more| more.count > 0);
        again.map(move |more| Entry {
            at: now,
            repeated: Some((more.count, self.since)),
            ..more.last.clone()
        })
    }
}

/// What of the trail is for those who may not: so many records at once, and then one every so often.
#[derive(Debug)]
struct Share {
    every: Duration,
    at_once: Duration,
    /// Until when it is spent.
    spent: UnixTime,
}

impl Share {
    fn of(bounds: &settings::Audit) -> Self {
        let most = (bounds.records / SHARE_PART).max(1);
        let parts = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let every = bounds.max_age / parts(most);
        Self {
            every,
            at_once: every.saturating_mul(parts(most.min(SHARE_AT_ONCE))),
            spent: UnixTime::default(),
        }
    }

    fn has_room(&self, now: UnixTime) -> bool {
        self.spent.since(now) < self.at_once
    }

    fn charge(&mut self, records: usize, now: UnixTime) {
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        self.spent = self.spent.max(now).plus(self.every.saturating_mul(records));
    }
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

/// Whether nobody has given whoever asks the right to what he asks for.
fn is_of_others(entry: &Entry) -> bool {
    match &entry.actor {
        Actor::Client { .. } | Actor::Stranger { .. } => true,
        Actor::Api { .. } => {
            let refused = kind_of(ErrorKind::NotPermitted);
            let is_refused =
                matches!(&entry.outcome, Outcome::Failure { kind, .. } if *kind == refused);
            is_refused || entry.event == CALL
        }
        Actor::ControlSocket { .. } | Actor::Local { .. } | Actor::Gateway => false,
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::audit::Object;
    use crate::words::RequestIds;

    const BEGAN: UnixTime = UnixTime::from_secs(1_795_302_000);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn client(number: usize) -> Actor {
        Actor::Client {
            account: format!("c{number}").parse().unwrap(),
            account_id: format!("sa_{number}").parse().unwrap(),
            key: None,
            address: [192, 0, 2, 1].into(),
            request_id: RequestIds::new().next(BEGAN),
        }
    }

    fn entry(actor: Actor, event: &'static str, at: UnixTime) -> Entry {
        Entry {
            at,
            event,
            actor,
            request_id: RequestIds::new().next(at),
            instance: String::new(),
            object: Object::default(),
            words: None,
            outcome: Outcome::Success,
            before: Value::Null,
            after: Value::Null,
            repeated: None,
        }
    }

    /// However many clients and however long: what they write is gone for its age before it is a fourth
    /// of the trail, each of what they did is told, and an operator who looks beside them still has
    /// records of his own.
    #[test]
    fn clients_without_number_have_a_share_of_the_trail_and_no_more() {
        let bounds = settings::Audit {
            max_age: DAY,
            records: 1000,
        };
        let mut repeats = Repeats::new(&bounds);
        let (mut own, mut asked, mut told, mut looks) = (0_usize, 0, 0, 0);
        let mut now = BEGAN;
        for _ in 0..3 * 144 {
            for number in 0..40 {
                for _ in 0..25 {
                    asked += 1;
                    let one = entry(client(number), "token.revoke", now);
                    own += usize::from(repeats.take(one).is_some());
                }
            }
            let operator = Actor::ControlSocket {
                uid: 0,
                user: None,
                pid: None,
            };
            looks += usize::from(repeats.take(entry(operator, "key.list", now)).is_some());
            now = now.plus(WINDOW);
            let due = repeats.due(now, now);
            repeats.told(now, now);
            own += due.len();
            told += due
                .iter()
                .filter_map(|entry| entry.repeated)
                .map(|(count, _)| usize::try_from(count).unwrap() - 1)
                .sum::<usize>();
        }
        let end = now.plus(WINDOW);
        let due = repeats.due(end, now);
        own += due.len();
        told += due
            .iter()
            .filter_map(|entry| entry.repeated)
            .map(|(count, _)| usize::try_from(count).unwrap() - 1)
            .sum::<usize>();
        assert_eq!(looks, 3 * 144);
        assert_eq!(own + told, asked, "each is told, alone or in a sum");
        // What was there at once, and a share a day.
        assert!(own <= 200 + 3 * 200 + 50, "{own} of {asked}");
    }

    #[test]
    fn a_trail_of_any_size_has_a_share_for_them() {
        for records in [1, 10, 1_000_000, 100_000_000] {
            let max_age = 400 * DAY;
            let mut share = Share::of(&settings::Audit { max_age, records });
            let mut count = 0;
            while share.has_room(BEGAN) {
                share.charge(1, BEGAN);
                count += 1;
            }
            assert_eq!(count, (records / SHARE_PART).clamp(1, SHARE_AT_ONCE));
        }
    }

    fn refused(entry: Entry, kind: &str) -> Entry {
        let outcome = Outcome::Failure {
            kind: kind.to_owned(),
            message: String::new(),
        };
        Entry { outcome, ..entry }
    }

    /// How many of these have records of their own.
    fn own(repeats: &mut Repeats, each: &[Entry]) -> usize {
        let own = each
            .iter()
            .filter(|entry| repeats.take((*entry).clone()).is_some());
        own.count()
    }

    /// What is told when the window is over: events, and how often each was asked again.
    fn told_of(repeats: &Repeats) -> Vec<(&'static str, u64)> {
        let over = BEGAN.plus(WINDOW);
        let due = repeats.due(over, over);
        let mut told: Vec<_> = due
            .iter()
            .map(|entry| (entry.event, entry.repeated.unwrap().0))
            .collect();
        told.sort_unstable();
        told
    }

    #[test]
    fn the_first_of_each_kind_has_its_record_and_every_one_after_it_is_counted() {
        let mut repeats = Repeats::new(&settings::Audit::default());
        let by = |uid: u32, event: &'static str| {
            let (user, pid) = (None, None);
            entry(Actor::ControlSocket { uid, user, pid }, event, BEGAN)
        };
        let look = || by(1, "key.list");
        let alone = vec![look(); ALONE as usize];
        assert_eq!(own(&mut repeats, &alone), alone.len());
        // What came of it makes another kind; the second of each is the first that is counted.
        let kinds = [
            look(),
            refused(look(), "not_permitted"),
            refused(look(), "not_found"),
            by(1, "token.list"),
        ];
        assert_eq!(own(&mut repeats, &kinds), kinds.len());
        assert_eq!(told_of(&repeats), []);
        assert_eq!(own(&mut repeats, &kinds), 0);
        assert_eq!(own(&mut repeats, &kinds[3..]), 0);
        assert_eq!(
            told_of(&repeats),
            [
                ("key.list", 1),
                ("key.list", 1),
                ("key.list", 1),
                ("token.list", 2)
            ]
        );
        // Another one begins for himself, and so does he when it has been told.
        assert_eq!(own(&mut repeats, &[by(2, "key.list")]), 1);
        let over = BEGAN.plus(WINDOW);
        repeats.told(over, over);
        assert_eq!(told_of(&repeats), []);
        assert_eq!(own(&mut repeats, &kinds), kinds.len());
    }

    #[test]
    fn whoever_has_a_64_of_ipv6_is_one_stranger_and_of_many_most_are_one() {
        let mut repeats = Repeats::new(&settings::Audit::default());
        let guess = |address: String| {
            let address = address.parse().unwrap();
            let request_id = RequestIds::new().next(BEGAN);
            let stranger = Actor::Stranger {
                address,
                request_id,
            };
            refused(entry(stranger, "key.guess", BEGAN), "key_unknown")
        };
        let of_one = (0..100).map(|number| guess(format!("2001:db8::{number:x}:1")));
        let of_one: Vec<_> = of_one.collect();
        assert_eq!(own(&mut repeats, &of_one), ALONE as usize + 1);
        assert_eq!(repeats.others.0.len(), 1);
        let of_all = (0..200).map(|number| guess(format!("2001:db8:0:{number:x}::1")));
        let of_all: Vec<_> = of_all.collect();
        let alone = own(&mut repeats, &of_all);
        assert_eq!(repeats.others.0.len(), STRANGERS_MAX + 1);
        let known: u64 = told_of(&repeats).iter().map(|(_, count)| count).sum();
        // Whatever has no record of its own is counted.
        assert_eq!(known, 300 - u64::from(ALONE) - 1 - alone as u64);
    }
}
