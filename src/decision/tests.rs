//! Decisions over a small policy, asked as the gateway asks them.

pub(super) mod world;

use std::path::Path;

use super::*;
use crate::directory::Directory;
use crate::explain::supposed;
use crate::policy::compile::{Context, SourceFile, compile};
use crate::words::Method;

const POLICY: &str = r"
upstream: inventory
within: { tenant: path.tenant }
dimensions:
  tenant: The customer
  site: The place
permissions:
  devices:view: See devices
  devices:edit: Change devices
  reports:view: Read reports
roles:
  viewer: { description: Sees, permissions: [devices:view] }
  editor: { description: Changes, permissions: [devices:edit] }
  operator: { description: Both, permissions: ['devices:*'] }
routes:
  GET /about: public
  GET /me: any_account
  GET /v1/{tenant}/devices: devices:view
  PUT /v1/{tenant}/devices: devices:edit
  PATCH /v1/{tenant}/devices: { needs: { all: [devices:view, devices:edit] } }
  GET /v1/{tenant}/reports: { needs: { any: [reports:view, devices:edit] } }
  GET /all: { needs: devices:view, within: unlimited }
  GET /mine: { needs: devices:view, within: forwarded }
  GET /search:
    needs: devices:view
    within: { tenant: { query: tenants, separator: ',' } }
  GET /x/{a}/fixed: { needs: devices:view, within: unlimited }
  GET /x/fixed/{b}: { needs: devices:edit, within: unlimited }
  GET /soon/{tenant}: { needs: reports:view, shadow: true }
  GET /raw/{tenant}: { needs: devices:view, unsafe_allow: [semicolon] }
  POST /y/{a}/fixed:
    { needs: any_account, upgrade: [websocket], trailers: [x-sum, x-note], body_bytes: 100 }
  POST /y/fixed/{b}: { needs: any_account, trailers: [X-Note], body_bytes: 10 }
accounts:
  everywhere: { description: A, grants: [{ role: operator }] }
  acme: { description: B, grants: [{ role: operator, within: { tenant: [acme] } }] }
  halves:
    description: C
    grants:
      - { role: viewer, within: { tenant: [acme] } }
      - { role: editor, within: { tenant: [globex] } }
  two: { description: D, grants: [{ role: viewer, within: { tenant: [acme, globex] } }] }
  split:
    description: E
    grants:
      - { role: viewer, within: { tenant: [acme] } }
      - { role: viewer, within: { tenant: [globex] } }
  sited: { description: F, grants: [{ role: viewer, within: { site: ['7'] } }] }
  nothing: { description: G, grants: [] }
  inside: { description: H, grants: [{ role: operator }], allow_from: [10.0.0.0/8] }
";

fn policy() -> Policy {
    let file = SourceFile {
        path: Path::new("p.yaml").into(),
        text: POLICY.to_owned(),
    };
    compile(&[file], &Context::default()).unwrap_or_else(|faults| panic!("{faults}"))
}

/// `allow`, or the reason; `shadow:` before a reason that is not enforced.
fn decide_as(account: &str, method: Method, target: &str) -> String {
    let policy = policy();
    let directory = Directory::of_files(&policy).directory;
    let caller = directory
        .account_named(account)
        .map(|account| supposed(Arc::clone(account)));
    let target = Target::from_text(target, policy.classes_allowed).unwrap();
    let lookup = policy.find(None, method, target.path()).unwrap();
    let question = Question {
        policy: &policy,
        target: &target,
        sent: target.path_and_query(),
        host: None,
        lookup: &lookup,
        headers: &HeaderMap::new(),
        source: Some("192.0.2.1".parse().unwrap()),
    };
    match decide(&question, Ok(caller)) {
        Outcome::Allowed(permit) => {
            assert_eq!(permit.path_and_query(), target.path_and_query());
            "allow".to_owned()
        }
        Outcome::Denied(denial) => denial.reason.code().to_owned(),
        Outcome::Shadowed(permit, denial) => {
            assert!(permit.identity().is_none(), "nobody was granted anything");
            format!("shadow:{}", denial.reason.code())
        }
    }
}

macro_rules! decides {
    ($($case:ident: $account:literal $method:ident $target:literal => $expected:literal;)+) => {
        $(#[test] fn $case() {
            assert_eq!(decide_as($account, Method::$method, $target), $expected);
        })+
    };
}

decides! {
    anybody_sees_what_is_public:             "-"          Get   "/about"             => "allow";
    a_get_route_answers_head:                "-"          Head  "/about"             => "allow";
    a_stranger_is_asked_for_a_credential:    "-"          Get   "/v1/acme/devices"   => "credential_missing";
    a_stranger_does_not_learn_what_exists:   "-"          Get   "/nowhere"           => "credential_missing";
    nor_which_methods:                       "-"          Post  "/about"             => "credential_missing";
    a_known_caller_learns_what_exists:       "nothing"    Get   "/nowhere"           => "route_missing";
    and_which_methods:                       "nothing"    Post  "/about"             => "method_not_allowed";
    any_account_is_any_account:              "nothing"    Get   "/me"                => "allow";
    a_grant_everywhere_holds_everywhere:     "everywhere" Put   "/v1/globex/devices" => "allow";
    a_grant_holds_in_its_boundary:           "acme"       Get   "/v1/acme/devices"   => "allow";
    and_not_outside:                         "acme"       Get   "/v1/globex/devices" => "outside_boundary";
    values_are_compared_decoded:             "acme"       Get   "/v1/ac%6De/devices" => "allow";
    and_byte_for_byte:                       "acme"       Get   "/v1/Acme/devices"   => "outside_boundary";
    rights_of_two_grants_do_not_mix:         "halves"     Put   "/v1/acme/devices"   => "outside_boundary";
    all_needs_each_here:                     "halves"     Patch "/v1/acme/devices"   => "outside_boundary";
    one_grant_may_give_all:                  "acme"       Patch "/v1/acme/devices"   => "allow";
    any_needs_one:                           "acme"       Get   "/v1/acme/reports"   => "allow";
    any_needs_one_here:                      "acme"       Get   "/v1/globex/reports" => "outside_boundary";
    none_of_any_is_missing:                  "two"        Get   "/v1/acme/reports"   => "permission_missing";
    what_nobody_gave_is_missing:             "two"        Put   "/v1/acme/devices"   => "permission_missing";
    unlimited_counts_no_boundary:            "acme"       Get   "/all"               => "outside_boundary";
    unlimited_counts_what_has_none:          "everywhere" Get   "/all"               => "allow";
    forwarded_counts_any:                    "acme"       Get   "/mine"              => "allow";
    forwarded_still_needs_the_permission:    "nothing"    Get   "/mine"              => "permission_missing";
    an_unbound_dimension_does_not_hold:      "sited"      Get   "/v1/acme/devices"   => "outside_boundary";
    every_value_must_be_held:                "acme"       Get   "/search?tenants=acme,globex" => "outside_boundary";
    one_grant_may_hold_every_value:          "two"        Get   "/search?tenants=acme,globex" => "allow";
    each_value_may_have_a_grant_of_its_own:  "split"      Get   "/search?tenants=acme,globex" => "allow";
    an_absent_value_counts_no_boundary:      "acme"       Get   "/search"            => "outside_boundary";
    and_counts_what_has_none:                "everywhere" Get   "/search"            => "allow";
    a_value_said_twice_is_malformed:         "two"        Get   "/search?tenants=acme&tenants=globex" => "request_malformed";
    both_of_two_crossing_routes_must_hold:   "two"        Get   "/x/fixed/fixed"     => "permission_missing";
    and_both_may:                            "everywhere" Get   "/x/fixed/fixed"     => "allow";
    shadow_forwards_what_it_would_refuse:    "two"        Get   "/soon/acme"         => "shadow:permission_missing";
    shadow_forwards_strangers_too:           "-"          Get   "/soon/acme"         => "shadow:credential_missing";
    an_allowed_class_passes_where_allowed:   "everywhere" Get   "/raw/a;b"           => "allow";
    and_nowhere_else:                        "everywhere" Get   "/v1/a;b/devices"    => "path_ambiguous";
    a_stranger_does_not_learn_the_class:     "-"          Get   "/v1/a;b/devices"    => "credential_missing";
    an_address_may_be_refused:               "inside"     Get   "/me"                => "address_not_allowed";
}

#[test]
fn a_reason_against_the_credential_comes_before_everything_a_policy_says() {
    let policy = policy();
    for path in ["/nowhere", "/v1/acme/devices", "/me"] {
        let target = Target::from_text(path, policy.classes_allowed).unwrap();
        let lookup = policy.find(None, Method::Get, path).unwrap();
        let question = Question {
            policy: &policy,
            target: &target,
            sent: target.path_and_query(),
            host: None,
            lookup: &lookup,
            headers: &HeaderMap::new(),
            source: None,
        };
        let Outcome::Denied(denial) = decide(&question, Err(Reason::KeyExpired)) else {
            panic!("{path} was let through");
        };
        assert_eq!(denial.reason, Reason::KeyExpired);
        assert!(denial.caller.is_none() && denial.missing.is_empty());
    }
}

#[test]
fn a_denial_tells_a_known_caller_exactly_what_is_missing() {
    let policy = policy();
    let directory = Directory::of_files(&policy).directory;
    let ask = |account: &str, target: &str| {
        let caller = supposed(Arc::clone(directory.account_named(account).unwrap()));
        let target = Target::from_text(target, policy.classes_allowed).unwrap();
        let lookup = policy.find(None, Method::Get, target.path()).unwrap();
        let headers = HeaderMap::new();
        let question = Question {
            policy: &policy,
            target: &target,
            sent: target.path_and_query(),
            host: None,
            lookup: &lookup,
            headers: &headers,
            source: None,
        };
        match decide(&question, Ok(Some(caller))) {
            Outcome::Denied(denial) => *denial,
            Outcome::Allowed(_) | Outcome::Shadowed(..) => panic!("let through"),
        }
    };
    let denial = ask("two", "/v1/acme/reports");
    let missing: Vec<_> = denial.missing.iter().map(|name| name.as_str()).collect();
    assert_eq!(missing, ["devices:edit", "reports:view"]);
    assert!(matches!(denial.needs, Some(Needs::Any(_))));
    let denial = ask("acme", "/v1/globex/devices");
    assert_eq!(denial.boundary.len(), 1);
    assert_eq!(denial.boundary[0].0.as_str(), "tenant");
    assert_eq!(denial.boundary[0].1.as_deref(), Some("globex"));
}

#[test]
fn a_call_to_the_gateways_own_api_is_refused_with_all_that_is_known() {
    let policy = policy();
    let directory = Directory::of_files(&policy).directory;
    let known = |name: &str| supposed(Arc::clone(directory.account_named(name).unwrap()));
    let source = "10.0.0.1".parse().unwrap();
    let view = policy.permission_id("devices:view");
    let ask = |caller, needed| admit(&policy, Ok(caller), source, needed);
    // Wherever it is held.
    assert!(ask(Some(known("acme")), view).is_ok());
    assert!(ask(Some(known("nothing")), None).is_ok());
    let denial = *ask(Some(known("nothing")), view).unwrap_err();
    assert_eq!(denial.reason, Reason::PermissionMissing);
    let missing: Vec<_> = denial.missing.iter().map(|name| name.as_str()).collect();
    assert_eq!(missing, ["devices:view"]);
    let Some(Needs::All(needs)) = denial.needs else {
        panic!("{:?}", denial.needs);
    };
    assert_eq!(needs, denial.missing);
    let caller = denial.caller.expect("who is refused is known");
    assert_eq!(caller.account.name.as_str(), "nothing");
    let stranger = *ask(None, view).unwrap_err();
    assert_eq!(stranger.reason, Reason::CredentialMissing);
}

/// Where several routes have to be satisfied, what they put up with is what all of them do.
#[test]
fn options_are_the_strictest_of_all_routes_that_count() {
    let policy = policy();
    let directory = Directory::of_files(&policy).directory;
    let permit = |path: &str| {
        let target = Target::from_text(path, policy.classes_allowed).unwrap();
        let lookup = policy.find(None, Method::Post, path).unwrap();
        let question = Question {
            policy: &policy,
            target: &target,
            sent: target.path_and_query(),
            host: None,
            lookup: &lookup,
            headers: &HeaderMap::new(),
            source: None,
        };
        let caller = supposed(Arc::clone(directory.account_named("nothing").unwrap()));
        match decide(&question, Ok(Some(caller))) {
            Outcome::Allowed(permit) => permit,
            Outcome::Denied(_) | Outcome::Shadowed(..) => panic!("{path} was refused"),
        }
    };
    let alone = permit("/y/other/fixed");
    assert!(alone.upgrades());
    assert_eq!(alone.trailers(), ["x-note", "x-sum"]);
    assert_eq!(alone.body_bytes(), Some(100));
    let both = permit("/y/fixed/fixed");
    assert!(!both.upgrades());
    assert_eq!(both.trailers(), ["x-note"]);
    assert_eq!(both.body_bytes(), Some(10));
    assert!(both.header_names().is_empty());
}
