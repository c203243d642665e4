//! `THREAT_MODEL.md` says which rows keep a promise, and which settings void one: both are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Sections of the scoreboard; other letters are of the catalogue's process checks.
const SECTIONS: [char; 4] = ['A', 'B', 'C', 'F'];

/// Process checks that stand in no table: what they are is said where they are named.
const OUTSIDE: [&str; 5] = ["H01", "H02", "H04", "H07", "H12"];

fn is_id(word: &str) -> bool {
    let mut characters = word.chars();
    let letter = characters
        .next()
        .is_some_and(|letter| letter.is_ascii_uppercase());
    letter && word.len() == 3 && characters.all(|digit| digit.is_ascii_digit())
}

/// The ids a page names.
fn ids(page: &str) -> BTreeSet<&str> {
    let words = page.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.filter(|word| is_id(word)).collect()
}

#[test]
fn h12_every_id_of_the_threat_model_is_a_row() {
    let model = fs::read_to_string("THREAT_MODEL.md").unwrap();
    let board = fs::read_to_string("tests/SCOREBOARD.md").unwrap();
    let rows = board.lines().filter_map(|line| line.strip_prefix("| "));
    let rows: BTreeSet<&str> = rows
        .filter_map(|row| row.get(..3))
        .filter(|id| is_id(id))
        .collect();
    let begun = |id: &str| rows.iter().any(|row| row.get(..1) == id.get(..1));
    let lost: Vec<_> = ids(&model)
        .into_iter()
        .filter(|id| !OUTSIDE.contains(id) && !rows.contains(id))
        // A section without a row has not been written down yet.
        .filter(|id| !id.starts_with(SECTIONS) || begun(id))
        .collect();
    assert!(
        lost.is_empty(),
        "no row is called {lost:?}: name one that is, or write it"
    );
    assert!(ids(&model).len() > 100, "the ids were not found");
}

#[test]
fn h12_every_setting_that_voids_a_promise_is_named_beside_it() {
    let model = fs::read_to_string("THREAT_MODEL.md").unwrap();
    let mut settings = BTreeSet::new();
    collect(Path::new("src"), &mut settings);
    assert!(settings.contains("unsafe_allow"), "{settings:?}");
    let silent: Vec<_> = settings
        .iter()
        .filter(|setting| !model.contains(&format!("`{setting}`")))
        .collect();
    assert!(silent.is_empty(), "which promise do {silent:?} void?");
}

/// Every key of a file that is spelled `unsafe_…`.
fn collect(folder: &Path, settings: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, settings);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let quoted = text.split('"').filter(|word| word.starts_with("unsafe_"));
        let keys = quoted.filter(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        settings.extend(keys.map(str::to_owned));
    }
}
