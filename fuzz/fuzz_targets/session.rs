//! Complete sessions: any input is a session with a new server, including data connections. It
//! ends, each command has one final reply, and no resources remain.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_sim::ArbitraryClient;

fuzz_target!(|input: &[u8]| {
    let Some(client) = ArbitraryClient::from_input(input) else { return };
    if let Err(fault) = client.run() {
        panic!("{fault}\n{client:?}");
    }
});
