//! What is asked of grants and boundaries before they are given.

use super::desk::{Desk, invalid};
use super::{AdminError, Grant};
use crate::directory::{Closed, Resolver};
use crate::store::GrantRecord;
use crate::words::{Boundary, nearest};

/// Most grants of one account or group. A decision looks at each of them.
const GRANTS_MAX: usize = 256;
/// Most values of one dimension in one grant: they are sent to upstreams, in a header.
const VALUES_MAX: usize = 1024;
/// Longest value of a dimension, in bytes: longer than any id a path segment carries in practice.
const VALUE_BYTES_MAX: usize = 256;

impl Desk<'_> {
    /// Checks all the grants that somebody new is given.
    pub(super) fn check_grants(&self, given: &[Grant]) -> Result<Vec<GrantRecord>, AdminError> {
        for (place, grant) in given.iter().enumerate() {
            self.check_grant(grant)
                .map_err(|error| error.below(&format!("grants[{place}]")))?;
        }
        refuse_many(given.len()).map_err(|error| error.at("grants"))?;
        let records = given.iter().map(|grant| GrantRecord {
            role: grant.role.clone(),
            within: grant.within.clone(),
            closed_at: None,
        });
        Ok(records.collect())
    }

    /// Checks a grant that is given besides those that are held.
    pub(super) fn check_another(
        &self,
        grant: &Grant,
        held: &[GrantRecord],
    ) -> Result<(), AdminError> {
        self.check_grant(grant)?;
        refuse_many(held.len() + 1)
    }

    pub(super) fn check_grant(&self, grant: &Grant) -> Result<(), AdminError> {
        self.check_role(&grant.role)
            .map_err(|error| error.at("role"))?;
        if !Resolver::new(self.policy(), self.records()).may_be_given(&grant.role) {
            let (role, inner) = (&grant.role, Closed::RoleInner);
            return Err(invalid(format!("role `{role}`: {inner}")).at("role"));
        }
        self.check_boundary(&grant.within)
            .map_err(|error| error.at("within"))
    }

    /// Says whose what is made will be, if it is said.
    pub(super) fn own(&mut self, owner: Option<Boundary>) -> Result<(), AdminError> {
        if let Some(owner) = owner {
            self.check_boundary(&owner)
                .map_err(|error| error.at("owner"))?;
            self.owner = owner;
        }
        Ok(())
    }

    pub(super) fn check_boundary(&self, within: &Boundary) -> Result<(), AdminError> {
        for (dimension, values) in within.iter() {
            if self.policy().dimension_id(dimension.as_str()).is_none() {
                let known = self
                    .policy()
                    .dimensions
                    .iter()
                    .map(|(name, _)| name.as_str());
                let near = nearest(dimension.as_str(), known);
                return Err(self.unknown(format!(
                    "the policy declares no dimension `{dimension}`{near}"
                )));
            }
            if values.is_empty() || values.len() > VALUES_MAX {
                return Err(invalid(format!(
                    "dimension `{dimension}` has {} values in this boundary: give 1 to {VALUES_MAX}",
                    values.len()
                )));
            }
            if let Some(long) = values.iter().find(|value| value.len() > VALUE_BYTES_MAX) {
                return Err(invalid(format!(
                    "a value of dimension `{dimension}` has {} bytes: at most {VALUE_BYTES_MAX} \
                     are allowed",
                    long.len()
                )));
            }
        }
        Ok(())
    }
}

/// Refuses more grants than a decision should look at.
fn refuse_many(grants: usize) -> Result<(), AdminError> {
    if grants > GRANTS_MAX {
        return Err(invalid(format!(
            "these are {grants} grants, and at most {GRANTS_MAX} are allowed: use wider roles or \
             list several values in one boundary"
        )));
    }
    Ok(())
}
