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

/// Writes `value` in `BASE` (8, 10 or 16) with lower-case letters, filled up on the left with `pad`
/// to `width`. A longer number is written whole.
///
/// The base is a constant, since dividing by a number known beforehand is many times faster, and
/// this is most of what a line of a listing costs.
pub(crate) fn write<const BASE: u64>(out: &mut Vec<u8>, value: u64, width: usize, pad: u8) {
    const LETTERS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; DIGITS_MAX];
    let mut count = 0;
    let mut rest = value;
    for place in digits.iter_mut().rev() {
        let digit = usize::try_from(rest % BASE).unwrap_or(0);
        *place = LETTERS.get(digit).copied().unwrap_or(b'?');
        count += 1;
        rest /= BASE;
        if rest == 0 {
            break;
        }
    }
    for _ in count..width {
        out.push(pad);
    }
    out.extend_from_slice(digits.get(DIGITS_MAX - count..).unwrap_or_default());
}

/// Digits of the largest number in base 8.
const DIGITS_MAX: usize = 22;

/// Writes `value` in decimal.
pub(crate) fn decimal(out: &mut Vec<u8>, value: u64) {
    write::<10>(out, value, 0, b' ');
}

/// Two digits of a number below 100.
pub(crate) fn pair(value: u8) -> [u8; 2] {
    [b'0' + value / 10 % 10, b'0' + value % 10]
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
            write::<10>(&mut out, value, width, b' ');
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("x{value:width$}"));
            let mut out = Vec::new();
            write::<8>(&mut out, value, width, b'0');
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{value:0width$o}"));
            let mut out = Vec::new();
            write::<16>(&mut out, value, 0, b'0');
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{value:x}"));
        }

        #[test]
        fn a_pair_is_two_digits(value in 0_u8..100) {
            prop_assert_eq!(String::from_utf8(pair(value).to_vec()).unwrap(), format!("{value:02}"));
        }
    }
}
