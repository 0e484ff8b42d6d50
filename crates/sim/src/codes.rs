//! The replies allowed for each command: RFC 959 §5.4, RFC 2428, RFC 3659, RFC 4217.

/// Replies allowed for any command (RFC 959 §5.4): a line with a syntax error, or the end of the
/// service.
const ALWAYS: &[u16] = &[421, 500];
/// An unknown argument, command or parameter, or a missing login.
const REJECTED: &[u16] = &[501, 502, 504, 530];
/// A failure of the storage. §5.4 lists these for some commands only; §4.2.2 defines them for all,
/// and clients decide by the first digit (RFC 1123 §4.1.2.11).
const FAULTS: &[u16] = &[450, 451, 452, 552];
/// Final replies of a transfer.
const TRANSFER: &[u16] = &[226, 250, 425, 426, 450, 451, 452, 521, 522, 552];

/// Whether a command may get this final reply.
pub(crate) fn may_answer(verb: &str, code: u16) -> bool {
    let (own, others): (&[u16], &[&[u16]]) = match verb {
        "USER" => (&[230, 331, 332, 501, 530], &[]),
        "PASS" => (&[202, 230, 332, 501, 503, 530], &[]),
        "CWD" | "RMD" | "MLST" | "DELE" => (&[250, 550], &[REJECTED, FAULTS]),
        "CDUP" => (&[200, 250, 550], &[REJECTED, FAULTS]),
        "AUTH" => (&[234, 431, 502, 503, 504, 534], &[]),
        "PBSZ" => (&[200, 501, 503], &[]),
        "PROT" => (&[200, 503, 504, 536], &[]),
        "REIN" => (&[120, 220, 502], &[]),
        "QUIT" => (&[221], &[]),
        "NOOP" => (&[200], &[]),
        // 425: every passive port is in use. No RFC defines a reply for that.
        "PASV" => (&[227, 425], &[REJECTED]),
        "EPSV" => (&[229, 425, 522], &[REJECTED]),
        "PORT" | "TYPE" | "MODE" | "STRU" | "OPTS" | "CLNT" => (&[200], &[REJECTED]),
        "EPRT" => (&[200, 522], &[REJECTED]),
        "ALLO" => (&[200, 202], &[REJECTED]),
        "REST" => (&[350], &[REJECTED]),
        "RETR" => (&[550, 554], &[TRANSFER, REJECTED]),
        "STOR" => (&[532, 551, 553, 554], &[TRANSFER, REJECTED]),
        "STOU" => (&[532, 551, 553], &[TRANSFER, REJECTED]),
        "APPE" => (&[532, 550, 551, 553], &[TRANSFER, REJECTED]),
        // §5.4 has no 550 here; clients interpret every other code as a different failure.
        "LIST" | "NLST" | "MLSD" => (&[550], &[TRANSFER, REJECTED]),
        "RNFR" => (&[350, 550], &[REJECTED, FAULTS]),
        // §5.4 has no 550 here; a rejected path gets the same code from all commands.
        "RNTO" => (&[250, 503, 532, 550, 553], &[REJECTED, FAULTS]),
        "MKD" => (&[257, 550], &[REJECTED, FAULTS]),
        "PWD" => (&[257, 550], &[REJECTED]),
        "SIZE" | "MDTM" | "MFMT" => (&[213, 550], &[REJECTED, FAULTS]),
        "STAT" => (&[211, 212, 213, 550], &[REJECTED, FAULTS]),
        "HELP" => (&[211, 214], &[REJECTED]),
        "FEAT" => (&[211], &[]),
        "SYST" => (&[215], &[]),
        "ABOR" => (&[225, 226, 530], &[]),
        // Unknown commands.
        _ => (&[502], &[]),
    };
    ALWAYS.contains(&code) || own.contains(&code) || others.iter().any(|some| some.contains(&code))
}

/// Whether a command has a preliminary reply and transfers data.
pub(crate) fn moves_data(verb: &str) -> bool {
    matches!(verb, "RETR" | "STOR" | "APPE" | "STOU" | "LIST" | "NLST" | "MLSD")
}
