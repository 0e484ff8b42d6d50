//! Conversations as text, played against a server.
//!
//! One line is one step; empty lines and lines that begin with `#` are passed over, and so is
//! what follows two spaces and `# ` (not in lines of bytes). Bytes may hold `\r \n \t \\ \xNN`.
//!
//! | line | meaning |
//! |---|---|
//! | `C: USER anna` | send a line; escapes are allowed |
//! | `C< bytes` | send exactly these bytes on the control connection |
//! | `S: 331 *` | the next line must be this; `*` at the end stands for anything |
//! | `S: 211-*` | the same; the lines up to `211 ` are then passed over |
//! | `S: EOF` | the server closes the connection, or breaks it |
//! | `D: bytes` | all that arrives on the data connection, up to its orderly end |
//! | `D*1000: bytes` | the same, a thousand times these bytes |
//! | `D...` | all that arrives, whatever it is, up to an orderly end |
//! | `D< 100` | read so many bytes, whatever they are |
//! | `DX` | the data connection must break or end |
//! | `U: bytes`, `U*1000: bytes` | send on the data connection, then a FIN |
//! | `U... bytes` | send without a FIN |
//! | `UX` | break the data connection |
//! | `UF`, `UF bytes` | send a FIN without the farewell of TLS, behind bytes that go past TLS |
//! | `CX`, `CR` | drop the control connection; break it |
//! | `NODATA` | do not connect for the next command that moves data |
//! | `DIAL` | connect to the passive port now, before the command that moves data |
//! | `FIRST bytes` | send these before all else, on each connection: what a proxy says |
//! | `LISTEN` | listen for active mode; `{PORT}` or `{EPRT}` in the next lines is where |
//! | `KNOCK 198.51.100.7` | a stranger connects to the passive port |
//! | `TLS`, `TLS noresume` | put TLS on; data connections then resume its session, or not |
//! | `CLIENT bob 203.0.113.10 990` | go on as another client (address and port may be left out) |
//! | `WAIT 301s`, `WAIT 50ms` | let time pass |
//! | `KICK anna`, `SHUTDOWN 5s` | the operator ends an account's sessions, or the server |
//! | `WHO anna RETR /a 5/9` | what the operator sees of a session, as `seen` tells it |
//! | `HAS /a bytes`, `HASNOT /a` | what the files in memory must be now |
//!
//! The greeting is read, and must be 220, unless the first step of a client is `S:` or `TLS`.
//! After a reply to PASV or EPSV the next RETR, STOR, APPE, STOU, LIST, NLST or MLSD connects.
//! At the end no client may have a line that was not expected.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use wharf_server::Handle;
use wharf_server::session_status::{Activity, Payload, SessionView};
use wharf_storage::Memory;

use crate::escape::{meant, shown};
use crate::net::SimNet;
use crate::talker::{Heard, Talker};

/// What is left when a dialogue is over.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The files.
    pub memory: Memory,
    /// What the server told its log: session, account, event.
    pub events: Vec<String>,
    /// All that was said.
    pub story: String,
}

/// Where a dialogue stands.
pub(crate) struct Runner {
    net: SimNet,
    handle: Handle,
    memory: Memory,
    peer: IpAddr,
    servers: Vec<SocketAddr>,
    talkers: Vec<(String, Talker)>,
    at: usize,
    line: usize,
    story: String,
    /// Lines up to the one that begins with this are passed over.
    passed_over: Option<String>,
}

/// A step that did not go as it should.
type Step = Result<(), String>;

impl Runner {
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
            story: String::new(),
            passed_over: None,
        }
    }

    /// Plays every line and returns the story.
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
        for (name, talker) in &mut self.talkers {
            if let Heard::Line(line) = talker.line_that_is_here().await {
                let what = format!("client {name} was told more: {}", shown(&line));
                self.fail(&what);
            }
        }
        self.story
    }

    #[expect(clippy::panic, reason = "a dialogue that differs fails its test")]
    fn fail(&self, what: &str) -> ! {
        panic!("line {}: {what}\nThe story so far:\n{}", self.line, self.story);
    }

    async fn step(&mut self, line: &str) -> Step {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "CLIENT" {
            return self.client(plain(rest)).await;
        }
        if self.talkers.is_empty() {
            self.client("1").await?;
        }
        if !matches!(word, "S:" | "TLS" | "FIRST" | "WAIT" | "KICK" | "SHUTDOWN" | "CX" | "CR") {
            self.greeted().await?;
        }
        match word {
            "C:" => self.say(plain(rest)).await,
            "C<" => {
                self.tell("C<", rest);
                let bytes = bytes(rest)?;
                self.talker()?.send(&bytes).await
            }
            "S:" => self.expect(plain(rest)).await,
            "DX" | "D<" | "D..." | "D:" => self.download(word, rest, 1).await,
            "UX" | "UF" | "U..." | "U:" => self.upload(word, rest, 1).await,
            _ => match counted(word) {
                Some(("D", times)) => self.download("D:", rest, times).await,
                Some(("U", times)) => self.upload("U:", rest, times).await,
                _ => self.act(word, plain(rest)).await,
            },
        }
    }

    /// Steps that are neither commands, nor replies, nor data.
    async fn act(&mut self, word: &str, rest: &str) -> Step {
        self.tell(word, rest);
        match word {
            "WAIT" => tokio::time::sleep(duration(rest)?).await,
            "CX" => self.talker()?.hang_up(false),
            "CR" => self.talker()?.hang_up(true),
            "FIRST" => {
                let bytes = bytes(rest)?;
                self.talker()?.begin_with(bytes).await?;
            }
            "DIAL" => {
                self.talker()?.dial_data().await;
                self.talker()?.stays_away = true;
            }
            "NODATA" => self.talker()?.stays_away = true,
            "LISTEN" => self.talker()?.listen()?,
            "KNOCK" => {
                let from = rest.parse().map_err(|_| format!("{rest} is no address"))?;
                self.talker()?.knock(from).await?;
            }
            "TLS" => self.talker()?.secure(rest != "noresume").await?,
            "KICK" => self.handle.end_sessions_of(rest, "The operator ended the session."),
            "SHUTDOWN" => self.handle.shut_down(duration(rest)?),
            "WHO" => {
                let seen: Vec<_> = self.handle.views().iter().map(seen).collect();
                let fits = |line: &String| match rest.strip_suffix('*') {
                    Some(start) => line.starts_with(start),
                    None => line == rest,
                };
                if !seen.iter().any(fits) {
                    return Err(format!("expected: {rest}\n     got: {seen:?}"));
                }
            }
            "HAS" => {
                let (path, content) = rest.split_once(' ').unwrap_or((rest, ""));
                let found = self.memory.content(path).map(|found| shown(&found));
                if found.as_deref() != Some(&shown(&bytes(content)?)) {
                    return Err(format!("expected {path}: {content}\n     got: {found:?}"));
                }
            }
            "HASNOT" if self.memory.content(rest).is_some() => {
                return Err(format!("{rest} is there"));
            }
            "HASNOT" => {}
            _ => return Err(format!("`{word}` is no step of a dialogue")),
        }
        Ok(())
    }

    /// Goes on as a client of this name, who comes if it is not there yet.
    async fn client(&mut self, words: &str) -> Step {
        let mut words = words.split_whitespace();
        let name = words.next().unwrap_or("1").to_owned();
        if let Some(at) = self.talkers.iter().position(|(known, _)| *known == name) {
            self.at = at;
            return Ok(());
        }
        let from = match words.next() {
            Some(text) => text.parse().map_err(|_| format!("{text} is no address"))?,
            None => self.peer,
        };
        let port = words.next().map(|text| text.parse::<u16>().map_err(|_| "no port".to_owned()));
        let server = match port.transpose()? {
            Some(port) => self.servers.iter().find(|server| server.port() == port),
            None => self.servers.first(),
        };
        let server = *server.ok_or("the server does not listen there")?;
        let talker = Talker::come(&self.net, from, server).await?;
        self.at = self.talkers.len();
        self.talkers.push((name, talker));
        Ok(())
    }

    fn talker(&mut self) -> Result<&mut Talker, String> {
        self.talkers
            .get_mut(self.at)
            .map(|(_, talker)| talker)
            .ok_or_else(|| "nobody is here".into())
    }

    /// Reads the greeting, if nothing has been read yet.
    async fn greeted(&mut self) -> Step {
        while !self.talker()?.is_greeted {
            match self.talker()?.line().await {
                Heard::Line(line) if line.starts_with(b"220") => {
                    self.tell("S:", &shown(&line));
                    self.talker()?.is_greeted = line.starts_with(b"220 ");
                }
                other => return Err(format!("expected: the greeting\n     got: {other}")),
            }
        }
        Ok(())
    }

    async fn say(&mut self, text: &str) -> Step {
        let text = self.talker()?.with_addresses(text);
        self.tell("C:", &text);
        let mut line = bytes(&text)?;
        line.extend_from_slice(b"\r\n");
        self.talker()?.command(&line).await
    }

    async fn expect(&mut self, pattern: &str) -> Step {
        loop {
            self.talker()?.is_greeted = true;
            let heard = self.talker()?.line().await;
            self.tell("S:", &heard.to_string());
            let line = match (&heard, pattern) {
                (Heard::End, "EOF") => return Ok(()),
                (Heard::Line(line), _) => line.clone(),
                _ => return Err(format!("expected: {pattern}\n     got: {heard}")),
            };
            self.talker()?.note_reply(&line).await;
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
                return Err(format!("expected: {pattern}\n     got: {heard}"));
            }
            if let Some(code) = pattern.strip_suffix("-*").filter(|code| code.len() == 3) {
                self.passed_over = Some(format!("{code} "));
            }
            return Ok(());
        }
    }

    async fn download(&mut self, word: &str, rest: &str, times: usize) -> Step {
        let talker = self.talker()?;
        match word {
            "DX" => talker.data_ends().await?,
            "D<" => {
                let most = rest.trim().parse().map_err(|_| "how many bytes?".to_owned())?;
                talker.receive_some(most).await?;
            }
            _ => {
                let got = talker.receive().await?;
                self.tell("D:", &shown(got.get(..got.len().min(200)).unwrap_or_default()));
                let wanted = bytes(rest)?.repeat(times);
                if word == "D:" && got != wanted {
                    let (wanted, got) = (shown(&wanted), shown(&got));
                    return Err(format!("expected data: {wanted}\n          got: {got}"));
                }
                return Ok(());
            }
        }
        self.tell(word, rest);
        Ok(())
    }

    async fn upload(&mut self, word: &str, rest: &str, times: usize) -> Step {
        self.tell(word, rest);
        let talker = self.talker()?;
        match word {
            "UX" => return talker.break_data().await,
            "UF" => return talker.abandon_data(&bytes(rest)?).await,
            _ => talker.transmit(&bytes(rest)?.repeat(times)).await?,
        }
        if word == "U:" { talker.finish_data().await } else { Ok(()) }
    }

    fn tell(&mut self, word: &str, rest: &str) {
        let who = match self.talkers.get(self.at) {
            Some((name, _)) if self.talkers.len() > 1 => name.as_str(),
            _ => "",
        };
        let line = format!("{:>4}  {who} {word} {rest}\n", self.line);
        self.story.push_str(&line);
    }
}

/// A session in one line: the account, and what it does, as in `anna RETR /a 5/9`.
fn seen(session: &SessionView) -> String {
    let user = session.user.as_deref().unwrap_or("-");
    match &session.activity {
        Activity::LoggingIn => format!("{user} logs in"),
        Activity::Idle => format!("{user} idle"),
        Activity::Command(verb) => format!("{user} {verb}"),
        Activity::Transfer(transfer) => {
            let path = match &transfer.what {
                Payload::File(_, path) => shown(path.as_bytes()),
                Payload::Listing => "listing".to_owned(),
            };
            let size = transfer.size.map_or_else(String::new, |size| format!("/{size}"));
            format!("{user} {} {path} {}{size}", transfer.verb, transfer.moved)
        }
    }
}

/// A line without its comment.
fn plain(line: &str) -> &str {
    line.split_once("  # ").map_or(line, |(line, _)| line.trim_end())
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    meant(text).ok_or_else(|| format!("`{text}` has an escape that is none"))
}

/// `D*1000:` as `D` and 1000.
fn counted(word: &str) -> Option<(&str, usize)> {
    let (word, times) = word.strip_suffix(':')?.split_once('*')?;
    Some((word, times.parse().ok()?))
}

fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let wrong = || format!("`{text}` is no time; write 5s or 50ms");
    if let Some(number) = text.strip_suffix("ms") {
        return number.parse().map(Duration::from_millis).map_err(|_| wrong());
    }
    let number = text.strip_suffix('s').ok_or_else(wrong)?;
    number.parse().map(Duration::from_secs).map_err(|_| wrong())
}
