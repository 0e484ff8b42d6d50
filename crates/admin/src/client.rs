//! The client of the API.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::listener::connect;
use crate::model::{Ban, EmptyResponse, NewBan, Problem, Upgraded};

/// Longest time for a response; following the log is not limited.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// A client of the API on one socket.
#[derive(Clone, Debug)]
pub struct AdminClient {
    socket: PathBuf,
}

/// Why a request failed.
#[derive(Debug)]
pub enum RequestError {
    /// The socket does not exist, or no server listens on it.
    NotRunning {
        /// Path of the socket.
        socket: PathBuf,
        /// As the system names it: the file is missing, or the connection was rejected.
        reason: &'static str,
    },
    /// Another kind of file.
    NotASocket(PathBuf),
    /// Access to the socket is denied.
    Forbidden(PathBuf),
    /// The connection failed, or the response is invalid.
    Failed(String),
    /// The server returned an error.
    Rejected {
        /// HTTP status code.
        status: u16,
        /// The error message and hint.
        problem: Problem,
    },
}

impl AdminClient {
    /// A client for the server that listens at `socket`.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Sends a GET request.
    ///
    /// # Errors
    /// Each [`RequestError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RequestError> {
        self.request(Method::GET, path, None).await
    }

    /// Sends a POST request; `body` is sent as JSON.
    ///
    /// # Errors
    /// Each [`RequestError`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, RequestError> {
        let body =
            serde_json::to_vec(body).map_err(|error| RequestError::Failed(error.to_string()))?;
        self.request(Method::POST, path, Some(body)).await
    }

    /// Sends a DELETE request.
    ///
    /// # Errors
    /// Each [`RequestError`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, RequestError> {
        self.request(Method::DELETE, path, None).await
    }

    /// Starts the program again on the same sockets. A running server of an earlier version has
    /// the path by its old name.
    ///
    /// # Errors
    /// Each [`RequestError`].
    pub async fn upgrade(&self) -> Result<Upgraded, RequestError> {
        match self.post("/v1/upgrade", &EmptyResponse {}).await {
            Err(RequestError::Rejected { status: 404, .. }) => {
                self.post("/v1/hand-over", &EmptyResponse {}).await
            }
            answer => answer,
        }
    }

    /// Bans an address or a network. A running server of an earlier version rejects the names of
    /// this one in the request, so the request is repeated with the old names.
    ///
    /// # Errors
    /// Each [`RequestError`].
    pub async fn ban(&self, ban: &NewBan) -> Result<Ban, RequestError> {
        match self.post("/v1/bans", ban).await {
            Err(RequestError::Rejected { status: 400, .. }) => {
                let NewBan { network, duration_seconds, reason, kick } = ban;
                let old = serde_json::json!({
                    "address": network, "seconds": duration_seconds, "reason": reason, "kick": kick
                });
                self.post("/v1/bans", &old).await
            }
            answer => answer,
        }
    }

    /// Removes the bans of these networks, and returns them.
    ///
    /// # Errors
    /// Each [`RequestError`].
    pub async fn unban(&self, networks: &[String]) -> Result<Vec<String>, RequestError> {
        let networks = networks.join(",");
        // An earlier version reads only the second name, and without it removes all bans.
        self.delete(&format!("/v1/bans?network={networks}&address={networks}")).await
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, RequestError> {
        let mut bytes = Vec::new();
        let keep = |piece: &[u8]| bytes.extend_from_slice(piece);
        let log_request = self.send_request(method, path, body, keep);
        timeout(REQUEST_TIMEOUT, log_request)
            .await
            .map_err(|_| RequestError::Failed("request timed out".to_owned()))??;
        serde_json::from_slice(&bytes).map_err(failed)
    }

    /// Sends a GET request with a possibly endless response, and passes each piece to `take`.
    /// Cancel safe.
    ///
    /// # Errors
    /// Each [`RequestError`].
    pub async fn follow(&self, path: &str, take: impl FnMut(&[u8])) -> Result<(), RequestError> {
        self.send_request(Method::GET, path, None, take).await
    }

    async fn send_request(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), RequestError> {
        let stream = connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "wharf")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(failed)?;
        let asking = async {
            let response = sender.send_request(request).await.map_err(failed)?;
            read(response, &mut take).await
        };
        let (mut asking, mut connection) = (pin!(asking), pin!(connection));
        tokio::select! {
            // The response first: the connection may end right after it.
            biased;
            done = &mut asking => done,
            ended = &mut connection => {
                ended.map_err(failed)?;
                asking.await
            }
        }
    }

    fn unreachable(&self, error: &io::Error) -> RequestError {
        let socket = self.socket.clone();
        match error.kind() {
            io::ErrorKind::NotFound => {
                RequestError::NotRunning { socket, reason: "no such file or directory" }
            }
            // The system also rejects connections to files of other kinds.
            io::ErrorKind::ConnectionRefused if socket.is_file() || socket.is_dir() => {
                RequestError::NotASocket(socket)
            }
            io::ErrorKind::ConnectionRefused => {
                RequestError::NotRunning { socket, reason: "connection refused" }
            }
            io::ErrorKind::PermissionDenied => RequestError::Forbidden(socket),
            _ => RequestError::Failed(format!("cannot connect to {}: {error}", socket.display())),
        }
    }
}

/// Passes the pieces of a successful response to `take`, or reads the error message.
async fn read(
    response: Response<Incoming>,
    take: &mut impl FnMut(&[u8]),
) -> Result<(), RequestError> {
    let status = response.status();
    let mut body = response.into_body();
    let mut refusal = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(failed)?;
        let Some(piece) = frame.data_ref() else { continue };
        if status.is_success() {
            take(piece);
        } else {
            refusal.extend_from_slice(piece);
        }
    }
    if status.is_success() {
        return Ok(());
    }
    let error = String::from_utf8_lossy(&refusal).into_owned();
    let problem = serde_json::from_slice(&refusal).unwrap_or(Problem { error, hint: None });
    Err(RequestError::Rejected { status: status.as_u16(), problem })
}

fn failed(error: impl fmt::Display) -> RequestError {
    RequestError::Failed(error.to_string())
}

impl fmt::Display for RequestError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning { socket, reason } => {
                write!(
                    out,
                    "no server is running: cannot connect to {}: {reason}",
                    socket.display()
                )
            }
            Self::NotASocket(path) => {
                write!(out, "cannot connect to {}: not a socket", path.display())
            }
            Self::Forbidden(socket) => {
                write!(out, "permission denied: cannot open {}", socket.display())
            }
            Self::Failed(what) => write!(out, "request failed: {what}"),
            Self::Rejected { problem, .. } => out.write_str(&problem.error),
        }
    }
}

impl std::error::Error for RequestError {}
