//! Whose sessions must end because of what became of their accounts; and whether the store of
//! accounts is still there.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use wharf_accounts_sql::{News, SqlUsers};
use wharf_server::{EndWhen, Handle};
use wharf_users::anonymous::ANONYMOUS_NAMES;
use wharf_users::file::FileUsers;

use crate::accounts::WatchedStore;
use crate::log::Log;
use crate::log::record::{Level, Record};
use crate::logins::Sources;

/// How often the store of accounts is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What clients are told whose account is gone or disabled.
const ENDED: &str = "This account may no longer log in.";
/// What clients are told whose account has ended, or its hours have.
const TIME_IS_OVER: &str = "The time of this account is over.";

/// The store of accounts, and those who prove passwords beside it.
pub(super) type Watching = (Option<WatchedStore>, Option<Arc<Sources>>);

/// Looks at the store of accounts, and ends the sessions of accounts that are gone or disabled.
/// Never returns.
pub(super) async fn watch((watched, sources): Watching, handle: &Handle, log: &Log) {
    if watched.is_none() && sources.is_none() {
        return pending().await;
    }
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for record in sources.iter().flat_map(|sources| sources.records()) {
            log.note(&record);
        }
        match &watched {
            Some(WatchedStore::File(users)) => look_at_file(users, handle, log).await,
            Some(WatchedStore::Database(users)) => look_at_database(users, handle, log).await,
            None => {}
        }
    }
}

async fn look_at_file(users: &FileUsers, handle: &Handle, log: &Log) {
    let problem = match users.refresh().await {
        Ok(changes) => {
            for user in &changes.ended {
                handle.end_sessions_of(user, ENDED);
            }
            end_quietly(handle, &changes.over);
            if changes.is_reread {
                handle.renew_limits(|user| users.limits(user));
                log.note(&Record::new(Level::Info, "accounts-read"));
            }
            users.take_problem().map(|problem| problem.to_string())
        }
        Err(error) => Some(error.to_string()),
    };
    if let Some(problem) = problem {
        let record = Record::new(Level::Error, "accounts-unusable");
        log.note(&record.text("reason", problem));
    }
}

/// Ends the sessions of accounts whose time is over, each when no transfer runs in it. The engine
/// does so by itself at the time that was known at the login; this is for one that has changed.
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

/// Whether a name is the anonymous visitor's, who is in no store.
fn is_visitor(user: &str) -> bool {
    ANONYMOUS_NAMES.iter().any(|name| name.eq_ignore_ascii_case(user))
}

async fn look_at_database(users: &SqlUsers, handle: &Handle, log: &Log) {
    let views = handle.views();
    let online: BTreeSet<String> = views.into_iter().filter_map(|view| view.user).collect();
    let online: Vec<String> = online.into_iter().filter(|user| !is_visitor(user)).collect();
    // A database that is gone ends nobody; the news below tell of it, once.
    if let Ok(ended) = users.ended(&online).await {
        for user in &ended {
            handle.end_sessions_of(user, ENDED);
        }
    }
    for news in users.take_news() {
        log.note(&match news {
            News::Lost(reason) => {
                Record::new(Level::Error, "accounts-unreachable").text("reason", reason)
            }
            News::Back => Record::new(Level::Info, "accounts-back"),
        });
    }
}
