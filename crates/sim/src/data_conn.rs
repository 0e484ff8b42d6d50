//! How simulated clients open data connections.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use wharf_proto::address::{parse_epsv_reply, parse_pasv_reply, pasv_numbers};

use crate::actions::text_of;
use crate::client::{Disconnected, ReplyEvent, SimClient};
use crate::link::SimLink;
use crate::net::SimListener;
use crate::stream::ClientStream;

/// How long a client waits for its data connection.
const CONNECT_MAX: Duration = Duration::from_secs(30);
/// An address that belongs to no client.
const UNEXPECTED_PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66));

/// How the data connection is opened.
pub(crate) enum DataRoute {
    To(SocketAddr),
    Listening(SimListener),
}

/// The start of a transfer.
pub(crate) enum TransferStart {
    /// It ended before it began.
    Rejected,
    Open {
        link: ClientStream,
        name: String,
    },
}

impl SimClient {
    /// PASV, EPSV, PORT or EPRT.
    pub(crate) async fn route(&mut self) -> Result<Option<DataRoute>, Disconnected> {
        let is_ipv4 = self.profile.address.is_ipv4();
        if self.rng.chance(1, 4) {
            let at = SocketAddr::new(self.profile.address, 0);
            let Ok(listener) = self.net.listen_at(at) else { return Ok(None) };
            let (ip, port) = (listener.address().ip(), listener.address().port());
            let line = match ip {
                IpAddr::V4(ip) if self.rng.chance(1, 2) => {
                    format!("PORT {}", pasv_numbers(ip, port))
                }
                ip => format!("EPRT |{}|{ip}|{port}|", if is_ipv4 { 1 } else { 2 }),
            };
            let reply = self.command(&line).await?;
            return Ok(reply.code.is_success().then_some(DataRoute::Listening(listener)));
        }
        let verb = if is_ipv4 && self.rng.chance(1, 2) { "PASV" } else { "EPSV" };
        let reply = self.command(verb).await?;
        let text = text_of(&reply);
        let to = match reply.code.number() {
            227 => parse_pasv_reply(text.as_bytes()).map(SocketAddr::V4),
            229 => parse_epsv_reply(text.as_bytes())
                .map(|port| SocketAddr::new(self.profile.server.ip(), port)),
            _ => return Ok(None),
        };
        let Some(to) = to else {
            self.report_violation("the reply contains no port");
            return Ok(None);
        };
        if self.rng.chance(1, 20) {
            self.connect_as_unexpected_peer(to).await;
        }
        Ok(Some(DataRoute::To(to)))
    }

    /// An unexpected peer connects to the passive port first, and sends data.
    async fn connect_as_unexpected_peer(&mut self, to: SocketAddr) {
        if let Ok(mut link) = self.net.dial(SocketAddr::new(UNEXPECTED_PEER, 0), to).await {
            self.log_line("an unexpected peer connects");
            let _ = timeout(CONNECT_MAX, link.write_all(b"intruder")).await;
        }
    }

    /// Sends the command and opens the data connection, in either order.
    pub(crate) async fn open(
        &mut self,
        command: &str,
        route: DataRoute,
    ) -> Result<TransferStart, Disconnected> {
        let mut link = None;
        let is_early = self.rng.chance(1, 2);
        if let (DataRoute::To(to), true) = (&route, is_early) {
            link = self.dial(*to).await;
        }
        self.send_commands(&[command]).await?;
        let name = match self.next_reply().await? {
            ReplyEvent::Final { .. } => return Ok(TransferStart::Rejected),
            ReplyEvent::Preliminary(reply) => text_of(&reply),
        };
        if link.is_none() {
            link = match &route {
                DataRoute::To(to) if !is_early => self.dial(*to).await,
                DataRoute::To(_) => None,
                DataRoute::Listening(listener) => timeout(CONNECT_MAX, listener.next()).await.ok(),
            };
        }
        let link = match link.map(ClientStream::Plain) {
            Some(link) => timeout(CONNECT_MAX, self.secured_data(link)).await,
            None => Ok(Err(io::ErrorKind::NotConnected.into())),
        };
        let Ok(Ok(link)) = link else {
            self.log_line("has no data connection");
            self.reply_to(verb_of(command)).await?;
            return Ok(TransferStart::Rejected);
        };
        Ok(TransferStart::Open { link, name })
    }

    async fn dial(&mut self, to: SocketAddr) -> Option<SimLink> {
        let from = SocketAddr::new(self.profile.address, 0);
        timeout(CONNECT_MAX, self.net.dial(from, to)).await.ok()?.ok()
    }
}

/// The verb of a command.
pub(crate) fn verb_of(command: &str) -> &str {
    command.split(' ').next().unwrap_or_default()
}
