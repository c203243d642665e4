//! Writes a JSON value as YAML, for `-o yaml`.
//!
//! Minimal on purpose: block style, and a string stands without quotes only when no reader of any
//! YAML version could take it for something else. In doubt it is quoted, and what is quoted is
//! written in ASCII escapes wherever a character is not plainly printable.

use std::fmt::Write as _;

use serde_json::Value;

/// Words that some reader of YAML 1.1 or 1.2 takes for a boolean or a null.
const RESERVED: &[&str] = &[
    "null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf",
];

/// `value` as one YAML document, with a newline at its end.
pub(super) fn to_string(value: &Value) -> String {
    let mut text = String::new();
    if is_block(value) {
        block(&mut text, value, 0, Start::OwnLine);
    } else {
        inline(&mut text, value);
        text.push('\n');
    }
    text
}

/// Where the first line of a block goes.
#[derive(Clone, Copy)]
enum Start {
    /// On a line of its own.
    OwnLine,
    /// Behind the dash of a list item.
    BehindDash,
}

/// Says whether a value takes lines of its own: a mapping or a list with something in it.
fn is_block(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn block(text: &mut String, value: &Value, indent: usize, start: Start) {
    let mut start = start;
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                begin_line(text, indent, &mut start);
                scalar(text, key);
                text.push(':');
                child(text, value, indent + 2);
            }
        }
        Value::Array(items) => {
            for item in items {
                begin_line(text, indent, &mut start);
                text.push('-');
                if is_block(item) {
                    text.push(' ');
                    block(text, item, indent + 2, Start::BehindDash);
                } else {
                    child(text, item, indent);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => inline(text, value),
    }
}

fn begin_line(text: &mut String, indent: usize, start: &mut Start) {
    match start {
        Start::OwnLine => text.extend(std::iter::repeat_n(' ', indent)),
        Start::BehindDash => *start = Start::OwnLine,
    }
}

/// What stands behind `key:` or `-`.
fn child(text: &mut String, value: &Value, indent: usize) {
    if is_block(value) {
        text.push('\n');
        block(text, value, indent, Start::OwnLine);
    } else {
        text.push(' ');
        inline(text, value);
        text.push('\n');
    }
}

fn inline(text: &mut String, value: &Value) {
    match value {
        Value::String(string) => scalar(text, string),
        // JSON's own spelling of these is YAML.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            text.push_str(&value.to_string());
        }
    }
}

fn scalar(text: &mut String, string: &str) {
    if is_plain(string) {
        text.push_str(string);
        return;
    }
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            ' '..='~' => text.push(character),
            character if character.is_alphanumeric() => text.push(character),
            character => escape(text, character),
        }
    }
    text.push('"');
}

fn escape(text: &mut String, character: char) {
    let code = u32::from(character);
    let written = if code <= 0xffff {
        write!(text, "\\u{code:04x}")
    } else {
        write!(text, "\\U{code:08x}")
    };
    written.expect("a string takes everything");
}

/// Says whether a string may stand without quotes: it starts with a letter, goes on with letters,
/// digits, `_`, `-`, `.`, `/` and single spaces between them, and is no reserved word.
fn is_plain(string: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ');
    string.starts_with(|c: char| c.is_ascii_alphabetic())
        && !string.ends_with(' ')
        && string.chars().all(inner)
        && !RESERVED
            .iter()
            .any(|word| word.eq_ignore_ascii_case(string))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read_back(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn it_looks_as_a_person_would_write_it() {
        let value = json!({
            "name": "ci",
            "description": "Builds: all",
            "enabled": true,
            "grants": [{"role": "operator", "within": {"tenant": ["acme", "042"]}}, {"role": "x", "within": {}}],
            "allow_from": [],
            "last_used_at": null,
        });
        insta::assert_snapshot!(to_string(&value), @r#"
        name: ci
        description: "Builds: all"
        enabled: true
        grants:
          - role: operator
            within:
              tenant:
                - acme
                - "042"
          - role: x
            within: {}
        allow_from: []
        last_used_at: null
        "#);
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_quoted() {
        for text in [
            "",
            "no",
            "Yes",
            "NULL",
            "~",
            "042",
            "1e3",
            ".inf",
            "- a",
            "a: b",
            "a #b",
            "&a",
            "*a",
            "!a",
            "a ",
            " a",
            "\n",
            "\u{1b}[2J",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "é",
            "2026-11-21",
            "devices:view",
            "=",
            "<<",
            "%a",
            "@a",
            "`a`",
            "{a}",
            "[a]",
            "a,b",
            "---",
            "...",
            "|",
            ">",
            "?",
        ] {
            let written = to_string(&json!({ text: [text] }));
            assert_eq!(read_back(&written), json!({ text: [text] }), "{written}");
        }
    }

    /// Pieces that have a meaning in YAML rather than letters, which have none.
    const PIECES: [&str; 16] = [
        "a",
        "no",
        " ",
        "\n",
        ":",
        "#",
        "-",
        "\"",
        "'",
        "\\",
        "{",
        "0",
        "\u{1b}",
        "\u{2029}",
        "é",
        "\u{1f600}",
    ];

    fn strings() -> impl Strategy<Value = String> {
        proptest::collection::vec(proptest::sample::select(PIECES.as_slice()), 0..5)
            .prop_map(|pieces| pieces.concat())
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            strings().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((strings(), inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_written_reads_back_the_same(value in values()) {
            let written = to_string(&value);
            prop_assert_eq!(read_back(&written), value, "{}", written);
        }
    }
}
