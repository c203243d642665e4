//! Where a request reads the places of a boundary from.

use super::super::tests::world::{Call, World, get};
use super::super::{Outcome, Permit};
use super::*;
use crate::reason::Reason;
use crate::words::Method;

const POLICY: &str = r"
dimensions: { tenant: The customer, site: The place }
permissions: { a:view: A }
roles: { viewer: { description: Sees, permissions: [a:view] } }
upstream: easy
routes:
  GET /Of/{tenant}/List: { needs: a:view, within: { tenant: path.tenant } }
  GET /Rest/{tenant...}: { needs: a:view, within: { tenant: path.tenant } }
  GET /listed:
    needs: a:view
    within: { tenant: { query: tenants, separator: ',' }, site: { query: sites, separator: ',' } }
  GET /method: { needs: a:view, within: unlimited }
  GET /plain: { needs: a:view, within: unlimited, upstream: plain }
accounts:
  acme: { description: A, grants: [{ role: viewer, within: { tenant: [acme, a/b, List] } }] }
  free: { description: B, grants: [{ role: viewer }] }
";

fn told(account: &str, target: &str) -> String {
    match World::new(POLICY).decide(&get(account, target)) {
        Outcome::Allowed(_) => "allow".to_owned(),
        Outcome::Denied(denial) | Outcome::Shadowed(_, denial) => denial.reason.code().to_owned(),
    }
}

/// In another spelling a value still stands in its own segment, as the client wrote it.
#[test]
fn a_place_is_found_in_every_spelling_of_the_path() {
    for (target, expected) in [
        ("/Of/acme/List", "allow"),
        ("/of/acme/list", "allow"),
        ("/of/acme/list/", "allow"),
        ("/OF/globex/LIST", "outside_boundary"),
        // Only the value's own segment says where: the last one is a name that is held.
        ("/of/other/List", "outside_boundary"),
        ("/of/ACME/list", "outside_boundary"),
        ("/rest/acme", "allow"),
        ("/rest/a/b", "allow"),
        ("/rest/a/c", "outside_boundary"),
        ("/REST/a", "outside_boundary"),
    ] {
        assert_eq!(told("acme", target), expected, "{target}");
    }
}

#[test]
fn a_request_may_touch_a_bounded_number_of_places() {
    let listed = |tenants: usize, sites: usize| {
        let list = |number| vec!["x"; number].join(",");
        let target = format!("/listed?tenants={}&sites={}", list(tenants), list(sites));
        told("free", &target)
    };
    assert_eq!(PLACES_MAX, 256);
    for (tenants, sites, expected) in [
        (256, 1, "allow"),
        (16, 16, "allow"),
        (2, 1, "allow"),
        (257, 1, "request_malformed"),
        (129, 2, "request_malformed"),
        (300, 300, "request_malformed"),
    ] {
        assert_eq!(listed(tenants, sites), expected, "{tenants} × {sites}");
    }
}

#[test]
fn another_method_in_the_query_passes_where_the_upstream_says_so() {
    assert_eq!(told("free", "/method?_method=DELETE"), "allow");
    assert_eq!(told("free", "/plain?_method=DELETE"), "request_malformed");
    assert_eq!(told("free", "/plain?method=DELETE"), "allow");
    // Unless that is said of some upstream, it is refused before anybody is asked who he is.
    let strict = World::new(&POLICY.replace("easy", "plain"));
    let denial = strict.denial(&get("-", "/method?_method=DELETE"));
    assert_eq!(denial.reason, Reason::RequestMalformed);
}

#[test]
fn a_permit_holds_the_target_it_was_made_for() {
    let call = Call {
        method: Method::Head,
        ..get("acme", "/of/acme/list/?x=1")
    };
    let permit: Permit = World::new(POLICY).permit(&call);
    assert_eq!(permit.target().path_and_query(), "/of/acme/list/?x=1");
    assert_eq!(permit.route().unwrap().name, "GET /Of/{tenant}/List");
}

fn query(name: &str, separator: Option<char>, query: &str) -> Result<Vec<String>, &'static str> {
    from_query(name, separator, Some(query))
        .map(SmallVec::into_vec)
        .map_err(|fault| fault.0)
}

macro_rules! reads {
    ($($case:ident: $separator:expr, $query:literal => $expected:expr;)+) => {
        $(#[test] fn $case() {
            let expected: &[&str] = &$expected;
            assert_eq!(query("tenant", $separator, $query).unwrap(), expected);
        })+
    };
}

reads! {
    an_absent_parameter_is_no_value:        None,      "a=1&b"             => [];
    a_value_is_decoded:                     None,      "tenant=%61cme"     => ["acme"];
    an_encoded_name_is_the_name:            None,      "t%65nant=acme"     => ["acme"];
    without_a_separator_a_comma_is_data:    None,      "tenant=1,2"        => ["1,2"];
    a_separator_makes_several:              Some(','), "tenant=1,2"        => ["1", "2"];
    an_empty_item_is_a_value:               Some(','), "tenant=1,"         => ["1", ""];
    an_empty_value_is_a_value:              None,      "tenant="           => [""];
    a_name_in_another_case_is_not_the_name: None,      "Tenant=acme"       => [];
    another_parameter_does_not_matter:      None,      "tenants=x&tenant=a" => ["a"];
}

#[test]
fn what_two_readers_read_two_ways_is_malformed() {
    for bad in [
        "tenant=a&tenant=b",
        "tenant=a&Tenant=b",
        "tenant=a&tenant[]=b",
        "tenant=a&t%45nant=b",
        "tenant[0]=a&tenant=b",
        "tenant=a;tenant=b",
        "tenant=%zz",
        "x=%2&tenant=a",
        "tenant=%ff",
        "tenant=%00",
        "tenant=a+b",
        "tenant=a\u{1}",
    ] {
        assert!(query("tenant", None, bad).is_err(), "{bad}");
    }
    assert!(query("tenant", Some(','), "tenant=1%2C2").is_err());
    assert!(query("my tenant", None, "my%20tenant=a&my+tenant=b").is_err());
}

#[test]
fn a_bound_header_stands_once_and_is_not_listed_in_connection() {
    let name = http::HeaderName::from_static("x-tenant");
    let mut headers = http::HeaderMap::new();
    assert_eq!(from_header(&name, &headers).unwrap().len(), 0);
    headers.append(&name, "acme".parse().unwrap());
    assert_eq!(from_header(&name, &headers).unwrap().as_slice(), ["acme"]);
    headers.insert("connection", "close, X-Tenant".parse().unwrap());
    assert!(from_header(&name, &headers).is_err());
    headers.remove("connection");
    headers.append(&name, "globex".parse().unwrap());
    assert!(from_header(&name, &headers).is_err());
}

#[test]
fn places_are_every_combination() {
    let bound = |dimension, values: &[&str]| Bound {
        dimension: DimensionId(dimension),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let bounds = [bound(0, &["1", "2"]), bound(1, &[]), bound(2, &["a", "b"])];
    let places = combinations(&bounds);
    assert_eq!(places.len(), 4);
    assert!(
        places
            .iter()
            .all(|place| place.len() == 3 && place[1].1.is_none())
    );
}
