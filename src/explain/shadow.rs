//! What is refused and goes on all the same, in words.

use super::{Explanation, Step};
use crate::decision::Permit;
use crate::policy::Policy;

/// The refusal, and where the request goes in spite of it.
pub(super) fn told(policy: &Policy, permit: &Permit, refusal: Explanation) -> Explanation {
    let upstream = policy.upstream(permit.upstream());
    let how = if permit.is_raw() {
        ", with its path as it was sent"
    } else {
        ""
    };
    let mut steps = refusal.steps;
    steps.push(Step {
        step: "shadow",
        passed: true,
        found: format!("not enforced: it goes to `{upstream}` all the same{how}"),
    });
    Explanation {
        allowed: true,
        decision: "shadow_deny",
        steps,
        ..refusal
    }
}
