//! A document as a tree that is read where somebody looks.
//!
//! Of an API's description a policy needs one part in twenty, and the rest may be wrong without harm. So
//! JSON is checked as text once, and each object is opened only when it is asked for; no value is built
//! for what nobody needs, however deep it is nested. YAML cannot be opened in the middle; there the parts
//! that are never looked at are dropped while they are read.
//!
//! What a hostile document could cost is bounded: its bytes, and the entries that are opened.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::json::{self, Marks};
use super::yaml::Tree;
use crate::words::{Fault, Place};

/// Largest document, in bytes. The largest one published with all its references written out has 80 MB.
pub const DOCUMENT_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Most entries of objects and lists that are opened. Fifty thousand operations with all their parameters
/// have two million.
const ENTRIES_MAX: usize = 5_000_000;
/// How often each byte of JSON is read, on average. What is nested is read once a level, and an operation
/// is five levels down.
const READINGS_MAX: usize = 32;
/// Bytes read besides, which a small document with many references needs.
const READ_BYTES_LEAST: usize = 64 * 1024 * 1024;

/// A document.
#[derive(Debug)]
pub(super) struct Document<'d> {
    file: Arc<Path>,
    form: Form<'d>,
    opened: Cell<usize>,
    /// How many bytes of JSON may still be read.
    readable: Cell<usize>,
    indexes: RefCell<HashMap<Spot, Rc<Index<'d>>>>,
}

#[derive(Debug)]
enum Form<'d> {
    Json { text: &'d str, marks: Marks },
    Yaml(Tree),
}

/// A mapping that is looked into by key more than once.
type Index<'d> = HashMap<String, Node<'d>>;

/// A value of a document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Node<'d> {
    /// The text of the value.
    Json(&'d str),
    /// Its number in the tree.
    Yaml(usize),
}

/// Where something stands: a byte of JSON, or a node of YAML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spot(usize);

/// An entry of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Entry<'d> {
    pub(super) key: Cow<'d, str>,
    /// Where the key stands.
    pub(super) spot: Spot,
    pub(super) value: Node<'d>,
}

impl<'d> Document<'d> {
    /// Reads `text`, which is YAML if it does not begin like JSON, or if its name says so and it is not
    /// JSON.
    pub(super) fn read(file: &Arc<Path>, text: &'d str) -> Result<Self, Fault> {
        if text.len() > DOCUMENT_BYTES_MAX {
            let message = format!(
                "the document has {} bytes and the largest read is {DOCUMENT_BYTES_MAX}",
                text.len()
            );
            return Err(Fault::new(Place::whole(file.as_ref()), message));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let extension = file.extension().and_then(|it| it.to_str());
        let named_yaml = extension.is_some_and(|it| matches!(it, "yaml" | "yml"));
        let form = if text.trim_start().starts_with('{') {
            match json::check(file, text) {
                Ok(marks) => Form::Json { text, marks },
                Err(_) if named_yaml => Form::Yaml(Tree::read(file, text)?),
                Err(fault) => return Err(fault),
            }
        } else {
            Form::Yaml(Tree::read(file, text)?)
        };
        Ok(Self {
            file: Arc::clone(file),
            form,
            opened: Cell::new(0),
            readable: Cell::new(text.len().saturating_mul(READINGS_MAX) + READ_BYTES_LEAST),
            indexes: RefCell::default(),
        })
    }

    /// The whole document.
    pub(super) fn root(&self) -> Node<'d> {
        match &self.form {
            Form::Json { text, .. } => Node::Json(text.trim()),
            Form::Yaml(_) => Node::Yaml(0),
        }
    }

    /// The place of a value.
    pub(super) fn place_of(&self, node: Node<'_>) -> Place {
        self.place(self.spot(node))
    }

    /// Where a value stands.
    pub(super) fn spot(&self, node: Node<'_>) -> Spot {
        match (node, &self.form) {
            (Node::Json(value), Form::Json { text, .. }) => Spot(json::offset(text, value)),
            (Node::Yaml(number), _) => Spot(number),
            (Node::Json(_), Form::Yaml(_)) => Spot(0),
        }
    }

    /// The place that a spot is.
    pub(super) fn place(&self, spot: Spot) -> Place {
        let (line, column) = match &self.form {
            Form::Json { text, marks } => marks.line_and_column(text, spot.0),
            Form::Yaml(tree) => tree.line_and_column(spot.0),
        };
        Place {
            file: Arc::clone(&self.file),
            line,
            column,
        }
    }

    /// The whole of the document, as a place.
    pub(super) fn whole(&self) -> Place {
        Place {
            file: Arc::clone(&self.file),
            line: 0,
            column: 0,
        }
    }

    /// Says whether more was opened than a description can need; what is asked for after that is empty.
    pub(super) fn is_exhausted(&self) -> bool {
        self.opened.get() >= ENTRIES_MAX || self.readable.get() == 0
    }

    /// How many entries of `node` may be opened.
    fn left(&self, node: Node<'_>) -> usize {
        let bytes = match node {
            Node::Json(value) => value.len(),
            Node::Yaml(_) => 0,
        };
        let readable = self.readable.get().saturating_sub(bytes);
        self.readable.set(readable);
        if readable == 0 {
            return 0;
        }
        ENTRIES_MAX.saturating_sub(self.opened.get())
    }

    /// The entries of a mapping, or nothing if it is none.
    pub(super) fn entries(&self, node: Node<'d>) -> Option<Vec<Entry<'d>>> {
        let left = self.left(node);
        if left == 0 {
            return None;
        }
        let entries = match (node, &self.form) {
            (Node::Json(value), Form::Json { text, .. }) => {
                let entries = json::entries(value, left)?.into_iter();
                let entry = |(key, value): (Cow<'d, str>, &'d str)| Entry {
                    spot: Spot(match &key {
                        Cow::Borrowed(key) => json::offset(text, key).saturating_sub(1),
                        Cow::Owned(_) => json::offset(text, value),
                    }),
                    key,
                    value: Node::Json(value),
                };
                entries.map(entry).collect::<Vec<_>>()
            }
            (Node::Yaml(number), Form::Yaml(tree)) => {
                let entries = tree.entries(number, left)?.into_iter();
                let entry = |(key, value): (usize, usize)| Entry {
                    key: Cow::Owned(tree.text(key).unwrap_or_default().to_owned()),
                    spot: Spot(key),
                    value: Node::Yaml(value),
                };
                entries.map(entry).collect()
            }
            (Node::Json(_), Form::Yaml(_)) | (Node::Yaml(_), Form::Json { .. }) => return None,
        };
        self.opened.set(self.opened.get() + entries.len());
        Some(entries)
    }

    /// The items of a list, or nothing if it is none.
    pub(super) fn items(&self, node: Node<'d>) -> Option<Vec<Node<'d>>> {
        let left = self.left(node);
        if left == 0 {
            return None;
        }
        let items: Vec<_> = match (node, &self.form) {
            (Node::Json(value), _) => json::items(value, left)?
                .into_iter()
                .map(Node::Json)
                .collect(),
            (Node::Yaml(number), Form::Yaml(tree)) => {
                tree.items(number, left)?.map(Node::Yaml).collect()
            }
            (Node::Yaml(_), Form::Json { .. }) => return None,
        };
        self.opened.set(self.opened.get() + items.len());
        Some(items)
    }

    /// The text of a scalar; a number or a boolean is its own text.
    pub(super) fn text(&self, node: Node<'d>) -> Option<Cow<'d, str>> {
        match (node, &self.form) {
            (Node::Json(value), _) => json::text(value),
            (Node::Yaml(number), Form::Yaml(tree)) => {
                tree.text(number).map(|text| Cow::Owned(text.to_owned()))
            }
            (Node::Yaml(_), Form::Json { .. }) => None,
        }
    }

    /// The value of a key in a mapping that is asked for many keys: it is opened once. Of a key that
    /// stands twice the last value counts, as everywhere in JSON.
    pub(super) fn get(&self, node: Node<'d>, key: &str) -> Option<Node<'d>> {
        let spot = self.spot(node);
        let known = self.indexes.borrow().get(&spot).cloned();
        let index = match known {
            Some(index) => index,
            None => {
                let entries = self.entries(node)?.into_iter();
                let index = entries.map(|entry| (entry.key.into_owned(), entry.value));
                let index: Rc<Index<'d>> = Rc::new(index.collect());
                self.indexes.borrow_mut().insert(spot, Rc::clone(&index));
                index
            }
        };
        index.get(key).copied()
    }
}

/// The value of a key among entries; the last one counts.
pub(super) fn find<'d>(entries: &[Entry<'d>], key: &str) -> Option<Node<'d>> {
    let mut from_the_end = entries.iter().rev();
    from_the_end
        .find(|entry| entry.key == key)
        .map(|entry| entry.value)
}
