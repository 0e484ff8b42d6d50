//! Listeners of the API: a local socket for its owner and one group, and an optional TCP port for
//! metrics.

mod metrics;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io;
use std::path::Path;

use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};

use crate::api::Api;
use crate::routes;

pub use metrics::MetricsListener;

#[cfg(unix)]
pub(crate) use unix::connect;
#[cfg(unix)]
use unix::{LocalListener, PeerIdentity};
#[cfg(windows)]
pub(crate) use windows::connect;
#[cfg(windows)]
use windows::{LocalListener, PeerIdentity};

/// The local socket of the API. Dropping it removes the socket file.
pub struct AdminSocket(LocalListener);

impl AdminSocket {
    /// Listens at `path`, for its owner and the members of the group with the id `group`. A socket
    /// file left by a server that has ended is replaced. `stable_path` is another path to the same
    /// place that cannot be redirected meanwhile, such as one below an open folder; else it is
    /// `path`.
    ///
    /// # Errors
    /// `AddrInUse` if another server listens there; otherwise the error of the system.
    pub fn open(path: &Path, stable_path: &Path, group: Option<u32>) -> io::Result<Self> {
        LocalListener::open(path, stable_path, group).map(Self)
    }

    /// Listens beside `path`, for a server that will replace the one there; see
    /// [`AdminSocket::take_over`].
    ///
    /// # Errors
    /// The error of the system.
    pub fn open_for_takeover(
        path: &Path,
        stable_path: &Path,
        group: Option<u32>,
    ) -> io::Result<Self> {
        LocalListener::open_for_takeover(path, stable_path, group).map(Self)
    }

    /// Moves the socket to its path in one step: new requests reach this server. The server that
    /// was there before does not remove the file.
    ///
    /// # Errors
    /// The error of the system; then nothing has changed.
    pub fn take_over(&mut self) -> io::Result<()> {
        self.0.take_over()
    }

    /// The current path of the socket file.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Serves requests until the future is dropped, which also ends running responses.
    pub async fn serve(self, api: Api) {
        let backend = api.backend.clone();
        let log_layer = from_fn(
            move |ConnectInfo(peer): ConnectInfo<PeerIdentity>, request: Request, next: Next| {
                let backend = backend.clone();
                async move {
                    // Requests that only read are not logged.
                    if request.method() != axum::http::Method::GET {
                        let path = request.uri().path();
                        backend.log_request(&peer.to_string(), request.method().as_str(), path);
                    }
                    next.run(request).await
                }
            },
        );
        let router = routes::router(api).layer(log_layer);
        let service = router.into_make_service_with_connect_info::<PeerIdentity>();
        // It never returns.
        let _ = axum::serve(self.0, service).await;
    }
}
