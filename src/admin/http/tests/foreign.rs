//! G12: what is somebody else's looks like what is not there, at every endpoint.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::endpoint::{Answer, Endpoint};
use super::super::endpoints;
use super::table::{Named, body, line, nothing};
use super::{Desk, Told};
use crate::admin::tests::world::{FILED, POLICY};

const CREW: &str = "
groups:
  crew: { description: By night, members: [nightly], grants: [{ role: reader, within: { tenant: [acme] } }] }
";

/// What belongs to a tenant that the caller has nothing to do with.
struct Foreign {
    desk: Desk,
    manager: String,
    own: Named,
    theirs: Named,
    nobodys: Named,
}

impl Foreign {
    fn new() -> Self {
        let desk = Desk::on(&[POLICY, FILED, CREW]);
        desk.administrator();
        for (name, tenant) in [("ours", "acme"), ("umbrella", "umbrella")] {
            let owner = json!({ "tenant": [tenant] });
            let held = json!([{ "role": "reader", "within": owner }]);
            for made in [
                json!({ "operation": "roles_create", "name": name, "permissions": ["devices:view"], "owner": owner }),
                json!({ "operation": "accounts_create", "name": name, "grants": held, "owner": owner }),
                json!({ "operation": "groups_create", "name": name, "grants": held, "owner": owner }),
                json!({ "operation": "groups_add", "group": name, "account": name }),
            ] {
                desk.world.done(made);
            }
        }
        desk.world.done(json!({
            "operation": "roles_create", "name": "desk", "owner": { "tenant": ["acme"] },
            "permissions": ["portcullis.accounts:*", "portcullis.keys:*", "portcullis.groups:*", "portcullis.roles:*",
                "portcullis.tokens:*", "portcullis.policy:*", "portcullis.denials:*", "portcullis.audit:*",
                "portcullis.server:*", "devices:view", "tenants:view"],
        }));
        let manager = json!([{ "role": "desk", "within": { "tenant": ["acme"] } }]);
        let manager = desk.account("manager", &manager);
        let named = |name: &str| {
            let issue = json!({ "operation": "tokens_issue", "account": name });
            let issued = desk.world.done(issue);
            Named {
                name: name.to_owned(),
                key: desk.key_of(name).split('.').next().unwrap().to_owned(),
                token: issued["id"].as_str().unwrap().to_owned(),
            }
        };
        Self {
            own: named("ours"),
            theirs: named("umbrella"),
            nobodys: Named {
                name: "nobodies".to_owned(),
                ..nothing()
            },
            manager,
            desk,
        }
    }

    fn ask(&self, endpoint: &Endpoint, of: &Named) -> Told {
        let body = body(endpoint, of);
        self.desk
            .ask(&line(endpoint, of), &self.manager, body.as_ref())
    }
}

/// An answer without what is another each time, and without the names that were asked by.
fn plain((status, headers, body): &Told, of: &Named) -> String {
    let mut body = body.clone();
    if let Some(body) = body.as_object_mut() {
        body.retain(|name, _| !matches!(name.as_str(), "request_id" | "instance"));
    }
    let headers: BTreeSet<_> = headers.keys().map(ToString::to_string).collect();
    let text = format!("{status} {headers:?} {body}");
    text.replace(&of.name, "NAME").replace(&of.key, "KEY")
}

#[test]
fn somebody_elses_is_answered_like_nobodys_at_every_endpoint() {
    let world = Foreign::new();
    let (mut rows, mut own) = (0, 0);
    for endpoint in endpoints::all() {
        let names_one = line(endpoint, &world.theirs) != line(endpoint, &world.nobodys)
            || body(endpoint, &world.theirs) != body(endpoint, &world.nobodys);
        let is_new =
            matches!(endpoint.answer, Answer::Made(..)) && endpoint.parameters().count() == 0;
        if !names_one || is_new {
            continue;
        }
        let theirs = world.ask(endpoint, &world.theirs);
        let nobodys = world.ask(endpoint, &world.nobodys);
        assert_eq!(
            plain(&theirs, &world.theirs),
            plain(&nobodys, &world.nobodys),
            "{}",
            endpoint.id
        );
        assert!(theirs.0.as_u16() >= 400, "{}: {}", endpoint.id, theirs.2);
        rows += 1;
    }
    // What would go with it comes last.
    let mut endpoints: Vec<_> = endpoints::all().collect();
    endpoints.sort_by_key(|endpoint| endpoint.id.starts_with("delete"));
    for endpoint in endpoints {
        let (status, _, told) = world.ask(endpoint, &world.own);
        let told = told.to_string();
        for foreign in ["umbrella", world.theirs.key.as_str(), "nightly", "crew"] {
            assert!(!told.contains(foreign), "{}: {told}", endpoint.id);
        }
        own += usize::from(status.is_success());
    }
    assert!(rows >= 20 && own >= 20, "{rows} rows, {own} of his own");
}

#[test]
fn a_name_that_somebody_else_has_is_taken_and_no_more_is_said() {
    let world = Foreign::new();
    for endpoint in endpoints::all() {
        let is_new =
            matches!(endpoint.answer, Answer::Made(..)) && endpoint.parameters().count() == 0;
        if is_new {
            let (theirs, own) = (
                world.ask(endpoint, &world.theirs),
                world.ask(endpoint, &world.own),
            );
            assert_eq!(theirs.0, 409, "{}: {}", endpoint.id, theirs.2);
            assert_eq!(plain(&theirs, &world.theirs), plain(&own, &world.own));
        }
    }
}

#[test]
fn a_key_that_is_imported_twice_does_not_tell_whose_it_is() {
    let world = Foreign::new();
    let digest = format!("sha256:{}", "cd".repeat(32));
    world.desk.world.done(json!({
        "operation": "keys_import", "account": "umbrella", "keys": [{ "digest": digest }],
    }));
    let import = |key: Value| {
        let body = json!({ "keys": [key] });
        let line = "POST /accounts/ours/keys/import";
        let (status, _, told) = world.desk.ask(line, &world.manager, Some(&body));
        assert_eq!(status, 409, "{told}");
        told["detail"].as_str().unwrap().to_owned()
    };
    let said = import(json!({ "digest": digest }));
    assert_eq!(
        said,
        "digest 1 of 1: another key has the same secret, and two keys must not share one"
    );
    let other = format!("sha256:{}", "ef".repeat(32));
    let theirs = import(json!({ "digest": other, "id": world.theirs.key }));
    let own = import(json!({ "digest": other, "id": world.own.key }));
    assert_eq!(
        theirs.replace(&world.theirs.key, "KEY"),
        own.replace(&world.own.key, "KEY")
    );
}

#[test]
fn whoever_sees_a_role_or_a_group_is_not_told_of_accounts_he_does_not_see() {
    let desk = Desk::on(&[POLICY, FILED, CREW]);
    desk.world.done(json!({
        "operation": "roles_create", "name": "clerk",
        "permissions": ["portcullis.roles:*", "portcullis.groups:*", "portcullis.grants:any"],
    }));
    desk.world.done(
        json!({ "operation": "roles_create", "name": "shift", "permissions": ["devices:view"] }),
    );
    let clerk = desk.account("clerk", &json!([{ "role": "clerk" }]));
    desk.account("umbrella", &json!([{ "role": "shift" }]));
    desk.world.done(
        json!({ "operation": "groups_create", "name": "night", "grants": [{ "role": "shift" }] }),
    );
    desk.world
        .done(json!({ "operation": "groups_add", "group": "night", "account": "umbrella" }));
    let ask = |line: &str, body: Option<&Value>| {
        let (status, _, mut told) = desk.ask(line, &clerk, body);
        // Whose rights he changes beyond his own he is told.
        if let Some(told) = told.as_object_mut() {
            told.remove("living_keys");
        }
        let text = told.to_string();
        assert!(
            !text.contains("umbrella") && !text.contains("nightly"),
            "{line}: {text}"
        );
        (status.as_u16(), text)
    };
    let (status, said) = ask("DELETE /roles/shift", None);
    assert_eq!(status, 409);
    assert!(
        said.contains("group `night`, others that you do not see"),
        "{said}"
    );
    assert_eq!(
        ask("PATCH /roles/shift", Some(&json!({ "api_access": false }))).0,
        409
    );
    assert_eq!(ask("GET /groups/crew", None).0, 200);
    assert_eq!(ask("GET /groups", None).0, 200);
    assert_eq!(ask("DELETE /roles/shift?force=true", None).0, 200);
}

/// What an endpoint tells or does beyond any boundary.
const OF_THE_GATEWAY: [&str; 8] = [
    "showStatus",
    "reloadServer",
    "listAuditRecords",
    "followAuditRecords",
    "verifyAuditTrail",
    "showAuditAnchor",
    "listSigningKeys",
    "rotateSigningKey",
];
const OF_EVERYBODY: [&str; 9] = [
    "applyAccounts",
    "listTokens",
    "revokeToken",
    "listHolders",
    "showMatrix",
    "listDenials",
    "followDenials",
    "topDenials",
    "showDenial",
];

#[test]
fn what_is_the_gateways_or_everybodys_is_for_who_holds_the_right_to_it_everywhere() {
    let desk = Desk::on(&[POLICY, FILED]);
    desk.administrator();
    let resources = crate::policy::own::permissions().iter();
    let resources = resources.map(|(name, _)| name.as_str().split_once(':').unwrap().0);
    let all: BTreeSet<_> = resources.map(|resource| format!("{resource}:*")).collect();
    let any = "portcullis.grants:*";
    let mut but_any: Vec<_> = all.iter().filter(|name| *name != any).cloned().collect();
    but_any.extend(["devices:*".to_owned(), "tenants:*".to_owned()]);
    for (name, permissions) in [("most", json!(but_any)), ("any", json!([any]))] {
        desk.world.done(json!({
            "operation": "roles_create", "name": name, "permissions": permissions,
        }));
    }
    let acme = json!({ "tenant": ["acme"] });
    let near = json!([{ "role": "most", "within": acme }, { "role": "any", "within": acme }]);
    let apart = json!([{ "role": "most" }, { "role": "any" }]);
    let callers = [
        ("near", desk.account("near", &near)),
        ("wide", desk.account("wide", &json!([{ "role": "most" }]))),
        // Rights of different grants never mix.
        ("apart", desk.account("apart", &apart)),
    ];
    for endpoint in endpoints::all() {
        let of = nothing();
        let (line, body) = (line(endpoint, &of), body(endpoint, &of));
        for (who, key) in &callers {
            let expected = match *who {
                "near" => {
                    OF_THE_GATEWAY.contains(&endpoint.id) || OF_EVERYBODY.contains(&endpoint.id)
                }
                _ => OF_EVERYBODY.contains(&endpoint.id),
            };
            let (status, _, told) = desk.ask(&line, key, body.as_ref());
            assert_eq!(
                status == 403,
                expected,
                "{} as {who}: {status} {told}",
                endpoint.id
            );
        }
    }
}

/// A role is included only by whoever sees it, whatever it gives; and what of a thing of his is somebody
/// else's he is not told.
#[test]
fn a_role_of_somebody_elses_is_included_in_nothing_and_named_to_nobody() {
    let world = Foreign::new();
    let desk = &world.desk;
    let ask = |line: &str, body: Option<&Value>| {
        let (status, _, told) = desk.ask(line, &world.manager, body);
        (status.as_u16(), told)
    };
    for (line, new) in [
        ("PATCH /roles/ours", json!({ "include": ["NAME"] })),
        ("POST /roles", json!({ "name": "new", "include": ["NAME"] })),
        (
            "POST /accounts/ours/grant",
            json!({ "role": "NAME", "within": { "tenant": ["acme"] } }),
        ),
    ] {
        let [theirs, nobodys] = ["umbrella", "nobodies"].map(|name| {
            let body: Value = serde_json::from_str(&new.to_string().replace("NAME", name)).unwrap();
            let (status, told) = ask(line, Some(&body));
            (status, told["detail"].to_string().replace(name, "NAME"))
        });
        assert_eq!(
            theirs,
            (400, "\"there is no role `NAME`\"".to_owned()),
            "{line}"
        );
        assert_eq!(theirs, nobodys, "{line}");
    }
    for made in [
        json!({ "operation": "roles_update", "name": "ours", "include": ["umbrella"] }),
        json!({ "operation": "groups_create", "name": "hidden", "owner": { "tenant": ["umbrella"] } }),
        json!({ "operation": "groups_add", "group": "hidden", "account": "ours" }),
    ] {
        desk.world.done(made);
    }
    let (status, role) = ask("GET /roles/ours", None);
    assert_eq!((status, &role["include"]), (200, &json!([])));
    let (status, account) = ask("GET /accounts/ours", None);
    assert_eq!((status, &account["groups"]), (200, &json!(["ours"])));
}
