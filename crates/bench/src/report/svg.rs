//! The SVG shapes of the charts.

use std::fmt::Write as _;

/// An SVG picture.
#[derive(Debug, Default)]
pub(super) struct Picture {
    body: String,
}

/// wharf.
pub(super) const WHARF: &str = "#0f766e";
/// The other servers.
pub(super) const RIVAL: &str = "#b8c2cf";
/// The bare program.
pub(super) const LIMIT: &str = "#e8ebf0";
pub(super) const TEXT: &str = "#1f2933";
pub(super) const FAINT: &str = "#667381";

/// Style of text.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextStyle {
    pub(super) size: f64,
    pub(super) colour: &'static str,
    pub(super) is_bold: bool,
}

impl TextStyle {
    pub(super) const fn new(size: f64, colour: &'static str) -> Self {
        Self { size, colour, is_bold: false }
    }

    pub(super) const fn bold(self) -> Self {
        Self { is_bold: true, ..self }
    }
}

impl Picture {
    pub(super) fn text(&mut self, x: f64, y: f64, style: TextStyle, text: &str) {
        let weight = if style.is_bold { " font-weight=\"600\"" } else { "" };
        let (size, colour, text) = (style.size, style.colour, escaped(text));
        self.line(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{colour}\" \
             text-anchor=\"start\"{weight}>{text}</text>"
        ));
    }

    pub(super) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        self.line(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\" \
             fill=\"{colour}\"/>"
        ));
    }

    /// The whole file. The background is white, so that text is readable on dark pages, too.
    pub(super) fn finish(self, width: f64, height: f64, about: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
             font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\">\n\
             <title>{}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{}</svg>\n",
            escaped(about),
            self.body
        )
    }

    fn line(&mut self, shape: &str) {
        // Writing to a String never fails.
        let _ = writeln!(self.body, "{shape}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
