//! How many threads of the machine run, or wait only for a processor (`/proc/loadavg`, see
//! proc(5)).

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;

/// The file stays open: a sandbox may prevent opening it later.
static LOADAVG: OnceLock<Option<File>> = OnceLock::new();

/// Opens the file, before a sandbox may prevent that.
pub(super) fn prepare() {
    LOADAVG.get_or_init(|| File::open("/proc/loadavg").ok());
}

/// The number, with the calling thread; `None` if the system does not report it.
pub(super) fn ready_threads() -> Option<u64> {
    let file = LOADAVG.get()?.as_ref()?;
    let mut bytes = [0; 128];
    let count = file.read_at(&mut bytes, 0).ok()?;
    parse(bytes.get(..count)?)
}

/// Three averages, the number, a slash, the number of all threads.
fn parse(line: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(line).ok()?;
    line.split(' ').nth(3)?.split_once('/')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_precedes_the_slash() {
        assert_eq!(parse(b"0.20 0.18 0.12 1/80 11206\n"), Some(1));
        assert_eq!(parse(b"12.00 8.18 5.12 17/1280 1120600\n"), Some(17));
        assert_eq!(parse(b"0.20 0.18 0.12\n"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn the_calling_thread_is_one_of_them() {
        prepare();
        assert!(ready_threads().expect("Linux has /proc") >= 1);
    }
}
