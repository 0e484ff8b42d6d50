//! Coming and going: USER, PASS, ACCT, REIN, QUIT.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use wharf_core::account::Account;
use wharf_core::event::Event;
use wharf_core::users::{Attempt, Denied};
use wharf_proto::path::escaped;
use wharf_proto::reply::{Code, Reply};

use super::spec::{Arg, Run, Spec};
use crate::files::Files;
use crate::next::Next;
use crate::refusal::Refusal;
use crate::session::{LoggedIn, Login, Session};
use crate::settings::TlsRequire;

pub(super) static ROWS: &[&Spec] = &[&USER, &PASS, &ACCT, &REIN, &QUIT];

/// The longest user name in bytes.
const USER_BYTES_MAX: usize = 64;
/// The longest password in bytes: more is no password but an attack on the hash.
const SECRET_BYTES_MAX: usize = 1024;
/// However often somebody has failed, the next answer comes after this.
const FAILURE_DELAY_MAX: Duration = Duration::from_secs(10);

static USER: Spec = Spec {
    verb: "USER",
    syntax: "USER <name>",
    about: "Say who you are",
    rfc: "RFC 959 §4.1.1",
    arg: Arg::Required,
    run: Run::Now(user),
    ..Spec::ANY_TIME
};

/// Takes a name, whoever it is: 331 for every one, so that nobody learns which names exist.
fn user(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    session.login = Login::Greeted;
    let user = session.names.text(arg);
    if user.len() > USER_BYTES_MAX || user.chars().any(char::is_control) {
        return Next::say(Code::BAD_ARGUMENT, "That cannot be a user name.");
    }
    if must_use_tls(session, &user) {
        return Next::say(
            Code::NOT_LOGGED_IN,
            "Passwords need TLS here: choose FTPS, explicit, in your client.",
        );
    }
    session.login = Login::Named { user };
    Next::say(Code::NEED_PASSWORD, "Password, please.")
}

/// Whether a password for `user` must not be sent in the clear from where the client is.
fn must_use_tls(session: &Session, user: &str) -> bool {
    let Some(tls) = &session.settings.tls else { return false };
    if session.is_tls() {
        return false;
    }
    let is_secret = !session.shared.users.is_anonymous(user);
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
    ..Spec::ANY_TIME
};

/// Logs in. Every failure sounds the same and comes ever later; the last one ends the session.
async fn pass(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let user = match &session.login {
        Login::Greeted => return Next::say(Code::BAD_SEQUENCE, "Send USER first."),
        Login::In(_) => return Next::say(Code::BAD_SEQUENCE, "You are logged in already."),
        Login::Named { user } => user.clone(),
    };
    session.login = Login::Greeted;
    let entered = match admit(session, &user, arg).await {
        Ok(account) => enter(session, account).await,
        Err(denied) => Err(denied),
    };
    match entered {
        Ok(next) => Ok(next),
        Err(denied) => Ok(turn_away(session, &user, &denied).await),
    }
}

/// Asks the store of accounts.
async fn admit(session: &Session, user: &str, secret: &[u8]) -> Result<Account, Denied> {
    if secret.len() > SECRET_BYTES_MAX {
        return Err(Denied::WrongPassword);
    }
    let attempt = Attempt { user, secret, peer: session.peer.ip(), is_tls: session.is_tls() };
    let account = session.shared.users.login(&attempt).await?;
    if session.settings.login.deny_users.iter().any(|denied| denied == user) {
        return Err(Denied::Refused("the name is in login.deny_users".into()));
    }
    if account.requires_tls && !session.is_tls() {
        return Err(Denied::Refused("the account needs TLS".into()));
    }
    Ok(account)
}

/// Opens the account's files and takes its seat.
async fn enter(session: &mut Session, account: Account) -> Result<Next, Denied> {
    let store = session.shared.stores.open(&account).await.map_err(|error| {
        Denied::Refused(format!("its home {} cannot be opened: {error}", account.home.display()))
    })?;
    let most = account.limits.sessions_max.unwrap_or(session.settings.limits.sessions_per_user);
    let Some(seat) = session.shared.admission.user_seat(&account.name, most) else {
        let reason = "Too many sessions of this account.";
        session.emit(&Event::TurnedAway { reason });
        return Ok(Next::Close(Reply::new(Code::CLOSING, reason)));
    };
    let files = Files::new(Arc::clone(&store), account.rules.clone(), &session.settings.files);
    let text = welcome(session, &account);
    session.probe.logged_in(&account.name);
    session.failed_logins = 0;
    session.login = Login::In(Box::new(LoggedIn { account, files, _seat: seat }));
    session.emit(&Event::LoggedIn);
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

async fn turn_away(session: &mut Session, user: &str, denied: &Denied) -> Next {
    let event = Event::LoginFailed { user: &escaped(user.as_bytes()), reason: &denied.to_string() };
    session.emit(&event);
    let login = &session.settings.login;
    let doublings = session.failed_logins.min(16);
    sleep(login.failure_delay.saturating_mul(1 << doublings).min(FAILURE_DELAY_MAX)).await;
    session.failed_logins += 1;
    if session.failed_logins >= session.settings.login.attempts_max {
        return Next::Close(Reply::new(Code::CLOSING, "Too many failed logins."));
    }
    Next::Say(Reply::new(Code::NOT_LOGGED_IN, "Login incorrect."))
}

static ACCT: Spec = Spec {
    verb: "ACCT",
    syntax: "ACCT <account>",
    about: "Name an account; never needed here",
    rfc: "RFC 959 §4.1.1",
    arg: Arg::Required,
    is_secret: true,
    run: Run::Now(|_, _| Next::say(Code::SUPERFLUOUS, "No account is needed.")),
    ..Spec::ANY_TIME
};

static REIN: Spec = Spec {
    verb: "REIN",
    syntax: "REIN",
    about: "Start over, as after the greeting",
    rfc: "RFC 959 §4.1.1",
    run: Run::Now(rein),
    ..Spec::ANY_TIME
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
    ..Spec::ANY_TIME
};
