//! `Idempotency-Key`: what is asked twice is done once.

use serde_json::{Value, json};

use super::{Desk, request};

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn what_is_asked_again_with_its_key_is_answered_again_and_not_done_again() {
    let desk = Desk::new();
    let root = desk.administrator();
    desk.account("ci", &json!([]));
    let asked = |line: &str, key: &str, body: Option<&Value>, repeat: &str| {
        let headers = [("x-api-key", key), ("idempotency-key", repeat)];
        desk.send(request(line, &headers, body))
    };
    let new = json!({ "name": "a" });
    let (status, headers, made) = asked("POST /accounts", &root, Some(&new), "one");
    assert_eq!(status, 201, "{made}");
    assert!(!headers.contains_key("idempotent-replayed"));
    let (again, told, repeated) = asked("POST /accounts", &root, Some(&new), "one");
    assert_eq!((again, &repeated), (status, &made));
    assert_eq!(told["idempotent-replayed"], "true");
    assert_eq!(
        (&told["location"], &told["etag"]),
        (&headers["location"], &headers["etag"])
    );
    let other = json!({ "name": "b" });
    let (status, _, told) = asked("POST /accounts", &root, Some(&other), "one");
    assert_eq!(
        (status.as_u16(), &told["field"]),
        (422, &json!("idempotency-key"))
    );
    assert_eq!(
        asked("POST /accounts", &root, Some(&new), "").0,
        409,
        "without a key it is done"
    );
    // No second secret, and the first is told to whoever lost it, and to nobody else.
    let make = "POST /accounts/ci/keys";
    let keys = || {
        let listed = desk
            .world
            .done(json!({ "operation": "keys_list", "account": "ci" }));
        listed.as_array().unwrap().len()
    };
    let before = keys();
    let (_, _, key) = asked(make, &root, Some(&json!({})), "\"two\"");
    let (status, _, repeated) = asked(make, &root, Some(&json!({})), "two");
    assert_eq!((status.as_u16(), &repeated), (201, &key));
    assert_eq!(keys(), before + 1);
    let second = desk.account("second", &json!([{ "role": "portcullis-admin" }]));
    let (_, _, another) = asked(make, &second, Some(&json!({})), "two");
    assert_ne!(another["id"], key["id"]);
    // Each time it is told there is a record, and who lost the right to it is told nothing.
    let records = desk
        .world
        .done(json!({ "operation": "audit_list", "filter": { "event": "key.create" } }));
    let records = records["records"].as_array().unwrap().clone();
    let told = |record: &&Value| record.to_string().contains("once more");
    assert_eq!(records.iter().filter(told).count(), 1, "{records:?}");
    desk.world.done(
        json!({ "operation": "accounts_ungrant", "name": "second", "role": "portcullis-admin" }),
    );
    desk.world.done(
        json!({ "operation": "accounts_grant", "name": "second", "role": "portcullis-admin",
        "within": { "tenant": ["acme"] } }),
    );
    let (status, _, told) = asked(make, &second, Some(&json!({})), "two");
    assert_eq!(status.as_u16(), 404, "{told}");
    assert_eq!(told["secret"], Value::Null);
    // What was refused was not done.
    let missing = json!({ "role": "later" });
    assert_eq!(
        asked("POST /accounts/a/grant", &root, Some(&missing), "three").0,
        400
    );
    desk.world.done(
        json!({ "operation": "roles_create", "name": "later", "permissions": ["devices:view"] }),
    );
    assert_eq!(
        asked("POST /accounts/a/grant", &root, Some(&missing), "three").0,
        200
    );
    assert_eq!(
        asked("POST /accounts", &root, Some(&new), &"x".repeat(300)).0,
        400
    );
    // After its time it is a new request.
    desk.world
        .clock
        .advance(std::time::Duration::from_secs(3601));
    assert_eq!(asked("POST /accounts", &root, Some(&new), "one").0, 409);
}

/// G15.
#[test]
fn g15_what_is_asked_at_once_with_one_key_is_done_once() {
    let desk = Desk::new();
    let root = desk.administrator();
    desk.account("ci", &json!([]));
    let keys = || {
        let listed = desk
            .world
            .done(json!({ "operation": "keys_list", "account": "ci" }));
        listed.as_array().unwrap().len()
    };
    for turn in 0..5 {
        let before = keys();
        let name = format!("turn-{turn}");
        let ask = || {
            let headers = [("x-api-key", root.as_str()), ("idempotency-key", &name)];
            let make = request("POST /accounts/ci/keys", &headers, Some(&json!({})));
            let (status, _, told) = desk.send(make);
            (status.as_u16(), told)
        };
        let answers: Vec<_> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            callers
                .into_iter()
                .map(|caller| caller.join().unwrap())
                .collect()
        });
        assert_eq!(keys(), before + 1, "{answers:?}");
        // Who comes while it is being done is told to ask again; whoever is answered has the one secret.
        let made: Vec<_> = answers
            .iter()
            .filter(|(status, _)| *status == 201)
            .collect();
        assert!(!made.is_empty() && made.iter().all(|answer| answer.1 == made[0].1));
        assert!(
            answers
                .iter()
                .all(|(status, _)| matches!(status, 201 | 409)),
            "{answers:?}"
        );
        assert_eq!(ask().1, made[0].1);
    }
}
