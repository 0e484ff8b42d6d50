//! The first step of a session: TLS, where it begins at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::doors::Arrival;
use crate::control::{Control, Gone};
use crate::exit::Exit;
use crate::net::Stream;
use crate::registry::End;
use crate::session::Session;
use crate::settings::ListenTls;
use crate::shared::Shared;
use crate::tls::protection;

/// Where TLS begins at once, its first byte must come within this time.
const FIRST_BYTE_MAX: Duration = Duration::from_secs(10);
/// The control connection, with TLS already on where the listener is implicit.
pub(super) async fn start(
    shared: &Shared,
    session: &mut Session,
    arrival: Arrival,
) -> Result<Control, Exit> {
    if arrival.tls != ListenTls::Implicit {
        return Ok(Control::new(Stream::Plain(arrival.socket)));
    }
    let no_tls = || Exit::Tls(io::Error::other("there is no certificate"));
    let acceptor = session.tls.clone().ok_or_else(no_tls)?;
    let tie = shared.new_tie();
    acceptor.begun(tie, session.peer.ip());
    let deadline = session.idle_deadline();
    let probe = Arc::clone(&session.probe);
    let handshake = async {
        let first = deadline.min(Instant::now() + FIRST_BYTE_MAX);
        let heard = timeout_at(first, arrival.socket.heard()).await.map_err(|_| Exit::Idle)?;
        let Some(socket) = heard else {
            session.is_silent = true;
            return Err(Exit::Gone(Gone::Closed));
        };
        let shaken = timeout_at(deadline, acceptor.control(socket, tie)).await;
        shaken.map_err(|_| Exit::Idle)?.map_err(Exit::Tls)
    };
    let stream = tokio::select! {
        // A handshake that is done counts.
        biased;
        stream = handshake => stream?,
        reason = probe.ended(End::AfterTransfer) => return Err(Exit::Ended(reason.to_owned())),
    };
    let protection = protection(&stream);
    session.tie = Some(tie);
    session.probe.live.secured(protection.version);
    // Told with the session: a check of the port may do TLS and leave.
    session.secured = Some(protection);
    Ok(Control::new(Stream::Tls(Box::new(stream))))
}
