//! Watches the account store: ends sessions of accounts that are removed, disabled or expired, and
//! reports an unusable store.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use wharf_accounts_sql::{SqlUsers, StoreEvent};
use wharf_server::{EndWhen, Handle};
use wharf_users::anonymous::ANONYMOUS_NAMES;
use wharf_users::file::FileUsers;

use crate::accounts::WatchedStore;
use crate::log::Log;
use crate::log::record::{Level, LogRecord};
use crate::logins::Sources;

/// How often the account store is checked.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Reply to clients of removed or disabled accounts.
const ENDED: &str = "This account may no longer log in.";
/// Reply to clients of expired accounts, or outside of their hours.
const TIME_IS_OVER: &str = "This account has expired or has outside of its login hours.";

/// The account store, and external authentication.
pub(super) type Watching = (Option<WatchedStore>, Option<Arc<Sources>>);

/// Checks the account store, and ends sessions of removed or disabled accounts. Never returns.
pub(super) async fn watch((watched, sources): Watching, handle: &Handle, log: &Log) {
    if watched.is_none() && sources.is_none() {
        return pending().await;
    }
    let mut ticks = interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for record in sources.iter().flat_map(|sources| sources.records()) {
            log.note(&record);
        }
        match &watched {
            Some(WatchedStore::File(users)) => poll_file(users, handle, log).await,
            Some(WatchedStore::Database(users)) => poll_database(users, handle, log).await,
            None => {}
        }
    }
}

async fn poll_file(users: &FileUsers, handle: &Handle, log: &Log) {
    let problem = match users.refresh().await {
        Ok(changes) => {
            for user in &changes.ended {
                handle.end_sessions_of(user, ENDED);
            }
            end_quietly(handle, &changes.over);
            if changes.is_reread {
                handle.renew_limits(|user| users.limits(user));
                log.note(&LogRecord::new(Level::Info, "accounts-reloaded"));
            }
            users.take_problem().map(|problem| problem.to_string())
        }
        Err(error) => Some(error.to_string()),
    };
    if let Some(problem) = problem {
        let record = LogRecord::new(Level::Error, "accounts-reload-failed");
        log.note(&record.text("reason", problem));
    }
}

/// Ends sessions of expired accounts when no transfer is running. The engine does so itself at the
/// time that was known at the login; this handles later changes.
fn end_quietly(handle: &Handle, over: &BTreeSet<String>) {
    if over.is_empty() {
        return;
    }
    for view in handle.views() {
        if view.user.as_ref().is_some_and(|user| over.contains(user)) {
            handle.end_session(view.number, EndWhen::AfterTransfer, TIME_IS_OVER);
        }
    }
}

/// Whether a name is that of the anonymous user, which is not in the store.
fn is_anonymous(user: &str) -> bool {
    ANONYMOUS_NAMES.iter().any(|name| name.eq_ignore_ascii_case(user))
}

async fn poll_database(users: &SqlUsers, handle: &Handle, log: &Log) {
    let views = handle.views();
    let online: BTreeSet<String> = views.into_iter().filter_map(|view| view.user).collect();
    let online: Vec<String> = online.into_iter().filter(|user| !is_anonymous(user)).collect();
    // An unreachable database ends no sessions; the outage is reported once below.
    if let Ok(ended) = users.ended(&online).await {
        for user in &ended {
            handle.end_sessions_of(user, ENDED);
        }
    }
    for event in users.take_events() {
        log.note(&match event {
            StoreEvent::Lost(reason) => {
                LogRecord::new(Level::Error, "account-database-unavailable").text("reason", reason)
            }
            StoreEvent::Back => LogRecord::new(Level::Info, "account-database-recovered"),
        });
    }
}
