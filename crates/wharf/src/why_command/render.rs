//! The result, as text and as JSON.

use std::fmt::Write as _;

use wharf_config::chinese;
use wharf_config::hint::with_config;
use wharf_config::raw::quoted;
use wharf_config::table::text_width;

use super::act::Action;
use super::{DecidingFact, FactKind, Query};

/// Width of the name of a line.
const NAME_WIDTH: usize = 10;

/// Lines with the verdict, the fact, its origin and a hint.
pub(super) fn text(
    case: &Query<'_>,
    decided: &Result<DecidingFact, DecidingFact>,
    notes: &[String],
    is_chinese: bool,
) -> String {
    let user = case.user.escape_debug().to_string();
    let mut action = case.act.words().to_owned();
    if case.act != Action::Login {
        let _ = write!(action, " {}", case.at);
    }
    lines(&user, &action, decided, notes, is_chinese)
}

fn lines(
    user: &str,
    action: &str,
    decided: &Result<DecidingFact, DecidingFact>,
    notes: &[String],
    is_chinese: bool,
) -> String {
    let (is_allowed, fact) = match decided {
        Ok(fact) => (true, fact),
        Err(fact) => (false, fact),
    };
    let mut out = match (is_chinese, is_allowed) {
        (false, true) => format!("allow: {user} may {action}\n"),
        (false, false) => format!("deny: {user} may not {action}\n"),
        (true, true) => format!("允许：{user} 可以{}\n", chinese::action(action)),
        (true, false) => format!("拒绝：{user} 不能{}\n", chinese::action(action)),
    };
    let mut line = |name: &str, text: &str, translated: fn(&str) -> String| {
        let (name, text) = if is_chinese {
            (chinese::label(name), translated(text))
        } else {
            (name, text.to_owned())
        };
        let text = with_config(&text);
        let gap = " ".repeat(NAME_WIDTH.saturating_sub(text_width(name)));
        let _ = writeln!(out, "  {name}{gap} {text}");
    };
    line(fact.kind.name(), &fact.what, chinese::message);
    if let Some(origin) = &fact.origin {
        line("origin", origin, chinese::part);
    }
    if let (false, Some(hint)) = (is_allowed, &fact.hint) {
        line("hint", hint, chinese::message);
    }
    for note in notes {
        line("note", note, chinese::message);
    }
    out
}

/// One JSON object on one line.
pub(super) fn json(
    case: &Query<'_>,
    decided: &Result<DecidingFact, DecidingFact>,
    notes: &[String],
) -> String {
    let (verdict, fact) = match decided {
        Ok(fact) => ("allow", fact),
        Err(fact) => ("deny", fact),
    };
    let or_null =
        |text: Option<&String>| text.map_or_else(|| "null".to_owned(), |text| quoted(text));
    let hint = fact.hint.as_ref().filter(|_| decided.is_err());
    let hint = hint.map(|hint| with_config(hint).into_owned());
    let notes: Vec<_> = notes.iter().map(|note| quoted(note)).collect();
    let members = [
        ("verdict", quoted(verdict)),
        ("user", quoted(case.user)),
        ("path", quoted(&case.at.to_string())),
        ("action", quoted(case.act.name())),
        ("kind", quoted(fact.kind.name())),
        ("what", quoted(&fact.what)),
        ("origin", or_null(fact.origin.as_ref())),
        ("hint", or_null(hint.as_ref())),
        ("notes", format!("[{}]", notes.join(","))),
    ];
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    format!("{{{}}}\n", members.join(","))
}

impl FactKind {
    /// Its name in text and JSON.
    fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Ban => "ban",
            Self::Limit => "limit",
            Self::Tls => "tls",
            Self::Setting => "setting",
            Self::Permission => "permission",
            Self::Quota => "quota",
            Self::File => "file",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_in_the_language_of_the_session() {
        let what = "permissions = \"read\", without `upload`";
        let fact = DecidingFact::new(FactKind::Permission, what)
            .origin("/etc/wharf/users.toml:7 (group staff)")
            .hint("wharf user edit anna --path /=read,upload");
        let notes = ["no running server was found: limits of sessions were not checked".to_owned()];
        let denied = Err(fact.clone());
        assert_eq!(
            lines("anna", "upload /a.txt", &denied, &notes, false),
            "deny: anna may not upload /a.txt\n  \
             permission permissions = \"read\", without `upload`\n  \
             origin     /etc/wharf/users.toml:7 (group staff)\n  \
             hint       wharf user edit anna --path /=read,upload\n  \
             note       no running server was found: limits of sessions were not checked\n"
        );
        assert_eq!(
            lines("anna", "upload /a.txt", &denied, &notes, true),
            "拒绝：anna 不能上传 /a.txt\n  \
             权限       permissions = \"read\"，缺少 `upload`\n  \
             来源       /etc/wharf/users.toml:7（组 staff）\n  \
             提示       wharf user edit anna --path /=read,upload\n  \
             注意       没有找到正在运行的服务器：未检查会话数限制\n"
        );
        assert_eq!(
            lines("anna", "log in", &Ok(fact), &[], true).lines().next(),
            Some("允许：anna 可以登录")
        );
    }
}
