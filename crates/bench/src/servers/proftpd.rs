//! ProFTPD.

use super::{Found, PASSIVE_FIRST, PASSIVE_LAST, Server, Setting, Start, debian};
use crate::bench::account::{PASSWORD_DES, USER};
use crate::bench::places::{Places, set_mode, write};
use crate::bench::text::put;

pub(super) static SERVER: Server = Server {
    name: "proftpd",
    title: "ProFTPD",
    about: "AuthUserFile, DES crypt password; a process a session",
    processes_per_session: 1,
    has_mlsd: true,
    needs_root: true,
    find,
    start,
    install: |places| debian::install(places, "proftpd", &["proftpd-core", "proftpd-mod-crypto"]),
};

fn find(places: &Places) -> Result<Found, String> {
    debian::find(places, "proftpd", "usr/sbin/proftpd", "proftpd-core")
}

fn start(found: &Found, setting: &Setting<'_>) -> Result<Start, String> {
    let (work, account) = (setting.work, setting.account);
    let (uid, gid, root) = (account.uid, account.gid, setting.root.display());
    let passwords = work.join("passwd");
    write(&passwords, format!("{USER}:{PASSWORD_DES}:{uid}:{gid}::{root}:/bin/sh\n"))?;
    // ProFTPD refuses a file of passwords that others may read.
    set_mode(&passwords, 0o600)?;
    let file = work.join("proftpd.conf");
    write(&file, config(found, setting))?;
    let start = Start::new(&found.program).args(["-n", "-q", "-c"]).arg(file);
    Ok(debian::with_libraries(start, found).by_root())
}

fn config(found: &Found, setting: &Setting<'_>) -> String {
    let work = setting.work.display();
    let modules = found.program.parent().and_then(|folder| folder.parent());
    let modules = modules.map(|folder| folder.join("lib/proftpd"));
    let mut text = String::new();
    if let Some(folder) = modules.filter(|folder| folder.is_dir()) {
        put(&mut text, format_args!("ModulePath {}\n", folder.display()));
    }
    put(
        &mut text,
        format_args!(
            "ServerName bench\nServerType standalone\nDefaultAddress 127.0.0.1\nPort {}\nUseIPv6 off\n\
         UseReverseDNS off\nUser nobody\nGroup nogroup\nUmask 022\nMaxInstances none\n\
         TimeoutIdle 3600\nTimeoutNoTransfer 0\nTimeoutStalled 0\nTimeoutLogin 0\n\
         AuthUserFile {work}/passwd\nAuthOrder mod_auth_file.c\nRequireValidShell off\n\
         DefaultRoot ~\nAllowOverwrite on\nPassivePorts {PASSIVE_FIRST} {PASSIVE_LAST}\n\
         DelayEngine off\nPidFile {work}/pid\nScoreboardFile {work}/scoreboard\n\
         DelayTable {work}/delay\nTransferLog none\nWtmpLog off\nSystemLog none\n",
            setting.port
        ),
    );
    if let Some(files) = setting.certificate {
        let (certificate, key) = (files.chain.display(), files.key.display());
        put(
            &mut text,
            format_args!(
                "LoadModule mod_tls.c\nTLSEngine on\nTLSRequired off\n\
             TLSRSACertificateFile {certificate}\nTLSRSACertificateKeyFile {key}\nTLSLog none\n"
            ),
        );
    }
    text
}
