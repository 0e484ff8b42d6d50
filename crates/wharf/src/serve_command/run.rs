//! Binding, serving, and stopping in good order.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle as Runtime;
use tokio::time::{MissedTickBehavior, interval, sleep};
use wharf_core::event::Events;
use wharf_server::settings::ListenTls;
use wharf_server::{BindError, Bound, Handle, Server};
use wharf_storage::{DiskOptions, Disks, sweep};
use wharf_users::file::FileUsers;

use super::workers::Workers;
use super::{Plan, outputs, tell_fresh_password};
use crate::cli::serve::Serve;
use crate::config::units::show_duration;
use crate::log::Log;
use crate::log::record::{Level, Record};
use crate::os::{
    Announced, PORT_REMEDY, Signals, Stop, announce, port_owner, proof_of_life_every,
    raise_file_limit,
};
use crate::outcome::{Exit, Failure, plain, tell};
use crate::panel::words::Words;
use crate::panel::{Address, Content, Encryption, Panel, addresses, own_addresses};
use crate::place;
use crate::wire::{self, Accounts};

/// How often the file of accounts is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Serves until it is told to stop.
pub(super) fn run(plan: &Plan, options: &Serve) -> Result<Exit, Failure> {
    raise_file_limit();
    let workers =
        Workers::start().map_err(|error| Failure::io("the system gives no threads", &error))?;
    let runtimes = workers.handles();
    workers.run(serve(plan, options, runtimes))
}

async fn serve(plan: &Plan, options: &Serve, runtimes: Vec<Runtime>) -> Result<Exit, Failure> {
    let config = &plan.loaded.config;
    let encryption = wire::encryption(config)?;
    let accounts = match &plan.share {
        Some(share) => wire::shared(share),
        None => wire::accounts(config, plan.is_coloured)?,
    };
    let tls = encryption.as_ref().map(|encryption| encryption.tls.clone());
    let settings = wire::settings(config, tls)?;
    let has_panel = outputs::has_panel(options);
    let log = Arc::new(outputs::log(&config.log, has_panel)?);
    let disk = wire::disk(config);
    // Before the first client: whoever stops us during the start stops us in good order too.
    let mut signals =
        Signals::new().map_err(|error| Failure::io("cannot listen for signals", &error))?;
    let stores = Arc::new(Disks::new(disk.clone()));
    let server = Server::new(settings, Arc::clone(&accounts.users), stores).runtimes(runtimes);
    let events: Arc<dyn Events> = log.clone();
    let bound = server.events(events).bind().await.map_err(bind_failure)?;

    for warning in encryption.iter().flat_map(|encryption| &encryption.warnings) {
        warn(&log, has_panel, warning);
    }
    warn_of_missing_homes(&log, has_panel, &accounts);
    if accounts.homes.is_empty() {
        let text = "there is no account yet; make one with:  wharf user add NAME --home DIR";
        warn(&log, has_panel, text);
    }
    let panel = panel(plan, options, &bound, &accounts, encryption.as_ref());
    let urls: Vec<_> =
        addresses(&panel.listeners, &panel.own_addresses).iter().map(Address::url).collect();
    if has_panel {
        tell(&panel.text());
    } else if let Some(share) = &plan.share {
        tell_fresh_password(share);
    }
    log.note(&Record::new(Level::Info, "ready").text("addresses", urls.join(" ")));
    announce(Announced::Ready);
    sweep_homes(accounts.homes, disk, Arc::clone(&log));
    let grace = config.server.shutdown_grace.0;
    let stopper = Stopper { log: &log, grace, has_panel };
    let exit = until_stopped(bound, &mut signals, &stopper, accounts.watched, options).await;
    log.note(&Record::new(Level::Info, "stopped"));
    log.flush();
    Ok(exit)
}

/// Serves; a first signal lets transfers finish, a second one ends everything at once.
async fn until_stopped(
    bound: Bound,
    signals: &mut Signals,
    stopper: &Stopper<'_>,
    watched: Option<FileUsers>,
    options: &Serve,
) -> Exit {
    let handle = bound.handle();
    let mut serving = Box::pin(bound.serve());
    let mut watching = Box::pin(watch(watched, &handle, stopper.log));
    let mut time = Box::pin(async {
        match options.stop_after {
            Some(time) => sleep(time).await,
            None => pending().await,
        }
    });
    let mut living = Box::pin(prove_life());
    let mut is_stopping = false;
    loop {
        tokio::select! {
            // A signal comes first: a second one must work however busy we are.
            biased;
            stop = signals.next() => {
                if is_stopping {
                    return if stop == Stop::Interrupt { Exit::Interrupted } else { Exit::Done };
                }
                is_stopping = true;
                stopper.stop(&handle, "signal");
            }
            () = &mut serving => return Exit::Done,
            () = &mut time, if !is_stopping => {
                is_stopping = true;
                stopper.stop(&handle, "time is up");
            }
            () = &mut watching => {}
            () = &mut living => {}
        }
    }
}

/// Tells the manager of services now and then that nothing hangs, where it wants to hear it. Never
/// returns.
async fn prove_life() {
    let Some(every) = proof_of_life_every() else { return pending().await };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        announce(Announced::Alive);
    }
}

/// What is needed to stop in good order.
struct Stopper<'a> {
    log: &'a Log,
    grace: Duration,
    has_panel: bool,
}

impl Stopper<'_> {
    /// Takes no more clients, lets transfers finish, and says so.
    fn stop(&self, handle: &Handle, reason: &str) {
        announce(Announced::Stopping);
        let sessions = u64::try_from(handle.sessions()).unwrap_or_default();
        let record = Record::new(Level::Info, "stopping").text("reason", reason);
        self.log.note(&record.number("sessions", sessions));
        if self.has_panel {
            tell(&if sessions == 0 {
                "\n  Stopped.\n".to_owned()
            } else {
                let grace = show_duration(self.grace);
                format!(
                    "\n  Stopping. Transfers under way may finish within {grace}; Ctrl+C ends \
                     them now.\n"
                )
            });
        }
        handle.shut_down(self.grace);
    }
}

/// Looks at the file of accounts, and ends the sessions of accounts that are gone or disabled.
/// Never returns.
async fn watch(users: Option<FileUsers>, handle: &Handle, log: &Log) {
    let Some(users) = users else { return pending().await };
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let problem = match users.refresh().await {
            Ok(changes) => {
                for user in &changes.ended {
                    handle.end_sessions_of(user, "This account may no longer log in.");
                }
                if changes.is_reread {
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
}

/// Removes uploads that nobody came back for, beside everything else: a large disk takes minutes.
fn sweep_homes(homes: Vec<(String, PathBuf)>, options: DiskOptions, log: Arc<Log>) {
    let mut folders: Vec<_> = homes.into_iter().map(|(_, home)| home).collect();
    folders.sort();
    folders.dedup();
    let swept = move || {
        for folder in folders {
            let shown = folder.display().to_string();
            match sweep(&folder, &options) {
                Ok(swept) if swept.removed > 0 => log.note(
                    &Record::new(Level::Info, "swept")
                        .text("folder", shown)
                        .number("removed", swept.removed)
                        .number("bytes", swept.bytes),
                ),
                Ok(_) => {}
                Err(error) => log.note(
                    &Record::new(Level::Warn, "sweep-failed")
                        .text("folder", shown)
                        .text("reason", plain(&error)),
                ),
            }
        }
    };
    // Without a thread nothing is swept this time; the next start tries again.
    let _ = std::thread::Builder::new().name("sweep".into()).spawn(swept);
}

fn warn(log: &Log, has_panel: bool, text: &str) {
    if has_panel {
        tell(&format!("warning: {text}\n"));
    } else {
        log.note(&Record::new(Level::Warn, "warning").text("reason", text));
    }
}

fn warn_of_missing_homes(log: &Log, has_panel: bool, accounts: &Accounts) {
    for (name, home) in &accounts.homes {
        if !home.is_dir() {
            let text = format!("{name} cannot log in: there is no folder {}", home.display());
            warn(log, has_panel, &text);
        }
    }
}

fn panel(
    plan: &Plan,
    options: &Serve,
    bound: &Bound,
    accounts: &Accounts,
    encryption: Option<&wire::Encryption>,
) -> Panel {
    let config = &plan.loaded.config;
    let listeners: Vec<(SocketAddr, ListenTls)> =
        bound.listeners().iter().map(|listener| (listener.address, listener.tls)).collect();
    let content = match &plan.share {
        Some(share) => Content::Share(share.clone()),
        None => Content::Accounts {
            config: plan.file.clone(),
            users_file: config.server.users_file.0.clone(),
            accounts: accounts.count,
            anonymous: config.login.anonymous_home.0.clone().filter(|_| config.login.anonymous),
        },
    };
    Panel {
        words: Words::of_locale(&place::language()),
        content,
        listeners,
        own_addresses: own_addresses(),
        encryption: encryption.map(|encryption| Encryption {
            fingerprint: encryption.tls.certificate.fingerprint(),
            is_self_made: encryption.is_self_made,
            require: config.tls.require,
        }),
        ports: config.passive.ports.0.clone(),
        upload: config.limits.upload_rate,
        download: config.limits.download_rate,
        stop_after: options.stop_after,
    }
}

/// Why it cannot listen, and what would help.
fn bind_failure(error: BindError) -> Failure {
    let BindError::Address { address, source } = error else {
        return Failure::new(error.to_string());
    };
    let port = address.port();
    // Any free port would do; 2121 is the one that everybody uses next.
    let other = if port == 2121 { 2122 } else { 2121 };
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            let owner = port_owner(port).map(|owner| format!(" by {owner}"));
            Failure::new(format!("port {port} is in use{}", owner.unwrap_or_default()))
                .help(format!("choose another with -p {other}"))
        }
        io::ErrorKind::PermissionDenied => {
            let failure = Failure::new(format!("the system does not permit port {port}"));
            let failure = Failure { exit: Exit::Forbidden, ..failure };
            failure.help(format!("choose another with -p {other}, or {PORT_REMEDY}"))
        }
        io::ErrorKind::AddrNotAvailable => {
            let own: Vec<_> = own_addresses().iter().map(ToString::to_string).collect();
            Failure::new(format!("this computer has no address {}", address.ip()))
                .help(format!("it has {}", own.join(", ")))
        }
        _ => Failure::io(format!("cannot listen on {address}"), &source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: io::ErrorKind, address: &str) -> (Exit, String, String) {
        let address = address.parse().unwrap();
        let failure = bind_failure(BindError::Address { address, source: kind.into() });
        (failure.exit, failure.message, failure.help.unwrap_or_default())
    }

    #[test]
    fn a_port_that_is_in_use_is_told_with_its_owner() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (exit, message, help) = told(io::ErrorKind::AddrInUse, &address);
        assert_eq!(exit, Exit::Failed);
        assert!(message.contains("is in use by pid ") || !cfg!(target_os = "linux"), "{message}");
        assert_eq!(help, "choose another with -p 2121");
    }

    #[test]
    fn each_reason_for_not_listening_has_its_remedy() {
        let (exit, _, help) = told(io::ErrorKind::PermissionDenied, "[::]:21");
        assert_eq!(exit, Exit::Forbidden);
        assert!(help.starts_with("choose another with -p 2121, or "), "{help}");
        assert!(help.contains("setcap") || !cfg!(target_os = "linux"), "{help}");
        let (_, message, help) = told(io::ErrorKind::AddrNotAvailable, "192.0.2.1:21");
        assert_eq!(message, "this computer has no address 192.0.2.1");
        assert!(help.contains("127.0.0.1"), "{help}");
    }
}
