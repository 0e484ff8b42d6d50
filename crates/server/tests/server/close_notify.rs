//! Uploads over TLS that end in FIN without `close_notify`.

use wharf_core::permission::Permissions;
use wharf_sim::World;

const SECURE: &str = "C: AUTH TLS\nS: 234 *\nTLS\nC: USER anna\nS: 331 *\nC: PASS secret\n\
                      S: 230 *\n\
                      C: TYPE I\nS: 200 *\nC: PBSZ 0\nS: 200 *\nC: PROT P\nS: 200 *\n";
const EPSV: &str = "C: EPSV\nS: 229 *\n";
/// The reply to the client, which names the setting.
const CUT: &str = "S: 426 The data connection ended without TLS close_notify*";
const TAKEN: &str =
    "S: 226 Transfer complete, without TLS close_notify (tls.require_close_notify).";

fn world() -> World {
    let world = World::new().account("anna", "secret", Permissions::ALL).tls();
    world
        .file("/full", b"content")
        .file("/older", b"content")
        .file("/empty", b"")
        .settings(|all| all.compat.mode_z = true)
}

fn lenient() -> World {
    world()
        .settings(|all| all.tls.as_mut().expect("the world has TLS").require_close_notify = false)
}

fn inside(world: &World, script: &str) -> Vec<String> {
    let script = script.replace("EPSV;", EPSV).replace("CUT;", CUT).replace("TAKEN;", TAKEN);
    world.run(&format!("{SECURE}{script}")).events
}

fn has_event(events: &[String], what: &str) -> bool {
    events.iter().any(|event| event.contains(what))
}

#[test]
fn row_33_an_upload_without_close_notify_is_cut_and_the_key_is_named() {
    let events = inside(
        &world(),
        "EPSV;C: STOR b\nS: 150 *\nU... half\nUF\nCUT;\nHASNOT /b\nEPSV;C: STOR b\nS: 150 *\n\
         U: whole\nS: 226 Transfer complete.\nHAS /b whole",
    );
    assert!(has_event(&events, "tls.require_close_notify = false would accept it"), "{events:#?}");
}

#[test]
fn row_33_exactly_the_bytes_of_allo_replace_close_notify() {
    let events = inside(
        &world(),
        "EPSV;C: ALLO 5\nS: 200 *\nC: STOR b\nS: 150 *\nU... whole\nUF\nTAKEN;\nHAS /b whole",
    );
    assert!(has_event(&events, "exactly the bytes of ALLO came"), "{events:#?}");
    for (allo, sent) in [(6, "whole"), (4, "whole"), (0, "whole"), (5, "w")] {
        let script = format!(
            "EPSV;C: ALLO {allo}\nS: 200 *\nC: STOR b\nS: 150 *\nU... {sent}\nUF\nCUT;\nHASNOT /b"
        );
        inside(&world(), &script);
    }
    // More than a few reads, so that it is not the first that decides.
    inside(
        &world(),
        "EPSV;C: ALLO 300000\nS: 200 *\nC: STOR b\nS: 150 *\nU*300000: x\nS: 226 *\nEPSV;\
         C: APPE full\nS: 150 *\nU... more\nUF\nCUT;\nHAS /full content\n",
    );
    inside(
        &world(),
        "EPSV;C: ALLO 4\nS: 200 *\nC: APPE full\nS: 150 *\nU... more\nUF\nTAKEN;\n\
         HAS /full contentmore",
    );
}

#[test]
fn row_33_allo_counts_only_for_bytes_as_they_are_from_the_first_on() {
    for (prepared, sent) in [
        ("C: TYPE A\nS: 200 *\nC: ALLO 5\nS: 200 *\n", "whole"),
        // 13 bytes: `zlib` of `hello`.
        (
            "C: MODE Z\nS: 200 *\nC: ALLO 13\nS: 200 *\n",
            "\\x78\\x9c\\xcbH\\xcd\\xc9\\xc9\\x07\\x00\\x06,\\x02\\x15",
        ),
    ] {
        let script =
            format!("{prepared}EPSV;C: STOR b\nS: 150 *\nU... {sent}\nUF\nCUT;\nHASNOT /b");
        inside(&world(), &script);
    }
    inside(
        &world(),
        "EPSV;C: ALLO 5\nS: 200 *\nC: REST 2\nS: 350 *\nC: STOR full\nS: 150 *\n\
         U... whole\nUF\nCUT;\nHAS /full content",
    );
}

/// A record that FIN cuts shows that more was on its way, however many bytes came before it.
#[test]
fn row_33_an_end_in_the_middle_of_a_record_is_a_cut_also_where_allo_is_exact() {
    let allo = |bytes| format!("EPSV;C: ALLO {bytes}\nS: 200 *\nC: STOR b\nS: 150 *\n");
    let mid = "S: 426 The data connection ended in the middle of a TLS record*\nHASNOT /b\n";
    for part in [
        "\\x17", "\\x17\\x03\\x03\\x00", "\\x17\\x03\\x03\\x00\\x50",
        "\\x17\\x03\\x03\\x00\\x50abc",
    ] {
        let script = format!("{}U... whole\nUF {part}\n{mid}", allo(5));
        let events = inside(&world(), &script);
        assert!(has_event(&events, "in the middle of a TLS record"), "{events:#?}");
        inside(&world(), &format!("EPSV;C: STOR b\nS: 150 *\nU... \nUF {part}\n{mid}"));
        inside(&lenient(), &format!("EPSV;C: STOR b\nS: 150 *\nU... whole\nUF {part}\n{mid}"));
    }
    inside(&world(), &format!("{}U... whole\nUF\nTAKEN;\nHAS /b whole", allo(5)));
    inside(&lenient(), "EPSV;C: STOR b\nS: 150 *\nU... whole\nUF\nTAKEN;\nHAS /b whole");
}

/// What was said before TLS may be of anything on the way, and what was said for another transfer
/// is of that.
#[test]
fn row_33_allo_counts_only_under_this_tls_and_for_this_transfer() {
    let plain = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: TYPE I\nS: 200 *\n\
                 C: ALLO 5\nS: 200 *\n";
    let upload = "C: STOR b\nS: 150 *\nU... whole\nUF\nCUT;\nHASNOT /b".replace("CUT;", CUT);
    world().run(&format!("{plain}{SECURE}{EPSV}{upload}"));
    inside(
        &world(),
        "EPSV;C: ALLO 5\nS: 200 *\nC: RETR full\nS: 150 *\nD: content\nS: 226 *\nEPSV;\
         C: STOR b\nS: 150 *\nU... whole\nUF\nCUT;\nHASNOT /b",
    );
    inside(
        &world(),
        "EPSV;C: ALLO 5\nS: 200 *\nC: CWD /\nS: 250 *\n\
         C: STOR b\nS: 150 *\nU... whole\nUF\nCUT;\nHASNOT /b",
    );
}

#[test]
fn row_33_a_reset_never_completes_an_upload() {
    for world in [world(), lenient()] {
        inside(
            &world,
            "EPSV;C: ALLO 5\nS: 200 *\nC: STOR b\nS: 150 *\nU... whole\nUX\nS: 426 *\nHASNOT /b\n\
             EPSV;C: STOR e\nS: 150 *\nU... \nUX\nS: 4*\nHASNOT /e",
        );
        inside(
            &world,
            "EPSV;C: ALLO 5\nS: 200 *\nC: STOR b\nS: 150 *\nU... whole\nCX\nUF\nWAIT 1s\nHASNOT /b",
        );
        inside(&world, "EPSV;C: STOR e\nS: 150 *\nU... \nCX\nUF\nWAIT 1s\nHASNOT /e");
    }
}

#[test]
fn row_33_an_empty_upload_needs_no_close_notify_where_no_content_is_lost() {
    let empty = "\nS: 150 *\nU... \nUF\n";
    let events = inside(
        &world(),
        &format!(
            "EPSV;C: STOR new{empty}TAKEN;\nHAS /new \nEPSV;C: STOR empty{empty}TAKEN;\n\
             HAS /empty \n\
             EPSV;C: ALLO 0\nS: 200 *\nC: STOR other{empty}TAKEN;\nHAS /other \n\
             EPSV;C: STOR full{empty}CUT;\nHAS /full content\n\
             EPSV;C: ALLO 7\nS: 200 *\nC: STOR cut{empty}CUT;\nHASNOT /cut\n\
             EPSV;C: REST 3\nS: 350 *\nC: STOR older{empty}CUT;\nHAS /older content\n\
             C: TYPE A\nS: 200 *\nEPSV;C: STOR text{empty}CUT;\nHASNOT /text"
        ),
    );
    assert!(has_event(&events, "without a byte; accepted because"), "{events:#?}");
}

#[test]
fn row_33_an_empty_append_without_close_notify_changes_nothing() {
    for world in [world(), lenient()] {
        inside(
            &world,
            "EPSV;C: APPE full\nS: 150 *\nU... \nUF\nS: 226 No data received*\n\
             HAS /full content",
        );
    }
    inside(&world(), "EPSV;C: APPE new\nS: 150 *\nU... \nUF\nCUT;\nHASNOT /new");
}

#[test]
fn row_33_without_the_setting_fin_is_enough() {
    let events = inside(
        &lenient(),
        "EPSV;C: STOR b\nS: 150 *\nU... whole\nUF\nTAKEN;\nHAS /b whole\nEPSV;C: STOR full\n\
         S: 150 *\n\
         U... \nUF\nTAKEN;\nHAS /full \nC: TYPE A\nS: 200 *\nEPSV;C: STOR t\nS: 150 *\n\
         U... a\\r\\n\nUF\n\
         TAKEN;\nHAS /t a\\n\nC: TYPE I\nS: 200 *\nEPSV;C: ALLO 9\nS: 200 *\nC: STOR s\nS: 150 *\n\
         U... short\nUF\nS: 426 Fewer bytes*\nHASNOT /s",
    );
    assert!(has_event(&events, "tls.require_close_notify = false"), "{events:#?}");
}

/// The log says how the data was protected, also if no data connection arrived.
#[test]
fn an_upload_that_failed_before_its_data_connection_counts_as_tls_with_prot_p_only() {
    let without_data = "EPSV;NODATA\nC: STOR b\nS: 150 *\nC: ABOR\nS: 426 *\nS: 226 *\n";
    let private = inside(&world(), without_data);
    assert!(has_event(&private, "is_tls: true, reason: \"aborted"), "{private:#?}");
    let clear = inside(&world(), &format!("C: PROT C\nS: 200 *\n{without_data}"));
    assert!(has_event(&clear, "is_tls: false, reason: \"aborted"), "{clear:#?}");
}
