//! The output of `wharf status` and `wharf reload`.

use std::fmt::Write as _;

use wharf_admin::model::{Certificate, Passive, Reloaded, State, Status};
use wharf_config::outcome::counted;
use wharf_config::table::harmless;
use wharf_config::units::show_size;

use super::text::{clock, speed};

/// The summary of the server.
pub(super) fn screen(status: &Status) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    let state = match status.state {
        State::Serving => format!("serving for {}", clock(status.uptime_seconds)),
        State::Stopping => "stopping: waiting for transfers, no new connections".to_owned(),
    };
    rows.push(("wharf", format!("{} (pid {}), {state}", status.version, status.pid)));
    rows.push(("config", status.config.clone().unwrap_or_else(|| "none: a quick share".into())));
    for listener in &status.listeners {
        rows.push(("listens", format!("{} (TLS {})", listener.address, listener.tls)));
    }
    let sessions = status.sessions;
    let max = sessions.connections_max.map_or_else(String::new, |max| format!(" of {max}"));
    rows.push((
        "sessions",
        format!(
            "{}{max}: {} logged in, {} transferring",
            sessions.total, sessions.logged_in, sessions.transferring
        ),
    ));
    let rates = status.rates;
    let (up, down) = (speed(rates.upload), speed(rates.download));
    rows.push(("now", format!("upload {up}   download {down}")));
    let totals = status.totals;
    rows.push((
        "since start",
        format!(
            "{} ({}), {} ({}), {} interrupted",
            counted(totals.uploads, "upload"),
            show_size(totals.uploaded_bytes),
            counted(totals.downloads, "download"),
            show_size(totals.downloaded_bytes),
            totals.failed_transfers
        ),
    ));
    rows.push((
        "",
        format!(
            "{} ({} rejected), {} ({} failed)",
            counted(totals.connections, "connection"),
            totals.rejected_connections,
            counted(totals.logins, "login"),
            totals.failed_logins
        ),
    ));
    rows.push(("bans", status.bans.to_string()));
    rows.extend(passive(&status.passive));
    rows.extend(status.certificate.iter().map(|own| ("certificate", certificate(own))));
    if let Some(reload) = &status.reload {
        let how = match &reload.error {
            None => "successful".to_owned(),
            Some(problem) => format!("failed, the old configuration stays active: {problem}"),
        };
        rows.push(("last reload", format!("{}: {how}", reload.time)));
    }
    rows.extend(status.warnings.iter().map(|warning| ("warning", warning.clone())));
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "{name:<13}{}", harmless(&value));
    }
    text
}

fn passive(passive: &Passive) -> Vec<(&'static str, String)> {
    let ports = format!("ports {}, {} in use", passive.ports, passive.in_use);
    let mut rows = vec![("passive", ports)];
    for failure in &passive.failures {
        let all = failure.failed + failure.established;
        rows.push((
            "",
            format!(
                "{} of {all} failed for {}: {}",
                failure.failed, failure.network, failure.observation
            ),
        ));
        rows.push(("", format!("  hint: {}", failure.hint)));
    }
    rows
}

fn certificate(certificate: &Certificate) -> String {
    let made = if certificate.is_self_signed { "self-signed by wharf" } else { "from a file" };
    let ends = match certificate.days_left {
        Some(days) if days < 0 => ", EXPIRED".to_owned(),
        Some(days) => format!(", {} left", counted(days, "day")),
        None => String::new(),
    };
    format!("{made}{ends}, sha256 {}", certificate.fingerprint)
}

/// The result of a reload.
pub(super) fn reloaded(reloaded: &Reloaded) -> String {
    let mut text = if reloaded.changed.is_empty() {
        "reloaded, no changes\n".to_owned()
    } else {
        format!("reloaded, changed: {}\n", reloaded.changed.join(", "))
    };
    if !reloaded.needs_restart.is_empty() {
        let keys = reloaded.needs_restart.join(", ");
        let _ = writeln!(text, "restart required for: {keys}");
    }
    text
}

#[cfg(test)]
mod tests {
    use wharf_admin::model::{LastReload, Listener, PassiveFailure, Rates, SessionCounts, Totals};
    use wharf_testkit::assert_same;

    use super::*;

    fn status() -> Status {
        Status {
            version: "0.1.0".into(),
            pid: 812,
            state: State::Serving,
            started: "2026-11-22T15:07:41Z".into(),
            uptime_seconds: 10_975,
            config: Some("/etc/wharf/wharf.toml".into()),
            listeners: vec![Listener { address: "[::]:21".into(), tls: "explicit".into() }],
            sessions: SessionCounts {
                total: 17,
                logged_in: 15,
                transferring: 3,
                connections_max: Some(512),
            },
            rates: Rates { upload: 13_000_000, download: 92_274_688 },
            totals: Totals { connections: 900, logins: 812, uploads: 40, ..Totals::default() },
            passive: Passive {
                ports: "30000-30999".into(),
                in_use: 3,
                failures: vec![PassiveFailure {
                    network: "203.0.113.0/24".into(),
                    cause: "no-connection".into(),
                    observation: "no data connection arrived".into(),
                    detail: String::new(),
                    failed: 14,
                    established: 0,
                    last_failure: "2026-11-22T15:07:41Z".into(),
                    hint: "open ports 30000-30999 on the router".into(),
                }],
            },
            bans: 3,
            certificate: Some(Certificate {
                fingerprint: "9A:41".into(),
                names: vec!["ftp.example.com".into()],
                not_after: None,
                days_left: Some(81),
                is_self_signed: false,
            }),
            reload: Some(LastReload {
                time: "2026-11-22T15:07:41Z".into(),
                is_in_force: false,
                error: Some("invalid configuration in wharf.toml: 1 error".into()),
            }),
            sandbox_folders: None,
            warnings: vec!["anna cannot log in: folder not found: /srv/ftp/anna".into()],
        }
    }

    #[test]
    fn the_screen_is_up_to_date() {
        assert_same("crates/wharf/snapshots/status.txt", &screen(&status()));
    }

    #[test]
    fn a_reload_reports_keys_that_need_a_restart() {
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        let done = Reloaded {
            changed: keys(&["limits.connections"]),
            needs_restart: keys(&["listen.0.port"]),
            warnings: Vec::new(),
        };
        let text = reloaded(&done);
        assert!(
            text.contains("limits.connections") && text.contains("required for: listen.0.port")
        );
        assert!(reloaded(&Reloaded::default()).contains("no changes"));
    }
}
