//! Opens listening sockets, or adopts sockets that are open already.

use std::io;
use std::net::{SocketAddr, TcpListener};

use super::BindError;
use crate::net::{Listener, Net, adopted};
use crate::settings::{Listen, Settings};

/// Adopts a socket that listens already.
pub(super) fn adopt(opened: TcpListener) -> Result<Box<dyn Listener>, BindError> {
    let address = opened.local_addr();
    let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
    let failed = |source| BindError::Address { address: address.unwrap_or(unspecified), source };
    adopted(opened).map_err(failed)
}

/// Listens on the first permitted port.
pub(super) async fn open(
    net: &dyn Net,
    settings: &Settings,
    listen: &Listen,
) -> Result<Box<dyn Listener>, BindError> {
    let has_own_ipv4 = settings.listen.iter().any(|other| {
        other.address.is_ipv4() && other.ports.iter().any(|port| listen.ports.contains(port))
    });
    let mut last = None;
    for &port in &listen.ports {
        let address = SocketAddr::new(listen.address, port);
        match net.listen(address, !has_own_ipv4).await {
            Ok(listener) => return Ok(listener),
            // Fall back to IPv4 on a system without IPv6.
            Err(error) if listen.address.is_unspecified() && has_no_ipv6(&error, address) => {
                let address = SocketAddr::from(([0, 0, 0, 0], port));
                match net.listen(address, false).await {
                    Ok(listener) => return Ok(listener),
                    Err(source) => last = Some(BindError::Address { address, source }),
                }
            }
            Err(source) => last = Some(BindError::Address { address, source }),
        }
        let is_forbidden = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
        if !matches!(&last, Some(BindError::Address { source, .. }) if is_forbidden(source)) {
            break;
        }
    }
    Err(last.unwrap_or(BindError::Settings("a listener has no port to try")))
}

fn has_no_ipv6(error: &io::Error, address: SocketAddr) -> bool {
    address.is_ipv6()
        && matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
}
