//! Whole sessions: any bytes are a conversation with a server of its own, data connections
//! included. It ends, each command has one last reply, and nothing is left behind.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_sim::ArbitraryClient;

fuzz_target!(|input: &[u8]| {
    let Some(client) = ArbitraryClient::from_input(input) else { return };
    if let Err(fault) = client.run() {
        panic!("{fault}\n{client:?}");
    }
});
