//! Hints name commands that can be copied: they repeat the `-c FILE` of the command that failed.

use std::borrow::Cow;
use std::path::Path;
use std::sync::OnceLock;

/// Commands that read the configuration.
const WITH_CONFIG: &[&str] = &[
    "ban", "check", "config migrate", "config show", "group", "kick", "log", "reload", "serve",
    "status", "stop", "top", "user", "who", "why",
];
const PROGRAM: &str = "wharf ";

/// `-c FILE` as it was given.
static CONFIG_OPTION: OnceLock<String> = OnceLock::new();

/// Remembers the configuration file given as an option.
pub fn set_config(file: &Path) {
    let _ = CONFIG_OPTION.set(format!("-c {} ", shell_word(&file.display().to_string())));
}

/// The text, in which commands have the `-c FILE` of this one.
pub fn with_config(text: &str) -> Cow<'_, str> {
    match CONFIG_OPTION.get() {
        Some(option) => insert(text, option),
        None => Cow::Borrowed(text),
    }
}

fn insert<'t>(text: &'t str, option: &str) -> Cow<'t, str> {
    let mut parts = text.split(PROGRAM);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for after in parts {
        let is_word = !out.ends_with(char::is_alphanumeric) && !out.ends_with(['/', '-', '.']);
        let is_command = |name: &&str| {
            let rest = after.strip_prefix(*name);
            rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
                && !after.contains("--help")
        };
        let option = if is_word && WITH_CONFIG.iter().any(is_command) { option } else { "" };
        out.extend([PROGRAM, option, after]);
    }
    if out.len() == text.len() { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// A word for a POSIX shell.
fn shell_word(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+:,@%\\".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_read_the_configuration_repeat_its_option() {
        let shown = |text| insert(text, "-c old.toml ").into_owned();
        assert_eq!(
            shown("to rewrite the file:  wharf config migrate --write"),
            "to rewrite the file:  wharf -c old.toml config migrate --write"
        );
        assert_eq!(
            shown("fix the row, or:  wharf user edit NAME …; wharf user del NAME"),
            "fix the row, or:  wharf -c old.toml user edit NAME …; wharf -c old.toml user del NAME"
        );
        assert_eq!(shown("wharf who lists them"), "wharf -c old.toml who lists them");
        for same in [
            "list all keys:  wharf config default",
            "create one:  wharf hash",
            "list commands:  wharf --help",
            "list settings:  wharf user edit --help",
            "to use it:  wharf -c ./wharf.toml",
            "wharf users can log in",
            "/srv/wharf user",
        ] {
            assert_eq!(shown(same), same);
        }
    }

    #[test]
    fn a_file_name_with_a_space_is_one_word_of_the_shell() {
        assert_eq!(shell_word("/etc/wharf/old.toml"), "/etc/wharf/old.toml");
        assert_eq!(shell_word("my server.toml"), "'my server.toml'");
        assert_eq!(shell_word("a'b"), "'a'\\''b'");
    }
}
