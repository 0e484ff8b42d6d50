//! Draws the start panel as a picture: text in, SVG out.
//!
//! `docs/picture/panel.txt` is the output of the program on a terminal; the picture is made from
//! it, so that the README shows the real output.

use std::path::Path;

/// The text, from the top of the checkout.
pub(crate) const TEXT: &str = "docs/picture/panel.txt";
/// The picture, from the top of the checkout.
pub(crate) const PICTURE: &str = "docs/picture/panel.svg";

// Pixels. A monospace letter of 14 px is about 8.43 px wide in the fonts named below.
const LETTER_WIDTH_PERCENT: usize = 843;
const LINE_HEIGHT: usize = 20;
const MARGIN: usize = 20;
const FONTS: &str = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace";
const BAR_HEIGHT: usize = 34;

/// Draws the picture again.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(root.join(TEXT))
        .map_err(|error| format!("cannot read {TEXT}: {error}"))?;
    std::fs::write(root.join(PICTURE), draw(&text))
        .map_err(|error| format!("cannot write {PICTURE}: {error}"))?;
    eprintln!("xtask: {PICTURE} written");
    Ok(())
}

/// The picture of a terminal that shows `text`.
pub(crate) fn draw(text: &str) -> String {
    let columns = text.lines().map(columns).max().unwrap_or(0);
    let width = 2 * MARGIN + (columns * LETTER_WIDTH_PERCENT).div_ceil(100);
    let height = BAR_HEIGHT + 2 * MARGIN + LINE_HEIGHT * text.lines().count();
    let mut svg = vec![format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>wharf in a terminal</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#16191d\"/>"
    )];
    for (at, colour) in [(22, "#ff5f57"), (42, "#febc2e"), (62, "#28c840")] {
        svg.push(format!("<circle cx=\"{at}\" cy=\"17\" r=\"6\" fill=\"{colour}\"/>"));
    }
    svg.push(format!("<g font-family=\"{FONTS}\" font-size=\"14\" fill=\"#d7dae0\">"));
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let y = BAR_HEIGHT + MARGIN + LINE_HEIGHT * index + 4;
        let words = words(line);
        svg.push(format!("<text x=\"{MARGIN}\" y=\"{y}\" xml:space=\"preserve\">{words}</text>"));
    }
    svg.push("</g>\n</svg>\n".to_owned());
    svg.join("\n")
}

/// The line with addresses, the command and warnings in colours of their own.
fn words(line: &str) -> String {
    if line.starts_with("$ ") {
        return span("#8bd49c", line);
    }
    if line.trim_start().starts_with("! ") {
        return span("#f2c55c", line);
    }
    let pieces = line.split_inclusive(' ').map(|word| {
        if word.starts_with("ftp://") || word.starts_with("ftps://") {
            span("#7ab7ff", word)
        } else {
            escape(word)
        }
    });
    pieces.collect()
}

fn span(colour: &str, text: &str) -> String {
    format!("<tspan fill=\"{colour}\">{}</tspan>", escape(text))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// How many columns of a terminal a line takes: Chinese, Japanese and Korean letters take two.
fn columns(line: &str) -> usize {
    line.chars().map(|letter| if letter >= '\u{1100}' && !is_narrow(letter) { 2 } else { 1 }).sum()
}

/// Punctuation, arrows and frames above U+1100 that take one column.
fn is_narrow(letter: char) -> bool {
    matches!(letter, '\u{1160}'..='\u{2e7f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_svg_would_read_as_markup_is_escaped() {
        let svg = draw("a <- b & c\n");
        assert!(svg.contains("a &lt;- b &amp; c"), "{svg}");
    }

    #[test]
    fn addresses_stand_out() {
        let svg = draw("  On your network  ftp://192.0.2.1:21  <- here\n");
        assert!(svg.contains("<tspan fill=\"#7ab7ff\">ftp://192.0.2.1:21 </tspan>"), "{svg}");
    }

    #[test]
    fn wide_letters_take_two_columns() {
        assert_eq!(columns("ab…"), 3);
        assert_eq!(columns("共享"), 4);
    }
}
