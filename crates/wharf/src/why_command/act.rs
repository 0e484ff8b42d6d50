//! What somebody may want to do, as `wharf why` takes it.

use wharf_core::permission::Permissions;

/// An act on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Logging in; the path does not matter.
    Login,
    Enter,
    List,
    Read,
    Hash,
    Upload,
    Append,
    Delete,
    Rmdir,
    Rename,
    Mkdir,
    Chmod,
    Mtime,
    Copy,
}

/// An act: its name, what it is in a sentence, the rights without which it is refused, and the
/// commands that clients send for it, the usual one first.
struct Row {
    act: Act,
    name: &'static str,
    words: &'static str,
    needs: Permissions,
    verbs: &'static [&'static str],
}

const ROWS: &[Row] = &[
    row(Act::Login, "login", "log in", Permissions::NONE, &["USER", "PASS"]),
    row(Act::Enter, "enter", "enter", Permissions::ENTER, &["CWD", "CDUP", "XCWD", "XCUP"]),
    row(
        Act::List,
        "list",
        "see",
        Permissions::LIST,
        &["LIST", "NLST", "MLSD", "MLST", "STAT", "SIZE", "MDTM"],
    ),
    row(Act::Read, "read", "fetch", Permissions::READ, &["RETR"]),
    row(
        Act::Hash,
        "hash",
        "ask for a check sum of",
        Permissions::READ.union(Permissions::HASH),
        &["HASH", "XCRC", "MD5", "XMD5", "XSHA1", "XSHA256", "XSHA512"],
    ),
    row(Act::Upload, "upload", "store", Permissions::UPLOAD, &["STOR", "STOU"]),
    row(Act::Append, "append", "add to", Permissions::APPEND, &["APPE"]),
    row(Act::Delete, "delete", "remove", Permissions::DELETE, &["DELE"]),
    row(Act::Rmdir, "rmdir", "remove the folder", Permissions::RMDIR, &["RMD", "XRMD"]),
    row(Act::Rename, "rename", "rename", Permissions::RENAME, &["RNFR", "RNTO"]),
    row(Act::Mkdir, "mkdir", "make the folder", Permissions::MKDIR, &["MKD", "XMKD"]),
    row(Act::Chmod, "chmod", "change the mode of", Permissions::CHMOD, &["SITE CHMOD"]),
    row(Act::Mtime, "mtime", "change the time of", Permissions::MTIME, &["MFMT"]),
    row(
        Act::Copy,
        "copy",
        "copy",
        Permissions::COPY.union(Permissions::READ),
        &["SITE CPFR", "SITE CPTO"],
    ),
];

const fn row(
    act: Act,
    name: &'static str,
    words: &'static str,
    needs: Permissions,
    verbs: &'static [&'static str],
) -> Row {
    Row { act, name, words, needs, verbs }
}

impl Act {
    /// By its name or by a command, in upper or lower case; `overwrite` is an upload to what is
    /// there, which is what `upload` tells of such a path.
    ///
    /// # Errors
    /// A sentence with the names that there are.
    pub(crate) fn read(word: &str) -> Result<Self, String> {
        let word = word.trim();
        let is_it = |row: &&Row| {
            row.name.eq_ignore_ascii_case(word)
                || row.verbs.iter().any(|verb| verb.eq_ignore_ascii_case(word))
        };
        if let Some(row) = ROWS.iter().find(is_it) {
            return Ok(row.act);
        }
        match word.to_ascii_lowercase().as_str() {
            "overwrite" | "write" | "store" => Ok(Self::Upload),
            "download" | "fetch" => Ok(Self::Read),
            _ => {
                let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
                Err(format!("use {}, or a command such as STOR", names.join(", ")))
            }
        }
    }

    fn row(self) -> &'static Row {
        let row = ROWS.iter().find(|row| row.act == self);
        row.expect("a test sees that each act has a row")
    }

    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        self.row().name
    }

    /// As in "anna may `store` /a.txt".
    pub(crate) fn words(self) -> &'static str {
        self.row().words
    }

    /// Rights without which the server refuses it.
    pub(crate) fn needs(self) -> Permissions {
        self.row().needs
    }

    /// The commands of clients, the usual one first.
    pub(crate) fn verbs(self) -> &'static [&'static str] {
        self.row().verbs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_are_known_by_name_and_by_command() {
        for row in ROWS {
            assert_eq!(Act::read(row.name), Ok(row.act));
            assert_eq!(row.act.name(), row.name);
            for verb in row.verbs {
                assert_eq!(Act::read(&verb.to_lowercase()), Ok(row.act), "{verb}");
            }
        }
        assert_eq!(Act::read("overwrite"), Ok(Act::Upload));
        assert!(Act::read("fly").unwrap_err().contains("use login, enter, list"));
    }

    #[test]
    fn every_right_belongs_to_an_act() {
        let all = ROWS.iter().fold(Permissions::OVERWRITE, |all, row| all.union(row.needs));
        assert_eq!(all, Permissions::ALL);
    }
}
