//! Every event of a session with its fields: what `docs/reference/events.md` is made of, and which
//! of them go to the audit log, to programs and to web servers.

/// One event.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Its name, in every log and to everybody who is told of it.
    pub(crate) name: &'static str,
    /// When it happens.
    #[cfg_attr(not(test), expect(dead_code, reason = "the reference is made by a test"))]
    pub(crate) about: &'static str,
    /// Whether somebody may have to answer for it.
    pub(crate) is_audited: bool,
    /// Whether programs and web servers can be told of it.
    pub(crate) is_told: bool,
    /// Its own fields, with what they mean.
    pub(crate) fields: &'static [(&'static str, &'static str)],
}

const TOLD: Kind = Kind { name: "", about: "", is_audited: false, is_told: true, fields: &[] };
const AUDITED: Kind = Kind { is_audited: true, ..TOLD };

/// What every event says to programs and web servers.
pub(crate) static COMMON: &[(&str, &str)] = &[
    ("id", "tells this event from every other one, also across starts"),
    ("time", "when it happened, as in `2026-11-22T15:07:41.123+01:00`"),
    ("host", "the name of the computer that wharf runs on"),
    ("event", "its name"),
    ("session", "the number of the session since the start of wharf; 0 outside of any"),
    ("ip", "the client's address"),
    ("port", "the client's port"),
    ("user", "the account; null before a login"),
    ("protocol", "`ftps` once TLS protects the control connection, else `ftp`"),
];

/// What goes with each path.
pub(crate) static OF_PATHS: &[(&str, &str)] = &[
    ("file", "where the operating system has `path`, if it has it anywhere"),
    ("to_file", "the same for `to`"),
];

const PATH: (&str, &str) = ("path", "the path, as the client names it: `/` is the account's home");
const REASON: (&str, &str) = ("reason", "why");
const TRANSFER: &[(&str, &str)] = &[
    PATH,
    ("bytes", "bytes on the data connection, before TLS"),
    ("seconds", "from the first reply to the end"),
    ("complete", "whether the client was told 226"),
    ("ascii", "whether line ends were converted (TYPE A)"),
    ("tls", "whether TLS protected the data connection"),
    ("reason", "why it is not complete; only if it is not"),
    ("note", "what was unusual about a complete one, such as an end without TLS close_notify"),
];

/// All of them.
pub(crate) static KINDS: &[Kind] = &[
    Kind {
        name: "connected",
        about: "A client was greeted.",
        fields: &[("local", "our end of the connection")],
        ..TOLD
    },
    Kind {
        name: "connection-rejected",
        about: "A client was turned away at the door.",
        fields: &[("reason", "which limit it was, or what was wrong")],
        ..AUDITED
    },
    Kind {
        name: "ban-added",
        about: "An address or a network may not come in any more.",
        fields: &[
            ("network", "as in `192.0.2.7/32`"),
            REASON,
            ("manual", "whether somebody asked for it; else too many logins failed"),
            ("seconds", "for how long; left out: until somebody lifts it"),
        ],
        ..AUDITED
    },
    Kind {
        name: "ban-removed",
        about: "A ban is over.",
        fields: &[("network", "as it was banned"), REASON],
        ..AUDITED
    },
    Kind {
        name: "account-locked",
        about: "Too many logins with one name failed, from many addresses.",
        fields: &[("tried", "the name"), ("seconds", "for how long")],
        ..AUDITED
    },
    Kind {
        name: "secured",
        about: "TLS protects the control connection from now on.",
        fields: &[("version", "of TLS"), ("cipher", "the cipher suite")],
        ..TOLD
    },
    Kind {
        name: "login",
        about: "Somebody logged in.",
        fields: &[
            ("tls", "whether TLS protects the control connection"),
            ("client", "what the client calls itself, if it said so"),
        ],
        ..AUDITED
    },
    Kind {
        name: "login-failed",
        about: "A login failed.",
        fields: &[
            ("tried", "the name"),
            REASON,
            ("tls", "whether TLS protects the control connection"),
            ("hint", "how to fix it, with NAME instead of the name"),
        ],
        ..AUDITED
    },
    Kind {
        name: "session-ended",
        about: "A session is over: the logout, if somebody had logged in.",
        fields: &[REASON, ("seconds", "how long it lasted")],
        ..AUDITED
    },
    Kind {
        name: "upload",
        about: "A file came, whole or not. If it is complete it stands under its name.",
        fields: TRANSFER,
        ..AUDITED
    },
    Kind {
        name: "upload-refused",
        about: "An upload had come whole, and the check before publishing refused it.",
        fields: &[
            PATH,
            ("bytes", "bytes on the data connection"),
            ("reason", "what the check said"),
            ("id", "that of the check, and the beginning of the file's name in the quarantine"),
        ],
        ..AUDITED
    },
    Kind {
        name: "denied",
        about: "A command was refused because of a rule for another path: one to which a link \
                leads, or one that a rename would move.",
        fields: &[("command", "as in `RNTO`"), PATH, ("reason", "the rule")],
        ..AUDITED
    },
    Kind {
        name: "upload-denied",
        about: "An upload was refused before a byte of it came: no right, no room, a bad name.",
        fields: &[PATH, REASON, ("hint", "how to fix it, if known")],
        ..AUDITED
    },
    Kind { name: "download", about: "A file went out, whole or not.", fields: TRANSFER, ..AUDITED },
    Kind { name: "delete", about: "A file was removed.", fields: &[PATH], ..AUDITED },
    Kind {
        name: "rename",
        about: "Something got another name.",
        fields: &[PATH, ("to", "its new path")],
        ..AUDITED
    },
    Kind {
        name: "copy",
        about: "A file was copied on the server (SITE CPTO).",
        fields: &[PATH, ("to", "where the copy is")],
        ..AUDITED
    },
    Kind { name: "mkdir", about: "A directory was made.", fields: &[PATH], ..AUDITED },
    Kind { name: "rmdir", about: "A directory was removed.", fields: &[PATH], ..AUDITED },
    Kind {
        name: "change",
        about: "Times or permission bits were changed (MFMT, SITE CHMOD and others).",
        fields: &[PATH],
        ..AUDITED
    },
    Kind {
        name: "data-failed",
        about: "A data connection did not come to be.",
        fields: &[REASON],
        ..TOLD
    },
    Kind {
        name: "data-session-mismatch",
        about: "A data connection was let in by its address alone; told once a session.",
        ..TOLD
    },
    Kind {
        name: "data-unexpected-peers",
        about: "Others than the client came to its data port, and were turned away.",
        fields: &[("first", "the address of the first"), ("connections", "how many there were")],
        ..TOLD
    },
    Kind {
        name: "data-diagnosis",
        about: "Data connections of a network do not come to be; told once an hour for each cause.",
        fields: &[
            ("network", "the clients: an IPv4 /24 or an IPv6 /64"),
            ("cause", "why, such as `no-connection`"),
            ("failed", "how often in about the last day"),
            ("arrived", "how many came to be in that time"),
            ("reason", "what was seen"),
            ("hint", "how to fix it"),
        ],
        ..TOLD
    },
    Kind {
        name: "charset",
        about: "A client does not send names in UTF-8, and their character set was recognised, or \
                its names are valid UTF-8 and also plausible in another set; reported once a \
                session, and again if later names show another set.",
        fields: &[
            ("charset", "the set, such as `GBK`"),
            ("certain", "whether the names show it clearly; else it is the most likely one"),
            ("reason", "what was seen"),
            ("hint", "how to fix it"),
        ],
        ..TOLD
    },
    Kind {
        name: "store-failed",
        about: "The disk, or what else keeps files, failed.",
        fields: &[("reason", "what was asked, and what it said")],
        ..TOLD
    },
    Kind {
        name: "command",
        about: "A command and its reply; with `log.commands` only, and never told to others.",
        is_told: false,
        fields: &[
            ("line", "what was sent, secrets masked"),
            ("code", "the number of the reply"),
            ("reply", "its last line"),
        ],
        ..TOLD
    },
];

/// The event of this name.
pub(crate) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The names of all that programs and web servers can be told of.
pub(crate) fn told_names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().filter(|kind| kind.is_told).map(|kind| kind.name)
}

/// Whether a field of this name exists in anything that is told.
pub(crate) fn field_names() -> impl Iterator<Item = &'static str> {
    let own = KINDS.iter().filter(|kind| kind.is_told).flat_map(|kind| kind.fields);
    COMMON.iter().chain(OF_PATHS).chain(own).map(|(name, _)| *name)
}

/// The reference page, in Markdown: `docs/reference/events.md` must hold this.
#[cfg(test)]
pub(crate) fn reference() -> String {
    use std::fmt::Write as _;

    let table = |out: &mut String, fields: &[(&str, &str)]| {
        out.push_str("| Field | What it is |\n|---|---|\n");
        for (name, about) in fields {
            let _ = writeln!(out, "| `{name}` | {about} |");
        }
    };
    let mut out = String::from(
        "# Events\n\n\
         What wharf tells [programs and web servers](../guide/hooks-and-webhooks.md) of, and \
         writes into its [logs](../guide/logging.md). This page is generated from the list in the \
         program (`cargo xtask docs`); do not edit it. New events and fields may be added; those \
         that are here keep their meaning.\n\n\
         ## Every event\n\n\
         Programs get these as JSON on standard input, as variables (`user` is `WHARF_USER`), and \
         where an argument is `{user}`. Web servers get the same JSON.\n\n",
    );
    table(&mut out, COMMON);
    out.push_str("\nWhat has paths says where the operating system has them, too:\n\n");
    table(&mut out, OF_PATHS);
    out.push_str(
        "\nPaths are told as they are. In JSON, one that is not UTF-8 has its bytes that are no \
         text as `\\xNN`, and a field with `_hex` behind its name has all its bytes, two digits \
         each. Variables and arguments have the bytes themselves.\n",
    );
    for kind in KINDS {
        let mut marks = Vec::new();
        marks.extend(kind.is_audited.then_some("in the audit log"));
        marks.extend((!kind.is_told).then_some("only in the log"));
        let marks =
            if marks.is_empty() { String::new() } else { format!(" *({})*", marks.join(", ")) };
        let _ = writeln!(out, "\n## `{}`\n\n{}{marks}\n", kind.name, kind.about);
        if kind.fields.is_empty() {
            out.push_str("No fields of its own.\n");
        } else {
            table(&mut out, kind.fields);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_of_events_is_up_to_date() {
        crate::snapshot::assert_same("docs/reference/events.md", &reference());
    }

    #[test]
    fn every_event_has_one_name() {
        let mut names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS.len());
    }
}
