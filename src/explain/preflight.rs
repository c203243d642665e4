//! What a preflight comes to, in words.

use super::{Explanation, Step};
use crate::decision::Preflight;

/// A preflight is let through or answered for the route it announces.
pub(super) fn told(preflight: &Preflight, steps: Vec<Step>) -> Explanation {
    let (route, done) = match preflight {
        Preflight::Pass(permit) => (permit.decided_by(), "passed on"),
        Preflight::Answer(answer) => (&*answer.route, "answered"),
    };
    Explanation {
        allowed: true,
        decision: "allow",
        reason: None,
        status: None,
        sentence: format!("a preflight is {done} here, without a credential"),
        route: Some(route.name.clone()),
        steps,
        beaten: Vec::new(),
        remedies: Vec::new(),
    }
}
