//! What is wrong with a configuration, where, and what would help; shown as compilers do.

use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::store::masked;

/// One thing to mend or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Whether wharf starts in spite of it.
    pub(crate) severity: Severity,
    /// What is wrong, in one line.
    pub(crate) title: String,
    /// Where it was said.
    pub(crate) place: Place,
    /// Other places that have to do with it, each with what it has.
    pub(crate) also: Vec<(Place, String)>,
    /// What would be right.
    pub(crate) help: Option<String>,
}

/// Whether wharf starts in spite of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// It does not.
    Error,
    /// It does.
    Warning,
}

/// Where something was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the configuration file, at these bytes.
    File(Range<usize>),
    /// In an environment variable or a flag, named here.
    Given(String),
    /// Nowhere: a default, or the whole.
    Nowhere,
}

/// The configuration file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) text: String,
}

impl Problem {
    /// Something that must be mended.
    pub(crate) fn error(title: impl Into<String>, place: Place) -> Self {
        let severity = Severity::Error;
        Self { severity, title: title.into(), place, also: Vec::new(), help: None }
    }

    /// Something that somebody should know.
    pub(crate) fn warning(title: impl Into<String>, place: Place) -> Self {
        Self { severity: Severity::Warning, ..Self::error(title, place) }
    }

    /// With what would be right.
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// With another place that has to do with it.
    pub(crate) fn also(mut self, place: Place, what: impl Into<String>) -> Self {
        self.also.push((place, what.into()));
        self
    }

    fn group<'a>(&'a self, source: Option<&'a Source>) -> Group<'a> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(self.title.as_str()));
        if let (Some(source), Place::File(span)) = (source, &self.place) {
            let mut snippet = Snippet::source(source.text.as_str())
                .path(source.path.to_string_lossy().into_owned())
                .annotation(AnnotationKind::Primary.span(span.clone()));
            for (place, what) in &self.also {
                if let Place::File(span) = place {
                    let context = AnnotationKind::Context.span(span.clone());
                    snippet = snippet.annotation(context.label(what.as_str()));
                }
            }
            group = group.element(snippet);
        }
        let given = std::iter::once((&self.place, "set here"))
            .chain(self.also.iter().map(|(place, what)| (place, what.as_str())));
        for (place, what) in given {
            if let Place::Given(by) = place {
                group = group.element(Level::NOTE.message(format!("{what}: {by}")));
            }
        }
        match &self.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        }
    }
}

/// All problems, one below the other, with a line that counts them.
pub(crate) fn render(problems: &[Problem], source: Option<&Source>, is_coloured: bool) -> String {
    let renderer = if is_coloured { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for problem in problems {
        out.push_str(&masked(&renderer.render(&[problem.group(source)])));
        out.push_str("\n\n");
    }
    out
}

/// How many errors and warnings there are, in words.
pub(crate) fn count(problems: &[Problem]) -> String {
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
