//! Arguments of commands that are neither paths nor addresses.

use crate::command::Verb;
use crate::digits;
use crate::time::Timestamp;

/// Why an argument cannot be used. The engine answers 501 to the first two and 504 to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgError {
    /// There is none, or a part of it is missing.
    Missing,
    /// It does not have the form that the RFC gives it, or is out of bounds.
    Malformed,
    /// It is well-formed, and requests something that this server does not support.
    Unsupported,
}

/// How the bytes of a file are represented in a transfer: the argument of `TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransferType {
    /// Text: lines end in CR LF on the network and in LF in the file.
    Ascii,
    /// The bytes as they are.
    Image,
}

impl TransferType {
    /// Reads the argument of `TYPE` (RFC 959 §4.1.2) in upper or lower case: `A`, `A N`, `A T`,
    /// `I`, `L 8`. `L8` and `I N` are not in an RFC, and accepted because devices send them.
    pub fn parse(arg: &[u8]) -> Result<Self, ArgError> {
        let arg = arg.to_ascii_uppercase();
        let mut words = words(&arg);
        let first = words.next().ok_or(ArgError::Missing)?;
        let second = words.next();
        if words.next().is_some() {
            return Err(ArgError::Malformed);
        }
        match (first, second) {
            (b"A", None | Some(b"N" | b"T")) => Ok(Self::Ascii),
            (b"I", None | Some(b"N")) | (b"L", Some(b"8")) | (b"L8", None) => Ok(Self::Image),
            (b"A", Some(b"C")) | (b"E", None | Some(b"N" | b"T" | b"C")) => {
                Err(ArgError::Unsupported)
            }
            (b"L", Some(size)) => Err(byte_size_error(size)),
            (word, None) => {
                Err(word.strip_prefix(b"L").map_or(ArgError::Malformed, byte_size_error))
            }
            _ => Err(ArgError::Malformed),
        }
    }
}

/// What is wrong with the byte size of `TYPE L` when it is not 8.
fn byte_size_error(size: &[u8]) -> ArgError {
    match digits::parse(size, 255) {
        Some(1..) => ArgError::Unsupported,
        _ => ArgError::Malformed,
    }
}

/// How a transfer is laid out on the data connection: the argument of `MODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The bytes, and the end of the connection is the end of the file.
    Stream,
    /// The same as one zlib stream (draft-preston-ftpext-deflate).
    Deflate,
}

/// Reads the argument of `MODE` (RFC 959 §4.1.2). Block transfers and the compressed ones of RFC
/// 959 (`B`, `C`) are unsupported.
pub fn parse_mode(arg: &[u8]) -> Result<Mode, ArgError> {
    match letter(arg)? {
        b'S' => Ok(Mode::Stream),
        b'Z' => Ok(Mode::Deflate),
        b'B' | b'C' => Err(ArgError::Unsupported),
        _ => Err(ArgError::Malformed),
    }
}

/// Reads the argument of `OPTS MODE`: `Z`, with options in pairs behind it, as in `Z ENGINE ZLIB
/// LEVEL 6`. The level, 0 to 9, if there is one; options of other engines and of other modes are
/// unsupported.
pub fn parse_opts_mode(arg: &[u8]) -> Result<Option<u8>, ArgError> {
    let mut words = words(arg);
    match words.next() {
        Some(b"Z" | b"z") => {}
        Some(_) => return Err(ArgError::Unsupported),
        None => return Err(ArgError::Missing),
    }
    let mut level = None;
    while let Some(option) = words.next() {
        let value = words.next().ok_or(ArgError::Missing)?;
        match option.to_ascii_uppercase().as_slice() {
            b"LEVEL" => {
                let number = number(value, 9)?;
                level = Some(u8::try_from(number).map_err(|_| ArgError::Malformed)?);
            }
            b"ENGINE" if value.eq_ignore_ascii_case(b"ZLIB") => {}
            _ => return Err(ArgError::Unsupported),
        }
    }
    Ok(level)
}

/// How a file is built: the argument of `STRU`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Structure {
    /// A row of bytes.
    File,
}

/// Reads the argument of `STRU` (RFC 959 §4.1.2). Records and pages (`R`, `P`) are unsupported.
pub fn parse_structure(arg: &[u8]) -> Result<Structure, ArgError> {
    match letter(arg)? {
        b'F' => Ok(Structure::File),
        b'R' | b'P' => Err(ArgError::Unsupported),
        _ => Err(ArgError::Malformed),
    }
}

/// How data connections are protected: the argument of `PROT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protection {
    /// `C`: not at all.
    Clear,
    /// `P`: by TLS.
    Private,
}

/// Reads the argument of `PROT` (RFC 4217 §9). `S` and `E` are unsupported, since TLS has no
/// protection between all and nothing; the engine answers 536 to them.
pub fn parse_prot(arg: &[u8]) -> Result<Protection, ArgError> {
    match letter(arg)? {
        b'C' => Ok(Protection::Clear),
        b'P' => Ok(Protection::Private),
        b'S' | b'E' => Err(ArgError::Unsupported),
        _ => Err(ArgError::Malformed),
    }
}

/// Reads the argument of `PBSZ` (RFC 2228 §3): a number of 32 bits. Over TLS only 0 means
/// something, and any number is answered with 0.
pub fn parse_pbsz(arg: &[u8]) -> Result<u32, ArgError> {
    let number = number(trim(arg), u32::MAX.into())?;
    u32::try_from(number).map_err(|_| ArgError::Malformed)
}

/// Reads the argument of `REST` in stream mode (RFC 3659 §5): a count of bytes, decimal digits
/// only, at most `i64::MAX` because no system call can seek further.
pub fn parse_offset(arg: &[u8]) -> Result<u64, ArgError> {
    number(arg, OFFSET_MAX)
}

/// Reads the argument of `ALLO` (RFC 959 §4.1.3): `123` or `123 R 45`. Returns the bytes of the
/// file; the size of a record has no meaning for a file of bytes and is only checked.
pub fn parse_allo(arg: &[u8]) -> Result<u64, ArgError> {
    let mut words = words(arg);
    let bytes = number(words.next().unwrap_or_default(), OFFSET_MAX)?;
    match words.next() {
        None => return Ok(bytes),
        Some(b"R" | b"r") => number(words.next().unwrap_or_default(), OFFSET_MAX)?,
        Some(_) => return Err(ArgError::Malformed),
    };
    if words.next().is_some() { Err(ArgError::Malformed) } else { Ok(bytes) }
}

/// Reads the argument of `SITE CHMOD`: `644 name` or `0755 a b`. The mode is three or four octal
/// digits; set-user-id and the like (above 777) are unsupported. The name is never empty.
pub fn parse_chmod(arg: &[u8]) -> Result<(u32, &[u8]), ArgError> {
    let (mode, name) = word_and_rest(arg)?;
    if !matches!(mode.len(), 3 | 4) || !mode.iter().all(|byte| (b'0'..=b'7').contains(byte)) {
        return Err(ArgError::Malformed);
    }
    let mode = mode.iter().fold(0, |sum, &byte| sum * 8 + u32::from(byte - b'0'));
    if mode > 0o777 {
        return Err(ArgError::Unsupported);
    }
    Ok((mode, name))
}

/// Reads the argument of `RANG`: the first and the last byte, each at most `i64::MAX`. Their order
/// is not checked.
pub fn parse_range(arg: &[u8]) -> Result<(u64, u64), ArgError> {
    let mut words = words(arg);
    let (Some(first), Some(last)) = (words.next(), words.next()) else {
        return Err(ArgError::Missing);
    };
    if words.next().is_some() {
        return Err(ArgError::Malformed);
    }
    Ok((number(first, OFFSET_MAX)?, number(last, OFFSET_MAX)?))
}

/// Reads the argument of `MFMT`: a time as in [`Timestamp::parse`] and a name, never empty.
pub fn parse_mfmt(arg: &[u8]) -> Result<(Timestamp, &[u8]), ArgError> {
    let (time, name) = word_and_rest(arg)?;
    Ok((Timestamp::parse(time).ok_or(ArgError::Malformed)?, name))
}

/// Reads the argument of `OPTS` (RFC 2389 §4): `UTF8 ON`, `utf8`, `MLST type;size;`. What stands
/// behind the first space is returned as it is, empty if there is nothing.
pub fn parse_opts(arg: &[u8]) -> Result<(Verb, &[u8]), ArgError> {
    if arg.is_empty() {
        return Err(ArgError::Missing);
    }
    let (word, rest) = split_word(arg);
    Ok((Verb::parse(word).ok_or(ArgError::Malformed)?, rest))
}

/// The argument of `LIST`, `NLST` or `STAT`, in which many clients put options of `ls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListArgs<'a> {
    /// The options that were recognised.
    pub options: ListOptions,
    /// What remains behind the options; empty if there is nothing.
    pub path: &'a [u8],
    /// The whole argument. If something really has that name, it is what the client means, unless
    /// [`Self::are_options`].
    pub literal: &'a [u8],
    /// Whether the options can be nothing else: each word has letters of [`SURE_OPTIONS`] alone,
    /// none twice. Clients send such words with every listing, whatever files are called.
    pub are_options: bool,
}

/// The letters that KDE, gvfs, ange-ftp, FFFTP, lftp and others put before the path of a listing.
pub const SURE_OPTIONS: &[u8] = b"aAlLRF1C";

/// Options of `ls` that change what is listed. All others are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// `-a`: names that begin with a dot too.
    pub all: bool,
    /// `-l`: the long form.
    pub long: bool,
    /// `-R`: directories below too.
    pub recursive: bool,
}

/// Takes options off the front of the argument of a listing command. Cannot fail: whatever is
/// not an option is a path.
///
/// Options are leading words that begin with `-` and are longer than that; `--` ends them.
/// A path without options is left as it is, and so are hyphens in or behind it.
pub fn parse_list_args(arg: &[u8]) -> ListArgs<'_> {
    let mut options = ListOptions::default();
    let mut path = arg;
    let mut rest = trim_start(arg);
    let (mut has_options, mut are_sure) = (false, true);
    while rest.first() == Some(&b'-') && !matches!(rest, b"-" | [b'-', b' ', ..]) {
        let (word, behind) = split_word(rest);
        if word == b"--" {
            path = behind;
            rest = b"";
            break;
        }
        options = options.with_word(word);
        has_options = true;
        are_sure &= is_surely_option(word);
        rest = trim_start(behind);
        path = rest;
    }
    if rest.is_empty() && trim(path).is_empty() {
        path = b"";
    }
    ListArgs { options, path, literal: arg, are_options: has_options && are_sure }
}

/// Whether a word that begins with a hyphen is an option of `ls` for sure.
fn is_surely_option(word: &[u8]) -> bool {
    let letters = word.strip_prefix(b"-").unwrap_or_default();
    let is_first = |at: usize, letter: &u8| !letters.iter().take(at).any(|known| known == letter);
    !letters.is_empty()
        && letters
            .iter()
            .enumerate()
            .all(|(at, letter)| SURE_OPTIONS.contains(letter) && is_first(at, letter))
}

impl ListOptions {
    fn with_word(mut self, word: &[u8]) -> Self {
        // Long options of GNU (`--all`) are spelled with letters that mean something else here.
        if word.starts_with(b"--") {
            return self;
        }
        for letter in word {
            match letter {
                b'a' => self.all = true,
                b'l' => self.long = true,
                b'R' => self.recursive = true,
                _ => {}
            }
        }
        self
    }
}

/// The largest offset of a file, `i64::MAX`.
const OFFSET_MAX: u64 = i64::MAX.unsigned_abs();

pub(crate) fn number(text: &[u8], max: u64) -> Result<u64, ArgError> {
    if text.is_empty() {
        return Err(ArgError::Missing);
    }
    digits::parse(text, max).ok_or(ArgError::Malformed)
}

/// The one letter that an argument consists of, in upper case.
fn letter(arg: &[u8]) -> Result<u8, ArgError> {
    match trim(arg) {
        [] => Err(ArgError::Missing),
        [letter] => Ok(letter.to_ascii_uppercase()),
        _ => Err(ArgError::Malformed),
    }
}

fn words(arg: &[u8]) -> impl Iterator<Item = &[u8]> {
    arg.split(|&byte| byte == b' ').filter(|word| !word.is_empty())
}

/// The first word, and the text after exactly one space.
fn split_word(arg: &[u8]) -> (&[u8], &[u8]) {
    let mut halves = arg.splitn(2, |&byte| byte == b' ');
    (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
}

/// As [`split_word`], where neither part may be missing.
pub(crate) fn word_and_rest(arg: &[u8]) -> Result<(&[u8], &[u8]), ArgError> {
    let (word, rest) = split_word(trim_start(arg));
    if word.is_empty() || rest.is_empty() {
        return Err(ArgError::Missing);
    }
    Ok((word, rest))
}

fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| byte != b' ').unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

/// Without spaces in front and at the end.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    let text = trim_start(text);
    let end = text.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ArgError::{Malformed, Missing, Unsupported};
    use proptest::prelude::*;

    #[test]
    fn every_type_that_devices_send_is_known() {
        for text in ["A", "a", "A N", "a n", "A T", " A  N "] {
            assert_eq!(TransferType::parse(text.as_bytes()), Ok(TransferType::Ascii), "{text}");
        }
        for text in ["I", "i", "L 8", "l 8", "L8", "L  8", "I N", "I "] {
            assert_eq!(TransferType::parse(text.as_bytes()), Ok(TransferType::Image), "{text}");
        }
    }

    #[test]
    fn other_types_are_unsupported_or_nonsense() {
        for text in ["E", "E N", "e c", "A C", "L 36", "L 7", "L36"] {
            assert_eq!(TransferType::parse(text.as_bytes()), Err(Unsupported), "{text}");
        }
        for text in ["X", "AN", "A N N", "L", "L x", "L 0", "L -8", "I 8", "ASCII", "8", "\u{e4}"] {
            assert_eq!(TransferType::parse(text.as_bytes()), Err(Malformed), "{text}");
        }
        assert_eq!(TransferType::parse(b""), Err(Missing));
        assert_eq!(TransferType::parse(b"  "), Err(Missing));
    }

    #[test]
    fn modes_structures_and_protections() {
        assert_eq!(parse_mode(b"s "), Ok(Mode::Stream));
        assert_eq!(parse_structure(b"F"), Ok(Structure::File));
        assert_eq!(parse_prot(b"c"), Ok(Protection::Clear));
        assert_eq!(parse_prot(b" P"), Ok(Protection::Private));
        assert_eq!(parse_mode(b"z"), Ok(Mode::Deflate));
        for text in [b"B", b"c"] {
            assert_eq!(parse_mode(text), Err(Unsupported));
        }
        for text in [b"R", b"p"] {
            assert_eq!(parse_structure(text), Err(Unsupported));
        }
        for text in [b"S", b"e"] {
            assert_eq!(parse_prot(text), Err(Unsupported));
        }
        for (text, error) in [(&b""[..], Missing), (b" ", Missing), (b"PP", Malformed)] {
            assert_eq!(parse_mode(text), Err(error));
            assert_eq!(parse_structure(text), Err(error));
            assert_eq!(parse_prot(text), Err(error));
        }
        assert_eq!(parse_prot(b"X"), Err(Malformed));
    }

    #[test]
    fn row_35_offsets_are_plain_digits_that_fit_a_file() {
        assert_eq!(parse_offset(b"0"), Ok(0));
        assert_eq!(parse_offset(b"9223372036854775807"), Ok(OFFSET_MAX));
        assert_eq!(parse_offset(b""), Err(Missing));
        for text in ["9223372036854775808", "-1", "+1", "1.5", " 1", "1 ", "0x10", "1e3"] {
            assert_eq!(parse_offset(text.as_bytes()), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn allo_may_name_a_record_size() {
        assert_eq!(parse_allo(b"123"), Ok(123));
        assert_eq!(parse_allo(b" 123 "), Ok(123));
        assert_eq!(parse_allo(b"123 R 45"), Ok(123));
        assert_eq!(parse_allo(b"123 r 45 "), Ok(123));
        assert_eq!(parse_allo(b""), Err(Missing));
        assert_eq!(parse_allo(b"123 R"), Err(Missing));
        for text in [&b"x"[..], b"123 45", b"123 R 45 6", b"123 R x", b"123R45", b"-1"] {
            assert_eq!(parse_allo(text), Err(Malformed), "{text:?}");
        }
    }

    #[test]
    fn pbsz_is_a_number_of_32_bits() {
        assert_eq!(parse_pbsz(b"0"), Ok(0));
        assert_eq!(parse_pbsz(b"4294967295 "), Ok(u32::MAX));
        assert_eq!(parse_pbsz(b""), Err(Missing));
        assert_eq!(parse_pbsz(b"4294967296"), Err(Malformed));
        assert_eq!(parse_pbsz(b"zero"), Err(Malformed));
    }

    #[test]
    fn row_25_chmod_takes_plain_permission_bits_only() {
        assert_eq!(parse_chmod(b"644 name"), Ok((0o644, &b"name"[..])));
        assert_eq!(parse_chmod(b"0755 a b"), Ok((0o755, &b"a b"[..])));
        assert_eq!(parse_chmod(b"777  lead"), Ok((0o777, &b" lead"[..])));
        assert_eq!(parse_chmod(b"4755 x"), Err(Unsupported));
        assert_eq!(parse_chmod(b"1777 x"), Err(Unsupported));
        for text in [&b"u+x a"[..], b"64 a", b"00644 a", b"888 a", b"-644 a"] {
            assert_eq!(parse_chmod(text), Err(Malformed), "{text:?}");
        }
        for text in [&b""[..], b"644", b"644 ", b"name"] {
            assert_eq!(parse_chmod(text), Err(Missing), "{text:?}");
        }
    }

    #[test]
    fn row_26_mfmt_is_a_time_and_a_name() {
        let (time, name) = parse_mfmt(b"20260101000000 a b").unwrap();
        assert_eq!((time.seconds, name), (1_767_225_600, &b"a b"[..]));
        assert_eq!(parse_mfmt(b"20260101000000"), Err(Missing));
        assert_eq!(parse_mfmt(b"2026 name"), Err(Malformed));
    }

    #[test]
    fn row_16_options_of_mode_z_are_a_level_and_no_other_engine() {
        assert_eq!(parse_opts_mode(b"Z LEVEL 9"), Ok(Some(9)));
        assert_eq!(parse_opts_mode(b"z engine zlib level 0"), Ok(Some(0)));
        assert_eq!(parse_opts_mode(b"Z"), Ok(None));
        for arg in [&b"S"[..], b"Z ENGINE LZMA", b"Z BLOCKSIZE 9"] {
            assert_eq!(parse_opts_mode(arg), Err(Unsupported));
        }
        for (arg, error) in [(&b""[..], Missing), (b"Z LEVEL", Missing), (b"Z LEVEL 10", Malformed)]
        {
            assert_eq!(parse_opts_mode(arg), Err(error));
        }
    }

    #[test]
    fn row_16_a_range_is_two_numbers() {
        assert_eq!(parse_range(b"0 255"), Ok((0, 255)));
        assert_eq!(parse_range(b"1 0"), Ok((1, 0)));
        assert_eq!(parse_range(b"5"), Err(Missing));
        for arg in [&b"0 1 2"[..], b"a b", b"0 -1", b"0 9223372036854775808"] {
            assert_eq!(parse_range(arg), Err(Malformed));
        }
    }

    #[test]
    fn opts_parses_a_command_and_its_arguments() {
        let verb = |word: &[u8]| Verb::parse(word).unwrap();
        assert_eq!(parse_opts(b"UTF8 ON"), Ok((verb(b"UTF8"), &b"ON"[..])));
        assert_eq!(parse_opts(b"utf8"), Ok((verb(b"UTF8"), &b""[..])));
        assert_eq!(parse_opts(b"MLST type;size;"), Ok((verb(b"MLST"), &b"type;size;"[..])));
        assert_eq!(parse_opts(b""), Err(Missing));
        assert_eq!(parse_opts(b"UTF-8 NLST"), Err(Malformed));
    }

    fn list(arg: &str) -> (String, String) {
        let args = parse_list_args(arg.as_bytes());
        assert_eq!(args.literal, arg.as_bytes());
        let options = args.options;
        let flags = [(options.all, 'a'), (options.long, 'l'), (options.recursive, 'R')];
        let flags = flags.into_iter().filter_map(|(is_set, flag)| is_set.then_some(flag));
        (flags.collect(), String::from_utf8(args.path.to_vec()).unwrap())
    }

    #[test]
    fn options_of_ls_are_taken_off_the_front() {
        for (arg, flags, path) in [
            ("", "", ""),
            (" ", "", ""),
            ("-la", "al", ""),
            ("-la  ", "al", ""),
            ("-a -l", "al", ""),
            ("-al /dir", "al", "/dir"),
            ("  -l  dir", "l", "dir"),
            ("-R1 a b ", "R", "a b "),
            ("-T -F x", "", "x"),
            ("--all x", "", "x"),
            ("-a -- -l", "a", "-l"),
            ("-- ", "", ""),
        ] {
            assert_eq!(list(arg), (flags.to_owned(), path.to_owned()), "{arg:?}");
        }
    }

    #[test]
    fn words_of_known_letters_are_options_for_sure() {
        for arg in ["-la", "-al", "-a", "-alLR", "-lR /site", "-a -l x", "-1", "-aF"] {
            assert!(parse_list_args(arg.as_bytes()).are_options, "{arg}");
        }
        for arg in ["", "x", "-", "- x", "-all", "-notes.txt", "-a -x.txt", "--all", "-z", "x -a"] {
            assert!(!parse_list_args(arg.as_bytes()).are_options, "{arg}");
        }
    }

    #[test]
    fn names_with_hyphens_and_spaces_are_not_mangled() {
        for arg in ["./emerald-lake", "my -file", "a -l", "-", "- x", " lead", "trail ", "a-b -1 c"]
        {
            assert_eq!(list(arg), (String::new(), arg.to_owned()), "{arg:?}");
        }
    }

    proptest! {
        #[test]
        fn row_47_no_argument_makes_a_parser_panic(arg: Vec<u8>) {
            let _ = TransferType::parse(&arg);
            let _ = (parse_mode(&arg), parse_structure(&arg), parse_prot(&arg), parse_pbsz(&arg));
            let _ = (parse_offset(&arg), parse_allo(&arg), parse_chmod(&arg), parse_mfmt(&arg));
            let _ = parse_opts(&arg);
        }

        #[test]
        fn a_listed_path_is_the_end_of_the_argument(arg in "[-alR1 x/]{0,20}") {
            let args = parse_list_args(arg.as_bytes());
            prop_assert!(arg.as_bytes().ends_with(args.path));
            if !arg.trim_start().starts_with('-') && !arg.trim().is_empty() {
                prop_assert_eq!(args.path, arg.as_bytes());
                prop_assert_eq!(args.options, ListOptions::default());
            }
        }

        #[test]
        fn offsets_and_sizes_read_back(number in 0..=OFFSET_MAX) {
            prop_assert_eq!(parse_offset(number.to_string().as_bytes()), Ok(number));
            prop_assert_eq!(parse_allo(number.to_string().as_bytes()), Ok(number));
        }
    }
}
