//! vsftpd. It uses PAM, whose files are in `/etc`: so it runs in its own mount namespace with other
//! `/etc/pam.d`, `/etc/passwd` and `/etc/shadow`. The system is not changed.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::{
    BenchServer, Installation, PASSIVE_FIRST, PASSIVE_LAST, ServerSetup, StartCommand, debian,
};
use crate::bench::account::{PASSWORD_DES, USER};
use crate::bench::paths::{make_folder, write};

pub(super) static SERVER: BenchServer = BenchServer {
    name: "vsftpd",
    title: "vsftpd",
    about: "PAM (pam_unix), DES crypt password; two processes per session; no MLSD, LIST is \
            used instead",
    processes_per_session: 2,
    has_mlsd: false,
    needs_root: true,
    find: |places| debian::find(places, "vsftpd", "usr/sbin/vsftpd", "vsftpd"),
    start,
    install: |places| debian::install(places, "vsftpd", &["vsftpd"]),
};

/// Mounts the files over those of the system.
const COVERED: &str = "for f in pam.d passwd shadow; do mount --bind \"$0/$f\" /etc/$f || exit 1; \
                       done; exec \"$@\"";

fn start(found: &Installation, setting: &ServerSetup<'_>) -> Result<StartCommand, String> {
    let (work, account) = (setting.work, setting.account);
    for folder in ["pam.d", "empty"] {
        make_folder(&work.join(folder))?;
    }
    let pam = "auth required pam_unix.so\naccount required pam_unix.so\n\
               session required pam_permit.so\n";
    write(&work.join("pam.d/vsftpd"), pam)?;
    let (uid, gid, root) = (account.uid, account.gid, setting.root.display());
    let passwd = format!(
        "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n\
         {USER}:x:{uid}:{gid}::{root}:/bin/sh\n"
    );
    write(&work.join("passwd"), passwd)?;
    let shadow =
        format!("root:*:20000::::::\nnobody:*:20000::::::\n{USER}:{PASSWORD_DES}:20000::::::\n");
    write(&work.join("shadow"), shadow)?;
    let file = work.join("vsftpd.conf");
    write(&file, config(setting))?;
    let start = StartCommand::new(&PathBuf::from("unshare"))
        .args(["--mount", "--propagation", "private", "--", "sh", "-c", COVERED])
        .arg(work)
        .arg(&found.program)
        .arg(file);
    Ok(debian::with_libraries(start, found).by_root())
}

fn config(setting: &ServerSetup<'_>) -> String {
    let (root, work) = (setting.root.display(), setting.work.display());
    let mut text = format!(
        "listen=YES\nlisten_ipv6=NO\nlisten_address=127.0.0.1\nlisten_port={}\nbackground=NO\n\
         anonymous_enable=NO\nlocal_enable=YES\nwrite_enable=YES\nlocal_umask=022\n\
         local_root={root}\nchroot_local_user=YES\nallow_writeable_chroot=YES\n\
         pam_service_name=vsftpd\nxferlog_enable=NO\nconnect_from_port_20=NO\n\
         pasv_min_port={PASSIVE_FIRST}\npasv_max_port={PASSIVE_LAST}\n\
         max_clients=0\nmax_per_ip=0\nidle_session_timeout=3600\ndata_connection_timeout=3600\n\
         secure_chroot_dir={work}/empty\nseccomp_sandbox=NO\n",
        setting.port
    );
    if let Some(files) = setting.certificate {
        let (certificate, key) = (files.chain.display(), files.key.display());
        let _ = writeln!(
            text,
            "ssl_enable=YES\nforce_local_logins_ssl=NO\nforce_local_data_ssl=NO\n\
             rsa_cert_file={certificate}\nrsa_private_key_file={key}\nssl_ciphers=HIGH"
        );
    }
    text
}
