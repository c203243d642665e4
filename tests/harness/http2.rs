//! HTTP/2 by prior knowledge: one connection, many requests at once. The library's client, which
//! obeys the rules; who wants to break them writes frames.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest, handshake};
use http::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::PATIENCE;

/// One connection. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Http2 {
    requests: SendRequest<Bytes>,
    connection: JoinSet<Result<(), h2::Error>>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Reply {
    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

impl Http2 {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket = timeout(PATIENCE, TcpStream::connect(address)).await??;
        socket.set_nodelay(true)?;
        Self::over(socket).await.map_err(io::Error::other)
    }

    /// The client's end of a connection that is there, TLS perhaps.
    pub(crate) async fn over<S>(io: S) -> Result<Self, h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (requests, connection) = handshake(io).await?;
        let mut task = JoinSet::new();
        task.spawn(connection);
        Ok(Self {
            requests,
            connection: task,
        })
    }

    /// What requests are sent by, as often as wanted; it ends with the connection.
    pub(crate) fn requests(&self) -> Requests {
        Requests {
            sender: self.requests.clone(),
            patience: PATIENCE,
        }
    }

    /// Goes without a word.
    pub(crate) async fn hang_up(&mut self) {
        self.connection.shutdown().await;
    }

    /// How the connection ends, as soon as it does within [`PATIENCE`]: the code of a GOAWAY, if it
    /// was one that says that something is wrong.
    pub(crate) async fn end(&mut self) -> Result<(), h2::Error> {
        let ended = timeout(PATIENCE, self.connection.join_next()).await;
        let ended = ended.expect("the connection ends").expect("one task");
        ended.expect("the library does not panic")
    }
}

/// The sending side of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    sender: SendRequest<Bytes>,
    patience: Duration,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// The connection takes no more requests; this one was not sent.
    Unsent(h2::Error),
    /// It was sent, and failed.
    Failed(h2::Error),
    /// It was sent, and no whole answer came in time.
    Silence,
}

/// A request for a target of this host, such as `GET /public/x`.
pub(crate) fn message(line: &str) -> Request<()> {
    let (method, target) = line.split_once(' ').expect("a method and a target");
    let request = Request::builder()
        .method(method)
        .uri(format!("http://gate.test{target}"))
        .version(http::Version::HTTP_2);
    request.body(()).expect("a sound request")
}

impl Requests {
    /// Waits so long for a whole answer.
    pub(crate) fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends a request without a body and waits for the whole answer.
    pub(crate) async fn ask(&self, request: Request<()>) -> Result<Reply, Unanswered> {
        self.send(request, None).await
    }

    /// Sends a request with this body and waits for the whole answer.
    pub(crate) async fn send(
        &self,
        request: Request<()>,
        body: Option<Bytes>,
    ) -> Result<Reply, Unanswered> {
        let mut ready = self
            .sender
            .clone()
            .ready()
            .await
            .map_err(Unanswered::Unsent)?;
        let sent = ready.send_request(request, body.is_none());
        let (answer, mut stream) = sent.map_err(Unanswered::Unsent)?;
        if let Some(body) = body {
            stream.send_data(body, true).map_err(Unanswered::Failed)?;
        }
        let reading = async {
            let (parts, mut stream) = answer.await?.into_parts();
            let mut body = Vec::new();
            while let Some(data) = stream.data().await {
                let data = data?;
                body.extend_from_slice(&data);
                stream.flow_control().release_capacity(data.len())?;
            }
            Ok(Reply {
                status: parts.status,
                headers: parts.headers,
                body,
                trailers: stream.trailers().await?,
            })
        };
        match timeout(self.patience, reading).await {
            Ok(reply) => reply.map_err(Unanswered::Failed),
            Err(_) => Err(Unanswered::Silence),
        }
    }

    /// Begins a request; it is taken back when what this returns is dropped.
    pub(crate) async fn begin(&self, request: Request<()>) -> Result<ResponseFuture, h2::Error> {
        let mut ready = self.sender.clone().ready().await?;
        Ok(ready.send_request(request, true)?.0)
    }
}

#[test]
fn many_requests_share_a_connection() {
    let api = super::Api::http2();
    super::load::run(async {
        let connection = Http2::connect(api.address()).await.unwrap();
        let mut asking = JoinSet::new();
        for _ in 0..10 {
            let requests = connection.requests();
            asking.spawn(async move { requests.ask(message("GET /public/slow/200")).await });
        }
        let began = std::time::Instant::now();
        while let Some(reply) = asking.join_next().await {
            let reply = reply.unwrap().unwrap();
            assert_eq!((reply.status, reply.text()), (StatusCode::OK, "items"));
        }
        assert!(began.elapsed() < Duration::from_millis(1500));
        let body = Some(Bytes::from_static(b"four"));
        let requests = connection.requests();
        let sent = requests.send(message("POST /public/upload"), body);
        assert_eq!(sent.await.unwrap().text(), "4");
    });
}
