//! The control connection: reads lines, sends replies, starts TLS.

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;
use tracing::{debug, trace};
use wharf_proto::line::{LineDecoder, LineTooLong};
use wharf_proto::path::escaped;
use wharf_proto::reply::Reply;

use crate::names::NameCodec;
use crate::net::{self, Socket, Stream};
use crate::tls::{Acceptor, BindingId, NegotiatedTls, describe, protection};

/// Longest line before login: PASS with a long password.
pub(crate) const LINE_BYTES_MAX_BEFORE_LOGIN: usize = 1100;
/// Longest line before login of any command but USER and PASS.
pub(crate) const LINE_BYTES_MAX_UNAUTHENTICATED: usize = 512;
/// The longest path, its command, and room for telnet.
pub(crate) const LINE_BYTES_MAX: usize = 4200;
/// One read; what is pipelined beyond it waits in the kernel.
const READ_BYTES: usize = 2048;
/// Pipelined bytes up to which the end of the connection is looked for behind them.
const SENT_AHEAD_MAX: usize = 4 * READ_BYTES;
/// Lines that are read behind one that waits, in search of ABOR, and how many bytes they may have.
/// Then no more is read, and TCP holds the client back.
const AHEAD_LINES_MAX: usize = 16;
const AHEAD_BYTES_MAX: usize = 2 * LINE_BYTES_MAX;
/// First byte of a TLS handshake record; no FTP command starts with it.
const TLS: u8 = 0x16;
/// Room for most replies.
const REPLY_BYTES: usize = 128;
/// A client that does not read its replies for this long is disconnected.
const SEND_MAX: Duration = Duration::from_secs(30);
/// The same for the last reply of a session that the server ends: an unread reply must not delay
/// the end.
const LAST_REPLY_MAX: Duration = Duration::from_millis(100);

/// One client's control connection.
pub(crate) struct Control {
    /// `None` only during the TLS handshake.
    stream: Option<Stream>,
    decoder: LineDecoder,
    /// Lines read ahead, in order.
    ahead: VecDeque<Result<Vec<u8>, LineTooLong>>,
    out: Vec<u8>,
    /// Whether the client has sent anything.
    has_received: bool,
}

/// Why the control connection ended.
#[derive(Debug)]
pub(crate) enum Disconnect {
    /// The client closed the connection.
    Closed,
    /// The connection broke.
    Broken(io::Error),
    /// The client does not read its replies.
    NotReading,
    /// The client began with a TLS handshake where plain FTP is expected.
    UnexpectedTls,
}

impl Control {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream: Some(stream),
            decoder: LineDecoder::new(LINE_BYTES_MAX_BEFORE_LOGIN),
            ahead: VecDeque::new(),
            out: Vec::new(),
            has_received: false,
        }
    }

    pub(crate) fn set_line_bytes_max(&mut self, bytes: usize) {
        self.decoder.set_line_bytes_max(bytes);
    }

    /// The next line, without its end. Cancel safe: bytes that were read stay here.
    ///
    /// Does not read while a complete line is buffered, so TCP flow control slows a client that
    /// sends ahead.
    pub(crate) async fn line(&mut self) -> Result<Result<Vec<u8>, LineTooLong>, Disconnect> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(line);
        }
        self.next_line().await
    }

    /// Reads past pending lines until one for which `is_urgent` is true, and returns it out of
    /// order. The other lines stay queued in order. Cancel safe.
    ///
    /// Never completes once the queue is full.
    pub(crate) async fn urgent_line(
        &mut self,
        is_urgent: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, Disconnect> {
        loop {
            let bytes = self.ahead.iter().flatten().fold(0, |sum: usize, line| sum + line.len());
            if self.ahead.len() >= AHEAD_LINES_MAX || bytes >= AHEAD_BYTES_MAX {
                return pending().await;
            }
            match self.next_line().await? {
                Ok(line) if is_urgent(&line) => return Ok(line),
                line => self.ahead.push_back(line),
            }
        }
    }

    async fn next_line(&mut self) -> Result<Result<Vec<u8>, LineTooLong>, Disconnect> {
        poll_fn(|context| {
            loop {
                if let Some(line) = self.decoder.next_line() {
                    return Poll::Ready(Ok(line));
                }
                ready!(self.poll_fill(context))?;
            }
        })
        .await
    }

    /// Whether the client is known to have disconnected. Does not wait.
    pub(crate) async fn has_left(&mut self) -> bool {
        // The end of the data connection can be read before the reactor has seen that of this one.
        if self.socket().is_some_and(Socket::has_ended) {
            return true;
        }
        poll_fn(|context| {
            // The end of the connection, if it has arrived, comes after what the client sent ahead.
            while self.decoder.buffered_bytes() < SENT_AHEAD_MAX {
                match self.poll_fill(context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(true),
                    Poll::Pending => break,
                }
            }
            Poll::Ready(false)
        })
        .await
    }

    /// Lets `time`, below a second, pass, so that the end of this connection can arrive.
    pub(crate) async fn pause(&mut self, time: Duration) {
        if let Some(socket) = self.socket() {
            net::pause(time, matches!(socket, Socket::Tcp(_))).await;
        }
    }

    /// Whether the client is a program on this machine.
    pub(crate) fn is_of_this_machine(&self) -> bool {
        self.socket().is_some_and(Socket::is_of_this_machine)
    }

    fn socket(&self) -> Option<&Socket> {
        match self.stream.as_ref()? {
            Stream::Plain(socket) => Some(socket),
            Stream::Tls(stream) => Some(stream.get_ref().0.socket()),
        }
    }

    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Disconnect>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(Disconnect::Closed)) };
        let mut bytes = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer)).map_err(disconnect)?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Err(Disconnect::Closed));
        }
        let is_first = !std::mem::replace(&mut self.has_received, true);
        if is_first && matches!(stream, Stream::Plain(_)) && buffer.filled().first() == Some(&TLS) {
            return Poll::Ready(Err(Disconnect::UnexpectedTls));
        }
        self.decoder.feed(buffer.filled());
        Poll::Ready(Ok(()))
    }

    /// Whether the client has sent anything apart from TLS handshakes.
    pub(crate) fn has_received(&self) -> bool {
        self.has_received
    }

    /// Whether bytes of the client are buffered.
    pub(crate) fn has_buffered(&self) -> bool {
        !self.ahead.is_empty() || self.decoder.has_buffered()
    }

    /// Sends replies, each line in the session's character set, in one write.
    pub(crate) async fn send(
        &mut self,
        replies: impl IntoIterator<Item = &Reply>,
        names: &NameCodec,
    ) -> Result<(), Disconnect> {
        match self.send_at_once(replies, names).await {
            Some(sent) => sent,
            // Boxed, so that a session does not reserve memory for a client that does not read.
            None => Box::pin(self.send_rest()).await,
        }
    }

    /// Like [`Control::send`], without waiting. `None` if the client does not read:
    /// [`Control::send_rest`] continues.
    pub(crate) async fn send_at_once(
        &mut self,
        replies: impl IntoIterator<Item = &Reply>,
        names: &NameCodec,
    ) -> Option<Result<(), Disconnect>> {
        for reply in replies {
            let text = || reply.lines.last().map(|text| escaped(text)).unwrap_or_default();
            // A port check, which reads the greeting only, leaves one line.
            if self.has_received() {
                debug!(code = u64::from(reply.code.number()), text = text(), "reply");
            } else {
                trace!(code = u64::from(reply.code.number()), text = text(), "reply");
            }
            write(reply, names, &mut self.out);
        }
        match poll_fn(|context| Poll::Ready(self.poll_send(context))).await {
            Poll::Ready(sent) => Some(sent),
            Poll::Pending => None,
        }
    }

    /// Sends what is buffered, within a bound.
    pub(crate) async fn send_rest(&mut self) -> Result<(), Disconnect> {
        let sent = timeout(SEND_MAX, poll_fn(|context| self.poll_send(context))).await;
        sent.unwrap_or(Err(Disconnect::NotReading))
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Disconnect>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(Disconnect::Closed)) };
        while !self.out.is_empty() {
            let sent = ready!(Pin::new(&mut *stream).poll_write(context, &self.out))
                .map_err(disconnect)?;
            if sent == 0 {
                return Poll::Ready(Err(Disconnect::Closed));
            }
            self.out.drain(..sent.min(self.out.len()));
        }
        // An idle session reserves no memory for its next reply.
        self.out = Vec::new();
        Pin::new(stream).poll_flush(context).map_err(disconnect)
    }

    /// Sends the last replies of a session that must end, without waiting for a client that does
    /// not read them at once.
    pub(crate) async fn send_last(
        &mut self,
        replies: impl IntoIterator<Item = &Reply>,
        names: &NameCodec,
    ) {
        if !matches!(timeout(LAST_REPLY_MAX, self.send(replies, names)).await, Ok(Ok(()))) {
            self.abandon();
        }
    }

    /// Closes the connection without TLS `close_notify` or flushing.
    pub(crate) fn abandon(&mut self) {
        self.stream = None;
    }

    /// Performs the TLS handshake. The caller has made sure that no plain bytes are buffered.
    pub(crate) async fn secure(
        &mut self,
        acceptor: &Acceptor,
        binding_id: BindingId,
    ) -> io::Result<NegotiatedTls> {
        let Some(Stream::Plain(socket)) = self.stream.take() else {
            return Err(io::Error::other("TLS is already active"));
        };
        let stream = acceptor.control(socket, binding_id).await?;
        let protection = protection(&stream);
        self.stream = Some(Stream::Tls(Box::new(stream)));
        Ok(protection)
    }

    /// Sends an empty line, for a client that sleeps until something arrives. lftp ignores it; a
    /// telnet NOP, which RFC 959 has for this, is unknown to lftp under TLS.
    pub(crate) async fn wake(&mut self) -> Result<(), Disconnect> {
        let Some(stream) = &mut self.stream else { return Err(Disconnect::Closed) };
        match timeout(SEND_MAX, stream.write_all(b"\r\n")).await {
            Ok(sent) => sent.map_err(disconnect),
            Err(_) => Err(Disconnect::NotReading),
        }
    }

    /// Shuts the connection down so that the last reply arrives. With `is_in_a_hurry` it hardly
    /// waits for a client that does not read.
    pub(crate) async fn close(&mut self, is_in_a_hurry: bool) {
        let most = if is_in_a_hurry { LAST_REPLY_MAX } else { SEND_MAX };
        if let Some(stream) = &mut self.stream {
            let _ = timeout(most, stream.shutdown()).await;
        }
    }
}

fn write(reply: &Reply, names: &NameCodec, out: &mut Vec<u8>) {
    out.reserve(REPLY_BYTES);
    if reply.lines.iter().all(|line| matches!(names.wire(line), std::borrow::Cow::Borrowed(_))) {
        reply.write(out);
        return;
    }
    let lines = reply.lines.iter().map(|line| names.wire(line).into_owned());
    Reply::lines(reply.code, lines).write(out);
}

fn disconnect(error: io::Error) -> Disconnect {
    match error.kind() {
        // Most clients end TLS without close_notify.
        io::ErrorKind::UnexpectedEof => Disconnect::Closed,
        _ => Disconnect::Broken(error),
    }
}

impl std::fmt::Display for Disconnect {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => out.write_str("the client closed the connection"),
            Self::Broken(error) => write!(out, "connection lost: {}", describe(error)),
            Self::UnexpectedTls => {
                out.write_str("the client sent a TLS handshake on a port for plain FTP")
            }
            Self::NotReading => {
                out.write_str("timed out sending a reply: the client does not read")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::time::Instant;
    use wharf_proto::reply::Code;

    use super::*;
    use crate::settings::Settings;
    use crate::testing::link;

    #[tokio::test(start_paused = true)]
    async fn row_7_a_client_that_reads_no_replies_is_disconnected_after_thirty_seconds() {
        let (_theirs, ours) = tokio::io::duplex(64);
        let mut control = Control::new(Stream::Plain(link(ours)));
        let names = NameCodec::new(&Settings::default().names);
        let started = Instant::now();
        let reply = Reply::new(Code::OK, "x".repeat(100));
        assert!(matches!(control.send([&reply], &names).await, Err(Disconnect::NotReading)));
        assert_eq!(started.elapsed(), SEND_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn row_7_a_stalled_tls_handshake_ends_after_ten_seconds_on_either_connection() {
        use crate::tls::tests::acceptor;
        use crate::tls::{DataDirection, HandshakeStage};
        let acceptor = acceptor();
        let stage = tokio::sync::watch::Sender::new(HandshakeStage::Before);
        for is_data in [false, true] {
            let (mut theirs, ours) = tokio::io::duplex(64);
            // The first bytes of a handshake, and no more.
            theirs.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
            let started = Instant::now();
            let binding_id = BindingId([0; 16]);
            let error = if is_data {
                acceptor.data(link(ours), binding_id, DataDirection::In, &stage).await.err()
            } else {
                acceptor.control(link(ours), binding_id).await.err()
            };
            assert_eq!(error.unwrap().kind(), io::ErrorKind::TimedOut);
            assert_eq!(started.elapsed(), Duration::from_secs(10));
        }
    }

    #[tokio::test]
    async fn row_10_only_the_first_byte_of_all_shows_tls() {
        let (mut theirs, ours) = tokio::io::duplex(64);
        let mut control = Control::new(Stream::Plain(link(ours)));
        theirs.write_all(b"NOOP\r\n\x16\r\n").await.unwrap();
        assert_eq!(control.line().await.unwrap().unwrap(), b"NOOP");
        assert!(control.line().await.is_ok());
        let (mut theirs, ours) = tokio::io::duplex(64);
        let mut control = Control::new(Stream::Plain(link(ours)));
        theirs.write_all(&[0x16]).await.unwrap();
        assert!(matches!(control.line().await, Err(Disconnect::UnexpectedTls)));
    }
}
