//! Unix: listening sockets that whoever started us opened before, by the protocol of systemd.

use std::net::TcpListener;
use std::process;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

use super::Inherited;
use crate::outcome::plain;

/// More are a mistake: a configuration has a handful of listeners.
pub(super) const SOCKETS_MAX: usize = 64;
/// The number of the first one.
pub(super) const FIRST: i32 = 3;

/// Takes the sockets that `LISTEN_FDS` counts, if `LISTEN_PID` says that they are ours, with their
/// names of `LISTEN_FDNAMES`. It changes the environment: call it before there are threads, once.
///
/// # Errors
/// One of them is no TCP socket that listens, or there are too many; which, and what would help.
pub(crate) fn inherited() -> Result<Vec<Inherited>, String> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<usize>().ok();
    let own = usize::try_from(process::id()).ok();
    let Some(count) = number("LISTEN_FDS").filter(|_| own == number("LISTEN_PID")) else {
        return Ok(Vec::new());
    };
    if count > SOCKETS_MAX {
        return Err(format!("LISTEN_FDS says {count}; at most {SOCKETS_MAX} sockets are taken"));
    }
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    let mut sockets = ListenFd::from_env();
    let each = (FIRST..).zip(0..sockets.len()).map(|(number, index)| {
        let name = names.next().unwrap_or_default();
        let wrong = |why: String| {
            format!(
                "descriptor {number} that was handed over{} is no TCP socket that listens: {why}",
                if name.is_empty() { String::new() } else { format!(" as `{name}`") },
            )
        };
        let listener = sockets.take_tcp_listener(index).map_err(|error| wrong(plain(&error)))?;
        let listener = listener.ok_or_else(|| wrong("it is missing".to_owned()))?;
        if !listens(&listener) {
            return Err(wrong("it does not listen".to_owned()));
        }
        let address = listener.local_addr().map_err(|error| wrong(plain(&error)))?;
        Ok(Inherited { name, address, listener })
    });
    each.collect()
}

fn listens(listener: &TcpListener) -> bool {
    // A system that cannot say so will tell at the first client.
    socket_acceptconn(listener).unwrap_or(true)
}
