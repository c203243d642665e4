//! Importing again: what is new in the document comes in, what a person has edited stays.
//!
//! Three texts are compared, entry by entry: what the import wrote last time, what a person has made of
//! it, and what the import would write now. An operation is known by what its document calls it, so one
//! that was given another path takes its requirement with it; without a name it is known by method and
//! path. Where both sides changed the same entry the person's stays, and it is said.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::sheet::{Entry, SECTIONS, Sheet};
use super::write::key;
use crate::words::Faults;

/// What a merge gives.
#[derive(Debug)]
pub struct Merge {
    /// The file as it has to be now.
    pub text: String,
    /// What the document has changed since it was imported last.
    pub changes: Vec<Change>,
}

/// One change of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What became of it.
    pub kind: Kind,
    /// The section of the file: `routes`, `permissions`, `roles` or `dimensions`.
    pub section: &'static str,
    /// The entry as it is called in the file, with the operation's name.
    pub entry: String,
    /// What it said and says.
    pub said: String,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It is new.
    Added,
    /// The document has it no longer.
    Removed,
    /// An operation has another path or method.
    Moved,
    /// It asks for something else.
    Changed,
    /// A person has edited it, so it was left alone.
    Kept,
}

impl Kind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Moved => "moved",
            Self::Changed => "changed",
            Self::Kept => "kept",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = self.section.trim_end_matches('s');
        write!(
            f,
            "{:7} {one} {}: {}",
            self.kind.word(),
            self.entry,
            self.said
        )
    }
}

/// Brings what is new in `theirs` into `ours`. `base` is what was imported last; without it nothing that
/// stands in `ours` is changed.
///
/// # Errors
///
/// A text that is no policy file, or not one that can be changed line by line.
pub fn merge(
    base: Option<(&Arc<Path>, &str)>,
    ours: (&Arc<Path>, &str),
    theirs: &str,
) -> Result<Merge, Faults> {
    let imported: Arc<Path> = Arc::from(Path::new("what was imported"));
    let base = match base {
        Some((file, text)) => Sheet::read(file, text)?,
        None => Sheet::read(&imported, "")?,
    };
    let theirs = Sheet::read(&imported, theirs)?;
    let ours = Sheet::read(ours.0, ours.1)?;
    let mut merger = Merger {
        edits: Edits::default(),
        changes: Vec::new(),
        base: &base,
        ours: &ours,
        theirs: &theirs,
    };
    // Permissions last: which of them are needed shows when the routes are known.
    for section in ["dimensions", "roles", "routes"] {
        merger.section(section);
    }
    merger.permissions();
    let text = merger.edits.apply(&ours, &theirs);
    merger.changes.sort_by_key(|change| {
        let section = SECTIONS.iter().rposition(|name| *name == change.section);
        (std::cmp::Reverse(section), change.kind)
    });
    Ok(Merge {
        text,
        changes: merger.changes,
    })
}

/// What happens to the lines of our file.
#[derive(Default)]
struct Edits {
    /// Lines in the place of others; none removes them.
    replaced: BTreeMap<usize, (usize, Vec<String>)>,
    /// Lines that come before a line.
    before: BTreeMap<usize, Vec<String>>,
    /// Sections that our file does not have.
    new_sections: BTreeMap<&'static str, Vec<String>>,
}

struct Merger<'m, 't> {
    edits: Edits,
    changes: Vec<Change>,
    base: &'m Sheet<'t>,
    ours: &'m Sheet<'t>,
    theirs: &'m Sheet<'t>,
}

/// Entries by their key, and by their name where it is theirs alone.
struct Known<'e> {
    by_key: HashMap<&'e str, &'e Entry>,
    by_id: HashMap<&'e str, Option<&'e Entry>>,
}

impl<'e> Known<'e> {
    fn of(entries: &'e [Entry]) -> Self {
        let mut by_id = HashMap::new();
        for entry in entries {
            if let Some(id) = &entry.id {
                let known = by_id.entry(id.as_str());
                known
                    .and_modify(|twice| *twice = None)
                    .or_insert(Some(entry));
            }
        }
        Self {
            by_key: entries
                .iter()
                .map(|entry| (entry.key.as_str(), entry))
                .collect(),
            by_id,
        }
    }

    /// The entry of the same operation: the one of its name, else the one in its place.
    fn same(&self, entry: &Entry) -> Option<&'e Entry> {
        let in_place = self.by_key.get(entry.key.as_str()).copied();
        let id = entry.id.as_deref();
        let named = id.and_then(|id| self.by_id.get(id).copied().flatten());
        // Who stands in its place under another name is another operation.
        named
            .or(in_place.filter(|there| there.id.is_none() || id.is_none() || there.id == entry.id))
    }
}

impl Merger<'_, '_> {
    fn section(&mut self, section: &'static str) {
        let (base, ours, theirs) = (self.base, self.ours, self.theirs);
        let known = Known::of(theirs.entries(section));
        let mine = Known::of(ours.entries(section));
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for old in base.entries(section) {
            let new = known.same(old);
            seen.extend(new.map(|new| new.key.as_str()));
            match (mine.by_key.get(old.key.as_str()), new) {
                // A person took it out, or nobody has it any more.
                (None, _) => {}
                (Some(own), None) => self.gone(section, (old, own)),
                (Some(own), Some(new)) => {
                    let free = !mine.by_key.contains_key(new.key.as_str());
                    self.stays(section, (old, own, new), free);
                }
            }
        }
        let mut anchor = None;
        for new in theirs.entries(section) {
            let own = mine.by_key.get(new.key.as_str()).copied();
            if let (None, false) = (own, seen.contains(new.key.as_str())) {
                self.insert(section, new, anchor);
                self.say(Kind::Added, section, (named(new), new.value.clone()));
            } else if let (Some(own), false) = (own, seen.contains(new.key.as_str()))
                && own.value != new.value
            {
                self.differ(section, own, new);
            }
            anchor = own.or(anchor);
        }
    }

    /// The document has it no longer.
    fn gone(&mut self, section: &'static str, (old, own): (&Entry, &Entry)) {
        if own.value == old.value {
            self.replace(own, Vec::new());
            self.say(Kind::Removed, section, (named(old), old.value.clone()));
        } else {
            let said = format!(
                "you edited it, and the document has it no longer: {}",
                own.value
            );
            self.say(Kind::Kept, section, (named(old), said));
        }
    }

    /// The document still has it: here or elsewhere, asking the same or not.
    fn stays(
        &mut self,
        section: &'static str,
        (old, own, new): (&Entry, &Entry, &Entry),
        free: bool,
    ) {
        let edited = own.value != old.value;
        let asks_the_same = new.value == old.value || new.value == own.value;
        if new.key != old.key {
            if !free {
                let said = format!("`{}` is there already, and it moved there", new.key);
                return self.say(Kind::Kept, section, (named(old), said));
            }
            let mut lines = self.theirs.text_of(new);
            if edited {
                lines = self.ours.text_of(own);
                let Some(moved) = lines
                    .first()
                    .and_then(|line| rekeyed(line, &own.key, &new.key))
                else {
                    let said = format!("it moved to `{}`: change it by hand", new.key);
                    return self.say(Kind::Kept, section, (named(old), said));
                };
                if let Some(first) = lines.first_mut() {
                    *first = moved;
                }
            }
            self.replace(own, lines);
            self.say(
                Kind::Moved,
                section,
                (named(old), format!("now `{}`", new.key)),
            );
        }
        if asks_the_same {
            return;
        }
        if edited {
            return self.differ(section, own, new);
        }
        if new.key == old.key {
            self.replace(own, self.theirs.text_of(new));
        }
        let said = if section == "roles" {
            difference(&old.value, &new.value)
        } else {
            format!("{} is now {}", old.value, new.value)
        };
        self.say(Kind::Changed, section, (named(new), said));
    }

    fn differ(&mut self, section: &'static str, own: &Entry, new: &Entry) {
        let said = if section == "roles" {
            let difference = difference(&own.value, &new.value);
            format!("you edited it, the document would change it by {difference}")
        } else {
            format!("yours says {}, the document {}", own.value, new.value)
        };
        self.say(Kind::Kept, section, (named(new), said));
    }

    /// Permissions that something needs are declared, whoever needs them.
    fn permissions(&mut self) {
        const SECTION: &str = "permissions";
        let needed = needed(&self.edits.apply(self.ours, self.theirs), self.ours);
        let is_needed = |name: &str| {
            let resource = name.split(':').next().unwrap_or_default();
            needed.contains(name) || needed.contains(&format!("{resource}:*"))
        };
        let (base, ours, theirs) = (self.base, self.ours, self.theirs);
        let mine = Known::of(ours.entries(SECTION));
        let known = Known::of(theirs.entries(SECTION));
        let old = Known::of(base.entries(SECTION));
        for entry in base.entries(SECTION) {
            let own = mine.by_key.get(entry.key.as_str());
            let still = known.by_key.contains_key(entry.key.as_str()) || is_needed(&entry.key);
            if let (Some(own), false) = (own, still) {
                self.gone(SECTION, (entry, own));
            }
        }
        let mut anchor = None;
        for new in theirs.entries(SECTION) {
            let own = mine.by_key.get(new.key.as_str()).copied();
            let taken_out = old.by_key.contains_key(new.key.as_str()) && !is_needed(&new.key);
            if own.is_none() && !taken_out {
                self.insert(SECTION, new, anchor);
                self.say(Kind::Added, SECTION, (named(new), new.value.clone()));
            }
            anchor = own.or(anchor);
        }
    }

    fn say(&mut self, kind: Kind, section: &'static str, (entry, said): (String, String)) {
        self.changes.push(Change {
            kind,
            section,
            entry,
            said,
        });
    }

    fn replace(&mut self, own: &Entry, lines: Vec<String>) {
        self.edits
            .replaced
            .insert(own.lines.start, (own.lines.end, lines));
    }

    /// Puts a new entry behind the one it follows in the document.
    fn insert(&mut self, section: &'static str, new: &Entry, anchor: Option<&Entry>) {
        let lines = self.theirs.text_of(new);
        let first = self.ours.section(section).map(|section| section.line + 1);
        match anchor.map(|anchor| anchor.lines.end).or(first) {
            Some(line) => self.edits.before.entry(line).or_default().extend(lines),
            None => self
                .edits
                .new_sections
                .entry(section)
                .or_default()
                .extend(lines),
        }
    }
}

/// The entry with the operation's name.
fn named(entry: &Entry) -> String {
    match &entry.id {
        Some(id) => format!("`{}` ({id})", entry.key),
        None => format!("`{}`", entry.key),
    }
}

/// What a role gives besides, and what it gives no longer.
fn difference(old: &str, new: &str) -> String {
    let words = |text: &str| -> BTreeSet<String> {
        let words = text.split(['[', ']', ',', ' ']);
        words
            .filter(|word| word.contains(':') && !word.ends_with(':'))
            .map(str::to_owned)
            .collect()
    };
    let (old, new) = (words(old), words(new));
    let more = new.difference(&old).map(|word| format!("+{word}"));
    let less = old.difference(&new).map(|word| format!("-{word}"));
    let both: Vec<_> = more.chain(less).collect();
    both.join(" ")
}

/// The line with another key in it.
fn rekeyed(line: &str, from: &str, to: &str) -> Option<String> {
    let content = line.trim_start();
    let indent = line.get(..line.len() - content.len())?;
    let quoted = [
        from.to_owned(),
        key(from),
        format!("'{from}'"),
        format!("\"{from}\""),
    ];
    let rest = quoted
        .iter()
        .find_map(|from| content.strip_prefix(from.as_str()));
    let rest = rest.filter(|rest| rest.starts_with(':'))?;
    Some(format!("{indent}{}{rest}", key(to)))
}

/// Everything that looks like a permission, or all of a resource, outside of where they are declared.
fn needed(text: &str, ours: &Sheet<'_>) -> BTreeSet<String> {
    let declared: BTreeSet<&str> = ours
        .entries("permissions")
        .iter()
        .flat_map(|entry| ours.lines.get(entry.lines.clone()).unwrap_or_default())
        .copied()
        .collect();
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-:*".contains(c);
    let lines = text.lines().filter(|line| !declared.contains(line));
    let lines = lines.map(|line| line.split(" #").next().unwrap_or_default());
    let words = lines.flat_map(|line| line.split(move |c: char| !part(c)));
    words
        .filter(|word| word.contains(':'))
        .map(str::to_owned)
        .collect()
}

impl Edits {
    /// Our file with what is to change in it.
    fn apply(&self, ours: &Sheet<'_>, theirs: &Sheet<'_>) -> String {
        let mut text = String::new();
        let mut push = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        let mut skip_to = 0;
        for number in 0..=ours.lines.len() {
            if let Some(lines) = self.before.get(&number) {
                lines.iter().for_each(|line| push(line));
            }
            if let Some((end, lines)) = self.replaced.get(&number) {
                lines.iter().for_each(|line| push(line));
                skip_to = *end;
            }
            if let (Some(line), true) = (ours.lines.get(number), number >= skip_to) {
                push(line);
            }
        }
        for name in SECTIONS {
            if let Some(lines) = self.new_sections.get(name) {
                push("");
                let heading = theirs
                    .section(name)
                    .and_then(|it| theirs.lines.get(it.line));
                push(heading.unwrap_or(&name));
                lines.iter().for_each(|line| push(line));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests;
