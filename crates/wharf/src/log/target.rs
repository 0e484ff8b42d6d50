//! Where lines go.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::os::{appended, appended_privately};
use crate::outcome::Failure;

/// One place for lines.
#[derive(Debug)]
pub(crate) struct Target {
    sink: Sink,
    /// Whether the last line there is half a line: the disk took no more.
    is_torn: bool,
}

enum Sink {
    StandardError,
    File {
        file: File,
        path: PathBuf,
        open: fn() -> OpenOptions,
    },
    #[cfg(test)]
    Memory(std::sync::Arc<std::sync::Mutex<Vec<u8>>>),
    /// Takes so many bytes and then none, until there is room again.
    #[cfg(test)]
    Full(std::sync::Arc<std::sync::Mutex<(Vec<u8>, usize)>>),
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Sink")
    }
}

impl Target {
    /// Standard error.
    pub(crate) fn standard_error() -> Self {
        Self { sink: Sink::StandardError, is_torn: false }
    }

    /// The end of this file, which is made if it is missing, for its owner and group to read.
    pub(crate) fn file(path: &Path) -> Result<Self, Failure> {
        Self::opened(path, appended)
            .map_err(|error| Failure::io(format!("cannot open the log {}", path.display()), &error))
    }

    /// The same for its owner alone to read.
    pub(crate) fn private_file(path: &Path) -> io::Result<Self> {
        Self::opened(path, appended_privately)
    }

    fn opened(path: &Path, open: fn() -> OpenOptions) -> io::Result<Self> {
        let file = open().open(path)?;
        Ok(Self { sink: Sink::File { file, path: path.to_owned(), open }, is_torn: false })
    }

    /// Memory, for tests.
    #[cfg(test)]
    pub(crate) fn memory(memory: &std::sync::Arc<std::sync::Mutex<Vec<u8>>>) -> Self {
        Self { sink: Sink::Memory(std::sync::Arc::clone(memory)), is_torn: false }
    }

    /// A disk with so much room, for tests.
    #[cfg(test)]
    pub(crate) fn full(disk: &std::sync::Arc<std::sync::Mutex<(Vec<u8>, usize)>>) -> Self {
        Self { sink: Sink::Full(std::sync::Arc::clone(disk)), is_torn: false }
    }

    /// The file, if it is one.
    pub(crate) fn as_file(&self) -> Option<&File> {
        match &self.sink {
            Sink::File { file, .. } => Some(file),
            Sink::StandardError => None,
            #[cfg(test)]
            Sink::Memory(_) | Sink::Full(_) => None,
        }
    }

    /// Opens the file anew, in case it was renamed. What is no file stays.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        if let Sink::File { file, path, open } = &mut self.sink {
            let fresh = open().open(&*path).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })?;
            *file = fresh;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Writes whole lines, and says how many of them were lost. A line of which only a beginning
    /// was taken is lost, and ended before the next one, so that no line ever holds parts of two.
    pub(crate) fn write_lines(&mut self, lines: &[u8]) -> u64 {
        if lines.is_empty() {
            return 0;
        }
        if self.is_torn && self.write(b"\n").is_ok_and(|count| count == 1) {
            self.is_torn = false;
        }
        if self.is_torn {
            return ends(lines);
        }
        let mut rest = lines;
        while !rest.is_empty() {
            match self.write(rest) {
                Ok(count @ 1..) => {
                    let (taken, left) = rest.split_at(count.min(rest.len()));
                    self.is_torn = taken.last() != Some(&b'\n');
                    rest = left;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return ends(rest),
            }
        }
        self.is_torn = false;
        0
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::StandardError => io::stderr().lock().write(bytes),
            Sink::File { file, .. } => file.write(bytes),
            #[cfg(test)]
            Sink::Memory(memory) => {
                memory.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            #[cfg(test)]
            Sink::Full(disk) => {
                let (written, room) = &mut *disk.lock().unwrap();
                let taken = bytes.get(..bytes.len().min(*room)).unwrap();
                written.extend_from_slice(taken);
                *room -= taken.len();
                if taken.is_empty() {
                    Err(io::ErrorKind::StorageFull.into())
                } else {
                    Ok(taken.len())
                }
            }
        }
    }
}

fn ends(lines: &[u8]) -> u64 {
    let count = lines.split(|byte| *byte == b'\n').count().saturating_sub(1);
    u64::try_from(count).unwrap_or(u64::MAX)
}
