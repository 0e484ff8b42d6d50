//! Bytes of the control connection to lines: telnet taken out, length bounded.

/// Splits what arrives on a control connection into command lines (RFC 959 §5.3, RFC 854).
///
/// A line ends at LF, and one CR before it is dropped, so a bare LF is accepted. Telnet's CR NUL
/// becomes CR. Telnet commands are taken out up to the first space of a line, where clients send
/// them (RFC 959 §4.1.3, ABOR). In an argument, a doubled 0xFF becomes one and a single one stays,
/// whatever follows: clients with old character sets send it undoubled as a letter, which in
/// windows-1251 is common before 0xF0 to 0xFE.
/// How the bytes were cut on their way makes no difference.
///
/// Memory: one line of at most the given length, and what was fed last.
#[derive(Debug)]
pub struct LineDecoder {
    line_bytes_max: usize,
    /// The input that is not decoded yet starts at `at`.
    input: Vec<u8>,
    at: usize,
    /// The line so far.
    line: Vec<u8>,
    /// Bytes that count against the cap: the line so far, and subnegotiation within it.
    counted: usize,
    telnet: Telnet,
    /// A CR that is neither dropped nor part of the line until the next byte is known.
    holds_cr: bool,
    /// The rest of a line that was too long is being discarded.
    discarding: bool,
}

/// The line was longer than allowed; it is discarded up to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTooLong;

/// The position of the next byte in a telnet sequence.
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
        // Decoded input need not be kept while a client sends ahead.
        self.input.drain(..self.at);
        self.at = 0;
        self.input.extend_from_slice(bytes);
    }

    /// The next whole line without its CR LF, or `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`LineTooLong`], once a line and as soon as it exceeds the limit. The rest of that line is
    /// discarded, so that the tail of a long line never runs as a command.
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

    /// The number of bytes that are not decoded yet.
    pub fn buffered_bytes(&self) -> usize {
        self.input.len().saturating_sub(self.at)
    }

    fn take(&mut self, byte: u8) -> Step {
        match (self.telnet, byte) {
            (Telnet::Data, IAC) => self.telnet = Telnet::Command,
            (Telnet::Data, byte) => return self.take_data(byte),
            (Telnet::Command, IAC) => {
                self.telnet = Telnet::Data;
                return self.take_data(IAC);
            }
            (Telnet::Command, byte) if byte < SE || self.is_in_argument() => {
                self.telnet = Telnet::Data;
                self.take_data(IAC);
                return self.take_data(byte);
            }
            (Telnet::Command, SB) => self.telnet = Telnet::Subnegotiation,
            (Telnet::Command, WILL..=DONT) => self.telnet = Telnet::Option,
            (Telnet::Command | Telnet::Option, _) => self.telnet = Telnet::Data,
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

    /// Whether the line so far contains the space after its command.
    fn is_in_argument(&self) -> bool {
        self.line.contains(&b' ')
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Lines = Vec<Result<Vec<u8>, LineTooLong>>;

    const TOO_LONG: Result<Vec<u8>, LineTooLong> = Err(LineTooLong);

    fn decode(decoder: &mut LineDecoder, bytes: &[u8]) -> Lines {
        decoder.feed(bytes);
        std::iter::from_fn(|| decoder.next_line()).collect()
    }

    fn lines(bytes: &[u8]) -> Lines {
        decode(&mut LineDecoder::new(20), bytes)
    }

    fn one(bytes: &[u8]) -> Vec<u8> {
        let mut lines = lines(bytes);
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0).unwrap()
    }

    #[test]
    fn a_line_ends_at_lf_with_or_without_cr() {
        let expected = [Ok(b"NOOP".to_vec()), Ok(b"QUIT".to_vec()), Ok(vec![])];
        assert_eq!(lines(b"NOOP\r\nQUIT\n\r\nhalf"), expected);
    }

    #[test]
    fn only_the_cr_right_before_lf_is_dropped() {
        assert_eq!(one(b"a\rb\r\r\n"), b"a\rb\r");
        assert_eq!(one(b"a\r\0b\r\0\n"), b"a\rb\r");
        assert_eq!(one(b"a\0b\n"), b"a\0b");
    }

    #[test]
    fn row_14_telnet_commands_vanish() {
        assert_eq!(one(b"\xff\xf4\xff\xf2ABOR\r\n"), b"ABOR");
        assert_eq!(one(b"A\xff\xfb\x01\xff\xfc\xff\xff\xfd\x0a\xff\xfe\x0dB\r\n"), b"AB");
        assert_eq!(one(b"A\xff\xfa\x18\n\xff\xff\xff\xf0B\r\n"), b"AB");
        assert_eq!(one(b"A\r\xff\xf1\nB"), b"A");
    }

    #[test]
    fn row_14_byte_0xff_is_accepted_doubled_or_single() {
        assert_eq!(one(b"CWD \xff\xffx\r\n"), b"CWD \xffx");
        assert_eq!(one(b"CWD \xffx\r\n"), b"CWD \xffx");
        assert_eq!(one(b"CWD x\xff\r\n"), b"CWD x\xff");
        assert_eq!(one(b"CWD \xe1\xff\xef\r\n"), b"CWD \xe1\xff\xef");
        // windows-1251: every letter after 0xFF.
        for next in 0xc0..0xff {
            let line = [b"STOR \xef\xe0\xec\xff", &[next][..], b"\xfc"].concat();
            assert_eq!(one(&[&line[..], b"\r\n"].concat()), line);
        }
        assert_eq!(one(b"RETR a\xff\xff\xf2\r\n"), b"RETR a\xff\xf2");
    }

    #[test]
    fn row_14_telnet_commands_are_taken_out_before_an_argument_only() {
        assert_eq!(lines(b"CWD a\r\n\xff\xf4\xff\xf2ABOR\r\n").last(), Some(&Ok(b"ABOR".to_vec())));
        assert_eq!(one(b"\xff\xf1RETR\xff\xf1 \xff\xf1\r\n"), b"RETR \xff\xf1");
    }

    #[test]
    fn a_line_of_the_longest_length_passes_and_one_more_does_not() {
        let longest = [b'x'; 20];
        assert_eq!(one(&[&longest[..], b"\r\n"].concat()), longest);
        assert_eq!(
            lines(&[&longest[..], b"y\r\nNOOP\r\n"].concat()),
            [TOO_LONG, Ok(b"NOOP".to_vec())]
        );
    }

    #[test]
    fn row_15_a_line_too_long_is_reported_at_once_and_its_tail_never_runs() {
        let mut decoder = LineDecoder::new(4);
        assert_eq!(decode(&mut decoder, b"STOR "), [TOO_LONG]);
        assert_eq!(decode(&mut decoder, b"xxxxxxxxxxxxxxxxxxx"), []);
        assert!(decoder.has_buffered());
        assert_eq!(decode(&mut decoder, b"DELE a\r\nNOOP\r\n"), [Ok(b"NOOP".to_vec())]);
        assert!(!decoder.has_buffered());
    }

    #[test]
    fn a_shorter_cap_holds_for_the_line_that_has_begun() {
        let mut decoder = LineDecoder::new(20);
        assert_eq!(decode(&mut decoder, b"NOOP NOOP"), []);
        decoder.set_line_bytes_max(4);
        assert_eq!(decode(&mut decoder, b"\r\nNOOP\r\n"), [TOO_LONG, Ok(b"NOOP".to_vec())]);
    }

    #[test]
    fn row_14_15_a_subnegotiation_without_end_counts_as_a_line_too_long() {
        let mut decoder = LineDecoder::new(4);
        assert_eq!(
            decode(&mut decoder, b"\xff\xfa12345DELE a\r\nNOOP\r\n"),
            [TOO_LONG, Ok(b"NOOP".to_vec())]
        );
    }

    #[test]
    fn row_15_endless_bytes_do_not_increase_memory() {
        let mut decoder = LineDecoder::new(4096);
        let mut errors = 0;
        for _ in 0..4096 {
            errors += decode(&mut decoder, &[b'x'; 4096]).len();
        }
        assert_eq!(errors, 1);
        assert!(decoder.input.capacity() + decoder.line.capacity() < 32 * 1024);
    }

    #[test]
    fn row_8_every_byte_that_waits_is_seen() {
        for waiting in [&b"N"[..], b"\r", b"\xff", b"\xff\xfb", b"\xff\xfa", b"\xff\xfa\xff", b"\0"]
        {
            let mut decoder = LineDecoder::new(20);
            assert!(!decoder.has_buffered());
            decoder.feed(waiting);
            assert!(decoder.has_buffered(), "before looking at {waiting:?}");
            assert_eq!(decoder.next_line(), None);
            assert!(decoder.has_buffered(), "after looking at {waiting:?}");
        }
        let mut decoder = LineDecoder::new(20);
        decoder.feed(b"AUTH TLS\r\nUSER x\r\n");
        assert_eq!(decoder.next_line(), Some(Ok(b"AUTH TLS".to_vec())));
        assert!(decoder.has_buffered());
        let mut decoder = LineDecoder::new(20);
        assert_eq!(decode(&mut decoder, b"AUTH TLS\r\n\xff\xf1"), [Ok(b"AUTH TLS".to_vec())]);
        assert!(!decoder.has_buffered());
    }

    /// Bytes of which most mean something to the decoder.
    fn wire() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            prop::sample::select(&b"\r\n\0\xff\xff\xf0\xf4\xfa\xfb\xfea"[..]),
            any::<u8>()
        ];
        prop::collection::vec(byte, 0..200)
    }

    proptest! {
        #[test]
        fn row_14_how_bytes_are_cut_makes_no_difference(
            bytes in wire(),
            max in 0_usize..30,
            size in 1_usize..9,
        ) {
            let whole = decode(&mut LineDecoder::new(max), &bytes);
            let mut decoder = LineDecoder::new(max);
            let cut: Lines =
                bytes.chunks(size).flat_map(|piece| decode(&mut decoder, piece)).collect();
            prop_assert_eq!(&cut, &whole);
            prop_assert!(whole.iter().flatten().all(|line| line.len() <= max));
            prop_assert!(whole.len() <= bytes.split(|&byte| byte == b'\n').count());
        }

        #[test]
        fn without_telnet_lines_end_at_line_feeds(
            wire in "[ab\r\n]{0,60}",
            max in 0_usize..8,
        ) {
            let mut expected: Lines = wire
                .split('\n')
                .map(|text| text.strip_suffix('\r').unwrap_or(text).as_bytes().to_vec())
                .map(|line| if line.len() > max { TOO_LONG } else { Ok(line) })
                .collect();
            // The part after the last line feed is only reported if it is too long already.
            if expected.last().is_some_and(Result::is_ok) {
                expected.pop();
            }
            prop_assert_eq!(decode(&mut LineDecoder::new(max), wire.as_bytes()), expected);
        }

        #[test]
        fn lines_of_text_round_trip(
            texts in prop::collection::vec("[^\r\n\0]{0,5}", 1..9),
        ) {
            let wire = texts.join("\r\n") + "\r\n";
            let expected: Lines = texts.into_iter().map(|text| Ok(text.into_bytes())).collect();
            prop_assert_eq!(lines(wire.as_bytes()), expected);
        }

        #[test]
        fn row_14_doubled_0xff_brings_every_byte_through(text: Vec<u8>) {
            let mut wire = Vec::new();
            for &byte in text.iter().filter(|&&byte| byte != b'\n') {
                wire.push(byte);
                match byte {
                    0xff => wire.push(0xff),
                    b'\r' => wire.push(0),
                    _ => {}
                }
            }
            wire.extend(b"\r\n");
            let expected: Vec<u8> = text.into_iter().filter(|&byte| byte != b'\n').collect();
            prop_assert_eq!(decode(&mut LineDecoder::new(9999), &wire), [Ok(expected)]);
        }
    }
}
