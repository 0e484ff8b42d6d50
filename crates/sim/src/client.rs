//! A client of the simulation: its control connection, and the order of replies.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use wharf_proto::reply::{Code, Reply};

use crate::codes::{may_answer, moves_data};
use crate::escape::shown;
use crate::link::SimLink;
use crate::net::SimNet;
use crate::oracle::Oracle;
use crate::rng::Rng;

/// A server that says nothing for this long breaks its promise: longer than all its timeouts, and
/// than a throttled upload into a store that stalls.
const SILENCE_MAX: Duration = Duration::from_mins(20);
/// Between goodbye and the end of the connection.
const FAREWELL_MAX: Duration = Duration::from_mins(1);
/// ABOR, NOOP and STAT are answered within this time while data moves: longer than two stalls of
/// the weather and one of the store, shorter than the server's patience with a transfer.
const PROMPT_MAX: Duration = Duration::from_secs(100);
/// So much of a command is told.
const LINE_SHOWN: usize = 60;
/// How often a client tries to connect.
const DIALS_MAX: u32 = 3;

/// Who a client is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Its name in the story.
    pub(crate) tag: String,
    pub(crate) address: IpAddr,
    pub(crate) server: SocketAddr,
    pub(crate) user: String,
    pub(crate) secret: String,
    /// Nobody else uses the account.
    pub(crate) is_sole: bool,
    /// The network does nothing bad.
    pub(crate) is_calm: bool,
    /// Nothing does anything bad: network, store, limits, operator.
    pub(crate) is_kind: bool,
    /// It does nothing bad itself.
    pub(crate) is_peaceful: bool,
}

/// One client.
pub(crate) struct Client {
    pub(crate) who: Identity,
    pub(crate) rng: Rng,
    pub(crate) net: SimNet,
    pub(crate) oracle: Oracle,
    pub(crate) control: Option<SimLink>,
    unread: Vec<u8>,
    /// Commands that have had no final reply, oldest first.
    asked: VecDeque<Asked>,
    has_farewell: bool,
    /// The end of the transfer that runs, if it was read while something else was waited for.
    early_end: Option<u16>,
    /// What was being sent to each path when an upload was cut.
    pub(crate) cut: BTreeMap<String, Vec<u8>>,
    /// Paths to which an earlier upload of its own may still be under way in a session that the
    /// server has not missed yet: what such an upload leaves can take the place of a later one's.
    pub(crate) haunted: BTreeSet<String>,
}

struct Asked {
    verb: String,
    is_open: bool,
}

/// The control connection is over.
#[derive(Debug)]
pub(crate) struct Gone;

/// A reply and what it answers.
#[derive(Debug)]
pub(crate) enum Answer {
    /// 1yz: the oldest command goes on.
    Opening(Reply),
    /// The last reply to this command.
    Final { verb: String, reply: Reply },
}

impl Client {
    pub(crate) fn new(who: Identity, rng: Rng, net: SimNet, oracle: Oracle) -> Self {
        Self {
            who,
            rng,
            net,
            oracle,
            control: None,
            unread: Vec::new(),
            asked: VecDeque::new(),
            has_farewell: false,
            early_end: None,
            cut: BTreeMap::new(),
            haunted: BTreeSet::new(),
        }
    }

    pub(crate) fn tell(&self, what: &str) {
        self.oracle.tell(&self.who.tag, what);
    }

    pub(crate) fn blame(&self, what: &str) {
        self.oracle.blame(format!("{}: {what}", self.who.tag));
    }

    /// Connects and reads the greeting.
    pub(crate) async fn connect(&mut self) -> Result<(), Gone> {
        self.asked.clear();
        self.unread.clear();
        self.has_farewell = false;
        self.early_end = None;
        for _ in 0..DIALS_MAX {
            let from = SocketAddr::new(self.who.address, 0);
            match self.net.dial(from, self.who.server).await {
                Ok(link) => {
                    self.tell("connects");
                    self.control = Some(link);
                    self.asked.push_back(Asked { verb: "(greeting)".into(), is_open: false });
                    return self.answer().await.map(drop);
                }
                Err(error) => {
                    self.tell(&format!("cannot connect: {}", error.kind()));
                    sleep(Duration::from_secs(self.rng.between(1, 5))).await;
                }
            }
        }
        Err(Gone)
    }

    /// Sends commands in one write, and expects their replies in this order.
    pub(crate) async fn ask(&mut self, lines: &[&str]) -> Result<(), Gone> {
        let mut bytes = Vec::new();
        for line in lines {
            self.tell(&format!("C: {}", line.get(..LINE_SHOWN).unwrap_or(line)));
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
            let verb = line.split(' ').next().unwrap_or_default();
            self.asked.push_back(Asked { verb: verb.into(), is_open: false });
        }
        self.send(&bytes).await
    }

    /// ABOR behind the telnet sequence of RFC 959 §4.1.3.
    pub(crate) async fn abort_by_telnet(&mut self) -> Result<(), Gone> {
        self.tell("C: IAC IP IAC DM ABOR");
        self.asked.push_back(Asked { verb: "ABOR".into(), is_open: false });
        self.send(b"\xff\xf4\xff\xf2ABOR\r\n").await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let Some(control) = &mut self.control else { return Err(Gone) };
        if let Ok(Ok(())) = timeout(SILENCE_MAX, control.write_all(bytes)).await {
            return Ok(());
        }
        self.tell("cannot send");
        // What the server said before it left can still be read.
        while self.answer().await.is_ok() {}
        self.hang_up();
        Err(Gone)
    }

    /// Sends one command and waits for its final reply.
    pub(crate) async fn command(&mut self, line: &str) -> Result<Reply, Gone> {
        self.ask(&[line]).await?;
        self.last_answer().await
    }

    /// The final reply to the newest command; replies to those before it are read on the way.
    pub(crate) async fn last_answer(&mut self) -> Result<Reply, Gone> {
        loop {
            if let Answer::Final { reply, .. } = self.answer().await?
                && self.asked.is_empty()
            {
                return Ok(reply);
            }
        }
    }

    /// The final reply to a command of this verb.
    pub(crate) async fn answer_to(&mut self, wanted: &str) -> Result<u16, Gone> {
        if let Some(code) = self.early_end.take() {
            return Ok(code);
        }
        loop {
            if let Answer::Final { verb, reply } = self.answer().await?
                && verb == wanted
            {
                return Ok(reply.code.number());
            }
        }
    }

    /// Asks something while data moves, and waits for its reply. Says whether the transfer goes on.
    pub(crate) async fn ask_meanwhile(&mut self, line: &str) -> Result<bool, Gone> {
        self.ask(&[line]).await?;
        match timeout(PROMPT_MAX, self.answer()).await {
            Ok(Ok(Answer::Final { verb, .. })) if verb == line => Ok(true),
            Ok(Ok(Answer::Final { reply, .. })) => {
                self.early_end = Some(reply.code.number());
                Ok(false)
            }
            Ok(Ok(Answer::Opening(_))) => Ok(true),
            Ok(Err(gone)) => Err(gone),
            Err(_) => {
                self.blame(&format!("{line} is not answered while data moves"));
                Ok(true)
            }
        }
    }

    /// Waits for the end of a transfer that was told to end.
    pub(crate) async fn aborted(&mut self) -> Result<(), Gone> {
        let since = Instant::now();
        if let Answer::Final { reply, .. } = self.answer().await? {
            self.early_end = Some(reply.code.number());
        }
        if since.elapsed() > PROMPT_MAX {
            self.blame("ABOR was heard late");
        }
        Ok(())
    }

    /// Reads replies until no command waits for one.
    pub(crate) async fn all_answers(&mut self) -> Result<(), Gone> {
        while !self.asked.is_empty() {
            self.answer().await?;
        }
        Ok(())
    }

    /// The next reply.
    pub(crate) async fn answer(&mut self) -> Result<Answer, Gone> {
        let reply = self.read().await?;
        let code = reply.code;
        if code == Code::CLOSING {
            self.has_farewell = true;
            self.see_off().await;
            return Err(Gone);
        }
        let is_open = self.asked.front().is_some_and(|asked| asked.is_open);
        let at = match self.asked.iter().position(|asked| !is_prompt(&asked.verb)) {
            // While data moves, NOOP and STAT are answered at once, unless something else waits.
            Some(0) if is_open && matches!(code, Code::OK | Code::SYSTEM) => 1,
            _ => 0,
        };
        if code.is_preliminary() {
            let Some(asked) = self.asked.front_mut() else {
                self.blame(&format!("{code}, but nothing was asked"));
                return Err(Gone);
            };
            if asked.is_open || !moves_data(&asked.verb) {
                let verb = asked.verb.clone();
                self.blame(&format!("{code} to {verb} at the wrong time"));
            } else {
                asked.is_open = true;
            }
            return Ok(Answer::Opening(reply));
        }
        let Some(asked) = self.asked.remove(at) else {
            self.blame(&format!("{code}, but nothing was asked"));
            return Err(Gone);
        };
        let is_fine = match asked.verb.as_str() {
            "(greeting)" => code == Code::READY,
            verb => may_answer(verb, code.number()),
        };
        if !is_fine {
            self.blame(&format!("{code} is no reply to {}", asked.verb));
        }
        if asked.verb == "QUIT" {
            self.has_farewell = true;
            self.see_off().await;
            return Err(Gone);
        }
        Ok(Answer::Final { verb: asked.verb, reply })
    }

    /// Reads one whole reply.
    async fn read(&mut self) -> Result<Reply, Gone> {
        loop {
            match Reply::parse(&self.unread) {
                Ok(Some((reply, used))) => {
                    self.unread.drain(..used);
                    let text = reply.lines.last().map(|line| shown(line)).unwrap_or_default();
                    self.tell(&format!("S: {} {text}", reply.code));
                    return Ok(reply);
                }
                Ok(None) => {}
                Err(error) => {
                    let unread = shown(&self.unread);
                    self.blame(&format!("this is no reply ({error:?}): {unread}"));
                    self.hang_up();
                    return Err(Gone);
                }
            }
            let Some(control) = &mut self.control else { return Err(Gone) };
            match timeout(SILENCE_MAX, control.read_buf(&mut self.unread)).await {
                Ok(Ok(1..)) => {}
                Ok(end) => {
                    let how = if end.is_ok() { "is closed" } else { "is reset" };
                    self.tell(&format!("the control connection {how}"));
                    if self.who.is_calm && !self.has_farewell {
                        self.blame("the server left without a word");
                    }
                    self.hang_up();
                    return Err(Gone);
                }
                Err(_) => {
                    let verb = self.asked.front().map(|asked| asked.verb.clone());
                    self.blame(&format!("no reply to {verb:?}"));
                    self.hang_up();
                    return Err(Gone);
                }
            }
        }
    }

    /// After goodbye there must be nothing but the end.
    async fn see_off(&mut self) {
        let Some(control) = &mut self.control else { return };
        let ended = timeout(FAREWELL_MAX, control.read_to_end(&mut self.unread)).await;
        if ended.is_err() {
            self.blame("the server said goodbye and stayed");
        }
        if !self.unread.is_empty() {
            let more = shown(&self.unread);
            self.blame(&format!("the server said goodbye and went on: {more}"));
        }
        self.hang_up();
    }

    /// Drops the control connection.
    pub(crate) fn hang_up(&mut self) {
        self.control = None;
    }
}

/// Whether a command is answered at once while data moves.
fn is_prompt(verb: &str) -> bool {
    matches!(verb, "NOOP" | "STAT")
}
