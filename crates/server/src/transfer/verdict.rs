//! What a transfer comes to, and the words for it.

use wharf_core::error::ErrorKind;
use wharf_core::storage::Sink;
use wharf_proto::reply::{Code, Reply};

use super::Done;
use crate::attend::Ending;
use crate::control::{Control, Gone};
use crate::data::OpenError;
use crate::exit::Exit;
use crate::pump::{Cut, EndRule};
use crate::refusal::Refusal;
use crate::registry::Probe;
use crate::tls;

/// What a transfer comes to.
pub(super) struct Verdict {
    pub(super) replies: Vec<Reply>,
    pub(super) exit: Option<Exit>,
    /// For the log; empty when the transfer is complete.
    pub(super) reason: String,
    /// What the log is told of a complete one.
    pub(super) note: &'static str,
    pub(super) is_data_failure: bool,
    pub(super) is_store_failure: bool,
    /// Whether somebody looked at the upload and refused it.
    pub(super) is_refused: bool,
    /// The id that the check gave the refused upload.
    pub(super) check_id: Option<String>,
    /// Why an upload ended for want of space or quota, and what would help.
    pub(super) shortage: Option<(String, &'static str)>,
}

/// Publishes what is whole, gives up what is not, and finds the words for it.
pub(super) async fn settle(
    control: &mut Control,
    probe: &Probe,
    ending: Ending<Done>,
    sink: Option<Box<dyn Sink>>,
) -> Verdict {
    let ending = match ending {
        // A client that died with its file half sent looks, on plain TCP, like one that is done;
        // but then its control connection is gone as well.
        Ending::Done(Done::Moved | Done::Unchanged)
            if sink.is_some() && control.has_left().await =>
        {
            Ending::Lost(Gone::Closed)
        }
        ending => ending,
    };
    match (ending, sink) {
        (Ending::Done(Done::Moved), Some(sink)) => {
            probe.commits(true);
            let stored = sink.commit().await;
            probe.commits(false);
            match stored {
                Ok(_) => done(),
                Err(error) => store_failed(error),
            }
        }
        (Ending::Done(Done::Moved), None) => done(),
        (Ending::Done(Done::Unchanged), sink) => {
            if let Some(sink) = sink {
                sink.abort().await;
            }
            let text = "Nothing came to be added; the file is unchanged.";
            Verdict::new(vec![Reply::new(Code::TRANSFER_DONE, text)], String::new())
        }
        (ending, sink) => {
            if let Some(sink) = sink {
                sink.abort().await;
            }
            failed(ending)
        }
    }
}

fn done() -> Verdict {
    Verdict::new(vec![Reply::new(Code::TRANSFER_DONE, "Transfer complete.")], String::new())
}

fn store_failed(error: wharf_core::error::Error) -> Verdict {
    let reason = error.to_string();
    let is_refused = error.kind == ErrorKind::Refused;
    let check_id = error.refusal_id().map(str::to_owned);
    let is_shortage = matches!(error.kind, ErrorKind::OverQuota | ErrorKind::NoSpace);
    let refusal = Refusal::from(error);
    let is_store_failure = matches!(refusal, Refusal::Broken(_));
    let shortage = refusal.cause().filter(|_| is_shortage);
    let replies = vec![refusal.reply(Code::LOCAL_ERROR)];
    Verdict { is_store_failure, is_refused, check_id, shortage, ..Verdict::new(replies, reason) }
}

fn failed(ending: Ending<Done>) -> Verdict {
    let aborted = |text: &'static str| Reply::new(Code::TRANSFER_ABORTED, text);
    match ending {
        Ending::Done(Done::Moved | Done::Unchanged) => done(),
        // `run` has turned it into the end of the session.
        Ending::Done(Done::Ended(reason)) => failed(Ending::Ended(reason)),
        Ending::Done(Done::Cut(Cut::Store(error))) => store_failed(error),
        Ending::Done(Done::Cut(Cut::Network(error))) => {
            let reply = aborted("Connection closed; transfer aborted.");
            let why = tls::words(&error);
            Verdict::new(vec![reply], format!("the data connection broke: {why}"))
        }
        Ending::Done(Done::Cut(Cut::NoCloseNotify)) => {
            let reply = aborted(
                "The data connection ended without TLS close_notify, so the file may be cut short \
                 (tls.require_close_notify).",
            );
            let reason = "the client closed the data connection without TLS close_notify, so the \
                          upload may be cut short; tls.require_close_notify = false would take it \
                          for whole";
            Verdict::new(vec![reply], reason.into())
        }
        Ending::Done(Done::Cut(Cut::MidRecord)) => {
            let reply = aborted(
                "The data connection ended in the middle of a TLS record, so the file is cut \
                 short.",
            );
            let reason = "the data connection ended in the middle of a TLS record, so more was to \
                          come";
            Verdict::new(vec![reply], reason.into())
        }
        Ending::Done(Done::Cut(Cut::Stalled)) => {
            let reply = aborted("Data timeout: nothing was transferred for too long.");
            Verdict::new(vec![reply], "nothing moved for too long".into())
        }
        Ending::Done(Done::Cut(Cut::TooSlow)) => {
            let reply = aborted("This transfer is slower than it may be here.");
            Verdict::new(vec![reply], "slower than limits.transfer_min_rate".into())
        }
        Ending::Done(Done::Short) => {
            let reply = aborted("Fewer bytes came than ALLO announced; resume it with REST.");
            Verdict::new(vec![reply], "fewer bytes came than ALLO announced".into())
        }
        Ending::Done(Done::Cut(Cut::Damaged(what))) => {
            let reply = aborted("What came is no whole zlib stream; send it again, or use MODE S.");
            Verdict::new(vec![reply], what.into())
        }
        Ending::Done(Done::Cut(Cut::Swollen)) => {
            let text = "That unpacks to more than 100 times its size; send it with MODE S.";
            let reply = Reply::new(Code::OVER_QUOTA, text);
            Verdict::new(vec![reply], "it unpacks to more than 100 times its size".into())
        }
        Ending::Done(Done::NotOpened(error)) => {
            let verdict = Verdict::new(vec![not_opened(&error)], error.to_string());
            Verdict { is_data_failure: true, ..verdict }
        }
        Ending::Aborted => {
            let done = Reply::new(Code::TRANSFER_DONE, "Abort done.");
            Verdict::new(vec![aborted("Transfer aborted."), done], "aborted by the client".into())
        }
        Ending::Ended(reason) => {
            // The conversation says 421 as it ends.
            let verdict = Verdict::new(vec![aborted("Transfer aborted.")], reason.clone());
            Verdict { exit: Some(Exit::Ended(reason)), ..verdict }
        }
        Ending::Lost(gone) => {
            let verdict = Verdict::new(Vec::new(), format!("control connection: {gone}"));
            Verdict { exit: Some(Exit::Gone(gone)), ..verdict }
        }
    }
}

/// Why there is no data connection, in words that a search finds.
fn not_opened(error: &OpenError) -> Reply {
    let text = match error {
        OpenError::NotResumed => {
            let text = "The data connection must resume the TLS session of this one.";
            return Reply::new(Code::PROTOCOL_REFUSED, text);
        }
        OpenError::Tls(_) => "Cannot open data connection: the TLS handshake failed.",
        OpenError::OtherAddress(_) => "The data connection came from a different address.",
        OpenError::TimedOut => {
            "Cannot open data connection: timed out; a firewall or NAT may block the port."
        }
        OpenError::Ambiguous { .. } => {
            "Cannot open data connection: it resumed no TLS session, on a shared port."
        }
        OpenError::Network(_) => "Cannot open data connection: connection refused or unreachable.",
    };
    Reply::new(Code::NO_DATA_CONNECTION, text)
}

impl Verdict {
    /// With what the client and the log are told of a complete upload without `close_notify`.
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
        Self {
            replies,
            exit: None,
            reason,
            note: "",
            is_data_failure: false,
            is_store_failure: false,
            is_refused: false,
            check_id: None,
            shortage: None,
        }
    }
}
