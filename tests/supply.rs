//! What we are made of: licences, crates we do not want, versions below which there are holes.
//!
//! Over `cargo tree` rather than `cargo metadata`, which lists crates that no enabled feature pulls in
//! (`ring` among them). `deny.toml` says the same to `cargo deny`, and is compared here.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The licences a dependency may come under.
const LICENCES: [&str; 8] = [
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

/// Crates that must not come in, by whatever way.
const BANNED: [&str; 6] = [
    "openssl-sys",
    "native-tls",
    "ring",
    "serde_yaml",
    "serde_yml",
    "rustls-pemfile",
];

/// Below these versions there are published holes (row H02).
const AT_LEAST: [(&str, [u64; 3]); 7] = [
    ("bytes", [1, 11, 1]),
    ("h2", [0, 4, 17]),
    ("hyper", [1, 11, 0]),
    ("jsonwebtoken", [10, 3, 0]),
    ("rustls", [0, 23, 18]),
    ("tokio-postgres", [0, 7, 18]),
    ("tracing-subscriber", [0, 3, 20]),
];

struct Package {
    name: String,
    version: String,
    licence: String,
}

/// Every crate that is built for us, for any target, tests and build scripts included.
fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal,build,dev"])
        .args(["--target", "all", "--prefix", "none", "--format", "{p}|{l}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs: it runs this test");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("names and licences are text");
    let lines: BTreeSet<_> = text
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .collect();
    let package = |line: &str| {
        let (package, licence) = line.split_once('|').expect("the format has a bar");
        let mut words = package.split(' ');
        Package {
            name: words.next().unwrap_or_default().to_owned(),
            version: words
                .next()
                .unwrap_or_default()
                .trim_start_matches('v')
                .to_owned(),
            licence: licence.to_owned(),
        }
    };
    let packages: Vec<_> = lines.into_iter().map(package).collect();
    assert!(packages.len() > 100, "the tree was not read: {text}");
    packages
}

#[test]
fn every_licence_is_one_we_may_ship() {
    let packages = packages();
    let faults: Vec<_> = packages
        .iter()
        .filter(|package| !may_ship(&package.licence))
        .map(|package| {
            format!(
                "{} {}: `{}`",
                package.name, package.version, package.licence
            )
        })
        .collect();
    assert!(
        faults.is_empty(),
        "add the licence to LICENCES and deny.toml if it may be shipped, or drop the crate:\n{}",
        faults.join("\n")
    );
}

#[test]
fn no_banned_crate_comes_in() {
    let packages = packages();
    let found: Vec<_> = packages
        .iter()
        .filter(|package| BANNED.contains(&package.name.as_str()))
        .map(|package| package.name.as_str())
        .collect();
    assert!(
        found.is_empty(),
        "see `cargo tree --target all -i CRATE`: {found:?}"
    );
}

#[test]
fn no_crate_is_older_than_its_last_hole() {
    let least: BTreeMap<_, _> = AT_LEAST.into_iter().collect();
    for package in packages() {
        let Some(least) = least.get(package.name.as_str()) else {
            continue;
        };
        let number = |part: &str| {
            part.split(['-', '+'])
                .next()
                .and_then(|part| part.parse().ok())
        };
        let version: Option<Vec<u64>> = package.version.split('.').take(3).map(number).collect();
        assert!(
            version.is_some_and(|version| version.as_slice() >= least.as_slice()),
            "{} {} is older than {least:?}",
            package.name,
            package.version
        );
    }
}

#[test]
fn deny_toml_says_the_same() {
    let text = include_str!("../deny.toml");
    for word in LICENCES.iter().chain(&BANNED) {
        assert!(
            text.contains(&format!("\"{word}\"")),
            "deny.toml does not name {word}"
        );
    }
    let allowed = text
        .split("allow = [")
        .nth(1)
        .and_then(|rest| rest.split(']').next());
    let allowed = allowed.map_or(0, |list| list.matches(',').count());
    assert_eq!(allowed, LICENCES.len(), "deny.toml allows something else");
}

/// Says whether an SPDX expression can be met with [`LICENCES`] alone. `/` is how crates used to
/// write `OR`.
fn may_ship(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let met = any(&mut words);
    met && words.next().is_none()
}

type Words<'w> = std::iter::Peekable<std::str::SplitWhitespace<'w>>;

fn any(words: &mut Words<'_>) -> bool {
    let mut met = all(words);
    while words.next_if_eq(&"OR").is_some() {
        met |= all(words);
    }
    met
}

fn all(words: &mut Words<'_>) -> bool {
    let mut met = one(words);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words);
    }
    met
}

fn one(words: &mut Words<'_>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let met = any(words);
        return words.next_if_eq(&")").is_some() && met;
    }
    let Some(name) = words.next() else {
        return false;
    };
    // An exception only ever gives more rights; still, none is on the list, so none is used.
    let plain = words.next_if_eq(&"WITH").is_none() || words.next().is_none();
    plain && LICENCES.contains(&name)
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("MIT/Apache-2.0", true),
        ("GPL-2.0-only OR MIT", true),
        ("MIT AND GPL-2.0-only", false),
        ("(MIT OR GPL-2.0-only) AND Unicode-3.0", true),
        ("Apache-2.0 WITH LLVM-exception", false),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ("", false),
        ("MIT)", false),
    ] {
        assert_eq!(may_ship(expression), expected, "{expression}");
    }
}
