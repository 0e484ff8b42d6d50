//! The upper limit: a program that moves bytes by blocking system calls, one thread per client.
//!
//! It supports just enough FTP for the load generator, so the client's part of a measurement is the
//! same as with a real server. It checks nothing: no password, path or address. Downloads use
//! `sendfile`, uploads `splice` through a pipe of 1 MiB, TLS is a plain loop around rustls.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

mod bytes;
mod listing;
mod secret;

/// A thread that only makes system calls needs little.
const THREAD_STACK_BYTES: usize = 128 << 10;

/// The command line of the program.
struct BareServerOptions {
    root: PathBuf,
    /// Bytes per system call.
    span: u64,
    tls: Option<Arc<ServerConfig>>,
}

/// A control connection, with or without TLS.
trait ControlStream: Read + Write + Send {}
impl<T: Read + Write + Send> ControlStream for T {}

/// Serves until it is killed.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let [port, _, span, root, files @ ..] = words else {
        return Err("usage: wharf-bench bare PORT PASSIVE SPAN ROOT [CERTIFICATE KEY]".to_owned());
    };
    let number = |word: &str| word.parse::<u64>().map_err(|error| format!("{word}: {error}"));
    let port = u16::try_from(number(port)?).map_err(|error| format!("{port}: {error}"))?;
    let tls = match files {
        [certificate, key] => Some(secret::config(certificate, key)?),
        _ => None,
    };
    let bare = Arc::new(BareServerOptions { root: PathBuf::from(root), span: number(span)?, tls });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|error| format!("cannot listen on port {port}: {error}"))?;
    for stream in listener.incoming().flatten() {
        let bare = Arc::clone(&bare);
        let thread = std::thread::Builder::new().stack_size(THREAD_STACK_BYTES);
        // The thread of a client that disconnects ends with an error, which is ignored.
        thread
            .spawn(move || bare.serve(stream))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
    }
    Ok(())
}

impl BareServerOptions {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let writer = stream.try_clone()?;
        let mut line = String::new();
        let mut wire = BufReader::new(stream);
        print_line(&mut &writer, "220 Ready.")?;
        loop {
            line.clear();
            if wire.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim_end() == "AUTH TLS"
                && let Some(config) = &self.tls
            {
                print_line(&mut &writer, "234 Continue.")?;
                let session =
                    ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                let secret = StreamOwned::new(session, wire.into_inner());
                return self.serve_commands(Box::new(secret), true);
            }
            if line.starts_with("USER") {
                print_line(&mut &writer, "331 Continue.")?;
                return self.serve_commands(Box::new(BufferedStream(wire)), false);
            }
            print_line(&mut &writer, "202 As you like.")?;
        }
    }

    /// From USER or AUTH TLS to the end.
    fn serve_commands(&self, wire: Box<dyn ControlStream>, is_secret: bool) -> io::Result<()> {
        let mut wire = BufReader::new(wire);
        let mut data_listener: Option<TcpListener> = None;
        let mut line = String::new();
        loop {
            line.clear();
            if wire.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
            let path = self.root.join(argument.trim_start_matches('/'));
            let out = wire.get_mut();
            match verb {
                "USER" => print_line(out, "331 Continue.")?,
                "PASS" => print_line(out, "230 In.")?,
                "PASV" | "EPSV" => data_listener = Some(open_data_listener(out, verb)?),
                "RETR" | "STOR" | "MLSD" | "LIST" => {
                    let Some(data_listener) = &data_listener else {
                        print_line(out, "425 PASV first.")?;
                        continue;
                    };
                    print_line(out, "150 Here it comes.")?;
                    let (stream, _) = data_listener.accept()?;
                    let secret = self.tls.as_ref().filter(|_| is_secret);
                    self.transfer(verb, &path, stream, secret)?;
                    print_line(out, "226 Done.")?;
                }
                "SIZE" => print_line(out, &format!("213 {}", std::fs::metadata(&path)?.len()))?,
                "DELE" => {
                    std::fs::remove_file(&path)?;
                    print_line(out, "250 Gone.")?;
                }
                "QUIT" => return print_line(out, "221 Bye."),
                _ => print_line(out, "200 As you like.")?,
            }
        }
    }

    fn transfer(
        &self,
        verb: &str,
        path: &std::path::Path,
        stream: TcpStream,
        secret: Option<&Arc<ServerConfig>>,
    ) -> io::Result<()> {
        match (verb, secret) {
            ("RETR", None) => bytes::send(path, &stream, self.span),
            ("STOR", None) => bytes::receive(&stream, path),
            ("RETR", Some(config)) => secret::send(path, stream, config),
            ("STOR", Some(config)) => secret::receive(stream, path, config),
            _ => listing::send(path, stream),
        }
    }
}

/// Listens for one data connection, and sends the port to the client.
fn open_data_listener(out: &mut dyn ControlStream, verb: &str) -> io::Result<TcpListener> {
    let data_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = data_listener.local_addr()?.port();
    if verb == "EPSV" {
        print_line(out, &format!("229 Here (|||{port}|)."))?;
    } else {
        let [high, low] = port.to_be_bytes();
        print_line(out, &format!("227 Here (127,0,0,1,{high},{low})."))?;
    }
    Ok(data_listener)
}

fn print_line<W: Write + ?Sized>(out: &mut W, text: &str) -> io::Result<()> {
    out.write_all(format!("{text}\r\n").as_bytes())?;
    out.flush()
}

/// A stream with its first bytes in a buffer.
struct BufferedStream(BufReader<TcpStream>);

impl Read for BufferedStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for BufferedStream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}
