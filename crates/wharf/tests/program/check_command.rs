//! `wharf check`, subject by subject, and what it ends with.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use rcgen::{CertificateParams, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::Value;

use crate::support::{Ports, Ran, TestFolder, own_port};

fn place(config: &str) -> TestFolder {
    let place = TestFolder::new();
    place.write("wharf.toml", config);
    place
}

fn add(place: &TestFolder, name: &str) {
    let home = format!("home/{name}");
    let words = ["user", "add", name, "--home", &home, "--create-home", "--permissions", "full"];
    place.run_with(&[&words[..], &["--password-file", "-"]].concat(), "secret\n").exits(0);
}

fn findings(ran: &Ran) -> Vec<Value> {
    let whole: Value = serde_json::from_str(&ran.out).unwrap();
    whole["findings"].as_array().unwrap().clone()
}

/// A listener that no other test has.
fn taken() -> (TcpListener, u16) {
    let port = own_port();
    (TcpListener::bind(("127.0.0.1", port)).unwrap(), port)
}

#[test]
fn ports_names_the_program_that_holds_one() {
    let (_listener, port) = taken();
    let place = place(&format!("[[listen]]\naddress = \"127.0.0.1\"\nport = {port}\n"));
    let own = format!("port {port} is in use by pid {} (", std::process::id());
    place.run(&["check", "ports"]).exits(1).reports(&own).reports("hint: stop that program");
    let others = Ports::take(2);
    let passive = *others.passive().end();
    let _listener = TcpListener::bind(("127.0.0.1", passive)).unwrap();
    place.write("wharf.toml", "[[listen]]\naddress = \"127.0.0.1\"\nport = 0\n");
    let range = format!("passive.ports={passive}-{passive}");
    let reported =
        format!("passive port {passive} on 127.0.0.1: in use by pid {}", std::process::id());
    place.run(&["check", "ports", "--set", &range]).exits(1).reports(&reported);
    let range = format!("passive.ports={}-{}", passive - 50, passive);
    let ran = place.run(&["check", "ports", "--set", &range]).exits(0).reports(&reported);
    assert!(ran.out.contains("of 51 passive ports are available"), "{}", ran.out);
}

#[test]
fn ports_of_the_running_server_are_not_an_error() {
    let place = place("");
    add(&place, "anna");
    let server = place.serve(&["serve"]);
    let port = format!("listen.0.port={}", server.address.port());
    let at = ["--set", "listen.0.address=127.0.0.1", "--set", &port];
    let others = Ports::take(1).passive();
    let range = format!("passive.ports={}-{}", others.start(), others.end());
    let range = ["--set", &range];
    let ran = place.run(&[&["check", "ports"][..], &at, &range].concat()).exits(0);
    let own = format!("in use by the running server, pid {} (", server.pid());
    assert!(ran.out.contains(&own), "{ran:?}");
}

#[test]
fn a_foreign_address_is_reported_with_the_local_ones() {
    let place = place("[[listen]]\naddress = \"198.51.100.77\"\nport = 2121\n");
    let ran = place.run(&["check", "ports"]).exits(1);
    ran.reports("cannot listen on 198.51.100.77").reports("127.0.0.1");
}

/// A certificate valid from one year to another, written with its key.
fn certificate(place: &TestFolder, names: &[&str], years: (i32, i32)) {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    write(place, &params.self_signed(&key).unwrap().pem(), &key.serialize_pem());
}

fn write(place: &TestFolder, chain: &str, key: &str) {
    place.write("chain.pem", chain);
    place.write("key.pem", key);
    fs::set_permissions(place.path("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
}

const WITH_FILES: &str = "[tls]\ncertificate = \"chain.pem\"\nprivate_key = \"key.pem\"\n";

#[test]
fn tls_finds_certificates_that_are_over_not_begun_or_soon_over() {
    let place = place(WITH_FILES);
    certificate(&place, &["ftp.example.com"], (2020, 2021));
    let ran = place.run(&["check", "tls"]).exits(78);
    ran.reports("expired on 2021-01-01").reports("wharf reload");
    certificate(&place, &["ftp.example.com"], (2090, 2091));
    place.run(&["check", "tls"]).exits(78).reports("is not valid before 2090-01-01");
    certificate(&place, &["ftp.example.com"], (2020, 2090));
    let ran = place.run(&["check", "tls"]).exits(0);
    for part in ["ECDSA P-256", "until 2090-01-01", "TLSv1.2 ", "TLSv1.3 ", "ftp.example.com"] {
        assert!(ran.out.contains(part), "{part} is not in {}", ran.out);
    }
    let soon = std::time::SystemTime::now() + std::time::Duration::from_hours(5 * 24 + 12);
    let mut params = CertificateParams::new(vec!["ftp.example.com".to_owned()]).unwrap();
    params.not_after = soon.into();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    write(&place, &params.self_signed(&key).unwrap().pem(), &key.serialize_pem());
    place.run(&["check", "tls"]).exits(0).reports("expires in 5 days");
    place.run(&["check", "tls", "--strict"]).exits(78);
}

#[test]
fn tls_finds_keys_and_names_that_do_not_fit() {
    let place = place(WITH_FILES);
    certificate(&place, &["ftp.example.com"], (2020, 2090));
    let ran =
        place.run(&["check", "tls", "--set", "tls.server_names=[\"ftp.example.org\"]"]).exits(0);
    ran.reports("the certificate is not valid for ftp.example.org, which tls.server_names");
    let public = ["--set", "passive.public_address=home.example.net"];
    place
        .run(&[&["check", "tls"][..], &public].concat())
        .reports("not valid for home.example.net, which passive.public_address contains");
    let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    place.write("key.pem", &other.serialize_pem());
    place.run(&["check", "tls"]).exits(78).reports("does not match tls.certificate");
    place.run(&["check"]).exits(78);
    fs::set_permissions(place.path("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    place.run(&["check", "tls"]).exits(78).reports("chmod 600");
}

#[test]
fn tls_finds_a_chain_that_is_out_of_order_or_leads_nowhere() {
    let place = place(WITH_FILES);
    let authority = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Example Authority");
    let top = params.self_signed(&authority).unwrap();
    let issuer = Issuer::new(params, &authority);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let own = CertificateParams::new(vec!["ftp.example.com".to_owned()]).unwrap();
    let own = own.signed_by(&key, &issuer).unwrap();
    write(&place, &own.pem(), &key.serialize_pem());
    place.run(&["check", "tls"]).exits(0).reports("does not trust").reports("Example Authority");
    write(&place, &format!("{}{}{}", own.pem(), own.pem(), top.pem()), &key.serialize_pem());
    place.run(&["check", "tls"]).exits(0).reports("invalid order of the certificate chain");
    write(&place, &format!("{}{}", top.pem(), own.pem()), &key.serialize_pem());
    place.run(&["check", "tls"]).exits(78).reports("must be the first in its file");
}

#[test]
fn users_finds_homes_that_cannot_be_used() {
    let place = place("");
    for name in ["anna", "ben", "carl", "dora"] {
        add(&place, name);
    }
    place.run(&["check", "users"]).exits(0);
    fs::remove_dir(place.path("home/ben")).unwrap();
    fs::remove_dir(place.path("home/carl")).unwrap();
    place.write("home/carl", "no folder");
    place.run(&["user", "disable", "dora"]).exits(0);
    fs::remove_dir(place.path("home/dora")).unwrap();
    let ran = place.run(&["check", "users"]).exits(1);
    let ran = ran.reports("error: ben cannot log in: folder not found").reports("mkdir -p");
    let ran = ran.reports("carl cannot log in").reports("is not a folder");
    // A disabled account is not counted.
    ran.reports("note: dora cannot log in");
}

#[test]
fn users_checks_the_account_of_the_server() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: only root can serve as another user");
        return;
    }
    let place = place("[server]\nuser = \"nobody\"\n");
    add(&place, "anna");
    let set = |name: &str, mode| {
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for (folder, home, reported) in [
        (0o755, 0o700, "nobody has no permission to enter"),
        (0o755, 0o711, "nobody cannot read"),
        (0o755, 0o755, "nobody cannot write"),
        (0o700, 0o777, "nobody has no permission to enter"),
    ] {
        set("", 0o755);
        set("home", folder);
        set("home/anna", home);
        place.run(&["check", "users"]).exits(1).reports(reported).reports("chown nobody");
    }
    set("home", 0o755);
    place.run(&["check", "users"]).exits(0);
}

#[test]
fn users_finds_names_that_hide_each_other_and_weak_hashes() {
    let place = place("[login]\nanonymous = true\nanonymous_home = \"public\"\n");
    fs::create_dir(place.path("public")).unwrap();
    for name in ["anna", "Anna", "ftp"] {
        add(&place, name);
    }
    let hash = "$1$qLV9T4A8$pwxAD8kpcGHpnP9tpRDTS0";
    place.run(&["user", "add", "ben", "--home", "home/anna", "--hash", hash]).exits(0);
    let denied = ["--set", "login.deny_users=[\"anna\"]"];
    let ran = place.run(&[&["check", "users"][..], &denied].concat()).exits(0);
    let ran = ran.reports("similar account names: anna, Anna");
    let ran = ran.reports("ftp cannot log in: the name is used by anonymous users");
    let ran = ran.reports("the password hash of ben is weak: MD5-crypt");
    let ran = ran.reports("it is in login.deny_users").reports("share the home");
    assert!(ran.out.contains("4 in "), "{}", ran.out);
}

#[test]
fn fs_tries_what_an_upload_does_and_leaves_nothing() {
    let place = place("");
    add(&place, "anna");
    let ran = place.run(&["check", "fs"]).exits(0);
    for part in ["write, sync, rename and delete succeeded", "open files", "clock", "free"] {
        assert!(ran.out.contains(part), "{part} is not in {}", ran.out);
    }
    assert_eq!(fs::read_dir(place.path("home/anna")).unwrap().count(), 0);
    let left = place.path("home/anna/.wharf-0123456789abcdef0123456789abcdef.part");
    fs::write(&left, "cut").unwrap();
    place
        .run(&["check", "fs", "--set", "files.partial_upload_retention=0s"])
        .exits(0)
        .reports("1 partial uploads");
    let few = ["check", "fs", "--set", "limits.connections=4000000"];
    place
        .run(&few)
        .exits(0)
        .reports("limits.connections = 4000000 exceeds the limit of open files");
}

#[test]
fn net_lists_the_ports_to_open_and_the_announced_address() {
    let place = place(
        "[[listen]]\nport = 2199\n[passive]\npublic_address = \"192.168.7.7\"\n\
         ports = \"49290-49294\"\n",
    );
    let ran = place.run(&["check", "net"]).exits(0);
    assert!(ran.out.contains("TCP 2199 and 49290-49294"), "{}", ran.out);
    let ran = ran.reports("192.168.7.7 is not reachable from outside");
    ran.reports("one address may have 40 sessions, but there are only 5 passive ports");
    let name = ["--set", "passive.public_address=no-such-host.invalid"];
    let ran = place.run(&[&["check", "net"][..], &name].concat()).exits(0);
    ran.reports("cannot resolve the public address no-such-host.invalid");
}

#[test]
fn json_has_every_finding_and_the_same_numbers() {
    let place = place("");
    add(&place, "anna");
    let ran = place.run(&["check", "--json"]).exits(0);
    let all = findings(&ran);
    for subject in ["config", "sandbox", "ports", "tls", "net", "users", "fs"] {
        assert!(all.iter().any(|one| one["subject"] == subject), "{subject}: {}", ran.out);
    }
    assert_eq!(ran.err, "");
    let whole: Value = serde_json::from_str(&ran.out).unwrap();
    let keys: Vec<_> = whole.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["errors", "findings", "notes", "warnings"]);
    let keys: Vec<_> = all[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["hint", "level", "name", "subject", "what"]);
    fs::remove_dir(place.path("home/anna")).unwrap();
    let ran = place.run(&["check", "users", "--json"]).exits(1);
    assert_eq!(ran.err, "");
    assert!(findings(&ran).iter().any(|one| one["level"] == "error"), "{}", ran.out);
    place.write("wharf.toml", "[server]\ngreting = \"x\"\n");
    let ran = place.run(&["check", "--json"]).exits(78);
    assert_eq!(findings(&ran)[0]["subject"], "config", "{}", ran.out);
    assert_eq!(findings(&ran)[0]["level"], "error", "{}", ran.out);
}

#[test]
fn ask_reports_what_a_client_of_wharf_observes() {
    let place = place("");
    add(&place, "anna");
    let server = place.serve(&["serve"]);
    let address = server.address.to_string();
    let ran = place.run(&["check", "--ask", &address]).exits(0);
    for part in ["Service ready.", "AUTH TLS", "TLSv1.3", "sha256 "] {
        assert!(ran.out.contains(part), "{part} is not in {}", ran.out);
    }
    ran.reports("verify the certificate").reports("they require a login");
    let ask = ["check", "--ask", &address, "--user", "anna", "--password-file", "-"];
    let ran = place.run_with(&ask, "secret\n").exits(0);
    for part in ["EPSV", "PASV", "active", "TLS session resumed"] {
        assert!(ran.out.contains(part), "{part} is not in {}", ran.out);
    }
    place.run_with(&ask, "wrong\n").exits(1).reports("login of anna failed: 530 ");
    let ran = place.run(&["check", "--json", "--ask", &address]).exits(0);
    assert!(findings(&ran).iter().all(|one| one["subject"] == "ask"), "{}", ran.out);
}

#[test]
fn row_11_ask_sends_no_password_if_tls_is_rejected_and_reports_what_was_verified() {
    let place = place("[tls]\nrequire = \"off\"\n");
    add(&place, "anna");
    let with_tls = place.serve(&["serve"]);
    let ask = |address: &str| {
        ["check", "--ask", address, "--user", "anna", "--password-file", "-", "--insecure"]
            .map(str::to_owned)
    };
    let words = ask(&with_tls.address.to_string());
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let ran = place.run_with(&words, "secret\n").exits(0);
    assert!(ran.out.contains("verified"), "{}", ran.out);
    drop(with_tls);
    let without = place.serve(&["serve", "--tls", "off"]);
    let words = ask(&without.address.to_string());
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let ran = place.run_with(&words, "secret\n").exits(1);
    assert!(!ran.out.contains("Logged in"), "{}", ran.out);
    ran.reports("the password was not sent: the connection is not encrypted");
}

#[test]
fn ask_finds_a_wrong_public_address() {
    let place = place("");
    let config = "[passive]\npublic_address = \"127.0.0.9\"\nlocal_networks = []\n";
    let range = format!("ports = \"{}\"\n[tls]\nrequire = \"off\"\n", place.range());
    place.write("wharf.toml", &format!("{config}{range}"));
    add(&place, "anna");
    let server = place.serve(&["serve"]);
    let address = server.address.to_string();
    let ask = ["check", "--ask", &address, "--user", "anna", "--password-file", "-"];
    let ran = place.run_with(&ask, "secret\n").exits(1);
    ran.reports("PASV announces 127.0.0.9, but the server was reached at 127.0.0.1");
}

#[test]
fn ask_detects_what_is_not_an_ftp_server() {
    let place = place("");
    let (listener, port) = taken();
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").unwrap();
        stream
    });
    let ran = place.run(&["check", "--ask", &format!("127.0.0.1:{port}")]).exits(1);
    ran.reports("is not an FTP server").reports("SSH-2.0-OpenSSH_9.9");
    drop(other.join().unwrap());
    let ran = place.run(&["check", "--ask", &format!("127.0.0.1:{port}")]).exits(1);
    ran.reports(&format!("cannot connect to 127.0.0.1:{port}"))
        .reports("hint: check that the server listens there");
    place.run(&["check", "--ask", "a:b:c"]).exits(2);
    place.run(&["check", "--user", "anna"]).exits(2);
}
