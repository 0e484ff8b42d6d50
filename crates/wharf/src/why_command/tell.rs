//! The result, as text and as JSON.

use std::fmt::Write as _;

use super::act::Action;
use super::{Fact, Kind, Query};
use crate::config::raw::quoted;

/// Lines with the verdict, the fact, its origin and a hint.
pub(super) fn text(case: &Query<'_>, decided: &Result<Fact, Fact>, notes: &[String]) -> String {
    let (verdict, may, fact) = match decided {
        Ok(fact) => ("allow", "may", fact),
        Err(fact) => ("deny", "may not", fact),
    };
    let mut out = format!("{verdict}: {} {may} {}", case.user.escape_debug(), case.act.words());
    if case.act != Action::Login {
        let _ = write!(out, " {}", case.at);
    }
    let _ = writeln!(out, "\n  {:<7} {}", fact.kind.name(), fact.what);
    if let Some(from) = &fact.from {
        let _ = writeln!(out, "  {:<7} {from}", "from");
    }
    if let (Err(_), Some(help)) = (decided, &fact.help) {
        let _ = writeln!(out, "  {:<7} {help}", "hint");
    }
    for note in notes {
        let _ = writeln!(out, "  {:<7} {note}", "note");
    }
    out
}

/// One JSON object on one line.
pub(super) fn json(case: &Query<'_>, decided: &Result<Fact, Fact>, notes: &[String]) -> String {
    let (verdict, fact) = match decided {
        Ok(fact) => ("allow", fact),
        Err(fact) => ("deny", fact),
    };
    let or_null =
        |text: Option<&String>| text.map_or_else(|| "null".to_owned(), |text| quoted(text));
    let notes: Vec<_> = notes.iter().map(|note| quoted(note)).collect();
    let members = [
        ("verdict", quoted(verdict)),
        ("user", quoted(case.user)),
        ("path", quoted(&case.at.to_string())),
        ("action", quoted(case.act.name())),
        ("kind", quoted(fact.kind.name())),
        ("what", quoted(&fact.what)),
        ("from", or_null(fact.from.as_ref())),
        ("hint", or_null(fact.help.as_ref().filter(|_| decided.is_err()))),
        ("notes", format!("[{}]", notes.join(","))),
    ];
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    format!("{{{}}}\n", members.join(","))
}

impl Kind {
    /// Its name in text and JSON.
    fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Ban => "ban",
            Self::Limit => "limit",
            Self::Tls => "tls",
            Self::Setting => "setting",
            Self::Right => "right",
            Self::Quota => "quota",
            Self::File => "file",
        }
    }
}
