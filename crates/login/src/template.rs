//! Accounts that no store has: where their files are and what they may do.

use std::path::{Component, Path, PathBuf};

use tokio::task::spawn_blocking;
use wharf_core::account::{Account, is_name};
use wharf_core::permission::{Permissions, Rules};
use wharf_core::users::Denied;

use crate::source::ExternalAccount;

/// The placeholder for the user name.
pub const NAME_MARK: &str = "%u";

/// A home with the account's name in it, such as `/srv/ftp/%u`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeTemplate(String);

/// Why a text is not a valid home template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// It is not an absolute path.
    NotAbsolute,
    /// It has `..` in it, or a NUL.
    Climbs,
    /// It contains a `%` other than that of `%u`.
    UnknownMark,
}

impl HomeTemplate {
    /// Takes a text for what it is.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.replace(NAME_MARK, "").contains('%') {
            return Err(TemplateError::UnknownMark);
        }
        check_home(Path::new(text))?;
        Ok(Self(text.to_owned()))
    }

    /// The home of an account.
    pub fn home(&self, name: &str) -> PathBuf {
        PathBuf::from(self.0.replace(NAME_MARK, name))
    }

    /// The folder that contains all homes: the path above the first component with a placeholder,
    /// or the whole path if all accounts share one home.
    pub fn folder(&self) -> PathBuf {
        let path = Path::new(&self.0);
        let is_fixed =
            |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(NAME_MARK);
        path.components().take_while(is_fixed).collect()
    }
}

/// The settings of an externally authenticated account that is in no store.
#[derive(Clone, Debug)]
pub struct AccountTemplate {
    /// The home, unless the backend returns one.
    pub home: Option<HomeTemplate>,
    /// Whether that home is created if missing.
    pub creates_home: bool,
    /// The permissions, unless the backend returns them.
    pub permissions: Permissions,
}

impl AccountTemplate {
    /// The account of `name`.
    ///
    /// # Errors
    /// `Rejected` if there is no home, or it is invalid; `Broken` if it cannot be created.
    pub async fn account(&self, name: &str, external: ExternalAccount) -> Result<Account, Denied> {
        if !is_name(name) {
            let why = format!("invalid user name {}", name.escape_debug());
            return Err(Denied::ByRule(why));
        }
        let templated = self.home.as_ref().map(|home| home.home(name));
        let is_ours = external.home.is_none() && templated.is_some();
        let home = external.home.or(templated).or(external.system_home).ok_or_else(|| {
            let why = "no home: there is no account of this name, and \
                       accounts.home is empty";
            Denied::ByRule(why.to_owned())
        })?;
        check_home(&home).map_err(|_| {
            let shown = home.display().to_string();
            Denied::ByRule(format!("invalid home {}", shown.escape_debug()))
        })?;
        if is_ours && self.creates_home {
            make(home.clone()).await?;
        }
        let rules = Rules::everywhere(external.permissions.unwrap_or(self.permissions));
        let rules = external
            .paths
            .into_iter()
            .fold(rules, |rules, (path, permissions)| rules.with(path, permissions));
        let mut account = Account::new(name, home, rules);
        account.limits = external.limits;
        account.requires_tls = external.requires_tls;
        Ok(account)
    }
}

/// A home is absolute, not the root, and contains no `..`.
fn check_home(home: &Path) -> Result<(), TemplateError> {
    if !home.is_absolute() {
        return Err(TemplateError::NotAbsolute);
    }
    let climbs = home.components().any(|part| part == Component::ParentDir)
        || home.as_os_str().as_encoded_bytes().contains(&0)
        || home.parent().is_none();
    if climbs { Err(TemplateError::Climbs) } else { Ok(()) }
}

async fn make(home: PathBuf) -> Result<(), Denied> {
    let shown = home.display().to_string();
    let made = spawn_blocking(move || std::fs::create_dir_all(home)).await;
    let failed = |error: std::io::Error| {
        let sentence = format!("cannot create the home {shown}: {error}");
        Denied::Broken(std::io::Error::new(error.kind(), sentence).into())
    };
    made.map_err(std::io::Error::other).flatten().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(home: &str) -> AccountTemplate {
        let home = (!home.is_empty()).then(|| HomeTemplate::parse(home).unwrap());
        AccountTemplate { home, creates_home: false, permissions: Permissions::READ_ONLY }
    }

    #[test]
    fn a_template_is_absolute_and_has_one_placeholder() {
        for text in ["/srv/ftp/%u", "/srv/ftp", "/srv/%u/files", "/srv/ftp-%u"] {
            assert!(HomeTemplate::parse(text).is_ok(), "{text}");
        }
        for (text, error) in [
            ("srv/%u", TemplateError::NotAbsolute),
            ("", TemplateError::NotAbsolute),
            ("%u", TemplateError::NotAbsolute),
            ("/srv/../%u", TemplateError::Climbs),
            ("/", TemplateError::Climbs),
            ("/srv/%n", TemplateError::UnknownMark),
            ("/srv/100%", TemplateError::UnknownMark),
        ] {
            assert_eq!(HomeTemplate::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn the_folder_of_homes_ends_above_the_name() {
        for (text, folder) in [
            ("/srv/ftp/%u", "/srv/ftp"),
            ("/srv/%u/files", "/srv"),
            ("/srv/x-%u", "/srv"),
            ("/srv/all", "/srv/all"),
        ] {
            assert_eq!(HomeTemplate::parse(text).unwrap().folder(), Path::new(folder), "{text}");
        }
    }

    #[tokio::test]
    async fn the_backend_home_precedes_the_template_and_the_system_home_follows() {
        let home = async |template: &str, home: &str, system: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
            let external = ExternalAccount {
                home: some(home),
                system_home: some(system),
                ..ExternalAccount::default()
            };
            self::template(template).account("anna", external).await.map(|account| account.home)
        };
        assert_eq!(home("/t/%u", "/own", "/sys").await.unwrap(), Path::new("/own"));
        assert_eq!(home("/t/%u", "", "/sys").await.unwrap(), Path::new("/t/anna"));
        assert_eq!(home("", "", "/sys").await.unwrap(), Path::new("/sys"));
        for (template, preset) in [("", ""), ("", "relative"), ("", "/a/../b"), ("/t", "/")] {
            let denied = home(template, preset, "").await.unwrap_err();
            assert!(matches!(denied, Denied::ByRule(_)), "{denied}");
        }
    }

    #[tokio::test]
    async fn row_22_a_name_with_path_components_gets_no_account() {
        for name in ["..", "../x", "a/b", "", ".ssh", "a\0"] {
            let denied = template("/srv/%u").account(name, ExternalAccount::default()).await;
            assert!(matches!(denied, Err(Denied::ByRule(_))), "{name}");
        }
    }

    #[tokio::test]
    async fn a_home_is_made_only_where_that_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("{}/%u", folder.path().display());
        let mut template = template(&text);
        template.account("anna", ExternalAccount::default()).await.unwrap();
        assert!(!folder.path().join("anna").exists());
        template.creates_home = true;
        template.account("anna", ExternalAccount::default()).await.unwrap();
        assert!(folder.path().join("anna").is_dir());
    }
}
