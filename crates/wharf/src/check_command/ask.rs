//! `wharf check --ask`: what a client of some server meets, step by step, and what would help.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256};
use wharf_load::{ControlClient, Error, ErrorKind, ListingResult, Tls, TlsInfo, TlsMode, Trust};
use wharf_server::diagnostics::is_private;

use super::page::Page;
use crate::certificate::{ParsedCertificate, names_of};
use crate::cli::check::Check;
use crate::outcome::Failure;
use crate::remote_server::{resolve, split, system_roots};
use crate::share::{ask_password, read_password_file};

/// The longest wait for one step: a firewall that drops what it does not like is silent.
const PATIENCE: Duration = Duration::from_secs(15);
const PORT: u16 = 21;
/// Where TLS begins at once, by custom.
const PORT_IMPLICIT: u16 = 990;
const SHOWN_LETTERS_MAX: usize = 200;
/// What a greeting should be.
const READY: u16 = 220;

/// A server that is asked.
struct Asked<'a> {
    host: String,
    address: SocketAddr,
    options: &'a Check,
}

/// A connection, and what it is worth.
struct Met {
    visit: ControlClient,
    is_secure: bool,
    /// Whether the certificate shows who the server is.
    is_proven: bool,
}

pub(super) fn look(server: &str, options: &Check, page: &mut Page) -> Result<(), Failure> {
    let (host, port) = split(server, PORT)?;
    let address = resolve(&host, port)?;
    page.line(format!("{host} at {address}"));
    let asked = Asked { host, address, options };
    let Some(met) = asked.meet(page) else { return Ok(()) };
    let Some(user) = &options.user else {
        page.note(
            "data connections were not tried: servers give none before a login",
            "wharf check --ask HOST --user NAME",
        );
        return Ok(());
    };
    let Some(mut visit) = asked.log_in(met, user, page)? else { return Ok(()) };
    asked.try_data(&mut visit, page);
    // It may hang up instead.
    let _ = visit.say("QUIT");
    Ok(())
}

impl Asked<'_> {
    fn is_implicit(&self) -> bool {
        self.address.port() == PORT_IMPLICIT
    }

    /// Connects, is greeted, and puts TLS on.
    fn meet(&self, page: &mut Page) -> Option<Met> {
        let roots = match system_roots() {
            Ok(roots) => Trust::Roots(Arc::new(roots)),
            Err(failure) => return self.meet_unproven(&failure.message, page),
        };
        let mut visit = self.open(page)?;
        let Some(verified) = self.tls(roots) else {
            return Some(Met { visit, is_secure: false, is_proven: false });
        };
        if !self.is_implicit() {
            self.greet(&mut visit, page)?;
            features(&mut visit, page);
            match visit.say("AUTH TLS") {
                Ok(reply) if reply.code == 234 => {}
                Ok(reply) => {
                    page.warn(
                        format!("it offers no TLS: {} {}", reply.code, shown(&reply.text())),
                        "passwords and files can be read on the way; switch TLS on at the server",
                    );
                    return Some(Met { visit, is_secure: false, is_proven: false });
                }
                Err(error) => return failed(&error, page),
            }
        }
        match visit.secure(&verified) {
            Ok(secured) => {
                tell_of_tls(&secured, page);
                page.row("verified", "yes: what this system trusts leads to its certificate");
                if self.is_implicit() {
                    self.greet(&mut visit, page)?;
                }
                Some(Met { visit, is_secure: true, is_proven: true })
            }
            Err(Error { kind: ErrorKind::Tls(why), .. }) => self.meet_unproven(&why, page),
            Err(error) => failed(&error, page),
        }
    }

    /// The same, taking any certificate: a client that asks its user would go on.
    fn meet_unproven(&self, why: &str, page: &mut Page) -> Option<Met> {
        let any = self.tls(Trust::Any)?;
        let mut visit = self.open(page)?;
        if !self.is_implicit() {
            match visit.greeting().and_then(|_| visit.say("AUTH TLS")) {
                Ok(reply) if reply.code == 234 => {}
                Ok(_) => return Some(Met { visit, is_secure: false, is_proven: false }),
                Err(error) => return failed(&error, page),
            }
        }
        match visit.secure(&any) {
            Ok(secured) => tell_of_tls(&secured, page),
            Err(error) => return failed(&error, page),
        }
        page.row("verified", &format!("no: {}", shown(why)));
        page.warn(
            format!("clients that check it refuse or ask about its certificate: {why}"),
            "with a certificate of an authority, for the name that clients use, nobody is asked",
        );
        if self.is_implicit() {
            self.greet(&mut visit, page)?;
        }
        Some(Met { visit, is_secure: true, is_proven: false })
    }

    fn tls(&self, trust: Trust) -> Option<Tls> {
        let name = ServerName::try_from(self.host.clone()).ok()?;
        let mode = if self.is_implicit() { TlsMode::Implicit } else { TlsMode::Explicit };
        Some(Tls { mode, trust, name })
    }

    fn open(&self, page: &mut Page) -> Option<ControlClient> {
        match ControlClient::open(self.address, PATIENCE) {
            Ok(visit) => Some(visit),
            Err(error) => {
                let remedy = match error.kind {
                    ErrorKind::TimedOut => {
                        "a firewall on the way drops it, or the router does not forward this port"
                    }
                    _ => "does it listen there? at the server:  wharf check ports net",
                };
                page.fail(error.to_string(), remedy);
                None
            }
        }
    }

    fn greet(&self, visit: &mut ControlClient, page: &mut Page) -> Option<()> {
        match visit.greeting() {
            Ok(reply) if reply.code == READY => {
                page.row("greeting", &shown(&reply.text()));
                Some(())
            }
            Ok(reply) => {
                page.fail(
                    format!("it turns us away: {} {}", reply.code, shown(&reply.text())),
                    "is it full, or is this address banned there? at the server:  wharf ban list",
                );
                None
            }
            Err(error) => {
                let remedy = match error.kind {
                    ErrorKind::TimedOut => {
                        "something else may listen there, or TLS begins at once: try port 990"
                    }
                    _ => "another program listens at this port: name the port of the FTP server",
                };
                page.fail(format!("{} does not speak FTP: {error}", self.address), remedy);
                None
            }
        }
    }

    fn log_in(
        &self,
        met: Met,
        user: &str,
        page: &mut Page,
    ) -> Result<Option<ControlClient>, Failure> {
        let Met { mut visit, is_secure, is_proven } = met;
        if !is_secure {
            page.fail(
                "the password was not sent: without TLS anything on the way could read it",
                "switch TLS on at the server",
            );
            return Ok(None);
        }
        let is_near = is_private(self.address.ip());
        if !(is_near || self.options.insecure || is_proven) {
            page.fail(
                "the password was not sent: the certificate could not be verified",
                "if that is fine:  --insecure",
            );
            return Ok(None);
        }
        let password = password(self.options)?;
        if user.contains(['\r', '\n']) || password.contains(['\r', '\n']) {
            return Err(Failure::usage("name and password are one line each"));
        }
        let said = visit.say(&format!("USER {user}")).and_then(|reply| match reply.code {
            331 => visit.say(&format!("PASS {password}")),
            _ => Ok(reply),
        });
        match said {
            Ok(reply) if (200..300).contains(&reply.code) => {
                page.row("login", &shown(&reply.text()));
            }
            Ok(reply) => {
                page.fail(
                    format!("{user} cannot log in: {} {}", reply.code, shown(&reply.text())),
                    "name, password, or does the server want TLS from here?",
                );
                return Ok(None);
            }
            Err(error) => {
                failed::<()>(&error, page);
                return Ok(None);
            }
        }
        for line in ["PBSZ 0", "PROT P"] {
            match visit.say(line) {
                Ok(reply) if (200..300).contains(&reply.code) => {}
                Ok(reply) => page.warn(
                    format!("it refuses {line}: {} {}", reply.code, shown(&reply.text())),
                    "data would not be encrypted",
                ),
                Err(error) => {
                    failed::<()>(&error, page);
                    return Ok(None);
                }
            }
        }
        Ok(Some(visit))
    }

    /// A listing each over EPSV, PASV and active mode.
    fn try_data(&self, visit: &mut ControlClient, page: &mut Page) {
        match visit.passive(true).and_then(|at| visit.list_at(at)) {
            Ok(listed) => page.row("EPSV", &told(&listed)),
            Err(error) => no_data("EPSV", &error, page),
        }
        if self.address.ip().to_canonical().is_ipv4() {
            self.try_pasv(visit, page);
        }
        match visit.list_active() {
            Ok(listed) => page.row("active", &told(&listed)),
            Err(error) => page.note(
                format!("active mode does not work from here: {error}"),
                "that is usual behind NAT and firewalls; passive mode is what clients use",
            ),
        }
    }

    fn try_pasv(&self, visit: &mut ControlClient, page: &mut Page) {
        let at = match visit.passive(false) {
            Ok(at) => at,
            Err(error) => return no_data("PASV", &error, page),
        };
        let (announced, ours) = (at.ip(), self.address.ip().to_canonical());
        if announced == ours {
            match visit.list_at(at) {
                Ok(listed) => page.row("PASV", &format!("{at}, {}", told(&listed))),
                Err(error) => no_data("PASV", &error, page),
            }
            return;
        }
        let what = format!("PASV announces {announced}, but the server was reached at {ours}");
        let remedy = if is_private(announced) && !is_private(ours) {
            format!("set passive.public_address to {ours}, or to the name that clients use")
        } else {
            format!("is that the same server? else set passive.public_address to {ours}")
        };
        match visit.list_at(at) {
            Ok(listed) => {
                page.row("PASV", &format!("{at}, {}", told(&listed)));
                page.note(what, remedy);
            }
            Err(_) => {
                page.fail(format!("{what}, and no data connection comes to be there"), remedy);
            }
        }
    }
}

fn no_data(how: &str, error: &Error, page: &mut Page) {
    let remedy = match &error.kind {
        ErrorKind::TimedOut => {
            "a firewall on the way drops it: open the server's passive ports there, and \
             forward them on its router"
        }
        ErrorKind::Io(std::io::ErrorKind::ConnectionRefused, _) => {
            "nothing listens there: the router or the container does not forward the passive \
             ports, or forwards them to other numbers"
        }
        ErrorKind::Refused { code: 425, .. } => {
            "the server saw no connection of ours: something on the way changes addresses or \
             ports; at the server:  wharf check net"
        }
        ErrorKind::Refused { code: 500..=502, .. } => {
            page.note(format!("it knows no {how}"), "few clients need it");
            return;
        }
        ErrorKind::Tls(_) => "see the server's log; tls.session_reuse may be what it misses",
        _ => "see the server's log; at the server:  wharf check net",
    };
    page.fail(format!("no data connection over {how}: {error}"), remedy);
}

fn password(options: &Check) -> Result<String, Failure> {
    if let Some(file) = &options.password_file {
        return read_password_file(file);
    }
    match std::env::var("WHARF_PASSWORD") {
        Ok(password) => Ok(password),
        Err(_) => ask_password("Password: "),
    }
}

fn features(visit: &mut ControlClient, page: &mut Page) {
    let Ok(reply) = visit.say("FEAT") else { return };
    let count = reply.lines.len();
    let inner = reply.lines.get(1..count.saturating_sub(1)).unwrap_or_default();
    let words: Vec<_> = inner.iter().map(|line| line.trim()).collect();
    if words.is_empty() {
        page.row("features", "none told");
    } else {
        page.row("features", &shown(&words.join(", ")));
    }
}

fn tell_of_tls(secured: &TlsInfo, page: &mut Page) {
    page.row("TLS", &format!("{} {}", secured.version, secured.cipher));
    let Some(own) = secured.chain.first() else { return };
    page.row("certificate", &described(own));
    let end = ParsedCertificate::of(own).and_then(|certificate| certificate.not_after);
    if let Some(end) = end.filter(|end| *end < Timestamp::now()) {
        page.fail(
            format!("its certificate ended on {}", end.strftime("%Y-%m-%d")),
            "put a new one in its place; clients refuse this one",
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

fn told(listed: &ListingResult) -> String {
    let tls = match listed.is_resumed {
        None => "not encrypted",
        Some(true) => "encrypted, proven to be of the same session",
        Some(false) => "encrypted",
    };
    format!("a listing of {} bytes came, {tls}", listed.bytes)
}

fn failed<T>(error: &Error, page: &mut Page) -> Option<T> {
    page.fail(error.to_string(), "see the server's log");
    None
}

/// What a stranger's server says, made fit for a terminal.
fn shown(text: &str) -> String {
    let harmless = |letter: char| if letter.is_control() { '?' } else { letter };
    text.chars().map(harmless).take(SHOWN_LETTERS_MAX).collect()
}
