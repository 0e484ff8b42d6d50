//! What is done again and again beside serving: measuring, looking at files, proving life.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use wharf_server::Handle;
use wharf_users::file::FileUsers;

use crate::log::Log;
use crate::log::record::{Level, Record};
use crate::logins::Sources;
use crate::os::{Announced, announce, proof_of_life_every};

/// How often the file of accounts is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the speed of transfers is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// Measures how fast transfers are, for those who look. Never returns.
pub(super) async fn measure(handle: &Handle) {
    let mut ticks = interval(MEASURE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        handle.measure();
    }
}

/// Tells the manager of services now and then that nothing hangs, where it wants to hear it. Never
/// returns.
pub(super) async fn prove_life() {
    let Some(every) = proof_of_life_every() else { return pending().await };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        announce(Announced::Alive);
    }
}

/// Whose changes are looked for while serving.
pub(super) struct Watching {
    pub(super) users: Option<FileUsers>,
    pub(super) sources: Option<Arc<Sources>>,
}

/// Looks at the file of accounts, and ends the sessions of accounts that are gone or disabled.
/// Never returns.
pub(super) async fn watch(watching: Watching, handle: &Handle, log: &Log) {
    let Watching { users, sources } = watching;
    if users.is_none() && sources.is_none() {
        return pending().await;
    }
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for record in sources.iter().flat_map(|sources| sources.records()) {
            log.note(&record);
        }
        if let Some(users) = &users {
            look(users, handle, log).await;
        }
    }
}

async fn look(users: &FileUsers, handle: &Handle, log: &Log) {
    let problem = match users.refresh().await {
        Ok(changes) => {
            for user in &changes.ended {
                handle.end_sessions_of(user, "This account may no longer log in.");
            }
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
