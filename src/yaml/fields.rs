//! Walking the tree: each method returns what was asked for, or adds a fault that says what was
//! expected and returns nothing.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use super::shape::{Keys, Shape, words};
use super::{Key, Node, Value, quoted};
use crate::words::{Fault, Faults, Place, nearest};

/// The entries of a mapping whose keys are known words.
#[derive(Debug)]
pub struct Fields<'n> {
    /// Where the mapping starts.
    pub place: &'n Place,
    entries: &'n [(Key, Node)],
    keys: &'static Keys,
}

impl<'n> Fields<'n> {
    /// Reads `node` as a mapping with `keys`.
    pub fn of(node: &'n Node, keys: &'static Keys, faults: &mut Faults) -> Option<Self> {
        let entries = node.entries(keys.what, faults)?;
        for (key, _) in entries {
            let word = key.text.as_str();
            if keys.later.contains(&word) {
                let message = format!("`{word}` is not in this release: remove it");
                faults.push(Fault::new(key.place.clone(), message));
            } else if !keys.has(word) {
                let near = nearest(word, keys.words());
                let near = if near.is_empty() {
                    let words: Vec<_> = keys.words().collect();
                    format!(": expected {}", one_of(&words))
                } else {
                    near
                };
                let message = format!("{} is not a key of {}{near}", quoted(word), keys.what);
                faults.push(Fault::new(key.place.clone(), message));
            }
        }
        Some(Self {
            place: &node.place,
            entries,
            keys,
        })
    }

    /// The value of `name`, if the key stands there.
    pub fn get(&self, name: &str) -> Option<&'n Node> {
        debug_assert!(self.keys.has(name), "`{name}` is read and not a key");
        self.entries
            .iter()
            .find(|(key, _)| key.text == name)
            .map(|(_, node)| node)
    }

    /// `true` or `false` at `name`.
    pub fn boolean(&self, name: &str, faults: &mut Faults) -> Option<bool> {
        let node = self.get(name)?;
        let Some(Shape::Boolean) = self.shape(name) else {
            return unread(name, node, faults);
        };
        node.boolean(faults)
    }

    /// One of a few words at `name`.
    pub fn choice<T: Copy>(
        &self,
        name: &str,
        choices: &[(&'static str, T)],
        faults: &mut Faults,
    ) -> Option<T> {
        let node = self.get(name)?;
        let Some(Shape::Choice(known)) = self.shape(name) else {
            return unread(name, node, faults);
        };
        debug_assert_eq!(known(), words(choices), "the choices of `{name}`");
        node.choice(choices, faults)
    }

    /// The whole number at `name`, within its bounds.
    pub fn number(&self, name: &str, faults: &mut Faults) -> Option<u64> {
        let node = self.get(name)?;
        let Some(Shape::Number { least, most }) = self.shape(name) else {
            return unread(name, node, faults);
        };
        node.number(least, most, faults)
    }

    /// The same, as what things in memory are counted with.
    pub fn count(&self, name: &str, faults: &mut Faults) -> Option<usize> {
        usize::try_from(self.number(name, faults)?).ok()
    }

    /// The span of time at `name`, within its bounds.
    pub fn duration(&self, name: &str, faults: &mut Faults) -> Option<Duration> {
        let node = self.get(name)?;
        let Some(Shape::Span { least, most }) = self.shape(name) else {
            return unread(name, node, faults);
        };
        node.duration(least, most, faults)
    }

    fn shape(&self, name: &str) -> Option<Shape> {
        let known = self.keys.known.iter().find(|known| known.name == name);
        known.map(|known| known.shape)
    }
}

/// What is asked for is not what the table says. A slip of ours; a setting that is there must not be
/// passed over for it.
fn unread<T>(name: &str, node: &Node, faults: &mut Faults) -> Option<T> {
    debug_assert!(false, "`{name}` is read as what it is not");
    let message = format!("`{name}` cannot be read: this is a mistake of ours, please report it");
    faults.push(Fault::new(node.place.clone(), message));
    None
}

impl Node {
    /// The entries of a mapping; `key:` without a value is one without entries.
    pub fn entries(&self, what: &str, faults: &mut Faults) -> Option<&[(Key, Self)]> {
        match &self.value {
            Value::Mapping(entries) => Some(entries),
            Value::Nothing => Some(&[]),
            Value::Scalar(_) | Value::List(_) => {
                self.expected(&format!("{what} as a mapping, `key: value`"), faults)
            }
        }
    }

    /// The items of a list; `key:` without a value is not one.
    pub fn list(&self, what: &str, faults: &mut Faults) -> Option<&[Self]> {
        match &self.value {
            Value::List(nodes) => Some(nodes),
            Value::Nothing | Value::Scalar(_) | Value::Mapping(_) => {
                self.expected(&format!("{what} as a list, `[…]`"), faults)
            }
        }
    }

    /// The items of a list that says something: an empty one would read as "none", and be taken for
    /// "any" by whoever gets it.
    pub fn filled_list(&self, what: &str, faults: &mut Faults) -> Option<&[Self]> {
        let items = self.list(what, faults)?;
        if items.is_empty() {
            let message = format!("the list is empty: name {what}, or leave the key out");
            faults.push(Fault::new(self.place.clone(), message));
            return None;
        }
        Some(items)
    }

    /// The text of a scalar, as written.
    pub fn text(&self, what: &str, faults: &mut Faults) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            Value::Nothing | Value::List(_) | Value::Mapping(_) => self.expected(what, faults),
        }
    }

    /// A word with a rule of its own; its error is the fault.
    pub fn word<T>(&self, what: &str, faults: &mut Faults) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let text = self.text(what, faults)?;
        match text.parse() {
            Ok(word) => Some(word),
            Err(error) => {
                faults.push(Fault::new(self.place.clone(), error.to_string()));
                None
            }
        }
    }

    /// `true` or `false`, and nothing else: `yes` is a word in some tongues.
    pub fn boolean(&self, faults: &mut Faults) -> Option<bool> {
        self.choice(&[("true", true), ("false", false)], faults)
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)], faults: &mut Faults) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let text = self.text(&one_of(&words), faults)?;
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let near = nearest(text, words.iter().copied());
            let message = format!("{} is not {}{near}", quoted(text), one_of(&words));
            faults.push(Fault::new(self.place.clone(), message));
        }
        found.map(|(_, value)| *value)
    }

    /// A whole number between `least` and `most`.
    pub fn number(&self, least: u64, most: u64, faults: &mut Faults) -> Option<u64> {
        let expected = format!("a whole number from {least} to {most}");
        let text = self.text(&expected, faults)?;
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text
            .parse()
            .ok()
            .filter(|n| plain && (least..=most).contains(n));
        if number.is_none() {
            let message = format!("{} is not {expected}", quoted(text));
            faults.push(Fault::new(self.place.clone(), message));
        }
        number
    }

    /// A span of time such as `250ms`, `30s`, `15m`, between `least` and `most`.
    pub fn duration(
        &self,
        least: Duration,
        most: Duration,
        faults: &mut Faults,
    ) -> Option<Duration> {
        let text = self.text("a span of time such as `30s`", faults)?;
        let message = match humantime::parse_duration(text) {
            Ok(span) if (least..=most).contains(&span) => return Some(span),
            Ok(_) => format!(
                "{} is not between {} and {}",
                quoted(text),
                humantime::format_duration(least),
                humantime::format_duration(most)
            ),
            Err(_) => format!(
                "{} is not a span of time: expected a number and a unit, such as `250ms`, `30s` or `15m`",
                quoted(text)
            ),
        };
        faults.push(Fault::new(self.place.clone(), message));
        None
    }

    /// A list of networks that is not empty; an address alone is the network of that address.
    pub fn networks(&self, faults: &mut Faults) -> Vec<IpNet> {
        let Some(items) = self.filled_list("networks such as `10.0.0.0/8`", faults) else {
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| item.network(faults))
            .collect()
    }

    /// One network, as `10.0.0.0/8`, or one address.
    fn network(&self, faults: &mut Faults) -> Option<IpNet> {
        let expected = "a network or an address, such as `10.0.0.0/8`";
        let text = self.text(expected, faults)?;
        let network = text.parse::<IpNet>().ok();
        let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let message = match network {
            Some(network) if network.trunc() == network => return Some(network),
            Some(network) => format!(
                "{} has bits beyond its prefix, did you mean `{}`?",
                quoted(text),
                network.trunc()
            ),
            None => format!("{} is not {expected}", quoted(text)),
        };
        faults.push(Fault::new(self.place.clone(), message));
        None
    }

    /// Adds the fault that something else was expected here.
    pub fn expected<T>(&self, what: &str, faults: &mut Faults) -> Option<T> {
        let found = match &self.value {
            Value::Scalar(text) => quoted(text).to_string(),
            Value::Nothing => "nothing".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        };
        let message = format!("expected {what}, found {found}");
        faults.push(Fault::new(self.place.clone(), message));
        None
    }
}

/// `` `a`, `b` or `c` ``.
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
