//! Keys that stand in files.

use super::*;

#[test]
fn limits_of_a_key_name_what_there_is() {
    let id = crate::words::KeyId::random();
    let digest = crate::words::Secret::random().digest();
    let faults = |limits: &str| {
        faults(&format!(
            "permissions: {{ devices:view: See }}\naccounts:\n  ci:\n    keys:\n      - id: {id}\n        digest: {digest}\n        {limits}\n"
        ))
    };
    for (limits, expected) in [
        (
            "only: [devices:vew]",
            "7:16: permission `devices:vew` is not declared, did you mean `devices:view`?",
        ),
        (
            "only: ['device:*']",
            "7:16: `device:*` covers no permission that is declared, did you mean `devices:*`?",
        ),
        (
            "only: []",
            "7:15: the list is empty: name permissions, or leave the key out",
        ),
        (
            "allow_from: []",
            "7:21: the list is empty: name networks such as `10.0.0.0/8`, or leave the key out",
        ),
        (
            "allow_from: [10.0.0.0/33]",
            "7:22: `10.0.0.0/33` is not a network or an address, such as `10.0.0.0/8`",
        ),
        (
            "expires_at: 90d",
            "7:21: `90d` is not a moment such as `2027-01-31T00:00:00Z`",
        ),
        (
            "expires: 2027-01-31T00:00:00Z",
            "7:9: `expires` is not a key of a key, did you mean `expires_at`?",
        ),
    ] {
        assert_eq!(faults(limits), expected, "{limits}");
    }
}

#[test]
fn a_key_belongs_to_one_account() {
    let id = crate::words::KeyId::random();
    let digest = crate::words::Secret::random().digest();
    let key = format!("{{ id: {id}, digest: '{digest}' }}");
    let text = format!("accounts:\n  a: {{ keys: [{key}] }}\n  b: {{ keys: [{key}] }}\n");
    assert_eq!(
        faults(&text),
        format!("3:15: key `{id}` is defined twice, first at 2:15")
    );
}
