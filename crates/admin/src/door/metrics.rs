//! A page for Prometheus over TCP, for those who cannot read a socket of this computer: that page
//! alone, and nothing can be changed there.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::operator::Operator;

/// The longest head of a request: Prometheus sends a few hundred bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// A request is asked and answered within this.
const PATIENCE: Duration = Duration::from_secs(5);
/// A system without free descriptors is asked again after this.
const PAUSE: Duration = Duration::from_secs(1);

/// A TCP port that is listened on.
pub struct MetricsDoor(TcpListener);

impl MetricsDoor {
    /// Listens at `address`. Needs a runtime.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(Self)
    }

    /// Where it listens in the end.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Answers for ever, four at a time. Dropping the future ends what is being answered.
    pub async fn serve(self, operator: Arc<dyn Operator>) {
        let one = || answer_all(&self.0, &*operator);
        tokio::join!(one(), one(), one(), one());
    }
}

async fn answer_all(listener: &TcpListener, operator: &dyn Operator) {
    loop {
        match listener.accept().await {
            // Who breaks off, or takes too long, has no answer.
            Ok((stream, _)) => drop(timeout(PATIENCE, answer(stream, operator)).await),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn answer(mut stream: TcpStream, operator: &dyn Operator) -> io::Result<()> {
    let head = head(&mut stream).await?;
    stream.write_all(reply(&head, || operator.metrics()).as_bytes()).await?;
    stream.shutdown().await
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

fn reply(head: &[u8], page: impl FnOnce() -> String) -> String {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    let path = target.split('?').next();
    let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    let (status, body) = match (method, path) {
        _ if !is_http || !head.ends_with(b"\r\n\r\n") => {
            ("400 Bad Request", "This is no request of HTTP/1.1.\n".to_owned())
        }
        (Some("GET"), Some("/metrics")) => ("200 OK", page()),
        (Some("GET"), _) => ("404 Not Found", "There is only /metrics here.\n".to_owned()),
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

    fn status(head: &str) -> String {
        let reply = reply(head.as_bytes(), || "wharf_uptime_seconds 1\n".to_owned());
        assert!(reply.contains("\r\nConnection: close\r\n\r\n"), "{reply}");
        reply.lines().next().unwrap().to_owned()
    }

    #[test]
    fn there_is_one_page_and_one_way_to_ask_for_it() {
        let whole = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(status(whole), "HTTP/1.1 200 OK");
        assert_eq!(status("GET /metrics?a=b HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 OK");
        assert_eq!(status("GET /v1/status HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found");
        assert_eq!(status("GET /metrics/ HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found");
        let refused = "HTTP/1.1 405 Method Not Allowed";
        assert_eq!(status("POST /metrics HTTP/1.1\r\n\r\n"), refused);
        assert_eq!(status("DELETE /v1/bans HTTP/1.1\r\n\r\n"), refused);
        for wrong in ["", "\r\n\r\n", "GET /metrics\r\n\r\n", "USER anna\r\n\r\n"] {
            assert_eq!(status(wrong), "HTTP/1.1 400 Bad Request", "{wrong:?}");
        }
        for end in 0..whole.len() {
            assert_eq!(status(&whole[..end]), "HTTP/1.1 400 Bad Request");
        }
    }
}
