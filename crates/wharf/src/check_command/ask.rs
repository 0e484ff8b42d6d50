//! `wharf check --ask`: checks a server as a client, step by step.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256};
use wharf_config::outcome::Failure;
use wharf_config::password::{ask_password, read_password_file};
use wharf_load::{
    ControlClient, Error, ErrorKind, ListingResult, TlsInfo, TlsMode, TlsOptions, Trust, last_line,
};
use wharf_proto::reply::Code;
use wharf_runtime::certificate::{ParsedCertificate, names_of};
use wharf_server::diagnostics::is_private;

use super::page::CheckPage;
use crate::cli::check::CheckArgs;
use crate::remote_server::{resolve, split, system_roots};

/// Timeout of one step: a firewall that drops packets does not reply.
const TIMEOUT: Duration = Duration::from_secs(15);
const PORT: u16 = 21;
/// The usual port of implicit TLS.
const PORT_IMPLICIT: u16 = 990;
const SHOWN_LETTERS_MAX: usize = 200;

/// The server to check.
struct RemoteCheck<'a> {
    host: String,
    address: SocketAddr,
    options: &'a CheckArgs,
}

/// A connection, and whether its certificate was verified.
struct CheckedConnection {
    control: ControlClient,
    is_secure: bool,
    /// Whether the certificate was verified.
    is_verified: bool,
}

pub(super) fn inspect(
    server: &str,
    options: &CheckArgs,
    page: &mut CheckPage,
) -> Result<(), Failure> {
    let (host, port) = split(server, PORT)?;
    let address = resolve(&host, port)?;
    let is_address = host.parse::<IpAddr>().is_ok();
    page.line(if is_address { address.to_string() } else { format!("{host} ({address})") });
    let remote = RemoteCheck { host, address, options };
    let Some(checked) = remote.connect(page) else { return Ok(()) };
    let Some(user) = &options.user else {
        page.note(
            "data connections were not tested: they require a login",
            "wharf check --ask HOST --user NAME",
        );
        return Ok(());
    };
    let Some(mut control) = remote.log_in(checked, user, page)? else { return Ok(()) };
    remote.try_data(&mut control, page);
    // The server may close the connection instead.
    let _ = control.command("QUIT");
    Ok(())
}

impl RemoteCheck<'_> {
    fn is_implicit(&self) -> bool {
        self.address.port() == PORT_IMPLICIT
    }

    /// Connects, reads the greeting, and starts TLS.
    fn connect(&self, page: &mut CheckPage) -> Option<CheckedConnection> {
        let roots = match system_roots() {
            Ok(roots) => Trust::Roots(Arc::new(roots)),
            Err(failure) => return self.connect_unverified(&failure.message, page),
        };
        let mut control = self.open(page)?;
        let Some(verified) = self.tls(roots) else {
            return Some(CheckedConnection { control, is_secure: false, is_verified: false });
        };
        if !self.is_implicit() {
            self.greet(&mut control, page)?;
            features(&mut control, page);
            match control.command("AUTH TLS") {
                Ok(reply) if reply.code == Code::SECURITY_DONE => {}
                Ok(reply) => {
                    page.warn(
                        format!("TLS is not offered: {} {}", reply.code, shown(&last_line(&reply))),
                        "passwords and files are sent unencrypted; enable TLS at the server",
                    );
                    return Some(CheckedConnection {
                        control,
                        is_secure: false,
                        is_verified: false,
                    });
                }
                Err(error) => return failed(&error, page),
            }
        }
        match control.secure(&verified) {
            Ok(secured) => {
                report_tls(&secured, page);
                page.row("verified", "yes: the certificate is trusted by this system");
                if self.is_implicit() {
                    self.greet(&mut control, page)?;
                }
                Some(CheckedConnection { control, is_secure: true, is_verified: true })
            }
            Err(Error { kind: ErrorKind::Tls(why), .. }) => self.connect_unverified(&why, page),
            Err(error) => failed(&error, page),
        }
    }

    /// The same, accepting any certificate, as clients do after confirmation by their user.
    fn connect_unverified(&self, why: &str, page: &mut CheckPage) -> Option<CheckedConnection> {
        let any = self.tls(Trust::Any)?;
        let mut control = self.open(page)?;
        if !self.is_implicit() {
            match control.greeting().and_then(|_| control.command("AUTH TLS")) {
                Ok(reply) if reply.code == Code::SECURITY_DONE => {}
                Ok(_) => {
                    return Some(CheckedConnection {
                        control,
                        is_secure: false,
                        is_verified: false,
                    });
                }
                Err(error) => return failed(&error, page),
            }
        }
        match control.secure(&any) {
            Ok(secured) => report_tls(&secured, page),
            Err(error) => return failed(&error, page),
        }
        let why = verification_fault(why);
        page.row("verified", &format!("no: {why}"));
        page.warn(
            format!("clients that verify the certificate reject it or ask their user: {why}"),
            "use a certificate of a trusted CA for the host name that clients use",
        );
        if self.is_implicit() {
            self.greet(&mut control, page)?;
        }
        Some(CheckedConnection { control, is_secure: true, is_verified: false })
    }

    fn tls(&self, trust: Trust) -> Option<TlsOptions> {
        let name = ServerName::try_from(self.host.clone()).ok()?;
        let mode = if self.is_implicit() { TlsMode::Implicit } else { TlsMode::Explicit };
        Some(TlsOptions { mode, trust, name })
    }

    fn open(&self, page: &mut CheckPage) -> Option<ControlClient> {
        match ControlClient::open(self.address, TIMEOUT) {
            Ok(control) => Some(control),
            Err(error) => {
                let hint = match error.kind {
                    ErrorKind::TimedOut => {
                        "a firewall drops the connection, or the router does not forward this port"
                    }
                    _ => {
                        "check that the server listens there; on the server:  wharf check ports net"
                    }
                };
                page.fail(error.to_string(), hint);
                None
            }
        }
    }

    fn greet(&self, control: &mut ControlClient, page: &mut CheckPage) -> Option<()> {
        match control.greeting() {
            Ok(reply) if reply.code == Code::READY => {
                page.row("greeting", &shown(&last_line(&reply)));
                Some(())
            }
            Ok(reply) => {
                page.fail(
                    format!(
                        "the connection is rejected: {} {}",
                        reply.code,
                        shown(&last_line(&reply))
                    ),
                    "the server may be full, or the address banned; on the server:  wharf ban list",
                );
                None
            }
            Err(error) => {
                let hint = match error.kind {
                    ErrorKind::TimedOut => {
                        "another service may listen there, or it uses implicit TLS: try port 990"
                    }
                    _ => "another program listens on this port: give the port of the FTP server",
                };
                page.fail(format!("{} is not an FTP server: {error}", self.address), hint);
                None
            }
        }
    }

    fn log_in(
        &self,
        checked: CheckedConnection,
        user: &str,
        page: &mut CheckPage,
    ) -> Result<Option<ControlClient>, Failure> {
        let CheckedConnection { mut control, is_secure, is_verified } = checked;
        if !is_secure {
            page.fail(
                "the password was not sent: the connection is not encrypted",
                "enable TLS at the server",
            );
            return Ok(None);
        }
        let is_near = is_private(self.address.ip());
        if !(is_near || self.options.insecure || is_verified) {
            page.fail(
                "the password was not sent: the certificate could not be verified",
                "to send it anyway:  --insecure",
            );
            return Ok(None);
        }
        let password = password(self.options)?;
        if user.contains(['\r', '\n']) || password.contains(['\r', '\n']) {
            return Err(Failure::usage("invalid user name or password: it contains a line break"));
        }
        let login_reply =
            control.command(&format!("USER {user}")).and_then(|reply| match reply.code {
                Code::NEED_PASSWORD => control.command(&format!("PASS {password}")),
                _ => Ok(reply),
            });
        match login_reply {
            Ok(reply) if reply.code.is_success() => {
                page.row("login", &shown(&last_line(&reply)));
            }
            Ok(reply) => {
                page.fail(
                    format!("login of {user} failed: {} {}", reply.code, shown(&last_line(&reply))),
                    "check user name and password; the server may require TLS",
                );
                return Ok(None);
            }
            Err(error) => {
                failed::<()>(&error, page);
                return Ok(None);
            }
        }
        for line in ["PBSZ 0", "PROT P"] {
            match control.command(line) {
                Ok(reply) if reply.code.is_success() => {}
                Ok(reply) => page.warn(
                    format!("{line} is rejected: {} {}", reply.code, shown(&last_line(&reply))),
                    "data connections would not be encrypted",
                ),
                Err(error) => {
                    failed::<()>(&error, page);
                    return Ok(None);
                }
            }
        }
        Ok(Some(control))
    }

    /// A listing over each of EPSV, PASV and active mode.
    fn try_data(&self, control: &mut ControlClient, page: &mut CheckPage) {
        match control.passive(true).and_then(|at| control.list_at(at)) {
            Ok(listed) => page.row("EPSV", &described_listing(&listed)),
            Err(error) => no_data("EPSV", &error, page),
        }
        if self.address.ip().to_canonical().is_ipv4() {
            self.try_pasv(control, page);
        }
        match control.list_active() {
            Ok(listed) => page.row("active", &described_listing(&listed)),
            Err(error) => page.note(
                format!("active mode failed: {error}"),
                "this is usual behind NAT and firewalls; clients use passive mode by default",
            ),
        }
    }

    fn try_pasv(&self, control: &mut ControlClient, page: &mut CheckPage) {
        let at = match control.passive(false) {
            Ok(at) => at,
            Err(error) => return no_data("PASV", &error, page),
        };
        let (announced, ours) = (at.ip(), self.address.ip().to_canonical());
        if announced == ours {
            match control.list_at(at) {
                Ok(listed) => page.row("PASV", &format!("{at}, {}", described_listing(&listed))),
                Err(error) => no_data("PASV", &error, page),
            }
            return;
        }
        let what = format!("PASV announces {announced}, but the server was reached at {ours}");
        let hint = if is_private(announced) && !is_private(ours) {
            format!("set passive.public_address to {ours}, or to the host name that clients use")
        } else {
            format!("if that is not the same server, set passive.public_address to {ours}")
        };
        match control.list_at(at) {
            Ok(listed) => {
                page.row("PASV", &format!("{at}, {}", described_listing(&listed)));
                page.note(what, hint);
            }
            Err(_) => {
                page.fail(format!("{what}, and data connections to it fail"), hint);
            }
        }
    }
}

fn no_data(how: &str, error: &Error, page: &mut CheckPage) {
    let hint = match &error.kind {
        ErrorKind::TimedOut => {
            "a firewall drops the connection: open the passive ports of the server there, and \
             forward them on its router"
        }
        ErrorKind::Io(std::io::ErrorKind::ConnectionRefused, _) => {
            "nothing listens there: the router or the container does not forward the passive \
             ports, or forwards them to other numbers"
        }
        ErrorKind::Rejected { code: 425, .. } => {
            "the server received no data connection: a device between changes addresses or \
             ports; on the server:  wharf check net"
        }
        ErrorKind::Rejected { code: 500..=502, .. } => {
            page.note(format!("{how} is not supported"), "few clients need it");
            return;
        }
        ErrorKind::Tls(_) => "see the log of the server; tls.session_reuse may be the cause",
        _ => "see the log of the server; on the server:  wharf check net",
    };
    page.fail(format!("data connection with {how} failed: {error}"), hint);
}

fn password(options: &CheckArgs) -> Result<String, Failure> {
    if let Some(file) = &options.password_file {
        return read_password_file(file);
    }
    match std::env::var("WHARF_PASSWORD") {
        Ok(password) => Ok(password),
        Err(_) => ask_password("Password: "),
    }
}

fn features(control: &mut ControlClient, page: &mut CheckPage) {
    let Ok(reply) = control.command("FEAT") else { return };
    let count = reply.lines.len();
    let inner = reply.lines.get(1..count.saturating_sub(1)).unwrap_or_default();
    let words: Vec<_> =
        inner.iter().map(|line| String::from_utf8_lossy(line.trim_ascii())).collect();
    if words.is_empty() {
        page.row("features", "none");
    } else {
        page.row("features", &shown(&words.join(", ")));
    }
}

fn report_tls(secured: &TlsInfo, page: &mut CheckPage) {
    page.row("TLS", &format!("{} {}", secured.version, secured.cipher));
    let Some(own) = secured.chain.first() else { return };
    page.row("certificate", &described(own));
    let end = ParsedCertificate::of(own).and_then(|certificate| certificate.not_after);
    if let Some(end) = end.filter(|end| *end < Timestamp::now()) {
        page.fail(
            format!("the certificate expired on {}", end.strftime("%Y-%m-%d")),
            "replace it; clients reject it",
        );
    }
}

fn described(own: &CertificateDer<'_>) -> String {
    let hex: Vec<_> = Sha256::digest(own).iter().map(|byte| format!("{byte:02X}")).collect();
    let until = ParsedCertificate::of(own).and_then(|certificate| certificate.not_after);
    let until =
        until.map_or_else(String::new, |end| format!(", until {}", end.strftime("%Y-%m-%d")));
    let names = shown(&names_of(own).join(", "));
    format!("for {names}{until}, sha256 {}", hex.join(":"))
}

fn described_listing(listed: &ListingResult) -> String {
    let tls = match listed.is_resumed {
        None => "not encrypted",
        Some(true) => "encrypted, TLS session resumed",
        Some(false) => "encrypted",
    };
    format!("received a listing of {} bytes, {tls}", listed.bytes)
}

fn failed<T>(error: &Error, page: &mut CheckPage) -> Option<T> {
    page.fail(error.to_string(), "see the log of the server");
    None
}

/// Why a certificate is not trusted, in the words of browsers.
fn verification_fault(why: &str) -> String {
    let fault = why.strip_prefix("invalid peer certificate: ").unwrap_or(why);
    match fault {
        "UnknownIssuer" => "the certificate authority is unknown".to_owned(),
        _ if fault.contains("CaUsedAsEndEntity") => "the certificate is self-signed".to_owned(),
        _ => shown(why),
    }
}

/// Text of an untrusted server, escaped for a terminal.
fn shown(text: &str) -> String {
    let harmless = |letter: char| if letter.is_control() { '?' } else { letter };
    text.chars().map(harmless).take(SHOWN_LETTERS_MAX).collect()
}
