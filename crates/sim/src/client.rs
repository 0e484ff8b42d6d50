//! A simulated client: its control connection, and the order of replies.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use wharf_load::Random;
use wharf_proto::reply::{Code, Reply};

use crate::codes::{may_answer, moves_data};
use crate::escape::escaped;
use crate::net::SimNet;
use crate::oracle::Oracle;
use crate::stream::{ClientStream, client_config};

/// Maximum time without output of the server: longer than all its timeouts, and than a rate-limited
/// upload into a storage that stalls.
const SILENCE_MAX: Duration = Duration::from_mins(20);
/// Maximum time between the 221 or 421 reply and the end of the connection.
const GOODBYE_MAX: Duration = Duration::from_mins(1);
/// ABOR, NOOP and STAT are answered within this time during a transfer: longer than two stalls of
/// the network and one of the storage, shorter than the data timeout of the server.
const PROMPT_MAX: Duration = Duration::from_secs(100);
/// Maximum number of bytes of a command that are logged.
const LINE_SHOWN: usize = 60;
/// What stands for a command before the greeting.
const GREETING: &str = "(greeting)";
/// How often a client tries to connect.
const DIALS_MAX: u32 = 3;

/// Configuration of one client.
#[derive(Clone, Debug)]
pub(crate) struct ClientProfile {
    /// Its name in the log.
    pub(crate) tag: String,
    pub(crate) address: IpAddr,
    pub(crate) server: SocketAddr,
    pub(crate) user: String,
    pub(crate) secret: String,
    /// No other client uses the account.
    pub(crate) is_sole: bool,
    /// The network has no faults.
    pub(crate) has_reliable_network: bool,
    /// There are no faults at all: network, storage, limits, administrator.
    pub(crate) is_faultless: bool,
    /// It uses TLS if the server offers it.
    pub(crate) wants_tls: bool,
    /// The client itself neither breaks connections nor sends unusual commands.
    pub(crate) is_well_behaved: bool,
}

/// A client.
pub(crate) struct SimClient {
    pub(crate) profile: ClientProfile,
    pub(crate) rng: Random,
    pub(crate) net: SimNet,
    pub(crate) oracle: Oracle,
    pub(crate) control: Option<ClientStream>,
    tls: Arc<ClientConfig>,
    /// Data connections use TLS.
    pub(crate) is_private: bool,
    unread: Vec<u8>,
    /// Commands without a final reply, oldest first.
    pending: VecDeque<PendingCommand>,
    has_goodbye: bool,
    /// The server may not have completed the TLS handshake yet, so it cannot send a last reply.
    is_handshaking: bool,
    /// The final reply of the transfer in progress, if it was read while waiting for another reply.
    early_end: Option<u16>,
    /// The content being sent to each path when an upload was interrupted.
    pub(crate) cut: BTreeMap<String, Vec<u8>>,
    /// Paths to which an earlier upload of this client may still be in progress in a session that
    /// the server has not ended yet: its unfinished upload may replace that of a later one.
    pub(crate) uncertain_paths: BTreeSet<String>,
}

struct PendingCommand {
    verb: String,
    is_open: bool,
}

/// The control connection has ended.
#[derive(Debug)]
pub(crate) struct Disconnected;

/// A reply and the command to which it belongs.
#[derive(Debug)]
pub(crate) enum ReplyEvent {
    /// 1yz: the oldest command continues.
    Preliminary(Reply),
    /// The final reply to this command.
    Final { verb: String, reply: Reply },
}

impl SimClient {
    pub(crate) fn new(profile: ClientProfile, rng: Random, net: SimNet, oracle: Oracle) -> Self {
        Self {
            profile,
            rng,
            net,
            oracle,
            control: None,
            tls: client_config(true),
            is_private: false,
            unread: Vec::new(),
            pending: VecDeque::new(),
            has_goodbye: false,
            is_handshaking: false,
            early_end: None,
            cut: BTreeMap::new(),
            uncertain_paths: BTreeSet::new(),
        }
    }

    pub(crate) fn log_line(&self, what: &str) {
        self.oracle.log_line(&self.profile.tag, what);
    }

    pub(crate) fn report_violation(&self, what: &str) {
        self.oracle.report_violation(format!("{}: {what}", self.profile.tag));
    }

    /// Connects and reads the greeting.
    pub(crate) async fn connect(&mut self) -> Result<(), Disconnected> {
        self.pending.clear();
        self.unread.clear();
        self.has_goodbye = false;
        self.is_handshaking = false;
        self.early_end = None;
        self.is_private = false;
        for _ in 0..DIALS_MAX {
            let from = SocketAddr::new(self.profile.address, 0);
            match self.net.dial(from, self.profile.server).await {
                Ok(link) => {
                    self.log_line("connects");
                    self.control = Some(ClientStream::Plain(link));
                    self.pending
                        .push_back(PendingCommand { verb: GREETING.into(), is_open: false });
                    return self.next_reply().await.map(drop);
                }
                Err(error) => {
                    self.log_line(&format!("cannot connect: {}", error.kind()));
                    sleep(Duration::from_secs(self.rng.between(1, 5))).await;
                }
            }
        }
        Err(Disconnected)
    }

    /// Starts TLS, if the server offers it.
    pub(crate) async fn secure(&mut self) -> Result<(), Disconnected> {
        if self.command("AUTH TLS").await?.code.number() != 234 {
            return Ok(());
        }
        self.is_handshaking = true;
        let Some(control) = self.control.take() else { return Err(Disconnected) };
        let Ok(Ok(secured)) = timeout(SILENCE_MAX, control.secured(&self.tls)).await else {
            self.log_line("the TLS handshake fails");
            if self.profile.is_faultless {
                self.report_violation("the TLS handshake fails");
            }
            return Err(Disconnected);
        };
        self.control = Some(secured);
        self.command("PBSZ 0").await?;
        self.is_private = self.command("PROT P").await?.code.number() == 200;
        self.log_line("uses TLS");
        Ok(())
    }

    /// Starts TLS on a data connection, if it is private.
    pub(crate) async fn secured_data(&self, link: ClientStream) -> io::Result<ClientStream> {
        if self.is_private { link.secured(&self.tls).await } else { Ok(link) }
    }

    /// Sends commands in one write, and expects their replies in this order.
    pub(crate) async fn send_commands(&mut self, lines: &[&str]) -> Result<(), Disconnected> {
        let mut bytes = Vec::new();
        for line in lines {
            self.log_line(&format!("C: {}", line.get(..LINE_SHOWN).unwrap_or(line)));
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
            let verb = line.split(' ').next().unwrap_or_default();
            self.pending.push_back(PendingCommand { verb: verb.into(), is_open: false });
        }
        self.send(&bytes).await
    }

    /// ABOR after the telnet sequence of RFC 959 §4.1.3.
    pub(crate) async fn abort_by_telnet(&mut self) -> Result<(), Disconnected> {
        self.log_line("C: IAC IP IAC DM ABOR");
        self.pending.push_back(PendingCommand { verb: "ABOR".into(), is_open: false });
        self.send(b"\xff\xf4\xff\xf2ABOR\r\n").await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Disconnected> {
        let Some(control) = &mut self.control else { return Err(Disconnected) };
        let sending = async {
            control.write_all(bytes).await?;
            control.flush().await
        };
        if let Ok(Ok(())) = timeout(SILENCE_MAX, sending).await {
            return Ok(());
        }
        self.log_line("cannot send");
        // Replies sent before the server closed the connection can still be read.
        while self.next_reply().await.is_ok() {}
        self.disconnect();
        Err(Disconnected)
    }

    /// Sends one command and waits for its final reply.
    pub(crate) async fn command(&mut self, line: &str) -> Result<Reply, Disconnected> {
        self.send_commands(&[line]).await?;
        self.last_reply().await
    }

    /// The final reply to the last command; replies to earlier ones are read first.
    pub(crate) async fn last_reply(&mut self) -> Result<Reply, Disconnected> {
        loop {
            if let ReplyEvent::Final { reply, .. } = self.next_reply().await?
                && self.pending.is_empty()
            {
                return Ok(reply);
            }
        }
    }

    /// The final reply to a command of this verb.
    pub(crate) async fn reply_to(&mut self, wanted: &str) -> Result<u16, Disconnected> {
        if let Some(code) = self.early_end.take() {
            return Ok(code);
        }
        loop {
            if let ReplyEvent::Final { verb, reply } = self.next_reply().await?
                && verb == wanted
            {
                return Ok(reply.code.number());
            }
        }
    }

    /// Sends a command during a transfer and waits for its reply. Returns whether the transfer
    /// continues.
    pub(crate) async fn command_during_transfer(
        &mut self,
        line: &str,
    ) -> Result<bool, Disconnected> {
        self.send_commands(&[line]).await?;
        match timeout(PROMPT_MAX, self.next_reply()).await {
            Ok(Ok(ReplyEvent::Final { verb, .. })) if verb == line => Ok(true),
            Ok(Ok(ReplyEvent::Final { reply, .. })) => {
                self.early_end = Some(reply.code.number());
                Ok(false)
            }
            Ok(Ok(ReplyEvent::Preliminary(_))) => Ok(true),
            Ok(Err(gone)) => Err(gone),
            Err(_) => {
                self.report_violation(&format!("{line} is not answered while data moves"));
                Ok(true)
            }
        }
    }

    /// Waits for the end of an aborted transfer.
    pub(crate) async fn aborted(&mut self) -> Result<(), Disconnected> {
        let since = Instant::now();
        if let ReplyEvent::Final { reply, .. } = self.next_reply().await? {
            self.early_end = Some(reply.code.number());
        }
        if since.elapsed() > PROMPT_MAX {
            self.report_violation("ABOR was processed late");
        }
        Ok(())
    }

    /// Reads replies until no command is pending.
    pub(crate) async fn all_replies(&mut self) -> Result<(), Disconnected> {
        while !self.pending.is_empty() {
            self.next_reply().await?;
        }
        Ok(())
    }

    /// The next reply.
    pub(crate) async fn next_reply(&mut self) -> Result<ReplyEvent, Disconnected> {
        let reply = self.read().await?;
        let code = reply.code;
        if code == Code::CLOSING {
            self.has_goodbye = true;
            self.expect_end().await;
            return Err(Disconnected);
        }
        let is_open = self.pending.front().is_some_and(|pending| pending.is_open);
        let at = match self.pending.iter().position(|pending| !is_prompt(&pending.verb)) {
            // During a transfer, NOOP and STAT are answered at once, unless another command is
            // pending.
            Some(0) if is_open && matches!(code, Code::OK | Code::SYSTEM) => 1,
            _ => 0,
        };
        if code.is_preliminary() {
            let Some(pending) = self.pending.front_mut() else {
                self.report_violation(&format!("{code} without a command"));
                return Err(Disconnected);
            };
            if pending.is_open || !moves_data(&pending.verb) {
                let verb = pending.verb.clone();
                self.report_violation(&format!("{code} to {verb} at the wrong time"));
            } else {
                pending.is_open = true;
            }
            return Ok(ReplyEvent::Preliminary(reply));
        }
        let Some(pending) = self.pending.remove(at) else {
            self.report_violation(&format!("{code} without a command"));
            return Err(Disconnected);
        };
        let is_fine = match pending.verb.as_str() {
            GREETING => code == Code::READY,
            verb => may_answer(verb, code.number()),
        };
        if !is_fine {
            self.report_violation(&format!("unexpected reply {code} to {}", pending.verb));
        }
        if pending.verb == "QUIT" {
            self.has_goodbye = true;
            self.expect_end().await;
            return Err(Disconnected);
        }
        Ok(ReplyEvent::Final { verb: pending.verb, reply })
    }

    /// Reads one complete reply.
    async fn read(&mut self) -> Result<Reply, Disconnected> {
        loop {
            match Reply::parse(&self.unread) {
                Ok(Some((reply, used))) => {
                    self.unread.drain(..used);
                    self.is_handshaking = false;
                    let text = reply.lines.last().map(|line| escaped(line)).unwrap_or_default();
                    self.log_line(&format!("S: {} {text}", reply.code));
                    return Ok(reply);
                }
                Ok(None) => {}
                Err(error) => {
                    let unread = escaped(&self.unread);
                    self.report_violation(&format!("invalid reply ({error:?}): {unread}"));
                    self.disconnect();
                    return Err(Disconnected);
                }
            }
            let Some(control) = &mut self.control else { return Err(Disconnected) };
            match timeout(SILENCE_MAX, control.read_buf(&mut self.unread)).await {
                Ok(Ok(1..)) => {}
                Ok(end) => {
                    let how = if end.is_ok() { "is closed" } else { "is reset" };
                    self.log_line(&format!("the control connection {how}"));
                    // A connection that was not accepted yet gets no reply.
                    let is_greeted = !self.pending.iter().any(|pending| pending.verb == GREETING);
                    let is_unaccepted = self.oracle.is_stopping() && !is_greeted;
                    let may_end = self.has_goodbye || self.is_handshaking || is_unaccepted;
                    if self.profile.has_reliable_network && !may_end {
                        self.report_violation("the server closed the connection without a reply");
                    }
                    self.disconnect();
                    return Err(Disconnected);
                }
                Err(_) => {
                    let verb = self.pending.front().map(|pending| pending.verb.clone());
                    self.report_violation(&format!("no reply to {verb:?}"));
                    self.disconnect();
                    return Err(Disconnected);
                }
            }
        }
    }

    /// After the goodbye the connection must end without further output.
    async fn expect_end(&mut self) {
        let Some(control) = &mut self.control else { return };
        let ended = timeout(GOODBYE_MAX, control.read_to_end(&mut self.unread)).await;
        if ended.is_err() {
            self.report_violation("the server sent its goodbye and did not close the connection");
        }
        if !self.unread.is_empty() {
            let more = escaped(&self.unread);
            self.report_violation(&format!("the server sent more after its goodbye: {more}"));
        }
        self.disconnect();
    }

    /// Drops the control connection.
    pub(crate) fn disconnect(&mut self) {
        self.control = None;
    }
}

/// Whether a command is answered at once during a transfer.
fn is_prompt(verb: &str) -> bool {
    matches!(verb, "NOOP" | "STAT")
}
