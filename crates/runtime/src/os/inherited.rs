//! Unix: socket activation, by the protocol of systemd (`LISTEN_FDS`).

use std::net::TcpListener;
use std::process;

use listenfd::ListenFd;
use wharf_config::outcome::plain;

use super::Inherited;

/// Maximum number of sockets; a configuration has few listeners.
pub(super) const SOCKETS_MAX: usize = 64;
/// The first file descriptor.
pub(super) const FIRST: i32 = 3;

/// Takes the sockets of `LISTEN_FDS`, if `LISTEN_PID` is this process, with their names in
/// `LISTEN_FDNAMES`. It changes the environment: call it once, before threads are started.
pub(crate) fn inherited() -> Result<Vec<Inherited>, String> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<usize>().ok();
    let own = usize::try_from(process::id()).ok();
    let Some(count) = number("LISTEN_FDS").filter(|_| own == number("LISTEN_PID")) else {
        return Ok(Vec::new());
    };
    if count > SOCKETS_MAX {
        return Err(format!(
            "invalid LISTEN_FDS={count}: at most {SOCKETS_MAX} sockets are supported"
        ));
    }
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    let mut sockets = ListenFd::from_env();
    let each = (FIRST..).zip(0..sockets.len()).map(|(number, index)| {
        let name = names.next().unwrap_or_default();
        let wrong = |why: String| {
            format!(
                "invalid inherited file descriptor {number}{}: not a listening TCP socket: {why}",
                if name.is_empty() { String::new() } else { format!(" as `{name}`") },
            )
        };
        let listener = sockets.take_tcp_listener(index).map_err(|error| wrong(plain(&error)))?;
        let listener = listener.ok_or_else(|| wrong("it is not open".to_owned()))?;
        if !listens(&listener) {
            return Err(wrong("it is not listening".to_owned()));
        }
        let address = listener.local_addr().map_err(|error| wrong(plain(&error)))?;
        Ok(Inherited { name, address, listener })
    });
    each.collect()
}

fn listens(listener: &TcpListener) -> bool {
    // On systems without this option, `accept` fails at the first client.
    #[cfg(not(target_vendor = "apple"))]
    return rustix::net::sockopt::socket_acceptconn(listener).unwrap_or(true);
    #[cfg(target_vendor = "apple")]
    return listener.local_addr().is_ok();
}
