//! Text of the data as bytes: a character up to U+00FF is the byte of that number, and what stands
//! between `<<` and `>>` is filled in.

use serde_json::Value;

/// Fills in the values of a case, `<<each>>` and `<<other>>`, wherever they stand.
pub(super) fn filled(value: &Value, values: &[(&str, &String)]) -> Value {
    match value {
        Value::String(text) => {
            let mut text = text.clone();
            for (name, value) in values {
                text = text.replace(&format!("<<{name}>>"), value);
            }
            Value::String(text)
        }
        Value::Array(items) => items.iter().map(|item| filled(item, values)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            Value::Object(
                fields
                    .map(|(key, item)| (key.clone(), filled(item, values)))
                    .collect(),
            )
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The bytes of a text: `<<a*8000>>` is 8,000 times `a`, and any other name is looked up.
pub(super) fn bytes(text: &str, look_up: &dyn Fn(&str) -> Option<String>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<<") {
        let (name, after) = after
            .split_once(">>")
            .unwrap_or_else(|| panic!("`<<` without `>>` in {text:?}"));
        push(&mut bytes, before);
        match name
            .rsplit_once('*')
            .and_then(|(what, count)| Some((what, count.parse().ok()?)))
        {
            Some((what, count)) => {
                let mut one = Vec::new();
                push(&mut one, what);
                bytes.extend(one.repeat(count));
            }
            None => push(
                &mut bytes,
                &look_up(name).unwrap_or_else(|| panic!("nobody knows <<{name}>>")),
            ),
        }
        rest = after;
    }
    push(&mut bytes, rest);
    bytes
}

fn push(bytes: &mut Vec<u8>, text: &str) {
    let byte = |character| {
        u8::try_from(u32::from(character)).unwrap_or_else(|_| {
            panic!("`{character}` is no byte: write those of its UTF-8, each as \\xNN")
        })
    };
    bytes.extend(text.chars().map(byte));
}

#[test]
fn a_text_stands_for_its_bytes() {
    let known = |name: &str| (name == "who").then(|| "me".to_owned());
    assert_eq!(
        bytes("a\u{e9}<<x*3>>-<<\r\n*2>>", &known),
        b"a\xe9xxx-\r\n\r\n"
    );
    assert_eq!(bytes("<<who>>", &known), b"me");
    let value = serde_json::json!({ "a": ["<<each>>!", 1], "b": null });
    let each = "x".to_owned();
    assert_eq!(
        filled(&value, &[("each", &each)]),
        serde_json::json!({ "a": ["x!", 1], "b": null })
    );
}
