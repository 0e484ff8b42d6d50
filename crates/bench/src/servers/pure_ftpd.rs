//! Pure-FTPd.

use super::{
    BenchServer, Installation, PASSIVE_FIRST, PASSIVE_LAST, ServerSetup, StartCommand, debian,
    printed,
};
use crate::bench::account::{PASSWORD_DES, USER};
use crate::bench::paths::write;

pub(super) static SERVER: BenchServer = BenchServer {
    name: "pure-ftpd",
    title: "Pure-FTPd",
    about: "PureDB, DES crypt password; two processes per session",
    processes_per_session: 2,
    has_mlsd: true,
    needs_root: true,
    find: |places| debian::find(places, "pure-ftpd", "usr/sbin/pure-ftpd", "pure-ftpd"),
    start,
    install: |places| debian::install(places, "pure-ftpd", &["pure-ftpd", "pure-ftpd-common"]),
};

fn start(found: &Installation, setting: &ServerSetup<'_>) -> Result<StartCommand, String> {
    let (work, account) = (setting.work, setting.account);
    let (uid, gid, root) = (account.uid, account.gid, setting.root.display());
    let (text, database) = (work.join("passwd"), work.join("passwd.pdb"));
    write(&text, format!("{USER}:{PASSWORD_DES}:{uid}:{gid}::{root}/./::::::::::::\n"))?;
    let maker = found.program.parent().and_then(|folder| folder.parent());
    let maker = maker.ok_or("Pure-FTPd is not in a folder")?.join("bin/pure-pw");
    let (text, database) = (text.display().to_string(), database.display().to_string());
    printed(&maker, &["mkdb", &database, "-f", &text])?;
    let mut start = StartCommand::new(&found.program)
        .args(["-4", "-E", "-H", "-A", "-u", "100", "-c", "20000", "-C", "20000"])
        .args(["-I", "60", "-L", "2000000:10", "-f", "none"])
        .args(["-S", &format!("127.0.0.1,{}", setting.port), "-l", &format!("puredb:{database}")])
        .args(["-p", &format!("{PASSIVE_FIRST}:{PASSIVE_LAST}"), "-g"])
        .arg(work.join("pid"));
    if let Some(files) = setting.certificate {
        start = start.args(["-Y", "1", "-2"]).arg(&files.both);
    }
    Ok(debian::with_libraries(start, found).by_root())
}
