//! Problems of a configuration with their location and a hint, rendered as compilers do.

use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::store::masked;
use crate::chinese;
use crate::hint::with_config;

/// An error or a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Whether it prevents the start.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub title: String,
    /// Where the value was set.
    pub place: ProblemLocation,
    /// Related places, each with a label.
    pub also: Vec<(ProblemLocation, String)>,
    /// How to fix it, printed as `hint: …`.
    pub hint: Option<String>,
}

/// Severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The server does not start.
    Error,
    /// The server starts.
    Warning,
}

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProblemLocation {
    /// In the configuration file, at these bytes.
    File(Range<usize>),
    /// In an environment variable or a flag, named here.
    Given(String),
    /// A default, or the configuration as a whole.
    Nowhere,
}

/// The configuration file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigText {
    /// Its path.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

impl ConfigProblem {
    /// A problem that prevents the start.
    pub fn error(title: impl Into<String>, place: ProblemLocation) -> Self {
        let severity = Severity::Error;
        Self { severity, title: title.into(), place, also: Vec::new(), hint: None }
    }

    /// A problem that the administrator should know.
    pub fn warning(title: impl Into<String>, place: ProblemLocation) -> Self {
        Self { severity: Severity::Warning, ..Self::error(title, place) }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Adds a related place.
    #[must_use]
    pub fn also(mut self, place: ProblemLocation, what: impl Into<String>) -> Self {
        self.also.push((place, what.into()));
        self
    }

    /// The problem in Chinese, to be displayed.
    fn in_chinese(&self) -> Self {
        let place = |place: &ProblemLocation| match place {
            ProblemLocation::Given(by) => ProblemLocation::Given(chinese::part(by)),
            other => other.clone(),
        };
        let also = self.also.iter().map(|(at, what)| (place(at), chinese::message(what)));
        Self {
            title: chinese::message(&self.title),
            hint: self.hint.as_deref().map(chinese::message),
            place: place(&self.place),
            also: also.collect(),
            ..self.clone()
        }
    }

    fn group<'a>(&'a self, source: Option<&'a ConfigText>, is_chinese: bool) -> Group<'a> {
        let name = |name: &'static str| if is_chinese { chinese::label(name) } else { name };
        let level = match self.severity {
            Severity::Error => Level::ERROR.with_name(name("error")),
            Severity::Warning => Level::WARNING.with_name(name("warning")),
        };
        let mut group = Group::with_title(level.primary_title(self.title.as_str()));
        if let (Some(source), ProblemLocation::File(span)) = (source, &self.place) {
            let mut snippet = Snippet::source(source.text.as_str())
                .path(source.path.to_string_lossy().into_owned())
                .annotation(AnnotationKind::Primary.span(span.clone()));
            for (place, what) in &self.also {
                if let ProblemLocation::File(span) = place {
                    let context = AnnotationKind::Context.span(span.clone());
                    snippet = snippet.annotation(context.label(what.as_str()));
                }
            }
            group = group.element(snippet);
        }
        let set_here = if is_chinese { "在此设置" } else { "set here" };
        let given = std::iter::once((&self.place, set_here))
            .chain(self.also.iter().map(|(place, what)| (place, what.as_str())));
        for (place, what) in given {
            if let ProblemLocation::Given(by) = place {
                let colon = if is_chinese { "：" } else { ": " };
                let note = Level::NOTE.with_name(name("note"));
                group = group.element(note.message(format!("{what}{colon}{by}")));
            }
        }
        match &self.hint {
            Some(hint) => group.element(Level::HELP.with_name(name("hint")).message(hint.as_str())),
            None => group,
        }
    }
}

/// All problems as text.
pub fn render(
    problems: &[ConfigProblem],
    source: Option<&ConfigText>,
    is_coloured: bool,
) -> String {
    let renderer = if is_coloured { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    let is_chinese = chinese::is_active();
    for problem in problems {
        let mut shown = if is_chinese { problem.in_chinese() } else { problem.clone() };
        shown.hint = shown.hint.map(|hint| with_config(&hint).into_owned());
        let text = masked(&renderer.render(&[shown.group(source, is_chinese)]));
        out.push_str(&if is_chinese { chinese::wide_colons(&text) } else { text });
        out.push_str("\n\n");
    }
    out
}

/// The number of errors and warnings, such as "1 error, 2 warnings".
pub fn count(problems: &[ConfigProblem]) -> String {
    let of = |severity, name: &str| {
        let number = problems.iter().filter(|problem| problem.severity == severity).count();
        match number {
            0 => None,
            1 => Some(format!("1 {name}")),
            _ => Some(format!("{number} {name}s")),
        }
    };
    let counts = [of(Severity::Error, "error"), of(Severity::Warning, "warning")];
    counts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::Loaded;
    use super::super::gather::{Flag, Inputs};
    use super::super::raw::Raw;

    #[test]
    fn problems_of_the_configuration_are_translated() {
        let flag = |path: &str, value: &str| Flag {
            shown: path.to_owned(),
            path: path.to_owned(),
            raw: Raw::Plain(value.to_owned()),
        };
        let flags = vec![flag("passive.ports", "9-5"), flag("ban.tim", "5m")];
        let loaded = Loaded::load(&Inputs { flags, ..Inputs::default() });
        let titles: Vec<_> = loaded.problems.iter().map(|one| one.in_chinese().title).collect();
        assert!(
            titles.iter().any(|title| title == "`passive.ports`：端口范围无效：5 小于 9"),
            "{titles:?}"
        );
        assert!(titles.iter().any(|title| title == "未知的配置项 `ban.tim`"), "{titles:?}");
    }
}
