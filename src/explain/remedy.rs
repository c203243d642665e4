//! What would turn a refusal: the smallest thing to ask for, as a command to copy.

use crate::decision::{Denial, Needs};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::words::Permission;

/// What would allow a refused call.
pub(super) fn remedies(policy: &Policy, denial: &Denial) -> Vec<String> {
    let account = denial
        .caller
        .as_ref()
        .map(|caller| caller.account.name.as_str());
    match (denial.reason.status().as_u16(), account) {
        (401, None) => vec!["call with a token or key of an account".to_owned()],
        (401, Some(account)) => vec![format!("portcullis accounts enable {account}")],
        (403, Some(account)) => grants(policy, denial, account),
        (404, _) => vec!["add a route for the path to a policy file".to_owned()],
        (405, _) => vec![format!("use one of {}", denial.allow)],
        _ => Vec::new(),
    }
}

/// One command for every role that would do, the smallest first.
fn grants(policy: &Policy, denial: &Denial, account: &str) -> Vec<String> {
    if denial.reason == Reason::AddressNotAllowed {
        let address = "add the address to the account's `allow_from`";
        return vec![address.to_owned()];
    }
    let Some(needs) = &denial.needs else {
        return Vec::new();
    };
    let (needed, all) = match needs {
        Needs::All(needed) => (needed, true),
        Needs::Any(needed) => (needed, false),
    };
    let ids: Vec<_> = needed
        .iter()
        .filter_map(|name| policy.permission_id(name.as_str()))
        .collect();
    let gives = |role: &crate::policy::Role| {
        let mut has = ids.iter().map(|id| role.gives.contains(*id));
        if all {
            has.all(|has| has)
        } else {
            has.any(|has| has)
        }
    };
    let mut roles: Vec<_> = policy
        .roles
        .iter()
        .filter(|(_, role)| gives(role))
        .collect();
    roles.sort_by_key(|(name, role)| (role.gives.iter().count(), (*name).clone()));
    let within: String = denial
        .boundary
        .iter()
        .filter_map(|(dimension, value)| Some(format!(" --within {dimension}={}", value.as_ref()?)))
        .collect();
    if roles.is_empty() {
        let needed: Vec<_> = needed.iter().map(Permission::as_str).collect();
        return vec![format!(
            "no built-in role gives {}: add it to one",
            needed.join(" and ")
        )];
    }
    roles
        .iter()
        .map(|(name, _)| format!("portcullis accounts grant {account} --role {name}{within}"))
        .collect()
}
