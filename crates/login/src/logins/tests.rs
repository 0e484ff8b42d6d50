//! Sources that say what they are told to, before a store with two accounts.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use wharf_core::conformance;
use wharf_core::conformance::users::{NAME, SECRET};
use wharf_core::permission::{Permissions, Rules};

use super::*;
use crate::outage::Notice;
use crate::template::HomeTemplate;

/// `anna` has a password in the store, `ben` has none, `dora` is switched off.
struct Store;

#[async_trait]
impl Users for Store {
    async fn login(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
        match (attempt.user, attempt.secret) {
            ("anna", b"in store") => Ok(kept("anna")),
            ("anna", _) => Err(Denied::WrongPassword),
            ("ben", _) => Err(Denied::NoPassword),
            ("dora", _) => Err(Denied::Disabled),
            _ => Err(Denied::UnknownUser),
        }
    }

    async fn account_status(&self, attempt: &Attempt<'_>) -> Result<AccountStatus, Denied> {
        let has_password = attempt.user == "anna";
        match attempt.user {
            "anna" | "ben" => {
                Ok(AccountStatus::Known { account: Box::new(kept(attempt.user)), has_password })
            }
            "dora" => Err(Denied::Disabled),
            _ => Ok(AccountStatus::Unknown),
        }
    }
}

fn kept(name: &str) -> Account {
    Account::new(name, format!("/kept/{name}"), Rules::everywhere(Permissions::NONE))
}

/// Knows these names with these passwords.
struct Knows {
    name: &'static str,
    people: &'static [(&'static str, &'static [u8])],
    proven: Proven,
    /// While there is one, there are no verdicts.
    stopped: Mutex<Option<Stopped>>,
    /// How often it was asked.
    asked: AtomicU32,
}

#[async_trait]
impl Source for Knows {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn prove(&self, attempt: &Attempt<'_>) -> Result<Verdict, Stopped> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if let Some(stopped) = self.stopped.lock().unwrap().clone() {
            return Err(stopped);
        }
        Ok(match self.people.iter().find(|(name, _)| *name == attempt.user) {
            Some((_, secret)) if *secret == attempt.secret => {
                Verdict::Proven(Box::new(self.proven.clone()))
            }
            Some(_) => Verdict::wrong(),
            None => Verdict::Unknown,
        })
    }
}

fn knows(name: &'static str, people: &'static [(&'static str, &'static [u8])]) -> Arc<Knows> {
    let (stopped, asked) = (Mutex::default(), AtomicU32::new(0));
    Arc::new(Knows { name, people, proven: Proven::default(), stopped, asked })
}

fn logins(steps: Vec<Step>) -> Logins {
    let template = Template {
        home: Some(HomeTemplate::parse("/srv/%u").unwrap()),
        makes_home: false,
        permissions: Permissions::READ_ONLY,
    };
    Logins::new(Arc::new(Store), steps, template, Arc::default())
}

async fn login(users: &Logins, user: &str, secret: &[u8]) -> Result<Account, Denied> {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    users.login(&Attempt { user, secret, peer, is_tls: false }).await
}

fn both(people: &'static [(&'static str, &'static [u8])]) -> Logins {
    logins(vec![Step::Store, Step::Source(knows("ldap", people))])
}

#[tokio::test(start_paused = true)]
async fn a_source_before_an_empty_store_conforms() {
    let source = knows("ldap", &[(NAME, SECRET)]);
    let users = Logins { store: Arc::new(wharf_users::single::Nobody), ..logins(vec![]) };
    let users = Logins { steps: vec![Step::Store, Step::Source(source)], ..users };
    conformance::users(&users).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_who_knows_the_name_decides() {
    let people: &[(&str, &[u8])] = &[("anna", b"in ldap"), ("carl", b"in ldap")];
    let users = both(people);
    assert!(login(&users, "anna", b"in store").await.is_ok());
    let denied = login(&users, "anna", b"in ldap").await;
    assert!(matches!(denied, Err(Denied::WrongPassword)), "the store knows anna: {denied:?}");
    let other_way = logins(vec![Step::Source(knows("ldap", people)), Step::Store]);
    assert!(login(&other_way, "anna", b"in ldap").await.is_ok());
    assert!(matches!(login(&other_way, "anna", b"in store").await, Err(Denied::WrongPassword)));
    let without = logins(vec![Step::Source(knows("ldap", &[]))]);
    assert!(matches!(login(&without, "anna", b"in store").await, Err(Denied::NoPassword)));
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_kept_stands_above_the_template() {
    let users = both(&[("ben", b"x"), ("carl", b"x"), ("dora", b"x")]);
    assert_eq!(login(&users, "ben", b"x").await.unwrap(), kept("ben"));
    let carl = login(&users, "carl", b"x").await.unwrap();
    assert_eq!(carl.home, Path::new("/srv/carl"));
    assert_eq!(carl.rules, Rules::everywhere(Permissions::READ_ONLY));
    let denied = login(&users, "dora", b"x").await;
    assert!(matches!(denied, Err(Denied::Disabled)), "{denied:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_spelling_of_a_name_is_the_same_account() {
    let source = Knows {
        proven: Proven { name: Some("dora".into()), ..Proven::default() },
        ..Arc::into_inner(knows("ldap", &[("DORA", b"x")])).unwrap()
    };
    let users = logins(vec![Step::Source(Arc::new(source))]);
    assert!(matches!(login(&users, "DORA", b"x").await, Err(Denied::Disabled)));
}

#[tokio::test(start_paused = true)]
async fn an_empty_password_proves_nothing_whatever_the_source_says() {
    let users = both(&[("carl", b"")]);
    assert!(matches!(login(&users, "carl", b"").await, Err(Denied::WrongPassword)));
}

#[tokio::test(start_paused = true)]
async fn a_dead_source_is_passed_over_told_once_and_told_when_it_is_back() {
    let dead = knows("ldap", &[("carl", b"x")]);
    *dead.stopped.lock().unwrap() = Some(Stopped::Broken("no route".into()));
    let alive = knows("http", &[("emil", b"x")]);
    let steps = vec![Step::Source(dead.clone()), Step::Source(alive), Step::Store];
    let users = logins(steps);
    assert!(login(&users, "emil", b"x").await.is_ok());
    assert!(login(&users, "anna", b"in store").await.is_ok());
    let denied = login(&users, "carl", b"x").await.unwrap_err();
    assert!(matches!(&denied, Denied::Broken(why) if why.to_string() == "ldap: no route"));
    let down = Notice::Down { source: "ldap", reason: "no route".into() };
    assert_eq!(users.outages.take(), [down]);
    *dead.stopped.lock().unwrap() = None;
    assert!(login(&users, "carl", b"x").await.is_ok());
    assert_eq!(users.outages.take(), [Notice::Back { source: "ldap" }]);
}

#[tokio::test(start_paused = true)]
async fn a_busy_source_is_no_outage() {
    let busy = knows("ldap", &[]);
    *busy.stopped.lock().unwrap() = Some(Stopped::Busy);
    let users = logins(vec![Step::Source(busy), Step::Store]);
    assert!(matches!(login(&users, "carl", b"x").await, Err(Denied::Busy)));
    assert_eq!(users.outages.take(), []);
}

#[tokio::test(start_paused = true)]
async fn row_18_every_failure_comes_on_the_same_beat_and_a_success_at_once() {
    let users = both(&[("carl", b"x")]);
    for (user, secret) in [("anna", "wrong"), ("carl", "wrong"), ("nobody", "x"), ("dora", "x")] {
        let began = Instant::now();
        assert!(login(&users, user, secret.as_bytes()).await.is_err());
        assert_eq!(began.elapsed(), BEAT, "{user}");
    }
    let began = Instant::now();
    assert!(login(&users, "carl", b"x").await.is_ok());
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn row_22_what_cannot_be_a_name_reaches_nobody() {
    let dead = knows("ldap", &[]);
    *dead.stopped.lock().unwrap() = Some(Stopped::Broken("asked".into()));
    let users = logins(vec![Step::Source(dead)]);
    for name in ["../anna", "a/b", "", ".x"] {
        assert!(matches!(login(&users, name, b"x").await, Err(Denied::UnknownUser)), "{name}");
    }
    assert_eq!(users.outages.take(), []);
}

#[tokio::test(start_paused = true)]
async fn row_18_a_second_reading_of_a_password_asks_the_store_and_no_source_again() {
    let source = knows("ldap", &[("carl", b"x")]);
    let users = logins(vec![Step::Source(source.clone()), Step::Store]);
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let attempt = |user, secret| Attempt { user, secret, peer, is_tls: false };
    assert!(users.login(&attempt("carl", b"wrong")).await.is_err());
    assert!(users.login_again(&attempt("carl", b"x")).await.is_err(), "it was asked already");
    assert_eq!(source.asked.load(Ordering::Relaxed), 1);
    assert!(users.login(&attempt("anna", b"wrong")).await.is_err());
    assert!(users.login_again(&attempt("anna", b"in store")).await.is_ok());
    assert_eq!(source.asked.load(Ordering::Relaxed), 2);
}
