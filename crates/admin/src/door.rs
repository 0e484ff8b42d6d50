//! The ways in: a socket of this computer that its owner and one group may open, and, where
//! somebody wants it, a port with one page of numbers.

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

pub use metrics::MetricsDoor;

#[cfg(unix)]
pub(crate) use unix::connect;
#[cfg(unix)]
use unix::{Asker, Listener};
#[cfg(windows)]
pub(crate) use windows::connect;
#[cfg(windows)]
use windows::{Asker, Listener};

/// A socket that is listened on. Dropping it takes its file away again.
pub struct Door(Listener);

impl Door {
    /// Listens at `path`, for its owner and the members of `group`, by its number, if there is one.
    /// What a server that is gone left there is replaced. `way` is a path to the same place that
    /// holds while it is opened, such as one below an open folder, where `path` could be made to
    /// lead to another; else it is `path`.
    ///
    /// # Errors
    /// `AddrInUse` if another server listens there; what the system says otherwise.
    pub fn open(path: &Path, way: &Path, group: Option<u32>) -> io::Result<Self> {
        Listener::open(path, way, group).map(Self)
    }

    /// Listens beside `path`, for a server that is to take the place of the one there; see
    /// [`Door::take_place`].
    ///
    /// # Errors
    /// What the system says.
    pub fn open_beside(path: &Path, way: &Path, group: Option<u32>) -> io::Result<Self> {
        Listener::open_beside(path, way, group).map(Self)
    }

    /// From now on who asks at the path itself asks here, in one step. The server that was asked
    /// there before leaves our file alone.
    ///
    /// # Errors
    /// What the system says; then all is as before.
    pub fn take_place(&mut self) -> io::Result<()> {
        self.0.take_place()
    }

    /// Where its file is now.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Answers for ever. Dropping the future ends what is being answered.
    pub async fn serve(self, api: Api) {
        let operator = api.operator.clone();
        let told =
            from_fn(move |ConnectInfo(asker): ConnectInfo<Asker>, request: Request, next: Next| {
                let operator = operator.clone();
                async move {
                    // Who only looks is not worth a line a second.
                    if request.method() != axum::http::Method::GET {
                        let path = request.uri().path();
                        operator.asked(&asker.to_string(), request.method().as_str(), path);
                    }
                    next.run(request).await
                }
            });
        let router = routes::router(api).layer(told);
        let service = router.into_make_service_with_connect_info::<Asker>();
        // It never ends by itself.
        let _ = axum::serve(self.0, service).await;
    }
}
