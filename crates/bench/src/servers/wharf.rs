//! wharf, with accounts from a file.

use std::fmt::Write as _;
use std::path::Path;

use super::{
    BenchServer, Installation, PASSIVE_FIRST, PASSIVE_LAST, ServerSetup, StartCommand, printed,
};
use crate::bench::account::{PASSWORD_SSHA, USER, write_secret};
use crate::bench::paths::{BenchPaths, make_folder, set_mode, write};
use crate::bench::result::{WHARF, WHARF_FULL, WHARF_NO_LOG};

pub(super) static SERVER: BenchServer = SHIPPED;

const SHIPPED: BenchServer = BenchServer {
    name: WHARF,
    title: "wharf",
    about: "as shipped, with its log (to a file); accounts file, {SSHA} password unless the case \
            sets another; durability fast, as none of the others syncs",
    processes_per_session: 0,
    has_mlsd: true,
    needs_root: false,
    find,
    start: |found, setting| start(found, setting, Options { has_log: true, is_durable: false }),
    install: |_| Ok(()),
};

pub(super) static NO_LOG: BenchServer = BenchServer {
    name: WHARF_NO_LOG,
    title: "wharf, no log",
    about: "the same with `log.enabled = false`: the others write no log either",
    start: |found, setting| start(found, setting, Options { has_log: false, is_durable: false }),
    ..SHIPPED
};

pub(super) static FULL: BenchServer = BenchServer {
    name: WHARF_FULL,
    title: "wharf, full",
    about: "as shipped, with `durability = \"full\"`, its default: uploads are synced",
    start: |found, setting| start(found, setting, Options { has_log: true, is_durable: true }),
    ..SHIPPED
};

/// In what the three entries differ.
#[derive(Clone, Copy)]
struct Options {
    has_log: bool,
    is_durable: bool,
}

/// The password by Argon2id with the cost of wharf's own hashes.
const PASSWORD_ARGON2: &str = "$argon2id$v=19$m=19456,t=2,p=1$Yh7DEdQhQgqO0soggBsK6Q$wT3MXFpig68vyUQ7lW+8ydOOFo0JFwyw9xlj2JIBrlU";

fn find(places: &BenchPaths) -> Result<Installation, String> {
    let program = places.wharf();
    if !program.exists() {
        return Err(format!(
            "{} is missing; hint: cargo build --release -p wharf",
            program.display()
        ));
    }
    let version = printed(&program, &["--version"])?;
    Ok(Installation { version: version.trim().trim_start_matches("wharf ").to_owned(), program })
}

fn start(
    found: &Installation,
    setting: &ServerSetup<'_>,
    options: Options,
) -> Result<StartCommand, String> {
    let (file, folder) = (setting.work.join("wharf.toml"), setting.work.join("accounts"));
    write(&file, config(setting, options))?;
    make_folder(&folder)?;
    write_secret(&folder.join("users.toml"), &accounts(setting), setting.account)?;
    // The folder is read-only, so that wharf cannot store a stronger hash after the first login,
    // which would change the following measurements.
    set_mode(&folder, 0o555)?;
    Ok(StartCommand::new(&found.program).args(["serve", "-c"]).arg(file))
}

fn config(setting: &ServerSetup<'_>, options: Options) -> String {
    let mut text = format!(
        "[server]\nstate_dir = {}\nusers_file = \"accounts/users.toml\"\n\n\
         [[listen]]\naddress = \"127.0.0.1\"\nport = {}\ntls = {:?}\n\n\
         [passive]\nports = \"{PASSIVE_FIRST}-{PASSIVE_LAST}\"\n\n\
         [limits]\nconnections = 0\nconnections_per_ip = 0\nsessions_per_user = 0\n\
         idle_timeout = \"1h\"\n\n\
         [login]\ntimeout = \"10m\"\n\n\
         [files]\ndurability = {:?}\n\n\
         [log]\nenabled = {}\n\n\
         [tls]\nrequire = \"off\"\n",
        quoted(&setting.work.join("state")),
        setting.port,
        if setting.certificate.is_some() { "explicit" } else { "off" },
        if options.is_durable { "full" } else { "fast" },
        options.has_log,
    );
    if let Some(files) = setting.certificate {
        let (certificate, key) = (quoted(&files.chain), quoted(&files.key));
        // Writing to a String never fails.
        let _ = writeln!(text, "certificate = {certificate}\nprivate_key = {key}");
    }
    text
}

fn accounts(setting: &ServerSetup<'_>) -> String {
    let password = if setting.variant.is_argon2 { PASSWORD_ARGON2 } else { PASSWORD_SSHA };
    let mut text = format!(
        "[users.{USER}]\npassword = {password:?}\nhome = {}\npermissions = \"full\"\n",
        quoted(setting.root)
    );
    if let Some(rate) = setting.variant.rate {
        let kib = rate / crate::bench::number::KIB;
        let _ = writeln!(
            text,
            "transfer_download_rate = \"{kib}KiB/s\"\ntransfer_upload_rate = \"{kib}KiB/s\""
        );
    }
    text
}

/// A path as TOML spells it.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_string_lossy())
}
