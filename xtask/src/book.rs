//! Builds the documentation site: one mdBook for each language, in `target/book`.
//!
//! The pages are the documents of the checkout, copied with their links rewritten: a document of
//! the same book is linked as a page, one of the other book by its built page, and any other file
//! in the repository. The table of contents is made from the files, so no guide can be missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pages::{BookSource, LANGUAGES, Language};

use crate::outcome::target;
use crate::setup::{self, MDBOOK_TOOL};
use crate::{checkout, process};

mod pages;
mod site;

/// What the books add to mdBook: search in Chinese, and the link to the other language.
const SCRIPT: &str = include_str!("book/search.js");
const STYLE: &str = include_str!("book/style.css");
/// The page at the top of the site: the first language, or that of the browser.
const INDEX: &str = include_str!("book/index.html");

/// Builds both books and checks the links between their pages.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let program = setup::find(MDBOOK_TOOL)
        .ok_or_else(|| format!("cannot find {MDBOOK_TOOL}\nhint: cargo xtask setup installs it"))?;
    let texts = checkout::texts(root)?;
    let paths = checkout::paths(root)?;
    let repository = repository(root)?;
    let output = target(root).join("book");
    let source = target(root).join("book-source");
    for folder in [&output, &source] {
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(|error| cannot("remove", folder, &error))?;
        }
    }
    for language in LANGUAGES {
        let book = BookSource::new(language, &texts, &paths, &repository);
        write_source(root, &book, &source.join(language.folder))?;
        build(&program, &source.join(language.folder), &output.join(language.folder))?;
    }
    write(&output.join("index.html"), INDEX)?;
    let pages = site::check(&output)?;
    eprintln!("xtask: {} pages in {}", pages, output.join("index.html").display());
    Ok(())
}

/// The address of the repository, for links to files that are not in a book.
fn repository(root: &Path) -> Result<String, String> {
    let file = root.join("Cargo.toml");
    let text = fs::read_to_string(&file).map_err(|error| cannot("read", &file, &error))?;
    let address = text
        .lines()
        .find_map(|line| Some(line.strip_prefix("repository = \"")?.strip_suffix('"')?.to_owned()));
    address.ok_or_else(|| "cannot find `repository` in Cargo.toml".to_owned())
}

/// Writes what mdBook reads: settings, contents, pages and pictures.
fn write_source(root: &Path, book: &BookSource<'_>, folder: &Path) -> Result<(), String> {
    write(&folder.join("book.toml"), &settings(book.language))?;
    write(&folder.join("search.js"), SCRIPT)?;
    write(&folder.join("style.css"), STYLE)?;
    let pages = folder.join("src");
    write(&pages.join("SUMMARY.md"), &book.summary())?;
    for page in &book.pages {
        write(&pages.join(&page.place), &book.text(page))?;
    }
    for (from, to) in book.attachments() {
        let to = pages.join(to);
        make_folder_of(&to)?;
        fs::copy(root.join(from), &to).map_err(|error| cannot("write", &to, &error))?;
    }
    Ok(())
}

fn settings(language: &Language) -> String {
    let Language { code, title, .. } = language;
    format!(
        "[book]\ntitle = \"{title}\"\nlanguage = \"{code}\"\n\n\
         [output.html]\ndefault-theme = \"light\"\npreferred-dark-theme = \"navy\"\n\
         additional-js = [\"search.js\"]\nadditional-css = [\"style.css\"]\n\
         # Examples are run by the tests of the repository, not by the Rust playground.\n\
         playground = {{ runnable = false }}\n\n\
         [output.html.search]\nenable = true\nlimit-results = 30\n"
    )
}

fn build(program: &Path, source: &Path, output: &Path) -> Result<(), String> {
    let mut command = Command::new(program);
    command.arg("build").arg(source).arg("--dest-dir").arg(output);
    // Only what is wrong: each run would print the same lines.
    command.env("MDBOOK_LOG", "warn").env("RUST_LOG", "warn");
    if process::succeeds(&mut command)? {
        return Ok(());
    }
    Err(format!("cannot build the book in {}; see above", source.display()))
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    make_folder_of(file)?;
    fs::write(file, text).map_err(|error| cannot("write", file, &error))
}

fn make_folder_of(file: &Path) -> Result<(), String> {
    let folder = file.parent().map(PathBuf::from).unwrap_or_default();
    fs::create_dir_all(&folder).map_err(|error| cannot("create", &folder, &error))
}

fn cannot(verb: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {verb} {}: {error}", path.display())
}
