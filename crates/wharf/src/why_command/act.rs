//! The actions of `wharf why`.

use wharf_core::permission::Permissions;

/// An action on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Login; the path is ignored.
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

/// An action: its name, its verb, the permissions that it requires, and its commands, the usual one
/// first.
struct ActionRow {
    act: Action,
    name: &'static str,
    words: &'static str,
    needs: Permissions,
    verbs: &'static [&'static str],
}

const ROWS: &[ActionRow] = &[
    row(Action::Login, "login", "log in", Permissions::NONE, &["USER", "PASS"]),
    row(Action::Enter, "enter", "enter", Permissions::ENTER, &["CWD", "CDUP", "XCWD", "XCUP"]),
    row(
        Action::List,
        "list",
        "list",
        Permissions::LIST,
        &["LIST", "NLST", "MLSD", "MLST", "STAT", "SIZE", "MDTM"],
    ),
    row(Action::Read, "read", "download", Permissions::READ, &["RETR"]),
    row(
        Action::Hash,
        "hash",
        "get the checksum of",
        Permissions::READ.union(Permissions::HASH),
        &["HASH", "XCRC", "MD5", "XMD5", "XSHA1", "XSHA256", "XSHA512"],
    ),
    row(Action::Upload, "upload", "upload", Permissions::UPLOAD, &["STOR", "STOU"]),
    row(Action::Append, "append", "append to", Permissions::APPEND, &["APPE"]),
    row(Action::Delete, "delete", "delete", Permissions::DELETE, &["DELE"]),
    row(Action::Rmdir, "rmdir", "delete the folder", Permissions::RMDIR, &["RMD", "XRMD"]),
    row(Action::Rename, "rename", "rename", Permissions::RENAME, &["RNFR", "RNTO"]),
    row(Action::Mkdir, "mkdir", "create the folder", Permissions::MKDIR, &["MKD", "XMKD"]),
    row(Action::Chmod, "chmod", "change the mode of", Permissions::CHMOD, &["SITE CHMOD"]),
    row(Action::Mtime, "mtime", "change the time of", Permissions::MTIME, &["MFMT"]),
    row(
        Action::Copy,
        "copy",
        "copy",
        Permissions::COPY.union(Permissions::READ),
        &["SITE CPFR", "SITE CPTO"],
    ),
];

const fn row(
    act: Action,
    name: &'static str,
    words: &'static str,
    needs: Permissions,
    verbs: &'static [&'static str],
) -> ActionRow {
    ActionRow { act, name, words, needs, verbs }
}

impl Action {
    /// By its name or by a command, in upper or lower case; `overwrite` is an alias of `upload`,
    /// which reports the same for an existing file.
    pub(crate) fn read(word: &str) -> Result<Self, String> {
        let word = word.trim();
        let is_it = |row: &&ActionRow| {
            row.name.eq_ignore_ascii_case(word)
                || row.verbs.iter().any(|verb| verb.eq_ignore_ascii_case(word))
        };
        if let Some(row) = ROWS.iter().find(is_it) {
            return Ok(row.act);
        }
        match word.to_ascii_lowercase().as_str() {
            "overwrite" | "write" | "store" => Ok(Self::Upload),
            "download" => Ok(Self::Read),
            _ => {
                let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
                Err(format!("use {}, or a command such as STOR", names.join(", ")))
            }
        }
    }

    fn row(self) -> &'static ActionRow {
        let row = ROWS.iter().find(|row| row.act == self);
        row.expect("a test sees that each act has a row")
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        self.row().name
    }

    /// Its verb, as in "anna may `upload` /a.txt".
    pub(crate) fn words(self) -> &'static str {
        self.row().words
    }

    /// Permissions that it requires.
    pub(crate) fn needs(self) -> Permissions {
        self.row().needs
    }

    /// The FTP commands, the usual one first.
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
            assert_eq!(Action::read(row.name), Ok(row.act));
            assert_eq!(row.act.name(), row.name);
            for verb in row.verbs {
                assert_eq!(Action::read(&verb.to_lowercase()), Ok(row.act), "{verb}");
            }
        }
        assert_eq!(Action::read("overwrite"), Ok(Action::Upload));
        assert!(Action::read("fly").unwrap_err().contains("use login, enter, list"));
    }

    #[test]
    fn every_permission_belongs_to_an_act() {
        let all = ROWS.iter().fold(Permissions::OVERWRITE, |all, row| all.union(row.needs));
        assert_eq!(all, Permissions::ALL);
    }
}
