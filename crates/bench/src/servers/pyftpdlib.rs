//! pyftpdlib, in its own virtual environment.

use std::path::{Path, PathBuf};

use super::{
    BenchServer, INSTALL_HINT, Installation, PASSIVE_FIRST, PASSIVE_LAST, ServerSetup,
    StartCommand, printed, succeed,
};
use crate::bench::account::{PASSWORD, USER};
use crate::bench::paths::{BenchPaths, make_folder, write};

pub(super) static SERVER: BenchServer = BenchServer {
    name: "pyftpdlib",
    title: "pyftpdlib",
    about: "one process, one event loop (its default); plain-text password",
    processes_per_session: 0,
    has_mlsd: true,
    needs_root: false,
    find,
    start,
    install,
};

/// Fixed versions, for comparable results.
const PACKAGES: [&str; 2] = ["pyftpdlib==2.2.0", "pyopenssl"];

/// The program that uses the library.
const PROGRAM: &str = include_str!("pyftpdlib.py");

fn find(places: &BenchPaths) -> Result<Installation, String> {
    let program = places.rival("pyftpdlib").join("bin/python");
    if !program.exists() {
        return Err(format!("not installed; hint: {INSTALL_HINT}"));
    }
    let question = "import pyftpdlib, sys; print(pyftpdlib.__ver__, 'on Python', \
                    sys.version.split()[0])";
    Ok(Installation { version: printed(&program, &["-c", question])?.trim().to_owned(), program })
}

fn start(found: &Installation, setting: &ServerSetup<'_>) -> Result<StartCommand, String> {
    let file = setting.work.join("server.py");
    write(&file, PROGRAM)?;
    let mut start = StartCommand::new(&found.program)
        .arg(file)
        .env("BENCH_PORT", setting.port.to_string())
        .env("BENCH_ROOT", setting.root)
        .env("BENCH_USER", USER)
        .env("BENCH_PASSWORD", PASSWORD)
        .env("BENCH_PASSIVE", format!("{PASSIVE_FIRST}-{PASSIVE_LAST}"));
    if let Some(files) = setting.certificate {
        start = start.env("BENCH_CERTIFICATE", &files.chain).env("BENCH_KEY", &files.key);
    }
    Ok(start)
}

fn install(places: &BenchPaths) -> Result<(), String> {
    let folder = places.rival("pyftpdlib");
    make_folder(&folder)?;
    // The system's Python can be executed by every user.
    let system = "/usr/bin/python3";
    let python = if Path::new(system).exists() { system } else { "python3" };
    succeed(&folder, python, &["-m", "venv", "."])?;
    let pip = PathBuf::from("bin/pip");
    let program = folder.join(pip).display().to_string();
    succeed(&folder, &program, &["install", "--quiet", PACKAGES[0], PACKAGES[1]])
}
