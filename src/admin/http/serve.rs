//! The router made from the table, and the threads it runs on.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawPathParams, Request, State};
use axum::middleware;
use axum::response::Response;
use axum::routing::{self, MethodRouter};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ipnet::IpNet;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::again::{self, Answers, Begun};
use super::around::{
    around, description, id_of, is_known, other_method, source_of, token, unknown,
};
use super::endpoint::{Endpoint, Verb};
use super::guard::{Refused, Whom};
use super::matching;
use super::problem::{Problem, Refusal};
use super::read::{Asked, BODY_BYTES_MAX};
use super::record::{Notes, Place, Records};
use super::respond::{Turn, respond};
use super::{endpoints, guard};
use crate::admin::{AdminError, ErrorKind, Operation, Service, Terms};
use crate::audit::Actor;
use crate::listener::Door;
use crate::listener::aside::{Aside, Bounds};
use crate::oauth;
use crate::settings::{Admin, Listener, Settings, Tokens};
use crate::throttle::{Rates, Throttle};
use crate::verify::Verifier;
use crate::words::{Caller, Rate, RequestId, RequestIds};

/// Where it all is.
pub(super) const BASE: &str = "/api/v1";
/// Where the document is, below [`BASE`].
pub(super) const DOCUMENT: &str = "/openapi.json";
/// Longest time a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Operations at work or waiting for the store at once. They take turns there anyway.
const BLOCKING_MAX: usize = 8;
/// Most of them that only look: a table of everybody takes its time, and who ends a key must not stand
/// behind eight of those.
pub(super) const LOOKS_MAX: usize = BLOCKING_MAX / 2;
/// How long operations at work may take to end when the gateway goes.
const GRACE: Duration = Duration::from_secs(5);
/// Consoles, scripts and pipelines of one gateway, many times over; of one source as many as one machine
/// runs of those. A minute to take an answer whole is enough for the largest page over a bad line.
const BOUNDS: Bounds = Bounds {
    connections: 256,
    per_source: 64,
    head: Duration::from_secs(30),
    taking: Duration::from_secs(60),
};

/// The admin API.
#[derive(Debug)]
pub struct Api {
    pub(super) service: Arc<Service>,
    /// Knows tokens of its own audience only.
    pub(super) verifier: Arc<Verifier>,
    /// Whose sources have shown too many wrong credentials here.
    pub(super) throttle: Throttle,
    pub(super) failures: Rate,
    pub(super) rates: Rates,
    pub(super) tokens: Tokens,
    pub(super) hosts: Vec<String>,
    /// What may be asked for again.
    again: Arc<Answers>,
    /// Peers that are believed about where requests come from.
    pub(super) trusted_proxies: Vec<IpNet>,
    /// Whether who asks too often is told how often it may be.
    pub(super) tells_rates: bool,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    pub(super) records: Records,
    ids: Mutex<RequestIds>,
    /// Room for those that only look.
    pub(super) looks: Arc<Semaphore>,
}

/// Binds the address of `door` and answers there, on threads of its own, until `stop`. Returns the
/// address, with the port it really has, and the thread to wait for.
///
/// # Errors
///
/// When the address is taken.
pub fn start(
    api: Arc<Api>,
    door: Arc<Door>,
    stop: CancellationToken,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let socket = std::net::TcpListener::bind(door.listener.address)?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(BLOCKING_MAX)
        .thread_name("admin")
        .enable_all()
        .build()?;
    let aside = Aside::plain("the admin API", BOUNDS, api.records.metrics());
    let aside = Aside::behind(door, aside);
    let router = api.router();
    let thread = thread::Builder::new()
        .name("admin-api".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                match tokio::net::TcpListener::from_std(socket) {
                    Ok(listener) => aside.serve(listener, router, stop).await,
                    Err(error) => tracing::error!(%error, "the admin API cannot listen"),
                }
            });
            runtime.shutdown_timeout(GRACE);
        })?;
    Ok((address, thread))
}

/// The admin API as a listener: plain or with TLS, and bounded as listeners are.
pub fn listener(admin: &Admin) -> Listener {
    Listener {
        tls: admin.tls.clone(),
        trusted_proxies: admin.trusted_proxies.clone(),
        ..Listener::plain(admin.address)
    }
}

impl Api {
    /// The admin API of `service`, without a socket.
    pub fn new(
        admin: &Admin,
        settings: &Settings,
        service: &Arc<Service>,
        records: Records,
    ) -> Arc<Self> {
        let tokens = Tokens {
            audience: admin.audience.clone(),
            ..settings.tokens.clone()
        };
        Arc::new(Self {
            throttle: Throttle::new(),
            failures: listener(admin).limits.failures(),
            rates: Rates::new(Some(admin.rate), settings.rates.token_endpoint),
            tells_rates: settings.rates.headers,
            trusted_proxies: admin.trusted_proxies.clone(),
            scheme: if admin.tls.is_some() { "https" } else { "http" },
            records,
            // The service's, so that it can tell which tokens are out.
            verifier: service.admin_verifier().map_or_else(
                || Arc::new(Verifier::new(&tokens, service.pepper().cloned())),
                Arc::clone,
            ),
            service: Arc::clone(service),
            tokens,
            hosts: admin.hosts.clone(),
            again: Answers::new(),
            ids: Mutex::default(),
            looks: Arc::new(Semaphore::new(LOOKS_MAX)),
        })
    }

    /// Every endpoint, guarded.
    pub fn router(self: Arc<Self>) -> Router {
        let mut paths: BTreeMap<&str, MethodRouter<Arc<Self>>> = BTreeMap::new();
        for endpoint in endpoints::all() {
            let serve = move |State(api): State<Arc<Self>>, params: RawPathParams, request| {
                api.serve(endpoint, params, request)
            };
            let route = paths.remove(endpoint.path).unwrap_or_default();
            let route = match endpoint.verb {
                Verb::Get => route.get(serve),
                Verb::Post => route.post(serve),
                Verb::Put => route.put(serve),
                Verb::Patch => route.patch(serve),
                Verb::Delete => route.delete(serve),
            };
            paths.insert(endpoint.path, route);
        }
        let mut router = Router::new()
            .route(oauth::token::PATH, routing::post(token))
            .route(&format!("{BASE}{DOCUMENT}"), routing::get(description));
        for (path, route) in paths {
            router = router.route(&format!("{BASE}{path}"), route);
        }
        guarded(router, &self)
    }

    pub(super) fn request_id(&self) -> RequestId {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.next(self.service.now())
    }

    async fn serve(
        self: Arc<Self>,
        endpoint: &'static Endpoint,
        params: RawPathParams,
        request: Request,
    ) -> Response {
        let (id, notes) = (id_of(&request), Notes::of(&request));
        notes.at(Place::Row(endpoint));
        match self.answer(endpoint, params, request, (id, &notes)).await {
            Ok(response) => response,
            Err(refusal) => refusal.response(&id, &notes),
        }
    }

    async fn answer(
        self: Arc<Self>,
        endpoint: &'static Endpoint,
        params: RawPathParams,
        request: Request,
        (id, notes): (RequestId, &Notes),
    ) -> Result<Response, Refusal> {
        let (parts, body) = request.into_parts();
        let source = source_of(&parts.extensions);
        let shown = (&parts.headers, source);
        let asked = (endpoint, notes, (id, source));
        let mut state = guard::state(&self);
        let caller = guard::caller(&self, &state, endpoint, shown);
        let mut caller = self.admitted(caller, asked).await?;
        is_known(&parts.extensions);
        let body = read_body(endpoint, &parts.headers, body).await?;
        if endpoint.body.is_some() {
            state = guard::state(&self);
            let again = guard::again(&self, &state, endpoint, shown);
            caller = self.admitted(again, asked).await?;
        }
        let digest = again::asked(&parts.method, &parts.uri.to_string(), &body);
        let path = params
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let asked = Asked::new(path, parts.uri.query(), |name| endpoint.knows(name), body)?;
        let operation = (endpoint.reads)(&asked)?;
        let page = Turn::of(endpoint, &asked)?;
        let if_match = matching::versions(endpoint, &parts.headers)?;
        let begun = self.begin(endpoint, &parts.headers, (&caller, digest))?;
        let actor = guard::actor(&caller.account, caller.key, (source, id));
        let terms = Terms {
            caller,
            source: Some(source),
            policy: Arc::clone(&state.policy),
            if_match,
            page: page.asked(),
        };
        let first = match begun {
            None => None,
            Some(Begun::First(first)) => Some(first),
            Some(Begun::Again(answer)) => {
                self.may_again(operation, (actor, terms)).await?;
                let mut response = respond(endpoint, answer, &page, &parts.uri);
                let said = HeaderValue::from_static("true");
                response.headers_mut().insert(again::REPLAYED, said);
                return Ok(response);
            }
        };
        let service = Arc::clone(&self.service);
        let looks = self.turn(&operation).await;
        // Whoever goes away meanwhile finds the answer when he asks again. A long one becomes text here:
        // the thread that serves has others to serve.
        let work = move || {
            let answer = service.execute_for(operation, &actor, &terms);
            if let (Some(first), Ok(answer)) = (first, &answer) {
                first.keep(answer);
            }
            let response = answer.map(|answer| respond(endpoint, answer, &page, &parts.uri));
            drop(looks);
            response
        };
        Ok(aside(work).await?)
    }

    /// Waits until another look may begin, where `operation` is one.
    async fn turn(&self, operation: &Operation) -> Option<OwnedSemaphorePermit> {
        match operation.only_looks() {
            true => Arc::clone(&self.looks).acquire_owned().await.ok(),
            false => None,
        }
    }

    /// An answer that holds a secret is not given a second time to whoever may not have it any more, nor
    /// without a record.
    async fn may_again(
        &self,
        operation: Operation,
        (actor, terms): (Actor, Terms),
    ) -> Result<(), AdminError> {
        if !operation.makes_secret() {
            return Ok(());
        }
        let service = Arc::clone(&self.service);
        let work = move || service.permit_again(&operation, &actor, &terms);
        aside(work).await
    }

    /// Notes who asks, and keeps it if he may not.
    async fn admitted(
        &self,
        caller: Result<Caller, Refused>,
        (endpoint, notes, asked): (&'static Endpoint, &Notes, (RequestId, IpAddr)),
    ) -> Result<Caller, Refusal> {
        let refused = match caller {
            Ok(caller) => {
                notes.saw(&caller);
                return Ok(caller);
            }
            Err(refused) => refused,
        };
        if let Whom::Known { account, key } = &refused.whom {
            notes.shows(Some(Arc::clone(account)), *key);
        }
        self.keep(&refused, Place::Row(endpoint), asked).await;
        Err(Refusal::Decision(refused.denial))
    }

    /// Whether this was asked before, where that can be said.
    fn begin(
        &self,
        endpoint: &Endpoint,
        headers: &HeaderMap,
        (caller, asked): (&Caller, [u8; 32]),
    ) -> Result<Option<Begun>, Problem> {
        let key = match endpoint.can_be_asked_again() {
            true => again::key(headers)?,
            false => None,
        };
        let now = self.service.now();
        // Of another key of the account it is another request: its answer may hold a secret.
        let whose = caller.key.map(|key| key.to_string()).unwrap_or_default();
        let begin = |key: String| {
            let key = format!("{whose} {key}");
            self.again.begin(&caller.account.id, &key, asked, now)
        };
        key.map(begin).transpose()
    }
}

/// Has `work` done on a thread that may wait.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AdminError> + Send + 'static,
) -> Result<T, AdminError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        tracing::error!(%error, "an operation did not end well");
        let said = "the operation failed: see the server's log";
        Err(AdminError::new(ErrorKind::Unavailable, said))
    })
}

/// Routes with what every request meets around them, and an answer for those that no route is for.
pub(super) fn guarded(router: Router<Arc<Api>>, api: &Arc<Api>) -> Router {
    router
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
        .layer(middleware::from_fn_with_state(Arc::clone(api), around))
        .with_state(Arc::clone(api))
}

/// The body, if the endpoint reads one; JSON and no longer than may be.
async fn read_body(endpoint: &Endpoint, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    if endpoint.body.is_some() {
        let kind = headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let said = "the body has to be `application/json`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, said));
        }
    }
    let body = collect(body).await?;
    if endpoint.body.is_none() && !body.is_empty() {
        let said = "this endpoint reads no body";
        return Err(Problem::new(StatusCode::BAD_REQUEST, said));
    }
    Ok(body)
}

pub(super) async fn collect(body: Body) -> Result<Bytes, Problem> {
    let read = Limited::new(body, BODY_BYTES_MAX).collect();
    let Ok(read) = timeout(BODY_TIMEOUT, read).await else {
        let said = "the body took too long";
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, said));
    };
    match read {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let said = format!("the body is longer than {BODY_BYTES_MAX} bytes");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, said))
        }
        Err(_) => {
            let said = "the body did not arrive whole";
            Err(Problem::new(StatusCode::BAD_REQUEST, said))
        }
    }
}
