//! The document that describes the admin API: OpenAPI 3.1, made from the table of endpoints.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};

use super::endpoint::{Answer, Endpoint, Shape};
use super::serve::BASE;
use super::{endpoints, shapes};

/// Answers of every endpoint that is guarded, besides its own.
const ALWAYS: [(u16, &str); 8] = [
    (
        400,
        "The request cannot be read, or its body names what is not there; `field` says where",
    ),
    (401, "The credential is missing or not good"),
    (403, "The caller may not; `missing` says what he lacks"),
    (
        404,
        "What the path or the query names is not there, or the caller does not see it",
    ),
    (408, "The body took too long"),
    (421, "The admin API is not asked by this name"),
    (
        429,
        "Too many wrong credentials from there, or more than the account may ask",
    ),
    (503, "It cannot be done now; ask again"),
];
/// Answers of endpoints that read a body.
const WITH_BODY: [(u16, &str); 2] = [
    (413, "The body is too long"),
    (415, "The body is not `application/json`"),
];
/// What endpoints answer that change something.
const CHANGING: (u16, &str) = (409, "Something stands against it; `detail` says what");
/// What those answer that change one thing, of which a version may be stated.
const STALE: (u16, &str) = (412, "It was changed since; `newer` is what it is now");

static TEXT: LazyLock<String> =
    LazyLock::new(|| serde_json::to_string_pretty(&document()).unwrap_or_default() + "\n");

/// The document as it is served.
pub(super) fn text() -> &'static str {
    &TEXT
}

/// The document.
pub fn document() -> Value {
    let mut schemas: BTreeMap<String, RefOr<Schema>> = BTreeMap::new();
    let problem = Shape::of::<shapes::Problem>();
    let mut paths = Map::new();
    collect(problem, &mut schemas);
    for endpoint in endpoints::all() {
        let shapes = endpoint.body.into_iter().chain([endpoint.answer.shape()]);
        shapes.for_each(|shape| collect(shape, &mut schemas));
        let path = format!("{BASE}{}", endpoint.path);
        let path = paths.entry(path).or_insert_with(|| json!({}));
        let verb = endpoint.verb.http().as_str().to_ascii_lowercase();
        if let Some(path) = path.as_object_mut() {
            path.insert(verb, operation(endpoint));
        }
    }
    paths.insert(crate::oauth::token::PATH.to_owned(), token());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Portcullis admin API",
            "description": "Manages accounts, keys, roles and groups of a gateway, and tells what it does. \
                            Every endpoint names the permission it asks for as `x-portcullis-permission`. \
                            An `If-Match` other than `*` is 400 where it is no parameter.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "key": [] }, { "header": [] }],
        "paths": paths,
        "x-portcullis-host-only": host_only(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token of the admin API's own audience, from its `/oauth/token`",
                },
                "key": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "A key id and its secret",
                },
                "header": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Api-Key",
                    "description": "A key id, a dot and its secret",
                },
            },
        },
    })
}

/// What is not here, and why.
fn host_only() -> Value {
    let known = crate::admin::HOST_ONLY.iter();
    let told = known.map(|(name, why)| (name.to_ascii_lowercase(), json!(why)));
    Value::Object(told.collect())
}

fn collect(shape: Shape, schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    let mut parts = Vec::new();
    (shape.parts)(&mut parts);
    schemas.extend(parts);
    schemas.insert((shape.name)(), (shape.schema)());
}

fn refers(shape: Shape) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", (shape.name)()) })
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut told = Map::new();
    told.insert("operationId".into(), json!(endpoint.id));
    told.insert("tags".into(), json!([endpoint.tag]));
    told.insert("summary".into(), json!(endpoint.summary));
    if let Some(permission) = endpoint.permission {
        told.insert("x-portcullis-permission".into(), json!(permission));
    }
    let parameters = parameters(endpoint);
    if !parameters.is_empty() {
        told.insert("parameters".into(), json!(parameters));
    }
    if let Some(body) = endpoint.body {
        let content = json!({ "application/json": { "schema": refers(body) } });
        told.insert(
            "requestBody".into(),
            json!({ "required": true, "content": content }),
        );
    }
    told.insert("responses".into(), responses(endpoint));
    Value::Object(told)
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let text = || json!({ "type": "string" });
    let in_path = endpoint
        .parameters()
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text() }));
    let query = endpoint.query.iter().map(|known| {
        json!({ "name": known.name, "in": "query", "description": known.about, "schema": text() })
    });
    let mut parameters: Vec<_> = in_path.chain(query).collect();
    if matches!(endpoint.answer, Answer::Pages(..)) {
        parameters.push(json!({
            "name": "limit", "in": "query", "description": "Most entries; more than 1000 are 1000",
            "schema": { "type": "integer", "minimum": 1, "default": super::read::PAGE_DEFAULT },
        }));
        parameters.push(json!({
            "name": "cursor", "in": "query", "schema": text(),
            "description": "Where the page begins: from the `Link` of the page before",
        }));
    }
    if endpoint.has_versions() {
        parameters.push(json!({
            "name": "If-Match", "in": "header", "schema": text(),
            "description": "The `ETag` of what may be changed, several of them, or `*`; if it is none of them by \
                            now, 412. What cannot be read as that is 400",
        }));
    }
    if endpoint.can_be_asked_again() {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header",
            "schema": { "type": "string", "minLength": 1, "maxLength": super::again::KEY_BYTES_MAX },
            "description": "Whoever sends the same again with the same key within an hour gets the same answer, \
                            and it is not done again. Kept in memory: not across a restart",
        }));
    }
    parameters
}

fn responses(endpoint: &Endpoint) -> Value {
    let shape = refers(endpoint.answer.shape());
    let schema = match endpoint.answer {
        Answer::Pages(..) | Answer::List(_) => json!({ "type": "array", "items": shape }),
        Answer::One(_) | Answer::Made(..) => shape,
    };
    let mut done = json!({
        "description": "Done",
        "content": { "application/json": { "schema": schema } },
    });
    let mut headers = headers(endpoint.answer);
    if endpoint.can_be_asked_again() {
        let about = "`true` if it was done before, for the same `Idempotency-Key`";
        let header = json!({ "description": about, "schema": { "type": "string" } });
        headers.insert("Idempotent-Replayed".into(), header);
    }
    if let (Some(done), false) = (done.as_object_mut(), headers.is_empty()) {
        done.insert("headers".into(), Value::Object(headers));
    }
    let mut responses = Map::new();
    responses.insert(endpoint.answer.status().as_u16().to_string(), done);
    let mut known: Vec<_> = ALWAYS.to_vec();
    known.extend(WITH_BODY);
    known.extend(endpoint.changes().then_some(CHANGING));
    known.extend(endpoint.has_versions().then_some(STALE));
    if endpoint.can_be_asked_again() {
        known.push((422, "The `Idempotency-Key` was used for another request"));
    }
    known.sort_unstable();
    let problem = refers(Shape::of::<shapes::Problem>());
    for (status, about) in known {
        let content = json!({ "application/problem+json": { "schema": problem } });
        responses.insert(
            status.to_string(),
            json!({ "description": about, "content": content }),
        );
    }
    Value::Object(responses)
}

fn headers(answer: Answer) -> Map<String, Value> {
    let header = |about: &str| json!({ "description": about, "schema": { "type": "string" } });
    let mut headers = Map::new();
    match answer {
        Answer::One(_) => {
            headers.insert("ETag".into(), header("The version of it, for `If-Match`"));
        }
        Answer::Made(..) => {
            headers.insert("ETag".into(), header("The version of it, for `If-Match`"));
            headers.insert("Location".into(), header("Where it is"));
        }
        Answer::Pages(..) => {
            headers.insert("Link".into(), header("The next page, if there is one"));
        }
        Answer::List(_) => {}
    }
    headers
}

/// `POST /oauth/token`, which has a vocabulary of its own (RFC 6749).
fn token() -> Value {
    let answer = |about: &str| {
        json!({
            "description": about,
            "content": { "application/json": { "schema": { "type": "object" } } },
        })
    };
    json!({ "post": {
        "operationId": "getToken",
        "tags": ["tokens"],
        "summary": "Makes a token for the admin API from a key",
        "security": [{ "key": [] }],
        "requestBody": { "required": true, "content": { "application/x-www-form-urlencoded": { "schema": {
            "type": "object",
            "required": ["grant_type"],
            "properties": {
                "grant_type": { "type": "string", "enum": ["client_credentials"] },
                "scope": { "type": "string" },
            },
        } } } },
        "responses": {
            "200": answer("The token"),
            "400": answer("The request cannot be read, or asks for too much"),
            "401": answer("The key is not good"),
            "408": { "description": "The body took too long" },
            "413": { "description": "The body is too long" },
            "421": { "description": "The admin API is not asked by this name" },
            "429": answer("Too many wrong credentials from there"),
            "503": answer("There is nothing to sign with"),
        },
    } })
}
