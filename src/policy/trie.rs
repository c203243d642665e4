//! Templates as a tree of segments: which of many match a path, or can match what another matches.
//!
//! The children of a node stand in the order of precedence: literal, partly literal, `{x}`,
//! `{x...}`. A partly literal one that matches less stands before one that matches more. So of all
//! templates that match a path, none that is met later matches less than the first (`matcher`
//! relies on it).
//!
//! A walk backtracks, and cannot take exponential time: the depth of a node says how many segments
//! of the path are used up, so no walk enters a node twice, and the work is at most one comparison
//! of a segment for each node of the tree. Recursion is as deep as the deepest template, which
//! `SEGMENTS_MAX` bounds.

use std::collections::HashMap;
use std::ops::ControlFlow;

use foldhash::fast::FixedState;

use super::segment::{Parts, Segment, split};
use super::template::Template;
use crate::words::{Method, MethodSet};

/// From how many literals on a node looks them up by hash: below, comparing them all is faster.
const LITERALS_COMPARED_MAX: usize = 8;

/// What ends at one node: for each template its methods and its number. All have the same shape.
pub(super) type Ends = [(MethodSet, u32)];

/// A tree of templates, each with a number.
#[derive(Debug, Default)]
pub(super) struct Trie {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    /// Every method of a template that ends here or below: a walk turns back where its own is not.
    below: MethodSet,
    ends: Vec<(MethodSet, u32)>,
    literals: Literals,
    partly: Vec<(Parts, Self)>,
    param: Option<Box<Self>>,
    rest: Vec<(MethodSet, u32)>,
}

/// Children by their text. Names of a table are its owner's, not a stranger's, so nobody can choose
/// them to collide and the hash needs no secret.
#[derive(Debug)]
enum Literals {
    Few(Vec<(Box<str>, Node)>),
    Many(HashMap<Box<str>, Node, FixedState>),
}

impl Trie {
    /// Adds `template`, which has `number`, for `methods`.
    pub(super) fn insert(&mut self, template: &Template, methods: MethodSet, number: u32) {
        let mut node = &mut self.root;
        node.below = node.below.union(methods);
        for segment in template.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text),
                Segment::Partly(parts) => node.partly_entry(parts),
                Segment::Param => node.param.get_or_insert_default(),
                Segment::Rest => {
                    node.rest.push((methods, number));
                    return; // `{x...}` is the last segment
                }
            };
            node.below = node.below.union(methods);
        }
        node.ends.push((methods, number));
    }

    /// The first template for `method` that matches `path`, in the order of precedence.
    pub(super) fn first(&self, path: &str, method: Method) -> Option<u32> {
        let mut found = None;
        let _ = self.each(path, MethodSet::of(method), &mut |ends| {
            found = of_method(ends, method);
            if found.is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        found
    }

    /// Calls `visit` with what ends where `path` leads, in the order of precedence, passing over what
    /// has none of `methods` below it.
    pub(super) fn each(
        &self,
        path: &str,
        methods: MethodSet,
        visit: &mut impl FnMut(&Ends) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.root.each(path.strip_prefix('/'), methods, visit)
    }

    /// Calls `visit` with every template for one of `methods` that some path matches together with
    /// `template`, itself included.
    pub(super) fn meeting(
        &self,
        template: &Template,
        methods: MethodSet,
        visit: &mut impl FnMut(MethodSet, u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let visit = &mut |ends: &Ends| {
            let mut ends = ends.iter();
            ends.try_for_each(|(own, number)| {
                let shared = own.intersection(methods);
                if shared.is_empty() {
                    ControlFlow::Continue(())
                } else {
                    visit(shared, *number)
                }
            })
        };
        self.root.meeting(template.segments(), methods, visit)
    }
}

/// The number of the template that answers `method`.
pub(super) fn of_method(ends: &Ends, method: Method) -> Option<u32> {
    let mut ends = ends.iter();
    ends.find(|(methods, _)| methods.contains(method))
        .map(|(_, number)| *number)
}

impl Node {
    fn partly_entry(&mut self, parts: &Parts) -> &mut Self {
        // Heavier first: what matches less is heavier. The shape makes the order total.
        let place = self.partly.binary_search_by(|(other, _)| {
            let weights = parts.weight().cmp(&other.weight());
            weights.then_with(|| other.shape().cmp(parts.shape()))
        });
        let place = place.unwrap_or_else(|place| {
            self.partly.insert(place, (parts.clone(), Self::default()));
            place
        });
        let (_, node) = self.partly.get_mut(place).expect("found or inserted");
        node
    }

    fn each(
        &self,
        left: Option<&str>,
        methods: MethodSet,
        visit: &mut impl FnMut(&Ends) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if self.below.intersection(methods).is_empty() {
            return ControlFlow::Continue(());
        }
        let Some(tail) = left else {
            return visit(&self.ends);
        };
        let (head, next) = split(tail);
        if let Some(node) = self.literals.get(head) {
            node.each(next, methods, visit)?;
        }
        for (parts, node) in &self.partly {
            if parts.matches(head) {
                node.each(next, methods, visit)?;
            }
        }
        if let Some(node) = &self.param
            && Segment::Param.matches(head)
        {
            node.each(next, methods, visit)?;
        }
        if tail.is_empty() {
            return ControlFlow::Continue(());
        }
        visit(&self.rest)
    }

    fn meeting(
        &self,
        left: &[Segment],
        methods: MethodSet,
        visit: &mut impl FnMut(&Ends) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if self.below.intersection(methods).is_empty() {
            return ControlFlow::Continue(());
        }
        let Some((segment, left)) = left.split_first() else {
            return visit(&self.ends);
        };
        match segment {
            Segment::Rest => return self.meeting_rest(methods, visit),
            Segment::Literal(text) => {
                if let Some(node) = self.literals.get(text) {
                    node.meeting(left, methods, visit)?;
                }
            }
            Segment::Partly(_) | Segment::Param => {
                let mut literals = self.literals.iter();
                literals.try_for_each(|(text, node)| {
                    if segment.matches(text) {
                        return node.meeting(left, methods, visit);
                    }
                    ControlFlow::Continue(())
                })?;
            }
        }
        for (parts, node) in &self.partly {
            if parts.meets(segment) {
                node.meeting(left, methods, visit)?;
            }
        }
        if let Some(node) = &self.param
            && Segment::Param.meets(segment)
        {
            node.meeting(left, methods, visit)?;
        }
        // `{x...}` needs a character: nothing stands after a trailing slash.
        if *segment == Segment::Literal(Box::default()) {
            return ControlFlow::Continue(());
        }
        visit(&self.rest)
    }

    /// Everything that ends at least one character further on.
    fn meeting_rest(
        &self,
        methods: MethodSet,
        visit: &mut impl FnMut(&Ends) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let literals = self.literals.iter();
        let literals = literals.filter(|(text, _)| !text.is_empty());
        let children = literals
            .map(|(_, node)| node)
            .chain(self.partly.iter().map(|(_, node)| node))
            .chain(self.param.as_deref());
        children
            .into_iter()
            .try_for_each(|node| node.everything(methods, visit))?;
        visit(&self.rest)
    }

    fn everything(
        &self,
        methods: MethodSet,
        visit: &mut impl FnMut(&Ends) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if self.below.intersection(methods).is_empty() {
            return ControlFlow::Continue(());
        }
        visit(&self.ends)?;
        let children = (self.literals.iter().map(|(_, node)| node))
            .chain(self.partly.iter().map(|(_, node)| node))
            .chain(self.param.as_deref());
        children
            .into_iter()
            .try_for_each(|node| node.everything(methods, visit))?;
        visit(&self.rest)
    }
}

impl Default for Literals {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Literals {
    fn get(&self, text: &str) -> Option<&Node> {
        match self {
            Self::Few(list) => {
                let mut list = list.iter();
                list.find(|(own, _)| **own == *text).map(|(_, node)| node)
            }
            Self::Many(map) => map.get(text),
        }
    }

    fn entry(&mut self, text: &str) -> &mut Node {
        if let Self::Few(list) = self
            && list.len() == LITERALS_COMPARED_MAX
            && list.iter().all(|(own, _)| **own != *text)
        {
            *self = Self::Many(std::mem::take(list).into_iter().collect());
        }
        match self {
            Self::Few(list) => {
                let known = list.iter().position(|(own, _)| **own == *text);
                let place = known.unwrap_or(list.len());
                if known.is_none() {
                    list.push((text.into(), Node::default()));
                }
                let (_, node) = list.get_mut(place).expect("found or pushed");
                node
            }
            Self::Many(map) => map.entry(text.into()).or_default(),
        }
    }

    /// Every child, in no order: who asks for all of them sorts what he finds.
    fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        let (list, map) = match self {
            Self::Few(list) => (Some(list.iter()), None),
            Self::Many(map) => (None, Some(map.iter())),
        };
        let list = list
            .into_iter()
            .flatten()
            .map(|(text, node)| (&**text, node));
        let map = map
            .into_iter()
            .flatten()
            .map(|(text, node)| (&**text, node));
        list.chain(map)
    }
}
