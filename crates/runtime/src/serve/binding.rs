//! Errors of listening on an address, with hints.

use std::io;

use wharf_config::outcome::{Exit, Failure};
use wharf_server::BindError;

use crate::addresses::own_addresses;
use crate::os::{PORT_REMEDY, port_owner};

/// The failure, with a hint.
pub(super) fn bind_failure(error: BindError) -> Failure {
    let BindError::Address { address, source } = error else {
        return Failure::new(error.to_string());
    };
    let port = address.port();
    // Any free port would do; 2121 is the usual alternative.
    let other = if port == 2121 { 2122 } else { 2121 };
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            let what = match port_owner(port) {
                Some(owner) => format!("port {port} is in use by {owner}"),
                None => format!("port {port} is in use"),
            };
            Failure::new(what).hint(format!(
                "stop that program, or choose another port: -p {other}, or listen.port"
            ))
        }
        io::ErrorKind::PermissionDenied => {
            let failure = Failure::new(format!("permission denied for port {port}"));
            let failure = Failure { exit: Exit::Forbidden, ..failure };
            failure
                .hint(format!("choose another port: -p {other}, or listen.port; or {PORT_REMEDY}"))
        }
        io::ErrorKind::AddrNotAvailable => {
            let own: Vec<_> = own_addresses().iter().map(ToString::to_string).collect();
            Failure::new(format!(
                "cannot listen on {}: not an address of this computer",
                address.ip()
            ))
            .hint(format!("its addresses are {}", own.join(", ")))
        }
        _ => Failure::io(format!("cannot listen on {address}"), &source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: io::ErrorKind, address: &str) -> (Exit, String, String) {
        let address = address.parse().unwrap();
        let failure = bind_failure(BindError::Address { address, source: kind.into() });
        (failure.exit, failure.message, failure.hint.unwrap_or_default())
    }

    #[test]
    fn a_port_in_use_is_reported_with_its_owner() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (exit, message, hint) = failure(io::ErrorKind::AddrInUse, &address);
        assert_eq!(exit, Exit::Failed);
        assert!(message.contains("is in use by pid ") || !cfg!(target_os = "linux"), "{message}");
        assert_eq!(hint, "stop that program, or choose another port: -p 2121, or listen.port");
    }

    #[test]
    fn each_listen_error_has_a_hint() {
        let (exit, _, hint) = failure(io::ErrorKind::PermissionDenied, "[::]:21");
        assert_eq!(exit, Exit::Forbidden);
        assert!(hint.starts_with("choose another port: -p 2121, or listen.port; or "), "{hint}");
        assert!(hint.contains("setcap") || !cfg!(target_os = "linux"), "{hint}");
        let (_, message, hint) = failure(io::ErrorKind::AddrNotAvailable, "192.0.2.1:21");
        assert_eq!(message, "cannot listen on 192.0.2.1: not an address of this computer");
        assert!(hint.contains("127.0.0.1"), "{hint}");
    }
}
