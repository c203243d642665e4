//! Whether a request that is under way may go on.
//!
//! A stream can outlive what it was decided on. So whoever waits for the next part of one asks here,
//! and after every change of policy or directory, and now and then for the key's sake, the same
//! decision is made again with what is known of the request. The token that opened a stream may run
//! out meanwhile, which ends nothing; the key it was made from may not.
//!
//! What is kept for it is little, since most requests are over before anything changes: the rest
//! stands in the request's record.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue};

use super::Gateway;
use crate::decision::{self, Denial, Outcome, Permit, Question};
use crate::directory::{Changes, State};
use crate::forward::streams::{Guard, Seat};
use crate::head;
use crate::policy::Policy;
use crate::reason::Reason;
use crate::record::Verdict;
use crate::request::Target;
use crate::words::{Account, Caller, Evidence, KeyId, Method, PermissionSet, TokenId, UnixTime};

/// What a request under way is held to.
#[derive(Debug)]
pub(super) struct Standing {
    gateway: Rc<Gateway>,
    /// The change of state it was last judged after, and the beat it last looked at the clock.
    judged: Cell<(Changes, u64)>,
    seat: OnceCell<Seat>,
    /// Whether anything was asked that can be taken back: a preflight brings nothing and is told
    /// nothing.
    held: bool,
    /// Who asked, if a credential was looked at.
    known: bool,
    /// How often all signing keys had been replaced at once: a token from before that opens nothing.
    signing: u64,
    /// The only permissions its credential may use, in the policy that counts them so.
    subset: Option<Box<(Arc<Policy>, PermissionSet)>>,
    /// What said the place to a boundary.
    headers: Option<Box<HeaderMap>>,
    /// What has come to stand against it meanwhile, and is not enforced.
    despite: RefCell<Option<Box<Denial>>>,
}

/// A [`Standing`] and what it is about.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    pub(super) standing: &'a Standing,
    pub(super) verdict: &'a Verdict,
}

/// What a judgement needs of a request's record.
#[derive(Debug)]
struct Facts {
    method: http::Method,
    target: Option<PathAndQuery>,
    host: Option<HeaderValue>,
    source: IpAddr,
    account: Option<Arc<Account>>,
    key: Option<KeyId>,
    token: Option<TokenId>,
}

impl Facts {
    fn of(verdict: &Verdict) -> Self {
        Self {
            method: verdict.method.clone(),
            target: verdict.target.clone(),
            host: verdict.host.clone(),
            source: verdict.source,
            account: verdict.account.clone(),
            key: verdict.key,
            token: verdict.token_id,
        }
    }
}

/// A [`Standing`] of its own for the rest of a request's body, which goes on beside the answer and
/// is polled by another task.
#[derive(Debug)]
pub(super) struct Apart {
    standing: Standing,
    facts: Facts,
}

impl Guard for Apart {
    fn check(&self, cx: &Context<'_>) -> Result<(), Reason> {
        let Facts { key, token, .. } = self.facts;
        self.standing.sit(cx, token);
        if self.standing.is_stale(key, token) {
            let judged = self.standing.judge(&self.facts);
            return judged.map_err(|denial| denial.reason);
        }
        Ok(())
    }
}

impl Guard for Asking<'_> {
    fn check(&self, cx: &Context<'_>) -> Result<(), Reason> {
        let checked = self.standing.check(self.verdict, cx);
        checked.map_err(|denial| denial.reason)
    }

    fn beat(&self) -> Option<Duration> {
        Some(self.standing.gateway.streams.beat())
    }
}

impl Standing {
    /// What a request is held to that `permit` lets through; judged after the change `generation`.
    pub(super) fn new(
        gateway: &Rc<Gateway>,
        permit: &Permit,
        verdict: &Verdict,
        (state, generation): (&State, Changes),
    ) -> Self {
        let granted = permit.identity().map(|identity| &identity.caller);
        // Whom only shadow lets through may be let through for who he is, when shadow ends.
        let shadowed = verdict.denial.as_ref();
        let caller = granted.or_else(|| shadowed?.caller.as_ref());
        let subset = caller.and_then(|caller| caller.subset.clone());
        Self {
            gateway: Rc::clone(gateway),
            judged: Cell::new((generation, gateway.streams.ticks())),
            seat: OnceCell::new(),
            held: !permit.is_preflight(),
            known: caller.is_some(),
            signing: state.directory.signing().replaced(),
            subset: subset.map(|subset| Box::new((Arc::clone(&state.policy), subset))),
            headers: permit.bound_headers().cloned().map(Box::new),
            despite: RefCell::default(),
        }
    }

    /// Says whether the request may go on waiting, and has it woken when that should be asked again.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub(super) fn check(&self, verdict: &Verdict, cx: &Context<'_>) -> Result<(), Box<Denial>> {
        self.sit(cx, verdict.token_id);
        self.look(verdict)
    }

    /// Says whether the request may go on, if that may have changed.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub(super) fn look(&self, verdict: &Verdict) -> Result<(), Box<Denial>> {
        if self.is_stale(verdict.key, verdict.token_id) {
            return self.judge(&Facts::of(verdict));
        }
        Ok(())
    }

    /// The same for the rest of the request's body, to be asked by whoever sends it.
    pub(super) fn apart(&self, verdict: &Verdict) -> Apart {
        let standing = Self {
            gateway: Rc::clone(&self.gateway),
            judged: self.judged.clone(),
            seat: OnceCell::new(),
            held: self.held,
            known: self.known,
            signing: self.signing,
            subset: self.subset.clone(),
            headers: self.headers.clone(),
            despite: RefCell::default(),
        };
        let facts = Facts::of(verdict);
        Apart { standing, facts }
    }

    fn sit(&self, cx: &Context<'_>, token: Option<TokenId>) {
        match self.seat.get() {
            Some(seat) => seat.renew(cx.waker()),
            None => drop(self.seat.set(self.gateway.streams.sit(cx.waker(), token))),
        }
    }

    fn is_stale(&self, key: Option<KeyId>, token: Option<TokenId>) -> bool {
        let streams = &self.gateway.streams;
        let now = (streams.generation(), streams.ticks());
        let before = self.judged.replace(now);
        if before == now || !self.held {
            return false;
        }
        let is_revoked = |id| self.gateway.state.snapshot().directory.is_revoked(&id);
        before.0.whole != now.0.whole
            || (before.1 != now.1 && key.is_some())
            || (before.0.tokens != now.0.tokens && token.is_some_and(is_revoked))
    }

    /// Beats of the core's clock so far.
    pub(super) fn ticks(&self) -> u64 {
        self.gateway.streams.ticks()
    }

    /// How many beats a wait of `limit` lasts.
    pub(super) fn beats(&self, limit: Duration) -> u64 {
        self.gateway.streams.beats(limit)
    }

    fn judge(&self, facts: &Facts) -> Result<(), Box<Denial>> {
        let state = self.gateway.state.snapshot();
        let caller = self.caller(facts, &state, self.gateway.clock.now());
        let malformed = || Box::new(Denial::new(Reason::RequestMalformed));
        let method = Method::parse(facts.method.as_str()).ok_or_else(malformed)?;
        let path_and_query = facts.target.as_ref().ok_or_else(malformed)?;
        let host = facts.host.as_ref().and_then(|host| host.to_str().ok());
        let host = host.and_then(|host| head::without_port(host).ok());
        let policy = &*state.policy;
        let target = Target::parse(path_and_query, policy.classes_read)
            .map_err(|ambiguous| Box::new(Denial::from(ambiguous)))?;
        let lookup = policy
            .find(host, method, target.path())
            .map_err(|_| Box::new(Denial::new(Reason::HostUnknown)))?;
        let nothing = HeaderMap::new();
        let question = Question {
            policy,
            target: &target,
            sent: path_and_query,
            host,
            lookup: &lookup,
            headers: self.headers.as_deref().unwrap_or(&nothing),
            source: Some(facts.source),
        };
        match decision::decide(&question, caller) {
            Outcome::Allowed(_) => Ok(()),
            Outcome::Shadowed(_, denial) => {
                self.despite.replace(Some(denial));
                Ok(())
            }
            Outcome::Denied(denial) => Err(denial),
        }
    }

    /// Puts on record that the request goes on only because something is not enforced, if that is so
    /// since it was let through.
    pub(super) fn note(&self, verdict: &mut Verdict) {
        if let Some(denial) = self.despite.take() {
            verdict.denial.get_or_insert(denial);
            verdict.shadow = true;
        }
    }

    /// Who asked, as the directory knows them now.
    fn caller(
        &self,
        facts: &Facts,
        state: &State,
        now: UnixTime,
    ) -> Result<Option<Caller>, Reason> {
        let Some(account) = facts.account.as_ref().filter(|_| self.known) else {
            return Ok(None);
        };
        let directory = &state.directory;
        let is_over = self.signing != directory.signing().replaced();
        if facts
            .token
            .is_some_and(|id| is_over || directory.is_revoked(&id))
        {
            return Err(Reason::TokenRevoked);
        }
        let (account, key) = match &facts.key {
            None => (
                directory.account(&account.id).ok_or(Reason::TokenRevoked)?,
                None,
            ),
            Some(id) => {
                let key = directory.key(id).ok_or(Reason::KeyRevoked)?;
                if key.account.id != account.id {
                    return Err(Reason::KeyRevoked);
                }
                if key.is_expired(now) {
                    return Err(Reason::KeyExpired);
                }
                (&key.account, Some(key))
            }
        };
        Ok(Some(Caller {
            account: Arc::clone(account),
            key: facts.key,
            evidence: Evidence::Key,
            subset: self.subset(&state.policy, key.and_then(|key| key.subset.as_ref())),
            addresses: key.and_then(|key| key.addresses.clone()),
        }))
    }

    /// What the credential may use by now: no more than before, and no more than its key.
    fn subset(&self, policy: &Policy, key: Option<&PermissionSet>) -> Option<PermissionSet> {
        let Some((then, subset)) = self.subset.as_deref() else {
            return key.cloned();
        };
        let names = then.permissions.iter().map(|(name, _)| name.as_str());
        let had = names.filter(|name| {
            let id = then.permission_id(name);
            id.is_some_and(|id| subset.contains(id))
        });
        let has = had.filter_map(|name| policy.permission_id(name));
        Some(
            has.filter(|id| key.is_none_or(|key| key.contains(*id)))
                .collect(),
        )
    }
}
