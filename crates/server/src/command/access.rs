//! Coming and going: USER, PASS, ACCT, REIN, QUIT.

use std::sync::Arc;
use std::time::Duration;

use encoding_rs::Encoding as Charset;
use tokio::time::{Instant, sleep, sleep_until};
use wharf_core::account::{Account, is_name};
use wharf_core::error::ErrorKind;
use wharf_core::event::Event;
use wharf_core::users::{Attempt, Denied};
use wharf_proto::path::escaped;
use wharf_proto::reply::{Code, Reply};

use super::spec::{Arg, Run, Spec};
use crate::files::Files;
use crate::guard::{self, Start};
use crate::names::Credentials;
use crate::next::Next;
use crate::refusal::Refusal;
use crate::session::{LoggedIn, Login, Session};
use crate::settings::TlsRequire;
use crate::shared::BANNED;

pub(super) static ROWS: &[&Spec] = &[&USER, &PASS, &ACCT, &REIN, &QUIT];

/// Why somebody is not heard who may know the password.
const LOCKED: &str = "the account is locked for addresses from which it never logged in";
/// The longest password in bytes: more is no password but an attack on the hash.
const SECRET_BYTES_MAX: usize = 1024;
/// However often somebody has failed, the next answer comes after this.
const FAILURE_DELAY_MAX: Duration = Duration::from_secs(10);
/// How often, and for how long each time, a try waits for others of its address: 20 s in all.
const TURN_TRIES_MAX: u32 = 200;
const TURN_PAUSE: Duration = Duration::from_millis(100);

static USER: Spec = Spec {
    verb: "USER",
    syntax: "USER <name>",
    about: "Say who you are",
    rfc: "RFC 959 §4.1.1",
    arg: Arg::Required,
    run: Run::Now(user),
    ..Spec::any_time()
};

/// Takes a name, whoever it is: 331 for every one, so that nobody learns which names exist.
fn user(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    session.leave();
    let user = session.names.user(arg);
    if !is_name(&user) {
        return Next::say(Code::BAD_ARGUMENT, "That cannot be a user name.");
    }
    if must_use_tls(session, &user) {
        // It is no try of a password, and does not count; the administrator reads why.
        let reason = "a password without TLS, which tls.require refuses";
        session.emit(&Event::LoginFailed { user: &escaped(user.as_bytes()), reason });
        return Next::say(
            Code::NOT_LOGGED_IN,
            "Passwords need TLS here: choose FTPS, explicit, in your client.",
        );
    }
    session.login = Login::Named { user, typed: arg.to_vec() };
    Next::say(Code::NEED_PASSWORD, "Password, please.")
}

/// Whether a password for `user` must not be sent in the clear from where the client is.
fn must_use_tls(session: &Session, user: &str) -> bool {
    let Some(tls) = &session.settings.tls else { return false };
    if session.is_tls() {
        return false;
    }
    let is_secret = !is_anonymous(session, user);
    match tls.require {
        TlsRequire::Off => false,
        TlsRequire::Public => {
            let near = &session.settings.passive.local_networks;
            is_secret && !near.iter().any(|network| network.contains(&session.peer.ip()))
        }
        TlsRequire::Login => is_secret,
        TlsRequire::All => true,
    }
}

static PASS: Spec = Spec {
    verb: "PASS",
    syntax: "PASS <password>",
    about: "Prove who you are",
    rfc: "RFC 959 §4.1.1",
    arg: Arg::Optional,
    is_secret: true,
    run: Run::Later(|session, arg| Box::pin(pass(session, arg))),
    ..Spec::any_time()
};

/// Logs in. Every failure sounds the same and comes ever later; the last one ends the session.
///
/// All failures count alike, also those with the right password: an account that may not log in
/// from there, or not now, must not tell that its password was guessed.
async fn pass(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let (user, typed) = match &session.login {
        Login::Greeted => return Next::say(Code::BAD_SEQUENCE, "Send USER first."),
        Login::In(_) => return Next::say(Code::BAD_SEQUENCE, "You are logged in already."),
        Login::Named { user, typed } => (user.clone(), typed.clone()),
    };
    let arrived = Instant::now();
    session.login = Login::Greeted;
    let mut attempt = match wait_for_turn(session, &user).await {
        Start::Go(attempt) => attempt,
        Start::Locked => {
            return Ok(turn_away(session, &user, &Denied::Refused(LOCKED.into()), arrived).await);
        }
        Start::Banned => return Ok(Next::Close(Reply::new(Code::CLOSING, BANNED))),
        Start::Wait => return Ok(busy(session)),
    };
    session.names.expect(session.shared.habits.of(&user));
    let entered = match admit(session, &typed, arg, &mut attempt).await {
        Ok((account, shown)) => enter(session, account, shown).await,
        Err(denied) => Err(denied),
    };
    let denied = match entered {
        Ok(next) => {
            let inside = session.logged_in().map(|inside| &inside.account);
            if inside.is_some() {
                session.shared.tally.logins.add(arrived.elapsed());
            }
            // A visitor without a password is no sign of anybody.
            let known = inside.filter(|account| !account.is_anonymous);
            attempt.entered(known.map(|account| account.name.as_str()));
            return Ok(next);
        }
        Err(denied) => denied,
    };
    match denied {
        // The password was not looked at.
        Denied::Busy | Denied::Broken(_) => attempt.forgiven(),
        _ => attempt.failed(),
    }
    if matches!(denied, Denied::Busy) {
        return Ok(busy(session));
    }
    Ok(turn_away(session, &user, &denied, arrived).await)
}

/// Waits until the attempt can be checked. So many guesses at once that the next ones would come
/// after a ban must not be checked before it.
async fn wait_for_turn(session: &Session, user: &str) -> Start {
    for _ in 0..TURN_TRIES_MAX {
        match session.shared.begin_attempt(session.peer.ip(), user) {
            Start::Wait => sleep(TURN_PAUSE).await,
            start => return start,
        }
    }
    Start::Wait
}

fn busy(session: &Session) -> Next {
    let reason = "The server is busy; try again later.";
    session.emit(&Event::TurnedAway { reason });
    Next::Close(Reply::new(Code::CLOSING, reason))
}

fn is_anonymous(session: &Session, user: &str) -> bool {
    session.shared.config().users.is_anonymous(user)
}

/// Whose account it is, and the character set that the login has shown, if any.
type Admitted = (Account, Option<Shown>);

/// Asks the store of accounts. Where bytes can be read in two ways, both are tried; that is one
/// attempt all the same, which fails once.
async fn admit(
    session: &Session,
    user: &[u8],
    secret: &[u8],
    counted: &mut guard::Attempt,
) -> Result<Admitted, Denied> {
    if secret.len() > SECRET_BYTES_MAX {
        return Err(Denied::WrongPassword);
    }
    let users = Arc::clone(&session.shared.config().users);
    let mut denied = None;
    for (at, spelled) in session.names.credentials(user, secret).into_iter().enumerate() {
        if !is_name(&spelled.user) || !counted.is_about(&spelled.user) {
            continue;
        }
        let attempt = Attempt {
            user: &spelled.user,
            secret: &spelled.secret,
            peer: session.peer.ip(),
            is_tls: session.is_tls(),
        };
        let asked = if at == 0 { users.login(&attempt) } else { users.login_again(&attempt) };
        match asked.await {
            Ok(account) => {
                let is_name = std::str::from_utf8(user).is_err();
                let shown = spelled.set.map(|set| Shown { set, is_name });
                return may_enter(session, &spelled, account, counted).map(|one| (one, shown));
            }
            Err(why) => {
                if let Denied::WrongPasswordOf(name) = &why {
                    counted.is_about(name);
                }
                let is_wrong = matches!(
                    why,
                    Denied::UnknownUser
                        | Denied::WrongPassword
                        | Denied::WrongPasswordOf(_)
                        | Denied::NoPassword
                );
                // What is known of a name says more than that another is unknown.
                let says_more = matches!(denied, None | Some(Denied::UnknownUser));
                if says_more || !is_wrong {
                    denied = Some(why);
                }
                if !is_wrong {
                    break;
                }
            }
        }
    }
    Err(denied.unwrap_or_else(|| Denied::Refused(LOCKED.into())))
}

/// Whether somebody whose password was right may enter. The account's own name counts, which need
/// not be the one that was sent: directories have several spellings of one name.
fn may_enter(
    session: &Session,
    sent: &Credentials,
    account: Account,
    counted: &mut guard::Attempt,
) -> Result<Account, Denied> {
    let is_denied = |name: &str| {
        let name = name.to_lowercase();
        session.settings.login.deny_users.iter().any(|denied| denied.to_lowercase() == name)
    };
    if is_denied(&sent.user) || is_denied(&account.name) {
        return Err(Denied::Refused("the name is in login.deny_users".into()));
    }
    if !counted.is_about(&account.name) {
        return Err(Denied::Refused(LOCKED.into()));
    }
    if account.requires_tls && !session.is_tls() {
        return Err(Denied::Refused("the account needs TLS".into()));
    }
    Ok(account)
}

/// What a login has shown of the client's character set.
struct Shown {
    set: &'static Charset,
    /// Whether an account's name shows it, not a password alone.
    is_name: bool,
}

/// Opens the account's files and takes its seat.
async fn enter(
    session: &mut Session,
    account: Account,
    shown: Option<Shown>,
) -> Result<Next, Denied> {
    let store = match session.shared.config().stores.open(&account).await {
        Ok(store) => store,
        Err(error) if error.kind == ErrorKind::Exhausted => return Ok(busy(session)),
        Err(error) => {
            let home = account.home.display();
            return Err(Denied::Refused(format!("its home {home} cannot be opened: {error}")));
        }
    };
    let most = account.limits.sessions_max.unwrap_or(session.settings.limits.sessions_per_user);
    let Some(guard) = session.shared.admission.account_guard(&account.name, most) else {
        let reply = "Too many sessions of this account.";
        let limit = match account.limits.sessions_max {
            Some(_) => "sessions of the account",
            None => "limits.sessions_per_user",
        };
        let reason = format!("{reply} ({limit})");
        session.emit(&Event::TurnedAway { reason: &reason });
        return Ok(Next::Close(Reply::new(Code::CLOSING, reply)));
    };
    let files = Files::new(Arc::clone(&store), account.rules.clone(), &session.settings.files);
    let text = welcome(session, &account);
    session.handle.status.logged_in(&account.name, account.limits.clone());
    session.failed_logins = 0;
    session.unauthenticated = None;
    if let (Some(tls), Some(binding_id), false) =
        (&session.tls, session.binding_id, account.is_anonymous)
    {
        tls.logged_in(binding_id, &account.name, session.peer.ip());
    }
    session.login = Login::In(Box::new(LoggedIn { account, files, _connection_guard: guard }));
    session.emit(&Event::LoggedIn);
    if let Some(shown) = shown {
        session.has_shown(shown.set, shown.is_name);
    }
    Ok(Next::Say(text))
}

fn welcome(session: &Session, account: &Account) -> Reply {
    let message = &session.settings.login_message;
    if message.is_empty() {
        return Reply::new(Code::LOGGED_IN, "Logged in.");
    }
    let message =
        message.replace("{user}", &account.name).replace("{ip}", &session.peer.ip().to_string());
    Reply::lines(Code::LOGGED_IN, message.lines().map(str::to_owned))
}

/// Answers a failed login, after a time that tells nothing of what was looked at.
async fn turn_away(session: &mut Session, user: &str, denied: &Denied, arrived: Instant) -> Next {
    session.shared.tally.login_failed(denied);
    let event = Event::LoginFailed { user: &escaped(user.as_bytes()), reason: &denied.to_string() };
    session.emit(&event);
    session.shared.report_auth_events();
    let peer = session.peer.ip();
    // Those who come anew for each try wait as long as those who stay.
    let failures = session.shared.guard.failures(peer, session.shared.now()).saturating_sub(1);
    let doublings = session.failed_logins.max(failures).min(16);
    let delay = session.settings.login.failure_delay.saturating_mul(1 << doublings);
    let slowest = session.shared.guard.slowest(arrived.elapsed(), session.shared.now());
    let slowest = slowest.min(FAILURE_DELAY_MAX).max(arrived.elapsed());
    sleep_until(arrived + held_back(delay.min(FAILURE_DELAY_MAX), slowest)).await;
    session.failed_logins += 1;
    if session.failed_logins >= session.settings.login.attempts_max {
        return Next::Close(Reply::new(Code::CLOSING, "Too many failed logins."));
    }
    if session.shared.guard.is_banned(peer, session.shared.now()) {
        return Next::Close(Reply::new(Code::CLOSING, BANNED));
    }
    Next::Say(Reply::new(Code::NOT_LOGGED_IN, "Login incorrect."))
}

/// How long after its arrival a failed try is answered: a whole number of delays, so that how long
/// the check took cannot be told from the time of the answer.
fn held_back(delay: Duration, took: Duration) -> Duration {
    let delays = took.as_nanos().div_ceil(delay.as_nanos().max(1));
    delay.saturating_mul(u32::try_from(delays).unwrap_or(u32::MAX).max(1))
}

static ACCT: Spec = Spec {
    verb: "ACCT",
    syntax: "ACCT <account>",
    about: "Name an account; never needed here",
    rfc: "RFC 959 §4.1.1",
    arg: Arg::Required,
    is_secret: true,
    run: Run::Now(|_, _| Next::say(Code::SUPERFLUOUS, "No account is needed.")),
    ..Spec::any_time()
};

static REIN: Spec = Spec {
    verb: "REIN",
    syntax: "REIN",
    about: "Start over, as after the greeting",
    rfc: "RFC 959 §4.1.1",
    run: Run::Now(rein),
    ..Spec::any_time()
};

/// Starts over. Under TLS it would have to go back to plain text (RFC 4217 §11), in which somebody
/// in the middle could then speak for the client; so it is refused there.
fn rein(session: &mut Session, _: &[u8]) -> Result<Next, Refusal> {
    if session.is_tls() {
        return Next::say(Code::NOT_IMPLEMENTED, "Not while TLS is on; connect anew instead.");
    }
    session.start_over();
    Next::say(Code::READY, "Ready for a new user.")
}

static QUIT: Spec = Spec {
    verb: "QUIT",
    syntax: "QUIT",
    about: "Say goodbye",
    rfc: "RFC 959 §4.1.1",
    run: Run::Now(|_, _| Ok(Next::Close(Reply::new(Code::GOODBYE, "Goodbye.")))),
    ..Spec::any_time()
};

#[cfg(test)]
mod tests;
