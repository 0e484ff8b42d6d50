//! A shutdown in the middle of everything: what moves is completed, and nothing else delays it.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use wharf_core::storage::Start;
use wharf_load::Random;
use wharf_server::settings::{Listen, ListenTls};

use super::{ScenarioServer, account, reliable_network};
use crate::faults::StorageModes;
use crate::oracle::{Oracle, SentUpload};
use crate::report::inspect;
use crate::stream::ClientStream;
use crate::timed_client::{ClientFailure, TimedClient};
use crate::world::{SERVER, settings, test_tls};

/// Without moving bytes the server ends within this time.
const END_MAX: Duration = Duration::from_millis(1100);
/// How often it is checked whether anything moves.
const CHECKED_EVERY: Duration = Duration::from_millis(20);
/// Time until every client has begun, in milliseconds.
const BEGINS_MS_MAX: u64 = 10_000;
/// Maximum duration of what is left of a server that did not end in time.
const FORCED_END_MAX: Duration = Duration::from_mins(2);
/// A client that stops reading replies reads until then.
const READS_MAX: Duration = Duration::from_secs(2);
/// The port with implicit TLS.
const IMPLICIT_PORT: u16 = 990;
/// A download.
const FILE_BYTES: usize = 1_000_000;
/// A transfer that moves does so at this rate.
const OWN_BYTES_PER_S: usize = 100_000;
/// How often it moves.
const MOVES_PER_S: usize = 20;
/// Longer than a moving transfer takes.
const GRACE_MIN: u64 = 60;

/// What a client is doing when the server is shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientStage {
    Idle,
    /// Not logged in.
    Silent,
    /// A transfer without its data connection.
    Unopened,
    /// A data connection without its TLS handshake.
    Unsecured,
    /// AUTH TLS without the handshake.
    ControlUnsecured,
    /// Implicit TLS without the handshake.
    ImplicitUnsecured,
    /// A download that is not read from any byte on.
    StopsReading,
    /// An upload that does not send from any byte on.
    StopsSending,
    /// Replies that are not read from any byte on.
    ReadsNothing,
}

const STALLS: &[ClientStage] = &[
    ClientStage::Idle,
    ClientStage::Silent,
    ClientStage::Unopened,
    ClientStage::Unsecured,
    ClientStage::ControlUnsecured,
    ClientStage::ImplicitUnsecured,
    ClientStage::StopsReading,
    ClientStage::StopsSending,
    ClientStage::ReadsNothing,
];

pub(super) async fn run(seed: u64, rng: &mut Random, oracle: &Oracle) {
    let mut settings = settings();
    settings.tls = Some(test_tls());
    settings.listen.push(Listen {
        address: SERVER.ip(),
        ports: vec![IMPLICIT_PORT],
        tls: ListenTls::Implicit,
        ..Listen::default()
    });
    let network_faults = reliable_network(seed, rng);
    let storage_modes = StorageModes::random(rng);
    let mut server =
        ScenarioServer::start(network_faults, settings, storage_modes, (rng, oracle)).await;
    server.stores.memory.put("/file", vec![b'f'; FILE_BYTES]);
    let mut stalled = JoinSet::new();
    let mut moving = JoinSet::new();
    // Has a permit for each transfer that moves.
    let moved_first = Arc::new(Semaphore::new(0));
    for number in 1..=u8::try_from(rng.between(1, 6)).unwrap_or(1) {
        let Ok(client) = server.connect(&format!("c{number}"), number).await else { return };
        if rng.chance(1, 6) {
            let transfer = MovingTransfer {
                client,
                is_upload: rng.chance(1, 2),
                has_begun: Arc::clone(&moved_first),
                oracle: oracle.clone(),
            };
            moving.spawn(transfer.run(number));
        } else {
            let standstill = *rng.pick(STALLS);
            stalled.spawn(stand(client, number, standstill, rng.fork()));
        }
    }
    drop(moved_first.acquire_many(u32::try_from(moving.len()).unwrap_or_default()).await);
    sleep(Duration::from_millis(rng.between(3000, BEGINS_MS_MAX))).await;
    let grace = Duration::from_secs(rng.between(GRACE_MIN, GRACE_MIN + 20));
    oracle.log_line("world", &format!("shut down, grace {grace:?}"));
    server.handle.shut_down(grace);
    let began = Instant::now();
    if !ends_soon(&mut server).await {
        oracle.report_violation(format!("nothing moves, and {END_MAX:?} later the server runs"));
        server.handle.shut_down(Duration::ZERO);
    }
    oracle.log_line("world", &format!("the server has ended after {:?}", began.elapsed()));
    while moving.join_next().await.is_some() {}
    stalled.abort_all();
    while stalled.join_next().await.is_some() {}
    server.ended(FORCED_END_MAX).await;
    inspect(&server.net, &server.handle, oracle, &server.events);
}

/// Waits for the end of the server. Returns false if nothing moves and it does not end.
async fn ends_soon(server: &mut ScenarioServer) -> bool {
    let (mut moved, mut since) = (server.moved(), Instant::now());
    while since.elapsed() <= END_MAX {
        let ended = async { while server.serving.join_next().await.is_some() {} };
        if timeout(CHECKED_EVERY, ended).await.is_ok() {
            return true;
        }
        let now = server.moved();
        if now != moved {
            (moved, since) = (now, Instant::now());
        }
    }
    false
}

/// A client that prevents nothing. It stays until it is dropped.
async fn stand(client: TimedClient, number: u8, standstill: ClientStage, mut rng: Random) {
    let mut client = client.unchecked();
    client.log_line(&format!("{standstill:?}"));
    if standstill == ClientStage::ControlUnsecured {
        let _ = client.command("AUTH TLS", &[234]).await;
        return pending().await;
    }
    if standstill == ClientStage::ImplicitUnsecured {
        let _link = client.dial(SocketAddr::new(SERVER.ip(), IMPLICIT_PORT)).await;
        return pending().await;
    }
    let stalled = async {
        if standstill == ClientStage::Silent {
            return Ok(None);
        }
        let is_private = standstill == ClientStage::Unsecured || rng.chance(1, 3);
        let mut client = if is_private { client.secure().await? } else { client };
        let (user, secret) = account(number);
        client.log_in(user, secret).await?;
        let link = stop(&mut client, standstill, &mut rng).await?;
        Ok::<_, ClientFailure>(Some((client, link)))
    };
    let _open = stalled.await;
    pending::<()>().await;
}

async fn stop(
    client: &mut TimedClient,
    standstill: ClientStage,
    rng: &mut Random,
) -> Result<Option<ClientStream>, ClientFailure> {
    if standstill == ClientStage::Idle {
        return Ok(None);
    }
    if standstill == ClientStage::ReadsNothing {
        let lines = ["HELP"; 300].join("\r\n");
        client.send(&lines).await?;
        let mut bytes = vec![0; rng.size(0, 50_000)];
        let _ = timeout(READS_MAX, client.control().read_exact(&mut bytes)).await;
        return Ok(None);
    }
    let to = client.passive(rng.chance(1, 2)).await?;
    let is_upload = standstill == ClientStage::StopsSending;
    let request = if is_upload { format!("STOR /{}", client.tag) } else { "RETR /file".to_owned() };
    client.command(&request, &[150]).await?;
    if standstill == ClientStage::Unopened {
        return Ok(None);
    }
    let link = client.dial(to).await?;
    if standstill == ClientStage::Unsecured {
        return Ok(Some(link));
    }
    let mut link = client.secured(link).await?;
    // Not the whole file, so that it does not end by itself.
    client.move_part(&mut link, is_upload, rng.size(0, 100_000)).await?;
    Ok(Some(link))
}

/// A client that moves bytes all the time, and must be allowed to complete.
struct MovingTransfer {
    client: TimedClient,
    is_upload: bool,
    has_begun: Arc<Semaphore>,
    oracle: Oracle,
}

impl MovingTransfer {
    async fn run(mut self, number: u8) {
        let _: Result<(), ClientFailure> = self.transfer(account(number)).await;
        // One more does no harm, and without any the scenario would wait forever.
        self.has_begun.add_permits(1);
    }

    async fn transfer(&mut self, (user, secret): (&str, &str)) -> Result<(), ClientFailure> {
        let Self { client, is_upload, oracle, .. } = self;
        client.log_in(user, secret).await?;
        let to = client.passive(false).await?;
        let path = format!("/{}", client.tag);
        let upload = is_upload.then(|| {
            oracle.begin_upload(SentUpload {
                account: user.to_owned(),
                path: Some(path.clone()),
                start: Start::Fresh,
                sent: vec![b'u'; FILE_BYTES],
                whole: None,
            })
        });
        let request = if *is_upload { format!("STOR {path}") } else { "RETR /file".to_owned() };
        client.command(&request, &[150]).await?;
        let mut link = client.dial(to).await?;
        let mut left = FILE_BYTES;
        while left > 0 {
            let part = left.min(OWN_BYTES_PER_S / MOVES_PER_S);
            if client.move_part(&mut link, *is_upload, part).await? < part {
                return Err(client.missed("the transfer was cut"));
            }
            if left == FILE_BYTES {
                // The server has seen it, too, on a slow network.
                sleep(READS_MAX).await;
                self.has_begun.add_permits(1);
            }
            left -= part;
            sleep(Duration::from_secs(1) / u32::try_from(MOVES_PER_S).unwrap_or(1)).await;
        }
        if let Some(upload) = upload {
            oracle.is_whole(upload);
        }
        let _ = link.end().await;
        drop(link);
        client.expect(&[226]).await?;
        if let Some(upload) = upload {
            oracle.end_upload(upload, true);
        }
        client.expect(&[421]).await.map(drop)
    }
}
