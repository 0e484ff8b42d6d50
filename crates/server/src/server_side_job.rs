//! Long operations without a data connection: checksums, copies and recursive removal.

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

use crate::blocking_pool::BlockingPool;
use crate::control::Control;
use crate::drive::{Ending, PendingLine, drive_with_control};
use crate::files::SessionFiles;
use crate::lines::DirectoryWalk;
use crate::next::ServerSideJob;
use crate::pump::{Copying, Digesting, Mover};
use crate::rate_limit::RateLimiter;
use crate::refusal::Refusal;
use crate::registry::{End, SessionHandle};
use crate::session::Session;
use crate::session_end::SessionEnd;
use crate::shared::Shared;

/// Runs a job that the command `line` requested, to its last reply.
///
/// A session runs at most one at a time, and ABOR cancels it. Returns the command that arrived
/// meanwhile and has to wait, if any.
pub(crate) async fn run(
    control: &mut Control,
    session: &mut Session,
    job: ServerSideJob,
    line: &[u8],
) -> Result<PendingLine, SessionEnd> {
    let handle = Arc::clone(&session.handle);
    handle.moved.store(0, Ordering::Relaxed);
    handle.is_transferring.store(true, Ordering::Relaxed);
    let mut pending_line = None;
    let done = match job {
        ServerSideJob::Digest { source, bytes, of, to_reply } => {
            let limits = JobLimits::new(session, Direction::Download);
            let mover = limits.mover();
            let mut digesting = Digesting::new(source, bytes, of, &mover);
            let digest = async { Ok(mover.run(&mut digesting).await?) };
            let ending = until_shutdown(control, session, digest, &mut pending_line).await;
            outcome_of(ending, to_reply)
        }
        ServerSideJob::Copy { source, mut sink, from, to } => {
            let limits = JobLimits::new(session, Direction::Upload);
            let mover = limits.mover();
            let ending = {
                let mut copying = Copying::new(source, &mut *sink, &mover);
                let act = pin!(async { Ok(mover.run(&mut copying).await?) });
                drive_with_control(control, session, act, &mut pending_line).await
            };
            finish_copy(session, ending, sink, &from, &to).await
        }
        ServerSideJob::RemoveTree { at } => {
            let (files, pool) = (session.files().cloned(), session.shared.blocking_pool.clone());
            let mut removed = Vec::new();
            let ending = {
                let act = async {
                    match files {
                        Ok(files) => remove_tree(files, &at, &mut removed, pool).await,
                        Err(refusal) => Err(refusal),
                    }
                };
                until_shutdown(control, session, act, &mut pending_line).await
            };
            for (path, is_dir) in &removed {
                session.emit(&if *is_dir {
                    Event::DirectoryRemoved(path)
                } else {
                    Event::FileRemoved(path)
                });
            }
            let to_reply = |()| Reply::new(Code::FILE_DONE, "Removed.");
            match ending {
                Ending::Done(Ok(())) => JobOutcome::replying(to_reply(())),
                Ending::Done(Err(refusal)) => rejected(refusal, Code::FILE_UNAVAILABLE),
                Ending::Aborted => outcome_of(Ending::Aborted, to_reply),
                Ending::Ended(reason) => outcome_of(Ending::Ended(reason), to_reply),
                Ending::Lost(gone) => outcome_of(Ending::Lost(gone), to_reply),
            }
        }
    };
    handle.is_transferring.store(false, Ordering::Relaxed);
    for (line, reply) in [line, b"ABOR"].into_iter().zip(&done.replies) {
        session.report_command(line, true, reply);
    }
    if let Some(reason) = &done.broken {
        session.emit(&Event::StorageFailed { reason });
    }
    let sent = control.send(&done.replies, &session.names).await;
    if let Some(exit) = done.exit {
        // The client may have disconnected; the session ends for this reason in any case.
        return Err(exit);
    }
    sent?;
    Ok(pending_line)
}

/// Drives a job that moves no file contents: a shutdown does not wait for it.
async fn until_shutdown<T>(
    control: &mut Control,
    session: &mut Session,
    job: impl Future<Output = T>,
    pending_line: &mut PendingLine,
) -> Ending<T> {
    let handle = Arc::clone(&session.handle);
    let act = pin!(async {
        tokio::select! {
            // Completion comes first.
            biased;
            done = job => Ok(done),
            reason = handle.ended(End::AfterTransfer) => Err(reason.to_owned()),
        }
    });
    match drive_with_control(control, session, act, pending_line).await {
        Ending::Done(Ok(done)) => Ending::Done(done),
        Ending::Done(Err(reason)) | Ending::Ended(reason) => Ending::Ended(reason),
        Ending::Aborted => Ending::Aborted,
        Ending::Lost(gone) => Ending::Lost(gone),
    }
}

/// What a job uses of the session. It shares no mutable state with it.
struct JobLimits {
    rate_limiter: RateLimiter,
    shared: Arc<Shared>,
    handle: Arc<SessionHandle>,
}

impl JobLimits {
    fn new(session: &Session, direction: Direction) -> Self {
        let rate_limiter = session.rate_limiter(Some(direction));
        Self {
            rate_limiter,
            shared: Arc::clone(&session.shared),
            handle: Arc::clone(&session.handle),
        }
    }

    fn mover(&self) -> Mover<'_> {
        Mover::new(&self.rate_limiter, &self.handle, &self.shared.blocking_pool)
    }
}

/// The result of a job.
struct JobOutcome {
    replies: Vec<Reply>,
    exit: Option<SessionEnd>,
    /// The error of the store, for the administrator.
    broken: Option<String>,
}

impl JobOutcome {
    fn replying(reply: Reply) -> Self {
        Self { replies: vec![reply], exit: None, broken: None }
    }
}

fn outcome_of<T>(
    ending: Ending<Result<T, Error>>,
    to_reply: impl FnOnce(T) -> Reply,
) -> JobOutcome {
    let aborted = || Reply::new(Code::TRANSFER_ABORTED, "Aborted.");
    match ending {
        Ending::Done(Ok(done)) => JobOutcome::replying(to_reply(done)),
        Ending::Done(Err(error)) => failed(error),
        Ending::Aborted => {
            let done = Reply::new(Code::TRANSFER_DONE, "Abort done.");
            JobOutcome { replies: vec![aborted(), done], exit: None, broken: None }
        }
        // 421 is sent when the session ends.
        Ending::Ended(reason) => JobOutcome {
            exit: Some(SessionEnd::Terminated(reason)),
            ..JobOutcome::replying(aborted())
        },
        Ending::Lost(gone) => JobOutcome {
            replies: Vec::new(),
            exit: Some(SessionEnd::Disconnected(gone)),
            broken: None,
        },
    }
}

fn failed(error: Error) -> JobOutcome {
    rejected(Refusal::from(error), Code::LOCAL_ERROR)
}

fn rejected(refusal: Refusal, unavailable: Code) -> JobOutcome {
    let broken = match &refusal {
        Refusal::Broken(reason) => Some(reason.clone()),
        _ => None,
    };
    JobOutcome { broken, ..JobOutcome::replying(refusal.reply(unavailable)) }
}

/// Removes a directory with all its contents; each file and each directory needs its permission.
///
/// `removed` lists what was removed, also after an error, and whether it was a directory. Symbolic
/// links are removed, not followed.
///
/// # Errors
/// If a permission is missing or there are too many entries, nothing is removed.
pub(crate) async fn remove_tree(
    files: SessionFiles,
    at: &VPath,
    removed: &mut Vec<(VPath, bool)>,
    blocking_pool: BlockingPool,
) -> Result<(), Refusal> {
    const TOO_MANY: &str = "Too many entries (limit 10000); remove subdirectories one by one.";
    if files.remove_if_empty(at).await? {
        removed.push((at.clone(), true));
        return Ok(());
    }
    let mut walk = DirectoryWalk::new(
        files.clone(),
        at.clone(),
        Permissions::RMDIR,
        usize::MAX,
        blocking_pool,
    );
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
    // Contents were found after their directory.
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

/// Publishes a complete copy, and discards any other.
async fn finish_copy(
    session: &Session,
    ending: Ending<Result<(), Error>>,
    sink: Box<dyn Sink>,
    from: &VPath,
    to: &VPath,
) -> JobOutcome {
    if !matches!(ending, Ending::Done(Ok(()))) {
        sink.abort().await;
        return outcome_of(ending, |()| Reply::new(Code::FILE_DONE, "Copied."));
    }
    session.handle.commits(true);
    let stored = sink.commit().await;
    session.handle.commits(false);
    match stored {
        Ok(_) => {
            session.emit(&Event::Copied { from, to });
            JobOutcome::replying(Reply::new(Code::FILE_DONE, "Copied."))
        }
        Err(error) => failed(error),
    }
}
