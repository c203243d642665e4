//! G10: over the admin API nobody shuts the last administrator out, whichever way he tries.

use std::sync::Arc;

use serde_json::{Value, json};

use super::world::{POLICY, World};
use crate::admin::{Actor, AdminError, ErrorKind, Operation, Terms};
use crate::credential::Credential;
use crate::words::{Evidence, KeyId, RequestIds, Secret, TokenId};

/// Where the administrator asks from.
const HOME: &str = "10.1.2.3";

/// A gateway whose only administrator holds his role by a role of his own, in a group, all of it applied
/// from files; and beside it what operations can be tried on.
struct Stage {
    world: World,
    key: Value,
}

/// What an operation does to the last administrator.
enum Row {
    /// Each of these is refused.
    Refused(Vec<Value>),
    /// Each of these is done, and he can get in as before.
    Done(Vec<Value>),
    /// Nothing of his is taken by it, done or not.
    Harmless(Value),
    /// It is done, and then nobody can: that is a promise, too.
    ShutsOut(Value),
}

impl Stage {
    fn new() -> Self {
        let world = World::new(&[POLICY]);
        world.done(
            json!({ "operation": "accounts_apply", "set": "team", "manifest": manifest(true) }),
        );
        let key = world.done(json!({ "operation": "keys_create", "account": "root" }));
        world.done(json!({ "operation": "accounts_create", "name": "other" }));
        Self { world, key }
    }

    fn terms(&self, source: &str) -> Option<Terms> {
        let state = self.world.service.handle().snapshot();
        let text = |name: &str| self.key[name].as_str().unwrap();
        let id: KeyId = text("id").parse().unwrap();
        let secret = Secret::parse(text("secret")).unwrap();
        let shown = Credential::Key { id, secret };
        let source = Some(source.parse().unwrap());
        let at = (self.world.clock.now(), source);
        let caller = self.world.service.verifier().verify(&shown, &state, at);
        Some(Terms {
            caller: caller.ok()??,
            source,
            policy: Arc::clone(&state.policy),
            if_match: None,
            page: crate::admin::Page::default(),
        })
    }

    fn ask_from(&self, source: &str, operation: &Value) -> Result<Value, AdminError> {
        let terms = self.terms(source).ok_or_else(|| {
            AdminError::new(
                ErrorKind::NotPermitted,
                "the credential is not good any more",
            )
        })?;
        let actor = Actor::Api {
            account: "root".parse().unwrap(),
            account_id: terms.caller.account.id.clone(),
            key: terms.caller.key,
            address: terms.source.unwrap(),
            request_id: RequestIds::new().next(self.world.clock.now()),
        };
        let operation: Operation = serde_json::from_value(operation.clone()).unwrap();
        self.world.service.execute_for(operation, &actor, &terms)
    }

    fn ask(&self, operation: &Value) -> Result<Value, AdminError> {
        self.ask_from(HOME, operation)
    }

    /// Whether the administrator gets in, and may still do what only he may.
    fn is_open(&self) -> bool {
        let renews = json!({ "operation": "signing_keys_list" });
        let gives =
            json!({ "operation": "accounts_grant", "name": "other", "role": "portcullis-viewer" });
        self.ask(&renews).is_ok() && self.ask(&gives).is_ok()
    }
}

fn manifest(whole: bool) -> Value {
    let place = |line: u32| json!(format!("team.yaml:{line}:1"));
    let include = if whole {
        json!(["portcullis-admin"])
    } else {
        json!([])
    };
    json!({
        "roles": [{ "place": place(1), "name": "boss", "description": "", "permissions": [],
            "include": include, "api_access": true }],
        "groups": [{ "place": place(2), "name": "bosses", "description": "", "members": ["root"],
            "grants": [{ "place": place(3), "role": "boss", "within": {} }] }],
        "accounts": [{ "place": place(4), "name": "root", "description": "", "allow_from": [],
            "grants": [] }],
    })
}

/// Everything of the gateway's own, resource by resource.
fn every_resource() -> Vec<String> {
    let own = crate::policy::own::permissions().iter();
    let resources = own.map(|(name, _)| name.as_str().split_once(':').unwrap().0);
    resources.map(|resource| format!("{resource}:*")).collect()
}

/// What is tried of an operation. One that has no row fails the test.
fn row(name: &str, stage: &Stage) -> Row {
    use Row::{Done, Harmless, Refused, ShutsOut};
    let key = &stage.key["id"];
    match name {
        "AccountsUpdate" => Refused(vec![
            json!({ "name": "root", "allow_from": ["192.0.2.0/24"] }),
            json!({ "name": "root", "allow_from": ["10.1.2.4/32", "2001:db8::/32"], "description": "x" }),
        ]),
        "KeysUpdate" => Refused(vec![
            json!({ "key": key, "only": ["portcullis.keys:edit"] }),
            json!({ "key": key, "only": ["devices:*"], "allow_from": [] }),
            json!({ "key": key, "allow_from": ["192.0.2.0/24"] }),
        ]),
        "AccountsDisable" | "AccountsDelete" => Refused(vec![json!({ "name": "root" })]),
        "AccountsApply" => Refused(vec![
            json!({ "set": "team", "manifest": manifest(false) }),
            json!({ "set": "team", "manifest": {}, "prune": true }),
        ]),
        "RolesUpdate" => Refused(vec![
            json!({ "name": "boss", "include": [] }),
            json!({ "name": "boss", "include": ["portcullis-viewer"] }),
        ]),
        "RolesDelete" => Refused(vec![json!({ "name": "boss", "force": true })]),
        "GroupsRemove" => Refused(vec![json!({ "group": "bosses", "account": "root" })]),
        "GroupsUngrant" => Refused(vec![json!({ "name": "bosses", "role": "boss" })]),
        "GroupsDelete" => Refused(vec![json!({ "name": "bosses" })]),
        // Of who holds it by a group there is nothing to take; see the test of two.
        "AccountsUngrant" => Harmless(json!({ "name": "root", "role": "boss" })),
        "KeysExpire" => ShutsOut(json!({ "key": key })),
        // The secret of the next one is in the answer.
        "KeysRotate" => Done(vec![json!({ "key": key, "overlap_seconds": 3600 })]),
        "AccountsCreate" => Done(vec![json!({ "name": "new" })]),
        "AccountsEnable" => Done(vec![json!({ "name": "root" })]),
        "AccountsGrant" => Done(vec![json!({ "name": "root", "role": "reader" })]),
        "KeysCreate" => Done(vec![json!({ "account": "root", "only": ["devices:view"] })]),
        "RolesCreate" => Done(vec![json!({ "name": "new", "include": ["boss"] })]),
        "GroupsCreate" => Done(vec![json!({ "name": "new" })]),
        "GroupsAdd" => Done(vec![json!({ "group": "bosses", "account": "other" })]),
        "GroupsGrant" => Done(vec![json!({ "name": "bosses", "role": "reader" })]),
        "SigningKeysRotate" => Done(vec![json!({})]),
        "TokensIssue" => Done(vec![json!({ "account": "root" })]),
        "TokensRevoke" => Harmless(json!({ "id": "0000000000000000000000" })),
        "StoreBackup" => Harmless(json!({ "file": "/" })),
        "KeysImport" => Harmless(json!({ "account": "root", "keys": [] })),
        "AccountsShow" => Harmless(json!({ "name": "root" })),
        "RolesShow" => Harmless(json!({ "name": "boss" })),
        "GroupsShow" => Harmless(json!({ "name": "bosses" })),
        "KeysShow" => Harmless(json!({ "key": key })),
        "TokensInspect" => Harmless(json!({ "token": "x" })),
        "RoutesMatch" | "Explain" => Harmless(json!({ "method": "GET", "target": "/x" })),
        "PermissionsWho" => Harmless(json!({ "permission": "devices:view" })),
        "DenialsExplain" => Harmless(json!({ "id": "019aab5f-2c1e-7d53-9f0a-5b1c6e2d4f70" })),
        "AccountsList" | "KeysList" | "RolesList" | "GroupsList" | "TokensList"
        | "SigningKeysList" | "RoutesList" | "RoutesOverlaps" | "PermissionsList"
        | "RoutesMatrix" | "AllowedList" | "DenialsList" | "DenialsFollow" | "DenialsTop"
        | "AuditList" | "AuditFollow" | "AuditAnchor" | "AuditVerify" | "Status" | "Reload"
        | "Drain" | "Whoami" | "StoreStatus" => Harmless(json!({})),
        other => panic!("say in this table whether `{other}` can shut the last administrator out"),
    }
}

fn named(name: &str, mut fields: Value) -> Value {
    let mut operation = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !operation.is_empty() {
            operation.push('_');
        }
        operation.push(letter.to_ascii_lowercase());
    }
    fields["operation"] = json!(operation);
    fields
}

#[test]
fn no_operation_shuts_the_last_administrator_out_but_the_end_of_his_key() {
    for name in Operation::NAMES {
        let stage = Stage::new();
        assert!(stage.is_open());
        match row(name, &stage) {
            Row::Refused(each) => {
                for fields in each {
                    let operation = named(name, fields);
                    let refused = stage.ask(&operation);
                    let error = refused.expect_err(&format!("{operation}"));
                    assert_eq!(error.kind, ErrorKind::Conflict, "{operation}: {error}");
                    assert!(
                        error.message.contains("last administrator"),
                        "{operation}: {error}"
                    );
                    assert!(stage.is_open(), "{operation}");
                }
            }
            Row::Done(each) => {
                for fields in each {
                    let operation = named(name, fields);
                    stage.ask(&operation).unwrap();
                    assert!(stage.is_open(), "{operation}");
                }
            }
            Row::Harmless(fields) => {
                let operation = named(name, fields);
                drop(stage.ask(&operation));
                assert!(stage.is_open(), "{operation}");
            }
            Row::ShutsOut(fields) => {
                let operation = named(name, fields);
                stage.ask(&operation).unwrap();
                assert!(!stage.is_open());
            }
        }
    }
}

#[test]
fn addresses_may_be_said_that_leave_him_in() {
    let stage = Stage::new();
    let key = &stage.key["id"];
    for operation in [
        json!({ "operation": "accounts_update", "name": "root", "allow_from": ["10.0.0.0/8"] }),
        // Wider than before, though not where he is: whoever could call still can.
        json!({ "operation": "accounts_update", "name": "root", "allow_from": ["10.0.0.0/7"] }),
        json!({ "operation": "keys_update", "key": key, "allow_from": ["10.1.0.0/16"] }),
        json!({ "operation": "keys_update", "key": key, "only": every_resource() }),
        json!({ "operation": "keys_update", "key": key, "only": [] }),
    ] {
        let done = stage.ask(&operation);
        assert!(done.is_ok(), "{operation}: {done:?}");
        assert!(stage.is_open(), "{operation}");
    }
    // And from elsewhere nothing is done in his name.
    let refused = stage.ask_from("192.0.2.1", &json!({ "operation": "signing_keys_list" }));
    assert_eq!(refused.unwrap_err().kind, ErrorKind::NotPermitted);
    // On the machine itself it may be done.
    stage
        .world
        .done(json!({ "operation": "accounts_disable", "name": "root" }));
    assert!(!stage.is_open());
}

#[test]
fn another_administrator_counts_if_he_can_get_in() {
    let stage = Stage::new();
    let gives =
        json!({ "operation": "accounts_grant", "name": "other", "role": "portcullis-admin" });
    stage.ask(&gives).unwrap();
    let takes = json!({ "operation": "groups_remove", "group": "bosses", "account": "root" });
    let refused = stage.ask(&takes).unwrap_err();
    assert!(refused.message.contains("and a key, first"), "{refused}");
    let narrow =
        json!({ "operation": "keys_create", "account": "other", "only": ["portcullis.keys:*"] });
    stage.ask(&narrow).unwrap();
    stage.ask(&takes).unwrap_err();
    let whole = stage
        .ask(&json!({ "operation": "keys_create", "account": "other" }))
        .unwrap();
    let ungrant =
        json!({ "operation": "accounts_ungrant", "name": "other", "role": "portcullis-admin" });
    stage.ask(&takes).unwrap();
    // Now the other one is the last, and this one may not even ask.
    assert_eq!(
        stage.ask(&ungrant).unwrap_err().kind,
        ErrorKind::NotPermitted
    );
    let stage = Stage {
        key: whole,
        ..stage
    };
    assert_eq!(stage.ask(&ungrant).unwrap_err().kind, ErrorKind::Conflict);
}

/// He stands in a policy file with his key, and may be shut off there; over the admin API he is the last.
#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn an_administrator_of_a_file_counts_as_long_as_a_key_of_his_gets_in() {
    let (id, secret) = (KeyId::random(), Secret::random());
    let by_file = |more: &str| {
        format!(
            "accounts:\n  root:\n    grants: [{{ role: portcullis-admin }}]\n    \
             keys: [{{ id: {id}, digest: \"{}\"{more} }}]\n",
            secret.digest()
        )
    };
    let takes = json!({ "operation": "accounts_disable", "name": "root" });
    let world = World::new(&[POLICY, &by_file("")]);
    let key = json!({ "id": id, "secret": secret.reveal() });
    let stage = Stage { world, key };
    assert!(
        stage
            .ask(&json!({ "operation": "signing_keys_list" }))
            .is_ok()
    );
    let refused = stage.ask(&takes).unwrap_err();
    assert!(refused.message.contains("last administrator"), "{refused}");

    // Another administrator, of the store: the one of the file counts beside him if his key does.
    let other = json!({ "operation": "accounts_create", "name": "other",
        "grants": [{ "role": "portcullis-admin" }] });
    stage.ask(&other).unwrap();
    let key = json!({ "operation": "keys_create", "account": "other" });
    let key = stage.ask(&key).unwrap();
    let leaves = json!({ "operation": "accounts_disable", "name": "other" });
    let mut stage = Stage { key, ..stage };
    for (more, counts) in [
        (", only: ['portcullis.keys:*']", false),
        (", expires_at: 2020-01-01T00:00:00Z", false),
        ("", true),
    ] {
        stage.world.reload(&[POLICY, &by_file(more)]).unwrap();
        let left = stage.ask(&leaves);
        assert_eq!(left.is_ok(), counts, "{more}: {left:?}");
    }
    // Who is shut off, or holds his role within a boundary, is none.
    stage
        .world
        .done(json!({ "operation": "accounts_enable", "name": "other" }));
    stage
        .world
        .done(json!({ "operation": "accounts_disable", "name": "root" }));
    assert_eq!(stage.ask(&leaves).unwrap_err().kind, ErrorKind::Conflict);
    stage
        .world
        .done(json!({ "operation": "accounts_create", "name": "near",
        "grants": [{ "role": "portcullis-admin", "within": { "tenant": ["acme"] } }] }));
    stage
        .world
        .done(json!({ "operation": "keys_create", "account": "near" }));
    assert_eq!(stage.ask(&leaves).unwrap_err().kind, ErrorKind::Conflict);
    // A key that has run out does not get in either.
    stage
        .world
        .done(json!({ "operation": "accounts_create", "name": "late",
        "grants": [{ "role": "portcullis-admin" }] }));
    stage
        .world
        .done(json!({ "operation": "keys_create", "account": "late",
        "expires_at": "2026-11-22T00:00:00Z" }));
    stage
        .world
        .clock
        .advance(std::time::Duration::from_secs(60 * 60));
    assert_eq!(stage.ask(&leaves).unwrap_err().kind, ErrorKind::Conflict);
    stage.key = json!({ "id": id, "secret": secret.reveal() });
    assert!(stage.terms(HOME).is_some());
}

/// A request that has been let in waits for the lock; what is taken back meanwhile is taken back.
#[test]
fn nothing_is_done_in_the_name_of_who_lost_the_right_to_it_while_he_waited() {
    let give =
        json!({ "operation": "accounts_grant", "name": "other", "role": "portcullis-viewer" });
    let changes: [fn(&Value) -> Value; 6] = [
        |_| json!({ "operation": "accounts_disable", "name": "root" }),
        |_| json!({ "operation": "accounts_delete", "name": "root" }),
        |_| json!({ "operation": "accounts_update", "name": "root", "allow_from": ["192.0.2.0/24"] }),
        |key| json!({ "operation": "keys_expire", "key": key }),
        |key| json!({ "operation": "keys_update", "key": key, "allow_from": ["192.0.2.0/24"] }),
        |key| json!({ "operation": "keys_update", "key": key, "only": ["portcullis.keys:*"] }),
    ];
    let done_by = |stage: &Stage, terms: &Terms| {
        let actor = Actor::Gateway;
        let operation: Operation = serde_json::from_value(give.clone()).unwrap();
        stage.world.service.execute_for(operation, &actor, terms)
    };
    for change in changes {
        let stage = Stage::new();
        let terms = stage.terms(HOME).unwrap();
        assert!(done_by(&stage, &terms).is_ok());
        let change = change(&stage.key["id"]);
        stage.world.done(change.clone());
        let refused = done_by(&stage, &terms).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::NotPermitted, "{change}: {refused}");
    }
    // A token of his, and the policy that his rights were read under.
    let stage = Stage::new();
    let mut terms = stage.terms(HOME).unwrap();
    let id = TokenId::random();
    terms.caller.evidence = Evidence::Token {
        digest: [0; 8],
        expires_at: stage.world.clock.now(),
        id,
    };
    assert!(done_by(&stage, &terms).is_ok());
    stage
        .world
        .done(json!({ "operation": "tokens_revoke", "id": id }));
    assert_eq!(
        done_by(&stage, &terms).unwrap_err().kind,
        ErrorKind::NotPermitted
    );
    let terms = stage.terms(HOME).unwrap();
    stage.world.reload(&[POLICY]).unwrap();
    assert_eq!(
        done_by(&stage, &terms).unwrap_err().kind,
        ErrorKind::Unavailable
    );
    // What his token is narrowed to holds as his key's limits do.
    let mut terms = stage.terms(HOME).unwrap();
    terms.caller.subset = Some(crate::words::PermissionSet::default());
    assert_eq!(
        done_by(&stage, &terms).unwrap_err().kind,
        ErrorKind::NotPermitted
    );
}

#[test]
fn what_is_for_the_gateways_own_machine_is_refused_to_an_administrator_too() {
    let stage = Stage::new();
    for (name, _) in crate::admin::operation::HOST_ONLY {
        let fields = match *name {
            "StoreBackup" => json!({ "file": stage.world.folder.path().join("copy") }),
            "Drain" | "StoreStatus" => json!({}),
            other => panic!("say what `{other}` is asked with"),
        };
        let refused = stage.ask(&named(name, fields)).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::NotPermitted, "{name}: {refused}");
        assert!(
            refused.message.contains("own machine alone"),
            "{name}: {refused}"
        );
    }
    assert!(!stage.world.folder.path().join("copy").exists());
}

/// Each of two takes the other's right at the same moment: one of them stays.
#[test]
fn two_administrators_who_shut_each_other_out_at_once_leave_one() {
    for _ in 0..10 {
        let stage = Stage::new();
        let made =
            json!({ "operation": "accounts_grant", "name": "other", "role": "portcullis-admin" });
        stage.ask(&made).unwrap();
        let key = json!({ "operation": "keys_create", "account": "other" });
        let key = stage.ask(&key).unwrap();
        let one = stage.terms(HOME).unwrap();
        let stage = Stage { key, ..stage };
        let other = stage.terms(HOME).unwrap();
        let shut = |terms: &Terms, name: &str| {
            let disable = json!({ "operation": "accounts_disable", "name": name });
            let operation: Operation = serde_json::from_value(disable).unwrap();
            stage
                .world
                .service
                .execute_for(operation, &Actor::Gateway, terms)
                .is_ok()
        };
        let done = std::thread::scope(|scope| {
            let first = scope.spawn(|| shut(&one, "other"));
            [shut(&other, "root"), first.join().unwrap()]
        });
        assert_eq!(done.iter().filter(|done| **done).count(), 1, "{done:?}");
        let names = ["root", "other"].map(|name| stage.world.account(name).enabled);
        assert_eq!(names.iter().filter(|enabled| **enabled).count(), 1);
    }
}
