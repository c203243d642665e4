//! What somebody has kept of the trail elsewhere: a file of anchors, one a line.

use std::fs;
use std::path::Path;

use crate::audit::Anchor;
use crate::cli::Failure;

/// Most anchors of one file: one a day for a generation.
const ANCHORS_MAX: usize = 10_000;

/// Reads the anchors in `file`.
pub(super) fn read(file: &Path) -> Result<Vec<Anchor>, Failure> {
    let text = fs::read_to_string(file).map_err(|error| {
        Failure::usage(format_args!("could not read `{}`: {error}", file.display()))
    })?;
    let mut anchors = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let anchor = line.parse().map_err(|error| {
            Failure::usage(format_args!("{}:{}: {error}", file.display(), number + 1))
        })?;
        anchors.push(anchor);
    }
    if anchors.is_empty() || anchors.len() > ANCHORS_MAX {
        return Err(Failure::usage(format_args!(
            "`{}` has {} anchors: expected 1 to {ANCHORS_MAX} lines of `portcullis audit anchor`",
            file.display(),
            anchors.len()
        )));
    }
    Ok(anchors)
}
