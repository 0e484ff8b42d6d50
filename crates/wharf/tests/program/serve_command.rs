//! `wharf serve` from the first line to the last, on loopback.

use std::io::Write;

use crate::support::{TestFolder, names};

fn shared() -> TestFolder {
    let place = TestFolder::new();
    std::fs::create_dir(place.path("share")).unwrap();
    place.write("share/a.txt", "hello");
    place
}

#[test]
fn a_folder_is_shared_read_only_unless_w_is_given() {
    let place = shared();
    let reading = place.serve(&["share", "-u", "me", "-P", "secret"]);
    let mut client = reading.login("me", "secret");
    assert_eq!(client.downloads("RETR a.txt"), "hello");
    let reply = client.stores("b.txt", "new");
    assert!(reply.starts_with("553 "), "{reply}");
    let writing = place.serve(&["-w", "-d", "share", "-u", "me", "-P", "secret"]);
    let mut client = writing.login("me", "secret");
    assert!(client.stores("b.txt", "new").starts_with("226 "));
    assert_eq!(place.read("share/b.txt"), "new");
}

#[test]
fn row_44_it_stops_gracefully_and_its_log_is_complete() {
    let place = shared();
    let server = place.serve(&["share", "-u", "me", "-P", "secret", "--no-config"]);
    let mut client = server.login("me", "secret");
    client.downloads("RETR a.txt");
    drop(client);
    let (code, rest) = server.stop();
    assert_eq!(code, Some(0), "{rest}");
    for part in ["event=login", "event=download path=\"/a.txt\" bytes=5", "event=stopped"] {
        assert!(rest.contains(part), "{part} is not in {rest}");
    }
    assert!(!rest.contains("secret"), "{rest}");
}

#[test]
fn a_generated_password_is_printed_outside_the_log_and_works() {
    let place = shared();
    let server = place.serve(&["share"]);
    let (_, password) =
        server.before.split_once("note: log in as wharf with the password ").unwrap();
    server.login("wharf", password.lines().next().unwrap());
}

#[cfg(unix)]
#[test]
fn a_service_is_not_given_a_fresh_password() {
    use std::os::unix::fs::MetadataExt;
    let place = shared();
    let journal = std::fs::File::create(place.path("journal")).unwrap();
    let facts = journal.metadata().unwrap();
    let stream = format!("{}:{}", facts.dev(), facts.ino());
    let mut command = place.command(&["share"]);
    let status = command.env("JOURNAL_STREAM", stream).stderr(journal).status().unwrap();
    assert_eq!(status.code(), Some(2));
    assert!(place.read("journal").contains("--password-file"));
}

#[test]
fn row_23_anonymous_logins_work_with_a_and_a_dropbox_lists_nothing() {
    let place = shared();
    let server = place.serve(&["-A", "--dropbox", "share"]);
    let mut client = server.login("anonymous", "me@example.com");
    assert!(client.stores("b.txt", "new").starts_with("226 "));
    assert!(client.command("RETR b.txt").starts_with("550 "));
    assert!(client.command("SIZE a.txt").starts_with("550 "));
    assert_eq!(place.read("share/b.txt"), "new");
}

#[test]
fn write_access_for_all_clients_needs_confirmation() {
    let place = shared();
    place.run(&["-A", "-w", "share"]).exits(2).reports("add --yes").reports("--dropbox");
    place.serve(&["-A", "-w", "--yes", "share"]);
}

#[test]
fn account_options_replace_the_accounts_of_the_file() {
    let place = shared();
    place.write("wharf.toml", "[server]\ngreeting = \"Hi from the file\"\n");
    let words = ["user", "add", "anna", "--home", "share", "--password-file", "-"];
    place.run_with(&words, "secret\n").exits(0);
    let server = place.serve(&[]);
    assert_eq!(server.login("anna", "secret").downloads("RETR a.txt"), "hello");
    let server = place.serve(&["share", "-P", "other"]);
    server.login("wharf", "other");
    let (_, rest) = server.stop();
    assert!(!rest.contains("anna"), "{rest}");
}

#[test]
fn a_disabled_account_is_disconnected_immediately() {
    let place = shared();
    place.write("wharf.toml", "");
    let words = ["user", "add", "anna", "--home", "share", "--password-file", "-"];
    place.run_with(&words, "secret\n").exits(0);
    let server = place.serve(&[]);
    let mut client = server.login("anna", "secret");
    place.run(&["user", "disable", "anna"]).exits(0);
    assert_eq!(client.reply(), "421 This account may no longer log in.\r\n");
}

#[test]
fn a_port_in_use_is_reported_with_its_process_and_a_hint() {
    let place = shared();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let ran = place.run(&["-A", "-i", "127.0.0.1", "-p", &port, "share"]).exits(1);
    let ran = ran.reports(&format!("error: port {port} is in use")).reports("-p 2121");
    if cfg!(target_os = "linux") {
        ran.reports(&format!("by pid {} (", std::process::id()));
    }
}

#[test]
fn invalid_folders_passwords_and_certificates_are_reported() {
    let place = shared();
    place.write("empty", "");
    for (words, code, part) in [
        (&["nowhere"][..], 1, "folder not found: nowhere"),
        (&["share/a.txt"], 1, "a.txt: not a folder"),
        (&["-P", "", "share"], 2, "invalid password: it is empty"),
        (&["--password-file", "none", "share"], 1, "cannot read the password from the file none"),
        (&["-u", "a/b", "share"], 2, "invalid --username `a/b`"),
        (
            &["--certificate", "none.pem", "--private-key", "none.pem", "share"],
            78,
            "cannot read the certificate",
        ),
        (
            &["--certificate", "empty", "--private-key", "empty", "share"],
            78,
            "contains no PEM certificate",
        ),
        (
            &["-i", "192.0.2.1", "share"],
            1,
            "cannot listen on 192.0.2.1: not an address of this computer",
        ),
        (&["--no-config", "-c", "x.toml", "share"], 2, "cannot be used with"),
    ] {
        place.run(words).exits(code).reports(part);
    }
}

#[test]
fn a_printed_config_is_accepted_and_starts() {
    let place = shared();
    let range = place.range();
    let words = ["-A", "share", "-p", "0", "-i", "127.0.0.1", "-r", &range, "--print-config"];
    let printed = place.run(&words).exits(0).out;
    place.write("printed.toml", &printed);
    place.run(&["-c", "printed.toml", "check"]).exits(0);
    let server = place.serve(&["-c", "printed.toml"]);
    assert_eq!(server.login("ftp", "x").downloads("RETR a.txt"), "hello");
    let printed = place.run(&["-w", "-u", "me", "share", "--print-config"]).exits(0).out;
    assert!(
        printed.contains("#   wharf user add me --home 'share' --permissions read-write\n"),
        "{printed}"
    );
}

#[test]
fn the_certificate_is_reused_between_starts() {
    let place = shared();
    place.serve(&["-A", "share"]);
    let first = place.read("state/self-signed.pem");
    place.serve(&["-A", "share"]);
    assert_eq!(place.read("state/self-signed.pem"), first);
    assert_eq!(names(&place.path("state")), ["self-signed-rsa.pem", "self-signed.pem"]);
}

#[test]
fn logs_are_written_to_the_configured_files() {
    let place = shared();
    let transfers = format!("log.transfer_log={}", place.path("xferlog").display());
    let server = place.serve(&["-A", "share", "--set", &transfers, "--set", "log.format=text"]);
    server.login("anonymous", "x").downloads("RETR a.txt");
    let (code, _) = server.stop();
    assert_eq!(code, Some(0));
    let line = place.read("xferlog");
    assert!(line.ends_with(" /a.txt b _ o a anonymous ftp 0 * c\n"), "{line}");
}

#[test]
fn it_stops_by_itself_when_its_time_is_up() {
    let place = shared();
    let words = ["-A", "share", "-i", "127.0.0.1", "-p", "0", "--for", "1ms"];
    place.run(&words).exits(0).reports("event=stopping reason=\"the time of --for has elapsed\"");
}

#[test]
fn row_44_the_first_signal_lets_transfers_finish_and_the_second_does_not() {
    let place = shared();
    for (waits, code) in [(true, Some(0)), (false, Some(130))] {
        let mut server = place.serve(&["-w", "share", "-u", "me", "-P", "secret"]);
        let mut client = server.login("me", "secret");
        let mut data = client.data();
        assert!(client.command("STOR c.txt").starts_with("150 "));
        data.write_all(b"whole").unwrap();
        server.signal("INT");
        server.waits_for("event=stopping reason=\"signal\" sessions=1");
        if waits {
            drop(data);
            assert!(client.reply().starts_with("226 "));
            assert!(client.reply().starts_with("421 "));
        } else {
            server.signal("INT");
        }
        assert_eq!(server.ends().0, code);
        assert_eq!(place.path("share/c.txt").exists(), waits);
        let _ = std::fs::remove_file(place.path("share/c.txt"));
    }
}
