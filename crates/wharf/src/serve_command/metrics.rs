//! Everything counted, in the text format of Prometheus.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use wharf_admin::model::{Certificate, Totals};
use wharf_core::event::Direction;
use wharf_server::doctor::Report;
use wharf_server::live::{Doing, Moving, SessionView};

/// What is known at one moment.
pub(super) struct Moment<'a> {
    pub(super) views: &'a [SessionView],
    pub(super) totals: Totals,
    /// Uploads and downloads that were cut.
    pub(super) cut: [u64; 2],
    pub(super) data_failures: u64,
    pub(super) diagnosis: &'a Report,
    pub(super) sessions_max: Option<u64>,
    pub(super) bans: usize,
    pub(super) passive_in_use: usize,
    pub(super) passive_ports: usize,
    pub(super) certificate: Option<&'a Certificate>,
    pub(super) uptime: Duration,
    pub(super) is_stopping: bool,
}

/// The page. Names are frozen: `docs/guide/operating.md` lists them.
pub(super) fn page(moment: &Moment<'_>) -> String {
    let mut page = Page(String::new());
    let Moment { totals, .. } = moment;
    page.gauge("build_info", "Which wharf this is.");
    page.value("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.one("gauge", "uptime_seconds", "Time since it began to serve.", moment.uptime.as_secs());
    page.one("gauge", "stopping", "1 once it was told to stop.", u8::from(moment.is_stopping));
    page.gauge("sessions", "Sessions by what they do.");
    for state in STATES {
        let count = moment.views.iter().filter(|view| state_of(view) == *state).count();
        page.value("sessions", &[("state", state)], count);
    }
    if let Some(max) = moment.sessions_max {
        page.one("gauge", "sessions_max", "Sessions that there may be.", max);
    }
    page.one("counter", "connections_total", "Clients that were greeted.", totals.connections);
    let about = "Times that clients turned away at the door were told of.";
    page.one("counter", "turned_away_total", about, totals.turned_away);
    page.one("counter", "logins_total", "Logins that succeeded.", totals.logins);
    let about = "Logins that failed.";
    page.one("counter", "login_failures_total", about, totals.failed_logins);
    page.counter("transfers_total", "Transfers of files that have ended.");
    let [cut_up, cut_down] = moment.cut;
    for (direction, result, count) in [
        ("upload", "complete", totals.uploads),
        ("upload", "cut", cut_up),
        ("download", "complete", totals.downloads),
        ("download", "cut", cut_down),
    ] {
        page.value("transfers_total", &[("direction", direction), ("result", result)], count);
    }
    page.counter("transferred_bytes_total", "Bytes of transfers that have ended.");
    page.value("transferred_bytes_total", &[("direction", "upload")], totals.uploaded_bytes);
    page.value("transferred_bytes_total", &[("direction", "download")], totals.downloaded_bytes);
    let about = "Data connections that did not come to be.";
    page.one("counter", "data_failures_total", about, moment.data_failures);
    page.counter("data_failures_by_cause_total", "The same and more, by what the doctor found.");
    for (cause, count) in &moment.diagnosis.totals {
        page.value("data_failures_by_cause_total", &[("cause", cause.name())], count);
    }
    let about = "Passive data connections that came to be.";
    page.one("counter", "passive_arrived_total", about, moment.diagnosis.arrived);
    page.one("gauge", "bans", "Addresses and networks that are banned.", moment.bans);
    let about = "Passive ports in use.";
    page.one("gauge", "passive_ports_in_use", about, moment.passive_in_use);
    page.one("gauge", "passive_ports", "Passive ports there are.", moment.passive_ports);
    if let Some(days) = moment.certificate.and_then(|certificate| certificate.days_left) {
        let about = "Whole days until the certificate ends; below zero if it is over.";
        page.one("gauge", "certificate_days_left", about, days);
    }
    page.0
}

const STATES: &[&str] = &["auth", "idle", "command", "list", "up", "down"];

fn state_of(view: &SessionView) -> &'static str {
    match &view.doing {
        Doing::LoggingIn => "auth",
        Doing::Nothing => "idle",
        Doing::Command(_) => "command",
        Doing::Transfer(transfer) => match transfer.what {
            Moving::Listing => "list",
            Moving::File(Direction::Upload, _) => "up",
            Moving::File(Direction::Download, _) => "down",
        },
    }
}

struct Page(String);

impl Page {
    fn head(&mut self, kind: &str, name: &str, about: &str) {
        let _ = writeln!(self.0, "# HELP wharf_{name} {about}\n# TYPE wharf_{name} {kind}");
    }

    fn gauge(&mut self, name: &str, about: &str) {
        self.head("gauge", name, about);
    }

    fn counter(&mut self, name: &str, about: &str) {
        self.head("counter", name, about);
    }

    fn one(&mut self, kind: &str, name: &str, about: &str, value: impl Display) {
        self.head(kind, name, about);
        let _ = writeln!(self.0, "wharf_{name} {value}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> =
            labels.iter().map(|(label, text)| format!("{label}=\"{text}\"")).collect();
        let _ = writeln!(self.0, "wharf_{name}{{{}}} {value}", labels.join(","));
    }
}

#[cfg(test)]
mod tests {
    use wharf_server::doctor::Cause;

    use super::*;
    use crate::snapshot::assert_same;

    #[test]
    fn the_page_is_up_to_date() {
        let moment = Moment {
            views: &[],
            totals: Totals { logins: 3, uploaded_bytes: 17, ..Totals::default() },
            cut: [1, 2],
            data_failures: 4,
            diagnosis: &Report {
                failures: Vec::new(),
                totals: vec![(Cause::NoConnection, 3), (Cause::TlsFailed, 0)],
                arrived: 9,
            },
            sessions_max: Some(512),
            bans: 5,
            passive_in_use: 6,
            passive_ports: 1000,
            certificate: Some(&Certificate {
                fingerprint: String::new(),
                names: Vec::new(),
                not_after: None,
                days_left: Some(-1),
                is_self_made: true,
            }),
            uptime: Duration::from_secs(90),
            is_stopping: false,
        };
        let text = page(&moment).replace(env!("CARGO_PKG_VERSION"), "VERSION");
        assert_same("crates/wharf/snapshots/metrics.txt", &text);
    }
}
