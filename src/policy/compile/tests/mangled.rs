//! Whatever stands in a file, reading it ends: with a policy or with faults, never otherwise.

use proptest::prelude::*;

use super::*;

const EXAMPLE: &str = include_str!("../../../../tests/data/example/policies/inventory.yaml");

/// What files break on: marks of YAML, words of ours in wrong places, and text no editor shows.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    "? ",
    ",",
    "&a",
    "*a",
    "!t",
    "<<: ",
    "|\n",
    ">\n",
    "#",
    "\"",
    "'",
    "\n",
    "\t",
    "\r",
    "  ",
    "---\n",
    "...\n",
    "%YAML",
    "\u{feff}",
    "\u{85}",
    "\0",
    "é",
    "\u{202e}",
    "routes:",
    "within:",
    "path.",
    "query.",
    "{x}",
    "{x...}",
    "{",
    "public",
    "any",
    "all: []",
    "needs:",
    "include: [operator]",
    "GET /",
    "HEAD",
    "devices:*",
    "~",
    "unlimited",
    "sha256:",
    "99999999999999999999s",
];

fn mangled() -> impl Strategy<Value = String> {
    let edit = (
        any::<prop::sample::Index>(),
        0..40_usize,
        prop::sample::select(PIECES),
    );
    prop::collection::vec(edit, 1..6).prop_map(|edits| {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for (at, cut, piece) in edits {
            let from = at.index(text.len());
            let to = (from + cut).min(text.len());
            text.splice(from..to, piece.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_mangled_file_is_a_policy_or_faults_that_name_places(text in mangled()) {
        let lines = text.lines().count() + 1;
        if let Err(faults) = compile(&[file("p.yaml", &text)], &context(&["inventory"])) {
            prop_assert!(faults.iter().count() > 0);
            for fault in faults.iter() {
                prop_assert!((1..=lines + 1).contains(&fault.place.line), "{}", fault);
                prop_assert!(fault.place.column >= 1, "{}", fault);
                prop_assert!(!fault.message.is_empty() && !fault.message.contains('\n'), "{}", fault);
            }
        }
    }
}
