//! What is taken back is refused from the instant the call returned, and what is open is cut.
//!
//! Here with many calls and many streams at once; what a cut looks like on each wire, byte for byte, is
//! in `streams/standing.rs`.

mod calls;
mod kinds;
mod streams;

use crate::harness::{Api, Fixture, Gateway, Key};

/// Routes for every way to keep a request open; each account has a role of its own, so that one can be
/// edited without the others.
const POLICY: &str = r"
upstream: items
permissions:
  streams:follow: Follow streams
  other:thing: Something else
routes:
  GET,POST /v1/{rest...}: { needs: streams:follow, upgrade: [websocket] }
  POST /grpc/{rest...}: { needs: streams:follow, upstream: grpc }
";

/// All that a crowd of clients on one address needs.
const LISTENER: &str = "http2: true, limits: { connections_per_source: 100000, streams: 1000 }";

fn before(api: &Api, grpc: &Api) -> Fixture {
    Fixture::before(&api.url())
        .policy("items.yaml", POLICY)
        .listener(LISTENER)
        .upstream_at("grpc", &format!("{}, http2: true", grpc.url()))
        .settings("log: { decisions: denied }\nmax_connections: 11000")
}

/// An account, and all that it hangs on.
#[derive(Debug)]
struct Held {
    name: String,
    role: String,
    group: String,
    key: Key,
    token: String,
}

impl Held {
    /// An account that may follow streams, by a role that is granted to it or to a group of its own.
    fn new(gateway: &Gateway, name: &str, by_group: bool) -> Self {
        let (role, group) = (format!("{name}-role"), format!("{name}-group"));
        gateway.json(&["roles", "create", &role, "--permission", "streams:follow"]);
        let key = if by_group {
            let key = gateway.account(name, &[]);
            gateway.json(&["groups", "create", &group, "--role", &role]);
            gateway.json(&["groups", "add", &group, name]);
            key
        } else {
            gateway.account(name, &[&role])
        };
        let token = gateway.token(&key);
        Self {
            name: name.to_owned(),
            role,
            group,
            key,
            token,
        }
    }
}

/// Every way to take back what an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Expire,
    Disable,
    Delete,
    Ungrant,
    EditRole,
    MoveAddress,
    LeaveGroup,
}

impl Change {
    const ALL: [Self; 7] = [
        Self::Expire,
        Self::Disable,
        Self::Delete,
        Self::Ungrant,
        Self::EditRole,
        Self::MoveAddress,
        Self::LeaveGroup,
    ];

    fn is_by_group(self) -> bool {
        self == Self::LeaveGroup
    }

    /// Makes the change; when this returns it has been acknowledged.
    fn make(self, gateway: &Gateway, held: &Held) {
        let (name, role) = (held.name.as_str(), held.role.as_str());
        gateway.json(&match self {
            Self::Expire => vec!["keys", "expire", &held.key.id],
            Self::Disable => vec!["accounts", "disable", name],
            Self::Delete => vec!["accounts", "delete", name, "--yes"],
            Self::Ungrant => vec!["accounts", "ungrant", name, "--role", role],
            Self::EditRole => vec!["roles", "update", role, "--permission", "other:thing"],
            Self::MoveAddress => vec!["accounts", "update", name, "--allow-from", "192.0.2.0/24"],
            Self::LeaveGroup => vec!["groups", "remove", &held.group, name],
        });
    }

    /// What a call gets from then on.
    fn status(self) -> u16 {
        match self {
            Self::Expire | Self::Disable | Self::Delete => 401,
            Self::Ungrant | Self::EditRole | Self::MoveAddress | Self::LeaveGroup => 403,
        }
    }
}
