//! Everything counted, in the text format of Prometheus.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use wharf_admin::model::{Certificate, Totals};
use wharf_core::event::Direction;
use wharf_server::doctor::Report;
use wharf_server::live::{Doing, Moving, SessionView};
use wharf_server::tally::{Histogram, Tally};

use super::gauges::GaugeValues;
use crate::deliver;

/// What is known at one moment.
pub(super) struct MetricsSnapshot<'a> {
    pub(super) views: &'a [SessionView],
    pub(super) totals: Totals,
    /// Uploads and downloads that were cut.
    pub(super) cut: [u64; 2],
    pub(super) diagnosis: &'a Report,
    pub(super) tally: &'a Tally,
    pub(super) found: &'a GaugeValues,
    /// What became of events; none where neither programs nor web servers are told.
    pub(super) delivery: Option<deliver::Counts>,
    pub(super) sessions_max: Option<u64>,
    pub(super) bans: usize,
    pub(super) passive_in_use: usize,
    pub(super) passive_ports: usize,
    /// Networks of clients for which passive mode fails.
    pub(super) failing_networks: usize,
    pub(super) certificate: Option<&'a Certificate>,
    pub(super) uptime: Duration,
    pub(super) is_stopping: bool,
    /// Whether the last reload was refused.
    pub(super) is_reload_refused: bool,
    pub(super) warnings: usize,
    pub(super) memory: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) open_files_max: Option<u64>,
}

/// The page. Names are frozen: `docs/reference/metrics.md` lists them.
pub(super) fn page(moment: &MetricsSnapshot<'_>) -> String {
    let mut page = MetricsText(String::new());
    process(&mut page, moment);
    sessions(&mut page, moment);
    transfers(&mut page, moment);
    times(&mut page, moment.tally);
    defences(&mut page, moment);
    room(&mut page, moment.found);
    if let Some(counts) = moment.delivery {
        programs(&mut page, &counts.programs);
        webhooks(&mut page, &counts.webhooks);
    }
    page.0
}

/// What this wharf was built with.
const FEATURES: &[(&str, bool)] = &[("tls", true)];

fn features() -> String {
    let built_in = FEATURES.iter().filter(|(_, is_built_in)| *is_built_in);
    built_in.map(|(name, _)| *name).collect::<Vec<_>>().join(",")
}

fn process(page: &mut MetricsText, moment: &MetricsSnapshot<'_>) {
    page.head("gauge", "build_info", "Which wharf this is; always 1.");
    let system = std::env::consts::OS;
    let labels =
        [("version", env!("CARGO_PKG_VERSION")), ("features", &features()), ("system", system)];
    page.value("build_info", &labels, 1);
    page.one("gauge", "uptime_seconds", "Time since it began to serve.", moment.uptime.as_secs());
    page.one("gauge", "stopping", "1 once it was told to stop.", u8::from(moment.is_stopping));
    let about = "1 if the last reload was refused, so that an older configuration is in force.";
    page.one("gauge", "reload_refused", about, u8::from(moment.is_reload_refused));
    let about = "What somebody should look at: wharf status shows it.";
    page.one("gauge", "warnings", about, moment.warnings);
    let about = "Memory in use.";
    page.known("gauge", "resident_memory_bytes", about, moment.memory);
    page.known("gauge", "open_files", "Files and sockets that are open.", moment.open_files);
    let about = "Files and sockets that there may be.";
    page.known("gauge", "open_files_max", about, moment.open_files_max);
}

fn sessions(page: &mut MetricsText, moment: &MetricsSnapshot<'_>) {
    let MetricsSnapshot { totals, .. } = moment;
    page.head("gauge", "sessions", "Sessions by what they do.");
    for state in STATES {
        let count = moment.views.iter().filter(|view| state_of(view) == *state).count();
        page.value("sessions", &[("state", state)], count);
    }
    let about = "Sessions that there may be; absent without a limit.";
    page.known("gauge", "sessions_max", about, moment.sessions_max);
    page.one("counter", "connections_total", "Clients that were greeted.", totals.connections);
    let about = "Times that clients turned away at the door were told of.";
    page.one("counter", "rejected_connections_total", about, totals.turned_away);
    page.one("counter", "logins_total", "Logins that succeeded.", totals.logins);
    page.head("counter", "login_failures_total", "Logins that failed, by cause.");
    for (cause, count) in moment.tally.login_failures() {
        page.value("login_failures_total", &[("cause", cause)], count);
    }
}

fn transfers(page: &mut MetricsText, moment: &MetricsSnapshot<'_>) {
    let MetricsSnapshot { totals, .. } = moment;
    page.head("counter", "transfers_total", "Transfers of files that have ended.");
    let [cut_up, cut_down] = moment.cut;
    for (direction, result, count) in [
        ("upload", "complete", totals.uploads),
        ("upload", "cut", cut_up),
        ("download", "complete", totals.downloads),
        ("download", "cut", cut_down),
    ] {
        page.value("transfers_total", &[("direction", direction), ("result", result)], count);
    }
    page.head("counter", "transferred_bytes_total", "Bytes of transfers that have ended.");
    page.value("transferred_bytes_total", &[("direction", "upload")], totals.uploaded_bytes);
    page.value("transferred_bytes_total", &[("direction", "download")], totals.downloaded_bytes);
    let about = "Bytes a second of the transfers under way, over the last second.";
    page.head("gauge", "transfer_rate_bytes", about);
    for (name, state) in [("upload", "up"), ("download", "down")] {
        let rate: u64 =
            moment.views.iter().filter(|view| state_of(view) == state).map(rate_of).sum();
        page.value("transfer_rate_bytes", &[("direction", name)], rate);
    }
    let about = "Data connections that did not come to be, by cause; none_came: nobody came to the \
                 port, as where a firewall stands before the passive ports.";
    page.head("counter", "data_connection_failures_total", about);
    for (cause, count) in moment.tally.opening_failures() {
        page.value("data_connection_failures_total", &[("cause", cause)], count);
    }
    let about = "What the doctor found of data connections that did not come to be, by cause; also \
                 of clients that never asked for a transfer.";
    page.head("counter", "diagnosed_failures_total", about);
    for (cause, count) in &moment.diagnosis.totals {
        page.value("diagnosed_failures_total", &[("cause", cause.name())], count);
    }
    let about = "Passive data connections that came to be.";
    page.one("counter", "passive_connections_total", about, moment.diagnosis.arrived);
    let about = "Networks of clients for which passive mode failed in about the last day.";
    page.one("gauge", "passive_failing_networks", about, moment.failing_networks);
    let about = "Passive ports in use.";
    page.one("gauge", "passive_ports_in_use", about, moment.passive_in_use);
    page.one("gauge", "passive_ports", "Passive ports there are.", moment.passive_ports);
}

fn times(page: &mut MetricsText, tally: &Tally) {
    let about = "From a command to its answer, apart from PASS and from what moves data.";
    page.head("histogram", "command_duration_seconds", about);
    page.histogram("command_duration_seconds", None, &tally.replies);
    let about = "From a password to its answer, where it was right.";
    page.head("histogram", "login_duration_seconds", about);
    page.histogram("login_duration_seconds", None, &tally.logins);
    let about = "From the begin of a transfer to its open data connection: the time to its first \
                 byte.";
    page.head("histogram", "data_connection_open_seconds", about);
    page.histogram("data_connection_open_seconds", None, &tally.openings);
    let about = "From the first to the last reply of transfers of files that were complete.";
    page.head("histogram", "transfer_duration_seconds", about);
    page.histogram("transfer_duration_seconds", Some(("direction", "upload")), &tally.uploads);
    page.histogram("transfer_duration_seconds", Some(("direction", "download")), &tally.downloads);
}

fn defences(page: &mut MetricsText, moment: &MetricsSnapshot<'_>) {
    page.one("gauge", "bans", "Addresses and networks that are banned.", moment.bans);
    let days = moment.certificate.and_then(|certificate| certificate.days_left);
    let about = "Whole days until the certificate ends; below zero if it is over.";
    page.known("gauge", "certificate_days_left", about, days);
}

fn room(page: &mut MetricsText, found: &GaugeValues) {
    let about = "Room that is free on a disk; the label is the first of the homes on it.";
    page.head("gauge", "disk_free_bytes", about);
    for disk in &found.disks {
        page.value("disk_free_bytes", &[("folder", &disk.folder)], disk.free);
    }
    page.head("gauge", "disk_size_bytes", "What the whole disk holds.");
    for disk in &found.disks {
        page.value("disk_size_bytes", &[("folder", &disk.folder)], disk.size);
    }
    let about = "What an account with a quota keeps; the fullest 500 accounts.";
    page.head("gauge", "quota_used_bytes", about);
    for one in found.quotas.iter().filter(|one| one.bytes_max.is_some()) {
        page.value("quota_used_bytes", &[("user", &one.user)], one.kept.bytes);
    }
    page.head("gauge", "quota_bytes", "What it may keep.");
    for (one, most) in found.quotas.iter().filter_map(|one| Some((one, one.bytes_max?))) {
        page.value("quota_bytes", &[("user", &one.user)], most);
    }
    page.head("gauge", "quota_used_files", "Files and folders that it keeps.");
    for one in found.quotas.iter().filter(|one| one.files_max.is_some()) {
        page.value("quota_used_files", &[("user", &one.user)], one.kept.files);
    }
    page.head("gauge", "quota_files", "Files and folders that it may keep.");
    for (one, most) in found.quotas.iter().filter_map(|one| Some((one, one.files_max?))) {
        page.value("quota_files", &[("user", &one.user)], most);
    }
}

fn programs(page: &mut MetricsText, counts: &wharf_events::programs::Counts) {
    let mut count = |name: &str, about: &str, value: u64| page.one("counter", name, about, value);
    count("hook_events_total", "Events that a program took.", counts.done);
    count("hook_retries_total", "Runs that failed, before another try.", counts.retried);
    count("hook_failures_total", "Events that programs did not take.", counts.failed);
    count("hook_dropped_total", "Events without room in the queue.", counts.dropped);
    let about = "Uploads that a program was asked about.";
    count("upload_checks_total", about, counts.asked);
    let about = "Events and uploads that wait for programs.";
    page.one("gauge", "hook_queue_length", about, counts.waiting);
}

fn webhooks(page: &mut MetricsText, counts: &wharf_events::webhook::Counts) {
    let mut count = |name: &str, about: &str, value: u64| page.one("counter", name, about, value);
    count("webhook_delivered_total", "Events that web servers took.", counts.delivered);
    count("webhook_retries_total", "Requests that failed, before another try.", counts.retried);
    count("webhook_expired_total", "Events that were given up.", counts.given_up);
    count("webhook_dropped_total", "Events without room on the disk.", counts.dropped);
    let about = "Times that events on the disk could not be read; they are read again.";
    count("webhook_read_errors_total", about, counts.read_errors);
    let about = "Times that something on the disk was damaged or gone, events perhaps with it.";
    count("webhook_damaged_total", about, counts.damaged);
    let about = "Bytes of events on disk that wait for web servers.";
    page.one("gauge", "webhook_spooled_bytes", about, counts.spooled_bytes);
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

fn rate_of(view: &SessionView) -> u64 {
    match &view.doing {
        Doing::Transfer(transfer) => transfer.rate,
        _ => 0,
    }
}

struct MetricsText(String);

impl MetricsText {
    fn head(&mut self, kind: &str, name: &str, about: &str) {
        let _ = writeln!(self.0, "# HELP wharf_{name} {about}\n# TYPE wharf_{name} {kind}");
    }

    fn one(&mut self, kind: &str, name: &str, about: &str, value: impl Display) {
        self.head(kind, name, about);
        let _ = writeln!(self.0, "wharf_{name} {value}");
    }

    /// The same; without a value there is no line of it.
    fn known(&mut self, kind: &str, name: &str, about: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.one(kind, name, about, value);
        }
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> =
            labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        let _ = writeln!(self.0, "wharf_{name}{{{}}} {value}", labels.join(","));
    }

    fn histogram(&mut self, name: &str, label: Option<(&str, &str)>, histogram: &Histogram) {
        let read = histogram.read();
        let bucket = format!("{name}_bucket");
        let with = |bound: &str| -> Vec<(String, String)> {
            let own = label.map(|(name, text)| (name.to_owned(), text.to_owned()));
            own.into_iter().chain([("le".to_owned(), bound.to_owned())]).collect()
        };
        let bounds = read.at_most.iter().map(|(bound, count)| (seconds(*bound), *count));
        for (bound, count) in bounds.chain([("+Inf".to_owned(), read.count)]) {
            let labels = with(&bound);
            let labels: Vec<_> =
                labels.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            self.value(&bucket, &labels, count);
        }
        for (part, value) in [("sum", seconds(read.sum)), ("count", read.count.to_string())] {
            match label {
                Some(label) => self.value(&format!("{name}_{part}"), &[label], value),
                None => drop(writeln!(self.0, "wharf_{name}_{part} {value}")),
            }
        }
    }
}

fn seconds(time: Duration) -> String {
    time.as_secs_f64().to_string()
}

/// A text as a label can have it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests;
