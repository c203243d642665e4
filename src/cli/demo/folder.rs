//! A folder of the demo's own, gone when the demo is.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Failure;
use crate::words::random_base62;

/// A folder that only this user can enter: it holds a store and its pepper.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes one below the system's temporary folder.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn new() -> Result<Self, Failure> {
        let name = format!("portcullis-demo-{}", random_base62(8));
        let path = std::env::temp_dir().join(name);
        // Not recursive, so that a folder somebody else put there first is an error.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| cannot_write(&path, &error))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes `text` into the file `name` below it and returns the file's path.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let file = self.0.join(name);
        let written = std::fs::create_dir_all(file.parent().unwrap_or(&self.0)).and_then(|()| {
            let mut options = OpenOptions::new();
            let mut opened = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&file)?;
            opened.write_all(text.as_bytes())
        });
        written.map_err(|error| cannot_write(&file, &error))?;
        Ok(file)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whatever stays behind is in a temporary folder, which the system clears.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::server(format_args!("cannot write `{}`: {error}", path.display()))
}
