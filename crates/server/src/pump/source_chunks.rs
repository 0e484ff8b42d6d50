//! The chunks of a source: whole, read ahead from a file, or from a stream.

use std::future::poll_fn;
use std::io::{self, Read, Seek, SeekFrom};
use std::pin::Pin;

use tokio::task::JoinHandle;
use wharf_core::error::{Error, ErrorKind};
use wharf_core::storage::{ByteStream, Source};
use wharf_core::{Bytes, Stream as _};

use super::{PIECE_BYTES, bound};
use crate::blocking_pool::BlockingPool;

/// The error for a file that became shorter while it was read.
pub(super) fn shortened() -> Error {
    Error::new(ErrorKind::Broken, "the file was truncated while it was read")
}

pub(super) enum SourceChunks {
    Whole(Option<Bytes>),
    File(FileChunks),
    Stream(ByteStream),
}

impl SourceChunks {
    pub(super) fn of(source: Source, blocking_pool: &BlockingPool) -> Self {
        match source {
            Source::File { file, from, len } => {
                Self::File(FileChunks::new(file, from, len, blocking_pool))
            }
            Source::Bytes(bytes) => Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())),
            Source::Stream(stream) => Self::Stream(stream),
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Whole(bytes) => Ok(bytes.take()),
            Self::File(pieces) => pieces.next().await,
            Self::Stream(stream) => {
                poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await.transpose()
            }
        }
    }
}

/// Reads a file one piece ahead, on a blocking thread.
pub(super) struct FileChunks {
    ahead: Option<JoinHandle<io::Result<FilePiece>>>,
    left: u64,
    blocking_pool: BlockingPool,
}

impl FileChunks {
    pub(super) fn new(
        mut file: std::fs::File,
        from: u64,
        len: u64,
        blocking_pool: &BlockingPool,
    ) -> Self {
        let read = move || {
            file.seek(SeekFrom::Start(from))?;
            read_piece(file, len)
        };
        let ahead = (len > 0).then(|| blocking_pool.spawn(read));
        Self { ahead, left: len, blocking_pool: blocking_pool.clone() }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(ahead) = &mut self.ahead else { return Ok(None) };
        let read = ahead.await;
        self.ahead = None;
        let (file, piece) = read.map_err(|panic| Error::new(ErrorKind::Broken, panic))??;
        let got = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if got == 0 {
            return Err(shortened());
        }
        self.left = self.left.saturating_sub(got);
        let left = self.left;
        let read = move || read_piece(file, left);
        self.ahead = (left > 0).then(|| self.blocking_pool.spawn(read));
        Ok(Some(Bytes::from(piece)))
    }
}

/// The file is returned with the piece, for the next read.
type FilePiece = (std::fs::File, Vec<u8>);

fn read_piece(file: std::fs::File, most: u64) -> io::Result<FilePiece> {
    let size = most.min(bound(PIECE_BYTES));
    let mut piece = Vec::with_capacity(usize::try_from(size).unwrap_or(PIECE_BYTES));
    (&file).take(size).read_to_end(&mut piece)?;
    Ok((file, piece))
}
