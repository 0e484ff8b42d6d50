//! Transfer parameters: TYPE, MODE, STRU, REST, ALLO, OPTS.

use wharf_core::permission::Permissions;
use wharf_proto::args::{
    Mode, TransferType, parse_allo, parse_mode, parse_offset, parse_opts, parse_opts_mode,
    parse_structure,
};
use wharf_proto::facts::FactSet;
use wharf_proto::reply::Code;

use super::spec::{Arg, Run, Spec};
use crate::digest::Algorithm;
use crate::next::Next;
use crate::refusal::Refusal;
use crate::session::{Session, TransferOrder};
use crate::settings::Ascii;

pub(super) static ROWS: &[&Spec] = &[&TYPE, &MODE, &STRU, &REST, &ALLO, &OPTS];

static TYPE: Spec = Spec {
    verb: "TYPE",
    syntax: "TYPE A|I|L 8",
    about: "Set the transfer type: ASCII (A) or binary (I, L 8)",
    rfc: "RFC 959 §4.1.2",
    arg: Arg::Required,
    keeps_pending: true,
    run: Run::Sync(transfer_type),
    ..Spec::logged_in(Permissions::NONE)
};

fn transfer_type(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    session.parameters.transfer_type = TransferType::parse(arg)?;
    session.transfer_order.note(TransferOrder::TypeFirst);
    match session.parameters.transfer_type {
        TransferType::Ascii => {
            // A byte offset has no meaning in converted text.
            session.pending.restart_at = 0;
            Next::reply(Code::OK, "Type set to A (line endings are converted).")
        }
        TransferType::Image => Next::reply(Code::OK, "Type set to I."),
    }
}

static MODE: Spec = Spec {
    verb: "MODE",
    syntax: "MODE S|Z",
    about: "Set the transfer mode: stream (S) or compressed with zlib (Z)",
    rfc: "RFC 959 §4.1.2, draft-preston-ftpext-deflate-04",
    arg: Arg::Required,
    keeps_pending: true,
    features: |session| {
        if session.settings.compat.mode_z { vec!["MODE Z".into()] } else { Vec::new() }
    },
    restriction: |session| {
        if session.settings.compat.mode_z { "" } else { "; Z is disabled" }
    },
    restricted_syntax: |session| (!session.settings.compat.mode_z).then_some("MODE S"),
    run: Run::Sync(mode),
    ..Spec::logged_in(Permissions::NONE)
};

fn mode(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    match parse_mode(arg)? {
        Mode::Stream => {
            session.parameters.mode = Mode::Stream;
            Next::reply(Code::OK, "Mode set to S.")
        }
        Mode::Deflate if session.settings.compat.mode_z => {
            session.parameters.mode = Mode::Deflate;
            Next::reply(Code::OK, "Mode set to Z (compressed with zlib).")
        }
        Mode::Deflate => Next::reply(Code::BAD_PARAMETER, "MODE Z is disabled; use MODE S."),
    }
}

static STRU: Spec = Spec {
    verb: "STRU",
    syntax: "STRU F",
    about: "Set the file structure; only F (file) is supported",
    rfc: "RFC 959 §4.1.2",
    arg: Arg::Required,
    keeps_pending: true,
    run: Run::Sync(|_, arg| {
        parse_structure(arg)?;
        Next::reply(Code::OK, "Structure set to F.")
    }),
    ..Spec::logged_in(Permissions::NONE)
};

static REST: Spec = Spec {
    verb: "REST",
    syntax: "REST <bytes>",
    about: "Set the offset at which the next transfer starts",
    rfc: "RFC 3659 §5",
    arg: Arg::Required,
    keeps_pending: true,
    features: |_| vec!["REST STREAM".into()],
    run: Run::Sync(rest),
    ..Spec::logged_in(Permissions::NONE)
};

fn rest(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    session.pending.restart_at = 0;
    let offset = parse_offset(arg)?;
    if offset > 0 && is_ascii(session) {
        return Next::reply(
            Code::BAD_PARAMETER,
            "REST not allowed in ASCII mode; send TYPE I first.",
        );
    }
    session.pending.restart_at = offset;
    Next::reply(Code::PENDING, format!("Restarting at {offset}; send STOR or RETR."))
}

/// Whether transfers convert line endings.
pub(super) fn is_ascii(session: &Session) -> bool {
    session.parameters.transfer_type == TransferType::Ascii
        && session.settings.compat.ascii == Ascii::Convert
}

static ALLO: Spec = Spec {
    verb: "ALLO",
    syntax: "ALLO <bytes>",
    about: "Announce the size of an upload, to check for space and for truncation",
    rfc: "RFC 959 §4.1.3",
    arg: Arg::Required,
    keeps_pending: true,
    run: Run::Async(|session, arg| Box::pin(allo(session, arg))),
    ..Spec::logged_in(Permissions::NONE)
};

async fn allo(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    session.pending.announced = None;
    let bytes = parse_allo(arg)?;
    session.files()?.check_size(&session.cwd, bytes).await?;
    // Clients that do not know the size send 0.
    session.pending.announced = Some(bytes).filter(|bytes| *bytes > 0);
    // Some cameras treat 202 as a failure and retry forever.
    Next::reply(Code::OK, "ALLO command successful.")
}

static OPTS: Spec = Spec {
    verb: "OPTS",
    syntax: "OPTS UTF8 ON|OFF, OPTS MLST <facts>, OPTS MODE Z LEVEL <0-9>, OPTS HASH <algorithm>",
    about: "Set an option of a command",
    rfc: "RFC 2389 §4",
    arg: Arg::Required,
    keeps_pending: true,
    features: |session| {
        if session.names.offers_utf8() { vec!["UTF8".into()] } else { Vec::new() }
    },
    run: Run::Sync(opts),
    ..Spec::any_time()
};

fn opts(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    // Some clients send `UTF-8`, which is not a valid verb.
    if let Some(option) = utf_8_option(arg) {
        return utf8(session, option);
    }
    let (feature, option) = parse_opts(arg)?;
    match feature.as_str() {
        "UTF8" | "UTF" => utf8(session, option),
        "MLST" => {
            session.parameters.facts = FactSet::parse_opts(option);
            Next::reply(Code::OK, format!("MLST OPTS {}", session.parameters.facts.selected()))
        }
        "MODE" if !session.settings.compat.mode_z => {
            Next::reply(Code::BAD_ARGUMENT, "MODE Z is disabled.")
        }
        "MODE" => {
            let level = parse_opts_mode(option)?.unwrap_or(session.parameters.deflate_level);
            session.parameters.deflate_level = level;
            Next::reply(Code::OK, format!("MODE Z LEVEL set to {level}."))
        }
        "HASH" => hash(session, option),
        _ => Next::reply(
            Code::BAD_ARGUMENT,
            "Option not supported; supported: UTF8, MLST, MODE, HASH.",
        ),
    }
}

/// The option after `UTF-8`.
fn utf_8_option(arg: &[u8]) -> Option<&[u8]> {
    let (word, rest) = arg.split_at_checked(5)?;
    let is_word = rest.is_empty() || rest.starts_with(b" ");
    (is_word && word.eq_ignore_ascii_case(b"UTF-8")).then_some(rest)
}

/// Sets the hash algorithm; without an argument, replies with the current one
/// (draft-bryan-ftpext-hash-02 §3.2).
fn hash(session: &mut Session, option: &[u8]) -> Result<Next, Refusal> {
    if !option.trim_ascii().is_empty() {
        let Some(algorithm) = Algorithm::named(option.trim_ascii()) else {
            let names: Vec<_> = Algorithm::EACH.iter().map(|known| known.name()).collect();
            let text = format!("Unknown hash algorithm; supported: {}.", names.join(", "));
            return Next::reply(Code::BAD_ARGUMENT, text);
        };
        session.parameters.hash = algorithm;
    }
    Next::reply(Code::OK, session.parameters.hash.name())
}

fn utf8(session: &mut Session, option: &[u8]) -> Result<Next, Refusal> {
    let is_on = match option.trim_ascii().to_ascii_uppercase().as_slice() {
        b"ON" | b"" => true,
        b"OFF" => false,
        _ => {
            return Next::reply(
                Code::BAD_ARGUMENT,
                "Invalid argument; use OPTS UTF8 ON or OPTS UTF8 OFF.",
            );
        }
    };
    let is_done = session.names.choose_utf8(is_on);
    let text = format!("File names are sent in {}.", session.names.charset());
    Next::reply(if is_done { Code::OK } else { Code::BAD_PARAMETER }, text)
}

#[cfg(test)]
mod tests {
    use wharf_core::permission::Permissions;

    use crate::settings::{Ascii, Compat, Encoding, Settings};
    use crate::testing::TestSession;

    fn bench() -> TestSession {
        TestSession::new().logged_in(Permissions::ALL)
    }

    #[tokio::test]
    async fn every_form_of_type_is_understood() {
        let mut bench = bench();
        for line in ["TYPE A", "TYPE a", "TYPE A N", "TYPE A T", "TYPE I", "TYPE i", "TYPE L 8"] {
            assert!(bench.send(line).await.starts_with("200"), "{line}");
        }
        assert!(bench.send("TYPE E").await.starts_with("504"));
        assert!(bench.send("TYPE L 36").await.starts_with("504"));
        assert!(bench.send("TYPE Q").await.starts_with("501"));
        assert_eq!(bench.send("MODE S").await, "200 Mode set to S.");
        assert!(bench.send("MODE B").await.starts_with("504"));
        assert_eq!(bench.send("stru f").await, "200 Structure set to F.");
        assert!(bench.send("STRU R").await.starts_with("504"));
    }

    #[tokio::test]
    async fn row_35_rest_needs_bytes_and_a_number() {
        let mut bench = bench();
        assert!(bench.send("REST 5").await.starts_with("504 REST not allowed in ASCII mode"));
        assert!(bench.send("REST 0").await.starts_with("350"));
        bench.send("TYPE I").await;
        assert_eq!(bench.send("REST 9223372036854775807").await.get(..3), Some("350"));
        assert_eq!(bench.session.pending.restart_at, u64::try_from(i64::MAX).unwrap());
        assert!(bench.send("REST 9223372036854775808").await.starts_with("501"));
        assert_eq!(bench.session.pending.restart_at, 0);
        assert_eq!(bench.send("REST -1").await, "501 Invalid argument. Syntax: REST <bytes>");
    }

    #[tokio::test]
    async fn text_can_be_switched_off() {
        let compat = Compat { ascii: Ascii::Binary, ..Compat::default() };
        let settings = Settings { compat, ..Settings::default() };
        let mut bench =
            TestSession::with(settings).logged_in(Permissions::ALL).with_file("/a", b"12345");
        assert_eq!(bench.send("SIZE a").await, "213 5");
        assert!(bench.send("REST 3").await.starts_with("350"));
    }

    #[tokio::test]
    async fn utf8_is_an_option_before_a_login() {
        let mut bench = TestSession::new();
        assert_eq!(bench.send("OPTS UTF8 ON").await, "200 File names are sent in UTF-8.");
        assert_eq!(bench.send("opts utf8 on").await, "200 File names are sent in UTF-8.");
        assert_eq!(bench.send("OPTS UTF-8 ON").await, "200 File names are sent in UTF-8.");
        assert_eq!(bench.send("opts utf-8").await, "200 File names are sent in UTF-8.");
        assert!(bench.send("OPTS UTF-8x ON").await.starts_with("501"));
        assert_eq!(bench.send("OPTS UTF8 OFF").await, "200 File names are sent in GBK.");
        assert!(bench.send("OPTS XYZ ON").await.starts_with("501"));
    }

    #[tokio::test]
    async fn a_pinned_set_is_not_offered_as_utf8() {
        let mut settings = Settings::default();
        settings.names.encoding = Encoding::Legacy;
        settings.names.legacy_encoding = Some(encoding_rs::GBK);
        let mut bench = TestSession::with(settings);
        assert!(!bench.send("FEAT").await.contains("UTF8"));
        assert_eq!(bench.send("OPTS UTF8 ON").await, "504 File names are sent in GBK.");
    }

    #[tokio::test]
    async fn row_12_feat_is_made_from_the_rows_and_names_no_ccc() {
        let mut bench = TestSession::new();
        assert_eq!(
            bench.send("FEAT").await,
            "211-Features: /  CLNT /  EPRT /  EPSV /  HASH SHA-256*;SHA-512;SHA-1;MD5;CRC32 /  \
             MDTM /  MFMT /  MLST type*;size*;modify*;create;perm*;unique*;UNIX.mode*; /  \
             REST STREAM /  RMDA <path> /  SIZE /  TVFS /  UTF8 / 211 End"
        );
    }

    #[tokio::test]
    async fn row_16_feat_names_mode_z_only_where_it_is_switched_on() {
        for is_on in [false, true] {
            let compat = Compat { mode_z: is_on, ..Compat::default() };
            let settings = Settings { compat, ..Settings::default() };
            let mut bench = TestSession::with(settings).logged_in(Permissions::ALL);
            assert_eq!(bench.send("FEAT").await.contains(" MODE Z "), is_on);
            let code = if is_on { "200" } else { "504" };
            assert!(bench.send("MODE Z").await.starts_with(code));
            let syntax = if is_on { "MODE S|Z" } else { "MODE S" };
            assert_eq!(bench.send("MODE").await, format!("501 Missing argument. Syntax: {syntax}"));
        }
    }
}
