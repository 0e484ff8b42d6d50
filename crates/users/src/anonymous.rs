//! Logins that need no password.

use std::path::PathBuf;
use std::sync::Arc;

use wharf_core::account::{Account, AccountLimits};
use wharf_core::async_trait;
use wharf_core::permission::{Permissions, Rules};
use wharf_core::users::{AccountStatus, Attempt, Denied, Users};

/// The names that need no password, in any case: `ftp` is what many clients send (RFC 1635).
pub const ANONYMOUS_NAMES: [&str; 2] = ["anonymous", "ftp"];

/// A store of accounts, extended by an anonymous account.
///
/// `anonymous` and `ftp` log in with any password, or an empty one, even if the inner store has
/// accounts of these names; all other names are passed to the inner store.
#[derive(Debug)]
pub struct WithAnonymous<U: ?Sized> {
    account: Account,
    inner: Arc<U>,
}

impl<U: Users + ?Sized> WithAnonymous<U> {
    /// Allows anonymous logins to `home` with these permissions.
    pub fn new(inner: Arc<U>, home: impl Into<PathBuf>, permissions: Permissions) -> Self {
        let [name, _] = ANONYMOUS_NAMES;
        let mut account = Account::new(name, home, Rules::everywhere(permissions));
        account.is_anonymous = true;
        Self { account, inner }
    }

    /// What all anonymous sessions share.
    #[must_use]
    pub fn with_limits(mut self, limits: AccountLimits) -> Self {
        self.account.limits = limits;
        self
    }

    /// The account that all anonymous users share.
    pub fn account(&self) -> &Account {
        &self.account
    }
}

#[async_trait]
impl<U: Users + ?Sized> Users for WithAnonymous<U> {
    async fn login(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        if self.is_anonymous(attempt.user) {
            return Ok(self.account.clone());
        }
        self.inner.login(attempt).await
    }

    async fn login_again(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        if self.is_anonymous(attempt.user) {
            return Ok(self.account.clone());
        }
        self.inner.login_again(attempt).await
    }

    async fn account_status(&self, attempt: &Attempt<'_>) -> Result<AccountStatus, Denied> {
        if self.is_anonymous(attempt.user) {
            return Ok(AccountStatus::Known {
                account: Box::new(self.account.clone()),
                has_password: true,
            });
        }
        self.inner.account_status(attempt).await
    }

    fn is_anonymous(&self, user: &str) -> bool {
        ANONYMOUS_NAMES.iter().any(|name| name.eq_ignore_ascii_case(user))
    }
}
