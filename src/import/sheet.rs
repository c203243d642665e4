//! A policy file as lines: which of them hold which entry.
//!
//! Whoever edits a file by hand puts comments, blank lines and an order of his own into it. A merge that
//! wrote the file anew from what it means would lose all that, so it changes lines and leaves the others
//! alone.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::words::{Fault, Faults, Place};
use crate::yaml::{self, Key, Node, Value};

/// The sections of a policy file that an import writes.
pub(super) const SECTIONS: [&str; 4] = ["dimensions", "permissions", "roles", "routes"];

/// A policy file.
#[derive(Debug)]
pub(super) struct Sheet<'t> {
    pub(super) lines: Vec<&'t str>,
    sections: BTreeMap<&'static str, Section>,
}

/// A section that stands in the file.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// The line of its key.
    pub(super) line: usize,
    pub(super) entries: Vec<Entry>,
}

/// An entry of a section.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// What it says, in one spelling: whether two entries say the same.
    pub(super) value: String,
    /// The comment behind it: what the document calls the operation.
    pub(super) id: Option<String>,
    /// The lines it takes, without comments before it.
    pub(super) lines: Range<usize>,
}

impl<'t> Sheet<'t> {
    /// Reads a policy file; what it means beyond its lines is not looked at.
    ///
    /// # Errors
    ///
    /// What is not YAML as policy files have it, and sections that are not written line by line.
    pub(super) fn read(file: &Arc<Path>, text: &'t str) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let lines: Vec<_> = text.lines().collect();
        let mut sections = BTreeMap::new();
        let root = yaml::parse(file, text, &mut faults);
        let entries = root
            .as_ref()
            .and_then(|root| root.entries("a policy file", &mut faults));
        for (key, node) in entries.unwrap_or_default() {
            let Some(name) = SECTIONS.into_iter().find(|name| *name == key.text) else {
                continue;
            };
            match Section::read((key, node), &lines) {
                Ok(section) => drop(sections.insert(name, section)),
                Err(place) => {
                    let message = format!(
                        "`{name}` has two entries in one line, and a merge changes lines: write each on a line of its own"
                    );
                    faults.push(Fault::new(place, message));
                }
            }
        }
        faults.into_result(Self { lines, sections })
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.get(name)
    }

    /// The entries of a section; none if it is not there.
    pub(super) fn entries(&self, name: &str) -> &[Entry] {
        self.section(name).map_or(&[], |section| &section.entries)
    }

    /// The text of an entry, line by line.
    pub(super) fn text_of(&self, entry: &Entry) -> Vec<String> {
        let lines = self.lines.get(entry.lines.clone()).unwrap_or_default();
        lines.iter().map(|line| (*line).to_owned()).collect()
    }
}

impl Section {
    fn read((key, node): (&Key, &Node), lines: &[&str]) -> Result<Self, Place> {
        let line = key.place.line.saturating_sub(1);
        let Value::Mapping(entries) = &node.value else {
            return Ok(Self {
                line,
                entries: Vec::new(),
            });
        };
        let mut section = Self {
            line,
            entries: Vec::with_capacity(entries.len()),
        };
        let mut free = line + 1;
        for (position, (key, value)) in entries.iter().enumerate() {
            let start = key.place.line.saturating_sub(1);
            if start < free {
                return Err(key.place.clone());
            }
            let next = entries
                .get(position + 1)
                .map(|(key, _)| key.place.line.saturating_sub(1));
            let end = end_of(lines, start, next.unwrap_or(lines.len()).max(start + 1));
            section.entries.push(Entry {
                key: key.text.clone(),
                value: spelled(value),
                id: lines.get(start).and_then(|line| comment(line)),
                lines: start..end,
            });
            free = end;
        }
        Ok(section)
    }
}

/// The line after the last one of the entry that starts at `start`.
fn end_of(lines: &[&str], start: usize, limit: usize) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = lines.get(start).map_or(0, |line| indent(line));
    let deeper = |line: &&str| !line.trim().is_empty() && indent(line) > own;
    let rest = lines.get(start + 1..limit).unwrap_or_default();
    // What is not indented ends a section, whatever comes after it.
    let block = rest
        .iter()
        .take_while(|line| line.trim().is_empty() || indent(line) >= own);
    let last = block
        .enumerate()
        .filter(|(_, line)| deeper(line))
        .map(|(at, _)| at)
        .last();
    last.map_or(start + 1, |at| start + at + 2)
}

/// The comment at the end of a line.
fn comment(line: &str) -> Option<String> {
    let (_, comment) = line.split_once("  # ")?;
    Some(comment.trim().to_owned()).filter(|it| !it.is_empty())
}

/// A value in one spelling, whatever its style and its comments are.
pub(super) fn spelled(node: &Node) -> String {
    match &node.value {
        Value::Scalar(text) => text.clone(),
        Value::Nothing => String::new(),
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(spelled).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Mapping(entries) => {
            let entries = entries
                .iter()
                .map(|(key, node)| format!("{}: {}", key.text, spelled(node)));
            let entries: Vec<_> = entries.collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}
