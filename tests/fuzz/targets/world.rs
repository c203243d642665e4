//! A small world that is the same in every run, so that an input means tomorrow what it means today:
//! a policy, an account with a key, a signing key, and one moment.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use portcullis::directory::{Directory, SigningKey, SigningKeys, State};
use portcullis::policy::compile::{Context, SourceFile, compile};
use portcullis::settings::Tokens;
use portcullis::verify::Verifier;
use portcullis::words::{Secret, UnixTime};

use super::key::with_checksum;

pub(super) const ISSUER: &str = "https://gate.example.com";
pub(super) const AUDIENCE: &str = "items";
pub(super) const ACCOUNT_ID: &str = "sa_robot";
/// 2026-11-21T23:00:00Z
pub(super) const NOW: UnixTime = UnixTime::from_secs(1_795_302_000);

pub(super) struct World {
    pub(super) state: State,
    pub(super) verifier: Verifier,
    pub(super) signing: Arc<SigningKeys>,
}

pub(super) static WORLD: LazyLock<World> = LazyLock::new(|| {
    let text = policy();
    let file = SourceFile {
        path: Arc::from(Path::new("world.yaml")),
        text,
    };
    let policy = compile(&[file], &Context::default()).unwrap_or_else(|faults| panic!("{faults}"));
    let signing = Arc::new(SigningKeys::new(vec![signing_key()]));
    let directory = Directory::of_files(&policy).directory;
    let tokens = Tokens {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        lifetime: Duration::from_secs(900),
        cache_entries: 100,
        ..Tokens::default()
    };
    World {
        state: State {
            directory: directory.with_signing(Arc::clone(&signing)),
            policy: Arc::new(policy),
        },
        verifier: Verifier::new(&tokens, None),
        signing,
    }
});

/// The account's key: `pck_` and `pcs_`.
pub(super) fn key() -> (String, String) {
    let random: Vec<u8> = (1..=43).collect();
    (
        with_checksum("pck_", &random, 22),
        with_checksum("pcs_", &random, 43),
    )
}

fn policy() -> String {
    let (id, secret) = key();
    let digest = Secret::parse(&secret).map(|secret| secret.digest());
    let digest = digest.unwrap_or_else(|error| panic!("{error}"));
    format!(
        r#"
upstream: api
permissions:
  items:read: See items
  items:write: Change items
roles:
  reader: {{ permissions: ["items:read"] }}
routes:
  GET,POST /public/{{path...}}: public
  GET /v1/me: any_account
  GET /v1/items/{{item}}: items:read
  PUT,DELETE /v1/items/{{item}}: items:write
  GET /v1/files/{{path...}}: {{ needs: items:read, unsafe_allow: [encoded_slash, semicolon] }}
  GET /v1/foreign/{{path...}}: {{ needs: public, pass_authorization: foreign }}
accounts:
  robot:
    id: {ACCOUNT_ID}
    grants: [{{ role: reader }}]
    keys: [{{ id: {id}, digest: "{digest}" }}]
"#
    )
}

/// An Ed25519 key whose seed is nothing but sevens, as PKCS#8.
fn signing_key() -> SigningKey {
    let mut document = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    document.extend([7; 32]);
    SigningKey::from_pkcs8(&document, UnixTime::from_secs(1)).expect("a document of that form")
}
