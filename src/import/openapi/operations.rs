//! The operations of a document: every path, every method, each on its own, so that one that is broken
//! costs only itself.

use std::collections::HashMap;

use super::document::{Document, Entry, Node, find};
use super::paths::{self, Converted};
use super::security::{self, PERMISSION_KEY, Scopes, Security};
use super::servers::Server;
use super::{Options, Progress};
use crate::import::draft::{Draft, Needs, Operation};
use crate::words::{Fault, Method, MethodSet, Place};
use crate::yaml::quoted;

/// Says of a parameter that it may hold several segments of a path.
pub(in crate::import) const MULTI_SEGMENT_KEY: &str = "x-multi-segment";

/// Most operations: four times the largest published description, and what a policy holds.
const OPERATIONS_MAX: usize = 50_000;
/// Most parameters that are read of one operation, its path's included.
const PARAMETERS_MAX: usize = 500;
/// Most tags of one operation that are read.
const TAGS_MAX: usize = 20;

/// Reads the operations of one document.
pub(super) struct Walk<'w, 'd> {
    pub(super) document: &'w Document<'d>,
    pub(super) options: &'w Options,
    /// The path below which the document's own servers lie.
    pub(super) prefix: String,
    pub(super) security: Security,
    pub(super) scopes: Scopes,
    pub(super) draft: &'w mut Draft,
    /// Whether the parameter that a reference names may span segments, and its name.
    known_parameters: HashMap<String, Option<(String, bool)>>,
}

/// What a path says for all its operations.
struct Item<'d> {
    path: String,
    parameters: Vec<(String, bool)>,
    own_words: Option<Node<'d>>,
    servers: Vec<Server>,
}

impl<'w, 'd> Walk<'w, 'd> {
    pub(super) fn new(
        document: &'w Document<'d>,
        options: &'w Options,
        (prefix, security): (String, Security),
        draft: &'w mut Draft,
    ) -> Self {
        Self {
            document,
            options,
            prefix,
            security,
            scopes: Scopes::declared(document),
            draft,
            known_parameters: HashMap::new(),
        }
    }

    /// Reads all of `paths`.
    ///
    /// # Errors
    ///
    /// That there are more operations than a policy holds, or more of anything than can be read.
    pub(super) fn paths(
        &mut self,
        paths: Vec<Entry<'d>>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Fault> {
        let of = paths.len();
        for (done, entry) in paths.into_iter().enumerate() {
            progress(Progress { done, of });
            if entry.key.starts_with("x-") {
                continue;
            }
            let place = entry.spot;
            self.path(entry);
            if self.document.is_exhausted() {
                let message = "the document refers to more than a description of an API can hold: it was given up here";
                return Err(Fault::new(self.document.place(place), message));
            }
            if self.draft.operations.len() > OPERATIONS_MAX {
                let message = format!(
                    "there are more than {OPERATIONS_MAX} operations, which is as many as a policy holds: import a part of them"
                );
                return Err(Fault::new(self.document.place(place), message));
            }
        }
        progress(Progress { done: of, of });
        Ok(())
    }

    fn path(&mut self, entry: Entry<'d>) {
        let place = |walk: &Self| walk.document.place(entry.spot);
        let fields = match self.document.resolved(entry.value) {
            Ok(Some(fields)) => fields,
            Ok(None) => {
                let message = format!("the path {} is no mapping: left out", quoted(&entry.key));
                let place = place(self);
                return self.draft.notes.push(place, message);
            }
            Err(message) => {
                let message = format!("{}: {message}: left out", quoted(&entry.key));
                let place = place(self);
                return self.draft.notes.push(place, message);
            }
        };
        let item = Item {
            path: entry.key.into_owned(),
            parameters: self.parameters(find(&fields, "parameters")),
            own_words: find(&fields, PERMISSION_KEY),
            servers: Server::listed(self.document, find(&fields, "servers")),
        };
        for field in fields {
            if let Some(method) = method(&field.key) {
                self.operation(&item, (method, &field));
            }
        }
    }

    /// One operation; what is wrong with it is told, and it is left out.
    fn operation(&mut self, item: &Item<'d>, (word, entry): (&str, &Entry<'d>)) {
        let place = self.document.place(entry.spot);
        let made = self.made(item, (word, entry), &place);
        match made {
            Ok(operation) => self.draft.operations.push(operation),
            Err(message) => {
                let message = format!("{} {}: {message}: left out", word, quoted(&item.path));
                self.draft.notes.push(place, message);
            }
        }
    }

    fn made(
        &mut self,
        item: &Item<'d>,
        (word, entry): (&str, &Entry<'d>),
        place: &Place,
    ) -> Result<Operation, String> {
        let method = Method::parse(word)
            .ok_or_else(|| format!("`{word}` is not a method that is forwarded"))?;
        let fields = self.document.resolved(entry.value)?;
        let fields = fields.ok_or("the operation is no mapping")?;
        let text = |name: &str| find(&fields, name).and_then(|node| self.document.text(node));
        let id = text("operationId").map(|id| id.trim().to_owned());
        let id = id.filter(|id| !id.is_empty());
        let tags = find(&fields, "tags").and_then(|node| self.document.items(node));
        let tags = tags.unwrap_or_default().into_iter().take(TAGS_MAX);
        let tags = tags.filter_map(|node| self.document.text(node));
        let tags: Vec<_> = tags.map(std::borrow::Cow::into_owned).collect();
        let mut parameters = self.parameters(find(&fields, "parameters"));
        parameters.extend_from_slice(&item.parameters);
        let prefix = self.prefix_of(item, &fields, place);
        let converted = self.converted(&prefix, &item.path, &parameters)?;
        let reads = self.options.read_methods.contains(method);
        let needs = self.needs(item, &fields, place)?;
        let needs = needs.unwrap_or_else(|| {
            let tag = tags.first().map(String::as_str);
            let said = (item.path.as_str(), id.as_deref(), tag);
            Needs::one(security::by_rule(self.options, said, reads))
        });
        for remark in &converted.remarks {
            self.draft.notes.once(|| place.clone(), remark.as_str());
        }
        Ok(Operation {
            place: place.clone(),
            id,
            methods: MethodSet::of(method),
            within: self.within(&converted),
            template: converted.template,
            needs,
            tags,
            reads,
            options: Vec::new(),
        })
    }

    fn converted(
        &self,
        prefix: &str,
        path: &str,
        parameters: &[(String, bool)],
    ) -> Result<Converted, String> {
        let spans = |name: &str| {
            let said = parameters.iter().find(|(known, _)| known == name);
            said.is_some_and(|(_, spans)| *spans)
                || self.options.multi_segment.iter().any(|known| known == name)
        };
        paths::convert(prefix, path, &spans)
    }

    /// What is asked of the caller, if the document says so.
    fn needs(
        &mut self,
        item: &Item<'d>,
        fields: &[Entry<'d>],
        place: &Place,
    ) -> Result<Option<Needs>, String> {
        if let Some(node) = find(fields, PERMISSION_KEY).or(item.own_words) {
            return security::own_words(self.document, node).map(Some);
        }
        let security = match find(fields, "security") {
            Some(node) => security::read(self.document, node)?,
            None => self.security.clone(),
        };
        Ok(match security {
            Security::Silent => None,
            Security::Open => Some(Needs::ReviewPublic),
            Security::Scopes(alternatives) => {
                let (needs, more) = self.scopes.needs(&alternatives);
                if more {
                    let message = "its `security` is a choice between several sets of scopes, which a route cannot say: it asks for all of them, as every operation with such a choice does";
                    self.draft.notes.once(|| place.clone(), message);
                }
                Some(needs)
            }
        })
    }

    /// The prefix of the operation: its own servers', its path's, or the document's.
    fn prefix_of(&mut self, item: &Item<'d>, fields: &[Entry<'d>], place: &Place) -> String {
        let own = Server::listed(self.document, find(fields, "servers"));
        let Some(server) = own.first().or(item.servers.first()) else {
            return self.prefix.clone();
        };
        let prefix = server.prefix(self.options);
        let message = match &prefix {
            Ok(_) => format!(
                "the server here is another one, {}, and the route leads to the same upstream as the others: say `upstream` there if that is wrong",
                quoted(&server.url)
            ),
            Err(error) => error.clone(),
        };
        self.draft.notes.once(|| place.clone(), message);
        prefix.unwrap_or_else(|_| self.prefix.clone())
    }

    /// The names of the path parameters that are listed, and whether each may span segments.
    fn parameters(&mut self, node: Option<Node<'d>>) -> Vec<(String, bool)> {
        let items = node.and_then(|node| self.document.items(node));
        let items = items.unwrap_or_default().into_iter().take(PARAMETERS_MAX);
        items.filter_map(|node| self.parameter(node)).collect()
    }

    fn parameter(&mut self, node: Node<'d>) -> Option<(String, bool)> {
        let entries = self.document.entries(node)?;
        let reference = find(&entries, "$ref").and_then(|node| self.document.text(node));
        let Some(reference) = reference else {
            return self.path_parameter(&entries);
        };
        if let Some(known) = self.known_parameters.get(&*reference) {
            return known.clone();
        }
        // What a reference to a parameter gets wrong takes nothing from its route.
        let entries = self.document.resolved(node).ok().flatten();
        let parameter = entries.and_then(|entries| self.path_parameter(&entries));
        let reference = reference.into_owned();
        self.known_parameters.insert(reference, parameter.clone());
        parameter
    }

    fn path_parameter(&self, entries: &[Entry<'d>]) -> Option<(String, bool)> {
        let text = |name: &str| find(entries, name).and_then(|node| self.document.text(node));
        if text("in")? != "path" {
            return None;
        }
        let spans = text(MULTI_SEGMENT_KEY).is_some_and(|said| said == "true");
        Some((text("name")?.into_owned(), spans))
    }

    /// The dimensions that the path's parameters say.
    fn within(&self, converted: &Converted) -> Vec<(crate::words::DimensionName, String)> {
        let mut within: Vec<(crate::words::DimensionName, String)> = Vec::new();
        for (dimension, named) in &self.options.within {
            let Some(parameter) = converted.parameter(named) else {
                continue;
            };
            let position = converted.template.param(parameter);
            let binds = position.is_some_and(|position| converted.template.binds(position));
            if binds && !within.iter().any(|(known, _)| known == dimension) {
                within.push((dimension.clone(), parameter.to_owned()));
            }
        }
        within
    }
}

/// The method that a key of a path is.
fn method(key: &str) -> Option<&'static str> {
    const METHODS: [&str; 9] = [
        "GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "QUERY",
    ];
    METHODS
        .into_iter()
        .find(|method| method.eq_ignore_ascii_case(key))
}
