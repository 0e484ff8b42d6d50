//! Few passive ports and many clients: a port serves the next client that waits, whatever the
//! others do with it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use wharf_load::Random;

use super::{ScenarioServer, reliable_network};
use crate::faults::StorageModes;
use crate::net::SimNet;
use crate::oracle::Oracle;
use crate::timed_client::{ClientFailure, TimedClient};
use crate::world::{SERVER, settings, test_tls};

/// The first passive port.
const FIRST_PORT: u16 = 30_000;
/// A download.
const FILE_BYTES: usize = 50_000;
/// How long a client that occupies a port does one thing, in milliseconds.
const OCCUPIES_MS_MAX: u64 = 20_000;

/// What a client does with its port.
#[derive(Clone, Copy, Debug)]
enum PortUse {
    /// It transfers nothing.
    Holds,
    /// It requests a transfer and connects late or never.
    ConnectsLate,
    /// It requests a transfer and reads no replies.
    ReadsNothing,
    /// It downloads, and stops reading at any byte.
    StopsReading,
}

const PORT_USES: &[PortUse] =
    &[PortUse::Holds, PortUse::ConnectsLate, PortUse::ReadsNothing, PortUse::StopsReading];

pub(super) async fn run(seed: u64, rng: &mut Random, oracle: &Oracle) {
    let mut settings = settings();
    let ports = FIRST_PORT..=FIRST_PORT + u16::try_from(rng.below(10)).unwrap_or_default();
    settings.passive.ports = ports.clone();
    settings.tls = rng.chance(1, 2).then(test_tls);
    let has_tls = settings.tls.is_some();
    let network_faults = reliable_network(seed, rng);
    let storage_modes = StorageModes::random(rng);
    let server =
        ScenarioServer::start(network_faults, settings, storage_modes, (rng, oracle)).await;
    server.stores.memory.put("/file", vec![b'f'; FILE_BYTES]);
    oracle.ignore_uploads();
    let mut others = JoinSet::new();
    let count = u8::try_from(rng.between(1, 2 + 2 * u64::try_from(ports.len()).unwrap_or(1)));
    for number in 100..100 + count.unwrap_or(1) {
        let Ok(client) = server.client(&format!("o{number}"), number).await else { return };
        others.spawn(occupy(client, rng.fork()));
    }
    for number in 0..u8::try_from(rng.below(3)).unwrap_or_default() {
        others.spawn(intrude(server.net.clone(), number, *ports.start(), *ports.end(), rng.fork()));
    }
    let mut well_behaved = JoinSet::new();
    for number in 1..=u8::try_from(rng.between(1, 3)).unwrap_or(1) {
        let Ok(client) = server.connect(&format!("c{number}"), number).await else { return };
        well_behaved.spawn(use_ports(client, number, has_tls && rng.chance(1, 2), rng.fork()));
    }
    while well_behaved.join_next().await.is_some() {}
    others.abort_all();
    while others.join_next().await.is_some() {}
    server.end().await;
}

/// A client that must be served.
async fn use_ports(client: TimedClient, number: u8, is_private: bool, mut rng: Random) {
    let using = async {
        let mut client = if is_private { client.secure().await? } else { client };
        let (user, secret) = super::account(number);
        client.log_in(user, secret).await?;
        for _ in 0..rng.between(2, 8) {
            client.pause(rng.below(3000)).await;
            transfer(&mut client, &mut rng).await?;
        }
        client.command("QUIT", &[221]).await.map(drop)
    };
    let _: Result<(), ClientFailure> = using.await;
}

async fn transfer(client: &mut TimedClient, rng: &mut Random) -> Result<(), ClientFailure> {
    let to = client.passive(rng.chance(1, 2)).await?;
    if rng.chance(1, 3) {
        client.pause(rng.below(500)).await;
    }
    let is_early = rng.chance(1, 2);
    let mut link = if is_early { Some(client.dial(to).await?) } else { None };
    let is_upload = rng.chance(1, 3);
    let request = match (is_upload, rng.chance(1, 2)) {
        (true, _) => format!("STOR /{}", client.tag),
        (false, true) => "RETR /file".to_owned(),
        (false, false) => "LIST".to_owned(),
    };
    client.command(&request, &[150]).await?;
    if link.is_none() {
        client.pause(rng.below(3000)).await;
    }
    let link = match link.take() {
        Some(link) => link,
        None => client.dial(to).await?,
    };
    let mut link = client.secured(link).await?;
    if is_upload {
        client.move_part(&mut link, true, rng.size(0, FILE_BYTES)).await?;
        let _ = link.end().await;
    } else {
        let mut got = 0;
        while let more @ 1.. = client.receive(&mut link, FILE_BYTES).await? {
            got += more;
        }
        if request.starts_with("RETR") && got != FILE_BYTES {
            return Err(client.missed(&format!("got {got} bytes")));
        }
    }
    drop(link);
    client.expect(&[226]).await.map(drop)
}

/// A client that occupies a port.
async fn occupy(client: TimedClient, mut rng: Random) {
    let mut client = client.unchecked();
    loop {
        let Ok(to) = client.passive(rng.chance(1, 2)).await else { return };
        let port_use = *rng.pick(PORT_USES);
        client.log_line(&format!("{port_use:?} {}", to.port()));
        let time = Duration::from_millis(rng.between(1, OCCUPIES_MS_MAX));
        let done = match port_use {
            PortUse::Holds => {
                sleep(time).await;
                Ok(())
            }
            PortUse::ConnectsLate => connect_late(&mut client, to, time).await,
            PortUse::ReadsNothing => {
                // More than the window takes.
                let lines = ["HELP"; 200].join("\r\n");
                let _ = timeout(time, client.send(&format!("{lines}\r\nRETR /file"))).await;
                sleep(time).await;
                return;
            }
            PortUse::StopsReading => {
                stop_reading(&mut client, to, time, rng.size(0, FILE_BYTES)).await;
                return;
            }
        };
        if done.is_err() {
            return;
        }
    }
}

/// Requests a transfer, and connects after this time, if that is in time.
async fn connect_late(
    client: &mut TimedClient,
    to: SocketAddr,
    time: Duration,
) -> Result<(), ClientFailure> {
    client.command("LIST", &[150]).await?;
    sleep(time).await;
    let link = client.dial(to).await;
    if let Ok(mut link) = link {
        let mut listing = Vec::new();
        let _ = timeout(time, link.read_to_end(&mut listing)).await;
    }
    client.expect_within(&[226, 425, 426], OPENS_MAX).await.map(drop)
}

/// Longer than the server waits for a data connection.
const OPENS_MAX: Duration = Duration::from_mins(1);

async fn stop_reading(client: &mut TimedClient, to: SocketAddr, time: Duration, most: usize) {
    let Ok(mut link) = client.dial(to).await else { return };
    if client.send("RETR /file").await.is_ok() {
        let mut bytes = vec![0; most];
        let _ = timeout(time, link.read_exact(&mut bytes)).await;
        sleep(time).await;
    }
}

/// Connects to the passive ports from an unexpected address.
async fn intrude(net: SimNet, number: u8, first: u16, last: u16, mut rng: Random) {
    let from = IpAddr::V4(Ipv4Addr::new(198, 51, 100, number));
    let mut links = Vec::new();
    loop {
        let port = u16::try_from(rng.between(first.into(), last.into())).unwrap_or(first);
        let to = SocketAddr::new(SERVER.ip(), port);
        if let Ok(mut link) = net.dial(SocketAddr::new(from, 0), to).await {
            let _ = timeout(Duration::from_millis(1), link.write_all(b"intruder")).await;
            links.push(link);
        }
        if rng.chance(1, 8) {
            links.clear();
        }
        sleep(Duration::from_millis(rng.below(200))).await;
    }
}
