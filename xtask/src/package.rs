//! The Debian package: built, and tested in an overlay above this computer's root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{cargo, succeeds};
use crate::setup::{as_root, find};

/// The staging folder of the package, below the checkout. `[package.metadata.deb]` in
/// `crates/wharf/Cargo.toml` names it too.
const STAGE: &str = "target/deb";
/// Shells for which the package has completions.
const SHELLS: &[&str] = &["bash", "zsh", "fish"];
/// The most that a test may write: packages, accounts, small files.
const LAYER_SIZE: &str = "size=512m";
/// A test takes some ten seconds.
const TRIAL_SECONDS: &str = "300";

/// Builds the package: with the release profile, or of an existing program.
pub(crate) fn build(root: &Path, words: &[&str]) -> Result<(), String> {
    let program = match words {
        [] => release(root)?,
        ["--binary", file] => root.join(file),
        _ => return Err("usage: cargo xtask deb [--binary FILE]".to_owned()),
    };
    let package = package(root, &program)?;
    eprintln!("xtask: wrote {}", package.display());
    Ok(())
}

/// Builds it of the program built by the tests, and installs, runs, upgrades and purges it.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let mut build = cargo(root);
    build.args(["build", "--quiet", "--bins", "--workspace", "--all-features"]);
    if !succeeds(&mut build)? {
        return Err("cannot build the program, see above".to_owned());
    }
    let package = package(root, &target(root).join("debug/wharf"))?;
    try_out(root, &package)
}

fn release(root: &Path) -> Result<PathBuf, String> {
    let mut build = cargo(root);
    build.args(["build", "--release", "--package", "wharf", "--bin", "wharf"]);
    if succeeds(&mut build)? {
        Ok(target(root).join("release/wharf"))
    } else {
        Err("cannot build the program, see above".to_owned())
    }
}

fn target(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    target.map_or_else(|| root.join("target"), |target| root.join(target))
}

/// Collects the files of the package, and runs cargo-deb.
fn package(root: &Path, program: &Path) -> Result<PathBuf, String> {
    let stage = root.join(STAGE);
    let man = stage.join("man");
    // Pages of removed commands must not stay.
    let _ = fs::remove_dir_all(&man);
    fs::create_dir_all(&man).map_err(|error| format!("cannot make {}: {error}", man.display()))?;
    let staged = stage.join("wharf");
    let mut strip = Command::new("strip");
    done(strip.arg("-o").arg(&staged).arg(program))?;
    let mut pages = Command::new(&staged);
    done(pages.arg("man").arg(&man))?;
    for shell in SHELLS {
        let output = Command::new(&staged).args(["completions", shell]).output();
        let output = output.map_err(|error| format!("cannot run {}: {error}", staged.display()))?;
        let file = stage.join(format!("wharf.{shell}"));
        fs::write(&file, output.stdout)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    let package = stage.join("wharf.deb");
    let mut pack = cargo(root);
    // The program is stripped already; debug symbols are not shipped.
    pack.args(["deb", "--quiet", "--package", "wharf", "--no-build", "--no-strip", "--no-dbgsym"]);
    // Its own packer would take long for so little.
    pack.args(["--compress-system", "--output"]).arg(&package);
    done(&mut pack)?;
    Ok(package)
}

/// Runs the test in its own namespaces: an overlay in memory takes its writes, and its network has
/// only the loopback interface, where port 21 is free.
fn try_out(root: &Path, package: &Path) -> Result<(), String> {
    let script = root.join("packaging/debian/try.sh");
    let line = format!(
        "set -eu\n\
         layer=$(mktemp -d)\n\
         mount -t tmpfs -o {LAYER_SIZE} tmpfs \"$layer\"\n\
         mkdir \"$layer/changes\" \"$layer/work\" \"$layer/system\" \"$layer/files\"\n\
         cp \"$1\" \"$layer/files/try.sh\"; cp \"$2\" \"$layer/files/wharf.deb\"\n\
         mount -t overlay overlay \
         -o \"lowerdir=/,upperdir=$layer/changes,workdir=$layer/work\" \"$layer/system\"\n\
         mount -t proc proc \"$layer/system/proc\"\n\
         mount --bind /dev \"$layer/system/dev\"\n\
         mount -t tmpfs tmpfs \"$layer/system/tmp\"\n\
         cp \"$layer/files/try.sh\" \"$layer/files/wharf.deb\" \"$layer/system/tmp\"\n\
         exec timeout {TRIAL_SECONDS} chroot \"$layer/system\" sh /tmp/try.sh /tmp/wharf.deb\n"
    );
    let mut trial = as_root(&["unshare", "--mount", "--net", "--pid", "--fork", "sh", "-c"])?;
    trial.arg(line).arg("sh").arg(script).arg(package).env("DEBIAN_FRONTEND", "noninteractive");
    // Debian has programs for root outside the PATH of other users.
    trial.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    if succeeds(&mut trial)? {
        Ok(())
    } else {
        Err(format!(
            "the test of the package failed, see above\n\
             hint: list it with `dpkg-deb --contents {}`",
            package.display()
        ))
    }
}

fn done(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    if succeeds(command)? {
        return Ok(());
    }
    let missing = if find(&program).is_none() && !program.contains('/') {
        "\nhint: cargo xtask setup installs it"
    } else {
        ""
    };
    Err(format!("`{program}` failed, see above{missing}"))
}
