//! Tests of the translations, and that no message is without one.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::keys::keys;

const TABLES: [(&str, &[&str]); 4] =
    [("messages", MESSAGES), ("parts", PARTS), ("actions", ACTIONS), ("labels", LABELS)];

/// Literals with spaces that are not messages: commands, formats, names of FTP commands, values
/// and parts of a text that are not translated.
const NOT_MESSAGES: &[&str] = &[
    "AUTH TLS",
    "{question} [y/N] ",
    "USER {user}",
    "PASS {password}",
    "PBSZ 0",
    "PROT P",
    "SITE CHMOD",
    "SITE CPFR",
    "SITE CPTO",
    "Password: ",
    "wharf check\\n",
    "a test sees that each act has a row",
    "{host} at {address}",
    // Values of settings.
    "enabled = false",
    "sessions = {value}",
    "permissions = \"{shown}\"",
    "paths.\"{prefix}\" = \"{shown}\"",
    // A template for each kind of file, file system and number of ports.
    "{what} {path} is inside the home {home}",
    "{shown} is on {kind}",
    "passive {plural} {ports_shown}{name}: {why}",
    "{name} cannot log in: {place}: {fault}",
    "warning: {text}\\n",
    "accounts.password_file: {}",
    "PostgreSQL at {}: {TOO_MANY}",
    "PostgreSQL at {shown}: {reason}",
    "invalid {what} `{text}`: {}",
    "{PROGRAM} {path} is inside the home {home}: {}",
    "renamed to `{new}`{how}",
    "invalid configuration{place}: {}",
    // Separates a message from its hint.
    "\\nhint: ",
    // A template for options, and one for each argument of these commands.
    "invalid {name} `{}`",
    "invalid {name} `{}`: {why}",
    "missing {what}: {}",
    // Parts of messages, which are translated as a whole.
    " and ",
    "error: ",
    "invalid ",
    "{} or {last}",
    "one of",
    "one of `",
    ", without quotes",
    "; to rewrite the file:  wharf config migrate --write",
    "{word}HOST",
    "{word}HOST:PORT",
    "the URL",
    "user {user}",
    // Of changes of accounts.
    "change it:  wharf group edit {name}",
    "change it:  wharf user edit {name}",
    "cannot write {}",
    "cannot save the change: {}",
    // Names of the kernel.
    "Landlock ABI {effective_abi}",
    "Landlock ABI {abi}",
    // Texts of libraries, which are replaced.
    "invalid comment character",
    "invalid basic string, expected non-double-quote",
    "invalid value for option `port`",
    "invalid peer certificate: ",
    "invalid basic string, expected `\"`",
    " (os error ",
    "SQLite format 3\\0",
    "a test reads every default in the table",
];

/// Sources with messages of `wharf check` and `wharf why`, from the folder of the crates. Files
/// that end with `_tests.rs` and those of [`OTHER_FILES`] are not read.
const SOURCES: &[&str] = &[
    "wharf/src/cli/mistake.rs",
    "wharf/src/check_command.rs",
    "wharf/src/check_command",
    "wharf/src/why_command.rs",
    "wharf/src/why_command",
    "config/src",
    "runtime/src/certificate.rs",
    "runtime/src/accounts.rs",
    "runtime/src/wire.rs",
    "runtime/src/wire/accounts.rs",
    "runtime/src/logins.rs",
    "runtime/src/logins/secret.rs",
    "runtime/src/sandbox",
    "wharf/src/remote_server.rs",
    "runtime/src/serve/warner.rs",
    "runtime/src/serve/binding.rs",
    "wharf/src/serve_command/quick_share.rs",
    "wharf/src/prompt.rs",
    "wharf/src/words.rs",
    "wharf/src/cli/elsewhere.rs",
    "users/src/file/entry.rs",
    "users/src/file/read.rs",
    "users/src/hours.rs",
    "users/src/units.rs",
    "users/src/permissions.rs",
    "users/src/name.rs",
    "accounts-sql/src/address.rs",
    "accounts-sql/src/postgres.rs",
    "accounts-sql/src/sqlite.rs",
    "accounts-sql/src/schema.rs",
];

/// Sources without messages of these commands: they build the output itself, the reference, and the
/// default file.
const OTHER_FILES: &[&str] = &[
    "page.rs", "render.rs", "reference.rs", "tests.rs", "keys.rs", "show.rs", "raw.rs",
    "problem.rs", "outcome.rs", "hint.rs", "chinese.rs",
];

/// Beginnings of commands for a shell or a database, which are the same in each language.
const COMMANDS: &[&str] = &[
    "wharf ", "sudo ", "netsh ", "chown ", "chmod ", "--", "SELECT ", "SET ", "PRAGMA ", "INSERT ",
    "BEGIN ",
];

#[test]
fn both_sides_of_a_template_have_the_same_values() {
    for (name, tables) in TABLES {
        let known = templates(tables);
        let mut seen = BTreeSet::new();
        for BilingualTemplate { english, chinese } in known {
            assert!(seen.insert(english), "{name}: two templates {english:?}");
            assert!(fixed_length(english) > 3 || name == "labels", "{english:?}: too general");
            assert!(!chinese.is_empty() && chinese.trim() == chinese, "{english:?}");
            assert!(!english.contains("{}{}"), "{english:?}");
            let count = english.matches("{}").count();
            let used: BTreeSet<usize> = chinese
                .split('{')
                .skip(1)
                .map(|rest| rest.split(['}', ':']).next().unwrap().parse().unwrap())
                .collect();
            assert_eq!(used, (0..count).collect(), "{english:?}: {chinese:?}");
            assert_eq!(chinese.matches('{').count(), count, "{english:?}: {chinese:?}");
        }
    }
}

/// Every key may have a value of the wrong type, so that its message names what is expected.
#[test]
fn what_each_key_expects_is_translated() {
    let mut english = Vec::new();
    for key in keys() {
        let shown = message(&format!("expected {}, found an integer", key.kind));
        // Values stand between backquotes or quotes.
        let words = shown.split(['`', '"']).step_by(2);
        if words.flat_map(|part| part.split([' ', ':', '/'])).any(is_english) {
            english.push(shown);
        }
    }
    english.sort_unstable();
    english.dedup();
    assert_eq!(english, Vec::<String>::new());
}

fn is_english(word: &str) -> bool {
    word.len() > 1
        && word.chars().all(|letter| letter.is_ascii_lowercase())
        && !["true", "false"].contains(&word)
}

#[test]
fn values_stay_and_messages_within_messages_are_translated() {
    for (english, chinese) in [
        ("port 21 is in use by pid 7 (ftpd)", "端口 21 已被占用：pid 7（ftpd）"),
        (
            "port 21 is in use by an unknown program (run as root to see it)",
            "端口 21 已被占用：未知程序（以 root 执行即可查看）",
        ),
        // Spaces are between Chinese and Latin letters, not within Chinese; lists have 、.
        (
            "expected an IP address such as `0.0.0.0` or `[::]`",
            "应为 IP 地址，例如 `0.0.0.0` 或 `[::]`",
        ),
        ("expected a string, found an integer", "应为字符串，实际为整数"),
        ("use one of `off`, `login`", "请使用以下之一：`off`、`login`"),
        (
            "`limits.connections`: -1 is out of range: 0 to 9",
            "`limits.connections`：-1 超出范围：0 到 9",
        ),
        ("the certificate expires in 1 day, on 2027-01-31", "证书将在 1 天后过期（2027-01-31）"),
        // Also an account with the name of a row.
        ("files cannot log in: it has no password", "files 无法登录：没有设置密码"),
        ("anna cannot log in: /a: b is not a folder", "anna 无法登录：/a: b 不是文件夹"),
        ("available", "可用"),
        (
            "available; port 21 is not permitted for this system user",
            "可用；当前系统用户无权使用端口 21",
        ),
        ("check failed: 2 errors, 1 warning", "检查未通过：2 个错误，1 个警告"),
        (
            "`limits.upload_rate`: invalid rate `1 Mbit`: `Mbit` counts bits",
            "`limits.upload_rate`：速率 `1 Mbit` 无效：`Mbit` 是比特单位",
        ),
        ("limits.connections = 5, and 5 are in use", "limits.connections = 5，已使用 5"),
        ("", ""),
        ("a sentence that is not in the tables", "a sentence that is not in the tables"),
    ] {
        assert_eq!(message(english), chinese);
    }
    assert_eq!(part("/etc/users.toml:7 (group staff)"), "/etc/users.toml:7（组 staff）");
    assert_eq!(action("get the checksum of /a b"), "计算 /a b 的校验和");
    assert_eq!((label("open files"), label("[::]:21")), ("打开文件数", "[::]:21"));
}

#[test]
fn labels_at_the_beginning_of_lines_get_a_wide_colon() {
    let (plain, wide) = (
        "错误: 端口 错误: 1\n  |\n  = 提示: 请写 警告: x\n3 | 错误: 4\n",
        "错误：端口 错误: 1\n  |\n  = 提示：请写 警告: x\n3 | 错误: 4\n",
    );
    assert_eq!(wide_colons(plain), wide);
    let coloured = "\x1b[1m\x1b[91m错误\x1b[0m\x1b[1m: a: b\x1b[0m\n";
    assert_eq!(wide_colons(coloured), "\x1b[1m\x1b[91m错误\x1b[0m\x1b[1m：a: b\x1b[0m\n");
    assert_eq!(wide_colons("error: x"), "error: x");
}

/// A message that is added to these commands needs a translation in `src/chinese/*.txt`.
#[test]
fn every_message_of_check_and_why_has_a_translation() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for source in SOURCES.iter().map(|source| crates.join(source)) {
        match std::fs::read_dir(&source) {
            Ok(entries) => files.extend(entries.map(|entry| entry.unwrap().path())),
            Err(_) => files.push(source),
        }
    }
    let mut missing = Vec::new();
    let mut count = 0;
    for file in files.into_iter().filter(|file| file.extension().is_some()) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let is_units_of_config = file.ends_with("config/src/units.rs");
        if OTHER_FILES.contains(&name.as_str()) || name.ends_with("_tests.rs") || is_units_of_config
        {
            continue;
        }
        for literal in literals(&std::fs::read_to_string(&file).unwrap()) {
            if !is_message(&literal) {
                continue;
            }
            count += 1;
            if !is_translated(&literal) {
                missing.push(format!("{name}: {literal}"));
            }
        }
    }
    assert!(count > 550, "only {count} messages were found");
    assert!(missing.is_empty(), "without a translation:\n{}", missing.join("\n"));
}

/// Whether a literal of the source is text for people.
fn is_message(literal: &str) -> bool {
    // A format without words, such as `{} = {}`, has only values.
    let fixed = normal(literal).replace("{}", "");
    literal.contains(' ')
        && fixed.contains(|letter: char| letter.is_ascii_alphabetic())
        && !NOT_MESSAGES.contains(&literal)
        && (fixed.contains(", or ") || !COMMANDS.iter().any(|start| literal.starts_with(start)))
}

fn is_translated(literal: &str) -> bool {
    // A reason and its hint are separate messages.
    let parts: Vec<_> = literal.split("; write ").collect();
    if let [reason, hint] = parts.as_slice()
        && is_translated(reason)
        && is_translated(&format!("write {hint}"))
    {
        return true;
    }
    let mut text = String::new();
    for (number, fixed) in normal(literal).split("{}").enumerate() {
        if number > 0 {
            let _ = write!(text, "v{number}");
        }
        text += fixed;
    }
    let (of_action, of_error) = (format!("{text} /a"), format!("{text}: v"));
    let of_file = part(&format!("{text} v"));
    let known =
        [message(&text), part(&text), message(&of_error), action(&text), action(&of_action)];
    known.iter().chain([&of_file]).any(|text| text.contains(is_han))
        || label(&text).contains(is_han)
}

/// The literal with `{}` for each value.
fn normal(literal: &str) -> String {
    let mut out = String::new();
    let literal = literal.replace("\\\\", "\\");
    let mut rest = literal.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let Some((_, after)) = after.trim_start_matches('{').split_once('}') else { break };
        let after = after.trim_start_matches('}');
        out += before;
        out += "{}";
        rest = after;
    }
    out + rest
}

/// The string literals of a source, without its comments, attributes and tests.
fn literals(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let is_code = |line: &&str| !["//", "#["].iter().any(|start| line.trim().starts_with(start));
    let code: Vec<_> = source.lines().filter(is_code).collect();
    let code = code.join("\n").replace("'\"'", "' '");
    let mut found = Vec::new();
    let mut letters = code.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '"' {
            continue;
        }
        let mut literal = String::new();
        while let Some(letter) = letters.next_if(|letter| *letter != '"') {
            match (letter, letters.peek()) {
                ('\\', Some('"')) => literal.extend(letters.next()),
                ('\\', Some('\n')) => {
                    while letters.next_if(|next| next.is_whitespace()).is_some() {}
                }
                _ => literal.push(letter),
            }
        }
        letters.next();
        found.push(literal);
    }
    found
}
