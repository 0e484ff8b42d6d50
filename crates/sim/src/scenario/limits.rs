//! Transfers under rate limits that are reloaded: a limit is neither exceeded nor left unused, and
//! no transfer stands still.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use wharf_core::account::Rate;
use wharf_load::Random;

use super::{ScenarioServer, account, address};
use crate::faults::StorageModes;
use crate::network_faults::NetworkFaults;
use crate::oracle::Oracle;
use crate::timed_client::{ClientFailure, TimedClient};
use crate::world::settings;

/// What a client sends or receives per second by itself.
const OWN_BYTES_PER_S: u64 = 200_000;
/// The pause after each part of it.
const OWN_PAUSE: Duration = Duration::from_millis(10);
/// More than clients move in a whole scenario.
const FILE_BYTES: usize = 6_000_000;
/// Bytes that a step without a limit may still move after a reload.
const STEP_BYTES: u64 = 256 * 1024;
/// Bytes that a client may miss at a change.
const MISSED_BYTES: u64 = 16 * 1024;
/// Per thousand of a limit, what must be used and what may be.
const USED_MIN: u64 = 800;
const USED_MAX: u64 = 1050;

/// Limits in bytes a second.
#[derive(Clone, Copy, Debug, Default)]
struct PhaseLimits {
    all: Option<u64>,
    user: Option<u64>,
    transfer: Option<u64>,
}

pub(super) async fn run(rng: &mut Random, oracle: &Oracle) {
    let storage_modes = StorageModes::random(rng);
    let server =
        ScenarioServer::start(NetworkFaults::Off, settings(), storage_modes, (rng, oracle)).await;
    let is_upload = rng.chance(1, 2);
    oracle.ignore_uploads();
    server.stores.memory.put("/big", vec![b'd'; FILE_BYTES]);
    let count = u8::try_from(rng.between(1, 4)).unwrap_or(1);
    let mut clients = JoinSet::new();
    for number in 1..=count {
        let Ok(client) = server.client(&format!("c{number}"), number).await else { return };
        clients.spawn(transfer(client, number, is_upload));
    }
    // All have begun.
    sleep(Duration::from_millis(100)).await;
    let mut before = PhaseLimits::default();
    for _ in 0..rng.between(2, 5) {
        let limits = random_limits(rng);
        server.reload(limits, is_upload);
        let (began, first) = (Instant::now(), server.moved());
        sleep(Duration::from_millis(rng.between(1500, 6000))).await;
        let phase = Phase { limits, before, took: began.elapsed(), first, last: server.moved() };
        phase.check(oracle, usize::from(count));
        before = limits;
    }
    clients.abort_all();
    while clients.join_next().await.is_some() {}
    server.end().await;
}

fn random_limits(rng: &mut Random) -> PhaseLimits {
    let mut rate = |least| rng.chance(2, 3).then(|| rng.between(least, 150_000));
    let mut limits = PhaseLimits { all: rate(40_000), user: rate(20_000), transfer: rate(10_000) };
    if rng.chance(1, 4) {
        limits = PhaseLimits::default();
    }
    limits
}

/// Sends or receives at its own pace until it is stopped.
async fn transfer(mut client: TimedClient, number: u8, is_upload: bool) {
    let moving = async {
        let to = client.passive(false).await?;
        let mut link = client.dial(to).await?;
        let request = if is_upload { format!("STOR /up{number}") } else { "RETR /big".to_owned() };
        client.command(&request, &[150]).await?;
        let part = usize::try_from(OWN_BYTES_PER_S).unwrap_or_default() / 100;
        let mut next = Instant::now();
        loop {
            if client.move_part(&mut link, is_upload, part).await? < part {
                return Err::<(), ClientFailure>(client.missed("the transfer is over"));
            }
            next = Instant::now().max(next + OWN_PAUSE);
            sleep_until(next).await;
        }
    };
    let _ = moving.await;
}

impl ScenarioServer {
    fn reload(&self, limits: PhaseLimits, is_upload: bool) {
        let rate = |limit: Option<u64>| limit.map_or(Rate::Unlimited, Rate::from_bytes_per_second);
        let mut settings = self.settings.clone();
        let to = &mut settings.limits;
        if is_upload {
            (to.upload_rate, to.user_upload_rate) = (rate(limits.all), rate(limits.user));
            to.transfer_upload_rate = rate(limits.transfer);
        } else {
            (to.download_rate, to.user_download_rate) = (rate(limits.all), rate(limits.user));
            to.transfer_download_rate = rate(limits.transfer);
        }
        self.oracle.log_line("admin", &format!("{limits:?}"));
        let (users, stores) = (Arc::clone(&self.users), Arc::new(self.stores.clone()));
        if self.handle.adopt(settings, users, stores).is_err() {
            self.oracle.report_violation("a reload fails".into());
        }
    }
}

/// A time with the same limits.
struct Phase {
    limits: PhaseLimits,
    before: PhaseLimits,
    took: Duration,
    first: BTreeMap<IpAddr, u64>,
    last: BTreeMap<IpAddr, u64>,
}

impl Phase {
    fn check(&self, oracle: &Oracle, clients: usize) {
        if self.first.len() != clients || self.last.len() != clients {
            return oracle.report_violation("a transfer has ended".into());
        }
        let moved: BTreeMap<_, _> = (self.first.iter())
            .map(|(ip, first)| (*ip, self.last.get(ip).unwrap_or(first).saturating_sub(*first)))
            .collect();
        oracle.log_line("limits", &format!("in {:?}: {moved:?}", self.took));
        // Before, steps without a limit may have begun.
        let PhaseLimits { all, user, transfer } = self.before;
        let was_limited = all.or(user).or(transfer).is_some();
        let slack = if was_limited { 8 * 1024 } else { STEP_BYTES };
        let mut users: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for number in 1..=u8::try_from(clients).unwrap_or(u8::MAX) {
            let bytes = moved.get(&address(number)).copied().unwrap_or_default();
            users.entry(account(number).0).or_default().push(bytes);
            self.check_most(oracle, "one transfer", self.limits.transfer, (&[bytes], slack));
        }
        for (user, bytes) in &users {
            self.check_most(oracle, user, self.limits.user, (bytes, slack));
        }
        let all: Vec<_> = moved.values().copied().collect();
        self.check_most(oracle, "all", self.limits.all, (&all, slack));
        self.check_least(oracle, &users);
    }

    fn bytes_at(&self, rate: u64) -> u64 {
        let millis = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        rate.saturating_mul(millis) / 1000
    }

    fn check_most(
        &self,
        oracle: &Oracle,
        what: &str,
        limit: Option<u64>,
        (moved, slack): (&[u64], u64),
    ) {
        let Some(limit) = limit else { return };
        let sum: u64 = moved.iter().sum();
        let slacks = slack.saturating_mul(u64::try_from(moved.len()).unwrap_or(1));
        let most = self.bytes_at(limit).saturating_mul(USED_MAX) / 1000 + slacks;
        if sum > most {
            oracle.report_violation(format!(
                "the limit of {limit} bytes/s is exceeded: {what} moved {sum} bytes in {:?}",
                self.took
            ));
        }
    }

    /// What the limits allow is used, since all clients would move more.
    fn check_least(&self, oracle: &Oracle, users: &BTreeMap<&str, Vec<u64>>) {
        let at_most = |rate: u64, limit: Option<u64>| limit.map_or(rate, |limit| limit.min(rate));
        let one = at_most(OWN_BYTES_PER_S, self.limits.transfer);
        let count = |moved: &Vec<u64>| u64::try_from(moved.len()).unwrap_or_default();
        let of_user = |moved: &Vec<u64>| at_most(one * count(moved), self.limits.user);
        let rate = at_most(users.values().map(of_user).sum(), self.limits.all);
        let slack = MISSED_BYTES * users.values().map(count).sum::<u64>();
        let least = (self.bytes_at(rate).saturating_mul(USED_MIN) / 1000).saturating_sub(slack);
        let sum: u64 = users.values().flatten().sum();
        if sum < least {
            oracle.report_violation(format!(
                "the limit of {rate} bytes/s is not used: all moved {sum} bytes in {:?}",
                self.took
            ));
        }
    }
}
