//! May this command run now? Pure: looks at the row and the session, and touches nothing.

use wharf_proto::reply::Code;

use crate::command::{Arg, Spec, Stage};
use crate::refusal::Refusal;
use crate::session::Session;
use crate::settings::TlsRequire;

/// Lets a command through, or says why not.
pub(crate) fn admit(spec: &Spec, session: &Session, arg: &[u8]) -> Result<(), Refusal> {
    let disabled = &session.settings.compat.disabled_commands;
    if disabled.iter().any(|verb| verb == spec.verb || spec.also.contains(&verb.as_str())) {
        return Err(Refusal::say(Code::NOT_IMPLEMENTED, "That command is switched off here."));
    }
    if spec.stage == Stage::LoggedIn && session.logged_in().is_none() {
        return Err(Refusal::say(Code::NOT_LOGGED_IN, "Log in with USER and PASS first."));
    }
    if spec.arg == Arg::Required && arg.is_empty() {
        return Err(Refusal::say(
            Code::BAD_ARGUMENT,
            format!("An argument is missing: {}", spec.syntax),
        ));
    }
    if let Some(inside) = session.logged_in()
        && !inside.files.may_ever(spec.needs)
    {
        return Err(Refusal::unavailable("Your account has no right to do that."));
    }
    if spec.moves_data {
        data_can_move(session)?;
    }
    Ok(())
}

fn data_can_move(session: &Session) -> Result<(), Refusal> {
    let needs_all = session.settings.tls.as_ref().is_some_and(|tls| tls.require == TlsRequire::All);
    if needs_all && !session.parameters.is_private {
        return Err(Refusal::say(
            Code::PROTECTION_REFUSED,
            "Data connections must be protected here: send PROT P.",
        ));
    }
    if session.data.is_none() {
        return Err(Refusal::say(
            Code::NO_DATA_CONNECTION,
            "Say where the data goes first: PASV, EPSV, PORT or EPRT.",
        ));
    }
    Ok(())
}
