//! What is taken back is refused from the instant the call returned, and what is open is cut.
//!
//! Here with many calls and many streams at once; what a cut looks like on each wire, byte for byte, is
//! in `streams/standing.rs`.

mod calls;
mod ends;
mod kinds;
mod streams;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::words::{KeyId, Secret};
use serde_json::{Value, json};

use crate::harness::{Api, Fixture, Gateway, Key};
pub(crate) use streams::cut_in_a_crowd;

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
const LISTENER: &str = "http2: true, limits: { connections_per_source: 100000, streams: 1000, \
    body_idle: 5m }";

/// What stays open here stays for as long as it takes on a busy machine.
const PATIENT: &str = "timeout: 5m, stream_idle: 5m";

fn before(api: &Api, grpc: &Api) -> Fixture {
    Fixture::before(&api.url())
        .policy("items.yaml", POLICY)
        .listener(LISTENER)
        .upstream(&format!("connections: 11000, {PATIENT}"))
        .upstream_at("grpc", &format!("{}, http2: true, {PATIENT}", grpc.url()))
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
                write_role(gateway, &role, "streams:follow");
                gateway.operate(&json!({ "operation": "reload" }));
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

    /// Makes the change; when this returns it has been acknowledged, and no moment before.
    fn make(self, gateway: &Gateway, held: &Held) {
        gateway.operate(&self.prepared(gateway, held));
    }

    /// What is asked for to make the change; its files are written by then.
    fn prepared(self, gateway: &Gateway, held: &Held) -> Value {
        let (name, role, group) = (&held.name, &held.role, &held.group);
        let key = &held.key.id;
        let elsewhere = ["192.0.2.0/24"];
        match self {
            Self::Expire | Self::ExpireFiled => json!({ "operation": "keys_expire", "key": key }),
            Self::Narrow => {
                json!({ "operation": "keys_update", "key": key, "only": ["other:thing"] })
            }
            Self::MoveKey => {
                json!({ "operation": "keys_update", "key": key, "allow_from": elsewhere })
            }
            Self::Revoke => json!({ "operation": "tokens_revoke", "id": token_id(&held.token) }),
            Self::Disable | Self::DisableFiled => {
                json!({ "operation": "accounts_disable", "name": name })
            }
            Self::Delete => json!({ "operation": "accounts_delete", "name": name }),
            Self::Ungrant => {
                json!({ "operation": "accounts_ungrant", "name": name, "role": role })
            }
            Self::EditRole => {
                json!({ "operation": "roles_update", "name": role, "permissions": ["other:thing"] })
            }
            Self::DeleteRole => json!({ "operation": "roles_delete", "name": role, "force": true }),
            Self::MoveAddress => {
                json!({ "operation": "accounts_update", "name": name, "allow_from": elsewhere })
            }
            Self::LeaveGroup => {
                json!({ "operation": "groups_remove", "group": group, "account": name })
            }
            Self::UngrantGroup => {
                json!({ "operation": "groups_ungrant", "name": group, "role": role })
            }
            Self::DeleteGroup => json!({ "operation": "groups_delete", "name": group }),
            Self::Apply => {
                let account = json!({
                    "place": "applied.yaml:1:1", "name": name, "description": "Holds nothing",
                    "allow_from": [], "grants": [],
                });
                let manifest = json!({ "accounts": [account] });
                json!({ "operation": "accounts_apply", "set": "applied", "manifest": manifest })
            }
            Self::Reload => {
                write_role(gateway, role, "other:thing");
                json!({ "operation": "reload" })
            }
            Self::Unfile => {
                gateway.files().write(&format!("policies/{name}.yaml"), "");
                json!({ "operation": "reload" })
            }
        }
    }
}

/// Writes a policy file with a role that gives one permission.
fn write_role(gateway: &Gateway, role: &str, permission: &str) {
    let text = format!("roles:\n  {role}: {{ description: D, permissions: ['{permission}'] }}\n");
    let file = format!("policies/{role}.yaml");
    gateway.files().write(&file, &text);
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
    let claims: Value = serde_json::from_slice(&claims).expect("claims are JSON");
    claims["jti"].as_str().expect("a text").to_owned()
}
