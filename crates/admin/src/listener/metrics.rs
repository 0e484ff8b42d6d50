//! A TCP listener that serves only the page of metrics, for Prometheus on another machine.

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

use crate::backend::AdminBackend;

/// The longest request head; Prometheus sends a few hundred bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Longest time for a request and its response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before accepting again when no file descriptors are left.
const PAUSE: Duration = Duration::from_secs(1);
/// Connections at a time. Another one closes the oldest that has not sent a request yet, so idle
/// connections cannot block requests.
const CONNECTIONS_MAX: usize = 64;

/// Renders the page.
type PageMaker = Arc<dyn Fn() -> String + Send + Sync>;

/// The TCP listener.
pub struct MetricsListener {
    listener: TcpListener,
    hosts: Arc<[String]>,
}

/// A connection that is being read or answered.
struct MetricsConnection {
    handle: AbortHandle,
    has_request: Arc<AtomicBool>,
}

impl MetricsListener {
    /// Listens at `address`. Needs a runtime. `Host` in requests may be an address, a name without
    /// a dot, or one of `hosts`.
    ///
    /// # Errors
    /// The error of the system.
    pub fn open(address: SocketAddr, hosts: &[String]) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let hosts = hosts.iter().map(|name| plain_host(name)).collect();
        Ok(Self { listener: TcpListener::from_std(listener)?, hosts })
    }

    /// The bound address.
    ///
    /// # Errors
    /// The error of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves requests until the future is dropped, which also ends running responses.
    pub async fn serve(self, backend: Arc<dyn AdminBackend>) {
        self.serve_page(Arc::new(move || backend.metrics())).await;
    }

    async fn serve_page(self, page: PageMaker) {
        let mut running = JoinSet::new();
        let mut open: VecDeque<MetricsConnection> = VecDeque::new();
        loop {
            tokio::select! {
                // Finished connections first: they free slots.
                biased;
                Some(_) = running.join_next() => {
                    open.retain(|one| !one.handle.is_finished());
                }
                accepted = self.listener.accept(), if has_space(&open) => {
                    let Ok((stream, _)) = accepted else {
                        sleep(PAUSE).await;
                        continue;
                    };
                    if open.len() >= CONNECTIONS_MAX {
                        end_oldest_idle(&mut open);
                    }
                    let has_request = Arc::<AtomicBool>::default();
                    let (page, hosts) = (Arc::clone(&page), Arc::clone(&self.hosts));
                    let log_request = Arc::clone(&has_request);
                    let handle = running.spawn(async move {
                        // A client that disconnects or is too slow gets no response.
                        let answered = answer(stream, &log_request, &hosts, &*page);
                        drop(timeout(REQUEST_TIMEOUT, answered).await);
                    });
                    open.push_back(MetricsConnection { handle, has_request });
                }
            }
        }
    }
}

fn is_idle(one: &MetricsConnection) -> bool {
    !one.has_request.load(Ordering::Relaxed)
}

/// Whether one more connection fits, after closing an idle one if necessary.
fn has_space(open: &VecDeque<MetricsConnection>) -> bool {
    open.len() < CONNECTIONS_MAX || open.iter().any(is_idle)
}

fn end_oldest_idle(open: &mut VecDeque<MetricsConnection>) {
    let oldest = open.iter().position(is_idle).and_then(|at| open.remove(at));
    if let Some(one) = oldest {
        one.handle.abort();
    }
}

async fn answer(
    mut stream: TcpStream,
    has_request: &AtomicBool,
    hosts: &[String],
    page: &(dyn Fn() -> String + Send + Sync),
) -> io::Result<()> {
    let head = head(&mut stream).await?;
    has_request.store(true, Ordering::Relaxed);
    stream.write_all(reply(&head, hosts, page).as_bytes()).await?;
    stream.shutdown().await
}

/// A host name without port, brackets and final dot, in lower case.
fn plain_host(host: &str) -> String {
    let host = host.trim();
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        // More than one colon: an IPv6 address without brackets.
        None if host.matches(':').count() == 1 => host.split(':').next().unwrap_or_default(),
        None => host,
    };
    bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase()
}

/// Whether a request with this `Host` is meant for this server. A web page of another site can make
/// its own name resolve to this server (DNS rebinding) and read the response; it cannot make a
/// browser send an address or one of our names instead.
fn is_own(host: &str, hosts: &[String]) -> bool {
    let host = plain_host(host);
    !host.is_empty()
        && (host.parse::<IpAddr>().is_ok() || !host.contains('.') || hosts.contains(&host))
}

/// Reads the request up to the empty line or the limit.
async fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES_MAX);
    while head.len() < HEAD_BYTES_MAX && !head.ends_with(b"\r\n\r\n") {
        let free_bytes = u64::try_from(HEAD_BYTES_MAX - head.len()).unwrap_or_default();
        if (&mut *stream).take(free_bytes).read_buf(&mut head).await? == 0 {
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
        _ if !is_whole => ("400 Bad Request", "Invalid HTTP/1.1 request.\n".to_owned()),
        (_, _, [_, _, ..]) => ("400 Bad Request", "More than one Host header.\n".to_owned()),
        (_, _, []) if version != "HTTP/1.0" => {
            ("400 Bad Request", "Missing Host header.\n".to_owned())
        }
        (_, _, [host]) if !is_own(host, hosts) => (
            "421 Misdirected Request",
            "Unknown Host; allowed names are set by metrics.hosts.\n".to_owned(),
        ),
        (Some("GET"), Some("/metrics"), _) => ("200 OK", page()),
        (Some("GET"), _, _) => ("404 Not Found", "Not found; the page is /metrics.\n".to_owned()),
        _ => ("405 Method Not Allowed", "Only GET is allowed.\n".to_owned()),
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
    fn only_get_metrics_is_answered() {
        let whole = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(status(whole), "HTTP/1.1 200 OK");
        assert_eq!(status("GET /metrics?a=b HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 OK");
        let missing = "HTTP/1.1 404 Not Found";
        assert_eq!(status("GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\n"), missing);
        assert_eq!(status("GET /metrics/ HTTP/1.1\r\nHost: a\r\n\r\n"), missing);
        let rejected = "HTTP/1.1 405 Method Not Allowed";
        assert_eq!(status("POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n"), rejected);
        assert_eq!(status("DELETE /v1/bans HTTP/1.1\r\nHost: a\r\n\r\n"), rejected);
        for wrong in ["", "\r\n\r\n", "GET /metrics\r\n\r\n", "USER anna\r\n\r\n"] {
            assert_eq!(status(wrong), "HTTP/1.1 400 Bad Request", "{wrong:?}");
        }
        for end in 0..whole.len() {
            assert_eq!(status(&whole[..end]), "HTTP/1.1 400 Bad Request");
        }
    }

    #[test]
    fn a_host_is_an_address_a_name_without_a_dot_or_a_configured_name() {
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
    async fn row_7_idle_connections_do_not_block_a_scrape() {
        let listener = MetricsListener::open("127.0.0.1:0".parse().unwrap(), &[]).unwrap();
        let address = listener.address().unwrap();
        let serving = listener.serve_page(Arc::new(|| PAGE.to_owned()));
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
            // The oldest was closed for later ones.
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
