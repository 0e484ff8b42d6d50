//! When an account may be logged in: hours of the week, and a last day.

use std::fmt;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};

/// Hours of the week, as in `mon-fri 08:00-18:00`. Logins are rejected and sessions end outside of
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours(Vec<Window>);

/// The most windows that hours may have.
pub const WINDOWS_MAX: usize = 50;

const DAY_MINUTES: u16 = 24 * 60;
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// A time window on some days. One that crosses midnight belongs to the day on which it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    /// One for each of [`DAYS`].
    days: [bool; 7],
    /// Minutes from midnight.
    from: u16,
    /// Minutes from the same midnight, up to one day after `from`.
    to: u16,
    /// The server's time zone if `None`.
    zone: Option<String>,
}

/// The error of invalid hours or an invalid expiry date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTime(String);

impl InvalidTime {
    /// What is wrong.
    pub fn reason(&self) -> String {
        self.0.split_once("; ").map_or(self.0.as_str(), |(reason, _)| reason).to_owned()
    }

    /// How to write it.
    pub fn hint(&self) -> Option<String> {
        self.0.split_once("; ").map(|(_, hint)| hint.to_owned())
    }
}

impl fmt::Display for InvalidTime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for InvalidTime {}

impl Hours {
    /// Parses windows such as `mon-fri 08:00-18:00`, `sat,sun 10:00-14:00 Europe/Berlin` or
    /// `22:00-06:00`: days (default: all), start, end, and a time zone (default: the server's).
    ///
    /// # Errors
    /// The invalid part and the expected format.
    pub fn parse<'a>(windows: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidTime> {
        let windows: Vec<_> = windows.into_iter().map(Window::parse).collect::<Result<_, _>>()?;
        match windows.len() {
            0 => Err(InvalidTime("empty list of hours: every login would be denied".to_owned())),
            1..=WINDOWS_MAX => Ok(Self(windows)),
            _ => Err(InvalidTime(format!("at most {WINDOWS_MAX} time windows are allowed"))),
        }
    }

    /// The windows in the format of [`Hours::parse`].
    pub fn windows(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }

    /// Whether it is one of these hours.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.0.iter().any(|window| window.closes(now).is_some())
    }

    /// When they are over that are now, windows without a gap between them taken together. Nothing
    /// if they are not now, or never over.
    pub fn close(&self, now: Timestamp) -> Option<Timestamp> {
        let mut end = now;
        // Each step moves on to a later window; after one week the first one follows again.
        for _ in 0..=self.0.len() * 8 {
            match self.0.iter().filter_map(|window| window.closes(end)).max() {
                Some(later) => end = later,
                None => return (end > now).then_some(end),
            }
        }
        None
    }
}

/// Windows with `; ` between them.
impl fmt::Display for Hours {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let windows: Vec<_> = self.windows().collect();
        out.write_str(&windows.join("; "))
    }
}

impl Window {
    fn parse(text: &str) -> Result<Self, InvalidTime> {
        let wrong = || {
            InvalidTime(format!(
                "invalid time window `{}`: expected days and times; write it as in mon-fri \
                 08:00-18:00",
                text.escape_debug()
            ))
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let at = words.iter().position(|word| word.contains(':')).ok_or_else(wrong)?;
        let (days, rest) = words.split_at(at);
        let (times, zone) = rest.split_first().ok_or_else(wrong)?;
        let days = match days {
            [] => [true; 7],
            [days] => parse_days(days).ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        let zone = match zone {
            [] => None,
            [zone] => Some(known_zone(zone)?),
            _ => return Err(wrong()),
        };
        let (from, to) = times.split_once('-').ok_or_else(wrong)?;
        let from = parse_minutes(from).filter(|from| *from < DAY_MINUTES).ok_or_else(wrong)?;
        let to = parse_minutes(to).ok_or_else(wrong)?;
        let to = if to <= from { to + DAY_MINUTES } else { to };
        Ok(Self { days, from, to, zone })
    }

    /// When it is over, if it is now.
    fn closes(&self, now: Timestamp) -> Option<Timestamp> {
        let zone = self.zone();
        let here = now.to_zoned(zone.clone());
        let today = here.date();
        let yesterday = today.yesterday().ok()?;
        [today, yesterday].into_iter().find_map(|day| {
            let (from, to) = (at(day, self.from, &zone)?, at(day, self.to, &zone)?);
            (self.has(day) && from <= now && now < to).then_some(to)
        })
    }

    fn has(&self, day: Date) -> bool {
        let days = DAYS.iter().zip(self.days);
        days.into_iter().any(|((_, known), is_in)| is_in && *known == day.weekday())
    }

    fn zone(&self) -> TimeZone {
        let named = self.zone.as_deref().and_then(|name| TimeZone::get(name).ok());
        named.unwrap_or_else(TimeZone::system)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != [true; 7] {
            let days: Vec<_> = DAYS
                .iter()
                .zip(self.days)
                .filter(|(_, is_in)| *is_in)
                .map(|((name, _), _)| *name)
                .collect();
            write!(out, "{} ", days.join(","))?;
        }
        let to = if self.to > DAY_MINUTES { self.to - DAY_MINUTES } else { self.to };
        write!(out, "{:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, to / 60, to % 60)?;
        match &self.zone {
            Some(zone) => write!(out, " {zone}"),
            None => Ok(()),
        }
    }
}

/// The time this many minutes after midnight of a day, in local (civil) time.
fn at(day: Date, minutes: u16, zone: &TimeZone) -> Option<Timestamp> {
    let days = i32::from(minutes / DAY_MINUTES);
    let day = day.checked_add(Span::new().days(days)).ok()?;
    let minutes = minutes % DAY_MINUTES;
    let (hour, minute) = (i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?);
    let time = day.at(hour, minute, 0, 0);
    Some(zone.to_ambiguous_zoned(time).compatible().ok()?.timestamp())
}

/// `mon-fri`, `sat,sun`, `fri-mon`, or some of these with commas between.
fn parse_days(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let mut at = first;
        loop {
            *days.get_mut(at)? = true;
            if at == last {
                break;
            }
            at = (at + 1) % DAYS.len();
        }
    }
    Some(days)
}

/// A day by its first three letters or more of them.
fn day(text: &str) -> Option<usize> {
    let text = text.to_ascii_lowercase();
    let long = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    long.iter().position(|name| text.len() >= 3 && name.starts_with(&text))
}

fn parse_minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let is_number =
        |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(hours) || !is_number(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let sum = hours * 60 + minutes;
    (minutes < 60 && sum <= DAY_MINUTES).then_some(sum)
}

fn known_zone(name: &str) -> Result<String, InvalidTime> {
    match TimeZone::get(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(_) => Err(InvalidTime(format!(
            "`{}` is not a time zone of this system; write it as in Europe/Berlin",
            name.escape_debug()
        ))),
    }
}

/// The end of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// This is the last day on which it may be logged in, where the server is.
    Day(Date),
    /// At this moment.
    At(Timestamp),
}

impl Expiry {
    /// Reads a last day, `2027-01-31`, or a moment, `2027-01-31T18:00:00+01:00`.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, InvalidTime> {
        let text = text.trim();
        let moment = || text.parse().ok().map(Self::At);
        let day = || text.parse().ok().map(Self::Day);
        let is_day = text.len() <= "2027-01-31".len();
        let read = if is_day { day() } else { moment() };
        read.ok_or_else(|| {
            InvalidTime(format!(
                "invalid date `{}`: expected year, month and day; write the last day as in \
                 2027-01-31, or a time as in 2027-01-31T18:00:00+01:00",
                text.escape_debug()
            ))
        })
    }

    /// The first moment at which it is over.
    pub fn end(self) -> Timestamp {
        match self {
            Self::At(end) => end,
            Self::Day(day) => {
                let next = day.checked_add(1.day()).ok();
                let zone = TimeZone::system();
                let midnight = next.and_then(|next| at(next, 0, &zone));
                midnight.unwrap_or(Timestamp::MAX)
            }
        }
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => write!(out, "{day}"),
            Self::At(end) => write!(out, "{end}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(windows: &[&str]) -> Hours {
        Hours::parse(windows.iter().copied()).unwrap()
    }

    fn moment(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn windows_are_written_as_they_are_read() {
        for (text, kept) in [
            ("mon-fri 08:00-18:00", "mon,tue,wed,thu,fri 08:00-18:00"),
            ("Sat,Sunday 9:30-24:00 UTC", "sat,sun 09:30-24:00 UTC"),
            ("fri-mon 22:00-06:00", "mon,fri,sat,sun 22:00-06:00"),
            ("09:00-18:00", "09:00-18:00"),
            ("00:00-00:00", "00:00-24:00"),
        ] {
            let read = hours(&[text]);
            assert_eq!(read.to_string(), kept);
            assert_eq!(hours(&[kept]), read, "{text}");
        }
    }

    #[test]
    fn an_invalid_window_is_rejected_with_the_format() {
        for text in [
            "", "mon", "mon-fri", "8-18", "25:00-26:00", "mo 8:00-9:00", "8:00", "24:00-25:00",
            "mon tue 8:00-9:00", "8:60-9:00", "+8:00-9:00", "8:00-9:00 UTC x",
        ] {
            let wrong = Hours::parse([text]).unwrap_err().to_string();
            assert!(wrong.contains("mon-fri 08:00-18:00"), "{text}: {wrong}");
        }
        let wrong = Hours::parse(["8:00-9:00 Mars/Base"]).unwrap_err().to_string();
        assert!(wrong.contains("is not a time zone"), "{wrong}");
        assert!(Hours::parse([]).is_err() && Hours::parse(["8:00-9:00"; WINDOWS_MAX + 1]).is_err());
    }

    #[test]
    fn hours_start_and_end_in_their_time_zone() {
        let work = hours(&["mon-fri 08:00-18:00 UTC"]);
        // A Monday.
        assert!(!work.is_open(moment("2026-11-23T07:59:59Z")));
        assert!(work.is_open(moment("2026-11-23T08:00:00Z")));
        assert_eq!(
            work.close(moment("2026-11-23T08:00:00Z")),
            Some(moment("2026-11-23T18:00:00Z"))
        );
        assert!(!work.is_open(moment("2026-11-23T18:00:00Z")));
        assert!(!work.is_open(moment("2026-11-22T12:00:00Z")));
        let night = hours(&["fri 22:00-06:00 UTC"]);
        assert!(
            night.is_open(moment("2026-11-28T05:59:59Z"))
                && !night.is_open(moment("2026-11-27T05:00:00Z"))
        );
        assert_eq!(
            night.close(moment("2026-11-27T23:00:00Z")),
            Some(moment("2026-11-28T06:00:00Z"))
        );
        let there = hours(&["09:00-10:00 Europe/Berlin"]);
        assert!(there.is_open(moment("2026-11-23T08:30:00Z")));
        assert!(there.is_open(moment("2026-07-01T07:30:00Z")));
    }

    #[test]
    fn windows_without_a_gap_are_one_time() {
        let all = hours(&["mon-thu 00:00-24:00 UTC", "fri 00:00-12:00 UTC"]);
        assert_eq!(all.close(moment("2026-11-23T08:00:00Z")), Some(moment("2026-11-27T12:00:00Z")));
        let ever = hours(&["00:00-24:00 UTC"]);
        assert!(ever.is_open(moment("2026-11-23T08:00:00Z")));
        assert_eq!(ever.close(moment("2026-11-23T08:00:00Z")), None);
        assert_eq!(all.close(moment("2026-11-28T08:00:00Z")), None);
    }

    #[test]
    fn the_last_day_is_whole() {
        let zone = TimeZone::system();
        let day = Expiry::parse("2027-01-31").unwrap();
        assert_eq!(day.end(), at("2027-02-01".parse().unwrap(), 0, &zone).unwrap());
        assert_eq!(day.to_string(), "2027-01-31");
        let moment = Expiry::parse("2027-01-31T18:00:00+01:00").unwrap();
        assert_eq!(moment.end(), "2027-01-31T17:00:00Z".parse::<Timestamp>().unwrap());
        assert_eq!(Expiry::parse(&moment.to_string()), Ok(moment));
        for text in ["", "31.1.2027", "2027-02-30", "tomorrow", "2027-01-31T18:00:00"] {
            assert!(Expiry::parse(text).is_err(), "{text}");
        }
    }
}
