//! The room on a file system, and the part of it that nobody may fill.

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

/// The file system is asked at least each time that so much was written.
const ASK_EVERY_BYTES: u64 = 64 * 1024 * 1024;
/// The part of the room that may be written before it is asked again: others write, too.
const SHARE: u64 = 8;
/// The most that [`Reserve::Auto`] keeps.
const AUTO_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The room on a file system that uploads leave free, so that logs and state always have some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reserve {
    /// A hundredth of it, and 256 MiB at most.
    #[default]
    Auto,
    /// So many bytes; 0: none, and nobody asks.
    Bytes(u64),
    /// So many hundredths of it.
    Percent(u8),
}

impl Reserve {
    fn is_off(self) -> bool {
        matches!(self, Self::Bytes(0) | Self::Percent(0))
    }

    /// What is left for content.
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

/// What one upload may write before the file system is asked again.
#[derive(Clone, Copy)]
pub(super) struct Headroom {
    reserve: Reserve,
    /// None before the first question.
    left: Option<u64>,
}

impl Headroom {
    pub(super) fn of(reserve: Reserve) -> Self {
        Self { reserve, left: reserve.is_off().then_some(u64::MAX) }
    }

    /// Takes room for so many bytes on the file system of an open file.
    ///
    /// # Errors
    /// `NoSpace` if there is none, the reserve left out. A system that does not say has room.
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
                "{} bytes are free, and files.min_free_space keeps all but {room} of them",
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
    fn row_36_the_reserve_is_a_hundredth_or_256_mib_or_what_was_said() {
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
    fn row_36_what_would_fill_the_reserve_is_refused_before_it_is_written() {
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
