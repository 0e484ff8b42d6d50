//! The first step of a session: the handshake of implicit TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::accept::AcceptedClient;
use crate::control::{Control, Disconnect};
use crate::net::Stream;
use crate::registry::End;
use crate::regression::Regression;
use crate::session::Session;
use crate::session_end::SessionEnd;
use crate::settings::ListenTls;
use crate::tls::protection;

/// With implicit TLS, the first byte must arrive within this time.
const FIRST_BYTE_MAX: Duration = Duration::from_secs(10);
/// Creates the control connection, after the TLS handshake on an implicit TLS listener.
pub(super) async fn start(
    session: &mut Session,
    client_conn: Box<AcceptedClient>,
) -> Result<Control, SessionEnd> {
    if client_conn.tls != ListenTls::Implicit {
        return Ok(Control::new(Stream::Plain(client_conn.socket)));
    }
    let no_tls = || SessionEnd::Tls(io::Error::other("no certificate is configured"));
    let acceptor = session.tls.clone().ok_or_else(no_tls)?;
    let binding_id = session.shared.new_binding_id();
    acceptor.handshake_started(binding_id, session.handle.peer.ip(), false);
    let deadline = session.idle_deadline();
    let handle = Arc::clone(&session.handle);
    let handshake = async {
        let first = deadline.min(Instant::now() + FIRST_BYTE_MAX);
        let received = timeout_at(first, client_conn.socket.wait_for_data())
            .await
            .map_err(|_| SessionEnd::Idle)?;
        let Some(socket) = received else {
            session.is_silent = true;
            return Err(SessionEnd::Disconnected(Disconnect::Closed));
        };
        let shaken = timeout_at(deadline, acceptor.control(socket, binding_id)).await;
        shaken.map_err(|_| SessionEnd::Idle)?.map_err(SessionEnd::Tls)
    };
    let how = End::after_transfer_unless(Regression::ShutdownWaitsForHandshake);
    let stream = tokio::select! {
        // A completed handshake comes first.
        biased;
        stream = handshake => stream?,
        reason = handle.ended(how) => {
            return Err(SessionEnd::Terminated(reason.to_owned()));
        }
    };
    let protection = protection(&stream);
    session.binding_id = Some(binding_id);
    session.handle.status.secured(protection.version);
    // Reported with the session: a port check may complete the handshake and disconnect.
    session.secured = Some(Box::new(protection));
    Ok(Control::new(Stream::Tls(Box::new(stream))))
}
