//! Permissions, and rules that assign them to paths.

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;
use wharf_proto::path::VPath;

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u16);

macro_rules! permissions {
    ($(
        $(#[doc = $about:literal])+
        $constant:ident = $bit:literal, $letter:literal, $name:literal;
    )*) => {
        impl Permissions {
            $($(#[doc = $about])+ pub const $constant: Self = Self(1 << $bit);)*

            /// All permissions, each with its letter in pyftpdlib and its name in the
            /// configuration.
            pub const EACH: &'static [(Self, char, &'static str)] =
                &[$((Self::$constant, $letter, $name)),*];
        }
    };
}

permissions! {
    /// Enter directories: CWD, CDUP.
    ENTER = 0, 'e', "enter";
    /// List: LIST, NLST, MLSD, MLST, STAT, SIZE, MDTM.
    LIST = 1, 'l', "list";
    /// Download files: RETR.
    READ = 2, 'r', "read";
    /// Append to files: APPE.
    APPEND = 3, 'a', "append";
    /// Remove files: DELE.
    DELETE = 4, 'd', "delete";
    /// Remove directories: RMD.
    RMDIR = 5, 'd', "rmdir";
    /// Rename: RNFR, RNTO.
    RENAME = 6, 'f', "rename";
    /// Create directories: MKD.
    MKDIR = 7, 'm', "mkdir";
    /// Upload new files: STOR, STOU.
    UPLOAD = 8, 'w', "upload";
    /// Replace existing files: STOR, RNTO.
    OVERWRITE = 9, 'w', "overwrite";
    /// Change permission bits: SITE CHMOD.
    CHMOD = 10, 'M', "chmod";
    /// Change modification times: MFMT.
    MTIME = 11, 'T', "mtime";
    /// Compute checksums: HASH, XCRC and similar commands. Shares the letter of READ, which they
    /// need as well; separate, because it uses processor time instead of bandwidth.
    HASH = 12, 'r', "hash";
    /// Copy files on the server: SITE CPFR, SITE CPTO. Not in any preset; must be granted by name.
    COPY = 13, 'C', "copy";
}

/// Named sets, in the order from least to most.
pub const PRESETS: &[(&str, Permissions)] = &[
    ("dropbox", Permissions(1 << 0 | 1 << 8)),
    ("read", Permissions::READ_ONLY),
    ("upload", Permissions(1 << 0 | 1 << 1 | 1 << 3 | 1 << 7 | 1 << 8)),
    ("read-write", Permissions(0x1fff & !(1 << 10))),
    ("full", Permissions::FULL),
];

impl Permissions {
    /// No permissions.
    pub const NONE: Self = Self(0);
    /// The preset `full`: all permissions that pyftpdlib has letters for.
    pub const FULL: Self = Self(0x1fff);
    /// All permissions, including [`Self::COPY`], which no preset has.
    pub const ALL: Self = Self(0x3fff);
    /// Enter, list, read and compute checksums.
    pub const READ_ONLY: Self = Self(1 << 0 | 1 << 1 | 1 << 2 | 1 << 12);

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether every permission of `other` is here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is no permission at all.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Parses a preset (`read`, `read-write`, `upload`, `dropbox`, `full`), comma-separated names
    /// (`list,read,upload`; `list` includes `enter`), or letters (`elradfmwMTC`) in any order.
    /// Check user input for misspelt words first: `raed` parses as four letters.
    ///
    /// # Errors
    /// The first unknown word or letter.
    pub fn parse(text: &str) -> Result<Self, UnknownPermission> {
        let text = text.trim();
        if let Some(&(_, set)) = PRESETS.iter().find(|(name, _)| *name == text) {
            return Ok(set);
        }
        let names: Option<Vec<_>> = text.split(',').map(|word| Self::named(word.trim())).collect();
        if let Some(sets) = names {
            return Ok(sets.into_iter().fold(Self::NONE, Self::union));
        }
        if text.contains(',') {
            let unknown = text.split(',').find(|word| Self::named(word.trim()).is_none());
            return Err(UnknownPermission(unknown.unwrap_or(text).trim().to_owned()));
        }
        let lettered = |letter: char| {
            let sets = Self::EACH.iter().filter(|(_, known, _)| *known == letter);
            sets.map(|(set, _, _)| *set).reduce(Self::union)
        };
        if text.is_empty() {
            return Err(UnknownPermission(String::new()));
        }
        text.chars().try_fold(Self::NONE, |sum, letter| {
            let set = lettered(letter).ok_or_else(|| {
                let is_word = text.len() > 10 || !text.is_ascii();
                UnknownPermission(if is_word { text.to_owned() } else { letter.to_string() })
            })?;
            Ok(sum.union(set))
        })
    }

    fn named(word: &str) -> Option<Self> {
        let permission =
            Self::EACH.iter().find(|(_, _, name)| *name == word).map(|(set, _, _)| *set)?;
        Some(if permission == Self::LIST { permission.union(Self::ENTER) } else { permission })
    }
}

/// The name of the preset, or the names of the permissions with commas; `none` for none.
impl fmt::Display for Permissions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = PRESETS.iter().find(|(_, set)| set == self) {
            return out.write_str(name);
        }
        let names: Vec<_> = Self::EACH
            .iter()
            .filter(|(set, _, _)| self.contains(*set))
            .map(|(_, _, name)| *name)
            .collect();
        out.write_str(if names.is_empty() { "none" } else { "" })?;
        out.write_str(&names.join(","))
    }
}

/// An unknown name or letter of a right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPermission(pub String);

impl fmt::Display for UnknownPermission {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "unknown permission \"{}\"; use read, read-write, upload, dropbox or full, names such \
             as list,read,upload,append,overwrite,rename,delete,mkdir,rmdir,chmod,mtime,hash,copy, or \
             the letters elradfmwMTC",
            self.0
        )
    }
}

impl std::error::Error for UnknownPermission {}

/// Permissions by path: the rule with the longest matching prefix applies, whatever the order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rules(Vec<(VPath, Permissions)>);

impl Rules {
    /// The same permissions everywhere.
    pub fn everywhere(permissions: Permissions) -> Self {
        Self(vec![(VPath::root(), permissions)])
    }

    /// Adds a rule for `prefix` and all paths below it, which overrides shorter prefixes.
    #[must_use]
    pub fn with(mut self, prefix: VPath, permissions: Permissions) -> Self {
        self.0.retain(|(known, _)| *known != prefix);
        self.0.push((prefix, permissions));
        self
    }

    /// The permissions at `path`; none if no rule matches.
    pub fn at(&self, path: &VPath) -> Permissions {
        self.0
            .iter()
            .filter(|(prefix, _)| path.is_within(prefix))
            .max_by_key(|(prefix, _)| prefix.as_bytes().len())
            .map_or(Permissions::NONE, |(_, permissions)| *permissions)
    }

    /// The permissions at `path` if case is ignored. Of rules that differ only in case, the
    /// intersection applies.
    pub fn at_any_case(&self, path: &VPath) -> Permissions {
        let path = folded(path);
        let prefixes = self.0.iter().map(|(prefix, permissions)| (folded(prefix), *permissions));
        let reached: Vec<_> = prefixes.filter(|(prefix, _)| reaches(prefix, &path)).collect();
        let longest = reached.iter().map(|(prefix, _)| prefix.len()).max();
        reached
            .iter()
            .filter(|(prefix, _)| Some(prefix.len()) == longest)
            .map(|(_, permissions)| *permissions)
            .reduce(Permissions::intersection)
            .unwrap_or(Permissions::NONE)
    }

    /// Whether there is a rule below `path`, ignoring case. If not, the same permissions apply to
    /// everything below it.
    pub fn reach_below(&self, path: &VPath) -> bool {
        let path = folded(path);
        self.0
            .iter()
            .map(|(prefix, _)| folded(prefix))
            .any(|prefix| prefix.len() > path.len() && reaches(&path, &prefix))
    }

    /// The first rule at or below `path`, if any. After a rename of the path, such a rule would no
    /// longer apply. `ignores_case`: as for [`Rules::at_any_case`].
    pub fn at_or_below(&self, path: &VPath, ignores_case: bool) -> Option<(&VPath, Permissions)> {
        let is_below = |prefix: &VPath| {
            if ignores_case {
                reaches(&folded(path), &folded(prefix))
            } else {
                prefix.is_within(path)
            }
        };
        self.each().find(|(prefix, _)| is_below(prefix))
    }

    /// Whether different permissions apply to different paths.
    pub fn differ(&self) -> bool {
        self.0.len() > 1
    }

    /// The union of all rules, which shows whether a command can succeed anywhere.
    pub fn anywhere(&self) -> Permissions {
        self.0.iter().fold(Permissions::NONE, |sum, (_, permissions)| sum.union(*permissions))
    }

    /// The rules in the order in which they were added.
    pub fn each(&self) -> impl Iterator<Item = (&VPath, Permissions)> {
        self.0.iter().map(|(prefix, permissions)| (prefix, *permissions))
    }
}

/// The path in folded case and in Unicode NFD: file systems that ignore case also ignore the normal
/// form. Folds letter by letter, as they do: `ß` is not `ss`.
pub fn folded(path: &VPath) -> String {
    folded_text(&String::from_utf8_lossy(path.as_bytes()))
}

/// [`folded`] for a single name.
pub fn folded_name(name: &[u8]) -> String {
    folded_text(&String::from_utf8_lossy(name))
}

fn folded_text(text: &str) -> String {
    text.nfd().map(folded_letter).collect()
}

fn folded_letter(letter: char) -> char {
    let upper = only(letter.to_uppercase()).unwrap_or(letter);
    only(upper.to_lowercase()).unwrap_or(upper)
}

/// The only letter of an iterator.
fn only(mut letters: impl Iterator<Item = char>) -> Option<char> {
    letters.next().filter(|_| letters.next().is_none())
}

fn reaches(prefix: &str, path: &str) -> bool {
    let below = path.strip_prefix(prefix.trim_end_matches('/'));
    below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> VPath {
        VPath::root().resolve(text.as_bytes()).unwrap()
    }

    #[test]
    fn permissions_read_as_presets_names_and_letters() {
        assert_eq!(Permissions::parse("elradfmwMTC"), Ok(Permissions::ALL));
        assert_eq!(Permissions::parse("elradfmwMT"), Permissions::parse("full"));
        assert_eq!(Permissions::parse("elr"), Ok(Permissions::READ_ONLY));
        assert_eq!(Permissions::parse("list, read,hash"), Ok(Permissions::READ_ONLY));
        let without_hash = Permissions::parse("list,read").unwrap();
        assert_eq!(without_hash.union(Permissions::HASH), Permissions::READ_ONLY);
        assert!(!without_hash.contains(Permissions::HASH));
        assert_eq!(Permissions::parse("read"), Ok(Permissions::READ_ONLY));
        let w = Permissions::parse("w").unwrap();
        assert_eq!(w, Permissions::UPLOAD.union(Permissions::OVERWRITE));
        assert_eq!(Permissions::parse("list,raed"), Err(UnknownPermission("raed".into())));
        assert_eq!(Permissions::parse("elz"), Err(UnknownPermission("z".into())));
        assert!(Permissions::parse("").is_err());
    }

    #[test]
    fn every_preset_prints_as_its_name() {
        for (name, set) in PRESETS {
            assert_eq!(set.to_string(), *name);
            assert_eq!(Permissions::parse(name), Ok(*set));
        }
        assert_eq!(Permissions::NONE.to_string(), "none");
        assert_eq!(Permissions::LIST.union(Permissions::MTIME).to_string(), "list,mtime");
    }

    #[test]
    fn row_24_no_preset_includes_copies_on_the_server() {
        for (name, set) in PRESETS {
            assert!(!set.contains(Permissions::COPY), "{name}");
        }
        assert!(Permissions::parse("full,copy").is_err());
        assert!(Permissions::parse("list,read,upload,copy").unwrap().contains(Permissions::COPY));
    }

    #[test]
    fn a_dropbox_does_not_list_and_does_not_replace() {
        let set = Permissions::parse("dropbox").unwrap();
        assert!(set.contains(Permissions::UPLOAD));
        for permission in [Permissions::LIST, Permissions::READ, Permissions::OVERWRITE] {
            assert!(!set.contains(permission));
        }
    }

    #[test]
    fn the_longest_prefix_wins_in_any_order() {
        let deep = (path("/a/b"), Permissions::ALL);
        let shallow = (path("/a"), Permissions::NONE);
        for rules in [[deep.clone(), shallow.clone()], [shallow, deep]] {
            let rules = rules
                .into_iter()
                .fold(Rules::everywhere(Permissions::READ_ONLY), |sum, (at, set)| {
                    sum.with(at, set)
                });
            assert_eq!(rules.at(&path("/a/b/c")), Permissions::ALL);
            assert_eq!(rules.at(&path("/a/c")), Permissions::NONE);
            assert_eq!(rules.at(&path("/ab")), Permissions::READ_ONLY);
        }
        assert_eq!(Rules::default().at(&path("/")), Permissions::NONE);
    }

    #[test]
    fn rules_reach_below_what_lies_above_them() {
        let rules = Rules::everywhere(Permissions::ALL).with(path("/a/B"), Permissions::NONE);
        for above in ["/", "/a", "/A"] {
            assert!(rules.reach_below(&path(above)), "{above}");
        }
        for other in ["/a/B", "/a/b", "/a/B/c", "/b", "/ab"] {
            assert!(!rules.reach_below(&path(other)), "{other}");
        }
        assert!(!Rules::everywhere(Permissions::ALL).reach_below(&VPath::root()));
    }

    #[test]
    fn rules_at_or_below_a_path_are_found_in_the_spelling_that_counts() {
        let rules = Rules::everywhere(Permissions::ALL).with(path("/a/B"), Permissions::NONE);
        let found = |at: &str, ignores_case| {
            rules.at_or_below(&path(at), ignores_case).map(|(prefix, _)| prefix.to_string())
        };
        for at in ["/a", "/a/B"] {
            assert_eq!(found(at, false), Some("/a/B".to_owned()), "{at}");
        }
        for at in ["/A", "/a/b", "/a/B/c", "/ab", "/b"] {
            assert_eq!(found(at, false), None, "{at}");
        }
        for at in ["/A", "/a/b"] {
            assert_eq!(found(at, true), Some("/a/B".to_owned()), "{at}");
        }
        assert_eq!(found("/a/b/c", true), None);
        assert!(rules.differ());
        assert!(!Rules::everywhere(Permissions::ALL).differ());
    }

    #[test]
    fn row_30_if_case_is_ignored_no_spelling_evades_a_rule() {
        let rules = Rules::everywhere(Permissions::ALL)
            .with(path("/Geheim/Öl"), Permissions::NONE)
            .with(path("/both"), Permissions::ALL)
            .with(path("/BOTH"), Permissions::READ_ONLY);
        for spelt in [
            "/Geheim/Öl", "/GEHEIM/öL", "/geheim/öl/a/b", "/Geheim/O\u{308}l",
            "/geheim/o\u{308}L/a",
        ] {
            assert_eq!(rules.at_any_case(&path(spelt)), Permissions::NONE, "{spelt}");
        }
        assert_eq!(rules.at_any_case(&path("/Both/a")), Permissions::READ_ONLY);
        for other in ["/", "/geheim", "/Geheim/Ölig", "/GeheimÖl"] {
            assert_eq!(rules.at_any_case(&path(other)), Permissions::ALL, "{other}");
        }
        assert_eq!(Rules::default().at_any_case(&path("/")), Permissions::NONE);
        let sharp = Rules::everywhere(Permissions::ALL).with(path("/ß"), Permissions::NONE);
        assert_eq!(sharp.at_any_case(&path("/SS")), Permissions::ALL);
    }
}
