//! The options that `README.md` lists are those that files may hold.

use std::fs;

use portcullis::schema::Kind;
use serde_json::Value;

/// Where the keys stand in a schema.
const LISTS: [(Kind, &str); 7] = [
    (
        Kind::Policy,
        "/properties/routes/additionalProperties/anyOf/3/properties",
    ),
    (
        Kind::Settings,
        "/properties/upstreams/additionalProperties/properties",
    ),
    (Kind::Settings, "/properties/listeners/items/properties"),
    (
        Kind::Settings,
        "/properties/listeners/items/properties/limits/properties",
    ),
    (Kind::Settings, "/properties/admin/anyOf/1/properties"),
    (Kind::Settings, "/properties/denials/anyOf/1/properties"),
    (Kind::Settings, "/properties/audit/anyOf/0/properties"),
];

#[test]
fn every_option_stands_in_the_readme() {
    let readme = fs::read_to_string("README.md").unwrap();
    let (_, options) = readme.split_once("\n## Options\n").unwrap();
    let (options, _) = options.split_once("\n## ").unwrap();
    for (kind, list) in LISTS {
        let schema = kind.schema();
        let keys = schema.pointer(list).and_then(Value::as_object);
        let keys: Vec<_> = keys
            .unwrap_or_else(|| panic!("{kind:?} has no {list}"))
            .keys()
            .collect();
        assert!(keys.len() > 1, "{list:?} was not read: {keys:?}");
        for key in keys {
            let named = options.contains(&format!("`{key}`"));
            assert!(
                named,
                "`{key}` of {list} is not in README.md, under Options"
            );
        }
    }
}
