//! The time of a line. Formatting it costs more than the rest of the line, so each thread keeps the
//! texts of the current second.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A moment, in the formats of the log.
#[derive(Clone, Debug)]
pub(crate) struct LogTime {
    second: Rc<SecondText>,
    millisecond: u32,
}

/// The texts of one second.
#[derive(Debug)]
struct SecondText {
    second: i64,
    /// `2026-11-22T15:07:41`
    date_time: String,
    /// `+01:00`
    offset: String,
    /// `15:07`
    minute: String,
    /// `Sun Nov 22 15:07:41 2026`
    xferlog: String,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<SecondText>>> = const { RefCell::new(None) };
}

impl LogTime {
    /// The current time, in the time zone of the system.
    pub(crate) fn now() -> Self {
        Self::at(Timestamp::now(), |now| now.to_zoned(TimeZone::system()))
    }

    /// A moment, which `zoned` converts to local time if it is not in the second of the last call.
    fn at(now: Timestamp, zoned: impl FnOnce(Timestamp) -> Zoned) -> Self {
        let second = CURRENT.with_borrow_mut(|current| match current {
            Some(current) if current.second == now.as_second() => Rc::clone(current),
            _ => {
                let text = Rc::new(SecondText::of(&zoned(now)));
                *current = Some(Rc::clone(&text));
                text
            }
        });
        Self { second, millisecond: now.subsec_millisecond().unsigned_abs() }
    }

    /// `2026-11-22T15:07:41+01:00`
    pub(super) fn write_seconds(&self, out: &mut String) {
        out.push_str(&self.second.date_time);
        out.push_str(&self.second.offset);
    }

    /// `2026-11-22T15:07:41.000+01:00`
    pub(super) fn write_milliseconds(&self, out: &mut String) {
        out.push_str(&self.second.date_time);
        // Writing to a String never fails.
        let _ = write!(out, ".{:03}", self.millisecond);
        out.push_str(&self.second.offset);
    }

    /// `15:07`
    pub(super) fn minute(&self) -> &str {
        &self.second.minute
    }

    /// `Sun Nov 22 15:07:41 2026`
    pub(super) fn xferlog(&self) -> &str {
        &self.second.xferlog
    }
}

#[cfg(test)]
impl From<&Zoned> for LogTime {
    fn from(time: &Zoned) -> Self {
        let millisecond = time.timestamp().subsec_millisecond().unsigned_abs();
        Self { second: Rc::new(SecondText::of(time)), millisecond }
    }
}

impl SecondText {
    fn of(time: &Zoned) -> Self {
        let shown = |format: &str| time.strftime(format).to_string();
        Self {
            second: time.timestamp().as_second(),
            date_time: shown("%Y-%m-%dT%H:%M:%S"),
            offset: shown("%:z"),
            minute: shown("%H:%M"),
            xferlog: shown("%a %b %e %H:%M:%S %Y"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn shown(time: &LogTime) -> String {
        let mut text = String::new();
        time.write_milliseconds(&mut text);
        text
    }

    #[test]
    fn a_time_is_converted_once_a_second_and_milliseconds_are_current() {
        let start = Timestamp::from_millisecond(1_795_356_461_000).unwrap();
        let conversions = Cell::new(0);
        let at = |millisecond: i64| {
            let time = start + std::time::Duration::from_millis(millisecond.unsigned_abs());
            shown(&LogTime::at(time, |time| {
                conversions.set(conversions.get() + 1);
                time.to_zoned(TimeZone::fixed(jiff::tz::offset(1)))
            }))
        };
        assert_eq!(at(0), "2026-11-22T15:07:41.000+01:00");
        assert_eq!(at(7), "2026-11-22T15:07:41.007+01:00");
        assert_eq!(at(999), "2026-11-22T15:07:41.999+01:00");
        assert_eq!(conversions.get(), 1);
        assert_eq!(at(1000), "2026-11-22T15:07:42.000+01:00");
        assert_eq!(conversions.get(), 2);
        // A clock that was set back.
        assert_eq!(at(999), "2026-11-22T15:07:41.999+01:00");
        assert_eq!(conversions.get(), 3);
    }

    #[test]
    fn the_offset_follows_the_time_zone() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let summer_ends: Timestamp = "2026-10-25T01:00:00Z".parse().unwrap();
        for (second, expected) in [
            (-1, "2026-10-25T02:59:59.000+02:00"),
            (0, "2026-10-25T02:00:00.000+01:00"),
            (1, "2026-10-25T02:00:01.000+01:00"),
        ] {
            let time = Timestamp::from_second(summer_ends.as_second() + second).unwrap();
            assert_eq!(shown(&LogTime::at(time, |time| time.to_zoned(zone.clone()))), expected);
        }
    }
}
