//! What the gateway decides, written down so that nobody needs to read Rust to review it.
//!
//! Each file of `tests/scenarios/` holds a policy, callers and cases: who asks for what, and what
//! is to come of it. The runner judges with the function the gateway judges with, in process, and the only clock is the second each case states. `tests/scenarios/README.md` says
//! what may stand in a file.
//!
//! Not here: what needs a socket (bodies, timeouts, upstreams that fail).

mod answer;
mod file;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis::reason::Reason;

use answer::Answer;
use file::{Case, File};
use world::World;

/// Reasons that no scenario shows, each with the reason why. The list may only shrink.
const ELSEWHERE: &[(Reason, Because)] = &[
    (
        Reason::RateLimited,
        Because::ProvedIn("tests/throttle/rates.rs"),
    ),
    (
        Reason::SourceThrottled,
        Because::ProvedIn("tests/throttle/sources.rs"),
    ),
    (
        Reason::UpgradeRefused,
        Because::ProvedIn("tests/streams/websocket.rs"),
    ),
    (Reason::VersionUnknown, Because::NeedsASocket),
    (
        Reason::LoopDetected,
        Because::ProvedIn("tests/streams/hops.rs"),
    ),
    (Reason::DirectoryStale, Because::NothingMakesIt),
    (Reason::TrustUnavailable, Because::NothingMakesIt),
    (Reason::RequestTimeout, Because::NeedsASocket),
    (Reason::BodyTooLarge, Because::NeedsASocket),
    (Reason::HeadersTooLarge, Because::NeedsASocket),
    (
        Reason::UpstreamUnreachable,
        Because::ProvedIn("tests/upstream_faults.rs"),
    ),
    (
        Reason::UpstreamReset,
        Because::ProvedIn("tests/upstream_faults.rs"),
    ),
    (
        Reason::UpstreamMalformed,
        Because::ProvedIn("tests/upstream_faults.rs"),
    ),
    (
        Reason::UpstreamOverloaded,
        Because::ProvedIn("tests/upstream_faults.rs"),
    ),
    (
        Reason::UpstreamTimeout,
        Because::ProvedIn("tests/upstream_faults.rs"),
    ),
    (
        Reason::Draining,
        Because::ProvedIn("tests/lifecycle/leaving.rs"),
    ),
    (Reason::InternalError, Because::NeedsASocket),
];

/// Why a reason stands in no scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Because {
    /// The row is there for a feature that is not: nothing in `src/` gives it yet.
    NothingMakesIt,
    /// It comes of bytes, bodies or time, which have no place in a scenario.
    NeedsASocket,
    /// The same, and this file shows it on real sockets.
    ProvedIn(&'static str),
}

fn files() -> Vec<(PathBuf, File)> {
    let all = fs::read_dir("tests/scenarios").unwrap();
    let mut paths: Vec<_> = all.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "yaml"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let file = serde_saphyr::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, file)
    };
    paths.into_iter().map(read).collect()
}

/// Runs `check` on every case; what is wrong anywhere is said at once.
fn every_case(check: impl Fn(&World, &Case) -> Vec<String>) {
    let mut wrong = Vec::new();
    let mut cases = 0;
    for (path, file) in files() {
        let world = World::new(&path, &file);
        for case in &file.cases {
            cases += 1;
            let said = check(&world, case);
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            wrong.extend(
                said.iter()
                    .map(|fault| format!("{name}: {}: {fault}", case.it)),
            );
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(cases > 150, "only {cases} cases were found");
}

#[test]
fn every_case_comes_out_as_it_says() {
    every_case(|world, case| case.faults(&world.ask(case)));
}

/// Nobody without a credential may learn what a known caller is told. Our own endpoints are no
/// secret.
#[test]
fn what_a_known_caller_is_told_a_stranger_is_not() {
    every_case(|world, case| {
        let stranger = world.ask(&case.of_a_stranger());
        let told = world
            .ask(case)
            .reason()
            .map(|reason| reason.status().as_u16());
        match stranger {
            Answer::Refused { reason, .. }
                if matches!(told, Some(401 | 403 | 404 | 405))
                    && reason != Reason::CredentialMissing
                    && !stranger.is_of_token_endpoint() =>
            {
                vec![format!("a stranger is told `{reason}`")]
            }
            Answer::Refused { .. }
            | Answer::Forwarded { .. }
            | Answer::Preflight(_)
            | Answer::Issued { .. } => Vec::new(),
        }
    });
}

/// One function decides, whoever asks: the gateway, `can-i`, `explain`, or a policy's own tests.
#[test]
fn what_explain_says_is_what_the_gateway_does() {
    every_case(|world, case| {
        let done = world.ask(case).reason();
        // Nobody shows `explain` a credential; what is wrong with one is the gateway's to say.
        let shown = |reason: Reason| {
            let told = [Reason::CredentialMissing, Reason::AccountDisabled];
            reason.status().as_u16() == 401 && !told.contains(&reason)
        };
        let done_code = done.map(Reason::code);
        match world.explained(case) {
            Some(said) if said != done_code && !done.is_some_and(shown) => {
                vec![format!(
                    "explain says {said:?}, and the gateway {done_code:?}"
                )]
            }
            Some(_) | None => Vec::new(),
        }
    });
}

/// The answer to a request is a pure function of it, the state and the instant.
#[test]
fn asked_again_the_answer_is_the_same() {
    every_case(|world, case| {
        let (first, second) = (world.ask(case), world.ask(case));
        let same = first.reason() == second.reason();
        let fault = || format!("first {:?}, then {:?}", first.reason(), second.reason());
        (!same).then(fault).into_iter().collect()
    });
}

#[test]
fn every_reason_has_a_scenario() {
    let mut shown = BTreeSet::new();
    for (_, file) in files() {
        for case in &file.cases {
            let names = [Some(case.expect.as_str()), case.despite.as_deref()];
            shown.extend(names.into_iter().flatten().filter_map(Reason::from_code));
        }
    }
    for reason in Reason::ALL {
        let elsewhere = ELSEWHERE
            .iter()
            .filter(|(known, _)| known == reason)
            .count();
        let here = usize::from(shown.contains(reason));
        assert_eq!(
            here + elsewhere,
            1,
            "`{reason}` must stand in a scenario, or else once in the list of exceptions"
        );
    }
}

/// When a feature begins to give its reason, the exception ends and a scenario is due.
#[test]
fn every_exception_is_still_one() {
    let mut sources = Vec::new();
    collect(Path::new("src"), &mut sources);
    let makers = |reason: &Reason| -> Vec<&str> {
        let word = format!("Reason::{reason:?}");
        // How it is told is known before anybody gives it.
        let tells = |path: &str| {
            ["src/reason.rs", "src/reject.rs"].contains(&path) || path.starts_with("src/telemetry/")
        };
        let mut makers: Vec<_> = sources
            .iter()
            .filter(|(path, text)| !tells(path) && text.contains(&word))
            .map(|(path, _)| path.as_str())
            .collect();
        makers.sort_unstable();
        makers
    };
    for (reason, because) in ELSEWHERE {
        let makers = makers(reason);
        match because {
            Because::NothingMakesIt => assert!(
                makers.is_empty(),
                "`{reason}` is given by {makers:?}: write a scenario"
            ),
            Because::NeedsASocket => assert!(!makers.is_empty(), "`{reason}` is given by nothing"),
            Because::ProvedIn(file) => {
                let text = fs::read_to_string(file).unwrap_or_default();
                assert!(
                    text.contains(reason.code()),
                    "`{file}` does not show `{reason}`"
                );
            }
        }
    }
}

fn collect(folder: &Path, sources: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            sources.push((path.to_string_lossy().into_owned(), text));
        }
    }
}
