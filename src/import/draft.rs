//! What an import found, whatever it has read.

use std::collections::{BTreeMap, HashSet};

use crate::policy::template::Template;
use crate::words::{DimensionName, Fault, MethodSet, Permission, Place};

/// Most notes that are kept. What comes after is counted; nobody reads the thousand-and-first.
const NOTES_MAX: usize = 1_000;

/// What was found, in the order of the documents.
#[derive(Debug, Default)]
pub struct Draft {
    /// What was read, for the head of the file: `api.json (Pet shop)`.
    pub origins: Vec<String>,
    /// Every operation that becomes a route or a part of one.
    pub operations: Vec<Operation>,
    /// What permissions are for, as far as the documents say it.
    pub described: BTreeMap<Permission, String>,
    /// What could not be carried over, and what a person should look at.
    pub notes: Notes,
}

/// One operation: a way to call the API.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Where it stands.
    pub place: Place,
    /// What its document calls it; a comment in the file, and its identity when it is imported again.
    pub id: Option<String>,
    /// Its methods; never none.
    pub methods: MethodSet,
    /// Its path.
    pub template: Template,
    /// What it asks of its caller.
    pub needs: Needs,
    /// The dimensions it binds, each with the parameter of the path that says the value.
    pub within: Vec<(DimensionName, String)>,
    /// What it is filed under; a role is proposed for each.
    pub tags: Vec<String>,
    /// Whether it only reads: what only such operations need is in the role `viewer`.
    pub reads: bool,
    /// Further options of the route: a key, and its value as YAML on one line.
    pub options: Vec<(&'static str, String)>,
}

/// What an operation asks of its caller. There is no way to say `public`: that is for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Its document lets everybody in: a person has to confirm that.
    ReviewPublic,
    /// A known caller.
    AnyAccount,
    /// All of these; never none.
    All(Vec<Permission>),
    /// At least one of these; never none.
    Any(Vec<Permission>),
}

impl Needs {
    /// One permission.
    pub fn one(permission: Permission) -> Self {
        Self::All(vec![permission])
    }

    /// The permissions named, if any.
    pub fn permissions(&self) -> &[Permission] {
        match self {
            Self::ReviewPublic | Self::AnyAccount => &[],
            Self::All(permissions) | Self::Any(permissions) => permissions,
        }
    }

    /// What satisfies both, if one requirement can say so; else more than both: all that either names.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (one, two) if one == two => one.clone(),
            // Whoever calls a path that somebody declared open is a stranger no longer.
            (Self::ReviewPublic, other) | (other, Self::ReviewPublic) => other.clone(),
            (Self::AnyAccount, other) | (other, Self::AnyAccount) => other.clone(),
            (Self::All(_) | Self::Any(_), Self::All(_) | Self::Any(_)) => {
                let mut all = self.permissions().to_vec();
                all.extend_from_slice(other.permissions());
                all.sort();
                all.dedup();
                Self::All(all)
            }
        }
    }
}

/// Remarks, each once, with the place it is about.
#[derive(Debug, Default)]
pub struct Notes {
    list: Vec<Fault>,
    said: HashSet<String>,
    left_out: usize,
}

impl Notes {
    /// Adds a remark: one sentence without a full stop, input in backticks.
    pub fn push(&mut self, place: Place, message: impl Into<String>) {
        self.add(Fault::new(place, message));
    }

    /// Adds a remark that is worth making once, wherever it is true again.
    pub fn once(&mut self, place: impl FnOnce() -> Place, message: impl Into<String>) {
        let message = message.into();
        if !self.said.contains(&message) && self.said.len() < NOTES_MAX {
            self.said.insert(message.clone());
            self.push(place(), message);
        }
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: Self) {
        self.left_out += other.left_out;
        for note in other.list {
            self.add(note);
        }
    }

    /// The remarks, in the order they came up.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.list.iter()
    }

    /// How many there are, those that were not kept included.
    pub fn count(&self) -> usize {
        self.list.len() + self.left_out
    }

    /// How many were not kept.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    fn add(&mut self, note: Fault) {
        if self.list.len() < NOTES_MAX {
            self.list.push(note);
        } else {
            self.left_out += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(text: &str) -> Permission {
        text.parse().unwrap()
    }

    #[test]
    fn what_satisfies_both_is_never_less_than_either() {
        let (a, b) = (permission("a:view"), permission("b:view"));
        let (one, two) = (Needs::one(a.clone()), Needs::one(b.clone()));
        let both = Needs::All(vec![a.clone(), b.clone()]);
        assert_eq!(one.and(&one), one);
        assert_eq!(two.and(&one), both);
        assert_eq!(Needs::Any(vec![b, a]).and(&one), both);
        assert_eq!(Needs::ReviewPublic.and(&one), one);
        assert_eq!(Needs::AnyAccount.and(&one), one);
        assert_eq!(
            Needs::AnyAccount.and(&Needs::ReviewPublic),
            Needs::AnyAccount
        );
    }

    #[test]
    fn notes_are_bounded_and_counted() {
        let mut notes = Notes::default();
        for number in 0..NOTES_MAX + 5 {
            notes.push(Place::whole("a.json"), number.to_string());
        }
        notes.once(|| Place::whole("a.json"), "again");
        assert_eq!(notes.iter().count(), NOTES_MAX);
        assert_eq!((notes.count(), notes.left_out()), (NOTES_MAX + 6, 6));
    }
}
