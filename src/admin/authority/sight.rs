//! What whoever asks sees, and that the rest is not there for him.

use std::cell::{RefCell, RefMut};

use super::Asker;
use super::demand::POLICY_VIEW;
use super::extent::{self, Subject};
use crate::admin::AdminError;
use crate::admin::desk::{Desk, not_found};
use crate::directory::Resolver;
use crate::words::{AccountName, Boundary, PermissionId};

/// What whoever asks sees, where many things are looked at: what is the same for all of them is worked
/// out once.
pub(in crate::admin) struct Eyes<'d> {
    pub(in crate::admin) desk: &'d Desk<'d>,
    /// Nobody sees nothing; on this machine everything is seen.
    asker: Option<Result<Asker<'d>, AdminError>>,
    resolver: RefCell<Resolver<'d>>,
}

impl<'d> Eyes<'d> {
    /// For one thing or a few.
    pub(in crate::admin) fn of(desk: &'d Desk<'_>) -> Self {
        Self {
            desk,
            asker: desk.terms.map(|terms| Asker::of(desk, terms)),
            resolver: RefCell::new(Resolver::new(desk.policy(), desk.records())),
        }
    }

    /// For many.
    pub(in crate::admin) fn of_many(desk: &'d Desk<'_>) -> Self {
        let eyes = Self::of(desk);
        eyes.resolver.borrow_mut().index_groups();
        eyes
    }

    /// Says whether whoever asks may see a thing.
    pub(in crate::admin) fn see(&self, subject: Subject<'_>) -> bool {
        match &self.asker {
            None => true,
            Some(Err(_)) => false,
            Some(Ok(asker)) => is_seen(self.desk, asker, &mut self.resolver.borrow_mut(), subject),
        }
    }

    /// Says whether a thing that has this owner is where whoever asks looks. Quick, and for most of many
    /// all there is to say.
    pub(in crate::admin) fn are_near(&self, subject: Subject<'_>, owner: &Boundary) -> bool {
        match &self.asker {
            None => true,
            Some(Err(_)) => false,
            Some(Ok(asker)) => is_near(self.desk, asker, subject, owner),
        }
    }

    /// Says whether whoever asks may read the name of an account: his own, one that he sees or whose
    /// keys he sees, and if he sees everything, one that is gone, too.
    pub(in crate::admin) fn know(&self, name: &AccountName) -> bool {
        let asker = match &self.asker {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(asker)) => asker,
        };
        let mut subjects = [Subject::Account(name), Subject::KeysOf(name)].into_iter();
        asker.account.name == *name
            || asker.is_unlimited()
            || subjects.any(|subject| self.see(subject))
    }

    /// Says whether whoever asks may read the name of a permission: one that he holds, or any if he may
    /// list them.
    pub(in crate::admin) fn read(&self, permission: PermissionId) -> bool {
        let asker = match &self.asker {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(asker)) => asker,
        };
        let lists = self.desk.policy().permission_id(POLICY_VIEW);
        let mut either = lists.into_iter().chain([permission]);
        either.any(|permission| asker.giving(permission).next().is_some())
    }

    /// What works grants out.
    pub(in crate::admin) fn resolver(&self) -> RefMut<'_, Resolver<'d>> {
        self.resolver.borrow_mut()
    }
}

/// Says whether somebody who asks sees a thing: he may look at it or change it where it is, or it is
/// a role of his own.
pub(super) fn is_seen(
    desk: &Desk<'_>,
    asker: &Asker<'_>,
    resolver: &mut Resolver<'_>,
    subject: Subject<'_>,
) -> bool {
    let owner = extent::owner(desk, subject);
    if owner.is_some_and(|owner| !is_near(desk, asker, subject, owner)) {
        return false;
    }
    let Some(extent) = extent::of(desk, resolver, subject) else {
        return false;
    };
    if let Subject::Role(name) = subject {
        let mut held = asker.account.holdings.iter();
        if held.any(|holding| holding.role == *name) {
            return true;
        }
    }
    let looks = permissions_to_see(subject).iter();
    let mut looks = looks.filter_map(|name| desk.policy().permission_id(name));
    extent.is_empty() || looks.any(|permission| asker.looks(permission, &extent))
}

/// Says whether somebody looks as far as a thing is that has this owner: without that he does not see
/// it, whatever it holds.
fn is_near(desk: &Desk<'_>, asker: &Asker<'_>, subject: Subject<'_>, owner: &Boundary) -> bool {
    let looks = permissions_to_see(subject).iter();
    let looks = looks.filter_map(|name| desk.policy().permission_id(name));
    let mut giving = looks.flat_map(|permission| asker.giving(permission));
    giving.any(|holding| extent::covers_place(&holding.within, owner))
}

fn permissions_to_see(subject: Subject<'_>) -> &'static [&'static str] {
    match subject {
        Subject::Account(_) => &["portcullis.accounts:view", "portcullis.accounts:edit"],
        Subject::Key(_) | Subject::KeysOf(_) => &["portcullis.keys:view", "portcullis.keys:edit"],
        Subject::Group(_) => &["portcullis.groups:view", "portcullis.groups:edit"],
        Subject::Role(_) => &["portcullis.roles:view", "portcullis.roles:edit"],
    }
}

pub(super) fn see(
    desk: &Desk<'_>,
    asker: &Asker<'_>,
    resolver: &mut Resolver<'_>,
    subject: Subject<'_>,
) -> Result<(), AdminError> {
    match is_seen(desk, asker, resolver, subject) {
        true => Ok(()),
        false => Err(absent(subject)),
    }
}

/// The same words for what is not there and for what somebody does not see.
pub(super) fn absent(subject: Subject<'_>) -> AdminError {
    not_found(match subject {
        Subject::Account(name) | Subject::KeysOf(name) => format!("there is no account `{name}`"),
        Subject::Key(id) => format!("there is no key `{id}`"),
        Subject::Group(name) => format!("there is no group `{name}`"),
        Subject::Role(name) => format!("there is no role `{name}`"),
    })
}
