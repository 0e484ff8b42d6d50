//! All session events with their fields: the source of `docs/reference/events.md`, and which events
//! are sent to the audit log, hooks and webhooks.

/// An event.
#[derive(Debug)]
pub struct EventKind {
    /// Its name in logs, hooks and webhooks.
    pub name: &'static str,
    /// When it happens.
    pub about: &'static str,
    /// Whether it is written to the audit log.
    pub is_audited: bool,
    /// Whether it is available to hooks and webhooks.
    pub is_delivered: bool,
    /// Its specific fields with their meaning.
    pub fields: &'static [(&'static str, &'static str)],
}

const DELIVERED: EventKind =
    EventKind { name: "", about: "", is_audited: false, is_delivered: true, fields: &[] };
const AUDITED: EventKind = EventKind { is_audited: true, ..DELIVERED };

/// Fields of every event in hooks and webhooks.
pub static COMMON: &[(&str, &str)] = &[
    ("id", "unique id of the event, also across restarts"),
    ("time", "time of the event, as in `2026-11-22T15:07:41.123+01:00`"),
    ("host", "host name of the server"),
    ("event", "name of the event"),
    ("session_id", "number of the session since the start of wharf; 0 outside of sessions"),
    ("ip", "IP address of the client"),
    ("port", "port of the client"),
    ("user", "account name; null before the login"),
    ("protocol", "`ftps` if TLS protects the control connection, else `ftp`"),
];

/// Fields that accompany each path.
pub static OF_PATHS: &[(&str, &str)] = &[
    ("file", "path in the file system of the server, if there is one"),
    ("to_file", "the same for `to`"),
];

const PATH: (&str, &str) = ("path", "virtual path as the client sees it; `/` is the home");
const REASON: (&str, &str) = ("reason", "reason");
const TRANSFER: &[(&str, &str)] = &[
    PATH,
    ("bytes", "bytes transferred, without TLS overhead"),
    ("duration_seconds", "duration from the first to the last reply"),
    ("complete", "true"),
    ("ascii", "whether line ends were converted (TYPE A)"),
    ("tls", "whether TLS protected the data connection"),
    ("note", "remark, such as an end without TLS close_notify; omitted if there is none"),
];
const FAILED_TRANSFER: &[(&str, &str)] = &[
    PATH,
    ("bytes", "bytes transferred, without TLS overhead"),
    ("duration_seconds", "duration from the first to the last reply"),
    ("complete", "false"),
    ("ascii", "whether line ends were converted (TYPE A)"),
    ("tls", "whether TLS protected the data connection"),
    ("reason", "why the transfer is incomplete"),
];

/// All events.
pub static KINDS: &[EventKind] = &[
    EventKind {
        name: "connected",
        about: "A client connected and received the greeting.",
        fields: &[("local", "local address of the connection")],
        ..DELIVERED
    },
    EventKind {
        name: "connection-rejected",
        about: "A connection was rejected before the greeting.",
        fields: &[("reason", "the exceeded limit, ban or other reason")],
        ..AUDITED
    },
    EventKind {
        name: "ban-added",
        about: "An address or network was banned.",
        fields: &[
            ("network", "banned network, as in `192.0.2.7/32`"),
            REASON,
            ("manual", "true for a ban by the administrator, false after too many failed logins"),
            ("duration_seconds", "omitted if the ban is permanent"),
        ],
        ..AUDITED
    },
    EventKind {
        name: "ban-removed",
        about: "A ban expired or was removed.",
        fields: &[("network", "network of the ban"), REASON],
        ..AUDITED
    },
    EventKind {
        name: "account-locked",
        about: "An account was locked after too many failed logins from many addresses.",
        fields: &[("attempted_user", "user name"), ("duration_seconds", "duration of the lock")],
        ..AUDITED
    },
    EventKind {
        name: "tls-established",
        about: "TLS was negotiated on the control connection.",
        fields: &[("version", "TLS version"), ("cipher", "cipher suite")],
        ..DELIVERED
    },
    EventKind {
        name: "login",
        about: "A user logged in.",
        fields: &[
            ("tls", "whether TLS protects the control connection"),
            ("client", "client software, if the client sent CLNT"),
        ],
        ..AUDITED
    },
    EventKind {
        name: "login-failed",
        about: "A login failed.",
        fields: &[
            ("attempted_user", "user name sent by the client"),
            REASON,
            ("tls", "whether TLS protects the control connection"),
            ("hint", "how to fix it, with NAME instead of the user name"),
        ],
        ..AUDITED
    },
    EventKind {
        name: "session-ended",
        about: "A session ended, with or without a login.",
        fields: &[REASON, ("duration_seconds", "duration of the session")],
        ..AUDITED
    },
    EventKind {
        name: "upload",
        about: "An upload completed (reply 226): the file has been published under its name.",
        fields: TRANSFER,
        ..AUDITED
    },
    EventKind {
        name: "upload-failed",
        about: "An upload was interrupted. If the upload check rejected it, the event is \
                `upload-check-rejected`.",
        fields: FAILED_TRANSFER,
        ..AUDITED
    },
    EventKind {
        name: "upload-check-rejected",
        about: "The upload check rejected a complete upload.",
        fields: &[
            PATH,
            ("bytes", "bytes received"),
            ("reason", "reason given by the check"),
            ("id", "id of the check; also the prefix of the file name in the quarantine folder"),
        ],
        ..AUDITED
    },
    EventKind {
        name: "command-denied",
        about: "A command was denied by a rule for another path: the target of a symbolic link, or \
                a path below a folder to be renamed.",
        fields: &[("command", "command, as in `RNTO`"), PATH, ("reason", "rule")],
        ..AUDITED
    },
    EventKind {
        name: "upload-denied",
        about: "An upload was denied before the transfer: missing permission, exceeded quota or \
                invalid name. An exceeded quota can also be found while its bytes arrive.",
        fields: &[PATH, REASON, ("hint", "how to fix it, if known")],
        ..AUDITED
    },
    EventKind {
        name: "download",
        about: "A download completed (reply 226).",
        fields: TRANSFER,
        ..AUDITED
    },
    EventKind {
        name: "download-failed",
        about: "A download was interrupted.",
        fields: FAILED_TRANSFER,
        ..AUDITED
    },
    EventKind { name: "delete", about: "A file was deleted.", fields: &[PATH], ..AUDITED },
    EventKind {
        name: "rename",
        about: "A file or folder was renamed.",
        fields: &[PATH, ("to", "new path")],
        ..AUDITED
    },
    EventKind {
        name: "copy",
        about: "A file was copied on the server (SITE CPTO).",
        fields: &[PATH, ("to", "path of the copy")],
        ..AUDITED
    },
    EventKind { name: "mkdir", about: "A folder was created.", fields: &[PATH], ..AUDITED },
    EventKind { name: "rmdir", about: "A folder was removed.", fields: &[PATH], ..AUDITED },
    EventKind {
        name: "attributes-changed",
        about: "Times or permission bits were changed (MFMT, SITE CHMOD and others).",
        fields: &[PATH],
        ..AUDITED
    },
    EventKind {
        name: "data-connection-failed",
        about: "A data connection could not be established.",
        fields: &[REASON],
        ..DELIVERED
    },
    EventKind {
        name: "data-connection-tls-not-resumed",
        about: "A data connection was accepted by its address only, without TLS session \
                resumption; reported once per session.",
        ..DELIVERED
    },
    EventKind {
        name: "data-connection-unexpected-peers",
        about: "Unexpected peers connected to a data port and were rejected.",
        fields: &[
            ("first_peer", "address of the first peer"),
            ("connections", "number of connections"),
        ],
        ..DELIVERED
    },
    EventKind {
        name: "data-connection-diagnosis",
        about: "Data connections of a client network fail repeatedly; reported once an hour per \
                cause.",
        fields: &[
            ("network", "client network: an IPv4 /24 or an IPv6 /64"),
            ("cause", "cause, such as `no-connection`"),
            ("failed", "failures in about the last day"),
            ("established", "established data connections in the same time"),
            ("reason", "observation"),
            ("hint", "how to fix it"),
        ],
        ..DELIVERED
    },
    EventKind {
        name: "charset-detected",
        about: "A client does not send names in UTF-8, and their character set was recognised, or \
                its names are valid UTF-8 and also plausible in another set; reported once a \
                session, and again if later names show another set.",
        fields: &[
            ("charset", "character set, such as `GBK`"),
            (
                "certain",
                "true if the names are valid in this set only, false if it is the most likely one",
            ),
            ("reason", "observation"),
            ("hint", "how to fix it"),
        ],
        ..DELIVERED
    },
    EventKind {
        name: "storage-failed",
        about: "The storage backend failed.",
        fields: &[("reason", "operation and error")],
        ..DELIVERED
    },
    EventKind {
        name: "command",
        about: "A command and its reply; logged with `log.commands` only.",
        is_delivered: false,
        fields: &[
            ("line", "command line, with passwords masked"),
            ("code", "reply code"),
            ("reply", "last line of the reply"),
        ],
        ..DELIVERED
    },
];

/// The event with this name.
pub fn kind(name: &str) -> Option<&'static EventKind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The names of events that are available to hooks and webhooks.
pub fn delivered_names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().filter(|kind| kind.is_delivered).map(|kind| kind.name)
}

/// The names of all fields in hooks and webhooks.
pub fn field_names() -> impl Iterator<Item = &'static str> {
    let own = KINDS.iter().filter(|kind| kind.is_delivered).flat_map(|kind| kind.fields);
    COMMON.iter().chain(OF_PATHS).chain(own).map(|(name, _)| *name)
}

/// The reference page, in Markdown: `docs/reference/events.md` must hold this.
#[cfg(test)]
fn reference() -> String {
    use std::fmt::Write as _;

    let table = |out: &mut String, fields: &[(&str, &str)]| {
        out.push_str("| Field | Meaning |\n|---|---|\n");
        for (name, about) in fields {
            let _ = writeln!(out, "| `{name}` | {about} |");
        }
    };
    let mut out = String::from(
        "# Events\n\n\
         Events are sent to [hooks and webhooks](../guide/hooks-and-webhooks.md) and written to \
         the [logs](../guide/logging.md). This page is generated from the list in the program \
         (`cargo xtask docs`); do not edit it. New events and fields may be added; those listed \
         here keep their meaning.\n\n\
         ## Every event\n\n\
         Programs receive these fields as JSON on standard input, as environment variables \
         (`user` is `WHARF_USER`), and in arguments such as `{user}`. Webhooks receive the same \
         JSON.\n\n",
    );
    table(&mut out, COMMON);
    out.push_str("\nEvents with paths also contain the paths in the file system:\n\n");
    table(&mut out, OF_PATHS);
    out.push_str(
        "\nPaths are not shortened. In JSON, bytes of a path that are not UTF-8 are written as \
         `\\xNN`, and a field with the suffix `_hex` contains all bytes of the path in \
         hexadecimal. Environment variables and arguments contain the raw bytes.\n",
    );
    for kind in KINDS {
        let mut marks = Vec::new();
        marks.extend(kind.is_audited.then_some("in the audit log"));
        marks.extend((!kind.is_delivered).then_some("only in the log"));
        let marks =
            if marks.is_empty() { String::new() } else { format!(" *({})*", marks.join(", ")) };
        let _ = writeln!(out, "\n## `{}`\n\n{}{marks}\n", kind.name, kind.about);
        if kind.fields.is_empty() {
            out.push_str("No specific fields.\n");
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
        wharf_testkit::assert_same("docs/reference/events.md", &reference());
    }

    #[test]
    fn every_event_has_one_name() {
        let mut names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS.len());
    }

    /// The rule of CONTRIBUTING.md, for the events of sessions and those of the server.
    #[test]
    fn the_name_of_an_event_is_an_act_or_a_result() {
        const RESULTS: &[&str] = &[
            "added", "changed", "completed", "damaged", "denied", "detected", "dropped", "ended",
            "established", "expired", "failed", "failing", "full", "listening", "locked", "lost",
            "not-resumed", "not-saved", "peers", "quarantined", "recovered", "rejected",
            "reloaded", "removed", "unavailable", "unreadable",
        ];
        let rule = include_str!("../../../../CONTRIBUTING.md");
        let (_, rule) = rule.split_once("Names of events are `THING-RESULT`").unwrap();
        let (rule, _) = rule.split_once("Values of metric labels").unwrap();
        let exceptions: Vec<_> = rule.split('`').skip(1).step_by(2).collect();
        let guide = include_str!("../../../../docs/guide/logging.md");
        let (_, events) = guide.split_once("## Events of sessions").unwrap();
        let names = events.lines().filter(|line| line.starts_with("| `"));
        let names = names.filter_map(|line| line.split('|').nth(1));
        let mut names: Vec<_> = names.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
        names.retain(|name| !name.contains('_') && *name != "event");
        names.extend(KINDS.iter().map(|kind| kind.name));
        assert!(names.contains(&"upload-failed") && names.contains(&"hook-worker-lost"));
        let follows = |name: &str| {
            let has = |result: &&str| {
                name.strip_suffix(*result).is_some_and(|thing| thing.ends_with('-'))
            };
            exceptions.contains(&name) || RESULTS.iter().any(has)
        };
        assert!(follows("login-failed") && follows("upload") && follows("stopped"));
        assert!(!follows("accounts-back") && !follows("failed") && !follows("bans-unkept"));
        let wrong: Vec<_> = names.into_iter().filter(|name| !follows(name)).collect();
        assert_eq!(wrong, [""; 0]);
    }
}
