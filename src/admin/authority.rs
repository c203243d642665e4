//! Who may ask for what over the admin API. One function decides it for every operation: [`check`].
//!
//! Every account, group and custom role has an owner, a boundary. Somebody sees and changes one only
//! if *one* grant of his gives him the right to, holds where the owner is, and covers everything the
//! thing itself holds: rights of different grants never mix here either. He gives only what that
//! grant covers. So nobody makes himself, or whoever he manages, stronger than he is. What lies
//! beyond takes `portcullis.grants:any`, in a grant that holds where all of it is.
//!
//! What somebody does not see he is told is not there. Whoever asks on this machine, through the
//! control socket or on the store itself, is asked nothing: see [`super::control`].
//!
//! Not here: whether the credential is good, which is found out before.

mod demand;
mod extent;
mod last;
mod sight;

use std::net::IpAddr;
use std::sync::Arc;

use super::desk::Desk;
use super::{AdminError, ErrorKind};
use crate::policy::Policy;
use crate::words::{Account, Caller, Evidence, Holding, PermissionId, PermissionSet};

pub(super) use demand::check;
use extent::Extent;
pub(super) use extent::Subject;
pub(super) use sight::Eyes;

/// In whose name something is asked, and on which terms.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Who asks, as the credential says.
    pub caller: Caller,
    /// Where from, if anybody knows.
    pub source: Option<IpAddr>,
    /// The policy the credential was read under: permissions are numbers of it.
    pub policy: Arc<Policy>,
    /// The versions of the thing that may be changed; any if nothing is said.
    pub if_match: Option<Vec<String>>,
    /// Which part of a list is asked for.
    pub page: Page,
}

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What it begins after.
    pub after: Option<String>,
    /// Most entries.
    pub limit: Option<usize>,
}

impl Page {
    /// The entries of the page, in order of their names.
    pub(super) fn of<T>(&self, entries: impl Iterator<Item = (T, String)>) -> Vec<T> {
        let after = self.after.as_deref();
        let mut rest: Vec<_> = entries
            .filter(|(_, name)| after.is_none_or(|after| name.as_str() > after))
            .collect();
        if let Some(limit) = self.limit
            && rest.len() > limit
        {
            let _ = rest.select_nth_unstable_by(limit, |(_, one), (_, other)| one.cmp(other));
            rest.truncate(limit);
        }
        rest.sort_by(|(_, one), (_, other)| one.cmp(other));
        rest.into_iter().map(|(entry, _)| entry).collect()
    }
}

/// How far somebody's arm reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// One grant covers all of it.
    Own,
    /// It lies within a grant that may give anything there.
    Any,
    /// Not as far as that.
    No,
}

/// Somebody who asks, as the state in force knows him.
pub(super) struct Asker<'d> {
    account: &'d Arc<Account>,
    terms: &'d Terms,
    /// What his key may be used for, now.
    key: Option<&'d PermissionSet>,
    any: Option<PermissionId>,
    /// What lets him see, and no more, what he does not hold.
    any_to_see: Option<PermissionId>,
}

impl<'d> Asker<'d> {
    /// Who asks, now that nothing changes any more until it is done.
    ///
    /// # Errors
    ///
    /// When the credential is not good any more.
    fn of(desk: &'d Desk<'_>, terms: &'d Terms) -> Result<Self, AdminError> {
        if !Arc::ptr_eq(&terms.policy, &desk.state.policy) {
            let said = "the policy was replaced while you asked: ask again";
            return Err(AdminError::new(ErrorKind::Unavailable, said));
        }
        let account = desk.directory().account(&terms.caller.account.id);
        let account = account.filter(|account| account.enabled);
        let key = terms.caller.key.as_ref().map(|id| desk.directory().key(id));
        let key_is_good = key.is_none_or(|key| key.is_some_and(|key| !key.is_expired(desk.now)));
        let key = key.flatten();
        // It may have been taken back while the request's body was on its way.
        let was_revoked = match &terms.caller.evidence {
            Evidence::Token { id, .. } => desk.directory().is_revoked(id),
            Evidence::Key | Evidence::Hypothesis => false,
        };
        let is_good = key_is_good && !was_revoked;
        let account = account.filter(|_| is_good).ok_or_else(|| {
            let said = "the credential is not good any more";
            AdminError::new(ErrorKind::NotPermitted, said)
        })?;
        // So may where it is good, and what for.
        let own = key.and_then(|key| key.addresses.as_ref());
        let admits =
            |source| account.addresses.admit(source) && own.is_none_or(|rules| rules.admit(source));
        if !terms.source.is_none_or(admits) {
            let said = "calls from this address are not allowed";
            return Err(AdminError::new(ErrorKind::NotPermitted, said));
        }
        Ok(Self {
            account,
            terms,
            key: key.and_then(|key| key.subset.as_ref()),
            any: desk.policy().permission_id("portcullis.grants:any"),
            any_to_see: desk.policy().permission_id("portcullis.grants:view"),
        })
    }

    /// Whether the credential may use a permission that a grant gives.
    fn gives(&self, holding: &Holding, permission: PermissionId) -> bool {
        let shown = self.terms.caller.subset.as_ref();
        let mut limits = shown.into_iter().chain(self.key);
        holding.permissions.contains(permission) && limits.all(|limit| limit.contains(permission))
    }

    /// His grants that give a permission.
    fn giving(&self, permission: PermissionId) -> impl Iterator<Item = &'d Holding> {
        let holdings = self.account.holdings.iter();
        holdings.filter(move |holding| self.gives(holding, permission))
    }

    /// How far he reaches with `permission`, and by which grant.
    fn reach(&self, permission: PermissionId, extent: &Extent) -> (Reach, Option<&'d Holding>) {
        let mut found = (Reach::No, None);
        for holding in self.giving(permission) {
            if extent.covered(holding, |id| self.gives(holding, id)) {
                return (Reach::Own, Some(holding));
            }
            let any = self.any.is_some_and(|any| self.gives(holding, any));
            if any && extent.lies_within(&holding.within) {
                found = (Reach::Any, Some(holding));
            }
        }
        found
    }

    /// Whether a grant lets him see what he does not hold, where it holds.
    fn sees_any(&self, holding: &Holding) -> bool {
        let mut either = self.any.into_iter().chain(self.any_to_see);
        either.any(|permission| self.gives(holding, permission))
    }

    /// Whether he may look that far with `permission`.
    fn looks(&self, permission: PermissionId, extent: &Extent) -> bool {
        self.reach(permission, extent).0 != Reach::No
            || self
                .giving(permission)
                .any(|holding| self.sees_any(holding) && extent.lies_within(&holding.within))
    }

    /// Whether he sees everything that his permissions tell of.
    fn is_unlimited(&self) -> bool {
        let mut holdings = self.account.holdings.iter();
        holdings.any(|holding| holding.within.is_everywhere() && self.sees_any(holding))
    }
}

impl Desk<'_> {
    /// Says whether whoever asks may see a thing.
    pub(super) fn sees(&self, subject: Subject<'_>) -> bool {
        Eyes::of(self).see(subject)
    }

    /// Says whether whoever asks may see everything there is.
    pub(super) fn sees_all(&self) -> bool {
        let Some(terms) = self.terms else {
            return true;
        };
        Asker::of(self, terms).is_ok_and(|asker| asker.is_unlimited())
    }

    /// The part of a list that is asked for.
    pub(super) fn page(&self) -> Page {
        self.terms
            .map(|terms| terms.page.clone())
            .unwrap_or_default()
    }
}
