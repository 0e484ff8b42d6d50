//! Systems without privilege separation: files are opened by path.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// A path.
#[derive(Debug)]
pub(crate) struct TrustedPath(PathBuf);

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// For reading.
    Read,
    /// For appending; created if missing.
    Append(u32),
    /// For writing; it must not exist yet.
    New(u32),
}

impl TrustedPath {
    #[expect(clippy::unnecessary_wraps, reason = "other systems check the folders of the path")]
    pub(crate) fn find(path: &Path) -> io::Result<Self> {
        Ok(Self(path.to_owned()))
    }

    #[expect(clippy::unnecessary_wraps, reason = "other systems check the folders of the path")]
    pub(crate) fn entry(path: &Path) -> io::Result<Self> {
        Ok(Self(path.to_owned()))
    }

    pub(crate) fn beside(&self, name: &OsStr) -> Self {
        Self(self.0.with_file_name(name))
    }

    pub(crate) fn open(&self, access: Access) -> io::Result<File> {
        let mut options = OpenOptions::new();
        match access {
            Access::Read => options.read(true),
            Access::Append(_) => options.append(true).create(true),
            Access::New(_) => options.write(true).create_new(true),
        };
        options.open(&self.0)
    }

    pub(crate) fn rename(&self, to: &Self) -> io::Result<()> {
        fs::rename(&self.0, &to.0)
    }

    pub(crate) fn rename_to_free(&self, to: &Self) -> io::Result<()> {
        if to.0.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename(to)
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.0)
    }
}

/// Opens a file that the configuration names for reading.
pub fn open_trusted(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// No file is checked here: wharf runs with the permissions of the user that started it.
pub fn only_root_changes(_: &Path) -> io::Result<()> {
    Ok(())
}
