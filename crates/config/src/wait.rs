//! Durations as configuration values.

use std::path::Path;
use std::time::Duration;

use super::raw::Raw;
use super::value::{ConfigValue, InvalidValue};
use crate::units::{parse_duration, show_duration};

/// A duration, which can be 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A timeout above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(pub Duration);

/// A timeout; 0 and `unlimited` disable it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionalTimeout(pub Duration);

/// Maximum of a duration.
const SPAN_MAX: Duration = Duration::from_hours(365 * 24);
/// Maximum of a timeout.
const WAIT_MAX: Duration = Duration::from_hours(24);
/// A duration that never elapses in practice and does not overflow a clock.
const FOREVER: Duration = Duration::from_hours(10 * 365 * 24);

impl ConfigValue for Span {
    const KIND: &'static str = "a time such as `30s`, `5m`, `2h` or `1d`";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        duration::<Self>(raw, SPAN_MAX).map(Self)
    }
}

impl ConfigValue for Wait {
    const KIND: &'static str = "a time above 0 such as `15s` or `1m`";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let wait = duration::<Self>(raw, WAIT_MAX)?;
        if wait.is_zero() {
            return Err(InvalidValue::new("invalid time: must be above 0")
                .hint("write a time such as `15s`"));
        }
        Ok(Self(wait))
    }
}

impl ConfigValue for OptionalTimeout {
    const KIND: &'static str = "a time such as `5m`, or 0 or `unlimited`";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        if raw.text() == Some("unlimited") {
            return Ok(Self(FOREVER));
        }
        let wait = duration::<Self>(raw, SPAN_MAX)?;
        Ok(Self(if wait.is_zero() { FOREVER } else { wait }))
    }
}

fn duration<T: ConfigValue>(raw: &Raw, most: Duration) -> Result<Duration, InvalidValue> {
    let duration = match (raw.integer(), raw.text()) {
        (Some(0), _) => Duration::ZERO,
        (Some(number), _) => {
            let wrong = InvalidValue::new(format!("invalid time {number}: the unit is missing"));
            return Err(wrong.hint(format!("for seconds write `{number}s`")));
        }
        (None, Some(text)) => parse_duration(text).map_err(|why| {
            InvalidValue::new(why).hint("units are ms, s, m, h and d, as in `5m 30s`")
        })?,
        (None, None) => return Err(InvalidValue::kind::<T>(raw)),
    };
    if duration > most {
        return Err(InvalidValue::new(format!(
            "invalid time: the maximum is {}",
            show_duration(most)
        )));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::super::value::parse;
    use super::*;

    #[test]
    fn a_number_without_unit_is_rejected() {
        let wrong = Span::read(&Raw::Integer(300), Path::new("")).unwrap_err();
        assert_eq!(wrong.why, "invalid time 300: the unit is missing");
        assert_eq!(wrong.hint.as_deref(), Some("for seconds write `300s`"));
    }

    #[test]
    fn zero_means_unlimited_only_where_documented() {
        assert_eq!(Span::read(&Raw::Integer(0), Path::new("")), Ok(Span(Duration::ZERO)));
        assert_eq!(parse::<OptionalTimeout>("0"), Ok(OptionalTimeout(FOREVER)));
        assert_eq!(parse::<OptionalTimeout>("unlimited"), Ok(OptionalTimeout(FOREVER)));
        assert!(parse::<Wait>("0s").is_err());
        assert!(parse::<Wait>("2d").is_err());
        assert_eq!(parse::<Wait>("15s"), Ok(Wait(Duration::from_secs(15))));
    }
}
