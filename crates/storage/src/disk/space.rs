//! Free space on a file system, and the reserve that uploads must leave.

#[cfg(not(unix))]
#[path = "space_other.rs"]
mod system;
#[cfg(unix)]
#[path = "space_unix.rs"]
mod system;

use std::fs::File;

use wharf_core::error::{Error, ErrorKind, Result};
use wharf_core::storage::Space;

use super::fault::fault;

pub(super) use self::system::of;

/// The free space is queried at least once per this many bytes written.
const ASK_EVERY_BYTES: u64 = 64 * 1024 * 1024;
/// The fraction of the free space that may be written before the next query: other programs write
/// as well.
const SHARE: u64 = 8;
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

/// The bytes that one upload may write before the next query.
#[derive(Clone, Copy)]
pub(super) struct Headroom {
    reserve: Reserve,
    /// `None` before the first query.
    left: Option<u64>,
}

impl Headroom {
    pub(super) fn of(reserve: Reserve) -> Self {
        Self { reserve, left: reserve.is_off().then_some(u64::MAX) }
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
        let Some(space) = of(file).map_err(fault)? else {
            self.left = Some(u64::MAX);
            return Ok(());
        };
        let room = self.reserve.left_of(space).free;
        let Some(left) = room.checked_sub(bytes).filter(|_| room > 0) else {
            let message = format!(
                "{} bytes are free, of which files.min_free_space leaves {room} for uploads",
                space.free
            );
            return Err(Error::new(ErrorKind::NoSpace, message));
        };
        self.left = Some((left / SHARE).min(ASK_EVERY_BYTES));
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
}
