//! The administrator of a simulated server: reloads, ended sessions, shutdown.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use wharf_core::account::{Account, AccountLimits, Count, Rate};
use wharf_core::permission::{Permissions, Rules};
use wharf_load::Random;
use wharf_server::Handle;
use wharf_server::settings::{SessionReuse, Settings, Tls, TlsRequire, TlsVersion};

use crate::faults::Faults;
use crate::oracle::Oracle;
use crate::stream::next_certificate;
use crate::users::FixedUsers;

/// The accounts and their passwords.
pub(crate) const ACCOUNTS: &[(&str, &str)] = &[("anna", "secret"), ("ben", "geheim")];

/// All accounts.
pub(crate) fn users() -> FixedUsers {
    let mut users = FixedUsers::default();
    for (name, secret) in ACCOUNTS {
        let rules = Rules::everywhere(Permissions::ALL);
        users.add(Account::new(*name, "/", rules), secret);
    }
    users
}

/// What a reload needs.
#[derive(Clone)]
pub(crate) struct Reloads {
    settings: Settings,
    stores: Arc<Faults>,
}

impl Reloads {
    pub(crate) fn new(settings: Settings, stores: Arc<Faults>) -> Self {
        Self { settings, stores }
    }

    /// Changes limits, TLS and accounts, in the middle of everything.
    fn reload(&self, handle: &Handle, rng: &mut Random, oracle: &Oracle) {
        let mut settings = self.settings.clone();
        let limits = &mut settings.limits;
        (limits.upload_rate, limits.download_rate) = (rate(rng), rate(rng));
        (limits.user_upload_rate, limits.transfer_download_rate) = (rate(rng), rate(rng));
        if rng.chance(1, 8) {
            limits.connections = Count::from_number(u32::from(rng.chance(1, 2)) + 1);
        }
        let tls = settings.tls.take().and_then(|tls| changed(tls, rng));
        settings.tls = tls;
        let users = changed_users(rng);
        let tls = settings.tls.as_ref().map(|tls| (tls.session_reuse, tls.min_version));
        oracle.log_line("admin", &format!("reload: {:?}, {tls:?}", settings.limits));
        oracle.log_line("admin", &format!("accounts: {users:?}"));
        self.adopt(handle, settings, users, oracle);
    }

    /// Puts the first configuration in force again.
    pub(crate) fn restore(&self, handle: &Handle, oracle: &Oracle) {
        self.adopt(handle, self.settings.clone(), users(), oracle);
    }

    fn adopt(&self, handle: &Handle, settings: Settings, users: FixedUsers, oracle: &Oracle) {
        let (users, stores) = (Arc::new(users), Arc::clone(&self.stores));
        if handle.adopt(settings, users, stores).is_err() {
            oracle.report_violation("a reload fails".into());
        }
    }
}

fn rate(rng: &mut Random) -> Rate {
    match rng.below(3) {
        0 => Rate::Unlimited,
        _ => Rate::from_bytes_per_second(rng.between(20_000, 500_000)),
    }
}

/// Other settings of TLS; sometimes none.
fn changed(mut tls: Tls, rng: &mut Random) -> Option<Tls> {
    match rng.below(8) {
        0 => return None,
        1 => tls.session_reuse = SessionReuse::Off,
        2 => tls.session_reuse = SessionReuse::Require,
        3 => tls.certificate = next_certificate(),
        4 => tls.min_version = TlsVersion::V1_3,
        5 => tls.require = TlsRequire::Login,
        _ => {}
    }
    Some(tls)
}

/// The accounts: another password, one missing, or one with its own limits.
fn changed_users(rng: &mut Random) -> FixedUsers {
    let mut users = users();
    let (name, secret) = *rng.pick(ACCOUNTS);
    let mut account = Account::new(name, "/", Rules::everywhere(Permissions::ALL));
    match rng.below(8) {
        0 => users.remove(name),
        1 => users.add(account, "other"),
        2 => {
            account.limits = limits(rng);
            users.add(account, secret);
        }
        _ => {}
    }
    users
}

fn limits(rng: &mut Random) -> AccountLimits {
    AccountLimits {
        upload_rate: Some(rate(rng)),
        transfer_download_rate: Some(rate(rng)),
        sessions: rng.chance(1, 4).then(|| Count::from_number(1)),
        ..AccountLimits::default()
    }
}

/// An administrator changes limits, ends sessions, and sometimes shuts the server down; returns
/// whether it did.
pub(crate) async fn administer(
    mut rng: Random,
    handle: Handle,
    oracle: Oracle,
    reloads: Reloads,
) -> bool {
    let mut is_stopped = false;
    for _ in 0..rng.between(1, 6) {
        // Often shortly after each other, since many transfers are short.
        let most = if rng.chance(1, 2) { 500 } else { 60_000 };
        sleep(Duration::from_millis(rng.between(10, most))).await;
        if rng.chance(1, 2) {
            reloads.reload(&handle, &mut rng, &oracle);
        } else if rng.chance(1, 4) {
            let limits = limits(&mut rng);
            oracle.log_line("admin", &format!("limits of accounts: {limits:?}"));
            handle.renew_limits(|_| Some(limits.clone()));
        } else if rng.chance(1, 3) {
            let grace = Duration::from_millis(rng.below(8000));
            oracle.log_line("admin", &format!("shut down, grace {grace:?}"));
            oracle.stop();
            handle.shut_down(grace);
            is_stopped = true;
        } else {
            let (user, _) = *rng.pick(ACCOUNTS);
            oracle.log_line("admin", &format!("end sessions of {user}"));
            handle.end_sessions_of(user, "The administrator ended the session.");
        }
    }
    is_stopped
}
