//! Which documents are in a book, in which order, and how their links change.

use std::fmt::Write as _;

use crate::markdown::{headings, links};
use crate::paths;

/// A language of the documentation.
pub(crate) struct Language {
    /// As HTML names it.
    pub(crate) code: &'static str,
    /// Its folder in the built site.
    pub(crate) folder: &'static str,
    /// Of the book.
    pub(crate) title: &'static str,
    /// The first page.
    readme: &'static str,
    /// Where the documents of this language are; English ones stand in for those it lacks.
    documents: &'static str,
    /// What leads to the other language.
    link: &'static str,
    /// Titles of the parts, in the order of [`PARTS`].
    parts: [&'static str; 3],
}

/// The English one is first: others are translated from it.
pub(crate) static LANGUAGES: &[Language] = &[
    Language {
        code: "en",
        folder: "en",
        title: "wharf",
        readme: "README.md",
        documents: DOCUMENTS,
        link: "中文",
        parts: ["Guides", "Reference", "Concepts"],
    },
    Language {
        code: "zh-CN",
        folder: "zh-CN",
        title: "wharf 文档",
        readme: "README.zh-CN.md",
        documents: "docs/zh-CN/",
        link: "English",
        parts: ["指南", "参考", "概念"],
    },
];

/// Where the English documents are.
const DOCUMENTS: &str = "docs/";
/// Folders of the documents, each a part of the book.
const PARTS: [&str; 3] = ["guide/", "reference/", ""];
/// The order of the guides; those that are not named here come behind, by name.
const GUIDES: &[&str] = &[
    "getting-started", "configuration", "users-and-permissions", "external-authentication",
    "database-accounts", "tls", "passive-mode-and-nat", "running-as-a-service", "upgrading",
    "operating", "monitoring", "hooks-and-webhooks", "logging", "security", "character-sets",
    "migrating", "troubleshooting", "embedding", "benchmarking",
];
/// The first page of a book, as mdBook names it.
const FIRST: &str = "index.md";

/// A document in a book.
pub(crate) struct BookPage<'a> {
    /// From the top of the checkout.
    path: &'a str,
    text: &'a str,
    /// In the book; the same for a translation as for its original.
    pub(crate) place: String,
}

/// The documents in one language.
pub(crate) struct BookSource<'a> {
    pub(crate) language: &'static Language,
    pub(crate) pages: Vec<BookPage<'a>>,
    /// Every file of the checkout.
    paths: &'a [String],
    repository: &'a str,
}

impl<'a> BookSource<'a> {
    /// `texts` are paths from the top, and contents; `paths` are those of all files.
    pub(crate) fn new(
        language: &'static Language,
        texts: &'a [(String, String)],
        paths: &'a [String],
        repository: &'a str,
    ) -> Self {
        let text = |path: &str| texts.iter().find(|(known, _)| known == path);
        let mut places: Vec<String> = paths
            .iter()
            .filter_map(|path| place_of(path))
            .filter(|place| paths::is_document(place))
            .collect();
        places.sort_by_key(|place| order(place));
        places.dedup();
        let page = |place: String| {
            let (path, text) = text(&language.path_of(&place))
                .or_else(|| text(&LANGUAGES.first()?.path_of(&place)))?;
            Some(BookPage { path, text, place })
        };
        let pages = places.into_iter().filter_map(page).collect();
        Self { language, pages, paths, repository }
    }

    /// The table of contents, as mdBook reads it.
    pub(crate) fn summary(&self) -> String {
        let mut out = String::from("# Summary\n");
        let mut last = None;
        for page in &self.pages {
            let part = part_of(&page.place);
            if last != Some(part) {
                let title = part.and_then(|part| self.language.parts.get(part));
                out.push_str(
                    &title.map_or_else(|| "\n".to_owned(), |title| format!("\n# {title}\n\n")),
                );
                last = Some(part);
            }
            let dash = if part.is_some() { "- " } else { "" };
            let _ = writeln!(out, "{dash}[{}]({})", page.title(), page.place);
        }
        out
    }

    /// The text of a page, with links that hold in the book.
    pub(crate) fn text(&self, page: &BookPage<'_>) -> String {
        let mut out = String::new();
        let mut done = 0;
        for link in links(page.text).into_iter().filter(|link| paths::is_relative(link.target)) {
            out.push_str(page.text.get(done..link.range.start).unwrap_or_default());
            out.push_str(&self.target(page, link.target));
            done = link.range.end;
        }
        out.push_str(page.text.get(done..).unwrap_or_default());
        let others = LANGUAGES.iter().filter(|other| other.code != self.language.code);
        let others = others.map(|other| {
            let link = self.page_in(other, page, &page.place);
            format!("<p class=\"language\"><a href=\"{link}\">{}</a></p>\n\n", self.language.link)
        });
        others.collect::<String>() + &out
    }

    /// Files beside the pages: pictures and descriptions for programs. From, and in the book.
    pub(crate) fn attachments(&self) -> impl Iterator<Item = (&str, String)> {
        let files = self.paths.iter().filter_map(|path| Some((path.as_str(), place_of(path)?)));
        files.filter(|(_, place)| !paths::is_document(place))
    }

    /// How a page of this book links to what its document links to.
    fn target(&self, page: &BookPage<'_>, link: &str) -> String {
        let (file, anchor) = paths::split(link);
        let anchor = anchor.map_or(String::new(), |anchor| format!("#{anchor}"));
        let Some(path) = paths::resolve(page.path, file).filter(|_| !file.is_empty()) else {
            return link.to_owned();
        };
        let Some(place) = place_of(&path).filter(|_| self.paths.contains(&path)) else {
            return format!("{}/blob/main/{path}{anchor}", self.repository);
        };
        // An English page that stands in for a translation leads to the pages of this book.
        let stands_in = page.path != self.language.path_of(&page.place);
        let is_in_book =
            |known: &BookPage<'_>| known.path == path || stands_in && known.place == place;
        let is_here = !paths::is_document(&place) || self.pages.iter().any(is_in_book);
        if is_here {
            return format!("{}{anchor}", paths::relative(&page.place, &place));
        }
        let language = LANGUAGES.iter().find(|language| language.path_of(&place) == path);
        let other = language.unwrap_or(self.language);
        format!("{}{anchor}", self.page_in(other, page, &place))
    }

    /// How a page links to the built page of another book.
    fn page_in(&self, other: &Language, from: &BookPage<'_>, place: &str) -> String {
        let here = format!("{}/{}", self.language.folder, from.place);
        let built = place.strip_suffix(".md").unwrap_or(place);
        paths::relative(&here, &format!("{}/{built}.html", other.folder))
    }
}

impl BookPage<'_> {
    /// Its first heading.
    fn title(&self) -> String {
        let first = headings(self.text).into_iter().next();
        let title = first.map_or_else(|| self.path.to_owned(), |heading| heading.text);
        title.replace(['[', ']'], "")
    }
}

impl Language {
    /// Where the document of a place would be in this language.
    fn path_of(&self, place: &str) -> String {
        if place == FIRST { self.readme.to_owned() } else { format!("{}{place}", self.documents) }
    }
}

/// The place in a book of a document, a picture or another file below `docs`.
fn place_of(path: &str) -> Option<String> {
    if LANGUAGES.iter().any(|language| language.readme == path) {
        return Some(FIRST.to_owned());
    }
    let below = LANGUAGES.iter().rev().find_map(|one| path.strip_prefix(one.documents))?;
    // Notes of results, from which pages are made, are not documents.
    Some(below.to_owned()).filter(|place| place.strip_suffix(".toml").is_none())
}

/// The index of the part; `None` for the first page.
fn part_of(place: &str) -> Option<usize> {
    if place == FIRST {
        return None;
    }
    PARTS.iter().position(|folder| place.starts_with(folder))
}

fn order(place: &str) -> (Option<usize>, usize, String) {
    let guide = place.strip_prefix("guide/").and_then(|name| name.strip_suffix(".md"));
    let known = guide.and_then(|name| GUIDES.iter().position(|known| *known == name));
    (part_of(place), known.unwrap_or(GUIDES.len()), place.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<(String, String)> {
        let text = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        vec![
            text("README.md", "# wharf\n[中文](README.zh-CN.md) [t](docs/guide/tls.md#a)\n"),
            text("README.zh-CN.md", "# wharf\n[t](docs/zh-CN/guide/tls.md) [L](LICENSE-MIT)\n"),
            text("docs/guide/zoo.md", "# Zoo\n"),
            text(
                "docs/guide/tls.md",
                "# TLS\n[z](zoo.md) ![p](../picture/p.svg) [c](../../x.rs)\n",
            ),
            text("docs/reference/cli.md", "# The [command line]\n[g](../guide/tls.md)\n"),
            text("docs/TRUST.md", "# Trust\n"),
            text(
                "docs/zh-CN/guide/tls.md",
                "# 加密\n[z](../../guide/zoo.md) [r](../../../README.md)\n",
            ),
            text("docs/picture/p.svg", ""),
            text("docs/proofs.toml", ""),
            text("x.rs", ""),
        ]
    }

    fn with(code: &str, test: impl FnOnce(&BookSource<'_>)) {
        let files = files();
        let paths: Vec<_> = files.iter().map(|(path, _)| path.clone()).collect();
        let language = LANGUAGES.iter().find(|language| language.code == code).unwrap();
        test(&BookSource::new(language, &files, &paths, "https://example.com/r"));
    }

    fn body(book: &BookSource<'_>, place: &str) -> String {
        let page = book.pages.iter().find(|page| page.place == place).unwrap();
        book.text(page).lines().last().unwrap().to_owned()
    }

    #[test]
    fn every_document_is_in_the_contents() {
        with("en", |book| {
            assert_eq!(
                book.summary(),
                "# Summary\n\n[wharf](index.md)\n\n# Guides\n\n- [TLS](guide/tls.md)\n\
                 - [Zoo](guide/zoo.md)\n\n# Reference\n\n- [The command line](reference/cli.md)\n\n\
                 # Concepts\n\n- [Trust](TRUST.md)\n"
            );
        });
        with("zh-CN", |book| {
            assert!(book.summary().contains("# 指南\n\n- [加密](guide/tls.md)\n- [Zoo]"));
        });
    }

    #[test]
    fn links_lead_to_pages_of_both_languages_or_to_the_repository() {
        with("en", |book| {
            let links = "[中文](../zh-CN/index.html) [t](guide/tls.md#a)";
            assert_eq!(body(book, "index.md"), links);
            let links =
                "[z](zoo.md) ![p](../picture/p.svg) [c](https://example.com/r/blob/main/x.rs)";
            assert_eq!(body(book, "guide/tls.md"), links);
        });
        with("zh-CN", |book| {
            assert_eq!(body(book, "guide/tls.md"), "[z](zoo.md) [r](../../en/index.html)");
            let licence = "https://example.com/r/blob/main/LICENSE-MIT";
            assert_eq!(body(book, "index.md"), format!("[t](guide/tls.md) [L]({licence})"));
            assert_eq!(body(book, "reference/cli.md"), "[g](../guide/tls.md)");
        });
    }

    #[test]
    fn a_page_leads_to_itself_in_the_other_language() {
        with("en", |book| {
            let page = book.pages.iter().find(|page| page.place == "guide/tls.md").unwrap();
            let first = "<p class=\"language\"><a href=\"../../zh-CN/guide/tls.html\">中文</a></p>";
            assert_eq!(book.text(page).lines().next(), Some(first));
        });
    }

    #[test]
    fn pictures_are_taken_along_and_notes_are_not() {
        with("en", |book| {
            let files: Vec<_> = book.attachments().collect();
            assert_eq!(files, [("docs/picture/p.svg", "picture/p.svg".to_owned())]);
        });
    }
}
