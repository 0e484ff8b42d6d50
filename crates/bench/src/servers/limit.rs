//! The bare program, started like a server: see [`crate::bench::bare`].

use super::{BenchServer, Installation, PASSIVE_FIRST, ServerSetup, StartCommand};
use crate::bench::result::LIMIT;

pub(super) static SERVER: BenchServer = BenchServer {
    name: LIMIT,
    title: "bare program",
    about: "no server: blocking system calls on a thread for each client, no check of anything",
    processes_per_session: 0,
    has_mlsd: true,
    needs_root: false,
    find: |_| {
        let program = std::env::current_exe();
        let program = program.map_err(|error| format!("cannot find this program: {error}"))?;
        Ok(Installation { program, version: env!("CARGO_PKG_VERSION").to_owned() })
    },
    start,
    install: |_| Ok(()),
};

/// The argument that selects the bare program.
pub(crate) const WORD: &str = "bare";

#[expect(clippy::unnecessary_wraps, reason = "all servers start by one kind of function")]
fn start(found: &Installation, setting: &ServerSetup<'_>) -> Result<StartCommand, String> {
    let start = StartCommand::new(&found.program)
        .args([WORD, &setting.port.to_string(), &PASSIVE_FIRST.to_string()])
        .arg(setting.span.to_string())
        .arg(setting.root);
    Ok(match setting.certificate {
        Some(files) => start.arg(&files.chain).arg(&files.key),
        None => start,
    })
}
