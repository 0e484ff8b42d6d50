//! What the engine reports through `tracing`, and what it must not.

use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use wharf_core::permission::Permissions;
use wharf_sim::World;

/// Collects events as `LEVEL session message field=value …`.
struct Collector {
    level: Level,
    lines: Arc<Mutex<Vec<String>>>,
    session: Mutex<u64>,
}

struct Fields(String, u64);

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.1 = value;
        self.record_debug(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.0.insert_str(0, &format!("{value:?}")),
            name => self.0.push_str(&format!(" {name}={value:?}")),
        }
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("wharf_") && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.into())
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields(String::new(), 0);
        span.record(&mut fields);
        Id::from_u64(fields.1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new(), 0);
        event.record(&mut fields);
        let session = *self.session.lock().unwrap();
        let line = format!("{} {session} {}", event.metadata().level(), fields.0);
        self.lines.lock().unwrap().push(line);
    }

    fn enter(&self, span: &Id) {
        *self.session.lock().unwrap() = span.into_u64();
    }

    fn exit(&self, _: &Id) {
        *self.session.lock().unwrap() = 0;
    }
}

/// Plays a script, and returns what was reported at a level.
fn reported(world: &World, level: Level, script: &str) -> Vec<String> {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let collector = Collector { level, lines: Arc::clone(&lines), session: Mutex::default() };
    tracing::subscriber::with_default(collector, || world.run(script));
    let lines = lines.lock().unwrap();
    lines.clone()
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
