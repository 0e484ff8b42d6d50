//! The order of authentication backends, and the handling of their results.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::debug;
use wharf_core::account::{Account, is_name};
use wharf_core::async_trait;
use wharf_core::users::{AccountStatus, Attempt, Denied, Users};

use crate::outage::Outages;
use crate::source::{AuthBackend, AuthOutcome, AuthUnavailable, ExternalAccount};
use crate::template::AccountTemplate;

/// Failed logins are answered at multiples of this interval. The time of a directory or a hash
/// differs between names, and would reveal which names exist.
const FAILURE_INTERVAL: Duration = Duration::from_millis(250);

/// One step of authentication.
#[derive(Clone)]
pub enum LoginStep {
    /// The store of accounts itself, for accounts that have a password there.
    Store,
    /// An external backend.
    External(Arc<dyn AuthBackend>),
}

/// A store of accounts with additional authentication backends.
///
/// The steps are tried in order, and the first that has the name decides: a wrong password there
/// ends the login. An unavailable backend is skipped; if no later step has the name, the login
/// fails with `Broken`, which does not count as a failed attempt. After authentication by a
/// backend, an account of that name in the store is used with all its rules; otherwise the account
/// is built from the backend's result and the template.
pub struct LoginChain {
    store: Arc<dyn Users>,
    steps: Vec<LoginStep>,
    template: AccountTemplate,
    outages: Arc<Outages>,
}

impl LoginChain {
    /// Tries `steps` for the accounts of `store`, and reports unavailable backends to `outages`.
    pub fn new(
        store: Arc<dyn Users>,
        steps: Vec<LoginStep>,
        template: AccountTemplate,
        outages: Arc<Outages>,
    ) -> Self {
        Self { store, steps, template, outages }
    }

    /// `is_again`: the backends were already queried for the same password bytes.
    async fn decide(&self, attempt: &Attempt<'_>, is_again: bool) -> Result<Account, Denied> {
        if !is_name(attempt.user) {
            return Err(Denied::UnknownUser);
        }
        let account_status = self.store.account_status(attempt).await?;
        let mut broken = None;
        for step in &self.steps {
            let source = match step {
                LoginStep::External(_) if is_again => continue,
                LoginStep::External(source) => source,
                LoginStep::Store if has_password(&account_status) => {
                    return self.store.login(attempt).await;
                }
                LoginStep::Store => continue,
            };
            let outcome = source.authenticate(attempt).await;
            debug!(
                backend = source.name(),
                attempted_user = attempt.user,
                ?outcome,
                "external authentication"
            );
            match outcome {
                Ok(verdict) => {
                    self.outages.answered(source.name());
                    match verdict {
                        AuthOutcome::Authenticated(_) if attempt.secret.is_empty() => {
                            return Err(Denied::WrongPassword);
                        }
                        AuthOutcome::Authenticated(external) => {
                            return self.account(attempt, *external).await;
                        }
                        AuthOutcome::Unknown => {}
                        AuthOutcome::Denied(denied) => return Err(denied),
                    }
                }
                Err(AuthUnavailable::Busy) => return Err(Denied::Busy),
                Err(AuthUnavailable::Broken(why)) => {
                    let sentence = format!("{}: {why}", source.name());
                    self.outages.failed(source.name(), &why);
                    broken.get_or_insert(sentence);
                }
            }
        }
        if let Some(why) = broken {
            return Err(Denied::Broken(why.into()));
        }
        self.deny_unknown(attempt, &account_status).await
    }

    /// No step has a password for this name. The store handles it like an unknown name, which
    /// costs a hash.
    async fn deny_unknown(
        &self,
        attempt: &Attempt<'_>,
        account_status: &AccountStatus,
    ) -> Result<Account, Denied> {
        if matches!(account_status, AccountStatus::Known { .. }) {
            return Err(Denied::NoPassword);
        }
        let has_store = self.steps.iter().any(|step| matches!(step, LoginStep::Store));
        if has_store {
            return self.store.login(attempt).await;
        }
        Err(Denied::UnknownUser)
    }

    async fn account(
        &self,
        attempt: &Attempt<'_>,
        mut external: ExternalAccount,
    ) -> Result<Account, Denied> {
        let name = external.name.take().unwrap_or_else(|| attempt.user.to_owned());
        // Checked again: authentication may have taken seconds in which the account was disabled;
        // and the backend may spell the name differently, which must not bypass the rules of the
        // account.
        let account_status =
            self.store.account_status(&Attempt { user: &name, ..*attempt }).await?;
        if let AccountStatus::Known { account, .. } = account_status {
            return Ok(*account);
        }
        let account = self.template.account(&name, external).await?;
        if account.requires_tls && !attempt.is_tls {
            return Err(Denied::ByRule("the account requires TLS".to_owned()));
        }
        Ok(account)
    }
}

#[async_trait]
impl Users for LoginChain {
    async fn login(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        delay_failure(self.decide(attempt, false)).await
    }

    async fn login_again(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        delay_failure(self.decide(attempt, true)).await
    }

    async fn account_status(&self, attempt: &Attempt<'_>) -> Result<AccountStatus, Denied> {
        self.store.account_status(attempt).await
    }

    fn is_anonymous(&self, user: &str) -> bool {
        self.store.is_anonymous(user)
    }
}

/// The result of `decided`. A failure is delayed to the end of the current interval.
async fn delay_failure(
    decided: impl Future<Output = Result<Account, Denied>>,
) -> Result<Account, Denied> {
    let started = Instant::now();
    let answer = decided.await;
    if answer.is_err() {
        sleep_until(next_interval(started, Instant::now())).await;
    }
    answer
}

fn has_password(account_status: &AccountStatus) -> bool {
    matches!(account_status, AccountStatus::Known { has_password: true, .. })
}

/// The end of the current interval.
fn next_interval(started: Instant, now: Instant) -> Instant {
    let interval = FAILURE_INTERVAL.as_millis();
    let intervals = now.duration_since(started).as_millis() / interval + 1;
    let millis = u64::try_from(intervals * interval).unwrap_or(u64::MAX);
    started + Duration::from_millis(millis)
}

#[cfg(test)]
mod tests;
