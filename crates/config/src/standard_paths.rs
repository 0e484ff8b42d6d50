//! Paths of this operating system for configuration and state, and the language of the session.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as system;
#[cfg(windows)]
mod windows;
use std::path::PathBuf;

#[cfg(windows)]
use windows as system;

/// The file name of the configuration.
pub const CONFIG_NAME: &str = "wharf.toml";

/// The paths at which a configuration is searched for, in order. The current folder is not among
/// them: clients may have uploaded a file there.
pub fn config_candidates() -> Vec<PathBuf> {
    system::config_folders().into_iter().map(|dir| dir.join(CONFIG_NAME)).collect()
}

/// The folder for a new configuration.
pub fn config_folder() -> PathBuf {
    system::config_folders().into_iter().next().unwrap_or_default()
}

/// The default folder for certificates and other state.
pub fn state_folder() -> PathBuf {
    system::state_folder()
}

/// The possible paths of the control socket, that of our own server first.
pub fn control_sockets() -> Vec<PathBuf> {
    system::control_sockets()
}

/// The legacy character set for the language of this system; `None` if the language does not imply
/// one, as on most servers.
pub fn legacy_encoding() -> Option<&'static encoding_rs::Encoding> {
    encoding_of(&system::characters())
}

/// The language of the session, such as `zh_CN.UTF-8`; empty if it is not set.
pub fn language() -> String {
    system::language()
}

/// The host name, if there is one.
pub fn host_name() -> Option<String> {
    system::host_name().filter(|name| !name.is_empty() && name != "localhost")
}

/// The names of this computer: the host name and its aliases in the hosts file, such as the fully
/// qualified name.
pub fn own_names() -> Vec<String> {
    let Some(own) = host_name() else { return Vec::new() };
    let table = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let beside = names_beside(&own, table.get(..TABLE_BYTES_MAX).unwrap_or(&table));
    std::iter::once(own).chain(beside).collect()
}

/// Maximum size of a hosts file.
const TABLE_BYTES_MAX: usize = 64 << 10;

/// The names on the same line as `own` in a table such as `/etc/hosts`.
fn names_beside(own: &str, table: &str) -> Vec<String> {
    let lines = table.lines().map(|line| line.split('#').next().unwrap_or_default());
    let names = lines.map(|line| line.split_whitespace().skip(1));
    let fitting = names.filter(|names| names.clone().any(|name| name.eq_ignore_ascii_case(own)));
    fitting.flatten().map(str::to_owned).collect()
}

/// The path of this program, to start it again.
pub fn own_program() -> std::io::Result<PathBuf> {
    system::own_program()
}

/// The legacy character set for a locale such as `zh_CN.UTF-8`.
fn encoding_of(language: &str) -> Option<&'static encoding_rs::Encoding> {
    let language = language.to_ascii_lowercase().replace('-', "_");
    let is = |prefix: &str| language.starts_with(prefix);
    let is_neutral = matches!(language.as_str(), "" | "c" | "posix");
    if is_neutral || is("c.") || is("en") {
        return None;
    }
    Some(match () {
        () if is("zh_tw") || is("zh_hk") || is("zh_mo") || is("zh_hant") => encoding_rs::BIG5,
        () if is("zh") => encoding_rs::GBK,
        () if is("ja") => encoding_rs::SHIFT_JIS,
        () if is("ko") => encoding_rs::EUC_KR,
        () if is("ru") || is("uk") || is("be") || is("bg") || is("sr") => encoding_rs::WINDOWS_1251,
        () if is("pl") || is("cs") || is("hu") || is("sk") || is("sl") || is("hr") || is("ro") => {
            encoding_rs::WINDOWS_1250
        }
        () if is("el") => encoding_rs::WINDOWS_1253,
        () if is("tr") => encoding_rs::WINDOWS_1254,
        () if is("he") => encoding_rs::WINDOWS_1255,
        () if is("ar") || is("fa") => encoding_rs::WINDOWS_1256,
        () if is("th") => encoding_rs::WINDOWS_874,
        () if is("vi") => encoding_rs::WINDOWS_1258,
        () => encoding_rs::WINDOWS_1252,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_have_a_legacy_character_set() {
        for (language, encoding) in [
            ("zh_CN.UTF-8", "GBK"),
            ("zh-TW", "Big5"),
            ("ja_JP.UTF-8", "Shift_JIS"),
            ("de_DE", "windows-1252"),
            ("cs_CZ.UTF-8", "windows-1250"),
        ] {
            assert_eq!(encoding_of(language).unwrap().name(), encoding, "{language}");
        }
        for language in ["C.UTF-8", "C", "POSIX", "en_US.UTF-8", ""] {
            assert_eq!(encoding_of(language), None, "{language}");
        }
    }
}
