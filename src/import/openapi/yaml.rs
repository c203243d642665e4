//! A YAML document as a tree of what may be looked at.
//!
//! Unlike our own files a description may have anchors, aliases and merge keys; an alias is a second way
//! to a node, so a document full of them is no larger for it. Responses, schemas and bodies are dropped
//! while they are read: they are most of the document, and nothing in them says who may do what.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use granit_parser::{Event, Marker, Parser, Span};

use crate::words::{Fault, Place};

/// Deepest nesting. Schemas written out in place go thirty levels down.
const DEPTH_MAX: usize = 200;
/// Most values that are kept: eight times what the largest published description keeps.
const NODES_MAX: usize = 4_000_000;
/// Most mappings that are merged into one.
const MERGES_MAX: usize = 32;

/// The tree; its root is number 0.
#[derive(Debug)]
pub(super) struct Tree(Vec<Item>);

#[derive(Debug)]
struct Item {
    line: u32,
    column: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Scalar(Box<str>),
    List(Vec<usize>),
    Mapping(Vec<(usize, usize)>),
    Alias(usize),
    /// Dropped, or an alias of something dropped.
    Nothing,
}

impl Tree {
    pub(super) fn read(file: &Arc<Path>, text: &str) -> Result<Self, Fault> {
        let mut builder = Builder::default();
        let options = granit_parser::options! {
            emit_unresolved_aliases: true,
            emit_comments: false,
            flow_nesting_limit: DEPTH_MAX,
            block_nesting_limit: DEPTH_MAX,
        };
        let place = |marker: &Marker| Place {
            file: Arc::clone(file),
            line: marker.line(),
            column: marker.col() + 1,
        };
        for event in Parser::new_from_str_with_options(text, options) {
            match event {
                Ok((Event::DocumentEnd, _)) => break, // one document is one description
                Ok((event, span)) => builder.take(event, &span),
                Err(error) => {
                    let message = format!("this is not YAML: {}", error.info());
                    return Err(Fault::new(place(error.marker()), message));
                }
            }
            if builder.items.len() > NODES_MAX {
                let message =
                    format!("more than {NODES_MAX} values: this is no description of an API");
                return Err(Fault::new(Place::whole(file.as_ref()), message));
            }
        }
        if builder.items.is_empty() {
            return Err(Fault::new(
                Place::whole(file.as_ref()),
                "the document is empty",
            ));
        }
        Ok(Self(builder.items))
    }

    pub(super) fn line_and_column(&self, number: usize) -> (usize, usize) {
        let number_of = |it: u32| usize::try_from(it).unwrap_or(usize::MAX);
        let item = self.0.get(number);
        item.map_or((0, 0), |it| (number_of(it.line), number_of(it.column)))
    }

    pub(super) fn text(&self, number: usize) -> Option<&str> {
        match &self.follow(number)?.kind {
            Kind::Scalar(text) => Some(text),
            Kind::List(_) | Kind::Mapping(_) | Kind::Alias(_) | Kind::Nothing => None,
        }
    }

    pub(super) fn items(&self, number: usize, most: usize) -> Option<impl Iterator<Item = usize>> {
        match &self.follow(number)?.kind {
            Kind::List(items) => Some(items.iter().copied().take(most)),
            Kind::Scalar(_) | Kind::Mapping(_) | Kind::Alias(_) | Kind::Nothing => None,
        }
    }

    /// The entries of a mapping, at most `most`; those it merges come before its own.
    pub(super) fn entries(&self, number: usize, most: usize) -> Option<Vec<(usize, usize)>> {
        let mut merged = Merged {
            most,
            seen: Vec::new(),
            entries: Vec::new(),
        };
        self.merge(number, &mut merged)?;
        Some(merged.entries)
    }

    /// Of a key that stands twice the last value counts, so a mapping's own win over what it merges.
    fn merge(&self, number: usize, merged: &mut Merged) -> Option<()> {
        let number = self.followed(number);
        let Kind::Mapping(own) = &self.0.get(number)?.kind else {
            return None;
        };
        // Merge keys can lead into each other, and into the same mapping again and again.
        if merged.seen.contains(&number) || merged.seen.len() > MERGES_MAX {
            return Some(());
        }
        merged.seen.push(number);
        let is_merge = |(key, _): &&(usize, usize)| self.text(*key) == Some("<<");
        for (_, from) in own.iter().filter(is_merge) {
            if self.merge(*from, merged).is_none() {
                let several = self.items(*from, MERGES_MAX).into_iter().flatten();
                for one in several {
                    self.merge(one, merged);
                }
            }
        }
        let left = merged.most.saturating_sub(merged.entries.len());
        let own = own.iter().filter(|entry| !is_merge(entry)).take(left);
        merged.entries.extend(own.copied());
        Some(())
    }

    /// The item itself, or what an alias stands for.
    fn follow(&self, number: usize) -> Option<&Item> {
        self.0.get(self.followed(number))
    }

    fn followed(&self, number: usize) -> usize {
        match self.0.get(number).map(|item| &item.kind) {
            Some(Kind::Alias(other)) => *other,
            Some(Kind::Scalar(_) | Kind::List(_) | Kind::Mapping(_) | Kind::Nothing) | None => {
                number
            }
        }
    }
}

/// The entries of a mapping, as they are gathered.
struct Merged {
    most: usize,
    /// The mappings that are in it.
    seen: Vec<usize>,
    entries: Vec<(usize, usize)>,
}

#[derive(Default)]
struct Builder {
    items: Vec<Item>,
    /// The containers that have not ended, and in a mapping the key whose value comes next.
    open: Vec<(usize, Option<usize>)>,
    anchors: HashMap<usize, usize>,
    /// How deep we are in something that is dropped.
    dropping: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: &Span) {
        let (kind, anchor, opens) = match event {
            Event::Scalar(text, _, anchor, _) => (
                Kind::Scalar(text.into_owned().into_boxed_str()),
                anchor,
                false,
            ),
            Event::SequenceStart(_, anchor, _) => (Kind::List(Vec::new()), anchor, true),
            Event::MappingStart(_, anchor, _) => (Kind::Mapping(Vec::new()), anchor, true),
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).copied();
                (known.map_or(Kind::Nothing, Kind::Alias), 0, false)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if self.dropping > 0 {
                    self.dropping -= 1;
                } else {
                    self.open.pop();
                }
                return;
            }
            Event::UnresolvedAlias(_) => (Kind::Nothing, 0, false),
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Anchor(..) => return,
            // Whatever the parser may learn to tell of besides, it is no value.
            _ => return,
        };
        if self.dropping > 0 {
            self.dropping += usize::from(opens);
            return;
        }
        let dropped = opens && self.is_of_no_use();
        let number = self.items.len();
        self.items.push(Item {
            line: u32::try_from(span.start.line()).unwrap_or(u32::MAX),
            column: u32::try_from(span.start.col() + 1).unwrap_or(u32::MAX),
            kind: if dropped { Kind::Nothing } else { kind },
        });
        if anchor != 0 {
            self.anchors.insert(anchor, number);
        }
        self.hang(number);
        if dropped {
            self.dropping = 1;
        } else if opens {
            self.open.push((number, None));
        }
    }

    /// Puts a value where it belongs.
    fn hang(&mut self, number: usize) {
        let Some((parent, key)) = self.open.last_mut() else {
            return;
        };
        match self.items.get_mut(*parent).map(|item| &mut item.kind) {
            Some(Kind::List(items)) => items.push(number),
            Some(Kind::Mapping(entries)) => match key.take() {
                Some(key) => entries.push((key, number)),
                None => *key = Some(number),
            },
            Some(Kind::Scalar(_) | Kind::Alias(_) | Kind::Nothing) | None => {}
        }
    }

    /// Says whether the value that comes next is never looked at.
    fn is_of_no_use(&self) -> bool {
        let key = |level: usize| {
            let (parent, pending) = self.open.get(level)?;
            // Further out the value is already hung up behind its key.
            let hung = match &self.items.get(*parent)?.kind {
                Kind::Mapping(entries) => entries.last().map(|(key, _)| *key),
                Kind::List(_) | Kind::Scalar(_) | Kind::Alias(_) | Kind::Nothing => None,
            };
            match &self.items.get(pending.or(hung)?)?.kind {
                Kind::Scalar(text) => Some(&**text),
                Kind::List(_) | Kind::Mapping(_) | Kind::Alias(_) | Kind::Nothing => None,
            }
        };
        match (self.open.len(), key(0)) {
            (1, Some(top)) => matches!(top, "definitions" | "responses" | "webhooks" | "tags"),
            (2, Some("components")) => matches!(
                key(1),
                Some(
                    "schemas"
                        | "responses"
                        | "examples"
                        | "requestBodies"
                        | "headers"
                        | "links"
                        | "callbacks"
                )
            ),
            (4, Some("paths")) => {
                matches!(
                    key(3),
                    Some("responses" | "requestBody" | "callbacks" | "x-codeSamples")
                )
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree {
        Tree::read(&Arc::from(Path::new("a.yaml")), text).unwrap()
    }

    fn entries(tree: &Tree, number: usize) -> Vec<(String, usize)> {
        let entries = tree.entries(number, 100).unwrap().into_iter();
        let named = |(key, value)| (tree.text(key).unwrap().to_owned(), value);
        entries.map(named).collect()
    }

    #[test]
    fn aliases_and_merge_keys_are_other_ways_to_the_same() {
        let tree = tree(
            "a: &a { x: 1, y: 2 }\nb: { <<: *a, y: 3 }\nc: *a\nd: &d [*d]\ne: &e { <<: *e }\n",
        );
        let top = entries(&tree, 0);
        let of = |place: usize| -> Vec<String> {
            let text =
                |(key, value): (String, usize)| format!("{key}={}", tree.text(value).unwrap());
            entries(&tree, top[place].1).into_iter().map(text).collect()
        };
        assert_eq!(of(1), ["x=1", "y=2", "y=3"]);
        assert_eq!(of(2), ["x=1", "y=2"]);
        assert_eq!(of(4), [""; 0]);
        assert_eq!(tree.items(top[3].1, 10).unwrap().count(), 1);
    }

    #[test]
    fn what_is_never_looked_at_is_dropped() {
        let tree = tree(
            "paths:\n  /a:\n    get:\n      responses: { a: 1 }\n      x: { b: 2 }\ncomponents: { schemas: { c: 3 }, parameters: { schemas: { d: 4 } } }\n",
        );
        let kept: Vec<_> = (0..tree.0.len())
            .filter_map(|number| tree.text(number))
            .collect();
        for word in ["b", "d"] {
            assert!(kept.contains(&word), "{kept:?}");
        }
        for word in ["a", "c"] {
            assert!(!kept.contains(&word), "{kept:?}");
        }
    }

    #[test]
    fn what_is_not_yaml_says_where() {
        let broken = |text: &str| {
            Tree::read(&Arc::from(Path::new("a.yaml")), text)
                .unwrap_err()
                .to_string()
        };
        assert!(
            broken("a: [1\nb: }").starts_with("a.yaml:2:"),
            "{}",
            broken("a: [1\nb: }")
        );
        assert!(broken(&"[".repeat(100_000)).contains("this is not YAML"));
        assert_eq!(broken("# nothing\n"), "a.yaml: the document is empty");
    }
}
