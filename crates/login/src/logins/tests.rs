//! Backends with fixed results, and a store with two accounts.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use wharf_core::conformance;
use wharf_core::conformance::users::{NAME, SECRET};
use wharf_core::permission::{Permissions, Rules};

use super::*;
use crate::outage::OutageEvent;
use crate::template::HomeTemplate;

/// `anna` has a password in the store, `ben` has none, `dora` is switched off.
struct LoginStore;

#[async_trait]
impl Users for LoginStore {
    async fn login(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        match (attempt.user, attempt.secret) {
            ("anna", b"in store") => Ok(stored_account("anna")),
            ("anna", _) => Err(Denied::WrongPassword),
            ("ben", _) => Err(Denied::NoPassword),
            ("dora", _) => Err(Denied::Disabled),
            _ => Err(Denied::UnknownUser),
        }
    }

    async fn account_status(&self, attempt: &Attempt<'_>) -> Result<AccountStatus, Denied> {
        let has_password = attempt.user == "anna";
        match attempt.user {
            "anna" | "ben" => Ok(AccountStatus::Known {
                account: Box::new(stored_account(attempt.user)),
                has_password,
            }),
            "dora" => Err(Denied::Disabled),
            _ => Ok(AccountStatus::Unknown),
        }
    }
}

fn stored_account(name: &str) -> Account {
    Account::new(name, format!("/kept/{name}"), Rules::everywhere(Permissions::NONE))
}

/// Knows these names with these passwords.
struct FakeBackend {
    name: &'static str,
    users: &'static [(&'static str, &'static [u8])],
    external: ExternalAccount,
    /// If set, the backend is unavailable.
    unavailable: Mutex<Option<AuthUnavailable>>,
    /// How many requests it received.
    requests: AtomicU32,
}

#[async_trait]
impl AuthBackend for FakeBackend {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn authenticate(&self, attempt: &Attempt<'_>) -> Result<AuthOutcome, AuthUnavailable> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(unavailable) = self.unavailable.lock().unwrap().clone() {
            return Err(unavailable);
        }
        Ok(match self.users.iter().find(|(name, _)| *name == attempt.user) {
            Some((_, secret)) if *secret == attempt.secret => {
                AuthOutcome::Authenticated(Box::new(self.external.clone()))
            }
            Some(_) => AuthOutcome::wrong(),
            None => AuthOutcome::Unknown,
        })
    }
}

fn fake_backend(
    name: &'static str,
    users: &'static [(&'static str, &'static [u8])],
) -> Arc<FakeBackend> {
    let (unavailable, requests) = (Mutex::default(), AtomicU32::new(0));
    Arc::new(FakeBackend {
        name,
        users,
        external: ExternalAccount::default(),
        unavailable,
        requests,
    })
}

fn logins(steps: Vec<LoginStep>) -> LoginChain {
    let template = AccountTemplate {
        home: Some(HomeTemplate::parse("/srv/%u").unwrap()),
        creates_home: false,
        permissions: Permissions::READ_ONLY,
    };
    LoginChain::new(Arc::new(LoginStore), steps, template, Arc::default())
}

async fn login(users: &LoginChain, user: &str, secret: &[u8]) -> Result<Account, Denied> {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    users.login(&Attempt { user, secret, peer, is_tls: false }).await
}

fn both(users: &'static [(&'static str, &'static [u8])]) -> LoginChain {
    logins(vec![LoginStep::Store, LoginStep::External(fake_backend("ldap", users))])
}

#[tokio::test(start_paused = true)]
async fn a_source_before_an_empty_store_conforms() {
    let source = fake_backend("ldap", &[(NAME, SECRET)]);
    let users = LoginChain { store: Arc::new(wharf_users::single::NoUsers), ..logins(vec![]) };
    let users = LoginChain { steps: vec![LoginStep::Store, LoginStep::External(source)], ..users };
    conformance::users(&users).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_backend_that_has_the_name_decides() {
    let known: &[(&str, &[u8])] = &[("anna", b"in ldap"), ("carl", b"in ldap")];
    let users = both(known);
    assert!(login(&users, "anna", b"in store").await.is_ok());
    let denied = login(&users, "anna", b"in ldap").await;
    assert!(matches!(denied, Err(Denied::WrongPassword)), "the store knows anna: {denied:?}");
    let reversed = logins(vec![LoginStep::External(fake_backend("ldap", known)), LoginStep::Store]);
    assert!(login(&reversed, "anna", b"in ldap").await.is_ok());
    assert!(matches!(login(&reversed, "anna", b"in store").await, Err(Denied::WrongPassword)));
    let without = logins(vec![LoginStep::External(fake_backend("ldap", &[]))]);
    assert!(matches!(login(&without, "anna", b"in store").await, Err(Denied::NoPassword)));
}

#[tokio::test(start_paused = true)]
async fn an_account_in_the_store_takes_precedence_over_the_template() {
    let users = both(&[("ben", b"x"), ("carl", b"x"), ("dora", b"x")]);
    assert_eq!(login(&users, "ben", b"x").await.unwrap(), stored_account("ben"));
    let carl = login(&users, "carl", b"x").await.unwrap();
    assert_eq!(carl.home, Path::new("/srv/carl"));
    assert_eq!(carl.rules, Rules::everywhere(Permissions::READ_ONLY));
    let denied = login(&users, "dora", b"x").await;
    assert!(matches!(denied, Err(Denied::Disabled)), "{denied:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_spelling_of_a_name_is_the_same_account() {
    let source = FakeBackend {
        external: ExternalAccount { name: Some("dora".into()), ..ExternalAccount::default() },
        ..Arc::into_inner(fake_backend("ldap", &[("DORA", b"x")])).unwrap()
    };
    let users = logins(vec![LoginStep::External(Arc::new(source))]);
    assert!(matches!(login(&users, "DORA", b"x").await, Err(Denied::Disabled)));
}

#[tokio::test(start_paused = true)]
async fn an_empty_password_is_rejected_whatever_the_backend_returns() {
    let users = both(&[("carl", b"")]);
    assert!(matches!(login(&users, "carl", b"").await, Err(Denied::WrongPassword)));
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_backend_is_skipped_and_reported_once_and_so_is_its_return() {
    let dead = fake_backend("ldap", &[("carl", b"x")]);
    *dead.unavailable.lock().unwrap() = Some(AuthUnavailable::Broken("no route".into()));
    let alive = fake_backend("http", &[("emil", b"x")]);
    let steps =
        vec![LoginStep::External(dead.clone()), LoginStep::External(alive), LoginStep::Store];
    let users = logins(steps);
    assert!(login(&users, "emil", b"x").await.is_ok());
    assert!(login(&users, "anna", b"in store").await.is_ok());
    let denied = login(&users, "carl", b"x").await.unwrap_err();
    assert!(matches!(&denied, Denied::Broken(why) if why.to_string() == "ldap: no route"));
    let down = OutageEvent::Down { source: "ldap", reason: "no route".into() };
    assert_eq!(users.outages.take(), [down]);
    *dead.unavailable.lock().unwrap() = None;
    assert!(login(&users, "carl", b"x").await.is_ok());
    assert_eq!(users.outages.take(), [OutageEvent::Back { source: "ldap" }]);
}

#[tokio::test(start_paused = true)]
async fn a_busy_backend_is_not_an_outage() {
    let busy = fake_backend("ldap", &[]);
    *busy.unavailable.lock().unwrap() = Some(AuthUnavailable::Busy);
    let users = logins(vec![LoginStep::External(busy), LoginStep::Store]);
    assert!(matches!(login(&users, "carl", b"x").await, Err(Denied::Busy)));
    assert_eq!(users.outages.take(), []);
}

#[tokio::test(start_paused = true)]
async fn row_18_every_failure_is_delayed_to_the_same_interval_and_a_success_is_immediate() {
    let users = both(&[("carl", b"x")]);
    for (user, secret) in [("anna", "wrong"), ("carl", "wrong"), ("nobody", "x"), ("dora", "x")] {
        let started = Instant::now();
        assert!(login(&users, user, secret.as_bytes()).await.is_err());
        assert_eq!(started.elapsed(), FAILURE_INTERVAL, "{user}");
    }
    let started = Instant::now();
    assert!(login(&users, "carl", b"x").await.is_ok());
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn row_22_an_invalid_name_reaches_no_backend() {
    let dead = fake_backend("ldap", &[]);
    *dead.unavailable.lock().unwrap() = Some(AuthUnavailable::Broken("queried".into()));
    let users = logins(vec![LoginStep::External(dead)]);
    for name in ["../anna", "a/b", "", ".x"] {
        assert!(matches!(login(&users, name, b"x").await, Err(Denied::UnknownUser)), "{name}");
    }
    assert_eq!(users.outages.take(), []);
}

#[tokio::test(start_paused = true)]
async fn row_18_a_second_decoding_of_a_password_asks_only_the_store() {
    let source = fake_backend("ldap", &[("carl", b"x")]);
    let users = logins(vec![LoginStep::External(source.clone()), LoginStep::Store]);
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let attempt = |user, secret| Attempt { user, secret, peer, is_tls: false };
    assert!(users.login(&attempt("carl", b"wrong")).await.is_err());
    assert!(users.login_again(&attempt("carl", b"x")).await.is_err(), "it was queried already");
    assert_eq!(source.requests.load(Ordering::Relaxed), 1);
    assert!(users.login(&attempt("anna", b"wrong")).await.is_err());
    assert!(users.login_again(&attempt("anna", b"in store")).await.is_ok());
    assert_eq!(source.requests.load(Ordering::Relaxed), 2);
}
