//! Paths from the top of the checkout, with slashes, and links from one document to another.

/// Whether a link names a place in this repository.
pub(crate) fn is_relative(target: &str) -> bool {
    !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")
}

/// Whether a file is a text in Markdown.
pub(crate) fn is_document(path: &str) -> bool {
    path.strip_suffix(".md").is_some()
}

/// Whether comments of a file begin with `#`: manifests, scripts, units.
pub(crate) fn is_script(path: &str) -> bool {
    let ends = [".toml", ".py", ".sh", ".yml", ".yaml", ".service", ".socket", ".timer"];
    ends.iter().any(|end| path.ends_with(end)) || path.ends_with("/run")
}

/// The file of a link, and the anchor behind `#`.
pub(crate) fn split(target: &str) -> (&str, Option<&str>) {
    target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)))
}

/// The file that a link in the document `from` names; `None` outside of the repository.
pub(crate) fn resolve(from: &str, link: &str) -> Option<String> {
    if link.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = folder(from);
    for part in link.trim_end_matches('/').split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// How a link in the document `from` names the file `to`.
pub(crate) fn relative(from: &str, to: &str) -> String {
    let from = folder(from);
    let to: Vec<&str> = to.split('/').collect();
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", from.len() - shared);
    up.chain(to.into_iter().skip(shared)).collect::<Vec<_>>().join("/")
}

fn folder(path: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_resolved_and_made() {
        for (from, link, to) in [
            ("docs/guide/a.md", "b.md", "docs/guide/b.md"),
            ("docs/guide/a.md", "../reference/c.md", "docs/reference/c.md"),
            ("docs/guide/a.md", "../../README.md", "README.md"),
            ("README.md", "docs/d.md", "docs/d.md"),
        ] {
            assert_eq!(resolve(from, link).as_deref(), Some(to));
            assert_eq!(relative(from, to), link);
        }
        assert_eq!(resolve("docs/a.md", "../../x"), None);
        assert_eq!(resolve("docs/a.md", "").as_deref(), Some("docs/a.md"));
    }

    #[test]
    fn addresses_of_the_web_are_not_relative() {
        assert!(is_relative("a.md#b") && is_relative("#b"));
        assert!(!is_relative("https://example.com/a.md") && !is_relative("mailto:a@example.com"));
        assert_eq!(split("a.md#b"), ("a.md", Some("b")));
    }
}
