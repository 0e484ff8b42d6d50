//! A tree of files with awkward names, and trees compared byte by byte.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Files by their path, which is relative, with slashes, in the bytes that are on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tree(pub(crate) BTreeMap<Vec<u8>, Vec<u8>>);

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Names that caused errors on some server.
const AWKWARD: &[&str] = &[
    "with space",
    "two  spaces",
    " leading space",
    "trailing space ",
    "-leading-dash",
    "-la",
    "--help",
    "quote\"inside",
    "it's",
    "`backtick`",
    "hash#tag",
    "question?mark",
    "star*star",
    "[brackets]",
    "{a,b}",
    "100%",
    "%41%2f",
    "a&b;c|d",
    "$HOME",
    "~tilde",
    "tab-less,comma",
    "a=b+c",
    "a:b",
    "<angle>",
    "(round)",
    "!bang",
    "a -> b",
    ".hidden",
    "..two dots",
    "...",
    "dot.",
    "UPPER and lower",
    "upper AND LOWER",
    "12345",
    "Jan  1 12:00 name",
    "type=file;size=0; name",
    "中文文件.txt",
    "目录里的文件 (副本).doc",
    "繁體中文檔案.txt",
    "日本語のファイル.txt",
    "한국어 파일.txt",
    "emoji 😀🚢.png",
    "ملف عربي.txt",
    "русский файл.txt",
    "ναῦς.txt",
    "naïve café.txt",
    "nai\u{308}ve decomposed.txt",
];

/// With a backslash, which some servers take for a slash.
const BACKSLASHED: &[&str] = &["back\\slash", "C:\\dir\\file.txt", "\\leading"];

/// Folders, some of them deep.
const FOLDERS: &[&str] = &[
    "",
    "plain",
    "with spaces/and more",
    "图片/二〇二六年/十一月",
    "a/b/c/d/e/f/g/h/i/j/k/l",
    "-dash/.dot",
    "Ünïcödé",
];

impl Tree {
    /// 300 files with awkward names and sizes from nothing to three MiB, the same for the same
    /// seed.
    pub(crate) fn awkward(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut files = BTreeMap::new();
        let mut put = |path: String, size: usize| {
            let content = random.bytes(size);
            assert!(files.insert(path.clone().into_bytes(), content).is_none(), "{path} twice");
        };
        for (index, size) in
            [0, 1, KIB - 1, KIB, KIB + 1, 64 * KIB, 256 * KIB + 1, MIB, 3 * MIB + 7]
                .iter()
                .enumerate()
        {
            put(format!("sizes/{index}-of-{size}.bin"), *size);
        }
        for (index, folder) in FOLDERS.iter().enumerate() {
            let names: &[&str] = if index < 4 { AWKWARD } else { &AWKWARD[index..index + 8] };
            for (index, name) in names.iter().enumerate() {
                put(joined(folder, name), (index * 331) % (9 * KIB));
            }
        }
        for name in BACKSLASHED {
            put(joined("plain", name), 77);
        }
        put(format!("long/{}", "n".repeat(200)), 5);
        put(format!("long/{}", "长".repeat(66)), 6);
        let mut index = 0;
        while files.len() < 300 {
            let content = random.bytes(index * 7);
            files.insert(format!("many/{index:03}.txt").into_bytes(), content);
            index += 1;
        }
        Self(files)
    }

    /// The same without the names that `is_unsupported` picks: what a client cannot express.
    pub(crate) fn without(mut self, is_unsupported: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|path, _| !is_unsupported(&String::from_utf8_lossy(path)));
        self
    }

    /// Writes all files below `root`.
    pub(crate) fn write(&self, root: &Path) {
        for (path, content) in &self.0 {
            let path = root.join(OsStr::from_bytes(path));
            fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("writable");
            fs::write(&path, content).expect("writable");
        }
    }

    /// All files below `root`.
    pub(crate) fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        read_into(root, b"", &mut files);
        Self(files)
    }

    /// Fails unless the files below `root` are these and no others.
    pub(crate) fn assert_at(&self, root: &Path) {
        let found = Self::read(root);
        let mut wrong = Vec::new();
        for (path, content) in &self.0 {
            match found.0.get(path) {
                None => wrong.push(format!("missing: {}", shown(path))),
                Some(other) if other != content => wrong.push(format!(
                    "differs: {} ({} bytes, should be {})",
                    shown(path),
                    other.len(),
                    content.len()
                )),
                Some(_) => {}
            }
        }
        let extra = found.0.keys().filter(|path| !self.0.contains_key(*path));
        wrong.extend(extra.map(|path| format!("extra:   {}", shown(path))));
        assert!(wrong.is_empty(), "{} is wrong:\n{}", root.display(), wrong.join("\n"));
    }
}

fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn shown(path: &[u8]) -> String {
    path.escape_ascii().to_string() + " = " + &String::from_utf8_lossy(path)
}

fn read_into(folder: &Path, prefix: &[u8], files: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let mut path = prefix.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend(entry.file_name().into_vec());
        if entry.file_type().expect("it has a type").is_dir() {
            read_into(&entry.path(), &path, files);
        } else {
            files.insert(path, fs::read(entry.path()).expect("it can be read"));
        }
    }
}

/// Pseudo-random numbers, the same for the same seed (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to and without `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("it fits");
        usize::try_from(self.next() % end).expect("it is below a usize")
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}
