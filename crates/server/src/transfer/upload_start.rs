//! The start of an upload: before 150, and after it for a client that sleeps.

use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::control::{Control, Disconnect};
use crate::drive::{Ending, PendingLine, drive_with_control};
use crate::session::Session;
use crate::tls::HandshakeStage;

/// How long 150 waits for a handshake that the client has started earlier.
const HANDSHAKE_MAX: Duration = Duration::from_secs(1);
/// How long lftp may be silent before it is woken: a non-empty file is being sent by then.
const SILENCE: Duration = Duration::from_millis(50);

/// The start of one upload.
pub(super) struct UploadStart {
    pub(super) is_tls: bool,
    pub(super) stage: watch::Receiver<HandshakeStage>,
    /// Whether the client sleeps until something arrives on its control connection: lftp 4.9 does
    /// in an upload with MODE Z before it sends an empty file, for up to five seconds.
    pub(super) sleeps: bool,
}

impl UploadStart {
    /// Before 150: completes a handshake that the client has started already.
    ///
    /// Node ends an empty upload as soon as it reads 150, even in the middle of a resumed
    /// handshake, which is then never completed. Clients that wait for 150 have sent nothing yet.
    pub(super) async fn before_reply<T>(
        &mut self,
        control: &mut Control,
        session: &mut Session,
        mut moving: Pin<&mut impl Future<Output = T>>,
        pending_line: &mut PendingLine,
    ) -> Option<Ending<T>> {
        if !self.is_tls {
            return None;
        }
        if let Poll::Ready(done) = at_once(moving.as_mut()) {
            return Some(Ending::Done(done));
        }
        if *self.stage.borrow() != HandshakeStage::Begun {
            return None;
        }
        let over =
            timeout(HANDSHAKE_MAX, self.stage.wait_for(|stage| *stage == HandshakeStage::Over));
        until(control, session, moving, pending_line, over).await
    }

    /// After 150: wakes a client that sleeps.
    pub(super) async fn after_reply<T>(
        &self,
        control: &mut Control,
        session: &mut Session,
        moving: Pin<&mut impl Future<Output = T>>,
        pending_line: &mut PendingLine,
    ) -> Result<Option<Ending<T>>, Disconnect> {
        if !self.sleeps {
            return Ok(None);
        }
        let end = until(control, session, moving, pending_line, sleep(SILENCE)).await;
        if end.is_none() && session.handle.moved.load(Ordering::Relaxed) == 0 {
            control.wake().await?;
        }
        Ok(end)
    }
}

/// Reads the control connection until the transfer or `stop` completes.
async fn until<T>(
    control: &mut Control,
    session: &mut Session,
    moving: Pin<&mut impl Future<Output = T>>,
    pending_line: &mut PendingLine,
    stop: impl Future,
) -> Option<Ending<T>> {
    let act = pin!(async {
        tokio::select! {
            // Completion comes first.
            biased;
            done = moving => Some(done),
            _ = stop => None,
        }
    });
    match drive_with_control(control, session, act, pending_line).await {
        Ending::Done(done) => done.map(Ending::Done),
        Ending::Aborted => Some(Ending::Aborted),
        Ending::Ended(reason) => Some(Ending::Ended(reason)),
        Ending::Lost(gone) => Some(Ending::Lost(gone)),
    }
}

/// Polls a future once.
fn at_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
