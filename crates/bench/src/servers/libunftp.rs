//! libunftp, with the small program in `crates/bench/libunftp`.

use std::path::Path;

use super::{
    BenchServer, INSTALL_HINT, Installation, PASSIVE_FIRST, PASSIVE_LAST, ServerSetup,
    StartCommand, succeed,
};
use crate::bench::paths::{BenchPaths, make_folder, write};

pub(super) static SERVER: BenchServer = BenchServer {
    name: "libunftp",
    title: "libunftp",
    about: "with unftp-sbe-fs; two workers; accepts any password",
    processes_per_session: 0,
    has_mlsd: true,
    needs_root: false,
    find,
    start,
    install,
};

/// The source is embedded, so that no checkout is needed.
const SOURCE: [(&str, &str); 3] = [
    ("Cargo.toml", include_str!("../../libunftp/Cargo.toml")),
    ("Cargo.lock", include_str!("../../libunftp/Cargo.lock")),
    ("src/main.rs", include_str!("../../libunftp/src/main.rs")),
];

/// The program, below its folder.
const PROGRAM: &str = "target/release/libunftp-server";

fn find(places: &BenchPaths) -> Result<Installation, String> {
    let folder = places.rival("libunftp");
    let program = folder.join(PROGRAM);
    let is_current = |(path, text): &(&str, &str)| {
        std::fs::read_to_string(folder.join(path)).is_ok_and(|built| built == *text)
    };
    if !program.exists() || !SOURCE.iter().all(is_current) {
        return Err(format!("not installed; hint: {INSTALL_HINT}"));
    }
    let lock = include_str!("../../libunftp/Cargo.lock");
    let version = |name: &str| version_in(lock, name).unwrap_or("?");
    let version = format!("{} with unftp-sbe-fs {}", version("libunftp"), version("unftp-sbe-fs"));
    Ok(Installation { program, version })
}

/// The version of a package in the text of a `Cargo.lock`.
fn version_in<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(rest.split_once('"')?.0)
}

#[expect(clippy::unnecessary_wraps, reason = "all servers start by one kind of function")]
fn start(found: &Installation, setting: &ServerSetup<'_>) -> Result<StartCommand, String> {
    let mut start = StartCommand::new(&found.program)
        .arg(setting.port.to_string())
        .arg(setting.root)
        .args([&PASSIVE_FIRST.to_string(), &PASSIVE_LAST.to_string()]);
    if let Some(files) = setting.certificate {
        start = start.arg(&files.chain).arg(&files.key);
    }
    Ok(start)
}

fn install(places: &BenchPaths) -> Result<(), String> {
    let folder = places.rival("libunftp");
    make_folder(&folder.join("src"))?;
    for (path, text) in SOURCE {
        write(&folder.join(path), text)?;
    }
    // After a failed build, there must be no program of older source.
    drop(std::fs::remove_file(folder.join(PROGRAM)));
    build(&folder)
}

fn build(folder: &Path) -> Result<(), String> {
    let target = folder.join("target").display().to_string();
    succeed(folder, "cargo", &["build", "--release", "--locked", "--target-dir", &target])
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn a_version_is_read_from_the_lock_file() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.2\"\n[[package]]\nname = \"ab\"\n\
                    version = \"3.4\"\n";
        assert_eq!(version_in(lock, "a"), Some("1.2"));
        assert_eq!(version_in(lock, "b"), None);
    }
}
