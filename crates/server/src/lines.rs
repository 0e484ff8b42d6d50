//! Formats the entries of a directory as a stream of listing lines.

mod tree;
mod walk;

pub(crate) use self::tree::{TreePrefix, tree};
pub(crate) use self::walk::DirectoryWalk;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::task::JoinHandle;
use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::{ByteStream, Entries, EntryStream};
use wharf_core::{Bytes, Stream};
use wharf_proto::entry::Entry;
use wharf_proto::glob::Glob;
use wharf_proto::listing::Format;

use crate::blocking_pool::BlockingPool;
use crate::files::DirectoryPerms;
use crate::names::NameCodec;

/// Directories of up to this many entries are sorted by name; larger ones are listed in the order
/// of the store, so that the listing starts without reading all entries.
const SORTED_MAX: usize = 1024;
/// The size of a chunk of lines: large enough that switching threads costs little, and small enough
/// for the processor's cache.
const PIECE_BYTES: usize = 112 * 1024;
/// Space for the line that completes a chunk.
const PIECE_BYTES_SPARE: usize = 8 * 1024;
/// Entries that one blocking call reads at most, so that a cancelled listing with few matches ends
/// soon.
const ENTRIES_PER_READ_MAX: usize = 4096;

/// Formats entries as lines.
pub(crate) struct LineFormatter {
    /// The format of a line.
    pub(crate) format: Box<dyn Format>,
    /// The session's character set.
    pub(crate) names: NameCodec,
    /// Lists only matching names.
    pub(crate) only: Option<Glob>,
    /// The prefix of each name: the directory part of NLST's argument.
    pub(crate) prefix: Vec<u8>,
    /// The `perm` facts.
    pub(crate) perms: DirectoryPerms,
}

impl LineFormatter {
    /// Appends the line of an entry.
    pub(crate) fn line(&mut self, entry: &mut Entry, out: &mut Vec<u8>) {
        entry.perm = self.perms.of(&entry.name, entry.kind);
        if !self.prefix.is_empty() {
            entry.name.splice(..0, self.prefix.iter().copied());
        }
        if let std::borrow::Cow::Owned(name) = self.names.wire(&entry.name) {
            entry.name = name;
        }
        self.format.line(entry, out);
    }

    fn wants(&self, entry: &Entry) -> bool {
        self.only.as_ref().is_none_or(|glob| glob.matches(&entry.name))
    }
}

/// The lines of a whole directory.
pub(crate) fn lines(
    entries: Entries,
    formatter: LineFormatter,
    blocking_pool: &BlockingPool,
) -> ByteStream {
    let lines = LineBuffer { formatter, first: Some(Vec::new()), out: Vec::new() };
    match entries {
        Entries::Blocking(entries) => {
            Box::pin(ReadAhead::of(BlockingLines { entries, lines }, blocking_pool))
        }
        Entries::Stream(entries) => Box::pin(BatchLines { entries: Some(entries), lines }),
    }
}

/// Collects at most `most` entries, and returns whether there are more.
async fn collect(
    entries: Entries,
    most: usize,
    blocking_pool: &BlockingPool,
) -> Result<(Vec<Entry>, bool)> {
    match entries {
        Entries::Blocking(entries) => {
            let read = move || {
                let mut all = Vec::new();
                for entry in entries {
                    if all.len() >= most {
                        return Ok((all, true));
                    }
                    all.push(entry?);
                }
                Ok((all, false))
            };
            let read = blocking_pool.spawn(read).await;
            read.unwrap_or_else(|panic| Err(Error::new(ErrorKind::Broken, panic)))
        }
        Entries::Stream(mut batches) => {
            let mut all: Vec<Entry> = Vec::new();
            while let Some(batch) = poll_fn(|context| batches.as_mut().poll_next(context)).await {
                all.extend(batch?);
                if all.len() > most {
                    all.truncate(most);
                    return Ok((all, true));
                }
            }
            Ok((all, false))
        }
    }
}

/// A stream of prepared lines.
pub(crate) fn prepared(bytes: Vec<u8>) -> ByteStream {
    Box::pin(Prepared(Some(Bytes::from(bytes)).filter(|bytes| !bytes.is_empty())))
}

/// Buffers formatted lines.
struct LineBuffer {
    formatter: LineFormatter,
    /// The entries to be sorted, until there are more than [`SORTED_MAX`].
    first: Option<Vec<Entry>>,
    out: Vec<u8>,
}

impl LineBuffer {
    fn add(&mut self, mut entry: Entry) {
        if !self.formatter.wants(&entry) {
            return;
        }
        match &mut self.first {
            Some(first) if first.len() < SORTED_MAX => return first.push(entry),
            Some(_) => self.write_first(),
            None => {}
        }
        if self.out.capacity() == 0 {
            self.out.reserve(PIECE_BYTES + PIECE_BYTES_SPARE);
        }
        self.formatter.line(&mut entry, &mut self.out);
    }

    fn write_first(&mut self) {
        let mut first = self.first.take().unwrap_or_default();
        self.out.reserve(first.len() * 128);
        for entry in &mut first {
            self.formatter.line(entry, &mut self.out);
        }
    }

    /// After the last entry.
    fn end(&mut self) {
        let mut first = self.first.take().unwrap_or_default();
        self.out.reserve(first.len() * 128);
        // Sorts references, because entries are large.
        let mut sorted: Vec<_> = first.iter_mut().collect();
        sorted.sort_unstable_by(|one, two| one.name.cmp(&two.name));
        for entry in sorted {
            self.formatter.line(entry, &mut self.out);
        }
    }

    fn is_full(&self) -> bool {
        self.out.len() >= PIECE_BYTES
    }

    /// Takes the buffered lines, which may be empty.
    fn piece(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.out))
    }
}

/// Formats entries that are read with blocking calls.
struct BlockingLines {
    entries: Box<dyn Iterator<Item = Result<Entry>> + Send>,
    lines: LineBuffer,
}

/// A chunk of lines, and the reader if there are more entries.
type ListingPiece = Result<(Bytes, Option<BlockingLines>)>;

impl BlockingLines {
    fn read(mut self) -> ListingPiece {
        for _ in 0..ENTRIES_PER_READ_MAX {
            let Some(entry) = self.entries.next() else {
                self.lines.end();
                return Ok((self.lines.piece(), None));
            };
            self.lines.add(entry?);
            if self.lines.is_full() {
                break;
            }
        }
        Ok((self.lines.piece(), Some(self)))
    }
}

/// Reads one chunk ahead on a blocking thread. After a drop, only that chunk is still read.
struct ReadAhead {
    ahead: Option<JoinHandle<ListingPiece>>,
    blocking_pool: BlockingPool,
}

impl ReadAhead {
    fn of(calls: BlockingLines, blocking_pool: &BlockingPool) -> Self {
        let ahead = Some(blocking_pool.spawn(|| calls.read()));
        Self { ahead, blocking_pool: blocking_pool.clone() }
    }
}

impl Stream for ReadAhead {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Some(reading) = &mut self.ahead {
            let read = ready!(Pin::new(reading).poll(context));
            self.ahead = None;
            match read.unwrap_or_else(|panic| Err(Error::new(ErrorKind::Broken, panic))) {
                Ok((piece, rest)) => {
                    self.ahead = rest.map(|calls| self.blocking_pool.spawn(|| calls.read()));
                    if !piece.is_empty() {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        Poll::Ready(None)
    }
}

/// Formats entries that arrive in batches.
struct BatchLines {
    /// `None` after the end or an error, since a stream must not be polled after that.
    entries: Option<EntryStream>,
    lines: LineBuffer,
}

impl Stream for BatchLines {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { entries, lines } = self.get_mut();
        while !lines.is_full()
            && let Some(batches) = entries
        {
            match batches.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(batch))) => {
                    for entry in batch {
                        lines.add(entry);
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    *entries = None;
                    lines.out.clear();
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => {
                    lines.end();
                    *entries = None;
                }
                Poll::Pending if lines.out.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Some(lines.piece()).filter(|piece| !piece.is_empty()).map(Ok))
    }
}

struct Prepared(Option<Bytes>);

impl Stream for Prepared {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use wharf_proto::entry::{Kind, Perm};
    use wharf_proto::listing::Short;

    use super::*;
    use crate::net::Tcp;
    use crate::settings::Settings;

    fn formatter(only: Option<&[u8]>) -> LineFormatter {
        LineFormatter {
            format: Box::new(Short),
            names: NameCodec::new(&Settings::default().names),
            only: only.map(|pattern| Glob::parse(pattern).unwrap().unwrap()),
            prefix: Vec::new(),
            perms: DirectoryPerms::All { files: Perm::default(), directories: Perm::default() },
        }
    }

    /// Entries with these numbers as names.
    fn entries(
        numbers: impl Iterator<Item = usize> + Send + 'static,
    ) -> Box<dyn Iterator<Item = Result<Entry>> + Send> {
        Box::new(numbers.map(|number| Ok(Entry::new(format!("{number:06}"), Kind::File, 0))))
    }

    fn pool() -> BlockingPool {
        BlockingPool::new(std::sync::Arc::new(Tcp))
    }

    async fn all(mut stream: ByteStream) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(piece) = poll_fn(|waker| stream.as_mut().poll_next(waker)).await {
            let piece = piece?;
            assert!(piece.ends_with(b"\n"), "pieces are whole lines");
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    fn expected(numbers: impl Iterator<Item = usize>) -> String {
        numbers.fold(String::new(), |text, number| text + &format!("{number:06}\r\n"))
    }

    #[tokio::test]
    async fn a_small_directory_is_sorted_and_a_large_one_is_not() {
        for (count, is_sorted) in [(0, true), (1, true), (SORTED_MAX, true), (50_000, false)] {
            let listed =
                lines(Entries::Blocking(entries((0..count).rev())), formatter(None), &pool());
            let text = String::from_utf8(all(listed).await.unwrap()).unwrap();
            let wanted = if is_sorted { expected(0..count) } else { expected((0..count).rev()) };
            assert!(text == wanted, "{count}");
        }
    }

    #[tokio::test]
    async fn an_error_ends_the_listing() {
        let failing = (0..3).map(|_| Err(Error::from(ErrorKind::Broken)));
        let listed = Entries::Blocking(Box::new(failing));
        assert_eq!(
            all(lines(listed, formatter(None), &pool())).await.unwrap_err().kind,
            ErrorKind::Broken
        );
    }

    /// A stream that must not be polled after its end.
    struct OneBatch(Option<Result<Vec<Entry>>>, bool);

    impl Stream for OneBatch {
        type Item = Result<Vec<Entry>>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            assert!(!self.1, "a stream that has ended was read again");
            let next = self.0.take();
            self.1 = !matches!(next, Some(Ok(_)));
            Poll::Ready(next)
        }
    }

    #[tokio::test]
    async fn a_stream_of_batches_is_not_polled_after_its_end_or_an_error() {
        let batch = vec![Entry::new("a", Kind::File, 0)];
        for (only, is_whole) in [(Ok(batch), true), (Err(ErrorKind::Broken.into()), false)] {
            let batches = Entries::Stream(Box::pin(OneBatch(Some(only), false)));
            let mut stream = lines(batches, formatter(None), &pool());
            let first = poll_fn(|waker| stream.as_mut().poll_next(waker)).await;
            assert_eq!(first.unwrap().is_ok(), is_whole);
            for _ in 0..2 {
                assert!(poll_fn(|waker| stream.as_mut().poll_next(waker)).await.is_none());
            }
        }
    }

    #[test]
    fn row_39_one_blocking_read_is_bounded() {
        for only in [None, Some(b"*x".as_slice())] {
            let lines =
                LineBuffer { formatter: formatter(only), first: Some(Vec::new()), out: Vec::new() };
            let (piece, rest) = BlockingLines { entries: entries(0..), lines }.read().unwrap();
            assert!(rest.is_some());
            assert!(piece.len() <= PIECE_BYTES + PIECE_BYTES_SPARE);
        }
    }

    /// A listing of a million entries needs the memory of one or two chunks.
    #[tokio::test]
    async fn row_39_a_million_entries_need_no_memory() {
        let pages = || {
            let facts = std::fs::read_to_string("/proc/self/statm").ok()?;
            facts.split(' ').nth(1)?.parse::<usize>().ok()
        };
        let mut stream = lines(Entries::Blocking(entries(0..1_000_000)), formatter(None), &pool());
        let (mut count, mut most) = (0, 0);
        let before = pages();
        while let Some(piece) = poll_fn(|waker| stream.as_mut().poll_next(waker)).await {
            count += piece.unwrap().split(|&byte| byte == b'\n').count() - 1;
            most = most.max(pages().unwrap_or_default());
        }
        assert_eq!(count, 1_000_000);
        if let Some(before) = before {
            assert!(most.saturating_sub(before) < 16 * 1024 * 1024 / 4096, "{before} {most}");
        }
    }
}
