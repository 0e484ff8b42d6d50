//! One password, checked by PAM. Blocks for as long as the system's rules take.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use nix::unistd::User;
use nonstick::items::{Items, ItemsMut};
use nonstick::{AuthnFlags, ConversationAdapter, ErrorCode, PamShared, Transaction};
use nonstick::{Result as PamResult, TransactionBuilder};

use super::message::{Answer, Question, Said};

/// Checks the password, and whether the account may be used today.
pub(super) fn check(service: &str, question: &Question<'_>) -> Answer {
    match ask(service, question) {
        Ok(()) => Answer { said: Said::Right, text: home_of(question.user) },
        Err((part, error)) => answer(part, error),
    }
}

/// Where a check failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Before anything was asked.
    Start,
    /// At the password.
    Password,
    /// At the account: locked, expired, not at this hour.
    Account,
}

fn ask(service: &str, question: &Question<'_>) -> Result<(), (Part, ErrorCode)> {
    let at = |part: Part| move |error: ErrorCode| (part, error);
    let answers =
        Answers { user: question.user.into(), secret: OsStr::from_bytes(question.secret).into() };
    let mut transaction = TransactionBuilder::new_with_service(service)
        .username(question.user)
        .build(answers.into_conversation())
        .map_err(at(Part::Start))?;
    let address = OsStr::new(question.address);
    transaction.items_mut().set_remote_host(Some(address)).map_err(at(Part::Start))?;
    let flags = AuthnFlags::DISALLOW_NULL_AUTHTOK | AuthnFlags::SILENT;
    transaction.authenticate(flags).map_err(at(Part::Password))?;
    transaction.account_management(flags).map_err(at(Part::Account))?;
    // A module may have made another name of it, and that one is not ours to be.
    let user = transaction.items().user().map_err(at(Part::Account))?;
    if user.is_some_and(|user| user != OsStr::new(question.user)) {
        return Err((Part::Account, ErrorCode::UserUnknown));
    }
    Ok(())
}

fn answer(part: Part, error: ErrorCode) -> Answer {
    let said = match (part, error) {
        (Part::Start, _) => Said::Broken,
        (_, ErrorCode::UserUnknown) => Said::Unknown,
        (
            Part::Password,
            ErrorCode::AuthenticationError
            | ErrorCode::MaxTries
            | ErrorCode::PermissionDenied
            | ErrorCode::CredentialsError
            | ErrorCode::AuthTokError,
        ) => Said::Wrong,
        (
            _,
            ErrorCode::AccountExpired
            | ErrorCode::NewAuthTokRequired
            | ErrorCode::AuthTokExpired
            | ErrorCode::CredentialsExpired,
        ) => Said::Expired,
        (Part::Account, ErrorCode::PermissionDenied | ErrorCode::AuthenticationError) => {
            Said::Locked
        }
        _ => Said::Broken,
    };
    let text = match said {
        Said::Expired | Said::Broken => format!("PAM says: {error}"),
        _ => String::new(),
    };
    Answer { said, text }
}

/// The home in the system's list of accounts; empty where it has none that is text.
fn home_of(user: &str) -> String {
    let found = User::from_name(user).ok().flatten();
    found.and_then(|user| user.dir.into_os_string().into_string().ok()).unwrap_or_default()
}

/// Answers every question that is not shown with the password.
struct Answers {
    user: OsString,
    secret: OsString,
}

impl ConversationAdapter for Answers {
    fn prompt(&self, _: impl AsRef<OsStr>) -> PamResult<OsString> {
        Ok(self.user.clone())
    }

    fn masked_prompt(&self, _: impl AsRef<OsStr>) -> PamResult<OsString> {
        Ok(self.secret.clone())
    }

    fn error_msg(&self, _: impl AsRef<OsStr>) {}

    fn info_msg(&self, _: impl AsRef<OsStr>) {}
}
