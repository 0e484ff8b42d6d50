//! Clients that abort and leave: ABOR is answered within a bound, and nothing runs for a client
//! that is gone.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use wharf_load::Random;

use super::{ScenarioServer, account, reliable_network};
use crate::faults::StorageModes;
use crate::oracle::Oracle;
use crate::stream::ClientStream;
use crate::timed_client::{ClientFailure, TimedClient};
use crate::world::{settings, test_tls};

/// The largest file to which something is appended.
const FILE_BYTES_MAX: usize = 2_000_000;
/// Longer than any copy.
const COPY_MAX: Duration = Duration::from_mins(5);
/// After a client has gone, its session has gone within this time.
const GONE_MAX: Duration = Duration::from_secs(10);
/// Commands that wait for the end of a transfer.
const HELD: &[&str] = &["PWD", "TYPE I", "SIZE /file", "CWD /", "FEAT"];

/// What a client transfers.
#[derive(Clone, Copy, Debug)]
enum InterruptedWork {
    /// APPE, for which the storage copies the file.
    Append,
    /// REST and STOR, likewise.
    Resume(usize),
    /// RETR.
    Download,
    /// LIST without a data connection.
    Unopened,
}

/// How it ends.
#[derive(Clone, Copy, Debug)]
enum WorkEnd {
    /// It is left to complete.
    Whole,
    Aborts {
        /// So many commands are sent before ABOR.
        held: u64,
    },
    /// The client closes both connections.
    Leaves,
}

pub(super) async fn run(seed: u64, copies_first: bool, rng: &mut Random, oracle: &Oracle) {
    let mut settings = settings();
    settings.tls = rng.chance(1, 2).then(test_tls);
    let has_tls = settings.tls.is_some();
    let network_faults = reliable_network(seed, rng);
    let copy_rate = Some(rng.between(50_000, 1_000_000));
    let storage_modes = StorageModes { copy_rate, copies_first, ..StorageModes::random(rng) };
    let server =
        ScenarioServer::start(network_faults, settings, storage_modes, (rng, oracle)).await;
    oracle.ignore_uploads();
    let mut clients = JoinSet::new();
    for number in 1..=u8::try_from(rng.between(1, 4)).unwrap_or(1) {
        let size = rng.size(1, FILE_BYTES_MAX);
        let path = format!("/file{number}");
        server.stores.memory.put(&path, vec![b'f'; size]);
        oracle.add_existing(&path, &server.stores.memory);
        let Ok(client) = server.connect(&format!("c{number}"), number).await else { return };
        let is_private = has_tls && rng.chance(1, 2);
        clients.spawn(work(client, number, is_private, size, rng.fork()));
    }
    while clients.join_next().await.is_some() {}
    // All have left.
    sleep(GONE_MAX).await;
    let (sinks, sources) = oracle.open();
    if (server.handle.sessions(), sinks, sources) != (0, 0, 0) {
        let sessions = server.handle.sessions();
        oracle.report_violation(format!(
            "{sessions} sessions, {sinks} sinks, {sources} sources after their clients have left"
        ));
    }
    server.end().await;
}

async fn work(client: TimedClient, number: u8, is_private: bool, size: usize, mut rng: Random) {
    let working = async {
        let mut client = if is_private { client.secure().await? } else { client };
        let (user, secret) = account(number);
        client.log_in(user, secret).await?;
        for _ in 0..rng.between(1, 5) {
            let work = match rng.below(5) {
                0 | 1 => InterruptedWork::Append,
                2 => InterruptedWork::Resume(rng.size(1, size)),
                3 => InterruptedWork::Download,
                _ => InterruptedWork::Unopened,
            };
            if !transfer(&mut client, work, number, &mut rng).await? {
                return Ok(());
            }
        }
        client.command("QUIT", &[221]).await.map(drop)
    };
    let _: Result<(), ClientFailure> = working.await;
}

/// Returns whether the client is still there.
async fn transfer(
    client: &mut TimedClient,
    work: InterruptedWork,
    number: u8,
    rng: &mut Random,
) -> Result<bool, ClientFailure> {
    let end = match rng.below(4) {
        0 => WorkEnd::Leaves,
        1 => WorkEnd::Whole,
        _ => WorkEnd::Aborts { held: rng.below(4) },
    };
    client.log_line(&format!("{work:?}, {end:?}"));
    let to = client.passive(false).await?;
    let request = match work {
        InterruptedWork::Append => format!("APPE /file{number}"),
        InterruptedWork::Resume(from) => {
            client.command(&format!("REST {from}"), &[350]).await?;
            format!("STOR /file{number}")
        }
        InterruptedWork::Download => format!("RETR /file{number}"),
        InterruptedWork::Unopened => "LIST".to_owned(),
    };
    // An upload that was interrupted may have to be continued first, or start elsewhere.
    let reply = client.command(&request, &[150, 450, 451, 501, 550, 553, 554]).await?;
    if reply.code.number() != 150 {
        return client.command("REST 0", &[350]).await.map(|_| true);
    }
    let mut link = None;
    if !matches!(work, InterruptedWork::Unopened) {
        let plain = client.dial(to).await?;
        link = Some(client.secured(plain).await?);
    }
    let is_at_end = move_bytes(client, &mut link, work, rng).await?;
    client.pause(rng.below(3000)).await;
    match end {
        WorkEnd::Leaves => {
            client.log_line("leaves");
            drop(link);
            Ok(false)
        }
        WorkEnd::Aborts { held } => {
            abort(client, held, rng).await?;
            Ok(true)
        }
        WorkEnd::Whole => {
            if let (Some(link), false) = (&mut link, is_at_end) {
                finish(client, link, work).await?;
            }
            drop(link);
            client.expect_within(&[226, 425, 450, 451, 550], COPY_MAX).await.map(|_| true)
        }
    }
}

/// Moves some bytes. Returns whether the transfer is over for the client.
async fn move_bytes(
    client: &TimedClient,
    link: &mut Option<ClientStream>,
    work: InterruptedWork,
    rng: &mut Random,
) -> Result<bool, ClientFailure> {
    let Some(link) = link else { return Ok(true) };
    let mut left = rng.size(0, 100_000);
    while left > 0 {
        let moved = match work {
            InterruptedWork::Download => client.receive(link, left).await?,
            // The storage copies the bytes before the offset first.
            InterruptedWork::Resume(_) => client.transmit_within(link, left, COPY_MAX).await?,
            _ => client.transmit(link, left).await?,
        };
        if moved == 0 {
            return Ok(true);
        }
        left = left.saturating_sub(moved);
    }
    if !matches!(work, InterruptedWork::Download) && rng.chance(1, 2) {
        finish(client, link, work).await?;
        return Ok(true);
    }
    Ok(false)
}

/// Completes the transfer.
async fn finish(
    client: &TimedClient,
    link: &mut ClientStream,
    work: InterruptedWork,
) -> Result<(), ClientFailure> {
    if matches!(work, InterruptedWork::Download) {
        while client.receive(link, FILE_BYTES_MAX).await? > 0 {}
        return Ok(());
    }
    client.log_line("has sent everything");
    let _ = link.end().await;
    Ok(())
}

/// Sends ABOR behind commands that wait, and expects that it is read at once.
async fn abort(client: &mut TimedClient, held: u64, rng: &mut Random) -> Result<(), ClientFailure> {
    let mut lines: Vec<_> = (0..held).map(|_| *rng.pick(HELD)).collect();
    lines.push("ABOR");
    let began = Instant::now();
    client.send(&lines.join("\r\n")).await?;
    // 426 and 226; or the transfer was over, and only 226 for it, and then for ABOR, came.
    let codes = &[226, 225, 425, 426, 450, 451, 550];
    client.expect(codes).await?;
    client.log_line(&format!("ABOR is answered after {:?}", began.elapsed()));
    // One reply for each other command.
    for _ in 0..=held {
        client.expect(&[200, 211, 213, 225, 226, 250, 257, 550]).await?;
    }
    client.command("NOOP", &[200]).await.map(drop)
}
