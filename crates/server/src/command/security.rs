//! Protection: AUTH, PBSZ, PROT, CCC (RFC 2228, RFC 4217).

use wharf_proto::args::{ArgError, Protection, parse_pbsz, parse_prot};
use wharf_proto::reply::{Code, Reply};

use super::spec::{Arg, Run, Spec};
use crate::next::Next;
use crate::refusal::Refusal;
use crate::session::Session;
use crate::settings::{ListenTls, TlsRequire};

pub(super) static ROWS: &[&Spec] = &[&AUTH, &PBSZ, &PROT, &CCC];

static AUTH: Spec = Spec {
    verb: "AUTH",
    syntax: "AUTH TLS",
    about: "Start TLS on the control connection",
    rfc: "RFC 4217 §4",
    arg: Arg::Required,
    features: |session| if offers(session) { vec!["AUTH TLS".into()] } else { Vec::new() },
    run: Run::Sync(auth),
    ..Spec::any_time()
};

fn offers(session: &Session) -> bool {
    session.tls.is_some() && session.listen_tls != ListenTls::Off
}

fn auth(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    if !offers(session) {
        return Next::reply(Code::NOT_IMPLEMENTED, "TLS is not available.");
    }
    if session.is_tls() {
        return Next::reply(Code::BAD_SEQUENCE, "TLS is already active.");
    }
    let mechanism = arg.trim_ascii().to_ascii_uppercase();
    session.used_auth_ssl = mechanism == b"SSL";
    match mechanism.as_slice() {
        b"TLS" | b"TLS-C" | b"SSL" | b"TLS-P" => {
            Ok(Next::Secure(Reply::new(Code::SECURITY_DONE, "Proceed with TLS negotiation.")))
        }
        _ => Next::reply(Code::BAD_PARAMETER, "Security mechanism not supported; use AUTH TLS."),
    }
}

static PBSZ: Spec = Spec {
    verb: "PBSZ",
    syntax: "PBSZ 0",
    about: "Set the protection buffer size, always 0 with TLS",
    rfc: "RFC 4217 §8",
    arg: Arg::Required,
    keeps_pending: true,
    features: |session| if offers(session) { vec!["PBSZ".into()] } else { Vec::new() },
    run: Run::Sync(pbsz),
    ..Spec::any_time()
};

fn pbsz(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    parse_pbsz(arg)?;
    if !session.is_tls() {
        return Next::reply(Code::BAD_SEQUENCE, "PBSZ requires TLS; send AUTH TLS first.");
    }
    session.parameters.has_buffer_size = true;
    Next::reply(Code::OK, "PBSZ=0")
}

static PROT: Spec = Spec {
    verb: "PROT",
    syntax: "PROT C|P",
    about: "Set the protection of data connections: encrypted (P) or clear (C)",
    rfc: "RFC 4217 §9",
    arg: Arg::Required,
    keeps_pending: true,
    features: |session| if offers(session) { vec!["PROT".into()] } else { Vec::new() },
    run: Run::Sync(prot),
    ..Spec::any_time()
};

fn prot(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let protection = match parse_prot(arg) {
        Err(ArgError::Unsupported) => {
            return Next::reply(
                Code::PROTECTION_UNSUPPORTED,
                "Protection level not supported with TLS; use PROT P or PROT C.",
            );
        }
        Err(ArgError::Malformed) => {
            return Next::reply(
                Code::BAD_PARAMETER,
                "Unknown protection level; use PROT P or PROT C.",
            );
        }
        protection => protection?,
    };
    if !session.is_tls() || !session.parameters.has_buffer_size {
        return Next::reply(Code::BAD_SEQUENCE, "Send AUTH TLS and PBSZ 0 first.");
    }
    let needs_all = session.settings.tls.as_ref().is_some_and(|tls| tls.require == TlsRequire::All);
    match protection {
        Protection::Private => {
            session.parameters.is_private = true;
            Next::reply(Code::OK, "Protection level set to P.")
        }
        Protection::Clear if needs_all => {
            Next::reply(Code::POLICY_DENIED, "Data connections must be encrypted; use PROT P.")
        }
        Protection::Clear => {
            session.parameters.is_private = false;
            Next::reply(Code::OK, "Protection level set to C.")
        }
    }
}

static CCC: Spec = Spec {
    verb: "CCC",
    syntax: "CCC",
    about: "Return the control connection to clear text; always denied",
    rfc: "RFC 4217 §6",
    run: Run::Sync(ccc),
    ..Spec::any_time()
};

/// Always rejected: in clear text, an attacker on the path could inject commands.
fn ccc(session: &mut Session, _: &[u8]) -> Result<Next, Refusal> {
    if session.is_tls() {
        return Next::reply(
            Code::POLICY_DENIED,
            "CCC not allowed: the control connection must stay encrypted.",
        );
    }
    Next::reply(Code::PROTECTION_DENIED, "The control connection is not encrypted.")
}
