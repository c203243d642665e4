//! From settings to a service: which store, which pepper, which signing key.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::service::{Parts, Role};
use super::{AdminError, ErrorKind, Service, control};
use crate::audit::Figures;
use crate::clock::Clock;
use crate::directory::{Directory, SigningKey, SigningKeys};
use crate::oauth::{self, JWKS_PATH, METADATA_PATH, revoke, token};
use crate::policy::compile::Context;
use crate::policy::{Policy, compile, folder};
use crate::settings::{Control, Settings, StoreSetting, Tokens};
use crate::store::{NoStore, Pepper, Records, Sqlite, Store, StoreError, pepper_path};
use crate::words::{Faults, Method, UnixTime};

/// Largest signing key file read, in bytes. An Ed25519 key in PEM takes 119.
const KEY_FILE_BYTES_MAX: u64 = 16 * 1024;

/// Why a service could not be opened: what stands in the way of the store, the pepper or the
/// signing key, and what to do about it. Always of kind [`ErrorKind::Unavailable`].
pub type OpenError = AdminError;

/// What a policy folder is checked against: the upstreams of the settings and our own endpoints.
pub fn policy_context(settings: &Settings) -> Context {
    let upstreams = settings.upstreams.iter();
    let upstreams = upstreams.map(|(name, upstream)| (name.clone(), upstream.rules.clone()));
    Context {
        upstreams: Some(upstreams.collect()),
        own_endpoints: own_endpoints(&settings.tokens),
        files_only: settings.store == StoreSetting::None,
    }
}

/// The gateway's own endpoints on its listeners; they win over any route.
pub fn own_endpoints(tokens: &Tokens) -> Vec<(Method, String)> {
    let asked = [token::PATH, revoke::PATH];
    let asked = asked.map(|path| Method::ALL.iter().map(|method| (*method, path.to_owned())));
    let metadata = oauth::metadata(&tokens.issuer, true).map(|_| METADATA_PATH);
    let told = [Some(JWKS_PATH), metadata].into_iter().flatten();
    let told = told.map(|path| [Method::Get, Method::Head].map(|method| (method, path.to_owned())));
    asked.into_iter().flatten().chain(told.flatten()).collect()
}

/// Opens what `settings` name, for a server, and puts `policy` in force.
///
/// # Errors
///
/// A sentence, when the store is in use, belongs to somebody else or is damaged, when the pepper is
/// missing or another one, or when the signing key cannot be read.
pub fn open_server(
    settings: &Settings,
    policy: Arc<Policy>,
    clock: Clock,
) -> Result<Service, OpenError> {
    open(settings, Ok(policy), (clock, Role::Server))
}

/// Looks at what [`open_server`] and the control socket need, without opening, locking or making any
/// of it: what stands in the way, and which file that is.
pub fn look(settings: &Settings) -> Vec<(PathBuf, OpenError)> {
    let mut found = Vec::new();
    match (&settings.store, &settings.tokens.signing_key) {
        (StoreSetting::None, None) => {}
        (StoreSetting::None, Some(file)) => {
            let read = signing_key(file, UnixTime::from_secs(0));
            found.extend(read.err().map(|error| (file.clone(), error)));
        }
        (StoreSetting::Sqlite(path), _) => {
            let pepper = settings.pepper.clone().unwrap_or_else(|| pepper_path(path));
            if let Err(error) = Sqlite::look(path, &pepper) {
                let named = settings.pepper.is_some() && matches!(error, StoreError::Pepper(_));
                let file = if named { &pepper } else { path };
                found.push((file.clone(), error.into()));
            }
        }
    }
    if let Control::Path(path) = &settings.control
        && let Err(error) = control::look(settings, path)
    {
        found.push((path.clone(), error));
    }
    found
}

/// Opens what `settings` name, for one command while no server runs. The store's lock is held as
/// long as the service lives. With a policy that has faults everything still works that does not
/// need to know a name of it: a key can always be expired.
///
/// # Errors
///
/// As for [`open_server`].
pub fn open_offline(settings: &Settings, clock: Clock) -> Result<Service, OpenError> {
    let policy = folder::read(&settings.policies)
        .and_then(|files| compile::compile(&files, &policy_context(settings)))
        .map(Arc::new);
    open(settings, policy, (clock, Role::Offline))
}

/// Opens a policy that stands in files alone, to ask what it would do: no settings, no store, no
/// server. Accounts without an id get one for the occasion.
///
/// # Errors
///
/// Never, for lack of a store that could fail; the type is what starting a service has.
pub fn open_files(policy: Arc<Policy>, clock: Clock) -> Result<Service, OpenError> {
    Ok(Service::start(Parts {
        store: Box::new(NoStore),
        files_only: true,
        pepper: None,
        records: Directory::records_of_files(&policy),
        signing: Arc::default(),
        policy,
        policy_fault: None,
        tokens: Tokens::default(),
        denials: crate::settings::Denials::default(),
        audit: crate::settings::Audit::default(),
        keys: crate::settings::ApiKeys::default(),
        rate: None,
        clock,
        role: Role::Offline,
        admin_audience: None,
        figures: Figures::default(),
    })?)
}

fn open(
    settings: &Settings,
    policy: Result<Arc<Policy>, Faults>,
    (clock, role): (Clock, Role),
) -> Result<Service, AdminError> {
    Ok(Service::start(parts(settings, policy, (clock, role))?)?)
}

/// What `settings` name, opened, for a service to begin with.
pub(super) fn parts(
    settings: &Settings,
    policy: Result<Arc<Policy>, Faults>,
    (clock, role): (Clock, Role),
) -> Result<Parts, AdminError> {
    let now = clock.now();
    let (policy, policy_fault) = match policy {
        Ok(policy) => (policy, None),
        Err(faults) => (Arc::default(), Some(faults.to_string())),
    };
    let parts = |store, signing| Parts {
        store,
        files_only: settings.store == StoreSetting::None,
        pepper: None,
        records: Records::default(),
        signing: Arc::new(signing),
        policy,
        policy_fault,
        tokens: settings.tokens.clone(),
        denials: settings.denials,
        audit: settings.audit,
        keys: settings.keys,
        rate: settings.rates.account,
        clock,
        role,
        admin_audience: settings.admin.as_ref().map(|admin| admin.audience.clone()),
        figures: Figures::default(),
    };
    Ok(match &settings.store {
        StoreSetting::None => {
            let file = settings.tokens.signing_key.as_deref();
            let key = file.map(|file| signing_key(file, now)).transpose()?;
            parts(
                Box::new(NoStore),
                SigningKeys::new(key.into_iter().collect()),
            )
        }
        StoreSetting::Sqlite(path) => {
            let pepper = settings.pepper.clone().unwrap_or_else(|| pepper_path(path));
            let (store, pepper) = Sqlite::open(path, &pepper, now)?;
            let records = store.load()?;
            let signing = unwrap(&records, &pepper)?;
            let figures = Figures::default();
            figures.begin(store.audit_anchor(now)?.number);
            Parts {
                figures,
                pepper: Some(Arc::new(pepper)),
                records,
                ..parts(Box::new(store), signing)
            }
        }
    })
}

/// The store's signing keys, opened with the pepper.
pub(super) fn unwrap(records: &Records, pepper: &Pepper) -> Result<SigningKeys, StoreError> {
    let open = |record: &crate::store::SigningKeyRecord| {
        let private = pepper.unwrap(&record.kid, &record.wrapped)?;
        let key = SigningKey::from_pkcs8(&private, record.created_at);
        let key = key.ok().filter(|key| key.public == record.public);
        let sealed = || crate::store::PepperError::Sealed {
            kid: record.kid.clone(),
        };
        Ok(SigningKey {
            retired_at: record.retired_at,
            ..key.ok_or_else(sealed)?
        })
    };
    let keys: Result<Vec<_>, StoreError> = records.signing_keys.iter().map(open).collect();
    keys.map(SigningKeys::new)
}

/// The signing key in a file, which others must not be able to read.
fn signing_key(path: &Path, now: UnixTime) -> Result<SigningKey, AdminError> {
    let said = |what: String| {
        let said = format!("signing key `{}` {what}", path.display());
        AdminError::new(ErrorKind::Unavailable, said)
    };
    let unread = |error: std::io::Error| said(format!("could not be read: {error}"));
    let file = File::open(path).map_err(unread)?;
    let mode = file.metadata().map_err(unread)?.mode();
    if mode & 0o007 != 0 {
        return Err(said(format!(
            "may be read by others (mode {:o}): `chmod 600` it",
            mode & 0o777
        )));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(KEY_FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(unread)?;
    SigningKey::from_file(&bytes, now).map_err(|error| said(format!("is {error}")))
}
