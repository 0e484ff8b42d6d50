//! The configuration as text: the default file, the reference page, and the effective values.

use std::fmt::Write as _;
use std::path::Path;

use wharf_core::account::Rate;
use wharf_users::units::format_rate;

use super::keys::{ConfigKey, ConfigSection, SECTIONS, join};
use super::layers::{Item, Layers, ValueOrigin};
use super::raw::{Raw, quoted};
use super::store::masked;
use super::value::{ConfigValue, ListenPort};

/// The column of comments in the default file.
const COMMENT_COLUMN: usize = 36;

/// The file with every key, its default and its description.
pub fn default_file() -> String {
    let mut out = String::from(
        "# wharf.toml - every key with its default. Missing keys have their default.\n\
         # Check it:   wharf check      See what is in force and why:  wharf config show --origin\n\
         # Override:   --set passive.ports=30000-31999   or   WHARF__PASSIVE__PORTS=30000-31999\n\
         # Order of precedence: command line, environment, this file, built-in default.\n\
         # Rates take KiB/s MiB/s GiB/s, times take ms s m h d; 0 or \"unlimited\" = no limit.\n\
         # Relative paths begin at this file's folder.\n\
         # wharf reads the file that -c or WHARF_CONFIG names, else /etc/wharf/wharf.toml.\n\
         # Changed keys take effect with `wharf reload`; changes of accounts need no reload.\n\
         # [R] = takes effect after a restart of the server.\n",
    );
    for section in SECTIONS {
        out.push('\n');
        if !section.name.is_empty() {
            let _ = writeln!(out, "{}# {}", pad(&header(section)), section.about.trim());
        }
        for key in section.keys {
            write_key(&mut out, key);
        }
    }
    out
}

fn write_key(out: &mut String, key: &ConfigKey) {
    // The version needs no comment.
    if key.section.is_empty() {
        let _ = writeln!(out, "{} = {}", key.name, key.default);
        return;
    }
    let mut lead = pad(&format!("{:<12} = {}", key.name, key.default));
    let mut mark = if key.needs_restart { "[R] " } else { "" };
    for line in key.about {
        let _ = writeln!(out, "{lead}# {mark}{}", line.trim());
        mark = "";
        lead = " ".repeat(COMMENT_COLUMN);
    }
}

fn pad(text: &str) -> String {
    // At least two columns between a long value and its comment.
    format!("{text:<width$}", width = COMMENT_COLUMN.max(text.chars().count() + 2))
}

fn header(section: &ConfigSection) -> String {
    if section.is_list { format!("[[{}]]", section.name) } else { format!("[{}]", section.name) }
}

/// The reference page `docs/reference/config.md`, in Markdown.
#[cfg(test)]
pub fn reference() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         All keys, with their defaults. This page is generated from the source code (`cargo \
         xtask docs`); do not edit it.\n\n\
         `wharf` reads one TOML file: the file named by `-c`/`--config` or `WHARF_CONFIG`, \
         otherwise `/etc/wharf/wharf.toml`, or `~/.config/wharf/wharf.toml` for a user other than \
         root. A `wharf.toml` in the current folder is not used unless it is named. \
         `wharf config path` prints the path in use. Every key has a default; \
         `wharf config default` prints a file with all of them.\n\n\
         Order of precedence: command line, environment, file, default. In the environment, \
         `passive.ports` is `WHARF__PASSIVE__PORTS`; on the command line, it is \
         `--set passive.ports=30000-31999`. Repeated tables are numbered from 0: \
         `listen.0.port`, `WHARF__LISTEN__0__PORT`. `WHARF_LOG` replaces `log.level` and \
         `log.filter`. `wharf config show --origin` prints the effective value of each key and \
         where it was set; `wharf check` reports all errors at \
         once and exits with 78.\n\n\
         Rates take `KiB/s`, `MiB/s`, `GiB/s` (1024) and `KB/s`, `MB/s`, `GB/s` (1000); times take \
         `ms`, `s`, `m`, `h`, `d`, also together: `\"5m 30s\"`. `0` or `\"unlimited\"` means no \
         limit. Paths in the file are relative to its folder, those of variables and options to \
         the current folder. Changed keys take \
         effect with `wharf reload`; those marked **R** after a restart of the server.\n",
    );
    for section in SECTIONS {
        if section.name.is_empty() {
            let _ = writeln!(out, "\n## Before the first section");
        } else {
            let _ = writeln!(out, "\n## `{}`\n\n{}", header(section), section.about.trim());
        }
        let _ = writeln!(out, "\n| Key | Default | Type | Description |");
        let _ = writeln!(out, "|---|---|---|---|");
        for key in section.keys {
            let about: Vec<_> = key.about.iter().map(|line| line.trim()).collect();
            let cells = [
                format!("`{}`{}", key.name, if key.needs_restart { " **R**" } else { "" }),
                format!("`{}`", key.default),
                cell(key.kind),
                cell(&about.join("; ").replace(";;", ";")),
            ];
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
    }
    out
}

#[cfg(test)]
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// A value as TOML of the type of the key; variables and flags are plain text.
pub fn value_text(key: &ConfigKey, raw: &Raw) -> String {
    // A rate in the most readable unit, however it was written.
    if key.kind == Rate::KIND
        && let Ok(rate) = Rate::read(raw, Path::new(""))
    {
        return match rate {
            Rate::Unlimited => "0".into(),
            Rate::BytesPerSecond(_) => quoted(&format_rate(rate)),
        };
    }
    let (Raw::Plain(text), Some(default)) = (raw, Raw::parse_toml(key.default)) else {
        return raw.to_toml();
    };
    let typed = match default {
        Raw::List(_) => raw.list().map(Raw::List),
        Raw::Boolean(_) => raw.boolean().map(Raw::Boolean),
        Raw::Integer(_) => raw.integer().map(Raw::Integer),
        _ if key.kind == ListenPort::KIND => raw.integer().map(Raw::Integer),
        _ => None,
    };
    typed.map_or_else(|| quoted(text), |typed| typed.to_toml())
}

/// The effective configuration, as a valid configuration file.
pub fn in_force(layers: &Layers, has_origin: bool) -> String {
    let mut out = String::new();
    for section in SECTIONS {
        for path in instances(section, layers) {
            if !out.is_empty() {
                out.push('\n');
            }
            if !section.name.is_empty() {
                let _ = writeln!(out, "{}", header(section));
            }
            for key in section.keys {
                let item = layers.item(&join(&path, key.name));
                let value =
                    item.map_or_else(|| key.default.into(), |item| value_text(key, &item.raw));
                let line = format!("{} = {value}", key.name);
                if has_origin {
                    let _ = writeln!(out, "{}# {}", pad(&line), origin(item, layers));
                } else {
                    let _ = writeln!(out, "{line}");
                }
            }
        }
    }
    masked(&out)
}

/// The effective configuration as one JSON object: the full name of each key with its value, or,
/// with `has_origin`, with an object of `value` and `origin`.
pub fn in_force_json(layers: &Layers, has_origin: bool) -> String {
    let mut members = Vec::new();
    for section in SECTIONS {
        for path in instances(section, layers) {
            for key in section.keys {
                let name = join(&path, key.name);
                let item = layers.item(&name);
                let value =
                    item.map_or_else(|| key.default.into(), |item| value_text(key, &item.raw));
                members.push(if has_origin {
                    let origin = quoted(&origin(item, layers));
                    format!("{}:{{\"value\":{value},\"origin\":{origin}}}", quoted(&name))
                } else {
                    format!("{}:{value}", quoted(&name))
                });
            }
        }
    }
    masked(&format!("{{{}}}\n", members.join(",")))
}

fn instances(section: &ConfigSection, layers: &Layers) -> Vec<String> {
    if !section.is_list {
        return vec![section.name.into()];
    }
    // There is always at least one listener.
    let least = usize::from(section.name == "listen");
    let count = layers.tables(section.name).max(least);
    (0..count).map(|index| format!("{}.{index}", section.name)).collect()
}

/// Where the value of a key was set.
pub fn origin_of(layers: &Layers, path: &str) -> String {
    origin(layers.item(path), layers)
}

fn origin(item: Option<&Item>, layers: &Layers) -> String {
    match (item.map(|item| &item.origin), &layers.source) {
        (None, _) => "default".into(),
        (Some(ValueOrigin::File(span)), Some(source)) => {
            let before = source.text.bytes().take(span.start);
            let line = before.filter(|byte| *byte == b'\n').count() + 1;
            format!("{}:{line}", source.path.display())
        }
        (Some(ValueOrigin::File(_)), None) => "file".into(),
        (Some(ValueOrigin::Environment(name)), _) => format!("environment {name}"),
        (Some(ValueOrigin::Flag(shown)), _) => format!("option {shown}"),
    }
}
