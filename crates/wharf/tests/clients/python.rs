//! ftplib of Python, plain and with TLS.

use crate::support::program::Program;
use crate::support::server::{Server, Setup};

fn python(script: &str) -> Program {
    Program::new("python3").args(["-c", script])
}

#[test]
fn python_does_everything_that_ftplib_can_in_every_mode() {
    let server = Server::with_one_account();
    for address in ["127.0.0.1", "::1"] {
        for mode in ["passive", "active"] {
            python(include_str!("scripts/plain.py"))
                .args([address, &server.port().to_string(), mode])
                .succeed();
        }
    }
}

fn python_meets(server: &Server, meets: &str) {
    for address in ["127.0.0.1", "::1"] {
        for version in ["TLSv1_2", "TLSv1_3"] {
            python(include_str!("scripts/tls.py"))
                .args([address, &server.port().to_string(), version, meets])
                .succeed();
        }
    }
}

#[test]
fn python_transfers_without_resuming_where_that_is_only_preferred() {
    python_meets(&Server::with_one_account(), "welcome");
}

#[test]
fn python_is_rejected_with_522_where_data_must_resume_the_tls_session() {
    python_meets(&Setup::new().set("tls", "session_reuse = \"require\"").start(), "522");
}

#[test]
fn row_09_python_that_resumes_transfers_where_data_must_resume_the_tls_session() {
    let server = Setup::new().set("tls", "session_reuse = \"require\"").start();
    for version in ["TLSv1_2", "TLSv1_3"] {
        python(include_str!("scripts/tls.py"))
            .args(["127.0.0.1", &server.port().to_string(), version, "welcome", "resume"])
            .succeed();
    }
}

/// Uploads of one client.
const UPLOADS: &str = "400";

#[test]
fn row_09_python_that_uses_each_session_once_resumes_at_every_upload() {
    for reuse in ["prefer", "require"] {
        let server = Setup::new().set("tls", &format!("session_reuse = {reuse:?}")).start();
        python(include_str!("scripts/sessions.py"))
            .args(["127.0.0.1", &server.port().to_string(), UPLOADS, "once"])
            .succeed();
    }
}

#[test]
fn row_33_uploads_of_python_that_never_reads_lose_nothing() {
    for reuse in ["prefer", "require"] {
        let server = Setup::new().set("tls", &format!("session_reuse = {reuse:?}")).start();
        python(include_str!("scripts/sessions.py"))
            .args(["127.0.0.1", &server.port().to_string(), UPLOADS, "silent"])
            .succeed();
    }
}
