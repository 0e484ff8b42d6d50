//! Commands that other programs have, and how to do the same with wharf.

/// A word, and the hint for it.
const ELSEWHERE: &[(&str, &str)] = &[
    ("add", "add an account:  wharf user add NAME --home DIR"),
    ("adduser", "add an account:  wharf user add NAME --home DIR"),
    ("help", "list commands:  wharf --help"),
    ("init", "create a configuration:  wharf config default > wharf.toml"),
    ("install", "install a service:  wharf service install"),
    ("list", "list accounts:  wharf user list;  sessions:  wharf who;  bans:  wharf ban list"),
    ("migrate", "migrate from another server:  wharf import;  old keys:  wharf config migrate"),
    ("passwd", "change a password:  wharf user passwd NAME"),
    ("restart", "apply changes:  wharf reload   or restart the service of the system"),
    ("run", "start the server:  wharf serve"),
    ("start", "start the server:  wharf serve   or as a service:  wharf service start"),
    ("unban", "remove a ban:  wharf ban del ADDRESS"),
    ("uninstall", "remove the service:  wharf service uninstall"),
    ("unlock", "unlock an account:  wharf ban del --user NAME"),
    ("useradd", "add an account:  wharf user add NAME --home DIR"),
];

/// The hint for a command of other programs.
pub(crate) fn hint(word: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(other, _)| *other == word).map(|(_, hint)| *hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_in_order_and_no_commands_of_wharf() {
        assert!(ELSEWHERE.is_sorted());
        for (word, hint) in ELSEWHERE {
            assert!(super::super::command_names().all(|name| name != *word), "{word}");
            assert!(hint.contains(":  wharf "), "{hint}");
        }
    }
}
