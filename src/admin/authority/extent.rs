//! How far a thing reaches: everything that whoever manages it has to cover.

use std::collections::{BTreeSet, VecDeque};

use crate::admin::Grant;
use crate::admin::desk::{Desk, Found};
use crate::directory::Resolver;
use crate::store::GrantRecord;
use crate::words::{
    AccountName, Boundary, GroupName, Holding, KeyId, PermissionId, PermissionPattern,
    PermissionSet, RoleName,
};

/// A thing that is managed.
#[derive(Clone, Copy, Debug)]
pub(in crate::admin) enum Subject<'a> {
    /// An account.
    Account(&'a AccountName),
    /// The keys of an account.
    KeysOf(&'a AccountName),
    /// A key, which is its account's.
    Key(&'a KeyId),
    /// A group.
    Group(&'a GroupName),
    /// A role.
    Role(&'a RoleName),
}

/// Permissions, and where, if it is said where. What cannot be told is `None`: a grant that gives nothing now and might
/// give anything once its role is there.
#[derive(Clone, Debug)]
struct Part {
    permissions: Option<PermissionSet>,
    within: Option<Boundary>,
}

impl Part {
    fn is_within(&self, wide: &Boundary) -> bool {
        let mut said = self.within.iter();
        said.all(|narrow| covers_place(wide, narrow))
    }
}

/// Everything that has to be covered.
#[derive(Clone, Debug, Default)]
pub(super) struct Extent(Vec<Part>);

impl Extent {
    /// A place without any right.
    pub(super) fn at(owner: Boundary) -> Self {
        Self(vec![Part {
            permissions: Some(PermissionSet::default()),
            within: Some(owner),
        }])
    }

    /// Adds permissions, and where they are held.
    pub(super) fn add(&mut self, permissions: PermissionSet, within: Boundary) {
        self.0.push(Part {
            permissions: Some(permissions),
            within: Some(within),
        });
    }

    /// Adds permissions that are not held anywhere yet.
    pub(super) fn add_anywhere(&mut self, permissions: PermissionSet) {
        self.0.push(Part {
            permissions: Some(permissions),
            within: None,
        });
    }

    /// Says whether there is nothing to cover.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds everything of another.
    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Says whether one grant, of which `usable` permissions count, covers all of it.
    pub(super) fn covered(&self, by: &Holding, usable: impl Fn(PermissionId) -> bool) -> bool {
        self.0.iter().all(|part| {
            let mut permissions = part.permissions.iter().flat_map(PermissionSet::iter);
            part.permissions.is_some() && permissions.all(&usable) && part.is_within(&by.within)
        })
    }

    /// Says whether all of it lies within a boundary, whatever it is.
    pub(super) fn lies_within(&self, boundary: &Boundary) -> bool {
        let mut parts = self.0.iter();
        parts.all(|part| part.is_within(boundary))
    }

    /// Adds grants as they are written.
    fn grants<'g>(
        &mut self,
        resolver: &mut Resolver<'_>,
        grants: impl Iterator<Item = (&'g RoleName, &'g Boundary)>,
    ) {
        for (role, within) in grants {
            let worth = resolver.worth(role, within, None);
            self.0.push(Part {
                permissions: worth.ok().map(|holding| holding.permissions),
                within: Some(within.clone()),
            });
        }
    }
}

impl Extent {
    /// Adds what groups in files give to the account of this name.
    fn of_file_groups(&mut self, desk: &Desk<'_>, resolver: &mut Resolver<'_>, name: &AccountName) {
        let filed = resolver.file_groups_of(name);
        for group in filed
            .iter()
            .filter_map(|name| desk.policy().groups.get(*name))
        {
            let grants = group.grants.iter();
            self.grants(resolver, grants.map(|held| (&held.role, &held.within)));
        }
    }
}

/// Says whether a grant that holds within `wide` holds everywhere within `narrow`.
pub(super) fn covers_place(wide: &Boundary, narrow: &Boundary) -> bool {
    wide.iter().all(|(dimension, values)| {
        let mut named = narrow.iter();
        named.any(|(other, inner)| other == dimension && inner.is_subset(values))
    })
}

/// How far a thing reaches; nothing if it is not there. For many things one `resolver` does.
pub(super) fn of(
    desk: &Desk<'_>,
    resolver: &mut Resolver<'_>,
    subject: Subject<'_>,
) -> Option<Extent> {
    match subject {
        Subject::Account(name) | Subject::KeysOf(name) => account(desk, resolver, name),
        Subject::Key(id) => account(desk, resolver, &desk.directory().key(id)?.account.name),
        Subject::Group(name) => group(desk, resolver, name),
        Subject::Role(name) => role(desk, resolver, name),
    }
}

/// Where those who manage an account of the store have to hold the right to. Of what is not there, or
/// is managed by file, that is everywhere.
pub(super) fn owner<'d>(desk: &'d Desk<'_>, subject: Subject<'_>) -> Option<&'d Boundary> {
    let name = match subject {
        Subject::Account(name) | Subject::KeysOf(name) => name,
        Subject::Key(id) => &desk.directory().key(id)?.account.name,
        Subject::Group(_) | Subject::Role(_) => return None,
    };
    match desk.known(name)? {
        Found::Stored(record) => Some(&record.owner),
        Found::Filed(_) => None,
    }
}

fn account(desk: &Desk<'_>, resolver: &mut Resolver<'_>, name: &AccountName) -> Option<Extent> {
    let (mut extent, id) = match desk.known(name)? {
        Found::Stored(record) => {
            let mut extent = Extent::at(record.owner.clone());
            extent.grants(resolver, open(&record.grants));
            (extent, Some(&record.id))
        }
        // What a file manages is nobody's in particular.
        Found::Filed(entry) => {
            let mut extent = Extent::at(Boundary::default());
            let grants = entry.grants.iter();
            extent.grants(resolver, grants.map(|held| (&held.role, &held.within)));
            let known = desk.directory().account_named(name.as_str());
            (extent, known.map(|known| &known.id))
        }
    };
    let stored = id.map(|id| resolver.groups_of(id)).unwrap_or_default();
    for group in stored
        .iter()
        .filter_map(|name| desk.records().groups.get(*name))
    {
        extent.grants(resolver, open(&group.grants));
    }
    extent.of_file_groups(desk, resolver, name);
    Some(extent)
}

fn group(desk: &Desk<'_>, resolver: &mut Resolver<'_>, name: &GroupName) -> Option<Extent> {
    if let Some(record) = desk.records().groups.get(name) {
        let mut extent = Extent::at(record.owner.clone());
        extent.grants(resolver, open(&record.grants));
        return Some(extent);
    }
    let entry = desk.policy().groups.get(name)?;
    let mut extent = Extent::at(Boundary::default());
    let grants = entry.grants.iter();
    extent.grants(resolver, grants.map(|held| (&held.role, &held.within)));
    Some(extent)
}

fn role(desk: &Desk<'_>, resolver: &mut Resolver<'_>, name: &RoleName) -> Option<Extent> {
    let given = resolver.role(name).ok();
    let owner = match desk.records().roles.get(name) {
        Some(record) => record.owner.clone(),
        // Roles of files, and of the gateway's own, are there for everybody.
        None => {
            given?;
            return Some(Extent::default());
        }
    };
    let mut extent = Extent::at(owner.clone());
    extent.0.push(Part {
        permissions: given,
        within: Some(owner),
    });
    Some(extent)
}

/// Everybody in a group.
pub(super) fn members(desk: &Desk<'_>, group: &GroupName) -> Extent {
    let mut extent = Extent::default();
    let mut resolver = Resolver::new(desk.policy(), desk.records());
    resolver.index_groups();
    let record = desk.records().groups.get(group);
    for id in record.into_iter().flat_map(|record| &record.members) {
        let account = desk.records().accounts.get(id);
        let more = account.and_then(|record| self::account(desk, &mut resolver, &record.name));
        extent.extend(more.unwrap_or_default());
    }
    extent
}

/// Grants that are to be given.
pub(super) fn given(desk: &Desk<'_>, grants: &[Grant]) -> Extent {
    let mut resolver = Resolver::new(desk.policy(), desk.records());
    let mut extent = Extent::default();
    let grants = grants.iter().map(|grant| (&grant.role, &grant.within));
    extent.grants(&mut resolver, grants);
    extent
}

/// What a new account of this name would hold: its grants, and what groups in files give to whoever has it.
pub(super) fn of_new(desk: &Desk<'_>, name: &AccountName, grants: &[Grant]) -> Extent {
    let mut extent = given(desk, grants);
    let mut resolver = Resolver::new(desk.policy(), desk.records());
    extent.of_file_groups(desk, &mut resolver, name);
    extent
}

/// What a custom role written like this gives, by itself and by what it includes.
pub(super) fn written(
    desk: &Desk<'_>,
    permissions: &[PermissionPattern],
    include: &[RoleName],
) -> PermissionSet {
    let every = desk.policy().every_permission();
    let covered = every.filter(|(_, permission)| {
        let mut patterns = permissions.iter();
        patterns.any(|pattern| pattern.covers(permission))
    });
    let mut given: PermissionSet = covered.map(|(id, _)| id).collect();
    let mut resolver = Resolver::new(desk.policy(), desk.records());
    for name in include {
        given.extend(&resolver.role(name).unwrap_or_default());
    }
    given
}

/// Everywhere a custom role is held, by itself or in a role that includes it.
pub(super) fn held(desk: &Desk<'_>, role: &RoleName) -> Vec<Boundary> {
    let records = desk.records();
    let mut found: BTreeSet<&RoleName> = BTreeSet::from([role]);
    let mut open_roles = VecDeque::from([role]);
    while let Some(name) = open_roles.pop_front() {
        let custom = records.roles.values();
        for other in custom.filter(|other| other.include.contains(name)) {
            if found.insert(&other.name) {
                open_roles.push_back(&other.name);
            }
        }
    }
    let accounts = records.accounts.values().flat_map(|record| &record.grants);
    let groups = records.groups.values().flat_map(|record| &record.grants);
    let stored = accounts
        .chain(groups)
        .map(|held| (&held.role, &held.within));
    let accounts = desk.policy().accounts.values().flat_map(|it| &it.grants);
    let groups = desk.policy().groups.values().flat_map(|it| &it.grants);
    let filed = accounts
        .chain(groups)
        .map(|held| (&held.role, &held.within));
    let mut places: Vec<_> = stored
        .chain(filed)
        .filter(|(role, _)| found.contains(role))
        .map(|(_, within)| within.clone())
        .collect();
    let including = found.iter().filter(|name| **name != role);
    let owners = including.filter_map(|name| records.roles.get(*name));
    places.extend(owners.map(|record| record.owner.clone()));
    places
}

/// Grants that were not closed: what is closed gives nothing until it is given anew.
fn open(grants: &[GrantRecord]) -> impl Iterator<Item = (&RoleName, &Boundary)> {
    let open = grants.iter().filter(|held| held.closed_at.is_none());
    open.map(|held| (&held.role, &held.within))
}
