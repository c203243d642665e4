//! From a route table back to a description: OpenAPI 3.1, with what each operation asks and how it is
//! refused.
//!
//! What comes out can be read by whoever generates clients and pages from it, and imported again: the
//! permissions come back as the scopes they are. What OpenAPI has no word for is told and left out:
//! methods it does not know, and a second route of one method and path on another host.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::openapi::{MULTI_SEGMENT_KEY, PERMISSION_KEY};
use crate::policy::template::Template;
use crate::words::{Method, MethodSet};

/// The name of our security scheme in an exported document.
const SCHEME: &str = "portcullis";

/// A route as it is answered to whoever lists routes.
#[derive(Debug)]
struct Row {
    methods: MethodSet,
    template: Template,
    needs: Value,
    within: Value,
}

/// A document, and what could not be said in it.
#[derive(Debug)]
pub struct Export {
    /// The document.
    pub document: Value,
    /// What is not in it: one sentence each.
    pub left_out: Vec<String>,
}

/// Describes `routes`, as `routes list` answers them, with `permissions`, as `permissions list` does.
pub fn export(title: &str, routes: &Value, permissions: &Value) -> Export {
    let mut left_out = Vec::new();
    let mut paths: BTreeMap<String, (Template, Map<String, Value>)> = BTreeMap::new();
    let mut order = Vec::new();
    for route in routes.as_array().map_or(&[][..], Vec::as_slice) {
        let Some(row) = row(route) else { continue };
        let shape = row.template.shape().to_owned();
        if !paths.contains_key(&shape) {
            order.push(shape.clone());
            paths.insert(shape.clone(), (row.template.clone(), Map::new()));
        }
        let Some((template, item)) = paths.get_mut(&shape) else {
            continue;
        };
        for method in row.methods.iter() {
            let said = format!("{method} {}", row.template);
            match word_of(method) {
                None => left_out.push(format!("`{said}`: OpenAPI 3.1 has no such method")),
                Some(word) if item.contains_key(word) => left_out.push(format!(
                    "`{said}`: the path is described once already, by another route of its shape"
                )),
                Some(word) => {
                    item.insert(word.to_owned(), operation(&row, template, method));
                }
            }
        }
    }
    let mut described = Map::new();
    for shape in order {
        if let Some((template, mut item)) = paths.remove(&shape)
            && !item.is_empty()
        {
            let parameters = parameters(&template);
            if !parameters.is_empty() {
                item.insert("parameters".to_owned(), parameters.into());
            }
            described.insert(plain(&template), item.into());
        }
    }
    Export {
        document: document(title, &described, &scopes(permissions)),
        left_out,
    }
}

fn row(route: &Value) -> Option<Row> {
    let (methods, template) = route.get("name")?.as_str()?.split_once(' ')?;
    Some(Row {
        methods: methods.split(',').filter_map(Method::parse).collect(),
        template: Template::parse(template).ok()?,
        needs: route.get("needs")?.clone(),
        within: route.get("within").cloned().unwrap_or_default(),
    })
}

/// The key of an operation.
fn word_of(method: Method) -> Option<&'static str> {
    match method {
        Method::Get => Some("get"),
        Method::Head => Some("head"),
        Method::Post => Some("post"),
        Method::Put => Some("put"),
        Method::Patch => Some("patch"),
        Method::Delete => Some("delete"),
        Method::Options => Some("options"),
        Method::Query
        | Method::Propfind
        | Method::Proppatch
        | Method::Mkcol
        | Method::Copy
        | Method::Move
        | Method::Lock
        | Method::Unlock
        | Method::Report
        | Method::Search
        | Method::Purge => None,
    }
}

/// The template without what OpenAPI does not know.
fn plain(template: &Template) -> String {
    template.as_str().replace("...}", "}")
}

fn parameters(template: &Template) -> Vec<Value> {
    let spans = |name: &String| template.as_str().ends_with(&format!("{{{name}...}}"));
    let parameter = |name: &String| {
        let mut parameter = json!({
            "name": name,
            "in": "path",
            "required": true,
            "schema": { "type": "string" },
        });
        if let (true, Some(fields)) = (spans(name), parameter.as_object_mut()) {
            fields.insert(MULTI_SEGMENT_KEY.to_owned(), true.into());
        }
        parameter
    };
    template.params().iter().map(parameter).collect()
}

fn operation(row: &Row, template: &Template, method: Method) -> Value {
    let mut operation = Map::new();
    let id = format!("{method} {}", plain(template));
    operation.insert("operationId".to_owned(), id.into());
    if let Some(security) = security(&row.needs) {
        operation.insert("security".to_owned(), security);
    }
    // It asks for an account and no scope, which no scheme can say.
    if row.needs == "any_account" {
        operation.insert(PERMISSION_KEY.to_owned(), "any_account".into());
    }
    if !row.within.is_null() && row.within != "unlimited" {
        operation.insert("x-portcullis-within".to_owned(), row.within.clone());
    }
    let mut responses = Map::new();
    responses.insert(
        "default".to_owned(),
        json!({ "description": "What the API answers" }),
    );
    if row.needs != "public" {
        for (status, response) in [("401", "Unauthorized"), ("403", "Forbidden")] {
            let reference = format!("#/components/responses/{response}");
            responses.insert(status.to_owned(), json!({ "$ref": reference }));
        }
    }
    operation.insert("responses".to_owned(), responses.into());
    operation.into()
}

/// What is needed, as alternatives of scopes.
fn security(needs: &Value) -> Option<Value> {
    let one = |scopes: Value| json!([{ SCHEME: scopes }]);
    match needs {
        Value::String(word) if word == "public" => Some(json!([])),
        Value::String(word) if word == "any_account" => Some(one(json!([]))),
        Value::String(permission) => Some(one(json!([permission]))),
        Value::Object(fields) => {
            if let Some(all) = fields.get("all") {
                return Some(one(all.clone()));
            }
            let any = fields.get("any")?.as_array()?;
            let alternatives = any.iter().map(|permission| json!({ SCHEME: [permission] }));
            Some(alternatives.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

fn scopes(permissions: &Value) -> Map<String, Value> {
    let rows = permissions.as_array().map_or(&[][..], Vec::as_slice);
    let scope = |row: &Value| {
        let name = row.get("name")?.as_str()?;
        let description = row.get("description").and_then(Value::as_str);
        Some((name.to_owned(), description.unwrap_or_default().into()))
    };
    rows.iter().filter_map(scope).collect()
}

fn document(title: &str, paths: &Map<String, Value>, scopes: &Map<String, Value>) -> Value {
    let refused = |description: &str| {
        json!({
            "description": description,
            "content": {
                "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
            },
        })
    };
    json!({
        "openapi": "3.1.0",
        "info": { "title": title, "version": "1" },
        "paths": paths,
        "components": {
            "securitySchemes": {
                SCHEME: {
                    "type": "oauth2",
                    "description": "A service account's token, made from its API key",
                    "flows": {
                        "clientCredentials": { "tokenUrl": "/oauth/token", "scopes": scopes },
                    },
                },
            },
            "responses": {
                "Unauthorized": refused("No credential, or one that does not count"),
                "Forbidden": refused("The account lacks a permission, or does not hold it here"),
            },
            "schemas": { "Problem": problem() },
        },
    })
}

/// What a refusal says (RFC 9457).
fn problem() -> Value {
    let text = || json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["type", "title", "status", "reason", "request_id"],
        "properties": {
            "type": { "type": "string", "format": "uri" },
            "title": text(),
            "status": { "type": "integer" },
            "detail": text(),
            "instance": { "type": "string", "format": "uri" },
            "reason": text(),
            "request_id": text(),
            "needs": { "description": "What the route needs: a permission, or `all` or `any` of a list" },
            "missing": { "type": "array", "items": text() },
            "boundary": { "type": "object", "additionalProperties": text() },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_says_what_it_asks_in_the_words_of_openapi() {
        let routes = json!([
            { "name": "GET,PROPFIND /a/{x}/{rest...}", "needs": "a:view", "within": { "tenant": "path.x" } },
            { "name": "PUT /a/{y}/{r...}", "needs": { "all": ["a:edit", "b:edit"] }, "within": "unlimited" },
            { "name": "GET /b", "needs": { "any": ["a:view", "b:view"] }, "within": null },
            { "name": "GET /c", "needs": "public", "within": null },
            { "name": "GET /d", "needs": "any_account", "within": null },
            { "name": "GET /b", "needs": "public", "within": null },
        ]);
        let permissions = json!([{ "name": "a:view", "description": "See a" }]);
        let export = export("Pets", &routes, &permissions);
        assert_eq!(
            export.left_out,
            [
                "`PROPFIND /a/{x}/{rest...}`: OpenAPI 3.1 has no such method",
                "`GET /b`: the path is described once already, by another route of its shape",
            ]
        );
        let paths = &export.document["paths"];
        let item = &paths["/a/{x}/{rest}"];
        assert_eq!(
            item["get"]["security"],
            json!([{ "portcullis": ["a:view"] }])
        );
        assert_eq!(
            item["put"]["security"],
            json!([{ "portcullis": ["a:edit", "b:edit"] }])
        );
        assert_eq!(item["parameters"][1]["x-multi-segment"], true);
        assert_eq!(
            item["get"]["x-portcullis-within"],
            json!({ "tenant": "path.x" })
        );
        let any = json!([{ "portcullis": ["a:view"] }, { "portcullis": ["b:view"] }]);
        assert_eq!(paths["/b"]["get"]["security"], any);
        assert_eq!(paths["/c"]["get"]["security"], json!([]));
        assert!(paths["/c"]["get"]["responses"]["403"].is_null());
        assert_eq!(paths["/d"]["get"]["x-portcullis-permission"], "any_account");
    }
}
