//! Free space on a file system, and the reserve that uploads must leave.

#[cfg(not(unix))]
#[path = "space_other.rs"]
mod system;
#[cfg(unix)]
#[path = "space_unix.rs"]
mod system;

use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::lock;
use wharf_core::storage::Space;

use super::fault::fault;
use crate::time::real_instant;

pub(super) use self::system::of;

/// The free space is queried at least once per this many bytes written.
const ASK_EVERY_BYTES: u64 = 64 * 1024 * 1024;
/// The fraction of the free space that may be written before the next query: other programs write
/// as well.
const SHARE: u64 = 8;
/// A query serves all uploads to one file system for this long.
const QUERY_AGAIN: Duration = Duration::from_secs(1);
/// Maximum reserve of [`Reserve::Auto`].
const AUTO_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The free space on a file system that uploads must leave, so that logs and state can always be
/// written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reserve {
    /// One percent of the file system, at most 256 MiB.
    #[default]
    Auto,
    /// A number of bytes; 0 disables the reserve and the query.
    Bytes(u64),
    /// A percentage of the file system.
    Percent(u8),
}

impl Reserve {
    fn is_off(self) -> bool {
        matches!(self, Self::Bytes(0) | Self::Percent(0))
    }

    /// The space left for content.
    pub(super) fn left_of(self, space: Space) -> Space {
        let reserve = match self {
            Self::Auto => (space.total / 100).min(AUTO_BYTES_MAX),
            Self::Bytes(bytes) => bytes,
            Self::Percent(hundredths) => (space.total / 100).saturating_mul(hundredths.into()),
        };
        let less = |bytes: u64| bytes.saturating_sub(reserve);
        Space { free: less(space.free), total: less(space.total) }
    }
}

/// The bytes that the uploads to one file system may write before the next query.
#[derive(Debug, Default)]
pub(super) struct SharedHeadroom(Mutex<Option<(u64, Instant)>>);

impl SharedHeadroom {
    /// Takes bytes, if the last query is recent and allows them.
    fn take(&self, bytes: u64) -> bool {
        let mut known = lock(&self.0);
        let Some((left, queried)) = &mut *known else { return false };
        match left.checked_sub(bytes) {
            Some(rest) if queried.elapsed() < QUERY_AGAIN => {
                *left = rest;
                true
            }
            _ => false,
        }
    }

    fn set(&self, left: u64) {
        *lock(&self.0) = Some((left, real_instant()));
    }
}

/// The bytes that one upload may write before the next query.
#[derive(Clone)]
pub(super) struct Headroom {
    reserve: Reserve,
    /// `None` before the first query.
    left: Option<u64>,
    /// Shared with the other uploads to the same file system, if that is known.
    shared: Option<Arc<SharedHeadroom>>,
}

impl Headroom {
    pub(super) fn of(reserve: Reserve) -> Self {
        Self { reserve, left: reserve.is_off().then_some(u64::MAX), shared: None }
    }

    /// Shares queries with the other uploads to the same file system.
    pub(super) fn sharing(self, shared: &Arc<SharedHeadroom>) -> Self {
        Self { shared: Some(Arc::clone(shared)), ..self }
    }

    /// Takes this number of bytes from the free space on the file system of an open file.
    ///
    /// # Errors
    /// `NoSpace` if only the reserve is left. A system that does not report its free space is
    /// assumed to have enough.
    pub(super) fn take(&mut self, file: &File, bytes: u64) -> Result<()> {
        if let Some(left) = self.left.and_then(|left| left.checked_sub(bytes)) {
            self.left = Some(left);
            return Ok(());
        }
        if self.shared.as_ref().is_some_and(|shared| shared.take(bytes)) {
            return Ok(());
        }
        let Some(space) = of(file).map_err(fault)? else {
            self.left = Some(u64::MAX);
            return Ok(());
        };
        let usable = self.reserve.left_of(space).free;
        let Some(left) = usable.checked_sub(bytes).filter(|_| usable > 0) else {
            let message = format!(
                "{} bytes are free, of which files.min_free_space leaves {usable} for uploads",
                space.free
            );
            return Err(Error::new(ErrorKind::NoSpace, message));
        };
        let left = (left / SHARE).min(ASK_EVERY_BYTES);
        match &self.shared {
            Some(shared) => shared.set(left),
            None => self.left = Some(left),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_36_the_reserve_is_one_percent_or_256_mib_or_as_configured() {
        const GIB: u64 = 1 << 30;
        let left = |reserve: Reserve, free, total| reserve.left_of(Space { free, total }).free;
        assert_eq!(left(Reserve::Auto, 1000, 10_000), 900);
        assert_eq!(left(Reserve::Auto, GIB, 1000 * GIB), GIB - AUTO_BYTES_MAX);
        assert_eq!(left(Reserve::Auto, AUTO_BYTES_MAX, 1000 * GIB), 0);
        assert_eq!(left(Reserve::Bytes(70), 100, 200), 30);
        assert_eq!(left(Reserve::Percent(25), 100, 200), 50);
        assert_eq!(left(Reserve::Bytes(0), 100, 200), 100);
    }

    #[test]
    fn row_36_bytes_beyond_the_reserve_are_rejected_before_they_are_written() {
        let file = tempfile::tempfile().unwrap();
        let mut all = Headroom::of(Reserve::Bytes(u64::MAX));
        assert_eq!(all.take(&file, 0).unwrap_err().kind, ErrorKind::NoSpace);
        let mut none = Headroom::of(Reserve::Bytes(0));
        none.take(&file, u64::MAX).unwrap();
        let mut some = Headroom::of(Reserve::Bytes(1));
        some.take(&file, 0).unwrap();
        assert_eq!(some.take(&file, u64::MAX).unwrap_err().kind, ErrorKind::NoSpace);
        some.take(&file, 1).unwrap();
    }

    #[test]
    fn row_36_uploads_to_one_file_system_share_a_query() {
        let file = tempfile::tempfile().unwrap();
        let shared = Arc::new(SharedHeadroom::default());
        let upload = || Headroom::of(Reserve::Bytes(1)).sharing(&shared);
        let left = || shared.0.lock().unwrap().unwrap().0;
        upload().take(&file, 0).unwrap();
        shared.set(100);
        upload().take(&file, 60).unwrap();
        assert_eq!(left(), 40);
        upload().take(&file, 41).unwrap();
        assert!(left() > 40, "a request beyond the shared rest did not query the system");
        shared.set(100);
        let queried = real_instant().checked_sub(QUERY_AGAIN).unwrap();
        *shared.0.lock().unwrap() = Some((100, queried));
        upload().take(&file, 1).unwrap();
        assert!(left() > 100, "an old query was used");
        let error = upload().take(&file, u64::MAX).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NoSpace);
    }
}
