//! A client controlled by a script: one control connection and the current data connection.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use wharf_proto::address::{parse_epsv_reply, parse_pasv_reply, pasv_numbers};

use crate::escape::escaped;
use crate::net::{SimListener, SimNet};
use crate::stream::{ClientStream, client_config};

/// Maximum wait for any event: longer than every timeout except that of idle sessions.
const WAIT_MAX: Duration = Duration::from_secs(150);
/// Maximum wait for the server to connect, or to finish a handshake, after 150.
const DATA_WAIT_MAX: Duration = Duration::from_secs(5);
/// Commands that use a data connection.
const MOVES_DATA: &[&str] = &["RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD"];

/// A client.
pub(crate) struct ScriptClient {
    net: SimNet,
    address: IpAddr,
    server: SocketAddr,
    control: Option<ClientStream>,
    unread: Vec<u8>,
    data: ScriptDataConn,
    target: SocketAddr,
    tls: Option<DataTls>,
    /// Bytes sent first on each connection.
    first: Vec<u8>,
    pub(crate) is_greeted: bool,
    pub(crate) stays_away: bool,
}

/// TLS for data connections.
struct DataTls {
    config: Arc<ClientConfig>,
    is_private: bool,
}

/// The current data connection.
enum ScriptDataConn {
    None,
    Passive(SocketAddr),
    Listening(SimListener),
    /// Connected, before any TLS.
    Connected(ClientStream),
    Open(ClientStream),
    Failed(String),
}

/// Input from the server.
#[derive(Debug)]
pub(crate) enum Received {
    Line(Vec<u8>),
    End,
    Nothing,
}

impl fmt::Display for Received {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => out.write_str(&escaped(line)),
            Self::End => out.write_str("EOF"),
            Self::Nothing => out.write_str("(nothing)"),
        }
    }
}

impl ScriptClient {
    /// Connects.
    pub(crate) async fn connect(
        net: &SimNet,
        address: IpAddr,
        server: SocketAddr,
    ) -> Result<Self, String> {
        let link = net.dial(SocketAddr::new(address, 0), server).await;
        let link = link.map_err(|error| format!("cannot connect: {error}"))?;
        Ok(Self {
            net: net.clone(),
            address,
            server,
            control: Some(ClientStream::Plain(link)),
            unread: Vec::new(),
            data: ScriptDataConn::None,
            target: SocketAddr::new(address, 0),
            tls: None,
            first: Vec::new(),
            is_greeted: false,
            stays_away: false,
        })
    }

    /// The next line of a reply, without its end.
    pub(crate) async fn line(&mut self) -> Received {
        self.line_within(WAIT_MAX).await
    }

    /// A line that has arrived already.
    pub(crate) async fn available_line(&mut self) -> Received {
        self.line_within(Duration::from_millis(1)).await
    }

    async fn line_within(&mut self, most: Duration) -> Received {
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Received::Line(line);
            }
            let Some(control) = &mut self.control else { return Received::End };
            match timeout(most, control.read_buf(&mut self.unread)).await {
                Err(_) => return Received::Nothing,
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => return Received::End,
            }
        }
    }

    /// Processes the addresses of data connections in a reply. They are opened at 150.
    pub(crate) async fn note_reply(&mut self, line: &[u8]) {
        let ip = self.server.ip();
        if line.starts_with(b"227 ") {
            self.data = match line.get(4..).and_then(parse_pasv_reply) {
                Some(at) => ScriptDataConn::Passive(at.into()),
                None => ScriptDataConn::Failed("the reply to PASV contains no address".into()),
            };
        } else if line.starts_with(b"229 ") {
            self.data = match line.get(4..).and_then(parse_epsv_reply) {
                Some(port) => ScriptDataConn::Passive(SocketAddr::new(ip, port)),
                None => ScriptDataConn::Failed("the reply to EPSV contains no port".into()),
            };
        } else if line.starts_with(b"150 ") || line.starts_with(b"125 ") {
            self.open_data().await;
        }
    }

    /// Sends a command. If it transfers data, connects to the passive port first.
    pub(crate) async fn command(&mut self, line: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(line).to_ascii_uppercase();
        let verb = text.split_whitespace().next().unwrap_or_default();
        if let (Some(tls), "PROT") = (&mut self.tls, verb) {
            tls.is_private = text.starts_with("PROT P");
        }
        if MOVES_DATA.contains(&verb) && !std::mem::take(&mut self.stays_away) {
            self.dial_data().await;
        }
        self.send(line).await
    }

    /// Sends bytes on the control connection.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let control = self.control.as_mut().ok_or("there is no control connection")?;
        with_timeout(async {
            control.write_all(bytes).await?;
            control.flush().await
        })
        .await
    }

    /// Sends these bytes first on this connection and on data connections.
    pub(crate) async fn begin_with(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        self.send(&bytes).await?;
        self.first = bytes;
        Ok(())
    }

    /// Closes the control connection, or resets it.
    pub(crate) fn disconnect(&mut self, by_reset: bool) {
        if let Some(mut control) = self.control.take()
            && by_reset
        {
            control.link().reset();
        }
    }

    /// Listens for active mode.
    pub(crate) fn listen(&mut self) -> Result<(), String> {
        let listener = self.net.listen_at(SocketAddr::new(self.address, 0));
        let listener = listener.map_err(|error| format!("cannot listen: {error}"))?;
        self.target = listener.address();
        self.data = ScriptDataConn::Listening(listener);
        Ok(())
    }

    /// The text with `{PORT}` and `{EPRT}` filled in.
    pub(crate) fn with_addresses(&self, text: &str) -> String {
        let (ip, port) = (self.target.ip(), self.target.port());
        let (family, numbers) = match ip {
            IpAddr::V4(ip) => (1, pasv_numbers(ip, port)),
            IpAddr::V6(_) => (2, String::new()),
        };
        text.replace("{PORT}", &numbers).replace("{EPRT}", &format!("|{family}|{ip}|{port}|"))
    }

    /// Connects to the passive port from an unexpected address, and disconnects.
    pub(crate) async fn connect_unexpected(&self, from: IpAddr) -> Result<(), String> {
        let ScriptDataConn::Passive(at) = self.data else {
            return Err("there is no passive port".into());
        };
        let link = self.net.dial(SocketAddr::new(from, 0), at).await;
        link.map(drop).map_err(|error| format!("cannot connect to the passive port: {error}"))
    }

    /// Starts TLS on the control connection.
    pub(crate) async fn secure(&mut self, resumes: bool) -> Result<(), String> {
        let control = self.control.take().ok_or("there is no control connection")?;
        let config = client_config(true);
        let secured = timeout(WAIT_MAX, control.secured(&config)).await;
        let secured = secured.map_err(|_| "the handshake took too long".to_owned())?;
        self.control = Some(secured.map_err(|error| format!("TLS failed: {error}"))?);
        let config = if resumes { config } else { client_config(false) };
        // With implicit TLS, data is protected from the start.
        self.tls = Some(DataTls { config, is_private: !self.is_greeted });
        Ok(())
    }

    /// Connects to the passive port.
    pub(crate) async fn dial_data(&mut self) {
        if let ScriptDataConn::Passive(at) = self.data {
            let link = self.net.dial(SocketAddr::new(self.address, 0), at).await;
            self.data = match link {
                Ok(mut link) => match link.write_all(&self.first).await {
                    Ok(()) => ScriptDataConn::Connected(ClientStream::Plain(link)),
                    Err(error) => ScriptDataConn::Failed(error.to_string()),
                },
                Err(error) => ScriptDataConn::Failed(error.to_string()),
            };
        }
    }

    /// Waits for the server in active mode, and starts TLS if required.
    async fn open_data(&mut self) {
        let stream = match std::mem::replace(&mut self.data, ScriptDataConn::None) {
            ScriptDataConn::Listening(listener) => {
                let Ok(link) = timeout(DATA_WAIT_MAX, listener.next()).await else {
                    self.data = ScriptDataConn::Failed("the server did not connect".into());
                    return;
                };
                ClientStream::Plain(link)
            }
            ScriptDataConn::Connected(stream) => stream,
            other => {
                self.data = other;
                return;
            }
        };
        self.data = match self.tls.as_ref().filter(|tls| tls.is_private) {
            None => ScriptDataConn::Open(stream),
            Some(tls) => match timeout(DATA_WAIT_MAX, stream.secured(&tls.config)).await {
                Ok(Ok(stream)) => ScriptDataConn::Open(stream),
                Ok(Err(error)) => ScriptDataConn::Failed(format!("TLS failed: {error}")),
                Err(_) => ScriptDataConn::Failed("the TLS handshake took too long".into()),
            },
        };
    }

    async fn data(&mut self) -> Result<&mut ClientStream, String> {
        self.open_data().await;
        match &mut self.data {
            ScriptDataConn::Open(stream) => Ok(stream),
            ScriptDataConn::Failed(why) => Err(format!("there is no data connection: {why}")),
            _ => Err("there is no data connection".into()),
        }
    }

    /// Reads to an orderly end.
    pub(crate) async fn receive(&mut self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let stream = self.data().await?;
        with_timeout(stream.read_to_end(&mut bytes)).await?;
        self.data = ScriptDataConn::None;
        Ok(bytes)
    }

    /// Reads this many bytes.
    pub(crate) async fn receive_some(&mut self, most: usize) -> Result<(), String> {
        let mut bytes = vec![0; most];
        let stream = self.data().await?;
        with_timeout(stream.read_exact(&mut bytes)).await.map(|_| ())
    }

    /// Waits for the end of the data connection, orderly or not.
    pub(crate) async fn data_ends(&mut self) -> Result<(), String> {
        let mut bytes = Vec::new();
        let stream = self.data().await?;
        let ended = timeout(WAIT_MAX, stream.read_to_end(&mut bytes)).await;
        self.data = ScriptDataConn::None;
        ended.map(|_| ()).map_err(|_| "the data connection did not end".into())
    }

    /// Sends bytes on the data connection.
    pub(crate) async fn transmit(&mut self, bytes: &[u8]) -> Result<(), String> {
        let stream = self.data().await?;
        with_timeout(async {
            stream.write_all(bytes).await?;
            stream.flush().await
        })
        .await
    }

    /// Closes the data connection in an orderly way.
    pub(crate) async fn finish_data(&mut self) -> Result<(), String> {
        with_timeout(self.data().await?.shutdown()).await
    }

    /// Ends the data connection with a FIN without `close_notify`, after bytes outside of TLS.
    pub(crate) async fn abandon_data(&mut self, bytes: &[u8]) -> Result<(), String> {
        let link = self.data().await?.link();
        with_timeout(link.write_all(bytes)).await?;
        link.finish(None);
        Ok(())
    }

    /// Resets the data connection.
    pub(crate) async fn break_data(&mut self) -> Result<(), String> {
        self.data().await?.link().reset();
        self.data = ScriptDataConn::None;
        Ok(())
    }
}

async fn with_timeout<T>(operation: impl Future<Output = io::Result<T>>) -> Result<T, String> {
    match timeout(WAIT_MAX, operation).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("timed out".into()),
    }
}
