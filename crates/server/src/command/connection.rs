//! Where data goes: PASV, EPSV, PORT, EPRT, ABOR.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;
use wharf_core::event::Event;
use wharf_proto::address::{
    EprtError, EpsvArg, epsv_numbers, parse_eprt, parse_epsv, parse_port, pasv_numbers,
};
use wharf_proto::reply::Code;

use super::spec::{Arg, Meanwhile, Run, Spec};
use crate::data::DataPort;
use crate::next::Next;
use crate::refusal::Refusal;
use crate::session::Session;

pub(super) static ROWS: &[&Spec] = &[&PASV, &EPSV, &PORT, &EPRT, &ABOR];

/// Ports below belong to services that a client must not make us knock at (RFC 2577 §3).
const PORT_MIN: u16 = 1024;
/// How long a passive port is kept for a client that then asks for no transfer.
const UNUSED_MAX: Duration = Duration::from_secs(30);

static PASV: Spec = Spec {
    verb: "PASV",
    syntax: "PASV",
    about: "Listen for a data connection, over IPv4",
    rfc: "RFC 959 §4.1.2",
    keeps_pending: true,
    run: Run::Later(|session, _| Box::pin(pasv(session))),
    ..Spec::LOGGED_IN
};

async fn pasv(session: &mut Session) -> Result<Next, Refusal> {
    refuse_if_extended_only(session)?;
    let IpAddr::V4(local) = session.local.ip() else {
        return Next::say(Code::NOT_IMPLEMENTED, "PASV knows IPv4 only; use EPSV.");
    };
    let port = listen(session).await?;
    let address = announced(session, local);
    Next::say(Code::PASSIVE, format!("Entering passive mode ({}).", pasv_numbers(address, port)))
}

/// The address for PASV: near clients get the one they know, others the public one.
fn announced(session: &Session, local: Ipv4Addr) -> Ipv4Addr {
    let passive = &session.settings.passive;
    let is_near = passive.local_networks.iter().any(|near| near.contains(&session.peer.ip()));
    let public = if is_near { None } else { passive.public_address };
    public.or(passive.address).unwrap_or(local)
}

static EPSV: Spec = Spec {
    verb: "EPSV",
    syntax: "EPSV [1|2|ALL]",
    about: "Listen for a data connection, over IPv4 or IPv6",
    rfc: "RFC 2428 §3",
    arg: Arg::Optional,
    keeps_pending: true,
    features: |_| vec!["EPSV".into()],
    run: Run::Later(|session, arg| Box::pin(epsv(session, arg))),
    ..Spec::LOGGED_IN
};

async fn epsv(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let is_ipv4 = session.local.is_ipv4();
    match parse_epsv(arg) {
        Ok(EpsvArg::All) => {
            session.parameters.is_extended_only = true;
            return Next::say(Code::OK, "From now on EPSV alone is used.");
        }
        Ok(EpsvArg::V4) if !is_ipv4 => return wrong_family(2),
        Ok(EpsvArg::V6) if is_ipv4 => return wrong_family(1),
        Ok(EpsvArg::Any | EpsvArg::V4 | EpsvArg::V6) => {}
        Err(EprtError::UnknownFamily) => return wrong_family(if is_ipv4 { 1 } else { 2 }),
        Err(EprtError::Syntax) => {
            return Next::say(Code::BAD_ARGUMENT, "Send EPSV alone, EPSV 1, EPSV 2 or EPSV ALL.");
        }
    }
    let port = listen(session).await?;
    Next::say(
        Code::EXTENDED_PASSIVE,
        format!("Entering extended passive mode {}", epsv_numbers(port)),
    )
}

/// RFC 2428 §2 wants the families that would do in brackets at the end.
fn wrong_family(family: u8) -> Result<Next, Refusal> {
    Next::say(Code::PROTOCOL_REFUSED, format!("Not over this connection; use ({family})"))
}

/// Takes a port in place of whatever stood for the next transfer, and says which.
async fn listen(session: &mut Session) -> Result<u16, Refusal> {
    session.data = None;
    let ports = &session.shared.ports;
    let Some(lease) = ports.lease(&*session.shared.net, session.local.ip()).await else {
        session.emit(&Event::DataFailed {
            reason: "every port of passive.ports is in use; widen the range",
        });
        return Err(Refusal::say(
            Code::NO_DATA_CONNECTION,
            "All data ports are in use; try again.",
        ));
    };
    let port = lease.port();
    let until = Instant::now() + session.settings.passive.accept_timeout.max(UNUSED_MAX);
    session.data = Some(DataPort::Passive { lease, until });
    Ok(port)
}

fn refuse_if_extended_only(session: &Session) -> Result<(), Refusal> {
    if session.parameters.is_extended_only {
        return Err(Refusal::say(Code::BAD_ARGUMENT, "You chose EPSV ALL, so EPSV alone is used."));
    }
    Ok(())
}

static PORT: Spec = Spec {
    verb: "PORT",
    syntax: "PORT <h1,h2,h3,h4,p1,p2>",
    about: "Connect to the client for data, over IPv4",
    rfc: "RFC 959 §4.1.2",
    arg: Arg::Required,
    keeps_pending: true,
    run: Run::Now(port),
    ..Spec::LOGGED_IN
};

fn port(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    session.data = None;
    let to = parse_port(arg)?;
    connect_later(session, SocketAddr::V4(to))
}

static EPRT: Spec = Spec {
    verb: "EPRT",
    syntax: "EPRT |1|<address>|<port>|",
    about: "Connect to the client for data, over IPv4 or IPv6",
    rfc: "RFC 2428 §2",
    arg: Arg::Required,
    keeps_pending: true,
    features: |session| {
        if session.settings.active.is_enabled { vec!["EPRT".into()] } else { Vec::new() }
    },
    run: Run::Now(eprt),
    ..Spec::LOGGED_IN
};

fn eprt(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    session.data = None;
    match parse_eprt(arg) {
        Ok(to) => connect_later(session, to),
        Err(EprtError::UnknownFamily) => {
            Next::say(Code::PROTOCOL_REFUSED, "That network protocol is not known; use (1,2)")
        }
        Err(EprtError::Syntax) => {
            Next::say(Code::BAD_ARGUMENT, "Send EPRT |1|192.0.2.1|4021| or the like.")
        }
    }
}

/// Remembers where to connect, after every check and before any socket is made: only to the
/// client's own address (no bounce, RFC 2577 §2), never to a port of a service.
fn connect_later(session: &mut Session, to: SocketAddr) -> Result<Next, Refusal> {
    if !session.settings.active.is_enabled {
        return Next::say(Code::NOT_IMPLEMENTED, "Active mode is off here; use passive mode.");
    }
    refuse_if_extended_only(session)?;
    if to.ip().to_canonical() != session.peer.ip() {
        return Next::say(Code::NOT_UNDERSTOOD, "Data goes to your own address only.");
    }
    if to.port() < PORT_MIN {
        return Next::say(Code::BAD_PARAMETER, "Data does not go to ports below 1024.");
    }
    session.data = Some(DataPort::Active(SocketAddr::new(session.peer.ip(), to.port())));
    Next::say(Code::OK, "Will connect there.")
}

static ABOR: Spec = Spec {
    verb: "ABOR",
    syntax: "ABOR",
    about: "End the transfer that is running",
    rfc: "RFC 959 §4.1.3",
    meanwhile: Meanwhile::Abort,
    run: Run::Now(abor),
    ..Spec::LOGGED_IN
};

/// ABOR with no transfer: the one that it meant may have ended as it came.
fn abor(session: &mut Session, _: &[u8]) -> Result<Next, Refusal> {
    session.data = None;
    Next::say(Code::TRANSFER_DONE, "No transfer is running.")
}
