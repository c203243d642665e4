//! Documents that mean harm, and documents made at random: an error, or a policy that compiles.

use std::fmt::Write as _;

use portcullis::import::openapi::Options;
use portcullis::words::Fault;
use proptest::prelude::*;

use super::{Imported, decided, import};
use crate::harness::long;

fn read(name: &str, text: &str) -> Result<Imported, Fault> {
    import(name, text, &Options::default())
}

/// `{"openapi":"3.1.0","paths":{…}}`
fn with_paths(paths: &str) -> String {
    format!("{{\"openapi\":\"3.1.0\",\"paths\":{{{paths}}}}}")
}

#[test]
fn nesting_without_end_is_passed_over_or_refused() {
    let deep = long::sized(200_000, 5_000_000);
    let pairs = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
    let paths = format!("\"/a\":{{\"get\":{{\"responses\":{pairs}}}}}");
    assert_eq!(
        read("a.json", &with_paths(&paths)).unwrap().plan.operations,
        1
    );
    let open = with_paths(&format!(
        "\"/a\":{}",
        "{\"get\":".repeat(long::sized(100_000, 1_000_000))
    ));
    let fault = read("a.json", &open).map(drop).unwrap_err().to_string();
    assert!(
        fault.starts_with("a.json:1:") && fault.contains("this is not JSON"),
        "{fault}"
    );
    for open in ["[", "{a: ", "- ", "? ", "!x &a "] {
        let text = format!("openapi: 3.1.0\npaths: {}", open.repeat(100_000));
        let fault = read("a.yaml", &text).map(drop).unwrap_err().to_string();
        assert!(fault.starts_with("a.yaml"), "{open}: {fault}");
    }
}

#[test]
fn references_and_aliases_that_lead_into_each_other_end() {
    let circle = with_paths(
        "\"/a\":{\"$ref\":\"#/paths/~1b\"},\"/b\":{\"$ref\":\"#/paths/~1a\"},\"/c\":{\"get\":{\"$ref\":\"#/paths/~1c/get\"}}",
    );
    let imported = read("a.json", &circle).unwrap();
    assert_eq!((imported.plan.operations, imported.notes.count()), (0, 3));
    // Each level names the one below it ten times: ten thousand million operations.
    let mut laughs = String::from("openapi: 3.1.0\nx0: &x0 { get: {} }\n");
    for level in 1..10 {
        let names = (0..10).map(|number| format!("k{number}: *x{}", level - 1));
        let names: Vec<_> = names.collect();
        writeln!(laughs, "x{level}: &x{level} {{ {} }}", names.join(", ")).unwrap();
    }
    laughs += "paths: { /a: *x9, /b: *x0 }\n";
    assert_eq!(read("a.yaml", &laughs).unwrap().plan.operations, 1);
    let merges = "openapi: 3.1.0\nx: &x { <<: [*x, *x, *x, *x], get: {} }\npaths: { /a: *x }\n";
    assert!(read("a.yaml", merges).is_ok_and(|it| it.plan.operations <= 1));
}

#[test]
fn a_million_paths_are_refused_by_name() {
    let count = long::sized(100_000, 1_000_000);
    let mut paths = String::new();
    for number in 0..count {
        let comma = if number == 0 { "" } else { ",\n" };
        write!(paths, "{comma}\"/{number}\":{{\"get\":{{}}}}").unwrap();
    }
    let fault = read("a.json", &with_paths(&paths))
        .map(drop)
        .unwrap_err()
        .to_string();
    assert_eq!(
        fault,
        "a.json:50001:1: there are more than 50000 operations, which is as many as a policy holds: import a part of them"
    );
}

/// Pieces of paths as people write them, and as nobody should.
const PIECES: &[&str] = &[
    "a",
    "b",
    "{x}",
    "{y}",
    "{user.id}",
    "{x}{y}",
    "{x}.json",
    "{a}...{b}",
    "v{x}",
    "{x}:go",
    "",
    ".",
    "..",
    "%2F",
    "%41",
    "%",
    "\u{e9}",
    " ",
    "?q={x}",
    "#f",
    "{+p}",
    "{p*}",
    "{",
    "}",
    "{}",
    "{n=a/*}",
    "*",
    "a;b",
    "oauth",
    "token",
    "\\",
    "\u{1}",
    "{x...}",
    "{?q}",
];

/// What might stand behind `security` or beside it.
const ASKED: &[&str] = &[
    "",
    "\"security\":[],",
    "\"security\":[{}],",
    "\"security\":[{\"k\":[]}],",
    "\"security\":[{\"o\":[\"a:read\"]}],",
    "\"security\":[{\"o\":[\"read:a\",\"b\"]},{\"o\":[\"c\"]}],",
    "\"security\":[{\"o\":[\"x\"]},{\"p\":[\"y\"]}],",
    "\"security\":7,",
    "\"x-portcullis-permission\":\"a:b\",",
    "\"x-portcullis-permission\":{\"any\":[\"a:b\",\"c:d\"]},",
    "\"x-portcullis-permission\":\"portcullis.keys:edit\",",
    "\"tags\":[\"viewer\"],",
    "\"tags\":[\"\u{e9}\", \"A b\"],",
    "\"operationId\":\"a # b\\nc: \\\"d\\\"\",",
    "\"tags\":[\"portcullis\"],",
    "\"parameters\":[{\"$ref\":\"#/x\"}],",
];

prop_compose! {
    fn operation()(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..5),
        method in prop::sample::select(&["get", "put", "head", "trace", "query"][..]),
        asked in prop::collection::vec(prop::sample::select(ASKED), 0..3),
    ) -> String {
        let path = serde_json::Value::from(format!("/{}", pieces.join("/")));
        format!("{path}:{{\"{method}\":{{{}\"x\":0}}}}", asked.concat())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(long::sized(200, 20_000)))]

    #[test]
    fn what_is_made_of_strange_pieces_compiles(operations in prop::collection::vec(operation(), 0..12)) {
        let options = Options {
            within: vec![("tenant".parse().unwrap(), "x".to_owned())],
            ..Options::default()
        };
        let imported = import("a.json", &with_paths(&operations.join(",")), &options).unwrap();
        if let Err(faults) = decided(&imported.text) {
            prop_assert!(false, "{faults}\n{}", imported.text);
        }
    }

    #[test]
    fn a_document_with_a_piece_changed_is_an_error_or_compiles(
        at in 0_usize..3_000,
        cut in 0_usize..40,
        put in prop::sample::select(&["", "\"", "{", "}", "[]", "7", "null", "\\u0000", ": ", "\n", "&a ", "*a", "\t"][..]),
        yaml in any::<bool>(),
    ) {
        let text = if yaml { SMALL.to_owned() } else { small_json() };
        let characters: Vec<char> = text.chars().collect();
        let at = at % characters.len();
        let end = (at + cut).min(characters.len());
        let (before, after) = (&characters[..at], &characters[end..]);
        let text: String = before.iter().chain(&put.chars().collect::<Vec<_>>()).chain(after).collect();
        let name = if yaml { "a.yaml" } else { "a.json" };
        if let Ok(imported) = read(name, &text)
            && let Err(faults) = decided(&imported.text)
        {
            prop_assert!(false, "{faults}\n{}", imported.text);
        }
    }
}

const SMALL: &str = "
openapi: 3.0.3
info: { title: Pets }
servers: [{ url: 'https://example.com/v1' }]
security: [{ oauth: [pets:read] }]
paths:
  /pets:
    get: { operationId: listPets, tags: [Pets] }
    post:
      operationId: addPet
      security:
        - oauth: [write_pets]
  /pets/{id}:
    parameters: [{ $ref: '#/components/parameters/id' }]
    get: { security: [{ oauth: [pets:read] }, { oauth: [pets:admin] }] }
    delete: { x-portcullis-permission: pets:destroy }
components:
  parameters: { id: { name: id, in: path, x-multi-segment: true } }
  securitySchemes:
    oauth: { type: oauth2, flows: { clientCredentials: { scopes: { 'pets:read': Look at pets } } } }
";

fn small_json() -> String {
    let value: serde_json::Value = serde_saphyr::from_str(SMALL).unwrap();
    format!("{value:#}")
}
