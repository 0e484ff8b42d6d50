//! Stores that need no file: one account, or none.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use wharf_core::account::Account;
use wharf_core::async_trait;
use wharf_core::users::{Attempt, Denied, Users};

/// One account with a password that exists as long as the process: the quick share.
///
/// Only a digest of the password is stored; digests are compared in constant time, so that not even
/// the length of the password leaks.
pub struct Single {
    account: Account,
    digest: Option<[u8; 32]>,
}

impl Single {
    /// The account with this password. With an empty password every login is rejected.
    pub fn new(account: Account, password: &[u8]) -> Self {
        let digest = (!password.is_empty()).then(|| Sha256::digest(password).into());
        Self { account, digest }
    }
}

/// The password's digest is left out.
impl fmt::Debug for Single {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Single").field("account", &self.account).finish_non_exhaustive()
    }
}

#[async_trait]
impl Users for Single {
    async fn login(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        let found = Sha256::digest(attempt.secret);
        let is_right = bool::from(found.ct_eq(self.digest.as_ref().unwrap_or(&[0; 32])));
        if attempt.user != self.account.name {
            return Err(Denied::UnknownUser);
        }
        if self.digest.is_none() {
            return Err(Denied::NoPassword);
        }
        if is_right { Ok(self.account.clone()) } else { Err(Denied::WrongPassword) }
    }
}

/// No account at all: for a server with anonymous users only.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoUsers;

#[async_trait]
impl Users for NoUsers {
    async fn login(&self, _: &Attempt<'_>) -> Result<Account, Denied> {
        Err(Denied::UnknownUser)
    }
}
