//! The kernel's side of the disk: the few FUSE requests (`linux/fuse.h`, version 7.31) needed for
//! one file in the root.
//!
//! A request is a header of 40 bytes (length, opcode, unique id, node, user, group, process,
//! padding) followed by the arguments; a reply is a header of 16 bytes (length, error, unique id)
//! followed by the results. All numbers are in native byte order.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::Mutex;

use rustix::io::Errno;
use wharf_load::lock;

use super::DiskContent;

const GETATTR: u32 = 3;
const SETATTR: u32 = 4;
const FORGET: u32 = 2;
const OPEN: u32 = 14;
const READ: u32 = 15;
const WRITE: u32 = 16;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const FSYNC: u32 = 20;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const ACCESS: u32 = 34;
const INTERRUPT: u32 = 36;
const DESTROY: u32 = 38;
const BATCH_FORGET: u32 = 42;

const HEADER_BYTES: usize = 40;
const REPLY_HEADER_BYTES: u32 = 16;
/// The longest write.
const WRITE_BYTES_MAX: u32 = 128 << 10;
/// Space for such a write with its header; the kernel requires some more.
const REQUEST_BYTES_MAX: usize = 160 << 10;
/// `FUSE_ASYNC_READ` and `FUSE_BIG_WRITES`.
const FLAGS: u32 = 1 | 1 << 5;
/// A regular file that its owner may read and write.
const MODE: u32 = 0o100_600;

/// Serves requests until the file system is unmounted.
pub(super) fn serve(mut device: File, content: &Mutex<DiskContent>) {
    let mut request = vec![0; REQUEST_BYTES_MAX];
    loop {
        let length = match device.read(&mut request) {
            Ok(length) => length,
            // The request was cancelled.
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => continue,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            // Unmounted.
            Err(_) => return,
        };
        let request = request.get(..length).unwrap_or_default();
        let (opcode, number) = (u32_at(request, 4), u64_at(request, 8));
        if matches!(opcode, FORGET | BATCH_FORGET | INTERRUPT) {
            continue;
        }
        let body = request.get(HEADER_BYTES..).unwrap_or_default();
        let (error, reply) = match answer(opcode, body, content) {
            Ok(reply) => (0, reply),
            Err(errno) => (-errno.raw_os_error(), Vec::new()),
        };
        let length = REPLY_HEADER_BYTES + u32::try_from(reply.len()).unwrap_or(0);
        let header = [&length.to_ne_bytes()[..], &error.to_ne_bytes(), &number.to_ne_bytes()];
        let whole = [&header.concat(), &reply].map(Vec::as_slice).concat();
        // The caller may have been interrupted.
        let _ = device.write(&whole);
        if opcode == DESTROY {
            return;
        }
    }
}

fn answer(opcode: u32, body: &[u8], content: &Mutex<DiskContent>) -> Result<Vec<u8>, Errno> {
    match opcode {
        INIT => Ok(init(body)),
        // Attributes are not cached, and changes of attributes are ignored.
        GETATTR | SETATTR => Ok([vec![0; 16], attributes(content)].concat()),
        // A handle, flags, padding: the kernel drops its cache of the file on opening.
        OPEN => Ok(vec![0; 16]),
        READ => {
            let (at, length) = (u64_at(body, 8), u32_at(body, 16));
            let content = lock(content);
            let read = content.read(size(at), size(length.into()));
            read.map(<[u8]>::to_vec).ok_or(Errno::IO)
        }
        WRITE => {
            let (at, length) = (u64_at(body, 8), u32_at(body, 16));
            let bytes = body.get(40..40 + size(length.into())).ok_or(Errno::INVAL)?;
            lock(content).write(size(at), bytes).ok_or(Errno::IO)?;
            Ok([length.to_ne_bytes(), [0; 4]].concat())
        }
        FSYNC => lock(content).flush().map(|()| Vec::new()).ok_or(Errno::IO),
        FLUSH | RELEASE | ACCESS | DESTROY => Ok(Vec::new()),
        STATFS => Ok(vec![0; 80]),
        _ => Err(Errno::NOSYS),
    }
}

/// Our version, the read-ahead, our flags, and the longest write.
fn init(body: &[u8]) -> Vec<u8> {
    let (version, minor, ahead): (u32, u32, u32) = (7, 31, u32_at(body, 8));
    let mut reply = Vec::new();
    for word in [version, minor, ahead, FLAGS, 0, WRITE_BYTES_MAX, 1] {
        reply.extend_from_slice(&word.to_ne_bytes());
    }
    reply.resize(64, 0);
    reply
}

/// `struct fuse_attr`: node, size, blocks, three times; their nanoseconds, mode, links, user,
/// group, device, block size, flags.
fn attributes(content: &Mutex<DiskContent>) -> Vec<u8> {
    let bytes = u64::try_from(lock(content).now.len()).unwrap_or(0);
    let mut reply = Vec::new();
    for word in [1, bytes, bytes / 512, 0, 0, 0] {
        reply.extend_from_slice(&word.to_ne_bytes());
    }
    for word in [0, 0, 0, MODE, 1, 0, 0, 0, 4096, 0] {
        reply.extend_from_slice(&word.to_ne_bytes());
    }
    reply
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let part = bytes.get(at..at + 4).and_then(|part| part.try_into().ok());
    part.map_or(0, u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let part = bytes.get(at..at + 8).and_then(|part| part.try_into().ok());
    part.map_or(0, u64::from_ne_bytes)
}
