//! Levels of single targets of the log: `log.filter`, and the variable `WHARF_LOG`.

use std::path::Path;

use super::choice::LogLevel;
use super::raw::Raw;
use super::value::{ConfigValue, InvalidValue, parse};

/// The variable that replaces `log.level` and `log.filter`.
pub(crate) const VARIABLE: &str = "WHARF_LOG";

/// Levels of targets, as `target=level`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetLevels(pub Vec<(String, LogLevel)>);

impl ConfigValue for TargetLevels {
    const KIND: &'static str = "a list of targets such as [\"wharf_server=debug\"]";

    fn read(raw: &Raw, base: &Path) -> Result<Self, InvalidValue> {
        let words: Vec<String> =
            Vec::read(raw, base).map_err(|_| InvalidValue::kind::<Self>(raw))?;
        words.iter().map(|word| target_level(word)).collect::<Result<_, _>>().map(Self)
    }
}

fn target_level(word: &str) -> Result<(String, LogLevel), InvalidValue> {
    let is_path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    let (target, level) = word.split_once('=').unwrap_or((word, ""));
    // Crates are written with hyphens in Cargo, and with underscores in targets.
    let target = target.trim().replace('-', "_");
    if level.is_empty() || target.is_empty() || !target.bytes().all(is_path) {
        let wrong = InvalidValue::new(format!("invalid filter `{}`", word.escape_debug()));
        return Err(wrong.hint("write TARGET=LEVEL, for example wharf_server=debug"));
    }
    Ok((target, parse(level.trim())?))
}

/// The values of `log.level`, if it is set, and `log.filter` in the variable: levels of targets,
/// and a level for all others, separated by commas.
pub(crate) fn of_variable(text: &str) -> (Option<Raw>, Raw) {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let (targets, levels): (Vec<_>, Vec<_>) = words.partition(|word| word.contains('='));
    let level = levels.last().map(|level| Raw::Plain((*level).to_owned()));
    (level, Raw::List(targets.into_iter().map(|word| Raw::Text(word.to_owned())).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_levels() {
        let levels = |text| parse::<TargetLevels>(text);
        let expected = [
            ("wharf_server::tls".to_owned(), LogLevel::Trace),
            ("tokio_postgres".to_owned(), LogLevel::Error),
        ];
        assert_eq!(
            levels("wharf-server::tls = trace, tokio_postgres=error"),
            Ok(TargetLevels(expected.to_vec()))
        );
        assert_eq!(levels(""), Ok(TargetLevels::default()));
        for wrong in ["debug", "=debug", "a b=debug", "rustls=", "rustls=verbose", "a=b=debug"] {
            assert!(levels(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_variable_has_a_level_and_targets() {
        let plain = |text: &str| Some(Raw::Plain(text.into()));
        let list = |words: &[&str]| {
            Raw::List(words.iter().map(|word| Raw::Text((*word).to_owned())).collect())
        };
        assert_eq!(of_variable("debug"), (plain("debug"), list(&[])));
        assert_eq!(of_variable(" rustls=trace "), (None, list(&["rustls=trace"])));
        assert_eq!(
            of_variable("a=warn, info,b=debug"),
            (plain("info"), list(&["a=warn", "b=debug"]))
        );
    }
}
