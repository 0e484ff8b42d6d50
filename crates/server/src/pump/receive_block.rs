//! Blocks of memory in which data is received. They stay initialized and are used again once their
//! data is stored, so that an upload neither allocates nor clears memory for each piece. An upload
//! that waits for its client has none.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use wharf_core::Bytes;

use wharf_core::lock;

/// The size of a block: together with the copy of its data it stays in the cache of a processor.
pub(super) const BLOCK_BYTES: usize = 128 * 1024;
/// Fewer bytes are copied out of their block: bytes that wait to be stored occupy at most twice
/// their size.
const SHARED_BYTES_MIN: usize = BLOCK_BYTES / 2;
/// Unused blocks that a thread keeps. An upload alternates between two.
const KEPT_MAX: usize = 4;

thread_local! {
    /// Unused blocks of this thread.
    static UNUSED: Arc<UnusedBlocks> = Arc::default();
}

type UnusedBlocks = Mutex<Vec<Vec<u8>>>;

/// A block in use. Dropping it, on any thread, returns it to the thread that took it.
struct ReceiveBlock {
    bytes: Vec<u8>,
    filled: usize,
    unused: Arc<UnusedBlocks>,
}

impl ReceiveBlock {
    fn take() -> Self {
        let unused = UNUSED.with(Arc::clone);
        let kept = lock(&unused).pop();
        Self { bytes: kept.unwrap_or_else(|| vec![0; BLOCK_BYTES]), filled: 0, unused }
    }

    fn into_piece(self) -> Bytes {
        if self.filled < SHARED_BYTES_MIN {
            Bytes::copy_from_slice(self.as_ref())
        } else {
            Bytes::from_owner(self)
        }
    }
}

impl AsRef<[u8]> for ReceiveBlock {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }
}

impl Drop for ReceiveBlock {
    fn drop(&mut self) {
        let mut unused = lock(&self.unused);
        if unused.len() < KEPT_MAX {
            unused.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// Reads an upload piece by piece.
pub(super) struct PieceReader {
    /// Whether a piece is more than one read: TLS returns a record at a time.
    joins_reads: bool,
    /// How the stream ended behind the last piece.
    end: Option<io::Result<()>>,
}

impl PieceReader {
    /// For a connection with TLS, or without.
    pub(super) fn new(is_tls: bool) -> Self {
        Self { joins_reads: is_tls, end: None }
    }

    /// Waits for data and returns what has arrived, at most `bytes_max` and [`BLOCK_BYTES`]. Empty
    /// at the end of the stream. Cancel safe.
    pub(super) async fn read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        bytes_max: usize,
    ) -> io::Result<Bytes> {
        if let Some(end) = self.end.take() {
            return end.map(|()| Bytes::new());
        }
        poll_fn(|context| self.poll_read(Pin::new(&mut *stream), bytes_max, context)).await
    }

    fn poll_read(
        &mut self,
        mut stream: Pin<&mut impl AsyncRead>,
        bytes_max: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Bytes>> {
        let mut block = ReceiveBlock::take();
        let size = bytes_max.min(BLOCK_BYTES);
        let mut buffer = ReadBuf::new(block.bytes.get_mut(..size).unwrap_or_default());
        loop {
            let before = buffer.filled().len();
            let read = stream.as_mut().poll_read(context, &mut buffer);
            let got = buffer.filled().len() - before;
            match read {
                Poll::Pending if before == 0 => return Poll::Pending,
                Poll::Ready(Err(error)) if before == 0 => return Poll::Ready(Err(error)),
                Poll::Pending => break,
                Poll::Ready(Err(error)) => self.end = Some(Err(error)),
                Poll::Ready(Ok(())) if got == 0 && before > 0 => self.end = Some(Ok(())),
                Poll::Ready(Ok(())) => {}
            }
            let is_over = got == 0 || buffer.remaining() == 0;
            if is_over || !self.joins_reads {
                break;
            }
        }
        block.filled = buffer.filled().len();
        Poll::Ready(Ok(block.into_piece()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;

    /// Returns these results, then waits.
    struct Script(VecDeque<io::Result<Vec<u8>>>);

    impl Script {
        fn of(reads: impl IntoIterator<Item = io::Result<Vec<u8>>>) -> Self {
            Self(reads.into_iter().collect())
        }
    }

    impl AsyncRead for Script {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let Some(next) = self.0.pop_front() else { return Poll::Pending };
            let mut bytes = next?;
            let rest = bytes.split_off(bytes.len().min(buffer.remaining()));
            buffer.put_slice(&bytes);
            if !rest.is_empty() {
                self.0.push_front(Ok(rest));
            }
            Poll::Ready(Ok(()))
        }
    }

    fn poll(reader: &mut PieceReader, script: &mut Script) -> Poll<io::Result<Bytes>> {
        let read = std::pin::pin!(reader.read(script, usize::MAX));
        read.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn piece(reader: &mut PieceReader, script: &mut Script) -> Bytes {
        match poll(reader, script) {
            Poll::Ready(Ok(piece)) => piece,
            other => panic!("{other:?}"),
        }
    }

    fn unused() -> usize {
        UNUSED.with(|unused| lock(unused).len())
    }

    #[test]
    fn a_plain_connection_is_read_once_for_a_piece_and_tls_as_far_as_it_goes() {
        let reads = || Script::of([Ok(vec![1; 10]), Ok(vec![2; 10])]);
        assert_eq!(piece(&mut PieceReader::new(false), &mut reads()), [1; 10].as_slice());
        let joined = piece(&mut PieceReader::new(true), &mut reads());
        assert_eq!(joined, [[1; 10], [2; 10]].concat());
        let long = || Script::of([Ok(vec![1; BLOCK_BYTES - 1]), Ok(vec![2; 10])]);
        let (mut reader, mut script) = (PieceReader::new(true), long());
        assert_eq!(piece(&mut reader, &mut script).len(), BLOCK_BYTES);
        assert_eq!(piece(&mut reader, &mut script), [2; 9].as_slice());
    }

    #[test]
    fn an_end_or_an_error_behind_data_follows_the_data() {
        let (mut reader, mut script) =
            (PieceReader::new(true), Script::of([Ok(vec![1]), Ok(vec![])]));
        assert_eq!(piece(&mut reader, &mut script), [1].as_slice());
        assert!(piece(&mut reader, &mut script).is_empty());
        let broken = || Err(io::Error::from(io::ErrorKind::ConnectionReset));
        let (mut reader, mut script) =
            (PieceReader::new(true), Script::of([Ok(vec![1]), broken()]));
        assert_eq!(piece(&mut reader, &mut script), [1].as_slice());
        let end = poll(&mut reader, &mut script);
        assert!(
            matches!(end, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset)
        );
    }

    #[test]
    fn a_block_is_used_again_once_its_data_is_stored_on_any_thread() {
        let full = || Script::of([Ok(vec![7; BLOCK_BYTES])]);
        let mut reader = PieceReader::new(false);
        let first = piece(&mut reader, &mut full());
        let place = first.as_ptr();
        // Still in use: another block.
        let second = piece(&mut reader, &mut full());
        assert_ne!(second.as_ptr(), place);
        assert_eq!(first, second);
        std::thread::spawn(move || drop(first)).join().unwrap();
        assert_eq!(piece(&mut reader, &mut full()).as_ptr(), place);
    }

    #[test]
    fn few_bytes_do_not_occupy_a_block() {
        let mut reader = PieceReader::new(false);
        let pieces: Vec<_> = (0..100)
            .map(|_| piece(&mut reader, &mut Script::of([Ok(vec![1; SHARED_BYTES_MIN - 1])])))
            .collect();
        assert_eq!(unused(), 1);
        let shared = piece(&mut reader, &mut Script::of([Ok(vec![1; SHARED_BYTES_MIN])]));
        assert_eq!(unused(), 0);
        drop((pieces, shared));
        assert_eq!(unused(), 1);
    }

    #[test]
    fn an_upload_that_waits_occupies_no_block() {
        let mut reader = PieceReader::new(false);
        assert!(poll(&mut reader, &mut Script::of([])).is_pending());
        assert_eq!(unused(), 1);
    }

    #[test]
    fn a_thread_keeps_few_unused_blocks() {
        let mut reader = PieceReader::new(false);
        let shared: Vec<_> = (0..3 * KEPT_MAX)
            .map(|_| piece(&mut reader, &mut Script::of([Ok(vec![1; BLOCK_BYTES])])))
            .collect();
        drop(shared);
        assert_eq!(unused(), KEPT_MAX);
    }
}
