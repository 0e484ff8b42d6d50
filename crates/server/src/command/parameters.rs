//! How the next transfer goes: TYPE, MODE, STRU, REST, ALLO, OPTS.

use wharf_proto::args::{
    TransferType, parse_allo, parse_mode, parse_offset, parse_opts, parse_structure,
};
use wharf_proto::facts::FactSet;
use wharf_proto::reply::Code;

use super::spec::{Arg, Run, Spec};
use crate::next::Next;
use crate::refusal::Refusal;
use crate::session::Session;
use crate::settings::Ascii;

pub(super) static ROWS: &[&Spec] = &[&TYPE, &MODE, &STRU, &REST, &ALLO, &OPTS];

static TYPE: Spec = Spec {
    verb: "TYPE",
    syntax: "TYPE A|I|L 8",
    about: "Choose text with converted line ends (A) or bytes (I, L 8)",
    rfc: "RFC 959 §4.1.2",
    arg: Arg::Required,
    keeps_pending: true,
    run: Run::Now(transfer_type),
    ..Spec::LOGGED_IN
};

fn transfer_type(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    session.parameters.transfer_type = TransferType::parse(arg)?;
    match session.parameters.transfer_type {
        TransferType::Ascii => {
            // A byte count means nothing in converted text.
            session.pending.restart_at = 0;
            Next::say(Code::OK, "Type is A: line ends are converted.")
        }
        TransferType::Image => Next::say(Code::OK, "Type is I: bytes as they are."),
    }
}

static MODE: Spec = Spec {
    verb: "MODE",
    syntax: "MODE S",
    about: "Choose how bytes travel; only as a stream",
    rfc: "RFC 959 §4.1.2",
    arg: Arg::Required,
    keeps_pending: true,
    run: Run::Now(|_, arg| {
        parse_mode(arg)?;
        Next::say(Code::OK, "Mode is S.")
    }),
    ..Spec::LOGGED_IN
};

static STRU: Spec = Spec {
    verb: "STRU",
    syntax: "STRU F",
    about: "Choose the structure of files; only plain files",
    rfc: "RFC 959 §4.1.2",
    arg: Arg::Required,
    keeps_pending: true,
    run: Run::Now(|_, arg| {
        parse_structure(arg)?;
        Next::say(Code::OK, "Structure is F.")
    }),
    ..Spec::LOGGED_IN
};

static REST: Spec = Spec {
    verb: "REST",
    syntax: "REST <bytes>",
    about: "Begin the next transfer behind so many bytes",
    rfc: "RFC 3659 §5",
    arg: Arg::Required,
    keeps_pending: true,
    features: |_| vec!["REST STREAM".into()],
    run: Run::Now(rest),
    ..Spec::LOGGED_IN
};

fn rest(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    session.pending.restart_at = 0;
    let offset = parse_offset(arg)?;
    if offset > 0 && is_ascii(session) {
        return Next::say(Code::BAD_PARAMETER, "Send TYPE I first: text cannot be resumed.");
    }
    session.pending.restart_at = offset;
    Next::say(Code::PENDING, format!("The next transfer begins at {offset}."))
}

/// Whether transfers convert line ends.
pub(super) fn is_ascii(session: &Session) -> bool {
    session.parameters.transfer_type == TransferType::Ascii
        && session.settings.compat.ascii == Ascii::Convert
}

static ALLO: Spec = Spec {
    verb: "ALLO",
    syntax: "ALLO <bytes>",
    about: "Announce the size of an upload; never needed here",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Required,
    keeps_pending: true,
    // Some cameras take 202 for a failure and try for ever.
    run: Run::Now(|_, arg| {
        parse_allo(arg)?;
        Next::say(Code::OK, "Fine.")
    }),
    ..Spec::LOGGED_IN
};

static OPTS: Spec = Spec {
    verb: "OPTS",
    syntax: "OPTS UTF8 ON|OFF, OPTS MLST <facts>",
    about: "Set an option of a feature",
    rfc: "RFC 2389 §4",
    arg: Arg::Required,
    keeps_pending: true,
    features: |session| {
        if session.names.offers_utf8() { vec!["UTF8".into()] } else { Vec::new() }
    },
    run: Run::Now(opts),
    ..Spec::ANY_TIME
};

fn opts(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let (feature, option) = parse_opts(arg)?;
    match feature.as_str() {
        "UTF8" | "UTF" => utf8(session, option),
        "MLST" => {
            session.parameters.facts = FactSet::parse_opts(option);
            Next::say(Code::OK, format!("MLST OPTS {}", session.parameters.facts.selected()))
        }
        _ => Next::say(Code::BAD_ARGUMENT, "Only UTF8 and MLST have options here."),
    }
}

fn utf8(session: &mut Session, option: &[u8]) -> Result<Next, Refusal> {
    let is_on = match option.trim_ascii().to_ascii_uppercase().as_slice() {
        b"ON" | b"" => true,
        b"OFF" => false,
        _ => return Next::say(Code::BAD_ARGUMENT, "Send OPTS UTF8 ON or OPTS UTF8 OFF."),
    };
    let is_done = session.names.choose_utf8(is_on);
    let text = format!("Names are in {} here.", session.names.charset());
    Next::say(if is_done { Code::OK } else { Code::BAD_PARAMETER }, text)
}
