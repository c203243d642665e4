//! A refusal on its way out: on record, and with what its connection is worth afterwards.

use http::StatusCode;
use hyper::Response;

use super::Outgoing;
use crate::decision::Denial;
use crate::reason::Reason;
use crate::record::{Ticket, Verdict};
use crate::reject;

/// Whether a request was so malformed that nothing behind it on its connection is to be believed:
/// where it ends is a matter of opinion.
pub(super) fn is_last(verdict: &Verdict) -> bool {
    let unclear = |reason: Reason| {
        reason.status() == StatusCode::BAD_REQUEST || reason == Reason::TransferCodingUnknown
    };
    // In shadow it was no message that is wrong, but a path that somebody might read two ways.
    verdict
        .reason()
        .filter(|_| !verdict.shadow)
        .is_some_and(unclear)
}

/// The answer to a refused request; the refusal goes on record.
pub(super) fn refuse(denial: Box<Denial>, ticket: &mut Ticket) -> Response<Outgoing> {
    let verdict = ticket.verdict();
    if verdict.route.is_none() {
        verdict.route.clone_from(&denial.route);
    }
    if let Some(caller) = &denial.caller {
        verdict.saw(caller);
    }
    let response = reject::respond(&denial, &verdict.id);
    // Said at once, for a client that leaves before it is told.
    verdict.status = Some(response.status());
    verdict.denial = Some(denial);
    // Refused after all: shadow lets a decision pass, and not a failing upstream.
    verdict.shadow = false;
    response.map(Outgoing::full)
}
