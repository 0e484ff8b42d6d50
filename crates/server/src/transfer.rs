//! A transfer from 150 to the last reply, while the control connection is read.

mod dying_client;
mod outcome;
mod upload_start;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::debug;
use wharf_core::event::{Direction, Event, Transferred};
use wharf_core::storage::{Sink, Source};
use wharf_proto::path::VPath;
use wharf_proto::reply::{Code, Reply};

use self::outcome::{TransferOutcome, finish};
use self::upload_start::UploadStart;
use crate::control::Control;
use crate::data::{DataPort, OpenError, Opening, PassiveOffer};
use crate::data_conn_outcome::Opened;
use crate::drive::{Ending, PendingLine, drive_with_control};
use crate::net::Stream;
use crate::next::{AnnouncedSize, Job, Transfer, UploadTarget};
use crate::ports::{Lease, UnexpectedPeers};
use crate::pump::{Closing, EndRule, Flow, Mover, Receiving, Sending, TransferError};
use crate::rate_limit::RateLimiter;
use crate::registry::{End, SessionHandle};
use crate::regression::Regression;
use crate::session::Session;
use crate::session_end::SessionEnd;
use crate::session_status::Payload;
use crate::settings::{SessionReuse, Settings};
use crate::shared::Shared;
use crate::tls::{Acceptor, BindingId, DataDirection, HandshakeStage, Resumed};

/// From this size on, a wait for the end of a killed client is short beside the upload.
const LARGE_BYTES: u64 = 1 << 20;

/// How long the last reply of a download waits for the client to close the data connection, which
/// shows that it has read 150. A client that receives both replies in one read can miss the second
/// (aria2 then waits a minute for it). Most clients are much faster. Indexed by the number of
/// consecutive downloads at which the client kept its end open until the last reply: a client that
/// always does so waits less each time, and one that was slow once gets the full time again.
const PEER_CLOSE_MAX: [Duration; 2] = [Duration::from_millis(600), Duration::from_millis(400)];
/// The same for a client that has kept its end open more often.
const KEEPS_OPEN_MAX: Duration = Duration::from_millis(20);
/// A longer transfer needs no wait: its client has read 150 long ago.
const SHORT_MAX: Duration = Duration::from_secs(2);

/// Runs the transfer requested by `line` to its last reply. Returns a line that was received
/// meanwhile and is to be processed next.
///
/// At most one line is kept; then nothing more is read, and TCP flow control slows the client.
pub(crate) async fn run(
    control: &mut Control,
    session: &mut Session,
    transfer: Transfer,
    line: &[u8],
) -> Result<PendingLine, SessionEnd> {
    let Some(port) = session.data.take().map(|port| *port) else {
        let reply = Reply::new(Code::NO_DATA_CONNECTION, "Use PASV, EPSV, PORT or EPRT first.");
        session.report_command(line, true, &reply);
        control.send([&reply], &session.names).await?;
        return Ok(None);
    };
    let opening = Reply::new(Code::OPENING_DATA, transfer.opening);
    let mut transfer_side = DataTransfer::new(session, transfer.job, port.offer());
    session.handle.moved.store(0, Ordering::Relaxed);
    session.handle.is_transferring.store(true, Ordering::Relaxed);
    session.handle.status.transfer_started(transfer_side.payload(), transfer_side.size());
    let mut pending_line = None;
    let mut upload_start = transfer_side.upload_start(session);
    let (end, replied_at) = {
        let mut data = pin!(transfer_side.run(port));
        let first =
            upload_start.before_reply(control, session, data.as_mut(), &mut pending_line).await;
        control.send([&opening], &session.names).await?;
        let replied_at = Instant::now();
        let end = match first {
            None => {
                let data = data.as_mut();
                upload_start.after_reply(control, session, data, &mut pending_line).await?
            }
            first => first,
        };
        let end = match end {
            None => drive_with_control(control, session, data, &mut pending_line).await,
            Some(end) => end,
        };
        (end, replied_at)
    };
    let sent = Instant::now();
    let is_aborted = match transfer_side.sent.take() {
        Some(stream) => {
            wait_for_peer_close(control, session, stream, replied_at, &mut pending_line).await
        }
        None => false,
    };
    transfer_side.started += sent.elapsed();
    let outcome = conclude(control, session, transfer_side, end, is_aborted).await;
    // A second reply is that of ABOR.
    for (line, reply) in [line, b"ABOR"].into_iter().zip(&outcome.replies) {
        session.report_command(line, true, reply);
    }
    match outcome.exit {
        None => {
            control.send(&outcome.replies, &session.names).await?;
            Ok(pending_line)
        }
        Some(exit) => {
            // The client may have disconnected; the session ends in any case.
            control.send_last(&outcome.replies, &session.names).await;
            Err(exit)
        }
    }
}

/// Publishes or discards an upload, and reports the transfer.
async fn conclude(
    control: &mut Control,
    session: &mut Session,
    mut transfer_side: DataTransfer,
    end: Ending<DataEnd>,
    is_aborted: bool,
) -> TransferOutcome {
    session.handle.is_transferring.store(false, Ordering::Relaxed);
    if let (Some(lease), Ending::Done(DataEnd::Moved)) = (transfer_side.lease.take(), &end) {
        session.shared.ports.retain(lease);
    }
    session.data_resumes = transfer_side.resumes.or(session.data_resumes);
    let unexpected = transfer_side.unexpected.addresses();
    session.observe(transfer_side.offer, &opened(&end, &transfer_side), unexpected);
    if let Some(&first) = unexpected.first() {
        let count = transfer_side.unexpected.count();
        session.emit(&Event::DataConnectionUnexpectedPeers { first, count });
    }
    let sink = transfer_side.sink.take();
    if transfer_side.is_unproven && !std::mem::replace(&mut session.has_unproven_data, true) {
        session.emit(&Event::DataConnectionTlsNotResumed);
    }
    if sink.is_some() && matches!(end, Ending::Done(DataEnd::Moved | DataEnd::Unchanged)) {
        let moved = session.handle.moved.load(Ordering::Relaxed);
        let is_doubtful = transfer_side.is_doubtful(moved);
        dying_client::wait(control, is_doubtful.then(|| transfer_side.started.elapsed())).await;
    }
    let is_unchanged = matches!(end, Ending::Done(DataEnd::Unchanged));
    let mut outcome = finish(control, &session.handle, end, sink).await;
    let is_unnoticed = transfer_side.closing == Closing::WithoutNotify && !is_unchanged;
    if is_unnoticed && outcome.is_complete() {
        outcome = outcome.without_notify(&transfer_side.end);
    }
    report(session, &outcome, &transfer_side);
    if is_aborted {
        outcome.replies.push(Reply::new(Code::TRANSFER_DONE, "Abort done."));
    }
    session.handle.status.transfer_ended();
    outcome
}

/// The outcome of the data connection.
fn opened<'a>(end: &'a Ending<DataEnd>, transfer_side: &DataTransfer) -> Opened<'a> {
    match end {
        _ if transfer_side.is_open => Opened::Yes,
        Ending::Done(DataEnd::NotOpened(error)) => Opened::No(error),
        Ending::Aborted | Ending::Lost(_) => Opened::GivenUp,
        // Ended by the server.
        Ending::Ended(_) | Ending::Done(_) => Opened::Unknown,
    }
}

/// Gives the client time to read 150 before the last reply, reading the control connection
/// meanwhile. Returns whether it sent ABOR, when nothing is left to abort.
async fn wait_for_peer_close(
    control: &mut Control,
    session: &mut Session,
    mut stream: Stream,
    replied_at: Instant,
    pending_line: &mut PendingLine,
) -> bool {
    if replied_at.elapsed() > SHORT_MAX {
        return false;
    }
    let most = PEER_CLOSE_MAX.get(usize::from(session.unclosed_downloads));
    let most = most.copied().unwrap_or(KEEPS_OPEN_MAX);
    // It closes its end once it has read everything; or resets it, or sends anything.
    let mut byte = [0];
    let closed = pin!(timeout(most, stream.read(&mut byte)));
    let ending = drive_with_control(control, session, closed, pending_line).await;
    session.unclosed_downloads = match &ending {
        Ending::Done(Err(_)) => session.unclosed_downloads.saturating_add(1),
        _ => 0,
    };
    // Everything else is noticed when the last reply is sent.
    matches!(ending, Ending::Aborted)
}

/// Facts about the transferred file, for the log.
struct FileFacts {
    direction: Direction,
    path: VPath,
    is_ascii: bool,
}

/// The data side of one transfer. It shares no mutable state with the session, so commands can be
/// answered while it runs; dropping its future closes the connection and the port.
struct DataTransfer {
    shared: Arc<Shared>,
    settings: Arc<Settings>,
    handle: Arc<SessionHandle>,
    rate_limiter: RateLimiter,
    /// The transferred file; `None` for a listing.
    file: Option<FileFacts>,
    /// When it began, without the wait for the client after a download.
    started: Instant,
    /// The announcement of the passive port.
    offer: Option<PassiveOffer>,
    local: SocketAddr,
    tls: Option<Arc<Acceptor>>,
    binding_id: Option<BindingId>,
    deflate: Option<u8>,
    source: Option<Source>,
    sink: Option<Box<dyn Sink>>,
    announced: Option<AnnouncedSize>,
    end: EndRule,
    target: Option<UploadTarget>,
    /// How it ended.
    closing: Closing,
    /// How far the handshake of the data connection is.
    stage: watch::Sender<HandshakeStage>,
    is_open: bool,
    /// Whether the data connection uses TLS (PROT P).
    is_tls: bool,
    is_unproven: bool,
    lease: Option<Lease>,
    /// The connection after everything was sent.
    sent: Option<Stream>,
    /// Unexpected peers on the port.
    unexpected: UnexpectedPeers,
    /// Whether the client resumes TLS sessions, if known.
    resumes: Option<bool>,
}

/// How the data side ended.
enum DataEnd {
    Moved,
    NotOpened(OpenError),
    Failed(TransferError),
    /// The data ended properly, but before the size announced with ALLO.
    Short,
    /// An append (APPE) received neither data nor `close_notify`.
    Unchanged,
}

impl DataTransfer {
    fn new(session: &Session, job: Job, offer: Option<PassiveOffer>) -> Self {
        let mut announcement = None;
        let mut end = EndRule { requires_close_notify: true, is_exact: false, allo: None };
        let mut goal = None;
        let (source, sink, file) = match job {
            Job::Send { source, path, is_ascii } => {
                let direction = Direction::Download;
                (Some(source), None, Some(FileFacts { direction, path, is_ascii }))
            }
            Job::Receive { sink, path, is_ascii, announced, end: rule, target } => {
                announcement = announced;
                end = rule;
                goal = Some(target);
                let direction = Direction::Upload;
                (None, Some(sink), Some(FileFacts { direction, path, is_ascii }))
            }
            Job::List { lines } => (Some(Source::Stream(lines)), None, None),
        };
        let rate_limiter = session.rate_limiter(file.as_ref().map(|file| file.direction));
        let binding_id = session.binding_id.filter(|_| session.parameters.is_private);
        let is_tls = binding_id.is_some() && session.tls.is_some();
        Self {
            shared: Arc::clone(&session.shared),
            settings: Arc::clone(&session.settings),
            tls: session.tls.clone(),
            handle: Arc::clone(&session.handle),
            rate_limiter,
            file,
            started: Instant::now(),
            offer,
            local: session.local,
            binding_id,
            deflate: session.parameters.deflate(),
            source,
            sink,
            // With compression, the announced and the counted sizes differ.
            announced: announcement.filter(|_| session.parameters.deflate().is_none()),
            end,
            target: goal,
            closing: Closing::Orderly,
            stage: watch::Sender::new(HandshakeStage::Before),
            is_open: false,
            is_tls,
            is_unproven: false,
            lease: None,
            sent: None,
            unexpected: UnexpectedPeers::default(),
            resumes: None,
        }
    }

    /// The payload for the session status.
    fn payload(&self) -> Payload {
        let file = self.file.as_ref();
        file.map_or(Payload::Listing, |file| Payload::File(file.direction, file.path.clone()))
    }

    fn upload_start(&self, session: &Session) -> UploadStart {
        let is_upload = self.sink.is_some();
        UploadStart {
            is_tls: is_upload && self.is_tls,
            stage: self.stage.subscribe(),
            sleeps: is_upload && self.deflate.is_some() && session.is_client("lftp"),
        }
    }

    /// Whether an upload that ended after `moved` bytes may be one of a killed client, and a wait
    /// is worthwhile. With FIN alone, TLS shows no more than TCP.
    fn is_doubtful(&self, moved: u64) -> bool {
        let is_proven = self.is_tls && self.closing == Closing::Orderly;
        !is_proven && (self.is_tls || moved >= LARGE_BYTES)
    }

    /// The total in bytes, if the source has a known size.
    fn size(&self) -> Option<u64> {
        match self.source.as_ref()? {
            Source::File { len, .. } => Some(*len),
            Source::Bytes(bytes) => u64::try_from(bytes.len()).ok(),
            Source::Stream(_) => None,
        }
    }

    async fn run(&mut self, port: DataPort) -> DataEnd {
        let reuse = self.settings.tls.as_ref().map_or(SessionReuse::Off, |tls| tls.session_reuse);
        let opening = Opening {
            net: &*self.shared.net,
            local: self.local,
            accept_timeout: self.settings.passive.accept_timeout,
            connect_timeout: self.settings.active.connect_timeout,
            tls: self
                .tls
                .as_deref()
                .zip(self.binding_id)
                .map(|(tls, binding_id)| (tls, binding_id, reuse)),
            direction: if self.sink.is_some() { DataDirection::In } else { DataDirection::Out },
            stage: &self.stage,
        };
        let requested_at = Instant::now();
        let how = End::after_transfer_unless(Regression::ShutdownWaitsForConnection);
        let opened = tokio::select! {
            // An open connection comes first.
            biased;
            opened = opening.open(port, &mut self.unexpected) => opened,
            // A shutdown does not wait for a client to connect, nor for its handshake.
            reason = self.handle.ended(how) => {
                return DataEnd::Failed(TransferError::SessionEnded(reason.into()));
            }
        };
        let data = match opened {
            Ok(data) => data,
            Err(error) => {
                debug!(?error, "data connection not opened");
                self.shared.metrics.opening_failed(error.cause());
                let is_unproven = matches!(error, OpenError::NotIdentified { .. });
                self.resumes = is_unproven.then_some(false);
                return DataEnd::NotOpened(error);
            }
        };
        self.is_open = true;
        self.shared.metrics.openings.add(requested_at.elapsed());
        self.resumes = data.resumed.map(|resumed| resumed == Resumed::Own);
        debug!(tls = self.is_tls, resumed = self.resumes, "data connection established");
        self.lease = data.lease;
        self.is_unproven = data.resumed == Some(Resumed::NotOwn) && reuse == SessionReuse::Prefer;
        let mover = Mover::new(&self.rate_limiter, &self.handle, &self.shared.blocking_pool);
        let flow = Flow {
            mover: &mover,
            is_ascii: self.file.as_ref().is_some_and(|file| file.is_ascii),
            deflate: self.deflate,
            end: self.end,
        };
        let ended = match (self.source.take(), &mut self.sink) {
            (Some(source), _) => match Sending::new(source, data.stream, &flow) {
                Ok(mut sending) => {
                    let ended = mover.run(&mut sending).await;
                    ended.map(|()| {
                        self.sent = sending.into_stream();
                        Closing::Orderly
                    })
                }
                Err(error) => Err(error),
            },
            (None, Some(sink)) => {
                mover.run(&mut Receiving::new(data.stream, &mut **sink, &flow)).await
            }
            (None, None) => Ok(Closing::Orderly),
        };
        self.done(ended).await
    }

    /// The result after the data has ended this way.
    async fn done(&mut self, ended: Result<Closing, TransferError>) -> DataEnd {
        let came = self.handle.moved.load(Ordering::Relaxed);
        match ended {
            Err(cut) => DataEnd::Failed(cut),
            Ok(_) if self.announced.is_some_and(|announced| announced.is_cut(came)) => {
                DataEnd::Short
            }
            Ok(closing) => {
                self.closing = closing;
                match closing {
                    Closing::WithoutNotify if came == 0 => self.without_a_byte().await,
                    _ => DataEnd::Moved,
                }
            }
        }
    }

    /// The result of an empty upload without `close_notify`. It may have been truncated before its
    /// first byte, so it must not replace content.
    async fn without_a_byte(&mut self) -> DataEnd {
        let (Some(target), Some(file)) = (&self.target, &self.file) else { return DataEnd::Moved };
        match (target.files.size_of_target(&file.path).await, target.is_appended) {
            (Ok(Some(_)), true) => DataEnd::Unchanged,
            (Ok(_), _) if !self.end.requires_close_notify => DataEnd::Moved,
            (Ok(None | Some(0)), false) => DataEnd::Moved,
            _ => DataEnd::Failed(TransferError::NoCloseNotify),
        }
    }
}

fn report(session: &Session, outcome: &TransferOutcome, transfer_side: &DataTransfer) {
    let bytes = session.handle.moved.load(Ordering::Relaxed);
    if transfer_side.is_open {
        debug!(bytes, reason = outcome.reason, "data connection closed");
    }
    if outcome.is_data_failure {
        session.emit(&Event::DataConnectionFailed { reason: &outcome.reason });
    }
    if outcome.is_store_failure {
        session.emit(&Event::StorageFailed { reason: &outcome.reason });
    }
    if let Some(file) = &transfer_side.file {
        if outcome.is_rejected {
            let (path, reason) = (&file.path, outcome.reason.as_str());
            let id = outcome.check_id.as_deref();
            session.emit(&Event::UploadCheckRejected { path, bytes, reason, id });
            return;
        }
        if let (Direction::Upload, Some((reason, hint))) = (file.direction, &outcome.shortage) {
            session.emit(&Event::UploadDenied { path: &file.path, reason, hint });
        }
        let took = transfer_side.started.elapsed();
        if outcome.reason.is_empty() {
            let metrics = &session.shared.metrics;
            match file.direction {
                Direction::Upload => metrics.uploads.add(took),
                Direction::Download => metrics.downloads.add(took),
            }
        }
        session.emit(&Event::Transferred(&Transferred {
            direction: file.direction,
            path: &file.path,
            bytes,
            took,
            is_complete: outcome.reason.is_empty(),
            is_ascii: file.is_ascii,
            is_tls: transfer_side.is_tls,
            reason: &outcome.reason,
            note: outcome.note,
        }));
    }
}
