//! When keys end: as wished, and no later than the settings allow.

use std::time::Duration;

use crate::admin::AdminError;
use crate::admin::desk::{Desk, invalid};
use crate::words::UnixTime;

/// The end of a key that is made now: as wished, but no later than the settings allow.
pub(super) fn end_of(
    desk: &Desk<'_>,
    wished: Option<UnixTime>,
) -> Result<Option<UnixTime>, AdminError> {
    if let Some(end) = wished.filter(|end| *end <= desk.now) {
        return Err(invalid(format!(
            "the key would end at {end}, which is over: name a later time"
        )));
    }
    let Some(most) = desk.service.keys.max_lifetime else {
        return Ok(wished);
    };
    let latest = desk.now.plus(most);
    match wished {
        Some(end) if end > latest => Err(too_long(end, most, latest)),
        Some(_) => Ok(wished),
        None => Ok(Some(latest)),
    }
}

/// The end of a key that takes over from one that was meant to end at `end`, and that end if the
/// settings do not allow it any more: nobody asked for it, so it is no reason to refuse.
pub(super) fn inherited(
    desk: &Desk<'_>,
    end: Option<UnixTime>,
) -> (Option<UnixTime>, Option<UnixTime>) {
    let Some(most) = desk.service.keys.max_lifetime else {
        return (end, None);
    };
    let latest = desk.now.plus(most);
    match end {
        Some(end) if end <= latest => (Some(end), None),
        Some(_) | None => (Some(latest), end),
    }
}

pub(super) fn too_long(end: UnixTime, most: Duration, latest: UnixTime) -> AdminError {
    invalid(format!(
        "the key would end at {end}, and `keys.max_lifetime` lets it live for {}, until {latest}",
        humantime::format_duration(most)
    ))
}
