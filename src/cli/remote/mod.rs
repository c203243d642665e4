//! Operations over the admin API of a server elsewhere: the same operation goes in and the same answer
//! comes out as on the control socket, and the same exit code if it is a no.
//!
//! The key never travels with an operation. It is shown once to the server's own token endpoint, and
//! what is asked after that carries a token for the admin API's audience, which ends by itself.
//!
//! A change whose answer was lost is asked for once more. It carries an `Idempotency-Key`, so that the server
//! answers what it answered before and does nothing twice; what is no `POST` comes to the same when it is
//! done twice. Only a server that began anew in between has forgotten the key, and then it is said.

mod key;
mod origin;
mod token;
mod way;
mod wire;

use std::cell::RefCell;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderName, Method, Request, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::transport::Operation;
use super::{Exit, Failure};
use crate::admin::{self, ErrorKind};
use crate::reason::Reason;
use crate::words::random_base62;
pub(super) use key::Key;
pub(super) use origin::Origin;
use token::Token;
use way::{Call, PAGE_MAX, Pages, Way};
use wire::{Answer, Wire};

/// The header by which a server knows what it did already.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Stands in an answer that the server gave before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Random characters of such a key: what opens a kept answer cannot be guessed.
const IDEMPOTENCY_KEY_LENGTH: usize = 22;
/// What is said where nobody knows how often something was done.
const MAY_BE_DONE: &str = "it may have been done: `portcullis audit list` tells";

/// A server elsewhere, and the key it is managed with.
pub(super) struct Server {
    runtime: Runtime,
    origin: Origin,
    key: Key,
    inner: RefCell<Inner>,
}

struct Inner {
    wire: Wire,
    token: Option<Token>,
    /// What whoever asked should know besides the answer.
    said: Option<String>,
}

impl Server {
    /// The server at `origin`; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When `authorities` cannot be read, or this machine has none.
    pub(super) fn new(
        origin: Origin,
        authorities: Option<&Path>,
        key: Key,
    ) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::server)?;
        Ok(Self {
            runtime,
            inner: RefCell::new(Inner {
                wire: Wire::new(origin.clone(), authorities)?,
                token: None,
                said: None,
            }),
            origin,
            key,
        })
    }

    /// Where it is.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The key it is managed with.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// What should be known besides the last answer, once.
    pub(super) fn said(&self) -> Option<String> {
        self.inner.borrow_mut().said.take()
    }

    /// Has the server carry out `operation`.
    ///
    /// # Errors
    ///
    /// What the server says, or why it could not be asked.
    pub(super) fn ask(&self, operation: &Operation) -> Result<Value, Failure> {
        let row = match way::of(operation) {
            Way::Api(row) => row,
            Way::Host => return Err(host_only(operation)),
        };
        let call = row.call(operation)?;
        match &call.pages {
            None => Ok(self.send(&call)?.0),
            Some(pages) => self.pages(&call, pages),
        }
    }

    /// A list from as many pages as it takes.
    fn pages(&self, call: &Call, pages: &Pages) -> Result<Value, Failure> {
        let mut entries: Vec<Value> = Vec::new();
        let mut cursor = pages.after.as_deref().map(admin::http::cursor);
        loop {
            let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
            let rest = pages.limit.map(|limit| limit.saturating_sub(count));
            if rest == Some(0) {
                break;
            }
            let mut page = call.clone();
            let most = rest.unwrap_or(PAGE_MAX).min(PAGE_MAX);
            page.query.push(("limit".to_owned(), most.to_string()));
            page.query
                .extend(cursor.take().map(|cursor| ("cursor".to_owned(), cursor)));
            let (answer, next) = self.send(&page)?;
            let Value::Array(answer) = answer else {
                return Err(self.not_ours());
            };
            entries.extend(answer);
            if next.is_none() {
                break;
            }
            cursor = next;
        }
        Ok(entries.into())
    }

    /// Sends one request; its answer, and where the next page begins.
    fn send(&self, call: &Call) -> Result<(Value, Option<String>), Failure> {
        let inner = &mut *self.inner.borrow_mut();
        self.runtime.block_on(async {
            let request = Self::request(call)?;
            let was_renewed = self.renew(inner).await?;
            let mut answer = self.exchange(inner, &request).await?;
            // A server that began anew knows other signing keys; it was refused, so nothing was done.
            if answer.status == StatusCode::UNAUTHORIZED && !was_renewed {
                inner.token = None;
                self.renew(inner).await?;
                answer = self.exchange(inner, &request).await?;
            }
            self.read(&answer)
        })
    }

    /// What is sent, but for the token.
    fn request(call: &Call) -> Result<Request<Bytes>, Failure> {
        let mut target = call.path.clone();
        if !call.query.is_empty() {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&call.query);
            target = format!("{target}?{}", query.finish());
        }
        let mut request = Request::builder().method(call.method.clone()).uri(target);
        if call.method == Method::POST {
            let key = random_base62(IDEMPOTENCY_KEY_LENGTH);
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        let mut body = Bytes::new();
        if let Some(json) = &call.body {
            request = request.header(header::CONTENT_TYPE, "application/json");
            body = json.to_string().into();
        }
        request.body(body).map_err(Failure::server)
    }

    /// Sends a request, and a second time if it changes something and its answer was lost.
    async fn exchange(
        &self,
        inner: &mut Inner,
        request: &Request<Bytes>,
    ) -> Result<Answer, Failure> {
        let mut request = request.clone();
        if let Some(token) = &inner.token {
            let headers = request.headers_mut();
            headers.insert(header::AUTHORIZATION, token.header());
        }
        let lost = match inner.wire.ask(request.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(none) if none.may_be_done && request.method() != Method::GET => none,
            Err(none) => return Err(none.into()),
        };
        let Ok(answer) = inner.wire.ask(request.clone()).await else {
            let failure = lost.failure;
            return Err(Failure::new(
                failure.exit,
                format_args!("{failure}, and not when asked again; {MAY_BE_DONE}"),
            ));
        };
        let was_known = answer.headers.contains_key(REPLAYED);
        if !answer.status.is_success() {
            let refusal = self.refusal(&answer);
            return Err(Failure::new(
                refusal.exit,
                format_args!(
                    "{refusal} (asked twice, because the first answer was lost: {MAY_BE_DONE})"
                ),
            ));
        }
        if request.method() == Method::POST && !was_known {
            let said = "asked twice, because the first answer was lost, and the server knew of no first \
                        time; if it began anew just then, it may have been done twice: `portcullis audit \
                        list` tells";
            inner.said = Some(said.to_owned());
        }
        Ok(answer)
    }

    /// Gets a token if there is none that is good for a while; says whether it did.
    async fn renew(&self, inner: &mut Inner) -> Result<bool, Failure> {
        if inner.token.as_ref().is_some_and(Token::is_fresh) {
            return Ok(false);
        }
        inner.token = None;
        let answer = inner.wire.ask(token::request(&self.key)?).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(Failure::new(
                Exit::NotPermitted,
                format_args!(
                    "`{}` does not take key {}: it may have ended, or not be one of its keys; `portcullis \
                     login {}` takes another",
                    self.origin, self.key.id, self.origin
                ),
            ));
        }
        if !answer.status.is_success() {
            return Err(match answer.status {
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => self.not_ours(),
                _ => self.refusal(&answer),
            });
        }
        inner.token = Some(Token::read(&answer.body).ok_or_else(|| self.not_ours())?);
        Ok(true)
    }

    fn read(&self, answer: &Answer) -> Result<(Value, Option<String>), Failure> {
        if !answer.status.is_success() {
            return Err(self.refusal(answer));
        }
        let value = serde_json::from_slice(&answer.body).map_err(|_| self.not_ours())?;
        Ok((value, next(answer)))
    }

    /// What the server says against it, with the exit code of the same no on the control socket.
    fn refusal(&self, answer: &Answer) -> Failure {
        let Ok(problem) = serde_json::from_slice::<Problem>(&answer.body) else {
            return self.not_ours();
        };
        // A listener of the gateway, perhaps of the same one, has no such routes.
        if problem.reason.as_deref() == Some(Reason::RouteMissing.public_code()) {
            return self.not_ours();
        }
        let said = problem.detail.or(problem.error_description);
        let said = said.unwrap_or_else(|| answer.status.to_string());
        let exit = problem.kind.map_or_else(|| exit(answer.status), Exit::from);
        let request = problem.request_id.unwrap_or_default();
        match (answer.status, exit) {
            (StatusCode::UNAUTHORIZED, _) => Failure::new(
                exit,
                format_args!(
                    "{said}; `portcullis login {}` takes another key",
                    self.origin
                ),
            ),
            (_, Exit::Server) if !request.is_empty() => {
                Failure::new(exit, format_args!("{said} (request {request})"))
            }
            (_, _) => Failure::new(exit, said),
        }
    }

    fn not_ours(&self) -> Failure {
        Failure::server(format_args!(
            "what answers at `{}` is not the admin API of a gateway: the URL is the one of `admin:` in \
             its settings",
            self.origin
        ))
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// What is said of what nobody asks from elsewhere.
fn host_only(operation: &Operation) -> Failure {
    let why = operation.host_only().unwrap_or("it has no endpoint");
    Failure::usage(format_args!(
        "this is not asked of a server elsewhere ({why}): run it on its machine, without `--server` and \
         `--context`"
    ))
}

/// What matters of a problem document, or of an error of the token endpoint.
#[derive(Deserialize)]
struct Problem {
    detail: Option<String>,
    error_description: Option<String>,
    kind: Option<ErrorKind>,
    reason: Option<String>,
    request_id: Option<String>,
}

/// What a status is, where nothing says it better.
fn exit(status: StatusCode) -> Exit {
    match status.as_u16() {
        401 | 403 => Exit::NotPermitted,
        404 => Exit::NotFound,
        409 | 412 => Exit::Conflict,
        400 | 405 | 411 | 413 | 414 | 415 | 422 | 428 => Exit::No,
        _ => Exit::Server,
    }
}

/// Where the next page begins, out of `Link`. Only the cursor is taken: whom to ask is not for an
/// answer to say.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.headers.get(header::LINK)?.to_str().ok()?;
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    let (_, query) = target.split_once('?')?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let cursor = pairs.find(|(name, _)| name == "cursor")?;
    rest.contains("rel=\"next\"").then(|| cursor.1.into_owned())
}
