//! A client that sends arbitrary bytes, and the invariants of every such session: it ends, each
//! command has one final reply, and no resources remain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::timeout;
use wharf_core::account::Account;
use wharf_core::permission::{Permissions, Rules};
use wharf_proto::address::{parse_epsv_reply, parse_pasv_reply};
use wharf_proto::line::LineDecoder;
use wharf_proto::reply::{Code, Reply};
use wharf_server::{Handle, Server};
use wharf_storage::Memory;

use crate::link::SimLink;
use crate::net::SimNet;
use crate::network_faults::NetworkFaults;
use crate::users::FixedUsers;
use crate::world::{CLIENT, SERVER, clock, settings};

/// Up to this size no line can be too long, so that lines can be counted by the test.
pub const COUNTED_BYTES_MAX: usize = 1000;
/// Maximum duration of a session, in simulated time: longer than every timeout of the server.
const TALK_MAX: Duration = Duration::from_hours(2);
/// Maximum duration of a shutdown.
const END_MAX: Duration = Duration::from_mins(1);
/// The port of the client for active mode: `PORT 203,0,113,9,195,80`.
const ACTIVE_PORT: u16 = 50_000;
/// The commands of a login.
const LOGIN: &[u8] = b"USER anna\r\nPASS secret\r\n";
/// Maximum number of bytes read from a data connection.
const DATA_BYTES_MAX: usize = 1 << 20;

/// The input of a session, and how it is sent.
#[derive(Clone, Copy, Debug)]
pub struct ArbitraryClient<'a> {
    /// Whether the client logs in first.
    pub is_inside: bool,
    /// Whether the client closes the connection after the last byte, or waits for the server.
    pub leaves: bool,
    /// Bytes per packet; 0 for all in one.
    pub piece_bytes: usize,
    /// Sent on every data connection.
    pub data: &'a [u8],
    /// Sent on the control connection.
    pub bytes: &'a [u8],
}

impl<'a> ArbitraryClient<'a> {
    /// Derives a session from `input`: the first byte selects the options, the second how much of
    /// the rest is data.
    pub fn from_input(input: &'a [u8]) -> Option<Self> {
        let (&[how, data_bytes], rest) = input.split_first_chunk()?;
        let (data, bytes) = rest.split_at(usize::from(data_bytes % 32).min(rest.len()));
        Some(Self {
            is_inside: how & 1 == 0,
            leaves: how & 2 == 2,
            piece_bytes: usize::from(how >> 2),
            data,
            bytes,
        })
    }

    /// Runs the session with a new server until it ends. Returns the codes of the replies.
    ///
    /// # Errors
    /// A description of the violated invariant.
    ///
    /// # Panics
    /// If the server panics.
    pub fn run(&self) -> Result<Vec<u16>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without input and output can be made");
        runtime.block_on(self.run_session())
    }

    async fn run_session(&self) -> Result<Vec<u16>, String> {
        let net = SimNet::new(NetworkFaults::Off);
        let memory = Memory::with_clock(clock);
        memory.put("/a", b"hello\r\n");
        memory.put("/folder/b.txt", vec![b'b'; 3000]);
        let mut users = FixedUsers::default();
        let rules = Rules::everywhere(Permissions::ALL);
        users.add(Account::new("anna", "/", rules), "secret");
        let server =
            Server::new(settings(), Arc::new(users), Arc::new(memory)).net(Arc::new(net.clone()));
        let bound = server.bind().await.map_err(|error| format!("cannot listen: {error}"))?;
        let handle = bound.handle();
        let mut serving = JoinSet::new();
        serving.spawn(bound.serve());
        let received = timeout(TALK_MAX, self.send_input(&net)).await;
        let received = received.map_err(|_| "the session does not end".to_owned())??;
        let codes = received.codes()?;
        handle.shut_down(Duration::ZERO);
        let ended = timeout(END_MAX, serving.join_all()).await;
        ended.map_err(|_| "the server does not end".to_owned())?;
        nothing_is_left(&net, &handle)?;
        self.check(&codes)?;
        Ok(codes)
    }

    /// Sends the input while replies are read; data connections are opened as they are offered.
    async fn send_input(&self, net: &SimNet) -> Result<ReceivedReplies, String> {
        let link = net.dial(SocketAddr::new(CLIENT, 0), SERVER).await;
        let link = link.map_err(|error| format!("cannot connect: {error}"))?;
        let (mut from, mut to) = tokio::io::split(link);
        let mut data = JoinSet::new();
        data.spawn(listen(net.clone(), self.data.to_vec()));
        let sending = async {
            let login = if self.is_inside { LOGIN } else { b"" };
            let size = if self.piece_bytes == 0 { usize::MAX } else { self.piece_bytes };
            for piece in [login].into_iter().chain(self.bytes.chunks(size)) {
                // The server may have closed the connection; the replies show it.
                if to.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            if self.leaves {
                let _ = to.shutdown().await;
            }
        };
        let receiving = async {
            let mut received = ReceivedReplies::default();
            let mut buffer = [0; 512];
            while let Ok(count @ 1..) = from.read(&mut buffer).await {
                received.bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
                for at in received.offers()? {
                    data.spawn(dial(net.clone(), at, self.data.to_vec()));
                }
            }
            Ok(received)
        };
        let ((), received) = tokio::join!(sending, receiving);
        data.shutdown().await;
        received
    }

    /// One final reply for each line, after the greeting and before at most one goodbye.
    fn check(&self, codes: &[u16]) -> Result<(), String> {
        if codes.first() != Some(&220) {
            return Err(format!("no greeting: {codes:?}"));
        }
        if self.leaves || self.bytes.len() > COUNTED_BYTES_MAX {
            return Ok(());
        }
        let mut decoder = LineDecoder::new(usize::MAX);
        decoder.feed(if self.is_inside { LOGIN } else { b"" });
        let mut lines: Vec<_> = std::iter::from_fn(|| decoder.next_line()).collect();
        decoder.feed(self.bytes);
        lines.extend(std::iter::from_fn(|| decoder.next_line()));
        let aborts = lines.iter().flatten().filter(|line| is_abort(line)).count();
        // The greeting and the goodbye are not replies to commands.
        let answers = codes.iter().filter(|code| **code >= 200).count().saturating_sub(2);
        match codes.last() {
            // The server waited for more until a timeout: all commands were answered.
            Some(421) if (lines.len()..=lines.len() + aborts).contains(&answers) => Ok(()),
            // The session ended earlier for another reason.
            Some(421 | 221) if answers < lines.len() + aborts => Ok(()),
            _ => Err(format!("{} lines, {aborts} of them ABOR, and {codes:?}", lines.len())),
        }
    }
}

fn is_abort(line: &[u8]) -> bool {
    line.trim_ascii_start().get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"ABOR"))
}

/// The received bytes.
#[derive(Default)]
struct ReceivedReplies {
    bytes: Vec<u8>,
    replies: Vec<u16>,
    /// How many of the bytes were parsed as replies.
    read: usize,
}

impl ReceivedReplies {
    /// The data addresses in the replies since the last call.
    fn offers(&mut self) -> Result<Vec<SocketAddr>, String> {
        let mut offers = Vec::new();
        while let Some((reply, used)) = self.next()? {
            self.read += used;
            self.replies.push(reply.code.number());
            let text = reply.lines.first().map(|line| line.to_vec()).unwrap_or_default();
            offers.extend(match reply.code {
                Code::PASSIVE => parse_pasv_reply(&text).map(SocketAddr::V4),
                Code::EXTENDED_PASSIVE => {
                    parse_epsv_reply(&text).map(|port| SocketAddr::new(SERVER.ip(), port))
                }
                _ => None,
            });
        }
        Ok(offers)
    }

    fn next(&self) -> Result<Option<(Reply, usize)>, String> {
        let rest = self.bytes.get(self.read..).unwrap_or_default();
        Reply::parse(rest).map_err(|error| format!("no reply: {error:?} in {rest:?}"))
    }

    /// The codes of all replies; nothing but replies may have been received.
    fn codes(self) -> Result<Vec<u16>, String> {
        if self.read < self.bytes.len() {
            return Err("the last reply is incomplete".to_owned());
        }
        Ok(self.replies)
    }
}

/// Accepts every data connection of active mode.
async fn listen(net: SimNet, data: Vec<u8>) {
    let Ok(listener) = net.listen_at(SocketAddr::new(CLIENT, ACTIVE_PORT)) else { return };
    loop {
        exchange(listener.next().await, &data).await;
    }
}

async fn dial(net: SimNet, to: SocketAddr, data: Vec<u8>) {
    if let Ok(link) = net.dial(SocketAddr::new(CLIENT, 0), to).await {
        exchange(link, &data).await;
    }
}

/// Sends all data, and reads to the end.
async fn exchange(mut link: SimLink, data: &[u8]) {
    let _ = link.write_all(data).await;
    link.finish(None);
    let (mut buffer, mut count) = ([0; 4096], 0);
    while let Ok(more @ 1..) = link.read(&mut buffer).await {
        count += more;
        if count > DATA_BYTES_MAX {
            return;
        }
    }
}

fn nothing_is_left(net: &SimNet, handle: &Handle) -> Result<(), String> {
    let open = net.open();
    let left = [
        ("listeners", open.listeners),
        ("links", open.links),
        ("sessions", handle.sessions()),
        ("passive ports", handle.passive_ports_in_use()),
    ];
    match left.iter().find(|(_, number)| *number > 0) {
        Some((what, number)) => Err(format!("{number} {what} left over")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes_of(how: u8, bytes: &str) -> Vec<u16> {
        let mut input = vec![how, 3];
        input.extend_from_slice(b"xyz");
        input.extend_from_slice(bytes.as_bytes());
        let client = ArbitraryClient::from_input(&input).expect("the input is long enough");
        client.run().expect("the server behaves correctly")
    }

    #[test]
    fn a_client_with_a_login_transfers_data_in_both_directions() {
        let lines =
            "EPSV\r\nSTOR new\r\nPASV\r\nRETR a\r\nPORT 203,0,113,9,195,80\r\nLIST\r\nQUIT\r\n";
        let codes = codes_of(0, lines);
        assert_eq!(codes, [220, 331, 230, 229, 150, 226, 227, 150, 226, 200, 150, 226, 221]);
    }

    #[test]
    fn an_idle_or_invalid_client_is_disconnected() {
        assert_eq!(codes_of(1, "NOOP\r\nnothing\r\n"), [220, 200, 500, 421]);
        assert_eq!(codes_of(2, "NOOP\r\n"), [220, 331, 230, 200]);
        assert_eq!(codes_of(1 + (3 << 2), "GET / HTTP/1.1\r\n"), [220, 421]);
    }
}
