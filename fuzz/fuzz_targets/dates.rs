//! Times and numbers: parsed values are valid dates within their bounds, and are written the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_proto::args;
use wharf_proto::time::Timestamp;

fuzz_target!(|bytes: &[u8]| {
    if let Some(time) = Timestamp::parse(bytes) {
        assert!(time.seconds >= 0 && time.nanos < 1_000_000_000);
        let mut text = Vec::with_capacity(14);
        time.write(&mut text);
        // A leap second is the second before it.
        let is_leap = bytes.get(12..14) == Some(b"60");
        assert!(is_leap || bytes.starts_with(&text));
        let whole = Timestamp { nanos: 0, ..time };
        assert_eq!(Timestamp::parse(&text), Some(whole));
        assert_eq!(Timestamp::from_civil(time.civil()), Some(whole));
        assert!((1970..=9999).contains(&time.civil().year));
    }
    if let Ok((time, name)) = args::parse_mfmt(bytes) {
        assert!(!name.is_empty() && bytes.ends_with(name) && time.seconds >= 0);
    }
    if let Ok(offset) = args::parse_offset(bytes) {
        assert!(i64::try_from(offset).is_ok() && bytes.iter().all(u8::is_ascii_digit));
    }
    if let Ok(size) = args::parse_allo(bytes) {
        assert!(i64::try_from(size).is_ok());
    }
    if args::parse_pbsz(bytes).is_ok() {
        assert!(bytes.trim_ascii().iter().all(u8::is_ascii_digit));
    }
    if let Ok((mode, name)) = args::parse_chmod(bytes) {
        assert!(mode <= 0o777 && bytes.ends_with(name));
    }
    // Any time can be displayed, and its day exists.
    if let Some(seconds) = bytes.first_chunk().map(|chunk| i64::from_le_bytes(*chunk)) {
        let civil = Timestamp { seconds, nanos: 0 }.civil();
        assert!(Timestamp::from_civil(civil).is_some());
    }
});
