//! systemd units.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Path of the unit.
pub(super) const UNIT: &str = "etc/systemd/system/wharf.service";
/// Path of the definition of the system account.
pub(super) const SYSUSERS: &str = "etc/sysusers.d/wharf.conf";
/// Time to exit, in addition to the time for transfers to finish.
const STOP_MARGIN: Duration = Duration::from_secs(15);
const PAGE: &str = "https://github.com/wharf-ftp/wharf";

/// Parameters of the unit.
#[derive(Debug)]
pub(super) struct SystemdUnit {
    /// The program.
    pub(super) program: PathBuf,
    /// The configuration.
    pub(super) config: PathBuf,
    /// The system user.
    pub(super) user: String,
    /// Writable folders besides its state.
    pub(super) writable: Vec<PathBuf>,
    /// Time for transfers to finish after a stop.
    pub(super) shutdown_grace: Duration,
}

impl SystemdUnit {
    /// The service unit.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let program = quoted(&self.program);
        let config = quoted(&self.config);
        let stop = (self.shutdown_grace + STOP_MARGIN).as_secs();
        let _ = write!(
            text,
            "[Unit]\n\
             Description=wharf FTP and FTPS server\n\
             Documentation={PAGE}\n\
             Wants=network-online.target\n\
             After=network-online.target nss-user-lookup.target\n\n\
             [Service]\n\
             Type=notify\n\
             NotifyAccess=main\n\
             User={user}\n\
             UMask=0077\n\
             ExecStartPre={program} --config {config} check config\n\
             ExecStart={program} --config {config} serve\n\
             ExecReload={program} --config {config} reload\n\
             # Programs that events start may finish when the server stops.\n\
             KillMode=mixed\n\
             TimeoutStopSec={stop}s\n\
             WatchdogSec=30s\n\
             Restart=on-failure\n\
             RestartSec=2s\n\
             # The command line, the permissions or the configuration are wrong: no second start.\n\
             RestartPreventExitStatus=2 77 78\n\
             LimitNOFILE=65536\n\n\
             # State: /var/lib/wharf. Control socket: /run/wharf. Log files: /var/log/wharf.\n\
             StateDirectory=wharf\n\
             StateDirectoryMode=0700\n\
             RuntimeDirectory=wharf\n\
             RuntimeDirectoryMode=0750\n\
             LogsDirectory=wharf\n\
             LogsDirectoryMode=0750\n\
             # The rest of the system is read-only. Add homes that lie elsewhere.\n",
            user = self.user,
        );
        for folder in &self.writable {
            let _ = writeln!(text, "ReadWritePaths=-{}", quoted(folder));
        }
        let _ = write!(text, "ProtectHome={}\n\n{HARDENING}", self.protect_home());
        text
    }

    /// `ProtectHome` is on unless a served folder or the configuration is in a protected folder.
    fn protect_home(&self) -> &'static str {
        let is_home = |path: &PathBuf| {
            ["/home", "/root", "/run/user"].iter().any(|home| path.starts_with(home))
        };
        let needs_home = self.writable.iter().any(is_home) || is_home(&self.program);
        if needs_home || is_home(&self.config) { "no" } else { "yes" }
    }
}

const HARDENING: &str = "\
# The only privilege: binding port 21.
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ProtectProc=invisible
ProcSubset=pid
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
RemoveIPC=yes
# Netlink lists the addresses of this computer.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
# wharf confines itself further.
SystemCallFilter=landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
";

/// The socket unit: systemd holds the listening sockets, also during an upgrade.
pub(super) fn socket(addresses: &[String]) -> String {
    let mut text = format!(
        "[Unit]\n\
         Description=wharf FTP and FTPS server: control ports\n\
         Documentation={PAGE}\n\n\
         [Socket]\n"
    );
    for address in addresses {
        let _ = writeln!(text, "ListenStream={address}");
    }
    text.push_str(
        "BindIPv6Only=both\n\
         NoDelay=yes\n\
         Backlog=1024\n\
         Service=wharf.service\n\n\
         [Install]\n\
         WantedBy=sockets.target\n",
    );
    text
}

/// The system account, for `systemd-sysusers`.
pub(super) fn sysusers(user: &str) -> String {
    format!("u {user} - \"wharf FTP server\" /var/lib/wharf\n")
}

/// A path in the syntax of units: quoted, with specifiers and variables escaped.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy().replace('%', "%%");
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+%".contains(letter);
    if text.chars().all(is_plain) {
        return text;
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_testkit::assert_same;

    fn unit() -> SystemdUnit {
        SystemdUnit {
            program: "/usr/bin/wharf".into(),
            config: "/etc/wharf/wharf.toml".into(),
            user: "wharf".into(),
            writable: vec!["/etc/wharf".into(), "/srv/ftp".into()],
            shutdown_grace: Duration::from_secs(30),
        }
    }

    #[test]
    fn the_unit_is_up_to_date() {
        assert_same("packaging/systemd/wharf.service", &unit().text());
        assert_same("packaging/systemd/wharf.socket", &socket(&["[::]:21".into()]));
    }

    #[test]
    fn protect_home_is_off_only_if_needed() {
        assert!(unit().text().contains("ProtectHome=yes"));
        let mut own = unit();
        own.writable.push(Path::new("/home").join("anna"));
        assert!(own.text().contains("ProtectHome=no"));
    }

    #[test]
    fn odd_paths_stay_one_path() {
        for (path, text) in [
            ("/srv/ftp", "/srv/ftp"),
            ("/srv/my files", "\"/srv/my files\""),
            ("/srv/100%", "/srv/100%%"),
            ("/srv/a\"b\\c", "\"/srv/a\\\"b\\\\c\""),
            ("/srv/文件", "\"/srv/文件\""),
            ("/srv/$HOME", "\"/srv/$$HOME\""),
        ] {
            assert_eq!(quoted(Path::new(path)), text);
        }
    }
}
