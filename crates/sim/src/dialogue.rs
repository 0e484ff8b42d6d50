//! Dialogues as text, run against a server.
//!
//! One line is one step; empty lines and lines that begin with `#` are skipped, and so is what
//! follows two spaces and `# ` (not in lines of bytes). Bytes may contain `\r \n \t \\ \xNN`.
//!
//! | line | meaning |
//! |---|---|
//! | `C: USER anna` | send a line; escapes are allowed |
//! | `C< bytes` | send exactly these bytes on the control connection |
//! | `S: 331 *` | the next line must be this; `*` at the end stands for anything |
//! | `S: 211-*` | the same; the lines up to `211 ` are then skipped |
//! | `S: EOF` | the server closes the connection, or resets it |
//! | `D: bytes` | all bytes of the data connection, up to its orderly end |
//! | `D*1000: bytes` | the same, these bytes a thousand times |
//! | `D...` | any bytes, up to an orderly end |
//! | `D< 100` | read this many bytes, whatever they are |
//! | `DX` | the data connection must end, orderly or not |
//! | `U: bytes`, `U*1000: bytes` | send on the data connection, then a FIN |
//! | `U... bytes` | send without a FIN |
//! | `UX` | reset the data connection |
//! | `UF`, `UF bytes` | send a FIN without `close_notify`, after bytes outside of TLS |
//! | `CX`, `CR` | close the control connection; reset it |
//! | `NODATA` | do not connect for the next command that transfers data |
//! | `DIAL` | connect to the passive port now, before the command that transfers data |
//! | `FIRST bytes` | send these bytes first on each connection, as a proxy does |
//! | `LISTEN` | listen for active mode; `{PORT}` or `{EPRT}` in the next lines is the address |
//! | `KNOCK 198.51.100.7` | an unexpected peer connects to the passive port |
//! | `TLS`, `TLS noresume` | start TLS; data connections then resume its session, or not |
//! | `CLIENT bob 203.0.113.10 990` | continue as another client (address and port are optional) |
//! | `WAIT 301s`, `WAIT 50ms` | let time pass |
//! | `KICK anna`, `SHUTDOWN 5s` | the administrator ends an account's sessions, or the server |
//! | `WHO anna RETR /a 5/9` | a session as the administrator sees it (`session_line`) |
//! | `HAS /a bytes`, `HASNOT /a` | the expected files in memory |
//!
//! The greeting is read, and must be 220, unless the first step of a client is `S:` or `TLS`.
//! After a reply to PASV or EPSV the next RETR, STOR, APPE, STOU, LIST, NLST or MLSD connects.
//! At the end no client may have received a line that was not expected.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use wharf_server::Handle;
use wharf_server::session_status::{Activity, Payload, SessionView};
use wharf_storage::Memory;

use crate::escape::{escaped, unescaped};
use crate::net::SimNet;
use crate::script_client::{Received, ScriptClient};

/// The result of a dialogue.
#[derive(Clone, Debug)]
pub struct DialogueOutcome {
    /// The files.
    pub memory: Memory,
    /// The events that the server emitted: session, account, event.
    pub events: Vec<String>,
    /// Everything that was sent and received.
    pub transcript: String,
}

/// The state of a running dialogue.
pub(crate) struct ScriptRunner {
    net: SimNet,
    handle: Handle,
    memory: Memory,
    peer: IpAddr,
    servers: Vec<SocketAddr>,
    talkers: Vec<(String, ScriptClient)>,
    at: usize,
    line: usize,
    transcript: String,
    /// Lines up to the one that begins with this are skipped.
    passed_over: Option<String>,
}

/// The result of a step; the error describes the difference.
type StepResult = Result<(), String>;

impl ScriptRunner {
    pub(crate) fn new(
        net: SimNet,
        handle: Handle,
        memory: Memory,
        peer: IpAddr,
        servers: Vec<SocketAddr>,
    ) -> Self {
        Self {
            net,
            handle,
            memory,
            peer,
            servers,
            talkers: Vec::new(),
            at: 0,
            line: 0,
            transcript: String::new(),
            passed_over: None,
        }
    }

    /// Runs every line and returns the transcript.
    pub(crate) async fn run(mut self, script: &str) -> String {
        for (number, line) in script.lines().enumerate() {
            self.line = number + 1;
            if line.trim().is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            if let Err(what) = self.step(line).await {
                self.fail(&what);
            }
        }
        for (name, script_client) in &mut self.talkers {
            if let Received::Line(line) = script_client.available_line().await {
                let what = format!("client {name} received unexpected lines: {}", escaped(&line));
                self.fail(&what);
            }
        }
        self.transcript
    }

    #[expect(clippy::panic, reason = "a difference fails the test")]
    fn fail(&self, what: &str) -> ! {
        panic!("line {}: {what}\nThe transcript so far:\n{}", self.line, self.transcript);
    }

    async fn step(&mut self, line: &str) -> StepResult {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "CLIENT" {
            return self.client(without_comment(rest)).await;
        }
        if self.talkers.is_empty() {
            self.client("1").await?;
        }
        if !matches!(word, "S:" | "TLS" | "FIRST" | "WAIT" | "KICK" | "SHUTDOWN" | "CX" | "CR") {
            self.greeted().await?;
        }
        match word {
            "C:" => self.send_command(without_comment(rest)).await,
            "C<" => {
                self.log_line("C<", rest);
                let bytes = bytes(rest)?;
                self.script_client()?.send(&bytes).await
            }
            "S:" => self.expect(without_comment(rest)).await,
            "DX" | "D<" | "D..." | "D:" => self.download(word, rest, 1).await,
            "UX" | "UF" | "U..." | "U:" => self.upload(word, rest, 1).await,
            _ => match repeat_count(word) {
                Some(("D", times)) => self.download("D:", rest, times).await,
                Some(("U", times)) => self.upload("U:", rest, times).await,
                _ => self.run_step(word, without_comment(rest)).await,
            },
        }
    }

    /// Steps other than commands, replies and data.
    async fn run_step(&mut self, word: &str, rest: &str) -> StepResult {
        self.log_line(word, rest);
        match word {
            "WAIT" => tokio::time::sleep(duration(rest)?).await,
            "CX" => self.script_client()?.disconnect(false),
            "CR" => self.script_client()?.disconnect(true),
            "FIRST" => {
                let bytes = bytes(rest)?;
                self.script_client()?.begin_with(bytes).await?;
            }
            "DIAL" => {
                self.script_client()?.dial_data().await;
                self.script_client()?.stays_away = true;
            }
            "NODATA" => self.script_client()?.stays_away = true,
            "LISTEN" => self.script_client()?.listen()?,
            "KNOCK" => {
                let from = rest.parse().map_err(|_| format!("invalid address {rest}"))?;
                self.script_client()?.connect_unexpected(from).await?;
            }
            "TLS" => self.script_client()?.secure(rest != "noresume").await?,
            "KICK" => self.handle.end_sessions_of(rest, "The administrator ended the session."),
            "SHUTDOWN" => self.handle.shut_down(duration(rest)?),
            "WHO" => {
                let session_line: Vec<_> = self.handle.views().iter().map(session_line).collect();
                let fits = |line: &String| match rest.strip_suffix('*') {
                    Some(start) => line.starts_with(start),
                    None => line == rest,
                };
                if !session_line.iter().any(fits) {
                    return Err(format!("expected: {rest}\n     got: {session_line:?}"));
                }
            }
            "HAS" => {
                let (path, content) = rest.split_once(' ').unwrap_or((rest, ""));
                let found = self.memory.content(path).map(|found| escaped(&found));
                if found.as_deref() != Some(&escaped(&bytes(content)?)) {
                    return Err(format!("expected {path}: {content}\n     got: {found:?}"));
                }
            }
            "HASNOT" if self.memory.content(rest).is_some() => {
                return Err(format!("{rest} exists"));
            }
            "HASNOT" => {}
            _ => return Err(format!("unknown step `{word}`")),
        }
        Ok(())
    }

    /// Switches to the client of this name, and connects it if necessary.
    async fn client(&mut self, words: &str) -> StepResult {
        let mut words = words.split_whitespace();
        let name = words.next().unwrap_or("1").to_owned();
        if let Some(at) = self.talkers.iter().position(|(known, _)| *known == name) {
            self.at = at;
            return Ok(());
        }
        let from = match words.next() {
            Some(text) => text.parse().map_err(|_| format!("invalid address {text}"))?,
            None => self.peer,
        };
        let port = words.next().map(|text| text.parse::<u16>().map_err(|_| "no port".to_owned()));
        let server = match port.transpose()? {
            Some(port) => self.servers.iter().find(|server| server.port() == port),
            None => self.servers.first(),
        };
        let server = *server.ok_or("the server does not listen on this port")?;
        let script_client = ScriptClient::connect(&self.net, from, server).await?;
        self.at = self.talkers.len();
        self.talkers.push((name, script_client));
        Ok(())
    }

    fn script_client(&mut self) -> Result<&mut ScriptClient, String> {
        self.talkers
            .get_mut(self.at)
            .map(|(_, script_client)| script_client)
            .ok_or_else(|| "no client is connected".into())
    }

    /// Reads the greeting, if nothing was read yet.
    async fn greeted(&mut self) -> StepResult {
        while !self.script_client()?.is_greeted {
            match self.script_client()?.line().await {
                Received::Line(line) if line.starts_with(b"220") => {
                    self.log_line("S:", &escaped(&line));
                    self.script_client()?.is_greeted = line.starts_with(b"220 ");
                }
                other => return Err(format!("expected: the greeting\n     got: {other}")),
            }
        }
        Ok(())
    }

    async fn send_command(&mut self, text: &str) -> StepResult {
        let text = self.script_client()?.with_addresses(text);
        self.log_line("C:", &text);
        let mut line = bytes(&text)?;
        line.extend_from_slice(b"\r\n");
        self.script_client()?.command(&line).await
    }

    async fn expect(&mut self, pattern: &str) -> StepResult {
        loop {
            self.script_client()?.is_greeted = true;
            let received = self.script_client()?.line().await;
            self.log_line("S:", &received.to_string());
            let line = match (&received, pattern) {
                (Received::End, "EOF") => return Ok(()),
                (Received::Line(line), _) => line.clone(),
                _ => return Err(format!("expected: {pattern}\n     got: {received}")),
            };
            self.script_client()?.note_reply(&line).await;
            if let Some(last) = self.passed_over.clone() {
                if !line.starts_with(last.as_bytes()) {
                    continue;
                }
                self.passed_over = None;
            }
            let matches = match pattern.strip_suffix('*') {
                Some(start) => line.starts_with(&bytes(start)?),
                None => line == bytes(pattern)?,
            };
            if !matches {
                return Err(format!("expected: {pattern}\n     got: {received}"));
            }
            if let Some(code) = pattern.strip_suffix("-*").filter(|code| code.len() == 3) {
                self.passed_over = Some(format!("{code} "));
            }
            return Ok(());
        }
    }

    async fn download(&mut self, word: &str, rest: &str, times: usize) -> StepResult {
        let script_client = self.script_client()?;
        match word {
            "DX" => script_client.data_ends().await?,
            "D<" => {
                let most = rest.trim().parse().map_err(|_| "invalid number of bytes".to_owned())?;
                script_client.receive_some(most).await?;
            }
            _ => {
                let got = script_client.receive().await?;
                self.log_line("D:", &escaped(got.get(..got.len().min(200)).unwrap_or_default()));
                let wanted = bytes(rest)?.repeat(times);
                if word == "D:" && got != wanted {
                    let (wanted, got) = (escaped(&wanted), escaped(&got));
                    return Err(format!("expected data: {wanted}\n          got: {got}"));
                }
                return Ok(());
            }
        }
        self.log_line(word, rest);
        Ok(())
    }

    async fn upload(&mut self, word: &str, rest: &str, times: usize) -> StepResult {
        self.log_line(word, rest);
        let script_client = self.script_client()?;
        match word {
            "UX" => return script_client.break_data().await,
            "UF" => return script_client.abandon_data(&bytes(rest)?).await,
            _ => script_client.transmit(&bytes(rest)?.repeat(times)).await?,
        }
        if word == "U:" { script_client.finish_data().await } else { Ok(()) }
    }

    fn log_line(&mut self, word: &str, rest: &str) {
        let name = match self.talkers.get(self.at) {
            Some((name, _)) if self.talkers.len() > 1 => name.as_str(),
            _ => "",
        };
        let line = format!("{:>4}  {name} {word} {rest}\n", self.line);
        self.transcript.push_str(&line);
    }
}

/// A session in one line: the account, and its activity, as in `anna RETR /a 5/9`.
fn session_line(session: &SessionView) -> String {
    let user = session.user.as_deref().unwrap_or("-");
    match &session.activity {
        Activity::LoggingIn => format!("{user} logs in"),
        Activity::Idle => format!("{user} idle"),
        Activity::Command(verb) => format!("{user} {verb}"),
        Activity::Transfer(transfer) => {
            let path = match &transfer.what {
                Payload::File(_, path) => escaped(path.as_bytes()),
                Payload::Listing => "listing".to_owned(),
            };
            let size = transfer.size.map_or_else(String::new, |size| format!("/{size}"));
            format!("{user} {} {path} {}{size}", transfer.verb, transfer.moved)
        }
    }
}

/// A line without its comment.
fn without_comment(line: &str) -> &str {
    line.split_once("  # ").map_or(line, |(line, _)| line.trim_end())
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    unescaped(text).ok_or_else(|| format!("invalid escape in `{text}`"))
}

/// `D*1000:` as `D` and 1000.
fn repeat_count(word: &str) -> Option<(&str, usize)> {
    let (word, times) = word.strip_suffix(':')?.split_once('*')?;
    Some((word, times.parse().ok()?))
}

fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let wrong = || format!("invalid duration `{text}`; use 5s or 50ms");
    if let Some(number) = text.strip_suffix("ms") {
        return number.parse().map(Duration::from_millis).map_err(|_| wrong());
    }
    let number = text.strip_suffix('s').ok_or_else(wrong)?;
    number.parse().map(Duration::from_secs).map_err(|_| wrong())
}
