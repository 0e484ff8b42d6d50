//! Hook programs and webhook URLs as configuration values.

use std::path::Path;

use wharf_core::event::catalog::{delivered_names, field_names};
use wharf_login::endpoint::{Endpoint, Scheme};
use wharf_users::nearest::nearest;

use super::login_sources::endpoint;
use super::raw::Raw;
use super::renamed::{RENAMED_EVENTS, RENAMED_PLACEHOLDERS, renamed_hint};
use super::value::{ConfigValue, InvalidValue};

/// The placeholder that only the upload check has.
pub(crate) const PARTIAL_FILE: &str = "partial_file";
/// Maximum number of arguments.
const ARGUMENTS_MAX: usize = 100;

/// A program and its arguments; empty for none. An argument `{name}` is replaced by that field of
/// the event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramLine(pub Vec<String>);

impl ConfigValue for ProgramLine {
    const KIND: &'static str = "a program and its arguments such as [\"/opt/hook\", \"{file}\"]";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let members = match raw {
            Raw::Text(text) if !text.is_empty() => {
                return Err(InvalidValue::kind::<Self>(raw).hint(format!(
                    "programs run without a shell: write a list of arguments, as in [{}]",
                    text.split_whitespace()
                        .map(|word| format!("{word:?}"))
                        .collect::<Vec<_>>()
                        .join(", ")
                )));
            }
            raw => Vec::<String>::read(raw, Path::new(""))
                .map_err(|_| InvalidValue::kind::<Self>(raw))?,
        };
        let Some(program) = members.first() else { return Ok(Self::default()) };
        if !Path::new(program).is_absolute() {
            return Err(InvalidValue::new(format!(
                "invalid program `{program}`: not an absolute path"
            ))
            .hint("write the full path, such as `/usr/local/bin/hook`"));
        }
        if members.len() > ARGUMENTS_MAX || members.iter().any(|member| member.contains('\0')) {
            return Err(InvalidValue::new(format!(
                "invalid arguments: more than {ARGUMENTS_MAX}, or one contains a NUL character"
            )));
        }
        members.iter().try_for_each(|member| check_argument(member))?;
        Ok(Self(members))
    }
}

/// A misspelt placeholder would be passed literally.
fn check_argument(argument: &str) -> Result<(), InvalidValue> {
    let known = || field_names().chain([PARTIAL_FILE]);
    let word = argument.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let is_word =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    match word {
        Some(word) if is_word(word) && !known().any(|name| name == word) => {
            let wrong = InvalidValue::new(format!("unknown placeholder {{{word}}}"));
            if let Some(hint) = renamed_hint(RENAMED_PLACEHOLDERS, argument) {
                return Err(wrong.hint(hint));
            }
            Err(match nearest(word, known()) {
                Some(near) => wrong.hint(format!("did you mean {{{near}}}?")),
                None => wrong.hint(
                    "use a field of the event, such as {file}, {user} or {ip}; the reference of \
                     events lists them",
                ),
            })
        }
        Some(_) => Ok(()),
        None => match known().find(|name| argument.contains(&format!("{{{name}}}"))) {
            Some(name) => Err(InvalidValue::new(format!(
                "placeholder {{{name}}} within the argument `{argument}`"
            ))
            .hint(format!("a placeholder must be a separate argument: `{{{name}}}`"))),
            None => Ok(()),
        },
    }
}

/// Exit codes of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitCodes(pub Vec<i32>);

impl ConfigValue for ExitCodes {
    const KIND: &'static str = "a list of numbers from 1 to 255 such as [1]";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let members = raw.list().ok_or_else(|| InvalidValue::kind::<Self>(raw))?;
        let code = |member: &Raw| {
            let code = member.integer().and_then(|number| i32::try_from(number).ok());
            code.filter(|code| (1..=255).contains(code))
                .ok_or_else(|| InvalidValue::kind::<Self>(raw))
        };
        members.iter().map(code).collect::<Result<_, _>>().map(Self)
    }
}

/// Names of events; empty for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventNames(pub Vec<String>);

impl ConfigValue for EventNames {
    const KIND: &'static str = "a list of events such as [\"upload\", \"login-failed\"]";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let names =
            Vec::<String>::read(raw, Path::new("")).map_err(|_| InvalidValue::kind::<Self>(raw))?;
        for name in &names {
            if !delivered_names().any(|known| known == name) {
                let wrong = InvalidValue::new(format!("unknown event `{name}`"));
                if let Some(hint) = renamed_hint(RENAMED_EVENTS, name) {
                    return Err(wrong.hint(hint));
                }
                return Err(match nearest(name, delivered_names()) {
                    Some(near) => wrong.hint(format!("did you mean `{near}`?")),
                    None => wrong.hint(format!(
                        "events: {}",
                        delivered_names().collect::<Vec<_>>().join(", ")
                    )),
                });
            }
        }
        Ok(Self(names))
    }
}

/// URL of a webhook, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url(pub Option<WebhookUrl>);

/// The URL of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrl {
    /// As it was written: the folder of its queue is named after it.
    pub whole: String,
    /// The web server; for logs, without path and query, which are often secret.
    pub server: Endpoint,
}

impl ConfigValue for Url {
    const KIND: &'static str = "a URL such as `https://example.com/wharf`, or `\"\"` for none";

    fn read(raw: &Raw, _base: &Path) -> Result<Self, InvalidValue> {
        let text = raw.text().ok_or_else(|| InvalidValue::kind::<Self>(raw))?.trim();
        if text.is_empty() {
            return Ok(Self(None));
        }
        if text.contains('@') {
            return Err(InvalidValue::new("invalid URL: it contains a password")
                .hint("authenticate requests by a signature instead: secret_file"));
        }
        let server = endpoint(text, &[Scheme::Http, Scheme::Https])
            .map_err(|why| why.hint("write the full URL, such as `https://example.com/wharf`"))?;
        Ok(Self(Some(WebhookUrl { whole: text.to_owned(), server })))
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::parse;
    use super::*;

    fn program(text: &str) -> Result<ProgramLine, InvalidValue> {
        ProgramLine::read(&Raw::parse_toml(text).unwrap(), Path::new(""))
    }

    #[test]
    fn a_program_is_words_and_placeholders_stand_alone() {
        let line = program(r#"["/opt/hook", "--", "{file}", "a b", "{}", "{A}"]"#).unwrap();
        assert_eq!(line.0.len(), 6);
        assert_eq!(program("[]").unwrap(), ProgramLine::default());
        for (text, part) in [
            (r#""/opt/hook {file}""#, "\"/opt/hook\", \"{file}\""),
            (r#"["hook"]"#, "the full path"),
            (r#"["/opt/hook", "{fiel}"]"#, "did you mean {file}?"),
            (r#"["/opt/hook", "{tried}"]"#, "renamed to {attempted_user}; to rewrite the file:"),
            (r#"["/opt/hook", "--file={file}"]"#, "a separate argument"),
        ] {
            let wrong = program(text).unwrap_err();
            assert!(wrong.hint.as_ref().unwrap().contains(part), "{text}: {wrong:?}");
        }
    }

    #[test]
    fn urls_are_complete_and_without_password() {
        let address = |text: &str| parse::<Url>(text).unwrap().0.unwrap().server;
        assert_eq!(address("https://a.example/x?y=z").to_string(), "https://a.example:443");
        assert_eq!(address("http://[::1]:8080").port, 8080);
        assert_eq!(address("http://[::1]/").host, "::1");
        assert_eq!(parse::<Url>("").unwrap(), Url(None));
        for wrong in [
            "example.com", "ftp://x", "https://", "https://a:b@c/", "https://a b/", "http://x:0/",
            "http://::1/",
        ] {
            assert!(parse::<Url>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn events_and_numbers_are_checked() {
        assert!(parse::<EventNames>("upload, login-failed").is_ok());
        let wrong = parse::<EventNames>("uplaod").unwrap_err();
        assert_eq!(wrong.hint.as_deref(), Some("did you mean `upload`?"));
        let old = parse::<EventNames>("upload-refused").unwrap_err();
        assert!(old.hint.unwrap().starts_with("renamed to upload-check-rejected; to rewrite"));
        assert!(parse::<EventNames>("command").is_err());
        assert_eq!(parse::<ExitCodes>("1, 3").unwrap().0, [1, 3]);
        assert!(parse::<ExitCodes>("0").is_err() && parse::<ExitCodes>("256").is_err());
    }
}
