//! Work that takes its time and needs no data connection: check sums, copies, removed trees.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wharf_core::error::{Error, ErrorKind};
use wharf_core::event::{Direction, Event};
use wharf_core::permission::Permissions;
use wharf_core::storage::Sink;
use wharf_proto::entry::Kind;
use wharf_proto::path::VPath;
use wharf_proto::reply::{Code, Reply};

use crate::control::Control;
use crate::drive::{Ending, PendingLine, drive_with_control};
use crate::files::Files;
use crate::lines::Walk;
use crate::next::Errand;
use crate::pump::LocalCopy;
use crate::rate_limit::RateLimiter;
use crate::refusal::Refusal;
use crate::registry::SessionHandle;
use crate::session::Session;
use crate::session_end::SessionEnd;
use crate::shared::Shared;

/// Runs an errand, which `line` asked for, to its last reply. There is one at most in a session,
/// and ABOR ends it. What the client said meanwhile that must wait is returned.
pub(crate) async fn run(
    control: &mut Control,
    session: &mut Session,
    errand: Errand,
    line: &[u8],
) -> Result<PendingLine, SessionEnd> {
    let handle = Arc::clone(&session.handle);
    handle.moved.store(0, Ordering::Relaxed);
    handle.is_transferring.store(true, Ordering::Relaxed);
    let mut pending_line = None;
    let done = match errand {
        Errand::Digest { source, bytes, of, say } => {
            let limits = Limits::new(session, Direction::Download);
            let local = limits.local();
            let ending = drive_with_control(
                control,
                session,
                pin!(local.digest(source, bytes, of)),
                &mut pending_line,
            )
            .await;
            ended(ending, say)
        }
        Errand::Copy { source, mut sink, from, to } => {
            let limits = Limits::new(session, Direction::Upload);
            let local = limits.local();
            let ending = {
                let act = pin!(local.copy(source, &mut *sink));
                drive_with_control(control, session, act, &mut pending_line).await
            };
            settle(session, ending, sink, &from, &to).await
        }
        Errand::RemoveTree { at } => {
            let files = session.files().cloned();
            let mut removed = Vec::new();
            let ending = {
                let act = pin!(async {
                    match files {
                        Ok(files) => remove_tree(files, &at, &mut removed).await,
                        Err(refusal) => Err(refusal),
                    }
                });
                drive_with_control(control, session, act, &mut pending_line).await
            };
            for (path, is_dir) in &removed {
                session.emit(&if *is_dir {
                    Event::DirectoryRemoved(path)
                } else {
                    Event::FileRemoved(path)
                });
            }
            let say = |()| Reply::new(Code::FILE_DONE, "Removed.");
            match ending {
                Ending::Done(Ok(())) => Done::saying(say(())),
                Ending::Done(Err(refusal)) => refused(refusal, Code::FILE_UNAVAILABLE),
                Ending::Aborted => ended(Ending::Aborted, say),
                Ending::Ended(reason) => ended(Ending::Ended(reason), say),
                Ending::Lost(gone) => ended(Ending::Lost(gone), say),
            }
        }
    };
    handle.is_transferring.store(false, Ordering::Relaxed);
    for (line, reply) in [line, b"ABOR"].into_iter().zip(&done.replies) {
        session.tell(line, true, reply);
    }
    if let Some(reason) = &done.broken {
        session.emit(&Event::StoreFailed { reason });
    }
    let sent = control.send(&done.replies, &session.names).await;
    if let Some(exit) = done.exit {
        // The client may be gone; the reason to end stands in any case.
        return Err(exit);
    }
    sent?;
    Ok(pending_line)
}

/// What an errand may use. It shares nothing mutable with the session.
struct Limits {
    rate_limiter: RateLimiter,
    shared: Arc<Shared>,
    handle: Arc<SessionHandle>,
}

impl Limits {
    fn new(session: &Session, direction: Direction) -> Self {
        let rate_limiter = session.rate_limiter(Some(direction));
        Self {
            rate_limiter,
            shared: Arc::clone(&session.shared),
            handle: Arc::clone(&session.handle),
        }
    }

    fn local(&self) -> LocalCopy<'_> {
        LocalCopy {
            rate_limiter: &self.rate_limiter,
            handle: &self.handle,
            blocking_pool: &self.shared.blocking_pool,
        }
    }
}

/// What an errand comes to.
struct Done {
    replies: Vec<Reply>,
    exit: Option<SessionEnd>,
    /// How the store failed, for the operator.
    broken: Option<String>,
}

impl Done {
    fn saying(reply: Reply) -> Self {
        Self { replies: vec![reply], exit: None, broken: None }
    }
}

fn ended<T>(ending: Ending<Result<T, Error>>, say: impl FnOnce(T) -> Reply) -> Done {
    let aborted = || Reply::new(Code::TRANSFER_ABORTED, "Aborted.");
    match ending {
        Ending::Done(Ok(done)) => Done::saying(say(done)),
        Ending::Done(Err(error)) => failed(error),
        Ending::Aborted => {
            let done = Reply::new(Code::TRANSFER_DONE, "Abort done.");
            Done { replies: vec![aborted(), done], exit: None, broken: None }
        }
        // The conversation says 421 as it ends.
        Ending::Ended(reason) => {
            Done { exit: Some(SessionEnd::Terminated(reason)), ..Done::saying(aborted()) }
        }
        Ending::Lost(gone) => {
            Done { replies: Vec::new(), exit: Some(SessionEnd::Disconnected(gone)), broken: None }
        }
    }
}

fn failed(error: Error) -> Done {
    refused(Refusal::from(error), Code::LOCAL_ERROR)
}

fn refused(refusal: Refusal, unavailable: Code) -> Done {
    let broken = match &refusal {
        Refusal::Broken(reason) => Some(reason.clone()),
        _ => None,
    };
    Done { broken, ..Done::saying(refusal.reply(unavailable)) }
}

/// Removes a directory with all that is in it, each file and each folder with its own right. What
/// was removed is in `removed`, in any case, and whether it was a directory. Links are removed and
/// not followed.
///
/// # Errors
/// Without a right, or with more than may be removed at once, nothing is removed.
pub(crate) async fn remove_tree(
    files: Files,
    at: &VPath,
    removed: &mut Vec<(VPath, bool)>,
) -> Result<(), Refusal> {
    const TOO_MANY: &str = "Too many entries, more than 10000: remove the directories one by one.";
    if files.remove_if_empty(at).await? {
        removed.push((at.clone(), true));
        return Ok(());
    }
    let mut walk = Walk::new(files.clone(), at.clone(), Permissions::RMDIR, usize::MAX);
    let mut found = vec![(at.clone(), true)];
    loop {
        let folder = match walk.next().await {
            Ok(Some(folder)) => folder,
            Ok(None) => break,
            Err(error) if error.kind == ErrorKind::TooLarge => {
                return Err(Error::new(ErrorKind::TooLarge, TOO_MANY).into());
            }
            Err(error) => return Err(error.into()),
        };
        for entry in folder.entries {
            let path = folder.at.join(&entry.name)?;
            let is_dir = entry.kind == Kind::Dir && !entry.via_link;
            files.may_remove(&path, is_dir)?;
            found.push((path, is_dir));
        }
    }
    // What lies in a folder was found after it.
    for (path, is_dir) in found.into_iter().rev() {
        if is_dir {
            files.remove_dir(&path).await?;
        } else {
            files.remove_file(&path).await?;
        }
        removed.push((path, is_dir));
    }
    Ok(())
}

/// Publishes a copy that is whole; any other is gone.
async fn settle(
    session: &Session,
    ending: Ending<Result<(), Error>>,
    sink: Box<dyn Sink>,
    from: &VPath,
    to: &VPath,
) -> Done {
    if !matches!(ending, Ending::Done(Ok(()))) {
        sink.abort().await;
        return ended(ending, |()| Reply::new(Code::FILE_DONE, "Copied."));
    }
    session.handle.commits(true);
    let stored = sink.commit().await;
    session.handle.commits(false);
    match stored {
        Ok(_) => {
            session.emit(&Event::Copied { from, to });
            Done::saying(Reply::new(Code::FILE_DONE, "Copied."))
        }
        Err(error) => failed(error),
    }
}
