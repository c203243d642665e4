//! kube-rbac-proxy: what its configuration file asks, or its flags as they stand in a pod's `args:`.

use std::path::Path;
use std::sync::Arc;

use super::{Asks, Found, at, items, resource_of, text, text_at, tree};
use crate::import::draft::{Draft, Needs};
use crate::import::names::permission_of;
use crate::words::{Fault, Method, MethodSet, Place};
use crate::yaml::{Node, Value, quoted};

/// Most documents of one manifest.
const DOCUMENTS_MAX: usize = 50;

/// Reads a configuration, or every container of a manifest that has flags of kube-rbac-proxy.
pub(super) fn read(file: &Arc<Path>, text: &str, draft: &mut Draft) -> Result<(), Fault> {
    let mut proxies = 0;
    for (before, document) in documents(file, text)? {
        let mut root = tree(file, &document).map_err(|mut fault| {
            fault.place.line += before;
            fault
        })?;
        shift(&mut root, before);
        if let Some(authorization) = at(&root, &["authorization"]) {
            configuration(authorization, draft);
            proxies += 1;
        }
        let mut open = vec![&root];
        while let Some(node) = open.pop() {
            match &node.value {
                Value::List(nodes) => {
                    if nodes
                        .iter()
                        .any(|it| flag(it).is_some_and(|(name, _)| is_ours(name)))
                    {
                        flags(nodes, draft);
                        proxies += 1;
                    } else {
                        open.extend(nodes.iter().rev());
                    }
                }
                Value::Mapping(entries) => open.extend(entries.iter().rev().map(|(_, it)| it)),
                Value::Scalar(_) | Value::Nothing => {}
            }
        }
    }
    if proxies == 0 {
        let message = "there is neither `authorization:` nor a list of flags such as `--upstream=…`: name the proxy's configuration, or the manifest of the pod";
        return Err(Fault::new(Place::whole(&**file), message));
    }
    Ok(())
}

/// Moves every place in `node` down, as deep as the reader of YAML lets anything be.
fn shift(node: &mut Node, lines: usize) {
    node.place.line += lines;
    match &mut node.value {
        Value::List(nodes) => nodes.iter_mut().for_each(|it| shift(it, lines)),
        Value::Mapping(entries) => {
            for (key, value) in entries {
                key.place.line += lines;
                shift(value, lines);
            }
        }
        Value::Scalar(_) | Value::Nothing => {}
    }
}

/// The documents of a stream, each with how many lines stand before it.
fn documents(file: &Arc<Path>, text: &str) -> Result<Vec<(usize, String)>, Fault> {
    let mut documents = vec![(0, String::new())];
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" {
            if documents.len() >= DOCUMENTS_MAX {
                let message = format!("more than {DOCUMENTS_MAX} documents: split the file");
                return Err(Fault::new(Place::whole(&**file), message));
            }
            documents.push((number + 1, String::new()));
        } else if let Some((_, last)) = documents.last_mut() {
            last.push_str(line);
        }
    }
    Ok(documents)
}

/// `--name=value`.
fn flag(node: &Node) -> Option<(&str, &str)> {
    let text = text(node)?.strip_prefix("--")?;
    Some(text.split_once('=').unwrap_or((text, "")))
}

fn is_ours(name: &str) -> bool {
    matches!(
        name,
        "upstream" | "ignore-paths" | "allow-paths" | "config-file"
    )
}

fn flags(nodes: &[Node], draft: &mut Draft) {
    let (mut allowed, mut ignored, mut has_file) = (Vec::new(), Vec::new(), false);
    let place = nodes.first().map(|it| it.place.clone());
    for node in nodes {
        let Some((name, value)) = flag(node) else {
            continue;
        };
        let paths = value
            .split(',')
            .filter(|it| !it.is_empty())
            .map(|it| (node, it));
        match name {
            "allow-paths" => allowed.extend(paths),
            "ignore-paths" => ignored.extend(paths),
            _ => {
                has_file |= name == "config-file";
                let what = match name {
                    "upstream" => "say it as the `url` of an upstream in portcullis.yaml",
                    "config-file" => "import that file, too: what it asks is not known here",
                    "secure-listen-address" | "insecure-listen-address" => {
                        "say it as the `address` of a listener"
                    }
                    "tls-cert-file" | "tls-private-key-file" => {
                        "say it under `tls` of the listener"
                    }
                    "client-ca-file" => {
                        "say it as `client_roots` of the listener; it lets in and names nobody"
                    }
                    "upstream-force-h2c" => "say `http2: true` of the upstream",
                    "auth-header-fields-enabled"
                    | "auth-header-user-field-name"
                    | "auth-header-groups-field-name"
                    | "auth-header-groups-field-separator" => {
                        "the upstream is told who calls in `X-Portcullis-Account`"
                    }
                    _ => "it has no counterpart",
                };
                let message = format!("`--{}` is not carried over: {what}", name.escape_default());
                draft.notes.push(node.place.clone(), message);
            }
        }
    }
    for (node, path) in ignored {
        route(&node.place, path, Asks::Nothing, draft);
    }
    if !allowed.is_empty() {
        for (node, path) in allowed {
            route(&node.place, path, Asks::Resource(resource_of(path)), draft);
        }
    } else if let (Some(place), false) = (place, has_file) {
        route(&place, "/*", Asks::Resource("api".to_owned()), draft);
    }
}

/// Adds routes for every method on `path`, in which a `*` stands for some of one segment.
fn route(place: &Place, path: &str, asks: Asks, draft: &mut Draft) {
    let mut templates = Vec::new();
    if path == "/*" || path == "*" {
        // The proxy as a whole, whichever way that is said.
        templates.extend(["/".to_owned(), "/{rest...}".to_owned()]);
    } else {
        let mut params = 0;
        let mut template = String::new();
        for (number, part) in path.split('*').enumerate() {
            if number > 0 {
                params += 1;
                template.push_str(&format!("{{p{params}}}"));
            }
            template.push_str(part);
        }
        templates.push(template);
    }
    if path.contains(['[', '?', '\\']) {
        let message = format!(
            "{} is not carried over: only `*` of its pattern is read; write the route by hand",
            quoted(path)
        );
        draft.notes.push(place.clone(), message);
        return;
    }
    let methods = methods();
    let found = Found {
        place,
        id: None,
        methods,
        templates,
        asks,
    };
    super::add(&found, draft);
}

/// Every method that the proxy has a verb for.
fn methods() -> MethodSet {
    let all = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
    ];
    all.into_iter().collect()
}

fn configuration(authorization: &Node, draft: &mut Draft) {
    if let Some(rewrites) = at(authorization, &["rewrites"]) {
        let message = "`rewrites` are not carried over: a value of the request that says where a call belongs is a dimension, write `within: { namespace: query.namespace }` (or `header.NAME`), and grants with `within`";
        draft.notes.push(rewrites.place.clone(), message);
    }
    for entry in items(authorization, &["static"]) {
        fixed(entry, draft);
    }
    let Some(attributes) = at(authorization, &["resourceAttributes"]) else {
        if items(authorization, &["static"]).is_empty() {
            route(
                &authorization.place,
                "/*",
                Asks::Resource("api".to_owned()),
                draft,
            );
        }
        return;
    };
    for key in ["namespace", "name", "apiGroup", "apiVersion"] {
        if let Some(node) = at(attributes, &[key]) {
            let message = format!(
                "`{key}` of `resourceAttributes` is not carried over: a permission is of a resource as a whole; a boundary limits it further"
            );
            draft.notes.push(node.place.clone(), message);
        }
    }
    let resource = text_at(attributes, &["resource"]).unwrap_or("api");
    let resource = match text_at(attributes, &["subresource"]) {
        Some(sub) => format!("{resource}-{sub}"),
        None => resource.to_owned(),
    };
    route(&attributes.place, "/*", Asks::Resource(resource), draft);
}

/// An entry of `static`: who may do what, whatever the cluster says.
fn fixed(entry: &Node, draft: &mut Draft) {
    let user = text_at(entry, &["user", "name"]).unwrap_or("a group");
    let message = format!(
        "{} is not made an account: `portcullis accounts create`, with a role that gives what the route needs",
        quoted(user)
    );
    draft.notes.push(entry.place.clone(), message);
    let path = text_at(entry, &["path"]).unwrap_or("/*");
    let resource = text_at(entry, &["resource"]).map_or_else(|| resource_of(path), str::to_owned);
    let verb = text_at(entry, &["verb"]).unwrap_or("*");
    let methods: MethodSet = match verb {
        "get" | "list" | "watch" => [Method::Get, Method::Head].into_iter().collect(),
        "create" => MethodSet::of(Method::Post),
        "update" => MethodSet::of(Method::Put),
        "patch" => MethodSet::of(Method::Patch),
        "delete" => MethodSet::of(Method::Delete),
        "*" => {
            route(&entry.place, path, Asks::Resource(resource), draft);
            return;
        }
        _ => {
            let message = format!(
                "verb {} is no method, its entry is not carried over: write the route by hand",
                quoted(verb)
            );
            draft.notes.push(entry.place.clone(), message);
            return;
        }
    };
    let before = draft.operations.len();
    let reads = matches!(verb, "get" | "list" | "watch");
    let action = if reads { "view" } else { "edit" };
    let needs = Needs::one(permission_of(&resource, action));
    route(&entry.place, path, Asks::Named(needs), draft);
    // What the verb does not say is no route.
    let added = draft.operations.split_off(before);
    draft
        .operations
        .extend(added.into_iter().filter_map(|mut it| {
            it.methods = it.methods.intersection(methods);
            (!it.methods.is_empty()).then_some(it)
        }));
}
