//! Servers from Debian packages. They conflict with each other, so each is unpacked into its own
//! folder; an installed one is used, too.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{INSTALL_HINT, Installation, StartCommand, printed, succeed};
use crate::bench::paths::{BenchPaths, make_folder};

/// The folder of downloaded packages.
const PACKAGES: &str = "packages";
/// Libraries need libraries; so many times at most.
const DEPTH_MAX: u32 = 5;

/// Searches `path` in the unpacked package, then in the system.
pub(super) fn find(
    places: &BenchPaths,
    name: &str,
    path: &str,
    package: &str,
) -> Result<Installation, String> {
    let folder = places.rival(name);
    let unpacked = folder.join(path);
    if unpacked.exists() {
        let version = unpacked_version(&folder.join(PACKAGES), package);
        return Ok(Installation {
            program: unpacked,
            version: version.unwrap_or_else(|| "?".into()),
        });
    }
    let installed = Path::new("/").join(path);
    if installed.exists() {
        let question = ["-W", "-f", "${Version}", package];
        let version = printed(Path::new("dpkg-query"), &question)?;
        return Ok(Installation { program: installed, version: format!("{version} (Debian)") });
    }
    Err(format!("not installed; hint: {INSTALL_HINT}"))
}

/// Downloads packages and unpacks them; the system is not changed.
pub(super) fn install(places: &BenchPaths, name: &str, packages: &[&str]) -> Result<(), String> {
    let folder = places.rival(name);
    let archive = folder.join(PACKAGES);
    make_folder(&archive)?;
    let mut words = vec!["download", "-qq"];
    words.extend(packages);
    succeed(&archive, "apt-get", &words)?;
    unpack_all(&archive, &folder)?;
    for _ in 0..DEPTH_MAX {
        let missing = missing_libraries(&archive)?;
        if missing.is_empty() {
            break;
        }
        let mut words = vec!["download", "-qq"];
        words.extend(missing.iter().map(String::as_str));
        succeed(&archive, "apt-get", &words)?;
        unpack_all(&archive, &folder)?;
    }
    Ok(())
}

/// Sets the path of the libraries that were unpacked beside the program.
pub(super) fn with_libraries(start: StartCommand, found: &Installation) -> StartCommand {
    let Some(root) = found.program.ancestors().nth(3).filter(|root| *root != Path::new("/")) else {
        return start;
    };
    let mut folders = vec![root.join("usr/lib"), root.join("lib")];
    // Debian has libraries in a folder named after the architecture, such as x86_64-linux-gnu.
    for folder in folders.clone() {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    let joined: Vec<OsString> = folders.into_iter().map(PathBuf::into_os_string).collect();
    start.env("LD_LIBRARY_PATH", joined.join(&OsString::from(":")))
}

fn archives(archive: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(archive)
        .map_err(|error| format!("cannot read {}: {error}", archive.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|end| end == "deb")).collect())
}

fn unpack_all(archive: &Path, folder: &Path) -> Result<(), String> {
    for package in archives(archive)? {
        let (package, folder) = (package.display().to_string(), folder.display().to_string());
        succeed(archive, "dpkg-deb", &["-x", &package, &folder])?;
    }
    Ok(())
}

/// Libraries that the packages need and that are neither installed nor among them.
fn missing_libraries(archive: &Path) -> Result<Vec<String>, String> {
    let mut missing = Vec::new();
    let packages = archives(archive)?;
    let names: Vec<String> = packages.iter().filter_map(|path| package_name(path)).collect();
    for package in packages {
        let question = ["-f", &package.display().to_string(), "Depends"];
        let depends = printed(Path::new("dpkg-deb"), &question)?;
        for name in libraries(&depends) {
            let question = ["-W", "-f", "${Status}", &name];
            let status = printed(Path::new("dpkg-query"), &question).unwrap_or_default();
            let is_known = names.contains(&name) || missing.contains(&name);
            if !status.ends_with(" installed") && !is_known {
                missing.push(name);
            }
        }
    }
    Ok(missing)
}

/// The package in a file such as `libhashkit2_1.1.4-1_amd64.deb`.
fn package_name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.split_once('_')?.0.to_owned())
}

/// The libraries in a line such as `libc6 (>= 2.36), libpam0g | libpam, debconf`.
fn libraries(depends: &str) -> Vec<String> {
    let first = depends.split(',').filter_map(|choice| choice.split('|').next());
    let names = first.filter_map(|one| one.split([' ', '(', ':']).find(|word| !word.is_empty()));
    names.map(str::trim).filter(|name| name.starts_with("lib")).map(Into::into).collect()
}

/// The version in a name such as `vsftpd_3.0.3-13+b2_amd64.deb`.
fn unpacked_version(archive: &Path, package: &str) -> Option<String> {
    let names = archives(archive)
        .ok()?
        .into_iter()
        .filter_map(|path| path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    names.into_iter().find_map(|name| version_in(&name, package))
}

fn version_in(name: &str, package: &str) -> Option<String> {
    let rest = name.strip_prefix(package)?.strip_prefix('_')?;
    let version = rest.split('_').next()?.replace("%3a", ":");
    Some(format!("{version} (Debian)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_taken_from_a_line_of_dependencies() {
        let line = "adduser, libc6 (>= 2.34), libwrap0 (>= 7.6), libpam0g|x, netbase, libssl3:any";
        assert_eq!(libraries(line), ["libc6", "libwrap0", "libpam0g", "libssl3"]);
        assert!(libraries("").is_empty());
    }

    #[test]
    fn a_package_that_was_downloaded_is_known_by_its_file() {
        let name = |path: &str| package_name(Path::new(path));
        assert_eq!(name("/x/libhashkit2_1.1.4-1_amd64.deb").as_deref(), Some("libhashkit2"));
        assert_eq!(name("/x/libhashkit2"), None);
    }

    #[test]
    fn a_version_is_read_from_the_name_of_a_package() {
        let name = "vsftpd_3.0.3-13+b2_amd64";
        assert_eq!(version_in(name, "vsftpd").as_deref(), Some("3.0.3-13+b2 (Debian)"));
        assert_eq!(version_in("pure-ftpd-common_1.0_all", "pure-ftpd"), None);
    }
}
