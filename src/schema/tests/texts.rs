//! Files made from the schema's own words, and the same with one thing changed.

use super::*;

/// The same choices for the same seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }
}

/// A value that `schema` takes.
pub(super) fn make(schema: &Value, dice: &mut Dice, depth: usize) -> Value {
    if let Some(words) = schema["enum"].as_array() {
        return dice.one(words).clone();
    }
    if let Some(shapes) = schema["anyOf"].as_array() {
        return make(dice.one(shapes), dice, depth);
    }
    let kinds: Vec<&str> = match schema["type"].as_array() {
        Some(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        None => schema["type"].as_str().into_iter().collect(),
    };
    match *dice.one(&kinds) {
        "null" if dice.roll(4) == 0 => Value::Null,
        "object" | "null" if kinds.contains(&"object") => make_object(schema, dice, depth),
        "null" => Value::Null,
        "array" => {
            let least = usize::from(!schema["minItems"].is_null());
            let items = 0..least + dice.roll(3);
            items
                .map(|_| make(&schema["items"], dice, depth + 1))
                .collect()
        }
        "boolean" => json!(dice.roll(2) == 0),
        "number" => json!(42),
        "integer" => {
            let least = schema["minimum"].as_u64().unwrap();
            let most = schema["maximum"].as_u64().unwrap_or(u64::MAX);
            json!(*dice.one(&[least, most, least + (most - least) / 2]))
        }
        _ => match schema["examples"].as_array() {
            Some(examples) => dice.one(examples).clone(),
            None => json!(KeyId::random().as_str()),
        },
    }
}

fn make_object(schema: &Value, dice: &mut Dice, depth: usize) -> Value {
    let mut object = Map::new();
    if let Some(names) = schema["propertyNames"]["examples"].as_array() {
        let least = usize::from(!schema["minProperties"].is_null());
        for _ in 0..least + dice.roll(3) {
            let name = dice.one(names).as_str().unwrap().to_owned();
            object.insert(name, make(&schema["additionalProperties"], dice, depth + 1));
        }
        return Value::Object(object);
    }
    let properties = schema["properties"].as_object().unwrap();
    let listed = |list: &Value, name: &str| {
        let list = list.as_array();
        list.is_some_and(|list| list.iter().any(|one| one == name))
    };
    for (name, property) in properties {
        if listed(&schema["required"], name) || dice.roll(3 + depth) == 0 {
            object.insert(name.clone(), make(property, dice, depth + 1));
        }
    }
    if let Some(alone) = schema["oneOf"].as_array() {
        let kept = dice.one(alone)["required"][0].clone();
        for other in alone.iter().filter_map(|one| one["required"][0].as_str()) {
            object.remove(other);
        }
        let kept = kept.as_str().unwrap();
        object.insert(kept.to_owned(), make(&properties[kept], dice, depth + 1));
    }
    let needs = schema["dependencies"].as_object();
    for (one, other) in needs.into_iter().flatten() {
        let Some(other) = other[0].as_str() else {
            let word = other["properties"]
                .as_object()
                .and_then(|it| it.iter().next());
            let (other, word) = word.unwrap();
            if object.contains_key(one) && object[other] != word["const"] {
                object.insert(other.clone(), word["const"].clone());
            }
            continue;
        };
        if object.contains_key(one) && !object.contains_key(other) {
            // Half of them are mended by leaving out, half by adding.
            if listed(&json!(["path", "query", "header"]), other) {
                object.remove(one);
            } else {
                object.insert(other.to_owned(), make(&properties[other], dice, depth + 1));
            }
        }
    }
    if let Some((one, is)) = schema["if"]["properties"]
        .as_object()
        .and_then(|it| it.iter().next())
        && object.get(one) == Some(&is["const"])
        && !object.contains_key(schema["then"]["required"][0].as_str().unwrap())
    {
        object.remove(one);
    }
    Value::Object(object)
}

/// How many values there are in `value`, itself among them.
pub(super) fn places(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(places).sum(),
        Value::Object(entries) => entries.values().map(places).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Changes the value at `place`, counted from the root on.
pub(super) fn change(value: &mut Value, place: &mut usize, in_list: bool, dice: &mut Dice) {
    if *place == 0 {
        *place = usize::MAX;
        spoil(value, in_list, dice);
        return;
    }
    *place -= 1;
    match value {
        Value::Array(items) => {
            for item in items {
                if *place != usize::MAX {
                    change(item, place, true, dice);
                }
            }
        }
        Value::Object(entries) => {
            for entry in entries.values_mut() {
                if *place != usize::MAX {
                    change(entry, place, false, dice);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Makes something nearly good of `value`.
fn spoil(value: &mut Value, in_list: bool, dice: &mut Dice) {
    let other = [
        json!("w o"),
        json!(42),
        json!(-1),
        json!(true),
        json!([]),
        json!({}),
        json!(["x"]),
        json!({ "x": "y" }),
        if in_list { json!("") } else { Value::Null },
    ];
    match value {
        Value::Object(entries) => match dice.roll(4) {
            0 => {
                entries.insert("descripton".to_owned(), json!("x"));
            }
            1 if !entries.is_empty() => {
                let keys: Vec<_> = entries.keys().cloned().collect();
                entries.remove(dice.one(&keys));
            }
            2 if !entries.is_empty() => {
                let keys: Vec<_> = entries.keys().cloned().collect();
                let key = dice.one(&keys);
                let moved = entries.remove(key).unwrap();
                entries.insert(misspelt(key, dice), moved);
            }
            _ => *value = dice.one(&other).clone(),
        },
        Value::Array(items) if dice.roll(3) == 0 => items.clear(),
        // How a span may be written besides is for the reader to say, editors know the usual way; and
        // whether a key's checksum holds is nothing they can tell.
        Value::String(text) if !is_special(text) && dice.roll(3) > 0 => {
            *text = misspelt(text, dice);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::String(_) => {
            *value = dice.one(&other).clone();
        }
    }
}

fn is_special(text: &str) -> bool {
    ["250ms", "30s", "15m", "1h 30m"].contains(&text) || text.starts_with("pck_")
}

/// `text` with one character more, less, or another.
pub(super) fn misspelt(text: &str, dice: &mut Dice) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let mut new: Vec<char> = (' '..='~').collect();
    new.extend(['é', '\u{1}', '/', '{', '}', '.', ':']);
    let new = *dice.one(&new);
    let place = dice.roll(characters.len() + 1);
    match dice.roll(3) {
        0 if place < characters.len() => characters[place] = new,
        1 if place < characters.len() => drop(characters.remove(place)),
        _ => characters.insert(place, new),
    }
    characters.into_iter().collect()
}

/// `value` as YAML in which every text is quoted, so that no reader takes it for anything else.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(written).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) => {
            let entry =
                |(key, value): (&String, &Value)| format!("{}: {}", json!(key), written(value));
            let entries: Vec<_> = entries.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}
