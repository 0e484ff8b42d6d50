//! One login at one server, over one connection.

use std::path::PathBuf;

use ldap3::{Ldap as Client, LdapConnAsync, LdapError, LdapResult, Scope, SearchEntry};
use ldap3::{SearchOptions, SearchResult};
use wharf_core::account::is_name;
use wharf_core::users::{Attempt, Denied};
use wharf_users::permissions::parse_permissions;
use wharf_users::units::parse_quota;

use super::super::EntryLookup;
use super::escape::{dn, dummy_dn, filter, membership};
use super::{Ldap, LdapSettings, ServerReply};
use crate::endpoint::Endpoint;
use crate::source::{AuthOutcome, ExternalAccount};

/// Result codes of RFC 4511, Appendix A.
const SUCCESS: u32 = 0;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
const NO_SUCH_OBJECT: u32 = 32;
const INAPPROPRIATE_AUTHENTICATION: u32 = 48;
const INVALID_CREDENTIALS: u32 = 49;
const INSUFFICIENT_ACCESS: u32 = 50;
const BUSY: u32 = 51;
const UNAVAILABLE: u32 = 52;
const UNWILLING: u32 = 53;
const CONSTRAINT_VIOLATION: u32 = 19;

/// More than one entry of a name is an error, so two are enough to know.
const ENTRIES_MAX: i32 = 2;
/// The attribute list that requests none (RFC 4511 §4.5.1.8).
const NO_ATTRIBUTES: &str = "1.1";

/// Why one server gave no verdict.
pub(super) enum QueryError {
    /// A failure of the connection or the server.
    Connection(LdapError),
    /// A result code that is about the request.
    Code(&'static str, LdapResult),
}

impl From<LdapError> for QueryError {
    fn from(error: LdapError) -> Self {
        Self::Connection(error)
    }
}

impl From<QueryError> for ServerReply {
    fn from(failed: QueryError) -> Self {
        match failed {
            QueryError::Connection(error) => Self::NoAnswer(sentence(&error)),
            QueryError::Code(what, result) => {
                let why = format!("{what}: {}", describe(&result));
                match result.rc {
                    BUSY | UNAVAILABLE => Self::NoAnswer(why),
                    _ => Self::Error(why),
                }
            }
        }
    }
}

impl Ldap {
    pub(super) async fn try_server(
        &self,
        server: &Endpoint,
        attempt: &Attempt<'_>,
        secret: &str,
    ) -> ServerReply {
        let url = server.to_string();
        let connected = LdapConnAsync::with_settings(self.connection(server), &url).await;
        let (connection, client) = match connected {
            Ok(connected) => connected,
            Err(error) => return QueryError::from(error).into(),
        };
        let login = LdapLogin { settings: &self.settings, client, user: attempt.user, secret };
        // The result first: after it, the end of the connection does not matter.
        tokio::select! {
            biased;
            outcome = login.outcome() => {
                outcome.map_or_else(ServerReply::from, ServerReply::Outcome)
            }
            ended = connection.drive() => match ended {
                Ok(()) => ServerReply::NoAnswer("the server closed the connection".to_owned()),
                Err(error) => QueryError::from(error).into(),
            },
        }
    }
}

/// One login on one connection.
struct LdapLogin<'a> {
    settings: &'a LdapSettings,
    client: Client,
    user: &'a str,
    secret: &'a str,
}

impl<'a> LdapLogin<'a> {
    async fn outcome(mut self) -> Result<AuthOutcome, QueryError> {
        let outcome = match &self.settings.lookup {
            EntryLookup::Search { binder, base, filter: template } => {
                if let Some((dn, password)) = binder {
                    let bound = self.client.simple_bind(dn, password.text()).await?;
                    succeeded("cannot bind as accounts.ldap.bind_dn", bound)?;
                }
                self.by_search(base, &filter(template, self.user)).await
            }
            EntryLookup::Template(template) => self.by_template(&dn(template, self.user)).await,
        };
        // A clean unbind; a failure does not matter.
        let _ = self.client.unbind().await;
        outcome
    }

    async fn by_search(&mut self, base: &str, filter: &str) -> Result<AuthOutcome, QueryError> {
        let found = self.find(base, Scope::Subtree, filter, self.attributes()).await?;
        let mut entries = match found {
            SearchOutcome::Entries(entries) => entries,
            SearchOutcome::TooMany => return Ok(ambiguous()),
            SearchOutcome::NoBase(result) => {
                return Err(QueryError::Code("accounts.ldap.base does not exist", result));
            }
        };
        let Some(entry) = entries.pop() else {
            // An unknown name takes as many requests as a known one.
            if !self.secret.is_empty() {
                let _ = self.client.simple_bind(&dummy_dn(base), self.secret).await?;
            }
            return Ok(AuthOutcome::Unknown);
        };
        if !entries.is_empty() {
            return Ok(ambiguous());
        }
        // The group may be readable only with the search account.
        let is_member = self.is_member(&entry.dn).await?;
        Ok(match self.bind(&entry.dn).await? {
            Some(denied) => of_account(denied, self.settings, self.user, &entry),
            None if !is_member => not_in_group(),
            None => account_of(self.settings, self.user, &entry),
        })
    }

    async fn by_template(&mut self, dn: &str) -> Result<AuthOutcome, QueryError> {
        match self.bind(dn).await? {
            // A directory does not distinguish a missing entry from a wrong password, so this
            // backend cannot return that the name is unknown.
            Some(denied) => return Ok(denied),
            None if !self.is_member(dn).await? => return Ok(not_in_group()),
            None => {}
        }
        let everything = "(objectClass=*)";
        let found = self.find(dn, Scope::Base, everything, self.attributes()).await?;
        Ok(match found {
            SearchOutcome::Entries(mut entries) => match entries.pop() {
                Some(entry) => account_of(self.settings, self.user, &entry),
                // It may not even read itself.
                None => AuthOutcome::accepted(),
            },
            SearchOutcome::TooMany => ambiguous(),
            SearchOutcome::NoBase(_) => AuthOutcome::accepted(),
        })
    }

    /// Binds to the entry; returns the outcome if the bind is rejected.
    async fn bind(&mut self, dn: &str) -> Result<Option<AuthOutcome>, QueryError> {
        // A bind without a password, or to an empty DN, succeeds as anonymous (RFC 4513 §5.1.2).
        if self.secret.is_empty() || dn.is_empty() {
            return Ok(Some(AuthOutcome::wrong()));
        }
        let result = self.client.simple_bind(dn, self.secret).await?;
        Ok(match result.rc {
            SUCCESS => None,
            INVALID_CREDENTIALS | NO_SUCH_OBJECT => Some(AuthOutcome::wrong()),
            INAPPROPRIATE_AUTHENTICATION => Some(AuthOutcome::Denied(Denied::NoPassword)),
            UNWILLING | CONSTRAINT_VIOLATION | INSUFFICIENT_ACCESS => Some(AuthOutcome::rejected(
                format!("the directory rejected the bind: {}", describe(&result)),
            )),
            _ => return Err(QueryError::Code("cannot verify the password", result)),
        })
    }

    async fn is_member(&mut self, dn: &str) -> Result<bool, QueryError> {
        let Some(group) = &self.settings.group else { return Ok(true) };
        let filter = membership(self.user, dn);
        match self.find(group, Scope::Base, &filter, vec![NO_ATTRIBUTES]).await? {
            SearchOutcome::Entries(entries) => Ok(!entries.is_empty()),
            SearchOutcome::TooMany => Ok(true),
            SearchOutcome::NoBase(result) => {
                Err(QueryError::Code("accounts.ldap.group does not exist", result))
            }
        }
    }

    /// The attributes worth asking for.
    fn attributes(&self) -> Vec<&'a str> {
        let settings = self.settings;
        let known = &settings.attributes;
        let names = [&settings.name_attribute, &known.home, &known.permissions, &known.quota];
        let names: Vec<&'a str> =
            names.into_iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        // An empty list would ask for all of them.
        if names.is_empty() { vec![NO_ATTRIBUTES] } else { names }
    }

    async fn find(
        &mut self,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: Vec<&str>,
    ) -> Result<SearchOutcome, QueryError> {
        let options = SearchOptions::new().sizelimit(ENTRIES_MAX);
        let searching = self.client.with_search_options(options);
        let SearchResult(entries, result) =
            searching.search(base, scope, filter, attributes).await?;
        match result.rc {
            SUCCESS => {}
            SIZE_LIMIT_EXCEEDED => return Ok(SearchOutcome::TooMany),
            NO_SUCH_OBJECT => return Ok(SearchOutcome::NoBase(result)),
            _ => return Err(QueryError::Code("the search was rejected", result)),
        }
        // Active Directory also returns referrals to other servers.
        let entries = entries.into_iter().filter(|entry| !entry.is_ref());
        Ok(SearchOutcome::Entries(entries.map(SearchEntry::construct).collect()))
    }
}

/// The result of a search.
enum SearchOutcome {
    Entries(Vec<SearchEntry>),
    TooMany,
    NoBase(LdapResult),
}

fn succeeded(what: &'static str, result: LdapResult) -> Result<(), QueryError> {
    if result.rc == SUCCESS { Ok(()) } else { Err(QueryError::Code(what, result)) }
}

fn ambiguous() -> AuthOutcome {
    AuthOutcome::rejected(
        "several entries match this name; make accounts.ldap.filter more specific",
    )
}

fn not_in_group() -> AuthOutcome {
    AuthOutcome::rejected("the user is not a member of accounts.ldap.group")
}

/// A wrong password counts for the account, by whatever name it was found: guesses under several
/// names are guesses of one password.
fn of_account(
    outcome: AuthOutcome,
    settings: &LdapSettings,
    user: &str,
    entry: &SearchEntry,
) -> AuthOutcome {
    match (outcome, spelled(user, values(entry, &settings.name_attribute))) {
        (AuthOutcome::Denied(Denied::WrongPassword), Some(name)) if name != user => {
            AuthOutcome::Denied(Denied::WrongPasswordOf(name))
        }
        (outcome, _) => outcome,
    }
}

/// The values of an attribute.
fn values<'a>(entry: &'a SearchEntry, name: &str) -> &'a [String] {
    let is_named = |known: &&String| known.eq_ignore_ascii_case(name);
    let found = entry.attrs.keys().find(is_named).and_then(|key| entry.attrs.get(key));
    found.map(Vec::as_slice).unwrap_or_default()
}

/// The settings of the account in its entry.
fn account_of(settings: &LdapSettings, user: &str, entry: &SearchEntry) -> AuthOutcome {
    let values = |name: &str| values(entry, name);
    let known = &settings.attributes;
    let mut external = ExternalAccount {
        name: spelled(user, values(&settings.name_attribute)),
        home: values(&known.home).first().map(PathBuf::from),
        ..ExternalAccount::default()
    };
    if let Some(text) = values(&known.permissions).first() {
        match parse_permissions(text) {
            Ok(permissions) => external.permissions = Some(permissions),
            Err(bad) => return unreadable(&known.permissions, &bad.message()),
        }
    }
    if let Some(text) = values(&known.quota).first() {
        match parse_quota(text) {
            Ok(size) => external.limits.quota = Some(size),
            Err(error) => return unreadable(&known.quota, &error.to_string()),
        }
    }
    AuthOutcome::Authenticated(Box::new(external))
}

fn unreadable(attribute: &str, why: &str) -> AuthOutcome {
    AuthOutcome::rejected(format!("invalid attribute {attribute}: {why}"))
}

/// The name as the directory spells it: the value that differs in case at most, else the first.
/// `ANNA` and `anna` are one entry there, and must not be two accounts here.
fn spelled(user: &str, values: &[String]) -> Option<String> {
    let lower = user.to_lowercase();
    let mut names = values.iter().filter(|value| is_name(value));
    let same = names.clone().find(|value| value.to_lowercase() == lower);
    same.or_else(|| names.next()).cloned()
}

/// The result of the server, for the log: it may quote the DN, never the password.
fn describe(result: &LdapResult) -> String {
    const TEXT_LETTERS_MAX: usize = 200;
    let text: String = result.text.chars().take(TEXT_LETTERS_MAX).collect();
    if text.is_empty() {
        format!("code {}", result.rc)
    } else {
        format!("code {} ({text})", result.rc)
    }
}

/// The error with its cause, which has the reason.
fn sentence(error: &LdapError) -> String {
    match error {
        LdapError::Io { source } => source.to_string(),
        LdapError::LdapResult { result } => describe(result),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_is_spelled_as_in_the_directory() {
        let spelled = |user: &str, values: &[&str]| {
            let values: Vec<_> = values.iter().map(|&value| value.to_owned()).collect();
            super::spelled(user, &values)
        };
        assert_eq!(spelled("ANNA", &["anna"]).as_deref(), Some("anna"));
        assert_eq!(spelled("anna", &["ann", "anna"]).as_deref(), Some("anna"));
        assert_eq!(spelled("anna@example.com", &["anna"]).as_deref(), Some("anna"));
        assert_eq!(spelled("anna", &["../x"]), None);
        assert_eq!(spelled("anna", &[]), None);
    }
}
