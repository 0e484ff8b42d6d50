//! Which paths there are, and what answers.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_core::Stream;
use serde::Deserialize;

use crate::api::Api;
use crate::backend::LogLines;
use crate::model::{EmptyResponse, Kick, NewBan, Problem, Stop, Unlock};

/// One path and method, as documented.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// `get`, `post` or `delete`.
    pub method: &'static str,
    /// As in `/v1/sessions/{id}`.
    pub path: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// The type of the request's JSON body.
    pub request: Option<&'static str>,
    /// The type of the response; with `[]`, a list of it. A name that is not a type of
    /// [`model`](crate::model) is a content type.
    pub answer: &'static str,
    /// Query parameters: name, JSON Schema type, and meaning.
    pub query: &'static [(&'static str, &'static str, &'static str)],
}

impl Route {
    const fn get(path: &'static str, about: &'static str, answer: &'static str) -> Self {
        Self { method: "get", path, about, request: None, answer, query: &[] }
    }

    const fn post(
        path: &'static str,
        about: &'static str,
        request: Option<&'static str>,
        answer: &'static str,
    ) -> Self {
        Self { method: "post", path, about, request, answer, query: &[] }
    }
}

/// All paths and methods.
pub static ROUTES: &[Route] = &[
    Route::get("/v1/status", "Status of the server", "Status"),
    Route::get("/v1/sessions", "All current sessions", "Session[]"),
    Route::get("/v1/sessions/{id}", "One session with its last commands", "SessionDetails"),
    Route::post("/v1/kick", "End sessions", Some("Kick"), "Kicked"),
    Route::get("/v1/bans", "Banned addresses and networks", "Ban[]"),
    Route::post("/v1/bans", "Ban an address or a network", Some("NewBan"), "Ban"),
    Route {
        method: "delete",
        query: &[("network", "string", "Bans to remove, separated by commas; all if absent")],
        ..Route::get("/v1/bans", "Remove bans, and return them", "string[]")
    },
    Route::post(
        "/v1/upgrade",
        "Start the program again on the same sockets; current sessions end in the old process",
        None,
        "Upgraded",
    ),
    Route::get("/v1/locks", "Accounts locked after too many failed logins", "Lock[]"),
    Route::post("/v1/unlock", "Unlock accounts, and return them", Some("Unlock"), "string[]"),
    Route::post("/v1/reload", "Reload configuration, accounts and certificates", None, "Reloaded"),
    Route::post("/v1/stop", "Let transfers finish, then stop", Some("Stop"), "EmptyResponse"),
    Route {
        query: &[
            ("lines", "integer", "Number of last lines; 100 if absent, 1000 at most"),
            ("session_id", "integer", "Only lines of this session"),
            ("follow", "boolean", "Whether to follow new lines"),
        ],
        ..Route::get("/v1/log", "The last lines of the log", "text/plain")
    },
    Route::get("/metrics", "All metrics, for Prometheus", "text/plain"),
    Route::get("/v1/openapi.json", "This API description", "application/json"),
];

/// The API described in a document that programs read. A test makes it from [`ROUTES`] and
/// [`model`](crate::model).
const OPENAPI: &str = include_str!("../../../docs/reference/openapi.json");
/// Log lines returned by default.
const LOG_LINES_DEFAULT: usize = 100;
/// Log lines returned at most.
const LOG_LINES_MAX: usize = 1000;
/// Longest request body; requests are short lists of names.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// The router of all paths.
pub fn router(api: Api) -> Router {
    let unknown = || async {
        let hint = "paths are listed in /v1/openapi.json".to_owned();
        let problem = Problem { error: "unknown path".to_owned(), hint: Some(hint) };
        (StatusCode::NOT_FOUND, Json(problem))
    };
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/sessions", get(sessions))
        .route("/v1/sessions/{id}", get(session))
        .route("/v1/kick", post(kick))
        .route("/v1/bans", get(bans).post(ban).delete(unban))
        .route("/v1/upgrade", post(upgrade))
        .route("/v1/locks", get(locks))
        .route("/v1/unlock", post(unlock))
        .route("/v1/reload", post(reload))
        .route("/v1/stop", post(stop))
        .route("/v1/log", get(log))
        .route("/metrics", get(metrics))
        .route("/v1/openapi.json", get(openapi))
        .fallback(unknown)
        .layer(axum::extract::DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(api)
}

/// A JSON response, or an error with its status code.
struct Answer(Result<Response, (StatusCode, Problem)>);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self.0 {
            Ok(response) => response,
            Err((status, problem)) => (status, Json(problem)).into_response(),
        }
    }
}

impl Answer {
    fn of<T: serde::Serialize>(status: StatusCode, result: Result<T, Problem>) -> Self {
        Self(match result {
            Ok(value) => Ok(Json(value).into_response()),
            Err(problem) => Err((status, problem)),
        })
    }
}

async fn status(State(api): State<Api>) -> Response {
    Json(api.status(env!("CARGO_PKG_VERSION"))).into_response()
}

async fn sessions(State(api): State<Api>) -> Response {
    Json(api.sessions()).into_response()
}

async fn session(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    let number = id.parse().map_err(|_| Problem {
        error: format!("invalid session id \"{}\"", id.escape_debug()),
        hint: None,
    });
    Answer::of(StatusCode::NOT_FOUND, number.and_then(|id| api.session(id)))
}

async fn kick(State(api): State<Api>, body: Result<Json<Kick>, JsonRejection>) -> Answer {
    match body {
        Ok(Json(kick)) => Answer::of(StatusCode::NOT_FOUND, api.kick(kick).await),
        Err(rejection) => bad_body(&rejection),
    }
}

async fn bans(State(api): State<Api>) -> Response {
    Json(api.backend.bans()).into_response()
}

async fn ban(State(api): State<Api>, body: Result<Json<NewBan>, JsonRejection>) -> Answer {
    match body {
        Ok(Json(ban)) => Answer::of(StatusCode::UNPROCESSABLE_ENTITY, api.backend.ban(ban).await),
        Err(rejection) => bad_body(&rejection),
    }
}

#[derive(Deserialize)]
struct Unban {
    network: Option<String>,
    /// The name in earlier versions. Their commands must not remove all bans.
    address: Option<String>,
}

async fn unban(State(api): State<Api>, query: Result<Query<Unban>, QueryRejection>) -> Answer {
    let Ok(Query(query)) = query else { return bad_query() };
    let split = |text: String| text.split(',').map(|part| part.trim().to_owned()).collect();
    let lifted = api.backend.unban(query.network.or(query.address).map(split)).await;
    Answer::of(StatusCode::NOT_FOUND, lifted)
}

async fn upgrade(State(api): State<Api>) -> Answer {
    Answer::of(StatusCode::CONFLICT, api.backend.upgrade().await)
}

async fn locks(State(api): State<Api>) -> Response {
    Json(api.backend.locks()).into_response()
}

async fn unlock(State(api): State<Api>, body: Result<Json<Unlock>, JsonRejection>) -> Answer {
    match body {
        Ok(Json(unlock)) => {
            Answer::of(StatusCode::NOT_FOUND, api.backend.unlock(unlock.users).await)
        }
        Err(rejection) => bad_body(&rejection),
    }
}

async fn reload(State(api): State<Api>) -> Answer {
    Answer::of(StatusCode::UNPROCESSABLE_ENTITY, api.backend.reload().await)
}

async fn stop(State(api): State<Api>, body: Result<Json<Stop>, JsonRejection>) -> Answer {
    match body {
        Ok(Json(stop)) => {
            api.backend.stop(stop.grace_seconds.map(Duration::from_secs));
            Answer::of(StatusCode::OK, Ok(EmptyResponse {}))
        }
        Err(rejection) => bad_body(&rejection),
    }
}

#[derive(Deserialize)]
struct LogQuery {
    lines: Option<usize>,
    session_id: Option<u64>,
    /// The name in earlier versions.
    session: Option<u64>,
    #[serde(default)]
    follow: bool,
}

async fn log(State(api): State<Api>, query: Result<Query<LogQuery>, QueryRejection>) -> Answer {
    let Ok(Query(query)) = query else { return bad_query() };
    let count = query.lines.unwrap_or(LOG_LINES_DEFAULT).min(LOG_LINES_MAX);
    let session = query.session_id.or(query.session);
    let lines = Lines(api.backend.log(count, session, query.follow));
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Answer(Ok((kind, Body::from_stream(lines)).into_response()))
}

async fn metrics(State(api): State<Api>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, api.backend.metrics()).into_response()
}

async fn openapi() -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, OPENAPI).into_response()
}

fn bad_body(rejection: &JsonRejection) -> Answer {
    Answer(Err((StatusCode::BAD_REQUEST, Problem { error: rejection.body_text(), hint: None })))
}

fn bad_query() -> Answer {
    let hint = Some("parameters are listed in /v1/openapi.json".to_owned());
    let error = "invalid query parameter".to_owned();
    Answer(Err((StatusCode::BAD_REQUEST, Problem { error, hint })))
}

/// Log lines as pieces of a body.
struct Lines(LogLines);

impl Stream for Lines {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context).map(|line| line.map(|line| Ok(line.into())))
    }
}
