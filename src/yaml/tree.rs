//! From text to the tree: events in, nodes out, faults on the way.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::{DEPTH_MAX, FILE_BYTES_MAX, Key, NODES_MAX, Node, Value, quoted};
use crate::words::{Fault, Faults, Place};

/// Reads `text`. What is wrong is added to `faults`; the tree is returned as far as it still means
/// something, so that its readers can add theirs. An empty file is a mapping without keys.
pub fn parse(file: &Arc<Path>, text: &str, faults: &mut Faults) -> Option<Node> {
    let mut builder = Builder {
        file,
        faults,
        open: Vec::new(),
        root: None,
        nodes: 0,
        documents: 0,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !builder.admit(text) {
        return None;
    }
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        emit_comments: false,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let going_on = match event {
            Ok((event, span)) => builder.take(event, &span),
            Err(error) => {
                let place = builder.place(error.marker());
                builder.fault(place, format!("this is not YAML: {}", error.info()));
                false
            }
        };
        if !going_on {
            return None;
        }
    }
    let start = Place {
        file: Arc::clone(file),
        line: 1,
        column: 1,
    };
    Some(builder.root.unwrap_or(Node {
        place: start,
        value: Value::Mapping(Vec::new()),
    }))
}

/// What is open: a list or a mapping that has not ended yet.
enum Open {
    List(Place, Vec<Node>),
    Mapping {
        place: Place,
        entries: Vec<(Key, Node)>,
        /// The key whose value comes next; `Unusable` after a key that is not text.
        key: Option<PendingKey>,
        /// Where each key stood first.
        seen: HashMap<String, Place>,
    },
}

enum PendingKey {
    Good(Key),
    Unusable,
}

struct Builder<'a> {
    file: &'a Arc<Path>,
    faults: &'a mut Faults,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    documents: usize,
}

impl Builder<'_> {
    /// Looks at the text as a whole: its size, and characters no editor shows.
    fn admit(&mut self, text: &str) -> bool {
        let whole = Place {
            file: Arc::clone(self.file),
            line: 0,
            column: 0,
        };
        if text.len() > FILE_BYTES_MAX {
            let message = format!(
                "the file has {} bytes and the largest read is {FILE_BYTES_MAX}: split it",
                text.len()
            );
            self.fault(whole, message);
            return false;
        }
        let bad = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        for (line, content) in text.split('\n').enumerate() {
            let Some((column, character)) = content.chars().enumerate().find(|(_, c)| bad(*c))
            else {
                continue;
            };
            let place = Place {
                line: line + 1,
                column: column + 1,
                ..whole
            };
            let message = format!(
                "U+{:04X} is a control character: remove it",
                u32::from(character)
            );
            self.fault(place, message);
            return false;
        }
        true
    }

    /// Takes one event; `false` ends the reading.
    fn take(&mut self, event: Event<'_>, span: &Span) -> bool {
        let place = self.place(&span.start);
        match event {
            Event::DocumentStart(..) => return self.document(place),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                let message =
                    "aliases are not read: write the value out, or quote it if a `*` is meant";
                self.fault(place.clone(), message.to_owned());
                return self.node(place, Value::Nothing);
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_decorations(&place, anchor, tag.is_some());
                // The parser says `~` where nothing stands; only the span tells the two apart.
                let nothing = style == ScalarStyle::Plain && span.start == span.end;
                if text == "<<" && style == ScalarStyle::Plain && self.key_is_due() {
                    let message = "merge keys are not read: write the keys out";
                    self.fault(place, message.to_owned());
                    self.pend(PendingKey::Unusable);
                    return true;
                }
                let value = if nothing {
                    Value::Nothing
                } else {
                    Value::Scalar(text.into_owned())
                };
                return self.node(place, value);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_decorations(&place, anchor, tag.is_some());
                return self.begin(Open::List(place, Vec::new()));
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_decorations(&place, anchor, tag.is_some());
                return self.begin(Open::Mapping {
                    place,
                    entries: Vec::new(),
                    key: None,
                    seen: HashMap::new(),
                });
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(place, nodes)) => return self.node(place, Value::List(nodes)),
                Some(Open::Mapping { place, entries, .. }) => {
                    return self.node(place, Value::Mapping(entries));
                }
                None => {}
            },
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Anchor(..) => {}
            // The parser may learn to tell of more; what nobody here has heard of is not skipped.
            _ => {
                self.fault(place, "this part of YAML is not read".to_owned());
                return false;
            }
        }
        true
    }

    fn document(&mut self, place: Place) -> bool {
        self.documents += 1;
        if self.documents > 1 {
            let message = "a second document starts here: one file holds one, split it";
            self.fault(place, message.to_owned());
        }
        self.documents == 1
    }

    fn refuse_decorations(&mut self, place: &Place, anchor: usize, tagged: bool) {
        if anchor != 0 {
            let message = "anchors are not read: remove it, or quote the value if a `&` is meant";
            self.fault(place.clone(), message.to_owned());
        }
        if tagged {
            let message = "tags are not read: remove it, or quote the value if a `!` is meant";
            self.fault(place.clone(), message.to_owned());
        }
    }

    fn begin(&mut self, open: Open) -> bool {
        if self.open.len() >= DEPTH_MAX {
            let (Open::List(place, _) | Open::Mapping { place, .. }) = open;
            let message = format!("nested deeper than {DEPTH_MAX} levels");
            self.fault(place, message);
            return false;
        }
        self.open.push(open);
        true
    }

    /// Puts a finished value where it belongs.
    fn node(&mut self, place: Place, value: Value) -> bool {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let message = format!("more than {NODES_MAX} values in one file: split it");
            self.fault(place, message);
            return false;
        }
        if self.key_is_due() {
            let key = self.key(place, value);
            self.pend(key);
            return true;
        }
        let node = Node { place, value };
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, nodes)) => nodes.push(node),
            Some(Open::Mapping { entries, key, .. }) => {
                if let Some(PendingKey::Good(key)) = key.take() {
                    entries.push((key, node));
                }
            }
        }
        true
    }

    fn key_is_due(&self) -> bool {
        matches!(self.open.last(), Some(Open::Mapping { key: None, .. }))
    }

    fn pend(&mut self, pending: PendingKey) {
        if let Some(Open::Mapping { key, .. }) = self.open.last_mut() {
            *key = Some(pending);
        }
    }

    /// The key that `value` is, unless it cannot be one or stood there before.
    fn key(&mut self, place: Place, value: Value) -> PendingKey {
        let text = match value {
            Value::Scalar(text) => text,
            Value::Nothing | Value::List(_) | Value::Mapping(_) => {
                self.fault(place, "a key must be text".to_owned());
                return PendingKey::Unusable;
            }
        };
        let first = match self.open.last_mut() {
            Some(Open::Mapping { seen, .. }) => seen.insert(text.clone(), place.clone()),
            Some(Open::List(..)) | None => None,
        };
        if let Some(first) = first {
            let message = format!(
                "{} stands here twice, first on line {}",
                quoted(&text),
                first.line
            );
            self.fault(place, message);
            return PendingKey::Unusable;
        }
        PendingKey::Good(Key { place, text })
    }

    fn place(&self, marker: &Marker) -> Place {
        Place {
            file: Arc::clone(self.file),
            line: marker.line(),
            column: marker.col() + 1,
        }
    }

    fn fault(&mut self, place: Place, message: String) {
        self.faults.push(Fault::new(place, message));
    }
}
