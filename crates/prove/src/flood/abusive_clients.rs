//! The abusive clients. Each kind has its own threads, and reconnects when it is disconnected.

use std::io::{self, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use wharf_load::{ClientSession, Error, Transport, clock, dial};
use wharf_proto::reply::Code;

use super::Sizes;
use crate::prove::report::ProofReport;
use crate::prove::server::target_from;

/// A folder with many entries.
pub(super) const VAST: &str = "vast";
/// A file too large for a transfer of one byte at a time.
pub(super) const BIG: &str = "big";

/// Clients per address, below the server's limit.
const CLIENTS_PER_ADDRESS: usize = 16;
/// Threads of each large kind.
const THREADS: usize = 4;
/// The interval between two bytes.
const BYTE_INTERVAL: Duration = Duration::from_secs(2);
/// The interval between two bursts of a storm.
const BURST_INTERVAL: Duration = Duration::from_millis(50);
const BURSTS_PER_S: u64 = 20;
/// The beginning of a TLS record that is never completed.
const PARTIAL_HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x02];

/// All abusive clients, and their counts.
pub(super) struct AbusiveClients {
    port: u16,
    sizes: Sizes,
    dripping: AtomicCount,
    crawling: AtomicCount,
    half_open: AtomicCount,
    storm: AtomicCount,
    listings: AtomicCount,
    wrong_listings: AtomicCount,
    rejected: AtomicCount,
}

#[derive(Default)]
struct AtomicCount(AtomicUsize);

impl AtomicCount {
    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn number(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One kind of abusive client.
struct AbusiveClientKind<'a> {
    /// The second number of their addresses, so that each kind has its own.
    network: u8,
    come: fn(&AbusiveClients, Ipv4Addr) -> Result<OpenClient, Error>,
    count: &'a AtomicCount,
    size: usize,
}

/// A connected client.
struct OpenClient {
    /// Kept open for the session of a data connection.
    _control: Option<ClientSession>,
    stream: Transport,
    /// Whether it reads a byte now and then; otherwise it writes one.
    reads: bool,
}

impl AbusiveClients {
    pub(super) fn new(port: u16, sizes: Sizes) -> Self {
        Self {
            port,
            sizes,
            dripping: AtomicCount::default(),
            crawling: AtomicCount::default(),
            half_open: AtomicCount::default(),
            storm: AtomicCount::default(),
            listings: AtomicCount::default(),
            wrong_listings: AtomicCount::default(),
            rejected: AtomicCount::default(),
        }
    }

    /// Runs them until the proof is over.
    pub(super) fn spawn<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        is_over: &'scope AtomicBool,
    ) -> Vec<ScopedJoinHandle<'scope, ()>> {
        let mut threads = Vec::new();
        for part in 0..THREADS {
            for kind in self.kinds() {
                threads.push(scope.spawn(move || self.hold_connections(&kind, part, is_over)));
            }
        }
        threads.push(scope.spawn(|| self.storm_connections(is_over)));
        threads.push(scope.spawn(|| self.list(is_over)));
        threads
    }

    fn kinds(&self) -> [AbusiveClientKind<'_>; 3] {
        let sizes = self.sizes;
        [
            AbusiveClientKind {
                network: 2,
                come: Self::slow_commands,
                count: &self.dripping,
                size: sizes.dripping,
            },
            AbusiveClientKind {
                network: 3,
                come: Self::slow_transfer,
                count: &self.crawling,
                size: sizes.crawling,
            },
            AbusiveClientKind {
                network: 4,
                come: Self::half_open,
                count: &self.half_open,
                size: sizes.half_open,
            },
        ]
    }

    /// Keeps the clients of one thread connected, with a byte from each now and then.
    fn hold_connections(&self, kind: &AbusiveClientKind<'_>, part: usize, is_over: &AtomicBool) {
        let size = kind.size / THREADS;
        let mut held: Vec<Option<OpenClient>> =
            std::iter::repeat_with(|| None).take(size).collect();
        while !is_over.load(Ordering::SeqCst) {
            let began = clock::now();
            for (number, place) in held.iter_mut().enumerate() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                if place.as_mut().is_some_and(OpenClient::moves) {
                    continue;
                }
                let address = address(kind.network, part * size + number);
                *place = (kind.come)(self, address).ok();
                let count = if place.is_some() { kind.count } else { &self.rejected };
                count.add();
            }
            clock::pause(BYTE_INTERVAL.saturating_sub(began.elapsed()).max(BURST_INTERVAL));
        }
    }

    fn slow_commands(&self, from: Ipv4Addr) -> Result<OpenClient, Error> {
        OpenClient::of(ClientSession::connect(&target_from(from, self.port))?)
    }

    fn slow_transfer(&self, from: Ipv4Addr) -> Result<OpenClient, Error> {
        let mut client = ClientSession::log_in(&target_from(from, self.port))?;
        let [.., last] = from.octets();
        let reads = last % 2 == 0;
        let line = if reads { format!("RETR {BIG}") } else { format!("STOR slow-{from}") };
        let stream = client.data(&line)?;
        stream.socket().set_nonblocking(true)?;
        Ok(OpenClient { _control: Some(client), stream, reads })
    }

    fn half_open(&self, from: Ipv4Addr) -> Result<OpenClient, Error> {
        let mut client = ClientSession::connect(&target_from(from, self.port))?;
        client.expect("AUTH TLS", Code::SECURITY_DONE)?;
        let mut held = OpenClient::of(client)?;
        held.stream.write_all(PARTIAL_HELLO)?;
        // It is disconnected at its timeout; another byte would only make that visible.
        held.reads = true;
        Ok(held)
    }

    /// Connects repeatedly from one address. Every other connection is closed at once.
    fn storm_connections(&self, is_over: &AtomicBool) {
        let from = Ipv4Addr::new(127, 5, 5, 5);
        while !is_over.load(Ordering::SeqCst) {
            let began = clock::now();
            for number in 0..self.sizes.storm_per_s / BURSTS_PER_S {
                let Ok(socket) = dial(&target_from(from, self.port)) else { continue };
                self.storm.add();
                if number % 2 == 0 {
                    Transport::Plain(socket).reset();
                }
            }
            clock::pause(BURST_INTERVAL.saturating_sub(began.elapsed()));
        }
    }

    /// Lists the huge folder repeatedly.
    fn list(&self, is_over: &AtomicBool) {
        while !is_over.load(Ordering::SeqCst) {
            match self.listed() {
                Ok(entries) if entries == self.sizes.entries => self.listings.add(),
                _ => self.wrong_listings.add(),
            }
        }
    }

    fn listed(&self) -> Result<usize, Error> {
        let from = Ipv4Addr::new(127, 6, 6, 6);
        let mut client = ClientSession::log_in(&target_from(from, self.port))?;
        let listing = client.download(&format!("LIST {VAST}"))?;
        client.quit()?;
        Ok(listing.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count())
    }

    /// Reports the counts.
    pub(super) fn report_to(&self, report: &ProofReport) {
        for (name, count) in [
            ("dripping", &self.dripping),
            ("crawling", &self.crawling),
            ("half_open", &self.half_open),
            ("storm", &self.storm),
            ("listings", &self.listings),
            ("rejected", &self.rejected),
        ] {
            let number = u32::try_from(count.number()).unwrap_or(u32::MAX);
            report.set(name, f64::from(number));
        }
    }

    /// The kind of client that never connected, or the wrong reply it got.
    pub(super) fn missing(&self) -> Option<String> {
        if self.wrong_listings.number() > 0 {
            let (wrong, right) = (self.wrong_listings.number(), self.listings.number());
            return Some(format!("{wrong} listings were incomplete, {right} were complete"));
        }
        let all = [
            ("sent slow commands", &self.dripping),
            ("transferred slowly", &self.crawling),
            ("left a handshake incomplete", &self.half_open),
            ("connected in a storm", &self.storm),
        ];
        let none = all.into_iter().find(|(_, count)| count.number() == 0);
        none.map(|(what, _)| format!("no client {what}"))
    }
}

impl OpenClient {
    fn of(client: ClientSession) -> Result<Self, Error> {
        let stream =
            client.into_control().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        stream.socket().set_nonblocking(true)?;
        Ok(Self { _control: None, stream, reads: false })
    }

    /// Transfers a byte, if that is possible at once; returns whether the connection is still open.
    fn moves(&mut self) -> bool {
        let moved = if self.reads { self.stream.read(&mut [0]) } else { self.stream.write(b"N") };
        match moved {
            Ok(0) => false,
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// The address of a client of a kind.
fn address(network: u8, number: usize) -> Ipv4Addr {
    let host = u16::try_from(number / CLIENTS_PER_ADDRESS + 1).unwrap_or(u16::MAX);
    let [high, low] = host.to_be_bytes();
    Ipv4Addr::new(127, network, high, low)
}
