//! Findings, as text or JSON.

use std::fmt::Write as _;

use serde::Serialize;
use wharf_config::chinese;
use wharf_config::hint::with_config;
use wharf_config::outcome::{Exit, Failure, counted, print, print_error};
use wharf_config::table::text_width;
use wharf_runtime::sandbox::permissions;

use crate::json::json_line;

/// The findings of all subjects, in order.
pub(super) struct CheckPage {
    is_json: bool,
    /// Whether text is Chinese; JSON never is.
    is_chinese: bool,
    subject: &'static str,
    findings: Vec<CheckFinding>,
    /// Text of the current section, for standard output.
    text: String,
    /// Number of findings that were printed.
    printed: usize,
    /// The exit code of the worst finding.
    exit: Option<Exit>,
}

/// A finding. The names of fields are stable: scripts read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct CheckFinding {
    subject: &'static str,
    level: FindingLevel,
    /// Its subject, such as a port; none if `what` contains it.
    name: Option<String>,
    what: String,
    hint: Option<String>,
    /// Whether it was printed already.
    #[serde(skip)]
    is_printed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FindingLevel {
    /// As expected.
    Ok,
    /// Information.
    Note,
    /// The server works, but with restrictions or not for long.
    Warning,
    /// The server cannot start, or some accounts or clients cannot use it.
    Error,
}

impl FindingLevel {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Width of the name of a row.
const NAME_WIDTH: usize = 14;

/// The fields of a finding, for the reference.
#[cfg(test)]
pub(super) const FIELDS: &[(&str, &str)] = &[
    ("subject", "{subjects}, or `ask` for `--ask`"),
    ("level", "severity, as below"),
    ("name", "its subject, such as `[::]:21` or `certificate`; `null` if `what` contains it"),
    ("what", "the finding, as a sentence"),
    ("hint", "how to fix it; `null` if there is no problem"),
];

/// The levels, for the reference.
#[cfg(test)]
pub(super) const LEVELS: &[(FindingLevel, &str)] = &[
    (FindingLevel::Ok, "as expected"),
    (FindingLevel::Note, "information"),
    (FindingLevel::Warning, "the server works, but with restrictions or not for long"),
    (FindingLevel::Error, "the server cannot start, or some accounts or clients cannot use it"),
];

/// The JSON output.
#[derive(Serialize)]
struct CheckOutput<'a> {
    findings: &'a [CheckFinding],
    errors: usize,
    warnings: usize,
    notes: usize,
}

impl CheckPage {
    pub(super) fn new(is_json: bool, is_chinese: bool) -> Self {
        let (findings, text) = (Vec::new(), String::new());
        Self { is_json, is_chinese, subject: "", findings, text, printed: 0, exit: None }
    }

    /// Begins a section; `title` may be empty.
    pub(super) fn begin(&mut self, subject: &'static str, title: &str) {
        self.subject = subject;
        if !title.is_empty() {
            let title = self.label(title).to_owned();
            let _ = writeln!(self.text, "{title}");
        }
    }

    /// A finding without a problem, as a sentence.
    pub(super) fn line(&mut self, text: String) {
        let shown = self.shown(&text);
        let _ = writeln!(self.text, "{shown}");
        self.add(FindingLevel::Ok, None, text, None);
    }

    /// A finding without a problem, as a row with a name.
    pub(super) fn row(&mut self, name: &str, text: &str) {
        let words = name.replace('_', " ");
        let (label, shown) = (self.label(&words).to_owned(), self.shown(text));
        let gap = " ".repeat(NAME_WIDTH.saturating_sub(text_width(&label)).max(1));
        let _ = writeln!(self.text, "  {label}{gap}{shown}");
        self.add(FindingLevel::Ok, Some(name.to_owned()), text.to_owned(), None);
    }

    /// An informational finding.
    pub(super) fn note(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.add(FindingLevel::Note, None, what.into(), Some(hint.into()));
    }

    /// A warning.
    pub(super) fn warn(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.add(FindingLevel::Warning, None, what.into(), Some(hint.into()));
    }

    /// An error.
    pub(super) fn fail(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.failed(Failure::new(what).hint(hint));
    }

    /// An error with the exit code that a start would have.
    pub(super) fn failed(&mut self, failure: Failure) {
        if failure.message.is_empty() {
            self.worsen(failure.exit);
            return;
        }
        self.worsen(failure.exit);
        self.add(FindingLevel::Error, None, failure.message, failure.hint);
    }

    /// An error in the configuration.
    pub(super) fn problem(&mut self, what: String, hint: Option<String>) {
        let failure = Failure { exit: Exit::ConfigInvalid, hint, ..Failure::new(what) };
        self.failed(failure);
    }

    /// A warning that was printed already.
    pub(super) fn printed_warning(&mut self, what: String, hint: Option<String>) {
        self.add(FindingLevel::Warning, None, what, hint);
        if let Some(last) = self.findings.last_mut() {
            last.is_printed = true;
        }
    }

    /// Wrong permissions of files.
    pub(super) fn found(&mut self, findings: Vec<permissions::PermissionFinding>) {
        for finding in findings {
            let level =
                if finding.is_warning() { FindingLevel::Warning } else { FindingLevel::Note };
            let hint = Some(finding.hint().to_owned());
            self.add(level, None, finding.what().to_owned(), hint);
        }
    }

    /// A message in the language of the page.
    fn shown(&self, text: &str) -> String {
        if self.is_chinese { chinese::message(text) } else { text.to_owned() }
    }

    fn label<'t>(&self, name: &'t str) -> &'t str {
        if self.is_chinese { chinese::label(name) } else { name }
    }

    /// Lines with the level, the finding and its hint.
    fn described(&self, finding: &CheckFinding) -> String {
        let colon = if self.is_chinese { "：" } else { ": " };
        let level = self.label(finding.level.name());
        let mut lines = format!("{level}{colon}{}\n", self.shown(&finding.what));
        if let Some(hint) = &finding.hint {
            let _ =
                writeln!(lines, "{}{colon}{}", self.label("hint"), with_config(&self.shown(hint)));
        }
        lines
    }

    fn add(
        &mut self,
        level: FindingLevel,
        name: Option<String>,
        what: String,
        hint: Option<String>,
    ) {
        let subject = self.subject;
        let finding = CheckFinding { subject, level, name, what, hint, is_printed: false };
        let is_same =
            |other: &CheckFinding| other.what == finding.what && other.hint == finding.hint;
        // Two subjects can have the same finding.
        if level == FindingLevel::Ok || !self.findings.iter().any(is_same) {
            self.findings.push(finding);
        }
    }

    /// An invalid configuration takes precedence, then missing permissions.
    fn worsen(&mut self, exit: Exit) {
        let rank = |exit: Exit| match exit {
            Exit::ConfigInvalid => 2,
            Exit::Forbidden => 1,
            _ => 0,
        };
        if self.exit.is_none_or(|before| rank(exit) > rank(before)) {
            self.exit = Some(exit);
        }
    }

    /// Prints the section: findings without a problem to standard output, others to standard error.
    pub(super) fn print_section(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.text);
        let from = std::mem::replace(&mut self.printed, self.findings.len());
        if self.is_json {
            return Ok(());
        }
        print(&text)?;
        let mut error: Vec<_> = self.findings.iter().skip(from).collect();
        error.retain(|finding| finding.level != FindingLevel::Ok && !finding.is_printed);
        for finding in error {
            print_error(&self.described(finding));
        }
        Ok(())
    }

    /// Prints the summary.
    pub(super) fn end(mut self, is_strict: bool) -> Result<Exit, Failure> {
        self.print_section()?;
        for hint in self.findings.iter_mut().filter_map(|finding| finding.hint.as_mut()) {
            *hint = with_config(hint).into_owned();
        }
        let count = |level| self.findings.iter().filter(|one| one.level == level).count();
        let (errors, warnings) = (count(FindingLevel::Error), count(FindingLevel::Warning));
        if self.is_json {
            let findings = &self.findings;
            let whole =
                CheckOutput { findings, errors, warnings, notes: count(FindingLevel::Note) };
            print(&json_line(&whole))?;
        }
        let reported =
            |failure: Failure| if self.is_json { Failure::silent(failure.exit) } else { failure };
        let of_warnings = counted(warnings, "warning");
        if let Some(exit) = self.exit {
            let of_errors = counted(errors, "error");
            let message = match warnings {
                0 => format!("check failed: {of_errors}"),
                _ => format!("check failed: {of_errors}, {of_warnings}"),
            };
            return Err(reported(Failure { exit, ..Failure::new(message) }));
        }
        if is_strict && warnings > 0 {
            let message = format!("check failed: {of_warnings} with --strict");
            return Err(reported(Failure { exit: Exit::ConfigInvalid, ..Failure::new(message) }));
        }
        Ok(Exit::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_decides_the_number() {
        let end = |fill: fn(&mut CheckPage), is_strict| {
            let mut page = CheckPage::new(true, false);
            fill(&mut page);
            page.end(is_strict).map_err(|failure| failure.exit)
        };
        assert_eq!(end(|page| page.note("a", "b"), true), Ok(Exit::Done));
        assert_eq!(end(|page| page.warn("a", "b"), false), Ok(Exit::Done));
        assert_eq!(end(|page| page.warn("a", "b"), true), Err(Exit::ConfigInvalid));
        assert_eq!(end(|page| page.fail("a", "b"), false), Err(Exit::Failed));
        let forbidden = |page: &mut CheckPage| {
            page.fail("a", "b");
            page.failed(Failure { exit: Exit::Forbidden, ..Failure::new("c") });
        };
        assert_eq!(end(forbidden, true), Err(Exit::Forbidden));
        let broken = |page: &mut CheckPage| {
            page.problem("d".into(), None);
            page.failed(Failure { exit: Exit::Forbidden, ..Failure::new("c") });
        };
        assert_eq!(end(broken, false), Err(Exit::ConfigInvalid));
    }

    #[test]
    fn findings_are_in_the_language_of_the_session() {
        let page = |is_chinese| {
            let mut page = CheckPage::new(false, is_chinese);
            page.begin("ports", "Ports");
            page.row("[::]:21", "available");
            page.row("system_calls", "330 denied (seccomp)");
            page.row("open files", "enough for 100 sessions, in this shell");
            page.fail(
                "port 21 is in use by pid 7 (ftpd)",
                "stop that program, or use another port: listen.port, or -p",
            );
            let reported: String =
                page.findings.iter().skip(3).map(|one| page.described(one)).collect();
            page.text + &reported
        };
        assert_eq!(
            page(false),
            "Ports\n  [::]:21       available\n  system calls  330 denied (seccomp)\n  \
             open files    enough for 100 sessions, in this shell\n\
             error: port 21 is in use by pid 7 (ftpd)\n\
             hint: stop that program, or use another port: listen.port, or -p\n"
        );
        assert_eq!(
            page(true),
            "端口\n  [::]:21       可用\n  系统调用      拒绝 330 个系统调用（seccomp）\n  \
             打开文件数    在当前 shell 中足够 100 个会话使用\n\
             错误：端口 21 已被占用：pid 7（ftpd）\n\
             提示：请停止该程序，或换用其他端口：listen.port 或 -p\n"
        );
    }

    #[test]
    fn fields_for_scripts_are_frozen() {
        let mut page = CheckPage::new(true, false);
        page.begin("ports", "Ports");
        page.row("[::]:21", "can be opened");
        page.warn("port 30000 is in use", "widen passive.ports");
        page.warn("port 30000 is in use", "widen passive.ports");
        let text = serde_json::to_string(&page.findings).unwrap();
        for (field, _) in FIELDS {
            assert!(text.contains(&format!("\"{field}\":")), "{field}");
        }
        assert_eq!(
            text,
            "[{\"subject\":\"ports\",\"level\":\"ok\",\"name\":\"[::]:21\",\
             \"what\":\"can be opened\",\"hint\":null},\
             {\"subject\":\"ports\",\"level\":\"warning\",\"name\":null,\
             \"what\":\"port 30000 is in use\",\"hint\":\"widen passive.ports\"}]"
        );
    }
}
