//! Bytes of the control connection to lines: telnet taken out, length bounded.

/// Splits what arrives on a control connection into command lines (RFC 959 §5.3, RFC 854).
///
/// A line ends at LF, and one CR before it is dropped, so a bare LF is accepted. Telnet's CR NUL
/// becomes CR. Telnet commands are taken out; a doubled 0xFF becomes one, and a single 0xFF before
/// an ordinary byte stays, because clients with old character sets send it undoubled as a letter.
/// How the bytes were cut on their way makes no difference.
///
/// Memory: one line of at most the given length, and what was fed last.
#[derive(Debug)]
pub struct LineDecoder {
    line_bytes_max: usize,
    /// Fed and not looked at yet, from `at` on.
    input: Vec<u8>,
    at: usize,
    /// The line so far.
    line: Vec<u8>,
    /// Bytes that count against the cap: the line so far, and subnegotiation within it.
    counted: usize,
    telnet: Telnet,
    /// A CR that is neither dropped nor part of the line until the next byte is known.
    holds_cr: bool,
    /// The rest of a line that was too long is being thrown away.
    discarding: bool,
}

/// The line was longer than allowed; it is thrown away up to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTooLong;

/// Where in a telnet sequence the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telnet {
    Data,
    /// After 0xFF.
    Command,
    /// After WILL, WONT, DO or DONT: one byte names the option.
    Option,
    /// Between SB and SE.
    Subnegotiation,
    /// After 0xFF in a subnegotiation.
    SubnegotiationCommand,
}

/// What one byte led to.
enum Step {
    More,
    End,
}

/// Interpret as command, the byte that begins every telnet sequence.
const IAC: u8 = 0xff;
/// End of subnegotiation, the lowest telnet command.
const SE: u8 = 0xf0;
/// Begin of subnegotiation.
const SB: u8 = 0xfa;
/// WILL, WONT, DO and DONT; each has one byte behind it.
const WILL: u8 = 0xfb;
const DONT: u8 = 0xfe;

impl LineDecoder {
    /// A decoder for lines of at most `line_bytes_max` bytes, CR and LF not counted.
    pub fn new(line_bytes_max: usize) -> Self {
        Self {
            line_bytes_max,
            input: Vec::new(),
            at: 0,
            line: Vec::new(),
            counted: 0,
            telnet: Telnet::Data,
            holds_cr: false,
            discarding: false,
        }
    }

    /// Changes the longest line, from the next byte on: more is allowed after login than before.
    pub fn set_line_bytes_max(&mut self, max: usize) {
        self.line_bytes_max = max;
    }

    /// Takes bytes as they came from the network.
    ///
    /// They are kept until [`Self::next_line`] has returned `None`. So feed only then, and a few
    /// KiB at a time; that keeps the memory of a connection bounded.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next whole line without its CR LF, or `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`LineTooLong`], once a line and as soon as it passes the cap. The rest of that line is
    /// thrown away, so that the tail of a long line never runs as a command.
    pub fn next_line(&mut self) -> Option<Result<Vec<u8>, LineTooLong>> {
        while let Some(&byte) = self.input.get(self.at) {
            self.at += 1;
            if self.discarding {
                self.discarding = byte != b'\n';
                continue;
            }
            let step = self.take(byte);
            if self.counted > self.line_bytes_max {
                self.reset();
                self.discarding = byte != b'\n';
                return Some(Err(LineTooLong));
            }
            if matches!(step, Step::End) {
                let line = self.line.clone();
                self.reset();
                return Some(Ok(line));
            }
        }
        self.input.clear();
        self.at = 0;
        None
    }

    /// Whether any byte was fed that has not been handed out or dropped as telnet: a line, half a
    /// line, half a telnet sequence, or the rest of a line that was too long.
    ///
    /// Before a TLS handshake this must be false, else bytes sent in clear text would count as
    /// sent under TLS.
    pub fn has_buffered(&self) -> bool {
        self.at < self.input.len()
            || self.counted > 0
            || self.telnet != Telnet::Data
            || self.holds_cr
            || self.discarding
    }

    fn take(&mut self, byte: u8) -> Step {
        match (self.telnet, byte) {
            (Telnet::Data, IAC) => self.telnet = Telnet::Command,
            (Telnet::Data, byte) => return self.take_data(byte),
            (Telnet::Command, IAC) => {
                self.telnet = Telnet::Data;
                return self.take_data(IAC);
            }
            (Telnet::Command, SB) => self.telnet = Telnet::Subnegotiation,
            (Telnet::Command, WILL..=DONT) => self.telnet = Telnet::Option,
            (Telnet::Command, SE..) | (Telnet::Option, _) => self.telnet = Telnet::Data,
            (Telnet::Command, byte) => {
                self.telnet = Telnet::Data;
                self.take_data(IAC);
                return self.take_data(byte);
            }
            // Counted, or a subnegotiation without an end would swallow the connection unseen.
            (Telnet::Subnegotiation, byte) => {
                self.counted += 1;
                if byte == IAC {
                    self.telnet = Telnet::SubnegotiationCommand;
                }
            }
            (Telnet::SubnegotiationCommand, byte) => {
                self.counted += 1;
                self.telnet = if byte == SE { Telnet::Data } else { Telnet::Subnegotiation };
            }
        }
        Step::More
    }

    fn take_data(&mut self, byte: u8) -> Step {
        if self.holds_cr {
            self.holds_cr = false;
            match byte {
                b'\n' => return Step::End,
                0 => {
                    self.push(b'\r');
                    return Step::More;
                }
                _ => self.push(b'\r'),
            }
        }
        match byte {
            b'\n' => return Step::End,
            b'\r' => self.holds_cr = true,
            byte => self.push(byte),
        }
        Step::More
    }

    fn push(&mut self, byte: u8) {
        self.line.push(byte);
        self.counted += 1;
    }

    fn reset(&mut self) {
        self.line.clear();
        self.counted = 0;
        self.telnet = Telnet::Data;
        self.holds_cr = false;
    }
}
