//! Names that stand in what is asked for and are nobody's: which field they stand in, and what is
//! called almost so, as far as whoever asks may know it.

use super::authority::{Eyes, Subject};
use super::desk::{Desk, not_found};
use super::{AdminError, ErrorKind};
use crate::policy::own;
use crate::words::{PermissionPattern, RoleName, is_near, nearest};

impl Desk<'_> {
    /// Refuses a role that is not there.
    pub(super) fn check_role(&self, role: &RoleName) -> Result<(), AdminError> {
        let (built_in, custom) = (&self.policy().roles, &self.records().roles);
        if own::role(role).is_some() || built_in.contains_key(role) || custom.contains_key(role) {
            return Ok(());
        }
        Err(self.unknown(self.no_role(role)))
    }

    /// That there is no such role, for whoever asks.
    pub(super) fn no_role(&self, role: &RoleName) -> String {
        let eyes = Eyes::of(self);
        let known = self
            .policy()
            .roles
            .keys()
            .chain(self.records().roles.keys())
            .chain(own::roles().iter().map(|role| &role.name));
        // Whether he sees one is much more to find out than whether it is called almost so.
        let seen = known
            .filter(|known| is_near(role.as_str(), known.as_str()))
            .filter(|known| eyes.see(Subject::Role(known)));
        let near = nearest(role.as_str(), seen.map(RoleName::as_str));
        format!("there is no role `{role}`{near}")
    }

    /// Refuses a pattern in the list `field` that stands for no permission.
    pub(super) fn check_declared(
        &self,
        field: &str,
        patterns: &[PermissionPattern],
    ) -> Result<(), AdminError> {
        for (place, pattern) in patterns.iter().enumerate() {
            let mut declared = self.policy().every_permission();
            if !declared.any(|(_, permission)| pattern.covers(permission)) {
                return Err(self.undeclared(field, (place, pattern.as_str())));
            }
        }
        Ok(())
    }

    /// That there is no such permission, for whoever asks.
    pub(super) fn undeclared(&self, field: &str, (place, name): (usize, &str)) -> AdminError {
        let eyes = Eyes::of(self);
        let declared = self.policy().every_permission();
        let known = declared.filter(|(id, _)| eyes.read(*id));
        let near = nearest(name, known.map(|(_, permission)| permission.as_str()));
        self.unknown(format!("the policy declares no permission `{name}`{near}"))
            .at(&format!("{field}[{place}]"))
    }

    /// An unknown name; if the policy could not be read, that is the likelier reason.
    pub(super) fn unknown(&self, said: String) -> AdminError {
        match &self.service.policy_fault {
            None => not_found(said),
            Some(fault) => AdminError::new(
                ErrorKind::Unavailable,
                format!("{said}; the policy folder could not be read:\n{fault}"),
            ),
        }
    }
}
