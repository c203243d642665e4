//! The policy folders that come with the product, and the example of its manual: each compiles, and
//! does what its own tests say.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis::directory::Directory;
use portcullis::explain;
use portcullis::policy::compile::{Context, compile};
use portcullis::policy::{Expectation, Policy, folder};
use portcullis::reason::Reason;
use portcullis::review;
use portcullis::settings::Settings;
use portcullis::words::{Level, Method};

fn compiled(folder: &Path, context: &Context) -> Policy {
    let files = folder::read(folder).unwrap_or_else(|faults| panic!("{faults}"));
    compile(&files, context).unwrap_or_else(|faults| panic!("{faults}"))
}

/// Runs the folder's own tests, and says each that does not hold.
fn holds(policy: &Policy) {
    let built = Directory::of_files(policy);
    assert!(built.conflicts.is_empty(), "{:?}", built.conflicts);
    let failures = review::run_tests(policy, |name| {
        built.directory.account_named(name.as_str()).map(Arc::clone)
    });
    let said: Vec<String> = failures
        .iter()
        .map(|failure| {
            format!(
                "{}: expected {:?}, and it is {:?}",
                failure.test.place, failure.test.expect, failure.explanation.reason
            )
        })
        .collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
}

fn folders() -> Vec<PathBuf> {
    let all = std::fs::read_dir("policies").unwrap();
    let mut folders: Vec<_> = all.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 3, "{folders:?}");
    folders
}

fn own_endpoints() -> Context {
    Context {
        upstreams: None,
        own_endpoints: vec![(Method::Post, "/oauth/token".to_owned())],
        files_only: false,
    }
}

#[test]
fn every_folder_compiles_without_a_warning_and_its_tests_hold() {
    for folder in folders() {
        let policy = compiled(&folder, &own_endpoints());
        let warnings = policy.findings.count(Level::Warning);
        assert_eq!(warnings, 0, "{:?}", policy.findings);
        holds(&policy);
    }
}

#[test]
fn every_folder_tests_what_it_allows_and_every_way_it_refuses() {
    for folder in folders() {
        let policy = compiled(&folder, &own_endpoints());
        let expected = |wanted: Expectation| policy.tests.iter().any(|t| t.expect == wanted);
        assert!(expected(Expectation::Allow), "{}", folder.display());
        let mut reasons = vec![
            Reason::CredentialMissing,
            Reason::PermissionMissing,
            Reason::AddressNotAllowed,
            Reason::RouteMissing,
            Reason::MethodNotAllowed,
            Reason::PathAmbiguous,
        ];
        if !policy.dimensions.is_empty() {
            reasons.push(Reason::OutsideBoundary);
        }
        for reason in reasons {
            assert!(
                expected(Expectation::Deny(reason)),
                "{}: {reason}",
                folder.display()
            );
        }
    }
}

#[test]
fn every_permission_of_a_folder_is_asked_for_and_given() {
    for folder in folders() {
        let policy = compiled(&folder, &own_endpoints());
        let asked: BTreeSet<String> = policy
            .routes
            .iter()
            .map(|route| explain::asks(&policy, route))
            .collect();
        for (permission, _) in &policy.permissions {
            let name = permission.as_str();
            assert!(
                asked.iter().any(|it| it.contains(name)),
                "{name} guards nothing"
            );
            let id = policy.permission_id(name).unwrap();
            let given = policy.roles.values().any(|role| role.gives.contains(id));
            assert!(given, "{name} is in no role");
        }
    }
}

#[test]
fn the_example_of_the_manual_loads_compiles_and_holds() {
    let settings = Settings::load(Path::new("tests/data/example/portcullis.yaml"))
        .unwrap_or_else(|faults| panic!("{faults}"));
    let rules = settings.upstreams.iter();
    let context = Context {
        upstreams: Some(
            rules
                .map(|(name, it)| (name.clone(), it.rules.clone()))
                .collect(),
        ),
        ..own_endpoints()
    };
    let policy = compiled(&settings.policies, &context);
    assert_eq!(policy.tests.len(), 3);
    holds(&policy);
}
