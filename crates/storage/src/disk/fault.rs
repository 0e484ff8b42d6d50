//! Mapping errors of the operating system to [`ErrorKind`].

use std::io;

use wharf_core::error::{Error, ErrorKind};

/// Converts an error, where the general table of [`Error`] is not precise enough.
pub(super) fn fault(error: impl Into<io::Error>) -> Error {
    let error = error.into();
    match meaning(&error) {
        Some(kind) => Error::new(kind, error),
        None => error.into(),
    }
}

#[cfg(unix)]
fn meaning(error: &io::Error) -> Option<ErrorKind> {
    use rustix::io::Errno;
    Some(match Errno::from_io_error(error)? {
        // A link that leads out of the root, must not be followed, or is part of a loop; or a
        // socket or device, which the server never opens.
        Errno::XDEV | Errno::LOOP | Errno::NXIO | Errno::NODEV => ErrorKind::Forbidden,
        Errno::ILSEQ => ErrorKind::BadName,
        Errno::MLINK => ErrorKind::NoSpace,
        // Descriptors and locks become available when other transfers end.
        Errno::MFILE | Errno::NFILE => ErrorKind::Exhausted,
        Errno::NOLCK | Errno::AGAIN => ErrorKind::Busy,
        _ => return None,
    })
}

#[cfg(windows)]
fn meaning(error: &io::Error) -> Option<ErrorKind> {
    windows_meaning(error.raw_os_error()?)
}

/// Windows error codes without a kind in the standard library.
#[cfg(any(windows, test))]
fn windows_meaning(number: i32) -> Option<ErrorKind> {
    Some(match number {
        4 => ErrorKind::Exhausted,
        // A file, or a part of it, that another program has locked; a directory that is the current
        // directory of a process.
        16 | 32 | 33 => ErrorKind::Busy,
        // No such drive.
        15 => ErrorKind::NotFound,
        // A link or a cloud file that cannot be followed; access blocked by a virus scanner.
        225 | 226 | 362 | 1920 => ErrorKind::Forbidden,
        // An invalid name for the file system.
        123 => ErrorKind::BadName,
        39 | 112 => ErrorKind::NoSpace,
        1295 => ErrorKind::OverQuota,
        _ => return None,
    })
}

#[cfg(test)]
mod windows_tests {
    use super::*;

    #[test]
    fn windows_error_codes_have_a_kind() {
        for (number, kind) in [
            (32, Some(ErrorKind::Busy)),
            (33, Some(ErrorKind::Busy)),
            (112, Some(ErrorKind::NoSpace)),
            (123, Some(ErrorKind::BadName)),
            (1295, Some(ErrorKind::OverQuota)),
            (2, None),
        ] {
            assert_eq!(windows_meaning(number), kind, "{number}");
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn system_errors_have_a_kind() {
        for (errno, kind) in [
            (Errno::NOENT, ErrorKind::NotFound),
            (Errno::EXIST, ErrorKind::Exists),
            (Errno::NOTDIR, ErrorKind::NotADirectory),
            (Errno::ISDIR, ErrorKind::IsADirectory),
            (Errno::NOTEMPTY, ErrorKind::NotEmpty),
            (Errno::ACCESS, ErrorKind::Forbidden),
            (Errno::PERM, ErrorKind::Forbidden),
            (Errno::ROFS, ErrorKind::Forbidden),
            (Errno::XDEV, ErrorKind::Forbidden),
            (Errno::LOOP, ErrorKind::Forbidden),
            (Errno::NAMETOOLONG, ErrorKind::BadName),
            (Errno::NOSPC, ErrorKind::NoSpace),
            (Errno::FBIG, ErrorKind::NoSpace),
            (Errno::DQUOT, ErrorKind::OverQuota),
            (Errno::MFILE, ErrorKind::Exhausted),
            (Errno::BUSY, ErrorKind::Busy),
            (Errno::IO, ErrorKind::Broken),
        ] {
            assert_eq!(fault(errno).kind, kind, "{errno:?}");
        }
    }
}
