//! Parsing of durations, and formatting of durations, sizes and rates.

use std::time::Duration;

use wharf_core::account::Rate;

/// A time such as `30s`, `5m 30s`, `2h`, `1d` or `500ms`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("invalid time `{text}`");
    let mut rest = text.trim();
    let mut sum = Duration::ZERO;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (number, behind) = split_unit(rest);
        let end = behind.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(end).ok_or_else(wrong)?;
        let millis_per_unit = match unit {
            "ms" => 1,
            "s" | "sec" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" if number == "0" => 0,
            "" if number.is_empty() => return Err(wrong()),
            "" => return Err(format!("invalid time `{text}`: the unit is missing")),
            _ => return Err(wrong()),
        };
        let part = scaled(number, millis_per_unit).ok_or_else(wrong)?;
        sum = sum.checked_add(Duration::from_millis(part)).ok_or_else(wrong)?;
        rest = behind.trim_start();
    }
    Ok(sum)
}

/// A duration as [`parse_duration`] reads it.
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let mut rest = millis;
    let mut parts = Vec::new();
    for (size, unit) in units {
        if rest >= size {
            parts.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if parts.is_empty() { "0s".into() } else { parts.join(" ") }
}

/// A number of bytes in readable form: `4.1 MiB`.
pub fn show_size(bytes: u64) -> String {
    const UNITS: &[&str] = &["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // In tenths, so that whole numbers suffice; 1023.96 KiB is better read as 1 MiB.
    let mut size = 1024_u128;
    let mut names = UNITS.iter();
    let mut unit = names.next().copied().unwrap_or_default();
    let tenths_of = |size: u128| (u128::from(bytes) * 10 + size / 2) / size;
    while tenths_of(size) >= 10_240 {
        let Some(next) = names.next() else { break };
        unit = next;
        size *= 1024;
    }
    let tenths = tenths_of(size);
    if tenths < 1000 && tenths % 10 != 0 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", tenths / 10)
    }
}

/// A rate in readable form: `2 MiB/s`, `unlimited`.
pub fn show_rate(rate: Rate) -> String {
    rate.bytes_per_second()
        .map_or_else(|| "unlimited".into(), |bytes| format!("{}/s", show_size(bytes)))
}

fn split_unit(text: &str) -> (&str, &str) {
    let end =
        text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    (number, unit.trim_start())
}

/// A decimal number times a factor, rounded down to a whole; none if it does not fit.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    const FRACTION_DIGITS_MAX: usize = 6;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > FRACTION_DIGITS_MAX {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let digits = u32::try_from(fraction.len()).ok()?;
    let fraction: u64 = fraction.parse().ok()?;
    let part = u128::from(fraction) * u128::from(factor) / u128::from(10u64.pow(digits));
    whole.checked_mul(factor)?.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_take_units_and_add_up() {
        for (text, millis) in [
            ("5m 30s", 330_000),
            ("5m30s", 330_000),
            ("500ms", 500),
            ("2h", 7_200_000),
            ("1.5s", 1500),
            ("1d", 86_400_000),
            ("0", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "m", "5 weeks", "s5", "99999999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (4_300_000, "4.1 MiB"),
            (38 << 20, "38 MiB"),
            (1 << 30, "1 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(show_size(bytes), text);
        }
    }

    proptest! {
        #[test]
        fn a_shown_duration_reads_back(millis in 0u64..10_000_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_breaks_the_parser(text in any::<String>()) {
            let _ = parse_duration(&text);
        }
    }
}
