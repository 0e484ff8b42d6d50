//! Bans of a running server, through its API: access to its socket suffices, without write access
//! to the file, and changes take effect immediately.

use std::path::Path;

use ipnet::IpNet;
use jiff::Timestamp;
use wharf_admin::client::{AdminClient, RequestError};
use wharf_admin::model::{Ban, Lock, NewBan, Status, Unlock};
use wharf_config::outcome::{Exit, Failure};
use wharf_server::auth_throttle::{Ban as Banned, Lock as Locked, ThrottleSnapshot};

use super::network;
use crate::cli::{GlobalArgs, running_server::SocketArgs};
use crate::running_server::{client, run_request};

/// The server at the given socket, else the running server of this configuration, if any.
pub(super) fn server(
    global: &GlobalArgs,
    socket: Option<&Path>,
    config: Option<&Path>,
) -> Result<Option<AdminClient>, Failure> {
    let client = client(global, &SocketArgs { socket: socket.map(Path::to_owned) });
    let result = run_request(async { client.get::<Status>("/v1/status").await });
    match result {
        Ok(_) if socket.is_some() => Ok(Some(client)),
        Ok(status) => {
            let config = config.and_then(|path| std::path::absolute(path).ok());
            let config = config.map(|path| path.display().to_string());
            // A server with another configuration has another file of bans.
            Ok((status.config == config).then_some(client))
        }
        Err(failure) if failure.exit == Exit::NotRunning && socket.is_none() => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The bans and locks of the server.
pub(super) fn read(server: &AdminClient) -> Result<ThrottleSnapshot, Failure> {
    let (bans, locks) = run_request(async {
        let bans: Vec<Ban> = server.get("/v1/bans").await?;
        let locks: Vec<Lock> = server.get("/v1/locks").await?;
        Ok((bans, locks))
    })?;
    let bans = bans.iter().map(banned).collect::<Result<_, _>>()?;
    let locks = locks.into_iter().map(|lock| {
        let until = seconds(&lock.until)?;
        Ok(Locked { user: lock.user, until })
    });
    Ok(ThrottleSnapshot {
        bans,
        locks: locks.collect::<Result<_, Failure>>()?,
        ..ThrottleSnapshot::default()
    })
}

fn banned(ban: &Ban) -> Result<Banned, Failure> {
    Ok(Banned {
        network: network(&ban.network)?,
        since: seconds(&ban.since)?,
        until: ban.until.as_deref().map(seconds).transpose()?,
        times: ban.consecutive_bans,
        is_manual: ban.manual,
        reason: ban.reason.clone(),
    })
}

fn seconds(moment: &str) -> Result<i64, Failure> {
    let wrong = |_| Failure::new(format!("invalid time in the reply of the server: {moment:?}"));
    moment.parse::<Timestamp>().map(Timestamp::as_second).map_err(wrong)
}

/// Bans networks, and disconnects their sessions.
pub(super) fn add(
    server: &AdminClient,
    networks: &[IpNet],
    until: Option<i64>,
    reason: &str,
    now: i64,
) -> Result<(), Failure> {
    let duration_seconds = until.and_then(|until| u64::try_from(until.saturating_sub(now)).ok());
    for network in networks {
        let (network, reason) = (network.to_string(), Some(reason.to_owned()));
        let ban = NewBan { network, duration_seconds, reason, kick: true };
        run_request(async { server.ban(&ban).await })?;
    }
    Ok(())
}

/// Removes the bans of these networks, and unlocks these accounts.
pub(super) fn lift(
    server: &AdminClient,
    networks: &[IpNet],
    users: &[String],
) -> Result<(), Failure> {
    run_request(async {
        if !networks.is_empty() {
            let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
            server.unban(&networks).await?;
        }
        if !users.is_empty() {
            let unlock = Unlock { users: Some(users.to_vec()) };
            let _: Vec<String> = server.post("/v1/unlock", &unlock).await?;
        }
        Ok::<_, RequestError>(())
    })
}

/// Removes all bans and locks.
pub(super) fn clear(server: &AdminClient) -> Result<(), Failure> {
    run_request(async {
        let _: Vec<String> = server.delete("/v1/bans").await?;
        let _: Vec<String> = server.post("/v1/unlock", &Unlock::default()).await?;
        Ok::<_, RequestError>(())
    })
}
