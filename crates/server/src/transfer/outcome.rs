//! The outcome of a transfer, and its replies.

use wharf_core::error::ErrorKind;
use wharf_core::storage::Sink;
use wharf_proto::reply::{Code, Reply};

use super::DataEnd;
use crate::control::{Control, Disconnect};
use crate::data::OpenError;
use crate::drive::Ending;
use crate::pump::{EndRule, TransferError};
use crate::refusal::Refusal;
use crate::registry::SessionHandle;
use crate::session_end::SessionEnd;
use crate::tls;

/// The outcome of a transfer.
#[derive(Default)]
pub(super) struct TransferOutcome {
    pub(super) replies: Vec<Reply>,
    pub(super) exit: Option<SessionEnd>,
    /// For the log; empty if the transfer is complete.
    pub(super) reason: String,
    /// A note for the log about a complete transfer.
    pub(super) note: &'static str,
    pub(super) is_data_failure: bool,
    pub(super) is_store_failure: bool,
    /// Whether a content check rejected the upload.
    pub(super) is_rejected: bool,
    /// The id that the check assigned to the rejected upload.
    pub(super) check_id: Option<String>,
    /// Why an upload ended for want of space or quota, and what would help.
    pub(super) shortage: Option<(String, &'static str)>,
}

/// Publishes a complete upload, discards an incomplete one, and builds the replies.
pub(super) async fn finish(
    control: &mut Control,
    handle: &SessionHandle,
    ending: Ending<DataEnd>,
    sink: Option<Box<dyn Sink>>,
) -> TransferOutcome {
    let ending = match ending {
        // On plain TCP, a client that died during an upload looks like one that has finished; but
        // then its control connection has ended as well.
        Ending::Done(DataEnd::Moved | DataEnd::Unchanged)
            if sink.is_some() && control.has_left().await =>
        {
            Ending::Lost(Disconnect::Closed)
        }
        ending => ending,
    };
    match (ending, sink) {
        (Ending::Done(DataEnd::Moved), Some(sink)) => {
            handle.commits(true);
            let stored = sink.commit().await;
            handle.commits(false);
            match stored {
                Ok(_) => done("Transfer complete."),
                Err(error) => store_failed(error),
            }
        }
        (ending, sink) => {
            if let Some(sink) = sink {
                sink.abort().await;
            }
            replies_to(ending)
        }
    }
}

fn done(text: &'static str) -> TransferOutcome {
    TransferOutcome::new(vec![Reply::new(Code::TRANSFER_DONE, text)], String::new())
}

fn store_failed(error: wharf_core::error::Error) -> TransferOutcome {
    let reason = error.to_string();
    let is_rejected = error.kind == ErrorKind::Rejected;
    let check_id = error.rejection_id().map(str::to_owned);
    let is_shortage = matches!(error.kind, ErrorKind::OverQuota | ErrorKind::NoSpace);
    let refusal = Refusal::from(error);
    let is_store_failure = matches!(refusal, Refusal::Broken(_));
    let shortage = refusal.cause().filter(|_| is_shortage);
    let replies = vec![refusal.reply(Code::LOCAL_ERROR)];
    TransferOutcome {
        is_store_failure,
        is_rejected,
        check_id,
        shortage,
        ..TransferOutcome::new(replies, reason)
    }
}

/// A transfer that ended with 426.
fn aborted(text: &'static str, reason: impl Into<String>) -> TransferOutcome {
    TransferOutcome::new(vec![Reply::new(Code::TRANSFER_ABORTED, text)], reason.into())
}

fn replies_to(ending: Ending<DataEnd>) -> TransferOutcome {
    match ending {
        Ending::Done(DataEnd::Moved) => done("Transfer complete."),
        Ending::Done(DataEnd::Unchanged) => done("No data received; the file is unchanged."),
        Ending::Done(DataEnd::Short) => aborted(
            "Fewer bytes received than announced with ALLO; resume with REST.",
            "fewer bytes than ALLO announced",
        ),
        Ending::Done(DataEnd::NotOpened(error)) => {
            let outcome = TransferOutcome::new(vec![not_opened(&error)], error.to_string());
            TransferOutcome { is_data_failure: true, ..outcome }
        }
        Ending::Done(DataEnd::Failed(error)) => not_completed(error),
        Ending::Aborted => {
            let mut outcome = aborted("Transfer aborted.", "aborted by the client");
            outcome.replies.push(Reply::new(Code::TRANSFER_DONE, "Abort done."));
            outcome
        }
        Ending::Ended(reason) => {
            // The conversation sends 421 when it ends.
            let outcome = aborted("Transfer aborted.", reason.as_str());
            TransferOutcome { exit: Some(SessionEnd::Terminated(reason)), ..outcome }
        }
        Ending::Lost(gone) => {
            let outcome = TransferOutcome::new(Vec::new(), format!("control connection: {gone}"));
            TransferOutcome { exit: Some(SessionEnd::Disconnected(gone)), ..outcome }
        }
    }
}

/// The replies for an error while data moved.
fn not_completed(error: TransferError) -> TransferOutcome {
    match error {
        TransferError::Store(error) => store_failed(error),
        TransferError::Network(error) => {
            let reason = format!("data connection lost: {}", tls::describe(&error));
            aborted("Connection closed; transfer aborted.", reason)
        }
        TransferError::NoCloseNotify => aborted(
            "The data connection ended without TLS close_notify, so the file may be cut short \
             (tls.require_close_notify).",
            "the client closed the data connection without TLS close_notify, so the upload may be \
             cut short; tls.require_close_notify = false would accept it",
        ),
        TransferError::MidRecord => aborted(
            "The data connection ended in the middle of a TLS record, so the file is cut short.",
            "the data connection ended in the middle of a TLS record, so data is missing",
        ),
        TransferError::SessionEnded(reason) => replies_to(Ending::Ended(reason)),
        TransferError::Stalled => aborted(
            "Data timeout: no data was transferred for too long.",
            "data timeout: no data was transferred for too long",
        ),
        TransferError::TooSlow => aborted(
            "Transfer below the minimum rate.",
            "transfer slower than limits.transfer_min_rate",
        ),
        TransferError::InvalidZlib(what) => {
            aborted("Invalid or incomplete zlib stream; send it again, or use MODE S.", what)
        }
        TransferError::ExpansionLimit => {
            let text = "Decompressed data exceeds 100 times its size; send it with MODE S.";
            let reply = Reply::new(Code::OVER_QUOTA, text);
            TransferOutcome::new(vec![reply], "decompressed data exceeds 100 times its size".into())
        }
    }
}

/// The reply for a data connection that could not be opened.
fn not_opened(error: &OpenError) -> Reply {
    let text = match error {
        OpenError::NotResumed => {
            let text = "TLS session reuse required: resume the session of the control connection.";
            return Reply::new(Code::PROTOCOL_REJECTED, text);
        }
        OpenError::Tls(_) => "Cannot open data connection: the TLS handshake failed.",
        OpenError::OtherAddress(_) => "The data connection came from a different address.",
        OpenError::TimedOut => {
            "Cannot open data connection: timed out; a firewall or NAT may block the port."
        }
        OpenError::NotIdentified { .. } => {
            "Cannot open data connection: TLS session reuse is required on a shared port."
        }
        OpenError::Network(_) => "Cannot open data connection: connection refused or unreachable.",
    };
    Reply::new(Code::NO_DATA_CONNECTION, text)
}

impl TransferOutcome {
    /// Sets the reply and the log note of a complete upload without `close_notify`.
    pub(super) fn without_notify(mut self, rule: &EndRule) -> Self {
        self.note = match (rule.requires_close_notify, rule.allo) {
            (false, _) => {
                "ended without TLS close_notify; accepted because tls.require_close_notify = false"
            }
            (true, Some(_)) => {
                "ended without TLS close_notify; accepted because exactly the bytes of ALLO came \
                 (tls.require_close_notify)"
            }
            (true, None) => {
                "ended without TLS close_notify and without a byte; accepted because no content \
                 was there (tls.require_close_notify)"
            }
        };
        let text = "Transfer complete, without TLS close_notify (tls.require_close_notify).";
        self.replies = vec![Reply::new(Code::TRANSFER_DONE, text)];
        self
    }

    pub(super) fn is_complete(&self) -> bool {
        self.reason.is_empty() && self.exit.is_none()
    }

    fn new(replies: Vec<Reply>, reason: String) -> Self {
        Self { replies, reason, ..Self::default() }
    }
}
