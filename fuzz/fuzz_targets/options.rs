//! Arguments of listings: options, then a path with a pattern as its last name. Matching is
//! compared with a simple matcher, and its steps are bounded.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_proto::args::parse_list_args;
use wharf_proto::glob::{Glob, STARS_MAX};

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (arg, name) = bytes.split_at(end);
    let name = name.strip_prefix(b"\n").unwrap_or(name);
    let list = parse_list_args(arg);
    assert!(arg.ends_with(list.path) && list.literal == arg);
    // After the options follows what a client would send without them.
    if list.path.first() != Some(&b'-') && list.path.first() != Some(&b' ') {
        assert_eq!(parse_list_args(list.path).path, list.path);
    }
    let pattern = list.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let stars = pattern.iter().filter(|&&byte| byte == b'*').count();
    match Glob::parse(pattern) {
        None => assert!(!pattern.iter().any(|byte| matches!(byte, b'*' | b'?'))),
        // Without sets, each star counts, adjacent ones once.
        Some(Err(_)) => assert!(stars > STARS_MAX),
        Some(Ok(glob)) => {
            let is_match = glob.matches(name);
            let is_plain = pattern.is_ascii() && name.is_ascii() && !pattern.contains(&b'[');
            if is_plain && name.first() != Some(&b'.') && name.len() <= 64 {
                assert_eq!(is_match, is_matched(pattern, name));
            }
        }
    }
});

/// Stars and question marks, by a table of every prefix of the pattern and of the name.
fn is_matched(pattern: &[u8], name: &[u8]) -> bool {
    // Bit n: the pattern so far matches the first n bytes of the name.
    let mut row: u128 = 1;
    for &token in pattern {
        row = match token {
            b'*' => u128::MAX << row.trailing_zeros().min(127),
            _ => {
                let mut next = 0;
                for (at, &byte) in name.iter().enumerate() {
                    if row & (1 << at) != 0 && (token == b'?' || token == byte) {
                        next |= 1 << (at + 1);
                    }
                }
                next
            }
        };
        if row == 0 {
            return false;
        }
    }
    row & (1 << name.len()) != 0
}
