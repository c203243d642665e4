//! OpenAPI 2.0, 3.0 and 3.1 as drafts.
//!
//! Lenient about everything a policy does not need: descriptions in the wild are large, and few of them
//! are valid. What has to hold is that a document is JSON or YAML, says which version it is, and has
//! `paths`; whatever else is wrong costs the operation it stands in, and a note.

mod document;
mod json;
mod operations;
mod paths;
mod refs;
mod security;
mod servers;
mod yaml;

use std::path::Path;
use std::sync::Arc;

use document::{Document, find};
use operations::Walk;
use security::Security;
use servers::Server;

pub use document::DOCUMENT_BYTES_MAX;
pub(super) use operations::MULTI_SEGMENT_KEY;
pub(super) use security::PERMISSION_KEY;

use super::draft::Draft;
use crate::words::{DimensionName, Fault, Method, MethodSet};
use crate::yaml::quoted;

/// What a document does not say, and how it is to be read.
#[derive(Clone, Debug)]
pub struct Options {
    /// What permissions are made from where the document names none.
    pub permission_from: PermissionFrom,
    /// The methods that only read.
    pub read_methods: MethodSet,
    /// Names of parameters that may span several segments.
    pub multi_segment: Vec<String>,
    /// Dimensions, each with a parameter that says its value.
    pub within: Vec<(DimensionName, String)>,
    /// Which server is meant: its number, from 1, or a URL.
    pub server: Option<String>,
    /// Values of variables in the URLs of servers.
    pub server_variables: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            permission_from: PermissionFrom::Tag,
            read_methods: [Method::Get, Method::Head].into_iter().collect(),
            multi_segment: Vec::new(),
            within: Vec::new(),
            server: None,
            server_variables: Vec::new(),
        }
    }
}

/// What a permission's resource is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionFrom {
    /// The first tag; the path of an operation without one.
    Tag,
    /// The last part of the path that is not a parameter.
    Path,
    /// What stands before the first `/`, `.` or `:` of the operation's id; the path if it has none.
    OperationId,
}

/// How far it got: paths.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Paths that are read.
    pub done: usize,
    /// Paths there are.
    pub of: usize,
}

/// Adds the operations of a document to `draft`.
///
/// # Errors
///
/// Why it cannot be read at all: what is wrong, with its line and column.
pub fn read(
    (file, text): (&Arc<Path>, &str),
    options: &Options,
    draft: &mut Draft,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Fault> {
    let document = Document::read(file, text)?;
    let root = document.root();
    let Some(top) = document.entries(root) else {
        let message =
            "this is no description of an API: expected a mapping with `openapi` or `swagger`";
        return Err(Fault::new(document.place_of(root), message));
    };
    let said = |name: &str| find(&top, name).and_then(|node| document.text(node));
    let version = said("openapi").or_else(|| said("swagger"));
    let version = version.map(|version| version.trim().to_owned());
    match version.as_deref() {
        Some(version)
            if version.starts_with("3.") || version == "3" || version.starts_with('2') => {}
        Some(version) => {
            let message = format!(
                "version {} is not read: expected 2.0, 3.0 or 3.1",
                quoted(version)
            );
            return Err(Fault::new(document.place_of(root), message));
        }
        None => {
            let message = "this is no description of an API: it has neither `openapi: 3…` nor `swagger: \"2.0\"` at its top";
            return Err(Fault::new(document.place_of(root), message));
        }
    }
    let paths = find(&top, "paths").and_then(|node| document.resolved(node).ok().flatten());
    let Some(paths) = paths else {
        let message = "the document has no `paths`, so there is nothing to import";
        return Err(Fault::new(document.whole(), message));
    };
    let security = match find(&top, "security") {
        None => Security::Silent,
        Some(node) => security::read(&document, node)
            .map_err(|message| Fault::new(document.place_of(node), message))?,
    };
    let mut servers = Server::listed(&document, find(&top, "servers"));
    servers.extend(said("basePath").map(|path| Server::of_base_path(&path)));
    let prefix = servers::prefix(&servers, options)
        .map_err(|message| Fault::new(document.whole(), message))?;
    let title = find(&top, "info").and_then(|node| document.get(node, "title"));
    let title = title.and_then(|node| document.text(node));
    let file = file.file_name().unwrap_or_default().to_string_lossy();
    draft.origins.push(match title.as_deref().map(str::trim) {
        Some(title) if !title.is_empty() => format!("{file} ({title})"),
        Some(_) | None => file.into_owned(),
    });
    let mut walk = Walk::new(&document, options, (prefix, security), draft);
    walk.paths(paths, progress)?;
    let described = std::mem::take(&mut walk.scopes).described();
    draft.described.extend(described);
    Ok(())
}

#[cfg(test)]
mod tests;
