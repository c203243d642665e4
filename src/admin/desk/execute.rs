//! Which part of [`crate::admin`] does what an operation says.

use super::{Answer, Desk};
use crate::admin::{
    AdminError, ErrorKind, Grant, Operation, accounts, apply, ask, audit, denials, groups, keys,
    look, me, overlaps, roles, tokens,
};
use crate::explain::Depth;

impl Desk<'_> {
    /// Does what `operation` says.
    #[expect(
        clippy::too_many_lines,
        reason = "one arm an operation, nothing between them"
    )]
    pub(in crate::admin) fn execute(&mut self, operation: Operation) -> Answer {
        use Operation as O;
        match operation {
            O::AccountsCreate {
                name,
                description,
                grants,
                allow_from,
                owner,
            } => {
                self.own(owner)?;
                accounts::create(self, &name, description, &grants, allow_from)
            }
            O::AccountsList { after, limit } => Ok(accounts::list(self, after.as_ref(), limit)),
            O::AccountsApply {
                set,
                manifest,
                prune,
                dry_run,
            } => apply::apply(self, &set, &manifest, apply::Mode { prune, dry_run }),
            O::AccountsShow { name } => accounts::show(self, &name),
            O::AccountsUpdate {
                name,
                description,
                allow_from,
            } => accounts::update(self, &name, description, allow_from),
            O::AccountsGrant { name, role, within } => {
                accounts::grant(self, &name, Grant { role, within })
            }
            O::AccountsUngrant { name, role, within } => {
                accounts::ungrant(self, &name, Grant { role, within })
            }
            O::AccountsDisable { name } => accounts::set_enabled(self, &name, false),
            O::AccountsEnable { name } => accounts::set_enabled(self, &name, true),
            O::AccountsDelete { name } => accounts::delete(self, &name),
            O::KeysCreate {
                account,
                description,
                expires_at,
                only,
                allow_from,
            } => {
                let plan = keys::Plan::new(description, expires_at, only, allow_from);
                keys::create(self, &account, plan)
            }
            O::KeysImport {
                account,
                keys,
                expires_at,
                only,
                allow_from,
            } => {
                let plan = keys::Plan::new(String::new(), expires_at, only, allow_from);
                keys::import(self, &account, &keys, &plan)
            }
            O::KeysList {
                account,
                unused_since,
                ends_before,
                after,
                limit,
            } => {
                let wanted = keys::Wanted {
                    unused_since,
                    ends_before,
                };
                keys::list(self, account.as_ref(), &wanted, (after, limit))
            }
            O::KeysShow { key } => keys::show(self, &key),
            O::KeysUpdate {
                key,
                description,
                only,
                allow_from,
            } => keys::update(self, key, description, (only, allow_from)),
            O::KeysRotate {
                key,
                overlap_seconds,
                expires_at,
            } => keys::rotate(self, key, overlap_seconds, expires_at),
            O::KeysExpire { key, at } => keys::expire(self, key, at),
            O::RolesCreate {
                name,
                description,
                permissions,
                include,
                api_access,
                owner,
            } => {
                self.own(owner)?;
                roles::create(self, &name, description, (permissions, include, api_access))
            }
            O::RolesList {} => Ok(roles::list(self)),
            O::RolesShow { name } => roles::show(self, &name),
            O::RolesUpdate {
                name,
                description,
                permissions,
                include,
                api_access,
            } => roles::update(self, &name, description, (permissions, include, api_access)),
            O::RolesDelete { name, force } => roles::delete(self, &name, force),
            O::GroupsCreate {
                name,
                description,
                grants,
                owner,
            } => {
                self.own(owner)?;
                groups::create(self, &name, description, &grants)
            }
            O::GroupsList {} => Ok(groups::list(self)),
            O::GroupsShow { name } => groups::show(self, &name),
            O::GroupsAdd { group, account } => groups::add(self, &group, &account),
            O::GroupsRemove { group, account } => groups::remove(self, &group, &account),
            O::GroupsGrant { name, role, within } => {
                groups::grant(self, &name, Grant { role, within })
            }
            O::GroupsUngrant { name, role, within } => {
                groups::ungrant(self, &name, Grant { role, within })
            }
            O::GroupsDelete { name } => groups::delete(self, &name),
            O::TokensIssue {
                account,
                scope,
                lifetime_seconds,
            } => look::issue_token(self, &account, scope.as_deref(), lifetime_seconds),
            O::TokensList { account } => tokens::list(self, account.as_ref()),
            O::TokensRevoke { id } => tokens::revoke(self, id),
            O::SigningKeysList {} => Ok(tokens::signing_keys(self)),
            O::SigningKeysRotate { end_tokens } => tokens::rotate(self, end_tokens),
            O::TokensInspect { token } => Ok(look::inspect_token(self, &token)),
            O::RoutesList {} => Ok(look::routes(self.policy())),
            O::RoutesMatch {
                method,
                target,
                host,
            } => look::route_of(self, method, &target, host.as_deref()),
            O::RoutesOverlaps { incomparable } => Ok(overlaps(self.policy(), incomparable)),
            O::PermissionsList {} => Ok(look::permissions(self)),
            O::Explain {
                method,
                target,
                account,
                grants,
                host,
                from,
                headers,
                brief,
            } => {
                let question = ask::Explain {
                    method,
                    target,
                    who: (account, grants),
                    host,
                    from,
                    headers,
                    depth: match brief || !self.sees_all() {
                        true => Depth::Verdict,
                        false => Depth::Remedies,
                    },
                };
                ask::explain(self, &question)
            }
            O::AllowedList { account, grants } => ask::allowed(self, &(account, grants)),
            O::PermissionsWho { permission } => ask::who(self, &permission),
            O::RoutesMatrix { by, accounts } => ask::matrix(self, by, &accounts),
            O::DenialsExplain { id } => denials::explain(self, &id),
            O::DenialsList { filter } => denials::list(self, &filter),
            O::DenialsFollow { after, filter } => Ok(denials::follow(self, after, &filter)),
            O::DenialsTop { filter } => denials::top(self, &filter),
            O::AuditList { filter } => audit::list(self, &filter),
            O::AuditFollow {
                after,
                exported,
                filter,
            } => audit::follow(self, (after, exported), &filter),
            O::AuditAnchor {} => audit::anchor(self),
            O::AuditVerify { after, anchors } => audit::verify(self, after, &anchors),
            O::Whoami {} => Ok(me::whoami(self)),
            O::Status {}
            | O::Reload {}
            | O::Drain {}
            | O::StoreStatus {}
            | O::StoreBackup { .. } => Err(AdminError::new(
                ErrorKind::Unavailable,
                "that is the process's to answer, not the directory's",
            )),
        }
    }
}
