//! Resolves the host name in `passive.public_address` periodically: dynamic addresses may change
//! every day.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::thread::Builder as Thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;
use wharf_config::outcome::Failure;
use wharf_config::value::PublicAddress;
use wharf_server::Handle;

use super::admin_backend::AdminService;
use super::reload::Reloader;
use super::warner::Warner;
use crate::log::Log;
use crate::log::record::{Level, LogRecord};
use crate::wire::look_up;

/// Keeps the address up to date.
pub(super) struct Resolver {
    handle: Handle,
    log: Arc<Log>,
    warner: Arc<Warner>,
    reloader: Arc<Reloader>,
}

impl Resolver {
    /// For this server.
    pub(super) fn of(admin: &AdminService) -> Self {
        Self {
            handle: admin.handle.clone(),
            log: Arc::clone(&admin.log),
            warner: Arc::clone(&admin.warner),
            reloader: Arc::clone(&admin.reloader),
        }
    }

    /// Never returns. Names are resolved on a separate thread, so clients never wait for DNS.
    pub(super) async fn resolve_periodically(self) {
        let mut warned: Option<String> = None;
        // A name that was not resolved at the start causes a warning immediately.
        let mut is_due = self.handle.public_address().is_none();
        loop {
            if !std::mem::take(&mut is_due) {
                let every = self.reloader.in_force().config.passive.resolve_every.0;
                sleep(pause(every, self.handle.public_address())).await;
            }
            let Some(name) = self.name() else { continue };
            let found = resolved(name.clone()).await;
            // A concurrent or later reload has resolved another name.
            let Ok(_turn) = self.reloader.turn.try_lock() else { continue };
            if self.name().as_ref() != Some(&name) {
                continue;
            }
            match next(self.handle.public_address(), &found, warned.is_some()) {
                LookupResult::Keep { is_fine } => {
                    if let Some(text) = warned.take_if(|_| is_fine) {
                        self.warner.withdraw(&text);
                    }
                }
                LookupResult::Announce(address) => {
                    if let Some(text) = warned.take() {
                        self.warner.withdraw(&text);
                    }
                    self.announce(&name, address);
                }
                LookupResult::Warn(why) => {
                    let text = self.warning(&why);
                    self.warner.warn(&text);
                    warned = Some(text);
                }
            }
        }
    }

    fn name(&self) -> Option<String> {
        match &self.reloader.in_force().config.passive.public_address {
            PublicAddress::Name(name) => Some(name.clone()),
            PublicAddress::None | PublicAddress::Address(_) => None,
        }
    }

    fn announce(&self, name: &str, address: Ipv4Addr) {
        let before = self.handle.public_address();
        self.handle.set_public_address(Some(address));
        let record = LogRecord::new(Level::Info, "public-address-changed").text("name", name);
        let before = before.map_or_else(String::new, |before| before.to_string());
        self.log.note(&record.text("address", address.to_string()).text("before", before));
    }

    fn warning(&self, why: &str) -> String {
        let stays = self.handle.public_address().map_or_else(
            || "no address is announced".to_owned(),
            |address| format!("{address} is still announced"),
        );
        format!("{why} (passive.public_address); {stays} until it can be resolved")
    }
}

/// Without an address, external clients get a wrong one: it is resolved more often then.
fn pause(every: Duration, announced: Option<Ipv4Addr>) -> Duration {
    if announced.is_some() { every } else { every.min(UNKNOWN_RETRY_MAX) }
}

/// The maximum retry interval while no address is known.
const UNKNOWN_RETRY_MAX: Duration = Duration::from_secs(30);

/// The result of a lookup.
#[derive(Debug, PartialEq, Eq)]
enum LookupResult {
    Keep { is_fine: bool },
    Announce(Ipv4Addr),
    Warn(String),
}

/// A name with several addresses keeps the announced one: their order changes with each answer. A
/// name that cannot be resolved keeps it too, and is reported once.
fn next(
    announced: Option<Ipv4Addr>,
    found: &Result<Vec<Ipv4Addr>, Failure>,
    is_warned: bool,
) -> LookupResult {
    match found {
        Ok(addresses) if announced.is_some_and(|one| addresses.contains(&one)) => {
            LookupResult::Keep { is_fine: true }
        }
        Ok(addresses) => match addresses.first() {
            Some(first) => LookupResult::Announce(*first),
            None => LookupResult::Keep { is_fine: true },
        },
        Err(_) if is_warned => LookupResult::Keep { is_fine: false },
        Err(failure) => LookupResult::Warn(failure.message.clone()),
    }
}

async fn resolved(name: String) -> Result<Vec<Ipv4Addr>, Failure> {
    let (answer, answered) = oneshot::channel();
    let act = move || {
        let _ = answer.send(look_up(&name));
    };
    // Without a thread `act` is dropped, which the receiver detects.
    let _ = Thread::new().name("resolve".to_owned()).spawn(act);
    answered.await.unwrap_or_else(|_| Err(Failure::new("cannot start a thread")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_still_in_the_answer_is_kept() {
        let [one, two] = [Ipv4Addr::new(203, 0, 113, 1), Ipv4Addr::new(203, 0, 113, 2)];
        let found = |addresses: &[Ipv4Addr]| Ok(addresses.to_vec());
        assert_eq!(
            next(Some(one), &found(&[two, one]), true),
            LookupResult::Keep { is_fine: true }
        );
        assert_eq!(next(Some(one), &found(&[two]), false), LookupResult::Announce(two));
        assert_eq!(next(None, &found(&[one, two]), false), LookupResult::Announce(one));
    }

    #[test]
    fn an_unresolved_name_is_retried_more_often() {
        let [long, short] = [Duration::from_hours(1), Duration::from_secs(5)];
        assert_eq!(pause(long, None), UNKNOWN_RETRY_MAX);
        assert_eq!(pause(short, None), short);
        assert_eq!(pause(long, Some(Ipv4Addr::LOCALHOST)), long);
    }

    #[test]
    fn a_failed_lookup_is_reported_once_and_changes_nothing() {
        let gone = Err(Failure::new("cannot resolve the public address x: why"));
        let one = Some(Ipv4Addr::new(203, 0, 113, 1));
        assert!(matches!(next(one, &gone, false), LookupResult::Warn(why) if why.contains('x')));
        assert_eq!(next(one, &gone, true), LookupResult::Keep { is_fine: false });
    }
}
