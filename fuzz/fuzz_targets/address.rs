//! Addresses: what is parsed is written and parsed again to the same value.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::net::SocketAddr;
use wharf_proto::address::{
    epsv_numbers, parse_eprt, parse_epsv, parse_epsv_reply, parse_pasv_reply, parse_port,
    pasv_numbers,
};

fuzz_target!(|bytes: &[u8]| {
    for address in [parse_port(bytes).ok(), parse_pasv_reply(bytes)].into_iter().flatten() {
        let numbers = pasv_numbers(*address.ip(), address.port());
        assert_eq!(parse_port(numbers.as_bytes()), Ok(address));
        let reply = format!("227 Entering Passive Mode ({numbers}).");
        // No server listens on port 0, so no client connects to it; PORT leaves it to the engine.
        let is_reported = address.port() != 0;
        assert_eq!(parse_pasv_reply(reply.as_bytes()), is_reported.then_some(address));
    }
    if let Some(address) = parse_pasv_reply(bytes) {
        assert_ne!(address.port(), 0);
    }
    if let Ok(address) = parse_eprt(bytes) {
        let family = if address.is_ipv4() { 1 } else { 2 };
        let text = format!("|{family}|{}|{}|", address.ip(), address.port());
        assert_eq!(parse_eprt(text.as_bytes()), Ok(address));
        if let SocketAddr::V6(address) = address {
            assert_eq!((address.scope_id(), address.flowinfo()), (0, 0));
        }
    }
    if let Some(port) = parse_epsv_reply(bytes) {
        assert_ne!(port, 0);
        assert_eq!(parse_epsv_reply(epsv_numbers(port).as_bytes()), Some(port));
    }
    let _ = parse_epsv(bytes);
});
