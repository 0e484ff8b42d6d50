//! Paths within an account's tree, parsed once and used everywhere.

use std::fmt;

/// The longest path in bytes. Linux allows 4096 with the final NUL.
pub const PATH_BYTES_MAX: usize = 4095;
/// The longest name in bytes. Every common file system allows 255.
pub const NAME_BYTES_MAX: usize = 255;

/// An absolute, normal path below an account's root.
///
/// It starts with `/`, has no empty, `.` or `..` component, no NUL, and no slash at its end (the
/// root is `/` alone). It cannot leave its root *by construction*: `..` at the top stays there.
/// It consists of bytes, as names on disk do; character sets are converted before and after.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VPath(Vec<u8>);

/// Why some bytes are not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It contains a NUL byte, which no file system allows.
    Nul,
    /// The whole is longer than [`PATH_BYTES_MAX`], or one name longer than [`NAME_BYTES_MAX`].
    TooLong,
    /// It is not a single name: empty, `.`, `..`, or with a slash.
    NotOneName,
}

impl VPath {
    /// The root, `/`.
    pub fn root() -> Self {
        Self(b"/".to_vec())
    }

    /// Reads `typed` as a client meant it: from the root if it starts with `/`, else from `self`.
    ///
    /// Repeated slashes count as one, `.` is dropped, `..` goes up and stays at the root.
    pub fn resolve(&self, typed: &[u8]) -> Result<Self, PathError> {
        if typed.contains(&0) {
            return Err(PathError::Nul);
        }
        let mut path = if typed.first() == Some(&b'/') { Self::root() } else { self.clone() };
        for name in typed.split(|&byte| byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => path = path.parent().unwrap_or(path),
                name => path = path.join(name)?,
            }
        }
        Ok(path)
    }

    /// Adds one name below this path.
    pub fn join(&self, name: &[u8]) -> Result<Self, PathError> {
        if name.contains(&0) {
            return Err(PathError::Nul);
        }
        if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
            return Err(PathError::NotOneName);
        }
        let mut joined = self.0.clone();
        if !self.is_root() {
            joined.push(b'/');
        }
        joined.extend_from_slice(name);
        if name.len() > NAME_BYTES_MAX || joined.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        Ok(Self(joined))
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The parent directory; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let slash = self.0.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        Some(Self(self.0.get(..slash.max(1)).unwrap_or(b"/").to_vec()))
    }

    /// The last name; none for the root.
    pub fn name(&self) -> Option<&[u8]> {
        self.names().next_back()
    }

    /// The names from the top down; none for the root.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
    }

    /// Whether this is `prefix` or lies below it. `/ab` does not lie below `/a`.
    pub fn is_within(&self, prefix: &Self) -> bool {
        prefix.is_root()
            || self
                .0
                .strip_prefix(prefix.0.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
    }

    /// The bytes, beginning with a slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path without its leading slash, as system calls below a root want it; `.` for the root.
    pub fn relative(&self) -> &[u8] {
        match self.0.split_first() {
            Some((_, rest)) if !rest.is_empty() => rest,
            _ => b".",
        }
    }
}

/// For logs and messages: bytes that are not text or could forge a line are escaped as `\xNN`,
/// a backslash as `\\`, so that the name can be read back.
impl fmt::Display for VPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(&self.0, out)
    }
}

impl fmt::Debug for VPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "VPath({self})")
    }
}

/// Any client bytes in the lossless, harmless form of [`VPath`]'s `Display`.
pub fn escaped(bytes: &[u8]) -> String {
    struct Escaped<'a>(&'a [u8]);
    impl fmt::Display for Escaped<'_> {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_escaped(self.0, out)
        }
    }
    Escaped(bytes).to_string()
}

fn write_escaped(bytes: &[u8], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => out.write_str("\\\\")?,
                letter if is_deceptive(letter) => {
                    let mut buffer = [0; 4];
                    for byte in letter.encode_utf8(&mut buffer).bytes() {
                        write!(out, "\\x{byte:02x}")?;
                    }
                }
                letter => fmt::Write::write_char(out, letter)?,
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

/// Whether a letter can end a line, move a cursor, or change the direction of what is written
/// around it, or is invisible so that two different texts look the same: control characters, line
/// and paragraph separators, every character of the Unicode property `Bidi_Control`, and format
/// characters without a shape. The joiners U+200C and U+200D are letters of some scripts and stay.
/// Texts of clients are shown to administrators without them.
pub fn is_deceptive(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}' | '\u{2029}')
        || matches!(letter, '\u{061c}' | '\u{200e}' | '\u{200f}')
        || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(letter, '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{feff}')
        || matches!(letter, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resolve(cwd: &str, typed: &str) -> String {
        let cwd = VPath::root().resolve(cwd.as_bytes()).unwrap();
        cwd.resolve(typed.as_bytes()).unwrap().to_string()
    }

    #[test]
    fn row_27_28_dots_and_slashes_are_settled_once() {
        assert_eq!(resolve("/a/b", "c"), "/a/b/c");
        assert_eq!(resolve("/a/b", "../c"), "/a/c");
        assert_eq!(resolve("/a/b", "../../../../etc/passwd"), "/etc/passwd");
        assert_eq!(resolve("/a/b", "//x///y/"), "/x/y");
        assert_eq!(resolve("/a/b", "./."), "/a/b");
        assert_eq!(resolve("/a", ".."), "/");
        assert_eq!(resolve("/", "..."), "/...");
        assert_eq!(resolve("/", " lead"), "/ lead");
    }

    #[test]
    fn row_43_controls_of_direction_and_invisible_letters_are_escaped_and_scripts_are_not() {
        let controls = "\u{ad}\u{180e}\u{200b}\u{2060}\u{feff}\u{fff9}\u{e0001}\u{e0041}\
                        \u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\
                        \u{2066}\u{2067}\u{2068}\u{2069}\u{2028}\u{2029}\u{85}\u{7f}";
        for letter in controls.chars() {
            let text = escaped(format!("a{letter}b").as_bytes());
            assert!(text.starts_with("a\\x") && text.is_ascii(), "{text}");
        }
        for plain in ["مرحبا", "שלום", "\u{200c}", "\u{200d}", "中文", "🇩🇪"] {
            assert_eq!(escaped(plain.as_bytes()), plain);
        }
    }

    #[test]
    fn row_28_invalid_paths_have_a_reason() {
        let root = VPath::root();
        assert_eq!(root.resolve(b"a\0b"), Err(PathError::Nul));
        assert_eq!(root.join(b".."), Err(PathError::NotOneName));
        assert_eq!(root.join(b"a/b"), Err(PathError::NotOneName));
        assert_eq!(root.join(&[b'x'; 256]), Err(PathError::TooLong));
        let deep = [b"/".as_slice(), &[b'y'; 200]].concat().repeat(21);
        assert_eq!(root.resolve(&deep), Err(PathError::TooLong));
    }

    #[test]
    fn row_27_within_compares_whole_names() {
        let path = |text: &str| VPath::root().resolve(text.as_bytes()).unwrap();
        assert!(path("/a/b").is_within(&path("/a")));
        assert!(path("/a").is_within(&path("/a")));
        assert!(!path("/ab").is_within(&path("/a")));
        assert!(path("/ab").is_within(&VPath::root()));
    }

    #[test]
    fn display_cannot_forge_a_line() {
        let path = VPath::root().join(b"a\nb\x1b[2J\\ \xff \xe2\x80\xae").unwrap();
        assert_eq!(path.to_string(), r"/a\x0ab\x1b[2J\\ \xff \xe2\x80\xae");
    }

    proptest! {
        #[test]
        fn row_27_28_every_resolved_path_is_normal(cwd: Vec<u8>, typed: Vec<u8>) {
            let start = VPath::root().resolve(&cwd).unwrap_or_else(|_| VPath::root());
            if let Ok(path) = start.resolve(&typed) {
                let bytes = path.as_bytes();
                prop_assert_eq!(bytes[0], b'/');
                prop_assert!(path.is_root() || !bytes.ends_with(b"/"));
                prop_assert!(path.names().all(|name| !matches!(name, b"" | b"." | b"..")));
                prop_assert!(!bytes.contains(&0));
                prop_assert_eq!(VPath::root().resolve(bytes), Ok(path.clone()));
                prop_assert!(path.names().count() == 0 || path.parent().is_some());
            }
        }

        #[test]
        fn parent_and_name_put_a_path_together_again(typed: Vec<u8>) {
            if let Ok(path) = VPath::root().resolve(&typed)
                && let (Some(parent), Some(name)) = (path.parent(), path.name())
            {
                prop_assert_eq!(parent.join(name), Ok(path.clone()));
                prop_assert!(path.is_within(&parent));
            }
        }
    }
}
