//! Asks a running server.

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

use crate::door::connect;
use crate::model::Problem;

/// A server answers within this, or something is wrong with it. Following the log has no end.
const PATIENCE: Duration = Duration::from_mins(1);

/// One who asks the server behind a socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum AskError {
    /// Nobody listens there.
    NotRunning(PathBuf),
    /// The system does not let us in.
    Forbidden(PathBuf),
    /// The connection failed, or what came is no answer.
    Broken(String),
    /// The server refused, and says why.
    Refused {
        /// The number of HTTP.
        status: u16,
        /// In its words.
        problem: Problem,
    },
}

impl Client {
    /// For the server that listens at `socket`.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Looks at something.
    ///
    /// # Errors
    /// Each [`AskError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        self.ask(Method::GET, path, None).await
    }

    /// Does something; `body` is JSON.
    ///
    /// # Errors
    /// Each [`AskError`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, AskError> {
        let body = serde_json::to_vec(body).map_err(|error| AskError::Broken(error.to_string()))?;
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Takes something away.
    ///
    /// # Errors
    /// Each [`AskError`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        self.ask(Method::DELETE, path, None).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, AskError> {
        let mut bytes = Vec::new();
        let keep = |piece: &[u8]| bytes.extend_from_slice(piece);
        let asked = self.pieces(method, path, body, keep);
        timeout(PATIENCE, asked)
            .await
            .map_err(|_| AskError::Broken("the server does not answer".to_owned()))??;
        serde_json::from_slice(&bytes).map_err(broken)
    }

    /// Looks at something that comes in pieces, perhaps for ever. Cancel safe.
    ///
    /// # Errors
    /// Each [`AskError`].
    pub async fn follow(&self, path: &str, take: impl FnMut(&[u8])) -> Result<(), AskError> {
        self.pieces(Method::GET, path, None, take).await
    }

    async fn pieces(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), AskError> {
        let stream = connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "wharf")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(broken)?;
        let asking = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            read(response, &mut take).await
        };
        let (mut asking, mut connection) = (pin!(asking), pin!(connection));
        tokio::select! {
            // The answer comes first: the connection may end behind it.
            biased;
            done = &mut asking => done,
            ended = &mut connection => {
                ended.map_err(broken)?;
                asking.await
            }
        }
    }

    fn unreachable(&self, error: &io::Error) -> AskError {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                AskError::NotRunning(self.socket.clone())
            }
            io::ErrorKind::PermissionDenied => AskError::Forbidden(self.socket.clone()),
            _ => AskError::Broken(error.to_string()),
        }
    }
}

/// Hands over the pieces of a success, or reads what the server says is wrong.
async fn read(response: Response<Incoming>, take: &mut impl FnMut(&[u8])) -> Result<(), AskError> {
    let status = response.status();
    let mut body = response.into_body();
    let mut refusal = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(broken)?;
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
    let said = String::from_utf8_lossy(&refusal).into_owned();
    let problem = serde_json::from_slice(&refusal).unwrap_or(Problem { error: said, hint: None });
    Err(AskError::Refused { status: status.as_u16(), problem })
}

fn broken(error: impl fmt::Display) -> AskError {
    AskError::Broken(error.to_string())
}

impl fmt::Display for AskError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(socket) => {
                write!(out, "no server is running: nobody listens at {}", socket.display())
            }
            Self::Forbidden(socket) => {
                write!(
                    out,
                    "you may not speak with the server: {} is closed to you",
                    socket.display()
                )
            }
            Self::Broken(what) => write!(out, "the server gave no answer: {what}"),
            Self::Refused { problem, .. } => out.write_str(&problem.error),
        }
    }
}

impl std::error::Error for AskError {}
