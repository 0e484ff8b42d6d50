//! Those who are in the way. Each kind has threads of its own, and comes again when it is sent off.

use std::io::{self, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use wharf_proto::reply::Code;

use super::Sizes;
use crate::prove::client::{Client, Heard, dial};
use crate::prove::clock;
use crate::prove::report::Report;
use crate::prove::server::{PASSWORD, USER};
use crate::prove::stream::Stream;

/// A directory with very many entries.
pub(super) const VAST: &str = "vast";
/// A file that takes for ever, a byte at a time.
pub(super) const BIG: &str = "big";

/// Clients of one address: less than the server permits.
const OF_ADDRESS: usize = 16;
/// Threads of each large kind.
const THREADS: usize = 4;
/// Between two bytes.
const DRIP_EVERY: Duration = Duration::from_secs(2);
/// Between two pieces of a storm.
const GUST_EVERY: Duration = Duration::from_millis(50);
const GUSTS_PER_S: u64 = 20;
/// How a handshake of TLS begins: the first bytes of a record that is never whole.
const HALF_A_HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x02];

/// All of them, and how many there were.
pub(super) struct Crowd {
    port: u16,
    sizes: Sizes,
    dripping: Count,
    crawling: Count,
    half_open: Count,
    storm: Count,
    listings: Count,
    wrong_listings: Count,
    turned_away: Count,
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn number(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one of the crowd does: comes, and is in the way once more.
struct Kind<'a> {
    /// The second number of their addresses, so that each kind has its own.
    network: u8,
    come: fn(&Crowd, Ipv4Addr) -> Heard<Held>,
    count: &'a Count,
    size: usize,
}

/// One who is there.
struct Held {
    /// Kept so that the session of a data connection stays.
    _control: Option<Client>,
    stream: Stream,
    /// Whether it reads a byte now and then; else it writes one.
    reads: bool,
}

impl Crowd {
    pub(super) fn new(port: u16, sizes: Sizes) -> Self {
        Self {
            port,
            sizes,
            dripping: Count::default(),
            crawling: Count::default(),
            half_open: Count::default(),
            storm: Count::default(),
            listings: Count::default(),
            wrong_listings: Count::default(),
            turned_away: Count::default(),
        }
    }

    /// Sends them off until it is over.
    pub(super) fn gather<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        is_over: &'scope AtomicBool,
    ) -> Vec<ScopedJoinHandle<'scope, ()>> {
        let mut threads = Vec::new();
        for part in 0..THREADS {
            for kind in self.kinds() {
                threads.push(scope.spawn(move || self.hold(&kind, part, is_over)));
            }
        }
        threads.push(scope.spawn(|| self.blow(is_over)));
        threads.push(scope.spawn(|| self.list(is_over)));
        threads
    }

    fn kinds(&self) -> [Kind<'_>; 3] {
        let sizes = self.sizes;
        [
            Kind { network: 2, come: Self::drip, count: &self.dripping, size: sizes.dripping },
            Kind { network: 3, come: Self::crawl, count: &self.crawling, size: sizes.crawling },
            Kind {
                network: 4,
                come: Self::half_open,
                count: &self.half_open,
                size: sizes.half_open,
            },
        ]
    }

    /// Keeps one thread's part of a kind there, a byte from each now and then.
    fn hold(&self, kind: &Kind<'_>, part: usize, is_over: &AtomicBool) {
        let size = kind.size / THREADS;
        let mut held: Vec<Option<Held>> = std::iter::repeat_with(|| None).take(size).collect();
        while !is_over.load(Ordering::SeqCst) {
            let began = clock::now();
            for (number, place) in held.iter_mut().enumerate() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                if place.as_mut().is_some_and(Held::moves) {
                    continue;
                }
                let address = address(kind.network, part * size + number);
                *place = (kind.come)(self, address).ok();
                let count = if place.is_some() { kind.count } else { &self.turned_away };
                count.add();
            }
            clock::pause(DRIP_EVERY.saturating_sub(began.elapsed()).max(GUST_EVERY));
        }
    }

    fn drip(&self, from: Ipv4Addr) -> Heard<Held> {
        Held::of(Client::connect_from(from, self.port)?)
    }

    fn crawl(&self, from: Ipv4Addr) -> Heard<Held> {
        let mut client = Client::connect_from(from, self.port)?;
        client.log_in(USER, PASSWORD)?;
        let [.., last] = from.octets();
        let reads = last % 2 == 0;
        let line = if reads { format!("RETR {BIG}") } else { format!("STOR slow-{from}") };
        let stream = client.open(&line)?;
        stream.socket().set_nonblocking(true)?;
        Ok(Held { _control: Some(client), stream, reads })
    }

    fn half_open(&self, from: Ipv4Addr) -> Heard<Held> {
        let mut client = Client::connect_from(from, self.port)?;
        client.expect("AUTH TLS", Code::SECURITY_DONE)?;
        let mut held = Held::of(client)?;
        held.stream.write_all(HALF_A_HELLO)?;
        // It is sent off when its time is up; a byte more would only make that visible.
        held.reads = true;
        Ok(held)
    }

    /// Connects very often from one address. Every other connection is broken at once.
    fn blow(&self, is_over: &AtomicBool) {
        let from = Ipv4Addr::new(127, 5, 5, 5);
        while !is_over.load(Ordering::SeqCst) {
            let began = clock::now();
            for number in 0..self.sizes.storm_per_s / GUSTS_PER_S {
                let Ok(socket) = dial(from, self.port) else { continue };
                self.storm.add();
                if number % 2 == 0 {
                    Stream::Plain(socket).reset();
                }
            }
            clock::pause(GUST_EVERY.saturating_sub(began.elapsed()));
        }
    }

    /// Lists the vast directory again and again.
    fn list(&self, is_over: &AtomicBool) {
        while !is_over.load(Ordering::SeqCst) {
            match self.listed() {
                Ok(entries) if entries == self.sizes.entries => self.listings.add(),
                _ => self.wrong_listings.add(),
            }
        }
    }

    fn listed(&self) -> Heard<usize> {
        let mut client = Client::connect_from(Ipv4Addr::new(127, 6, 6, 6), self.port)?;
        client.log_in(USER, PASSWORD)?;
        let listing = client.fetch(&format!("LIST {VAST}"))?;
        client.quit()?;
        Ok(listing.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count())
    }

    /// What the result should show.
    pub(super) fn tell(&self, report: &Report) {
        for (name, count) in [
            ("dripping", &self.dripping),
            ("crawling", &self.crawling),
            ("half_open", &self.half_open),
            ("storm", &self.storm),
            ("listings", &self.listings),
            ("turned_away", &self.turned_away),
        ] {
            let number = u32::try_from(count.number()).unwrap_or(u32::MAX);
            report.set(name, f64::from(number));
        }
    }

    /// Which part of the crowd never came, or what it was told that is not so.
    pub(super) fn missing(&self) -> Option<String> {
        if self.wrong_listings.number() > 0 {
            let (wrong, right) = (self.wrong_listings.number(), self.listings.number());
            return Some(format!("{wrong} listings were not whole, {right} were"));
        }
        let all = [
            ("dripped", &self.dripping),
            ("crawled", &self.crawling),
            ("left a handshake half done", &self.half_open),
            ("came in a storm", &self.storm),
        ];
        let none = all.into_iter().find(|(_, count)| count.number() == 0);
        none.map(|(what, _)| format!("nobody {what}"))
    }
}

impl Held {
    fn of(client: Client) -> Heard<Self> {
        let stream =
            client.into_control().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        stream.socket().set_nonblocking(true)?;
        Ok(Self { _control: None, stream, reads: false })
    }

    /// Moves a byte, if that is possible at once; says whether the connection is still there.
    fn moves(&mut self) -> bool {
        let moved = if self.reads { self.stream.read(&mut [0]) } else { self.stream.write(b"N") };
        match moved {
            Ok(0) => false,
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// The address of one of a kind.
fn address(network: u8, number: usize) -> Ipv4Addr {
    let host = u16::try_from(number / OF_ADDRESS + 1).unwrap_or(u16::MAX);
    let [high, low] = host.to_be_bytes();
    Ipv4Addr::new(127, network, high, low)
}
