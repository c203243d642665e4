//! The last step before a permit is spent: whether its routes and its account may do it this often.

use super::{Act, Gateway};
use crate::decision::{Denial, Limited, Permit};
use crate::reason::Reason;
use crate::record::Verdict;
use crate::throttle::Over;

impl Gateway {
    /// What becomes of a request that was let through. In shadow one too many is noted and goes on.
    pub(super) fn within_rates(&self, permit: Permit, verdict: &mut Verdict) -> Act {
        let is_counted = permit.is_rated() || self.rates.limits_accounts();
        if !is_counted || permit.is_preflight() {
            return Act::Forward(permit);
        }
        let account = verdict.account.as_deref();
        let Err(over) = self.rates.admit(permit.rated(), account, verdict.at) else {
            return Act::Forward(permit);
        };
        let caller = permit.identity().map(|identity| identity.caller.clone());
        let denial = Box::new(Denial {
            caller,
            route: permit.route().cloned(),
            cors: permit.cors().cloned(),
            ..self.over(over)
        });
        if permit.is_in_shadow() {
            verdict.denial = Some(denial);
            verdict.shadow = true;
            return Act::Forward(permit);
        }
        Act::Refuse(denial)
    }

    /// The refusal of what exceeds a rate.
    pub(super) fn over(&self, over: Over) -> Denial {
        let quota = (over.whose.name(), over.rate);
        Denial {
            limited: Some(Limited {
                wait: over.wait,
                quota: self.tells_rates.then_some(quota),
            }),
            ..Denial::because(Reason::RateLimited, over.whose.words())
        }
    }
}
