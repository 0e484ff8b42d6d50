//! The quick share that options define.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use wharf_config::account_error::NAME_HINT;
use wharf_config::choice::AnonymousPermissions;
use wharf_config::gather::Flag;
use wharf_config::outcome::Failure;
use wharf_config::password::{check_password, read_password_file};
use wharf_config::raw::Raw;
use wharf_core::permission::Permissions;
use wharf_runtime::os::real_folder;
use wharf_runtime::share::{Password, Share, ShareAccess};
use wharf_users::name::check_name;

use crate::cli;
use crate::cli::serve::{ServeArgs, path_text};
use crate::prompt::confirm;
use crate::words::fresh;

/// Default name of the account.
pub(crate) const USER: &str = "wharf";

/// The share described by the options. Prompts for the password if necessary.
pub(super) fn share_of(options: &ServeArgs) -> Result<Share, Failure> {
    let folder = folder(options)?;
    let access = if options.anonymous {
        ShareAccess::Anonymous(anonymous_permission_set(options))
    } else {
        let user = user_name(options)?;
        let permissions = if options.write { "read-write" } else { "read" };
        let permissions = Permissions::parse(permissions).unwrap_or(Permissions::READ_ONLY);
        ShareAccess::Account { user, password: password(options)?, permissions }
    };
    Ok(Share { folder, access })
}

/// The configuration keys that correspond to the share.
pub(super) fn flags(options: &ServeArgs) -> Result<Vec<Flag>, Failure> {
    let folder = folder(options)?;
    if !options.anonymous {
        return Ok(Vec::new());
    }
    let set = |name: &str, raw| Flag { shown: "-A".into(), path: format!("login.{name}"), raw };
    Ok(vec![
        set("anonymous", Raw::Boolean(true)),
        set("anonymous_home", Raw::Text(path_text(Some(&folder)).unwrap_or_default())),
        set("anonymous_permissions", Raw::Text(anonymous_permission_set(options).to_string())),
    ])
}

/// The name of the account.
pub(super) fn user_name(options: &ServeArgs) -> Result<String, Failure> {
    let user = options.username.as_deref().unwrap_or(USER);
    match check_name(user) {
        Ok(()) => Ok(user.to_owned()),
        Err(problem) => {
            let what = format!("invalid --username `{}`: {problem}", user.escape_debug());
            Err(Failure::usage(what).hint(NAME_HINT))
        }
    }
}

fn anonymous_permission_set(options: &ServeArgs) -> AnonymousPermissions {
    match (options.dropbox, options.write) {
        (true, _) => AnonymousPermissions::Dropbox,
        (false, true) => AnonymousPermissions::ReadWrite,
        (false, false) => AnonymousPermissions::Read,
    }
}

/// The folder to share, absolute.
pub(super) fn folder(options: &ServeArgs) -> Result<PathBuf, Failure> {
    let typed = options.folder.as_deref().or(options.directory.as_deref());
    let path = typed.unwrap_or_else(|| Path::new("."));
    let shown = path.display();
    match real_folder(path) {
        Ok(folder) if folder.is_dir() => Ok(folder),
        Ok(_) => Err(Failure::new(format!("cannot share {shown}: not a folder"))
            .hint("only folders can be shared; name the folder that contains the file")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let word = options.folder.as_ref().and_then(|word| word.to_str());
            let is_command =
                |word: &&str| cli::is_like_command(word) || cli::elsewhere::hint(word).is_some();
            Err(match word.filter(is_command) {
                Some(word) => cli::mistake::unknown_command(word, &[]),
                None => Failure::new(format!("folder not found: {shown}"))
                    .hint(format!("create it:  mkdir '{shown}'")),
            })
        }
        Err(error) => Err(Failure::io(format!("cannot share {shown}"), &error)),
    }
}

fn password(options: &ServeArgs) -> Result<Password, Failure> {
    if let Some(file) = &options.password_file {
        return Ok(Password { text: read_password_file(file)?, is_fresh: false });
    }
    match &options.password {
        Some(text) => {
            check_password(text)?;
            Ok(Password { text: text.clone(), is_fresh: false })
        }
        None => Ok(Password { text: fresh()?, is_fresh: true }),
    }
}

/// Asks for confirmation before anonymous users get write access, unless `--yes` is given.
pub(super) fn confirm_open_share(share: &Share, has_yes: bool) -> Result<(), Failure> {
    if share.access != ShareAccess::Anonymous(AnonymousPermissions::ReadWrite) || has_yes {
        return Ok(());
    }
    let shown = share.folder.display();
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "-A -w allows anonymous users to change and delete all files in {shown}"
        ))
        .hint("to confirm, add --yes; to only receive files use -A --dropbox"));
    }
    if confirm(&format!(
        "Anonymous users can then change and delete all files in {shown}. Continue?"
    ))? {
        return Ok(());
    }
    Err(Failure::new("cancelled"))
}
