//! What a permit says, to whom it was given and of which routes.

use super::super::tests::world::{Call, World, get};
use super::super::{asks_for_caller, foreign_may_pass};
use super::*;
use crate::words::Method;

const POLICY: &str = r"
dimensions: { tenant: The customer, site: The place }
permissions: { a:view: A, a:edit: B, b:view: C }
roles:
  viewer: { description: Sees, permissions: [a:view] }
  editor: { description: Changes, permissions: [a:view, a:edit] }
  other: { description: Sees others, permissions: [b:view] }
upstream: plain
routes:
  GET /open: public
  GET /open/slow: { needs: public, timeout: 5s, pass_authorization: foreign }
  GET /open/watched: { needs: public, shadow: true }
  GET /own: { needs: a:view, timeout: 9s }
  GET /foreign: { needs: a:view, pass_authorization: foreign }
  GET /watched: { needs: b:view, shadow: true }
  GET /pair/{x}/end: { needs: public, pass_authorization: foreign, shadow: true, timeout: 9s }
  GET /pair/end/{y}: { needs: a:view, timeout: 5s }
  GET /all: { needs: { all: [a:view, a:edit] }, within: forwarded }
  GET /any: { needs: { any: [a:edit, b:view] }, within: forwarded }
  GET /told: { needs: a:view, within: forwarded }
  GET /headed: { needs: a:view, within: { tenant: header.x-tenant, site: header.x-site } }
  GET /page: { needs: a:view, cors: { origins: ['https://p.example'] } }
  GET /mixed/{x}/end: { needs: a:view, cors: pass }
  GET /mixed/end/{y}: { needs: a:view, cors: { origins: ['https://p.example'] } }
  GET /alike/{x}/end: { needs: a:view, cors: pass }
  GET /alike/end/{y}: { needs: a:view, cors: pass }
  GET /easy: { needs: a:view, upstream: easy }
accounts:
  free: { description: A, grants: [{ role: editor }] }
  seer: { description: C, grants: [{ role: other }] }
  bound:
    description: B
    grants:
      - { role: viewer, within: { tenant: [acme, 'a|b, c'], site: ['7'] } }
      - { role: editor, within: { tenant: [globex] } }
      - { role: other, within: { tenant: [umbrella] } }
";

fn permit_for(account: &str, target: &str) -> Permit {
    World::new(POLICY).permit(&get(account, target))
}

fn boundary(account: &str, target: &str) -> String {
    let permit = permit_for(account, target);
    let identity = permit.identity().expect("somebody was let through");
    let value = identity.boundary.as_ref();
    value.map_or("none".to_owned(), |value| {
        value.to_str().unwrap().to_owned()
    })
}

#[test]
fn who_was_let_through_is_told_and_nobody_on_a_public_route() {
    let permit = permit_for("free", "/own");
    let identity = permit.identity().expect("somebody was let through");
    assert_eq!(identity.caller.account.name.as_str(), "free");
    assert_eq!(identity.permissions.as_ref().unwrap(), "a:view");
    assert!(permit_for("free", "/open").identity().is_none());
    assert!(permit_for("seer", "/watched").identity().is_some());
    assert!(permit_for("free", "/watched").identity().is_none());
}

#[test]
fn the_permissions_told_are_those_needed_each_once() {
    let told = |account, target| {
        let permit = permit_for(account, target);
        let told = permit.identity().unwrap().permissions.as_ref();
        told.unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(told("free", "/all"), "a:edit a:view");
    assert_eq!(told("free", "/any"), "a:edit");
    assert_eq!(told("bound", "/any"), "a:edit b:view");
    assert_eq!(told("free", "/pair/end/end"), "a:view");
}

/// One entry per grant that gives what the route needs, never merged.
#[test]
fn boundaries_are_told_where_a_route_forwards_them() {
    assert_eq!(
        boundary("bound", "/told"),
        "site=7;tenant=acme|a%7Cb%2C%20c, tenant=globex"
    );
    assert_eq!(boundary("bound", "/all"), "tenant=globex");
    assert_eq!(boundary("bound", "/any"), "tenant=globex, tenant=umbrella");
    assert_eq!(boundary("free", "/told"), "*");
    assert_eq!(boundary("free", "/own"), "none");
}

/// A grant of `viewer` whose entry is `bytes` long.
fn grant_of(bytes: usize) -> String {
    let mut rest = bytes - "site=".len();
    let mut values = Vec::new();
    while rest > 0 {
        // Never a rest of which a bar and a whole value could not be made.
        let taken = if rest > 210 { 200 } else { rest };
        values.push(format!("{:v<taken$}", format!("{:03}", values.len())));
        rest = rest.saturating_sub(taken + 1);
    }
    let values = values.join(", ");
    format!("      - {{ role: viewer, within: {{ site: [{values}] }} }}\n")
}

/// Entries only ever add rights: what does not fit is left out, whole.
#[test]
fn boundaries_are_bounded_and_never_cut() {
    // Two bytes are kept for what divides an entry from the one before it.
    let whole = BOUNDARY_BYTES_MAX - 2;
    for (grants, told) in [
        (&[whole][..], whole),
        (&[whole + 1], 0),
        (&[whole + 1, 50], 50),
        (&[4000, whole - 4000], whole + 2),
        (&[4000, whole - 4000 + 1], 4000),
    ] {
        let grants: String = grants.iter().map(|bytes| grant_of(*bytes)).collect();
        let text = format!("{POLICY}  long:\n    description: C\n    grants:\n{grants}");
        let permit = World::new(&text).permit(&get("long", "/told"));
        let boundary = permit.identity().unwrap().boundary.as_ref().unwrap();
        assert_eq!(boundary.len(), told);
    }
}

#[test]
fn limits_are_the_strictest_of_all_routes_that_count() {
    use std::time::Duration;
    assert_eq!(permit_for("free", "/open").timeout(), None);
    assert_eq!(
        permit_for("free", "/own").timeout(),
        Some(Duration::from_secs(9))
    );
    assert_eq!(
        permit_for("free", "/pair/end/end").timeout(),
        Some(Duration::from_secs(5))
    );
}

#[test]
fn a_foreign_authorization_passes_where_every_route_passes_it() {
    for (account, target, passes, may) in [
        ("free", "/open", false, false),
        ("free", "/open/slow", true, true),
        ("free", "/open/watched", true, true),
        ("free", "/own", false, false),
        ("free", "/foreign", true, true),
        // In shadow it goes through for whom the route would refuse, and is no fault of anybody.
        ("free", "/watched", true, true),
        ("seer", "/watched", false, true),
        // One of two routes says no to either.
        ("free", "/pair/end/end", false, false),
    ] {
        let world = World::new(POLICY);
        let call = get(account, target);
        assert_eq!(
            world.permit(&call).passes_authorization(),
            passes,
            "{target}"
        );
        let said = world.ask(&call, |question, _| foreign_may_pass(question));
        assert_eq!(said, may, "{target}");
    }
}

#[test]
fn a_caller_is_asked_for_unless_all_routes_are_public() {
    let world = World::new(POLICY);
    for (target, asked) in [
        ("/open", false),
        ("/own", true),
        ("/pair/x/end", false),
        ("/pair/end/end", true),
        ("/nowhere", true),
    ] {
        let call = get("free", target);
        let said = world.ask(&call, |question, _| {
            asks_for_caller(question.policy, question.lookup)
        });
        assert_eq!(said, asked, "{target}");
    }
}

#[test]
fn headers_that_named_a_place_are_kept_and_no_others() {
    let call = Call {
        account: "free",
        method: Method::Get,
        target: "/headed",
        headers: &[("x-tenant", "acme"), ("x-other", "1")],
    };
    let permit = World::new(POLICY).permit(&call);
    let kept = permit.bound_headers().expect("one header named a place");
    assert_eq!(kept.len(), 1);
    assert_eq!(kept.get("x-tenant").unwrap(), "acme");
    assert!(permit_for("free", "/own").bound_headers().is_none());
}

#[test]
fn what_a_page_may_read_is_said_where_all_routes_say_the_same() {
    assert!(matches!(
        permit_for("free", "/page").cors().map(|cors| &**cors),
        Some(Cors::Answer(_))
    ));
    assert!(matches!(
        permit_for("free", "/alike/end/end")
            .cors()
            .map(|cors| &**cors),
        Some(Cors::Pass)
    ));
    assert!(permit_for("free", "/mixed/end/end").cors().is_none());
    assert!(permit_for("free", "/own").cors().is_none());
}

#[test]
fn odd_header_names_are_those_of_the_upstream() {
    assert_eq!(permit_for("free", "/easy").header_names(), ["api_key"]);
    assert!(permit_for("free", "/own").header_names().is_empty());
    assert!(!permit_for("free", "/own").is_preflight());
}
