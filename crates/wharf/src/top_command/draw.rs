//! Renders `wharf top` on a terminal of at least 80 columns.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Clear, Paragraph, Row, Table, TableState, Wrap};
use wharf_admin::model::{Session, SessionDetails, SessionState};
use wharf_config::outcome::counted;
use wharf_config::table::text_width;

use super::state::{BottomLine, TopState, View};
use crate::cli::running_server::SortName;
use crate::running_server::sessions::{tls, word};
use crate::running_server::text::{clock, progress, shortened, speed};

const HELP: &str = "\
Up Down PgUp PgDn   select a session     Enter  details and last 50 commands
s  next sort order                       l      log lines of the session
/  filter by text                        k      disconnect
i  hide idle sessions                    b      disconnect and ban the address
u  uploads only                          p      pause
d  downloads only                        q      quit

Any key goes back.";

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, state: &TopState) {
    let rows = [Constraint::Length(2), Constraint::Min(3), Constraint::Length(1)];
    let [top, middle, bottom] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(Paragraph::new(head(state)), top);
    match &state.view {
        View::Details(details) => frame.render_widget(detailed(details), middle),
        View::Log { id, text } => {
            let height = usize::from(middle.height);
            let lines: Vec<_> = text.lines().collect();
            let from = lines.len().saturating_sub(height.saturating_sub(1));
            let last = lines.get(from..).unwrap_or_default().join("\n");
            frame.render_widget(Paragraph::new(format!("Log of session {id}\n{last}")), middle);
        }
        View::Help => frame.render_widget(Paragraph::new(HELP), middle),
        View::Sessions | View::Filter | View::Confirm { .. } => sessions(frame, state, middle),
    }
    frame.render_widget(Clear, bottom);
    frame.render_widget(Paragraph::new(foot(state)), bottom);
}

/// Two lines about the server.
pub(super) fn head(state: &TopState) -> String {
    let Some(status) = &state.status else { return String::new() };
    let (sessions, rates) = (status.sessions, status.rates);
    let max = sessions.connections_max.map_or_else(String::new, |max| format!("/{max}"));
    let sort = match state.sort {
        SortName::Speed => "speed",
        SortName::User => "user",
        SortName::Ip => "ip",
        SortName::Time => "time",
        SortName::Bytes => "bytes",
    };
    let mut notes = vec![format!("by {sort}")];
    notes.extend((!state.filter.is_empty()).then(|| format!("only \"{}\"", state.filter)));
    notes.extend(state.hides_idle.then(|| "without idle".to_owned()));
    notes.extend(state.only.map(|only| match only {
        SessionState::Upload => "uploads".to_owned(),
        _ => "downloads".to_owned(),
    }));
    notes.extend(state.is_paused.then(|| "PAUSED".to_owned()));
    format!(
        "wharf {}  uptime {}  sessions {}{max}, {} transferring\nupload {}  download {}  {}  {}",
        status.version,
        clock(status.uptime_seconds),
        sessions.total,
        sessions.transferring,
        speed(rates.upload),
        speed(rates.download),
        counted(status.bans, "ban"),
        notes.join(", "),
    )
}

fn sessions(frame: &mut Frame<'_>, state: &TopState, area: Rect) {
    let shown = state.shown();
    let mut cells = vec![NAMES.map(str::to_owned)];
    cells.extend(shown.iter().map(|session| texts(session)));
    // Columns are as wide as their content; the path gets the rest.
    let widest = |column: usize| {
        let widths = cells.iter().filter_map(|row| row.get(column)).map(|cell| text_width(cell));
        widths.max().unwrap_or_default().min(COLUMN_LETTERS_MAX)
    };
    let widths: Vec<usize> = (0..NAMES.len()).map(widest).collect();
    let taken: usize = widths.iter().map(|width| width + 1).sum();
    let path_width = usize::from(area.width).saturating_sub(taken);
    let rows = shown.iter().zip(cells.iter().skip(1));
    let rows = rows.map(|(session, cells)| row(session, cells, &widths, path_width));
    let length = |width: &usize| Constraint::Length(u16::try_from(*width).unwrap_or(u16::MAX));
    let constraints = widths.iter().map(length).chain([Constraint::Min(8)]);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let header =
        NAMES.iter().zip(&widths).enumerate().map(|(at, (name, width))| aligned(at, name, *width));
    let table = Table::new(rows, constraints)
        .header(Row::new(header.chain(["PATH".to_owned()])).style(bold))
        .column_spacing(1)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let selected = (!shown.is_empty()).then(|| state.selected_row());
    let mut place = TableState::default().with_selected(selected);
    frame.render_stateful_widget(table, area, &mut place);
}

const NAMES: [&str; 8] = ["ID", "USER", "ADDRESS", "TLS", "STATE", "DONE", "SPEED", "FOR"];
/// Columns that are right-aligned.
const NUMBERS: [usize; 4] = [0, 5, 6, 7];
/// The column of the state.
const DOES: usize = 4;
/// Maximum width of a name; longer ones are shortened at the start.
const COLUMN_LETTERS_MAX: usize = 15;

fn texts(session: &Session) -> [String; 8] {
    [
        session.session_id.to_string(),
        session.user.clone().unwrap_or_else(|| "-".to_owned()),
        session.ip.clone(),
        tls(session).to_owned(),
        word(session).to_owned(),
        session.bytes.map(|bytes| progress(bytes, session.size)).unwrap_or_default(),
        session.rate.map(speed).unwrap_or_default(),
        clock(session.transfer_duration_seconds.unwrap_or(session.idle_seconds)),
    ]
}

fn row(
    session: &Session,
    cells: &[String; 8],
    widths: &[usize],
    path_width: usize,
) -> Row<'static> {
    let colour = match session.state {
        SessionState::Upload => Color::Green,
        SessionState::Download => Color::Cyan,
        SessionState::Auth => Color::Yellow,
        _ => Color::Reset,
    };
    let cells = cells.iter().zip(widths).enumerate().map(|(at, (text, width))| {
        let style = if at == DOES { Style::new().fg(colour) } else { Style::new() };
        Cell::from(Span::styled(aligned(at, &shortened(text, *width), *width), style))
    });
    let path = shortened(session.path.as_deref().unwrap_or_default(), path_width);
    Row::new(cells.chain([Cell::from(path)]))
}

fn aligned(column: usize, text: &str, width: usize) -> String {
    let space = " ".repeat(width.saturating_sub(text_width(text)));
    if NUMBERS.contains(&column) { format!("{space}{text}") } else { text.to_owned() }
}

fn detailed(details: &SessionDetails) -> Paragraph<'static> {
    let session = &details.session;
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let mut lines = vec![
        Line::from(format!(
            "Session {}  {}  from {} port {}  to {}",
            session.session_id,
            text(&session.user),
            session.ip,
            session.port,
            session.local
        )),
        Line::from(format!(
            "since {}  TLS {}  charset {}  client {}",
            session.since,
            tls(session),
            session.charset,
            text(&session.client)
        )),
    ];
    let mut activity = format!("state {}", word(session));
    if let (Some(bytes), Some(rate), Some(average)) =
        (session.bytes, session.rate, session.average_rate)
    {
        let _ = write!(
            activity,
            "  {}  {}  now {}  average {}",
            text(&session.path),
            progress(bytes, session.size),
            speed(rate),
            speed(average)
        );
    }
    lines.push(Line::from(activity));
    lines.push(Line::from(""));
    // Newest first, in case not all fit.
    lines.extend(details.history.iter().rev().map(|entry| {
        let time = entry.time.get(11..19).unwrap_or(&entry.time);
        Line::from(format!("{time}  {}  {}", entry.code, entry.line))
    }));
    Paragraph::new(lines).wrap(Wrap { trim: false })
}

fn foot(state: &TopState) -> Line<'static> {
    match (&state.view, &state.message) {
        (View::Filter, _) => {
            Line::from(format!("filter: {}_   (Enter applies it, Esc clears it)", state.filter))
        }
        (View::Confirm { id, ban: false }, _) => {
            Line::from(format!("disconnect session {id}? y/n"))
        }
        (View::Confirm { id, ban: true }, _) => {
            Line::from(format!("disconnect session {id} and ban its address for 15 minutes? y/n"))
        }
        (_, Some(BottomLine::Fine(text))) => Line::from(text.clone()),
        (_, Some(BottomLine::Problem(text))) => {
            Line::styled(text.clone(), Style::new().fg(Color::Red))
        }
        (View::Details(_), None) => Line::from("k kick  b ban  l log  any other key: back"),
        (View::Log { .. } | View::Help, None) => Line::from("any key: back"),
        (View::Sessions, None) => Line::from(
            "s sort  / filter  i idle  u/d only  Enter more  k kick  b ban  p pause  ? help",
        ),
    }
}
