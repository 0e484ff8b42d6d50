//! The whole benchmark once, with its smallest case.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

#[test]
fn wharf_is_started_measured_and_ended() {
    let program = Path::new(env!("CARGO_BIN_EXE_wharf-bench"));
    let wharf = program.with_file_name("wharf");
    if !wharf.exists() {
        // Built already where the whole workspace is tested.
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "wharf"]);
        assert!(build.status().unwrap().success());
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("result.json");
    let words = ["--servers", "wharf", "--cases", "noop,size", "--rounds", "1", "--time", "1"];
    let output = Command::new(program).args(words).arg("--out").arg(&out).output().unwrap();
    let reported = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{reported}");
    let record: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    let runs = record["runs"].as_array().unwrap();
    // wharf and the bare program in one case, wharf alone in the other.
    assert_eq!(runs.len(), 3, "{reported}");
    for run in runs {
        assert!(run.get("failed").is_none(), "{run}");
    }
    assert!(runs[0]["figures"]["rate"].as_f64().unwrap() > 0.0);
}
