//! Content of uploads, and comparison of downloads: the pattern, or a local file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::pattern::{Pattern, len, upto};
use crate::plan::Content;
use crate::system;

/// The content of uploads. One for each thread.
#[derive(Debug)]
pub(crate) enum UploadContent {
    Pattern {
        pattern: Pattern,
        file: Option<Arc<File>>,
        period: u64,
    },
    /// A short file, read in advance.
    Short(Vec<u8>),
    File(File),
}

/// The pattern, shared by all threads: as bytes, and as a file for `sendfile`.
#[derive(Clone, Debug)]
pub(crate) struct SharedPattern {
    pattern: Pattern,
    file: Option<Arc<File>>,
}

impl SharedPattern {
    pub(crate) fn new() -> Self {
        let pattern = Pattern::new();
        let file = system::memory_file().and_then(|mut file| {
            let written = io::Write::write_all(&mut file, pattern.at(0));
            written.is_ok().then(|| Arc::new(file))
        });
        Self { pattern, file }
    }

    fn or_new(shared: Option<&Self>) -> Self {
        shared.cloned().unwrap_or_else(Self::new)
    }
}

impl UploadContent {
    /// Prepares the content of files of this length.
    pub(crate) fn open(
        content: &Content,
        length: u64,
        shared: Option<&SharedPattern>,
    ) -> Result<Self, Error> {
        let path = match content {
            Content::Pattern => {
                let SharedPattern { pattern, file } = SharedPattern::or_new(shared);
                let period = len(pattern.at(0));
                return Ok(Self::Pattern { pattern, file, period });
            }
            Content::File(path) => path,
        };
        let failed = |kind| Error::new(format!("read {}", path.display()), kind);
        let open = || {
            let file = File::open(path)?;
            let has = file.metadata()?.len();
            if has < length {
                return Err(ErrorKind::Length { got: has, wanted: length });
            }
            if length > SHORT_MAX {
                return Ok(Self::File(file));
            }
            let mut bytes = Vec::new();
            file.take(length).read_to_end(&mut bytes)?;
            Ok(Self::Short(bytes))
        };
        open().map_err(failed)
    }

    /// The file that holds the bytes at `at`: the offset in it, and the length at most. `None` if
    /// sending the bytes themselves is cheaper.
    pub(crate) fn file_at(&self, at: u64, length: u64) -> Option<(&File, u64, u64)> {
        if !system::SENDS_FILES {
            return None;
        }
        match self {
            Self::Pattern { file: Some(file), period, .. } if length > SHORT_MAX => {
                let start = at % period;
                Some((file, start, (length - at).min(period - start)))
            }
            Self::File(file) => Some((file, at, length - at)),
            _ => None,
        }
    }

    /// The bytes at `at`, at least one of them.
    pub(crate) fn bytes_at<'a>(
        &'a mut self,
        at: u64,
        buffer: &'a mut [u8],
    ) -> io::Result<&'a [u8]> {
        match self {
            Self::Pattern { pattern, .. } => Ok(pattern.at(at)),
            Self::Short(bytes) => {
                let start = usize::try_from(at).unwrap_or(usize::MAX);
                bytes.get(start..).filter(|rest| !rest.is_empty()).ok_or_else(ended)
            }
            Self::File(file) => {
                file.seek(SeekFrom::Start(at))?;
                let length = file.read(buffer)?;
                if length == 0 { Err(ended()) } else { Ok(upto_length(buffer, length)) }
            }
        }
    }
}

/// Files up to this length are sent by one write, which is cheaper than `sendfile`.
const SHORT_MAX: u64 = 64 << 10;

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the local file was truncated")
}

fn upto_length(buffer: &[u8], length: usize) -> &[u8] {
    buffer.get(..length).unwrap_or_default()
}

/// Compares a download with the expected content. One for each thread.
#[derive(Debug)]
pub(crate) struct Comparison {
    content: ExpectedContent,
    at: u64,
}

#[derive(Debug)]
enum ExpectedContent {
    Pattern(Pattern),
    File(File, Vec<u8>),
}

impl Comparison {
    pub(crate) fn open(content: &Content, shared: Option<&SharedPattern>) -> Result<Self, Error> {
        let content = match content {
            Content::Pattern => ExpectedContent::Pattern(SharedPattern::or_new(shared).pattern),
            Content::File(path) => {
                let file = File::open(path);
                let failed =
                    |error: io::Error| Error::new(format!("read {}", path.display()), error.into());
                ExpectedContent::File(file.map_err(failed)?, Vec::new())
            }
        };
        Ok(Self { content, at: 0 })
    }

    /// Starts a file.
    pub(crate) fn rewind(&mut self) -> Result<(), ErrorKind> {
        self.at = 0;
        if let ExpectedContent::File(file, _) = &mut self.content {
            file.rewind()?;
        }
        Ok(())
    }

    /// Compares the next part of the file.
    pub(crate) fn compare(&mut self, part: &[u8]) -> Result<(), ErrorKind> {
        let mut rest = part;
        while !rest.is_empty() {
            let expected = match &mut self.content {
                ExpectedContent::Pattern(pattern) => pattern.at(self.at),
                ExpectedContent::File(file, buffer) => {
                    buffer.clear();
                    file.take(len(rest)).read_to_end(buffer)?;
                    buffer
                }
            };
            let expected = upto(expected, len(rest));
            let (now, later) = rest.split_at(expected.len());
            if now != expected || expected.is_empty() {
                let same = now.iter().zip(expected).take_while(|(one, other)| one == other);
                let same = u64::try_from(same.count()).unwrap_or_default();
                return Err(ErrorKind::Content { at: self.at + same });
            }
            self.at += len(now);
            rest = later;
        }
        Ok(())
    }
}
