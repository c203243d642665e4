//! What other people wrote and `tests/run` installs: servers, clients, documents.

use std::path::{Path, PathBuf};

/// The folder they lie in.
pub(crate) fn tools() -> PathBuf {
    std::env::var_os("PORTCULLIS_TEST_TOOLS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools"),
        PathBuf::from,
    )
}

/// A file among them, such as `venv/bin/python`.
pub(crate) fn tool(name: &str) -> PathBuf {
    let path = tools().join(name);
    assert!(
        path.exists(),
        "there is no `{}`: `tests/run` installs it",
        path.display()
    );
    path
}
