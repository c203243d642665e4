//! G09, rule by rule: each row is refused for one reason, and done where that reason is not there.

use std::sync::Arc;

use serde_json::{Value, json};

use super::world::{POLICY, World};
use crate::admin::{Actor, AdminError, ErrorKind, Operation, Page, Terms};
use crate::credential::Credential;
use crate::words::{KeyId, RequestIds, Secret};

/// A gateway with somebody who manages tenant `a`, and holds more there than he may give away.
struct Stage {
    world: World,
    key: (KeyId, Secret),
}

fn home() -> Value {
    json!({ "tenant": ["a"] })
}

fn make(world: &World, name: &str, permissions: &[&str]) {
    world.done(json!({ "operation": "roles_create", "name": name, "permissions": permissions }));
}

impl Stage {
    fn new() -> Self {
        let world = World::new(&[POLICY]);
        // By one grant he manages what lets see devices; by another he sees all there is at home.
        make(
            &world,
            "manager",
            &[
                "portcullis.accounts:*",
                "portcullis.keys:*",
                "portcullis.groups:*",
                "portcullis.roles:*",
                "portcullis.tokens:edit",
                "devices:view",
                "tenants:view",
            ],
        );
        make(
            &world,
            "looker",
            &[
                "portcullis.accounts:view",
                "portcullis.keys:view",
                "portcullis.groups:view",
                "portcullis.roles:view",
                "portcullis.grants:view",
            ],
        );
        world.done(
            json!({ "operation": "accounts_create", "name": "chief", "grants": [
            { "role": "manager", "within": home() }, { "role": "looker", "within": home() },
        ] }),
        );
        let key = world.done(json!({ "operation": "keys_create", "account": "chief" }));
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        let key = (
            text("id").parse().unwrap(),
            Secret::parse(&text("secret")).unwrap(),
        );
        for (name, role, within) in [
            ("own", "reader", home()),
            ("strong", "operator", home()),
            ("far", "reader", json!({ "tenant": ["b"] })),
        ] {
            world.done(
                json!({ "operation": "accounts_create", "name": name, "owner": home(),
                "grants": [{ "role": role, "within": within }] }),
            );
        }
        for made in [
            json!({ "operation": "groups_create", "name": "crew" }),
            json!({ "operation": "groups_add", "group": "crew", "account": "own" }),
            json!({ "operation": "roles_create", "name": "r0", "permissions": ["devices:view"] }),
            json!({ "operation": "roles_create", "name": "r1", "include": ["r0"] }),
            json!({ "operation": "accounts_grant", "name": "own", "role": "r0", "within": home() }),
        ] {
            let mut made = made;
            if made["operation"].as_str().unwrap().ends_with("_create") {
                made["owner"] = home();
            }
            world.done(made);
        }
        Self { world, key }
    }

    fn ask(&self, operation: &Value) -> Result<Value, AdminError> {
        let state = self.world.service.handle().snapshot();
        let shown = Credential::Key {
            id: self.key.0,
            secret: Secret::parse(self.key.1.reveal()).unwrap(),
        };
        let at = (self.world.clock.now(), None);
        let caller = self.world.service.verifier().verify(&shown, &state, at);
        let caller = caller.unwrap().unwrap();
        let actor = Actor::Api {
            account: caller.account.name.clone(),
            account_id: caller.account.id.clone(),
            key: caller.key,
            address: [192, 0, 2, 1].into(),
            request_id: RequestIds::new().next(self.world.clock.now()),
        };
        let terms = Terms {
            caller,
            source: None,
            policy: Arc::clone(&state.policy),
            if_match: None,
            page: Page::default(),
        };
        let operation: Operation = serde_json::from_value(operation.clone()).unwrap();
        self.world.service.execute_for(operation, &actor, &terms)
    }
}

/// A rule: what is asked, and what has to be so that it is refused.
struct Rule {
    what: &'static str,
    asks: Value,
    unless: Vec<Value>,
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn rules() -> Vec<Rule> {
    let rule = |what, asks: Value, unless: Vec<Value>| Rule { what, asks, unless };
    let holds = |name: &str, role: &str| json!({ "operation": "accounts_grant", "name": name, "role": role, "within": { "tenant": ["b"] } });
    let joins = |name: &str| json!({ "operation": "groups_add", "group": "crew", "account": name });
    let update =
        json!({ "operation": "roles_update", "name": "r0", "permissions": ["tenants:view"] });
    let give =
        json!({ "operation": "groups_grant", "name": "crew", "role": "reader", "within": home() });
    vec![
        rule(
            "a group gives to members of others",
            give.clone(),
            vec![joins("far")],
        ),
        rule(
            "a group gives to members who are stronger",
            give,
            vec![joins("strong")],
        ),
        rule(
            "a group is taken from members of others",
            json!({ "operation": "groups_delete", "name": "crew" }),
            vec![joins("far")],
        ),
        rule(
            "a role is held elsewhere",
            update.clone(),
            vec![holds("far", "r0")],
        ),
        rule(
            "a role that includes it is held elsewhere",
            update.clone(),
            vec![holds("far", "r1")],
        ),
        rule(
            "a group holds it elsewhere",
            update,
            vec![
                json!({ "operation": "groups_create", "name": "there" }),
                json!({ "operation": "groups_grant", "name": "there", "role": "r0" }),
            ],
        ),
        rule(
            "a role that is deleted is held elsewhere",
            json!({ "operation": "roles_delete", "name": "r0", "force": true }),
            vec![holds("far", "r0")],
        ),
        rule(
            "an account holds a right elsewhere",
            json!({ "operation": "accounts_disable", "name": "own" }),
            vec![holds("own", "reader")],
        ),
        rule(
            "an account gets a right by a group",
            json!({ "operation": "keys_create", "account": "own" }),
            vec![
                json!({ "operation": "groups_grant", "name": "crew", "role": "operator", "within": home() }),
            ],
        ),
        rule(
            "a token of one who is stronger",
            json!({ "operation": "tokens_issue", "account": "own" }),
            vec![
                json!({ "operation": "accounts_grant", "name": "own", "role": "operator", "within": home() }),
            ],
        ),
        rule(
            "into a group comes who is stronger",
            json!({ "operation": "groups_add", "group": "crew", "account": "own" }),
            vec![
                json!({ "operation": "accounts_grant", "name": "own", "role": "operator", "within": home() }),
            ],
        ),
        rule(
            "a role is given that he includes and does not hold",
            json!({ "operation": "accounts_grant", "name": "own", "role": "r1", "within": home() }),
            vec![
                json!({ "operation": "roles_update", "name": "r1", "permissions": ["devices:edit"] }),
            ],
        ),
    ]
}

#[test]
fn every_rule_refuses_by_itself_what_is_done_without_it() {
    for Rule { what, asks, unless } in rules() {
        let stage = Stage::new();
        let done = stage.ask(&asks);
        assert!(done.is_ok(), "{what}, which is not so: {done:?}");
        let stage = Stage::new();
        for made in unless {
            stage.world.done(made);
        }
        let held = || ["own", "strong", "far"].map(|name| stage.world.holds(name));
        let before = held();
        let refused = stage.ask(&asks).expect_err(what);
        assert!(
            matches!(refused.kind, ErrorKind::NotPermitted | ErrorKind::NotFound),
            "{what}: {refused}"
        );
        assert_eq!(held(), before, "{what}");
    }
}

/// Who sees more than he holds changes none of it.
#[test]
fn what_is_only_seen_is_not_changed() {
    let stage = Stage::new();
    let shown = stage.ask(&json!({ "operation": "accounts_show", "name": "strong" }));
    assert_eq!(shown.unwrap()["name"], "strong");
    for operation in [
        json!({ "operation": "accounts_update", "name": "strong", "description": "x" }),
        json!({ "operation": "accounts_delete", "name": "strong" }),
        json!({ "operation": "keys_create", "account": "strong" }),
        json!({ "operation": "tokens_issue", "account": "strong" }),
        json!({ "operation": "groups_add", "group": "crew", "account": "strong" }),
    ] {
        let refused = stage.ask(&operation).unwrap_err();
        assert_eq!(
            refused.kind,
            ErrorKind::NotPermitted,
            "{operation}: {refused}"
        );
    }
    // What is nowhere near is not there, as the key that a list shall go on behind.
    let key = stage.world.key("far");
    let own = stage.world.key("own");
    let list = |after: KeyId| stage.ask(&json!({ "operation": "keys_list", "after": after }));
    assert!(list(own).is_ok());
    assert_eq!(list(key).unwrap_err().kind, ErrorKind::NotFound);
}

/// A grant that was closed gives nothing and is nobody's concern; one that gives nothing for another
/// reason may give anything tomorrow.
#[test]
fn a_grant_that_gives_nothing_now_counts_unless_it_is_closed() {
    let stage = Stage::new();
    let describe =
        json!({ "operation": "accounts_update", "name": "own", "description": "changed" });
    let more = "\n  old: { description: Old, permissions: [devices:edit] }\n";
    stage
        .world
        .reload(&[&format!("{}{more}", POLICY.trim_end())])
        .unwrap();
    stage
        .world
        .done(json!({ "operation": "accounts_grant", "name": "own", "role": "old" }));
    stage.ask(&describe).unwrap_err();
    stage.world.reload(&[POLICY]).unwrap();
    stage.ask(&describe).unwrap();

    let near = json!({ "tenant": ["a"], "site": ["x"] });
    stage.world.done(
        json!({ "operation": "accounts_grant", "name": "own", "role": "reader", "within": near }),
    );
    stage.ask(&describe).unwrap();
    stage
        .world
        .reload(&[&POLICY.replace(", site: The place", "")])
        .unwrap();
    stage.ask(&describe).unwrap_err();
}
