//! Parses sizes and rates: `1.5 GiB`, `2MiB/s`, `unlimited`.

use std::fmt;

use wharf_core::account::{Rate, Size};

/// Why a text is not a valid size or rate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnitError {
    /// It is empty.
    Empty,
    /// It does not start with a number, or the number is malformed.
    NotANumber(String),
    /// It is below zero.
    Negative,
    /// A comma instead of a decimal point.
    Comma,
    /// The unit is unknown.
    UnknownUnit(String),
    /// The unit counts bits, not bytes.
    Bits(String),
    /// A rate where a size is expected.
    RateForSize,
    /// It is more than 0 and less than one byte.
    TooSmall,
    /// It is more than a 64-bit number of bytes.
    TooLarge,
}

impl UnitError {
    /// What is wrong, without the text itself.
    pub fn reason(&self) -> String {
        match self {
            Self::Empty => "empty value".to_owned(),
            Self::NotANumber(_) => "not a number with a unit".to_owned(),
            Self::Negative => "negative value".to_owned(),
            Self::Comma => "decimal comma".to_owned(),
            Self::UnknownUnit(unit) => format!("unknown unit `{unit}`"),
            Self::Bits(unit) => format!("`{unit}` counts bits"),
            Self::RateForSize => "a rate, where a size is expected".to_owned(),
            Self::TooSmall => "less than one byte".to_owned(),
            Self::TooLarge => "more than 64 bits".to_owned(),
        }
    }

    /// How to write it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Empty | Self::NotANumber(_) => {
                "write a number with a unit, such as 500KiB, 2MiB or 1.5GB, or `unlimited`"
            }
            Self::Negative => "0 means no limit",
            Self::Comma => "write 1.5, not 1,5",
            Self::UnknownUnit(_) => "use B, KiB, MiB, GiB, TiB, kB, MB, GB or TB",
            Self::Bits(_) => "write bytes, with a capital B, and divide by 8: 10Mbit is 1.25MB",
            Self::RateForSize => "write a size such as 20GiB, without `/s`",
            Self::TooSmall => "write at least 1B, or 0 for no limit",
            Self::TooLarge => "write a smaller number, or 0 for no limit",
        }
    }
}

impl fmt::Display for UnitError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}; {}", self.reason(), self.hint())
    }
}

impl std::error::Error for UnitError {}

/// Parses a rate: a number with a unit and an optional `/s`, a plain number of bytes per second, or
/// `unlimited`. 0 means unlimited as well.
///
/// `KiB`, `MiB`, `GiB`, `TiB` and the letters `K`, `M`, `G`, `T` are powers of 1024; `kB`, `MB`,
/// `GB`, `TB` powers of 1000.
///
/// ```
/// use wharf_users::units::parse_rate;
/// assert_eq!(parse_rate("2 MiB/s").unwrap().bytes_per_second(), Some(2 * 1024 * 1024));
/// assert_eq!(parse_rate("unlimited").unwrap().bytes_per_second(), None);
/// ```
///
/// # Errors
/// The reason.
pub fn parse_rate(text: &str) -> Result<Rate, UnitError> {
    let text = text.trim();
    if text.eq_ignore_ascii_case(UNLIMITED) {
        return Ok(Rate::Unlimited);
    }
    let amount = text.strip_suffix("/s").unwrap_or(text);
    parse_bytes(amount).map(Rate::from_bytes_per_second)
}

/// Parses a size: a number with a unit as in [`parse_rate`], or a plain number of bytes.
///
/// # Errors
/// The reason.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let text = text.trim();
    if text.ends_with("/s") {
        return Err(UnitError::RateForSize);
    }
    parse_bytes(text)
}

/// Parses a quota: a size, or `unlimited`. 0 means unlimited as well.
///
/// # Errors
/// The reason.
pub fn parse_quota(text: &str) -> Result<Size, UnitError> {
    if text.trim().eq_ignore_ascii_case(UNLIMITED) {
        return Ok(Size::Unlimited);
    }
    parse_size(text).map(Size::from_bytes)
}

/// Formats a quota so that [`parse_quota`] reads the same: `20GiB`, `unlimited`.
pub fn format_quota(size: Size) -> String {
    size.bytes().map_or_else(|| UNLIMITED.to_owned(), format_size)
}

/// Writes a speed so that [`parse_rate`] reads the same: `2MiB/s`, `100kB/s`, `unlimited`.
pub fn format_rate(rate: Rate) -> String {
    rate.bytes_per_second()
        .map_or_else(|| UNLIMITED.to_owned(), |bytes| format!("{}/s", format_size(bytes)))
}

/// Writes a size so that [`parse_size`] reads the same: in the largest unit that loses nothing,
/// binary or decimal, so that what was given as `20GB` is not shown as `19531250KiB`.
///
/// ```
/// use wharf_users::units::format_size;
/// assert_eq!(format_size(20_000_000_000), "20GB");
/// assert_eq!(format_size(20 << 30), "20GiB");
/// ```
pub fn format_size(bytes: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| bytes != 0 && bytes.is_multiple_of(*factor);
    let (unit, factor) = UNITS.iter().rev().find(fits).copied().unwrap_or(("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// The word for no limit.
pub const UNLIMITED: &str = "unlimited";

/// The most digits after the dot that count; more add nothing that a byte could show.
const FRACTION_DIGITS_MAX: usize = 15;

/// What [`format_size`] writes, from small to large.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(UnitError::Empty);
    }
    if text.starts_with('-') {
        return Err(UnitError::Negative);
    }
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    if unit.starts_with(',') {
        return Err(UnitError::Comma);
    }
    let damaged = || UnitError::NotANumber(text.to_owned());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(damaged());
    }
    let factor = u128::from(factor(unit.trim())?);
    let whole: u128 = whole.parse().map_err(|_| UnitError::TooLarge)?;
    let fraction = fraction.get(..FRACTION_DIGITS_MAX).unwrap_or(fraction);
    let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
    let part: u128 = fraction.parse().map_err(|_| damaged())?;
    let bytes = whole
        .checked_mul(factor)
        .and_then(|bytes| bytes.checked_add(part * factor / scale))
        .ok_or(UnitError::TooLarge)?;
    if bytes == 0 && part != 0 {
        return Err(UnitError::TooSmall);
    }
    u64::try_from(bytes).map_err(|_| UnitError::TooLarge)
}

fn factor(unit: &str) -> Result<u64, UnitError> {
    if unit.is_empty() || unit == "B" {
        return Ok(1);
    }
    let letters = unit.to_ascii_lowercase();
    // Mb, Mbit and mbps usually mean bits: an eighth of MB.
    if letters.contains("bit") || letters.ends_with("bps") || unit.ends_with('b') {
        return Err(UnitError::Bits(unit.to_owned()));
    }
    let unknown = || UnitError::UnknownUnit(unit.to_owned());
    let mut rest = letters.chars();
    let power = match rest.next() {
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        _ => return Err(unknown()),
    };
    match rest.as_str() {
        "" | "i" | "ib" => Ok(1024_u64.pow(power)),
        "b" => Ok(1000_u64.pow(power)),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn speeds_read_as_people_write_them() {
        for (text, bytes) in [
            ("2MiB/s", Some(2 << 20)),
            ("300KiB/s", Some(300 << 10)),
            ("1.5 MB/s", Some(1_500_000)),
            ("1.5 MB /s", Some(1_500_000)),
            (" 100000 ", Some(100_000)),
            ("100000B/s", Some(100_000)),
            ("5k", Some(5 << 10)),
            ("5kB/s", Some(5000)),
            ("0.5KiB", Some(512)),
            ("1 GiB/s", Some(1 << 30)),
            ("0", None),
            ("0MiB/s", None),
            ("Unlimited", None),
        ] {
            assert_eq!(parse_rate(text).map(Rate::bytes_per_second), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn an_invalid_rate_is_rejected_with_the_reason() {
        for (text, error) in [
            ("", UnitError::Empty),
            ("/s", UnitError::Empty),
            ("fast", UnitError::NotANumber("fast".into())),
            ("-1", UnitError::Negative),
            ("1,5MB", UnitError::Comma),
            ("1.2.3", UnitError::NotANumber("1.2.3".into())),
            (".5MB", UnitError::NotANumber(".5MB".into())),
            ("5.MB", UnitError::NotANumber("5.MB".into())),
            ("5 parsecs", UnitError::UnknownUnit("parsecs".into())),
            ("10Mb/s", UnitError::Bits("Mb".into())),
            ("10mbps", UnitError::Bits("mbps".into())),
            ("10Mbit/s", UnitError::Bits("Mbit".into())),
            ("0.0001", UnitError::TooSmall),
            ("99999999TiB", UnitError::TooLarge),
            ("18446744073709551616", UnitError::TooLarge),
            ("99999999999999999999999999999999999999999", UnitError::TooLarge),
        ] {
            assert_eq!(parse_rate(text), Err(error), "{text}");
        }
        assert_eq!(parse_size("2MiB/s"), Err(UnitError::RateForSize));
    }

    proptest! {
        #[test]
        fn a_formatted_value_is_parsed_as_the_same(bytes: u64, shift in 0..63_u32) {
            for bytes in [bytes, bytes >> shift << shift, bytes >> shift] {
                prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
                let rate = Rate::from_bytes_per_second(bytes);
                prop_assert_eq!(parse_rate(&format_rate(rate)), Ok(rate));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,20}|[0-9.]{0,40}[kKmMiBb/s ]{0,5}") {
            let _ = (parse_rate(&text), parse_size(&text));
        }
    }
}
