//! One login, asked of one server over one connection.

use std::path::PathBuf;

use ldap3::{Ldap as Client, LdapConnAsync, LdapError, LdapResult, Scope, SearchEntry};
use ldap3::{SearchOptions, SearchResult};
use wharf_core::account::is_name;
use wharf_core::users::{Attempt, Denied};
use wharf_users::rights::parse_rights;
use wharf_users::units::parse_quota;

use super::super::Finding;
use super::words::{decoy, dn, filter, membership};
use super::{Asked, Ldap, Settings};
use crate::endpoint::Endpoint;
use crate::source::{Proven, Verdict};

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
/// The attribute list that asks for none (RFC 4511 §4.5.1.8).
const NO_ATTRIBUTES: &str = "1.1";

/// Why one server gave no verdict.
pub(super) enum Failed {
    /// The connection, or the server behind it.
    Connection(LdapError),
    /// It answered with a code that is about what was asked.
    Code(&'static str, LdapResult),
}

impl From<LdapError> for Failed {
    fn from(error: LdapError) -> Self {
        Self::Connection(error)
    }
}

impl From<Failed> for Asked {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Connection(error) => Self::NoAnswer(sentence(&error)),
            Failed::Code(what, result) => {
                let why = format!("{what}: {}", told(&result));
                match result.rc {
                    BUSY | UNAVAILABLE => Self::NoAnswer(why),
                    _ => Self::Wrong(why),
                }
            }
        }
    }
}

impl Ldap {
    pub(super) async fn ask_one(
        &self,
        server: &Endpoint,
        attempt: &Attempt<'_>,
        secret: &str,
    ) -> Asked {
        let url = server.to_string();
        let connected = LdapConnAsync::with_settings(self.connection(server), &url).await;
        let (connection, client) = match connected {
            Ok(connected) => connected,
            Err(error) => return Failed::from(error).into(),
        };
        let talk = Talk { settings: &self.settings, client, user: attempt.user, secret };
        // The answer first: what the connection ends with does not matter any more then.
        tokio::select! {
            biased;
            verdict = talk.verdict() => verdict.map_or_else(Asked::from, Asked::Done),
            ended = connection.drive() => match ended {
                Ok(()) => Asked::NoAnswer("it closed the connection".to_owned()),
                Err(error) => Failed::from(error).into(),
            },
        }
    }
}

/// One login on one connection.
struct Talk<'a> {
    settings: &'a Settings,
    client: Client,
    user: &'a str,
    secret: &'a str,
}

impl<'a> Talk<'a> {
    async fn verdict(mut self) -> Result<Verdict, Failed> {
        let verdict = match &self.settings.finding {
            Finding::Search { binder, base, filter: template } => {
                if let Some((dn, password)) = binder {
                    let bound = self.client.simple_bind(dn, password.text()).await?;
                    succeeded("accounts.ldap.bind_dn cannot log in", bound)?;
                }
                self.by_search(base, &filter(template, self.user)).await
            }
            Finding::Template(template) => self.by_template(&dn(template, self.user)).await,
        };
        // A polite end; whether it is heard does not matter.
        let _ = self.client.unbind().await;
        verdict
    }

    async fn by_search(&mut self, base: &str, filter: &str) -> Result<Verdict, Failed> {
        let found = self.find(base, Scope::Subtree, filter, self.attributes()).await?;
        let mut entries = match found {
            Found::Entries(entries) => entries,
            Found::TooMany => return Ok(ambiguous()),
            Found::NoBase(result) => {
                return Err(Failed::Code("accounts.ldap.base does not exist", result));
            }
        };
        let Some(entry) = entries.pop() else {
            // A name that nobody has takes as many questions as one that somebody has.
            if !self.secret.is_empty() {
                let _ = self.client.simple_bind(&decoy(base), self.secret).await?;
            }
            return Ok(Verdict::Unknown);
        };
        if !entries.is_empty() {
            return Ok(ambiguous());
        }
        // Whose group it is, only those who may search can see.
        let is_member = self.is_member(&entry.dn).await?;
        Ok(match self.bind(&entry.dn).await? {
            Some(denied) => of_account(denied, self.settings, self.user, &entry),
            None if !is_member => not_in_group(),
            None => proven(self.settings, self.user, &entry),
        })
    }

    async fn by_template(&mut self, dn: &str) -> Result<Verdict, Failed> {
        match self.bind(dn).await? {
            // A directory does not tell a missing entry from a wrong password, so that this source
            // cannot know that the name is nobody's.
            Some(denied) => return Ok(denied),
            None if !self.is_member(dn).await? => return Ok(not_in_group()),
            None => {}
        }
        let everything = "(objectClass=*)";
        let found = self.find(dn, Scope::Base, everything, self.attributes()).await?;
        Ok(match found {
            Found::Entries(mut entries) => match entries.pop() {
                Some(entry) => proven(self.settings, self.user, &entry),
                // It may not even read itself.
                None => Verdict::proven(),
            },
            Found::TooMany => ambiguous(),
            Found::NoBase(_) => Verdict::proven(),
        })
    }

    /// Logs in as the entry; a verdict if that is refused.
    async fn bind(&mut self, dn: &str) -> Result<Option<Verdict>, Failed> {
        // A bind without a password, or to no name, succeeds as nobody (RFC 4513 §5.1.2).
        if self.secret.is_empty() || dn.is_empty() {
            return Ok(Some(Verdict::wrong()));
        }
        let result = self.client.simple_bind(dn, self.secret).await?;
        Ok(match result.rc {
            SUCCESS => None,
            INVALID_CREDENTIALS | NO_SUCH_OBJECT => Some(Verdict::wrong()),
            INAPPROPRIATE_AUTHENTICATION => Some(Verdict::Denied(Denied::NoPassword)),
            UNWILLING | CONSTRAINT_VIOLATION | INSUFFICIENT_ACCESS => {
                Some(Verdict::refused(format!("the directory refuses it: {}", told(&result))))
            }
            _ => return Err(Failed::Code("the login cannot be checked", result)),
        })
    }

    async fn is_member(&mut self, dn: &str) -> Result<bool, Failed> {
        let Some(group) = &self.settings.group else { return Ok(true) };
        let filter = membership(self.user, dn);
        match self.find(group, Scope::Base, &filter, vec![NO_ATTRIBUTES]).await? {
            Found::Entries(entries) => Ok(!entries.is_empty()),
            Found::TooMany => Ok(true),
            Found::NoBase(result) => {
                Err(Failed::Code("accounts.ldap.group does not exist", result))
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
    ) -> Result<Found, Failed> {
        let options = SearchOptions::new().sizelimit(ENTRIES_MAX);
        let searching = self.client.with_search_options(options);
        let SearchResult(entries, result) =
            searching.search(base, scope, filter, attributes).await?;
        match result.rc {
            SUCCESS => {}
            SIZE_LIMIT_EXCEEDED => return Ok(Found::TooMany),
            NO_SUCH_OBJECT => return Ok(Found::NoBase(result)),
            _ => return Err(Failed::Code("the search is refused", result)),
        }
        // Active Directory answers with pointers to other servers, too.
        let entries = entries.into_iter().filter(|entry| !entry.is_ref());
        Ok(Found::Entries(entries.map(SearchEntry::construct).collect()))
    }
}

/// What a search came to.
enum Found {
    Entries(Vec<SearchEntry>),
    TooMany,
    NoBase(LdapResult),
}

fn succeeded(what: &'static str, result: LdapResult) -> Result<(), Failed> {
    if result.rc == SUCCESS { Ok(()) } else { Err(Failed::Code(what, result)) }
}

fn ambiguous() -> Verdict {
    Verdict::refused("the directory has several entries for this name; make the filter narrower")
}

fn not_in_group() -> Verdict {
    Verdict::refused("it is not in accounts.ldap.group")
}

/// A wrong password is that of the account, by whatever name it was found: guesses by several names
/// are guesses of one password.
fn of_account(verdict: Verdict, settings: &Settings, user: &str, entry: &SearchEntry) -> Verdict {
    match (verdict, spelled(user, values(entry, &settings.name_attribute))) {
        (Verdict::Denied(Denied::WrongPassword), Some(name)) if name != user => {
            Verdict::Denied(Denied::WrongPasswordOf(name))
        }
        (verdict, _) => verdict,
    }
}

/// The values of an attribute.
fn values<'a>(entry: &'a SearchEntry, name: &str) -> &'a [String] {
    let is_named = |known: &&String| known.eq_ignore_ascii_case(name);
    let found = entry.attrs.keys().find(is_named).and_then(|key| entry.attrs.get(key));
    found.map(Vec::as_slice).unwrap_or_default()
}

/// What the entry says of its account.
fn proven(settings: &Settings, user: &str, entry: &SearchEntry) -> Verdict {
    let values = |name: &str| values(entry, name);
    let known = &settings.attributes;
    let mut proven = Proven {
        name: spelled(user, values(&settings.name_attribute)),
        home: values(&known.home).first().map(PathBuf::from),
        ..Proven::default()
    };
    if let Some(text) = values(&known.permissions).first() {
        match parse_rights(text) {
            Ok(rights) => proven.permissions = Some(rights),
            Err(bad) => return unreadable(&known.permissions, &bad.message()),
        }
    }
    if let Some(text) = values(&known.quota).first() {
        match parse_quota(text) {
            Ok(size) => proven.limits.quota = Some(size),
            Err(error) => return unreadable(&known.quota, &error.to_string()),
        }
    }
    Verdict::Proven(Box::new(proven))
}

fn unreadable(attribute: &str, why: &str) -> Verdict {
    Verdict::refused(format!("its attribute {attribute} cannot be read: {why}"))
}

/// The name as the directory spells it: the value that differs in case at most, else the first.
/// `ANNA` and `anna` are one entry there, and must not be two accounts here.
fn spelled(user: &str, values: &[String]) -> Option<String> {
    let lower = user.to_lowercase();
    let mut names = values.iter().filter(|value| is_name(value));
    let same = names.clone().find(|value| value.to_lowercase() == lower);
    same.or_else(|| names.next()).cloned()
}

/// What a server said, for the log: it may quote the DN, never the password.
fn told(result: &LdapResult) -> String {
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
        LdapError::LdapResult { result } => told(result),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_is_spelled_as_the_directory_spells_it() {
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
