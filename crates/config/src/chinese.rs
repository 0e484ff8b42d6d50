//! Simplified Chinese for the output of `wharf check` and `wharf why`, and warnings of the start
//! panel.
//!
//! Commands build their messages in English, since JSON and scripts need them. A finished message
//! is translated where it is printed: it is compared with templates such as `{} is in use by {}`,
//! and the values are put into the Chinese text. A message without a template stays English.

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::hint::with_config;
use crate::outcome::{Failure, print_error};
use crate::standard_paths;

/// English templates with `{}` for values, each followed by an indented line in Chinese.
///
/// There, `{0}` is the first value; `{0:m}` if the value is a message, which is translated, too;
/// `{0:l}` if it is a list, whose commas become `、`.
const MESSAGES: &[&str] = &[
    include_str!("chinese/check.txt"),
    include_str!("chinese/why.txt"),
    include_str!("chinese/shared.txt"),
    include_str!("chinese/config.txt"),
    include_str!("chinese/accounts.txt"),
    include_str!("chinese/command_line.txt"),
];
/// Texts that are too short or too general to be recognized outside of a message.
const PARTS: &[&str] = &[include_str!("chinese/parts.txt")];
const ACTIONS: &[&str] = &[include_str!("chinese/actions.txt")];
const LABELS: &[&str] = &[include_str!("chinese/labels.txt")];
/// Begins the Chinese line of a template.
const INDENT: &str = "    ";

static ALL_MESSAGES: LazyLock<Vec<BilingualTemplate>> = LazyLock::new(|| templates(MESSAGES));
static ALL_PARTS: LazyLock<Vec<BilingualTemplate>> = LazyLock::new(|| templates(PARTS));
static ALL_ACTIONS: LazyLock<Vec<BilingualTemplate>> = LazyLock::new(|| templates(ACTIONS));
static ALL_LABELS: LazyLock<Vec<BilingualTemplate>> = LazyLock::new(|| templates(LABELS));

/// A text in two languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BilingualTemplate {
    english: &'static str,
    chinese: &'static str,
}

/// Whether texts are Chinese in a locale such as `zh_CN.UTF-8`: the terminal must be able to
/// display them.
pub fn is_chinese(locale: &str) -> bool {
    let locale = locale.to_lowercase();
    let is_utf8 = locale.contains("utf-8") || locale.contains("utf8");
    locale.starts_with("zh") && is_utf8
}

/// Whether the language of the session is Chinese.
pub fn is_session_chinese() -> bool {
    is_chinese(&standard_paths::language())
}

/// Whether this process prints problems of files in Chinese.
static IS_ACTIVE: AtomicBool = AtomicBool::new(false);

/// Prints problems of files in Chinese from now on. For commands with output in Chinese: others
/// would mix languages.
pub fn activate() {
    IS_ACTIVE.store(true, Ordering::Relaxed);
}

/// Whether problems of files are printed in Chinese.
pub fn is_active() -> bool {
    IS_ACTIVE.load(Ordering::Relaxed)
}

/// A message in Chinese; unchanged if it is unknown.
pub fn message(text: &str) -> String {
    translated(&*ALL_MESSAGES, text).unwrap_or_else(|| text.to_owned())
}

/// A part of a message, such as where a key is set.
pub fn part(text: &str) -> String {
    let known = ALL_PARTS.iter().chain(&*ALL_MESSAGES);
    translated(known, text).unwrap_or_else(|| text.to_owned())
}

/// An action with its path, such as `upload /a.txt`.
pub fn action(text: &str) -> String {
    translated(&*ALL_ACTIONS, text).unwrap_or_else(|| text.to_owned())
}

/// The name of a row, a section, a level or a kind.
pub fn label(name: &str) -> &str {
    ALL_LABELS.iter().find(|one| one.english == name).map_or(name, |one| one.chinese)
}

/// Prints an error, and returns it as printed.
pub fn report(failure: &Failure, is_coloured: bool) -> Failure {
    if !failure.message.is_empty() {
        let (red, blue, plain) =
            if is_coloured { ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m") } else { ("", "", "") };
        let (error, hint_label) = (label("error"), label("hint"));
        let mut text = format!("{red}{error}：{plain}{}\n", message(&failure.message));
        if let Some(hint) = &failure.hint {
            let _ = writeln!(text, "{blue}{hint_label}：{plain}{}", with_config(&message(hint)));
        }
        print_error(&text);
    }
    Failure::silent(failure.exit)
}

/// With `：` after the labels at the beginning of lines, which a renderer separates by `: `.
pub fn wide_colons(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let label =
            ["error", "warning", "note", "hint"].iter().map(|name| label(name)).find_map(|label| {
                let (before, after) = line.split_once(label)?;
                let is_first = uncoloured(before).chars().all(|letter| " =|".contains(letter));
                is_first.then_some((before, label, after))
            });
        match label
            .and_then(|(before, label, after)| Some((before, label, after.split_once(": ")?)))
        {
            // Only colours are between the label and its colon.
            Some((before, label, (colours, rest))) if uncoloured(colours).is_empty() => {
                out.extend([before, label, colours, "：", rest]);
            }
            _ => out += line,
        }
    }
    out
}

/// A text without the escape sequences of colours.
fn uncoloured(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once('m').map_or("", |(_, rest)| rest));
    rest.fold(first, |all, part| all + part)
}

fn templates(tables: &'static [&'static str]) -> Vec<BilingualTemplate> {
    let mut known: Vec<BilingualTemplate> = Vec::new();
    for line in tables.iter().flat_map(|table| table.lines()) {
        match line.strip_prefix(INDENT) {
            Some(chinese) => {
                if let Some(last) = known.last_mut() {
                    last.chinese = chinese;
                }
            }
            None if line.starts_with('#') => {}
            None => known.push(BilingualTemplate { english: line, chinese: "" }),
        }
    }
    known
}

/// The translation by the template with the longest fixed text.
fn translated<'k>(
    known: impl IntoIterator<Item = &'k BilingualTemplate>,
    text: &str,
) -> Option<String> {
    let matching = known.into_iter().filter_map(|one| Some((one, values(one.english, text)?)));
    let (template, values) = matching.max_by_key(|(one, _)| fixed_length(one.english))?;
    filled(template.chinese, &values)
}

fn fixed_length(english: &str) -> usize {
    english.split("{}").map(str::len).sum()
}

/// The values of a text that matches a template.
fn values<'t>(english: &str, text: &'t str) -> Option<Vec<&'t str>> {
    let mut fixed = english.split("{}").peekable();
    let mut before = fixed.next()?;
    let mut rest = text.strip_prefix(before)?;
    let mut values = Vec::new();
    while let Some(next) = fixed.next() {
        let is_last = fixed.peek().is_none();
        let (value, after) =
            if is_last { (rest.strip_suffix(next)?, "") } else { rest.split_once(next)? };
        // A value in quotes does not reach beyond them.
        if before.ends_with('`') && next.starts_with('`') && value.contains('`') {
            return None;
        }
        values.push(value);
        (before, rest) = (next, after);
    }
    rest.is_empty().then_some(values)
}

/// The Chinese text with its values. Values are shorter than their message, so the recursion ends.
fn filled(chinese: &str, values: &[&str]) -> Option<String> {
    let mut out = String::new();
    let mut rest = chinese;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        let (number, kind) = name.split_once(':').unwrap_or((name, ""));
        let value = *values.get(number.parse::<usize>().ok()?)?;
        join(&mut out, before);
        match kind {
            "m" => join(&mut out, &part(value)),
            "l" => out += &value.replace(", ", "、"),
            _ => out += value,
        }
        rest = after;
    }
    join(&mut out, rest);
    Some(out)
}

/// Appends a text. Chinese is separated from Latin letters by a space, but not from Chinese.
fn join(out: &mut String, next: &str) {
    let (before, after) = (out.trim_end_matches(' '), next.trim_start_matches(' '));
    let (left, right) = (before.chars().next_back(), after.chars().next());
    let is_latin = |letter: char| letter.is_ascii_alphanumeric();
    match (left, right) {
        (Some(left), Some(right)) if is_han(left) && is_han(right) => {
            out.truncate(before.len());
            *out += after;
        }
        (Some(left), Some(right))
            if is_han(left) && is_latin(right) || is_latin(left) && is_han(right) =>
        {
            out.truncate(before.len());
            out.extend([" ", after]);
        }
        _ => *out += next,
    }
}

fn is_han(letter: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&letter)
}

#[cfg(test)]
#[path = "chinese/tests.rs"]
mod tests;
