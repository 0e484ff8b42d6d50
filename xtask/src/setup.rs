//! Installs what the tests need: real FTP clients, and the cargo tools that run and check.
//!
//! Nothing is skipped silently: if a package cannot be installed the run ends with its name and a
//! hint.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outcome::target;
use crate::process;

/// A program that the tests start, and its Debian package.
const PROGRAMS: &[(&str, &str)] = &[
    ("lftp", "lftp"),
    ("curl", "curl"),
    ("tnftp", "tnftp"),
    ("ncftpput", "ncftp"),
    ("ncftpget", "ncftp"),
    ("ncftpls", "ncftp"),
    ("rclone", "rclone"),
    ("aria2c", "aria2"),
    ("wget", "wget"),
    ("haproxy", "haproxy"),
    ("openssl", "openssl"),
    // Makes system calls of the server fail.
    ("strace", "strace"),
    // The terminal for tests of `wharf top`.
    ("tmux", "tmux"),
    ("python3", "python3"),
    // FTP of PHP (`ftp_ssl_connect`), and of programs in JavaScript.
    ("php", "php-cli"),
    ("node", "nodejs"),
    ("npm", "npm"),
    // Accounts in a real database; each test starts its own server.
    ("initdb", "postgresql"),
    ("psql", "postgresql-client"),
    ("setpriv", "util-linux"),
    // A router that translates addresses, in network namespaces.
    ("nft", "nftables"),
    // The proofs mount small file systems, in their own namespaces.
    ("mkfs.ext4", "e2fsprogs"),
    ("unshare", "util-linux"),
    // Verifies our units; this computer need not run systemd.
    ("systemd-analyze", "systemd"),
    ("systemd-sysusers", "systemd"),
    // A directory for external authentication.
    ("slapd", "slapd"),
    ("systemd-socket-activate", "systemd"),
    // They read our logs and rotate them.
    ("fail2ban-regex", "fail2ban"),
    ("logrotate", "logrotate"),
    // For building and testing the package.
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("strip", "binutils"),
    ("ip", "iproute2"),
    // For testing completions; bash is everywhere.
    ("zsh", "zsh"),
    ("fish", "fish"),
    // The fuzzer's engine and the cryptography library are C and C++.
    ("cc", "gcc"),
    ("c++", "g++"),
];

/// A library that the build or the tests need: its file below the system's folders of libraries,
/// and its Debian package.
const LIBRARIES: &[(&str, &str)] = &[
    // The feature `pam` links it.
    ("libpam.so", "libpam0g-dev"),
    // PAM rules in a folder of a test, and a module with invented users.
    ("libpam_wrapper.so", "libpam-wrapper"),
];

/// The program that builds the documentation site.
pub(crate) const MDBOOK_TOOL: &str = "mdbook";

/// A cargo tool, the version that is known to work here, and further arguments of its installation.
const TOOLS: &[(&str, &str, &[&str])] = &[
    ("cargo-nextest", "0.9.143", &[]),
    ("cargo-deny", "0.20.2", &[]),
    ("cargo-fuzz", "0.13.2", &[]),
    ("cargo-deb", "3.8.0", &[]),
    // Without its web server, which would double the time of the build.
    (MDBOOK_TOOL, "0.5.4", &["--no-default-features", "--features", "search"]),
];

/// A package of npm that the tests use, and the version that is known to work here.
const NODE_PACKAGES: &[(&str, &str)] = &[("basic-ftp", "6.2.6")];

/// Tools run for seconds and are built once: optimising them would cost minutes. Measured on two
/// cores: 44 s for cargo-deny and 12 s for cargo-fuzz this way.
const TOOL_PROFILE: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
];

/// What only coverage needs: the compiler's format of counters is that of one version of LLVM.
const COVERAGE_PROGRAM: (&str, &str) = ("llvm-cov-22", "llvm-22");
const COVERAGE_TOOL: (&str, &str) = ("cargo-llvm-cov", "0.9.1");

/// Installs what measuring coverage needs beyond the tests.
pub(crate) fn for_coverage(root: &Path) -> Result<(), String> {
    run(root)?;
    if find(COVERAGE_PROGRAM.0).is_none() {
        install_packages(&[COVERAGE_PROGRAM.1])?;
    }
    if find(COVERAGE_TOOL.0).is_none() {
        install_tool(COVERAGE_TOOL.0, COVERAGE_TOOL.1, &[])?;
    }
    Ok(())
}

/// Installs what is missing, and prints it.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let packages = missing_packages(|program| find(program).is_some(), has_library);
    if !packages.is_empty() {
        install_packages(&packages)?;
        let missing = missing_packages(|program| find(program).is_some(), has_library);
        if !missing.is_empty() {
            return Err(format!(
                "apt-get installed {}, but its programs or libraries are not found",
                missing.join(" ")
            ));
        }
    }
    for (tool, version, arguments) in TOOLS {
        if find(tool).is_none() {
            install_tool(tool, version, arguments)?;
        }
    }
    install_node_packages(&target(root).join("node"))
}

/// Installs what is missing of npm below `folder`, where the tests look for it.
fn install_node_packages(folder: &Path) -> Result<(), String> {
    for (package, version) in NODE_PACKAGES {
        let known = folder.join("node_modules").join(package).join("package.json");
        let wanted = format!("\"version\": \"{version}\"");
        if std::fs::read_to_string(known).is_ok_and(|text| text.contains(&wanted)) {
            continue;
        }
        eprintln!("xtask: installing {package} {version} with npm");
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let mut command = Command::new("npm");
        command.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
        command.arg(folder).arg(format!("{package}@{version}"));
        if !process::succeeds(&mut command)? {
            return Err(format!(
                "{package} could not be installed, see above\n\
                 hint: npm install --prefix {} {package}@{version}",
                folder.display()
            ));
        }
    }
    Ok(())
}

fn missing_packages(
    has_program: impl Fn(&str) -> bool,
    has_library: impl Fn(&str) -> bool,
) -> Vec<&'static str> {
    let programs = PROGRAMS.iter().filter(|(program, _)| !has_program(program));
    let missing = programs.chain(LIBRARIES.iter().filter(|(library, _)| !has_library(library)));
    let mut packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

fn install_packages(packages: &[&str]) -> Result<(), String> {
    let names = packages.join(" ");
    let hint = format!("hint: install them manually ({names}), then run this again");
    if find("apt-get").is_none() {
        return Err(format!("the tests need {names}, and there is no apt-get here\n{hint}"));
    }
    eprintln!("xtask: installing Debian packages: {names}");
    // An old package list names versions that the mirror has dropped, so it comes first.
    let update = ["apt-get", "update", "--quiet"];
    let install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"];
    for words in [&update[..], &[&install[..], packages].concat()] {
        let mut command = as_root(words)?;
        if !process::succeeds(command.env("DEBIAN_FRONTEND", "noninteractive"))? {
            return Err(format!("`{}` failed, see above\n{hint}", words.join(" ")));
        }
    }
    Ok(())
}

/// A command with root privileges: directly, or by sudo.
pub(crate) fn as_root(words: &[&str]) -> Result<Command, String> {
    let output = Command::new("id").arg("-u").output();
    let is_root = output.is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    let mut line = words.to_vec();
    if !is_root {
        if find("sudo").is_none() {
            return Err(format!("`{}` needs root, and there is no sudo here", words.join(" ")));
        }
        line.insert(0, "sudo");
    }
    let mut rest = line.into_iter();
    let mut command = Command::new(rest.next().unwrap_or_default());
    command.args(rest);
    Ok(command)
}

fn install_tool(tool: &str, version: &str, arguments: &[&str]) -> Result<(), String> {
    eprintln!("xtask: installing {tool} {version} with cargo");
    let mut command = Command::new(process::CARGO);
    command.args(["install", "--locked", tool, "--version", version]).args(arguments);
    command.envs(TOOL_PROFILE.iter().copied());
    if !process::succeeds(&mut command)? {
        return Err(format!(
            "{tool} could not be installed, see above\n\
             hint: cargo install --locked {tool} --version {version}"
        ));
    }
    // Cargo finds its sub-commands in its own folder; PATH need not have it.
    Ok(())
}

/// Where a program is: in PATH, or in cargo's folder of installed tools.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let folders = std::env::split_paths(&path).chain(cargo.map(|home| home.join("bin")));
    // Debian has programs for root outside the PATH of other users.
    let folders = folders.chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    // Debian has each version's programs in its own folder, outside PATH.
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = folders.chain(versions.map(|version| version.path().join("bin")));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Whether a library is where the system keeps them: `/usr/lib`, or a folder there that is named
/// after the processor.
fn has_library(name: &str) -> bool {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let folders =
        folders.map(|entry| entry.path()).chain(["/usr/lib", "/usr/lib64"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).any(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_package_is_named_once() {
        let packages = missing_packages(|program| !program.starts_with("ncftp"), |_| true);
        assert_eq!(packages, ["ncftp"]);
        let packages = missing_packages(|_| true, |library| library != "libpam.so");
        assert_eq!(packages, ["libpam0g-dev"]);
    }

    #[test]
    fn nothing_is_reported_missing_on_a_complete_system() {
        assert!(missing_packages(|_| true, |_| true).is_empty());
    }

    #[test]
    fn a_program_that_does_not_exist_is_not_found() {
        assert_eq!(find("no-such-program-anywhere"), None);
    }
}
