//! The server, account and trusted certificates of a run, and hints for errors.

use std::io::IsTerminal;
use std::sync::Arc;

use rustls_pki_types::ServerName;
use wharf_config::outcome::{Exit, Failure};
use wharf_config::password::{ask_password, check_password, read_password_file};
use wharf_load::{Error, ErrorKind, TargetServer, TlsMode, TlsOptions, Trust};

use crate::cli::bench::{BenchArgs, BenchTlsMode};
use crate::remote_server::{resolve, roots, split, system_roots};

/// Resolves the server and prompts for a missing password.
pub(super) fn target(options: &BenchArgs) -> Result<TargetServer, Failure> {
    let usual = if options.tls == BenchTlsMode::Implicit { 990 } else { 21 };
    let (host, port) = split(&options.server, usual)?;
    let tls = tls(options, &host)?;
    let address = resolve(&host, port)?;
    let user = options.username.as_deref().unwrap_or(ANONYMOUS);
    let mut target = TargetServer::new(address, user, password(options)?);
    target.tls = tls;
    Ok(target)
}

const ANONYMOUS: &str = "anonymous";

fn password(options: &BenchArgs) -> Result<String, Failure> {
    if let Some(file) = &options.password_file {
        return read_password_file(file);
    }
    match (&options.password, &options.username) {
        (Some(text), _) => check_password(text).map(|()| text.clone()),
        // The usual password of anonymous users (RFC 1635).
        (None, None) => Ok("wharf@".to_owned()),
        (None, Some(_)) if std::io::stdin().is_terminal() => ask_password("Password: "),
        (None, Some(_)) => {
            Err(Failure::usage("cannot prompt for the password: standard input is not a terminal")
                .hint("use --password-file FILE, or --password-file - for standard input"))
        }
    }
}

fn tls(options: &BenchArgs, host: &str) -> Result<Option<TlsOptions>, Failure> {
    let mode = match options.tls {
        BenchTlsMode::Off => return Ok(None),
        BenchTlsMode::Explicit => TlsMode::Explicit,
        BenchTlsMode::Implicit => TlsMode::Implicit,
    };
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::usage(format!("invalid host name `{host}`")))?;
    let trust = match &options.ca_file {
        _ if options.insecure => Trust::Any,
        Some(file) => Trust::Roots(Arc::new(roots(file)?)),
        None => Trust::Roots(Arc::new(system_roots()?)),
    };
    Ok(Some(TlsOptions { mode, trust, name }))
}

/// Error of the first connection, with a hint.
pub(super) fn failure(error: &Error, options: &BenchArgs) -> Failure {
    let reported = Failure::new(error.to_string());
    let is_tls = options.tls != BenchTlsMode::Off;
    match &error.kind {
        ErrorKind::Tls(_) => reported.hint(
            "for a certificate that the system does not trust: --ca-file FILE, or --insecure",
        ),
        ErrorKind::Rejected { .. } if error.step.starts_with("AUTH") => {
            reported.hint("to send the password unencrypted:  --tls off")
        }
        ErrorKind::Rejected { .. } if error.step.starts_with("USER") && !is_tls => {
            reported.hint("the server may require TLS:  --tls explicit")
        }
        ErrorKind::Rejected { .. } if error.step.starts_with("connect") => {
            reported.hint("the server may be full; use fewer clients:  --sessions 1")
        }
        ErrorKind::Rejected { code: 421, .. } => {
            reported.hint("the server may be full; use fewer clients:  --sessions 1")
        }
        ErrorKind::Rejected { .. } => {
            reported.hint("check the user name (-u NAME) and password (--password-file FILE)")
        }
        ErrorKind::TimedOut | ErrorKind::Closed | ErrorKind::InvalidReply(_) if is_tls => {
            reported.hint("check the port and the TLS mode:  --tls explicit or implicit")
        }
        ErrorKind::Io(std::io::ErrorKind::PermissionDenied, _) => {
            Failure { exit: Exit::Forbidden, ..reported }
        }
        ErrorKind::Io(..) | ErrorKind::TimedOut => {
            reported.hint("check host and port:  wharf bench HOST:PORT")
        }
        _ => reported,
    }
}
