//! From text to [`Settings`].

use std::path::Path;

use super::Settings;
use crate::words::{Fault, Faults, Place};

impl Settings {
    /// Reads and checks the settings file at `path`.
    ///
    /// # Errors
    ///
    /// Every fault in the file, so that one edit can mend them all.
    pub fn load(path: &Path) -> Result<Self, Faults> {
        let fault = Fault::new(Place::whole(path), "settings cannot be read yet");
        Err(fault.into())
    }
}
