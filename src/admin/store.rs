//! The store as a whole: what it holds, copies of it, and a copy put back.
//!
//! A server looks at its store and copies it while it serves, without the lock that changes take. To
//! put a copy back, or to bring the store to a newer format, is done without a server: whoever does it
//! has the store to himself.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::desk::{Answer, conflict, invalid};
use super::service::Service;
use super::trail::{self, Asked};
use super::{AdminError, OpenError};
use crate::audit::Object;
use crate::settings::{Settings, StoreSetting};
use crate::store::{Backup, NoStore, Progress, Reader, Restore, Sqlite, Told, pepper_path};
use crate::words::UnixTime;

impl Service {
    /// What the store holds, and whether it is whole.
    pub(super) fn store_status(&self) -> Answer {
        Ok(self.reader()?.status()?)
    }

    /// Copies the store to `file`, and the pepper to a file of its own if that is asked for. A copy
    /// that cannot be recorded is not left behind.
    pub(super) fn back_up(&self, mut asked: Asked, file: &Path, pepper: Option<&Path>) -> Answer {
        let made = self.copy(file, pepper);
        if let Ok(made) = &made {
            asked.hands_out(Told {
                object: Object::default(),
                before: Value::Null,
                after: shown(made, pepper),
            });
        }
        let recorded = self.record(asked, trail::outcome(&made));
        match (made, recorded) {
            (Ok(made), Ok(())) => Ok(shown(&made, pepper)),
            (Ok(_), Err(error)) => {
                let copies = [Some(file), pepper];
                copies.into_iter().flatten().for_each(remove);
                Err(error)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Lets the store go, at the end of the process: nothing is written after this.
    ///
    /// # Errors
    ///
    /// When it cannot be had any more; it is as a death would leave it then, and whole.
    pub fn close(&self) -> Result<(), AdminError> {
        self.lock()?.store = Box::new(NoStore);
        Ok(())
    }

    fn copy(&self, file: &Path, pepper: Option<&Path>) -> Result<Backup, AdminError> {
        for path in [Some(file), pepper].into_iter().flatten() {
            if !path.is_absolute() {
                let said = format!("`{}` is no absolute path", path.display());
                return Err(invalid(said).at("file"));
            }
        }
        let reader = self.reader()?;
        if let Some(path) = pepper {
            let pepper = self.pepper.as_ref().ok_or_else(no_store)?;
            pepper
                .copy_to(path)
                .map_err(crate::store::StoreError::from)?;
        }
        let made = reader.back_up(file, self.clock.now());
        if let (Err(_), Some(path)) = (&made, pepper) {
            remove(path);
        }
        Ok(made?)
    }

    fn reader(&self) -> Result<Reader, AdminError> {
        self.lock()?.store.reader().ok_or_else(no_store)
    }
}

/// It is ours, and nobody has been told of it.
fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(%error, path = %path.display(), "what nobody wants could not be removed");
    }
}

fn shown(made: &Backup, pepper: Option<&Path>) -> Value {
    json!({
        "file": made.path,
        "size_bytes": made.size_bytes,
        "format": made.format,
        "records": made.records,
        "pepper": pepper,
    })
}

fn no_store() -> AdminError {
    conflict("this gateway has no store (`store: none`): what it knows stands in the policy files")
}

/// The store of these settings, and its pepper.
fn places(settings: &Settings) -> Result<(PathBuf, PathBuf), AdminError> {
    match &settings.store {
        StoreSetting::None => Err(no_store()),
        StoreSetting::Sqlite(path) => {
            let pepper = settings.pepper.clone().unwrap_or_else(|| pepper_path(path));
            Ok((path.clone(), pepper))
        }
    }
}

/// What the store of `settings` holds and whether it is whole, while no server has it. Nothing is
/// migrated.
///
/// # Errors
///
/// A sentence, as for [`super::open_offline`].
pub fn store_status(settings: &Settings) -> Result<Value, OpenError> {
    let (path, pepper) = places(settings)?;
    Ok(Sqlite::status(&path, &pepper)?)
}

/// Looks at a backup and what it would bring back, while no server has the store.
///
/// # Errors
///
/// A sentence: who has the store, or what is wrong with the backup.
pub fn prepare_restore(
    settings: &Settings,
    backup: &Path,
    now: UnixTime,
) -> Result<Restore, OpenError> {
    let (path, pepper) = places(settings)?;
    Ok(Sqlite::prepare_restore((&path, &pepper), backup, now)?)
}

/// Brings the store of `settings` to the newest format, while no server has it.
///
/// # Errors
///
/// A sentence, as for [`super::open_offline`].
pub fn migrate(
    settings: &Settings,
    now: UnixTime,
    progress: Progress<'_>,
) -> Result<Value, OpenError> {
    let (path, pepper) = places(settings)?;
    let done = Sqlite::migrate(&path, &pepper, now, progress)?;
    Ok(match done {
        Some((from, to, kept)) => json!({ "migrated": true, "from": from, "to": to, "kept": kept }),
        None => json!({ "migrated": false }),
    })
}
