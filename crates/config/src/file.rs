//! Reads the configuration file and splits it into keys with their locations.

use std::io::Read;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use wharf_core::trusted_file;
use wharf_users::nearest::nearest;

use super::keys::{ConfigKey, ConfigSection, SECTIONS, join, keys};
use super::layers::{Item, Layers, ValueOrigin};
use super::problem::{ConfigProblem, ConfigText, ProblemLocation};
use super::raw::Raw;
use super::renamed::current_name;
use wharf_core::io_error_text::plain;

/// Maximum size of the file; the default one has about ten thousand bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the file as text.
pub fn read(path: &Path) -> Result<ConfigText, ConfigProblem> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        let problem = ConfigProblem::error(
            format!("cannot read the configuration file {shown}: {}", plain(&error)),
            ProblemLocation::Nowhere,
        );
        match error.kind() {
            std::io::ErrorKind::NotFound => ConfigProblem {
                title: format!("configuration file not found: {shown}"),
                ..problem.hint(format!("create it:  wharf config default > {shown}"))
            },
            std::io::ErrorKind::IsADirectory => {
                let file = path.join("wharf.toml");
                problem.hint(format!("name the file, such as {}", file.display()))
            }
            _ => problem,
        }
    };
    let mut bytes = Vec::new();
    let file = trusted_file::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        let title = format!("cannot read the configuration file {shown}: it is larger than 1 MiB");
        return Err(ConfigProblem::error(title, ProblemLocation::Nowhere));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = line.filter(|byte| **byte == b'\n').count() + 1;
        ConfigProblem::error(
            format!("invalid UTF-8 in {shown}, line {line}"),
            ProblemLocation::Nowhere,
        )
        .hint("save the file with the encoding UTF-8")
    })?;
    // Notepad writes a byte order mark, which TOML does not permit.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    Ok(ConfigText { path: path.into(), text })
}

/// A hint for the usual mistakes: text without quotes, and a key or a section that occurs twice.
fn syntax_hint(text: &str, at: usize, message: &str) -> Option<String> {
    if message.starts_with("duplicate key") {
        return Some("keep only one of the two".to_owned());
    }
    let (before, after) = (text.get(..at)?, text.get(at..)?);
    let line = before.rsplit('\n').next().unwrap_or_default();
    let after = after.lines().next().unwrap_or_default();
    let (key, value) = line.split_once('=').map(|(key, begin)| (key, format!("{begin}{after}")))?;
    let value = value.split('#').next().unwrap_or_default().trim();
    let first = value.chars().next()?;
    match value {
        "yes" | "on" => Some("write true, without quotes".to_owned()),
        "no" | "off" => Some("write false, without quotes".to_owned()),
        _ if first.is_alphanumeric() || first == '/' => {
            Some(format!("text needs quotes: {} = \"{value}\"", key.trim()))
        }
        _ => None,
    }
}

const CONTROL_CHARACTER: &str = "control character";

/// The message of the parser in plain words, where it describes the grammar.
fn syntax_fault<'m>(message: &'m str, hint: Option<&str>) -> &'m str {
    if hint.is_some_and(|hint| hint.starts_with("text needs quotes")) {
        "text without quotes"
    } else if hint.is_some_and(|hint| hint.ends_with(", without quotes")) {
        "unknown value"
    } else if message.starts_with("invalid comment character")
        || message.starts_with("invalid basic string, expected non-double-quote")
    {
        CONTROL_CHARACTER
    } else if message == "invalid basic string, expected `\"`" {
        "unclosed string, expected `\"`"
    } else {
        message
    }
}

/// Adds the keys of the file to `layers`, and unknown keys and sections to `problems`.
pub fn take_apart(text: &str, layers: &mut Layers, problems: &mut Vec<ConfigProblem>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let place = error
            .span()
            .map_or(ProblemLocation::Nowhere, |span| ProblemLocation::File(within(text, span)));
        let hint = error.span().and_then(|span| syntax_hint(text, span.start, error.message()));
        let what = syntax_fault(error.message(), hint.as_deref());
        let hint = hint.unwrap_or_else(|| match what {
            CONTROL_CHARACTER => "remove it; in text, write \\n for a line end".to_owned(),
            _ => "see the format of the file:  wharf config default".to_owned(),
        });
        problems.push(ConfigProblem::error(format!("invalid TOML: {what}"), place).hint(hint));
    }
    // The recovered part of an invalid file is a guess; problems found in it would mislead.
    layers.is_broken |= !errors.is_empty();
    if layers.is_broken {
        return;
    }
    for (name, value) in table.get_ref() {
        let key = name.span();
        let at = ProblemLocation::File(within(text, key.clone()));
        match (SECTIONS.iter().find(|section| section.name == name.get_ref()), value.get_ref()) {
            (Some(section), DeValue::Table(table)) if !section.is_list => {
                take_table(section, section.name, table, layers, problems);
            }
            (Some(section), DeValue::Array(tables)) if section.is_list => {
                for (index, table) in tables.iter().enumerate() {
                    let path = format!("{}.{index}", section.name);
                    match table.get_ref() {
                        DeValue::Table(table) => {
                            take_table(section, &path, table, layers, problems);
                        }
                        _ => problems.push(not_a_section(section, at.clone())),
                    }
                    layers.have_tables(section.name, index + 1);
                }
            }
            (Some(section), _) => problems.push(not_a_section(section, at)),
            (None, _) if keys().any(|key| key.section.is_empty() && key.name == name.get_ref()) => {
                layers.put(name.get_ref(), item(value.get_ref(), value.span()));
            }
            (None, _) => problems.push(unknown("", name.get_ref(), at)),
        }
    }
}

fn take_table(
    section: &ConfigSection,
    path: &str,
    table: &DeTable<'_>,
    layers: &mut Layers,
    problems: &mut Vec<ConfigProblem>,
) {
    for (name, value) in table {
        let inner = join(section.name, name.get_ref());
        let inner = SECTIONS.iter().find(|known| !section.name.is_empty() && known.name == inner);
        if let (Some(inner), DeValue::Table(table)) = (inner, value.get_ref()) {
            take_table(inner, inner.name, table, layers, problems);
        } else if let Some(inner) = inner {
            problems.push(not_a_section(inner, ProblemLocation::File(name.span())));
        } else if section.keys.iter().any(|key| key.name == name.get_ref()) {
            layers.put(&join(path, name.get_ref()), item(value.get_ref(), value.span()));
        } else {
            problems.push(unknown(
                section.name,
                name.get_ref(),
                ProblemLocation::File(name.span()),
            ));
        }
    }
}

fn item(value: &DeValue<'_>, span: Range<usize>) -> Item {
    Item { raw: Raw::from_toml(value), origin: ValueOrigin::File(span) }
}

fn not_a_section(section: &ConfigSection, place: ProblemLocation) -> ConfigProblem {
    let header = if section.is_list {
        format!("[[{}]]", section.name)
    } else {
        format!("[{}]", section.name)
    };
    ConfigProblem::error(format!("`{}` is a section, not a key", section.name), place)
        .hint(format!("write {header} on its own line, and the keys below it"))
}

/// An unknown key, with a suggestion.
pub fn unknown(section: &str, name: &str, place: ProblemLocation) -> ConfigProblem {
    let typed = wharf_proto::path::escaped(join(section, name).as_bytes());
    let problem = ConfigProblem::error(format!("unknown key `{typed}`"), place);
    if let Some(new) = current_name(&join(section, name)) {
        let how = match &problem.place {
            ProblemLocation::File(_) => "; to rewrite the file:  wharf config migrate --write",
            _ => "",
        };
        return problem.hint(format!("renamed to `{new}`{how}"));
    }
    match meant(section, name) {
        Some(hint) => problem.hint(hint),
        None => problem.hint("list all keys:  wharf config default"),
    }
}

fn meant(section: &str, name: &str) -> Option<String> {
    if let Some((_, path)) = ELSEWHERE.iter().find(|(word, _)| *word == name) {
        return Some(format!("the key is `{path}`"));
    }
    let siblings = keys().filter(|key| key.section == section).map(|key| key.name);
    if let Some(near) = nearest(name, siblings) {
        return Some(format!("did you mean `{}`?", join(section, near)));
    }
    let mut same = keys().filter(|key| key.name == name);
    if let (Some(key), None) = (same.next(), same.next()) {
        return Some(format!("the key is in another section: `{}`", shown_path(key)));
    }
    if section.is_empty()
        && let Some(near) = nearest(name, SECTIONS.iter().map(|section| section.name))
        && !near.is_empty()
    {
        return Some(format!("did you mean the section [{near}]?"));
    }
    let near = nearest(name, keys().map(|key| key.name))?;
    let key = keys().find(|key| key.name == near)?;
    Some(format!("did you mean `{}`?", shown_path(key)))
}

/// The full name of a key; in a repeatable section, that of the first table.
fn shown_path(key: &ConfigKey) -> String {
    let is_listed = SECTIONS.iter().any(|section| section.is_list && section.name == key.section);
    if is_listed { join(&format!("{}.0", key.section), key.name) } else { key.path() }
}

/// Names of other servers for our keys.
const ELSEWHERE: &[(&str, &str)] = &[
    ("banner", "server.greeting"),
    ("welcome_msg", "server.greeting"),
    ("ftpd_banner", "server.greeting"),
    ("passive_ports", "passive.ports"),
    ("masquerade_address", "passive.public_address"),
    ("nat_address", "passive.public_address"),
    ("pasv_address", "passive.public_address"),
    ("max_cons", "limits.connections"),
    ("max_clients", "limits.connections"),
    ("max_cons_per_ip", "limits.connections_per_ip"),
    ("max_per_ip", "limits.connections_per_ip"),
    ("connections_per_address", "limits.connections_per_ip"),
    ("sessions_per_address", "limits.connections_per_ip"),
    ("sessions_per_ip", "limits.connections_per_ip"),
    ("max_upload", "limits.transfer_upload_rate"),
    ("max_download", "limits.transfer_download_rate"),
    ("max_login_attempts", "login.max_attempts"),
    ("enable_anonymous", "login.anonymous"),
    ("anonymous_enable", "login.anonymous"),
    ("anonymous_path", "login.anonymous_home"),
    ("xferlog_file", "log.transfer_log"),
    ("certfile", "tls.certificate"),
    ("keyfile", "tls.private_key"),
];

/// The span, limited to the text: a parser can point one byte past the end.
fn within(text: &str, span: Range<usize>) -> Range<usize> {
    let end = span.end.min(text.len());
    span.start.min(end)..end
}
