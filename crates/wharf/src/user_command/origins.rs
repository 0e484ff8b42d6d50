//! Origins of the settings of an account or a group, as text and as JSON.

use wharf_config::Config;
use wharf_config::account_error::AccountError;
use wharf_config::raw::quoted;
use wharf_proto::path::VPath;
use wharf_runtime::accounts::AccountStoreKind;
use wharf_users::admin::UserAdmin;
use wharf_users::file::{Holder, SettingOrigin, UserFile, UserRecord};

/// Origins of settings.
pub(super) struct Origins {
    /// The account's or group's own settings.
    own: UserRecord,
    groups: Vec<UserRecord>,
    is_group: bool,
    /// The file, if the store is a file.
    file: Option<(String, UserFile)>,
}

impl Origins {
    /// Those of an account; empty if it is unknown.
    pub(super) async fn of_user(
        store: &dyn UserAdmin,
        config: &Config,
        name: &str,
    ) -> Result<Option<Self>, AccountError> {
        let Some(own) = store.own(name).await? else { return Ok(None) };
        let groups = store.groups().await?;
        Ok(Some(Self { own, groups, is_group: false, file: file(config)? }))
    }

    /// Those of a group.
    pub(super) fn of_group(group: &UserRecord, config: &Config) -> Result<Self, AccountError> {
        let (own, groups) = (group.clone(), Vec::new());
        Ok(Self { own, groups, is_group: true, file: file(config)? })
    }

    /// The origin of a key.
    pub(super) fn of(&self, key: &str, inner: Option<&VPath>) -> SettingOrigin<'_> {
        let named = |name: &str| self.groups.iter().find(|group| group.name == name);
        self.own.origin_of(named, key, inner)
    }

    /// As text; none if it is not set.
    pub(super) fn text(&self, key: &str, inner: Option<&VPath>) -> Option<String> {
        let place = self.place(key, inner);
        match (self.of(key, inner), place) {
            (SettingOrigin::Unset, _) => None,
            (SettingOrigin::Own, Some(place)) => Some(place),
            (SettingOrigin::Own, None) => Some("account".to_owned()),
            (SettingOrigin::Group(group), Some(place)) => Some(format!("group {group}, {place}")),
            (SettingOrigin::Group(group), None) => Some(format!("group {group}")),
        }
    }

    /// As a JSON object; none if it is not set.
    pub(super) fn json(&self, key: &str, inner: Option<&VPath>) -> Option<String> {
        let or_null = |text: Option<&str>| text.map_or_else(|| "null".to_owned(), quoted);
        let group = match self.of(key, inner) {
            SettingOrigin::Unset => return None,
            SettingOrigin::Own => None,
            SettingOrigin::Group(group) => Some(group),
        };
        let place = self.place(key, inner);
        let (group, place) = (or_null(group), or_null(place.as_deref()));
        Some(format!("{{\"group\":{group},\"origin\":{place}}}"))
    }

    /// The file and line where it is set.
    fn place(&self, key: &str, inner: Option<&VPath>) -> Option<String> {
        let (path, file) = self.file.as_ref()?;
        let line = if self.is_group {
            file.line_in(&Holder::Group(self.own.name.clone()), key, inner)?
        } else {
            file.line_of_setting(&self.own.name, key, inner)?
        };
        Some(format!("{path}:{line}"))
    }
}

fn file(config: &Config) -> Result<Option<(String, UserFile)>, AccountError> {
    let AccountStoreKind::File = config.accounts.store.0 else { return Ok(None) };
    let path = &config.server.users_file.0;
    Ok(Some((path.display().to_string(), UserFile::read(path)?)))
}
