//! Listing of a folder with one `stat` per entry.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, StatxFlags, statx};

/// Lines are sent in blocks of about this length.
const BLOCK_BYTES: usize = 128 << 10;

/// Each entry with its type, size and time.
pub(super) fn send(path: &Path, mut stream: TcpStream) -> io::Result<()> {
    let folder = File::open(path)?;
    let mut text = String::with_capacity(BLOCK_BYTES + 1024);
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let facts = statx(
            &folder,
            name,
            AtFlags::SYMLINK_NOFOLLOW,
            StatxFlags::TYPE | StatxFlags::SIZE | StatxFlags::MTIME | StatxFlags::MODE,
        )?;
        let (size, time) = (facts.stx_size, facts.stx_mtime.tv_sec);
        let name = name.to_string_lossy();
        // Writing to a String never fails. The time is left in seconds: a server has to format it,
        // so this is a lower limit.
        let _ = write!(text, "type=file;size={size};modify={time}; {name}\r\n");
        if text.len() >= BLOCK_BYTES {
            stream.write_all(text.as_bytes())?;
            text.clear();
        }
    }
    stream.write_all(text.as_bytes())
}
