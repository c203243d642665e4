//! What people have when they come: rules of another gateway, which become a policy of ours.
//!
//! What has no counterpart here is left out and reported, with its place, what it is, why it stays behind and
//! what to do. Two things are never done: to let in more than was let in, without saying so, and to
//! open anything. Where the other gateway lets everybody in, the route says `review_public`.
//!
//! | module | reads |
//! |---|---|
//! | [`oathkeeper`] | access rules of Ory Oathkeeper, JSON or YAML |
//! | [`kube`] | kube-rbac-proxy: its configuration file, or its flags in a pod's manifest |
//! | [`nginx`] | `location` blocks with `auth_request` and `proxy_pass` |
//! | [`pieces`] | how a pattern becomes path templates |

mod kube;
mod nginx;
mod oathkeeper;
mod pieces;

use std::path::Path;
use std::sync::Arc;

use super::draft::{Draft, Needs, Operation};
use super::names::permission_of;
use crate::policy::template::Template;
use crate::words::{Fault, Faults, Method, MethodSet, Place};
use crate::yaml::{self, Node, Value};

/// Most operations made from one file. A rule may stand for several; ten thousand are more than anybody
/// wrote by hand.
const OPERATIONS_MAX: usize = 20_000;

/// Whose rules they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Access rules of Ory Oathkeeper.
    Oathkeeper,
    /// Configuration or flags of kube-rbac-proxy.
    KubeRbacProxy,
    /// Configuration of nginx.
    Nginx,
}

/// Reads the rules in `text`, which stand in `file`, into `draft`.
///
/// # Errors
///
/// The first fault of a text that is not of the format at all, or too large. What cannot be carried over is
/// no error: it is among the notes of `draft`.
pub fn read(
    format: Format,
    (file, text): (&Arc<Path>, &str),
    draft: &mut Draft,
) -> Result<(), Fault> {
    if text.len() > yaml::FILE_BYTES_MAX {
        let message = format!(
            "the file has {} bytes and the largest read is {}: split it",
            text.len(),
            yaml::FILE_BYTES_MAX
        );
        return Err(Fault::new(Place::whole(&**file), message));
    }
    draft.origins.push(file.display().to_string());
    match format {
        Format::Oathkeeper => oathkeeper::read(&tree(file, text)?, draft),
        Format::KubeRbacProxy => kube::read(file, text, draft)?,
        Format::Nginx => nginx::read(file, text, draft)?,
    }
    Ok(())
}

/// The YAML of `text`, which JSON is too.
fn tree(file: &Arc<Path>, text: &str) -> Result<Node, Fault> {
    let mut faults = Faults::default();
    let root = yaml::parse(file, text, &mut faults);
    let fault = faults.iter().next().cloned();
    match (root, fault) {
        (Some(root), None) => Ok(root),
        (_, Some(fault)) => Err(fault),
        (None, None) => Err(Fault::new(Place::whole(&**file), "the file cannot be read")),
    }
}

/// The value at `path` below `node`.
fn at<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, name| match &node.value {
        Value::Mapping(entries) => {
            let found = entries.iter().find(|(key, _)| key.text == *name);
            found.map(|(_, value)| value)
        }
        Value::Scalar(_) | Value::Nothing | Value::List(_) => None,
    })
}

/// The text at `path` below `node`.
fn text_at<'n>(node: &'n Node, path: &[&str]) -> Option<&'n str> {
    at(node, path).and_then(text)
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(text) => Some(text),
        Value::Nothing | Value::List(_) | Value::Mapping(_) => None,
    }
}

/// The items at `path` below `node`; a lone value is a list of one.
fn items<'n>(node: &'n Node, path: &[&str]) -> &'n [Node] {
    match at(node, path) {
        Some(found) => match &found.value {
            Value::List(items) => items,
            Value::Nothing => &[],
            Value::Scalar(_) | Value::Mapping(_) => std::slice::from_ref(found),
        },
        None => &[],
    }
}

/// A way to call that was found: paths, and what it is filed under.
struct Found<'f> {
    place: &'f Place,
    id: Option<&'f str>,
    methods: MethodSet,
    templates: Vec<String>,
    asks: Asks,
}

/// What it asks of its caller.
enum Asks {
    /// Nothing: a person has to confirm that.
    Nothing,
    /// Permissions on this resource, one for reading and one for the rest.
    Resource(String),
    /// What its own rules name.
    Named(Needs),
}

/// Adds what was found: reading and writing apart, because they need different permissions.
fn add(found: &Found<'_>, draft: &mut Draft) {
    let reading: MethodSet = [Method::Get, Method::Head].into_iter().collect();
    for (methods, reads) in [
        (found.methods.intersection(reading), true),
        (found.methods.minus(reading), false),
    ] {
        if methods.is_empty() {
            continue;
        }
        let needs = match &found.asks {
            Asks::Nothing => Needs::ReviewPublic,
            Asks::Resource(resource) => {
                let action = if reads { "view" } else { "edit" };
                Needs::one(permission_of(resource, action))
            }
            Asks::Named(needs) => needs.clone(),
        };
        for text in &found.templates {
            if draft.operations.len() >= OPERATIONS_MAX {
                let message = format!(
                    "more than {OPERATIONS_MAX} routes: what follows is left out, import it from a file of its own"
                );
                draft.notes.once(|| found.place.clone(), message);
                return;
            }
            match Template::parse(text) {
                Ok(template) => draft.operations.push(Operation {
                    place: found.place.clone(),
                    id: found.id.map(str::to_owned),
                    methods,
                    template,
                    needs: needs.clone(),
                    within: Vec::new(),
                    tags: Vec::new(),
                    reads,
                    options: Vec::new(),
                }),
                Err(error) => {
                    let message = format!(
                        "{} is not carried over: {error}; write the route by hand",
                        yaml::quoted(text)
                    );
                    draft.notes.once(|| found.place.clone(), message);
                }
            }
        }
    }
}

/// What a path is filed under: its last word that is no parameter and no version.
fn resource_of(template: &str) -> String {
    let version = |word: &str| {
        word.strip_prefix('v')
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    let words = template.split('/').rev();
    let mut words = words.filter(|word| {
        !word.is_empty() && !word.contains(['{', '%']) && !version(word) && *word != "api"
    });
    words.next().unwrap_or("api").to_owned()
}

#[cfg(test)]
mod tests;
