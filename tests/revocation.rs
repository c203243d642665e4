//! What is taken back is refused from the instant the call returned, and what is open is cut.
//!
//! Here with many calls and many streams at once; what a cut looks like on each wire, byte for byte, is
//! in `streams/standing.rs`.

mod calls;
mod kinds;
mod streams;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::words::{KeyId, Secret};

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
        .upstream("connections: 11000")
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
    /// An account that may follow streams, by a role of its own.
    fn new(gateway: &Gateway, name: &str, by: By) -> Self {
        let (role, group) = (format!("{name}-role"), format!("{name}-group"));
        let create = ["roles", "create", &role, "--permission", "streams:follow"];
        let key = match by {
            By::Role => {
                gateway.json(&create);
                gateway.account(name, &[&role])
            }
            By::Group => {
                gateway.json(&create);
                let key = gateway.account(name, &[]);
                gateway.json(&["groups", "create", &group, "--role", &role]);
                gateway.json(&["groups", "add", &group, name]);
                key
            }
            By::Policy => {
                role_file(gateway, &role, "streams:follow");
                gateway.account(name, &[&role])
            }
            By::File => account_file(gateway, name),
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

/// Where what an account may do comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// A role of the store, granted to the account.
    Role,
    /// The same, granted to a group that the account is in.
    Group,
    /// A role of a policy file.
    Policy,
    /// Account, key and grant stand in a policy file.
    File,
}

/// Every way to take back what an account may do: how it came by it, and what a call gets from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Expire,
    Narrow,
    MoveKey,
    Revoke,
    Disable,
    Delete,
    Ungrant,
    EditRole,
    DeleteRole,
    MoveAddress,
    LeaveGroup,
    UngrantGroup,
    DeleteGroup,
    Apply,
    Reload,
    DisableFiled,
    ExpireFiled,
    Unfile,
}

impl Change {
    const ALL: [(Self, By, u16); 18] = [
        (Self::Expire, By::Role, 401),
        (Self::Narrow, By::Role, 403),
        (Self::MoveKey, By::Role, 403),
        (Self::Revoke, By::Role, 401),
        (Self::Disable, By::Role, 401),
        (Self::Delete, By::Role, 401),
        (Self::Ungrant, By::Role, 403),
        (Self::EditRole, By::Role, 403),
        (Self::DeleteRole, By::Role, 403),
        (Self::MoveAddress, By::Role, 403),
        (Self::LeaveGroup, By::Group, 403),
        (Self::UngrantGroup, By::Group, 403),
        (Self::DeleteGroup, By::Group, 403),
        (Self::Apply, By::Role, 403),
        (Self::Reload, By::Policy, 403),
        (Self::DisableFiled, By::File, 401),
        (Self::ExpireFiled, By::File, 401),
        (Self::Unfile, By::File, 401),
    ];

    /// Makes the change; when this returns it has been acknowledged.
    fn make(self, gateway: &Gateway, held: &Held) {
        let (name, role) = (held.name.as_str(), held.role.as_str());
        let (key, group) = (held.key.id.as_str(), held.group.as_str());
        let token = token_id(&held.token);
        let applied = gateway.files().path("applied.yaml").display().to_string();
        gateway.json(&match self {
            Self::Expire | Self::ExpireFiled => vec!["keys", "expire", key],
            Self::Narrow => vec!["keys", "update", key, "--only", "other:thing"],
            Self::MoveKey => vec!["keys", "update", key, "--allow-from", "192.0.2.0/24"],
            Self::Revoke => vec!["tokens", "revoke", &token],
            Self::Disable | Self::DisableFiled => vec!["accounts", "disable", name],
            Self::Delete => vec!["accounts", "delete", name, "--yes"],
            Self::Ungrant => vec!["accounts", "ungrant", name, "--role", role],
            Self::EditRole => vec!["roles", "update", role, "--permission", "other:thing"],
            Self::DeleteRole => vec!["roles", "delete", role, "--force", "--yes"],
            Self::MoveAddress => vec!["accounts", "update", name, "--allow-from", "192.0.2.0/24"],
            Self::LeaveGroup => vec!["groups", "remove", group, name],
            Self::UngrantGroup => vec!["groups", "ungrant", group, "--role", role],
            Self::DeleteGroup => vec!["groups", "delete", group, "--yes"],
            Self::Apply => {
                let text = format!("accounts:\n  {name}: {{ description: Holds nothing }}\n");
                gateway.files().write("applied.yaml", &text);
                vec!["accounts", "apply", "-f", &applied]
            }
            Self::Reload => return role_file(gateway, role, "other:thing"),
            Self::Unfile => {
                gateway.files().write(&format!("policies/{name}.yaml"), "");
                vec!["reload"]
            }
        });
    }
}

/// Puts a role of a policy file in force that gives one permission.
fn role_file(gateway: &Gateway, role: &str, permission: &str) {
    let text = format!("roles:\n  {role}: {{ description: D, permissions: ['{permission}'] }}\n");
    let file = format!("policies/{role}.yaml");
    gateway.files().write(&file, &text);
    gateway.json(&["reload"]);
}

/// Puts an account of a policy file in force that may follow streams; its key.
fn account_file(gateway: &Gateway, name: &str) -> Key {
    let (id, secret) = (KeyId::random(), Secret::random());
    let text = format!(
        "roles:\n  {name}-filed: {{ description: D, permissions: ['streams:follow'] }}\n\
         accounts:\n  {name}:\n    grants: [{{ role: {name}-filed }}]\n    \
         keys: [{{ id: {id}, digest: '{}' }}]\n",
        secret.digest()
    );
    gateway
        .files()
        .write(&format!("policies/{name}.yaml"), &text);
    gateway.json(&["reload"]);
    Key {
        id: id.to_string(),
        secret: secret.reveal().to_owned(),
    }
}

/// The `jti` of a token.
fn token_id(token: &str) -> String {
    let claims = token.split('.').nth(1).expect("a JWT has three parts");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("claims are JSON");
    claims["jti"].as_str().expect("a text").to_owned()
}
