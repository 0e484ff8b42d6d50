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
         waiting for the client goes on.",
    ),
    row(
        4,
        "Passive ports run out",
        "A session has one port at a time, which is given up in time and on every way out; one \
         port can serve several addresses; a range that is used up is 425, never another port.",
    ),
    row(
        5,
        "Floods of connections",
        "Places are counted in all, per address (IPv6 per /64), per account and before the login; \
         who is one too many hears 421 with the reason.",
    ),
    row(
        6,
        "Accepting stops, or descriptors run out",
        "Every error of accept is outlived, with a pause that grows and is bounded.",
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
        "Under TLS a data connection proves itself by resuming its own session's TLS; `require` \
         refuses every other with 522, `prefer` takes it from the client's address only and logs \
         it.",
    ),
    row(
        10,
        "Browsers and mail servers led here",
        "Their first words end the session; an ALPN without `ftp` ends the handshake; replies do \
         not repeat what was said.",
    ),
    row(
        11,
        "No TLS, or a weak one",
        "TLS 1.2 and 1.3 only, without renegotiation and early data; from outside the local \
         networks a password is refused before it is sent unless TLS is on.",
    ),
    row(12, "Going back to plain text", "CCC is not offered and answered with 534."),
    row(
        13,
        "A forged client address",
        "A PROXY header is read only on listeners that are marked for it and only from the \
         networks that are listed; there it is required, and what is no header is closed.",
    ),
    row(
        14,
        "Telnet bytes in commands",
        "A bounded decoder drops options and never answers them, wherever the packets are cut.",
    ),
    row(
        15,
        "Endless lines, commands sent ahead without end",
        "Lines are bounded; the rest of one that is too long is dropped and never run; one line is \
         held during a transfer, and then nothing more is read.",
    ),
    row(
        16,
        "Work that grows beyond what was asked",
        "What unpacks to far more than it was is cut; check sums are reckoned one at a time and \
         can be aborted; both can be off.",
    ),
    row(
        17,
        "Guessing passwords",
        "Failures are counted per address and account over all connections; the next try comes \
         later and later, and an address is banned for a time that doubles.",
    ),
    row(
        18,
        "Finding out which accounts exist",
        "331 for every name, one text for every login that fails, and the same work for a name \
         that nobody has.",
    ),
    row(
        19,
        "Empty or default passwords, a login around the check",
        "There is no account by default; one without a usable hash cannot log in; a session has \
         files only once somebody is logged in.",
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
        "Accounts are looked up in memory by name; no shell, query or template sees a name, and \
         names are checked first.",
    ),
    row(
        22,
        "User names in paths",
        "A name that is part of a path must be one plain component, else it is no user name.",
    ),
    row(
        23,
        "Writable anonymous areas",
        "Anonymous visitors are off; if on they may read, unless you say otherwise; a dropbox \
         shows and replaces nothing.",
    ),
    row(
        24,
        "Copies on the server that go around the rights",
        "Off unless an account has the right; then they need the rights of RETR there and of STOR \
         here, through the same door.",
    ),
    row(
        25,
        "SITE commands that change too much",
        "CHMOD has a right of its own and plain bits only; no SITE command makes links or runs \
         anything.",
    ),
    row(
        26,
        "Dates that break parsers",
        "Fourteen digits that are checked against the calendar; MDTM never writes.",
    ),
    row(
        27,
        "Rules evaded by another spelling of a path",
        "A path is resolved once, into one type that rights, logs and the store all use.",
    ),
    row(
        28,
        "Paths that climb out, devices, backslashes",
        "A path cannot leave its root by construction, and the disk opens beneath the home by the \
         system's own means.",
    ),
    row(
        29,
        "Links, swapped between check and use",
        "Every act is on what was opened, not on a name that is looked up again; a link is \
         followed only if it stays inside; only files and folders are opened.",
    ),
    row(
        30,
        "File systems that ignore case",
        "Rights on a path hold for each way to spell it where the file system knows but one.",
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
        "Commands are compared as ASCII bytes; names that are no UTF-8 stay reachable; nothing a \
         client sends makes the server panic.",
    ),
    row(
        33,
        "Half a file under the final name",
        "An upload is written out of sight and renamed when it is whole: at an orderly end, with \
         close_notify under TLS, while the control connection is alive.",
    ),
    row(
        34,
        "226 without the data",
        "Success is said after the write, the sync, the rename and the folder's sync; after a \
         failure of any of them it is not, and a failed sync is final.",
    ),
    row(
        35,
        "Restart points that overflow or leave holes",
        "Checked numbers for the next transfer only; one behind the end is refused.",
    ),
    row(
        36,
        "A full disk",
        "452 from the system, 552 from a quota; the temporary is freed, a reserve is kept, and the \
         session goes on.",
    ),
    row(
        37,
        "Quotas that can be passed",
        "Bytes and files are reserved before they are written and settled at the end, also for \
         several uploads at once, renames and replacements; counts that are in doubt are made \
         anew.",
    ),
    row(
        38,
        "Patterns and listings that cost too much",
        "A matcher that takes linear time, eight stars at most, no braces, no recursion.",
    ),
    row(
        39,
        "Very large folders",
        "They are read in batches and sent as they are read; nothing is collected.",
    ),
    row(
        40,
        "Names of temporaries",
        "Random, made only where nothing is, hidden from listings and refused in commands.",
    ),
    row(
        41,
        "What a crash leaves",
        "At the start old unfinished uploads are removed or kept to be resumed, and nothing that \
         only looks like one is touched.",
    ),
    row(
        42,
        "Log lines forged by names",
        "Every byte of a client is escaped so that it reads back; one event is one line; passwords \
         are never written.",
    ),
    row(
        43,
        "Lost log lines",
        "A full queue costs lines, which are counted and told, and never holds up a session.",
    ),
    row(
        44,
        "Signals at the wrong moment",
        "Signals are read in order by one task; a stop lets transfers end; a reload takes a good \
         configuration whole, or keeps the old one.",
    ),
    row(
        45,
        "Secrets that others can read",
        "The accounts file and private keys that are open to others are refused, with the command \
         that closes them; an unknown key is an error.",
    ),
    row(
        46,
        "More power than needed",
        "Started as root it binds and then becomes its user for good; what it may reach is bounded \
         by the system's sandbox; `wharf check` says what holds.",
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
        "There is no web console; nothing in the server runs other programs.",
    ),
    row(
        51,
        "Saying too much",
        "No version before the login, no path of the system and no other user's session in a \
         reply.",
    ),
    row(
        52,
        "What is built in",
        "Few dependencies, locked, of permitted licences and one source; SECURITY.md gives 90 \
         days.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_in_order_and_each_says_what_is_done() {
        assert!(ROWS.iter().map(|row| row.number).eq(1..=52));
        for row in ROWS {
            assert!(row.answer.ends_with('.') && !row.fault.ends_with('.'), "row {}", row.number);
            assert!(!row.answer.contains('|') && !row.fault.contains('|'), "row {}", row.number);
        }
    }
}
