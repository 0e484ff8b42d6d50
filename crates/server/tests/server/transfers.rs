//! Transfers in memory: whole, cut, aborted, resumed, converted.

use std::time::Duration;

use wharf_core::permission::Permissions;
use wharf_sim::World;

const LOGIN: &str = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: TYPE I\nS: 200 *\n";
const EPSV: &str = "C: EPSV\nS: 229 *\n";

fn world() -> World {
    World::new()
        .account("anna", "secret", Permissions::ALL)
        .file("/a", b"hello")
        .file("/big", vec![b'x'; 1_000_000])
}

fn inside(world: &World, script: &str) -> wharf_sim::DialogueOutcome {
    world.run(&format!("{LOGIN}{}", script.replace("EPSV;", EPSV)))
}

#[test]
fn row_33_abor_during_stor_keeps_no_file() {
    inside(
        &world(),
        "EPSV;C: STOR b\nS: 150 *\nU... half\nC: ABOR\nS: 426 *\nS: 226 *\nHASNOT /b\n\
         C: NOOP\nS: 200 *",
    );
}

#[test]
fn row_33_abor_during_stor_leaves_the_old_file() {
    inside(
        &world(),
        "EPSV;C: STOR a\nS: 150 *\nU... half\nC: ABOR\nS: 426 *\nS: 226 *\nHAS /a hello",
    );
}

#[test]
fn row_14_abor_works_after_telnet_codes() {
    inside(
        &world(),
        "EPSV;C: RETR big\nS: 150 *\nD< 10\nC< \\xff\\xf4\\xff\\xf2ABOR\\r\\n\nS: 426 *\n\
         S: 226 *\nDX\n\
         C: NOOP\nS: 200 *",
    );
}

#[test]
fn abor_ends_the_wait_for_a_connection() {
    inside(
        &world(),
        "EPSV;NODATA\nC: RETR a\nS: 150 *\nC: ABOR\nS: 426 *\nS: 226 *\nC: RETR a\nS: 425 *",
    );
}

#[test]
fn stat_and_noop_are_answered_while_bytes_move() {
    inside(
        &world(),
        "EPSV;C: RETR big\nS: 150 *\nD< 1000\nC: NOOP\nS: 200 *\nC: STAT\nS: 211-*\nS: 211 *\n\
         D...\nS: 226 *",
    );
}

#[test]
fn row_15_other_commands_wait_for_the_end_of_the_transfer() {
    inside(
        &world(),
        "EPSV;C: STOR b\nS: 150 *\nU... one\nC: DELE a\nC: PWD\nWAIT 1s\nHAS /a hello\n\
         U: two\nS: 226 *\n\
         S: 250 *\nS: 257 *\nHASNOT /a\nHAS /b onetwo",
    );
}

#[test]
fn abor_works_after_a_command_that_waits() {
    inside(
        &world(),
        "EPSV;C: STOR b\nS: 150 *\nU... one\nC: DELE a\nC: PWD\nC: ABOR\nS: 426 *\nS: 226 *\n\
         S: 250 *\nS: 257 *\nHASNOT /a\nHASNOT /b\nC: NOOP\nS: 200 *",
    );
}

#[test]
fn row_15_so_much_that_waits_is_read_and_no_more() {
    let many = "C: PWD\n".repeat(40);
    let replies = "S: 257 *\n".repeat(40);
    inside(
        &world(),
        &format!(
            "EPSV;C: STOR b\nS: 150 *\nU... one\n{many}C: ABOR\nWAIT 1s\nU: two\nS: 226 *\n\
             {replies}S: 226 *\nHAS /b onetwo"
        ),
    );
}

#[test]
fn quit_during_a_transfer_waits_for_its_end() {
    inside(
        &world(),
        "EPSV;C: STOR b\nS: 150 *\nU... one\nC: QUIT\nU: two\nS: 226 *\nS: 221 *\nS: EOF\n\
         HAS /b onetwo",
    );
}

#[test]
fn row_33_an_upload_over_a_broken_connection_is_not_published() {
    inside(
        &world(),
        "EPSV;C: STOR b\nS: 150 *\nU... half\nUX\nS: 426 *\nHASNOT /b\nC: NOOP\nS: 200 *",
    );
}

#[test]
fn row_33_an_upload_of_a_crashed_client_is_not_published() {
    let outcome = inside(&world(), "EPSV;C: STOR b\nS: 150 *\nU... half\nCX\nWAIT 1s\nHASNOT /b");
    assert!(outcome.events.iter().any(|line| line.contains("is_complete: false")));
    // As the kernel does it for a killed client: first one connection, then the other.
    inside(&world(), "EPSV;C: STOR b\nS: 150 *\nU... half\nCX\nUF\nWAIT 1s\nHASNOT /b");
}

#[test]
fn row_33_an_interrupted_upload_resumes_where_it_ended() {
    inside(
        &world(),
        "EPSV;C: STOR b\nS: 150 *\nU... 01234\nWAIT 1s\nUX\nS: 426 *\nC: SIZE b\nS: 213 5\n\
         C: REST 5\nS: 350 *\nEPSV;C: STOR b\nS: 150 *\nU: 56789\nS: 226 *\nHAS /b 0123456789",
    );
}

#[test]
fn row_56_an_interrupted_replacement_resumes_the_new_file_and_never_the_old() {
    const CUT: &str = "EPSV;C: STOR a\nS: 150 *\nU... 0123456789\nWAIT 1s\nUX\nS: 426 *\n";
    // As FileZilla and lftp do it: SIZE is that of the old file.
    inside(
        &world(),
        &format!(
            "{CUT}C: SIZE a\nS: 213 5\nC: MLST a\nS: 250-*\nS: 250 *\n\
             EPSV;C: RETR a\nS: 150 *\nD: hello\nS: 226 *\n\
             C: REST 5\nS: 350 *\nEPSV;C: STOR a\nS: 150 *\nU: 56789ab\nS: 226 *\n\
             HAS /a 0123456789ab"
        ),
    );
    // As curl and FluentFTP do it.
    inside(
        &world(),
        &format!(
            "{CUT}EPSV;C: APPE a\n\
             S: 550 Partial upload of 10 bytes exists; use REST 10, or STOR again.\n\
             HAS /a hello\nC: REST 11\nS: 350 *\nC: STOR a\nS: 554 *\n\
             C: REST 10\nS: 350 *\nC: STOR a\nS: 150 *\nU: ab\nS: 226 *\nHAS /a 0123456789ab\n\
             EPSV;C: APPE a\nS: 150 *\nU: !\nS: 226 *\nHAS /a 0123456789ab!"
        ),
    );
    // What was made for a file that is gone is gone, too.
    inside(
        &world(),
        &format!(
            "{CUT}C: DELE a\nS: 250 *\nC: SIZE a\nS: 550 *\n\
             EPSV;C: APPE a\nS: 150 *\nU: new\nS: 226 *\nHAS /a new"
        ),
    );
}

#[test]
fn row_56_an_interrupted_append_adds_nothing_and_can_be_sent_again() {
    inside(
        &world(),
        "EPSV;C: APPE a\nS: 150 *\nU...  and\nWAIT 1s\nUX\nS: 426 *\nHAS /a hello\n\
         C: SIZE a\nS: 213 5\nEPSV;C: APPE a\nS: 150 *\nU:  and more\nS: 226 *\n\
         HAS /a hello and more",
    );
}

#[test]
fn row_56_an_unfinished_upload_takes_no_name_that_another_account_got() {
    let permissions = [Permissions::UPLOAD, Permissions::APPEND, Permissions::RENAME];
    let permissions = permissions.into_iter().fold(Permissions::READ_ONLY, Permissions::union);
    let world = World::new().account("anna", "secret", permissions).file("/x", b"");
    inside(
        &world,
        "EPSV;C: STOR b\nS: 150 *\nU... 01234\nWAIT 1s\nUX\nS: 426 *\n\
         C: RNFR x\nS: 350 *\nC: RNTO b\nS: 250 *\n\
         C: REST 5\nS: 350 *\nEPSV;C: STOR b\nS: 553 *\n\
         C: APPE b\nS: 150 *\nU: !\nS: 226 *\nHAS /b !",
    );
}

#[test]
fn appe_continues_an_interrupted_upload_or_the_file() {
    inside(
        &world(),
        "EPSV;C: STOR b\nS: 150 *\nU... 01234\nWAIT 1s\nUX\nS: 426 *\nEPSV;C: APPE b\nS: 150 *\n\
         U: 56789\nS: 226 *\nHAS /b 0123456789\nEPSV;C: APPE b\nS: 150 *\nU: !\nS: 226 *\n\
         HAS /b 0123456789!\nEPSV;C: APPE new\nS: 150 *\nU: n\nS: 226 *\nHAS /new n",
    );
}

#[test]
fn row_35_rest_holds_for_one_transfer_and_survives_the_commands_before_it() {
    inside(
        &world(),
        "C: REST 3\nS: 350 *\nC: TYPE I\nS: 200 *\nEPSV;C: NOOP\nS: 200 *\nC: RETR a\n\
         S: 150 *\nD: lo\nS: 226 *\n\
         EPSV;C: RETR a\nS: 150 *\nD: hello\nS: 226 *\nC: REST 3\nS: 350 *\nC: CWD /\nS: 250 *\n\
         EPSV;C: RETR a\nS: 150 *\nD: hello\nS: 226 *",
    );
}

#[test]
fn row_35_rest_behind_the_end_is_rejected() {
    inside(
        &world(),
        "C: REST 6\nS: 350 *\nEPSV;C: RETR a\nS: 554 *\nC: REST 6\nS: 350 *\nC: STOR a\n\
         S: 554 *\nHAS /a hello\n\
         C: REST 5\nS: 350 *\nC: RETR a\nS: 150 *\nD: \nS: 226 *",
    );
}

#[test]
fn rest_and_stor_replace_the_rest_of_a_file() {
    inside(&world(), "C: REST 2\nS: 350 *\nEPSV;C: STOR a\nS: 150 *\nU: y\nS: 226 *\nHAS /a hey");
}

#[test]
fn text_is_converted_in_both_directions() {
    let world = world().file("/text", b"one\ntwo\n");
    inside(
        &world,
        "C: TYPE A\nS: 200 *\nEPSV;C: RETR text\nS: 150 *\nD: one\\r\\ntwo\\r\\n\nS: 226 *\n\
         EPSV;C: STOR up\nS: 150 *\nU: a\\r\\nb\\rc\\r\nS: 226 *\nHAS /up a\\nb\\rc\\r",
    );
}

#[test]
fn row_7_a_missing_data_connection_is_425() {
    inside(&world(), "EPSV;NODATA\nC: RETR a\nS: 150 *\nWAIT 21s\nS: 425 *\nC: NOOP\nS: 200 *");
}

#[test]
fn row_03_an_unexpected_peer_at_the_passive_port_gets_nothing_and_the_client_its_file() {
    let outcome =
        inside(&world(), "EPSV;KNOCK 198.51.100.7\nC: RETR a\nS: 150 *\nD: hello\nS: 226 *");
    assert!(outcome.events.iter().any(|line| line.contains("is_complete: true")));
}

#[test]
fn row_04_an_unused_passive_port_is_released() {
    inside(&world(), "EPSV;WAIT 31s\nC: RETR a\nS: 425 *\nC: NOOP\nS: 200 *");
}

#[test]
fn row_7_a_stalled_transfer_ends() {
    let world = world()
        .settings(|settings| settings.limits.transfer_stall_timeout = Duration::from_secs(10));
    inside(
        &world,
        "EPSV;C: STOR b\nS: 150 *\nU... x\nWAIT 11s\nS: 426 *\nHASNOT /b\nC: NOOP\nS: 200 *",
    );
}

#[test]
fn an_idle_time_out_does_not_count_transfers() {
    let world = world().settings(|settings| {
        settings.limits.idle_timeout = Duration::from_secs(5);
        settings.limits.transfer_stall_timeout = Duration::from_mins(10);
    });
    inside(
        &world,
        "EPSV;C: STOR b\nS: 150 *\nU... one\nWAIT 60s\nU: two\nS: 226 *\nC: NOOP\nS: 200 *\n\
         HAS /b onetwo",
    );
}

#[test]
fn stou_finds_a_name_and_returns_it() {
    let outcome = inside(
        &world(),
        "EPSV;C: STOU\nS: 150 FILE: upload.*\nU: one\nS: 226 *\nEPSV;C: STOU a\n\
         S: 150 FILE: a.*\nU: two\nS: 226 *",
    );
    let names: Vec<_> =
        outcome.memory.paths().into_iter().filter(|path| path.contains('.')).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(outcome.memory.content("/a").unwrap(), b"hello");
}

#[test]
fn files_are_not_replaced_without_the_permission_to() {
    let permissions = Permissions::parse("upload").unwrap();
    let world = World::new().account("anna", "secret", permissions).file("/a", b"hello");
    inside(
        &world,
        "EPSV;C: STOR a\nS: 553 *\nHAS /a hello\nC: STOR b\nS: 150 *\nU: new\nS: 226 *\n\
         HAS /b new",
    );
}

#[test]
fn row_23_28_a_dropbox_takes_files_and_shows_none() {
    let permissions = Permissions::parse("dropbox").unwrap();
    let world = World::new().account("anna", "secret", permissions).file("/a", b"hello");
    inside(
        &world,
        "EPSV;C: LIST\nS: 550 *\nC: RETR a\nS: 550 *\nC: SIZE a\nS: 550 *\nC: MKD d\nS: 550 *\n\
         C: DELE a\nS: 550 *\nC: STOR b\nS: 150 *\nU: new\nS: 226 *\nHAS /b new",
    );
}

#[test]
fn missing_parents_are_made_where_that_is_wanted() {
    inside(&world(), "EPSV;C: STOR x/y/z\nS: 553 *\nHASNOT /x/y/z");
    let world = world().settings(|settings| settings.files.create_parent_dirs = true);
    inside(
        &world,
        "EPSV;C: STOR x/y/z\nS: 150 *\nU: 1\nS: 226 *\nHAS /x/y/z 1\nC: MKD p/q/r\nS: 257 *\n\
         C: CWD p/q/r\nS: 250 *",
    );
}

#[test]
fn a_transfer_command_needs_a_new_port() {
    inside(
        &world(),
        "C: RETR a\nS: 425 *\nEPSV;C: RETR a\nS: 150 *\nD: hello\nS: 226 *\nC: RETR a\nS: 425 *",
    );
}

#[test]
fn a_missing_file_is_reported_without_150() {
    inside(
        &world(),
        "EPSV;C: RETR nothing\nS: 550 *\nC: LIST nothing\nS: 550 *\nC: MLSD nothing\nS: 550 *",
    );
}

#[test]
fn active_mode_reaches_the_client_over_both_commands() {
    inside(
        &world(),
        "LISTEN\nC: PORT {PORT}\nS: 200 *\nC: RETR a\nS: 150 *\nD: hello\nS: 226 *\n\
         LISTEN\nC: EPRT {EPRT}\nS: 200 *\nC: STOR b\nS: 150 *\nU: up\nS: 226 *\nHAS /b up",
    );
}

#[test]
fn active_mode_can_be_off() {
    let world = world().settings(|settings| settings.active.is_enabled = false);
    inside(&world, "C: PORT 203,0,113,9,100,1\nS: 502 *\nC: EPRT |1|203.0.113.9|4000|\nS: 502 *");
}

#[test]
fn row_33_a_client_that_sent_ahead_and_died_publishes_nothing() {
    inside(
        &world(),
        "EPSV;C: STOR b\nS: 150 *\nU... half\nC: PWD\nWAIT 1s\nCX\nUF\nWAIT 1s\nHASNOT /b",
    );
    inside(&world(), "EPSV;C: STOR b\nS: 150 *\nU... half\nC: PWD\nCX\nUF\nWAIT 1s\nHASNOT /b");
}

#[test]
fn an_administrator_sees_the_activity_of_each_session() {
    let world = World::new().account("anna", "secret", Permissions::ALL);
    world.run(
        "WHO - logs in\nC: USER anna\nS: 331 *\nWHO - logs in\nC: PASS secret\nS: 230 *\n\
         WHO anna idle\nC: TYPE I\nS: 200 *\nC: PASV\nS: 227 *\nC: STOR a\nS: 150 *\n\
         U... hello\nWAIT 50ms\nWHO anna STOR /a 5\nC: NOOP\nS: 200 *\nWHO anna STOR /a 5\n\
         U: !\nS: 226 *\nWHO anna idle\nHAS /a hello!",
    );
}

#[test]
fn an_administrator_sees_the_progress_of_a_download() {
    let world = World::new().account("anna", "secret", Permissions::ALL);
    world.file("/a", vec![b'x'; 3 << 20]).run(
        "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: TYPE I\nS: 200 *\n\
         C: PASV\nS: 227 *\nC: RETR a\nS: 150 *\nD< 1000\nWHO anna RETR /a *\nC: ABOR\n\
         S: 426 *\nS: 226 *\nWHO anna idle",
    );
}
