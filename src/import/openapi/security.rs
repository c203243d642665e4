//! What an operation asks of its caller, by the first that says so: the document's author in our own
//! words, its OAuth scopes, or a rule that is applied to all.
//!
//! Several alternatives become `any`, several scopes of one `all`. What cannot be said in one requirement
//! asks for everything named: too much is a call that is refused and noticed, too little is a hole.

use std::collections::{BTreeMap, HashMap};

use super::document::{Document, Node, find};
use super::{Options, PermissionFrom};
use crate::import::draft::Needs;
use crate::import::names::{permission_of, word_of};
use crate::words::Permission;

/// Our own words in a document.
pub(in crate::import) const PERMISSION_KEY: &str = "x-portcullis-permission";

/// Most alternatives and scopes of one operation that are read: more is no requirement anybody wrote.
const LISTED_MAX: usize = 64;

/// What `security` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// Nothing, or that a credential is needed, but no scope.
    Silent,
    /// That nobody has to say who he is.
    Open,
    /// The scopes of each alternative; never none.
    Scopes(Vec<Vec<String>>),
}

/// Reads `security`.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn read<'d>(document: &Document<'d>, node: Node<'d>) -> Result<Security, String> {
    let wrong = || "`security` is not a list of requirements".to_owned();
    let items = document.items(node).ok_or_else(wrong)?;
    if items.is_empty() {
        return Ok(Security::Open);
    }
    if items.len() > LISTED_MAX {
        return Err(format!(
            "`security` has more than {LISTED_MAX} alternatives"
        ));
    }
    let mut alternatives = Vec::new();
    for item in items {
        let schemes = document.entries(item).ok_or_else(wrong)?;
        if schemes.is_empty() {
            return Ok(Security::Open);
        }
        let mut scopes = Vec::new();
        for scheme in schemes {
            let listed = document.items(scheme.value).unwrap_or_default();
            let texts = listed.into_iter().filter_map(|node| document.text(node));
            scopes.extend(texts.map(std::borrow::Cow::into_owned));
        }
        if scopes.len() > LISTED_MAX {
            return Err(format!("a requirement has more than {LISTED_MAX} scopes"));
        }
        if !scopes.is_empty() && !alternatives.contains(&scopes) {
            alternatives.push(scopes);
        }
    }
    Ok(if alternatives.is_empty() {
        Security::Silent
    } else {
        Security::Scopes(alternatives)
    })
}

/// Reads our own words in a document: a permission, `any_account`, a list of which all are needed, or
/// `{ all: […] }` and `{ any: […] }`.
///
/// # Errors
///
/// What is wrong with them.
pub(super) fn own_words<'d>(document: &Document<'d>, node: Node<'d>) -> Result<Needs, String> {
    if let Some(text) = document.text(node) {
        return match text.trim() {
            "any_account" => Ok(Needs::AnyAccount),
            "public" | "review_public" => Ok(Needs::ReviewPublic),
            name => Ok(Needs::one(permission(name)?)),
        };
    }
    let expected = || format!("`{PERMISSION_KEY}` is neither a permission nor a list of them");
    if let Some(items) = document.items(node) {
        return Ok(Needs::All(listed(document, &items)?));
    }
    let entries = document.entries(node).ok_or_else(expected)?;
    let [entry] = entries.as_slice() else {
        return Err(expected());
    };
    let items = document.items(entry.value).ok_or_else(expected)?;
    let permissions = listed(document, &items)?;
    match &*entry.key {
        "all" => Ok(Needs::All(permissions)),
        "any" if permissions.len() > 1 => Ok(Needs::Any(permissions)),
        "any" => Ok(Needs::All(permissions)),
        _ => Err(expected()),
    }
}

fn listed<'d>(document: &Document<'d>, items: &[Node<'d>]) -> Result<Vec<Permission>, String> {
    let text = |node: &Node<'d>| document.text(*node).unwrap_or_default().into_owned();
    let permissions = items
        .iter()
        .take(LISTED_MAX)
        .map(|node| permission(&text(node)));
    let mut permissions: Vec<_> = permissions.collect::<Result<_, _>>()?;
    permissions.sort();
    permissions.dedup();
    if permissions.is_empty() {
        return Err(format!("`{PERMISSION_KEY}` lists no permission"));
    }
    Ok(permissions)
}

fn permission(name: &str) -> Result<Permission, String> {
    let name: Permission = name.trim().parse().map_err(|error| format!("{error}"))?;
    if name.resource() == "portcullis" || name.resource().starts_with("portcullis.") {
        return Err(format!("`{name}` is one of the gateway's own permissions"));
    }
    Ok(name)
}

/// The permissions that scopes became: one for each, whatever operation names it.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    known: HashMap<String, Permission>,
    taken: HashMap<Permission, String>,
    /// What the document says of them.
    descriptions: HashMap<String, String>,
}

impl Scopes {
    /// Reads what the document declares.
    pub(super) fn declared<'d>(document: &Document<'d>) -> Self {
        let mut scopes = Self::default();
        let root = document.root();
        let of_two = document.get(root, "securityDefinitions");
        let of_three = document.get(root, "components");
        let of_three = of_three.and_then(|node| document.get(node, "securitySchemes"));
        for schemes in [of_two, of_three].into_iter().flatten() {
            for scheme in document.entries(schemes).unwrap_or_default() {
                let fields = document
                    .resolved(scheme.value)
                    .ok()
                    .flatten()
                    .unwrap_or_default();
                scopes.describe(document, find(&fields, "scopes"));
                let flows = find(&fields, "flows").and_then(|node| document.entries(node));
                for flow in flows.unwrap_or_default() {
                    let fields = document.entries(flow.value).unwrap_or_default();
                    scopes.describe(document, find(&fields, "scopes"));
                }
            }
        }
        scopes
    }

    fn describe<'d>(&mut self, document: &Document<'d>, node: Option<Node<'d>>) {
        let entries = node.and_then(|node| document.entries(node));
        for entry in entries.unwrap_or_default() {
            let text = document.text(entry.value).unwrap_or_default();
            let known = self.descriptions.entry(entry.key.into_owned());
            known.or_insert_with(|| text.into_owned());
        }
    }

    /// What the permissions are for, by the scopes they were made from.
    pub(super) fn described(self) -> BTreeMap<Permission, String> {
        let taken = self.taken.into_iter();
        let described = taken.map(|(permission, scope)| {
            let description = self.descriptions.get(&scope).map(String::as_str);
            let description = description.filter(|text| !text.trim().is_empty());
            let text =
                description.map_or_else(|| format!("What the API calls {scope}"), str::to_owned);
            (permission, text)
        });
        described.collect()
    }

    /// The requirement that alternatives of scopes are, and whether it had to ask for more.
    pub(super) fn needs(&mut self, alternatives: &[Vec<String>]) -> (Needs, bool) {
        let all_single = alternatives.iter().all(|scopes| scopes.len() == 1);
        let names = alternatives.iter().flatten();
        let mut permissions: Vec<_> = names.map(|scope| self.permission(scope)).collect();
        permissions.sort();
        permissions.dedup();
        if alternatives.len() > 1 && all_single && permissions.len() > 1 {
            return (Needs::Any(permissions), false);
        }
        (
            Needs::All(permissions),
            alternatives.len() > 1 && !all_single,
        )
    }

    /// The permission of a scope: its own words as far as our names hold them, and another one where two
    /// scopes would share it.
    fn permission(&mut self, scope: &str) -> Permission {
        if let Some(known) = self.known.get(scope) {
            return known.clone();
        }
        let (resource, action) = divided(scope);
        let mut permission = permission_of(&resource, &action);
        if self.taken.contains_key(&permission) {
            let marked = format!("{scope}\u{fffd}"); // what a name cannot hold gives it a mark
            permission =
                permission_of(&format!("{}{}", word_of(&resource), mark(&marked)), &action);
        }
        self.taken.insert(permission.clone(), scope.to_owned());
        self.known.insert(scope.to_owned(), permission.clone());
        permission
    }
}

/// `-` and eight digits that only this text has.
fn mark(text: &str) -> String {
    let word = word_of(&format!("\u{2026}{text}\u{e9}"));
    word.get(word.len().saturating_sub(9)..)
        .unwrap_or_default()
        .to_owned()
}

/// Words that say what is done, and not to what.
const ACTIONS: &[&str] = &[
    "access",
    "add",
    "admin",
    "all",
    "append",
    "create",
    "delete",
    "destroy",
    "edit",
    "execute",
    "export",
    "full",
    "full_access",
    "get",
    "import",
    "insert",
    "invoke",
    "list",
    "manage",
    "modify",
    "publish",
    "push",
    "read",
    "read-only",
    "read_only",
    "readonly",
    "read_write",
    "readwrite",
    "register",
    "remove",
    "run",
    "send",
    "set",
    "update",
    "upload",
    "use",
    "view",
    "write",
];

fn is_action(word: &str) -> bool {
    ACTIONS.contains(&word.to_ascii_lowercase().as_str())
}

/// A scope as resource and action: `orders:read`, `read:orders` and `orders.read` are one thing said in
/// three ways. A scope that says no action is the resource itself, to `use`.
fn divided(scope: &str) -> (String, String) {
    // `https://www.googleapis.com/auth/drive.readonly`
    let short = match scope.split_once("://") {
        Some((_, rest)) => rest
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or(rest),
        None => scope,
    };
    if let Some((before, after)) = short.rsplit_once(':') {
        let (before, after) = (before.replace(':', "."), after.to_owned());
        return if is_action(&before) && !is_action(&after) {
            (after, before)
        } else {
            (before, after)
        };
    }
    let parts = short.rsplit_once(['.', '/', '_', '-', ' ']);
    if let Some((before, after)) =
        parts.filter(|(before, after)| is_action(after) && !before.is_empty())
    {
        return (before.to_owned(), after.to_owned());
    }
    let parts = short.split_once(['.', '/', '_', '-', ' ']);
    if let Some((before, after)) =
        parts.filter(|(before, after)| is_action(before) && !after.is_empty())
    {
        return (after.to_owned(), before.to_owned());
    }
    if is_action(short) {
        return ("api".to_owned(), short.to_owned());
    }
    (short.to_owned(), "use".to_owned())
}

/// The permission that a rule makes, where the document says nothing.
pub(super) fn by_rule(
    options: &Options,
    (path, id, tag): (&str, Option<&str>, Option<&str>),
    reads: bool,
) -> Permission {
    let of_id = id.map(|id| {
        let mut words = id.split(['/', '.', ':']);
        words.find(|word| !word.is_empty()).unwrap_or(id)
    });
    let resource = match options.permission_from {
        PermissionFrom::Tag => tag,
        PermissionFrom::Path => None,
        PermissionFrom::OperationId => of_id,
    };
    let resource = resource.filter(|text| !text.trim().is_empty());
    let resource = resource.map_or_else(|| resource_of(path), str::to_owned);
    permission_of(&resource, if reads { "view" } else { "edit" })
}

/// The last part of a path that is not a parameter.
fn resource_of(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let literal = |segment: &&str| !segment.is_empty() && !segment.contains('{');
    let version = |segment: &str| {
        let digits = segment.strip_prefix('v').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    let literals: Vec<_> = path.split('/').filter(literal).collect();
    let named = literals.iter().rev().find(|segment| !version(segment));
    let named = named.map_or("api", |segment| segment);
    named.strip_suffix(".json").unwrap_or(named).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_keeps_its_words() {
        let mut scopes = Scopes::default();
        for (scope, permission) in [
            ("devices:view", "devices:view"),
            ("orders:read", "orders:read"),
            ("read:org", "org:read"),
            ("okta.groups.read", "okta.groups:read"),
            ("user:email:read", "user.email:read"),
            ("write_files", "files:write"),
            (
                "https://www.googleapis.com/auth/drive.readonly",
                "drive:readonly",
            ),
            (
                "https://www.googleapis.com/auth/cloud-platform",
                "cloud-platform:use",
            ),
            ("Mail.Read", "mail:read"),
            ("repo", "repo:use"),
            ("read", "api:read"),
            ("portcullis.keys:edit", "api-portcullis.keys:edit"),
        ] {
            assert_eq!(scopes.permission(scope).to_string(), permission, "{scope}");
        }
    }

    #[test]
    fn two_scopes_are_never_one_permission() {
        let mut scopes = Scopes::default();
        let made = [
            "orders:read",
            "read:orders",
            "orders.read",
            "Orders:Read",
            "orders:read",
        ];
        let made = made.map(|scope| scopes.permission(scope).to_string());
        assert_eq!(made[0], made[4]);
        let distinct: std::collections::BTreeSet<_> = made.iter().collect();
        assert_eq!(distinct.len(), 4, "{made:?}");
    }

    #[test]
    fn alternatives_are_any_and_what_cannot_be_said_asks_for_all() {
        let of = |alternatives: &[&[&str]]| {
            let owned = |scopes: &&[&str]| scopes.iter().map(|it| (*it).to_owned()).collect();
            let alternatives: Vec<Vec<String>> = alternatives.iter().map(owned).collect();
            let (needs, more) = Scopes::default().needs(&alternatives);
            let names = needs.permissions().iter().map(ToString::to_string);
            (
                matches!(needs, Needs::Any(_)),
                names.collect::<Vec<_>>().join(" "),
                more,
            )
        };
        assert_eq!(of(&[&["a:x"]]), (false, "a:x".to_owned(), false));
        assert_eq!(of(&[&["a:x", "b:x"]]), (false, "a:x b:x".to_owned(), false));
        assert_eq!(
            of(&[&["a:x"], &["b:x"]]),
            (true, "a:x b:x".to_owned(), false)
        );
        assert_eq!(
            of(&[&["a:x", "c:x"], &["b:x"]]),
            (false, "a:x b:x c:x".to_owned(), true)
        );
    }

    #[test]
    fn a_resource_is_the_last_word_of_a_path() {
        for (path, resource) in [
            ("/v1/tenants/{tenant}/devices/{device}", "devices"),
            ("/orders.json", "orders"),
            ("/api/v1.2/{id}", "api"),
            ("/{x}", "api"),
            ("/v1", "api"),
            ("/devices/{id}/", "devices"),
        ] {
            assert_eq!(resource_of(path), resource, "{path}");
        }
    }
}
