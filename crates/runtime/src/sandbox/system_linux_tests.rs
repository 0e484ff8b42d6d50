//! The kernel denies access outside of the policy. Each test uses a temporary thread for its rules.

use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use super::*;

/// Runs on a thread that is restricted to changing files in `folder`, with data ports 49000 and
/// 49001.
fn confined<T: Send>(
    folder: &Path,
    connections: ConnectionPolicy,
    act: impl FnOnce() -> T + Send,
) -> T {
    let place = |path: &Path, usage| PathRule { path: path.to_owned(), usage };
    let reach = AccessPolicy {
        files: FileAccess::Only(vec![
            place(folder, PathAccess::Change),
            place(Path::new("/etc/hosts"), PathAccess::Read),
        ]),
        ports: 49_000..=49_001,
        sources: [48_998].into(),
        connections,
        programs: ProgramAccess::Never,
    };
    thread::scope(|scope| {
        let trial = scope.spawn(|| {
            let report = confine(&reach);
            for (name, part) in report.parts() {
                assert!(matches!(part, SandboxStatus::On(_)), "{name} {part:?}");
            }
            act()
        });
        trial.join().unwrap()
    })
}

fn kind<T>(result: std::io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

const DENIED: Option<ErrorKind> = Some(ErrorKind::PermissionDenied);

#[test]
fn row_46_files_outside_of_the_policy_are_denied_and_others_are_not() {
    let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (own, other) = (own.path(), other.path());
    fs::write(other.join("secret"), "x").unwrap();
    std::os::unix::fs::symlink(other.join("secret"), own.join("link")).unwrap();
    confined(own, ConnectionPolicy::Made, || {
        for path in ["/etc/shadow", "/etc/passwd", "/proc/self/environ", "/proc/self/mem"] {
            assert_eq!(kind(fs::read(path)), DENIED, "{path}");
        }
        assert_eq!(kind(fs::read(other.join("secret"))), DENIED);
        assert_eq!(kind(fs::read(own.join("link"))), DENIED);
        assert_eq!(kind(fs::read_dir(other)), DENIED);
        assert_eq!(kind(fs::write(other.join("new"), "x")), DENIED);
        assert_eq!(kind(fs::remove_file(other.join("secret"))), DENIED);
        assert!(fs::rename(other.join("secret"), own.join("stolen")).is_err());
        assert_eq!(kind(fs::read("/etc/hosts")), None);
        assert_eq!(kind(fs::OpenOptions::new().append(true).open("/etc/hosts")), DENIED);

        fs::create_dir(own.join("folder")).unwrap();
        fs::write(own.join("folder/a"), "a").unwrap();
        fs::rename(own.join("folder/a"), own.join("b")).unwrap();
        fs::rename(own.join("link"), own.join("folder/link")).unwrap();
        fs::hard_link(own.join("b"), own.join("folder/c")).unwrap();
        fs::File::options().write(true).open(own.join("b")).unwrap().set_len(0).unwrap();
        fs::remove_dir_all(own.join("folder")).unwrap();
    });
}

#[test]
fn row_46_ports_outside_of_the_policy_are_denied() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap();
    confined(folder.path(), ConnectionPolicy::Made, || {
        assert_eq!(kind(TcpListener::bind("127.0.0.1:49002")), DENIED);
        assert_eq!(kind(TcpListener::bind("[::1]:48999")), DENIED);
        assert_ne!(kind(TcpListener::bind("127.0.0.1:49000")), DENIED);
        assert_ne!(kind(TcpListener::bind("127.0.0.1:48998")), DENIED);
        assert_eq!(kind(TcpStream::connect(here)), None);
    });
    confined(folder.path(), ConnectionPolicy::Never, || {
        assert_eq!(kind(TcpStream::connect(here)), DENIED);
        assert_eq!(kind(TcpListener::bind("127.0.0.1:0")), DENIED);
        assert_ne!(kind(TcpListener::bind("127.0.0.1:49001")), DENIED);
    });
}

#[test]
fn row_46_starting_and_signalling_programs_and_changing_the_user_are_denied() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&other);
    confined(folder.path(), ConnectionPolicy::Made, || {
        assert_eq!(kind(Command::new("/bin/true").status()), DENIED);
        let signal = rustix::process::Signal::KILL;
        assert_eq!(rustix::process::kill_process(pid, signal), Err(rustix::io::Errno::PERM));
        assert_eq!(kind(rustix::process::chroot(folder.path()).map_err(Into::into)), DENIED);
        let nobody = rustix::process::Uid::from_raw(65_534);
        assert_eq!(kind(rustix::thread::set_thread_uid(nobody).map_err(Into::into)), DENIED);
        // A Unix socket in the file system is a file, and is allowed where files are.
        assert!(UnixListener::bind(folder.path().join("socket")).is_ok());
    });
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn row_46_a_sandbox_test_does_not_affect_other_threads() {
    let folder = tempfile::tempdir().unwrap();
    confined(folder.path(), ConnectionPolicy::Never, || ());
    assert!(fs::read("/etc/passwd").is_ok());
    assert!(Command::new("/bin/true").status().is_ok());
}

#[test]
fn row_46_the_filter_lists_each_call_once_and_supports_this_processor() {
    let mut numbers: Vec<i64> = calls::rejected(ProgramAccess::Never).collect();
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count);
    assert!(numbers.contains(&libc::SYS_execve));
    filter(ProgramAccess::Never).unwrap();
}
