//! How far somebody's arm reaches over the admin API.

use axum::body::Body;
use serde_json::{Value, json};

use super::{Desk, request};
use crate::admin::tests::world::{FILED, POLICY};

#[test]
fn a_token_is_good_for_the_audience_it_was_made_for_and_no_other() {
    let desk = Desk::new();
    let root = desk.administrator();
    let (id, secret) = root.split_once('.').unwrap();
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let mut asked = request("POST /oauth/token", &[], None);
    asked.headers_mut().insert(
        "content-type",
        "application/x-www-form-urlencoded".parse().unwrap(),
    );
    *asked.body_mut() = Body::from(form);
    let (status, _, told) = desk.send(asked);
    assert_eq!(status, 200, "{told}");
    let bearer = |token: &str| {
        let value = format!("Bearer {token}");
        desk.send(request("GET /accounts", &[("authorization", &value)], None))
            .0
    };
    assert_eq!(bearer(told["access_token"].as_str().unwrap()), 200);
    let behind = desk
        .world
        .done(json!({ "operation": "tokens_issue", "account": "root" }));
    assert_eq!(bearer(behind["access_token"].as_str().unwrap()), 401);
}

#[test]
fn nobody_sees_or_changes_what_his_grant_does_not_cover() {
    let crew = "groups: { crew: { members: [deploy-bot], grants: [{ role: operator }] } }";
    let desk = Desk::on(&[POLICY, FILED, crew]);
    desk.administrator();
    desk.world.done(json!({
        "operation": "roles_create", "name": "desk",
        "permissions": ["portcullis.accounts:*", "devices:view"],
    }));
    let grants = json!([{ "role": "desk", "within": { "tenant": ["acme"] } }]);
    let manager = desk.account("manager", &grants);
    let within = |tenant: &str| json!([{ "role": "reader", "within": { "tenant": [tenant] } }]);
    desk.account("ours", &json!([]));
    desk.account("theirs", &within("globex"));
    // Owned everywhere: not the manager's.
    for name in ["ours", "theirs", "root", "nobody-at-all"] {
        for line in [
            format!("GET /accounts/{name}"),
            format!("POST /accounts/{name}/disable"),
            format!("DELETE /accounts/{name}"),
        ] {
            let (status, _, told) = desk.ask(&line, &manager, None);
            assert_eq!(status, 404, "{line}: {told}");
            assert_eq!(told["detail"], format!("there is no account `{name}`"));
        }
    }
    let (status, _, made) = desk.ask("POST /accounts", &manager, Some(&json!({ "name": "mine" })));
    assert_eq!(status, 201, "{made}");
    let (_, _, list) = desk.ask("GET /accounts", &manager, None);
    let names: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["name"])
        .collect();
    assert_eq!(names, ["mine"]);
    let give = |role: &str, within: Value| {
        let grant = json!({ "role": role, "within": within });
        desk.ask("POST /accounts/mine/grant", &manager, Some(&grant))
            .0
            .as_u16()
    };
    // `reader` gives more than he holds, and everywhere is more than acme.
    assert_eq!(give("reader", json!({ "tenant": ["acme"] })), 403);
    assert_eq!(give("desk", json!({})), 403);
    assert_eq!(give("desk", json!({ "tenant": ["acme", "globex"] })), 403);
    assert_eq!(give("portcullis-admin", json!({ "tenant": ["acme"] })), 403);
    assert_eq!(give("desk", json!({ "tenant": ["acme"] })), 200);
    let wide = json!({ "name": "wide", "owner": { "tenant": ["globex"] } });
    assert_eq!(desk.ask("POST /accounts", &manager, Some(&wide)).0, 403);
    // Files give a name of theirs what he does not hold, to whoever comes by it.
    let taken = json!({ "name": "deploy-bot" });
    assert_eq!(desk.ask("POST /accounts", &manager, Some(&taken)).0, 403);
}

#[test]
fn the_last_administrator_stays() {
    let desk = Desk::new();
    let root = desk.administrator();
    let demote = json!({ "role": "portcullis-admin" });
    for (line, body) in [
        ("POST /accounts/root/disable", None),
        ("DELETE /accounts/root", None),
        ("POST /accounts/root/ungrant", Some(&demote)),
    ] {
        let (status, _, told) = desk.ask(line, &root, body);
        assert_eq!(status, 409, "{line}: {told}");
    }
    let second = desk.account("second", &json!([{ "role": "portcullis-admin" }]));
    assert_eq!(desk.ask("POST /accounts/root/disable", &root, None).0, 200);
    assert_eq!(
        desk.ask("POST /accounts/second/disable", &second, None).0,
        409
    );
    // On the machine itself it may be done.
    desk.world
        .done(json!({ "operation": "accounts_disable", "name": "second" }));
    let record = desk.trail(&["account.disable"]).pop().unwrap();
    assert_eq!(record["portcullis.actor.kind"], "local", "{record}");
    assert_eq!(record["event.outcome"], "success");
    assert_eq!(record["portcullis.account.name"], "second");
}

#[test]
fn whoever_has_a_good_credential_is_told_who_he_is_and_what_he_may_use() {
    let desk = Desk::new();
    let reader = desk.account(
        "ci",
        &json!([{ "role": "reader", "within": { "tenant": ["acme"] } }]),
    );
    desk.world
        .done(json!({ "operation": "groups_create", "name": "night" }));
    desk.world
        .done(json!({ "operation": "groups_add", "group": "night", "account": "ci" }));
    let (status, _, told) = desk.ask("GET /me", &reader, None);
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["account"], "ci");
    assert_eq!(told["key"], reader.split_once('.').unwrap().0);
    assert_eq!(told["permissions"], json!(["devices:view", "tenants:view"]));
    assert_eq!(told["groups"], json!(["night"]));
    assert_eq!(told["grants"][0]["within"], json!({ "tenant": ["acme"] }));
    assert_eq!(told["token"], Value::Null);
    let on_the_machine = desk.world.done(json!({ "operation": "whoami" }));
    assert_eq!(on_the_machine["account"], Value::Null);
    assert_eq!(desk.ask("GET /me", "", None).0, 401);
}

#[test]
fn a_change_beyond_ones_own_rights_tells_which_keys_are_alive_and_who_made_them() {
    let desk = Desk::new();
    let root = desk.administrator();
    desk.account("ci", &json!([{ "role": "operator" }]));
    let change = json!({ "description": "Builds" });
    let (status, headers, told) = desk.ask("PATCH /accounts/ci", &root, Some(&change));
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["living_keys_total"], 1, "{told}");
    let made_by = told["living_keys"][0]["created_by"].as_str().unwrap();
    assert!(!made_by.is_empty());
    let (_, shown, body) = desk.ask("GET /accounts/ci", &root, None);
    assert_eq!(
        shown["etag"], headers["etag"],
        "it is of the answer, not of the account"
    );
    assert_eq!(body.get("living_keys"), None);
    assert_eq!(body["owner"], json!({}));
    let (_, _, key) = desk.ask("POST /accounts/ci/keys", &root, Some(&json!({})));
    let (_, _, key) = desk.ask(
        &format!("GET /keys/{}", key["id"].as_str().unwrap()),
        &root,
        None,
    );
    assert!(
        key["created_by"].as_str().unwrap().contains("root"),
        "{key}"
    );
    // Within his own rights he is told nothing of it.
    desk.world.done(json!({
        "operation": "roles_create", "name": "desk",
        "permissions": ["portcullis.accounts:*"],
    }));
    let manager = desk.account(
        "manager",
        &json!([{ "role": "desk", "within": { "tenant": ["acme"] } }]),
    );
    let (_, _, made) = desk.ask("POST /accounts", &manager, Some(&json!({ "name": "mine" })));
    assert_eq!(made["owner"], json!({ "tenant": ["acme"] }));
    let (_, _, told) = desk.ask("POST /accounts/mine/disable", &manager, None);
    assert_eq!(told.get("living_keys"), None, "{told}");
}

#[test]
fn who_made_something_is_named_to_those_who_see_him() {
    const HIDDEN: &str = "an account that you do not see";
    let desk = Desk::new();
    let root = desk.administrator();
    desk.world.done(json!({
        "operation": "roles_create", "name": "desk", "permissions": [
            "portcullis.accounts:*", "portcullis.keys:*", "portcullis.groups:*", "portcullis.roles:*",
        ],
    }));
    let desk_in = |tenant: &str| json!([{ "role": "desk", "within": { "tenant": [tenant] } }]);
    let manager = desk.account("manager", &desk_in("acme"));
    let viewer = desk.account("viewer", &json!([{ "role": "portcullis-viewer" }]));
    let ours = json!({ "tenant": ["acme"] });
    let third = desk.account("third", &json!([{ "role": "portcullis-admin" }]));
    let made = |line: &str, by: &str, name: &str| {
        let body = json!({ "name": name, "owner": ours });
        let (status, _, told) = desk.ask(line, by, Some(&body));
        assert_eq!(status, 201, "{line}: {told}");
    };
    let key = |by: &str, account: &str| {
        let line = format!("POST /accounts/{account}/keys");
        let told = desk.ask(&line, by, Some(&json!({}))).2;
        told["id"].as_str().unwrap().to_owned()
    };
    for (name, by) in [("theirs", &third), ("own", &manager)] {
        for line in ["POST /accounts", "POST /roles", "POST /groups"] {
            made(line, by, name);
        }
    }
    let (theirs, own) = (key(&third, "theirs"), key(&manager, "own"));
    desk.world
        .done(json!({ "operation": "accounts_delete", "name": "third" }));
    let by = |line: &str, key: &str| {
        let (status, _, told) = desk.ask(line, key, None);
        assert_eq!(status, 200, "{line}: {told}");
        told["created_by"].as_str().unwrap().to_owned()
    };
    for kind in ["accounts", "roles", "groups", "keys"] {
        let of = |name: &str, id: &str| match kind {
            "keys" => format!("GET /keys/{id}"),
            _ => format!("GET /{kind}/{name}"),
        };
        assert_eq!(by(&of("theirs", &theirs), &manager), HIDDEN, "{kind}");
        assert_eq!(by(&of("own", &own), &manager), "account manager", "{kind}");
        // He is gone, and whoever sees everything still reads who it was.
        for everything in [&root, &viewer] {
            let told = by(&of("theirs", &theirs), everything);
            assert_eq!(told, "account third", "{kind}");
        }
    }
}

/// G10.
#[test]
fn g10_of_two_administrators_who_shut_each_other_off_one_stays() {
    let desk = Desk::new();
    let keys = ["one", "other"].map(|name| {
        let key = desk.account(name, &json!([{ "role": "portcullis-admin" }]));
        (name, key)
    });
    for turn in 0..10 {
        let demote = json!({ "role": "portcullis-admin" });
        let ask = |whom: &str, key: &str| {
            let (line, body) = match turn % 3 {
                0 => (format!("POST /accounts/{whom}/disable"), None),
                1 => (format!("POST /accounts/{whom}/ungrant"), Some(&demote)),
                _ => (format!("POST /accounts/{whom}/disable"), None),
            };
            desk.ask(&line, key, body).0.as_u16()
        };
        let [(one, of_one), (other, of_other)] = &keys;
        let answers = std::thread::scope(|scope| {
            let both = [
                scope.spawn(|| ask(other, of_one)),
                scope.spawn(|| ask(one, of_other)),
            ];
            both.map(|asked| asked.join().unwrap())
        });
        let done = answers.iter().filter(|status| **status == 200).count();
        assert_eq!(done, 1, "{answers:?}");
        let stays = if answers[0] == 200 { of_one } else { of_other };
        assert_eq!(desk.ask("GET /accounts", stays, None).0, 200);
        for name in [one, other] {
            desk.world
                .done(json!({ "operation": "accounts_enable", "name": name }));
            desk.world.done(
                json!({ "operation": "accounts_grant", "name": name, "role": "portcullis-admin" }),
            );
        }
    }
}

/// G11.
#[test]
fn g11_what_the_host_alone_may_do_is_recorded_with_who_did_it() {
    let desk = Desk::new();
    let root = desk.administrator();
    assert_eq!(desk.ask("POST /accounts/root/disable", &root, None).0, 409);
    for operation in ["accounts_disable", "accounts_enable"] {
        desk.world
            .done(json!({ "operation": operation, "name": "root" }));
    }
    let told = desk.trail(&["account.disable", "account.enable"]);
    let said: Vec<_> = told
        .iter()
        .map(|record| {
            let text = |field: &str| record[field].as_str().unwrap().to_owned();
            [
                text("event.name"),
                text("event.outcome"),
                text("portcullis.actor.kind"),
            ]
        })
        .collect();
    assert_eq!(
        said,
        [
            ["audit.account.disable", "failure", "api"],
            ["audit.account.disable", "success", "local"],
            ["audit.account.enable", "success", "local"],
        ]
    );
    assert_eq!(desk.ask("GET /accounts", &root, None).0, 200);
}
