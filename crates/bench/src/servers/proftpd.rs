//! ProFTPD.

use std::fmt::Write as _;

use super::{
    BenchServer, Installation, PASSIVE_FIRST, PASSIVE_LAST, ServerSetup, StartCommand, debian,
};
use crate::bench::account::{PASSWORD_DES, USER};
use crate::bench::paths::{BenchPaths, set_mode, write};

pub(super) static SERVER: BenchServer = BenchServer {
    name: "proftpd",
    title: "ProFTPD",
    about: "AuthUserFile, DES crypt password; one process per session",
    processes_per_session: 1,
    has_mlsd: true,
    needs_root: true,
    find,
    start,
    install: |places| debian::install(places, "proftpd", &["proftpd-core", "proftpd-mod-crypto"]),
};

fn find(places: &BenchPaths) -> Result<Installation, String> {
    debian::find(places, "proftpd", "usr/sbin/proftpd", "proftpd-core")
}

fn start(found: &Installation, setting: &ServerSetup<'_>) -> Result<StartCommand, String> {
    let (work, account) = (setting.work, setting.account);
    let (uid, gid, root) = (account.uid, account.gid, setting.root.display());
    let passwords = work.join("passwd");
    write(&passwords, format!("{USER}:{PASSWORD_DES}:{uid}:{gid}::{root}:/bin/sh\n"))?;
    // ProFTPD rejects a password file that others may read.
    set_mode(&passwords, 0o600)?;
    let file = work.join("proftpd.conf");
    write(&file, config(found, setting))?;
    let start = StartCommand::new(&found.program).args(["-n", "-q", "-c"]).arg(file);
    Ok(debian::with_libraries(start, found).by_root())
}

fn config(found: &Installation, setting: &ServerSetup<'_>) -> String {
    let work = setting.work.display();
    let modules = found.program.parent().and_then(|folder| folder.parent());
    let modules = modules.map(|folder| folder.join("lib/proftpd"));
    let mut text = String::new();
    if let Some(folder) = modules.filter(|folder| folder.is_dir()) {
        let _ = writeln!(text, "ModulePath {}", folder.display());
    }
    let port = setting.port;
    let _ = writeln!(
        text,
        "ServerName bench\nServerType standalone\nDefaultAddress 127.0.0.1\nPort {port}\n\
         UseIPv6 off\nUseReverseDNS off\nUser nobody\nGroup nogroup\nUmask 022\n\
         MaxInstances none\nTimeoutIdle 3600\nTimeoutNoTransfer 0\nTimeoutStalled 0\n\
         TimeoutLogin 0\nAuthUserFile {work}/passwd\nAuthOrder mod_auth_file.c\n\
         RequireValidShell off\nDefaultRoot ~\nAllowOverwrite on\n\
         PassivePorts {PASSIVE_FIRST} {PASSIVE_LAST}\nDelayEngine off\nPidFile {work}/pid\n\
         ScoreboardFile {work}/scoreboard\nDelayTable {work}/delay\nTransferLog none\n\
         WtmpLog off\nSystemLog none"
    );
    if let Some(files) = setting.certificate {
        let (certificate, key) = (files.chain.display(), files.key.display());
        let _ = writeln!(
            text,
            "LoadModule mod_tls.c\nTLSEngine on\nTLSRequired off\n\
             TLSECCertificateFile {certificate}\nTLSECCertificateKeyFile {key}\nTLSLog none\n\
             TLSOptions NoSessionReuseRequired"
        );
    }
    text
}
