//! Access rules of Ory Oathkeeper: a list of rules, each with a URL in which `<…>` stands for a pattern.

use super::pieces::{self, Piece};
use super::{Asks, Found, at, items, resource_of, text, text_at};
use crate::import::draft::{Draft, Needs};
use crate::words::{Method, MethodSet, Permission};
use crate::yaml::{Node, Value, quoted};

/// Reads every rule below `root`.
pub(super) fn read(root: &Node, draft: &mut Draft) {
    let rules = match &root.value {
        Value::List(rules) => rules.as_slice(),
        Value::Mapping(_) | Value::Scalar(_) | Value::Nothing => std::slice::from_ref(root),
    };
    for rule in rules {
        read_rule(rule, draft);
    }
}

#[expect(clippy::too_many_lines, reason = "a list of cases, each a line or two")]
fn read_rule(rule: &Node, draft: &mut Draft) {
    let id = text_at(rule, &["id"]);
    let name = id.map_or_else(
        || "a rule without `id`".to_owned(),
        |id| format!("rule {}", quoted(id)),
    );
    let mut note = |node: &Node, message: String| draft.notes.push(node.place.clone(), message);
    let Some(url) = at(rule, &["match", "url"]) else {
        note(
            rule,
            format!("{name} is not carried over: it has no `match.url`"),
        );
        return;
    };
    let methods = methods(rule, &name, &mut note);
    let found = text(url).ok_or_else(|| "its `match.url` is not text".to_owned());
    let found = found.and_then(|it| templates(it, is_glob(rule)));
    let (host, found) = match found {
        Ok(found) => found,
        Err(why) => {
            note(
                url,
                format!("{name} is not carried over: {why}; write its route by hand"),
            );
            return;
        }
    };
    for remark in &found.remarks {
        note(url, format!("{name}: {remark}"));
    }
    if let Some(host) = host {
        note(
            url,
            format!(
                "{name} is for the host {}: its route answers on any, say `hosts: [{}]` in a policy file of its own",
                quoted(&host),
                quoted(&host)
            ),
        );
    }
    if methods.is_empty() {
        note(
            rule,
            format!("{name} is not carried over: it names no method that is forwarded"),
        );
        return;
    }
    about_upstream(rule, &name, &mut note);
    about_mutators(rule, &name, &mut note);
    let resource = found.list.first().map_or("api", |it| it.as_str());
    let Some(asks) = asks(rule, &name, resource_of(resource), &mut note) else {
        return;
    };
    let templates = found.list;
    let found = Found {
        place: &rule.place,
        id,
        methods,
        templates,
        asks,
    };
    super::add(&found, draft);
}

fn methods(rule: &Node, name: &str, note: &mut impl FnMut(&Node, String)) -> MethodSet {
    let mut set = MethodSet::EMPTY;
    for node in items(rule, &["match", "methods"]) {
        let word = text(node).unwrap_or_default();
        match Method::parse(word) {
            Some(method) => set = set.with(method),
            None => note(
                node,
                format!("{name}: {} is not a method that is forwarded", quoted(word)),
            ),
        }
    }
    set
}

/// Whether its patterns are globs: nothing in a rule says so but their form, `<*>` and `<{a,b}>`.
fn is_glob(rule: &Node) -> bool {
    let url = text_at(rule, &["match", "url"]).unwrap_or_default();
    url.contains("<*") || url.contains("<{")
}

/// The host of a URL with patterns, and the templates of its path.
fn templates(url: &str, glob: bool) -> Result<(Option<String>, pieces::Templates), String> {
    let (mut pieces, mut remarks) = (Vec::new(), Vec::new());
    let (host, path) = split(url)?;
    let mut left = path;
    while let Some((literal, rest)) = left.split_once('<') {
        let end = closing(rest).ok_or("it has a `<` that is not closed")?;
        let (source, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.to_owned()));
        }
        let (piece, remark) = if glob {
            glob_hole(source)?
        } else {
            pieces::hole(source)?
        };
        pieces.push(piece);
        remarks.extend(remark);
        left = after.get(1..).unwrap_or_default();
    }
    if !left.is_empty() {
        pieces.push(Piece::Literal(left.to_owned()));
    }
    let mut found = pieces::templates(&pieces)?;
    found.remarks.splice(0..0, remarks);
    Ok((host, found))
}

/// How many bytes stand before the `>` that closes a `<`.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'<' => open += 1,
            b'>' if open == 0 => return Some(at),
            b'>' => open -= 1,
            _ => {}
        }
    }
    None
}

/// The host, unless a pattern says it, and the path, which begins with the first slash behind it that
/// stands in no pattern.
fn split(url: &str) -> Result<(Option<String>, &str), String> {
    let (_, rest) = url
        .split_once("://")
        .ok_or("its URL has no scheme, such as `https://`")?;
    let mut inside = 0_usize;
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            b'<' => inside += 1,
            b'>' => inside = inside.saturating_sub(1),
            b'/' if inside == 0 => {
                let (host, path) = rest.split_at_checked(at).unwrap_or((rest, ""));
                let plain = !host.contains('<') && !host.is_empty();
                return Ok((plain.then(|| host.to_owned()), path));
            }
            _ => {}
        }
    }
    Err("its URL has no path".to_owned())
}

fn glob_hole(source: &str) -> Result<(Piece, Option<String>), String> {
    match source {
        "*" => Ok((Piece::Segment, None)),
        "**" => Ok((Piece::Rest(true), None)),
        _ => {
            let words = source.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
            let words = words.map(|it| it.replace(',', "|"));
            match words.map(|it| pieces::hole(&it)) {
                Some(Ok((Piece::Either(words), None))) => Ok((Piece::Either(words), None)),
                _ => Err(format!(
                    "{} says more than a path template can",
                    quoted(source)
                )),
            }
        }
    }
}

/// What a rule asks; nothing if it lets nobody through.
#[expect(clippy::too_many_lines, reason = "a list of cases, each a line or two")]
fn asks(
    rule: &Node,
    name: &str,
    resource: String,
    note: &mut impl FnMut(&Node, String),
) -> Option<Asks> {
    let handlers: Vec<&str> = items(rule, &["authenticators"])
        .iter()
        .filter_map(|it| text_at(it, &["handler"]))
        .collect();
    let authorizer = text_at(rule, &["authorizer", "handler"]).unwrap_or("allow");
    if authorizer == "deny" || handlers == ["unauthorized"] {
        note(
            rule,
            format!(
                "{name} refuses everybody and becomes no route: what no route names is refused"
            ),
        );
        return None;
    }
    let open = |handler: &&str| matches!(*handler, "noop" | "anonymous");
    if authorizer == "allow" && handlers.iter().any(open) {
        if !handlers.iter().all(open) {
            note(
                rule,
                format!(
                    "{name} lets strangers in beside known callers: its route is to be reviewed"
                ),
            );
        }
        return Some(Asks::Nothing);
    }
    if handlers.is_empty() {
        note(
            rule,
            format!("{name} has no authenticators: its route asks for a permission"),
        );
    }
    for handler in handlers.iter().filter(|it| !open(it)) {
        note(
            rule,
            format!(
                "{name}: authenticator {} is not carried over: callers show a token or key of Portcullis, make accounts for them",
                quoted(handler)
            ),
        );
    }
    if authorizer != "allow" {
        note(
            rule,
            format!(
                "{name}: authorizer {} asks another service: its route asks for a permission instead, give it by roles",
                quoted(authorizer)
            ),
        );
    }
    let scopes: Option<Vec<Permission>> = items(rule, &["authenticators"])
        .iter()
        .flat_map(|it| items(it, &["config", "required_scope"]))
        .map(|scope| text(scope)?.parse().ok())
        .collect();
    match scopes {
        Some(scopes) if !scopes.is_empty() => Some(Asks::Named(Needs::All(scopes))),
        Some(_) => Some(Asks::Resource(resource)),
        None => {
            note(
                rule,
                format!(
                    "{name}: not all of its `required_scope` are permissions of the form `resource:action`: its route asks for one made from the path"
                ),
            );
            Some(Asks::Resource(resource))
        }
    }
}

fn about_upstream(rule: &Node, name: &str, note: &mut impl FnMut(&Node, String)) {
    let Some(upstream) = at(rule, &["upstream"]) else {
        return;
    };
    if let Some(url) = text_at(upstream, &["url"]) {
        let path = url.split_once("://").map_or("", |(_, rest)| rest);
        let path = path.split_once('/').map_or("", |(_, path)| path);
        note(
            upstream,
            format!(
                "{name} leads to {}: say it as the `url` of an upstream in portcullis.yaml",
                quoted(url)
            ),
        );
        if !path.is_empty() {
            note(
                upstream,
                format!(
                    "{name}: the path `/{}` of its upstream is not put before that of the request: paths are forwarded as they come",
                    path.escape_default()
                ),
            );
        }
    }
    if let Some(strip) = text_at(upstream, &["strip_path"]).filter(|it| !it.is_empty()) {
        note(
            upstream,
            format!(
                "{name}: `strip_path` {} is not carried over: paths are forwarded as they come, let the upstream answer there",
                quoted(strip)
            ),
        );
    }
    if text_at(upstream, &["preserve_host"]) == Some("true") {
        note(
            upstream,
            format!(
                "{name}: for `preserve_host` say `host: client` of the upstream in portcullis.yaml"
            ),
        );
    }
}

fn about_mutators(rule: &Node, name: &str, note: &mut impl FnMut(&Node, String)) {
    for mutator in items(rule, &["mutators"]) {
        let handler = text_at(mutator, &["handler"]).unwrap_or_default();
        if handler != "noop" {
            note(
                mutator,
                format!(
                    "{name}: mutator {} is not carried over: the upstream is told who calls in `X-Portcullis-Account`",
                    quoted(handler)
                ),
            );
        }
    }
    if let Some(errors) = at(rule, &["errors"]) {
        note(
            errors,
            format!(
                "{name}: `errors` are not carried over: a refusal is a problem document (RFC 9457)"
            ),
        );
    }
}
