//! One password, checked by PAM. Blocks for as long as the system's rules take.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use nix::unistd::User;
use nonstick::items::{Items, ItemsMut};
use nonstick::{AuthnFlags, ConversationAdapter, ErrorCode, PamShared, Transaction};
use nonstick::{Result as PamResult, TransactionBuilder};

use super::message::{PamRequest, PamResponse, PamStatus};

/// Checks the password, and whether the account may be used today.
pub(super) fn check(service: &str, request: &PamRequest<'_>) -> PamResponse {
    match authenticate(service, request) {
        Ok(()) => PamResponse { status: PamStatus::Right, text: home_of(request.user) },
        Err((stage, error)) => response(stage, error),
    }
}

/// Where a check failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PamStage {
    /// Before authentication.
    Start,
    /// At the password.
    BindPassword,
    /// At the account: locked, expired, not at this hour.
    Account,
}

fn authenticate(service: &str, request: &PamRequest<'_>) -> Result<(), (PamStage, ErrorCode)> {
    let at = |stage: PamStage| move |error: ErrorCode| (stage, error);
    let answers = PasswordConversation {
        user: request.user.into(),
        secret: OsStr::from_bytes(request.secret).into(),
    };
    let mut transaction = TransactionBuilder::new_with_service(service)
        .username(request.user)
        .build(answers.into_conversation())
        .map_err(at(PamStage::Start))?;
    let address = OsStr::new(request.address);
    transaction.items_mut().set_remote_host(Some(address)).map_err(at(PamStage::Start))?;
    let flags = AuthnFlags::DISALLOW_NULL_AUTHTOK | AuthnFlags::SILENT;
    transaction.authenticate(flags).map_err(at(PamStage::BindPassword))?;
    transaction.account_management(flags).map_err(at(PamStage::Account))?;
    // A module may have changed the user name; that account was not requested.
    let user = transaction.items().user().map_err(at(PamStage::Account))?;
    if user.is_some_and(|user| user != OsStr::new(request.user)) {
        return Err((PamStage::Account, ErrorCode::UserUnknown));
    }
    Ok(())
}

fn response(stage: PamStage, error: ErrorCode) -> PamResponse {
    let status = match (stage, error) {
        (PamStage::Start, _) => PamStatus::Broken,
        (_, ErrorCode::UserUnknown) => PamStatus::Unknown,
        (
            PamStage::BindPassword,
            ErrorCode::AuthenticationError
            | ErrorCode::MaxTries
            | ErrorCode::PermissionDenied
            | ErrorCode::CredentialsError
            | ErrorCode::AuthTokError,
        ) => PamStatus::Wrong,
        (
            _,
            ErrorCode::AccountExpired
            | ErrorCode::NewAuthTokRequired
            | ErrorCode::AuthTokExpired
            | ErrorCode::CredentialsExpired,
        ) => PamStatus::Expired,
        (PamStage::Account, ErrorCode::PermissionDenied | ErrorCode::AuthenticationError) => {
            PamStatus::Locked
        }
        _ => PamStatus::Broken,
    };
    let text = match status {
        PamStatus::Expired | PamStatus::Broken => format!("PAM error: {error}"),
        _ => String::new(),
    };
    PamResponse { status, text }
}

/// The home in the system's user database; empty if there is none, or it is not UTF-8.
fn home_of(user: &str) -> String {
    let found = User::from_name(user).ok().flatten();
    found.and_then(|user| user.dir.into_os_string().into_string().ok()).unwrap_or_default()
}

/// Answers every hidden prompt with the password.
struct PasswordConversation {
    user: OsString,
    secret: OsString,
}

impl ConversationAdapter for PasswordConversation {
    fn prompt(&self, _: impl AsRef<OsStr>) -> PamResult<OsString> {
        Ok(self.user.clone())
    }

    fn masked_prompt(&self, _: impl AsRef<OsStr>) -> PamResult<OsString> {
        Ok(self.secret.clone())
    }

    fn error_msg(&self, _: impl AsRef<OsStr>) {}

    fn info_msg(&self, _: impl AsRef<OsStr>) {}
}
