//! Errors in command lines, in the form of all other errors: what is wrong, and what to do.

use std::error::Error as _;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};
use wharf_config::chinese;
use wharf_config::outcome::{Failure, HINT};
use wharf_users::nearest::nearest;

use super::{Cli, command_names, elsewhere};

/// Names of commands in other programs, and those of wharf.
const SYNONYMS: &[(&str, &str)] = &[
    ("create", "add"),
    ("new", "add"),
    ("delete", "del"),
    ("remove", "del"),
    ("rm", "del"),
    ("ls", "list"),
    ("set", "edit"),
    ("modify", "edit"),
    ("change", "edit"),
    ("password", "passwd"),
    ("lock", "disable"),
    ("unlock", "enable"),
    ("unban", "del"),
];

/// Options that another command has, and what to write instead.
const OTHER_OPTIONS: &[(&str, &[&str], &str)] = &[
    ("wharf kick", &["--for", "--time", "--duration"], "to ban for a time:  wharf kick --ban 15m"),
    ("wharf ban add", &["--ban", "--duration", "--expires"], "to ban for a time:  --for 15m"),
    ("wharf serve", &["--time", "--duration"], "to stop after a time:  --for 2h"),
    ("wharf serve", &["--socket"], "write it after the command:  wharf who --socket PATH"),
    ("wharf stop", &["--for", "--time", "--timeout"], "to wait at most this time:  --grace 30s"),
];

/// The file that `-c` or `--config` names.
pub(crate) fn config_file(words: &[OsString]) -> Option<PathBuf> {
    let mut words = words.iter().skip(1).map_while(|word| word.to_str());
    while let Some(word) = words.next() {
        let short = word.strip_prefix("-c").map(|file| file.trim_start_matches('='));
        match short.or_else(|| word.strip_prefix("--config=")) {
            Some("") => return words.next().map(PathBuf::from),
            Some(file) => return Some(PathBuf::from(file)),
            None if word == "--config" => return words.next().map(PathBuf::from),
            None => {}
        }
    }
    None
}

/// The error of a command line; `None` for help and the version, which clap prints.
pub(crate) fn failure(error: &clap::Error, words: &[OsString]) -> Option<Failure> {
    if error.exit_code() == 0 || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    {
        return None;
    }
    if let Some(word) = super::folder_word(words).filter(|word| is_not_a_folder(word)) {
        return Some(unknown_command(&word, &[]));
    }
    let mistake = Mistake { error, command: Named::find(words), words };
    let (message, hint) = mistake.text();
    let hint = hint.unwrap_or_else(|| format!("list options:  {} --help", mistake.command.path));
    Some(Failure::usage(message).hint(hint))
}

/// Prints the error of a command line, in Chinese for commands whose output is Chinese.
pub(crate) fn report(failure: &Failure, words: &[OsString], is_coloured: bool) {
    // A server with a configuration file has no start panel, and its output is English.
    let has_config = config_file(words).is_some();
    let is_translated = match &*Named::find(words).path {
        "wharf check" | "wharf why" => true,
        "wharf serve" => !has_config,
        _ => false,
    };
    let is_json = words.iter().any(|word| word == "--json");
    if is_translated && !is_json && chinese::is_session_chinese() {
        chinese::report(failure, is_coloured);
    } else {
        failure.report(is_coloured);
    }
}

/// The error for a word that is neither a command nor a folder.
pub(crate) fn unknown_command(word: &str, known: &[String]) -> Failure {
    let all: Vec<String> =
        if known.is_empty() { command_names().collect() } else { known.to_vec() };
    let failure = Failure::usage(format!("unknown command `{}`", word.escape_debug()));
    if let Some(hint) = elsewhere::hint(word).filter(|_| known.is_empty()) {
        return failure.hint(hint);
    }
    let synonym = SYNONYMS.iter().find(|(other, _)| *other == word).map(|(_, own)| *own);
    let synonym = synonym.filter(|own| all.iter().any(|name| name == own));
    match synonym.or_else(|| nearest(word, all.iter().map(String::as_str))) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => failure.hint("list commands:  wharf --help"),
        None => failure.hint(format!("expected {}", alternatives(&all))),
    }
}

/// Whether a word cannot be a folder: it has no separator, and nothing has this name.
fn is_not_a_folder(word: &str) -> bool {
    !word.contains(['/', '\\', '.']) && Path::new(word).symlink_metadata().is_err()
}

/// A command with its full name.
struct Named {
    path: String,
    command: Command,
}

impl Named {
    /// The command that the words name.
    fn find(words: &[OsString]) -> Self {
        let mut command = Cli::command();
        command.build();
        let mut path = "wharf".to_owned();
        let mut is_value = false;
        for word in words.iter().skip(1).filter_map(|word| word.to_str()) {
            if is_value || word.starts_with('-') {
                is_value = matches!(word, "-c" | "--config" | "--set" | "--color");
                continue;
            }
            let Some(inner) = command.find_subcommand(word).cloned() else { break };
            path = format!("{path} {}", inner.get_name());
            command = inner;
        }
        if path == "wharf"
            && let Some(serve) = command.find_subcommand("serve").cloned()
        {
            return Self { path: "wharf serve".to_owned(), command: serve };
        }
        Self { path, command }
    }

    fn usage(&self) -> String {
        let usage = self.command.clone().render_usage().to_string();
        one_line(&usage)
    }

    /// Whether an option takes its value only after `=`.
    fn needs_equals(&self, option: &str) -> bool {
        let mut options = self.command.get_arguments();
        options.any(|one| {
            one.is_require_equals_set() && one.get_long().is_some_and(|long| option == long)
        })
    }
}

/// An error with the command in which it occurred.
struct Mistake<'a> {
    error: &'a clap::Error,
    command: Named,
    words: &'a [OsString],
}

impl Mistake<'_> {
    /// The message and its hint, if there is one.
    fn text(&self) -> (String, Option<String>) {
        let name = self.strings(ContextKind::InvalidArg);
        let first = name.first().map(|name| bare(name)).unwrap_or_default();
        match self.error.kind() {
            ErrorKind::UnknownArgument => self.unknown(&first),
            ErrorKind::InvalidSubcommand => {
                let word = self.strings(ContextKind::InvalidSubcommand).concat();
                let failure = unknown_command(&word, &self.subcommands());
                (failure.message, failure.hint)
            }
            ErrorKind::MissingSubcommand => {
                (format!("missing command after `{}`", self.command.path), self.expected_command())
            }
            ErrorKind::MissingRequiredArgument => {
                let is_option = name.iter().all(|name| name.starts_with("--"));
                let what = match (is_option, name.len()) {
                    (true, 0..=1) => "option",
                    (true, _) => "options",
                    (false, 0..=1) => "argument",
                    (false, _) => "arguments",
                };
                let text = format!("missing {what}: {}", name.join(" "));
                (text, Some(format!("usage:  {}", self.own_usage())))
            }
            ErrorKind::InvalidValue => self.invalid(&first),
            ErrorKind::ValueValidation => self.rejected(&first),
            ErrorKind::ArgumentConflict => {
                let other = self.strings(ContextKind::PriorArg);
                let mut other: Vec<_> = other.iter().map(|name| bare(name)).collect();
                // Of a group, clap names every option.
                if other.len() > 1 {
                    other.retain(|name| self.is_given(name));
                }
                if other.is_empty() || other.iter().all(|other| *other == first) {
                    return (format!("duplicate {first}"), Some("keep one of the two".to_owned()));
                }
                let text = format!("{first} cannot be used with {}", other.join(" and "));
                (text, Some("leave one of them out".to_owned()))
            }
            ErrorKind::TooManyValues => {
                let value = self.strings(ContextKind::InvalidValue).concat();
                let text = format!("unexpected value `{}` of {first}", value.escape_debug());
                (text, Some(format!("write {first} without a value")))
            }
            ErrorKind::NoEquals => {
                (format!("missing `=` after {first}"), Some(format!("write {first}=VALUE")))
            }
            ErrorKind::InvalidUtf8 => ("invalid UTF-8 in the command line".to_owned(), None),
            _ => {
                let text = self.error.to_string();
                let line = text.lines().next().unwrap_or_default();
                (line.trim_start_matches("error: ").to_owned(), None)
            }
        }
    }

    fn unknown(&self, word: &str) -> (String, Option<String>) {
        if word.starts_with('-') {
            let mut others = OTHER_OPTIONS.iter();
            let path = &*self.command.path;
            if let Some((_, _, hint)) =
                others.find(|(command, options, _)| *command == path && options.contains(&word))
            {
                return (format!("unknown option `{word}`"), Some((*hint).to_owned()));
            }
            let near = self.strings(ContextKind::SuggestedArg);
            let hint = near.first().map(|near| format!("did you mean `{}`?", bare(near)));
            return (format!("unknown option `{word}`"), hint);
        }
        let hint = if matches!(word, "true" | "false") && self.command.needs_equals_of_any() {
            format!("write the value after =, as in --require-tls={word}")
        } else {
            format!("usage:  {}", self.command.usage())
        };
        (format!("unexpected argument `{}`", word.escape_debug()), Some(hint))
    }

    /// A value that is not one of the possible ones.
    fn invalid(&self, name: &str) -> (String, Option<String>) {
        let value = self.strings(ContextKind::InvalidValue).concat();
        let words = self.strings(ContextKind::ValidValue);
        let expected = (!words.is_empty()).then(|| format!("expected {}", alternatives(&words)));
        if value.is_empty() {
            return (format!("missing value of {name}"), expected);
        }
        let near = nearest(&value, words.iter().map(String::as_str));
        let near = near.map(|near| format!("did you mean `{near}`? "));
        let hint = expected.map(|expected| near.unwrap_or_default() + &expected);
        (format!("invalid {name} `{}`: unknown value", value.escape_debug()), hint)
    }

    /// A value that its parser rejected.
    fn rejected(&self, name: &str) -> (String, Option<String>) {
        let value = self.strings(ContextKind::InvalidValue).concat();
        let why = self.error.source().map(ToString::to_string).unwrap_or_default();
        let (why, hint) = match why.split_once(HINT) {
            Some((why, hint)) => (why.to_owned(), Some(hint.to_owned())),
            None => (why, None),
        };
        let why = reason(&why, &value);
        (format!("invalid {name} `{}`: {why}", value.escape_debug()), hint)
    }

    /// Whether the command line has this option, under any of its names.
    fn is_given(&self, option: &str) -> bool {
        let Some(long) = option.strip_prefix("--") else { return true };
        let mut options = self.command.command.get_arguments();
        let Some(option) = options.find(|one| one.get_long() == Some(long)) else { return true };
        let names = option.get_long_and_visible_aliases().unwrap_or_default();
        let hidden = option.get_all_aliases().unwrap_or_default();
        let letters = option.get_short_and_visible_aliases().unwrap_or_default();
        self.words.iter().skip(1).filter_map(|word| word.to_str()).any(|word| {
            match word.strip_prefix("--") {
                Some(name) => {
                    let name = name.split('=').next().unwrap_or_default();
                    names.contains(&name) || hidden.contains(&name)
                }
                None => word.strip_prefix('-').is_some_and(|word| word.contains(&*letters)),
            }
        })
    }

    /// The usage with the options that are needed here.
    fn own_usage(&self) -> String {
        match self.error.get(ContextKind::Usage) {
            Some(ContextValue::StyledStr(usage)) => one_line(&usage.to_string()),
            _ => self.command.usage(),
        }
    }

    fn subcommands(&self) -> Vec<String> {
        let all = self.command.command.get_subcommands().filter(|one| !one.is_hide_set());
        all.map(|one| one.get_name().to_owned()).filter(|name| name != "help").collect()
    }

    fn expected_command(&self) -> Option<String> {
        let all = self.subcommands();
        (!all.is_empty()).then(|| format!("expected {}", alternatives(&all)))
    }

    fn strings(&self, kind: ContextKind) -> Vec<String> {
        match self.error.get(kind) {
            Some(ContextValue::String(text)) => vec![text.clone()],
            Some(ContextValue::Strings(texts)) => texts.clone(),
            _ => Vec::new(),
        }
    }
}

impl Named {
    fn needs_equals_of_any(&self) -> bool {
        let mut options = self.command.get_arguments();
        options.any(|one| one.get_long().is_some_and(|long| self.needs_equals(long)))
    }
}

/// The name of an argument without its value: `--port` of `--port <PORT>`, `CHECK` of `[CHECK]...`.
fn bare(name: &str) -> String {
    let name = name.split([' ', '=']).next().unwrap_or_default().trim_end_matches('[');
    name.trim_end_matches("...").trim_matches(['[', ']', '<', '>']).to_owned()
}

/// Why a value is invalid, without its kind and the value itself, if the parser named them.
pub(crate) fn reason(why: &str, value: &str) -> String {
    let quoted = format!("`{value}`");
    let without = |kind: &str| kind.replace(&quoted, "").trim_end().to_owned();
    if let Some((_, reason)) = why.split_once(&format!("{quoted}: ")) {
        return reason.to_owned();
    }
    // Part of the value is invalid, and the message names the part.
    if why.starts_with("invalid ") && why.contains('`') && !why.contains(&quoted) {
        return why.to_owned();
    }
    match (why.strip_prefix("invalid "), why.split_once(": ")) {
        (Some(_), Some((_, reason))) => reason.to_owned(),
        (Some(kind), None) => format!("not a valid {}", without(kind)),
        _ => without(why),
    }
}

fn one_line(usage: &str) -> String {
    let words: Vec<_> = usage.trim_start_matches("Usage:").split_whitespace().collect();
    words.join(" ")
}

/// `a, b or c`.
pub(super) fn alternatives(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(line: &str) -> String {
        let words: Vec<OsString> =
            std::iter::once("wharf").chain(line.split_whitespace()).map(OsString::from).collect();
        let error = super::super::parse(words.clone()).expect_err(line);
        let failure = failure(&error, &words).expect(line);
        format!("{} | {}", failure.message, failure.hint.unwrap_or_default())
    }

    #[test]
    fn a_mistyped_command_with_arguments_is_an_unknown_command() {
        assert_eq!(reported("usr list"), "unknown command `usr` | did you mean `user`?");
        assert_eq!(reported("-c a.toml usr list"), "unknown command `usr` | did you mean `user`?");
        assert_eq!(
            reported("delete anna --yes"),
            "unknown command `delete` | list commands:  wharf --help"
        );
        assert_eq!(
            reported("adduser anna"),
            "unknown command `adduser` | add an account:  wharf user add NAME --home DIR"
        );
        // A path is a folder, and so is a name that exists.
        for folder in ["./usr", "/srv", "src"] {
            let reported = reported(&format!("{folder} list"));
            assert!(
                reported.starts_with("unexpected argument `list` | usage:  wharf serve"),
                "{reported}"
            );
        }
        // An option comes first, so it is the option that is wrong.
        assert!(reported("-w --nope").starts_with("unknown option `--nope` | "));
    }

    #[test]
    fn an_invalid_value_is_quoted_with_its_option_and_the_reason() {
        for (line, expected) in [
            ("-p ftp", "invalid --port `ftp`: not a number"),
            ("-p 70000", "invalid --port `70000`: out of range 1 to 65535"),
            ("-r 9-5", "invalid --passive-ports `9-5`: 5 is below 9"),
            ("-i localhost", "invalid --address `localhost`: not a valid IP address"),
            ("--for 0s", "invalid --for `0s`: must be above 0"),
            ("--legacy-encoding x", "invalid --legacy-encoding `x`: unknown character set"),
            ("why a / list --ip x", "invalid --ip `x`: not an IP address"),
            ("check all x", "invalid CHECK `x`: unknown value"),
        ] {
            let reported = reported(line);
            assert_eq!(reported.split(" | ").next(), Some(expected), "{line}");
        }
    }

    #[test]
    fn every_mistake_in_check_why_and_serve_has_a_translation() {
        for line in [
            "usr list",
            "adduser anna",
            "--nope",
            "a b",
            "-p ftp",
            "-p 70000",
            "-p",
            "-p 1 -p 2",
            "-r 9-5",
            "-r 9:5",
            "-i localhost",
            "--for 0s",
            "--for 90",
            "--tls on",
            "--require-tls yes",
            "--upload-rate 10Mbit/s",
            "--connections=-1",
            "--legacy-encoding x",
            "--certificate cert.pem",
            "--dropbox",
            "-A -u me",
            "-d a b",
            "check x",
            "check --nope",
            "check --jsn",
            "check --ask",
            "check --user anna",
            "check --password-file x",
            "check --color x",
            "check --color blue",
            "check --set x",
            "check --strict=yes",
            "check all --ask a --ask b",
            "why",
            "why anna",
            "why a / list more",
            "why a / list --ip x",
            "why a / list --ip",
            "why a / list --ip 10.0.0.1 --ip 10.0.0.2",
            "why a / list --nope",
        ] {
            let reported = reported(line);
            for part in reported.split(" | ") {
                let shown = chinese::message(part);
                assert!(shown.chars().any(|letter| letter > '\u{2e80}'), "{line}: {part}: {shown}");
            }
        }
    }

    #[test]
    fn a_conflict_names_the_given_options_only() {
        for (line, expected) in [
            (
                "user edit a --no-password --generate",
                "--no-password cannot be used with --generate",
            ),
            ("user edit a --hash x --no-password", "--no-password cannot be used with --hash"),
            ("user passwd a --generate --hash=x", "--generate cannot be used with --hash"),
            ("-A -u me", "--anonymous cannot be used with --username"),
            ("-A -P x -u me", "--anonymous cannot be used with --password and --username"),
            ("-d a b", "--directory cannot be used with DIR"),
        ] {
            let reported = reported(line);
            assert_eq!(reported.split(" | ").next(), Some(expected), "{line}");
        }
    }

    #[test]
    fn an_option_of_another_command_has_a_hint() {
        for (line, hint) in [
            ("kick 5 --for 15m", "to ban for a time:  wharf kick --ban 15m"),
            ("ban add 10.0.0.1 --ban 15m", "to ban for a time:  --for 15m"),
            ("kick 5 --nope", "list options:  wharf kick --help"),
            ("--socket x who", "write it after the command:  wharf who --socket PATH"),
        ] {
            assert!(reported(line).ends_with(&format!(" | {hint}")), "{}", reported(line));
        }
        // A value is suggested only if it resembles the given one.
        assert!(!reported("completions tcsh").contains("did you mean"));
        assert!(reported("completions bsh").contains("did you mean `bash`?"));
    }

    #[test]
    fn the_configuration_file_is_found_in_an_invalid_command_line() {
        let found = |line: &str| {
            let words = std::iter::once("wharf").chain(line.split(' ')).map(OsString::from);
            config_file(&words.collect::<Vec<_>>())
        };
        for line in
            ["-c a.toml who -x", "who -x -ca.toml", "--config=a.toml", "who --config a.toml"]
        {
            assert_eq!(found(line), Some("a.toml".into()), "{line}");
        }
        for line in ["who --color never", "who -", "-c"] {
            assert_eq!(found(line), None, "{line}");
        }
    }

    #[test]
    fn commands_of_other_programs_are_recognised() {
        for (line, near) in [
            ("user create anna", "add"),
            ("user rm anna", "del"),
            ("ban remove 10.0.0.1", "del"),
            ("user lsit", "list"),
        ] {
            assert!(
                reported(line).ends_with(&format!("| did you mean `{near}`?")),
                "{}",
                reported(line)
            );
        }
        assert_eq!(
            reported("config fly"),
            "unknown command `fly` | expected default, show, path or migrate"
        );
    }

    /// The texts of clap, of std and of other libraries do not mention wharf.
    #[test]
    fn no_message_has_the_words_of_a_library() {
        for line in [
            "bench localhost --sessions many",
            "bench localhost --count -1",
            "user edit a --sessions many",
            "user edit a --quota-files -1",
            "log -n many",
            "log --session x",
            "top -d 0",
            "top -n x",
            "why a / list --ip here",
            "-p x",
            "--tls maybe",
            "user add",
            "user edit a --require-tls=maybe",
            "kick x",
            "--connections",
            "check everything",
            "-A -u me",
            "-p 1 -p 2",
            "import csv a --on-conflict x",
            "check --strict=yes",
        ] {
            let reported = reported(line);
            for word in [
                "digit", "provided string", "syntax", "invalid value", "possible values",
                "For more", "[default", "argument '", "subcommand",
            ] {
                assert!(!reported.contains(word), "{line}: {reported}");
            }
            assert!(!reported.ends_with("| "), "{line}: no hint: {reported}");
        }
    }
}
