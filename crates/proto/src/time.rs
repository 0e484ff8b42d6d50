//! Moments as FTP writes them (RFC 3659 §2.3), and the calendar behind them.

use crate::digits;

/// A moment in UTC, as seconds since 1970-01-01 00:00:00 and a fraction.
///
/// `seconds` may be negative; `nanos` is always below 1,000,000,000 and counts forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds since the epoch, leap seconds not counted.
    pub seconds: i64,
    /// The fraction, in billionths of a second.
    pub nanos: u32,
}

/// A moment on the calendar (Gregorian, also before 1582) and the clock, without a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Civil {
    /// 0 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

impl Timestamp {
    /// Reads `YYYYMMDDHHMMSS`, with `.` and 1 to 9 digits behind it if there is a fraction.
    ///
    /// The day must exist, in a year from 1970 to 9999. A leap second (60) counts as the second
    /// before it, since file systems have none.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (whole, fraction) = text.split_at_checked(14)?;
        let number = |from: usize, to: usize| digits::parse(whole.get(from..to)?, 9999);
        let small = |from: usize| u8::try_from(number(from, from + 2)?).ok();
        let second = small(12)?;
        let civil = Civil {
            year: u16::try_from(number(0, 4)?).ok().filter(|&year| year >= 1970)?,
            month: small(4)?,
            day: small(6)?,
            hour: small(8)?,
            minute: small(10)?,
            second: if second == 60 { 59 } else { second },
        };
        let nanos = match fraction.split_first() {
            None => 0,
            Some((b'.', digits)) => parse_nanos(digits)?,
            Some(_) => return None,
        };
        Some(Self { nanos, ..Self::from_civil(civil)? })
    }

    /// Appends `YYYYMMDDHHMMSS`. The fraction is left out: few clients read one, and some take a
    /// time with a fraction for no time at all.
    pub fn write(self, out: &mut Vec<u8>) {
        Stamps::default().write(self, out);
    }

    /// The calendar's view of this moment. Before the year 0 it is the first second of that year,
    /// after 9999 the last.
    pub fn civil(self) -> Civil {
        let seconds = self.seconds.clamp(SECONDS_MIN, SECONDS_MAX);
        let (year, month, day) = date_of(seconds.div_euclid(DAY_SECONDS));
        let clock = seconds.rem_euclid(DAY_SECONDS);
        Civil {
            year: u16::try_from(year).unwrap_or(u16::MAX),
            month: small(month),
            day: small(day),
            hour: small(clock / 3600),
            minute: small(clock / 60 % 60),
            second: small(clock % 60),
        }
    }

    /// The moment, in UTC, of a date and time; none if there is no such day or time of day, or the
    /// year is above 9999.
    pub fn from_civil(civil: Civil) -> Option<Self> {
        let Civil { year, month, day, hour, minute, second } = civil;
        let is_date = year <= 9999 && day >= 1 && day <= days_in(year, month)?;
        if !is_date || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = days_since_epoch(year.into(), month.into(), day.into());
        let clock = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        Some(Self { seconds: days * DAY_SECONDS + clock, nanos: 0 })
    }

    /// This moment, later by `seconds`; at the ends of time it stays there.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self { seconds: self.seconds.saturating_add(seconds), ..self }
    }
}

/// Writes moments one after the other, as [`Timestamp::write`] does. The date of the last one is
/// remembered: where many moments are written, most are of the same few days.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamps {
    day: i64,
    date: [[u8; 2]; 4],
}

impl Default for Stamps {
    fn default() -> Self {
        Self { day: 0, date: [*b"19", *b"70", *b"01", *b"01"] }
    }
}

impl Stamps {
    pub(crate) fn write(&mut self, moment: Timestamp, out: &mut Vec<u8>) {
        let seconds = moment.seconds.clamp(SECONDS_MIN, SECONDS_MAX);
        let (day, clock) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
        if day != self.day {
            let (year, month, day_of_month) = date_of(day);
            let parts = [small(year / 100), small(year % 100), small(month), small(day_of_month)];
            *self = Self { day, date: parts.map(digits::pair) };
        }
        let [century, year, month, day] = self.date;
        let [hour, minute, second] =
            [clock / 3600, clock / 60 % 60, clock % 60].map(|part| digits::pair(small(part)));
        out.extend_from_slice([century, year, month, day, hour, minute, second].as_flattened());
    }
}

const DAY_SECONDS: i64 = 86_400;
/// 0000-01-01 00:00:00.
const SECONDS_MIN: i64 = -62_167_219_200;
/// 9999-12-31 23:59:59.
const SECONDS_MAX: i64 = 253_402_300_799;

// The calendar repeats after 400 years. A year that begins in March has its leap day at the end,
// so months before it do not depend on it.
const DAYS_IN_400_YEARS: i64 = 146_097;
const DAYS_IN_100_YEARS: i64 = 36_524;
const DAYS_IN_4_YEARS: i64 = 1_461;
/// From 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_EPOCH: i64 = 719_468;

/// Days from the epoch to a date that exists.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + days_before_month((month + 9) % 12) + day - 1 - DAYS_BEFORE_EPOCH
}

/// Year, month and day of a count of days since the epoch.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_BEFORE_EPOCH;
    let (age, rest) = (days.div_euclid(DAYS_IN_400_YEARS), days.rem_euclid(DAYS_IN_400_YEARS));
    // The last century of an age and the last year of four are one day longer: hence `min`.
    let century = (rest / DAYS_IN_100_YEARS).min(3);
    let rest = rest - century * DAYS_IN_100_YEARS;
    let four = rest / DAYS_IN_4_YEARS;
    let rest = rest - four * DAYS_IN_4_YEARS;
    let single = (rest / 365).min(3);
    let day_of_year = rest - single * 365;
    let month = (day_of_year * 5 + 2) / 153;
    let day = day_of_year - days_before_month(month) + 1;
    let year = age * 400 + century * 100 + four * 4 + single;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

/// Days before a month, counted from March as 0. From March on, months have 31, 30, 31, 30, 31
/// days, which is 153, and again; the fraction makes up the pattern.
fn days_before_month(month_from_march: i64) -> i64 {
    (month_from_march * 153 + 2) / 5
}

fn days_in(year: u16, month: u8) -> Option<u8> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    Some(match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return None,
    })
}

fn parse_nanos(digits: &[u8]) -> Option<u32> {
    let missing = u32::try_from(9_usize.checked_sub(digits.len())?).ok()?;
    let number = digits::parse(digits, 999_999_999)?;
    Some(u32::try_from(number).ok()? * 10_u32.pow(missing))
}

/// A part of a date or a clock: all are below 60.
fn small(value: i64) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(text: &str) -> Option<i64> {
        Timestamp::parse(text.as_bytes()).map(|moment| moment.seconds)
    }

    fn written(seconds: i64) -> String {
        let mut out = Vec::new();
        Timestamp { seconds, nanos: 5 }.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_moments() {
        for (text, expected) in [
            ("19700101000000", 0),
            ("20000229235959", 951_868_799),
            ("20260101000000", 1_767_225_600),
            ("20380119031408", 2_147_483_648),
            ("99991231235959", SECONDS_MAX),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
            assert_eq!(written(expected), text);
        }
        assert_eq!(written(-1), "19691231235959");
        assert_eq!(written(SECONDS_MIN), "00000101000000");
    }

    #[test]
    fn row_26_fractions_and_leap_seconds() {
        let nanos = |text: &str| Timestamp::parse(text.as_bytes()).map(|moment| moment.nanos);
        assert_eq!(nanos("20260101000000.5"), Some(500_000_000));
        assert_eq!(nanos("20260101000000.000000001"), Some(1));
        assert_eq!(nanos("20260101000000."), None);
        assert_eq!(nanos("20260101000000.0000000000"), None);
        assert_eq!(nanos("20260101000000.-1"), None);
        assert_eq!(seconds("20161231235960"), seconds("20161231235959"));
    }

    #[test]
    fn row_26_days_that_do_not_exist_are_rejected() {
        for text in [
            "", "2026", "2026010100000", "202601010000000", "20260229000000", "19000229000000",
            "21000229000000", "20260431000000", "20261301000000", "20260001000000",
            "20260100000000", "20260101240000", "20260101006000", "20260101000061",
            "19691231235959", "2026-01-01T0000", "+0260101000000", " 2026010100000",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
        assert_eq!(seconds("20240229000000"), Some(1_709_164_800));
    }

    #[test]
    fn times_beyond_the_calendar_are_clamped() {
        assert_eq!(written(i64::MIN), "00000101000000");
        assert_eq!(written(i64::MAX), "99991231235959");
        let end = Timestamp { seconds: i64::MAX, nanos: 1 };
        assert_eq!(end.plus_seconds(5), end);
        assert_eq!(Timestamp::default().plus_seconds(-5).seconds, -5);
    }

    #[test]
    fn each_day_of_ten_thousand_years_follows_the_one_before() {
        let mut day = Civil { year: 0, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
        let mut seconds = SECONDS_MIN;
        while seconds < SECONDS_MAX {
            let moment = Timestamp { seconds, nanos: 0 };
            assert_eq!(moment.civil(), day);
            assert_eq!(Timestamp::from_civil(day), Some(moment));
            seconds += DAY_SECONDS;
            if day.day < days_in(day.year, day.month).unwrap() {
                day.day += 1;
            } else if day.month < 12 {
                (day.month, day.day) = (day.month + 1, 1);
            } else {
                (day.year, day.month, day.day) = (day.year + 1, 1, 1);
            }
        }
        assert_eq!(day.year, 10_000);
        assert_eq!(Timestamp::from_civil(day), None);
    }

    proptest! {
        #[test]
        fn what_was_written_before_makes_no_difference(moments: Vec<i64>, days in -2_i64..3) {
            let mut stamps = Stamps::default();
            let near = moments.iter().map(|seconds| (seconds % 200_000) + days * DAY_SECONDS);
            for seconds in moments.iter().copied().chain(near) {
                let mut out = Vec::new();
                let moment = Timestamp { seconds, nanos: 0 };
                stamps.write(moment, &mut out);
                let civil = moment.civil();
                let expected = format!(
                    "{:04}{:02}{:02}{:02}{:02}{:02}",
                    civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.second
                );
                prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
            }
        }

        #[test]
        fn every_moment_reads_back(seconds in 0..=SECONDS_MAX, any_seconds: i64) {
            prop_assert_eq!(self::seconds(&written(seconds)), Some(seconds));
            let civil = Timestamp { seconds: any_seconds, nanos: 0 }.civil();
            prop_assert!(Timestamp::from_civil(civil).is_some());
        }

        #[test]
        fn row_26_no_bytes_make_parsing_panic(bytes: Vec<u8>, text in "[0-9.]{10,26}") {
            let _ = (Timestamp::parse(&bytes), Timestamp::parse(text.as_bytes()));
        }
    }
}
