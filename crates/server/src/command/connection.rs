//! Data connections: PASV, EPSV, PORT, EPRT, ABOR.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;
use wharf_core::event::Event;
use wharf_core::permission::Permissions;
use wharf_proto::address::{
    EprtError, EpsvArg, epsv_numbers, parse_eprt, parse_epsv, parse_port, pasv_numbers,
};
use wharf_proto::reply::Code;

use super::spec::{Arg, Meanwhile, Run, Spec};
use crate::data::{DataPort, PassiveOffer};
use crate::diagnostics::{Cause, is_private};
use crate::next::Next;
use crate::refusal::Refusal;
use crate::registry::End;
use crate::session::{Pending, Session, TransferOrder};

pub(super) static ROWS: &[&Spec] = &[&PASV, &EPSV, &PORT, &EPRT, &ABOR];

/// Ports below this belong to services, to which the server must not connect (RFC 2577 §3).
const PORT_MIN: u16 = 1024;
/// For an address of a third host (RFC 2577 §2), or a private one of a client behind NAT.
const FOREIGN: &str = "Invalid address: it differs from that of the control connection.";
/// Longer than libcurl looks for a reply after it sends a command, about 20 us.
const PASSIVE_REPLY_PAUSE: Duration = Duration::from_micros(200);
/// How long a passive port is reserved when no transfer command follows.
const UNUSED_MAX: Duration = Duration::from_secs(30);

static PASV: Spec = Spec {
    verb: "PASV",
    syntax: "PASV",
    about: "Enter passive mode (IPv4)",
    rfc: "RFC 959 §4.1.2",
    keeps_pending: true,
    run: Run::Async(|session, _| Box::pin(pasv(session))),
    ..Spec::logged_in(Permissions::NONE)
};

async fn pasv(session: &mut Session) -> Result<Next, Refusal> {
    reject_if_extended_only(session)?;
    let IpAddr::V4(local) = session.local.ip() else {
        return Next::reply(Code::NOT_IMPLEMENTED, "PASV supports IPv4 only; use EPSV.");
    };
    let address = announced(session, local);
    let port = listen(session, Some(address)).await?;
    Next::reply(Code::PASSIVE, format!("Entering Passive Mode ({}).", pasv_numbers(address, port)))
}

/// The address in the PASV reply: local clients get the local one, others the public one.
fn announced(session: &Session, local: Ipv4Addr) -> Ipv4Addr {
    let passive = &session.settings.passive;
    let is_near =
        passive.local_networks.iter().any(|near| near.contains(&session.handle.peer.ip()));
    let public = if is_near { None } else { session.shared.public_address() };
    public.or(passive.address).unwrap_or(local)
}

static EPSV: Spec = Spec {
    verb: "EPSV",
    syntax: "EPSV [1|2|ALL]",
    about: "Enter extended passive mode (IPv4 or IPv6)",
    rfc: "RFC 2428 §3",
    arg: Arg::Optional,
    keeps_pending: true,
    features: |_| vec!["EPSV".into()],
    run: Run::Async(|session, arg| Box::pin(epsv(session, arg))),
    ..Spec::logged_in(Permissions::NONE)
};

async fn epsv(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let is_ipv4 = session.local.is_ipv4();
    match parse_epsv(arg) {
        Ok(EpsvArg::All) => {
            session.parameters.is_extended_only = true;
            return Next::reply(Code::OK, "EPSV ALL command successful.");
        }
        Ok(EpsvArg::V4) if !is_ipv4 => return wrong_family(2),
        Ok(EpsvArg::V6) if is_ipv4 => return wrong_family(1),
        Ok(EpsvArg::Any | EpsvArg::V4 | EpsvArg::V6) => {}
        Err(_) => return wrong_family(if is_ipv4 { 1 } else { 2 }),
    }
    let port = listen(session, None).await?;
    Next::reply(
        Code::EXTENDED_PASSIVE,
        format!("Entering Extended Passive Mode {}", epsv_numbers(port)),
    )
}

/// RFC 2428 §2 requires the supported families in parentheses at the end.
fn wrong_family(family: u8) -> Result<Next, Refusal> {
    Next::reply(Code::PROTOCOL_REJECTED, format!("Network protocol not supported, use ({family})"))
}

/// Reserves a passive port, replacing any earlier data address, and returns its number.
async fn listen(session: &mut Session, announced: Option<Ipv4Addr>) -> Result<u16, Refusal> {
    session.give_up_port();
    let (identity, shared) = (session.identity(), &session.shared);
    let lease = tokio::select! {
        biased;
        lease = shared.ports.lease_in_turn(&*shared.net, session.local, &identity) => lease,
        _ = session.handle.ended(End::Now) => None,
    };
    let Some(lease) = lease else {
        session.emit(&Event::DataConnectionFailed {
            reason: "every port of passive.ports is in use; widen the range",
        });
        session.diagnose(Cause::NoPort, String::new(), announced);
        return Err(Refusal::new(
            Code::NO_DATA_CONNECTION,
            "Cannot open data connection: all passive ports are in use; try again later.",
        ));
    };
    let port = lease.port();
    let until = Instant::now() + session.settings.passive.accept_timeout.max(UNUSED_MAX);
    let offer = PassiveOffer { at: Instant::now(), announced, was_rejected: false };
    let passive = DataPort::Passive { lease, until, offer, is_watched: false };
    session.data = Some(Box::new(passive));
    session.transfer_order.note(TransferOrder::PassiveFirst);
    if let Some(pause) = passive_reply_pause(session) {
        session.shared.blocking_pool.pause(pause).await;
    }
    Ok(port)
}

/// How long the reply to PASV and EPSV is withheld. libcurl (7.88.1, say) looks for a reply as it
/// sends the command; one that is there already leaves it without a socket to wait on, and it
/// connects only after a second.
fn passive_reply_pause(session: &Session) -> Option<Duration> {
    (session.transfer_order == TransferOrder::PassiveFirst).then_some(PASSIVE_REPLY_PAUSE)
}

fn reject_if_extended_only(session: &Session) -> Result<(), Refusal> {
    if session.parameters.is_extended_only {
        return Err(Refusal::new(
            Code::BAD_ARGUMENT,
            "Command not allowed after EPSV ALL; use EPSV.",
        ));
    }
    Ok(())
}

static PORT: Spec = Spec {
    verb: "PORT",
    syntax: "PORT <h1,h2,h3,h4,p1,p2>",
    about: "Set the address for active mode (IPv4)",
    rfc: "RFC 959 §4.1.2",
    // A missing argument is handled like an invalid one, by `port` itself.
    arg: Arg::Optional,
    keeps_pending: true,
    run: Run::Sync(port),
    ..Spec::logged_in(Permissions::NONE)
};

fn port(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    connect_later(session, parse_port(arg).map(SocketAddr::V4).map_err(Refusal::from), "PORT")
}

static EPRT: Spec = Spec {
    verb: "EPRT",
    syntax: "EPRT |1|<address>|<port>|",
    about: "Set the address for active mode (IPv4 or IPv6)",
    rfc: "RFC 2428 §2",
    // A missing argument is handled like an invalid one, by `eprt` itself.
    arg: Arg::Optional,
    keeps_pending: true,
    features: |session| {
        if session.settings.active.is_enabled { vec!["EPRT".into()] } else { Vec::new() }
    },
    run: Run::Sync(eprt),
    ..Spec::logged_in(Permissions::NONE)
};

fn eprt(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let to = parse_eprt(arg).map_err(|error| match error {
        EprtError::UnknownFamily => {
            Refusal::new(Code::PROTOCOL_REJECTED, "Network protocol not supported, use (1,2)")
        }
        EprtError::Syntax => Refusal::new(
            Code::BAD_ARGUMENT,
            "Invalid EPRT argument; use the form EPRT |1|192.0.2.1|4021|.",
        ),
    });
    connect_later(session, to, "EPRT")
}

/// Stores the address for the next transfer. A rejected address also clears the previous one and
/// the restart point, so that the next transfer does not use them.
fn connect_later(
    session: &mut Session,
    to: Result<SocketAddr, Refusal>,
    verb: &str,
) -> Result<Next, Refusal> {
    session.give_up_port();
    match to.and_then(|to| admitted(session, to)) {
        Ok(address) => {
            session.data = Some(Box::new(DataPort::Active(address)));
            Next::reply(Code::OK, format!("{verb} command successful."))
        }
        Err(refusal) => {
            session.pending = Pending::default();
            Err(refusal)
        }
    }
}

/// Checks the address before any socket is created: only the client's own address (FTP bounce,
/// RFC 2577 §2), and no port of a service.
fn admitted(session: &Session, to: SocketAddr) -> Result<SocketAddr, Refusal> {
    let reject = |code, text: &'static str| Err(Refusal::new(code, text));
    if !session.settings.active.is_enabled {
        return reject(
            Code::NOT_IMPLEMENTED,
            "Active mode is disabled; use passive mode (PASV or EPSV).",
        );
    }
    reject_if_extended_only(session)?;
    // lftp sends `::` for its own address in active mode over IPv6.
    if to.ip().to_canonical() != session.handle.peer.ip() && !to.ip().is_unspecified() {
        if is_private(to.ip()) && !is_private(session.handle.peer.ip()) {
            session.diagnose(Cause::NamedPrivate, to.ip().to_string(), None);
        }
        return reject(Code::NOT_UNDERSTOOD, FOREIGN);
    }
    if to.port() < PORT_MIN {
        return reject(
            Code::BAD_PARAMETER,
            "Invalid port: data connections to ports below 1024 are denied.",
        );
    }
    let mut address = session.handle.peer;
    address.set_port(to.port());
    Ok(address)
}

static ABOR: Spec = Spec {
    verb: "ABOR",
    syntax: "ABOR",
    about: "Abort the current transfer",
    rfc: "RFC 959 §4.1.3",
    meanwhile: Meanwhile::Abort,
    run: Run::Sync(abor),
    ..Spec::logged_in(Permissions::NONE)
};

/// ABOR without a transfer; it may have ended just before.
fn abor(session: &mut Session, _: &[u8]) -> Result<Next, Refusal> {
    session.give_up_port();
    Next::reply(Code::TRANSFER_DONE, "No transfer to abort.")
}

#[cfg(test)]
mod tests {
    use wharf_core::permission::Permissions;

    use super::*;
    use crate::settings::{PassiveSettings, Settings};
    use crate::testing::TestSession;

    fn bench() -> TestSession {
        TestSession::new().logged_in(Permissions::ALL)
    }

    #[tokio::test]
    async fn the_reply_to_epsv_is_withheld_for_a_client_that_sends_it_before_type() {
        for (lines, is_withheld) in [
            (&["PWD", "EPSV"][..], true),
            (&["PWD", "PASV"], true),
            (&["PWD", "EPSV", "TYPE I", "EPSV"], true),
            (&["PWD", "TYPE I", "EPSV"], false),
            (&["TYPE A", "PASV", "TYPE I", "PASV"], false),
        ] {
            let mut bench = bench();
            for line in lines {
                bench.send(line).await;
            }
            let pause = passive_reply_pause(&bench.session);
            assert_eq!(pause.is_some(), is_withheld, "{lines:?}");
        }
    }

    #[tokio::test]
    async fn row_01_data_goes_to_no_other_address() {
        for line in [
            "PORT 192,0,2,8,100,1",
            "PORT 127,0,0,1,100,1",
            "PORT 255,255,255,255,100,1",
            "EPRT |1|192.0.2.8|4021|",
            "EPRT |1|127.0.0.1|4021|",
            "EPRT |2|2001:db8::1|4021|",
            "EPRT |2|::1|4021|",
            "EPRT |2|::ffff:192.0.2.8|4021|",
            "EPRT |2|::192.0.2.7|4021|",
            "EPRT |2|64:ff9b::192.0.2.7|4021|",
            "EPRT |2|2002:c000:0207::1|4021|",
        ] {
            let mut bench = bench();
            assert_eq!(bench.send(line).await, format!("500 {FOREIGN}"), "{line}");
            assert!(bench.session.data.is_none());
            assert!(bench.send("LIST").await.starts_with("425"), "{line}");
        }
    }

    #[tokio::test]
    async fn row_02_data_goes_to_no_port_of_a_service() {
        for port in 0..1024 {
            let mut bench = bench();
            let port_line = format!("PORT 192,0,2,7,{},{}", port / 256, port % 256);
            for line in [port_line, format!("EPRT |1|192.0.2.7|{port}|")] {
                let reply = bench.send(&line).await;
                assert!(reply.starts_with("504 Invalid port: "), "{line}: {reply}");
            }
            assert!(bench.session.data.is_none());
        }
        let mut bench = bench();
        assert!(bench.send("PORT 192,0,2,7,4,0").await.starts_with("200"));
        assert!(bench.send("EPRT |1|192.0.2.7|65535|").await.starts_with("200"));
    }

    #[tokio::test]
    async fn row_02_an_invalid_port_resets_the_previous_one_and_the_restart_point() {
        for (line, code) in [
            ("PORT 1,2,3", "501"),
            ("PORT", "501"),
            ("EPRT", "501"),
            ("EPRT |1|x|4021|", "501"),
            ("EPRT |3|x|4021|", "522"),
            ("PORT 192,0,2,8,100,1", "500"),
            ("EPRT |1|192.0.2.7|80|", "504"),
        ] {
            let mut bench = bench();
            assert_eq!(bench.send("PORT 192,0,2,7,100,1").await, "200 PORT command successful.");
            assert!(bench.send("TYPE I").await.starts_with("200"));
            assert!(bench.send("REST 5").await.starts_with("350"));
            assert!(bench.send(line).await.starts_with(code), "{line}");
            assert!(bench.send("RETR a").await.starts_with("425"), "{line}");
            assert_eq!(bench.session.pending.restart_at, 0, "{line}");
        }
    }

    #[tokio::test]
    async fn row_01_an_ipv6_form_of_the_own_ipv4_address_is_the_own_address() {
        let mut bench = bench();
        let reply = bench.send("EPRT |2|::ffff:192.0.2.7|4021|").await;
        assert_eq!(reply, "200 EPRT command successful.");
    }

    #[tokio::test]
    async fn row_01_no_address_means_the_own_one() {
        let mut bench = bench();
        assert_eq!(bench.send("EPRT |2|::|4021|").await, "200 EPRT command successful.");
        let to = SocketAddr::new(bench.session.handle.peer.ip(), 4021);
        let port = bench.session.data.as_deref();
        assert!(matches!(port, Some(DataPort::Active(at)) if *at == to));
    }

    #[tokio::test]
    async fn epsv_all_shuts_out_the_others() {
        let mut bench = bench();
        assert!(bench.send("EPSV ALL").await.starts_with("200"));
        for line in ["PASV", "PORT 192,0,2,7,100,1", "EPRT |1|192.0.2.7|4021|"] {
            assert!(bench.send(line).await.starts_with("501"), "{line}");
        }
        assert!(bench.send("EPSV").await.starts_with("229"));
    }

    #[tokio::test]
    async fn an_unsupported_family_gets_522_with_the_supported_one() {
        let mut bench = bench();
        assert_eq!(bench.send("EPSV 2").await, "522 Network protocol not supported, use (1)");
        for line in ["EPSV 0", "EPSV 99", "EPSV IPX", "EPSV ALL 1", "EPSV |3|"] {
            assert!(bench.send(line).await.starts_with("522"), "{line}");
        }
        assert!(bench.send("EPSV 1").await.starts_with("229"));
        assert!(bench.send("EPSV").await.starts_with("229"));
        assert!(bench.send("EPSV 3").await.starts_with("522"));
        assert!(bench.send("EPRT |3|x|1|").await.starts_with("522"));
    }

    /// `TestNet` only listens on even ports, as if other programs used the odd ones.
    #[tokio::test(start_paused = true)]
    async fn row_04_both_ends_of_the_range_are_used_and_nothing_beyond_it() {
        let passive = PassiveSettings { ports: 40_000..=40_002, ..PassiveSettings::default() };
        let mut first = TestSession::with(Settings { passive, ..Settings::default() });
        let mut ports = Vec::new();
        let shared = first.session.shared.clone();
        for _ in 0..2 {
            let identity = first.session.identity();
            let lease = shared.ports.lease(&*shared.net, first.session.local, &identity).await;
            ports.push(lease.unwrap());
        }
        let mut numbers: Vec<_> = ports.iter().map(crate::ports::Lease::port).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [40_000, 40_002]);
        first = first.logged_in(Permissions::ALL);
        let reply = first.send("PASV").await;
        assert!(reply.starts_with("425 Cannot open data connection: all passive ports"), "{reply}");
        drop(ports);
        assert!(first.send("PASV").await.starts_with("227"));
        assert_eq!(shared.ports.leased(), 1);
    }

    /// Any other waits for five seconds.
    #[tokio::test(start_paused = true)]
    async fn a_session_that_is_ended_does_not_wait_for_a_port() {
        for (is_ended, waited_s) in [(false, 5), (true, 0)] {
            let passive = PassiveSettings { ports: 40_000..=40_000, ..PassiveSettings::default() };
            let bench = TestSession::with(Settings { passive, ..Settings::default() });
            let shared = bench.session.shared.clone();
            let (local, identity) = (bench.session.local, bench.session.identity());
            let held = shared.ports.lease(&*shared.net, local, &identity).await;
            let mut bench = bench.logged_in(Permissions::ALL);
            if is_ended {
                bench.session.handle.end(End::Now, "disconnected by the administrator");
            }
            let before = Instant::now();
            assert!(bench.send("EPSV").await.starts_with("425"));
            assert_eq!(before.elapsed().as_secs(), waited_s, "ended: {is_ended}");
            drop(held);
        }
    }

    #[tokio::test]
    async fn local_clients_get_the_local_address_and_others_the_public_one() {
        let passive = PassiveSettings {
            public_address: Some("203.0.113.9".parse().unwrap()),
            ..PassiveSettings::default()
        };
        let mut far =
            TestSession::with(Settings { passive: passive.clone(), ..Settings::default() })
                .logged_in(Permissions::ALL);
        assert!(far.send("PASV").await.contains("(203,0,113,9,"));
        let local_networks = vec!["192.0.2.0/24".parse().unwrap()];
        let passive = PassiveSettings { local_networks, ..passive };
        let mut near = TestSession::with(Settings { passive, ..Settings::default() })
            .logged_in(Permissions::ALL);
        assert!(near.send("PASV").await.contains("(192,0,2,1,"));
    }

    #[tokio::test]
    async fn row_04_abor_without_a_transfer_releases_the_port() {
        let mut bench = bench();
        bench.send("PASV").await;
        assert_eq!(bench.send("ABOR").await, "226 No transfer to abort.");
        assert_eq!(bench.session.shared.ports.leased(), 0);
    }
}
