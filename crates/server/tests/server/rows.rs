//! Rows of docs/reference/trust.md, one dialogue for each clause.

use std::fmt::Write as _;

use wharf_core::account::Account;
use wharf_core::permission::{Permissions, Rules};
use wharf_server::settings::{Settings, TlsRequire};
use wharf_sim::World;

const LOGIN: &str = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\n";

fn world() -> World {
    World::new().account("anna", "secret", Permissions::ALL).file("/a", b"hello")
}

fn inside(world: &World, script: &str) -> wharf_sim::DialogueOutcome {
    world.run(&format!("{LOGIN}{}", script.replace("EPSV;", "C: EPSV\nS: 229 *\n")))
}

fn requiring(require: TlsRequire) -> impl FnOnce(&mut Settings) {
    move |settings| {
        if let Some(tls) = &mut settings.tls {
            tls.require = require;
        }
    }
}

/// What follows AUTH in one segment, in two, or in half a line is never answered under TLS.
#[test]
fn row_8_however_bytes_behind_auth_are_cut_none_is_answered() {
    let world = world().tls();
    for behind in
        ["NOOP\\r\\n", "N", "\\n", " ", "\\xff\\xf1\\xff", "\\r", "\\x16\\x03\\x01", "\\x00"]
    {
        world.run(&format!("C< AUTH TLS\\r\\n{behind}\nS: 421 *\nS: EOF\nHAS /a hello"));
        let pieces = format!("C< AUTH\nC<  TL\nC< S\\r\\n{behind}\nS: 421 *\nS: EOF");
        world.run(&pieces);
    }
}

#[test]
fn row_8_a_login_a_directory_and_a_restart_point_from_before_tls_are_forgotten() {
    let world = world().tls().settings(requiring(TlsRequire::Off));
    let world = world.settings(|settings| settings.compat.mode_z = true);
    world.memory().put("/d/a", b"x");
    inside(
        &world,
        &format!(
            "C: CWD d\nS: 250 *\nC: TYPE I\nS: 200 *\nC: REST 3\nS: 350 *\nC: RNFR a\nS: 350 *\n\
             C: MODE Z\nS: 200 *\nC: EPSV\nS: 229 *\nC: AUTH TLS\nS: 234 *\nTLS\nC: RNTO b\n\
             S: 530 *\nC: PWD\nS: 530 *\nC: PASS secret\nS: 503 *\n{LOGIN}C: PWD\nS: 257 \"/\" *\n\
             C: RNTO b\nS: 503 *\nC: RETR a\nS: 425 *\nC: STAT\nS: 211-*\nS: 211 *\nC: PROT P\n\
             S: 503 *"
        ),
    );
}

/// Policy x where the client is x whether it has TLS: what USER and a transfer answer.
#[test]
fn row_11_each_policy_and_each_command_by_the_table() {
    let near = "192.168.1.20";
    let far = "203.0.113.9";
    for (require, peer, user, list) in [
        (TlsRequire::Off, far, "331", "150"),
        (TlsRequire::Public, far, "530", ""),
        (TlsRequire::Public, near, "331", "150"),
        (TlsRequire::Login, far, "530", ""),
        (TlsRequire::Login, near, "530", ""),
        (TlsRequire::All, far, "530", ""),
        (TlsRequire::All, near, "530", ""),
    ] {
        let world = world().tls().settings(requiring(require)).peer(peer);
        let rest = if list.is_empty() {
            "C: PASS secret\nS: 503 *".to_owned()
        } else {
            format!(
                "C: PASS secret\nS: 230 *\nC: EPSV\nS: 229 *\nC: NLST\nS: {list} *\nD: a\\r\\n\n\
                S: 226 *"
            )
        };
        world.clone().run(&format!("C: USER anna\nS: {user} *\n{rest}"));
        // Under TLS all log in; data in the clear is rejected where all must be protected.
        let clear =
            if require == TlsRequire::All { "521 *" } else { "150 *\nD: a\\r\\n\nS: 226 *" };
        world.run(&format!(
            "C: AUTH TLS\nS: 234 *\nTLS\n{LOGIN}C: EPSV\nS: 229 *\nC: NLST\nS: {clear}\nC: PBSZ 0\n\
             S: 200 *\nC: PROT P\nS: 200 *\nC: EPSV\nS: 229 *\nC: NLST\nS: 150 *\nD: a\\r\\n\n\
             S: 226 *"
        ));
    }
}

#[test]
fn row_12_ccc_is_always_denied_and_tls_stays() {
    world().run(&format!("C: CCC\nS: 533 *\n{LOGIN}C: CCC\nS: 533 *\nC: NOOP\nS: 200 *"));
    world().tls().run(&format!(
        "C: AUTH TLS\nS: 234 *\nTLS\nC: CCC\nS: 534 *\n{LOGIN}C: CCC\nS: 534 *\nC: PWD\nS: 257 *"
    ));
}

#[test]
fn row_14_telnet_options_get_no_answer() {
    world()
        .run("C< \\xff\\xfd\\x03\\xff\\xfb\\x06\\xff\\xfa\\x18\\x01\\xff\\xf0NOOP\\r\\n\nS: 200 *");
    world().run("C< \\xff\nC< \\xfd\nC< \\x03NO\nC< OP\\r\nC< \\n\nS: 200 *");
}

#[test]
fn row_15_lines_before_login_are_short() {
    let short = "x".repeat(512 - "NOOP ".len());
    let long = "x".repeat(600);
    world()
        .run(&format!("C: NOOP {short}\nS: 200 *\nC: NOOP {short}x\nS: 500 *\nC: NOOP\nS: 200 *"));
    world().run(&format!(
        "C: USER {long}\nS: 501 *\nC: USER anna\nS: 331 *\nC: PASS {long}\nS: 530 *"
    ));
    world().run(&format!(
        "C: CLNT {long}\nS: 500 *\nC: CLNT {long}\nS: 500 *\nC: CLNT {long}\nS: 421 *\nS: EOF"
    ));
    inside(&world(), &format!("C: NOOP {long}\nS: 200 *"));
}

#[test]
fn row_15_an_endless_line_needs_no_memory_and_gets_one_reply() {
    let piece = "x".repeat(64 * 1024);
    let mut script = String::new();
    for _ in 0..32 {
        let _ = writeln!(script, "C< {piece}");
    }
    inside(
        &world(),
        &format!("{script}S: 500 *\nC< DELE a\\r\\nNOOP\\r\\n\nS: 200 *\nHAS /a hello"),
    );
}

#[test]
fn row_15_lines_too_long_count_during_a_transfer_too() {
    let long = format!("C< {}\\r\\n\n", "x".repeat(5000));
    inside(
        &world(),
        &format!(
            "EPSV;C: STOR b\nS: 150 *\nU... x\n{long}U: y\nS: 226 *\n\
            S: 500 Line too long.\n\
             {long}S: 500 *\n{long}S: 421 *\nS: EOF"
        ),
    );
}

#[test]
fn row_28_the_root_has_no_above_for_any_command() {
    let world = world();
    inside(
        &world,
        "C: CWD ../../..\nS: 250 \"/\" *\nC: CDUP\nS: 200 \"/\" *\nC: MKD ../../up\n\
        S: 257 \"/up\" *\n\
         C: RNFR ../up\nS: 350 *\nC: RNTO ../../renamed\nS: 250 *\nC: RMD /../renamed\nS: 250 *\n\
         C: TYPE I\nS: 200 *\nEPSV;C: RETR ../a\nS: 150 *\nD: hello\nS: 226 *\n\
         C: SIZE ..\\\\..\\\\a\n\
         S: 213 5\nC: RMD ..\nS: 550 *\nC: RNFR .\nS: 550 *\nC< DELE a\\x00\\r\\n\nS: 501 *\n\
         HAS /a hello",
    );
}

/// Without the permission to list a directory, replies are the same for existing and missing names.
#[test]
fn row_28_missing_and_forbidden_have_the_same_reply() {
    let at = |path: &[u8]| wharf_proto::path::VPath::root().resolve(path).expect("it is a path");
    let rules = Rules::everywhere(Permissions::READ_ONLY).with(at(b"/secret"), Permissions::NONE);
    let world = World::new()
        .account_with(Account::new("anna", "/", rules), "secret")
        .file("/secret/there", b"x")
        .file("/secret/folder/x", b"x");
    for verb in ["RETR", "SIZE", "MDTM", "MLST", "LIST", "NLST", "STAT", "CWD", "HASH", "MLSD"] {
        let reply = |name: &str| {
            let script = format!(
                "{LOGIN}C: TYPE I\nS: 200 *\nC: EPSV\nS: 229 *\nC: {verb} /secret/{name}\nS: 5*"
            );
            let story = world.run(&script).transcript;
            let last = story.lines().rfind(|line| line.contains("S: 5")).unwrap_or_default();
            last.split_once("S: ").map(|(_, reply)| reply.to_owned()).unwrap_or_default()
        };
        let (there, folder, missing) = (reply("there"), reply("folder"), reply("missing"));
        assert!(there.starts_with('5'), "{verb}: {there}");
        assert_eq!(there, missing, "{verb}");
        assert_eq!(folder, missing, "{verb}");
    }
}

#[test]
fn row_38_only_the_option_for_it_makes_a_listing_deep_and_braces_are_letters() {
    let world = world().file("/d/e/f", b"x");
    inside(
        &world,
        "EPSV;C: NLST -a\nS: 150 *\nD: a\\r\\nd\\r\\n\nS: 226 *\nEPSV;C: NLST -R\nS: 150 *\n\
        D: a\\r\\nd\\r\\nd/e\\r\\nd/e/f\\r\\n\nS: 226 *\nEPSV;C: NLST -lR d\nS: 150 *\n\
        D...\n\
         S: 226 *\nEPSV;C: NLST {a,d}\nS: 550 *\nC: NLST **/f\nS: 550 *\n\
         C: NLST a*a*a*a*a*a*a*a*a*\n\
         S: 501 *\nC: LIST --help -Z\nS: 150 *\nD...\nS: 226 *",
    );
}

#[test]
fn row_38_39_stat_of_a_large_directory_recommends_list() {
    let world = world();
    for number in 0..10_001 {
        world.memory().put(format!("/d/{number}"), b"");
    }
    inside(
        &world,
        "C: STAT d\nS: 450 Listing too long for STAT; use LIST.\nC: NOOP\nS: 200 *\n\
         C: STAT d/123*\nS: 212-*\nS: 212 *",
    );
}

#[test]
fn row_39_a_session_lists_once_at_a_time_and_abor_ends_it() {
    let world = world();
    for number in 0..20_000 {
        world.memory().put(format!("/d/{number:0>60}"), b"");
    }
    inside(
        &world,
        "C: EPSV\nS: 229 *\nC: NLST d\nS: 150 *\nD< 100\nC: ABOR\nS: 426 *\nS: 226 *\nDX\n\
         C: NOOP\nS: 200 *",
    );
}
