//! Who is asked about a login, in which order, and what becomes of the answers.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wharf_core::account::{Account, is_name};
use wharf_core::async_trait;
use wharf_core::users::{AccountStatus, Attempt, Denied, Users};

use crate::outage::Outages;
use crate::source::{Proven, Source, Stopped, Verdict};
use crate::template::Template;

/// Failed logins are answered on this beat, counted from their beginning. How long a directory or a
/// hash takes differs from name to name, and would tell which names exist.
const BEAT: Duration = Duration::from_millis(250);

/// One who is asked.
#[derive(Clone)]
pub enum Step {
    /// The store of accounts itself, for those whose passwords it has.
    Store,
    /// Somebody else.
    Source(Arc<dyn Source>),
}

/// A store of accounts whose passwords others may prove.
///
/// The steps are asked in order, and the first that knows the name decides: a wrong password there
/// is wrong. A source that is down is passed over; when nobody after it knows the name, the login
/// is `Broken` and nobody's fault. Whoever proves a password, the account is that of the store if
/// it has one of that name, with all its rules; else it is made of what the source says and the
/// template.
pub struct Logins {
    store: Arc<dyn Users>,
    steps: Vec<Step>,
    template: Template,
    outages: Arc<Outages>,
}

impl Logins {
    /// Asks `steps` for the accounts of `store`, and tells `outages` of those that are down.
    pub fn new(
        store: Arc<dyn Users>,
        steps: Vec<Step>,
        template: Template,
        outages: Arc<Outages>,
    ) -> Self {
        Self { store, steps, template, outages }
    }

    /// `is_again`: the sources were asked already about these bytes.
    async fn decide(&self, attempt: &Attempt<'_>, is_again: bool) -> Result<Account, Denied> {
        if !is_name(attempt.user) {
            return Err(Denied::UnknownUser);
        }
        let account_status = self.store.account_status(attempt).await?;
        let mut broken = None;
        for step in &self.steps {
            let source = match step {
                Step::Source(_) if is_again => continue,
                Step::Source(source) => source,
                Step::Store if has_password(&account_status) => {
                    return self.store.login(attempt).await;
                }
                Step::Store => continue,
            };
            match source.prove(attempt).await {
                Ok(verdict) => {
                    self.outages.answered(source.name());
                    match verdict {
                        Verdict::Proven(_) if attempt.secret.is_empty() => {
                            return Err(Denied::WrongPassword);
                        }
                        Verdict::Proven(proven) => {
                            return self.account(attempt, *proven).await;
                        }
                        Verdict::Unknown => {}
                        Verdict::Denied(denied) => return Err(denied),
                    }
                }
                Err(Stopped::Busy) => return Err(Denied::Busy),
                Err(Stopped::Broken(why)) => {
                    let sentence = format!("{}: {why}", source.name());
                    self.outages.failed(source.name(), &why);
                    broken.get_or_insert(sentence);
                }
            }
        }
        if let Some(why) = broken {
            return Err(Denied::Broken(why.into()));
        }
        self.nobodys(attempt, &account_status).await
    }

    /// Nobody knows the password of this name. The store does what it does for unknown names,
    /// which costs it a hash.
    async fn nobodys(
        &self,
        attempt: &Attempt<'_>,
        account_status: &AccountStatus,
    ) -> Result<Account, Denied> {
        if matches!(account_status, AccountStatus::Known { .. }) {
            return Err(Denied::NoPassword);
        }
        let has_store = self.steps.iter().any(|step| matches!(step, Step::Store));
        if has_store {
            return self.store.login(attempt).await;
        }
        Err(Denied::UnknownUser)
    }

    async fn account(&self, attempt: &Attempt<'_>, mut proven: Proven) -> Result<Account, Denied> {
        let name = proven.name.take().unwrap_or_else(|| attempt.user.to_owned());
        // Asked again: the proof may have taken seconds in which the account was switched off, and
        // one must not be had under a second spelling, with its rules left behind.
        let account_status =
            self.store.account_status(&Attempt { user: &name, ..*attempt }).await?;
        if let AccountStatus::Known { account, .. } = account_status {
            return Ok(*account);
        }
        let account = self.template.account(&name, proven).await?;
        if account.requires_tls && !attempt.is_tls {
            return Err(Denied::Refused("the account must use TLS".to_owned()));
        }
        Ok(account)
    }
}

#[async_trait]
impl Users for Logins {
    async fn login(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        on_the_beat(self.decide(attempt, false)).await
    }

    async fn login_again(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        on_the_beat(self.decide(attempt, true)).await
    }

    async fn account_status(&self, attempt: &Attempt<'_>) -> Result<AccountStatus, Denied> {
        self.store.account_status(attempt).await
    }

    fn is_anonymous(&self, user: &str) -> bool {
        self.store.is_anonymous(user)
    }
}

/// What `decided` says, if it says no not before the next beat.
async fn on_the_beat(
    decided: impl Future<Output = Result<Account, Denied>>,
) -> Result<Account, Denied> {
    let began = Instant::now();
    let answer = decided.await;
    if answer.is_err() {
        sleep_until(next_beat(began, Instant::now())).await;
    }
    answer
}

fn has_password(account_status: &AccountStatus) -> bool {
    matches!(account_status, AccountStatus::Known { has_password: true, .. })
}

/// The first beat from `now` on.
fn next_beat(began: Instant, now: Instant) -> Instant {
    let beat = BEAT.as_millis();
    let beats = now.duration_since(began).as_millis() / beat + 1;
    let millis = u64::try_from(beats * beat).unwrap_or(u64::MAX);
    began + Duration::from_millis(millis)
}

#[cfg(test)]
mod tests;
