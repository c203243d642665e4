//! Below which path an API lies: `servers` and `basePath`.
//!
//! Only the path of a server's URL matters: who answers is what the settings call the upstream. So
//! several servers that differ in their host are one here, and a variable in a host needs no value.

use super::Options;
use super::document::{Document, Node, find};
use crate::yaml::quoted;

/// The path that a document's own servers have in common, without a slash at its end.
///
/// # Errors
///
/// A sentence that says which flag would settle it.
pub(super) fn prefix(servers: &[Server], options: &Options) -> Result<String, String> {
    if let Some(chosen) = &options.server {
        return chosen_prefix(chosen, servers, options);
    }
    let mut prefixes = Vec::new();
    for server in servers {
        let prefix = server.prefix(options)?;
        if !prefixes.contains(&prefix) {
            prefixes.push(prefix);
        }
    }
    match prefixes.as_slice() {
        [] => Ok(String::new()),
        [one] => Ok(one.clone()),
        _ => {
            let listed = servers
                .iter()
                .zip(1..)
                .map(|(server, number)| format!("{number}: {}", quoted(&server.url)));
            let listed: Vec<_> = listed.take(20).collect();
            Err(format!(
                "the API lies below different paths, by server: {}; say which is meant, with `--server 1` or `--server URL`",
                listed.join(", ")
            ))
        }
    }
}

fn chosen_prefix(chosen: &str, servers: &[Server], options: &Options) -> Result<String, String> {
    if let Ok(number) = chosen.parse::<usize>() {
        let server = number.checked_sub(1).and_then(|at| servers.get(at));
        let server = server.ok_or_else(|| {
            format!(
                "there is no server {number}, the document names {}",
                servers.len()
            )
        })?;
        return server.prefix(options);
    }
    let known = servers.iter().find(|server| server.url == chosen);
    match known {
        Some(server) => server.prefix(options),
        None => {
            let url = chosen.to_owned();
            Server {
                url,
                variables: Vec::new(),
            }
            .prefix(options)
        }
    }
}

/// A server as a document names it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) url: String,
    /// Its variables, with what is said about their values.
    variables: Vec<(String, String)>,
}

impl Server {
    /// The servers of a document, a path or an operation.
    pub(super) fn listed<'d>(document: &Document<'d>, node: Option<Node<'d>>) -> Vec<Self> {
        let items = node
            .and_then(|node| document.items(node))
            .unwrap_or_default();
        let server = |node| {
            let entries = document.entries(node)?;
            let url = document.text(find(&entries, "url")?)?;
            // Some descriptions hold a placeholder that is no URL at all.
            url.contains(|c: char| c.is_ascii_alphanumeric() || c == '/')
                .then_some(())?;
            let variables = find(&entries, "variables").and_then(|node| document.entries(node));
            let variables = variables.unwrap_or_default().into_iter().map(|entry| {
                let fields = document.entries(entry.value).unwrap_or_default();
                let default = find(&fields, "default").and_then(|node| document.text(node));
                (
                    entry.key.into_owned(),
                    default.unwrap_or_default().into_owned(),
                )
            });
            Some(Self {
                url: url.trim().to_owned(),
                variables: variables.collect(),
            })
        };
        items.into_iter().filter_map(server).collect()
    }

    /// What version 2.0 says instead.
    pub(super) fn of_base_path(path: &str) -> Self {
        Self {
            url: format!("/{}", path.trim().trim_start_matches('/')),
            variables: Vec::new(),
        }
    }

    /// The path of its URL, without a slash at the end.
    pub(super) fn prefix(&self, options: &Options) -> Result<String, String> {
        let mut path = path_of(&self.url).to_owned();
        let mut missing = Vec::new();
        for name in variables(&path) {
            match options
                .server_variables
                .iter()
                .find(|(known, _)| *known == name)
            {
                Some((_, value)) => path = path.replace(&format!("{{{name}}}"), value),
                None => missing.push(name),
            }
        }
        if !missing.is_empty() {
            let said = missing.iter().map(|name| self.flag(name));
            let said: Vec<_> = said.collect();
            return Err(format!(
                "the path of the server {} has variables: say {}",
                quoted(&self.url),
                said.join(" ")
            ));
        }
        // A variable may have been the whole beginning of a URL.
        let path = path_of(&path);
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let path = path.trim_end_matches('/');
        if path.is_empty() || path.starts_with('/') {
            return Ok(path.to_owned());
        }
        Ok(format!("/{}", path.trim_start_matches("./")))
    }

    /// How to say the value of a variable.
    fn flag(&self, name: &str) -> String {
        let default = self.variables.iter().find(|(known, _)| known == name);
        let default = default.map_or("", |(_, default)| default.as_str());
        let value = if default.is_empty() { "…" } else { default };
        format!("`--server-variable {name}={value}`")
    }
}

/// What follows scheme and authority.
fn path_of(url: &str) -> &str {
    let authority = match url.split_once("://") {
        Some((_, rest)) => rest,
        None => match url.strip_prefix("//") {
            Some(rest) => rest,
            None => return url,
        },
    };
    let mut depth = 0_usize;
    let slash = authority.bytes().position(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        byte == b'/' && depth == 0
    });
    slash
        .and_then(|slash| authority.get(slash..))
        .unwrap_or_default()
}

/// The names between braces.
fn variables(text: &str) -> Vec<String> {
    let names = text.split('{').skip(1);
    let names = names
        .filter_map(|part| part.split_once('}'))
        .map(|(name, _)| name.to_owned());
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(url: &str, given: &[(&str, &str)]) -> Result<String, String> {
        let given = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let options = Options {
            server_variables: given.collect(),
            ..Options::default()
        };
        let variables = vec![("version".to_owned(), "v2".to_owned())];
        Server {
            url: url.to_owned(),
            variables,
        }
        .prefix(&options)
    }

    #[test]
    fn only_the_path_of_a_server_matters() {
        for (url, expected) in [
            ("https://api.github.com", ""),
            ("https://api.example.com/", ""),
            ("https://api.example.com/v1/", "/v1"),
            ("//api.example.com/v1", "/v1"),
            ("/v1", "/v1"),
            ("/", ""),
            ("v1", "/v1"),
            ("./v1", "/v1"),
            ("{protocol}://{hostname}/api/v3", "/api/v3"),
            ("https://{region}.example.com:{port}/v1?x#y", "/v1"),
            ("", ""),
        ] {
            assert_eq!(prefix(url, &[]), Ok(expected.to_owned()), "{url}");
        }
    }

    #[test]
    fn a_variable_in_the_path_has_to_be_said() {
        let url = "https://example.com/{version}/{site}";
        let said = prefix(url, &[("site", "a")]).unwrap_err();
        assert_eq!(
            said,
            "the path of the server `https://example.com/{version}/{site}` has variables: say `--server-variable version=v2`"
        );
        assert_eq!(
            prefix(url, &[("site", "a"), ("version", "v3")]),
            Ok("/v3/a".to_owned())
        );
        assert!(
            prefix("{base}/v1", &[])
                .unwrap_err()
                .contains("`--server-variable base=…`")
        );
        let whole = prefix("{base}/v1", &[("base", "https://example.com/api")]);
        assert_eq!(whole, Ok("/api/v1".to_owned()));
    }
}
