//! Curves: how cost grows with sessions, and with the entries of a folder.

use super::svg::{self, Anchor, Picture, TextStyle};
use super::table::{number, title};
use crate::bench::number::length;
use crate::bench::result::{Figure, MeasurementRecord, WHARF, is_rival};
use crate::bench::summary::SummaryRow;

/// A series of cases that differ in one number.
pub(crate) struct Series {
    pub(crate) title: &'static str,
    /// The unit of the number.
    pub(crate) axis: &'static str,
    /// The prefix of the cases' names; the number follows.
    pub(crate) prefix: &'static str,
    pub(crate) numbers: &'static [u64],
    pub(crate) figures: &'static [(Figure, &'static str)],
}

/// All series.
pub(crate) static SERIES: &[Series] = &[
    Series {
        title: "Sessions that download 2 GiB together",
        axis: "sessions",
        prefix: "sessions-growth-",
        numbers: &[1, 10, 100, 1_000, 10_000],
        figures: &[
            (Figure::Rate, "GiB/s, higher is better"),
            (Figure::Cpu, "server CPU s/GiB, lower is better"),
            (Figure::AnonymousMib, "memory MiB, lower is better"),
        ],
    },
    Series {
        title: "MLSD of growing folders",
        axis: "entries",
        prefix: "list-growth-",
        numbers: &[100, 1_000, 10_000, 100_000, 1_000_000],
        figures: &[
            (Figure::Rate, "entries/s, higher is better"),
            (Figure::Cpu, "server CPU us/entry, lower is better"),
            (Figure::AboveIdleMib, "memory above idle MiB, lower is better"),
        ],
    },
];

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 220.0;
const MARGIN: f64 = 24.0;
const GAP: f64 = 16.0;
const LEFT: f64 = 62.0;
/// Space for the names at the ends of the curves.
const RIGHT: f64 = 84.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 34.0;
const HEAD: f64 = 36.0;
/// Names closer than this would overlap.
const NAME_HEIGHT: f64 = 13.0;
const LINES: u32 = 4;
/// Distinguishable colours of the other servers.
const COLOURS: [&str; 5] = ["#c2570c", "#7c3aed", "#2563eb", "#a16207", "#be185d"];

/// The curve of one server: a value per number, empty if it was not measured.
struct Curve<'a> {
    server: &'a str,
    values: Vec<Option<f64>>,
    colour: &'static str,
}

/// All series, a row of panels for each. `None` if none was measured.
pub(crate) fn draw(record: &MeasurementRecord) -> Option<String> {
    let measured: Vec<&Series> =
        SERIES.iter().filter(|series| !curves(record, series, Figure::Rate).is_empty()).collect();
    if measured.is_empty() {
        return None;
    }
    let mut picture = Picture::default();
    let mut top = MARGIN;
    for series in &measured {
        picture.text(MARGIN, top + 16.0, TextStyle::new(16.0, svg::TEXT).bold(), series.title);
        top += HEAD;
        let mut left = MARGIN;
        for (figure, unit) in series.figures {
            let curves = curves(record, series, *figure);
            panel(record, &mut picture, (left, top), series, unit, &curves);
            left += WIDTH + GAP;
        }
        top += HEIGHT + GAP;
    }
    let width = 2.0 * MARGIN + 3.0 * WIDTH + 2.0 * GAP;
    Some(picture.finish(width, top + MARGIN, "How the cost grows"))
}

/// The row of a server at one number of a series.
pub(crate) fn row<'a>(
    record: &'a MeasurementRecord,
    series: &Series,
    number: u64,
    server: &str,
) -> Option<&'a SummaryRow> {
    let case = format!("{}{number}", series.prefix);
    record.summary.iter().find(|row| row.case == case && row.server == server)
}

/// wharf as shipped and other servers; its other entries do not take part.
pub(crate) fn is_drawn(server: &str) -> bool {
    server == WHARF || is_rival(server)
}

fn curves<'a>(record: &'a MeasurementRecord, series: &Series, figure: Figure) -> Vec<Curve<'a>> {
    let mut colours = COLOURS.iter().copied().cycle();
    let curve = |server: &'a str| {
        let value = |number: &u64| row(record, series, *number, server)?.get(figure);
        let values: Vec<Option<f64>> = series.numbers.iter().map(value).collect();
        let own = if server == WHARF { svg::WHARF } else { colours.next().unwrap_or(svg::RIVAL) };
        Curve { server, values, colour: own }
    };
    let names = record.servers.iter().map(|server| server.name.as_str());
    let mut curves: Vec<_> = names.filter(|name| is_drawn(name)).map(curve).collect();
    curves.retain(|curve| curve.values.iter().any(Option::is_some));
    // wharf is drawn last, above the others.
    curves.sort_by_key(|curve| curve.server == WHARF);
    curves
}

fn panel(
    record: &MeasurementRecord,
    picture: &mut Picture,
    (left, top): (f64, f64),
    series: &Series,
    unit: &str,
    curves: &[Curve<'_>],
) {
    let (x0, x1) = (left + LEFT, left + WIDTH - RIGHT);
    let (y0, y1) = (top + HEIGHT - BOTTOM, top + TOP);
    picture.text(left + LEFT, top + 12.0, TextStyle::new(12.0, svg::FAINT), unit);
    let values = curves.iter().flat_map(|curve| curve.values.iter().flatten());
    let most = values.copied().fold(0.0, f64::max);
    let most = round_above(most);
    for line in 0..=LINES {
        let part = f64::from(line) / f64::from(LINES);
        let y = y0 + (y1 - y0) * part;
        picture.rule((x0, y), (x1, y), svg::GRID);
        let style = TextStyle::new(11.0, svg::FAINT).at(Anchor::End);
        picture.text(x0 - 6.0, y + 4.0, style, &number(most * part));
    }
    let steps = length(series.numbers.len().saturating_sub(1)).max(1.0);
    let at = |index: usize| x0 + (x1 - x0) * length(index) / steps;
    for (index, count) in series.numbers.iter().enumerate() {
        let style = TextStyle::new(11.0, svg::FAINT).at(Anchor::Middle);
        picture.text(at(index), y0 + 16.0, style, &short(*count));
    }
    let style = TextStyle::new(11.0, svg::FAINT).at(Anchor::End);
    picture.text(x1 + RIGHT - 4.0, y0 + 16.0, style, series.axis);
    let mut names: Vec<(f64, &Curve<'_>)> = Vec::new();
    for curve in curves {
        let places = curve
            .values
            .iter()
            .enumerate()
            .filter_map(|(index, value)| Some((at(index), y0 + (y1 - y0) * (*value)? / most)));
        let points: Vec<(f64, f64)> = places.collect();
        let width = if curve.server == WHARF { 2.6 } else { 1.4 };
        picture.curve(&points, width, curve.colour);
        names.extend(points.last().map(|(_, y)| (*y, curve)));
    }
    names.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    for ((_, curve), y) in names.iter().zip(spread(&names, y0)) {
        let style = TextStyle::new(11.5, curve.colour);
        let style = if curve.server == WHARF { style.bold() } else { style };
        picture.text(x1 + 8.0, y + 4.0, style, &title(record, curve.server));
    }
}

/// Positions of names: near their curves, without overlapping, none below the axis.
fn spread(names: &[(f64, &Curve<'_>)], lowest: f64) -> Vec<f64> {
    let mut heights: Vec<f64> = names.iter().map(|(y, _)| *y).collect();
    let mut floor = lowest;
    for height in heights.iter_mut().rev() {
        *height = height.min(floor);
        floor = *height - NAME_HEIGHT;
    }
    heights
}

/// The end of an axis, so that its lines have round numbers.
fn round_above(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let lines = f64::from(LINES);
    let ten = 10_f64.powf((most / lines).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|digit| digit * ten);
    let fits = steps.into_iter().find(|step| step * lines >= most);
    fits.unwrap_or(10.0 * ten) * lines
}

/// `1k`, `1M`.
fn short(count: u64) -> String {
    match count {
        1_000_000.. => format!("{}M", count / 1_000_000),
        1_000.. => format!("{}k", count / 1_000),
        _ => count.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_that_holds_all() {
        let message: Vec<String> =
            [0.0, 0.031, 7.9, 8.0, 35.0, 81.0].map(|most| number(round_above(most))).into();
        assert_eq!(message, ["1.00", "0.0400", "8.00", "8.00", "40.0", "100"]);
    }

    #[test]
    fn numbers_below_an_axis_are_short() {
        assert_eq!([1, 100, 10_000, 1_000_000].map(short), ["1", "100", "10k", "1M"]);
    }
}
