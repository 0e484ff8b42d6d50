//! Outputs of the log: standard error, files, the journal.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use wharf_config::outcome::{Failure, plain};

use super::journal::JournalSocket;
use super::rotation::{RotationRules, RotationState};
use crate::os::{Access, TrustedPath};

/// An output for lines.
#[derive(Debug)]
pub(crate) struct LogTarget {
    sink: LogSink,
    /// Whether the last line is incomplete, since the disk was full.
    is_torn: bool,
    /// Why the file could not be rotated, unless already reported.
    problem: Option<String>,
}

enum LogSink {
    StandardError,
    File {
        file: File,
        path: PathBuf,
        /// The permission bits of a new file.
        mode: u32,
        rotation: Option<RotationState>,
    },
    Journal(JournalSocket),
    #[cfg(test)]
    Memory(std::sync::Arc<std::sync::Mutex<Vec<u8>>>),
    /// Accepts a limited number of bytes, like a full disk; for tests.
    #[cfg(test)]
    Full(std::sync::Arc<std::sync::Mutex<(Vec<u8>, usize)>>),
}

impl std::fmt::Debug for LogSink {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Sink")
    }
}

/// The error of a log that cannot be opened, with a hint.
pub(crate) fn cannot_open(what: &str, path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::io(format!("cannot open the {what} {}", path.display()), error);
    match (error.kind(), path.parent()) {
        (io::ErrorKind::NotFound, Some(folder)) => {
            failure.hint(format!("create its folder:  mkdir -p '{}'", folder.display()))
        }
        (io::ErrorKind::IsADirectory, _) => failure.hint("write the path of a file"),
        _ => failure,
    }
}

impl LogTarget {
    /// Standard error.
    pub(crate) fn standard_error() -> Self {
        Self::at(LogSink::StandardError)
    }

    /// systemd's journal, which accepts entries instead of lines.
    pub(crate) fn journal(journal: JournalSocket) -> Self {
        Self::at(LogSink::Journal(journal))
    }

    fn at(sink: LogSink) -> Self {
        Self { sink, is_torn: false, problem: None }
    }

    /// Appends to this file, which is created readable for owner and group if missing.
    pub(crate) fn file(path: &Path) -> Result<Self, Failure> {
        Self::opened(path, 0o640).map_err(|error| cannot_open("log", path, &error))
    }

    /// The same, readable for its owner only.
    pub(crate) fn private_file(path: &Path) -> io::Result<Self> {
        Self::opened(path, 0o600)
    }

    fn opened(path: &Path, mode: u32) -> io::Result<Self> {
        let file = TrustedPath::find(path)?.open(Access::Append(mode))?;
        Ok(Self::at(LogSink::File { file, path: path.to_owned(), mode, rotation: None }))
    }

    /// Sets the rotation rules, if it is a file.
    #[must_use]
    pub(crate) fn rotated(mut self, rules: RotationRules) -> Self {
        if let LogSink::File { file, rotation, .. } = &mut self.sink {
            let is_plain = file.metadata().is_ok_and(|facts| facts.is_file());
            *rotation = (rules.is_on() && is_plain).then(|| RotationState::new(rules, file));
        }
        self
    }

    /// Why the file could not be rotated; returned once.
    pub(crate) fn take_problem(&mut self) -> Option<String> {
        self.problem.take()
    }

    /// Memory, for tests.
    #[cfg(test)]
    pub(crate) fn memory(memory: &std::sync::Arc<std::sync::Mutex<Vec<u8>>>) -> Self {
        Self::at(LogSink::Memory(std::sync::Arc::clone(memory)))
    }

    /// A disk with this free space, for tests.
    #[cfg(test)]
    pub(crate) fn full(disk: &std::sync::Arc<std::sync::Mutex<(Vec<u8>, usize)>>) -> Self {
        Self::at(LogSink::Full(std::sync::Arc::clone(disk)))
    }

    /// The file, if it is one.
    pub(crate) fn as_file(&self) -> Option<&File> {
        match &self.sink {
            LogSink::File { file, .. } => Some(file),
            LogSink::StandardError | LogSink::Journal(_) => None,
            #[cfg(test)]
            LogSink::Memory(_) | LogSink::Full(_) => None,
        }
    }

    /// Reopens the file, in case it was renamed. Other targets are unchanged.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        if let LogSink::File { file, path, mode, rotation } = &mut self.sink {
            let opened = TrustedPath::find(path)
                .and_then(|trusted_path| trusted_path.open(Access::Append(*mode)));
            let fresh = opened.map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })?;
            *file = fresh;
            if let Some(rotation) = rotation {
                rotation.read_state(file);
            }
            self.is_torn = false;
        }
        Ok(())
    }

    /// Writes whole lines, and returns how many were lost. A partly written line is lost; a line
    /// feed is added before the next one, so that no line contains parts of two.
    pub(crate) fn write_lines(&mut self, lines: &[u8]) -> u64 {
        if let LogSink::Journal(journal) = &mut self.sink {
            return journal.write(lines);
        }
        let mut lost = 0;
        let mut rest = lines;
        while !rest.is_empty() {
            let mut share = self.share(rest);
            if share == 0 {
                self.turn();
                // If that fails, the old file is used further.
                share = match self.share(rest) {
                    0 => rest.len(),
                    share => share,
                };
            }
            let (now, later) = rest.split_at(share.min(rest.len()));
            lost += self.write_some(now);
            rest = later;
        }
        lost
    }

    /// How much of `lines` fits into the file before rotation.
    fn share(&self, lines: &[u8]) -> usize {
        match &self.sink {
            LogSink::File { rotation: Some(rotation), .. } => rotation.share(lines),
            _ => lines.len(),
        }
    }

    /// Rotates the file and opens a new one.
    fn turn(&mut self) {
        let LogSink::File { path, rotation: Some(rotation), .. } = &mut self.sink else { return };
        let done = rotation.turn(path).and_then(|()| self.reopen());
        if let Err(error) = done {
            self.problem = Some(plain(&error));
        }
    }

    fn write_some(&mut self, lines: &[u8]) -> u64 {
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
            LogSink::StandardError => io::stderr().lock().write(bytes),
            LogSink::File { file, rotation, .. } => {
                let written = file.write(bytes)?;
                if let Some(rotation) = rotation {
                    rotation.wrote(written);
                }
                Ok(written)
            }
            // The journal is written elsewhere.
            LogSink::Journal(_) => Ok(bytes.len()),
            #[cfg(test)]
            LogSink::Memory(memory) => {
                memory.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            #[cfg(test)]
            LogSink::Full(disk) => {
                let (written, free) = &mut *disk.lock().unwrap();
                let taken = bytes.get(..bytes.len().min(*free)).unwrap();
                written.extend_from_slice(taken);
                *free -= taken.len();
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
