//! Each refusal in the words a person reads.

use super::super::tests::world::{Call, World, get};
use super::*;
use crate::words::Method;

const POLICY: &str = r"
dimensions: { tenant: The customer }
permissions: { a:view: A, a:edit: B }
roles:
  viewer: { description: Sees, permissions: [a:view] }
  changer: { description: Changes, permissions: [a:edit] }
upstream: plain
routes:
  GET /open: public
  GET /open/{x}: public
  GET /view: a:view
  GET /edit: a:edit
  GET /all: { needs: { all: [a:view, a:edit] } }
  GET /any: { needs: { any: [a:edit] }, within: unlimited }
  GET /none: { needs: { any: [a:view, a:edit] } }
  GET /at/{tenant}: { needs: a:view, within: { tenant: path.tenant } }
  GET /edit/{tenant}: { needs: a:edit, within: { tenant: path.tenant } }
  GET /asked: { needs: a:view, within: { tenant: query.tenant } }
  GET /x/{a}/end: a:view
  GET /x/end/{b}: a:edit
  GET /y/{tenant}/end: { needs: a:view, within: { tenant: path.tenant } }
  GET /y/end/{b}: a:edit
  GET /page: { needs: a:view, cors: answer }
  GET /shared/{x}: { needs: public, cors: answer }
  GET /raw/{x}: { needs: a:view, unsafe_allow: [semicolon] }
accounts:
  bound: { description: A, grants: [{ role: viewer, within: { tenant: [acme] } }] }
  nothing: { description: B, grants: [] }
  changer: { description: D, grants: [{ role: changer }] }
  half: { description: E, grants: [{ role: changer }, { role: viewer, within: { tenant: [acme] } }] }
  off: { description: C, grants: [], allow_from: [10.0.0.0/8] }
";

#[test]
fn each_refusal_is_a_sentence() {
    let world = World::new(POLICY);
    for (account, target, reason, sentence) in [
        ("-", "/view", Reason::CredentialMissing, Reason::CredentialMissing.title().to_owned()),
        ("nothing", "/nowhere", Reason::RouteMissing, Reason::RouteMissing.title().to_owned()),
        ("nothing", "/edit", Reason::PermissionMissing, "`nothing` lacks a:edit".to_owned()),
        ("nothing", "/all", Reason::PermissionMissing, "`nothing` lacks a:edit and a:view".to_owned()),
        ("nothing", "/none", Reason::PermissionMissing, "`nothing` lacks a:edit or a:view".to_owned()),
        (
            "bound",
            "/view",
            Reason::OutsideBoundary,
            "`bound` holds the permission only within a boundary, and only grants without one count here".to_owned(),
        ),
        (
            "bound",
            "/at/globex",
            Reason::OutsideBoundary,
            "`bound` holds the permission, but not at tenant \"globex\"".to_owned(),
        ),
        (
            "bound",
            "/asked",
            Reason::OutsideBoundary,
            "`bound` holds the permission, but not at no tenant".to_owned(),
        ),
        (
            "bound",
            "/view/a;b",
            Reason::RouteMissing,
            Reason::RouteMissing.title().to_owned(),
        ),
        (
            "bound",
            "/at/a;b",
            Reason::PathAmbiguous,
            format!("{}: semicolon", Reason::PathAmbiguous.title()),
        ),
        (
            "bound",
            "/asked?tenant=a&tenant=b",
            Reason::RequestMalformed,
            format!(
                "{}: the query names a bound parameter twice",
                Reason::RequestMalformed.title()
            ),
        ),
        (
            "bound",
            "/view?_method=DELETE",
            Reason::RequestMalformed,
            format!(
                "{}: `_method` in the query asks for another method than the one decided on",
                Reason::RequestMalformed.title()
            ),
        ),
    ] {
        let denial = world.denial(&get(account, target));
        assert_eq!(denial.reason, reason, "{target}");
        assert_eq!(denial.sentence(), sentence, "{target}");
    }
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let call = Call {
        method: Method::Put,
        ..get("nothing", "/view")
    };
    let denial = World::new(POLICY).denial(&call);
    assert_eq!(
        denial.allow,
        [Method::Get, Method::Head].into_iter().collect()
    );
    let title = Reason::MethodNotAllowed.title();
    assert_eq!(
        denial.sentence(),
        format!("{title}: it is there for GET, HEAD")
    );
}

/// It names the route it met, who asked, what the route needs and where.
#[test]
fn a_refusal_holds_everything_that_is_known() {
    let world = World::new(POLICY);
    let needs = |denial: &Denial| match denial.needs.clone() {
        Some(Needs::All(names) | Needs::Any(names)) => {
            names.iter().map(ToString::to_string).collect()
        }
        None => Vec::new(),
    };
    let route = |denial: &Denial| denial.route.as_ref().map(|route| route.name.clone());
    let who = |denial: &Denial| {
        denial
            .caller
            .as_ref()
            .map(|caller| caller.account.name.to_string())
    };
    // Filed under what its route asks for, though nobody was asked for it yet.
    let denial = world.denial(&get("-", "/edit"));
    assert_eq!(
        (route(&denial), who(&denial)),
        (Some("GET /edit".to_owned()), None)
    );
    assert_eq!(needs(&denial), ["a:edit"]);
    let denial = world.denial(&get("nothing", "/nowhere"));
    assert_eq!(
        (route(&denial), who(&denial)),
        (None, Some("nothing".to_owned()))
    );
    let denial = world.denial(&get("bound", "/at/globex"));
    assert_eq!(who(&denial).as_deref(), Some("bound"));
    assert_eq!(needs(&denial), ["a:view"]);
    let denial = world.denial(&get("nothing", "/edit/acme"));
    assert_eq!(
        denial.boundary,
        [("tenant".parse().unwrap(), Some("acme".to_owned()))]
    );
    assert_eq!(needs(&denial), ["a:edit"]);
    let denial = world.denial(&get("-", "/open/a;b"));
    assert_eq!(route(&denial).as_deref(), Some("GET /open/{x}"));
    assert_eq!(denial.reason, Reason::PathAmbiguous);
}

#[test]
fn a_credential_that_is_off_still_names_its_account() {
    let world = World::new(POLICY);
    let call = get("off", "/view");
    let outcome = world.ask(&call, |question, caller| {
        let question = super::super::Question {
            source: Some("192.0.2.1".parse().unwrap()),
            ..*question
        };
        super::super::decide(&question, caller)
    });
    let super::super::Outcome::Denied(denial) = outcome else {
        panic!("let through");
    };
    assert_eq!(denial.reason, Reason::AddressNotAllowed);
    assert_eq!(denial.caller.unwrap().account.name.as_str(), "off");
}

/// So that the page it is for can read why.
#[test]
fn a_refusal_says_what_its_route_says_of_pages() {
    let world = World::new(POLICY);
    for (target, said) in [
        ("/page", true),
        ("/shared/a;b", true),
        ("/view", false),
        ("/nowhere", false),
    ] {
        let denial = world.denial(&get("-", target));
        assert_eq!(denial.cors.is_some(), said, "{target}");
    }
}

/// Of several routes that count, it is the one not satisfied that says what is needed.
#[test]
fn a_refusal_tells_what_the_route_needs_that_is_not_satisfied() {
    let world = World::new(POLICY);
    for (account, target, reason) in [
        ("changer", "/x/end/end", Reason::PermissionMissing),
        ("half", "/y/end/end", Reason::OutsideBoundary),
    ] {
        let denial = world.denial(&get(account, target));
        assert_eq!(denial.reason, reason, "{target}");
        let view = "a:view".parse().unwrap();
        assert_eq!(denial.needs, Some(Needs::All(vec![view])), "{target}");
        let primary = denial.route.map(|route| route.template.to_string());
        assert!(
            primary.is_some_and(|it| it.contains("/end/{b}")),
            "{target}"
        );
    }
}

#[test]
fn a_refusal_is_told_with_the_status_of_its_reason_unless_its_protocol_has_another() {
    let denial = Denial::new(Reason::PermissionMissing);
    assert_eq!(denial.status(), StatusCode::FORBIDDEN);
    let told = Denial {
        told_with: Some(StatusCode::BAD_REQUEST),
        ..denial
    };
    assert_eq!(told.status(), StatusCode::BAD_REQUEST);
}

#[test]
fn a_throttled_source_is_told_how_long_and_no_quota() {
    let wait = Duration::from_secs(7);
    let denial = Denial::throttled(wait);
    assert_eq!(denial.reason, Reason::SourceThrottled);
    assert_eq!(denial.limited, Some(Limited { wait, quota: None }));
}
