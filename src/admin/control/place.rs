//! Where the control socket is.
//!
//! Server and commands find the same place from the same settings file: its name is a digest of the
//! file's real path, in a folder only one user may enter, below the runtime directory; beside the
//! store where there is none. A command run by root looks in the places of the server's user too.

use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::admin::{AdminError, ErrorKind, OpenError};
use crate::settings::{Control, Settings, StoreSetting};

/// Longest path of a socket, in bytes: `sun_path` has 108, one of them a zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Where a server puts its socket; `None` where the settings switch it off.
pub(super) fn for_server(settings: &Settings) -> Result<Option<PathBuf>, OpenError> {
    let path = match &settings.control {
        Control::Off => return Ok(None),
        Control::Path(path) => Some(path.clone()),
        Control::Default => folders()
            .into_iter()
            .find(|folder| make_private(folder))
            .map(|folder| folder.join(name(settings)))
            .or_else(|| beside_store(settings)),
    };
    let unavailable = |said: String| AdminError::new(ErrorKind::Unavailable, said);
    let path = path.ok_or_else(|| {
        unavailable(
            "there is no runtime directory for the control socket: set `XDG_RUNTIME_DIR`, or say \
             `control: PATH` or `control: off` in the settings"
                .to_owned(),
        )
    })?;
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Err(unavailable(format!(
            "the path of the control socket, `{}`, has more than {SOCKET_PATH_BYTES_MAX} bytes: \
             set `control:` to a shorter one",
            path.display()
        )));
    }
    Ok(Some(path))
}

/// Where a command looks for a server's socket, best first.
pub(super) fn for_command(settings: &Settings) -> Vec<PathBuf> {
    match &settings.control {
        Control::Off => Vec::new(),
        Control::Path(path) => vec![path.clone()],
        Control::Default => {
            let mut folders = folders();
            if let Some(owner) = owner(settings) {
                folders.push(format!("/run/user/{owner}/portcullis").into());
            }
            let name = name(settings);
            let places = folders.into_iter().map(|folder| folder.join(&name));
            places.chain(beside_store(settings)).collect()
        }
    }
}

/// Folders for sockets, ours and the system's.
fn folders() -> Vec<PathBuf> {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    own.filter(|path| path.is_absolute())
        .into_iter()
        .chain([PathBuf::from("/run")])
        .map(|path| path.join("portcullis"))
        .collect()
}

/// Makes the folder if need be; says whether it is ours alone.
fn make_private(folder: &Path) -> bool {
    // It may be there already, and whose it is counts either way.
    let _ = DirBuilder::new().mode(0o700).create(folder);
    let me = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(folder)
        .is_ok_and(|stat| stat.is_dir() && stat.uid() == me && stat.mode() & 0o077 == 0)
}

fn beside_store(settings: &Settings) -> Option<PathBuf> {
    match &settings.store {
        StoreSetting::None => None,
        StoreSetting::Sqlite(path) => {
            let mut name = path.clone().into_os_string();
            name.push(".sock");
            Some(name.into())
        }
    }
}

/// The user a server of these settings runs as, as far as its files show.
fn owner(settings: &Settings) -> Option<u32> {
    match &settings.store {
        StoreSetting::None => None,
        StoreSetting::Sqlite(path) => fs::metadata(path).ok().map(|stat| stat.uid()),
    }
}

/// The socket's name: the first 16 hexadecimal digits of the digest of the settings file's path.
fn name(settings: &Settings) -> String {
    let path = fs::canonicalize(&settings.file).unwrap_or_else(|_| settings.file.clone());
    let digest = Sha256::digest(path.as_os_str().as_bytes());
    let digits = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
    digits.collect::<String>() + ".sock"
}
