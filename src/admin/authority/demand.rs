//! What each operation asks of whoever asks for it.

use super::extent::{self, Extent, Subject};
use super::sight::{absent, is_seen, see};
use super::{Asker, Reach};
use crate::admin::desk::{Desk, not_found};
use crate::admin::{AdminError, ErrorKind, Grant, Operation};
use crate::directory::Resolver;
use crate::store::RoleRecord;
use crate::words::{AccountName, Boundary, Holding, PermissionId, RoleName};

const ACCOUNTS_VIEW: &str = "portcullis.accounts:view";
const ACCOUNTS_EDIT: &str = "portcullis.accounts:edit";
const AUDIT_VIEW: &str = "portcullis.audit:view";
const DENIALS_VIEW: &str = "portcullis.denials:view";
const GROUPS_VIEW: &str = "portcullis.groups:view";
const GROUPS_EDIT: &str = "portcullis.groups:edit";
const KEYS_VIEW: &str = "portcullis.keys:view";
const KEYS_EDIT: &str = "portcullis.keys:edit";
pub(super) const POLICY_VIEW: &str = "portcullis.policy:view";
const ROLES_VIEW: &str = "portcullis.roles:view";
const ROLES_EDIT: &str = "portcullis.roles:edit";
const SERVER_VIEW: &str = "portcullis.server:view";
const SERVER_EDIT: &str = "portcullis.server:edit";
const TOKENS_EDIT: &str = "portcullis.tokens:edit";

/// What an operation asks for.
enum Demand<'o> {
    /// Nothing but a credential that is good.
    Nothing,
    /// The permission, wherever: what is shown is sorted out by who sees it.
    Held(&'static str),
    /// The permission, in a grant that holds everywhere.
    Everywhere(&'static str),
    /// To see things, besides the permission.
    See(&'static str, Vec<Subject<'o>>),
    /// The permission and `portcullis.grants:any`, or `:view` for a look, in one grant that holds
    /// everywhere: what is told is told of everybody.
    All(&'static str),
    /// To reach as far as a thing, and as far as what it shall hold.
    Change(&'static str, Vec<Subject<'o>>, Extent),
    /// To reach as far as what is made.
    Make(&'static str, Option<&'o Boundary>, Extent),
}

/// On which terms something may be done.
#[derive(Debug, Default)]
pub(in crate::admin) struct Permitted {
    /// Who will own what it makes.
    pub(in crate::admin) owner: Boundary,
    /// Whether it lies beyond what whoever asks holds himself.
    pub(in crate::admin) is_beyond: bool,
}

/// Decides whether whoever asks may have `operation` done, and on which terms.
///
/// # Errors
///
/// That he may not, or that what he does not see is not there.
pub(in crate::admin) fn check(
    desk: &Desk<'_>,
    operation: &Operation,
) -> Result<Permitted, AdminError> {
    permitted(desk, operation).map_err(|error| {
        let is_said = error.kind != ErrorKind::NotFound || error.field.is_some();
        match account_field(operation).filter(|_| !is_said) {
            Some(field) => error.at(field),
            None => error,
        }
    })
}

fn permitted(desk: &Desk<'_>, operation: &Operation) -> Result<Permitted, AdminError> {
    let Some(terms) = desk.terms else {
        return Ok(Permitted::default());
    };
    if let Some(why) = operation.host_only() {
        let said = format!("this is asked for on the gateway's own machine alone: {why}");
        return Err(not_permitted(said));
    }
    let asker = Asker::of(desk, terms)?;
    let mut resolver = Resolver::new(desk.policy(), desk.records());
    for (role, field) in named_roles(operation) {
        if !is_seen(desk, &asker, &mut resolver, Subject::Role(role)) {
            return Err(not_found(desk.no_role(role)).at(&field));
        }
    }
    let demand = demand(desk, operation);
    let name = match &demand {
        Demand::Nothing => return Ok(Permitted::default()),
        Demand::Held(name)
        | Demand::Everywhere(name)
        | Demand::See(name, _)
        | Demand::All(name)
        | Demand::Change(name, ..)
        | Demand::Make(name, ..) => name,
    };
    let permission = held(desk, &asker, name)?;
    match demand {
        Demand::Nothing | Demand::Held(_) => {}
        Demand::Everywhere(name) => everywhere(&asker, permission, name)?,
        Demand::All(name) => of_everybody(&asker, permission, name)?,
        Demand::See(_, subjects) => subjects
            .into_iter()
            .try_for_each(|subject| see(desk, &asker, &mut resolver, subject))?,
        Demand::Change(name, subjects, mut whole) => {
            for subject in subjects {
                see(desk, &asker, &mut resolver, subject)?;
                let extent = extent::of(desk, &mut resolver, subject);
                whole.extend(extent.ok_or_else(|| absent(subject))?);
            }
            let (reach, _) = reached(&asker, (permission, name), &whole)?;
            return Ok(Permitted {
                is_beyond: reach == Reach::Any,
                ..Permitted::default()
            });
        }
        Demand::Make(name, owner, whole) => return make(&asker, (permission, name), owner, &whole),
    }
    Ok(Permitted::default())
}

fn everywhere(asker: &Asker<'_>, permission: PermissionId, name: &str) -> Result<(), AdminError> {
    let mut giving = asker.giving(permission);
    if giving.any(|holding| holding.within.is_everywhere()) {
        return Ok(());
    }
    let account = &asker.account.name;
    Err(not_permitted(format!(
        "`{account}` holds {name} within a boundary only, and this concerns everything"
    )))
}

fn of_everybody(asker: &Asker<'_>, permission: PermissionId, name: &str) -> Result<(), AdminError> {
    let mut giving = asker.giving(permission);
    let is_look = name.ends_with(":view");
    let all = |holding: &Holding| {
        let any = asker.any.is_some_and(|any| asker.gives(holding, any));
        holding.within.is_everywhere() && (any || is_look && asker.sees_any(holding))
    };
    if giving.any(all) {
        return Ok(());
    }
    let account = &asker.account.name;
    Err(not_permitted(format!(
        "this tells of everybody: `{account}` needs {name} and portcullis.grants:{} in one grant \
         that holds everywhere",
        if is_look { "view" } else { "any" }
    )))
}

fn held(desk: &Desk<'_>, asker: &Asker<'_>, name: &str) -> Result<PermissionId, AdminError> {
    let permission = desk.policy().permission_id(name);
    let permission = permission.filter(|id| asker.giving(*id).next().is_some());
    permission.ok_or_else(|| {
        let account = &asker.account.name;
        not_permitted(format!("`{account}` lacks {name}"))
    })
}

fn reached<'d>(
    asker: &Asker<'d>,
    (permission, name): (PermissionId, &str),
    whole: &Extent,
) -> Result<(Reach, &'d Holding), AdminError> {
    let (reach, holding) = asker.reach(permission, whole);
    holding.map(|holding| (reach, holding)).ok_or_else(|| {
        let account = &asker.account.name;
        not_permitted(format!(
            "no single grant of `{account}` gives {name} and covers all that is held there, given \
             or taken: one who may do that holds it himself, or portcullis.grants:any"
        ))
    })
}

/// What is made belongs where it is said to, or where the grant holds that it is made by.
fn make(
    asker: &Asker<'_>,
    permission: (PermissionId, &str),
    owner: Option<&Boundary>,
    whole: &Extent,
) -> Result<Permitted, AdminError> {
    let mut whole_there = whole.clone();
    whole_there.extend(owner.cloned().map(Extent::at).unwrap_or_default());
    let (reach, holding) = reached(asker, permission, &whole_there)?;
    Ok(Permitted {
        owner: owner.unwrap_or(&holding.within).clone(),
        is_beyond: reach == Reach::Any,
    })
}

fn not_permitted(said: String) -> AdminError {
    AdminError::new(ErrorKind::NotPermitted, said)
}

fn about(account: Option<&AccountName>) -> Demand<'_> {
    account.map_or(Demand::Held(POLICY_VIEW), |name| {
        Demand::See(POLICY_VIEW, vec![Subject::Account(name)])
    })
}

/// What an operation asks for. Whoever adds one says it here, or it does not compile.
#[expect(
    clippy::too_many_lines,
    reason = "one arm an operation, nothing between them"
)]
fn demand<'o>(desk: &Desk<'_>, operation: &'o Operation) -> Demand<'o> {
    use Operation as O;
    match operation {
        O::AccountsList { .. } => Demand::Held(ACCOUNTS_VIEW),
        O::AccountsShow { name } => Demand::See(ACCOUNTS_VIEW, vec![Subject::Account(name)]),
        O::AccountsApply { .. } => Demand::All(ACCOUNTS_EDIT),
        O::AccountsCreate {
            name,
            grants,
            owner,
            ..
        } => {
            let whole = extent::of_new(desk, name, grants);
            Demand::Make(ACCOUNTS_EDIT, owner.as_ref(), whole)
        }
        O::AccountsUpdate { name, .. }
        | O::AccountsDisable { name }
        | O::AccountsEnable { name }
        | O::AccountsUngrant { name, .. }
        | O::AccountsDelete { name } => change(ACCOUNTS_EDIT, Subject::Account(name)),
        O::AccountsGrant { name, role, within } => {
            let given = one(desk, role, within);
            Demand::Change(ACCOUNTS_EDIT, vec![Subject::Account(name)], given)
        }
        O::KeysList { account, after, .. } => {
            let account = account.iter().map(Subject::KeysOf);
            let after = after.iter().map(Subject::Key);
            Demand::See(KEYS_VIEW, account.chain(after).collect())
        }
        O::KeysShow { key } => Demand::See(KEYS_VIEW, vec![Subject::Key(key)]),
        O::KeysCreate { account, .. } | O::KeysImport { account, .. } => {
            change(KEYS_EDIT, Subject::KeysOf(account))
        }
        O::KeysRotate { key, .. } | O::KeysExpire { key, .. } | O::KeysUpdate { key, .. } => {
            change(KEYS_EDIT, Subject::Key(key))
        }
        O::RolesList {} => Demand::Held(ROLES_VIEW),
        O::RolesShow { name } => Demand::See(ROLES_VIEW, vec![Subject::Role(name)]),
        O::RolesCreate { .. } | O::RolesUpdate { .. } | O::RolesDelete { .. } => {
            of_roles(desk, operation)
        }
        O::GroupsList {} => Demand::Held(GROUPS_VIEW),
        O::GroupsShow { name } => Demand::See(GROUPS_VIEW, vec![Subject::Group(name)]),
        O::GroupsCreate { .. }
        | O::GroupsAdd { .. }
        | O::GroupsRemove { .. }
        | O::GroupsGrant { .. }
        | O::GroupsUngrant { .. }
        | O::GroupsDelete { .. } => of_groups(desk, operation),
        O::TokensIssue { account, .. } => change(TOKENS_EDIT, Subject::Account(account)),
        O::TokensList { .. } | O::TokensRevoke { .. } => Demand::All(TOKENS_EDIT),
        O::TokensInspect { .. } => Demand::Held(TOKENS_EDIT),
        O::RoutesList {} | O::RoutesMatch { .. } => Demand::Held(POLICY_VIEW),
        O::RoutesOverlaps { .. } | O::PermissionsList {} => Demand::Held(POLICY_VIEW),
        O::PermissionsWho { .. } | O::RoutesMatrix { .. } => Demand::All(POLICY_VIEW),
        O::AllowedList { account, .. } | O::Explain { account, .. } => about(account.as_ref()),
        O::DenialsList { .. }
        | O::DenialsFollow { .. }
        | O::DenialsExplain { .. }
        | O::DenialsTop { .. } => Demand::All(DENIALS_VIEW),
        O::AuditList { .. } | O::AuditFollow { .. } | O::AuditAnchor {} | O::AuditVerify { .. } => {
            Demand::Everywhere(AUDIT_VIEW)
        }
        O::Whoami {} => Demand::Nothing,
        O::Status {} | O::StoreStatus {} | O::SigningKeysList {} => Demand::Everywhere(SERVER_VIEW),
        O::Reload {} | O::Drain {} | O::StoreBackup { .. } | O::SigningKeysRotate { .. } => {
            Demand::Everywhere(SERVER_EDIT)
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "`demand` sends the operations named here, and what it might send by mistake is refused"
)]
fn of_roles<'o>(desk: &Desk<'_>, operation: &'o Operation) -> Demand<'o> {
    use Operation as O;
    match operation {
        O::RolesCreate {
            name,
            owner,
            permissions,
            include,
            ..
        } => {
            // A role says no place: where it holds is said by whoever grants it. But another role
            // may include one of this name that has vanished, and be held.
            let will_give = extent::written(desk, permissions, include);
            let mut whole = Extent::default();
            for place in extent::held(desk, name) {
                whole.add(will_give.clone(), place);
            }
            whole.add_anywhere(will_give);
            Demand::Make(ROLES_EDIT, owner.as_ref(), whole)
        }
        O::RolesUpdate {
            name,
            permissions,
            include,
            ..
        } => {
            let known = desk.records().roles.get(name);
            let kept = |known: &RoleRecord| (known.permissions.clone(), known.include.clone());
            let (was, included) = known.map(kept).unwrap_or_default();
            let will_give = extent::written(
                desk,
                permissions.as_deref().unwrap_or(&was),
                include.as_deref().unwrap_or(&included),
            );
            let mut whole = Extent::default();
            for place in extent::held(desk, name) {
                whole.add(will_give.clone(), place.clone());
                whole.add(extent::written(desk, &was, &included), place);
            }
            whole.add_anywhere(will_give);
            Demand::Change(ROLES_EDIT, vec![Subject::Role(name)], whole)
        }
        O::RolesDelete { name, .. } => {
            let mut whole = Extent::default();
            for place in extent::held(desk, name) {
                whole.extend(Extent::at(place));
            }
            Demand::Change(ROLES_EDIT, vec![Subject::Role(name)], whole)
        }
        _ => Demand::Everywhere(ROLES_EDIT),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "`demand` sends the operations named here, and what it might send by mistake is refused"
)]
fn of_groups<'o>(desk: &Desk<'_>, operation: &'o Operation) -> Demand<'o> {
    use Operation as O;
    match operation {
        O::GroupsCreate { grants, owner, .. } => {
            Demand::Make(GROUPS_EDIT, owner.as_ref(), extent::given(desk, grants))
        }
        O::GroupsAdd { group, account } | O::GroupsRemove { group, account } => Demand::Change(
            GROUPS_EDIT,
            vec![Subject::Group(group), Subject::Account(account)],
            Extent::default(),
        ),
        O::GroupsGrant { name, role, within } => {
            let mut whole = one(desk, role, within);
            whole.extend(extent::members(desk, name));
            Demand::Change(GROUPS_EDIT, vec![Subject::Group(name)], whole)
        }
        O::GroupsUngrant { name, .. } | O::GroupsDelete { name } => Demand::Change(
            GROUPS_EDIT,
            vec![Subject::Group(name)],
            extent::members(desk, name),
        ),
        _ => Demand::Everywhere(GROUPS_EDIT),
    }
}

fn change<'o>(permission: &'static str, subject: Subject<'o>) -> Demand<'o> {
    Demand::Change(permission, vec![subject], Extent::default())
}

fn one(desk: &Desk<'_>, role: &RoleName, within: &Boundary) -> Extent {
    let grant = Grant {
        role: role.clone(),
        within: within.clone(),
    };
    extent::given(desk, &[grant])
}

/// Where the account stands that an operation is about, if that is in its body and not in its path.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of all others it is the path that says what they are about"
)]
const fn account_field(operation: &Operation) -> Option<&'static str> {
    use Operation as O;
    match operation {
        O::TokensIssue { .. } | O::AllowedList { .. } | O::Explain { .. } => Some("account"),
        _ => None,
    }
}

/// The roles an operation gives away, which whoever asks has to see, and where they stand in it.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what gives no role has none to be seen; what it asks for otherwise is in `demand`"
)]
fn named_roles(operation: &Operation) -> Vec<(&RoleName, String)> {
    use Operation as O;
    match operation {
        O::AccountsCreate { grants, .. }
        | O::GroupsCreate { grants, .. }
        | O::AllowedList { grants, .. }
        | O::Explain { grants, .. } => given(grants),
        O::AccountsGrant { role, .. } | O::GroupsGrant { role, .. } => {
            vec![(role, "role".to_owned())]
        }
        O::RolesCreate { include, .. } => included(include),
        O::RolesUpdate { include, .. } => include.as_deref().map(included).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn given(grants: &[Grant]) -> Vec<(&RoleName, String)> {
    let grants = grants.iter().enumerate();
    grants
        .map(|(place, grant)| (&grant.role, format!("grants[{place}].role")))
        .collect()
}

fn included(roles: &[RoleName]) -> Vec<(&RoleName, String)> {
    let roles = roles.iter().enumerate();
    roles
        .map(|(place, role)| (role, format!("include[{place}]")))
        .collect()
}
