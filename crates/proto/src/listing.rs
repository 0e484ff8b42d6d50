//! Lines of directory listings: `LIST`, `NLST`, `MLSD` and `MLST`.

use crate::digits;
use crate::entry::{Entry, Kind};
use crate::facts::{Fact, FactSet};
use crate::time::{Stamps, Timestamp};

/// A form of listing: turns one entry into one line.
pub trait Format: Send + Sync {
    /// Appends the line of `entry`, which ends in CR LF.
    ///
    /// The name goes out as it is, so any character set has been applied before. Only CR, LF and
    /// NUL are written as `?`: a name on disk may hold them, and must not forge a line.
    ///
    /// A format may remember what it wrote last, since entries are much like one another.
    fn line(&mut self, entry: &Entry, out: &mut Vec<u8>);

    /// Whether a line shows more than the name; if not, the facts need not be read.
    fn shows_facts(&self) -> bool {
        true
    }
}

/// `LIST` in the form of `ls -l`, which is the one that every client can read.
///
/// ```text
/// -rw-r--r--    1 0        0             1234 Nov 22 17:14 name
/// drwxr-xr-x    2 ftp      ftp              0 Jan  5  2019 old
/// ```
///
/// Columns: mode, links (4), owner (8), group (8), size (9), date (12), name; a value too long for
/// its column widens it. Owner and group are always `ftp`: clients must not learn the accounts of
/// the system, but expect the columns. A pipe, socket or device is shown as `p`, the type that most
/// clients support. A link that is not followed does not show its target.
#[derive(Clone, Debug)]
pub struct Long {
    now: Timestamp,
    offset: fn(Timestamp) -> Offset,
    /// The offsets used last: those of summer and winter.
    known: [Offset; 2],
}

/// How far the time to show is from UTC, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Seconds to add to UTC.
    pub seconds: i32,
    /// The first second since the epoch for which it is valid.
    pub from: i64,
    /// The first second for which it no longer does.
    pub until: i64,
}

impl Offset {
    /// UTC itself, at all times.
    pub const UTC: Self = Self { seconds: 0, from: i64::MIN, until: i64::MAX };
    /// Holds never.
    const NONE: Self = Self { seconds: 0, from: 0, until: 0 };

    fn holds_at(self, moment: Timestamp) -> bool {
        (self.from..self.until).contains(&moment.seconds)
    }
}

/// `NLST`: the name alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Short;

/// `MLSD`: facts, one space, the name (RFC 3659 §7.2).
///
/// ```text
/// type=file;size=3;modify=20260101000000;perm=r; name
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineListing {
    shown: FactSet,
    stamps: Stamps,
}

impl Long {
    /// `now` is the present: entries of the last six months show the time of day, others the year.
    /// `offset` is called for the time to show, since clients take `LIST` for the local time of the
    /// server; its answer is kept as long as it holds.
    pub fn new(now: Timestamp, offset: fn(Timestamp) -> Offset) -> Self {
        Self { now, offset, known: [Offset::NONE; 2] }
    }
}

impl Format for Long {
    fn line(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        write_mode(entry, out);
        out.push(b' ');
        digits::write::<10>(out, entry.links, 4, b' ');
        out.extend_from_slice(OWNER_AND_GROUP);
        digits::write::<10>(out, entry.size, 9, b' ');
        out.push(b' ');
        self.write_date(entry.modified, out);
        out.push(b' ');
        end_with_name(&entry.name, out);
    }
}

impl Format for Short {
    fn line(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        end_with_name(&entry.name, out);
    }

    fn shows_facts(&self) -> bool {
        false
    }
}

impl Format for MachineListing {
    fn line(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        self.facts_line_as(kind_text(entry.kind), entry, out);
    }
}

impl MachineListing {
    /// Shows these facts, as far as an entry has them.
    pub fn new(shown: FactSet) -> Self {
        Self { shown, stamps: Stamps::default() }
    }

    /// Appends the line of `entry` with another type than its own: `cdir` for the directory that
    /// is listed, `pdir` for one above it (RFC 3659 §7.5.1).
    pub fn facts_line_as(&mut self, kind_text: &str, entry: &Entry, out: &mut Vec<u8>) {
        self.write_facts(kind_text, entry, out);
        out.push(b' ');
        end_with_name(&entry.name, out);
    }

    /// Appends the facts alone, `type=file;size=3;`, without a space, a name or CR LF: for `MLST`,
    /// where the space and a whole path follow.
    pub fn facts_only(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        self.write_facts(kind_text(entry.kind), entry, out);
    }

    fn write_facts(&mut self, kind_text: &str, entry: &Entry, out: &mut Vec<u8>) {
        let shown = self.shown;
        for fact in Fact::ALL.into_iter().filter(|&fact| shown.has(fact)) {
            let start = out.len();
            out.extend_from_slice(fact.name().as_bytes());
            out.push(b'=');
            if self.write_fact(fact, kind_text, entry, out) {
                out.push(b';');
            } else {
                out.truncate(start);
            }
        }
    }

    /// Appends the value of a fact. False if the entry has none.
    fn write_fact(
        &mut self,
        fact: Fact,
        kind_text: &str,
        entry: &Entry,
        out: &mut Vec<u8>,
    ) -> bool {
        match fact {
            Fact::Type => out.extend_from_slice(kind_text.as_bytes()),
            Fact::Size if entry.kind == Kind::File => digits::decimal(out, entry.size),
            Fact::Size => return false,
            Fact::Modify => self.stamps.write(entry.modified, out),
            Fact::Create => match entry.created {
                Some(created) => self.stamps.write(created, out),
                None => return false,
            },
            Fact::Perm => entry.perm.write(out),
            Fact::Unique => match entry.unique {
                Some((device, inode)) => {
                    // Any letter that is not a hexadecimal digit separates the two.
                    digits::write::<16>(out, device, 0, b'0');
                    out.push(b'g');
                    digits::write::<16>(out, inode, 0, b'0');
                }
                None => return false,
            },
            Fact::UnixMode => digits::write::<8>(out, (entry.mode & 0o7777).into(), 4, b'0'),
        }
        true
    }
}

fn kind_text(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Dir => "dir",
        Kind::Link => "OS.unix=slink",
        Kind::Other => "OS.unix=special",
    }
}

/// Half a year of the Gregorian calendar, from which on `ls` shows the year.
const RECENT_SECONDS: i64 = 15_778_476;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

impl Long {
    fn write_date(&mut self, moment: Timestamp, out: &mut Vec<u8>) {
        let local = moment.plus_seconds(self.offset_at(moment).into()).civil();
        let month = MONTHS.get(usize::from(local.month).saturating_sub(1)).copied();
        out.extend_from_slice(month.unwrap_or(b"Jan"));
        out.push(b' ');
        digits::write::<10>(out, local.day.into(), 2, b' ');
        let age_seconds = self.now.seconds.saturating_sub(moment.seconds);
        if (0..RECENT_SECONDS).contains(&age_seconds) {
            out.push(b' ');
            out.extend_from_slice(&digits::pair(local.hour));
            out.push(b':');
            out.extend_from_slice(&digits::pair(local.minute));
        } else {
            out.extend_from_slice(b"  ");
            digits::write::<10>(out, local.year.into(), 4, b'0');
        }
    }

    /// Seconds to add to UTC at that moment.
    fn offset_at(&mut self, moment: Timestamp) -> i32 {
        let [last, before] = self.known;
        if !last.holds_at(moment) {
            let holds = before.holds_at(moment);
            let offset = if holds { before } else { (self.offset)(moment) };
            self.known = [offset, last];
        }
        let [last, _] = self.known;
        last.seconds
    }
}

/// The ten letters of a mode, `drwxr-xr-x`.
fn write_mode(entry: &Entry, out: &mut Vec<u8>) {
    let mode = entry.mode;
    let letter = |bit: u32, letter: u8| if mode & bit == 0 { b'-' } else { letter };
    // In the position of the execute bit, `s` or `t` shows a special bit, in upper case if the
    // execute bit is off.
    let last = |bit: u32, special: u32, mark: u8| match (mode & bit != 0, mode & special != 0) {
        (true, true) => mark,
        (false, true) => mark.to_ascii_uppercase(),
        (true, false) => b'x',
        (false, false) => b'-',
    };
    out.extend_from_slice(&[
        match entry.kind {
            Kind::File => b'-',
            Kind::Dir => b'd',
            Kind::Link => b'l',
            Kind::Other => b'p',
        },
        letter(0o400, b'r'),
        letter(0o200, b'w'),
        last(0o100, 0o4000, b's'),
        letter(0o040, b'r'),
        letter(0o020, b'w'),
        last(0o010, 0o2000, b's'),
        letter(0o004, b'r'),
        letter(0o002, b'w'),
        last(0o001, 0o1000, b't'),
    ]);
}

const OWNER_AND_GROUP: &[u8] = b" ftp      ftp      ";

fn end_with_name(name: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(name);
    // Without an exit from the loop, it can be vectorized.
    let is_odd = name.iter().fold(false, |odd, byte| odd | matches!(byte, b'\r' | b'\n' | 0));
    if is_odd {
        for byte in out.iter_mut().skip(start) {
            if matches!(byte, b'\r' | b'\n' | 0) {
                *byte = b'?';
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Perm;
    use proptest::prelude::*;

    fn moment(text: &str) -> Timestamp {
        Timestamp::parse(text.as_bytes()).unwrap()
    }

    fn entry(name: &str, kind: Kind) -> Entry {
        Entry { modified: moment("20260722171400"), ..Entry::new(name, kind, 1234) }
    }

    fn line(format: &mut dyn Format, entry: &Entry) -> String {
        let mut out = b"before\r\n".to_vec();
        format.line(entry, &mut out);
        String::from_utf8_lossy(&out[8..]).into_owned()
    }

    fn long(entry: &Entry) -> String {
        line(&mut Long::new(moment("20260801000000"), |_| Offset::UTC), entry)
    }

    fn all_facts() -> MachineListing {
        MachineListing::new(Fact::ALL.into_iter().fold(FactSet::NONE, FactSet::with))
    }

    #[test]
    fn long_lines_have_the_columns_of_ls() {
        let mut file = entry("name", Kind::File);
        let expected = "-rw-r--r--    1 ftp      ftp           1234 Jul 22 17:14 name\r\n";
        assert_eq!(long(&file), expected);
        let mut dir = entry(" two  words ", Kind::Dir);
        (dir.size, dir.links) = (0, 12);
        let expected = "drwxr-xr-x   12 ftp      ftp              0 Jul 22 17:14  two  words \r\n";
        assert_eq!(long(&dir), expected);
        file.kind = Kind::Link;
        file.size = u64::MAX;
        let expected =
            "lrw-r--r--    1 ftp      ftp      18446744073709551615 Jul 22 17:14 name\r\n";
        assert_eq!(long(&file), expected);
        assert!(long(&entry("pipe", Kind::Other)).starts_with("prw-r--r--"));
    }

    #[test]
    fn special_bits_show_as_in_ls() {
        let mut file = entry("f", Kind::File);
        for (mode, text) in [
            (0o0000, "----------"),
            (0o0777, "-rwxrwxrwx"),
            (0o7777, "-rwsrwsrwt"),
            (0o7666, "-rwSrwSrwT"),
            (0o100_644, "-rw-r--r--"),
        ] {
            file.mode = mode;
            assert_eq!(&long(&file)[..10], text);
        }
    }

    #[test]
    fn dates_show_the_time_for_half_a_year_and_else_the_year() {
        let now = moment("20260801000000");
        let date = |modified: Timestamp, offset| {
            line(&mut Long::new(now, offset), &changed(modified))[44..56].to_owned()
        };
        assert_eq!(date(now, |_| always(0)), "Aug  1 00:00");
        assert_eq!(date(now, |_| always(-60)), "Jul 31 23:59");
        assert_eq!(date(now, |_| always(7200)), "Aug  1 02:00");
        assert_eq!(date(now.plus_seconds(1), |_| always(0)), "Aug  1  2026");
        assert_eq!(date(now.plus_seconds(1 - RECENT_SECONDS), |_| always(0)), "Jan 30 09:05");
        assert_eq!(date(now.plus_seconds(-RECENT_SECONDS), |_| always(0)), "Jan 30  2026");
        assert_eq!(date(Timestamp::default(), |_| always(0)), "Jan  1  1970");
        let end = |seconds| Timestamp { seconds, nanos: 0 };
        assert_eq!(date(end(i64::MIN), |_| always(i32::MIN)), "Jan  1  0000");
        assert_eq!(date(end(i64::MAX), |_| always(i32::MAX)), "Dec 31  9999");
    }

    const fn always(seconds: i32) -> Offset {
        Offset { seconds, ..Offset::UTC }
    }

    fn changed(modified: Timestamp) -> Entry {
        Entry { modified, ..entry("f", Kind::File) }
    }

    #[test]
    fn an_offset_is_used_only_as_long_as_it_holds() {
        // Another offset in each quarter of an hour, so none may be used for its neighbour.
        let offset = |moment: Timestamp| {
            let quarter = moment.seconds.div_euclid(900);
            let seconds = i32::try_from(quarter.rem_euclid(7)).unwrap() * 60;
            Offset { seconds, from: quarter * 900, until: (quarter + 1) * 900 }
        };
        let now = moment("20260801000000");
        let mut remembering = Long::new(now, offset);
        for back in [0, 1, 899, 900, 901, 0, 900, 1800, 1, 1800, 5400, 899, 900] {
            let entry = changed(now.plus_seconds(-back));
            let fresh = line(&mut Long::new(now, offset), &entry);
            assert_eq!(line(&mut remembering, &entry), fresh, "{back}");
        }
    }

    #[test]
    fn short_lines_are_names() {
        assert_eq!(line(&mut Short, &entry(" a b ", Kind::Dir)), " a b \r\n");
    }

    #[test]
    fn fact_lines_show_the_selected_facts() {
        let mut file = entry("na;me", Kind::File);
        file.perm = Perm::default().with(b'r').with(b'w');
        file.unique = Some((0x2e, 0x1a));
        let default = "type=file;size=1234;modify=20260722171400;perm=rw;unique=2eg1a;\
                       UNIX.mode=0644; na;me\r\n";
        assert_eq!(line(&mut MachineListing::default(), &file), default);
        file.created = Some(moment("20260101000000"));
        let all = "type=file;size=1234;modify=20260722171400;create=20260101000000;perm=rw;\
                   unique=2eg1a;UNIX.mode=0644; na;me\r\n";
        assert_eq!(line(&mut all_facts(), &file), all);
        assert_eq!(line(&mut MachineListing::new(FactSet::NONE), &file), " na;me\r\n");
    }

    #[test]
    fn types_have_the_words_of_the_rfc() {
        let mut facts =
            MachineListing::new(FactSet::NONE.with(Fact::Type).with(Fact::Size).with(Fact::Perm));
        assert_eq!(line(&mut facts, &entry("d", Kind::Dir)), "type=dir;perm=; d\r\n");
        assert_eq!(line(&mut facts, &entry("l", Kind::Link)), "type=OS.unix=slink;perm=; l\r\n");
        assert_eq!(line(&mut facts, &entry("o", Kind::Other)), "type=OS.unix=special;perm=; o\r\n");
        let mut out = Vec::new();
        facts.facts_line_as("cdir", &entry("/a", Kind::Dir), &mut out);
        assert_eq!(out, b"type=cdir;perm=; /a\r\n");
        out.clear();
        facts.facts_only(&entry("f", Kind::File), &mut out);
        assert_eq!(out, b"type=file;size=1234;perm=;");
    }

    proptest! {
        #[test]
        fn no_name_forges_a_line(name: Vec<u8>, size: u64, mode: u32, seconds: i64, offset: bool) {
            let mut entry = Entry::new(name.clone(), Kind::File, size);
            entry.mode = mode;
            entry.modified.seconds = seconds;
            let offset = if offset {
                |_| always(i32::MAX)
            } else {
                |_| always(i32::MIN)
            };
            let mut long = Long::new(Timestamp::default(), offset);
            let (mut short, mut facts) = (Short, all_facts());
            let formats: [&mut dyn Format; 3] = [&mut long, &mut short, &mut facts];
            for format in formats {
                let mut out = Vec::new();
                format.line(&entry, &mut out);
                let text = out.strip_suffix(b"\r\n").unwrap();
                prop_assert!(!text.iter().any(|byte| b"\r\n\0".contains(byte)));
                let shown: Vec<u8> = name
                    .iter()
                    .map(|&byte| if b"\r\n\0".contains(&byte) { b'?' } else { byte })
                    .collect();
                prop_assert!(text.ends_with(&shown));
            }
        }
    }
}
