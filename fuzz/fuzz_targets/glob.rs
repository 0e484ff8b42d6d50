//! Patterns: nothing panics or hangs, and a name matches a pattern made from it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_proto::glob::Glob;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (pattern, name) = input;
    let Some(Ok(glob)) = Glob::parse(pattern) else { return };
    let is_match = glob.matches(name);
    if pattern == b"*" {
        assert_eq!(is_match, name.first() != Some(&b'.'));
    }
    // Without sets, a byte that is not a wildcard must occur.
    if is_match && !pattern.contains(&b'[') {
        let letters = pattern.iter().filter(|byte| !matches!(byte, b'*' | b'?'));
        let mut rest = name.iter();
        assert!(letters.into_iter().all(|letter| rest.any(|own| own == letter)));
    }
});
