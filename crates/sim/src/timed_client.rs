//! A client that expects every reply within a bound, and reports a violation otherwise.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use wharf_proto::address::{parse_epsv_reply, parse_pasv_reply};
use wharf_proto::reply::Reply;

use crate::actions::text_of;
use crate::net::SimNet;
use crate::oracle::Oracle;
use crate::stream::{ClientStream, client_config};
use crate::world::SERVER;

/// Bytes of a read or a write.
const PIECE_BYTES: usize = 4 * 1024;

/// Something did not happen in time, and was reported.
#[derive(Debug)]
pub(crate) struct ClientFailure;

/// What a client may expect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// From a command to its reply.
    pub(crate) reply_max: Duration,
    /// Between two bytes of a transfer that may move.
    pub(crate) stall_max: Duration,
}

/// A client.
pub(crate) struct TimedClient {
    pub(crate) tag: String,
    pub(crate) address: IpAddr,
    pub(crate) bounds: Bounds,
    /// What it misses is a violation.
    is_checked: bool,
    net: SimNet,
    oracle: Oracle,
    control: ClientStream,
    unread: Vec<u8>,
    tls: Arc<ClientConfig>,
    is_private: bool,
}

impl TimedClient {
    /// Connects and reads the greeting.
    pub(crate) async fn connect(
        net: &SimNet,
        oracle: &Oracle,
        tag: &str,
        address: IpAddr,
        bounds: Bounds,
    ) -> Result<Self, ClientFailure> {
        let Ok(link) = net.dial(SocketAddr::new(address, 0), SERVER).await else {
            oracle.report_violation(format!("{tag}: cannot connect"));
            return Err(ClientFailure);
        };
        let mut client = Self {
            tag: tag.to_owned(),
            address,
            bounds,
            is_checked: true,
            net: net.clone(),
            oracle: oracle.clone(),
            control: ClientStream::Plain(link),
            unread: Vec::new(),
            tls: client_config(true),
            is_private: false,
        };
        client.expect(&[220]).await?;
        Ok(client)
    }

    pub(crate) async fn log_in(&mut self, user: &str, secret: &str) -> Result<(), ClientFailure> {
        self.command(&format!("USER {user}"), &[331]).await?;
        self.command(&format!("PASS {secret}"), &[230]).await?;
        self.command("TYPE I", &[200]).await.map(drop)
    }

    /// Starts TLS, for data connections too.
    pub(crate) async fn secure(mut self) -> Result<Self, ClientFailure> {
        self.command("AUTH TLS", &[234]).await?;
        let shaken = timeout(self.bounds.reply_max, self.control.secured(&self.tls)).await;
        let Ok(Ok(control)) = shaken else {
            if self.is_checked {
                self.oracle.report_violation(format!("{}: the TLS handshake fails", self.tag));
            }
            return Err(ClientFailure);
        };
        let mut secured = Self { control, is_private: true, ..self };
        secured.command("PBSZ 0", &[200]).await?;
        secured.command("PROT P", &[200]).await?;
        Ok(secured)
    }

    pub(crate) fn log_line(&self, what: &str) {
        self.oracle.log_line(&self.tag, what);
    }

    /// Reports that something did not happen.
    pub(crate) fn missed(&self, what: &str) -> ClientFailure {
        if self.is_checked {
            self.oracle.report_violation(format!("{}: {what}", self.tag));
        } else {
            self.log_line(what);
        }
        ClientFailure
    }

    /// From now on, what it misses does not count.
    pub(crate) fn unchecked(mut self) -> Self {
        self.is_checked = false;
        self
    }

    /// Sends a command, and expects one of these codes.
    pub(crate) async fn command(
        &mut self,
        line: &str,
        codes: &[u16],
    ) -> Result<Reply, ClientFailure> {
        self.send(line).await?;
        self.expect(codes).await
    }

    /// Sends lines in one write.
    pub(crate) async fn send(&mut self, lines: &str) -> Result<(), ClientFailure> {
        self.log_line(&format!("C: {}", lines.get(..60).unwrap_or(lines)));
        let bytes = format!("{lines}\r\n");
        let sending = async {
            self.control.write_all(bytes.as_bytes()).await?;
            self.control.flush().await
        };
        match timeout(self.bounds.reply_max, sending).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(self.missed(&format!("cannot send {lines}"))),
        }
    }

    /// Expects a reply with one of these codes.
    pub(crate) async fn expect(&mut self, codes: &[u16]) -> Result<Reply, ClientFailure> {
        self.expect_within(codes, self.bounds.reply_max).await
    }

    /// The same, with another bound.
    pub(crate) async fn expect_within(
        &mut self,
        codes: &[u16],
        most: Duration,
    ) -> Result<Reply, ClientFailure> {
        let began = Instant::now();
        loop {
            match Reply::parse(&self.unread) {
                Ok(Some((reply, used))) => {
                    self.unread.drain(..used);
                    self.log_line(&format!("S: {} {}", reply.code, text_of(&reply)));
                    if codes.contains(&reply.code.number()) {
                        return Ok(reply);
                    }
                    let text = text_of(&reply);
                    return Err(self.missed(&format!("{} {text} instead of {codes:?}", reply.code)));
                }
                Ok(None) => {}
                Err(error) => return Err(self.missed(&format!("invalid reply: {error:?}"))),
            }
            let rest = most.saturating_sub(began.elapsed());
            match timeout(rest, self.control.read_buf(&mut self.unread)).await {
                Ok(Ok(1..)) => {}
                Ok(_) => return Err(self.missed(&format!("disconnected instead of {codes:?}"))),
                Err(_) => return Err(self.missed(&format!("none of {codes:?} within {most:?}"))),
            }
        }
    }

    /// PASV or EPSV.
    pub(crate) async fn passive(&mut self, is_extended: bool) -> Result<SocketAddr, ClientFailure> {
        let verb = if is_extended { "EPSV" } else { "PASV" };
        let reply = self.command(verb, &[227, 229]).await?;
        let text = text_of(&reply);
        let at = match parse_epsv_reply(text.as_bytes()) {
            Some(port) if is_extended => Some(SocketAddr::new(SERVER.ip(), port)),
            _ => parse_pasv_reply(text.as_bytes()).map(SocketAddr::V4),
        };
        at.ok_or_else(|| self.missed("the reply contains no port"))
    }

    /// Connects to a passive port.
    pub(crate) async fn dial(&mut self, to: SocketAddr) -> Result<ClientStream, ClientFailure> {
        match self.net.dial(SocketAddr::new(self.address, 0), to).await {
            Ok(link) => Ok(ClientStream::Plain(link)),
            Err(error) => Err(self.missed(&format!("cannot connect to {to}: {error}"))),
        }
    }

    /// Starts TLS on a data connection, if it is private.
    pub(crate) async fn secured(&self, link: ClientStream) -> Result<ClientStream, ClientFailure> {
        if !self.is_private {
            return Ok(link);
        }
        match timeout(self.bounds.reply_max, link.secured(&self.tls)).await {
            Ok(Ok(link)) => Ok(link),
            _ => Err(self.missed("the TLS handshake of the data connection fails")),
        }
    }

    /// Reads up to `most` bytes, and returns how many; 0 at the end.
    pub(crate) async fn receive(
        &self,
        link: &mut ClientStream,
        most: usize,
    ) -> Result<usize, ClientFailure> {
        let mut bytes = [0; PIECE_BYTES];
        let buffer = bytes.get_mut(..most.min(PIECE_BYTES)).unwrap_or_default();
        match timeout(self.bounds.stall_max, link.read(buffer)).await {
            Ok(Ok(got)) => Ok(got),
            Ok(Err(error)) => Err(self.missed(&format!("the data connection breaks: {error}"))),
            Err(_) => Err(self.stalled()),
        }
    }

    /// Sends up to `most` bytes, and returns how many.
    pub(crate) async fn transmit(
        &self,
        link: &mut ClientStream,
        most: usize,
    ) -> Result<usize, ClientFailure> {
        self.transmit_within(link, most, self.bounds.stall_max).await
    }

    /// The same, to a server that may not read for this time.
    pub(crate) async fn transmit_within(
        &self,
        link: &mut ClientStream,
        most: usize,
        stall_max: Duration,
    ) -> Result<usize, ClientFailure> {
        let bytes = [b'u'; PIECE_BYTES];
        let bytes = bytes.get(..most.min(PIECE_BYTES)).unwrap_or_default();
        let sending = async {
            let sent = link.write(bytes).await?;
            link.flush().await.map(|()| sent)
        };
        match timeout(stall_max, sending).await {
            Ok(Ok(sent)) => Ok(sent),
            Ok(Err(error)) => Err(self.missed(&format!("the data connection breaks: {error}"))),
            Err(_) => Err(self.stalled()),
        }
    }

    /// Receives or sends `bytes`, unless the stream ends earlier. Returns how many.
    pub(crate) async fn move_part(
        &self,
        link: &mut ClientStream,
        is_upload: bool,
        bytes: usize,
    ) -> Result<usize, ClientFailure> {
        let mut left = bytes;
        while left > 0 {
            let moved = if is_upload {
                self.transmit(link, left).await?
            } else {
                self.receive(link, left).await?
            };
            if moved == 0 {
                break;
            }
            left = left.saturating_sub(moved);
        }
        Ok(bytes - left)
    }

    fn stalled(&self) -> ClientFailure {
        let most = self.bounds.stall_max;
        self.missed(&format!("the transfer stands still for {most:?} although it may move"))
    }

    /// The control connection, for a client that does not read it.
    pub(crate) fn control(&mut self) -> &mut ClientStream {
        &mut self.control
    }

    pub(crate) async fn pause(&self, millis: u64) {
        sleep(Duration::from_millis(millis)).await;
    }
}
