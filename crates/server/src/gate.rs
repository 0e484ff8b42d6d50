//! Whether a command may run now. Pure functions of the command's row and the session.

use wharf_core::permission::Permissions;
use wharf_proto::reply::Code;

use crate::command::{Arg, SessionStage, Spec};
use crate::refusal::Refusal;
use crate::session::Session;
use crate::settings::TlsRequire;

/// Admits a command, or returns the reason why not.
pub(crate) fn admit(spec: &Spec, session: &Session, arg: &[u8]) -> Result<(), Refusal> {
    let disabled = &session.settings.compat.disable_commands;
    if disabled.iter().any(|verb| verb == spec.verb || spec.also.contains(&verb.as_str())) {
        return Err(Refusal::new(
            Code::NOT_IMPLEMENTED,
            "Command not implemented: disabled by the administrator.",
        ));
    }
    if spec.stage == SessionStage::LoggedIn && session.logged_in().is_none() {
        return Err(Refusal::new(Code::NOT_LOGGED_IN, "Please login with USER and PASS."));
    }
    if spec.arg == Arg::Required && arg.is_empty() {
        let text = format!("Missing argument. Syntax: {}", spec.syntax_in(session));
        return Err(Refusal::new(Code::BAD_ARGUMENT, text));
    }
    if let Some(inside) = session.logged_in()
        && !inside.files.may_ever(spec.needs)
    {
        if spec.is_extra {
            let each = Permissions::EACH.iter().map(|(one, ..)| *one);
            let lacking = each
                .filter(|one| spec.needs.contains(*one) && !inside.files.may_ever(*one))
                .fold(Permissions::NONE, Permissions::union);
            let text = format!("Command not available: the account lacks permission {lacking}.");
            return Err(Refusal::new(Code::NOT_IMPLEMENTED, text));
        }
        return Err(Refusal::Denied(spec.needs));
    }
    if spec.moves_data {
        data_can_move(session)?;
    }
    Ok(())
}

fn data_can_move(session: &Session) -> Result<(), Refusal> {
    let needs_all = session.settings.tls.as_ref().is_some_and(|tls| tls.require == TlsRequire::All);
    if needs_all && !session.parameters.is_private {
        return Err(Refusal::new(
            Code::PROTECTION_REJECTED,
            "Data connection must be encrypted; send PROT P.",
        ));
    }
    if session.data.is_none() {
        return Err(Refusal::new(Code::NO_DATA_CONNECTION, "Use PASV, EPSV, PORT or EPRT first."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::rows;
    use crate::settings::Compat;
    use crate::testing::TestSession;

    fn code(spec: &Spec, session: &Session, arg: &[u8]) -> Option<u16> {
        let refusal = admit(spec, session, arg).err()?;
        Some(refusal.reply(spec.unavailable).code.number())
    }

    /// Before a login, all other commands are answered with 530, whatever their argument.
    #[test]
    fn row_19_24_only_these_commands_are_allowed_before_login() {
        let bench = TestSession::new();
        let open: Vec<_> = rows()
            .filter(|row| code(row, &bench.session, b"x") != Some(530))
            .map(|row| row.verb)
            .collect();
        let expected = [
            "USER", "PASS", "ACCT", "REIN", "QUIT", "AUTH", "PBSZ", "PROT", "CCC", "OPTS", "FEAT",
            "HELP", "SYST", "NOOP", "CLNT", "SITE HELP",
        ];
        assert_eq!(open, expected);
    }

    /// A browser must not get back what a web page made it send, and replies before a login do not
    /// reveal the software or its version.
    #[tokio::test(start_paused = true)]
    async fn row_10_51_no_reply_before_login_echoes_input_or_reveals_the_software() {
        const MARK: &str = "scriptalert1";
        let version = env!("CARGO_PKG_VERSION");
        for row in rows() {
            for line in [format!("{} {MARK}", row.verb), row.verb.to_owned()] {
                let mut bench = TestSession::new();
                let reply = bench.send(&line).await.to_ascii_lowercase();
                for word in [MARK, "wharf", version, "rust"] {
                    assert!(!reply.contains(word), "{line}: {reply}");
                }
            }
        }
    }

    /// Command x permission: a command needs all of its permissions, at least in one place, and a
    /// login.
    #[test]
    fn row_24_25_every_command_needs_all_of_its_permissions() {
        let each = || Permissions::EACH.iter().map(|(permission, ..)| *permission);
        let but = |lacking: Permissions| {
            each()
                .filter(|permission| *permission != lacking)
                .fold(Permissions::NONE, Permissions::union)
        };
        for row in rows().filter(|row| row.stage == SessionStage::LoggedIn) {
            let unauthenticated = TestSession::new();
            assert_eq!(code(row, &unauthenticated.session, b"x"), Some(530), "{}", row.verb);
            let exact = TestSession::new().logged_in(row.needs).ready();
            assert_eq!(code(row, &exact.session, b"x"), None, "{}", row.verb);
            for permission in each() {
                let bench = TestSession::new().logged_in(but(permission)).ready();
                let closed = if row.is_extra { 502 } else { row.unavailable.number() };
                let expected = row.needs.contains(permission).then_some(closed);
                assert_eq!(code(row, &bench.session, b"x"), expected, "{} {permission}", row.verb);
            }
        }
        for row in rows().filter(|row| row.stage == SessionStage::Any) {
            assert!(row.needs.is_empty(), "{}: needs permissions before a login", row.verb);
        }
    }

    /// The commands that each permission controls: the letters of pyftpdlib, and our additions.
    #[test]
    fn row_24_25_each_permission_controls_its_commands() {
        let table: Vec<_> = Permissions::EACH
            .iter()
            .map(|(permission, letter, name)| {
                let verbs: Vec<_> = rows()
                    .filter(|row| row.needs.contains(*permission))
                    .map(|row| row.verb)
                    .collect();
                format!("{letter} {name}: {}", verbs.join(" "))
            })
            .collect();
        let expected = [
            "e enter: CWD CDUP",
            "l list: LIST NLST MLSD MLST SIZE MDTM",
            "r read: RETR HASH RANG XCRC MD5 XMD5 XSHA1 XSHA256 XSHA512 SITE CPFR",
            "a append: APPE",
            "d delete: RMDA DELE",
            "d rmdir: RMD RMDA",
            "f rename: RNFR RNTO",
            "m mkdir: MKD",
            "w upload: STOR STOU SITE CPTO",
            "w overwrite: ",
            "M chmod: SITE CHMOD",
            "T mtime: MFMT SITE UTIME",
            "r hash: HASH RANG XCRC MD5 XMD5 XSHA1 XSHA256 XSHA512",
            "C copy: SITE CPFR SITE CPTO",
        ];
        assert_eq!(table, expected);
    }

    #[test]
    fn a_missing_argument_is_reported_with_the_syntax() {
        let bench = TestSession::new().logged_in(Permissions::ALL);
        for row in rows().filter(|row| row.arg == Arg::Required && !row.moves_data) {
            assert_eq!(code(row, &bench.session, b""), Some(501), "{}", row.verb);
        }
    }

    #[test]
    fn transfers_need_a_data_port() {
        let bench = TestSession::new().logged_in(Permissions::ALL);
        let moving: Vec<_> = rows()
            .filter(|row| code(row, &bench.session, b"x") == Some(425))
            .map(|row| row.verb)
            .collect();
        assert_eq!(moving, ["RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD"]);
    }

    #[test]
    fn a_command_can_be_disabled_by_any_of_its_names() {
        let compat = Compat { disable_commands: vec!["XPWD".into()], ..Compat::default() };
        let settings = crate::settings::Settings { compat, ..Default::default() };
        let bench = TestSession::with(settings).logged_in(Permissions::ALL);
        let off: Vec<_> = rows()
            .filter(|row| code(row, &bench.session, b"x") == Some(502))
            .map(|row| row.verb)
            .collect();
        assert_eq!(off, ["PWD"]);
    }
}
