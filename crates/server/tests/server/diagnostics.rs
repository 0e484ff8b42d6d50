//! What the engine reports through `tracing`, and what it must not.

use tracing::Level;
use wharf_core::permission::Permissions;
use wharf_sim::World;
use wharf_testkit::reports::Reports;

/// Plays a script, and returns what was reported at a level.
fn reported(world: &World, level: Level, script: &str) -> Vec<String> {
    let reports = Reports::new(level);
    tracing::subscriber::with_default(reports.clone(), || world.run(script));
    reports.lines()
}

fn world() -> World {
    World::new().account("anna", "secret", Permissions::ALL).file("/a", b"hello")
}

#[test]
fn a_connection_without_any_data_is_one_line_at_debug_and_none_at_info() {
    assert_eq!(reported(&world(), Level::INFO, "CX\nWAIT 1s"), [""; 0]);
    for script in ["CX\nWAIT 1s", "CR\nWAIT 1s", "S: 220 *\nCX\nWAIT 1s"] {
        let lines = reported(&world(), Level::DEBUG, script);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("DEBUG 1 connected and closed peer="), "{lines:?}");
    }
}

#[test]
fn row_42_commands_and_replies_are_reported_without_passwords() {
    let script = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: PASSsecret\nS: 500 *\n\
                  C: DELE a\nS: 250 *";
    assert_eq!(reported(&world(), Level::INFO, script), [""; 0]);
    for level in [Level::DEBUG, Level::TRACE] {
        let lines = reported(&world(), level, script);
        let has = |part: &str| lines.iter().any(|line| line.starts_with(part));
        assert!(has("DEBUG 1 command line=USER anna"), "{lines:?}");
        assert!(has("DEBUG 1 command line=PASS ***"), "{lines:?}");
        assert!(has("DEBUG 1 unknown command line=PASS ***"), "{lines:?}");
        assert!(has("DEBUG 1 command line=DELE a"), "{lines:?}");
        assert!(has("DEBUG 1 reply code=230 text="), "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:?}");
    }
}

#[test]
fn a_transfer_is_reported_from_its_port_to_its_end() {
    let script = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: EPSV\nS: 229 *\n\
                  C: STOR b\nS: 150 *\nU: hello\nS: 226 *";
    let (debug, trace) =
        (reported(&world(), Level::DEBUG, script), reported(&world(), Level::TRACE, script));
    let count =
        |lines: &[String], part: &str| lines.iter().filter(|line| line.starts_with(part)).count();
    let position = |part: &str| {
        let place = debug.iter().position(|line| line.starts_with(part));
        place.unwrap_or_else(|| panic!("{part}: {debug:#?}"))
    };
    let places = [
        position("DEBUG 1 passive port leased"),
        position("DEBUG 1 data connection established tls=false"),
        position("DEBUG 1 receiving method=memory"),
        position("DEBUG 1 data connection closed bytes=5"),
        position("DEBUG 1 reply code=226"),
    ];
    assert!(places.is_sorted(), "{debug:#?}");
    assert_eq!(count(&debug, "TRACE"), 0);
    assert_eq!(count(&trace, "TRACE 1 moved bytes=5"), 1, "{trace:#?}");
}
