//! What is known to go wrong with FTP servers, by number, and what wharf does about each.

/// One class of fault.
pub(super) struct Row {
    pub(super) number: u32,
    /// What can go wrong.
    pub(super) fault: &'static str,
    /// What wharf does, in one sentence.
    pub(super) answer: &'static str,
}

/// Rows of a web console, which wharf does not have; so there is nothing that could be tested.
pub(super) const WITHOUT_TESTS: &[u32] = &[48, 49, 50];

const fn row(number: u32, fault: &'static str, answer: &'static str) -> Row {
    Row { number, fault, answer }
}

/// All of them, in order.
pub(super) static ROWS: &[Row] = &[
    row(
        1,
        "Bounce: data is sent to a third computer",
        "PORT and EPRT may name the client's own address only, and that is checked before a socket \
         exists; `active.enabled = false` turns active mode off.",
    ),
    row(
        2,
        "Active mode to ports of services",
        "Ports below 1024 are refused, and a bad PORT forgets the good one before it and the \
         restart point.",
    ),
    row(
        3,
        "Somebody else takes the passive port",
        "Only the client's address is served; a stranger is closed and told of in the log, and \
         waiting for the client goes on, unless eight knock in a row.",
    ),
    row(
        4,
        "Passive ports run out",
        "A session has one port at a time, which is given up in time and on every way out; where \
         none is free it shares one with sessions that their addresses or their TLS tell apart, \
         or hears 425; it is never a port outside the range.",
    ),
    row(
        5,
        "Floods of connections",
        "Places are counted in all, per address (IPv6 per /64), per account and before the login, \
         and some are kept for known addresses; who is one too many hears 421 with the reason.",
    ),
    row(
        6,
        "Accepting stops, or descriptors run out",
        "Every error of accept is outlived, with a pause that grows and is bounded; no more \
         sessions are let in than there are descriptors for, and who is one too many hears 421.",
    ),
    row(
        7,
        "Clients that drip",
        "There is a time for the TLS handshake, for the login as a whole, for silence, for the \
         data connection, for a transfer in which nothing moves, and for a reply nobody reads.",
    ),
    row(
        8,
        "Bytes sent before TLS began",
        "If anything follows AUTH in the buffer the session ends and nothing of it is run; the \
         handshake forgets whatever was before it, a login too.",
    ),
    row(
        9,
        "A data connection that belongs to another login",
        "Under TLS a data connection proves itself by resuming the TLS of its own session, or of \
         another one of the same client (one resumed the other, or both are of one account at one \
         address); `require` refuses every other with 522, `prefer` takes it from \
         the client's address only and logs it.",
    ),
    row(
        10,
        "Browsers and mail servers led here",
        "Their first words end the session; an ALPN without `ftp` ends the handshake, as does a \
         foreign SNI where `tls.server_names` says which are ours; replies before a login do not repeat \
         what was said.",
    ),
    row(
        11,
        "No TLS, or a weak one",
        "TLS 1.2 and 1.3 only, with forward secrecy, without renegotiation and early data: who \
         offers less is refused, and the log says what was offered; from outside the local \
         networks a password is refused before it is sent unless TLS is on. `wharf check --ask` \
         sends no password without TLS.",
    ),
    row(12, "Going back to plain text", "CCC is not offered and answered with 534."),
    row(
        13,
        "A forged client address",
        "A PROXY header is read only on listeners that are marked for it, and only from the \
         networks that are listed; there every connection must begin with one, data connections \
         too; what is no header, and who is not listed, is closed.",
    ),
    row(
        14,
        "Telnet bytes in commands",
        "A bounded decoder drops options and never answers them, wherever the packets are cut.",
    ),
    row(
        15,
        "Endless lines, commands sent ahead without end",
        "Lines are bounded, those of strangers to 512 bytes; the rest of one that is too long is \
         dropped and never run; what is sent ahead is bounded in bytes, and then nothing more is \
         read.",
    ),
    row(
        16,
        "Work that grows beyond what was asked",
        "An upload packed more than 100 to 1 beyond 16 MiB is cut; check sums need a right, are \
         reckoned one at a time in a session and can be aborted; MODE Z is off unless \
         `compat.mode_z` says so, check sums go by `compat.disable_commands`.",
    ),
    row(
        17,
        "Guessing passwords",
        "Failures are counted per address and account over all connections and through a restart; \
         the answer to each comes later, up to 10 s; an address is banned for a time that \
         doubles; an account is locked, though not for addresses that it came from before. \
         Spellings of one name that differ by case, and the names by which a directory knows one \
         account, have no guesses of their own.",
    ),
    row(
        18,
        "Finding out which accounts exist",
        "331 for every name, one text for every login that fails, the work of one of our own \
         hashes for a name that nobody has, and an answer after a whole number of steps of time. \
         A password that can be read in two ways is one attempt.",
    ),
    row(
        19,
        "Empty or default passwords, a login around the check",
        "There is no account by default; one without a usable hash cannot log in, and an empty \
         hash is none; an account that needs no password says so by a key of its own \
         (`no_password`), and only with the addresses from which it may come \
         (`allowed_addresses`); a session has files only after a login.",
    ),
    row(
        20,
        "Weak or costly password hashes",
        "Argon2id for new ones; older kinds are checked and replaced at the next login; the work \
         of one and the number at a time are bounded.",
    ),
    row(
        21,
        "User names that become commands or queries",
        "No shell gets a name. Accounts of `users.toml` are looked up in memory; a database gets \
         the name as a parameter of a fixed statement, a directory as an escaped value in a filter \
         or a DN, a login service as a JSON string, PAM as its user. What is no plain name, in \
         whatever character set it was sent, reaches no store.",
    ),
    row(
        22,
        "User names in paths",
        "Every user name is one plain component of a path on every system, 64 bytes long at most; \
         any other fails like a wrong password, and no path is made of one.",
    ),
    row(
        23,
        "Writable anonymous areas",
        "Anonymous visitors are off; if on they may read, unless you say otherwise; a dropbox \
         shows, replaces and removes nothing, answers alike for what is there and what is not, \
         and its files are for the server's own user alone (0600); any folder can be entered \
         there and is made by the first upload into it; `limits.user_quota` holds for visitors \
         too; `wharf check` warns of a folder in which they may do everything.",
    ),
    row(
        24,
        "Copies on the server that go around the rights",
        "Off unless an account has the right, which no preset has; then it needs the rights of \
         RETR there and of STOR here, through the same gate, and is charged like an upload.",
    ),
    row(
        25,
        "SITE commands that change too much",
        "CHMOD has a right of its own and plain bits only, UTIME is MFMT by another name, UMASK \
         gives new files more bits only to accounts with the right to change modes, and IDLE \
         only shortens; no SITE command makes links or runs anything.",
    ),
    row(
        26,
        "Dates that break parsers",
        "Digits that are checked against the calendar; MDTM with 14 digits, MFMT and SITE UTIME \
         set a time with the right `mtime`, and MDTM shows instead where something has the \
         whole argument as its name.",
    ),
    row(
        27,
        "Rules evaded by another spelling of a path",
        "A path is resolved once, into one type that rights, logs and the store all use; where \
         rules differ by path, links are resolved too, the rule of the place where they lead \
         counts as well, and the act follows no link by itself.",
    ),
    row(
        28,
        "Paths that climb out, devices, backslashes",
        "A path cannot leave its root by construction; on Linux the kernel opens beneath the \
         home, elsewhere a walk does; names that mean something else on Windows are refused \
         there; missing and forbidden sound the same.",
    ),
    row(
        29,
        "Links, swapped between check and use",
        "On Unix every act is on what was opened, not on a path that is looked up again; by \
         default a link is followed only if it stays inside; only files and folders are opened; a \
         home that others may replace is told of at the start.",
    ),
    row(
        30,
        "File systems that ignore case",
        "Where the file system knows but one spelling, two spellings are one file: rights on a \
         path hold for each, and an upload to another spelling replaces that file and needs the \
         right to; a rename may change the spelling.",
    ),
    row(
        31,
        "NUL, line ends and control bytes in names",
        "NUL is refused; names with control bytes cannot be made; those on disk are shown as \
         pictures, can be fetched, and forge no line.",
    ),
    row(
        32,
        "Bytes that are no text",
        "Commands are compared as ASCII bytes; new names must be UTF-8, old ones that are not \
         stay reachable; nothing that tests and fuzzing sent made the server panic.",
    ),
    row(
        33,
        "Half a file under the final name",
        "An upload is written out of sight and renamed when it is whole: after an orderly end, \
         never a reset, under TLS with close_notify or exactly the bytes of its ALLO \
         (`tls.require_close_notify`), not shorter than its ALLO, and while the control connection \
         is alive; else its account can resume it.",
    ),
    row(
        34,
        "226 without the data",
        "With `durability = \"full\"` success is said after the write, the sync, the rename and \
         the folder's sync, with \"fast\" after write and rename; after a failure of any of them \
         it is not, and a failed sync is never tried again.",
    ),
    row(
        35,
        "Restart points that overflow or leave holes",
        "Whole decimal numbers that fit a file, for the next transfer only; one behind the end is \
         refused, also one behind the end of the unfinished upload that it would continue.",
    ),
    row(
        36,
        "A full disk",
        "A full disk is 452, a quota used up 552, a failing disk 451; what the upload wrote is \
         freed, a reserve is kept where the system tells the room, and the session goes on.",
    ),
    row(
        37,
        "Quotas that can be passed",
        "Bytes and files are reserved before they are written and settled at the end, also for \
         several uploads at once, copies, renames and replacements; the size of a file that is to \
         be replaced is credited to one upload at a time, and to none once it has another name; a \
         count in doubt is made anew, and nothing is written meanwhile.",
    ),
    row(
        38,
        "Patterns and listings that cost too much",
        "A matcher that takes linear time, eight stars at most, no braces; `-R` lists at most \
         10,000 entries and 8 levels, folder by folder, with the rights of each and through no \
         link, and ends with 550 where there is more.",
    ),
    row(
        39,
        "Very large folders",
        "They are read in batches and sent as they are read; up to 1,024 entries are sorted, more \
         are not collected; STAT of a large one says to use LIST.",
    ),
    row(
        40,
        "Names of temporaries",
        "128 bits, random or drawn from the account, the name and the start of the system; made \
         only where nothing is, hidden from listings and refused in commands.",
    ),
    row(
        41,
        "What a crash leaves",
        "At the start unfinished uploads that are too old are removed, younger ones are left to \
         be resumed, and nothing that only looks like one is touched; what a sweep removes is \
         taken off the quota.",
    ),
    row(
        42,
        "Log lines forged by names",
        "What a client sends is escaped so that it reads back; one event is one line; passwords \
         are never written.",
    ),
    row(
        43,
        "Lost log lines",
        "A full queue costs lines, which are counted and told, and never holds up a session; \
         lines of the audit log are not queued, and are with the system before the reply goes \
         out.",
    ),
    row(
        44,
        "Signals at the wrong moment",
        "Signals are read in order by one task; a stop lets transfers end; SIGHUP opens the logs \
         again and puts a changed configuration in force, all of it or nothing, apart from the \
         keys that need a restart; a changed file of accounts is taken whole, or the old one \
         stays.",
    ),
    row(
        45,
        "Secrets that others can read",
        "An accounts file and a private key that others may read, and a configuration or a state \
         folder that they may change, are refused with the command that closes them; an unknown \
         key is an error.",
    ),
    row(
        46,
        "More power than needed",
        "Started as root with `server.user` it binds and becomes that user for good; until then \
         it opens nothing through links of that user, see row 54; without `server.user` it stays \
         root, keeps only what files need, and says so; on Linux Landlock bounds what it may \
         reach and seccomp refuses what a server never calls; `wharf check` says what holds.",
    ),
    row(
        47,
        "Faults of memory and parsers",
        "Unsafe code is forbidden in every crate of this repository, arithmetic is checked, and a \
         panic ends its own session alone.",
    ),
    row(48, "The web console: its login", "There is no web console."),
    row(49, "The web console: foreign pages", "There is no web console."),
    row(
        50,
        "The web console: its power",
        "There is no web console; the server runs no other program, and on Linux seccomp keeps it \
         from that.",
    ),
    row(
        51,
        "Saying too much",
        "No version and nothing of the computer in a reply; no path of the system, and no other \
         user's session; of a folder that an account may not list, nothing.",
    ),
    row(
        52,
        "What is built in",
        "Few dependencies, locked, of permitted licences and one source; no crate here may be \
         unsafe; SECURITY.md gives 90 days.",
    ),
    row(
        53,
        "Configuration from where others write, and the server's own files within a home",
        "No command takes a `wharf.toml` of the current folder; configuration, accounts, keys, \
         state, logs, secrets and programs of events are denied to every account in every folder, \
         by the identity of the file: links, second names and folders above them too, and the \
         second names of files that were replaced while wharf ran. Of programs that is every path \
         within an argument, and the folder of a program within a home.",
    ),
    row(
        54,
        "Root in folders of others",
        "What is opened with root's rights is walked on open folders; where another user may \
         change a folder no link is followed, a file there is regular, has one name and a known \
         owner, and a new one is made only where nothing is; what is given away is what was \
         opened; a successor takes no program and no config that others may change; the folder of \
         the control socket is root's alone, and none is made below a link of another user.",
    ),
    row(
        55,
        "Renames that leave a rule behind",
        "What has a rule or a virtual folder at or below its path keeps its name, and nothing else \
         gets such a name: 550, with the rule in the log and in `wharf why`; what may not be read \
         cannot be moved to where more is allowed.",
    ),
    row(
        56,
        "An unfinished upload that comes back over another file",
        "It is bound to the account, the name and the identity of what stood there, and void when \
         that was replaced, removed, renamed or changed; an append over one is refused, also where \
         it has no byte yet or only permissions, links or times of the file changed since; a whole \
         file sent to be added to its first part is refused; an append to a file adds to what is \
         there, and a crash cuts it back; anonymous users share none.",
    ),
    row(
        57,
        "Order of checks: replies that tell what may not be seen",
        "The right is asked first, then the quota and the disk; where an account may not list, \
         a file counts neither for ALLO nor for REST, CWD takes any name, MKD any that is taken, \
         RNFR any, and of what is closed, of another kind or not empty all commands say that it \
         is missing. \
         At the login a right password of an account that may not log in (from this address, \
         without TLS, at this hour, after its last day, on `login.deny_users`, locked) is answered \
         like a wrong one, after the same time, and counts like one; what is denied or locked goes \
         by the account's own name, and only the log and `wharf why` say why.",
    ),
    row(
        58,
        "Silent loss of events",
        "Events for web servers are kept on disk by the user that serves until they are taken, \
         also through restarts; one that cannot be read is read again later, and what is given up, \
         dropped or damaged is in the log and counted; `give_up_after` counts from the event.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_in_order_and_each_says_what_is_done() {
        assert!(ROWS.iter().map(|row| row.number).eq(1..=58));
        for row in ROWS {
            assert!(row.answer.ends_with('.') && !row.fault.ends_with('.'), "row {}", row.number);
            assert!(!row.answer.contains('|') && !row.fault.contains('|'), "row {}", row.number);
        }
    }
}
