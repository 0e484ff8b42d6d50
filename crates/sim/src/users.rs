//! Accounts with plain passwords: a list of names and passwords.

use std::fmt;

use wharf_core::account::Account;
use wharf_core::async_trait;
use wharf_core::users::{Attempt, Denied, Users};

/// A list of accounts with their passwords. An anonymous account accepts any password.
#[derive(Clone, Default)]
pub struct FixedUsers(Vec<(Account, String)>);

impl fmt::Debug for FixedUsers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = self.0.iter().map(|(account, secret)| (&account.name, secret, &account.limits));
        out.debug_list().entries(facts).finish()
    }
}

impl FixedUsers {
    /// Adds an account, replacing one of the same name.
    pub fn add(&mut self, account: Account, secret: &str) {
        self.0.retain(|(known, _)| known.name != account.name);
        self.0.push((account, secret.to_owned()));
    }

    /// Removes the account of this name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known.name != name);
    }

    fn find(&self, user: &str) -> Option<&(Account, String)> {
        self.0.iter().find(|(account, _)| account.name == user)
    }
}

#[async_trait]
impl Users for FixedUsers {
    async fn login(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        let Some((account, secret)) = self.find(attempt.user) else {
            return Err(Denied::UnknownUser);
        };
        if !account.is_anonymous && secret.as_bytes() != attempt.secret {
            return Err(Denied::WrongPassword);
        }
        Ok(account.clone())
    }

    fn is_anonymous(&self, user: &str) -> bool {
        self.find(user).is_some_and(|(account, _)| account.is_anonymous)
    }
}
