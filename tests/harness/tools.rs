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

/// Says whether system calls of a program can be made to fail; where not, that `what` is left out.
pub(crate) fn can_trace(what: &str) -> bool {
    let tried = std::process::Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        super::long::skipped(&format!("{what} (strace is not there, or may not trace)"));
    }
    can
}

/// Says whether this machine has a program; where not, that `what` is left out.
pub(crate) fn has(program: &str, what: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    if !there {
        super::long::skipped(&format!("{what} (there is no {program})"));
    }
    there
}
