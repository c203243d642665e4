//! Descriptors: as many as the system allows, and some that no stranger gets.
//!
//! A gateway whose descriptors are all with its clients cannot open its store, answer an operator or
//! reach an upstream. So the process takes what it may have (the soft limit is a default for programs
//! that use `select`, and is raised), and lets in no more clients than leave the rest its share.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::settings::{Settings, Upstream};

/// Descriptors that are not for requests: the ops port's connections (64 at most), store, log, control
/// socket, listeners and pollers of every core, and a reserve.
const RESERVE: usize = 128;

/// How many connections of clients the process may hold: as many as the settings want, or as the
/// system has descriptors for.
pub(super) fn places(settings: &Settings) -> usize {
    let wanted = settings.max_connections;
    let Some(descriptors) = raise() else {
        return wanted;
    };
    let behind = |upstream: &Upstream| upstream.connections_max;
    let behind = settings.upstreams.values().map(behind).sum();
    let places = share(descriptors, behind);
    if places >= wanted {
        return wanted;
    }
    tracing::warn!(
        max_connections = wanted,
        descriptors,
        connections = places,
        "fewer connections than `max_connections` are taken: the system allows the process too few \
         descriptors; raise its limit (`LimitNOFILE`, `ulimit -n`)"
    );
    places
}

/// Raises the limit as far as anybody may; what it is then, if there is one.
fn raise() -> Option<usize> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // Where the hard limit cannot be had, what there was is still there.
        Err(_) => limit.current,
    };
    current.map(|current| usize::try_from(current).unwrap_or(usize::MAX))
}

/// The clients' share of `descriptors`, where upstreams may take up to `behind`. At least half of
/// what is not in reserve, since a client that is answered takes one in front and one behind; at
/// least one, or nobody could find out what is wrong.
fn share(descriptors: usize, behind: usize) -> usize {
    let free = descriptors.saturating_sub(RESERVE);
    free.saturating_sub(behind).max(free / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_the_rest_its_share() {
        for (descriptors, behind, clients) in [
            (1_048_576, 1024, 1_048_576 - 128 - 1024),
            (20_000, 1024, 20_000 - 128 - 1024),
            (1024, 1024, 448),
            (256, 1024, 64),
            (256, 20, 108),
            (64, 1024, 1),
        ] {
            assert_eq!(
                share(descriptors, behind),
                clients,
                "{descriptors} {behind}"
            );
        }
    }
}
