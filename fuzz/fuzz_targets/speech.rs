//! Client input, from bytes to meaning: lines out of telnet, commands out of lines, and the
//! argument of each command. Parsed values are written and parsed again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_proto::address::{parse_eprt, parse_epsv, parse_port};
use wharf_proto::args;
use wharf_proto::command::Command;
use wharf_proto::line::LineDecoder;
use wharf_proto::path::{VPath, escaped};

/// The limit of a session before its login.
const LINE_BYTES_MAX: usize = 1100;

fuzz_target!(|bytes: &[u8]| {
    let Some((&size, bytes)) = bytes.split_first() else { return };
    let mut decoder = LineDecoder::new(LINE_BYTES_MAX);
    let mut again = LineDecoder::new(LINE_BYTES_MAX);
    for piece in bytes.chunks(usize::from(size).max(1)) {
        decoder.feed(piece);
        while let Some(line) = decoder.next_line() {
            let Ok(line) = line else { continue };
            assert!(!escaped(&line).contains(char::is_control));
            understand(&line);
            // A client that doubles 0xFF and sends CR as CR NUL sends the same line.
            let mut spelled = Vec::with_capacity(line.len() + 2);
            for &byte in &line {
                spelled.push(byte);
                match byte {
                    0xff => spelled.push(0xff),
                    b'\r' => spelled.push(0),
                    _ => {}
                }
            }
            spelled.extend_from_slice(b"\r\n");
            again.feed(&spelled);
            assert_eq!(again.next_line(), Some(Ok(line)));
            assert!(again.next_line().is_none() && !again.has_buffered());
        }
    }
});

fn understand(line: &[u8]) {
    let Ok(Command { verb, arg }) = Command::parse(line) else { return };
    assert!(line.ends_with(arg));
    match verb.as_str() {
        "PORT" => drop(parse_port(arg)),
        "EPRT" => drop(parse_eprt(arg)),
        "EPSV" => drop(parse_epsv(arg)),
        "REST" => assert!(args::parse_offset(arg).is_ok_or(|at| i64::try_from(at).is_ok())),
        "LIST" | "NLST" | "STAT" => assert!(arg.ends_with(args::parse_list_args(arg).path)),
        "MFMT" => assert!(args::parse_mfmt(arg).is_ok_or(|(_, name)| arg.ends_with(name))),
        "OPTS" => assert!(args::parse_opts(arg).is_ok_or(|(_, rest)| arg.ends_with(rest))),
        "ALLO" => drop(args::parse_allo(arg)),
        "PBSZ" => drop(args::parse_pbsz(arg)),
        "PROT" => drop(args::parse_prot(arg)),
        "TYPE" => drop(args::TransferType::parse(arg)),
        "SITE" => drop(Command::parse(arg)),
        _ => {
            if let Ok(path) = VPath::root().resolve(arg) {
                assert_eq!(VPath::root().resolve(path.as_bytes()), Ok(path));
            }
        }
    }
}

/// A rejection is fine; accepted values must hold.
trait IsOkOr<T> {
    fn is_ok_or(self, holds: impl FnOnce(T) -> bool) -> bool;
}

impl<T, E> IsOkOr<T> for Result<T, E> {
    fn is_ok_or(self, holds: impl FnOnce(T) -> bool) -> bool {
        self.map_or(true, holds)
    }
}
