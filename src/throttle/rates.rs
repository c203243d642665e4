//! How often a route may be called, and an account may call.
//!
//! Counted are requests that were decided on and would be forwarded: a refusal costs nobody a place.
//! A request needs a place in every bucket that concerns it, and takes none if one of them has no room.
//!
//! A bucket belongs to a route's name or an account's id, so a reload that changes neither empties none.

use std::fmt;
use std::time::Duration;

use smallvec::SmallVec;

use super::buckets::{Buckets, Depth, Key};
use crate::policy::Route;
use crate::words::{Account, Rate, UnixTime};

/// Requests that were let through, by route and account. One for the process, shared by all cores.
pub struct Rates {
    buckets: Buckets,
    account: Option<Rate>,
    token_endpoint: Rate,
}

/// What a request would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// Whose rate it is.
    pub whose: Whose,
    /// The rate.
    pub rate: Rate,
    /// When there is a place again.
    pub wait: Duration,
}

/// Whose rate is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// A route's, all callers together.
    Route,
    /// An account's on one route.
    AccountOnRoute,
    /// An account's on all routes together.
    Account,
    /// An account's at the token endpoint.
    TokenEndpoint,
}

impl Whose {
    /// Its name in `RateLimit-Policy`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::AccountOnRoute => "account-on-route",
            Self::Account => "account",
            Self::TokenEndpoint => "token-endpoint",
        }
    }

    /// In words, for the caller.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Route => "this route is called as often as it may be",
            Self::AccountOnRoute => "this account calls this route as often as it may",
            Self::Account => "this account calls as often as it may",
            Self::TokenEndpoint => "this account asks for tokens as often as it may",
        }
    }
}

/// A place, and what it was taken from.
type Taken = (Key, Depth);

impl Rates {
    /// `account` is what each account may do on all routes together, `token_endpoint` what it may ask
    /// of the token endpoint.
    pub fn new(account: Option<Rate>, token_endpoint: Rate) -> Self {
        Self {
            buckets: Buckets::new(),
            account,
            token_endpoint,
        }
    }

    /// Says whether accounts have a rate on all routes together.
    pub fn limits_accounts(&self) -> bool {
        self.account.is_some()
    }

    /// Takes a place for a request of `account` to `routes`, all of which count.
    ///
    /// # Errors
    ///
    /// The first rate it would exceed; nothing is taken then.
    pub fn admit<'r>(
        &self,
        routes: impl Iterator<Item = &'r Route>,
        account: Option<&Account>,
        now: UnixTime,
    ) -> Result<(), Over> {
        let id = account.map(|account| account.id.as_str());
        let mut wanted: SmallVec<[(Whose, Rate, Key); 4]> = SmallVec::new();
        let mut want = |whose, rate: Option<Rate>, route: Option<&Route>, id: &str| {
            if let Some(rate) = rate {
                // Files for different hosts may have routes of one name.
                let route = route.map(|route| (&route.name, &route.hosts));
                wanted.push((whose, rate, self.buckets.key((whose, route, id))));
            }
        };
        for route in routes {
            want(Whose::Route, route.rate, Some(route), "");
            if let Some(id) = id {
                let rate = route.rate_per_account;
                want(Whose::AccountOnRoute, rate, Some(route), id);
            }
        }
        if let Some(id) = id {
            want(Whose::Account, self.account, None, id);
        }
        self.take_all(&wanted, now)
    }

    /// Takes a place for a token of `account`.
    ///
    /// # Errors
    ///
    /// The rate it would exceed.
    pub fn admit_token(&self, account: &Account, now: UnixTime) -> Result<(), Over> {
        let (whose, rate) = (Whose::TokenEndpoint, self.token_endpoint);
        let key = self.buckets.key((whose, account.id.as_str()));
        self.take_all(&[(whose, rate, key)], now)
    }

    fn take_all(&self, wanted: &[(Whose, Rate, Key)], now: UnixTime) -> Result<(), Over> {
        let mut taken: SmallVec<[Taken; 4]> = SmallVec::new();
        for (whose, rate, key) in wanted.iter().copied() {
            let depth = Depth::of(rate);
            match self.buckets.take(key, depth, now) {
                Ok(_) => taken.push((key, depth)),
                Err(wait) => {
                    for (key, depth) in taken {
                        self.buckets.put_back(key, depth);
                    }
                    return Err(Over { whose, rate, wait });
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rates").finish_non_exhaustive()
    }
}
