//! The last administrator: nobody is shut out of the admin API by way of the admin API.
//!
//! An administrator is an account that is enabled and holds everything of the gateway's own everywhere;
//! he can get in if he has a key that is alive and may use all of that. A change after which none would
//! be left who can get in is refused, whichever way it would come about: by deleting him, by taking his
//! role, his group or what his role gives, or by saying other addresses for him or his key. Where a change
//! says other addresses, he can still get in if they leave out none of those before, or let in whoever
//! asks from where he is.
//!
//! What ends a key is never refused: a key that leaked has to go. The way back is then the gateway's own
//! machine, where nothing of this holds.

use ipnet::IpNet;

use crate::admin::desk::{Desk, conflict};
use crate::admin::{AdminError, Terms};
use crate::directory::Resolver;
use crate::policy::{Policy, own};
use crate::store::{Change, Holder, KeyRecord, Records};
use crate::words::{Account, AccountId, PermissionSet, RoleName};

impl Desk<'_> {
    /// Refuses a change after which nobody could manage the gateway over the admin API. On this
    /// machine it may be made.
    ///
    /// # Errors
    ///
    /// A conflict that says who is the last one.
    pub(in crate::admin) fn keep_an_administrator(
        &self,
        change: &Change,
    ) -> Result<(), AdminError> {
        let taken = taken(self.records(), change);
        let (Some(terms), true) = (self.terms, taken != Taken::Nothing) else {
            return Ok(());
        };
        let Some(gate) = Gate::of(self, terms) else {
            return Ok(());
        };
        let before = self.records();
        // Most often an administrator asks, and somebody else loses something: then it is he who stays.
        let asks = self.directory().account(&terms.caller.account.id);
        if let (Taken::From(id), Some(asks)) = (taken, asks)
            && asks.id != *id
            && gate.manages(asks)
            && gate.has_key(asks, before)
        {
            return Ok(());
        }
        let accounts = self.directory().accounts();
        let holding: Vec<_> = accounts.filter(|account| gate.manages(account)).collect();
        let ready = holding
            .iter()
            .filter(|account| gate.has_key(account, before));
        let ready: Vec<_> = ready.copied().collect();
        // Where nobody has a key, whoever could be given one counts.
        let (now, by_key) = match ready.is_empty() {
            true => (holding, false),
            false => (ready, true),
        };
        let Some(first) = now.first() else {
            return Ok(());
        };
        if let Taken::From(id) = taken
            && now.iter().any(|account| account.id != *id)
        {
            return Ok(());
        }
        let mut after = before.clone();
        after.apply(change);
        let mut resolver = Resolver::new(self.policy(), &after);
        let stays = now.iter().any(|account| {
            let left = resolver.account(&account.id, &account.name);
            left.is_some_and(|left| {
                gate.manages(&left)
                    && gate.reaches(account.addresses.networks(), left.addresses.networks())
                    && (!by_key || gate.has_key(&left, &after))
            })
        });
        if stays {
            return Ok(());
        }
        Err(conflict(format!(
            "account `{}` is the last administrator who can get in: give another account role `{}` \
             everywhere, and a key, first, or do this on the gateway's own machine",
            first.name,
            own::ADMIN_ROLE
        )))
    }
}

/// What it takes to get in as an administrator.
struct Gate<'d> {
    desk: &'d Desk<'d>,
    terms: &'d Terms,
    /// Everything of the gateway's own.
    all: PermissionSet,
}

impl<'d> Gate<'d> {
    fn of(desk: &'d Desk<'_>, terms: &'d Terms) -> Option<Self> {
        let role: RoleName = own::ADMIN_ROLE.parse().ok()?;
        let all = desk.policy().own_role(&role)?;
        Some(Self { desk, terms, all })
    }

    /// Whether an account is enabled and holds everything of the gateway's own, everywhere.
    fn manages(&self, account: &Account) -> bool {
        let mut holdings = account.holdings.iter();
        account.enabled
            && holdings.any(|holding| {
                let mut all = self.all.iter();
                holding.within.is_everywhere() && all.all(|id| holding.permissions.contains(id))
            })
    }

    /// Whether an account has a key that is alive and may use all of it.
    fn has_key(&self, account: &Account, records: &Records) -> bool {
        let mut stored = records.keys_of(&account.id);
        stored.any(|key| self.opens(key)) || self.has_filed_key(account)
    }

    fn opens(&self, key: &KeyRecord) -> bool {
        let alive = key.expires_at.is_none_or(|end| end > self.desk.now);
        let only = key.limits.only.as_ref();
        let policy = self.desk.policy();
        let may = only.is_none_or(|only| covers(policy, &self.all, only));
        let known = self.desk.records().key(&key.id);
        let before = known.map_or(&[][..], |known| &known.limits.allow_from);
        alive && may && self.reaches(before, &key.limits.allow_from)
    }

    /// A key in a file is changed by nothing but its end, which is not asked about.
    fn has_filed_key(&self, account: &Account) -> bool {
        let entry = self.desk.policy().accounts.get(&account.name);
        let keys = entry.into_iter().flat_map(|entry| &entry.keys);
        let mut keys = keys.filter_map(|key| self.desk.directory().key(&key.id));
        keys.any(|key| {
            let mut all = self.all.iter();
            let subset = key.subset.as_ref();
            key.account.id == account.id
                && !key.is_expired(self.desk.now)
                && all.all(|id| subset.is_none_or(|subset| subset.contains(id)))
        })
    }

    /// Whether nobody who may call now would be left outside, or at least not whoever asks.
    fn reaches(&self, before: &[IpNet], after: &[IpNet]) -> bool {
        let kept = |old: &IpNet| after.iter().any(|new| new.contains(old));
        let admits = |source| after.iter().any(|new| new.contains(&source));
        after.is_empty()
            || !before.is_empty() && before.iter().all(kept)
            || self.terms.source.is_some_and(admits)
    }
}

fn covers(policy: &Policy, all: &PermissionSet, only: &[crate::words::PermissionPattern]) -> bool {
    all.iter().all(|id| {
        let mut patterns = only.iter();
        patterns.any(|pattern| pattern.covers(policy.permission(id)))
    })
}

/// From whom a change takes something that he needs to manage the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken<'c> {
    /// From nobody; or a key, which may always be taken.
    Nothing,
    /// From nobody but this account.
    From(&'c AccountId),
    /// From whoever holds a role, is in a group, or stands in a file.
    FromSome,
}

/// What a change takes. Whoever adds one says it here, or it does not compile.
fn taken<'c>(records: &'c Records, change: &'c Change) -> Taken<'c> {
    use Taken::{From, FromSome, Nothing};
    match change {
        Change::SetEnabled { enabled: true, .. }
        | Change::OverrideFileAccount {
            disabled: false, ..
        }
        | Change::UpdateAccount {
            allow_from: None, ..
        }
        | Change::UpdateKey { limits: None, .. }
        | Change::CreateAccount(_)
        | Change::Grant { .. }
        | Change::CreateKey(_)
        | Change::ExpireKey { .. }
        | Change::EndFileKey { .. }
        | Change::RotateKey { .. }
        | Change::CreateRole(_)
        | Change::CreateGroup(_)
        | Change::UpdateGroup { .. }
        | Change::AddMember { .. }
        | Change::ForgetKeys { .. }
        | Change::Used { .. }
        | Change::RevokeToken { .. }
        | Change::GiveBack { .. }
        | Change::AddSigningKey(_)
        | Change::ReplaceSigningKeys(_) => Nothing,
        Change::SetEnabled {
            id, enabled: false, ..
        }
        | Change::UpdateAccount { id, .. }
        | Change::DeleteAccount { id, .. }
        | Change::RemoveMember { account: id, .. }
        | Change::Ungrant {
            holder: Holder::Account(id),
            ..
        } => From(id),
        Change::UpdateKey { id, .. } => records.key(id).map_or(Nothing, |key| From(&key.account)),
        Change::Ungrant {
            holder: Holder::Group(_),
            ..
        }
        | Change::UpdateRole(_)
        | Change::DeleteRole(_)
        | Change::DeleteGroup(_)
        | Change::OverrideFileAccount { disabled: true, .. }
        | Change::Adopt(_) => FromSome,
        Change::Batch(changes) => {
            let mut each = changes.iter().map(|change| taken(records, change));
            match each.all(|taken| taken == Nothing) {
                true => Nothing,
                false => FromSome,
            }
        }
    }
}
