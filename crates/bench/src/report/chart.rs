//! Bar charts: a panel per case, a bar per server.

use super::svg::{self, Picture, TextStyle};
use super::table::{number, title};
use crate::bench::cases::{BenchCase, CASES, CaseGroup};
use crate::bench::number::length;
use crate::bench::result::{Figure, LIMIT, MeasurementRecord, WHARF, is_rival};
use crate::bench::summary::{SummaryRow, best, of_case};
use crate::bench::text::put;

/// Panels side by side.
const COLUMNS: usize = 2;
const PANEL_WIDTH: f64 = 460.0;
const MARGIN: f64 = 24.0;
const GAP: f64 = 28.0;
const HEAD: f64 = 76.0;
const PANEL_HEAD: f64 = 40.0;
const BAR: f64 = 15.0;
const STEP: f64 = 21.0;
const NAME_WIDTH: f64 = 104.0;
/// Space for the number behind the longest bar.
const NUMBER_WIDTH: f64 = 92.0;

/// One case in a chart.
struct ChartPanel<'a> {
    case: &'a BenchCase,
    figure: Figure,
    rows: Vec<(&'a SummaryRow, f64)>,
}

/// The first figure of each case: speed or size.
pub(crate) fn speed(record: &MeasurementRecord) -> Option<String> {
    let panels = panels(record, |case| case.headline);
    let about = "Medians; longer is better, except for memory and time";
    draw(record, &panels, "wharf and other servers: speed", about)
}

/// CPU time of the server.
pub(crate) fn cpu(record: &MeasurementRecord) -> Option<String> {
    let mut panels = panels(record, |_| Figure::Cpu);
    // Without transferred bytes there is no ratio.
    panels.retain(|panel| panel.case.headline == Figure::Rate);
    let about = "Medians of CPU time for the same work; shorter is better";
    draw(record, &panels, "wharf and other servers: server CPU", about)
}

/// Cases in which wharf and at least one other server were measured.
fn panels(
    record: &MeasurementRecord,
    figure: impl Fn(&BenchCase) -> Figure,
) -> Vec<ChartPanel<'_>> {
    let cases = CASES.iter().filter(|case| case.group != CaseGroup::Growth);
    let panel = |case: &'static BenchCase| {
        let figure = figure(case);
        let rows = of_case(&record.summary, case.name).into_iter();
        let mut rows: Vec<_> = rows.filter_map(|row| Some((row, row.get(figure)?))).collect();
        rows.sort_by_key(|(row, _)| rank(row));
        let has_wharf = rows.iter().any(|(row, _)| row.server == WHARF);
        (has_wharf && rows.len() > 1).then_some(ChartPanel { case, figure, rows })
    };
    cases.filter_map(panel).collect()
}

/// wharf first, the bare program last; the others in the order of the list.
fn rank(row: &SummaryRow) -> u8 {
    match row.server.as_str() {
        WHARF => 0,
        LIMIT => 3,
        name if !is_rival(name) => 1,
        _ => 2,
    }
}

fn draw(
    record: &MeasurementRecord,
    panels: &[ChartPanel<'_>],
    heading: &str,
    about: &str,
) -> Option<String> {
    if panels.is_empty() {
        return None;
    }
    let mut picture = Picture::default();
    picture.text(MARGIN, 34.0, TextStyle::new(20.0, svg::TEXT).bold(), heading);
    let machine = &record.machine;
    let under = format!(
        "{about}. In brackets: ratio to the best other server. {} x {}.",
        machine.cores, machine.processor
    );
    picture.text(MARGIN, 56.0, TextStyle::new(12.5, svg::FAINT), &under);
    let mut top = HEAD;
    for pair in panels.chunks(COLUMNS) {
        let mut left = MARGIN;
        for panel in pair {
            panel.draw(record, &mut picture, left, top);
            left += PANEL_WIDTH + GAP;
        }
        let most = pair.iter().map(|panel| panel.rows.len()).max().unwrap_or(0);
        top += PANEL_HEAD + length(most) * STEP + GAP;
    }
    let columns = length(COLUMNS);
    let width = 2.0 * MARGIN + columns * PANEL_WIDTH + (columns - 1.0) * GAP;
    Some(picture.finish(width, top, heading))
}

impl ChartPanel<'_> {
    fn draw(&self, record: &MeasurementRecord, picture: &mut Picture, left: f64, top: f64) {
        let case = self.case;
        picture.text(left, top + 14.0, TextStyle::new(13.0, svg::TEXT).bold(), case.title);
        let is_high = self.figure.is_better_high();
        let message = if is_high { "higher is better" } else { "lower is better" };
        let what = if self.figure == Figure::Rate { "" } else { self.figure.title() };
        let under = format!("{what} {}, {message}", case.unit_of(self.figure));
        picture.text(left, top + 30.0, TextStyle::new(11.0, svg::FAINT), under.trim());
        let most = self.rows.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        let rivals = self.rows.iter().map(|(row, _)| *row).filter(|row| row.is_rival());
        let best = best(rivals, self.figure).map(|(_, value)| value);
        let mut y = top + PANEL_HEAD;
        for (row, value) in &self.rows {
            let is_wharf = row.server == WHARF;
            let colour = match row.server.as_str() {
                WHARF => svg::WHARF,
                LIMIT => svg::LIMIT,
                _ => svg::RIVAL,
            };
            let name = TextStyle::new(12.0, if is_wharf { svg::WHARF } else { svg::TEXT });
            let name = if is_wharf { name.bold() } else { name };
            picture.text(left, y + 12.0, name, &title(record, &row.server));
            let bar_width = PANEL_WIDTH - NAME_WIDTH - NUMBER_WIDTH;
            let long = if most > 0.0 { (bar_width * value / most).max(1.5) } else { 1.5 };
            picture.bar(left + NAME_WIDTH, y, long, BAR, colour);
            let mut label = number(*value);
            if let Some(best) = best.filter(|best| is_wharf && *best > 0.0) {
                put(&mut label, format_args!("  ({:.2} x)", value / best));
            }
            picture.text(left + NAME_WIDTH + long + 6.0, y + 12.0, name, &label);
            y += STEP;
        }
    }
}
