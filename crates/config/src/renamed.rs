//! Keys, events, placeholders and values that had another name in earlier versions.

use super::raw::Raw;

/// Old and current name of each renamed key. A key stays in its section.
pub(crate) const RENAMED: &[(&str, &str)] = &[
    ("accounts.login", "accounts.auth_backends"),
    ("events.check_failure", "events.check_on_error"),
    ("events.check_refuses", "events.check_reject_exit_codes"),
    ("files.check_announced_size", "files.enforce_allo_size"),
    ("files.keep_partials", "files.partial_upload_retention"),
    ("files.make_parents", "files.create_parent_dirs"),
    ("files.reserve", "files.min_free_space"),
    ("tls.names", "tls.server_names"),
];

/// Old and current name of each renamed event that `webhook.events` accepts.
pub(crate) const RENAMED_EVENTS: &[(&str, &str)] = &[
    ("ban-lifted", "ban-removed"),
    ("banned", "ban-added"),
    ("change", "attributes-changed"),
    ("charset", "charset-detected"),
    ("data-diagnosis", "data-connection-diagnosis"),
    ("data-failed", "data-connection-failed"),
    ("data-session-mismatch", "data-connection-tls-not-resumed"),
    ("data-strangers", "data-connection-unexpected-peers"),
    ("data-tls-not-resumed", "data-connection-tls-not-resumed"),
    ("data-unexpected-peers", "data-connection-unexpected-peers"),
    ("data-unproven", "data-connection-tls-not-resumed"),
    ("denied", "command-denied"),
    ("doctor", "data-connection-diagnosis"),
    ("ended", "session-ended"),
    ("secured", "tls-established"),
    ("store-failed", "storage-failed"),
    ("turned-away", "connection-rejected"),
    ("upload-refused", "upload-check-rejected"),
];

/// Old and current placeholder in arguments of hooks, for renamed fields of events.
pub(crate) const RENAMED_PLACEHOLDERS: &[(&str, &str)] = &[
    ("{arrived}", "{established}"),
    ("{by_hand}", "{manual}"),
    ("{draft}", "{partial_file}"),
    ("{first}", "{first_peer}"),
    ("{help}", "{hint}"),
    ("{seconds}", "{duration_seconds}"),
    ("{session}", "{session_id}"),
    ("{tried}", "{attempted_user}"),
];

/// Keys with a renamed value: the key, the old and the current value.
pub(crate) const RENAMED_VALUES: &[(&str, &str, &str)] =
    &[("events.check_on_error", "refuse", "reject")];

/// The hint for an old value of a key.
pub(crate) fn renamed_value_hint(path: &str, raw: &Raw, is_in_file: bool) -> Option<String> {
    let text = raw.text()?;
    let is_it = |(key, old, _): &&(&str, &str, &str)| *key == path && *old == text;
    let (_, _, new) = RENAMED_VALUES.iter().find(is_it)?;
    let how = if is_in_file { "; to rewrite the file:  wharf config migrate --write" } else { "" };
    Some(format!("renamed to `{new}`{how}"))
}

/// The hint for an old name of a value.
pub(crate) fn renamed_hint(renamed: &[(&str, &str)], old: &str) -> Option<String> {
    let (_, new) = renamed.iter().find(|(known, _)| *known == old)?;
    Some(format!("renamed to {new}; to rewrite the file:  wharf config migrate --write"))
}

/// The current name of a key, given an old one.
pub(crate) fn current_name(old: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(known, _)| *known == old).map(|(_, new)| *new)
}

#[cfg(test)]
#[path = "renamed/changelog_tests.rs"]
mod changelog_tests;
