//! Addresses: what was read is written and read again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::net::SocketAddr;
use wharf_proto::address::{
    epsv_numbers, parse_eprt, parse_epsv, parse_epsv_reply, parse_pasv_reply, parse_port,
    pasv_numbers,
};

fuzz_target!(|bytes: &[u8]| {
    for address in [parse_port(bytes).ok(), parse_pasv_reply(bytes)].into_iter().flatten() {
        assert_ne!(address.port(), 0);
        let numbers = pasv_numbers(*address.ip(), address.port());
        assert_eq!(parse_port(numbers.as_bytes()), Ok(address));
        let reply = format!("227 Entering Passive Mode ({numbers}).");
        assert_eq!(parse_pasv_reply(reply.as_bytes()), Some(address));
    }
    if let Ok(address) = parse_eprt(bytes) {
        assert_ne!(address.port(), 0);
        let family = if address.is_ipv4() { 1 } else { 2 };
        let text = format!("|{family}|{}|{}|", address.ip(), address.port());
        assert_eq!(parse_eprt(text.as_bytes()), Ok(address));
        if let SocketAddr::V6(address) = address {
            assert_eq!((address.scope_id(), address.flowinfo()), (0, 0));
        }
    }
    if let Some(port) = parse_epsv_reply(bytes) {
        assert_eq!(parse_epsv_reply(epsv_numbers(port).as_bytes()), Some(port));
    }
    let _ = parse_epsv(bytes);
});
