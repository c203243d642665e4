//! What editors help with: JSON Schema, draft-07, of the two kinds of files people write.
//!
//! Draft-07, because the YAML language server and the editors of `JetBrains` read no later one well. It is
//! made from the tables that the readers of the files read by ([`crate::yaml::shape`]), so it knows no key,
//! bound or choice that they do not know.
//!
//! Where a string is due our readers take a scalar's source text, so a name may be `42`; an editor has
//! made a number of that before it looks at a schema. Such places allow numbers too. What no schema
//! can see stays with `portcullis check`: names that nobody declared, what one key has to do with another file, bounds
//! on spans of time (the text says them). The tests list it.

use serde_json::{Map, Value, json};

use crate::yaml::shape::{Keys, Known, Preset, Rule, Scalars, Shape, Word};
use crate::{policy, settings};

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `portcullis.yaml`.
    Settings,
    /// A file of a policy folder.
    Policy,
}

impl Kind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Settings, Self::Policy];

    /// What its schema's file is called.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Settings => "portcullis.schema.json",
            Self::Policy => "policy.schema.json",
        }
    }

    /// Its schema.
    pub fn schema(self) -> Value {
        let (keys, title, about): (&Keys, &str, &str) = match self {
            Self::Settings => (
                &settings::KEYS,
                "portcullis.yaml",
                "How Portcullis runs. Read at start; `portcullis check` proves it.",
            ),
            Self::Policy => (
                &policy::FILE_KEYS,
                "a policy file of Portcullis",
                "Who may do what. Every *.yaml of the policy folder; what one file defines, all may use.",
            ),
        };
        let head = [
            ("$schema", json!("http://json-schema.org/draft-07/schema#")),
            ("title", json!(title)),
            ("description", json!(about)),
        ];
        let head = head.into_iter().map(|(key, value)| (key.to_owned(), value));
        let mut schema: Map<_, _> = head.collect();
        schema.extend(mapping(keys, true));
        Value::Object(schema)
    }

    /// Its schema as the text of a file.
    pub fn text(self) -> String {
        format!("{:#}\n", self.schema())
    }
}

/// What may stand at a key.
fn property(known: &Known) -> Value {
    let mut schema = shape(&known.shape, true);
    let mut about = known.about.to_owned();
    if let Shape::Span { least, most } = known.shape {
        let (least, most) = (
            humantime::format_duration(least),
            humantime::format_duration(most),
        );
        about.push_str(&format!(" From {least} to {most}."));
    }
    if let Some(preset) = known.preset {
        let value = match preset {
            Preset::Boolean(value) => json!(value),
            Preset::Number(value) => json!(value),
            Preset::Span(value) => json!(humantime::format_duration(value).to_string()),
            Preset::Word(value) => json!(value),
            Preset::Address(value) => json!(value.to_string()),
        };
        let shown = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        about.push_str(&format!(" Default: {shown}."));
        schema.insert("default".to_owned(), value);
    }
    schema.insert("description".to_owned(), json!(about));
    Value::Object(schema)
}

/// The schema of a value. `bare` says whether `key:` without a value may stand for a mapping without
/// entries.
fn shape(shape: &Shape, bare: bool) -> Map<String, Value> {
    let schema = match shape {
        Shape::Text(word) => text(word),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Choice(words) => json!({ "type": "string", "enum": words() }),
        Shape::Number {
            least,
            most: u64::MAX,
        } => json!({ "type": "integer", "minimum": least }),
        Shape::Number { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::Span { .. } => {
            json!({ "type": "string", "pattern": SPAN, "examples": ["250ms", "30s", "15m", "1h 30m"] })
        }
        Shape::List { of, filled } => {
            let mut list = json!({ "type": "array", "items": self::shape(of, true) });
            if *filled && let Some(list) = list.as_object_mut() {
                list.insert("minItems".to_owned(), json!(1));
            }
            list
        }
        Shape::Keys(keys) => Value::Object(mapping(keys, bare)),
        Shape::Names { name, of, filled } => names(name, of, *filled, bare),
        Shape::Nothing => json!({ "type": "null" }),
        Shape::Either(shapes) => {
            let shapes: Vec<_> = shapes.iter().map(|one| self::shape(one, false)).collect();
            json!({ "anyOf": shapes })
        }
    };
    match schema {
        Value::Object(schema) => schema,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

/// A span of time: numbers and units.
const SPAN: &str = "^(?:[0-9]+(?:\\.[0-9]+)? ?(?:ns|nsec|us|usec|ms|msec|s|sec|second|seconds|m|min|minute|minutes|h|hr|hour|hours|d|day|days|w|week|weeks) ?)+$";

fn text(word: &Word) -> Value {
    let mut schema = Map::new();
    let kind = match word.scalars {
        Scalars::Text => json!("string"),
        Scalars::Any | Scalars::NotNegative => json!(["string", "number", "boolean"]),
    };
    schema.insert("type".to_owned(), kind);
    if word.scalars == Scalars::NotNegative {
        schema.insert("minimum".to_owned(), json!(0));
    }
    schema.insert("title".to_owned(), json!(word.what));
    said(word, &mut schema);
    Value::Object(schema)
}

/// The rule of `word`, and its examples.
fn said(word: &Word, schema: &mut Map<String, Value>) {
    if let Some(pattern) = word.pattern {
        schema.insert("pattern".to_owned(), json!(format!("^(?:{})$", pattern())));
    }
    if !word.examples.is_empty() {
        schema.insert("examples".to_owned(), json!(word.examples));
    }
}

/// The kind of a mapping; one that need not say anything may be left empty.
fn mapping_type(may_be_nothing: bool) -> Value {
    if may_be_nothing {
        json!(["object", "null"])
    } else {
        json!("object")
    }
}

fn names(name: &Word, of: &Shape, filled: bool, bare: bool) -> Value {
    let mut rule = Map::new();
    said(name, &mut rule);
    let mut schema = Map::new();
    schema.insert("type".to_owned(), mapping_type(bare && !filled));
    schema.insert("propertyNames".to_owned(), Value::Object(rule));
    let value = Value::Object(shape(of, true));
    schema.insert("additionalProperties".to_owned(), value);
    if filled {
        schema.insert("minProperties".to_owned(), json!(1));
    }
    Value::Object(schema)
}

fn mapping(keys: &Keys, bare: bool) -> Map<String, Value> {
    let mut schema = Map::new();
    let required: Vec<_> = keys.known.iter().filter(|known| known.required).collect();
    let chosen = keys.rules.iter().any(|rule| matches!(rule, Rule::OneOf(_)));
    let may_be_nothing = bare && required.is_empty() && !chosen;
    schema.insert("type".to_owned(), mapping_type(may_be_nothing));
    let properties = keys.known.iter();
    let properties: Map<_, _> = properties
        .map(|known| (known.name.to_owned(), property(known)))
        .collect();
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("additionalProperties".to_owned(), json!(false));
    if !required.is_empty() {
        let names: Vec<_> = required.iter().map(|known| known.name).collect();
        schema.insert("required".to_owned(), json!(names));
    }
    let mut needs = Map::new();
    for rule in keys.rules {
        match rule {
            Rule::Needs(one, other) => {
                needs.insert((*one).to_owned(), json!([other]));
            }
            Rule::TrueNeeds(one, other) => {
                let is_true =
                    json!({ "properties": { *one: { "const": true } }, "required": [one] });
                schema.insert("if".to_owned(), is_true);
                schema.insert("then".to_owned(), json!({ "required": [other] }));
            }
            Rule::Only(one, other, word) => {
                let is_word = json!({ "properties": { *other: { "const": word } } });
                needs.insert((*one).to_owned(), is_word);
            }
            Rule::OneOf(names) => {
                let alone = names.iter().map(|name| json!({ "required": [name] }));
                schema.insert("oneOf".to_owned(), alone.collect());
            }
        }
    }
    if !needs.is_empty() {
        schema.insert("dependencies".to_owned(), Value::Object(needs));
    }
    schema
}

#[cfg(test)]
mod tests;
