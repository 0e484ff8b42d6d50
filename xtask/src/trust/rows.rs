//! Known risks of FTP servers, by number, and what wharf does about each.

/// One risk.
pub(super) struct Risk {
    pub(super) number: u32,
    /// The risk.
    pub(super) fault: &'static str,
    /// What wharf does about it.
    pub(super) answer: &'static str,
}

/// Rows on a web console, which wharf does not have, so there is nothing to test.
pub(super) const WITHOUT_TESTS: &[u32] = &[48, 49, 50];

const fn row(number: u32, fault: &'static str, answer: &'static str) -> Risk {
    Risk { number, fault, answer }
}

/// All of them, in order.
pub(super) static ROWS: &[Risk] = &[
    row(
        1,
        "FTP bounce: data is sent to a third host",
        "PORT and EPRT may name the client's own address only, which is checked before a socket is \
         created; `active.enabled = false` turns active mode off.",
    ),
    row(
        2,
        "Active mode to ports of services",
        "Ports below 1024 are rejected. An invalid PORT discards the previous valid one and the \
         restart point.",
    ),
    row(
        3,
        "Another peer connects to the passive port",
        "Only the client's address is served. Connections from unexpected peers are closed and \
         logged, and waiting for the client continues, up to eight of them in a row.",
    ),
    row(
        4,
        "Passive ports run out",
        "A session has one port at a time, which is released at its timeout and however the \
         session ends. If no port is free, sessions that are distinguished by their addresses or \
         their TLS sessions share one; otherwise the session waits up to 5 seconds for a \
         port, and then the reply is 425. A port outside the range is never used.",
    ),
    row(
        5,
        "Connection floods",
        "Connections are limited in total, per address (IPv6: per /64), per account and before the \
         login, and some are reserved for known addresses. Connections above a limit get 421 with \
         the reason.",
    ),
    row(
        6,
        "Accepting fails, or file descriptors run out",
        "Every error of accept is handled, with a bounded pause that grows. Sessions are limited \
         by the available descriptors; connections above that get 421.",
    ),
    row(
        7,
        "Slow clients (slowloris)",
        "There are timeouts for the TLS handshake, for the login as a whole, for idle sessions, \
         for the data connection, for stalled transfers, and for replies that the client does not \
         read.",
    ),
    row(
        8,
        "Bytes sent before the TLS handshake (command injection)",
        "If any bytes follow AUTH in the buffer the session ends and none of them is executed. The \
         handshake discards all earlier state, including a login.",
    ),
    row(
        9,
        "A data connection of another client",
        "Under TLS a data connection is authenticated by resuming the TLS session of its control \
         connection, or of another control connection of the same client (one resumed the other, \
         or both are logged in to one account from one address). `require` rejects every other \
         data connection with 522, `prefer` accepts it from the client's address only and logs it.",
    ),
    row(
        10,
        "Cross-protocol attacks by browsers and mail servers",
        "Commands of HTTP or SMTP end the session. An ALPN without `ftp` ends the handshake, as \
         does an unknown SNI if `tls.server_names` lists the valid names. Replies before a login \
         do not echo input.",
    ),
    row(
        11,
        "No TLS, or weak TLS",
        "TLS 1.2 and 1.3 only, with forward secrecy, without renegotiation and early data. Clients \
         that offer less are rejected, and the log has their offer. From outside the local \
         networks, a login without TLS is denied before the password is sent. `wharf check --ask` \
         sends no password without TLS.",
    ),
    row(12, "Return to plain text", "CCC is not offered, and is answered with 534."),
    row(
        13,
        "A forged client address",
        "A PROXY header is read only on listeners configured for it, and only from the listed \
         networks. There every connection must begin with one, including data connections. \
         Connections with an invalid header, or from other addresses, are closed.",
    ),
    row(
        14,
        "Telnet bytes in commands",
        "A bounded decoder drops options and never answers them, however the packets are split.",
    ),
    row(
        15,
        "Endless lines, unlimited pipelining",
        "Lines are bounded, to 512 bytes before the login. The rest of a line that is too long is \
         discarded and never executed. Pipelined input is bounded in bytes; beyond that nothing \
         more is read.",
    ),
    row(
        16,
        "Amplification: work out of proportion to the request",
        "A compressed upload with a ratio above 100 to 1 beyond 16 MiB is rejected. Checksums need \
         a permission, are computed one at a time in a session, and can be aborted. MODE Z is off \
         unless `compat.mode_z` is set; `compat.disable_commands` disables checksums.",
    ),
    row(
        17,
        "Guessing passwords",
        "Failures are counted per address and account over all connections, also across a restart. \
         Replies to failures are delayed, up to 10 s. An address is banned for a time that \
         doubles; an account is locked, though not for addresses from which it has logged in \
         before. Names that differ by case, and different names of one account in a directory, \
         share one count.",
    ),
    row(
        18,
        "Finding out which accounts exist",
        "331 for every name, one text for every failed login, the work of one of our own hashes \
         for an unknown name, and replies delayed to a multiple of a fixed time. A password that \
         can be decoded in two character sets is one attempt.",
    ),
    row(
        19,
        "Empty or default passwords, login bypass",
        "There is no account by default. An account without a usable hash cannot log in, and an \
         empty hash is not usable. An account without a password must set `no_password`, and with \
         it the addresses from which it may log in (`allowed_addresses`). A session can access \
         files only after a login.",
    ),
    row(
        20,
        "Weak or expensive password hashes",
        "New hashes are Argon2id; older kinds are accepted and replaced at the next login. The \
         cost of a hash and the number computed at a time are bounded.",
    ),
    row(
        21,
        "Injection through user names",
        "User names are never passed to a shell. Accounts of `users.toml` are looked up in memory; \
         a database gets the name as a parameter of a fixed statement, a directory as an escaped \
         value in a filter or a DN, a login service as a JSON string, PAM as its user. An invalid \
         name, in whatever character set it was sent, reaches no backend.",
    ),
    row(
        22,
        "User names in paths",
        "Every user name is one plain path component on every system, at most 64 bytes long. Any \
         other name fails like a wrong password, and no path is made of it.",
    ),
    row(
        23,
        "Writable anonymous areas",
        "Anonymous access is off; if it is on, the default is read-only. A dropbox neither lists, \
         replaces nor removes files, its replies do not reveal which names exist, and its files \
         are readable by the server's own user only (0600). Any folder can be entered there, and \
         is created by the first upload into it. `limits.user_quota` applies to anonymous users, \
         too. `wharf check` warns of a folder in which they have all permissions.",
    ),
    row(
        24,
        "Server-side copies that bypass permissions",
        "Off unless an account has the permission, which no preset includes. A copy also needs the \
         permissions of RETR for the source and of STOR for the target, checked in the same place, \
         and counts towards the quota like an upload.",
    ),
    row(
        25,
        "SITE commands that change too much",
        "CHMOD has its own permission and changes permission bits only, UTIME is MFMT by another \
         name, UMASK grants new files more bits only for accounts with the permission to change \
         modes, and IDLE can only shorten the timeout. No SITE command creates links or runs \
         programs.",
    ),
    row(
        26,
        "Dates that break parsers",
        "Digits are checked against the calendar. MDTM with 14 digits, MFMT and SITE UTIME set a \
         time with the permission `mtime`; if a file has the whole argument as its name, MDTM \
         shows its time instead.",
    ),
    row(
        27,
        "Rules bypassed by another spelling of a path",
        "A path is resolved once, into one type that permissions, logs and stores use. If rules \
         differ by path, links are resolved too, the rule of the target applies as well, and the \
         operation itself follows no link.",
    ),
    row(
        28,
        "Path traversal, devices, backslashes",
        "A path cannot leave its root by construction. On Linux the kernel opens files beneath the \
         home, on other systems a walk does. Names that Windows interprets differently are \
         rejected there. Missing and forbidden files get the same reply.",
    ),
    row(
        29,
        "Links, swapped between check and use",
        "On Unix every operation uses an open descriptor, not a path that is resolved again. By \
         default a link is followed only if its target is inside the home. Only regular files and \
         folders are opened. A home that other users can replace is reported at the start.",
    ),
    row(
        30,
        "File systems that ignore case",
        "Where the file system ignores case, two spellings are one file: permissions on a path \
         apply to all spellings, and an upload to another spelling replaces the file and needs the \
         permission for that. A rename may change the spelling.",
    ),
    row(
        31,
        "NUL, line ends and control bytes in names",
        "NUL is rejected, and names with control bytes cannot be created. Existing ones are \
         displayed as symbols, can be downloaded, and cannot forge lines.",
    ),
    row(
        32,
        "Input that is not valid text",
        "Commands are compared as ASCII bytes. New names must be UTF-8; existing names that are \
         not remain accessible. No input of tests and fuzzing made the server panic.",
    ),
    row(
        33,
        "An incomplete file under the final name",
        "An upload is written to a hidden file and renamed when it is complete: after an orderly \
         end, never a reset; under TLS with close_notify or exactly the bytes of its ALLO \
         (`tls.require_close_notify`); not shorter than its ALLO; and while the control connection \
         is alive. Otherwise its account can resume it.",
    ),
    row(
        34,
        "226 without the data",
        "With `durability = \"full\"` success is reported after the write, the sync, the rename \
         and the sync of the folder, with \"fast\" after write and rename. After a failure of any \
         of them it is not, and a failed sync is never repeated.",
    ),
    row(
        35,
        "Restart points that overflow or leave holes",
        "REST accepts decimal numbers within the range of file sizes, for the next transfer only. \
         A restart point behind the end is rejected, including the end of the unfinished upload \
         that it would continue: the reply states its length.",
    ),
    row(
        36,
        "A full disk",
        "A full disk is answered with 452, an exceeded quota with 552, a failing disk with 451. \
         The space of the failed upload is freed, a reserve is kept if the system reports the free \
         space, and the session continues.",
    ),
    row(
        37,
        "Quotas that can be exceeded",
        "Bytes and files are reserved before they are written and settled at the end, also for \
         parallel uploads, copies, renames and replacements. The size of a file to be replaced is \
         credited to one upload at a time, and to none after the file was renamed. An uncertain \
         count is computed again, and nothing is written meanwhile.",
    ),
    row(
        38,
        "Patterns and listings that cost too much",
        "The matcher takes linear time; at most eight stars, no braces. `-R` lists at most 10,000 \
         entries and 8 levels, folder by folder, with the permissions of each and through no link, \
         and ends with 550 if there is more.",
    ),
    row(
        39,
        "Very large folders",
        "They are read in batches and sent as they are read. Up to 1,024 entries are sorted; \
         larger folders are not buffered. STAT of a large folder refers to LIST.",
    ),
    row(
        40,
        "Names of temporary files",
        "128 bits, random or derived from the account, the name and the boot of the system. They \
         are created only where nothing exists, hidden from listings and denied in commands.",
    ),
    row(
        41,
        "Remains of a crash",
        "At the start unfinished uploads that are too old are removed, newer ones can be resumed, \
         and files with similar names are not touched. Removed files are subtracted from the \
         quota.",
    ),
    row(
        42,
        "Log lines forged by names",
        "Input of clients is escaped reversibly. One event is one line. Passwords are never \
         written.",
    ),
    row(
        43,
        "Lost log lines",
        "Lines are written within 10 ms, and all of them before the server exits. If too many \
         wait, lines are dropped, counted and reported, and sessions are never blocked. Lines of \
         the audit log are not gathered, and are passed to the system before the reply is sent.",
    ),
    row(
        44,
        "Signals at the wrong moment",
        "Signals are handled in order by one task; those with a meaning to a server that arrive \
         before it has started, once it has. A stop lets transfers finish. SIGHUP reopens \
         the logs and applies a changed configuration, completely or not at all, except for keys \
         that need a restart. A changed accounts file is loaded completely, or the old one stays \
         in use.",
    ),
    row(
        45,
        "Secrets that other users can read",
        "An accounts file or a private key that other users can read, and a configuration or a \
         state folder that they can change, are rejected with the command that fixes the mode. An \
         unknown key is an error.",
    ),
    row(
        46,
        "Unnecessary privileges",
        "Started as root with `server.user`, the server binds and permanently becomes that user; \
         until then it opens nothing through links of that user, see row 54. Without `server.user` \
         it stays root, keeps only the capabilities for files, and reports that. On Linux Landlock \
         restricts what it can access, and seccomp denies system calls that a server does not \
         need. `wharf check` shows what is in force.",
    ),
    row(
        47,
        "Memory errors and parser bugs",
        "Unsafe code is forbidden in every crate of this repository, arithmetic is checked, and a \
         panic ends only its own session.",
    ),
    row(48, "Web console: login", "There is no web console."),
    row(49, "Web console: cross-site requests", "There is no web console."),
    row(
        50,
        "Web console: privileges",
        "There is no web console. The server starts no other program, and on Linux seccomp \
         prevents it.",
    ),
    row(
        51,
        "Information leaks",
        "Replies contain no version and no information on the host, no path of the system, and no \
         other user's session; and nothing about a folder that the account may not list.",
    ),
    row(
        52,
        "Dependencies",
        "Few dependencies, locked, with permitted licences and from one source. No crate of this \
         repository may use unsafe code. SECURITY.md promises a fix within 90 days.",
    ),
    row(
        53,
        "Configuration in a writable place, and the server's own files within a home",
        "No command uses a `wharf.toml` of the current folder. Configuration, accounts, keys, \
         state, logs, secrets and hook programs are inaccessible to every account in every folder, \
         by the identity of the file: including links, hard links and the folders above them, and \
         the hard links of files that were replaced while wharf ran. For hook programs this covers \
         every path within an argument, and the folder of a program within a home.",
    ),
    row(
        54,
        "Root in folders of other users",
        "Paths opened with root's privileges are walked on open folders. In a folder that another \
         user may change no link is followed, a file must be regular, have one name and a known \
         owner, and a new one is created only where nothing exists. Ownership is changed by open \
         descriptor. A new binary is not started if other users may change it or its \
         configuration. The folder of the control socket belongs to root, and none is created \
         below a link of another user.",
    ),
    row(
        55,
        "Renames that bypass a rule",
        "A path with a rule or a virtual folder at or below it cannot be renamed, and cannot be \
         the target of a rename: 550, with the rule in the log and in `wharf why`. What an account \
         may not read cannot be moved to where it may.",
    ),
    row(
        56,
        "An unfinished upload that continues over another file",
        "It is bound to the account, not to a later one of its name, to the path and to the \
         identity of the file to be replaced, and becomes void when that file is replaced, \
         removed, renamed or changed. An append over an \
         unfinished upload is denied, also if it has no byte yet, or only permissions, links or \
         times of the file have changed since. Sending the complete file again after its first \
         part is denied. An append to a file adds to the current content, and is cut back after a \
         crash. Anonymous users cannot resume uploads.",
    ),
    row(
        57,
        "Replies that reveal files by the order of checks",
        "The permission is checked first, then the quota and the disk. Where an account may not \
         list, a file affects neither ALLO nor REST, CWD and RNFR accept any name, MKD any \
         existing one, and all commands report files that are inaccessible, of another kind or not \
         empty as missing. At the login, the right password of an account that may not log in \
         (from this address, without TLS, at this hour, after its expiry, listed in \
         `login.deny_users`, locked) is answered like a wrong one, after the same time, and counts \
         like one. Denied and locked accounts are identified by the account's own name, and only \
         the log and `wharf why` have the reason.",
    ),
    row(
        58,
        "Events lost silently",
        "Events for webhooks are kept on disk by the server's user until they are delivered, also \
         across restarts. One that cannot be read is read again later; those given up, dropped or \
         damaged are logged and counted. `give_up_after` counts from the event.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_in_order_and_complete() {
        assert!(ROWS.iter().map(|row| row.number).eq(1..=58));
        for row in ROWS {
            assert!(row.answer.ends_with('.') && !row.fault.ends_with('.'), "row {}", row.number);
            assert!(!row.answer.contains('|') && !row.fault.contains('|'), "row {}", row.number);
        }
    }
}
