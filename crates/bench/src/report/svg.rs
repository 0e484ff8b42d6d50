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
pub(super) const GRID: &str = "#e4e7eb";

/// Alignment of text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Style of text.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextStyle {
    pub(super) size: f64,
    pub(super) colour: &'static str,
    pub(super) is_bold: bool,
    pub(super) anchor: Anchor,
}

impl TextStyle {
    pub(super) const fn new(size: f64, colour: &'static str) -> Self {
        Self { size, colour, is_bold: false, anchor: Anchor::Start }
    }

    pub(super) const fn bold(self) -> Self {
        Self { is_bold: true, ..self }
    }

    pub(super) const fn at(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }
}

impl Picture {
    pub(super) fn text(&mut self, x: f64, y: f64, style: TextStyle, text: &str) {
        let anchor = match style.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if style.is_bold { " font-weight=\"600\"" } else { "" };
        let (size, colour, text) = (style.size, style.colour, escaped(text));
        self.line(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{colour}\" \
             text-anchor=\"{anchor}\"{weight}>{text}</text>"
        ));
    }

    pub(super) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        self.line(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\" \
             fill=\"{colour}\"/>"
        ));
    }

    /// Lines through `points`, with a dot at each.
    pub(super) fn curve(&mut self, points: &[(f64, f64)], width: f64, colour: &str) {
        let joined: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.line(&format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
             stroke-linejoin=\"round\"/>",
            joined.join(" ")
        ));
        for (x, y) in points {
            let radius = width + 0.8;
            self.line(&format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>"
            ));
        }
    }

    pub(super) fn rule(&mut self, from: (f64, f64), to: (f64, f64), colour: &str) {
        self.line(&format!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
            from.0, from.1, to.0, to.1
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
