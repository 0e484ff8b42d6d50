//! A small client that sends exact bytes, for dialogues of clients that cannot run here and for
//! clients that crash.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Longer than any wait that the server has to make.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A control connection.
pub(crate) struct Wire {
    control: BufReader<TcpStream>,
    /// The greeting.
    pub(crate) greeting: Reply,
}

/// A reply, as raw bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Reply(pub(crate) Vec<u8>);

/// What became of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// The server replied 226.
    Confirmed,
    ConnectionLost,
}

impl Wire {
    /// Connects and reads the greeting.
    pub(crate) fn connect(address: &str, port: u16) -> Self {
        let stream = TcpStream::connect((address, port)).expect("the server listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("it can be set");
        stream.set_write_timeout(Some(TIMEOUT)).expect("it can be set");
        stream.set_nodelay(true).expect("it can be set");
        let mut wire = Self { control: BufReader::new(stream), greeting: Reply(Vec::new()) };
        wire.greeting = wire.reply();
        wire
    }

    pub(crate) fn log_in(&mut self, user: &str, password: &str) {
        self.expect(&format!("USER {user}"), 331);
        self.expect(&format!("PASS {password}"), 230);
    }

    /// Sends one line.
    pub(crate) fn send(&mut self, line: impl AsRef<[u8]>) {
        let line = [line.as_ref(), b"\r\n"].concat();
        self.control.get_mut().write_all(&line).expect("the server takes lines");
    }

    /// Reads one reply, all its lines.
    ///
    /// # Panics
    /// The server does not reply in time, or closes.
    pub(crate) fn reply(&mut self) -> Reply {
        self.try_reply().expect("the server replies")
    }

    /// Reads one reply, or nothing if the connection ended.
    pub(crate) fn try_reply(&mut self) -> Option<Reply> {
        let mut whole = Vec::new();
        loop {
            let mut line = Vec::new();
            let count = self.control.read_until(b'\n', &mut line).ok()?;
            if count == 0 {
                return None;
            }
            whole.extend_from_slice(&line);
            let code = whole.get(..3)?;
            if line.starts_with(code) && line.get(3) == Some(&b' ') {
                return Some(Reply(whole));
            }
        }
    }

    /// Sends a line and returns the reply.
    pub(crate) fn ask(&mut self, line: impl AsRef<[u8]>) -> Reply {
        self.send(line);
        self.reply()
    }

    /// Sends a line and demands this code.
    pub(crate) fn expect(&mut self, line: &str, code: u16) -> Reply {
        self.expect_bytes(line.as_bytes(), code)
    }

    pub(crate) fn expect_bytes(&mut self, line: &[u8], code: u16) -> Reply {
        let reply = self.ask(line);
        assert_eq!(reply.code(), code, "C: {}\nS: {reply}", String::from_utf8_lossy(line));
        reply
    }

    /// Sends a line and expects this whole reply.
    pub(crate) fn expect_reply(&mut self, line: &str, reply: &str) {
        assert_eq!(self.ask(line).to_string(), format!("{reply}\r\n"), "C: {line}");
    }

    /// Opens a passive data connection.
    pub(crate) fn passive(&mut self) -> TcpStream {
        let address = self.expect("PASV", 227).pasv_address();
        let data = TcpStream::connect(address).expect("the server listens there");
        data.set_read_timeout(Some(TIMEOUT)).expect("it can be set");
        data
    }

    /// Offers an active data connection with PORT, as `ftp.exe` does.
    pub(crate) fn active(&mut self) -> TcpListener {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        self.expect(&format!("PORT 127,0,0,1,{},{}", port / 256, port % 256), 200);
        listener
    }

    /// Downloads the data of a command over a passive connection.
    pub(crate) fn download(&mut self, line: impl AsRef<[u8]>) -> Vec<u8> {
        let mut data = self.passive();
        self.begins(line);
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).expect("the data arrives");
        self.ends();
        bytes
    }

    /// Downloads the data of a command over an active connection.
    pub(crate) fn download_active(&mut self, line: impl AsRef<[u8]>) -> Vec<u8> {
        let listener = self.active();
        self.begins(line);
        let (mut data, from) = listener.accept().expect("the server connects");
        assert_eq!(from.ip(), Ipv4Addr::LOCALHOST);
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).expect("the data arrives");
        self.ends();
        bytes
    }

    /// Stores bytes over a passive connection.
    pub(crate) fn store(&mut self, line: impl AsRef<[u8]>, bytes: &[u8]) {
        let data = self.passive();
        self.begins(line);
        self.finish_store(data, bytes);
    }

    /// Stores bytes over an active connection.
    pub(crate) fn store_actively(&mut self, line: impl AsRef<[u8]>, bytes: &[u8]) {
        let listener = self.active();
        self.begins(line);
        let (data, _) = listener.accept().expect("the server connects");
        self.finish_store(data, bytes);
    }

    fn finish_store(&mut self, mut data: TcpStream, bytes: &[u8]) {
        data.write_all(bytes).expect("the server takes it");
        data.shutdown(Shutdown::Both).expect("it is open");
        self.ends();
    }

    /// Starts an upload, waits until the server has these bytes, and disconnects. Returns once the
    /// server has finished it.
    pub(crate) fn cut_store(mut self, line: &str, bytes: &[u8]) {
        let data = self.begin_store(line, bytes);
        // The control connection is closed first, so that the end of the data is not taken for the
        // end of the file.
        let control = self.control.get_mut();
        control.shutdown(Shutdown::Write).expect("it is open");
        let _ = control.read_to_end(&mut Vec::new());
        drop(data);
    }

    /// Starts an upload, waits until the server has these bytes, and keeps all connections open
    /// while `meanwhile` runs.
    pub(crate) fn leave_unfinished(mut self, line: &str, bytes: &[u8], meanwhile: impl FnOnce()) {
        let data = self.begin_store(line, bytes);
        meanwhile();
        drop(data);
    }

    fn begin_store(&mut self, line: &str, bytes: &[u8]) -> TcpStream {
        let mut data = self.passive();
        self.begins(line);
        data.write_all(bytes).expect("the server takes it");
        let count = format!(" {} bytes", bytes.len());
        while !self.expect("STAT", 211).to_string().contains(&count) {}
        data
    }

    /// Uploads bytes and passes the number of sent ones to `sent`, until all are sent or the
    /// connection ends.
    ///
    /// # Panics
    /// The server rejects the upload.
    pub(crate) fn try_store(&mut self, line: &str, bytes: &[u8], sent: impl Fn(usize)) -> Stored {
        self.store_while_it_lasts(line, bytes, sent).unwrap_or(Stored::ConnectionLost)
    }

    fn store_while_it_lasts(
        &mut self,
        line: &str,
        bytes: &[u8],
        sent: impl Fn(usize),
    ) -> Option<Stored> {
        let mut expects = |line: Option<&str>, code| {
            if let Some(line) = line {
                self.control.get_mut().write_all(format!("{line}\r\n").as_bytes()).ok()?;
            }
            let reply = self.try_reply()?;
            // Data that a kill cuts off is rejected before the control connection breaks.
            assert!([code, 425, 426].contains(&reply.code()), "C: {line:?}\nS: {reply}");
            (reply.code() == code).then_some(reply)
        };
        let address = expects(Some("PASV"), 227)?.pasv_address();
        let mut data = TcpStream::connect(address).ok()?;
        expects(Some(line), 150)?;
        for piece in bytes.chunks(8192) {
            data.write_all(piece).ok()?;
            sent(piece.len());
        }
        data.shutdown(Shutdown::Both).ok()?;
        expects(None, 226).map(|_| Stored::Confirmed)
    }

    fn begins(&mut self, line: impl AsRef<[u8]>) {
        let reply = self.ask(line.as_ref());
        assert_eq!(reply.code(), 150, "C: {}\nS: {reply}", line.as_ref().escape_ascii());
    }

    fn ends(&mut self) {
        let reply = self.reply();
        assert_eq!(reply.code(), 226, "{reply}");
    }

    /// Whether the server has closed this connection, once it does.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        self.control.read_to_end(&mut rest).is_ok() && rest.is_empty()
    }
}

impl Reply {
    pub(crate) fn code(&self) -> u16 {
        let code = self.0.get(..3).and_then(|code| std::str::from_utf8(code).ok());
        code.and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no code: {self}"))
    }

    /// The address in a reply to PASV.
    pub(crate) fn pasv_address(&self) -> SocketAddr {
        let text = self.to_string();
        let (_, rest) = text.split_once('(').expect("there are brackets");
        let (numbers, _) = rest.split_once(')').expect("there are brackets");
        let numbers: Vec<u8> =
            numbers.split(',').map(|number| number.parse().expect("a number")).collect();
        let [a, b, c, d, high, low] = numbers[..] else { panic!("six numbers: {text}") };
        SocketAddr::from(([a, b, c, d], u16::from(high) * 256 + u16::from(low)))
    }

    /// The port in a reply to EPSV.
    pub(crate) fn epsv_port(&self) -> u16 {
        let text = self.to_string();
        let port = text.split('|').nth(3).and_then(|port| port.parse().ok());
        port.unwrap_or_else(|| panic!("no port: {text}"))
    }

    /// The path in quotes of a reply to PWD or MKD.
    pub(crate) fn quoted(&self) -> String {
        let text = self.to_string();
        text.split('"').nth(1).unwrap_or_else(|| panic!("no quotes: {text}")).to_owned()
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&String::from_utf8_lossy(&self.0))
    }
}
