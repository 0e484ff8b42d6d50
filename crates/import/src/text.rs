//! Reads imported files as text: UTF-8 or GBK, with or without a byte order mark.

use std::io::Read;
use std::path::{Path, PathBuf};

use encoding_rs::{Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE};
use wharf_config::outcome::HINT;
use wharf_config::outcome::{Exit, Failure};

use super::model::{ImportError, SourceLocation};

/// Maximum size of a settings file; real ones have a few kilobytes.
pub(crate) const SETTINGS_BYTES_MAX: u64 = 256 * 1024;
/// Maximum size of an account file.
pub(crate) const ACCOUNTS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A file as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Its path.
    pub path: PathBuf,
    /// Its name in messages, as typed.
    pub shown: String,
    /// Its content, without a byte order mark.
    pub content: String,
}

impl SourceText {
    /// The location of a line.
    pub fn location(&self, line: usize) -> SourceLocation {
        SourceLocation { file: self.shown.clone(), line }
    }

    /// Its numbered lines, without line ends.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.content.lines().map(|line| line.trim_end_matches('\r')).zip(1..).map(|(l, n)| (n, l))
    }

    /// Its folder.
    pub fn folder(&self) -> PathBuf {
        self.path.parent().map(Path::to_path_buf).unwrap_or_default()
    }
}

/// The encoding of imported files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SourceEncoding {
    /// UTF-8 if the file is valid UTF-8, else GBK.
    Detect,
    /// A fixed encoding.
    Fixed(&'static Encoding),
}

impl std::str::FromStr for SourceEncoding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("detect") {
            return Ok(Self::Detect);
        }
        Encoding::for_label(text.as_bytes()).map(Self::Fixed).ok_or_else(|| {
            format!(
                "unknown character set `{text}`{HINT}common ones: detect, utf-8, gbk, gb18030, big5"
            )
        })
    }
}

/// Reads a file.
pub fn read(path: &Path, bytes_max: u64, encoding: SourceEncoding) -> Result<SourceText, Failure> {
    read_with(path, bytes_max, encoding, "give the file or folder of the old server")
}

/// Reads a file; `missing_hint` is the hint if it does not exist.
pub(crate) fn read_with(
    path: &Path,
    bytes_max: u64,
    encoding: SourceEncoding,
    missing_hint: &str,
) -> Result<SourceText, Failure> {
    let shown = path.display().to_string();
    let failed = |error: std::io::Error| {
        let failure = Failure::io(format!("cannot read {shown}"), &error);
        match error.kind() {
            std::io::ErrorKind::NotFound => failure.hint(missing_hint),
            _ => failure,
        }
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > bytes_max) {
        let kib = bytes_max / 1024;
        let what = format!("{shown} is larger than {kib} KiB");
        return Err(ImportError::new(what, "give the configuration file of the old server").into());
    }
    if bytes.starts_with(b"PDB") {
        let what = format!("{shown} is a compiled database of Pure-FTPd (.pdb)");
        let hint = "give the text file it was generated from, often /etc/pure-ftpd/pureftpd.passwd";
        return Err(ImportError::new(what, hint).into());
    }
    let content = decode(&bytes, encoding).map_err(|line| {
        let what = match encoding {
            SourceEncoding::Detect => "neither UTF-8 nor GBK text",
            SourceEncoding::Fixed(_) => "not text in this encoding",
        };
        let hint = "check the file; if it is correct, set its encoding, as in --source-encoding \
                    big5";
        Failure::from(ImportError::new(format!("{shown}:{line}: {what}"), hint))
    })?;
    Ok(SourceText { path: path.to_owned(), shown, content })
}

impl From<ImportError> for Failure {
    fn from(rejected: ImportError) -> Self {
        Self { exit: Exit::ConfigInvalid, ..Self::new(rejected.what).hint(rejected.hint) }
    }
}

/// Decodes the text, or returns the first invalid line. Control characters indicate a binary file,
/// such as a compiled database or a program.
pub(crate) fn decode(bytes: &[u8], encoding: SourceEncoding) -> Result<String, usize> {
    let line_of = |before: &[u8]| before.split(|byte| *byte == b'\n').count();
    let marked = Encoding::for_bom(bytes)
        .filter(|(found, _)| [UTF_8, UTF_16LE, UTF_16BE].contains(found))
        .map(|(found, length)| (found, bytes.get(length..).unwrap_or_default()));
    let (encoding, bytes) = match (marked, encoding) {
        (Some(marked), _) => marked,
        (None, SourceEncoding::Fixed(fixed)) => (fixed, bytes),
        (None, SourceEncoding::Detect) => {
            let is_utf_8 = std::str::from_utf8(bytes).is_ok();
            (if is_utf_8 { UTF_8 } else { GB18030 }, bytes)
        }
    };
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
    let text = text.ok_or_else(|| first_bad_line(bytes, encoding))?;
    let is_binary = |letter: char| letter.is_ascii_control() && !"\n\r\t\x0c\x1a".contains(letter);
    if let Some(at) = text.find(is_binary) {
        return Err(line_of(text.as_bytes().get(..at).unwrap_or_default()));
    }
    // DOS programs end text files with Ctrl+Z.
    Ok(text.trim_end_matches('\x1a').to_owned())
}

/// The first line that cannot be decoded, from 1.
fn first_bad_line(bytes: &[u8], encoding: &'static Encoding) -> usize {
    let is_good =
        |line: &[u8]| encoding.decode_without_bom_handling_and_without_replacement(line).is_some();
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.zip(1..).find(|(line, _)| !is_good(line)).map_or(1, |(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn utf_8_and_gbk_are_distinguished_and_marks_are_removed() {
        let text = "# 欢迎\nip = '0.0.0.0'\n";
        let (gbk, ..) = encoding_rs::GBK.encode(text);
        let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
        for bytes in [text.as_bytes(), &gbk, &marked] {
            assert_eq!(decode(bytes, SourceEncoding::Detect).as_deref(), Ok(text));
        }
        let (big5, ..) = encoding_rs::BIG5.encode("# 歡迎\n");
        let fixed = "big5".parse().unwrap();
        assert_eq!(decode(&big5, fixed).as_deref(), Ok("# 歡迎\n"));
        assert!("klingon".parse::<SourceEncoding>().is_err());
        let wide: Vec<u8> = "\u{feff}a\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decode(&wide, SourceEncoding::Detect).as_deref(), Ok("a\n"));
    }

    #[test]
    fn binary_files_are_reported_with_their_line() {
        assert_eq!(decode(b"a\nb\x00c\n", SourceEncoding::Detect), Err(2));
        assert_eq!(decode(b"a\nb\n\xff\xff\n", SourceEncoding::Detect), Err(3));
        assert_eq!(decode(b"a\n\x81\n", SourceEncoding::Fixed(UTF_8)), Err(2));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&bytes, SourceEncoding::Detect);
        }
    }
}
