//! The metrics, in the text format of Prometheus.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::time::Duration;

use wharf_admin::model::Totals;
use wharf_core::event::Direction;
use wharf_server::diagnostics::DiagnosticsReport;
use wharf_server::metrics::{EngineMetrics, Histogram};
use wharf_server::session_status::{Activity, Payload, SessionView};

use super::gauges::GaugeValues;
use crate::deliver;

/// The values at one moment.
pub(super) struct MetricsSnapshot<'a> {
    pub(super) views: &'a [SessionView],
    pub(super) totals: Totals,
    /// Incomplete uploads and downloads.
    pub(super) incomplete: [u64; 2],
    pub(super) diagnosis: &'a DiagnosticsReport,
    pub(super) metrics: &'a EngineMetrics,
    pub(super) found: &'a GaugeValues,
    /// Delivery counters; `None` without hooks and webhooks.
    pub(super) delivery: Option<deliver::DeliveryCounts>,
    pub(super) connections_max: Option<u64>,
    pub(super) bans: usize,
    pub(super) passive_in_use: usize,
    pub(super) passive_ports: usize,
    /// Client networks for which passive mode fails.
    pub(super) failing_networks: usize,
    /// Expiry of the certificate, in seconds since 1970.
    pub(super) certificate_expiry: Option<i64>,
    pub(super) uptime: Duration,
    pub(super) is_stopping: bool,
    /// Whether the last reload failed.
    pub(super) has_reload_failed: bool,
    pub(super) warnings: usize,
    pub(super) panics: u64,
    pub(super) memory: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) open_files_max: Option<u64>,
}

/// Formats all metrics. Names are stable: `docs/reference/metrics.md` lists them.
pub(super) fn page(moment: &MetricsSnapshot<'_>) -> String {
    let mut page = MetricsText(String::new());
    process(&mut page, moment);
    sessions(&mut page, moment);
    transfers(&mut page, moment);
    times(&mut page, moment.metrics);
    defences(&mut page, moment);
    disk_space(&mut page, moment.found);
    if let Some(counts) = moment.delivery {
        programs(&mut page, &counts.programs);
        webhooks(&mut page, &counts.webhooks);
    }
    page.0
}

fn process(page: &mut MetricsText, moment: &MetricsSnapshot<'_>) {
    page.head("gauge", "build_info", "Version and build features; always 1.");
    let system = std::env::consts::OS;
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("features", "tls"), ("system", system)];
    page.value("build_info", &labels, 1);
    page.one("gauge", "uptime_seconds", "Time since the server started.", moment.uptime.as_secs());
    page.one(
        "gauge",
        "stopping",
        "1 while the server is shutting down, else 0.",
        u8::from(moment.is_stopping),
    );
    let about = "1 if the last configuration reload failed, so that the previous configuration is \
                 in use.";
    page.one("gauge", "config_reload_failed", about, u8::from(moment.has_reload_failed));
    let about = "Number of active warnings, as listed by wharf status.";
    page.one("gauge", "warnings", about, moment.warnings);
    let about = "Panics: faults of the program, each of which ended one session or task.";
    page.one("counter", "panics_total", about, moment.panics);
    let about = "Resident memory size in bytes.";
    page.known("gauge", "process_resident_memory_bytes", about, moment.memory);
    let about = "Number of open file descriptors.";
    page.known("gauge", "process_open_fds", about, moment.open_files);
    let about = "Maximum number of open file descriptors.";
    page.known("gauge", "process_max_fds", about, moment.open_files_max);
}

fn sessions(page: &mut MetricsText, moment: &MetricsSnapshot<'_>) {
    let MetricsSnapshot { totals, .. } = moment;
    page.head("gauge", "sessions", "Current sessions by state.");
    for state in STATES {
        let count = moment.views.iter().filter(|view| state_of(view) == *state).count();
        page.value("sessions", &[("state", state)], count);
    }
    let about =
        "Maximum number of control connections (limits.connections); absent without a limit.";
    page.known("gauge", "connections_max", about, moment.connections_max);
    page.one("counter", "connections_total", "Accepted control connections.", totals.connections);
    let about = "Rejected control connections, as logged (repeated rejections are combined).";
    page.one("counter", "rejected_connections_total", about, totals.rejected_connections);
    page.one("counter", "logins_total", "Successful logins.", totals.logins);
    page.head("counter", "login_failures_total", "Failed logins, by cause.");
    for (cause, count) in moment.metrics.login_failures() {
        page.value("login_failures_total", &[("cause", cause)], count);
    }
}

fn transfers(page: &mut MetricsText, moment: &MetricsSnapshot<'_>) {
    let MetricsSnapshot { totals, .. } = moment;
    page.head("counter", "transfers_total", "Finished file transfers, by direction and result.");
    let [incomplete_uploads, incomplete_downloads] = moment.incomplete;
    for (direction, result, count) in [
        ("upload", "complete", totals.uploads),
        ("upload", "incomplete", incomplete_uploads),
        ("download", "complete", totals.downloads),
        ("download", "incomplete", incomplete_downloads),
    ] {
        page.value("transfers_total", &[("direction", direction), ("result", result)], count);
    }
    page.head("counter", "transferred_bytes_total", "Bytes of finished file transfers.");
    page.value("transferred_bytes_total", &[("direction", "upload")], totals.uploaded_bytes);
    page.value("transferred_bytes_total", &[("direction", "download")], totals.downloaded_bytes);
    let about = "Current transfer rate in bytes per second, measured over the last second.";
    page.head("gauge", "transfer_bytes_per_second", about);
    for (name, state) in [("upload", "upload"), ("download", "download")] {
        let rate: u64 =
            moment.views.iter().filter(|view| state_of(view) == state).map(rate_of).sum();
        page.value("transfer_bytes_per_second", &[("direction", name)], rate);
    }
    let about = "Failed data connections, by cause; no-connection: no client connected to the \
                 passive port, as if a firewall blocks the passive ports.";
    page.head("counter", "data_connection_failures_total", about);
    for (cause, count) in moment.metrics.opening_failures() {
        page.value("data_connection_failures_total", &[("cause", cause)], count);
    }
    let about = "Data connection failures by cause of the passive-mode diagnostics, including \
                 clients that never requested a transfer.";
    page.head("counter", "data_connection_diagnoses_total", about);
    for (cause, count) in &moment.diagnosis.totals {
        page.value("data_connection_diagnoses_total", &[("cause", cause.name())], count);
    }
    let about = "Established passive data connections.";
    page.one("counter", "passive_connections_total", about, moment.diagnosis.arrived);
    let about = "Client networks for which passive mode failed in about the last day.";
    page.one("gauge", "passive_failing_networks", about, moment.failing_networks);
    let about = "Passive ports in use.";
    page.one("gauge", "passive_ports_in_use", about, moment.passive_in_use);
    page.one("gauge", "passive_ports", "Configured passive ports.", moment.passive_ports);
}

fn times(page: &mut MetricsText, metrics: &EngineMetrics) {
    let about = "Time from a command to its reply, except PASS and data transfers.";
    page.head("histogram", "command_duration_seconds", about);
    page.histogram("command_duration_seconds", None, &metrics.replies);
    let about = "Time from a correct password to its reply.";
    page.head("histogram", "login_duration_seconds", about);
    page.histogram("login_duration_seconds", None, &metrics.logins);
    let about = "Time from the start of a transfer to its established data connection.";
    page.head("histogram", "data_connection_open_seconds", about);
    page.histogram("data_connection_open_seconds", None, &metrics.openings);
    let about = "Duration of complete file transfers, from the first to the last reply.";
    page.head("histogram", "transfer_duration_seconds", about);
    page.histogram("transfer_duration_seconds", Some(("direction", "upload")), &metrics.uploads);
    page.histogram(
        "transfer_duration_seconds",
        Some(("direction", "download")),
        &metrics.downloads,
    );
}

fn defences(page: &mut MetricsText, moment: &MetricsSnapshot<'_>) {
    page.one("gauge", "bans", "Currently banned addresses and networks.", moment.bans);
    let about = "Time when the TLS certificate expires, in seconds since 1970-01-01.";
    page.known("gauge", "certificate_expiry_timestamp_seconds", about, moment.certificate_expiry);
}

fn disk_space(page: &mut MetricsText, found: &GaugeValues) {
    let about = "Free space of a disk in bytes; the label is the first home on it.";
    page.head("gauge", "disk_free_bytes", about);
    for disk in &found.disks {
        page.value("disk_free_bytes", &[("folder", &disk.folder)], disk.free);
    }
    page.head(
        "gauge",
        "disk_size_bytes",
        "Total size of a disk in bytes; the label is the first home on it.",
    );
    for disk in &found.disks {
        page.value("disk_size_bytes", &[("folder", &disk.folder)], disk.size);
    }
    let about = "Bytes stored by an account with a quota; the fullest 500 accounts.";
    page.head("gauge", "quota_used_bytes", about);
    for one in found.quotas.iter().filter(|one| one.bytes_max.is_some()) {
        page.value("quota_used_bytes", &[("user", &one.user)], one.used.bytes);
    }
    page.head("gauge", "quota_bytes", "Quota of an account in bytes.");
    for (one, most) in found.quotas.iter().filter_map(|one| Some((one, one.bytes_max?))) {
        page.value("quota_bytes", &[("user", &one.user)], most);
    }
    page.head("gauge", "quota_used_files", "Files and folders stored by an account with a quota.");
    for one in found.quotas.iter().filter(|one| one.files_max.is_some()) {
        page.value("quota_used_files", &[("user", &one.user)], one.used.files);
    }
    page.head("gauge", "quota_files", "Quota of an account in files and folders.");
    for (one, most) in found.quotas.iter().filter_map(|one| Some((one, one.files_max?))) {
        page.value("quota_files", &[("user", &one.user)], most);
    }
}

fn programs(page: &mut MetricsText, counts: &wharf_events::programs::ProgramCounts) {
    let mut count = |name: &str, about: &str, value: u64| page.one("counter", name, about, value);
    count("hook_events_total", "Events successfully handled by a hook program.", counts.done);
    count("hook_retries_total", "Failed runs of hook programs that are retried.", counts.retried);
    count("hook_failures_total", "Events with a permanently failed hook program.", counts.failed);
    count("hook_dropped_total", "Events dropped because the hook queue was full.", counts.dropped);
    let about = "Uploads checked by a program before publishing.";
    count("upload_checks_total", about, counts.checks);
    let about = "Events and uploads queued for hook programs.";
    page.one("gauge", "hook_queue_length", about, counts.waiting);
}

fn webhooks(page: &mut MetricsText, counts: &wharf_events::webhook::WebhookCounts) {
    let mut count = |name: &str, about: &str, value: u64| page.one("counter", name, about, value);
    count("webhook_delivered_total", "Events delivered to webhooks.", counts.delivered);
    count("webhook_retries_total", "Failed webhook requests that are retried.", counts.retried);
    count(
        "webhook_expired_total",
        "Webhook events discarded after their maximum age.",
        counts.given_up,
    );
    count(
        "webhook_dropped_total",
        "Webhook events dropped because the spool was full.",
        counts.dropped,
    );
    let about = "Read errors of the webhook spool; reading is retried.";
    count("webhook_spool_read_errors_total", about, counts.read_errors);
    let about = "Damaged or missing webhook spool files; events may be lost.";
    count("webhook_spool_damaged_total", about, counts.damaged);
    let about = "Size of spooled webhook events in bytes.";
    page.one("gauge", "webhook_spool_bytes", about, counts.spooled_bytes);
}

const STATES: &[&str] = &["auth", "idle", "command", "list", "upload", "download"];

fn state_of(view: &SessionView) -> &'static str {
    match &view.activity {
        Activity::LoggingIn => "auth",
        Activity::Idle => "idle",
        Activity::Command(_) => "command",
        Activity::Transfer(transfer) => match transfer.what {
            Payload::Listing => "list",
            Payload::File(Direction::Upload, _) => "upload",
            Payload::File(Direction::Download, _) => "download",
        },
    }
}

fn rate_of(view: &SessionView) -> u64 {
    match &view.activity {
        Activity::Transfer(transfer) => transfer.rate,
        _ => 0,
    }
}

/// With the prefix of wharf, apart from the names that Prometheus client libraries use for every
/// process.
fn full_name(name: &str) -> Cow<'_, str> {
    if name.starts_with("process_") { name.into() } else { format!("wharf_{name}").into() }
}

struct MetricsText(String);

impl MetricsText {
    fn head(&mut self, kind: &str, name: &str, about: &str) {
        let name = full_name(name);
        let _ = writeln!(self.0, "# HELP {name} {about}\n# TYPE {name} {kind}");
    }

    fn one(&mut self, kind: &str, name: &str, about: &str, value: impl Display) {
        self.head(kind, name, about);
        let _ = writeln!(self.0, "{} {value}", full_name(name));
    }

    /// The same; omitted without a value.
    fn known(&mut self, kind: &str, name: &str, about: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.one(kind, name, about, value);
        }
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> =
            labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        let _ = writeln!(self.0, "{}{{{}}} {value}", full_name(name), labels.join(","));
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
                None => drop(writeln!(self.0, "{}_{part} {value}", full_name(name))),
            }
        }
    }
}

fn seconds(time: Duration) -> String {
    time.as_secs_f64().to_string()
}

/// Escapes a label value.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests;
