//! Reads Markdown: headings with their anchors, links, and text without code.

use std::collections::BTreeMap;
use std::ops::Range;

/// A heading outside code blocks.
pub(crate) struct Heading {
    /// Counted from 1.
    pub(crate) line: usize,
    /// The number of `#`.
    pub(crate) level: usize,
    /// Its text, without markup.
    pub(crate) text: String,
    /// What a link to it names after `#`, as GitHub and mdBook make it.
    pub(crate) anchor: String,
}

/// The target of a link outside code.
pub(crate) struct LinkTarget<'a> {
    /// Counted from 1.
    pub(crate) line: usize,
    /// Where the target is, in bytes of the text.
    pub(crate) range: Range<usize>,
    /// For example `../reference/cli.md#anchor`.
    pub(crate) target: &'a str,
}

/// What stands before the target of a link; the target ends at the first of these letters.
const BEFORE_TARGET: &[(&str, &[char])] =
    &[("](", &[')', ' ', '\n']), ("href=\"", &['"', '\n']), ("src=\"", &['"', '\n'])];

/// The headings, in order.
pub(crate) fn headings(text: &str) -> Vec<Heading> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut headings = Vec::new();
    let blank = without_code(text);
    for ((raw, blank), line) in text.lines().zip(blank.lines()).zip(1..) {
        let level = blank.chars().take_while(|letter| *letter == '#').count();
        if level == 0 || blank.chars().nth(level) != Some(' ') {
            continue;
        }
        let text = plain(raw.trim_start_matches('#').trim());
        let mut anchor = anchor(&text);
        let count = seen.entry(anchor.clone()).or_default();
        if *count > 0 {
            anchor = format!("{anchor}-{count}");
        }
        *count += 1;
        headings.push(Heading { line, level, text, anchor });
    }
    headings
}

/// The targets of links and pictures, in order.
pub(crate) fn links(text: &str) -> Vec<LinkTarget<'_>> {
    let blank = without_code(text);
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (before, ends) in BEFORE_TARGET {
        for (offset, _) in blank.match_indices(before) {
            let start = offset + before.len();
            let rest = blank.get(start..).unwrap_or_default();
            let length = rest.find(*ends).unwrap_or(rest.len());
            ranges.push(start..start + length);
        }
    }
    ranges.sort_by_key(|range| range.start);
    let mut lines = text.bytes().scan(1, |line, byte| {
        let now = *line;
        *line += usize::from(byte == b'\n');
        Some(now)
    });
    let mut at = 0;
    let link = |range: Range<usize>| {
        let line = lines.nth(range.start - at)?;
        at = range.start + 1;
        Some(LinkTarget { line, target: text.get(range.clone())?, range })
    };
    ranges.into_iter().filter_map(link).collect()
}

/// The text with blocks and spans of code replaced by spaces: same lines, same bytes.
pub(crate) fn without_code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut fence: Option<String> = None;
    let mut paragraph = String::new();
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let mark = fence_mark(trimmed);
        let is_code = fence.is_some();
        match &fence {
            None if !mark.is_empty() => fence = Some(mark.to_owned()),
            Some(open) if mark.starts_with(open.as_str()) && trimmed.trim_end() == mark => {
                fence = None;
            }
            _ => {}
        }
        if is_code || !mark.is_empty() {
            out.push_str(&without_spans(&std::mem::take(&mut paragraph)));
            out.push_str(&blank(line));
        } else {
            // A span of code may continue in the next line, but not beyond a paragraph.
            paragraph.push_str(line);
            if trimmed.is_empty() {
                out.push_str(&without_spans(&std::mem::take(&mut paragraph)));
            }
        }
    }
    out.push_str(&without_spans(&paragraph));
    out
}

/// The backticks or tildes that open or close a block of code, if the line begins with such.
fn fence_mark(line: &str) -> &str {
    let letter = line.chars().next().filter(|letter| matches!(letter, '`' | '~'));
    let length = letter.map_or(0, |first| line.chars().take_while(|l| *l == first).count());
    line.get(..length).filter(|mark| mark.len() >= 3).unwrap_or_default()
}

fn without_spans(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('`') {
        let (before, from) = rest.split_at(start);
        let ticks = from.bytes().take_while(|byte| *byte == b'`').count();
        let (mark, inner) = from.split_at(ticks);
        out.push_str(before);
        let Some(length) = closing(inner, ticks) else {
            out.push_str(mark);
            rest = inner;
            continue;
        };
        let (span, after) = from.split_at(ticks + length + ticks);
        out.push_str(&blank(span));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Where a run of exactly so many backticks begins.
fn closing(text: &str, ticks: usize) -> Option<usize> {
    let mut at = 0;
    loop {
        let start = at + text.get(at..)?.find('`')?;
        let count = text.get(start..)?.bytes().take_while(|byte| *byte == b'`').count();
        if count == ticks {
            return Some(start);
        }
        at = start + count;
    }
}

fn blank(text: &str) -> String {
    let spaces = |letter: char| {
        if letter == '\n' { "\n".to_owned() } else { " ".repeat(letter.len_utf8()) }
    };
    text.chars().map(spaces).collect()
}

/// The text of a heading without backticks, stars and the targets of links.
fn plain(text: &str) -> String {
    let mut out = text.to_owned();
    while let Some((before, rest)) = out.split_once("](") {
        let after = rest.split_once(')').map_or("", |(_, after)| after);
        out = format!("{}{after}", before.replacen('[', "", 1));
    }
    out.replace(['`', '*'], "")
}

fn anchor(text: &str) -> String {
    let letters = text.chars().flat_map(char::to_lowercase);
    let letters = letters.filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    letters.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_have_the_anchors_that_links_name() {
        let text = "# TLS, `wharf` & [co](x.md)\n```sh\n# no heading\n```\n## 外部 认证\n## A_b-c\n\
                    ## A_b-c\n#hash\n";
        let headings = headings(text);
        let found: Vec<_> = headings
            .iter()
            .map(|h| (h.line, h.level, h.text.as_str(), h.anchor.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                (1, 1, "TLS, wharf & co", "tls-wharf--co"),
                (5, 2, "外部 认证", "外部-认证"),
                (6, 2, "A_b-c", "a_b-c"),
                (7, 2, "A_b-c", "a_b-c-1"),
            ]
        );
    }

    #[test]
    fn links_outside_code_are_found_with_their_lines() {
        let text = "[a](b.md) ![c](d.svg \"title\")\n`[no](no.md)`\n\n```\n[no](no.md)\n```\n\
                    中 [e](#f) <a href=\"g.html\">\n";
        let links = links(text);
        let found: Vec<_> = links.iter().map(|link| (link.line, link.target)).collect();
        assert_eq!(found, [(1, "b.md"), (1, "d.svg"), (7, "#f"), (7, "g.html")]);
        for link in links {
            assert_eq!(&text[link.range], link.target);
        }
    }

    #[test]
    fn code_is_blank_and_bytes_stay_where_they_are() {
        let text = "a `b` ``c ` d`` e `\n\n~~~\n中\n```\n~~~\nf `g\nh` i\n";
        let blank = without_code(text);
        assert_eq!(blank.len(), text.len());
        assert_eq!(blank.split_whitespace().collect::<Vec<_>>(), ["a", "e", "`", "f", "i"]);
        assert_eq!(blank.lines().count(), text.lines().count());
    }
}
