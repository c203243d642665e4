//! Every input that fuzzing has found worth keeping is tried again in every run.
//!
//! `tests/fuzz/run` looks for new ones and puts them into `tests/fuzz/corpus`, a folder a target. What
//! stopped a target once stands there too, so that it never does again.

mod targets;

use std::path::{Path, PathBuf};

use targets::TARGETS;

/// Most inputs of one target, and most bytes of one input: a corpus is read by people.
const INPUTS_MAX: usize = 220;
const INPUT_BYTES_MAX: u64 = 2048;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Tries every input of a target; one that breaks a law is named.
fn replay(target: &str) {
    let (_, run) = TARGETS
        .iter()
        .find(|(name, _)| *name == target)
        .unwrap_or_else(|| panic!("there is no target `{target}`"));
    let files = files(&corpora().join(target));
    assert!(!files.is_empty(), "nothing is kept for `{target}`");
    for file in files {
        let input = std::fs::read(&file).unwrap();
        let held = std::panic::catch_unwind(|| run(&input));
        assert!(held.is_ok(), "see above: {} breaks a law", file.display());
    }
}

macro_rules! replayed {
    ($($target:ident)+) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target));
            }
        )+

        const REPLAYED: &[&str] = &[$(stringify!($target)),+];
    };
}

replayed!(credential forwarded_for head key path routes token yaml);

#[test]
fn every_target_has_a_corpus_that_is_replayed_and_small() {
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, REPLAYED);
    for folder in files(&corpora()) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(
            names.contains(&name),
            "no target reads {}",
            folder.display()
        );
        let inputs = files(&folder);
        assert!(
            inputs.len() <= INPUTS_MAX,
            "{name} has {} inputs",
            inputs.len()
        );
        for input in inputs {
            let bytes = input.metadata().unwrap().len();
            assert!(
                bytes <= INPUT_BYTES_MAX,
                "{} has {bytes} bytes",
                input.display()
            );
        }
    }
}

#[test]
fn nothing_and_noise_break_no_law() {
    let noise: Vec<u8> = (0..=255).rev().chain(0..=255).collect();
    for (_, run) in TARGETS {
        for input in [&b""[..], b"\n", b"/", b"\xff\xfe", &noise] {
            run(input);
        }
    }
}
