//! Where one core leaves refusals until the next round: no more than so many, and none of a quiet
//! caller's for a loud one's sake.
//!
//! Nothing is worked on here, because requests wait for it: when a pile is full, whoever has most on
//! it gives way, and whoever would have most is not taken.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use super::record::Refused;
use crate::words::AccountId;

/// Most refusals of known callers that one core leaves between two rounds: ten thousand a second.
const KNOWN_MAX: usize = 1024;
/// Most refusals of strangers, and as many failures, that one core leaves between two rounds. What
/// is beyond is counted in the metrics and not kept.
pub(super) const STRANGERS_MAX: usize = 256;
/// The bits of an IPv6 address that tell one source from another: whoever has one address of a
/// network mostly has all of them.
const NETWORK: Ipv6Addr = Ipv6Addr::new(0xffff, 0xffff, 0xffff, 0xffff, 0, 0, 0, 0);

/// What one core has left since the last round.
#[derive(Debug)]
pub(super) struct Tray {
    known: Pile,
    strangers: Pile,
    failures: Pile,
}

impl Default for Tray {
    fn default() -> Self {
        Self {
            known: Pile::of(KNOWN_MAX),
            strangers: Pile::of(STRANGERS_MAX),
            failures: Pile::of(STRANGERS_MAX),
        }
    }
}

impl Tray {
    pub(super) fn is_empty(&self) -> bool {
        let piles = [&self.known, &self.strangers, &self.failures];
        piles.into_iter().all(|pile| pile.held == 0)
    }

    /// Takes `refused`, and says whether nothing had to go for it.
    pub(super) fn put(&mut self, refused: Refused) -> bool {
        let pile = match (refused.is_failure(), refused.is_known()) {
            (true, _) => &mut self.failures,
            (false, true) => &mut self.known,
            (false, false) => &mut self.strangers,
        };
        pile.put(refused)
    }

    /// What lies in it, in no order.
    pub(super) fn into_all(self) -> impl Iterator<Item = Refused> {
        let piles = [self.known, self.strangers, self.failures];
        piles
            .into_iter()
            .flat_map(|pile| pile.of.into_values())
            .flatten()
    }
}

/// Who a refusal is counted against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whose {
    Account(AccountId),
    Source(IpAddr),
}

impl Whose {
    fn of(refused: &Refused) -> Self {
        match (&refused.account, refused.source) {
            (Some(account), _) => Self::Account(account.id.clone()),
            (None, IpAddr::V4(source)) => Self::Source(source.into()),
            (None, IpAddr::V6(source)) => Self::Source((source & NETWORK).into()),
        }
    }
}

/// Refusals of one kind.
#[derive(Debug)]
struct Pile {
    most: usize,
    held: usize,
    of: HashMap<Whose, Vec<Refused>, foldhash::fast::RandomState>,
    /// No caller has more than this.
    loudest: usize,
}

impl Pile {
    fn of(most: usize) -> Self {
        Self {
            most,
            held: 0,
            of: HashMap::default(),
            loudest: 0,
        }
    }

    fn put(&mut self, refused: Refused) -> bool {
        let whose = Whose::of(&refused);
        let is_full = self.held >= self.most;
        if is_full {
            let held = self.of.get(&whose).map_or(0, Vec::len);
            if held + 1 >= self.loudest || !self.make_room(held) {
                return false;
            }
        }
        let own = self.of.entry(whose).or_default();
        own.push(refused);
        self.loudest = self.loudest.max(own.len());
        self.held += 1;
        !is_full
    }

    /// Whoever has most gives up the last of his, for somebody who has only `held`.
    fn make_room(&mut self, held: usize) -> bool {
        let loudest = self.of.values_mut().max_by_key(|refusals| refusals.len());
        let Some(loudest) = loudest else { return false };
        self.loudest = loudest.len();
        if self.loudest <= held + 1 {
            return false;
        }
        loudest.pop();
        self.held -= 1;
        true
    }
}
