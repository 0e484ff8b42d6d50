//! Client programs that users have, run with their default settings.
//!
//! Their time from start to exit is measured, and what they have moved is counted.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bench::account::{PASSWORD, USER};
use crate::bench::tree::{FEW, LARGE, TREE, UPLOADS};

/// A client program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientProgram {
    Lftp,
    Rclone,
    Curl,
    /// curl with several transfers at a time.
    CurlParallel,
    Wget,
    /// `ncftpget` and `ncftpput`.
    Ncftp,
}

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientJob {
    /// Download a folder with many files and some folders.
    GetTree,
    PutTree,
    /// Download a folder with one large file.
    GetFile,
    PutFile,
    /// Download a folder with a few files.
    GetFew,
}

/// The two ends of a job.
#[derive(Debug)]
pub(crate) struct Endpoints<'a> {
    pub(crate) server: SocketAddr,
    /// The root of the server, whose folders are also the source of uploads.
    pub(crate) root: &'a Path,
    /// An empty folder for downloads and for the client's own files.
    pub(crate) local: &'a Path,
}

impl ClientJob {
    pub(crate) fn is_upload(self) -> bool {
        matches!(self, Self::PutTree | Self::PutFile)
    }

    /// The folder that is moved.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::GetTree | Self::PutTree => TREE,
            Self::GetFile | Self::PutFile => LARGE,
            Self::GetFew => FEW,
        }
    }
}

impl ClientProgram {
    /// The program that does the job.
    pub(crate) fn program(self, job: ClientJob) -> &'static str {
        match self {
            Self::Lftp => "lftp",
            Self::Rclone => "rclone",
            Self::Curl | Self::CurlParallel => "curl",
            Self::Wget => "wget",
            Self::Ncftp if job.is_upload() => "ncftpput",
            Self::Ncftp => "ncftpget",
        }
    }

    /// The Debian package that contains it.
    fn package(self) -> &'static str {
        match self {
            Self::Lftp => "lftp",
            Self::Rclone => "rclone",
            Self::Curl | Self::CurlParallel => "curl",
            Self::Wget => "wget",
            Self::Ncftp => "ncftp",
        }
    }

    /// Why it cannot be run, if so.
    pub(crate) fn missing(self, job: ClientJob) -> Option<String> {
        let program = self.program(job);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_installed = std::env::split_paths(&path).any(|one| one.join(program).exists());
        let package = self.package();
        (!is_installed)
            .then(|| format!("{program} is not installed; hint: apt-get install {package}"))
    }

    /// The command line of the job.
    pub(crate) fn command(self, job: ClientJob, places: &Endpoints<'_>) -> Result<Command, String> {
        let (ip, port) = (places.server.ip().to_string(), places.server.port().to_string());
        let from = places.root.join(job.folder());
        let into = downloads(places);
        let (far, uploads) = (job.folder(), UPLOADS);
        let (from, to) = (from.display(), into.display());
        let mut words: Vec<OsString> = Vec::new();
        let mut add = |all: &[&str]| words.extend(all.iter().map(OsString::from));
        match self {
            Self::Lftp => {
                let mirror = if job.is_upload() {
                    format!("mirror -R {from} {uploads}/{far}")
                } else {
                    format!("mirror {far} {to}")
                };
                let script = format!("open -u {USER},{PASSWORD} -p {port} {ip}; {mirror}");
                add(&["-c", &script]);
            }
            Self::Rclone if job.is_upload() => {
                add(&["sync", &from.to_string(), &format!(":ftp:{uploads}/{far}")]);
            }
            Self::Rclone => add(&["sync", &format!(":ftp:{far}"), &to.to_string()]),
            Self::Curl | Self::CurlParallel => {
                let file = places.local.join("curl.conf");
                crate::bench::paths::write(&file, curl_config(job, places)?)?;
                let account = format!("{USER}:{PASSWORD}");
                if self == Self::CurlParallel {
                    add(&["--parallel"]);
                }
                add(&["--silent", "--show-error", "--user", &account]);
                add(&["--config", &file.display().to_string()]);
            }
            Self::Wget => {
                let url = format!("ftp://{USER}:{PASSWORD}@{ip}:{port}/{far}/");
                add(&["-q", "-r", "-P", &to.to_string(), &url]);
            }
            Self::Ncftp => {
                add(&["-V", "-R", "-u", USER, "-p", PASSWORD, "-P", &port, &ip]);
                if job.is_upload() {
                    add(&[uploads, &from.to_string()]);
                } else {
                    add(&[&to.to_string(), far]);
                }
            }
        }
        let mut command = Command::new("timeout");
        command.arg(TIME_MAX_S).arg(self.program(job)).args(words);
        // Without a home, no settings of the user apply.
        command.env("HOME", places.local).current_dir(places.local);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        if self == Self::Rclone {
            command.env("RCLONE_FTP_HOST", ip).env("RCLONE_FTP_PORT", port);
            command.env("RCLONE_FTP_USER", USER).env("RCLONE_FTP_PASS", RCLONE_PASSWORD);
            command.env("RCLONE_CONFIG", places.local.join("rclone.conf"));
        }
        Ok(command)
    }
}

/// After this time the client is ended, and the measurement has failed.
const TIME_MAX_S: &str = "60";
/// The password as `rclone obscure` writes it.
const RCLONE_PASSWORD: &str = "ofT6HA8daouqx6saiCcgxmmDONsveALt";

/// The folder of downloads.
pub(crate) fn downloads(places: &Endpoints<'_>) -> PathBuf {
    places.local.join("downloads")
}

/// curl has no recursion, so it gets a list.
fn curl_config(job: ClientJob, places: &Endpoints<'_>) -> Result<String, String> {
    let mut text = String::from("create-dirs\nftp-create-dirs\n");
    let (server, folder) = (places.server, job.folder());
    for name in files_below(&places.root.join(folder))? {
        let (url, option, local) = if job.is_upload() {
            (
                format!("{UPLOADS}/{folder}/{name}"),
                "upload-file",
                places.root.join(folder).join(&name),
            )
        } else {
            (format!("{folder}/{name}"), "output", downloads(places).join(&name))
        };
        let local = local.display();
        let _ = writeln!(text, "url = \"ftp://{server}/{url}\"\n{option} = \"{local}\"");
    }
    Ok(text)
}

/// The paths of all files, relative to `folder`.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(next) = waiting.pop() {
        let entries = std::fs::read_dir(&next)
            .map_err(|error| format!("cannot read {}: {error}", next.display()))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                waiting.push(path);
            } else if let Ok(name) = path.strip_prefix(folder) {
                found.push(name.display().to_string());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The number of files below `folder`, and their bytes.
pub(crate) fn contents(folder: &Path) -> Result<(u64, u64), String> {
    let names = files_below(folder)?;
    let bytes = names.iter().filter_map(|name| Some(folder.join(name).metadata().ok()?.len()));
    Ok((u64::try_from(names.len()).unwrap_or(u64::MAX), bytes.sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENTS: [ClientProgram; 6] = [
        ClientProgram::Lftp,
        ClientProgram::Rclone,
        ClientProgram::Curl,
        ClientProgram::CurlParallel,
        ClientProgram::Wget,
        ClientProgram::Ncftp,
    ];

    fn words(client: ClientProgram, job: ClientJob, folder: &Path) -> String {
        let server = "127.0.0.1:2121".parse().unwrap();
        let places = Endpoints { server, root: folder, local: folder };
        let command = client.command(job, &places).unwrap();
        let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_client_gets_the_server_and_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(TREE).join("sub")).unwrap();
        std::fs::write(folder.path().join(TREE).join("sub/a"), b"abc").unwrap();
        for client in CLIENTS {
            let line = words(client, ClientJob::GetTree, folder.path());
            assert!(
                line.starts_with(&format!("{TIME_MAX_S} {}", client.program(ClientJob::GetTree)))
            );
            let config = std::fs::read_to_string(folder.path().join("curl.conf"));
            let is_curl = client.program(ClientJob::GetTree) == "curl";
            let text = if is_curl { config.unwrap() } else { line };
            assert!(text.contains(TREE), "{text}");
            assert!(text.contains("downloads"), "{text}");
            assert!(text.contains("2121") || client == ClientProgram::Rclone, "{text}");
        }
        assert!(
            words(ClientProgram::Ncftp, ClientJob::PutTree, folder.path())
                .starts_with("60 ncftpput")
        );
        words(ClientProgram::Curl, ClientJob::PutTree, folder.path());
        let config = std::fs::read_to_string(folder.path().join("curl.conf")).unwrap();
        assert!(config.contains(&format!("2121/{UPLOADS}/{TREE}/sub/a")), "{config}");
    }

    #[test]
    fn files_and_bytes_are_counted_in_all_folders() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("b/c")).unwrap();
        for (name, bytes) in [("a", &b"12"[..]), ("b/d", b"345"), ("b/c/e", b"")] {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        assert_eq!(contents(folder.path()), Ok((3, 5)));
        assert_eq!(files_below(folder.path()).unwrap(), ["a", "b/c/e", "b/d"]);
        assert!(contents(&folder.path().join("none")).is_err());
    }
}
