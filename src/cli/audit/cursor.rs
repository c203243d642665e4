//! How far an export came, in a file.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use crate::cli::Failure;

/// Where an export goes on; at the beginning if there is no such file yet.
pub(super) fn read(file: &Path) -> Result<u64, Failure> {
    match fs::read_to_string(file) {
        Ok(text) => text.trim().parse().map_err(|_| {
            Failure::usage(format_args!(
                "`{}` is no cursor: it should hold the number of a record",
                file.display()
            ))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(Failure::usage(format_args!(
            "could not read `{}`: {error}",
            file.display()
        ))),
    }
}

/// Written beside its place and renamed: a half-written cursor would skip records.
pub(super) fn keep(file: &Path, number: u64) -> Result<(), Failure> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let written = File::create(&beside).and_then(|mut new| {
        writeln!(new, "{number}")?;
        // Renamed before it is on the disk it may be an empty file after a loss of power.
        new.sync_all()?;
        fs::rename(&beside, file)
    });
    written.map_err(|error| {
        Failure::server(format_args!(
            "could not write `{}`: {error}",
            file.display()
        ))
    })
}
