//! Access control: USER, PASS, ACCT, REIN, QUIT.

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
use crate::auth_throttle::{self, AttemptStart};
use crate::files::SessionFiles;
use crate::names::Credentials;
use crate::next::Next;
use crate::refusal::Refusal;
use crate::session::{LoggedIn, LoginState, Session};
use crate::settings::TlsRequire;
use crate::shared::BANNED;

pub(super) static ROWS: &[&Spec] = &[&USER, &PASS, &ACCT, &REIN, &QUIT];

/// The logged reason for rejecting a login to a locked account, even with the right password.
const LOCKED: &str = "the account is locked for addresses from which it never logged in";
/// The longest password in bytes. Longer input is not hashed, to bound the work of one attempt.
const SECRET_BYTES_MAX: usize = 1024;
/// The longest delay of the reply to a failed login.
const FAILURE_DELAY_MAX: Duration = Duration::from_secs(10);
/// How often, and for how long each time, an attempt waits for others of its address: 20 s in all.
const ATTEMPT_WAITS_MAX: u32 = 200;
const ATTEMPT_WAIT: Duration = Duration::from_millis(100);

static USER: Spec = Spec {
    verb: "USER",
    syntax: "USER <name>",
    about: "Send the user name",
    rfc: "RFC 959 §4.1.1",
    arg: Arg::Required,
    run: Run::Sync(user),
    ..Spec::any_time()
};

/// Accepts any name with 331, so that the reply does not reveal which accounts exist.
fn user(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    session.leave();
    let user = session.names.user(arg);
    if !is_name(&user) {
        return Next::reply(Code::BAD_ARGUMENT, "Invalid user name.");
    }
    if must_use_tls(session, &user) {
        // Not a password attempt, so it does not count as a failure; the log has the reason.
        let reason = "login without TLS, which tls.require does not allow";
        session.emit(&Event::LoginFailed { user: &escaped(user.as_bytes()), reason });
        return Next::reply(
            Code::NOT_LOGGED_IN,
            "TLS required; select explicit FTPS (AUTH TLS) in your client.",
        );
    }
    session.login = LoginState::UserGiven { user, typed: arg.to_vec() };
    Next::reply(Code::NEED_PASSWORD, "Please specify the password.")
}

/// Whether `tls.require` forbids a login as `user` on this connection.
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
            is_secret && !near.iter().any(|network| network.contains(&session.handle.peer.ip()))
        }
        TlsRequire::Login => is_secret,
        TlsRequire::All => true,
    }
}

static PASS: Spec = Spec {
    verb: "PASS",
    syntax: "PASS <password>",
    about: "Send the password",
    rfc: "RFC 959 §4.1.1",
    arg: Arg::Optional,
    is_secret: true,
    run: Run::Async(|session, arg| Box::pin(pass(session, arg))),
    ..Spec::any_time()
};

/// Logs in. All failures get the same reply, each later than the one before; the last one closes
/// the session.
///
/// Failures with the right password count as well: an account that may not log in from this address
/// or at this time must not reveal that its password was guessed.
async fn pass(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let (user, typed) = match &session.login {
        LoginState::NoUser => return Next::reply(Code::BAD_SEQUENCE, "Login with USER first."),
        LoginState::LoggedIn(_) => {
            return Next::reply(Code::BAD_SEQUENCE, "Already logged in.");
        }
        LoginState::UserGiven { user, typed } => (user.clone(), typed.clone()),
    };
    let arrived = Instant::now();
    session.login = LoginState::NoUser;
    let mut attempt = match wait_for_attempt(session, &user).await {
        AttemptStart::Admitted(attempt) => attempt,
        AttemptStart::Locked => {
            return Ok(reject_login(session, &user, &Denied::ByRule(LOCKED.into()), arrived).await);
        }
        AttemptStart::Banned => return Ok(Next::Close(Reply::new(Code::CLOSING, BANNED))),
        AttemptStart::Wait => return Ok(close_busy(session)),
    };
    session.names.expect(session.shared.charset_memory.of(&user));
    let login = match admit(session, &typed, arg, &mut attempt).await {
        Ok((account, charset)) => enter(session, account, charset).await,
        Err(denied) => Err(denied),
    };
    let denied = match login {
        Ok(next) => {
            let inside = session.logged_in().map(|inside| &inside.account);
            if inside.is_some() {
                session.shared.metrics.logins.add(arrived.elapsed());
            }
            // An anonymous login does not identify a user, so the address is not recorded.
            let known = inside.filter(|account| !account.is_anonymous);
            attempt.succeeded(known.map(|account| account.name.as_str()));
            return Ok(next);
        }
        Err(denied) => denied,
    };
    match denied {
        // The password was not checked.
        Denied::Busy | Denied::Broken(_) => attempt.not_counted(),
        _ => attempt.failed(),
    }
    if matches!(denied, Denied::Busy) {
        return Ok(close_busy(session));
    }
    Ok(reject_login(session, &user, &denied, arrived).await)
}

/// Waits until the attempt can be checked. Parallel attempts beyond the number that leads to a ban
/// must wait for the results of the others.
async fn wait_for_attempt(session: &Session, user: &str) -> AttemptStart {
    for _ in 0..ATTEMPT_WAITS_MAX {
        match session.shared.begin_attempt(session.handle.peer.ip(), user) {
            AttemptStart::Wait => sleep(ATTEMPT_WAIT).await,
            start => return start,
        }
    }
    AttemptStart::Wait
}

fn close_busy(session: &Session) -> Next {
    let reason = "Server busy; try again later.";
    session.emit(&Event::ConnectionRejected { reason });
    Next::Close(Reply::new(Code::CLOSING, reason))
}

fn is_anonymous(session: &Session, user: &str) -> bool {
    session.shared.config().users.is_anonymous(user)
}

/// The account, and the client's character set if the login has shown it.
type Admitted = (Account, Option<CharsetObservation>);

/// Asks the account store. If the bytes can be decoded in two ways, both are tried; they count as
/// one attempt.
async fn admit(
    session: &Session,
    user: &[u8],
    secret: &[u8],
    counted: &mut auth_throttle::CountedAttempt,
) -> Result<Admitted, Denied> {
    if secret.len() > SECRET_BYTES_MAX {
        return Err(Denied::WrongPassword);
    }
    let users = Arc::clone(&session.shared.config().users);
    let mut denied = None;
    for (at, spelled) in session.names.credentials(user, secret).into_iter().enumerate() {
        if !is_name(&spelled.user) || !counted.covers(&spelled.user) {
            continue;
        }
        let attempt = Attempt {
            user: &spelled.user,
            secret: &spelled.secret,
            peer: session.handle.peer.ip(),
            is_tls: session.is_tls(),
        };
        let login = if at == 0 { users.login(&attempt) } else { users.login_again(&attempt) };
        match login.await {
            Ok(account) => {
                let is_name = std::str::from_utf8(user).is_err();
                let charset = spelled.set.map(|set| CharsetObservation { set, is_name });
                return may_enter(session, &spelled, account, counted).map(|one| (one, charset));
            }
            Err(why) => {
                if let Denied::WrongPasswordOf(name) = &why {
                    counted.covers(name);
                }
                let is_wrong = matches!(
                    why,
                    Denied::UnknownUser
                        | Denied::WrongPassword
                        | Denied::WrongPasswordOf(_)
                        | Denied::NoPassword
                );
                // A result for a known name is more specific than that another name is unknown.
                let is_more_specific = matches!(denied, None | Some(Denied::UnknownUser));
                if is_more_specific || !is_wrong {
                    denied = Some(why);
                }
                if !is_wrong {
                    break;
                }
            }
        }
    }
    Err(denied.unwrap_or_else(|| Denied::ByRule(LOCKED.into())))
}

/// Checks whether an authenticated user may log in. The account's own name is checked as well,
/// since directories accept several spellings of one name.
fn may_enter(
    session: &Session,
    sent: &Credentials,
    account: Account,
    counted: &mut auth_throttle::CountedAttempt,
) -> Result<Account, Denied> {
    let is_denied = |name: &str| {
        let name = name.to_lowercase();
        session.settings.login.deny_users.iter().any(|denied| denied.to_lowercase() == name)
    };
    if is_denied(&sent.user) || is_denied(&account.name) {
        return Err(Denied::ByRule("the name is in login.deny_users".into()));
    }
    if !counted.covers(&account.name) {
        return Err(Denied::ByRule(LOCKED.into()));
    }
    if account.requires_tls && !session.is_tls() {
        return Err(Denied::ByRule("the account needs TLS".into()));
    }
    Ok(account)
}

/// Hints at the client's character set from a login.
struct CharsetObservation {
    set: &'static Charset,
    /// Whether it comes from the user name, not only from the password.
    is_name: bool,
}

/// Opens the account's files and counts the session against the account's limit.
async fn enter(
    session: &mut Session,
    account: Account,
    charset: Option<CharsetObservation>,
) -> Result<Next, Denied> {
    let store = match session.shared.config().stores.open(&account).await {
        Ok(store) => store,
        Err(error) if error.kind == ErrorKind::Exhausted => return Ok(close_busy(session)),
        Err(error) => {
            let home = account.home.display();
            return Err(Denied::ByRule(format!("its home {home} cannot be opened: {error}")));
        }
    };
    let most = account.limits.sessions.unwrap_or(session.settings.limits.sessions_per_user);
    let Some(connection_guard) = session.shared.admission.account_guard(&account.name, most) else {
        let reply = "Too many sessions for this account.";
        let limit = match account.limits.sessions {
            Some(_) => "sessions of the account",
            None => "limits.sessions_per_user",
        };
        let reason = format!("{reply} ({limit})");
        session.emit(&Event::ConnectionRejected { reason: &reason });
        return Ok(Next::Close(Reply::new(Code::CLOSING, reply)));
    };
    let files =
        SessionFiles::new(Arc::clone(&store), account.rules.clone(), &session.settings.files);
    let text = login_reply(session, &account);
    session.handle.status.logged_in(&account.name, account.limits.clone());
    session.failed_logins = 0;
    session.unauthenticated = None;
    if let (Some(tls), Some(binding_id), false) =
        (&session.tls, session.binding_id, account.is_anonymous)
    {
        tls.logged_in(binding_id, &account.name, session.handle.peer.ip());
    }
    session.login = LoginState::LoggedIn(Box::new(LoggedIn {
        account,
        files,
        _connection_guard: connection_guard,
    }));
    session.emit(&Event::LoggedIn);
    if let Some(charset) = charset {
        session.note_login_charset(charset.set, charset.is_name);
    }
    Ok(Next::Reply(text))
}

fn login_reply(session: &Session, account: &Account) -> Reply {
    let message = &session.settings.login_message;
    if message.is_empty() {
        return Reply::new(Code::LOGGED_IN, "Login successful.");
    }
    let message = message
        .replace("{user}", &account.name)
        .replace("{ip}", &session.handle.peer.ip().to_string());
    Reply::lines(Code::LOGGED_IN, message.lines().map(str::to_owned))
}

/// Answers a failed login after a delay that does not reveal what was checked.
async fn reject_login(
    session: &mut Session,
    user: &str,
    denied: &Denied,
    arrived: Instant,
) -> Next {
    session.shared.metrics.login_failed(denied);
    let event = Event::LoginFailed { user: &escaped(user.as_bytes()), reason: &denied.to_string() };
    session.emit(&event);
    session.shared.report_auth_events();
    let peer = session.handle.peer.ip();
    // A new connection for each attempt does not shorten the delay.
    let failures =
        session.shared.auth_throttle.failures(peer, session.shared.now()).saturating_sub(1);
    let doublings = session.failed_logins.max(failures).min(16);
    let delay = session.settings.login.failure_delay.saturating_mul(1 << doublings);
    let slowest =
        session.shared.auth_throttle.slowest_check(arrived.elapsed(), session.shared.now());
    let slowest = slowest.min(FAILURE_DELAY_MAX).max(arrived.elapsed());
    sleep_until(arrived + answer_delay(delay.min(FAILURE_DELAY_MAX), slowest)).await;
    session.failed_logins += 1;
    if session.failed_logins >= session.settings.login.max_attempts {
        return Next::Close(Reply::new(Code::CLOSING, "Too many failed logins."));
    }
    if session.shared.auth_throttle.is_banned(peer, session.shared.now()) {
        return Next::Close(Reply::new(Code::CLOSING, BANNED));
    }
    Next::Reply(Reply::new(Code::NOT_LOGGED_IN, "Login incorrect."))
}

/// The time from a failed attempt to its reply: a whole multiple of `delay`, so that the time of
/// the reply does not reveal how long the check took.
fn answer_delay(delay: Duration, took: Duration) -> Duration {
    let delays = took.as_nanos().div_ceil(delay.as_nanos().max(1));
    delay.saturating_mul(u32::try_from(delays).unwrap_or(u32::MAX).max(1))
}

static ACCT: Spec = Spec {
    verb: "ACCT",
    syntax: "ACCT <account>",
    about: "Send an account name; not required",
    rfc: "RFC 959 §4.1.1",
    arg: Arg::Required,
    is_secret: true,
    run: Run::Sync(|_, _| Next::reply(Code::SUPERFLUOUS, "ACCT not required.")),
    ..Spec::any_time()
};

static REIN: Spec = Spec {
    verb: "REIN",
    syntax: "REIN",
    about: "Log out and reset the session",
    rfc: "RFC 959 §4.1.1",
    run: Run::Sync(rein),
    ..Spec::any_time()
};

/// Resets the session. Under TLS, REIN would return to clear text (RFC 4217 §11), in which an
/// attacker on the path could send commands for the client; so it is rejected.
fn rein(session: &mut Session, _: &[u8]) -> Result<Next, Refusal> {
    if session.is_tls() {
        return Next::reply(
            Code::NOT_IMPLEMENTED,
            "REIN not available while TLS is active; reconnect instead.",
        );
    }
    session.reset();
    Next::reply(Code::READY, "Service ready for new user.")
}

static QUIT: Spec = Spec {
    verb: "QUIT",
    syntax: "QUIT",
    about: "Close the connection",
    rfc: "RFC 959 §4.1.1",
    run: Run::Sync(|_, _| Ok(Next::Close(Reply::new(Code::GOODBYE, "Goodbye.")))),
    ..Spec::any_time()
};

#[cfg(test)]
mod tests;
