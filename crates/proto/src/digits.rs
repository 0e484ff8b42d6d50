//! Numbers as digits, read strictly and written without allocating.

/// Reads plain decimal digits. `None` for no digit, any other byte, or a number above `max`.
pub(crate) fn parse(text: &[u8], max: u64) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter()
        .try_fold(0_u64, |sum, &byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            sum.checked_mul(10)?.checked_add(digit)
        })
        .filter(|&number| number <= max)
}

/// Writes `value` in `base` (2 to 16) with lower-case letters, filled up on the left with `pad`
/// to `width`. A longer number is written whole.
pub(crate) fn write(out: &mut Vec<u8>, value: u64, base: u64, width: usize, pad: u8) {
    const LETTERS: &[u8; 16] = b"0123456789abcdef";
    let start = out.len();
    let mut rest = value;
    loop {
        let digit = usize::try_from(rest % base).unwrap_or(0);
        out.push(LETTERS.get(digit).copied().unwrap_or(b'?'));
        rest /= base;
        if rest == 0 {
            break;
        }
    }
    while out.len() - start < width {
        out.push(pad);
    }
    if let Some(written) = out.get_mut(start..) {
        written.reverse();
    }
}

/// Writes `value` in decimal.
pub(crate) fn decimal(out: &mut Vec<u8>, value: u64) {
    write(out, value, 10, 0, b' ');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_digits_within_the_bound_are_a_number() {
        assert_eq!(parse(b"0", 9), Some(0));
        assert_eq!(parse(b"007", 9), Some(7));
        assert_eq!(parse(b"18446744073709551615", u64::MAX), Some(u64::MAX));
        for text in ["", "10", "+1", "-1", " 1", "1 ", "0x1", "18446744073709551616", "\u{661}"] {
            assert_eq!(parse(text.as_bytes(), 9), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_the_standard_library_does(value: u64, width in 0_usize..30) {
            let mut out = b"x".to_vec();
            write(&mut out, value, 10, width, b' ');
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("x{value:width$}"));
            let mut out = Vec::new();
            write(&mut out, value, 8, width, b'0');
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{value:0width$o}"));
            let mut out = Vec::new();
            write(&mut out, value, 16, 0, b'0');
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{value:x}"));
        }
    }
}
