//! A page for Prometheus over TCP, for those who cannot read a socket of this computer: that page
//! alone, and nothing can be changed there.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::operator::Operator;

/// The longest head of a request: Prometheus sends a few hundred bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// A request is asked and answered within this.
const PATIENCE: Duration = Duration::from_secs(5);
/// A system without free descriptors is asked again after this.
const PAUSE: Duration = Duration::from_secs(1);
/// Connections at a time. One more ends the oldest that has asked nothing yet: whoever holds idle
/// connections keeps no one from asking.
const CONNECTIONS_MAX: usize = 64;

/// Makes the page.
type PageMaker = Arc<dyn Fn() -> String + Send + Sync>;

/// A TCP port that is listened on.
pub struct MetricsDoor {
    listener: TcpListener,
    hosts: Arc<[String]>,
}

/// A connection that is read or answered.
struct Conversation {
    handle: AbortHandle,
    has_asked: Arc<AtomicBool>,
}

impl MetricsDoor {
    /// Listens at `address`. Needs a runtime. Requests may name one of `hosts`, an address, or a
    /// name without a dot in `Host`.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(address: SocketAddr, hosts: &[String]) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let hosts = hosts.iter().map(|name| plain_host(name)).collect();
        Ok(Self { listener: TcpListener::from_std(listener)?, hosts })
    }

    /// Where it listens in the end.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers for ever. Dropping the future ends what is being answered.
    pub async fn serve(self, operator: Arc<dyn Operator>) {
        self.serve_page(Arc::new(move || operator.metrics())).await;
    }

    async fn serve_page(self, page: PageMaker) {
        let mut running = JoinSet::new();
        let mut open: VecDeque<Conversation> = VecDeque::new();
        loop {
            tokio::select! {
                // What has ended makes room first.
                biased;
                Some(_) = running.join_next() => {
                    open.retain(|one| !one.handle.is_finished());
                }
                accepted = self.listener.accept(), if has_room(&open) => {
                    let Ok((stream, _)) = accepted else {
                        sleep(PAUSE).await;
                        continue;
                    };
                    if open.len() >= CONNECTIONS_MAX {
                        end_oldest_idle(&mut open);
                    }
                    let has_asked = Arc::<AtomicBool>::default();
                    let (page, hosts) = (Arc::clone(&page), Arc::clone(&self.hosts));
                    let asked = Arc::clone(&has_asked);
                    let handle = running.spawn(async move {
                        // Whoever breaks off, or takes too long, gets no answer.
                        drop(timeout(PATIENCE, answer(stream, &asked, &hosts, &*page)).await);
                    });
                    open.push_back(Conversation { handle, has_asked });
                }
            }
        }
    }
}

fn is_idle(one: &Conversation) -> bool {
    !one.has_asked.load(Ordering::Relaxed)
}

/// Whether one more may come, if need be in the place of another.
fn has_room(open: &VecDeque<Conversation>) -> bool {
    open.len() < CONNECTIONS_MAX || open.iter().any(is_idle)
}

fn end_oldest_idle(open: &mut VecDeque<Conversation>) {
    let oldest = open.iter().position(is_idle).and_then(|at| open.remove(at));
    if let Some(one) = oldest {
        one.handle.abort();
    }
}

async fn answer(
    mut stream: TcpStream,
    has_asked: &AtomicBool,
    hosts: &[String],
    page: &(dyn Fn() -> String + Send + Sync),
) -> io::Result<()> {
    let head = head(&mut stream).await?;
    has_asked.store(true, Ordering::Relaxed);
    stream.write_all(reply(&head, hosts, page).as_bytes()).await?;
    stream.shutdown().await
}

/// A name as names are compared: without a port, brackets and the last dot, in lower case.
fn plain_host(host: &str) -> String {
    let host = host.trim();
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        // More than one colon is an IPv6 address without brackets.
        None if host.matches(':').count() == 1 => host.split(':').next().unwrap_or_default(),
        None => host,
    };
    bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase()
}

/// Whether a request that names this host is for this server. A page of another site can have its
/// own name resolved to this computer (DNS rebinding), and read here what it is told; it cannot
/// make a browser name an address or one of our names instead.
fn is_own(host: &str, hosts: &[String]) -> bool {
    let host = plain_host(host);
    !host.is_empty()
        && (host.parse::<IpAddr>().is_ok() || !host.contains('.') || hosts.contains(&host))
}

/// What is asked, up to the empty line, or as much of it as anybody needs.
async fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES_MAX);
    while head.len() < HEAD_BYTES_MAX && !head.ends_with(b"\r\n\r\n") {
        let room = u64::try_from(HEAD_BYTES_MAX - head.len()).unwrap_or_default();
        if (&mut *stream).take(room).read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(head)
}

fn reply(head: &[u8], hosts: &[String], page: &(dyn Fn() -> String + Send + Sync)) -> String {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    let path = target.split('?').next();
    let version = words.next().unwrap_or_default();
    let named: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map(|(_, host)| host)
        .collect();
    let is_http = version.starts_with("HTTP/1.");
    let is_whole = is_http && head.ends_with(b"\r\n\r\n");
    let (status, body) = match (method, path, named.as_slice()) {
        _ if !is_whole => ("400 Bad Request", "This is no request of HTTP/1.1.\n".to_owned()),
        (_, _, [_, _, ..]) => ("400 Bad Request", "There is more than one Host.\n".to_owned()),
        (_, _, []) if version != "HTTP/1.0" => {
            ("400 Bad Request", "A request of HTTP/1.1 names its Host.\n".to_owned())
        }
        (_, _, [host]) if !is_own(host, hosts) => (
            "421 Misdirected Request",
            "This server does not know itself by that Host: see metrics.hosts.\n".to_owned(),
        ),
        (Some("GET"), Some("/metrics"), _) => ("200 OK", page()),
        (Some("GET"), _, _) => ("404 Not Found", "There is only /metrics here.\n".to_owned()),
        _ => ("405 Method Not Allowed", "Only GET is answered here.\n".to_owned()),
    };
    let allow = if status.starts_with("405") { "Allow: GET\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\n{allow}Connection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "wharf_uptime_seconds 1\n";

    fn status(head: &str) -> String {
        let hosts = ["ftp.example.com".to_owned()];
        let reply = reply(head.as_bytes(), &hosts, &|| PAGE.to_owned());
        assert!(reply.contains("\r\nConnection: close\r\n\r\n"), "{reply}");
        reply.lines().next().unwrap().to_owned()
    }

    #[test]
    fn there_is_one_page_and_one_way_to_ask_for_it() {
        let whole = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(status(whole), "HTTP/1.1 200 OK");
        assert_eq!(status("GET /metrics?a=b HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 OK");
        let missing = "HTTP/1.1 404 Not Found";
        assert_eq!(status("GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\n"), missing);
        assert_eq!(status("GET /metrics/ HTTP/1.1\r\nHost: a\r\n\r\n"), missing);
        let refused = "HTTP/1.1 405 Method Not Allowed";
        assert_eq!(status("POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n"), refused);
        assert_eq!(status("DELETE /v1/bans HTTP/1.1\r\nHost: a\r\n\r\n"), refused);
        for wrong in ["", "\r\n\r\n", "GET /metrics\r\n\r\n", "USER anna\r\n\r\n"] {
            assert_eq!(status(wrong), "HTTP/1.1 400 Bad Request", "{wrong:?}");
        }
        for end in 0..whole.len() {
            assert_eq!(status(&whole[..end]), "HTTP/1.1 400 Bad Request");
        }
    }

    #[test]
    fn a_host_is_an_address_a_name_without_a_dot_or_one_of_ours() {
        for (host, expected) in [
            ("127.0.0.1:9121", "200 OK"),
            ("192.0.2.7", "200 OK"),
            ("[::1]:9121", "200 OK"),
            ("localhost:9121", "200 OK"),
            ("FTP.Example.com:9121", "200 OK"),
            ("ftp.example.com.", "200 OK"),
            ("evil.example:9121", "421 Misdirected Request"),
            ("ftp.example.com.evil.example", "421 Misdirected Request"),
            ("127.0.0.1.evil.example", "421 Misdirected Request"),
            ("", "421 Misdirected Request"),
        ] {
            let head = format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\n\r\n");
            assert_eq!(status(&head), format!("HTTP/1.1 {expected}"), "{host}");
        }
        let bad = "HTTP/1.1 400 Bad Request";
        assert_eq!(status("GET /metrics HTTP/1.1\r\n\r\n"), bad);
        let two = "GET /metrics HTTP/1.1\r\nHost: a\r\nHost: evil.example\r\n\r\n";
        assert_eq!(status(two), bad);
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the test is a client")]
    async fn row_7_idle_connections_keep_no_scrape_from_its_answer() {
        let door = MetricsDoor::open("127.0.0.1:0".parse().unwrap(), &[]).unwrap();
        let address = door.address().unwrap();
        let serving = door.serve_page(Arc::new(|| PAGE.to_owned()));
        let asking = async {
            let mut idle = Vec::new();
            for round in 0..3 {
                for _ in 0..2 * CONNECTIONS_MAX {
                    idle.push(TcpStream::connect(address).await.unwrap());
                }
                let mut scrape = TcpStream::connect(address).await.unwrap();
                scrape.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
                let mut answer = String::new();
                scrape.read_to_string(&mut answer).await.unwrap();
                assert!(answer.ends_with(PAGE), "{round}: {answer}");
            }
            // The oldest was ended for those that came later.
            let mut first = idle.swap_remove(0);
            assert_eq!(first.read(&mut [0]).await.unwrap_or_default(), 0);
        };
        tokio::select! {
            // The order does not matter: only one of them ends.
            biased;
            () = serving => unreachable!(),
            () = asking => {}
        }
    }
}
