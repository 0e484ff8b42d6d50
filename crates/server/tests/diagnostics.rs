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
