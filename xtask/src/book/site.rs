//! Checks the built site: every relative link points to an existing file and anchor.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::paths;

/// Dead links that are listed at most.
const LISTED_MAX: usize = 20;

/// The number of pages.
///
/// # Errors
/// The dead links.
pub(super) fn check(site: &Path) -> Result<usize, String> {
    let mut files = BTreeMap::new();
    read(site, "", &mut files)?;
    let pages = files.iter().filter_map(|(path, page)| Some((path, page.as_ref()?)));
    let dead = pages.flat_map(|(path, page)| {
        let dead = page.links.iter().filter(|link| !is_alive(&files, path, link));
        dead.map(move |link| format!("{path}: {link}"))
    });
    let dead: Vec<String> = dead.collect();
    if dead.is_empty() {
        return Ok(files.values().flatten().count());
    }
    let listed: Vec<_> = dead.iter().take(LISTED_MAX).map(String::as_str).collect();
    Err(format!("{} dead links in the site:\n{}", dead.len(), listed.join("\n")))
}

/// The links and anchors of a page.
struct SitePage {
    links: BTreeSet<String>,
    marks: BTreeSet<String>,
}

/// Files by their path from the top of the site; only pages are read.
fn read(
    folder: &Path,
    path: &str,
    files: &mut BTreeMap<String, Option<SitePage>>,
) -> Result<(), String> {
    let cannot = |error| format!("cannot read {}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let below = format!("{path}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read(&entry.path(), &format!("{below}/"), files)?;
        } else {
            let is_page = entry.path().extension().is_some_and(|ending| ending == "html");
            let text = if is_page {
                Some(fs::read_to_string(entry.path()).map_err(cannot)?)
            } else {
                None
            };
            files.insert(below, text.as_deref().map(SitePage::new));
        }
    }
    Ok(())
}

impl SitePage {
    fn new(text: &str) -> Self {
        let values = |name: &str| -> BTreeSet<String> {
            let attribute = format!(" {name}=\"");
            let values = text.split(attribute.as_str()).skip(1);
            values.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
        };
        let links = values("href").into_iter().chain(values("src")).collect();
        Self { links, marks: values("id") }
    }
}

fn is_alive(files: &BTreeMap<String, Option<SitePage>>, from: &str, link: &str) -> bool {
    if !paths::is_relative(link) || link.starts_with("data:") {
        return true;
    }
    let (file, mark) = paths::split(link);
    let Some(path) = paths::resolve(from, file) else { return false };
    let is_folder = file.ends_with('/') || file == "." || file == "..";
    let path = if is_folder { format!("{path}/index.html") } else { path };
    match (files.get(&path), mark.filter(|mark| !mark.is_empty())) {
        (None, _) => false,
        (Some(Some(page)), Some(mark)) => page.marks.contains(mark),
        (Some(_), _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_alive_where_file_and_mark_exist() {
        let page = SitePage::new("<a href=\"b.html#x\"> <img src=\"c.svg\"> <h1 id=\"y\">");
        assert_eq!(
            page.links.iter().map(String::as_str).collect::<Vec<_>>(),
            ["b.html#x", "c.svg"]
        );
        let files = BTreeMap::from([
            ("en/a.html".to_owned(), Some(page)),
            ("en/c.svg".to_owned(), None),
            ("zh/index.html".to_owned(), Some(SitePage::new(""))),
        ]);
        for link in
            ["#y", "c.svg", "../zh/index.html", "../zh/", "https://example.com/z", "a.html#y"]
        {
            assert!(is_alive(&files, "en/a.html", link), "{link}");
        }
        for link in ["#x", "b.html", "../zh/index.html#x", "../../a.html"] {
            assert!(!is_alive(&files, "en/a.html", link), "{link}");
        }
    }
}
